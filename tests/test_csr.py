"""Rows of nonzeros (CSR) in the engine: the bits of the same rows with their zeros.

Predictions, losses, gradients, and the whole state after trainings of every kind are compared bit
by bit with those of the dense rows. Not here: damaged matrices (test_sparse.py), sparse rows among
other sources of rows (test_data.py), the leaves alone (leaves/check_sparse.c).
"""

import contextlib
import dataclasses
import itertools
import signal
import threading

import numpy as np
import pytest
import scipy.sparse
from comparing import state_of
from conditions import EachBatch

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activate,
    Adam,
    AdamW,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    LinearWarmup,
    Lion,
    ModelCheckpoint,
    NAdam,
    Residual,
    ScheduleFreeAdamW,
    SparseRows,
    Standardize,
    _cpu,
    fit_many,
)
from fastnn.training import sources

N, N_IN = 150, 400
RNG = np.random.default_rng(0)
CSR = scipy.sparse.random_array((N, N_IN), density=0.0125, format="csr", random_state=RNG)
CSR.data[:] = RNG.standard_normal(CSR.nnz)
ROWS, Y = CSR.toarray(), RNG.random((N, 2))
ROWS[7] = 0  # a row without nonzeros
CSR = scipy.sparse.csr_array(ROWS)
WEIGHTS = RNG.random(N)
POSITIVE = np.random.default_rng(1).random((N_IN, 1)) < 0.5
DTYPES = ["float32", "float64"]
HIDDEN = {"narrow": [], "one panel": [9], "panels": [40], "many panels": [161, 5], "few": [3]}


def network(hidden=(40,), optimizer="sgd", dtype="float32", layers=None, **options):
    layers = layers or [*(Dense(units, "tanh") for units in hidden), Dense(2)]
    return MLP(
        N_IN, layers, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=0, **options
    )


def assert_same_fits(make, rows=CSR, dense=ROWS, y=Y, **options):
    """Train on both; assert that all losses and the final states are the same."""
    options = {"batch_size": 32, "epochs": 3, **options}
    net, twin = make(), make()
    histories = [net.fit(rows, y, **options).history, twin.fit(dense, y, **options).history]
    assert repr(histories[0]) == repr(histories[1])
    assert state_of(net) == state_of(twin)
    return net


# ---- one pass -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", _cpu.INSTRUCTION_SETS)
def test_every_call_gives_the_bits_of_dense_rows(name, hidden, dtype, monkeypatch):
    monkeypatch.setattr(_cpu, "ISA", name)
    net = network(HIDDEN[hidden], dtype=dtype)
    for w in (weights := net.get_weights()):
        w += 0.1 * RNG.standard_normal(w.shape)
    net.set_weights(weights)
    for n in (1, 3, N):
        rows, dense, y, weight = CSR[:n], ROWS[:n], Y[:n], WEIGHTS[:n]
        assert net.predict(rows).tobytes() == net.predict(dense).tobytes()
        assert net.evaluate(rows, y, weight) == net.evaluate(dense, y, weight)
        for found, expected in zip(net.activations(rows), net.activations(dense), strict=True):
            assert found.tobytes() == expected.tobytes()
        loss, found = net.loss_and_gradients(rows, y, weight)
        expected_loss, expected = net.loss_and_gradients(dense, y, weight)
        assert loss == expected_loss
        for one, other in zip(found, expected, strict=True):
            assert one.tobytes() == other.tobytes()
        twin = net.copy()
        assert net.train_on_batch(rows, y, weight) == twin.train_on_batch(dense, y, weight)
        assert state_of(net) == state_of(twin)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _cpu.INSTRUCTION_SETS)
def test_predictions_with_more_weights_than_a_cache_holds(name, dtype, monkeypatch):
    """Chunks have more rows then, and are multiplied by parts of W."""
    monkeypatch.setattr(_cpu, "ISA", name)
    n, n_in, layers = 1000, 25_000, [Dense(70, "relu"), Dense(3)]
    rows = scipy.sparse.random_array((n, n_in), density=0.001, format="csr", random_state=0)
    net = MLP(n_in, layers, loss="squared_error", optimizer="sgd", dtype=dtype, seed=0)
    dense = np.concatenate([net.predict(rows[i : i + 250].toarray()) for i in range(0, n, 250)])
    for n_threads in (1, 2):
        assert net.copy(n_threads=n_threads).predict(rows).tobytes() == dense.tobytes()


