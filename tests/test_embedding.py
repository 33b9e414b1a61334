"""The interface for C: the same bits as Python's calls, a status for misuse, calls without locks.

Everything goes through the struct of functions of `fastnn.h`, as ctypes sees it. tests/consumers.py
tests that programs compile with the header and with the .pxd.
"""

import copy
import ctypes
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conditions import LONG, is_refused, until

import fastnn
from fastnn import (
    MLP,
    Activate,
    Adam,
    Dense,
    Dropout,
    LayerNorm,
    ScheduleFreeAdamW,
    Standardize,
    _cpu,
    embedding,
)

API = embedding.functions()
SUFFIX = {"float32": "f32", "float64": "f64"}
HEADER = Path(embedding.get_include(), "fastnn.h").read_text()
STATUS = {name: int(n) for name, n in re.findall(r"STATUS\(FASTNN_(\w+), (\d+),", HEADER)}
PROPERTY = {name: int(n) for name, n in re.findall(r"FASTNN_(\w+) = (\d+)", HEADER)}

NETS = {
    "tiny": lambda dtype: MLP(
        2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", dtype=dtype, seed=0
    ),
    "small": lambda dtype: MLP(
        16,
        [Dense(64, "tanh"), Dense(64, "gelu"), Dense(1)],
        loss="huber",
        optimizer="adam",
        dtype=dtype,
        seed=0,
    ),
    "classes": lambda dtype: MLP(
        20,
        [Dropout(0.2), Dense(33, "relu"), Dropout(0.5), Dense(5, "softmax")],
        loss="cross_entropy",
        optimizer=Adam(clipnorm=0.1, use_ema=True),
        dtype=dtype,
        seed=0,
    ),
    "penalized": lambda dtype: MLP(
        70,
        [Dense(300, "relu", l2=1e-3), Dense(2, "sigmoid", l1=1e-3)],
        loss="binary_cross_entropy",
        optimizer="rmsprop",
        dtype=dtype,
        seed=0,
    ),
}


@pytest.fixture(params=NETS)
def kind(request):
    return NETS[request.param]


@pytest.fixture(params=[*SUFFIX, "mixed_bfloat16"])
def dtype(request):
    return request.param


