"""
4. Regression: the progression of diabetes
==========================================

Each row has ten measurements of one of 442 patients; the target is the progression of the disease a
year later, a number from 25 to 346. With so few and so noisy rows, a large network fits the noise.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from fastnn import MLP, Adam, Dense, Standardize

X, y = load_diabetes(return_X_y=True, scaled=False)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0)

# %%
# Scales
# ------
# The inputs have different units: age is in years, blood pressure in mm Hg. A `fastnn.Standardize`
# layer learns the mean and the scale of each column from the training rows and is saved with the
# network. The program scales the targets itself.

mean, scale = y.mean(), y.std()
t = (y - mean) / scale


def build(l2, hidden=64):
    """Return a network whose weights are kept small by the penalty l2 * sum(W**2)."""
    return MLP(
        10,
        [Standardize(), Dense(hidden, "tanh", l2=l2), Dense(1, l2=l2)],
        loss="squared_error",
        optimizer=Adam(learning_rate=3e-3),
        seed=0,
    )


# %%
# The penalty
# -----------
# A fifth of the training rows is held out to choose the penalty. The test rows are not used.

penalties = [0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
curves = {"training": [], "validation": []}
for l2 in penalties:
    net = build(l2)
    history = net.fit(X, t, epochs=200, validation_split=0.2, metrics=["r2"])
    curves["training"].append(history.history["r2"][-1])
    curves["validation"].append(history.history["val_r2"][-1])

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, values in curves.items():
    axes.plot(range(len(penalties)), values, "o-", label=name)
axes.set_xticks(range(len(penalties)), [f"{l2:g}" for l2 in penalties])
axes.set(xlabel="l2", ylabel="R²")
axes.legend()
axes.grid(alpha=0.3)
best = penalties[int(np.argmax(curves["validation"]))]
print(f"the best penalty: {best:g}")

# %%
# Without a penalty the network fits the noise of the training rows, which makes its predictions for
# other rows worse. With too large a penalty it cannot fit the signal either.
#
# Test
# ----
# Train on all training rows with the best penalty, then predict the test rows.

net = build(best)
net.fit(X, t, epochs=200)
predicted = net.predict(X_test).ravel() * scale + mean
r2 = 1 - ((predicted - y_test) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
print(f"test R² {r2:.3f}, mean absolute error {abs(predicted - y_test).mean():.1f}")

figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axes.scatter(y_test, predicted, s=14, alpha=0.7)
axes.plot([25, 346], [25, 346], color="black", linewidth=1, label="predicted = true")
axes.set(xlabel="true", ylabel="predicted", aspect="equal")
axes.legend()
axes.grid(alpha=0.3)