def test_derivatives_of_single_rows():
    net = network()
    assert net.jacobian(CSR[:5]).tobytes() == net.jacobian(ROWS[:5]).tobytes()
    found, expected = (net.per_sample_gradients(rows[:5], Y[:5]) for rows in (CSR, ROWS))
    for one, other in zip(found, expected, strict=True):
        assert one.tobytes() == other.tobytes()


LAYERS = {
    "dropout": [Dropout(0.3), Dense(20, "relu"), Dense(2)],
    "standardize": [Standardize(), Dense(20, "relu"), Dropout(0.2), Dense(2)],
    "layer norm": [LayerNorm(), Dense(20, "relu"), Dense(2)],
    "activation": [Activate("tanh"), Dense(20), Dense(2)],
    "residual": [Residual([Dense(N_IN, "relu")]), Dense(2)],
    "frozen": [Dense(20, "relu", trainable=False), Dense(2)],
    "without biases": [Dense(20, "gelu", use_bias=False), Dropout(0.2), Dense(2, use_bias=False)],
}


@pytest.mark.parametrize("batch", [1, 40])
@pytest.mark.parametrize("layers", LAYERS)
def test_every_first_layer(layers, batch):
    net = assert_same_fits(lambda: network(layers=LAYERS[layers]), batch_size=batch)
    assert net.predict(CSR).tobytes() == net.predict(ROWS).tobytes()


# ---- trainings ----------------------------------------------------------------------------------

OPTIONS = {
    "plain": ({}, {}),
    "penalties": ({}, {"l1": 1e-3, "l2": 1e-2}),
    "weight decay": ({"weight_decay": 0.1}, {}),
    "clipped by value": ({"clipvalue": 0.01}, {}),
    "clipped by norm": ({"clipnorm": 0.05}, {}),
    "clipped by the global norm": ({"global_clipnorm": 0.05}, {}),
    "averaged": ({"use_ema": True}, {}),
    "up the gradient": ({"maximize": True, "learning_rate": 1e-4}, {}),
    "a schedule": ({"learning_rate": LinearWarmup(0.01, 9)}, {}),
    "all at once": (
        {"weight_decay": 0.1, "clipvalue": 0.01, "use_ema": True,
         "learning_rate": LinearWarmup(0.01, 9)},
        {"l2": 1e-2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_every_optimizer_trains_to_the_bits_of_dense_rows(optimizer, options):
    changes, penalties = OPTIONS[options]
    if optimizer.is_average and options in ("averaged", "a schedule", "all at once"):
        pytest.skip("the optimizer averages the weights itself, and takes no schedule")
    rule = dataclasses.replace(optimizer, **changes)
    for batch, units in itertools.product([1, 7, 64], [2, 20]):
        layers = [Dense(units, "tanh", **penalties), Dense(2)]
        assert_same_fits(
            lambda layers=layers: network(layers=layers, optimizer=rule),
            batch_size=batch,
            epochs=2,
        )


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.01), AdamW(0.01)], ids=repr)
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_batches_of_several_rounds_on_any_number_of_threads(optimizer, n_threads, monkeypatch):
    rows, y = scipy.sparse.vstack([CSR] * 15, format="csr"), np.tile(Y, (15, 1))
    for batch in (None, 1500):
        assert_same_fits(
            lambda: network([200, 50], optimizer), rows, rows.toarray(), y, batch_size=batch,
            n_threads=n_threads,
        )  # fmt: skip


@pytest.mark.parametrize(
    "optimizer",
    [AdamW(0.01), NAdam(0.01), Lion(0.001), ScheduleFreeAdamW(0.01, weight_decay=0.1)],
    ids=repr,
)
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_postponed_updates_on_any_number_of_threads(optimizer, n_threads):
    net = assert_same_fits(
        lambda: network([1500, 5], optimizer), batch_size=8, epochs=2, n_threads=n_threads
    )
    assert net._network.postpones_updates()


def test_postponed_updates_while_a_team_changes_its_size():
    """A fit that is long enough for other sizes to be tried (pace.h)."""
    rows, y = scipy.sparse.vstack([CSR] * 40, format="csr"), np.tile(Y, (40, 1))
    net = assert_same_fits(
        lambda: network([1500, 5], Adam(0.01)), rows, rows.toarray(), y, batch_size=8,
        n_threads=3,
    )  # fmt: skip
    assert net._network.postpones_updates()