def rows_for(net, n, seed=0):
    """Return X and targets that the loss takes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, net.n_in)).astype(net.dtype)
    if net.loss.name == "cross_entropy":
        return X, rng.integers(net.n_out, size=n)
    y = rng.standard_normal((n, net.n_out))
    return X, (y > 0 if net.loss.name == "binary_cross_entropy" else y).astype(net.dtype)


def predict(net, workspace, X, out=None):
    """Return the status and the outputs."""
    out = np.empty((len(X), net.n_out), net.dtype) if out is None else out
    call = getattr(API, f"predict_{SUFFIX[net.dtype.name]}")
    return call(workspace.address, len(X), X.ctypes.data, out.ctypes.data), out


def train(net, workspace, X, y):
    """Return the status and the loss."""
    loss = ctypes.c_double(-1.0)
    labels = "labels_" if y.dtype == np.int64 else ""
    call = getattr(API, f"train_{labels}{SUFFIX[net.dtype.name]}")
    status = call(workspace.address, len(X), X.ctypes.data, y.ctypes.data, ctypes.addressof(loss))
    return status, loss.value


def get(net, name):
    return API.get(embedding._pointer(net.c_model, b"fastnn.model"), PROPERTY[name])


def same(a, b):
    return all((x == y).all() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("workspace_rows", [1, 7, 96, 400])
@pytest.mark.parametrize("training", [False, True])
def test_predictions_have_the_bits_of_calls_from_python(kind, dtype, workspace_rows, training):
    net = kind(dtype)
    workspace = embedding.Workspace(net, workspace_rows, training)
    for n in (1, 2, 95, 96, 97, 300):
        X, _ = rows_for(net, n)
        guarded = np.full((n + 1, net.n_out), 7, net.dtype)
        assert predict(net, workspace, X, guarded)[0] == 0
        assert (guarded[:n] == net.predict(X)).all()
        assert (guarded[n] == 7).all()


def test_training_steps_have_the_bits_of_calls_from_python(kind, dtype):
    ours, theirs = kind(dtype), kind(dtype)
    workspace = embedding.Workspace(ours, 1500, training=True)
    for seed, n in enumerate((1, 1, 5, 64, 1500, 1)):
        X, y = rows_for(ours, n, seed)
        assert train(ours, workspace, X, y) == (0, theirs.train_on_batch(X, y))
        assert same(ours, theirs)
        assert ours.step == theirs.step == get(ours, "STEP")


def test_predictions_while_an_optimizer_that_averages_trains():
    """They are those of the average, as from Python: of the parameters, they would be others."""
    net = MLP(3, [Dense(30, "tanh"), Dense(1)], loss="squared_error",
              optimizer=ScheduleFreeAdamW(0.05), seed=0)  # fmt: skip
    X, y = rows_for(net, 400)
    workspace, found = embedding.Workspace(net, 9), []
    row = X[0].astype(np.float64)

    def handler(*_):
        status, outputs = predict(net, workspace, X[:9])
        one = API.evaluate(
            3, row.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), workspace.address
        )
        found.append((net.step, status, outputs, one, net.predict(X[:9])))
        net.stop_training = True

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while not found:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            net.fit(X, y, batch_size=4, epochs=10**6, shuffle=False)
            if found[0][0] == 0:
                found.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    _, status, outputs, one, expected = found[0]
    assert status == STATUS["OK"]
    assert outputs.tobytes() == expected.tobytes()
    assert one == expected[0, 0]


@pytest.mark.parametrize("ignored", [0, 7, 1e30])
def test_the_second_half_of_the_targets_of_gaussian_nll_has_no_effect(ignored):
    ours = MLP(3, [Dense(4)], loss="gaussian_nll", optimizer="adam", seed=0)
    theirs, (X, y) = copy.deepcopy(ours), rows_for(ours, 5)
    expected = theirs.train_on_batch(X, y[:, :2])
    y[:, 2:] = ignored
    assert train(ours, embedding.Workspace(ours, 5, training=True), X, y) == (0, expected)
    assert same(ours, theirs)


@pytest.mark.parametrize("dtype", SUFFIX)
def test_zeros_are_skipped_bit_for_bit(dtype, monkeypatch):
    ours = NETS["penalized"](dtype)
    monkeypatch.setattr(_cpu, "SKIP_ZEROS", False)
    theirs = NETS["penalized"](dtype)
    workspace = embedding.Workspace(ours, 200, training=True)
    for seed, n in enumerate((1, 1, 64, 200, 64, 3, 3)):
        X, y = rows_for(ours, n, seed)
        X[np.abs(X) < 1.3] = 0
        assert ours._network.skips_zeros(X, 64)
        assert (predict(ours, workspace, X)[1] == theirs.predict(X)).all()
        assert train(ours, workspace, X, y) == (0, theirs.train_on_batch(X, y))
        assert same(ours, theirs)


def test_a_model_is_described(kind, dtype):
    net = kind(dtype)
    assert get(net, "N_IN") == net.n_in
    assert get(net, "N_OUT") == net.n_out
    assert get(net, "DTYPE_BITS") == 8 * net.dtype.itemsize
    assert get(net, "N_LAYERS") == len(net.dense)  # none of these networks has other weights
    assert get(net, "N_PARAMETERS") == net.n_parameters
    assert get(net, "TAKES_LABELS") == (net.loss.name == "cross_entropy")
    assert API.get(embedding._pointer(net.c_model, b"fastnn.model"), 1000) == -1


def test_a_model_outlives_the_freezing_of_its_network():
    """C code has only its address, so the network is kept alive although nothing refers to it."""
    net = NETS["small"]("float32")
    X, _ = rows_for(net, 5)
    expected, first, other = net.predict(X), net._network, object()
    address = embedding._pointer(net.c_model, b"fastnn.model")
    net.freeze()
    net.unfreeze(0)  # replaces the network again
    assert sys.getrefcount(first) == sys.getrefcount(other) + 1
    del first
    net.set_weights([2 * w for w in net.get_weights()])
    workspace = ctypes.c_void_p()
    assert API.workspace_new(address, 5, 0, ctypes.byref(workspace)) == 0
    out = np.empty_like(expected)
    assert API.predict_f32(workspace.value, 5, X.ctypes.data, out.ctypes.data) == 0
    API.workspace_free(workspace.value)
    assert out.tobytes() == expected.tobytes()


def test_a_network_that_no_c_code_uses_ends_when_layers_are_frozen():
    net = NETS["small"]("float32")
    first = net._network
    other = object()
    net.freeze()
    assert sys.getrefcount(first) == sys.getrefcount(other)


def test_layers_with_weights_are_counted():
    layers = [Dense(3), LayerNorm(), Activate("relu"), Dense(1)]
    net = MLP(2, layers, loss="squared_error", optimizer="sgd", seed=0)
    assert get(net, "N_LAYERS") == 3


def test_one_function_of_a_row_of_doubles(dtype):
    net = NETS["small"](dtype)
    workspace = embedding.Workspace(net)
    x = np.random.default_rng(0).standard_normal(16)
    row = (ctypes.c_double * 16)(*x)
    assert API.evaluate(16, row, workspace.address) == net.predict(x[None])[0, 0]
    assert np.isnan(API.evaluate(15, row, workspace.address))
    row[3] = float("inf")
    assert np.isnan(API.evaluate(16, row, workspace.address))
    assert np.isnan(API.evaluate(16, None, workspace.address))


def test_inputs_are_standardized():
    net = MLP(3, [Standardize(), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    workspace = embedding.Workspace(net)
    X = np.random.default_rng(0).normal(5, 3, (50, 3)).astype(np.float32)
    assert predict(net, workspace, X)[0] == STATUS["NOT_ADAPTED"]
    net.adapt(X)
    status, out = predict(net, workspace, X)
    assert status == 0
    assert (out == net.predict(X)).all()


# ---- misuse --------------------------------------------------------------------------------------


def at(array):
    return array.ctypes.data


def spoilt(X, value):
    """Return X with this value as its last number."""
    X = X.copy()
    X.flat[-1] = value
    return X


# The status, and a call that commits the misuse; the workspace is for 2 rows.
MISUSES = [
    ("NULL", lambda net, w, X, y: API.predict_f32(None, 1, at(X), at(y))),
    ("NULL", lambda net, w, X, y: API.predict_f32(w.address, 1, None, at(y))),
    ("NULL", lambda net, w, X, y: API.predict_f32(w.address, 1, at(X), None)),
    ("NULL", lambda net, w, X, y: API.train_f32(w.address, 1, at(X), None, None)),
    ("NULL", lambda net, w, X, y: API.workspace_new(None, 1, 0, ctypes.c_void_p())),
    ("ROWS", lambda net, w, X, y: predict(net, w, X[:0])[0]),
    ("ROWS", lambda net, w, X, y: train(net, w, X[:3], y[:3])[0]),
    ("ROWS", lambda net, w, X, y: train(net, w, X[:0], y[:0])[0]),
    ("PRECISION", lambda net, w, X, y: API.predict_f64(w.address, 1, at(X), at(y))),
    ("KIND_OF_TARGET", lambda net, w, X, y: train(net, w, X[:1], np.zeros(1, np.int64))[0]),
    (
        "NOT_FOR_TRAINING",
        lambda net, w, X, y: train(net, embedding.Workspace(net), X[:1], y[:1])[0],
    ),
    ("DIVERGED", lambda net, w, X, y: train(net, w, X[:2], y[:2] + np.float32(1e30))[0]),
    ("DIVERGED", lambda net, w, X, y: train(net, w, X[:1], y[:1] + np.float32(1e30))[0]),
]
for bad in (np.nan, np.inf, -np.inf):
    MISUSES += [
        ("NOT_FINITE", lambda net, w, X, y, b=bad: predict(net, w, spoilt(X, b))[0]),
        ("NOT_FINITE", lambda net, w, X, y, b=bad: train(net, w, spoilt(X[:2], b), y[:2])[0]),
        ("TARGETS", lambda net, w, X, y, b=bad: train(net, w, X[:2], spoilt(y[:2], b))[0]),
    ]


@pytest.mark.parametrize(("name", "call"), MISUSES)
@pytest.mark.parametrize("size", [1, 40])
def test_a_misuse_has_a_status_and_changes_nothing(name, call, size):
    """For a network that uses the path for on-line training, and for one that does not."""
    layers = [Dense(size, "tanh"), Dense(1)]
    net = MLP(3, layers, loss="squared_error", optimizer="adam", seed=0)
    workspace = embedding.Workspace(net, 2, training=True)
    X, y = rows_for(net, 4)
    y += 1
    before = copy.deepcopy(net)
    assert call(net, workspace, X, y) == STATUS[name]
    assert same(net, before)
    assert net.step == 0
    assert train(net, workspace, X[:2], y[:2]) == (0, before.train_on_batch(X[:2], y[:2]))


@pytest.mark.parametrize("label", [-1, 5, 2**40, -(2**63)])
def test_a_label_out_of_range_has_a_status(label):
    net = NETS["classes"]("float32")
    workspace = embedding.Workspace(net, 3, training=True)
    X, y = rows_for(net, 3)
    y[1] = label
    assert train(net, workspace, X, y)[0] == STATUS["TARGETS"]
    assert train(net, workspace, X, X)[0] == STATUS["KIND_OF_TARGET"]


def test_every_status_has_a_sentence():
    assert list(STATUS.values()) == list(range(14))
    for name, code in STATUS.items():
        words = API.message(code).decode()
        assert words != "an unknown status", name
        assert " ".join(re.findall(r'"(.*?)"', text_of(name))).replace("  ", " ") == words
    for code in (-1, 14, 10**6):
        assert API.message(code) == b"an unknown status"


def text_of(status):
    """Return the header's entry for a status."""
    return re.search(rf"STATUS\(FASTNN_{status}, (.*?)\)\s*(?:\\\n|/\*)", HEADER, re.DOTALL)[1]


