/* c_source.h - what a network as C source needs besides its weights and the kernels' functions.
 *
 * The functions of vectors, activations and losses are the kernels' own: sections between
 * `c-source` markers of vmath.h, activations.h, losses.h, layer_norm.h and ops.h in engine/simd,
 * which c_sections.py reads. Here are, between the same markers, the sections that cannot come from
 * there:
 *
 * base, in every file: vectors. Those of real.h need the compiler's intrinsics. A vec is, in C with
 * GCC and Clang, as many reals as fit the registers that the compilation may use; in C++, with
 * other compilers, or with FASTNN_SCALAR, it is one real, and the source is plain C99.
 *
 * multiply_add and vsqrt: those of real.h are the hardware's.
 *
 * standardize: the kernels' function works on panels of many rows.
 *
 * affine, dots and their steps: the kernels' products (tile.h) hold tiles of several rows in
 * registers and shuffle vectors as only GCC and Clang can; one row needs another loop. So does
 * layer_norm_step.
 */
/* c-source: begin base */
#include <stddef.h>
#include <stdint.h>

#if FASTNN_BITS == 32
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#else
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
#else
#define INLINE static inline
#endif

#if defined(__GNUC__) && !defined(__cplusplus) && !defined(FASTNN_SCALAR)

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef real vec __attribute__((vector_size(BYTES)));
typedef ireal ivec __attribute__((vector_size(BYTES)));
typedef ureal uvec __attribute__((vector_size(BYTES)));
typedef real stored __attribute__((vector_size(BYTES), may_alias, aligned(sizeof(real))));

INLINE vec load(const real *p) { return *(const stored *)p; }

INLINE void store(real *p, vec x) { *(stored *)p = x; }

INLINE vec splat(real x) { return x - (vec){0}; }

INLINE uvec bits_of(vec x) { return (uvec)x; }

INLINE vec real_of(uvec bits) { return (vec)bits; }

INLINE uvec splat_bits(ureal bits) { return bits - (uvec){0}; }

/* Lane by lane: a where the mask is -1, b where it is 0. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* -1 in the first n lanes (all for n >= LANES, none for n <= 0). */
INLINE ivec lanes_below(ptrdiff_t n) {
    ivec lane = {0};
    for (int i = 0; i < BYTES / (int)sizeof(real); i++) lane[i] = i;
    return lane < (ivec){0} + (ireal)(n < BYTES ? n : BYTES);
}

INLINE real max_lanes(vec x) {
    real max = x[0];
    for (int i = 1; i < BYTES / (int)sizeof(real); i++) max = x[i] > max ? x[i] : max;
    return max;
}

INLINE real sum_lanes(vec x) {
    real sum = 0;
    for (int i = 0; i < BYTES / (int)sizeof(real); i++) sum += x[i];
    return sum;
}

#else

#define BYTES sizeof(real)

typedef real vec;
typedef int ivec;
typedef ureal uvec;

INLINE vec load(const real *p) { return *p; }

INLINE void store(real *p, vec x) { *p = x; }

INLINE vec splat(real x) { return x; }

INLINE uvec bits_of(vec x) {
    union {
        real number;
        ureal bits;
    } both;
    both.number = x;
    return both.bits;
}

INLINE vec real_of(uvec bits) {
    union {
        ureal bits;
        real number;
    } both;
    both.bits = bits;
    return both.number;
}

INLINE uvec splat_bits(ureal bits) { return bits; }

INLINE vec choose(ivec mask, vec a, vec b) { return mask ? a : b; }

INLINE ivec lanes_below(ptrdiff_t n) { return n > 0; }

INLINE real max_lanes(vec x) { return x; }

INLINE real sum_lanes(vec x) { return x; }

#endif

enum {
    LANES = BYTES / sizeof(real), /* reals in a vec */
    PANEL = 64 / sizeof(real),    /* columns are padded to a multiple of this */
    PANEL_VECTORS = PANEL / LANES /* vectors in a panel */
};

/* a where the mask holds, else 0. */
INLINE vec keep(ivec mask, vec a) { return choose(mask, a, splat(0)); }

INLINE vec vmax(vec a, vec b) { return choose(a > b, a, b); }

INLINE vec vmin(vec a, vec b) { return choose(a < b, a, b); }

