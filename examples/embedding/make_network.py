"""Train a small network for the programs in this folder: a model file, C source, and some rows."""

import numpy as np

from fastnn import MLP, Dense

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 16)).astype(np.float32)
y = np.sin(X[:, :8]).sum(axis=1, keepdims=True) * X[:, 8:9]

layers = [Dense(64, "tanh"), Dense(64, "tanh"), Dense(1)]
net = MLP(16, layers, loss="squared_error", optimizer="adam", seed=0)
net.fit(X, y, batch_size=32, epochs=20)
net.save("net.safetensors")
net.to_c("net.c")
np.savetxt("rows.csv", np.hstack([X[:100], net.predict(X[:100])]), fmt="%.9g", delimiter=",")
print(f"{net}: mean squared error {2 * net.evaluate(X, y):.4f}, of the mean {y.var():.4f}")
