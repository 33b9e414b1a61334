"""The callbacks of fastnn, driven by a small loop that calls their hooks as `fit` does.

Tests what each does on sequences worked out by hand (ReduceLROnPlateau also against PyTorch's),
that a training that is interrupted after any epoch continues as if it had not been, and that bad
arguments raise an error with a remedy.

Not here: hooks as the real `fit` calls them (test_model.py).
"""

import copy
import io
import itertools
import json
import math
import pathlib
import pickle
import re
import sys
import types

import numpy as np
import pytest
from comparing import refuses

from fastnn import MLP, Dense, callbacks
from fastnn.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgressBar,
    ReduceLROnPlateau,
    TerminateOnNaN,
    progress,
)

NAN, INF = math.nan, math.inf


class FakeModel:
    """What callbacks use of an MLP; its one weight is the number of epochs trained."""

    def __init__(self, rate=0.1):
        self.optimizer = types.SimpleNamespace(learning_rate=rate)
        self.stop_training, self.weights, self.saved = False, [np.zeros(1)], []
        self.listeners = []

    @property
    def learning_rate(self):
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        self.optimizer.learning_rate = rate

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = [w.copy() for w in weights]

    def save(self, path):
        states = [each.get_state() for each in self.listeners]
        pathlib.Path(path).write_text(json.dumps(states, default=np.ndarray.tolist))
        self.saved.append(pathlib.Path(path).name)


def drive(
    listeners,
    epochs,
    model=None,
    *,
    first=0,
    last=None,
    states=None,
    states_after_begin=True,
    samples=100,
    fails_in=None,
):
    """Call the hooks as `fit` does; return the model, epochs run in `model.epochs`.

    `epochs` holds the logs of each epoch from epoch 0; a number is that val_loss. Training goes
    from `first` to the end, or fails in epoch `fails_in`, or leaves off before `last` as if killed.
    """
    epochs = [logs if isinstance(logs, dict) else {"loss": 1.0, "val_loss": logs}
              for logs in epochs]  # fmt: skip
    model = model or FakeModel()
    model.listeners = listeners = sorted(listeners, key=lambda each: each.runs_last)
    model.stop_training, model.epochs, model.rates, model.logs = False, [], [], []
    params = {"epochs": len(epochs), "steps": 4, "samples": samples, "batch_size": 32,
              "verbose": 0, "monitors": list(epochs[0]) if epochs else ["loss"]}  # fmt: skip

    def restore():
        for each, state in zip(listeners, states or (), strict=False):
            each.set_state(state)

    def call(hook, *args):
        for each in listeners:
            getattr(each, hook)(*args)

    for each in listeners:
        each.model, each.params = model, params
    try:
        if not states_after_begin:
            restore()
        call("on_train_begin", {})
        if states_after_begin:
            restore()
        for epoch in range(first, len(epochs) if last is None else last):
            call("on_epoch_begin", epoch, {})
            if epoch == fails_in:
                raise OSError("disk full")
            model.weights = [w + 1 for w in model.weights]
            model.rates.append(model.learning_rate)
            for each in listeners:
                if each.wants_progress:
                    each.on_progress(50, {"loss": 1.5})
            logs = dict(epochs[epoch])
            call("on_epoch_end", epoch, logs)
            model.epochs.append(epoch)
            model.logs.append(logs)
            if model.stop_training:
                break
        if last is None or model.stop_training:
            call("on_train_end", {})
    finally:
        call("close")
    return model


# ---- the base -----------------------------------------------------------------------------------


def test_every_hook_of_the_base_does_nothing():
    base = Callback()
    for hook, args in {
        "on_train_begin": ({},), "on_train_end": ({},), "on_epoch_begin": (0, {}),
        "on_epoch_end": (0, {}), "on_train_batch_begin": (0, {}), "on_train_batch_end": (0, {}),
        "on_progress": (0, {}), "close": (), "set_state": ({},),
    }.items():  # fmt: skip
        assert getattr(base, hook)(*args) is None
    assert base.on_nonfinite_loss(FloatingPointError("the loss became nan")) is False
    assert base.get_state() == {}
    assert vars(base) == {}


def test_progress_is_wanted_where_it_is_overridden():
    class Watch(Callback):
        def on_progress(self, rows, logs):
            pass

    assert Watch().wants_progress
    assert not Callback().wants_progress
    assigned = Callback()
    assigned.on_progress = print
    assert assigned.wants_progress


def test_only_checkpoints_run_last():
    found = {name: kind.runs_last for name, kind in vars(callbacks).items()
             if isinstance(kind, type) and issubclass(kind, Callback)}  # fmt: skip
    assert [name for name, last in found.items() if last] == ["ModelCheckpoint"]


# ---- early stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "run", "best", "best_epoch", "wait"),
    [
        ([5, 4, 3, 2], {}, 4, 2, 3, 0),
        ([5, 4, 4, 3], {}, 3, 4, 1, 1),
        ([5, 4, 4, 3, 3, 3, 1], {"patience": 2}, 6, 3, 3, 2),
        ([5, 6, 4, 6, 3, 6, 6, 1], {"patience": 1}, 2, 5, 0, 1),
        ([5, 4.5, 4.1, 3.9], {"min_delta": 1, "patience": 3}, 4, 3.9, 3, 0),
        ([5, 4.5, 4.1, 4.0], {"min_delta": 1, "patience": 3}, 4, 5, 0, 3),
        ([5, 4.5, 4.1, 3.9], {"min_delta": 1}, 2, 5, 0, 1),
        ([1, 9, 8, 7, 8, 1], {"start_from_epoch": 1}, 5, 7, 3, 1),
        ([1, 2, 3], {"mode": "max"}, 3, 3, 2, 0),
        ([1, 3, 2, 9], {"mode": "max"}, 3, 3, 1, 1),
        ([NAN, 3, NAN, 9], {}, 3, 3, 1, 1),  # never after epoch 0, though patience was at its end
        ([NAN, NAN, 9], {}, 2, None, None, 2),
        ([INF, 3, 2], {}, 3, 2, 2, 0),
        ([-INF, -INF, 2], {}, 2, None, None, 2),
        ([9, 8, 7, 6], {"baseline": 5, "patience": 2}, 4, 6, 3, 4),  # better than before: goes on
        ([9, 8, 8, 6], {"baseline": 5, "patience": 2}, 3, 8, 1, 3),
        ([9, 4, 8, 6, 1], {"baseline": 5, "patience": 2}, 4, 4, 1, 2),
        ([9, 4, 8, 3], {"baseline": 5, "patience": 3, "min_delta": 1}, 3, 4, 1, 3),
        ([9, 3, 8, 3], {"baseline": 5, "patience": 3, "min_delta": 1}, 4, 3, 1, 2),
    ],
)
def test_early_stopping_by_hand(values, options, run, best, best_epoch, wait):
    stop = EarlyStopping(**options)
    model = drive([stop], values)
    assert len(model.epochs) == run
    assert (stop.best, stop.best_epoch, stop.wait) == (best, best_epoch, wait)
    assert stop.stopped_epoch == (model.epochs[-1] if model.stop_training else 0)


