# Metrics of a whole set of rows, as metrics.py defines them, in double precision whatever the
# network's. Sums are pairwise, in the order that NumPy's have today; summed here, they stay the
# same with every NumPy. Not here: which rows are judged when (tasks.pxd), and the checks of what
# users pass (metrics.py).

from libc.math cimport NAN, fabs
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort

from fastnn.engine.leaves cimport real

cdef enum MetricKind:             # names as in metrics.py, but for
    ACCURACY
    TOP_K_ACCURACY
    R2
    MAE
    MSE
    ROC_AUC
    ALL_CORRECT                   # the fraction of rows all of whose outputs are correct

cdef struct Metric:
    MetricKind kind
    Py_ssize_t k                  # of TOP_K_ACCURACY
    bint are_classes              # targets are classes: labels, or the largest of each row of T
    const double *targets         # (rows, n_out) in place of T, or NULL

cdef struct Judged:               # rows and their outputs
    Py_ssize_t n, n_out
    const real *y                 # (n, n_out) outputs
    const real *T                 # (rows, n_out) targets, or NULL:
    const int64_t *labels         # (rows,) classes
    const int64_t *order          # (n,) their rows in T and labels; NULL: 0, 1, ...
    const double *w               # (n, n_weights), from 0 to 1
    Py_ssize_t n_weights          # of a row: 1, or one for each output; 0: the row has weight 1
    double *room                  # judging_room

cdef struct Scored:
    double score
    Py_ssize_t place


cdef inline Py_ssize_t judging_room(Py_ssize_t n, Py_ssize_t n_out) noexcept nogil:
    """Numbers that a metric of n rows needs room for."""
    return n * max(<Py_ssize_t>4, n_out) + 2 * n_out


cdef inline double value_of(const Metric *metric, const Judged *rows) noexcept nogil:
    """The metric of n rows, at least one."""
    if metric.kind == R2 or metric.kind == ROC_AUC:
        return mean_of_outputs(metric, rows)
    if metric.kind == MAE or metric.kind == MSE:
        return mean_of_terms(metric, rows)
    if metric.kind == ACCURACY and not metric.are_classes:
        return mean_of_terms(metric, rows)
    return fraction_of_rows(metric, rows)


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
    """The place of the largest number, the first of equal ones."""
    cdef Py_ssize_t i, best = 0
    for i in range(1, n):
        if y[i] > y[best]:
            best = i
    return best


cdef inline Py_ssize_t label(const Judged *rows, Py_ssize_t i) noexcept nogil:
    """The class of a row."""
    if rows.labels != NULL:
        return rows.labels[row_of(rows, i)]
    return largest(rows.T + row_of(rows, i) * rows.n_out, rows.n_out)


