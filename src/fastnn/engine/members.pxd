# The runs of fit_many, its members. One thread trains a run from its beginning to its end; a thread
# that has finished a run begins the next one. Not here: how a single run is trained (run.pxd,
# tasks.pxd).

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastnn.engine.averages cimport begin_training, end_training, restart_average
from fastnn.engine.buffers cimport (
    allocate_buffers,
    free_buffers,
    indexed_rows,
    lay_out,
)
from fastnn.engine.clock cimport monotonic
from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_allocate,
    fastnn_free,
    fastnn_load,
    fastnn_sleep_ns,
    fastnn_store,
    fastnn_take_next,
    fastnn_team,
    fastnn_team_size,
    fastnn_thread,
    real,
)
from fastnn.engine.net cimport (
    INFERENCE,
    TRAINING,
    Buffers,
    Net,
    Purpose,
    StageBuffers,
    chunk_rows,
    round_rows,
)
from fastnn.engine.gradients cimport renew_all_operands
from fastnn.engine.lockstep cimport (
    MOST_LANES,
    Lockstep,
    empty_lane,
    enter_lane,
    fits_lane,
    free_lockstep,
    have_one_shape,
    is_empty,
    leave_lane,
    make_lockstep,
    train_lanes,
)
from fastnn.engine.parameters cimport fill
from fastnn.engine.rows cimport are_nonzeros
from fastnn.engine.run cimport (
    INTERRUPTED,
    NO_MEMORY,
    NOT_YET,
    Kept,
    Run,
    has_diverged,
)
from fastnn.engine.run_memory cimport allocate_kept, allocate_run_memory, free_run_memory
from fastnn.engine.tasks cimport advance, begin_slice, end_slice, prepare_run
from fastnn.engine.team cimport training_rows
from fastnn.engine.watch cimport begin_best, restore_best

# The thread that called fit_many handles signals at intervals of at least this many seconds.
cdef inline double POLL_SECONDS() noexcept nogil:
    return 0.02


cdef struct MemberBuffers:        # a thread's buffers for the members that it trains
    const Net *net                # the network they were made for; NULL: none are allocated
    Py_ssize_t batch
    Buffers training, inference

cdef struct Member:
    Run *run
    bint begun                    # begin_training has been called; end_member ends the training
    Kept *kept                    # the parameters to which a diverged run returns
    real first_moment             # initial value of the optimizer's first moment
    real *before                  # during the run, a copy of the arena from before it
    int64_t step, epoch           # Net.step and Net.epoch before the run
    double rate                   # the learning rate before the run
    Py_ssize_t dropped            # updates discarded after a divergence; -1: nothing was restored
    double seconds                # duration of the run

cdef struct Members:
    Member *all                   # in the order in which they are begun
    Py_ssize_t n
    Py_ssize_t begun              # the index of the member to begin next
    Py_ssize_t left               # number of threads that have nothing more to do
    Py_ssize_t *finished          # (n,) indices of members in the order in which they end, then -1
    Py_ssize_t n_finished
    Py_ssize_t stopping           # nonzero: abandon the members in progress
    bint stops_at_divergence
    MemberBuffers *buffers        # one for each thread
    bint (*poll)(void *owner) noexcept nogil  # handles signals; returns whether to stop
    void *owner
    void *caller                  # the thread (fastnn_thread) that calls `poll`
    double polled                 # time of the last call of `poll`, in seconds


