"""Trainings that end early: non-finite losses, Ctrl-C, exceptions.

Tests that a non-finite loss raises an error that names its step and restores weights from before
it; that no fit ends silently with a network that predicts NaN; that Ctrl-C ends any call within 200
ms, counted as work (the time itself is a slow test); and that an exception during training leaves
the network usable after its last complete step, and files closed.

Not here: bad arguments (test_bad_input.py), resumed fits (test_resume.py).
"""

import itertools
import json
import re
import subprocess
import sys

import interrupting
import numpy as np
import pytest
from comparing import sha256
from conditions import LONG, SignalChecks

from fastnn import (
    MLP,
    SGD,
    Adagrad,
    Adam,
    Adaptive,
    Callback,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    ModelCheckpoint,
    RMSProp,
    Standardize,
    TerminateOnNaN,
    load,
    losses,
)

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((60, 6)), RNG.standard_normal((60, 2))
SAID = re.compile(
    r"the loss became (nan|inf|-inf|-nan) (in epoch (\d+), step (\d+)|after epoch (\d+)): "
    r"(no update has been made|"
    r"the network was restored to its weights from (\d+) updates? earlier, .*)"
    r"; (lower the learning rate \(now [\d.e+-]+\), clip the gradients .* or )?scale X and y"
)


def targets_of(net, n=60):
    kind = losses.get(net.loss).targets
    y = np.resize(Z, (n, 2))
    return {"class": np.arange(n) % 2, "real": y}.get(kind, (y > 0).astype(float))


def network(loss="squared_error", output="identity", hidden=20, optimizer=None, **options):
    optimizer = SGD(1e6) if optimizer is None else optimizer
    return MLP(6, [Dense(hidden, "relu"), Dense(2, output)], loss=loss, optimizer=optimizer,
               **{"seed": 0, "n_threads": 1, **options})  # fmt: skip


def bits(net):
    blocks = [net._network.read(block) for block in range(net._network.n_blocks)]
    return [w.tobytes() for block in blocks for w in block]


def finite(net):
    return all(np.isfinite(w).all() for w in net.get_weights())


def batches_of(X, y, batch_size):
    return [(X[i : i + batch_size], y[i : i + batch_size]) for i in range(0, len(X), batch_size)]


def diverges(net, X, y, **options):
    """Check that a fit fails as it says, and that its step is right; return the message's match.

    A twin that makes the steps one by one finds the first loss that isn't finite at that step, and
    has the weights that are kept at the step that the network was restored.
    """
    twin = net.copy()
    with pytest.raises(FloatingPointError) as caught:
        net.fit(X, y, shuffle=False, **options)
    said = SAID.fullmatch(str(caught.value))
    assert said, str(caught.value)
    assert finite(net)
    made, at_kept = itertools.count(), None
    try:
        for epoch in range(1, options["epochs"] + 1):
            step = 0
            for batch in batches_of(X, y, options["batch_size"] or len(X)):
                step += 1
                if twin.step == net.step:
                    at_kept = sha256(twin)
                twin.train_on_batch(*batch)
                next(made)
            found = f"after epoch {epoch}"
    except FloatingPointError:
        found = f"in epoch {epoch}, step {step}"
    else:  # the last update did it, which no step sees
        assert not np.isfinite(twin.evaluate(X, y))
    assert said[2] == found
    assert sha256(net) == at_kept
    made = next(made)
    assert net.step == made - int(said[7] or 0)
    assert (said[7] is None) == (made == 0)
    assert (said[8] is None) == (made == net.step == 0)  # a rate that no update used is no cause
    return said


def goes_on(net, X, y):
    """Check that a network can be trained once its learning rate is reasonable."""
    net.learning_rate = 1e-3
    before = net.evaluate(X, y)
    net.fit(X, y, epochs=20, batch_size=None)
    return np.isfinite(before) and np.isfinite(net.predict(X)).all() and net.evaluate(X, y) < before


