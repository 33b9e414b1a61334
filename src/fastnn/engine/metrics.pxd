# Metrics over a whole set of rows, as metrics/ defines them, in double precision for networks of
# either precision. Sums are pairwise, in the order that NumPy uses today; because they are computed
# here, they do not change with NumPy's version. Not here: when metrics are computed, and of which
# rows (epochs.pxd); checks of users' arguments (metrics/).

from libc.math cimport NAN, fabs, fmax, fmin
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort
from libc.string cimport memset

from fastnn.engine.leaves cimport fastnn_log2, real

cdef enum MetricKind:             # named as in metrics/, except for ALL_CORRECT
    ACCURACY
    TOP_K_ACCURACY
    R2
    MAE
    MSE
    ROC_AUC
    PRECISION
    RECALL
    F1
    BALANCED_ACCURACY
    LOG_LOSS
    ALL_CORRECT                   # the fraction of rows all of whose outputs are correct

cdef struct Metric:
    MetricKind kind
    Py_ssize_t k                  # of TOP_K_ACCURACY
    bint is_macro                 # of PRECISION, RECALL, F1: average over classes even if two
    double zero_division          # of the same metrics: the value of 0 / 0
    bint are_classes              # targets are classes: labels, or rows of probabilities
    const double *targets         # (rows, n_out) to use instead of T, or NULL

cdef struct Judged:               # rows and their outputs
    Py_ssize_t n, n_out
    const real *y                 # (n, n_out) outputs
    const real *T                 # (rows, n_out) targets, or NULL if there are labels
    const int64_t *labels         # (rows,) classes, or NULL
    const int64_t *order          # (n,) the row of T or labels for each output; NULL: 0, 1, ...
    const double *w               # (n, n_weights) sample weights, from 0 to 1
    Py_ssize_t n_weights          # per row: 1, or one for each output; 0: all weights are 1
    double *scratch               # (metric_scratch_size(n, n_out),) scratch memory

cdef struct Confusion:            # of one class; each number is a total weight of rows
    double hits                   # rows of the class that are predicted as the class
    double predicted
    double actual

cdef struct Scored:
    double score
    Py_ssize_t place


cdef inline Py_ssize_t metric_scratch_size(Py_ssize_t n, Py_ssize_t n_out) noexcept nogil:
    """The size of the scratch memory that a metric of n rows needs, in doubles."""
    return n * max(<Py_ssize_t>4, n_out) + 2 * n_out


cdef inline double value_of(const Metric *metric, const Judged *rows) noexcept nogil:
    """The value of a metric for one row or more."""
    if metric.kind == R2 or metric.kind == ROC_AUC:
        return mean_of_outputs(metric, rows)
    if metric.kind in (PRECISION, RECALL, F1, BALANCED_ACCURACY):
        return from_confusions(metric, rows)
    if metric.kind == MAE or metric.kind == MSE:
        return mean_of_terms(metric, rows)
    if metric.kind in (ACCURACY, LOG_LOSS) and not metric.are_classes:
        return mean_of_terms(metric, rows)
    return mean_of_rows(metric, rows)


# ---- rows ---------------------------------------------------------------------------------------

cdef inline bint has_nan(const Judged *rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows.n * rows.n_out):
        if rows.y[i] != rows.y[i]:
            return True
    return False


cdef inline Py_ssize_t row_of(const Judged *rows, Py_ssize_t i) noexcept nogil:
    return i if rows.order == NULL else rows.order[i]


