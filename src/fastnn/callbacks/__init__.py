"""Callbacks: objects that `fit` calls during training, and the history that it returns.

Names, arguments and behaviour are those of Keras 3. A module a subject: the base class (base.py),
the history, callbacks that end a training, that save, that set the learning rate, that judge moving
averages, that log and that show progress. Not here: the training loop (training/loop.py calls the
hooks) and arithmetic.
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


if not TYPE_CHECKING:  # who would let any name pass
    __getattr__ = _checks.names_of_module(__name__, _checks.names.CALLBACKS)
