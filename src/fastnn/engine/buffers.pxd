# Memory for the rows of a batch in every stage. Kind.lay_out of a stage places what it needs.

from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, fastnn_free, real
from fastnn.engine.net cimport (
    DERIVATIVES,
    INFERENCE,
    TRANSPOSED,
    Buffers,
    Net,
    Purpose,
    Stage,
    StageBuffers,
    clips_norm,
    panels_of,
    place,
)


cdef inline Py_ssize_t lay_out(Buffers *buffers, const Net *net, int n_threads, Purpose purpose,
                               real *base) noexcept nogil:
    """Places every buffer from `base` on; returns the number of reals that takes."""
    cdef Py_ssize_t i, widest = 0, at = 0, panel = buffers.stride * PANEL
    cdef Py_ssize_t doubles = sizeof(double) // sizeof(real)
    cdef Py_ssize_t out = panels_of(net.n_out) * panel
    cdef StageBuffers *own
    at = place(&buffers.stages[0].z_prev, base, at, panels_of(net.n_in) * panel)
    if purpose == DERIVATIVES:
        at = place(&(buffers.stages - 1).delta, base, at, panels_of(net.n_in) * panel)
    for i in range(net.n_stages):
        own = &buffers.stages[i]
        if i > 0:
            own.z_prev = (own - 1).z
        at = net.stages[i].kind.lay_out(&net.stages[i], own, buffers.stride, purpose, base, at)
        widest = max(widest, net.stages[i].n_out)
    if purpose == INFERENCE:  # the loss writes there
        at = place(&buffers.stages[net.n_stages - 1].delta, base, at, out)
    at = place(&buffers.target, base, at, out)
    at = place(&buffers.weight, base, at, buffers.rows)
    at = place(<real **>&buffers.loss, base, at, buffers.rows * doubles)
    at = place(<real **>&buffers.penalty, base, at, net.n_tiles * doubles)
    if purpose != INFERENCE and clips_norm(net):
        at = place(<real **>&buffers.squares, base, at, 2 * net.n_tiles * doubles)
    buffers.scratch_stretch = TRANSPOSED * panels_of(widest) * PANEL * PANEL
    at = place(&buffers.scratch, base, at, n_threads * buffers.scratch_stretch)
    return at + PANEL * PANEL  # read, not used, by leaves that take LANES rows at a time


cdef inline double most_bytes(const Net *net, Py_ssize_t rows) noexcept nogil:
    """An upper bound of the bytes of all buffers for these rows, which doesn't overflow."""
    cdef double columns = net.n_in
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        columns += net.stages[i].n_out + 2 * PANEL
    return (<double>rows + 1) * 5 * columns * sizeof(double)


cdef inline bint allocate_buffers(Buffers *buffers, const Net *net, Py_ssize_t rows, int n_threads,
                                  Purpose purpose, bint gradient) noexcept nogil:
    """Room for `rows` rows of a batch in every stage, and scratch for each thread.

    With `gradient` also a block of gradients, for batches of several rounds. False if there is no
    memory; `free_buffers` is to be called all the same.
    """
    cdef Py_ssize_t size
    memset(buffers, 0, sizeof(Buffers))
    if most_bytes(net, rows) > <double>((<size_t>-1) >> 2):
        return False
    buffers.rows, buffers.stride = rows, rows | 1
    buffers.stages = <StageBuffers *>calloc(1 + net.n_stages, sizeof(StageBuffers))
    if buffers.stages == NULL:
        return False
    buffers.stages += 1  # a place before the first stage, for the delta of the inputs
    size = lay_out(buffers, net, n_threads, purpose, NULL)
    buffers.memory = <real *>fastnn_allocate(size * sizeof(real))
    if buffers.memory == NULL:
        return False
    lay_out(buffers, net, n_threads, purpose, buffers.memory)
    if gradient or (purpose != INFERENCE and clips_norm(net)):
        buffers.gradient = <real *>fastnn_allocate(net.block * sizeof(real))
        return buffers.gradient != NULL
    return True


cdef inline void free_buffers(Buffers *buffers) noexcept nogil:
    if buffers.stages != NULL:
        free(buffers.stages - 1)
    fastnn_free(buffers.gradient)
    fastnn_free(buffers.memory)
