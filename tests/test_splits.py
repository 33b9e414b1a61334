"""StratifiedSplit: rows held out for validation in proportion to their classes.

Proves which rows are held out, that a fit with a split has the bits of a fit on copies of these
rows, whatever holds the rows, that members of fit_many have the bits of their own fit, that a
checkpoint recognizes the split, and errors. Not here: the last rows as validation (test_fit.py,
test_many.py).
"""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from fastnn import (
    MLP,
    Callback,
    Dense,
    Dropout,
    ModelCheckpoint,
    Standardize,
    StratifiedSplit,
    fit_many,
    load,
)

N, CLASSES = 400, 4
RNG = np.random.default_rng(0)
Y = np.sort(RNG.choice(CLASSES, N, p=[0.5, 0.3, 0.15, 0.05]))
X = (RNG.standard_normal((N, 6)) + Y[:, None]).astype(np.float32)
X[X < 0] = 0
SPLIT = StratifiedSplit(0.2, seed=3)
TRAINING, VALIDATION = SPLIT.rows(Y)


def classifier(n_out=CLASSES, **options):
    layers = [Standardize(), Dense(16, "tanh"), Dropout(0.2)]
    layers += [Dense(n_out, "softmax" if n_out > 1 else "sigmoid")]
    loss = "cross_entropy" if n_out > 1 else "binary_cross_entropy"
    return MLP(6, layers, loss=loss, optimizer="adam", seed=1, **options)


def equal(net, other):
    return all(map(np.array_equal, net.get_weights(), other.get_weights()))


def name_of(options):
    return " ".join(options) or "plain" if isinstance(options, dict) else None


class Quiet(Callback):
    """A callback with a hook for batches, so that Python trains batch by batch."""

    def on_train_batch_end(self, batch, logs):
        pass


# ---- the rows -----------------------------------------------------------------------------------


def test_each_class_keeps_its_proportion():
    held, counts = (np.bincount(y, minlength=CLASSES) for y in (Y[VALIDATION], Y))
    assert (abs(held - 0.2 * counts) < 1).all()
    assert np.array_equal(np.sort(np.r_[TRAINING, VALIDATION]), np.arange(N))
    assert (np.diff(TRAINING) > 0).all()
    assert (np.diff(VALIDATION) > 0).all()


def test_the_rows_depend_on_seed_and_classes_only():
    names = np.array(["delta", "alpha", "charlie", "bravo"])[Y]
    for y in (names, names.astype(object), pd.Categorical(names), Y + 7.0, 3 - Y, Y.tolist()):
        assert np.array_equal(SPLIT.rows(y)[1], VALIDATION)
    assert not np.array_equal(StratifiedSplit(0.2, seed=4).rows(Y)[1], VALIDATION)


def test_rare_classes():
    y = np.r_[np.zeros(50, int), 1, 2, 2]
    for seed in range(20):
        training, validation = StratifiedSplit(0.3, seed).rows(y)
        assert set(y[training]) == {0, 1, 2}
        assert 50 not in validation
    training, validation = StratifiedSplit(0.01).rows([0, 0, 1])
    assert len(validation) == 1
    assert len(StratifiedSplit(0.99).rows([0, 0, 1, 1])[0]) == 2


# ---- fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"shuffle": False}, {"metrics": ["accuracy", "balanced_accuracy"]},
    {"callbacks": [Quiet()]}, {"class_weight": "balanced"}, {"class_weight": {0: 3.0}},
    {"batch_size": None}, {"shuffle": np.random.RandomState}, {"n_threads": 2},
    {"metrics": {"own": lambda t, p: float(p.sum())}}, {"weighted": True},
], ids=name_of)  # fmt: skip
def test_a_fit_is_that_on_copies_of_the_rows(options):
    options = {"epochs": 3, **options}
    weight = RNG.uniform(0, 1, N) if options.pop("weighted", False) else None
    makes, nets, histories = options.get("shuffle"), [classifier() for _ in range(2)], []
    held = [X[VALIDATION], Y[VALIDATION]] + ([] if weight is None else [weight[VALIDATION]])
    for net, rows, more in (
        (nets[0], slice(None), {"validation_split": SPLIT}),
        (nets[1], TRAINING, {"validation_data": held}),
    ):
        if callable(makes):
            options["shuffle"] = makes(0)
        some = None if weight is None else weight[rows]
        histories.append(net.fit(X[rows], Y[rows], sample_weight=some, **options, **more).history)
    assert equal(*nets)
    assert histories[0] == histories[1]


