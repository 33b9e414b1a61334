"""Checking gradients against central differences: does back-propagation do what it says?

Not here: the differences of the tests' oracle (reference.py has its own).
"""

import numpy as np

from fastnn import _checks
from fastnn.mlp import MLP


def check_gradients(net, X, y, sample_weight=None, *, training=False, n_samples=100, seed=0):
    """Compare a network's gradients with central differences of its loss, in float64.

    Parameters
    ----------
    net : MLP
        Left as it is: a float64 twin with the same weights is checked.
    X, y, sample_weight
        A batch, as for `MLP.fit`; a few rows are enough.
    training : bool, default False
        Whether dropout acts (with fixed masks).
    n_samples : int, default 100
        Entries to check in each weight matrix and bias, drawn at random; all if it has no more.
    seed : int, default 0
        Of that draw.

    Returns
    -------
    float
        The largest relative error ``|g - d| / (|g| + |d|)`` over the arrays of weights, with
        norms of the checked entries of the gradient ``g`` and of the differences ``d``. Below 1e-6
        all is well, unless some pre-activation sits on a kink (of relu, say) within the step.

    Raises
    ------
    TypeError, ValueError
        If an argument is unfit.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.MLP(3, [fastnn.Dense(5, "tanh"), fastnn.Dense(2)], loss="squared_error",
    ...                  optimizer="sgd", seed=0)
    >>> fastnn.check_gradients(net, [[1.0, 2.0, 3.0]], [[0.0, 1.0]]) < 1e-6
    True
    """
    _checks.network("net", net, MLP)
    n_samples = _checks.integer("n_samples", n_samples, low=1)
    rng = np.random.default_rng(_checks.seed(seed))
    twin = net.copy(dtype="float64")
    weights = twin.get_weights()
    _, gradients = twin.loss_and_gradients(X, y, sample_weight, training=training)

    def loss_with(weight, entry, value):
        kept, weight.flat[entry] = weight.flat[entry], value
        twin.set_weights(weights)
        loss, _ = twin.loss_and_gradients(X, y, sample_weight, training=training)
        weight.flat[entry] = kept
        return loss

    worst = 0.0
    for weight, gradient in zip(weights, gradients, strict=True):
        size = weight.size
        entries = np.arange(size) if size <= n_samples else rng.choice(size, n_samples, False)
        g, d = gradient.flat[entries], np.empty(len(entries))
        for i, entry in enumerate(entries):
            here = weight.flat[entry]
            # The cube root of eps balances the error of the formula with that of rounding.
            h = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(here))
            up, down = loss_with(weight, entry, here + h), loss_with(weight, entry, here - h)
            d[i] = (up - down) / (2 * h)
        scale = np.linalg.norm(g) + np.linalg.norm(d)
        worst = max(worst, float(np.linalg.norm(g - d) / scale) if scale > 0 else 0.0)
    return worst
