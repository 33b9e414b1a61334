"""Update rules: 100 steps equal to those of the reference, PyTorch, Keras and scikit-learn.

In float64 to 1e-10: weights and losses, alone and in whole trainings with shuffling and dropout.
float32 is compared step by step, to its rounding.
"""

import copy
import dataclasses

import numpy as np
import pytest

from fastnn import (
    MLP,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Adaptive,
    Dense,
    Dropout,
    Lion,
    NAdam,
    RMSProp,
    ScheduleFreeAdamW,
    optimizers,
    reference,
)

STEPS = 100
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def network(optimizer, dtype="float64", **options):
    layers = [Dropout(0.2), Dense(17, "tanh", l2=1e-3), Dropout(0.4), Dense(3, "softmax", l1=1e-4)]
    options = {"loss": "cross_entropy", "seed": 3, "dtype": dtype} | options
    return MLP(5, layers, optimizer=optimizer, **options)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(47, 5))
    return X, np.argmax(X[:, :3] + rng.normal(0, 0.5, (47, 3)), axis=1)


def assert_same_weights(weights, expected):
    for i, (w, truth) in enumerate(zip(weights, expected, strict=True)):
        assert np.allclose(w, truth, **EXACT), f"array {i}: {np.abs(w - truth).max()} off"


# ---- against the reference ----------------------------------------------------------------------


def test_single_steps(isa, optimizer, data):
    """The loss before each of 100 updates, and the weights after the last."""
    net = network(optimizer)
    twin = reference.Network.like(net)
    before = net.get_weights()
    losses = [(net.train_on_batch(*data), twin.train_on_batch(*data)) for _ in range(STEPS)]
    assert np.allclose(*np.transpose(losses), **EXACT)
    assert_same_weights(net.get_weights(), twin.get_weights())
    assert net.step == STEPS
    moved = [np.abs(w - start).max() for w, start in zip(net.get_weights(), before, strict=True)]
    assert min(moved) > 1e-4


@pytest.mark.parametrize("batch_size", [10, 1, None])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_curves(optimizer, data, batch_size, reduction):
    """Shuffled epochs of batches, the last one short, rows weighted, dropout on."""
    X, t = data
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    if reduction == "sum":  # keeps the steps of the plain rules as long as those of a mean
        weight /= len(X)
    net = network(optimizer, reduction=reduction)
    twin, shuffler = reference.Network.like(net), copy.deepcopy(net._state.shuffler)
    size = len(X) if batch_size is None else batch_size
    epochs = -(-STEPS // -(-len(X) // size))
    curve = net.fit(X, t, batch_size=batch_size, epochs=epochs, sample_weight=weight).history[
        "loss"
    ]
    orders = [shuffler.permutation(len(X)) for _ in range(epochs)]
    expected = [twin.fit_epoch(X, t, order, batch_size, weight) for order in orders]
    assert np.allclose(curve, expected, **EXACT)
    assert_same_weights(net.get_weights(), twin.get_weights())
    assert net.step == twin.step >= STEPS


def hyper_parameters(optimizer):
    """Return the hyper-parameters of the rule of an optimizer."""
    common = {f.name for f in dataclasses.fields(optimizers.Optimizer)}
    own = [f.name for f in dataclasses.fields(optimizer) if f.name not in common]
    return {name: getattr(optimizer, name) for name in own}


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16), (17, 33), (67, 9)])
def test_layer_state(kernels, isa, rng, optimizer, shape):
    """The rule of `kernels.update`, weights and biases, from gradients that are given."""
    rule = reference.OPTIMIZERS[optimizer.name]
    steps = STEPS if kernels.DTYPE.itemsize == 8 else 3
    tolerance = 1e-10 if steps == STEPS else 16 * np.finfo(np.float32).eps
    first, step_size = optimizer.initial_moment, optimizer.learning_rate
    state = kernels.LayerState.of(*shape, optimizer.rule, optimizer.numbers(), first, isa)
    w, b = rng.normal(size=shape), rng.normal(size=shape[1])
    W, B = w.astype(kernels.DTYPE), b.astype(kernels.DTYPE)
    w, b = W.astype(np.float64), B.astype(np.float64)
    moments, eye = ({}, {}), np.eye(shape[0], dtype=kernels.DTYPE)
    for t in range(1, steps + 1):
        g = rng.normal(size=shape).astype(kernels.DTYPE)
        state.update(W, B, eye, g)  # z_prev = 1 makes dW = delta
        w = rule(w, g.astype(float), moments[0], t, **hyper_parameters(optimizer))
        db = g.astype(float).sum(0)
        b = rule(b, db, moments[1], t, **hyper_parameters(optimizer))
    assert state.step == steps
    far = step_size * steps * shape[0]  # db sums over the rows
    assert (np.abs(W - w) <= tolerance * (np.abs(w) + far)).all()
    assert (np.abs(B - b) <= tolerance * (np.abs(b) + far)).all()


