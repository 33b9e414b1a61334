"""A grid of networks that differ in some arguments, each made at its access."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from fastnn import _checks
from fastnn.exchange import configuration
from fastnn.mlp import MLP
from fastnn.schedules import Schedule
from fastnn.training.binding import prepare
from fastnn.training.specification import Specification
from fastnn.training.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Names of the arguments of networks(): arguments of MLP, preceded in _NAMES by seeds and rate.
_OF_MLP = tuple(name for name in configuration.NAMES if name not in ("n_in", "seed", "dtype"))
_NAMES = ("seeds", "learning_rate", *_OF_MLP)


def networks(base: MLP, n: int | None = None, **values: Iterable[Any]) -> Networks:
    """Make networks that differ in some arguments: one for each combination of the values.

    Parameters
    ----------
    base : MLP
        The network that provides all other arguments, `classes` and `feature_names`. Its weights
        are not used.
    n : int, optional
        Number of networks for each combination, with the seeds ``base.seed``, ``base.seed + 1``,
        ... (from 0 if the base has no seed). It cannot be given together with `seeds`.
    **values : iterables
        The values of some arguments: ``seeds``, ``learning_rate`` (numbers or schedules), and
        arguments of `MLP`: ``layers`` (lists of layers), ``loss``, ``optimizer``, ``reduction``,
        ``scale_penalties``, ``n_threads``. Combinations are in the order of the arguments; the last
        argument varies fastest.

    Returns
    -------
    Networks
        A sequence of `MLP`; each access to an item makes a new network.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Examples
    --------
    >>> from fastnn import MLP, Dense, networks
    >>> base = MLP(2, [Dense(8, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> grid = networks(base, learning_rate=[1e-2, 1e-3], seeds=range(3))
    >>> len(grid), grid.parameters[1], grid[5].seed
    (6, {'learning_rate': 0.01, 'seeds': 1}, 2)
    """
    _checks.network("base", base, MLP)
    if n is not None:
        n = _checks.integer("n", n, low=1)
        _checks.seeds_or_n(values)
        first = base.seed or 0
        values["seeds"] = range(first, first + n)
    return Networks(base, _checks.axes(values, _NAMES))


class Networks(Sequence[MLP]):
    """A sequence of networks that differ in some arguments; see `networks`.

    Attributes
    ----------
    parameters : sequence of dict
        The values of each network, by argument.
    """

    def __init__(self, base: MLP, axes: dict[str, list[Any]]) -> None:
        self.base = base.copy()
        self._axes = axes
        self._seeds = [_checks.seed(value) for value in axes.get("seeds", ())]
        self._seed_axis = list(axes).index("seeds") if "seeds" in axes else len(axes)
        # By the places of all values but the seed, on which specifications do not depend.
        self._specifications: dict[tuple[int, ...], Specification] = {}
        first = {name: values[0] for name, values in axes.items()}
        for name in axes:  # tries every value once, to raise errors now
            for value in axes[name] if name != "seeds" else ():
                self._specification({**first, name: value})

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """The values of each network, by argument."""
        combinations = itertools.product(*self._axes.values())
        return [dict(zip(self._axes, some, strict=True)) for some in combinations]

    def __len__(self) -> int:
        return math.prod(map(len, self._axes.values()))

    def __iter__(self) -> Iterator[MLP]:
        return map(self._make, itertools.product(*(range(len(v)) for v in self._axes.values())))

    @overload
    def __getitem__(self, number: int) -> MLP: ...
    @overload
    def __getitem__(self, number: slice) -> list[MLP]: ...
    def __getitem__(self, number: int | slice) -> MLP | list[MLP]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        rest, places = _checks.place_of_network(number, len(self)), []
        for values in reversed(self._axes.values()):
            rest, place = divmod(rest, len(values))
            places.append(place)
        return self._make(tuple(reversed(places)))

    def _make(self, places: tuple[int, ...]) -> MLP:
        """Return a new network from the places of its values in the axes."""
        at = self._seed_axis
        alike = places[:at] + places[at + 1 :]
        spec = self._specifications.get(alike)
        if spec is None:
            pairs = zip(self._axes.items(), places, strict=True)
            spec = self._specification({name: values[place] for (name, values), place in pairs})
            self._specifications[alike] = spec
        seed = self._seeds[places[at]] if self._seeds else spec.seed
        threads = self.base._state.default_threads
        state = State(spec.with_seed(seed), initialize=True, default_threads=threads)
        state.feature_names = self.base.feature_names
        if (type(spec.loss), spec.n_out) == (type(self.base.loss), self.base.n_out):
            state.classes = self.base.classes
        return MLP._of(state)

    def _specification(self, chosen: dict[str, Any]) -> Specification:
        """Return the specification of networks with these values, with the seed of the base."""
        base = self.base._state.specification
        fields = configuration.FIELDS
        arguments = {name: getattr(base, field) for name, field in fields.items()} | chosen
        arguments.pop("seeds", None)
        rate = arguments.pop("learning_rate", None)
        spec = Specification.checked(**arguments)
        if rate is not None:
            checked: Any = _checks.learning_rate(rate, Schedule)
            spec = spec.with_rate(checked)
        prepare(spec)
        # Computes the cached properties, which copies with other seeds share.
        _ = spec.draws, spec.uniform_draws, spec.has_dropout, spec.standardizes, spec.has_short_path
        return spec

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(values)} {name}" for name, values in self._axes.items())
        return f"<{len(self)} Networks{sizes and f': {sizes}'}>"
