# A run: training as data, which the engine carries out by itself, without the GIL. It has the order
# of the rows of every epoch, the place of each epoch's loss, its position, and why it ended. Not
# here: what a step does with its rows (step.pxd), and the loop over epochs that calls callbacks
# (training/loop.py).

from libc.stdint cimport int64_t

from fastnn.engine.clock cimport Clock
from fastnn.engine.leaves cimport real
from fastnn.engine.net cimport Buffers, Net
from fastnn.engine.rows cimport Rows

# Rows trained between two copies of the parameters, which are kept in case the loss diverges. A
# copy costs about as much as three rows.
cdef enum:
    KEEP_ROWS = 4096

cdef enum End:                    # why a run ends before its last step
    NOT_YET
    DIVERGED                      # a loss isn't finite; its step is not made, but see `overflowed`
    INTERRUPTED                   # a signal

cdef struct Kept:                 # parameters that are known to have given a finite loss
    real *memory                  # (block,); behind it the whole arena of a tiny network
    int64_t step                  # updates made until then; -1: none are kept
    Py_ssize_t rows               # rows trained since then

cdef struct Run:
    Rows rows
    Net *net
    Buffers *buffers
    Py_ssize_t batch
    # ---- epochs
    Py_ssize_t begin, end         # positions in the order: the part of each epoch that is trained
    Py_ssize_t epochs             # number of epochs
    Py_ssize_t epoch              # number of finished epochs
    const int64_t *orders         # (epochs, rows.n), one behind the other; NULL: rows.order in each
    double *losses                # (epochs,) the loss of each, or NULL
    # ---- how
    int n_threads
    Py_ssize_t slice_rows         # signals are handled after so many rows
    bint tiny                     # by tiny.c
    Kept *keep                    # parameters are kept there, or NULL
    real *gradient                # a block like the arena's for the gradient, if it is asked for
    real *out                     # (end, n_out): outputs before each update, or NULL
    Clock *clocks                 # one for each thread, or NULL
    bint polls                    # a step is so long that it checks for signals itself,
    bint (*interrupted)(void *owner) noexcept nogil  # with this function
    void *owner
    # ---- its position
    Py_ssize_t first, stop        # positions: the slice at hand
    real *copy_to                 # where the parameters go, once this slice's first loss is known
    double loss                   # of the present epoch: sum of the batches', times their weight
    double total                  # weight of its rows
    End ended                     # set by any thread before a barrier, read by all after it
    double last_loss              # of the batch that ended it
    bint overflowed               # its penalties alone aren't finite: known after its step only


cdef inline double reduced(const Net *net, double loss, double total) noexcept nogil:
    """The loss of rows as the user asked for it."""
    if not net.is_mean:
        return loss
    return loss / total if total > 0 else 0.0
