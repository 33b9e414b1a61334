"""Exact resume: a fit that was stopped continues with the same bits.

A process is killed before a line of Python drawn at random, and another is stopped after every
epoch in turn. Weights, moments, counts, random state, history, callbacks and the log must then be
those of 20 undisturbed epochs. A checkpoint of another fit is refused before anything changes.

The fits are in resuming.py. Not here: that the file itself is always whole (test_safetensors.py).
"""

import csv
import json
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import resuming
from conditions import LONG
from resuming import CASES, EPOCHS, LABELS, X, Y, digest, fit

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    Callback,
    CosineDecay,
    Dense,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ModelFileError,
)
from fastnn.exchange import safetensors
from fastnn.training import rows as row_sources


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A function: the digest of a case's 20 epochs in one go, and how many they were."""
    known = {}

    def result(case):
        if case not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            found = fit(case, folder)
            known[case] = digest(*found, folder), len(found[2].epoch)
        return known[case]

    return result


def logged_epochs(folder):
    with open(folder / "log.csv", newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def run(*arguments):
    """Run resuming.py; return its exit code and the words that it prints."""
    command = [sys.executable, resuming.__file__, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=5 * LONG)
    return done.returncode, done.stdout.split()


ONCE = ("everything", "a rate that is lowered", "stopped early", "several threads")
LINES = 3000  # lines of Python in an epoch with its checkpoint: 1600 to 3500


@pytest.mark.parametrize(
    ("case", "times"),
    [*((case, 1) for case in ONCE), *(pytest.param(c, 20, marks=pytest.mark.slow) for c in CASES)],
)
def test_a_killed_fit_goes_on_as_if_it_had_not_been(case, times, undisturbed, tmp_path):
    """The line is drawn from any epoch of the last two thirds but the very last."""
    (wanted, n), chance = undisturbed(case), random.Random(f"{case} {times}")
    for i in range(times):
        folder = tmp_path / str(i)
        folder.mkdir()
        epoch = chance.randrange(n // 3, n - 1)
        code, lines = run(folder, case, epoch, chance.randrange(1, LINES))
        assert code == -signal.SIGKILL
        assert lines[epoch] == str(epoch)
        code, (first, *_, found) = run(folder, case)
        assert code == 0
        assert int(first) in (epoch, epoch + 1)
        assert logged_epochs(folder) == list(range(n))
        assert found == wanted


@pytest.mark.parametrize("hook", ["begin", "end"])
@pytest.mark.parametrize("case", CASES)
def test_a_fit_stopped_in_every_epoch_in_turn_is_one(case, hook, undisturbed, tmp_path):
    """At an epoch's end it is stopped before its checkpoint is written."""
    wanted, n = undisturbed(case)
    for epoch in range(n):
        with pytest.raises(OSError, match="stopped"):
            fit(case, tmp_path, (hook, epoch))
    with pytest.raises(OSError, match="stopped"):
        fit(case, tmp_path, ("train end",))
    assert logged_epochs(tmp_path) == list(range(n))
    assert digest(*fit(case, tmp_path), tmp_path) == wanted


@pytest.mark.parametrize("case", CASES)
def test_a_fit_that_was_done_returns_its_history_at_once(case, undisturbed, tmp_path, capsys):
    fit(case, tmp_path)
    again = fit(case, tmp_path, silent=False)
    assert capsys.readouterr().out == ""  # no epoch began
    assert digest(*again, tmp_path) == undisturbed(case)[0]


def test_the_case_that_stops_early_does_and_not_at_its_best(undisturbed, tmp_path):
    net, callbacks, history = fit("stopped early", tmp_path)
    assert len(history.epoch) < EPOCHS
    stop = next(c for c in callbacks if isinstance(c, EarlyStopping))
    assert stop.best_epoch == history.epoch[-1] - 3
    last = fastnn.load(tmp_path / "checkpoint")
    assert last.get_weights()[0].tobytes() != net.get_weights()[0].tobytes()


def test_more_patience_goes_on_after_an_early_stop(tmp_path):
    def run(patience):
        net, path = regressor(), tmp_path / "checkpoint"
        stop = EarlyStopping("loss", patience=patience, min_delta=1e9)
        history = net.fit(X, Y, epochs=9, callbacks=[stop, ModelCheckpoint(path)], resume=path)
        return len(history.epoch), stop.stopped_epoch

    assert run(2) == (3, 2)
    assert run(2) == (3, 2)
    assert run(4) == (5, 4)
    assert run(50) == (9, 0)


class Limit(Callback):
    """Ends a fit after an epoch."""

    def on_epoch_end(self, epoch, logs):
        self.model.stop_training = True


class Final(Limit):
    """Keeps that in its state."""

    has_ended = False

    def on_epoch_end(self, epoch, logs):
        self.has_ended = self.model.stop_training = True

    def on_train_begin(self, logs):
        self.model.stop_training |= self.has_ended

    def get_state(self):
        return {"has_ended": self.has_ended}

    def set_state(self, state):
        self.has_ended = state["has_ended"]


@pytest.mark.parametrize(("kind", "epochs"), [(Limit, [1, 2, 3, 3]), (Final, [1, 1, 1, 1])])
def test_a_fit_that_a_callback_ended_goes_on_unless_its_state_says_so(kind, epochs, tmp_path):
    path = tmp_path / "checkpoint"
    for n in epochs:
        net = regressor()
        history = net.fit(X, Y, epochs=3, callbacks=[kind(), ModelCheckpoint(path)], resume=path)
        assert len(history.epoch) == net.epoch == n


def test_rows_converted_on_the_way_go_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "LARGE_BYTES", 0)
    monkeypatch.setattr(row_sources, "BLOCK_BYTES", 4000)
    rows = X.astype(np.float16)

    def run(epochs, folder):
        net, path = regressor(), folder / "checkpoint"
        assert row_sources.is_large(rows, net.dtype)
        net.fit(rows, Y, epochs=epochs, callbacks=[ModelCheckpoint(path)], resume=path)
        return [w.tobytes() for w in net.get_weights()]

    (tmp_path / "whole").mkdir()
    run(2, tmp_path)
    assert run(5, tmp_path) == run(5, tmp_path / "whole")


def test_another_rate_in_the_script_yields_to_the_checkpoints(tmp_path):
    path = tmp_path / "checkpoint"
    one = regressor(SGD(0.05))
    one.fit(X, Y, epochs=1, callbacks=[ModelCheckpoint(path)])
    for epochs, rate, shown in ((2, 0.01, "0.01"), (3, CosineDecay(0.1, 9), "CosineDecay")):
        other = regressor(SGD(rate))
        with pytest.warns(UserWarning, match=f"learning_rate=0.05, not {shown}") as caught:
            other.fit(X, Y, epochs=epochs, callbacks=[ModelCheckpoint(path)], resume=path)
        assert other.learning_rate == 0.05
        assert [each.filename for each in caught] == [__file__]
    again = regressor(SGD(0.05))
    again.fit(X, Y, epochs=4, callbacks=[ModelCheckpoint(path)], resume=path)
    assert again.epoch == 4


def test_a_rate_that_a_callback_sets_is_no_other_rate(tmp_path):
    path = tmp_path / "checkpoint"
    for epochs in (1, 2, 3):
        net = regressor(SGD(0.05))
        kept = [LearningRateScheduler(lambda epoch, rate: rate / 2), ModelCheckpoint(path)]
        net.fit(X, Y, epochs=epochs, callbacks=kept, resume=path)
    assert net.learning_rate == 0.05 / 8


# ---- what cannot be resumed ---------------------------------------------------------------------


def regressor(optimizer="adam", units=8, n_in=12, **options):
    return MLP(n_in, [Dense(units, "tanh"), Dense(2)], loss="squared_error", optimizer=optimizer,
               **{"seed": 1, **options})  # fmt: skip


class Sum(Callback):
    """Keeps a state that it checks."""

    total = 0.0

    def on_epoch_end(self, epoch, logs):
        self.total += logs["loss"]

    def get_state(self):
        return {"total": self.total}

    def set_state(self, state):
        self.total = state["total"]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoint"
    callbacks = [EarlyStopping("loss", patience=9), Sum(), ModelCheckpoint(path)]
    regressor().fit(X, Y, epochs=2, batch_size=50, callbacks=callbacks)
    return path


def attempt(path, net=None, rows=slice(None), callbacks=None, **options):
    """Resume a fit like that of the fixture but for what is given; return network and callbacks."""
    net = regressor() if net is None else net
    if callbacks is None:
        callbacks = [EarlyStopping("loss", patience=9), Sum(), ModelCheckpoint(path)]
    y = Y if net.n_out == 2 else LABELS
    options = {"batch_size": 50, "epochs": 3, "resume": path, **options}
    return net, callbacks, lambda: net.fit(X[rows, : net.n_in], y[rows], callbacks=callbacks,
                                           **options)  # fmt: skip


def wide(path):
    return attempt(path, regressor(units=9))


CALLBACKS = "other callbacks|a fit with . callbacks?, not"
REFUSED = {
    "other units": (wide, r"another network: its layers\[0\].units is 8, not 9"),
    "other inputs": (lambda p: attempt(p, regressor(n_in=11)), "another network: its n_in is 12"),
    "another optimizer": (lambda p: attempt(p, regressor("sgd")), "its optimizer.name is 'adam'"),
    "another momentum": (
        lambda p: attempt(p, regressor(Adam(beta_1=0.8))), "its optimizer.beta_1 is 0.9, not 0.8"),
    "another loss": (
        lambda p: attempt(p, MLP(12, [Dense(8, "tanh"), Dense(2)], loss="huber", optimizer="adam")),
        "its loss.name is 'squared_error'"),
    "another dtype": (lambda p: attempt(p, regressor(dtype="float64")), "its dtype is 'float32'"),
    "a sum": (lambda p: attempt(p, regressor(reduction="sum")), "its reduction is 'mean'"),
    "fewer rows": (lambda p: attempt(p, rows=slice(1400)), "samples=1500, not 1400"),
    "rows for validation": (lambda p: attempt(p, validation_split=0.5), "samples=1500, not 750"),
    "another batch size": (lambda p: attempt(p, batch_size=49), "batch_size=50, not 49"),
    "full batches": (lambda p: attempt(p, batch_size=None), "batch_size=50, not 1500"),
    "metrics": (
        lambda p: attempt(p, metrics=["mae"]), r"logs=\['loss'\], not \['loss', 'mae'\]; pass"),
    "rows for validation of their own": (
        lambda p: attempt(p, validation_data=(X, Y)), r"not \['loss', 'val_loss'\]; pass"),
    "weights": (
        lambda p: attempt(p, sample_weight=np.ones(1500)), "weights=False, not True; pass sample"),
    "no shuffling": (lambda p: attempt(p, shuffle=False), "shuffle=True, not False"),
    "no callbacks": (lambda p: attempt(p, callbacks=[]), "3 callbacks, not 0"),
    "a callback less": (
        lambda p: attempt(p, callbacks=[EarlyStopping("loss"), ModelCheckpoint(p)]),
        "3 callbacks, not 2"),
    "other callbacks": (
        lambda p: attempt(p, callbacks=[Sum(), Sum(), ModelCheckpoint(p)]), "other callbacks"),
    "callbacks in another order": (
        lambda p: attempt(p, callbacks=[EarlyStopping("loss"), ModelCheckpoint(p), Sum()]),
        "other callbacks"),
}  # fmt: skip


def everything(net, callbacks):
    now = net._state.snapshot()
    random = now.shuffler, now.dropout_seed
    arrays = [w.tobytes() for block in now.blocks for w in block]
    counts = now.step, now.epoch
    return arrays, counts, random, [vars(c).copy() for c in callbacks], net.learning_rate


@pytest.mark.parametrize("case", REFUSED)
def test_a_checkpoint_of_something_else_is_refused(case, checkpoint):
    begin, fragment = REFUSED[case]
    net, callbacks, resume = begin(checkpoint)
    before, content = everything(net, callbacks), checkpoint.read_bytes()
    with pytest.raises(ValueError, match=fragment) as caught:
        resume()
    message = str(caught.value)
    assert str(checkpoint) in message
    assert "remove the file to start over" in message
    assert everything(net, callbacks) == before
    assert checkpoint.read_bytes() == content
    net.fit(X[:9, : net.n_in], Y[:9])  # as though nothing had been


class Refusing(Callback):
    def on_train_begin(self, logs):
        raise ValueError("refused")


def test_a_resumed_fit_that_a_callback_refuses_leaves_the_network_unchanged(checkpoint):
    kept = [EarlyStopping("loss", patience=9), Refusing(), ModelCheckpoint(checkpoint)]
    net, _, resume = attempt(checkpoint, callbacks=kept)
    before = everything(net, [])
    with pytest.raises(ValueError, match="refused"):
        resume()
    assert everything(net, []) == before


def test_what_is_like_the_checkpoint_is_resumed(checkpoint):
    net, callbacks, resume = attempt(checkpoint)
    assert resume().epoch == [0, 1, 2]
    assert net.step == 90
    assert callbacks[1].total > 0


def test_the_state_of_a_callback_is_set_once(tmp_path):
    class Losses(Callback):
        def __init__(self):
            self.losses = []

        def on_epoch_end(self, epoch, logs):
            self.losses.append(logs["loss"])

        def get_state(self):
            return {"losses": self.losses}

        def set_state(self, state):
            self.losses += state["losses"]  # changes the list of a shallow copy, too

    path = tmp_path / "checkpoint"
    for epochs in (2, 4):
        losses = Losses()
        history = regressor().fit(
            X, Y, epochs=epochs, callbacks=[losses, ModelCheckpoint(path)], resume=path
        )
    assert losses.losses == history.history["loss"]


def test_a_checkpoint_of_an_older_version_is_resumed(checkpoint):
    """Such a file does not say which logs, weights and learning rate its fit had."""
    tensors, metadata = safetensors.read(str(checkpoint))
    state = json.loads(metadata["fit"])
    for name in ("logs", "weights", "learning_rate"):
        del state[name]
    safetensors.write(str(checkpoint), tensors, {**metadata, "fit": json.dumps(state)})
    _, _, resume = attempt(checkpoint, regressor(Adam(0.5)), sample_weight=np.ones(1500))
    assert resume().epoch == [0, 1, 2]


def test_a_network_saved_outside_of_a_fit_is_no_checkpoint(tmp_path):
    net = regressor()
    net.fit(X, Y)
    net.save(tmp_path / "net")
    fresh, callbacks, resume = attempt(tmp_path / "net")
    before = everything(fresh, callbacks)
    with pytest.raises(ValueError, match=r"saved outside of fit.*use fastnn\.load and fit"):
        resume()
    assert everything(fresh, callbacks) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04" + bytes(100)], ids=str)
def test_what_is_no_model_file_is_refused_as_a_checkpoint(content, tmp_path):
    (tmp_path / "net").write_bytes(content)
    net, callbacks, resume = attempt(tmp_path / "net")
    before = everything(net, callbacks)
    with pytest.raises(ModelFileError, match="is not a model file"):
        resume()
    assert everything(net, callbacks) == before
    assert (tmp_path / "net").read_bytes() == content


def test_a_checkpoint_cut_short_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    net, callbacks, resume = attempt(checkpoint)
    before = everything(net, callbacks)
    with pytest.raises(ModelFileError, match="was damaged"):
        resume()
    assert everything(net, callbacks) == before


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(OSError, match="directory"):
        attempt(tmp_path)[2]()


@pytest.mark.parametrize("path", [3, b"net", ["net"], True], ids=str)
def test_resume_is_a_path(path):
    net = regressor()
    with pytest.raises(TypeError, match="resume must be a str or a path"):
        net.fit(X, Y, resume=path)
    assert net.step == 0


def test_without_a_file_a_fit_begins(tmp_path):
    net, twin = regressor(), regressor()
    resumed = net.fit(X, Y, epochs=2, resume=tmp_path / "nothing")
    assert isinstance(resumed, History)
    assert resumed.history == twin.fit(X, Y, epochs=2).history
    assert not (tmp_path / "nothing").exists()


def test_a_network_in_use_is_replaced_by_the_checkpoints(checkpoint):
    net, _, resume = attempt(checkpoint)
    net.fit(X, Y, epochs=3)
    fresh, _, again = attempt(checkpoint)
    histories = resume().history, None
    checkpoint_of_three = checkpoint.read_bytes()
    assert fastnn.load(checkpoint).step == 90
    assert again().history == histories[0]
    assert checkpoint.read_bytes() == checkpoint_of_three
    assert [w.tobytes() for w in net.get_weights()] == [w.tobytes() for w in fresh.get_weights()]
