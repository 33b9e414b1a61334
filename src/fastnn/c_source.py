"""Networks as C source: one file and its header, with the weights in them, for any C99 compiler.

The arithmetic is not written once more: functions of one vector come from the sources of the
kernels (engine/simd/), those that the network uses; the sums of a layer,
and what makes vectors of other compilers, from c_source.h. A new activation or loss needs nothing
here.

Here: which functions a network needs, and the text between them. Not here: what C programs call in
a Python process (embedding.py).
"""

import os
import re
from pathlib import Path

import numpy as np

from fastnn import _checks, _files, _kernels_f32
from fastnn.layers import Dropout, Standardize

_HERE = Path(__file__).parent
_SOURCES = (
    "engine/simd/vmath.h",
    "c_source.h",
    "engine/simd/activations.h",
    "engine/simd/losses.h",
)

#: Losses that are computed from what goes into the last layer's activation, with that.
_PAIRED = [pair for pair in _kernels_f32.registry()["losses"] if pair[1] is not None]

#: Layers of up to so many outputs are dot products, as padding them would be a waste.
_FEW = 4


def to_c(net, path, *, name=None, training=False):
    """Write a network to a C file and its header; see `MLP.to_c`."""
    path = Path(_checks.c_path("path", path))
    name = _checks.c_name("name", path.stem if name is None else name, by_path=name is None)
    training = _checks.flag("training", training)
    _checks.adapted(net.standardization is not None or Standardize not in map(type, net.layers))
    if training:
        _checks.plain_descent(net.layers, Dropout)
    writer = _Writer(net, name, training)
    header = path.with_suffix(".h")
    texts = {header: writer.header(header.name), path: writer.source(path.name, header.name)}
    for place, text in texts.items():
        with _files.replacing(os.fspath(place)) as file:
            file.write(text.encode())


