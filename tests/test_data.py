"""Rows that are not an array in memory: sparse, narrow, mapped from files, iterables of batches.

Tests that training, evaluation and prediction give the bits of a contiguous copy in memory; the
errors, and the state of the network after them; and that no thread, no item of an iterator and no
change by the user is lost. Limits are lowered so that small arrays count as large.

Not here: arrays that are converted at once (test_layouts.py), memory (test_memory.py).
"""

import contextlib
import copy
import functools
import gc
import itertools
import math
import mmap
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from comparing import bits, sha256
from conditions import LONG, SignalChecks, until
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score

from fastnn import MLP, Callback, Dense, Dropout, Standardize, _conversion
from fastnn.training import calls, loop, streams
from fastnn.training import mapped as mapped_files
from fastnn.training import rows as row_sources
from fastnn.training.ahead import Ahead

N, N_IN, BATCH, STRIDE = 700, 64, 24, 48  # two batches a block of float32
ORDER = np.random.default_rng(1).permutation(1797)[:N]
DIGITS, DIGIT = load_digits().data[ORDER], load_digits().target[ORDER]
WEIGHTS = np.random.default_rng(2).random(N)
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@pytest.fixture
def conversions(monkeypatch):
    """Lower the limits; return a list that gets the number of rows of every block converted."""
    monkeypatch.setattr(row_sources, "LARGE_BYTES", 1000)
    monkeypatch.setattr(row_sources, "BLOCK_BYTES", STRIDE * N_IN * 4)
    monkeypatch.setattr(calls, "EVALUATION_ROWS", 2 * 96)
    counts, convert = [], _conversion.copy_rows

    def counted(*args):
        out, original = convert(*args)
        counts.append(len(out))
        return out, original

    monkeypatch.setattr(_conversion, "copy_rows", counted)
    return counts


def classifier(dtype="float32", optimizer="adam", standardized=False, **kwargs):
    first = [Standardize()] if standardized else []
    layers = [*first, Dense(20, "tanh"), Dropout(0.2), Dense(10, "softmax")]
    return MLP(N_IN, layers, loss="cross_entropy", optimizer=optimizer, dtype=dtype, seed=0,
               **kwargs)  # fmt: skip


# ---- arrays that are converted on the way -------------------------------------------------------


def as_it_is(array):
    return array


def fortran(array):
    return np.asfortranarray(array)


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


def mapped(array, path, mode):
    """Return the array as a file that is mapped, in its own order."""
    in_c_order = array.flags.c_contiguous
    (array if in_c_order else array.T).tofile(path)
    return np.memmap(path, array.dtype, mode, shape=array.shape, order="C" if in_c_order else "F")


def strided(array, hold):
    """Return every other row and column of something larger, backwards."""
    large = np.ones((2 * len(array), 2 * array.shape[1]), array.dtype)
    large[::-2, ::-2] = array
    return hold(large)[::-2, ::-2]


def laid_out(layout, array, hold):
    return strided(array, hold) if layout == "strided" else hold(LAYOUTS[layout](array))


LAYOUTS = {"c": as_it_is, "fortran": fortran, "big-endian": big_endian, "strided": None}


def everything(build, X, y, w):
    """Return all results of all methods that take rows, as bytes."""
    net = build()
    metrics = ["accuracy", "roc_auc"]
    fit = functools.partial(net.fit, batch_size=BATCH, epochs=2, metrics=metrics)
    results = []
    for options in (
        {"validation_split": 0.3, "sample_weight": w, "class_weight": "balanced"},
        {"validation_data": (X, y, w), "shuffle": False, "class_weight": {3: 2.0}},
        {"validation_data": (X, y), "batch_size": None, "n_threads": 2},
    ):
        results.append(bits(net, fit(X, y, **options)))
    results += [net.evaluate(X, y), net.evaluate(X, y, w, metrics=metrics)]
    out = np.empty((X.shape[0], 10), net.dtype)
    net.predict(X, out=out)
    return [*results, out.tobytes(), net.predict(X).tobytes()]


def digits(dtype):
    return (DIGITS > 7 if dtype.kind == "b" else DIGITS).astype(dtype)


@functools.cache
def everything_in_memory(dtype, precision):
    """Return all results for a contiguous copy of the digits in the network's precision."""
    X = digits(dtype).astype(precision)
    return everything(functools.partial(classifier, precision), X, DIGIT, WEIGHTS)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)
