"""The hot loops: the bound network, its forward pass, deltas and updates, and whole epochs.

This one source is compiled for float and for double (`real` is decided by the C header) into the
modules _kernels_f32 and _kernels_f64. What runs per panel lives in simd/ as C leaves, reached
through a table chosen for the CPU; here is what runs over them: layers, chunks of rows, tiles of
weights, batches, threads. Shapes and the panel layout are described in simd/ops.h.

A training step, on each thread of a team:

    its rows of the batch:   gather, forward, loss and output delta, hidden deltas
    ------------------------ barrier: every delta is known ------------------------
    its tiles of the weights: dW = z_prev.T @ delta, and the optimizer right after it
    ------------------------ barrier: every weight is new -------------------------

Every number has one owner and one order of summation, so the bits don't depend on the team's size.
All deltas of a step use the weights from before it. Nothing allocates once a workspace is bound.

Not here: checks of what users pass (_checks.py comes first), defaults, history, callbacks.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from _ops cimport (
    NARROW,
    PANEL,
    fastnn_activation,
    fastnn_allocate,
    fastnn_dropout_args,
    fastnn_flush_subnormals,
    fastnn_function,
    fastnn_hyper,
    fastnn_loss,
    fastnn_loss_args,
    fastnn_ops,
    fastnn_optimizer,
    fastnn_restore_subnormals,
    fastnn_run,
    fastnn_step,
    fastnn_table,
    fastnn_team,
    fastnn_team_barrier,
    fastnn_team_size,
    fastnn_tiny,
    fastnn_tiny_layer,
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

# Flops of a slice of an epoch; between slices signals are handled: some 10 ms.
cdef double SLICE_FLOPS = 4e8


# ---- tables -------------------------------------------------------------------------------------


def instruction_sets():
    """Names of the instruction sets that can run here, best first."""
    names = []
    while fastnn_table(len(names)) != NULL:
        names.append(fastnn_table(len(names)).isa.decode())
    return names


def registry():
    """Names that the tables know, by kind; a loss is a pair (name, activation or None)."""
    cdef const fastnn_ops *ops = fastnn_table(0)
    cdef dict found = {"activations": [], "losses": [], "optimizers": [], "functions": []}
    cdef Py_ssize_t i = 0
    while ops.activations[i].name != NULL:
        found["activations"].append(ops.activations[i].name.decode())
        i += 1
    i = 0
    while ops.losses[i].name != NULL:
        activation = ops.losses[i].activation
        pair = None if activation == NULL else ops.losses[i].activation.decode()
        found["losses"].append((ops.losses[i].name.decode(), pair))
        i += 1
    i = 0
    while ops.optimizers[i].name != NULL:
        found["optimizers"].append(ops.optimizers[i].name.decode())
        i += 1
    i = 0
    while ops.functions[i].name != NULL:
        found["functions"].append(ops.functions[i].name.decode())
        i += 1
    return found


#: A training step's phases, as `Network.profile` reports them.
PHASES = ("input", "forward", "loss", "delta", "update", "wait")

# Where each name stands in its list, and each instruction set in the list of tables.
cdef dict ISA_PLACE = {name: i for i, name in enumerate(instruction_sets())}
cdef dict PLACE = {kind: {name: i for i, name in enumerate(names)}
                   for kind, names in registry().items()}


cdef const fastnn_ops *table(isa) except NULL:
    """The table of the instruction set, the best one for None."""
    return fastnn_table(0 if isa is None else ISA_PLACE[isa])


cdef const fastnn_activation *find_activation(const fastnn_ops *ops, str name) except NULL:
    return &ops.activations[<Py_ssize_t>PLACE["activations"][name]]


cdef const fastnn_optimizer *find_optimizer(const fastnn_ops *ops, str name) except NULL:
    return &ops.optimizers[<Py_ssize_t>PLACE["optimizers"][name]]


cdef const fastnn_loss *find_loss(const fastnn_ops *ops, str name, str activation) except NULL:
    """The entry for the pair, or the one that goes with any activation."""
    places = PLACE["losses"]
    pair = (name, activation)
    return &ops.losses[<Py_ssize_t>places[pair if pair in places else (name, None)]]


cdef fastnn_hyper hyper_parameters(dict given):
    cdef fastnn_hyper hyper
    hyper.learning_rate = given["learning_rate"]
    hyper.momentum = given.get("momentum", 0.0)
    hyper.rho = given.get("rho", 0.0)
    hyper.beta_1 = given.get("beta_1", 0.0)
    hyper.beta_2 = given.get("beta_2", 0.0)
    hyper.epsilon = given.get("epsilon", 0.0)
    hyper.weight_decay = given.get("weight_decay", 0.0)
    return hyper


# ---- memory -------------------------------------------------------------------------------------


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

    cdef void read(self, const fastnn_ops *ops, const real[:, ::1] source) noexcept:
        if self.rows > 0 and self.columns > 0:
            ops.gather(self.rows, self.columns, &source[0, 0], NULL, self.data, self.jump)

    cdef void write(self, const fastnn_ops *ops, real[:, ::1] out) noexcept:
        if self.rows > 0 and self.columns > 0:
            ops.scatter(self.rows, self.columns, self.data, self.jump, &out[0, 0])


# ---- the bound network --------------------------------------------------------------------------

cdef struct Layer:                # one Dense layer: z = h(z_prev @ W + b)
    Py_ssize_t n_in, n_out
    const fastnn_activation *activation
    real alpha
    real l1, l2
    double dropout                # rate applied to the layer's input
    bint narrow                   # W is stored transposed
    real *W                       # (n_in, n_out) in panels; (n_out, n_in) where narrow
    real *b                       # (n_out,) padded, NULL without bias

cdef struct Net:
    const fastnn_ops *ops
    Py_ssize_t n_layers
    Layer *layers
    Py_ssize_t n_tiles            # of all weights, PANEL x PANEL each
    const fastnn_loss *loss
    real *loss_parameter          # (n_out,) padded
    bint mean                     # the batch's loss is divided by its rows (or its weights)
    bint penalized
    bint on_line                  # single rows have an update of their own
    const fastnn_optimizer *optimizer
    fastnn_hyper hyper
    real *arena                   # all W and b; then each moment in the same order
    Py_ssize_t block              # reals in each of these blocks
    fastnn_tiny tiny              # the network for tiny.c; without layers where it isn't tiny
    uint64_t seed                 # of dropout's masks
    int64_t step                  # updates made so far

cdef struct Buffers:              # what one layer keeps of a batch's rows, in panels
    real *z_prev                  # its input: the batch, or z of the layer below
    real *dropped                 # that input after dropout, NULL without
    real *z
    real *slope                   # h'(a) where it isn't a function of z, else NULL
    real *delta

cdef struct Space:                # room for the rows of a batch
    Py_ssize_t stride             # rows a panel: odd, so that panels don't share cache sets
    Buffers *layers
    real *target
    real *weight                  # (rows,) of the rows, over the batch's total
    double *loss                  # (rows,) losses of the rows, times weight
    double *penalty               # (n_tiles,)
    real *gradient                # a block like the arena's, for batches of several rounds
    real *scratch                 # a stretch for each thread: a panel of W.T, or a tile of dW
    Py_ssize_t scratch_stretch


cdef Py_ssize_t layer_tiles(const Layer *layer) noexcept nogil:
    return panels_of(layer.n_in) * panels_of(layer.n_out)


cdef Py_ssize_t place(real **pointer, real *base, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Puts a pointer at base + at; returns the place after n reals, on a cache line."""
    pointer[0] = base + at
    return at + (n + PANEL - 1) // PANEL * PANEL


