"""Profile a network: the time of each phase of a training step, and advice to make it faster.

Not here: comparisons with other libraries (benchmarking/).
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _cpu
from fastnn._precision import KERNELS, MIXED_BFLOAT16
from fastnn.inspection import flops_of_a_row
from fastnn.mlp import MLP
from fastnn.training import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from fastnn._kernels_f32 import Network
    from fastnn.mlp import Inputs
    from fastnn.training.rows import Rows


# Advice is given only for ratios of times above this, since times vary by some per cent.
_WORTH_IT = 1.1

# Seconds of the measurement of latency.
_PROBE = 0.002

# The learning rate of the copy that is trained. Its weights stay as they are: those of a training
# that diverges would end the passes early.
_RATE = 1e-12

# How many times as fast as float32 bfloat16 is in bench/README.md, by the speed of the instruction.
_SPEEDUPS = {2: "1.4 to 1.8", 16: "1.4 to 3.9"}

# From this many rows per batch on, products and not memory accesses take most of a step.
_SOME_ROWS = 32


@dataclass(frozen=True)
class Phase:
    """A part of a training step.

    Attributes
    ----------
    name : str
        "input" (gathering rows), "forward", "loss" (with the output delta), "delta" (of the hidden
        layers), "update" (gradients and optimizer), "wait" (for other threads); or "step" for
        tiny networks, which are trained by a single function.
    seconds : float
        The time of the phase in a step, as the mean over the threads.
    flops : float
        Floating-point operations of its matrix products in a step, on all threads.
    """

    name: str
    seconds: float
    flops: float


@dataclass(frozen=True)
class Trial:
    """The measured rate of training, in rows per second, for a batch size and thread count."""

    batch_size: int
    n_threads: int
    rows_per_second: float


@dataclass(frozen=True)
class Team:
    """Measurements of a team, a number of threads, during the training of a network.

    Attributes
    ----------
    n_threads : int
        Number of threads in the team.
    seconds : float
        Time that a team of this size has trained.
    waiting : float
        Fraction of its threads' time spent waiting for each other, not counting waits below a
        microsecond.
    flops : float
        Floating-point operations per second at the last measurement of this size; 0 without one.
    """

    n_threads: int
    seconds: float
    waiting: float
    flops: float


@dataclass(frozen=True)
class Profile:
    """The result of `profile`; printing it shows a table.

    Attributes
    ----------
    network : str
    batch_size, n_threads : int
        Rows per step, and threads in use: 1 if the network is too small for several.
    seconds, flops : float
        Seconds and floating-point operations of a step.
    peak_flops : float
        Peak rate of these threads, in floating-point operations per second of multiply-adds in
        registers; 2 or 16 times the rate of float32 if the CPU has an instruction for bfloat16.
    phases : list of Phase
    trials : list of Trial
        The same network with other batch sizes and numbers of threads.
    advice : list of str
        Changes that would make training faster.
    skips_zeros : bool
        Whether products with zeros are skipped, because an array has many zeros, or because sparse
        rows are read as their nonzeros. `flops` count these products, so a phase may exceed the
        peak.
    teams : tuple of Team
        The sizes of team that have trained the network, the largest first. A team shrinks if fewer
        threads are faster, for instance while another program keeps a CPU busy, and grows again.
        Empty if the network has not been trained on several threads.
    core_to_core_ns : float
        One-way latency from one core to another in nanoseconds, measured now; NaN if `n_threads` is
        1, or if a busy machine let no two threads run at a time. From about 150 ns on, several
        threads do not make small steps faster.
    """

    network: str
    batch_size: int
    n_threads: int
    seconds: float
    flops: float
    peak_flops: float
    phases: list[Phase]
    trials: list[Trial]
    advice: list[str]
    skips_zeros: bool = False
    teams: tuple[Team, ...] = ()
    core_to_core_ns: float = math.nan

    @property
    def rows_per_second(self) -> float:
        """Rows trained per second."""
        return self.batch_size / self.seconds

    def __str__(self) -> str:
        advice = [f"- {line}" for line in self.advice]
        parts = self._summary(), self._table(), self._tried(), self._teams(), advice
        return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))

    def _summary(self) -> Iterator[str]:
        threads = "1 thread" if self.n_threads == 1 else f"{self.n_threads} threads"
        rate = self.flops / self.seconds
        yield f"{self.network}, batch {self.batch_size}, {threads}"
        yield (
            f"a step takes {self.seconds * 1e6:,.4g} µs: {self.rows_per_second:,.0f} rows/s, "
            f"{rate / 1e9:.1f} GFLOP/s, {rate / self.peak_flops:.0%} of this machine's "
            f"{self.peak_flops / 1e9:.0f}"
        )
        if self.skips_zeros:
            yield "multiplications by zero inputs are skipped, but counted"

    def _table(self) -> Iterator[str]:
        yield f"{'phase':<10}{'µs per step':>11}{'share':>8}{'GFLOP/s':>10}{'of peak':>9}"
        total = sum(phase.seconds for phase in self.phases)
        for phase in self.phases:
            line = f"{phase.name:<10}{phase.seconds * 1e6:>11,.4g}{phase.seconds / total:>8.0%}"
            if phase.flops and phase.seconds:
                rate = phase.flops / phase.seconds
                line += f"{rate / 1e9:>10.1f}{rate / self.peak_flops:>9.0%}"
            yield line

    def _tried(self) -> Iterator[str]:
        counts = sorted({trial.n_threads for trial in self.trials})
        heads = "".join(f"{f'{n} thread' if n == 1 else f'{n} threads':>14}" for n in counts)
        yield f"{'rows/s':<10}{heads}"
        for batch in sorted({trial.batch_size for trial in self.trials}):
            rates = "".join(f"{self._rate(batch, n):>14,.0f}" for n in counts)
            yield f"{f'batch {batch}':<10}{rates}"

    def _teams(self) -> Iterator[str]:
        """Yield a line for each size of team that training has tried."""
        if not math.isnan(self.core_to_core_ns):
            yield f"latency from core to core: {self.core_to_core_ns:.0f} ns"
        if self.teams:
            yield f"{'training so far':<18}{'seconds':>9}{'waiting':>9}{'GFLOP/s':>9}"
        for team in self.teams:
            name = "1 thread" if team.n_threads == 1 else f"{team.n_threads} threads"
            yield f"{name:<18}{team.seconds:>9.3g}{team.waiting:>9.0%}{team.flops / 1e9:>9.1f}"

    def _rate(self, batch: int, threads: int) -> float:
        return next(
            trial.rows_per_second
            for trial in self.trials
            if (trial.batch_size, trial.n_threads) == (batch, threads)
        )


@_checks.explained
def profile(
    net: MLP,
    X: Inputs,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    batch_size: int | None = 32,
    n_threads: int | None = None,
    seconds: float = 2.0,
) -> Profile:
    """Measure the time of each phase of a training step, and give advice to make it faster.

    Parameters
    ----------
    net : MLP
        The network. It is not changed: a copy is trained, with a learning rate near 0, so that the
        times are those of the present weights, and the training cannot diverge.
    X, y, sample_weight
        Rows to train on, as for `MLP.train_on_batch`: unlike a fit, this function needs a
        Standardize layer that has seen data (`MLP.adapt`), and `MLP.classes` for labels that are
        not class numbers. Use more rows than fit in the caches, as in real training.
    batch_size : int or None, default 32
        Rows in each step; None means all rows.
    n_threads : int, optional
        Number of threads, by default that of the network.
    seconds : float, default 2.0
        Approximate duration of the measurement.

    Returns
    -------
    Profile
        Time and rate of each phase of a step, rates with other batch sizes and numbers of threads,
        and advice. Print it to read it.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    FloatingPointError
        If the loss of a batch is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP(16, [fastnn.Dense(64, "tanh"), fastnn.Dense(1)], loss="squared_error",
    ...                  optimizer="adam")
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> found = fastnn.profile(net, X, X[:, 0], seconds=0.1)
    >>> [phase.name for phase in found.phases]
    ['input', 'forward', 'loss', 'delta', 'update', 'wait']
    >>> print(found)  # doctest: +SKIP
    """
    _checks.network("net", net, MLP)
    _checks.in_kernels("profile", net.loss, "profile the same network with loss='linear'")
    rows = sources.rows(net._state, X, y, sample_weight)
    batch = rows.n if batch_size is None else _checks.integer("batch_size", batch_size, low=1)
    batch = min(batch, rows.n)
    threads = _checks.n_threads(n_threads, net.n_threads)
    seconds = _checks.number("seconds", seconds, above=0.0)
    twin = net.copy()._network
    twin.set_rate(_RATE, None)
    _require_finite_loss(twin, rows, batch, threads)
    step, phases = _measure_phases(twin, rows, batch, threads, seconds / 2)
    used = len(phases)
    trials = _try_others(twin, rows.for_loss(), batch, threads, seconds / 2)
    flops = {name: float(batch * n) for name, n in flops_of_a_row(net).items()}
    return Profile(
        network=repr(net)[1:-1],
        batch_size=batch,
        n_threads=used,
        seconds=step,
        flops=sum(flops.values()),
        peak_flops=_peak(net, seconds / 4, used),
        phases=_phases(phases, flops, step),
        trials=trials,
        advice=_advice(net, trials, batch, threads),
        skips_zeros=twin.skips_zeros(rows.X, batch),
        teams=_teams(net._network, sum(flops.values()) / batch),
        core_to_core_ns=KERNELS[net.dtype].core_latency(_PROBE) if threads > 1 else math.nan,
    )


def _teams(network: Network, flops: float) -> tuple[Team, ...]:
    """Return the measurements of each size of team during training; `flops` are of a row."""
    return tuple(
        Team(size, seconds, waited / (seconds * size), rows * flops)
        for size, seconds, waited, rows in network.pace()
    )


def _peak(net: MLP, seconds: float, threads: int) -> float:
    """Return the peak of multiply-adds, or of the CPU's instruction for products of bfloat16."""
    kernels = KERNELS[net.dtype]
    peak: float = kernels.peak_flops(min(0.2, seconds), threads, _cpu.ISA)
    return peak * max(1, kernels.bfloat16_speed(_cpu.ISA) if _is_rounded(net) else 1)


