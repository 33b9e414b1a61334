"""The hot loops: the bound network, its forward pass, deltas and updates, and whole epochs.

This one source is compiled for float and for double (`real` is decided by the C header) into the
modules _kernels_f32 and _kernels_f64. What runs per panel lives in engine/simd/ as C leaves,
reached through a table chosen for the CPU; here is what runs over them: layers, chunks of rows,
tiles of weights, batches, threads. engine/simd/ops.h describes shapes and the panel layout.

A training step, on each thread of a team:

    its rows of the batch:   gather, forward, loss and output delta, hidden deltas
    ------------------------ barrier: every delta is known ------------------------
    its tiles of the weights: dW = z_prev.T @ delta, and the optimizer right after it
    ------------------------ barrier: every weight is new -------------------------

A loss that isn't finite ends the steps before the update. Gradients that are clipped by their norm
are all stored, with a barrier more, before the first update.

Every number has one owner and one order of summation, so the bits don't depend on the team's size.
All deltas of a step use the weights from before it. Nothing allocates once a workspace is bound.

This file is their index: imports, constants, and the parts, one module all the same, in the order
in which each builds on those before it. Not here: checks of what users pass (_checks comes
first), defaults, history, callbacks.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport INFINITY, NAN, isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from _ops cimport (
    FASTNN_DTYPE_BITS,
    FASTNN_BUSY,
    FASTNN_DIVERGED,
    FASTNN_KIND_OF_TARGET,
    FASTNN_MEMORY,
    FASTNN_N_IN,
    FASTNN_N_LAYERS,
    FASTNN_N_OUT,
    FASTNN_N_PARAMETERS,
    FASTNN_NOT_ADAPTED,
    FASTNN_NOT_FINITE,
    FASTNN_NOT_FOR_TRAINING,
    FASTNN_OK,
    FASTNN_ROWS,
    FASTNN_STEP,
    FASTNN_TAKES_LABELS,
    FASTNN_TARGETS,
    NARROW,
    PANEL,
    fastnn_activation,
    fastnn_allocate,
    fastnn_claim,
    fastnn_dropout_args,
    fastnn_flush_subnormals,
    fastnn_function,
    fastnn_functions,
    fastnn_hyper,
    fastnn_learning_rate,
    fastnn_loss,
    fastnn_loss_args,
    fastnn_model,
    fastnn_ops,
    fastnn_optimizer,
    fastnn_precision,
    fastnn_release,
    fastnn_restore_subnormals,
    fastnn_run,
    fastnn_schedule,
    fastnn_schedule_rules,
    fastnn_step,
    fastnn_table,
    fastnn_team,
    fastnn_team_barrier,
    fastnn_team_size,
    fastnn_tiny,
    fastnn_tiny_layer,
    fastnn_workspace,
    real,
)

cimport numpy as cnp

from time import perf_counter

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #ifdef __clang__
    #define FASTNN_COMPILER __VERSION__
    #else
    #define FASTNN_COMPILER "GCC " __VERSION__
    #endif
    """
    const char *FASTNN_COMPILER

# Rows that go through all layers together: their activations stay in L2, and the tiles of every
# instruction set divide it.
cdef enum:
    CHUNK = 96

# Rows of a batch that go through a step together: a larger batch takes several rounds, which add up
# its gradients, so that a panel of z_prev and one of delta stay in L2 and a workspace small.
cdef enum:
    ROUND = 1024

# Up to this many rows in a batch, transposing W for the hidden deltas costs more than it brings.
cdef enum:
    FEW_ROWS = 4

# Below this many flops a step, the two barriers cost more than a second thread brings.
cdef double THREADING_FLOPS = 1e6

# Flops of a slice of an epoch; between slices signals are handled: some 10 ms. A step of so many
# handles them itself.
cdef double SLICE_FLOPS = 4e8
cdef double LONG_FLOPS = 4e9

# Rows trained between two copies of the weights, kept in case the loss becomes infinite: a copy
# costs about as much as three rows.
cdef enum:
    KEEP_ROWS = 4096


include "_tables.pxi"
include "_net.pxi"
include "_rows.pxi"
include "_weights.pxi"
include "_tasks.pxi"
include "_embedding.pxi"
include "_network.pxi"
include "_arrays.pxi"

cdef int REAL_TYPE = cnp.NPY_FLOAT if sizeof(real) == 4 else cnp.NPY_DOUBLE
COMPILER = FASTNN_COMPILER.decode()
DTYPE = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)
