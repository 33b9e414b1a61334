/* ops.c - one table of leaves, for the precision (FASTNN_BITS) and the instruction set (FASTNN_ISA)
 * that this compilation is for. */
#include "activations.h"
#include "dropout.h"
#include "losses.h"
#include "optimizers.h"
#include "probe.h"
#include "tile.h"
#include "vmath.h"

#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)

#define FUNCTION(NAME)                                                                             \
    static void NAME##_run(ptrdiff_t n, const real *x, real *out) {                                \
        for (ptrdiff_t i = 0; i < n; i += LANES) store(out + i, NAME(load(x + i)));                \
    }

INLINE vec vnormal_density(vec x) {
    vec density;
    vnormal_cdf(x, &density);
    return density;
}

INLINE vec vnormal(vec x) {
    vec density;
    return vnormal_cdf(x, &density);
}

FUNCTION(vexp)
FUNCTION(vexpm1)
FUNCTION(vlog)
FUNCTION(vlog1p)
FUNCTION(vtanh)
FUNCTION(vsigmoid)
FUNCTION(vnormal)
FUNCTION(vnormal_density)

static const fastnn_function functions[] = {
    {"exp", vexp_run},
    {"expm1", vexpm1_run},
    {"log", vlog_run},
    {"log1p", vlog1p_run},
    {"tanh", vtanh_run},
    {"sigmoid", vsigmoid_run},
    {"normal_cdf", vnormal_run},
    {"normal_density", vnormal_density_run},
    {NULL, NULL},
};

extern fastnn_tiny_fn TINY_STEPS;
extern const fastnn_ops OPS_TABLE;
const fastnn_ops OPS_TABLE = {
    .isa = QUOTE(FASTNN_ISA),
    .product = product,
    .narrow = narrow,
    .dots = dots,
    .outer = outer,
    .column_sums = column_sums,
    .transpose = transpose,
    .gather = gather,
    .scatter = scatter,
    .one_hot = one_hot,
    .standardize = standardize,
    .first_nonfinite = first_nonfinite,
    .penalty = penalty,
    .sum_squares = sum_squares,
    .limit = limit,
    .average = average,
    .dropout = dropout,
    .tiny_steps = TINY_STEPS,
    .multiply_adds = multiply_adds,
    .read_all = read_all,
    .activations = activations,
    .losses = losses,
    .optimizers = optimizers,
    .functions = functions,
};
