/* dispatch.c - the tables of leaves compiled for this precision, best first, filtered by what the
 * CPU has. The build defines FASTNN_INSTRUCTION_SETS: for each set that it compiled, best first,
 * SET(name, HAS(feature) HAS(feature) ...) with the features that the compiler was told to use, for
 * each of which cpu.h has a line. */
#include "dispatch.h"

#include "cpu.h"

#define TABLE(isa) FASTNN_JOIN(ops, FASTNN_BITS, isa)
#define HAS(feature) &&cpu_has(&cpu_##feature)

#define SET(isa, features) extern const fastnn_ops TABLE(isa);
FASTNN_INSTRUCTION_SETS
#undef SET

const fastnn_ops *fastnn_table(int i) {
#define SET(isa, features)                                                                         \
    if (1 features && i-- == 0) return &TABLE(isa);
    FASTNN_INSTRUCTION_SETS
#undef SET
    return NULL;
}
