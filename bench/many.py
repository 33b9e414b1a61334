"""Many networks in one call: fit_many, a loop over fit, JAX, torch.func, scikit-learn with joblib.

    make bench-many

Members are 16-64-64-1 networks (relu, Adam, squared error) with different seeds, trained on the
same 1,024 rows for 10 epochs of batches of 32, each in its own order. JAX compiles a whole fit (a
scan over the steps) and maps it over the members by vmap or by lax.map, on one host device and on
two, which must be configured before JAX is imported. JAX gets fastnn's initial weights and orders,
and its weights after the fit must equal those of fastnn to 1 % of their norm; otherwise no time is
shown. Compilation is not counted. PyTorch steps all members at once, by vmap over the gradient of a
function and an Adam of stacked arrays; its weights are checked in the same way. scikit-learn's
MLPRegressor draws its own weights and orders; joblib uses two processes that are started
beforehand.

Rounds are interleaved; a figure is the median over the rounds, in networks per second. The second
part measures tiny networks trained on line (2-8-1, 100 rows, 100 epochs), the overhead per member
beyond its steps, and members of very different sizes. The third part is a search over 200
candidates on 5 folds of the digits: MLPSearchCV compared with GridSearchCV, with n_jobs=2, for the
same estimator. Their scores and best parameters must be the same; otherwise no ratio is shown. Not
here: single fits (compare.py).
"""

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import numpy as np

from fastnn import MLP, Callback, Dense, fit_many, networks
from fastnn.benchmarking import machine

RESULTS = Path(__file__).parent / "results"
ROWS, BATCH, EPOCHS = 1024, 32, 10

rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, 16)).astype(np.float32)
Y = np.sin(X[:, :1]) + 0.1 * rng.normal(size=(ROWS, 1)).astype(np.float32)


def members(n):
    """Return n networks, built beforehand because building is timed separately."""
    layers = [Dense(64, "relu"), Dense(64, "relu"), Dense(1)]
    base = MLP(16, layers, loss="squared_error", optimizer="adam", seed=0)
    return list(networks(base, n=n))


