"""Ensembles as PyTorch modules, in new classes: the parameters of members, and the mean of outputs.

The factors turn rows (n, n_in) into copies (members, n, n_in), which other modules take like rows.

PyTorch is an argument of all functions; the classes are made once. Not here: other layers
(pytorch.py).
"""

import functools
from typing import Any

from fastnn.exchange.parts import Part
from fastnn.layers import MemberDense, MemberScale

#: Names of the classes.
NAMES = ("MemberFactors", "MemberLinear", "MemberMean")


@functools.cache
def classes(torch: Any) -> dict[str, Any]:
    """Return the classes by name."""
    nn = torch.nn

    class MemberFactors(nn.Module):  # type: ignore[misc, name-defined]  # torch is an argument
        """Factors (members, n) and perhaps biases; rows (n_rows, n) get copies for all members."""

        def __init__(self, weight: Any, bias: Any) -> None:
            super().__init__()
            self.weight = nn.Parameter(weight)
            self.bias = None if bias is None else nn.Parameter(bias)

        def forward(self, x: Any) -> Any:
            return self.biased(x * self.weight[:, None])

        def biased(self, a: Any) -> Any:
            return a if self.bias is None else a + self.bias[:, None]

    class MemberLinear(MemberFactors):
        """A linear map (n_in, n_out) of each member."""

        def forward(self, x: Any) -> Any:
            return self.biased(x @ self.weight)

    class MemberMean(nn.Module):  # type: ignore[misc, name-defined]
        """The mean over the members."""

        def forward(self, x: Any) -> Any:
            return x.mean(0)

    found = dict(zip(NAMES, (MemberFactors, MemberLinear, MemberMean), strict=True))
    for name, made in found.items():
        made.__qualname__ = name
    return found


def _tensors(torch: Any, arrays: dict[str, Any]) -> tuple[Any, Any]:
    """Return W and b, or None instead of b, as tensors."""
    W, b = arrays["W"], arrays.get("b")
    return torch.from_numpy(W), None if b is None else torch.from_numpy(b)


def member_scale(torch: Any, part: Part[MemberScale]) -> Any:
    """Return the module of a MemberScale."""
    W, b = _tensors(torch, part.arrays)
    made = classes(torch)["MemberFactors"](W, b)
    return made.requires_grad_(part.layer.trainable)


def member_dense(torch: Any, part: Part[MemberDense]) -> Any:
    """Return the module of the linear maps of a MemberDense."""
    W = part.arrays["W"].reshape(part.layer.members, part.n_in, part.n_out)
    made = classes(torch)["MemberLinear"](*_tensors(torch, part.arrays | {"W": W}))
    return made.requires_grad_(part.layer.trainable)


def mean(torch: Any) -> Any:
    """Return the module of the mean over the members."""
    return classes(torch)["MemberMean"]()


def __getattr__(name: str) -> Any:
    """Return a class, which pickle looks up in this module."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastnn import _checks

    return classes(_checks.package("torch", "an ensemble of to_torch"))[name]
