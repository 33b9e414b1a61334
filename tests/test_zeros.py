"""Zeros among the inputs, which the engine skips: the bits of the products with them.

The same calls are made by networks that skip zeros and by networks that do not, and everything they
return or change is compared bit by bit. Not here: the leaves alone (leaves/check_zeros.c), rows of
CSR (test_csr.py).
"""

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from comparing import state_of

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Callback,
    Dense,
    Dropout,
    EarlyStopping,
    Ensemble,
    LayerNorm,
    Standardize,
    SwapEMAWeights,
    _cpu,
    fit_many,
)

N, N_IN = 210, 133
RNG = np.random.default_rng(0)
Y, LABELS, WEIGHTS = RNG.random((N, 3)), RNG.integers(0, 3, N), RNG.random(N)
DTYPES = ["float32", "float64"]


def rows_with_zeros(density, n=N, n_in=N_IN, dtype=np.float64):
    """Return rows with so many nonzeros on average, zeros of both signs, empty rows and columns."""
    X = RNG.standard_normal((n, n_in))
    # Some columns have more than others.
    X[RNG.random(X.shape) >= density * RNG.uniform(0.5, 1.5, n_in)] = 0
    if density == 1:
        X = RNG.standard_normal((n, n_in))
    X[(X == 0) & (RNG.random(X.shape) < 0.3)] = -0.0
    if density < 1:
        X[n // 2], X[:, n_in // 3] = 0, 0
        X[5, 7], X[6, 8] = 1e-310, 1e-40  # subnormal in float64, in float32
    return X.astype(dtype)


SPARSE = rows_with_zeros(0.2)


def layers(units=(70, 5), activation="relu", last="identity"):
    return [*(Dense(n, activation) for n in units), Dense(3, last)]


@pytest.fixture
def twins(monkeypatch):
    """Make two networks, of which the first one skips zeros; or call a function for each."""

    def make(call=None, n_in=N_IN, **options):
        def network():
            settings = {"layers": layers(), "loss": "squared_error", "optimizer": "adam"}
            return MLP(n_in, **{"seed": 3, **settings, **options})

        made = []
        for skips in (True, False):
            monkeypatch.setattr(_cpu, "SKIP_ZEROS", skips)
            made.append((call or network)())
        return made

    return make


def skips(net, X, batch=32):
    return net._network.skips_zeros(np.ascontiguousarray(X, net.dtype), batch)


def assert_same_fits(nets, X=SPARSE, y=Y, **options):
    """Train both; assert that all losses and the final states are the same."""
    histories = [net.fit(X, y, **{"batch_size": 32, "epochs": 2, **options}) for net in nets]
    assert repr(histories[0].history) == repr(histories[1].history)
    assert state_of(nets[0]) == state_of(nets[1])


def assert_same_calls(nets, X, y, weight=None):
    """Assert that both networks return the same bits from every call on rows."""
    one, other = nets
    for n in (1, 1, 2, 17, len(X)):
        assert one.predict(X[:n]).tobytes() == other.predict(X[:n]).tobytes()
    assert one.evaluate(X, y, weight) == other.evaluate(X, y, weight)
    (loss, gradients), (same, others) = (net.loss_and_gradients(X, y, weight) for net in nets)
    assert loss == same
    for a, b in zip(gradients, others, strict=True):
        assert a.tobytes() == b.tobytes()
    assert one.train_on_batch(X, y, weight) == other.train_on_batch(X, y, weight)
    assert state_of(one) == state_of(other)


# ---- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0, 0.05, 0.2, 0.5, 1])
def test_any_density(density, dtype, isa, twins):
    X = rows_with_zeros(density)
    nets = twins(dtype=dtype)
    assert skips(nets[0], X) == (density < 0.4)
    assert not skips(nets[1], X)
    for net in nets:
        weights = net.get_weights()
        weights[1][...] = -0.0  # sums that begin with -0
        net.set_weights(weights)
    assert_same_calls(nets, X, Y, WEIGHTS)
    assert_same_fits(nets, X, sample_weight=WEIGHTS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_in", "units"), [(64, 33), (65, 48), (128, 49), (200, 150), (784, 64), (63, 64), (64, 32)]
)
def test_shapes_and_threads(n_in, units, dtype, twins):
    X = rows_with_zeros(0.15, n_in=n_in)
    for n_threads, batch in itertools.product((1, 2, 3), (16, 33, 200)):
        nets = twins(n_in=n_in, layers=layers([units]), dtype=dtype, n_threads=n_threads)
        assert skips(nets[0], X, batch) == (n_in >= 64 and units > 32)
        assert_same_fits(nets, X, batch_size=batch)
        assert_same_calls(nets, X, Y)


def test_threads_share_a_step(twins):
    """Each thread has its own range of strips of tiles."""
    X, y = rows_with_zeros(0.2, n=300, n_in=400), RNG.random((300, 3))
    states = set()
    for n_threads in (1, 2, 3):
        nets = twins(n_in=400, layers=layers([120, 40]), n_threads=n_threads)
        assert_same_fits(nets, X, y, batch_size=150)
        states.add(repr(state_of(nets[0])))
    assert len(states) == 1


def test_panels_of_columns_with_and_without_zeros(twins):
    X = rows_with_zeros(0.1)
    X[:, 16:32] = RNG.standard_normal((N, 16))
    nets = twins()
    assert skips(nets[0], X)
    assert_same_fits(nets, X)


def test_chunks_of_rows_with_and_without_zeros(twins):
    X = rows_with_zeros(0.1)
    X[96:130] = RNG.standard_normal((34, N_IN))
    nets = twins()
    assert skips(nets[0], X)
    assert_same_fits(nets, X, batch_size=N, shuffle=False)
    assert_same_calls(nets, X, Y)


def test_a_single_nonzero(twins):
    X = np.zeros((N, N_IN))
    X[17, 101] = 2
    assert_same_fits(twins(), X)


def test_rows_of_bytes(twins):
    X = (SPARSE != 0).astype(np.uint8) * RNG.integers(0, 256, SPARSE.shape).astype(np.uint8)
    nets = twins()
    assert_same_fits(nets, X)
    assert nets[0].predict(X).tobytes() == nets[1].predict(X).tobytes()


def test_batches_of_several_rounds(twins):
    X, y = rows_with_zeros(0.2, n=2500), RNG.random((2500, 3))
    for options in ({}, {"optimizer": Adam(global_clipnorm=0.1)}):
        nets = twins(**options)
        assert_same_fits(nets, X, y, batch_size=2300)
        assert_same_calls(nets, X, y)


def test_batches_of_an_iterable(twins):
    nets = twins()
    for net in nets:
        net.fit([(SPARSE[i : i + 40], Y[i : i + 40]) for i in range(0, 200, 40)], epochs=2)
    assert state_of(nets[0]) == state_of(nets[1])


# ---- networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        [Dropout(0.3)],
        [Dropout(0.2), Dropout(0.3)],
        [Standardize()],
        [LayerNorm()],
    ],
    ids=["dropout", "two dropouts", "standardize", "layer norm"],
)
def test_layers_before_the_first_dense(first, twins):
    nets = twins(layers=[*first, *layers()])
    for net in nets:
        net.adapt(SPARSE) if isinstance(first[0], Standardize) else None
    assert skips(nets[0], SPARSE) == isinstance(first[0], Dropout)
    assert_same_fits(nets)
    assert_same_calls(nets, SPARSE, Y)


