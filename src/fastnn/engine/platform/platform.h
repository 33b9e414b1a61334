/* platform.h - what the engine needs from the operating system: clock, CPUs, threads, forks,
 * memory, and floating-point modes, of which a C library may handle only a part. posix.c (Linux,
 * macOS and others) and windows.c implement it; the build selects one of them. Not here: mutexes
 * and conditions, which are those of POSIX threads on every system (mingw-w64 has winpthreads);
 * instructions of the CPU (simd/, subnormals.h). */
#ifndef FASTNN_PLATFORM_H
#define FASTNN_PLATFORM_H

#include <fenv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The time of a monotonic clock, in nanoseconds. */
int64_t fastnn_now_ns(void);

/* Let this thread sleep for about `ns` nanoseconds, less if a signal arrives. */
void fastnn_sleep_ns(int64_t ns);

/* The number of CPUs that this thread, and a thread that it creates now, may run on. */
int fastnn_cpus_available(void);

/* The CPU that this thread runs on; -1 where fastnn_leave_cpu cannot move it (all but Linux). */
int fastnn_current_cpu(void);

/* Move this thread off a CPU, if it runs there and may run elsewhere. The system's scheduler takes
 * up to 0.25 s to separate two threads that never sleep. For some microseconds the CPU is missing
 * in the thread's affinity mask; a change of the mask by another thread would be lost then. */
void fastnn_leave_cpu(int cpu);

/* Let threads that wait for this thread's CPU run first, if there are any. */
void fastnn_yield_cpu(void);

/* Start a detached thread; return false if the system refuses. It blocks all signals, which the
 * program's own threads handle, except those that report a fault of this thread (SIGSEGV and the
 * like): if these were blocked, the process would end before a handler could report the fault. */
bool fastnn_start_thread(void *(*run)(void *), void *argument, size_t stack_bytes);

/* Name this thread for debuggers and profilers, where names can be given. */
void fastnn_name_thread(const char *name);

/* A thread's rounding mode, its exception masks and its treatment of subnormal numbers. */
typedef struct {
    fenv_t environment;
    unsigned sse; /* MXCSR, which `environment` may lack (Windows) */
} fastnn_fp_modes;

/* Copy the modes of one thread to another: read them in the first, set them in the second. */
void fastnn_read_fp_modes(fastnn_fp_modes *modes);
void fastnn_set_fp_modes(const fastnn_fp_modes *modes);

/* Register a function that is called in the child after every fork, in the thread that forked. On a
 * system without forks it is never called. */
void fastnn_after_fork(void (*in_child)(void));

/* Whether this process may use the tile registers of AMX; asks the system, if it has to be asked.
 * Once it has agreed, it refuses alternate stacks for signals that are too small for these
 * registers, so ask only for a network that uses them. Call it on a CPU with AMX. */
bool fastnn_allow_tiles(void);

/* Allocate memory at a multiple of `alignment`, a power of two, without initializing it; NULL if
 * there is not enough. */
void *fastnn_allocate_raw(size_t alignment, size_t size);

/* Allocate zeroed memory for the kernels, aligned to a cache line; NULL if there is not enough.
 * Large blocks are on huge pages where the system has them (Linux), which avoids most misses of the
 * TLB. Measured on 1024-4096-1024, 100 MB of weights and moments: 6 % of a step. */
void *fastnn_allocate(size_t size);

/* Free memory that one of these two functions returned, or NULL. Do not use `free`, which on
 * Windows belongs to another allocator. */
void fastnn_free(void *memory);

#endif
