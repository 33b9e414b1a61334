"""Class labels as text, categories and other names: `MLP.classes` and `MLP.predict_classes`.

Fits with names must give the bits of fits with the numbers 0, 1, ...; the names are kept in copies,
pickles and files. Not here: estimators of scikit-learn and conversions from them (test_sklearn.py,
test_interop.py).
"""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from comparing import sha256

import fastnn
from fastnn import MLP, Dense, ModelCheckpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
NAMES = ("cat", "dog", "eel")
NUMBERS = (X[:, 0] > 0) + (X[:, 1] > 0).astype(np.int64)
TEXT = np.array(NAMES)[NUMBERS]
YES = np.where(NUMBERS > 0, "yes", "no")

FORMS = {
    "array": TEXT,
    "list": TEXT.tolist(),
    "tuple": tuple(TEXT.tolist()),
    "objects": TEXT.astype(object),
    "column": TEXT[:, None],
    "pandas": pd.Series(TEXT),
    "pandas-string": pd.Series(TEXT, dtype="string"),
    "pandas-category": pd.Series(TEXT, dtype="category"),
    "pandas-categorical": pd.Categorical(TEXT),
    "pandas-frame": pd.DataFrame({"y": TEXT}),
    "pandas-index": pd.Index(TEXT),
    "polars": pl.Series(TEXT),
    "polars-categorical": pl.Series(TEXT.tolist()).cast(pl.Categorical),
    "polars-enum": pl.Series(TEXT.tolist()).cast(pl.Enum(list(NAMES))),
}


def network(n=3):
    end, loss = Dense(n, "softmax"), "cross_entropy"
    if n == 1:
        end, loss = Dense(1, "sigmoid"), "binary_cross_entropy"
    return MLP(3, [Dense(8, "relu"), end], loss=loss, optimizer="adam", seed=0)


def regressor():
    return MLP(3, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)


@pytest.mark.parametrize("form", FORMS)
def test_names_give_the_bits_of_numbers(form):
    y, net, plain = FORMS[form], network(), network()
    options = {"epochs": 2, "metrics": ["accuracy", "roc_auc"], "validation_split": 0.25}
    history = net.fit(X, y, class_weight={"dog": 2.0}, **options)
    expected = plain.fit(X, NUMBERS, class_weight={1: 2.0}, **options)
    assert history.history == expected.history
    assert sha256(net) == sha256(plain)
    assert net.classes == NAMES
    assert net.evaluate(X, y, metrics=["accuracy"]) == plain.evaluate(
        X, NUMBERS, metrics=["accuracy"]
    )
    assert net.train_on_batch(X, y) == plain.train_on_batch(X, NUMBERS)
    loss, gradients = net.loss_and_gradients(X, y)
    assert loss == plain.loss_and_gradients(X, NUMBERS)[0]
    assert len(gradients) == 4
    np.testing.assert_array_equal(net.predict_classes(X), np.array(NAMES)[plain.predict_classes(X)])


def test_validation_data_class_weights_and_batches_take_names():
    net, plain = network(), network()
    net.fit(X, TEXT, validation_data=(X[:9], TEXT[:9]), class_weight="balanced")
    plain.fit(X, NUMBERS, validation_data=(X[:9], NUMBERS[:9]), class_weight="balanced")
    net.fit([(X[:30], TEXT[:30]), (X[30:], TEXT[30:])], class_weight={"cat": 3})
    plain.fit([(X[:30], NUMBERS[:30]), (X[30:], NUMBERS[30:])], class_weight={0: 3})
    assert sha256(net) == sha256(plain)


def test_one_output_has_two_classes():
    net, plain = network(1), network(1)
    net.fit(X, YES, epochs=2, class_weight={"yes": 2})
    plain.fit(X, NUMBERS > 0, epochs=2, class_weight={1: 2})
    assert sha256(net) == sha256(plain)
    assert net.classes == ("no", "yes")
    expected = np.where(net.predict(X)[:, 0] > 0.5, "yes", "no")
    assert net.predict_classes(X).tolist() == expected.tolist()
    assert net.train_on_batch(X, YES) == plain.train_on_batch(X, (NUMBERS > 0) * np.float32(1))


def test_rows_of_probabilities_are_taken_as_before():
    net, plain = network(), network()
    net.fit(X, TEXT), plain.fit(X, NUMBERS)
    one_hot = np.eye(3)[NUMBERS]
    assert net.train_on_batch(X, one_hot) == plain.train_on_batch(X, one_hot)


