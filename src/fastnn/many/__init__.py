"""Many networks in one call.

Each module imports only those above it in this list:

    grid.py        networks() and Networks: members that differ in seed, rate, layers, ...
    members.py     what each member is trained with, checked
    outcomes.py    a network after its training, and its Status
    plain.py       parameters and labels of groups as JSON has them
    files.py       many networks as tensors and JSON
    results.py     Fits: networks, histories and statuses, and what can be asked of them all
    progress.py    a bar over the networks
    digests.py     of a call's arguments
    checkpoints.py a file to which networks are added as they finish
    unattended.py  members that the engine trains by itself
    training.py    threads that train one member after another
    portions.py    members that a worker trains together
    workers.py     what is sent to a worker, and what it does
    executors.py   members on an executor
    fitting.py     fit_many

Not here: a fit itself (training/), ensembles and searches for scikit-learn (sklearn/).
"""

from fastnn.many.fitting import fit_many as fit_many
from fastnn.many.grid import Networks as Networks
from fastnn.many.grid import networks as networks
from fastnn.many.outcomes import Status as Status
from fastnn.many.results import Fits as Fits
from fastnn.many.results import load_many as load_many
