/* dispatch.c - the tables of leaves for this precision that this CPU can run, best first. The build
 * defines FASTNN_INSTRUCTION_SETS: for each set, best first,
 * SET(name, table, HAS(feature) HAS(feature) ...) with the name of the set whose table it uses and
 * the features that the compiler was told to use. cpu.h has a line for each feature. */
#include "dispatch.h"

#include "cpu.h"

#define TABLE(isa) FASTNN_JOIN(ops, FASTNN_BITS, isa)
#define HAS(feature) &&cpu_has(&cpu, &cpu_##feature)

#define SET(isa, table, features) extern const fastnn_ops TABLE(table);
FASTNN_INSTRUCTION_SETS
#undef SET

#define SET(isa, table, features) +1
enum { N_SETS = 0 FASTNN_INSTRUCTION_SETS };
#undef SET

static struct {
    const char *isa;
    const fastnn_ops *table;
} sets[N_SETS + 1];

/* Runs when the library is loaded, before the first call of fastnn_table. */
static __attribute__((constructor)) void find_tables(void) {
    const cpu_features cpu = cpu_ask();
    int n = 0;
    (void)cpu; /* unused if no set needs a feature */
#define SET(name, of, features)                                                                    \
    if (1 features) sets[n].isa = #name, sets[n++].table = &TABLE(of);
    FASTNN_INSTRUCTION_SETS
#undef SET
}

const fastnn_ops *fastnn_table(int i) { return i <= N_SETS ? sets[i].table : NULL; }

const char *fastnn_isa(int i) { return i <= N_SETS ? sets[i].isa : NULL; }
