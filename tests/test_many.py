"""fit_many: every network as its own fit gives it; rows, groups, validation, statuses, errors."""

import _thread
import copy
import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from conditions import LONG, Interrupting

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Callback,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Fits,
    LayerNorm,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    RMSProp,
    Standardize,
    SwapEMAWeights,
    _cpu,
    fit_many,
    networks,
)
from fastnn.many import unattended
from fastnn.many.members import make
from fastnn.many.progress import Progress
from fastnn.many.results import Histories
from fastnn.many.unattended import Unattended
from fastnn.training import binding

rng = np.random.default_rng(7)
X = rng.normal(size=(90, 3)).astype(np.float32)
y = (X[:, 0] - X[:, 1] * X[:, 2]).astype(np.float32)
CATEGORIES = pa.chunked_array([[0, 1, None] + [1] * 87]).dictionary_encode()
labels = (y > 0).astype(np.int64) + (y > 1)


def net_of(seed=0, *, hidden=8, loss="squared_error", optimizer="adam", n_out=1, **options):
    activation = {"cross_entropy": "softmax"}.get(loss, "identity")
    layers = [Dense(hidden, "relu"), Dense(n_out, activation)]
    return MLP(3, layers, loss=loss, optimizer=optimizer, seed=seed, **options)


def bits(net):
    return [array.tobytes() for array in net.get_weights()], net.step, net.learning_rate


def members(n=6):
    """Networks that differ in much."""
    makers = itertools.cycle(
        [
            lambda i: net_of(i, optimizer=Adam(1e-2)),
            lambda i: net_of(i, hidden=20, dtype="float64"),
            lambda i: net_of(i, optimizer=SGD(0.05, momentum=0.9)),
            lambda i: MLP(3, [Dense(5, "tanh"), Dropout(0.3), Dense(1)], loss="huber",
                          optimizer="adam", seed=i),
        ]
    )  # fmt: skip
    return [next(makers)(i) for i in range(n)]


ROWS = [
    None,
    np.arange(40),
    np.arange(90) % 2 == 0,
    slice(10, 60),
    rng.integers(0, 90, 90),
    [-1, 3],
]


# ---- the same bits as in a fit of its own -------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_network_is_what_its_own_fit_gives(n_threads):
    epochs, batches = [3, 1, 4, 0, 2, 5], [32, 1, None, 7, 90, 16]
    fits = fit_many(members(), X, y, rows=ROWS, epochs=epochs, batch_size=batches,
                    n_threads=n_threads)  # fmt: skip
    for i, (net, rows) in enumerate(zip(members(), ROWS, strict=True)):
        some = slice(None) if rows is None else rows
        history = net.fit(X[some], y[some], epochs=epochs[i], batch_size=batches[i], n_threads=1)
        assert bits(fits[i]) == bits(net)
        assert fits.histories[i].history == history.history
        assert fits.statuses[i] == fastnn.Status("finished", epochs[i])


@pytest.mark.parametrize("validation", ["rest", 0.25, (X[:20], y[:20]), [np.arange(5)] * 6])
def test_validation_and_early_stopping_are_those_of_its_own_fit(validation):
    rows = [np.setdiff1d(np.arange(90), np.arange(i, i + 30)) for i in range(6)]
    rules = [EarlyStopping(patience=2, restore_best_weights=True), ReduceLROnPlateau(patience=1)]
    fits = fit_many(members(), X, y, rows=rows, validation=validation, epochs=40, callbacks=rules)
    for i, net in enumerate(members()):
        if isinstance(validation, float):
            options = {"validation_split": validation}
        elif validation == "rest":
            options = {"validation_data": (X[i : i + 30], y[i : i + 30])}
        elif isinstance(validation, tuple):
            options = {"validation_data": validation}
        else:
            options = {"validation_data": (X[:5], y[:5])}
        own = [EarlyStopping(patience=2, restore_best_weights=True), ReduceLROnPlateau(patience=1)]
        history = net.fit(X[rows[i]], y[rows[i]], epochs=40, callbacks=own, n_threads=1, **options)
        assert bits(fits[i]) == bits(net)
        assert fits[i].stop_training == net.stop_training
        assert fits.histories[i].history == history.history
        kind = "stopped early" if len(history.epoch) < 40 else "finished"
        assert fits.statuses[i] == fastnn.Status(kind, len(history.epoch))
        assert fits.best_epochs[i] == own[0].best_epoch
    assert {status.kind for status in fits.statuses} >= {"stopped early"}


def test_weights_classes_and_metrics_are_those_of_its_own_fit():
    names = np.array(["low", "mid", "high"])[labels]
    weights = rng.uniform(0.5, 2, 90)
    nets = [net_of(i, loss="cross_entropy", n_out=3) for i in range(3)]
    options = {"class_weight": "balanced", "metrics": ["accuracy"], "epochs": 3}
    rows = [None, np.arange(60), np.arange(30, 90)]
    fits = fit_many(nets, X, names, rows=rows, sample_weight=weights, **options)
    for i in range(3):
        some = slice(None) if rows[i] is None else rows[i]
        net = net_of(i, loss="cross_entropy", n_out=3)
        history = net.fit(X[some], names[some], sample_weight=weights[some], **options)
        assert bits(fits[i]) == bits(net)
        assert fits[i].classes == net.classes == ("high", "low", "mid")
        assert fits.histories[i].history == history.history