def test_names_in_cython_are_those_of_the_header():
    """The declarations for Cython include every name of the header."""
    names = {f"FASTNN_{name}" for name in STATUS | PROPERTY}
    package = Path(fastnn.__file__).parent
    for path in package.glob("*.pxd"):
        found = re.findall(r"^ +(FASTNN_[A-Z_]+)$", path.read_text(), re.MULTILINE)
        assert set(found) <= names, path.name
        assert path.name != "__init__.pxd" or sorted(found) == sorted(names)


def test_a_failed_allocation_has_a_status():
    net = MLP(1, [Dense(2**22)], loss="squared_error", optimizer="sgd", seed=0)
    with pytest.raises(MemoryError, match="fewer rows"):
        embedding.Workspace(net, 2**60, training=True)
    assert embedding.Workspace(net, 2).address


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("net",), TypeError, "net must be an MLP; got 'net'"),
        ((NETS["tiny"]("float32"), 0), ValueError, "rows must be at least 1; got 0"),
        ((NETS["tiny"]("float32"), 1.5), TypeError, "rows must be an integer; got 1.5"),
        ((NETS["tiny"]("float32"), 1, "yes"), TypeError, "training must be True or False"),
    ],
)
def test_a_workspace_with_invalid_arguments_is_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        embedding.Workspace(*arguments)


