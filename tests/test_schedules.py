"""Learning-rate schedules: their formulas, and training that follows them step by step.

Rates agree with the reference to 1e-12, and with those of torch, Keras and scikit-learn for the
same parameters; training in float64 agrees to 1e-10, for tiny networks and for others. Not here:
callbacks that set rates (test_callbacks.py), files in general (test_safetensors.py).
"""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    Adaptive,
    Callback,
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    Dense,
    Dropout,
    ExponentialDecay,
    InverseScaling,
    LinearWarmup,
    OneCycle,
    PiecewiseConstantDecay,
    StepDecay,
    reference,
)
from fastnn import schedules as kinds

EXACT = {"rtol": 1e-10, "atol": 1e-10}

# Where a run's length is subtracted again and again, quarters keep what is left exact.
FORMULAS = [
    Constant(0.3),
    StepDecay(0.1, 7),
    StepDecay(0.1, 0.3, decay_rate=0.9),
    StepDecay(0.1, 2.5, decay_rate=1.00001, per="epoch"),
    ExponentialDecay(0.1, 10, 0.5),
    ExponentialDecay(0.1, 33.3, 1.01),
    ExponentialDecay(0.1, 12, 0.6, staircase=True),
    PiecewiseConstantDecay([3], [0.1, 0.02]),
    PiecewiseConstantDecay([0, 2.5, 60, 1000.0], (0.1, 0.3, 0.0, 0.2, 0.05), per="epoch"),
    PiecewiseConstantDecay(np.arange(1, 100.0), np.linspace(1, 0, 100)),
    CosineDecay(0.1, 50),
    CosineDecay(2.0, 33.3, alpha=0.07),
    CosineDecay(0.1, 0.5, alpha=3.0),
    CosineDecayRestarts(0.1, 10),
    CosineDecayRestarts(0.1, 2.25, t_mul=1.0, m_mul=0.9, alpha=0.1),
    CosineDecayRestarts(0.1, 3, t_mul=1.5, m_mul=0.5),
    CosineDecayRestarts(0.1, 0.75, t_mul=2.5, m_mul=1.25, alpha=0.5, per="epoch"),
    InverseScaling(0.1),
    InverseScaling(0.1, power=0.0),
    InverseScaling(0.1, power=1.7, per="epoch"),
    OneCycle(1.0, 100),
    OneCycle(0.5, 33.7, pct_start=0.61, div_factor=7.0, final_div_factor=13.0),
    OneCycle(0.5, 10, pct_start=0.05),  # the peak before the first step: only down
    OneCycle(0.5, 2, pct_start=0.4, div_factor=0.5),
]
WARMED = [
    LinearWarmup(0.1, 10),
    LinearWarmup(0.1, 2.5, start=0.3),
    LinearWarmup(CosineDecay(0.1, 33.3, alpha=0.1), 7, start=0.01),
    LinearWarmup(CosineDecayRestarts(0.1, 2.5, t_mul=1.5), 7.5, per="step"),
    LinearWarmup(OneCycle(0.1, 40, per="epoch"), 0.3),
    LinearWarmup(StepDecay(0.1, 5, per="epoch"), 3, start=0.2, per="epoch"),
    LinearWarmup(PiecewiseConstantDecay([5, 9], [0.1, 0.05, 0.01]), 4),
]
SOON = np.arange(0, 200, 0.25)
LATE = np.array([1e3, 1001.5, 12_345.0, 1e5, 1e6])


def published(schedule, times):
    """The rates that the reference gives."""
    arguments = schedule.kernel()
    arguments.pop("per_epoch")
    return np.array([reference.learning_rate(t, **arguments) for t in times])


# ---- formulas -----------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [*FORMULAS, *WARMED, Adaptive(0.1, patience=3)], ids=repr)
def test_a_repr_is_an_expression_for_the_schedule(schedule):
    assert eval(repr(schedule), dict(vars(kinds))) == schedule


