# The structs of a network, and arithmetic of sizes.
#
# A network is a chain of stages. A stage is one row-local step; its kind is a table of functions
# (stages/), which the rest of the engine calls. Rows pass through all stages in buffers (Buffers)
# that are laid out in panels, as simd/ops.h describes.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_claim,
    fastnn_column_lists,
    fastnn_entry,
    fastnn_hyper,
    fastnn_loss,
    fastnn_ops,
    fastnn_optimizer,
    fastnn_pace,
    fastnn_pair,
    fastnn_past,
    fastnn_schedule,
    fastnn_sparse_row,
    fastnn_step,
    fastnn_tiny,
    fastnn_tiny_layer,
    real,
)

cdef struct Columns
cdef struct Net
cdef struct Nonzeros
cdef struct Stage
cdef struct StageBuffers
cdef struct Strip
cdef struct Pass
cdef struct Tile
cdef struct Update


# Rows that pass through all stages together, so that their activations stay in L2. A multiple of
# the rows of a register tile, for every instruction set.
cdef enum:
    CHUNK = 96

# Rows of a batch that go through a step together. A larger batch takes several rounds, and its
# gradients are summed over the rounds. So a panel of z_prev and a panel of delta stay in L2, and
# the buffers stay small.
cdef enum:
    ROUND = 1024

# Up to this many rows in a batch, transposing W for the hidden deltas costs more than it saves.
cdef enum:
    FEW_ROWS = 4

# Panels of W that are transposed together, and have room in the scratch: the products with two
# panels share the reads of rows.
cdef enum:
    TRANSPOSED = 2


# Panels of biases that are updated together.
cdef enum:
    BIAS_PANELS = 4


# Gradients of batches of STRIP_ROWS rows or more are computed strip by strip, if the instruction
# set prefers that. A strip has up to STRIP_PANELS panels of z_prev. Measured on a Xeon (model 167)
# in float64, relative to the time tile by tile: 784-256-128-10 with 256 rows 0.93, with 1,024 0.86;
# 784-1024-1024-10 1.0 and 0.87; 1024-4096-1024 with 256 rows 0.9. With 8 panels instead of 4, the
# first of these with 1,024 rows and the others with 256 take 0.97 times as long. In float32, strips
# gain nothing.
cdef enum:
    STRIP_ROWS = 256
    STRIP_PANELS = 8


# ---- stages -------------------------------------------------------------------------------------

cdef enum Purpose:                # of buffers
    INFERENCE                     # forward only, and a loss at the output
    GRADIENTS                     # forward and backward, without dropout
    DERIVATIVES                   # the same, down to the inputs
    TRAINING                      # everything

