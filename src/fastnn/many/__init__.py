"""Many networks in one call.

Each module imports only those above it in this list:

    grid.py        networks() and Networks: members that differ in seed, rate, layers, ...
    members.py     what each member is trained with, checked
    results.py     Fits: networks, histories and statuses, and what can be asked of them all
    progress.py    a bar over the networks
    unattended.py  members that the engine trains by itself
    training.py    threads that train one member after another
    fitting.py     fit_many

Not here: a fit itself (training/), ensembles and searches for scikit-learn (sklearn/).
"""

from fastnn.many.fitting import fit_many as fit_many
from fastnn.many.grid import Networks as Networks
from fastnn.many.grid import networks as networks
from fastnn.many.results import Fits as Fits
from fastnn.many.results import Status as Status