def test_categories_keep_their_order_and_text_is_sorted():
    order = ["eel", "cat", "dog"]
    net = network()
    net.fit(X, pd.Categorical(TEXT, categories=order))
    assert net.classes == tuple(order)
    net = network()
    net.fit(X, pd.Categorical(TEXT, categories=[*order, "fox"]))  # of which one has no rows
    assert net.classes == tuple(order)
    net = network()
    net.fit(X, pl.Series(TEXT.tolist()).cast(pl.Enum(order)))
    assert net.classes == tuple(order)
    net = network()
    net.fit(X, pl.Series(TEXT.tolist()[::-1]).cast(pl.Categorical))
    assert net.classes == NAMES


@pytest.mark.parametrize("labels", [(10, 20, 35), (0.5, 1.5, 2.5), (2, 1, 0)])
def test_numbers_that_are_names(labels):
    y = np.array(labels)[NUMBERS]
    net, by_category, plain = network(), network(), network()
    net.classes = labels
    net.fit(X, y), plain.fit(X, NUMBERS)
    by_category.fit(X, pd.Categorical(y, categories=labels))
    assert sha256(net) == sha256(plain) == sha256(by_category)
    assert by_category.classes == labels
    assert net.predict_classes(X).tolist() == np.array(labels)[plain.predict_classes(X)].tolist()
    assert net.train_on_batch(X, y) == plain.train_on_batch(X, NUMBERS)  # and no short path


WAYS = {
    "copy": lambda net, path: net.copy(),
    "pickle": lambda net, path: pickle.loads(pickle.dumps(net)),
    "file": lambda net, path: (net.save(path), fastnn.load(path))[1],
    "frozen": lambda net, path: (net.freeze(0), net.unfreeze(0), net)[2],
}


@pytest.mark.parametrize("way", WAYS)
def test_classes_are_kept(way, tmp_path):
    net = network()
    net.fit(X, TEXT)
    twin = WAYS[way](net, tmp_path / "net")
    assert twin.classes == NAMES
    net = net.copy()
    assert twin.train_on_batch(X, TEXT) == net.train_on_batch(X, TEXT)
    twin.classes = None
    assert twin.predict_classes(X).dtype == np.int64
    twin.train_on_batch(X, NUMBERS)


def test_a_resumed_fit_has_the_same_classes(tmp_path):
    path = tmp_path / "net"
    whole, first, second = network(), network(), network()
    whole.fit(X, TEXT, epochs=4, callbacks=[ModelCheckpoint(tmp_path / "other")])
    first.fit(X, TEXT, epochs=2, callbacks=[ModelCheckpoint(path)])
    for y in (NUMBERS, np.where(TEXT == "cat", "fox", TEXT)):
        with pytest.raises(ValueError, match=r"was saved by a fit with classes="):
            second.fit(X, y, epochs=4, callbacks=[ModelCheckpoint(path)], resume=path)
    assert second.classes is None
    second.fit(X, TEXT, epochs=4, callbacks=[ModelCheckpoint(path)], resume=path)
    assert sha256(second) == sha256(whole)
    assert second.classes == NAMES


