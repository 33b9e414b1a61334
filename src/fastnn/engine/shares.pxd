# The rounds of a step, and how each is divided among the threads of a team: rows by their number,
# tiles of the parameters by the cost of their gradients. In long steps both are divided into
# portions: a thread that is done with its own takes portions that others have not begun, since one
# CPU may be slower than another for a while.
#
# Not here: the division of columns in the rows phase (row_phase.pxd), the size of the team
# (team.pxd), the counters of portions (pool.c).

from libc.stdint cimport int64_t, uint64_t

from fastnn.engine.clock cimport Clock, monotonic
from fastnn.engine.leaves cimport (
    fastnn_modes,
    fastnn_team,
    fastnn_team_size,
    fastnn_team_take,
    real,
)
from fastnn.engine.net cimport (
    FEW_ROWS,
    Columns,
    Net,
    Stage,
    chunk_rows,
    divides_columns,
    lowest_with_parameters,
    panels_of,
    round_rows,
    share,
)
from fastnn.engine.run cimport Run
from fastnn.engine.team cimport MOST_PORTIONS, PORTION_FLOPS, SEVERAL_CHUNKS

cdef struct Round:                # rows of a batch that go through a step together
    int64_t t                     # number of the step, from 1
    Py_ssize_t rows
    Py_ssize_t position           # of the first row, in the order of the rows
    Py_ssize_t before             # rows of the batch before the first row
    bint few                      # the batch has few rows (FEW_ROWS)
    double divisor                # the loss is the sum of the rows' losses, divided by it
    bint first, last              # whether it is the first or the last round of the batch
    double penalty_scale          # factor of the penalties in the batch's loss
    bint skips_zeros              # gradients skip zeros of the inputs, in strips of tiles
    bint by_columns               # threads divide the columns of some stages, not the rows
    bint postpones                # only rows of the lowest W that are in use are updated
    int row_portions              # portions of each thread's rows; 1: no thread takes others' rows
    int tile_portions             # the same for its tiles

cdef struct ThreadState:          # the private state of a thread of the team
    int rank, size
    real *scratch
    real *strips                  # memory for a Strip; NULL if no stage skips zeros
    Columns *columns              # index of the round's nonzeros or rows of W in use; or NULL
    Clock *clock                  # or NULL
    bint polls                    # it checks for signals within a step
    uint64_t modes                # floating-point modes, between steps

cdef struct TileShare:            # tiles of the parameters: those of a thread, or a portion of them
    bint by_columns               # each stage's columns are divided, not the tiles of all stages
    int team                      # number of threads
    int number, count             # this is share `number` of `count`
    Py_ssize_t first, stop        # its tiles, counted over all stages; unused if `by_columns`


# ---- rounds and portions ------------------------------------------------------------------------

cdef inline bint postpones_updates(const Run *run) noexcept nogil:
    """Whether a row of the lowest W is updated when it is read, not in each step."""
    return run.buffers.indexed != NULL and run.buffers.indexed.postpones


cdef inline ThreadState thread_state(const Run *run, fastnn_team *team, int rank) noexcept nogil:
    cdef ThreadState thread
    thread.modes = fastnn_modes()
    thread.rank, thread.size = rank, fastnn_team_size(team)
    thread.polls = run.polls and rank == 0
    thread.scratch = run.buffers.scratch + rank * run.buffers.scratch_size
    thread.strips = NULL
    if run.buffers.strips != NULL:
        thread.strips = run.buffers.strips + rank * run.buffers.strips_size
    thread.columns = NULL
    if run.buffers.nonzeros != NULL or postpones_updates(run):
        thread.columns = &run.buffers.indexed.columns[rank]
    thread.clock = NULL
    if run.clocks != NULL:
        thread.clock = run.clocks + rank
        thread.clock.since = monotonic()
    return thread


cdef inline Round round_from(const Run *run, int64_t t, Py_ssize_t position, Py_ssize_t before,
                             Py_ssize_t rows, double divisor, int size) noexcept nogil:
    """Return the round of step t that begins after `before` rows of a batch of `rows` rows from
    `position`, for a team of `size` threads."""
    cdef const Net *net = run.net
    cdef Py_ssize_t most = round_rows(net)
    cdef Round round
    round.t, round.position, round.before, round.divisor = t, position + before, before, divisor
    round.rows, round.few = min(most, rows - before), rows * net.members <= FEW_ROWS
    round.first, round.last = before == 0, rows - before <= most
    round.penalty_scale = 1.0
    if net.scales_penalties:
        round.penalty_scale = 1.0 / divisor if divisor > 0 else 0.0
    round.skips_zeros = run.skips_zeros  # read here by all threads; one may clear it later
    round.by_columns = run.by_columns and not round.skips_zeros and size > 1
    round.postpones = postpones_updates(run)
    round.row_portions = round.tile_portions = 1
    if size > 1:
        set_portions(run, &round, size)
    return round


