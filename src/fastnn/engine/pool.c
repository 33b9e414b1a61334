/* The thread pool; pool.h states what it promises. Here: waiting, the barrier, the workers, forks.
 * Not here: Python, how to split the work, or what differs between operating systems (platform/).
 *
 * Waiting. A thread waits at a gate: a counter that another thread will increment. Barriers come
 * every few microseconds and waking a sleeping thread takes 5 to 25, so a waiting thread polls the
 * counter for about as long as that and then sleeps. This never takes much longer than twice the
 * better of polling and sleeping. On a busy machine polling longer is worse, because ranks on the
 * same CPU keep each other from running: measured with another program on one of two CPUs, a step
 * took 55 us with polling for 50 us, and 33 us with 20. A team with more ranks than CPUs, some of
 * which must share a CPU, does not poll.
 *
 * Barriers. A barrier is a count of arrivals and a gate, which the last rank to arrive steps. A
 * task ends with a barrier, too, but workers arrive there without waiting and go back to their own
 * gates. Each worker has its own, so that a team of two does not wake a pool of sixteen.
 *
 * Portions. A rank that is done with its own work before a barrier takes portions of others' work:
 * a CPU may be slower than another, or be taken away for a while. The number of portions that have
 * been taken from a rank is stored with the number of the interval between two barriers, so nothing
 * has to be reset at a barrier.
 *
 * Ownership. Each library that this is linked into (one for each precision) has one pool, created
 * at its first use and never freed: the workers are detached and sleep until the process ends. The
 * thread that sets `busy` owns the pool for one task. A thread that finds `busy` set works alone
 * instead of waiting. The bits are the same for any team, so a task may even call fastnn_run.
 *
 * Forks. A child has the memory but not the workers, and perhaps locks that a lost thread held. It
 * therefore abandons the pool with its locks, and creates another one when it needs it.
 *
 * Placement. Two ranks that the system has put on one CPU take turns instead of working at the same
 * time. Linux often puts a thread that it wakes on the CPU of the thread that woke it, even if
 * another is idle. So a woken rank leaves that CPU, which the rank that woke it yields for that
 * moment, and waiting ranks poll until the woken rank has moved: if they slept, they would be woken
 * on a wrong CPU in turn. Measured with teams of two on a virtual machine (Zen 4), in fits of some
 * milliseconds after pauses: 0.9 ms a step instead of 1.4 (784-256-128-10, 128 rows), 18 us instead
 * of 90 (64-128-10, 32 rows). A team that does not poll leaves placement to the system.
 *
 * Floating-point modes. Each thread has its own rounding mode and treatment of subnormals, and a
 * worker would keep those from when it was created. It adopts the caller's at the start of every
 * task instead. */
#include "pool.h"

#include "platform/platform.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LINE = 128,      /* a cache line, or two: x86 fetches them in pairs, some ARM have 128 bytes */
    SPIN_NS = 20000, /* by the clock, since a pause lasts 10 to 150 cycles depending on the CPU */
    PARTING_NS = 300000, /* woken ranks move to other CPUs: 40 to 130 us were measured */
    POLLS = 64, /* reads of a gate between two reads of the clock: up to a few microseconds */
    STACK_BYTES = 1 << 20,
    TAKEN_BITS = 16, /* for the number of portions taken; the other 48 count intervals */
};

/* ---- Gates: wait until a counter changes ---- */

struct gate {
    atomic_uint steps; /* may wrap round */
    atomic_int sleepers;
    int stepped_on;        /* the CPU of the last thread that woke sleepers; guarded by `mutex` */
    pthread_mutex_t mutex; /* the mutex and `stepped` are for sleepers only */
    pthread_cond_t stepped;
};

static bool gate_init(struct gate *gate) {
    atomic_init(&gate->steps, 0);
    atomic_init(&gate->sleepers, 0);
    gate->stepped_on = -1;
    return !pthread_mutex_init(&gate->mutex, NULL) && !pthread_cond_init(&gate->stepped, NULL);
}

/* Let waiting threads continue; return whether any of them slept.
 *
 * This function writes `steps` and then reads `sleepers`; gate_sleep writes `sleepers` and then
 * reads `steps`. All four are sequentially consistent, so at least one side sees the other's write.
 * A sleeper that was seen holds the mutex until it either reads the new `steps` or waits on the
 * condition, where the broadcast reaches it. */
static bool gate_step(struct gate *gate) {
    atomic_fetch_add(&gate->steps, 1);
    if (atomic_load(&gate->sleepers) == 0) return false;
    pthread_mutex_lock(&gate->mutex);
    gate->stepped_on = fastnn_current_cpu();
    pthread_mutex_unlock(&gate->mutex);
    pthread_cond_broadcast(&gate->stepped);
    return true;
}

