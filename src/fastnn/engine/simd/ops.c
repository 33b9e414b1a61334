/* ops.c - one table of leaves, for the precision (FASTNN_BITS) and the instruction set (FASTNN_ISA)
 * that this compilation is for. */
#include "activations.h"
#include "bfloat16.h"
#include "dropout.h"
#include "embeddings.h"
#include "layer_norm.h"
#include "lockstep.h"
#include "losses.h"
#include "optimizers.h"
#include "penalties.h"
#include "probe.h"
#include "root.h"
#include "rows.h"
#include "sparse.h"
#include "tile.h"
#include "vmath.h"
#include "zeros.h"

INLINE vec vnormal_density(vec x) {
    vec density;
    vnormal_cdf(x, &density);
    return density;
}

INLINE vec vnormal(vec x) {
    vec density;
    return vnormal_cdf(x, &density);
}

INLINE vec vsine_of_turns(vec t) {
    vec cosine;
    return vsine(t, &cosine);
}

INLINE vec vcosine_of_turns(vec t) {
    vec cosine;
    vsine(t, &cosine);
    return cosine;
}

/* The name of each function, and the C function that computes it for one vector. */
#define FUNCTIONS(EACH)                                                                            \
    EACH(exp, vexp)                                                                                \
    EACH(expm1, vexpm1)                                                                            \
    EACH(log, vlog)                                                                                \
    EACH(log1p, vlog1p)                                                                            \
    EACH(tanh, vtanh)                                                                              \
    EACH(sigmoid, vsigmoid)                                                                        \
    EACH(normal_cdf, vnormal)                                                                      \
    EACH(normal_density, vnormal_density)                                                          \
    EACH(sqrt, root_by_products)                                                                   \
    EACH(sine_of_turns, vsine_of_turns)                                                            \
    EACH(cosine_of_turns, vcosine_of_turns)

#define LOOP(NAME, VALUE)                                                                          \
    static void NAME##_run(ptrdiff_t n, const real *x, real *out) {                                \
        for (ptrdiff_t i = 0; i < n; i += LANES) store(out + i, VALUE(load(x + i)));               \
    }
FUNCTIONS(LOOP)

/* clang-format off */
#define FUNCTION_ENTRY(NAME, VALUE) {#NAME, NAME##_run},
static const fastnn_function functions[] = {
    FUNCTIONS(FUNCTION_ENTRY)
    {NULL, NULL},
};

#define LEAF_ENTRY(leaf) .leaf = leaf,
extern fastnn_tiny_fn TINY_STEPS;
extern const fastnn_ops OPS_TABLE;
const fastnn_ops OPS_TABLE = {
    .fuses = FUSES,
    .multiplies_pairs = MULTIPLIES_PAIRS,
    .multiplies_tiles = MULTIPLIES_TILES,
    .prefers_strips = TILE_PANELS == 2 && FASTNN_BITS == 64,
    FASTNN_LEAVES(LEAF_ENTRY)
#if FASTNN_BITS == 32
    FASTNN_FLOAT_LEAVES(LEAF_ENTRY)
#endif
    .tiny_steps = TINY_STEPS,
    .activations = activations,
    .losses = losses,
    .losses_by_output = losses_by_output,
    .optimizers = optimizers,
    .functions = functions,
};
/* clang-format on */