@pytest.mark.parametrize(
    ("monitor", "stops_after"),
    [("accuracy", 3), ("val_accuracy", 3), ("val_r2", 3), ("loss", 2), ("val_mae", 2)],
)
def test_mode_auto_goes_by_the_name(monitor, stops_after):
    model = drive([EarlyStopping(monitor)], [{monitor: v} for v in (1, 2, 1, 1)])
    assert len(model.epochs) == stops_after


@pytest.mark.parametrize(
    ("values", "options", "kept"),
    [
        ([5, 4, 3, 6, 7, 1], {"patience": 2}, 3),
        ([5, 4, 3, 6], {"patience": 9}, 3),  # all epochs were run
        ([5, 4, 3, 2], {"patience": 9}, 4),
        ([NAN, NAN, NAN], {"patience": 2}, 1),  # the first that was looked at
        ([NAN, NAN, NAN, NAN], {"patience": 9, "start_from_epoch": 2}, 3),
        ([9, 7, 8, 8], {"patience": 2, "baseline": 5}, 2),  # whatever the baseline
        ([1, 9, 8, 9], {"start_from_epoch": 1}, 3),
        ([1, 2], {"start_from_epoch": 7}, 2),  # none was looked at
    ],
)
def test_the_best_weights_are_restored(values, options, kept):
    stop = EarlyStopping(restore_best_weights=True, **options)
    assert drive([stop], values).weights == [kept]
    assert drive([EarlyStopping(**options)], values).weights != [0]


def test_without_restoring_the_last_weights_stay():
    assert drive([EarlyStopping(patience=2)], [5, 4, 3, 6, 7, 1]).weights == [5]


def test_failed_training_restores_nothing():
    model = FakeModel()
    with pytest.raises(OSError, match="disk full"):
        drive([EarlyStopping(restore_best_weights=True, patience=5)], [1, 2, 3, 4], model,
              fails_in=3)  # fmt: skip
    assert model.weights == [3]


def test_every_training_starts_anew():
    stop = EarlyStopping(restore_best_weights=True)
    drive([stop], [2, 1, 3])
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (1, 1, 2)
    model = drive([stop], [9, 8, 7])
    assert model.weights == [3]
    assert (stop.best, stop.best_epoch, stop.stopped_epoch, stop.wait) == (7, 2, 0, 0)


def test_callbacks_print_nothing(capsys, tmp_path):
    listeners = [EarlyStopping(restore_best_weights=True), ReduceLROnPlateau(patience=1),
                 ModelCheckpoint(tmp_path / "net"), CSVLogger(tmp_path / "log.csv"),
                 LearningRateScheduler(lambda epoch: 0.1), History()]  # fmt: skip
    drive(listeners, [3, 2, 4])
    assert capsys.readouterr() == ("", "")


# ---- checkpoints --------------------------------------------------------------------------------


def test_a_checkpoint_after_every_epoch(tmp_path):
    path = tmp_path / "net-{epoch:03d}-{val_loss:.2f}.safetensors"
    model = drive([ModelCheckpoint(path)], [0.5, 0.25, 0.125])
    assert model.saved == [f"net-{i:03d}-{v}.safetensors"
                           for i, v in ((1, "0.50"), (2, "0.25"), (3, "0.12"))]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == model.saved


@pytest.mark.parametrize(
    ("n", "period", "saved"),
    [(6, 2, [2, 4, 6]), (7, 3, [3, 6, 7]), (2, 5, [2]), (1, 1, [1]), (0, 1, [])],
)
def test_a_checkpoint_each_period_and_at_the_end(tmp_path, n, period, saved):
    model = drive([ModelCheckpoint(tmp_path / "{epoch}", period=period)], [1] * n)
    assert model.saved == [str(i) for i in saved]


def test_a_checkpoint_of_the_epoch_that_ended_training(tmp_path):
    model = drive([ModelCheckpoint(tmp_path / "{epoch}", period=4), EarlyStopping()], [3, 2, 4, 1])
    assert model.saved == ["3"]


@pytest.mark.parametrize(
    ("values", "options", "saved"),
    [
        ([5, 6, 4, 4, 3], {}, [1, 3, 5]),
        ([NAN, INF, 4, NAN, 3], {}, [3, 5]),
        ([5, 6, 4, 4, 7], {"mode": "max"}, [1, 2, 5]),
        ([5, 6, 4, 3, 2], {"period": 2}, [2, 4, 5]),
        ([5, 3, 4, 3, 4], {"period": 2}, [2]),
    ],
)
def test_checkpoints_of_the_best(tmp_path, values, options, saved):
    keep = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, **options)
    assert drive([keep], values).saved == [str(i) for i in saved]


def test_the_best_outlives_a_training_as_its_file_does(tmp_path):
    keep = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    assert len(drive([keep], [5, 4]).saved) == 2
    assert drive([keep], [6, 5]).saved == []
    assert keep.best == 4


def test_the_file_has_the_state_of_the_others(tmp_path):
    keep, stop, history = ModelCheckpoint(tmp_path / "net"), EarlyStopping(), History()
    model = drive([keep, stop, history], [5, 4, 3])
    assert model.listeners == [stop, history, keep]
    assert json.loads((tmp_path / "net").read_text())[0]["best"] == 3
    assert json.loads((tmp_path / "net").read_text())[1]["epoch"] == [0, 1, 2]


def test_the_file_has_the_best_it_holds(tmp_path):
    drive([ModelCheckpoint(tmp_path / "net", save_best_only=True)], [5, 4])
    assert json.loads((tmp_path / "net").read_text()) == [{"best": 4}]


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_is_not_the_best(tmp_path, monkeypatch, error):
    keep = ModelCheckpoint(tmp_path / "net", save_best_only=True)
    drive([keep], [5])

    def fail(model, path):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FakeModel, "save", fail)
        with pytest.raises(type(error)):
            drive([keep], [4])
    assert keep.best == 5
    assert drive([keep], [4.5]).saved == ["net"]


