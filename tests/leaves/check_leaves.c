/* Every leaf of every table that can run here, against plain loops in double.
 *
 *     check_leaves                     ends with 0, or with 1 and a line for each failure
 *     check_leaves --plant value       makes one result of each case wrong, by three bounds
 *     check_leaves --plant guard       changes one byte beside a buffer in each case
 *     check_leaves --plant LEAF        runs a wrong LEAF of planted.h in its place
 *
 * A value or a guard that was changed must fail in every case, or the checks prove nothing.
 * Standard output has a line for each leaf and table: how many of its cases failed. Here: the list
 * of checks, and the report. Not here: how buffers are guarded (harness.c), and the checks
 * themselves (check_*.c). A new leaf needs a function check_NAME in one of these files; the list is
 * made from that of ops.h.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sigaction in -std=c11, too */
#endif
#include "../platform/platform.h"
#include "dispatch.h"
#include "harness.h"
#include "planted.h"
#include "report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The list: all leaves, then what has a list of its own in the table. */

typedef struct {
    const char *leaf;
    void (*run)(void);
} check;

#define CHECK_ENTRY(leaf) {#leaf, check_##leaf},
/* clang-format off */
static const check checks[] = {
    FASTNN_LEAVES(CHECK_ENTRY)
#if FASTNN_BITS == 32
    FASTNN_FLOAT_LEAVES(CHECK_ENTRY)
#endif
    CHECK_ENTRY(tiny_steps)
    CHECK_ENTRY(activations)
    CHECK_ENTRY(losses)
    CHECK_ENTRY(losses_by_output)
    CHECK_ENTRY(optimizers)
    CHECK_ENTRY(functions)
};
/* clang-format on */

/* A table says what it is, and then has nothing but pointers to what is checked. */
enum { N_CHECKS = sizeof checks / sizeof *checks, FIRST = offsetof(fastnn_ops, product) };
#define ONE_MORE(leaf) +1
enum { OF_FLOATS = FASTNN_BITS == 32 ? 0 : 0 FASTNN_FLOAT_LEAVES(ONE_MORE) }; /* NULL for doubles */
_Static_assert(sizeof(fastnn_ops) == FIRST + (N_CHECKS + OF_FLOATS) * sizeof(void *),
               "a leaf without a check");

/* ---- The report. */

enum { SHOWN = 3 }; /* failures of a leaf, for each table and placement */

enum plant { NOTHING, A_VALUE, A_GUARD };

const fastnn_ops *ops;
static const char *isa, *leaf, *place;
static enum plant plant;
static char case_name[200];
static bool case_failed, planted;
static int cases, failures, shown;
static volatile sig_atomic_t in_leaf;

static void put_line(FILE *file, const char *format, va_list arguments) {
    fprintf(file, "%s %s float%d %s, buffers at %s: ", leaf, isa, FASTNN_BITS, case_name, place);
    vfprintf(file, format, arguments);
    fputc('\n', file);
}

void fail(const char *format, ...) {
    if (case_failed) return;
    case_failed = true;
    failures++;
    if (shown++ >= SHOWN) return;
    va_list arguments;
    va_start(arguments, format);
    put_line(stderr, format, arguments);
    va_end(arguments);
}

void begin_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_name, sizeof case_name, format, arguments);
    va_end(arguments);
    case_failed = planted = false;
    cases++;
    begin_buffers();
}

void end_case(void) {
    if (plant == A_GUARD) damage_a_guard();
    compare_with_record();
}

void enter_leaf(void) {
    record_buffers();
    in_leaf = 1;
}

void leave_leaf(void) { in_leaf = 0; }

bool take_plant(void) {
    bool now = plant == A_VALUE && !planted;
    planted |= now;
    return now;
}

/* A leaf that read or wrote beyond a page ends the program: what it left undone is unknown. Windows
 * ends it without a word. */
#if !defined(_WIN32)
static void tell_fault(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    if (!in_leaf) {
        signal(signal_number, SIG_DFL);
        return; /* and fault again */
    }
    ptrdiff_t distance;
    const char *name = buffer_near(info->si_addr, &distance);
    fail("reads or writes byte %td of %s, which is out of bounds", distance, name);
    fflush(NULL);
    _exit(1);
}

static void watch_faults(void) {
    struct sigaction action = {.sa_sigaction = tell_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
#else
static void watch_faults(void) {}
#endif

static void run(const check *it) {
    leaf = it->leaf;
    cases = failures = 0;
    for (enum placement placement = AT_THE_START; placement <= AT_THE_END; placement++) {
        place = placement == AT_THE_START ? "the start" : "the end";
        shown = 0;
        set_placement(placement);
        restart_random();
        it->run();
    }
    printf("%s %s float%d: %d of %d cases failed\n", leaf, isa, FASTNN_BITS, failures, cases);
}

int main(int argc, char **argv) {
    const char *wrong_leaf = NULL;
    if (argc == 3 && strcmp(argv[1], "--plant") == 0) {
        if (strcmp(argv[2], "value") == 0)
            plant = A_VALUE;
        else if (strcmp(argv[2], "guard") == 0)
            plant = A_GUARD;
        else
            wrong_leaf = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--plant value|guard|LEAF]\n", argv[0]);
        return 2;
    }
    watch_faults();
    bool failed = false;
    const fastnn_ops *table;
    for (int i = 0; (table = fastnn_table(i)) != NULL; i++) {
        fastnn_ops copy = *table;
        ops = &copy, isa = fastnn_isa(i);
        if (copy.multiplies_tiles && !fastnn_allow_tiles()) continue;
        if (wrong_leaf && !plant_leaf(&copy, wrong_leaf)) {
            fprintf(stderr, "there is no wrong %s to plant\n", wrong_leaf);
            return 2;
        }
        for (int k = 0; k < N_CHECKS; k++) {
            if (wrong_leaf && strcmp(wrong_leaf, checks[k].leaf) != 0) continue;
            run(&checks[k]);
            failed |= failures > 0 || cases == 0;
        }
    }
    return failed;
}
