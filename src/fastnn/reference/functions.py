"""Activations and losses: values, derivatives, deltas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Array: TypeAlias = NDArray[Any]

# ---- Activations: z = h(a), and dz/da ----------------------------------------------------------

quiet = np.errstate(over="ignore", under="ignore")  # 0 and inf are the correct limits of e^a


@quiet
def exp(a: Array) -> Array:
    """e^a; inf and 0 at the ends."""
    return np.exp(a)


@quiet
def sigmoid(a: Array) -> Array:
    """e^a / (1 + e^a), from e^-|a|, which cannot overflow."""
    e = np.exp(-np.abs(a))
    z: Array = np.where(a >= 0, 1.0, e) / (1 + e)
    return z


@quiet
def softplus(a: Array) -> Array:
    """log(1 + e^a) = max(a, 0) + log1p(e^-|a|), without loss of digits on either side."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


@quiet
def softmax(a: Array) -> Array:
    """e^{a_k} / sum_j e^{a_j} in each row, shifted by the row's maximum."""
    e = np.exp(a - a.max(1, keepdims=True))
    z: Array = e / e.sum(1, keepdims=True)
    return z


def elu(a: Array, alpha: float) -> Array:
    """a if a > 0 else alpha (e^a - 1)."""
    return np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0)))


def normal_cdf(a: Array) -> Array:
    """Phi(a) = erfc(-a / sqrt 2) / 2, which does not cancel in the left tail."""
    phi = np.vectorize(lambda a: 0.5 * math.erfc(-a * math.sqrt(0.5)), otypes=[float])
    z: Array = phi(a).astype(a.dtype)
    return z


def hard_sigmoid(a: Array) -> Array:
    """Sigmoid in three straight lines: (a + 3) / 6 between 0 and 1."""
    z: Array = np.clip((a + 3) / 6, 0, 1)
    return z


def gelu_tanh_gate(a: Array) -> tuple[Array, Array]:
    """(1 + tanh u) / 2 = sigmoid(2u), u = sqrt(2 / pi) (a + 0.044715 a^3); and its slope."""
    scale = 2 * math.sqrt(2 / math.pi)
    s = sigmoid(scale * (a + 0.044715 * a**3))
    return s, s * (1 - s) * scale * (1 + 3 * 0.044715 * a * a)


def mish_gate(a: Array) -> tuple[Array, Array]:
    """t = tanh(softplus(a)), without loss of digits for a < 0; and its slope."""
    u = np.exp(np.minimum(a, 0)) * (np.exp(np.minimum(a, 0)) + 2)
    t = np.where(a > 0, np.tanh(softplus(a)), u / (u + 2))
    return t, (1 - t * t) * sigmoid(a)


def inside(z: Array, low: float, high: float, slope: float = 1.0) -> Array:
    """The slope where low < z < high, else 0."""
    found: Array = np.where((z > low) & (z < high), z.dtype.type(slope), z.dtype.type(0))
    return found


def kink(a: Array, left: float | Array) -> Array:
    """1 if a > 0 else `left`: at 0 the left derivative holds."""
    return np.where(a > 0, a.dtype.type(1), left)


