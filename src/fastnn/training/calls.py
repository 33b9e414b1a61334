"""Single calls on rows: predictions, a step, gradients of a batch or of each row, an evaluation.

The functions here check and convert their arguments. Arrays that the kernels can read as they are
take a shorter path (`try_predict` and `try_step` of the compiled network).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _checks
from fastnn._kernels_f32 import CHUNK_ROWS
from fastnn.losses import LinearLoss
from fastnn.training import sources
from fastnn.training.rows import is_large
from fastnn.training.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.metrics import Resolved
    from fastnn.training.rows import Rows
    from fastnn.training.state import State

#: Rows that are evaluated together: one chunk for each of eight threads. More would need more
#: memory.
EVALUATION_ROWS = 8 * CHUNK_ROWS


def outputs_in_training(state: State, X: Any) -> NDArray[Any]:
    """Return the outputs (n, n_out) that the next update would compute for the batch X."""
    X, network = sources.inputs(state, "X", X), state.network
    out = _output(state, len(X), None, X)
    # An optimizer that averages the weights itself takes gradients at other weights.
    network.predict(X, out, state.n_threads, dropout=True, averages=network.averages)
    return out


def predict(state: State, X: Any, out: NDArray[Any] | None) -> NDArray[Any]:
    """Return outputs (n, n_out) for rows X (n, n_in), in `out` if it is given."""
    state.require_standardization()
    spec = state.specification
    if is_large(X, spec.dtype):
        return _predict_blocks(state, X, out)
    X = sources.matrix(state, "X", X)
    out = _output(state, len(X), out, X)
    state.network.predict(X, out, state.n_threads)
    return out


def _predict_blocks(state: State, X: Any, out: NDArray[Any] | None) -> NDArray[Any]:
    """Predict rows that are converted one block at a time."""
    source, done = sources.large(state, "X", X), 0
    out = _output(state, source.n, out, X)
    for block in source.blocks(None, EVALUATION_ROWS):
        part = out[done : done + block.n]
        state.network.predict(block.X, part, state.n_threads)
        done += block.n
    return out


def _output(state: State, n: int, out: NDArray[Any] | None, X: Any) -> NDArray[Any]:
    """Return `out`, checked, or a new array for the outputs of n rows."""
    shape, dtype = (n, state.specification.n_out), state.specification.dtype
    return np.empty(shape, dtype) if out is None else _checks.output(out, shape, dtype, X)


def step(state: State, X: Any, y: Any, sample_weight: Any) -> float:
    """Make one update from rows, taken as one batch; return their loss before the update."""
    rows, tally = sources.rows(state, X, y, sample_weight), state.network.tally()
    state.network.train(*rows.for_loss(), None, rows.n, state.n_threads, tally, 0, rows.n)
    if tally.failure is not None:
        is_weighted = rows.weights is not None
        raise divergence(state, tally.failure, tally.overflowed, is_weighted=is_weighted)
    return tally.value


def divergence(
    state: State,
    loss: float,
    overflowed: bool,
    *,
    is_weighted: bool = False,
    targets: str = "y",
) -> FloatingPointError:
    """Return the error for a step whose loss isn't finite.

    `overflowed` says that only the penalties aren't finite. `targets` is the name of the argument
    that holds the targets: "y", or "dY" for given gradients of the outputs.
    """
    when = ", so no update was made"
    if overflowed:
        when = " because of its penalties alone, which are computed after the update"
    rate, is_first = state.network.rate, state.network.step == 0
    helps = remedy(
        state, overflowed, rate, is_weighted=is_weighted, targets=targets, is_first=is_first
    )
    what = "the loss" if targets == "y" else f"the sum of the outputs times {targets}"
    return FloatingPointError(f"{what} became {loss}{when}; {helps}")


class Divergence(NamedTuple):
    """A loss of a fit that isn't finite."""

    loss: float
    overflowed: bool  # only the penalties aren't finite
    when: str  # the epoch and the step, as words of a message
    rate: float  # the learning rate at that step


