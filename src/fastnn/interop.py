"""Convert networks, including weights, from and to scikit-learn and PyTorch, and to C source.

The libraries are imported only when they are needed. The code is in fastnn/exchange.
"""

from fastnn.exchange.c_source import to_c
from fastnn.exchange.pytorch import from_torch, to_torch
from fastnn.exchange.scikit_learn import from_sklearn, to_sklearn

__all__ = ["from_sklearn", "from_torch", "to_c", "to_sklearn", "to_torch"]
