"""Initial weights: a numpy Generator and a shape in, float64 arrays out.

Not here: which initializer a layer gets by default (activations.py), and biases, which start at 0.
"""

import numpy as np


def _fan_in(shape):
    return shape[0]


def _fan_average(shape):
    return (shape[0] + shape[1]) / 2


def _scaled(scale, fan, uniform):
    """Return an initializer of variance ``scale / fan``."""

    def draw_rows(rng, shape, rows):
        deviation, some = np.sqrt(scale / fan(shape)), (rows, shape[1])
        if uniform:
            return rng.uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation, some)
        return rng.normal(0.0, deviation, some)

    return draw_rows


def _orthogonal(rng, shape, rows):
    """Draw orthonormal rows or columns, all at once, uniformly (Saxe et al., ICLR 2014)."""
    tall = (max(shape), min(shape))
    q, r = np.linalg.qr(rng.normal(size=tall))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if shape == tall else q.T


def _zeros(rng, shape, rows):
    return np.zeros((rows, shape[1]))


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

#: Numbers drawn at a time, so that no second copy of large weights is ever in memory.
_TOGETHER = 1 << 17


def draw(name, rng, shape):
    """Draw weights of `shape` (n_in, n_out) by the initializer of that name.

    Yields (row, weights), some rows of them at a time; the numbers are those of all rows at once.
    """
    rows = shape[0] if name == "orthogonal" else max(1, _TOGETHER // shape[1])
    for row in range(0, shape[0], rows):
        yield row, _BY_NAME[name](rng, shape, min(rows, shape[0] - row))
