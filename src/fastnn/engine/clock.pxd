# The time that a thread spends in each phase of a step, for profiles. Not here: other clocks.

from fastnn.engine.leaves cimport fastnn_now_ns

cdef enum Phase:                  # of a training step
    INPUT
    FORWARD
    LOSS
    DELTA
    UPDATE
    WAIT
    N_PHASES

cdef struct Clock:
    double since                  # when the current phase began
    double[N_PHASES] seconds


cdef inline double monotonic() noexcept nogil:
    return 1e-9 * <double>fastnn_now_ns()


cdef inline void record_time(Clock *clock, Phase phase) noexcept nogil:
    """Add the time since the last call to this phase; do nothing without a clock."""
    cdef double now
    if clock == NULL:
        return
    now = monotonic()
    clock.seconds[<int>phase] += now - clock.since
    clock.since = now