ALPHA = {"leaky_relu": 0.01, "elu": 1.0}  # defaults; other activations have no alpha
SELU, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# name: (value z of a, alpha; derivative dz/da of a, z, alpha)
ACTIVATIONS: dict[str, tuple[Callable[[Array, float], Array], Any]] = {
    "identity": (lambda a, alpha: a, lambda a, z, alpha: np.ones_like(a)),
    "sigmoid": (lambda a, alpha: sigmoid(a), lambda a, z, alpha: z * (1 - z)),
    "tanh": (lambda a, alpha: np.tanh(a), lambda a, z, alpha: 1 - z * z),
    "relu": (lambda a, alpha: np.maximum(a, 0), lambda a, z, alpha: kink(a, 0.0)),
    "leaky_relu": (
        lambda a, alpha: np.where(a > 0, a, alpha * a),
        lambda a, z, alpha: kink(a, alpha),
    ),
    "softmax": (lambda a, alpha: softmax(a), None),  # a Jacobian, not a derivative: see `through`
    "elu": (elu, lambda a, z, alpha: kink(a, alpha * exp(np.minimum(a, 0)))),
    "selu": (
        lambda a, alpha: SELU * elu(a, SELU_ALPHA),
        lambda a, z, alpha: SELU * kink(a, SELU_ALPHA * exp(np.minimum(a, 0))),
    ),
    "gelu": (
        lambda a, alpha: a * normal_cdf(a),
        lambda a, z, alpha: normal_cdf(a) + a * exp(-0.5 * a * a) / math.sqrt(math.tau),
    ),
    "silu": (lambda a, alpha: a * sigmoid(a), lambda a, z, alpha: sigmoid(a) + z * sigmoid(-a)),
    "softplus": (lambda a, alpha: softplus(a), lambda a, z, alpha: sigmoid(a)),
    "exp": (lambda a, alpha: exp(a), lambda a, z, alpha: z),
    "gelu_tanh": (
        lambda a, alpha: a * gelu_tanh_gate(a)[0],
        lambda a, z, alpha: gelu_tanh_gate(a)[0] + a * gelu_tanh_gate(a)[1],
    ),
    "mish": (
        lambda a, alpha: a * mish_gate(a)[0],
        lambda a, z, alpha: mish_gate(a)[0] + a * mish_gate(a)[1],
    ),
    "relu6": (lambda a, alpha: np.clip(a, 0, 6), lambda a, z, alpha: inside(a, 0, 6)),
    "hard_tanh": (lambda a, alpha: np.clip(a, -1, 1), lambda a, z, alpha: inside(a, -1, 1)),
    "hard_sigmoid": (
        lambda a, alpha: hard_sigmoid(a),
        lambda a, z, alpha: inside(a, -3, 3, 1 / 6),
    ),
    "hard_silu": (
        lambda a, alpha: a * hard_sigmoid(a),
        lambda a, z, alpha: np.where(a > 3, a.dtype.type(1), (a > -3) * (a / 3 + 0.5)),
    ),
}


def bfloat16(x: Array) -> Array:
    """Round x to float32 and then to bfloat16, ties to even; subnormal numbers become 0."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    nearest = (bits + (bits >> 16 & 1) + 0x7FFF) & np.uint32(0xFFFF0000)
    rounded = np.where(bits & 0x7F800000 == 0, bits & np.uint32(0x80000000), nearest)
    kept = np.where(np.isnan(x), x, rounded.view(np.float32))
    return kept.astype(np.result_type(x))


def through(activation: str, g: Array, a: Array, z: Array, alpha: float) -> Array:
    """Carry g = dE/dz back through an activation: dE/da = h'(a) g; all are (B, n)."""
    if activation == "softmax":  # dz_k/da_j = z_k (1[k = j] - z_j)
        delta: Array = z * (g - (g * z).sum(1, keepdims=True))
    else:
        delta = g * ACTIVATIONS[activation][1](a, z, alpha)
    return delta


# ---- Losses of the output: the terms E_nk whose sum over k is E_n, and dE/dy, (B, n_out) --------


def squared_error(y: Array, t: Array) -> tuple[Array, Array]:
    """E_n = 1/2 sum_k (y_k - t_k)^2."""
    r = y - t
    return 0.5 * (r * r), r


def absolute_error(y: Array, t: Array) -> tuple[Array, Array]:
    """E_n = sum_k |y_k - t_k|; slope 0 at 0."""
    r = y - t
    return np.abs(r), np.sign(r)


def huber(y: Array, t: Array, delta: float = 1.0) -> tuple[Array, Array]:
    """E_n = sum_k r^2 / 2 if |r| <= delta else delta (|r| - delta / 2), with r = y - t."""
    r, delta = y - t, float(delta)
    c = np.clip(r, -delta, delta)
    return c * (r - 0.5 * c), c


def quantile(y: Array, t: Array, q: ArrayLike = 0.5) -> tuple[Array, Array]:
    """E_n = sum_k max(q u, (q - 1) u), with u = t - y; q is one number or one per output."""
    u, q = t - y, np.asarray(q, y.dtype)
    slope = np.where(u > 0, q, 1 - q)
    return slope * np.abs(u), -slope * np.sign(u)


def linear(y: Array, t: Array) -> tuple[Array, Array]:
    """E_n = sum_k t_k y_k: the targets are the derivatives."""
    return t * y, t