INLINE vec vabs(vec x) { return real_of(bits_of(x) & ~bits_of(splat((real)-0.0))); }

/* |x| with the sign of y. */
INLINE vec copy_sign(vec x, vec y) {
    uvec sign = bits_of(splat((real)-0.0));
    return real_of((bits_of(x) & ~sign) | (bits_of(y) & sign));
}

/* c-source: end */

/* c-source: begin multiply_add */
INLINE vec multiply_add(vec a, vec b, vec c) { return a * b + c; }
/* c-source: end */

/* c-source: begin vsqrt */
/* The square root of normal numbers above 0. Half way between the bits of x and those of 1 it is
 * right to 7 %; each of Heron's steps squares the error. */
INLINE vec vsqrt(vec x) {
    vec root = real_of((bits_of(x) + bits_of(splat(1))) >> 1);
    for (int i = 0; i < 4; i++) root = splat((real)0.5) * (root + x / root);
    return root;
}
/* c-source: end */

/* c-source: begin standardize */
/* z (n) = (x - mean) / scale; inverse is 1 / scale. */
INLINE void standardize(ptrdiff_t n, const real *x, const real *mean, const real *inverse,
                        real *z) {
    for (ptrdiff_t k = 0; k < n; k++) z[k] = (x[k] - mean[k]) * inverse[k];
}
/* c-source: end */

/* c-source: begin affine */
/* z (columns) = z_prev (n_in) W + b with W (n_in, columns); columns is a multiple of PANEL, b may
 * be NULL. Four vectors of columns at a time, even and odd rows of W apart: eight sums that don't
 * wait for each other. */