@pytest.mark.parametrize("schedule", FORMULAS + WARMED, ids=repr)
@pytest.mark.parametrize("times", [SOON, LATE], ids=["soon", "late"])
def test_rates_equal_those_of_the_reference(schedule, times):
    rates = schedule(times)
    np.testing.assert_allclose(rates, published(schedule, times), rtol=1e-12, atol=1e-15)
    assert (np.isfinite(rates) & (rates >= 0)).all()


def test_every_schedule_is_tested():
    assert {type(s) for s in FORMULAS + WARMED} == {*kinds.KINDS.values()} - {Adaptive}


def test_a_wrong_formula_is_found():
    """A decay whose factor is wrong by 1e-11 must be found."""
    wrong = ExponentialDecay(0.1, 10, 0.5 * (1 + 1e-11))
    with pytest.raises(AssertionError, match="Mismatch"):
        np.testing.assert_allclose(
            wrong(SOON), published(FORMULAS[4], SOON), rtol=1e-12, atol=1e-15
        )


def test_a_schedule_returns_a_float_for_a_number_and_an_array_for_an_array():
    schedule = CosineDecay(1.0, 10)
    assert type(schedule(3)) is float
    assert schedule([[0, 5], [10, 20]]).shape == (2, 2)
    assert schedule(np.array([])).shape == (0,)
    assert schedule(3) == schedule([3])[0]


@pytest.mark.parametrize("t", [-1, np.nan, [1, np.inf]])
def test_times_are_finite_and_not_negative(t):
    with pytest.raises(ValueError, match=r"^t must be finite and at least 0; got "):
        CosineDecay(1.0, 10)(t)


def test_a_time_is_a_number():
    with pytest.raises(TypeError, match=r"^t must be a number or an array of numbers; got '3'"):
        CosineDecay(1.0, 10)("3")


def test_rates_by_hand():
    assert StepDecay(1.0, 2, 0.5)([0, 1.99, 2, 3.99, 4]).tolist() == [1, 1, 0.5, 0.5, 0.25]
    assert ExponentialDecay(1.0, 2, 0.25)([0, 1, 2, 3]).tolist() == [1, 0.5, 0.25, 0.125]
    staircase = ExponentialDecay(1.0, 2, 0.25, staircase=True)
    assert staircase([0, 1.99, 2, 3, 4]).tolist() == [1, 1, 0.25, 0.25, 0.0625]
    pieces = PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.25])
    assert pieces([0, 1, 1.01, 3, 3.01, 99]).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert InverseScaling(1.0, 2.0)([0, 1, 4]).tolist() == [1, 0.25, 0.04]
    assert LinearWarmup(1.0, 4, start=0.5)([0, 1, 2, 3, 4, 99]).tolist() == [
        0.5, 0.625, 0.75, 0.875, 1, 1,
    ]  # fmt: skip
    for schedule, times, rates in [
        (CosineDecay(1.0, 3, alpha=0.2), [0, 1, 2, 3, 4], [1, 0.8, 0.4, 0.2, 0.2]),
        (CosineDecayRestarts(1, 2, 2.0, 0.5), [0, 1, 2, 4, 6], [1, 0.5, 0.5, 0.25, 0.25]),
        (CosineDecayRestarts(1, 2, 1.0, 0.5), [0, 1, 2, 3, 20], [1, 0.5, 0.5, 0.25, 2**-10]),
        (OneCycle(1.0, 5, 0.6, 4.0, 25.0), [0, 1, 2, 3, 4, 5], [0.25, 0.625, 1, 0.505, 0.01, 0.01]),
    ]:  # fmt: skip
        np.testing.assert_allclose(schedule(times), rates, rtol=1e-14)


def test_half_a_cosine_begins_and_ends_at_the_very_rates():
    decay, restarts = CosineDecay(1e-3, 10, alpha=0.1), CosineDecayRestarts(3e-3, 10)
    assert (decay(0), decay(10)) == (1e-3, 0.1 * 1e-3)
    assert (restarts(0), restarts(10)) == (3e-3, 3e-3)
    peak = OneCycle(1e-2, 100)
    assert max(peak(step) for step in range(100)) == 1e-2


