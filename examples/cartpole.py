"""Cart and pole: learn to balance by trial and error, from gradients that the program computes.

What it shows: `train_on_output_gradients`, for losses that cannot be expressed by targets. The
network is a policy: its two outputs are the probabilities of pushing the cart to the left and to
the right. After each round of episodes, REINFORCE (Williams, Machine Learning 1992) makes the
actions more likely that were followed by more reward than usual. The loss of an action with
probability p and advantage A is -A log p, so its derivative is -A / p with respect to that output,
and 0 for the other output.

The dynamics are those of Barto, Sutton and Anderson (IEEE Transactions on Systems, Man, and
Cybernetics 1983), in steps of 20 ms. An episode ends when the pole has fallen by 12 degrees, when
the cart is 2.4 m from the middle, or after 500 steps. All episodes of an iteration are played side
by side, so the network predicts for all of them in one call.

Run it: python examples/cartpole.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastnn import MLP, Adam, Dense

EPISODES, ITERATIONS, STEPS = 20, 50, 500
DISCOUNT = 0.99
SOLVED = 475

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
LIMITS = np.array([2.4, np.inf, np.radians(12), np.inf])


def push(states, right):
    """Return the states (n, 4) after a push: position, speed, angle and angular speed."""
    _, v, angle, turning = states.T
    sine, cosine = np.sin(angle), np.cos(angle)
    force = np.where(right, FORCE, -FORCE)
    pulled = (force + POLE * HALF_LENGTH * turning**2 * sine) / (CART + POLE)
    falling = (GRAVITY * sine - cosine * pulled) / (
        HALF_LENGTH * (4 / 3 - POLE * cosine**2 / (CART + POLE))
    )
    speeding = pulled - POLE * HALF_LENGTH * falling * cosine / (CART + POLE)
    changes = np.stack([v, speeding, turning, falling], axis=1)
    return states + SECONDS * changes


def play(net, n, rng):
    """Play n episodes; return states (STEPS, n, 4), actions (STEPS, n) and lengths (n,)."""
    states = rng.uniform(-0.05, 0.05, (n, 4))
    seen, actions = np.zeros((STEPS, n, 4), np.float32), np.zeros((STEPS, n), int)
    lengths, playing = np.zeros(n, int), np.arange(n)  # numbers of the episodes in progress
    for step in range(STEPS):
        seen[step, playing] = states
        right = net(seen[step, playing])[:, 1] > rng.random(len(playing))
        actions[step, playing] = right
        lengths[playing] += 1
        states = push(states, right)
        up = (np.abs(states) < LIMITS).all(axis=1)
        states, playing = states[up], playing[up]
        if len(playing) == 0:
            break
    return seen, actions, lengths


def advantages(lengths):
    """Return each action's later rewards compared with those in other episodes (STEPS, n)."""
    left = lengths - np.arange(STEPS)[:, None]  # rewards of 1 to come
    returns = (1 - DISCOUNT ** np.maximum(left, 0)) / (1 - DISCOUNT)
    used = left > 0
    baseline = returns.sum(axis=1, keepdims=True) / len(lengths)
    found = np.where(used, returns - baseline, 0.0)
    return found / (found[used].std() + 1e-8), used


def learn(net, rng):
    """Train a policy; return the mean lengths of the episodes of each iteration."""
    progress = []
    for i in range(ITERATIONS):
        states, actions, lengths = play(net, EPISODES, rng)
        worth, used = advantages(lengths)
        X, taken = states[used], actions[used]
        dY = np.zeros((len(X), 2), np.float32)
        rows = np.arange(len(X))
        dY[rows, taken] = -worth[used] / net(X)[rows, taken]  # derivative of -A log p
        net.train_on_output_gradients(X, dY)
        progress.append(lengths.mean())
        if (i + 1) % 10 == 0:
            print(f"{i + 1:>9}  {(i + 1) * EPISODES:>8}  {np.mean(progress[-10:]):>11.1f}")
    return np.array(progress)


def plot(progress, before, after, path):
    """Plot the episode lengths over the training, and the balancing times before and after."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    left.plot(np.arange(1, ITERATIONS + 1), progress, color="#0072b2", label="mean length")
    left.axhline(SOLVED, color="#009e73", linestyle="--", label="solved")
    left.set(title="Episodes while it learns", xlabel="iteration", ylabel="steps")
    left.legend()
    left.grid(alpha=0.3)
    bins = np.linspace(0, STEPS, 26)
    right.hist([before, after], bins, color=["#777777", "#d55e00"], label=["before", "after"])
    right.set(title="100 test episodes", xlabel="steps", ylabel="episodes")
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train a policy, and print how long it keeps the pole up."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    net = MLP(
        4,
        [Dense(32, "tanh"), Dense(2, "softmax")],
        loss="linear",  # its targets are dY, the gradients of the outputs
        optimizer=Adam(learning_rate=0.02),
        seed=0,
    )
    before = play(net, 100, rng)[2]
    print("iteration  episodes  mean length")
    progress = learn(net, rng)
    after = play(net, 100, rng)[2]
    lengths = f"before {before.mean():.1f}, after {after.mean():.1f}"
    print(f"\nmean length of 100 test episodes: {lengths}")
    print(f"test episodes of {SOLVED} steps or more: {np.sum(after >= SOLVED)} of 100")
    plot(progress, before, after, folder / "cartpole.png")
    print(f"\nsaved {folder / 'cartpole.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