def test_zeros_that_dropout_makes(twins):
    X = RNG.standard_normal((N, N_IN))
    nets = twins(layers=[Dropout(0.8), *layers()])
    assert skips(nets[0], X)
    assert_same_fits(nets, X)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.1, momentum=0.9)},
        {"optimizer": AdamW(weight_decay=0.1)},
        {"optimizer": Adam(clipvalue=0.001)},
        {"optimizer": Adam(clipnorm=0.01)},
        {"optimizer": Adam(global_clipnorm=0.01)},
        {"optimizer": Adam(use_ema=True)},
        {"layers": [Dense(50, "tanh", l1=0.01, l2=0.1), Dense(3)]},
        {"layers": [Dense(50, "tanh", use_bias=False), Dense(3)]},
        {"layers": [Dense(50, "tanh", trainable=False), Dense(3)]},
        {"layers": [Dense(50, "tanh", learning_rate_multiplier=0.1), Dense(3)]},
    ],
    ids=str,
)
def test_every_way_of_using_a_gradient(options, twins):
    nets = twins(**options)
    assert skips(nets[0], SPARSE)
    assert_same_fits(nets)
    assert_same_calls(nets, SPARSE, Y, WEIGHTS)


def test_validation_and_early_stopping(twins):
    for options in ({}, {"optimizer": Adam(use_ema=True)}):
        nets = twins(**options)
        for net in nets:
            swap = [SwapEMAWeights()] if options else []
            net.fit(
                SPARSE,
                Y,
                batch_size=16,
                epochs=5,
                validation_split=0.3,
                callbacks=[EarlyStopping(patience=1, restore_best_weights=True), *swap],
            )
        assert state_of(nets[0]) == state_of(nets[1])


def test_classes(twins):
    nets = twins(layers=layers(last="softmax"), loss="cross_entropy")
    assert_same_fits(nets, y=LABELS, sample_weight=WEIGHTS)


