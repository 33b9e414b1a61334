"""The callback TensorBoard, with a writer that keeps what it is given, and with the real ones."""

import importlib
import sys
import types

import numpy as np
import pytest

from fastnn import MLP, Callback, Dense, ModelCheckpoint, TensorBoard

X = np.linspace(0, 1, 12, dtype=np.float32).reshape(6, 2)
Y = X.sum(axis=1)


class Writer:
    """A SummaryWriter in memory."""

    made = None  # a list in the class that the fixture derives

    def __init__(self, folder, purge_step=None):
        self.folder, self.purged, self.scalars, self.histograms = folder, purge_step, [], []
        self.is_open = True
        self.made.append(self)

    def add_scalar(self, tag, value, step):
        assert self.is_open
        self.scalars.append((tag, value, step))

    def add_histogram(self, tag, values, step):
        self.histograms.append((tag, values.shape, step))

    def flush(self):
        assert self.is_open

    def close(self):
        self.is_open = False


@pytest.fixture
def writers(monkeypatch):
    """The writers that were made."""
    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = type("Fresh", (Writer,), {"made": []})
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return module.SummaryWriter.made


def network():
    return MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)


def test_training_and_validation_have_folders_as_in_keras(writers, tmp_path):
    net, board = network(), TensorBoard(tmp_path)
    options = {"validation_data": (X, Y), "metrics": ["mae"], "callbacks": [board]}
    history = net.fit(X, Y, epochs=2, **options).history
    train, validation = writers
    assert train.folder == str(tmp_path / "train")
    assert validation.folder == str(tmp_path / "validation")
    names = ("loss", "mae")
    for writer, prefix in ((train, ""), (validation, "val_")):
        assert writer.scalars == [
            (f"epoch_{name}", history[prefix + name][i], i) for i in range(2) for name in names
        ]
        assert (writer.histograms, writer.purged, writer.is_open) == ([], None, False)


def test_histograms_of_the_weights(writers):
    network().fit(X, Y, epochs=5, callbacks=[TensorBoard(histogram_freq=2)])
    (train,) = writers
    assert train.folder.endswith("train")
    shapes = {"layers.0.W": (2, 3), "layers.0.b": (3,), "layers.1.W": (3, 1), "layers.1.b": (1,)}
    assert train.histograms == [
        (name, shape, epoch) for epoch in (0, 2, 4) for name, shape in shapes.items()
    ]


def test_folders_do_not_follow_the_working_directory(writers, tmp_path, monkeypatch):
    class Move(Callback):
        def on_epoch_begin(self, epoch, logs):
            monkeypatch.chdir(tmp_path.parent)

    monkeypatch.chdir(tmp_path)
    network().fit(X, Y, callbacks=[Move(), TensorBoard("runs")])
    (train,) = writers
    assert train.folder == str(tmp_path / "runs" / "train")


def test_files_are_closed_when_training_fails_and_opened_again(writers):
    class Failing(Callback):
        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("enough")

    board = TensorBoard()
    with pytest.raises(RuntimeError, match="enough"):
        network().fit(X, Y, callbacks=[board, Failing()])
    network().fit(X, Y, callbacks=[board])
    assert [(w.is_open, len(w.scalars)) for w in writers] == [(False, 1), (False, 1)]


def test_a_resumed_training_replaces_the_epochs_after_it(writers, tmp_path):
    path = tmp_path / "net"
    network().fit(X, Y, epochs=2, callbacks=[TensorBoard(), ModelCheckpoint(path)])
    callbacks = [TensorBoard(), ModelCheckpoint(path)]
    network().fit(X, Y, epochs=4, callbacks=callbacks, resume=path)
    assert [w.purged for w in writers] == [None, 2]
    assert [step for _, _, step in writers[1].scalars] == [2, 3]


def test_without_a_package(monkeypatch):
    for name in ("tensorboardX", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="TensorBoard needs tensorboardX, or PyTorch with tensor"):
        TensorBoard()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"histogram_freq": -1}, ValueError, "histogram_freq must be at least 0"),
        ({"log_dir": 3}, TypeError, "log_dir"),
        ({"update_freq": "batch"}, TypeError, "written after every epoch"),
    ],
)
def test_arguments(writers, options, error, match):
    with pytest.raises(error, match=match):
        TensorBoard(**options)


@pytest.mark.parametrize("module", ["tensorboardX", "torch.utils.tensorboard"])
def test_the_real_writers_write_event_files(module, tmp_path, monkeypatch):
    pytest.importorskip(module)
    if module != "tensorboardX":
        monkeypatch.setitem(sys.modules, "tensorboardX", None)
    board = TensorBoard(tmp_path, histogram_freq=1)
    network().fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=[board])
    assert board._kind is importlib.import_module(module).SummaryWriter
    for part in ("train", "validation"):
        (file,) = (tmp_path / part).iterdir()
        assert file.name.startswith("events.out.tfevents")
        assert b"epoch_loss" in file.read_bytes()
