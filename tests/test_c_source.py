"""Networks as C source: with every installed compiler they predict and train as fastnn does.

Compilations are strict (C99, pedantic, warnings are errors), at several levels, with vectors and
without. Results are compared with `predict` and `train_on_batch` in units of rounding.
"""

import ctypes
import itertools
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastnn import (
    MLP,
    SGD,
    Activation,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    Fits,
    Huber,
    Quantile,
    Standardize,
    _kernels_f32,
    activations,
    fit_many,
    networks,
    to_c,
)
from fastnn.exchange import c_sections
from fastnn.layers import LayerNorm, Residual

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
HIDDEN = list(activations.HIDDEN)
C_TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}
ROWS = 40

pytestmark = pytest.mark.skipif(not COMPILERS, reason="no C compiler")


def built(folder, net, options=("-O2",), compiler=COMPILERS[:1], training=False):
    """Return the library of the source of a network, or several, compiled in its own folder."""
    folder = folder / f"{len(list(folder.iterdir()))}"
    folder.mkdir()
    to_c(net, folder / "net.c", training=training)
    command = [*compiler, *STRICT, *options, "net.c", "-o", "net.so"]  # no -lm
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(folder / "net.so")


def predicted(library, net, X):
    """Return what the library's function gives for every row, and check that it writes no more."""
    out = np.full((len(X) + 1, net.n_out), 7, net.dtype)
    for x, row in zip(X, out, strict=False):
        library.net_predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(row.ctypes.data))
    assert (out[-1] == 7).all()
    return out[:-1]


def close(a, b, dtype):
    """Check that numbers agree to some roundings."""
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def rows_for(n_in, dtype, scale=1.0, n=ROWS):
    return (np.random.default_rng(0).standard_normal((n, n_in)) * scale).astype(dtype)


