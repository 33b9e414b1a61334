# Postponed updates. If a batch reads few rows of W, the gradient of most rows is 0. That is so for
# a Dense whose inputs are nonzeros, and for an Embedding, whose categories are the nonzeros of
# one-hot rows. The update of a row with gradient 0 is postponed until the row is read again. It is
# then made by the same rule, with the constants of its own step. The updates made are counted for
# each row of each panel of W, so that a team of another size can continue.
#
# Not here: whether updates are postponed, and when all of them are made (step.pxd, tasks.pxd).

from libc.stdint cimport int32_t, int64_t, uint16_t
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
    """Remove the entries of all columns."""
    cdef Py_ssize_t i
    for i in range(columns.n_used):
        columns.count[columns.used[i]] = 0
    columns.n_used = 0


cdef inline void count_entry(Columns *columns, Py_ssize_t column) noexcept nogil:
    """Count one more entry of a column, which add_entry adds later."""
    if columns.count[column] == 0:
        columns.used[columns.n_used] = <int32_t>column
        columns.n_used += 1
    columns.count[column] += 1


# If at least one in ORDERED columns has entries, these columns are sorted. Sorting reads all
# counts, but updates of rows of W are faster in the order of memory.
cdef enum:
    ORDERED = 64

cdef inline void order_used(Columns *columns, Py_ssize_t n_in) noexcept nogil:
    """Sort the columns that have entries."""
    cdef Py_ssize_t column, n = 0
    for column in range(n_in):
        columns.used[n] = <int32_t>column
        n += columns.count[column] > 0


cdef inline void place_entries(Columns *columns, Py_ssize_t n_in) noexcept nogil:
    """Allot room to the columns for the entries that have been counted, which are added later."""
    cdef Py_ssize_t i, column, at = 0
    if columns.n_used * ORDERED >= n_in:
        order_used(columns, n_in)
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
    """Return the first panel of W in which the tile with this row has at least the number `tile`.

    Tiles are PANEL rows of a panel of W.
    """
    cdef Py_ssize_t down = panels_of(stage.W_rows), p = row // PANEL
    return 0 if tile <= p else min(panels_of(stage.W_columns), (tile - p + down - 1) // down)


cdef inline const real *next_row(const Stage *stage, const Columns *columns, Py_ssize_t i,
                                 Py_ssize_t q) noexcept nogil:
    """Return the row of panel q of W that is updated after the i-th column in use, or NULL."""
    if i + 1 >= columns.n_used:
        return NULL
    return stage.W + (q * stage.W_rows + columns.used[i + 1]) * PANEL


cdef inline void catch_up_stretches(const Net *net, Nonzeros *nonzeros,
                                    fastnn_row_updates *updates, Py_ssize_t n, real *W,
                                    uint16_t *done, Py_ssize_t done_jump) noexcept nogil:
    """Make the postponed updates, up to updates.to, of n rows of panels of W; all gradients are 0.

    Neighbouring rows with the same number of postponed updates are updated by one call.
    """
    cdef Py_ssize_t i = 0, k
    cdef uint16_t postponed
    while i < n:
        postponed, k = <uint16_t>(updates.to - done[i * done_jump]), i + 1
        while k < n and done[k * done_jump] == done[i * done_jump]:
            k += 1
        if postponed > 0:
            updates.panels, updates.from_ = k - i, updates.to - postponed + 1
            if not net.optimizer.update_row(updates, NULL, W + i * updates.jump):
                nonzeros.whole = True
        if updates.next != NULL:
            updates.next += (k - i) * updates.jump
        while i < k:
            done[i * done_jump] = <uint16_t>updates.to
            i += 1


cdef inline void catch_up_rows(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                               const Columns *columns, Py_ssize_t first, Py_ssize_t stop,
                               int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of the rows in use of tiles first ... stop of
    W."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i, row, q, n_in = nonzeros.n_in
    updates.to = t
    for i in range(columns.n_used):
        row = columns.used[i]
        q = first_panel(stage, row, first)
        updates.next = next_row(stage, columns, i, q)
        catch_up_stretches(net, nonzeros, &updates, first_panel(stage, row, stop) - q,
                           stage.W + (q * n_in + row) * PANEL, nonzeros.done + q * n_in + row,
                           n_in)


cdef inline void catch_up_tiles(const Net *net, const Stage *stage, Nonzeros *nonzeros,
                                Py_ssize_t first, Py_ssize_t stop, int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of tiles first ... stop of W."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t number, row, q, n_in = nonzeros.n_in, down = panels_of(n_in)
    updates.to, updates.jump, updates.next = t, PANEL, NULL
    for number in range(first, stop):
        q, row = number // down, number % down * PANEL
        catch_up_stretches(net, nonzeros, &updates, min(<Py_ssize_t>PANEL, n_in - row),
                           stage.W + (q * n_in + row) * PANEL, nonzeros.done + q * n_in + row, 1)


cdef inline void mark_tiles(Nonzeros *nonzeros, Py_ssize_t first, Py_ssize_t stop,
                            int64_t t) noexcept nogil:
    """Record that t updates have been made of tiles first ... stop of W."""
    cdef Py_ssize_t number, row, q, n_in = nonzeros.n_in, down = panels_of(n_in)
    for number in range(first, stop):
        q = number // down
        for row in range(number % down * PANEL, min(n_in, (number % down + 1) * PANEL)):
            nonzeros.done[q * n_in + row] = <uint16_t>t


cdef inline void update_rows(const Net *net, const Stage *stage, const StageBuffers *buffers,
                             Py_ssize_t stride, Nonzeros *nonzeros, Columns *columns,
                             Py_ssize_t first, Py_ssize_t stop, Py_ssize_t rows, int64_t t,
                             const Update *update, bint biases) noexcept nogil:
    """Make update t of the rows of W in use, in tiles first ... stop; with `biases`, of b, too."""
    cdef fastnn_row_updates updates = row_updates(net, stage, nonzeros)
    cdef Py_ssize_t i, row, q, panel, jump = stride * PANEL
    cdef real *g = update.free
    updates.from_, updates.to = t, t
    for i in range(columns.n_used):
        row = columns.used[i]
        q = first_panel(stage, row, first)
        updates.panels = first_panel(stage, row, stop) - q
        updates.next = next_row(stage, columns, i, q)
        if updates.panels <= 0:
            continue
        for panel in range(q, q + updates.panels):
            nonzeros.done[panel * nonzeros.n_in + row] = <uint16_t>t
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
