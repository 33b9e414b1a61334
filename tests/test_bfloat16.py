"""dtype="mixed_bfloat16": operands of products rounded to bfloat16, everything else float32.

Values are compared with the reference, which rounds as the kernels do; bits between the instruction
for such products and its emulation, between numbers of threads, and between a network and its
copies, however its weights were written.
"""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    Residual,
    RMSProp,
    Standardize,
    SwapEMAWeights,
    _cpu,
    fit_many,
    layers,
    networks,
    reference,
)
from fastnn._precision import NARROW
from fastnn.reference.functions import bfloat16
from fastnn.training import binding

MIXED = "mixed_bfloat16"
RNG = np.random.default_rng(5)
X = RNG.standard_normal((150, 37)).astype(np.float32)
Y = RNG.integers(0, 7, 150)

STACKS = {
    "wide": [Dense(50, "relu"), Dense(33, "tanh"), Dense(7, "softmax")],
    "narrow": [Dense(3, "relu"), Dense(17, "gelu"), Dense(4, "tanh"), Dense(7, "softmax")],
    "one layer": [Dense(7, "softmax")],
    "no biases": [Dense(18, "silu", use_bias=False), Dense(7, "softmax", use_bias=False)],
    "penalties": [Dense(50, "relu", l1=1e-4, l2=1e-3), Dense(7, "softmax", l2=1e-3)],
    "others": [
        Standardize(),
        Dropout(0.2),
        Dense(20, "elu"),
        LayerNorm(),
        Residual([Dense(21, "relu"), Dense(20)]),
        Dense(7, "softmax"),
    ],
    "frozen": [Dense(19, "relu", trainable=False), Dense(18, "relu"), Dense(7, "softmax")],
    "rates": [Dense(19, "relu", learning_rate_multiplier=4.0), Dense(3), Dense(7, "softmax")],
}
OPTIMIZERS = {
    "sgd": SGD(0.05),
    "momentum": SGD(0.002, momentum=0.9),
    "adam": Adam(),
    "averages": Adam(use_ema=True, ema_momentum=0.8),
    "clipnorm": RMSProp(clipnorm=0.1),
    "global_clipnorm": AdamW(global_clipnorm=0.1),
    "clipvalue": SGD(0.1, clipvalue=0.01),
}


@pytest.fixture(params=[isa for isa in _cpu.INSTRUCTION_SETS if isa != "portable"])
def isa(request, monkeypatch):
    """Each instruction set of this CPU, with the instruction for bfloat16 or without."""
    monkeypatch.setattr(_cpu, "ISA", request.param)
    return request.param


def network(stack="wide", optimizer="adam", dtype=MIXED, **options):
    rule = OPTIMIZERS.get(optimizer, optimizer)
    return MLP(
        37, STACKS[stack], loss="cross_entropy", optimizer=rule, dtype=dtype, seed=3, **options
    )


def digest(net):
    """Return a digest of everything that training changes, and of predictions."""
    found = hashlib.sha256(net.predict(X).tobytes())
    for array in net.get_weights():
        found.update(array.tobytes())
    return found.hexdigest()


def trained(stack="wide", optimizer="adam", batch=32, **options):
    net = network(stack, optimizer, **options)
    net.fit(X, Y, epochs=2, batch_size=batch)
    return net


# ---- values -------------------------------------------------------------------------------------


def test_rounding_is_to_the_nearest_even_and_flushes_subnormal_numbers():
    given = np.array([1.0, 1.00390625, 1.01171875, -1e-40, 3.3999e38, np.inf, 1e-38], np.float32)
    expected = [1.0, 1.0, 1.015625, -0.0, np.inf, np.inf, 0.0]
    np.testing.assert_array_equal(bfloat16(given), np.array(expected, np.float32))
    assert np.isnan(bfloat16(np.array([np.nan])))