def network(n_in, layers, dtype="float32", loss="squared_error", **options):
    """Return a network whose biases are not 0."""
    net = MLP(n_in, layers, loss=loss, optimizer=SGD(0.125), dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    net.set_weights([rng.normal(0, 0.3, w.shape) for w in net.get_weights()])
    return net


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_every_activation_predicts_as_fastnn_does(tmp_path, name, dtype):
    """In hidden layers and at the output, of few units and of many, of small sums and large."""
    activation = Activation(name, 0.3) if name in ("elu", "leaky_relu") else name
    for last in (2, 21):
        net = network(5, [Dense(19, activation), Dense(last, activation)], dtype)
        library = built(tmp_path, net)
        for scale in (1e-3, 0.3) if name == "exp" else (1e-3, 1.0, 5.0):
            X = rows_for(5, dtype, scale)
            close(predicted(library, net, X), net.predict(X), dtype)


@pytest.mark.parametrize("dtype", C_TYPES)
def test_every_shape_predicts_as_fastnn_does(tmp_path, dtype):
    for sizes in itertools.product((1, 3, 4, 5, 16, 17, 70), repeat=2):
        net = network(sizes[0], [Dense(sizes[1], "tanh"), Dense(3)], dtype)
        X = rows_for(sizes[0], dtype)
        close(predicted(built(tmp_path, net, ["-O1"]), net, X), net.predict(X), dtype)


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("n_out", [2, 4, 5, 10, 40])
def test_softmax_outputs(tmp_path, n_out, dtype):
    net = network(7, [Dense(9, "relu"), Dense(n_out, "softmax")], dtype, "cross_entropy")
    library = built(tmp_path, net)
    for scale in (1, 300):
        X = rows_for(7, dtype, scale)
        y = predicted(library, net, X)
        close(y, net.predict(X), dtype)
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("units", [2, 30])
def test_standardized_inputs_dropout_and_layers_without_bias(tmp_path, units, dtype):
    layers = [Standardize(), Dropout(0.5), Dense(units, "gelu", use_bias=False), Dense(3)]
    net = network(11, layers, dtype)
    X = rows_for(11, dtype, 3) + 5
    with pytest.raises(ValueError, match="has not seen data"):
        net.to_c(tmp_path / "net.c")
    net.adapt(X)
    close(predicted(built(tmp_path, net), net, X), net.predict(X), dtype)


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("first", [[], [Standardize()]], ids=["", "standardized"])
def test_layer_norms_of_every_width_and_scale(tmp_path, first, dtype):
    for n in (1, 3, 16, 17, 40):
        net = network(n, [*first, LayerNorm(), Dense(n, "tanh"), LayerNorm(1e-30), Dense(2)], dtype)
        if first:
            net.adapt(rows_for(n, dtype))
        library = built(tmp_path, net, ["-O1"])
        for scale in (1e-10, 1, 1e10):
            X = rows_for(n, dtype, scale)
            close(predicted(library, net, X), net.predict(X), dtype)


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("first", [[], [Standardize()]], ids=["", "standardized"])
def test_residuals_predict_as_fastnn_does(tmp_path, first, dtype):
    for n in (2, 16, 19):
        block = [Dense(n + 1, "gelu"), Dropout(0.5), Residual([Dense(n + 1, "tanh")]), Dense(n)]
        layers = [*first, Residual([LayerNorm(), Residual(block)]), Residual([Dropout(0.5)])]
        net = network(n, [*layers, Dense(3)], dtype)
        if first:
            net.adapt(rows_for(n, dtype, 2))
        X = rows_for(n, dtype)
        close(predicted(built(tmp_path, net, ["-O1"]), net, X), net.predict(X), dtype)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("define", ["-DUNUSED", "-DFASTNN_SCALAR"], ids=["vectors", "scalars"])
@pytest.mark.parametrize("options", ["-O0", "-O2", "-O3", "-O3 -march=native", "-Os"])
def test_compilers_and_options(tmp_path, compiler, dtype, define, options):
    """Among them those without vectors, as other compilers have it."""
    layers = [Dense(37, "tanh"), Dense(16, "selu"), Dense(16, "softplus"), LayerNorm()]
    layers = [Residual([LayerNorm()]), Residual(layers), Dense(2, "sigmoid")]
    net = network(16, layers, dtype)
    library = built(tmp_path, net, [*options.split(), define], [compiler], training=True)
    X = rows_for(16, dtype)
    close(predicted(library, net, X), net.predict(X), dtype)


# ---- training ------------------------------------------------------------------------------------

LOSSES = [
    ("squared_error", 3, "identity"),
    ("squared_error", 1, "sigmoid"),
    ("squared_error", 6, "softmax"),
    ("absolute_error", 5, "gelu"),
    (Huber(0.2), 2, "identity"),
    (CrossEntropy(label_smoothing=0.2), 3, "softmax"),
    (BinaryCrossEntropy(label_smoothing=0.2), 3, "sigmoid"),
    (Quantile([0.1, 0.5, 0.9]), 3, "identity"),
    ("poisson", 2, "exp"),
    ("poisson", 7, "softplus"),
    ("gaussian_nll", 4, "identity"),
    ("gaussian_nll", 6, "identity"),
    ("binary_cross_entropy", 1, "sigmoid"),
    ("binary_cross_entropy", 6, "sigmoid"),
    ("cross_entropy", 3, "softmax"),
    ("cross_entropy", 26, "softmax"),
]


def every_activation():
    return [("squared_error", 3, name) for name in HIDDEN]


def step(library, net, weights, x, t, rate=0.125):
    """Return the loss of one step in C."""
    real = C_TYPES[net.dtype.name]
    library.net_step.restype = real
    target = ctypes.c_int(t) if np.ndim(t) == 0 else ctypes.c_void_p(t.ctypes.data)
    return library.net_step(weights, ctypes.c_void_p(x.ctypes.data), target, real(rate))


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize(("loss", "n_out", "last"), [*LOSSES, *every_activation()], ids=str)
def test_steps_are_those_of_stochastic_gradient_descent(tmp_path, loss, n_out, last, dtype):
    """Losses and predictions of ten rows in turn, of a network with few and many units a layer."""
    hidden = last if last in HIDDEN else "tanh"
    layers = [Dense(20, hidden), Dense(3, hidden), Dense(18, "tanh"), Dense(n_out, last)]
    net = network(4, layers, dtype, loss)
    library = built(tmp_path, net, training=True)
    rng = np.random.default_rng(2)
    X = rows_for(4, dtype, n=10)
    if net.loss.name == "cross_entropy":
        targets = rng.integers(n_out, size=10)
    else:
        targets = rng.uniform(0.1, 0.9, (10, net.loss.n_targets(n_out))).astype(dtype)
    weights = trained(library, tmp_path, dtype)
    for x, t in zip(X, targets, strict=True):
        expected = net.train_on_batch(x[None], np.atleast_1d(t) if t.ndim == 0 else t[None])
        close(step(library, net, weights, x, t), expected, dtype)
    assert_predicts(library, weights, net, X)


BELOW_OUTPUT = {
    "norm": [LayerNorm()],
    "norms": [LayerNorm(), Dense(20, "gelu"), LayerNorm(0.1), Dense(3, "tanh"), LayerNorm()],
    "residual": [Residual([Dense(5, "tanh")])],
    "dropout at rate 0": [Dropout(0.0), Dense(5, "tanh"), Residual([Dropout(0.0), Dense(5)])],
    "residuals": [
        Dense(18, "tanh"),
        Residual([Dense(20, "gelu"), Dense(18)]),
        Residual([LayerNorm(), Dense(3, "tanh"), Dense(18, "softplus")]),
    ],
    "nested": [
        Residual([Residual([LayerNorm(), Dense(5, "tanh")])]),
        Dense(3, "tanh"),
        Residual([LayerNorm(), Residual([Residual([Dense(3, "silu")]), Dense(3)]), Dense(3)]),
    ],
}


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("define", ["-DUNUSED", "-DFASTNN_SCALAR"], ids=["vectors", "scalars"])
@pytest.mark.parametrize("name", BELOW_OUTPUT)
def test_steps_through_other_layers(tmp_path, name, define, dtype):
    """All weights after ten steps, each kind of layer being the lowest and in between."""
    net = network(5, [*BELOW_OUTPUT[name], Dense(2)], dtype)
    net.learning_rate = 2.0**-7
    library = built(tmp_path, net, ["-O2", define], training=True)
    X, targets = rows_for(5, dtype, n=10), rows_for(2, dtype, n=10)
    weights = trained(library, tmp_path, dtype)
    for x, t in zip(X, targets, strict=True):
        expected = net.train_on_batch(x[None], t[None])
        close(step(library, net, weights, x, t, net.learning_rate), expected, dtype)
    assert_predicts(library, weights, net, X)


def trained(library, folder, dtype):
    """Return a copy of the weights that a library holds, to train."""
    size = n_bytes(folder, dtype)
    weights = ctypes.create_string_buffer(size)
    ctypes.memmove(weights, (ctypes.c_char * size).in_dll(library, "net_trained"), size)
    return weights


def assert_predicts(library, weights, net, X):
    """Check that a library predicts as a network does, both trained by ten steps."""
    out = np.empty((len(X), net.n_out), net.dtype)
    for x, row in zip(X, out, strict=True):
        library.net_predict_with(
            weights, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(row.ctypes.data)
        )
    tolerance = 2000 * np.finfo(net.dtype).eps
    np.testing.assert_allclose(out, net.predict(X), rtol=tolerance, atol=tolerance)


def n_bytes(folder, dtype):
    """Return the size of the struct of weights, from the header."""
    [header] = folder.rglob("net.h")
    sizes = re.findall(r"^    (?:float|double) \w+\[(\d+)\]", header.read_text(), re.MULTILINE)
    return sum(map(int, sizes)) * np.dtype(dtype).itemsize


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ([Dropout(0.1), Dense(1)], "layers[0] (Dropout(rate=0.1)) is dropout"),
        ([Dense(2, l2=0.1), Dense(1)], "has a penalty"),
        ([Dense(2), Dense(1, trainable=False)], "is frozen"),
        ([Dense(2, learning_rate_multiplier=4.0), Dense(1)], "has a learning rate of its own"),
        ([Dense(2), LayerNorm(trainable=False), Dense(1)], "is frozen"),
        (
            [Residual([Residual([Dense(3), Dropout(0.1)])]), Dense(1)],
            "layers[0].layers[0].layers[1] (Dropout(rate=0.1)) is dropout",
        ),
    ],
)
def test_what_a_step_in_c_lacks_is_refused(tmp_path, layers, problem):
    net = MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0)
    with pytest.raises(ValueError, match=re.escape(problem)):
        net.to_c(tmp_path / "net.c", training=True)
    assert list(tmp_path.iterdir()) == []
    net.to_c(tmp_path / "net.c")


