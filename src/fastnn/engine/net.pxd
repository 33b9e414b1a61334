# The structs of a network, and arithmetic of sizes.
#
# A network is a chain of stages. A stage is one row-local step; its kind is a table of functions
# (stages/), which the rest of the engine calls. Rows pass through all stages in buffers (Buffers)
# that are laid out in panels, as simd/ops.h describes.

from libc.stdint cimport int32_t, int64_t, uint16_t, uint64_t

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


# Rows that go through all stages together: their activations stay in L2, and the tiles of every
# instruction set divide it.
cdef enum:
    CHUNK = 96

# Rows of a batch that go through a step together: a larger batch takes several rounds, which add up
# its gradients, so that a panel of z_prev and one of delta stay in L2 and the buffers small.
cdef enum:
    ROUND = 1024

# Up to this many rows in a batch, transposing W for the hidden deltas costs more than it saves.
cdef enum:
    FEW_ROWS = 4

# Panels of W that are transposed together: the products with two panels share the reads of rows.
cdef enum:
    TRANSPOSED = 2


# ---- stages -------------------------------------------------------------------------------------

cdef enum Purpose:                # of buffers
    INFERENCE                     # forward only, and a loss at the output
    GRADIENTS                     # forward and backward, without dropout
    DERIVATIVES                   # the same, down to the inputs
    TRAINING                      # everything

