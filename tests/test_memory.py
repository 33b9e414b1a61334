"""Memory: the maximum that a network and its training take, for any number of rows.

Each test measures a new process. It has two threads on any machine, because each thread of NumPy
and fastnn takes memory.
"""

import os
import shutil
import subprocess
import sys

import pytest
from conditions import EMULATED

pytestmark = pytest.mark.lean

# In a process of its own, whose peak is this network's. Weights of 34 MB: large beside the rest.
SCRIPT = r"""
import pathlib
import re

import numpy as np

from fastnn import MLP, Dense

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024

sizes, batch = (1024, 4096, 1024), 256
X, Y = np.ones((4 * batch, sizes[0]), "f4"), np.ones((4 * batch, sizes[-1]), "f4")
small = MLP(2, [Dense(2)], loss="squared_error", optimizer="adam")
small.fit([[1, 2]], [[1, 2]])
before = peak()
net = MLP(sizes[0], [Dense(sizes[1], "relu"), Dense(sizes[2])], loss="squared_error",
          optimizer="adam", seed=0)
net.fit(X, Y, batch_size=batch)
arrays = 4 * 4 * net.n_parameters  # weights, two moments, gradients
activations = 4 * batch * sum(sizes)
print((peak() - before - activations - Y.nbytes) / arrays)  # a fit has its own copy of the targets
"""


# Weights of 45 MB, and few nonzeros. The estimator is left as it was if the loss is no longer
# finite, so it needs no copy of the weights to go back to. A column of 112 weights has no padding.
WIDE_SPARSE_ROWS = r"""
import pathlib
import re

import numpy as np
import scipy.sparse

from fastnn.sklearn import MLPClassifier

def resident(name):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(name + r":\s+(\d+)", status)[1]) * 1024

X = scipy.sparse.random_array((400, 100_000), density=1e-4, format="csr", dtype="f4", rng=0)
y = np.arange(400) % 2
options = {"batch_size": 50, "max_iter": 2, "random_state": 0}
MLPClassifier((8,), **options).fit(X[:50, :9], y[:50])
pathlib.Path("/proc/self/clear_refs").write_text("5")  # reset the peak
before = resident("VmRSS")
model = MLPClassifier((112,), **options).fit(X, y)
arrays = 3 * 4 * model.net_.n_parameters  # weights and two moments
print((resident("VmHWM") - before) / arrays)
"""


# Rows of zeros in a file that takes no room, so that it may be larger than memory. RLIMIT_DATA is
# on what a process allocates. The peak has the file's pages that are mapped at a time, too: of
# shuffled rows up to 64 KB around each, where the system has them in its cache.
ROWS_ON_DISK = r"""
import pathlib
import re
import resource
import sys

import numpy as np

from fastnn import MLP, Dense

path, rows, columns, shuffle = sys.argv[1], *map(int, sys.argv[2:])
limit = 400 * 10**6
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
X = np.memmap(path, np.uint8, "w+", shape=(rows, columns))
X[-1] = 255
y = np.arange(rows, dtype=np.uint8) % 2
net = MLP(columns, [Dense(4, "relu"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
          optimizer="sgd", seed=0)
history = net.fit(X, y, batch_size=500, shuffle=bool(shuffle), validation_split=0.03,
                  metrics=["accuracy"], class_weight="balanced")
kept = rows - round(0.03 * rows)
assert net.step == -(-kept // 500)
assert 0 < history.history["accuracy"][0] < 1 and 0 < history.history["val_loss"][0]
status = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024)
"""


