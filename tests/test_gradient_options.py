"""Options of an update: clipping, moving averages, frozen layers; and standardized inputs.

Training is compared with the reference, in float64 to 1e-10 and in float32 to its rounding, for all
forms of a step: tiny networks, single rows, batches, and batches of several rounds of 1024 rows.
Not here: the rules themselves (test_optimizers.py), schedules (test_schedules.py).
"""

import copy
import dataclasses
import itertools
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    CosineDecay,
    Dense,
    Dropout,
    LayerNorm,
    Residual,
    Standardize,
    _checks,
    reference,
)
from fastnn.training.rows import is_large

EXACT = {"rtol": 1e-10, "atol": 1e-10}
ROWS = 1100  # two rounds, if they are one batch

# From 20 inputs to 3 outputs, but the tiny ones: panels that are full and not, narrow layers
# (stored transposed) with inputs that fill panels or don't, layers without bias.
LAYERS = {
    "tiny": [Dense(4, "tanh"), Dense(3, "relu", use_bias=False), Dense(3)],
    "on-line": [Dense(32, "tanh"), Dense(17, "relu", use_bias=False), Dense(48), Dense(3)],
    "narrow": [Dense(1, "tanh"), Dense(4, "tanh", use_bias=False), Dense(2, "tanh"), Dense(3)],
    "penalized": [
        Dropout(0.1), Dense(17, "tanh", l2=0.01), Dropout(0.3),
        Dense(33, "relu", l1=0.01, use_bias=False), Dense(3, l1=0.01, l2=0.02),
    ],
}  # fmt: skip


def network(layers, rule, dtype="float64", n_threads=None, **options):
    n_in = 2 if layers == "tiny" else 20
    layers = LAYERS.get(layers, layers) if isinstance(layers, str) else layers
    options = {"loss": "squared_error", "seed": 3} | options
    return MLP(n_in, layers, optimizer=rule, dtype=dtype, n_threads=n_threads, **options)


def rows_for(net, n=12):
    """X, T and sample weights."""
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, net.n_in))
    return X, rng.normal(size=(n, net.n_out)), rng.uniform(0.5, 2, n)


def assert_same(arrays, expected, bounds=EXACT):
    for i, (w, truth) in enumerate(zip(arrays, expected, strict=True)):
        np.testing.assert_allclose(w, truth, **bounds, err_msg=f"array {i}")


def assert_same_bits(arrays, expected):
    for w, same in zip(arrays, expected, strict=True):
        assert w.tobytes() == same.tobytes()


def follow(net, X, t, weight=None, batch=None, epochs=2, twin=None):
    """Fit the network and its twin; hold losses, weights and averages together."""
    twin = reference.Network.like(net) if twin is None else twin
    shuffler = copy.deepcopy(net._state.shuffler)
    losses = net.fit(X, t, batch_size=batch, epochs=epochs, sample_weight=weight).history["loss"]
    orders = [shuffler.permutation(len(X)) for _ in range(epochs)]
    expected = [twin.fit_epoch(X, t, order, batch, weight) for order in orders]
    np.testing.assert_allclose(losses, expected, **EXACT)
    assert_same(net.get_weights(), twin.get_weights())
    if net.optimizer.use_ema:
        assert_same(net.get_ema_weights(), twin.average)
    return twin


def bound(how, net, X, t, weight=None):
    """Return {how: bound}, a bound that some of the network's gradients exceed."""
    _, gradients = net.loss_and_gradients(X, t, weight)
    norms = [np.linalg.norm(g) for g in gradients]
    return {
        how: {
            "clipvalue": np.median(np.abs(np.concatenate([g.ravel() for g in gradients]))),
            "clipnorm": np.median(norms),
            "global_clipnorm": 0.5 * np.linalg.norm(norms),
        }[how]
    }


clips = pytest.mark.parametrize("how", _checks.CLIPS)
ways = pytest.mark.parametrize(
    ("layers", "batch", "n"),
    [(layers, batch, 12) for layers in LAYERS for batch in (1, 3, None)]
    + [(layers, None, ROWS) for layers in LAYERS],
)

# ---- clipping -----------------------------------------------------------------------------------


@clips
@ways
def test_clipped_training_is_the_references(isa, how, layers, batch, n):
    net = network(layers, SGD(0.02, momentum=0.5))
    X, t, weight = rows_for(net, n)
    limit = bound(how, net, X, t, weight)
    free = net.copy()
    net = network(layers, SGD(0.02, momentum=0.5, **limit))
    follow(net, X, t, weight, batch)
    free.fit(X, t, batch_size=batch, epochs=2, sample_weight=weight)
    far = [np.abs(a - b).max() for a, b in zip(net.get_weights(), free.get_weights(), strict=True)]
    assert max(far) > 1e-4


@clips
@pytest.mark.parametrize("layers", ["narrow", "penalized"])
def test_clipping_with_every_optimizer(optimizer, how, layers):
    net = network(layers, optimizer)
    X, t, weight = rows_for(net)
    rule = dataclasses.replace(optimizer, learning_rate=0.01, **bound(how, net, X, t))
    follow(network(layers, rule), X, t, weight, 5)


