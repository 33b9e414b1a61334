"""Learning curves: the right lines in the right axes, without pyplot."""

import math
import os
import pickle
import subprocess
import sys

import pytest

from fastnn import MLP, Dense, History, load, plotting

matplotlib_figure = pytest.importorskip("matplotlib.figure")

NAN, INF = math.nan, math.inf


def history(**columns):
    """Return a history with these columns."""
    found = History()
    found.history = {name: list(values) for name, values in columns.items()}
    found.epoch = list(range(max(map(len, found.history.values()), default=0)))
    return found


def lines(ax):
    """Return {label: (style, x, y)} of an axes."""
    found = ((line.get_label(), line) for line in ax.get_lines())
    return {
        label: (line.get_linestyle(), [*line.get_xdata()], [*line.get_ydata()])
        for label, line in found
    }


def best(ax):
    """Return the label of the marked epoch, and its place."""
    [(label, line)] = [(k, v) for k, v in lines(ax).items() if v[0] == ":"]
    assert line[1][0] == line[1][1]
    return label, line[1][0]


FULL = {
    "loss": [3.0, 2.0, 1.0, 0.5],
    "val_loss": [3.5, 2.5, 2.0, 2.25],
    "learning_rate": [0.1, 0.1, 0.01, 0.01],
    "accuracy": [0.1, 0.2, 0.3, 0.4],
    "val_accuracy": [0.1, 0.2, 0.25, 0.2],
    "top_5": [0.5, 0.6, 0.7, 0.8],
}


# ---- what is drawn ------------------------------------------------------------------------------


def test_losses_come_first_and_other_metrics_below():
    axes = plotting.learning_curves(history(**FULL)).axes
    labels = [ax.get_ylabel() for ax in axes]
    assert labels == ["loss", "accuracy", "top 5", "learning rate"]
    assert [ax.get_yscale() for ax in axes] == ["linear", "linear", "linear", "log"]
    assert axes[0].get_title() == "Learning curves"
    assert axes[-1].get_xlabel() == "epoch"


def test_training_is_solid_and_validation_dashed():
    losses, accuracy, top, rate = plotting.learning_curves(history(**FULL)).axes
    epochs = [0, 1, 2, 3]
    assert lines(losses)["training"] == ("-", epochs, FULL["loss"])
    assert lines(losses)["validation"] == ("--", epochs, FULL["val_loss"])
    assert lines(accuracy)["training"] == ("-", epochs, FULL["accuracy"])
    assert lines(accuracy)["validation"] == ("--", epochs, FULL["val_accuracy"])
    assert "validation" not in lines(top)
    assert lines(rate)["training"] == ("-", epochs, FULL["learning_rate"])
    assert len({line.get_color() for line in losses.get_lines()[:2]}) == 1


def test_the_legend_is_where_no_curve_ends():
    axes = plotting.learning_curves(history(**FULL)).axes
    places = [ax.get_legend().get_window_extent().y0 > ax.bbox.height / 2 + ax.bbox.y0
              for ax in axes[:2]]  # fmt: skip
    assert places == [True, False]  # above a loss that falls, below an accuracy that rises


def test_the_legend_names_what_is_drawn():
    ax = plotting.learning_curves(history(**FULL)).axes[0]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["training", "validation", "best epoch 2: 2"]


def test_a_metric_of_validation_alone():
    axes = plotting.learning_curves(history(loss=[1, 2], val_accuracy=[0.5, 0.6])).axes
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy"]
    assert lines(axes[1])["validation"][2] == [0.5, 0.6]


@pytest.mark.parametrize(
    ("columns", "label", "epoch"),
    [
        (FULL, "best epoch 2: 2", 2),
        ({"loss": [0.5, 0.1234, 0.2]}, "best epoch 1: 0.123", 1),
        ({"loss": [2.0, 1.0, 1.0]}, "best epoch 1: 1", 1),
        ({"loss": [NAN, 0.5, -INF, INF]}, "best epoch 1: 0.5", 1),
        ({"loss": [0.1, 0.2], "val_loss": [NAN, 3e-7]}, "best epoch 1: 3e-07", 1),
    ],
)
def test_the_best_epoch_is_marked(columns, label, epoch):
    assert best(plotting.learning_curves(history(**columns)).axes[0]) == (label, epoch)


