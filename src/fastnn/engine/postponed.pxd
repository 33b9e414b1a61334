# Postponed updates. If a batch reads few rows of W, the gradient of most rows is 0. That is so for
# a Dense whose inputs are nonzeros, and for an Embedding, whose categories are the nonzeros of
# one-hot rows. The update of a row with gradient 0 is postponed until the row is read again. It is
# then made by the same rule, with the constants of its own step. The updates made are counted for
# each row of W, so that a team of another size can continue.
#
# Not here: whether updates are postponed, and when all of them are made (step.pxd, tasks.pxd).

from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.string cimport memset

from fastnn.engine.gradients cimport update_biases_by_rows
from fastnn.engine.leaves cimport (
    PANEL,
    ROW_NOT_FINITE,
    ROW_RESTS,
    fastnn_row_result,
    fastnn_row_updates,
    real,
)
from fastnn.engine.net cimport (
    BY_VALUE,
    MOVES,
    NOT_KNOWN,
    RESTS,
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
    """Remove the entries of all columns."""
    cdef Py_ssize_t i
    for i in range(columns.n_used):
        columns.count[columns.used[i]] = 0
    columns.n_used = 0


cdef inline void count_entry(Columns *columns, Py_ssize_t column) noexcept nogil:
    """Count one more entry of a column, which add_entry adds later."""
    columns.used[columns.n_used] = <int32_t>column  # without a branch, which is hard to predict
    columns.n_used += columns.count[column] == 0
    columns.count[column] += 1


# If at least one in ORDERED columns has entries, the columns are sorted. Sorting reads all counts,
# but updates of rows of W are faster in the order of memory.
cdef enum:
    ORDERED = 64

cdef inline void place_entries(Columns *columns, Py_ssize_t n_in) noexcept nogil:
    """Allot room to the columns for the entries that have been counted, which are added later."""
    cdef Py_ssize_t i, column, n, at = 0
    columns.ordered = columns.n_used * ORDERED >= n_in
    if columns.ordered:
        n = 0
        for column in range(n_in):
            columns.used[n] = <int32_t>column
            n += columns.count[column] > 0
            columns.first[column] = at
            at += columns.count[column]
            columns.count[column] = 0
        return
    for i in range(columns.n_used):
        column = columns.used[i]
        columns.first[column] = at
        at += columns.count[column]
        columns.count[column] = 0


cdef inline void add_entry(Columns *columns, Py_ssize_t column, Py_ssize_t row,
                           real value) noexcept nogil:
    """Add an entry to a column, if there is room: another thread may have changed the inputs since
    the entries were counted."""
    cdef Py_ssize_t i = columns.first[column] + columns.count[column]
    if i < columns.capacity:
        columns.entries[i].row = <uint16_t>row
        columns.entries[i].lane = <uint16_t>(column % PANEL)
        columns.entries[i].value = value
        columns.count[column] += 1


# ---- updates ------------------------------------------------------------------------------------
#
# All panels of a row of W are updated together, by one thread: any part of the rows is a thread's.

cdef inline fastnn_row_updates row_updates(const Net *net, const Stage *stage,
                                           const Nonzeros *nonzeros) noexcept nogil:
    cdef fastnn_row_updates updates
    memset(&updates, 0, sizeof(fastnn_row_updates))
    updates.panels, updates.jump = panels_of(stage.W_columns), stage.W_rows * PANEL
    updates.block = net.block
    updates.average = (1 + net.optimizer.n_moments) * net.block if net.has_ema else 0
    updates.past, updates.n_moments = nonzeros.past, net.optimizer.n_moments
    if net.optimizer.rests:
        updates.n_moments = 0
    return updates


cdef inline void catch_up_row(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                              fastnn_row_updates *updates, Py_ssize_t row) noexcept nogil:
    """Make the postponed updates of a row of W, up to updates.to; all gradients are 0."""
    cdef uint16_t postponed = <uint16_t>(updates.to - nonzeros.done[row])
    cdef fastnn_row_result result
    nonzeros.done[row] = <uint16_t>updates.to
    if postponed == 0 or nonzeros.resting[row] == RESTS:
        return
    updates.from_ = updates.to - postponed + 1
    updates.rests = nonzeros.rests and nonzeros.resting[row] == NOT_KNOWN
    result = net.optimizer.update_row(updates, NULL, stage.W + row * PANEL)
    nonzeros.resting[row] = RESTS if result == ROW_RESTS else MOVES
    if result == ROW_NOT_FINITE:
        nonzeros.whole = True


cdef inline void catch_up_used(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                               const Columns *columns, Py_ssize_t first, Py_ssize_t stop,
                               int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of rows first ... stop of those in use."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i
    updates.to = t
    for i in range(first, stop):
        prefetch_used(stage, columns, i, stop, &updates)
        catch_up_row(net, stage, nonzeros, &updates, columns.used[i])


# Rows are prefetched this many rows before they are updated: to L2, and to L1.
cdef enum:
    LATER = 16
    NEXT = 4

cdef inline void prefetch_used(const Stage *stage, const Columns *columns, Py_ssize_t i,
                               Py_ssize_t stop, fastnn_row_updates *updates) noexcept nogil:
    """Set the rows of W to prefetch while the i-th row in use is updated."""
    updates.next = stage.W + columns.used[min(i + NEXT, stop - 1)] * PANEL
    updates.later = stage.W + columns.used[min(i + LATER, stop - 1)] * PANEL


cdef inline void catch_up_rows(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                               Py_ssize_t first, Py_ssize_t stop, int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of rows first ... stop of W."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t row
    updates.to = t
    for row in range(first, stop):
        updates.next = stage.W + min(row + NEXT, stop - 1) * PANEL
        updates.later = stage.W + min(row + LATER, stop - 1) * PANEL
        catch_up_row(net, stage, nonzeros, &updates, row)


cdef inline void mark_rows(Nonzeros *nonzeros, Py_ssize_t first, Py_ssize_t stop,
                           int64_t t) noexcept nogil:
    """Record that t updates have been made of rows first ... stop of W, with any gradients."""
    cdef Py_ssize_t row
    for row in range(first, stop):
        nonzeros.done[row], nonzeros.resting[row] = <uint16_t>t, NOT_KNOWN


cdef inline void update_used(const Net *net, const Stage *stage, const StageBuffers *buffers,
                             Py_ssize_t stride, Nonzeros *nonzeros, const Columns *columns,
                             Py_ssize_t first, Py_ssize_t stop, Py_ssize_t rows, int64_t t,
                             const Update *update) noexcept nogil:
    """Make update t, over `rows` rows of a batch, of rows first ... stop of those in use."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i, row
    cdef real *g = update.scratch
    updates.from_, updates.to = t, t
    for i in range(first, stop):
        row = columns.used[i]
        prefetch_used(stage, columns, i, stop, &updates)
        net.ops.sparse_column(rows, updates.panels, columns.entries + columns.first[row],
                              columns.count[row],
                              stage.kind.delta_of_row(stage, buffers, stride, row),
                              stride * PANEL, g)
        if net.clip == BY_VALUE:
            net.ops.limit(updates.panels * PANEL, 1, net.bound, g)
        if net.optimizer.update_row(&updates, g, stage.W + row * PANEL) == ROW_NOT_FINITE:
            nonzeros.whole = True
        nonzeros.done[row] = <uint16_t>t
        if updates.n_moments > 0:
            nonzeros.resting[row] = MOVES


cdef inline void update_all_biases(const Net *net, const Stage *stage,
                                   const StageBuffers *buffers, Py_ssize_t stride,
                                   Py_ssize_t first, Py_ssize_t stop, Py_ssize_t rows,
                                   Update *update) noexcept nogil:
    """Update panels first ... stop of the biases of a stage whose W is updated by rows."""
    cdef Py_ssize_t q
    for q in range(first, stop):
        update_biases_by_rows(net, update, rows, buffers.delta + q * stride * PANEL,
                              stage.b + q * PANEL)
