"""Compare the C extension with Python's calls: python check_extension.py net.safetensors."""

import sys

import _score
import numpy as np

import fastnn

net, twin = fastnn.load(sys.argv[1]), fastnn.load(sys.argv[1])
rng = np.random.default_rng(2)
X = rng.standard_normal((300, net.n_in)).astype(np.float32)
y = rng.standard_normal((300, 1)).astype(np.float32)
out = np.empty((300, 1), np.float32)

_score.predict(net, 300, X, out)
if not np.array_equal(out, net.predict(X)):
    sys.exit("predict differs")
for n in (1, 33):
    if _score.step(net, n, X[:n], y[:n]) != twin.train_on_batch(X[:n], y[:n]):
        sys.exit("a step's loss differs")
if any((a != b).any() for a, b in zip(net.get_weights(), twin.get_weights(), strict=True)):
    sys.exit("weights differ")
for rows, floats in ((0, X[:0]), (299, X), (2**62, X[:0])):  # 2**62 rows have 0 bytes, modulo 2**64
    try:
        _score.predict(net, rows, bytearray(floats.tobytes()), bytearray(4 * len(floats)))
    except ValueError as error:
        print(f"{rows} rows:", error)
    else:
        sys.exit("a buffer of the wrong size is accepted")
X[7, 3] = np.nan
try:
    _score.predict(net, 300, X, out)
except ValueError as error:
    print("NaN:", error)
else:
    sys.exit("NaN is accepted")
print("C extension: the same bits as Python's calls")
