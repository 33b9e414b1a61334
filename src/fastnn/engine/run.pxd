# A run: a training described as data, which the engine carries out without the GIL. It has the rows
# and their order in every epoch, validation rows, metrics and rules, the position in the training,
# and the reason why it ended. Not here: the steps (step.pxd), the rules that follow losses
# (watch.pxd), and the loop over epochs that calls callbacks (training/loop.py).

from libc.stdint cimport int64_t

from fastnn.engine.clock cimport Clock
from fastnn.engine.leaves cimport real
from fastnn.engine.metrics cimport Metric
from fastnn.engine.net cimport Buffers, Net
from fastnn.engine.orders cimport bitgen_t
from fastnn.engine.rows cimport Rows

# Rows trained between two copies of the parameters, to which a run returns if its loss diverges. A
# copy costs about as much as three rows.
cdef enum:
    KEEP_ROWS = 4096

cdef enum End:                    # why a run ends before its last step
    NOT_YET
    DIVERGED                      # a loss isn't finite; its step was not made, unless `overflowed`
    LAST_DIVERGED                 # the loss after the last update of an epoch isn't finite
    STOPPED                       # a rule ended it, or Watch.stop was set: after a complete epoch
    INTERRUPTED                   # a signal arrived, or the members of a fit_many are abandoned
    NO_MEMORY

cdef struct Kept:                 # parameters that are known to have given a finite loss
    real *memory                  # (block,); then room for the whole arena of a tiny network
    int64_t step                  # number of updates made before the copy; -1: there is no copy
    Py_ssize_t rows               # rows trained since the copy

# ---- validation, metrics and rules --------------------------------------------------------------

cdef struct Evaluation:           # rows whose outputs, losses or both are computed
    const Net *net
    const Buffers *buffers
    Rows rows
    Py_ssize_t first, stop        # positions of the current slice
    Py_ssize_t taken              # chunks taken so far, besides the first of each thread
    real *out                     # (n, n_out) predictions, or NULL
    double *chunk_losses          # (chunks,) sums of the losses of each chunk, or NULL
    bint skips_zeros              # the inputs have many zeros, and the lowest W is finite

cdef struct Judge:                # metrics of the rows of an epoch
    Py_ssize_t n_metrics
    Metric *metrics
    const real *sample_weight     # (rows,) all above 0, without class weights; or NULL
    double *values                # (until, n_metrics)
    real *out                     # (n, n_out) memory for the outputs of these rows
    double *scratch               # working memory of the metrics

cdef enum RuleKind:
    STOPS                         # stops the run, like the callback EarlyStopping
    LOWERS                        # lowers the learning rate, like ReduceLROnPlateau
    CONVERGES                     # does either, like scikit-learn's estimators

cdef struct Value:                # a value of an epoch that a rule follows
    bint on_validation            # of the validation rows; if False, of the training rows
    Py_ssize_t metric             # the number of a metric; -1: the loss

cdef struct Rule:
    RuleKind kind
    Value value
    bint higher                   # higher values are better
    double min_delta
    Py_ssize_t patience, wait
    bint has_best
    double best
    # ---- STOPS
    Py_ssize_t start_from         # epochs before this one are ignored
    bint has_baseline
    double baseline
    bint restores                 # the parameters of the best epoch are kept
    real *best_parameters         # (block,) memory for these parameters
    Py_ssize_t best_epoch         # -1: none yet
    Py_ssize_t stopped_epoch
    # ---- LOWERS
    double factor, least
    Py_ssize_t cooldown, cooldown_counter
    # ---- CONVERGES: `min_delta` is tol, `patience` n_iter_no_change, `wait` the epochs that did
    # not improve, `best` the best loss, or the best score with `restores`
    # The rule follows loss + offset - squares_factor * (the metric `squares`).
    double offset, squares_factor
    Py_ssize_t squares            # number of a metric of the same rows; -1: none
    Py_ssize_t score              # the metric of validation rows that is followed; -1: the loss
    bint adapts                   # lower the learning rate before ending the run
    double power                  # exponent by which the rate decreases with `rows`; 0: constant
    double first_rate, rate
    int64_t rows                  # trained so far, before this run, too
    bint by_rows                  # the loss that is followed is in watch.row_losses

