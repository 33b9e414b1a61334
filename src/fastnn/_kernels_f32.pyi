"""What type checkers know of the compiled module; that of _kernels_f64 is the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPILER: str
DTYPE: np.dtype[Any]

def instruction_sets() -> list[str]: ...
def registry() -> dict[str, list[Any]]: ...
def scheduled_rates(
    given: dict[str, Any], steps: NDArray[np.float64], rates: NDArray[np.float64]
) -> None: ...
def forward_arrays(
    z_prev: NDArray[Any],
    W: NDArray[Any],
    b: NDArray[Any] | None,
    activation: str,
    alpha: float,
    a: NDArray[Any],
    z: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def output_delta_arrays(
    a: NDArray[Any],
    t: NDArray[Any],
    loss: str,
    parameter: list[float] | None,
    activation: str,
    alpha: float,
    losses: NDArray[np.float64],
    delta: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def delta_arrays(
    a: NDArray[Any],
    activation: str,
    alpha: float,
    W: NDArray[Any],
    delta_next: NDArray[Any],
    delta: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def evaluate_function(
    name: str, x: NDArray[Any], out: NDArray[Any], isa: str | None = None
) -> None: ...
def peak_flops(seconds: float, n_threads: int, isa: str | None = None) -> float: ...
def read_bandwidth(
    nbytes: int, seconds: float, n_threads: int, isa: str | None = None
) -> float: ...
def first_nonfinite(x: NDArray[Any]) -> int: ...
def c_api() -> object: ...

class LayerState:
    n_in: int
    n_out: int
    rule: str
    step: int
    def __init__(
        self,
        n_in: int,
        n_out: int,
        optimizer: str,
        hyper: dict[str, float],
        first_moment: float,
        isa: str | None = None,
    ) -> None: ...
    def update(
        self,
        W: NDArray[Any],
        b: NDArray[Any] | None,
        z_prev: NDArray[Any],
        delta: NDArray[Any],
        hyper: dict[str, float] | None = None,
    ) -> None: ...

class Tally:
    loss: float
    total: float
    failure: float | None
    def __init__(self, network: Network) -> None: ...
    @property
    def value(self) -> float: ...

class Network:
    step: int
    epoch: int
    dropout_seed: int
    @property
    def n_in(self) -> int: ...
    @property
    def units(self) -> list[int]: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def n_moments(self) -> int: ...
    @property
    def n_blocks(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def instruction_set(self) -> str: ...
    def __init__(
        self,
        n_in: int,
        layers: list[dict[str, Any]],
        *,
        loss: str,
        loss_parameter: list[float] | None,
        targets: str,
        mean: bool,
        optimizer: str,
        hyper: dict[str, float],
        seed: int,
        n_threads: int,
        scale_penalties: bool = False,
        standardized: bool = False,
        average: float | None = None,
        clip: tuple[str, float] | None = None,
        isa: str | None = None,
    ) -> None: ...
    def c_model(self) -> object: ...
    def set_rate(self, rate: float, schedule: dict[str, Any] | None) -> None: ...
    def standardize(self, mean: NDArray[np.float64], inverse: NDArray[np.float64]) -> None: ...
    def read(self, block: int = 0) -> list[NDArray[Any]]: ...
    def write(self, arrays: Sequence[NDArray[Any]], block: int = 0) -> None: ...
    def write_rows(self, l: int, first: int, rows: NDArray[Any]) -> None: ...
    def fill_moment(self, block: int, value: float) -> None: ...
    def unit(self, batch: int) -> int: ...
    def tally(self) -> Tally: ...
    def forget(self) -> None: ...
    def restore(self, first_moment: float) -> int | None: ...
    def penalties(self, weight: float) -> float: ...
    def try_predict(self, X: object, out: object) -> NDArray[Any] | None: ...
    def try_step(self, X: object, y: object) -> float | None: ...
    def predict(self, X: NDArray[Any], out: NDArray[Any], n_threads: int) -> None: ...
    def train(
        self,
        X: NDArray[Any],
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        weights: NDArray[Any] | None,
        order: NDArray[np.int64] | None,
        batch: int,
        n_threads: int,
        tally: Tally,
        first: int,
        stop: int,
        out: NDArray[Any] | None = None,
    ) -> None: ...
    def evaluate(
        self,
        X: NDArray[Any],
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        weights: NDArray[Any] | None,
        n_threads: int,
        tally: Tally,
        out: NDArray[Any] | None = None,
    ) -> None: ...
    def gradients(
        self,
        X: NDArray[Any],
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        weights: NDArray[Any] | None,
        dropout: bool,
        n_threads: int,
    ) -> tuple[float, list[NDArray[Any]]]: ...
    def profile(
        self,
        X: NDArray[Any],
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        weights: NDArray[Any] | None,
        batch: int,
        n_threads: int,
    ) -> list[dict[str, float]]: ...