# ---- files ---------------------------------------------------------------------------------------


def test_names(tmp_path):
    net = network(2, [Dense(1)])
    net.to_c(tmp_path / "my-net.c", name="prices")
    source = (tmp_path / "my-net.c").read_text()
    assert '#include "my-net.h"' in source
    assert source.startswith("/* my-net.c - ")
    assert "void prices_predict(const float *x, float *out)" in source
    assert "PRICES_N_IN = 2" in (tmp_path / "my-net.h").read_text()
    net.to_c(str(tmp_path / "digits"))
    assert {p.name for p in tmp_path.iterdir()} == {"my-net.c", "my-net.h", "digits.c", "digits.h"}


@pytest.mark.parametrize(
    ("path", "name", "error", "message"),
    [
        ("my-net.c", None, ValueError, "pass name=, or rename the file; got 'my-net'"),
        ("net.c", "2nd", ValueError, "name must be a C identifier, such as 'digits'"),
        ("net.c", "float", ValueError, "got 'float'"),
        ("net.c", "Fastnn", ValueError, "FASTNN_N_OUT, which fastnn.h has; pass another name="),
        ("fastnn.c", None, ValueError, "which fastnn.h has; pass name=, or rename the file"),
        ("net.c", 3, TypeError, "name must be a str; got 3"),
        (3, None, TypeError, "path must be a str or a path; got 3"),
        ("net.v2", None, ValueError, "path must end with '.c' or have no ending; got 'net.v2'"),
    ],
)
def test_invalid_names_are_refused(tmp_path, monkeypatch, path, name, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(message)):
        network(2, [Dense(1)]).to_c(path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_header_may_be_included_after_others_of_its_name(tmp_path):
    """The guard of another header may be the name of the network: libpng's is PNG_H."""
    network(2, [Dense(1)]).to_c(tmp_path / "net.c", name="png")
    network(2, [Dense(1)]).to_c(tmp_path / "png.c", name="Png_2")
    program = '#define PNG_H\n#include "net.h"\n#include "png.h"\n'
    program += "void both(const float *, float *);\n"
    program += "void both(const float *x, float *y) { png_predict(x, y); Png_2_predict(x, y); }\n"
    (tmp_path / "both.c").write_text(program)
    command = [COMPILERS[0], *STRICT, "net.c", "png.c", "both.c", "-o", "both.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("loss", "size"), [("squared_error", ""), ("gaussian_nll", " / 2")])
def test_a_header_tells_the_number_of_targets(tmp_path, loss, size):
    network(2, [Dense(4)], loss=loss).to_c(tmp_path / "net.c", training=True)
    assert f"its target t (NET_N_OUT{size})." in (tmp_path / "net.h").read_text()


@pytest.mark.parametrize("name", ["affine", "dots", "layer_norm"])
def test_a_name_that_a_function_has_is_refused(tmp_path, name):
    net = network(3, [Dense(8, "relu"), LayerNorm(), Dense(1)])
    with pytest.raises(ValueError, match=f"name='{name}' gives a function the name {name}_step"):
        net.to_c(tmp_path / "net.c", name=name, training=True)
    assert list(tmp_path.iterdir()) == []
    net.to_c(tmp_path / "net.c", name=name)


def test_the_same_network_gives_the_same_text(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        network(3, [Dense(5, "tanh"), Dense(2)]).to_c(tmp_path / folder / "net.c", training=True)
    for name in ("net.c", "net.h"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_source_has_no_function_that_it_does_not_use(tmp_path):
    net = network(3, [Dense(20, "relu"), Dense(5)])
    net.to_c(tmp_path / "net.c")
    text = (tmp_path / "net.c").read_text()
    for name in ("vexp", "vtanh", "dots", "softmax", "affine_step", "LN2", "SELU", "norm", "_sum"):
        assert name not in text.partition("*/")[2]
    assert "affine" in text


def test_a_full_disk_leaves_both_old_files(tmp_path):
    """The header fits on the disk, the source does not."""
    code = """
import resource, signal
from fastnn import MLP, Dense
def network(n_in):
    return MLP(n_in, [Dense(300), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
network(2).to_c("net.c")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    network(50).to_c("net.c")
except OSError as error:
    print(error.strerror)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "File too large\n"
    assert {p.name for p in tmp_path.iterdir()} == {"net.c", "net.h"}
    assert "NET_N_IN = 2," in (tmp_path / "net.h").read_text()
    compiled = [COMPILERS[0], *STRICT, "net.c", "-o", "net.so"]
    subprocess.run(compiled, cwd=tmp_path, check=True)


def test_a_header_of_another_network_does_not_compile(tmp_path):
    """The same network with other weights has the same header, so its source alone may change."""
    layers = [Dense(3, "tanh"), Dense(1)]
    networks = {"a": network(2, layers), "b": network(3, layers), "c": network(2, layers)}
    networks["c"].set_weights([w + 1 for w in networks["c"].get_weights()])
    for name, net in networks.items():
        (tmp_path / name).mkdir()
        net.to_c(tmp_path / name / "net.c")
    source = tmp_path / "a" / "net.c"
    for other, fits in (("b", False), ("c", True)):
        (tmp_path / "a" / "net.h").write_bytes((tmp_path / other / "net.h").read_bytes())
        command = [COMPILERS[0], *STRICT, str(source), "-o", str(tmp_path / "net.so")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == fits
        assert fits or "net.h is of another network" in done.stderr


def test_several_networks_in_one_program(tmp_path):
    """And a header included twice."""
    for i, name in enumerate(("one", "two")):
        network(2, [Dense(3 + 20 * i, "tanh"), Dense(1)]).to_c(
            tmp_path / f"{name}.c", training=True
        )
    (tmp_path / "main.c").write_text(
        '#include "one.h"\n#include "one.h"\n#include "two.h"\n#include <stdio.h>\n'
        "int main(void) {\n    float x[ONE_N_IN] = {1, 2}, a[ONE_N_OUT], b[TWO_N_OUT];\n"
        '    one_predict(x, a);\n    two_predict(x, b);\n    printf("%.9g %.9g", a[0], b[0]);\n'
        "    return 0;\n}\n"
    )
    command = [COMPILERS[0], *STRICT[:5], "main.c", "one.c", "two.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    output = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    X = np.array([[1, 2]], np.float32)
    expected = [network(2, [Dense(n, "tanh"), Dense(1)]).predict(X)[0, 0] for n in (3, 23)]
    close(np.array(output.split(), float), expected, "float32")


# ---- marked sections of the headers -------------------------------------------------------------


def test_every_activation_and_loss_has_a_section():
    known = c_sections.sections().keys()
    for name in activations.NAMES:
        activation = activations.get(name)
        assert activation.is_linear or name in known, f"{name} has no section in activations.h"
        assert not activation.is_row_wise or f"{name}_backward" in known
    for loss, activation in _kernels_f32.registry()["losses"]:
        assert loss in known or f"{loss}_{activation}" in known, f"{loss} has none in losses.h"


@pytest.mark.parametrize("name", c_sections.sections())
@pytest.mark.parametrize("define", ["-DVECTORS", "-DFASTNN_SCALAR"])
def test_a_section_compiles_with_what_it_needs(tmp_path, name, define):
    """So what it needs is all there; strictly, for both precisions."""
    text = "\n".join(section.text for section in c_sections.needed([name]))
    (tmp_path / "section.c").write_text(text)
    for bits in (32, 64):
        command = [COMPILERS[0], *STRICT, "-Wno-unused", define, f"-DFASTNN_BITS={bits}"]
        done = subprocess.run(
            [*command, "section.c", "-o", "section.so"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_a_section_is_its_lines_of_the_header():
    text = "a\n/* c-source: begin f */\nf\n/* c-source: end */\nb\n"
    text += "/* c-source: begin g (needs f, h) */\ng1\n\ng2\n/* c-source: end */\n"
    assert c_sections.sections_in(text) == {
        "f": c_sections.Section("f", (), "f\n"),
        "g": c_sections.Section("g", ("f", "h"), "g1\n\ng2\n"),
    }


BEGIN, END = "/* c-source: begin f */\n", "/* c-source: end */\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BEGIN, "section f has no end"),
        (END, "line 1 ends no section"),
        (BEGIN + BEGIN, "line 2 begins a section inside of f"),
        (BEGIN + END + BEGIN, "line 3 begins f a second time"),
        ("/* c-source: begin */\n", "line 1 is no marker"),
        ("/* c-source: begin f needs g */\n", "line 1 is no marker"),
        (BEGIN + "  /* c-source: end */\n", "line 2 is no marker"),
    ],
)
def test_markers_that_do_not_fit_are_named(text, message):
    with pytest.raises(AssertionError, match=message):
        c_sections.sections_in(text)


def test_sections_come_after_what_they_need():
    names = [section.name for section in c_sections.needed(["silu", "cross_entropy"])]
    assert names[0] == "base"
    assert len(set(names)) == len(names)
    for i, name in enumerate(names):
        assert set(c_sections.sections()[name].needs) <= set(names[:i])


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("standard", ["c++17", "c++20"])
def test_a_source_is_c_plus_plus_as_well(tmp_path, dtype, standard):
    layers = [Dense(20, "gelu"), LayerNorm(), Residual([Dense(20, "tanh")]), Dense(4, "softmax")]
    net = network(3, layers, dtype, "cross_entropy")
    net.to_c(tmp_path / "net.c", training=True)
    command = ["g++", "-x", "c++", f"-std={standard}", *STRICT[2:], "net.c", "-o", "net.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    X = rows_for(3, dtype)
    close(predicted(ctypes.CDLL(tmp_path / "net.so"), net, X), net.predict(X), dtype)


# ---- several networks ---------------------------------------------------------------------------


def several(dtype="float32", groups=None):
    """Return three trained networks, and their rows."""
    layers = [Standardize(), Dense(19, "silu"), Dropout(0.1), Dense(3, "softmax")]
    net = MLP(5, layers, loss="cross_entropy", optimizer="adam", seed=0, dtype=dtype)
    X = rows_for(5, dtype)
    net.adapt(X)
    y = np.arange(ROWS) % 3
    nets = networks(net, n=3) if groups is None else [net.copy() for _ in range(3)]
    return fit_many(nets, X, y, epochs=3, groups=groups), X


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_several_networks_predict_their_mean(tmp_path, compiler, dtype):
    fits, X = several(dtype)
    library = built(tmp_path, fits, compiler=[compiler])
    close(predicted(library, fits[0], X), fits.predict(X, "mean"), dtype)
    library = built(tmp_path, list(fits)[:2])
    mean = (fits[0].predict(X) + fits[1].predict(X)) / 2
    close(predicted(library, fits[0], X), mean, dtype)


def test_networks_that_are_not_trained_are_left_out(tmp_path):
    nets = networks(network(5, [Dense(3)]), learning_rate=[0.01, 1e9, 0.02])
    X = rows_for(5, "float32")
    fits = fit_many(nets, X, X[:, :3], epochs=3, on_error="record")
    assert fits.is_trained.tolist() == [True, False, True]
    library = built(tmp_path, fits)
    close(predicted(library, fits[0], X), fits.predict(X, "mean"), "float32")


def test_several_networks_that_have_no_mean_are_refused(tmp_path):
    fits, X = several()
    path = tmp_path / "net.c"
    with pytest.raises(ValueError, match="training=True is for one network, but there are 3"):
        to_c(fits, path, training=True)
    other = fits[0].copy()
    other.adapt(2 * X)
    with pytest.raises(ValueError, match="Standardize layers have seen different rows"):
        to_c([fits[0], other], path)
    with pytest.raises(ValueError, match=r"net\[1\] differs from net\[0\] in its dtype"):
        to_c([fits[0], fits[1].copy(dtype="float64")], path)
    for name, value in (("classes", list("abc")), ("feature_names", list("abcde"))):
        other = fits[1].copy()
        setattr(other, name, value)
        with pytest.raises(ValueError, match=rf"net\[1\] differs from net\[0\] in its {name}"):
            to_c([fits[0], other], path)
    with pytest.raises(ValueError, match="none of these networks is trained"):
        to_c(Fits(list(fits)), path)
    with pytest.raises(ValueError, match="net has no networks"):
        to_c([], path)
    with pytest.raises(TypeError, match=r"net\[0\] must be an MLP"):
        to_c(["net"], path)
    fits, _ = several(groups=np.arange(ROWS) % 3)
    with pytest.raises(ValueError, match="a network for each group of rows"):
        to_c(fits, path)
    assert not list(tmp_path.iterdir())
