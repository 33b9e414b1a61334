# The kernels as functions of arrays, and the probes of this machine. Part of _kernels.pyx.

def forward_arrays(const real[:, ::1] z_prev, const real[:, ::1] W, const real[::1] b,
                   str activation, real alpha, real[:, ::1] a, real[:, ::1] z, isa=None):
    """a = z_prev @ W + b and z = h(a): z_prev (n, k), W (k, m), b (m,) or None, a and z (n, m)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef Py_ssize_t n = z_prev.shape[0], k = W.shape[0], m = W.shape[1]
    cdef Panels rows = Panels(n, k), weights = Panels(k, m), bias = Panels(1, m), out = Panels(n, m)
    rows.read(ops, z_prev)
    weights.read(ops, W)
    if b is not None:
        require(b.shape[0] == m, "b")
        ops.gather(1, m, &b[0], NULL, bias.data, PANEL)
    ops.product(n, k, panels_of(m), rows.data, rows.jump, weights.data, weights.jump, bias.data,
                out.data, out.jump)
    out.write(ops, a)
    activate_panels(h, alpha, out, NULL)
    out.write(ops, z)


cdef void activate_panels(const fastnn_activation *h, real alpha, Panels a, real *slope) noexcept:
    if h.row_forward != NULL:
        h.row_forward(a.rows, a.columns, a.jump, a.data)
    else:
        h.forward(panels_of(a.columns) * a.jump, alpha, a.data, slope)


cdef void differentiate_panels(const fastnn_activation *h, real alpha, Panels z, Panels slope,
                               Panels delta) noexcept:
    if h.row_backward != NULL:
        h.row_backward(z.rows, z.columns, z.jump, z.data, delta.data)
    else:
        h.backward(panels_of(z.columns) * z.jump, alpha, slope.data if h.keeps_slope else z.data,
                   delta.data)


def output_delta_arrays(const real[:, ::1] a, const real[:, ::1] t, str loss, parameter,
                        str activation, real alpha, double[::1] losses, real[:, ::1] delta,
                        isa=None):
    """delta = dE/da at the output and the rows' losses: a, t, delta (n, m), losses (n,)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef const fastnn_loss *entry = find_loss(ops, loss, activation)
    cdef Py_ssize_t i, n = a.shape[0], m = a.shape[1]
    cdef Panels y = Panels(n, m), target = Panels(n, m), slope = Panels(n, m), out = Panels(n, m)
    cdef Panels weight = Panels(n, 1), constants = Panels(1, m)
    cdef fastnn_loss_args args
    y.read(ops, a)
    target.read(ops, t)
    require(losses.shape[0] == n and (parameter is None or len(parameter) == m), "losses")
    for i in range(n):
        weight.data[i] = 1
    if parameter is not None:
        for i in range(m):
            constants.data[i] = parameter[i]
    if entry.activation == NULL:
        activate_panels(h, alpha, y, slope.data)
    args.rows, args.columns, args.jump = n, m, y.jump
    args.y, args.t, args.weight = y.data, target.data, weight.data
    args.parameter = constants.data if parameter is not None else NULL
    args.delta, args.loss = out.data, &losses[0]
    entry.run(&args)
    if entry.activation == NULL:
        differentiate_panels(h, alpha, y, slope, out)
    out.write(ops, delta)


