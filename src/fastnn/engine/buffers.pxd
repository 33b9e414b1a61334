# Memory for the rows of a batch in every stage. Kind.lay_out places the buffers of a stage.

from libc.stdint cimport int32_t, uint8_t, uint16_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from fastnn.engine.leaves cimport (
    PANEL,
    PAST,
    SLICE,
    STRIP,
    fastnn_allocate,
    fastnn_column_lists,
    fastnn_entry,
    fastnn_free,
    fastnn_past,
    fastnn_sparse_row,
    real,
)
from fastnn.engine.net cimport (
    DERIVATIVES,
    INFERENCE,
    STRIP_PANELS,
    TRAINING,
    TRANSPOSED,
    Buffers,
    Columns,
    Net,
    Nonzeros,
    Purpose,
    Stage,
    StageBuffers,
    clips_norm,
    have_strips,
    lowest_with_parameters,
    panels_of,
    place,
)


cdef inline Py_ssize_t lay_out(Buffers *buffers, const Net *net, int n_threads, Purpose purpose,
                               real *base) noexcept nogil:
    """Place all buffers from `base` on; return the number of reals that they take."""
    cdef Py_ssize_t i, widest = 0, at = 0, panel = buffers.stride * PANEL
    cdef Py_ssize_t doubles = sizeof(double) // sizeof(real), rows = buffers.rows * net.members
    cdef Py_ssize_t out = panels_of(net.n_out) * panel
    cdef StageBuffers *here
    if buffers.nonzeros == NULL:
        at = place(&buffers.stages[0].z_prev, base, at, panels_of(net.n_in) * panel)
    if purpose == DERIVATIVES:
        at = place(&(buffers.stages - 1).delta, base, at, panels_of(net.n_in) * panel)
    for i in range(net.n_stages):
        here = &buffers.stages[i]
        if i > 0:
            here.z_prev = (here - 1).z
        at = net.stages[i].kind.lay_out(&net.stages[i], here, buffers.stride, purpose, base, at)
        widest = max(widest, net.stages[i].n_out)
    if purpose == INFERENCE:  # the loss writes its gradient there
        at = place(&buffers.stages[net.n_stages - 1].delta, base, at, out)
    at = place(&buffers.target, base, at, out)
    at = place(&buffers.weight, base, at, rows)
    at = place(<real **>&buffers.loss, base, at, rows * doubles)
    at = place(<real **>&buffers.penalty, base, at, net.n_tiles * doubles)
    if purpose != INFERENCE and clips_norm(net):
        at = place(<real **>&buffers.squares, base, at, 2 * net.n_tiles * doubles)
    buffers.scratch_size = TRANSPOSED * panels_of(widest) * PANEL * PANEL
    if purpose != INFERENCE and have_strips(net, buffers.rows):
        buffers.scratch_size = (2 + STRIP_PANELS * panels_of(widest)) * PANEL * PANEL
    at = place(&buffers.scratch, base, at, n_threads * buffers.scratch_size)
    if purpose != INFERENCE and lowest_with_parameters(net).skips_zeros:
        buffers.lists_size = panels_of(
            (rows + SLICE - 1) // SLICE * sizeof(fastnn_column_lists) // sizeof(real)
        ) * PANEL
        buffers.strips_size = buffers.lists_size + STRIP * PANEL * PANEL
        at = place(&buffers.strips, base, at, n_threads * buffers.strips_size)
    return at + PANEL * PANEL  # read, not used, by leaves that take LANES rows at a time


cdef inline double most_bytes(const Net *net, Py_ssize_t rows) noexcept nogil:
    """Return an upper bound of the bytes of the buffers for `rows` rows, as a double that cannot
    overflow.

    A stage has up to 5 panels for each column of z and 2 for each of z_prev (block_dense.pxd).
    """
    cdef double columns = net.n_in + PANEL
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        columns += net.stages[i].n_out + PANEL
    return (<double>rows + 1) * net.members * 8 * PANEL * columns * sizeof(double)


cdef inline bint allocate_buffers(Buffers *buffers, const Net *net, Py_ssize_t rows, int n_threads,
                                  Purpose purpose, bint gradient,
                                  bint nonzeros=False) noexcept nogil:
    """Allocate buffers for `rows` rows of a batch in every stage, and scratch for each thread.

    `gradient` adds a block of gradients, for batches of several rounds; with `nonzeros`, inputs are
    nonzeros. Return False if there is no memory: `free_buffers` must be called in that case, too.
    """
    cdef Py_ssize_t size
    memset(buffers, 0, sizeof(Buffers))
    if nonzeros:
        buffers.nonzeros = allocate_nonzeros(net.n_in, rows,
                                             0 if purpose == INFERENCE else n_threads)
        if buffers.nonzeros == NULL:
            return False
        buffers.indexed = buffers.nonzeros
    elif purpose == TRAINING and indexed_rows(net) > 0:
        buffers.indexed = allocate_nonzeros(indexed_rows(net), 0, n_threads)
        if buffers.indexed == NULL:
            return False
    if most_bytes(net, rows) > <double>((<size_t>-1) >> 2):
        return False
    buffers.rows, buffers.stride = rows, rows * net.members | 1
    buffers.stages = <StageBuffers *>calloc(1 + net.n_stages, sizeof(StageBuffers))
    if buffers.stages == NULL:
        return False
    buffers.stages += 1  # stages[-1] has the delta of the inputs
    size = lay_out(buffers, net, n_threads, purpose, NULL)
    buffers.memory = <real *>fastnn_allocate(size * sizeof(real))
    if buffers.memory == NULL:
        return False
    lay_out(buffers, net, n_threads, purpose, buffers.memory)
    buffers.stages[0].nonzeros = buffers.nonzeros
    if gradient or (purpose != INFERENCE and clips_norm(net)):
        buffers.gradient = <real *>fastnn_allocate(net.block * sizeof(real))
        return buffers.gradient != NULL
    return True


