"""Random damage to model files: to the container and to the network in it.

What is read must be what the official package reads, and usable, or be refused with a
ModelFileError. Any other outcome ends the run with the file that caused it. test_safetensors.py and
test_files.py use a fixed number of files, fuzz.py as many as fit in its time.
"""

import collections
import copy
import itertools
import json
import os

import numpy as np
import safetensors.numpy

import fastnn
from fastnn import (
    MLP,
    Activation,
    Adam,
    Adaptive,
    Dense,
    Dropout,
    EarlyStopping,
    Huber,
    ModelCheckpoint,
    Standardize,
)
from fastnn.exchange.safetensors import ModelFileError, encode, read, seal

# ---- files as bytes -----------------------------------------------------------------------------


def some_tensors(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "layers.0.W": rng.normal(size=(4, 5)).astype("f4"),
        "layers.0.b": rng.normal(size=5).astype("f4"),
        "a float": rng.normal(size=(2, 2)),
        "step": np.array(7, "i8"),
        "größe": rng.integers(2**64, size=(1, 3), dtype="u8"),
    }


def equal(one, other):
    return one.keys() == other.keys() and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in ((one[name], other[name]) for name in one)
    )


def in_bytes(tensors, metadata):
    return b"".join(encode(tensors, metadata))


def split(data):
    """Return the header as a dict, and the data."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def joined(header, data=b"", length=None):
    """Return a file with a correct checksum; `header` is a dict, text or bytes."""
    text = json.dumps(header, separators=(",", ":")) if isinstance(header, dict) else header
    text = text.encode() if isinstance(text, str) else text
    length = len(text) if length is None else length
    return seal(length.to_bytes(8, "little") + text + data)


class Scratch:
    """A file whose content changes often: it stays open and is never emptied, which is slow."""

    def __init__(self, path):
        self.path, self.file = path, open(path, "wb", buffering=0)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def put(self, data):
        os.pwrite(self.file.fileno(), data, 0)
        os.ftruncate(self.file.fileno(), len(data))


# A file with one example of each kind of entry.
HEADER = (
    '{"__metadata__":{"sha256":"' + "0" * 64 + '","k":"v"},'
    '"W":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
    '"b":{"dtype":"F64","shape":[2],"data_offsets":[24,40]}}'
)
DATA = np.arange(6, dtype="f4").tobytes() + np.arange(2, dtype="f8").tobytes()

# ---- containers ----------------------------------------------------------------------------------

NUMBERS = [0, 1, 2, 3, 4, 8, 24, 255, -1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, 0.0, 2.0,
           1e308]  # fmt: skip
VALUES = [None, True, False, "", "F32", "F64", "I64", "U64", "F16", "x", "\ud800", "\0", "é", [],
          {}, [0], [2, 3], [0, 24], [[[]]], {"a": "b"}, float("nan"), float("inf")]  # fmt: skip
KEYS = ["", "__metadata__", "sha256", "dtype", "shape", "data_offsets", "x", "layers.0.W", "\udc00"]


def pick(rng, items):
    return items[rng.integers(len(items))]


def places(node):
    """Return (container, key) of every value inside a JSON value."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    inner = [(node, key) for key, _ in items]
    return inner + [p for n, k in inner if isinstance(n[k], dict | list) for p in places(n[k])]


def edit_header(data, rng):
    """Change a few numbers, strings, keys or whole parts of the header."""
    header, rest = split(data)
    for _ in range(rng.integers(1, 4)):
        node, key = pick(rng, places(header))
        act = rng.integers(6)
        if act == 0:
            node[key] = copy.deepcopy(pick(rng, VALUES))
        elif act == 1 and isinstance(node, dict):
            node[pick(rng, KEYS)] = node.pop(key)
        elif act == 2:
            del node[key]
        elif act == 3 and isinstance(node, list):
            node.insert(key, pick(rng, NUMBERS))
        elif act == 4 and type(node[key]) is int:
            node[key] += int(rng.integers(-8, 9))
        else:
            node[key] = pick(rng, NUMBERS)
        if not header:
            break
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=bool(rng.integers(2)))
    text = text.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + rest


def shuffle_header(data, rng):
    """Change the order of the tensors in the header, or their names; the file may stay valid."""
    header, rest = split(data)
    keys = list(header)
    rng.shuffle(keys)
    return joined({key + "'" * (key in some_tensors()): header[key] for key in keys}, rest)


