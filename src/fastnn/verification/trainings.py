"""Seeded trainings for digests that vary the network: layers, losses, optimizers, shapes.

A training is a function of the number of threads that returns its results: a list of arrays and of
names of losses. It uses only the public API, so that trainings outlive changes of the code.
Activations, losses and optimizers come from the registries. The name of a training describes it and
must not change, since it is the key in the table.

Data are drawn uniformly, without functions of the C library. The orthogonal initializer (LAPACK)
and the area under the ROC curve (BLAS) are left out, since their results depend on a library.

Not here: digests and their table (__init__.py); trainings that vary the form of rows, the options
of fit or other calls (tests/training_calls.py).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import (
    MLP,
    SGD,
    Activation,
    Adagrad,
    Adam,
    AdamW,
    Adaptive,
    BinaryCrossEntropy,
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    ExponentialDecay,
    Huber,
    InverseScaling,
    LinearWarmup,
    Lion,
    NAdam,
    OneCycle,
    PiecewiseConstantDecay,
    Quantile,
    RMSProp,
    ScheduleFreeAdamW,
    SparseRows,
    Standardize,
    StepDecay,
    activations,
    initializers,
    losses,
    optimizers,
)
from fastnn.callbacks import History, SwapEMAWeights
from fastnn.layers import Layer

Training = Callable[[int], list[Any]]
Named = Iterator[tuple[Any, ...]]

DTYPES = "float32", "float64"
HIDDEN: list[Any] = [name for name in activations.NAMES if name != "softmax"]
WITH_ALPHA: list[Any] = [Activation("leaky_relu", 0.2), Activation("elu", 0.7)]
CROSS = "cross_entropy"
CLIPS: tuple[dict[str, Any], ...] = (
    {"clipvalue": 0.01},
    {"clipnorm": 0.1},
    {"global_clipnorm": 0.2},
)
USUAL_RATE = SGD(0.05)
SMALL_RATE = SGD(0.002)  # small enough that nested exponential functions don't diverge


# ---- one training -------------------------------------------------------------------------------


def rows_for(net: MLP, n: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return X (n, n_in), and targets of the kind that the network's loss takes."""
    rng = np.random.default_rng([seed, n])
    X, shape = rng.uniform(-1, 1, (n, net.n_in)), (n, net.loss.n_targets(net.n_out))
    if net.loss.targets == "class":
        return X, rng.integers(net.n_out, size=n)
    if net.loss.targets == "positive":
        return X, rng.integers(6, size=shape).astype(float)
    low, high = (0, 1) if net.loss.targets == "probability" else (-2, 2)
    return X, rng.uniform(low, high, shape)


def results(net: MLP, history: History | None = None) -> list[Any]:
    """Return weights, predictions on fixed rows, moving averages, and the values of the history."""
    found: list[Any] = [*net.get_weights(), net.predict(rows_for(net, 37, seed=1)[0])]
    if net.optimizer.use_ema:
        found += net.get_ema_weights()
    for name, values in sorted(history.history.items()) if history else ():
        found += [name, np.array(values, np.float64)]
    return found


def built(
    n_in: int,
    layers: Sequence[Layer],
    n_threads: int = 1,
    *,
    loss: Any = "squared_error",
    optimizer: Any = USUAL_RATE,
    **options: Any,
) -> MLP:
    """Return a network with a fixed seed."""
    return MLP(n_in, layers, loss=loss, optimizer=optimizer, seed=5, n_threads=n_threads, **options)


BUILDING = "loss", "optimizer", "dtype", "reduction", "scale_penalties"


def fitted(
    n_in: int,
    layers: Sequence[Layer],
    *,
    rows: int = 40,
    batch_size: int | None = 8,
    epochs: int = 2,
    **options: Any,
) -> Training:
    """Return a training that builds a network and fits it to `rows` rows."""
    building = {name: options.pop(name) for name in BUILDING if name in options}

    def run(n_threads: int) -> list[Any]:
        net = built(n_in, layers, n_threads, **building)
        X, y = rows_for(net, rows)
        return results(net, net.fit(X, y, batch_size=batch_size, epochs=epochs, **options))

    return run