cdef inline double target(const Metric *metric, const Judged *rows, Py_ssize_t i,
                          Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t at = row_of(rows, i) * rows.n_out + k
    return <double>rows.T[at] if metric.targets == NULL else metric.targets[at]


cdef inline Py_ssize_t largest(const real *y, Py_ssize_t n) noexcept nogil:
    """The index of the largest of n numbers, the first one among equal numbers."""
    cdef Py_ssize_t i, best = 0
    for i in range(1, n):
        if y[i] > y[best]:
            best = i
    return best


cdef inline Py_ssize_t label(const Judged *rows, Py_ssize_t i) noexcept nogil:
    """The true class of row i, the most probable one if its target is a row of probabilities."""
    if rows.labels != NULL:
        return rows.labels[row_of(rows, i)]
    return largest(rows.T + row_of(rows, i) * rows.n_out, rows.n_out)


cdef inline double weight_of(const Judged *rows, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    """The sample weight of output k of row i."""
    if rows.n_weights == 0:
        return 1.0
    return rows.w[i] if rows.n_weights == 1 else rows.w[i * rows.n_out + k]


# ---- sums ---------------------------------------------------------------------------------------

cdef inline double pairwise(const double *a, Py_ssize_t n) noexcept nogil:
    """The sum of n numbers by halves, down to blocks of up to 128 summed in 8 accumulators."""
    cdef double[8] lines
    cdef double total = 0.0
    cdef Py_ssize_t i, j, half
    if n < 8:
        for i in range(n):
            total += a[i]
        return total
    if n > 128:
        half = n // 2
        half -= half % 8
        return pairwise(a, half) + pairwise(a + half, n - half)
    for j in range(8):
        lines[j] = a[j]
    i = 8
    while i < n - n % 8:
        for j in range(8):
            lines[j] += a[i + j]
        i += 8
    total = (((lines[0] + lines[1]) + (lines[2] + lines[3]))
             + ((lines[4] + lines[5]) + (lines[6] + lines[7])))
    while i < n:
        total += a[i]
        i += 1
    return total


cdef inline double average(double *terms, const double *w, Py_ssize_t n) noexcept nogil:
    """The mean of `terms` (n,) with weights w (n,), or NULL for none; overwrites `terms`."""
    cdef Py_ssize_t i
    if w == NULL:
        return pairwise(terms, n) / n
    for i in range(n):
        terms[i] *= w[i]
    return pairwise(terms, n) / pairwise(w, n)


# ---- metrics of rows ----------------------------------------------------------------------------

cdef inline double mean_of_rows(const Metric *metric, const Judged *rows) noexcept nogil:
    """The weighted mean over rows of the log loss, or of whether the prediction is correct."""
    cdef Py_ssize_t i
    for i in range(rows.n):
        if metric.kind == LOG_LOSS:
            rows.scratch[i] = log_loss(metric, rows, i)
        else:
            rows.scratch[i] = is_correct(metric, rows, i)
    return average(rows.scratch, rows.w if rows.n_weights == 1 else NULL, rows.n)


cdef inline double log_loss(const Metric *metric, const Judged *rows,
                            Py_ssize_t i) noexcept nogil:
    """-log y_t of row i with label t, or -sum_k t_k log y_k with a row t of probabilities."""
    cdef const real *y = rows.y + i * rows.n_out
    cdef Py_ssize_t k
    cdef double t, total = -0.0   # so that a one-hot row has the bits of its label, also of -0
    if rows.labels != NULL:
        return log_inverse(y[label(rows, i)])
    for k in range(rows.n_out):
        t = target(metric, rows, i, k)
        if t != 0:
            total += t * log_inverse(y[k])
    return total


cdef inline double log_inverse(double y) noexcept nogil:
    """-log y of a probability, clipped to [eps, 1] with eps of the outputs' precision."""
    cdef double eps = 2.0 ** -23 if sizeof(real) == 4 else 2.0 ** -52
    return -fastnn_log2(fmin(fmax(y, eps), 1.0)) * 0.6931471805599453


cdef inline bint is_correct(const Metric *metric, const Judged *rows, Py_ssize_t i) noexcept nogil:
    cdef const real *y = rows.y + i * rows.n_out
    cdef Py_ssize_t k, actual, ahead = 0
    if metric.kind == ALL_CORRECT:
        for k in range(rows.n_out):
            if (y[k] > 0.5) != (target(metric, rows, i, k) > 0.5):
                return False
        return True
    actual = label(rows, i)
    if metric.kind == ACCURACY:
        return largest(y, rows.n_out) == actual
    for k in range(rows.n_out):
        ahead += y[k] > y[actual] or (y[k] == y[actual] and k < actual)
    return ahead < metric.k


# ---- metrics of single outputs ------------------------------------------------------------------

cdef inline double mean_of_terms(const Metric *metric, const Judged *rows) noexcept nogil:
    """The weighted mean over rows and outputs of the terms from `compute_terms`."""
    cdef double *scratch = rows.scratch
    cdef double *terms
    cdef Py_ssize_t i, n = rows.n, m = rows.n_out
    if rows.n_weights > 1:
        for i in range(n):
            compute_terms(metric, rows, i, scratch + i * m)
        return average(scratch, rows.w, n * m)
    terms = scratch + n
    for i in range(n):
        compute_terms(metric, rows, i, terms)
        scratch[i] = pairwise(terms, m) / m
    return average(scratch, rows.w if rows.n_weights == 1 else NULL, n)


cdef inline void compute_terms(const Metric *metric, const Judged *rows, Py_ssize_t i,
                               double *terms) noexcept nogil:
    """Compute the terms (n_out,) of row i, one for each output."""
    cdef Py_ssize_t k
    cdef double t, y, e
    for k in range(rows.n_out):
        t, y = target(metric, rows, i, k), rows.y[i * rows.n_out + k]
        e = t - y
        if metric.kind == MAE:
            terms[k] = fabs(e)
        elif metric.kind == MSE:
            terms[k] = e * e
        elif metric.kind == LOG_LOSS:
            terms[k] = t * log_inverse(y) + (1.0 - t) * log_inverse(1.0 - y)
        else:
            terms[k] = (y > 0.5) == (t > 0.5)


cdef inline double mean_of_outputs(const Metric *metric, const Judged *rows) noexcept nogil:
    """The mean over outputs, or over classes, of R2 or of the area under the ROC curve."""
    cdef Py_ssize_t k, first = 0, n = rows.n_out
    cdef double *values = rows.scratch + metric_scratch_size(rows.n, rows.n_out) - rows.n_out
    if metric.kind == ROC_AUC and metric.are_classes and rows.n_out == 2:
        first, n = 1, 1
    for k in range(n):
        if metric.kind == R2:
            values[k] = r2(metric, rows, k)
        else:
            values[k] = area(metric, rows, first + k)
    return pairwise(values, n) / n


cdef inline double r2(const Metric *metric, const Judged *rows, Py_ssize_t k) noexcept nogil:
    """R2 of output k: 1 - squared errors / squared deviations of the targets from their mean."""
    cdef double *e = rows.scratch
    cdef double *t = e + rows.n
    cdef double *products = t + rows.n
    cdef double *weights = products + rows.n
    cdef const double *w = weights if rows.n_weights > 0 else NULL
    cdef Py_ssize_t i, n = 0
    cdef double most = 0.0, mean
    cdef bint exact = True
    for i in range(rows.n):
        weights[n] = weight_of(rows, i, k)
        if weights[n] > 0:
            t[n] = target(metric, rows, i, k)
            e[n] = t[n] - <double>rows.y[i * rows.n_out + k]
            n += 1
    if n < 2:
        return NAN
    mean = t[0]                   # so that constant targets become exactly 0
    for i in range(n):
        t[i] -= mean
        most = max(most, fabs(t[i]))
        exact = exact and e[i] == 0
    if most == 0:
        return <double>exact
    for i in range(n):            # so that squares neither overflow nor underflow
        e[i] /= most
        t[i] /= most
        products[i] = t[i]
    mean = average(products, w, n)
    for i in range(n):
        t[i] -= mean
        e[i] *= e[i]
        t[i] *= t[i]
    return 1.0 - average(e, w, n) / average(t, w, n)


# ---- metrics of predicted classes ---------------------------------------------------------------

cdef inline double from_confusions(const Metric *metric, const Judged *rows) noexcept nogil:
    """Precision, recall, F1 or balanced accuracy of classes, or its mean over sigmoid outputs, each
    of which is a problem of two classes."""
    cdef Confusion *classes = <Confusion *>rows.scratch
    cdef Py_ssize_t k, n_classes = max(<Py_ssize_t>2, rows.n_out) if metric.are_classes else 2
    cdef Py_ssize_t n_problems = 1 if metric.are_classes else rows.n_out, known = 0
    cdef bint is_mean = n_classes > 2 or metric.kind == BALANCED_ACCURACY
    cdef double value, total = 0.0
    is_mean = is_mean or (metric.is_macro and n_problems == 1)
    for k in range(n_problems):
        count(metric, rows, k, classes, n_classes)
        if is_mean:
            value = mean_of_classes(metric, classes, n_classes)
        else:
            value = ratio(metric, &classes[1])
        if value == value or metric.kind == BALANCED_ACCURACY:  # NaN: an output without rows
            total += value
            known += 1
    return total / known if known > 0 else NAN


cdef inline void count(const Metric *metric, const Judged *rows, Py_ssize_t k, Confusion *classes,
                       Py_ssize_t n_classes) noexcept nogil:
    """Count hits, predictions and true rows of each class; a sigmoid output has classes 0 and 1."""
    cdef Py_ssize_t i, actual, found
    cdef double weight
    memset(classes, 0, n_classes * sizeof(Confusion))
    for i in range(rows.n):
        if metric.are_classes:
            actual, found = label(rows, i), largest(rows.y + i * rows.n_out, rows.n_out)
        else:
            actual, found = target(metric, rows, i, k) > 0.5, rows.y[i * rows.n_out + k] > 0.5
        weight = weight_of(rows, i, k)
        classes[actual].actual += weight
        classes[found].predicted += weight
        if actual == found:
            classes[actual].hits += weight


cdef inline double ratio(const Metric *metric, const Confusion *one) noexcept nogil:
    """The precision, recall or F1 of one class."""
    if metric.kind == PRECISION:
        return one.hits / one.predicted if one.predicted > 0 else metric.zero_division
    if metric.kind == F1 and one.predicted + one.actual > 0:
        return 2.0 * one.hits / (one.predicted + one.actual)
    return one.hits / one.actual if one.actual > 0 else metric.zero_division


cdef inline double mean_of_classes(const Metric *metric, const Confusion *classes,
                                   Py_ssize_t n) noexcept nogil:
    """The mean over the classes that occur among targets or predictions.

    The balanced accuracy takes the classes among the targets only.
    """
    cdef Py_ssize_t k, known = 0
    cdef double value, total = 0.0
    for k in range(n):
        if classes[k].actual == 0 and (classes[k].predicted == 0
                                       or metric.kind == BALANCED_ACCURACY):
            continue
        value = ratio(metric, &classes[k])
        if value == value:
            total += value
            known += 1
    return total / known if known > 0 else NAN


# ---- the area under the ROC curve ---------------------------------------------------------------

cdef inline int by_score(const void *one, const void *other) noexcept nogil:
    """Compare for qsort: by score, and equal scores by place, both ascending."""
    cdef const Scored *a = <const Scored *>one
    cdef const Scored *b = <const Scored *>other
    if a.score != b.score:
        return 1 if a.score > b.score else -1
    return 1 if a.place > b.place else -1


cdef inline double area(const Metric *metric, const Judged *rows, Py_ssize_t k) noexcept nogil:
    """The area under the ROC curve of output k, or of class k against the rest.

    Without weights all terms are multiples of 1/2, so their sum is exact.
    """
    cdef Scored *all = <Scored *>rows.scratch
    cdef Py_ssize_t i, place, n = 0
    cdef double hits = 0.0, misses = 0.0, found = 0.0, tied_hits, tied_misses, weight
    cdef bint positive
    for i in range(rows.n):
        if weight_of(rows, i, k) > 0:
            all[n].score, all[n].place = rows.y[i * rows.n_out + k], i
            n += 1
    qsort(all, n, sizeof(Scored), by_score)
    i = 0
    while i < n:
        tied_hits = tied_misses = 0.0
        place = i
        while i < n and all[i].score == all[place].score:
            if metric.are_classes:
                positive = label(rows, all[i].place) == k
            else:
                positive = target(metric, rows, all[i].place, k) == 1
            weight = weight_of(rows, all[i].place, k)
            if positive:
                tied_hits += weight
            else:
                tied_misses += weight
            i += 1
        hits += tied_hits
        misses += tied_misses
        found += tied_hits * (misses - tied_misses / 2)
    if hits == 0 or misses == 0:
        return NAN
    return min(found / hits / misses, 1.0)