def edit_data(data, rng):
    """Change bytes of the data; the file stays valid unless a number becomes NaN or infinite."""
    start = 8 + int.from_bytes(data[:8], "little")
    at = int(rng.integers(start, len(data))) if start < len(data) else 0
    new = b"\xff" * 8 if rng.integers(4) == 0 else rng.bytes(1)
    return data[:at] + new[: len(data) - at] + data[at + len(new) :]


def edit_bytes(data, rng):
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        changed[rng.integers(len(data))] = rng.integers(256)
    return bytes(changed)


def edit_characters(data, rng):
    """Change characters of the header to others that have a meaning in JSON."""
    changed, end = bytearray(data), 8 + int.from_bytes(data[:8], "little")
    for _ in range(rng.integers(1, 4)):
        changed[rng.integers(8, min(end, len(data)))] = pick(rng, b'{}[]:,"\\0123456789-eE.tfnNI ')
    return bytes(changed)


def splice(data, rng):
    """Delete, duplicate or move a part of the file."""
    a, b, c = sorted(rng.integers(len(data) + 1, size=3).tolist())
    parts = data[:a], data[a:b], data[b:c], data[c:]
    order = pick(rng, [(0, 2, 3), (0, 1, 1, 2, 3), (0, 2, 1, 3), (0, 1), (0, 1, 2, 3, 1)])
    return b"".join(parts[i] for i in order)


def edit_length(data, rng):
    """Change the length of the header slightly, or to any number."""
    n = int.from_bytes(data[:8], "little") + int(rng.integers(-9, 10))
    return (max(n, 0).to_bytes(8, "little") if rng.integers(2) else rng.bytes(8)) + data[8:]


OF_HEADERS = [edit_header, shuffle_header]
OF_BYTES = [edit_data, edit_bytes, edit_characters, splice, edit_length]


def mutated(seeds, rng):
    data = pick(rng, seeds)
    if rng.integers(2):
        data = pick(rng, OF_HEADERS)(data, rng)
    if rng.integers(4):
        data = pick(rng, OF_BYTES)(data, rng)
    return seal(data) if rng.integers(4) else data


KINDS = ["bytes, fewer than", "header would take", "not begin with", "begins with", "JSON",
         "nested", "metadata must", "must be a string", "no checksum", "must have a name",
         "must have dtype", "has dtype", "has shape", "has data_offsets", "does not fill",
         "begins at byte", "its tensors take",
         "checksum does not match", "must be finite"]  # fmt: skip


def fuzz_containers(path, n, seed):
    """Read n mutated files; return how many were valid, and how often each error was raised."""
    rng, outcomes = np.random.default_rng(seed), collections.Counter()
    seeds = [in_bytes(some_tensors(), {"format": "1", "é": "\n"}), in_bytes({}, {"a": "b"}),
             in_bytes({"layers.0.W": np.ones((2, 3), "f4"), "x": np.ones(6, "f4")}, {}),
             joined(HEADER, DATA)]  # fmt: skip
    with Scratch(path) as scratch:
        for i in range(n):
            data = mutated(seeds, rng)
            scratch.put(data)
            try:
                outcomes[container_outcome(path, data)] += 1
            except Exception as error:
                raise AssertionError(f"file {i} of seed {seed}: {data!r}") from error
    return outcomes


def container_outcome(path, data):
    """Return "valid" after checking all arrays and strings, or the error about the file."""
    try:
        tensors, metadata = read(path)
    except ModelFileError as error:
        message = str(error).removeprefix(repr(str(path)))
        return next(kind for kind in KINDS if kind in message)
    assert equal(tensors, safetensors.numpy.load(data))
    assert all(array.flags.carray and np.isfinite(array).all() for array in tensors.values())
    assert all(type(text) is str for text in itertools.chain(*metadata.items()))
    return "valid"


# ---- networks ------------------------------------------------------------------------------------


def checkpoint(folder):
    """Return the path of a file with every kind of entry: moments, averages, a fit, ..."""
    net = MLP(3, [Standardize(), Dense(5, Activation("elu", 0.5)), Dropout(0.2), Dense(2)],
              loss=Huber(0.7), optimizer=Adam(Adaptive(0.01), use_ema=True), seed=0)  # fmt: skip
    path = folder / "checkpoint"
    keep = [EarlyStopping("loss", patience=5, restore_best_weights=True), ModelCheckpoint(path)]
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    net.fit(X, Y, epochs=2, callbacks=keep)
    return path