def usual(**options: Any) -> Training:
    """Return the training of a network with wide, odd and narrow layers."""
    return fitted(6, [Dense(20, "tanh"), Dense(17, "relu"), Dense(3)], **options)


def tiny(**options: Any) -> Training:
    """Return the on-line training of a network whose layers each fit in one panel."""
    layers = [Dense(5, "tanh"), Dense(3)]
    return fitted(4, layers, **{"batch_size": 1, "rows": 30, **options})


def pair(**options: Any) -> Training:
    """Return the on-line training of two layers of up to four units."""
    layers = [Dense(3, "sigmoid"), Dense(1, "sigmoid")]
    return fitted(2, layers, **{"batch_size": 1, "rows": 30, **options})


def classifier(**options: Any) -> Training:
    """Return the training of a network that learns class labels."""
    layers = [Dense(24, "relu"), Dense(5, "softmax")]
    return fitted(9, layers, **{"loss": CROSS, "optimizer": Adam(0.01), **options})


# ---- activations, losses, optimizers ------------------------------------------------------------


def by_activation() -> Named:
    """Every hidden activation, in a wide network and in a tiny one."""
    for h, dtype in itertools.product([*HIDDEN, *WITH_ALPHA], DTYPES):
        options: dict[str, Any] = {"dtype": dtype, "optimizer": SMALL_RATE}
        layers = [Dense(20, h), Dense(17, h, use_bias=False), Dense(3)]
        yield f"hidden {h}, {dtype}", fitted(6, layers, **options)
        layers = [Dense(5, h), Dense(3, h, use_bias=False), Dense(2)]
        yield f"hidden {h}, tiny, {dtype}", fitted(4, layers, batch_size=1, rows=30, **options)


def by_loss() -> Named:
    """Every loss with every output activation that it takes."""
    outputs = [*activations.NAMES, *WITH_ALPHA]
    legal = [
        (loss, h)
        for loss in losses.NAMES
        for h in outputs
        if losses.get(loss).n_targets(2) == 2
        and str(h) in (losses.get(loss).outputs or map(str, outputs))
    ]
    for loss, h in legal:
        name = f"{loss} of {h}"
        options: dict[str, Any] = {"loss": loss, "optimizer": SMALL_RATE}
        layers = [Dense(20, "tanh"), Dense(5, h)]
        yield f"{name}, float32", fitted(6, layers, **options)
        layers, dtype = [Dense(4, "tanh"), Dense(3, h)], "float64"
        yield (
            f"{name}, tiny, {dtype}",
            fitted(4, layers, batch_size=1, rows=30, dtype=dtype, **options),
        )
    parameters = [Huber(0.3), Quantile(0.9), Quantile((0.1, 0.5, 0.9))]
    for kind, dtype in itertools.product(parameters, DTYPES):
        yield f"{kind}, {dtype}", usual(loss=kind, dtype=dtype)
    for kind in parameters:
        yield f"{kind}, tiny", tiny(loss=kind)
    for units, dtype in itertools.product((2, 22), DTYPES):
        options = {"loss": "gaussian_nll", "dtype": dtype, "optimizer": SMALL_RATE}
        layers = [Dense(20, "tanh"), Dense(units)]
        yield f"gaussian_nll, {units} outputs, {dtype}", fitted(6, layers, **options)
        layers = [Dense(4, "tanh"), Dense(2)]
        run = fitted(4, layers, batch_size=1, rows=30, **options)
        yield f"gaussian_nll, {units} outputs, tiny, {dtype}", run


def shown(rule: optimizers.Optimizer) -> str:
    """Return an optimizer's name and its options, except the rate, that are not the defaults."""
    options = [
        f"{field.name}={getattr(rule, field.name)}"
        for field in dataclasses.fields(rule)
        if field.name != "learning_rate" and getattr(rule, field.name) != field.default
    ]
    return ", ".join([rule.name, *options])