def test_folders_are_made_when_training_begins(tmp_path):
    drive([ModelCheckpoint(tmp_path / "a{{b}}" / "c" / "{epoch}")], [1], last=0)
    assert (tmp_path / "a{b}" / "c").is_dir()
    drive([ModelCheckpoint(tmp_path / "run{epoch}" / "net-{loss}")], [1], last=0)
    assert [path.name for path in tmp_path.iterdir()] == ["a{b}"]
    drive([ModelCheckpoint(tmp_path / "run{epoch}" / "net-{loss}")], [1, 2])
    assert (tmp_path / "run2" / "net-1.0").is_file()


def test_a_path_without_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drive([ModelCheckpoint("net")], [1])
    assert (tmp_path / "net").is_file()


def test_braces_in_a_path(tmp_path):
    assert drive([ModelCheckpoint(tmp_path / "{{{epoch}}}")], [1]).saved == ["{1}"]


@pytest.mark.parametrize(
    "path", ["a/{val_acc}", "{epoch}-{lr:.2f}", "{loss}-{learning_rate}", "{ loss}"]
)
def test_fields_that_the_logs_will_not_have(tmp_path, path):
    keep = ModelCheckpoint(f"{tmp_path}/{path}")
    wanted = ["path", path, "the field", "not among 'epoch', 'loss', 'val_loss'; use one of these"]
    refuses(ValueError, wanted, lambda: drive([keep], [1]))
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_another_callback_adds(tmp_path):
    keep = ModelCheckpoint(tmp_path / "{learning_rate}")
    model = drive([keep, LearningRateScheduler(lambda epoch: 0.5)], [1])
    assert model.saved == ["0.5"]


def test_a_checkpoint_needs_no_monitor_unless_it_compares(tmp_path):
    logs = [{"loss": 1.0}]
    assert drive([ModelCheckpoint(tmp_path / "net")], logs).saved == ["net"]
    keep = ModelCheckpoint(tmp_path / "net", save_best_only=True)
    refuses(ValueError, ["no 'val_loss'"], lambda: drive([keep], logs))


