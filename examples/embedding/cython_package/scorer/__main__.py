"""Compare the scorer with Python's calls: python -m scorer net.safetensors."""

import sys

import numpy as np

import fastnn
from scorer import Scorer

net, twin = fastnn.load(sys.argv[1]), fastnn.load(sys.argv[1])
rng = np.random.default_rng(1)
X = rng.standard_normal((500, net.n_in)).astype(np.float32)
y = rng.standard_normal(500).astype(np.float32)
scorer, out = Scorer(net, rows=64), np.empty(500, np.float32)

scorer.predict(X, out)
if not np.array_equal(out, net.predict(X)[:, 0]):
    sys.exit("predict differs")
if scorer.best(X) != out.argmax():
    sys.exit("best differs")
for rows in (slice(0, 1), slice(1, 64), slice(100, 102)):
    if scorer.step(X[rows], y[rows]) != twin.train_on_batch(X[rows], y[rows]):
        sys.exit("a step's loss differs")
for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
    if not np.array_equal(ours, theirs):
        sys.exit("weights differ")
try:
    scorer.step(X, y)
except ValueError as error:
    print("500 rows for a workspace of 64:", error)
else:
    sys.exit("too many rows are accepted")
nanoseconds = 1e9 * min(scorer.seconds_a_row(X, 100_000) for _ in range(5))
print(f"Cython: the same bits as Python's calls; {nanoseconds:.0f} ns per row")