def test_a_fit_on_one_thread_keeps_the_measured_speeds_of_teams():
    net = network([1500, 5], Adam(0.01))
    net.fit(CSR, Y, batch_size=8, epochs=4, n_threads=2)
    pace = net._network.pace()
    assert pace
    net.fit(CSR, Y, batch_size=8, n_threads=1)
    assert net._network.postpones_updates()
    assert net._network.pace() == pace


def test_updates_are_postponed_where_batches_read_few_rows_of_the_weights():
    net = network([20], Adam(0.01))
    for batch_size, postpones in ((8, True), (30, False), (N, False)):
        net.fit(CSR, Y, batch_size=batch_size)
        assert net._network.postpones_updates() == postpones
    net.fit(ROWS, Y, batch_size=8)
    assert not net._network.postpones_updates()


@pytest.mark.parametrize("optimizer", [SGD(0.01), Adam(0.01, use_ema=True)], ids=repr)
def test_updates_that_are_postponed_for_a_thousand_steps(optimizer):
    """No more than PAST of simd/ops.h are postponed."""
    rows, y = scipy.sparse.vstack([CSR] * 18, format="csr"), np.tile(Y, (18, 1))
    assert_same_fits(
        lambda: network([20], optimizer), rows, rows.toarray(), y, batch_size=1, epochs=1
    )


def test_a_thousand_steps_on_several_threads():
    """All postponed updates happen during the fit, of rows that other threads have just updated."""
    rows, y, nets = scipy.sparse.vstack([CSR] * 60, format="csr"), np.tile(Y, (60, 1)), []
    for n_threads in (1, 3):
        net = network([1500], Adam(0.001), n_threads=n_threads)
        nets.append((net.fit(rows, y, batch_size=8).history, state_of(net)))
        assert net._network.postpones_updates()
    assert nets[0] == nets[1]


def test_a_handler_of_signals_reads_weights_that_are_up_to_date():
    """It may read them between any two steps, also of rows that no batch has used for long."""
    rows, y = scipy.sparse.vstack([CSR] * 18, format="csr"), np.tile(Y, (18, 1))
    net, found = network([20], Adam(0.01)), []

    def handler(*_):
        found.append((state_of(net), net.predict(CSR).tobytes()))
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while not found:
            net = network([20], Adam(0.01))
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                net.fit(rows, y, batch_size=1, epochs=50, shuffle=False)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if found and found[0][0][0] == 0:
                found.clear()
    finally:
        signal.signal(signal.SIGALRM, before)
    twin, steps = network([20], Adam(0.01)), found[0][0][0]
    epochs, rest = divmod(steps, len(y))
    twin.fit(rows.toarray(), y, batch_size=1, epochs=epochs, shuffle=False)
    if rest:
        twin.fit(rows[:rest].toarray(), y[:rest], batch_size=1, epochs=1, shuffle=False)
    (_, _, blocks), predicted = found[0]
    assert blocks == state_of(twin)[2]
    assert predicted == twin.predict(ROWS).tobytes()
    assert state_of(net)[2] == blocks  # the fit has ended at that step


FITS = {
    "validated": {"validation_split": 0.2, "callbacks": [EarlyStopping(patience=1)]},
    "validated on dense rows": {"validation_data": (ROWS, Y)},
    "weighted": {"sample_weight": WEIGHTS},
    "outputs weighted": {"sample_weight": np.stack([WEIGHTS, 1 - WEIGHTS], axis=1)},
    "batch by batch": {"callbacks": [EachBatch()]},
    "with metrics": {"metrics": ["mae"]},
    "in order": {"shuffle": False},
    "all rows at once": {"batch_size": None},
    "several threads": {"n_threads": 3},
}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01)], ids=repr)
def test_every_kind_of_fit(fit, optimizer):
    assert_same_fits(lambda: network(optimizer=optimizer), **FITS[fit])


def test_orders_drawn_by_a_generator():
    net, twin = network(), network()
    net.fit(CSR, Y, shuffle=np.random.default_rng(3))
    twin.fit(ROWS, Y, shuffle=np.random.default_rng(3))
    assert state_of(net) == state_of(twin)


