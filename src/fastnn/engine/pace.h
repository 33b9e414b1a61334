/* How many threads train the next slice, chosen by what slices have shown so far.
 *
 * More threads are not always faster: another program may keep a CPU busy, a container may be
 * allowed less CPU time than it sees CPUs, caches may be far from each other. All of these come and
 * go. So the sizes that a team may have are tried now and then, and the fastest is used:
 *
 * A smaller team is tried soon if ranks waited long at barriers, and seldom otherwise. A larger
 * team is tried seldom, and for longer, since a lucky moment is short; it must bring a part of what
 * the additional threads could bring. Each trial that fails doubles the time until the next one.
 *
 * No bit depends on the size of a team. Not here: clocks and threads (pool.h, platform/). */
#ifndef FASTNN_PACE_H
#define FASTNN_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    FASTNN_PACE_SIZES = 10, /* that a team of 256 may have: 256, 255, 128, ..., 2, 1 */
    /* Times in nanoseconds: a size is judged over so long, a few time slices of the system, */
    FASTNN_PACE_WINDOW = 8000000,
    FASTNN_PACE_SHRUNK = 4000000, /* in the trial of a smaller team, */
    FASTNN_PACE_GROWN = 24000000, /* and of a larger one; */
    /* the first trial that nothing suggests begins after so long, and later ones at most so */
    FASTNN_PACE_FIRST = 50000000,
    FASTNN_PACE_LONGEST = 1000000000,
    FASTNN_PACE_STAY = 200000000, /* a larger team that lasts so long was not luck */
};

/* Waiting, as a part of the ranks' time, that suggests a trial; and the part of the ideal gain that
 * a larger team must bring. */
#define FASTNN_PACE_CROWDED 0.15
#define FASTNN_PACE_WORTH (1.0 / 6)

/* What slices of one size have shown. */
typedef struct {
    int64_t ns, waited_ns; /* over all of them; waiting is added up over the ranks */
    double speed;          /* work per ns when it was last judged; 0: never */
} fastnn_pace_record;

/* All zeros at first. Sizes have numbers: see fastnn_pace_kth. */
typedef struct {
    int most;              /* threads that were asked for */
    int at, tried;         /* the size in use; and the one on trial, if is_trial */
    bool is_trial, grows;  /* grows: the next trial that nothing suggests is of a larger team */
    int64_t ns, waited_ns; /* of this window, */
    double work;           /* likewise */
    int64_t since, pause;  /* ns since the last trial, and until the next one; */
    int64_t in_use;        /* since the size in use was chosen */
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

/* A trial is over: use the size tried if it is faster, and enough so if it is larger. */
static inline void fastnn_pace_judge_trial(fastnn_pace *pace) {
    double size = fastnn_pace_kth(pace->most, pace->at);
    double ideal = fastnn_pace_kth(pace->most, pace->tried) / size;
    double needed = ideal > 1 ? 1 + FASTNN_PACE_WORTH * (ideal - 1) : 1;
    if (pace->records[pace->tried].speed > needed * pace->records[pace->at].speed) {
        /* A team that shrinks soon after it has grown, by luck, goes on with longer pauses. */
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

/* A slice of so much work has taken so long on `size` threads, which waited so long in all. */
static inline void fastnn_pace_note(fastnn_pace *pace, int size, double work, int64_t ns,
                                    int64_t waited_ns) {
    int k = pace->is_trial ? pace->tried : pace->at;
    int64_t needed = FASTNN_PACE_WINDOW;
    if (pace->is_trial) needed = pace->tried > pace->at ? FASTNN_PACE_SHRUNK : FASTNN_PACE_GROWN;
    if (size != fastnn_pace_kth(pace->most, k)) return; /* the threads were at work elsewhere */
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
