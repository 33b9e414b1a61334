"""fastnn: the fastest training and inference of feed-forward neural networks on CPUs."""

from fastnn import kernels
from fastnn._cpu import show_config
from fastnn.activations import Activation
from fastnn.callbacks import Callback, History
from fastnn.gradients import check_gradients
from fastnn.layers import Dense, Dropout
from fastnn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Poisson,
    Quantile,
    SquaredError,
)
from fastnn.mlp import MLP
from fastnn.optimizers import SGD, Adagrad, Adam, AdamW, RMSProp
from fastnn.profiling import profile

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "AbsoluteError",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Callback",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "History",
    "Huber",
    "Poisson",
    "Quantile",
    "RMSProp",
    "SquaredError",
    "__version__",
    "check_gradients",
    "kernels",
    "profile",
    "show_config",
]
