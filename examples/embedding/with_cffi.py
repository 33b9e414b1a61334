"""Call a network by cffi, through the address of the struct of functions."""

import ctypes
import sys

import cffi
import numpy as np

import fastnn
from fastnn import embedding

ffi = cffi.FFI()
function = embedding.functions().predict_f32
address = ctypes.cast(function, ctypes.c_void_p).value
predict = ffi.cast("int (*)(void *, ptrdiff_t, const float *, float *)", address)

net = fastnn.load(sys.argv[1])
workspace = embedding.Workspace(net)
X = np.random.default_rng(4).standard_normal((1000, net.n_in)).astype(np.float32)
out = np.empty((1000, 1), np.float32)
status = predict(
    ffi.cast("void *", workspace.address),
    1000,
    ffi.from_buffer("const float[]", X),
    ffi.from_buffer("float[]", out, require_writable=True),
)
if status or not np.array_equal(out, net.predict(X)):
    sys.exit("predict differs")
print("cffi: the same bits as Python's calls")
