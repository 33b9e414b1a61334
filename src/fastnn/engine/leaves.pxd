# Declarations for Cython of the C leaves (simd/), the thread pool (pool.h) and the other C code.
# The headers document shapes and meanings; their ptrdiff_t is Py_ssize_t here.

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

cdef extern from "engine/platform/platform.h" nogil:
    void *fastnn_allocate(size_t size)
    void fastnn_free(void *memory)
    int64_t fastnn_now_ns()
    void fastnn_sleep_ns(int64_t ns)
    bint fastnn_allow_tiles()

cdef extern from "engine/simd/real.h":
    ctypedef double real
    cdef enum:
        PANEL

cdef extern from "engine/simd/ops.h":
    cdef enum:
        NARROW

    ctypedef uint32_t fastnn_pair

    ctypedef struct fastnn_activation:
        const char *name
        bint keeps_slope
        void (*forward)(Py_ssize_t n, real alpha, real *z, real *slope) noexcept nogil
        void (*backward)(Py_ssize_t n, real alpha, const real *z, real *delta) noexcept nogil
        void (*row_forward)(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t jump,
                            real *z) noexcept nogil
        void (*row_backward)(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t jump, const real *z,
                             real *delta) noexcept nogil

    ctypedef struct fastnn_loss_args:
        Py_ssize_t rows, columns, jump
        const real *y
        const real *t
        const real *parameter
        const real *weight
        real *delta
        double *loss

    ctypedef struct fastnn_loss:
        const char *name
        const char *activation
        void (*run)(const fastnn_loss_args *args) noexcept nogil

    ctypedef struct fastnn_hyper:
        double learning_rate
        double weight_decay
        double maximize

    cdef enum:
        FASTNN_HYPER_COUNT
    const char *const *fastnn_hyper_names

    ctypedef struct fastnn_step:
        real rate
        real shrink
        Py_ssize_t ahead

    cdef enum:
        PAST

    ctypedef struct fastnn_past:
        fastnn_step step
        real momentum

    ctypedef struct fastnn_row_updates:
        Py_ssize_t panels, jump, block, average
        const fastnn_past *past
        const real *next
        const real *later
        int64_t from_ "from"
        int64_t to
        int n_moments
        bint rests

    ctypedef enum fastnn_row_result:
        ROW_NOT_FINITE
        ROW_FINITE
        ROW_RESTS

    ctypedef struct fastnn_optimizer:
        const char *name
        int n_moments
        bint rests
        bint averages
        void (*prepare)(const fastnn_hyper *hyper, double t, fastnn_step *step) noexcept nogil
        void (*rule)(Py_ssize_t n, const fastnn_step *step, const real *g, real *w,
                     Py_ssize_t block) noexcept nogil
        void (*rank_one)(Py_ssize_t n, const fastnn_step *step, const real *z, const real *delta,
                         real *w, Py_ssize_t block) noexcept nogil
        void (*outer_and_update)(Py_ssize_t rows, Py_ssize_t width, const real *z,
                                 const real *delta, real *g, Py_ssize_t n,
                                 const fastnn_step *step, const real *known, real *w,
                                 Py_ssize_t block) noexcept nogil
        void (*pair_outer_and_update)(Py_ssize_t rows, Py_ssize_t width, const fastnn_pair *z,
                                      const fastnn_pair *delta, real *g, Py_ssize_t n,
                                      const fastnn_step *step, const real *known, real *w,
                                      Py_ssize_t block, fastnn_pair *operands) noexcept nogil
        fastnn_row_result (*update_row)(const fastnn_row_updates *updates, const real *g,
                                        real *w) noexcept nogil

    ctypedef struct fastnn_dropout_args:
        uint64_t seed, step, layer
        double rate
        Py_ssize_t rows, first_row
        Py_ssize_t columns, first_column, units

    ctypedef struct fastnn_layer_norm_args:
        Py_ssize_t rows, columns, jump
        real epsilon
        const real *gain
        const real *bias
        real *unit
        real *scale

    ctypedef struct fastnn_piecewise_args:
        Py_ssize_t rows, columns, panels, jump
        const int32_t *source
        const real *numbers

    ctypedef struct fastnn_tiny_layer:
        Py_ssize_t n_in, n_out
        Py_ssize_t activation
        real alpha
        real *W
        real *b
        real *z_prev
        real *z
        real *slope
        real *delta

    ctypedef struct fastnn_tiny:
        Py_ssize_t n_layers
        const fastnn_tiny_layer *layers
        const fastnn_loss *loss
        const real *loss_parameter
        const fastnn_optimizer *optimizer
        const fastnn_hyper *hyper
        Py_ssize_t block

    cdef enum:
        LOCKSTEP_ROWS

    ctypedef struct fastnn_lockstep_layer:
        Py_ssize_t n_in, n_out
        const fastnn_activation *activation
        real alpha
        real *W
        real *b
        real *z
        real *slope
        real *delta

    ctypedef struct fastnn_lockstep_rows:
        const real *X
        const real *T
        const int64_t *labels
        const int64_t *order
        Py_ssize_t first

    ctypedef struct fastnn_lockstep:
        Py_ssize_t n_layers
        const fastnn_lockstep_layer *layers
        const fastnn_lockstep_rows *rows
        const real *rate
        double *loss
        real *x
        real *t

    ctypedef struct fastnn_function:
        const char *name
        void (*run)(Py_ssize_t n, const real *x, real *out) noexcept nogil

    ctypedef struct fastnn_sparse_row:
        const int32_t *columns
        const real *values
        Py_ssize_t n

    ctypedef struct fastnn_entry:
        real value
        uint16_t row
        uint16_t lane

    cdef enum:
        SLICE
        STRIP

    ctypedef struct fastnn_column_lists:
        pass

    ctypedef struct fastnn_ops:
        bint fuses
        bint multiplies_pairs
        bint multiplies_tiles
        bint prefers_strips
        void (*product)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t panels, const real *a,
                        Py_ssize_t a_jump, const real *b, Py_ssize_t b_jump, const real *bias,
                        real *c, Py_ssize_t c_jump) noexcept nogil
        void (*product_transposed)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns,
                                   const real *a, Py_ssize_t a_jump, const real *w,
                                   Py_ssize_t w_jump, real *scratch, real *c,
                                   Py_ssize_t c_jump) noexcept nogil
        void (*narrow)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t width, const real *a,
                       Py_ssize_t a_jump, const real *b, Py_ssize_t b_jump, const real *bias,
                       real *c) noexcept nogil
        void (*dots)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, const real *a,
                     Py_ssize_t a_jump, const real *b, Py_ssize_t b_jump, real *c,
                     Py_ssize_t c_jump) noexcept nogil
        void (*outer)(Py_ssize_t rows, Py_ssize_t width, const real *z, const real *delta,
                      bint more, real *g) noexcept nogil
        void (*sparse_product)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t panels,
                               const fastnn_sparse_row *a, const real *b, Py_ssize_t b_jump,
                               const real *bias, bint whole, real *c,
                               Py_ssize_t c_jump) noexcept nogil
        void (*sparse_narrow)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t width,
                              const fastnn_sparse_row *a, const real *b, Py_ssize_t b_jump,
                              const real *bias, bint whole, real *c) noexcept nogil
        void (*sparse_outer)(Py_ssize_t rows, Py_ssize_t width, const fastnn_entry *z,
                             const Py_ssize_t *first, const int32_t *count, bint ordered,
                             const real *delta, bint whole, bint more, real *g) noexcept nogil
        void (*sparse_outer_narrow)(Py_ssize_t rows, Py_ssize_t width, Py_ssize_t n_out,
                                    const fastnn_entry *z, const Py_ssize_t *first,
                                    const int32_t *count, const real *delta, bint whole, bint more,
                                    real *g) noexcept nogil
        void (*sparse_column)(Py_ssize_t rows, Py_ssize_t panels, const fastnn_entry *z,
                              Py_ssize_t n, const real *delta, Py_ssize_t jump,
                              real *g) noexcept nogil
        Py_ssize_t (*count_nonzeros)(Py_ssize_t n, Py_ssize_t panels, const real *x,
                                     Py_ssize_t jump) noexcept nogil
        void (*product_of_nonzeros)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t panels,
                                    const real *a, Py_ssize_t a_jump, const real *b,
                                    Py_ssize_t b_jump, const real *bias, real *c,
                                    Py_ssize_t c_jump) noexcept nogil
        Py_ssize_t (*list_columns)(Py_ssize_t rows, const real *z,
                                   fastnn_column_lists *lists) noexcept nogil
        void (*outer_strip)(Py_ssize_t rows, Py_ssize_t width, Py_ssize_t panels, const real *z,
                            const real *delta, Py_ssize_t jump, const real *before,
                            Py_ssize_t before_jump, real *g) noexcept nogil
        void (*outer_of_nonzeros)(Py_ssize_t rows, Py_ssize_t width, Py_ssize_t panels,
                                  const real *z, const fastnn_column_lists *lists,
                                  const real *delta, Py_ssize_t jump, const real *before,
                                  Py_ssize_t before_jump, real *g) noexcept nogil
        void (*column_sums)(Py_ssize_t rows, Py_ssize_t panels, const real *delta,
                            Py_ssize_t jump, bint more, real *g) noexcept nogil
        void (*gather)(Py_ssize_t rows, Py_ssize_t columns, const real *source,
                       const int64_t *order, real *panels, Py_ssize_t jump) noexcept nogil
        void (*scatter)(Py_ssize_t rows, Py_ssize_t columns, const real *panels, Py_ssize_t jump,
                        real *out) noexcept nogil
        void (*one_hot)(Py_ssize_t rows, Py_ssize_t columns, const int64_t *labels,
                        const int64_t *order, real *panels, Py_ssize_t jump) noexcept nogil
        void (*standardize)(Py_ssize_t rows, const real *mean, const real *inverse,
                            real *x) noexcept nogil
        Py_ssize_t (*first_nonfinite)(Py_ssize_t n, const real *x) noexcept nogil
        double (*penalty)(Py_ssize_t n, real l1, real l2, const real *w, real *g) noexcept nogil
        double (*sum_squares)(Py_ssize_t n, const real *g) noexcept nogil
        void (*limit)(Py_ssize_t n, real factor, real bound, real *g) noexcept nogil
        void (*average)(Py_ssize_t n, real momentum, const real *w,
                        real *average) noexcept nogil
        void (*dropout_forward)(const fastnn_dropout_args *args, const real *z, real *out,
                                uint16_t *kept) noexcept nogil
        void (*dropout_backward)(Py_ssize_t rows, double rate, const uint16_t *kept,
                                 real *delta) noexcept nogil
        void (*layer_norm_forward)(const fastnn_layer_norm_args *args, const real *x,
                                   real *z) noexcept nogil
        void (*layer_norm_backward)(const fastnn_layer_norm_args *args, const real *delta,
                                    real *below) noexcept nogil
        void (*column_dots)(Py_ssize_t rows, const real *unit, const real *delta, bint more,
                            real *g) noexcept nogil
        void (*copy_columns)(Py_ssize_t rows, Py_ssize_t n, const real *x, Py_ssize_t first,
                             real *y, Py_ssize_t to, Py_ssize_t jump) noexcept nogil
        void (*piecewise_forward)(const fastnn_piecewise_args *args, const real *x,
                                  real *z) noexcept nogil
        void (*piecewise_backward)(const fastnn_piecewise_args *args, const real *z,
                                   const real *delta, real *below) noexcept nogil
        void (*periodic_forward)(Py_ssize_t rows, const real *x, const real *c, real *sine,
                                 real *cosine) noexcept nogil
        void (*periodic_backward)(Py_ssize_t n, real *sine, const real *cosine,
                                  const real *d_sine, const real *d_cosine) noexcept nogil
        void (*look_up)(Py_ssize_t rows, const real *x, Py_ssize_t n, Py_ssize_t panels,
                        const real *w, Py_ssize_t w_jump, real *z,
                        Py_ssize_t z_jump) noexcept nogil
        void (*sum_by_category)(Py_ssize_t rows, const real *x, Py_ssize_t first, Py_ssize_t n,
                                const real *delta, bint more, real *g) noexcept nogil
        void (*add)(Py_ssize_t n, const real *x, const real *y, real *out) noexcept nogil
        void (*pair_columns)(Py_ssize_t rows, Py_ssize_t columns, const real *x, Py_ssize_t jump,
                             fastnn_pair *out, Py_ssize_t out_jump) noexcept nogil
        void (*pair_rows)(Py_ssize_t first, Py_ssize_t rows, bint last, Py_ssize_t panels,
                          const real *x, Py_ssize_t jump, fastnn_pair *out,
                          Py_ssize_t out_jump) noexcept nogil
        void (*pair_left)(Py_ssize_t first, Py_ssize_t rows, bint last, Py_ssize_t panels,
                          const real *x, Py_ssize_t jump, fastnn_pair *out,
                          Py_ssize_t out_jump) noexcept nogil
        void (*pair_transposed)(Py_ssize_t width, Py_ssize_t columns, const real *w,
                                Py_ssize_t w_jump, fastnn_pair *out) noexcept nogil
        void (*pair_product)(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t panels,
                             const fastnn_pair *a, Py_ssize_t a_jump, const fastnn_pair *b,
                             Py_ssize_t b_jump, const real *bias, real *c,
                             Py_ssize_t c_jump) noexcept nogil
        void (*begin_outers)() noexcept nogil
        void (*end_outers)() noexcept nogil
        void (*pair_outer)(Py_ssize_t rows, Py_ssize_t width, const fastnn_pair *z,
                           const fastnn_pair *delta, bint more, real *g) noexcept nogil
        double (*tiny_steps)(const fastnn_tiny *net, double t, Py_ssize_t n, const real *X,
                             const real *T, const int64_t *labels, const int64_t *order,
                             double total) noexcept nogil
        void (*lockstep)(const fastnn_lockstep *nets, Py_ssize_t n) noexcept nogil
        double (*multiply_adds)(Py_ssize_t n, real *sink) noexcept nogil
        real (*read_all)(Py_ssize_t n, const real *x) noexcept nogil
        const fastnn_activation *activations
        const fastnn_loss *losses
        const fastnn_loss *losses_by_output
        const fastnn_optimizer *optimizers
        const fastnn_function *functions

