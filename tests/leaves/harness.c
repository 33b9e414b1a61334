/* harness.c - see harness.h. A buffer lies in a slot: some megabytes between two pages that cannot
 * be accessed. Each slot has a copy elsewhere, its record, which holds what the buffer and its
 * guards must be: the contents before the call, and each result once it has been compared. */
#include "harness.h"
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#endif

enum {
    SLOTS = 64,
    SLOT_BYTES = 1 << 22,
    BARRIER_BYTES = 1 << 16, /* a multiple of every page size */
    STRIDE = SLOT_BYTES + BARRIER_BYTES,
    GUARD_BYTES = 512,
};

#if FASTNN_BITS == 32
static const ureal guard = 0x7fa5a5a5;
#else
static const ureal guard = 0x7ff5a5a5a5a5a5a5;
#endif

const double eps = FASTNN_BITS == 32 ? 0x1p-23 : 0x1p-52;
const ptrdiff_t sizes[] = {
#if FASTNN_BITS == 32
    1,  2,  3,  4,  5,  7, 8, 9,
    15, 16, 17, 35, 67, 0
#else
    1, 2, 3,  4,  5, 7,
    8, 9, 19, 67, 0
#endif
};
const ptrdiff_t row_counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                11, 12, 13, 14, 15, 16, 17, 35, 67, 0};

typedef struct {
    const char *name;
    unsigned char *at, *from, *to; /* the buffer; where its guards begin and end */
    size_t bytes, slack;
} buffer;

static unsigned char *memory; /* all slots, then all records */
static const ptrdiff_t to_record = (ptrdiff_t)SLOTS * STRIDE + BARRIER_BYTES;
static buffer buffers[SLOTS];
static int n_buffers, n_recorded;
static enum placement where;

/* Addresses that nobody can access; NULL if there are none. */
static void *reserve(size_t bytes) {
#if defined(_WIN32)
    return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS);
#else
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
#endif
}

/* Give some of them memory. */
static bool open_pages(void *at, size_t bytes) {
#if defined(_WIN32)
    return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
#else
    return mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
#endif
}

static void allocate(void) {
    memory = reserve(2 * (size_t)to_record);
    bool done = memory != NULL;
    for (int i = 0; done && i < SLOTS; i++)
        for (int copy = 0; copy < 2; copy++) {
            ptrdiff_t slot = copy * to_record + BARRIER_BYTES + (ptrdiff_t)i * STRIDE;
            done = done && open_pages(memory + slot, SLOT_BYTES);
        }
    if (!done) {
        perror("no memory for buffers");
        exit(2);
    }
}

void set_placement(enum placement placement) {
    if (memory == NULL) allocate();
    where = placement;
}

/* The slot of the next buffer, which is filled from guard to guard. */
static void *new_buffer(const char *name, size_t bytes, size_t slack) {
    unsigned char *slot = memory + BARRIER_BYTES + (ptrdiff_t)n_buffers * STRIDE;
    if (n_buffers == SLOTS || bytes + slack > SLOT_BYTES) {
        fprintf(stderr, "%s: no slot for %zu bytes\n", name, bytes + slack);
        exit(2);
    }
    buffer *b = &buffers[n_buffers++];
    *b = (buffer){.name = name, .at = slot, .bytes = bytes, .slack = slack};
    if (where == AT_THE_END) b->at += SLOT_BYTES - bytes - slack;
    unsigned char *end = b->at + bytes + slack;
    b->from = b->at - slot < GUARD_BYTES ? slot : b->at - GUARD_BYTES;
    b->to = slot + SLOT_BYTES - end < GUARD_BYTES ? slot + SLOT_BYTES : end + GUARD_BYTES;
    for (unsigned char *p = b->from; p < b->to; p += sizeof guard)
        memcpy(p, &guard, b->to - p < (ptrdiff_t)sizeof guard ? (size_t)(b->to - p) : sizeof guard);
    return b->at;
}

real *new_reals(const char *name, ptrdiff_t n, ptrdiff_t slack) {
    return new_buffer(name, (size_t)n * sizeof(real), (size_t)slack * sizeof(real));
}

double *new_doubles(const char *name, ptrdiff_t n) {
    return new_buffer(name, (size_t)n * sizeof(double), 0);
}

int64_t *new_integers(const char *name, ptrdiff_t n) {
    return new_buffer(name, (size_t)n * sizeof(int64_t), 0);
}

uint16_t *new_masks(const char *name, ptrdiff_t n) {
    return new_buffer(name, (size_t)n * sizeof(uint16_t), 0);
}

matrix new_matrix(const char *name, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap,
                  ptrdiff_t slack) {
    ptrdiff_t jump = (rows + gap) * PANEL, n = (panels_of(columns) - 1) * jump + rows * PANEL;
    return (matrix){new_reals(name, n, slack), rows, columns, jump};
}

void begin_buffers(void) { n_buffers = n_recorded = 0; }

void record_buffers(void) {
    compare_with_record();
    n_recorded = n_buffers;
    for (const buffer *b = buffers; b < buffers + n_buffers; b++)
        memcpy(b->from + to_record, b->from, (size_t)(b->to - b->from));
}

/* A bit beside some buffer, as a leaf that writes too much would change it. */
void damage_a_guard(void) {
    const buffer *b = &buffers[random_below(n_buffers)];
    if (b->from < b->at)
        b->at[-1] ^= 1;
    else
        b->at[b->bytes] ^= 1;
}

