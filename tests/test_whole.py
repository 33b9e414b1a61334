"""Fits that the engine carries out by itself: they are those of the loop in Python, bit for bit.

A callback that does nothing makes a fit go through that loop. Not here: many of them in one call
(test_many.py).
"""

import itertools
import signal

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Callback,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    History,
    LayerNorm,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Standardize,
    StepDecay,
    SwapEMAWeights,
    fit_many,
    initializers,
)
from fastnn._precision import KERNELS
from fastnn.metrics import TopKAccuracy, resolve
from fastnn.training import whole

rng = np.random.default_rng(3)
N = 130
X = rng.normal(size=(N, 3))
Y = X[:, :1] - X[:, 1:2] * X[:, 2:] + 0.1 * rng.normal(size=(N, 1))
LABELS = np.digitize(Y[:, 0], [-0.5, 0.7])
WEIGHTS = rng.uniform(0, 2, N)


class Idle(Callback):
    """Does nothing, but is a listener that the engine doesn't know."""


def stopping(**options):
    return lambda: EarlyStopping(**{"patience": 2, **options})


def lowering(**options):
    return lambda: ReduceLROnPlateau(**{"patience": 1, "factor": 0.5, **options})


RULES = {
    "none": [],
    "stops": [stopping()],
    "stops, with the best": [stopping(restore_best_weights=True)],
    "stops by the loss": [stopping(monitor="loss", min_delta=0.01)],
    "stops upwards": [stopping(mode="max", restore_best_weights=True, patience=3)],
    "stops later": [stopping(patience=0, start_from_epoch=5, restore_best_weights=True)],
    "stops by a baseline": [stopping(baseline=0.2), stopping(baseline=9.0, patience=4)],
    "lowers": [lowering(min_delta=0.05)],
    "lowers, with a pause": [lowering(monitor="loss", patience=0, cooldown=2, min_delta=0.1)],
    "lowers to a floor": [lowering(patience=1, factor=0.1, min_lr=1e-3, min_delta=1.0)],
    "lowers and stops": [
        lowering(min_delta=0.02),
        stopping(patience=3, min_delta=0.02, restore_best_weights=True),
    ],
    "lowers twice": [lowering(min_delta=0.02), lowering(mode="max", min_delta=0.3)],
}


def net_of(optimizer="adam", layers=None, n_out=1, **options):
    settings = {"loss": "squared_error", "seed": 1, **options}
    return MLP(3, layers or [Dense(9, "relu"), Dense(n_out)], optimizer=optimizer, **settings)


def course(net, rules, listened, **options):
    """Fit, and return all that is known afterwards."""
    callbacks = [rule() for rule in rules]
    listeners = [*callbacks, Idle()] if listened else callbacks
    spec = net._state.specification
    metrics = resolve(options.get("metrics", ()), spec.loss, spec.n_out)
    assert whole.is_possible(spec, listeners, metrics) is not listened
    history = net.fit(X, options.pop("y", Y), callbacks=listeners, **options)
    states = [
        {name: np.concatenate([w.ravel() for w in v]).tobytes() if isinstance(v, list) else v
         for name, v in callback.get_state().items()}
        for callback in callbacks
    ]  # fmt: skip
    now = net._state.snapshot()
    blocks = [[array.tobytes() for array in block] for block in now.blocks]
    counts = now.step, now.epoch, now.shuffler, net.learning_rate, net.optimizer
    return history.epoch, history.history, states, blocks, counts


def same(make, rules, **options):
    """Compare both ways; return the history."""
    found, expected = (course(make(), rules, listened, **options) for listened in (False, True))
    for part, twin in zip(found, expected, strict=True):
        assert part == twin
    return found[1]


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_rules_follow_losses_as_the_callbacks_do(rules):
    options = {"validation_split": 0.3, "epochs": 25, "batch_size": 8}
    history = same(lambda: net_of(Adam(0.05)), rules, **options)
    assert ("learning_rate" in history) == any(isinstance(r(), ReduceLROnPlateau) for r in rules)