cdef struct Watch:
    bint has_validation
    bint judges_averages          # validation and best_parameters use averages of the parameters
    Evaluation validation         # the validation rows
    Judge judge, validation_judge  # metrics of the training rows and of the validation rows
    Evaluation last               # rows on which the parameters after the last update are tried
    bint tries_each_epoch         # after every epoch, not only after the last one
    double *val_losses            # (until,) if there are validation rows
    double *rates                 # (until,) the learning rate of each epoch, or NULL
    double *row_losses            # (until,) mean over the rows of their batch's loss, or NULL
    Py_ssize_t n_rules
    Rule *rules
    bint settles_divergence       # divergence is not an error, since a rule handles it
    const int *stop_flag          # nonzero: end the run after the current epoch


# ---- a run --------------------------------------------------------------------------------------

cdef struct Run

cdef struct Run:
    Rows rows
    Net *net
    Buffers *buffers
    Py_ssize_t batch
    # ---- epochs
    Py_ssize_t begin, end         # positions in the order: the part of each epoch that is trained
    Py_ssize_t epochs             # number of epochs in all
    Py_ssize_t until              # train up to this number of epochs: `losses` has room for them
    Py_ssize_t epoch              # number of finished epochs
    bint begun                    # the current epoch has begun, and its order has been drawn
    bitgen_t *generator           # draws the order of each epoch; NULL: rows.order in each
    const int64_t *numbers        # (rows.n,) the rows that take part; NULL: all, as they are stored
    int64_t *order                # (rows.n,) room for the order of an epoch
    # Draws an order under the lock of the generator, if other code draws from it, too; or NULL.
    void (*draw)(Run *run) noexcept nogil
    void *drawer
    bint compounds                # each epoch shuffles the order of the epoch before
    int64_t *last_order           # (rows.n,) order of the epoch before, if `compounds`
    double *losses                # (until,) the loss of each epoch; NULL: epochs are not counted
    Watch *watch                  # validation, metrics and rules, or NULL
    # ---- how
    int n_threads                 # threads for a step, at most
    int most_threads              # threads for any task, at most
    Py_ssize_t slice_rows         # rows of a slice: signals are handled between slices
    bint tiny                     # tiny.c makes the steps
    bint skips_zeros              # the inputs have many zeros, and the lowest W is finite
    bint by_columns               # a team divides columns, unless zeros are skipped
    Kept *keep                    # where parameters with a finite loss are kept, or NULL
    real *gradient                # memory for the gradient, if no update is wanted; or NULL
    real *out                     # (end, n_out): outputs before each update, or NULL
    Clock *clocks                 # one for each thread, or NULL
    bint polls                    # steps are so long that they check for signals themselves
    bint (*interrupted)(void *owner) noexcept nogil  # handles signals; returns whether to end
    void *owner                   # the argument of `interrupted`
    # ---- its position
    Py_ssize_t first, stop        # positions of the current slice
    real *copy_to                 # where the slice's first step copies the parameters; or NULL
    int64_t epoch_step            # updates made before the current epoch
    double loss                   # sum of the batches' losses in the epoch; of means, times weight
    double total                  # sum of the weights of the epoch's rows
    double row_loss               # sum over the epoch's rows of the loss of their batch
    End ended                     # set by any thread before a barrier, read by all after it
    double last_loss              # loss of the batch that ended the run
    bint overflowed               # only the penalties aren't finite, which is known after the step
    int64_t failed_step           # the step that ended the run: its number in its epoch, from 1
    double failed_rate            # learning rate of the step that ended the run


cdef inline bint has_diverged(const Run *run) noexcept nogil:
    """Whether the run ended because a loss was not finite, in a step or after an epoch."""
    return run.ended == DIVERGED or run.ended == LAST_DIVERGED


cdef inline double reduced(const Net *net, double loss, double total) noexcept nogil:
    """Return the loss of rows as the network defines it: their sum, or their mean by weight."""
    if not net.is_mean:
        return loss
    return loss / total if total > 0 else 0.0
