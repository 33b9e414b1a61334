"""Checks of arguments, and their error messages; one module per subject.

A message names the argument, the value and the remedy. A check returns the value in the form that
the rest of fastnn uses, and has no other effect: callers first check everything and then make
changes. A wrong type raises TypeError, a wrong value ValueError.

Callers write `_checks.matrix(...)`, whichever module the check is in. Not here: checks of
parameters that only estimators have (sklearn/), of tables (tabular/) and of options of commands
(cli/); defaults, the conversion of arrays (_conversion.py), and assertions about fastnn's own
arithmetic.
"""

from fastnn._checks import names as names
from fastnn._checks.arrays import *
from fastnn._checks.callbacks import *
from fastnn._checks.calls import *
from fastnn._checks.classes import *
from fastnn._checks.custom_losses import *
from fastnn._checks.embeddings import *
from fastnn._checks.files import *
from fastnn._checks.fitting import *
from fastnn._checks.foreign import *
from fastnn._checks.many import *
from fastnn._checks.many_files import *
from fastnn._checks.metrics import *
from fastnn._checks.paths import *
from fastnn._checks.sparse import *
from fastnn._checks.specifications import *
from fastnn._checks.tables import *
from fastnn._checks.targets import *
from fastnn._checks.values import *