cdef extern from "engine/maths.h" nogil:
    double fastnn_log2(double x)
    double fastnn_power(double x, double y)

cdef extern from "engine/schedules.h" nogil:
    ctypedef struct fastnn_schedule_rule:
        const char *name
        double (*rate)(const double *p, double t) noexcept nogil

    ctypedef struct fastnn_schedule:
        const fastnn_schedule_rule *rule
        double *p
        double warmup, start
        bint per_epoch

    const fastnn_schedule_rule *fastnn_schedule_rules
    double fastnn_learning_rate(const fastnn_schedule *schedule, double step, double epoch)

cdef extern from "engine/simd/dispatch.h" nogil:
    const fastnn_ops *fastnn_table(int i)
    const char *fastnn_isa(int i)

cdef extern from "engine/pool.h" nogil:
    ctypedef struct fastnn_team:
        pass
    int fastnn_team_size(const fastnn_team *team)
    void fastnn_team_barrier(fastnn_team *team)
    int fastnn_team_take(fastnn_team *team, int rank, int portions)
    ctypedef struct fastnn_attendance:
        int size
        int64_t waited_ns
    fastnn_attendance fastnn_run(int n_threads,
                                 void (*task)(void *, fastnn_team *, int) noexcept nogil,
                                 void *context)
    int fastnn_forks()

