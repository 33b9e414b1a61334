/* What pool.h promises, checked from C, where ThreadSanitizer can watch: `make tsan`.
 *
 *     test_pool [DISPATCHES]
 *
 * Ends with 0, or with a line that names the promise that was broken. What the tasks write is plain
 * memory, so that the pool alone orders it. Here: the pool by itself. Not here: what is computed
 * with it, and Python (test_threads.py). */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* pthread_sigmask in -std=c11, too */
#endif
#include "claim.h"
#include "pool.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if !defined(_WIN32)
#include <signal.h>
#include <sys/wait.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* Windows has neither forks nor signals. A child of a process with threads may start no others
 * under ThreadSanitizer: no forks there. */
#if defined(_WIN32) || defined(__SANITIZE_THREAD__)
#define FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKS 0
#endif
#endif
#ifndef FORKS
#define FORKS 100
#endif
#if defined(_WIN32)
#define SIGNALS 0
#else
#define SIGNALS 1
#endif

enum {
    SPREAD = 16,            /* longs between the ranks' slots: a cache line, or two */
    TOO_LONG_SECONDS = 100, /* for a child; a lost wake-up then fails instead of waiting forever */
};

#define CHECK(promise)                                                                             \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- The task: every rank writes, all meet, every rank reads what all wrote ---- */

struct meeting {
    int rounds, delay; /* `delay`: how unevenly the ranks arrive, 0 for at once */
    long slots[FASTNN_MAX_THREADS * SPREAD];
    long size, sum; /* written by rank 0, read by the caller */
};

static void busy_for(int turns) { for (volatile int i = 0; i < turns; i++); }

static void meet(void *context, fastnn_team *team, int rank) {
    struct meeting *meeting = context;
    int size = fastnn_team_size(team);
    for (int round = 1; round <= meeting->rounds; round++) {
        long sum = 0;
        if (meeting->delay > 0) busy_for((rank * 7919 + round * 104729) % meeting->delay);
        meeting->slots[rank * SPREAD] += round + rank;
        fastnn_team_barrier(team);
        for (int i = 0; i < size; i++) sum += meeting->slots[i * SPREAD];
        CHECK(sum == (long)size * round * (round + 1) / 2 + (long)round * size * (size - 1) / 2);
        fastnn_team_barrier(team);
        if (rank == 0) meeting->sum = sum;
    }
    if (rank == 0) meeting->size = size;
}

/* Run it once; return the team's size, having checked that each rank ran once and no other did. */
static int run_meeting(int n_threads, int rounds, int delay) {
    struct meeting meeting = {.rounds = rounds, .delay = delay};
    fastnn_run(n_threads, meet, &meeting);
    CHECK(meeting.size >= 1 && meeting.size <= (n_threads > 1 ? n_threads : 1));
    for (int rank = 0; rank < FASTNN_MAX_THREADS; rank++) {
        long expected = (long)rounds * (rounds + 1) / 2 + (long)rounds * rank;
        CHECK(meeting.slots[rank * SPREAD] == (rank < meeting.size ? expected : 0));
    }
    return (int)meeting.size;
}

/* ---- One caller ---- */

static void check_teams(int dispatches) {
    static const int sizes[] = {1, 2, 3, 4, 8};
    for (int i = 0; i < 5; i++)
        for (int n = 0; n < dispatches / 5; n++) CHECK(run_meeting(sizes[i], 1, 0) == sizes[i]);
    for (int i = 0; i < 5; i++) CHECK(run_meeting(sizes[i], dispatches / 10, 0) == sizes[i]);
    CHECK(run_meeting(0, 1, 0) == 1);
    CHECK(run_meeting(-5, 1, 0) == 1);
}

/* Teams of changing size, whose ranks arrive in changing order, after pauses long and short: the
 * waiting ranks are found watching, sleeping, and falling asleep. */
static void check_rhythms(int dispatches) {
    for (int i = 0; i < dispatches; i++) {
        int size = 1 + i * 31 % 8;
        struct timespec pause = {.tv_nsec = 1000 * (i % 60)};
        CHECK(run_meeting(size, i % 4, i % 3 * 10000) == size);
        nanosleep(&pause, NULL);
    }
}