def divergence_of_fit(
    state: State, found: Divergence, *, is_weighted: bool, dropped: int | None
) -> FloatingPointError:
    """Return the error for a fit whose loss is no longer finite.

    `dropped` is the number of updates that were undone; None if no update was made before, or if
    the caller drops the network.
    """
    where = "no update has been made"
    if state.network.is_disposable:
        where = "the network is dropped"
    elif dropped is not None:
        where = (
            f"the network was restored to its weights from {_checks.counted(dropped, 'update')} "
            "earlier, whose loss was finite, and the optimizer's moments were reset"
        )
    is_first = dropped is None and state.network.step == 0
    helps = remedy(state, found.overflowed, found.rate, is_weighted=is_weighted, is_first=is_first)
    return FloatingPointError(f"the loss became {found.loss} {found.when}: {where}; {helps}")


def remedy(
    state: State,
    overflowed: bool,
    rate: float,
    *,
    is_weighted: bool,
    targets: str = "y",
    is_first: bool = False,
) -> str:
    """Return advice against a loss that isn't finite, as text.

    `rate` is the learning rate; `is_first` says that the network has never been updated, so that
    the rate cannot be the cause.
    """
    spec = state.specification
    if overflowed:
        divides = spec.scale_penalties and is_weighted
        divisor = ", or scale sample_weight up, since its sum divides the penalties"
        return "lower l1 and l2, or set smaller weights" + divisor * divides
    sums = is_weighted and spec.reduction == "sum"
    scaled = f"X, {targets} and sample_weight" if sums else f"X and {targets}"
    if is_first:
        return f"scale {scaled}"
    is_clipped = any(getattr(spec.optimizer, name) is not None for name in _checks.CLIPS)
    clip = "" if is_clipped else ", clip the gradients (such as clipnorm=1.0)"
    return f"lower the learning rate (now {rate:g}){clip} or scale {scaled}"


def step_by_gradients(state: State, X: Any, dY: Any, sample_weight: Any) -> None:
    """Make one update from rows, taken as one batch, and the given gradients of their outputs."""
    X, spec = sources.inputs(state, "X", X), state.specification
    dY = _checks.output_gradients("dY", dY, len(X), spec.n_out, spec.dtype)
    shape, loss = (len(X), spec.n_out), LinearLoss()
    weights = _checks.sample_weight("sample_weight", sample_weight, shape, spec.dtype, loss=loss)
    tally = state.network.tally()
    state.network.train_by_gradients(X, dY, weights, state.n_threads, tally)
    if tally.failure is not None:
        is_weighted = weights is not None
        raise divergence(
            state, tally.failure, tally.overflowed, is_weighted=is_weighted, targets="dY"
        )


def gradients(
    state: State, X: Any, y: Any, sample_weight: Any, training: bool
) -> tuple[float, NDArray[Any]]:
    """Return the loss of one batch and its gradient (n_parameters,), without an update."""
    rows = sources.rows(state, X, y, sample_weight)
    training = _checks.flag("training", training)
    return state.network.gradients(*rows.for_loss(), training, state.n_threads)


def row_gradients(state: State, X: Any, y: Any) -> NDArray[Any]:
    """Return the gradient of each row's loss (n, n_parameters)."""
    rows, network = sources.rows(state, X, y, None), state.network
    out = np.empty((rows.n, network.n_parameters), state.specification.dtype)
    network.row_gradients(rows.X, rows.T, rows.labels, out, state.n_threads)
    return out


def split(state: State, flat: NDArray[Any]) -> list[NDArray[Any]]:
    """Split flat (..., n_parameters) into one view (..., *shape) for each parameter."""
    shapes, rest = state.specification.shapes.values(), flat.shape[:-1]
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    parts = np.split(flat, ends[:-1], axis=-1)
    return [part.reshape(*rest, *shape) for part, shape in zip(parts, shapes, strict=True)]


def evaluate(
    state: State,
    source: Rows,
    metrics: Mapping[str, Resolved],
    n_threads: int,
    averages: bool = False,
) -> dict[str, float]:
    """Return the loss of a source's rows and their metrics, by name.

    With `averages` the moving averages of the weights are evaluated, if the optimizer keeps them.
    """
    totals = Totals(metrics, state)
    for block in source.blocks(None, EVALUATION_ROWS):
        out = totals.empty_outputs(block.n)
        state.network.evaluate(*block.for_loss(), n_threads, totals.tally, out, averages)
        totals.keep_for_metrics(block, out, block.n)
    return totals.logs(state.network.penalties(totals.tally.total, averages))