def test_networks_of_a_fold_without_a_class_know_it():
    names = np.array(["a", "b", "c"])[labels]
    nets = [net_of(i, loss="cross_entropy", n_out=3) for i in range(2)]
    fits = fit_many(nets, X, names, rows=[labels < 2, None])
    assert fits[0].classes == fits[1].classes == ("a", "b", "c")


def test_the_order_of_networks_does_not_matter():
    fits = fit_many(members(), X, y, epochs=3)
    again = fit_many(members()[::-1], X, y, epochs=3)
    assert [bits(net) for net in fits] == [bits(net) for net in again.nets[::-1]]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_orders_of_rows_are_drawn_by_an_object_of_each_network(n_threads):
    orders = [np.random.RandomState(1), False, True, np.random.default_rng(2)]
    fits = fit_many(members(4), X, y, rows=ROWS[:4], epochs=3, shuffle=orders, n_threads=n_threads)
    own = [np.random.RandomState(1), False, True, np.random.default_rng(2)]
    for i, (net, rows) in enumerate(zip(members(4), ROWS[:4], strict=True)):
        some = slice(None) if rows is None else rows
        net.fit(X[some], y[some], epochs=3, shuffle=own[i], n_threads=1)
        assert bits(fits[i]) == bits(net)


def test_sparse_rows_give_the_networks_of_dense_ones():
    sparse = pytest.importorskip("scipy.sparse").csr_array(np.where(X > 0, X, 0))
    options = {"rows": [np.arange(80), *ROWS[1:4]], "validation": "rest", "epochs": 2}
    fits = fit_many(members(4), sparse, y, **options)
    dense = fit_many(members(4), sparse.toarray(), y, **options)
    assert [bits(net) for net in fits] == [bits(net) for net in dense]
    for reduce in (None, "mean"):
        assert np.array_equal(fits.predict(sparse, reduce), dense.predict(sparse.toarray(), reduce))


@pytest.mark.parametrize("dtype", ["u1", "u4", "u8"])
def test_sparse_rows_may_have_unsigned_indices(dtype):
    rows = fastnn.SparseRows(
        np.arange(1.0, 7), np.arange(6) % 3, np.arange(7).astype(dtype), (6, 3)
    )
    numbers = np.array([4, 0, 2])
    np.testing.assert_array_equal(rows[numbers].toarray(), rows.toarray()[numbers])
    options = {"rows": [numbers], "callbacks": [Callback()]}
    fits = fit_many([net_of()], rows, y[:6], **options)
    assert bits(fits[0]) == bits(fit_many([net_of()], rows.toarray(), y[:6], **options)[0])


def test_groups_have_a_network_each():
    stores = np.array(["north", "south", "west"])[np.arange(90) % 3]
    fits = fit_many(networks(net_of(), n=3), X, y, groups=stores, epochs=2)
    assert list(fits.groups) == ["north", "south", "west"]
    for i, net in enumerate(networks(net_of(), n=3)):
        net.fit(X[i::3], y[i::3], epochs=2)
        assert bits(fits[i]) == bits(net)


# ---- members that the engine trains by itself ---------------------------------------------------


def random_member(draw):
    """Return a function that makes a random network, and the options of its fit."""
    loss = draw.choice(["squared_error", "huber", "absolute_error"])
    hidden, activation = int(draw.integers(1, 40)), draw.choice(["relu", "tanh", "gelu", "silu"])
    layers = [Dense(hidden, activation, l2=draw.choice([0.0, 1e-3])), Dense(1)]
    if draw.random() < 0.3:
        layers.insert(1, draw.choice([Dropout(0.2), LayerNorm()]))
    if draw.random() < 0.2:
        layers.insert(0, Standardize())
    optimizer = draw.choice(
        [SGD(0.01, momentum=0.9), Adam(0.01), Adam(CosineDecay(0.02, 60)), AdamW(use_ema=True),
         RMSProp(clipnorm=1.0)]
    )  # fmt: skip
    seed, dtype = int(draw.integers(1000)), draw.choice(["float32", "float64"])
    rows = draw.integers(0, 90, int(draw.integers(5, 90)))
    batch = int(draw.choice([1, 3, 32, 90]))
    options = {"epochs": int(draw.integers(1, 12)), "batch_size": batch}

    def make():
        return MLP(3, layers, loss=loss, optimizer=optimizer, seed=seed, dtype=dtype)

    return make, rows, options


def compare_with_own_fits(n, monitor="val_loss", metrics=()):
    """Train random networks in one call and each alone; return how many stopped early."""
    draw = np.random.default_rng(n)
    weights = draw.uniform(0.1, 2, 90)
    made = [random_member(draw) for _ in range(n)]
    rules = [EarlyStopping(monitor, patience=1, restore_best_weights=True)]
    fits = fit_many(
        [build() for build, _, _ in made], X, y, rows=[rows for _, rows, _ in made],
        epochs=[options["epochs"] for _, _, options in made], sample_weight=weights,
        batch_size=[options["batch_size"] for _, _, options in made], validation="rest",
        callbacks=rules, metrics=metrics, n_threads=3, on_error="record",
    )  # fmt: skip
    for i, (build, rows, options) in enumerate(made):
        options = dict(options)
        net, rest = build(), np.setdiff1d(np.arange(90), rows)
        rule = EarlyStopping(monitor, patience=1, restore_best_weights=True)
        options |= {"callbacks": [rule], "validation_data": (X[rest], y[rest], weights[rest])}
        options["metrics"] = metrics
        error, history = None, None
        try:
            history = net.fit(X[rows], y[rows], sample_weight=weights[rows], n_threads=1, **options)
        except FloatingPointError as raised:
            error = raised
        if error is None:
            assert fits.histories[i].history == history.history
            assert fits.best_epochs[i] == rule.best_epoch
        assert fits.statuses[i].message == (str(error) if error else "")
        assert bits(fits[i]) == bits(net)
    return sum(status.kind == "stopped early" for status in fits.statuses)