cdef class Workspace:
    """Room for `rows` rows of a batch in every layer, and scratch for each thread.

    With `backward` it holds all that the backward pass needs, else only z and what evaluating a
    loss needs at the output; with `dropout` also the inputs after dropout; with `gradient` a block
    of gradients, for batches of several rounds.
    """

    cdef Space space
    cdef real *memory
    cdef readonly Py_ssize_t rows
    cdef readonly int n_threads

    def __cinit__(self, Network network, Py_ssize_t rows, int n_threads, bint backward,
                  bint dropout, bint gradient):
        self.rows, self.n_threads = rows, n_threads
        self.space.stride = rows | 1
        self.space.layers = <Buffers *>calloc(network.net.n_layers, sizeof(Buffers))
        if self.space.layers == NULL:
            raise MemoryError("cannot allocate a workspace")
        # Python's integers don't overflow: an upper bound first, then the layout in Py_ssize_t.
        columns = 5 * (network.n_in + sum(network.units) + 2 * PANEL * network.net.n_layers)
        if (rows + 1) * columns * sizeof(double) > (<size_t>-1) >> 2:
            raise MemoryError(f"a batch of {rows} rows doesn't fit in memory")
        size = self.layout(&network.net, backward, dropout, NULL)
        self.memory = allocate(size)
        self.layout(&network.net, backward, dropout, self.memory)
        if gradient:
            self.space.gradient = allocate(network.net.block)

    def __dealloc__(self):
        free(self.space.layers)
        free(self.space.gradient)
        free(self.memory)

    cdef bint suits(self, Py_ssize_t batch, int n_threads) noexcept:
        """Whether a batch of so many rows can be trained in it by so many threads."""
        return (self.rows >= min(batch, ROUND) and self.n_threads >= n_threads
                and (batch <= ROUND or self.space.gradient != NULL))

    cdef Py_ssize_t layout(self, const Net *net, bint backward, bint dropout,
                           real *base) noexcept:
        """Places every buffer from `base` on; returns the number of reals that takes."""
        cdef Space *space = &self.space
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
        at = place(&space.weight, base, at, self.rows)
        at = place(<real **>&space.loss, base, at, self.rows * doubles)
        at = place(<real **>&space.penalty, base, at, net.n_tiles * doubles)
        space.scratch_stretch = (panels_of(widest) + 1) * PANEL * PANEL
        at = place(&space.scratch, base, at, self.n_threads * space.scratch_stretch)
        return at + PANEL * PANEL  # read, not used, by leaves that take LANES rows at a time


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
    real *out                     # predictions (n_rows, n_out), or
    double *chunk_losses          # losses, one for each CHUNK rows
    real *gradient                # a block like the arena's, where the caller wants it
    bint tiny                     # by tiny.c
    Clock *clocks                 # one for each thread, where the caller wants to know
    double loss                   # sum of the batches' losses times their rows' weight
    double total                  # of the rows' weights


cdef struct Own:                  # what a thread of the team has to itself
    real *scratch
    Clock *clock                  # or NULL


cdef Own own_of(const Job *job, int rank) noexcept nogil:
    cdef Own own
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


# ---- rows: forward, loss, delta -----------------------------------------------------------------


cdef void gather_rows(const Job *job, Py_ssize_t position, Py_ssize_t at,
                      Py_ssize_t rows) noexcept nogil:
    """Rows of X, from `position` in the order, into rows `at`, ... of the workspace."""
    cdef const int64_t *order = job.order + position if job.order != NULL else NULL
    cdef Py_ssize_t n_in = job.net.layers[0].n_in
    cdef const real *X = job.X if order != NULL else job.X + position * n_in
    job.net.ops.gather(rows, n_in, X, order, job.space.layers[0].z_prev + at * PANEL,
                       job.space.stride * PANEL)


cdef void gather_targets(const Job *job, Py_ssize_t position, Py_ssize_t at,
                         Py_ssize_t rows) noexcept nogil:
    """The same for the targets; labels become one-hot rows."""
    cdef const int64_t *order = job.order + position if job.order != NULL else NULL
    cdef Py_ssize_t n_out = job.net.layers[job.net.n_layers - 1].n_out
    cdef Py_ssize_t skip = position if order == NULL else 0
    cdef Py_ssize_t jump = job.space.stride * PANEL
    cdef real *target = job.space.target + at * PANEL
    if job.labels != NULL:
        job.net.ops.one_hot(rows, n_out, job.labels + skip, order, target, jump)
    else:
        job.net.ops.gather(rows, n_out, job.T + skip * n_out, order, target, jump)


cdef double batch_weight(const Job *job, Py_ssize_t position, Py_ssize_t rows) noexcept nogil:
    """The rows' total weight: their number where they weigh the same."""
    cdef double total = 0.0
    cdef Py_ssize_t r, i
    if job.weights == NULL:
        return <double>rows
    for r in range(position, position + rows):
        i = job.order[r] if job.order != NULL else r
        total += job.weights[i]
    return total


cdef void weigh_rows(const Job *job, double divisor, Py_ssize_t position, Py_ssize_t at,
                     Py_ssize_t rows) noexcept nogil:
    """Each row's factor in the batch's loss; all are 0 where the batch weighs nothing."""
    cdef double weight = 1.0
    cdef Py_ssize_t r, i
    for r in range(rows):
        if job.weights != NULL:
            i = job.order[position + r] if job.order != NULL else position + r
            weight = job.weights[i]
        # Not times 1 / divisor, which is infinite where all weights are subnormal.
        job.space.weight[at + r] = <real>(weight / divisor) if divisor > 0 else 0


cdef struct Masks:                # what dropout's masks depend on, besides layer, row and unit
    uint64_t step
    Py_ssize_t before             # rows of the batch before the workspace's first


cdef void drop_panel(const Net *net, Masks masks, Py_ssize_t l, Py_ssize_t p, Py_ssize_t at,
                     Py_ssize_t rows, const real *z, real *out) noexcept nogil:
    """Dropout on panel p of layer l's input, rows `at`, ... of the workspace."""
    cdef fastnn_dropout_args args
    args.seed, args.step, args.layer = net.seed, masks.step, l
    args.rate = net.layers[l].dropout
    args.rows, args.first_row = rows, masks.before + at
    args.units = net.layers[l].n_in
    args.first_column = p * PANEL
    args.columns = min(PANEL, args.units - args.first_column)
    net.ops.dropout(&args, z, out)


cdef void forward_layer(const Net *net, const Space *space, Py_ssize_t l, const real *z_prev,
                        Py_ssize_t at, Py_ssize_t rows, bint activate) noexcept nogil:
    """z = h(z_prev @ W + b) for rows `at`, ...; z = a where `activate` is off."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef Py_ssize_t q, shift, panels, n, jump = space.stride * PANEL
    cdef real *z = buffers.z + at * PANEL
    if layer.narrow:
        net.ops.narrow(rows, layer.n_in, layer.n_out, z_prev + at * PANEL, jump, layer.W,
                       layer.n_out * PANEL, layer.b, z)
    else:
        net.ops.product(rows, layer.n_in, panels_of(layer.n_out), z_prev + at * PANEL, jump,
                        layer.W, layer.n_in * PANEL, layer.b, z, jump)
    if not activate:
        return
    if layer.activation.row_forward != NULL:
        layer.activation.row_forward(rows, layer.n_out, jump, z)
        return
    panels, n = contiguous(space, layer.n_out, rows)
    for q in range(panels):
        shift = q * jump + at * PANEL
        layer.activation.forward(n, layer.alpha, buffers.z + shift,
                                 buffers.slope + shift if buffers.slope != NULL else NULL)


cdef (Py_ssize_t, Py_ssize_t) contiguous(const Space *space, Py_ssize_t columns,
                                         Py_ssize_t rows) noexcept nogil:
    """How many stretches `rows` rows of a layer are, and how long: one, if they fill the panels."""
    if rows == space.stride:
        return 1, panels_of(columns) * rows * PANEL
    return panels_of(columns), rows * PANEL


cdef void forward(const Net *net, const Space *space, Masks masks, Py_ssize_t at,
                  Py_ssize_t rows, bint to_loss) noexcept nogil:
    """All layers, each input through its dropout where the workspace has room for that.

    `to_loss` leaves the last layer as its loss wants it: maybe without the activation.
    """
    cdef Py_ssize_t l, p, shift, last = net.n_layers - 1
    cdef const Buffers *buffers
    cdef const real *z_prev
    for l in range(net.n_layers):
        buffers = &space.layers[l]
        z_prev = buffers.z_prev
        if buffers.dropped != NULL:
            z_prev = buffers.dropped
            for p in range(panels_of(net.layers[l].n_in)):
                shift = (p * space.stride + at) * PANEL
                drop_panel(net, masks, l, p, at, rows, buffers.z_prev + shift,
                           buffers.dropped + shift)
        forward_layer(net, space, l, z_prev, at, rows,
                      not (to_loss and l == last and net.loss.activation != NULL))


cdef void differentiate(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t at,
                        Py_ssize_t rows) noexcept nogil:
    """delta *= h'(a) in layer l."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef const real *z = buffers.slope if buffers.slope != NULL else buffers.z
    cdef Py_ssize_t q, shift, panels, n
    if layer.activation.row_backward != NULL:
        layer.activation.row_backward(rows, layer.n_out, space.stride * PANEL, z + at * PANEL,
                                      buffers.delta + at * PANEL)
        return
    panels, n = contiguous(space, layer.n_out, rows)
    for q in range(panels):
        shift = (q * space.stride + at) * PANEL
        layer.activation.backward(n, layer.alpha, z + shift, buffers.delta + shift)


