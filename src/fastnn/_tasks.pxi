# What each thread of a team runs: steps over a slice of an epoch, or predictions.
# Part of _kernels.pyx.

cdef double sum_of(const double *x, Py_ssize_t n) noexcept nogil:
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return total


cdef void train_tiny(Job *job) noexcept nogil:
    """The same slice for a tiny network, a row a step."""
    cdef Net *net = job.net
    cdef Py_ssize_t n_in = net.layers[0].n_in, n_out = net.layers[net.n_layers - 1].n_out
    cdef Py_ssize_t position = job.first, skip = 0
    cdef Py_ssize_t n = 1 if net.schedule.rule != NULL else job.stop - job.first
    cdef uint64_t before = fastnn_flush_subnormals()
    while position < job.stop:
        net.hyper.learning_rate = rate_at(net, net.step)
        skip = position if job.order == NULL else 0
        job.loss += net.ops.tiny_steps(&net.tiny, <double>(net.step + 1), n, job.X + skip * n_in,
                                       job.T + skip * n_out if job.T != NULL else NULL,
                                       job.labels + skip if job.labels != NULL else NULL,
                                       job.order + position if job.order != NULL else NULL)
        job.total += <double>n
        net.step += n
        position += n
    fastnn_restore_subnormals(before)
    job.first = position


cdef void train_tiny_slice(Job *job, real *before) noexcept nogil:
    """A slice for a tiny network; `before` gets the arena as it was.

    Its one function looks at no loss: where their sum isn't finite, the slice goes back to its
    beginning, and job.tiny is off, for the longer way to find the step.
    """
    cdef Net *net = job.net
    cdef Py_ssize_t first = job.first, size = net.n_blocks * net.block
    cdef double loss = job.loss, total = job.total
    cdef int64_t step = net.step
    memcpy(before, net.arena, size * sizeof(real))
    fastnn_run(1, train_task, job)
    if not isfinite(job.loss):
        memcpy(net.arena, before, size * sizeof(real))
        job.first, job.loss, job.total, net.step = first, loss, total, step
        job.tiny = False


cdef bint signalled(Job *job) noexcept with gil:
    """Whether a signal's handler raised an exception, kept to be raised where the steps end."""
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Network>job.network).pending = error
        return True
    return False


cdef void train_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """A slice of an epoch: steps over the batches from job.first to job.stop, or to job.end."""
    cdef Job *job = <Job *>context
    cdef Net *net = job.net
    cdef Py_ssize_t position = job.first, rows
    cdef int64_t step = net.step
    cdef Own own = own_of(job, rank)
    cdef double weight, loss
    if job.tiny:
        train_tiny(job)
        return
    while position < job.stop:
        rows = min(job.batch, job.n_rows - position)
        weight = batch_weight(job, position, rows)
        loss = 0.0
        if not train_batch(job, team, rank, step, position, rows,
                           weight if net.is_mean else 1.0, own, &loss):
            break
        if rank == 0:
            finish_batch(job, loss, weight)
        position += rows
        step += 1
    if rank == 0 and job.gradient == NULL:
        net.step = step
        job.first = position


cdef void finish_batch(Job *job, double loss, double weight) noexcept nogil:
    """Adds a batch's loss up. Penalties that overflow end the steps, too, at the next barrier."""
    if job.net.penalized:
        loss += sum_of(job.space.penalty, job.net.n_tiles)
        if job.gradient == NULL and not isfinite(loss):
            job.end, job.last_loss = DIVERGED, loss
    job.loss += loss * (weight if job.net.is_mean else 1.0)
    job.total += weight


cdef double reduced(const Job *job) noexcept nogil:
    """The rows' loss as the user asked for it."""
    if not job.net.is_mean:
        return job.loss
    return job.loss / job.total if job.total > 0 else 0.0


cdef void train_weights(const Job *job, fastnn_team *team, int64_t t, Round round, int rank,
                        int size, real *scratch) noexcept nogil:
    """This thread's share of the weights: their part of the gradients, and maybe the update."""
    cdef Py_ssize_t tile, stop
    cdef uint64_t before = fastnn_flush_subnormals()
    if is_on_line(job, round):
        update_on_line(job, t, rank, size, scratch)
    else:
        tile, stop = first_tile(job.net, rank, size), first_tile(job.net, rank + 1, size)
        train_tiles(job, t, round, tile, stop, scratch)
        if round.last and job.gradient == NULL and clips_norm(job.net):
            fastnn_team_barrier(team)  # every gradient is known
            update_clipped(job, t, tile, stop, scratch)
    fastnn_restore_subnormals(before)