def test_random_networks_are_what_their_own_fits_give():
    assert compare_with_own_fits(80) >= 10


def test_random_networks_have_the_metrics_of_their_own_fits():
    assert compare_with_own_fits(40, "val_r2", ["mae", "r2"]) >= 5


def test_members_judge_moving_averages_as_their_own_fits_do():
    rule = AdamW(0.05, use_ema=True, ema_momentum=0.8)
    layers = [Dense(20, "gelu"), Dense(9, "tanh", trainable=False), Dense(1)]
    nets = [MLP(3, layers, loss="squared_error", optimizer=rule, seed=i) for i in range(4)]
    twins = [net.copy() for net in nets]
    best = [SwapEMAWeights(), EarlyStopping(patience=3, restore_best_weights=True)]
    fits = fit_many(nets, X, y, epochs=9, callbacks=best, validation=0.3)
    for i, twin in enumerate(twins):
        own = copy.deepcopy(best)
        history = twin.fit(X, y, epochs=9, callbacks=own, validation_split=0.3)
        assert fits.histories[i].history == history.history
        assert fits.best_epochs[i] == own[1].best_epoch
        assert bits(fits[i]) == bits(twin)


def test_buffers_are_not_used_for_a_network_that_needs_others():
    """Some activations keep their slopes in memory that others don't have."""
    nets = [MLP(3, [Dense(20, name), Dense(1)], loss="squared_error", optimizer="adam", seed=i)
            for i, name in enumerate(["relu", "gelu", "tanh", "silu", "softplus"] * 4)]  # fmt: skip
    twins = [net.copy() for net in nets]
    fits = fit_many(nets, X, y, epochs=2, n_threads=1)
    for net, twin in zip(fits, twins, strict=True):
        twin.fit(X, y, epochs=2)
        assert bits(net) == bits(twin)


@pytest.mark.slow
def test_500_random_networks_are_what_their_own_fits_give():
    assert compare_with_own_fits(500) >= 50


def error(y_true, y_pred):
    """A metric of a user."""
    return float(np.abs(y_true - y_pred).max())


class Refused(Callback):
    """A listener that the engine doesn't know."""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"validation": 0.2, "callbacks": [EarlyStopping(), ReduceLROnPlateau()]}, True),
        ({"shuffle": [np.random.default_rng(0)]}, True),
        ({"shuffle": [np.random.RandomState(0)]}, True),
        ({"callbacks": [Refused()]}, False),
        ({"callbacks": lambda number: []}, False),
        ({"metrics": ["mae", "r2"]}, True),
        ({"metrics": ["mae"], "callbacks": [EarlyStopping("mae")]}, True),
        ({"metrics": ["mae"], "callbacks": [EarlyStopping("val_mae")]}, False),
        ({"metrics": [error], "validation": 0.2}, False),
        ({"metrics": ["mae"], "sample_weight": np.arange(90.0)}, False),
        ({"epochs": 1 << 21}, False),
    ],
)
def test_which_members_the_engine_trains_without_python(options, expected):
    settings = {
        "rows": None, "groups": None, "validation": None, "epochs": 1, "batch_size": 32,
        "shuffle": True, "sample_weight": None, "class_weight": None, "metrics": (),
        "callbacks": (), **options,
    }  # fmt: skip
    nets = [net_of()]
    found = Unattended(make(nets, X, y, **settings), Fits(nets), True, Progress(1, False))
    assert found.can_train(0) is expected


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_orders_drawn_by_an_object_of_each_network(kind):
    fits = fit_many([net_of(), net_of()], X, y, epochs=3, shuffle=[kind(5), kind(6)])
    for i, net in enumerate([net_of(), net_of()]):
        net.fit(X, y, epochs=3, shuffle=kind(5 + i))
        assert bits(fits[i]) == bits(net)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_undoes_members_in_progress(n_threads, monkeypatch):
    """Ctrl-C arrives when the engine shows its progress; by then no long training has ended."""
    monkeypatch.setattr(Progress, "show", lambda progress: _thread.interrupt_main())
    nets, twins = [net_of(i) for i in range(4)], [net_of(i) for i in range(4)]
    nets[1].fit(X, y)
    twins[1].fit(X, y)
    epochs = [3, 10**6, 2, 10**6]
    fits = fit_many(nets, X, y, epochs=epochs, n_threads=n_threads)
    assert fits.interrupted
    for net, twin, status in zip(nets, twins, fits.statuses, strict=True):
        if status.kind == "not started":
            assert bits(net) == bits(twin)
            assert net._state.snapshot().shuffler == twin._state.snapshot().shuffler
        else:
            twin.fit(X, y, epochs=status.epochs)
            assert bits(net) == bits(twin)
    assert [fits.statuses[i].kind for i in (1, 3)] == ["not started"] * 2
    nets[3].fit(X, y)  # no claim is left


