/* The number of threads for the next slice, chosen by the measured speed of earlier slices.
 *
 * More threads are not always faster: another program may keep a CPU busy, a container may be
 * allowed less CPU time than its number of CPUs suggests, caches may be far from each other. Such
 * conditions change with time. So the possible sizes of a team are tried now and then, and the
 * fastest is used:
 *
 * A smaller team is tried soon if ranks waited long at barriers, and seldom otherwise. A larger
 * team is tried seldom, and for longer, since a lucky moment is short. It is used if it gains a
 * certain part of the speed that its additional threads could ideally gain. Each trial that fails
 * doubles the time until the next one.
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
    FASTNN_PACE_SHRUNK = 4000000, /* in the trial of a smaller team */
    FASTNN_PACE_GROWN = 24000000, /* in the trial of a larger team */
    /* The time until a trial that no long waits suggest: at first, and at most. */
    FASTNN_PACE_FIRST = 50000000,
    FASTNN_PACE_LONGEST = 1000000000,
    FASTNN_PACE_STAY = 200000000, /* a larger team that is kept this long did not grow by luck */
};

/* The fraction of the ranks' time spent waiting above which a smaller team is tried soon; and the
 * fraction of the ideal gain that a larger team must reach. */
#define FASTNN_PACE_CROWDED 0.15
#define FASTNN_PACE_WORTH (1.0 / 6)

/* Measurements of the slices that a team of one size has trained. */
typedef struct {
    int64_t ns, waited_ns; /* sums over the slices; waited_ns also over the ranks */
    double speed;          /* work per ns at the last measurement; 0: never */
} fastnn_pace_record;

/* All zeros at first. A size is stored as its index k: see fastnn_pace_kth. */
typedef struct {
    int most;              /* threads that were asked for */
    int at, tried;         /* the size in use, and the size on trial if is_trial */
    bool is_trial, grows;  /* grows: the next trial that no waits suggest is of a larger team */
    int64_t ns, waited_ns; /* of this window */
    double work;           /* of this window */
    int64_t since, pause;  /* ns since the last trial, and from it until the next one */
    int64_t in_use;        /* ns since the size in use was chosen */
    fastnn_pace_record records[FASTNN_PACE_SIZES];
} fastnn_pace;

/* The k-th size of a team of at most `most`. */
static inline int fastnn_pace_kth(int most, int k) {
    if (k == 0) return most;
    if (most > 2 && k == 1) return most - 1;
    int size = most >> (most > 2 ? k - 1 : k);
    return size > 1 ? size : 1;
}

/* Threads for the next slice, of `most` at most. */
static inline int fastnn_pace_size(fastnn_pace *pace, int most) {
    if (pace->most != most) {
        memset(pace, 0, sizeof *pace);
        pace->most = most;
        pace->pause = FASTNN_PACE_FIRST;
    }
    return fastnn_pace_kth(most, pace->is_trial ? pace->tried : pace->at);
}

static inline void fastnn_pace_begin_window(fastnn_pace *pace) {
    pace->ns = pace->waited_ns = 0;
    pace->work = 0;
}

static inline void fastnn_pace_try(fastnn_pace *pace, int k) {
    pace->is_trial = true;
    pace->tried = k;
}

static inline int64_t fastnn_pace_longer(int64_t pause) {
    return pause < FASTNN_PACE_LONGEST / 2 ? 2 * pause : FASTNN_PACE_LONGEST;
}

/* End a trial: use the size tried if it is faster. A larger size must reach FASTNN_PACE_WORTH of
 * the ideal gain. */
static inline void fastnn_pace_judge_trial(fastnn_pace *pace) {
    double size = fastnn_pace_kth(pace->most, pace->at);
    double ideal = fastnn_pace_kth(pace->most, pace->tried) / size;
    double needed = ideal > 1 ? 1 + FASTNN_PACE_WORTH * (ideal - 1) : 1;
    if (pace->records[pace->tried].speed > needed * pace->records[pace->at].speed) {
        /* A team that shrinks soon after it grew had grown by luck: its pauses get longer. */
        bool was_luck = ideal < 1 && pace->in_use < FASTNN_PACE_STAY;
        pace->pause = was_luck ? fastnn_pace_longer(pace->pause) : FASTNN_PACE_FIRST;
        pace->at = pace->tried;
        pace->in_use = 0;
        pace->grows = ideal < 1;
    } else {
        pace->pause = fastnn_pace_longer(pace->pause);
        pace->grows = !pace->grows;
    }
    pace->is_trial = false;
    pace->since = 0;
}

/* A window of the size in use is over: begin a trial if one is due. */
static inline void fastnn_pace_look_round(fastnn_pace *pace) {
    int size = fastnn_pace_kth(pace->most, pace->at);
    bool can_shrink = size > 1, can_grow = pace->at > 0;
    bool is_crowded = can_shrink && pace->waited_ns > FASTNN_PACE_CROWDED * pace->ns * (size - 1);
    if (is_crowded && pace->since * 8 >= pace->pause)
        fastnn_pace_try(pace, pace->at + 1);
    else if (pace->since >= pace->pause)
        fastnn_pace_try(pace, pace->at + ((pace->grows && can_grow) || !can_shrink ? -1 : 1));
}

/* Record a slice: its work, the number of threads, the time it took, and the time that the threads
 * waited, added up. */
static inline void fastnn_pace_note(fastnn_pace *pace, int size, double work, int64_t ns,
                                    int64_t waited_ns) {
    int k = pace->is_trial ? pace->tried : pace->at;
    int64_t needed = FASTNN_PACE_WINDOW;
    if (pace->is_trial) needed = pace->tried > pace->at ? FASTNN_PACE_SHRUNK : FASTNN_PACE_GROWN;
    if (size != fastnn_pace_kth(pace->most, k)) return; /* the pool was busy with another task */
    fastnn_pace_record *record = &pace->records[k];
    record->ns += ns;
    record->waited_ns += waited_ns;
    pace->ns += ns;
    pace->waited_ns += waited_ns;
    pace->work += work;
    pace->since += ns;
    pace->in_use += ns;
    if (pace->ns < needed) return;
    record->speed = pace->work / (double)pace->ns;
    if (pace->is_trial)
        fastnn_pace_judge_trial(pace);
    else
        fastnn_pace_look_round(pace);
    fastnn_pace_begin_window(pace);
}

#endif