class _Writer:
    """The texts of one network's files."""

    def __init__(self, net, name, training):
        self.net, self.name, self.training = net, name, training
        self.real = "float" if net.dtype == np.float32 else "double"
        self.panel = 64 // net.dtype.itemsize
        self.functions = _functions()
        self.inputs = [net.n_in, *(layer.units for layer in net.dense)]

    # ---- shapes ---------------------------------------------------------------------------------

    def padded(self, n):
        """Return n columns, rounded up to whole panels."""
        return -(-n // self.panel) * self.panel

    def is_few(self, i):
        """Whether layer i is dot products, its weights (n_out, n_in padded)."""
        return self.net.dense[i].units <= _FEW

    def size(self, i):
        """Return the numbers in layer i's weights."""
        n_in, n_out = self.inputs[i : i + 2]
        return n_out * self.padded(n_in) if self.is_few(i) else n_in * self.padded(n_out)

    def members(self):
        """Yield the weights' arrays: name, numbers, and what they are."""
        for i, layer in enumerate(self.net.dense):
            n_in, n_out = self.inputs[i : i + 2]
            if self.is_few(i):
                what = f"({n_out}, {n_in} padded to {self.padded(n_in)})"
            else:
                what = f"({n_in}, {n_out} padded to {self.padded(n_out)})"
            yield f"W{i}", self.size(i), what
            if layer.use_bias:
                yield f"b{i}", self.padded(n_out), f"({n_out} padded)"

    def arrays(self):
        """Yield the values of the weights' arrays, padded with zeros."""
        values = iter(self.net.get_weights())
        for i, layer in enumerate(self.net.dense):
            W = next(values)
            W = W.T if self.is_few(i) else W
            yield np.pad(W, ((0, 0), (0, self.padded(W.shape[1]) - W.shape[1]))).ravel()
            if layer.use_bias:
                b = next(values)
                yield np.pad(b, (0, self.padded(len(b)) - len(b)))

    # ---- the header -----------------------------------------------------------------------------

    def head(self, file):
        """Return the comment that both files begin with."""
        from fastnn import __version__

        sizes = "-".join(map(str, self.inputs))
        return (
            f"/* {file} - a network of {sizes} units, as C source by fastnn {__version__}.\n"
            " *\n"
            " * C99 without any library. Nothing is allocated, and any number of threads may call\n"
            " * at once. Fast with -O3 and the instruction set of the machine, such as\n"
            " * -march=native; not with -ffast-math, which would break exp and tanh. */\n"
        )

    def declarations(self):
        """Return the signatures of the functions, with what they do."""
        name, real = self.name, self.real
        found = [
            f"/* out ({name.upper()}_N_OUT numbers) = the outputs for x ({name.upper()}_N_IN). */\n"
            f"void {name}_predict(const {real} *x, {real} *out);\n"
        ]
        if self.training:
            is_class = self.net.loss.targets == "class"
            target = "int label" if is_class else f"const {real} *t"
            shape = "the class" if is_class else f"t ({name.upper()}_N_OUT)"
            found += [
                f"/* Weights of your own to go on training with: {name}_weights mine = "
                f"{name}_trained; */\nextern const {name}_weights {name}_trained;\n",
                f"void {name}_predict_with(const {name}_weights *weights, const {real} *x, "
                f"{real} *out);\n",
                f"/* One step of stochastic gradient descent on one row: x, and {shape} it should\n"
                " * give. Returns the row's loss before it. One thread at a time. */\n"
                f"{real} {name}_step({name}_weights *weights, const {real} *x, {target},\n"
                f"    {real} learning_rate);\n",
            ]
        return found

    def weights_type(self):
        """Return the struct of the weights."""
        lines = [f"    {self.real} {n}[{size}]; /* {what} */" for n, size, what in self.members()]
        return "\n".join([f"typedef struct {self.name}_weights {{", *lines,
                          f"}} {self.name}_weights;\n"])  # fmt: skip

    def header(self, file):
        """Return the text of the header, a file of this name."""
        name, guard = self.name, f"{self.name.upper()}_H"
        parts = [
            self.head(file) + f"#ifndef {guard}\n#define {guard}\n\n"
            '#ifdef __cplusplus\nextern "C" {\n#endif\n',
            f"enum {{ {name.upper()}_N_IN = {self.net.n_in}, "
            f"{name.upper()}_N_OUT = {self.net.n_out} }};\n",
            *([self.weights_type()] if self.training else []),
            *self.declarations(),
            "#ifdef __cplusplus\n}\n#endif\n",
            "#endif\n",
        ]
        return "\n".join(parts)

    # ---- the source -----------------------------------------------------------------------------

    def source(self, file, header):
        """Return the text of the C file."""
        functions = self.predict_functions() + (self.step_function() if self.training else [])
        bits = 8 * self.net.dtype.itemsize
        parts = [
            self.head(file) + f'#include "{header}"\n',
            f"#define FASTNN_BITS {bits}\n",
            *_needed(self.functions, "\n".join(functions)),
            *([] if self.training else [self.weights_type()]),
            self.weights(),
            *functions,
        ]
        return "\n".join(parts)

    def weights(self):
        """Return the definition of the weights."""
        name, found = self.name, []
        if self.net.standardization is not None:
            mean, scale = self.net.standardization
            found += [self.constant("mean", mean), self.constant("inverse", 1 / scale)]
        if self.training and self.parameter is not None:
            found.append(self.constant("parameter", self.parameter))
        values = [
            "    {" + self.numbers(array) + "}" for array in self.arrays()
        ]  # in the order of the members
        scope = "const" if self.training else "static const"
        body = ",\n".join(values)
        return "".join([*found, f"{scope} {name}_weights {name}_trained = {{\n{body}}};\n"])

    @property
    def parameter(self):
        """The loss's parameter for each output, or None."""
        return self.net.loss.parameter(self.net.n_out)

    def constant(self, name, values):
        """Return the definition of an array, padded with zeros."""
        values = np.asarray(values, self.net.dtype)
        values = np.pad(values, (0, self.padded(len(values)) - len(values)))
        return f"static const real {name}[{len(values)}] = {{{self.numbers(values)}}};\n\n"

    def numbers(self, array):
        """Return numbers as C has them, with as many digits as tell them from their neighbours."""
        suffix = "f" if self.real == "float" else ""
        texts = [text + suffix for text in array.astype(str).tolist()]
        lines = (", ".join(texts[i : i + 6]) for i in range(0, len(texts), 6))
        return ",\n     ".join(lines)

    def predict_functions(self):
        """Return the functions that predict."""
        name, real, n = self.name, self.real, len(self.net.dense)
        scope = "" if self.training else "static "
        body = [
            *self.forward(self.net.dense[-1].activation, slopes=False),
            f"for (int j = 0; j < {self.net.n_out}; j++) out[j] = z{n}[j];",
        ]
        return [
            f"{scope}void {name}_predict_with(const {name}_weights *weights, const {real} *x, "
            f"{real} *out) {{\n{_indented(body)}}}\n",
            f"void {name}_predict(const {real} *x, {real} *out) {{\n"
            f"    {name}_predict_with(&{name}_trained, x, out);\n}}\n",
        ]

    def forward(self, last, slopes):
        """Yield the lines that compute all layers; `last` is the last one's activation, or None."""
        n_in = self.net.n_in
        if self.net.standardization is not None:
            yield f"real z0[{self.padded(n_in)}] = {{0}};"
            yield f"for (int k = 0; k < {n_in}; k++) z0[k] = (x[k] - mean[k]) * inverse[k];"
        elif self.is_few(0):  # which reads whole panels
            yield f"real z0[{self.padded(n_in)}] = {{0}};"
            yield f"for (int k = 0; k < {n_in}; k++) z0[k] = x[k];"
        else:
            yield "const real *z0 = x;"
        for i, layer in enumerate(self.net.dense):
            n_in, n_out = self.inputs[i : i + 2]
            padded = self.padded(n_out)
            b = f"weights->b{i}" if layer.use_bias else "NULL"
            yield f"real z{i + 1}[{padded}];"
            if self.is_few(i):
                yield (f"dots({self.padded(n_in)}, {n_out}, z{i}, weights->W{i}, {b}, z{i + 1});")
                yield self.zeros(f"z{i + 1}", n_out)
            else:
                yield f"affine({n_in}, {padded}, z{i}, weights->W{i}, {b}, z{i + 1});"
            activation = last if layer is self.net.dense[-1] else layer.activation
            if activation is not None:
                yield from self.activated(i + 1, activation, n_out, slopes)

    def zeros(self, array, n):
        """Return the line that sets an array's padding behind n numbers to 0."""
        return f"for (int j = {n}; j < {self.padded(n)}; j++) {array}[j] = 0;"

    def activated(self, i, activation, n_out, slopes):
        """Yield the lines that apply an activation to z_i."""
        name, padded = activation.name, self.padded(n_out)
        if name == "softmax":
            yield f"softmax({n_out}, {padded}, z{i});"
        elif name != "identity":
            keeps = self.keeps_slope(name)
            if keeps and slopes:
                yield f"real slope{i}[{padded}];"
            yield f"for (int j = 0; j < {padded}; j += LANES) {{"
            if keeps:
                yield f"    vec slope, value = {name}_value(load(z{i} + j), &slope);"
                if slopes:
                    yield f"    store(slope{i} + j, slope);"
            else:
                alpha = self.alpha(activation)
                yield f"    vec value = {name}_value(load(z{i} + j), {alpha});"
            yield f"    store(z{i} + j, value);"
            yield "}"
        if padded > n_out and name != "identity":
            yield self.zeros(f"z{i}", n_out)

    def keeps_slope(self, name):
        """Whether an activation's derivative is computed beside its value."""
        return f"{name}_slope" not in self.functions and name not in ("identity", "softmax")

    def alpha(self, activation):
        """Return an activation's parameter as C has it."""
        value = self.net.dtype.type(activation.parameter or 0.0)
        return f"splat((real){value!s})"

    # ---- training -------------------------------------------------------------------------------

    def step_function(self):
        """Return the function that trains."""
        name, real = self.name, self.real
        target = "int label" if self.net.loss.targets == "class" else f"const {real} *t"
        last = None if self.is_paired else self.net.dense[-1].activation
        body = [
            *self.forward(last, slopes=True),
            *(self.cross_entropy() if self.net.loss.name == "cross_entropy" else self.loss()),
            *self.backward(),
            "return loss;",
        ]
        return [
            f"{real} {name}_step({name}_weights *weights, const {real} *x, {target},\n"
            f"    {real} learning_rate) {{\n{_indented(body)}}}\n"
        ]

    @property
    def pair(self):
        """The names of the loss and the last layer's activation."""
        return self.net.loss.name, self.net.dense[-1].activation.name

    @property
    def is_paired(self):
        """Whether the loss takes what goes into that activation, and gives delta at once."""
        return self.pair in _PAIRED

    def cross_entropy(self):
        """Yield the lines of the loss and the delta of a softmax layer."""
        n, n_out = len(self.net.dense), self.net.n_out
        padded = self.padded(n_out)
        yield f"real logit = z{n}[label], delta{n}[{padded}] = {{0}};"
        yield f"real loss = softmax({n_out}, {padded}, z{n}) - logit;"
        yield f"for (int j = 0; j < {n_out}; j++) delta{n}[j] = z{n}[j];"
        yield f"delta{n}[label] -= 1;"

    def loss(self):
        """Yield the lines of any other loss and the last layer's delta."""
        n, n_out = len(self.net.dense), self.net.n_out
        padded = self.padded(n_out)
        function = "_".join(self.pair)
        function = function if function in self.functions else self.net.loss.name
        parameter = "splat(0)" if self.parameter is None else "load(parameter + j)"
        yield f"real target[{padded}] = {{0}}, losses[{padded}], delta{n}[{padded}], loss = 0;"
        yield f"for (int j = 0; j < {n_out}; j++) target[j] = t[j];"
        yield f"for (int j = 0; j < {padded}; j += LANES) {{"
        yield "    vec slope;"
        yield f"    store(losses + j, {function}(load(z{n} + j), load(target + j), {parameter}, "
        yield "                              &slope));"
        yield f"    store(delta{n} + j, slope);"
        yield "}"
        yield f"for (int j = 0; j < {n_out}; j++) loss += losses[j];"
        yield self.zeros(f"delta{n}", n_out)
        if not self.is_paired:
            yield from self.through(n, self.net.dense[-1].activation)

    def through(self, i, activation):
        """Yield the lines that take delta_i through an activation, backwards."""
        name, n_out = activation.name, self.inputs[i]
        if name == "identity":
            return
        if name == "softmax":
            yield f"softmax_backward({n_out}, z{i}, delta{i});"
            return
        slope = f"load(slope{i} + j)"
        if not self.keeps_slope(name):
            slope = f"{name}_slope(load(z{i} + j), {self.alpha(activation)})"
        yield f"for (int j = 0; j < {self.padded(n_out)}; j += LANES)"
        yield f"    store(delta{i} + j, load(delta{i} + j) * {slope});"

    def backward(self):
        """Yield the lines that update every layer, the last one first."""
        for i in reversed(range(len(self.net.dense))):
            n_in, n_out = self.inputs[i : i + 2]
            below = "NULL" if i == 0 else f"delta{i}"
            if i > 0:
                yield f"real delta{i}[{self.padded(n_in)}] = {{0}};"
            b = f"weights->b{i}" if self.net.dense[i].use_bias else "NULL"
            if self.is_few(i):
                call, sizes = "dots_step", f"{self.padded(n_in)}, {n_out}"
            else:
                call, sizes = "affine_step", f"{n_in}, {self.padded(n_out)}"
            yield f"{call}({sizes}, learning_rate, z{i}, delta{i + 1}, weights->W{i}, {b},"
            yield f"    {below});"
            if i > 0:
                yield from self.through(i, self.net.dense[i - 1].activation)


def _indented(lines):
    return "".join(f"    {line}\n" for line in lines)


# ---- functions from the kernels' sources ---------------------------------------------------------


def _functions():
    """Return the functions and macros of the sources by name, in their order, with their comments.

    What stands before the first one, under the names "" and "maths", goes before all.
    """
    found = {}
    for source in _SOURCES:
        text = (_HERE / source).read_text(encoding="utf-8")
        if source == "c_source.h":
            found[""], _, text = text.partition("/* the rest */\n")
        elif source == "engine/simd/vmath.h":
            start = re.search(r"^(/\*.*\n)?INLINE", text, re.MULTILINE).start()
            head, text = text[:start], text[start:]
            found["maths"] = head.partition('#include "real.h"\n')[2].strip() + "\n"
        for match in re.finditer(_FUNCTION, text):
            found.setdefault(match["function"] or match["macro"], match[0].lstrip("\n"))
    return found


_FUNCTION = re.compile(
    r"^(?:/\*(?:[^*]|\*(?!/))*\*/\n)?"  # a comment right above
    r"(?:INLINE \w+ (?P<function>\w+)\([^{]*\{(?:[^\n]*\}$|.*?^\}$)\n"
    r"|#define (?P<macro>\w+) [^\n]*\n)",
    re.MULTILINE | re.DOTALL,
)


def _needed(functions, text):
    """Return the functions that a text calls, and those that these call, before all the heads."""
    names, waiting = set(), [text]
    while waiting:
        words = set(re.findall(r"\w+", waiting.pop())) & functions.keys() - names
        names |= words
        waiting += [functions[word] for word in words]
    found = [functions[name] for name in functions if name in names - {"", "maths"}]
    uses_maths = any("LN2_HIGH" in part or "BIAS" in part for part in found)
    return [functions[""], *([functions["maths"]] if uses_maths else []), *found]