cdef inline void members_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Train members one after another, tiny ones of one shape side by side, until all are begun."""
    cdef Members *work = <Members *>context
    cdef MemberBuffers *buffers = &work.buffers[rank]
    cdef Py_ssize_t i, lanes = (work.n + fastnn_team_size(team) - 1) // fastnn_team_size(team)
    i = fastnn_take_next(&work.begun)
    while i < work.n and not fastnn_load(&work.stopping):
        if can_train_together(work, i, min(lanes, PANEL)):
            i = train_together(work, i, min(lanes, PANEL), buffers)
        else:
            train_member(work, i, buffers)
            i = fastnn_take_next(&work.begun)
    fastnn_take_next(&work.left)
    while rank == 0 and fastnn_load(&work.left) < fastnn_team_size(team):
        fastnn_sleep_ns(2000000)
        check_signals(work)


cdef inline bint check_signals(void *context) noexcept nogil:
    """Handle signals, if this is the thread that called fit_many and POLL_SECONDS have passed;
    return whether to abandon the members in progress."""
    cdef Members *work = <Members *>context
    cdef double now
    if work.caller == fastnn_thread():
        now = monotonic()
        if now - work.polled >= POLL_SECONDS():
            work.polled = now
            if work.poll(work.owner):
                fastnn_store(&work.stopping, 1)
    return fastnn_load(&work.stopping)


cdef inline void train_member(Members *work, Py_ssize_t i, MemberBuffers *buffers) noexcept nogil:
    """Train member i from the beginning to the end of its run."""
    if begin_member(work, i, buffers):
        train_rest(work, i)
    end_member(work, i)


cdef inline bint begin_member(Members *work, Py_ssize_t i, MemberBuffers *buffers) noexcept nogil:
    """Prepare member i; return whether it has epochs to train, and memory for them."""
    cdef Member *member = &work.all[i]
    member.seconds = -monotonic()
    if not (assign_buffers(member.run, buffers) and allocate_run_memory(member.run)
            and allocate_copies(member)):
        member.run.ended = NO_MEMORY
        return False
    copy_state(member)
    begin_best(member.run)
    member.begun = member.run.epochs > 0
    if member.begun:
        begin_training(member.run.net)
        prepare_run(member.run)
    return member.begun


cdef inline void copy_state(Member *member) noexcept nogil:
    """Copy the state from before the run, to which an abandoned run returns."""
    cdef const Net *net = member.run.net
    memcpy(member.before, net.arena, arena_size(net))
    member.step, member.epoch, member.rate = net.step, net.epoch, net.hyper.learning_rate


cdef inline void train_rest(Members *work, Py_ssize_t i) noexcept nogil:
    """Train the remaining epochs of member i."""
    cdef Run *run = work.all[i].run
    cdef Py_ssize_t rows = training_rows(1, run.net.row_flops)
    while run.epoch < run.epochs and run.ended == NOT_YET:
        advance(run, rows)
        end_if_stopping(work, run)


cdef inline void end_if_stopping(Members *work, Run *run) noexcept nogil:
    """Mark an unfinished run as interrupted if members in progress are to be abandoned."""
    if check_signals(work) and run.epoch < run.epochs and run.ended == NOT_YET:
        run.ended = INTERRUPTED


cdef inline void end_member(Members *work, Py_ssize_t i) noexcept nogil:
    """Finish member i, whose run has ended; a run that was abandoned is undone."""
    cdef Member *member = &work.all[i]
    if member.begun:
        end_training(member.run.net)
        set_final_parameters(member)
    free_run_memory(member.run)  # the thread keeps its buffers for the next run
    free_copies(member)
    member.seconds += monotonic()
    if (has_diverged(member.run) and work.stops_at_divergence
            and not member.run.watch.settles_divergence):
        fastnn_store(&work.stopping, 1)
    fastnn_store(&work.finished[fastnn_take_next(&work.n_finished)], i)


cdef inline void set_final_parameters(Member *member) noexcept nogil:
    """Set the parameters that the network has after the run.

    A run that was abandoned, also for lack of memory, is undone, a diverged one returns to its last
    good parameters, and a rule may restore the best ones.
    """
    cdef Run *run = member.run
    cdef bint abandoned = run.ended == INTERRUPTED or run.ended == NO_MEMORY
    if abandoned:
        memcpy(run.net.arena, member.before, arena_size(run.net))
        renew_all_operands(run.net)
        run.net.step, run.net.epoch = member.step, member.epoch
        run.net.hyper.learning_rate = member.rate
    elif has_diverged(run):
        member.dropped = restore(run.net, member.kept, member.first_moment)
    if not abandoned and (not has_diverged(run) or run.watch.settles_divergence):
        restore_best(run)


cdef inline size_t arena_size(const Net *net) noexcept nogil:
    return <size_t>net.n_blocks * net.block * sizeof(real)


cdef inline Py_ssize_t restore(Net *net, const Kept *kept, real first_moment) noexcept nogil:
    """Return to the kept parameters, which gave a finite loss, and reset the moments.

    Returns the number of updates that this discards; -1, without a change, if none are kept.
    """
    cdef Py_ssize_t block = net.block, moments = net.optimizer.n_moments
    cdef Py_ssize_t dropped
    if kept.step < 0:
        return -1
    memcpy(net.arena, kept.memory, block * sizeof(real))
    memset(net.arena + block, 0, moments * block * sizeof(real))
    if moments > 0:
        fill(net.arena + block, block, first_moment)
    if net.has_ema:
        memcpy(net.arena + (1 + moments) * block, kept.memory, block * sizeof(real))
    restart_average(net)
    renew_all_operands(net)
    dropped, net.step = net.step - kept.step, kept.step
    return dropped


# ---- tiny members, side by side -----------------------------------------------------------------

# A step of a whole panel of members takes about as long as three steps of one member (2-8-1 with
# AVX-512 on an AMD EPYC 9004: 216 ns and 75).
cdef enum:
    FEWEST_TOGETHER = 4


cdef inline bint can_train_together(const Members *work, Py_ssize_t i,
                                    Py_ssize_t lanes) noexcept nogil:
    """Whether FEWEST_TOGETHER members from i on have one shape and can be trained side by side."""
    cdef Py_ssize_t k
    if lanes < FEWEST_TOGETHER or i + FEWEST_TOGETHER > work.n:
        return False
    for k in range(FEWEST_TOGETHER):
        if not can_join(work, i + k, work.all[i].run.net):
            return False
    return True


cdef inline bint can_join(const Members *work, Py_ssize_t i, const Net *net) noexcept nogil:
    """Whether there is a member i, and it can be trained in a lane beside `net`."""
    return (i < work.n and fits_lane(work.all[i].run)
            and have_one_shape(work.all[i].run.net, net))


cdef inline Py_ssize_t train_together(Members *work, Py_ssize_t i, Py_ssize_t lanes,
                                      MemberBuffers *buffers) noexcept nogil:
    """Train member i and later ones of its shape, `lanes` at a time; return the index of the
    next member, which this thread must begin.
    """
    cdef Lockstep lockstep
    cdef Py_ssize_t[MOST_LANES] members
    cdef Py_ssize_t most
    cdef int l
    if not make_lockstep(&lockstep, work.all[i].run.net):
        train_member(work, i, buffers)
        return fastnn_take_next(&work.begun)
    most = max(1, training_rows(1, lockstep.net.row_flops) // PANEL)
    while True:
        for l in range(lanes):
            while (lockstep.runs[l] == NULL and can_join(work, i, lockstep.net)
                    and not fastnn_load(&work.stopping)):
                members[l] = i
                begin_in_lane(work, i, buffers, &lockstep, l)
                i = fastnn_take_next(&work.begun)
        if is_empty(&lockstep):
            break
        train_lanes(&lockstep, most)
        check_signals(work)
        for l in range(lanes):
            if lockstep.runs[l] != NULL and (lockstep.left[l] == 0 or fastnn_load(&work.stopping)):
                end_slice_in_lane(work, members[l], &lockstep, l)
    free_lockstep(&lockstep)
    return i


cdef inline void begin_in_lane(Members *work, Py_ssize_t i, MemberBuffers *buffers,
                               Lockstep *lockstep, int l) noexcept nogil:
    """Begin the run of member i in lane l, or end it if there is nothing to train."""
    if begin_member(work, i, buffers):
        begin_slice(work.all[i].run)
        enter_lane(lockstep, l, work.all[i].run)
    else:
        end_member(work, i)


cdef inline void end_slice_in_lane(Members *work, Py_ssize_t i, Lockstep *lockstep,
                                   int l) noexcept nogil:
    """Finish or abandon the slice in lane l; begin the member's next slice, or end the member."""
    cdef Run *run = work.all[i].run
    if lockstep.left[l] > 0:
        run.ended = INTERRUPTED
        empty_lane(lockstep, l)
    else:
        leave_lane(lockstep, l)
        end_slice(run)
        end_if_stopping(work, run)
    if run.ended == NOT_YET and not run.tiny:
        train_rest(work, i)
    if run.ended == NOT_YET and run.epoch < run.epochs:
        begin_slice(run)
        enter_lane(lockstep, l, run)
    else:
        end_member(work, i)