cdef void output_loss(const Net *net, const Space *space, Py_ssize_t at,
                      Py_ssize_t rows) noexcept nogil:
    """The rows' losses, and dE/dy (or delta, where the loss takes pre-activations)."""
    cdef Py_ssize_t last = net.n_layers - 1
    cdef fastnn_loss_args args
    args.rows, args.columns, args.jump = rows, net.layers[last].n_out, space.stride * PANEL
    args.y = space.layers[last].z + at * PANEL
    args.t = space.target + at * PANEL
    args.parameter = net.loss_parameter
    args.weight = space.weight + at
    args.delta = space.layers[last].delta + at * PANEL
    args.loss = space.loss + at
    net.loss.run(&args)


cdef void carry_back(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t at,
                     Py_ssize_t rows, bint few, real *scratch) noexcept nogil:
    """delta @ W.T of layer l into the delta of the layer below."""
    cdef const Layer *layer = &net.layers[l]
    cdef const real *delta = space.layers[l].delta + at * PANEL
    cdef real *below = space.layers[l - 1].delta + at * PANEL
    cdef Py_ssize_t p, jump = space.stride * PANEL, panels = panels_of(layer.n_in)
    if layer.narrow:
        net.ops.product(rows, layer.n_out, panels, delta, jump, layer.W, layer.n_out * PANEL, NULL,
                        below, jump)
    elif few:
        net.ops.dots(rows, layer.n_out, layer.n_in, delta, jump, layer.W, layer.n_in * PANEL,
                     below, jump)
    else:
        for p in range(panels):
            net.ops.transpose(min(PANEL, layer.n_in - p * PANEL), layer.n_out,
                              layer.W + p * PANEL * PANEL, layer.n_in * PANEL, scratch)
            net.ops.product(rows, layer.n_out, 1, delta, jump, scratch, 0, NULL, below + p * jump,
                            jump)


cdef void hidden_deltas(const Net *net, const Space *space, Masks masks, Py_ssize_t at,
                        Py_ssize_t rows, bint few, real *scratch) noexcept nogil:
    """delta_prev = (delta @ W.T) * mask * h'(a_prev), from the last layer down.

    `few` depends on the whole batch, not on this thread's share of it: the bits do too.
    """
    cdef Py_ssize_t l, p
    cdef real *delta_prev
    for l in range(net.n_layers - 1, 0, -1):
        carry_back(net, space, l, at, rows, few, scratch)
        if space.layers[l].dropped != NULL:
            for p in range(panels_of(net.layers[l].n_in)):
                delta_prev = space.layers[l - 1].delta + (p * space.stride + at) * PANEL
                drop_panel(net, masks, l, p, at, rows, delta_prev, delta_prev)
        differentiate(net, space, l - 1, at, rows)


cdef void train_rows(const Job *job, Masks masks, Py_ssize_t position, double divisor,
                     Py_ssize_t at, Py_ssize_t stop, bint few, Own own) noexcept nogil:
    """Rows at ... stop of those from `position`: forward, loss and all deltas."""
    cdef Py_ssize_t row = at, n
    while row < stop:
        n = min(CHUNK, stop - row)
        gather_rows(job, position + row, row, n)
        gather_targets(job, position + row, row, n)
        weigh_rows(job, divisor, position + row, row, n)
        lap(own.clock, INPUT)
        forward(job.net, job.space, masks, row, n, True)
        lap(own.clock, FORWARD)
        output_loss(job.net, job.space, row, n)
        if job.net.loss.activation == NULL:  # or else the loss has given delta itself
            differentiate(job.net, job.space, job.net.n_layers - 1, row, n)
        lap(own.clock, LOSS)
        row += n
    if stop > at:
        hidden_deltas(job.net, job.space, masks, at, stop - at, few, own.scratch)
    lap(own.clock, DELTA)


# ---- weights: gradient and update ---------------------------------------------------------------


cdef struct Tile:                 # PANEL rows of a panel of W, or the fewer at its end
    const Layer *layer
    Py_ssize_t rows               # of the tile, PANEL reals each
    real *W
    const real *left              # g = left.T @ right: one panel each of z_prev and delta,
    const real *right             # in this order, or the other where W is stored transposed
    Py_ssize_t columns            # of the right one that aren't padding
    double *penalty
    real *b                       # biases that go with this tile, or NULL
    const real *delta             # of these biases


cdef Tile tile_at(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t q,
                  Py_ssize_t p) noexcept nogil:
    """Tile p down panel q of layer l's weights; the first of a panel brings the biases."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef const real *z = buffers.dropped if buffers.dropped != NULL else buffers.z_prev
    cdef Py_ssize_t jump = space.stride * PANEL
    cdef Py_ssize_t width = min(PANEL, layer.n_in - p * PANEL)
    cdef Tile tile
    tile.layer, tile.delta = layer, buffers.delta + q * jump
    tile.b = layer.b + q * PANEL if p == 0 and layer.b != NULL else NULL
    if layer.narrow:
        tile.rows, tile.columns = layer.n_out, width
        tile.left, tile.right = tile.delta, z + p * jump
        tile.W = layer.W + p * layer.n_out * PANEL
    else:
        tile.rows, tile.columns = width, PANEL
        tile.left, tile.right = z + p * jump, tile.delta
        tile.W = layer.W + (q * layer.n_in + p * PANEL) * PANEL
    return tile


cdef struct Round:                # rows of a batch whose part in the gradients is added up now
    Py_ssize_t rows
    bint first, last              # of the batch


cdef struct Update:               # a thread's, in one step
    fastnn_step weights
    fastnn_step biases            # which don't decay
    real *free                    # room for a tile's gradient, and
    real *known                   # that of the tile before, whose weights wait for their update:
    real *W                       # these,
    Py_ssize_t n                  # and their number


cdef Update update_at(const Net *net, int64_t t, real *scratch) noexcept nogil:
    cdef Update update
    net.optimizer.prepare(&net.hyper, <double>t, &update.weights)
    update.biases = update.weights
    update.biases.shrink = 1
    update.free, update.known, update.W, update.n = scratch, scratch + PANEL * PANEL, NULL, 0
    return update


cdef void finish_gradient(const Net *net, const Tile *tile, real *g) noexcept nogil:
    """What the product lacks: zeros in W's padding, for z_prev's isn't, and the penalties."""
    cdef const Layer *layer = tile.layer
    cdef Py_ssize_t i, j
    for i in range(tile.rows):
        for j in range(tile.columns, PANEL):
            g[i * PANEL + j] = 0
    if layer.l1 > 0 or layer.l2 > 0:
        tile.penalty[0] = net.ops.penalty(tile.rows * PANEL, layer.l1, layer.l2, tile.W, g)