def test_a_warm_up_precedes_the_whole_schedule():
    after = CosineDecay(0.1, 40, alpha=0.1)
    warm = LinearWarmup(after, 8, start=0.02)
    np.testing.assert_allclose(warm(np.arange(8)), np.linspace(0.02, 0.1, 9)[:8], rtol=1e-14)
    assert warm(np.arange(8, 80)).tolist() == after(np.arange(72)).tolist()
    assert LinearWarmup(0.1, 3, per="epoch").per == "epoch"
    assert LinearWarmup(CosineDecay(0.1, 9, per="epoch"), 3).per == "epoch"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CosineDecay(0.0, 9), "initial_learning_rate must be above 0"),
        (lambda: CosineDecay(0.1, 0), "decay_steps must be above 0"),
        (lambda: CosineDecay(0.1, 9, alpha=-1), "alpha must be"),
        (lambda: CosineDecayRestarts(0.1, 9, t_mul=0.9), "t_mul must be"),
        (lambda: OneCycle(0.1, 1), "total_steps must be"),
        (lambda: OneCycle(0.1, 9, pct_start=1.0), "pct_start must be"),
        (lambda: Adaptive(0.1, factor=1.0), "factor must be"),
        (lambda: Adaptive(0.1, patience=0), "patience must be"),
        (lambda: StepDecay(0.1, math.nan), "decay_steps must be"),
        (lambda: StepDecay(0.1, 9, per="batch"), "per must be one of 'step', 'epoch'"),
        (lambda: PiecewiseConstantDecay([], [1]), "boundaries must hold at least one number"),
        (lambda: PiecewiseConstantDecay([1, -1], [1, 1, 1]), r"boundaries\[1\] must be at least 0"),
        (
            lambda: PiecewiseConstantDecay([1, 2, 2], [1] * 4),
            r"boundaries must increase; boundaries\[1\] is 2 and boundaries\[2\] is 2",
        ),
        (
            lambda: PiecewiseConstantDecay([1, 2], [1, 2]),
            "values has 2 rates but boundaries has 2 numbers; give 3 rates",
        ),
        (lambda: LinearWarmup(Adaptive(0.1), 9), "cannot follow a warm-up"),
        (lambda: LinearWarmup(LinearWarmup(0.1, 9), 9), "cannot follow a warm-up"),
        (lambda: LinearWarmup(StepDecay(0.1, 9), 9, per="epoch"), "counts per step"),
    ],
)
def test_invalid_parameters_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


# ---- against others -----------------------------------------------------------------------------


