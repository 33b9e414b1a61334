"""The compiled module of each precision, by the dtype of the arrays that it computes with.

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

#: The dtypes that a network can have.
PRECISIONS = tuple(KERNELS)
