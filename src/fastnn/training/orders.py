"""RowOrder: orders of rows as scikit-learn draws them.

Not here: the orders that a network draws by itself (state.py), and the drawing of both
(engine/orders.pxd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RowOrder:
    """Orders of n rows as scikit-learn draws them: each epoch shuffles the order of the last one.

    It can be passed as the argument `shuffle` of `MLP.fit`, in place of a Generator.

    Parameters
    ----------
    n : int
    random_state : RandomState
    is_own : bool
        Whether nothing else draws from `random_state`, so that no lock is needed.
    """

    def __init__(self, n: int, random_state: np.random.RandomState, is_own: bool) -> None:
        self.rows, self.random_state = np.arange(n), random_state
        #: The lock that the engine holds while it draws, or None.
        self.lock = None if is_own else random_state._bit_generator.lock

    @property
    def bit_generator(self) -> Any:
        """The bit generator that the engine draws from."""
        return self.random_state._bit_generator

    def permutation(self, n: int) -> NDArray[np.intp]:
        """Return the next order of the n rows."""
        self.rows = self.rows[self.random_state.permutation(n)]
        return self.rows
