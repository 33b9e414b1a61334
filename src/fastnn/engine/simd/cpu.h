/* cpu.h - which vector instructions this CPU has and the operating system lets programs use.
 *
 * On x86 the features are read with cpuid and xgetbv, because the compilers' builtins recognize
 * AVX2 under some toolchains only. A feature has the name of the compiler's flag for it, without
 * -m. On other families of CPUs no build needs a feature: their instruction sets run on every CPU
 * of the family.
 *
 * cpuid leaves and bits, xgetbv: Intel 64 and IA-32 Architectures Software Developer's Manual,
 * volume 2A and section 13.3 of volume 1.
 */
#ifndef FASTNN_CPU_H
#define FASTNN_CPU_H

#if defined(__x86_64__)

#include <cpuid.h>

enum { LEAF_1_ECX, LEAF_7_EBX, LEAF_7_EDX, LEAF_7_1_EAX, CPU_WORDS };
/* state that the system must save: registers of AVX, of AVX-512, of AMX with AVX-512 */
enum { YMM = 0x6, ZMM = 0xe6, TILES = 0x600e6 };

typedef struct {
    unsigned word, bit, state;
} cpu_feature;

static const cpu_feature cpu_fma = {LEAF_1_ECX, 12, YMM};
static const cpu_feature cpu_avx2 = {LEAF_7_EBX, 5, YMM};
static const cpu_feature cpu_avx512f = {LEAF_7_EBX, 16, ZMM};
static const cpu_feature cpu_avx512dq = {LEAF_7_EBX, 17, ZMM};
static const cpu_feature cpu_avx512bw = {LEAF_7_EBX, 30, ZMM};
static const cpu_feature cpu_avx512vl = {LEAF_7_EBX, 31, ZMM};
static const cpu_feature cpu_avx512bf16 = {LEAF_7_1_EAX, 5, ZMM};
static const cpu_feature cpu_amx_bf16 = {LEAF_7_EDX, 22, TILES};
static const cpu_feature cpu_amx_tile = {LEAF_7_EDX, 24, TILES};

typedef struct {
    unsigned words[CPU_WORDS], kept_state;
} cpu_features;

/* Reads the features. Call it once: on a virtual machine each cpuid takes some 30 microseconds. */
static cpu_features cpu_ask(void) {
    enum { OSXSAVE = 27 };
    cpu_features cpu = {{0}, 0};
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) cpu.words[LEAF_1_ECX] = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        cpu.words[LEAF_7_EBX] = b, cpu.words[LEAF_7_EDX] = d;
        /* a is the highest subleaf of leaf 7 */
        if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) cpu.words[LEAF_7_1_EAX] = a;
    }
    if (cpu.words[LEAF_1_ECX] >> OSXSAVE & 1)
        __asm__ volatile("xgetbv" : "=a"(cpu.kept_state), "=d"(d) : "c"(0));
    return cpu;
}

static int cpu_has(const cpu_features *cpu, const cpu_feature *feature) {
    return (cpu->words[feature->word] >> feature->bit & 1) &&
           (cpu->kept_state & feature->state) == feature->state;
}

#else

typedef struct {
    char nothing;
} cpu_features;

static cpu_features cpu_ask(void) { return (cpu_features){0}; }

#endif

#endif