def torch_rates(scheduler_of, steps, rate=0.1):
    """Return the rate of a torch optimizer in each step."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler, rates = scheduler_of(torch.optim.lr_scheduler, optimizer), []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        if step < steps - 1:
            optimizer.step()
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "steps", "scheduler_of"),
    [
        (StepDecay(0.1, 7, 0.3), 60, lambda s, o: s.StepLR(o, 7, 0.3)),
        (ExponentialDecay(0.1, 1, 0.9), 60, lambda s, o: s.ExponentialLR(o, 0.9)),
        (
            ExponentialDecay(0.1, 7, 0.3, staircase=True),
            60,
            lambda s, o: s.StepLR(o, 7, 0.3),
        ),
        (
            PiecewiseConstantDecay([4, 9, 29], [0.1, 0.02, 0.004, 0.0008]),
            60,
            lambda s, o: s.MultiStepLR(o, [5, 10, 30], 0.2),
        ),
        (CosineDecay(0.1, 40, 0.05), 41, lambda s, o: s.CosineAnnealingLR(o, 40, 0.005)),
        (
            CosineDecayRestarts(0.1, 5, 2.0),
            90,
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, T_mult=2),
        ),
        (
            CosineDecayRestarts(0.1, 7, 1.0, alpha=0.1),
            90,
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, T_mult=1, eta_min=0.01),
        ),
        (
            OneCycle(0.7, 50),
            50,
            lambda s, o: s.OneCycleLR(o, 0.7, total_steps=50, cycle_momentum=False),
        ),
        (
            OneCycle(0.7, 33, 0.41, 10.0, 100.0),
            33,
            lambda s, o: s.OneCycleLR(
                o, 0.7, total_steps=33, pct_start=0.41, div_factor=10.0, final_div_factor=100.0,
                cycle_momentum=False,
            ),
        ),
        (LinearWarmup(0.1, 8, start=0.025), 20, lambda s, o: s.LinearLR(o, 0.25, total_iters=8)),
        (
            LinearWarmup(CosineDecay(0.1, 30), 8, start=0.025),
            39,
            lambda s, o: s.SequentialLR(
                o, [s.LinearLR(o, 0.25, total_iters=8), s.CosineAnnealingLR(o, 30)], [8]
            ),
        ),
    ],
    ids=lambda value: repr(value) if isinstance(value, kinds.Schedule) else "",
)  # fmt: skip
def test_torch(schedule, steps, scheduler_of):
    expected = torch_rates(scheduler_of, steps)
    np.testing.assert_allclose(schedule(np.arange(steps)), expected, rtol=1e-12, atol=1e-15)


@pytest.fixture
def keras(monkeypatch):
    """Keras' schedules, in float64."""
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield keras.optimizers.schedules
    keras.config.set_floatx(usual)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (CosineDecay(0.1, 40), lambda k: k.CosineDecay(0.1, 40)),
        (CosineDecay(0.1, 33, 0.2), lambda k: k.CosineDecay(0.1, 33, alpha=0.2)),
        (
            LinearWarmup(CosineDecay(0.1, 40, 0.1), 9, start=0.01),
            lambda k: k.CosineDecay(0.01, 40, alpha=0.1, warmup_target=0.1, warmup_steps=9),
        ),
        (CosineDecayRestarts(0.1, 6), lambda k: k.CosineDecayRestarts(0.1, 6)),
        (
            CosineDecayRestarts(0.1, 6, 1.0, 0.8, 0.1),
            lambda k: k.CosineDecayRestarts(0.1, 6, t_mul=1.0, m_mul=0.8, alpha=0.1),
        ),
        (
            CosineDecayRestarts(0.1, 7, 1.5, 0.7),
            lambda k: k.CosineDecayRestarts(0.1, 7, t_mul=1.5, m_mul=0.7),
        ),
        (ExponentialDecay(0.1, 12, 0.6), lambda k: k.ExponentialDecay(0.1, 12, 0.6)),
        (StepDecay(0.1, 12, 0.6), lambda k: k.ExponentialDecay(0.1, 12, 0.6, staircase=True)),
        (
            ExponentialDecay(0.1, 12, 0.6, staircase=True),
            lambda k: k.ExponentialDecay(0.1, 12, 0.6, staircase=True),
        ),
        (
            PiecewiseConstantDecay([5, 20, 21], [0.1, 0.05, 0.5, 0.01]),
            lambda k: k.PiecewiseConstantDecay([5, 20, 21], [0.1, 0.05, 0.5, 0.01]),
        ),
        (InverseScaling(0.1, 1.0), lambda k: k.InverseTimeDecay(0.1, 1, 1.0)),
    ],
    ids=lambda value: repr(value) if isinstance(value, kinds.Schedule) else "",
)
def test_keras(keras, schedule, theirs):
    rule, times = theirs(keras), np.arange(100)
    expected = [float(rule(t)) for t in times]
    np.testing.assert_allclose(schedule(times), expected, rtol=1e-12, atol=1e-15)


def test_scikit_learns_invscaling():
    theirs = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    rule, rates = theirs.SGDOptimizer([], 0.1, "invscaling", power_t=0.4), [0.1]
    for t in range(1, 50):
        rule.iteration_ends(t)
        rates.append(rule.learning_rate)
    np.testing.assert_allclose(InverseScaling(0.1, 0.4)(np.arange(50)), rates, rtol=1e-14)


# ---- Adaptive -----------------------------------------------------------------------------------


def states(rule, losses):
    """(rate, best, wait) after each of the losses."""
    state, found = rule.start(), []
    for loss in losses:
        state = rule.after_epoch(state, loss)
        found.append((state["rate"], state["best"], state["wait"]))
    return found