SETTINGS = [None, True, 0, 1, -1, 2, 5, 2**31 - 1, 2**63, 10**400, 0.5, 1e-40, -0.5, 1e38,
          "", "dense", "adam", "sgd", "relu", "softmax", "float64", "f8", "elu", "mean", "/",
          "os.system", [], {}, [1], {"name": "elu"}, {"name": "dense", "units": 3},
          {"name": "dropout", "rate": 0.5}, {"name": "adaptive", "initial_learning_rate": 0.1},
          {"arrays": 2}]  # fmt: skip


def mutate_json(tensors, texts, rng):
    """Change a few values, keys or whole parts of a text."""
    kind = pick(rng, ["config", "config", "state", "fit"])
    plain = json.loads(texts[kind])
    for _ in range(rng.integers(1, 3)):
        found = places(plain)
        if not found:
            break
        node, key = pick(rng, found)
        act = rng.integers(5)
        if act == 0:
            del node[key]
        elif act == 1 and isinstance(node, dict):
            node[pick(rng, ["units", "name", "rate", "alpha", "x"])] = node.pop(key)
        elif act == 2 and type(node[key]) is int:
            node[key] += int(rng.integers(-2, 3))
        elif act == 3 and isinstance(node, list):
            node.insert(key, copy.deepcopy(pick(rng, SETTINGS)))
        else:
            node[key] = copy.deepcopy(pick(rng, SETTINGS))
    texts[kind] = json.dumps(plain)


def mutate_characters(tensors, texts, rng):
    """Change characters of a text."""
    kind = pick(rng, ["config", "state", "fit", "format"])
    characters = list(texts[kind])
    for _ in range(rng.integers(1, 4)):
        characters[rng.integers(len(characters))] = pick(rng, '{}[]:,"\\0123456789-eE.tfnNI é')
    texts[kind] = "".join(characters)


def mutate_tensor(tensors, texts, rng):
    """Change the shape, type, name or values of a tensor; remove it, or add one."""
    name = pick(rng, list(tensors))
    act, array = rng.integers(6), tensors.pop(name)
    if act == 0:
        tensors[name] = array.astype(pick(rng, ["f4", "f8", "i8"]))
    elif act == 1:
        tensors[name] = array.T.copy() if array.ndim == 2 else array[:-1]
    elif act == 2:
        tensors[name + pick(rng, ["", "0", ".W", ".b"])] = array
    elif act == 3:
        scale = rng.choice([-1e30, -1.0, 0.0, 1e-40, 1e30])
        tensors[name] = (array.astype("f8") * scale).astype(array.dtype)
    elif act == 4:
        tensors |= {name: array, name.replace("0", "1"): array}


def use(net):
    """Check that a network that was read can be trained, saved and called."""
    x, y = np.ones((3, net.n_in)), np.zeros((3, net.n_out))
    if net.loss.targets == "class":
        y = np.zeros(3, int)
    assert net.copy().get_config() == net.get_config()
    try:
        net.fit(x, y, n_threads=1)
    except FloatingPointError:
        return "diverges"
    except ValueError as error:
        assert "trainable=False" in str(error)  # noqa: PT017
    assert net.predict(x).shape == (3, net.n_out)
    return "usable"


def network_outcome(path):
    try:
        net = fastnn.load(path)
    except ModelFileError:
        return "refused"
    return use(net) if net.n_in < 1000 else "large"


def fuzz_networks(path, whole, n, seed):
    """Load n files of changed (tensors, texts); return how many were usable, refused ..."""
    rng, outcomes = np.random.default_rng(seed), collections.Counter()
    mutations = [mutate_json, mutate_json, mutate_characters, mutate_tensor]
    with Scratch(path) as scratch:
        for i in range(n):
            tensors, texts = dict(whole[0]), dict(whole[1])
            pick(rng, mutations)(tensors, texts, rng)
            try:
                data = b"".join(encode(tensors, texts))
            except ValueError:  # values that float32 has no number for
                continue
            scratch.put(data)
            try:
                outcomes[network_outcome(scratch.path)] += 1
            except BaseException as error:
                raise AssertionError(f"file {i} of {seed}: {texts}, {list(tensors)}") from error
    return outcomes
