/* A claim that one thread at a time can hold: a flag in a struct, 0 while it is free. Not here:
 * waiting. A caller that does not get the claim returns an error to the user. */
#ifndef FASTNN_CLAIM_H
#define FASTNN_CLAIM_H

#include "pool.h"

#include <stdbool.h>

/* Claims that this thread holds, of any struct. */
static _Thread_local int fastnn_held;

/* Take the claim; false if another thread holds it. The flag has the number of forks until then: a
 * claim from before a fork is that of a thread that this process does not have, unless it is of the
 * thread that forked. That one may have been amid a call, in a signal handler. */
static inline bool fastnn_claim(int *flag) {
    int mine = fastnn_forks() + 1, holder = 0;
    while (!__atomic_compare_exchange_n(flag, &holder, mine, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
        if (holder == mine || (holder != 0 && fastnn_held > 0)) return false;
    fastnn_held++;
    return true;
}

/* Give it up. The next thread that takes it sees everything that this one has written. */
static inline void fastnn_release(int *flag) {
    fastnn_held--;
    __atomic_store_n(flag, 0, __ATOMIC_RELEASE);
}

#endif