ASCENDING = [
    SGD(maximize=True),
    SGD(momentum=0.9, nesterov=True, weight_decay=0.1, clipnorm=0.5, maximize=True),
    Adagrad(maximize=True),
    RMSProp(momentum=0.5, centered=True, maximize=True),
    Adam(epsilon_hat=True, weight_decay=0.1, maximize=True),
    AdamW(amsgrad=True, maximize=True),
    NAdam(weight_decay=0.1, maximize=True),
    Lion(0.001, weight_decay=0.1, maximize=True),
    ScheduleFreeAdamW(0.01, warmup_steps=2, weight_decay=0.1, maximize=True),
]


def unpenalized(optimizer, hidden=17):
    """A network without penalties, which one that maximizes cannot have."""
    layers = [Dense(hidden, "tanh"), Dense(3, "sigmoid")]
    return MLP(5, layers, loss="squared_error", optimizer=optimizer, seed=3, dtype="float64")


@pytest.mark.parametrize("rule", ASCENDING, ids=repr)
@pytest.mark.parametrize(("hidden", "batch_size"), [(17, 10), (17, 1), (7, 1), (3, 1), (17, None)])
def test_maximize(isa, rng, rule, hidden, batch_size):
    """Updates up the gradient, of wide layers and of those that have a step of their own."""
    net = unpenalized(rule, hidden)
    X, y = rng.normal(size=(47, 5)), rng.uniform(0, 1, (47, 3))
    twin, descending = (
        reference.Network.like(net),
        unpenalized(dataclasses.replace(rule, maximize=False), hidden),
    )
    order = np.arange(len(X))
    for _ in range(3):
        found = net.fit(X, y, batch_size=batch_size, shuffle=False).history["loss"]
        assert np.allclose(found, [twin.fit_epoch(X, y, order, batch_size)], **EXACT)
        descending.fit(X, y, batch_size=batch_size, shuffle=False)
    assert_same_weights(net.get_weights(), twin.get_weights())
    assert net.evaluate(X, y) > descending.evaluate(X, y)
    loss, gradients = net.loss_and_gradients(X, y)  # the loss's own, whatever an update does
    assert loss > 0
    assert_same_weights(gradients, twin.loss_and_gradients(X, y)[1])


def test_an_adaptive_rate_that_maximizes_waits_for_a_fall(rng):
    net = unpenalized(SGD(Adaptive(0.01, patience=1, tol=0.0), maximize=True))
    X, y = rng.normal(size=(47, 5)), rng.uniform(0, 1, (47, 3))
    losses = net.fit(X, y, epochs=5, shuffle=False).history["loss"]
    assert losses == sorted(losses)
    assert net.learning_rate == 0.01


def test_the_centered_root_of_a_constant_gradient_is_not_nan(kernels, isa):
    """Rounding sometimes makes the variance of a constant gradient negative."""
    rule = RMSProp(1e-3, rho=0.5, centered=True)
    net = MLP(3, [Dense(2, use_bias=False)], loss="absolute_error", optimizer=rule, seed=0,
              dtype=kernels.DTYPE)  # fmt: skip
    X, y = np.full((1, 3), 1.1), np.full((1, 2), 1e30)
    for _ in range(200):
        net.train_on_batch(X, y)
    assert np.isfinite(net.get_weights()[0]).all()


def test_adam_with_decay_is_adamw(data):
    nets = [network(Adam(weight_decay=0.1)), network(AdamW(weight_decay=0.1))]
    for net in nets:
        net.fit(*data)
    for w, same in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_array_equal(w, same)


def test_a_wrong_rule_is_found(data):
    """Adam with a learning rate that is wrong by 1e-6 fails the comparison."""
    net = network(Adam())
    twin = reference.Network.like(network(Adam(learning_rate=0.001 * (1 + 1e-6))))
    for _ in range(STEPS):
        net.train_on_batch(*data)
        twin.train_on_batch(*data)
    with pytest.raises(AssertionError, match="off"):
        assert_same_weights(net.get_weights(), twin.get_weights())