cdef inline void free_buffers(Buffers *buffers) noexcept nogil:
    if buffers.stages != NULL:
        free(buffers.stages - 1)
    free_nonzeros(buffers.indexed)  # the same block as `nonzeros`, if that is not NULL
    fastnn_free(buffers.gradient)
    fastnn_free(buffers.memory)


# ---- inputs as nonzeros -------------------------------------------------------------------------

cdef inline Py_ssize_t indexed_rows(const Net *net) noexcept nogil:
    """Return the rows of the lowest W if Kind.index_rows lists which of them a batch reads, or 0.

    `index_rows` reads the caller's rows, so it is not used where rows have copies for members.
    """
    cdef const Stage *stage = lowest_with_parameters(net)
    if net.members > 1 or stage.kind.index_rows == NULL or not stage.may_postpone:
        return 0
    return stage.W_rows


cdef inline Nonzeros *allocate_nonzeros(Py_ssize_t n_in, Py_ssize_t rows,
                                        int n_threads) noexcept nogil:
    """Allocate memory for `rows` rows of nonzeros, for the index of their n_in columns on each
    thread, and for the counts of updates (n_in,); NULL if there is no memory."""
    cdef Nonzeros *made = <Nonzeros *>calloc(1, sizeof(Nonzeros))
    cdef Columns *columns
    cdef int rank
    if made == NULL:
        return NULL
    made.n_in = n_in
    made.rows = <fastnn_sparse_row *>calloc(max(1, rows), sizeof(fastnn_sparse_row))
    if made.rows == NULL:
        free_nonzeros(made)
        return NULL
    if n_threads == 0:
        return made
    made.columns = <Columns *>calloc(n_threads, sizeof(Columns))
    made.past = <fastnn_past *>calloc(PAST, sizeof(fastnn_past))
    made.done = <uint16_t *>calloc(n_in, sizeof(uint16_t))
    made.resting = <uint8_t *>calloc(n_in, sizeof(uint8_t))
    if (made.columns == NULL or made.past == NULL or made.done == NULL
            or made.resting == NULL):
        free_nonzeros(made)
        return NULL
    made.n_threads = n_threads
    for rank in range(n_threads):
        columns = &made.columns[rank]
        columns.first = <Py_ssize_t *>calloc(n_in, sizeof(Py_ssize_t))
        columns.count = <int32_t *>calloc(n_in, sizeof(int32_t))
        columns.used = <int32_t *>calloc(n_in + 1, sizeof(int32_t))
        if columns.first == NULL or columns.count == NULL or columns.used == NULL:
            free_nonzeros(made)
            return NULL
    return made


cdef inline void free_nonzeros(Nonzeros *nonzeros) noexcept nogil:
    cdef int rank
    if nonzeros == NULL:
        return
    for rank in range(nonzeros.n_threads):
        free(nonzeros.columns[rank].entries)
        free(nonzeros.columns[rank].first)
        free(nonzeros.columns[rank].count)
        free(nonzeros.columns[rank].used)
    free(nonzeros.done)
    free(nonzeros.resting)
    free(nonzeros.past)
    free(nonzeros.columns)
    free(nonzeros.rows)
    free(nonzeros)


cdef inline bint reserve_nonzeros(Nonzeros *nonzeros, Py_ssize_t n) noexcept nogil:
    """Make room for n nonzeros on each thread; False if there is no memory.

    New room is zeroed: entries that are read by mistake, since another thread has changed the rows,
    must be valid.
    """
    cdef Columns *columns
    cdef fastnn_entry *entries
    cdef int rank
    for rank in range(nonzeros.n_threads):
        columns = &nonzeros.columns[rank]
        if columns.capacity < n:
            n = max(n, columns.capacity + columns.capacity // 2)
            entries = <fastnn_entry *>realloc(columns.entries, n * sizeof(fastnn_entry))
            if entries == NULL:
                return False
            memset(entries + columns.capacity, 0, (n - columns.capacity) * sizeof(fastnn_entry))
            columns.entries, columns.capacity = entries, n
    return True
