"""Fits: what fit_many returns, where networks differ in what their predictions and metrics are.

Also what `networks` takes over from its base, rows and frames that fit_many refuses, and names of
columns. Not here: training (test_many.py), files (test_many_files.py).
"""

import _thread
import os
import signal
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from conditions import until

from fastnn import (
    MLP,
    Callback,
    CSVLogger,
    Dense,
    EarlyStopping,
    Fits,
    ModelCheckpoint,
    Standardize,
    fit_many,
    load_many,
    networks,
    tables,
)
from fastnn.many import executors, results, unattended
from fastnn.many.members import Members

rng = np.random.default_rng(3)
X = rng.normal(size=(64, 3))
y = X @ [1.0, 2.0, 3.0]


def base(**options):
    return MLP(3, [Dense(4, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0,
               **options)  # fmt: skip


@pytest.fixture(scope="module")
def fits():
    return fit_many(networks(base(), n=3), X, y)


# ---- predictions, the best, some of them --------------------------------------------------------


@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32")])
def test_each_network_predicts_in_its_own_precision(order):
    fits = fit_many([base(dtype=dtype) for dtype in order], X, y)
    found = fits.predict(X)
    assert found.dtype == np.float64
    for net, outputs in zip(fits, found, strict=True):
        np.testing.assert_array_equal(outputs, net.predict(X))
    own = np.stack([net.predict(X).astype(np.float64) for net in fits])
    np.testing.assert_array_equal(fits.predict(X, "mean"), own.mean(axis=0))


@pytest.mark.parametrize("reduce", ["mean", "std", "quantiles"])
def test_a_statistic_of_a_row_does_not_depend_on_other_rows(reduce):
    fits = fit_many(networks(base(dtype="float64"), n=20), X, y)
    alone = [fits.predict(X[i : i + 1], reduce) for i in range(len(X))]
    np.testing.assert_array_equal(fits.predict(X, reduce), np.concatenate(alone, axis=-2))


@pytest.mark.parametrize("reduce", ["mean", "std", "quantiles"])
def test_the_memory_of_a_statistic_does_not_grow_with_the_number_of_networks(reduce, monkeypatch):
    monkeypatch.setattr(results, "_TOGETHER", 1 << 16)
    fits = fit_many(networks(base(), n=400), X, y, epochs=0)
    rows = np.tile(X, (32, 1))
    tracemalloc.start()
    try:
        found = fits.predict(rows, reduce)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * 8 * 2**16  # float64; the outputs of all networks for all rows are 12 times
    np.testing.assert_array_equal(found[..., -len(X) :, :], fits.predict(X, reduce))


def test_the_best_by_a_metric_under_a_name_of_the_user(tmp_path):
    nets = [
        MLP(3, [Dense(8, "relu"), Dense(1, "sigmoid")], loss="binary_cross_entropy", seed=0,
            optimizer="adam") for _ in range(2)
    ]  # fmt: skip
    nets[0].learning_rate, nets[1].learning_rate = 1e-6, 0.1
    fits = fit_many(nets, X, (y > 0) * 1, epochs=20, validation=0.3, metrics={"hits": "accuracy"})
    first, second = fits.values("val_hits")
    assert first < second
    assert fits.best("val_hits") == fits.best("hits") == 1
    assert fits.some([1, 0]).best("val_hits") == 0
    fits.save(tmp_path / "nets.safetensors")
    assert load_many(tmp_path / "nets.safetensors").best("val_hits") == 1


def test_the_best_needs_a_finite_value():
    fits = fit_many(networks(base(), n=2), X, y, validation=(X[:5] * 1e30, y[:5]))
    assert np.isinf(fits.values()).all()
    with pytest.raises(ValueError, match="no trained network has a finite 'val_loss', so none is"):
        fits.best()
    assert fits.best("loss") in (0, 1)


class Noting(Callback):
    """Adds values to the logs: those that a function returns for an epoch and a network."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, epoch, logs):
        logs.update(self.function(epoch, self.model))


def test_an_infinite_value_is_not_the_best():
    noting = Noting(lambda epoch, net: {"val_r2": np.inf if net.seed == 0 else 0.5})
    fits = fit_many(networks(base(), n=2), X, y, callbacks=[noting])
    assert fits.values("val_r2").tolist() == [np.inf, 0.5]
    assert fits.best("val_r2") == 1


@pytest.mark.parametrize("restores", [False, True])
def test_a_value_noted_in_some_epochs_is_not_taken_for_that_of_another(restores):
    rule = EarlyStopping("loss", patience=9, restore_best_weights=restores)
    noting = Noting(lambda epoch, net: {"every": epoch, **({"some": epoch} if epoch % 2 else {})})
    fits = fit_many([base()], X, y, epochs=7, callbacks=[noting, rule])
    assert fits.best_epochs == [6 if restores else None]
    assert fits.values("every").tolist() == [6]
    assert np.array_equal(fits.values("some"), [np.nan if restores else 5], equal_nan=True)


@pytest.mark.parametrize("chosen", [[False, True, True], np.array([False, True, True]), [1, -1],
                                    np.array([1, 2]), range(1, 3)])  # fmt: skip
def test_some_networks_are_chosen_by_numbers_or_a_mask(fits, chosen):
    assert [net.seed for net in fits.some(chosen)] == [1, 2]


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ([True], ValueError, "numbers has 1 boolean for 3 networks"),
        ([0, True], TypeError, "numbers must be numbers of networks, or a boolean for each"),
        ([1.5], TypeError, "numbers must be numbers of networks"),
        (1, TypeError, "numbers must be numbers of networks"),
        ([0, 3], IndexError, "numbers has 3, but there are 3 networks"),
    ],
)
def test_networks_that_cannot_be_chosen(fits, chosen, error, message):
    with pytest.raises(error, match=message):
        fits.some(chosen)


# ---- what a grid takes over ---------------------------------------------------------------------


def test_reprs_without_anything_to_list(fits):
    assert repr(fits.some([])) == "<Fits of 0 networks>"
    assert repr(fits.histories) == "<Histories of 3 networks>"
    assert repr(networks(base())) == "<1 Networks>"
    assert repr(networks(base(), n=2)) == "<2 Networks: 2 seeds>"


def test_networks_know_the_classes_and_columns_of_their_base():
    net = MLP(2, [Dense(2, "softmax")], loss="cross_entropy", optimizer="adam", seed=0)
    net.fit(np.eye(2), ["no", "yes"])
    net.feature_names = ("a", "b")
    grid = networks(net, n=2)
    assert [(one.classes, one.feature_names) for one in grid] == [(("no", "yes"), ("a", "b"))] * 2
    assert isinstance(fit_many(grid, np.eye(2), ["yes", "no"]), Fits)
    assert networks(net, layers=[[Dense(3, "softmax")]])[0].classes is None  # of another number


# ---- exits in callbacks -------------------------------------------------------------------------


class Raise(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, epoch, logs):
        raise self.error


def test_an_exit_in_a_callback_ends_the_process_and_is_not_lost():
    with pytest.raises(SystemExit, match="enough"):
        fit_many(networks(base(), n=4), X, y, callbacks=[Raise(SystemExit("enough"))], n_threads=2)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupt_in_a_callback_is_one_of_the_call(n_threads):
    nets = list(networks(base(), n=4))
    before = nets[1].get_flat_weights()
    fits = fit_many(nets, X, y, callbacks=lambda i: [Raise(KeyboardInterrupt())] if i == 1 else [],
                    n_threads=n_threads)  # fmt: skip
    assert fits.interrupted
    assert fits.statuses[1].kind == "not started"
    np.testing.assert_array_equal(nets[1].get_flat_weights(), before)


class Again(Callback):
    """Sends Ctrl-C in the second epoch, and again while the call waits for this thread."""

    def __init__(self, seen, is_told_again):
        self.seen, self.is_told_again = seen, is_told_again
        self.left = False

    def __deepcopy__(self, memory):
        return self

    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            main = threading.main_thread().ident
            signal.pthread_kill(main, signal.SIGINT)
            until(lambda: self.model.stop_training)
            if self.is_told_again:
                self.model.stop_training = False
            signal.pthread_kill(main, signal.SIGINT)
            until(lambda: len(self.seen) == 2 and self.model.stop_training)
            time.sleep(0.1)  # meanwhile a call that does not wait for this thread returns
            self.left = True


def one_thread():
    """Return an executor whose thread runs already.

    If Ctrl-C interrupts the start of the thread, concurrent.futures does not know the thread, and
    the interpreter waits for it forever at its end.
    """
    executor = ThreadPoolExecutor(1)
    executor.submit(int).result()
    return executor


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread need POSIX")
@pytest.mark.parametrize("make", [None, one_thread], ids=["threads", "executor"])
def test_a_second_ctrl_c_does_not_leave_a_thread_in_training(make, monkeypatch):
    executor = make and make()
    monkeypatch.setattr(executors, "_GRACE", 0.0)
    seen = []

    def handle(number, frame):
        seen.append(number)
        raise KeyboardInterrupt

    net, rule = base(), Again(seen, is_told_again=executor is None)
    before = signal.signal(signal.SIGINT, handle)
    try:
        fits = fit_many([net], X, y, epochs=2000, callbacks=[rule], n_threads=1, executor=executor)
    finally:
        signal.signal(signal.SIGINT, before)
    assert rule.left
    assert fits.interrupted
    assert fits.statuses[0].kind == "not started"
    assert net.step == 0
    net.fit(X, y)  # no other fit is in progress


def interrupt_and_wait(net):
    """Send Ctrl-C, and return when the call has told the network to stop."""
    net.stop_training = False
    _thread.interrupt_main()
    until(lambda: net.stop_training)


@pytest.mark.parametrize("name", ["options", "inputs"])
def test_ctrl_c_while_rows_are_prepared_is_not_lost(name, monkeypatch):
    """After `inputs` are asked for, the fit begins, which forgets an earlier request to stop."""
    nets, found = [base()], getattr(Members, name)

    def interrupted(members, *args):
        if threading.current_thread() is not threading.main_thread():
            interrupt_and_wait(nets[0])
        return found(members, *args) if callable(found) else found.fget(members)

    wrapped = interrupted if callable(found) else property(interrupted)
    monkeypatch.setattr(Members, name, wrapped)
    fits = fit_many(nets, X, y, epochs=3, callbacks=[Callback()])
    assert fits.interrupted
    assert fits.statuses[0].kind == "not started"
    assert nets[0].step == 0


class InLastEpoch(Callback):
    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if (self.epoch, batch) == (2, 0):
            interrupt_and_wait(self.model)


def test_a_last_epoch_that_ctrl_c_cuts_short_is_not_finished():
    fits = fit_many([base()], X, y, epochs=3, batch_size=8, callbacks=[InLastEpoch()])
    assert fits.interrupted
    assert fits.statuses[0].kind == "not started"
    assert fits[0].step == 0


# ---- files that training reads or writes --------------------------------------------------------


class SaveOver(Callback):
    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, epoch, logs):
        self.model.save(self.path)


@pytest.mark.parametrize("writer", [CSVLogger, SaveOver, ModelCheckpoint])
@pytest.mark.parametrize("options", [{"groups": np.arange(64) % 2}, {"rows": [range(9)] * 2}, {}])
def test_mapped_rows_are_not_overwritten(tmp_path, writer, options):
    path = str(tmp_path / "rows")
    np.asarray(X).tofile(path)
    mapped = np.memmap(path, np.float64, "r", shape=X.shape)
    with pytest.raises(ValueError, match="is read and would be lost"):
        fit_many(networks(base(), n=2), mapped, y, callbacks=lambda i: [writer(path)], **options)
    np.testing.assert_array_equal(mapped, X)


def test_a_refused_member_is_unchanged():
    layers = [Standardize(), Dense(4, "tanh"), Dense(2, "softmax")]
    net = MLP(3, layers, loss="cross_entropy", optimizer="adam", seed=0)
    labels = np.where(y > 0, "yes", "no")
    with pytest.raises(ValueError, match=r"^nets\[0\]: the logs have no 'val_loss'"):
        fit_many([net], X, labels, callbacks=lambda i: [EarlyStopping()])
    assert net.classes is None
    assert net.standardization is None


def test_copies_of_a_checkpoint_with_fields_would_replace_each_other(tmp_path):
    template = ModelCheckpoint(tmp_path / "net-{epoch}.safetensors")
    with pytest.raises(ValueError, match="callbacks would let all networks write to"):
        fit_many(networks(base(), n=2), X, y, callbacks=[template])
    assert not list(tmp_path.iterdir())


class ChangeFolder(Callback):
    def __init__(self, monkeypatch, folder):
        self.monkeypatch, self.folder = monkeypatch, folder

    def on_epoch_end(self, epoch, logs):
        self.monkeypatch.chdir(self.folder)


def test_relative_paths_are_relative_to_the_folder_at_the_beginning(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    change = ChangeFolder(monkeypatch, tmp_path / "elsewhere")
    base().fit(X, y, epochs=2, callbacks=[change, ModelCheckpoint("{{a}}-{epoch}.safetensors")])
    monkeypatch.chdir(tmp_path)
    fit_many(networks(base(), n=3), X, y, callbacks=lambda i: [change], checkpoint="nets",
             n_threads=1)  # fmt: skip
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["elsewhere", "nets", "{a}-1.safetensors", "{a}-2.safetensors"]
    assert not list((tmp_path / "elsewhere").iterdir())


# ---- rows that cannot be trained on, found before any network is trained ------------------------

LATE = np.where(np.arange(64) < 50, 1.0, 0.0)  # weights: the last rows do not count
REFUSED = {
    "a single row": (
        {"groups": np.append(np.zeros(63), 1.0), "validation": 0.2},
        r"validation=0.2 cannot split the only row of nets\[1\] \(group 1.0\); give at least two"),
    "a large fraction": (
        {"rows": [slice(9), slice(3)], "validation": 0.9},
        r"validation=0.9 leaves none of 3 rows of nets\[1\] to train on; lower it"),
    "no rest": (
        {"rows": [slice(9), slice(64)], "validation": "rest"}, r"rows of X for nets\[1\]"),
    "no weight": (
        {"rows": [slice(50), slice(50, 64)], "sample_weight": LATE},
        r"nets\[1\]: sample_weight is 0 for every training row"),
    "no weight for validation": (
        {"rows": [slice(50), None], "validation": 0.2, "sample_weight": LATE},
        r"nets\[1\]: sample_weight is 0 for every validation row"),
    "no weight in the rest": (
        {"rows": [slice(40), slice(50)], "validation": "rest", "sample_weight": LATE},
        r"nets\[1\]: sample_weight is 0 for every validation row"),
}  # fmt: skip


@pytest.mark.parametrize("metrics", [(), ["mae", lambda y, out: 0.0]])
@pytest.mark.parametrize("case", REFUSED)
def test_rows_of_every_network_are_checked_before_training(case, metrics, monkeypatch):
    monkeypatch.setattr(unattended, "_TOGETHER", 1)  # networks that the engine trains in one call
    options, message = REFUSED[case]
    nets = [base(), base()]
    with pytest.raises(ValueError, match=f"^.*{message}"):
        fit_many(nets, X, y, metrics=metrics, on_error="record", **options)
    assert [net.step for net in nets] == [0, 0]


def test_a_network_whose_class_weights_are_0_is_refused_as_by_its_own_fit():
    nets = [
        MLP(3, [Dense(1, "sigmoid")], loss="binary_cross_entropy", seed=0, optimizer="adam")
        for _ in range(2)
    ]
    labels = np.repeat([0.0, 1.0], 32)
    with pytest.raises(ValueError, match=r"nets\[1\]: class_weight .* 0 for every training row"):
        fit_many(nets, X, labels, rows=[None, slice(32)], class_weight={0: 0.0})
    assert [net.step for net in nets] == [0, 0]


# ---- data frames --------------------------------------------------------------------------------

FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
OTHER = FRAME[["c", "b", "a"]]


@pytest.mark.parametrize("options", [{}, {"callbacks": lambda i: [CSVLogger(os.devnull)]},
                                     {"executor": ThreadPoolExecutor(1)}])  # fmt: skip
def test_names_of_columns_are_those_of_its_own_fit(options):
    fits = fit_many(networks(base(), n=2), FRAME, y, validation=(FRAME, y), **options)
    assert [net.feature_names for net in fits] == [("a", "b", "c")] * 2
    with pytest.raises(ValueError, match="X has its columns in a different order than in fit"):
        fits.predict(OTHER)


def test_columns_in_another_order_are_refused():
    net = base()
    net.fit(FRAME, y)
    with pytest.raises(
        ValueError, match=r"than in fit; nets\[1\] takes X\[list\(nets\[1\].feature"
    ):
        fit_many([base(), net], OTHER, y)
    fresh = base()
    with pytest.raises(
        ValueError, match="validation X has its columns in a different order than X"
    ):
        fit_many([fresh], FRAME, y, validation=(OTHER, y))
    assert fresh.feature_names is None


@pytest.mark.parametrize("dtypes", [["float32"], ["float32", "float64"]])
def test_a_recipe_encodes_the_frame_as_in_its_own_fit(dtypes):
    frame = pd.DataFrame({"age": rng.integers(18, 90, 64), "city": rng.choice(["Bonn", "Ulm"], 64)})
    recipe, inputs, _ = tables.prepare(frame.assign(price=y), "price")

    def net_of(dtype):
        net = MLP(inputs.shape[1], [Dense(4, "tanh"), Dense(1)], loss="squared_error", seed=0,
                  optimizer="adam", dtype=dtype)  # fmt: skip
        recipe.attach(net)
        return net

    fits = fit_many(list(map(net_of, dtypes)), frame, y, epochs=2, validation=(frame, y))
    for net, dtype in zip(fits, dtypes, strict=True):
        twin = net_of(dtype)
        twin.fit(frame, y, epochs=2)
        np.testing.assert_array_equal(net.get_flat_weights(), twin.get_flat_weights())
        assert net.feature_names == twin.feature_names
    plain = MLP(inputs.shape[1], [Dense(1)], loss="squared_error", optimizer="adam")
    with pytest.raises(ValueError, match="nets have different recipes for data frames, or some"):
        fit_many([net_of("float32"), plain], frame, y)