def test_values_that_are_not_finite_leave_gaps(tmp_path):
    figure = plotting.learning_curves(
        history(loss=[1.0, NAN, INF, 0.5, NAN], learning_rate=[0.1, 0.0, NAN, 0.1, 0.1]),
        tmp_path / "gaps.png",
    )
    values = lines(figure.axes[0])["training"][2]
    assert [math.isnan(v) for v in values] == [False, True, True, False, True]
    low, high = figure.axes[0].get_xlim()
    assert low < 0 <= 4 < high


def test_no_epoch_is_best_where_no_loss_is_finite(tmp_path):
    figure = plotting.learning_curves(history(loss=[NAN, INF]), tmp_path / "nan.png")
    assert list(lines(figure.axes[0])) == ["training"]


def test_a_single_epoch_is_drawn_as_a_point(tmp_path):
    figure = plotting.learning_curves(history(loss=[0.5]), tmp_path / "one.png")
    ax = figure.axes[0]
    assert ax.get_lines()[0].get_marker() == "."
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [0]


def test_epochs_are_whole_numbers(tmp_path):
    for n in (2, 3, 10, 1000):
        figure = plotting.learning_curves(history(loss=[1.0] * n), tmp_path / "x.png")
        assert all(tick == int(tick) for tick in figure.axes[0].get_xticks())


# ---- where it goes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_figure_is_saved_to_the_given_path(tmp_path, ending, start):
    path = tmp_path / f"curves.{ending}"
    figure = plotting.learning_curves(history(**FULL), path)
    assert isinstance(figure, matplotlib_figure.Figure)
    assert path.read_bytes().startswith(start)
    assert plotting.learning_curves(history(**FULL), str(path)) is not figure


def test_a_path_without_an_extension_is_that_of_a_png(tmp_path):
    history(loss=[1.0]).plot(tmp_path / "curves")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_network_is_not_replaced_by_the_extension_that_is_added(tmp_path):
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    net.save(tmp_path / "net.png")
    with pytest.raises(ValueError, match=r"net.png' holds a network that fastnn saved"):
        history(loss=[1.0]).plot(tmp_path / "net")
    load(tmp_path / "net.png")


def test_no_figure_is_saved_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plotting.learning_curves(history(**FULL))
    assert not list(tmp_path.iterdir())


def test_losses_are_drawn_in_given_axes(tmp_path):
    figure = matplotlib_figure.Figure()
    left, right = figure.subplots(1, 2)
    assert plotting.learning_curves(history(**FULL), tmp_path / "a.png", ax=right) is figure
    assert not left.get_lines()
    assert right.get_ylabel() == "loss"
    assert best(right)[0] == "best epoch 2: 2"
    assert len(figure.axes) == 2
    assert (tmp_path / "a.png").stat().st_size > 0


def test_axes_in_a_part_of_a_figure(tmp_path):
    figure = matplotlib_figure.Figure()
    part = figure.subfigures(1, 2)[0]
    ax = part.subplots()
    assert plotting.learning_curves(history(**FULL), tmp_path / "a.png", ax) is figure