cdef inline void set_portions(const Run *run, Round *round, int size) noexcept nogil:
    """Set the numbers of portions into which the rows and the tiles of each thread are divided.

    Rows are divided into portions of whole chunks, and only if each thread has several chunks,
    since the deltas of each portion read W again. Tiles are not divided if updates are postponed:
    each thread updates its own part of the rows of W in use.
    """
    cdef Py_ssize_t chunk = chunk_rows(run.net) * size
    cdef double flops = round.rows * run.net.row_flops
    cdef int most = <int>min(MOST_PORTIONS, flops / (PORTION_FLOPS() * size))
    if most < 2:
        return
    if round.rows >= SEVERAL_CHUNKS * chunk:
        round.row_portions = <int>min(most, (round.rows + chunk - 1) // chunk)
    if not round.postpones:
        round.tile_portions = most


cdef inline int next_portion(fastnn_team *team, const ThreadState *thread, int portions,
                             int before) noexcept nogil:
    """Return the portion of work that this thread does after portion `before`; -1 if none is left.

    `before` is -1 for the first portion. Each thread has `portions` portions. If that is 1, no
    thread takes the portion of another.
    """
    if portions > 1:
        return fastnn_team_take(team, thread.rank, portions)
    return thread.rank if before < 0 else -1


# ---- tiles --------------------------------------------------------------------------------------

cdef inline TileShare share_of_tiles(const Net *net, const Round *round, int team, int number,
                                     int portions) noexcept nogil:
    """Return portion `number` of the tiles, counted over all threads of a team, each of which has
    `portions`.

    With round.by_columns, a thread's tiles are those of the columns that it computes.
    """
    cdef TileShare part
    part.by_columns, part.team = round.by_columns, team
    part.number, part.count = number, team * portions
    part.first = first_tile(net, number, part.count, round)
    part.stop = first_tile(net, number + 1, part.count, round)
    return part


cdef inline (Py_ssize_t, Py_ssize_t) tiles_of(const TileShare *part, const Stage *stage,
                                              Py_ssize_t below) noexcept nogil:
    """Return the first tile of a share in a stage, and the tile after its last one; `below` tiles
    precede those of the stage."""
    cdef Py_ssize_t panels, down
    if not part.by_columns:
        return max(0, part.first - below), min(stage.n_tiles, part.stop - below)
    if divides_columns(stage, part.team):
        panels = panels_of(stage.n_out)
        down = stage.n_tiles // panels
        return (share(panels, part.number, part.count) * down,
                share(panels, part.number + 1, part.count) * down)
    return (share(stage.n_tiles, part.number, part.count),
            share(stage.n_tiles, part.number + 1, part.count))


cdef inline Py_ssize_t first_tile(const Net *net, int number, int count,
                                  const Round *round) noexcept nogil:
    """Return the first tile of share `number` of `count`, among all tiles; n_tiles if that is
    `count`."""
    cdef const Stage *stage
    cdef Py_ssize_t i, rows, before = 0, work = 0
    if number == 0 or number == count:
        return 0 if number == 0 else net.n_tiles
    for i in range(net.n_stages):
        work += tile_cost(net, &net.stages[i], round) * net.stages[i].n_tiles
    work = share(work, number, count)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        rows = tile_cost(net, stage, round)
        if work < stage.n_tiles * rows:
            return before + work // rows
        work -= stage.n_tiles * rows
        before += stage.n_tiles
    return net.n_tiles


cdef inline Py_ssize_t tile_cost(const Net *net, const Stage *stage,
                                 const Round *round) noexcept nogil:
    """Return the relative cost of a tile's gradient.

    It is half of the usual cost if zeros are skipped. It is 0 if the stage is frozen, or if updates
    of its W are postponed, since threads then divide the rows of W in use instead of the tiles.
    """
    if stage.frozen or (round.postpones and stage == lowest_with_parameters(net)):
        return 0
    return stage.tile_rows // 2 if round.skips_zeros and stage.skips_zeros else stage.tile_rows