def optimizer_variants(**shared: Any) -> Iterator[optimizers.Optimizer]:
    """Every optimizer, with each of its own options that are off by default both off and on."""
    common = {field.name for field in dataclasses.fields(optimizers.Optimizer)}
    for name in optimizers.NAMES:
        kind = type(optimizers.get(name))
        own = [field for field in dataclasses.fields(kind) if field.name not in common]
        off = [field for field in own if field.default in (0, False)]
        for on in itertools.product((False, True), repeat=len(off)):
            chosen = [field for field, is_on in zip(off, on, strict=True) if is_on]
            options: dict[str, Any] = {
                field.name: True if field.default is False else 7 if field.type is int else 0.5
                for field in chosen
            }
            yield kind(**shared, **options)


def by_optimizer() -> Named:
    """Every optimizer, with its options on and off, and with other hyper-parameters."""
    for rule, dtype in itertools.product(optimizer_variants(learning_rate=0.02), DTYPES):
        yield f"{shown(rule)}, {dtype}", usual(optimizer=rule, dtype=dtype)
        yield (
            f"{shown(rule)}, one row a step, {dtype}",
            usual(optimizer=rule, dtype=dtype, batch_size=1),
        )
        yield f"{shown(rule)}, tiny, {dtype}", tiny(optimizer=rule, dtype=dtype)
    for name in optimizers.NAMES:
        kind: Any = type(optimizers.get(name))
        for momentum in () if kind.is_average else (0.5, 0.99):
            rule = kind(learning_rate=0.02, use_ema=True, ema_momentum=momentum)
            yield shown(rule), usual(optimizer=rule)
    for rule in (
        Adagrad(0.02, epsilon=1e-3),
        RMSProp(0.02, rho=0.5),
        RMSProp(0.02, epsilon=1e-3),
        Adam(0.02, beta_1=0.5),
        Adam(0.02, beta_2=0.9),
        Adam(0.02, epsilon=1e-3),
        Adam(0.02, epsilon=1e-3, epsilon_hat=True),
        AdamW(0.02, weight_decay=0.0),
        AdamW(0.02, weight_decay=0.1),
        NAdam(0.02, 0.5, 0.9, 1e-3, 1.0, maximize=True),
        Lion(0.02, 0.5, 0.9, maximize=True),
    ):
        yield shown(rule), usual(optimizer=rule)


def by_direction() -> Named:
    """Maximization; weight decay and centered moments with batches of various sizes."""
    for rule, dtype in itertools.product(
        (
            SGD(0.02, maximize=True),
            SGD(0.02, momentum=0.5, nesterov=True, weight_decay=0.5, maximize=True),
            RMSProp(0.002, momentum=0.5, centered=True, weight_decay=0.5, maximize=True),
            Adam(0.002, maximize=True),
            Adam(0.002, amsgrad=True, weight_decay=0.5, clipnorm=0.1, maximize=True),
        ),
        DTYPES,
    ):
        yield f"{shown(rule)}, {dtype}", usual(optimizer=rule, dtype=dtype), (1, 2, 8)
        yield f"{shown(rule)}, tiny, {dtype}", tiny(optimizer=rule, dtype=dtype)
    yield "sgd, maximize=True, pair", pair(optimizer=SGD(0.02, maximize=True))
    layers = [Dense(40, "relu"), Dense(33, "tanh"), Dense(10)]
    for rule in (
        SGD(0.02, weight_decay=0.5),
        RMSProp(0.02, centered=True, weight_decay=0.5),
        RMSProp(0.02, momentum=0.5, centered=True),
    ):
        for batch in (1, 20, 1500):
            run = fitted(33, layers, optimizer=rule, rows=40 if batch < 100 else 2500,
                         batch_size=batch)  # fmt: skip
            yield f"{shown(rule)}, batches of {batch}", run, (1, 2, 3, 8)


