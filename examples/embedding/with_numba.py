"""Call a network in a loop compiled by Numba, without the GIL."""

import sys

import numba
import numpy as np

import fastnn
from fastnn import embedding

net = fastnn.load(sys.argv[1])
predict = embedding.functions().predict_f32


@numba.njit(nogil=True)
def walk(workspace, x, steps):
    """Follow the network's own output: x moves along its first axis by the predicted amount."""
    y, path = np.empty(1, np.float32), np.empty(steps, np.float32)
    for i in range(steps):
        if predict(workspace, 1, x.ctypes.data, y.ctypes.data):
            return path[:i]
        x[0] += np.float32(0.01) * y[0]
        path[i] = y[0]
    return path


workspace = embedding.Workspace(net)
x = np.random.default_rng(5).standard_normal(net.n_in).astype(np.float32)
path, expected = walk(workspace.address, x.copy(), 1000), []
for _ in range(1000):
    y = net.predict(x[None])[0, 0]
    x[0] += np.float32(0.01) * y
    expected.append(y)
if not np.array_equal(path, expected):
    sys.exit("predict differs")
print("Numba: the same bits as Python's calls")
