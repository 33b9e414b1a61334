"""A scorer of candidates whose loop runs without the GIL, on a network of fastnn."""

from scorer._scorer import Scorer

__all__ = ["Scorer"]
