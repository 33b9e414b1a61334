"""The compiled modules as Python sees them: classes for networks, and functions of arrays.

This source is compiled twice, for float and for double (a C header defines `real`), into the
modules _kernels_f32 and _kernels_f64. The computation is in engine/, whose __init__.pxd lists its
parts; loops over panels are in engine/simd/, as C leaves.

Three classes build on each other: Parameters, a network with its memory; Driver, which carries out
runs over rows; Network, with calls for single batches. A WholeFit is a run of many epochs with the
rules that follow its losses; a MemberTraining carries out many WholeFits, the members of a
`fit_many`. They are followed by functions of arrays, each of which computes one part of a step, and
by measurements of the machine.

This file is over 600 lines because Cython makes one module of one source, and only a source, not a
.pxd, can have classes and functions that Python sees.

Arrays are passed in and out as typed memoryviews. Not here: checks of users' arguments (_checks
makes them first; the messages here are short), defaults, history, callbacks.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport (
    PyCapsule_GetContext,
    PyCapsule_GetPointer,
    PyCapsule_New,
    PyCapsule_SetContext,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastnn.engine.arrays cimport (
    copy_from_panels,
    copy_to_panels,
    is_plain,
    is_plain_matrix,
    overlap,
    require,
)
from fastnn.engine.averages cimport begin_training, end_training, restart_average
from fastnn.engine.buffers cimport allocate_buffers, free_buffers, reserve_nonzeros
from fastnn.engine.building cimport allocate, build_net, free_net
from fastnn.engine.capi cimport define_precision
from fastnn.engine.clock cimport DELTA, FORWARD, INPUT, LOSS, UPDATE, WAIT, Clock
from fastnn.engine.derivatives cimport copy_outputs, derive_inputs, forward_chunk
from fastnn.engine.describing cimport describe_metric, describe_rules, state_of_rule
from fastnn.engine.evaluation cimport (
    add_up,
    evaluate_task,
    evaluation_team,
    judged_net,
    net_to_predict,
    next_slice,
    prediction_rows,
)
from fastnn.engine.gradients cimport penalties_of, rate_at, renew_all_operands, renew_stage
from fastnn.engine.leaves cimport (
    FASTNN_PACE_SIZES,
    PANEL,
    fastnn_claim,
    fastnn_forks,
    fastnn_free,
    fastnn_function,
    fastnn_functions,
    fastnn_is_owner,
    fastnn_isa,
    fastnn_learning_rate,
    fastnn_lend,
    fastnn_load,
    fastnn_model,
    fastnn_pace,
    fastnn_pace_kth,
    fastnn_precision,
    fastnn_release_exclusive,
    fastnn_release_shared,
    fastnn_run,
    fastnn_schedule,
    fastnn_take_exclusive,
    fastnn_take_shared,
    fastnn_thread,
    fastnn_try_exclusive,
    real,
)
from fastnn.engine.net cimport (
    CHUNK,
    DERIVATIVES,
    FEW_ROWS,
    GRADIENTS,
    INFERENCE,
    ROUND,
    TRAINING,
    Buffers,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    chunk_rows,
    chunks_of,
    panels_of,
    round_rows,
)
from fastnn.engine.parameters cimport (
    REAL_TYPE,
    b_height,
    fill,
    flatten,
    parameter_count,
    read_block,
    shapes_of,
    unflatten,
    write_biases,
    write_block,
    write_rows,
)
from fastnn.engine.members cimport (
    Member,
    MemberBuffers,
    Members,
    check_signals,
    free_member_buffers,
    members_task,
    restore,
)
from fastnn.engine.metrics cimport Judged, Metric, metric_scratch_size, value_of
from fastnn.engine.orders cimport bitgen_t, draw_order
from fastnn.engine.passes cimport backward, begin_pass, output_loss
from fastnn.engine.probes cimport Bounce, Probe, Reading, bounce_task, probe_task, reading_task
from fastnn.engine.registry cimport (
    find_function,
    find_schedule,
    find_table,
    hyper_parameters,
    registry as list_registry,
)
from fastnn.engine.row_gradients cimport RowGradients, row_gradients_task
from fastnn.engine.rows cimport (
    Rows,
    are_nonzeros,
    describe_csr_rows,
    describe_dense_rows,
    inputs_fit,
    keep_last_rows,
    most_nonzeros,
    set_labels,
    set_output_weights,
    set_real_targets,
    set_sample_weight,
    targets_fit,
)
from fastnn.engine.run cimport (
    DIVERGED,
    INTERRUPTED,
    LAST_DIVERGED,
    NO_MEMORY,
    NOT_YET,
    STOPPED,
    STOPS,
    Evaluation,
    Judge,
    Kept,
    Rule,
    Run,
    Watch,
    has_diverged,
    reduced,
)
from fastnn.engine.run_memory cimport allocate_kept, allocate_run_memory, free_run_memory
from fastnn.engine.seeds cimport (
    Pcg64,
    Seeds,
    mix_seed,
    next_uint32,
    seed_generator,
    seed_word,
    uniform,
)
from fastnn.engine.stages.dense cimport activate, multiply, specification
from fastnn.engine.stages.kinds cimport N_KINDS, define_kinds
from fastnn.engine.stages.standardize cimport set_scaling
from fastnn.engine.shares cimport Round, ThreadState, postpones_updates
from fastnn.engine.step cimport train_parameters
from fastnn.engine.tasks cimport (
    advance,
    make_postponed_updates,
    plan_run,
    prepare_run,
    train_task,
)
from fastnn.engine.team cimport (
    BRIEF_FLOPS,
    inference_rows,
    team_size,
    training_rows,
)
from fastnn.engine.watch cimport DIVISOR, LEAST_RATE, begin_best
from fastnn.engine.zeros cimport (
    multiplies_zeros,
    predicts_zeros,
    record_finite,
    trains_on_zeros,
)

from time import perf_counter

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #ifdef __clang__
    #define FASTNN_COMPILER __VERSION__
    #else
    #define FASTNN_COMPILER "GCC " __VERSION__
    #endif
    """
    const char *FASTNN_COMPILER

cdef enum:
    LAST_ROWS = 32

COMPILER = FASTNN_COMPILER.decode()
DTYPE = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)

#: Rows whose losses are summed together.
CHUNK_ROWS = CHUNK

#: Rows on which the loss is checked after the last update of an epoch, which no step checks.
TRIED_ROWS = LAST_ROWS

#: The names of a training step's phases in `Network.profile`, by the values of the enum Phase.
PHASES = {INPUT: "input", FORWARD: "forward", LOSS: "loss", DELTA: "delta", UPDATE: "update",
          WAIT: "wait"}

#: The rule of scikit-learn's estimators divides rates above the first number by the second.
ADAPTIVE_LEAST_RATE, ADAPTIVE_DIVISOR = LEAST_RATE(), DIVISOR()

cdef Kind[N_KINDS] KINDS
memset(KINDS, 0, sizeof(KINDS))
define_kinds(KINDS)

cdef fastnn_precision PRECISION
define_precision(&PRECISION)


def instruction_sets():
    """Return the names of the instruction sets that this CPU can run, best first."""
    names = []
    while fastnn_isa(len(names)) != NULL:
        names.append(fastnn_isa(len(names)).decode())
    return names


def fuses(isa):
    """Whether an instruction set fuses multiply-adds; all of those that do give the same bits."""
    return find_table(isa).fuses


def bfloat16_speed(isa):
    """Return how many products of bfloat16 an instruction set makes in the time of one of float32,
    at best; 0 if it has no instruction for them."""
    if find_table(isa).multiplies_tiles:
        return 16
    return 2 if find_table(isa).multiplies_pairs else 0


def registry():
    """Return the names that the engine knows, by kind; a loss is (name, activation or None)."""
    return {**list_registry(), "stages": [KINDS[i].name.decode() for i in range(N_KINDS)]}


def scheduled_rates(dict given, const double[::1] steps, double[::1] rates):
    """Compute the learning rates after `steps` (n,) steps, or epochs, into `rates` (n,)."""
    cdef fastnn_schedule schedule
    cdef Py_ssize_t i
    require(rates.shape[0] == steps.shape[0], "rates")
    schedule = find_schedule(given)
    for i in range(steps.shape[0]):
        rates[i] = fastnn_learning_rate(&schedule, steps[i], steps[i])
    free(schedule.p)


# Number of weights drawn at a time, so that memory never holds a second copy of a large matrix.
cdef enum:
    DRAWN_TOGETHER = 1 << 17

# The most rows whose order can be drawn.
cdef Py_ssize_t MOST_ROWS = 0xFFFFFFFF


cdef bitgen_t *bits_of(generator) except NULL:
    """The C interface of a Shuffler, or of a bit generator of NumPy."""
    if isinstance(generator, Shuffler):
        return &(<Shuffler>generator).bits
    return <bitgen_t *>PyCapsule_GetPointer(generator.capsule, "BitGenerator")


