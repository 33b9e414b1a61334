# Probes of the machine: how fast a team multiplies and adds, and reads, at best.

from fastnn.engine.leaves cimport PANEL, fastnn_ops, fastnn_team, fastnn_team_size, real

cdef struct Probe:
    const fastnn_ops *ops
    Py_ssize_t rounds
    double operations             # of one thread


cdef inline void probe_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Probe *probe = <Probe *>context
    cdef real sink
    cdef double operations = probe.ops.multiply_adds(probe.rounds, &sink)
    if rank == 0:
        probe.operations = operations * fastnn_team_size(team)


cdef struct Reading:
    const fastnn_ops *ops
    const real *data
    Py_ssize_t reals, passes      # of each thread, which has a buffer of its own
    volatile real *sums           # kept, or the compiler would drop the reading


cdef inline void reading_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    cdef Reading *reading = <Reading *>context
    cdef Py_ssize_t i
    for i in range(reading.passes):
        reading.sums[rank * PANEL] = reading.ops.read_all(
            reading.reals, reading.data + rank * reading.reals)
