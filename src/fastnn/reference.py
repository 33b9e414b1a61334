"""The same network in plain NumPy: the oracle of the tests, the baseline of the benches.

Here belongs the mathematics of a feed-forward network, one line each, in the notation of the
specification: ``a = z_prev @ W + b``, ``z = h(a)``, ``delta = dE/da``, ``dW = z_prev.T @ delta``,
``db = delta.sum(0)``; a row is a sample, B rows are a batch, W is (n_in, n_out).

Here does not belong: anything of fastnn (this module imports NumPy and the standard library, and no
shipped module imports it), checks of arguments, speed bought with clarity.

float64 in gives the truth; float32 in gives float32 throughout: scalars are Python floats, which
never widen an array. gelu is exact but slow (NumPy has no erf): an oracle, not a baseline.

>>> x, t = np.array([[0.35, 0.9]]), np.array([[0.5]])
>>> W0, W1 = np.array([[0.1, 0.4], [0.8, 0.6]]), np.array([[0.3], [0.9]])
>>> layers = [Layer(W0, activation="sigmoid"), Layer(W1, activation="sigmoid")]
>>> net = Network(layers, hyper={"learning_rate": 1})
>>> round(net.train_on_batch(x, t), 7), net.predict(x).round(7)
(0.0181039, array([[0.6820186]]))
"""

import dataclasses
import math

import numpy as np

# ---- Activations: z = h(a), and dz/da ----------------------------------------------------------

quiet = np.errstate(over="ignore", under="ignore")  # 0 and inf are the right limits of e^a


@quiet
def exp(a):
    """e^a; inf and 0 at the ends."""
    return np.exp(a)


@quiet
def sigmoid(a):
    """e^a / (1 + e^a), from e^-|a|, which cannot overflow."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, e) / (1 + e)


@quiet
def softplus(a):
    """log(1 + e^a), its two halves each without loss."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


@quiet
def softmax(a):
    """e^{a_k} / sum_j e^{a_j} in each row, shifted by the row's maximum."""
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def elu(a, alpha):
    """a if a > 0 else alpha (e^a - 1)."""
    return np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0)))


def normal_cdf(a):
    """Phi(a) = erfc(-a / sqrt 2) / 2, which does not cancel in the left tail."""
    phi = np.vectorize(lambda a: 0.5 * math.erfc(-a * math.sqrt(0.5)), otypes=[float])
    return phi(a).astype(a.dtype)


def kink(a, left):
    """1 if a > 0 else `left`: at 0 the left derivative holds."""
    return np.where(a > 0, a.dtype.type(1), left)


ALPHA = {"leaky_relu": 0.01, "elu": 1.0}  # the defaults; the others have no alpha
SELU, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

ACTIVATIONS = {  # name: (value z of a, alpha; derivative dz/da of a, z, alpha)
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
}


def through(activation, g, a, z, alpha):
    """Carry g = dE/dz back through an activation: dE/da = h'(a) g; all are (B, n)."""
    if activation == "softmax":  # dz_k/da_j = z_k (1[k = j] - z_j)
        return z * (g - (g * z).sum(1, keepdims=True))
    return g * ACTIVATIONS[activation][1](a, z, alpha)


# ---- Losses of the output: E_n, shape (B,), and dE/dy, shape (B, n_out) -------------------------


def squared_error(y, t):
    """E_n = 1/2 sum_k (y_k - t_k)^2."""
    r = y - t
    return 0.5 * (r * r).sum(1), r


def absolute_error(y, t):
    """E_n = sum_k |y_k - t_k|; slope 0 at 0."""
    r = y - t
    return np.abs(r).sum(1), np.sign(r)


def huber(y, t, delta=1.0):
    """E_n = sum_k r^2 / 2 if |r| <= delta else delta (|r| - delta / 2), with r = y - t."""
    r, delta = y - t, float(delta)
    c = np.clip(r, -delta, delta)
    return (c * (r - 0.5 * c)).sum(1), c