def interrupt_at(monkeypatch, number):
    """Let Ctrl-C arrive while the result of a network is kept, once: the number-th one's."""
    calls, keep = itertools.count(1), Histories.keep

    def keep_or_interrupt(*args):
        if next(calls) == number:
            raise KeyboardInterrupt
        keep(*args)

    monkeypatch.setattr(Histories, "keep", keep_or_interrupt)
    return calls


@pytest.mark.parametrize("number", [1, 2, 5, 6])
def test_ctrl_c_during_the_results_loses_none(number, monkeypatch):
    interrupt_at(monkeypatch, number)
    fits = fit_many([net_of(i) for i in range(6)], X, y, epochs=2, n_threads=1)
    assert fits.interrupted
    kinds = [status.kind for status in fits.statuses]
    assert "finished" in kinds
    for i, (net, kind) in enumerate(zip(fits, kinds, strict=True)):
        twin = net_of(i)
        if kind == "finished":
            twin.fit(X, y, epochs=2)
        assert bits(net) == bits(twin)
        assert len(fits.histories[i].epoch) == net.epoch


@pytest.mark.parametrize("callbacks", [(), lambda number: []], ids=["engine", "threads"])
def test_ctrl_c_leaves_no_trace_in_networks_that_are_not_trained(callbacks, monkeypatch):
    def fresh():
        layers = [Standardize(), Dense(4, "relu"), Dense(3, "softmax")]
        return [MLP(3, layers, loss="cross_entropy", optimizer="adam", seed=i) for i in range(4)]

    def interrupt(*args):
        raise KeyboardInterrupt

    names = np.array(["low", "mid", "high"])[labels]
    nets = fresh()
    monkeypatch.setattr(unattended, "_TOGETHER", 2)
    monkeypatch.setattr(Progress, "show", interrupt)
    epochs = [2, 2, 10**6, 10**6]
    fits = fit_many(nets, X, names, epochs=epochs, callbacks=callbacks)
    assert fits.interrupted
    for net, twin, status in zip(nets, fresh(), fits.statuses, strict=True):
        if status.kind == "not started":
            assert (net.standardization, net.classes) == (None, None)
            with pytest.raises(ValueError, match="Standardize"):
                net.predict(X)
            assert net._state.snapshot().shuffler == twin._state.snapshot().shuffler
            assert bits(net) == bits(twin)
    assert "not started" in [status.kind for status in fits.statuses]


def test_a_member_that_is_trained_elsewhere_is_refused():
    net, begun, release = net_of(), threading.Event(), threading.Event()

    class Hold(Callback):
        def on_epoch_end(self, epoch, logs):
            begun.set()
            assert release.wait(LONG)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(net.fit, X, y, callbacks=[Hold()])
        assert begun.wait(LONG)
        try:
            with pytest.raises(RuntimeError, match="being fitted already"):
                fit_many([net_of(1), net], X, y)
        finally:
            release.set()
        first.result(LONG)


# ---- networks() ---------------------------------------------------------------------------------


def test_networks_are_the_combinations_of_the_values():
    grid = networks(net_of(), layers=[[Dense(1)], [Dense(4), Dense(1)]], learning_rate=[0.1, 0.2],
                    seeds=[5, 6])  # fmt: skip
    assert len(grid) == len(grid.parameters) == 8
    net = grid[5]
    assert grid.parameters[5] == {
        "layers": (Dense(4), Dense(1)), "learning_rate": 0.1, "seeds": 6,
    }  # fmt: skip
    assert (net.seed, net.layers, net.learning_rate) == (6, (Dense(4), Dense(1)), 0.1)
    assert bits(grid[-3]) == bits(net)
    assert [bits(net) for net in grid] == [bits(grid[i]) for i in range(8)]
    assert [net.seed for net in grid[:3]] == [5, 6, 5]
    with pytest.raises(IndexError, match="8 networks"):
        grid[8]
    assert bits(grid[np.int8(5)]) == bits(net)
    for wrong in ("a", 1.0, None):
        with pytest.raises(TypeError, match=f"must be an integer or a slice; got {wrong!r}"):
            grid[wrong]


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda nets: pickle.loads(pickle.dumps(nets))],
                         ids=["copy", "pickle"])  # fmt: skip
def test_a_copy_makes_the_same_networks(twin_of):
    sizes = [4, 8, 16, 32]
    nets = networks(net_of(), layers=[[Dense(n), Dense(1)] for n in sizes])
    for _ in range(10):
        assert [net.layers[0].units for net in nets] == sizes
        nets = twin_of(nets)


def test_a_list_that_changes_later_changes_no_network():
    layers = [Dense(4), Dense(1)]
    nets = networks(net_of(), layers=[layers])
    layers[0] = Dense(9)
    assert nets[0].layers == nets.parameters[0]["layers"] == (Dense(4), Dense(1))


def test_networks_of_other_seeds_share_what_was_computed_of_the_specification(monkeypatch):
    calls, stages = [], binding.stages
    monkeypatch.setattr(binding, "stages", lambda layers: calls.append(0) or stages(layers))
    grid = networks(net_of(), learning_rate=[0.1, 0.2], n=20)
    assert len(list(grid)) == 40
    assert len(calls) <= 6  # two for each rate, and those of the base


