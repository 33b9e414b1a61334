"""What networks of other libraries hold, and whether an MLP can express it.

A place is an operation of theirs as a message names it, such as "node 'relu_1' (Relu)".
"""

import importlib

import numpy as np

from fastnn._checks.values import shown


def package(name, purpose, pip=None):
    """Return an optional package's module, which `purpose` needs."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = pip or name.partition(".")[0]
        raise ImportError(
            f"{purpose} needs {package}; install it with pip install {package}"
        ) from (error)


def expressible(place, possible, problem, remedy):
    """Check that an MLP can express an operation of another library's network."""
    if not possible:
        raise ValueError(f"{place} {problem}; {remedy}")


def built(place, kind, *arguments):
    """Return a specification made of another library's numbers, or say whose they are."""
    try:
        return kind(*arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None


def finite(place, *arrays):
    """Check that another library's numbers are finite, and none of them 0 that divides."""
    for array in arrays:
        if array is not None and not (abs(array) < float("inf")).all():
            raise ValueError(
                f"{place} has numbers that are not finite, or divides by 0; train it anew"
            )


def labels(classes, n):
    """Return an array of the labels of n classes, by default 0, 1, ...; those given must be n."""
    if classes is None:
        return np.arange(n)
    if not isinstance(classes, list | tuple) or len(set(classes)) != n or len(classes) != n:
        raise ValueError(
            f"net.metadata['classes'] must be a list of {n} labels, one for each class; got "
            f"{shown(classes)}"
        )
    found = np.array(classes)
    if not (found[:-1] < found[1:]).all():
        raise ValueError(
            f"net.metadata['classes'] must be sorted, as scikit-learn has its classes; got "
            f"{shown(classes)}"
        )
    return found


def one_of_these(name, value, kinds, wanted):
    """Check that an object is of one of another library's classes."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {wanted}; got {shown(value)} ({type(value).__name__})")


def fitted(name, est, attribute):
    """Check that an estimator has what fitting gives it."""
    if not hasattr(est, attribute):
        raise ValueError(f"{name} is not fitted; call fit first")


def one_tensor(what, names):
    """Check that a graph has one input, or one output."""
    if len(names) != 1:
        raise ValueError(
            f"the graph has {len(names)} {what}{': ' if names else ''}{', '.join(names)}; cut out "
            "the part between two tensors with onnx.utils.extract_model"
        )


def tensor_names(input_name, output_name):
    """Check the names of a graph's input and output."""
    for name, value in (("input_name", input_name), ("output_name", output_name)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str; got {shown(value)}")
        if not value:
            raise ValueError(f"{name} must not be empty; give the tensor a name")
    if input_name == output_name:
        raise ValueError(f"input_name and output_name are both {input_name!r}; give two names")


def fits_in_onnx(n_bytes, limit):
    """Check that weights of so many bytes can be put into one ONNX file."""
    if n_bytes > limit:
        raise ValueError(
            f"the weights take {n_bytes} bytes, but an ONNX file holds {limit} at most; use "
            "net.save, or net.copy(dtype='float32') if it has float64"
        )
