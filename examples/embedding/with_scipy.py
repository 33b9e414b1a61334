"""A network as the integrand of scipy.integrate, by LowLevelCallable: no Python in between."""

import ctypes
import sys

import numpy as np
from scipy import LowLevelCallable, integrate

import fastnn
from fastnn import embedding

net = fastnn.load(sys.argv[1])
workspace = embedding.Workspace(net)
function = LowLevelCallable(embedding.functions().evaluate, ctypes.c_void_p(workspace.address))
rest = tuple(np.random.default_rng(6).standard_normal(net.n_in - 1).astype(np.float32).tolist())


def in_python(*x):
    return net.predict(np.array([x], np.float32))[0, 0]


options = {"args": rest, "epsabs": 1e-4}  # float32 allows no higher precision
area, _ = integrate.quad(function, -2, 2, **options)
if area != integrate.quad(in_python, -2, 2, **options)[0]:
    sys.exit("the integral differs")
print(f"SciPy: the same integral as with Python's calls, {area:.6f}")
