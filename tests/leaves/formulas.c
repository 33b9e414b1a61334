/* formulas.c - see formulas.h. The mathematics is that of fastnn/reference/. */
#include "formulas.h"
#include "harness.h"

#include <float.h>
#include <math.h>
#include <string.h>

static double sigmoid(double a) {
    double e = exp(-fabs(a));
    return (a >= 0 ? 1 : e) / (1 + e);
}

static double normal_cdf(double x) { return erfc(-x * sqrt(0.5)) / 2; }

static double normal_density(double x) { return exp(-x * x / 2) / sqrt(8 * atan(1)); }

static double softplus(double a) { return fmax(a, 0) + log1p(exp(-fabs(a))); }

/* ---- activations: value, slope ---- */

#define VALUE(NAME, FORMULA)                                                                       \
    static double NAME##_value(double a, double alpha) {                                           \
        (void)a, (void)alpha;                                                                      \
        return FORMULA;                                                                            \
    }
#define SLOPE(NAME, FORMULA)                                                                       \
    static double NAME##_slope(double a, double alpha) {                                           \
        (void)a, (void)alpha;                                                                      \
        return FORMULA;                                                                            \
    }

static const double selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772;

VALUE(identity, a)
SLOPE(identity, 1)
VALUE(sigmoid, sigmoid(a))
SLOPE(sigmoid, sigmoid(a) * sigmoid(-a))
VALUE(tanh, tanh(a))
SLOPE(tanh, 1 - tanh(a) * tanh(a))
VALUE(relu, a <= 0 ? 0 : a)
SLOPE(relu, a > 0)
VALUE(leaky_relu, a > 0 ? a : alpha * a)
SLOPE(leaky_relu, a > 0 ? 1 : alpha)
VALUE(elu, a > 0 ? a : alpha * expm1(a))
SLOPE(elu, a > 0 ? 1 : alpha * exp(a))
VALUE(selu, selu_scale *elu_value(a, selu_alpha))
SLOPE(selu, selu_scale *elu_slope(a, selu_alpha))
VALUE(exp, exp(a))
SLOPE(exp, exp(a))
VALUE(gelu, a *normal_cdf(a))
SLOPE(gelu, normal_cdf(a) + a * normal_density(a))
VALUE(silu, a *sigmoid(a))
SLOPE(silu, sigmoid(a) + a * sigmoid(a) * sigmoid(-a))
VALUE(softplus, softplus(a))
SLOPE(softplus, sigmoid(a))

static double gelu_tanh_gate(double a) {
    return sigmoid(4 / sqrt(8 * atan(1)) * (a + 0.044715 * a * a * a));
}

static double hard_sigmoid(double a) { return a <= -3 ? 0 : a >= 3 ? 1 : (a + 3) / 6; }

/* tanh(softplus(a)), without loss on the left. */
static double mish_gate(double a) {
    double u = exp(a) * (exp(a) + 2);
    return a > 0 ? tanh(softplus(a)) : u / (u + 2);
}

VALUE(gelu_tanh, a *gelu_tanh_gate(a))
SLOPE(gelu_tanh, gelu_tanh_gate(a) + a * gelu_tanh_gate(a) * gelu_tanh_gate(-a) * 4 /
                                         sqrt(8 * atan(1)) * (1 + 3 * 0.044715 * a * a))
VALUE(mish, a *mish_gate(a))
SLOPE(mish, mish_gate(a) + a * (1 - mish_gate(a) * mish_gate(a)) * sigmoid(a))
VALUE(relu6, a <= 0 ? 0 : a >= 6 ? 6 : a)
SLOPE(relu6, a > 0 && a < 6)
VALUE(hard_tanh, a <= -1 ? -1 : a >= 1 ? 1 : a)
SLOPE(hard_tanh, fabs(a) < 1)
VALUE(hard_sigmoid, hard_sigmoid(a))
SLOPE(hard_sigmoid, fabs(a) < 3 ? 1.0 / 6 : 0)
VALUE(hard_silu, a <= -3 ? 0 : a * hard_sigmoid(a))
SLOPE(hard_silu, a <= -3 ? 0 : a > 3 ? 1 : a / 3 + 0.5)