@pytest.mark.parametrize("name", optimizers.NAMES)
@pytest.mark.parametrize("maximize", [False, True])
def test_decay_is_for_weights_only(kernels, isa, name, maximize):
    """w <- w - eta decay w, with a gradient of 0; biases stay."""
    kind = type(optimizers.get(name))
    rule = kind(learning_rate=0.5, weight_decay=0.5, maximize=maximize)
    net = MLP(3, [Dense(2)], loss="squared_error", optimizer=rule, dtype=kernels.DTYPE)
    net.set_weights([np.ones((3, 2)), np.ones(2)])
    net.train_on_batch(np.zeros((1, 3)), np.ones((1, 2)))
    W, b = net.get_weights()
    assert np.array_equal(W, np.full((3, 2), 0.75))
    assert np.array_equal(b, np.ones(2))


# ---- against others -----------------------------------------------------------------------------


def assert_same_as(steps_of, optimizer, data):
    """100 steps against another library's rule, which gets its gradients from the reference.

    `steps_of(weights)` returns a function that takes gradients to the next weights.
    """
    net = network(optimizer)
    twin = reference.Network.like(net)
    step = steps_of([w.copy() for w in twin.get_weights()])
    for _ in range(STEPS):
        net.train_on_batch(*data)
        _, gradients = twin.loss_and_gradients(*data, training=True)
        twin.set_weights(step(gradients))
        twin.step += 1
    assert_same_weights(net.get_weights(), twin.get_weights())


@pytest.fixture
def torch():
    """PyTorch, whose optimizers keep their own numbers in float64."""
    torch = pytest.importorskip("torch")
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(usual)