def test_mapped_rows_give_the_bits_of_rows_in_memory(
    dtype, layout, precision, tmp_path, conversions
):
    X = digits(dtype)
    expected = everything_in_memory(dtype, precision)
    assert conversions == []
    for mode in ("r", "r+", "c") if layout == "c" else ("r",):
        hold = functools.partial(mapped, path=tmp_path / mode, mode=mode)
        rows = laid_out(layout, X, hold)
        assert isinstance(rows, np.memmap)
        assert (
            everything(functools.partial(classifier, precision), rows, DIGIT, WEIGHTS) == expected
        )
        assert len(conversions) > 60
        assert max(conversions) <= N
        conversions.clear()
        np.testing.assert_array_equal(rows, X)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(dtype, "float32") for dtype in ("?", "i1", "u1", "f2", "i2", "u2")]
    + [(dtype, "float64") for dtype in ("?", "i1", "u1", "f2", "i4", "f4")],
)
def test_narrow_rows_give_the_bits_of_converted_ones(dtype, precision, layout, conversions):
    dtype = np.dtype(dtype)
    expected = everything_in_memory(dtype, precision)
    assert conversions == []
    rows = laid_out(layout, digits(dtype), as_it_is)
    assert everything(functools.partial(classifier, precision), rows, DIGIT, WEIGHTS) == expected
    assert len(conversions) > 60


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
@pytest.mark.parametrize(("dtype", "precision"), [("f4", "f4"), ("f8", "f4"), ("i4", "f8")])
def test_sparse_rows_give_the_bits_of_dense_ones(kind, dtype, precision, conversions):
    precision = np.dtype(precision).name
    expected = everything_in_memory(np.dtype(dtype), precision)
    rows = kind(digits(np.dtype(dtype)))
    dense, rows.toarray = rows.toarray, None  # what makes rows dense would fail
    assert everything(functools.partial(classifier, precision), rows, DIGIT, WEIGHTS) == expected
    assert conversions == []
    np.testing.assert_array_equal(dense(), digits(np.dtype(dtype)))


@pytest.mark.parametrize("targets", ["one-hot", "binary", "real"])
def test_targets_of_every_kind(targets, tmp_path, conversions):
    X = mapped(DIGITS.astype("u1"), tmp_path / "X", "r")
    layers, options = [Dense(10, "tanh"), Dense(1)], {}
    if targets == "one-hot":
        layers[-1], loss, y = Dense(10, "softmax"), "cross_entropy", np.eye(10)[DIGIT]
        options = {"class_weight": "balanced", "metrics": ["top_k_accuracy"]}
    elif targets == "binary":
        layers[-1], loss, y = Dense(1, "sigmoid"), "binary_cross_entropy", DIGIT > 4
        options = {"class_weight": {0: 2, 1: 3}, "metrics": ["roc_auc"]}
    else:
        layers[-1], loss, y = Dense(2), "huber", np.column_stack([DIGIT, -DIGIT])
        options = {"metrics": ["r2", "mae"]}
    found = []
    for rows in (X, np.asarray(X, np.float32)):
        net = MLP(N_IN, layers, loss=loss, optimizer="sgd", seed=0)
        history = net.fit(rows, y, batch_size=50, epochs=2, sample_weight=WEIGHTS,
                          validation_split=0.25, **options)  # fmt: skip
        found.append(bits(net, history))
    assert len(conversions) > 10
    assert found[0] == found[1]


def test_validation_alone_may_be_large(conversions):
    V = DIGITS.astype("u1")
    one, other = classifier(), classifier()
    common = {"epochs": 2, "metrics": ["accuracy"]}
    small = DIGITS[:15].astype("f4"), DIGIT[:15]
    history = one.fit(*small, validation_data=(V, DIGIT, WEIGHTS), **common)
    assert len(conversions) > 4
    by_hand = other.fit(*small, validation_data=(V.astype("f4"), DIGIT, WEIGHTS), **common)
    assert bits(one, history) == bits(other, by_hand)


def test_many_rows_are_evaluated_bit_for_bit_with_small_blocks(tmp_path, monkeypatch):
    """Losses and weights of several blocks of rows add up in the same order."""
    monkeypatch.setattr(row_sources, "LARGE_BYTES", 1000)
    monkeypatch.setattr(row_sources, "BLOCK_BYTES", 1000)
    X = np.tile(DIGITS.astype("u1"), (40, 1))
    y, w = np.tile(DIGIT, 40), np.random.default_rng(3).random(len(X))
    for weights in (None, w):
        net = classifier("float64")
        assert net.evaluate(X, y, weights) == net.evaluate(X.astype("f8"), y, weights)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("n", "columns"), [(70_001, 60), (9_001, 500)])
def test_rows_that_no_cache_holds_may_be_used_in_any_order(n, columns, n_threads):
    # Such rows are prefetched before they are used.
    generator = np.random.default_rng(3)
    X = generator.random((n, columns), dtype=np.float32)
    y = X[:, :1] - X[:, -1:]
    order = np.random.default_rng(4).permutation(n)

    def trained(X, y, **options):
        layers = [Dense(8, "relu"), Dense(1)]
        net = MLP(columns, layers, loss="squared_error", optimizer="adam", seed=0)
        history = net.fit(X, y, epochs=1, batch_size=500, n_threads=n_threads, **options)
        return bits(net, history)

    in_turn = trained(X[order], y[order], shuffle=False)  # nothing is prefetched
    assert trained(X, y, shuffle=np.random.default_rng(4)) == in_turn


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_standardize_learns_the_same(precision, tmp_path, conversions):
    X = mapped(DIGITS.astype("f2"), tmp_path / "X", "r")
    copies = np.asarray(X, precision)
    found = []
    for rows in (X, copies):
        net = classifier(precision, standardized=True)
        found.append(bits(net, net.fit(rows, DIGIT, batch_size=BATCH)))
        mean, scale = net.standardization
        np.testing.assert_allclose(mean, copies.mean(axis=0, dtype="f8"), rtol=1e-12)
        spread = copies.std(axis=0, dtype="f8")
        np.testing.assert_allclose(scale, np.where(spread == 0, 1, spread), rtol=1e-12)
        twin = classifier(precision, standardized=True)
        twin.adapt(rows)
        assert twin.standardization[0].tobytes() == mean.tobytes()
        found[-1] += (mean.tobytes(), scale.tobytes())
    assert len(conversions) > 10
    assert found[0] == found[1]


