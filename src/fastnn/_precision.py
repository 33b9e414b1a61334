"""Precisions: the dtype of arrays, the precision of products, the compiled module of each dtype.

Not here: the kernels themselves (_kernels.pyx), and which instruction set they use (_cpu.py).
"""

from types import ModuleType
from typing import Any

import numpy as np

from fastnn import _kernels_f32, _kernels_f64

#: The extension module for each dtype.
KERNELS: dict[np.dtype[Any], ModuleType] = {
    np.dtype(np.float32): _kernels_f32,
    np.dtype(np.float64): _kernels_f64,
}

#: The dtypes that arrays of a network can have.
PRECISIONS = tuple(KERNELS)

#: The policy that rounds operands of products to bfloat16; the name is Keras' name.
MIXED_BFLOAT16 = "mixed_bfloat16"

#: Operands of layers with up to this many units are never rounded: their W is stored transposed,
#: and their products would gain nothing.
NARROW = 4

#: The policies that a network can have, and the dtype of its arrays.
POLICIES = {dtype.name: dtype for dtype in PRECISIONS} | {MIXED_BFLOAT16: np.dtype(np.float32)}


def rounds_operands(policy: str, units: int) -> bool:
    """Whether a Dense with this number of units multiplies bfloat16 numbers."""
    return policy == MIXED_BFLOAT16 and units > NARROW
