/* schedules.h - learning rates as functions of time, in C so that the rate can change with every
 * step of an epoch. To add a schedule, see "Adding to fastnn" in ARCHITECTURE.md.
 *
 * Time t is the number of steps (or of epochs, if the schedule is per epoch) that came before: 0 in
 * the first one. Double precision throughout. Any schedule may begin after a warm-up.
 */
#ifndef FASTNN_SCHEDULES_H
#define FASTNN_SCHEDULES_H

#include <math.h>
#include <stddef.h>

#include "maths.h"

typedef struct {
    const char *name;
    double (*rate)(const double *p, double t);
} fastnn_schedule_rule;

typedef struct {
    const fastnn_schedule_rule *rule; /* NULL: the optimizer's rate, constant */
    double *p;                        /* its parameters, which the owner of the schedule frees */
    double warmup, start; /* a linear warm-up from `start` over `warmup` steps (epochs) */
    int per_epoch;
} fastnn_schedule;

/* p = (rate): constant, after a warm-up or until it is set again */
static double constant_rate(const double *p, double t) {
    (void)t;
    return p[0];
}

/* p = (rate, steps, factor): rate factor^floor(t / steps) */
static double step_decay_rate(const double *p, double t) {
    return p[0] * fastnn_power(p[2], floor(t / p[1]));
}

/* p = (rate, steps, factor): rate factor^(t / steps) */
static double exponential_decay_rate(const double *p, double t) {
    return p[0] * fastnn_power(p[2], t / p[1]);
}

/* p = (n, boundary 1, ..., n, value 0, ..., n): value i where t is above exactly i of the
 * boundaries, which increase */
static double piecewise_constant_decay_rate(const double *p, double t) {
    const double *boundaries = p + 1, *values = boundaries + (ptrdiff_t)p[0];
    while (boundaries < p + 1 + (ptrdiff_t)p[0] && t > *boundaries) boundaries++, values++;
    return *values;
}

/* Half a cosine from `high` at 0 down, or up, to `low` at 1. */
static double half_cosine(double high, double low, double fraction) {
    return low + (high - low) * fastnn_half_cosine(fraction);
}

/* p = (rate, steps, alpha): half a cosine from rate to alpha rate, then constant */
static double cosine_decay_rate(const double *p, double t) {
    return half_cosine(p[0], p[2] * p[0], fmin(t / p[1], 1));
}

/* p = (rate, steps, t_mul, m_mul, alpha): cycles of half a cosine down to alpha rate. Each cycle is
 * t_mul times as long as the one before, and starts m_mul times as far above alpha rate
 * (Loshchilov, Hutter, ICLR 2017: SGDR) */
static double cosine_restarts_rate(const double *p, double t) {
    double length = p[1], low = p[4] * p[0], height = p[0] - low;
    if (p[2] == 1) { /* otherwise lengths grow, and few cycles have passed */
        double cycles = floor(t / length);
        height *= fastnn_power(p[3], cycles);
        t -= cycles * length;
    } else {
        for (; t >= length; length *= p[2], height *= p[3]) t -= length;
    }
    return half_cosine(low + height, low, t / length);
}

/* p = (rate, power): rate / (1 + t)^power */
static double inverse_scaling_rate(const double *p, double t) {
    return p[0] / fastnn_power(1 + t, p[1]);
}

/* p = (peak, steps, fraction, first, last): half a cosine up from `first` to the peak at `fraction`
 * of the steps, half a cosine down to `last` at the last step   (Smith, Topin 2017) */
static double one_cycle_rate(const double *p, double t) {
    double top = p[2] * p[1] - 1, end = p[1] - 1;
    if (t < top) return half_cosine(p[3], p[0], t / top);
    return half_cosine(p[0], p[4], fmin((t - top) / (end - top), 1));
}

static const fastnn_schedule_rule fastnn_schedule_rules[] = {
    {"constant", constant_rate},
    {"step_decay", step_decay_rate},
    {"exponential_decay", exponential_decay_rate},
    {"piecewise_constant_decay", piecewise_constant_decay_rate},
    {"cosine_decay", cosine_decay_rate},
    {"cosine_restarts", cosine_restarts_rate},
    {"inverse_scaling", inverse_scaling_rate},
    {"one_cycle", one_cycle_rate},
    {NULL, NULL},
};

/* The learning rate of the next step, after `step` steps and `epoch` completed epochs. */
static inline double fastnn_learning_rate(const fastnn_schedule *schedule, double step,
                                          double epoch) {
    double t = schedule->per_epoch ? epoch : step;
    if (t < schedule->warmup) {
        double target = schedule->rule->rate(schedule->p, 0);
        return schedule->start + (target - schedule->start) * (t / schedule->warmup);
    }
    return schedule->rule->rate(schedule->p, t - schedule->warmup);
}

#endif