@pytest.mark.parametrize("batch_size", [1, 7, 100, 699, 700, 10**6, None])
def test_batches_of_every_size(batch_size, conversions):
    X = DIGITS.astype("u1")
    one, other = classifier(), classifier()
    history = one.fit(X, DIGIT, batch_size=batch_size, metrics=["accuracy"])
    assert sum(conversions) == N
    by_hand = other.fit(X.astype("f4"), DIGIT, batch_size=batch_size, metrics=["accuracy"])
    assert bits(one, history) == bits(other, by_hand)
    assert one.step == math.ceil(N / min(batch_size or N, N))


def test_only_large_rows_are_converted_on_the_way(monkeypatch, conversions):
    classifier().fit(DIGITS[:3].astype("u1"), DIGIT[:3])
    classifier().fit(DIGITS.astype("f4"), DIGIT)
    classifier().fit(DIGITS, DIGIT)  # wider: a copy takes less than they do
    assert conversions == []


# ---- values that are refused --------------------------------------------------------------------


class Stop(Callback):
    def __init__(self, batch):
        self.batch = batch

    def on_train_batch_end(self, batch, logs):
        if batch == self.batch:
            self.model.stop_training = True


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("f2", np.nan, "is nan; replace"),
        ("f4", -np.inf, "is -inf; replace"),
        ("f8", 1e300, "is 1e.300, too large for float32; scale X, or build the MLP with dtype"),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("listening", [False, True])
def test_a_bad_value_is_named_and_the_steps_before_it_are_kept(
    dtype, value, message, shuffle, listening, tmp_path, conversions
):
    X = DIGITS.astype(dtype)
    X[333, 17] = value
    X = mapped(X, tmp_path / "X", "r")
    net, twin = classifier(), classifier()
    order = copy.deepcopy(net._state.shuffler).permutation(N) if shuffle else np.arange(N)
    with pytest.raises(ValueError, match=rf"^X\[333, 17\] {message}"):
        net.fit(X, DIGIT, batch_size=BATCH, shuffle=shuffle,
                callbacks=[Stop(None)] if listening else [])  # fmt: skip
    block = int(np.flatnonzero(order == 333)[0]) // STRIDE
    assert block > 0
    before = order[: block * STRIDE]
    twin.fit(DIGITS[before], DIGIT[before], batch_size=BATCH, shuffle=False)
    assert net.step == twin.step == 2 * block
    assert sha256(net) == sha256(twin)
    net.fit(DIGITS, DIGIT)  # and it goes on


def test_a_bad_value_in_other_places(tmp_path, conversions):
    X = DIGITS.astype("f2")
    X[650, 3] = np.inf
    net = classifier()
    before = sha256(net)
    for call, name in (
        (lambda: net.predict(X), "X"),
        (lambda: net.evaluate(X, DIGIT, metrics=["accuracy"]), "X"),
        (lambda: classifier(standardized=True).adapt(X), "X"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}\[650, 3\] is inf"):
            call()
    assert sha256(net) == before
    with pytest.raises(ValueError, match=r"^validation X\[650, 3\] is inf"):
        net.fit(DIGITS, DIGIT, validation_data=(X, DIGIT))


def test_a_bad_value_among_the_last_rows_of_a_split_is_named_by_its_row(conversions):
    X = DIGITS.astype("f2")
    X[650, 3] = np.nan
    with pytest.raises(ValueError, match=r"^X\[650, 3\] is nan"):
        classifier().fit(X, DIGIT, validation_split=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:, 1:], y), "X has 63 columns"),
        (lambda X, y: (X, y[1:]), "y has 699 rows"),
        (lambda X, y: (X.reshape(-1), y), "X has 1 dimension"),
        (lambda X, y: (X, y + 5), r"y\[\d+\] is class \d+"),
    ],
)
def test_the_rest_is_checked_before_anything_changes(change, message, conversions):
    net = classifier()
    before = sha256(net)
    with pytest.raises(ValueError, match=message):
        net.fit(*change(DIGITS.astype("u1"), DIGIT))
    assert (sha256(net), net.step, conversions) == (before, 0, [])


# ---- whose pages they are -----------------------------------------------------------------------


