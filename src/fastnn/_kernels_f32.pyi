"""Type stubs of the compiled module _kernels_f32; those of _kernels_f64 are the same."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastnn.sparse_rows import SparseRows

_Result = TypeVar("_Result")
_Rows = NDArray[Any] | SparseRows

COMPILER: str
DTYPE: np.dtype[Any]
CHUNK_ROWS: int
TRIED_ROWS: int
PHASES: dict[int, str]
ADAPTIVE_LEAST_RATE: float
ADAPTIVE_DIVISOR: float

def instruction_sets() -> list[str]: ...
def fuses(isa: str | None) -> bool: ...
def bfloat16_speed(isa: str | None) -> int: ...
def registry() -> dict[str, list[Any]]: ...
def scheduled_rates(
    given: dict[str, Any], steps: NDArray[np.float64], rates: NDArray[np.float64]
) -> None: ...
def forward_arrays(
    z_prev: NDArray[Any],
    W: NDArray[Any],
    b: NDArray[Any] | None,
    activation: str,
    parameter: float,
    a: NDArray[Any],
    z: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def output_delta_arrays(
    a: NDArray[Any],
    t: NDArray[Any],
    loss: str,
    loss_parameter: list[float] | None,
    activation: str,
    parameter: float,
    losses: NDArray[np.float64],
    delta: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def delta_arrays(
    a: NDArray[Any],
    activation: str,
    parameter: float,
    W: NDArray[Any],
    delta_next: NDArray[Any],
    delta: NDArray[Any],
    isa: str | None = None,
) -> None: ...
def evaluate_function(
    name: str, x: NDArray[Any], out: NDArray[Any], isa: str | None = None
) -> None: ...
def core_latency(seconds: float) -> float: ...
def peak_flops(seconds: float, n_threads: int, isa: str | None = None) -> float: ...
def read_bandwidth(
    nbytes: int, seconds: float, n_threads: int, isa: str | None = None
) -> float: ...
def first_nonfinite(x: NDArray[Any]) -> int: ...
def columns_ascend(indices: NDArray[Any], indptr: NDArray[np.int64], n_columns: int) -> bool: ...
def seed_of_child(entropy: int, child: int) -> int: ...
@disjoint_base
class Shuffler:
    state: dict[str, Any]
    def __new__(cls, entropy: int, child: int) -> Self: ...
    def permutation(self, n: int) -> NDArray[np.int64]: ...
    def __deepcopy__(self, memo: object) -> Self: ...

def c_api() -> object: ...
@disjoint_base
class OwnBuffers:
    def __new__(
        cls,
        owner: Parameters,
        rows: int,
        n_threads: int,
        purpose: int,
        gradient: bool = False,
        nonzeros: bool = False,
    ) -> Self: ...
    @property
    def n_threads(self) -> int: ...

@disjoint_base
class Parameters:
    def __new__(
        cls,
        n_in: int,
        stages: list[dict[str, object]],
        *,
        loss: str = "squared_error",
        loss_parameter: list[float] | None = None,
        targets: tuple[bool, float, float] = ...,
        mean: bool = True,
        optimizer: str = "sgd",
        hyper: dict[str, float] | None = None,
        clip: tuple[str, float] | None = None,
        average: float | None = None,
        seed: int = 0,
        scale_penalties: bool = False,
        tiny: bool = True,
        isa: str | None = None,
        zeros: bool = True,
        **rest: Any,
    ) -> Self: ...
    epoch: int
    dropout_seed: int
    @property
    def step(self) -> int: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def n_moments(self) -> int: ...
    @property
    def averages(self) -> bool: ...
    @property
    def n_blocks(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def instruction_set(self) -> str: ...
    def set_rate(self, rate: float, schedule: dict[str, Any] | None) -> None: ...
    def standardize(self, mean: NDArray[np.float64], inverse: NDArray[np.float64]) -> None: ...
    def await_data(self) -> None: ...
    def read(self, block: int = 0) -> list[NDArray[Any]]: ...
    def read_blocks(self, blocks: list[int]) -> tuple[int, int, list[list[NDArray[Any]]]]: ...
    def write(self, arrays: Sequence[NDArray[Any]], block: int = 0) -> None: ...
    def write_all(
        self,
        blocks: list[list[NDArray[Any]]],
        *,
        step: int,
        epoch: int,
        dropout_seed: int,
        rate: float,
        schedule: dict[str, Any] | None,
        scaling: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    ) -> None: ...
    def read_flat(self) -> NDArray[Any]: ...
    def write_flat(self, vector: NDArray[Any]) -> None: ...
    def draw_uniform(
        self, entropy: int, draws: tuple[tuple[int, int, int, float], ...]
    ) -> None: ...
    def write_biases(self, number: int, first: int, b: NDArray[Any]) -> None: ...
    def write_rows(self, number: int, first: int, rows: NDArray[Any]) -> None: ...
    def fill_moment(self, block: int, value: float) -> None: ...
    def penalties(self, weight: float, averages: bool = False) -> float: ...

@disjoint_base
class Tally:
    loss: float
    total: float
    failure: float | None
    overflowed: bool
    def __init__(self, owner: Parameters) -> None: ...
    @property
    def value(self) -> float: ...

@disjoint_base
class Driver(Parameters):
    stop_training: int
    is_disposable: bool
    def run_exclusively(self, function: Callable[..., _Result], *arguments: object) -> _Result: ...
    def tally(self) -> Tally: ...
    def forget(self) -> None: ...
    def restore(self, first_moment: float) -> int | None: ...
    def train(
        self,
        X: _Rows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        order: NDArray[np.int64] | None,
        batch: int,
        n_threads: int,
        tally: Tally,
        first: int,
        stop: int,
        out: NDArray[Any] | None = None,
    ) -> None: ...
    def train_by_gradients(
        self,
        X: _Rows,
        dY: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        n_threads: int,
        tally: Tally,
    ) -> None: ...
    def skips_zeros(self, X: Any, batch: int) -> bool: ...
    def profile(
        self,
        X: _Rows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        batch: int,
        n_threads: int,
    ) -> list[dict[str, float]]: ...
    def trains_by_columns(self, batch: int, n_threads: int) -> bool: ...
    def postpones_updates(self) -> bool: ...
    def pace(self) -> list[tuple[int, float, float, float]]: ...
    def gradients(
        self,
        X: _Rows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        dropout: bool,
        n_threads: int,
    ) -> tuple[float, NDArray[Any]]: ...
    def row_gradients(
        self,
        X: _Rows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        out: NDArray[Any],
        n_threads: int,
    ) -> None: ...
    def evaluate(
        self,
        X: _Rows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        n_threads: int,
        tally: Tally,
        out: NDArray[Any] | None = None,
        averages: bool = False,
    ) -> None: ...
    def predict(
        self,
        X: _Rows,
        out: NDArray[Any],
        n_threads: int,
        dropout: bool = False,
        averages: bool = False,
    ) -> None: ...
    def activations(self, X: _Rows) -> list[NDArray[Any]]: ...
    def input_gradients(self, X: _Rows, outputs: NDArray[np.int64], out: NDArray[Any]) -> None: ...

ENDS: dict[int, str | None]

@disjoint_base
class WholeFit:
    driver: Driver
    dropped: int | None
    def __new__(
        cls,
        driver: Driver,
        rows: tuple[Any, ...],
        *,
        generator: Shuffler | np.random.BitGenerator | None = None,
        validation: tuple[Any, ...] | None = None,
        batch: int,
        epochs: int,
        judge: tuple[Any, Any] = ...,
        validation_judge: tuple[Any, Any] = ...,
        compounds: bool = False,
        lock: object = None,
        rules: list[dict[str, Any]] = ...,
        logs_rate: bool = False,
        tries_each_epoch: bool = False,
        judges_averages: bool = False,
        first_moment: float = 0,
    ) -> Self: ...
    @property
    def seconds(self) -> float: ...
    def losses_by_rows(self) -> NDArray[np.float64]: ...
    def scores(self, number: int) -> NDArray[np.float64]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def is_over(self) -> bool: ...
    @property
    def ended(self) -> str | None: ...
    @property
    def has_diverged(self) -> bool: ...
    @property
    def ran_out_of_memory(self) -> bool: ...
    @property
    def failure(self) -> tuple[float, bool, int, float]: ...
    def carry_out(self, n_epochs: int, n_threads: int) -> None: ...
    def logs(self) -> dict[str, NDArray[np.float64]]: ...
    def state_of_rules(self) -> list[dict[str, Any]]: ...
    def best_parameters(self, number: int) -> list[NDArray[Any]] | None: ...

@disjoint_base
class MemberTraining:
    def __new__(
        cls,
        fits: list[WholeFit],
        report: Callable[[list[int]], object],
        stops_at_divergence: bool,
        n_threads: int,
    ) -> Self: ...

def train_members(
    fits: list[WholeFit],
    report: Callable[[list[int]], object],
    n_threads: int,
    stops_at_divergence: bool = False,
) -> None: ...
def metric_value(
    given: dict[str, Any], t: NDArray[Any], y: NDArray[Any], w: NDArray[np.float64] | None
) -> float: ...
@disjoint_base
class Network(Driver):
    converts_targets: bool
    def take_place_of(self, other: Network) -> None: ...
    def c_model(self) -> object: ...
    def try_predict(self, X: object, out: object) -> NDArray[Any] | None: ...
    def try_fit(
        self,
        X: object,
        y: object,
        batch: int,
        epochs: int,
        generator: Shuffler | None,
    ) -> WholeFit | None: ...
    def try_step(self, X: object, y: object) -> float | None: ...

@disjoint_base
class LayerState(Parameters):
    @property
    def rule(self) -> str: ...
    @classmethod
    def of(
        cls,
        n_in: int,
        n_out: int,
        optimizer: str,
        hyper: dict[str, float],
        first_moment: float,
        isa: str | None = None,
    ) -> LayerState: ...
    def update(
        self,
        W: NDArray[Any],
        b: NDArray[Any] | None,
        z_prev: NDArray[Any],
        delta: NDArray[Any],
        hyper: dict[str, float] | None = None,
    ) -> None: ...
