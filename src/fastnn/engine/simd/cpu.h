/* cpu.h - which vector instructions this CPU has and the operating system lets programs use.
 *
 * On x86 the CPU is asked itself (cpuid, xgetbv): the compilers' builtins know AVX2 under some
 * toolchains only. A feature is named as the compiler's flag for it, without -m. Other families of
 * CPUs have none that a build asks for: their sets of instructions run on every CPU of the family.
 *
 * cpuid leaves and bits, xgetbv: Intel 64 and IA-32 Architectures Software Developer's Manual,
 * volume 2A and section 13.3 of volume 1.
 */
#ifndef FASTNN_CPU_H
#define FASTNN_CPU_H

#if defined(__x86_64__)

#include <cpuid.h>

enum { EBX = 1, ECX = 2 };
enum { YMM = 0x6, ZMM = 0xe6 }; /* state that the system must keep: registers of AVX, of AVX-512 */

typedef struct {
    unsigned leaf, cpuid_register, bit, state;
} cpu_feature;

static const cpu_feature cpu_fma = {1, ECX, 12, YMM};
static const cpu_feature cpu_avx2 = {7, EBX, 5, YMM};
static const cpu_feature cpu_avx512f = {7, EBX, 16, ZMM};
static const cpu_feature cpu_avx512dq = {7, EBX, 17, ZMM};
static const cpu_feature cpu_avx512bw = {7, EBX, 30, ZMM};
static const cpu_feature cpu_avx512vl = {7, EBX, 31, ZMM};

/* The state that the system keeps (XCR0); 0 where it says nothing about it. */
static unsigned cpu_kept_state(void) {
    enum { OSXSAVE = 27 };
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> OSXSAVE & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int cpu_has(const cpu_feature *feature) {
    unsigned r[4];
    if (!__get_cpuid_count(feature->leaf, 0, &r[0], &r[EBX], &r[ECX], &r[3])) return 0;
    return (r[feature->cpuid_register] >> feature->bit & 1) &&
           (cpu_kept_state() & feature->state) == feature->state;
}

#endif

#endif