cdef void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                      Update *update) noexcept nogil:
    """dW = z_prev.T @ delta over the batch's rows and the optimizer; the same for the biases.

    The weights wait for the next tile's gradient, whose multiply-adds hide the roots and divisions.
    """
    cdef real *g = update.free
    net.optimizer.meanwhile(rows, tile.rows, tile.left, tile.right, g, update.n, &update.weights,
                            update.known, update.W, net.block)
    finish_gradient(net, tile, g)
    update.free, update.known = update.known, g
    update.W, update.n = tile.W, tile.rows * PANEL
    if tile.b != NULL:
        net.ops.column_sums(rows, tile.delta, False, update.free)
        net.optimizer.rule(PANEL, &update.biases, update.free, tile.b, net.block)


cdef void finish_update(const Net *net, const Update *update) noexcept nogil:
    net.optimizer.rule(update.n, &update.weights, update.known, update.W, net.block)


cdef void add_gradient_tile(const Net *net, const Tile *tile, Round round, real *gradient,
                            const Update *update) noexcept nogil:
    """The round's part of the gradients, into a block like the arena's.

    The last round brings the optimizer too, unless the caller wants the gradients (`update` NULL).
    """
    cdef real *g = gradient + (tile.W - net.arena)
    net.ops.outer(round.rows, tile.rows, tile.left, tile.right, not round.first, g)
    if round.last:
        finish_gradient(net, tile, g)
        if update != NULL:
            net.optimizer.rule(tile.rows * PANEL, &update.weights, g, tile.W, net.block)
    if tile.b != NULL:
        g = gradient + (tile.b - net.arena)
        net.ops.column_sums(round.rows, tile.delta, not round.first, g)
        if round.last and update != NULL:
            net.optimizer.rule(PANEL, &update.biases, g, tile.b, net.block)