@clips
@ways
def test_clipping_in_float32(isa, how, layers, batch, n):
    """One epoch from the same weights; a tenth of the bound is far outside the rounding."""
    net = network(layers, SGD(0.05), "float32")
    X, t, _ = rows_for(net, n)
    X, t = X.astype("float32"), t.astype("float32")
    limit = bound(how, net, X, t)
    net = network(layers, SGD(0.05, **limit), "float32")
    twin = reference.Network.like(network(layers, SGD(0.05, **limit)))
    twin.set_weights([w.astype(float) for w in net.get_weights()])
    net.fit(X, t, batch_size=batch, shuffle=False)
    twin.fit_epoch(X, t, np.arange(n), batch)
    near = {"rtol": 0, "atol": 32 * np.finfo("float32").eps}
    assert_same(net.get_weights(), twin.get_weights(), near)


def test_padding_counts_in_no_norm(isa, pair, targets, rng):
    """Whatever losses and outputs make of the columns that fill up a panel."""
    loss, output = pair
    layers = [Dense(5, "sigmoid"), Dense(7, "softplus"), Dense(6, output)]
    net = MLP(3, layers, loss=loss, optimizer="sgd", dtype="float64", seed=0)
    X = 0.3 * rng.normal(size=(9, 3))
    t = targets(loss, net.predict(X), rng)
    rule = SGD(0.01, **bound("global_clipnorm", net, X, t))
    follow(MLP(3, layers, loss=loss, optimizer=rule, dtype="float64", seed=0), X, t, batch=4)


def test_a_wrong_bound_is_found():
    net = network("on-line", SGD(0.05, clipnorm=0.1))
    twin = reference.Network.like(network("on-line", SGD(0.05, clipnorm=0.1 * (1 + 1e-6))))
    with pytest.raises(AssertionError):
        follow(net, *rows_for(net), twin=twin)


@clips
@pytest.mark.parametrize("batch", [1, 5, None])
def test_a_bound_that_no_gradient_reaches_changes_nothing(how, batch):
    one, other = network("penalized", Adam()), network("penalized", Adam(**{how: 1e6}))
    X, t, weight = rows_for(one)
    for net in (one, other):
        net.fit(X, t, batch_size=batch, sample_weight=weight, epochs=3)
    assert_same(one.get_weights(), other.get_weights(), {"rtol": 0, "atol": 1e-13})


def test_clipping_by_hand():
    """E = (3 w - 0)^2 / 2 with w = (4, b = 0), dE/dw = 36, dE/db = 12: a norm of 12 sqrt 10."""
    for options, moved in [
        ({}, (36, 12)),
        ({"clipvalue": 20}, (20, 12)),
        ({"clipnorm": 18}, (18, 12)),
        ({"global_clipnorm": 6 * 10**0.5}, (18, 6)),
        ({"global_clipnorm": 40}, (36, 12)),
    ]:
        net = MLP(1, [Dense(1)], loss="squared_error", optimizer=SGD(1, **options), dtype="float64")
        net.set_weights([[[4.0]], [0.0]])
        net.train_on_batch([[3.0]], [0.0])
        w, b = (w.item() for w in net.get_weights())
        assert (4 - w, -b) == pytest.approx(moved, rel=1e-14), options


@clips
def test_gradients_that_are_asked_for_are_not_clipped(how):
    net, free = network("penalized", SGD(**{how: 1e-3})), network("penalized", SGD())
    X, t, weight = rows_for(net)
    for training in (False, True):
        loss, gradients = net.loss_and_gradients(X, t, weight, training=training)
        expected, truth = free.loss_and_gradients(X, t, weight, training=training)
        assert loss == expected
        assert_same_bits(gradients, truth)


def test_one_way_to_clip():
    for one, other in itertools.combinations(_checks.CLIPS, 2):
        with pytest.raises(ValueError, match=f"{one}=1 and {other}=2 cannot both"):
            SGD(**{one: 1.0, other: 2.0})
    for how in _checks.CLIPS:
        for wrong in (0.0, -1.0, np.nan, np.inf):
            with pytest.raises(ValueError, match=how):
                SGD(**{how: wrong})


# ---- clipping, against others -------------------------------------------------------------------

LARGE = 1e7  # gradients: torch adds 1e-6 to a norm before it divides by that


def assert_same_as(step_of, how, bounds=EXACT):
    """20 steps of another library's clipping and plain descent, gradients from the reference.

    `step_of(weights, limit)` returns a function that takes gradients to the next weights.
    """
    net = network("on-line", SGD(1e-8), reduction="sum")
    X, t, weight = rows_for(net)
    weight = LARGE / len(X) * weight
    limit = float(bound(how, net, X, t, weight)[how])
    net = network("on-line", SGD(1e-8, **{how: limit}), reduction="sum")
    twin = reference.Network.like(net)
    step = step_of([w.copy() for w in twin.get_weights()], limit)
    for _ in range(20):
        net.train_on_batch(X, t, weight)
        _, gradients = twin.loss_and_gradients(X, t, weight)
        twin.set_weights(step(gradients))
    assert_same(net.get_weights(), twin.get_weights(), bounds)


@clips
def test_torchs_clipping(how):
    torch = pytest.importorskip("torch")

    def step_of(weights, limit):
        tensors = [torch.from_numpy(w) for w in weights]
        rule = torch.optim.SGD(tensors, lr=1e-8)

        def step(gradients):
            for w, g in zip(tensors, gradients, strict=True):
                w.grad = torch.from_numpy(np.ascontiguousarray(g))
            if how == "clipvalue":
                torch.nn.utils.clip_grad_value_(tensors, limit)
            for group in [tensors] if how == "global_clipnorm" else [[w] for w in tensors]:
                if how != "clipvalue":
                    torch.nn.utils.clip_grad_norm_(group, limit)
            rule.step()
            return [w.numpy().copy() for w in tensors]

        return step

    assert_same_as(step_of, how)


