# What is done row by row: inputs and targets gathered, forward, loss, and every delta. A thread
# does it for its rows of a batch. Part of _kernels.pyx.

cdef inline void gather_rows(const Job *job, Py_ssize_t position, Py_ssize_t at,
                             Py_ssize_t rows) noexcept nogil:
    """Rows of X, from `position` in the order, into rows `at`, ... of the workspace."""
    cdef const int64_t *order = job.order + position if job.order != NULL else NULL
    cdef Py_ssize_t n_in = job.net.layers[0].n_in
    cdef const real *X = job.X if order != NULL else job.X + position * n_in
    job.net.ops.gather(rows, n_in, X, order, job.space.layers[0].z_prev + at * PANEL,
                       job.space.stride * PANEL)
    if job.net.mean != NULL:
        standardize_rows(job.net, job.space, at, rows)


cdef void standardize_rows(const Net *net, const Space *space, Py_ssize_t at,
                           Py_ssize_t rows) noexcept nogil:
    """(x - mean) * inverse in rows that have been gathered."""
    cdef Py_ssize_t q
    cdef real *z = space.layers[0].z_prev + at * PANEL
    for q in range(panels_of(net.layers[0].n_in)):
        net.ops.standardize(rows, net.mean + q * PANEL, net.inverse + q * PANEL,
                            z + q * space.stride * PANEL)


cdef void gather_targets(const Job *job, Py_ssize_t position, Py_ssize_t at,
                         Py_ssize_t rows) noexcept nogil:
    """The same for the targets; labels become one-hot rows."""
    cdef const int64_t *order = job.order + position if job.order != NULL else NULL
    cdef Py_ssize_t n_out = job.net.layers[job.net.n_layers - 1].n_out
    cdef Py_ssize_t skip = position if order == NULL else 0
    cdef Py_ssize_t jump = job.space.stride * PANEL
    cdef real *target = job.space.target + at * PANEL
    if job.labels != NULL:
        job.net.ops.one_hot(rows, n_out, job.labels + skip, order, target, jump)
    else:
        job.net.ops.gather(rows, n_out, job.T + skip * n_out, order, target, jump)


cdef bint targets_are_fit(const Job *job) noexcept nogil:
    """Whether the job's targets are what the loss takes."""
    cdef Py_ssize_t i, n_out = job.net.layers[job.net.n_layers - 1].n_out
    if job.labels != NULL:
        for i in range(job.n_rows):
            if not 0 <= job.labels[i] < n_out:
                return False
        return True
    for i in range(job.n_rows * n_out):
        if not job.net.targets.low <= job.T[i] <= job.net.targets.high:
            return False
    return job.net.ops.first_nonfinite(job.n_rows * n_out, job.T) < 0


cdef double batch_weight(const Job *job, Py_ssize_t position, Py_ssize_t rows) noexcept nogil:
    """The rows' total weight: their number where they weigh the same."""
    cdef double total = 0.0
    cdef Py_ssize_t r, i
    if job.weights == NULL:
        return <double>rows
    for r in range(position, position + rows):
        i = job.order[r] if job.order != NULL else r
        total += job.weights[i]
    return total


cdef void weigh_rows(const Job *job, double divisor, Py_ssize_t position, Py_ssize_t at,
                     Py_ssize_t rows) noexcept nogil:
    """Each row's factor in the batch's loss; all are 0 where the batch weighs nothing."""
    cdef double weight = 1.0
    cdef Py_ssize_t r, i
    for r in range(rows):
        if job.weights != NULL:
            i = job.order[position + r] if job.order != NULL else position + r
            weight = job.weights[i]
        # Not times 1 / divisor, which is infinite where all weights are subnormal.
        job.space.weight[at + r] = <real>(weight / divisor) if divisor > 0 else 0


cdef struct Masks:                # what dropout's masks depend on, besides layer, row and unit
    uint64_t step
    Py_ssize_t before             # rows of the batch before the workspace's first


cdef void drop_panel(const Net *net, Masks masks, Py_ssize_t l, Py_ssize_t p, Py_ssize_t at,
                     Py_ssize_t rows, const real *z, real *out) noexcept nogil:
    """Dropout on panel p of layer l's input, rows `at`, ... of the workspace."""
    cdef fastnn_dropout_args args
    args.seed, args.step, args.layer = net.seed, masks.step, l
    args.rate = net.layers[l].dropout
    args.rows, args.first_row = rows, masks.before + at
    args.units = net.layers[l].n_in
    args.first_column = p * PANEL
    args.columns = min(PANEL, args.units - args.first_column)
    net.ops.dropout(&args, z, out)