def quantile(y, t, q=0.5):
    """E_n = sum_k max(q u, (q - 1) u), with u = t - y; q is one number or one per output."""
    u, q = t - y, np.asarray(q, y.dtype)
    slope = np.where(u > 0, q, 1 - q)
    return (slope * np.abs(u)).sum(1), -slope * np.sign(u)


# ---- Losses of the pre-activation: E_n, shape (B,), and delta = dE/da, shape (B, n_out) ---------


def binary_cross_entropy(a, y, t, activation):
    """E_n = -sum_k t_k log y_k + (1 - t_k) log(1 - y_k) = sum_k softplus(a_k) - t_k a_k."""
    return (np.maximum(a, 0) - t * a + softplus(-np.abs(a))).sum(1), y - t


def cross_entropy(a, y, t, activation):
    """E_n = -sum_g t_g log y_g = sum_g t_g (log sum_j e^{a_j} - a_g); a row of t sums to 1."""
    a = a - a.max(1, keepdims=True)
    return (t * (np.log(exp(a).sum(1, keepdims=True)) - a)).sum(1), y - t


def poisson(a, y, t, activation):
    """E_n = sum_k y_k - t_k log y_k; delta = sigma'(a) (1 - t / y)."""
    if activation == "exp":
        return (y - t * a).sum(1), y - t
    c = np.maximum(a, -40.0)  # below, softplus(a) = e^a to rounding: log y = a, sigma'(a) / y = 1
    log_y, ratio = np.log(softplus(c)) + (a - c), sigmoid(c) / softplus(c)
    return (y - t * log_y).sum(1), sigmoid(a) - t * ratio


ANY = tuple(ACTIVATIONS)

LOSSES = {  # name: (function, the output activations that it is legal with)
    "squared_error": (squared_error, ANY),
    "absolute_error": (absolute_error, ANY),
    "huber": (huber, ANY),
    "quantile": (quantile, ANY),
    "poisson": (poisson, ("exp", "softplus")),
    "binary_cross_entropy": (binary_cross_entropy, ("sigmoid",)),
    "cross_entropy": (cross_entropy, ("softmax",)),
}


def loss_and_delta(loss, activation, alpha, a, y, t, **parameters):
    """Each row's loss (B,) and its delta (B, n_out), of a, y, t (B, n_out) for a legal pair.

    `parameters` are huber's ``delta`` and quantile's ``q``; nothing is weighted or averaged yet.
    """
    function, outputs = LOSSES[loss]
    if activation not in outputs:
        raise ValueError(f"{loss} goes with one of {outputs}; got {activation!r}")
    if outputs is not ANY:
        return function(a, y, t, activation)
    rows, g = function(y, t, **parameters)
    return rows, through(activation, g, a, y, alpha)


def one_hot(labels, n, dtype=np.float64):
    """Class indices (B,) as rows of targets (B, n): t_g = 1 if label = g else 0."""
    return (np.reshape(labels, (-1, 1)) == np.arange(n)).astype(dtype)


# ---- Update rules: the new w from w, g = dE/dw, a state dict s, and the step t = 1, 2, ... ------


def sgd(w, g, s, t, learning_rate=0.01, momentum=0.0, nesterov=False):
    """v <- momentum v - eta g;  w <- w + v  (Polyak 1964; Nesterov as Sutskever et al. 2013)."""
    if not momentum:
        return w - learning_rate * g
    v = s["v"] = momentum * s.get("v", 0.0) - learning_rate * g
    return w + momentum * v - learning_rate * g if nesterov else w + v


def adagrad(w, g, s, t, learning_rate=0.01, initial_accumulator_value=0.0, epsilon=1e-10):
    """v <- v + g^2;  w <- w - eta g / (sqrt v + epsilon)  (Duchi et al. 2011)."""
    v = s["v"] = s.get("v", initial_accumulator_value) + g * g
    return w - learning_rate * g / (np.sqrt(v) + epsilon)


