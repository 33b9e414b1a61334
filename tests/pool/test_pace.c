/* The size of a team (pace.h) in simulated surroundings: how much work gets done, compared with the
 * best size there. Ends with 0, or with a line that names the surroundings in which too little is.
 *
 * Time is simulated, so the load of this machine does not matter. Not here: threads (test_pool.c).
 */
#include "pace.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLICE = 1000000, LONG_SLICE = 100000000, SECOND = 1000000000 }; /* ns on one thread */

static uint32_t random_state;

static double random_number(void) { /* uniform on 0 .. 1, always the same sequence */
    random_state = random_state * 1664525u + 1013904223u;
    return random_state / 4294967296.0;
}

/* Work per ns, and the part of the ranks' time spent waiting. */
typedef struct {
    double speed, waiting;
} slice;

typedef slice surroundings(int size, double seconds);

static slice quiet(int size, double seconds) {
    (void)seconds;
    return (slice){.speed = 1 + 0.9 * (size - 1), .waiting = size > 1 ? 0.05 : 0};
}

/* Another program keeps one of `cpus` CPUs busy: a team on all of them waits for the slowest. */
static slice beside(int size, int cpus) {
    if (size < cpus) return quiet(size, 0);
    double part = 0.2 + 0.6 * random_number(); /* of what it would be: some slices are lucky */
    return (slice){.speed = part * quiet(size, 0).speed, .waiting = (1 - part) * (size - 1) / size};
}

static slice busy_of_two(int size, double seconds) {
    (void)seconds;
    return beside(size, 2);
}

static slice busy_of_eight(int size, double seconds) {
    (void)seconds;
    return beside(size, 8);
}

/* It comes and goes. */
static slice visited(int size, double seconds) {
    return (int)(seconds / 5) % 2 == 1 ? beside(size, 2) : quiet(size, seconds);
}

/* Every 200 ms another program has a CPU for 10 ms. */
static slice disturbed(int size, double seconds) {
    return seconds - 0.2 * (int)(seconds / 0.2) < 0.01 ? beside(size, 2) : quiet(size, seconds);
}

static double resumed; /* the second at which the training began, or was resumed after a pause */

/* In the first 8 ms data is fetched and threads wake: two are slow. */
static slice cold(int size, double seconds) {
    slice found = quiet(size, seconds);
    if (size > 1 && seconds < resumed + 0.008) found = (slice){.speed = 0.7, .waiting = 0.3};
    return found;
}

/* A virtual machine: five times a second one of the CPUs is gone for 4 ms, and every ten seconds
 * for half a second. */
static slice interrupted(int size, double seconds) {
    bool is_gone =
        seconds - 0.2 * (int)(seconds / 0.2) < 0.004 || seconds - 10 * (int)(seconds / 10) > 9.5;
    if (size < 2 || !is_gone) return quiet(size, seconds);
    return (slice){.speed = 0.9, .waiting = 0.4};
}

/* Weights that travel between the cores' caches: slower on two threads, and nobody waits long. */
static slice distant(int size, double seconds) {
    (void)seconds;
    return (slice){.speed = size == 1 ? 1 : 0.75, .waiting = 0};
}

/* Of 64 CPUs the memory feeds 16. */
static slice starved(int size, double seconds) {
    (void)seconds;
    return (slice){.speed = size <= 16 ? size : 16 - 0.1 * (size - 16), .waiting = 0.02};
}

/* Another program keeps a CPU busy, and ends after half a minute. */
static slice left(int size, double seconds) {
    return seconds < 30 ? beside(size, 2) : quiet(size, seconds);
}

/* Trainings of this many seconds, and the pause after each; a slice takes `ns` at speed 1. */
typedef struct {
    double all, each, pause;
    int64_t ns;
} plan;

/* The time that the training would take with the best size in every slice, over the time that it
 * takes. */
static double efficiency(surroundings *here, int most, plan plan) {
    fastnn_pace pace = {0};
    double best = 0, trained = 0, now = 0, ends = plan.each;
    random_state = 1, resumed = 0;
    while (trained < plan.all) {
        if (trained >= ends) {
            ends += plan.each;
            resumed = now += plan.pause;
        }
        int size = fastnn_pace_size(&pace, most);
        slice found = here(size, now);
        double most_speed = 0, took = (double)plan.ns / found.speed;
        for (int k = 0; k < FASTNN_PACE_SIZES; k++) { /* on average, so without luck */
            double speed = 0;
            for (int i = 0; i < 8; i++) speed += here(fastnn_pace_kth(most, k), now).speed / 8;
            if (speed > most_speed) most_speed = speed;
        }
        int64_t began = (int64_t)(now * SECOND) + 1;
        fastnn_pace_note(&pace, size, (double)plan.ns, began, began + (int64_t)took,
                         (int64_t)(found.waiting * size * took));
        best += (double)plan.ns / most_speed / SECOND;
        trained += took / SECOND;
        now += took / SECOND;
    }
    return best / trained;
}

static int failures;

static void check_plan(const char *name, surroundings *here, int most, plan plan, double least) {
    double found = efficiency(here, most, plan);
    printf("%-16s %d threads: %.3f of the best size\n", name, most, found);
    if (found < least) {
        fprintf(stderr, "%s: %.3f of the best size, less than %.3f\n", name, found, least);
        failures++;
    }
}

static void check(const char *name, surroundings *here, int most, double least) {
    check_plan(name, here, most, (plan){60, 60, 0, SLICE}, least);
}

int main(void) {
    int sizes[] = {8, 7, 4, 2, 1, 1};
    for (int k = 0; k < 6; k++)
        if (fastnn_pace_kth(8, k) != sizes[k]) return 1;
    if (fastnn_pace_kth(2, 1) != 1 || fastnn_pace_kth(3, 1) != 2 || fastnn_pace_kth(3, 2) != 1)
        return 1;
    if (fastnn_pace_kth(256, FASTNN_PACE_SIZES - 1) != 1) return 1;
    check("quiet", quiet, 2, 0.99);
    check("quiet", quiet, 8, 0.98);
    check("busy", busy_of_two, 2, 0.97);
    check("busy", busy_of_eight, 8, 0.98);
    check("visited", visited, 2, 0.94);
    check("disturbed", disturbed, 2, 0.97);
    check("distant", distant, 2, 0.98);
    check("starved", starved, 64, 0.95);
    check("interrupted", interrupted, 2, 0.97);
    check_plan("cold", cold, 2, (plan){0.2, 0.2, 0, SLICE}, 0.96);
    check_plan("long slices", quiet, 2, (plan){60, 60, 0, LONG_SLICE}, 0.98);
    check_plan("short, quiet", quiet, 2, (plan){10, 0.05, 2, SLICE}, 0.99);
    check_plan("short, busy", busy_of_two, 2, (plan){10, 0.05, 2, SLICE}, 0.95);
    check_plan("short, left", left, 2, (plan){4, 0.05, 2, SLICE}, 0.97);
    check_plan("short, cold", cold, 2, (plan){10, 0.05, 2, SLICE}, 0.9);
    return failures != 0;
}
