# The size of a team, the size of the portions of its work, and the rows of a slice, after which
# signals are handled. The size of a team may change between any two slices, since results are
# bit-identical for every size.

from fastnn.engine.net cimport Net, chunk_rows

# Below this many flops a step, the two barriers cost more than a second thread saves.
cdef inline double THREADING_FLOPS() noexcept nogil:
    return 1e6


# Flops of a slice of an epoch, about 10 ms. Signals are handled between slices.
cdef inline double SLICE_FLOPS() noexcept nogil:
    return 4e8


# The fewest flops of a portion of a step, about 0.4 ms: a thread that takes a portion of another
# thread's work transfers data between caches.
cdef inline double PORTION_FLOPS() noexcept nogil:
    return 4e7


cdef enum:
    MOST_PORTIONS = 8             # of a thread's rows or tiles
    SEVERAL_CHUNKS = 4            # rows are divided into portions from this many chunks a thread


# Calls of fewer flops, some microseconds, keep the GIL: releasing and acquiring it takes 10 % of a
# prediction of one row of 16-64-64-1.
cdef inline double BRIEF_FLOPS() noexcept nogil:
    return 2e5


# A step of more flops checks for signals itself.
cdef inline double LONG_FLOPS() noexcept nogil:
    return 4e9


cdef inline int team_size(double flops, int n_threads) noexcept nogil:
    """Return the number of threads for a step of `flops` flops, at most `n_threads`."""
    return n_threads if flops >= THREADING_FLOPS() else 1


cdef inline Py_ssize_t training_rows(Py_ssize_t batch, double row_flops) noexcept nogil:
    """Return the rows of a slice of an epoch: whole batches."""
    return batch * max(1, <Py_ssize_t>(SLICE_FLOPS() / (batch * row_flops + 1000)))


cdef inline Py_ssize_t inference_rows(const Net *net, int threads,
                                      double row_flops) noexcept nogil:
    """Return the rows of a slice of an evaluation: whole chunks, at least one for each thread."""
    cdef Py_ssize_t chunk = chunk_rows(net)
    return chunk * max(threads, <Py_ssize_t>(3 * SLICE_FLOPS() / (chunk * row_flops + 1000)))
