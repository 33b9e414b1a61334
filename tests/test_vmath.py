"""engine/simd/vmath.h compared with exact values: every float32, and millions of float64.

Errors are counted in units in the last place (ulp): the spacing of the format at the true value,
which is constant among subnormals. NaN gives NaN; infinities and signed zeros give their limits.
"""

import mpmath
import numpy as np
import pytest

from fastnn import _kernels_f32, _kernels_f64

FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "normal_cdf", "normal_density",
    "sqrt", "sine_of_turns", "cosine_of_turns",
)  # fmt: skip
ULPS = dict.fromkeys(FUNCTIONS, 2) | {"normal_cdf": 5, "normal_density": 4, "sqrt": 0.501}
TAILS = (
    5.0  # beyond, an error of normal_cdf and its density may also be tiny without being relative
)
TINY = {4: 3e-13, 8: 5e-22}  # some 10 ulp there

# ---- the truth ----------------------------------------------------------------------------------


def clipped(function):
    """The function of one number, which at a million is as good as at infinity."""
    return lambda x: function(max(min(x, mpmath.mpf(10**6)), -mpmath.mpf(10**6)))


TRUTH = {  # of one number, by mpmath
    "exp": clipped(mpmath.exp),
    "expm1": clipped(mpmath.expm1),
    "log": lambda x: mpmath.log(x) if x > 0 else mpmath.mpf("-inf" if x == 0 else "nan"),
    "log1p": mpmath.log1p,
    "tanh": clipped(mpmath.tanh),
    "sigmoid": clipped(lambda x: 1 / (1 + mpmath.exp(-x))),
    "normal_cdf": clipped(lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
    "normal_density": clipped(lambda x: mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)),
    "sqrt": lambda x: mpmath.sqrt(x) if x >= 0 else mpmath.mpf("nan"),
    "sine_of_turns": lambda x: mpmath.sinpi(2 * x),
    "cosine_of_turns": lambda x: mpmath.cospi(2 * x),
}


class Arrays:
    """The same functions over arrays of a type wider than the one under test."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.root = np.sqrt(8 * np.arctan(dtype(1)))  # sqrt(2 pi)
        self.table = None

    def __call__(self, name, x):
        with np.errstate(all="ignore"):
            return getattr(self, name, getattr(np, name, None))(x.astype(self.dtype))

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def of_turns(self, x, quarters):
        """sin(2 pi x), or so many quarters of a turn later; quarters are subtracted exactly."""
        nearest = np.rint(4 * x)
        angle = 8 * np.arctan(self.dtype(1)) * (x - nearest / 4)
        turned = np.mod(np.mod(nearest, 4) + quarters, 4)
        value = np.where(turned % 2 == 0, np.sin(angle), np.cos(angle))
        return np.where(turned < 2, value, -value)

    def sine_of_turns(self, x):
        return self.of_turns(x, 0)

    def cosine_of_turns(self, x):
        return self.of_turns(x, 1)

    def normal_density(self, x):
        x = np.clip(x, -100, 100)
        head = x.astype(np.float32).astype(self.dtype)  # its square is exact
        return np.exp(-head * head / 2) * np.exp((head - x) * (head + x) / 2) / self.root

    STEPS, END, TERMS = 8, 40, 18  # nodes 1/8 apart, up to where even float64's tail is 0

    def normal_cdf(self, x):
        """1/2 + x phi(0) close to 0, 0 or 1 far out; in between by Mills's ratio."""
        y = np.where(np.abs(x) < 1, self.dtype(0.5) + x / self.root, (x > 0) + 0 * np.sign(x))
        middle = (np.abs(x) > 2.0**-20) & (np.abs(x) < self.END - 1)
        y[middle] = self.by_ratio(x[middle])
        return y

    def by_ratio(self, x):
        """Phi, its tail as the density times Mills's ratio, from its series at the nearest node."""
        if self.table is None:
            nodes = range(self.STEPS * self.END)
            self.table = np.array([mills(i, self.STEPS, self.TERMS, self.dtype) for i in nodes]).T
        u = np.abs(x)
        node = np.rint(u * self.STEPS).astype(np.intp)
        h = u - node / self.dtype(self.STEPS)
        ratio = 0
        for coefficients in self.table[::-1]:
            ratio = ratio * h + coefficients[node]
        tail = ratio * self.normal_density(u)
        return np.where(x > 0, 1 - tail, tail)