def by_schedule() -> Named:
    """Every schedule, per step and per epoch, with and without a warm-up."""
    for per in ("step", "epoch"):
        scale = 10 if per == "step" else 2
        schedules = [
            StepDecay(0.1, scale, 0.5, per=per),
            ExponentialDecay(0.1, scale, 0.5, per=per),
            CosineDecay(0.1, 1.5 * scale, 0.1, per=per),
            CosineDecayRestarts(0.1, scale, 1.5, 0.8, 0.1, per=per),
            InverseScaling(0.1, 0.7, per=per),
            OneCycle(0.1, 2 * scale, per=per),
        ]
        for rate in schedules:
            yield f"{rate.name} per {per}", usual(optimizer=SGD(rate), epochs=5)
        for rate in Constant(0.1, per=per), *schedules:
            warmed = SGD(LinearWarmup(rate, 0.5 * scale, 0.01))
            yield f"warm-up to {rate.name} per {per}", usual(optimizer=warmed, epochs=5)
    stairs = ExponentialDecay(0.1, 7, 0.5, staircase=True)
    yield "exponential_decay, staircase", usual(optimizer=SGD(stairs), epochs=5)
    for per, boundaries in ("step", [3, 11]), ("epoch", [0, 2]):
        pieces = PiecewiseConstantDecay(boundaries, [0.1, 0.05, 0.01], per=per)
        yield f"piecewise_constant_decay per {per}", usual(optimizer=Adam(pieces), epochs=5)
        yield f"piecewise_constant_decay per {per}, tiny", tiny(optimizer=SGD(pieces))
    yield "warm-up to a number, adam", usual(optimizer=Adam(LinearWarmup(0.1, 10)))
    for rule in (SGD, Adam):
        adaptive = Adaptive(0.1, 0.5, patience=1, tol=0.05)
        yield f"adaptive, {rule.name}", usual(optimizer=rule(adaptive), epochs=12)
    yield "cosine_decay, tiny", tiny(optimizer=SGD(CosineDecay(0.1, 50)))


def by_clip() -> Named:
    """Every way of clipping gradients."""
    for clip, rule, dtype in itertools.product(CLIPS, (SGD, Adam), DTYPES):
        optimizer = rule(0.05, **clip)
        yield f"{shown(optimizer)}, {dtype}", usual(optimizer=optimizer, dtype=dtype), (1, 2, 3)
    for clip in CLIPS:
        yield f"{clip}, tiny", tiny(optimizer=SGD(0.05, **clip))
        averaging = Adam(0.05, use_ema=True, ema_momentum=0.9, **clip)
        layers = [Dense(20, "tanh", l2=0.01), Dropout(0.2), Dense(3, l1=0.01)]
        yield f"{clip}, penalties, dropout, average", fitted(6, layers, optimizer=averaging)


# ---- layers, shapes, batches --------------------------------------------------------------------


#: Layers of a network with six inputs, by the option that they try.
STACKS: dict[str, list[Any]] = {
    "no bias below": [Dense(20, "tanh", use_bias=False), Dense(17, "tanh"), Dense(3)],
    "no bias between": [Dense(20, "tanh"), Dense(17, "tanh", use_bias=False), Dense(3)],
    "no bias above": [Dense(20, "tanh"), Dense(17, "tanh"), Dense(3, use_bias=False)],
    "frozen below": [Dense(20, "tanh", trainable=False), Dense(17, "tanh"), Dense(3)],
    "frozen between": [Dense(20, "tanh"), Dense(17, "tanh", trainable=False), Dense(3)],
    "frozen above": [Dense(20, "tanh"), Dense(17, "tanh"), Dense(3, trainable=False)],
    "two frozen below": [
        Dense(20, "tanh", trainable=False),
        Dense(17, "tanh", trainable=False),
        Dense(3),
    ],
    "l1": [Dense(20, "tanh", l1=0.01), Dense(17, "tanh", l1=0.002), Dense(3)],
    "l2": [Dense(20, "tanh", l2=0.01), Dense(17, "tanh", l2=0.002), Dense(3)],
    "l1 and l2 everywhere": [
        Dense(20, "tanh", l1=0.01, l2=0.02),
        Dense(17, "tanh", l1=0.01, l2=0.02),
        Dense(3, l1=0.01, l2=0.02),
    ],
    "frozen with penalties": [Dense(20, "tanh", l2=0.01, trainable=False), Dense(3, l1=0.01)],
    "dropout of inputs": [Dropout(0.2), Dense(20, "relu"), Dense(3)],
    "dropout between": [Dense(20, "relu"), Dropout(0.5), Dense(17, "relu"), Dense(3)],
    "two dropouts in a row": [Dense(20, "relu"), Dropout(0.3), Dropout(0.2), Dense(3)],
    "dropout everywhere": [
        Dropout(0.1),
        Dense(20, "gelu"),
        Dropout(0.3),
        Dense(17, "softplus"),
        Dropout(0.5),
        Dense(3),
    ],
    "standardized": [Standardize(), Dense(20, "tanh"), Dense(3)],
    "standardized, dropout": [Standardize(), Dropout(0.2), Dense(20, "tanh"), Dense(3)],
}


