/* A claim that one thread at a time can have: a flag in a struct, 0 while it is free. Not here:
 * waiting for one; whoever doesn't get it says so to the user. */
#ifndef FASTNN_CLAIM_H
#define FASTNN_CLAIM_H

#include <stdbool.h>

/* Take it; false if another thread has it. */
static inline bool fastnn_claim(int *flag) {
    return __atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE) == 0;
}

/* What was done while one had it is then visible to whoever has it next. */
static inline void fastnn_release(int *flag) { __atomic_store_n(flag, 0, __ATOMIC_RELEASE); }

#endif
