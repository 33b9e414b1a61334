# Zeros among the inputs: whether the rows of a run, or of predictions, have so many zeros that the
# lowest Dense skips products with them. Results have the same bits, since a product with zero adds
# 0 to a chain of fused multiply-adds, as long as the other factor is finite. Not here: the products
# (simd/zeros.h), and the choice of chunks of rows and panels of columns whose zeros are skipped
# (stages/dense.pxd).

from libc.stdint cimport uint64_t

from fastnn.engine.leaves cimport fastnn_is_owner, fastnn_releases
from fastnn.engine.net cimport Net, Stage, W_size, lowest_with_parameters
from fastnn.engine.rows cimport Rows, are_nonzeros, index_of
from fastnn.engine.run cimport Run

# Number of rows whose nonzeros are counted.
cdef enum:
    SAMPLED_ROWS = 16

# Batches of fewer rows do not skip zeros, since most of their step is the update.
cdef enum:
    SKIPPING_ROWS = 16


# Largest fraction of nonzeros for which zeros are skipped: with more, a step is hardly faster.
cdef inline double MOST_NONZEROS() noexcept nogil:
    return 0.4


cdef inline bint trains_on_zeros(const Run *run) noexcept nogil:
    """Whether the steps of a run skip zeros, as long as W is finite (watch_weights in step.pxd)."""
    return (run.batch >= SKIPPING_ROWS
            and have_zeros(run.net, &run.rows, run.begin, run.end, True)
            and not multiplies_zeros(run.net))


cdef inline bint predicts_zeros(Net *net, const Rows *rows, bint dropout) noexcept nogil:
    """Whether predictions of these rows skip zeros.

    Checking that W is finite takes as long as the prediction of some rows, so it is not checked for
    a first call with few rows after a change of the parameters.
    """
    cdef uint64_t now
    if not lowest_with_parameters(net).skips_zeros:  # most calls of small networks end here
        return False
    now = fastnn_releases(&net.claim) + 1
    if not have_zeros(net, rows, 0, rows.n, dropout):
        return False
    if rows.n < SKIPPING_ROWS and net.finite_until != now and net.predicts_until != now:
        net.predicts_until = now
        return False
    return not multiplies_zeros(net)


cdef inline bint have_zeros(const Net *net, const Rows *rows, Py_ssize_t first, Py_ssize_t stop,
                            bint dropout) noexcept nogil:
    """Whether a stage can skip zeros, and rows at positions first ... stop have few nonzeros.

    The nonzeros of SAMPLED_ROWS of the rows are counted; of CSR, those of all rows.
    """
    cdef Py_ssize_t i, row, n = min(stop - first, <Py_ssize_t>SAMPLED_ROWS)
    cdef double kept = 1.0, count = 0
    if not lowest_with_parameters(net).skips_zeros or are_nonzeros(rows):
        return False
    for i in range(net.first_parameters if dropout else 0):
        kept *= net.stages[i].keep_rate
    if rows.X == NULL:
        count = n * rows.nonzeros_each
    else:
        for i in range(n):
            row = index_of(rows, first + i * (stop - first) // n)
            count += net.ops.count_nonzeros(net.n_in, 1, rows.X + row * net.n_in, 0)
    return kept * count <= MOST_NONZEROS() * n * net.n_in


cdef inline bint is_finite(const Net *net, const Stage *stage) noexcept nogil:
    return net.ops.first_nonfinite(W_size(stage), stage.W) < 0


cdef inline bint multiplies_zeros(Net *net) noexcept nogil:
    """Whether products with zeros must be computed, since a weight of the lowest W is not finite.

    If W is finite, net.finite_until records that until the parameters change. A thread that owns
    the claim may be changing them, as in a signal's handler during a run, and records nothing.
    """
    cdef uint64_t now = fastnn_releases(&net.claim) + 1  # 0: nothing is known
    if net.finite_until != now:
        if not is_finite(net, lowest_with_parameters(net)):
            return True
        if not fastnn_is_owner(&net.claim):
            net.finite_until = now
    return False


cdef inline void record_finite(Net *net) noexcept nogil:
    """Record that W is finite, for the time after this thread, which has changed W, releases its
    claim."""
    net.finite_until = fastnn_releases(&net.claim) + 2