def test_a_workspace_cannot_be_copied():
    workspace = embedding.Workspace(NETS["tiny"]("float32"))
    for copies in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="make another one"):
            copies(workspace)


# ---- lifetime and threads ------------------------------------------------------------------------


def test_a_workspace_keeps_its_network_alive():
    net = NETS["small"]("float32")
    X, _ = rows_for(net, 10)
    expected, workspace, n_out = net.predict(X), embedding.Workspace(net), net.n_out
    gone = weakref.ref(net)
    del net
    assert gone() is None  # the MLP, but not what it stands on
    out = np.empty((10, n_out), np.float32)
    assert API.predict_f32(workspace.address, 10, X.ctypes.data, out.ctypes.data) == 0
    assert (out == expected).all()


AT_EXIT = """
import atexit
@atexit.register
def last():  # runs after all functions that are registered later
    assert api.predict_f32(workspace.address, 9, X.ctypes.data, out.ctypes.data) == 0
    assert (out == net.predict(X)).all()
    print("predicted")
import numpy as np
from fastnn import MLP, Dense, embedding
net = MLP(6, [Dense(5, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
workspace, api = embedding.Workspace(net, 9), embedding.functions()
X, out = np.ones((9, 6), "f4"), np.empty((9, 1), "f4")
"""


