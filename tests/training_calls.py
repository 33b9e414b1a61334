"""Seeded trainings for tests/digests.json: forms of rows, options of fit, calls, and kernels.

Like those of fastnn.verification they use the public API alone; `small_blocks` is the exception.
"""

import contextlib
import itertools
import pickle
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from fastnn import (
    MLP,
    SGD,
    Adam,
    Callback,
    Dense,
    Dropout,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Standardize,
    kernels,
    load,
)
from fastnn.training import rows as row_sources
from fastnn.verification.trainings import (
    CROSS,
    DTYPES,
    SMALL_RATE,
    built,
    classifier,
    fitted,
    pair,
    results,
    rows_for,
    tiny,
    usual,
)


@contextlib.contextmanager
def small_blocks():
    """Let rows that are converted during training come in blocks of some 100 rows."""
    with mock.patch.multiple(row_sources, LARGE_BYTES=2 << 10, BLOCK_BYTES=4 << 10):
        yield


# ---- rows, options of fit -----------------------------------------------------------------------


def trained_on(change, *, layers=(), dtype="float32", adapt=False, **options):
    """Return a training on integers 0 to 7, passed to fit in the form that `change` returns."""

    def run(n_threads):
        rng = np.random.default_rng(3)
        X, y = rng.integers(8, size=(230, 12)), rng.uniform(-1, 1, (230, 2))
        stack = [*layers, Dense(18, "tanh"), Dense(2)]
        net = built(12, stack, n_threads, dtype=dtype, optimizer=Adam(0.01))
        with small_blocks(), tempfile.TemporaryDirectory() as folder:
            rows = change(X, y, Path(folder))
            if adapt:
                net.adapt(rows[0])
            history = net.fit(*rows, **{"batch_size": 16, "epochs": 2, **options})
            found = results(net, history)
            if len(rows) == 2:
                found += [net.predict(rows[0]), np.array(net.evaluate(*rows))]
        return found

    return run


def mapped(X, y, folder):
    np.save(folder / "X.npy", X.astype("f4"))
    return np.load(folder / "X.npy", mmap_mode="r"), y


def sparse(X, y, folder):
    from scipy.sparse import csr_array

    return csr_array((X * (X > 4)).astype("f4")), y


def frame(X, y, folder):
    from pandas import DataFrame

    return DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])]), y


def batches(X, y, folder):
    return ([(X[i : i + 50], y[i : i + 50]) for i in range(0, 230, 50)],)


def weighed_batches(X, y, folder):
    return ([(X[i : i + 50], y[i : i + 50], 1 + X[i : i + 50, 0]) for i in range(0, 230, 50)],)


ROW_FORMS = {
    "float64 array": lambda X, y, folder: (X.astype(float), y),
    "float32 array": lambda X, y, folder: (X.astype("f4"), y.astype("f4")),
    "uint8 array": lambda X, y, folder: (X.astype("u1"), y),
    "float16 array": lambda X, y, folder: (X.astype("f2"), y),
    "array in columns' order": lambda X, y, folder: (np.asfortranarray(X.astype("f4")), y),
    "memory-mapped file": mapped,
    "CSR": sparse,
    "data frame": frame,
    "iterable of batches": batches,
    "iterable of weighed batches": weighed_batches,
}


def by_row_form():
    for name, change in ROW_FORMS.items():
        yield name, trained_on(change)
        yield f"{name}, float64", trained_on(change, dtype="float64")
    for name in ("float64 array", "uint8 array", "memory-mapped file", "CSR"):
        change, standardized = ROW_FORMS[name], [Standardize()]
        yield f"{name}, in order", trained_on(change, shuffle=False)
        yield f"{name}, standardized", trained_on(change, layers=standardized)
        yield f"{name}, adapted before", trained_on(change, layers=standardized, adapt=True)
        yield f"{name}, validation_split", trained_on(change, validation_split=0.3)
    yield "iterable, steps_per_epoch", trained_on(batches, steps_per_epoch=3)
    first = (np.arange(36.0).reshape(3, 12) / 6, np.zeros((3, 2)))
    yield "validation_data", trained_on(ROW_FORMS["float64 array"], validation_data=first)
    yield (
        "validation_data, weights",
        trained_on(ROW_FORMS["float64 array"], validation_data=(*first, [1.0, 0.5, 2.0])),
    )


