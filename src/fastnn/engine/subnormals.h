/* subnormals.h - treat subnormal numbers as zero on this thread, temporarily.
 *
 * Moments whose gradient has become 0 (of a dead relu unit, of an input that is always 0) shrink by
 * a factor in each step until they are subnormal, and remain so. Arithmetic on subnormal numbers is
 * several times slower (measured: twice the time of Adam's whole update on a Zen 4). Every flush
 * must be followed by a restore, because the mode belongs to the calling program. */
#ifndef FASTNN_SUBNORMALS_H
#define FASTNN_SUBNORMALS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* Returns the mode from before, for fastnn_restore_subnormals. */
static inline uint64_t fastnn_flush_subnormals(void) {
    enum { DENORMALS_ARE_ZERO = 1 << 6, FLUSH_TO_ZERO = 1 << 15 };
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | DENORMALS_ARE_ZERO | FLUSH_TO_ZERO);
    return before;
}

static inline void fastnn_restore_subnormals(uint64_t before) { _mm_setcsr((unsigned)before); }

#elif defined(__aarch64__)

static inline uint64_t fastnn_flush_subnormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (uint64_t)1 << 24));
    return before;
}

static inline void fastnn_restore_subnormals(uint64_t before) {
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
}

#else

static inline uint64_t fastnn_flush_subnormals(void) { return 0; }

static inline void fastnn_restore_subnormals(uint64_t before) { (void)before; }

#endif

#endif
