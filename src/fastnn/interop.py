"""Networks from and to scikit-learn and PyTorch, and as C source, weights and all.

Neither library is imported before it is needed. The code is in fastnn/exchange.
"""

from fastnn.exchange.c_source import to_c
from fastnn.exchange.pytorch import from_torch, to_torch
from fastnn.exchange.scikit_learn import from_sklearn, to_sklearn

__all__ = ["from_sklearn", "from_torch", "to_c", "to_sklearn", "to_torch"]
