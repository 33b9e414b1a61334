"""Tiny members of one shape, trained on line side by side, have the bits of their own fits."""

import itertools

import numpy as np
import pytest
from comparing import sha256

from fastnn import (
    MLP,
    SGD,
    Dense,
    EarlyStopping,
    InverseScaling,
    ReduceLROnPlateau,
    fit_many,
    networks,
)

rng = np.random.default_rng(3)
X = rng.normal(size=(60, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def base(hidden="tanh", *, units=(7,), rate=0.05, dtype="float32", **options):
    layers = [*(Dense(n, hidden) for n in units), Dense(2)]
    return MLP(3, layers, loss="squared_error", optimizer=SGD(rate, **options), seed=5, dtype=dtype)


def data(dtype="float32"):
    return X.astype(dtype), Y.astype(dtype)


def compare(nets, own, rows=None, *, epochs, n_threads=2, rules=lambda: (), **options):
    """Compare members with their own fits; return what became of them."""
    x, y = data(nets[0].dtype)
    epochs = [epochs] * len(own) if isinstance(epochs, int) else epochs
    rows = rows or [np.arange(60)] * len(own)
    split = {"validation": options.pop("validation_split")} if "validation_split" in options else {}
    fits = fit_many(nets, x, y, rows=rows, epochs=epochs, batch_size=1, n_threads=n_threads,
                    callbacks=rules(), **split, **options)  # fmt: skip
    if split:
        options["validation_split"] = split["validation"]
    for i, net in enumerate(own):
        history = net.fit(x[rows[i]], y[rows[i]], epochs=epochs[i], batch_size=1, n_threads=1,
                          callbacks=list(rules()), **options)  # fmt: skip
        assert sha256(fits[i]) == sha256(net)
        assert (fits[i].step, fits[i].learning_rate) == (net.step, net.learning_rate)
        assert fits.histories[i].history == history.history
        assert fits.statuses[i].epochs == len(history.epoch)
    return fits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [(7,), (5, 8), (1,), ()], ids=str)
@pytest.mark.parametrize("hidden", ["tanh", "relu", "gelu", "leaky_relu"])
def test_members_have_the_bits_of_their_own_fits(hidden, units, dtype):
    nets, own = (list(networks(base(hidden, units=units, dtype=dtype), n=11)) for _ in range(2))
    compare(nets, own, epochs=3)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 3, 4, 40])
def test_members_of_different_rows_and_epochs_enter_and_leave_by_themselves(n, n_threads):
    nets, own = (list(networks(base(), n=n)) for _ in range(2))
    draw = np.random.default_rng(n)
    rows = [draw.integers(0, 60, draw.integers(1, 60)) for _ in range(n)]
    compare(nets, own, rows, epochs=draw.integers(0, 6, n).tolist(), n_threads=n_threads)


def test_shapes_and_rates_that_differ_are_kept_apart():
    def members():
        kinds = [base(), base(units=(6,)), base(rate=0.01), base(units=(3,)), base("relu"),
                 base(weight_decay=0.1), base(momentum=0.9), base(maximize=True, rate=1e-4),
                 base(rate=InverseScaling(0.1, 0.5))]  # fmt: skip
        return list(itertools.chain.from_iterable(networks(kind, n=5) for kind in kinds))

    compare(members(), members(), epochs=2)


@pytest.mark.parametrize("shuffle", [True, False])
def test_rules_stop_each_member_where_its_own_fit_stops(shuffle):
    def rules():
        return (EarlyStopping(patience=2, restore_best_weights=True),
                ReduceLROnPlateau(patience=0, factor=0.5))  # fmt: skip

    nets, own = (list(networks(base(rate=0.15), n=20)) for _ in range(2))
    fits = compare(nets, own, epochs=30, rules=rules, validation_split=0.3, shuffle=shuffle,
                   metrics=["mae"])  # fmt: skip
    assert len({status.epochs for status in fits.statuses}) > 3


def test_a_member_that_diverges_is_recorded_and_leaves_the_others_alone():
    rates = [0.05] * 9
    rates[4], rates[7] = 50.0, 1e30
    nets, own = ([base("relu", rate=rate) for rate in rates] for _ in range(2))
    x, y = data()
    fits = fit_many(nets, x, y, epochs=4, batch_size=1, n_threads=1, on_error="record")
    for i, net in enumerate(own):
        if rates[i] == 0.05:
            net.fit(x, y, epochs=4, batch_size=1, n_threads=1)
            assert fits.statuses[i].kind == "finished"
        else:
            with pytest.raises(FloatingPointError) as error:
                net.fit(x, y, epochs=4, batch_size=1, n_threads=1)
            assert fits.statuses[i].kind == "diverged"
            assert fits.statuses[i].message == str(error.value)
        assert sha256(fits[i]) == sha256(net)


def test_a_member_that_diverges_ends_the_call_and_undoes_the_others():
    rates = [0.05, 0.04, 1e30, 0.05, 0.06]
    nets, untouched = ([base("relu", rate=rate) for rate in rates] for _ in range(2))
    with pytest.raises(FloatingPointError, match="nets\\[2\\]"):
        fit_many(nets, *data(), epochs=10_000, batch_size=1, n_threads=1)
    for i in (0, 1, 3, 4):
        assert sha256(nets[i]) == sha256(untouched[i])
        assert nets[i].step == 0


def test_a_second_call_goes_on_from_the_first():
    nets, own = (list(networks(base(), n=6)) for _ in range(2))
    compare(nets, own, epochs=2)
    compare(nets, own, epochs=3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("subnormal", [[3], [0, 1, 5]], ids=str)
def test_members_with_units_whose_outputs_are_subnormal(subnormal, dtype):
    """These outputs are multiplied by large weights. The other members have none."""
    low, large = (-90.0, 1e36) if dtype == "float32" else (-730.0, 1e306)

    def members():
        nets = list(networks(base("sigmoid", dtype=dtype), n=9))
        for i in subnormal:
            W, b, V, c = nets[i].get_weights()
            nets[i].set_weights([0 * W, np.full_like(b, low), np.full_like(V, large), c])
        return nets

    draw = np.random.default_rng(1)
    rows = [draw.integers(0, 60, draw.integers(1, 60)) for _ in range(9)]
    compare(members(), members(), rows, epochs=3)


@pytest.mark.parametrize(("dtype", "n_out"), [("float32", 16), ("float64", 8)])
def test_the_sign_of_a_sum_of_products_that_underflow(dtype, n_out):
    """With a whole panel of outputs, a hidden delta is -0 if all of its products are."""
    size = 1e-30 if dtype == "float32" else 1e-200

    def members():
        layers = [Dense(3), Dense(n_out)]
        kind = MLP(3, layers, loss="squared_error", optimizer=SGD(0.05), seed=5, dtype=dtype)
        nets = list(networks(kind, n=5))
        for net in nets:
            W, b, V, c = net.get_weights()
            net.set_weights([0 * W, np.full_like(b, -0.0), np.full_like(V, -size),
                             np.full_like(c, size)])  # fmt: skip
        return nets

    nets, own = members(), members()
    x, y = np.ones((20, 3), dtype), np.zeros((20, n_out), dtype)
    fits = fit_many(nets, x, y, epochs=2, batch_size=1, n_threads=1)
    for fit, net in zip(fits, own, strict=True):
        net.fit(x, y, epochs=2, batch_size=1)
        assert sha256(fit) == sha256(net)
