# The orders in which epochs take the rows: random permutations, drawn from a bit generator of NumPy
# through its C interface, so that no GIL is needed. They are those of NumPy's Generator.permutation
# today; drawn here, they stay the same with every NumPy.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "numpy/random/bitgen.h" nogil:
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *state) noexcept nogil
        uint64_t (*next_uint64)(void *state) noexcept nogil


cdef inline uint64_t up_to(bitgen_t *generator, uint64_t most, uint64_t mask) noexcept nogil:
    """A uniform number from 0 to `most`; `mask` has all bits that `most` needs."""
    cdef uint64_t drawn
    if most >> 32 == 0:
        drawn = generator.next_uint32(generator.state) & mask
        while drawn > most:
            drawn = generator.next_uint32(generator.state) & mask
    else:
        drawn = generator.next_uint64(generator.state) & mask
        while drawn > most:
            drawn = generator.next_uint64(generator.state) & mask
    return drawn


cdef inline void draw_order(bitgen_t *generator, int64_t *order, Py_ssize_t n) noexcept nogil:
    """The numbers 0 to n - 1 in a random order (Fisher and Yates)."""
    cdef Py_ssize_t i, j
    cdef uint64_t mask = 1
    for i in range(n):
        order[i] = i
    while mask < <uint64_t>n:
        mask = 2 * mask + 1
    for i in range(n - 1, 0, -1):
        while mask // 2 >= <uint64_t>i:
            mask //= 2
        j = <Py_ssize_t>up_to(generator, i, mask)
        order[i], order[j] = order[j], order[i]
