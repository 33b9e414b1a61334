# The source of the rows of a step: inputs, targets and sample weights. The functions that gather
# inputs and targets are chosen once, when the rows are described. So is the loss: the network's
# own, or the linear loss if the caller gives gradients of the outputs. A new kind of inputs or
# targets needs a function that gathers its rows, and a function that describes them.

from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from fastnn.engine.leaves cimport (
    FASTNN_LONG_ROW,
    PANEL,
    fastnn_loss,
    fastnn_prefetch,
    fastnn_prefetch_rows,
    fastnn_sparse_row,
    real,
)
from fastnn.engine.net cimport (
    Buffers,
    Columns,
    Net,
    Stage,
    lowest_with_parameters,
    panels_of,
)
from fastnn.engine.registry cimport by_output
from fastnn.engine.postponed cimport add_entry, clear_columns, count_entry, place_entries

cdef struct Rows

cdef struct Rows:
    Py_ssize_t n
    # Gather n rows, from `position` in the order, into rows `at`, ... of the buffers. Each row is
    # gathered once; `spread` makes the copies for members.
    void (*gather_inputs)(const Net *net, const Rows *rows, const Buffers *buffers,
                          Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil
    void (*gather_targets)(const Net *net, const Rows *rows, const Buffers *buffers,
                           Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil
    const fastnn_loss *loss       # the loss that reads these targets; NULL without targets
    Py_ssize_t n_weights          # weights of a row: 1, n_out, or 0 if all rows have weight 1
    const real *X                 # (n, n_in) dense rows; NULL for CSR rows
    const real *values            # (n_values,) the nonzeros of all CSR rows
    const int32_t *columns        # (n_values,) columns of the nonzeros, ascending in each row
    const int64_t *starts         # (n + 1,) indices in `values` where rows begin, and the last ends
    Py_ssize_t n_values
    double nonzeros_each          # mean number of nonzeros of all stored CSR rows
    double flops_less             # flops of Net.row_flops that zeros save in a row
    const real *T                 # (n, n_out) targets, or NULL
    const int64_t *labels         # (n,) targets as class labels, or NULL
    const real *sample_weight     # (n, n_weights)
    const int64_t *order          # (n,) the order in which rows are used; NULL: as they are stored


# ---- copies for the members of a network --------------------------------------------------------
#
# The copies of a row follow one another in the buffers.

cdef inline void gather_inputs(const Net *net, const Rows *rows, const Buffers *buffers,
                               Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Gather n rows from `position`, and make their copies, in the buffers from row `at` on."""
    rows.gather_inputs(net, rows, buffers, position, at, n)
    if net.members > 1:
        spread(net, buffers, net.n_in, n, buffers.stages[0].z_prev + at * PANEL)


cdef inline void gather_targets(const Net *net, const Rows *rows, const Buffers *buffers,
                                Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Gather the targets of n rows, and make their copies, in the buffers from row `at` on."""
    rows.gather_targets(net, rows, buffers, position, at, n)
    if net.members > 1:
        spread(net, buffers, net.n_out, n, buffers.target + at * PANEL)


cdef inline void spread(const Net *net, const Buffers *buffers, Py_ssize_t columns, Py_ssize_t n,
                        real *panels) noexcept nogil:
    """Replace each of the first n rows of panels by copies for all members, from the last row
    on."""
    cdef Py_ssize_t q, r, m
    cdef real *panel
    for q in range(panels_of(columns)):
        panel = panels + q * buffers.stride * PANEL
        for r in range(n - 1, -1, -1):
            for m in range(net.members):
                if r + m > 0:
                    memcpy(panel + (r * net.members + m) * PANEL, panel + r * PANEL,
                           PANEL * sizeof(real))


# ---- inputs -------------------------------------------------------------------------------------

cdef inline void describe_dense_rows(Rows *rows, Py_ssize_t n, const real *X) noexcept nogil:
    """Describe n rows of X, in the network's precision, without targets."""
    memset(rows, 0, sizeof(Rows))
    rows.n, rows.X, rows.gather_inputs = n, X, gather_reals


cdef inline void gather_reals(const Net *net, const Rows *rows, const Buffers *buffers,
                              Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    gather(net, rows, buffers, position, n, rows.X, net.n_in,
           buffers.stages[0].z_prev + at * PANEL)


cdef inline void gather(const Net *net, const Rows *rows, const Buffers *buffers,
                        Py_ssize_t position, Py_ssize_t n, const real *source, Py_ssize_t columns,
                        real *panels) noexcept nogil:
    """Gather n rows of a row-major array into panels."""
    if rows.order != NULL:
        net.ops.gather(n, columns, source, rows.order + position, panels, buffers.stride * PANEL)
    else:
        net.ops.gather(n, columns, source + position * columns, NULL, panels,
                       buffers.stride * PANEL)


cdef inline bint inputs_fit(const Net *net, Py_ssize_t n, const real *X) noexcept nogil:
    """Whether inputs X (n, n_in) are finite, and accepted by the lowest stage with parameters."""
    return net.ops.first_nonfinite(n * net.n_in, X) < 0 and are_accepted(net, n, X)


cdef inline bint are_accepted(const Net *net, Py_ssize_t n, const real *X) noexcept nogil:
    """Whether the lowest stage with parameters accepts finite inputs X (n, n_in)."""
    cdef const Stage *stage = lowest_with_parameters(net)
    return stage.kind.accepts == NULL or stage.kind.accepts(stage, n, X)


# ---- inputs as nonzeros (CSR) -------------------------------------------------------------------
#
# A first stage that takes nonzeros reads them from the caller's memory. For any other first stage,
# rows are gathered into panels. If another thread writes to that memory during the call, results
# may be wrong, but no access is out of bounds.

cdef inline void describe_csr_rows(Rows *rows, const Net *net, Py_ssize_t n,
                                   const real *values, const int32_t *columns,
                                   Py_ssize_t n_values, const int64_t *starts,
                                   bint panels) noexcept nogil:
    """Describe n rows of CSR, in the network's precision, without targets; with `panels`, they are
    gathered into panels in any case."""
    memset(rows, 0, sizeof(Rows))
    rows.n, rows.values, rows.columns, rows.starts = n, values, columns, starts
    rows.n_values, rows.nonzeros_each = n_values, <double>(starts[n] - starts[0]) / n
    rows.gather_inputs = gather_into_panels
    if takes_nonzeros(net) and not panels:
        rows.gather_inputs = gather_nonzeros
        rows.flops_less = net.stages[0].flops * max(0.0, 1 - rows.nonzeros_each / net.n_in)


cdef inline bint takes_nonzeros(const Net *net) noexcept nogil:
    """Whether the first stage takes rows as their nonzeros."""
    return net.stages[0].kind.takes_nonzeros and net.members == 1


cdef inline bint are_nonzeros(const Rows *rows) noexcept nogil:
    """Whether the first stage gets these rows as nonzeros, not in panels."""
    return rows.gather_inputs == gather_nonzeros


cdef inline fastnn_sparse_row row_at(const Rows *rows, Py_ssize_t position) noexcept nogil:
    """Return the nonzeros of the row that is used at a position."""
    cdef Py_ssize_t i = index_of(rows, position), first = rows.starts[i], stop = rows.starts[i + 1]
    cdef fastnn_sparse_row row
    if not 0 <= first <= stop <= rows.n_values:
        first = stop = 0
    row.columns, row.values, row.n = rows.columns + first, rows.values + first, stop - first
    return row


# Rows of nonzeros are prefetched this many rows before they are read. In a random order, each is a
# cache miss: measured on a Xeon (model 167) with 20,000 columns, a fit takes 0.95 times as long.
cdef enum:
    ROWS_AHEAD = 4

cdef inline void prefetch_row(const Rows *rows, Py_ssize_t position) noexcept nogil:
    """Prefetch the nonzeros of the row that is used at a position; of a long row the beginning,
    since the CPU prefetches the rest."""
    cdef fastnn_sparse_row row = row_at(rows, position)
    cdef Py_ssize_t most = FASTNN_LONG_ROW
    fastnn_prefetch(row.columns, min(row.n * <Py_ssize_t>sizeof(int32_t), most))
    fastnn_prefetch(row.values, min(row.n * <Py_ssize_t>sizeof(real), most))


cdef inline void gather_nonzeros(const Net *net, const Rows *rows, const Buffers *buffers,
                                 Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t r
    for r in range(n):
        buffers.nonzeros.rows[at + r] = row_at(rows, position + r)


cdef inline void gather_into_panels(const Net *net, const Rows *rows, const Buffers *buffers,
                                    Py_ssize_t position, Py_ssize_t at,
                                    Py_ssize_t n) noexcept nogil:
    cdef real *panels = buffers.stages[0].z_prev + at * PANEL
    cdef Py_ssize_t q, r, k, column, jump = buffers.stride * PANEL
    cdef fastnn_sparse_row row
    for q in range(panels_of(net.n_in)):
        memset(panels + q * jump, 0, n * PANEL * sizeof(real))
    for r in range(n):
        row = row_at(rows, position + r)
        for k in range(row.n):
            column = row.columns[k]
            if 0 <= column < net.n_in:
                panels[column // PANEL * jump + r * PANEL + column % PANEL] = row.values[k] + 0


cdef inline Py_ssize_t most_nonzeros(const Rows *rows, Py_ssize_t first, Py_ssize_t stop,
                                     Py_ssize_t batch, Py_ssize_t round) noexcept nogil:
    """Return the most nonzeros of any round of any batch between two positions."""
    cdef Py_ssize_t r, most = 0, here = 0
    for r in range(first, stop):
        if (r - first) % batch % round == 0:
            here = 0
        here += row_at(rows, r).n
        most = max(most, here)
    return most


cdef inline void index_columns(const Net *net, const Rows *rows, Py_ssize_t position,
                               Py_ssize_t n, Columns *columns) noexcept nogil:
    """Index the nonzeros of n rows by columns; `columns` has room for them."""
    cdef Py_ssize_t r, k
    cdef fastnn_sparse_row row
    clear_columns(columns)
    for r in range(n):
        if r + ROWS_AHEAD < n:
            prefetch_row(rows, position + r + ROWS_AHEAD)
        row = row_at(rows, position + r)
        for k in range(row.n):
            if 0 <= row.columns[k] < net.n_in:
                count_entry(columns, row.columns[k])
    place_entries(columns, net.n_in)
    for r in range(n):
        row = row_at(rows, position + r)
        for k in range(row.n):
            if 0 <= row.columns[k] < net.n_in:
                add_entry(columns, row.columns[k], r, row.values[k] + 0)


# ---- prefetching --------------------------------------------------------------------------------

# Inputs of more bytes do not fit in the last cache.
cdef enum:
    FAR_INPUT_BYTES = 1 << 24


cdef inline void prefetch_rows(const Net *net, const Rows *rows, Py_ssize_t position,
                               Py_ssize_t stop) noexcept nogil:
    """Prefetch the rows from `position` to `stop`, which are gathered next; `gather` prefetches
    long rows itself.

    In a random order, each row is a cache miss. Measured on Zen 4 with a million rows: a step of
    16-64-64-1 with 32 rows takes 0.95 times as long, of 100-64-64-1 0.88 times, and with 256 rows
    0.85 times. Batches of one row were not faster.
    """
    cdef Py_ssize_t size = net.n_in * <Py_ssize_t>sizeof(real), n = stop - position
    if (rows.order == NULL or rows.X == NULL or n < 2 or size >= FASTNN_LONG_ROW
            or rows.n * size < FAR_INPUT_BYTES):
        return
    fastnn_prefetch_rows(n, rows.order + position, rows.X, size)
    if rows.T != NULL:
        fastnn_prefetch_rows(n, rows.order + position, rows.T, net.n_out * sizeof(real))
    elif rows.labels != NULL:
        fastnn_prefetch_rows(n, rows.order + position, rows.labels, sizeof(int64_t))


# ---- targets ------------------------------------------------------------------------------------

cdef inline void set_real_targets(Rows *rows, const fastnn_loss *loss,
                                  const real *T) noexcept nogil:
    rows.loss, rows.T, rows.gather_targets = loss, T, gather_real_targets


cdef inline void gather_real_targets(const Net *net, const Rows *rows, const Buffers *buffers,
                                     Py_ssize_t position, Py_ssize_t at,
                                     Py_ssize_t n) noexcept nogil:
    gather(net, rows, buffers, position, n, rows.T, net.n_out, buffers.target + at * PANEL)


cdef inline void set_labels(Rows *rows, const fastnn_loss *loss,
                            const int64_t *labels) noexcept nogil:
    rows.loss, rows.labels, rows.gather_targets = loss, labels, gather_labels


cdef inline void gather_labels(const Net *net, const Rows *rows, const Buffers *buffers,
                               Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Write the labels as one-hot rows."""
    cdef real *target = buffers.target + at * PANEL
    if rows.order != NULL:
        net.ops.one_hot(n, net.n_out, rows.labels, rows.order + position, target,
                        buffers.stride * PANEL)
    else:
        net.ops.one_hot(n, net.n_out, rows.labels + position, NULL, target, buffers.stride * PANEL)


cdef inline bint targets_fit(const Net *net, const Rows *rows) noexcept nogil:
    """Whether the loss accepts the targets."""
    cdef Py_ssize_t i
    if net.targets.labels:
        for i in range(rows.n):
            if not 0 <= rows.labels[i] < net.n_out:
                return False
        return True
    if net.targets.low > -INFINITY or net.targets.high < INFINITY:
        for i in range(rows.n * net.n_out):
            if not net.targets.low <= rows.T[i] <= net.targets.high:
                return False
    return net.ops.first_nonfinite(rows.n * net.n_out, rows.T) < 0


cdef inline void keep_last_rows(const Net *net, Rows *rows, Py_ssize_t n) noexcept nogil:
    """Restrict `rows` to the last n of them, or to all if there are fewer."""
    cdef Py_ssize_t skipped = max(0, rows.n - n)
    rows.n -= skipped
    if rows.order != NULL:
        rows.order += skipped
        return
    if rows.X != NULL:
        rows.X += skipped * net.n_in
    else:
        rows.starts += skipped
    if rows.T != NULL:
        rows.T += skipped * net.n_out
    if rows.labels != NULL:
        rows.labels += skipped
    if rows.sample_weight != NULL:
        rows.sample_weight += skipped * rows.n_weights


# ---- sample weights -----------------------------------------------------------------------------

cdef inline void set_sample_weight(Rows *rows, const real *sample_weight) noexcept nogil:
    rows.n_weights, rows.sample_weight = 1, sample_weight


cdef inline bint set_output_weights(Rows *rows, const Net *net,
                                    const real *sample_weight) noexcept nogil:
    """Set weights (n, n_out) of each output; False if rows.loss is not a sum over the outputs."""
    rows.n_weights, rows.sample_weight = net.n_out, sample_weight
    rows.loss = by_output(net.ops, rows.loss)
    return rows.loss != NULL


cdef inline Py_ssize_t index_of(const Rows *rows, Py_ssize_t position) noexcept nogil:
    """Return the row that is used at a position."""
    return rows.order[position] if rows.order != NULL else position


cdef inline double row_weight(const Rows *rows, Py_ssize_t i) noexcept nogil:
    """Return the absolute weight of a row, or the mean absolute weight of its outputs."""
    cdef const real *weights = rows.sample_weight + i * rows.n_weights
    cdef double total = 0.0
    cdef Py_ssize_t k
    for k in range(rows.n_weights):
        total += fabs(weights[k])
    return total / rows.n_weights


cdef inline double batch_weight(const Rows *rows, Py_ssize_t position, Py_ssize_t n) noexcept nogil:
    """Return the total weight of n rows from `position`: n without sample weights."""
    cdef double total = 0.0
    cdef Py_ssize_t r
    if rows.n_weights == 0:
        return <double>n
    for r in range(position, position + n):
        total += row_weight(rows, index_of(rows, r))
    return total


cdef inline void weigh(const Net *net, const Rows *rows, const Buffers *buffers, double divisor,
                       Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Write the factors of rows, or of their outputs, in the batch's loss."""
    if rows.n_weights > 1:
        weigh_outputs(net, rows, buffers, divisor, position, at, n)
    else:
        weigh_rows(net, rows, buffers, divisor, position, at, n)


cdef inline void weigh_outputs(const Net *net, const Rows *rows, const Buffers *buffers,
                               double divisor, Py_ssize_t position, Py_ssize_t at,
                               Py_ssize_t n) noexcept nogil:
    """Write the factor of each output to the delta of the last stage, where the loss reads it."""
    cdef real *weights = buffers.stages[net.n_stages - 1].delta + at * PANEL
    cdef real *panel
    cdef Py_ssize_t q, i
    gather(net, rows, buffers, position, n, rows.sample_weight, net.n_out, weights)
    for q in range(panels_of(net.n_out)):
        panel = weights + q * buffers.stride * PANEL
        for i in range(n * PANEL):
            panel[i] = <real>(panel[i] / divisor / net.members) if divisor > 0 else 0
    if net.members > 1:
        spread(net, buffers, net.n_out, n, weights)


cdef inline void weigh_rows(const Net *net, const Rows *rows, const Buffers *buffers,
                            double divisor, Py_ssize_t position, Py_ssize_t at,
                            Py_ssize_t n) noexcept nogil:
    """Write the factor of each copy in the batch's loss; all are 0 if the batch has no weight."""
    cdef double weight = 1.0
    cdef Py_ssize_t r, m, k = net.members
    for r in range(n):
        if rows.n_weights == 1:
            weight = rows.sample_weight[index_of(rows, position + r)]
        # Divide instead of multiplying by 1 / divisor, which is infinite if all weights are
        # subnormal.
        for m in range(k):
            buffers.weight[at + r * k + m] = <real>(weight / divisor / k) if divisor > 0 else 0
