# A run: training as data, which the engine carries out by itself, without the GIL. It has the order
# of the rows of every epoch, what follows the losses of its epochs, its position, and why it ended.
# Not here: what a step does with its rows (step.pxd), how losses are followed (watch.pxd), and the
# loop over epochs that calls callbacks (training/loop.py).

from libc.stdint cimport int64_t

from fastnn.engine.clock cimport Clock
from fastnn.engine.leaves cimport real
from fastnn.engine.metrics cimport Metric
from fastnn.engine.net cimport Buffers, Net
from fastnn.engine.orders cimport bitgen_t
from fastnn.engine.rows cimport Rows

# Rows trained between two copies of the parameters, which are kept in case the loss diverges. A
# copy costs about as much as three rows.
cdef enum:
    KEEP_ROWS = 4096

cdef enum End:                    # why a run ends before its last step
    NOT_YET
    DIVERGED                      # a loss isn't finite; its step is not made, but see `overflowed`
    LAST_DIVERGED                 # the parameters after an epoch's last update give such a loss
    STOPPED                       # a rule, or somebody who asked for it: after a whole epoch
    INTERRUPTED                   # a signal
    NO_MEMORY

cdef struct Kept:                 # parameters that are known to have given a finite loss
    real *memory                  # (block,); behind it the whole arena of a tiny network
    int64_t step                  # updates made until then; -1: none are kept
    Py_ssize_t rows               # rows trained since then

# ---- what follows the losses of epochs ----------------------------------------------------------

cdef struct Evaluation:           # rows that go forward
    const Net *net
    const Buffers *buffers
    Rows rows
    Py_ssize_t first, stop        # positions: the slice at hand,
    Py_ssize_t taken              # and the chunks taken, beside each thread's first
    real *out                     # (n, n_out) predictions, or NULL
    double *chunk_losses          # losses, one for each chunk of rows, or NULL
    bint skips_zeros              # the inputs have many, and the lowest W is finite

cdef struct Judge:                # metrics of the rows of an epoch
    Py_ssize_t n_metrics
    Metric *metrics
    const real *sample_weight     # (rows,) all above 0, or NULL; those of classes aren't in them
    double *values                # (until, n_metrics)
    real *out                     # (n, n_out) room for the outputs of these rows,
    double *room                  # and for what their metrics need

cdef enum RuleKind:
    STOPS                         # the run, as the callback EarlyStopping does
    LOWERS                        # the learning rate, as ReduceLROnPlateau does
    CONVERGES                     # either, as scikit-learn's estimators do

cdef struct Value:                # of an epoch, which a rule follows
    bint on_validation            # it is of the validation rows
    Py_ssize_t metric             # the number of a metric; -1: the loss

cdef struct Rule:
    RuleKind kind
    Value value
    bint higher                   # more is better
    double min_delta
    Py_ssize_t patience, wait
    bint has_best
    double best
    # ---- STOPS
    Py_ssize_t start_from         # epochs before this one are ignored
    bint has_baseline
    double baseline
    bint restores                 # the parameters of the best epoch are kept
    real *best_parameters         # (block,) room for them
    Py_ssize_t best_epoch         # -1: none yet
    Py_ssize_t stopped_epoch
    # ---- LOWERS
    double factor, least
    Py_ssize_t cooldown, cooldown_counter
    # ---- CONVERGES: `min_delta` is tol, `patience` n_iter_no_change, `wait` the epochs that did
    # not improve, `best` the best loss, or the best score with `restores`
    double offset                 # of the loss that is followed, less that of the run,
    double share                  # and less so much
    Py_ssize_t squares            # times this metric of the same rows; -1: none
    Py_ssize_t score              # the metric of validation rows that is followed; -1: the loss
    bint adapts                   # the rate is lowered before the run ends,
    double power                  # or follows the power of the rows trained; 0: neither
    double first_rate, rate
    int64_t rows                  # trained before this run
    bint by_rows                  # the loss that is followed is that of watch.row_losses

cdef struct Watch:
    bint has_validation
    bint judges_averages          # of the parameters, in validation and as the best ones
    Evaluation validation         # its rows
    Judge judge, validation_judge  # metrics of the rows trained, and of those
    Evaluation last               # the rows on which the parameters after an update are tried
    bint tries_each_epoch         # not after the last one alone
    double *val_losses            # (until,) if there are validation rows
    double *rates                 # (until,) the learning rate of each, or NULL
    double *row_losses            # (until,) mean over the rows of their batch's loss, or NULL
    Py_ssize_t n_rules
    Rule *rules
    bint settles_divergence       # a rule has weights for a run that diverges: it is no error
    const int *stop               # somebody asks the run to stop after the epoch, if it isn't 0


# ---- a run --------------------------------------------------------------------------------------

cdef struct Run

cdef struct Run:
    Rows rows
    Net *net
    Buffers *buffers
    Py_ssize_t batch
    # ---- epochs
    Py_ssize_t begin, end         # positions in the order: the part of each epoch that is trained
    Py_ssize_t epochs             # number of epochs,
    Py_ssize_t until              # of which so many are trained now: losses has room for them
    Py_ssize_t epoch              # number of finished epochs
    bint begun                    # the present epoch has its order
    bitgen_t *generator           # draws the order of each epoch; NULL: rows.order in each
    const int64_t *numbers        # (rows.n,) the rows that take part; NULL: all, as they are stored
    int64_t *order                # (rows.n,) room for the order of an epoch
    # What draws an order in the generator's place, where others draw from it, too; or NULL.
    void (*draw)(Run *run) noexcept nogil
    void *drawer
    bint compounds                # each epoch shuffles the order of the last one,
    int64_t *last_order           # (rows.n,) which is kept here
    double *losses                # (until,) the loss of each; NULL: epochs are not counted
    Watch *watch                  # what follows these losses, or NULL
    # ---- how
    int n_threads                 # for a step
    int most_threads              # for anything
    Py_ssize_t slice_rows         # signals are handled after so many rows
    bint tiny                     # by tiny.c
    bint skips_zeros              # the inputs have many, and the lowest W is finite
    bint by_columns               # a team divides columns, where no zeros are skipped
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
    int64_t epoch_step            # updates made before the present epoch
    double loss                   # of the present epoch: sum of the batches', times their weight
    double total                  # weight of its rows
    double row_loss               # sum over its rows of the loss of their batch
    End ended                     # set by any thread before a barrier, read by all after it
    double last_loss              # of the batch that ended it
    bint overflowed               # its penalties alone aren't finite: known after its step only
    int64_t failed_step           # the number of that step in its epoch, from 1
    double failed_rate            # and its learning rate


cdef inline double reduced(const Net *net, double loss, double total) noexcept nogil:
    """The loss of rows as the user asked for it."""
    if not net.is_mean:
        return loss
    return loss / total if total > 0 else 0.0
