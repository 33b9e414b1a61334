/* c_columns.h - how the columns of a table become inputs, for networks as C source.
 *
 * Sections between `c-source` markers, which exchange/c_sections.py reads. A function code_NAME
 * computes in double what the code of that name in codes.py writes for one row, with the same bits;
 * the functions column_NAME give the codes a column's value, as columns.py, spelling.py and
 * encoding.py do. c_columns.py writes their calls.
 */
/* c-source: begin column */
/* The index of a text that is missing, and of one that is not known. */
enum { MISSING = -1, UNKNOWN = -2 };

/* Whether x is not NaN, which stands for a missing number or date. */
INLINE int is_known(double x) { return x == x; }

INLINE double not_a_number(void) {
    union {
        uint64_t bits;
        double number;
    } both;
    both.bits = 0x7ff8000000000000u;
    return both.number;
}

/* x, or NaN if it is among the numbers that stand for a missing one, or beyond +-largest. In the
 * latter case it is counted as replaced. */
INLINE double column_number(double x, int n, const double *missing, double largest,
                            int *n_replaced) {
    for (int i = 0; i < n; i++)
        if (x == missing[i]) return not_a_number();
    if (x >= -largest && x <= largest) return x;
    *n_replaced += is_known(x);
    return not_a_number();
}
/* c-source: end */

/* c-source: begin column_text (needs column) */
/* A text as it is compared with known ones: whole, and for a number its sign and fraction apart. */
typedef struct column_text {
    int has_minus;
    size_t n_whole, n_fraction;
    const char *whole, *fraction;
} column_text;

/* A known text and its index. */
typedef struct known_text {
    const char *text;
    int index;
} known_text;

/* The number of bytes of the white space at p, in UTF-8: 0 if there is none. */
static size_t column_space(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    if ((b[0] >= 9 && b[0] <= 13) || (b[0] >= 28 && b[0] <= 32)) return 1;
    if (b[0] == 0xc2) return b[1] == 0x85 || b[1] == 0xa0 ? 2 : 0;
    if (b[0] == 0xe1) return b[1] == 0x9a && b[2] == 0x80 ? 3 : 0;
    if (b[0] == 0xe3) return b[1] == 0x80 && b[2] == 0x80 ? 3 : 0;
    if (b[0] != 0xe2) return 0;
    if (b[1] == 0x81) return b[2] == 0x9f ? 3 : 0;
    if (b[1] != 0x80) return 0;
    return (b[2] >= 0x80 && b[2] <= 0x8a) || b[2] == 0xa8 || b[2] == 0xa9 || b[2] == 0xaf ? 3 : 0;
}

/* A text without the white space around it; NULL is the empty text. */
static column_text column_stripped(const char *text) {
    column_text found;
    size_t space, n = 0;
    if (text == NULL) text = "";
    while ((space = column_space(text)) > 0) text += space;
    while (text[n] != 0) n++;
    for (space = 1; space <= 3 && space <= n; space++) {
        if (column_space(text + n - space) == space) {
            n -= space;
            space = 0;
        }
    }
    found.has_minus = 0;
    found.whole = text;
    found.n_whole = n;
    found.fraction = text + n;
    found.n_fraction = 0;
    return found;
}

/* Byte i of a text, 0 after its end. */
INLINE int column_byte(const column_text *text, size_t i) {
    if (text->has_minus && i-- == 0) return '-';
    if (i < text->n_whole) return (unsigned char)text->whole[i];
    i -= text->n_whole;
    if (text->n_fraction == 0 || i > text->n_fraction) return 0;
    return i == 0 ? '.' : (unsigned char)text->fraction[i - 1];
}

/* The index of a text among n known ones, which are in the order of their bytes. */
static int column_find(column_text text, int n, const known_text *known) {
    int low = 0, high = n;
    while (low < high) {
        int middle = low + (high - low) / 2, a, b;
        size_t i = 0;
        do {
            a = column_byte(&text, i);
            b = (unsigned char)known[middle].text[i++];
        } while (a == b && a != 0);
        if (a == b) return known[middle].index;
        if (a < b)
            high = middle;
        else
            low = middle + 1;
    }
    return UNKNOWN;
}
/* c-source: end */

/* c-source: begin column_value (needs column_text) */
/* Whether a text is a word of lower-case letters or digits, in any case. */
static int column_is(const column_text *text, const char *word) {
    size_t i = 0;
    int a;
    if (text->has_minus || text->n_fraction > 0) return 0;
    for (; i < text->n_whole; i++) {
        a = (unsigned char)text->whole[i];
        if (a >= 'A' && a <= 'Z') a += 'a' - 'A';
        if (a != (unsigned char)word[i] || a == 0) return 0;
    }
    return word[i] == 0;
}

