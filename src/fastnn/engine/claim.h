/* A claim on memory that threads share: one thread may change the memory, or any number of threads
 * may read it. A caller that does not get the claim does not wait, but returns an error to the
 * user. There is one exception: a thread that wants to change the memory waits for the threads that
 * read it, because they only make a copy. */
#ifndef FASTNN_CLAIM_H
#define FASTNN_CLAIM_H

#include "pool.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The upper half of `state` is fastnn_forks() at the time when it was written. A claim from before
 * a fork counts as free, because the thread that took it does not exist in this process. There is
 * one exception: the thread that forked, in a signal handler during a step, keeps its own claim.
 * The lower half of `state` has the number of readers and the two bits below. */
typedef struct {
    uint64_t state;
    const void *owner; /* the address of the owner's fastnn_held, while the claim is exclusive */
    bool is_lent;      /* other threads change the memory for the owner */
    uint64_t releases; /* how many times an exclusive claim has been released */
} fastnn_claim;

#define FASTNN_EXCLUSIVE 0x80000000U /* one thread holds it, to change the memory */
#define FASTNN_WANTED 0x40000000U    /* a thread waits for an exclusive claim: no new readers */

/* How many claims this thread holds exclusively. */
static _Thread_local int fastnn_held;

static inline bool fastnn_is_owner(const fastnn_claim *claim) {
    return fastnn_held > 0 && __atomic_load_n(&claim->owner, __ATOMIC_RELAXED) == &fastnn_held;
}

static inline uint64_t fastnn_fork_tag(void) { return (uint64_t)fastnn_forks() << 32; }

/* The lower half of a state; 0 if the thread that took the claim was lost in a fork. */
static inline uint32_t fastnn_users(const fastnn_claim *claim, uint64_t state, uint64_t era) {
    bool is_lost = (state ^ era) >> 32 != 0 && !fastnn_is_owner(claim);
    return is_lost ? 0 : (uint32_t)state;
}

static inline bool fastnn_replace(fastnn_claim *claim, uint64_t *state, uint64_t by, int order) {
    return __atomic_compare_exchange_n(&claim->state, state, by, false, order, __ATOMIC_RELAXED);
}

/* Take the claim exclusively; return false if any thread holds it. */
static inline bool fastnn_try_exclusive(fastnn_claim *claim) {
    uint64_t era = fastnn_fork_tag(), state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
    do {
        if ((fastnn_users(claim, state, era) & ~FASTNN_WANTED) != 0) return false;
    } while (!fastnn_replace(claim, &state, era | FASTNN_EXCLUSIVE, __ATOMIC_ACQUIRE));
    fastnn_held++;
    __atomic_store_n(&claim->owner, &fastnn_held, __ATOMIC_RELAXED);
    return true;
}

/* Wait for all readers and take the claim exclusively; return false if another thread holds it
 * exclusively. */
static inline bool fastnn_take_exclusive(fastnn_claim *claim) {
    while (!fastnn_try_exclusive(claim)) {
        uint64_t state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
        uint32_t users = fastnn_users(claim, state, fastnn_fork_tag());
        if (users & FASTNN_EXCLUSIVE) return false;
        if (users != 0) fastnn_replace(claim, &state, state | FASTNN_WANTED, __ATOMIC_RELAXED);
        sched_yield();
    }
    return true;
}

/* Let other threads change the memory for this thread, the owner of the claim. Until the owner
 * releases the claim, it may not read the memory either. */
static inline void fastnn_lend(fastnn_claim *claim) { claim->is_lent = true; }

/* Release an exclusive claim. The next thread that takes it sees all that this one has written. */
static inline void fastnn_release_exclusive(fastnn_claim *claim) {
    __atomic_store_n(&claim->owner, NULL, __ATOMIC_RELAXED);
    claim->is_lent = false;
    fastnn_held--;
    __atomic_store_n(&claim->releases, claim->releases + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&claim->state, fastnn_fork_tag(), __ATOMIC_RELEASE);
}

/* How many times an exclusive claim has been released: the memory is unchanged while this is. */
static inline uint64_t fastnn_releases(const fastnn_claim *claim) {
    return __atomic_load_n(&claim->releases, __ATOMIC_ACQUIRE);
}

/* Take the claim for reading; return false if another thread holds it exclusively or waits to. The
 * owner itself may read, in a signal handler between two updates, unless it has lent the claim. */
static inline bool fastnn_take_shared(fastnn_claim *claim) {
    uint64_t era = fastnn_fork_tag(), state = __atomic_load_n(&claim->state, __ATOMIC_RELAXED);
    uint32_t users;
    if (fastnn_is_owner(claim)) return !claim->is_lent;
    do {
        users = fastnn_users(claim, state, era);
        if (users & (FASTNN_EXCLUSIVE | FASTNN_WANTED)) return false;
    } while (!fastnn_replace(claim, &state, era | (users + 1), __ATOMIC_ACQUIRE));
    return true;
}

/* Release a claim taken for reading. Changes by the next owner come after all reads of this one. */
static inline void fastnn_release_shared(fastnn_claim *claim) {
    if (!fastnn_is_owner(claim)) __atomic_fetch_sub(&claim->state, 1, __ATOMIC_RELEASE);
}

#endif