#define ACTIVATION(NAME) {#NAME, NAME##_value, NAME##_slope}
static const activation_formula activations[] = {
    ACTIVATION(identity),   ACTIVATION(sigmoid), ACTIVATION(tanh),      ACTIVATION(relu),
    ACTIVATION(leaky_relu), ACTIVATION(elu),     ACTIVATION(selu),      ACTIVATION(exp),
    ACTIVATION(gelu),       ACTIVATION(silu),    ACTIVATION(softplus),  ACTIVATION(gelu_tanh),
    ACTIVATION(mish),       ACTIVATION(relu6),   ACTIVATION(hard_tanh), ACTIVATION(hard_sigmoid),
    ACTIVATION(hard_silu),
};

const activation_formula *find_activation_formula(const char *name) {
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0) return &activations[i];
    fail("formulas.c has no activation %s", name);
    return NULL;
}

void softmax_formula(ptrdiff_t n, const double *a, double *y) {
    double max = a[0], sum = 0;
    for (ptrdiff_t c = 1; c < n; c++) max = fmax(max, a[c]);
    for (ptrdiff_t c = 0; c < n; c++) sum += y[c] = exp(a[c] - max);
    for (ptrdiff_t c = 0; c < n; c++) y[c] /= sum;
}

/* ---- losses ---- */

static double cross_entropy(ptrdiff_t n, const double *a, const double *t, const double *smoothing,
                            double *slope) {
    double max = a[0], sum = 0, loss = 0;
    for (ptrdiff_t c = 1; c < n; c++) max = fmax(max, a[c]);
    for (ptrdiff_t c = 0; c < n; c++) sum += exp(a[c] - max);
    softmax_formula(n, a, slope);
    for (ptrdiff_t c = 0; c < n; c++) {
        double s = smoothing ? smoothing[c] : 0, target = t[c] + s * (1.0 / (double)n - t[c]);
        loss += target * (log(sum) + max - a[c]);
        slope[c] -= target;
    }
    return loss;
}

/* Means, then logarithms of variances. */
static double gaussian_nll(ptrdiff_t n, const double *y, const double *t, double *slope) {
    double loss = 0;
    slope[n - 1] = 0; /* of an odd column, which belongs to no target */
    for (ptrdiff_t k = 0, s = n / 2; k < n / 2; k++, s++) {
        double r = y[k] - t[k], precision = r == 0 ? 1 : exp(-y[s]);
        loss += (y[s] + r * r * precision) / 2;
        slope[k] = r * precision;
        slope[s] = (1 - r * r * precision) / 2;
    }
    return loss;
}

/* The loss of one output. */
static double loss_of(const fastnn_loss *loss, double y, double t, double parameter,
                      double *slope) {
    const char *name = loss->name;
    double r = y - t, a = y;
    if (strcmp(name, "squared_error") == 0) {
        *slope = r;
        return r * r / 2;
    }
    if (strcmp(name, "absolute_error") == 0) {
        *slope = (r > 0) - (r < 0);
        return fabs(r);
    }
    if (strcmp(name, "huber") == 0) {
        *slope = fmax(-parameter, fmin(parameter, r));
        return fabs(r) <= parameter ? r * r / 2 : parameter * (fabs(r) - parameter / 2);
    }
    if (strcmp(name, "quantile") == 0) {
        *slope = r < 0 ? -parameter : r > 0 ? 1 - parameter : 0;
        return *slope * r;
    }
    if (strcmp(name, "linear") == 0) {
        *slope = t;
        return t * y;
    }
    if (strcmp(name, "poisson") == 0 && strcmp(loss->activation, "exp") == 0) {
        *slope = exp(a) - t;
        return exp(a) - t * a;
    }
    if (strcmp(name, "poisson") == 0 && strcmp(loss->activation, "softplus") == 0) {
        *slope = sigmoid(a) * (1 - t / softplus(a));
        return softplus(a) - t * log(softplus(a));
    }
    if (strcmp(name, "binary_cross_entropy") == 0) {
        t += parameter * (0.5 - t); /* label smoothing */
        *slope = sigmoid(a) - t;
        return softplus(a) - t * a;
    }
    fail("formulas.c has no loss %s", name);
    return *slope = NAN;
}

