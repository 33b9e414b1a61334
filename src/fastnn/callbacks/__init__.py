"""Callbacks: objects that `fit` calls during training, and the history that it returns.

Names, arguments and behaviour are those of Keras 3, except what docs/coming_from/keras.rst lists.
Each subject has a module: the base class (base.py), the history, callbacks that stop training, save
networks, set the learning rate, validate moving averages, write logs or show progress. Not here:
the training loop, which calls the hooks (training/loop.py), and arithmetic.
"""

from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks.averages import SwapEMAWeights
from fastnn.callbacks.base import Callback
from fastnn.callbacks.checkpoint import ModelCheckpoint
from fastnn.callbacks.csv_logger import CSVLogger
from fastnn.callbacks.history import History
from fastnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.progress import ProgressBar
from fastnn.callbacks.stopping import EarlyStopping, TerminateOnNaN
from fastnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.CALLBACKS)