def test_predict_classes_without_names():
    assert network().predict_classes(X).dtype == np.int64
    assert set(network(1).predict_classes(X)) <= {0, 1}
    several = MLP(3, [Dense(2, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd")
    labels = several.predict_classes(X)
    assert labels.tolist() == (several.predict(X) > 0.5).astype(int).tolist()
    with pytest.raises(ValueError, match=r"loss 'squared_error' .* use predict"):
        regressor().predict_classes(X)


def changed(value, i=3):
    y = TEXT.astype(object)
    y[i] = value
    return y


FITS = {
    "missing": (changed(None), ["y[3] is None", "give every row a label"]),
    "nan": (changed(float("nan")), ["y[3] is nan", "drop the row"]),
    "masked": (np.ma.masked_equal(TEXT, "cat"), ["y has masked values", "drop their rows"]),
    "pandas-missing": (pd.Series(changed(None), dtype="category"), ["y[3] is nan", "drop"]),
    "Arrow-missing": (
        pa.chunked_array([changed(None)]).dictionary_encode(), ["y[3] is None", "drop the row"]
    ),
    "mixed": (changed(2), ["text and numbers", "y[3], which is 2", "astype(str)"]),
    "bytes": (changed(b"cat"), ["y[3] is b'cat'", "which is not a label; decode the bytes"]),
    "few": (np.where(TEXT == "cat", "dog", TEXT), ["('dog', 'eel')", "set net.classes"]),
    "more": (changed("fox"), ["4 classes", "Dense(4, 'softmax')"]),
    "two-columns": (np.stack([TEXT, TEXT], axis=1), ["shape (60, 2)", "one label per row"]),
    "rows": (TEXT[:5], ["y has 5 rows", "X has 60"]),
}  # fmt: skip


@pytest.mark.parametrize("what", FITS)
def test_labels_that_fit_refuses(what):
    y, fragments = FITS[what]
    net = network()
    before = pickle.dumps(net)
    with pytest.raises((ValueError, TypeError)) as caught:
        net.fit(X, y)
    assert [f for f in fragments if f not in str(caught.value)] == [], str(caught.value)
    assert pickle.dumps(net) == before


def test_labels_that_a_message_says_how_to_pass():
    net, coded = network(), TEXT.astype("S")
    message = r"labels, decode them: {}\.astype\(str\); convert numbers to float$"
    with pytest.raises(TypeError, match=message.format("y")):
        net.fit(X, coded)
    with pytest.raises(TypeError, match=message.format(r"numpy\.array\(y\)")):
        net.fit(X, coded.tolist())
    net.fit(X, np.array(coded.tolist()).astype(str))
    with pytest.raises(ValueError, match=r"validation y\[0\] is b'\w+', .* by b'\w+'.decode\(\)$"):
        net.fit(X, TEXT, validation_data=(X, coded))
    for call in (net.train_on_batch, net.fit, net.evaluate):
        with pytest.raises(TypeError, match=r"or of labels such as \['cat'\]$"):
            call(X[:1], "cat")
    net.train_on_batch(X[:1], ["cat"])


def test_unknown_labels_are_named():
    net = network()
    net.fit(X, TEXT)
    before = pickle.dumps(net)
    for call in (
        lambda y: net.fit(X, y),
        lambda y: net.evaluate(X, y),
        lambda y: net.train_on_batch(X, y),
        lambda y: net.fit(X, TEXT, validation_data=(X, y)),
    ):
        with pytest.raises(
            ValueError, match=r"y\[3\] is 'Dog', .* 'dog', 'eel'; did you mean 'dog'"
        ):
            call(changed("Dog"))
        with pytest.raises(ValueError, match=r"y\[0\] is \d, which is not among the network's"):
            call(NUMBERS)
    with pytest.raises(ValueError, match=r"class_weight\['dog'\] must be at least 0"):
        net.fit(X, TEXT, class_weight={"dog": -1})
    with pytest.raises(ValueError, match=r"class_weight has the label 1, .* 'cat', 'dog', 'eel'"):
        net.fit(X, TEXT, class_weight={1: 2.0})
    assert pickle.dumps(net) == before


def test_names_need_all_labels_first():
    net = network()
    for call in (
        lambda: net.train_on_batch(X, TEXT),
        lambda: net.evaluate(X, TEXT),
        lambda: net.fit([(X, TEXT)]),
    ):
        with pytest.raises(ValueError, match=r"y holds labels such as '\w+', .* set net\.classes"):
            call()
    net.classes = NAMES
    net.train_on_batch(X, TEXT)


def test_three_names_for_one_output_are_refused():
    with pytest.raises(ValueError, match=r"Dense\(3, 'softmax'\) and use loss='cross_entropy'"):
        network(1).fit(X, TEXT)


def test_several_sigmoid_outputs_have_no_classes():
    net = MLP(3, [Dense(3, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd")
    with pytest.raises(ValueError, match=r"y holds labels, .* labels need loss 'cross_entropy'"):
        net.fit(X, TEXT)


def test_text_targets_of_a_regression_are_refused():
    with pytest.raises(TypeError, match="y must hold real numbers; it holds text"):
        regressor().fit(X, YES)


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (("a", "b"), ValueError, "3 labels"),
        (("a", "b", "b"), ValueError, "'b' twice"),
        (("a", "b", 3), TypeError, "all text or all numbers"),
        (("a", "b", None), TypeError, r"classes\[2\] must be text or a number"),
        ((1.0, 2.0, float("nan")), TypeError, r"classes\[2\] must be text or a number"),
        ((b"a", b"b", b"c"), TypeError, r"classes\[0\] must be text"),
        (3, TypeError, "a tuple of labels"),
        (np.array(3), TypeError, "a tuple of labels"),
        ("abc", TypeError, "a tuple of labels"),
        ({"a": 1}, TypeError, "a tuple of labels"),
    ],
)
def test_classes_that_are_refused(value, error, match):
    net = network()
    with pytest.raises(error, match=match):
        net.classes = value
    assert net.classes is None


def test_forms_of_classes():
    net = network()
    for value in (list(NAMES), np.array(NAMES), pd.Index(NAMES), pl.Series(list(NAMES))):
        net.classes = value
        assert net.classes == NAMES
        assert {type(label) for label in net.classes} == {str}
    net.classes = np.array([1, 2, 3])
    assert {type(label) for label in net.classes} == {int}
    with pytest.raises(ValueError, match="labels need loss 'cross_entropy'"):
        regressor().classes = ("a",)
