"""One step of back-propagation by hand: two inputs, two hidden nodes, one output.

The program calls the functions of ``fastnn.kernels`` one at a time, in two orders:

- Gradient descent: every delta is computed with the weights from before the step.
- Some textbooks, by hand: the output weights are updated first, and the hidden deltas are computed
  with the new ones. The result is not the gradient. fastnn does not train this way.

Then `MLP` repeats the first step until the output is within 0.001 of the target.

Run it: python examples/worked_example.py [--out FOLDER]
"""

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

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


def outputs(tolerance=1e-3):
    """Repeat the step until the output is that close to the target; return every output."""
    net = MLP(
        2,
        [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)],
        loss="squared_error",
        optimizer=RATE,
        dtype="float64",
    )
    net.set_weights([W_HIDDEN, W_OUTPUT])
    found = [net.predict(X).item()]
    while abs(found[-1] - T.item()) >= tolerance:
        net.train_on_batch(X, T)
        found.append(net.predict(X).item())
    return found


def train(tolerance=1e-3):
    """Return (number of steps to the target, output after them)."""
    found = outputs(tolerance)
    return len(found) - 1, found[-1]


def plot(path):
    """Plot the network with its weights before and after a step, and the output over the steps."""
    s = step(output_first=False)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    network, curve = figure.subplots(1, 2, width_ratios=[1.25, 1])
    places = {"x1": (0, 1), "x2": (0, 0), "n1": (1, 1), "n2": (1, 0), "y": (2, 0.5)}
    values = dict(zip(places, [*X.ravel(), *s.z0.ravel(), s.y.item()], strict=True))
    before = [*np.ravel(W_HIDDEN), *np.ravel(W_OUTPUT)]
    after = [*s.W0.ravel(), *s.W1.ravel()]
    ends = [("x1", "n1"), ("x1", "n2"), ("x2", "n1"), ("x2", "n2"), ("n1", "y"), ("n2", "y")]
    for (start, end), old, new in zip(ends, before, after, strict=True):
        (x0, y0), (x1, y1) = places[start], places[end]
        network.plot([x0, x1], [y0, y1], color="#777777", linewidth=1, zorder=1)
        # The other two edges cross in the middle, so their labels are moved towards the start.
        at = 0.5 if end == "y" or y0 == y1 else 0.3
        network.text(x0 + at * (x1 - x0), y0 + at * (y1 - y0), f"{old:g} → {new:.4f}",
                     ha="center", va="center", backgroundcolor="white", fontsize=9)  # fmt: skip
    for name, (x, y) in places.items():
        network.scatter(x, y, s=1900, color="white", edgecolors="#0072b2", zorder=2)
        network.text(x, y, f"{name}\n{values[name]:.3g}", ha="center", va="center", fontsize=9)
    network.set(title="Weights before and after one step", xlim=(-0.3, 2.3), ylim=(-0.35, 1.35))
    network.axis("off")
    curve.plot(outputs(), color="#d55e00", label="output y")
    curve.axhline(T.item(), color="black", linestyle=":", label="target t")
    curve.set(title="Output over the steps", xlabel="steps", ylabel="y")
    curve.legend()
    curve.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def listed(*values):
    """Show numbers to eight decimals."""
    return ", ".join(f"{value:.8f}" for array in values for value in np.ravel(array))


def main(folder=None):
    """Print the example step by step; plot it if a folder is given."""
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
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        plot(folder / "worked_example.png")
        print(f"saved {folder / 'worked_example.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
