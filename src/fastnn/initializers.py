"""Initial weights: a numpy Generator and a shape in, a float64 array out.

Not here: which initializer a layer gets by default (activations.py), and biases, which start at 0.
"""

import numpy as np


def _fan_in(shape):
    return shape[0]


def _fan_average(shape):
    return (shape[0] + shape[1]) / 2


def _scaled(scale, fan, uniform):
    """Return an initializer of variance ``scale / fan``."""

    def draw(rng, shape):
        deviation = np.sqrt(scale / fan(shape))
        if uniform:
            return rng.uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation, shape)
        return rng.normal(0.0, deviation, shape)

    return draw


def _orthogonal(rng, shape):
    """Draw orthonormal rows or columns, uniformly distributed (Saxe et al., ICLR 2014)."""
    tall = (max(shape), min(shape))
    q, r = np.linalg.qr(rng.normal(size=tall))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if shape == tall else q.T


def _zeros(rng, shape):
    return np.zeros(shape)


_BY_NAME = {
    "glorot_uniform": _scaled(1.0, _fan_average, uniform=True),  # Glorot, Bengio, AISTATS 2010
    "glorot_normal": _scaled(1.0, _fan_average, uniform=False),
    "he_uniform": _scaled(2.0, _fan_in, uniform=True),  # He et al., ICCV 2015
    "he_normal": _scaled(2.0, _fan_in, uniform=False),
    "lecun_uniform": _scaled(1.0, _fan_in, uniform=True),  # LeCun et al., Efficient BackProp 1998
    "lecun_normal": _scaled(1.0, _fan_in, uniform=False),
    "orthogonal": _orthogonal,
    "zeros": _zeros,
}

NAMES = tuple(_BY_NAME)


def draw(name, rng, shape):
    """Draw weights of `shape` (n_in, n_out) by the initializer of that name."""
    return _BY_NAME[name](rng, shape)
