# Optimizers that average the parameters themselves (fastnn_optimizer.averages). Gradients are
# computed at the parameters; the network is evaluated at their average, which is the last moment.
#
# The two are exchanged when training begins and ends. During training (Net.in_training) block 0 of
# the arena has the parameters, where the update rule and the passes over a batch expect them. At
# all other times block 0 has the average, so that code which predicts, copies or writes parameters
# needs no special case. Not here: the moving average that can be kept beside any optimizer and
# leaves the parameters unchanged (gradients.pxd).

from libc.string cimport memcpy

from fastnn.engine.gradients cimport renew_all_operands
from fastnn.engine.leaves cimport real
from fastnn.engine.net cimport Net


cdef inline void begin_training(Net *net) noexcept nogil:
    """Put the parameters into block 0; the calling thread must have claimed them."""
    if not net.optimizer.averages or net.in_training:
        return
    if net.step == 0:
        restart_average(net)
        renew_all_operands(net)
    else:
        exchange(net)
    net.in_training = True


cdef inline void end_training(Net *net) noexcept nogil:
    """Put the average back into block 0."""
    if net.in_training:
        net.in_training = False
        exchange(net)


cdef inline void restart_average(Net *net) noexcept nogil:
    """Restart the average from new parameters in block 0; operands are not renewed.

    The first moment, from which the average is computed, becomes a copy of them, too.
    """
    cdef size_t size = net.block * sizeof(real)
    if net.optimizer.averages:
        memcpy(net.arena + net.block, net.arena, size)
        memcpy(net.arena + net.optimizer.n_moments * net.block, net.arena, size)


cdef inline void exchange(Net *net) noexcept nogil:
    """Exchange the parameters and their average, and the operands of both."""
    swap_memory(net.arena, net.arena + net.optimizer.n_moments * net.block,
                net.block * sizeof(real))
    if net.operands != NULL:
        swap_memory(net.operands, net.operands + net.operands_block,
                    net.operands_block * sizeof(net.operands[0]))


cdef inline void swap_memory(void *one, void *other, size_t size) noexcept nogil:
    cdef char[4096] held
    cdef size_t at = 0, some
    while at < size:
        some = min(size - at, sizeof(held))
        memcpy(held, <char *>one + at, some)
        memcpy(<char *>one + at, <char *>other + at, some)
        memcpy(<char *>other + at, held, some)
        at += some