/* The number of digits that a text begins with. */
static size_t column_digits(const char *text) {
    size_t n = 0;
    while (text[n] >= '0' && text[n] <= '9') n++;
    return n;
}

/* The one spelling of a number or a bool; other texts as they are. A text with leading zeros is no
 * number. */
static column_text column_value(column_text text) {
    column_text number = text;
    const char *end = text.whole + text.n_whole;
    if (column_is(&text, "true") || column_is(&text, "false")) {
        number.whole = text.n_whole == 4 ? "true" : "false";
        return number;
    }
    if (text.n_whole > 0 && (text.whole[0] == '+' || text.whole[0] == '-')) number.whole++;
    number.n_whole = column_digits(number.whole);
    if (number.n_whole == 0 || (number.whole[0] == '0' && number.n_whole > 1)) return text;
    number.fraction = number.whole + number.n_whole;
    if (number.fraction != end) {
        if (*number.fraction++ != '.') return text;
        number.n_fraction = column_digits(number.fraction);
        if (number.fraction + number.n_fraction != end) return text;
        while (number.n_fraction > 0 && number.fraction[number.n_fraction - 1] == '0')
            number.n_fraction--;
    }
    number.has_minus = text.whole[0] == '-' && (number.whole[0] != '0' || number.n_fraction > 0);
    return number;
}
/* c-source: end */

/* c-source: begin column_number_text (needs column_value) */
/* As column_value, and without leading zeros if the text consists of digits. */
static column_text column_number_text(column_text text) {
    text = column_value(text);
    if (!text.has_minus && text.n_fraction == 0 && column_digits(text.whole) == text.n_whole) {
        while (text.n_whole > 1 && text.whole[0] == '0') {
            text.whole++;
            text.n_whole--;
        }
    }
    return text;
}
/* c-source: end */

/* c-source: begin column_truth (needs column_value) */
/* The index of the known text that is true, or false, as a text is. */
static int column_truth(column_text text, int of_true, int of_false) {
    static const char *const words[] = {"true", "false", "t", "f", "yes", "no", "y", "n", "1", "0"};
    text = column_value(text);
    for (int i = 0; i < 10; i++)
        if (column_is(&text, words[i])) return i % 2 == 0 ? of_true : of_false;
    return UNKNOWN;
}
/* c-source: end */

/* c-source: begin code_value (needs column) */
/* (x - shift) / scale */
INLINE void code_value(double x, double fill, double shift, double scale, real *out) {
    out[0] = (real)(((is_known(x) ? x : fill) - shift) / scale);
}
/* c-source: end */

/* c-source: begin code_bounded (needs code_value) */
/* The same, with x limited to low ... high. */
INLINE void code_bounded(double x, double fill, double shift, double scale, double low, double high,
                         real *out) {
    x = x < low ? low : x;
    x = x > high ? high : x;
    code_value(x, fill, shift, scale, out);
}
/* c-source: end */

/* c-source: begin code_clipped (needs column) */
/* sqrt(x), rounded correctly, for x from 1 to 1e300, where x = m 2^e with 2^52 <= m < 2^54 and e
 * even. root = sqrt(m 2^52) is found by Heron's steps, and corrected to the nearest whole number by
 * the remainder m 2^52 - root^2, which is small: its lowest 64 bits are enough. */
static double column_root(double x) {
    union {
        double number;
        uint64_t bits;
    } power;
    uint64_t m;
    int64_t root, remainder;
    int e;
    double a, heron;
    power.number = x;
    e = (int)(power.bits >> 52) - 1023;
    m = (power.bits & 0xfffffffffffffu) | 0x10000000000000u;
    if (e % 2 != 0) m *= 2;
    a = (double)m / 67108864; /* 2^26, as heron is, once or twice */
    heron = 67108864;
    for (int i = 0; i < 6; i++) heron = 0.5 * (heron + a * (67108864 / heron));
    root = (int64_t)(heron * 67108864);
    remainder = (int64_t)((m << 52) - (uint64_t)root * (uint64_t)root);
    for (; remainder > root; root++) remainder -= 2 * root + 1;
    for (; remainder <= -root; root--) remainder += 2 * root - 1;
    power.bits = (uint64_t)(e / 2 + 1023 - 52) << 52;
    return (double)root * power.number;
}

/* u / sqrt(1 + (u / 3)^2) with u = (x - shift) / scale */
INLINE void code_clipped(double x, double fill, double shift, double scale, real *out) {
    double u = ((is_known(x) ? x : fill) - shift) / scale;
    volatile double square; /* else a compiler may round it and the sum at once */
    u = u < -1e150 ? -1e150 : u;
    u = u > 1e150 ? 1e150 : u;
    square = u / 3 * (u / 3);
    out[0] = (real)(u / column_root(1 + square));
}
/* c-source: end */