def mills(i, steps, terms, dtype):
    """Coefficients at u = i / steps of M(u) = Phi(-u) / phi(u), for which M' = u M - 1."""
    with mpmath.workprec(400):
        u = mpmath.mpf(i) / steps
        c = [TRUTH["normal_cdf"](-u) / TRUTH["normal_density"](u)]
        c.append(u * c[0] - 1)
        for n in range(1, terms - 1):
            c.append((u * c[n] + c[n - 1]) / (n + 1))
        return [widened(term, dtype) for term in c]


def widened(number, dtype):
    """An mpmath number in a dtype that may hold more than a float."""
    if not mpmath.isfinite(number):
        return dtype(float(number))
    fraction, exponent = mpmath.frexp(number)
    high = float(fraction)
    exponent = max(-20000, min(int(exponent), 20000))
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(dtype(high) + dtype(float(fraction - high)), exponent)


DOUBLES, LONG_DOUBLES = Arrays(np.float64), Arrays(np.longdouble)
needs_long_doubles = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here"
)

# ---- measuring ----------------------------------------------------------------------------------


def computed(kernels, name, x, isa):
    out = np.empty_like(x)
    kernels.evaluate_function(name, x, out, isa)
    return out


def errors(y, truth):
    """Errors of y in ulp: 0 between NaN and NaN, infinite where only one is NaN.

    An infinity stands for 2^e with e past the greatest exponent, where rounding puts its border.
    """
    limits = np.finfo(y.dtype)
    end = np.ldexp(truth.dtype.type(1), limits.maxexp)
    with np.errstate(invalid="ignore"):
        wide, truth = np.clip(y.astype(truth.dtype), -end, end), np.clip(truth, -end, end)
        _, exponent = np.frexp(truth)
        spacing = np.ldexp(
            truth.dtype.type(1), np.maximum(exponent - 1, limits.minexp) - limits.nmant
        )
        ulps = np.abs(wide - truth) / np.minimum(spacing, end * limits.epsneg)
    nans = np.isnan(wide), np.isnan(truth)
    return np.where(nans[0] & nans[1], 0, np.where(nans[0] != nans[1], np.inf, ulps))


def assert_accurate(name, x, y, truth):
    ulps = errors(y, truth)
    if name.startswith("normal"):
        with np.errstate(invalid="ignore"):
            ulps[(np.abs(x) > TAILS) & (np.abs(y - truth) < TINY[y.itemsize])] = 0
    worst = np.argmax(ulps)
    assert ulps[worst] <= ULPS[name], (
        f"{name}({x[worst]!r}) = {y[worst]!r} is {ulps[worst]:.3g} ulp from {truth[worst]!r}"
    )


def domain(name, x):
    return x[~(x < 0)] if name == "log1p" else x


def assert_same_signs(name, x, y):
    """tanh and expm1 keep the sign of their argument, of -0 too, unless they round to 0."""
    if name in ("tanh", "expm1"):
        sure = ~np.isnan(x) & ((y != 0) | (x == 0))
        wrong = sure & (np.signbit(x) != np.signbit(y))
        assert not wrong.any(), f"{name}({x[wrong][0]!r}) = {y[wrong][0]!r}"


def bits_of_float32(start, stop, step=1):
    return np.arange(start, stop, step, np.int64).astype(np.uint32).view(np.float32)


