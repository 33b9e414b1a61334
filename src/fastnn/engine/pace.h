/* The number of threads for the next slice, chosen by the measured speed of earlier slices.
 *
 * More threads are not always faster: another program may keep a CPU busy, a container may be
 * allowed less CPU time than its number of CPUs suggests, caches may be far from each other. Such
 * conditions change with time. So the possible sizes of a team are tried now and then, and the
 * fastest is used:
 *
 * A smaller team is tried soon if ranks waited long at barriers, and seldom otherwise. It is used
 * if it is faster than the larger team both before and after the trial, since many slow moments
 * last for some milliseconds only. A larger team is tried seldom, and for longer, since lucky
 * moments are short, too; the trial ends early if it goes badly. The team is used if it gains a
 * certain part of the speed that its additional threads could ideally gain. Each trial that fails
 * doubles the time until the next one in its direction. The time between two fits counts towards
 * the next trial of a larger team, because another program may have ended in that time. Otherwise
 * a series of short fits could stay on few threads for long.
 *
 * Results are bit-identical for every size of a team. Not here: clocks and threads (pool.h,
 * platform/). */
#ifndef FASTNN_PACE_H
#define FASTNN_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    FASTNN_PACE_SIZES = 10, /* of a team of up to 256: 256, 255, 128, ..., 2, 1 */
    /* Times in nanoseconds. Speed is measured over a few time slices of the system: */
    FASTNN_PACE_WINDOW = 8000000,
    FASTNN_PACE_SHRUNK = 4000000, /* in the trial of a smaller team, and in the check after it */
    FASTNN_PACE_GROWN = 24000000, /* in the trial of a larger team */
    /* The time until a trial that no long waits suggest: at first, in each direction, and at most;
     * and at most after the trial of a larger team that was about as fast, so lost no time. */
    FASTNN_PACE_FIRST_SMALLER = 50000000,
    FASTNN_PACE_FIRST_LARGER = 25000000,
    FASTNN_PACE_LONGEST = 1000000000,
    FASTNN_PACE_HARMLESS = 100000000,
    /* At least so much training lies between two trials of a larger team, or the whole pause if it
     * is shorter, however long the fits are apart: */
    FASTNN_PACE_TRAINED = 200000000,
    /* Slices may take longer than a trial should: this many times the excess is added. */
    FASTNN_PACE_EXCESS = 64,
    FASTNN_PACE_STAY = 200000000, /* a larger team that is kept this long did not grow by luck */
};

/* The fraction of the ranks' time spent waiting above which a smaller team is tried soon; and the
 * fraction of the ideal gain that a larger team must reach. */
#define FASTNN_PACE_CROWDED 0.15
#define FASTNN_PACE_WORTH (1.0 / 6)

/* The ratio of speeds from which a team is about as fast as another. */
#define FASTNN_PACE_SAME 0.93

/* Measurements of the slices that a team of one size has trained. */
typedef struct {
    int64_t ns, waited_ns; /* sums over the slices; waited_ns also over the ranks */
    double speed;          /* work per ns at the last measurement; 0: never */
} fastnn_pace_record;

/* What is being measured: the size in use; another size; or the size in use again, after a smaller
 * team was faster. */
typedef enum { FASTNN_PACE_USE, FASTNN_PACE_TRIAL, FASTNN_PACE_CHECK } fastnn_pace_state;

/* All zeros at first. A size is stored as its index k: see fastnn_pace_kth. */
typedef struct {
    int most;      /* threads that were asked for */
    int at, tried; /* the size in use, and the size on trial */
    fastnn_pace_state state;
    int64_t ns, waited_ns;               /* of this window */
    double work;                         /* of this window */
    int64_t since_smaller, since_larger; /* ns of training since the last trial of such a team */
    int64_t idle;                        /* ns between slices since the trial of a larger team */
    int64_t pause_smaller, pause_larger; /* ns from that trial until the next one */
    int64_t in_use;                      /* ns since the size in use was chosen */
    int64_t ended;                       /* when the last slice ended */
    fastnn_pace_record records[FASTNN_PACE_SIZES];
} fastnn_pace;

/* The k-th size of a team of at most `most`. */
static inline int fastnn_pace_kth(int most, int k) {
    if (k == 0) return most;
    if (most > 2 && k == 1) return most - 1;
    int size = most >> (most > 2 ? k - 1 : k);
    return size > 1 ? size : 1;
}

/* The index of the size for the next slice. */
static inline int fastnn_pace_next(const fastnn_pace *pace) {
    return pace->state == FASTNN_PACE_TRIAL ? pace->tried : pace->at;
}

/* Threads for the next slice, of `most` at most. */
static inline int fastnn_pace_size(fastnn_pace *pace, int most) {
    if (pace->most != most) {
        memset(pace, 0, sizeof *pace);
        pace->most = most;
        pace->pause_smaller = FASTNN_PACE_FIRST_SMALLER;
        pace->pause_larger = FASTNN_PACE_FIRST_LARGER;
    }
    return fastnn_pace_kth(most, fastnn_pace_next(pace));
}

static inline int64_t fastnn_pace_longer(int64_t pause) {
    return pause < FASTNN_PACE_LONGEST / 2 ? 2 * pause : FASTNN_PACE_LONGEST;
}

static inline void fastnn_pace_try(fastnn_pace *pace, int k) {
    pace->tried = k;
    pace->state = FASTNN_PACE_TRIAL;
}