def rmsprop(w, g, s, t, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-8):
    """v <- rho v + (1 - rho) g^2;  w <- w - eta g / (sqrt v + epsilon)  (Hinton 2012)."""
    v = s["v"] = rho * s.get("v", 0.0) + (1 - rho) * (g * g)
    step = learning_rate * g / (np.sqrt(v) + epsilon)
    if not momentum:
        return w - step
    u = s["u"] = momentum * s.get("u", 0.0) - step
    return w + u


def adam(
    w, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, amsgrad=False,
    epsilon_hat=False,
):  # fmt: skip
    """w <- w - eta m^ / (sqrt v^ + epsilon)  (Kingma & Ba 2015; AMSGrad, Reddi et al. 2018).

    epsilon_hat adds epsilon to sqrt v instead, before the correction.
    """
    m = s["m"] = beta_1 * s.get("m", 0.0) + (1 - beta_1) * g
    v = s["v"] = beta_2 * s.get("v", 0.0) + (1 - beta_2) * (g * g)
    if amsgrad:
        v = s["v_max"] = np.maximum(s.get("v_max", 0.0), v)
    m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)  # the bias corrections
    if epsilon_hat:
        epsilon = epsilon / np.sqrt(1 - beta_2**t)
    return w - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)


def adamw(w, g, s, t, learning_rate=0.001, weight_decay=0.01, **adam_hyper):
    """w <- w - eta decay w, then Adam; a bias (1-D) doesn't decay  (Loshchilov & Hutter 2019)."""
    decayed = w - learning_rate * weight_decay * w if w.ndim == 2 else w
    return adam(decayed, g, s, t, learning_rate, **adam_hyper)