def test_batches_of_an_iterable():
    net, twin = network(), network()
    net.fit([(CSR[:40], Y[:40]), (CSR[40:], Y[40:])], epochs=2)
    twin.fit([(ROWS[:40], Y[:40]), (ROWS[40:], Y[40:])], epochs=2)
    assert state_of(net) == state_of(twin)


def test_an_iterator_may_use_its_arrays_again():
    def batches(rows):
        batch = rows[:40].copy()
        values = batch.data if scipy.sparse.issparse(batch) else batch
        for factor in (1, 2, 3):
            yield batch, Y[:40]
            values *= factor

    net, twin = network(), network()
    net.fit(batches(CSR))
    twin.fit(batches(ROWS))
    assert state_of(net) == state_of(twin)


def test_a_loss_that_is_a_function():
    def loss(y, outputs):
        return ((outputs - y) ** 2).sum(axis=1), 2 * (outputs - y)

    def make():
        return MLP(N_IN, [Dense(20, "tanh"), Dense(2)], loss=loss, optimizer="adam", seed=0)

    assert_same_fits(make)


def test_given_gradients_of_the_outputs():
    net, twin = network(optimizer="adam"), network(optimizer="adam")
    for batch in (slice(0, 30), slice(30, N)):
        net.train_on_output_gradients(CSR[batch], Y[batch])
        twin.train_on_output_gradients(ROWS[batch], Y[batch])
    assert state_of(net) == state_of(twin)


@pytest.mark.parametrize("batch_size", [8, 32])
@pytest.mark.parametrize("validation", [None, 0.2])
def test_many_networks(validation, batch_size):
    found = []
    for rows in (CSR, ROWS):
        nets = [network([units], Adam(0.01)) for units in (3, 20, 20)]
        numbers = [None, np.arange(0, N, 2), np.array([1, 1, 5, 9] * 20)]
        fit_many(nets, rows, Y, rows=numbers, validation=validation, epochs=3,
                 batch_size=batch_size)  # fmt: skip
        found.append([state_of(net) for net in nets])
    assert found[0] == found[1]


@pytest.mark.parametrize("first", [{"l2": 1e-3}, {"trainable": False}], ids=["penalty", "frozen"])
def test_networks_that_postpone_updates_after_one_that_does_not(first):
    """They count the updates of each row of W, for which the first one needs no memory."""
    n_in, n = 20_000, 64
    columns = np.sort(RNG.integers(0, n_in, (n, 4)), axis=1)
    rows = SparseRows(np.ones(4 * n, "f4"), columns.ravel(), np.arange(0, 4 * n + 1, 4), (n, n_in))
    y = RNG.normal(size=n).astype("f4")

    def make(options):
        layers = [Dense(32, "relu", **options), Dense(1)]
        return MLP(n_in, layers, loss="squared_error", optimizer="sgd", seed=0)

    given = [first, {}, first]
    nets = [make(options) for options in given]
    fit_many(nets, rows, y, epochs=2, batch_size=8, n_threads=1)
    for net, options in zip(nets, given, strict=True):
        twin = make(options)
        twin.fit(rows, y, epochs=2, batch_size=8)
        assert state_of(net) == state_of(twin)


def test_a_network_of_more_rows_than_there_are():
    """Rows may be used several times; means over all stored rows are those of the stored ones."""
    number = np.arange(3 * N) % N
    options = {"epochs": 2, "batch_size": 8, "n_threads": 1}
    nets = [network([20], Adam(0.01)), network([20], Adam(0.01))]
    for net, rows in zip(nets, (CSR, ROWS), strict=True):
        fit_many([net], rows, Y, rows=[number], **options)
    assert state_of(nets[0]) == state_of(nets[1])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_estimators_that_end_by_themselves(early_stopping):
    """Weights are read after an epoch only if there are validation rows."""
    sklearn = pytest.importorskip("fastnn.sklearn")
    parameters = {"batch_size": 8, "alpha": 0.0, "tol": 0.01, "n_iter_no_change": 2,
                  "early_stopping": early_stopping, "random_state": 0}  # fmt: skip
    found = [
        sklearn.MLPRegressor(hidden_layer_sizes=(20,), **parameters).fit(rows, Y)
        for rows in (CSR, ROWS)
    ]
    assert found[0].n_iter_ == found[1].n_iter_ < 200
    assert state_of(found[0].net_) == state_of(found[1].net_)
    assert found[0].net_._network.postpones_updates()


