"""The cost of the options of a training: with and without each, in turn, in one process.

    make bench-extras

The network is 784-256-128-10 relu, batch 128, Adam, float32, on as many rows as MNIST has.
"callbacks" means EarlyStopping, a checkpoint every epoch (to the working folder, synced to disk)
and a progress bar that is drawn. Every round trains the plain network and then each variant for the
same number of epochs. The cost of a variant is the median over the rounds of its time divided by
the plain time.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from fastnn.benchmarking import machine

RESULTS = Path(__file__).parent / "results"
ROWS = 60_000


def variants(folder, stream):
    """Return {name: (options of the network, options of fit)}."""
    from fastnn import Adam, Callback, CosineDecay, EarlyStopping, ModelCheckpoint, ProgressBar

    class BatchHook(Callback):
        def on_train_batch_end(self, batch, logs):
            pass

    callbacks = [
        EarlyStopping("loss", patience=5, restore_best_weights=True),
        ModelCheckpoint(Path(folder) / "net.safetensors"),
        ProgressBar(show=True, stream=stream),
    ]
    return {
        "plain": ({}, {}),
        "callbacks": ({}, {"callbacks": callbacks}),
        "a hook at every batch": ({}, {"callbacks": [BatchHook()]}),
        "accuracy in training": ({}, {"metrics": "accuracy"}),
        "a schedule per step": ({"optimizer": Adam(CosineDecay(1e-3, 10**6))}, {}),
        "clipvalue": ({"optimizer": Adam(clipvalue=1.0)}, {}),
        "global_clipnorm": ({"optimizer": Adam(global_clipnorm=1.0)}, {}),
        "use_ema": ({"optimizer": Adam(use_ema=True)}, {}),
        "Standardize": ({"standardize": True}, {}),
    }


def network(optimizer="adam", standardize=False):
    """Return the network, always with the same weights."""
    from fastnn import MLP, Dense, Standardize

    layers = [Dense(256, "relu"), Dense(128, "relu"), Dense(10, "softmax")]
    first = [Standardize()] if standardize else []
    return MLP(784, first + layers, loss="cross_entropy", optimizer=optimizer, seed=0)


def measure(threads, rounds, epochs, names):
    """Return the seconds of every variant in every round."""
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, 784), dtype=np.float32)
    y = (X @ rng.standard_normal((784, 10), dtype=np.float32)).argmax(axis=1)
    with tempfile.TemporaryDirectory(dir=".") as folder, open(os.devnull, "w") as stream:
        every = {n: v for n, v in variants(folder, stream).items() if not names or n in names}
        times = {name: [] for name in every}
        for _ in range(rounds):
            for name, (options, more) in every.items():
                net = network(**options)
                net.fit(X[:256], y[:256], batch_size=128)  # adapts the layer and allocates
                began = time.perf_counter()
                net.fit(X, y, batch_size=128, epochs=epochs, n_threads=threads, **more)
                times[name].append(time.perf_counter() - began)
                print(f"{threads} threads, {name}: {times[name][-1]:.3f} s", flush=True)
    return times


def record(times):
    """Return each variant's seconds, and its cost relative to the plain training."""
    plain = times["plain"]
    return {
        name: {
            "times_s": seconds,
            "median_s": statistics.median(seconds),
            "cost": statistics.median(s / p for s, p in zip(seconds, plain, strict=True)) - 1,
        }
        for name, seconds in times.items()
    }


def main():
    """Measure with one thread and with two, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], help="variants besides 'plain'")
    args = parser.parse_args()
    names = ["plain", *args.only] if args.only else []
    found = {"machine": machine.describe(2, "float32"), "rounds": args.rounds}
    found |= {"epochs": args.epochs, "rows": ROWS}
    found["extras"] = {str(n): record(measure(n, args.rounds, args.epochs, names)) for n in (1, 2)}
    if not args.only:
        (RESULTS / "extras.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
