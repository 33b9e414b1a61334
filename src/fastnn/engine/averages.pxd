# Optimizers that average the parameters themselves (fastnn_optimizer.averages): gradients are taken
# at the parameters, the network is evaluated at their average, the last moment.
#
# The two change places: block 0 of the arena is the average, as whatever predicts, copies or writes
# parameters expects, except in training (Net.in_training), when the rule and the passes over a
# batch's rows find the parameters there. Not here: moving averages beside an optimizer, which leave
# the parameters as they are (gradients.pxd).

from libc.string cimport memcpy

from fastnn.engine.gradients cimport renew_all_operands
from fastnn.engine.leaves cimport real
from fastnn.engine.net cimport Net


cdef inline void begin_training(Net *net) noexcept nogil:
    """Block 0 has the parameters from here on. The thread has claimed them."""
    if not net.optimizer.averages or net.in_training:
        return
    if net.step == 0:
        restart_average(net)
        renew_all_operands(net)
    else:
        exchange(net)
    net.in_training = True


cdef inline void end_training(Net *net) noexcept nogil:
    """Block 0 has the average again."""
    if net.in_training:
        net.in_training = False
        exchange(net)


cdef inline void restart_average(Net *net) noexcept nogil:
    """The average and what it is made of begin at block 0, which has been written. Operands stay
    as they are."""
    cdef size_t size = net.block * sizeof(real)
    if net.optimizer.averages:
        memcpy(net.arena + net.block, net.arena, size)
        memcpy(net.arena + net.optimizer.n_moments * net.block, net.arena, size)


cdef inline void exchange(Net *net) noexcept nogil:
    """The parameters and their average change places, and so do the operands of both."""
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