cdef void forward_layer(const Net *net, const Space *space, Py_ssize_t l, const real *z_prev,
                        Py_ssize_t at, Py_ssize_t rows, bint activate) noexcept nogil:
    """z = h(z_prev @ W + b) for rows `at`, ...; z = a where `activate` is off."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef Py_ssize_t q, shift, panels, n, jump = space.stride * PANEL
    cdef real *z = buffers.z + at * PANEL
    if layer.narrow:
        net.ops.narrow(rows, layer.n_in, layer.n_out, z_prev + at * PANEL, jump, layer.W,
                       layer.n_out * PANEL, layer.b, z)
    else:
        net.ops.product(rows, layer.n_in, panels_of(layer.n_out), z_prev + at * PANEL, jump,
                        layer.W, layer.n_in * PANEL, layer.b, z, jump)
    if layer.linear or not activate:
        return
    if layer.activation.row_forward != NULL:
        layer.activation.row_forward(rows, layer.n_out, jump, z)
        return
    panels, n = contiguous(space, layer.n_out, rows)
    for q in range(panels):
        shift = q * jump + at * PANEL
        layer.activation.forward(n, layer.alpha, buffers.z + shift,
                                 buffers.slope + shift if buffers.slope != NULL else NULL)


cdef (Py_ssize_t, Py_ssize_t) contiguous(const Space *space, Py_ssize_t columns,
                                         Py_ssize_t rows) noexcept nogil:
    """How many stretches `rows` rows of a layer are, and how long: one, if they fill the panels."""
    if rows == space.stride:
        return 1, panels_of(columns) * rows * PANEL
    return panels_of(columns), rows * PANEL


cdef void forward(const Net *net, const Space *space, Masks masks, Py_ssize_t at,
                  Py_ssize_t rows, bint to_loss) noexcept nogil:
    """All layers, each input through its dropout where the workspace has room for that.

    `to_loss` leaves the last layer as its loss wants it: maybe without the activation.
    """
    cdef Py_ssize_t l, p, shift, last = net.n_layers - 1
    cdef const Buffers *buffers
    cdef const real *z_prev
    for l in range(net.n_layers):
        buffers = &space.layers[l]
        z_prev = buffers.z_prev
        if buffers.dropped != NULL:
            z_prev = buffers.dropped
            for p in range(panels_of(net.layers[l].n_in)):
                shift = (p * space.stride + at) * PANEL
                drop_panel(net, masks, l, p, at, rows, buffers.z_prev + shift,
                           buffers.dropped + shift)
        forward_layer(net, space, l, z_prev, at, rows,
                      not (to_loss and l == last and net.loss.activation != NULL))


cdef void differentiate(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t at,
                        Py_ssize_t rows) noexcept nogil:
    """delta *= h'(a) in layer l."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef const real *z = buffers.slope if buffers.slope != NULL else buffers.z
    cdef Py_ssize_t q, shift, panels, n
    if layer.linear:
        return
    if layer.activation.row_backward != NULL:
        layer.activation.row_backward(rows, layer.n_out, space.stride * PANEL, z + at * PANEL,
                                      buffers.delta + at * PANEL)
        return
    panels, n = contiguous(space, layer.n_out, rows)
    for q in range(panels):
        shift = (q * space.stride + at) * PANEL
        layer.activation.backward(n, layer.alpha, z + shift, buffers.delta + shift)


cdef void keep_outputs(const Job *job, Py_ssize_t position, Py_ssize_t at,
                       Py_ssize_t rows) noexcept nogil:
    """The rows' outputs into job.out; delta has no other use before the loss fills it."""
    cdef const Net *net = job.net
    cdef Py_ssize_t q, last = net.n_layers - 1, jump = job.space.stride * PANEL
    cdef const Layer *layer = &net.layers[last]
    cdef const real *z = job.space.layers[last].z + at * PANEL
    cdef real *y = job.space.layers[last].delta + at * PANEL
    for q in range(panels_of(layer.n_out)):
        memcpy(y + q * jump, z + q * jump, rows * PANEL * sizeof(real))
        if net.loss.activation != NULL and layer.activation.row_forward == NULL:
            layer.activation.forward(rows * PANEL, layer.alpha, y + q * jump, NULL)
    if net.loss.activation != NULL and layer.activation.row_forward != NULL:
        layer.activation.row_forward(rows, layer.n_out, jump, y)
    net.ops.scatter(rows, layer.n_out, y, jump, job.out + position * layer.n_out)


