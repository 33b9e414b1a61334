# The gradient of each row's loss, on each thread of a team: forward, loss and deltas of a chunk of
# rows; then, row by row, the gradient of every tile, and all of them as one vector. Every tile's
# gradient is that of a batch of the row alone, to the bit. Not here: penalties, sample weights.

from libc.stdint cimport uint64_t

from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_flush_subnormals,
    fastnn_restore_subnormals,
    fastnn_team,
    fastnn_team_size,
    real,
)
from fastnn.engine.net cimport CHUNK, Buffers, Net, Pass, Stage, Tile
from fastnn.engine.parameters cimport flatten
from fastnn.engine.passes cimport backward, begin_pass, forward, output_loss
from fastnn.engine.rows cimport Rows, weigh_rows

cdef struct RowGradients:         # what is asked for
    const Net *net
    const Buffers *buffers        # CHUNK rows for each thread
    Rows rows
    Py_ssize_t first, stop        # positions: the slice at hand
    real *blocks                  # one like the arena's first for each thread
    real *out                     # (n, n_parameters)
    Py_ssize_t n_parameters


cdef inline void row_gradients_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """The rows of the slice, chunk by chunk; each thread has rows of its own in the buffers."""
    cdef RowGradients *asked = <RowGradients *>context
    cdef const Net *net = asked.net
    cdef Py_ssize_t size = fastnn_team_size(team), row = asked.first + rank * CHUNK, r
    cdef real *block = asked.blocks + rank * net.block
    cdef Pass work
    cdef uint64_t before
    begin_pass(&work, net, asked.buffers, rank * CHUNK, asked.rows.loss)
    work.few, work.scratch = True, asked.buffers.scratch + rank * asked.buffers.scratch_stretch
    while row < asked.stop:
        work.rows = min(CHUNK, asked.stop - row)
        asked.rows.gather_inputs(net, &asked.rows, asked.buffers, row, work.at, work.rows)
        asked.rows.gather_targets(net, &asked.rows, asked.buffers, row, work.at, work.rows)
        weigh_rows(&asked.rows, asked.buffers, 1.0, row, work.at, work.rows)
        forward(&work)
        output_loss(&work)
        backward(&work, net.first_parameters)
        before = fastnn_flush_subnormals()
        for r in range(work.rows):
            add_row_gradient(net, asked.buffers, work.at + r, block)
            flatten(net, block, asked.out + (row + r) * asked.n_parameters)
        fastnn_restore_subnormals(before)
        row += size * CHUNK


cdef inline void add_row_gradient(const Net *net, const Buffers *buffers, Py_ssize_t at,
                                  real *block) noexcept nogil:
    """The gradients of one row, whose place in the buffers is `at`, into a block."""
    cdef const Stage *stage
    cdef Py_ssize_t i, number
    cdef Tile tile
    for i in range(net.n_stages):
        stage = &net.stages[i]
        tile.stage, tile.nonzeros, tile.ready = stage, NULL, NULL
        for number in range(stage.n_tiles):
            stage.kind.place_tile(stage, &buffers.stages[i], buffers.stride, number, &tile)
            tile.left += at * PANEL
            tile.right += at * PANEL
            stage.kind.add_gradient(net, &tile, 1, False, block + (tile.W - net.arena))
            if tile.b != NULL:
                net.ops.column_sums(1, tile.delta + at * PANEL, False,
                                    block + (tile.b - net.arena))
