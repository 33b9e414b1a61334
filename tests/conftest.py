"""Fixtures of the tests: the axes of parametrization, taken from the registries, data, and Keras.

A new activation, loss, optimizer or instruction set joins every test with that fixture.
"""

import functools
import itertools
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from fastnn import MLP, SGD, Dense, _cpu, _kernels_f32, _kernels_f64, activations, losses
from fastnn.activations import Activation
from fastnn.verification.trainings import optimizer_variants

# A shell without job control starts commands in the background with SIGINT ignored, and their
# children inherit that: Ctrl-C would reach no test.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "fastnn",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("fastnn")

#: Packages of the extra `test` that files of tests import at their heads.
OPTIONAL = {"mpmath", "onnx", "pandas", "polars", "pyarrow", "safetensors", "scipy", "sklearn"}


class OptionalModule(pytest.Module):
    """A file of tests; it is skipped if a package of OPTIONAL that it imports is not installed."""

    def collect(self):
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            name = cause.name if isinstance(cause, ModuleNotFoundError) else None
            if name is None or name.partition(".")[0] not in OPTIONAL:
                raise
            pytest.skip(f"{name} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    return OptionalModule.from_parent(parent, path=module_path)


HIDDEN = list(activations.HIDDEN)
WITH_ALPHA = [Activation("leaky_relu", 0.2), Activation("elu", 0.7)]


def legal(loss, activation):
    outputs = losses.get(loss).outputs
    return outputs is None or activation in outputs


#: Losses with a target for each output; tests/test_likelihood.py is about the others.
LOSSES = [name for name in losses.NAMES if losses.get(name).n_targets(2) == 2]
PAIRS = list(itertools.product(LOSSES, activations.NAMES))
LEGAL_PAIRS = [pair for pair in PAIRS if legal(*pair)]
ILLEGAL_PAIRS = [pair for pair in PAIRS if not legal(*pair)]


#: `portable` is slow, and its bits are those of the others (test_digests.py). The others are avx512
#: but for the products of bfloat16 (test_bfloat16.py).
LEFT_OUT = ("portable", "amx", "avx512bf16")

# ---- axes ---------------------------------------------------------------------------------------


@pytest.fixture(params=[_kernels_f32, _kernels_f64], ids=["float32", "float64"])
def kernels(request):
    """The extension module of each precision."""
    return request.param


@pytest.fixture(params=[s for s in _cpu.INSTRUCTION_SETS if s not in LEFT_OUT])
def isa(request, monkeypatch):
    """Each instruction set of this CPU but LEFT_OUT; networks built in the test use it, too."""
    monkeypatch.setattr(_cpu, "ISA", request.param)
    return request.param


@pytest.fixture(params=[*activations.NAMES, *WITH_ALPHA], ids=str)
def activation(request):
    """Each activation."""
    return activations.get(request.param)


@pytest.fixture(params=[*HIDDEN, *WITH_ALPHA], ids=str)
def hidden(request):
    """Each activation that a hidden layer can have."""
    return activations.get(request.param)


@pytest.fixture
def diverged():
    """A network whose weights are infinite after a step of training."""
    net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer=SGD(1e30), seed=0)
    net.train_on_output_gradients(np.ones((20, 2)), np.full((20, 1), 1e30))
    assert np.isinf(net.get_weights()[0]).all()
    return net


@pytest.fixture(params=LEGAL_PAIRS, ids="-".join)
def pair(request):
    """Each valid pair of names (loss, output activation)."""
    return request.param


@pytest.fixture(params=ILLEGAL_PAIRS, ids="-".join)
def illegal_pair(request):
    """Names (loss, activation) that don't go together."""
    return request.param


@pytest.fixture(params=list(optimizer_variants()), ids=repr)
def optimizer(request):
    """Each optimizer in each of its variants."""
    return request.param


@pytest.fixture
def optimizer_rules():
    """Names of the update rules that these variants use."""
    return {optimizer.rule for optimizer in optimizer_variants()}


# ---- data ---------------------------------------------------------------------------------------


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


def targets(loss, y, rng):
    """Targets (n, n_out) for outputs y, of the kind the loss takes, away from every kink.

    Real targets lie 0.5 or 1.5 on either side of y, so that |y - t| is neither 0 nor huber's delta.
    """
    kind, shape = losses.get(loss).targets, y.shape
    if kind == "real":
        return y + rng.choice([-1.5, -0.5, 0.5, 1.5], shape)
    if kind == "positive":
        return rng.poisson(2.0, shape).astype(float)
    if kind == "probability":
        return rng.uniform(0, 1, shape)
    return np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]


@pytest.fixture(name="targets")
def targets_fixture():
    """The function `targets`."""
    return targets


# ---- other libraries ----------------------------------------------------------------------------


@pytest.fixture
def keras(monkeypatch):
    """Keras in float64."""
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield keras
    keras.config.set_floatx(usual)


# ---- time ---------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock of this thread: each reading is a second later than the one before.

    Returns a function that takes an iterable of seconds between two readings.
    """
    readings, here = [], threading.get_ident()

    def set_clock(seconds):
        readings[:] = [itertools.accumulate(seconds)]

    def look(real):
        return next(readings[0]) if threading.get_ident() == here else real()

    set_clock(itertools.repeat(1.0))
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, functools.partial(look, getattr(time, name)))
    return set_clock


# ---- the command line ---------------------------------------------------------------------------


@pytest.fixture
def run(capsysbinary):
    """A function that runs a command, and returns its exit code, output and errors."""

    def go(*argv):
        from fastnn.cli import main

        capsysbinary.readouterr()
        code = main([str(arg) for arg in argv])
        captured = capsysbinary.readouterr()
        return code, captured.out.decode(), captured.err.decode()

    return go


@pytest.fixture
def output_of(run):
    """A function that runs a command, checks that it succeeds, and returns its output."""

    def output(*argv):
        code, out, err = run(*argv)
        assert code == 0, err
        return out

    return output