def by_layer_option() -> Named:
    """Biases, frozen layers, penalties, dropout, scaling."""
    for name, layers in STACKS.items():
        for optimizer in ("sgd", "adam"):
            yield f"{name}, {optimizer}", fitted(6, layers, optimizer=optimizer), (1, 2)
        yield f"{name}, one row a step, float64", fitted(6, layers, batch_size=1, dtype="float64")
    averaging = Adam(0.02, use_ema=True)
    yield "frozen below, average", fitted(6, STACKS["frozen below"], optimizer=averaging)


def by_initializer() -> Named:
    """Initial weights."""
    for name in initializers.NAMES:
        if name != "orthogonal":
            layers = [Dense(20, "tanh", initializer=name), Dense(3)]
            yield f"initializer {name}", fitted(6, layers)


def by_reduction() -> Named:
    """Reductions of a batch, with penalties scaled and not."""
    for reduction, scaled in itertools.product(("mean", "sum"), (False, True)):
        options: dict[str, Any] = {
            "reduction": reduction,
            "scale_penalties": scaled,
            "optimizer": SMALL_RATE,
        }
        name = f"reduction {reduction}, scale_penalties {scaled}"
        yield name, fitted(6, [Dense(20, "tanh", l1=0.01), Dense(3, l2=0.01)], **options)
        yield f"{name}, tiny", tiny(**options)


def by_shape() -> Named:
    """Widths around the widths of vectors and panels."""
    for n_in, *units in (
        (6, 20, 1),
        (16, 32, 4),
        (15, 33, 4),
        (17, 31, 2),
        (32, 48, 5),
        (64, 3, 64),
        (1, 1, 1),
        (100, 2),
        (96, 4),
        (5, 200, 7, 90, 3),
        (12, 16, 16, 16, 16, 16, 2),
        (130, 257, 129, 10),
        (784, 128, 10),
    ):
        layers = [*(Dense(n, "tanh") for n in units[:-1]), Dense(units[-1])]
        for dtype in DTYPES:
            name = f"{'-'.join(map(str, [n_in, *units]))}, {dtype}"
            yield name, fitted(n_in, layers, dtype=dtype, batch_size=20), (1, 2, 3)
    for n_in, *units in ((2, 3, 1), (4, 4, 4), (1, 4, 2), (16, 16, 16), (3, 2), (8, 9, 7, 2)):
        sizes = "-".join(map(str, [n_in, *units]))
        for dtype in DTYPES:
            layers = [*(Dense(n, "sigmoid") for n in units[:-1]), Dense(units[-1])]
            yield f"{sizes}, tiny, {dtype}", fitted(n_in, layers, dtype=dtype, batch_size=1)
            layers[-1] = Dense(max(2, units[-1]), "softmax")
            yield (
                f"{sizes}, tiny, labels, {dtype}",
                fitted(n_in, layers, dtype=dtype, batch_size=1, loss=CROSS),
            )
    for n_out, dtype in itertools.product((2, 4, 8, 15, 16, 17, 40), DTYPES):
        layers = [Dense(20, "relu"), Dense(n_out, "softmax")]
        yield f"{n_out} classes, {dtype}", fitted(9, layers, dtype=dtype, loss=CROSS)