# ---- divergence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [4, 20])  # a tiny network's path, and the others'
@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_a_rate_of_a_million_is_an_error_that_names_its_step(batch_size, hidden, dtype):
    net = network(hidden=hidden, dtype=dtype)
    diverges(net, X, Z, batch_size=batch_size, epochs=100)
    assert goes_on(net, X, Z)


OPTIMIZERS = [
    SGD,
    Adagrad,
    RMSProp,
    Adam,
    lambda rate: SGD(rate, momentum=0.9),
    lambda rate: SGD(rate, use_ema=True),
    lambda rate: SGD(rate, clipnorm=1.0),
    lambda rate: Adam(rate, use_ema=True),
    lambda rate: Adam(rate, amsgrad=True),
]


# Optimizers, batch sizes, epochs, hidden units: of a tiny network's path, and of the others'.
FEW = [*itertools.product(OPTIMIZERS[:1], [16, None], [1, 2], [20]), (SGD, 1, 1, 4),
       (Adam, None, 1, 20)]  # fmt: skip
MANY = [*itertools.product(OPTIMIZERS, [16, None], [1, 2], [20]),
        *itertools.product(OPTIMIZERS[:4], [1], [1, 2], [4])]  # fmt: skip


@pytest.mark.parametrize("fits", [FEW, pytest.param(MANY, marks=pytest.mark.slow)],
                         ids=["few", "many"])  # fmt: skip
@pytest.mark.parametrize(("rate", "scale"), [(1e-3, 1e15), (1e-3, 1e30), (1e6, 1.0), (1e30, 1.0)])
def test_no_fit_that_ends_without_an_error_predicts_nan(pair, rate, scale, fits):
    loss, output = pair
    for build, batch_size, epochs, hidden in fits:
        net = network(loss, output, hidden, build(rate))
        rows, y = X * scale, targets_of(net)
        try:
            net.fit(rows, y, batch_size=batch_size, epochs=epochs)
            message = None
        except FloatingPointError as error:
            message = str(error)
        assert finite(net)
        if message is not None:
            said = SAID.fullmatch(message)
            assert said, message
            assert net.step == 0 or said[7] is not None
        else:
            assert np.isfinite(net.predict(rows)).all()
            assert np.isfinite(net.evaluate(rows, y))


@pytest.mark.parametrize("hidden", [4, 20])
@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_inputs_of_1e30_are_an_error_in_the_first_step(batch_size, hidden):
    net = network(hidden=hidden, optimizer="adam")
    before = bits(net)
    said = diverges(net, X * 1e30, Z, batch_size=batch_size, epochs=3)
    assert said[0].startswith("the loss became inf in epoch 1, step 1: no update has been made")
    assert bits(net) == before
    assert goes_on(net, X, Z)


