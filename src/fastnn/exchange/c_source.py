"""Networks as C source: a C file with the weights and its header, for any C99 compiler.

Several networks with the same layers share the functions, and each has its own weights.

The C file holds the functions from the kernels' headers that the network needs (c_sections.py), the
weights, and functions that call the former in the order of the layers (c_stages.py). If a network
has a recipe for a table, another function encodes a row of the table (tabular/c_columns.py).

Here: the text of the files, and the loss of a step. Not here: calling a network from C within a
Python process (fastnn.embedding).
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files, _kernels_f32
from fastnn.exchange.c_base import Lines, Member, Precision, Stage, Values
from fastnn.exchange.c_sections import needed, sections
from fastnn.exchange.c_stages import RULES, Activated
from fastnn.exchange.parts import Array, parts, rule_for
from fastnn.exchange.together import Networks, inputs_of, networks_of
from fastnn.layers import Dropout, Ensemble
from fastnn.losses import Loss

if TYPE_CHECKING:
    from fastnn.mlp import MLP
    from fastnn.tabular.c_columns import Encoding

#: Pairs of a loss and an output activation where the loss is computed from the pre-activation.
_PAIRED = [pair for pair in _kernels_f32.registry()["losses"] if pair[1] is not None]


def to_c(net: Networks, path: Any, *, name: str | None = None, training: bool = False) -> None:
    """Write a network, or the mean of several, as a C file and a header, as `MLP.to_c` does.

    Parameters
    ----------
    net : MLP, Fits, list of MLP, or fitted estimator or Pipeline
        An estimator of ``fastnn.sklearn`` or scikit-learn, or a pipeline of scalers and such an
        estimator, is converted by `from_sklearn`; ensembles and estimators for tables stand for
        their networks, a Fits for its networks that were trained to their end. Several networks
        must have the same layers, classes, names of columns and recipe for a table; the outputs
        are then the mean of theirs.
    path : str or path
        The C file, ending with ".c"; the header beside it has the same name.
    name : str, optional
        Prefix of the names in the source; by default the name of the file.
    training : bool, default False
        Whether to write a function for a training step, too; not for several networks, nor for one
        with an Ensemble.

    Raises
    ------
    TypeError
        If `net` is neither an MLP nor such an estimator.
    ValueError
        If the estimator is not fitted, no network of a Fits is trained, several networks differ in
        more than their weights, or for the reasons that `MLP.to_c` names.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), MLPClassifier(10, tol=0.1)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.to_c(pipeline, f"{folder}/iris.c")
    ...     sorted(os.listdir(folder))
    ['iris.c', 'iris.h']
    """
    nets = networks_of(net)
    source, header = map(Path, _checks.c_paths("path", path, inputs_of(nets)))
    name = _checks.c_name("name", source.stem if name is None else name, by_path=name is None)
    training = _checks.flag("training", training)
    precision = Precision(nets[0].dtype)
    stages = [_stages(each, precision) for each in nets]
    if training:
        _checks.one_to_train("training=True", len(nets))
        _checks.plain_descent(nets[0].layers, Dropout, Ensemble)
        _checks.in_kernels("training=True", nets[0].loss, "write the network for predictions")
    from fastnn.tabular.c_columns import encoding_of  # rarely needed

    encoding = encoding_of(nets, name, precision.real)
    writer = _Writer(nets[0], stages, precision, name, training, encoding)
    _replace(header, writer.header(header.name), source, writer.source(source.name, header.name))


def _replace(header: Path, declared: str, source: Path, defined: str) -> None:
    """Write both files, and replace the old ones only once both are on the disk; the source first.

    If only the source is replaced, as by a power failure, it does not compile with the old header.
    """
    with _files.replacing(header) as one, _files.replacing(source) as other:
        for file, text in ((one, declared), (other, defined)):
            file.write(text.encode())
            _files.sync(file)


def _stages(net: "MLP", precision: Precision) -> list[Stage]:
    """Return the stages of all layers of a network."""
    return [
        stage
        for part in parts(net)
        for stage in rule_for(RULES, part, "to_c cannot write")(part, precision)
    ]


class _Writer:
    """Writes the texts of the two files of a network, or of several with the same layers."""

    def __init__(
        self,
        net: "MLP",
        stages: list[list[Stage]],
        precision: Precision,
        name: str,
        training: bool,
        encoding: "Encoding | None" = None,
    ) -> None:
        self.net, self.stages, self.precision = net, stages[0], precision
        self.name, self.training, self.real = name, training, precision.real
        self.encoding = encoding
        self.n_nets, self.values = len(stages), [_members(each) for each in stages]
        self.members = self.values[0]
        self.loss = _LossLines(net.loss, net.n_out, self.stages, precision)
        constants = [_constants(each) for each in stages]
        self.constants = constants[0]
        for each in constants:
            _checks.same_constants("to_c", constants[0], each)
        self.sections = "\n".join(section.text for section in needed(self.section_names()))
        _checks.c_name_is_free("name", name, self.sections, encoding is not None)

    # ---- the header -----------------------------------------------------------------------------

    def head(self, file: str) -> str:
        """Return the head comment of both files."""
        from fastnn import __version__

        sizes = "-".join(map(str, [self.net.n_in, *(layer.units for layer in self.net.dense)]))
        what = "a network" if self.n_nets == 1 else f"the mean of {self.n_nets} networks"
        return (
            f"/* {file} - {what} of {sizes} units, as C source by fastnn {__version__}.\n"
            " *\n"
            " * C99 without any library. Nothing is allocated, and any number of threads may call\n"
            " * at once. Fast with -O3 and the instruction set of the machine, such as\n"
            " * -march=native; not with -ffast-math, which would break exp and tanh. */\n"
        )

    def declarations(self) -> list[str]:
        """Return the declarations of the functions, with comments."""
        name, real = self.name, self.real
        found = [
            f"/* out ({name.upper()}_N_OUT numbers) = the outputs for x ({name.upper()}_N_IN). */\n"
            f"void {name}_predict(const {real} *x, {real} *out);\n"
        ]
        if self.training:
            shape = "class" if self.loss.has_classes else f"target t ({self.target_size()})"
            found += [
                f"/* Weights of your own to continue the training: {name}_weights mine = "
                f"{name}_trained; */\nextern const {name}_weights {name}_trained;\n",
                f"void {name}_predict_with(const {name}_weights *weights, const {real} *x, "
                f"{real} *out);\n",
                f"/* One step of stochastic gradient descent on one row: x and its {shape}.\n"
                " * Returns the row's loss before the step. One thread at a time. */\n"
                f"{self.step_signature()};\n",
            ]
        return found

    def target_size(self) -> str:
        """Return the number of targets of a row: that of the outputs, or half of it."""
        n_out = f"{self.name.upper()}_N_OUT"
        return n_out if self.loss.n_targets == self.net.n_out else f"{n_out} / 2"

    def step_signature(self) -> str:
        """Return the signature of the function for a training step."""
        target = "int label" if self.loss.has_classes else f"const {self.real} *t"
        return (
            f"{self.real} {self.name}_step({self.name}_weights *weights, const {self.real} *x, "
            f"{target},\n    {self.real} learning_rate)"
        )

    def weights_type(self) -> str:
        """Return the struct of the weights."""
        lines = [
            f"    {self.real} {m.name}[{m.values.size}]; /* {m.shape} */" for m in self.members
        ]
        return "\n".join([f"typedef struct {self.name}_weights {{", *lines,
                          f"}} {self.name}_weights;\n"])  # fmt: skip

    def header(self, file: str) -> str:
        """Return the text of the header; `file` is its name."""
        guard = f"FASTNN_NETWORK_{self.name}_H"  # NAME_H may be the guard of another header
        return (
            f"{self.head(file)}#ifndef {guard}\n#define {guard}\n\n"
            f"#define {self.digest_name} {self.digest()}\n\n{self.interface()}\n#endif\n"
        )

    @property
    def digest_name(self) -> str:
        """The macro with the digest of the header."""
        return f"{self.name.upper()}_DIGEST"

    def digest(self) -> str:
        """Return the digest of what the header declares, by which the source knows it."""
        return f"0x{zlib.crc32(self.interface().encode()):08x}u"

    def interface(self) -> str:
        """Return what the header declares."""
        name = self.name
        parts = [
            '#ifdef __cplusplus\nextern "C" {\n#endif\n',
            f"enum {{ {name.upper()}_N_IN = {self.net.n_in}, "
            f"{name.upper()}_N_OUT = {self.net.n_out} }};\n",
            *([self.weights_type()] if self.training else []),
            *self.declarations(),
            *([] if self.encoding is None else [self.encoding.declarations]),
            "#ifdef __cplusplus\n}\n#endif\n",
        ]
        return "\n".join(parts)

    # ---- the source -----------------------------------------------------------------------------

    def source(self, file: str, header: str) -> str:
        """Return the text of the C file."""
        parts = [
            self.head(file) + f'#include "{header}"\n\n'
            f"#if {self.digest_name} != {self.digest()}\n"
            f'#error "{header} is of another network; take the header of the same export"\n'
            "#endif\n",
            f"#define FASTNN_BITS {8 * self.precision.dtype.itemsize}\n",
            self.sections,
            *([] if self.training else [self.weights_type()]),
            self.weights(),
            *self.predict_functions(),
            *([self.step_function()] if self.training else []),
            *([] if self.encoding is None else [self.encoding.definitions]),
        ]
        return "\n".join(parts)

    def section_names(self) -> set[str]:
        """Return the names of the sections that the functions need."""
        names = set().union(*(stage.forward_sections for stage in self.stages))
        if self.training:
            names |= set().union(*(stage.backward_sections for stage in self.loss.differentiated))
            names |= self.loss.section_names
        if self.encoding is not None:
            names |= self.encoding.sections
        return names

    def weights(self) -> str:
        """Return the definition of the weights."""
        constants = dict(self.constants)
        if self.training:
            constants |= self.loss.constants()
        scope = "const" if self.training else "static const"
        bodies = [
            "{\n" + ",\n".join(f"    {{{self.numbers(m.values)}}}" for m in members) + "}"
            for members in self.values
        ]
        several, body = "", bodies[0]
        if self.n_nets > 1:
            several, body = f"[{self.n_nets}]", "{\n" + ",\n".join(bodies) + "}"
        return "".join(
            [
                *(
                    f"static const real {name}[{values.size}] = {{{self.numbers(values)}}};\n\n"
                    for name, values in constants.items()
                ),
                f"{scope} {self.name}_weights {self.name}_trained{several} = {body};\n",
            ]
        )

    def numbers(self, array: Array) -> str:
        """Return numbers as C literals, with as many digits as identify them."""
        suffix = "f" if self.real == "float" else ""
        texts = [text + suffix for text in array.ravel().astype(str).tolist()]
        lines = (", ".join(texts[i : i + 6]) for i in range(0, len(texts), 6))
        return ",\n     ".join(lines)

    def forward(self, stages: Iterable[Stage], lines: Lines, *, step: bool) -> Values:
        """Append the lines of the forward pass of stages; return the outputs."""
        z = Values("x", self.net.n_in, is_padded=False)
        for stage in stages:
            z = stage.forward(z, lines, step=step)
        return z

    def predict_functions(self) -> list[str]:
        """Return the text of the functions that predict."""
        name, real = self.name, self.real
        scope, body = "" if self.training else "static ", Lines()
        z = self.forward(self.stages, body, step=False)
        body.append(f"for (int j = 0; j < {z.n}; j++) out[j] = {z.name}[j];")
        return [
            f"{scope}void {name}_predict_with(const {name}_weights *weights, const {real} *x, "
            f"{real} *out) {{\n{_indented(body)}}}\n",
            f"void {name}_predict(const {real} *x, {real} *out) {{\n{_indented(self.calls())}}}\n",
        ]

    def calls(self) -> list[str]:
        """Return the body of the prediction: of the network, or the mean of all networks."""
        trained, n, n_out = f"{self.name}_trained", self.n_nets, self.net.n_out
        if n == 1:
            return [f"{self.name}_predict_with(&{trained}, x, out);"]
        return [
            f"{self.real} each[{n_out}];",
            f"for (int j = 0; j < {n_out}; j++) out[j] = 0;",
            f"for (int i = 0; i < {n}; i++) {{",
            f"    {self.name}_predict_with(&{trained}[i], x, each);",
            f"    for (int j = 0; j < {n_out}; j++) out[j] += each[j];",
            "}",
            f"for (int j = 0; j < {n_out}; j++) out[j] /= {n};",
        ]

    def step_function(self) -> str:
        """Return the function for a step: forward, the loss and its delta, backward and updates."""
        body, stages = Lines(), self.loss.differentiated
        z = self.forward(stages, body, step=True)
        delta = self.loss.lines(z, body)
        lowest = next(stage for stage in stages if stage.members())
        for stage in reversed(stages[stages.index(lowest) :]):
            delta = stage.backward(delta, body, is_lowest=stage is lowest)
        body.append(f"return ({self.real})loss;")
        return f"{self.step_signature()} {{\n{_indented(body)}}}\n"


class _LossLines:
    """The lines for the loss of a step and its delta, by the kernels' function for one row.

    ``differentiated`` are the stages of the backward pass. The last activation is not among them if
    the loss is computed from the pre-activation and gives dE/da directly.
    """

    def __init__(self, loss: Loss, n_out: int, stages: list[Stage], precision: Precision) -> None:
        self.n_out, self.n_targets, self.precision = n_out, loss.n_targets(n_out), precision
        self.has_classes, self.parameter = loss.takes.are_classes, loss.parameter(n_out)
        self.differentiated, self.name = stages, loss.name
        last = stages[-1]
        if isinstance(last, Activated) and (loss.name, last.name) in _PAIRED:
            self.differentiated, both = stages[:-1], f"{loss.name}_{last.name}"
            self.name = both if both in sections() else loss.name

    @property
    def section_names(self) -> set[str]:
        """The names of the sections that the lines need."""
        problem = f"cannot write a step with the loss {self.name!r}"
        remedy = "mark its function in engine/simd/losses.h"
        _checks.expressible("to_c", self.name in sections(), problem, remedy)
        return {"one_row", self.name}

    def constants(self) -> dict[str, Array]:
        """Return the parameter of the loss for each output, if it has one."""
        if self.parameter is None:
            return {}
        return {"parameter": self.precision.pad(np.array(self.parameter))}

    def lines(self, z: Values, lines: list[str]) -> str:
        """Append the lines that compute the loss of z; return the name of its delta."""
        padded = self.precision.padded(self.n_out)
        lines.append(f"real target[{padded}] = {{0}}, delta[{padded}];")
        if self.has_classes:
            lines.append("target[label] = 1;")
        else:
            lines.append(f"for (int j = 0; j < {self.n_targets}; j++) target[j] = t[j];")
        parameter = "NULL" if self.parameter is None else "parameter"
        lines += [
            "double loss;",
            f"fastnn_loss_args row = one_row({z.n}, {z.name}, target, {parameter}, delta, &loss);",
            f"{self.name}_rows(&row);",
        ]
        return "delta"


def _members(stages: list[Stage]) -> list[Member]:
    """Return the arrays of a network in the struct of weights."""
    return [member for stage in stages for member in stage.members()]


def _constants(stages: list[Stage]) -> dict[str, Array]:
    """Return the constant arrays of a network by name."""
    return {name: array for stage in stages for name, array in stage.constants().items()}


def _indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)