def values(variables):
    """Copies of Keras' variables, of torch's backend."""
    return [v.value.detach().numpy().copy() for v in variables]


def keras_rule(keras, weights, *args, **options):
    """Return Keras' SGD, and a function that makes a step and returns the weights."""
    rule = keras.optimizers.SGD(*args, **options)
    variables = [keras.Variable(w, dtype="float64") for w in weights]
    rule.build(variables)

    def step(gradients):
        tensors = [keras.ops.convert_to_tensor(np.ascontiguousarray(g)) for g in gradients]
        rule.apply(tensors, variables)
        return values(variables)

    return rule, step


@clips
def test_keras_clipping(keras, how):
    """Theirs takes the norms in float32; the weights move by 0.01 and more."""

    def step_of(weights, limit):
        return keras_rule(keras, weights, 1e-8, **{how: limit})[1]

    assert_same_as(step_of, how, {"rtol": 0, "atol": 3e-8})


# ---- learning rates of layers -------------------------------------------------------------------


def with_multipliers(layers):
    """The layers, each Dense with a learning rate of its own."""
    numbers = itertools.cycle([4.0, 1.0, 0.25])
    return [
        dataclasses.replace(layer, learning_rate_multiplier=next(numbers))
        if isinstance(layer, Dense)
        else layer
        for layer in LAYERS[layers]
    ]


def network_of(layers, rule, kind):
    """Of those layers, with as many inputs as `network` gives the kind."""
    net = network(kind, rule)
    return MLP(net.n_in, layers, loss="squared_error", optimizer=rule, dtype="float64", seed=3)


@ways
def test_learning_rates_of_layers_are_the_references(isa, layers, batch, n):
    net = network_of(with_multipliers(layers), Adam(0.01, weight_decay=0.1), layers)
    X, t, weight = rows_for(net, n)
    follow(net, X, t, None if batch == 1 else weight, batch)


@clips
@pytest.mark.parametrize("layers", ["narrow", "penalized"])
def test_learning_rates_of_layers_with_every_optimizer(optimizer, how, layers):
    free = network_of(with_multipliers(layers), optimizer, layers)
    X, t, weight = rows_for(free)
    rule = dataclasses.replace(optimizer, learning_rate=0.01, use_ema=not optimizer.is_average)
    follow(network_of(with_multipliers(layers), rule, layers), X, t, weight, 5)
    limited = dataclasses.replace(rule, **bound(how, free, X, t))
    follow(network_of(with_multipliers(layers), limited, layers), X, t, weight, 5)


def test_learning_rates_of_layers_with_a_schedule():
    rule = Adam(CosineDecay(0.02, 10), weight_decay=0.1)
    net = network_of(with_multipliers("on-line"), rule, "on-line")
    follow(net, *rows_for(net), 5)


@pytest.mark.parametrize("layers", ["tiny", "on-line", "penalized"])
@pytest.mark.parametrize("batch", [1, 5])
def test_a_plain_step_scales_with_the_learning_rate_of_a_layer(layers, batch):
    """Bit for bit: a factor of 4 for all layers is that of the optimizer's rate."""
    fours = [
        dataclasses.replace(layer, learning_rate_multiplier=4.0)
        if isinstance(layer, Dense)
        else layer
        for layer in LAYERS[layers]
    ]
    nets = (
        network_of(fours, SGD(0.01, clipvalue=9.0), layers),
        network(layers, SGD(0.04, clipvalue=9.0)),
    )
    for net in nets:
        X, t, _ = rows_for(net)
        net.fit(X, t, batch_size=batch)
    assert_same_bits(*(net.get_weights() for net in nets))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_learning_rates_of_layers_on_any_threads(n_threads):
    layers = [Dense(300, "relu", learning_rate_multiplier=4.0), Dense(200, "relu"), Dense(3)]
    nets = [network(layers, Adam(0.01), n_threads=n) for n in (1, n_threads)]
    for net in nets:
        X, t, _ = rows_for(net, 600)
        net.fit(X, t, batch_size=300)
    assert_same_bits(*(net.get_weights() for net in nets))


# ---- averages -----------------------------------------------------------------------------------


@ways
def test_averages_are_the_references(isa, layers, batch, n):
    net = network(layers, SGD(0.05, use_ema=True, ema_momentum=0.9))
    X, t, weight = rows_for(net, n)
    assert_same_bits(net.get_ema_weights(), net.get_weights())
    twin = follow(net, X, t, None if batch == 1 else weight, batch, 1)
    follow(net, X, t, None, batch, 2, twin)  # goes on
    away = zip(net.get_ema_weights(), net.get_weights(), strict=True)
    assert max(np.abs(a - w).max() for a, w in away) > 1e-4


@pytest.mark.parametrize("layers", ["tiny", "on-line"])
@pytest.mark.parametrize("batch", [1, 5])
def test_averages_with_every_optimizer(optimizer, layers, batch):
    if optimizer.is_average:
        pytest.skip("the optimizer averages the weights itself")
    rule = dataclasses.replace(optimizer, learning_rate=0.01, use_ema=True, ema_momentum=0.8)
    net = network(layers, rule)
    follow(net, *rows_for(net), batch)