def by_fit_option():
    weights = np.random.default_rng(4).uniform(0, 2, 40)
    for train in (usual, classifier, tiny, pair):
        name, options = train.__name__, {"rows": 40}
        yield f"{name}, in order", train(shuffle=False, **options)
        yield f"{name}, order by a generator", generated(train, **options)
        yield f"{name}, sample_weight", train(sample_weight=weights, **options)
        yield (
            f"{name}, sample_weight, sum",
            train(sample_weight=weights, reduction="sum", optimizer=SMALL_RATE, **options),
        )
        yield f"{name}, validation_split", train(validation_split=0.25, **options)
        yield f"{name}, metric", train(metrics=METRICS[name], validation_split=0.25, **options)
    outputs = np.random.default_rng(5).uniform(0, 2, (40, 3)) * (np.arange(120) % 4 > 0).reshape(
        40, 3
    )
    for dtype in ("float32", "float64"):
        options = {"rows": 40, "dtype": dtype, "metrics": ["mae"]}
        yield f"weights of outputs, {dtype}", usual(sample_weight=outputs, **options), (1, 2, 8)
        yield f"weights of outputs, tiny, {dtype}", tiny(sample_weight=outputs, **options)
        signed = {"sample_weight": weights - 1, "dtype": dtype}
        yield f"signed weights, {dtype}", classifier(**signed), (1, 2, 8)
        yield f"signed weights, huber, {dtype}", usual(loss="huber", **signed), (1, 2, 8)
    for balance in ({0: 2.0, 3: 0.5}, "balanced"):
        yield f"class_weight {balance}", classifier(class_weight=balance, sample_weight=weights)
    layers = [Dense(20, "tanh"), Dense(1, "sigmoid")]
    yield (
        "class_weight, binary",
        fitted(6, layers, loss="binary_cross_entropy", class_weight={0: 0.5, 1: 3.0}),
    )


METRICS = {
    "usual": ["mae", "mse", "r2"],
    "classifier": ["accuracy"],
    "tiny": ["mae"],
    "pair": ["mse"],
}


def generated(train, **options):
    """Return a training in an order that a user's generator draws."""
    return lambda n_threads: train(shuffle=np.random.default_rng(8), **options)(n_threads)


def diverged(n_in, layers, batch_size):
    """Return a training whose loss becomes non-finite, so that fit restores earlier weights."""

    def run(n_threads):
        net = built(n_in, layers, n_threads, optimizer=SMALL_RATE)
        X, y = rows_for(net, 2500)
        rates = LearningRateScheduler(lambda epoch: 0.002 if epoch < 4 else 1e30)
        try:
            net.fit(X, y, batch_size=batch_size, epochs=9, callbacks=[rates])
        except FloatingPointError:
            return results(net)
        raise AssertionError("the loss stayed finite")

    return run


def by_divergence():
    for batch_size in (1, 8, 1500):
        for n_in, *units in ((2, 3, 1), (4, 5, 3), (6, 20, 17, 3)):
            layers = [*(Dense(n, "leaky_relu") for n in units[:-1]), Dense(units[-1])]
            name = f"diverged, {'-'.join(map(str, [n_in, *units]))}, batches of {batch_size}"
            yield name, diverged(n_in, layers, batch_size), (1, 2)


class OnBatch(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, batch, logs):
        self.losses.append(logs["loss"])


class OnProgress(Callback):
    def on_progress(self, rows, logs):
        pass


