"""PyTorch in training: eager with fused optimizers, and compiled.

Not here: predictions (predictors.py).
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastnn.benchmarking.contender import TrainingContender

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Cell


class Torch(TrainingContender):
    """PyTorch, eager, with fused optimizers."""

    name = "torch"

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import torch

        torch.set_num_threads(threads)
        kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
        modules: list[Any] = []
        for k, n in itertools.pairwise(cell.sizes):
            modules += [torch.nn.Linear(k, n), kinds[cell.activation]()]
        modules[-1] = torch.nn.Sigmoid() if cell.output == "sigmoid" else torch.nn.Identity()
        self.net = torch.nn.Sequential(*modules).to(getattr(torch, self.dtype.name))
        if cell.optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        else:
            momentum = 0.9 if cell.optimizer == "momentum" else 0.0
            self.optimizer = torch.optim.SGD(
                self.net.parameters(), lr=0.01, momentum=momentum, fused=True
            )

    @cached_property
    def batches(self) -> list[tuple[Any, Any]]:
        """The batches as PyTorch tensors."""
        import torch

        return self.cut(torch.from_numpy(self.X), torch.from_numpy(self.y))

    def reset(self) -> None:
        """Copy the initial weights into the network, and clear the optimizer."""
        import torch

        with torch.no_grad():
            for p, w in zip(self.net.parameters(), self.start, strict=True):
                p.copy_(torch.from_numpy(w.T if w.ndim == 2 else w))
        self.optimizer.state.clear()

    def loss(self, y: Any, t: Any) -> Any:
        """Return the loss of outputs, which are logits for classification."""
        import torch

        if self.cell.loss == "cross_entropy":
            return torch.nn.functional.cross_entropy(y, t)
        return 0.5 * ((y - t) ** 2).sum(dim=1).mean()

    def run(self, steps: int) -> None:
        """Make this many steps."""
        for x, t in self.batches[:steps]:
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(x), t).backward()
            self.optimizer.step()

    def answer(self) -> list[NDArray[Any]]:
        """Return the weights, (n_in, n_out)."""
        arrays = [p.detach().numpy() for p in self.net.parameters()]
        return [w.T if w.ndim == 2 else w for w in arrays]


class TorchCompiled(Torch):
    """torch.compile of a whole step: forward, backward and update, as one graph.

    This form takes 100 µs per step, a compiled loss with a fused optimizer 390. Adam's bias
    corrections are computed outside the graph, so that its loops do not compute powers for each
    weight.
    """

    name = "torch.compile"

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import torch

        torch._dynamo.reset()
        self.params = [p.detach() for p in self.net.parameters()]
        n_moments = {"sgd": 0, "momentum": 1, "adam": 2}[cell.optimizer]
        self.moments = [[torch.zeros_like(p) for p in self.params] for _ in range(n_moments)]
        self.rate, self.root = (torch.zeros((), dtype=self.params[0].dtype) for _ in range(2))
        self.step = torch.compile(self._step, fullgraph=True, dynamic=False)

    def reset(self) -> None:
        """Copy the initial weights into the network, and zero the moments."""
        super().reset()
        self.updates = 0
        for tensor in itertools.chain(*self.moments):
            tensor.zero_()

    def _loss(self, params: Any, x: Any, t: Any) -> Any:
        import torch

        hidden = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
        z = x
        for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            z = hidden[self.cell.activation](torch.nn.functional.linear(z, W, b))
        a = torch.nn.functional.linear(z, *params[-2:])
        return self.loss(torch.sigmoid(a) if self.cell.output == "sigmoid" else a, t)

    def _step(self, params: Any, moments: Any, rate: Any, root: Any, x: Any, t: Any) -> Any:
        import torch

        gradients, loss = torch.func.grad_and_value(self._loss)(params, x, t)
        for w, g, *moment in zip(params, gradients, *moments, strict=True):
            if self.cell.optimizer == "sgd":
                w.sub_(0.01 * g)
            elif self.cell.optimizer == "momentum":
                (v,) = moment
                v.mul_(0.9).sub_(0.01 * g)
                w.add_(v)
            else:
                m, v = moment
                m.mul_(0.9).add_((1 - 0.9) * g)
                v.mul_(0.999).add_((1 - 0.999) * g * g)
                w.sub_(rate * m / (v.sqrt() * root + 1e-8))
        return loss

    def run(self, steps: int) -> None:
        """Make this many steps, one call each."""
        step, state = self.step, (self.params, self.moments, self.rate, self.root)
        for x, t in self.batches[:steps]:
            self.updates += 1
            if self.cell.optimizer == "adam":
                self.rate.fill_(1e-3 / (1 - 0.9**self.updates))
                self.root.fill_((1 - 0.999**self.updates) ** -0.5)
            step(*state, x, t)