cdef extern from "engine/pace.h" nogil:
    enum:
        FASTNN_PACE_SIZES
    ctypedef struct fastnn_pace_record:
        int64_t ns
        int64_t waited_ns
        double speed
    ctypedef struct fastnn_pace:
        int most
        fastnn_pace_record *records
    int fastnn_pace_kth(int most, int k)
    int fastnn_pace_size(fastnn_pace *pace, int most)
    void fastnn_pace_note(fastnn_pace *pace, int size, double work, int64_t began, int64_t ended,
                          int64_t waited_ns)

cdef extern from "capi/precision.h" nogil:
    ctypedef struct fastnn_model:
        const fastnn_precision *precision
        void *net

    ctypedef struct fastnn_workspace:
        const fastnn_precision *precision

    ctypedef struct fastnn_precision:
        int bits
        int64_t (*get)(const fastnn_model *model, int which) noexcept nogil
        int (*workspace_new)(fastnn_model *model, Py_ssize_t rows, int training,
                             fastnn_workspace **workspace) noexcept nogil
        void (*workspace_free)(fastnn_workspace *workspace) noexcept nogil
        int (*predict)(fastnn_workspace *workspace, Py_ssize_t rows, const void *X,
                       void *out) noexcept nogil
        int (*train)(fastnn_workspace *workspace, Py_ssize_t rows, const void *X,
                     const void *targets, const int64_t *labels, double *loss) noexcept nogil
        double (*evaluate)(fastnn_workspace *workspace, Py_ssize_t n,
                           const double *x) noexcept nogil

    ctypedef struct fastnn_api:
        pass

    const fastnn_api fastnn_functions

