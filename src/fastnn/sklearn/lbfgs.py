"""Training by L-BFGS: loss, penalty and gradient of all rows, for `scipy.optimize`.

Not here: the network to train, and the estimator's attributes (base.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from fastnn.sklearn.notices import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.mlp import MLP
    from fastnn.sklearn.parameters import Parameters
    from fastnn.sklearn.rows import LabelledRows


def refuse_options_of_descent(parameters: Parameters, *, has_validation: bool) -> None:
    """Check that nothing is given that only stochastic gradient descent supports."""
    if has_validation:
        raise ValueError(
            "solver='lbfgs' does not support validation rows; leave X_val and y_val out, or use "
            "solver='adam' or 'sgd'"
        )
    for name in ("dropout", "clipnorm", "callbacks"):
        value = getattr(parameters, name)
        if np.any(value):
            raise ValueError(
                f"solver='lbfgs' does not support {name}, but {name}={value!r}; use solver='adam' "
                "or 'sgd'"
            )


def minimize(
    parameters: Parameters, net: MLP, work: MLP, rows: LabelledRows
) -> tuple[int, float, float]:
    """Train a network; return the number of iterations, the loss of the rows, and the penalty.

    Parameters
    ----------
    parameters : Parameters
    net : MLP
        The search starts from its weights, which are set to the result.
    work : MLP
        A network of the same layers without penalties, used for losses and gradients.
    rows : LabelledRows

    Raises
    ------
    FloatingPointError
        If a weight or the loss is no longer finite; `net` is then unchanged.
    """
    if not scipy.sparse.issparse(rows.X):
        rows.X = np.ascontiguousarray(rows.X, work.dtype)
    total = len(rows) if rows.sample_weight is None else rows.sample_weight.sum()
    is_penalized = np.concatenate([np.full(w.size, float(w.ndim > 1)) for w in net.get_weights()])
    penalty_scale = parameters.alpha / total * is_penalized
    largest = np.finfo(work.dtype).max

    def parts(weights: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
        """Return the loss of the rows, the penalty, and the gradient of loss plus penalty."""
        if not np.abs(weights).max() <= largest:  # nor if one is NaN
            raise FloatingPointError("the weights are no longer finite")
        work.set_flat_weights(weights)
        loss, gradient = 0.0, penalty_scale * weights
        penalty = 0.5 * np.dot(gradient, weights)
        for part, fraction in rows.blocks():
            part_loss, part_gradient = work.loss_and_gradients(
                part.X, part.y, part.sample_weight, flat=True
            )
            loss += fraction * part_loss
            gradient += fraction * part_gradient.astype(np.float64)
        return loss, penalty, gradient

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, penalty, gradient = parts(weights)
        return loss + penalty, gradient

    found = scipy.optimize.minimize(
        objective,
        net.get_flat_weights().astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=_print_loss if parameters.verbose else None,
        options={
            "maxfun": parameters.max_fun, "maxiter": parameters.max_iter, "gtol": parameters.tol
        },
    )  # fmt: skip
    if found.status != 0:
        warn(
            f"lbfgs failed to converge after {found.nit} iteration(s) (status={found.status}): "
            f"{found.message}. Increase max_iter or max_fun, or scale X, for example by "
            "StandardScaler.",
            ConvergenceWarning,
        )
    loss, penalty, _ = parts(found.x)
    if not np.isfinite(loss + penalty):
        raise FloatingPointError(f"the loss became {loss + penalty}")
    net.set_flat_weights(found.x)
    return int(found.nit), loss, penalty


def _print_loss(intermediate_result: Any) -> None:
    """Print the loss after an iteration; scipy requires this name of the argument."""
    print(f"loss = {intermediate_result.fun:.8f}")