# ---- Losses of the pre-activation: the terms E_nk, and delta = dE/da, (B, n_out) -----------------


def binary_cross_entropy(
    a: Array, y: Array, t: Array, activation: str, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    """E_n = -sum_k t_k log y_k + (1 - t_k) log(1 - y_k) = sum_k softplus(a_k) - t_k a_k.

    With label smoothing s, t is t + s (1/2 - t).
    """
    t = t + label_smoothing * (0.5 - t)
    return np.maximum(a, 0) - t * a + softplus(-np.abs(a)), y - t


def cross_entropy(
    a: Array, y: Array, t: Array, activation: str, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    """E_n = -sum_g t_g log y_g = sum_g t_g (log sum_j e^{a_j} - a_g); a row of t sums to 1.

    With label smoothing s of n classes, t is t + s (1/n - t).
    """
    t = t + label_smoothing * (1 / t.shape[1] - t)
    a = a - a.max(1, keepdims=True)
    return t * (np.log(exp(a).sum(1, keepdims=True)) - a), y - t


def poisson(a: Array, y: Array, t: Array, activation: str) -> tuple[Array, Array]:
    """E_n = sum_k y_k - t_k log y_k; delta = sigma'(a) (1 - t / y)."""
    if activation == "exp":
        return y - t * a, y - t
    c = np.maximum(a, -40.0)  # below, softplus(a) = e^a to rounding: log y = a, sigma'(a) / y = 1
    log_y, ratio = np.log(softplus(c)) + (a - c), sigmoid(c) / softplus(c)
    return y - t * log_y, sigmoid(a) - t * ratio


def gaussian_nll(a: Array, y: Array, t: Array, activation: str) -> tuple[Array, Array]:
    """E_n = 1/2 sum_k s_k + (m_k - t_k)^2 e^{-s_k}: means m, then logarithms of variances s."""
    (m, s), t = np.split(y, 2, axis=1), np.split(t, 2, axis=1)[0]
    r = m - t
    precision = exp(np.where(r == 0, 0, -s))  # not infinite where its products are 0
    delta = np.hstack([r * precision, 0.5 * (1 - r * r * precision)])
    return 0.5 * (s + r * r * precision), delta


ANY = tuple(ACTIVATIONS)

# name: (function, the output activations that it allows)
LOSSES: dict[str, tuple[Callable[..., tuple[Array, Array]], tuple[str, ...]]] = {
    "squared_error": (squared_error, ANY),
    "absolute_error": (absolute_error, ANY),
    "huber": (huber, ANY),
    "quantile": (quantile, ANY),
    "linear": (linear, ANY),
    "poisson": (poisson, ("exp", "softplus")),
    "gaussian_nll": (gaussian_nll, ("identity",)),
    "binary_cross_entropy": (binary_cross_entropy, ("sigmoid",)),
    "cross_entropy": (cross_entropy, ("softmax",)),
}


def loss_and_delta(
    loss: str,
    activation: str,
    alpha: float,
    a: Array,
    y: Array,
    t: Array,
    weights: Array | float = 1.0,
    **parameters: Any,
) -> tuple[Array, Array]:
    """Return the loss (B,) of each row and the delta (B, n_out), for a, y, t (B, n_out).

    `weights` are the weights of the terms, (B, n_out), or (B, 1) for one weight per row.
    `parameters` are ``delta`` of huber, ``q`` of quantile, ``label_smoothing`` of the
    cross-entropies. Nothing is averaged here. A ValueError is raised if the loss does not allow the
    activation.
    """
    function, outputs = LOSSES[loss]
    if activation not in outputs:
        raise ValueError(f"{loss} goes with one of {outputs}; got {activation!r}")
    if outputs is not ANY:
        terms, delta = function(a, y, t, activation, **parameters)
        return (weights * terms).sum(1), weights * delta
    terms, g = function(y, t, **parameters)
    return (weights * terms).sum(1), through(activation, weights * g, a, y, alpha)


def one_hot(labels: ArrayLike, n: int, dtype: DTypeLike = np.float64) -> Array:
    """Class indices (B,) as rows of targets (B, n): t_g = 1 if label = g else 0."""
    t: Array = (np.reshape(labels, (-1, 1)) == np.arange(n)).astype(dtype)
    return t
