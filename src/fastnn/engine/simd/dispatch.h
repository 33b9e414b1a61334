/* dispatch.h - which tables of leaves this build has and this CPU can run. */
#ifndef FASTNN_DISPATCH_H
#define FASTNN_DISPATCH_H

#include "ops.h"

/* The i-th table that this CPU can run, best first; NULL past the last. */
const fastnn_ops *fastnn_table(int i);

/* The instruction set that this table is for; several may have the same table. */
const char *fastnn_isa(int i);

#endif