@clips
@pytest.mark.parametrize(("layers", "batch"), [*itertools.product(LAYERS, [1, 5, None])])
def test_averages_of_clipped_steps(isa, how, layers, batch):
    net = network(layers, Adam(0.01))
    limit = bound(how, net, *rows_for(net))
    net = network(layers, Adam(0.01, use_ema=True, ema_momentum=0.8, **limit))
    follow(net, *rows_for(net), batch)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_does_not_see_the_average(layers, batch, dtype):
    one = network(layers, Adam(0.01), dtype)
    other = network(layers, Adam(0.01, use_ema=True), dtype)
    X, t, _ = rows_for(one)
    for net in (one, other):
        net.fit(X, t, batch_size=batch)
    assert_same_bits(other.get_weights(), one.get_weights())


def test_the_average_by_hand():
    """The weight goes 0, 4, 6, 7, ...: after each step half the way to 8."""
    rule = SGD(0.5, use_ema=True, ema_momentum=0.75)
    net = MLP(1, [Dense(1, use_bias=False)], loss="squared_error", optimizer=rule, dtype="float64")
    net.set_weights([[[0.0]]])
    found = []
    for _ in range(3):
        net.train_on_batch([[1.0]], [8.0])
        found.append((net.get_weights()[0].item(), net.get_ema_weights()[0].item()))
    assert found == [(4, 4), (6, 4.5), (7, 5.125)]


@pytest.mark.parametrize("layers", LAYERS)
def test_an_average_without_momentum_is_the_weights(layers):
    net = network(layers, SGD(0.05, use_ema=True, ema_momentum=0.0))
    net.fit(*rows_for(net)[:2], batch_size=5, epochs=2)
    assert_same(net.get_ema_weights(), net.get_weights(), {"rtol": 0, "atol": 1e-15})


def test_averages_in_float32(isa):
    net = network("on-line", SGD(0.05, use_ema=True, ema_momentum=0.9), "float32")
    X, t, _ = rows_for(net)
    average = None
    for _ in range(30):
        net.train_on_batch(X, t)
        weights = [w.astype(float) for w in net.get_weights()]
        old = weights if average is None else average
        average = [0.9 * a + 0.1 * w for a, w in zip(old, weights, strict=True)]
    near = {"rtol": 0, "atol": 16 * np.finfo("float32").eps}
    assert_same(net.get_ema_weights(), average, near)


def test_torchs_averages():
    """Theirs begins with the first weights that it is given, ours with those after a step."""
    torch = pytest.importorskip("torch")
    swa = torch.optim.swa_utils
    net = network("on-line", Adam(0.01, use_ema=True, ema_momentum=0.9))
    X, t, _ = rows_for(net)
    module = torch.nn.ParameterList([torch.from_numpy(w) for w in net.get_weights()])
    averaged = swa.AveragedModel(module, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
    for _ in range(50):
        net.train_on_batch(X, t)
        with torch.no_grad():
            for w, new in zip(module, net.get_weights(), strict=True):
                w.copy_(torch.from_numpy(new))
        averaged.update_parameters(module)
    assert_same(net.get_ema_weights(), [w.detach().numpy() for w in averaged.module])


def test_keras_averages(keras):
    net = network("on-line", SGD(0.05, use_ema=True, ema_momentum=0.9))
    X, t, _ = rows_for(net)
    twin = reference.Network.like(net)
    rule, step = keras_rule(keras, net.get_weights(), 0.05, use_ema=True, ema_momentum=0.9)
    for _ in range(50):
        net.train_on_batch(X, t)
        twin.set_weights(step(twin.loss_and_gradients(X, t)[1]))
    theirs = values(rule._model_variables_moving_average)
    assert_same(net.get_weights(), twin.get_weights())
    assert_same(net.get_ema_weights(), theirs)


def test_an_averaged_network():
    net = network("penalized", Adam(0.01, use_ema=True, ema_momentum=0.9))
    X, t, _ = rows_for(net)
    net.fit(X, t, epochs=5)
    weights, twin = net.get_weights(), net.averaged()
    assert_same_bits(twin.get_weights(), net.get_ema_weights())
    assert np.abs(twin.predict(X) - net.predict(X)).max() > 1e-3
    twin.fit(X, t)
    assert_same_bits(net.get_weights(), weights)
    assert twin.step == net.step + 1


def test_without_an_average_there_is_none():
    net = network("tiny", SGD())
    for ask in (net.averaged, net.get_ema_weights):
        with pytest.raises(ValueError, match=r"'sgd' keeps no moving average .* use_ema=True"):
            ask()
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match="ema_momentum"):
            SGD(use_ema=True, ema_momentum=wrong)


# ---- frozen layers ------------------------------------------------------------------------------

FROZEN = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
frozen = pytest.mark.parametrize("which", FROZEN, ids=str)


def partly_frozen(layers, which):
    dense = itertools.count()
    return [
        dataclasses.replace(layer, trainable=next(dense) not in which)
        if isinstance(layer, Dense)
        else layer
        for layer in layers
    ]


STACKS = {
    "tiny": [Dense(4, "tanh"), Dense(3, "relu"), Dense(3)],
    "on-line": [Dense(32, "tanh"), Dense(17, "relu", use_bias=False), Dense(20)],
    "narrow": [Dense(16, "tanh"), Dense(3, "tanh", use_bias=False), Dense(1)],
    "penalized": LAYERS["penalized"],
}
stacks = pytest.mark.parametrize("stack", STACKS)