static void keep_waiting(void *context, fastnn_team *team, int rank) {
    atomic_int *arriving = context;
    if (rank > 0) {
        atomic_fetch_add(arriving, 1);
    } else {
        while (atomic_load(arriving) < fastnn_team_size(team) - 1) sched_yield();
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    fastnn_team_barrier(team);
}

/* Waits are counted on each rank that waits, long ones at least. */
static void check_attendance(void) {
    atomic_int arriving = 0;
    fastnn_attendance found = fastnn_run(3, keep_waiting, &arriving);
    CHECK(found.size == 3 && found.waited_ns > 0);
    found = fastnn_run(1, keep_waiting, &arriving);
    CHECK(found.size == 1 && found.waited_ns == 0);
}

/* ---- Portions ---- */

enum { PORTIONS = 5, INTERVALS = 40 };

struct harvest {
    int slow;                                     /* the rank that takes long for each portion */
    long taken[INTERVALS][8 * PORTIONS * SPREAD]; /* how often each portion was taken */
};

/* Each rank takes portions until none is left. */
static void take_portions(void *context, fastnn_team *team, int rank) {
    struct harvest *harvest = context;
    int size = fastnn_team_size(team), portion;
    for (int i = 0; i < INTERVALS; i++) {
        while ((portion = fastnn_team_take(team, rank, PORTIONS)) >= 0) {
            CHECK(portion < size * PORTIONS);
            harvest->taken[i][portion * SPREAD]++;
            if (rank == harvest->slow) busy_for(20000);
        }
        fastnn_team_barrier(team);
        for (int k = 0; rank == 0 && k < size * PORTIONS; k++)
            CHECK(harvest->taken[i][k * SPREAD] == 1);
        fastnn_team_barrier(team);
    }
}

/* Every portion is taken once, whichever rank is slow. */
static void check_portions(int turns) {
    static struct harvest harvest;
    for (int i = 0; i < turns; i++) {
        memset(&harvest, 0, sizeof harvest);
        harvest.slow = i % 5 - 1;
        fastnn_run(2 + i % 7, take_portions, &harvest);
    }
}

static void check_many(void) {
    CHECK(run_meeting(1000, 3, 0) <= FASTNN_MAX_THREADS);
    CHECK(run_meeting(2, 3, 0) == 2);
}

static void count_alone(void *context, fastnn_team *team, int rank) {
    CHECK(rank == 0 && fastnn_team_size(team) == 1);
    ++*(int *)context;
    fastnn_team_barrier(team);
}

static void nest(void *context, fastnn_team *team, int rank) {
    int count = 0;
    for (int i = 0; i < 3; i++) {
        fastnn_run(4, count_alone, &count);
        fastnn_team_barrier(team);
    }
    ((int *)context)[rank] = count;
}

static void check_nesting(void) {
    int counts[4] = {0};
    fastnn_run(4, nest, counts);
    for (int rank = 0; rank < 4; rank++) CHECK(counts[rank] == 3);
    CHECK(run_meeting(4, 10, 0) == 4);
}

/* ---- Several callers ---- */

static atomic_int teams_at_work;

static void meet_undisturbed(void *context, fastnn_team *team, int rank) {
    bool shared = fastnn_team_size(team) > 1;
    if (shared && rank == 0) CHECK(atomic_fetch_add(&teams_at_work, 1) == 0);
    meet(context, team, rank);
    if (shared && rank == 0) atomic_fetch_sub(&teams_at_work, 1);
}

static void *call_often(void *dispatches) {
    for (int i = 0; i < *(int *)dispatches; i++) {
        struct meeting meeting = {.rounds = 1 + i % 3};
        fastnn_run(1 + i % 4, meet_undisturbed, &meeting);
        long size = meeting.size, rounds = meeting.rounds;
        CHECK(meeting.sum == size * rounds * (rounds + 1) / 2 + rounds * size * (size - 1) / 2);
    }
    return NULL;
}

static void check_callers(int dispatches) {
    pthread_t callers[4];
    dispatches /= 4;
    for (int i = 0; i < 4; i++) CHECK(!pthread_create(&callers[i], NULL, call_often, &dispatches));
    for (int i = 0; i < 4; i++) CHECK(!pthread_join(callers[i], NULL));
    CHECK(run_meeting(4, 10, 0) == 4);
}

/* ---- Claims: one thread changes what it owns, or several read it ---- */

static fastnn_claim claim;
static long owned[2];    /* plain memory, which the claim alone orders */
static atomic_long sums; /* of reads, so that they are made */

static void *claim_often(void *turns) {
    intptr_t got = 0;
    for (int i = 0; i < *(int *)turns; i++) {
        if (!(i % 2 ? fastnn_try_exclusive(&claim) : fastnn_take_exclusive(&claim))) continue;
        CHECK(!fastnn_try_exclusive(&claim)); /* not even the owner, a second time */
        CHECK(!fastnn_take_exclusive(&claim));
        CHECK(fastnn_take_shared(&claim)); /* but the owner may read */
        CHECK(owned[0] == owned[1]);
        fastnn_release_shared(&claim);
        owned[0]++;
        owned[1]++;
        fastnn_release_exclusive(&claim);
        got++;
    }
    return (void *)got;
}

static void *read_often(void *turns) {
    for (int i = 0; i < *(int *)turns; i++) {
        if (!fastnn_take_shared(&claim)) continue;
        CHECK(!fastnn_try_exclusive(&claim));
        CHECK(owned[0] == owned[1]);
        atomic_fetch_add(&sums, owned[0]);
        fastnn_release_shared(&claim);
    }
    return NULL;
}

static void check_claims(int turns) {
    pthread_t callers[4], readers[2];
    intptr_t total = 0;
    for (int i = 0; i < 2; i++) CHECK(!pthread_create(&readers[i], NULL, read_often, &turns));
    for (int i = 0; i < 4; i++) CHECK(!pthread_create(&callers[i], NULL, claim_often, &turns));
    for (int i = 0; i < 4; i++) {
        void *got;
        CHECK(!pthread_join(callers[i], &got));
        total += (intptr_t)got;
    }
    for (int i = 0; i < 2; i++) CHECK(!pthread_join(readers[i], NULL));
    CHECK(total > 0 && owned[0] == total && owned[1] == total);
    CHECK(fastnn_take_shared(&claim) && fastnn_take_shared(&claim)); /* two readers, */
    CHECK(!fastnn_try_exclusive(&claim));
    fastnn_release_shared(&claim);
    CHECK(!fastnn_try_exclusive(&claim)); /* one, */
    fastnn_release_shared(&claim);
    CHECK(fastnn_try_exclusive(&claim)); /* none */
    fastnn_lend(&claim);
    CHECK(!fastnn_take_shared(&claim)); /* others change it for this one */
    fastnn_release_exclusive(&claim);
    CHECK(fastnn_take_shared(&claim));
    fastnn_release_shared(&claim);
}

/* ---- What a worker takes over from its caller, and what it leaves to it ---- */

struct surroundings {
    int rounding;
    unsigned control;     /* MXCSR without the flags that operations raise */
    bool sigint, sigsegv; /* whether they are blocked */
};

static unsigned control_word(void) {
#if defined(__x86_64__)
    return _mm_getcsr() & ~63U;
#else
    return 0;
#endif
}

static void record_surroundings(void *context, fastnn_team *team, int rank) {
    struct surroundings *seen = (struct surroundings *)context + rank;
    (void)team;
    *seen = (struct surroundings){.rounding = fegetround(), .control = control_word()};
#if !defined(_WIN32)
    sigset_t blocked;
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &blocked));
    seen->sigint = sigismember(&blocked, SIGINT);
    seen->sigsegv = sigismember(&blocked, SIGSEGV);
