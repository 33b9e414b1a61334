"""Update rules, learning rates, clipping, and dropout masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    State: TypeAlias = dict[str, Array]

# ---- Update rules: the new w from w, g = dE/dw, a state dict s, and the step t = 1, 2, ... ------


def decayed(w: Array, learning_rate: float, weight_decay: float) -> Array:
    """w <- w - eta decay w, before a step; a bias (1-D) doesn't decay (Loshchilov, Hutter 2019)."""
    return w - learning_rate * weight_decay * w if w.ndim == 2 else w


def sgd(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.01, momentum: float = 0.0,
    nesterov: bool = False, weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """v <- momentum v - eta g;  w <- w + v  (Polyak 1964; Nesterov as Sutskever et al. 2013)."""
    w = decayed(w, learning_rate, weight_decay)
    if not momentum:
        return w - learning_rate * g
    v = s["v"] = momentum * s.get("v", 0.0) - learning_rate * g
    return w + momentum * v - learning_rate * g if nesterov else w + v


def adagrad(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.01,
    initial_accumulator_value: float = 0.0, epsilon: float = 1e-10, weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """v <- v + g^2;  w <- w - eta g / (sqrt v + epsilon)  (Duchi et al. 2011)."""
    w = decayed(w, learning_rate, weight_decay)
    v = s["v"] = s.get("v", initial_accumulator_value) + g * g
    return w - learning_rate * g / (np.sqrt(v) + epsilon)


def rmsprop(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.001, rho: float = 0.9,
    momentum: float = 0.0, epsilon: float = 1e-8, centered: bool = False,
    weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """v <- rho v + (1 - rho) g^2;  w <- w - eta g / (sqrt v + epsilon)  (Hinton 2012).

    centered uses the variance v - m^2 in place of v, with m <- rho m + (1 - rho) g  (Graves 2013).
    """
    w = decayed(w, learning_rate, weight_decay)
    v = s["v"] = rho * s.get("v", 0.0) + (1 - rho) * (g * g)
    if centered:
        m = s["m"] = rho * s.get("m", 0.0) + (1 - rho) * g
        v = np.maximum(v - m * m, 0.0)
    step = learning_rate * g / (np.sqrt(v) + epsilon)
    if not momentum:
        return w - step
    u = s["u"] = momentum * s.get("u", 0.0) - step
    return w + u


def adam(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.001, beta_1: float = 0.9,
    beta_2: float = 0.999, epsilon: float = 1e-8, amsgrad: bool = False, epsilon_hat: bool = False,
    weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """w <- w - eta m^ / (sqrt v^ + epsilon)  (Kingma & Ba 2015; AMSGrad, Reddi et al. 2018).

    epsilon_hat adds epsilon to sqrt v instead, before the correction.
    """
    w = decayed(w, learning_rate, weight_decay)
    m = s["m"] = beta_1 * s.get("m", 0.0) + (1 - beta_1) * g
    v = s["v"] = beta_2 * s.get("v", 0.0) + (1 - beta_2) * (g * g)
    if amsgrad:
        v = s["v_max"] = np.maximum(s.get("v_max", 0.0), v)
    m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)  # the bias corrections
    if epsilon_hat:
        epsilon = epsilon / np.sqrt(1 - beta_2**t)
    return w - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)


def adamw(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.001,
    weight_decay: float = 0.01, **adam_hyper: Any,
) -> Array:  # fmt: skip
    """Adam with weight decay by default  (Loshchilov & Hutter 2019)."""
    return adam(w, g, s, t, learning_rate, weight_decay=weight_decay, **adam_hyper)


def nadam(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.001, beta_1: float = 0.9,
    beta_2: float = 0.999, epsilon: float = 1e-8, momentum_decay: float = 0.004,
    weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """w <- w - eta m^ / (sqrt v^ + epsilon)  (Dozat 2016), with the momentum of the next step.

    m^ = mu_{t+1} m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g / (1 - mu_1 ... mu_t), where
    mu_t = beta_1 (1 - 0.96^(t momentum_decay) / 2).
    """
    w = decayed(w, learning_rate, weight_decay)
    m = s["m"] = beta_1 * s.get("m", 0.0) + (1 - beta_1) * g
    v = s["v"] = beta_2 * s.get("v", 0.0) + (1 - beta_2) * (g * g)
    mu = beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * momentum_decay))
    now, ahead = mu[:-1].prod(), mu.prod()
    m_hat = mu[-1] * m / (1 - ahead) + (1 - mu[-2]) * g / (1 - now)
    new: Array = w - learning_rate * m_hat / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return new


def lion(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.0001, beta_1: float = 0.9,
    beta_2: float = 0.99, weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """w <- w - eta sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g.

    (Chen et al. 2023.)
    """
    w = decayed(w, learning_rate, weight_decay)
    m = s.get("m", 0.0)
    s["m"] = beta_2 * m + (1 - beta_2) * g
    return w - learning_rate * np.sign(beta_1 * m + (1 - beta_1) * g)


def schedule_free_adamw(
    w: Array, g: Array, s: State, t: int, learning_rate: float = 0.0025, beta_1: float = 0.9,
    beta_2: float = 0.999, epsilon: float = 1e-8, warmup_steps: int = 0, weight_decay: float = 0.0,
) -> Array:  # fmt: skip
    """z <- z - eta_t g / (sqrt v^ + epsilon);  x <- x + c_t (z - x);  w <- z + beta_1 (x - z).

    The network is evaluated at x; weight decay is computed at w  (Defazio et al. 2024).
    """
    slow = np.minimum(1.0, np.arange(1, t + 1) / max(1, warmup_steps))
    eta, c = learning_rate * slow[-1], slow[-1] ** 2 / (slow**2).sum()
    v = s["v"] = beta_2 * s.get("v", 0.0) + (1 - beta_2) * (g * g)
    step = eta * g / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    z = s["z"] = s.get("z", w) - step - (w - decayed(w, eta, weight_decay))
    x = s["x"] = s.get("x", w) + c * (z - s.get("x", w))
    s["y"] = z + beta_1 * (x - z)
    return s["y"]


OPTIMIZERS: dict[str, Callable[..., Array]] = {
    "sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adamw,
    "nadam": nadam, "lion": lion, "schedule_free_adamw": schedule_free_adamw,
}  # fmt: skip

# ---- Learning rates: eta for the step (or epoch) after t steps (or epochs) -----------------------


def half_cosine(high: float, low: float, fraction: float) -> float:
    """From `high` at 0 to `low` at 1."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * fraction))


def piecewise_constant_decay(t: float, n: float, *numbers: float) -> float:
    """The value whose index is the number of boundaries below t.

    `numbers` are n increasing boundaries and then n + 1 values.
    """
    boundaries, values = numbers[: int(n)], numbers[int(n) :]
    return values[sum(t > boundary for boundary in boundaries)]


def cosine_restarts(
    t: float, eta: float, steps: float, t_mul: float, m_mul: float, alpha: float
) -> float:
    """SGDR: runs of steps t_mul^i steps, each from eta (alpha + (1 - alpha) m_mul^i) down."""
    low, height, length = alpha * eta, (1 - alpha) * eta, steps
    while t >= length:
        t, length, height = t - length, length * t_mul, height * m_mul
    return half_cosine(low + height, low, t / length)


def one_cycle(
    t: float, peak: float, steps: float, fraction: float, first: float, last: float
) -> float:
    """Up from `first` to the peak at fraction * steps - 1, down to `last` at steps - 1."""
    top, end = fraction * steps - 1, steps - 1
    if t < top:
        return half_cosine(first, peak, t / top)
    return half_cosine(peak, last, min((t - top) / (end - top), 1))


# name: function of t and of the schedule's parameters, in their order
SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": lambda t, eta: eta,
    "step_decay": lambda t, eta, steps, factor: eta * factor ** math.floor(t / steps),
    "exponential_decay": lambda t, eta, steps, factor: eta * factor ** (t / steps),
    "piecewise_constant_decay": piecewise_constant_decay,
    "cosine_decay": lambda t, eta, steps, alpha: half_cosine(eta, alpha * eta, min(t / steps, 1)),
    "cosine_restarts": cosine_restarts,
    "inverse_scaling": lambda t, eta, power: eta / (1 + t) ** power,
    "one_cycle": one_cycle,
}


def learning_rate(
    t: float, name: str, parameters: Sequence[float], warmup: float = 0.0, start: float = 0.0
) -> float:
    """The rate of a schedule, preceded by a linear warm-up from `start` over `warmup` steps."""
    rate = SCHEDULES[name]
    if t < warmup:
        return start + (rate(0, *parameters) - start) * t / warmup
    return rate(t - warmup, *parameters)


# ---- Clipping of gradients, all of a batch's as a list ------------------------------------------


def clip(
    gradients: list[Array],
    clipvalue: float | None = None,
    clipnorm: float | None = None,
    global_clipnorm: float | None = None,
) -> list[Array]:
    """Clip entries to [-c, c], or scale arrays by c / max(|g|, c), |g| of each array or of all."""
    if clipvalue is not None:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    if clipnorm is None and global_clipnorm is None:
        return gradients
    norms = [math.sqrt(float((g * g).sum())) for g in gradients]
    if clipnorm is not None:
        return [g * (clipnorm / max(n, clipnorm)) for g, n in zip(gradients, norms, strict=True)]
    assert global_clipnorm is not None
    factor = global_clipnorm / max(math.hypot(*norms), global_clipnorm)
    return [g * factor for g in gradients]


# ---- Dropout: a mask that is a pure function of seed, step, layer, row and unit -----------------

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the increment of splitmix64


def mix(z: Any) -> Any:
    """The finaliser of splitmix64 on uint64 arrays, modulo 2^64 (Steele et al. 2014)."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


def dropout_mask(seed: Any, step: Any, layer: Any, rows: int, units: int, rate: float) -> Array:
    """Return which inputs of a layer are kept: bool (rows, units), from counter-based bits.

    `seed` is below 2^64, `step` counts the updates before this one, `layer` is the index of the
    dense layer whose input is dropped, `rate` in [0, 1) is the probability of dropping.
    """
    seed, step, layer = np.array([[seed], [step], [layer]], np.uint64)  # arrays wrap silently
    key = mix(mix(seed + (step + 1) * GOLDEN) + (layer + 1) * GOLDEN)
    bits = mix(key + (np.arange(rows * units, dtype=np.uint64) + 1) * GOLDEN) >> 32
    kept: Array = bits.reshape(rows, units) >= math.floor(rate * 2**32)
    return kept