def seconds(function):
    """Return how long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class Fastnn:
    """fit_many on a given number of threads."""

    def __init__(self, n, threads):
        self.n, self.threads = n, threads

    def run(self):
        nets = members(self.n)
        return seconds(
            lambda: fit_many(nets, X, Y, epochs=EPOCHS, batch_size=BATCH, n_threads=self.threads)
        )


class Loop:
    """A loop over fit."""

    def __init__(self, n):
        self.n = n

    def run(self):
        nets = members(self.n)
        return seconds(lambda: [net.fit(X, Y, epochs=EPOCHS, batch_size=BATCH) for net in nets])


class Jax:
    """A compiled fit of all members, mapped by vmap or lax.map, across one or more devices."""

    def __init__(self, n, way, devices):
        import jax

        self.n, self.devices = n, devices
        nets = members(n)
        orders = [[net._state.draw_order(ROWS) for _ in range(EPOCHS)] for net in nets]
        self.orders = np.array(orders, np.int32).reshape(n, EPOCHS * ROWS // BATCH, BATCH)
        self.start = [
            np.stack(arrays) for arrays in zip(*(net.get_weights() for net in nets), strict=True)
        ]
        over = jax.vmap if way == "vmap" else lambda f: lambda *a: jax.lax.map(lambda b: f(*b), a)
        mapped = over(self._fit)
        self.fit = jax.pmap(mapped) if devices > 1 else jax.jit(mapped)
        self.run()  # compiles
        require_same_weights(self)

    def _fit(self, params, orders):
        import jax
        from jax import numpy as jnp

        rows, targets = jnp.asarray(X), jnp.asarray(Y)

        def loss(params, x, t):
            z = x
            for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
                z = jax.nn.relu(z @ W + b)
            return 0.5 * ((z @ params[-2] + params[-1] - t) ** 2).sum(axis=1).mean()

        def step(state, order):
            params, m, v, t = state
            g = jax.grad(loss)(params, rows[order], targets[order])
            t = t + 1
            m = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, g)
            v = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, g)
            rate, root = 1e-3 / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
            params = jax.tree.map(
                lambda w, m, v: w - rate * m / (jnp.sqrt(v) * root + 1e-8), params, m, v
            )
            return (params, m, v, t), None

        zeros = jax.tree.map(jnp.zeros_like, params)
        state, _ = jax.lax.scan(step, (params, zeros, zeros, jnp.float32(0)), orders)
        return state[0]

    def _arguments(self):
        arrays = self.start, self.orders
        if self.devices == 1:
            return arrays
        cut = lambda a: a.reshape(self.devices, -1, *a.shape[1:])  # noqa: E731
        return [cut(a) for a in self.start], cut(self.orders)

    def run(self):
        import jax

        arguments = jax.tree.map(jax.numpy.asarray, self._arguments())
        jax.block_until_ready(arguments)

        def call():
            self.found = jax.block_until_ready(self.fit(*arguments))

        return seconds(call)


class Torch:
    """torch.func: each step updates all members, stacked, with gradients by vmap."""

    def __init__(self, n, threads=2):
        import torch

        torch.set_num_threads(threads)
        self.n = n
        nets = members(n)
        orders = [[net._state.draw_order(ROWS) for _ in range(EPOCHS)] for net in nets]
        orders = np.array(orders).reshape(n, EPOCHS * ROWS // BATCH, BATCH)
        self.orders = torch.from_numpy(orders.transpose(1, 0, 2).copy())
        stacked = zip(*(net.get_weights() for net in nets), strict=True)
        self.start = [torch.from_numpy(np.stack(arrays)) for arrays in stacked]
        self.run()
        require_same_weights(self)

    def run(self):
        import torch

        rows, targets = torch.from_numpy(X), torch.from_numpy(Y)
        blocks = (torch.nn.ReLU(), torch.nn.ReLU(), torch.nn.Identity())

        def loss(params, x, t):
            z = x
            for W, b, h in zip(params[::2], params[1::2], blocks, strict=True):
                z = h(z @ W + b)
            return 0.5 * ((z - t) ** 2).sum(dim=1).mean()

        gradients = torch.func.vmap(torch.func.grad(loss))
        params = [p.clone() for p in self.start]
        m, v = ([torch.zeros_like(p) for p in params] for _ in range(2))

        def call():
            for t, order in enumerate(self.orders, 1):
                found = gradients(tuple(params), rows[order], targets[order])
                rate, root = 1e-3 / (1 - 0.9**t), (1 - 0.999**t) ** -0.5
                torch._foreach_lerp_(m, list(found), 0.1)
                torch._foreach_mul_(v, 0.999)
                torch._foreach_addcmul_(v, list(found), list(found), 0.001)
                below = torch._foreach_sqrt(v)
                torch._foreach_mul_(below, root)
                torch._foreach_add_(below, 1e-8)
                torch._foreach_addcdiv_(params, m, below, -rate)

        took = seconds(call)
        self.found = [p.numpy() for p in params]
        return took


def require_same_weights(contender):
    """Raise an AssertionError unless the weights of the first networks are those of fastnn's."""
    fits = fit_many(members(contender.n)[:3], X, Y, epochs=EPOCHS, batch_size=BATCH)
    for k in range(3):
        for ours, theirs in zip(fits[k].get_weights(), contender.found, strict=True):
            twin = np.asarray(theirs).reshape(-1, *ours.shape)[k]
            error = np.linalg.norm(ours - twin) / np.linalg.norm(ours)
            assert error < 0.01, f"{type(contender).__name__}: weights differ by {error:.1%}"


class ScikitLearn:
    """MLPRegressor in two joblib processes."""

    def __init__(self, n):
        self.n = n
        self.run()  # starts the processes

    def run(self):
        import joblib

        def call():
            joblib.Parallel(n_jobs=2)(joblib.delayed(fit_regressor)(seed) for seed in range(self.n))

        return seconds(call)


def fit_regressor(seed):
    """Fit scikit-learn's regressor; returns nothing."""
    import warnings

    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore")
    MLPRegressor(hidden_layer_sizes=(64, 64), batch_size=BATCH, max_iter=EPOCHS, random_state=seed,
                 alpha=0).fit(X, Y[:, 0])  # fmt: skip