@pytest.mark.parametrize("view", [slice(None), slice(None, None, -1), slice(100, None)])
def test_private_changes_of_a_mapped_file_are_kept(view, tmp_path, conversions):
    """Copy-on-write pages exist in memory only: releasing them would lose their contents."""
    X = mapped(DIGITS.astype("u1"), tmp_path / "X", "c")
    X[:] = 16 - X
    changed = np.array(X)
    net, twin = classifier(), classifier()
    net.fit(X[view], DIGIT[view], validation_split=0.2)
    np.testing.assert_array_equal(X, changed)
    twin.fit(changed[view].astype("f4"), DIGIT[view], validation_split=0.2)
    assert sha256(net) == sha256(twin)
    assert net.predict(X).tobytes() == twin.predict(changed).tobytes()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "X", "u1"), DIGITS.astype("u1").ravel())


def test_changes_that_go_to_the_file_are_kept(tmp_path, conversions):
    X = mapped(DIGITS.astype("u1"), tmp_path / "X", "r+")
    X[:] = 16 - X
    classifier().fit(X, DIGIT)
    np.testing.assert_array_equal(X, 16 - DIGITS)
    X.flush()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "X", "u1"), (16 - DIGITS).ravel())


def is_read_at_random(array):
    """Whether the memory of an array is marked as read at random."""
    address = array.__array_interface__["data"][0]
    for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        first, last = (int(number, 16) for number in part.split(" ")[0].split("-"))
        if first <= address < last:
            return " rr " in part.partition("VmFlags:")[2].replace("\n", " ")
    raise AssertionError("not mapped")


def shows_advice():
    """Return whether the system reports how memory is read; emulations do not."""
    if sys.platform != "linux":
        return False
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        return is_read_at_random(np.frombuffer(memory, "u1"))


@pytest.mark.skipif(not shows_advice(), reason="the system does not report how memory is read")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("memory", [0, 2**50])
@pytest.mark.parametrize("listener", [None, Stop(3)], ids=["well", "stopped"])
def test_a_file_that_memory_cannot_hold_is_read_at_random_while_it_is_shuffled(
    shuffle, memory, listener, tmp_path, conversions, monkeypatch
):
    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs):
            seen.add(is_read_at_random(X))

    monkeypatch.setattr(mapped_files, "MEMORY_BYTES", memory)
    X, seen = mapped(DIGITS.astype("u1"), tmp_path / "X", "r"), set()
    net, twin = classifier(), classifier()
    listeners = [listener] if listener else []
    common = {"shuffle": shuffle, "batch_size": BATCH}
    net.fit(X, DIGIT, callbacks=[Watch(), *listeners], **common)
    assert seen == {shuffle and memory == 0}
    assert not is_read_at_random(X)
    twin.fit(DIGITS, DIGIT, callbacks=listeners, **common)
    assert sha256(net) == sha256(twin)


# ---- iterables of batches -----------------------------------------------------------------------


def batches(size=BATCH, weighted=False, X=DIGITS, y=DIGIT):
    rows = [slice(first, first + size) for first in range(0, len(X), size)]
    return [(X[r], y[r], WEIGHTS[r]) if weighted else (X[r], y[r]) for r in rows]


class Repeatable:
    """An iterable that creates its items in every iteration."""

    def __init__(self, items):
        self.items, self.times = items, 0

    def __iter__(self):
        self.times += 1
        return (item for item in self.items)


FORMS = {
    "list": list,
    "tuple": tuple,
    "lists in a list": lambda items: [list(item) for item in items],
    "object": Repeatable,
    "iterator": lambda items: itertools.cycle(items),
    "map": lambda items: map(tuple, itertools.chain(items, items, items)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, {1: 3.0, 2: 0.5}])
def test_batches_give_the_bits_of_rows_in_turn(form, weighted, class_weight):
    items = batches(weighted=weighted)
    steps = len(items) if form in ("iterator", "map") else None
    one, other = classifier(), classifier()
    common = {"epochs": 3, "metrics": ["accuracy"], "class_weight": class_weight,
              "validation_data": (DIGITS[:50], DIGIT[:50])}  # fmt: skip
    history = one.fit(FORMS[form](items), steps_per_epoch=steps, **common)
    by_hand = other.fit(DIGITS, DIGIT, batch_size=BATCH, shuffle=False,
                        sample_weight=WEIGHTS if weighted else None, **common)  # fmt: skip
    assert bits(one, history) == bits(other, by_hand)


def test_each_epoch_goes_through_an_iterable_once():
    items = Repeatable(batches())
    classifier().fit(items, epochs=3)
    assert items.times == 3


class Indexed:
    """Items by their index, for any index, as Keras' and many of PyTorch's data sets have them."""

    def __init__(self, item_of, n):
        self.item_of, self.n = item_of, n

    def __getitem__(self, index):
        return self.item_of(index % self.n)

    def __len__(self):
        return self.n