@pytest.mark.parametrize(
    ("optimizer", "kind", "options"),
    [
        (SGD(0.1), "SGD", {"lr": 0.1}),
        (SGD(0.1, 0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
        (SGD(0.1, 0.9, True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (Adagrad(0.1), "Adagrad", {"lr": 0.1, "eps": 1e-10}),
        (Adagrad(0.1, 0.1), "Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1}),
        (RMSProp(0.01, 0.9), "RMSprop", {"lr": 0.01, "alpha": 0.9}),
        (RMSProp(0.01, 0.9, 0.8), "RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.8}),
        (
            RMSProp(0.01, 0.9, centered=True),
            "RMSprop",
            {"lr": 0.01, "alpha": 0.9, "centered": True},
        ),
        (
            RMSProp(0.01, 0.9, 0.8, centered=True),
            "RMSprop",
            {"lr": 0.01, "alpha": 0.9, "momentum": 0.8, "centered": True},
        ),
        (Adam(0.01), "Adam", {"lr": 0.01}),
        (Adam(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
        (Adam(0.01, epsilon=0.1), "Adam", {"lr": 0.01, "eps": 0.1}),
        (Adam(0.01, amsgrad=True), "Adam", {"lr": 0.01, "amsgrad": True}),
        (AdamW(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
        (AdamW(0.01, amsgrad=True), "AdamW", {"lr": 0.01, "amsgrad": True}),
        (NAdam(0.01), "NAdam", {"lr": 0.01}),
        (NAdam(0.01, momentum_decay=0.0), "NAdam", {"lr": 0.01, "momentum_decay": 0.0}),
        (
            NAdam(0.01, 0.5, 0.9, 0.1, 1.0, weight_decay=0.1),
            "NAdam",
            {
                "lr": 0.01,
                "betas": (0.5, 0.9),
                "eps": 0.1,
                "momentum_decay": 1.0,
                "weight_decay": 0.1,
                "decoupled_weight_decay": True,
            },
        ),
    ],
    ids=repr,
)
def test_torch(torch, data, optimizer, kind, options):
    def steps_of(weights):
        tensors = [torch.from_numpy(w) for w in weights]
        groups = [{"params": [w for w in tensors if w.ndim == 2]}]
        groups += [{"params": [w for w in tensors if w.ndim == 1]}]
        groups[1] |= {"weight_decay": 0.0}
        rule = getattr(torch.optim, kind)(groups, **options)

        def step(gradients):
            for w, g in zip(tensors, gradients, strict=True):
                w.grad = torch.from_numpy(np.ascontiguousarray(g))
            rule.step()
            return [w.numpy().copy() for w in tensors]

        return step

    assert_same_as(steps_of, optimizer, data)


@pytest.mark.parametrize(
    ("optimizer", "kind", "options"),
    [
        (SGD(0.1), "SGD", {"lr": 0.1}),
        (SGD(0.1, 0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
        (SGD(0.1, 0.9, True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (Adagrad(0.1), "Adagrad", {"lr": 0.1, "eps": 1e-10}),
        (RMSProp(0.01, 0.9), "RMSprop", {"lr": 0.01, "alpha": 0.9}),
        (
            RMSProp(0.01, 0.9, centered=True),
            "RMSprop",
            {"lr": 0.01, "alpha": 0.9, "centered": True},
        ),
        (Adam(0.01), "Adam", {"lr": 0.01}),
        (Adam(0.01, amsgrad=True), "Adam", {"lr": 0.01, "amsgrad": True}),
        (AdamW(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
        (NAdam(0.01), "NAdam", {"lr": 0.01}),
    ],
    ids=repr,
)
def test_torch_maximizes(torch, rng, optimizer, kind, options):
    """Its own gradients, too: the whole training is PyTorch's."""
    net = unpenalized(dataclasses.replace(optimizer, maximize=True))
    X, y = rng.normal(size=(47, 5)), rng.uniform(0, 1, (47, 3))
    W, b, V, c = tensors = [torch.from_numpy(w).requires_grad_() for w in net.get_weights()]
    groups = [{"params": [W, V]}, {"params": [b, c], "weight_decay": 0.0}]
    rule = getattr(torch.optim, kind)(groups, maximize=True, **options)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(20):  # more let a quotient of tiny gradients magnify how these are rounded
        net.train_on_batch(X, y)
        rule.zero_grad()
        out = torch.sigmoid(torch.tanh(inputs @ W + b) @ V + c)
        (((out - targets) ** 2).sum() / (2 * len(X))).backward()
        rule.step()
    assert_same_weights(net.get_weights(), [w.detach().numpy() for w in tensors])


def test_lion_is_algorithm_2_of_the_paper(data):
    """Chen et al. 2023: with eta, lambda, beta_1, beta_2 as there; biases do not decay."""
    eta, decay, beta_1, beta_2 = 0.01, 0.3, 0.9, 0.99

    def steps_of(weights):
        moments = [np.zeros_like(w) for w in weights]

        def step(gradients):
            for i, g in enumerate(gradients):
                m, theta = moments[i], weights[i]
                update = np.sign(beta_1 * m + (1 - beta_1) * g)
                if theta.ndim == 2:
                    update = update + decay * theta
                weights[i] = theta - eta * update
                moments[i] = beta_2 * m + (1 - beta_2) * g
            return [w.copy() for w in weights]

        return step

    assert_same_as(steps_of, Lion(eta, beta_1, beta_2, weight_decay=decay), data)


@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9, 0.999, 0.99999])
@pytest.mark.parametrize("momentum_decay", [0.0, 1e-6, 0.004, 1.0, 100.0])
def test_the_product_of_the_momenta_of_nadam_at_any_step(kernels, isa, beta_1, momentum_decay):
    """Their product is that of all of them, also where the engine need not multiply all."""
    rule = NAdam(0.1, beta_1, momentum_decay=momentum_decay)
    for t in (1, 2, 100, 10000):
        state = kernels.LayerState.of(1, 1, rule.rule, rule.numbers(), 0.0, isa)
        blocks = state.read_blocks(list(range(state.n_blocks)))[2]
        state.write_all(blocks, step=t - 1, epoch=0, dropout_seed=0, rate=0.1, schedule=None,
                        scaling=None)  # fmt: skip
        one = np.ones((1, 1), kernels.DTYPE)
        W, b = np.zeros((1, 1), kernels.DTYPE), np.zeros(1, kernels.DTYPE)
        state.update(W, b, one, one)
        w = reference.OPTIMIZERS["nadam"](
            np.zeros((1, 1)), np.ones((1, 1)), {}, t, **hyper_parameters(rule)
        )
        tolerance = max(1e-12, 64 * np.finfo(kernels.DTYPE).eps)
        assert np.isclose(W[0, 0], w[0, 0], rtol=tolerance, atol=0)


NONE = 1e-30  # an epsilon that makes no difference: Keras adds its own inside the root


@pytest.mark.parametrize(
    ("optimizer", "kind", "options"),
    [
        (SGD(0.1, weight_decay=0.2), "SGD", {}),
        (SGD(0.1, 0.9, weight_decay=0.2), "SGD", {"momentum": 0.9}),
        (SGD(0.1, 0.9, True, weight_decay=0.2), "SGD", {"momentum": 0.9, "nesterov": True}),
        (
            Adagrad(0.1, 0.1, NONE, weight_decay=0.2),
            "Adagrad",
            {"initial_accumulator_value": 0.1, "epsilon": NONE},
        ),
        (RMSProp(0.01, epsilon=NONE, weight_decay=0.2), "RMSprop", {"epsilon": NONE}),
        (
            RMSProp(0.01, momentum=0.8, epsilon=NONE, weight_decay=0.2),
            "RMSprop",
            {"momentum": 0.8, "epsilon": NONE},
        ),
        (
            RMSProp(0.01, epsilon=NONE, centered=True),
            "RMSprop",
            {"centered": True, "epsilon": NONE},
        ),
        (
            RMSProp(0.01, momentum=0.8, epsilon=NONE, centered=True, weight_decay=0.2),
            "RMSprop",
            {"momentum": 0.8, "centered": True, "epsilon": NONE},
        ),
        (Adam(0.1, epsilon_hat=True, weight_decay=0.2), "Adam", {"epsilon": 1e-8}),
        (
            Adam(0.1, amsgrad=True, epsilon_hat=True, weight_decay=0.2),
            "Adam",
            {"amsgrad": True, "epsilon": 1e-8},
        ),
        (AdamW(0.1, epsilon_hat=True, weight_decay=0.2), "AdamW", {"epsilon": 1e-8}),
        (
            NAdam(0.1, epsilon=1e-8, momentum_decay=1.0, weight_decay=0.2),
            "Nadam",
            {"epsilon": 1e-8},
        ),
        (Lion(0.01), "Lion", {}),
        (Lion(0.01, 0.8, 0.95, weight_decay=0.2), "Lion", {"beta_1": 0.8, "beta_2": 0.95}),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # from Keras' Nadam
def test_keras(keras, data, optimizer, kind, options):
    decay = optimizer.weight_decay or None

    def steps_of(weights):
        variables = [keras.Variable(w, dtype="float64") for w in weights]
        rule = getattr(keras.optimizers, kind)(
            optimizer.learning_rate, weight_decay=decay, **options
        )
        rule.exclude_from_weight_decay([v for v in variables if v.ndim == 1])

        def step(gradients):
            gradients = [keras.ops.convert_to_tensor(g, dtype="float64") for g in gradients]
            rule.apply(gradients, variables)
            return [v.value.detach().numpy().copy() for v in variables]

        return step

    assert_same_as(steps_of, optimizer, data)


@pytest.mark.parametrize(
    ("optimizer", "kind", "options"),
    [
        (SGD(0.1), "SGDOptimizer", {"momentum": 0.0, "nesterov": False}),
        (SGD(0.1, 0.9), "SGDOptimizer", {"momentum": 0.9, "nesterov": False}),
        (SGD(0.1, 0.9, True), "SGDOptimizer", {"momentum": 0.9, "nesterov": True}),
        (Adam(0.1, epsilon_hat=True), "AdamOptimizer", {}),
        (Adam(0.1, epsilon=0.01, epsilon_hat=True), "AdamOptimizer", {"epsilon": 0.01}),
    ],
    ids=repr,
)
def test_scikit_learn(data, optimizer, kind, options):
    theirs = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")

    def steps_of(weights):
        rule = getattr(theirs, kind)(weights, learning_rate_init=0.1, **options)

        def step(gradients):
            rule.update_params(weights, gradients)
            return [w.copy() for w in weights]

        return step

    assert_same_as(steps_of, optimizer, data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("learning_rate", [1e-37, 1e-3, 1e30])
def test_weights_without_gradient_stay(optimizer, learning_rate, dtype):
    """Also if the constants would give 0 / 0 or infinity * 0."""
    extreme = {"learning_rate": learning_rate}
    if hasattr(optimizer, "epsilon"):
        extreme["epsilon"] = 2e-38
    if hasattr(optimizer, "weight_decay"):
        extreme["weight_decay"] = 0.0
    if hasattr(optimizer, "beta_2"):
        extreme["beta_2"] = 0.9999999
    net = MLP(3, [Dense(2, use_bias=False)], loss="squared_error", dtype=dtype, seed=0,
              optimizer=dataclasses.replace(optimizer, **extreme))  # fmt: skip
    [before] = net.get_weights()
    net.train_on_batch(np.zeros((5, 3)), np.ones((5, 2)))
    np.testing.assert_array_equal(net.get_weights()[0], before)
