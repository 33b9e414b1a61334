"""Layers that tell the members of an Ensemble apart: row i is a copy for member i % members."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.reference.functions import ACTIVATIONS, through
from fastnn.reference.weights import Weighted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


@dataclasses.dataclass
class _Members(Weighted):
    """Base class: W has a row or a matrix for each member, b is (members, n_out) or None."""

    W: Array
    b: Array | None
    members: int

    @property
    def decayed(self) -> tuple[Array, ...]:
        """The arrays that decay."""
        return (self.W,)

    def apart(self, rows: Array) -> Array:
        """Return rows (B * members, n) as (members, B, n)."""
        return rows.reshape(-1, self.members, rows.shape[1]).swapaxes(0, 1)

    def together(self, apart: Array) -> Array:
        """Return (members, B, n) as rows (B * members, n), the inverse of `apart`."""
        return np.ascontiguousarray(apart.swapaxes(0, 1)).reshape(-1, apart.shape[2])


@dataclasses.dataclass
class MemberScale(_Members):
    """z_m = x_m * W_m + b_m; W and b are (members, n)."""

    trainable: bool = True
    rate_multiplier: float = 1.0

    def forward(self, z: Array, drop: Any) -> Array:
        """Return z for z_prev, both (B * members, n)."""
        self.tape = self.apart(z)
        out = self.tape * self.W[:, None]
        return self.together(out if self.b is None else out + self.b[:, None])

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """Return dE/dz_prev_m = g_m * W_m and the gradients of the arrays."""
        delta = self.apart(g)
        below = self.together(delta * self.W[:, None])
        dW = (self.tape * delta).sum(1)
        return below, [dW] if self.b is None else [dW, delta.sum(1)]


@dataclasses.dataclass
class MemberDense(_Members):
    """z_m = h(x_m @ W_m + b_m); the rows of W are those of W_0, W_1, ...; b is (members, n_out)."""

    activation: str = "identity"
    alpha: Any = None
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True
    rate_multiplier: float = 1.0

    def forward(self, z: Array, drop: Any) -> Array:
        """Return z for z_prev, (B * members, ...). The tape is (z_prev apart, None, a, z)."""
        x = self.apart(z)
        a = x @ self.W.reshape(self.members, -1, self.W.shape[1])
        a = self.together(a if self.b is None else a + self.b[:, None])
        self.tape = x, None, a, ACTIVATIONS[self.activation][0](a, self.alpha)
        return self.tape[-1]

    def backward(
        self, g: Array, penalty_scale: float = 1.0, is_delta: bool = False
    ) -> tuple[Array, list[Array]]:
        """Return dE/dz_prev and the gradients of the arrays; g is dE/dz, or dE/da if `is_delta`."""
        x, _, a, z = self.tape
        delta = g if is_delta else through(self.activation, g, a, z, self.alpha)
        delta = self.apart(delta)
        W = self.W.reshape(self.members, -1, self.W.shape[1])
        dW = (x.swapaxes(1, 2) @ delta).reshape(self.W.shape)
        if self.l1 or self.l2:
            dW += penalty_scale * self.penalty_gradient()
        below = self.together(delta @ W.swapaxes(1, 2))
        return below, [dW] if self.b is None else [dW, delta.sum(1)]


def scale_twin(spec: Any, arrays: Iterator[Array]) -> MemberScale:
    """Return the twin of a MemberScale."""
    return MemberScale(
        W=next(arrays),
        b=None if spec.bias_initializer is None else next(arrays),
        members=spec.members,
        trainable=spec.trainable,
        rate_multiplier=float(spec.learning_rate_multiplier),
    )


def dense_twin(spec: Any, arrays: Iterator[Array]) -> MemberDense:
    """Return the twin of a MemberDense."""
    dense = spec.dense
    return MemberDense(
        W=next(arrays),
        b=next(arrays) if dense.use_bias else None,
        members=spec.members,
        activation=dense.activation.name,
        alpha=dense.activation.parameter,
        l1=float(dense.l1),
        l2=float(dense.l2),
        trainable=dense.trainable,
        rate_multiplier=float(dense.learning_rate_multiplier),
    )