@pytest.mark.parametrize("n_in", [1, 2, 15, 16, 17, 33])
@pytest.mark.parametrize("units", [5, 16, 17, 40])
def test_a_product_is_that_of_rounded_operands(isa, n_in, units):
    """Up to some float32 roundings: an operand that is not rounded is 2^-9 off."""
    rng = np.random.default_rng(units)
    net = MLP(n_in, [Dense(units)], loss="squared_error", optimizer="sgd", dtype=MIXED, seed=1)
    W, b = rng.standard_normal((n_in, units)), rng.standard_normal(units)
    net.set_weights([W.astype(np.float32), b.astype(np.float32)])
    for rows in (1, 2, 3, 16, 29):
        x = rng.standard_normal((rows, n_in)).astype(np.float32)
        W, b = (w.astype(np.float64) for w in net.get_weights())
        truth = bfloat16(x).astype(np.float64) @ bfloat16(W) + b
        size = np.abs(bfloat16(x)) @ np.abs(bfloat16(W)) + np.abs(b)
        assert (np.abs(net.predict(x) - truth) <= (n_in + 2) * 2**-23 * size).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stack", [name for name in STACKS if name != "others"])
def test_training_is_that_of_the_reference(stack, optimizer):
    """Some operands in a million are rounded the other way, since sums have other orders."""
    net = network(stack, optimizer)
    twin = reference.Network.like(net)
    for at in range(0, 96, 32):
        loss = twin.train_on_batch(X[at : at + 32], Y[at : at + 32])
        assert net.train_on_batch(X[at : at + 32], Y[at : at + 32]) == pytest.approx(loss, rel=1e-4)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_it_is_not_float32():
    assert digest(network()) != digest(network(dtype="float32"))


def test_layers_of_few_units_are_float32():
    """And predict what their copy in float32 does."""
    for units, kind in ((NARROW, "dense"), (NARROW + 1, "dense_bfloat16")):
        net = MLP(9, [Dense(units)], loss="squared_error", optimizer="sgd", dtype=MIXED, seed=0)
        specs, _ = vars(net._state.specification)[binding._BOUND]
        assert [spec["kind"] for spec in specs] == [kind]
        same = net.copy(dtype="float32").predict(X[:, :9]) == net.predict(X[:, :9])
        assert same.all() == (kind == "dense")


def test_gradients_are_those_of_the_loss_of_rounded_operands():
    net = network("wide", "sgd")
    twin = reference.Network.like(net)
    loss, gradients = net.loss_and_gradients(X, Y)
    expected, theirs = twin.loss_and_gradients(X, Y)
    assert loss == pytest.approx(expected, rel=1e-5)
    for ours, truth in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stack", ["wide", "narrow", "one layer"])
def test_gradients_of_rows_are_those_of_batches_of_one_row(stack):
    net = network(stack, "sgd")
    found = net.per_sample_gradients(X[:101], Y[:101], flat=True)
    for x, y, gradient in zip(X, Y, found, strict=False):
        _, alone = net.loss_and_gradients(x[None], y[None], flat=True)
        np.testing.assert_array_equal(gradient, alone)


# ---- bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stack", STACKS)
def test_every_instruction_set_has_the_same_bits(monkeypatch, stack, optimizer):
    found = {}
    for isa in _cpu.INSTRUCTION_SETS:
        if fastnn._kernels_f32.fuses(isa):
            monkeypatch.setattr(_cpu, "ISA", isa)
            found[isa] = digest(trained(stack, optimizer))
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("batch", [1, 2, 3, 31, 97, 150])
@pytest.mark.parametrize("optimizer", ["adam", "global_clipnorm"])
def test_threads_do_not_change_the_bits(batch, optimizer):
    found = {digest(trained("others", optimizer, batch, n_threads=n)) for n in (1, 2, 3, 4)}
    assert len(found) == 1


