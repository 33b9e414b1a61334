/* subnormals.h - treat subnormal numbers as zero on this thread, temporarily.
 *
 * Moments whose gradient has become 0 (of a dead relu unit, of an input that is always 0) shrink by
 * a factor in each step until they are subnormal, and remain so. Arithmetic on subnormal numbers is
 * several times slower (measured: twice the time of Adam's whole update on a Zen 4). Every flush
 * must be followed by a restore, because the mode belongs to the calling program.
 *
 * Only updates treat subnormal numbers as zero; outputs and deltas do not. Tiny networks would lose
 * time by two changes of the mode in each step, so they keep the mode of updates for whole steps.
 * Between fastnn_begin_watch and fastnn_end_watch, the CPU records whether a subnormal number
 * occurred. If one did, the results may differ from those of the general step. */
#ifndef FASTNN_SUBNORMALS_H
#define FASTNN_SUBNORMALS_H

#include <stdbool.h>
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

/* The record of the CPU: a subnormal operand, an underflow. */
#define FASTNN_SUBNORMAL_FOUND (1u << 1 | 1u << 4)

/* Treats results that are subnormal as zero, and returns the mode from before. Subnormal operands
 * are not treated as zero, since the CPU would not record them then. */
static inline uint64_t fastnn_begin_watch(void) {
    enum { FLUSH_TO_ZERO = 1 << 15 };
    unsigned before = _mm_getcsr();
    _mm_setcsr((before & ~FASTNN_SUBNORMAL_FOUND) | FLUSH_TO_ZERO);
    return before;
}

/* Restores the mode; returns whether an operand or a result was subnormal since begin_watch. */
static inline bool fastnn_end_watch(uint64_t before) {
    bool found = (_mm_getcsr() & FASTNN_SUBNORMAL_FOUND) != 0;
    _mm_setcsr((unsigned)before);
    return found;
}

#elif defined(__aarch64__)

static inline uint64_t fastnn_flush_subnormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (uint64_t)1 << 24) : "memory");
    return before;
}

static inline void fastnn_restore_subnormals(uint64_t before) {
    __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
}

#define FASTNN_SUBNORMAL_FOUND ((uint64_t)(1 << 7 | 1 << 3))

/* The mode is in the lower half of what begin_watch returns, the record in the upper half. */
static inline uint64_t fastnn_begin_watch(void) {
    uint64_t record, mode = fastnn_flush_subnormals();
    __asm__ volatile("mrs %0, fpsr" : "=r"(record));
    __asm__ volatile("msr fpsr, %0" : : "r"(record & ~FASTNN_SUBNORMAL_FOUND) : "memory");
    return record << 32 | (mode & 0xffffffff);
}

static inline bool fastnn_end_watch(uint64_t before) {
    uint64_t record;
    __asm__ volatile("mrs %0, fpsr" : "=r"(record) : : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(before >> 32));
    fastnn_restore_subnormals(before & 0xffffffff);
    return (record & FASTNN_SUBNORMAL_FOUND) != 0;
}

#else

static inline uint64_t fastnn_flush_subnormals(void) { return 0; }

static inline void fastnn_restore_subnormals(uint64_t before) { (void)before; }

static inline uint64_t fastnn_begin_watch(void) { return 0; }

static inline bool fastnn_end_watch(uint64_t before) { return (void)before, false; }

#endif

#endif
