/* The threads that fastnn computes with: run one function on several threads, with barriers.
 * Not here: how many threads to use, and which rows and tiles each computes; the caller decides
 * both.
 *
 *     static void step(void *context, fastnn_team *team, int rank)
 *     {
 *         forward_my_rows(context, rank, fastnn_team_size(team));
 *         fastnn_team_barrier(team);
 *         update_my_tiles(context, rank, fastnn_team_size(team));
 *     }
 *     fastnn_run(n_threads, step, &context);
 *
 * A task must give the same bits for every team size, because it may get a smaller team than was
 * asked for. It must not leave by longjmp or pthread_exit. If it forks, the child lacks the other
 * ranks: barriers return at once there, and the task must end early. Its stack is 1 MiB. */
#ifndef FASTNN_POOL_H
#define FASTNN_POOL_H

#include <stdint.h>

enum { FASTNN_MAX_THREADS = 256 };

typedef struct fastnn_team fastnn_team; /* the threads that run one task together */
typedef void fastnn_task(void *context, fastnn_team *team, int rank); /* rank 0 is the caller */

/* How many ranks ran a task, and how long they waited. */
typedef struct {
    int size;          /* the number of ranks */
    int64_t waited_ns; /* at barriers, summed over the ranks; without the first polls of a wait */
} fastnn_attendance;

/* Run `task` once on each rank and return when all have returned; what they wrote is then visible
 * to the caller. Never fails. There are n_threads ranks, but no more than FASTNN_MAX_THREADS or
 * than the system lets us create. There is only one rank if the pool is busy, with a task of
 * another thread of the program or with the very task that makes this call. Every rank starts with
 * the caller's floating-point environment (rounding, subnormals). */
fastnn_attendance fastnn_run(int n_threads, fastnn_task *task, void *context);

/* The number of ranks that run this task: 1 .. FASTNN_MAX_THREADS. */
int fastnn_team_size(const fastnn_team *team);

/* Return when every rank has called this; what any of them wrote before is then visible to all.
 * Every rank must call it equally often. In a team of one it does nothing. */
void fastnn_team_barrier(fastnn_team *team);

/* Take the next portion of the work between two barriers, in a team of at least two. The work of
 * each rank consists of `portions` portions, 1 to 65535, the same number on every rank: those of
 * rank r are r portions, ..., r portions + portions - 1. A rank takes its own portions first and
 * then those that are left of the next ranks. Returns -1 when all are taken. */
int fastnn_team_take(fastnn_team *team, int rank, int portions);

/* The number of forks between the process that loaded fastnn and this one; it grows in a child. */
int fastnn_forks(void);

#endif
