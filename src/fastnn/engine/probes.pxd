# Measurements of the machine: the peak rates at which a team computes multiply-adds and reads
# memory, and the time to pass a number from one core to another.

from libc.math cimport NAN
from libc.stdint cimport int64_t

from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_load,
    fastnn_now_ns,
    fastnn_ops,
    fastnn_store,
    fastnn_team,
    fastnn_team_size,
    real,
)

cdef struct Probe:
    const fastnn_ops *ops
    Py_ssize_t rounds
    double operations             # of all threads together


cdef inline void probe_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Probe *probe = <Probe *>context
    cdef real sink
    cdef double operations = probe.ops.multiply_adds(probe.rounds, &sink)
    if rank == 0:
        probe.operations = operations * fastnn_team_size(team)


cdef struct Reading:
    const fastnn_ops *ops
    const real *data
    Py_ssize_t reals, passes      # of each thread's buffer, and over it
    volatile real *sums           # stored, or the compiler would remove the reads


cdef inline void reading_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Reading *reading = <Reading *>context
    cdef Py_ssize_t i
    for i in range(reading.passes):
        reading.sums[rank * PANEL] = reading.ops.read_all(
            reading.reals, reading.data + rank * reading.reals)


cdef struct Bounce:               # a number that two threads pass back and forth
    Py_ssize_t ball               # the number: how many times it has been passed
    Py_ssize_t passes             # the measurement ends after so many passes
    Py_ssize_t timed_out          # written by rank 0 alone, so that no late write undoes it
    int64_t timeout               # nanoseconds to wait, in case the other thread gets no CPU
    double ns                     # time of one pass; NaN: not known


cdef inline void bounce_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Bounce *bounce = <Bounce *>context
    cdef Py_ssize_t turn = rank
    cdef int64_t began = fastnn_now_ns()
    if rank == 0:
        bounce.ns = NAN
    if rank > 1 or fastnn_team_size(team) == 1:
        return
    while turn < bounce.passes:
        if fastnn_load(&bounce.ball) == turn:
            fastnn_store(&bounce.ball, turn + 1)
            turn += 2
        elif fastnn_load(&bounce.timed_out):
            return
        elif rank == 0 and fastnn_now_ns() - began > bounce.timeout:
            fastnn_store(&bounce.timed_out, 1)
            return
    if rank == 0:
        bounce.ns = <double>(fastnn_now_ns() - began) / <double>bounce.passes
