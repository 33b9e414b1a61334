"""A scorer of candidates, whose loop calls a fastnn network without the GIL."""

from scorer._scorer import Scorer

__all__ = ["Scorer"]