def test_adaptive_by_hand():
    rule = Adaptive(1.0, factor=0.5, patience=2, tol=0.25, min_learning_rate=0.2)
    assert rule.start() == {"rate": 1.0, "best": None, "wait": 0}
    assert states(rule, [9.0, 8.75, 8.625, 8.25, 8.25, 8.0, 7.99, 7.99, 9, 9, 9, 9]) == [
        (1.0, 9.0, 0),
        (1.0, 8.75, 0),  # by just tol
        (1.0, 8.625, 1),  # better, by less than tol: the best one still
        (1.0, 8.25, 0),
        (1.0, 8.25, 1),
        (1.0, 8.0, 0),
        (1.0, 7.99, 1),
        (0.5, 7.99, 0),  # two in a row
        (0.5, 7.99, 1),
        (0.25, 7.99, 0),
        (0.25, 7.99, 1),
        (0.2, 7.99, 0),  # no less
    ]
    assert states(Adaptive(0.1, min_learning_rate=0.5), [1, 1, 1, 1, 1])[-1] == (0.1, 1, 0)
    assert states(Adaptive(1.0, patience=1, factor=0.5), [1, 1, 1])[-1] == (0.25, 1, 0)


@pytest.mark.parametrize(("patience", "tol", "epochs"), [(2, 1e-3, 20), (4, 3e-3, 30)])
def test_adaptive_is_scikit_learns(rng, patience, tol, epochs):
    """Losses and rates equal scikit-learn's in the same training: full batches, tanh, Nesterov."""
    theirs = pytest.importorskip("sklearn.neural_network")

    class Recorded(theirs.MLPRegressor):
        def _initialize(self, *args):
            super()._initialize(*args)
            pairs = zip(self.coefs_, self.intercepts_, strict=True)
            self.first, self.rates = [w.copy() for pair in pairs for w in pair], []

        def _update_no_improvement_count(self, *args):
            super()._update_no_improvement_count(*args)
            self.rates.append(self._optimizer.learning_rate)

    X, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    model = Recorded(
        hidden_layer_sizes=(6,), activation="tanh", solver="sgd", learning_rate="adaptive",
        learning_rate_init=0.3, alpha=0.0, batch_size=60, shuffle=False, tol=tol,
        n_iter_no_change=patience - 1, max_iter=epochs, random_state=1,
    )  # fmt: skip
    with pytest.warns(Warning, match="Maximum iterations"):
        model.fit(X, y)
    rule = SGD(Adaptive(0.3, patience=patience, tol=tol), momentum=0.9, nesterov=True)
    net = MLP(5, [Dense(6, "tanh"), Dense(1)], loss="squared_error", optimizer=rule,
              dtype="float64")  # fmt: skip
    net.set_weights(model.first)
    recorder = Rates()
    losses = net.fit(X, y, batch_size=None, epochs=epochs, callbacks=[recorder]).history["loss"]
    np.testing.assert_allclose(losses, model.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(recorder.epochs, model.rates, rtol=1e-12)
    assert len(set(model.rates)) > 3


# ---- training -----------------------------------------------------------------------------------


class Rates(Callback):
    """Records the rate at the start of each epoch, and in `batches` at the start of each step."""

    def __init__(self):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs):
        self.epochs.append(self.model.learning_rate)


class BatchRates(Rates):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_begin(self, batch, logs):
        self.batches.append(self.model.learning_rate)


def trained(per):
    """One schedule of each kind, whose rate changes much in this number of steps, or epochs."""
    unit = 1.0 if per == "epoch" else 12.0
    return [
        Constant(0.05, per=per),
        StepDecay(0.05, 1.3 * unit, 0.5, per=per),
        ExponentialDecay(0.05, 2 * unit, 0.4, per=per),
        CosineDecay(0.05, 4.5 * unit, 0.1, per=per),
        CosineDecayRestarts(0.05, 1.5 * unit, 1.5, 0.8, 0.01, per=per),
        InverseScaling(0.05, 0.7, per=per),
        OneCycle(0.05, 6 * unit, 0.4, per=per),
        LinearWarmup(CosineDecay(0.05, 3 * unit, per=per), 2 * unit, start=0.005),
        LinearWarmup(0.05, 2 * unit, per=per),
    ]