def test_a_data_set_without_an_end_is_no_iterable_of_batches():
    items = batches()
    data = Indexed(lambda i: items[i], len(items))
    net = classifier()
    before = sha256(net)
    with pytest.raises(TypeError, match=re.escape("pass an iterable of batches: [X[i] for i in ")):
        net.fit(data)
    with pytest.raises(TypeError, match=r"X is <function .*; call it, and pass the iterable that"):
        net.fit(lambda: iter(items))
    for call in (lambda: net.fit(data, DIGIT), lambda: net.predict(data)):
        with pytest.raises(TypeError, match="X cannot be read as an array: "):
            call()
    assert sha256(net) == before
    twin = classifier()
    net.fit([data[i] for i in range(len(data))])
    twin.fit(items)
    assert sha256(net) == sha256(twin)


def test_rows_by_their_index_are_rows():
    rows = Indexed(lambda i: DIGITS[i], N)
    one, other = classifier(), classifier()
    assert bits(one, one.fit(rows, DIGIT)) == bits(other, other.fit(DIGITS, DIGIT))
    assert one.predict(rows).tobytes() == other.predict(DIGITS).tobytes()


def test_batches_of_all_sizes_and_types():
    sizes, first, items = [1, 300, 7, 2, 100, 96, 97, 1, 40, 56], 0, []
    for i, size in enumerate(sizes):
        rows, first = slice(first, first + size), first + size
        dtype = DTYPES[i % 11]
        items.append((DIGITS[rows].astype(dtype), DIGIT[rows].astype("u1").tolist()))
    assert first == N
    net, twin = classifier("float64"), classifier("float64")
    history = net.fit(iter(items)).history["loss"]
    losses = [twin.train_on_batch(X, y) for X, y in items]
    assert sha256(net) == sha256(twin)
    assert history == pytest.approx([np.average(losses, weights=sizes)], rel=1e-12)


def test_batches_with_and_without_weights_with_labels_and_one_hot_rows():
    items = [(DIGITS[:40], DIGIT[:40]), (DIGITS[40:80], DIGIT[40:80], WEIGHTS[40:80]),
             (DIGITS[80:100], np.eye(10)[DIGIT[80:100]])]  # fmt: skip
    w = [np.ones(40), WEIGHTS[40:80], np.ones(20)]
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        net = MLP(N_IN, [Dense(10, "softmax")], loss="cross_entropy", optimizer="sgd", seed=0)
        twin, says = net.copy(), []
        history = net.fit([items[i] for i in order], metrics=["accuracy"])
        for i in order:
            says.append(twin.predict(items[i][0]).argmax(axis=1))
            twin.train_on_batch(*items[i])
        assert sha256(net) == sha256(twin)
        classes = np.split(DIGIT[:100], [40, 80])
        score = accuracy_score(np.concatenate([classes[i] for i in order]), np.concatenate(says),
                               sample_weight=np.concatenate([w[i] for i in order]))  # fmt: skip
        assert history.history["accuracy"] == pytest.approx([score], rel=1e-6)


def test_an_iterator_loses_no_item_between_epochs():
    taken = []

    def endless():
        for i in itertools.count():
            taken.append(i)
            rows = slice(i * 10 % N, i * 10 % N + 10)
            yield DIGITS[rows], DIGIT[rows]

    items, net, twin = endless(), classifier(), classifier()
    history = net.fit(items, steps_per_epoch=7, epochs=4)
    assert taken == list(range(28))
    assert (history.epoch, net.step) == ([0, 1, 2, 3], 28)
    net.fit(items, steps_per_epoch=2)
    assert taken == list(range(30))
    for i in range(30):
        twin.train_on_batch(DIGITS[i * 10 : i * 10 + 10], DIGIT[i * 10 : i * 10 + 10])
    assert sha256(net) == sha256(twin)


def test_an_iterator_that_ends_within_an_epoch():
    net = classifier()
    assert net.fit(iter(batches(70)), steps_per_epoch=7, epochs=2).epoch == [0, 1]
    assert net.step == 10


@pytest.mark.parametrize("steps", [None, 10])
def test_an_iterator_that_is_used_up(steps):
    net = classifier()
    said = "the iterable gave no batch in epoch 2; pass one that can be iterated over again"
    with pytest.raises(ValueError, match=said):
        net.fit((item for item in batches(70)), epochs=2, steps_per_epoch=steps)
    assert (net.step, net.epoch) == (10, 1)
    twin = classifier()
    twin.fit(DIGITS, DIGIT, batch_size=70, shuffle=False)
    assert sha256(net) == sha256(twin)


