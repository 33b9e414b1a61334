/* A hint to the CPU that memory will be used soon, also past the end of an array. */
#ifndef FASTNN_PREFETCH_H
#define FASTNN_PREFETCH_H

#include <stddef.h>

static inline void fastnn_prefetch(const void *memory, size_t size) {
    enum { LINE = 64 };
    for (size_t i = 0; i < size; i += LINE) __builtin_prefetch((const char *)memory + i, 1, 2);
}

#endif
