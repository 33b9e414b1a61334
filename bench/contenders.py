"""The contenders of the comparison: the same training, and the same prediction, in each library.

Each one does what its library does best: one compiled call for a whole epoch in JAX, fused
optimizers in PyTorch, its own `fit` loop in scikit-learn. All start from the weights of
`Cell.network`, take the rows in turn, average the loss over a batch and follow fastnn's formulas.

Not here: timing and agreement (compare.py), the cells (cells.py). Libraries are imported when
asked for, after compare.py has set the number of threads.
"""

import itertools

import numpy as np

from fastnn import reference


class Contender:
    """One library on one cell: `run(steps)` makes the first `steps` updates of an epoch."""

    name: str

    def __init__(self, cell, dtype, threads):
        self.cell, self.dtype, self.threads = cell, np.dtype(dtype), threads
        X, y = cell.data()
        self.X = X.astype(dtype)
        self.y = y if cell.loss == "cross_entropy" else y.astype(dtype)
        self.start = cell.network(dtype).get_weights()

    @classmethod
    def fits(cls, cell):
        """Return whether the library can express the cell."""
        return True

    def part(self, steps):
        """Return X and y of the first steps."""
        n = steps * self.cell.batch
        return self.X[:n], self.y[:n]


class Fastnn(Contender):
    """fastnn's fit."""

    name = "fastnn"

    def __init__(self, cell, dtype, threads):
        super().__init__(cell, dtype, threads)
        self.net = cell.network(dtype, threads)

    def run(self, steps):
        X, y = self.part(steps)
        self.net.fit(X, y, batch_size=self.cell.batch, shuffle=False)

    def weights(self):
        return self.net.get_weights()


class NumPy(Contender):
    """The reference in plain NumPy, on its BLAS."""

    name = "numpy"

    def __init__(self, cell, dtype, threads):
        super().__init__(cell, dtype, threads)
        self.net = reference.Network.like(cell.network(dtype))

    def run(self, steps):
        X, y = self.part(steps)
        self.net.fit_epoch(X, y, np.arange(len(X)), self.cell.batch)

    def weights(self):
        return self.net.get_weights()


class Jax(Contender):
    """One jit of a lax.scan over the epoch, its state donated."""

    name = "jax"

    def __init__(self, cell, dtype, threads):
        super().__init__(cell, dtype, threads)
        import jax

        jax.config.update("jax_enable_x64", True)
        pairs = zip(self.start[::2], self.start[1::2], strict=True)
        params = [tuple(map(jax.numpy.asarray, pair)) for pair in pairs]
        zeros = jax.tree.map(jax.numpy.zeros_like, params)
        count = jax.numpy.zeros((), self.dtype)
        self.state = (params, zeros, jax.tree.map(jax.numpy.copy, zeros), count)
        if cell.optimizer == "sgd":
            self.state = (params, (), (), count)
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.batches = {}

    def _loss(self, params, x, t):
        import jax

        hidden = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh, "sigmoid": jax.nn.sigmoid}
        z = x
        for W, b in params[:-1]:
            z = hidden[self.cell.activation](z @ W + b)
        W, b = params[-1]
        a = z @ W + b
        if self.cell.loss == "cross_entropy":
            rows = jax.nn.log_softmax(a)
            return -jax.numpy.take_along_axis(rows, t[:, None], axis=1).mean()
        y = jax.nn.sigmoid(a) if self.cell.output == "sigmoid" else a
        return 0.5 * ((y - t) ** 2).sum(axis=1).mean()

    def _step(self, state, batch):
        import jax

        params, m, v, t = state
        loss, g = jax.value_and_grad(self._loss)(params, *batch)
        t = t + 1
        if self.cell.optimizer == "sgd":
            return (jax.tree.map(lambda w, d: w - 0.01 * d, params, g), m, v, t), loss
        m = jax.tree.map(lambda m, d: 0.9 * m + (1 - 0.9) * d, m, g)
        v = jax.tree.map(lambda v, d: 0.999 * v + (1 - 0.999) * d * d, v, g)
        rate, root = 1e-3 / (1 - 0.9**t), 1 / jax.numpy.sqrt(1 - 0.999**t)
        params = jax.tree.map(
            lambda w, m, v: w - rate * m / (jax.numpy.sqrt(v) * root + 1e-8), params, m, v
        )
        return (params, m, v, t), loss

    def _epoch(self, state, X, t):
        import jax

        return jax.lax.scan(self._step, state, (X, t))

    def run(self, steps):
        import jax

        if steps not in self.batches:
            X, y = self.part(steps)
            shape = (steps, self.cell.batch)
            self.batches[steps] = (
                jax.numpy.asarray(X.reshape(*shape, -1)),
                jax.numpy.asarray(y.reshape(*shape, *y.shape[1:])),
            )
        self.state, losses = self.epoch(self.state, *self.batches[steps])
        losses.block_until_ready()

    def weights(self):
        return [np.asarray(w) for pair in self.state[0] for w in pair]


