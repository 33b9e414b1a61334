# Embedding: a column of category numbers is replaced by several columns, the row of a table for
# each category. Other columns are copied. This stage is the first one, or follows Standardize.
#
#     z_k = W_k[x]      dW_k[c] = the sum of dE/dz_k over the rows with x = c      dE/dx = 0
#
# W is the tables W_0, W_1, ... of the columns, stacked by rows.

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn.engine.gradients cimport update_tile
from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport (
    INFERENCE,
    Columns,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Tile,
    panels_of,
    place,
)
from fastnn.engine.stages.block_dense cimport place_block_tile
from fastnn.engine.stages.blocks cimport (
    Block,
    Blocks,
    Part,
    align_outputs,
    allocate_blocks,
    column_at,
    copy_other_columns,
    parts_of,
    place_blocks,
    starts_of,
)
from fastnn.engine.postponed cimport add_entry, clear_columns, count_entry, place_entries

cdef struct Embedding:
    Blocks blocks


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from columns, categories (a number for each column, or one for all) and units."""
    cdef Blocks blocks
    cdef Embedding *own
    starts, categories = starts_of(stage, spec), list(spec["categories"])
    n = len(starts)
    categories = categories * n if len(categories) == 1 else categories
    own = <Embedding *>allocate_blocks(sizeof(Embedding), n, parts_of(categories), &blocks)
    stage.own = own
    place_blocks(stage, &blocks, starts, [1] * n, [spec["units"]] * n, categories)
    own.blocks = blocks
    stage.W_columns = spec["units"]
    stage.flops = 4.0 * n * stage.W_columns
    return 0


cdef inline const Embedding *own_of(const Stage *stage) noexcept nogil:
    return <const Embedding *>stage.own


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    cdef const Embedding *own = own_of(stage)
    stage.W_rows = own.blocks.n_rows
    stage.n_tiles = own.blocks.n_parts * own.blocks.panels_each
    stage.tile_rows = 4
    stage.may_postpone, stage.rows_read = not stage.frozen, own.blocks.n


cdef inline bint accepts(const Stage *stage, Py_ssize_t n, const real *X) noexcept nogil:
    """Whether rows X (n, n_in) hold valid category numbers in the columns that are replaced."""
    cdef const Embedding *own = own_of(stage)
    cdef Py_ssize_t r, k
    cdef real x
    for r in range(n):
        for k in range(own.blocks.n):
            x = X[r * stage.n_in + own.blocks.block[k].first_in]
            if not (0 <= x < own.blocks.block[k].rows and x == <real><Py_ssize_t>x):
                return False
    return True


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    """Place z, delta and, in `kept`, aligned panels of z, which aligned delta later overwrites."""
    cdef Py_ssize_t size = panels_of(stage.n_out) * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        at = place(&buffers.delta, base, at, size)
    return place(&buffers.kept, base, at, own_of(stage).blocks.panels_out * stride * PANEL)


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef const Embedding *own = own_of(stage)
    cdef Py_ssize_t k, jump = work.buffers.stride * PANEL, shift = work.at * PANEL
    cdef const Block *block
    cdef real *z = buffers.kept + shift
    copy_other_columns(stage, &own.blocks, work, buffers.z_prev + shift, buffers.z + shift, False)
    for k in range(own.blocks.n):
        block = &own.blocks.block[k]
        work.net.ops.look_up(work.rows, column_at(buffers.z_prev + shift, jump, block.first_in),
                             block.rows, own.blocks.panels_each, stage.W + block.row * PANEL,
                             stage.W_rows * PANEL, z + k * own.blocks.panels_each * jump, jump)
    align_outputs(&own.blocks, work, buffers.z + shift, z, True)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    cdef const Embedding *own = own_of(stage)
    cdef Py_ssize_t q, jump = work.buffers.stride * PANEL, shift = work.at * PANEL
    cdef real *below = (buffers - 1).delta
    align_outputs(&own.blocks, work, buffers.delta + shift, buffers.kept + shift, False)
    if work.carry:
        for q in range(panels_of(stage.n_in)):
            memset(below + q * jump + shift, 0, work.rows * PANEL * sizeof(real))
        copy_other_columns(stage, &own.blocks, work, buffers.delta + shift, below + shift, True)


cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: PANEL categories of a column, or fewer, in one panel of W."""
    cdef const Embedding *own = own_of(stage)
    cdef const Part *part = &own.blocks.parts[number % own.blocks.n_parts]
    cdef Py_ssize_t q = number // own.blocks.n_parts, jump = stride * PANEL
    place_block_tile(stage, &own.blocks, number, tile)
    tile.left = column_at(buffers.z_prev, jump, own.blocks.block[part.block].first_in)
    tile.right = buffers.kept + (part.block * own.blocks.panels_each + q) * jump
    tile.b, tile.delta = NULL, NULL


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    net.ops.sum_by_category(rows, tile.left, tile.first_column, tile.rows, tile.right, more, g)


# ---- postponed updates --------------------------------------------------------------------------

cdef inline const real *delta_of_row(const Stage *stage, const StageBuffers *buffers,
                                     Py_ssize_t stride, Py_ssize_t row) noexcept nogil:
    """Return the aligned delta of the column whose table has this row of W."""
    cdef const Embedding *own = own_of(stage)
    cdef Py_ssize_t k = 0
    while row >= own.blocks.block[k].row + own.blocks.block[k].rows:
        k += 1
    return buffers.kept + k * own.blocks.panels_each * stride * PANEL


cdef inline void index_rows(const Stage *stage, const real *X, const int64_t *order,
                            Py_ssize_t position, Py_ssize_t n, Columns *columns) noexcept nogil:
    cdef const Embedding *own = own_of(stage)
    cdef Py_ssize_t r, k, row
    clear_columns(columns)
    for k in range(own.blocks.n):
        for r in range(n):
            row = row_of(stage, &own.blocks.block[k], X, order, position + r)
            if row >= 0:
                count_entry(columns, row)
    place_entries(columns, stage.W_rows)
    for k in range(own.blocks.n):
        for r in range(n):
            row = row_of(stage, &own.blocks.block[k], X, order, position + r)
            if row >= 0:
                add_entry(columns, row, r, 1)


cdef inline Py_ssize_t row_of(const Stage *stage, const Block *block, const real *X,
                              const int64_t *order, Py_ssize_t position) noexcept nogil:
    """Return the row of W for a block's category in a row of inputs, or -1 if it is no category.

    The inputs have been checked, but another thread may have changed them since.
    """
    cdef Py_ssize_t i = order[position] if order != NULL else position
    cdef real x = X[i * stage.n_in + block.first_in]
    return block.row + <Py_ssize_t>x if 0 <= x < block.rows else -1


cdef inline void define_embedding(Kind *kind) noexcept:
    kind.name = "embedding"
    kind.build = build
    kind.accepts = accepts
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
    kind.delta_of_row = delta_of_row
    kind.index_rows = index_rows