cdef struct Kind:                 # the functions of a kind of stage
    const char *name
    bint waits_for_data           # it must see data before the first pass (waits_for_data of Net)
    bint takes_nonzeros           # as the first stage, it can read nonzeros instead of panels
    bint keeps_zeros              # where z_prev is zero, z is zero, and padding stays zero
    # Whether the stage accepts inputs X (n, n_in), which are finite; NULL: it accepts all of them.
    bint (*accepts)(const Stage *stage, Py_ssize_t n, const real *X) noexcept nogil
    # Build the stage from a specification: set n_out, `own`, flops, ...
    int (*build)(const Net *net, Stage *stage, dict spec) except -1
    # Set the layout of W, b and their tiles; with `tiny`, the layout that tiny.c reads. NULL
    # without parameters.
    void (*shape_parameters)(Stage *stage) noexcept nogil
    # Place the stage's buffers at base + at: z, delta and whatever else the kind needs. z and delta
    # may share the memory of the stage below (buffers - 1). Return the offset after the buffers.
    Py_ssize_t (*lay_out)(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                          Purpose purpose, real *base, Py_ssize_t at) noexcept nogil
    # Compute z from z_prev.
    void (*forward)(const Stage *stage, const StageBuffers *buffers,
                    const Pass *work) noexcept nogil
    # Complete delta (a Dense multiplies it by h'(a)); if work.carry, compute the delta of the stage
    # below from it.
    void (*backward)(const Stage *stage, const StageBuffers *buffers,
                     const Pass *work) noexcept nogil
    bint in_parts                 # networks of such stages can be trained by columns
    bint is_elementwise           # a column of z depends on that column of z_prev alone
    # The two halves of `backward`, for networks that are trained by columns. `differentiate`
    # multiplies delta by the stage's own derivative, or is NULL. `carry_back` computes the delta of
    # the stage below, or is NULL if both stages share one delta.
    void (*differentiate)(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil
    void (*carry_back)(const Stage *stage, const StageBuffers *buffers,
                       const Pass *work) noexcept nogil
    # The functions below are NULL for kinds without parameters. `place_tile` describes a tile of
    # the parameters by its number, from 0. `add_gradient` computes the gradient of the tile's W
    # over `rows` rows into g, or adds it to g if `more`.
    void (*place_tile)(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                       Py_ssize_t number, Tile *tile) noexcept nogil
    void (*add_gradient)(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                         real *g) noexcept nogil
    # Compute the gradient of a tile over all rows of a batch, and update the tile. The update of W
    # may be deferred to the call for the next tile (Update.pending_W).
    void (*update_tile)(const Net *net, const Tile *tile, Py_ssize_t rows,
                        Update *update) noexcept nogil
    # Return the number of the i-th tile in the order of strips: those with the same columns of
    # z_prev follow each other. NULL: the stage keeps to the order of the numbers.
    Py_ssize_t (*strip_tile)(const Stage *stage, Py_ssize_t i) noexcept nogil
    # For stages with strips (has_strips) or that skip zeros (Stage.skips_zeros). Compute the
    # gradients of a strip, which begins with tile i in the order of strips and ends before `stop`,
    # and add them to the stored gradients of W at `before` (NULL: to 0). Set strip.n_panels, and
    # return the number of tiles in the strip.
    Py_ssize_t (*add_strip)(const Net *net, const Stage *stage, const StageBuffers *buffers,
                            Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t i, Py_ssize_t stop,
                            const real *before, Strip *strip) noexcept nogil
    # Update this thread's share of the parameters from a batch of one row, in buffers for one row.
    # For stages that are `on_line`.
    void (*update_on_line)(const Net *net, const Stage *stage, const StageBuffers *buffers,
                           int rank, int size, Update *update) noexcept nogil
    # For stages whose updates may be postponed (Stage.may_postpone). `delta_of_row` returns panels
    # of deltas (rows, ..): their sum over rows, weighted by the entries of a row of W (Columns), is
    # the gradient of that row. `index_rows`, for inputs that are not nonzeros, lists the rows of W
    # that n rows of X (.., n_in) read: those from `position` on in `order`, or in X if `order` is
    # NULL.
    const real *(*delta_of_row)(const Stage *stage, const StageBuffers *buffers,
                                Py_ssize_t stride, Py_ssize_t row) noexcept nogil
    void (*index_rows)(const Stage *stage, const real *X, const int64_t *order,
                       Py_ssize_t position, Py_ssize_t n, Columns *columns) noexcept nogil
    # Describe the stage for simd/tiny.c, one function that trains tiny networks on-line; False if
    # tiny.c does not support the stage.
    bint (*describe_tiny)(const Net *net, const Stage *stage,
                          fastnn_tiny_layer *layer) noexcept nogil

cdef struct Stage:
    const Kind *kind
    void *own                     # the kind's own data, one block of memory
    Py_ssize_t n_in, n_out
    Py_ssize_t index              # index among the network's stages
    Py_ssize_t members            # members of the ensemble, if the stage tells them apart; or 0
    bint tiles_by_member          # a tile's gradient sums over the rows of one member
    bint frozen                   # its parameters are never updated
    real *W                       # parameters (W_rows, W_columns) in panels, or NULL
    # Parameters (b_columns,), or (b_rows, b_columns) if b_rows > 0, in panels; or NULL. They have
    # neither weight decay nor penalties.
    real *b
    Py_ssize_t W_rows, W_columns, b_rows, b_columns
    bint has_operands             # products read a copy of W, rounded to bfloat16
    fastnn_pair *operands         # the copy: panels of padded_pairs(W_rows) rows of pairs; or NULL
    bint on_line                  # Kind.update_on_line can update it, or it has no parameters
    bint may_postpone             # updates with gradient 0 may be made when a row of W is read
    Py_ssize_t rows_read          # rows of W that a row of inputs reads, for Kind.index_rows
    bint transposed               # W is stored transposed: it is (W_columns, W_rows) for Python
    bint is_vector                # W is (W_columns,) for Python, and has no weight decay
    bint no_weight_decay          # W has no weight decay
    bint skips_zeros              # products may skip the zeros of z_prev
    bint by_columns               # threads may divide its columns
    double keep_rate              # fraction of its inputs that the stage does not set to zero
    Py_ssize_t n_tiles            # tiles of the parameters; each is updated by one thread
    Py_ssize_t tile_rows          # cost of the gradient of a tile: rows of PANEL reals
    double l1, l2                 # penalties on W
    double rate_multiplier        # of the learning rate, for this stage's parameters
    double flops                  # of a training step, for one row


# ---- the network --------------------------------------------------------------------------------

cdef enum Clip:                   # of gradients, before the optimizer sees them
    NO_CLIP
    BY_VALUE                      # each number to [-bound, bound]
    BY_NORM                       # each W and each b to a norm of at most the bound
    BY_GLOBAL_NORM                # all of them together

cdef struct TargetRange:          # the targets that a loss accepts
    bint labels                   # integers from 0 to n_out - 1; if False, real numbers
    double low, high              # the least and the greatest number

cdef struct Net:
    const fastnn_ops *ops
    const char *isa               # the instruction set of these leaves
    Py_ssize_t n_stages
    Stage *stages
    const Stage *last
    Py_ssize_t n_in, n_out
    Py_ssize_t members            # of the ensemble, or 1: copies of each row in the stages' buffers
    Py_ssize_t n_tiles            # of all stages
    const fastnn_loss *loss
    const fastnn_loss *linear     # the linear loss: its targets are the gradients of the outputs
    real *loss_parameter          # (n_out,) padded
    TargetRange targets
    bint is_mean                  # a batch's loss is divided by its rows, or their sample weights
    bint penalized
    bint scales_penalties         # penalties are divided by the same number as a batch's loss
    bint on_line                  # batches of one row are updated by Kind.update_on_line
    Py_ssize_t first_updated      # the lowest stage that is updated; no delta is computed below it
    Py_ssize_t first_parameters   # the lowest stage with parameters
    bint waits_for_data           # a Standardize stage has not seen data yet
    const fastnn_optimizer *optimizer
    fastnn_hyper hyper
    fastnn_schedule schedule      # of the learning rate
    Clip clip
    real bound
    bint averaged                 # the last block of the arena is an average of the parameters
    bint has_ema                  # the average is a moving average, not that of the optimizer
    double momentum               # of the moving average
    bint in_training              # block 0 has the parameters, not the optimizer's average of them
    Stage *averaged_stages        # copies of `stages` whose parameters are the averages; or NULL
    real *arena                   # all parameters; then each moment in the same order
    Py_ssize_t block              # reals in each of these blocks
    fastnn_pair *operands         # of all stages that have operands; then those of their averages
    Py_ssize_t operands_block     # pairs in each of these blocks; 0: there are none
    Py_ssize_t n_blocks           # parameters, each moment, the moving average if any
    fastnn_claim claim            # held by threads that change or copy the parameters
    # The lowest W is known to be finite until this change of the parameters, as `claim` counts
    # changes; 0: unknown.
    uint64_t finite_until
    uint64_t predicts_until       # few rows have been predicted since the change before this one
    fastnn_tiny tiny              # the network as tiny.c reads it; without layers if it is not tiny
    double row_flops              # of a training step, for one row
    fastnn_pace pace              # measured speed of its training, by size of the team
    uint64_t seed                 # of dropout's masks
    int64_t step                  # updates made so far
    int64_t epoch                 # complete epochs trained so far


# ---- buffers of a batch's rows ------------------------------------------------------------------

cdef struct Columns:              # a thread's index of the nonzeros in a round of rows, by columns
    fastnn_entry *entries         # (capacity,) grouped by column, ordered by rows within a column
    Py_ssize_t capacity
    Py_ssize_t *first             # (n_in,) index of the first entry of each column
    int32_t *count                # (n_in,) number of entries of each column
    int32_t *used                 # (n_in + 1,) the n_used columns that have entries
    Py_ssize_t n_used
    bint ordered                  # `used` is sorted, and `first` is set for all columns
    bint whole                    # zeros must be multiplied, too, since a delta is not finite

cdef enum Resting:                # whether an update with gradient 0 leaves a row of W as it is
    NOT_KNOWN
    RESTS
    MOVES

# The inputs of a batch as nonzeros, not in panels; or the rows of an Embedding's W that the batch
# reads, as the nonzeros of one-hot rows.
cdef struct Nonzeros:
    fastnn_sparse_row *rows       # (rows,) the rows; unused for an Embedding
    Columns *columns              # one for each thread; NULL in buffers for inference
    int n_threads
    Py_ssize_t n_in
    bint whole                    # zeros must be multiplied, too, since a weight is not finite
    # ---- where updates are postponed (postponed.pxd)
    bint postpones                # a row of W is updated when it is read, not in each step
    bint rests                    # updates with gradient 0 may leave rows of W as they are
    uint8_t *resting              # (n_in,) for each row of W: a value of Resting
    # (n_in,) number of updates made of each row of W, modulo 2^16. Fewer than PAST updates of a row
    # are postponed.
    uint16_t *done
    int64_t begun                 # value of Net.step from which on updates are postponed
    int64_t caught_up             # value of Net.step when all postponed updates were last made
    fastnn_past *past             # (PAST,) constants of update t at t % PAST

cdef struct Strip:                # tiles of a thread that share panels of z_prev
    Py_ssize_t most               # the most tiles that `g` has room for
    Py_ssize_t n_panels           # panels of z_prev; each has tiles with the same panels of delta
    real *g                       # (tiles, PANEL, PANEL) the gradients, in the order of strips
    # ---- to skip zeros
    fastnn_column_lists *lists    # lists of nonzeros, one for SLICE rows each; NULL: skip none
    Py_ssize_t panel              # index of the panel whose nonzeros are in `lists`; -1: none
    bint is_sparse                # the panel has few nonzeros

cdef struct StageBuffers:         # of one stage, for the rows of a batch, in panels
    Nonzeros *nonzeros            # inputs of the first stage as nonzeros; NULL: they are in z_prev
    real *z_prev                  # its input: the batch, or z of the stage below
    real *z                       # its output
    real *delta                   # dE/dz; a Dense turns it into dE/da
    # Values that the forward pass stores for the backward pass, and other memory that the kind
    # needs for rows; or NULL.
    real *kept
    real *kept_rows               # (rows,) stored for the backward pass: one number for each row
    real *by_member               # copies of the rows, grouped by member of an ensemble
    fastnn_pair *z_by_columns     # z_prev rounded to bfloat16, in pairs of columns
    fastnn_pair *z_by_rows        # z_prev rounded to bfloat16, in pairs of rows
    fastnn_pair *delta_by_columns  # delta rounded to bfloat16, in pairs of columns
    fastnn_pair *delta_by_rows    # delta rounded to bfloat16, in pairs of rows

cdef struct Buffers:              # room for the rows of a batch
    Py_ssize_t rows               # rows of inputs; the stages have net.members times as many
    Py_ssize_t stride             # rows of a panel: odd, so that panels don't share cache sets
    Nonzeros *nonzeros            # inputs that are not in panels; or NULL
    Nonzeros *indexed             # `nonzeros`, or the rows of W that an Embedding reads; or NULL
    real *memory                  # the block that most of these pointers point into
    StageBuffers *stages          # (n_stages,); stages[-1] has the delta of the inputs, if wanted
    real *target
    real *weight                  # factor of each copy of a row in the batch's loss
    double *loss                  # loss of each copy of a row, times its weight
    double *penalty               # (n_tiles,) penalties
    double *squares               # (n_tiles, 2) sums of squared gradients, of W and of b
    real *gradient                # stored gradients, laid out as the parameters are; or NULL
    real *scratch                 # memory for each thread: panels of W.T, or tiles of dW
    Py_ssize_t scratch_size       # reals of it for each thread
    real *strips                  # memory for each thread: lists and gradients of a Strip; or NULL
    Py_ssize_t strips_size        # reals of it for each thread
    Py_ssize_t lists_size         # reals of the lists in it

cdef struct Pass:                 # a pass of rows `at`, ... of the buffers through all stages
    const Net *net
    const Buffers *buffers
    Py_ssize_t at, rows           # counted in copies, if the network has members
    # Memory that only this pass reads begins at row `at` - shift: all chunks of a thread use the
    # same rows of it, which stay in L2.
    Py_ssize_t shift
    const fastnn_loss *loss       # the loss that reads the outputs, or NULL
    const Stage *raw              # the last stage, if the loss reads its pre-activations; or NULL
    uint64_t step                 # number of the step, for dropout's masks
    Py_ssize_t before             # rows of the batch before the first row of the buffers
    bint last                     # the rows are the last of a round
    int rank, size                # rank of this thread; number of threads that divide columns
    bint by_columns               # only this thread's columns of z and delta are computed
    bint below_by_columns         # only this thread's columns of the delta below are computed
    bint few                      # the batch has few rows (FEW_ROWS)
    bint skips_zeros              # the inputs have many zeros, and the lowest W is finite
    bint carry                    # the stage below needs its delta
    real *scratch


# ---- parameters ---------------------------------------------------------------------------------

cdef struct Tile:                 # a part of a stage's parameters, updated by one thread
    const Stage *stage
    Py_ssize_t rows               # rows of W in the tile, PANEL reals each
    real *W
    # dW = left.T @ right: a panel of z_prev and a panel of delta, or the reverse if W is stored
    # transposed
    const real *left
    const real *right
    const fastnn_pair *left_pairs    # left and right in pairs of rows; NULL: there are none
    const fastnn_pair *right_pairs
    fastnn_pair *operands         # operands of the tile, if the stage has operands
    const Columns *nonzeros       # nonzeros of z_prev, if it is not in panels; or NULL
    Py_ssize_t first_column       # the first column of z_prev that belongs to the tile
    real *ready                   # dW, if it has been computed before; or NULL
    Py_ssize_t columns            # columns of `right` that are not padding
    real *b                       # PANEL parameters of b that are updated with the tile; or NULL
    const real *delta             # a panel of delta: db is the sum of its rows
    double *penalty               # where the tile's penalty is stored

cdef struct Update:               # state of a thread's update in one step
    fastnn_step weights           # constants of the optimizer for W
    fastnn_step biases            # the same without weight decay
    int64_t t                     # the number of the update, from 1
    double rate_multiplier        # multiplier of the learning rate in the constants
    real momentum                 # of the parameters' moving average
    double penalty_scale          # factor of the penalties in this round
    real *scratch                 # memory for the gradient of a tile
    # ---- the update of the previous tile, which is deferred
    real *pending_gradient
    real *pending_W
    Py_ssize_t pending_n          # number of its weights; 0: no update is deferred
    fastnn_pair *pending_operands  # or NULL
    # ---- the update of neighbouring panels of biases, which is deferred
    real *b
    const real *bias_delta        # their gradients are the sums of the rows of delta
    Py_ssize_t bias_jump          # reals from one panel of delta to the next
    Py_ssize_t bias_rows
    Py_ssize_t bias_panels        # number of panels; 0: no update is deferred


cdef inline Py_ssize_t chunk_rows(const Net *net) noexcept nogil:
    """Return the rows of inputs in a chunk: their copies for all members are about CHUNK rows.

    It divides CHUNK, so that a block of rows that is a multiple of CHUNK consists of whole chunks,
    by which losses are summed.
    """
    cdef Py_ssize_t rows = CHUNK, least = 2 * max(<Py_ssize_t>2, row_group(net))
    while rows * net.members > CHUNK and rows % least == 0:
        rows //= 2
    return rows


cdef inline Py_ssize_t chunks_of(const Net *net, Py_ssize_t rows) noexcept nogil:
    """Return the number of chunks in `rows` rows of inputs."""
    return (rows + chunk_rows(net) - 1) // chunk_rows(net)


cdef inline Py_ssize_t round_rows(const Net *net) noexcept nogil:
    """Return the rows of inputs in a round: whole groups, with about ROUND copies for all
    members."""
    cdef Py_ssize_t group = max(<Py_ssize_t>2, row_group(net))
    return max(group, ROUND // net.members // group * group)


cdef inline Py_ssize_t rows_of_tiles(const Net *net, const Stage *stage,
                                     Py_ssize_t rows) noexcept nogil:
    """Return the rows that the gradient of a tile sums over, for `rows` rows of inputs."""
    return rows if stage.tiles_by_member else rows * net.members


cdef inline const Stage *lowest_with_parameters(const Net *net) noexcept nogil:
    """Return the lowest stage with parameters: it may skip zeros of the inputs."""
    return &net.stages[net.first_parameters]


cdef inline bint evaluates_average(const Net *net, bint averages) noexcept nogil:
    """Whether validation evaluates the last block of the arena, an average, instead of block 0.

    It does from the first update on, with `averages` or in training, if the network is averaged.
    """
    return (averages or net.in_training) and net.averaged and net.step > 0


cdef inline Py_ssize_t panels_of(Py_ssize_t columns) noexcept nogil:
    return <Py_ssize_t>((<size_t>columns + PANEL - 1) // PANEL)  # unsigned: a shift


cdef inline Py_ssize_t padded_pairs(Py_ssize_t depth) noexcept nogil:
    """Return the pairs that operands have room for along a depth: PANEL for each block of 2 PANEL
    numbers."""
    return (panels_of(depth) + 1) // 2 * PANEL


cdef inline Py_ssize_t row_group(const Net *net) noexcept nogil:
    """Return how many rows stay together in threads, chunks and rounds: 4 if operands pair them
    (fastnn_pair_rows_fn)."""
    return 4 if net.operands != NULL else 1


cdef inline bint clips_norm(const Net *net) noexcept nogil:
    """Whether a step needs all gradients before it can update any parameter."""
    return net.clip == BY_NORM or net.clip == BY_GLOBAL_NORM


cdef inline Py_ssize_t share(Py_ssize_t work, int rank, int size) noexcept nogil:
    """Return where the share of thread `rank` begins; it ends where that of rank + 1 begins."""
    return work * rank if size == 1 else work * rank // size


cdef inline Py_ssize_t row_share(const Net *net, Py_ssize_t rows, int rank,
                                 int size) noexcept nogil:
    """Return where a thread's share of rows begins: with a whole group."""
    cdef Py_ssize_t group = row_group(net)
    return min(rows, group * share((rows + group - 1) // group, rank, size))


cdef inline bint has_strips(const Net *net, const Stage *stage, Py_ssize_t rows) noexcept nogil:
    """Whether the gradients of a stage are computed strip by strip, without skipping zeros."""
    return (net.ops.prefers_strips and rows >= STRIP_ROWS and stage.kind.add_strip != NULL
            and not stage.transposed and panels_of(stage.n_out) > 1)


cdef inline bint have_strips(const Net *net, Py_ssize_t rows) noexcept nogil:
    """Whether the gradients of any stage are."""
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        if has_strips(net, &net.stages[i], rows):
            return True
    return False


cdef inline bint divides_columns(const Stage *stage, int size) noexcept nogil:
    """Whether `size` threads divide the columns of z and W: only into shares of similar size."""
    cdef Py_ssize_t panels = panels_of(stage.n_out), most = (panels + size - 1) // size
    return stage.by_columns and most * size * 4 <= panels * 5


cdef inline Py_ssize_t first_panel_here(Py_ssize_t columns, bint divided,
                                        const Pass *work) noexcept nogil:
    """Return the first panel that a pass computes."""
    return share(panels_of(columns), work.rank, work.size) if divided else 0


cdef inline Py_ssize_t panels_here(Py_ssize_t columns, bint divided,
                                   const Pass *work) noexcept nogil:
    """Return the number of panels that a pass computes."""
    cdef Py_ssize_t panels = panels_of(columns)
    if not divided:
        return panels
    return share(panels, work.rank + 1, work.size) - share(panels, work.rank, work.size)


cdef inline Py_ssize_t W_size(const Stage *stage) noexcept nogil:
    """Return the number of reals of W, padding included."""
    return stage.W_rows * panels_of(stage.W_columns) * PANEL


cdef inline Py_ssize_t b_size(const Stage *stage) noexcept nogil:
    """Return the number of reals of b, padding included."""
    return max(1, stage.b_rows) * panels_of(stage.b_columns) * PANEL


cdef inline Py_ssize_t place(real **pointer, real *base, Py_ssize_t at,
                             Py_ssize_t n) noexcept nogil:
    """Point `pointer` at base + at; return the offset of the next cache line after n reals."""
    pointer[0] = base + at
    return at + panels_of(n) * PANEL