def test_hooks_for_batches(twins):
    class Hook(Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    nets = twins()
    assert_same_fits(nets, callbacks=[Hook()])


def test_many_networks(twins):
    def train():
        nets = [MLP(N_IN, layers(), loss="squared_error", optimizer="adam", seed=s) for s in (1, 2)]
        fit_many(nets, SPARSE, Y, batch_size=32, epochs=2)
        return [state_of(net) for net in nets]

    one, other = twins(train)
    assert one == other


# ---- weights and deltas that are not finite -----------------------------------------------------


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("first", [[], [Dropout(0.3)]], ids=["dense", "dropout"])
def test_a_weight_that_is_not_finite_reaches_all_rows(value, first, twins):
    """Its product with zero is NaN."""
    nets = twins(layers=[*first, *layers(activation="tanh")])
    column = np.flatnonzero(SPARSE[0] == 0)[3]
    without = SPARSE[:, column] == 0
    for net in nets:
        assert not np.isnan(net.predict(SPARSE)).any()
        W = net.get_weights()
        W[0][column] = value
        net._network.write(W)  # set_weights refuses them
        assert not skips(net, SPARSE)
        for n in (1, 1, 1, N):
            assert np.isnan(net.predict(SPARSE[:n])[without[:n]]).all()
        assert np.isnan(net.loss_and_gradients(SPARSE, Y)[0])
        W[0][column] = 1
        net.set_weights(W)
        assert skips(net, SPARSE) == (net is nets[0])
    assert_same_calls(nets, SPARSE, Y)


def test_a_training_in_which_weights_overflow(twins):
    """The next batch has zeros for the infinite weight, so its loss is NaN."""
    X = np.zeros((64, N_IN))
    X[:32, 5], X[32:, 9] = 1e10, 1e-3
    for clip in ({}, {"global_clipnorm": 1e20}):
        nets = twins(
            layers=[Dense(64, use_bias=False), Dense(3, trainable=False)],
            optimizer=SGD(1e30, **clip),
        )
        assert skips(nets[0], X)
        found = []
        for net in nets:
            with pytest.raises(FloatingPointError) as error:
                net.fit(X, np.ones((64, 3)), batch_size=32, epochs=1, shuffle=False)
            found.append((str(error.value), state_of(net)))
        assert "step 2" in found[0][0]
        assert found[0] == found[1]


def test_deltas_that_overflow(twins):
    X = np.zeros((64, N_IN), np.float32)
    X[:, 5] = 1
    nets = twins(layers=[Dense(64), Dense(64), Dense(3)])
    for net in nets:
        W = net.get_weights()
        W[2] *= 1e30
        W[4] *= 1e30
        net.set_weights(W)
    found = [net.loss_and_gradients(X, 1e-20 * np.ones((64, 3)))[1] for net in nets]
    for one, other in zip(*found, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("row", [0, 31])
def test_a_delta_that_overflows_in_an_ensemble(row, twins):
    """The rows of all members are checked."""
    T = np.zeros((32, 1))
    T[row] = 1e18
    nets = twins(layers=[Dense(64), Ensemble(2, [Dense(1)])])
    found = []
    for net in nets:
        W = [np.zeros_like(w) for w in net.get_weights()]
        W[2][...], W[3][...] = 1, 1e25
        net.set_weights(W)
        found.append(net.loss_and_gradients(SPARSE[:32], T)[1][0])
    assert np.isnan(found[0]).any()
    assert found[0].tobytes() == found[1].tobytes()


def test_a_handler_of_signals_predicts_during_a_fit(twins):
    """It uses the weights of that moment, which have not been checked yet."""
    nets, found = twins(), []
    for net in nets:

        def handle(*_, net=net):
            found.append(np.isfinite(net.predict(SPARSE[:20])).all())
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # so that they do not pile up

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        try:
            net.fit(SPARSE, Y, batch_size=16, epochs=30)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert all(found)
    assert state_of(nets[0]) == state_of(nets[1])


# ---- the switch ---------------------------------------------------------------------------------


def test_an_environment_variable_turns_skipping_off():
    program = "import fastnn._cpu as cpu; print(cpu.SKIP_ZEROS)"

    def run(value):
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "FASTNN_ZEROS": value},
            capture_output=True,
            text=True,
            check=False,
        )

    assert [run(value).stdout.strip() for value in ("", "0", "1")] == ["True", "False", "True"]
    assert "FASTNN_ZEROS='no' is neither 0 nor 1" in run("no").stderr


def test_profile_reports_skipped_zeros(twins):
    nets = twins()
    texts = [str(fastnn.profile(net, SPARSE, Y, seconds=0.05)) for net in nets]
    assert ["multiplications by zero inputs are skipped" in text for text in texts] == [True, False]


def test_weights_are_checked_from_the_second_prediction_of_a_few_rows(twins):
    """The first prediction after an update does not check all weights; the second one does."""
    nets = twins()
    for rows in (SPARSE[:1], SPARSE[:3]):
        first, again = (net.predict(rows).tobytes() for net in (nets[0], nets[0]))
        assert first == again == nets[1].predict(rows).tobytes()
        nets[0].train_on_batch(SPARSE, Y)
        nets[1].train_on_batch(SPARSE, Y)