def test_a_workspace_is_not_freed_while_the_process_ends():
    """Daemon threads may still predict then; glibc overwrites freed memory with the number."""
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT],
        env=os.environ | {"MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert (done.returncode, done.stdout) == (0, "predicted\n"), done.stderr


def test_a_capsule_follows_training():
    net = NETS["small"]("float32")
    workspace, (X, y) = embedding.Workspace(net), rows_for(net, 30)
    net.fit(X, y, epochs=3)
    assert (predict(net, workspace, X)[1] == net.predict(X)).all()


def test_32_threads_predict_the_same_as_one_thread():
    net = NETS["small"]("float32")
    X, _ = rows_for(net, 1000)
    expected, wrong = net.predict(X), []

    def work():
        workspace = embedding.Workspace(net)
        out = np.empty((1000, 1), np.float32)
        source, to = at(X), at(out)
        for i in range(1000):
            if API.predict_f32(workspace.address, 1, source + i * 16 * 4, to + i * 4):
                wrong.append(i)
        if (out != expected).any():
            wrong.append(out)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_one_thread_trains_at_a_time():
    """A step in C or in Python is either made whole or refused because the model is busy.

    The threads go on until both kinds have been refused.
    """
    net = MLP(256, [Dense(512, "relu"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    X, y = rows_for(net, 256)
    X, y = X / 16, y / 16
    busy, end = {"in C": 0, "in Python": 0}, time.monotonic() + LONG

    def make_steps(where, step):
        """Return the number of steps made."""
        made = 0
        while made < 60 or (0 in busy.values() and time.monotonic() < end):
            if step():
                made += 1
            else:
                busy[where] = 1
        return made

    def in_c():
        workspace = embedding.Workspace(net, 256, training=True)

        def step():
            status, _ = train(net, workspace, X, y)
            assert status in (0, STATUS["BUSY"])
            return status == 0

        return make_steps("in C", step)

    def in_python():
        return make_steps("in Python", lambda: not is_refused(lambda: net.train_on_batch(X, y)))

    with ThreadPoolExecutor(3) as threads:
        made = [threads.submit(work) for work in (in_c, in_python, in_c)]
    assert net.step == sum(each.result() for each in made)
    assert busy == {"in C": 1, "in Python": 1}
    assert np.isfinite(net.evaluate(X, y))


def test_weights_cannot_be_set_during_a_step_in_c():
    """Another thread makes steps until setting weights has been refused."""
    net = MLP(256, [Dense(512, "relu"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    X, y = rows_for(net, 2000)
    weights, statuses, refused = net.get_weights(), [], threading.Event()

    def work():
        workspace = embedding.Workspace(net, 2000, training=True)
        while not refused.is_set():
            statuses.append(train(net, workspace, X / 64, y)[0])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: is_refused(lambda: net.set_weights(weights)))
    finally:
        refused.set()
        thread.join()
    assert set(statuses) <= {0, STATUS["BUSY"]}
    assert net.step == statuses.count(0)


FORK = """
import os, sys
import numpy as np
from fastnn import MLP, Dense, embedding
net = MLP(64, [Dense(256, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
X, y = np.ones((200, 64), "f4"), np.zeros((200, 1), "f4")
net.fit(X, y, n_threads=2)  # there are threads to lose
workspace, out = embedding.Workspace(net, 200, training=True), np.empty((200, 1), "f4")
api = embedding.functions()
def use():
    assert api.train_f32(workspace.address, 200, X.ctypes.data, y.ctypes.data, None) == 0
    assert api.predict_f32(workspace.address, 200, X.ctypes.data, out.ctypes.data) == 0
    assert (out == net.predict(X)).all()
for _ in range(10):
    pid = os.fork()
    use()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
print(net.step)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_a_workspace_made_before():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONG)
    assert int(done.stdout) == 7 + 10  # batches of 32, then the parent's own


# ---- the header ----------------------------------------------------------------------------------


def test_ctypes_sees_the_struct_as_the_header_has_it():
    struct = re.search(r"typedef struct fastnn_api \{(.*?)\} fastnn_api;", HEADER, re.DOTALL)[1]
    members = re.findall(r"(\w[\w ]*\**)\(\*(\w+)\)\((.*?)\);", struct, re.DOTALL)
    assert [name for _, name, _ in members] == list(embedding._FUNCTIONS)
    for result, name, arguments in members:
        types = [result, *arguments.split(",")]
        assert [shape(kind) for kind in embedding._FUNCTIONS[name]] == [c_shape(t) for t in types]
    api = embedding._Api.from_address(embedding.api_address())
    assert api.abi_version == int(re.search(r"ABI_VERSION (\d+)", HEADER)[1])
    assert api.struct_size == ctypes.sizeof(embedding._Api)


def shape(kind):
    """Return a ctypes type as a call passes it."""
    if kind is None:
        return "void"
    is_pointer = kind in (ctypes.c_void_p, ctypes.c_char_p) or hasattr(kind, "contents")
    return "pointer" if is_pointer else kind


def c_shape(text):
    """Return what `shape` returns, for the type of a declaration in C."""
    if "*" in text:
        return "pointer"
    kinds = {"int": ctypes.c_int, "int64_t": ctypes.c_int64, "double": ctypes.c_double}
    kinds |= {"ptrdiff_t": ctypes.c_ssize_t, "void": "void"}
    return kinds[text.split()[0]]


def test_the_header_is_where_get_include_says():
    assert os.listdir(fastnn.get_include()) == ["fastnn.h"]


COMPILERS = [
    (name, f"-std={standard}", suffix)
    for name, standard, suffix in [
        ("gcc", "c99", "c"),
        ("clang", "c99", "c"),
        ("g++", "c++11", "cpp"),
        ("clang++", "c++20", "cpp"),
    ]
    if shutil.which(name)
]


@pytest.mark.parametrize(("compiler", "standard", "suffix"), COMPILERS)
def test_a_failed_fastnn_use_has_a_sentence(tmp_path, compiler, standard, suffix):
    """Although there are no functions to call; nor does freeing no workspace need them."""
    source = tmp_path / f"main.{suffix}"
    source.write_text(
        "#include <fastnn.h>\n#include <stdio.h>\n"
        "int main(void) {\n"
        "    fastnn_api other = {FASTNN_ABI_VERSION + 1};\n"
        "    puts(fastnn_message(fastnn_use(NULL)));\n"
        "    puts(fastnn_message(fastnn_use(&other)));\n"
        "    puts(fastnn_message(-1));\n"
        "    fastnn_workspace_free(NULL);\n"
        "    return 0;\n}\n"
    )
    command = [compiler, standard, "-Wall", "-Werror", f"-I{fastnn.get_include()}", source]
    subprocess.run([*command, "-o", "main"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    codes = (STATUS["NULL"], STATUS["ABI"], -1)
    assert found.splitlines() == [API.message(code).decode() for code in codes]


@pytest.mark.parametrize(("compiler", "standard", "suffix"), COMPILERS)
def test_the_header_is_plain_c_and_c_plus_plus(tmp_path, compiler, standard, suffix):
    """Without Python.h, in a library that is given the address of the functions."""
    source = tmp_path / f"use.{suffix}"
    linkage = 'extern "C" ' if suffix == "cpp" else ""
    source.write_text(
        "#include <fastnn.h>\n"
        f"{linkage}int use(const fastnn_api *api);\n"
        f"{linkage}int row(fastnn_workspace *workspace, const float *x, float *y);\n"
        "int use(const fastnn_api *api) { return fastnn_use(api); }\n"
        "int row(fastnn_workspace *workspace, const float *x, float *y) {\n"
        "    return fastnn_predict_f32(workspace, 1, x, y);\n}\n"
    )
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC"]
    command = [compiler, standard, *strict, f"-I{fastnn.get_include()}", source, "-o", "use.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    library, net = ctypes.CDLL(tmp_path / "use.so"), NETS["small"]("float32")
    assert library.use(None) == STATUS["NULL"]
    assert library.use(ctypes.c_void_p(embedding.api_address())) == 0
    workspace, (X, _), y = embedding.Workspace(net), rows_for(net, 1), np.empty((1, 1), np.float32)
    pointers = (ctypes.c_void_p(p) for p in (workspace.address, at(X), at(y)))
    assert library.row(*pointers) == 0
    assert y == net.predict(X)