def delta_arrays(const real[:, ::1] a, str activation, real alpha, const real[:, ::1] W,
                 const real[:, ::1] delta_next, real[:, ::1] delta, isa=None):
    """delta = (delta_next @ W.T) * h'(a): a, delta (n, k), W (k, m), delta_next (n, m)."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_activation *h = find_activation(ops, activation)
    cdef Py_ssize_t p, n = a.shape[0], k = W.shape[0], m = W.shape[1]
    cdef Panels z = Panels(n, k), slope = Panels(n, k), out = Panels(n, k)
    cdef Panels weights = Panels(k, m), above = Panels(n, m), column = Panels(padded(m), PANEL)
    z.read(ops, a)
    weights.read(ops, W)
    above.read(ops, delta_next)
    activate_panels(h, alpha, z, slope.data)
    for p in range(panels_of(k)):
        ops.transpose(min(PANEL, k - p * PANEL), m, weights.data + p * PANEL * PANEL,
                      weights.jump, column.data)
        ops.product(n, m, 1, above.data, above.jump, column.data, 0, NULL, out.data + p * out.jump,
                    out.jump)
    differentiate_panels(h, alpha, z, slope, out)
    out.write(ops, delta)


cdef class LayerState:
    """One layer's weights, biases and moments for `update`: each (k, m), the bias a row below."""

    cdef Panels arena
    cdef readonly Py_ssize_t n_in, n_out
    cdef readonly int64_t step
    cdef readonly str rule
    cdef const fastnn_ops *ops
    cdef const fastnn_optimizer *optimizer
    cdef fastnn_hyper hyper
    cdef Py_ssize_t block

    def __cinit__(self, Py_ssize_t n_in, Py_ssize_t n_out, str optimizer, dict hyper,
                  real first_moment, isa=None):
        cdef Py_ssize_t i
        self.n_in, self.n_out, self.rule, self.ops = n_in, n_out, optimizer, table(isa)
        self.optimizer, self.hyper = find_optimizer(self.ops, optimizer), hyper_parameters(hyper)
        self.arena = Panels(n_in + 1, n_out, 1 + self.optimizer.n_moments)
        self.block = panels_of(n_out) * self.arena.jump
        for i in range(self.block * min(1, self.optimizer.n_moments)):
            self.arena.data[self.block + i] = first_moment

    def update(self, real[:, ::1] W, real[::1] b, const real[:, ::1] z_prev,
               const real[:, ::1] delta, dict hyper=None):
        """dW = z_prev.T @ delta, db = delta.sum(0), and one step of the optimizer on W and b.

        From here on with the numbers in `hyper`, where they are given.
        """
        cdef const fastnn_ops *ops = self.ops
        cdef Py_ssize_t p, q, width, n = z_prev.shape[0], panel = self.n_in * PANEL
        cdef Panels rows = Panels(n, self.n_in), deltas = Panels(n, self.n_out)
        cdef Panels tile = Panels(PANEL, PANEL)
        cdef real *weights
        cdef fastnn_step step, bias_step
        require(W.shape[0] == self.n_in and W.shape[1] == self.n_out
                and (b is None or b.shape[0] == self.n_out), "W or b")
        rows.read(ops, z_prev)
        deltas.read(ops, delta)
        if hyper is not None:
            self.hyper = hyper_parameters(hyper)
        ops.gather(self.n_in, self.n_out, &W[0, 0], NULL, self.arena.data, self.arena.jump)
        if b is not None:
            ops.gather(1, self.n_out, &b[0], NULL, self.arena.data + panel, self.arena.jump)
        self.step += 1
        self.optimizer.prepare(&self.hyper, <double>self.step, &step)
        bias_step = step
        bias_step.shrink = 1
        for q in range(panels_of(self.n_out)):
            weights = self.arena.data + q * self.arena.jump
            for p in range(panels_of(self.n_in)):
                width = min(PANEL, self.n_in - p * PANEL)
                ops.outer(n, width, rows.data + p * rows.jump, deltas.data + q * deltas.jump,
                          False, tile.data)
                self.optimizer.rule(width * PANEL, &step, tile.data, weights + p * PANEL * PANEL,
                                    self.block)
            ops.column_sums(n, deltas.data + q * deltas.jump, False, tile.data)
            self.optimizer.rule(PANEL, &bias_step, tile.data, weights + panel, self.block)
        ops.scatter(self.n_in, self.n_out, self.arena.data, self.arena.jump, &W[0, 0])
        if b is not None:
            ops.scatter(1, self.n_out, self.arena.data + panel, self.arena.jump, &b[0])


def evaluate_function(str name, const real[::1] x, real[::1] out, isa=None):
    """A function of vmath.h over an array; registry()["functions"] has their names."""
    cdef const fastnn_ops *ops = table(isa)
    cdef const fastnn_function *function = &ops.functions[<Py_ssize_t>PLACE["functions"][name]]
    cdef Py_ssize_t n = x.shape[0]
    cdef Panels values = Panels(panels_of(n), PANEL)
    require(out.shape[0] == n, "out")
    if n > 0:
        memcpy(values.data, &x[0], n * sizeof(real))
        function.run(panels_of(n) * PANEL, values.data, values.data)
        memcpy(&out[0], values.data, n * sizeof(real))


cdef struct Probe:
    const fastnn_ops *ops
    Py_ssize_t rounds
    double operations             # of one thread


cdef void probe_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Probe *probe = <Probe *>context
    cdef real sink
    cdef double operations = probe.ops.multiply_adds(probe.rounds, &sink)
    if rank == 0:
        probe.operations = operations * fastnn_team_size(team)


def peak_flops(double seconds, int n_threads, isa=None):
    """Operations a second of fused multiply-adds in registers, the best of some `seconds`."""
    cdef Probe probe
    cdef double best = 0.0
    probe.ops, probe.rounds = table(isa), 1 << 17
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, probe_task, &probe)
        best = max(best, probe.operations / (perf_counter() - began))
    return best


cdef struct Reading:
    const fastnn_ops *ops
    const real *data
    Py_ssize_t reals, passes      # of each thread, which has a buffer of its own
    volatile real *sums           # kept, or the compiler would drop the reading


cdef void reading_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Reading *reading = <Reading *>context
    cdef Py_ssize_t i
    for i in range(reading.passes):
        reading.sums[rank * PANEL] = reading.ops.read_all(
            reading.reals, reading.data + rank * reading.reals)


def read_bandwidth(Py_ssize_t nbytes, double seconds, int n_threads, isa=None):
    """Bytes a second that all threads together read, each over and over a buffer of `nbytes` bytes
    (rounded up to 512): the best of some `seconds`."""
    cdef Reading reading
    cdef Py_ssize_t blocks = max(1, (nbytes + 511) // 512), size = blocks * 512
    cdef Panels buffers = Panels(blocks * n_threads, 8 * PANEL), sums = Panels(n_threads, PANEL)
    cdef double best = 0.0
    reading.ops, reading.data, reading.sums = table(isa), buffers.data, sums.data
    reading.reals, reading.passes = blocks * 8 * PANEL, max(1, (1 << 23) // size)
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, reading_task, &reading)
        taken = perf_counter() - began
        best = max(best, <double>size * reading.passes * n_threads / taken)
    return best


def first_nonfinite(const real[::1] x):
    """Index of the first NaN or infinity, or -1."""
    return table(None).first_nonfinite(x.shape[0], &x[0]) if x.shape[0] > 0 else -1
