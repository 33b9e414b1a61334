/* dropout.h - inverted dropout with masks that need no storage. An element of a mask is a function
 * of (seed, step, layer, row, column) only, so the backward pass can compute it again in any
 * thread, and a resumed run continues with the same bits.
 *
 * The random bits are those of splitmix64 (Steele, Lea, Flood 2014), used as a hash of a counter.
 */
#ifndef FASTNN_DROPOUT_H
#define FASTNN_DROPOUT_H

#include "ops.h"

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, odd */

INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Each number is kept with probability 1 - rate and scaled by 1 / (1 - rate), or becomes 0. The
 * backward pass applies the same function to delta. */
static void dropout(const fastnn_dropout_args *args, const real *z, real *out) {
    uint64_t key = mix(mix(args->seed + GOLDEN * (args->step + 1)) + GOLDEN * (args->layer + 1));
    uint64_t threshold = (uint64_t)(args->rate * 4294967296.0);
    real scale = (real)(1 / (1 - args->rate));
    for (ptrdiff_t r = 0; r < args->rows; r++, z += PANEL, out += PANEL) {
        uint64_t row = (uint64_t)(args->first_row + r) * (uint64_t)args->units;
        uint64_t counter = row + (uint64_t)args->first_column + 1;
        for (ptrdiff_t c = 0; c < args->columns; c++)
            out[c] =
                mix(key + GOLDEN * (counter + (uint64_t)c)) >> 32 >= threshold ? z[c] * scale : 0;
        for (ptrdiff_t c = args->columns; c < PANEL; c++) out[c] = 0;
    }
}

#endif