def by_batch() -> Named:
    """Sizes of batches around the sizes of chunks and rounds."""
    layers: list[Any] = [Dense(40, "relu"), Dense(33, "tanh"), Dense(10, "softmax")]
    batch: int | None
    for batch, dtype in itertools.product((1, 2, 3, 4, 5), DTYPES):
        run = fitted(33, layers, loss=CROSS, batch_size=batch, dtype=dtype, rows=31)
        yield f"batches of {batch}, {dtype}", run, (1, 2, 3)
    for batch, dtype in itertools.product((95, 96, 97, 1023, 1024, 1025, None), DTYPES):
        run = fitted(
            33, layers, loss=CROSS, batch_size=batch, dtype=dtype, rows=2500, optimizer="adam"
        )
        name = "one batch of 2500" if batch is None else f"batches of {batch}"
        yield f"{name}, {dtype}", run, (1, 2, 3)
    layers = [Dense(300, "relu"), Dense(10, "softmax")]
    for batch in (1, 4, 64):
        run = fitted(400, layers, loss=CROSS, batch_size=batch, rows=64, epochs=1)
        yield f"400-300-10, batches of {batch}", run, (1, 2, 3)
    for clip in CLIPS:
        layers = [Dense(40, "relu", l2=0.01), Dropout(0.2), Dense(3)]
        run = fitted(33, layers, batch_size=1500, rows=2500, optimizer=SGD(0.05, **clip))
        yield f"batches of 1500, {clip}", run, (1, 2, 3)
    weights = np.linspace(0.5, 1.5, 2500)
    run = fitted(33, layers, batch_size=1500, rows=2500, sample_weight=weights)
    yield "batches of 1500, sample_weight", run, (1, 2, 3)
    # More rows than are trained between two checks for signals.
    yield "half a million rows, 2-3-1", pair(rows=500_000, epochs=1)


# ---- options for networks on tables -------------------------------------------------------------


def by_layer_start() -> Named:
    """Initial biases, and learning rates per layer."""
    for name, dtype in itertools.product(initializers.OF_BIASES, DTYPES):
        layers: list[Any] = [Dense(20, "silu", bias_initializer=name), Dense(3)]
        yield f"bias_initializer {name}, {dtype}", fitted(6, layers, dtype=dtype)
        yield f"bias_initializer {name}, 1 row, {dtype}", fitted(6, layers, dtype=dtype, rows=1)
    for rule, dtype in itertools.product(optimizers.NAMES, DTYPES):
        options: dict[str, Any] = {"optimizer": rule, "dtype": dtype}
        layers = [Dense(20, "tanh", learning_rate_multiplier=4.0), Dense(17, "relu"), Dense(3)]
        yield f"learning_rate_multiplier below, {rule}, {dtype}", fitted(6, layers, **options)
        layers = [Dense(5, "tanh"), Dense(3, learning_rate_multiplier=0.5)]
        yield (
            f"learning_rate_multiplier above, tiny, {rule}, {dtype}",
            fitted(4, layers, batch_size=1, rows=30, **options),
        )
    clipped = AdamW(0.02, weight_decay=0.1, clipnorm=0.2, use_ema=True)
    layers = [Dense(20, "tanh", learning_rate_multiplier=4.0, l2=0.01), Dense(3)]
    for batch in (1, 8, 1500):
        rows = 2500 if batch > 8 else 40
        run = fitted(6, layers, optimizer=clipped, rows=rows, batch_size=batch)
        yield f"learning_rate_multiplier, {shown(clipped)}, batches of {batch}", run, (1, 2, 3)