cdef void keep_weights(const Job *job, fastnn_team *team, int rank) noexcept nogil:
    """Copies the weights, whose loss is known to be finite, before this step changes them."""
    if rank == 0:
        memcpy(job.keep, job.net.arena, job.net.block * sizeof(real))
    fastnn_team_barrier(team)


cdef bint train_batch(Job *job, fastnn_team *team, int rank, int64_t step, Py_ssize_t position,
                      Py_ssize_t rows, double divisor, Own own, double *loss) noexcept nogil:
    """One step over the `rows` rows from `position`; rank 0 gets the sum of their losses.

    Returns whether it was made: all threads read job.end between the same two barriers.
    """
    cdef Py_ssize_t at = 0
    cdef int size = fastnn_team_size(team)
    cdef Round round
    cdef Masks masks
    cdef double mine
    masks.step = step
    round.share = 1.0
    if job.net.shares_penalty:
        round.share = 1.0 / divisor if divisor > 0 else 0.0
    while at < rows:
        round.rows = min(ROUND, rows - at)
        round.first, round.last = at == 0, rows - at <= ROUND
        masks.before = at
        mine = train_rows(job, masks, position + at, divisor, share(round.rows, rank, size),
                          share(round.rows, rank + 1, size), rows <= FEW_ROWS, own)
        fastnn_team_barrier(team)
        lap(own.clock, WAIT)
        if rank == 0:  # in the order of the rows, whoever had them
            loss[0] += mine if size == 1 else sum_of(job.space.loss, round.rows)
        if job.end != NOT_YET:
            if rank == 0 and isfinite(job.last_loss):
                job.last_loss = loss[0]
            return False
        if job.keep != NULL and round.last and position == job.first:
            keep_weights(job, team, rank)
        train_weights(job, team, step + 1, round, rank, size, own.scratch)
        lap(own.clock, UPDATE)
        fastnn_team_barrier(team)
        lap(own.clock, WAIT)
        at += round.rows
    return True


cdef void evaluate_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Predictions, losses or both, of the slice, chunk by chunk; each thread has its own rows of
    the workspace.

    Losses are summed by chunks of the same rows whatever the team; predictions can be cut anywhere.
    """
    cdef Job *job = <Job *>context
    cdef Net *net = job.net
    cdef Py_ssize_t size = fastnn_team_size(team), chunk = CHUNK
    if job.chunk_losses == NULL:
        chunk = min(CHUNK, (job.stop - job.first + size - 1) // size)
    cdef Py_ssize_t at = rank * CHUNK, row = job.first + rank * chunk, rows, last = net.n_layers - 1
    cdef Py_ssize_t n_out = net.layers[last].n_out, jump = job.space.stride * PANEL
    cdef Masks masks              # not used: the workspace has no room for dropout
    masks.step, masks.before = 0, 0
    while row < job.stop:
        rows = min(chunk, job.stop - row)
        gather_rows(job, row, at, rows)
        forward(net, job.space, masks, at, rows, job.chunk_losses != NULL)
        if job.chunk_losses == NULL:
            net.ops.scatter(rows, n_out, job.space.layers[last].z + at * PANEL, jump,
                            job.out + row * n_out)
        else:
            if job.out != NULL:
                keep_outputs(job, row, at, rows)
            gather_targets(job, row, at, rows)
            weigh_rows(job, 1.0, row, at, rows)
            output_loss(net, job.space, at, rows)
            job.chunk_losses[row // CHUNK] = sum_of(job.space.loss + at, rows)
        row += size * chunk


cdef Py_ssize_t weight_reals(const Layer *layer) noexcept nogil:
    """Reals that W takes, padding included."""
    if layer.narrow:
        return layer.n_out * panels_of(layer.n_in) * PANEL
    return layer.n_in * panels_of(layer.n_out) * PANEL
