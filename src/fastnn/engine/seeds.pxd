# The random numbers of NumPy's default_rng, bit for bit: SeedSequence, which mixes a seed (M. E.
# O'Neill's seed_seq), and the generator PCG64 (O'Neill, HMC-CS-2014-0905). Making a generator here
# takes less than a microsecond, and its numbers do not change with NumPy's version. Not here:
# orders of rows (orders.pxd).

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    POOL = 4                      # 32-bit words that a seed is mixed into

cdef struct Seeds:
    uint32_t[POOL] pool
    uint32_t constant             # the hash constant, which changes with each word

cdef struct Pcg64:
    uint64_t high, low            # state
    uint64_t inc_high, inc_low
    bint has_half                 # `half` is the next 32-bit number
    uint32_t half


# ---- seeds --------------------------------------------------------------------------------------

cdef inline uint32_t hashed(Seeds *seeds, uint32_t value, uint32_t factor) noexcept nogil:
    value ^= seeds.constant
    seeds.constant *= factor
    value *= seeds.constant
    return value ^ (value >> 16)


cdef inline void mix_into(Seeds *seeds, Py_ssize_t i, uint32_t word) noexcept nogil:
    """Mix a word into word i of the pool."""
    cdef uint32_t value = (<uint32_t>0xca01f9dd * seeds.pool[i]
                           - <uint32_t>0x4973f715 * hashed(seeds, word, <uint32_t>0x931e8875))
    seeds.pool[i] = value ^ (value >> 16)


cdef inline void mix_seed(Seeds *seeds, const uint32_t *entropy, Py_ssize_t n,
                          uint32_t child) noexcept nogil:
    """Mix SeedSequence(entropy, spawn_key=(child,)); entropy has n words, the lowest first."""
    cdef Py_ssize_t i, j
    seeds.constant = <uint32_t>0x43b0d7e5
    for i in range(POOL):
        seeds.pool[i] = hashed(seeds, entropy[i] if i < n else 0, <uint32_t>0x931e8875)
    for i in range(POOL):
        for j in range(POOL):
            if i != j:
                mix_into(seeds, j, seeds.pool[i])
    for i in range(POOL, max(n, <Py_ssize_t>POOL) + 1):
        for j in range(POOL):
            mix_into(seeds, j, entropy[i] if i < n else child)


cdef inline uint64_t seed_word(Seeds *seeds, Py_ssize_t i) noexcept nogil:
    """SeedSequence.generate_state(..., uint64)[i]; call it for i = 0, 1, ... in this order."""
    cdef uint64_t low
    if i == 0:
        seeds.constant = <uint32_t>0x8b51f9dd
    low = hashed(seeds, seeds.pool[2 * i % POOL], <uint32_t>0x58f38ded)
    return low | <uint64_t>hashed(seeds, seeds.pool[(2 * i + 1) % POOL],
                                  <uint32_t>0x58f38ded) << 32


# ---- PCG64 --------------------------------------------------------------------------------------

cdef inline void seed_generator(Pcg64 *pcg, Seeds *seeds) noexcept nogil:
    cdef uint64_t high = seed_word(seeds, 0), low = seed_word(seeds, 1)
    cdef uint64_t inc_high = seed_word(seeds, 2), inc_low = seed_word(seeds, 3)
    pcg.inc_high, pcg.inc_low = inc_high << 1 | inc_low >> 63, inc_low << 1 | 1
    pcg.high = pcg.low = 0
    pcg.has_half, pcg.half = False, 0
    step(pcg)
    pcg.low += low
    pcg.high += high + (pcg.low < low)
    step(pcg)


cdef inline uint64_t upper_half(uint64_t a, uint64_t b) noexcept nogil:
    """The upper 64 bits of the product a * b."""
    cdef uint64_t mask = <uint64_t>0xffffffff
    cdef uint64_t al = a & mask, ah = a >> 32, bl = b & mask, bh = b >> 32
    cdef uint64_t middle = (al * bl >> 32) + (ah * bl & mask) + (al * bh & mask)
    return ah * bh + (ah * bl >> 32) + (al * bh >> 32) + (middle >> 32)


cdef inline void step(Pcg64 *pcg) noexcept nogil:
    """state = state * factor + inc, modulo 2^128."""
    cdef uint64_t factor_high = <uint64_t>2549297995355413924
    cdef uint64_t factor_low = <uint64_t>4865540595714422341
    cdef uint64_t high = (upper_half(pcg.low, factor_low) + pcg.high * factor_low
                          + pcg.low * factor_high)
    pcg.low = pcg.low * factor_low + pcg.inc_low
    pcg.high = high + pcg.inc_high + (pcg.low < pcg.inc_low)


cdef inline uint64_t next_uint64(Pcg64 *pcg) noexcept nogil:
    cdef uint64_t value
    cdef int turn
    step(pcg)
    value, turn = pcg.high ^ pcg.low, <int>(pcg.high >> 58)
    return value >> turn | value << (-turn & 63)


cdef inline uint32_t next_uint32(void *state) noexcept nogil:
    cdef Pcg64 *pcg = <Pcg64 *>state
    cdef uint64_t value
    if pcg.has_half:
        pcg.has_half = False
        return pcg.half
    value = next_uint64(pcg)
    pcg.has_half, pcg.half = True, <uint32_t>(value >> 32)
    return <uint32_t>(value & <uint64_t>0xffffffff)


cdef inline double uniform(Pcg64 *pcg, double low, double width) noexcept nogil:
    """Draw a number between low and low + width as Generator.uniform does."""
    return low + width * ((next_uint64(pcg) >> 11) * (1.0 / 9007199254740992.0))