/* End a trial of `ns` nanoseconds that failed. */
static inline void fastnn_pace_fail(fastnn_pace *pace, int64_t ns) {
    bool is_larger = pace->tried < pace->at;
    int64_t *pause = is_larger ? &pace->pause_larger : &pace->pause_smaller;
    bool is_harmless =
        pace->records[pace->tried].speed > FASTNN_PACE_SAME * pace->records[pace->at].speed;
    *pause = fastnn_pace_longer(*pause);
    if (is_larger && is_harmless && *pause > FASTNN_PACE_HARMLESS) *pause = FASTNN_PACE_HARMLESS;
    if (ns > FASTNN_PACE_GROWN) *pause += FASTNN_PACE_EXCESS * (ns - FASTNN_PACE_GROWN);
    if (is_larger)
        pace->since_larger = pace->idle = 0;
    else
        pace->since_smaller = 0;
    pace->state = FASTNN_PACE_USE;
}

/* Use the size that was tried. */
static inline void fastnn_pace_change(fastnn_pace *pace) {
    if (pace->tried > pace->at) { /* a team that shrinks soon after it grew had grown by luck */
        bool was_luck = pace->in_use < FASTNN_PACE_STAY;
        pace->pause_larger =
            was_luck ? fastnn_pace_longer(pace->pause_larger) : FASTNN_PACE_FIRST_LARGER;
    }
    pace->pause_smaller = FASTNN_PACE_FIRST_SMALLER;
    pace->since_smaller = pace->since_larger = pace->idle = pace->in_use = 0;
    pace->at = pace->tried;
    pace->state = FASTNN_PACE_USE;
}

/* Whether it is time for the trial of a larger team. What long slices add to a pause, beyond
 * FASTNN_PACE_LONGEST, must be spent training. */
static inline bool fastnn_pace_tries_larger(const fastnn_pace *pace) {
    int64_t pause = pace->pause_larger, trained = pause - FASTNN_PACE_LONGEST;
    if (trained < FASTNN_PACE_TRAINED)
        trained = pause < FASTNN_PACE_TRAINED ? pause : FASTNN_PACE_TRAINED;
    return pace->since_larger >= trained && pace->since_larger + pace->idle >= pause;
}

/* A window of the size in use is over: begin a trial if one is due. */
static inline void fastnn_pace_begin_due_trial(fastnn_pace *pace) {
    int size = fastnn_pace_kth(pace->most, pace->at);
    bool is_crowded = pace->waited_ns > FASTNN_PACE_CROWDED * pace->ns * (size - 1);
    if (size > 1 && pace->since_smaller * (is_crowded ? 8 : 1) >= pace->pause_smaller)
        fastnn_pace_try(pace, pace->at + 1);
    else if (pace->at > 0 && fastnn_pace_tries_larger(pace))
        fastnn_pace_try(pace, pace->at - 1);
}

/* The speed from which a team on trial is used. */
static inline double fastnn_pace_needed(const fastnn_pace *pace) {
    double size = fastnn_pace_kth(pace->most, pace->at);
    double ideal = fastnn_pace_kth(pace->most, pace->tried) / size;
    double gain = ideal > 1 ? FASTNN_PACE_WORTH * (ideal - 1) : 0;
    return (1 + gain) * pace->records[pace->at].speed;
}

/* Whether the speed has been measured for long enough. */
static inline bool fastnn_pace_is_over(const fastnn_pace *pace) {
    if (pace->state == FASTNN_PACE_USE) return pace->ns >= FASTNN_PACE_WINDOW;
    if (pace->state == FASTNN_PACE_CHECK || pace->tried > pace->at)
        return pace->ns >= FASTNN_PACE_SHRUNK;
    bool goes_badly = pace->work < pace->records[pace->at].speed * (double)pace->ns;
    return pace->ns >= (goes_badly ? FASTNN_PACE_GROWN / 2 : FASTNN_PACE_GROWN);
}

/* Decide what the speed that has been measured means. */
static inline void fastnn_pace_decide(fastnn_pace *pace) {
    bool is_faster = pace->records[pace->tried].speed > fastnn_pace_needed(pace);
    if (pace->state == FASTNN_PACE_USE)
        fastnn_pace_begin_due_trial(pace);
    else if (!is_faster)
        fastnn_pace_fail(pace, pace->ns);
    else if (pace->state == FASTNN_PACE_TRIAL && pace->tried > pace->at)
        pace->state = FASTNN_PACE_CHECK;
    else
        fastnn_pace_change(pace);
}

/* Record a slice: its work, the number of threads, when it began and ended, and the time that the
 * threads waited, added up. */
static inline void fastnn_pace_note(fastnn_pace *pace, int size, double work, int64_t began,
                                    int64_t ended, int64_t waited_ns) {
    int k = fastnn_pace_next(pace);
    if (size != fastnn_pace_kth(pace->most, k)) return; /* the pool was busy with another task */
    fastnn_pace_record *record = &pace->records[k];
    int64_t ns = ended - began, idle = pace->ended > 0 ? began - pace->ended : 0;
    pace->ended = ended;
    record->ns += ns;
    record->waited_ns += waited_ns;
    pace->ns += ns;
    pace->waited_ns += waited_ns;
    pace->work += work;
    pace->since_smaller += ns;
    pace->since_larger += ns;
    pace->idle += idle;
    pace->in_use += ns + idle;
    if (!fastnn_pace_is_over(pace)) return;
    record->speed = pace->work / (double)pace->ns;
    fastnn_pace_decide(pace);
    pace->ns = pace->waited_ns = 0;
    pace->work = 0;
}

#endif