cdef extern from "engine/counters.h" nogil:
    Py_ssize_t fastnn_take_next(Py_ssize_t *counter)
    void fastnn_store(Py_ssize_t *number, Py_ssize_t value)
    Py_ssize_t fastnn_load(const Py_ssize_t *number)
    void *fastnn_thread()

cdef extern from "engine/prefetch.h" nogil:
    enum:
        FASTNN_LONG_ROW
        FASTNN_NEAR_BYTES
    void fastnn_prefetch(const void *memory, size_t size)
    void fastnn_prefetch_rows(Py_ssize_t n, const int64_t *order, const void *rows, size_t size)

cdef extern from "engine/claim.h" nogil:
    ctypedef struct fastnn_claim:
        pass
    bint fastnn_try_exclusive(fastnn_claim *claim)
    bint fastnn_take_exclusive(fastnn_claim *claim)
    void fastnn_release_exclusive(fastnn_claim *claim)
    void fastnn_lend(fastnn_claim *claim)
    bint fastnn_take_shared(fastnn_claim *claim)
    void fastnn_release_shared(fastnn_claim *claim)
    bint fastnn_is_owner(const fastnn_claim *claim)
    uint64_t fastnn_releases(const fastnn_claim *claim)

cdef extern from "engine/subnormals.h" nogil:
    uint64_t fastnn_modes()
    uint64_t fastnn_flush_subnormals()
    void fastnn_restore_subnormals(uint64_t before)
