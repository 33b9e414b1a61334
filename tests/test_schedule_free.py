"""ScheduleFreeAdamW: steps equal to the authors', and which weights a network has when.

Its place beside other optimizers is tested with these: the reference (test_optimizers.py), rows of
nonzeros (test_csr.py), digests (test_digests.py).
"""

import contextlib
import ctypes
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from comparing import digest, state_of

import fastnn
from fastnn import (
    MLP,
    Callback,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    Residual,
    ScheduleFreeAdamW,
    SwapEMAWeights,
    embedding,
    fit_many,
    reference,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}
RULE = ScheduleFreeAdamW(0.02, warmup_steps=9, weight_decay=0.1)


def network(optimizer=RULE, layers=None, **options):
    layers = layers or [Dense(17, "tanh"), Dropout(0.2), Dense(3)]
    options = {"loss": "squared_error", "dtype": "float64", "seed": 3} | options
    return MLP(5, layers, optimizer=optimizer, **options)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(47, 5))
    return X, np.sin(X[:, :3]) + rng.normal(0, 0.1, (47, 3))


# ---- the authors' steps -------------------------------------------------------------------------

OPTIONS = [
    {},
    {"warmup_steps": 30},
    {"weight_decay": 0.3},
    {"betas": (0.5, 0.9), "eps": 0.1, "warmup_steps": 7, "weight_decay": 0.1},
]


def rule_of(options):
    names = {"eps": "epsilon"}
    own = {names.get(name, name): value for name, value in options.items() if name != "betas"}
    beta_1, beta_2 = options.get("betas", (0.9, 0.999))
    return ScheduleFreeAdamW(0.01, beta_1=beta_1, beta_2=beta_2, **own)


def written_out(weights, lr, betas=(0.9, 0.999), eps=1e-8, warmup_steps=0, weight_decay=0.0):
    """Steps from y to the next y without x, which is a combination of y and z: yields x."""
    beta_1, beta_2 = betas
    y, z, v = ([w.copy() for w in weights] for _ in range(3))
    v = [np.zeros_like(w) for w in weights]
    total = largest = 0.0
    t = 0
    while True:
        x = [(a - (1 - beta_1) * b) / beta_1 for a, b in zip(y, z, strict=True)]
        gradients = yield y, x
        t += 1
        rate = lr * min(1.0, t / warmup_steps) if warmup_steps else lr
        largest = max(rate, largest)
        total += largest**2
        c = largest**2 / total
        for i, g in enumerate(gradients):
            v[i] = beta_2 * v[i] + (1 - beta_2) * g * g
            step = g / (np.sqrt(v[i] / (1 - beta_2**t)) + eps)
            if y[i].ndim == 2:
                step = step + weight_decay * y[i]
            y[i] = y[i] + c * (z[i] - y[i]) + rate * (beta_1 * (1 - c) - 1) * step
            z[i] = z[i] - rate * step


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_steps_without_the_average(isa, data, options):
    """The authors' form of a step, with gradients of the reference: weights are x between steps."""
    net = network(rule_of(options))
    twin = reference.Network.like(net)
    steps = written_out(net.get_weights(), 0.01, **options)
    y, _ = next(steps)
    for _ in range(100):
        twin.set_weights([w.copy() for w in y])
        expected, gradients = twin.loss_and_gradients(*data, training=True)
        assert np.isclose(net.train_on_batch(*data), expected, **EXACT)
        twin.step += 1
        y, x = steps.send(gradients)
    for w, truth in zip(net.get_weights(), x, strict=True):
        assert np.allclose(w, truth, **EXACT)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_authors_optimizer(data, options):
    """`AdamWScheduleFree` of the package schedulefree, in PyTorch: a whole training."""
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("schedulefree").AdamWScheduleFree
    net = network(rule_of(options), [Dense(17, "tanh"), Dense(3)])
    W, b, V, c = tensors = [torch.from_numpy(w).requires_grad_() for w in net.get_weights()]
    groups = [{"params": [W, V]}, {"params": [b, c], "weight_decay": 0.0}]
    rule = theirs(groups, lr=0.01, **options)
    X, y = (torch.from_numpy(array) for array in data)
    rule.train()
    for _ in range(100):
        net.train_on_batch(*data)
        rule.zero_grad()
        out = torch.tanh(X @ W + b) @ V + c
        (((out - y) ** 2).sum() / (2 * len(X))).backward()
        rule.step()
    rule.eval()
    for w, truth in zip(net.get_weights(), tensors, strict=True):
        assert np.allclose(w, truth.detach().numpy(), rtol=1e-8, atol=1e-8)