def of_layers(net, arrays):
    """A list of the arrays of each layer."""
    rest = iter(arrays)
    return [[next(rest) for _ in range(1 + layer.use_bias)] for layer in net.dense]


def assert_only_others_moved(net, before, which):
    pairs = zip(of_layers(net, before), of_layers(net, net.get_weights()), strict=True)
    for layer, (old, new) in enumerate(pairs):
        if layer in which:
            assert_same_bits(new, old)
        else:
            assert all(np.abs(w - start).max() > 1e-5 for w, start in zip(new, old, strict=True))


@pytest.mark.parametrize(
    ("which", "clip"),
    [
        ((0,), "global_clipnorm"),
        ((0,), None),
        ((1,), "clipnorm"),
        ((2,), "global_clipnorm"),
        ((0, 1), "clipvalue"),
        ((0, 2), "global_clipnorm"),
        ((1, 2), None),
    ],
    ids=str,
)
@stacks
@pytest.mark.parametrize(("batch", "n"), [(1, 12), (3, 12), (None, ROWS)])
def test_frozen_layers_stay_and_others_are_the_references(isa, which, stack, batch, n, clip):
    """Their penalties count in the loss; their gradients in no norm."""
    layers = partly_frozen(STACKS[stack], which)
    net = network(layers, SGD())
    X, t, weight = rows_for(net, n)
    limit = bound(clip, net, X, t) if clip else {}
    rule = SGD(0.02, momentum=0.5, use_ema=True, ema_momentum=0.7, **limit)
    net = network(layers, rule)
    before = net.get_weights()
    follow(net, X, t, weight if n == 12 else None, batch)
    assert_only_others_moved(net, before, which)
    averages = of_layers(net, net.get_ema_weights())
    for layer in which:
        assert_same_bits(averages[layer], of_layers(net, before)[layer])


@stacks
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("which", [(0,), (2,)], ids=str)
def test_frozen_layers_with_every_optimizer(optimizer, stack, batch, which):
    """Decoupled decay leaves them alone, too."""
    rule = dataclasses.replace(optimizer, learning_rate=0.01)
    net = network(partly_frozen(STACKS[stack], which), rule)
    before = net.get_weights()
    follow(net, *rows_for(net), batch)
    assert_only_others_moved(net, before, which)


@pytest.mark.parametrize("stack", ["tiny", "on-line"])
def test_frozen_layers_without_average(isa, stack):
    for which, batch in itertools.product(FROZEN, (1, 5)):
        net = network(partly_frozen(STACKS[stack], which), SGD(0.05))
        before = net.get_weights()
        follow(net, *rows_for(net), batch)
        assert_only_others_moved(net, before, which)


def test_a_global_norm_is_of_trained_layers():
    """By hand: E = (u w - 1)^2 / 2 at u = 1, w = 3 has slopes 6 of u, which is frozen, 2 of w."""
    layers = [Dense(1, use_bias=False, trainable=False), Dense(1, use_bias=False)]
    net = MLP(1, layers, loss="squared_error", optimizer=SGD(1, global_clipnorm=2.0),
              dtype="float64")  # fmt: skip
    net.set_weights([[[1.0]], [[3.0]]])
    net.train_on_batch([[1.0]], [1.0])
    assert [w.item() for w in net.get_weights()] == [1.0, 1.0]


@frozen
@stacks
@pytest.mark.parametrize("n_threads", [1, 3])
def test_gradients_of_frozen_layers_can_be_asked_for(which, stack, n_threads):
    net = network(partly_frozen(STACKS[stack], which), SGD(), n_threads=n_threads)
    X, t, weight = rows_for(net, 400)
    loss, gradients = net.loss_and_gradients(X, t, weight, training=True)
    expected, truth = reference.Network.like(net).loss_and_gradients(X, t, weight, training=True)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert_same(gradients, truth)
    for layer in of_layers(net, gradients):
        assert all(g.any() for g in layer)


@stacks
def test_where_all_is_frozen_nothing_can_be_fitted(stack):
    net = network(partly_frozen(STACKS[stack], (0, 1, 2)), SGD())
    X, t, _ = rows_for(net)
    before = net.get_weights()
    with pytest.raises(ValueError, match="every layer with weights has trainable=False"):
        net.fit(X, t)
    assert_same_bits(net.get_weights(), before)
    assert (net.step, net.epoch) == (0, 0)


# ---- same bits ----------------------------------------------------------------------------------

WIDE = [Dense(130, "relu", l2=1e-4), Dropout(0.2), Dense(90, "gelu"), Dense(2, "tanh"), Dense(5)]


def bits(layers, rule, n_threads, dtype, batch, n, n_in=70):
    """Return the weights after three epochs, and their averages."""
    rng = np.random.default_rng(0)
    X, t = rng.standard_normal((n, n_in)), rng.standard_normal((n, layers[-1].units))
    net = MLP(n_in, layers, loss="squared_error", optimizer=rule, dtype=dtype, seed=0,
              n_threads=n_threads)  # fmt: skip
    net.fit(X, t, batch_size=batch, epochs=3)
    assert all(np.isfinite(w).all() for w in net.get_weights())
    arrays = net.get_weights() + (net.get_ema_weights() if rule.use_ema else [])
    return b"".join(w.tobytes() for w in arrays)