class Torch(Contender):
    """PyTorch, eager, with its fused optimizers."""

    name = "torch"

    def __init__(self, cell, dtype, threads):
        super().__init__(cell, dtype, threads)
        import torch

        torch.set_num_threads(threads)
        kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
        modules = []
        for k, n in itertools.pairwise(cell.sizes):
            modules += [torch.nn.Linear(k, n), kinds[cell.activation]()]
        modules[-1] = torch.nn.Sigmoid() if cell.output == "sigmoid" else torch.nn.Identity()
        self.net = torch.nn.Sequential(*modules).to(getattr(torch, self.dtype.name))
        with torch.no_grad():
            for p, w in zip(self.net.parameters(), self.start, strict=True):
                p.copy_(torch.from_numpy(w.T if w.ndim == 2 else w))
        if cell.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, fused=True)
        else:
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        self.Xt, self.yt = torch.from_numpy(self.X), torch.from_numpy(self.y)

    def loss(self, y, t):
        import torch

        if self.cell.loss == "cross_entropy":
            return torch.nn.functional.cross_entropy(y, t)
        return 0.5 * ((y - t) ** 2).sum(dim=1).mean()

    def run(self, steps):
        batch = self.cell.batch
        for at in range(0, steps * batch, batch):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(self.Xt[at : at + batch]), self.yt[at : at + batch]).backward()
            self.optimizer.step()

    def weights(self):
        arrays = [p.detach().numpy() for p in self.net.parameters()]
        return [w.T if w.ndim == 2 else w for w in arrays]


class ScikitLearn(Contender):
    """scikit-learn's MLPs, an epoch of partial_fit."""

    name = "scikit-learn"

    @classmethod
    def fits(cls, cell):
        return cell.loss == "cross_entropy" or cell.output == "identity"

    def __init__(self, cell, dtype, threads):
        super().__init__(cell, dtype, threads)
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        activation = {"sigmoid": "logistic"}.get(cell.activation, cell.activation)
        adam = cell.optimizer == "adam"
        settings = {
            "hidden_layer_sizes": cell.sizes[1:-1],
            "activation": activation,
            "solver": cell.optimizer,
            "alpha": 0.0,
            "batch_size": cell.batch,
            "learning_rate_init": 1e-3 if adam else 0.01,
            "momentum": 0.0,
            # Its epsilon is added before the bias correction; so it equals ours at the first step.
            "epsilon": 1e-8 * (1 - 0.999) ** 0.5,
            "shuffle": False,
            "random_state": 0,
        }
        if cell.loss == "cross_entropy":
            self.net = MLPClassifier(**settings)
            self.extra = {"classes": np.arange(cell.sizes[-1])}
        else:
            self.net = MLPRegressor(**settings)
            self.extra = {}
            self.y = self.y[:, 0] if cell.sizes[-1] == 1 else self.y
        # A first call on one batch builds its arrays; then they get the common start.
        self.run(1)
        for group, arrays in (
            (self.net.coefs_, self.start[::2]),
            (self.net.intercepts_, self.start[1::2]),
        ):
            for mine, w in zip(group, arrays, strict=True):
                mine[...] = w
        if adam:
            optimizer = self.net._optimizer
            optimizer.t = 0
            for moment in (*optimizer.ms, *optimizer.vs):
                moment[...] = 0

    def run(self, steps):
        X, y = self.part(steps)
        self.net.partial_fit(X, y, **self.extra)

    def weights(self):
        pairs = zip(self.net.coefs_, self.net.intercepts_, strict=True)
        return [w for pair in pairs for w in pair]


TRAINING = [Fastnn, Jax, Torch, ScikitLearn, NumPy]