def test_the_cpus_are_asked_for_once(monkeypatch):
    grid = networks(net_of(), n=5)
    expected = grid[0].n_threads
    monkeypatch.setattr(_cpu, "available_threads", None)
    assert [net.n_threads for net in grid] == [expected] * 5


@pytest.mark.parametrize("layers", [[Dense(1)], [Dense(4), Dropout(0.5), Dense(1)]], ids=len)
def test_the_seed_of_dropout_is_drawn_from_the_seed(layers):
    base = MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0)
    for net in (networks(base, seeds=[7])[0], base.copy()):
        draw = np.random.SeedSequence(net.seed).spawn(3)[2].generate_state(1, np.uint64)[0]
        assert net.dropout_seed == net.copy().dropout_seed == draw


def test_networks_of_seeds_are_those_that_mlp_makes():
    for i, net in enumerate(networks(net_of(3), n=3)):
        assert bits(net) == bits(net_of(3 + i))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": [1]}, "networks has no argument 'width'"),
        ({"seeds": []}, "seeds must be a list with a value"),
        ({"seeds": 3}, "seeds must be a list with a value"),
        ({"seeds": [1], "n": 2}, "n and seeds are both given"),
        ({"learning_rate": [0.1, -1.0]}, "learning_rate must be"),
        ({"loss": ["huber", "cross_entropy"]}, "needs .softmax. as the activation"),
    ],
)
def test_values_that_make_no_network_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        networks(net_of(), **options)


# ---- results ------------------------------------------------------------------------------------


def test_predictions_and_what_they_have_in_common():
    fits = fit_many(networks(net_of(), n=5), X, y)
    outputs = np.stack([net.predict(X) for net in fits])
    np.testing.assert_array_equal(fits.predict(X), outputs)
    wide = outputs.astype(np.float64)
    np.testing.assert_array_equal(fits.predict(X, "mean"), wide.mean(axis=0))
    np.testing.assert_array_equal(fits.predict(X, reduce="std"), wide.std(axis=0))
    found = fits.predict(X, "quantiles", quantiles=[0.1, 0.9])
    np.testing.assert_array_equal(found, np.quantile(wide, [0.1, 0.9], axis=0))
    with pytest.raises(ValueError, match=r"reduce must be .*quantiles=\[0\.5\]"):
        fits.predict(X, "median")
    with pytest.raises(ValueError, match="quantiles must be numbers from 0 to 1"):
        fits.predict(X, "quantiles", quantiles=[5])
    for wrong in ("a", ["a", 0.5], [[0.1], [0.2, 0.3]], 10**400):
        with pytest.raises(TypeError, match="quantiles must be numbers from 0 to 1; got"):
            fits.predict(X, "quantiles", quantiles=wrong)


def test_classes_are_those_of_the_mean():
    def make(seed, names=("a", "b", "c")):
        net = net_of(seed, loss="cross_entropy", n_out=3)
        net.classes = names
        return net

    texts = np.array(list("abc"))[labels]
    fits = fit_many([make(0), make(1)], X, texts, epochs=3)
    expected = np.array(list("abc"))[fits.predict(X, "mean").argmax(axis=1)]
    np.testing.assert_array_equal(fits.predict_classes(X), expected)
    some = labels < 2
    others = fit_many([make(0), make(1, ("a", "b", "d"))], X[some], texts[some])
    with pytest.raises(ValueError, match="not for the same classes"):
        others.predict_classes(X)
    with pytest.raises(ValueError, match="predict_classes is for classifiers"):
        fit_many([net_of()], X, y).predict_classes(X)


def test_evaluations_and_the_best():
    fits = fit_many(networks(net_of(), learning_rate=[1e-9, 1e-2]), X, y, epochs=5, validation=0.2)
    found = fits.evaluate(X, y, metrics=iter(["r2"]))
    assert list(found) == ["loss", "r2"]
    for i, net in enumerate(fits):
        assert found["r2"][i] == net.evaluate(X, y, metrics=["r2"])["r2"]
    assert fits.best() == fits.best("loss") == 1
    assert fits.values("loss")[0] == fits.histories[0].history["loss"][-1]
    with pytest.raises(ValueError, match="by must be one of 'loss', 'val_loss'"):
        fits.best("accuracy")


def test_some_of_the_networks_keep_what_became_of_them():
    rule = EarlyStopping(patience=1, restore_best_weights=True)
    grid = networks(net_of(optimizer=Adam(0.1)), n=4)
    fits = fit_many(grid, X, y, epochs=30, validation=0.3, callbacks=[rule])
    some = fits.some(np.array([3, 1]))
    assert some.nets == [fits[3], fits[1]]
    assert some.parameters == [{"seeds": 3}, {"seeds": 1}]
    np.testing.assert_array_equal(some.values(), fits.values()[[3, 1]])
    assert [some.statuses, some.best_epochs] == [
        [fits.statuses[i] for i in (3, 1)], [fits.best_epochs[i] for i in (3, 1)]]  # fmt: skip
    with pytest.raises(IndexError):
        fits.some([4])


