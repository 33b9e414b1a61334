"""
2. Hidden layers: XOR and two moons
===================================

Hidden layers let a network separate classes that no straight line can separate. The first example
has four points. The second has a few hundred, which only a curve can separate.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

from fastnn import MLP, Adam, Dense

# %%
# XOR
# ---
# The target is 1 where exactly one input is 1. A sigmoid output is the probability of class 1, and
# its loss is the binary cross-entropy. fastnn raises an error for a loss that does not suit the
# output.

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([0, 1, 1, 0])
options = {"loss": "binary_cross_entropy", "optimizer": Adam(learning_rate=1e-2), "seed": 1}
line = MLP(2, [Dense(1, "sigmoid")], **options)
net = MLP(2, [Dense(8, "tanh"), Dense(1, "sigmoid")], **options)
for each in (line, net):
    each.fit(X, y, batch_size=4, epochs=500)
    print(each, each.predict(X).ravel().round(2))

# %%
# Without a hidden layer, the best prediction for every point is one half. With eight hidden nodes,
# the predictions are right and close to 0 or 1.
#
# Two moons
# ---------
# The data set has noisy points of two classes. Half of them are held out of training, to test
# whether the network generalizes.

X, y = make_moons(600, noise=0.25, random_state=0)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
nets = {
    "no hidden layer": [],
    "8 hidden nodes": [Dense(8, "tanh")],
    "two layers of 16": [Dense(16, "tanh"), Dense(16, "tanh")],
}
figure, row = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True, layout="constrained")
u, v = np.meshgrid(np.linspace(-2, 3, 200), np.linspace(-1.6, 2.1, 200))
for (name, hidden), axes in zip(nets.items(), row, strict=True):
    net = MLP(2, [*hidden, Dense(1, "sigmoid")], **options)
    net.fit(X, y, batch_size=16, epochs=200)
    accuracy = net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"]
    print(f"{name:<18}{net.n_parameters:>6} parameters, test accuracy {accuracy:.1%}")
    p = net.predict(np.column_stack([u.ravel(), v.ravel()])).reshape(u.shape)
    axes.contourf(u, v, p, levels=11, cmap="RdBu_r", vmin=0, vmax=1, alpha=0.3)
    axes.contour(u, v, p, levels=[0.5], colors="black")
    axes.scatter(*X_test.T, c=y_test, cmap="RdBu_r", vmin=-0.2, vmax=1.2, s=8)
    axes.set(title=f"{name}: {accuracy:.1%}")

# %%
# The black line is the decision boundary, where the probability is one half. With more hidden nodes
# and layers it can bend more.
#
# Gradient descent in three forms
# -------------------------------
# ``batch_size`` is the number of rows used for one update: all (``None``), one, or a few.

for batch_size in (None, 1, 16):
    net = MLP(2, [Dense(8, "tanh"), Dense(1, "sigmoid")], **options)
    net.fit(X, y, batch_size=batch_size, epochs=50)
    loss = net.evaluate(X_test, y_test)
    print(f"batch_size={batch_size!s:<5}{net.step:>6,} updates in 50 epochs, test loss {loss:.3f}")