/* Sleep until `steps` differs from `seen`. Returns the CPU of the thread that ended the sleep. */
static int gate_sleep(struct gate *gate, unsigned seen) {
    pthread_mutex_lock(&gate->mutex);
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->steps) == seen) pthread_cond_wait(&gate->stepped, &gate->mutex);
    atomic_fetch_sub(&gate->sleepers, 1);
    int cpu = gate->stepped_on;
    pthread_mutex_unlock(&gate->mutex);
    return cpu;
}

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Poll `steps` up to POLLS times; return whether it differs from `seen`. */
static bool gate_has_stepped(struct gate *gate, unsigned seen) {
    for (int i = 0; i < POLLS; i++) {
        if (atomic_load_explicit(&gate->steps, memory_order_acquire) != seen) return true;
        pause_cpu();
    }
    return false;
}

/* Poll `steps` until the clock shows `until`; return whether it differs from `seen`. */
static bool gate_poll(struct gate *gate, unsigned seen, int64_t until) {
    while (fastnn_now_ns() < until)
        if (gate_has_stepped(gate, seen)) return true;
    return false;
}

/* ---- A team and its barrier ---- */

struct work {
    _Alignas(LINE) _Atomic(uint64_t) taken; /* interval << TAKEN_BITS | portions taken in it */
};

struct fastnn_team {
    int size, spin_ns;                   /* constant while a task runs */
    _Alignas(LINE) atomic_int arrived;   /* written by every rank */
    _Atomic(int64_t) waited_ns;          /* this and the next: written after a long wait only */
    _Atomic(int64_t) parting_until;      /* until then, woken ranks may still move to other CPUs */
    uint64_t interval;                   /* the number of barriers so far */
    _Alignas(LINE) struct gate all_here; /* polled by waiting ranks: on a line of its own */
    struct work works[FASTNN_MAX_THREADS]; /* of each rank; untouched beyond those that exist */
};

/* After ranks of a team that polls were woken: let them leave this CPU (see Placement above). */
static void team_let_part(fastnn_team *team) {
    int64_t until = fastnn_now_ns() + PARTING_NS;
    atomic_store_explicit(&team->parting_until, until, memory_order_relaxed);
    fastnn_yield_cpu();
}

/* Count one rank as arrived; return true for the last one, which lets the others continue. The team
 * is read first, because it may belong to the next task as soon as this rank is counted. */
static bool team_arrive(fastnn_team *team) {
    int size = team->size, spin_ns = team->spin_ns;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 < size) return false;
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    team->interval++;
    if (gate_step(&team->all_here) && spin_ns > 0) team_let_part(team);
    return true;
}

int fastnn_team_size(const fastnn_team *team) { return team->size; }

/* Wait at a barrier: poll for spin_ns, or until woken ranks have had time to move; then sleep. */
static void team_wait(fastnn_team *team, unsigned seen, int spin_ns) {
    int64_t began = fastnn_now_ns(), until = began;
    if (spin_ns > 0) {
        until = atomic_load_explicit(&team->parting_until, memory_order_relaxed);
        if (until < began + spin_ns) until = began + spin_ns;
    }
    if (!gate_poll(&team->all_here, seen, until)) {
        int cpu = gate_sleep(&team->all_here, seen);
        if (spin_ns > 0) fastnn_leave_cpu(cpu);
    }
    int64_t waited = fastnn_now_ns() - began;
    atomic_fetch_add_explicit(&team->waited_ns, waited, memory_order_relaxed);
}

/* The first polls of a wait do not read the clock, so they do not count as waiting. */
void fastnn_team_barrier(fastnn_team *team) {
    if (team->size == 1) return;
    int spin_ns = team->spin_ns;
    unsigned seen = atomic_load_explicit(&team->all_here.steps, memory_order_relaxed);
    if (team_arrive(team)) return;
    if (spin_ns > 0 && gate_has_stepped(&team->all_here, seen)) return;
    team_wait(team, seen, spin_ns);
}

