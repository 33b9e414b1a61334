"""The roofline of a step or a prediction: a model of the shortest possible time on this CPU.

A layer of k inputs and n outputs, with b rows and s bytes per number, takes 2 b k n operations in
each of forward, delta (not for the first layer) and dW. Reading its weights takes s k n bytes in
forward and in delta; the update with m moments, made as dW is formed, takes (2 + 2 m) s k n bytes.
A phase takes the longer of two times: its operations at the peak rate, and its bytes at the
bandwidth of the cache that holds all weights and moments. Both rates are measured in the same run.
The time to compute activations, element by element, is added.

The constants below belong to the model and are not measured. The model leaves out the memory
traffic of rows and activations. Not here: the probes (machine.py).

>>> core = Machine(97e9, {"L1": 164e9, "L2": 102e9}, {"L1": 32 << 10, "L2": 512 << 10}, 1)
>>> from fastnn.benchmarking.cells import CELLS
>>> f"{limit(CELLS[1], 'float32', core) * 1e6:.2f} µs"
'0.58 µs'
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.benchmarking.cells import Cell, Prediction

MOMENTS = {"sgd": 0, "momentum": 1, "adam": 2}

# Cycles per float32 element with vectors of 8 (twice that for float64): activations forward;
# derivatives, a few multiplications each; updates, of which Adam's has a division and a root.
FORWARD_CYCLES = {"identity": 0.0, "relu": 0.25, "sigmoid": 1.3, "softmax": 1.5, "tanh": 2.0}
DERIVATIVE_CYCLES = 0.25
UPDATE_CYCLES = {"sgd": 0.0, "momentum": 0.0, "adam": 1.25}

# The operations of a single row depend on each other: cycles per layer, forward or backward.
CHAIN_CYCLES = 35

# For two 256-bit units of fused multiply-adds, or one of 512 bits; used to get the clock from the
# peak. With two 512-bit units, the clock is twice too high, and the limit of small networks too
# low.
FLOPS_A_CYCLE = {"float32": 32, "float64": 16}

BARRIER = 0.5e-6  # seconds per barrier of two threads; a step has two barriers


@dataclass(frozen=True)
class Machine:
    """Some cores: their operations and bytes per second in total, and the sizes of their caches.

    `reads` and `caches` are keyed by level, "L1", "L2", ...; `reads` also has "memory", unless it
    is not needed. Each core has an L1 and an L2 cache.
    """

    flops: float
    reads: dict[str, float]
    caches: dict[str, int]
    threads: int

    def one_core(self) -> Machine:
        """Return a single core of this machine, with its share of the bandwidth."""
        reads = {level: rate / self.threads for level, rate in self.reads.items()}
        return Machine(self.flops / self.threads, reads, self.caches, 1)

    def bandwidth(self, nbytes: int) -> float:
        """Return the bytes per second of the first level that can hold `nbytes`."""
        for level, size in sorted(self.caches.items()):
            if nbytes < size:
                return self.reads[level]
        return self.reads["memory"]


def limit(cell: Cell | Prediction, dtype: str, machine: Machine) -> float:
    """Return the modelled seconds of an operation, by one thread or all, whichever is less."""
    alone = work(cell, dtype, machine.one_core())
    if machine.threads == 1:
        return alone
    return min(alone, work(cell, dtype, machine) + 2 * BARRIER)


def work(cell: Cell | Prediction, dtype: str, machine: Machine) -> float:
    """Return the seconds of one operation, spread evenly over the machine's cores."""
    itemsize = {"float32": 4, "float64": 8}[dtype]
    cycle = FLOPS_A_CYCLE[dtype] / machine.flops
    per_element = cycle * itemsize / 4
    rule = cell.optimizer
    moments = 0 if rule is None else MOMENTS[rule]
    layers = list(itertools.pairwise(cell.sizes))
    weights = sum(k * n for k, n in layers)
    bandwidth = machine.bandwidth(itemsize * weights * (1 + moments))
    total = 0.0
    for index, (k, n) in enumerate(layers):
        compute = 2 * cell.batch * k * n / machine.flops
        read = itemsize * k * n / bandwidth
        activation = cell.activation if index < len(layers) - 1 else cell.output
        total += max(compute, read)
        total += cell.batch * n * FORWARD_CYCLES[activation] * per_element
        if rule is not None:
            update = k * n * UPDATE_CYCLES[rule] * per_element
            total += max(compute + update, (2 + 2 * moments) * read)
        if rule is not None and index > 0:
            total += max(compute, read) + cell.batch * k * DERIVATIVE_CYCLES * per_element
    chain = CHAIN_CYCLES * len(layers) * (1 if rule is None else 2) * cycle * machine.threads
    return max(total, chain)
