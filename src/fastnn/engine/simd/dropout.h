/* dropout.h - inverted dropout. An element of a mask is a function of (seed, step, layer, row,
 * column) only, so a mask is the same for every width of a vector and every thread, and a resumed
 * run continues with the same bits.
 *
 * The random bits are the upper halves of the numbers of splitmix64 (Steele, Lea, Flood 2014), used
 * as a hash of a counter. The forward pass stores the mask for the backward pass, a bit for each
 * element, since hashes take ten times as long as reading it.
 */
#ifndef FASTNN_DROPOUT_H
#define FASTNN_DROPOUT_H

#include "ops.h"

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, odd */
#define FIRST_FACTOR UINT64_C(0xBF58476D1CE4E5B9)
#define SECOND_FACTOR UINT64_C(0x94D049BB133111EB)

INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * FIRST_FACTOR;
    z = (z ^ (z >> 27)) * SECOND_FACTOR;
    return z ^ (z >> 31);
}

typedef uint64_t hashes __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias));

/* `mix` without its last line. */
INLINE hashes mix_lanes(hashes z) {
    z = (z ^ (z >> 30)) * FIRST_FACTOR;
    return (z ^ (z >> 27)) * SECOND_FACTOR;
}

/* The upper halves of mix(first), mix(first + GOLDEN), ...: one for each lane. */
INLINE uvec hash_lanes(uint64_t first) {
    const int per_hash = sizeof(hashes) / sizeof(uint64_t) < LANES ? 2 : 1;
    hashes z = (hashes){0} + first;
    for (int i = 0; i < LANES / per_hash; i++) z[i] += GOLDEN * (uint64_t)(per_hash * i);
#if FASTNN_BITS == 32
    /* The even lanes and the odd ones, each in the half of its 64 bits in which it will be. */
    hashes even = mix_lanes(z) >> 32, odd = mix_lanes(z + GOLDEN) & ~(hashes){0} << 32;
    uvec upper = (uvec)(even | odd);
#else
    uvec upper = (uvec)(mix_lanes(z) >> 32);
#endif
    return upper ^ upper >> 31; /* of the last line of `mix`, what reaches the upper half */
}

/* Each number is kept with probability 1 - rate and scaled by 1 / (1 - rate), or becomes 0. */
static void dropout_forward(const fastnn_dropout_args *args, const real *z, real *out,
                            uint16_t *kept) {
    uint64_t key = mix(mix(args->seed + GOLDEN * (args->step + 1)) + GOLDEN * (args->layer + 1));
    uvec threshold = splat_bits((ureal)(uint64_t)(args->rate * 4294967296.0));
    vec scale = splat((real)(1 / (1 - args->rate)));
    ivec inside[PANEL_VECTORS];
    for (int i = 0; i < PANEL_VECTORS; i++) inside[i] = lanes_below(args->columns - i * LANES);
    for (ptrdiff_t r = 0; r < args->rows; r++, z += PANEL, out += PANEL) {
        uint64_t row = (uint64_t)(args->first_row + r) * (uint64_t)args->units;
        uint64_t counter = row + (uint64_t)args->first_column + 1;
        unsigned bits = 0;
#pragma GCC unroll 4
        for (int i = 0; i < PANEL_VECTORS; i++) {
            uvec random = hash_lanes(key + GOLDEN * (counter + (uint64_t)(i * LANES)));
            ivec mask = (ivec)(random >= threshold) & inside[i];
            store(out + i * LANES, keep(mask, load(z + i * LANES) * scale));
            bits |= bits_of_lanes(mask) << i * LANES;
        }
        kept[r] = (uint16_t)bits;
    }
}

/* Apply the stored mask to delta. */
static void dropout_backward(ptrdiff_t rows, double rate, const uint16_t *kept, real *delta) {
    vec scale = splat((real)(1 / (1 - rate)));
    for (ptrdiff_t r = 0; r < rows; r++, delta += PANEL)
#pragma GCC unroll 4
        for (int i = 0; i < PANEL_VECTORS; i++) {
            ivec mask = lanes_of_bits((unsigned)kept[r] >> i * LANES);
            store(delta + i * LANES, keep(mask, load(delta + i * LANES) * scale));
        }
}

#undef FIRST_FACTOR
#undef SECOND_FACTOR

#endif