OPTIONS = [
    *({how: c} for how, c in zip(_checks.CLIPS, (1e-3, 0.1, 0.1), strict=True)),
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.9, "global_clipnorm": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("which", "dtype"), [((), "float32"), ((0,), "float64"), ((1, 3), "float32")]
)
def test_bits_do_not_depend_on_the_number_of_threads(isa, options, which, dtype):
    layers = partly_frozen(WIDE, which)
    rule = Adam(1e-3, **options)
    found = [bits(layers, rule, n, dtype, 100, 250) for n in (1, 2, 3, 4, 8)]
    assert len(set(found)) == 1
    assert found[0] != bits(layers, Adam(1e-4), 1, dtype, 100, 250)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bits_of_several_rounds(isa, options):
    rule = Adam(1e-3, **options)
    assert len({bits(WIDE, rule, n, "float32", None, ROWS) for n in (1, 2, 5)}) == 1


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=str)
@pytest.mark.parametrize("which", [(), (0,)], ids=str)
def test_bits_of_single_rows(isa, options, which):
    """500 x 400 weights: a row's step is shared among threads."""
    layers, rule = partly_frozen([Dense(400, "tanh"), Dense(3)], which), SGD(0.01, **options)
    assert len({bits(layers, rule, n, "float32", 1, 5, n_in=500) for n in (1, 2, 3, 8)}) == 1


WAYS = {
    "copy": lambda net, path: net.copy(),
    "copy.copy": lambda net, path: copy.copy(net),
    "deepcopy": lambda net, path: copy.deepcopy(net),
    "pickle": lambda net, path: pickle.loads(pickle.dumps(net)),
    "file": lambda net, path: (net.save(path), fastnn.load(path))[1],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stack", ["on-line", "penalized"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_copies_go_on(way, stack, options, tmp_path):
    layers = [Standardize(), *partly_frozen(STACKS[stack], (1,))]
    net = network(layers, Adam(0.01, **options))
    X, t, _ = rows_for(net)
    net.fit(X, t, batch_size=5, epochs=2)
    twin = WAYS[way](net, tmp_path / "net")
    assert twin.optimizer == net.optimizer
    assert [layer.trainable for layer in twin.dense] == [True, False, True]
    assert_same_bits(twin.standardization, net.standardization)
    for each in (net, twin):
        each.fit(X, t, batch_size=5, epochs=2)
    assert_same_bits(twin.get_weights(), net.get_weights())
    assert_same_bits([twin.predict(X)], [net.predict(X)])
    if net.optimizer.use_ema:
        assert_same_bits(twin.get_ema_weights(), net.get_ema_weights())


# ---- freezing afterwards ------------------------------------------------------------------------


def dense_places(layers):
    return [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]


@pytest.mark.parametrize("batch", [1, 5])
@stacks
def test_freeze_gives_the_bits_of_a_network_built_that_way(stack, batch):
    layers, options = STACKS[stack], {"use_ema": True, "ema_momentum": 0.8}
    for rule in (Adam(0.01), SGD(0.01, momentum=0.9, **options)):
        built, net = network(partly_frozen(layers, (1,)), rule), network(layers, rule)
        net.freeze(dense_places(layers)[1])
        assert net.get_config() == built.get_config()
        X, t, _ = rows_for(net)
        for each in (net, built):
            each.fit(X, t, batch_size=batch, epochs=2)
        assert_same_bits(net.get_weights(), built.get_weights())


@stacks
def test_freezing_for_a_while_keeps_moments_and_counts(stack):
    layers = STACKS[stack]
    net = network(layers, Adam(0.01))
    X, t, _ = rows_for(net)
    net.fit(X, t, batch_size=5, epochs=2)
    twin, before = net.copy(), net.get_weights()
    net.freeze()
    with pytest.raises(ValueError, match=r"net\.unfreeze"):
        net.fit(X, t)
    net.unfreeze(dense_places(layers)[-1])
    net.fit(X, t, batch_size=5, epochs=1)
    assert_only_others_moved(net, before, (0, 1))
    net.unfreeze()
    assert net.get_config() == twin.get_config()
    for each in (net, twin):
        each.freeze(0), each.unfreeze()  # nothing changes by these
    step = net.step
    twin.fit(X, t, batch_size=5, epochs=1)
    assert (net.step, net.epoch) == (step, 3) == (twin.step, twin.epoch)
    moments = [*twin._network.read(1), *twin._network.read(2)]
    twin.freeze()
    assert_same_bits([*twin._network.read(1), *twin._network.read(2)], moments)


def test_an_unfrozen_layers_average_begins_with_its_weights():
    net = network("on-line", SGD(0.05, use_ema=True, ema_momentum=0.5))
    X, t, _ = rows_for(net)
    net.freeze(0)
    net.fit(X, t, epochs=3)
    W = net.get_weights()[0]
    net.unfreeze(0)
    assert net.get_ema_weights()[0].tobytes() == W.tobytes()
    net.train_on_batch(X, t)
    W, before = net.get_weights()[0], W
    np.testing.assert_allclose(net.get_ema_weights()[0], (W + before) / 2, rtol=1e-12)


def test_freeze_takes_all_layers_of_a_residual_and_passes_over_others():
    layers = [Dropout(0.1), Residual([LayerNorm(), Dense(20, "relu")]), Dense(3)]
    net = network(layers, "sgd")
    net.metadata["mine"] = 1
    metadata = net.metadata
    net.freeze(range(2))
    assert [layer.trainable for layer in net.layers[1].layers] == [False, False]
    assert net.layers[2].trainable
    assert net.metadata is metadata
    net.unfreeze([-2])
    assert net.get_config()["layers"] == network(layers, "sgd").get_config()["layers"]


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        (3, ValueError, "layers must be from -3 to 2; got 3"),
        ([0, "1"], TypeError, "the index of a layer"),
        ("dense", TypeError, "the index of a layer"),
        (True, TypeError, "layers must be an integer"),
        (Dense(3), TypeError, "the index of a layer"),
    ],
)
def test_freeze_refuses(layers, error, match):
    net = network("tiny", "sgd")
    with pytest.raises(error, match=match):
        net.freeze(layers)
    assert all(layer.trainable for layer in net.layers)