def large(n, rounds, peers):
    """Return the networks per second of every contender: medians of interleaved rounds."""
    made = {"fit_many, 2 threads": Fastnn(n, 2), "fit_many, 1 thread": Fastnn(n, 1),
            "loop over fit": Loop(max(n // 4, 1))}  # fmt: skip
    if peers:
        some = max(n // 5, 2) // 2 * 2
        for way in ("vmap", "lax.map"):
            for devices in (1, 2):
                made[f"JAX, {way}, {devices} device{'s' * (devices > 1)}"] = Jax(some, way, devices)
        made["PyTorch, torch.func"] = Torch(some)
        made["scikit-learn, joblib"] = ScikitLearn(max(n // 25, 2))
    rates = {name: [] for name in made}
    for _ in range(rounds):
        for name, contender in made.items():
            time.sleep(0.2)  # lets idle threads of the previous contender fall asleep
            rates[name].append(contender.n / contender.run())
    return {name: statistics.median(found) for name, found in rates.items()}


def tiny(n, rounds):
    """Return networks per second of 2-8-1 on line: fit_many on two threads, and loops over fit.

    A callback that does nothing makes fit return to Python after each epoch.
    """
    rows, targets = X[:100, :2].copy(), Y[:100]
    base = MLP(2, [Dense(8, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    options = {"batch_size": 1, "epochs": 100}
    loops = {"loop over fit": {}, "loop over fit and epochs": {"callbacks": [Callback()]}}
    found = {name: [] for name in ("fit_many, 2 threads", *loops)}
    for _ in range(rounds):
        nets = list(networks(base, n=n))
        took = seconds(lambda nets=nets: fit_many(nets, rows, targets, n_threads=2, **options))
        found["fit_many, 2 threads"].append(n / took)
        for name, more in loops.items():
            nets = list(networks(base, n=n))
            took = seconds(lambda nets=nets, more=more: [
                net.fit(rows, targets, **options, **more) for net in nets])  # fmt: skip
            found[name].append(n / took)
    return {name: statistics.median(rates) for name, rates in found.items()}


def overhead(n, rounds):
    """Return microseconds per member: overhead beyond its steps, building it, and a fit alone."""
    base = MLP(2, [Dense(4, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    rows, targets = X[:8, :2].copy(), Y[:8]
    built, many, alone = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        nets = list(networks(base, n=n))
        built.append((time.perf_counter() - began) / n)
        took = seconds(lambda nets=nets: fit_many(nets, rows, targets, batch_size=8, n_threads=1))
        many.append(took / n)
        net = nets[0]
        alone.append(seconds(lambda net=net: [net.fit(rows, targets) for _ in range(n)]) / n)
    names = "built_us", "member_us", "fit_of_a_step_us"
    pairs = zip(names, (built, many, alone), strict=True)
    return {name: 1e6 * statistics.median(found) for name, found in pairs}


def uneven(rounds):
    """Return the time of two threads over that of one, for members of sizes 1 to 10."""
    ratios = []
    for _ in range(rounds):
        times = []
        for threads in (1, 2):
            nets = members(60)
            epochs = [1 + i % 10 for i in range(60)]
            times.append(seconds(lambda n=nets, t=threads, e=epochs: fit_many(
                n, X, Y, epochs=e, batch_size=BATCH, n_threads=t)))  # fmt: skip
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def search(rounds):
    """Return the seconds of MLPSearchCV and GridSearchCV on the digits, in turn, and their ratio.

    There are 200 candidates of 10 epochs on 5 folds; neither search refits the best candidate.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    from fastnn.sklearn import MLPClassifier, MLPSearchCV

    rows, labels = load_digits(return_X_y=True)
    rows = (rows / 16).astype(np.float32)
    net = MLPClassifier(max_iter=10, dtype="float32", random_state=0)
    grid = {
        "learning_rate_init": np.geomspace(1e-4, 1e-1, 10).tolist(),
        "alpha": np.geomspace(1e-6, 1e-2, 5).tolist(),
        "hidden_layer_sizes": [(16,), (64,)],
        "activation": ["relu", "tanh"],
    }
    ours, theirs = [], []
    one = {"alpha": [1e-4]}
    GridSearchCV(net, one, cv=5, refit=False, n_jobs=2).fit(rows, labels)  # starts the processes
    for _ in range(rounds):
        found = MLPSearchCV(net, grid, cv=5, refit=False)
        other = GridSearchCV(net, grid, cv=5, refit=False, n_jobs=2)
        ours.append(seconds(lambda found=found: found.fit(rows, labels)))
        theirs.append(seconds(lambda other=other: other.fit(rows, labels)))
        assert found.best_params_ == other.best_params_, "other best parameters"
        scores = [each.cv_results_["mean_test_score"] for each in (found, other)]
        np.testing.assert_array_equal(*scores)
    times = {"MLPSearchCV_s": statistics.median(ours), "GridSearchCV_s": statistics.median(theirs)}
    return {**times, "ratio": times["GridSearchCV_s"] / times["MLPSearchCV_s"]}


#: The parts of the results, and the function that measures each.
PARTS = {
    "networks_per_s": lambda args: large(args.members, args.rounds, args.peers),
    "tiny_networks_per_s": lambda args: tiny(args.members, args.rounds),
    "overhead": lambda args: overhead(args.members, args.rounds),
    "uneven_speedup": lambda args: uneven(args.rounds),
    "search": lambda args: search(1 + args.rounds // 4),
}


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write bench/results/many.json; with --only its other parts stay",
    )
    args = parser.parse_args()
    machine.pin(2)
    warnings.filterwarnings("ignore")
    path = RESULTS / "many.json"
    found = json.loads(path.read_text()) if args.only else {}
    found |= {"machine": machine.describe(2, "float32"), "members": args.members}
    for part in args.only or PARTS:
        found[part] = value = PARTS[part](args)
        for name, each in value.items() if isinstance(value, dict) else [(part, value)]:
            print(f"{part:<22}{name:<26}{each:,.4g}", flush=True)
    if args.write:
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