# ---- which weights a network has ----------------------------------------------------------------


class Watch(Callback):
    """Keeps the weights and predictions at the end of each epoch."""

    def __init__(self, X):
        self.X, self.seen = X, []

    def on_epoch_end(self, epoch, logs):
        self.seen.append((digest(self.model.get_weights()), self.model.predict(self.X).tobytes()))


def test_callbacks_and_validation_have_the_average(data):
    X, y = data
    watch, net = Watch(X), network()
    history = net.fit(X, y, batch_size=8, epochs=3, validation_data=(X, y), callbacks=[watch])
    weights, outputs = watch.seen[-1]
    assert weights == digest(net.get_weights())
    assert outputs == net.predict(X).tobytes()
    assert net.evaluate(X, y) == history.history["val_loss"][-1]
    copied = network("sgd")
    copied.set_weights(net.get_weights())
    assert np.array_equal(copied.predict(X), net.predict(X))
    assert np.array_equal(net.get_flat_weights(), copied.get_flat_weights())


@pytest.mark.parametrize("dtype", ["float64", "float32", "mixed_bfloat16"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_ways_to_train_have_the_same_bits(data, tmp_path, dtype, batch_size):
    """At once, in parts, by batches, with callbacks, resumed from a file, as one of many."""
    X, y = data
    layers = [Dense(33, "tanh"), Dropout(0.1), Dense(32, "relu"), Dense(3)]

    def net():
        return network(layers=layers, dtype=dtype)

    options = {"batch_size": batch_size, "shuffle": False}
    once = net()
    history = once.fit(X, y, epochs=4, validation_data=(X, y), **options)
    expected = state_of(once)
    parts = net()
    for _ in range(4):
        parts.fit(X, y, validation_data=(X, y), **options)
    assert state_of(parts) == expected
    followed = net()
    again = followed.fit(X, y, epochs=4, validation_data=(X, y), callbacks=[Watch(X)], **options)
    assert state_of(followed) == expected
    assert again.history == history.history
    saved = net()
    saved.fit(X, y, epochs=2, **options)
    saved.save(tmp_path / "net")
    loaded = fastnn.load(tmp_path / "net")
    assert loaded.predict(X).tobytes() == saved.predict(X).tobytes()
    for one in (loaded, saved.copy()):
        one.fit(X, y, epochs=2, **options)
        assert state_of(one) == expected
    (member,) = fit_many([net()], X, y, epochs=4, **options)
    assert state_of(member) == expected
    if batch_size == 8:
        batches = net()
        for _ in range(4):
            for at in range(0, len(X), 8):
                batches.train_on_batch(X[at : at + 8], y[at : at + 8])
        assert state_of(batches)[2] == expected[2]


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads(data, n_threads):
    X, y = data
    layers = [Dense(300, "relu"), Dense(200, "tanh"), Dense(3)]
    nets = [network(layers=layers, dtype="float32", n_threads=n) for n in (1, n_threads)]
    for net in nets:
        net.fit(X, y, batch_size=16, epochs=3)
    assert state_of(nets[0]) == state_of(nets[1])


def test_early_stopping_restores_the_average_of_the_best_epoch(data):
    X, y = data
    losses = []
    for extra in ([], [Watch(X)]):
        net = network(ScheduleFreeAdamW(0.3))
        stop = EarlyStopping(patience=2, restore_best_weights=True)
        fit = net.fit(X, y, batch_size=8, epochs=30, validation_data=(X[:9], y[:9]),
                      callbacks=[stop, *extra])  # fmt: skip
        assert net.evaluate(X[:9], y[:9]) == min(fit.history["val_loss"])
        losses.append(fit.history["val_loss"])
    assert losses[0] == losses[1]


def test_weights_that_are_set_begin_all_sequences(data):
    """The next step starts from them: the network doesn't go back to what it was averaging."""
    X, y = data
    net = network(layers=[Dense(17, "tanh"), Dense(3)])
    net.fit(X, y, epochs=5)
    other = [w + 1 for w in net.get_weights()]
    flat = np.concatenate([w.ravel() for w in other])
    for write, weights in ((net.set_weights, other), (net.set_flat_weights, flat)):
        write(weights)
        assert digest(net.get_weights()) == digest(other)
        loss = net.evaluate(X, y)
        assert net.train_on_batch(X, y) == pytest.approx(loss, rel=1e-12)
        assert all(np.abs(w - o).max() < 0.1 for w, o in zip(net.get_weights(), other, strict=True))


def test_layers_that_are_frozen_and_trained_again(data):
    X, y = data
    net = network(layers=[Dense(17, "tanh"), Dense(9, "tanh"), Dense(3)])
    net.freeze([0])
    before = net.get_weights()
    net.fit(X, y, epochs=3)
    frozen = net.get_weights()
    assert digest(frozen[:2]) == digest(before[:2])
    net.unfreeze([0])
    assert digest(net.get_weights()) == digest(frozen)
    loss = net.evaluate(X, y)
    net.fit(X, y, epochs=20)
    assert net.evaluate(X, y) < loss


@pytest.mark.parametrize("extra", [[], [Callback()]], ids=["unattended", "epochs in Python"])
@pytest.mark.parametrize("restores", [False, True])
def test_a_layer_frozen_after_training_keeps_the_average(data, extra, restores):
    X, y = data
    net = network(layers=[Dense(17, "tanh"), Residual([LayerNorm(), Dense(17)]), Dense(3)])
    net.fit(X, y, epochs=3)
    net.freeze([0, 1])
    before = net.get_weights()
    stop = EarlyStopping(patience=50, restore_best_weights=restores)
    history = net.fit(X, y, batch_size=8, epochs=4, validation_data=(X, y),
                      callbacks=[stop, *extra]).history  # fmt: skip
    assert digest(net.get_weights()[:-2]) == digest(before[:-2])
    assert digest(net.get_weights()[-2:]) != digest(before[-2:])
    val_loss = history["val_loss"]
    assert net.evaluate(X, y) == (min(val_loss) if restores else val_loss[-1])
    frozen = net.copy()
    net.unfreeze([0, 1])  # they start from their weights
    loss, again = (one.train_on_batch(X, y) for one in (frozen, net))
    assert loss == again


def test_a_loss_of_ones_own_has_outputs_where_gradients_are_taken(data):
    def halves(y_true, y):
        return 0.5 * ((y - y_true) ** 2).sum(1), y - y_true

    X, y = data
    net, own = (network(layers=[Dense(17, "tanh", l2=0.01), Dense(3)], loss=loss)
                for loss in ("squared_error", fastnn.CustomLoss(halves)))  # fmt: skip
    found, expected = (one.fit(X, y, batch_size=8, epochs=5, shuffle=False).history["loss"]
                       for one in (own, net))  # fmt: skip
    assert np.allclose(found, expected, **EXACT)
    assert np.allclose(own.get_flat_weights(), net.get_flat_weights(), **EXACT)


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_gradients_of_outputs_are_computed_where_the_update_takes_them(data, dtype, n_threads):
    """A step by given gradients is that of the loss, if they come from outputs in training."""
    net, twin = (network(dtype=dtype, n_threads=n_threads) for _ in range(2))
    X, y = (part.astype(net.dtype) for part in data)
    for _ in range(5):
        net.train_on_batch(X, y)
        twin.train_on_output_gradients(X, twin(X, training=True) - y)
        assert state_of(net) == state_of(twin)


def test_outputs_in_training_without_dropout_are_those_of_other_weights(data):
    X, y = data
    net = network(layers=[Dense(17, "tanh"), Dense(3)])
    assert np.array_equal(net(X, training=True), net(X))
    net.fit(X, y, epochs=3)
    seen = []

    def look(y_true, y_pred):
        seen.append(y_pred.copy())
        return 0.0

    outputs = net(X, training=True)
    assert not np.array_equal(outputs, net(X))
    net.fit(X, y, batch_size=None, shuffle=False, metrics=[look])
    assert np.array_equal(outputs, seen[0])


def test_a_diverged_fit_goes_back(data):
    X, y = data
    net = network(ScheduleFreeAdamW(0.02), dtype="float32", layers=[Dense(17, "relu"), Dense(3)])
    net.fit(X, y, batch_size=8, epochs=2)
    with pytest.raises(FloatingPointError):
        net.fit(np.full_like(X, 1e30), y, batch_size=8, epochs=2)
    assert np.isfinite(net.predict(X)).all()
    net.fit(X, y, batch_size=8, epochs=2)
    assert np.isfinite(net.evaluate(X, y))


@pytest.mark.parametrize("others", [[], [Callback()]])
def test_a_loss_that_overflows_after_an_epoch_is_that_of_the_weights_in_training(others):
    """Its last update makes the output of these weights infinite, but not that of the average."""
    net = MLP(1, [Dense(1, use_bias=False, initializer="zeros")], loss="linear",
              optimizer=ScheduleFreeAdamW(2.5e37, beta_1=0.0))  # fmt: skip
    stop = EarlyStopping("loss", patience=9)
    with pytest.raises(FloatingPointError, match="the loss became -inf after epoch 1"):
        net.fit([[4.0]] * 4, [1.0] * 4, batch_size=1, epochs=3, callbacks=[stop, *others])


def test_rows_of_nonzeros_on_any_number_of_threads(rng):
    X = scipy.sparse.random(200, 900, 0.003, format="csr", random_state=0)
    y = rng.normal(size=(200, 2))
    states = []
    for rows, n_threads in ((X, 1), (X, 2), (X.toarray(), 1)):
        net = MLP(900, [Dense(20, "tanh"), Dense(2)], loss="squared_error", optimizer=RULE, seed=1,
                  n_threads=n_threads)  # fmt: skip
        net.fit(rows, y, batch_size=8, epochs=3)
        states.append(state_of(net))
    assert states[0] == states[1] == states[2]


def test_a_handler_of_signals_reads_the_average(rng):
    X, y = rng.normal(size=(400, 5)), rng.normal(size=(400, 3))
    found = []

    def seen():
        outputs = net.predict(X[:9]), net(X[:9], training=True)
        return net.step, digest(net.get_weights()), digest(outputs)

    def handler(*_):
        found.append(seen())
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while not found:
            net = network(layers=[Dense(30, "tanh"), Dense(3)])
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                net.fit(X, y, batch_size=4, epochs=200, shuffle=False)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if found and found[0][0] == 0:
                found.clear()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found[0] == seen()


def test_predictions_beside_a_fit_do_not_change_its_validation(rng):
    """Both evaluate the average of the weights, each in a thread of its own."""
    X, y = rng.normal(size=(64, 5)), rng.normal(size=(64, 3))
    judges = rng.normal(size=(4000, 5)), rng.normal(size=(4000, 3))
    done, histories = threading.Event(), []

    def predict(net):
        while not done.is_set():
            net.predict(X[:1])

    for is_watched in (False, True):
        net = network(n_threads=1)
        net.fit(X, y, epochs=1)
        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(predict, net) if is_watched else None
            options = {"epochs": 300, "validation_data": judges, "shuffle": False}
            histories.append(net.fit(X, y, batch_size=64, **options).history["val_loss"])
            done.set()
        done.clear()
        if other is not None:
            other.result()
    assert histories[0] == histories[1]


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="takes no schedule"):
        ScheduleFreeAdamW(CosineDecay(0.1, 5))
    with pytest.raises(ValueError, match="cannot both average"):
        ScheduleFreeAdamW(use_ema=True)
    for value in (-1, 0.5, "2", True):
        with pytest.raises((TypeError, ValueError), match="warmup_steps"):
            ScheduleFreeAdamW(warmup_steps=value)
    net = network()
    with pytest.raises(ValueError, match="takes no schedule"):
        net.learning_rate = CosineDecay(0.1, 5)
    for call in (net.averaged, net.get_ema_weights):
        with pytest.raises(ValueError, match="an average already"):
            call()
    with pytest.raises(ValueError, match="an average already"):
        net.fit(*data, callbacks=[SwapEMAWeights()])


def test_steps_from_c(rng):
    X, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    layers = [Dense(17, "tanh"), Dense(3)]
    net, stepped = network(layers=layers), network(layers=layers)
    workspace, train = (
        embedding.Workspace(stepped, rows=8, training=True),
        embedding.functions().train_f64,
    )
    loss = ctypes.c_double()
    for at in range(0, 40, 8):
        x, t = (np.ascontiguousarray(array[at : at + 8]) for array in (X, y))
        expected = net.train_on_batch(x, t)
        assert train(workspace.address, 8, x.ctypes.data, t.ctypes.data, ctypes.byref(loss)) == 0
        assert loss.value == expected
    assert state_of(net) == state_of(stepped)
