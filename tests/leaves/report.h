/* report.h - what check_leaves.c, which runs the checks and reports failures, and harness.c, which
 * has the buffers, ask of each other. Not here: what the checks use (harness.h). */
#ifndef CHECK_LEAVES_REPORT_H
#define CHECK_LEAVES_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum placement { AT_THE_START, AT_THE_END };

/* Of the buffers to come, in their slots. */
void set_placement(enum placement placement);

void restart_random(void);

/* Forget all buffers; remember what is in them; fail if that has changed since. */
void begin_buffers(void);
void record_buffers(void);
void compare_with_record(void);

/* The buffer that an address lies in or close to, and how far from its start. */
const char *buffer_near(const void *p, ptrdiff_t *distance);

/* Write beside a buffer, as a wrong leaf might. */
void damage_a_guard(void);

/* Whether the result that is about to be compared must be made wrong. */
bool take_plant(void);

#endif