/* Take one of the portions of a rank's work; return -1 if none is left. */
static int team_take_of(fastnn_team *team, int rank, int portions) {
    _Atomic(uint64_t) *taken = &team->works[rank].taken;
    uint64_t begun = team->interval << TAKEN_BITS;
    uint64_t seen = atomic_load_explicit(taken, memory_order_relaxed), next;
    do {
        next = seen < begun ? begun : seen;
        if (next - begun >= (uint64_t)portions) return -1;
    } while (!atomic_compare_exchange_weak_explicit(taken, &seen, next + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return (int)(next - begun);
}

int fastnn_team_take(fastnn_team *team, int rank, int portions) {
    for (int i = 0; i < team->size; i++) {
        int owner = (rank + i) % team->size, portion = team_take_of(team, owner, portions);
        if (portion >= 0) return owner * portions + portion;
    }
    return -1;
}

/* ---- The pool and its workers ---- */

struct worker {
    _Alignas(LINE) struct gate start; /* stepped once for each task that this worker joins */
    struct pool *pool;
    int rank;
};

struct pool {
    fastnn_team team;
    fastnn_task *task; /* from here to n_cpus: written by the owner while the workers wait */
    void *context;
    fastnn_fp_modes fp_modes;
    int caller_cpu;        /* where the caller ran when it began the task, or -1 */
    int n_workers, n_cpus; /* workers[0 .. n_workers-1] exist, and may run on n_cpus CPUs */
    atomic_bool busy;
    struct worker workers[FASTNN_MAX_THREADS - 1]; /* those not yet created use no memory */
};

static void *worker_main(void *argument) {
    struct worker *self = argument;
    struct pool *pool = self->pool;
    int spin_ns = 0;
    fastnn_name_thread("fastnn");
    for (unsigned tasks_done = 0;; tasks_done++) {
        if (!gate_poll(&self->start, tasks_done, fastnn_now_ns() + spin_ns))
            gate_sleep(&self->start, tasks_done);
        fastnn_set_fp_modes(&pool->fp_modes);
        if (pool->team.spin_ns > 0) fastnn_leave_cpu(pool->caller_cpu);
        spin_ns = pool->team.spin_ns;
        pool->task(pool->context, &pool->team, self->rank);
        team_arrive(&pool->team);
    }
    return NULL;
}

/* Create one more worker. */
static bool pool_add_worker(struct pool *pool) {
    struct worker *worker = &pool->workers[pool->n_workers];
    if (!gate_init(&worker->start)) return false;
    worker->pool = pool;
    worker->rank = pool->n_workers + 1;
    atomic_init(&pool->team.works[worker->rank].taken, 0);
    bool created = fastnn_start_thread(worker_main, worker, STACK_BYTES);
    pool->n_workers += created;
    pool->n_cpus = fastnn_cpus_available();
    return created;
}

static _Atomic(struct pool *) the_pool; /* null until the first use, and again in a forked child */
static atomic_int forks;

/* Called in the child of a fork. A rank that forked during a task is alone from here on. The pool
 * is not freed, because a lost thread may have been using any part of it. */
static void forget_pool(void) {
    struct pool *lost = atomic_exchange(&the_pool, NULL);
    if (lost != NULL) lost->team.size = 1;
    atomic_fetch_add(&forks, 1);
}

/* Called when the library is loaded, before there is a pool to forget. */
__attribute__((constructor)) static void handle_fork(void) { fastnn_after_fork(forget_pool); }

int fastnn_forks(void) { return atomic_load_explicit(&forks, memory_order_relaxed); }

/* Return the pool, created if there is none; NULL if that fails. There is no lock, which a fork
 * could leave locked: if two threads create a pool at the same time, the second frees its own. */
static struct pool *pool_get(void) {
    struct pool *current = atomic_load(&the_pool);
    if (current != NULL) return current;
    struct pool *made = fastnn_allocate_raw(LINE, sizeof *made);
    if (made == NULL || !gate_init(&made->team.all_here)) {
        fastnn_free(made);
        return NULL;
    }
    atomic_init(&made->team.arrived, 0);
    atomic_init(&made->team.waited_ns, 0);
    atomic_init(&made->team.parting_until, 0);
    atomic_init(&made->busy, false);
    made->team.interval = 1;
    atomic_init(&made->team.works[0].taken, 0);
    made->n_workers = made->n_cpus = 0;
    made->caller_cpu = -1;
    if (atomic_compare_exchange_strong(&the_pool, &current, made)) return made;
    fastnn_free(made);
    return current;
}

/* Form a team of up to n_threads ranks from a pool that the caller owns. */
static void pool_form_team(struct pool *pool, int n_threads) {
    int size = n_threads < FASTNN_MAX_THREADS ? n_threads : FASTNN_MAX_THREADS;
    while (pool->n_workers < size - 1 && pool_add_worker(pool));
    pool->team.size = size <= pool->n_workers ? size : pool->n_workers + 1;
    pool->team.spin_ns = pool->team.size <= pool->n_cpus ? SPIN_NS : 0;
    atomic_store_explicit(&pool->team.waited_ns, 0, memory_order_relaxed);
}

fastnn_attendance fastnn_run(int n_threads, fastnn_task *task, void *context) {
    static fastnn_team alone = {.size = 1};
    struct pool *pool = n_threads > 1 ? pool_get() : NULL;
    if (pool == NULL || atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
        task(context, &alone, 0);
        return (fastnn_attendance){.size = 1};
    }
    pool_form_team(pool, n_threads);
    pool->task = task;
    pool->context = context;
    pool->caller_cpu = fastnn_current_cpu();
    fastnn_read_fp_modes(&pool->fp_modes);
    bool any_slept = false;
    for (int i = 0; i < pool->team.size - 1; i++) any_slept |= gate_step(&pool->workers[i].start);
    if (any_slept && pool->team.spin_ns > 0) team_let_part(&pool->team);
    task(context, &pool->team, 0);
    fastnn_team_barrier(&pool->team); /* the workers arrive here when they are done */
    fastnn_attendance found = {.size = pool->team.size};
    found.waited_ns = atomic_load_explicit(&pool->team.waited_ns, memory_order_relaxed);
    atomic_store_explicit(&pool->busy, false, memory_order_release);
    return found;
}
