# A network as the loops see it: memory, layers, the buffers of a batch's rows, and what a team of
# threads works on together. Part of _kernels.pyx; nothing is computed here.

cdef inline Py_ssize_t panels_of(Py_ssize_t columns) noexcept nogil:
    return columns // PANEL + (columns % PANEL != 0)


def padded(columns):
    """Columns rounded up to whole panels, as a Python integer of any size."""
    return -(-columns // PANEL) * PANEL


cdef real *allocate(n) except NULL:
    """n zeroed reals on a cache line; n is a Python integer, so that no product overflows."""
    if n * sizeof(real) > (<size_t>-1) >> 2:
        raise MemoryError(f"{n} numbers don't fit in memory")
    cdef size_t size = <size_t>max(n, 1) * sizeof(real)
    cdef real *block = <real *>fastnn_allocate(size)
    if block == NULL:
        raise MemoryError(f"cannot allocate {size} bytes")
    return block


cdef int require(bint fits, str what) except -1:
    """No loop checks its indices. What is wrong with an argument, `_checks` has said before and in
    better words; this is for whoever calls without having asked there.
    """
    if not fits:
        raise ValueError(f"{what} doesn't fit the network, or the other arrays")
    return 0


cdef class Panels:
    """A matrix of rows x columns in panels, for the kernels that take arrays."""

    cdef real *data
    cdef Py_ssize_t rows, columns, jump

    def __cinit__(self, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t copies=1):
        self.rows, self.columns = rows, columns
        self.jump = (rows | 1) * PANEL  # odd, so that panels don't share cache sets
        self.data = allocate((rows | 1) * (panels_of(columns) * PANEL * copies))

    def __dealloc__(self):
        free(self.data)

    cdef int read(self, const fastnn_ops *ops, const real[:, ::1] source) except -1:
        require(source.shape[0] == self.rows and source.shape[1] == self.columns, "an array")
        if self.rows > 0 and self.columns > 0:
            ops.gather(self.rows, self.columns, &source[0, 0], NULL, self.data, self.jump)
        return 0

    cdef int write(self, const fastnn_ops *ops, real[:, ::1] out) except -1:
        require(out.shape[0] == self.rows and out.shape[1] == self.columns, "an array to write")
        if self.rows > 0 and self.columns > 0:
            ops.scatter(self.rows, self.columns, self.data, self.jump, &out[0, 0])
        return 0


# ---- the bound network --------------------------------------------------------------------------

cdef struct Layer:                # one Dense layer: z = h(z_prev @ W + b)
    Py_ssize_t n_in, n_out
    const fastnn_activation *activation
    real alpha
    real l1, l2
    double dropout                # rate applied to the layer's input
    bint linear                   # h(a) = a: there is nothing to compute
    bint narrow                   # W is stored transposed
    bint frozen                   # never updated
    real *W                       # (n_in, n_out) in panels; (n_out, n_in) where narrow
    real *b                       # (n_out,) padded, NULL without bias

cdef enum Clip:                   # of gradients, before the optimizer sees them
    NO_CLIP
    BY_VALUE                      # each number to [-bound, bound]
    BY_NORM                       # each W and each b to a norm of at most the bound
    BY_GLOBAL_NORM                # all of them together

cdef struct Targets:              # what a loss takes
    bint labels                   # integers from 0, below the number of outputs; or numbers
    double low, high              # from here to there

cdef struct Net:
    const fastnn_ops *ops
    Py_ssize_t n_layers
    Layer *layers
    Py_ssize_t n_tiles            # of all weights, PANEL x PANEL each
    const fastnn_loss *loss
    real *loss_parameter          # (n_out,) padded
    Targets targets
    bint is_mean                  # the batch's loss is divided by its rows (or its weights)
    bint penalized
    bint shares_penalty           # penalties are divided by what the batch's losses are
    bint on_line                  # single rows have an update of their own
    Py_ssize_t lowest             # layer that isn't frozen: deltas are needed from there up
    real *mean                    # (n_in,) padded: inputs are standardized, (x - mean) * inverse;
    real *inverse                 # NULL if they aren't
    bint waits_for_data           # they are to be, but it isn't known how
    const fastnn_optimizer *optimizer
    fastnn_hyper hyper
    fastnn_schedule schedule      # of the learning rate
    Clip clip
    real bound
    bint averaged                 # a moving average of the weights is the arena's last block
    double momentum               # of that average
    real *arena                   # all W and b; then each moment in the same order
    Py_ssize_t block              # reals in each of these blocks
    Py_ssize_t n_blocks           # parameters, each moment, the moving average if any
    int claimed                   # a thread trains it or changes its weights
    fastnn_tiny tiny              # the network for tiny.c; without layers where it isn't tiny
    uint64_t seed                 # of dropout's masks
    int64_t step                  # updates made so far
    int64_t epoch                 # whole epochs

cdef struct Buffers:              # what one layer keeps of a batch's rows, in panels
    real *z_prev                  # its input: the batch, or z of the layer below
    real *dropped                 # that input after dropout, NULL without
    real *z
    real *slope                   # h'(a) where it isn't a function of z, else NULL
    real *delta

cdef struct Space:                # room for the rows of a batch
    Py_ssize_t rows
    real *memory                  # that most of what follows is in
    Py_ssize_t stride             # rows a panel: odd, so that panels don't share cache sets
    Buffers *layers
    real *target
    real *weight                  # (rows,) of the rows, over the batch's total
    double *loss                  # (rows,) losses of the rows, times weight
    double *penalty               # (n_tiles,)
    double *squares               # (n_tiles, 2) sums of squared gradients, of weights and of biases
    real *gradient                # a block like the arena's, where gradients must be stored
    real *scratch                 # a stretch for each thread: a panel of W.T, or a tile of dW
    Py_ssize_t scratch_stretch


cdef Py_ssize_t layer_tiles(const Layer *layer) noexcept nogil:
    return panels_of(layer.n_in) * panels_of(layer.n_out)


cdef bint clips_norm(const Net *net) noexcept nogil:
    """Whether a step needs all gradients before it can update any weight."""
    return net.clip == BY_NORM or net.clip == BY_GLOBAL_NORM


cdef Py_ssize_t place(real **pointer, real *base, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Puts a pointer at base + at; returns the place after n reals, on a cache line."""
    pointer[0] = base + at
    return at + (n + PANEL - 1) // PANEL * PANEL


cdef Py_ssize_t lay_out(Space *space, const Net *net, int n_threads, bint backward, bint dropout,
                        real *base) noexcept nogil:
    """Places every buffer from `base` on; returns the number of reals that takes."""
    cdef Py_ssize_t l, width, widest = 0, at = 0, last = net.n_layers - 1
    cdef Py_ssize_t panel = space.stride * PANEL
    cdef Py_ssize_t doubles = sizeof(double) // sizeof(real)
    cdef const Layer *layer
    cdef Buffers *buffers
    at = place(&space.layers[0].z_prev, base, at, panels_of(net.layers[0].n_in) * panel)
    for l in range(net.n_layers):
        layer, buffers = &net.layers[l], &space.layers[l]
        width = panels_of(layer.n_out) * panel
        widest = max(widest, layer.n_out)
        at = place(&buffers.z, base, at, width)
        if l > 0:
            buffers.z_prev = space.layers[l - 1].z
        if dropout and layer.dropout > 0:
            at = place(&buffers.dropped, base, at, panels_of(layer.n_in) * panel)
        if backward and layer.activation.keeps_slope:
            at = place(&buffers.slope, base, at, width)
        if backward or l == last:
            at = place(&buffers.delta, base, at, width)
    at = place(&space.target, base, at, panels_of(net.layers[last].n_out) * panel)
    at = place(&space.weight, base, at, space.rows)
    at = place(<real **>&space.loss, base, at, space.rows * doubles)
    at = place(<real **>&space.penalty, base, at, net.n_tiles * doubles)
    if backward and clips_norm(net):
        at = place(<real **>&space.squares, base, at, 2 * net.n_tiles * doubles)
    space.scratch_stretch = (panels_of(widest) + 1) * PANEL * PANEL
    at = place(&space.scratch, base, at, n_threads * space.scratch_stretch)
    return at + PANEL * PANEL  # read, not used, by leaves that take LANES rows at a time


cdef double most_bytes(const Net *net, Py_ssize_t rows) noexcept nogil:
    """More than all the buffers for so many rows take, as a number that doesn't overflow."""
    cdef double columns = net.layers[0].n_in
    cdef Py_ssize_t l
    for l in range(net.n_layers):
        columns += net.layers[l].n_out + 2 * PANEL
    return (<double>rows + 1) * 5 * columns * sizeof(double)


cdef bint furnish(Space *space, const Net *net, Py_ssize_t rows, int n_threads, bint backward,
                  bint dropout, bint gradient) noexcept nogil:
    """Makes room for `rows` rows of a batch in every layer, and scratch for each thread.

    With `backward` it holds all that the backward pass needs, else only z and what evaluating a
    loss needs at the output; with `dropout` also the inputs after dropout; with `gradient` a block
    of gradients, for batches of several rounds and for clipping by norms. False if there is no
    memory; `clear` is to be called all the same.
    """
    cdef Py_ssize_t size
    memset(space, 0, sizeof(Space))
    if most_bytes(net, rows) > <double>((<size_t>-1) >> 2):
        return False
    space.rows, space.stride = rows, rows | 1
    space.layers = <Buffers *>calloc(net.n_layers, sizeof(Buffers))
    if space.layers == NULL:
        return False
    size = lay_out(space, net, n_threads, backward, dropout, NULL)
    space.memory = <real *>fastnn_allocate(size * sizeof(real))
    if space.memory == NULL:
        return False
    lay_out(space, net, n_threads, backward, dropout, space.memory)
    if gradient or (backward and clips_norm(net)):
        space.gradient = <real *>fastnn_allocate(net.block * sizeof(real))
        return space.gradient != NULL
    return True


cdef void clear(Space *space) noexcept nogil:
    """Frees what a space holds."""
    free(space.layers)
    free(space.gradient)
    free(space.memory)


cdef class Workspace:
    """A space of Python's own; see `furnish`."""

    cdef Space space
    cdef readonly int n_threads

    def __cinit__(self, Network network, Py_ssize_t rows, int n_threads, bint backward,
                  bint dropout, bint gradient):
        self.n_threads = n_threads
        if not furnish(&self.space, &network.net, rows, n_threads, backward, dropout, gradient):
            raise MemoryError(f"a batch of {rows} rows doesn't fit in memory")

    def __dealloc__(self):
        clear(&self.space)

    @property
    def rows(self):
        """Rows that there is room for."""
        return self.space.rows

    cdef bint suits(self, Py_ssize_t batch, int n_threads) noexcept:
        """Whether a batch of so many rows can be trained in it by so many threads."""
        return (self.space.rows >= min(batch, ROUND) and self.n_threads >= n_threads
                and (batch <= ROUND or self.space.gradient != NULL))


cdef enum Phase:                  # of a training step; their names are PHASES
    INPUT
    FORWARD
    LOSS
    DELTA
    UPDATE
    WAIT
    N_PHASES

cdef struct Clock:                # where a thread's time goes
    double since                  # when the present phase began
    double[N_PHASES] seconds

cdef enum End:                    # why a call's steps end before their last
    NOT_YET
    DIVERGED                      # a loss isn't finite: its step is not made
    INTERRUPTED                   # a signal

cdef struct Job:                  # what the threads of a team work on together
    Net *net
    Space *space
    const real *X                 # (n_rows, n_in)
    const real *T                 # targets (n_rows, n_out), or
    const int64_t *labels         # class labels (n_rows,)
    const real *weights           # (n_rows,), or NULL for equal ones
    const int64_t *order          # rows in the order of their use, NULL for 0, 1, ...
    Py_ssize_t n_rows, batch
    Py_ssize_t first, stop        # positions in that order: this slice
    real *out                     # (n_rows, n_out): predictions; in training those of each batch
    #                               before its update, in the order of their use
    double *chunk_losses          # losses, one for each CHUNK rows
    real *gradient                # a block like the arena's, where the caller wants it
    bint tiny                     # by tiny.c
    bint polls                    # a step is so long that signals are handled in it
    Clock *clocks                 # one for each thread, where the caller wants to know
    double loss                   # sum of the batches' losses times their rows' weight
    double total                  # of the rows' weights
    End end                       # set by any thread before a barrier, read by all after it
    double last_loss              # of the batch that it ended with
    real *keep                    # where the weights go once this slice's first loss is known to be
    #                               finite, or NULL
    void *network                 # whose `pending` is the exception that a signal raised


cdef struct Own:                  # what a thread of the team has to itself
    real *scratch
    Clock *clock                  # or NULL
    bint polls                    # it handles signals amid a step


cdef Own own_of(const Job *job, int rank) noexcept nogil:
    cdef Own own
    own.polls = job.polls and rank == 0
    own.scratch = job.space.scratch + rank * job.space.scratch_stretch
    own.clock = NULL
    if job.clocks != NULL:
        own.clock = job.clocks + rank
        own.clock.since = monotonic()
    return own


cdef double monotonic() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <double>t.tv_sec + 1e-9 * <double>t.tv_nsec


cdef inline void lap(Clock *clock, Phase phase) noexcept nogil:
    """The time since the last lap was this phase's."""
    cdef double now
    if clock == NULL:
        return
    now = monotonic()
    clock.seconds[<int>phase] += now - clock.since
    clock.since = now