/* c-source: begin code_piecewise_linear (needs column) */
/* For each interval between n edges: 0 below it, 1 above it, linear within it. */
INLINE void code_piecewise_linear(double x, double fill, int n, const double *edges, real *out) {
    if (!is_known(x)) x = fill;
    for (int i = 0; i + 1 < n; i++) {
        double part = (x - edges[i]) / (edges[i + 1] - edges[i]);
        part = part < 0 ? 0 : part;
        out[i] = (real)(part > 1 ? 1 : part);
    }
}
/* c-source: end */

/* c-source: begin code_missing */
INLINE void code_missing(int is_missing, real *out) { out[0] = (real)is_missing; }
/* c-source: end */

/* c-source: begin code_one_hot (needs column) */
/* 1 for the text with this index; `other` is the index of all texts that are not known, or -1. */
INLINE void code_one_hot(int index, int other, real *out) {
    if (index == UNKNOWN) index = other;
    if (index >= 0) out[index] = 1;
}
/* c-source: end */

/* c-source: begin code_ordered (needs column) */
/* 1 for the known text of each text, of n, and 1 for each step of the order up to it. */
INLINE void code_ordered(int index, int n, const int *known, real *out) {
    if (index < 0) return;
    out[known[index]] = 1;
    for (int step = 1; step < n; step++) out[n + step - 1] = known[index] >= step;
}
/* c-source: end */

/* c-source: begin column_day (needs column) */
/* The day of a date, counted from 1970, and in *time the seconds since its midnight. The quotient,
 * which is rounded, may be the next day; the difference is exact. */
INLINE int64_t column_day(double x, double *time) {
    int64_t day = (int64_t)(x / 86400);
    double left = x - (double)day * 86400.0;
    if (left < 0) {
        day--;
        left += 86400;
    }
    *time = left + 0.0; /* not -0 */
    return day;
}
/* c-source: end */

/* c-source: begin code_month (needs column) */
/* 1 for the month of a date, in whole seconds. The calendar repeats after 146097 days; years are
 * counted from March, so that a leap day is the last. */
INLINE void code_month(double x, real *out) {
    int64_t seconds, day, year, month;
    if (!is_known(x)) return;
    seconds = (int64_t)x;
    day = seconds / 86400 - (seconds % 86400 < 0) + 719468; /* since the first of March of year 0 */
    day = (day % 146097 + 146097) % 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0 is March */
    out[(month + 2) % 12] = 1;
}
/* c-source: end */

/* c-source: begin code_weekday (needs column_day) */
/* 1 for the day of the week of a date; day 0 was a Thursday. */
INLINE void code_weekday(double x, real *out) {
    double time;
    if (is_known(x)) out[((column_day(x, &time) + 3) % 7 + 7) % 7] = 1;
}
/* c-source: end */

/* c-source: begin code_time_of_day (needs column_day) */
/* sin and cos of 2 pi time / 86400. The nearest multiple of pi / 2, in parts of 33 bits, is
 * subtracted from the angle. The rest, x + tail, is at most pi / 4 and takes 8 terms of the series:
 * sin x = x (1 - z / 6 (1 - z / 20 ...)) and cos x = 1 - z / 2 + z^2 / 24 (1 - z / 30 ...) with
 * z = x^2. */
INLINE void code_time_of_day(double date, real *out) {
    const double pi = 3.141592653589793, part1 = 1.57079632673412561417,
                 part2 = 6.07710050630396597660e-11, part3 = 2.02226624879595063154e-21;
    double time, angle, first, second, rest, x, tail, z, s = 1, c = 1, near;
    int quarter;
    if (!is_known(date)) return;
    column_day(date, &time);
    angle = 2 * pi * time / 86400;
    quarter = (int)(angle / (pi / 2) + 0.5);
    first = angle - quarter * part1;
    second = first - quarter * part2;
    rest = quarter * part3 - ((first - second) - quarter * part2);
    x = second - rest;
    tail = (second - x) - rest;
    z = x * x;
    for (int k = 16; k > 2; k -= 2) {
        s = 1 - z * s / (k * (k + 1));
        c = 1 - z * c / ((k + 1) * (k + 2));
    }
    s = x + (tail * (1 - z / 2) - x * z * s / 6);
    near = 1 - z / 2;
    c = near + (((1 - near) - z / 2) + (z * z * c / 24 - x * tail));
    out[0] = (real)(quarter % 2 == 0 ? s : c);
    out[1] = (real)(quarter % 2 == 0 ? c : s);
    if (quarter == 2 || quarter == 3) out[0] = -out[0];
    if (quarter == 1 || quarter == 2) out[1] = -out[1];
}
/* c-source: end */