def test_torch_data_loaders():
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    rows = TensorDataset(torch.from_numpy(DIGITS), torch.from_numpy(DIGIT))
    loader = DataLoader(rows, batch_size=BATCH)
    net, twin = classifier(), classifier()
    history = net.fit(loader, epochs=2, metrics=["accuracy"])
    by_hand = twin.fit(DIGITS, DIGIT, epochs=2, batch_size=BATCH, shuffle=False,
                       metrics=["accuracy"])  # fmt: skip
    assert bits(net, history) == bits(twin, by_hand)
    shuffled = DataLoader(rows, batch_size=BATCH, shuffle=True,
                          generator=torch.Generator().manual_seed(5))  # fmt: skip
    seen = list(DataLoader(rows, batch_size=BATCH, shuffle=True,
                           generator=torch.Generator().manual_seed(5)))  # fmt: skip
    net, twin = classifier(), classifier()
    net.fit(shuffled)
    for X, y in seen:
        twin.train_on_batch(X, y)
    assert sha256(net) == sha256(twin)


X2, Y2 = DIGITS[:20], DIGIT[:20]
WITH_NAN = np.where(np.arange(20 * N_IN).reshape(20, N_IN) == 3 * N_IN + 5, np.nan, X2)


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (None, TypeError, r"batch 2 of the iterable must be \(X, y\) or"),
        (X2, TypeError, r"batch 2 of the iterable must be \(X, y\) or"),
        ((X2,), TypeError, r"batch 2 of the iterable must be"),
        ((X2, Y2, None, None), TypeError, r"batch 2 of the iterable must be"),
        ({"X": X2, "y": Y2}, TypeError, r"batch 2 of the iterable must be"),
        ("XY", TypeError, r"batch 2 of the iterable must be"),
        ((X2[:, 1:], Y2), ValueError, "batch 2 X has 63 columns"),
        ((X2[:0], Y2[:0]), ValueError, "batch 2 X has no rows"),
        ((X2, Y2[1:]), ValueError, "batch 2 y has 19 rows but batch 2 X has 20"),
        ((X2, Y2 + 7), ValueError, r"batch 2 y\[\d+\] is class"),
        ((X2, Y2, np.full(20, np.nan)), ValueError, r"batch 2 sample_weight\[0\] is nan"),
        ((X2, Y2, np.ones(19)), ValueError, "batch 2 sample_weight has shape"),
        ((WITH_NAN, Y2), ValueError, r"batch 2 X\[3, 5\] is nan"),
        ((X2.astype(str), Y2), TypeError, "batch 2 X must hold real numbers"),
    ],
)
@pytest.mark.parametrize("form", [list, iter])
def test_a_bad_batch_is_named_and_the_steps_before_it_are_kept(item, error, message, form):
    net, twin = classifier(), classifier()
    with pytest.raises(error, match=f"^{message}"):
        net.fit(form([*batches()[:2], item, *batches()[2:]]))
    twin.fit(batches()[:2])
    assert net.step == 2
    assert sha256(net) == sha256(twin)
    assert no_thread_is_left()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": WEIGHTS}, "let it yield"),
        ({"validation_split": 0.1}, "cannot split an iterable"),
        ({"class_weight": "balanced"}, "needs all labels at once"),
        ({"class_weight": {10: 1.0}}, "label must be from 0 to 9"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1"),
    ],
)
def test_options_that_an_iterable_excludes(options, message):
    items, net = Repeatable(batches()), classifier()
    with pytest.raises(ValueError, match=message):
        net.fit(items, **options)
    assert net.step == 0


def test_steps_are_for_iterables():
    with pytest.raises(ValueError, match="steps_per_epoch=5 is for an iterable"):
        classifier().fit(DIGITS, DIGIT, steps_per_epoch=5)


@pytest.mark.parametrize("kind", [OSError, KeyError, SystemExit, KeyboardInterrupt])
def test_errors_of_the_iterable_are_raised_unchanged(kind):
    error = kind("disk")

    def failing():
        yield from batches()[:3]
        raise error

    net, twin = classifier(), classifier()
    with pytest.raises(kind) as caught:
        net.fit(failing())
    assert caught.value is error
    assert "failing" in [entry.name for entry in caught.traceback]
    twin.fit(batches()[:3])
    assert (net.step, sha256(net)) == (3, sha256(twin))
    net.fit(batches()[3:])
    assert no_thread_is_left()


def test_stopping_within_an_epoch_of_batches_and_of_blocks(conversions):
    for rows, options in (
        (batches(), {}),
        (DIGITS.astype("u1"), {"y": DIGIT, "batch_size": BATCH, "shuffle": False}),
    ):
        net, twin = classifier(), classifier()
        history = net.fit(rows, epochs=3, callbacks=[Stop(4)], **options)
        by_hand = twin.fit(batches()[:5])
        assert bits(net, history) == bits(twin, by_hand)
        assert net.step == 5
        assert no_thread_is_left()


# ---- the thread that prepares them --------------------------------------------------------------


def no_thread_is_left():
    """Wait until the threads that prepare rows have ended; return True."""
    return until(lambda: not any(t.name == "fastnn-data" for t in threading.enumerate()))


def data_threads():
    """Return the threads that prepare rows and still run."""
    return [t for t in threading.enumerate() if t.name == "fastnn-data" and t.is_alive()]


class Raise(Callback):
    def on_epoch_end(self, epoch, logs):
        raise OSError("disk full")