def by_callback():
    kinds = {
        "a hook for batches": OnBatch,
        "a hook for progress": OnProgress,
        "a rate an epoch": lambda: LearningRateScheduler(lambda epoch: 0.05 / (1 + epoch)),
        "a rate by plateau": lambda: ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1),
        "early stopping": lambda: EarlyStopping(min_delta=1, patience=1, restore_best_weights=True),
    }
    for name, kind in kinds.items():
        for train in (usual, classifier, tiny, pair):

            def run(n_threads, train=train, kind=kind):
                listener = kind()
                found = train(epochs=6, validation_split=0.2, callbacks=[listener])(n_threads)
                return [*found, np.array(getattr(listener, "losses", []))]

            yield f"{name}, {train.__name__}", run


# ---- calls --------------------------------------------------------------------------------------

NETWORKS = {
    "usual": (6, [Dense(20, "tanh"), Dense(17, "gelu", l2=0.01), Dense(3)], {}),
    "dropout": (6, [Dropout(0.1), Dense(20, "relu"), Dropout(0.5), Dense(3)], {}),
    "tiny": (4, [Dense(5, "tanh"), Dense(3)], {}),
    "classes": (9, [Dense(24, "elu"), Dense(5, "softmax")], {"loss": CROSS}),
    "average": (6, [Dense(20, "tanh"), Dense(3)], {"optimizer": Adam(0.01, use_ema=True)}),
}


def with_batches(net, X, y):
    """Single updates of 1, 2, 3, ... rows, one of them with weights."""
    losses, at = [], 0
    for n in range(1, 9):
        losses.append(net.train_on_batch(X[at : at + n], y[at : at + n]))
        at += n
    losses.append(net.train_on_batch(X, y, np.linspace(0.5, 1.5, len(X))))
    return [np.array(losses)]


def with_gradients(net, X, y):
    found = []
    for training in (False, True):
        loss, gradients = net.loss_and_gradients(X, y, training=training)
        found += [np.array(loss), *gradients]
    loss, gradients = net.loss_and_gradients(X[:3], y[:3], [0.5, 1.0, 2.0])
    return [*found, np.array(loss), *gradients]


def with_gradients_of_rows(net, X, y):
    return [net.per_sample_gradients(X, y, flat=True), *net.per_sample_gradients(X[:3], y[:3])]


def with_output_gradients(net, X, y):
    """Updates of 1, 2, 3, ... rows from gradients of the outputs, one of them with weights."""
    at = 0
    for n in range(1, 9):
        dY = net(X[at : at + n], training=True) - np.float32(0.25)
        net.train_on_output_gradients(X[at : at + n], dY)
        at += n
    net.train_on_output_gradients(X, net(X), np.linspace(0.5, 1.5, len(X)))
    return [net.get_flat_weights()]


def with_evaluations(net, X, y):
    net.fit(X, y, batch_size=8)
    losses = net.evaluate(X, y), net.evaluate(X[:7], y[:7], np.arange(7.0))
    return [np.array(losses), *net.activations(X), net.jacobian(X), net.input_gradients(X)]


def with_predictions(net, X, y):
    many = rows_for(net, 1000, seed=6)[0].astype("f4")
    out = np.empty((96, net.n_out), np.float32)
    return [*(net.predict(many[:n]) for n in (1, 2, 5, 97, 1000)), net.predict(many[:96], out=out)]


def continued(renew):
    """Return a call that trains, takes a copy of some kind, and trains that."""

    def call(net, X, y):
        net.fit(X, y, batch_size=8)
        twin = renew(net)
        return results(twin, twin.fit(X, y, batch_size=8, epochs=2))

    return call


def through_file(net):
    with tempfile.TemporaryDirectory() as folder:
        net.save(f"{folder}/net.safetensors")
        return load(f"{folder}/net.safetensors")


def resumed(net, X, y):
    twin = net.copy()
    options = {"batch_size": 8, "validation_split": 0.2}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/net.safetensors"
        kept = {"callbacks": [ModelCheckpoint(path, "loss")], **options}
        net.fit(X, y, epochs=2, **kept)
        return results(twin, twin.fit(X, y, epochs=5, resume=path, **kept))


