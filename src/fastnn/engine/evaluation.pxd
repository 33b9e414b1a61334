# Outputs and losses of rows, slice by slice, on the threads of a team. Not here: which rows are
# evaluated after an epoch (epochs.pxd); the calls from Python (_kernels.pyx) and C (capi.pxd).

from fastnn.engine.leaves cimport (
    FASTNN_NEAR_BYTES,
    PANEL,
    fastnn_run,
    fastnn_take_next,
    fastnn_team,
    fastnn_team_size,
    real,
)
from fastnn.engine.net cimport (
    Net,
    Pass,
    Stage,
    W_size,
    chunk_rows,
    chunks_of,
    evaluates_average,
    lowest_with_parameters,
    panels_of,
)
from fastnn.engine.passes cimport begin_pass, forward, output_loss, write_outputs
from fastnn.engine.row_phase cimport sum_of
from fastnn.engine.rows cimport (
    Rows,
    are_nonzeros,
    gather_inputs,
    gather_targets,
    index_of,
    row_weight,
    weigh,
)
from fastnn.engine.run cimport INTERRUPTED, Evaluation, Run
from fastnn.engine.team cimport inference_rows, team_size
from fastnn.engine.zeros cimport have_zeros, is_finite


cdef inline Net judged_net(const Net *net, bint averages) noexcept nogil:
    """Return the network that validation evaluates, for forward passes: `net` or its copy whose
    parameters are the last block of the arena.

    The copy is returned if `evaluates_average`. The last block has the moving averages; if the
    optimizer averages the parameters itself, it has the average in training and the parameters
    outside of training (averages.pxd). Frozen stages keep their parameters.
    """
    cdef Net judged = net[0]
    if evaluates_average(net, averages):
        judged.stages, judged.last = net.averaged_stages, &net.averaged_stages[net.n_stages - 1]
        judged.finite_until = 0  # it is known for the parameters of `net` only
    return judged


cdef inline Net *net_to_predict(Net *net, bint averages, Net *copy) noexcept nogil:
    """Return the network that predictions evaluate: `net`, or `copy`, which gets its averages.

    While an optimizer that averages trains `net`, the parameters and their average are exchanged,
    which a signal handler and other threads may observe. Without `averages`, the copy is returned
    in this case only.
    """
    if averages == net.in_training:
        return net
    copy[0] = judged_net(net, True)
    return copy


cdef inline int evaluation_team(const Net *net, const Rows *rows, int n_threads) noexcept nogil:
    """Return the number of threads that predict rows, `n_threads` at most."""
    return team_size(rows.n * (net.row_flops - rows.flops_less) / 3, n_threads)


cdef enum:
    CHUNKS_OF_NONZEROS = 8        # the most chunks of rows that are predicted at a time

cdef inline Py_ssize_t prediction_rows(const Net *net, bint nonzeros) noexcept nogil:
    """Return the most rows of a chunk of predictions.

    If rows are given as nonzeros and the caches near a core cannot hold W, a chunk has more rows,
    which share the part of W that the caches hold (sparse.h).
    """
    cdef const Stage *stage = lowest_with_parameters(net)
    cdef Py_ssize_t chunk = chunk_rows(net), bytes_of_z
    if not nonzeros or W_size(stage) * <Py_ssize_t>sizeof(real) <= FASTNN_NEAR_BYTES:
        return chunk
    bytes_of_z = chunk * panels_of(stage.n_out) * PANEL * sizeof(real)
    return chunk * min(<Py_ssize_t>CHUNKS_OF_NONZEROS,
                       max(<Py_ssize_t>1, FASTNN_NEAR_BYTES // bytes_of_z))


cdef inline bint evaluate_rows(Run *run, Evaluation *evaluation, int threads, double *loss,
                               double *total) noexcept nogil:
    """Add up the losses of all rows, and their weights; False if a signal ended the run."""
    cdef const Net *net = evaluation.net
    cdef Py_ssize_t stride = inference_rows(run.net, threads,
                                            run.net.row_flops - evaluation.rows.flops_less)
    evaluation.stop = 0
    if evaluation.buffers.nonzeros != NULL:
        evaluation.buffers.nonzeros.whole = run.buffers.nonzeros.whole
    evaluation.skips_zeros = (
        run.skips_zeros and have_zeros(net, &evaluation.rows, 0, evaluation.rows.n, False)
        and (net == run.net or is_finite(net, lowest_with_parameters(net))))
    while next_slice(evaluation, stride):
        fastnn_run(threads, evaluate_task, evaluation)
        if evaluation.stop < evaluation.rows.n and run.interrupted(run.owner):
            run.ended = INTERRUPTED
            return False
    add_up(evaluation, loss, total)
    return True


cdef inline bint next_slice(Evaluation *evaluation, Py_ssize_t rows) noexcept nogil:
    """Go on to the next slice, of at most `rows` rows; False if there is none."""
    evaluation.first, evaluation.taken = evaluation.stop, 0
    evaluation.stop = min(evaluation.rows.n, evaluation.first + rows)
    return evaluation.first < evaluation.stop


cdef inline void add_up(const Evaluation *evaluation, double *loss, double *total) noexcept nogil:
    """Add up the losses of all chunks, and the weights of all rows."""
    cdef Py_ssize_t i
    for i in range(chunks_of(evaluation.net, evaluation.rows.n)):
        loss[0] += evaluation.chunk_losses[i]
    if evaluation.rows.n_weights == 0:
        total[0] += evaluation.rows.n
    else:
        for i in range(evaluation.rows.n):
            total[0] += row_weight(&evaluation.rows, index_of(&evaluation.rows, i))


cdef inline void evaluate_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Compute the outputs of a slice, the losses, or both, in chunks of rows.

    Each thread computes one chunk, then takes further chunks until none is left; it has its own
    rows of the buffers. For losses, chunks consist of the same rows for every size of the team,
    since losses are summed by chunks; chunks of predictions have other numbers of rows. In buffers
    for training, outputs have dropout, with the masks of the next step.
    """
    cdef Evaluation *evaluation = <Evaluation *>context
    cdef const Net *net = evaluation.net
    cdef Py_ssize_t size = fastnn_team_size(team), most = chunk_rows(net), chunk = most
    cdef Py_ssize_t number, row, rows, k = net.members
    cdef Pass work
    if evaluation.chunk_losses == NULL:
        most = prediction_rows(net, are_nonzeros(&evaluation.rows))
        chunk = min(most, (evaluation.stop - evaluation.first + size - 1) // size)
    begin_pass(&work, net, evaluation.buffers, rank * most * k,
               evaluation.rows.loss if evaluation.chunk_losses != NULL else NULL)
    work.step, work.skips_zeros = net.step, evaluation.skips_zeros
    number = rank
    while evaluation.first + number * chunk < evaluation.stop:
        row = evaluation.first + number * chunk
        rows = min(chunk, evaluation.stop - row)
        work.rows, work.before = rows * k, row * k - work.at
        gather_inputs(net, &evaluation.rows, evaluation.buffers, row, work.at, rows)
        forward(&work)
        if evaluation.out != NULL:
            write_outputs(&work, evaluation.out + row * net.n_out)
        if evaluation.chunk_losses != NULL:
            gather_targets(net, &evaluation.rows, evaluation.buffers, row, work.at, rows)
            weigh(net, &evaluation.rows, evaluation.buffers, 1.0, row, work.at, rows)
            output_loss(&work)
            evaluation.chunk_losses[row // most] = sum_of(evaluation.buffers.loss + work.at,
                                                          work.rows)
        number = number + 1 if size == 1 else size + fastnn_take_next(&evaluation.taken)