def test_pyplot_is_not_imported(tmp_path):
    """No display is needed, and matplotlib is imported only by plotting."""
    code = """
import sys
from fastnn import MLP, Dense
net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=3)
assert "matplotlib" not in sys.modules and "pandas" not in sys.modules
history.plot(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {**os.environ, "DISPLAY": ""}
    command = [sys.executable, "-c", code, tmp_path / "a.png"]
    subprocess.run(command, check=True, env=environment)
    assert (tmp_path / "a.png").stat().st_size > 0


# ---- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [{}, {"loss": []}])
def test_an_empty_history_is_an_error(columns):
    with pytest.raises(
        ValueError, match="history has no epochs to show; fit with epochs=1 or more"
    ):
        plotting.learning_curves(history(**columns))


@pytest.mark.parametrize("value", [None, "a", {"loss": [1.0]}], ids=str)
def test_a_history_is_that_of_a_fit(value):
    message = r"^history must be a History, which fit returns; got "
    with pytest.raises(TypeError, match=message):
        plotting.learning_curves(value)


def test_axes_are_one_axes():
    figure = matplotlib_figure.Figure()
    for value in (figure, figure.subplots(2)):
        with pytest.raises(TypeError, match=r"^ax must be an Axes of matplotlib, one of those of"):
            plotting.learning_curves(history(loss=[1.0]), ax=value)


def test_values_that_are_no_numbers():
    with pytest.raises(TypeError, match=r"history\['loss'\] has the value None, which is not a nu"):
        plotting.learning_curves(history(loss=[1.0, None]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rates", [[NAN, NAN], [0.0, 0.0], [0.1, 0.0], [INF, 0.1]], ids=str)
def test_learning_rates_of_which_some_are_not_positive(rates, tmp_path):
    figure = history(loss=[1.0, 2.0], learning_rate=rates).plot(tmp_path / "a.png")
    assert (figure.axes[-1].get_yscale() == "log") == (0.1 in rates)


def test_an_extension_that_matplotlib_lacks(tmp_path):
    with pytest.raises(ValueError, match=r"^path must end with one of .*\.png, .*; got '.*a\.xyz'"):
        history(loss=[1.0]).plot(tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


def test_an_error_while_saving_leaves_the_old_figure(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        history(loss=[1.0]).plot(tmp_path / "a.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]


def test_a_column_that_is_too_short():
    short = history(loss=[1.0, 2.0], accuracy=[0.5])
    message = r"history\['accuracy'\] has 1 value for 2 epochs; log a value in every epoch"
    with pytest.raises(ValueError, match=message):
        plotting.learning_curves(short)
    with pytest.raises(ValueError, match=message):
        short.to_dataframe()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = "^plotting needs matplotlib; install it with pip install matplotlib$"
    with pytest.raises(ImportError, match=message):
        plotting.learning_curves(history(**FULL))


# ---- methods of History -------------------------------------------------------------------------


def fitted():
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    X, y = [[0.0], [1.0]], [1.0, 3.0]
    return net.fit(X, y, epochs=5, validation_data=(X, y))


def test_history_plots_itself(tmp_path):
    found = fitted()
    figure = found.plot(tmp_path / "a.png")
    assert lines(figure.axes[0])["validation"][2] == found.history["val_loss"]
    own = matplotlib_figure.Figure().subplots()
    assert found.plot(ax=own) is own.figure


def test_a_notebook_gets_a_picture():
    """IPython asks for it where pyplot has not been imported, so that it has no formatter."""
    figure = fitted().plot()
    assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"
    assert pickle.loads(pickle.dumps(figure))._repr_png_()[:4] == b"\x89PNG"
    assert not hasattr(fitted().plot(ax=matplotlib_figure.Figure().subplots()), "_repr_png_")


def test_history_as_a_dataframe():
    pytest.importorskip("pandas")
    found = fitted()
    frame = found.to_dataframe()
    assert frame.index.name == "epoch"
    assert frame.index.tolist() == [0, 1, 2, 3, 4]
    assert {name: frame[name].tolist() for name in frame} == found.history
    frame.loc[0, "loss"] = -1.0
    assert found.history["loss"][0] != -1.0


def test_an_empty_dataframe():
    pytest.importorskip("pandas")
    frame = History().to_dataframe()
    assert frame.shape == (0, 0)
    assert frame.index.name == "epoch"


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = "^to_dataframe needs pandas; install it with pip install pandas$"
    with pytest.raises(ImportError, match=message):
        fitted().to_dataframe()
