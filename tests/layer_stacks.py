"""Stacks of layers for the tests: small networks that contain every kind of layer, and their rows.

A new kind of layer joins all tests of test_layers.py with a stack in one of the tables here. Not
here: tests of single kinds (test_stages.py, test_embedding_layers.py, test_ensemble_layers.py).
"""

import numpy as np

from fastnn import (
    MLP,
    Activate,
    Activation,
    Dense,
    Dropout,
    Embedding,
    Ensemble,
    LayerNorm,
    NumericEmbedding,
    Residual,
    Standardize,
)

#: The number of inputs and of outputs of every stack.
N_IN, N_OUT = 5, 2

#: Column: its number of categories, if a stack has an Embedding. The other columns hold numbers.
CATEGORIES = {1: 3, 4: 40}
NUMBERS = [0, 2, 3]
EMBEDDING = Embedding([3, 40], 4, columns=[1, 4])
BINS = [[-2.0, -0.3, 0.4, 1.0], [-1.5, 1.5], [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]]

NORMS_AND_SUMS = {
    "norm of inputs": [LayerNorm(), Dense(2)],
    "norm between": [Dense(19, "tanh"), LayerNorm(), Dense(2)],
    "norm of one panel": [Dense(16, "gelu"), LayerNorm(1e-3), Dense(2)],
    "frozen norm": [Dense(19, "tanh"), LayerNorm(trainable=False), Dense(7, "silu"), Dense(2)],
    "norm below frozen layers": [LayerNorm(), Dense(9, "tanh", trainable=False), Dense(2)],
    "norm and dropout": [Dense(19, "tanh"), LayerNorm(), Dropout(0.3), Dense(2)],
    "dropout and norm": [Dense(19, "tanh"), Dropout(0.3), LayerNorm(), Dense(2)],
    "sum": [Dense(9, "tanh"), Residual([Dense(20, "tanh"), Dense(9)]), Dense(2)],
    "sum over the inputs": [Residual([Dense(5, "sigmoid")]), Dense(2)],
    "sum of one norm": [Dense(9, "tanh"), Residual([LayerNorm()]), Dense(2)],
    "sums in a row": [Residual([Dense(5, "tanh")]), Residual([Dense(5, "tanh")]), Dense(2)],
    "sums in sums": [
        Residual(
            [Dense(9, "tanh"), Residual([LayerNorm(), Residual([Dense(9, "gelu")])]), Dense(5)]
        ),
        Dense(2),
    ],
    "sum and dropouts": [
        Dropout(0.1),
        Residual([Dropout(0.2), Dense(9, "tanh", l1=1e-3), Dropout(0.3), Dense(5, l2=1e-3)]),
        Dropout(0.4),
        Dense(2),
    ],
    "standardized": [Standardize(), Residual([LayerNorm(), Dense(5, "tanh")]), Dense(2)],
    "norm and activation": [Dense(19), LayerNorm(), Activate("relu"), Dense(2)],
    "norm, activation of slopes, dropout": [
        Dense(19),
        LayerNorm(),
        Activate("gelu"),
        Dropout(0.3),
        Activate("elu"),
        Dense(2),
    ],
    "activations of inputs": [Activate("tanh"), Activate(Activation("leaky_relu", 0.3)), Dense(2)],
    "activations and sums": [
        Residual([Activate("silu"), Dense(5), Activate("tanh")]),
        Activate("softplus"),
        Residual([Activate("mish")]),
        Dropout(0.1),
        Activate("identity"),
        Dense(2),
    ],
    "frozen below an activation": [
        Dense(9, "tanh", trainable=False),
        LayerNorm(trainable=False),
        Activate("mish"),
        Dense(2),
    ],
    "frozen below a sum": [
        Dense(9, "tanh", trainable=False),
        Residual([Dense(9, "tanh", trainable=False), LayerNorm()]),
        Dense(2),
    ],
}

