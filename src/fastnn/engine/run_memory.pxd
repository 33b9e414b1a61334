# The memory that a run needs beside its buffers: orders of rows, losses of chunks, outputs and
# working memory for metrics, the best parameters of rules; and the copy of the parameters to which
# it returns if it diverges. Not here: buffers for rows (buffers.pxd).

from libc.stdint cimport int64_t

from fastnn.engine.leaves cimport fastnn_allocate, fastnn_free, real
from fastnn.engine.metrics cimport metric_scratch_size
from fastnn.engine.net cimport Net, chunks_of
from fastnn.engine.run cimport Judge, Kept, Run, Watch
from fastnn.engine.watch cimport keeps_best


cdef inline void *memory_of(void *memory, size_t size, bint *fits) noexcept nogil:
    """Return `memory`, or new memory of this size if it is NULL; clear `fits` if there is none."""
    if memory == NULL:
        memory = fastnn_allocate(size)
    fits[0] = fits[0] and memory != NULL
    return memory


cdef inline bint allocate_run_memory(Run *run) noexcept nogil:
    """Allocate what a run does not have yet from an earlier call; return False without enough
    memory. `free_run_memory` must be called in any case."""
    cdef Watch *watch = run.watch
    cdef const Net *net = run.net
    cdef size_t size = run.rows.n * sizeof(int64_t)
    cdef Py_ssize_t i, last = chunks_of(net, watch.last.rows.n)
    cdef Py_ssize_t chunks = last + chunks_of(net, watch.validation.rows.n)
    cdef bint fits = True
    watch.last.chunk_losses = <double *>memory_of(watch.last.chunk_losses,
                                                  chunks * sizeof(double), &fits)
    if fits:
        watch.validation.chunk_losses = watch.last.chunk_losses + last
    if run.generator != NULL:
        run.order = <int64_t *>memory_of(run.order, size, &fits)
    if run.compounds:
        run.last_order = <int64_t *>memory_of(run.last_order, size, &fits)
    allocate_judge(&watch.judge, run.rows.n, net.n_out, &fits)
    allocate_judge(&watch.validation_judge, watch.validation.rows.n, net.n_out, &fits)
    run.out, watch.validation.out = watch.judge.out, watch.validation_judge.out
    for i in range(watch.n_rules):
        if keeps_best(&watch.rules[i]):
            watch.rules[i].best_parameters = <real *>memory_of(
                watch.rules[i].best_parameters, net.block * sizeof(real), &fits)
    return fits


cdef inline void allocate_judge(Judge *judge, Py_ssize_t n, Py_ssize_t n_out,
                                bint *fits) noexcept nogil:
    """Allocate memory for n outputs and their metrics, if any."""
    if judge.n_metrics > 0:
        judge.out = <real *>memory_of(judge.out, n * n_out * sizeof(real), fits)
        judge.scratch = <double *>memory_of(
            judge.scratch, (n + metric_scratch_size(n, n_out)) * sizeof(double), fits)


cdef inline bint allocate_kept(Kept *kept, const Net *net, bint is_tiny) noexcept nogil:
    """Allocate memory for a copy of the parameters and, behind it, of a tiny network's arena,
    unless it has been allocated; return False if there is not enough."""
    cdef bint fits = True
    kept.memory = <real *>memory_of(
        kept.memory, net.block * (1 + net.n_blocks if is_tiny else 1) * sizeof(real), &fits)
    return fits


cdef inline void free_run_memory(Run *run) noexcept nogil:
    """Free what allocate_run_memory has allocated."""
    cdef Watch *watch = run.watch
    cdef Py_ssize_t i
    for i in range(watch.n_rules):
        fastnn_free(watch.rules[i].best_parameters)
        watch.rules[i].best_parameters = NULL
    free_judge(&watch.judge)
    free_judge(&watch.validation_judge)
    fastnn_free(run.order)
    fastnn_free(run.last_order)
    fastnn_free(watch.last.chunk_losses)
    run.order, run.last_order, watch.last.chunk_losses = NULL, NULL, NULL


cdef inline void free_judge(Judge *judge) noexcept nogil:
    fastnn_free(judge.out)
    fastnn_free(judge.scratch)
    judge.out, judge.scratch = NULL, NULL