cdef inline double weight_of(const Judged *rows, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    """The weight of a row in an output."""
    if rows.n_weights == 0:
        return 1.0
    return rows.w[i] if rows.n_weights == 1 else rows.w[i * rows.n_out + k]


# ---- sums ---------------------------------------------------------------------------------------

cdef inline double pairwise(const double *a, Py_ssize_t n) noexcept nogil:
    """The sum of n numbers: of halves, down to 128 or fewer, which are added in 8 lines."""
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
    """The mean of n numbers by these weights, NULL for none; the numbers are overwritten."""
    cdef Py_ssize_t i
    if w == NULL:
        return pairwise(terms, n) / n
    for i in range(n):
        terms[i] *= w[i]
    return pairwise(terms, n) / pairwise(w, n)


# ---- metrics of rows ----------------------------------------------------------------------------

cdef inline double fraction_of_rows(const Metric *metric, const Judged *rows) noexcept nogil:
    """The fraction of rows that are correct, by their weights."""
    cdef Py_ssize_t i
    for i in range(rows.n):
        rows.room[i] = is_correct(metric, rows, i)
    return average(rows.room, rows.w if rows.n_weights == 1 else NULL, rows.n)


cdef inline bint is_correct(const Metric *metric, const Judged *rows, Py_ssize_t i) noexcept nogil:
    cdef const real *y = rows.y + i * rows.n_out
    cdef Py_ssize_t k, own, ahead = 0
    if metric.kind == ALL_CORRECT:
        for k in range(rows.n_out):
            if (y[k] > 0.5) != (target(metric, rows, i, k) > 0.5):
                return False
        return True
    own = label(rows, i)
    if metric.kind == ACCURACY:
        return largest(y, rows.n_out) == own
    for k in range(rows.n_out):
        ahead += y[k] > y[own] or (y[k] == y[own] and k < own)
    return ahead < metric.k


# ---- metrics of single outputs ------------------------------------------------------------------

cdef inline double mean_of_terms(const Metric *metric, const Judged *rows) noexcept nogil:
    """The mean over rows and outputs of a term of each."""
    cdef double *room = rows.room
    cdef double *terms
    cdef Py_ssize_t i, n = rows.n, m = rows.n_out
    if rows.n_weights > 1:
        for i in range(n):
            take_terms(metric, rows, i, room + i * m)
        return average(room, rows.w, n * m)
    terms = room + n
    for i in range(n):
        take_terms(metric, rows, i, terms)
        room[i] = pairwise(terms, m) / m
    return average(room, rows.w if rows.n_weights == 1 else NULL, n)


cdef inline void take_terms(const Metric *metric, const Judged *rows, Py_ssize_t i,
                            double *terms) noexcept nogil:
    """The terms of a row's outputs."""
    cdef Py_ssize_t k
    cdef double t, y, e
    for k in range(rows.n_out):
        t, y = target(metric, rows, i, k), rows.y[i * rows.n_out + k]
        e = t - y
        if metric.kind == MAE:
            terms[k] = fabs(e)
        elif metric.kind == MSE:
            terms[k] = e * e
        else:
            terms[k] = (y > 0.5) == (t > 0.5)


cdef inline double mean_of_outputs(const Metric *metric, const Judged *rows) noexcept nogil:
    """The mean over outputs, or over classes, of a value of each."""
    cdef Py_ssize_t k, first = 0, n = rows.n_out
    cdef double *values = rows.room + judging_room(rows.n, rows.n_out) - rows.n_out
    if metric.kind == ROC_AUC and metric.are_classes and rows.n_out == 2:
        first, n = 1, 1
    for k in range(n):
        if metric.kind == R2:
            values[k] = r2(metric, rows, k)
        else:
            values[k] = area(metric, rows, first + k)
    return pairwise(values, n) / n


cdef inline double r2(const Metric *metric, const Judged *rows, Py_ssize_t k) noexcept nogil:
    """1 - squared errors / squared deviations from the mean, of an output."""
    cdef double *e = rows.room
    cdef double *t = e + rows.n
    cdef double *products = t + rows.n
    cdef double *own = products + rows.n
    cdef const double *w = own if rows.n_weights > 0 else NULL
    cdef Py_ssize_t i, n = 0
    cdef double most = 0.0, mean
    cdef bint exact = True
    for i in range(rows.n):
        own[n] = weight_of(rows, i, k)
        if own[n] > 0:
            t[n] = target(metric, rows, i, k)
            e[n] = t[n] - <double>rows.y[i * rows.n_out + k]
            n += 1
    if n < 2:
        return NAN
    mean = t[0]                   # constant targets become 0, to the bit
    for i in range(n):
        t[i] -= mean
        most = max(most, fabs(t[i]))
        exact = exact and e[i] == 0
    if most == 0:
        return <double>exact
    for i in range(n):            # squares then neither overflow nor vanish
        e[i] /= most
        t[i] /= most
        products[i] = t[i]
    mean = average(products, w, n)
    for i in range(n):
        t[i] -= mean
        e[i] *= e[i]
        t[i] *= t[i]
    return 1.0 - average(e, w, n) / average(t, w, n)


# ---- the area under the ROC curve ---------------------------------------------------------------

cdef inline int by_score(const void *one, const void *other) noexcept nogil:
    """Ascending scores; of equal ones ascending places."""
    cdef const Scored *a = <const Scored *>one
    cdef const Scored *b = <const Scored *>other
    if a.score != b.score:
        return 1 if a.score > b.score else -1
    return 1 if a.place > b.place else -1


cdef inline double area(const Metric *metric, const Judged *rows, Py_ssize_t k) noexcept nogil:
    """Of an output, or of a class against the rest. Without weights its terms are multiples of 1/2,
    so that their sum is exact."""
    cdef Scored *all = <Scored *>rows.room
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