void compare_with_record(void) {
    for (const buffer *b = buffers; b < buffers + n_recorded; b++) {
        size_t size = (size_t)(b->to - b->from);
        if (memcmp(b->from, b->from + to_record, size) == 0) continue;
        const unsigned char *p = b->from;
        while (*p == p[to_record]) p++;
        fail("%s: byte %td of %zu was changed", b->name, p - b->at, b->bytes);
    }
}

const char *buffer_near(const void *p, ptrdiff_t *distance) {
    ptrdiff_t from_first = (const unsigned char *)p - memory - BARRIER_BYTES / 2;
    if (n_buffers == 0 || from_first < 0 || from_first >= n_buffers * (ptrdiff_t)STRIDE) {
        *distance = 0;
        return "no buffer";
    }
    const buffer *b = &buffers[from_first / STRIDE];
    *distance = (const unsigned char *)p - b->at;
    return b->name;
}

static const char *buffer_of(const void *p) {
    ptrdiff_t distance;
    return buffer_near(p, &distance);
}

static void accept(const void *p, size_t size) { memcpy((unsigned char *)p + to_record, p, size); }

/* ---- numbers ---- */

static uint64_t state;

void restart_random(void) { state = 0x853c49e6748fea9b; }

uint64_t random_bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
}

double uniform(double low, double high) {
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

ptrdiff_t random_below(ptrdiff_t n) { return (ptrdiff_t)(random_bits() % (uint64_t)n); }

void randomize(real *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (real)uniform(-2, 2);
}

void randomize_matrix(const matrix *m, enum padding padding) {
    for (ptrdiff_t c = 0; c < panels_of(m->columns) * PANEL; c++)
        for (ptrdiff_t r = 0; r < m->rows; r++)
            m->at[offset(m, r, c)] = c < m->columns            ? (real)uniform(-2, 2)
                                     : padding == FINITE       ? (real)uniform(1e6, 2e6)
                                     : padding == NOT_A_NUMBER ? (real)NAN
                                                               : 0;
}

/* ---- results ---- */

double rounding(ptrdiff_t depth, double magnitude) {
    return 4 * sqrt((double)depth) * eps * magnitude;
}

static bool differ(double found, double truth, double bound) {
    if (isnan(truth)) return !isnan(found);
    if (isinf(truth)) return found != truth;
    return !(fabs(found - truth) <= bound);
}

/* A number that is off by three bounds, or by its last bit. */
static double wrong(double x, double bound) {
    if (isnan(x)) return 0;
    double off = x + fmax(3 * bound, eps * fabs(x));
    return off == x ? 1 : off;
}

void expect(real *x, ptrdiff_t i, double truth, double bound) {
    if (take_plant()) x[i] = (real)wrong((double)x[i], bound);
    accept(x + i, sizeof *x);
    if (differ((double)x[i], truth, bound))
        fail("%s[%td] is %.17g, not %.17g, and off by %.3g bounds", buffer_of(x), i, (double)x[i],
             truth, fabs((double)x[i] - truth) / bound);
}

void expect_bits(real *x, ptrdiff_t i, real same) {
    if (take_plant()) *(unsigned char *)(x + i) ^= 1; /* the bits need not be those of a number */
    accept(x + i, sizeof *x);
    if (memcmp(x + i, &same, sizeof same) != 0)
        fail("%s[%td] has other bits: %.17g, not %.17g", buffer_of(x), i, (double)x[i],
             (double)same);
}

void expect_double(double *x, ptrdiff_t i, double truth, double bound) {
    if (take_plant()) x[i] = wrong(x[i], bound);
    accept(x + i, sizeof *x);
    if (differ(x[i], truth, bound))
        fail("%s[%td] is %.17g, not %.17g, and off by %.3g bounds", buffer_of(x), i, x[i], truth,
             fabs(x[i] - truth) / bound);
}

void expect_mask(uint16_t *x, ptrdiff_t i, unsigned same) {
    if (take_plant()) x[i] ^= 1;
    accept(x + i, sizeof *x);
    if (x[i] != same) fail("%s[%td] is %#x, not %#x", buffer_of(x), i, (unsigned)x[i], same);
}

void expect_returned(double returned, double truth, double bound) {
    if (take_plant()) returned = wrong(returned, bound);
    if (differ(returned, truth, bound))
        fail("%.17g is returned, not %.17g, and off by %.3g bounds", returned, truth,
             fabs(returned - truth) / bound);
}

void expect_anything(real *x, ptrdiff_t n) { accept(x, (size_t)n * sizeof *x); }

void expect_zero_padding(const matrix *m) {
    for (ptrdiff_t r = 0; r < m->rows; r++)
        for (ptrdiff_t c = m->columns; c < panels_of(m->columns) * PANEL; c++)
            expect(m->at, offset(m, r, c), 0, 0);
}

void put_minus_zeros(real *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (random_below(3) == 0) x[i] = -(real)0;
}

void accept_matrix(const matrix *m) {
    for (ptrdiff_t q = 0; q < panels_of(m->columns); q++)
        expect_anything(m->at + q * m->jump, m->rows * PANEL);
}

void expect_same_matrix(const matrix *found, const matrix *same) {
    for (ptrdiff_t q = 0; q < panels_of(found->columns); q++)
        for (ptrdiff_t i = 0; i < found->rows * PANEL; i++)
            expect_bits(found->at, q * found->jump + i, same->at[q * same->jump + i]);
}
