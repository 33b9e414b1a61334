# The order of the rows in an epoch: a random permutation, drawn without the GIL from a generator of
# seeds.pxd, or from a bit generator of NumPy through its C interface. Permutations equal those of
# today's Generator.permutation; because they are drawn here, they do not change with NumPy's
# version.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "numpy/random/bitgen.h" nogil:
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *state) noexcept nogil


cdef inline void draw_order(bitgen_t *generator, int64_t *order, Py_ssize_t n) noexcept nogil:
    """Write the numbers 0 to n - 1 in random order (Fisher-Yates shuffle); n is below 2^32.

    A number up to i is drawn by rejection: as many random bits as i has, until their value is at
    most i.
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