cdef void output_loss(const Net *net, const Space *space, Py_ssize_t at,
                      Py_ssize_t rows) noexcept nogil:
    """The rows' losses, and dE/dy (or delta, where the loss takes pre-activations)."""
    cdef Py_ssize_t last = net.n_layers - 1
    cdef fastnn_loss_args args
    args.rows, args.columns, args.jump = rows, net.layers[last].n_out, space.stride * PANEL
    args.y = space.layers[last].z + at * PANEL
    args.t = space.target + at * PANEL
    args.parameter = net.loss_parameter
    args.weight = space.weight + at
    args.delta = space.layers[last].delta + at * PANEL
    args.loss = space.loss + at
    net.loss.run(&args)


cdef void carry_back(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t at,
                     Py_ssize_t rows, bint few, real *scratch) noexcept nogil:
    """delta @ W.T of layer l into the delta of the layer below."""
    cdef const Layer *layer = &net.layers[l]
    cdef const real *delta = space.layers[l].delta + at * PANEL
    cdef real *below = space.layers[l - 1].delta + at * PANEL
    cdef Py_ssize_t p, jump = space.stride * PANEL, panels = panels_of(layer.n_in)
    if layer.narrow:
        net.ops.product(rows, layer.n_out, panels, delta, jump, layer.W, layer.n_out * PANEL, NULL,
                        below, jump)
    elif few:
        net.ops.dots(rows, layer.n_out, layer.n_in, delta, jump, layer.W, layer.n_in * PANEL,
                     below, jump)
    else:
        for p in range(panels):
            net.ops.transpose(min(PANEL, layer.n_in - p * PANEL), layer.n_out,
                              layer.W + p * PANEL * PANEL, layer.n_in * PANEL, scratch)
            net.ops.product(rows, layer.n_out, 1, delta, jump, scratch, 0, NULL, below + p * jump,
                            jump)


cdef void hidden_deltas(const Job *job, Masks masks, Py_ssize_t at, Py_ssize_t rows, bint few,
                        real *scratch) noexcept nogil:
    """delta_prev = (delta @ W.T) * mask * h'(a_prev), down from the last layer.

    Only as far as there is something to update, unless all gradients are wanted. `few` depends on
    the whole batch, not on this thread's share of it: the bits do too.
    """
    cdef const Net *net = job.net
    cdef const Space *space = job.space
    cdef Py_ssize_t l, p, lowest = net.lowest if job.gradient == NULL else 0
    cdef real *delta_prev
    for l in range(net.n_layers - 1, lowest, -1):
        carry_back(net, space, l, at, rows, few, scratch)
        if space.layers[l].dropped != NULL:
            for p in range(panels_of(net.layers[l].n_in)):
                delta_prev = space.layers[l - 1].delta + (p * space.stride + at) * PANEL
                drop_panel(net, masks, l, p, at, rows, delta_prev, delta_prev)
        differentiate(net, space, l - 1, at, rows)


cdef double train_rows(Job *job, Masks masks, Py_ssize_t position, double divisor, Py_ssize_t at,
                       Py_ssize_t stop, bint few, Own own) noexcept nogil:
    """Rows at ... stop of those from `position`: forward, loss and all deltas; returns their loss.

    One that isn't finite, or a signal, sets job.end: deltas are then not needed.
    """
    cdef Py_ssize_t row = at, n
    cdef double loss
    while row < stop:
        n = min(CHUNK, stop - row)
        gather_rows(job, position + row, row, n)
        gather_targets(job, position + row, row, n)
        weigh_rows(job, divisor, position + row, row, n)
        lap(own.clock, INPUT)
        forward(job.net, job.space, masks, row, n, True)
        lap(own.clock, FORWARD)
        if job.out != NULL:
            keep_outputs(job, position + row, row, n)
        output_loss(job.net, job.space, row, n)
        if job.net.loss.activation == NULL:  # or else the loss has given delta itself
            differentiate(job.net, job.space, job.net.n_layers - 1, row, n)
        lap(own.clock, LOSS)
        row += n
        if own.polls and signalled(job):
            job.end = INTERRUPTED
            return 0.0
    loss = sum_of(job.space.loss + at, stop - at)
    if not isfinite(loss) and job.gradient == NULL:
        job.end = DIVERGED
    elif stop > at:
        hidden_deltas(job, masks, at, stop - at, few, own.scratch)
    lap(own.clock, DELTA)
    return loss
