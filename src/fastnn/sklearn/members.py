"""Base class of estimators with several networks: pickles that hold each network once.

Not here: which networks an estimator has (ensembles.py, by_group.py).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from fastnn.many import Fits
    from fastnn.mlp import MLP
    from fastnn.sklearn.base import BaseMLP


class HasMembers(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of estimators whose attribute `fits_` has the networks of their members."""

    fits_: Fits

    def _members(self) -> list[BaseMLP]:
        """Return the fitted estimators, in the order of the networks of `fits_`."""
        raise NotImplementedError

    def _averaged(self) -> list[MLP]:
        """Return the networks whose mean outputs this estimator predicts, for exporters."""
        check_is_fitted(self)
        return [member._synced() for member in self._members()]

    def __getstate__(self) -> dict[str, Any]:
        saved = {**super().__getstate__()}
        if "fits_" in saved and self.fits_.nets == [member.net_ for member in self._members()]:
            saved["fits_"] = copy.copy(self.fits_)
            saved["fits_"].nets = []
        return saved

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        if "fits_" in saved and not self.fits_.nets:
            self.fits_.nets = [member.net_ for member in self._members()]