INLINE void affine(ptrdiff_t n_in, ptrdiff_t columns, const real *z_prev, const real *W,
                   const real *b, real *z) {
    ptrdiff_t c, k, fours = columns / (4 * LANES) * (4 * LANES);
    for (c = 0; c < fours; c += 4 * LANES) {
        vec s0 = splat(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
        const real *w = W + c;
        for (k = 0; k + 2 <= n_in; k += 2, w += 2 * columns) {
            vec even = splat(z_prev[k]), odd = splat(z_prev[k + 1]);
            s0 += even * load(w);
            s1 += even * load(w + LANES);
            s2 += even * load(w + 2 * LANES);
            s3 += even * load(w + 3 * LANES);
            t0 += odd * load(w + columns);
            t1 += odd * load(w + columns + LANES);
            t2 += odd * load(w + columns + 2 * LANES);
            t3 += odd * load(w + columns + 3 * LANES);
        }
        if (k < n_in) {
            vec last = splat(z_prev[k]);
            s0 += last * load(w);
            s1 += last * load(w + LANES);
            s2 += last * load(w + 2 * LANES);
            s3 += last * load(w + 3 * LANES);
        }
        store(z + c, s0 + t0);
        store(z + c + LANES, s1 + t1);
        store(z + c + 2 * LANES, s2 + t2);
        store(z + c + 3 * LANES, s3 + t3);
    }
    for (c = fours; c < columns; c += LANES) {
        vec s = splat(0), t = s, u = s, v = s;
        const real *w = W + c;
        for (k = 0; k + 4 <= n_in; k += 4, w += 4 * columns) {
            s += splat(z_prev[k]) * load(w);
            t += splat(z_prev[k + 1]) * load(w + columns);
            u += splat(z_prev[k + 2]) * load(w + 2 * columns);
            v += splat(z_prev[k + 3]) * load(w + 3 * columns);
        }
        for (; k < n_in; k++, w += columns) s += splat(z_prev[k]) * load(w);
        store(z + c, (s + t) + (u + v));
    }
    for (c = 0; b != NULL && c < columns; c += LANES) store(z + c, load(z + c) + load(b + c));
}
/* c-source: end */

/* c-source: begin dots */
/* z (n_out) = z_prev (n_in, padded with zeros to `padded`) W^T + b with W (n_out, padded): for few
 * outputs. */
INLINE void dots(ptrdiff_t padded, ptrdiff_t n_out, const real *z_prev, const real *W,
                 const real *b, real *z) {
    for (ptrdiff_t j = 0; j < n_out; j++, W += padded) {
        vec s = splat(0), t = s;
        ptrdiff_t k = 0;
        for (; k + 2 * LANES <= padded; k += 2 * LANES) {
            s += load(z_prev + k) * load(W + k);
            t += load(z_prev + k + LANES) * load(W + k + LANES);
        }
        if (k < padded) s += load(z_prev + k) * load(W + k);
        z[j] = sum_lanes(s + t) + (b == NULL ? 0 : b[j]);
    }
}
/* c-source: end */

/* c-source: begin affine_step */
/* One step of a layer that `affine` computes: delta_prev = W delta, unless it is NULL, with W from
 * before the update W -= rate z_prev^T delta, b -= rate delta. */
INLINE void affine_step(ptrdiff_t n_in, ptrdiff_t columns, real rate, const real *z_prev,
                        const real *delta, real *W, real *b, real *delta_prev) {
    for (ptrdiff_t k = 0; k < n_in; k++, W += columns) {
        vec sum = splat(0), scaled = splat(rate * z_prev[k]);
        for (ptrdiff_t c = 0; c < columns; c += LANES) {
            vec w = load(W + c), d = load(delta + c);
            sum += w * d;
            store(W + c, w - scaled * d);
        }
        if (delta_prev != NULL) delta_prev[k] = sum_lanes(sum);
    }
    for (ptrdiff_t c = 0; b != NULL && c < columns; c += LANES)
        store(b + c, load(b + c) - splat(rate) * load(delta + c));
}
/* c-source: end */

/* c-source: begin dots_step */
/* The same for a layer that `dots` computes. */
INLINE void dots_step(ptrdiff_t padded, ptrdiff_t n_out, real rate, const real *z_prev,
                      const real *delta, real *W, real *b, real *delta_prev) {
    for (ptrdiff_t k = 0; k < padded; k += LANES) {
        vec sum = splat(0), z = load(z_prev + k);
        for (ptrdiff_t j = 0; j < n_out; j++) {
            vec w = load(W + j * padded + k);
            sum += w * splat(delta[j]);
            store(W + j * padded + k, w - splat(rate * delta[j]) * z);
        }
        if (delta_prev != NULL) store(delta_prev + k, sum);
    }
    for (ptrdiff_t j = 0; b != NULL && j < n_out; j++) b[j] -= rate * delta[j];
}
/* c-source: end */

/* c-source: begin normalized_row (needs layer_norm_args) */
/* What a layer normalization of the kernels takes, for one row of `columns` numbers, padded. A
 * prediction keeps neither x^, `unit`, nor its scale: both are NULL. */
INLINE fastnn_layer_norm_args normalized_row(ptrdiff_t columns, real epsilon, const real *gain,
                                             const real *bias, real *unit, real *scale) {
    fastnn_layer_norm_args args;
    args.rows = 1;
    args.columns = columns;
    args.jump = PANEL;
    args.epsilon = epsilon;
    args.gain = gain;
    args.bias = bias;
    args.unit = unit;
    args.scale = scale;
    return args;
}
/* c-source: end */

/* c-source: begin layer_norm_step */
/* gain -= rate x^ delta, bias -= rate delta; columns is a multiple of PANEL. */
INLINE void layer_norm_step(ptrdiff_t columns, real rate, const real *unit, const real *delta,
                            real *gain, real *bias) {
    for (ptrdiff_t c = 0; c < columns; c += LANES) {
        vec scaled = splat(rate) * load(delta + c);
        store(gain + c, load(gain + c) - scaled * load(unit + c));
        store(bias + c, load(bias + c) - scaled);
    }
}
/* c-source: end */

/* c-source: begin one_row (needs loss_args) */
/* What a loss of the kernels takes, for one row of `columns` outputs, padded: y or a, the targets,
 * the loss's parameter or NULL; delta and the loss are the results. */
INLINE fastnn_loss_args one_row(ptrdiff_t columns, const real *y, const real *t,
                                const real *parameter, real *delta, double *loss) {
    static const real one = 1;
    fastnn_loss_args args;
    args.rows = 1;
    args.columns = columns;
    args.jump = PANEL;
    args.y = y;
    args.t = t;
    args.parameter = parameter;
    args.weight = &one;
    args.delta = delta;
    args.loss = loss;
    return args;
}
/* c-source: end */