double loss_formula(const fastnn_loss *loss, ptrdiff_t n, const double *y_or_a, const double *t,
                    const double *parameter, double *slope) {
    if (strcmp(loss->name, "cross_entropy") == 0)
        return cross_entropy(n, y_or_a, t, parameter, slope);
    if (strcmp(loss->name, "gaussian_nll") == 0) return gaussian_nll(n, y_or_a, t, slope);
    double sum = 0;
    for (ptrdiff_t c = 0; c < n; c++)
        sum += loss_of(loss, y_or_a[c], t[c], parameter ? parameter[c] : 0, &slope[c]);
    return sum;
}

bool draws_parameter(const fastnn_loss *loss) {
    if (strcmp(loss->name, "huber") == 0 || strcmp(loss->name, "quantile") == 0) return true;
    return strstr(loss->name, "cross_entropy") != NULL && random_below(2); /* label smoothing */
}

double random_target(const fastnn_loss *loss) {
    return loss->activation ? uniform(0, 1) : uniform(-2, 2);
}

/* ---- update rules ---- */

/* The new moments of Adam, and w less its change; `rate` is negative where steps go up. */
static void update_adam(const char *name, const fastnn_hyper *hyper, double rate, double t,
                        double g, double *state, double *magnitude) {
    magnitude[1] = fabs(state[1]) + fabs(g);
    magnitude[2] = state[2] + g * g;
    state[1] = hyper->beta_1 * state[1] + (1 - hyper->beta_1) * g;
    state[2] = hyper->beta_2 * state[2] + (1 - hyper->beta_2) * g * g;
    double v = state[2];
    if (*name == 'a' && name[2] == 's') { /* amsgrad */
        v = state[3] = fmax(state[3], state[2]);
        magnitude[3] = v;
    }
    double correction_1 = 1 - pow(hyper->beta_1, t), correction_2 = 1 - pow(hyper->beta_2, t);
    double epsilon = hyper->epsilon / (hyper->epsilon_hat ? sqrt(correction_2) : 1);
    rate /= correction_1 * (sqrt(v / correction_2) + epsilon);
    magnitude[0] += fabs(rate) * magnitude[1];
    state[0] -= rate * state[1];
}

static double nadam_momentum(const fastnn_hyper *hyper, double t) {
    return hyper->beta_1 * (1 - pow(0.96, t * hyper->momentum_decay) / 2);
}

static void update_nadam(const fastnn_hyper *hyper, double rate, double t, double g, double *state,
                         double *magnitude) {
    double mu = nadam_momentum(hyper, t), next = nadam_momentum(hyper, t + 1), product = 1;
    for (double i = 1; i <= t; i++) product *= nadam_momentum(hyper, i);
    magnitude[1] = fabs(state[1]) + fabs(g);
    magnitude[2] = state[2] + g * g;
    state[1] = hyper->beta_1 * state[1] + (1 - hyper->beta_1) * g;
    state[2] = hyper->beta_2 * state[2] + (1 - hyper->beta_2) * g * g;
    double of_m = next / (1 - product * next), of_g = (1 - mu) / (1 - product);
    rate /= sqrt(state[2] / (1 - pow(hyper->beta_2, t))) + hyper->epsilon;
    magnitude[0] += fabs(rate) * (of_m * magnitude[1] + of_g * fabs(g));
    state[0] -= rate * (of_m * state[1] + of_g * g);
}