def test_a_network_of_many_that_is_stopped():
    """It ends after an epoch whose weights nothing has read, when updates are postponed."""
    net, twin, over = network([20], Adam(0.01)), network([20], Adam(0.01)), threading.Event()

    def stop():
        while not over.wait(0.01):
            net.stop_training = True

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        fit_many([net], CSR, Y, epochs=10**5, batch_size=8)
    finally:
        over.set()
        thread.join()
    assert 0 < net.epoch < 10**5
    twin.fit(ROWS, Y, epochs=net.epoch, batch_size=8)
    assert state_of(net) == state_of(twin)


def test_ensembles_whose_members_end_by_themselves():
    sklearn = pytest.importorskip("fastnn.sklearn")
    parameters = {"batch_size": 8, "alpha": 0.0, "tol": 0.01, "n_iter_no_change": 2,
                  "n_members": 3, "random_state": 0}  # fmt: skip
    found = [
        sklearn.MLPEnsembleRegressor(hidden_layer_sizes=(20,), **parameters).fit(rows, Y)
        for rows in (CSR, ROWS)
    ]
    assert found[0].n_iter_ == found[1].n_iter_ < 200
    states = [[state_of(member.net_) for member in each.estimators_] for each in found]
    assert states[0] == states[1]


def test_a_fit_that_is_resumed(tmp_path):
    net, twin, path = network(optimizer=Adam(0.01)), network(optimizer=Adam(0.01)), tmp_path / "c"
    net.fit(CSR, Y, epochs=2, callbacks=[ModelCheckpoint(path)])
    again = network(optimizer=Adam(0.01))
    again.fit(CSR, Y, epochs=5, resume=path, callbacks=[ModelCheckpoint(path)])
    twin.fit(ROWS, Y, epochs=5, callbacks=[ModelCheckpoint(tmp_path / "d")])
    assert state_of(again) == state_of(twin)


def test_rows_of_both_kinds_in_turn():
    net, twin = network(optimizer="adam"), network(optimizer="adam")
    for rows in (CSR, ROWS, CSR):
        net.fit(rows, Y, epochs=2)
        net.train_on_batch(rows[:20], Y[:20])
        twin.fit(ROWS, Y, epochs=2)
        twin.train_on_batch(ROWS[:20], Y[:20])
        assert net.predict(rows).tobytes() == twin.predict(ROWS).tobytes()
    assert state_of(net) == state_of(twin)


# ---- numbers for which a product with zero counts -----------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [2, 20])
def test_the_sign_of_zero(units, dtype, isa):
    """A sum that begins as -0 becomes +0 by a product with zero."""
    net = network(layers=[Dense(units), Dense(2)], dtype=dtype)
    W, b, *rest = net.get_weights()
    W[::2], b[:] = -0.0, -0.0
    net.set_weights([np.abs(W), b, *rest])
    found, expected = net.activations(CSR)[0], net.activations(ROWS)[0]
    assert (found == 0).any()
    assert found.tobytes() == expected.tobytes()
    net.set_weights([-np.abs(W), b, *rest])
    assert net.activations(CSR)[0].tobytes() == net.activations(ROWS)[0].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_minus_zero(optimizer, dtype):
    """A weight of -0, as a mask makes it, becomes +0 where a velocity of +0 is added to it."""

    def make():
        net = network(optimizer=optimizer, dtype=dtype)
        W, *rest = net.get_weights()
        net.set_weights([np.where(POSITIVE, np.abs(W), -0.0), *rest])
        return net

    net = assert_same_fits(make, batch_size=8)
    assert net._network.postpones_updates()


def test_stored_zeros_are_zeros():
    rows, net = CSR.copy(), network()
    rows.data[::3] = 0
    rows.data[::6] *= -1
    assert np.signbit(rows.data[rows.data == 0]).any()
    assert net.predict(rows).tobytes() == net.predict(rows.toarray()).tobytes()
    assert_same_fits(network, rows, rows.toarray())