OPTIMIZERS = {"sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adamw}

# ---- Learning rates: eta of the step (or epoch) that comes after t of them -----------------------


def half_cosine(high, low, fraction):
    """From `high` at 0 to `low` at 1."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * fraction))


def cosine_restarts(t, eta, steps, t_mul, m_mul, alpha):
    """SGDR: runs of steps t_mul^i steps, each from eta (alpha + (1 - alpha) m_mul^i) down."""
    low, height, length = alpha * eta, (1 - alpha) * eta, steps
    while t >= length:
        t, length, height = t - length, length * t_mul, height * m_mul
    return half_cosine(low + height, low, t / length)


def one_cycle(t, peak, steps, fraction, first, last):
    """Up from `first` to the peak at fraction * steps - 1, down to `last` at steps - 1."""
    top, end = fraction * steps - 1, steps - 1
    if t < top:
        return half_cosine(first, peak, t / top)
    return half_cosine(peak, last, min((t - top) / (end - top), 1))


SCHEDULES = {  # name: function of t and of the schedule's parameters, in their order
    "constant": lambda t, eta: eta,
    "step_decay": lambda t, eta, steps, factor: eta * factor ** math.floor(t / steps),
    "exponential_decay": lambda t, eta, steps, factor: eta * factor ** (t / steps),
    "cosine_decay": lambda t, eta, steps, alpha: half_cosine(eta, alpha * eta, min(t / steps, 1)),
    "cosine_restarts": cosine_restarts,
    "inverse_scaling": lambda t, eta, power: eta / (1 + t) ** power,
    "one_cycle": one_cycle,
}


def learning_rate(t, name, parameters, warmup=0.0, start=0.0):
    """A schedule's rate, after a line from `start` of `warmup` steps (or epochs)."""
    rate = SCHEDULES[name]
    if t < warmup:
        return start + (rate(0, *parameters) - start) * t / warmup
    return rate(t - warmup, *parameters)


# ---- Clipping of gradients, all of a batch's as a list ------------------------------------------


def clip(gradients, clipvalue=None, clipnorm=None, global_clipnorm=None):
    """Numbers to [-c, c]; or g c / max(|g|, c) for each array, or with the norm of all together."""
    if clipvalue is not None:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    norms = [math.sqrt(float((g * g).sum())) for g in gradients]
    if clipnorm is not None:
        return [g * (clipnorm / max(n, clipnorm)) for g, n in zip(gradients, norms, strict=True)]
    if global_clipnorm is not None:
        factor = global_clipnorm / max(math.hypot(*norms), global_clipnorm)
        return [g * factor for g in gradients]
    return gradients


# ---- Dropout: a mask that is a pure function of where it stands ---------------------------------

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the increment of splitmix64


def mix(z):
    """The finaliser of splitmix64 on uint64 arrays, modulo 2^64 (Steele et al. 2014)."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


def dropout_mask(seed, step, layer, rows, units, rate):
    """Which inputs of a layer are kept: a (rows, units) array of bool from counter-based bits.

    `seed` is below 2^64, `step` counts the updates before this one, `layer` is the index of the
    dense layer whose input is dropped, `rate` in [0, 1) is the probability of dropping.
    """
    seed, step, layer = np.array([[seed], [step], [layer]], np.uint64)  # arrays wrap silently
    key = mix(mix(seed + (step + 1) * GOLDEN) + (layer + 1) * GOLDEN)
    bits = mix(key + (np.arange(rows * units, dtype=np.uint64) + 1) * GOLDEN) >> 32
    return bits.reshape(rows, units) >= math.floor(rate * 2**32)


# ---- The network --------------------------------------------------------------------------------


@dataclasses.dataclass
class Layer:
    """One dense layer: W (n_in, n_out), b (n_out,) or None; `dropout` is its input's rate.

    One that isn't trainable is left as it is.
    """

    W: np.ndarray
    b: np.ndarray | None = None
    activation: str = "identity"
    alpha: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    trainable: bool = True

    def __post_init__(self):
        """Fill in the activation's own alpha."""
        self.alpha = ALPHA.get(self.activation, 0.0) if self.alpha is None else float(self.alpha)

    def penalty(self):
        """l1 sum |W| + l2 sum W^2, a number."""
        return float(self.l1 * np.abs(self.W).sum() + self.l2 * (self.W * self.W).sum())

    def penalty_gradient(self):
        """l1 sign(W) + 2 l2 W, shape (n_in, n_out)."""
        return self.l1 * np.sign(self.W) + 2 * self.l2 * self.W


@dataclasses.dataclass
class Network:
    """A feed-forward network with its loss and its optimizer, in the dtype of its weights.

    Parameters
    ----------
    layers : list of Layer
    loss, optimizer : str
        Names in LOSSES and OPTIMIZERS.
    parameters, hyper : dict
        Of the loss (``delta``, ``q``) and of the optimizer, where they aren't the defaults.
    reduction : {"mean", "sum"}
        "mean" divides a batch's loss by its rows, or by the sum of its sample weights.
    scale_penalties : bool
        "mean" divides the penalties, too.
    seed, step, epoch : int
        Of the dropout masks, below 2^64; the updates and the whole epochs made so far.
    schedule : dict or None
        Of the learning rate: the arguments of `learning_rate` but t, and ``per_epoch``.
    clipping : dict
        The arguments of `clip` but the gradients.
    momentum : float or None
        Of the moving average of the weights, kept in ``average``.
    mean, scale : arrays of shape (n_in,)
        Inputs are ``(x - mean) / scale``.
    """

    layers: list
    loss: str = "squared_error"
    parameters: dict = dataclasses.field(default_factory=dict)
    reduction: str = "mean"
    scale_penalties: bool = False
    optimizer: str = "sgd"
    hyper: dict = dataclasses.field(default_factory=dict)
    seed: int = 0
    step: int = 0
    epoch: int = 0
    schedule: dict | None = None
    clipping: dict = dataclasses.field(default_factory=dict)
    momentum: float | None = None
    mean: np.ndarray | float = 0.0
    scale: np.ndarray | float = 1.0

    def __post_init__(self):
        """Make every hyper-parameter a Python float, and one state dict per weight array."""
        self.hyper = {name: float(value) for name, value in self.hyper.items()}
        self.state = [{} for _ in self.get_weights()]
        self.dtype = self.layers[0].W.dtype

    @classmethod
    def like(cls, net):
        """The twin of a fastnn MLP, its weights copied; the optimizer's moments start empty."""
        weights = (np.array(w, net.dtype) for w in net.get_weights())
        layers = [
            Layer(
                W=next(weights),
                b=next(weights) if spec.use_bias else None,
                activation=spec.activation.name,
                alpha=spec.activation.alpha,
                l1=float(spec.l1),
                l2=float(spec.l2),
                dropout=float(rate),
                trainable=spec.trainable,
            )
            for spec, rate in zip(net.dense, net.dropout_rates, strict=True)
        ]
        loss, rule = net.loss, net.optimizer
        names = {"huber": ["delta"], "quantile": ["q"]}.get(loss.name, [])
        parameters = {name: getattr(loss, name) for name in names}
        numbers = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule)}
        clips = ("clipvalue", "clipnorm", "global_clipnorm")
        clipping = {name: numbers.pop(name) for name in clips}
        averages, momentum = numbers.pop("use_ema"), numbers.pop("ema_momentum")
        mean, scale = net.standardization or (0.0, 1.0)
        if rule.schedule:
            numbers["learning_rate"] = rule.initial_rate
        return cls(
            layers,
            loss.name,
            parameters,
            net.reduction,
            net.scale_penalties,
            rule.name,
            numbers,
            seed=int(net.dropout_seed),
            step=int(net.step),
            epoch=int(net.epoch),
            schedule=rule.schedule.kernel() if rule.schedule else None,
            clipping=clipping,
            momentum=momentum if averages else None,
            mean=mean,
            scale=scale,
        )

    def get_weights(self):
        """[W0, b0, W1, ...], the arrays themselves; an absent bias has no entry."""
        return [w for layer in self.layers for w in (layer.W, layer.b) if w is not None]

    def set_weights(self, weights):
        """Take arrays in the order of get_weights; they are not copied."""
        rest = iter(weights)
        for layer in self.layers:
            layer.W = next(rest)
            layer.b = None if layer.b is None else next(rest)

    def forward(self, X, training=False):
        """y (B, n_out) of X (B, n_in); keeps each layer's (z_prev, keep, a, z) in `self.tape`."""
        z, self.tape = ((np.asarray(X, self.dtype) - self.mean) / self.scale).astype(self.dtype), []
        for index, layer in enumerate(self.layers):
            z_prev, keep = z, None
            if training and layer.dropout:
                mask = dropout_mask(self.seed, self.step, index, *z.shape, layer.dropout)
                keep = mask.astype(self.dtype) * (1 / (1 - layer.dropout))
                z_prev = z * keep
            a = z_prev @ layer.W if layer.b is None else z_prev @ layer.W + layer.b
            z = ACTIVATIONS[layer.activation][0](a, layer.alpha)
            self.tape.append((z_prev, keep, a, z))
        return z

    def predict(self, X):
        """y, shape (B, n_out), of X, shape (B, n_in), without dropout."""
        return self.forward(X)

    def evaluate(self, X, t, sample_weight=None):
        """The loss of a data set, penalties included, without dropout: a float."""
        self.forward(X)
        return self._loss_and_delta(t, sample_weight)[0]

    def _loss_and_delta(self, t, sample_weight):
        """The loss with penalties and the delta (B, n_out) of the batch last passed forward."""
        (_, _, a, y), last = self.tape[-1], self.layers[-1]
        t = one_hot(t, y.shape[1]) if self.loss == "cross_entropy" and np.ndim(t) == 1 else t
        t = np.asarray(t, self.dtype).reshape(y.shape)
        output = last.activation, last.alpha
        rows, delta = loss_and_delta(self.loss, *output, a, y, t, **self.parameters)
        c = np.asarray(np.ones(len(y)) if sample_weight is None else sample_weight, self.dtype)
        self.share = 1.0
        if self.reduction == "mean":
            if self.scale_penalties:
                self.share = 1 / c.sum() if c.any() else 0.0
            c = c / (c.sum() or 1.0)  # weights that are all 0 stay 0
        penalty = sum(layer.penalty() for layer in self.layers if layer.l1 or layer.l2)
        return float(c @ rows) + self.share * penalty, c[:, None] * delta

    def loss_and_gradients(self, X, t, sample_weight=None, training=False):
        """The batch's loss with penalties, and its gradients in the order of get_weights.

        X is (B, n_in), t is (B, n_out), sample_weight is (B,); a t of (B,) will do for one output
        and for class indices. Inputs are dropped when training.
        """
        self.forward(X, training)
        loss, delta = self._loss_and_delta(t, sample_weight)
        gradients = []
        for index in reversed(range(len(self.layers))):
            layer, (z_prev, keep, _, _) = self.layers[index], self.tape[index]
            dW = z_prev.T @ delta
            if layer.l1 or layer.l2:
                dW += self.share * layer.penalty_gradient()
            gradients[:0] = [dW] if layer.b is None else [dW, delta.sum(0)]
            if index:
                below, (_, _, a, z) = self.layers[index - 1], self.tape[index - 1]
                g = delta @ layer.W.T if keep is None else delta @ layer.W.T * keep
                delta = through(below.activation, g, a, z, below.alpha)
        return loss, gradients

    def train_on_batch(self, X, t, sample_weight=None):
        """One update; returns the loss before it."""
        loss, gradients = self.loss_and_gradients(X, t, sample_weight, training=True)
        trained = [
            layer.trainable for layer in self.layers for w in (layer.W, layer.b) if w is not None
        ]
        gradients = [on * g for g, on in zip(gradients, trained, strict=True)]
        gradients, hyper = clip(gradients, **self.clipping), self.hyper | self._scheduled()
        self.step += 1
        rule, weights = OPTIMIZERS[self.optimizer], self.get_weights()
        each = zip(weights, gradients, self.state, trained, strict=True)
        weights = [rule(w, g, s, self.step, **hyper) if on else w for w, g, s, on in each]
        self.set_weights(weights)
        if self.momentum is not None:
            old, m = getattr(self, "average", weights), self.momentum
            self.average = [m * a + (1 - m) * w for a, w in zip(old, weights, strict=True)]
        return loss

    def _scheduled(self):
        """The next step's learning rate, where it follows a schedule."""
        if self.schedule is None:
            return {}
        schedule = dict(self.schedule)
        t = self.epoch if schedule.pop("per_epoch") else self.step
        return {"learning_rate": learning_rate(t, **schedule)}

    def fit_epoch(self, X, t, order, batch_size=None, sample_weight=None):
        """One pass over the rows X[order] in batches (None: one batch of all); returns its loss.

        Every batch's loss counts as it was before its update: their mean, weighted by the batches'
        rows or by their sums of sample weights; with reduction "sum", their sum.
        """
        X, t, mean = np.asarray(X, self.dtype), np.asarray(t), self.reduction == "mean"
        w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
        total = weight = 0.0
        size = batch_size or len(order)
        for batch in np.split(np.asarray(order), range(size, len(order), size)):
            share = float(w[batch].sum()) if mean else 1.0
            total += share * self.train_on_batch(X[batch], t[batch], w[batch])
            weight += share
        self.epoch += 1
        return total / (weight or 1.0) if mean else total


def central_differences(f, weights, eps=1e-5):
    """dE/dw of E = f(weights), each entry from (f(w + eps) - f(w - eps)) / 2 eps, in float64."""
    weights = [np.array(w, np.float64) for w in weights]
    gradients = [np.empty_like(w) for w in weights]
    for w, dw in zip(weights, gradients, strict=True):
        for i in np.ndindex(w.shape):
            here = w[i]
            w[i] = here + eps
            up = f(weights)
            w[i] = here - eps
            dw[i] = (up - f(weights)) / (2 * eps)
            w[i] = here
    return gradients
