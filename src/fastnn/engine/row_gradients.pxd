# The gradient of each row's loss. Each thread of a team computes the forward pass, the loss and the
# deltas of a chunk of rows. Then, for each row, it computes the gradients of all tiles and copies
# them to one vector. The gradients are bit for bit those of a batch of this row alone. Not here:
# penalties, sample weights.

from libc.stdint cimport uint64_t

from fastnn.engine.gradients cimport begin_gradients, end_gradients
from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_flush_subnormals,
    fastnn_restore_subnormals,
    fastnn_team,
    fastnn_team_size,
    real,
)
from fastnn.engine.net cimport (
    FEW_ROWS,
    Buffers,
    Net,
    Pass,
    Stage,
    Tile,
    chunk_rows,
    rows_of_tiles,
)
from fastnn.engine.parameters cimport flatten
from fastnn.engine.passes cimport backward, begin_pass, forward, output_loss
from fastnn.engine.rows cimport Rows, gather_inputs, gather_targets, weigh_rows

cdef struct RowGradients:         # the arguments of row_gradients_task
    const Net *net
    const Buffers *buffers        # room for a chunk of rows for each thread
    Rows rows
    Py_ssize_t first, stop        # the slice to compute, as positions
    real *blocks                  # a block like the arena's first one for each thread
    real *out                     # (n, n_parameters)
    Py_ssize_t n_parameters


cdef inline void row_gradients_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Compute the slice chunk by chunk, each thread in its own rows of the buffers."""
    cdef RowGradients *args = <RowGradients *>context
    cdef const Net *net = args.net
    cdef Py_ssize_t size = fastnn_team_size(team), most = chunk_rows(net), k = net.members
    cdef Py_ssize_t row = args.first + rank * most, rows, r
    cdef real *block = args.blocks + rank * net.block
    cdef Pass work
    cdef uint64_t before = fastnn_flush_subnormals()  # as in training
    begin_pass(&work, net, args.buffers, rank * most * k, args.rows.loss)
    work.few = k <= FEW_ROWS  # as in a batch of one row
    work.scratch = args.buffers.scratch + rank * args.buffers.scratch_size
    while row < args.stop:
        rows = min(most, args.stop - row)
        work.rows = rows * k
        gather_inputs(net, &args.rows, args.buffers, row, work.at, rows)
        gather_targets(net, &args.rows, args.buffers, row, work.at, rows)
        weigh_rows(net, &args.rows, args.buffers, 1.0, row, work.at, rows)
        forward(&work)
        output_loss(&work)
        backward(&work, net.first_parameters)
        begin_gradients(net)
        for r in range(rows):
            add_row_gradient(net, args.buffers, rank * most + r, block)
            flatten(net, block, args.out + (row + r) * args.n_parameters)
        end_gradients(net)
        row += size * most
    fastnn_restore_subnormals(before)


cdef inline void add_row_gradient(const Net *net, const Buffers *buffers, Py_ssize_t at,
                                  real *block) noexcept nogil:
    """Write the gradients of one row, row `at` of the buffers, to a block."""
    cdef const Stage *stage
    cdef Py_ssize_t i, number, rows
    cdef Tile tile
    for i in range(net.n_stages):
        stage = &net.stages[i]
        rows = rows_of_tiles(net, stage, 1)
        tile.stage, tile.nonzeros, tile.ready = stage, NULL, NULL
        for number in range(stage.n_tiles):
            stage.kind.place_tile(stage, &buffers.stages[i], buffers.stride, number, &tile)
            tile.left_pairs = NULL  # those of the buffers pair several rows
            tile.left += at * rows * PANEL
            tile.right += at * rows * PANEL
            stage.kind.add_gradient(net, &tile, rows, False, block + (tile.W - net.arena))
            if tile.b != NULL:
                net.ops.column_sums(rows, 1, tile.delta + at * rows * PANEL, 0, False,
                                    block + (tile.b - net.arena))
