# The outputs of all stages, and the derivatives of outputs with respect to inputs, by chunks of
# rows on the calling thread. Not here: gradients with respect to parameters (step.pxd,
# row_gradients.pxd).

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport Buffers, Net, Pass, chunk_rows, panels_of
from fastnn.engine.passes cimport backward, begin_pass, forward
from fastnn.engine.rows cimport Rows, gather_inputs


cdef inline Py_ssize_t forward_chunk(Pass *work, const Rows *rows,
                                     Py_ssize_t position) noexcept nogil:
    """Pass a chunk of rows from `position` on through all stages; return how many they are."""
    cdef const Net *net = work.net
    cdef Py_ssize_t n = min(chunk_rows(net), rows.n - position)
    work.rows = n * net.members
    gather_inputs(net, rows, work.buffers, position, 0, n)
    forward(work)
    return n


cdef inline void copy_outputs(const Pass *work, Py_ssize_t index, real *out) noexcept nogil:
    """Copy the outputs of a stage to out (work.rows, n_out of the stage)."""
    work.net.ops.scatter(work.rows, work.net.stages[index].n_out, work.buffers.stages[index].z,
                         work.buffers.stride * PANEL, out)


cdef inline void derive_inputs(const Net *net, const Rows *rows, const Buffers *buffers,
                               const int64_t *outputs, real *out) noexcept nogil:
    """Compute dy_j/dx of each row into out (n, n_in); `outputs` (n,) has each row's j."""
    cdef Py_ssize_t n, position = 0
    cdef Pass work
    begin_pass(&work, net, buffers, 0, NULL)
    work.scratch = buffers.scratch
    while position < rows.n:
        n = forward_chunk(&work, rows, position)
        set_output_delta(&work, outputs + position)
        backward(&work, -1)
        copy_input_delta(&work, n, out + position * net.n_in)
        position += n


cdef inline void set_output_delta(const Pass *work, const int64_t *outputs) noexcept nogil:
    """Set delta at the output to 1 for each row's j, divided among the copies of the row."""
    cdef const Net *net = work.net
    cdef Py_ssize_t r, j, jump = work.buffers.stride * PANEL
    cdef real *delta = work.buffers.stages[net.n_stages - 1].delta
    memset(delta, 0, panels_of(net.n_out) * jump * sizeof(real))
    for r in range(work.rows):
        j = outputs[r // net.members]
        delta[j // PANEL * jump + r * PANEL + j % PANEL] = <real>1 / net.members


cdef inline void copy_input_delta(const Pass *work, Py_ssize_t n, real *out) noexcept nogil:
    """Copy the deltas of the inputs of n rows, summed over the copies of each row, to out."""
    cdef const Net *net = work.net
    cdef Py_ssize_t r, at, jump = work.buffers.stride * PANEL, k = net.members
    cdef real *delta = (work.buffers.stages - 1).delta
    for r in range(n * panels_of(net.n_in) if k > 1 else 0):
        at = r // n * jump + r % n * PANEL
        net.ops.column_sums(k, 1, delta + at + (r % n) * (k - 1) * PANEL, 0, False,
                            delta + at)
    net.ops.scatter(n, net.n_in, delta, jump, out)
