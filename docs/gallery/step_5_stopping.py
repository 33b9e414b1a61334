"""
5. Early stopping and learning rates
====================================

Learning curves show when a network stops generalizing better and begins to fit the noise of its
training rows. Callbacks can react to that: they end the training, restore the best weights or lower
the learning rate.

The data set, from scikit-learn, has 569 tumours with 30 measurements each. A fifth of the training
labels is flipped on purpose, so that fitting the noise is harmful.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from fastnn import (
    MLP,
    SGD,
    Adam,
    CosineDecay,
    Dense,
    EarlyStopping,
    LinearWarmup,
    ReduceLROnPlateau,
    Standardize,
)

X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
rng = np.random.default_rng(0)
noisy = np.where(rng.random(len(y)) < 0.2, 1 - y, y)


def build(optimizer):
    """Return an untrained network, with the same initial weights each time."""
    layers = [Standardize(), Dense(64, "relu"), Dense(1, "sigmoid")]
    return MLP(30, layers, loss="binary_cross_entropy", optimizer=optimizer, seed=0)


def accuracy(net):
    """Return the accuracy on the test rows, whose labels are correct."""
    return net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"]


# %%
# Training for too long
# ---------------------

net = build(Adam(1e-3))
history = net.fit(X, noisy, epochs=150, validation_split=0.25)
print(f"after {net.epoch} epochs: test accuracy {accuracy(net):.1%}")
history.plot()

# %%
# Early stopping
# --------------
# `fastnn.EarlyStopping` ends the training when the validation loss has not improved for
# ``patience`` epochs. With ``restore_best_weights=True``, the weights of the best epoch are
# restored.

stop = EarlyStopping(patience=15, restore_best_weights=True)
net = build(Adam(1e-3))
net.fit(X, noisy, epochs=150, validation_split=0.25, callbacks=[stop])
print(f"stopped after {net.epoch} epochs, weights of epoch {stop.best_epoch}: {accuracy(net):.1%}")

# %%
# Learning-rate schedules
# -----------------------
# A schedule replaces a constant learning rate. It is evaluated in every step, inside the compiled
# loop. The schedule below rises linearly and then falls along a cosine.

steps = 60 * -(-len(X) // 32)
schedule = LinearWarmup(CosineDecay(0.2, decay_steps=steps - 50), steps=50)
lowers = ReduceLROnPlateau("loss", factor=0.3, patience=2, min_delta=2e-3)
runs = {
    "constant 0.2": build(SGD(0.2)).fit(X, y, epochs=60),
    "warm-up and cosine": build(SGD(schedule)).fit(X, y, epochs=60),
    "lowered on a plateau": build(SGD(0.2)).fit(X, y, epochs=60, callbacks=[lowers]),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, run in runs.items():
    left.plot(run.history["loss"], label=name)
left.set(xlabel="epoch", ylabel="training loss", yscale="log")
left.legend()
right.plot(schedule(np.arange(steps)), color="C1", label="warm-up and cosine, per step")
per_epoch = runs["lowered on a plateau"].history["learning_rate"]
right.plot(np.arange(60) * steps / 60, per_epoch, color="C2", label="lowered on a plateau")
right.set(xlabel="step", ylabel="learning rate")
right.legend()
for axes in (left, right):
    axes.grid(alpha=0.3)