def _is_rounded(net: MLP) -> bool:
    return net.dtype_policy == MIXED_BFLOAT16


def _require_finite_loss(network: Network, rows: Rows, batch: int, threads: int) -> None:
    """Train an epoch; raise an error if a loss is not finite, since training then ends early."""
    tally = network.tally()
    network.train(*rows.for_loss(), None, batch, threads, tally, 0, rows.n)
    if tally.failure is not None:
        raise FloatingPointError(
            f"the loss of a batch is {tally.failure}, so training cannot be measured; scale X and "
            "y, or set smaller weights"
        )


def _measure_phases(
    network: Network, rows: Rows, batch: int, threads: int, seconds: float
) -> tuple[float, list[dict[str, float]]]:
    """Return the seconds of a step and, for each thread, of its phases, from the median pass.

    A pass has only whole batches, so all its steps have the same operations.
    """
    steps, began = rows.n // batch, time.perf_counter()
    args = rows.part(slice(steps * batch)).for_loss()
    passes: list[tuple[float, list[dict[str, float]]]] = []
    network.profile(*args, batch, threads)  # creates threads and buffers
    while not passes or time.perf_counter() < began + seconds:
        start = time.perf_counter()
        phases = network.profile(*args, batch, threads)
        passes.append((time.perf_counter() - start, phases))
    whole, clocks = sorted(passes, key=lambda found: found[0])[len(passes) // 2]
    return whole / steps, [{name: s / steps for name, s in clock.items()} for clock in clocks]


def _phases(clocks: list[dict[str, float]], flops: dict[str, float], step: float) -> list[Phase]:
    """Return the phases of a step, computed from the times of each thread."""
    means = {name: float(np.mean([clock[name] for clock in clocks])) for name in clocks[0]}
    if not any(means.values()):
        return [Phase("step", step, sum(flops.values()))]
    return [Phase(name, mean, flops.get(name, 0.0)) for name, mean in means.items()]


def _try_others(
    network: Network, args: tuple[Any, Any, Any, Any], batch: int, threads: int, seconds: float
) -> list[Trial]:
    """Return trials of batch sizes around `batch`, with 1, `threads` and all threads."""
    n = len(args[0])
    batches = sorted({max(1, batch // 4), batch, min(n, 4 * batch), min(n, 16 * batch)})
    counts = sorted({1, threads, _cpu.available_threads()})
    each = seconds / (len(batches) * len(counts))
    trials, tally = [], network.tally()
    for size, count in itertools.product(batches, counts):
        best, stop = math.inf, time.perf_counter() + each
        while best == math.inf or time.perf_counter() < stop:
            start = time.perf_counter()
            network.train(*args, None, size, count, tally, 0, n)
            best = min(best, time.perf_counter() - start)
        trials.append(Trial(size, count, n / best))
    return trials


def _advice(net: MLP, trials: list[Trial], batch: int, threads: int) -> list[str]:
    """Return the advice that the trials suggest."""
    rates = {(trial.batch_size, trial.n_threads): trial.rows_per_second for trial in trials}
    here = rates[batch, threads]
    found = []
    count = max((n for size, n in rates if size == batch), key=lambda n: rates[batch, n])
    if rates[batch, count] > _WORTH_IT * here:
        found.append(f"n_threads={count} is {rates[batch, count] / here:.1f} times as fast")
    else:
        found.append(f"n_threads={threads} is right for this network and batch size")
    size = max((size for size, n in rates if n == threads), key=lambda size: rates[size, threads])
    if rates[size, threads] > _WORTH_IT * here:
        gain = f"{rates[size, threads] / here:.1f} times as many rows per second"
        fewer = "; an epoch has fewer updates then, so tune the learning rate again"
        found.append(f"batch_size={size} trains {gain}{fewer if size > batch else ''}")
    else:
        found.append(f"batch_size={batch} is as fast as all others that were tried")
    if net.dtype == np.float64:
        found.append("dtype='float32' would be about twice as fast, if 7 digits are enough")
    speedup = _SPEEDUPS.get(KERNELS[net.dtype].bfloat16_speed(_cpu.ISA))
    if net.dtype_policy == "float32" and speedup and batch >= _SOME_ROWS:
        found.append(f"dtype='mixed_bfloat16' may be {speedup} times as fast; it rounds the "
                     "factors of products to 3 digits")  # fmt: skip
    if _is_rounded(net) and not speedup:
        found.append("dtype='float32' is faster: this CPU has no instruction for bfloat16")
    return found
