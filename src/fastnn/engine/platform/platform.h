/* platform.h - what the engine asks of the operating system: clock, CPUs, threads, forks, memory,
 * and the modes of floating-point arithmetic, which a C library may know in part only.
 * posix.c (Linux, macOS and others) and windows.c implement it; the build takes the one that fits.
 * Not here: mutexes and conditions, which are POSIX threads' everywhere (mingw-w64 has
 * winpthreads); instructions of the CPU (simd/, subnormals.h). */
#ifndef FASTNN_PLATFORM_H
#define FASTNN_PLATFORM_H

#include <fenv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of a clock that nobody sets. */
int64_t fastnn_now_ns(void);

/* Let this thread sleep for about that long, less if a signal comes. */
void fastnn_sleep_ns(int64_t ns);

/* The CPUs that this thread, and so one that it creates now, may run on. */
int fastnn_cpus_available(void);

/* The CPU that this thread runs on, or -1 where it cannot be moved off it (all but Linux). */
int fastnn_current_cpu(void);

/* Move this thread off a CPU, if it runs there and may run elsewhere. The system itself takes up to
 * 0.25 s to part two threads that never sleep. */
void fastnn_leave_cpu(int cpu);

/* Start a thread that nobody joins; false if the system refuses. It leaves signals to the program's
 * own threads, but for those that report a fault of its own: blocked, they would end the process
 * before a handler could say where. */
bool fastnn_start_thread(void *(*run)(void *), void *argument, size_t stack_bytes);

/* Name this thread for debuggers and profilers, where names can be given. */
void fastnn_name_thread(const char *name);

/* How a thread rounds, which exceptions it masks, and whether subnormal numbers are zero to it. */
typedef struct {
    fenv_t environment;
    unsigned sse; /* MXCSR, where `environment` may be without it (Windows) */
} fastnn_fp_modes;

/* Give another thread the modes of this one: read them here, set them there. */
void fastnn_read_fp_modes(fastnn_fp_modes *modes);
void fastnn_set_fp_modes(const fastnn_fp_modes *modes);

/* Call a function in every child of a fork, in the thread that forked. Where no process can fork,
 * it is never called. */
void fastnn_after_fork(void (*in_child)(void));

/* Memory at a multiple of `alignment`, a power of two, with any content; NULL if there is none. */
void *fastnn_allocate_raw(size_t alignment, size_t size);

/* Zeroed memory for the kernels, on a cache line; large stretches are on huge pages where the
 * system has them (Linux), which saves most of the translation of addresses. Measured on
 * 1024-4096-1024, 100 MB of weights and moments: 6 % of a step. NULL if there is none. */
void *fastnn_allocate(size_t size);

/* Free what one of these two returned, or NULL. `free` is not for it: Windows keeps them apart. */
void fastnn_free(void *memory);

#endif