cdef int seeds_of(Seeds *seeds, object entropy, uint32_t child) except -1:
    """Set `seeds` to SeedSequence(entropy, spawn_key=(child,)); entropy is an integer >= 0."""
    cdef Py_ssize_t n = max(1, (entropy.bit_length() + 31) // 32)
    cdef bytes words = entropy.to_bytes(4 * n, "little")
    mix_seed(seeds, <const uint32_t *><const char *>words, n, child)
    return 0


def seed_of_child(entropy, uint32_t child):
    """Return SeedSequence(entropy, spawn_key=(child,)).generate_state(1, np.uint64)[0]."""
    cdef Seeds seeds
    seeds_of(&seeds, entropy, child)
    return seed_word(&seeds, 0)


cdef class Shuffler:
    """Draws the permutations of default_rng(SeedSequence(entropy, spawn_key=(child,)))."""

    cdef Pcg64 pcg
    cdef bitgen_t bits

    def __cinit__(self, entropy, uint32_t child):
        cdef Seeds seeds
        seeds_of(&seeds, entropy, child)
        seed_generator(&self.pcg, &seeds)
        self.bits.state, self.bits.next_uint32 = &self.pcg, next_uint32

    def permutation(self, Py_ssize_t n):
        """Return the numbers 0 to n - 1 in random order, (n,)."""
        cdef int64_t[::1] found = np.empty(n, np.int64)
        require(n <= MOST_ROWS, "n")
        if n > 0:
            draw_order(&self.bits, &found[0], n)
        return found.base

    def __deepcopy__(self, memo):
        cdef Shuffler copy = Shuffler(0, 0)
        copy.pcg = self.pcg
        return copy

    @property
    def state(self):
        """The state, as a dict like that of NumPy's bit generator PCG64."""
        return {
            "bit_generator": "PCG64",
            "state": {"state": <object>self.pcg.high << 64 | self.pcg.low,
                      "inc": <object>self.pcg.inc_high << 64 | self.pcg.inc_low},
            "has_uint32": int(self.pcg.has_half), "uinteger": self.pcg.half,
        }

    @state.setter
    def state(self, dict given):
        low = 0xFFFFFFFFFFFFFFFF
        state, inc = given["state"]["state"], given["state"]["inc"]
        self.pcg.high, self.pcg.low = state >> 64, state & low
        self.pcg.inc_high, self.pcg.inc_low = inc >> 64, inc & low
        self.pcg.has_half, self.pcg.half = given["has_uint32"], given["uinteger"]


def c_api():
    """Return the capsule fastnn._C_API: the functions of fastnn.h, for both precisions."""
    return PyCapsule_New(<void *>&fastnn_functions, "fastnn._C_API", NULL)


cdef busy():
    """Return the error for a call while a step is in progress: in another thread, or in this one if
    the loss function makes the call."""
    return RuntimeError("this model is being trained in another thread; wait for it, or work on a "
                        "copy; a loss function that trains or changes its own network must also "
                        "work on a copy")


# ---- parameters ---------------------------------------------------------------------------------

cdef class OwnBuffers:
    """Owns the buffers for a batch's rows, and frees them; see `allocate_buffers`."""

    cdef Buffers buffers
    cdef Py_ssize_t round_rows    # of the network
    cdef readonly int n_threads
    cdef int forks                # a child of a fork must not use its parent's (fastnn_forks)

    def __cinit__(self, Parameters owner, Py_ssize_t rows, int n_threads, Purpose purpose,
                  bint gradient=False, bint nonzeros=False):
        self.n_threads, self.forks = n_threads, fastnn_forks()
        self.round_rows = round_rows(&owner.net)
        if not allocate_buffers(&self.buffers, &owner.net, rows, n_threads, purpose, gradient,
                                nonzeros):
            raise MemoryError(f"a batch of {rows} rows doesn't fit in memory")

    def __dealloc__(self):
        free_buffers(&self.buffers)

    cdef bint fits(self, Py_ssize_t batch, int n_threads, bint nonzeros) noexcept:
        """Whether `n_threads` threads can train a batch of `batch` rows in these buffers."""
        return (self.forks == fastnn_forks() and self.n_threads >= n_threads
                and (self.buffers.nonzeros != NULL) == nonzeros
                and self.buffers.rows >= min(batch, self.round_rows)
                and (batch <= self.round_rows or self.buffers.gradient != NULL))


cdef class Parameters:
    """A network and its parameters: weights, moments, averages, counts, learning rate.

    `stages` is a list of dicts: "kind", and the entries that this kind of stage reads
    (engine/stages/). `hyper` has the optimizer's hyper-parameters by name. `clip` is (how, bound)
    for gradients, or None. `average` is the momentum of a moving average of the parameters, or
    None. `targets` is (whether targets are labels, their least value, their largest). `zeros` says
    whether zeros of the inputs may be skipped. The caller has checked all arguments.
    """

    cdef Net net
    cdef Run *postponing_run      # the run in progress, which may postpone updates; or NULL
    cdef readonly object n_in, n_out, n_parameters

    def __cinit__(self, n_in, list stages, *, str loss="squared_error", loss_parameter=None,
                  tuple targets=(False, -np.inf, np.inf), bint mean=True, str optimizer="sgd",
                  dict hyper=None, clip=None, average=None, seed=0, bint scale_penalties=False,
                  bint tiny=True, isa=None, bint zeros=True, **rest):
        build_net(&self.net, KINDS, {
            "n_in": n_in, "stages": stages, "loss": loss, "loss_parameter": loss_parameter,
            "targets": targets, "mean": mean, "optimizer": optimizer, "hyper": hyper or {},
            "clip": clip, "average": average, "seed": seed, "scale_penalties": scale_penalties,
            "tiny": tiny, "isa": isa, "zeros": zeros,
        })
        self.n_in, self.n_out = n_in, self.net.n_out
        self.n_parameters = parameter_count(&self.net)

    def __dealloc__(self):
        free_net(&self.net)

    @property
    def instruction_set(self):
        return self.net.isa.decode()

    @property
    def step(self):
        """Number of updates made so far."""
        return self.net.step

    @property
    def epoch(self):
        """Number of completed epochs, as schedules count them."""
        return self.net.epoch

    @epoch.setter
    def epoch(self, value):
        self.net.epoch = value

    @property
    def dropout_seed(self):
        """The seed of the dropout masks."""
        return self.net.seed

    @dropout_seed.setter
    def dropout_seed(self, value):
        self.net.seed = value

    @property
    def n_moments(self):
        """Number of moments that the optimizer has for each parameter."""
        return self.net.optimizer.n_moments

    @property
    def averages(self):
        """Whether the optimizer averages the parameters itself; `read` then returns the average."""
        return self.net.optimizer.averages != 0

    @property
    def n_blocks(self):
        """Number of blocks of memory: parameters, each moment, and a moving average if any."""
        return self.net.n_blocks

    cdef int claim(self) except -1:
        """Claim the parameters to change them; no other thread may then change or copy them."""
        cdef bint taken = fastnn_try_exclusive(&self.net.claim)
        if not taken:
            with nogil:  # threads that copy parameters may need the GIL
                taken = fastnn_take_exclusive(&self.net.claim)
        if not taken:
            raise busy()
        self.postponing_run = NULL  # what a thread that was lost in a fork has left
        end_training(&self.net)
        return 0

    cdef void release(self) noexcept:
        """End the claim."""
        fastnn_release_exclusive(&self.net.claim)

    cdef int begin_reading(self) except -1:
        """Claim the parameters to copy them; other threads may copy but not change them."""
        if not fastnn_take_shared(&self.net.claim):
            raise RuntimeError("this model is being trained in another thread; wait for it, or "
                               "ask for the weights in a callback of the fit")
        self.catch_up()
        return 0

    cdef void catch_up(self) noexcept:
        """Make all updates that this thread's run has postponed, so that parameters can be read
        during the run and after it. The run of another thread was lost in a fork."""
        if not fastnn_is_owner(&self.net.claim) or self.postponing_run == NULL:
            return
        if postpones_updates(self.postponing_run):
            make_postponed_updates(self.postponing_run, 1)

    cdef void end_reading(self) noexcept:
        fastnn_release_shared(&self.net.claim)

    def set_rate(self, double rate, dict schedule):
        """Set the learning rate to `rate`, or to a schedule unless that is None."""
        cdef fastnn_schedule found = find_schedule(schedule)
        try:
            self.claim()
        except BaseException:
            free(found.p)
            raise
        with cython.critical_section(self):
            found, self.net.schedule = self.net.schedule, found
            self.net.hyper.learning_rate = rate
        self.release()
        free(found.p)

    @property
    def rate(self):
        """The learning rate of the next update."""
        cdef double rate
        with cython.critical_section(self):  # otherwise set_rate could free the schedule
            rate = rate_at(&self.net, self.net.step)
        return rate

    def standardize(self, const double[::1] mean, const double[::1] inverse):
        """Set the Standardize layer to (x - mean) * inverse; mean and inverse are (n_in,)."""
        cdef Stage *first = &self.net.stages[0]
        require(first.kind.waits_for_data and mean.shape[0] == self.n_in
                and inverse.shape[0] == self.n_in, "mean or inverse")
        self.claim()
        set_scaling(first, mean, inverse)
        self.net.waits_for_data = False
        self.release()

    def await_data(self):
        """Refuse inputs until `standardize` is called again."""
        require(self.net.stages[0].kind.waits_for_data, "the first layer")
        self.claim()
        self.net.waits_for_data = True
        self.release()

    cdef real *block_at(self, Py_ssize_t block) except NULL:
        cdef Py_ssize_t last = self.net.n_blocks - 1
        require(0 <= block <= last, "block")
        if self.net.in_training and block in (0, last):  # in a signal handler
            block = last - block
        return self.net.arena + block * self.net.block

    def read(self, Py_ssize_t block=0):
        """Return the parameters [W0, b0, W1, ...] of block 0; of block 1, ... a moment of each."""
        return self.read_blocks([block])[2][0]

    def read_blocks(self, list blocks):
        """Return (step, epoch, [arrays as from `read`, for each block]), from one point in time."""
        cdef list found = []
        self.begin_reading()
        try:
            for block in blocks:
                found.append(read_block(&self.net, self.block_at(block)))
            return self.net.step, self.net.epoch, found
        finally:
            self.end_reading()

    def write(self, arrays, Py_ssize_t block=0):
        """Set a block from arrays as from `read`; block 0 restarts an optimizer's own average."""
        cdef list found = list(arrays)
        require([array.shape for array in found] == shapes_of(&self.net), "an array of weights")
        self.claim()
        try:
            write_block(&self.net, found, self.block_at(block))
            if block == 0:
                restart_average(&self.net)
        finally:
            renew_all_operands(&self.net)
            self.release()

    def read_flat(self):
        """Return all parameters as one vector: the arrays of `read` one after another, by rows."""
        cdef real[::1] vector = np.empty(self.n_parameters, DTYPE)
        self.begin_reading()
        flatten(&self.net, self.block_at(0), &vector[0])
        self.end_reading()
        return vector.base

    def write_flat(self, const real[::1] vector):
        """Set all parameters from a vector (n_parameters,) as `read_flat` returns it."""
        require(vector.shape[0] == self.n_parameters, "vector")
        self.claim()
        unflatten(&self.net, &vector[0], self.net.arena)
        restart_average(&self.net)
        renew_all_operands(&self.net)
        self.release()

    def write_all(self, list blocks, *, int64_t step, int64_t epoch, uint64_t dropout_seed,
                  double rate, dict schedule, tuple scaling):
        """Set every number of the network at once; none if another thread is training it.

        `blocks` has the arrays of every block as from `read`; rate and schedule are those of
        `set_rate`. `scaling` is (mean, inverse) as for `standardize`; with None, a Standardize
        layer waits for data.
        """
        cdef Stage *first = &self.net.stages[0]
        cdef const double[::1] mean = None, inverse = None
        cdef fastnn_schedule found
        shapes = shapes_of(&self.net)
        require(len(blocks) == self.net.n_blocks
                and all([array.shape for array in block] == shapes for block in blocks), "blocks")
        if scaling is not None:
            mean, inverse = scaling
            require(first.kind.waits_for_data and mean.shape[0] == self.n_in
                    and inverse.shape[0] == self.n_in, "scaling")
        found = find_schedule(schedule)
        try:
            self.claim()
            try:
                with cython.critical_section(self):
                    found, self.net.schedule = self.net.schedule, found
                    self.net.hyper.learning_rate = rate
                self.net.waits_for_data = first.kind.waits_for_data and scaling is None
                if scaling is not None:
                    set_scaling(first, mean, inverse)
                for number, block in enumerate(blocks):
                    write_block(&self.net, block, self.block_at(number))
                    if number == 0:
                        restart_average(&self.net)
                self.net.step, self.net.epoch, self.net.seed = step, epoch, dropout_seed
            finally:
                renew_all_operands(&self.net)
                self.release()
        finally:
            free(found.p)

    def write_rows(self, Py_ssize_t number, Py_ssize_t first, const real[:, ::1] rows):
        """Set rows of a stage's W from row `first` on; `number` counts the stages with parameters.

        W is (n_in, n_out) in a Dense; a vector is a W of one row.
        """
        cdef const Stage *stage = self.stage_with_parameters(number)
        cdef Py_ssize_t n = stage.W_columns if stage.transposed else stage.W_rows
        cdef Py_ssize_t columns = stage.W_rows if stage.transposed else stage.W_columns
        require(rows.shape[1] == columns and 0 <= first <= first + rows.shape[0] <= n, "rows")
        self.claim()
        write_rows(&self.net, stage, first, rows)
        renew_stage(&self.net, stage)
        self.release()

    def draw_uniform(self, entropy, tuple draws):
        """Draw the W of some stages: (number as in write_rows, rows, columns, bound) for each.

        The numbers are those of default_rng(SeedSequence(entropy, spawn_key=(0,))).uniform(-bound,
        bound).
        """
        cdef Seeds seeds
        cdef Pcg64 pcg
        cdef real[:, ::1] drawn
        cdef Py_ssize_t number, rows, columns, first, some, i, j
        cdef double bound
        seeds_of(&seeds, entropy, 0)
        seed_generator(&pcg, &seeds)
        for number, rows, columns, bound in draws:
            some = min(rows, max(1, <Py_ssize_t>DRAWN_TOGETHER // columns))
            drawn = np.empty((some, columns), DTYPE)
            first = 0
            while first < rows:
                some = min(some, rows - first)
                for i in range(some):
                    for j in range(columns):
                        drawn[i, j] = <real>uniform(&pcg, -bound, 2 * bound)
                self.write_rows(number, first, drawn[:some])
                first += some

    def write_biases(self, Py_ssize_t number, Py_ssize_t first, const real[:, ::1] b):
        """Set rows of a stage's b from row `first` on; `number` counts the stages with parameters.

        A vector is a b of one row.
        """
        cdef const Stage *stage = self.stage_with_parameters(number)
        require(stage.b != NULL and 0 <= first and first + b.shape[0] <= b_height(stage)
                and b.shape[1] == stage.b_columns, "b")
        self.claim()
        write_biases(&self.net, stage, first, b)
        self.release()

    cdef const Stage *stage_with_parameters(self, Py_ssize_t number) except NULL:
        """Return a stage by its number among those with parameters."""
        cdef Py_ssize_t i
        for i in range(self.net.n_stages):
            if self.net.stages[i].W != NULL:
                if number == 0:
                    return &self.net.stages[i]
                number -= 1
        require(False, "number")

    def fill_moment(self, Py_ssize_t block, real value):
        """Set a moment of every parameter to `value`, also in padding, where it has no effect."""
        fill(self.block_at(block), self.net.block, value)

    def penalties(self, double weight, bint averages=False):
        """Return l1 sum|W| + l2 sum W^2 over the layers, as in the loss of rows of total weight
        `weight`; with `averages`, of the moving averages of the parameters."""
        cdef Net net = judged_net(&self.net, averages)
        return penalties_of(&net, weight)


# ---- runs ---------------------------------------------------------------------------------------

cdef class Tally:
    """Adds up the losses of the batches of an epoch, or of the rows of an evaluation."""

    cdef Parameters owner
    cdef public double loss       # sum of the batches' losses; means are times the rows' weight
    cdef public double total      # total weight of the rows
    cdef public object failure    # the loss that was not finite, or None
    cdef public bint overflowed   # only the penalties were not finite: the update was made

    def __init__(self, Parameters owner):
        self.owner = owner

    @property
    def value(self):
        """The loss of these rows: their mean or their sum, as the user chose."""
        return reduced(&self.owner.net, self.loss, self.total)

    cdef void record_end(self, const Run *run) noexcept:
        """Record the loss that ended the run, if one did."""
        if run.ended == DIVERGED:
            self.failure, self.overflowed = run.last_loss, run.overflowed


cdef bint interrupted(void *owner) noexcept with gil:
    """Handle signals; return whether to end the run because a handler raised an exception.

    The exception is raised after the steps have ended. A handler that forks also ends the run in
    the child, which lacks the other threads of the step.
    """
    cdef int forks = fastnn_forks()
    try:
        PyErr_CheckSignals()
        if fastnn_forks() != forks:
            raise RuntimeError("a signal handler forked this process during a training step; the "
                               "child cannot finish the step, so end it with os._exit()")
    except BaseException as error:
        (<Driver>owner).pending = error
        return True
    return False


cdef class Driver(Parameters):
    """Training and predictions over the rows of arrays, on a team of threads."""

    cdef OwnBuffers training, inference
    cdef fastnn_claim inference_claim   # on `inference`; net.claim covers the other buffers
    cdef fastnn_claim parts_claim       # on steps that Python code makes in parts
    cdef int n_threads            # for calls without this argument
    cdef Kept kept
    cdef object pending           # the exception that a signal handler raised within a step
    cdef public int stop_training  # nonzero: a whole fit ends after the current epoch
    cdef public bint is_disposable  # the caller drops the network if its loss is not finite

    def __cinit__(self, *args, int n_threads=1, **rest):
        self.n_threads, self.kept.step = n_threads, -1

    def __dealloc__(self):
        fastnn_free(self.kept.memory)

    cdef int describe_inputs(self, Rows *rows, X, bint panels) except -1:
        """Describe the rows of X, an array or SparseRows, which `panels` gathers into panels."""
        cdef const real[:, ::1] reals
        cdef const real[::1] values
        cdef const int32_t[::1] columns
        cdef const int64_t[::1] starts
        cdef Py_ssize_t n = X.shape[0], n_values
        require(n > 0 and X.shape[1] == self.net.n_in, "X")
        if cnp.PyArray_Check(X):
            reals = X
            describe_dense_rows(rows, n, &reals[0, 0])
            return 0
        values, columns, starts = X.data, X.indices, X.indptr
        n_values = min(values.shape[0], columns.shape[0])
        require(starts.shape[0] == n + 1, "X.indptr")
        describe_csr_rows(rows, &self.net, n, &values[0] if n_values > 0 else NULL,
                          &columns[0] if n_values > 0 else NULL, n_values, &starts[0], panels)
        return 0

    cdef int describe(self, Rows *rows, X, const real[:, ::1] T, const int64_t[::1] labels,
                      sample_weight, bint panels=False) except -1:
        self.describe_inputs(rows, X, panels)
        if T is not None:
            require(T.shape[0] == rows.n and T.shape[1] == self.net.n_out, "T")
            set_real_targets(rows, self.net.loss, &T[0, 0])
        if labels is not None:
            require(labels.shape[0] == rows.n, "labels")
            set_labels(rows, self.net.loss, &labels[0])
        self.describe_weights(rows, sample_weight)
        return 0

    cdef int describe_weights(self, Rows *rows, sample_weight) except -1:
        """Describe sample weights of the rows (n,) or of their outputs (n, n_out), or None."""
        cdef const real[::1] of_rows
        cdef const real[:, ::1] of_outputs
        if sample_weight is None:
            return 0
        require(sample_weight.shape[0] == rows.n, "sample_weight")
        if sample_weight.ndim == 1:
            of_rows = sample_weight
            set_sample_weight(rows, &of_rows[0])
        else:
            of_outputs = sample_weight
            require(of_outputs.shape[1] == self.net.n_out, "sample_weight")
            require(set_output_weights(rows, &self.net, &of_outputs[0, 0]), "sample_weight")
        return 0

    cdef void begin(self, Run *run, int n_threads) noexcept:
        """Initialize a run of one epoch, without rows."""
        memset(run, 0, sizeof(Run))
        run.net, run.owner = &self.net, <void *>self
        run.interrupted, run.most_threads, run.epochs, run.until = interrupted, n_threads, 1, 1

    def train(self, X, const real[:, ::1] T, const int64_t[::1] labels,
              sample_weight, const int64_t[::1] order, Py_ssize_t batch,
              int n_threads, Tally tally, Py_ssize_t first, Py_ssize_t stop,
              real[:, ::1] out=None):
        """Train on rows of X (n, n_in), `batch` rows a step: those at positions `first` to `stop`
        of `order`, or of X if `order` is None.

        Targets are T (n, n_out) or labels (n,). The loss of each batch before its update is added
        to `tally`; `out` (n, n_out) gets the outputs before the update, in the order in which rows
        are used. Signals are handled every few milliseconds. If a loss is not finite, tally.failure
        is the loss, and training ends before that update, or after it if only penalties are not
        finite.
        """
        cdef Run run
        self.begin(&run, n_threads)
        self.describe(&run.rows, X, T, labels, sample_weight)
        require(batch > 0 and 0 <= first <= stop <= run.rows.n, "batch, first or stop")
        if order is not None:
            require(order.shape[0] >= stop, "order")
            run.rows.order = &order[0]
        if out is not None:
            require(out.shape[0] >= stop and out.shape[1] == self.net.n_out, "out")
            run.out = &out[0, 0]
        run.batch, run.first, run.begin, run.end = batch, first, first, stop
        run.loss, run.total = tally.loss, tally.total
        try:
            self.carry_out(&run, True)
        finally:
            tally.loss, tally.total = run.loss, run.total
        tally.record_end(&run)

    def train_by_gradients(self, X, const real[:, ::1] dY,
                           sample_weight, int n_threads, Tally tally):
        """Make one step on X (n, n_in) from dY (n, n_out), gradients with respect to its outputs.

        The loss is the sum of the outputs times dY; tally.failure is the loss if it is not finite.
        """
        cdef Run run
        self.begin(&run, n_threads)
        self.describe(&run.rows, X, dY, None, None)
        run.rows.loss = self.net.linear
        self.describe_weights(&run.rows, sample_weight)
        run.batch = run.end = run.rows.n
        self.carry_out(&run, False)
        tally.record_end(&run)

    cdef int carry_out(self, Run *run, bint keep) except -1:
        """Carry out a run; with `keep`, copy the parameters from time to time, for `restore`.

        The GIL is released, and taken every few milliseconds to handle signals. Brief runs hold it.
        """
        cdef Py_ssize_t rows = training_rows(1, self.net.row_flops - run.rows.flops_less)
        cdef bint nonzeros = are_nonzeros(&run.rows)
        cdef double flops = run.rows.n * self.net.row_flops * (run.until - run.epoch)
        plan_run(run)
        self.claim()
        try:
            if self.training is None or not self.training.fits(run.batch, run.n_threads, nonzeros):
                self.training = OwnBuffers(self, min(run.batch, round_rows(&self.net)),
                                           run.n_threads, TRAINING,
                                           run.batch > round_rows(&self.net), nonzeros)
            run.buffers = &self.training.buffers
            begin_training(&self.net)
            prepare_run(run)
            self.postponing_run = run
            if (keep and not self.is_disposable) or run.tiny:
                run.keep = self.kept_parameters()
            while run.epoch < run.until and run.ended == NOT_YET:
                if flops < BRIEF_FLOPS():
                    advance(run, rows)
                else:
                    with nogil:
                        advance(run, rows)
                if self.pending is not None:
                    error, self.pending = self.pending, None
                    raise error
                if run.ended == NO_MEMORY:
                    raise MemoryError("the nonzeros of a batch don't fit in memory")
                PyErr_CheckSignals()
        finally:
            self.catch_up()
            self.postponing_run = NULL
            end_training(&self.net)
            if run.skips_zeros:
                record_finite(&self.net)
            self.release()
        return 0

    def skips_zeros(self, X, Py_ssize_t batch):
        """Whether training on X (n, n_in), `batch` rows a step, skips zeros of the inputs: those
        of an array that has many, or those that SparseRows leave out."""
        cdef Run run
        self.begin(&run, 1)
        self.describe_inputs(&run.rows, X, False)
        run.batch, run.end = batch, run.rows.n
        return are_nonzeros(&run.rows) or trains_on_zeros(&run)

    cdef Kept *kept_parameters(self) except NULL:
        """Return memory for a copy of the parameters and, behind it, of a tiny network's arena."""
        if not allocate_kept(&self.kept, &self.net, self.net.tiny.layers != NULL):
            raise MemoryError("a copy of the weights doesn't fit in memory")
        return &self.kept

    def run_exclusively(self, function, *arguments):
        """Call a function that makes steps in parts; a concurrent call raises RuntimeError."""
        if not fastnn_try_exclusive(&self.parts_claim):
            raise busy()
        try:
            return function(*arguments)
        finally:
            fastnn_release_exclusive(&self.parts_claim)

    def tally(self):
        """Return an empty tally to train or evaluate with."""
        return Tally(self)

    def forget(self):
        """Forget the parameters that an earlier training kept for `restore`."""
        self.claim()
        self.kept.step = -1
        self.release()

    def restore(self, real first_moment):
        """Return to the kept parameters, which gave a finite loss, and reset the moments.

        Returns the number of updates that this discards; None, without a change, if none are kept.
        """
        self.claim()
        dropped = restore(&self.net, &self.kept, first_moment)
        self.release()
        return dropped if dropped >= 0 else None

    def profile(self, X, const real[:, ::1] T, const int64_t[::1] labels,
                sample_weight, Py_ssize_t batch, int n_threads):
        """Train like `train`; return a list with a dict {phase: seconds} for each thread."""
        cdef Run run
        cdef Clock *clocks
        cdef int rank
        self.begin(&run, n_threads)
        self.describe(&run.rows, X, T, labels, sample_weight)
        run.batch, run.end = batch, run.rows.n
        clocks = <Clock *>calloc(n_threads, sizeof(Clock))
        if clocks == NULL:
            raise MemoryError("cannot allocate the clocks")
        run.clocks = clocks
        try:
            self.carry_out(&run, False)
            return [{name: clocks[rank].seconds[<int>phase] for phase, name in PHASES.items()}
                    for rank in range(run.n_threads)]
        finally:
            free(clocks)

    def trains_by_columns(self, Py_ssize_t batch, int n_threads):
        """Whether `n_threads` threads divide columns instead of rows, for inputs that are reals
        without many zeros."""
        cdef Run run
        self.begin(&run, n_threads)
        run.batch = run.end = run.rows.n = batch
        plan_run(&run)
        return run.by_columns

    def postpones_updates(self):
        """Whether the last training postponed updates of the lowest W until its rows were read."""
        cdef OwnBuffers memory = self.training
        return (memory is not None and memory.buffers.indexed != NULL
                and memory.buffers.indexed.postpones != 0)

    def pace(self):
        """Return (threads, seconds, seconds that all of them waited, rows per second when last
        measured) for each size that teams have had in training."""
        cdef fastnn_pace *pace = &self.net.pace
        cdef int k
        return [(fastnn_pace_kth(pace.most, k), 1e-9 * pace.records[k].ns,
                 1e-9 * pace.records[k].waited_ns,
                 1e9 * pace.records[k].speed / self.net.row_flops)
                for k in range(FASTNN_PACE_SIZES) if pace.records[k].ns > 0]

    def gradients(self, X, const real[:, ::1] T, const int64_t[::1] labels,
                  sample_weight, bint dropout, int n_threads):
        """Return (loss, gradient) of one batch without an update; the gradient is a vector in the
        order of `read_flat`."""
        cdef Run run
        cdef int threads
        cdef OwnBuffers memory
        cdef real[::1] vector = np.empty(self.n_parameters, DTYPE)
        self.catch_up()
        self.begin(&run, n_threads)
        self.describe(&run.rows, X, T, labels, sample_weight)
        run.batch = run.end = run.stop = run.rows.n
        threads = team_size(run.rows.n * (self.net.row_flops - run.rows.flops_less), n_threads)
        memory = OwnBuffers(self, min(run.rows.n, round_rows(&self.net)), threads,
                            TRAINING if dropout else GRADIENTS, False, are_nonzeros(&run.rows))
        run.buffers = &memory.buffers
        if are_nonzeros(&run.rows):
            run.buffers.nonzeros.whole = multiplies_zeros(&self.net)
            if not reserve_nonzeros(run.buffers.nonzeros,
                                    most_nonzeros(&run.rows, 0, run.rows.n, run.rows.n,
                                                  round_rows(&self.net))):
                raise MemoryError("the nonzeros of a batch don't fit in memory")
        run.skips_zeros = trains_on_zeros(&run)
        run.gradient = allocate(self.net.block)
        try:
            with nogil:
                fastnn_run(threads, train_task, &run)
            flatten(&self.net, run.gradient, &vector[0])
            return reduced(&self.net, run.loss, run.total), vector.base
        finally:
            fastnn_free(run.gradient)

    def row_gradients(self, X, const real[:, ::1] T, const int64_t[::1] labels,
                      real[:, ::1] out, int n_threads):
        """Compute the gradient of each row's loss, without penalties and dropout, into out
        (n, n_parameters); its rows are in the order of `read_flat`."""
        cdef RowGradients args
        cdef int threads = team_size(<Py_ssize_t>X.shape[0] * self.net.row_flops, n_threads)
        cdef Py_ssize_t stride = inference_rows(&self.net, threads, self.net.row_flops)
        cdef OwnBuffers memory = OwnBuffers(self, threads * chunk_rows(&self.net), threads,
                                            GRADIENTS)
        self.catch_up()
        self.describe(&args.rows, X, T, labels, None, panels=True)
        require(out.shape[0] == args.rows.n and out.shape[1] == self.n_parameters, "out")
        args.net, args.buffers, args.first = &self.net, &memory.buffers, 0
        args.out, args.n_parameters = &out[0, 0], self.n_parameters
        args.blocks = allocate(<object>threads * self.net.block)
        try:
            while args.first < args.rows.n:
                args.stop = min(args.rows.n, args.first + stride)
                with nogil:
                    fastnn_run(threads, row_gradients_task, &args)
                args.first = args.stop
                PyErr_CheckSignals()
        finally:
            fastnn_free(args.blocks)

    def evaluate(self, X, const real[:, ::1] T, const int64_t[::1] labels,
                 sample_weight, int n_threads, Tally tally, real[:, ::1] out=None,
                 bint averages=False):
        """Add the losses of rows to `tally`, without penalties and dropout; `out` (n, n_out) gets
        the outputs. With `averages`, use the moving averages of the parameters, if there are any.

        Losses are added chunk by chunk and row by row, so that several calls with whole chunks give
        the same bits as one call with all rows.
        """
        cdef Evaluation evaluation
        cdef double loss = tally.loss, total = tally.total
        cdef double[::1] losses = np.empty(
            chunks_of(&self.net, <Py_ssize_t>X.shape[0]) + 1)
        self.describe(&evaluation.rows, X, T, labels, sample_weight)
        evaluation.chunk_losses, evaluation.out = &losses[0], NULL
        if out is not None:
            require(out.shape[0] >= evaluation.rows.n and out.shape[1] == self.net.n_out, "out")
            evaluation.out = &out[0, 0]
        self.infer(&evaluation, n_threads, INFERENCE, averages)
        add_up(&evaluation, &loss, &total)
        tally.loss, tally.total = loss, total

    def predict(self, X, real[:, ::1] out, int n_threads, bint dropout=False,
                bint averages=False):
        """Compute the outputs for X (n, n_in) into out (n, n_out).

        With `dropout` these are the outputs that the next step computes from this batch. With
        `averages` they are computed from the moving averages or, if the optimizer averages the
        parameters itself, from the parameters that the next step starts from.
        """
        cdef Evaluation evaluation
        self.describe(&evaluation.rows, X, None, None, None)
        require(out.shape[0] >= evaluation.rows.n and out.shape[1] == self.net.n_out, "out")
        evaluation.chunk_losses, evaluation.out = NULL, &out[0, 0]
        self.infer(&evaluation, n_threads, TRAINING if dropout else INFERENCE, averages)

    cdef int infer(self, Evaluation *evaluation, int n_threads, Purpose purpose,
                   bint averages=False) except -1:
        """Run evaluate_task in the network's inference buffers, or in new ones if another thread
        uses these or they do not fit."""
        cdef int threads = evaluation_team(&self.net, &evaluation.rows, n_threads)
        cdef Py_ssize_t stride = inference_rows(&self.net, threads,
                                                self.net.row_flops - evaluation.rows.flops_less)
        cdef OwnBuffers memory
        cdef bint holds_buffers = (purpose == INFERENCE
                                   and fastnn_try_exclusive(&self.inference_claim))
        cdef bint is_brief = evaluation.rows.n * self.net.row_flops < BRIEF_FLOPS()
        cdef Net judged
        cdef Net *net = net_to_predict(&self.net, averages, &judged)
        try:
            self.catch_up()
            memory = self.inference_buffers(threads, purpose, holds_buffers,
                                            are_nonzeros(&evaluation.rows))
            if are_nonzeros(&evaluation.rows):
                memory.buffers.nonzeros.whole = multiplies_zeros(net)
            evaluation.skips_zeros = predicts_zeros(net, &evaluation.rows, purpose == TRAINING)
            evaluation.net, evaluation.buffers, evaluation.stop = net, &memory.buffers, 0
            while next_slice(evaluation, stride):
                if is_brief:
                    fastnn_run(1, evaluate_task, evaluation)
                else:
                    with nogil:
                        fastnn_run(threads, evaluate_task, evaluation)
                if evaluation.stop < evaluation.rows.n:
                    PyErr_CheckSignals()
        finally:
            evaluation.net = &self.net  # not `judged`, which ends here
            if holds_buffers:
                fastnn_release_exclusive(&self.inference_claim)
        return 0

    cdef OwnBuffers inference_buffers(self, int threads, Purpose purpose, bint holds_buffers,
                                      bint nonzeros):
        """Return the network's own buffers if this call has claimed them, or new ones."""
        cdef OwnBuffers memory = self.inference if holds_buffers else None
        if (memory is None or memory.n_threads < threads or memory.forks != fastnn_forks()
                or (memory.buffers.nonzeros != NULL) != nonzeros):
            memory = OwnBuffers(self, threads * prediction_rows(&self.net, nonzeros), threads,
                                purpose, False, nonzeros)
            if holds_buffers:
                self.inference = memory
        return memory

    cdef int carry_out_whole(self, Run *run, int n_threads) except -1:
        """Carry out epochs of a whole fit; evaluations use the inference buffers."""
        cdef Watch *watch = run.watch
        cdef int threads = evaluation_team(&self.net, &watch.validation.rows, n_threads)
        cdef bint holds_buffers = fastnn_try_exclusive(&self.inference_claim)
        cdef OwnBuffers memory
        run.most_threads = n_threads
        try:
            memory = self.inference_buffers(threads, INFERENCE, holds_buffers,
                                            are_nonzeros(&run.rows))
            watch.last.buffers = watch.validation.buffers = &memory.buffers
            self.carry_out(run, True)
        finally:
            if holds_buffers:
                fastnn_release_exclusive(&self.inference_claim)
        return 0

    def activations(self, X):
        """Return the outputs for X (n, n_in) of every stage that does not just pass its inputs on:
        a list of arrays (n, n_out of the stage), or (n * members, n_out) in an Ensemble."""
        cdef OwnBuffers memory
        cdef Buffers *buffers
        cdef Pass work
        cdef Rows rows
        cdef Py_ssize_t i, n, position = 0, k = self.net.members
        cdef real[:, ::1] view
        cdef Net net = judged_net(&self.net, False)
        self.catch_up()
        self.describe(&rows, X, None, None, None)
        memory = self.chunk_buffers(&rows, INFERENCE)
        buffers = &memory.buffers
        begin_pass(&work, &net, buffers, 0, NULL)
        found = {i: np.empty((rows.n * k, self.net.stages[i].n_out), DTYPE)
                 for i in range(self.net.n_stages)
                 if buffers.stages[i].z != buffers.stages[i].z_prev}
        while position < rows.n:
            n = forward_chunk(&work, &rows, position)
            for i, array in found.items():
                view = array[position * k:(position + n) * k]
                copy_outputs(&work, i, &view[0, 0])
            position += n
        return list(found.values())

    cdef OwnBuffers chunk_buffers(self, const Rows *rows, Purpose purpose):
        """Return new buffers for a chunk of these rows."""
        cdef OwnBuffers memory = OwnBuffers(self, chunk_rows(&self.net), 1, purpose, False,
                                            are_nonzeros(rows))
        if memory.buffers.nonzeros != NULL:
            memory.buffers.nonzeros.whole = multiplies_zeros(&self.net)
        return memory

    def input_gradients(self, X, const int64_t[::1] outputs,
                        real[:, ::1] out):
        """Compute dy_j/dx for X (n, n_in) into out (n, n_in); `outputs` (n,) has each row's j."""
        cdef OwnBuffers memory
        cdef Rows rows
        cdef Py_ssize_t i
        cdef Net net = judged_net(&self.net, False)
        self.catch_up()
        self.describe(&rows, X, None, None, None)
        memory = self.chunk_buffers(&rows, DERIVATIVES)
        require(outputs.shape[0] == out.shape[0] == rows.n and out.shape[1] == self.net.n_in,
                "outputs or out")
        for i in range(rows.n):
            require(0 <= outputs[i] < self.net.n_out, "outputs")
        derive_inputs(&net, &rows, &memory.buffers, &outputs[0], &out[0, 0])


# ---- whole fits ---------------------------------------------------------------------------------

#: Why a fit ended before its last epoch, by the values of the enum End.
ENDS = {NOT_YET: None, DIVERGED: "diverged", LAST_DIVERGED: "diverged after", STOPPED: "stopped",
        INTERRUPTED: "interrupted", NO_MEMORY: "no memory"}


cdef class WholeFit:
    """A fit that the engine carries out by itself: rows, rules, and how it went.

    `rows` and `validation` are (X, T, labels, sample_weight, numbers): arrays as `Driver.train`
    takes them, and the indices (n,) of the rows to use, None for all. `judge` and
    `validation_judge` are (metrics, sample_weight) for these rows. Each metric is a dict: "name" is
    None if the metric is not logged, and the other entries are those of `describe_metric`. Their
    sample weights are all above 0, or None.

    `generator` is a Shuffler, or a bit generator of NumPy, that draws the order of each epoch; or
    None. With `compounds`, each order shuffles the one before it. `lock` is held during a draw, if
    other threads draw from the generator, too. `rules` are dicts: see `describe_rules`.

    With `logs_rate`, the learning rate of each epoch is logged. With `tries_each_epoch`, the loss
    is checked after the last update of each epoch, not of the last epoch alone. With
    `judges_averages`, validation and the rules use the moving averages of the parameters.
    `first_moment` is the initial value of the optimizer's first moment.
    """

    cdef readonly Driver driver
    cdef Run run
    cdef Watch watch
    cdef Kept kept                # the kept parameters of a member; other fits use Driver.kept
    cdef real first_moment        # initial value of the optimizer's first moment
    cdef object held              # the arrays and objects that the engine reads, kept alive
    cdef readonly object dropped  # updates that a member discarded after a divergence, or None
    cdef bint logs_rate
    cdef Py_ssize_t began         # number of epochs before the logged ones
    cdef double[::1] losses, val_losses, rates, row_losses
    cdef double[:, ::1] values, val_values  # values of the metrics in each epoch
    cdef list names, val_names    # names of the metrics; None for a metric that is not logged
    cdef object lock              # on the generator, if other threads draw from it, too
    cdef readonly double seconds  # duration of a member's run

    def __cinit__(self, Driver driver, tuple rows, *, generator=None, tuple validation=None,
                  Py_ssize_t batch, Py_ssize_t epochs, tuple judge=((), None),
                  tuple validation_judge=((), None), bint compounds=False, lock=None,
                  list rules=None,
                  bint logs_rate=False,
                  bint tries_each_epoch=False, bint judges_averages=False, real first_moment=0):
        cdef Rows *judged
        self.first_moment = first_moment
        self.driver, self.logs_rate = driver, logs_rate
        self.held = rows, generator, validation, judge, validation_judge
        driver.begin(&self.run, 1)
        self.run.watch = &self.watch
        self.run.numbers = self.describe_rows(&self.run.rows, rows)
        self.run.rows.order = self.run.numbers
        require(batch > 0 and epochs >= 0, "batch or epochs")
        self.run.batch, self.run.end = batch, self.run.rows.n
        self.run.epochs, self.run.until = epochs, 0
        self.kept.step = -1
        if generator is not None:
            require(self.run.rows.n <= MOST_ROWS, "the number of rows")
            self.run.generator = bits_of(generator)
            if lock is not None:
                self.lock, self.run.draw, self.run.drawer = lock, draw_locked, <void *>self
        self.watch.tries_each_epoch, self.watch.stop_flag = tries_each_epoch, &driver.stop_training
        self.watch.judges_averages = judges_averages
        self.watch.last.net = self.watch.validation.net = &driver.net
        self.watch.last.rows = self.run.rows
        keep_last_rows(&driver.net, &self.watch.last.rows, LAST_ROWS)
        if validation is not None:
            self.watch.has_validation = True
            judged = &self.watch.validation.rows
            judged.order = self.describe_rows(judged, validation)
            require(are_nonzeros(judged) == are_nonzeros(&self.run.rows), "validation")
            self.val_names = self.describe_judge(&self.watch.validation_judge, validation,
                                                 validation_judge)
        self.names = self.describe_judge(&self.watch.judge, rows, judge)
        self.run.compounds = compounds and generator is not None
        describe_rules(&self.watch, rules or [])

    def __dealloc__(self):
        if self.run.watch != NULL:
            free_run_memory(&self.run)
        free(self.watch.rules)
        free(self.watch.judge.metrics)
        free(self.watch.validation_judge.metrics)

    cdef const int64_t *describe_rows(self, Rows *rows, tuple given) except? NULL:
        """Describe rows; return the indices of those to use, NULL for all."""
        cdef const int64_t[::1] numbers
        cdef Py_ssize_t i
        X, T, labels, sample_weight, chosen = given
        self.driver.describe(rows, X, T, labels, sample_weight)
        if chosen is None:
            return NULL
        numbers = chosen
        require(numbers.shape[0] > 0, "numbers of rows")
        for i in range(numbers.shape[0]):
            require(0 <= numbers[i] < rows.n, "a number of a row")
        rows.n = numbers.shape[0]
        return &numbers[0]

    cdef list describe_judge(self, Judge *judge, tuple rows, tuple given):
        """Describe the metrics of rows; return their names."""
        cdef const real[::1] weights
        cdef const double[:, ::1] targets
        cdef Py_ssize_t i
        X, T, labels, _, _ = rows
        metrics, sample_weight = given
        judge.n_metrics = len(metrics)
        judge.metrics = <Metric *>calloc(max(1, len(metrics)), sizeof(Metric))
        if judge.metrics == NULL:
            raise MemoryError("cannot allocate the metrics")
        if sample_weight is not None:
            weights = sample_weight
            require(weights.shape[0] == X.shape[0], "sample_weight of metrics")
            judge.sample_weight = &weights[0]
        for i, metric in enumerate(metrics):
            describe_metric(&judge.metrics[i], metric)
            require(T is not None or (labels is not None and judge.metrics[i].are_classes),
                    "a metric")
            if metric.get("targets") is not None:
                targets = metric["targets"]
                require(targets.shape[0] == X.shape[0]
                        and targets.shape[1] == self.driver.net.n_out, "targets of a metric")
                judge.metrics[i].targets = &targets[0, 0]
        return [metric["name"] for metric in metrics]

    cdef int make_logs(self, Py_ssize_t until) except -1:
        """Allocate the logs of the epochs up to `until`: losses, metrics, learning rates."""
        cdef Py_ssize_t i, done = self.run.epoch, n = until - self.run.epoch
        self.run.until, self.began = until, done
        self.losses = np.empty(max(1, n))
        self.run.losses = &self.losses[0] - done
        if self.watch.has_validation:
            self.val_losses = np.empty(max(1, n))
            self.watch.val_losses = &self.val_losses[0] - done
        for i in range(self.watch.n_rules):
            if self.watch.rules[i].by_rows:
                self.row_losses = np.empty(max(1, n))
                self.watch.row_losses = &self.row_losses[0] - done
        if self.logs_rate:
            self.rates = np.empty(max(1, n))
            self.watch.rates = &self.rates[0] - done
        if self.watch.judge.n_metrics > 0:
            self.values = np.empty((max(1, n), self.watch.judge.n_metrics))
            self.watch.judge.values = &self.values[0, 0] - done * self.values.shape[1]
        if self.watch.validation_judge.n_metrics > 0:
            self.val_values = np.empty((max(1, n), self.watch.validation_judge.n_metrics))
            self.watch.validation_judge.values = (
                &self.val_values[0, 0] - done * self.val_values.shape[1])
        return 0

    def carry_out(self, Py_ssize_t n_epochs, int n_threads):
        """Train up to `n_epochs` more epochs, in the network's own buffers.

        `logs` has the finished epochs even if a signal handler raises an exception.
        """
        self.make_logs(min(self.run.epochs, self.run.epoch + n_epochs))
        if not allocate_run_memory(&self.run):
            raise MemoryError("the order, metrics or best weights of a fit don't fit in memory")
        if self.run.epoch == 0:
            begin_best(&self.run)
        self.driver.carry_out_whole(&self.run, n_threads)

    def logs(self):
        """Return the logged values (n,) of the n epochs that were trained last, by name."""
        cdef Py_ssize_t n = self.run.epoch - self.began
        found = {"loss": self.losses.base[:n].copy()}
        for i, name in enumerate(self.names):
            found[name] = self.values.base[:n, i].copy()
        if self.watch.has_validation:
            found["val_loss"] = self.val_losses.base[:n].copy()
            for i, name in enumerate(self.val_names):
                if name is not None:
                    found[f"val_{name}"] = self.val_values.base[:n, i].copy()
        if self.logs_rate:
            found["learning_rate"] = self.rates.base[:n].copy()
        return found

    def losses_by_rows(self):
        """Return for each of these epochs the mean over its rows of the loss of their batch."""
        return np.array(self.row_losses[:self.run.epoch - self.began])

    def scores(self, Py_ssize_t number):
        """Return the values of a metric of the validation rows in these epochs."""
        return np.array(self.val_values[:self.run.epoch - self.began, number])

    @property
    def epoch(self):
        """Number of finished epochs."""
        return self.run.epoch

    @property
    def is_over(self):
        """Whether the fit is complete: all epochs are trained, or it was stopped or diverged."""
        if self.run.ended == NOT_YET:  # a fit of 0 epochs, too, has logs once it is carried out
            return self.run.losses != NULL and self.run.epoch >= self.run.epochs
        return self.run.ended == STOPPED or self.has_diverged

    @property
    def ended(self):
        """Why the fit ended before its last epoch, a value of ENDS; None if it did not."""
        return ENDS[self.run.ended]

    @property
    def has_diverged(self):
        """Whether the fit ended because a loss was not finite, in a step or after an epoch."""
        return has_diverged(&self.run)

    @property
    def ran_out_of_memory(self):
        """Whether the fit ended because memory could not be allocated."""
        return self.run.ended == NO_MEMORY

    @property
    def failure(self):
        """(loss that is not finite, whether only the penalties are not, number of the step in its
        epoch, learning rate)."""
        return (self.run.last_loss, self.run.overflowed, self.run.failed_step,
                self.run.failed_rate)

    def state_of_rules(self):
        """Return the state of each rule, a dict of its fields."""
        cdef Py_ssize_t i
        return [state_of_rule(&self.watch.rules[i]) for i in range(self.watch.n_rules)]

    def best_parameters(self, Py_ssize_t number):
        """Return the parameters of a rule's best epoch, as from `Parameters.read`, or None."""
        cdef const Rule *rule = &self.watch.rules[number]
        if rule.best_parameters == NULL or (rule.kind == STOPS and rule.best_epoch < 0):
            return None
        return read_block(&self.driver.net, rule.best_parameters)


cdef void draw_locked(Run *run) noexcept with gil:
    """Draw an order while holding the lock on the generator."""
    cdef object lock = (<WholeFit>run.drawer).lock, interrupt = None
    while True:
        try:
            lock.acquire()
            break
        except BaseException as error:  # from a signal handler, before the lock was taken
            interrupt = error
    draw_order(run.generator, run.order, run.rows.n)
    lock.release()
    if interrupt is not None:
        (<WholeFit>run.drawer).driver.pending = interrupt


cdef bint poll(void *owner) noexcept with gil:
    """Handle signals and report ended members; return whether an exception ends the call."""
    try:
        PyErr_CheckSignals()
        (<MemberTraining>owner).report()
    except BaseException as error:
        (<MemberTraining>owner).pending = error
    return (<MemberTraining>owner).pending is not None


cdef class MemberTraining:
    """Carries out whole fits, its members, on several threads, one fit after another on each.

    `report(numbers)` is called from time to time, on the calling thread, with the indices in `fits`
    of the members that have ended since the last report. An exception from `report`, or from a
    signal handler, ends the call. Members in progress then return to their state before the call,
    and members that have ended since the last report are not reported.
    """

    cdef Members work
    cdef list fits
    cdef object reporter, pending
    cdef Py_ssize_t reported
    cdef set claimed              # indices of members whose networks are claimed

    def __cinit__(self, list fits, report, bint stops_at_divergence, int n_threads):
        cdef Py_ssize_t i, n = len(fits)
        cdef WholeFit fit
        self.fits, self.reporter, self.claimed = fits, report, set()
        self.work.n, self.work.stops_at_divergence = n, stops_at_divergence
        self.work.all = <Member *>calloc(max(1, n), sizeof(Member))
        self.work.finished = <Py_ssize_t *>calloc(max(1, n), sizeof(Py_ssize_t))
        self.work.buffers = <MemberBuffers *>calloc(n_threads, sizeof(MemberBuffers))
        if self.work.all == NULL or self.work.finished == NULL or self.work.buffers == NULL:
            raise MemoryError("cannot allocate the members")
        self.work.poll, self.work.owner = poll, <void *>self
        for i in range(n):
            fit = fits[i]
            self.work.finished[i] = -1
            self.add(&self.work.all[i], fit)

    cdef int add(self, Member *member, WholeFit fit) except -1:
        fit.make_logs(fit.run.epochs)
        fit.run.interrupted, fit.run.owner = check_signals, <void *>&self.work
        fit.run.keep = member.kept = &fit.kept
        member.run, member.first_moment, member.dropped = &fit.run, fit.first_moment, -1
        plan_run(&fit.run)
        return 0

    def __dealloc__(self):
        free(self.work.all)
        free(self.work.finished)
        free(self.work.buffers)

    cdef list ended(self):
        """Release the members that have ended since the last report; return their indices."""
        cdef list numbers = []
        cdef Py_ssize_t index
        while self.reported < self.work.n:
            index = fastnn_load(&self.work.finished[self.reported])
            if index < 0:
                break
            self.release(index)
            self.take_pending(self.fits[index])
            if self.work.all[index].dropped >= 0:
                (<WholeFit>self.fits[index]).dropped = self.work.all[index].dropped
            (<WholeFit>self.fits[index]).seconds = self.work.all[index].seconds
            numbers.append(index)
            self.reported += 1
        return numbers

    cdef void take_pending(self, WholeFit fit) noexcept:
        """Take over the exception that a signal handler raised while a member drew an order."""
        if fit.driver.pending is not None:
            self.pending, fit.driver.pending = fit.driver.pending, None

    cdef int report(self) except -1:
        self.reporter(self.ended())
        return 0

    cdef int claim(self, Py_ssize_t index) except -1:
        """Claim a member's network for the threads of the pool, which change it."""
        cdef Driver driver = (<WholeFit>self.fits[index]).driver
        driver.claim()
        fastnn_lend(&driver.net.claim)
        self.claimed.add(index)
        return 0

    cdef int release(self, Py_ssize_t index) except -1:
        """Release a member's network after the member has ended."""
        self.claimed.remove(index)
        (<WholeFit>self.fits[index]).driver.release()
        return 0

    cdef int carry_out(self, int n_threads) except -1:
        cdef Py_ssize_t index
        cdef int rank
        try:
            for index in range(self.work.n):
                self.claim(index)
            self.work.caller = fastnn_thread()
            with nogil:
                fastnn_run(n_threads, members_task, &self.work)
            if self.pending is None:
                self.report()
            else:
                self.ended()
        finally:
            for index in list(self.claimed):
                self.release(index)
            for rank in range(n_threads):
                free_member_buffers(&self.work.buffers[rank])
        if self.pending is not None:
            raise self.pending
        return 0


def train_members(list fits, report, int n_threads, bint stops_at_divergence=False):
    """Carry out whole fits of several networks; see MemberTraining."""
    cdef MemberTraining training = MemberTraining(fits, report, stops_at_divergence, n_threads)
    training.carry_out(n_threads)


def metric_value(dict given, t, const real[:, ::1] y, w):
    """Return a metric of outputs y (n, n_out), without NaN, for n >= 1.

    Targets t are (n, n_out), or labels (n,) if they are classes. Weights w are (n, n_out) from 0 to
    1, or (n,) and also above 0, or None.
    """
    cdef const int64_t[::1] labels
    cdef const real[:, ::1] T
    cdef const double[::1] weights
    cdef double[::1] scratch = np.empty(metric_scratch_size(y.shape[0], y.shape[1]) + 1)
    cdef Judged rows
    cdef Metric metric
    memset(&rows, 0, sizeof(Judged))
    memset(&metric, 0, sizeof(Metric))
    require(y.shape[0] > 0 and y.shape[1] > 0 and t.shape[0] == y.shape[0], "y or t")
    rows.n, rows.n_out, rows.y, rows.scratch = y.shape[0], y.shape[1], &y[0, 0], &scratch[0]
    describe_metric(&metric, given)
    if metric.are_classes and t.ndim == 1:
        labels = t
        rows.labels = &labels[0]
    else:
        T = t
        require(T.shape[1] == y.shape[1], "t")
        rows.T = &T[0, 0]
    if w is not None:
        weights = w.reshape(-1)
        rows.n_weights = weights.shape[0] // rows.n
        require(rows.n_weights * rows.n == weights.shape[0]
                and rows.n_weights in (1, rows.n_out), "w")
        rows.w = &weights[0]
    return value_of(&metric, &rows)


# ---- calls that take arrays as they are ---------------------------------------------------------

cdef void drop_network(capsule) noexcept:
    """Drop the reference to the network that a deleted capsule held."""
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


cdef class Network(Driver):
    """A network as `MLP` holds it: parameters, runs, and calls for single batches."""

    cdef fastnn_model model       # for callers in C
    cdef public bint converts_targets   # targets are named labels, or fewer than the outputs
    cdef bint is_lent             # C code may use it until its MLP ends
    cdef Network lent_before      # a lent network whose place in an MLP this one has taken

    def __cinit__(self, *args, **rest):
        self.model.precision, self.model.net = &PRECISION, &self.net

    def take_place_of(self, Network other):
        """Replace a network in its MLP, and keep that one alive if C code may still use it."""
        self.lent_before = other if other.is_lent else other.lent_before

    def c_model(self):
        """Return a capsule that has the network as a fastnn_model and keeps it alive."""
        self.is_lent = True
        capsule = PyCapsule_New(&self.model, "fastnn.model", drop_network)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule

    cdef bint accept_rows(self, object X, Rows *rows) noexcept:
        """Describe the rows of X; return False if X must be converted or is not valid."""
        cdef Py_ssize_t n_in = self.net.n_in
        if not is_plain(X, 2) or cnp.PyArray_DIM(X, 1) != n_in or self.net.waits_for_data:
            return False
        describe_dense_rows(rows, cnp.PyArray_DIM(X, 0), <const real *>cnp.PyArray_DATA(X))
        return rows.n > 0 and inputs_fit(&self.net, rows.n, rows.X)

    cdef bint accept_targets(self, object y, Rows *rows) noexcept:
        """Describe the targets of the rows; return False if y must be converted or is not valid."""
        if self.converts_targets:
            return False
        if self.net.targets.labels:
            if not (cnp.PyArray_CheckExact(y) and cnp.PyArray_TYPE(y) == cnp.NPY_INT64
                    and cnp.PyArray_NDIM(y) == 1 and cnp.PyArray_ISCARRAY_RO(y)
                    and cnp.PyArray_DIM(y, 0) == rows.n):
                return False
            set_labels(rows, self.net.loss, <const int64_t *>cnp.PyArray_DATA(y))
        elif (is_plain_matrix(y, rows.n, self.net.n_out)
                or (self.net.n_out == 1 and is_plain(y, 1) and cnp.PyArray_DIM(y, 0) == rows.n)):
            set_real_targets(rows, self.net.loss, <const real *>cnp.PyArray_DATA(y))
        else:
            return False
        return targets_fit(&self.net, rows)

    def try_predict(self, X, out):
        """Predict into `out` or a new array; return it, or None if an argument needs conversion."""
        cdef Evaluation evaluation
        cdef cnp.npy_intp[2] shape
        if not self.accept_rows(X, &evaluation.rows):
            return None
        shape[0], shape[1] = evaluation.rows.n, self.net.n_out
        if out is None:
            out = cnp.PyArray_EMPTY(2, shape, REAL_TYPE(), False)
        elif not (is_plain_matrix(out, shape[0], shape[1]) and cnp.PyArray_ISWRITEABLE(out)
                  and not overlap(X, out)):
            return None
        evaluation.chunk_losses, evaluation.out = NULL, <real *>cnp.PyArray_DATA(out)
        self.infer(&evaluation, self.n_threads, INFERENCE)
        return out

    def try_step(self, X, y):
        """Make one update from all rows; return the loss, or None if an argument must be converted.

        A loss that is not finite raises FloatingPointError(loss, overflowed). `overflowed` says
        that only the penalties are not finite, which is known only after the update; otherwise
        nothing has changed.
        """
        cdef Run run
        self.begin(&run, self.n_threads)
        if not (self.accept_rows(X, &run.rows) and self.accept_targets(y, &run.rows)):
            return None
        run.batch = run.end = run.rows.n
        self.carry_out(&run, False)
        if run.ended == DIVERGED:
            raise FloatingPointError(run.last_loss, run.overflowed)
        return reduced(&self.net, run.loss, run.total)

    def try_fit(self, X, y, Py_ssize_t batch, Py_ssize_t epochs, generator):
        """Carry out a WholeFit of X and y and return it; None if an argument must be converted.

        `generator` draws the order of each epoch; with None, rows keep their order. The targets are
        copied.
        """
        cdef Rows rows
        cdef WholeFit fit
        if not (cnp.PyArray_CheckExact(y) and self.accept_rows(X, &rows)):
            return None
        y = y.copy()
        if not self.accept_targets(y, &rows):
            return None
        T, labels = (y.reshape(rows.n, -1), None) if rows.labels == NULL else (None, y)
        fit = WholeFit(self, (X, T, labels, None, None), generator=generator, batch=batch,
                       epochs=epochs)
        fit.carry_out(epochs, self.n_threads)
        return fit


# ---- functions of arrays: single parts of a step ------------------------------------------------

def forward_arrays(const real[:, ::1] z_prev, const real[:, ::1] W, const real[::1] b,
                   str activation, real parameter, real[:, ::1] a, real[:, ::1] z, isa=None):
    """a = z_prev @ W + b and z = h(a): z_prev (n, k), W (k, m), b (m,) or None, a and z (n, m)."""
    cdef Py_ssize_t n = z_prev.shape[0], k = W.shape[0], m = W.shape[1]
    cdef Parameters dense = Parameters(
        k, [specification(m, activation, parameter, b is not None)], isa=isa, tiny=False)
    cdef OwnBuffers memory = OwnBuffers(dense, n, 1, INFERENCE)
    cdef Buffers *buffers = &memory.buffers
    cdef Pass work
    require(z_prev.shape[1] == k and a.shape[0] == z.shape[0] == n, "z_prev, a or z")
    require(a.shape[1] == z.shape[1] == m, "a or z")
    dense.write([np.asarray(W)] if b is None else [np.asarray(W), np.asarray(b)])
    begin_pass(&work, &dense.net, buffers, 0, NULL)
    work.rows = n
    copy_to_panels(&dense.net, buffers, z_prev, buffers.stages[0].z_prev)
    multiply(dense.net.last, &buffers.stages[0], &work)
    copy_from_panels(&dense.net, buffers, buffers.stages[0].z, a)
    activate(dense.net.last, &buffers.stages[0], &work)
    copy_from_panels(&dense.net, buffers, buffers.stages[0].z, z)


def output_delta_arrays(const real[:, ::1] a, const real[:, ::1] t, str loss, loss_parameter,
                        str activation, real parameter, double[::1] losses, real[:, ::1] delta,
                        isa=None):
    """delta = dE/da at the output and the rows' losses: a, t, delta (n, m), losses (n,)."""
    cdef Py_ssize_t i, n = a.shape[0], m = a.shape[1]
    cdef Parameters dense = Parameters(
        1, [specification(m, activation, parameter, False)], isa=isa, tiny=False, loss=loss,
        loss_parameter=loss_parameter)
    cdef OwnBuffers memory = OwnBuffers(dense, n, 1, GRADIENTS)
    cdef Buffers *buffers = &memory.buffers
    cdef Pass work
    require(t.shape[0] == delta.shape[0] == losses.shape[0] == n, "t, delta or losses")
    require(t.shape[1] == delta.shape[1] == m
            and (loss_parameter is None or len(loss_parameter) == m), "t, delta or loss_parameter")
    begin_pass(&work, &dense.net, buffers, 0, dense.net.loss)
    work.rows = n
    copy_to_panels(&dense.net, buffers, a, buffers.stages[0].z)
    copy_to_panels(&dense.net, buffers, t, buffers.target)
    for i in range(n):
        buffers.weight[i] = 1
    if work.raw == NULL:
        activate(dense.net.last, &buffers.stages[0], &work)
    output_loss(&work)
    backward(&work, 0)
    copy_from_panels(&dense.net, buffers, buffers.stages[0].delta, delta)
    for i in range(n):
        losses[i] = buffers.loss[i]


def delta_arrays(const real[:, ::1] a, str activation, real parameter, const real[:, ::1] W,
                 const real[:, ::1] delta_next, real[:, ::1] delta, isa=None):
    """delta = (delta_next @ W.T) * h'(a): a, delta (n, k), W (k, m), delta_next (n, m)."""
    cdef Py_ssize_t n = a.shape[0], k = W.shape[0], m = W.shape[1]
    cdef list stages = [specification(k, activation, parameter, False),
                        specification(m, "identity", 0.0, False)]
    cdef Parameters layers = Parameters(1, stages, isa=isa, tiny=False)
    cdef OwnBuffers memory = OwnBuffers(layers, n, 1, GRADIENTS)
    cdef Buffers *buffers = &memory.buffers
    cdef Pass work
    require(a.shape[1] == delta.shape[1] == k and delta_next.shape[1] == m, "a, delta or W")
    require(delta_next.shape[0] == delta.shape[0] == n, "delta_next or delta")
    layers.write([np.zeros((1, k), DTYPE), np.asarray(W)])
    begin_pass(&work, &layers.net, buffers, 0, NULL)
    work.rows = n
    copy_to_panels(&layers.net, buffers, a, buffers.stages[0].z)
    activate(&layers.net.stages[0], &buffers.stages[0], &work)
    copy_to_panels(&layers.net, buffers, delta_next, buffers.stages[1].delta)
    work.few, work.scratch = n <= FEW_ROWS, buffers.scratch
    backward(&work, 0)
    copy_from_panels(&layers.net, buffers, buffers.stages[0].delta, delta)


cdef class LayerState(Parameters):
    """The weights, biases and moments of one layer, for `update`."""

    cdef readonly str rule

    def __cinit__(self, *args, **options):
        self.rule = options["optimizer"]

    def __reduce__(self):
        raise TypeError("the state of kernels.update can be neither pickled nor copied; train an "
                        "MLP, which can be")

    @classmethod
    def of(cls, n_in, n_out, str optimizer, dict hyper, real first_moment, isa=None):
        """Return the state of a layer (n_in, n_out), with initial moments."""
        cdef LayerState state = cls(n_in, [specification(n_out, "identity", 0.0, True)], isa=isa,
                                    tiny=False, optimizer=optimizer, hyper=hyper)
        if state.net.optimizer.n_moments > 0:
            state.fill_moment(1, first_moment)
        return state

    def update(self, real[:, ::1] W, real[::1] b, const real[:, ::1] z_prev,
               const real[:, ::1] delta, dict hyper=None):
        """dW = z_prev.T @ delta, db = delta.sum(0), and one step of the optimizer on W and b.

        `hyper`, if it is given, replaces the hyper-parameters for this and later updates.
        """
        cdef Py_ssize_t n = z_prev.shape[0], at = 0, stop
        cdef OwnBuffers memory = OwnBuffers(self, min(n, ROUND), 1, TRAINING, n > ROUND)
        cdef Buffers *buffers = &memory.buffers
        cdef Run run
        cdef ThreadState thread
        cdef Round round
        require(W.shape[0] == self.net.n_in and W.shape[1] == self.net.n_out
                and (b is None or b.shape[0] == self.net.n_out), "W or b")
        require(z_prev.shape[1] == self.net.n_in and delta.shape[1] == self.net.n_out
                and delta.shape[0] == n > 0, "z_prev or delta")
        biases = np.zeros(self.n_out, DTYPE) if b is None else np.asarray(b)
        memset(&run, 0, sizeof(Run))
        memset(&thread, 0, sizeof(ThreadState))
        memset(&round, 0, sizeof(Round))
        run.net, run.buffers = &self.net, buffers
        thread.size, thread.scratch = 1, buffers.scratch
        round.row_portions = round.tile_portions = 1
        self.claim()
        try:
            if hyper is not None:
                self.net.hyper = hyper_parameters(hyper)
            write_block(&self.net, [np.asarray(W), biases], self.net.arena)
            if self.net.step == 0:
                restart_average(&self.net)
            round.t, round.penalty_scale = self.net.step + 1, 1.0
            while at < n:
                stop = min(n, at + ROUND)
                round.rows, round.first, round.last = stop - at, at == 0, stop == n
                copy_to_panels(&self.net, buffers, z_prev[at:stop], buffers.stages[0].z_prev)
                copy_to_panels(&self.net, buffers, delta[at:stop], buffers.stages[0].delta)
                train_parameters(&run, NULL, &thread, &round)
                at = stop
            self.net.step += 1
            np.asarray(W)[...], biases = self.read()
        finally:
            self.release()
        if b is not None:
            np.asarray(b)[...] = biases


# ---- probes of the machine, and single functions ------------------------------------------------

def evaluate_function(str name, const real[::1] x, real[::1] out, isa=None):
    """Compute out = f(x) for a function of vmath.h; registry()["functions"] has the names."""
    cdef const fastnn_function *function = find_function(find_table(isa), name)
    cdef Py_ssize_t n = x.shape[0]
    cdef real *values = allocate(panels_of(n) * PANEL)
    try:
        require(out.shape[0] == n, "out")
        if n > 0:
            memcpy(values, &x[0], n * sizeof(real))
            function.run(panels_of(n) * PANEL, values, values)
            memcpy(&out[0], values, n * sizeof(real))
    finally:
        fastnn_free(values)


def peak_flops(double seconds, int n_threads, isa=None):
    """Return the peak rate of multiply-adds in registers, in flops per second, over `seconds`."""
    cdef Probe probe
    cdef double best = 0.0
    probe.ops, probe.rounds = find_table(isa), 1 << 17
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, probe_task, &probe)
        best = max(best, probe.operations / (perf_counter() - began))
    return best


def read_bandwidth(Py_ssize_t nbytes, double seconds, int n_threads, isa=None):
    """Return the peak rate at which all threads together read, in bytes per second: the best of
    about `seconds`. Each reads its own buffer of `nbytes` bytes, rounded up to 512, repeatedly."""
    cdef Reading reading
    cdef Py_ssize_t blocks = max(1, (nbytes + 511) // 512), size = blocks * 512
    cdef real *memory = allocate((blocks * 8 * <object>n_threads + n_threads) * PANEL)
    cdef double best = 0.0
    reading.ops, reading.data = find_table(isa), memory
    reading.sums = memory + blocks * 8 * PANEL * n_threads
    reading.reals, reading.passes = blocks * 8 * PANEL, max(1, (1 << 23) // size)
    stop = perf_counter() + seconds
    while best == 0.0 or perf_counter() < stop:
        began = perf_counter()
        with nogil:
            fastnn_run(n_threads, reading_task, &reading)
        taken = perf_counter() - began
        best = max(best, <double>size * reading.passes * n_threads / taken)
    fastnn_free(memory)
    return best


def core_latency(double seconds):
    """Return the nanoseconds that it takes to pass a number from one core to another, one way: the
    best of many tries in about `seconds`; NaN without a second thread, or if it gets no CPU."""
    cdef Bounce bounce
    cdef double stop = perf_counter() + seconds, best = float("nan")
    bounce.passes, bounce.timeout = 200, <int64_t>(1e9 * seconds)
    while True:
        bounce.ball = bounce.timed_out = 0
        with nogil:
            fastnn_run(2, bounce_task, &bounce)
        if not best <= bounce.ns:
            best = bounce.ns
        if perf_counter() >= stop:
            return best


def first_nonfinite(const real[::1] x):
    """Return the index of the first NaN or infinity, or -1."""
    return find_table(None).first_nonfinite(x.shape[0], &x[0]) if x.shape[0] > 0 else -1


ctypedef fused integer:
    int32_t
    int64_t


def columns_ascend(const integer[::1] indices, const int64_t[::1] indptr, Py_ssize_t n_columns):
    """Whether the columns of each sparse row are in range and ascend.

    Arrays in files may change at any time, so `indptr` is checked here, too.
    """
    cdef Py_ssize_t i, k, first, stop
    cdef bint fails = False
    for i in range(indptr.shape[0] - 1):
        first, stop = indptr[i], indptr[i + 1]
        if first == stop:
            continue
        if not 0 <= first < stop <= indices.shape[0]:
            return False
        for k in range(first + 1, stop):
            fails |= indices[k] <= indices[k - 1]
        if fails or indices[first] < 0 or indices[stop - 1] >= n_columns:
            return False
    return True
