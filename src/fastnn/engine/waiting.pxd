# Updates that wait. Where a batch reads few rows of W, most have a gradient of 0: a Dense whose
# inputs are nonzeros, and an Embedding, whose categories are the nonzeros of one-hot rows. The
# update of such a row waits until the row is read again, and is made by the same rule with the
# constants that it had. Each thread has a part of W, and counts the updates of each row of it.
#
# Not here: when updates wait, and when all are made (step.pxd, tasks.pxd).

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastnn.engine.gradients cimport update_biases
from fastnn.engine.leaves cimport PANEL, fastnn_row_updates, real
from fastnn.engine.net cimport (
    BY_VALUE,
    Columns,
    Net,
    Nonzeros,
    Stage,
    StageBuffers,
    Update,
    panels_of,
)


# ---- the rows of W that a batch reads -----------------------------------------------------------

cdef inline void clear_columns(Columns *columns) noexcept nogil:
    """No column has an entry."""
    cdef Py_ssize_t i
    for i in range(columns.n_used):
        columns.count[columns.used[i]] = 0
    columns.n_used = 0


cdef inline void count_entry(Columns *columns, Py_ssize_t column) noexcept nogil:
    """A column is to have an entry more."""
    if columns.count[column] == 0:
        columns.used[columns.n_used] = <int32_t>column
        columns.n_used += 1
    columns.count[column] += 1


cdef inline void place_entries(Columns *columns) noexcept nogil:
    """Places the entries that have been counted; there are none yet."""
    cdef Py_ssize_t i, column, at = 0
    for i in range(columns.n_used):
        column = columns.used[i]
        columns.first[column] = at
        at += columns.count[column]
        columns.count[column] = 0


cdef inline void add_entry(Columns *columns, Py_ssize_t column, Py_ssize_t row,
                           real value) noexcept nogil:
    """The next entry of a column, if there is room: a caller's memory may have changed."""
    cdef Py_ssize_t i = columns.first[column] + columns.count[column]
    if i < columns.room:
        columns.entries[i].row = <int32_t>row
        columns.entries[i].value = value
        columns.count[column] += 1


# ---- updates ------------------------------------------------------------------------------------

cdef inline fastnn_row_updates row_updates(const Net *net, const Stage *stage,
                                           const Nonzeros *nonzeros) noexcept nogil:
    cdef fastnn_row_updates updates
    memset(&updates, 0, sizeof(fastnn_row_updates))
    updates.jump, updates.block = stage.W_rows * PANEL, net.block
    updates.average = (1 + net.optimizer.n_moments) * net.block if net.has_ema else 0
    updates.past, updates.n_moments = nonzeros.past, net.optimizer.n_moments
    updates.rests = nonzeros.rests
    if net.optimizer.rests:
        updates.n_moments = 0
    return updates


cdef inline Py_ssize_t first_panel(const Stage *stage, Py_ssize_t row,
                                   Py_ssize_t tile) noexcept nogil:
    """The first panel of W whose tile with this row is no earlier than `tile`, where the tiles are
    PANEL rows of W each."""
    cdef Py_ssize_t down = panels_of(stage.W_rows), p = row // PANEL
    return 0 if tile <= p else min(panels_of(stage.W_columns), (tile - p + down - 1) // down)


cdef inline const real *next_row(const Stage *stage, const Columns *columns, Py_ssize_t i,
                                 Py_ssize_t q) noexcept nogil:
    """The row of panel q of W after that of the i-th column in use, or NULL."""
    if i + 1 >= columns.n_used:
        return NULL
    return stage.W + (q * stage.W_rows + columns.used[i + 1]) * PANEL


cdef inline void catch_up_rows(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                               Columns *columns, Py_ssize_t first, Py_ssize_t stop, int64_t t,
                               bint all) noexcept nogil:
    """The updates up to the t-th of rows of W whose gradients are 0, in tiles first ... stop: of
    the rows in use, or of all."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i, row, q
    if columns.all_done == t:
        return
    for i in range(stage.W_rows if all else columns.n_used):
        row = i if all else columns.used[i]
        if columns.done[row] == t:
            continue
        q = first_panel(stage, row, first)
        updates.panels = first_panel(stage, row, stop) - q
        updates.from_, updates.to = columns.done[row] + 1, t
        updates.next = NULL
        if not all:
            updates.next = next_row(stage, columns, i, q)
        if updates.panels > 0 and not net.optimizer.update_row(
                &updates, NULL, stage.W + (q * stage.W_rows + row) * PANEL):
            nonzeros.whole = True
        columns.done[row] = t
    if all:
        columns.all_done = t


cdef inline void update_rows(const Net *net, const Stage *stage, const StageBuffers *buffers,
                             Py_ssize_t stride, Nonzeros *nonzeros, Columns *columns,
                             Py_ssize_t first, Py_ssize_t stop, Py_ssize_t rows, int64_t t,
                             const Update *update, bint biases) noexcept nogil:
    """The t-th update of the rows of W in use in tiles first ... stop; and of the biases, if asked
    for."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i, row, q, jump = stride * PANEL
    cdef real *g = update.free
    updates.from_, updates.to = t, t
    for i in range(columns.n_used):
        row = columns.used[i]
        q = first_panel(stage, row, first)
        updates.panels = first_panel(stage, row, stop) - q
        columns.done[row] = t
        updates.next = next_row(stage, columns, i, q)
        if updates.panels <= 0:
            continue
        net.ops.sparse_column(rows, updates.panels, columns.entries + columns.first[row],
                              columns.count[row],
                              stage.kind.delta_of_row(stage, buffers, stride, row) + q * jump,
                              jump, g)
        if net.clip == BY_VALUE:
            net.ops.limit(updates.panels * PANEL, 1, net.bound, g)
        if not net.optimizer.update_row(&updates, g, stage.W + (q * stage.W_rows + row) * PANEL):
            nonzeros.whole = True
    if stage.b != NULL and biases:
        for q in range(first_panel(stage, 0, first), first_panel(stage, 0, stop)):
            net.ops.column_sums(rows, buffers.delta + q * jump, False, g)
            update_biases(net, update, stage.b + q * PANEL, g)
