"""
1. One step of back-propagation
===============================

A network with two inputs, two hidden nodes and one output is small enough to follow every number.
This page first computes one training step with the functions of ``fastnn.kernels``, then the same
step with ``MLP``.

All activations are sigmoids and there are no biases. The loss is ``1/2 (y - t)**2`` and the
learning rate is 1.
"""

import numpy as np

from fastnn import MLP, SGD, Dense, kernels

x, t = np.array([[0.35, 0.9]]), np.array([[0.5]])
W0 = np.array([[0.1, 0.4], [0.8, 0.6]])  # rows: inputs, columns: hidden nodes
W1 = np.array([[0.3], [0.9]])  # from the hidden nodes to the output

# %%
# Forward
# -------
# Each layer computes ``a = z_prev @ W`` and ``z = h(a)``; the last ``z`` is the output.

a0, z0 = kernels.forward(x, W0, activation="sigmoid")
a1, y = kernels.forward(z0, W1, activation="sigmoid")
print("hidden  a", a0.round(7), " z", z0.round(7))
print("output  a", a1.round(7), " y", y.round(7))

# %%
# Backward
# --------
# ``delta`` is the derivative of the loss with respect to ``a``. At the output it is
# ``(y - t) y (1 - y)``. At a hidden node it is the weighted sum of the next layer's deltas, times
# the derivative of the activation, ``z (1 - z)``. All deltas use the weights from before the step.

loss, delta1 = kernels.output_delta(a1, t, "squared_error", "sigmoid")
delta0 = kernels.delta(a0, "sigmoid", W1, delta1)
print("loss", loss.round(7), " output delta", delta1.round(7), " hidden deltas", delta0.round(8))

# %%
# Update
# ------
# The gradient is ``dW = z_prev.T @ delta``. Gradient descent subtracts the gradient, times the
# learning rate, from the weights.

kernels.update(W1, None, z0, delta1, SGD(learning_rate=1.0))
kernels.update(W0, None, x, delta0, SGD(learning_rate=1.0))
print(W0.round(8))
print(W1.round(8))

# %%
# The same with ``MLP``
# ---------------------
# An ``MLP`` contains its layers, its loss and its optimizer. `fastnn.MLP.train_on_batch` computes
# the forward pass, the backward pass and the update in one call.

net = MLP(
    2,
    [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)],
    loss="squared_error",
    optimizer=SGD(learning_rate=1.0),
    dtype="float64",
)
net.set_weights([[[0.1, 0.4], [0.8, 0.6]], [[0.3], [0.9]]])
net.train_on_batch(x, t)
print("the same weights:", all(map(np.allclose, net.get_weights(), [W0, W1])))

# %%
# Many steps
# ----------
# The output was 0.69 and should be 0.5. Repeat the step until the output is within 0.001 of 0.5:

outputs = [y.item(), net.predict(x).item()]
while abs(outputs[-1] - 0.5) >= 1e-3:
    net.train_on_batch(x, t)
    outputs.append(net.predict(x).item())
print(f"{net.step} steps, output {outputs[-1]:.7f}")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(outputs, label="output y")
axes.axhline(0.5, color="black", linestyle=":", label="target t")
axes.set(xlabel="steps", ylabel="y")
axes.legend()
axes.grid(alpha=0.3)

# %%
# To check the gradient, `fastnn.check_gradients` compares it with central differences of the loss.
# In float64, a correct gradient has a relative error of 1e-6 or less.

from fastnn import check_gradients

print(check_gradients(net, x, t))