cdef void train_tiles(const Job *job, int64_t t, Round round, Py_ssize_t tile, Py_ssize_t stop,
                      real *scratch) noexcept nogil:
    """Tiles tile ... stop of all the weights, counted along each panel, panel by panel."""
    cdef const Net *net = job.net
    cdef Py_ssize_t l = 0, down = panels_of(net.layers[0].n_in)
    cdef Py_ssize_t below = 0     # tiles of the layers before l
    cdef Tile here
    cdef Update update = update_at(net, t, scratch)
    while tile < stop:
        while tile >= below + layer_tiles(&net.layers[l]):
            below += layer_tiles(&net.layers[l])
            l += 1
            down = panels_of(net.layers[l].n_in)
        here = tile_at(net, job.space, l, (tile - below) // down, (tile - below) % down)
        here.penalty = &job.space.penalty[tile]
        if job.gradient != NULL:
            add_gradient_tile(net, &here, round, job.gradient, NULL)
        elif round.first and round.last:
            update_tile(net, &here, round.rows, &update)
        else:
            add_gradient_tile(net, &here, round, job.space.gradient, &update)
        tile += 1
    finish_update(net, &update)


cdef inline Py_ssize_t share(Py_ssize_t work, int rank, int size) noexcept nogil:
    """Where a thread's share begins; `size` gives the end of the last one's."""
    return work * rank if size == 1 else work * rank // size


cdef Py_ssize_t tile_rows(const Layer *layer) noexcept nogil:
    """Rows of a whole tile of the layer's weights: what one costs, for the batch is the same."""
    return layer.n_out if layer.narrow else min(PANEL, layer.n_in)


cdef Py_ssize_t first_tile(const Net *net, int rank, int size) noexcept nogil:
    """Where a thread's share of all the tiles begins; `size` gives the end of the last one's."""
    cdef const Layer *layer
    cdef Py_ssize_t l, tiles, before = 0, work = 0
    if rank == 0 or rank == size:
        return 0 if rank == 0 else net.n_tiles
    for l in range(net.n_layers):
        work += layer_tiles(&net.layers[l]) * tile_rows(&net.layers[l])
    work = share(work, rank, size)
    for l in range(net.n_layers):
        layer = &net.layers[l]
        tiles = layer_tiles(layer)
        if work < tiles * tile_rows(layer):
            return before + work // tile_rows(layer)
        work -= tiles * tile_rows(layer)
        before += tiles
    return net.n_tiles


# ---- a batch of one row: its gradient is of rank one, and is not formed --------------------------


cdef bint is_on_line(const Job *job, Round round) noexcept nogil:
    """Whether a batch is one row, in a workspace of one: its panels are then single runs."""
    return (round.rows == 1 and round.first and job.space.stride == 1 and job.net.on_line
            and job.gradient == NULL)


cdef void update_on_line(const Job *job, int64_t t, int rank, int size,
                         real *scratch) noexcept nogil:
    """W <- rule(z_prev.T @ delta), this thread's panels of each layer; the biases are rank 0's."""
    cdef const Net *net = job.net
    cdef const Layer *layer
    cdef const Buffers *buffers
    cdef const real *z
    cdef Py_ssize_t l, q, panels
    cdef Update update = update_at(net, t, scratch)
    for l in range(net.n_layers):
        layer, buffers = &net.layers[l], &job.space.layers[l]
        z = buffers.dropped if buffers.dropped != NULL else buffers.z_prev
        panels = panels_of(layer.n_in if layer.narrow else layer.n_out)
        for q in range(share(panels, rank, size), share(panels, rank + 1, size)):
            if layer.narrow:
                net.optimizer.rank_one(layer.n_out, &update.weights, buffers.delta, z + q * PANEL,
                                       layer.W + q * layer.n_out * PANEL, net.block)
            else:
                net.optimizer.rank_one(layer.n_in, &update.weights, z, buffers.delta + q * PANEL,
                                       layer.W + q * layer.n_in * PANEL, net.block)
        if layer.b != NULL and rank == 0:
            net.optimizer.rule(panels_of(layer.n_out) * PANEL, &update.biases, buffers.delta,
                               layer.b, net.block)


# ---- tasks for a team of threads ----------------------------------------------------------------


cdef double sum_of(const double *x, Py_ssize_t n) noexcept nogil:
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return total


cdef void train_tiny(Job *job) noexcept nogil:
    """The same slice for a tiny network, a row a step."""
    cdef Net *net = job.net
    cdef Py_ssize_t n = job.stop - job.first, skip = job.first if job.order == NULL else 0
    cdef Py_ssize_t n_out = net.layers[net.n_layers - 1].n_out
    cdef uint64_t before = fastnn_flush_subnormals()
    job.loss += net.ops.tiny_steps(&net.tiny, <double>(net.step + 1), n,
                                   job.X + skip * net.layers[0].n_in,
                                   job.T + skip * n_out if job.T != NULL else NULL,
                                   job.labels + skip if job.labels != NULL else NULL,
                                   job.order + job.first if job.order != NULL else NULL)
    fastnn_restore_subnormals(before)
    job.total += <double>n
    net.step += n


cdef void train_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """A slice of an epoch: steps over the batches from job.first to job.stop."""
    cdef Job *job = <Job *>context
    cdef Net *net = job.net
    cdef Py_ssize_t position = job.first, rows
    cdef int64_t step = net.step
    cdef Own own = own_of(job, rank)
    cdef double weight, loss
    if job.tiny:
        train_tiny(job)
        return
    while position < job.stop:
        rows = min(job.batch, job.n_rows - position)
        weight = batch_weight(job, position, rows)
        loss = train_batch(job, team, rank, step, position, rows, weight if net.mean else 1.0, own)
        if rank == 0:
            if net.penalized:
                loss += sum_of(job.space.penalty, net.n_tiles)
            job.loss += loss * (weight if net.mean else 1.0)
            job.total += weight
        position += rows
        step += 1
        lap(own.clock, WAIT)
    if rank == 0 and job.gradient == NULL:
        net.step = step


cdef void train_weights(const Job *job, int64_t t, Round round, int rank, int size,
                        real *scratch) noexcept nogil:
    """This thread's share of the weights: their part of the gradients, and maybe the update."""
    cdef uint64_t before = fastnn_flush_subnormals()
    if is_on_line(job, round):
        update_on_line(job, t, rank, size, scratch)
    else:
        train_tiles(job, t, round, first_tile(job.net, rank, size),
                    first_tile(job.net, rank + 1, size), scratch)
    fastnn_restore_subnormals(before)


cdef double train_batch(const Job *job, fastnn_team *team, int rank, int64_t step,
                        Py_ssize_t position, Py_ssize_t rows, double divisor,
                        Own own) noexcept nogil:
    """One step over the `rows` rows from `position`; rank 0 returns the sum of their losses."""
    cdef Py_ssize_t at = 0
    cdef int size = fastnn_team_size(team)
    cdef Round round
    cdef Masks masks
    cdef double loss = 0.0
    masks.step = step
    while at < rows:
        round.rows = min(ROUND, rows - at)
        round.first, round.last = at == 0, rows - at <= ROUND
        masks.before = at
        train_rows(job, masks, position + at, divisor, share(round.rows, rank, size),
                   share(round.rows, rank + 1, size), rows <= FEW_ROWS, own)
        fastnn_team_barrier(team)
        lap(own.clock, WAIT)
        loss += sum_of(job.space.loss, round.rows) if rank == 0 else 0.0
        train_weights(job, step + 1, round, rank, size, own.scratch)
        lap(own.clock, UPDATE)
        fastnn_team_barrier(team)
        at += round.rows
    return loss


cdef void evaluate_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Predictions, or losses, chunk by chunk; each thread has a stretch of the workspace."""
    cdef Job *job = <Job *>context
    cdef Net *net = job.net
    cdef Py_ssize_t at = rank * CHUNK, row = at, rows, last = net.n_layers - 1
    cdef Py_ssize_t n_out = net.layers[last].n_out, jump = job.space.stride * PANEL
    cdef Masks masks              # not used: the workspace has no room for dropout
    masks.step, masks.before = 0, 0
    while row < job.n_rows:
        rows = min(CHUNK, job.n_rows - row)
        gather_rows(job, row, at, rows)
        forward(net, job.space, masks, at, rows, job.out == NULL)
        if job.out != NULL:
            net.ops.scatter(rows, n_out, job.space.layers[last].z + at * PANEL, jump,
                            job.out + row * n_out)
        else:
            gather_targets(job, row, at, rows)
            weigh_rows(job, 1.0, row, at, rows)
            output_loss(net, job.space, at, rows)
            job.chunk_losses[row // CHUNK] = sum_of(job.space.loss + at, rows)
        row += fastnn_team_size(team) * CHUNK


cdef Py_ssize_t weight_reals(const Layer *layer) noexcept nogil:
    """Reals that W takes, padding included."""
    if layer.narrow:
        return layer.n_out * panels_of(layer.n_in) * PANEL
    return layer.n_in * panels_of(layer.n_out) * PANEL


# ---- the object that Python holds ---------------------------------------------------------------


cdef bint is_tiny(n_in, list layers, const fastnn_loss *loss):
    """Whether tiny.h's step can train the network: it knows one panel a layer, and few features."""
    return (max(n_in, *(layer["units"] for layer in layers)) <= PANEL
            and not any(layer["dropout"] or layer["l1"] or layer["l2"] for layer in layers)
            and (loss.activation != NULL or layers[len(layers) - 1]["activation"] != "softmax"))


# ---- arrays that can be taken as they are -------------------------------------------------------

cdef struct Targets:              # what a loss takes
    bint labels                   # integers from 0, below the number of outputs; or numbers
    double low, high              # from here to there


cdef Targets targets_of(str kind):
    cdef Targets targets
    targets.labels = kind == "class"
    targets.low = -INFINITY if kind == "real" else 0.0
    targets.high = 1.0 if kind == "probability" else INFINITY
    return targets


cdef inline bint is_plain(object value, int n_dimensions) noexcept:
    """Whether it's just an array of reals, which kernels can read: contiguous, aligned, native."""
    return (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == REAL_TYPE
            and cnp.PyArray_NDIM(value) == n_dimensions and cnp.PyArray_ISCARRAY_RO(value))


cdef inline bint is_plain_matrix(object value, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    return (is_plain(value, 2) and cnp.PyArray_DIM(value, 0) == rows
            and cnp.PyArray_DIM(value, 1) == columns)


cdef inline bint overlap(object a, object b) noexcept:
    """Whether two contiguous arrays share memory."""
    cdef const char *start_a = <const char *>cnp.PyArray_DATA(a)
    cdef const char *start_b = <const char *>cnp.PyArray_DATA(b)
    return (start_a < start_b + cnp.PyArray_NBYTES(b)
            and start_b < start_a + cnp.PyArray_NBYTES(a))


cdef class Network:
    """A network bound to its arena: weights, biases and moments, and the workspaces it trains in.

    `layers` is a list of dicts with the keys units, activation, alpha, use_bias, l1, l2, dropout.
    Arguments are taken as checked.
    """

    cdef Net net
    cdef readonly object n_in, units, n_parameters
    cdef Workspace training, inference
    cdef real *tiny_memory
    cdef bint training_busy, inference_busy
    cdef double row_flops         # of a training step, for one row
    cdef int n_threads            # for the calls that don't say
    cdef Targets targets          # what the loss takes

    def __cinit__(self, n_in, list layers, *, str loss, loss_parameter, str targets, bint mean,
                  str optimizer, dict hyper, seed, int n_threads, isa=None):
        cdef const fastnn_ops *ops = table(isa)
        cdef Net *net = &self.net
        self.n_in, self.units = n_in, [layer["units"] for layer in layers]
        self.n_threads, self.targets = n_threads, targets_of(targets)
        net.ops, net.n_layers, net.mean, net.seed = ops, len(layers), mean, seed
        net.loss = find_loss(ops, loss, layers[len(layers) - 1]["activation"])
        net.optimizer, net.hyper = find_optimizer(ops, optimizer), hyper_parameters(hyper)
        net.layers = <Layer *>calloc(net.n_layers, sizeof(Layer))
        if net.layers == NULL:
            raise MemoryError("cannot allocate the layers")
        self.lay_out(layers)
        if loss_parameter is not None:
            net.loss_parameter = allocate(panels_of(len(loss_parameter)) * PANEL)
            for i, value in enumerate(loss_parameter):
                net.loss_parameter[i] = value
        if is_tiny(self.n_in, layers, net.loss):
            self.bind_tiny()

    def __dealloc__(self):
        free(self.net.layers)
        free(self.net.arena)
        free(self.net.loss_parameter)
        free(<void *>self.net.tiny.layers)
        free(self.tiny_memory)

    cdef int lay_out(self, list layers) except -1:
        """Sizes the arena, in Python's integers first, and points the layers into it."""
        cdef Net *net = &self.net
        cdef Layer *layer
        cdef Py_ssize_t l, at = 0
        inputs = [self.n_in, *self.units][:len(layers)]
        tiny = is_tiny(self.n_in, layers, net.loss)
        shapes = [(n, k) if n <= NARROW and not tiny else (k, n)
                  for k, n in zip(inputs, self.units)]
        sizes = [rows * padded(columns) for rows, columns in shapes]
        block = sum(sizes) + sum(padded(n) for n in self.units)
        # A tile of slack: the leaves may read, not use, rows past the end of the last weights.
        net.arena = allocate(block * (1 + net.optimizer.n_moments) + PANEL * PANEL)
        net.block = block
        self.n_parameters = 0
        net.on_line = True
        for l, spec in enumerate(layers):
            layer = &net.layers[l]
            layer.n_in, layer.n_out = inputs[l], self.units[l]
            layer.activation = find_activation(net.ops, spec["activation"])
            layer.alpha, layer.dropout = spec["alpha"], spec["dropout"]
            layer.l1, layer.l2 = spec["l1"], spec["l2"]
            net.penalized = net.penalized or layer.l1 > 0 or layer.l2 > 0
            layer.narrow = shapes[l] != (layer.n_in, layer.n_out)
            # The rank-one product of single rows knows no penalties, nor z_prev's padding.
            if net.penalized or (layer.narrow and layer.n_in % PANEL):
                net.on_line = False
            layer.W = net.arena + at
            at += sizes[l]
            if spec["use_bias"]:
                layer.b = net.arena + at
            at += padded(layer.n_out)
            net.n_tiles += layer_tiles(layer)
            self.row_flops += 6.0 * layer.n_in * layer.n_out
            self.n_parameters += layer.n_in * layer.n_out + (layer.n_out if spec["use_bias"] else 0)
        return 0

    cdef int bind_tiny(self) except -1:
        """Describes the network, its layers' buffers a panel each, to the on-line path."""
        cdef Net *net = &self.net
        cdef Py_ssize_t l
        cdef real *buffer = allocate((1 + 3 * net.n_layers) * PANEL)
        cdef fastnn_tiny_layer *tiny
        tiny = <fastnn_tiny_layer *>calloc(net.n_layers, sizeof(fastnn_tiny_layer))
        self.tiny_memory, net.tiny.layers = buffer, tiny
        if tiny == NULL:
            raise MemoryError("cannot allocate the layers")
        net.tiny.n_layers, net.tiny.block = net.n_layers, net.block
        net.tiny.loss, net.tiny.loss_parameter = net.loss, net.loss_parameter
        net.tiny.optimizer, net.tiny.hyper = net.optimizer, &net.hyper
        for l in range(net.n_layers):
            tiny[l].n_in, tiny[l].n_out = net.layers[l].n_in, net.layers[l].n_out
            tiny[l].activation = net.layers[l].activation - net.ops.activations
            tiny[l].alpha = net.layers[l].alpha
            tiny[l].W, tiny[l].b = net.layers[l].W, net.layers[l].b
            tiny[l].z_prev, tiny[l].z = buffer + 3 * l * PANEL, buffer + 3 * (l + 1) * PANEL
            tiny[l].slope, tiny[l].delta = tiny[l].z_prev + PANEL, tiny[l].z_prev + 2 * PANEL
        return 0

    @property
    def step(self):
        """Updates made so far."""
        return self.net.step

    @step.setter
    def step(self, value):
        self.net.step = value

    @property
    def n_blocks(self):
        """Blocks of the arena: the parameters, then each moment of the optimizer."""
        return 1 + self.net.optimizer.n_moments

    @property
    def instruction_set(self):
        return self.net.ops.isa.decode()

    cdef list read_block(self, real *block):
        """[W0, b0, W1, ...] of a block laid out like the arena's first, as new arrays."""
        cdef const Net *net = &self.net
        cdef const Layer *layer
        cdef real[:, ::1] view
        cdef Py_ssize_t l
        arrays = []
        for l in range(net.n_layers):
            layer = &net.layers[l]
            shape = (layer.n_out, layer.n_in) if layer.narrow else (layer.n_in, layer.n_out)
            W = np.empty(shape, dtype=DTYPE)
            view = W
            net.ops.scatter(view.shape[0], view.shape[1], block + (layer.W - net.arena),
                            view.shape[0] * PANEL, &view[0, 0])
            arrays.append(np.ascontiguousarray(W.T) if layer.narrow else W)
            if layer.b != NULL:
                b = np.empty((1, layer.n_out), dtype=DTYPE)
                view = b
                net.ops.scatter(1, layer.n_out, block + (layer.b - net.arena), PANEL, &view[0, 0])
                arrays.append(b[0])
        return arrays

    def read(self, Py_ssize_t block=0):
        """Block 0: [W0, b0, W1, ...]; block 1, ...: a moment of each, in the same order."""
        return self.read_block(self.net.arena + block * self.net.block)

    def write(self, arrays, Py_ssize_t block=0):
        """Takes what read gives, from any iterable; of a generator's, one at a time is alive."""
        cdef const Net *net = &self.net
        cdef const Layer *layer
        cdef Py_ssize_t l
        cdef real *base = net.arena + block * net.block
        sources = iter(arrays)
        for l in range(net.n_layers):
            layer = &net.layers[l]
            self.write_array(next(sources), layer.narrow, base + (layer.W - net.arena))
            if layer.b != NULL:
                self.write_array(next(sources)[None, :], False, base + (layer.b - net.arena))

    cdef int write_array(self, array, bint transposed, real *to) except -1:
        """Puts a matrix into panels."""
        cdef const real[:, ::1] view = np.ascontiguousarray(array.T) if transposed else array
        self.net.ops.gather(view.shape[0], view.shape[1], &view[0, 0], NULL, to,
                            view.shape[0] * PANEL)
        return 0

    def fill_moment(self, Py_ssize_t block, real value):
        """Sets a moment of every parameter to `value` (padding too, which changes nothing)."""
        cdef Py_ssize_t i
        for i in range(self.net.block):
            self.net.arena[block * self.net.block + i] = value

    cdef int team_for(self, double flops, int n_threads) noexcept:
        """A team smaller than asked for where the work is too small to share."""
        return n_threads if flops >= THREADING_FLOPS else 1

    cdef Job job_for(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                     const real[::1] weights):
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.net = &self.net
        job.X, job.n_rows = &X[0, 0], X.shape[0]
        if T is not None:
            job.T = &T[0, 0]
        if labels is not None:
            job.labels = &labels[0]
        if weights is not None:
            job.weights = &weights[0]
        return job

    def train(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
              const real[::1] weights, const int64_t[::1] order, Py_ssize_t batch, int n_threads):
        """Steps over all rows of X (n, n_in), in `order` if given, `batch` rows a step.

        Targets are T (n, n_out) or labels (n,). Returns the losses before each update, reduced over
        the rows. Signals are handled every few milliseconds, between steps.
        """
        cdef Job job = self.job_for(X, T, labels, weights)
        if order is not None:
            job.order = &order[0]
        self.run_training(&job, batch, n_threads)
        return self.reduced(&job)

    cdef int run_training(self, Job *job, Py_ssize_t batch, int n_threads) except -1:
        """Runs train_task over all rows; returns the number of threads it took."""
        cdef int threads
        cdef Py_ssize_t stride
        if self.training_busy:
            raise RuntimeError("this model is being trained in another thread; wait for it, or "
                               "train a copy")
        job.batch = min(batch, job.n_rows)
        job.tiny = job.batch == 1 and job.weights == NULL and self.net.tiny.layers != NULL
        # The path of tiny networks is one thread's, however deep the network is.
        threads = 1 if job.tiny else self.team_for(job.batch * self.row_flops, n_threads)
        stride = job.batch * max(1, <Py_ssize_t>(
            SLICE_FLOPS / (job.batch * self.row_flops + 1000)))
        if self.training is None or not self.training.suits(job.batch, threads):
            self.training = Workspace(self, min(job.batch, ROUND), threads, True, True,
                                      job.batch > ROUND)
        job.space = &self.training.space
        self.training_busy = True
        try:
            while job.first < job.n_rows:
                job.stop = min(job.n_rows, job.first + stride)
                with nogil:
                    fastnn_run(threads, train_task, job)
                job.first = job.stop
                PyErr_CheckSignals()
        finally:
            self.training_busy = False
        return threads

    cdef double reduced(self, const Job *job) noexcept:
        """The rows' loss as the user asked for it."""
        if not self.net.mean:
            return job.loss
        return job.loss / job.total if job.total > 0 else 0.0

    def profile(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                const real[::1] weights, Py_ssize_t batch, int n_threads):
        """Trains like `train`; returns {phase: seconds}, a list of them for each thread."""
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef Clock *clocks = <Clock *>calloc(n_threads, sizeof(Clock))
        cdef int rank
        if clocks == NULL:
            raise MemoryError("cannot allocate the clocks")
        job.clocks = clocks
        try:
            threads = self.run_training(&job, batch, n_threads)
            return [{name: clocks[rank].seconds[phase] for phase, name in enumerate(PHASES)}
                    for rank in range(threads)]
        finally:
            free(clocks)

    def gradients(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                  const real[::1] weights, bint dropout, int n_threads):
        """(loss, [dW0, db0, ...]) of one batch; nothing is updated."""
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef int threads = self.team_for(job.n_rows * self.row_flops, n_threads)
        cdef Workspace workspace = Workspace(self, min(job.n_rows, ROUND), threads, True, dropout,
                                             False)
        job.batch = job.stop = job.n_rows
        job.space = &workspace.space
        job.gradient = allocate(self.net.block)
        try:
            with nogil:
                fastnn_run(threads, train_task, &job)
            return self.reduced(&job), self.read_block(job.gradient)
        finally:
            free(job.gradient)

    def evaluate(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                 const real[::1] weights, int n_threads):
        """The loss of the rows, penalties included, without dropout."""
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef double[::1] losses = np.empty(job.n_rows // CHUNK + 1)
        job.chunk_losses = &losses[0]
        self.infer(&job, n_threads)
        cdef double loss = sum_of(job.chunk_losses, (job.n_rows + CHUNK - 1) // CHUNK)
        if self.net.mean:
            job.total = batch_weight(&job, 0, job.n_rows)
            loss = loss / job.total if job.total > 0 else 0.0
        return loss + self.penalties()

    def predict(self, const real[:, ::1] X, real[:, ::1] out, int n_threads):
        """Outputs of the rows of X (n, n_in) into out (n, n_out)."""
        cdef Job job = self.job_for(X, None, None, None)
        job.out = &out[0, 0]
        self.infer(&job, n_threads)

    cdef bint rows_as_they_are(self, object X, Job *job) noexcept:
        """Begins a job with the rows of X, if they need neither conversion nor complaint."""
        cdef Py_ssize_t n_in = self.net.layers[0].n_in
        if not is_plain(X, 2) or cnp.PyArray_DIM(X, 1) != n_in:
            return False
        memset(job, 0, sizeof(Job))
        job.net = &self.net
        job.X, job.n_rows = <const real *>cnp.PyArray_DATA(X), cnp.PyArray_DIM(X, 0)
        return job.n_rows > 0 and self.net.ops.first_nonfinite(job.n_rows * n_in, job.X) < 0

    cdef bint targets_as_they_are(self, object y, Job *job) noexcept:
        """The same for the job's targets."""
        cdef Py_ssize_t i, n_out = self.net.layers[self.net.n_layers - 1].n_out
        if self.targets.labels:
            if not (cnp.PyArray_CheckExact(y) and cnp.PyArray_TYPE(y) == cnp.NPY_INT64
                    and cnp.PyArray_NDIM(y) == 1 and cnp.PyArray_ISCARRAY_RO(y)
                    and cnp.PyArray_DIM(y, 0) == job.n_rows):
                return False
            job.labels = <const int64_t *>cnp.PyArray_DATA(y)
            for i in range(job.n_rows):
                if not 0 <= job.labels[i] < n_out:
                    return False
            return True
        if not (is_plain_matrix(y, job.n_rows, n_out)
                or (n_out == 1 and is_plain(y, 1) and cnp.PyArray_DIM(y, 0) == job.n_rows)):
            return False
        job.T = <const real *>cnp.PyArray_DATA(y)
        for i in range(job.n_rows * n_out):
            if not self.targets.low <= job.T[i] <= self.targets.high:
                return False
        return self.net.ops.first_nonfinite(job.n_rows * n_out, job.T) < 0

    def try_predict(self, X, out):
        """Like `predict`, `out` or a new array returned; None if an argument isn't fit as it is."""
        cdef Job job
        cdef Py_ssize_t n_out = self.net.layers[self.net.n_layers - 1].n_out
        cdef cnp.npy_intp[2] shape
        if not self.rows_as_they_are(X, &job):
            return None
        if out is None:
            shape[0], shape[1] = job.n_rows, n_out
            out = cnp.PyArray_EMPTY(2, shape, REAL_TYPE, False)
        elif not (is_plain_matrix(out, job.n_rows, n_out) and cnp.PyArray_ISWRITEABLE(out)
                  and not overlap(X, out)):
            return None
        job.out = <real *>cnp.PyArray_DATA(out)
        self.infer(&job, self.n_threads)
        return out

    def try_step(self, X, y):
        """One update from all rows; returns the loss, or None if an argument isn't fit as it is."""
        cdef Job job
        if not (self.rows_as_they_are(X, &job) and self.targets_as_they_are(y, &job)):
            return None
        self.run_training(&job, job.n_rows, self.n_threads)
        return self.reduced(&job)

    cdef int infer(self, Job *job, int n_threads) except -1:
        """Runs evaluate_task; a thread that finds the workspace taken brings one of its own."""
        cdef int threads = self.team_for(job.n_rows * self.row_flops / 3, n_threads)
        cdef bint mine = not self.inference_busy
        cdef Workspace workspace
        self.inference_busy = True
        try:
            workspace = self.inference if mine else None
            if workspace is None or workspace.n_threads < threads:
                workspace = Workspace(self, threads * CHUNK, threads, False, False, False)
                if mine:
                    self.inference = workspace
            job.space = &workspace.space
            with nogil:
                fastnn_run(threads, evaluate_task, job)
        finally:
            if mine:
                self.inference_busy = False
        return 0

    cdef double penalties(self) noexcept:
        """l1 sum|W| + l2 sum W^2 over the layers."""
        cdef const Layer *layer
        cdef Py_ssize_t l
        cdef double total = 0.0
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            if layer.l1 > 0 or layer.l2 > 0:
                total += self.net.ops.penalty(weight_reals(layer), layer.l1, layer.l2, layer.W,
                                              NULL)
        return total


# ---- the three kernels, for arrays --------------------------------------------------------------


def forward_arrays(const real[:, ::1] z_prev, const real[:, ::1] W, const real[::1] b,
                   str activation, real alpha, real[:, ::1] a, real[:, ::1] z, isa=None):
    """a = z_prev @ W + b and z = h(a): z_prev (n, k), W (k, m), b (m,) or None, a and z (n, m)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef Py_ssize_t n = z_prev.shape[0], k = W.shape[0], m = W.shape[1]
    cdef Panels rows = Panels(n, k), weights = Panels(k, m), bias = Panels(1, m), out = Panels(n, m)
    rows.read(ops, z_prev)
    weights.read(ops, W)
    if b is not None:
        ops.gather(1, m, &b[0], NULL, bias.data, PANEL)
    ops.product(n, k, panels_of(m), rows.data, rows.jump, weights.data, weights.jump, bias.data,
                out.data, out.jump)
    out.write(ops, a)
    activate_panels(h, alpha, out, NULL)
    out.write(ops, z)


cdef void activate_panels(const fastnn_activation *h, real alpha, Panels a, real *slope) noexcept:
    if h.row_forward != NULL:
        h.row_forward(a.rows, a.columns, a.jump, a.data)
    else:
        h.forward(panels_of(a.columns) * a.jump, alpha, a.data, slope)


cdef void differentiate_panels(const fastnn_activation *h, real alpha, Panels z, Panels slope,
                               Panels delta) noexcept:
    if h.row_backward != NULL:
        h.row_backward(z.rows, z.columns, z.jump, z.data, delta.data)
    else:
        h.backward(panels_of(z.columns) * z.jump, alpha, slope.data if h.keeps_slope else z.data,
                   delta.data)


def output_delta_arrays(const real[:, ::1] a, const real[:, ::1] t, str loss, parameter,
                        str activation, real alpha, double[::1] losses, real[:, ::1] delta,
                        isa=None):
    """delta = dE/da at the output and the rows' losses: a, t, delta (n, m), losses (n,)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef const fastnn_loss *entry = find_loss(ops, loss, activation)
    cdef Py_ssize_t i, n = a.shape[0], m = a.shape[1]
    cdef Panels y = Panels(n, m), target = Panels(n, m), slope = Panels(n, m), out = Panels(n, m)
    cdef Panels weight = Panels(n, 1), constants = Panels(1, m)
    cdef fastnn_loss_args args
    y.read(ops, a)
    target.read(ops, t)
    for i in range(n):
        weight.data[i] = 1
    if parameter is not None:
        for i in range(m):
            constants.data[i] = parameter[i]
    if entry.activation == NULL:
        activate_panels(h, alpha, y, slope.data)
    args.rows, args.columns, args.jump = n, m, y.jump
    args.y, args.t, args.weight = y.data, target.data, weight.data
    args.parameter = constants.data if parameter is not None else NULL
    args.delta, args.loss = out.data, &losses[0]
    entry.run(&args)
    if entry.activation == NULL:
        differentiate_panels(h, alpha, y, slope, out)
    out.write(ops, delta)


def delta_arrays(const real[:, ::1] a, str activation, real alpha, const real[:, ::1] W,
                 const real[:, ::1] delta_next, real[:, ::1] delta, isa=None):
    """delta = (delta_next @ W.T) * h'(a): a, delta (n, k), W (k, m), delta_next (n, m)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef Py_ssize_t p, n = a.shape[0], k = W.shape[0], m = W.shape[1]
    cdef Panels z = Panels(n, k), slope = Panels(n, k), out = Panels(n, k)
    cdef Panels weights = Panels(k, m), above = Panels(n, m), column = Panels(padded(m), PANEL)
    z.read(ops, a)
    weights.read(ops, W)
    above.read(ops, delta_next)
    activate_panels(h, alpha, z, slope.data)
    for p in range(panels_of(k)):
        ops.transpose(min(PANEL, k - p * PANEL), m, weights.data + p * PANEL * PANEL,
                      weights.jump, column.data)
        ops.product(n, m, 1, above.data, above.jump, column.data, 0, NULL, out.data + p * out.jump,
                    out.jump)
    differentiate_panels(h, alpha, z, slope, out)
    out.write(ops, delta)


cdef class LayerState:
    """One layer's weights, biases and moments for `update`: each (k, m), the bias a row below."""

    cdef Panels arena
    cdef readonly Py_ssize_t n_in, n_out
    cdef readonly int64_t step
    cdef readonly str rule
    cdef const fastnn_ops *ops
    cdef const fastnn_optimizer *optimizer
    cdef fastnn_hyper hyper
    cdef Py_ssize_t block

    def __cinit__(self, Py_ssize_t n_in, Py_ssize_t n_out, str optimizer, dict hyper,
                  real first_moment, isa=None):
        cdef Py_ssize_t i
        self.n_in, self.n_out, self.rule, self.ops = n_in, n_out, optimizer, table(isa)
        self.optimizer, self.hyper = find_optimizer(self.ops, optimizer), hyper_parameters(hyper)
        self.arena = Panels(n_in + 1, n_out, 1 + self.optimizer.n_moments)
        self.block = panels_of(n_out) * self.arena.jump
        for i in range(self.block * min(1, self.optimizer.n_moments)):
            self.arena.data[self.block + i] = first_moment

    def update(self, real[:, ::1] W, real[::1] b, const real[:, ::1] z_prev,
               const real[:, ::1] delta, dict hyper=None):
        """dW = z_prev.T @ delta, db = delta.sum(0), and one step of the optimizer on W and b.

        From here on with the numbers in `hyper`, where they are given.
        """
        cdef const fastnn_ops *ops = self.ops
        cdef Py_ssize_t p, q, width, n = z_prev.shape[0], panel = self.n_in * PANEL
        cdef Panels rows = Panels(n, self.n_in), deltas = Panels(n, self.n_out)
        cdef Panels tile = Panels(PANEL, PANEL)
        cdef real *weights
        cdef fastnn_step step, bias_step
        if hyper is not None:
            self.hyper = hyper_parameters(hyper)
        rows.read(ops, z_prev)
        deltas.read(ops, delta)
        ops.gather(self.n_in, self.n_out, &W[0, 0], NULL, self.arena.data, self.arena.jump)
        if b is not None:
            ops.gather(1, self.n_out, &b[0], NULL, self.arena.data + panel, self.arena.jump)
        self.step += 1
        self.optimizer.prepare(&self.hyper, <double>self.step, &step)
        bias_step = step
        bias_step.shrink = 1
        for q in range(panels_of(self.n_out)):
            weights = self.arena.data + q * self.arena.jump
            for p in range(panels_of(self.n_in)):
                width = min(PANEL, self.n_in - p * PANEL)
                ops.outer(n, width, rows.data + p * rows.jump, deltas.data + q * deltas.jump,
                          False, tile.data)
                self.optimizer.rule(width * PANEL, &step, tile.data, weights + p * PANEL * PANEL,
                                    self.block)
            ops.column_sums(n, deltas.data + q * deltas.jump, False, tile.data)
            self.optimizer.rule(PANEL, &bias_step, tile.data, weights + panel, self.block)
        ops.scatter(self.n_in, self.n_out, self.arena.data, self.arena.jump, &W[0, 0])
        if b is not None:
            ops.scatter(1, self.n_out, self.arena.data + panel, self.arena.jump, &b[0])


def evaluate_function(str name, const real[::1] x, real[::1] out, isa=None):
    """A function of vmath.h over an array; registry()["functions"] has their names."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_function *function = &ops.functions[<Py_ssize_t>PLACE["functions"][name]]
    cdef Py_ssize_t n = x.shape[0]
    cdef Panels values = Panels(panels_of(n), PANEL)
    if n > 0:
        memcpy(values.data, &x[0], n * sizeof(real))
        function.run(panels_of(n) * PANEL, values.data, values.data)
        memcpy(&out[0], values.data, n * sizeof(real))


cdef struct Probe:
    const fastnn_ops *ops
    Py_ssize_t rounds
    double operations             # of one thread


cdef void probe_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Probe *probe = <Probe *>context
    cdef real sink
    cdef double operations = probe.ops.multiply_adds(probe.rounds, &sink)
    if rank == 0:
        probe.operations = operations * fastnn_team_size(team)


def peak_flops(double seconds, int n_threads, isa=None):
    """Operations a second of fused multiply-adds in registers, the best of some `seconds`."""
    cdef Probe probe
    cdef double best = 0.0
    probe.ops, probe.rounds = table(isa), 1 << 17
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, probe_task, &probe)
        best = max(best, probe.operations / (perf_counter() - began))
    return best


cdef struct Reading:
    const fastnn_ops *ops
    const real *data
    Py_ssize_t reals, passes      # of each thread, which has a buffer of its own
    volatile real *sums           # kept, or the compiler would drop the reading


cdef void reading_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Reading *reading = <Reading *>context
    cdef Py_ssize_t i
    for i in range(reading.passes):
        reading.sums[rank * PANEL] = reading.ops.read_all(
            reading.reals, reading.data + rank * reading.reals)


def read_bandwidth(Py_ssize_t nbytes, double seconds, int n_threads, isa=None):
    """Bytes a second that all threads together read, each over and over a buffer of `nbytes` bytes
    (rounded up to 512): the best of some `seconds`."""
    cdef Reading reading
    cdef Py_ssize_t blocks = max(1, (nbytes + 511) // 512), size = blocks * 512
    cdef Panels buffers = Panels(blocks * n_threads, 8 * PANEL), sums = Panels(n_threads, PANEL)
    cdef double best = 0.0
    reading.ops, reading.data, reading.sums = table(isa), buffers.data, sums.data
    reading.reals, reading.passes = blocks * 8 * PANEL, max(1, (1 << 23) // size)
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, reading_task, &reading)
        taken = perf_counter() - began
        best = max(best, <double>size * reading.passes * n_threads / taken)
    return best


def first_nonfinite(const real[::1] x):
    """Index of the first NaN or infinity, or -1."""
    return table(None).first_nonfinite(x.shape[0], &x[0]) if x.shape[0] > 0 else -1


cdef int REAL_TYPE = cnp.NPY_FLOAT if sizeof(real) == 4 else cnp.NPY_DOUBLE
COMPILER = FASTNN_COMPILER.decode()
DTYPE = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)