def diverged(optimizer, rows, **options):
    """Return the message of a training that diverges, and the state of the network after it."""
    net = network([30], optimizer)
    with pytest.raises(FloatingPointError) as raised, np.errstate(all="ignore"):
        net.fit(rows, Y, batch_size=8, epochs=50, **options)
    return str(raised.value), state_of(net)


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"callbacks": [EachBatch()]}])
def test_a_training_that_diverges(options):
    for optimizer in (SGD(1e6), SGD(1e30), SGD(3e38, momentum=0.9)):
        assert diverged(optimizer, CSR, **options) == diverged(optimizer, ROWS, **options)


@pytest.mark.parametrize("units", [2, 20])
def test_weights_that_are_not_finite_reach_all_rows(units):
    """An infinite weight times zero is NaN, also in rows that have no value in its column."""
    net = network(layers=[Dense(units), Dense(2)])
    net.predict(CSR)
    W = net.get_weights()
    used = np.flatnonzero(ROWS[0])
    W[0][used[0]] = np.inf
    net._network.write(W)  # set_weights refuses them
    assert not np.isfinite(net.predict(ROWS)).any()
    assert net.predict(CSR).tobytes() == net.predict(ROWS).tobytes()
    W[0][used[0]] = 1
    net.set_weights(W)
    assert net.predict(CSR).tobytes() == net.predict(ROWS).tobytes()


# ---- forms --------------------------------------------------------------------------------------


def triple(folder=None, dtype="float32"):
    """Return the arrays of SparseRows; with a folder, they are memory-mapped files."""
    arrays = [CSR.data.astype(dtype), CSR.indices.astype("i4"), CSR.indptr.astype("i8")]
    if folder is None:
        return arrays
    for number, array in enumerate(arrays):
        mapped = np.memmap(folder / str(number), array.dtype, "w+", shape=array.shape)
        mapped[:] = array
        mapped.flush()
        arrays[number] = np.memmap(folder / str(number), array.dtype, "r", shape=array.shape)
    return arrays


def test_a_triple_of_arrays_without_scipy():
    rows = SparseRows(*triple(), shape=(N, N_IN))
    assert len(rows) == N
    np.testing.assert_array_equal(rows.toarray(), ROWS.astype("f4"))
    assert_same_fits(lambda: network(optimizer="adam"), rows, ROWS, validation_split=0.3)
    lists = SparseRows([1.0, 2.0], [4, 80], [0, 1, 2], shape=(2, N_IN))
    net = network()
    assert net.predict(lists).tobytes() == net.predict(lists.toarray()).tobytes()


def test_mapped_arrays_are_not_copied(tmp_path):
    arrays = triple(tmp_path)
    rows = SparseRows(*arrays, shape=(N, N_IN))
    net = network(optimizer="adam")
    taken = sources.matrix(net._state, "X", rows)
    for array, own in zip(arrays, (taken.data, taken.indices, taken.indptr), strict=True):
        assert np.shares_memory(array, own)
    assert_same_fits(lambda: network(optimizer="adam"), rows, ROWS)


def test_rows_that_are_smaller_with_their_zeros_are_made_dense():
    full = scipy.sparse.csr_array(np.where(ROWS == 0, 1, ROWS))
    assert isinstance(sources.matrix(network()._state, "X", full), np.ndarray)
    few = MLP(9, [Dense(2)], loss="squared_error", optimizer="sgd", seed=0)
    assert isinstance(sources.matrix(few._state, "X", CSR[:, :9]), np.ndarray)
    assert isinstance(sources.matrix(network()._state, "X", CSR), SparseRows)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_value_that_is_not_finite_is_named(value):
    rows = CSR.copy()
    at = rows.indptr[5] + 1
    rows.data[at] = value
    with pytest.raises(ValueError, match=rf"X\[5, {rows.indices[at]}\] is "):
        network().predict(rows)


def test_wide_rows_need_no_memory_for_their_zeros():
    """These have 80 GB with their zeros, and a batch 2 GB."""
    n, n_in = 10_000, 2_000_000
    indices = np.sort(RNG.integers(0, n_in, (n, 3)), axis=1).ravel()
    rows = SparseRows(np.ones(3 * n, "f4"), indices, np.arange(0, 3 * n + 1, 3), shape=(n, n_in))
    net = MLP(n_in, [Dense(2, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    assert net.predict(rows).shape == (n, 1)
    net.fit(rows[:2000], np.ones(2000), batch_size=1000)
    assert fastnn.profile(net, rows[:300], np.ones(300), batch_size=100)
