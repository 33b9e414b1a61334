"""fastnn: fast training and inference of feed-forward neural networks on CPUs."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _checks, callbacks, kernels, metrics
from fastnn._cpu import show_config
from fastnn.activations import Activation
from fastnn.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgressBar,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from fastnn.exchange.safetensors import ModelFileError
from fastnn.gradients import check_gradients
from fastnn.layers import (
    Activate,
    Dense,
    Dropout,
    Embedding,
    Ensemble,
    LayerNorm,
    NumericEmbedding,
    Residual,
    Standardize,
)
from fastnn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    CustomLoss,
    GaussianNLL,
    Huber,
    LinearLoss,
    Poisson,
    Quantile,
    SquaredError,
)
from fastnn.metrics import (
    R2,
    ROCAUC,
    Accuracy,
    BalancedAccuracy,
    F1Score,
    LogLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    Precision,
    Recall,
    TopKAccuracy,
)
from fastnn.mlp import MLP, load
from fastnn.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RMSProp,
    ScheduleFreeAdamW,
)
from fastnn.profiling import profile
from fastnn.schedules import (
    Adaptive,
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseScaling,
    LinearWarmup,
    OneCycle,
    PiecewiseConstantDecay,
    StepDecay,
)
from fastnn.sparse_rows import SparseRows
from fastnn.splits import StratifiedSplit

if TYPE_CHECKING:  # the names in _LAZY
    from fastnn import embedding as embedding
    from fastnn import interop as interop
    from fastnn import onnx as onnx
    from fastnn import sklearn as sklearn
    from fastnn import tables as tables
    from fastnn.embedding import get_include
    from fastnn.interop import from_sklearn, from_torch, to_c, to_sklearn, to_torch
    from fastnn.many import Fits, Networks, Status, fit_many, load_many, networks
    from fastnn.onnx import from_onnx

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "R2",
    "ROCAUC",
    "SGD",
    "AbsoluteError",
    "Accuracy",
    "Activate",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adaptive",
    "BalancedAccuracy",
    "BinaryCrossEntropy",
    "CSVLogger",
    "Callback",
    "Constant",
    "CosineDecay",
    "CosineDecayRestarts",
    "CrossEntropy",
    "CustomLoss",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Ensemble",
    "ExponentialDecay",
    "F1Score",
    "Fits",
    "GaussianNLL",
    "History",
    "Huber",
    "InverseScaling",
    "LayerNorm",
    "LearningRateScheduler",
    "LinearLoss",
    "LinearWarmup",
    "Lion",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "ModelCheckpoint",
    "ModelFileError",
    "NAdam",
    "Networks",
    "NumericEmbedding",
    "OneCycle",
    "PiecewiseConstantDecay",
    "Poisson",
    "Precision",
    "ProgressBar",
    "Quantile",
    "RMSProp",
    "Recall",
    "ReduceLROnPlateau",
    "Residual",
    "ScheduleFreeAdamW",
    "SparseRows",
    "SquaredError",
    "Standardize",
    "Status",
    "StepDecay",
    "StratifiedSplit",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TopKAccuracy",
    "__version__",
    "callbacks",
    "check_gradients",
    "fit_many",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "get_include",
    "kernels",
    "load",
    "load_many",
    "metrics",
    "networks",
    "profile",
    "show_config",
    "to_c",
    "to_sklearn",
    "to_torch",
]

#: Names that are imported at their first use, and the module of each (or the module it names).
_LAZY = {
    "Fits": "fastnn.many",
    "Networks": "fastnn.many",
    "Status": "fastnn.many",
    "_C_API": "fastnn.embedding",
    "embedding": "fastnn.embedding",
    "fit_many": "fastnn.many",
    "from_onnx": "fastnn.onnx",
    "from_sklearn": "fastnn.interop",
    "from_torch": "fastnn.interop",
    "get_include": "fastnn.embedding",
    "interop": "fastnn.interop",
    "load_many": "fastnn.many",
    "networks": "fastnn.many",
    "onnx": "fastnn.onnx",
    "sklearn": "fastnn.sklearn",
    "tables": "fastnn.tables",
    "to_c": "fastnn.interop",
    "to_sklearn": "fastnn.interop",
    "to_torch": "fastnn.interop",
}


if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise _checks.not_in_package(name, sys.modules[__name__], __all__)
        try:
            module = importlib.import_module(_LAZY[name])
        except ImportError as error:  # hasattr and help expect an AttributeError
            raise AttributeError(str(error)) from error
        found = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
        return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