static void update_lion(const fastnn_hyper *hyper, double rate, double g, double *state,
                        double *magnitude) {
    double c = hyper->beta_1 * state[1] + (1 - hyper->beta_1) * g;
    magnitude[0] += fabs(rate);
    magnitude[1] = fabs(state[1]) + fabs(g);
    state[0] -= rate * ((c > 0) - (c < 0));
    state[1] = hyper->beta_2 * state[1] + (1 - hyper->beta_2) * g;
}

/* The rate of the t-th step over the largest, and the weight of its z among those until then. */
static double warmed(const fastnn_hyper *hyper, double t) {
    return t < hyper->warmup_steps ? t / hyper->warmup_steps : 1;
}

static void update_schedule_free(const fastnn_hyper *hyper, bool decays, double rate, double t,
                                 double g, double *state, double *magnitude) {
    double slow = warmed(hyper, t), sum = 0;
    for (double i = 1; i <= t; i++) sum += warmed(hyper, i) * warmed(hyper, i);
    double decay = decays ? slow * hyper->learning_rate * hyper->weight_decay * state[0] : 0;
    magnitude[2] = state[2] + g * g;
    state[2] = hyper->beta_2 * state[2] + (1 - hyper->beta_2) * g * g;
    double root = sqrt(state[2] / (1 - pow(hyper->beta_2, t))) + hyper->epsilon;
    double change = slow * rate * g / root;
    magnitude[1] = fabs(state[1]) + fabs(change) + fabs(state[0]); /* 1 - lr decay is rounded */
    state[1] -= change + decay;
    magnitude[0] = magnitude[3] = fabs(state[3]) + 2 * magnitude[1];
    state[3] += slow * slow / sum * (state[1] - state[3]);
    state[0] = state[1] + hyper->beta_1 * (state[3] - state[1]);
}

/* v <- momentum v - down;  w <- w + v, or w + momentum v - down; `size` is down's magnitude. */
static void update_velocity(const fastnn_hyper *hyper, double down, double size, bool nesterov,
                            double *state, double *v, double *magnitude, double *v_magnitude) {
    *v_magnitude = fabs(hyper->momentum * *v) + size;
    *v = hyper->momentum * *v - down;
    magnitude[0] += *v_magnitude + (nesterov ? size : 0);
    state[0] += nesterov ? hyper->momentum * *v - down : *v;
}

/* The moments of RMSProp, centered or not, and what it divides by. `*size` becomes how much larger
 * the magnitude of the quotient is than its value: a difference of two moments loses digits. */
static double rmsprop_root(const fastnn_hyper *hyper, bool centered, double g, double *state,
                           double *magnitude, double *size) {
    magnitude[1] = state[1] + g * g;
    state[1] = hyper->rho * state[1] + (1 - hyper->rho) * g * g;
    *size = 1;
    if (!centered) return sqrt(state[1]) + hyper->epsilon;
    magnitude[2] = fabs(state[2]) + fabs(g);
    state[2] = hyper->rho * state[2] + (1 - hyper->rho) * g;
    double sum = magnitude[1] + magnitude[2] * magnitude[2];
    double root = sqrt(fmax(0, state[1] - state[2] * state[2]));
    double least = sqrt(sum * (FASTNN_BITS == 32 ? FLT_EPSILON : DBL_EPSILON));
    if (sum > 0) *size += 4 * sum / (fmax(root, least) * (root + hyper->epsilon));
    return root + hyper->epsilon;
}

static void update_rmsprop(const fastnn_hyper *hyper, double down, bool centered, bool rolls,
                           double g, double *state, double *magnitude) {
    double size, root = rmsprop_root(hyper, centered, g, state, magnitude, &size);
    double change = down / root;
    int v = centered ? 3 : 2;
    size *= fabs(change);
    if (rolls) {
        update_velocity(hyper, change, size, false, state, state + v, magnitude, magnitude + v);
    } else {
        magnitude[0] += size;
        state[0] -= change;
    }
}