# ---- learning rates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "rates"),
    [
        ([1, 1, 1, 1], {"patience": 2}, [1, 1, 1, 0.5]),
        ([1, 1, 1, 1], {"patience": 1}, [1, 1, 0.5, 0.25]),
        ([1, 1, 1, 1], {"patience": 0}, [1, 1, 0.5, 0.25]),
        ([4, 3, 2, 1], {"patience": 1}, [1, 1, 1, 1]),
        ([4, 3.5, 3.1, 2.9, 1], {"patience": 2, "min_delta": 1}, [1, 1, 1, 0.5, 0.5]),
        ([1] * 6, {"patience": 1, "cooldown": 1}, [1, 1, 0.5, 0.25, 0.125, 0.0625]),
        ([1] * 6, {"patience": 1, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([1] * 7, {"patience": 1, "cooldown": 3}, [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ([1] * 5, {"patience": 1, "min_lr": 0.4}, [1, 1, 0.5, 0.4, 0.4]),
        ([1] * 3, {"patience": 1, "min_lr": 2.0}, [1, 1, 1]),  # never raised
        ([NAN] * 3, {"patience": 1}, [1, 0.5, 0.25]),
        ([1, 2, 2, 3], {"patience": 1, "mode": "max"}, [1, 1, 1, 0.5]),
    ],
)
def test_plateaus_by_hand(values, options, rates):
    lower = ReduceLROnPlateau(**{"factor": 0.5, "min_delta": 0, **options})
    model = drive([lower], values, FakeModel(1.0))
    assert model.rates == rates
    assert [logs["learning_rate"] for logs in model.logs] == rates


@pytest.mark.parametrize("seed", range(40))
def test_plateaus_are_those_of_torch(seed):
    """In its terms patience counts one less, and the cooldown's first epoch is not one of it."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    patience, cooldown = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    factor, least = rng.choice([0.1, 0.5, 0.9]), rng.choice([0.0, 0.01])
    delta, mode = rng.choice([0.0, 1e-4, 0.05]), ("min", "max")[seed % 2]
    values = np.cumsum(rng.normal(size=120) - 0.05).round(1)
    values[rng.random(120) < 0.05] = NAN
    theirs = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, mode=mode, factor=factor, patience=patience - 1, threshold=delta,
        threshold_mode="abs", cooldown=cooldown - 1, min_lr=least, eps=0,
    )  # fmt: skip
    expected = []
    for value in values.tolist():
        expected.append(theirs.param_groups[0]["lr"])
        scheduler.step(value)
    lower = ReduceLROnPlateau(factor=factor, patience=patience, mode=mode, min_delta=delta,
                              cooldown=cooldown, min_lr=least)  # fmt: skip
    assert drive([lower], values.tolist(), FakeModel(1.0)).rates == expected
    assert len(set(expected)) > 1


def test_a_rate_is_never_lowered_to_0():
    model = drive([ReduceLROnPlateau(patience=1)], [1] * 400)
    assert 0 < model.learning_rate < 1e-300


def test_a_schedule_of_epochs():
    model = drive([LearningRateScheduler(lambda epoch: 1 / (1 + epoch))], [1] * 4)
    assert model.rates == [1, 1 / 2, 1 / 3, 1 / 4]
    assert [logs["learning_rate"] for logs in model.logs] == model.rates


def test_a_schedule_of_epochs_and_rates():
    schedule = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch > 1 else rate)
    assert drive([schedule], [1] * 4, FakeModel(1.0)).rates == [1, 1, 0.5, 0.25]


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.float64(0.5)])
def test_rates_of_any_kind_become_floats(value):
    (rate,) = drive([LearningRateScheduler(lambda epoch: value)], [1]).rates
    assert type(rate) is float
    assert rate == value


def test_schedules_of_every_kind():
    class Halve:
        def __call__(self, epoch, rate, /, *, by=2):
            return rate / by

    assert drive([LearningRateScheduler(Halve())], [1], FakeModel(1.0)).rates == [0.5]
    assert drive([LearningRateScheduler(lambda *args: len(args))], [1]).rates == [2]
    by_epoch = LearningRateScheduler(math.exp)
    assert drive([by_epoch], [1, 1]).rates == [1, math.e]

    class Untold:
        __signature__ = 0  # as some built-ins, it has none that can be read

        def __call__(self, *args):
            return 5 if len(args) == 1 else 7

    assert drive([LearningRateScheduler(Untold())], [1]).rates == [5]


@pytest.mark.parametrize(
    ("rate", "error", "fragments"),
    [
        (None, TypeError, ["schedule(0, 0.1) must be a number; got None"]),
        ("0.1", TypeError, ["schedule(0, 0.1) must be a number; got '0.1'"]),
        (0.0, ValueError, ["schedule(0, 0.1) must be above 0", "got 0.0"]),
        (-1, ValueError, ["schedule(0, 0.1) must be above 0", "got -1"]),
        (NAN, ValueError, ["schedule(0, 0.1)", "got nan"]),
        (INF, ValueError, ["schedule(0, 0.1)", "got inf"]),
    ],
)
def test_invalid_rates_of_a_scheduler(rate, error, fragments):
    model, schedule = FakeModel(), LearningRateScheduler(lambda epoch, lr: rate)
    refuses(error, fragments, lambda: drive([schedule], [1], model))
    assert model.learning_rate == 0.1


@pytest.mark.parametrize("kind", [ReduceLROnPlateau, lambda: LearningRateScheduler(abs)])
def test_a_rate_that_follows_a_schedule_is_left_alone(kind):
    class Cosine:
        def __repr__(self):
            return "Cosine(0.1)"

    callback = kind()
    wanted = [type(callback).__name__, "follows Cosine(0.1); drop the callback", "learning_rate"]
    refuses(ValueError, wanted, lambda: drive([callback], [1], FakeModel(Cosine())))


def test_the_logs_have_the_rate_of_the_epoch_in_any_order_of_callbacks():
    for order in (1, -1):
        both = [ReduceLROnPlateau(patience=1), LearningRateScheduler(lambda epoch, lr: lr)][::order]
        model = drive(both, [1] * 4)
        assert [logs["learning_rate"] for logs in model.logs] == model.rates
        assert len(set(model.rates)) == 3
        assert both[0].params["monitors"] == ["loss", "val_loss", "learning_rate"]


@pytest.mark.parametrize(
    ("method", "hint"),
    [
        ("on_batch_end", "the hook is on_train_batch_end"),
        ("on_test_end", "evaluations and predictions call no hooks"),
        ("on_epoch_ends", "did you mean 'on_epoch_end'?"),
        ("on_train_start", "the hook is on_train_begin"),
    ],
)
def test_a_method_that_is_taken_for_a_hook_is_refused(method, hint):
    kind = type("Mine", (Callback,), {method: lambda self, *args: None})
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
    message = rf"callbacks\[0\] \(Mine\) has a method {method}, which fit never calls; {hint}"
    with pytest.raises(TypeError, match=message.replace("?", r"\?")):
        net.fit([[1.0]], [1.0], callbacks=[kind()])
    assert net.step == 0


def test_other_methods_may_have_any_name():
    kind = type("Mine", (Callback,), {"on_improvement": lambda self: None})
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
    net.fit([[1.0]], [1.0], callbacks=[kind()])


# ---- what is followed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "names", "message"),
    [
        ("val_loss", ["loss"], "the logs have no 'val_loss', only 'loss'; pass validation_data or "
         "validation_split to fit (validation to fit_many, X_val and y_val to an estimator), or "
         "monitor 'loss'"),
        ("val_loss", ["loss", "accuracy"], "the logs have no 'val_loss', only 'loss', 'accuracy'; "
         "pass validation_data or validation_split to fit (validation to fit_many, X_val and y_val "
         "to an estimator), or monitor one of these"),
        ("val_mae", ["loss"], "the logs have no 'val_mae', only 'loss'; pass metrics=['mae'] and "
         "validation_data to MLP.fit (validation to fit_many), or monitor 'loss'"),
        ("val_accuracy", ["loss", "val_loss"], "the logs have no 'val_accuracy', only 'loss', "
         "'val_loss'; pass metrics=['accuracy'] to MLP.fit or fit_many, or monitor one of these"),
        ("acc", ["loss"], "the logs have no 'acc', only 'loss'; pass metrics=['acc'] to MLP.fit "
         "or fit_many, or monitor 'loss'"),
        ("val_acc", ["loss", "val_loss", "val_accuracy"], "the logs have no 'val_acc', only "
         "'loss', 'val_loss', 'val_accuracy'; monitor 'val_accuracy'"),
        ("val_mae", ["loss", "mae"], "the logs have no 'val_mae', only 'loss', 'mae'; pass "
         "validation_data or validation_split to fit (validation to fit_many, X_val and y_val to "
         "an estimator), or monitor one of these"),
        ("lr", ["loss"], "the logs have no 'lr', only 'loss'; monitor 'loss' or 'val_loss'; a "
         "callback that sets the rate logs 'learning_rate'"),
        ("val_los", ["loss", "val_loss"], "the logs have no 'val_los', only 'loss', 'val_loss'; "
         "monitor one of these; did you mean 'val_loss'?"),
        ("auc", ["loss", "val_loss"], "the logs have no 'auc', only 'loss', 'val_loss'; "
         "monitor one of these; a callback that logs 'auc' must be before this one in the list, "
         "and append the name to params['monitors'] in on_train_begin"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau, ModelCheckpoint])
def test_a_monitor_that_the_logs_will_not_have(kind, monitor, names, message, tmp_path):
    options = {"path": tmp_path / "a", "save_best_only": True} if kind is ModelCheckpoint else {}
    callback = kind(monitor=monitor, **options)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        drive([callback], [dict.fromkeys(names, 1.0)])


def test_a_value_that_another_callback_adds_can_be_followed():
    class Norm(Callback):
        def on_train_begin(self, logs):
            self.params["monitors"].append("norm")

        def on_epoch_end(self, epoch, logs):
            logs["norm"] = (3.0, 2.0, 2.0, 1.0)[epoch]

    stop, history = EarlyStopping("norm"), History()
    assert drive([Norm(), stop, history], [1] * 4).epochs == [0, 1, 2]
    assert history.history["norm"] == [3.0, 2.0, 2.0]


@pytest.mark.parametrize("value", [None, "3", True])
def test_a_monitored_value_that_is_missing_or_no_number_is_named(value):
    class Sometimes(Callback):
        def on_train_begin(self, logs):
            self.params["monitors"].append("norm")

        def on_epoch_end(self, epoch, logs):
            if epoch == 0 or value is not None:
                logs["norm"] = 3.0 if epoch == 0 else value

    message = "^EarlyStopping monitors 'norm', but the logs of epoch 2 have .*must log a number"
    with pytest.raises(ValueError, match=message):
        drive([Sometimes(), EarlyStopping("norm", patience=9)], [1.0] * 3)


def test_logs_that_a_callback_has_emptied_are_named():
    class Clear(Callback):
        def on_epoch_end(self, epoch, logs):
            logs.clear()

    with pytest.raises(ValueError, match="the logs of epoch 1 have no values; a callback"):
        drive([Clear(), EarlyStopping("loss")], [1.0])


# ---- the log ------------------------------------------------------------------------------------


def test_a_row_an_epoch(tmp_path):
    drive([CSVLogger(tmp_path / "log.csv")], [0.5, 1 / 3, NAN, INF])
    assert (tmp_path / "log.csv").read_bytes() == (
        b"epoch,loss,val_loss\n0,1.0,0.5\n1,1.0,0.3333333333333333\n2,1.0,nan\n3,1.0,inf\n"
    )


def test_another_separator_and_names_that_hold_it(tmp_path):
    drive([CSVLogger(tmp_path / "log.csv", separator=";")], [{"a;b": 1, "c": np.float32(0.5)}])
    assert (tmp_path / "log.csv").read_text() == 'epoch;"a;b";c\n0;1.0;0.5\n'


def test_rows_are_there_after_each_epoch(tmp_path):
    class Look(Callback):
        seen = ()

        def on_epoch_end(self, epoch, logs):
            self.seen = (*self.seen, len((tmp_path / "log.csv").read_text().splitlines()))

    look = Look()
    drive([CSVLogger(tmp_path / "log.csv"), look], [1] * 3)
    assert look.seen == (2, 3, 4)


@pytest.mark.parametrize("fails_in", [None, 0, 2])
def test_the_file_is_closed_whatever_happens(tmp_path, fails_in):
    logger = CSVLogger(tmp_path / "a" / "b" / "log.csv")
    try:
        drive([logger], [1] * 3, fails_in=fails_in)
    except OSError:
        assert fails_in is not None
    assert logger._file is None
    rows = (tmp_path / "a" / "b" / "log.csv").read_text().splitlines()
    assert len(rows) == {None: 4, 0: 0, 2: 3}[fails_in]


def test_a_callback_that_was_used_can_be_copied_without_the_network(tmp_path):
    for make in (lambda: CSVLogger(tmp_path / "log.csv"), EarlyStopping, History, TerminateOnNaN):
        callback = make()
        drive([callback], [1.0, 2.0])
        for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
            assert twin.model is None
            assert twin.params is None
            assert twin.get_state() == callback.get_state()


def test_a_file_is_written_anew_unless_appended_to(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    drive([logger], [1, 2, 3])
    drive([logger], [4])
    assert (tmp_path / "log.csv").read_text() == "epoch,loss,val_loss\n0,1.0,4.0\n"


@pytest.mark.parametrize("last", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("first", [0, 1, 2, 3, 5])
def test_a_resumed_log_has_every_epoch_once(tmp_path, first, last):
    values = [0.1 * i for i in range(6)]
    drive([CSVLogger(tmp_path / "whole.csv")], values)
    drive([CSVLogger(tmp_path / "log.csv", append=True)], values, last=last)
    drive([CSVLogger(tmp_path / "log.csv", append=True)], values, first=first)
    lines = (tmp_path / "whole.csv").read_text().splitlines()
    expected = [lines[0], *lines[1 : 1 + min(first, last)], *lines[1 + first :]]
    assert (tmp_path / "log.csv").read_text().splitlines() == expected


def test_a_log_is_cut_only_once_an_epoch_was_trained(tmp_path):
    path = tmp_path / "log.csv"
    drive([CSVLogger(path)], [1] * 4)
    before = path.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        drive([CSVLogger(path, append=True)], [1] * 4, first=2, fails_in=2)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("", "epoch,loss,val_loss\n2,1.0,9.0\n"),
        ("epoch,loss,val_loss", "epoch,loss,val_loss\n2,1.0,9.0\n"),
        ("epoch,loss,val_loss\n1,5,5\n1", "epoch,loss,val_loss\n1,5,5\n2,1.0,9.0\n"),
        ("val_loss,loss,epoch\n5,5,1\n\n5,5,2\n", "val_loss,loss,epoch\n5,5,1\n\n9.0,1.0,2\n"),
        ("epoch,loss,a,val_loss\r\n1,5,6,7\r\n",
         "epoch,loss,a,val_loss\r\n1,5,6,7\r\n2,1.0,NA,9.0\n"),
        ('"epoch","loss","val_loss"\n"1","5","6"\n"2","7","8"\n',
         '"epoch","loss","val_loss"\n"1","5","6"\n2,1.0,9.0\n'),
        ('note,epoch,loss,val_loss\n"a, b",1,5,6\n"c, d",2,7,8\n',
         'note,epoch,loss,val_loss\n"a, b",1,5,6\nNA,2,1.0,9.0\n'),
    ],
)  # fmt: skip
def test_logs_of_other_programs_are_continued(tmp_path, found, expected):
    path = tmp_path / "log.csv"
    path.write_bytes(found.encode())
    drive([CSVLogger(path, append=True)], [7, 8, 9], first=2)
    assert path.read_bytes() == expected.encode()


@pytest.mark.parametrize("append", [False, True])
def test_a_log_stays_where_it_is_if_the_working_directory_changes(tmp_path, monkeypatch, append):
    class Move(Callback):
        def on_epoch_begin(self, epoch, logs):
            monkeypatch.chdir(tmp_path / "elsewhere")

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    drive([CSVLogger("log.csv")], [1, 2])
    drive([CSVLogger("log.csv", append=append), Move()], [3, 4])
    expected = "epoch,loss,val_loss\n0,1.0,3.0\n1,1.0,4.0\n"
    assert (tmp_path / "log.csv").read_text() == expected
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("append", [False, True])
def test_a_log_outlives_a_fit_that_is_refused(tmp_path, append):
    """The callback behind it refuses its argument when training begins."""
    path = tmp_path / "log.csv"
    drive([CSVLogger(path)], [1] * 3)
    before = path.read_bytes()
    refused = [CSVLogger(path, append=append), EarlyStopping("val_los")]
    with pytest.raises(ValueError, match="did you mean 'val_loss'"):
        drive(refused, [1])
    assert path.read_bytes() == before


@pytest.mark.parametrize("found", [b"\xff\xfee\x00p\x00", b"\xe9poch\n"])
def test_a_file_that_is_not_text_is_left_alone(tmp_path, found):
    path = tmp_path / "log.csv"
    path.write_bytes(found)
    wanted = ["path", "log.csv' is not a CSV file of UTF-8 text", "append=False to replace"]
    refuses(ValueError, wanted, lambda: drive([CSVLogger(path, append=True)], [1]))
    assert path.read_bytes() == found


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbfepoch,loss,val_loss\n0,1.0,2.0\n")
    drive([CSVLogger(path, append=True)], [3, 4], first=1)
    assert path.read_bytes() == b"\xef\xbb\xbfepoch,loss,val_loss\n0,1.0,2.0\n1,1.0,4.0\n"


@pytest.mark.parametrize("found", ["epoch;loss;val_loss\n", "epoch,loss\n0,1\n", "0,1,2\n", "\n"])
def test_a_log_that_lacks_columns_is_left_alone(tmp_path, found):
    path = tmp_path / "log.csv"
    path.write_text(found)
    wanted = ["path", "log.csv' has the columns", "but not", "'val_loss'; pass another path"]
    refuses(ValueError, wanted, lambda: drive([CSVLogger(path, append=True)], [1]))
    assert path.read_text() == found


def test_names_that_come_and_go(tmp_path):
    drive([CSVLogger(tmp_path / "log.csv")], [{"a": 1, "b": 2}, {"b": 3, "c": 4}])
    assert (tmp_path / "log.csv").read_text() == "epoch,a,b\n0,1.0,2.0\n1,NA,3.0\n"


# ---- losses that are not finite -----------------------------------------------------------------


def test_training_ends_with_a_warning():
    error = FloatingPointError("the loss became nan in epoch 3; lower the learning rate")
    with pytest.warns(RuntimeWarning, match="^the loss became nan in epoch 3; lower the learning"):
        assert TerminateOnNaN().on_nonfinite_loss(error) is True


# ---- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["tqdm", "lines"])
def look(request, monkeypatch):
    """With tqdm installed, and without."""
    if request.param == "lines":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")
    return request.param


@pytest.fixture
def lines(monkeypatch):
    """Progress without tqdm."""
    monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.mark.parametrize(
    ("stream", "show", "shown"),
    [
        (io.StringIO, None, False),
        (io.StringIO, True, True),
        (io.StringIO, False, False),
        (Terminal, None, True),
        (Terminal, True, True),
        (Terminal, False, False),
    ],
)
def test_it_shows_on_terminals_unless_show_says_otherwise(look, stream, show, shown):
    class Look(Callback):
        def on_epoch_begin(self, epoch, logs):
            self.wanted = bar.wants_progress

    stream, watch = stream(), Look()
    bar = ProgressBar(show, stream=stream)
    assert not bar.wants_progress
    drive([bar, watch], [1, 2])
    assert bool(stream.getvalue()) == shown
    assert watch.wanted == shown
    assert not bar.wants_progress
    drive([bar], [1, 2])
    assert bool(stream.getvalue()) == shown


def test_it_writes_to_the_current_stderr(look, monkeypatch):
    bar, stream = ProgressBar(True), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    drive([bar], [1])
    assert "epoch 1/1" in stream.getvalue()


def test_no_console_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    for show in (None, True):
        drive([ProgressBar(show)], [1])


def test_tqdm_is_not_imported_where_nothing_shows(monkeypatch):
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    drive([ProgressBar(stream=io.StringIO()), ProgressBar(False, stream=Terminal())], [1])
    assert "tqdm" not in sys.modules


def test_lines_show_losses_rate_and_remaining_time(lines, clock):
    """The clock is looked at once when an epoch begins and once when a line is written."""
    stream = io.StringIO()
    drive([ProgressBar(True, stream=stream)], [0.5, 1 / 3, 0.00012345] + [2] * 7, samples=41_000)
    assert stream.getvalue().splitlines()[:3] == [
        "epoch  1/10  loss 1  val_loss 0.5  41,000 rows/s  ETA 0:09",
        "epoch  2/10  loss 1  val_loss 0.3333  41,000 rows/s  ETA 0:12",
        "epoch  3/10  loss 1  val_loss 0.0001234  41,000 rows/s  ETA 0:12",
    ]
    assert stream.getvalue().endswith("ETA 0:00\n")


def test_the_remaining_time_after_a_resume_is_estimated_from_the_epochs_since(lines, clock):
    stream = io.StringIO()
    drive([ProgressBar(True, stream=stream)], [1] * 10, first=8)
    assert [line[-8:] for line in stream.getvalue().splitlines()] == ["ETA 0:01", "ETA 0:00"]


def test_lines_where_rows_are_not_known_beforehand(lines, clock):
    stream = io.StringIO()
    drive([ProgressBar(True, stream=stream)], [1, 1], samples=None)
    assert stream.getvalue().splitlines()[0] == "epoch 1/2  loss 1  val_loss 1  50 rows/s  ETA 0:01"


def test_a_line_on_a_terminal_is_rewritten_within_an_epoch(lines, clock):
    stream = Terminal()
    drive([ProgressBar(stream=stream)], [{"loss": 1}])
    assert stream.getvalue() == (
        "epoch 1/1  loss 1.5  50 rows/s  ETA 0:01"
        "\repoch 1/1  loss 1  50 rows/s  ETA 0:00  \n"
    )  # fmt: skip


def test_a_line_that_is_rewritten_fits_the_terminal(lines, monkeypatch):
    monkeypatch.setenv("COLUMNS", "12")
    stream = Terminal()
    drive([ProgressBar(stream=stream)], [1])
    assert stream.getvalue().split("\r")[0] == "epoch 1/1  "


def test_a_failed_training_leaves_a_whole_line(look):
    class Fail(Callback):
        def on_epoch_end(self, epoch, logs):
            raise OSError("disk full")

    stream = Terminal()
    bar = ProgressBar(stream=stream)
    with pytest.raises(OSError, match="disk full"):
        drive([Fail(), bar], [1])
    assert stream.getvalue().endswith("\n")
    assert not bar.wants_progress
    length = len(stream.getvalue())
    bar.close()
    assert len(stream.getvalue()) == length


def test_training_that_fails_before_an_epoch(look):
    drive([ProgressBar(True, stream=io.StringIO())], [])
    drive([ProgressBar(True, stream=io.StringIO())], [1], last=0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (12.4, "0:12"), (59.6, "1:00"), (3723, "1:02:03")]
)
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


@pytest.fixture
def tqdm_of(monkeypatch):
    """A function that drives a progress bar and returns the bars of tqdm, and the text."""
    tqdm = pytest.importorskip("tqdm")
    made = []

    class Spy(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.seen = []
            made.append(self)

        def update(self, n=1):
            super().update(n)
            self.seen.append((self.desc, self.n, self.postfix))

        def close(self):
            self.closings = getattr(self, "closings", 0) + 1
            super().close()

    monkeypatch.setattr(tqdm, "tqdm", Spy)

    def run(*args, **kwargs):
        stream = io.StringIO()
        drive([ProgressBar(True, stream=stream)], *args, **kwargs)
        return made, stream.getvalue()

    run.made = made
    return run


def test_one_bar_over_the_rows_of_all_epochs(tqdm_of, clock):
    (bar,), text = tqdm_of([0.5, 0.25])
    assert (bar.total, bar.n, bar.unit, bar.closings) == (200, 200, " rows", 1)
    assert bar.seen == [
        ("epoch 1/2", 50, "loss=1.5"),
        ("epoch 1/2", 100, "loss=1, val_loss=0.5"),
        ("epoch 2/2", 150, "loss=1.5, val_loss=0.5"),
        ("epoch 2/2", 200, "loss=1, val_loss=0.25"),
    ]
    last = text.split("\r")[-1]
    assert "100%" in last
    assert "200/200" in last
    assert "rows/s, loss=1, val_loss=0.25]" in last
    assert text.endswith("\n")


def test_the_bar_is_not_drawn_more_often_than_one_sees(tqdm_of, clock):
    clock(itertools.repeat(0.0))
    (bar,), text = tqdm_of([1 / (1 + i) for i in range(1000)])
    assert len(bar.seen) == 1
    assert bar.n == 100_000
    assert "epoch 1000/1000: 100%" in text.split("\r")[-1]
    assert "val_loss=0.001]" in text.split("\r")[-1]


def test_the_bar_of_a_resumed_training_starts_where_that_left_off(tqdm_of, clock):
    (bar,), text = tqdm_of([1] * 4, first=3)
    assert (bar.initial, bar.n, bar.total) == (300, 400, 400)
    assert "epoch 4/4:  75%" in text.split("\r")[1]


def test_a_bar_without_total(tqdm_of, clock):
    (bar,), text = tqdm_of([1, 1], samples=None)
    assert (bar.total, bar.n) == (None, 100)
    assert "%" not in text


def test_a_bar_starts_no_thread(tqdm_of):
    (bar,), _ = tqdm_of([1, 1])
    assert bar.monitor is None


def test_a_failed_training_closes_its_bar(tqdm_of):
    with pytest.raises(OSError, match="disk full"):
        tqdm_of([1] * 3, fails_in=1)
    (bar,) = tqdm_of.made
    assert (bar.closings, bar.n) == (1, 100)


# ---- history ------------------------------------------------------------------------------------


def test_history_records_what_the_logs_hold():
    history = History()
    drive([history], [0.5, 0.25])
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [1.0, 1.0], "val_loss": [0.5, 0.25]}
    assert repr(history) == "<History of 2 epochs: loss=1, val_loss=0.25>"


def test_a_history_shows_values_that_are_no_numbers():
    history = History()
    drive([history], [{"loss": 0.5, "note": "good"}])
    assert repr(history) == "<History of 1 epoch: loss=0.5, note=good>"


def test_a_state_of_the_history_is_a_copy():
    history = History()
    drive([history], [0.5])
    state = history.get_state()
    drive([history], [0.5])
    assert state["epoch"] == [0]
    twin = History()
    twin.set_state(state)
    drive([twin], [0.5])
    assert state["epoch"] == [0]
    assert state["history"]["loss"] == [1.0]


# ---- states -------------------------------------------------------------------------------------

KEEPERS = {
    "stop": lambda path: EarlyStopping(patience=4, restore_best_weights=True),
    "stop-plainly": lambda path: EarlyStopping(patience=3, min_delta=0.1),
    "stop-late": lambda path: EarlyStopping(patience=3, start_from_epoch=5, baseline=0.5),
    "plateau": lambda path: ReduceLROnPlateau(patience=2),
    "plateau-cooling": lambda path: ReduceLROnPlateau(patience=1, cooldown=3, min_delta=0.5),
    "checkpoint": lambda path: ModelCheckpoint(path / "{epoch}", save_best_only=True),
    "checkpoint-period": lambda path: ModelCheckpoint(path / "{epoch}", period=4),
    "history": lambda path: History(),
    "schedule": lambda path: LearningRateScheduler(lambda epoch, lr: lr * 0.9),
}


def stored(state):
    """Return a state as it comes back from a file: JSON, and lists of arrays beside it."""
    for value in state.values():
        assert not (isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value)) or (
            all(isinstance(v, np.ndarray) for v in value)
        )
    arrays = {k: pickle.loads(pickle.dumps(v)) for k, v in state.items()
              if isinstance(v, list) and v and isinstance(v[0], np.ndarray)}  # fmt: skip
    plain = {k: v for k, v in state.items() if k not in arrays}
    return json.loads(json.dumps(plain, allow_nan=False)) | arrays


@pytest.mark.parametrize("states_after_begin", [True, False])
@pytest.mark.parametrize("kind", KEEPERS)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, kind, states_after_begin):
    values = [NAN, 9.0, 8.0, 8.5, INF, 7.0, 7.05, 6.98, NAN, 0.6, 0.7, 0.4, 0.5, 0.5, 0.6, 0.3]
    make, path = KEEPERS[kind], tmp_path
    whole = make(path)
    expected = drive([whole], values, FakeModel(1.0))
    for last in range(len(expected.epochs)):
        before = make(path)
        model = drive([before], values, FakeModel(1.0), last=last)
        saved, rates = list(model.saved), list(model.rates)
        states = [stored(before.get_state())]
        after = make(path)
        model = drive([after], values, model, first=last, states=states,
                      states_after_begin=states_after_begin)  # fmt: skip
        assert rates + model.rates == expected.rates
        assert model.saved == expected.saved
        assert saved == expected.saved[: len(saved)]
        assert model.weights == expected.weights
        assert model.learning_rate == expected.learning_rate
        assert model.epochs == expected.epochs[last:]
        assert json.dumps(stored(after.get_state()), default=repr) == json.dumps(
            stored(whole.get_state()), default=repr
        )
        assert getattr(after, "stopped_epoch", 0) == getattr(whole, "stopped_epoch", 0)


@pytest.mark.parametrize("states_after_begin", [True, False])
def test_a_state_serves_one_training(states_after_begin):
    stop = EarlyStopping(patience=1)
    state = {"best": 1.0, "best_epoch": 0, "best_weights": None, "wait": 0, "stopped_epoch": 0}
    drive([stop], [5, 5, 4], first=1, states=[state], states_after_begin=states_after_begin)
    assert stop.best == 1.0
    assert drive([stop], [5, 4, 3]).epochs == [0, 1, 2]
    assert stop.best == 3


@pytest.mark.parametrize("kind", [*KEEPERS])
def test_a_state_before_any_epoch(tmp_path, kind):
    callback = KEEPERS[kind](tmp_path)
    state = stored(callback.get_state())
    callback.set_state(state)
    assert stored(callback.get_state()) == state


@pytest.mark.parametrize(
    "kind", [lambda path: CSVLogger(path / "a"), lambda path: TerminateOnNaN(),
             lambda path: ProgressBar(True, io.StringIO())],
)  # fmt: skip
def test_callbacks_without_state(tmp_path, kind):
    callback = kind(tmp_path)
    drive([callback], [1, 2])
    assert callback.get_state() == {}


@pytest.mark.parametrize("kind", ["stop", "plateau", "checkpoint", "history"])
def test_states_of_something_else(tmp_path, kind):
    callback = KEEPERS[kind](tmp_path)
    name = type(callback).__name__
    wanted = ["state has no '", f"pass what {name}.get_state() returned"]
    refuses(ValueError, wanted, lambda: callback.set_state({}))
    refuses(TypeError, ["state must be", name, "got 3"], lambda: callback.set_state(3))


# ---- bad arguments ------------------------------------------------------------------------------

TEMPLATE = ["path is not a valid format string", "write it like"]
BAD_ARGUMENTS = [
    *[(kind, *bad) for kind in (EarlyStopping, ReduceLROnPlateau) for bad in [
        ({"monitor": 3}, TypeError, ["monitor must be a name such as 'val_loss'; got 3"]),
        ({"monitor": ""}, ValueError, ["monitor must be a name such as 'val_loss'; got ''"]),
        ({"mode": "mim"}, ValueError, ["mode must be one of 'auto', 'min', 'max'", "mean 'min'?"]),
        ({"mode": None}, TypeError, ["mode must be one of", "got None"]),
        ({"min_delta": -1}, ValueError, ["min_delta must be at least 0", "got -1"]),
        ({"min_delta": NAN}, ValueError, ["min_delta must be at least 0", "got nan"]),
        ({"min_delta": "0"}, TypeError, ["min_delta must be a number; got '0'"]),
        ({"patience": -1}, ValueError, ["patience must be at least 0; got -1"]),
        ({"patience": 1.5}, TypeError, ["patience must be an integer; got 1.5"]),
        ({"patience": True}, TypeError, ["patience must be an integer; got True"]),
    ]],
    (EarlyStopping, {"baseline": INF}, ValueError, ["baseline must be at most", "got inf"]),
    (EarlyStopping, {"baseline": "x"}, TypeError, ["baseline must be a number; got 'x'"]),
    (EarlyStopping, {"restore_best_weights": 1}, TypeError,
     ["restore_best_weights must be True or False; got 1"]),
    (EarlyStopping, {"start_from_epoch": -1}, ValueError, ["start_from_epoch must be at least 0"]),
    (ReduceLROnPlateau, {"factor": 1}, ValueError, ["factor must be above 0 and below 1; got 1"]),
    (ReduceLROnPlateau, {"factor": 0.0}, ValueError, ["factor must be above 0 and below 1"]),
    (ReduceLROnPlateau, {"cooldown": -1}, ValueError, ["cooldown must be at least 0; got -1"]),
    (ReduceLROnPlateau, {"min_lr": -0.1}, ValueError, ["min_lr must be at least 0", "got -0.1"]),
    (ModelCheckpoint, {"path": 3}, TypeError, ["path must be a str or a path; got 3"]),
    (ModelCheckpoint, {"path": b"a"}, TypeError, ["path must be a str or a path; got b'a'"]),
    (ModelCheckpoint, {"path": ""}, ValueError, ["path must end with the name of a file; got ''"]),
    (ModelCheckpoint, {"path": "a/"}, ValueError, ["path must end with the name of a file"]),
    (ModelCheckpoint, {"path": "a{epoch"}, ValueError, [*TEMPLATE, "got 'a{epoch'"]),
    (ModelCheckpoint, {"path": "a}"}, ValueError, [*TEMPLATE, "{{ for a brace"]),
    (ModelCheckpoint, {"path": "a{}"}, ValueError, [*TEMPLATE, "a field must be"]),
    (ModelCheckpoint, {"path": "a{0}"}, ValueError, [*TEMPLATE, "a field must be"]),
    (ModelCheckpoint, {"path": "a{epoch.real}"}, ValueError, [*TEMPLATE, "a field must be"]),
    (ModelCheckpoint, {"path": "a{epoch[0]}"}, ValueError, [*TEMPLATE, "a field must be"]),
    (ModelCheckpoint, {"path": "a{epoch:.3q}"}, ValueError, TEMPLATE),
    (ModelCheckpoint, {"path": "a{loss:d}"}, ValueError, TEMPLATE),
    (ModelCheckpoint, {"path": "a{epoch!z}"}, ValueError, TEMPLATE),
    (ModelCheckpoint, {"path": "a{epoch:{loss}}"}, ValueError, TEMPLATE),
    (ModelCheckpoint, {"path": "a", "monitor": None}, TypeError, ["monitor must be a name"]),
    (ModelCheckpoint, {"path": "a", "mode": "best"}, ValueError, ["mode must be one of"]),
    (ModelCheckpoint, {"path": "a", "save_best_only": 1}, TypeError, ["save_best_only must be"]),
    (ModelCheckpoint, {"path": "a", "period": 0}, ValueError, ["period must be at least 1; got 0"]),
    (LearningRateScheduler, {"schedule": 0.1}, TypeError, ["schedule must be a function", "0.1"]),
    (LearningRateScheduler, {"schedule": lambda: 0.1}, TypeError,
     ["schedule must be a function of the epoch, or of the epoch and the learning rate", "()"]),
    (LearningRateScheduler, {"schedule": lambda a, b, c: 0.1}, TypeError, ["takes (a, b, c)"]),
    (LearningRateScheduler, {"schedule": lambda a, *, b: 0.1}, TypeError, ["takes (a, *, b)"]),
    (CSVLogger, {"path": None}, TypeError, ["path must be a str or a path; got None"]),
    (CSVLogger, {"path": "a/"}, ValueError, ["path must end with the name of a file; got 'a/'"]),
    (CSVLogger, {"path": "a", "separator": 1}, TypeError, ["separator must be one character"]),
    *[(CSVLogger, {"path": "a", "separator": s}, ValueError, ["separator must be one", repr(s)])
      for s in ("", ", ", "e", "1", ".", "-", "_", '"', "\n")],
    (CSVLogger, {"path": "a", "append": "yes"}, TypeError, ["append must be True or False"]),
    (ProgressBar, {"show": "yes"}, TypeError,
     ["show must be True, False or None (on a terminal or in a notebook); got 'yes'"]),
    (ProgressBar, {"show": 1}, TypeError, ["show must be True, False or None"]),
    (ProgressBar, {"stream": "log.txt"}, TypeError, ["stream must be a text stream", "'log.txt'"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "error", "fragments"), BAD_ARGUMENTS)
def test_bad_arguments(kind, options, error, fragments):
    refuses(error, fragments, lambda: kind(**options))