def test_the_value_of_a_network_with_restored_weights_is_that_of_its_epoch():
    rule = EarlyStopping(patience=1, restore_best_weights=True)
    fits = fit_many(networks(net_of(optimizer=Adam(0.1)), n=3), X, y, epochs=50, validation=0.3,
                    callbacks=[rule])  # fmt: skip
    for value, history in zip(fits.values(), fits.histories, strict=True):
        assert value == min(history.history["val_loss"])


# ---- members that fail, and interruptions -------------------------------------------------------


def test_a_network_that_diverges_is_recorded_and_the_others_go_on():
    nets = networks(net_of(optimizer="sgd"), learning_rate=[0.01, 1e6, 0.02])
    fits = fit_many(nets, X, y, epochs=5, on_error="record")
    assert [status.kind for status in fits.statuses] == ["finished", "diverged", "finished"]
    assert "in epoch 1, step" in fits.statuses[1].message
    assert np.isnan(fits.predict(X)[1]).all()
    assert np.isfinite(fits.predict(X, "mean")).all()
    for i in (0, 2):
        own = nets[i]
        own.fit(X, y, epochs=5)
        assert bits(fits[i]) == bits(own)


def test_a_network_that_diverges_raises_its_number():
    nets = list(networks(net_of(optimizer="sgd"), learning_rate=[0.01, 1e6, 0.02]))
    with pytest.raises(FloatingPointError, match=r"^nets\[1\]: the loss became"):
        fit_many(nets, X, y, epochs=5, n_threads=1)


@pytest.mark.parametrize("epochs", [[5, 0], [0, 5]])
def test_a_network_of_0_epochs_is_unchanged_if_another_one_diverges_first(epochs):
    """Networks of float64 begin after those of float32."""
    nets = [net_of(optimizer=SGD(1e30)), net_of(1, dtype="float64")][:: 1 if epochs[0] else -1]
    before = [bits(net) for net in nets]
    with pytest.raises(FloatingPointError, match="the loss became"):
        fit_many(nets, X, y, epochs=epochs)
    waiting = epochs.index(0)
    assert bits(nets[waiting]) == before[waiting]


def test_a_network_of_0_epochs_is_unchanged_if_a_later_one_is_refused():
    layers = [Standardize(), Dense(1, "sigmoid")]
    base = MLP(3, layers, loss="binary_cross_entropy", optimizer="adam", seed=0)
    nets, is_high = list(networks(base, n=2)), (y > 0).astype(int)
    with pytest.raises(ValueError, match=r"nets\[1\]: class_weight and sample_weight make"):
        fit_many(nets, X, is_high, rows=[None, is_high == 0], epochs=[0, 1], class_weight={0: 0.0})
    assert nets[0].standardization is None


def test_a_network_without_callbacks_diverges_when_its_own_fit_does():
    """Only the last epoch is followed by a check of the loss; earlier ones are by the next step."""
    options = {"epochs": 4, "batch_size": None, "metrics": [error]}
    fits = fit_many([net_of(optimizer=SGD(1e30))], X, y, on_error="record", **options)
    own = net_of(optimizer=SGD(1e30))
    with pytest.raises(FloatingPointError) as caught:
        own.fit(X, y, **options)
    assert fits.statuses[0].message == str(caught.value)
    assert "in epoch 2, step 1" in fits.statuses[0].message
    assert bits(fits[0]) == bits(own)
    assert len(fits.histories[0].epoch) == fits.statuses[0].epochs == 1


def test_a_fit_goes_on_from_the_checkpoint_that_a_network_wrote(tmp_path):
    path = tmp_path / "net.safetensors"
    fit_many([net_of()], X, y, epochs=2, callbacks=lambda number: [ModelCheckpoint(path)])
    net, whole = net_of(), net_of()
    net.fit(X, y, epochs=4, callbacks=[ModelCheckpoint(path)], resume=path)
    whole.fit(X, y, epochs=4)
    assert bits(net) == bits(whole)


class Failing(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, epoch, logs):
        raise self.error


def test_an_error_of_a_callback_says_of_which_network_it_is():
    def rules(error):
        return lambda number: [Failing(error)] if number == 1 else []

    with pytest.raises(ValueError, match=r"^nets\[1\]: no more"):
        fit_many([net_of(), net_of()], X, y, callbacks=rules(ValueError("no more")))
    error = UnicodeDecodeError("ascii", b"x", 0, 1, "no more")  # cannot be made of a message
    with pytest.raises(UnicodeDecodeError) as caught:
        fit_many([net_of(), net_of()], X, y, callbacks=rules(error))
    assert caught.value is error
    assert error.__notes__ == ["raised in the training of nets[1]"]