TRAINED = [*trained("step"), *trained("epoch")]


def tiny(optimizer, dtype="float64"):
    """A network that tiny.c trains, where a batch is one row."""
    return MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer=optimizer,
               dtype=dtype, seed=0)  # fmt: skip


def normal(optimizer, dtype="float64", n_threads=None):
    layers = [Dense(20, "tanh", l2=1e-3), Dropout(0.2), Dense(17, "relu"), Dense(1)]
    return MLP(2, layers, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=0,
               n_threads=n_threads)  # fmt: skip


NETS = [(tiny, 1), (normal, 1), (normal, 5)]
nets = pytest.mark.parametrize(("build", "batch"), NETS, ids=["tiny-1", "normal-1", "normal-5"])


@pytest.fixture
def data(rng):
    """12 rows: 12 steps an epoch, or 3, the last one short."""
    X = rng.normal(size=(12, 2))
    return X, np.sin(2 * X[:, :1])


def assert_same(net, twin):
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(w, truth, **EXACT)
    assert (net.step, net.epoch) == (twin.step, twin.epoch)


def follow(net, twin, X, t, batch, epochs=2):
    """Fit both; compare losses and weights."""
    shuffler = copy.deepcopy(net._state.shuffler)
    losses = net.fit(X, t, batch_size=batch, epochs=epochs).history["loss"]
    orders = [shuffler.permutation(len(X)) for _ in range(epochs)]
    expected = [twin.fit_epoch(X, t, order, batch) for order in orders]
    np.testing.assert_allclose(losses, expected, **EXACT)
    assert_same(net, twin)


@pytest.mark.parametrize("schedule", TRAINED, ids=repr)
@nets
def test_training_follows_the_reference(isa, schedule, build, batch, data):
    """Steps and epochs are counted over several fits and the single steps between them."""
    net = build(SGD(schedule, momentum=0.5))
    twin, before = reference.Network.like(net), net.get_weights()
    assert net.learning_rate == schedule(0)
    for _ in range(3):
        follow(net, twin, *data, batch)
        assert net.train_on_batch(*data) == pytest.approx(twin.train_on_batch(*data), rel=1e-10)
        assert_same(net, twin)
        t = net.epoch if schedule.per == "epoch" else net.step
        assert net.learning_rate == schedule(t)
    moved = [np.abs(w - start).max() for w, start in zip(net.get_weights(), before, strict=True)]
    assert min(moved) > 1e-3


@pytest.mark.parametrize("per", ["step", "epoch"])
@nets
def test_every_optimizer_follows(optimizer, per, build, batch, data):
    if optimizer.is_average:
        pytest.skip("the optimizer takes no schedule")
    schedule = ExponentialDecay(0.02, 1.0 if per == "epoch" else 12.0, 0.5, per=per)
    net = build(dataclasses.replace(optimizer, learning_rate=schedule))
    follow(net, reference.Network.like(net), *data, batch, epochs=3)


