"""
3. Ten classes: handwritten digits
==================================

The data set has 1,797 scanned digits of 8 x 8 pixels, from scikit-learn. A softmax output predicts
a probability for each class; the cross-entropy loss accepts the labels 0 to 9 as they are.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fastnn import MLP, Adam, Dense, Dropout

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.25, random_state=0, stratify=y)

# %%
# The network
# -----------
# Dropout sets random hidden values to zero in each training step, so that the network does not rely
# on any single value.

net = MLP(
    64,
    [Dense(256, "relu"), Dropout(0.3), Dense(10, "softmax")],
    loss="cross_entropy",
    optimizer=Adam(learning_rate=1e-3),
    seed=0,
)
net.summary()

# %%
# Training
# --------
# The last tenth of the rows is held out for validation after every epoch.

history = net.fit(X, y, epochs=40, validation_split=0.1, metrics=["accuracy"])
history.plot()

# %%
# Test
# ----

found = net.evaluate(X_test, y_test, metrics=["accuracy"])
print(f"test accuracy {found['accuracy']:.2%}, loss {found['loss']:.4f}")
predicted = net.predict(X_test)
ConfusionMatrixDisplay.from_predictions(
    y_test, predicted.argmax(axis=1), cmap="Blues", colorbar=False
)
plt.gca().set(title="Test digits")

# %%
# The worst predictions
# ---------------------
# The digits whose true class got the lowest probability:

worst = np.argsort(predicted[np.arange(len(y_test)), y_test])[:8]
figure, row = plt.subplots(1, 8, figsize=(10, 1.9), layout="constrained")
for i, axes in zip(worst, row, strict=True):
    axes.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    axes.set(title=f"{y_test[i]}: {predicted[i].argmax()}?")
    axes.axis("off")

# %%
# Influence of the pixels
# -----------------------
# The images show the derivative of each output with respect to the pixels, averaged over the test
# images of that digit. Red pixels raise the output, blue pixels lower it. The derivatives are
# computed with a copy of the network without softmax, because the derivatives of softmax vanish
# where the probability is close to 0 or 1.

logits = MLP(64, [Dense(256, "relu"), Dense(10)], loss="squared_error", optimizer="sgd")
logits.set_weights(net.get_weights())
figure, row = plt.subplots(1, 10, figsize=(10, 1.5), layout="constrained")
for digit, axes in enumerate(row):
    shown = logits.input_gradients(X_test[y_test == digit], output=digit).mean(axis=0)
    size = abs(shown).max()
    axes.imshow(shown.reshape(8, 8), cmap="RdBu_r", vmin=-size, vmax=size)
    axes.set(title=digit)
    axes.axis("off")
