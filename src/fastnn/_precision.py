"""Precisions: the dtype of arrays, what products are computed with, the compiled module of each.

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

#: The policy whose operands of products are rounded to bfloat16; the name is that of Keras.
MIXED_BFLOAT16 = "mixed_bfloat16"

#: The most units of a layer whose operands are never rounded: its W is stored transposed, and its
#: products would gain nothing.
NARROW = 4

#: The policies that a network can have, and the dtype of its arrays.
POLICIES = {dtype.name: dtype for dtype in PRECISIONS} | {MIXED_BFLOAT16: np.dtype(np.float32)}


def rounds_operands(policy: str, units: int) -> bool:
    """Whether a Dense of so many units multiplies numbers of bfloat16."""
    return policy == MIXED_BFLOAT16 and units > NARROW