def with_new_weights(net, X, y):
    net.set_weights([0.5 * w for w in net.get_weights()])
    net.learning_rate = 0.02
    return results(net, net.fit(X, y, batch_size=8))


CALLS = {
    "train_on_batch": with_batches,
    "loss_and_gradients": with_gradients,
    "per_sample_gradients": with_gradients_of_rows,
    "train_on_output_gradients": with_output_gradients,
    "evaluate, activations, jacobian": with_evaluations,
    "predictions of some rows": with_predictions,
    "copied midway": continued(MLP.copy),
    "copied to float64 midway": continued(lambda net: net.copy(dtype="float64")),
    "pickled midway": continued(lambda net: pickle.loads(pickle.dumps(net))),
    "saved midway": continued(through_file),
    "resumed": resumed,
    "set_weights, learning_rate": with_new_weights,
}


def by_call():
    for (name, call), (of, (n_in, layers, options)) in itertools.product(
        CALLS.items(), NETWORKS.items()
    ):

        def run(n_threads, call=call, n_in=n_in, layers=layers, options=options):
            net = built(n_in, layers, n_threads, **options)
            X, y = (a.astype("f4") if a.dtype == float else a for a in rows_for(net, 40))
            return [*call(net, X, y), *results(net)]

        yield f"{name}, {of}", run, (1, 2)


def half_square(y_true, y_pred):
    error = y_pred - y_true
    return (error * error).sum(axis=1) / 2, error


def by_custom_loss():
    """Losses that are functions; their bits are those of the built-in squared error."""
    for (name, options), dtype in itertools.product(CUSTOM_LOSS_OPTIONS.items(), DTYPES):
        layers = [Dropout(0.1), Dense(20, "tanh", l2=0.01), Dropout(0.5), Dense(3)]
        run = fitted(6, layers, rows=70, dtype=dtype, loss=half_square, **options)
        yield f"own loss, {name}, {dtype}", run, (1, 2)


CUSTOM_LOSS_OPTIONS = {
    "plain": {},
    "on-line": {"batch_size": 1},
    "validation, metrics": {"validation_split": 0.3, "metrics": ["mae"]},
    "clipped": {"optimizer": Adam(0.01, global_clipnorm=0.1)},
}


def kernel_step(shape, dtype, h, rule):
    """Return three steps of a layer and its neighbours by the kernels, as functions of arrays."""

    def run(n_threads):
        n, k, m = shape
        rng = np.random.default_rng(shape)
        x, W, b, W_next, t = (
            rng.uniform(-1, 1, size).astype(dtype) for size in ((n, k), (k, m), m, (m, 3), (n, 3))
        )
        found, state = [], None
        for _ in range(3):
            a, z = kernels.forward(x, W, b, h)
            a_next, y = kernels.forward(z, W_next)
            loss, delta_next = kernels.output_delta(a_next, t, "huber", "identity")
            delta = kernels.delta(a, h, W_next, delta_next)
            state = kernels.update(W, b, x, delta, rule, state)
            found += [a, z, y, loss, delta_next, delta, W.copy(), b.copy()]
        return found

    return run


def by_kernel():
    shapes = (1, 5, 3), (4, 16, 16), (7, 17, 33), (100, 40, 2), (130, 64, 48)
    for shape, dtype in itertools.product(shapes, DTYPES):
        name = f"kernels, {shape[0]} rows, {shape[1]}-{shape[2]}, {dtype}"
        yield f"{name}, tanh, sgd", kernel_step(shape, dtype, "tanh", SGD(0.05))
        yield f"{name}, gelu, adam", kernel_step(shape, dtype, "gelu", Adam(0.01))


SECTIONS = (
    by_row_form,
    by_fit_option,
    by_divergence,
    by_callback,
    by_call,
    by_custom_loss,
    by_kernel,
)
