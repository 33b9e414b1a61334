"""Many networks in one call.

Each module imports only those above it in this list:

    grid.py        networks() and Networks: members that differ in seed, rate, layers, ...
    outcomes.py    a network after its training, and its Status
    members.py     the checked arguments of each member, one of the networks of a call
    plain.py       conversion of parameters and labels of groups to JSON
    files.py       many networks as tensors and JSON
    averages.py    mean and standard deviation over networks
    results.py     Fits: networks, histories and statuses; predictions and values of all networks
    progress.py    a progress bar over the networks
    interrupts.py  Ctrl-C while a call ends
    digests.py     digests of the arguments of a call
    checkpoints.py a file to which networks are added as they finish
    unattended.py  members that the engine trains without Python
    training.py    threads that train one member after another
    portions.py    members that a worker trains together
    workers.py     the data that a worker gets, and the work that it does
    executors.py   members on an executor
    fitting.py     fit_many

Not here: the fit of one network (training/), ensembles and searches for scikit-learn (sklearn/).
"""

from fastnn.many.fitting import fit_many as fit_many
from fastnn.many.grid import Networks as Networks
from fastnn.many.grid import networks as networks
from fastnn.many.outcomes import Status as Status
from fastnn.many.results import Fits as Fits
from fastnn.many.results import load_many as load_many