class Naming(Callback):
    """Adds a name to the logs."""

    def on_train_begin(self, logs):
        self.params["monitors"].append("name")

    def on_epoch_end(self, epoch, logs):
        logs["name"] = 1.0


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["threads", "executor"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "callbacks must be a list of Callback"),
        ([3], r"callbacks\[0\] must be a Callback"),
        ([EarlyStopping("val_loss")], "the logs have no 'val_loss', only 'loss', 'r2'"),
        ([ModelCheckpoint("a/{mae}")], "has the field 'mae'"),
        ([ReduceLROnPlateau("loss")], "ReduceLROnPlateau sets the learning rate, but"),
    ],
    ids=["no list", "no callback", "monitor", "field", "schedule"],
)
def test_callbacks_of_a_later_network_are_checked_before_the_first_is_trained(
    wrong, message, executor, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    nets, called = [net_of(), net_of(1, optimizer=SGD(CosineDecay(0.1, 9)))], []

    def rules(number):
        called.append(number)
        return [[EarlyStopping("r2"), ModelCheckpoint("b", save_best_only=True, monitor="loss")],
                wrong][number]  # fmt: skip

    before = [bits(net) for net in nets]
    with pytest.raises((TypeError, ValueError), match=r"^nets\[1\]: .*" + message):
        fit_many(nets, X, y, callbacks=rules, n_threads=1, metrics=["r2"],
                 executor=executor and executor(1))  # fmt: skip
    assert [bits(net) for net in nets] == before
    assert called == [0, 1]


class Stopping(EarlyStopping):
    """A class of a user that keeps what EarlyStopping keeps."""


@pytest.mark.parametrize(
    "shared",
    [EarlyStopping("loss"), Stopping("loss"), ReduceLROnPlateau("loss"),
     LearningRateScheduler(lambda epoch: 0.1), fastnn.ProgressBar()],
    ids=lambda shared: type(shared).__name__,
)  # fmt: skip
@pytest.mark.parametrize("n_threads", [1, 2])
def test_networks_cannot_share_a_callback_of_fastnn(shared, n_threads):
    message = (
        rf"^nets\[2\]: callbacks\(2\) returns the same {type(shared).__name__} as callbacks\(0\)"
    )
    nets = [net_of(i) for i in range(3)]
    with pytest.raises(ValueError, match=message):
        fit_many(nets, X, y, callbacks=lambda i: [] if i == 1 else [shared], n_threads=n_threads)
    assert [net.step for net in nets] == [0] * 3
    fit_many(nets[:1], X, y, callbacks=lambda i: [shared])


def test_networks_may_share_callbacks_that_keep_nothing_of_a_network():
    own, ends = Refused(), fastnn.TerminateOnNaN()
    fits = fit_many([net_of(i) for i in range(3)], X, y, callbacks=lambda i: [own, ends])
    assert fits.is_trained.all()


@pytest.mark.parametrize("same", ["log.csv", "folder/../log.csv", "link.csv"])
@pytest.mark.parametrize("is_there", [False, True])
def test_networks_cannot_write_to_one_file(same, is_there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.csv").symlink_to("log.csv")
    if is_there:
        (tmp_path / "log.csv").write_text("old")
    paths, nets = ["log.csv", "other.csv", same], [net_of(i) for i in range(3)]
    with pytest.raises(ValueError, match=rf"callbacks\(0\) and callbacks\(2\) both write .*{same}"):
        fit_many(nets, X, y, callbacks=lambda i: [fastnn.CSVLogger(paths[i])])
    assert [net.step for net in nets] == [0] * 3
    template = "net-{epoch}.safetensors"
    with pytest.raises(ValueError, match=r"callbacks\(0\) and callbacks\(1\) both write to 'net-"):
        fit_many(nets, X, y, callbacks=lambda i: [ModelCheckpoint(template)])


def test_the_function_of_callbacks_is_called_once_for_each_network():
    called = []

    def rules(number):
        called.append(number)
        return [Naming(), EarlyStopping("name", patience=2)]

    fits = fit_many([net_of(i) for i in range(4)], X, y, callbacks=rules, epochs=9)
    assert called == [0, 1, 2, 3]
    assert [len(history.epoch) for history in fits.histories] == [3] * 4
    rates = [EarlyStopping("learning_rate"), LearningRateScheduler(lambda epoch: 0.1)]
    fit_many([net_of()], X, y, callbacks=lambda number: rates[::-1])


def test_an_error_of_a_callback_is_no_divergence():
    error = FloatingPointError("division by zero")
    with pytest.raises(FloatingPointError, match=r"^nets\[0\]: division by zero"):
        fit_many([net_of()], X, y, callbacks=[Failing(error)], on_error="record")
    fits = fit_many([net_of(optimizer=SGD(1e9))], X, y, callbacks=[Callback()], on_error="record")
    assert fits.statuses[0].kind == "diverged"


def test_an_interrupted_call_returns_what_is_trained_and_leaves_the_rest_as_it_was():
    def rules(number):
        return [Interrupting()] if number == 2 else []

    nets = [net_of(i) for i in range(6)]
    fits = fit_many(nets, X, y, epochs=[9, 8, 7, 6, 5, 4], n_threads=1, callbacks=rules)
    assert fits.interrupted
    kinds = [status.kind for status in fits.statuses]
    assert kinds == ["finished"] * 2 + ["not started"] * 4
    for i in (2, 3, 4, 5):
        assert bits(nets[i]) == bits(net_of(i))
    again = fit_many(nets[2:], X, y, epochs=[7, 6, 5, 4])
    whole = fit_many([net_of(i) for i in range(6)], X, y, epochs=[9, 8, 7, 6, 5, 4])
    assert [bits(net) for net in [*nets[:2], *again]] == [bits(net) for net in whole]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nets": []}, "nets is empty"),
        ({"nets": net_of()}, "nets must be a list of MLP"),
        ({"nets": [net_of(), 3]}, r"nets\[1\] must be an MLP"),
        ({"X": X[0]}, "X must have two dimensions"),
        ({"y": y[:5]}, "y must have the 90 rows of X"),
        ({"y": None}, "y is None"),
        ({"sample_weight": y[:5]}, "sample_weight must have the 90 rows"),
        ({"rows": [None]}, "rows has 1 item for 2 networks"),
        ({"rows": [[90], None]}, r"rows\[0\] has row 90, but X has rows 0 to 89"),
        ({"rows": [[], None]}, r"rows\[0\] has no rows"),
        ({"rows": [[0.5], None]}, r"rows\[0\] must be row numbers"),
        ({"rows": [np.array([2**64 - 1], "u8"), None]}, r"rows\[0\] has row 18446744073709551615"),
        ({"rows": [np.ma.masked_equal([3, 4], 4), None]}, r"rows\[0\] has masked values"),
        ({"y": np.ma.masked_greater(y, 0)}, "y has masked values"),
        ({"sample_weight": np.ma.masked_greater(y**2, 1)}, "sample_weight has masked values"),
        ({"groups": np.ma.masked_equal(np.arange(90) % 2, 0)}, "groups has masked values"),
        ({"groups": y[:4]}, "groups must have a label for each"),
        ({"groups": [*np.arange(88) % 2, np.nan, None]}, "the group of 2 rows is missing"),
        ({"groups": CATEGORIES}, "the group of 1 row is missing"),
        (
            {"groups": [1, "a"] * 45},
            r"groups must have labels that can be sorted, .*; got \[1, 'a'",
        ),
        ({"groups": (b"a", "a") * 45}, "groups must have labels that can be sorted"),
        ({"y": CATEGORIES}, r"y\[2, 0\] is nan"),
        ({"validation_data": (X, y)}, "no argument 'validation_data'; pass them as validation="),
        ({"resume": "a.ckpt"}, "no argument 'resume'; the argument is checkpoint"),
        ({"patience": 3}, r"; pass the callback: fit_many\(nets, X, y, validation=0.1, "),
        ({"epoch": 3}, "fit_many has no argument 'epoch'; .* did you mean 'epochs'"),
        ({"groups": np.arange(90) % 3}, "groups has 3 labels, but nets has 2 networks"),
        ({"groups": np.arange(90) % 2, "rows": [None, None]}, "rows and groups are both given"),
        ({"validation": "other"}, 'validation must be "rest"'),
        ({"validation": "rest"}, "leaves none of the 90 rows"),
        ({"validation": 1.5}, "validation must be above 0 and below 1"),
        ({"validation": [[0]]}, "validation has 1 item for 2 networks"),
        ({"validation": (X,)}, r"validation must be \(X, y\) or"),
        ({"verbose": 2}, "got 2: 1 shows progress over the networks"),
        ({"callbacks": [fastnn.EarlyStopping()]}, r"pass .* to fit \(validation to fit_many, "),
        ({"epochs": [1, 2, 3]}, "epochs has 3 values for 2 networks"),
        ({"epochs": [1, -2]}, r"epochs\[1\] must be at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"shuffle": rng}, "shuffle has the same object for several networks"),
        ({"shuffle": [rng, np.random.Generator(rng.bit_generator)]}, "the same bit generator for"),
        ({"shuffle": [rng, np.random.RandomState(rng.bit_generator)]}, "the same bit generator"),
        ({"shuffle": [True, 3]}, r"shuffle\[1\] must be True or False"),
        ({"callbacks": 3}, "callbacks must be a list"),
        ({"callbacks": [fastnn.CSVLogger("log.csv")]}, "all networks write to 'log.csv'"),
        ({"on_error": "skip"}, "on_error must be one of"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_trained(options, message):
    arguments = {"nets": [net_of(), net_of(1)], "X": X, "y": y} | options
    with pytest.raises((TypeError, ValueError), match=message):
        fit_many(arguments.pop("nets"), arguments.pop("X"), arguments.pop("y"), **arguments)


def embedded(n, **options):
    layers = [Embedding(n, 2, columns=[0]), Dense(4, "tanh"), Dense(1)]
    return MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0, **options)


def test_every_network_checks_the_categories():
    codes = np.column_stack([np.arange(90) % 7, X[:, 1:]])
    with pytest.raises(ValueError, match=r"nets\[1\]: X\[5, 0\] is 5, but column 0 .* 0 to 4"):
        fit_many([embedded(7), embedded(5)], codes, y)
    few = np.where(codes[:, :1] < 5, codes, 0)
    with pytest.raises(ValueError, match=r"nets\[1\]: validation X\[5, 0\] is 5, but column 0"):
        fit_many([embedded(7), embedded(5)], few, y, validation=(codes, y))


def test_every_network_checks_columns_that_it_standardizes():
    tiny = X.astype("f8") * [1e-60, 1, 1]
    plain, standardizing = (MLP(3, [*layers, Dense(1)], loss="squared_error", optimizer="sgd")
                            for layers in ([], [Standardize()]))  # fmt: skip
    with pytest.raises(ValueError, match=r"nets\[1\]: column 0 of X has numbers up to"):
        fit_many([plain, standardizing], tiny, y)


def test_a_network_cannot_be_trained_twice():
    net = net_of()
    with pytest.raises(ValueError, match=r"nets\[1\] is the same object as nets\[0\]"):
        fit_many([net, net], X, y)
