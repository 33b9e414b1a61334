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
    cdef Py_ssize_t n = job.stop - job.first, skip = job.first if job.order == NULL else 0
    cdef Py_ssize_t n_out = net.layers[net.n_layers - 1].n_out
    cdef uint64_t before = fastnn_flush_subnormals()
    job.loss += net.ops.tiny_steps(&net.tiny, <double>(net.step + 1), n,
                                   job.X + skip * net.layers[0].n_in,
                                   job.T + skip * n_out if job.T != NULL else NULL,
                                   job.labels + skip if job.labels != NULL else NULL,
                                   job.order + job.first if job.order != NULL else NULL)
    fastnn_restore_subnormals(before)
    job.total += <double>n
    net.step += n


cdef void train_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """A slice of an epoch: steps over the batches from job.first to job.stop."""
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
        loss = train_batch(job, team, rank, step, position, rows, weight if net.mean else 1.0, own)
        if rank == 0:
            if net.penalized:
                loss += sum_of(job.space.penalty, net.n_tiles)
            job.loss += loss * (weight if net.mean else 1.0)
            job.total += weight
        position += rows
        step += 1
    if rank == 0 and job.gradient == NULL:
        net.step = step


cdef void train_weights(const Job *job, int64_t t, Round round, int rank, int size,
                        real *scratch) noexcept nogil:
    """This thread's share of the weights: their part of the gradients, and maybe the update."""
    cdef uint64_t before = fastnn_flush_subnormals()
    if is_on_line(job, round):
        update_on_line(job, t, rank, size, scratch)
    else:
        train_tiles(job, t, round, first_tile(job.net, rank, size),
                    first_tile(job.net, rank + 1, size), scratch)
    fastnn_restore_subnormals(before)


cdef double train_batch(const Job *job, fastnn_team *team, int rank, int64_t step,
                        Py_ssize_t position, Py_ssize_t rows, double divisor,
                        Own own) noexcept nogil:
    """One step over the `rows` rows from `position`; rank 0 returns the sum of their losses."""
    cdef Py_ssize_t at = 0
    cdef int size = fastnn_team_size(team)
    cdef Round round
    cdef Masks masks
    cdef double loss = 0.0
    masks.step = step
    while at < rows:
        round.rows = min(ROUND, rows - at)
        round.first, round.last = at == 0, rows - at <= ROUND
        masks.before = at
        train_rows(job, masks, position + at, divisor, share(round.rows, rank, size),
                   share(round.rows, rank + 1, size), rows <= FEW_ROWS, own)
        fastnn_team_barrier(team)
        lap(own.clock, WAIT)
        loss += sum_of(job.space.loss, round.rows) if rank == 0 else 0.0
        train_weights(job, step + 1, round, rank, size, own.scratch)
        lap(own.clock, UPDATE)
        fastnn_team_barrier(team)
        lap(own.clock, WAIT)
        at += round.rows
    return loss


cdef void evaluate_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Predictions, or losses, chunk by chunk; each thread has a stretch of the workspace.

    Losses are summed by chunks of the same rows whatever the team; predictions can be cut anywhere.
    """
    cdef Job *job = <Job *>context
    cdef Net *net = job.net
    cdef Py_ssize_t size = fastnn_team_size(team), chunk = CHUNK
    if job.out != NULL:
        chunk = min(CHUNK, (job.n_rows + size - 1) // size)
    cdef Py_ssize_t at = rank * CHUNK, row = rank * chunk, rows, last = net.n_layers - 1
    cdef Py_ssize_t n_out = net.layers[last].n_out, jump = job.space.stride * PANEL
    cdef Masks masks              # not used: the workspace has no room for dropout
    masks.step, masks.before = 0, 0
    while row < job.n_rows:
        rows = min(chunk, job.n_rows - row)
        gather_rows(job, row, at, rows)
        forward(net, job.space, masks, at, rows, job.out == NULL)
        if job.out != NULL:
            net.ops.scatter(rows, n_out, job.space.layers[last].z + at * PANEL, jump,
                            job.out + row * n_out)
        else:
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