@pytest.mark.parametrize("row", [0, 30, 59])
@pytest.mark.parametrize("hidden", [4, 20])
def test_the_row_that_causes_divergence_is_found_in_its_step(row, hidden):
    """The row becomes large in the second epoch."""

    class Poison(Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 1:
                rows[row] *= 1e30

    rows = X.astype(np.float32)
    net = network(hidden=hidden, optimizer=SGD(1e-4))
    with pytest.raises(FloatingPointError, match=rf"in epoch 2, step {row + 1}: ") as caught:
        net.fit(rows, Z, batch_size=1, epochs=3, shuffle=False, callbacks=[Poison()])
    dropped = int(SAID.fullmatch(str(caught.value))[7])
    assert net.step == 60 + row - dropped
    twin = network(hidden=hidden, optimizer=SGD(1e-4))
    twin.fit(X, Z, batch_size=1, shuffle=False)
    if net.step > 60:
        twin.fit(X[: net.step - 60], Z[: net.step - 60], batch_size=1, shuffle=False)
    elif net.step < 60:
        twin = network(hidden=hidden, optimizer=SGD(1e-4))
        for i in range(net.step):
            twin.train_on_batch(X[i : i + 1], Z[i : i + 1])
    assert sha256(net) == sha256(twin)


def test_a_loss_that_is_not_finite_after_the_last_update_is_found():
    net = network(optimizer=SGD(1e30))
    said = diverges(net, X, Z, batch_size=None, epochs=1)
    assert said[5] == "1"
    assert net.step == 0


def test_a_divergence_is_the_same_with_any_callbacks():
    """The engine tries the weights after each epoch for EarlyStopping; their loss is finite."""
    messages = []
    for callbacks in ([], [EarlyStopping("loss", patience=99)], [Callback()]):
        net = MLP(3, [Dense(5, "relu"), Dense(1)], loss="squared_error", optimizer=SGD(1.0), seed=0)
        with pytest.raises(FloatingPointError) as error:
            net.fit(X[:40, :3], Z[:40, :1], batch_size=7, epochs=60, callbacks=callbacks)
        messages.append(str(error.value).partition(": the network")[0])
        assert "lower the learning rate" in str(error.value)
    assert len(set(messages)) == 1


def test_no_checkpoint_is_written_after_an_epoch_that_diverged(tmp_path):
    net, path = network(optimizer=SGD(1e30)), tmp_path / "net"
    with pytest.raises(FloatingPointError, match="after epoch 1: the network was restored"):
        net.fit(X, Z, batch_size=None, epochs=5, callbacks=[ModelCheckpoint(path)])
    assert not path.exists()


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_weights_that_are_kept_do_not_depend_on_the_threads(loss, threads):
    def fitted(n):
        net = MLP(70, [Dense(130, "relu", l2=1e-4), Dropout(0.2), Dense(90), Dense(2)], loss=loss,
                  optimizer=SGD(30.0), seed=0, n_threads=n)  # fmt: skip
        rows = np.random.default_rng(0).standard_normal((900, 70))
        with pytest.raises(FloatingPointError) as caught:
            net.fit(rows, rows[:, :2], batch_size=100, epochs=100)
        return sha256(net), net.step, str(caught.value)

    assert fitted(threads) == fitted(4)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("row", [3, 1030, 2600])
def test_a_loss_that_is_not_finite_is_found_in_any_round_of_a_batch(row, threads):
    """No part of its update is made: the gradients of the rounds before are dropped."""
    rows, y = np.resize(X, (2700, 6)), np.resize(Z, (2700, 2))
    rows = np.concatenate([rows, rows])
    rows[2700 + row] *= 1e30
    y = np.concatenate([y, y])
    net = MLP(6, [Dense(130, "relu"), Dense(90, "relu"), Dense(2)], loss="squared_error",
              optimizer=Adam(1e-3), seed=0, n_threads=threads)  # fmt: skip
    twin = net.copy()
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 2: .* from 1 update earlier"):
        net.fit(rows, y, batch_size=2700, shuffle=False)
    assert sha256(net) == sha256(twin)  # of the loss that is known: before step 1
    twin.train_on_batch(rows[:2700], y[:2700])
    before = bits(twin)
    with pytest.raises(FloatingPointError, match="the loss became inf, so no update was made"):
        twin.train_on_batch(rows[2700:], y[2700:])
    assert (bits(twin), twin.step) == (before, 1)


@pytest.mark.parametrize("hidden", [4, 20])
@pytest.mark.parametrize("weighted", [False, True])
def test_train_on_batch_changes_nothing_if_the_loss_is_not_finite(hidden, weighted):
    net = network(hidden=hidden, optimizer=Adam(0.01))
    net.train_on_batch(X, Z)
    before, random = bits(net), net._state.shuffler.state
    weight = np.ones(60) if weighted else None
    said = r"the loss became inf, so no update was made; lower the learning rate \(now 0.01\), clip"
    for rows in (X * 1e30, (X * 1e30).astype(np.float32)):
        with pytest.raises(FloatingPointError, match=said):
            net.train_on_batch(rows, Z.astype(rows.dtype), weight)
    assert (bits(net), net.step) == (before, 1)
    assert net._state.shuffler.state == random
    assert goes_on(net, X, Z)


def with_weights_of(size, **penalty):
    net = MLP(6, [Dense(20, "tanh", **penalty), Dense(2)], loss="squared_error", seed=0,
              optimizer=SGD(1e-3), n_threads=1)  # fmt: skip
    weights = net.get_weights()
    weights[0][...] = size
    net.set_weights(weights)
    return net


@pytest.mark.parametrize("batch_size", [1, 20, None])
@pytest.mark.parametrize("penalty", [{"l2": 1.0}, {"l1": 3e38}])
def test_overflowing_penalties_are_a_non_finite_loss(penalty, batch_size):
    net = with_weights_of(1e25, **penalty)
    assert not np.isfinite(net.evaluate(np.zeros((60, 6)), Z))
    with pytest.raises(FloatingPointError, match=r"the loss became inf in epoch 1, step [12]:"):
        net.fit(np.zeros((60, 6)), Z, batch_size=batch_size)  # step 1's, known after its update
    assert finite(net)
    with pytest.raises(FloatingPointError, match="the loss became inf"):
        net.train_on_batch(np.zeros((60, 6)), Z)
    assert finite(net)


@pytest.mark.parametrize("plain", [False, True], ids=["converted", "as it is"])
def test_penalties_alone_that_overflow_have_a_message_of_their_own(plain):
    """They are computed after the update, so one update was made."""
    net = with_weights_of(1e25, l2=1.0)
    rows = [np.zeros((60, 6)), Z]
    with pytest.raises(FloatingPointError) as caught:
        net.train_on_batch(*(array.astype("f4") if plain else array for array in rows))
    assert net.step == 1
    assert str(caught.value) == (
        "the loss became inf because of its penalties alone, which are computed after the update; "
        "lower l1 and l2, or set smaller weights"
    )


def test_tiny_sample_weights_that_divide_penalties_are_named():
    net = MLP(6, [Dense(20, "tanh", l2=0.1), Dense(2)], loss="squared_error", optimizer="sgd",
              scale_penalties=True, seed=0)  # fmt: skip
    with pytest.raises(
        FloatingPointError, match="or scale sample_weight up, since its sum divides"
    ):
        net.copy().train_on_batch(X, Z, np.full(60, 1e-42))
    said = r"epoch 1, step 1: the network was restored .*; lower l1 and l2, .* scale sample_weight"
    with pytest.raises(FloatingPointError, match=said):
        net.fit(X, Z, sample_weight=np.full(60, 1e-42))
    assert (net.step, finite(net)) == (0, True)


def test_large_sample_weights_of_a_sum_are_named():
    net = network(reduction="sum")
    said = "or scale X, y and sample_weight"
    with pytest.raises(FloatingPointError, match=said):
        net.fit(X, Z, sample_weight=np.full(60, 3e38))


def test_terminate_on_nan_makes_it_a_warning():
    net = network(optimizer=SGD(10.0))
    ended = []

    class End(Callback):
        def on_train_end(self, logs):
            ended.append(True)

    with pytest.warns(RuntimeWarning) as caught:
        history = net.fit(X, Z, epochs=500, callbacks=[TerminateOnNaN(), End()])
    assert SAID.fullmatch(str(caught[0].message))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert 0 <= len(history.epoch) < 500
    assert all(map(np.isfinite, history.history.get("loss", [])))
    assert ended == [True]
    assert finite(net)
    assert np.isfinite(net.predict(X)).all()
    assert goes_on(net, X, Z)


def test_a_moving_average_restarts_from_the_restored_weights():
    class Leap(Callback):
        def on_epoch_begin(self, epoch, logs):
            self.model.learning_rate = 1e-3 if epoch < 150 else 1e6

    net = network(optimizer=SGD(1e-3, momentum=0.5, use_ema=True))
    with pytest.raises(FloatingPointError, match=r"epoch 15\d.*: the network was restored"):
        net.fit(X, Z, epochs=300, callbacks=[Leap()])
    assert net.step > 0  # before the first there is no average
    for average, weight in zip(net.get_ema_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(average, weight)
    assert not any(m.any() for m in net._network.read(1))


def test_a_network_that_diverged_can_be_saved(tmp_path):
    net = network(optimizer=Adam(1e30))
    with pytest.raises(FloatingPointError):
        net.fit(X, Z, epochs=50)
    net.save(tmp_path / "net")
    assert sha256(load(tmp_path / "net")) == sha256(net)


@pytest.mark.parametrize("source", ["iterable", "batch hooks", "standardized"])
def test_divergence_is_found_for_every_source_of_rows(source):
    class Hooks(Callback):
        def on_train_batch_end(self, batch, logs):
            assert np.isfinite(logs["loss"])

    net, options = network(optimizer=SGD(1e6)), {"epochs": 50}
    if source == "standardized":
        net = MLP(6, [Standardize(), Dense(20, "relu"), Dense(2)], loss="squared_error",
                  optimizer=SGD(1e6), seed=0)  # fmt: skip
    arrays = ([(X[:30], Z[:30]), (X[30:], Z[30:])],) if source == "iterable" else (X, Z)
    if source == "batch hooks":
        options["callbacks"] = [Hooks()]
    with pytest.raises(FloatingPointError) as caught:
        net.fit(*arrays, **options)
    assert SAID.fullmatch(str(caught.value))
    assert finite(net)


# ---- Ctrl-C -------------------------------------------------------------------------------------

COUNTED = [*itertools.product(("rows one by one, wide", "batches", "one long batch", "evaluate",
                            "rows of one long batch", "train_on_batch", "predict"), (1, 2)),
        ("rows one by one", 1), ("predict from bytes", 2), ("an iterable", 1)]  # fmt: skip


@pytest.mark.parametrize(("case", "threads"), COUNTED)
def test_ctrl_c_ends_all_kinds_of_work_at_the_next_check(case, threads):
    """SIGINT arrives just after a check for signals, so until the next check is longest."""
    case = interrupting.CASES[case](threads)
    twin, done = case.net.copy(), set()

    def is_under_way(progress):
        done.add(progress)
        return len(done) == 4

    with SignalChecks(case.progress, is_under_way) as checks, pytest.raises(KeyboardInterrupt):
        case.work()
    between = np.diff([0, *checks.seen, case.progress()])
    assert 0 < between.max() <= case.most
    assert case.replay is not None or case.net.step == 0  # a long step is given up
    assert interrupting.whole_and_usable(case, twin) == (True, True)


@pytest.mark.slow  # it measures a time, on an idle machine
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", interrupting.CASES)
def test_ctrl_c_is_seen_within_200_ms(case, threads):
    """In the best of three attempts."""
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, interrupting.__file__, case, str(threads)],
                              capture_output=True, text=True, timeout=LONG)  # fmt: skip
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["whole"], result
        assert result["usable"], result
        seconds.append(result["seconds"])
        if seconds[-1] <= 0.2:
            break
    print(case, threads, seconds, result["steps"])
    assert min(seconds) <= 0.2