def test_labels_of_all_kinds():
    names = np.array(["delta", "alpha", "charlie", "bravo"])[Y]
    for y in (names, pd.Series(names).astype("category"), np.eye(CLASSES)[Y]):
        net, other = classifier(), classifier()
        history = net.fit(X, y, epochs=2, validation_split=SPLIT)
        rows = [y.iloc if hasattr(y, "iloc") else y][0]
        copy = other.fit(X[TRAINING], rows[TRAINING], epochs=2,
                         validation_data=(X[VALIDATION], rows[VALIDATION]))  # fmt: skip
        assert equal(net, other)
        assert history.history == copy.history
    binary = Y > 1
    training, validation = SPLIT.rows(binary)
    for y in (binary, binary.astype(np.float32)[:, None], np.where(binary, "yes", "no")):
        net, other = classifier(1), classifier(1)
        net.fit(X, y, epochs=2, validation_split=SPLIT)
        other.fit(
            X[training], y[training], epochs=2, validation_data=(X[validation], y[validation])
        )
        assert equal(net, other)


def test_storage_of_rows_does_not_matter(tmp_path, monkeypatch):
    rows = np.round(X * 9).astype(np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected, history = classifier(), None
    history = expected.fit(rows.astype(np.float32), Y, epochs=3, validation_split=SPLIT).history
    monkeypatch.setattr("fastnn.training.rows.LARGE_BYTES", 1)
    monkeypatch.setattr("fastnn.training.rows.BLOCK_BYTES", 2048)
    for given in (rows, mapped, scipy.sparse.csr_array(rows.astype(np.float32)),
                  pd.DataFrame(rows), rows.astype(np.float64)):  # fmt: skip
        for callbacks in ([], [Quiet()]):
            net = classifier()
            found = net.fit(given, Y, epochs=3, validation_split=SPLIT, callbacks=callbacks)
            assert equal(net, expected), type(given)
            assert found.history == history, type(given)


def test_large_rows_are_not_copied(tmp_path):
    n = 1_000_000
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (n, 60))
    rows[:, 0] = np.arange(n) % 251
    y = (rows[:, 0] > 200).astype(np.uint8)
    net = MLP(60, [Dense(1, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd", seed=0)
    tracemalloc.start()
    net.fit(rows, y, batch_size=8192, validation_split=SPLIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6  # 240 MB in float32, 60 MB as they are; the rest: targets and their split


def test_rows_in_memory_are_not_copied():
    rows = np.zeros((200_000, 100), np.float32)
    y = np.arange(len(rows)) % 3
    net = MLP(100, [Dense(3, "softmax")], loss="cross_entropy", optimizer="sgd", seed=0)
    tracemalloc.start()
    net.fit(rows, y, batch_size=4096, validation_split=SPLIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows.nbytes / 2


def test_a_column_that_only_held_out_rows_have_is_constant():
    rows = np.zeros((N, 6), np.float64)
    rows[VALIDATION, 0] = RNG.standard_normal(len(VALIDATION))
    net = classifier()
    net.fit(rows, Y, validation_split=SPLIT)
    mean, scale = net._state.standardization
    assert (mean[0], scale[0]) == (0, 1)


def test_resume(tmp_path):
    path = tmp_path / "net.safetensors"
    whole, part = classifier(), classifier()
    history = whole.fit(X, Y, epochs=5, validation_split=SPLIT)
    part.fit(X, Y, epochs=2, validation_split=SPLIT, callbacks=[ModelCheckpoint(path)])
    net = classifier()
    resumed = net.fit(X, Y, epochs=5, validation_split=SPLIT, resume=path,
                      callbacks=[ModelCheckpoint(path)])  # fmt: skip
    assert equal(whole, net)
    assert resumed.history == history.history
    for other in (StratifiedSplit(0.2, seed=4), len(VALIDATION) / N):
        with pytest.raises(ValueError, match="saved by a fit with validation_split="):
            load(path).fit(X, Y, epochs=7, validation_split=other, resume=path,
                           callbacks=[ModelCheckpoint(path)])  # fmt: skip


# ---- fit_many -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"class_weight": "balanced"}, {"callbacks": [Quiet()]}, {"metrics": ["accuracy"]},
    {"weighted": True},
], ids=name_of)  # fmt: skip
@pytest.mark.parametrize("names", [None, np.array(["delta", "alpha", "charlie", "bravo"])])
def test_members_have_the_bits_of_their_own_fit(names, options):
    options, y = {"epochs": 3, **options}, Y if names is None else names[Y]
    weight = RNG.uniform(0.1, 1, N) if options.pop("weighted", False) else None
    rows = [None, np.arange(0, N, 2), np.arange(N) % 3 > 0, RNG.integers(0, N, N), None]
    nets = [classifier() for _ in rows]
    fits = fit_many(nets, X, y, rows=rows, validation=SPLIT, sample_weight=weight, **options)
    for i, some in enumerate(rows):
        some, own = slice(None) if some is None else some, classifier()
        w = None if weight is None else weight[some]
        history = own.fit(X[some], y[some], validation_split=SPLIT, sample_weight=w, **options)
        assert equal(own, nets[i]), i
        assert fits.histories[i].history == history.history


def test_groups_and_other_kinds_of_networks():
    groups, nets = np.arange(N) % 2, [classifier() for _ in range(2)]
    fit_many(nets, X, Y, groups=groups, validation=SPLIT, epochs=2)
    for group, net in enumerate(nets):
        own, some = classifier(), groups == group
        own.fit(X[some], Y[some], epochs=2, validation_split=SPLIT)
        assert equal(own, net)
    binary = (Y > 1).astype(int)
    two = [classifier(1), MLP(6, [Dense(2, "softmax")], loss="cross_entropy", optimizer="sgd",
                              seed=0)]  # fmt: skip
    fit_many(two, X, binary, validation=SPLIT, epochs=2)
    own = classifier(1)
    own.fit(X, binary, epochs=2, validation_split=SPLIT)
    assert equal(own, two[0])


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parameters", "match"), [
    ((0.0,), "fraction"), ((1.0,), "fraction"), ((True,), "fraction"), (("0.2",), "fraction"),
    ((0.2, -1), "seed"), ((0.2, None), "seed"), ((0.2, 1.5), "seed"),
], ids=str)  # fmt: skip
def test_wrong_parameters(parameters, match):
    with pytest.raises((TypeError, ValueError), match=match):
        StratifiedSplit(*parameters)


@pytest.mark.parametrize("y", [[], [[1, 2]], [None, 1], 3])
def test_wrong_classes(y):
    with pytest.raises((TypeError, ValueError), match="y must"):
        SPLIT.rows(y)


def test_wrong_fits():
    net = classifier()
    before = net.get_weights()
    with pytest.raises(ValueError, match="cannot hold out the only row"):
        net.fit(X[:1], Y[:1], validation_split=SPLIT)
    with pytest.raises(ValueError, match="any of the 4 rows, each the only one of its class"):
        net.fit(X[:4], np.arange(4), validation_split=SPLIT)
    with pytest.raises(ValueError, match=r"StratifiedSplit\(.*\) cannot split an iterable"):
        net.fit([(X, Y)], validation_split=SPLIT)
    with pytest.raises(ValueError, match="are both given"):
        net.fit(X, Y, validation_split=SPLIT, validation_data=(X, Y))
    for weight in (np.isin(np.arange(N), TRAINING), np.isin(np.arange(N), VALIDATION)):
        with pytest.raises(ValueError, match="give validation_split another seed"):
            net.fit(X, Y, validation_split=SPLIT, sample_weight=weight.astype(float))
    assert all(map(np.array_equal, before, net.get_weights()))


def test_arguments_of_other_libraries():
    with pytest.raises(TypeError, match=r"pass validation_split=StratifiedSplit"):
        classifier().fit(X, Y, stratify=Y)
    with pytest.raises(TypeError, match=r"pass validation=StratifiedSplit"):
        fit_many([classifier()], X, Y, stratify=Y)


def test_networks_without_classes():
    numbers = MLP(6, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    several = MLP(6, [Dense(2, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd", seed=0)
    for net, y in ((numbers, Y), (several, np.zeros((N, 2)))):
        with pytest.raises(ValueError, match=r"validation_split=StratifiedSplit.* needs classes"):
            net.fit(X, y, validation_split=SPLIT)
        with pytest.raises(ValueError, match=r"validation=StratifiedSplit.* needs classes"):
            fit_many([net], X, y, validation=SPLIT)