def by_smoothing() -> Named:
    """Label smoothing, for labels and for probabilities."""
    for smoothing, dtype in itertools.product((0.1, 0.5), DTYPES):
        cross = CrossEntropy(label_smoothing=smoothing)
        for n_out in (2, 5, 17):
            layers = [Dense(20, "relu"), Dense(n_out, "softmax")]
            options: dict[str, Any] = {"loss": cross, "dtype": dtype}
            yield f"{cross}, {n_out} classes, {dtype}", fitted(9, layers, **options)
        layers = [Dense(4, "sigmoid"), Dense(3, "softmax")]
        run = fitted(4, layers, batch_size=1, rows=30, loss=cross, dtype=dtype)
        yield f"{cross}, tiny, {dtype}", run
        binary = BinaryCrossEntropy(label_smoothing=smoothing)
        layers = [Dense(20, "tanh"), Dense(3, "sigmoid")]
        yield f"{binary}, {dtype}", fitted(6, layers, loss=binary, dtype=dtype)
        layers = [Dense(3, "tanh"), Dense(1, "sigmoid")]
        run = fitted(2, layers, loss=binary, dtype=dtype, batch_size=1, rows=30)
        yield f"{binary}, tiny, {dtype}", run


def by_average() -> Named:
    """Moving averages in validation; early stopping restores the best of them."""
    layers = [Dense(20, "silu"), Dropout(0.1), Dense(3)]
    for rule, dtype in itertools.product((SGD, AdamW), DTYPES):
        for momentum in (0.5, 0.99):

            def run(n_threads: int, rule: Any = rule, dtype: str = dtype,
                    momentum: float = momentum) -> list[Any]:  # fmt: skip
                optimizer = rule(0.02, use_ema=True, ema_momentum=momentum)
                net = built(6, layers, n_threads, optimizer=optimizer, dtype=dtype)
                stop = EarlyStopping(patience=1, min_delta=0.01, restore_best_weights=True)
                history = net.fit(*rows_for(net, 60), batch_size=8, epochs=9, validation_split=0.2,
                                  callbacks=[SwapEMAWeights(), stop])  # fmt: skip
                return results(net, history)

            yield f"averages judged, {rule.__name__}, momentum {momentum}, {dtype}", run, (1, 2)


def by_nonzeros() -> Named:
    """Wide rows with few nonzeros, for which weights are updated only when they are next read."""
    rules: tuple[optimizers.Optimizer, ...] = (
        SGD(0.05),
        SGD(0.05, momentum=0.9, nesterov=True),
        RMSProp(0.01, momentum=0.5, centered=True),
        Adagrad(0.05),
        Adam(0.01, amsgrad=True),
        Adam(CosineDecay(0.01, 20), use_ema=True, ema_momentum=0.9),
        AdamW(0.01, weight_decay=0.1),
        AdamW(0.01, weight_decay=0.1, use_ema=True, clipvalue=0.01),
        NAdam(0.01, weight_decay=0.1),
        Lion(0.001),
        ScheduleFreeAdamW(0.01, warmup_steps=9, weight_decay=0.1),
    )
    for rule, dtype in itertools.product(rules, DTYPES):
        for n_in, batch_size in ((400, 8), (3000, 1)):

            def run(n_threads: int, rule: Any = rule, dtype: str = dtype, n_in: int = n_in,
                    batch_size: int = batch_size) -> list[Any]:  # fmt: skip
                layers = [Dense(20, "tanh", learning_rate_multiplier=2.0), Dense(3)]
                net = built(n_in, layers, n_threads, optimizer=rule, dtype=dtype)
                rng = np.random.default_rng(7)
                places = np.sort(rng.integers(n_in // 2, size=(60, 2)), axis=1)
                places[:, 1] += n_in // 2
                starts = np.arange(0, 121, 2)
                X = SparseRows(rng.uniform(-1, 1, 120), places.ravel(), starts, (60, n_in))
                y = rng.uniform(-2, 2, (60, 3))
                history = net.fit(X, y, batch_size=batch_size, epochs=3)
                return [*results(net, history), net.predict(X)]

            yield (
                f"nonzeros of {n_in}, batches of {batch_size}, {shown(rule)}, {dtype}",
                run,
                (1, 2),
            )


SECTIONS = (
    by_activation,
    by_loss,
    by_optimizer,
    by_direction,
    by_schedule,
    by_clip,
    by_layer_option,
    by_initializer,
    by_reduction,
    by_shape,
    by_batch,
    by_layer_start,
    by_smoothing,
    by_average,
    by_nonzeros,
)
