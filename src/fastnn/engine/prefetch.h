/* Hints to the CPU that memory will soon be read. They may reach past the end of an array. */
#ifndef FASTNN_PREFETCH_H
#define FASTNN_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

enum {
    FASTNN_CACHE_LINE = 64,
    FASTNN_NEAR_BYTES = 1 << 20, /* about the size of the caches near a core: L1 and L2 */
    FASTNN_LONG_ROW = 1024       /* bytes from which `gather` prefetches rows itself */
};

static inline void fastnn_prefetch(const void *memory, size_t size) {
    for (size_t i = 0; i < size; i += FASTNN_CACHE_LINE)
        __builtin_prefetch((const char *)memory + i, 0, 2);
}

/* Prefetch rows order[0], ..., order[n - 1] of an array, `size` bytes each. Not inlined: most
 * trainings never call it. */
static __attribute__((noinline, unused)) void
fastnn_prefetch_rows(ptrdiff_t n, const int64_t *order, const void *rows, size_t size) {
    for (ptrdiff_t i = 0; i < n; i++)
        fastnn_prefetch((const char *)rows + (size_t)order[i] * size, size);
}

#endif
