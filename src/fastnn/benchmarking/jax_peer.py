"""JAX in training: one jit of a scan over an epoch, or of a single step, with its state donated.

Not here: predictions (predictors.py).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.benchmarking.contender import TrainingContender

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Cell


class Jax(TrainingContender):
    """One jit of a lax.scan over an epoch, with its state donated."""

    name = "jax"

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import jax

        jax.config.update("jax_enable_x64", True)
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.stacks: dict[int, tuple[Any, Any]] = {}

    def reset(self) -> None:
        """Create arrays of the initial weights, and zero moments."""
        import jax

        pairs = zip(self.start[::2], self.start[1::2], strict=True)
        params = [tuple(map(jax.numpy.array, pair)) for pair in pairs]
        n_moments = {"sgd": 0, "momentum": 1, "adam": 2}[self.cell.optimizer]
        moments = [jax.tree.map(jax.numpy.zeros_like, params) for _ in range(n_moments)]
        self.state = (params, moments, jax.numpy.zeros((), self.dtype))

    def _loss(self, params: Any, x: Any, t: Any) -> Any:
        import jax

        hidden = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh, "sigmoid": jax.nn.sigmoid}
        z = x
        for W, b in params[:-1]:
            z = hidden[self.cell.activation](z @ W + b)
        W, b = params[-1]
        a = z @ W + b
        if self.cell.loss == "cross_entropy":
            rows = jax.nn.log_softmax(a)
            return -jax.numpy.take_along_axis(rows, t[:, None], axis=1).mean()
        y = jax.nn.sigmoid(a) if self.cell.output == "sigmoid" else a
        return 0.5 * ((y - t) ** 2).sum(axis=1).mean()

    def _step(self, state: Any, batch: Any) -> Any:
        import jax

        params, moments, t = state
        loss, g = jax.value_and_grad(self._loss)(params, *batch)
        t = t + 1
        if self.cell.optimizer == "sgd":
            return (jax.tree.map(lambda w, d: w - 0.01 * d, params, g), moments, t), loss
        if self.cell.optimizer == "momentum":
            v = jax.tree.map(lambda v, d: 0.9 * v - 0.01 * d, moments[0], g)
            return (jax.tree.map(lambda w, v: w + v, params, v), [v], t), loss
        m = jax.tree.map(lambda m, d: 0.9 * m + (1 - 0.9) * d, moments[0], g)
        v = jax.tree.map(lambda v, d: 0.999 * v + (1 - 0.999) * d * d, moments[1], g)
        rate, root = 1e-3 / (1 - 0.9**t), 1 / jax.numpy.sqrt(1 - 0.999**t)
        params = jax.tree.map(
            lambda w, m, v: w - rate * m / (jax.numpy.sqrt(v) * root + 1e-8), params, m, v
        )
        return (params, [m, v], t), loss

    def _epoch(self, state: Any, X: Any, t: Any) -> Any:
        import jax

        return jax.lax.scan(self._step, state, (X, t))

    def run(self, steps: int) -> None:
        """Scan over the rows of this many steps."""
        import jax

        if steps not in self.stacks:
            X, y = self.part(steps)
            shape = (steps, self.cell.batch)
            self.stacks[steps] = (
                jax.numpy.asarray(X.reshape(*shape, -1)),
                jax.numpy.asarray(y.reshape(*shape, *y.shape[1:])),
            )
        self.state, losses = self.epoch(self.state, *self.stacks[steps])
        losses.block_until_ready()

    def answer(self) -> list[NDArray[Any]]:
        """Return the weights."""
        return [np.asarray(w) for pair in self.state[0] for w in pair]


class JaxCalls(Jax):
    """One jit of a step, with its state donated; `run` waits only for the last step."""

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import jax

        self.step = jax.jit(self._step, donate_argnums=0)

    @cached_property
    def batches(self) -> list[tuple[Any, Any]]:
        """The batches as JAX arrays."""
        import jax

        pairs = self.cut(self.X, self.y)
        return [(jax.numpy.asarray(X), jax.numpy.asarray(y)) for X, y in pairs]

    def run(self, steps: int) -> None:
        """Make this many steps, one call each."""
        step, state = self.step, self.state
        for batch in self.batches[:steps]:
            state, loss = step(state, batch)
        self.state = state
        loss.block_until_ready()