#endif
}

static void check_ranks_see(int rounding, unsigned control) {
    struct surroundings seen[4];
    fastnn_run(4, record_surroundings, seen);
    for (int rank = 0; rank < 4; rank++) {
        CHECK(seen[rank].rounding == rounding && seen[rank].control == control);
        CHECK(seen[rank].sigint == (SIGNALS && rank > 0) && !seen[rank].sigsegv);
    }
    CHECK(fegetround() == rounding && control_word() == control);
}

/* The workers are there already: what counts is the caller's state at the call. */
static void check_surroundings(void) {
    unsigned usual = control_word();
    CHECK(run_meeting(4, 1, 0) == 4);
    check_ranks_see(FE_TONEAREST, usual);
    CHECK(!fesetround(FE_UPWARD));
    check_ranks_see(FE_UPWARD, control_word());
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush to zero, subnormals are zero */
    CHECK(control_word() != usual);
    check_ranks_see(FE_UPWARD, control_word());
    _mm_setcsr(usual);
#endif
    CHECK(!fesetround(FE_TONEAREST));
    check_ranks_see(FE_TONEAREST, usual);
}

/* ---- Fork ---- */

#if !defined(_WIN32)
/* In a child of a fork: the parent's other threads do not exist there, to release their claims. */
static void check_claims_after_fork(void) {
    static fastnn_claim exclusive, shared, waited_for, mine;
    uint64_t now = (uint64_t)fastnn_forks() << 32;
    exclusive =
        (fastnn_claim){.state = now | FASTNN_EXCLUSIVE, .owner = &now}; /* of another thread */
    shared = (fastnn_claim){.state = now | 3};
    waited_for = (fastnn_claim){.state = now | FASTNN_WANTED | 1};
    CHECK(fastnn_try_exclusive(&mine));
    CHECK(!fastnn_take_exclusive(&exclusive) && !fastnn_take_shared(&exclusive));
    CHECK(!fastnn_take_shared(&waited_for));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(fastnn_take_exclusive(&exclusive) && fastnn_take_exclusive(&shared));
        CHECK(fastnn_take_shared(&waited_for));
        fastnn_release_shared(&waited_for);
        CHECK(fastnn_take_exclusive(&waited_for));
        CHECK(!fastnn_take_exclusive(&mine)); /* the thread that forked keeps its own claim */
        fastnn_release_exclusive(&mine);
        CHECK(fastnn_take_exclusive(&mine));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    fastnn_release_exclusive(&mine);
}

