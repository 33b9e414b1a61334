/* subnormals.h - treat subnormal numbers as zero on this thread, temporarily.
 *
 * Arithmetic on subnormal numbers is slower, on Intel's CPUs by more than a hundred cycles for each
 * vector. They are common in training: moments whose gradient has become 0 (of a dead relu unit, of
 * an input that is always 0) shrink until they are subnormal, and so are the deltas of a classifier
 * that is certain of its rows. (Measured on a Xeon, model 167: 64-128-10 with batches of 32 rows,
 * fitted until 5 % of the outputs are subnormal: 1.6 times the time of a step.) So training treats
 * them as zero, all of a step; predictions do not. Every flush must be followed by a restore,
 * because the mode belongs to the calling program. */
#ifndef FASTNN_SUBNORMALS_H
#define FASTNN_SUBNORMALS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* The floating-point modes of this thread. */
static inline uint64_t fastnn_modes(void) { return _mm_getcsr(); }

/* Returns the modes from before, for fastnn_restore_subnormals. */
static inline uint64_t fastnn_flush_subnormals(void) {
    enum { DENORMALS_ARE_ZERO = 1 << 6, FLUSH_TO_ZERO = 1 << 15 };
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | DENORMALS_ARE_ZERO | FLUSH_TO_ZERO);
    return before;
}

static inline void fastnn_restore_subnormals(uint64_t before) { _mm_setcsr((unsigned)before); }

#elif defined(__aarch64__)

static inline uint64_t fastnn_modes(void) {
    uint64_t modes;
    __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
    return modes;
}

static inline uint64_t fastnn_flush_subnormals(void) {
    uint64_t before = fastnn_modes();
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (uint64_t)1 << 24) : "memory");
    return before;
}

static inline void fastnn_restore_subnormals(uint64_t before) {
    __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
}

#else

static inline uint64_t fastnn_modes(void) { return 0; }

static inline uint64_t fastnn_flush_subnormals(void) { return 0; }

static inline void fastnn_restore_subnormals(uint64_t before) { (void)before; }

#endif

#endif
