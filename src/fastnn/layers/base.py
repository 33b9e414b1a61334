"""The base class of layers, and what the modules of several kinds of layers share.

Not here: the kinds of layers, each in a module of this package, and their lists (__init__.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from fastnn import _checks
from fastnn.activations import Activation

if TYPE_CHECKING:

    class ActivationField:
        """A field that takes a name or an `Activation`, and holds an `Activation`."""

        def __get__(self, layer: Any, kind: Any = None) -> Activation: ...
        def __set__(self, layer: Any, activation: str | Activation) -> None: ...
else:
    ActivationField = str | Activation

IDENTITY: Any = "identity"  # Any, since type checkers expect an ActivationField as a default
RELU: Any = "relu"


class Draw(NamedTuple):
    """Rows of a parameter that are drawn together, beginning with row `first`.

    `initializer` is the name of an initializer for this shape, or a distribution with its width:
    ("uniform", bound) or ("normal", standard deviation).
    """

    name: str
    first: int
    initializer: str | tuple[str, float]
    shape: tuple[int, int]


class Layer:
    """The base class of layers.

    Attributes
    ----------
    name : str
        The name of the kind in files.
    trainable : bool
        Whether updates change the layer's parameters.
    """

    name: ClassVar[str]
    trainable: bool = True
    #: Whether the layer must be the first one of a network.
    comes_first: ClassVar[bool] = False
    #: Whether the layer must be the last one of a network.
    comes_last: ClassVar[bool] = False
    #: Whether inputs of the layer are categories, which a Standardize before it does not change.
    takes_categories: ClassVar[bool] = False
    #: Whether the layer standardizes its inputs by their means and scales, which data must set.
    standardizes: ClassVar[bool] = False

    #: The number of arrays (rows, outputs) that training needs: z and delta, except those that the
    #: layer shares with the layer below.
    arrays: ClassVar[int] = 2
    #: Whether it can be the last layer of a network: it has an activation for the loss.
    is_output: ClassVar[bool] = False
    #: For a piece, the public layer that contains it, with an article, for messages.
    piece_of: ClassVar[str] = ""

    if not TYPE_CHECKING:  # a type checker would accept any name

        def __getattr__(self, name: str) -> Any:
            raise _checks.no_layer_attribute(name, self)

    @property
    def is_void(self) -> bool:
        """Whether the layer never changes its inputs."""
        return False

    def width(self, n_in: int) -> int:
        """Return the number of outputs for `n_in` inputs."""
        return n_in

    def categories(self, n_in: int) -> dict[int, int]:
        """Return the number of categories of each input that holds categories."""
        return {}

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the layer's parameters by name, in the order of `get_weights`."""
        return {}

    def initializers(self) -> dict[str, str]:
        """Return the initializers of parameters by name; all other parameters start at 0."""
        return {}

    def draws(self, n_in: int) -> Iterator[Draw]:
        """Yield how the rows of each parameter are drawn; a vector is a matrix of one row."""
        shapes = self.parameters(n_in)
        for name, initializer in self.initializers().items():
            *rows, columns = shapes[name]
            yield Draw(name, 0, initializer, (rows[0] if rows else 1, columns))

    def pieces(self) -> Iterator["Layer"]:
        """Yield the pieces of the layer: the layer itself, or its parts."""
        yield self

    def with_trainable(self, trainable: bool) -> "Layer":
        """Return the layer with its parameters, if it has any, trained or frozen."""
        is_field = "trainable" in getattr(self, "__dataclass_fields__", ())
        if not is_field:
            return self
        changed: Layer = replace(self, trainable=trainable)  # type: ignore[type-var]  # a dataclass
        return changed

    def flops(self, n_in: int) -> int:
        """Return the number of operations of the matrix products in the forward pass of one row."""
        return 0

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return the specifications of the layer's stages for engine/stages/.

        `number` is the number of layers with parameters before this one.
        """
        return [{"kind": self.name}]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        return type(self).__name__


#: Kinds of layers by name. `__init__.py`, which imports all kinds, fills it; layers that contain
#: layers read it.
KINDS: dict[str, type[Layer]] = {}


def with_widths(layers: Iterable[Layer], n_in: int) -> Iterator[tuple[Layer, int]]:
    """Yield every piece of the layers and the number of its inputs."""
    for layer in layers:
        layer.width(n_in)  # raises an error if n_in does not fit
        for piece in layer.pieces():
            yield piece, n_in
            n_in = piece.width(n_in)


def update_options(layer: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names and the checked values of the fields that control a layer's updates."""
    rate_multiplier = _checks.number(
        "learning_rate_multiplier", layer.learning_rate_multiplier, above=0.0
    )
    return (
        ("trainable", _checks.flag("trainable", layer.trainable)),
        ("learning_rate_multiplier", rate_multiplier),
    )