def test_every_rule_does_something():
    """Otherwise the comparison above would mean little."""
    options = {"validation_split": 0.3, "batch_size": 8}
    for name, rules in RULES.items():
        net = net_of(Adam(0.05))
        history = net.fit(X, Y, epochs=25, callbacks=[rule() for rule in rules], **options)
        stopped = len(history.epoch) < 25
        lowered = net.learning_rate < 0.05
        assert stopped == ("stops" in name), name
        assert lowered == ("lowers" in name), name


LAYERS = [
    [Dense(9, "relu"), Dense(1)],
    [Dense(3, "tanh"), Dense(1)],
    [Standardize(), Dense(20, "gelu"), Dropout(0.3), LayerNorm(), Dense(5, l2=0.01), Dense(1)],
]
OPTIMIZERS = [
    SGD(0.002, momentum=0.9),
    Adam(CosineDecay(0.05, 40)),
    AdamW(StepDecay(0.05, 2, per="epoch"), use_ema=True, clipnorm=1.0),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
@pytest.mark.parametrize("layers", LAYERS, ids=["few", "tiny", "many"])
def test_networks_of_all_kinds(layers, optimizer, dtype):
    def make():
        return net_of(optimizer, layers, dtype=dtype, n_threads=2)

    batches, shuffles = itertools.cycle([1, 32, None]), itertools.cycle([True, False])
    for weighted, validated in itertools.product([False, True], repeat=2):
        same(
            make,
            [stopping(patience=3, restore_best_weights=True)] if validated else [],
            epochs=5,
            batch_size=next(batches),
            shuffle=next(shuffles),
            sample_weight=WEIGHTS if weighted else None,
            validation_data=(X[:20], Y[:20], WEIGHTS[:20]) if validated else None,
        )


# ---- moving averages ----------------------------------------------------------------------------


class Recording(Callback):
    """Evaluates the averages of the weights after each epoch, and keeps them."""

    def on_epoch_end(self, epoch, logs):
        twin = self.model.averaged()
        self.found = [*getattr(self, "found", []), (twin.evaluate(X[:20], Y[:20]), twin)]


def squared(y_true, y_pred):
    """Squared error as a user's function, which the engine cannot call."""
    error = y_pred - y_true
    return 0.5 * (error**2).sum(axis=1), error


AVERAGING = AdamW(0.05, use_ema=True, ema_momentum=0.8)
AVERAGED = {
    "all": [Dense(9, "relu", l2=0.01), LayerNorm(), Dense(5, use_bias=False), Dense(1)],
    "some frozen": [Dense(9, "relu"), Dense(7, "tanh", trainable=False), Dense(1)],
    "standardized": [Standardize(), Dense(20, "gelu"), Dropout(0.3), Dense(1)],
}


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", squared])
@pytest.mark.parametrize("layers", AVERAGED.values(), ids=AVERAGED)
def test_validation_judges_the_moving_averages_of_the_weights(layers, loss, listened):
    options = {"epochs": 6, "batch_size": 8, "validation_data": (X[:20], Y[:20])}
    record = Recording()
    net_of(AVERAGING, layers, loss=loss).fit(X, Y, callbacks=[record], **options)
    twin = net_of(AVERAGING, layers, loss=loss)
    stop = stopping(patience=9, restore_best_weights=True)()
    callbacks = [stop, SwapEMAWeights(), *([Idle()] if listened else [])]
    history = twin.fit(X, Y, callbacks=callbacks, **options)
    values = [value for value, _ in record.found]
    assert history.history["val_loss"] == values
    assert stop.best == min(values)
    best = record.found[stop.best_epoch][1]
    assert all(map(np.array_equal, twin.get_weights(), best.get_weights()))
    assert len(set(values)) == 6


def test_metrics_of_validation_are_those_of_the_moving_averages():
    net = net_of(AVERAGING)
    options = {"validation_data": (X[:20], Y[:20]), "metrics": ["mae"]}
    history = net.fit(X, Y, callbacks=[SwapEMAWeights()], **options)
    expected = net.averaged().evaluate(X[:20], Y[:20], metrics=["mae"])
    assert {name: history.history[f"val_{name}"][0] for name in expected} == expected
    assert net.evaluate(X[:20], Y[:20]) != expected["loss"]


def test_a_checkpoint_of_the_best_epoch_has_its_averages(tmp_path):
    path, record = tmp_path / "best.safetensors", Recording()
    options = {"epochs": 8, "batch_size": 8, "validation_data": (X[:20], Y[:20])}
    keep = ModelCheckpoint(path, save_best_only=True)
    net_of(AVERAGING).fit(X, Y, callbacks=[record, keep, SwapEMAWeights()], **options)
    value, best = min(record.found, key=lambda found: found[0])
    twin = fastnn.load(path).averaged()
    assert keep.best == value
    assert all(map(np.array_equal, twin.get_weights(), best.get_weights()))


def test_without_the_callback_validation_judges_the_weights():
    net = net_of(AVERAGING)
    history = net.fit(X, Y, validation_data=(X[:20], Y[:20]))
    assert history.history["val_loss"] == [net.evaluate(X[:20], Y[:20])]


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_rules_follow_the_losses_of_moving_averages_as_the_callbacks_do(rules):
    options = {"validation_split": 0.3, "epochs": 25, "batch_size": 8}
    same(lambda: net_of(AVERAGING), [SwapEMAWeights, *rules], **options)


@pytest.mark.parametrize("listened", [False, True])
def test_an_optimizer_without_averages_has_none_to_judge(listened):
    net = net_of("adam")
    before = net.get_weights()
    callbacks = [SwapEMAWeights(), *([Idle()] if listened else [])]
    with pytest.raises(ValueError, match="'adam' keeps no moving average"):
        net.fit(X, Y, callbacks=callbacks, validation_split=0.2)
    with pytest.raises(ValueError, match="'adam' keeps no moving average"):
        fit_many([net_of("adam")], X, Y, callbacks=callbacks, validation=0.2)
    assert all(map(np.array_equal, net.get_weights(), before))


def test_classes_and_class_weights():
    def make():
        layers = [Dense(8, "tanh"), Dense(3, "softmax")]
        return net_of(layers=layers, loss="cross_entropy", n_out=3)

    y = np.array(["a", "b", "c"])[LABELS]
    same(make, RULES["lowers and stops"], y=y, epochs=9, class_weight="balanced",
         validation_split=0.2)  # fmt: skip


CLASSES = {"layers": [Dense(8, "tanh"), Dense(3, "softmax")], "loss": "cross_entropy"}
SIDES = {"layers": [Dense(8, "tanh"), Dense(2, "sigmoid")], "loss": "binary_cross_entropy"}
ONE_HOT = np.eye(3)[LABELS]
OF_NUMBERS = ["mae", "r2", {"error": "mse"}]
OF_CLASSES = ["accuracy", {"two": TopKAccuracy(2)}, "roc_auc"]
JUDGED = {
    "numbers": ({}, Y, OF_NUMBERS, "val_error"),
    "several numbers": ({"layers": [Dense(8, "relu"), Dense(2)]}, X[:, :2], OF_NUMBERS, "val_r2"),
    "labels": (CLASSES, LABELS, OF_CLASSES, "val_accuracy"),
    "rows of classes": (CLASSES, ONE_HOT, OF_CLASSES, "val_two"),
    "sides": (SIDES, (X[:, :2] > 0) * 1.0, ["roc_auc", "accuracy"], "val_roc_auc"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, WEIGHTS + 0.1], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("case", JUDGED.values(), ids=JUDGED)
def test_metrics_and_rules_that_follow_them(case, weights, dtype):
    options, y, metrics, monitor = case
    follow = {"monitor": monitor, "patience": 2}
    rules = [
        lambda: EarlyStopping(**follow, restore_best_weights=True, min_delta=0.001),
        lambda: ReduceLROnPlateau(**follow | {"patience": 1}),
        lambda: EarlyStopping(monitor.removeprefix("val_"), patience=4),
    ]
    for batch, some in [(8, rules), (1, rules[:1]), (None, [])]:
        history = same(
            lambda: net_of(Adam(0.03), dtype=dtype, n_threads=2, **options), some, y=y,
            metrics=metrics, batch_size=batch, epochs=12, validation_split=0.3,
            sample_weight=weights,
        )  # fmt: skip
        assert monitor in history


def error(y_true, y_pred):
    """A metric of a user."""
    return float(np.abs(y_true - y_pred).max())


@pytest.mark.parametrize("rows", ["weights of 0", "weights of outputs", "a function", "averages"])
def test_metrics_that_the_engine_leaves_to_python(rows, monkeypatch):
    """And averages, which it does not leave."""
    options = {"metrics": ["mae"], "epochs": 2, "validation_split": 0.2}
    if rows == "weights of 0":
        options["sample_weight"] = np.arange(N) % 3
    elif rows == "weights of outputs":
        options["sample_weight"] = np.ones((N, 2))
    elif rows == "a function":
        options["metrics"] = [error]
    else:
        same(lambda: net_of(AVERAGING), [SwapEMAWeights, *RULES["stops, with the best"]], **options)
        return
    monkeypatch.setattr(whole, "WholeFits", None)
    net = net_of(layers=[Dense(9, "relu"), Dense(2)])
    assert len(net.fit(X, X[:, :2], **options).epoch) == 2


def test_a_second_fit_goes_on_where_the_first_ended():
    twins = [net_of(), net_of()]
    for net, listeners in zip(twins, ([], [Idle()]), strict=True):
        net.fit(X, Y, epochs=3)
        net.fit(X, Y, epochs=2, callbacks=listeners)
    assert all(map(np.array_equal, *(net.get_weights() for net in twins)))


@pytest.mark.parametrize("rules", [[], RULES["stops, with the best"]], ids=["alone", "stops"])
@pytest.mark.parametrize("learning_rate", [1e6, 3.0])
def test_divergence_is_the_same_error(rules, learning_rate):
    messages, states = [], []
    for listened in (False, True):
        net = net_of(SGD(learning_rate))
        listeners = [*(rule() for rule in rules), *([Idle()] if listened else [])]
        with pytest.raises(FloatingPointError) as caught:
            net.fit(X, 1e3 * Y, epochs=50, validation_split=0.2, callbacks=listeners)
        messages.append(str(caught.value))
        states.append(([w.tobytes() for w in net.get_weights()], net.step, net.epoch))
    assert messages[0] == messages[1]
    assert states[0] == states[1]


@pytest.mark.parametrize("batch_size", [20, 45, None])
@pytest.mark.parametrize("learning_rate", [300.0, 10.0, 3.0, 1.0])
def test_epochs_whose_updates_a_divergence_discards_do_not_count(batch_size, learning_rate):
    """The last update of an epoch may make the loss infinite, which only listeners see then."""

    def trained(fit):
        net = net_of(SGD(learning_rate))
        net.fit(X, 1e-3 * Y, epochs=2, batch_size=N)  # epochs and steps before the fit
        first = net.step, net.epoch
        fit(net, X, 1e3 * Y, epochs=90, batch_size=batch_size)
        assert net.epoch - first[1] == (net.step - first[0]) // -(-N // (batch_size or N))
        return net

    def alone(net, *rows, **options):
        with pytest.raises(FloatingPointError):
            net.fit(*rows, **options)

    def listened(net, *rows, **options):
        alone(net, *rows, callbacks=[Idle()], **options)

    def ruled(net, *rows, **options):
        alone(net, *rows, callbacks=[EarlyStopping(patience=99, monitor="loss")], **options)

    def unconverted(net, X, y, **options):
        alone(net, X.astype(net.dtype), y.astype(net.dtype), **options)

    def many(net, *rows, **options):
        fit_many([net], *rows, on_error="record", **options)

    def many_listened(net, *rows, **options):
        many(net, *rows, callbacks=lambda number: [Idle()], **options)

    nets = [trained(f) for f in (alone, listened, ruled, unconverted, many, many_listened)]
    assert len({(net.step, net.epoch) for net in nets}) == 1


def test_penalties_that_overflow_are_the_same_error():
    messages = []
    for listeners in ([], [Idle()]):
        net = net_of(layers=[Dense(4, l2=1e30), Dense(1)])
        net.set_weights([1e10 * w for w in net.get_weights()])
        with pytest.raises(FloatingPointError) as caught:
            net.fit(X, Y, callbacks=listeners)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "penalties" not in messages[0] or "of its penalties" in messages[0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
@pytest.mark.parametrize("epochs", [1 << 16, 1 << 40], ids=["at once", "in parts"])
def test_a_handler_of_signals_may_stop_the_fit_after_an_epoch(epochs):
    net, rows = net_of(n_threads=1), np.tile(X, (20, 1)).astype(np.float32)
    targets = np.tile(Y, (20, 1)).astype(np.float32)

    def stop(*_):
        net.stop_training = True

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        history = net.fit(rows, targets, epochs=epochs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(history.epoch) == net.epoch < epochs
    assert net.step == net.epoch * 82  # whole epochs of 2,600 rows


def test_hooks_that_a_user_sets_on_a_rule_are_called():
    rule = EarlyStopping("loss", patience=5)
    seen = []
    rule.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    net_of().fit(X, Y, epochs=3, callbacks=[rule])
    assert seen == [0, 1, 2]


def test_a_rule_that_continues_from_a_state_is_called_by_python():
    rule = EarlyStopping("loss", patience=5)
    net_of().fit(X, Y, epochs=3, callbacks=[rule])
    again = EarlyStopping("loss", patience=5)
    again.set_state(rule.get_state())
    assert not whole.is_possible(net_of()._state.specification, [again])


def test_more_epochs_than_are_trained_at_once(monkeypatch):
    from fastnn.training import loop

    monkeypatch.setattr(loop, "EPOCHS_AT_ONCE", 4)
    same(net_of, RULES["lowers and stops"], epochs=30, validation_split=0.3)
    same(net_of, [], epochs=9)


SEEDS = [*range(40), 2**32 - 1, 2**32, 2**64 - 1, 2**64, 2**96 + 5, 2**128 - 1, 2**128, 3**400]


@pytest.mark.parametrize("kernels", KERNELS.values(), ids=str)
@pytest.mark.parametrize("child", [0, 1, 2, 2**32 - 1])
def test_random_numbers_are_numpys(kernels, child):
    """Orders are those of this version: NumPy promises the stream of the bit generator alone."""
    for seed in SEEDS:
        seeds = np.random.SeedSequence(seed, spawn_key=(child,))
        assert kernels.seed_of_child(seed, child) == seeds.generate_state(1, np.uint64)[0]
        ours, theirs = kernels.Shuffler(seed, child), np.random.default_rng(seeds)
        assert ours.state == theirs.bit_generator.state
        for n in (1, 2, 3, 4, 5, 8, 9, 100):
            np.testing.assert_array_equal(ours.permutation(n), theirs.permutation(n))
            assert ours.state == theirs.bit_generator.state
        other = kernels.Shuffler(0, 0)
        other.state = ours.state
        np.testing.assert_array_equal(other.permutation(65537), theirs.permutation(65537))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_uniform", "lecun_uniform", "zeros"])
def test_weights_are_those_that_numpy_draws(initializer, dtype):
    for seed in SEEDS:
        layers = [Dense(n, "tanh", initializer=initializer) for n in (700, 3)]
        net = MLP(211, layers, loss="squared_error", optimizer="sgd", dtype=dtype, seed=seed)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
        for W in net.get_weights()[::2]:
            rows = [some for _, some in initializers.draw(initializer, rng, W.shape)]
            np.testing.assert_array_equal(np.concatenate(rows).astype(dtype), W)


def test_history_is_the_same_by_hooks_and_by_take():
    by_hooks, taken = History(), History()
    for epoch, loss in enumerate([3.0, 2.0, 1.0]):
        by_hooks.on_epoch_end(epoch, {"loss": loss})
    taken.take({"loss": np.array([3.0])})
    taken.take({"loss": np.array([2.0, 1.0])})
    taken.take({"loss": np.array([])})
    assert (by_hooks.epoch, by_hooks.history) == (taken.epoch, taken.history)
