/* dispatch.c - the tables of leaves compiled for this precision, best first, filtered by what the
 * CPU has. The build defines FASTNN_HAS_<ISA> for each set that it compiled. */
#include "dispatch.h"

#if FASTNN_BITS == 32
#define TABLE(isa) fastnn_ops_32_##isa
#else
#define TABLE(isa) fastnn_ops_64_##isa
#endif

extern const fastnn_ops TABLE(baseline);

#ifdef FASTNN_HAS_AVX2
extern const fastnn_ops TABLE(avx2);
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#ifdef FASTNN_HAS_AVX512
extern const fastnn_ops TABLE(avx512);
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

const fastnn_ops *fastnn_table(int i) {
#ifdef FASTNN_HAS_AVX512
    if (has_avx512() && i-- == 0) return &TABLE(avx512);
#endif
#ifdef FASTNN_HAS_AVX2
    if (has_avx2() && i-- == 0) return &TABLE(avx2);
#endif
    return i == 0 ? &TABLE(baseline) : NULL;
}
