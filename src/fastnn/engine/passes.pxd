# The passes of rows through all stages: forward, loss and backward. This file has the order of the
# stages and the loss at the end. Not here: the computations of a stage (stages/).

from libc.string cimport memcpy

from fastnn.engine.leaves cimport PANEL, fastnn_loss, fastnn_loss_args, real
from fastnn.engine.net cimport Buffers, Net, Pass, StageBuffers, panels_of
from fastnn.engine.stages.dense cimport activate


cdef inline void begin_pass(Pass *work, const Net *net, const Buffers *buffers, Py_ssize_t at,
                            const fastnn_loss *loss) noexcept nogil:
    """Begin a pass of rows `at`, ...; if `loss` takes pre-activations, the pass leaves these in z
    of the last stage."""
    work.net, work.buffers, work.at, work.rows, work.loss = net, buffers, at, 0, loss
    work.raw = net.last if loss != NULL and loss.activation != NULL else NULL
    work.step, work.before, work.shift, work.last = 0, 0, 0, False
    work.rank, work.size, work.by_columns, work.below_by_columns = 0, 1, False, False
    work.few, work.carry, work.scratch, work.skips_zeros = False, False, NULL, False


cdef inline void forward(const Pass *work) noexcept nogil:
    """Compute z of every stage."""
    cdef const Net *net = work.net
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        net.stages[i].kind.forward(&net.stages[i], &work.buffers.stages[i], work)


cdef inline void output_loss(const Pass *work) noexcept nogil:
    """Compute the losses of the rows, and dE/dy, or dE/da if the loss takes pre-activations."""
    cdef const Net *net = work.net
    cdef const Buffers *buffers = work.buffers
    cdef const StageBuffers *last = &buffers.stages[net.n_stages - 1]
    cdef fastnn_loss_args args
    args.rows, args.columns, args.jump = work.rows, net.n_out, buffers.stride * PANEL
    args.y = last.z + work.at * PANEL
    args.t = buffers.target + work.at * PANEL
    args.parameter = net.loss_parameter
    args.weight = buffers.weight + work.at
    args.delta = last.delta + work.at * PANEL
    args.loss = buffers.loss + work.at
    work.loss.run(&args)


cdef inline void write_outputs(const Pass *work, real *out) noexcept nogil:
    """Write the outputs of the rows, the means over members, to out (rows, n_out).

    If the loss is computed, too, call this before output_loss, which overwrites delta.
    """
    cdef const Net *net = work.net
    cdef const StageBuffers *last = &work.buffers.stages[net.n_stages - 1]
    cdef Py_ssize_t q, jump = work.buffers.stride * PANEL, shift = work.at * PANEL
    cdef StageBuffers activated
    if work.raw == NULL and net.members == 1:
        net.ops.scatter(work.rows, net.n_out, last.z + shift, jump, out)
        return
    # The loss reads z, so outputs are computed in delta, which is unused until the loss.
    for q in range(panels_of(net.n_out)):
        memcpy(last.delta + q * jump + shift, last.z + q * jump + shift,
               work.rows * PANEL * sizeof(real))
    if work.raw != NULL:
        activated, activated.z, activated.kept = last[0], last.delta, NULL
        activate(net.last, &activated, work)
    average_members(work, last.delta)
    net.ops.scatter(work.rows // net.members, net.n_out, last.delta + shift, jump, out)


cdef inline void average_members(const Pass *work, real *y) noexcept nogil:
    """Average the copies of each row of y; the means replace the first rows of y."""
    cdef const Net *net = work.net
    cdef Py_ssize_t q, i, j, k = net.members
    cdef real *panel
    for q in range(panels_of(net.n_out) if k > 1 else 0):
        panel = y + (q * work.buffers.stride + work.at) * PANEL
        for i in range(work.rows // k):
            net.ops.column_sums(k, 1, panel + i * k * PANEL, 0, False, panel + i * PANEL)
            for j in range(i * PANEL, (i + 1) * PANEL):
                panel[j] = panel[j] / k


cdef inline void backward(Pass *work, Py_ssize_t lowest) noexcept nogil:
    """Compute the delta of every stage from the last down to `lowest`; -1 stands for the inputs."""
    cdef const Net *net = work.net
    cdef Py_ssize_t i
    for i in range(net.n_stages - 1, max(lowest, 0) - 1, -1):
        work.carry = i > lowest
        net.stages[i].kind.backward(&net.stages[i], &work.buffers.stages[i], work)
