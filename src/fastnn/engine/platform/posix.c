/* posix.c - platform.h on Linux, macOS and other systems with POSIX threads. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity, pthread_setname_np */
#endif
#include "platform.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#endif

int64_t fastnn_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fastnn_sleep_ns(int64_t ns) {
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&t, NULL);
}

/* ---- CPUs ---- */

int fastnn_cpus_available(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int fastnn_current_cpu(void) {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Restrict the thread's affinity to the other CPUs, then restore it at once. */
void fastnn_leave_cpu(int cpu) {
#if defined(__linux__)
    cpu_set_t all, others;
    if (cpu < 0 || sched_getcpu() != cpu || sched_getaffinity(0, sizeof all, &all)) return;
    others = all;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0 && !sched_setaffinity(0, sizeof others, &others))
        sched_setaffinity(0, sizeof all, &all);
#else
    (void)cpu;
#endif
}

void fastnn_yield_cpu(void) { sched_yield(); }

/* ---- Threads and forks ---- */

bool fastnn_start_thread(void *(*run)(void *), void *argument, size_t stack_bytes) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t blocked, before;
    if (pthread_attr_init(&attributes)) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    sigfillset(&blocked);
    for (int i = 0; i < 4; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    bool created = !pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return created;
}

void fastnn_name_thread(const char *name) {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#else
    (void)name;
#endif
}

void fastnn_read_fp_modes(fastnn_fp_modes *modes) { fegetenv(&modes->environment); }

void fastnn_set_fp_modes(const fastnn_fp_modes *modes) { fesetenv(&modes->environment); }

void fastnn_after_fork(void (*in_child)(void)) { pthread_atfork(NULL, NULL, in_child); }

/* Linux documents the request in Documentation/arch/x86/xstate.rst. */
bool fastnn_allow_tiles(void) {
#if defined(__linux__) && defined(__x86_64__)
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
    return false;
#endif
}

/* ---- Memory ---- */

void *fastnn_allocate_raw(size_t alignment, size_t size) {
    void *block;
    return posix_memalign(&block, alignment, size) ? NULL : block;
}

void *fastnn_allocate(size_t size) {
    enum { LINE = 64, HUGE_PAGE = 1 << 21, LARGE = 1 << 22 };
    size_t alignment = size < LARGE ? LINE : HUGE_PAGE;
    size_t whole = (size + alignment - 1) / alignment * alignment;
    void *block = fastnn_allocate_raw(alignment, whole);
    if (block == NULL) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    /* A request, which may fail. The end, less than a huge page, stays on small pages. */
    if (alignment == HUGE_PAGE) madvise(block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return memset(block, 0, size);
}

void fastnn_free(void *memory) { free(memory); }
