# Copies the parameters of a network, and blocks of the same layout (moments, averages, gradients),
# to and from NumPy arrays, and to and from one vector that holds the arrays one after another, each
# row by row.

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport Net, Stage

cdef inline int REAL_TYPE() noexcept:
    return cnp.NPY_FLOAT if sizeof(real) == 4 else cnp.NPY_DOUBLE


cdef inline Py_ssize_t b_height(const Stage *stage) noexcept nogil:
    """The number of rows of b as a matrix: 1 for a vector."""
    return max(1, stage.b_rows)


cdef inline Py_ssize_t b_count(const Stage *stage) noexcept nogil:
    """The number of elements of b, without padding."""
    return b_height(stage) * stage.b_columns


cdef inline int64_t parameter_count(const Net *net) noexcept nogil:
    """The number of parameters, without padding."""
    cdef Py_ssize_t i
    cdef int64_t count = 0
    for i in range(net.n_stages):
        count += net.stages[i].W_rows * net.stages[i].W_columns + b_count(&net.stages[i])
    return count


cdef inline list shapes_of(const Net *net):
    """The shapes of [W0, b0, W1, ...]."""
    cdef const Stage *stage
    cdef Py_ssize_t i
    found = []
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL and stage.is_vector:
            found.append((stage.W_columns,))
        elif stage.W != NULL:
            shape = stage.W_rows, stage.W_columns
            found.append(shape[::-1] if stage.transposed else shape)
        if stage.b != NULL and stage.b_rows > 0:
            found.append((stage.b_rows, stage.b_columns))
        elif stage.b != NULL:
            found.append((stage.b_columns,))
    return found


cdef inline read_matrix(const Net *net, const real *panels, Py_ssize_t rows, Py_ssize_t columns):
    """A new array (rows, columns) from panels."""
    cdef cnp.npy_intp[2] shape
    shape[0], shape[1] = rows, columns
    array = cnp.PyArray_EMPTY(2, shape, REAL_TYPE(), False)
    net.ops.scatter(rows, columns, panels, rows * PANEL, <real *>cnp.PyArray_DATA(array))
    return array


cdef inline list read_block(const Net *net, const real *block):
    """Copy a block, laid out like the arena's first one, to new arrays [W0, b0, W1, ...]."""
    cdef const Stage *stage
    cdef Py_ssize_t i
    arrays = []
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL:
            W = read_matrix(net, block + (stage.W - net.arena), stage.W_rows, stage.W_columns)
            if stage.is_vector:
                W = W[0]
            arrays.append(W.T.copy() if stage.transposed else W)
        if stage.b != NULL:
            b = read_matrix(net, block + (stage.b - net.arena), b_height(stage), stage.b_columns)
            arrays.append(b if stage.b_rows else b[0])
    return arrays


cdef inline int write_matrix(const Net *net, array, real *panels) except -1:
    """Copy a matrix into panels."""
    cdef const real[:, ::1] view = array
    net.ops.gather(view.shape[0], view.shape[1], &view[0, 0], NULL, panels, view.shape[0] * PANEL)
    return 0


cdef inline int write_block(const Net *net, list arrays, real *block) except -1:
    """Copy arrays, as read_block returns them, into a block; the caller has checked shapes."""
    cdef const Stage *stage
    cdef Py_ssize_t i
    sources = iter(arrays)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL:
            W = next(sources)
            if stage.is_vector:
                W = W[None, :]
            W = W.T.copy() if stage.transposed else W
            write_matrix(net, W, block + (stage.W - net.arena))
        if stage.b != NULL:
            b = next(sources)
            write_matrix(net, b if stage.b_rows else b[None, :], block + (stage.b - net.arena))
    return 0


cdef inline void flatten(const Net *net, const real *block, real *vector) noexcept nogil:
    """Copy a block to one vector (parameter_count,), in the order of read_block."""
    cdef const Stage *stage
    cdef const real *W
    cdef Py_ssize_t i, j, k
    for i in range(net.n_stages):
        stage = &net.stages[i]
        W = block + (stage.W - net.arena) if stage.W != NULL else NULL
        if stage.transposed:
            for k in range(stage.W_columns):
                for j in range(stage.W_rows):
                    vector[k * stage.W_rows + j] = W[at_transposed(stage, k, j)]
        elif stage.W != NULL:
            net.ops.scatter(stage.W_rows, stage.W_columns, W, stage.W_rows * PANEL, vector)
        vector += stage.W_rows * stage.W_columns
        if stage.b != NULL:
            net.ops.scatter(b_height(stage), stage.b_columns, block + (stage.b - net.arena),
                            b_height(stage) * PANEL, vector)
        vector += b_count(stage)


cdef inline void unflatten(const Net *net, const real *vector, real *block) noexcept nogil:
    """Copy a vector (parameter_count,), as flatten writes it, into a block."""
    cdef const Stage *stage
    cdef real *W
    cdef Py_ssize_t i, j, k
    for i in range(net.n_stages):
        stage = &net.stages[i]
        W = block + (stage.W - net.arena) if stage.W != NULL else NULL
        if stage.transposed:
            for k in range(stage.W_columns):
                for j in range(stage.W_rows):
                    W[at_transposed(stage, k, j)] = vector[k * stage.W_rows + j]
        elif stage.W != NULL:
            net.ops.gather(stage.W_rows, stage.W_columns, vector, NULL, W, stage.W_rows * PANEL)
        vector += stage.W_rows * stage.W_columns
        if stage.b != NULL:
            net.ops.gather(b_height(stage), stage.b_columns, vector, NULL,
                           block + (stage.b - net.arena), b_height(stage) * PANEL)
        vector += b_count(stage)


cdef inline Py_ssize_t at_transposed(const Stage *stage, Py_ssize_t k,
                                     Py_ssize_t j) noexcept nogil:
    """The index of the weight from input k to output j in a W that is stored transposed."""
    return (k // PANEL * stage.W_rows + j) * PANEL + k % PANEL


cdef inline void write_rows(const Net *net, const Stage *stage, Py_ssize_t first,
                            const real[:, ::1] rows) noexcept:
    """Set rows of a stage's weights (n_in, n_out), beginning with row `first`."""
    cdef Py_ssize_t i, j, k
    if not stage.transposed:
        net.ops.gather(rows.shape[0], stage.W_columns, &rows[0, 0], NULL, stage.W + first * PANEL,
                       stage.W_rows * PANEL)
        return
    for i in range(rows.shape[0]):
        k = first + i
        for j in range(stage.W_rows):
            stage.W[at_transposed(stage, k, j)] = rows[i, j]


cdef inline void write_biases(const Net *net, const Stage *stage, Py_ssize_t first,
                              const real[:, ::1] b) noexcept:
    """Set rows of a stage's biases (b_rows, b_columns), beginning with row `first`."""
    net.ops.gather(b.shape[0], b.shape[1], &b[0, 0], NULL, stage.b + first * PANEL,
                   b_height(stage) * PANEL)


cdef inline void fill(real *block, Py_ssize_t n, real value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        block[i] = value