EMBEDDINGS = {
    "categories": [EMBEDDING, Dense(7, "tanh"), Dense(2)],
    "wide vectors": [Embedding([3, 40], 19, columns=[1, 4]), Dense(2)],
    "one column": [Embedding(40, 1, columns=[4]), Dense(7, "tanh"), Dense(2)],
    "frozen categories": [Embedding([3, 40], 4, columns=[1, 4], trainable=False), Dense(2)],
    "bins": [NumericEmbedding(3, bins=BINS[:2], columns=[0, 2], activation="tanh"), Dense(2)],
    "bins, slopes kept": [
        NumericEmbedding(19, bins=BINS, columns=[0, 2, 3], activation="gelu"),
        Dense(7, "tanh"),
        Dense(2),
    ],
    "waves": [NumericEmbedding(3, "periodic", columns=[0, 2], activation="silu"), Dense(2)],
    "waves, relu": [NumericEmbedding(2, "periodic", columns=[3]), Dense(2)],
    "waves, kept": [NumericEmbedding(2, "periodic", columns=[0], activation="identity"), Dense(2)],
    "waves of all": [
        Standardize(),
        NumericEmbedding(20, "periodic", activation="gelu", n_frequencies=20),
        Dropout(0.2),
        Dense(7, "tanh"),
        Dense(2),
    ],
    "categories, waves and bins": [
        Standardize(),
        EMBEDDING,
        NumericEmbedding(
            5, "periodic", columns=[0, 5], n_frequencies=2, sigma=0.3, activation="identity",
            learning_rate_multiplier=0.5,
        ),
        NumericEmbedding(2, bins=BINS[1:], columns=[1, 3], activation="softplus"),
        LayerNorm(),
        Dense(2),
    ],
    "waves and bins of hidden units": [
        Dense(6, "tanh"),
        NumericEmbedding(1, "periodic", columns=[5], n_frequencies=3, activation="tanh"),
        Residual([NumericEmbedding(2, bins=BINS[:1] * 3, columns=[1, 2, 3]), Dense(6)]),
        Dense(2),
    ],
    "frozen waves and bins": [
        NumericEmbedding(3, "periodic", columns=[0], trainable=False),
        NumericEmbedding(3, bins=BINS[:1], columns=[3], activation="tanh", trainable=False),
        Dense(5, "tanh"),
        Dense(2),
    ],
}  # fmt: skip

ENSEMBLES = {
    "ensemble of heads": [Ensemble(3, [Dense(2)])],
    "ensemble, first adapter": [Ensemble(4, [Dense(9, "tanh"), Dense(17, "silu"), Dense(2)])],
    "ensemble, all adapters": [Ensemble(3, [Dense(9, "tanh"), Dense(17, "silu"), Dense(2)], "all")],
    "ensemble of many": [Ensemble(33, [Dense(5, "tanh"), Dense(2)])],
    "ensemble without biases": [
        Ensemble(2, [Dense(9, "tanh", use_bias=False), Dense(2, use_bias=False)], "all")
    ],
    "ensemble of slopes": [Ensemble(5, [Dense(19, "gelu"), Dense(2, "softplus")])],
    "ensemble of other layers": [
        Dropout(0.1),
        Ensemble(
            3,
            [
                Dense(9, "tanh", l1=1e-3),
                Residual([LayerNorm(), Dropout(0.2), Dense(9, "silu", l2=1e-3)]),
                Activate("elu"),
                Dropout(0.3),
                Dense(2, l1=1e-3, l2=1e-3),
            ],
        ),
    ],
    "ensemble of sums": [
        Ensemble(
            2,
            [Dense(9, "tanh"), Residual([Dense(9), Residual([Dense(9, "gelu")])]), Dense(2)],
            "all",
            "standard_normal",
        )
    ],
    "ensemble behind other layers": [
        Standardize(),
        NumericEmbedding(4, bins=[[-1.0, 0.0, 1.0], [-2.0, -0.5, 0.5, 2.0]], columns=[1, 3]),
        Dense(7, "tanh"),
        Ensemble(6, [Dense(9, "tanh"), Dense(2)]),
    ],
    "frozen ensemble": [
        Dense(7, "tanh", trainable=False),
        Ensemble(
            3,
            [Dense(9, "tanh"), Dense(2, trainable=False, learning_rate_multiplier=0.5)],
            trainable=False,
        ),
    ],
    "ensemble with rates": [
        Ensemble(
            3,
            [Dense(9, "tanh"), Dense(2, learning_rate_multiplier=0.5)],
            learning_rate_multiplier=2.0,
        )
    ],
}

STACKS = NORMS_AND_SUMS | EMBEDDINGS | ENSEMBLES


def inside(layers):
    """Yield the layers of a stack and the layers within them."""
    for layer in layers:
        yield layer
        yield from inside(getattr(layer, "layers", ()))


def has(stack, kind):
    """Whether a layer of this kind is in a stack."""
    return any(isinstance(layer, kind) for layer in inside(stack))


def rows(n, stack=(), dtype="float64"):
    """Return X (n, 5), with categories where the stack has an Embedding, and y (n, 2)."""
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, N_IN)), rng.normal(size=(n, N_OUT))
    if has(stack, Embedding):
        for column, size in CATEGORIES.items():
            X[:, column] = rng.integers(0, size, n)
    return X.astype(dtype), y.astype(dtype)


def network(stack, optimizer="sgd", dtype="float64", **options):
    """Return a network of a stack, none of whose parameters has its initial value."""
    net = MLP(
        N_IN, stack, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=3, **options
    )
    if stack[0].comes_first:
        X, _ = rows(50, stack)
        X[:, NUMBERS] = 0.5 + 1.5 * X[:, NUMBERS]
        net.adapt(X)
    rng = np.random.default_rng(4)
    net.set_weights([w + 0.2 * rng.standard_normal(w.shape) for w in net.get_weights()])
    return net