@pytest.mark.parametrize("schedule", TRAINED, ids=repr)
@nets
def test_each_step_has_its_rate(schedule, build, batch, data):
    """Callbacks see the same rates whether or not the compiled loop is left between steps."""
    net, rates = build(SGD(schedule)), BatchRates()
    other = net.copy()
    net.fit(*data, batch_size=batch, epochs=3, callbacks=[rates])
    other.fit(*data, batch_size=batch, epochs=3)
    steps = -(-12 // batch)
    if schedule.per == "epoch":
        assert rates.batches == np.repeat(schedule(np.arange(3)), steps).tolist()
    else:
        assert rates.batches == schedule(np.arange(3 * steps)).tolist()
    assert rates.epochs == rates.batches[::steps]
    for one, two in zip(net.get_weights(), other.get_weights(), strict=True):
        assert one.tobytes() == two.tobytes()


@nets
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_schedule_is_a_rate(build, batch, dtype, data):
    one, other = build(SGD(Constant(0.1)), dtype), build(SGD(0.1), dtype)
    for net in (one, other):
        net.fit(*data, batch_size=batch, epochs=3)
    for w, same in zip(one.get_weights(), other.get_weights(), strict=True):
        assert w.tobytes() == same.tobytes()


@nets
def test_training_in_float32_follows_the_schedule(isa, build, batch, data):
    X, t = data[0].astype("float32"), data[1].astype("float32")
    net = build(SGD(CosineDecay(0.1, 24)), "float32")
    twin = reference.Network.like(build(SGD(CosineDecay(0.1, 24))))
    twin.set_weights([w.astype(float) for w in net.get_weights()])
    net.fit(X, t, batch_size=batch, shuffle=False, epochs=2)
    for _ in range(2):
        twin.fit_epoch(X, t, np.arange(12), batch)
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(w, truth, rtol=0, atol=64 * np.finfo("float32").eps)


@nets
def test_adaptive_training(isa, build, batch, data):
    """The rate is constant in an epoch; the state continues from fit to fit."""
    rule = Adaptive(0.05, factor=0.5, patience=1, tol=0.02)
    net = build(SGD(rule))
    twin, state, rates = reference.Network.like(net), rule.start(), set()
    for epoch in range(12):
        assert net.learning_rate == state["rate"]
        rates.add(state["rate"])
        shuffler = copy.deepcopy(net._state.shuffler)
        [loss] = net.fit(*data, batch_size=batch).history["loss"]
        twin.schedule["parameters"] = [state["rate"]]
        expected = twin.fit_epoch(*data, shuffler.permutation(12), batch)
        assert loss == pytest.approx(expected, rel=1e-10), epoch
        state = rule.after_epoch(state, loss)
    assert_same(net, twin)
    assert len(rates) > 2


# ---- setting the rate ---------------------------------------------------------------------------


class SetsRate(Callback):
    """Sets the rate at the start of epochs, or steps, by their numbers in the whole fit."""

    def __init__(self, rates):
        self.rates, self.count = rates, 0

    def set(self):
        if self.count in self.rates:
            self.model.learning_rate = self.rates[self.count]
        self.count += 1


class OfEpochs(SetsRate):
    def on_epoch_begin(self, epoch, logs):
        self.set()


class OfSteps(SetsRate):
    def on_train_batch_begin(self, batch, logs):
        self.set()


@nets
@pytest.mark.parametrize("first", [0.05, CosineDecay(0.05, 20), Adaptive(0.05, tol=0.1)], ids=repr)
@pytest.mark.parametrize("kind", [OfEpochs, OfSteps])
def test_callbacks_set_the_rate(isa, build, batch, first, kind, data):
    """To numbers, and to a schedule, whose time is still that of the network."""
    net, later = build(SGD(first, momentum=0.3)), ExponentialDecay(0.05, 5, 0.7)
    twin = reference.Network.like(net)
    if kind is OfEpochs:
        rates = {0: 0.02, 2: 0.05, 3: later}
    else:
        rates = {0: 0.02, 2: 0.05, 4: 0.01, 6: later}
    net.fit(*data, batch_size=batch, shuffle=False, epochs=5, callbacks=[kind(rates)])
    step = 0
    for epoch in range(5):
        for at in range(0, 12, batch):
            at_step = epoch if kind is OfEpochs else step
            rate = rates[max(known for known in rates if known <= at_step)]
            twin.schedule = None
            twin.hyper["learning_rate"] = rate(step) if rate is later else rate
            twin.train_on_batch(*(rows[at : at + batch] for rows in data))
            step += 1
        twin.epoch += 1
    assert_same(net, twin)
    assert net.learning_rate == later(step)
    assert net.optimizer == SGD(later, momentum=0.3)


def test_a_rate_that_is_set_ends_a_schedule(data):
    net = tiny(Adam(Adaptive(0.1, patience=1, tol=1.0)))
    net.fit(*data, epochs=3)
    assert net.learning_rate == pytest.approx(0.1 * 0.2**2)
    net.learning_rate = 0.5
    net.fit(*data, epochs=3)
    assert net.learning_rate == 0.5
    assert net.optimizer == Adam(0.5)
    net.learning_rate = Adaptive(0.25, patience=1, tol=1.0)  # from its beginning
    assert net.learning_rate == 0.25
    net.fit(*data, epochs=3)
    assert net.learning_rate == pytest.approx(0.25 * 0.2**2)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_rate_changes_nothing(data, wrong):
    schedule = CosineDecay(0.1, 20)
    net = tiny(SGD(schedule))
    with pytest.raises(ValueError, match="learning_rate"):
        net.learning_rate = wrong
    net.fit(*data)
    assert net.learning_rate == schedule(1)


# ---- same bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_number_of_threads(isa, per, dtype):
    """A step of the net below is 12 million operations, shared from 1 million on."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((250, 70)), rng.integers(0, 5, 250)

    def bits(rate, n_threads):
        layers = [Dense(130, "relu"), Dropout(0.2), Dense(90, "tanh"), Dense(5, "softmax")]
        net = MLP(70, layers, loss="cross_entropy", optimizer=Adam(rate), dtype=dtype, seed=0,
                  n_threads=n_threads)  # fmt: skip
        net.fit(X, labels, batch_size=100, epochs=3)
        return b"".join(w.tobytes() for w in net.get_weights())

    schedule = LinearWarmup(CosineDecay(1e-3, 5, per=per), 2, start=1e-4)
    assert len({bits(schedule, n) for n in (1, 2, 3, 4)}) == 1
    assert bits(schedule, 2) != bits(1e-3, 2)


WAYS = {
    "copy": lambda net, path: net.copy(),
    "copy.copy": lambda net, path: copy.copy(net),
    "deepcopy": lambda net, path: copy.deepcopy(net),
    "pickle": lambda net, path: pickle.loads(pickle.dumps(net)),
    "file": lambda net, path: (net.save(path), fastnn.load(path))[1],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "schedule",
    [
        CosineDecay(0.05, 70),
        StepDecay(0.05, 2, 0.5, per="epoch"),
        LinearWarmup(0.05, 3, per="epoch"),
        Adaptive(0.05, patience=2, tol=0.1),
    ],
    ids=repr,
)
@nets
def test_copies_continue_at_the_same_step_and_rate(way, schedule, build, batch, data, tmp_path):
    """At the same step, epoch and rate; for Adaptive with its best loss and patience."""
    net = build(SGD(schedule, momentum=0.5))
    net.fit(*data, batch_size=batch, epochs=4)
    twin = WAYS[way](net, tmp_path / "net")
    assert (twin.step, twin.epoch, twin.learning_rate) == (net.step, net.epoch, net.learning_rate)
    assert twin.optimizer == net.optimizer
    rates = [], []
    for each, seen in zip((net, twin), rates, strict=True):
        for _ in range(4):
            seen.append(each.learning_rate)
            each.fit(*data, batch_size=batch)
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1 or schedule == LinearWarmup(0.05, 3, per="epoch")
    for w, same in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert w.tobytes() == same.tobytes()


def test_copies_do_not_share_an_adaptives_state(data):
    net = tiny(SGD(Adaptive(0.1, patience=1, tol=1.0)))
    net.fit(*data, epochs=2)
    twin = net.copy()
    twin.fit(*data, epochs=3)
    assert net.learning_rate == pytest.approx(0.02)
    assert twin.learning_rate == pytest.approx(0.02 * 0.2**3)


def test_the_history_has_the_rates_that_epochs_were_trained_with():
    rate = StepDecay(0.1, 2, 0.5, per="epoch")
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer=SGD(rate), seed=0)
    history = net.fit([[0.0], [1.0]], [0.0, 1.0], epochs=4).history
    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05, 0.05], rel=1e-12)


def test_a_callback_that_ends_a_schedule_leaves_whole_columns():
    class Take(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.learning_rate = 0.5

    net = MLP(1, [Dense(1)], loss="squared_error", optimizer=SGD(CosineDecay(0.1, 10)), seed=0)
    history = net.fit([[0.0], [1.0]], [0.0, 1.0], epochs=3, callbacks=[Take()]).history
    assert history["learning_rate"][1:] == [0.5, 0.5]
    assert len(history["loss"]) == 3
