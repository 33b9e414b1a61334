"""Memory: what a network and its training take at most."""

import subprocess
import sys

import pytest

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
print((peak() - before - activations) / arrays)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_within_a_tenth_of_weights_moments_and_gradients():
    command = [sys.executable, "-c", SCRIPT]
    ratio = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert ratio <= 1.1