# ---- memory -------------------------------------------------------------------------------------

cdef inline bint same_buffers(const Net *one, const Net *other, Py_ssize_t rows) noexcept nogil:
    """Whether buffers made for `rows` rows of one network also fit another network."""
    cdef Py_ssize_t size = (1 + one.n_stages) * sizeof(StageBuffers)
    cdef StageBuffers *stages
    cdef Buffers first, second
    cdef Purpose[2] purposes
    cdef int i
    cdef bint same = (one.n_in == other.n_in and one.n_stages == other.n_stages
                      and one.block == other.block
                      and indexed_rows(one) == indexed_rows(other))
    purposes[0], purposes[1] = TRAINING, INFERENCE
    for i in range(2 if same else 0):
        stages = <StageBuffers *>calloc(2, size)
        if stages == NULL:
            return False
        plan_buffers(&first, one, rows, purposes[i], stages)
        plan_buffers(&second, other, rows, purposes[i], stages + 1 + one.n_stages)
        same = (same and memcmp(&first, &second, sizeof(Buffers)) == 0
                and memcmp(stages, stages + 1 + one.n_stages, size) == 0)
        free(stages)
    return same


cdef inline void plan_buffers(Buffers *plan, const Net *net, Py_ssize_t rows, Purpose purpose,
                              StageBuffers *stages) noexcept nogil:
    """Lay out all buffers in a block at address 0; `stages` gets the buffers of the stages."""
    memset(plan, 0, sizeof(Buffers))
    plan.rows, plan.stride, plan.stages = rows, rows * net.members | 1, stages + 1
    plan.memory = <real *>NULL + lay_out(plan, net, 1, purpose, NULL)  # the end of the block
    plan.stages = NULL