@pytest.mark.parametrize("source", ["iterable", "iterator", "converted", "bad value"])
@pytest.mark.parametrize("callback", [None, Stop(3), Raise()], ids=["well", "stopped", "failed"])
def test_no_thread_is_left_behind(source, callback, conversions):
    X = DIGITS.astype("f2")
    V = X[:99].copy(), DIGIT[:99]
    if source == "bad value":
        X[-1, -1] = np.nan
    args = {"iterable": (batches(),), "iterator": (iter(batches()),)}.get(source, (X, DIGIT))
    before, kept = set(threading.enumerate()), []
    try:
        classifier().fit(*args, shuffle=False, batch_size=BATCH, validation_data=V,
                         callbacks=[callback] if callback else [])  # fmt: skip
    except (OSError, ValueError) as error:
        kept.append(error)  # with its frames, and what fit held
    fails = isinstance(callback, Raise) or (source == "bad value" and callback is None)
    assert len(kept) == fails
    assert no_thread_is_left()
    assert set(threading.enumerate()) <= before


def test_items_are_made_one_ahead_on_a_thread_of_their_own():
    """Each step waits until the next item is made; no item is made before that."""

    class Wait(Callback):
        def on_train_batch_begin(self, batch, logs):
            until(lambda: len(seen) >= min(batch + 2, 6))

    seen, net = [], classifier()

    def items():
        for item in batches()[:6]:
            seen.append((net.step, threading.current_thread()))
            yield item

    net.fit(items(), callbacks=[Wait()])
    assert {thread.name for _, thread in seen} == {"fastnn-data"}
    assert len({thread for _, thread in seen}) == 1
    assert [step for step, _ in seen] == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("wait", ["time.sleep(1000)", "threading.Event().wait()"])