def test_batches_of_several_rounds(isa):
    """Above 1024 rows gradients are added up, an odd number of rows in the last round."""
    many, labels = np.tile(X, (15, 1))[:2151], np.tile(Y, 15)[:2151]
    found = set()
    for threads in (1, 2, 3):
        net = network(n_threads=threads)
        net.fit(many, labels, epochs=2, batch_size=2151)
        found.add(digest(net))
    assert len(found) == 1


@pytest.mark.parametrize("scale", [1e-18, 1e-20, 1e-30])
def test_subnormal_products_and_sums_are_flushed_everywhere(monkeypatch, scale):
    """As the instruction does it, in every instruction set: products here are about 1e-38."""
    found = set()
    for isa in _cpu.INSTRUCTION_SETS:
        if fastnn._kernels_f32.fuses(isa):
            monkeypatch.setattr(_cpu, "ISA", isa)
            net = network("no biases", SGD(1e-3))
            net.set_weights([w * np.float32(scale) for w in net.get_weights()])
            net.fit(X * np.float32(scale), Y, epochs=1, batch_size=7)
            found.add(digest(net))
    assert len(found) == 1


@pytest.mark.skipif("amx" not in _cpu.INSTRUCTION_SETS, reason="this CPU has no AMX")
def test_a_system_that_does_not_allow_tiles():
    """Linux refuses them if a thread's stack for signals is too small for their contents."""
    code = """
import ctypes, hashlib, numpy as np, fastnn

class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

room = ctypes.create_string_buffer(8192)
small = Stack(ctypes.addressof(room), 0, len(room))
X = np.random.default_rng(0).standard_normal((100, 40)).astype(np.float32)
for stack in (small, Stack(None, 2, 0)):  # 2: none
    assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0
    net = fastnn.MLP(40, [fastnn.Dense(30, "tanh"), fastnn.Dense(40)], loss="squared_error",
                     optimizer="adam", seed=0, dtype="mixed_bfloat16")
    net.fit(X, X, epochs=2, batch_size=16)
    print(net._network.instruction_set, hashlib.sha256(net.get_flat_weights()).hexdigest())
"""
    environment = {**os.environ, "FASTNN_ISA": "amx"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sets, digests = zip(*map(str.split, done.stdout.splitlines()), strict=True)
    assert sets == ("avx512bf16", "amx")
    assert len(set(digests)) == 1


def test_predictions_do_not_depend_on_the_rows_beside():
    net = trained()
    whole = net.predict(X)
    for row, expected in zip(X, whole, strict=True):
        np.testing.assert_array_equal(net.predict(row[None])[0], expected)


def test_members_of_many_are_their_own_fits():
    nets = networks(network(), seeds=range(6), learning_rate=[1e-3, 1e-2])
    found = fit_many(nets, X, Y, epochs=3, batch_size=16, n_threads=2)
    for twin, net in zip(nets, found.nets, strict=True):
        twin.fit(X, Y, epochs=3, batch_size=16)
        assert digest(net) == digest(twin)


# ---- the rounded copy of the weights follows them -----------------------------------------------


def assert_fresh(net):
    """Check that predictions are those of a network that is made of the weights."""
    twin = MLP.from_config(net.get_config())
    if net.standardization is not None:
        twin.adapt(X)
    twin.set_weights(net.get_weights())
    np.testing.assert_array_equal(net.predict(X), twin.predict(X))


def test_after_every_way_of_writing_weights(tmp_path):
    net = network()
    assert_fresh(net)
    net.set_weights([w + np.float32(0.125) for w in net.get_weights()])
    assert_fresh(net)
    net.set_flat_weights(net.get_flat_weights() * np.float32(1.5))
    assert_fresh(net)
    net.fit(X, Y, epochs=2, batch_size=32)
    assert_fresh(net)
    net.train_on_batch(X, Y)
    assert_fresh(net)
    assert digest(net.copy()) == digest(net)
    net.save(tmp_path / "net.safetensors")
    loaded = fastnn.load(tmp_path / "net.safetensors")
    assert loaded.dtype_policy == MIXED
    assert digest(loaded) == digest(net)
    assert_fresh(net.copy(dtype="float32").copy(dtype=MIXED))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch", [1, 32, 1500])
def test_after_steps_of_every_kind(optimizer, batch):
    net = network("rates", optimizer)
    net.fit(np.tile(X, (15, 1)), np.tile(Y, 15), epochs=1, batch_size=batch)
    assert_fresh(net)


def test_after_the_best_weights_are_restored():
    net = network(optimizer=SGD(0.5))
    stop = EarlyStopping(patience=1, restore_best_weights=True)
    net.fit(X, Y, epochs=30, batch_size=8, validation_split=0.3, callbacks=[stop])
    assert_fresh(net)


def test_after_a_divergence():
    net = MLP(
        37, [Dense(20), Dense(9)], loss="squared_error", optimizer=SGD(10), dtype=MIXED, seed=0
    )
    with pytest.raises(FloatingPointError):
        net.fit(X, X[:, :9], epochs=30, batch_size=8)
    assert_fresh(net)


def test_averages_predict_by_their_own_rounded_weights():
    net = network(optimizer="averages")
    history = net.fit(
        X, Y, epochs=3, batch_size=32, validation_data=(X, Y), callbacks=[SwapEMAWeights()]
    )
    assert net.averaged().evaluate(X, Y) == history.history["val_loss"][-1]
    assert_fresh(net.averaged())
    assert_fresh(net)


# ---- the policy ---------------------------------------------------------------------------------


def test_names(capsys):
    net = network()
    assert (net.dtype, net.dtype_policy) == (np.dtype("float32"), MIXED)
    assert net.get_config()["dtype"] == MIXED
    assert json.dumps(net.get_config())
    assert repr(net).endswith("mixed_bfloat16>")
    net.summary()
    output = capsys.readouterr().out
    assert f"parameters, {MIXED}, " in output
    assert "bfloat16 operands " in output
    assert net.copy(dtype="float64").dtype_policy == "float64"
    assert MLP.from_config(net.get_config()).dtype_policy == MIXED
    assert MIXED in fastnn.show_config("dicts")["precisions"]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'float32', 'float64' or 'mixed_bfloat16'; got 'bf16'"):
        network(dtype="bf16")


@pytest.mark.parametrize("export", ["to_c", "onnx"])
def test_others_do_not_round_and_get_a_copy(export, tmp_path):
    net = network()
    write = net.to_c if export == "to_c" else lambda path: fastnn.onnx.export(net, path)
    with pytest.raises(ValueError, match=r"export net.copy\(dtype='float32'\)"):
        write(tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_estimators_take_the_policy():
    sklearn = pytest.importorskip("fastnn.sklearn")
    found = sklearn.MLPClassifier((20,), dtype=MIXED, tol=0.1, random_state=0).fit(X, Y)
    assert found.net_.dtype_policy == MIXED
    assert found.predict(X).shape == (150,)


def test_the_engine_says_what_the_cpu_has():
    for isa in _cpu.INSTRUCTION_SETS:
        speed = {"amx": 16, "avx512bf16": 2}.get(isa, 0)
        assert fastnn._kernels_f32.bfloat16_speed(isa) == speed
    assert "dense_bfloat16" in fastnn._kernels_f32.registry()["stages"]
    assert layers.Dense(9).stages(0)[0]["kind"] == "dense"


def test_the_profile_knows_the_policy():
    """It names it where the CPU has the instruction, and counts the products of that."""
    has = fastnn._kernels_f32.bfloat16_speed(_cpu.ISA) > 0
    plain, mixed = (
        fastnn.profile(network(dtype=dtype), X, Y, batch_size=64, seconds=0.05)
        for dtype in ("float32", MIXED)
    )
    assert any(MIXED in line for line in plain.advice) == has
    assert any("float32" in line for line in mixed.advice) != has