cdef struct Kind:                 # of a stage: its functions
    const char *name
    bint waits_for_data           # it must see data before the first pass (waits_for_data of Net)
    bint takes_nonzeros           # as the first stage it takes rows as their nonzeros alone
    bint keeps_zeros              # a zero of z_prev is one of z, and padding stays zero
    # Whether rows (n, n_in) are such as the stage takes, as the first one; NULL: it takes all.
    bint (*accepts)(const Stage *stage, Py_ssize_t n, const real *X) noexcept nogil
    # Build the stage from a specification: n_out, `own`, flops, ...
    int (*build)(const Net *net, Stage *stage, dict spec) except -1
    # How W, b and their tiles are laid out; `tiny`: as tiny.c has them. NULL without parameters.
    void (*shape_parameters)(Stage *stage, bint tiny) noexcept nogil
    # Place the stage's buffers from base + at on, z and delta at least (which may be those of the
    # stage below, buffers - 1); return the place after them.
    Py_ssize_t (*lay_out)(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                          Purpose purpose, real *base, Py_ssize_t at) noexcept nogil
    # z from z_prev; and the delta of the stage below from this stage's, if work.carry.
    void (*forward)(const Stage *stage, const StageBuffers *buffers,
                    const Pass *work) noexcept nogil
    void (*backward)(const Stage *stage, const StageBuffers *buffers,
                     const Pass *work) noexcept nogil
    bint in_parts                 # networks of such stages may be trained by columns
    bint is_elementwise           # a column of z depends on that column of z_prev alone
    # The two halves of `backward` for kinds that are trained in parts: delta *= h'(a), or NULL; and
    # the delta of the stage below, or NULL where that is the delta of this stage.
    void (*differentiate)(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil
    void (*carry_back)(const Stage *stage, const StageBuffers *buffers,
                       const Pass *work) noexcept nogil
    # Kinds with parameters have what follows, others NULL. One tile of the parameters, numbered
    # from 0; and its gradient in W over so many rows, added to what g holds with `more`.
    void (*place_tile)(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                       Py_ssize_t number, Tile *tile) noexcept nogil
    void (*add_gradient)(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                         real *g) noexcept nogil
    # The gradient of a tile over all rows of a batch, and the update. The update of W may wait for
    # the next tile (Update.W).
    void (*update_tile)(const Net *net, const Tile *tile, Py_ssize_t rows,
                        Update *update) noexcept nogil
    # Where zeros are skipped (Stage.skips_zeros): the number of the i-th tile in the order of
    # strips, and the gradients of a strip: of tiles i, ... before `stop` in that order, added to
    # those of a block from `before` on (NULL: to 0). Returns how many tiles they are.
    Py_ssize_t (*strip_tile)(const Stage *stage, Py_ssize_t i) noexcept nogil
    Py_ssize_t (*add_strip)(const Net *net, const Stage *stage, const StageBuffers *buffers,
                            Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t i, Py_ssize_t stop,
                            const real *before, Strip *strip) noexcept nogil
    # A thread's share of the update from a batch of one row, in buffers of one row, for stages
    # that are `on_line`.
    void (*update_on_line)(const Net *net, const Stage *stage, const StageBuffers *buffers,
                           int rank, int size, Update *update) noexcept nogil
    # Where updates may wait (Stage.may_wait): the delta in panels (rows, ..) whose sum, weighted by
    # the entries of a row of W, is the gradient of that row. And if the inputs are not nonzeros:
    # the rows of W that n rows of X (.., n_in) read, from a position of `order` on (NULL: of X).
    const real *(*delta_of_row)(const Stage *stage, const StageBuffers *buffers,
                                Py_ssize_t stride, Py_ssize_t row) noexcept nogil
    void (*index_rows)(const Stage *stage, const real *X, const int64_t *order,
                       Py_ssize_t position, Py_ssize_t n, Columns *columns) noexcept nogil
    # The stage as the one function for on-line steps of tiny networks (simd/tiny.c) takes it; False
    # if it doesn't.
    bint (*describe_tiny)(const Net *net, const Stage *stage,
                          fastnn_tiny_layer *layer) noexcept nogil

cdef struct Stage:
    const Kind *kind
    void *own                     # what the kind adds to this struct, one block of memory
    Py_ssize_t n_in, n_out
    Py_ssize_t place              # among the network's stages
    Py_ssize_t members            # of the ensemble that it belongs to, where it tells them apart: a
    bint is_apart                 # tile has the rows of one of them
    bint frozen                   # its parameters are never updated
    real *W                       # parameters, or NULL: a matrix (W_rows, W_columns) in panels,
    real *b                       # and a vector (b_columns,) or, if b_rows > 0, a matrix, which has
    Py_ssize_t W_rows, W_columns, b_rows, b_columns    # neither decay nor penalty
    bint has_operands             # products take W rounded to bfloat16, in pairs of rows:
    fastnn_pair *operands         # panels of pairs_of(W_rows) pairs; or NULL
    bint on_line                  # single rows have an update of their own, or nothing to update
    bint may_wait                 # updates with gradient 0 may wait until a row of W is read,
    Py_ssize_t rows_read          # of which a row of inputs reads so many, if Kind.index_rows is
    bint transposed               # W is stored so, for (W_columns, W_rows)
    bint is_vector                # W is (W_columns,) for Python
    bint keeps_size               # W does not decay; nor does a vector
    bint skips_zeros              # zeros of z_prev are left out, where rows have many
    bint by_columns               # threads may divide its columns
    double kept                   # the part of its inputs that the stage does not make zero
    Py_ssize_t n_tiles            # of the parameters: what one thread updates at a stretch
    Py_ssize_t tile_rows          # what the gradient of a tile costs: rows of PANEL reals
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
    bint labels                   # integers from 0, below the number of outputs; or numbers
    double low, high              # from here to there

cdef struct Net:
    const fastnn_ops *ops
    Py_ssize_t n_stages
    Stage *stages
    const Stage *last
    Py_ssize_t n_in, n_out
    Py_ssize_t members            # of an ensemble: copies of each row that pass through the stages
    Py_ssize_t n_tiles            # of all stages
    const fastnn_loss *loss
    const fastnn_loss *linear     # takes the gradients of the outputs as its targets
    real *loss_parameter          # (n_out,) padded
    TargetRange targets
    bint is_mean                  # the batch's loss is divided by its rows (or its sample weights)
    bint penalized
    bint scales_penalties         # penalties have the divisor of the batch's losses, too
    bint on_line                  # single rows have an update of their own
    Py_ssize_t first_updated      # the lowest stage that updates change: deltas stop there
    Py_ssize_t first_parameters   # the lowest stage with parameters
    bint waits_for_data           # a Standardize stage has not seen data yet
    const fastnn_optimizer *optimizer
    fastnn_hyper hyper
    fastnn_schedule schedule      # of the learning rate
    Clip clip
    real bound
    bint averaged                 # an average of the parameters is the arena's last block:
    bint has_ema                  # a moving average that is kept beside the optimizer, or its own
    double momentum               # of the moving average
    bint in_training              # the optimizer's own average and the parameters are exchanged
    Stage *averaged_stages        # room for `stages` with the averages as parameters, or NULL
    real *arena                   # all parameters; then each moment in the same order
    Py_ssize_t block              # reals in each of these blocks
    fastnn_pair *operands         # of all stages that have them; then of their averages
    Py_ssize_t operands_block     # pairs in each of these blocks; 0: there are none
    Py_ssize_t n_blocks           # parameters, each moment, the moving average if any
    fastnn_claim claim            # of the threads that change the parameters, or copy them
    uint64_t finite_until         # the lowest W is finite until this change of parameters
    uint64_t predicts_until       # a few rows have been predicted before this change
    fastnn_tiny tiny              # the network for tiny.c; without layers where it isn't tiny
    double row_flops              # of a training step, for one row
    fastnn_pace pace              # of its training: how many threads were how fast
    uint64_t seed                 # of dropout's masks
    int64_t step                  # updates made so far
    int64_t epoch                 # whole epochs


# ---- buffers of a batch's rows ------------------------------------------------------------------

cdef struct Columns:              # the nonzeros of a round of rows by columns: a thread's
    fastnn_entry *entries         # (room,) column by column, each by rows
    Py_ssize_t room
    Py_ssize_t *first             # (n_in,) where those of each column begin
    int32_t *count                # (n_in,) and how many it has
    int32_t *used                 # (n_in,) the columns that have any
    Py_ssize_t n_used
    bint whole                    # products with zeros count: a delta is not finite

cdef struct Nonzeros:             # the rows of a batch as their nonzeros, instead of panels; or the
    # rows of an embedding's W that they read, as nonzeros of one-hot rows
    fastnn_sparse_row *rows       # (rows,), not of an embedding
    Columns *columns              # one for each thread; NULL in buffers for inference
    int n_threads
    Py_ssize_t n_in
    bint whole                    # products with zeros count: a weight is not finite
    # ---- where updates wait (waiting.pxd)
    bint waits                    # a row of W is updated when it is read, not in each step
    bint rests                    # updates with gradient and moments 0 change nothing
    uint16_t *done                # (panels, n_in) updates made of the rows of W, modulo 2^16: less
    # than PAST of them wait
    int64_t begun                 # updates made when the first began to wait,
    int64_t settled               # and when none waited, outside of a team
    fastnn_past *past             # (PAST,) the last updates

cdef struct Strip:                # tiles that share a panel of z_prev: a thread's
    Py_ssize_t panel              # whose nonzeros are listed; -1: none
    bint is_sparse                # these are few
    fastnn_column_lists *lists    # one for SLICE rows each
    real *g                       # (STRIP, PANEL, PANEL) the gradients of the tiles

cdef struct StageBuffers:         # of one stage, for the rows of a batch, in panels
    Nonzeros *nonzeros            # its input as nonzeros, which the first stage may have; or NULL:
    real *z_prev                  # its input: the batch, or z of the stage below
    real *z                       # its output
    real *delta                   # dE/dz; a Dense turns it into dE/da
    real *kept                    # what the forward pass keeps for the backward pass, or NULL
    real *kept_rows               # (rows,) the same: one number for each row
    real *apart                   # copies of rows in the order of an ensemble's members
    fastnn_pair *z_by_columns     # z_prev and delta rounded to bfloat16, in pairs of columns and of
    fastnn_pair *z_by_rows        # rows
    fastnn_pair *delta_by_columns
    fastnn_pair *delta_by_rows

cdef struct Buffers:              # room for the rows of a batch
    Py_ssize_t rows               # of the inputs; net.members times as many pass through the stages
    Py_ssize_t stride             # rows a panel: odd, so that panels don't share cache sets
    Nonzeros *nonzeros            # the inputs, where they are not in panels; or NULL
    Nonzeros *indexed             # these, or what an embedding reads; or NULL
    real *memory                  # the block that most of these point into
    StageBuffers *stages          # the one before has the delta of the inputs, if wanted
    real *target
    real *weight                  # (rows,) sample weights, over the batch's total
    double *loss                  # (rows,) losses of the rows, times weight; both for each copy
    double *penalty               # (n_tiles,)
    double *squares               # (n_tiles, 2) sums of squared gradients, of W and of b
    real *gradient                # a block like the arena's, where gradients must be stored
    real *scratch                 # a stretch for each thread: panels of W.T, or two tiles of dW
    Py_ssize_t scratch_stretch
    real *strips                  # a stretch for each thread: lists and gradients of a Strip; or
    Py_ssize_t strips_stretch     # NULL, where no stage skips zeros
    Py_ssize_t lists_stretch      # how much of it are the lists

cdef struct Pass:                 # rows `at`, ... of the buffers on their way through all stages
    const Net *net
    const Buffers *buffers
    Py_ssize_t at, rows           # of copies, where the network has members
    Py_ssize_t shift              # rows from what only this pass reads to `at`: all chunks of a
    # thread have that in one place, so that it stays in L2
    const fastnn_loss *loss       # what the outputs go into, or NULL
    const Stage *raw              # the last stage, if the loss takes its pre-activations
    uint64_t step                 # of dropout's masks,
    Py_ssize_t before             # and rows of the batch before the buffers' first
    int rank, size                # this thread, and how many divide the columns of some stages
    bint by_columns               # only this thread's columns of z and delta are computed;
    bint below_by_columns         # only those of the delta of the stage below
    bint few                      # the batch has few rows
    bint skips_zeros              # the inputs have many zeros, and the lowest W is finite
    bint carry                    # the stage below needs its delta
    real *scratch


# ---- parameters ---------------------------------------------------------------------------------

cdef struct Tile:                 # some of a stage's parameters, which one thread updates
    const Stage *stage
    Py_ssize_t rows               # of the tile in W, PANEL reals each
    real *W
    const real *left              # dW = left.T @ right: one panel each of z_prev and delta, in this
    const real *right             # order, or the other where W is stored transposed
    const fastnn_pair *left_pairs    # the same in pairs of rows, where the stage has operands;
    const fastnn_pair *right_pairs
    fastnn_pair *operands         # and those of the tile
    const Columns *nonzeros       # what z_prev is instead of a panel, or NULL: PANEL columns,
    Py_ssize_t first_column       # from this one on
    real *ready                   # dW, where it is computed already; or NULL
    Py_ssize_t columns            # of the right one that aren't padding
    real *b                       # PANEL parameters b that go with this tile, or NULL
    const real *delta             # whose gradient is the sum of its rows
    double *penalty               # place for the tile's penalty

cdef struct Update:               # a thread's, in one step
    fastnn_step weights
    fastnn_step biases            # which don't decay
    int64_t t                     # the number of the update, from 1
    double rate_multiplier        # that these constants are made with
    real momentum                 # of the parameters' moving average
    double penalty_scale          # of the penalties in this round
    real *free                    # room for the gradient of a tile
    real *known                   # the gradient of the tile before, which is not applied yet
    real *W                       # the weights of that tile
    Py_ssize_t n                  # how many they are
    fastnn_pair *operands         # and the same in pairs; or NULL


cdef inline Py_ssize_t chunk_rows(const Net *net) noexcept nogil:
    """Rows of the inputs whose copies for all members are about CHUNK.

    Even, since some stages keep rows in pairs; a part of CHUNK, which losses are summed by.
    """
    cdef Py_ssize_t rows = CHUNK
    while rows * net.members > CHUNK and rows % 4 == 0:
        rows //= 2
    return rows


cdef inline Py_ssize_t chunks_of(const Net *net, Py_ssize_t rows) noexcept nogil:
    """The chunks that so many rows are."""
    return (rows + chunk_rows(net) - 1) // chunk_rows(net)


cdef inline Py_ssize_t round_rows(const Net *net) noexcept nogil:
    """The same for ROUND, of any even number."""
    return max(2, ROUND // net.members // 2 * 2)


cdef inline Py_ssize_t rows_of_tiles(const Net *net, const Stage *stage,
                                     Py_ssize_t rows) noexcept nogil:
    """The rows that the tiles of a stage have for so many rows of the inputs."""
    return rows if stage.is_apart else rows * net.members


cdef inline const Stage *lowest_with_parameters(const Net *net) noexcept nogil:
    """The stage that may skip zeros of the inputs."""
    return &net.stages[net.first_parameters]


cdef inline Py_ssize_t panels_of(Py_ssize_t columns) noexcept nogil:
    return <Py_ssize_t>((<size_t>columns + PANEL - 1) // PANEL)  # unsigned: a shift


cdef inline Py_ssize_t pairs_of(Py_ssize_t depth) noexcept nogil:
    return (depth + 1) // 2


cdef inline bint clips_norm(const Net *net) noexcept nogil:
    """Whether a step needs all gradients before it can update any parameter."""
    return net.clip == BY_NORM or net.clip == BY_GLOBAL_NORM


cdef inline Py_ssize_t share(Py_ssize_t work, int rank, int size) noexcept nogil:
    """Where a thread's share begins; `size` gives the end of the last thread's share."""
    return work * rank if size == 1 else work * rank // size


cdef inline Py_ssize_t row_share(const Net *net, Py_ssize_t rows, int rank,
                                 int size) noexcept nogil:
    """The same of rows; where they are kept in pairs, none is divided."""
    if net.operands == NULL:
        return share(rows, rank, size)
    return min(rows, 2 * share(pairs_of(rows), rank, size))


cdef inline bint divides_columns(const Stage *stage, int size) noexcept nogil:
    """Whether so many threads divide the columns of z and W: if none gets much more than others."""
    cdef Py_ssize_t panels = panels_of(stage.n_out), most = (panels + size - 1) // size
    return stage.by_columns and most * size * 4 <= panels * 5


cdef inline Py_ssize_t first_panel_here(Py_ssize_t columns, bint divided,
                                        const Pass *work) noexcept nogil:
    """The first of the panels that a pass computes."""
    return share(panels_of(columns), work.rank, work.size) if divided else 0


cdef inline Py_ssize_t panels_here(Py_ssize_t columns, bint divided,
                                   const Pass *work) noexcept nogil:
    """How many they are."""
    cdef Py_ssize_t panels = panels_of(columns)
    if not divided:
        return panels
    return share(panels, work.rank + 1, work.size) - share(panels, work.rank, work.size)


cdef inline Py_ssize_t W_size(const Stage *stage) noexcept nogil:
    """Reals that W takes, padding included."""
    return stage.W_rows * panels_of(stage.W_columns) * PANEL


cdef inline Py_ssize_t b_size(const Stage *stage) noexcept nogil:
    """The same of b."""
    return max(1, stage.b_rows) * panels_of(stage.b_columns) * PANEL


cdef inline Py_ssize_t place(real **pointer, real *base, Py_ssize_t at,
                             Py_ssize_t n) noexcept nogil:
    """Puts a pointer at base + at; returns the place after n reals, on a cache line."""
    pointer[0] = base + at
    return at + panels_of(n) * PANEL
