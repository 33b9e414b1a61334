"""profile: its report is true and readable, and the network is unchanged."""

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    Adam,
    Dense,
    Dropout,
    Ensemble,
    LayerNorm,
    NumericEmbedding,
    ScheduleFreeAdamW,
    SparseRows,
    _kernels_f32,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 16), dtype=np.float32)
Y = RNG.standard_normal(300)
PHASES = ["input", "forward", "loss", "delta", "update", "wait"]


def network(width=32, **options):
    layers = [Dense(width, "tanh"), Dropout(0.1), Dense(1)]
    return MLP(16, layers, loss="squared_error", optimizer="adam", seed=0, **options)


def test_phases_add_up_to_a_step():
    found = fastnn.profile(network(), X, Y, seconds=0.2)
    assert [phase.name for phase in found.phases] == PHASES
    assert found.batch_size == 32
    assert found.n_threads == 1
    assert all(phase.seconds > 0 for phase in found.phases)
    assert sum(phase.seconds for phase in found.phases) < found.seconds
    assert found.rows_per_second == pytest.approx(32 / found.seconds)


def test_training_records_the_sizes_of_its_teams():
    net = network(width=256, n_threads=2)
    net.fit(X, Y, batch_size=300, epochs=20)
    found = fastnn.profile(net, X, Y, batch_size=300, seconds=0.1)
    assert {team.n_threads for team in found.teams} <= {1, 2}
    assert found.teams[0].n_threads == 2  # where every network begins
    assert all(team.seconds > 0 and 0 <= team.waiting <= 1 for team in found.teams)
    assert "training so far" in str(found)
    assert fastnn.profile(network(), X, Y, seconds=0.1).teams == ()


def test_rates_of_teams_count_the_operations_of_a_step():
    """They counted a delta of the inputs, and gradients of frozen layers, which no step has."""
    layers = [Dense(256, "tanh"), Dense(256, "tanh", trainable=False), Dense(1)]
    net = MLP(16, layers, loss="squared_error", optimizer="adam", seed=0, n_threads=2)
    net.fit(X, Y, batch_size=300, epochs=20)
    found = fastnn.profile(net, X, Y, batch_size=300, seconds=0.1)
    rates = [rows_per_second for *_, rows_per_second in net._network.pace()]
    assert found.teams
    for team, rows_per_second in zip(found.teams, rates, strict=True):
        products = 3 * 16 * 256 - 16 * 256 + 2 * 256 * 256 + 3 * 256
        assert team.flops == pytest.approx(2 * products * rows_per_second)


def test_figures_are_counts_divided_by_times(clock, monkeypatch):
    """By the clock of the test, each pass over the rows takes a second."""

    def peak_flops(seconds, n_threads, isa):
        return seconds * n_threads * 1e9

    monkeypatch.setattr(_kernels_f32, "peak_flops", peak_flops)
    found = fastnn.profile(network(n_threads=1), X, Y, seconds=100)
    assert found.seconds == 1 / 9  # of a step: a pass has 9, since the last batch is not whole
    assert found.rows_per_second == 288
    assert found.flops == 32 * 2 * (2 * (16 * 32 + 32) + 32)
    assert found.peak_flops == 0.2e9  # it is given 0.2 s
    assert {trial.rows_per_second for trial in found.trials} == {300}
    assert {trial.batch_size for trial in found.trials} == {8, 32, 128, 300}
    assert any("n_threads=1 is right" in line for line in found.advice)
    assert any("batch_size=32 is as fast as all others" in line for line in found.advice)


def test_flops_are_those_of_the_products():
    found = fastnn.profile(network(), X, Y, batch_size=100, seconds=0.05)
    forward, delta = 2 * 100 * (16 * 32 + 32), 2 * 100 * 32
    flops = {phase.name: phase.flops for phase in found.phases if phase.flops}
    assert flops == {"forward": forward, "delta": delta, "update": forward}
    assert found.flops == 2 * forward + delta