/* Fork; the child works in a team, and so does a child of its own, down to `depth`. */
static void check_child(int depth) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(TOO_LONG_SECONDS);
        CHECK(run_meeting(3, 5, 0) == 3);
        if (depth > 1) check_child(depth - 1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static atomic_bool stop;

static void *call_until_stopped(void *unused) {
    (void)unused;
    while (!atomic_load(&stop)) run_meeting(2, 20, 0);
    return NULL;
}

static void check_forks(void) {
    pthread_t caller;
    for (int i = 0; i < FORKS; i++) {
        check_child(2);
        CHECK(run_meeting(3, 5, 0) == 3);
    }
    CHECK(!pthread_create(&caller, NULL, call_until_stopped, NULL));
    for (int i = 0; i < FORKS; i++) check_child(1); /* during a task of another thread */
    atomic_store(&stop, true);
    CHECK(!pthread_join(caller, NULL));
    CHECK(run_meeting(3, 5, 0) == 3);
}
#endif

#if defined(__linux__)
/* Rank 0 stays on one CPU. Rank 1 wakes at the start of a task and at a barrier. */
typedef struct {
    int cpu, together; /* how often rank 1 ran on rank 0's CPU after it had been woken */
    atomic_int looks;
} placement;

static void look_where(placement *found, int rank, int looks) {
    if (rank == 0) { /* keep the CPU busy until rank 1 has looked */
        while (atomic_load(&found->looks) < looks);
        return;
    }
    found->together += sched_getcpu() == found->cpu;
    atomic_fetch_add(&found->looks, 1);
}

static void wake_twice(void *context, fastnn_team *team, int rank) {
    struct timespec millisecond = {.tv_nsec = 1000000};
    int looks = atomic_load(&((placement *)context)->looks) / 2 * 2;
    fastnn_team_barrier(team);
    look_where(context, rank, looks + 1);
    if (rank == 0) nanosleep(&millisecond, NULL); /* rank 1 falls asleep */
    fastnn_team_barrier(team);
    look_where(context, rank, looks + 2);
}

/* Whether this thread leaves its CPU if its affinity excludes it: some sandboxes ignore that. */
static bool threads_can_move(const cpu_set_t *all) {
    cpu_set_t others = *all;
    int cpu = sched_getcpu();
    CPU_CLR(cpu, &others);
    bool moved = !sched_setaffinity(0, sizeof others, &others) && sched_getcpu() != cpu;
    return !sched_setaffinity(0, sizeof *all, all) && moved;
}

/* A rank that was woken leaves the CPU of the rank that woke it. The system may move it back. */
static void check_placement(int turns) {
    struct timespec millisecond = {.tv_nsec = 1000000};
    placement found = {.cpu = -1};
    cpu_set_t all, one;
    CHECK(!sched_getaffinity(0, sizeof all, &all));
    fastnn_run(2, wake_twice, &found); /* creates the worker, which may run on all CPUs */
    if (CPU_COUNT(&all) < 2 || !threads_can_move(&all)) return;
    found.cpu = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(found.cpu, &one);
    CHECK(!sched_setaffinity(0, sizeof one, &one));
    found.together = 0;
    for (int i = 0; i < turns; i++) {
        nanosleep(&millisecond, NULL);
        fastnn_run(2, wake_twice, &found);
    }
    CHECK(!sched_setaffinity(0, sizeof all, &all));
    CHECK(found.together <= turns / 4); /* rank 1 looked twice in each turn */
}
#endif

int main(int argc, char **argv) {
    int dispatches = argc > 1 ? atoi(argv[1]) : 10000;
#if !defined(_WIN32)
    alarm(6 * TOO_LONG_SECONDS);
#endif
    check_teams(dispatches);
    check_rhythms(dispatches / 20);
    check_attendance();
    check_portions(dispatches / 500);
#if defined(__linux__)
    check_placement(50);
#endif
    check_nesting();
    check_callers(dispatches);
    check_claims(dispatches);
    check_surroundings();
#if !defined(_WIN32)
    check_claims_after_fork();
    if (FORKS > 0) check_forks();
#endif
    check_many();
    printf("%d dispatches to teams of 1, 2, 3, 4, 8, and all else: right\n", dispatches);
    return 0;
}