void update_formula(const fastnn_optimizer *optimizer, const fastnn_hyper *hyper, double t,
                    bool decays, double g, double *state, double *magnitude) {
    char name[64] = "";
    strncpy(name, optimizer->name, sizeof name - 1);
    char *suffix = strstr(name, "_decayed");
    double rate = hyper->maximize ? -hyper->learning_rate : hyper->learning_rate, down = rate * g;
    if (strncmp(name, "schedule_free", 13) == 0) {
        update_schedule_free(hyper, decays && suffix, rate, t, g, state, magnitude);
        return;
    }
    magnitude[0] = fabs(state[0]);
    if (suffix) {
        *suffix = 0;
        if (decays) state[0] -= hyper->learning_rate * hyper->weight_decay * state[0];
    }
    if (strcmp(name, "sgd") == 0) {
        magnitude[0] += fabs(down);
        state[0] -= down;
    } else if (strcmp(name, "momentum") == 0 || strcmp(name, "nesterov") == 0) {
        update_velocity(hyper, down, fabs(down), *name == 'n', state, state + 1, magnitude,
                        magnitude + 1);
    } else if (strcmp(name, "adagrad") == 0) {
        magnitude[1] = state[1] += g * g;
        double change = down / (sqrt(state[1]) + hyper->epsilon);
        magnitude[0] += fabs(change);
        state[0] -= change;
    } else if (strncmp(name, "rmsprop", 7) == 0) {
        update_rmsprop(hyper, down, strstr(name, "_centered"), strstr(name, "_momentum"), g, state,
                       magnitude);
    } else if (strcmp(name, "adam") == 0 || strcmp(name, "amsgrad") == 0) {
        update_adam(name, hyper, rate, t, g, state, magnitude);
    } else if (strcmp(name, "nadam") == 0) {
        update_nadam(hyper, rate, t, g, state, magnitude);
    } else if (strcmp(name, "lion") == 0) {
        update_lion(hyper, rate, g, state, magnitude);
    } else
        fail("formulas.c has no optimizer %s", name);
}

/* ---- functions ---- */

/* Quarters of a turn are subtracted exactly: near a zero, the rounding of an angle would be felt.
 */
static double sine_of_turns(double t) {
    double quarters = floor(4 * t + 0.5), angle = 6.283185307179586476925 * (t - quarters / 4);
    switch ((int)(quarters - 4 * floor(quarters / 4))) {
    case 0: return sin(angle);
    case 1: return cos(angle);
    case 2: return -sin(angle);
    default: return -cos(angle);
    }
}

static double cosine_of_turns(double t) {
    double quarters = floor(4 * t + 0.5), angle = 6.283185307179586476925 * (t - quarters / 4);
    switch ((int)(quarters - 4 * floor(quarters / 4))) {
    case 0: return cos(angle);
    case 1: return -sin(angle);
    case 2: return -cos(angle);
    default: return sin(angle);
    }
}

static const function_formula functions[] = {
    {"exp", exp, -80, 80},
    {"expm1", expm1, -80, 80},
    {"log", log, 1e-30, 1e6},
    {"log1p", log1p, 0, 1e6},
    {"tanh", tanh, -20, 20},
    {"sigmoid", sigmoid, -80, 80},
    {"normal_cdf", normal_cdf, -10, 10},
    {"normal_density", normal_density, -10, 10},
    {"sqrt", sqrt, 0, 1e6},
    {"sine_of_turns", sine_of_turns, -1000, 1000},
    {"cosine_of_turns", cosine_of_turns, -1000, 1000},
};

const function_formula *find_function_formula(const char *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0) return &functions[i];
    fail("formulas.c has no function %s", name);
    return NULL;
}
