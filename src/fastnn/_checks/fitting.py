"""Options of `fit` and its kin, and what a network must have for them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fastnn._checks.values import choice, integer, is_bool, number, shown


def verbosity(value):
    """Return 0 or 1; True and False are these."""
    return int(value) if is_bool(value) else integer("verbose", value, low=0, high=1)


def network(name, value, kind):
    """Check that a value is a network of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be an MLP; got {shown(value)}")


def trainable(dense):
    """Check that there is something to train."""
    if not any(layer.trainable for layer in dense):
        raise ValueError("every Dense layer has trainable=False, so nothing would be learnt")


def batch_size(value):
    """Return a number of rows, or None for all."""
    return None if value is None else integer("batch_size", value, low=1)


def shuffle(value):
    """Return whether rows are shuffled, or what draws their order."""
    if is_bool(value):
        return bool(value)
    if not callable(getattr(value, "permutation", None)):
        raise TypeError(
            "shuffle must be True or False, or an object that draws orders by permutation(n), such "
            f"as a numpy Generator; got {shown(value)}"
        )
    return value


def order(value, n):
    """Return n numbers of rows, as what a user gave for `shuffle` drew them."""
    found = np.asarray(value)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        raise ValueError(
            f"shuffle's permutation({n}) must return {n} integers, the rows' numbers; it returned "
            f"{shown(value)}"
        )
    if found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"shuffle's permutation({n}) must return numbers of rows, 0 to {n - 1}; it returned "
            f"some from {found.min()} to {found.max()}"
        )
    return np.ascontiguousarray(found, np.int64)


def resumable(resume, shuffle):
    """Check that a fit to be resumed draws its orders by the network, whose state is kept."""
    if resume is not None and not isinstance(shuffle, bool):
        raise ValueError(
            "resume goes with shuffle=True or False: a checkpoint keeps no state of shuffle="
            f"{shown(shuffle)}"
        )


def validation_data(value):
    """Return (X, y, sample_weight or None)."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(
            f"validation_data must be (X, y) or (X, y, sample_weight); got {shown(value)}"
        )
    return (*value, None)[:3]


def validation_split(value, data):
    """Return the fraction of rows to validate on; 0 if there are validation data."""
    split = number("validation_split", value, low=0.0, below=1.0)
    if data is not None and split:
        raise ValueError(
            f"validation_data and validation_split={split:g} are both given; give one of them"
        )
    return split


def rows_to_train(n, split):
    """Return how many of n rows are trained on, if the fraction `split` is for validation."""
    kept = n - max(1, round(n * split))
    if kept < 1:
        raise ValueError(
            f"validation_split={split:g} leaves none of {n} rows to train on; lower it"
        )
    return kept


def split_weights(training, validation):
    """Check that rows of either part of a split weigh something."""
    for purpose, weights in (("to train on", training), ("for validation", validation)):
        if weights is not None and not weights.any():
            raise ValueError(
                f"sample_weight is 0 for every row {purpose}; shuffle the rows, since "
                "validation_split takes the last ones"
            )


def steps(value):
    """Return a number of batches an epoch, or None for all that there are."""
    return None if value is None else integer("steps_per_epoch", value, low=1)


def no_steps(value):
    """Check that no number of batches is given with arrays."""
    if value is not None:
        raise ValueError(
            f"steps_per_epoch={shown(value)} is for an iterable of batches; for arrays X and y "
            "give batch_size"
        )


def for_batches(sample_weight, split, class_weight):
    """Check the options that an iterable of batches leaves no room for."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight cannot be given for an iterable; let it yield (X, y, sample_weight)"
        )
    if split:
        raise ValueError(
            f"validation_split={split:g} cannot split an iterable; pass validation_data"
        )
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} needs all labels at once, which an iterable has not; "
            "pass a dict"
        )


def are_batches(value):
    """Whether a value without targets beside it is an iterable of batches, and no array."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview | set):
        return False
    arrays = ("__array__", "__dlpack__", "dtypes", "tocsr")
    if any(hasattr(value, name) for name in arrays):
        return False
    if isinstance(value, Sequence):
        first = value[0] if len(value) else None
        return isinstance(first, tuple | list) and np.ndim(first[0] if first else 0) > 1
    return isinstance(value, Iterable)


def batch(place, value):
    """Return (X, y, sample_weight or None) of an item that an iterable gave."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(
            f"{place} of the iterable must be (X, y) or (X, y, sample_weight); it is {shown(value)}"
        )
    return (*value, None)[:3]


def some_batches(rows, epoch):
    """Check that an epoch had rows at all."""
    if rows == 0:
        raise ValueError(
            f"the iterable gave no batch in epoch {epoch + 1}; pass one that can be gone through "
            "anew, such as a list or an object with __iter__, or steps_per_epoch"
        )


def class_weight(value, loss, n_out, T=None, labels=None):
    """Return a weight for each class, or None; "balanced" ones are of the rows' targets."""
    if value is None:
        return None
    balanced = isinstance(value, str) and choice("class_weight", value, ("balanced",))
    if not balanced and not isinstance(value, Mapping):
        raise TypeError(
            f"class_weight must be a dict {{label: weight}} or 'balanced'; got {shown(value)}"
        )
    n_classes = loss.n_classes(n_out)
    if n_classes is None:
        raise ValueError(
            f"class_weight goes with classes, or one output of 0 or 1; this network has loss "
            f"{loss.name!r} and {n_out} outputs: pass sample_weight"
        )
    if balanced:
        counts = np.bincount(classes_of(T, labels), minlength=n_classes)
        return len(labels if T is None else T) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    found = np.ones(n_classes)
    for label, weight in value.items():
        label = integer("class_weight's label", label, low=0, high=n_classes - 1)
        found[label] = number(f"class_weight[{label}]", weight, low=0.0)
    return found


def classes_of(T, labels):
    """Return the class (n,) of every row."""
    if labels is not None:
        return labels
    return T.argmax(axis=1) if T.shape[1] > 1 else (T[:, 0] >= 0.5).astype(np.int64)


def class_weights(by_class, T, labels, weights, dtype):
    """Return the rows' weights: their classes', times those they have."""
    found = by_class[classes_of(T, labels)]
    if weights is not None:
        found = found * weights
    if not found.any():
        raise ValueError("class_weight makes every row weigh 0, so nothing would be learnt")
    return np.ascontiguousarray(found, dtype)


def adapted(ready):
    """Check that a Standardize layer has seen data."""
    if not ready:
        raise ValueError(
            "the Standardize layer has not seen data, so X cannot be standardized; call adapt(X) "
            "with some rows first, or fit with arrays, not batches"
        )


def standardizes(does):
    """Check that there is a Standardize layer."""
    if not does:
        raise ValueError(
            "this MLP has no Standardize layer to adapt; build it with layers=[Standardize(), ...]"
        )


def averages(optimizer):
    """Check that an optimizer keeps a moving average of the weights."""
    if not optimizer.use_ema:
        raise ValueError(
            f"optimizer {optimizer.name!r} keeps no moving average of the weights; build it with "
            "use_ema=True"
        )
