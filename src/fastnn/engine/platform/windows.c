/* windows.c - platform.h on Windows, built by mingw-w64 or Clang with winpthreads. Windows has
 * no forks, and no signals that another thread could receive. */
#include "platform.h"

#include <malloc.h>
#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

int64_t fastnn_now_ns(void) {
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    int64_t whole = ticks.QuadPart / frequency.QuadPart, rest = ticks.QuadPart % frequency.QuadPart;
    return whole * 1000000000 + rest * 1000000000 / frequency.QuadPart;
}

void fastnn_sleep_ns(int64_t ns) { Sleep((DWORD)(ns / 1000000)); }

/* ---- CPUs ---- */

/* The CPUs in the process's affinity mask, which covers one group of at most 64 CPUs. */
int fastnn_cpus_available(void) {
    DWORD_PTR ours, all;
    SYSTEM_INFO info;
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all) && ours != 0)
        return __builtin_popcountll(ours);
    GetSystemInfo(&info);
    return (int)info.dwNumberOfProcessors;
}

int fastnn_current_cpu(void) { return -1; }

void fastnn_leave_cpu(int cpu) { (void)cpu; }

void fastnn_yield_cpu(void) { SwitchToThread(); }

/* ---- Threads ---- */

bool fastnn_start_thread(void *(*run)(void *), void *argument, size_t stack_bytes) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes)) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    bool created = !pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return created;
}

void fastnn_name_thread(const char *name) { (void)name; }

/* fesetenv of mingw-w64 does not set MXCSR, so MXCSR is copied separately. */
void fastnn_read_fp_modes(fastnn_fp_modes *modes) {
    fegetenv(&modes->environment);
#if defined(__x86_64__)
    modes->sse = _mm_getcsr();
#endif
}

void fastnn_set_fp_modes(const fastnn_fp_modes *modes) {
    fesetenv(&modes->environment);
#if defined(__x86_64__)
    _mm_setcsr(modes->sse);
#endif
}

void fastnn_after_fork(void (*in_child)(void)) { (void)in_child; }

bool fastnn_allow_tiles(void) { return false; }

/* ---- Memory ---- */

void *fastnn_allocate_raw(size_t alignment, size_t size) {
    return _aligned_malloc(size, alignment);
}

void *fastnn_allocate(size_t size) {
    enum { LINE = 64 };
    void *block = _aligned_malloc(size > 0 ? size : 1, LINE);
    return block == NULL ? NULL : memset(block, 0, size);
}

void fastnn_free(void *memory) { _aligned_free(memory); }