def test_an_iterable_that_blocks_holds_up_neither_ctrl_c_nor_the_end(wait):
    code = f"""
        import os, signal, threading, time
        import numpy as np
        from fastnn import MLP, Dense

        net = MLP(3, [Dense(2)], loss="squared_error", optimizer="sgd", seed=0)

        def items():
            yield np.ones((5, 3)), np.ones((5, 2))
            yield np.ones((5, 3)), np.ones((5, 2))
            while net.step < 2:
                time.sleep(0.01)
            # The outcome is the same whether the signal arrives before the wait or in it.
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            {wait}

        try:
            net.fit(items())
        except KeyboardInterrupt:
            print(net.step, net.fit(np.ones((5, 3)), np.ones((5, 2))).epoch)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("2 [0]\n", "", 0)


# ---- iterators after a fit that stopped ---------------------------------------------------------


def rows_of(i):
    return DIGITS[i * 10 : i * 10 + 10], DIGIT[i * 10 : i * 10 + 10]


class Gate:
    """An iterator of 12 batches that waits before some of them until it may go on."""

    def __init__(self, *closed):
        self.taken, self.waits, self.closed = [], threading.Event(), set(closed)
        self.opened = threading.Event()

    def __iter__(self):
        for i in range(12):
            if i in self.closed:
                self.waits.set()
                assert self.opened.wait(LONG)
            self.taken.append(i)
            yield rows_of(i)


class StopAt(Callback):
    """Stops training after a batch, once the next item is being made, and opens the gate then."""

    def __init__(self, batch, gate, then=lambda: None):
        self.batch, self.gate, self.then = batch, gate, then

    def on_train_batch_end(self, batch, logs):
        if batch == self.batch:
            until(lambda: len(self.gate.taken) > batch + 1 or self.gate.waits.is_set())
            self.model.stop_training = True
            self.then()


def all_items(nets, first=0):
    """Check that networks together made the steps of batches `first` to 11, one after the other."""
    twin = classifier()
    for i in range(first, 12):
        twin.train_on_batch(*rows_of(i))
    return sum(net.step for net in nets) == twin.step and (
        len(nets) > 1 or sha256(nets[0]) == sha256(twin)
    )


FORMS_OF_ITERATORS = {
    "generator": lambda gate: (item for item in gate),
    "map": lambda gate: map(tuple, gate),
    "chain": lambda gate: itertools.chain(gate),
    "islice": lambda gate: itertools.islice(gate, 12),
}


@pytest.mark.parametrize("form", FORMS_OF_ITERATORS)
@pytest.mark.parametrize("again", [1, 2])
def test_an_iterator_goes_on_after_a_fit_that_stopped(form, again):
    gate = Gate()
    items, net = FORMS_OF_ITERATORS[form](gate), classifier()
    for _ in range(again):
        net.fit(items, callbacks=[StopAt(2, gate)])
        gate.waits.clear()
    assert not data_threads()
    net.fit(items)
    assert gate.taken == list(range(12))
    assert all_items([net])
    assert not streams._STREAMS.get(id(items), (0, streams.Stream()))[1].unused


@pytest.mark.parametrize("form", FORMS_OF_ITERATORS)
def test_a_fit_that_is_stopped_waits_for_the_item_in_the_making(form, monkeypatch):
    """The item is made only once the fit waits for it."""
    gate, wait = Gate(3), Ahead.wait

    def open_first(self, *seconds):
        gate.opened.set()
        return wait(self, LONG)

    monkeypatch.setattr(Ahead, "wait", open_first)
    items, net = FORMS_OF_ITERATORS[form](gate), classifier()
    net.fit(items, callbacks=[StopAt(2, gate)])
    assert not data_threads()
    assert gate.taken == [0, 1, 2, 3]
    net.fit(items)
    assert all_items([net])


@pytest.mark.parametrize("form", FORMS_OF_ITERATORS)
def test_the_next_fit_waits_for_a_slow_item(form, monkeypatch):
    monkeypatch.setattr(loop, "PATIENCE", 0.0)
    gate = Gate(3)
    items, net = FORMS_OF_ITERATORS[form](gate), classifier()
    net.fit(items, callbacks=[StopAt(2, gate)])
    assert len(data_threads()) == 1

    class Open(Callback):
        def on_epoch_begin(self, epoch, logs):
            gate.opened.set()

    net.fit(items, callbacks=[Open()])
    assert gate.taken == list(range(12))
    assert all_items([net])
    assert no_thread_is_left()


def test_another_network_goes_on_with_the_iterator():
    gate = Gate()
    items, one, other = iter(gate), classifier(), classifier()
    one.fit(items, callbacks=[StopAt(4, gate)])
    other.fit(items)
    assert (one.step, other.step) == (5, 7)
    assert all_items([one, other])


def test_a_fit_in_a_hook_takes_items_of_the_same_iterator():
    gate = Gate()
    items, one, other = iter(gate), classifier(), classifier()

    class Inner(Callback):
        def on_train_batch_end(self, batch, logs):
            if batch == 2:
                other.fit(items, steps_per_epoch=3)

    one.fit(items, callbacks=[Inner()])
    assert (one.step, other.step, gate.taken) == (9, 3, list(range(12)))
    assert no_thread_is_left()


@pytest.mark.parametrize("kind", ["of the iterator", "of the check"])
def test_an_error_that_a_fit_did_not_reach_is_raised_by_the_next(kind):
    made = threading.Event()

    class Stopped(Callback):
        def on_train_batch_end(self, batch, logs):
            until(made.is_set)
            self.model.stop_training = True

    def batches():
        yield rows_of(0)
        made.set()
        if kind == "of the iterator":
            raise LookupError(kind)
        yield DIGITS[:10, 1:], DIGIT[:10]
        yield rows_of(1)

    items, net = batches(), classifier()
    net.fit(items, callbacks=[Stopped()])
    errors = (LookupError, kind) if kind == "of the iterator" else (ValueError, "has 63 columns")
    with pytest.raises(errors[0], match=errors[1]):
        net.fit(items)
    assert net.step == 1
    if kind == "of the check":
        net.fit(items)
        assert net.step == 2


@pytest.mark.parametrize("form", ["generator", "map"])
def test_an_iterator_that_is_not_used_again_is_not_kept(form):
    others = set(streams._STREAMS)  # of generators that still live
    for _ in range(5):
        gate = Gate()
        items = FORMS_OF_ITERATORS[form](gate)
        classifier().fit(items, callbacks=[StopAt(2, gate)])
        del items
    gc.collect()
    assert len(set(streams._STREAMS) - others) <= (form == "map")
    classifier().fit(map(tuple, Gate()))
    assert set(streams._STREAMS) <= others


@pytest.mark.parametrize("source", ["iterator", "converted"])
def test_ctrl_c_at_any_moment_leaves_no_thread(source, conversions):
    """Nor does it lose an item, but for the batch that is being trained on."""
    X = DIGITS[:120].astype("f2")
    for moment in range(1, 200, 9):
        items, net, count = iter(Gate()), classifier(), itertools.count()
        args = (items,) if source == "iterator" else (X, DIGIT[:120])

        def now(at, net=net, moment=moment):
            return at >= moment and net._state.fit is not None

        with (
            contextlib.suppress(KeyboardInterrupt),
            SignalChecks(lambda count=count: next(count), now),
        ):
            net.fit(*args, callbacks=[Callback()], batch_size=10, shuffle=False)
        until(lambda: not data_threads())
        if source == "iterator" and net.step < 12:
            with contextlib.suppress(ValueError):  # all items are used up
                net.fit(items)
            assert net.step in (11, 12)
    assert no_thread_is_left()


def test_a_thread_that_was_started_during_ctrl_c_ends(monkeypatch):
    """Thread.start waits until the thread runs, which a signal interrupts."""
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        if thread.name == "fastnn-data":
            raise KeyboardInterrupt

    gate, net = Gate(), classifier()
    items = iter(gate)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        for rows in ((items,), (DIGITS.astype("u1"), DIGIT)):
            patched.setattr(row_sources, "LARGE_BYTES", 1000)
            with pytest.raises(KeyboardInterrupt):
                net.fit(*rows)
            assert no_thread_is_left()
    net.fit(items)
    assert all_items([net])
