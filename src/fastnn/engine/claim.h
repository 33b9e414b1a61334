/* A claim on memory that threads share: one thread may change it, or any number may read it. A
 * caller that does not get the claim returns an error to the user, and does not wait; only a thread
 * that wants to change waits for those that read, which take as long as a copy. */
#ifndef FASTNN_CLAIM_H
#define FASTNN_CLAIM_H

#include "pool.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The upper half of `state` is the number of forks until then: a claim from before a fork is that
 * of a thread that this process does not have, unless it is of the thread that forked, amid a step
 * in a signal's handler. The lower half has the number of readers and the two bits below. */
typedef struct {
    uint64_t state;
    const void *owner; /* the address of the owner's fastnn_held, while a thread has it alone */
    bool is_lent;      /* other threads change the memory for the owner */
    uint64_t left;     /* how many times it was left after it was taken alone */
} fastnn_claim;

#define FASTNN_ALONE 0x80000000U  /* one thread has it alone */
#define FASTNN_WANTED 0x40000000U /* a thread waits to have it alone: no further readers */

/* How many claims this thread has alone. */
static _Thread_local int fastnn_held;

static inline bool fastnn_is_owner(const fastnn_claim *claim) {
    return fastnn_held > 0 && __atomic_load_n(&claim->owner, __ATOMIC_RELAXED) == &fastnn_held;
}

static inline uint64_t fastnn_era(void) { return (uint64_t)fastnn_forks() << 32; }

/* The lower half of a state, 0 if it is from before a fork. */
static inline uint32_t fastnn_users(const fastnn_claim *claim, uint64_t state, uint64_t era) {
    bool is_lost = (state ^ era) >> 32 != 0 && !fastnn_is_owner(claim);
    return is_lost ? 0 : (uint32_t)state;
}

static inline bool fastnn_replace(fastnn_claim *claim, uint64_t *state, uint64_t by, int order) {
    return __atomic_compare_exchange_n(&claim->state, state, by, false, order, __ATOMIC_RELAXED);
}

/* Take the claim alone; false if any thread has it. */
static inline bool fastnn_try_alone(fastnn_claim *claim) {
    uint64_t era = fastnn_era(), state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
    do {
        if ((fastnn_users(claim, state, era) & ~FASTNN_WANTED) != 0) return false;
    } while (!fastnn_replace(claim, &state, era | FASTNN_ALONE, __ATOMIC_ACQUIRE));
    fastnn_held++;
    __atomic_store_n(&claim->owner, &fastnn_held, __ATOMIC_RELAXED);
    return true;
}

/* The same, once all readers have left; false if another thread has it alone. */
static inline bool fastnn_take_alone(fastnn_claim *claim) {
    while (!fastnn_try_alone(claim)) {
        uint64_t state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
        uint32_t users = fastnn_users(claim, state, fastnn_era());
        if (users & FASTNN_ALONE) return false;
        if (users != 0) fastnn_replace(claim, &state, state | FASTNN_WANTED, __ATOMIC_RELAXED);
        sched_yield();
    }
    return true;
}

/* Let other threads change the memory for this one, its owner, which may not read it then. */
static inline void fastnn_lend(fastnn_claim *claim) { claim->is_lent = true; }

/* Give it up. The next thread that takes it sees everything that this one has written. */
static inline void fastnn_leave_alone(fastnn_claim *claim) {
    __atomic_store_n(&claim->owner, NULL, __ATOMIC_RELAXED);
    claim->is_lent = false;
    fastnn_held--;
    __atomic_store_n(&claim->left, claim->left + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&claim->state, fastnn_era(), __ATOMIC_RELEASE);
}

/* A number that each change of the memory makes larger, once it is done. */
static inline uint64_t fastnn_times_left(const fastnn_claim *claim) {
    return __atomic_load_n(&claim->left, __ATOMIC_ACQUIRE);
}

/* Take the claim to read; false if another thread has it alone. A thread that has it alone itself
 * may read, too: a signal's handler, between two updates. */
static inline bool fastnn_take_shared(fastnn_claim *claim) {
    uint64_t era = fastnn_era(), state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
    uint32_t users;
    if (fastnn_is_owner(claim)) return !claim->is_lent;
    do {
        users = fastnn_users(claim, state, era);
        if (users & (FASTNN_ALONE | FASTNN_WANTED)) return false;
    } while (!fastnn_replace(claim, &state, era | (users + 1), __ATOMIC_ACQUIRE));
    return true;
}

/* Give that up. The next thread that has it alone changes nothing that this one has yet to read. */
static inline void fastnn_leave_shared(fastnn_claim *claim) {
    if (!fastnn_is_owner(claim)) __atomic_fetch_sub(&claim->state, 1, __ATOMIC_RELEASE);
}

#endif
