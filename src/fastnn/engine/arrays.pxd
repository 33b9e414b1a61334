# NumPy arrays that kernels read directly: row-major, aligned, native, of the kernels' precision;
# and the check of their shapes.

cimport numpy as cnp

from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport Buffers, Net
from fastnn.engine.parameters cimport REAL_TYPE

cdef inline int require(bint fits, str what) except -1:
    """Raise ValueError unless `fits`: loops check no index, and a caller may bypass `_checks`."""
    if not fits:
        raise ValueError(f"{what} doesn't fit the network, or the other arrays")
    return 0


cdef inline bint is_plain(object value, int n_dimensions) noexcept:
    """Whether `value` is an ndarray of reals: C-contiguous, aligned, in native byte order."""
    return (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == REAL_TYPE()
            and cnp.PyArray_NDIM(value) == n_dimensions and cnp.PyArray_ISCARRAY_RO(value))


cdef inline bint is_plain_matrix(object value, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    return (is_plain(value, 2) and cnp.PyArray_DIM(value, 0) == rows
            and cnp.PyArray_DIM(value, 1) == columns)


cdef inline bint overlap(object a, object b) noexcept:
    """Whether two contiguous arrays share memory."""
    cdef const char *start_a = <const char *>cnp.PyArray_DATA(a)
    cdef const char *start_b = <const char *>cnp.PyArray_DATA(b)
    return (start_a < start_b + cnp.PyArray_NBYTES(b)
            and start_b < start_a + cnp.PyArray_NBYTES(a))


cdef inline int copy_to_panels(const Net *net, const Buffers *buffers, const real[:, ::1] source,
                               real *panels) except -1:
    """Copy the rows of an array into panels of the buffers."""
    net.ops.gather(source.shape[0], source.shape[1], &source[0, 0], NULL, panels,
                   buffers.stride * PANEL)
    return 0


cdef inline int copy_from_panels(const Net *net, const Buffers *buffers, const real *panels,
                                 real[:, ::1] out) except -1:
    """Copy panels of the buffers into an array."""
    net.ops.scatter(out.shape[0], out.shape[1], panels, buffers.stride * PANEL, &out[0, 0])
    return 0
