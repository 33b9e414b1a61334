# The orders in which epochs take the rows: random permutations, drawn from a generator of seeds.pxd
# or, through its C interface, from a bit generator of NumPy, so that no GIL is needed. They are
# those of NumPy's Generator.permutation today; drawn here, they stay the same with every NumPy.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "numpy/random/bitgen.h" nogil:
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *state) noexcept nogil


cdef inline void draw_order(bitgen_t *generator, int64_t *order, Py_ssize_t n) noexcept nogil:
    """The numbers 0 to n - 1 in a random order (Fisher and Yates); n is below 2^32.

    A number up to i is drawn as the lowest bits that i needs, until they are no more than i.
    """
    cdef Py_ssize_t i, lowest
    cdef uint32_t mask = 1, j
    cdef int64_t here
    for i in range(n):
        order[i] = i
    while mask < <uint64_t>n - 1:
        mask = 2 * mask + 1
    i = n - 1
    while i > 0:
        lowest = mask >> 1
        while i > lowest:
            j = generator.next_uint32(generator.state) & mask
            while j > i:
                j = generator.next_uint32(generator.state) & mask
            here = order[i]
            order[i] = order[j]
            order[j] = here
            i -= 1
        mask >>= 1
