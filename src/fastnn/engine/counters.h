/* Counters and flags that the threads of a team share while each does its own work, and an identity
 * of each thread. Not here: claims (claim.h), the team and its barrier (pool.h). */
#ifndef FASTNN_COUNTERS_H
#define FASTNN_COUNTERS_H

#include <stddef.h>

/* Return a counter's value and add 1 to it: no two threads get the same number. */
static inline ptrdiff_t fastnn_take_next(ptrdiff_t *counter) {
    return __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL);
}

/* Store a number that other threads read with fastnn_load. A thread that reads the new value also
 * sees everything that was written before it. */
static inline void fastnn_store(ptrdiff_t *number, ptrdiff_t value) {
    __atomic_store_n(number, value, __ATOMIC_RELEASE);
}

static inline ptrdiff_t fastnn_load(const ptrdiff_t *number) {
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static _Thread_local char fastnn_here;

/* An address that identifies the calling thread: no two running threads have the same one. */
static inline void *fastnn_thread(void) { return &fastnn_here; }

#endif
