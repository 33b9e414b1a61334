"""Every check of an argument, hence every error message about one; a module a subject.

A message names the argument, the value and the remedy. A function here returns the checked value
in the form the rest of fastnn works with, and has no effect beyond that: callers check everything
first and change things after. Wrong kinds of things raise TypeError, wrong values ValueError.

Callers say `_checks.matrix(...)`, whichever module the check is in. Not here: defaults, the
conversion of arrays (_conversion.py), and anything that is our own arithmetic rather than what a
user passed.
"""

from fastnn._checks import names as names
from fastnn._checks.arrays import *
from fastnn._checks.callbacks import *
from fastnn._checks.calls import *
from fastnn._checks.classes import *
from fastnn._checks.embeddings import *
from fastnn._checks.files import *
from fastnn._checks.fitting import *
from fastnn._checks.foreign import *
from fastnn._checks.many import *
from fastnn._checks.many_files import *
from fastnn._checks.metrics import *
from fastnn._checks.own_losses import *
from fastnn._checks.paths import *
from fastnn._checks.sparse import *
from fastnn._checks.specifications import *
from fastnn._checks.tables import *
from fastnn._checks.targets import *
from fastnn._checks.values import *
