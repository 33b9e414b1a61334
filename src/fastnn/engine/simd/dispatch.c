/* dispatch.c - the tables of leaves for this precision that this CPU can run, best first. The build
 * defines FASTNN_INSTRUCTION_SETS: for each set that it compiled, best first,
 * SET(name, HAS(feature) HAS(feature) ...) with the features that the compiler was told to use.
 * cpu.h has a line for each feature. */
#include "dispatch.h"

#include "cpu.h"

#define TABLE(isa) FASTNN_JOIN(ops, FASTNN_BITS, isa)
#define HAS(feature) &&cpu_has(&cpu, &cpu_##feature)

#define SET(isa, features) extern const fastnn_ops TABLE(isa);
FASTNN_INSTRUCTION_SETS
#undef SET

#define SET(isa, features) +1
enum { N_SETS = 0 FASTNN_INSTRUCTION_SETS };
#undef SET

static const fastnn_ops *tables[N_SETS + 1];

/* Runs when the library is loaded, before the first call of fastnn_table. */
static __attribute__((constructor)) void find_tables(void) {
    const cpu_features cpu = cpu_ask();
    int n = 0;
    (void)cpu; /* unused if no set needs a feature */
#define SET(isa, features)                                                                         \
    if (1 features) tables[n++] = &TABLE(isa);
    FASTNN_INSTRUCTION_SETS
#undef SET
}

const fastnn_ops *fastnn_table(int i) { return i <= N_SETS ? tables[i] : NULL; }
