"""One step of back-propagation by hand: two inputs, two hidden nodes, one output.

The three kernels of fastnn (forward, delta, update), called one at a time, in two orders:

- as gradient descent has it: every delta is formed with the weights from before the step;
- as some textbooks compute it by hand: the output weights are updated first, and the hidden deltas
  formed with the new ones. That is not the gradient, and fastnn does not train so.

Then fastnn's own training repeats the first until the output is within 0.001 of the target.

Run it: python examples/worked_example.py
"""

from types import SimpleNamespace

import numpy as np

from fastnn import MLP, SGD, Dense, kernels

X, T = np.array([[0.35, 0.9]]), np.array([[0.5]])
#            n1   n2
W_HIDDEN = [[0.1, 0.4],  # from x1: w3, w5
            [0.8, 0.6]]  # from x2: w4, w6  # fmt: skip
W_OUTPUT = [[0.3], [0.9]]  # from n1, n2: w1, w2
RATE = SGD(learning_rate=1.0)


def step(*, output_first):
    """Make one step from the weights above; return every quantity on the way."""
    W0, W1 = np.array(W_HIDDEN), np.array(W_OUTPUT)
    a0, z0 = kernels.forward(X, W0, activation="sigmoid")
    a1, y = kernels.forward(z0, W1, activation="sigmoid")
    loss, delta1 = kernels.output_delta(a1, T, "squared_error", "sigmoid")
    if output_first:
        kernels.update(W1, None, z0, delta1, RATE)
        delta0 = kernels.delta(a0, "sigmoid", W1, delta1)
    else:
        delta0 = kernels.delta(a0, "sigmoid", W1, delta1)
        kernels.update(W1, None, z0, delta1, RATE)
    kernels.update(W0, None, X, delta0, RATE)
    return SimpleNamespace(
        a0=a0, z0=z0, a1=a1, y=y, loss=loss, delta1=delta1, delta0=delta0, W0=W0, W1=W1
    )


def train(tolerance=1e-3):
    """Repeat the step until the output is that close to the target; return (steps, output)."""
    net = MLP(
        2,
        [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)],
        loss="squared_error",
        optimizer=RATE,
        dtype="float64",
    )
    net.set_weights([W_HIDDEN, W_OUTPUT])
    while abs(net.predict(X) - T).item() >= tolerance:
        net.train_on_batch(X, T)
    return net.step, net.predict(X).item()


def listed(*values):
    """Show numbers to eight decimals."""
    return ", ".join(f"{value:.8f}" for array in values for value in np.ravel(array))


def main():
    """Tell the example step by step."""
    s = step(output_first=False)
    print("x = (0.35, 0.9), t = 0.5, learning rate 1, sigmoid everywhere, no biases\n")
    print("Forward: a = z_prev @ W, z = sigmoid(a)")
    print(f"  hidden   a = {listed(s.a0)}   z = {listed(s.z0)}")
    print(f"  output   a = {listed(s.a1)}   y = {listed(s.y)}")
    print(f"  loss     E = 1/2 (y - t)^2 = {listed(s.loss)}\n")
    print("Backward: delta = dE/da")
    print(f"  output   (y - t) y (1 - y)            = {listed(s.delta1)}")
    print(f"  hidden   z (1 - z) (W_output * delta) = {listed(s.delta0)}\n")
    print("Update: w <- w - delta * z_prev")
    print(f"  w1, w2         = {listed(s.W1)}")
    print(f"  w3, w4, w5, w6 = {listed(s.W0.T)}")
    again = kernels.forward(X, s.W0, activation="sigmoid")[1]
    again = kernels.forward(again, s.W1, activation="sigmoid")[1]
    print(f"  output now       {listed(again)} (was {listed(s.y)})\n")
    late = step(output_first=True)
    print("The other order, output weights updated before the hidden deltas (not the gradient):")
    print(f"  hidden delta   = {listed(late.delta0)}")
    print(f"  w3, w4, w5, w6 = {listed(late.W0.T)}\n")
    steps, y = train()
    print(f"Training on: after {steps} steps the output is {y:.7f}, within 0.001 of 0.5")


if __name__ == "__main__":
    main()
