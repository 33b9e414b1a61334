/* A claim that one thread at a time can hold: a flag in a struct, 0 while it is free. Not here:
 * waiting. A caller that does not get the claim returns an error to the user. */
#ifndef FASTNN_CLAIM_H
#define FASTNN_CLAIM_H

#include <stdbool.h>

/* Take the claim; false if another thread holds it. */
static inline bool fastnn_claim(int *flag) {
    return __atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE) == 0;
}

/* Give it up. The next thread that takes it sees everything that this one has written. */
static inline void fastnn_release(int *flag) { __atomic_store_n(flag, 0, __ATOMIC_RELEASE); }

#endif