cdef inline bint assign_buffers(Run *run, MemberBuffers *buffers) noexcept nogil:
    """Let a run use a thread's buffers, which are allocated again if they do not fit; return False
    if there is not enough memory."""
    cdef Net *net = run.net
    cdef Py_ssize_t rows = min(run.batch, round_rows(net))
    cdef bint nonzeros = are_nonzeros(&run.rows)
    if (buffers.net == NULL or buffers.batch != run.batch
            or (buffers.training.nonzeros != NULL) != nonzeros
            or not same_buffers(buffers.net, net, rows)):
        free_member_buffers(buffers)
        buffers.net, buffers.batch = net, run.batch
        if not (allocate_buffers(&buffers.training, net, rows, 1, TRAINING,
                                 run.batch > round_rows(net), nonzeros)
                and allocate_buffers(&buffers.inference, net, chunk_rows(net), 1, INFERENCE, False,
                                     nonzeros)):
            free_member_buffers(buffers)
            return False
    run.buffers = &buffers.training
    run.watch.validation.buffers = run.watch.last.buffers = &buffers.inference
    return True


cdef inline bint allocate_copies(Member *member) noexcept nogil:
    """Allocate the copies of parameters to which a run may return; False without enough memory."""
    member.before = <real *>fastnn_allocate(arena_size(member.run.net))
    return (member.before != NULL
            and allocate_kept(member.kept, member.run.net, member.run.tiny))


cdef inline void free_copies(Member *member) noexcept nogil:
    fastnn_free(member.before)
    fastnn_free(member.kept.memory)
    member.before, member.kept.memory = NULL, NULL


cdef inline void free_member_buffers(MemberBuffers *buffers) noexcept nogil:
    if buffers.net != NULL:
        free_buffers(&buffers.training)
        free_buffers(&buffers.inference)
        memset(buffers, 0, sizeof(MemberBuffers))