# Forty batches of few nonzeros, then one of 4 million, whose index takes some 16 MB. The limit on
# addresses grows by a MiB until there is room for it.
NONZEROS = r"""
import pathlib
import resource

import numpy as np

from fastnn import MLP, Dense, ScheduleFreeAdamW, SparseRows, fit_many

n_in, batch = 1000, 4096
counts = np.repeat([5, n_in], [40 * batch, batch])
columns = [np.tile(np.arange(0, n_in, 200), 40 * batch), np.tile(np.arange(n_in), batch)]
columns, indptr = np.concatenate(columns).astype("i4"), np.r_[0, np.cumsum(counts)]
rows = SparseRows(np.ones(len(columns), "f4"), columns, indptr, (len(counts), n_in))
y = np.ones(len(counts), "f4")
net = MLP(n_in, [Dense(64, "tanh"), Dense(1)], loss="squared_error", seed=0,
          optimizer=ScheduleFreeAdamW(0.01))
fit_many([net], rows[:5], y[:5], epochs=1)
before = [array.tobytes() for array in net.get_weights()], net.step
refused = 0
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for room in range(64):
    resource.setrlimit(resource.RLIMIT_AS, (used + (room << 20), -1))
    try:
        fit_many([net], rows, y, epochs=1, batch_size=batch, n_threads=1, shuffle=False)
        break
    except MemoryError as error:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        refused += "needs more memory than there is" in str(error)
        assert ([array.tobytes() for array in net.get_weights()], net.step) == before
assert net.step == before[1] + 41
print(refused)
"""


def printed(code, *arguments):
    """Return the number that a program prints."""
    environment = {name: x for name, x in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["OMP_NUM_THREADS"] = "2"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def peak_of(tmp_path, rows, columns, shuffle):
    """Return the peak of a process that trains an epoch on so many rows of a mapped file."""
    path = tmp_path / "X"
    try:
        return printed(ROWS_ON_DISK, path, rows, columns, shuffle)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_gigabytes_on_disk_take_no_more_than_a_few_blocks(tmp_path):
    assert peak_of(tmp_path, 250_000, 8192, shuffle=1) < 300e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("shuffle", [0, 1])
def test_more_rows_on_disk_than_memory_holds(tmp_path, shuffle):
    size = int(1.1 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if shutil.disk_usage(tmp_path).free < size:
        pytest.skip(f"no room for {size / 1e9:.0f} GB, should the file take any")
    peak = peak_of(tmp_path, size // 8192, 8192, shuffle)
    print(f"peak {peak / 1e6:.0f} MB for {size / 1e9:.1f} GB")
    assert peak < 300e6


# Rows of one byte a number in memory: converted together they would take four times as much.
NARROW_ROWS = r"""
import pathlib
import re

import numpy as np

from fastnn import MLP, Dense

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024

X, y = np.ones((250_000, 800), np.uint8), np.arange(250_000) % 2
net = MLP(800, [Dense(4, "relu"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
          optimizer="sgd", seed=0)
net.fit(X[:99], y[:99])
before = peak()
net.fit(X, y, batch_size=1000, validation_data=(X, y), metrics=["accuracy"])
net.predict(X)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rows_of_a_narrow_type_are_never_converted_together():
    assert printed(NARROW_ROWS) < 60e6


@pytest.mark.skipif(EMULATED, reason="the limit would be the emulator's")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_training_of_many_that_runs_out_of_memory_is_undone():
    assert printed(NONZEROS) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_within_a_tenth_of_weights_moments_and_gradients():
    assert printed(SCRIPT) <= 1.1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_with_wide_sparse_rows_is_within_a_tenth_of_weights_and_moments():
    assert printed(WIDE_SPARSE_ROWS) <= 1.1


# Without huge pages: the system may merge small pages at any time, which would look like growth.
THOUSAND_ROUNDS = """
import ctypes, pathlib, sys, tempfile
sys.path.insert(0, sys.argv[1])
from soak import round_of, taken
PR_SET_THP_DISABLE = 41
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
with tempfile.TemporaryDirectory() as folder:
    for seed in range(1200):
        if seed == 200:
            before = taken()
        round_of(seed, pathlib.Path(folder))
print(taken() - before)
"""


@pytest.mark.skipif(EMULATED, reason="the code that an emulator has translated would be counted")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_thousand_rounds_of_everything_leave_less_than_a_mebibyte():
    """Fit, predict, save, load, from C, and errors."""
    grown = printed(THOUSAND_ROUNDS, os.path.dirname(__file__))
    print(f"grown by {grown / 2**20:.2f} MiB")
    assert grown <= 2**20