def spread(rng, n):
    """float64 numbers of every magnitude, and more where the functions turn."""
    bits = rng.integers(0, 2**64, n // 4, np.uint64).view(np.float64)
    parts = [rng.uniform(-b, b, n // 8) for b in (0.5, 2, 6, 40, 760)]
    small = rng.choice([-1, 1], n // 8) * np.exp2(rng.uniform(-60, 3, n // 8))
    return np.concatenate([bits, *parts, small, near_edges(np.float64)])


def near_edges(dtype):
    """Zeros, the least and greatest numbers, and what lies around every threshold of the code."""
    limits = np.finfo(dtype)
    at = [0, limits.smallest_subnormal, limits.tiny, limits.max, np.sqrt(0.5), np.log(2) / 2, 1, 2]
    at += [14.5, 18, 20, 38, 38.5, 40, 87.3, 88.7, 89, 103.9, 104, 709.7, 710, 744.4, 745.1, 746]
    x = np.array(at, dtype)
    with np.errstate(all="ignore"):
        x = np.concatenate([x, np.nextafter(x, dtype(0)), np.nextafter(x, dtype(np.inf))])
    return np.concatenate([x, -x])


# ---- tests --------------------------------------------------------------------------------------


@pytest.fixture(params=FUNCTIONS)
def function(request):
    return request.param


def test_every_function_is_tested(kernels):
    assert set(kernels.registry()["functions"]) == set(FUNCTIONS)


def test_special_values(kernels, isa, function):
    inf, nan = np.inf, np.nan
    expected = {  # at -inf, -0, 0, inf
        "exp": (0, 1, 1, inf),
        "expm1": (-1, -0.0, 0, inf),
        "log": (nan, -inf, -inf, inf),
        "log1p": (None, None, 0, inf),
        "tanh": (-1, -0.0, 0, 1),
        "sigmoid": (0, 0.5, 0.5, 1),
        "normal_cdf": (0, 0.5, 0.5, 1),
        "normal_density": (0, 0.3989422804014327, 0.3989422804014327, 0),
        "sqrt": (nan, -0.0, 0, inf),
        "sine_of_turns": (nan, 0, 0, nan),
        "cosine_of_turns": (nan, 1, 1, nan),
    }[function]
    for x, y in zip((-inf, -0.0, 0.0, inf), expected, strict=True):
        if y is not None:
            found = computed(kernels, function, np.array([x], kernels.DTYPE), isa)
            y = np.array([y], kernels.DTYPE)
            assert np.array_equal(found, y, equal_nan=True), (x, found, y)
            assert np.isnan(y) or np.signbit(found) == np.signbit(y), (x, found, y)


def test_nan_in_nan_out(kernels, isa, function):
    """Every kind of NaN gives NaN in its lane, and in no other."""
    for n in range(1, 40):
        for nan in (np.nan, -np.nan):
            x = np.ones(n, kernels.DTYPE)
            x[n // 2] = nan
            y = computed(kernels, function, x, isa)
            assert np.array_equal(np.isnan(y), np.isnan(x))


def test_float32(isa, function):
    """One of every 2^11 bit patterns, and the edges."""
    x = bits_of_float32(len(isa), 2**32, 2017)
    x = domain(function, np.concatenate([x, near_edges(np.float32)]))
    y = computed(_kernels_f32, function, x, isa)
    assert_accurate(function, x, y, DOUBLES(function, x))
    assert_same_signs(function, x, y)


def test_square_roots_are_rounded_correctly():
    """For each fraction and either parity of the exponent, at once and with every exponent."""
    two_binades = bits_of_float32(0x3F000000, 0x40000000)
    every_exponent = bits_of_float32(0, 0x7F800000, 104729)
    mixed = np.concatenate([every_exponent, np.zeros(9, np.float32), two_binades[:99]])
    rng = np.random.default_rng(0)
    for isa in _kernels_f32.instruction_sets():
        for x in (two_binades, every_exponent, rng.permutation(mixed)):
            np.testing.assert_array_equal(computed(_kernels_f32, "sqrt", x, isa), np.sqrt(x))


def square_roots(r, bits):
    """The square roots of r modulo 2^bits, where r is 1 modulo 8: each lifted bit by bit."""
    found = {1, 3, 5, 7}
    for k in range(4, bits + 1):
        lifted = {c + d for c in found for d in (0, 1 << (k - 2), 1 << (k - 1))}
        found = {c % (1 << k) for c in lifted if (c * c - r) % (1 << k) == 0}
    return found


def roots_near_middles(distances):
    """float64 numbers X 2^k whose roots are nearly M, in the middle between two float64 numbers.

    M has 54 bits and is odd, X has 53 bits, and M^2 = X 2^s + r for small r.
    """
    found = []
    for s in (54, 55):
        for r in distances:
            for root in square_roots(r, s):
                for M in (root, root + (1 << s)):
                    X = (M * M - r) >> s
                    if M >> 53 == 1 and X >> 52 == 1:
                        found.append(np.ldexp(float(X), s % 2))
    return np.array(found)


def test_square_roots_are_rounded_correctly_in_float64():
    """Roots that are nearest to the middle between two numbers, and others of every magnitude."""
    hard = roots_near_middles(range(-4095, 4097, 8))
    assert len(hard) > 1400
    assert np.ldexp(1 + 2.0**-52, 52) in hard  # the only one that multiply-adds round wrongly
    rng = np.random.default_rng(0)
    every = np.concatenate([hard * 4.0**k for k in range(-480, 480, 37)])
    random = rng.integers(0, 0x7FF0 << 48, 10**6).view(np.float64)
    mixed = rng.permutation(np.concatenate([hard, random[:9999], np.zeros(999)]))
    for isa in _kernels_f64.instruction_sets():
        for x in (every, random, mixed):
            np.testing.assert_array_equal(computed(_kernels_f64, "sqrt", x, isa), np.sqrt(x))


@pytest.fixture(scope="module")
def mpmath_values():
    """For each function arguments and their true values, as long doubles."""
    x = spread(np.random.default_rng(5), 4000)
    x = x[np.isfinite(x)]
    x = x[(np.abs(x) < 1e5) | (np.arange(len(x)) % 8 == 0)]
    found = {}
    with mpmath.workprec(150):
        for name in FUNCTIONS:
            points = domain(name, x)
            exact = [TRUTH[name](mpmath.mpf(float(p))) for p in points]
            found[name] = points, np.array([widened(v, np.longdouble) for v in exact])
    return found


def test_float64(isa, function, mpmath_values):
    x, truth = mpmath_values[function]
    y = computed(_kernels_f64, function, x, isa)
    assert_accurate(function, x, y, truth)
    assert_same_signs(function, x, y)


@needs_long_doubles
def test_long_doubles_agree_with_mpmath(function, mpmath_values):
    """Long doubles agree with mpmath to a small part of an ulp of float64."""
    x, truth = mpmath_values[function]
    with np.errstate(all="ignore"):
        found = LONG_DOUBLES(function, x)
        ulps = errors(truth.astype(np.float64), truth) - errors(truth.astype(np.float64), found)
    assert np.abs(ulps).max() < 0.02


@pytest.mark.slow
@needs_long_doubles
def test_float64_by_the_million(function):
    x = domain(function, spread(np.random.default_rng(6), 4_000_000))
    truth = LONG_DOUBLES(function, x)
    for isa in _kernels_f64.instruction_sets():
        y = computed(_kernels_f64, function, x, isa)
        assert_accurate(function, x, y, truth)
        assert_same_signs(function, x, y)


def assert_float32_range(name, start, stop):
    """Bit patterns start ... stop; quick where y is the rounded truth or next to it: 1.5 ulp."""
    x = domain(name, bits_of_float32(start, stop))
    truth = DOUBLES(name, x)
    with np.errstate(all="ignore"):
        near = truth.astype(np.float32).view(np.int32) - 1
    nothing_but_nan = np.isnan(truth).all()
    for isa in _kernels_f32.instruction_sets():
        y = computed(_kernels_f32, name, x, isa)
        if nothing_but_nan:
            assert np.isnan(y).all()
        elif not ((y.view(np.int32) - near).view(np.uint32) <= 2).all():
            assert_accurate(name, x, y, truth)
        assert_same_signs(name, x, y)


@pytest.mark.slow
def test_every_float32(function):
    """All 2^32 of them, on every instruction set."""
    size = 2**14  # arrays of doubles that stay in cache
    for start in range(0, 2**32, size):
        assert_float32_range(function, start, start + size)