def test_freeze_during_a_fit_is_refused():
    class Freezing(fastnn.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.freeze(0)

    net = network("tiny", "sgd")
    X, t, _ = rows_for(net)
    with pytest.raises(RuntimeError, match="layers between two calls of fit"):
        net.fit(X, t, callbacks=[Freezing()])
    assert net.layers[0].trainable


# ---- standardized inputs ------------------------------------------------------------------------


def standardized(layers, rule="sgd", dtype="float64", n_in=20, **options):
    return MLP(n_in, [Standardize(), *layers], loss="squared_error", optimizer=rule, dtype=dtype,
               seed=3, **options)  # fmt: skip


def uneven(n, n_in=20):
    """Columns of all sizes, and one that doesn't vary."""
    rng = np.random.default_rng(1)
    X = rng.uniform(-5, 5, n_in) + rng.uniform(0.1, 10, n_in) * rng.normal(size=(n, n_in))
    X[:, 3] = 0.1
    return X, rng.normal(size=(n, 3))


def by_hand(X):
    scale = X.std(0)
    scale[3] = 1
    return X.mean(0), scale


@pytest.mark.parametrize("layers", [LAYERS[name] for name in LAYERS if name != "tiny"],
                         ids=[name for name in LAYERS if name != "tiny"])  # fmt: skip
@pytest.mark.parametrize(("batch", "n"), [(1, 12), (5, 12), (None, ROWS)])
def test_standardized_training_is_that_of_standardized_rows(isa, layers, batch, n):
    X, t = uneven(n)
    mean, scale = by_hand(X)
    Z = (X - mean) / scale
    net, other = standardized(layers), network(layers, "sgd")
    losses = net.fit(X, t, batch_size=batch, epochs=2).history["loss"]
    expected = other.fit(Z, t, batch_size=batch, epochs=2).history["loss"]
    np.testing.assert_allclose(losses, expected, **EXACT)
    assert_same(net.get_weights(), other.get_weights())
    assert_same(net.standardization, (mean, scale), {"rtol": 1e-12, "atol": 1e-13})
    assert_same([net.predict(X)], [other.predict(Z)])
    assert net.evaluate(X, t) == pytest.approx(other.evaluate(Z, t), rel=1e-10)
    assert_same(net.activations(X), other.activations(Z))
    loss, gradients = net.loss_and_gradients(X, t)
    truth, theirs = other.loss_and_gradients(Z, t)
    assert loss == pytest.approx(truth, rel=1e-10)
    assert_same(gradients, theirs)
    assert_same([net.jacobian(X)], [other.jacobian(Z) / scale])
    assert_same([net.input_gradients(X, 1)], [other.input_gradients(Z, 1) / scale])


def test_a_small_network_is_standardized_too(isa):
    """Without Standardize, it would be trained by tiny.c."""
    X, t = uneven(12, 4)
    net, twin = standardized([Dense(3, "tanh"), Dense(3)], n_in=4), None
    net.adapt(X)
    twin = reference.Network.like(net)
    assert twin.scale[3] == 1
    follow(net, X, t, batch=1, twin=twin)
    follow(net, X, t, batch=5, twin=twin)


@pytest.mark.parametrize("width", [1, 3, 4, 7, 8, 9, 15, 16, 17, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_around_vectors_and_panels(isa, width, dtype):
    rng = np.random.default_rng(width)
    X = (3 + rng.normal(size=(37, width))).astype(dtype)
    net = standardized([Dense(5, "tanh"), Dense(2)], "sgd", dtype, width)
    net.adapt(X)
    mean, scale = X.astype(float).mean(0), X.astype(float).std(0)
    twin = reference.Network.like(net.copy(dtype="float64"))
    twin.mean, twin.scale = mean, scale
    near = EXACT if dtype == "float64" else {"rtol": 0, "atol": 64 * np.finfo(dtype).eps}
    assert_same([net.predict(X)], [twin.predict(X)], near)
    assert_same([net.predict(X[:1])], [twin.predict(X[:1])], near)


@pytest.mark.parametrize(
    ("mean", "scale"), [(0.0, 1.0), (1.0, 1e-3), (1e6, 1e-3), (-1e9, 1.0), (1e6, 1e6)]
)
@pytest.mark.parametrize("n", [2, 1000, 300_000])
def test_mean_and_scale_are_scikit_learns(mean, scale, n):
    """Columns are badly scaled, and rows are in several blocks."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = mean + scale * np.random.default_rng(0).normal(size=(n, 4))
    net = standardized([Dense(1)], n_in=4)
    net.adapt(X)
    theirs = preprocessing.StandardScaler().fit(X)
    centre = X[0]  # sums of what is apart from it are exact enough
    truth = centre + (X - centre).mean(0), (X - centre).std(0)
    np.testing.assert_allclose(net.standardization[0], truth[0], rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(net.standardization[1], truth[1], rtol=1e-12)
    np.testing.assert_allclose(theirs.mean_, net.standardization[0], rtol=1e-12, atol=1e-12 * scale)
    if abs(mean) < 1e9:  # they lose digits there
        np.testing.assert_allclose(theirs.scale_, net.standardization[1], rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e6 + 0.1, 1e-300, 1e300])
@pytest.mark.parametrize("n", [1, 1000, 400_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_that_does_not_vary_has_scale_1(value, n, dtype):
    if dtype == "float32" and abs(value) > 1e38:
        return
    X = np.full((n, 3), value)
    X[:, 1] = np.arange(n)
    net = standardized([Dense(1)], "sgd", dtype, 3)
    net.adapt(X.astype(dtype))
    mean, scale = net.standardization
    assert scale[0] == scale[2] == 1
    np.testing.assert_allclose(mean[[0, 2]], np.full(2, value, dtype), rtol=4e-16)
    assert scale[1] == pytest.approx(np.arange(n).std() if n > 1 else 1)


def test_a_mapped_file_is_adapted_to(tmp_path):
    """In blocks; the numbers, and training by them, are those of rows in memory."""
    rows = np.random.default_rng(0).normal(5, 2, size=(120_000, 40)).astype("float32")
    np.save(tmp_path / "X.npy", rows[:, :40])
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert is_large(mapped, np.dtype("float64"))
    one, other = (standardized([Dense(1)], n_in=40) for _ in range(2))
    one.adapt(mapped)
    other.adapt(rows)
    truth = rows.astype(float).mean(0), rows.astype(float).std(0)
    for net in (one, other):
        assert_same(net.standardization, truth, {"rtol": 1e-12, "atol": 0})
    third = standardized([Dense(1)], n_in=40)
    third.fit(mapped, rows[:, 0], batch_size=5000)
    assert_same(third.standardization, truth, {"rtol": 1e-12, "atol": 0})


def test_bytes_are_adapted_to_in_blocks():
    rows = np.random.default_rng(0).integers(0, 200, size=(100_000, 90), dtype=np.uint8)
    rows[:, 7] = 255
    net = standardized([Dense(1)], "sgd", "float32", 90)
    assert is_large(rows, net.dtype)
    net.adapt(rows)
    mean, scale = net.standardization
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-12)
    expected = rows.std(0)
    expected[7] = 1
    np.testing.assert_allclose(scale, expected, rtol=1e-12)
    assert (mean[7], scale[7]) == (255, 1)


def test_before_data_nothing_is_done():
    X, t = uneven(12)
    net = standardized(LAYERS["on-line"])
    before = net.get_weights()
    asks = {
        "predict": lambda: net.predict(X),
        "into": lambda: net.predict(X, out=np.empty((12, 3))),
        "evaluate": lambda: net.evaluate(X, t),
        "train_on_batch": lambda: net.train_on_batch(X, t),
        "weighted": lambda: net.train_on_batch(X, t, np.ones(12)),
        "gradients": lambda: net.loss_and_gradients(X, t),
        "activations": lambda: net.activations(X),
        "jacobian": lambda: net.jacobian(X),
        "input_gradients": lambda: net.input_gradients(X),
        "batches": lambda: net.fit([(X, t)]),
    }
    for name, ask in asks.items():
        with pytest.raises(ValueError, match="has not seen data"):
            pytest.fail(f"{name} did {ask()}")
        assert net.standardization is None
        assert net.step == 0
        assert_same_bits(net.get_weights(), before)
    net.adapt(X)
    for ask in asks.values():
        ask()


def test_fit_adapts_once_and_to_rows_it_trains_on():
    X, t = uneven(40)
    net = standardized(LAYERS["on-line"])
    net.fit(X, t, validation_split=0.25)
    first = net.standardization
    assert_same(first, by_hand(X[:30]), {"rtol": 1e-12, "atol": 1e-13})
    net.fit(2 * X, t)
    assert_same_bits(net.standardization, first)
    net.adapt(2 * X)
    mean, scale = by_hand(2 * X)
    assert_same(net.standardization, (mean, scale), {"rtol": 1e-12, "atol": 1e-13})


def test_adapting_to_unfit_rows_changes_nothing():
    X, _ = uneven(12)
    net = standardized(LAYERS["on-line"])
    net.adapt(X)
    first = net.standardization
    for wrong in (X[:, :3], np.full((3, 20), np.nan), X[:0], "rows"):
        with pytest.raises((ValueError, TypeError), match="X"):
            net.adapt(wrong)
        assert_same_bits(net.standardization, first)
    with pytest.raises(ValueError, match="has no Standardize layer to adapt"):
        network("on-line", "sgd").adapt(X)


def test_norms_beyond_float32_still_clip():
    """Squares of 1e25 overflow in float32; the gradient's direction is all that is left of it."""
    layers = [Dense(1, use_bias=False)]
    net = MLP(1, layers, loss="squared_error", optimizer=SGD(1.0, clipnorm=1.0), seed=0)
    net.set_weights([[[0.0]]])
    net.train_on_batch([[1e12]], [1e13])
    assert net.get_weights()[0].item() == pytest.approx(1.0, rel=1e-6)