@pytest.mark.parametrize(
    "layers",
    [
        [Ensemble(8, [Dense(32, "tanh"), Dense(1)])],
        [NumericEmbedding(8, "periodic"), Dense(32, "tanh"), Dense(1)],
    ],
)
def test_flops_are_those_of_the_summary(layers, capsys):
    net = MLP(16, layers, loss="squared_error", optimizer="adam", seed=0)
    found = fastnn.profile(net, X, Y, batch_size=100, seconds=0.05)
    net.summary(batch_size=100)
    assert f" {found.flops / 100:,.0f} in a training step" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["sgd", Adam(1e20), ScheduleFreeAdamW(1e20)])
def test_a_training_that_diverges_is_measured(optimizer):
    """A diverging training ends early, so that a pass would seem to take no time."""
    layers = [Dense(64, "relu"), Dense(1)]
    net = MLP(16, layers, loss="squared_error", optimizer=optimizer, seed=0, n_threads=1)
    rows = 1000 * np.abs(X)
    with pytest.raises(FloatingPointError, match="the loss became"):
        net.copy().fit(rows, 1000 * Y, epochs=50)
    found = fastnn.profile(net, rows, 1000 * Y, seconds=0.1)
    assert all(phase.seconds > 0 for phase in found.phases)


def test_a_loss_that_is_not_finite_cannot_be_measured():
    with pytest.raises(FloatingPointError, match=r"the loss of a batch is inf, .* scale X and y"):
        fastnn.profile(network(), X, 1e30 * Y, seconds=0.1)


@pytest.mark.parametrize(("first", "skips"), [(Dense(8), True), (LayerNorm(), False)])
def test_sparse_rows_that_are_read_as_nonzeros_skip_zeros(first, skips):
    """Without a note, the forward pass of few nonzeros would exceed the peak many times."""
    columns = np.arange(600, dtype=np.int32)  # two nonzeros in each row
    rows = SparseRows(np.ones(600, np.float32), columns, np.arange(0, 601, 2), (300, 600))
    net = MLP(600, [first, Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    found = fastnn.profile(net, rows, Y, seconds=0.05)
    assert found.skips_zeros == skips
    assert ("zero inputs are skipped, but counted" in str(found)) == skips


def test_a_large_network_on_two_threads():
    found = fastnn.profile(network(1024), X, Y, batch_size=None, n_threads=2, seconds=0.2)
    assert found.n_threads == 2
    assert found.batch_size == 300
    assert {trial.n_threads for trial in found.trials} >= {1, 2}
    assert {trial.batch_size for trial in found.trials} == {75, 300}


def test_a_tiny_network_on_line_is_one_phase():
    net = MLP(3, [Dense(4, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    found = fastnn.profile(net, X[:, :3], Y, batch_size=1, seconds=0.05)
    assert [phase.name for phase in found.phases] == ["step"]


def test_the_network_is_left_as_it_was():
    net = network()
    before = [w.copy() for w in net.get_weights()]
    fastnn.profile(net, X, Y, seconds=0.05)
    assert net.step == 0
    for w, kept in zip(net.get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, kept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_report_names_phases_and_units(dtype):
    text = str(fastnn.profile(network(dtype=dtype), X, Y, seconds=0.1))
    assert text.startswith(f"MLP 16-32-1, squared_error, adam, {dtype}, batch 32, 1 thread\n")
    for words in (*PHASES, "rows/s", "GFLOP/s", "batch 8", "batch 300", "- n_threads="):
        assert words in text
    assert ("dtype='float32'" in text) == (dtype == "float64")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"n_threads": 0}, ValueError, "n_threads must be from 1 to 256; got 0"),
        ({"seconds": 0}, ValueError, "seconds must be above 0"),
        ({"seconds": "long"}, TypeError, "seconds must be a number"),
    ],
)
def test_invalid_options(options, error, words):
    with pytest.raises(error, match=words):
        fastnn.profile(network(), X, Y, **options)


def test_anything_but_a_network():
    with pytest.raises(TypeError, match="net must be an MLP"):
        fastnn.profile("net", X, Y)