# ---- whatever else raises -----------------------------------------------------------------------


class Raising(Callback):
    """Raises in one of its hooks, at its second call where there is one."""

    def __init__(self, hook):
        self.calls, self.closed = 0, 0

        def fail(*_):
            self.calls += 1
            if self.calls == 2 or hook in ("on_train_begin", "on_train_end", "close"):
                raise LookupError(hook)

        if hook.startswith("on_train_batch"):
            self.__class__ = type("Batches", (Raising,), {hook: fail})
        else:
            setattr(self, hook, fail)

    def close(self):
        self.closed += 1


class Closing(Callback):
    closed = 0

    def close(self):
        self.closed += 1


HOOKS = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin",
         "on_train_batch_end", "on_progress", "close"]  # fmt: skip


def is_at_a_whole_step(net, rows=X, batch_size=16):
    """Return whether a network equals a new one after as many steps as it has counted."""
    twin, batches = network(optimizer=Adam(0.01)), itertools.cycle(batches_of(rows, Z, batch_size))
    for batch in itertools.islice(batches, net.step):
        twin.train_on_batch(*batch)
    return bits(net) == bits(twin)


@pytest.mark.parametrize("last", [False, True], ids=["before the others", "after them"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_leaves_a_whole_step_and_files_closed(hook, last, tmp_path):
    net, raising = network(optimizer=Adam(0.01)), Raising(hook)
    others = [log := CSVLogger(tmp_path / "log.csv"), Closing(), ModelCheckpoint(tmp_path / "net")]
    callbacks = [*others, raising] if last else [raising, *others]
    with pytest.raises(LookupError, match=hook):
        net.fit(X, Z, batch_size=16, epochs=3, shuffle=False, callbacks=callbacks)
    assert log._file is None
    assert others[1].closed == 1
    assert raising.closed == (hook != "close")
    steps = {"on_train_begin": 0, "on_train_batch_begin": 1, "on_train_batch_end": 2,
             "on_epoch_begin": 4, "on_epoch_end": 8, "on_train_end": 12, "close": 12}  # fmt: skip
    assert net.step == steps.get(hook, net.step)
    assert is_at_a_whole_step(net)
    net.fit(X, Z)
    assert np.isfinite(net.predict(X)).all()


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_while_closing_keeps_the_one_before(kind):
    class Fail(Callback):
        def on_epoch_end(self, epoch, logs):
            raise kind

        def close(self):
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full") as error:
        network(optimizer=SGD(1e-5)).fit(X, Z, callbacks=[Fail()])
    assert type(error.value.__context__) is kind


def test_an_error_before_the_first_update_leaves_the_adapted_rate():
    class Fail(Callback):
        def on_train_begin(self, logs):
            self.model.learning_rate = 0.5
            raise LookupError

    net = network(optimizer=SGD(Adaptive(1e-5, tol=1e9, patience=1)))
    net.fit(X, Z, epochs=3)
    rate, adapted = net.learning_rate, net._state.adapted
    assert rate < 1e-5
    with pytest.raises(LookupError):
        net.fit(X, Z, callbacks=[Fail()])
    assert (net.learning_rate, net._state.adapted) == (rate, adapted)


@pytest.mark.parametrize("form", ["in memory", "batches"])
def test_a_fit_that_is_ended_at_the_beginning_of_an_epoch_trains_that_epoch(form):
    class Stop(Callback):
        def on_epoch_begin(self, epoch, logs):
            self.model.stop_training = epoch == 1

    batches = [(X[i : i + 8], Z[i : i + 8]) for i in range(0, 40, 8)]
    data = batches if form == "batches" else (X[:40], Z[:40])
    net = network(optimizer=SGD(1e-5))
    if form == "batches":
        history = net.fit(data, epochs=9, callbacks=[Stop()])
    else:
        history = net.fit(*data, batch_size=8, epochs=9, callbacks=[Stop()])
    assert (net.step, net.epoch, len(history.epoch)) == (10, 2, 2)


def test_a_hook_for_divergence_that_raises_leaves_the_weights_kept():
    class Raise(Callback):
        def on_nonfinite_loss(self, error):
            raise LookupError("of the hook") from error

    net, closing = network(), Closing()
    with pytest.raises(LookupError, match="of the hook"):
        net.fit(X, Z, epochs=50, callbacks=[Raise(), closing])
    assert finite(net)
    assert closing.closed == 1
    assert goes_on(net, X, Z)


def failing(where, error):
    """Return arguments of fit with a metric, iterable or hook that raises the given error."""

    def fail(*_):
        raise error

    class Failing(Callback):
        pass

    def batches():
        yield X, Z
        fail()

    if where == "metric":
        return {"X": X, "y": Z, "metrics": [fail]}
    if where == "iterable":
        return {"X": batches()}
    setattr(Failing, where, fail)
    return {"X": X, "y": Z, "callbacks": [Failing()]}


@pytest.mark.parametrize(
    "where", ["metric", "iterable", "on_train_begin", *HOOKS[2:7], "on_train_end"]
)
def test_a_floating_point_error_of_a_user_is_not_taken_for_divergence(where):
    """Nor is the network set back, nor on_train_end called, which may rely on a finished epoch."""
    net, error, ended = network(optimizer=Adam(0.01)), FloatingPointError("of the user"), []

    class End(Callback):
        def on_train_end(self, logs):
            ended.append(True)

    options = failing(where, error)
    callbacks = [*options.pop("callbacks", []), TerminateOnNaN(), End()]
    with pytest.raises(FloatingPointError) as caught:
        net.fit(**options, epochs=2, callbacks=callbacks)
    assert caught.value is error
    assert ended == []
    assert finite(net)


@pytest.mark.parametrize("where", ["on_progress", *HOOKS[2:6]])
@pytest.mark.parametrize("error", [StopIteration("enough"), GeneratorExit("enough")])
def test_an_exception_of_a_hook_is_not_wrapped(where, error):
    net = network(optimizer=Adam(0.01))
    with pytest.raises(type(error)) as caught:
        net.fit(**failing(where, error))
    assert caught.value is error
    net.fit(X, Z)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_exceptions_that_are_not_errors_leave_a_whole_step(error):
    class Raise(Callback):
        def on_epoch_end(self, epoch, logs):
            raise error

    net, closing = network(optimizer=Adam(0.01)), Closing()
    with pytest.raises(error):
        net.fit(X, Z, batch_size=16, shuffle=False, callbacks=[Raise(), closing])
    assert closing.closed == 1
    assert (net.step, is_at_a_whole_step(net)) == (4, True)
    net.fit(X, Z)


@pytest.mark.parametrize("validated", [False, True])
def test_a_metric_that_raises_leaves_a_whole_step(validated):
    calls = []

    def odd(y_true, y_pred):
        calls.append(len(y_true))
        if len(y_true) == (30 if validated else 60):
            raise LookupError("of the metric")
        return 0.0

    net, closing = network(optimizer=Adam(0.01)), Closing()
    data = {"validation_data": (X[:30], Z[:30])} if validated else {}
    with pytest.raises(LookupError, match="of the metric"):
        net.fit(X, Z, batch_size=16, shuffle=False, metrics=[odd], callbacks=[closing], **data)
    assert calls == ([60, 30] if validated else [60])
    assert closing.closed == 1
    assert (net.step, net.epoch, is_at_a_whole_step(net)) == (4, 0, True)
    net.fit(X, Z)


@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_iterable_that_raises_leaves_a_whole_step(good):
    closed = []

    def batches():
        try:
            yield from batches_of(X, Z, 16)[:good]
            raise LookupError("of the iterable")
        finally:
            closed.append(True)

    net, closing = network(optimizer=Adam(0.01)), Closing()
    with pytest.raises(LookupError, match="of the iterable"):
        net.fit(batches(), callbacks=[closing])
    assert closed == [True]
    assert closing.closed == 1
    assert (net.step, is_at_a_whole_step(net)) == (good, True)
    net.fit(X, Z)


def test_an_iterable_of_a_bad_batch_leaves_a_whole_step():
    net = network(optimizer=Adam(0.01))
    batches = [*batches_of(X, Z, 16)[:2], (X[:, :5], Z)]
    with pytest.raises(ValueError, match="batch 2 X has 5 columns"):
        net.fit(batches)
    assert (net.step, is_at_a_whole_step(net)) == (2, True)
    net.fit(X, Z)


def test_early_stopping_at_a_loss_of_nan_keeps_its_best(tmp_path):
    net = network(optimizer=SGD(10.0))
    stop = EarlyStopping("loss", patience=500, restore_best_weights=True)
    with pytest.warns(RuntimeWarning, match="the loss became"):
        net.fit(X, Z, epochs=500, callbacks=[stop, TerminateOnNaN()])
    assert finite(net)
    assert np.isfinite(net.predict(X)).all()
