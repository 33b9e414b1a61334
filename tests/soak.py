"""Memory over a long run of training, predicting, saving and loading, from Python and from C.

    make soak                  # an hour
    python tests/soak.py 5     # minutes

Prints the memory of the process every minute, and fails if it leaves the band of 2 % around its
value after the first tenth of the time. Growth over 1,000 rounds is a test: test_memory.py.
"""

import ctypes
import itertools
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn import MLP, Adam, Dense, Dropout, EarlyStopping, embedding

BAND = 0.02


def taken():
    """Return the bytes of memory that the process uses, in RAM or swapped out.

    Pages of the programs' files are not counted, because the system loads and drops them at will.
    """
    sizes = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/self/status").read_text()))
    here = sizes.get("RssAnon", sizes["VmRSS"])  # on systems that report no more
    return (int(here) + int(sizes.get("VmSwap", 0))) << 10


def round_of(seed, folder):
    """Train, predict, save and load, from Python and from C."""
    rng = np.random.default_rng(seed)
    dtype = ("float32", "float64")[seed % 2]
    X = rng.standard_normal((400, 20)).astype(dtype)
    y = rng.integers(4, size=400)
    layers = [Dense(60, "relu"), Dropout(0.2), Dense(4, "softmax")]
    net = MLP(20, layers, loss="cross_entropy", optimizer=Adam(global_clipnorm=1.0), dtype=dtype)
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    net.fit(X, y, epochs=3, validation_split=0.2, metrics=["accuracy"], callbacks=[stopping])
    net.evaluate(X, y, metrics=["accuracy"])
    net.train_on_batch(X[:7], y[:7])
    net.save(folder / "net.safetensors")
    twin = fastnn.load(folder / "net.safetensors")
    assert np.array_equal(twin.predict(X), net.predict(X))
    twin.copy().jacobian(X[:3])
    workspace, loss = embedding.Workspace(twin, 50, training=True), ctypes.c_double()
    call = getattr(embedding.functions(), f"train_labels_f{8 * X.itemsize}")
    assert call(workspace.address, 50, X.ctypes.data, y.ctypes.data, ctypes.addressof(loss)) == 0
    try:
        net.fit(X * np.nan, y)
    except ValueError:
        return
    raise AssertionError("NaN was taken")


def main():
    """Run rounds for the number of minutes in the argument."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    began, next_line, first, worst = time.monotonic(), 0.0, None, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in itertools.count():
            round_of(seed, Path(folder))
            elapsed = (time.monotonic() - began) / 60
            now = taken()
            if first is None and elapsed >= minutes / 10:
                first = now
            if first is not None:
                worst = max(worst, abs(now / first - 1))
            if elapsed >= next_line:
                print(f"{elapsed:6.1f} min  {seed + 1:9,} rounds  {now / 1e6:.1f} MB", flush=True)
                next_line += min(1.0, minutes / 10)
            if elapsed >= minutes:
                break
    print(f"furthest from the first tenth's {first / 1e6:.1f} MB: {worst:.2%}")
    sys.exit(worst > BAND)


if __name__ == "__main__":
    main()
