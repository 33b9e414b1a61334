"""Networks as files and as plain data: what is read is the same, bit for bit, or is refused.

Tests that a network continues from its file with the same bits, for every kind of network; that its
configuration describes its whole architecture; that any other file raises a ModelFileError before
memory is allocated for what it claims; and that a file contains nothing but the network.

Not here: the container and its replacement (test_safetensors.py), resumed fits (test_resume.py).
"""

import copy
import dataclasses
import getpass
import json
import math
import os
import pickle
import platform
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from mutating import Scratch, checkpoint, fuzz_networks

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activation,
    Adam,
    Adaptive,
    Callback,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Ensemble,
    Huber,
    ModelCheckpoint,
    ModelFileError,
    NumericEmbedding,
    PiecewiseConstantDecay,
    Quantile,
    Residual,
    Standardize,
    activations,
    layers,
    losses,
    optimizers,
    schedules,
)
from fastnn.exchange import safetensors

RNG = np.random.default_rng(0)
X, Y = 3 + RNG.standard_normal((40, 6)), RNG.standard_normal((40, 2))

MIXED = [Dense(20, Activation("elu", 0.5)), Dropout(0.2), Dense(7, "gelu", use_bias=False),
         Dense(2, l2=1e-3)]  # fmt: skip


def network(layers=MIXED, **options):
    return MLP(6, layers, **{"loss": Huber(0.7), "optimizer": "adam", "seed": 0, **options})


def bits(net):
    """Return weights, moments, counts and random state, to be compared."""
    now = net._state.snapshot()
    weights = [w.tobytes() for block in now.blocks for w in block]
    random = now.shuffler, now.dropout_seed, now.adapted
    learned = net.standardization and [a.tobytes() for a in net.standardization]
    return weights, (now.step, now.epoch), random, learned


def goes_on(net, path, y=Y):
    """Check that a network and its file are the same, and stay so in further training."""
    net.save(path)
    twin = fastnn.load(path)
    assert bits(twin) == bits(net)
    assert twin.get_config() == net.get_config()
    assert twin.learning_rate == net.learning_rate
    if net._state.is_ready:
        assert twin.predict(X).tobytes() == net.predict(X).tobytes()
    histories = [each.fit(X, y, epochs=3, batch_size=8).history for each in (net, twin)]
    assert histories[0] == histories[1]
    assert bits(twin) == bits(net)
    return True


# ---- specifications, one for each field of each kind --------------------------------------------

BLOCKS = (Dense(4),), (Dropout(0.5),)  # of a Residual
CANDIDATES = (0.25, 0.5, 2.5, 3, 4, True, False, "epoch", "tanh", "orthogonal", "ones",
              *BLOCKS, (4.0,), (0.5, 0.25))  # fmt: skip

#: Arguments of the kinds that no candidate suits alone.
BASES = {PiecewiseConstantDecay: {"boundaries": (3.0,), "values": (0.1, 0.02)}}


#: Fields with a single value that a kind takes.
REFUSED = {("ScheduleFreeAdamW", "use_ema")}


def built(kind, arguments):
    try:
        return kind(**arguments)
    except (TypeError, ValueError):
        return None


def specifications(kinds):
    """Yield objects of each kind: one with the defaults, and others with each field changed."""
    for kind in kinds.values():
        fields = [f for f in dataclasses.fields(kind) if f.init]
        needed = [f.name for f in fields if f.default is f.default_factory]
        bases = (BASES.get(kind) or dict.fromkeys(needed, value) for value in CANDIDATES)
        basis = next(basis for basis in bases if built(kind, basis))
        yield kind(**basis)
        for field in fields:
            values = (v for v in CANDIDATES if v not in (field.default, basis.get(field.name)))
            found = (s for v in values if (s := built(kind, {**basis, field.name: v})))
            changed = next((s for s in found if s != kind(**basis)), None)
            if (kind.__name__, field.name) in REFUSED:
                continue
            assert changed, f"no value for {kind.__name__}.{field.name}: extend CANDIDATES"
            yield changed


#: Embeddings need columns of their own, an Ensemble is the last layer: test_layers.py has their
#: files.
LAYERS = list(specifications({name: kind for name, kind in layers.KINDS.items()
                              if kind not in (Embedding, NumericEmbedding, Ensemble)}))  # fmt: skip
LOSSES = [*specifications(losses.KINDS), Quantile((0.25, 0.75))]
OPTIMIZERS = list(specifications(optimizers.KINDS))
SCHEDULES = list(specifications(schedules.KINDS))
ACTIVATIONS = [*map(activations.get, activations.NAMES), Activation("leaky_relu", 0.25),
               Activation("elu", 0.5)]  # fmt: skip


def with_layer(layer):
    stack = [layer, Dense(2)] if isinstance(layer, Standardize) else [Dense(4, "tanh"), layer]
    return network([*stack, Dense(2)])


def with_optimizer(optimizer):
    return network([Dense(4, "tanh"), Dense(2)], optimizer=optimizer)  # one may maximize


def with_loss(loss, **options):
    return network([Dense(4, "tanh"), Dense(2, (loss.outputs or ["identity"])[0])], loss=loss,
                   **options)  # fmt: skip


def with_activation(activation):
    if activation.name == "softmax":
        return network([Dense(4), Dense(2, activation)], loss="cross_entropy")
    return network([Dense(4, activation), Dense(2)])


ARCHITECTURES = {
    **{f"layer {i}: {s}": (with_layer, s) for i, s in enumerate(LAYERS)},
    **{f"loss {s}": (with_loss, s) for s in LOSSES},
    **{f"optimizer {s}": (with_optimizer, s) for s in OPTIMIZERS},
    **{f"schedule {s}": (lambda s: network(optimizer=SGD(s)), s) for s in SCHEDULES},
    **{f"activation {s}": (with_activation, s) for s in ACTIVATIONS},
    "sums": (lambda s: network(reduction=s), "sum"),
    "float64": (lambda s: network(dtype=s), "float64"),
    "threads": (lambda s: network(n_threads=s), 3),
    "a large seed": (lambda s: network(seed=s), 2**200),
    "no seed": (lambda s: network(seed=s), None),
}


def targets_of(net):
    kind, n = net.loss.targets, net.loss.n_targets(net.n_out)
    return {"class": np.arange(40) % 2, "real": Y[:, :n]}.get(kind, (Y > 0).astype(float))


# ---- plain data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_a_configuration_describes_the_whole_architecture(case):
    build, specification = ARCHITECTURES[case]
    net = build(specification)
    through_json = json.loads(json.dumps(net.get_config(), allow_nan=False))
    assert through_json == net.get_config()
    twins = [MLP.from_config(net.get_config()), MLP.from_config(through_json),
             MLP.from_json(net.to_json()), MLP.from_json(net.to_json(indent=2))]  # fmt: skip
    for twin in twins:
        assert twin.get_config() == net.get_config()
        for name in ("n_in", "layers", "loss", "optimizer", "reduction", "dtype", "n_threads"):
            assert getattr(twin, name) == getattr(net, name), name
        if net.seed is not None:
            assert bits(twin) == bits(net)


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_every_architecture_continues_from_its_file(case, tmp_path):
    build, specification = ARCHITECTURES[case]
    net = build(specification)
    y = targets_of(net)
    try:
        net.fit(X, y, batch_size=8, epochs=2)
    except FloatingPointError:
        net = build(specification)  # some rates are none to train with
        net.learning_rate = 1e-3
        net.fit(X, y, batch_size=8)
    assert goes_on(net, tmp_path / "net", y)


def test_a_configuration_is_not_bound_to_its_network():
    net = network()
    config = net.get_config()
    config["layers"].clear()
    config["loss"]["delta"] = 5.0
    assert net.get_config() == network().get_config()


def test_from_config_does_not_change_its_argument():
    config = network(optimizer=SGD(schedules.LinearWarmup(0.1, 5))).get_config()
    before = copy.deepcopy(config)
    MLP.from_config(config)
    assert config == before


ABSENT = object()
LAYER, OPTIMIZER = "config['layers'][0]", "config['optimizer']"
# Where in the configuration, what stands there instead, the error, and what its message says.
BAD_CONFIGS = {
    "no dict": ((), [1], TypeError, "config must be a dict"),
    "null": ((), None, TypeError, "config must be a dict"),
    "empty": ((), {}, ValueError, "config has no 'n_in'; pass what MLP.get_config returned"),
    "an unknown key": (("size",), 1, ValueError, "config has 'size'"),
    "no seed": (("seed",), ABSENT, ValueError, "config has no 'seed'"),
    "no layers": (("layers",), ABSENT, ValueError, "config has no 'layers'"),
    "layers of nothing": (("layers",), [], ValueError, "layers must hold at least one Dense"),
    "layers that are a dict": (("layers",), {}, TypeError, "config['layers'] must be a list"),
    "a layer that is a name": (("layers", 0), "dense", TypeError, f"{LAYER} must be a dict"),
    "a layer without name": (("layers", 0, "name"), ABSENT, TypeError, f"{LAYER} must be a dict"),
    "an unknown layer": (("layers", 0, "name"), "Dense", ValueError, f"{LAYER}['name'] must be"),
    "a layer of number": (("layers", 0, "name"), 1, TypeError, f"{LAYER}['name'] must be"),
    "a layer of list": (("layers", 0, "name"), ["dense"], TypeError, f"{LAYER}['name'] must be"),
    "no units": (("layers", 0, "units"), ABSENT, ValueError, f"{LAYER} is missing 'units'"),
    "a key too many": (("layers", 0, "unit"), 1, ValueError, f"{LAYER} has 'unit'"),
    "0 units": (("layers", 0, "units"), 0, ValueError, f"{LAYER}: units must be from 1"),
    "2**31 units": (("layers", 0, "units"), 2**31, ValueError, f"{LAYER}: units must be from 1"),
    "units of float": (("layers", 0, "units"), 2.0, TypeError, f"{LAYER}: units must be an int"),
    "units of bool": (("layers", 0, "units"), True, TypeError, f"{LAYER}: units must be an int"),
    "a bias of 1": (("layers", 0, "use_bias"), 1, TypeError, f"{LAYER}: use_bias must be"),
    "a negative penalty": (("layers", 0, "l2"), -1, ValueError, f"{LAYER}: l2 must be at least 0"),
    "NaN": (("layers", 0, "l1"), float("nan"), ValueError, f"{LAYER}: l1 must be at least 0"),
    "an initializer": (("layers", 0, "initializer"), "he", ValueError, f"{LAYER}: initializer"),
    "an activation": (("layers", 0, "activation"), "rleu", ValueError, f"{LAYER}: activation must"),
    "an activation of dict": (
        ("layers", 0, "activation"), {"name": "elu", "beta": 1}, ValueError,
        f"{LAYER}['activation'] has 'beta'"),
    "an activation of list": (("layers", 0, "activation"), ["elu"], TypeError, f"{LAYER}: activa"),
    "a negative alpha": (
        ("layers", 0, "activation"), {"name": "elu", "alpha": -1}, ValueError,
        f"{LAYER}['activation']: alpha must be at least 0"),
    "a rate of dropout": (("layers", 1, "rate"), 1.0, ValueError, "config['layers'][1]: rate must"),
    "hidden softmax": (("layers", 0, "activation"), "softmax", ValueError, "output layer only"),
    "a loss that is a name": (("loss",), "huber", TypeError, "config['loss'] must be a dict"),
    "an unknown loss": (("loss", "name"), "hinge", ValueError, "config['loss']['name'] must be"),
    "delta 0": (("loss", "delta"), 0, ValueError, "config['loss']: delta must be above 0"),
    "a loss that doesn't fit": (
        ("loss",), {"name": "cross_entropy"}, ValueError, "'cross_entropy' needs 'softmax'"),
    "as many quantiles": (
        ("loss",), {"name": "quantile", "q": [0.5]}, ValueError, "q has 1 value"),
    "an optimizer of list": (("optimizer",), [], TypeError, f"{OPTIMIZER} must be a dict"),
    "an unknown optimizer": (("optimizer", "name"), "adma", ValueError, f"{OPTIMIZER}['name']"),
    "an optimizer's key": (("optimizer", "lr"), 0.1, ValueError, f"{OPTIMIZER} has 'lr'"),
    "beta_1 of 1": (("optimizer", "beta_1"), 1, ValueError, f"{OPTIMIZER}: beta_1 must be"),
    "two clips": (("optimizer", "clipnorm"), 1, ValueError, f"{OPTIMIZER}: clipvalue=1 and clip"),
    "a rate of 0": (("optimizer", "learning_rate"), 0, ValueError, f"{OPTIMIZER}: learning_rate"),
    "an unknown schedule": (
        ("optimizer", "learning_rate"), {"name": "cosine"}, ValueError,
        f"{OPTIMIZER}['learning_rate']['name'] must be"),
    "half a schedule": (
        ("optimizer", "learning_rate"), {"name": "step_decay", "decay_steps": 1}, ValueError,
        f"{OPTIMIZER}['learning_rate'] is missing 'initial_learning_rate'"),
    "a warm-up to a warm-up": (
        ("optimizer", "learning_rate"),
        {"name": "linear_warmup", "steps": 1,
         "schedule": {"name": "linear_warmup", "steps": 1, "schedule": 1}}, ValueError,
        f"{OPTIMIZER}['learning_rate']: schedule is"),
    "no inputs": (("n_in",), 0, ValueError, "n_in must be from 1"),
    "inputs of text": (("n_in",), "6", TypeError, "n_in must be an integer"),
    "a reduction": (("reduction",), "avg", ValueError, "reduction must be one of"),
    "half precision": (("dtype",), "float16", ValueError, "dtype must be 'float32'"),
    "a dtype of list": (("dtype",), [["a", "f4"]], ValueError, "dtype must be 'float32'"),
    "a dtype that is no Python": (("dtype",), "(1,", ValueError, "dtype must be 'float32'"),
    "a negative seed": (("seed",), -1, ValueError, "seed must be at least 0"),
    "a seed of float": (("seed",), 0.5, TypeError, "seed must be an integer"),
    "0 threads": (("n_threads",), 0, ValueError, "n_threads must be from 1"),
}  # fmt: skip


def edited(plain, place, value):
    """Return plain data with the value at a place replaced or removed."""
    if not place:
        return value
    plain = copy.deepcopy(plain)
    *way, last = place
    node = plain
    for key in way:
        node = node[key]
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return plain


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_malformed_configuration_is_refused_by_its_place(case):
    place, value, error, fragment = BAD_CONFIGS[case]
    config = network(optimizer=Adam(clipvalue=1.0)).get_config()
    with pytest.raises((TypeError, ValueError)) as caught:
        MLP.from_config(edited(config, place, value))
    assert caught.type is error
    assert fragment in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "[" * 10_000, b"\xff", '{"a":1}'])
def test_invalid_json_of_a_configuration_is_refused(text):
    with pytest.raises(ValueError, match=r"text (is not JSON|must be a JSON object)|config has no"):
        MLP.from_json(text)


@pytest.mark.parametrize("text", [None, {}, 1], ids=str)
def test_from_json_takes_only_text(text):
    with pytest.raises(TypeError, match="text must be JSON text"):
        MLP.from_json(text)


# ---- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_optimizer_continues_from_its_file(optimizer, dtype, tmp_path):
    net = network(optimizer=optimizer, dtype=dtype)
    net.fit(X, Y, epochs=2, batch_size=8)
    assert goes_on(net, tmp_path / "net")


NETS = {
    "narrow layers": lambda: network([Dense(3, "relu"), Dense(1, "tanh"), Dense(2)]),
    "a tiny one": lambda: network([Dense(4, "tanh"), Dense(2)]),
    "wide layers": lambda: network([Dense(70, "relu"), Dense(33, "silu"), Dense(2)]),
    "no biases": lambda: network([Dense(5, "relu", use_bias=False), Dense(2, use_bias=False)]),
    "frozen layers": lambda: network([Dense(9, "relu", trainable=False), Dense(2)]),
    "standardized": lambda: network([Standardize(), Dropout(0.1), *MIXED]),
    "averages": lambda: network(optimizer=Adam(use_ema=True, ema_momentum=0.9)),
    "averages, frozen": lambda: network([Dense(9, trainable=False), Dense(2)],
                                        optimizer=SGD(0.01, momentum=0.9, use_ema=True)),
    "clipped": lambda: network(optimizer=Adam(clipnorm=0.1)),
    "adaptive": lambda: network(optimizer=SGD(Adaptive(0.01, patience=3, tol=10.0))),
}  # fmt: skip


@pytest.mark.parametrize("epochs", [0, 1, 5])
@pytest.mark.parametrize("kind", NETS)
def test_every_kind_of_network_continues_from_its_file(kind, epochs, tmp_path):
    net = NETS[kind]()
    if epochs:
        net.fit(X, Y, epochs=epochs, batch_size=8)
    assert goes_on(net, tmp_path / "net")
    if net.optimizer.use_ema:
        twin = fastnn.load(tmp_path / "net")
        net.save(tmp_path / "net")
        twin = fastnn.load(tmp_path / "net")
        pairs = zip(net.get_ema_weights(), twin.get_ema_weights(), strict=True)
        assert all(a.tobytes() == b.tobytes() for a, b in pairs)


def test_training_on_single_rows_continues_from_a_file(tmp_path):
    net = NETS["a tiny one"]()
    net.fit(X, Y, batch_size=1)
    net.save(tmp_path / "net")
    twin = fastnn.load(tmp_path / "net")
    for each in (net, twin):
        each.fit(X, Y, batch_size=1)
    assert bits(net) == bits(twin)


def test_a_learning_rate_that_was_set_is_in_the_file(tmp_path):
    net = network()
    net.learning_rate = 0.125
    net.save(tmp_path / "net")
    assert fastnn.load(tmp_path / "net").learning_rate == 0.125


def test_a_file_saved_again_is_the_same_bytes(tmp_path):
    net = network([Standardize(), *MIXED], optimizer=Adam(use_ema=True))
    net.fit(X, Y)
    net.save(tmp_path / "one")
    fastnn.load(tmp_path / "one").save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_another_process_reads_a_file(tmp_path):
    net = network([Standardize(), *MIXED])
    net.fit(X, Y)
    net.save(tmp_path / "net")
    code = (
        "import sys, numpy as np, fastnn; net = fastnn.load('net');"
        "X, Y = np.load('X.npy'), np.load('Y.npy');"
        "a = net.predict(X).tobytes(); net.fit(X, Y);"
        "sys.stdout.buffer.write(a + net.predict(X).tobytes())"
    )
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", Y)
    output = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path,
                            capture_output=True).stdout  # fmt: skip
    before = net.predict(X).tobytes()
    net.fit(X, Y)
    assert output == before + net.predict(X).tobytes()


def test_the_official_package_reads_the_tensors(tmp_path):
    official = pytest.importorskip("safetensors.numpy")
    net = network([Standardize(), *MIXED], optimizer=Adam(use_ema=True))
    net.fit(X, Y)
    net.save(tmp_path / "net")
    found = official.load_file(tmp_path / "net")
    names = ["layers.0.W", "layers.0.b", "layers.1.W", "layers.2.W", "layers.2.b"]
    expected = dict(zip(names, net.get_weights(), strict=True))
    for i, prefix in enumerate(["optimizer.0.", "optimizer.1.", "average."], 1):
        moments = zip(names, net._network.read(i), strict=True)
        expected |= {prefix + name: moment for name, moment in moments}
    expected["standardize.mean"], expected["standardize.scale"] = net.standardization
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_saving_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    net = network()
    net.save(tmp_path / "net")
    before = (tmp_path / "net").read_bytes()
    net.fit(X, Y)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left") as caught:
            net.save(tmp_path / "net")
    assert caught.value.filename == os.fspath(tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == before
    assert os.listdir(tmp_path) == ["net"]
    net.save(tmp_path / "net")
    assert (tmp_path / "net").read_bytes() != before


@pytest.mark.parametrize("path", [None, 3, b"net", "", "folder/"], ids=str)
def test_an_invalid_path_is_refused(path):
    for call in (network().save, fastnn.load):
        with pytest.raises((TypeError, ValueError), match="path must"):
            call(path)


def test_a_network_with_infinite_weights_is_not_saved(diverged, tmp_path):
    network().save(tmp_path / "net")
    before = (tmp_path / "net").read_bytes()
    message = r"layers\.0\.W of the network holds -?inf, so it cannot be saved; set finite weights"
    with pytest.raises(ValueError, match=message):
        diverged.save(tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == before


def test_an_onnx_model_is_read_by_another_function(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07" * 20)
    message = (
        r"net\.onnx' is not a model file of fastnn; read an ONNX model with fastnn\.from_onnx\("
    )
    for read in (fastnn.load, fastnn.load_many):
        with pytest.raises(ModelFileError, match=message):
            read(tmp_path / "net.onnx")


def test_a_compressed_name_loses_only_its_last_ending(tmp_path):
    with pytest.raises(ValueError, match=r"name it '.*/net\.safetensors'$"):
        network().save(tmp_path / "net.safetensors.gz")


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "net")
    with pytest.raises(FileNotFoundError):
        network().save(tmp_path / "nowhere" / "net")


# ---- names and notes ----------------------------------------------------------------------------

NOTES = {"classes": ["no", "yes"], "table": {"columns": ["größe", 0.1], "n": None}}


def test_metadata_are_kept_with_the_network(tmp_path):
    net = network()
    assert net.metadata == {}
    net.metadata.update(NOTES)
    net.save(tmp_path / "net")
    for twin in (fastnn.load(tmp_path / "net"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.metadata == NOTES
        twin.metadata["table"]["n"] = 1
        assert net.metadata == NOTES


def itself():
    data = {}
    data["a"] = [data]
    return data


UNWRITABLE = {
    "an array": ({"a": np.ones(2)}, "net.metadata['a'] is array([1., 1.])"),
    "NaN": ({"a": [0.5, math.nan]}, "net.metadata['a'][1] is nan"),
    "numpy's infinity": ({"a": np.float32("inf")}, "net.metadata['a'] is inf"),
    "a set": ({"a": {1, 2}}, "net.metadata['a'] is {1, 2}"),
    "bytes": ({"a": b"1"}, "net.metadata['a'] is b'1'"),
    "a number as key": ({"a": {1: 2, "1": 3}}, "net.metadata['a'] has the key 1"),
    "None as key": ({None: 2}, "net.metadata has the key None"),
    "a number of 4,301 digits": ({"a": 10**4300}, "net.metadata['a'] is <int>"),
    "itself": (itself(), "it is nested more than 100 levels deep"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_data_that_json_does_not_have_are_refused_when_set_and_when_saved(case, tmp_path):
    notes, fragment = UNWRITABLE[case]
    net = network()
    net.save(tmp_path / "net")
    before = (tmp_path / "net").read_bytes()
    for change in (lambda: setattr(net, "metadata", notes), lambda: net.save(tmp_path / "net")):
        with pytest.raises(ValueError, match=r"net\.metadata cannot be written as JSON") as caught:
            change()
        assert fragment in str(caught.value)
        net.metadata.update(notes)  # behind the network's back
    assert (tmp_path / "net").read_bytes() == before
    assert os.listdir(tmp_path) == ["net"]


def test_metadata_are_a_dict():
    net = network()
    with pytest.raises(TypeError, match=r"net\.metadata must be a dict; got \[1\]"):
        net.metadata = [1]
    assert net.metadata == {}


def test_numpys_scalars_in_metadata_become_pythons(tmp_path):
    net = network()
    net.metadata = {"labels": list(np.unique([3, 1])), "x": np.float32(0.5), "on": np.True_,
                    np.str_("name"): np.str_("value"), "pair": (1, 2), "big": 2**4000}  # fmt: skip
    net.save(tmp_path / "net")
    found = fastnn.load(tmp_path / "net").metadata
    assert repr(found) == repr({"labels": [1, 3], "x": 0.5, "on": True, "name": "value",
                                "pair": [1, 2], "big": 2**4000})  # fmt: skip


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ("abcdef", TypeError), (7, TypeError), ({"a": 1}, TypeError), (["a"], ValueError),
        (list("abcdefg"), ValueError), ([1, 2, 3, 4, 5, 6], ValueError),
        ([*"abcde", None], ValueError), ([], ValueError), (np.ones(6), ValueError),
    ],
    ids=str,
)  # fmt: skip
def test_names_of_columns_are_a_name_for_each_input(names, error):
    net = network()
    net.feature_names = list("fedcba")
    with pytest.raises(error, match="feature_names must be"):
        net.feature_names = names
    assert net.feature_names == tuple("fedcba")


@pytest.mark.parametrize("kind", [set, frozenset])
def test_names_of_columns_and_classes_are_no_set(kind):
    """The order of a set of texts differs from process to process."""
    net = network([Dense(2, "softmax")], loss="cross_entropy")
    with pytest.raises(TypeError, match=f"feature_names is a {kind.__name__}, which has no order"):
        net.feature_names = kind("abcdef")
    with pytest.raises(TypeError, match=f"classes is a {kind.__name__}, which has no order; pass"):
        net.classes = kind("ab")
    net.classes = {"b": 1, "a": 2}.keys()
    assert (net.feature_names, net.classes) == (None, ("b", "a"))


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Index, iter], ids=str)
def test_names_of_columns_are_a_tuple_of_plain_text(kind, tmp_path):
    net = network()
    net.feature_names = kind(list("abcdef"))
    net.save(tmp_path / "net")
    for found in (net.feature_names, fastnn.load(tmp_path / "net").feature_names):
        assert found == tuple("abcdef")
        assert {type(name) for name in found} == {str}


def test_an_attribute_columns_of_an_iterable_gives_no_names(tmp_path):
    """Batches whose object has columns of another meaning leave the network without names."""

    class Reader:
        columns = ("only", "two")

        def __iter__(self):
            yield X, Y

    net = network()
    net.fit(Reader())
    assert net.feature_names is None
    assert goes_on(net, tmp_path / "net")


def test_a_standardization_cannot_be_changed_behind_the_network(tmp_path):
    net = network([Standardize(), Dense(2)])
    net.adapt(X)
    net.save(tmp_path / "net")
    twins = [net, net.copy(), fastnn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net))]
    for twin in twins:
        for array in twin.standardization:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = -1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1), ("dropout_seed", "x"), ("standardization", (1, 2)), ("step", 5),
        ("epoch", -1), ("n_parameters", 3), ("c_model", 1), ("layers", []), ("dense", ()),
        ("dropout_rates", ()), ("loss", "huber"), ("dtype", "float64"),
    ],
)  # fmt: skip
def test_other_attributes_are_not_set(name, value):
    net = network()
    before = bits(net)
    with pytest.raises(AttributeError, match=name):
        setattr(net, name, value)
    assert bits(net) == before


@pytest.mark.parametrize("value", [1, "yes", None, [True]], ids=str)
def test_stop_training_is_true_or_false(value):
    net = network()
    with pytest.raises(TypeError, match="stop_training must be True or False"):
        net.stop_training = value


def test_a_seed_is_no_larger_than_a_file_can_hold(tmp_path):
    assert goes_on(network(seed=2**4096 - 1), tmp_path / "net")
    for seed in (2**4096, 10**5000):
        with pytest.raises(ValueError, match="seed must have at most 4096 bits"):
            network(seed=seed)


class Remembering(Callback):
    """A callback with a state of a user's own."""

    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = dict(state)


@pytest.mark.parametrize(
    ("state", "fragment"),
    [
        ({"x": math.inf}, "get_state['callbacks'][1]['x'] is inf"),
        ({"x": {1, 2}}, "get_state['callbacks'][1]['x'] is {1, 2}"),
        ({1: 2}, "get_state['callbacks'][1] has the key 1"),
        ({"x": [np.ones((1, 2, 3))]}, "tensor 'callbacks.1.x.0' has shape [1, 2, 3]"),
        ({"x": [np.ones(2, "f2")]}, "tensor 'callbacks.1.x.0' has dtype float16"),
        ({"x": {"arrays": 1}}, "could not be loaded again: 'callbacks.1.x.0' is missing"),
        (3, "get_state['callbacks'][1] must be a dict"),
    ],
    ids=str,
)  # fmt: skip
def test_states_of_callbacks_that_no_file_can_hold_leave_the_old_file(state, fragment, tmp_path):
    net, path = network(), tmp_path / "net"
    net.save(path)
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError)) as caught:
        net.fit(X, Y, callbacks=[Remembering(state), ModelCheckpoint(path)])
    assert fragment in str(caught.value)
    assert path.read_bytes() == before


def test_states_of_callbacks_may_be_numpys(tmp_path):
    state = {"x": np.float32(0.5), "n": np.int64(3), "arrays": [np.ones(2)]}
    keep = [Remembering(state), ModelCheckpoint(tmp_path / "net")]
    network().fit(X, Y, callbacks=keep)
    assert [type(value) for value in state.values()] == [np.float32, np.int64, list]
    keep[0].state = {}
    network().fit(X, Y, callbacks=keep, epochs=2, resume=tmp_path / "net")
    assert keep[0].state["x"] == 0.5
    assert keep[0].state["arrays"][0].tolist() == [1, 1]


# ---- what it was built with ---------------------------------------------------------------------


def test_the_specification_of_a_network_cannot_be_changed(tmp_path):
    """Copies, files and the running network would disagree."""
    given = [Standardize(), Residual([Dense(6, "relu"), Dropout(0.5), Dense(6)]), Dense(2)]
    net = network(given)
    given[0] = given[-1] = None
    assert net.layers == (Standardize(), Residual([Dense(6, "relu"), Dropout(0.5), Dense(6)]),
                          Dense(2))  # fmt: skip
    assert net.dense == (Dense(6, "relu"), Dense(6), Dense(2))
    assert net.dropout_rates == (0.0, 0.5, 0.0)
    net.save(tmp_path / "net")
    for twin in (net, net.copy(), fastnn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net))):
        for built in (twin.layers, twin.dense, twin.dropout_rates, twin.layers[1].layers):
            assert type(built) is tuple
        with pytest.raises(dataclasses.FrozenInstanceError):
            twin.layers[2].units = 3
        twin.get_config()["layers"].clear()
        assert len(twin.layers) == 3


def test_names_of_columns_are_kept_with_the_network(tmp_path):
    net, frame = network(), pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    net.fit(frame, Y)
    net.save(tmp_path / "net")
    for twin in (fastnn.load(tmp_path / "net"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.feature_names == net.feature_names == tuple(frame.columns)
        with pytest.raises(ValueError, match="different order"):
            twin.predict(frame[frame.columns[::-1]])


# ---- what is in a file --------------------------------------------------------------------------


def test_a_file_contains_no_name_of_a_class_or_a_machine_and_no_code(tmp_path, monkeypatch):
    """They are replaced, since a real name or number may occur in a file by chance."""
    monkeypatch.setattr(os, "getpid", lambda: 918273645546372)
    monkeypatch.setattr(platform, "node", lambda: "a-machine-of-its-own")
    monkeypatch.setattr(getpass, "getuser", lambda: "a-user-of-its-own")
    data = checkpoint(tmp_path).read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    header = data[8:size].decode()
    kinds = [*layers.KINDS.values(), *losses.KINDS.values(), *optimizers.KINDS.values(),
             *schedules.KINDS.values(), MLP, Activation, EarlyStopping, ModelCheckpoint,
             fastnn.History]  # fmt: skip
    words = [kind.__name__ for kind in kinds]
    words += ["fastnn.", "__main__", "__init__", "builtins", "numpy", "import", "lambda", "/", "py"]
    words += [str(tmp_path), os.getcwd(), platform.node(), sys.executable, str(os.getpid())]
    words += [getpass.getuser(), platform.system(), platform.machine(), "0x"]
    texts = [header.replace("\\", ""), data[:8].decode("latin-1")]
    assert [w for w in words for text in texts if w in text.replace("__metadata__", "")] == []
    assert not header.startswith("\x80")  # as pickles do
    with pytest.raises(Exception):  # noqa: B017, PT011
        pickle.loads(data)


def test_the_same_network_is_the_same_file_anywhere(tmp_path):
    code = (
        "import numpy as np; from fastnn import MLP, Dense;"
        "net = MLP(6, [Dense(2)], loss='squared_error', optimizer='adam', seed=0);"
        "net.fit(np.ones((4, 6)), np.ones((4, 2))); net.save('net')"
    )
    contents = set()
    for i, home in enumerate(["here", "there"]):
        (tmp_path / home).mkdir()
        environment = {**os.environ, "HOME": str(tmp_path / home), "USER": home, "TZ": f"UTC{i}",
                       "PYTHONHASHSEED": str(i)}  # fmt: skip
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path / home, env=environment,
                       check=True)  # fmt: skip
        contents.add((tmp_path / home / "net").read_bytes())
    assert len(contents) == 1


# ---- files that are none ------------------------------------------------------------------------


def changed(kind, place, value):
    """Return an edit of a JSON text in the metadata."""

    def edit(tensors, metadata):
        metadata[kind] = json.dumps(edited(json.loads(metadata[kind]), place, value))

    return edit


def replaced(kind, old, new):
    """Return an edit of that text by its characters."""

    def edit(tensors, metadata):
        assert old in metadata[kind]
        metadata[kind] = metadata[kind].replace(old, new, 1)

    return edit


def tensor(name, value):
    """Return an edit of a tensor."""

    def edit(tensors, metadata):
        if value is ABSENT:
            del tensors[name]
        else:
            tensors[name] = value(tensors[name]) if callable(value) else value

    return edit


def without(kind):
    return lambda tensors, metadata: metadata.pop(kind)


def metadata(kind, text):
    return lambda tensors, metadata: metadata.update({kind: text})


HUGE = 2**31 - 1
DENSE = ("layers", 1)
BAD_FILES = {
    "no format": (without("format"), "is missing 'format'"),
    "another format": (metadata("format", "fastnn 2"), "format must be 'fastnn 1'"),
    "no configuration": (without("config"), "is missing 'config'"),
    "no state": (without("state"), "is missing 'state'"),
    "other metadata": (metadata("note", "x"), "has 'note'"),
    "a configuration that is no JSON": (metadata("config", "MLP(3)"), "Expecting value"),
    "a configuration that is a list": (metadata("config", "[]"), "config is not a JSON object"),
    "a configuration nested deep": (metadata("config", '{"a":' * 10**5), "nested too deeply"),
    "a key too many": (changed("config", ("class",), "fastnn.MLP"), "has 'class'"),
    "a name of a class": (changed("config", (*DENSE, "name"), "Dense"), "['name'] must be one of"),
    "a name of a module's": (changed("config", ("loss", "name"), "os.system"), "must be one of"),
    "a path": (changed("config", ("optimizer", "name"), "/tmp/evil.py"), "must be one of"),
    "units that don't chain": (changed("config", (*DENSE, "units"), 6), "the layers need"),
    "inputs that don't fit": (changed("config", ("n_in",), 4), "the layers need"),
    "inputs of text": (changed("config", ("n_in",), "3"), "n_in must be an integer"),
    "2**31 - 1 units": (changed("config", (*DENSE, "units"), HUGE), "the layers need"),
    "2**31 - 1 inputs": (changed("config", ("n_in",), HUGE), "the layers need"),
    "10**4000 units": (changed("config", (*DENSE, "units"), 10**4000), "units must be"),
    "an int of 5000 digits": (replaced("config", '"units":5', '"units":' + "9" * 5000), "digits"),
    "a layer more": (changed("config", ("layers", 2), {"name": "dense", "units": 5}), "missing"),
    "no layer": (changed("config", ("layers",), []), "at least one Dense"),
    "no bias": (changed("config", (*DENSE, "use_bias"), False), "do not belong"),
    "an unknown activation": (changed("config", (*DENSE, "activation"), "eval"), "must be one of"),
    "another dtype": (changed("config", ("dtype",), "float64"), "the layers need"),
    "a dtype of half precision": (changed("config", ("dtype",), "float16"), "dtype must be"),
    "a dtype that is no Python": (changed("config", ("dtype",), "(1,"), ""),
    "a dtype of list": (changed("config", ("dtype",), [["a", "<f4"]]), ""),
    "NaN": (replaced("config", '"delta":0.7', '"delta":NaN'), "config holds NaN"),
    "Infinity": (replaced("config", '"delta":0.7', '"delta":Infinity'), "config holds Infinity"),
    "-Infinity": (replaced("state", '"step":4', '"step":-Infinity'), "state holds -Infinity"),
    "1e999": (replaced("config", '"delta":0.7', '"delta":1e999'), "config holds 1e999"),
    "a key twice": (replaced("config", '"n_in":3', '"n_in":3,"n_in":3'), "config holds a key twi"),
    "a key twice, deep": (replaced("config", '"units":5', '"units":5,"units":5'), "a key twice"),
    "half a surrogate pair": (replaced("config", '"mean"', '"\\ud800"'), "must be one of"),
    "256 threads and one": (changed("config", ("n_threads",), 257), "n_threads must be"),
    "another loss": (changed("config", ("loss",), {"name": "poisson"}), "'poisson' needs"),
    "a weight missing": (tensor("layers.0.W", ABSENT), "'layers.0.W' is missing"),
    "a bias missing": (tensor("layers.1.b", ABSENT), "'layers.1.b' is missing"),
    "a moment missing": (tensor("optimizer.1.layers.0.W", ABSENT), "'optimizer.1.layers.0.W' is"),
    "an average missing": (tensor("average.layers.1.W", ABSENT), "'average.layers.1.W' is missing"),
    "a scale missing": (tensor("standardize.scale", ABSENT), "'standardize.scale' is missing"),
    "a mean missing": (tensor("standardize.mean", ABSENT), "'standardize.scale' do not belong"),
    "weights kept missing": (tensor("callbacks.1.best_weights.0", ABSENT), "arrays must be"),
    "a tensor too many": (tensor("layers.2.W", np.ones((2, 2), "f4")), "do not belong"),
    "a moment too many": (tensor("optimizer.2.layers.0.W", np.ones(2)), "do not belong"),
    "weights transposed": (tensor("layers.0.W", lambda W: W.T.copy()), "the layers need"),
    "weights in a row": (tensor("layers.0.W", np.ravel), "the layers need"),
    "a bias as a matrix": (tensor("layers.0.b", lambda b: b[None]), "the layers need"),
    "weights in float64": (tensor("layers.0.W", lambda W: W.astype("f8")), "is float64 (3, 5)"),
    "weights of integers": (tensor("layers.0.W", lambda W: W.astype("i8")), "is int64 (3, 5)"),
    "moments in float64": (
        tensor("optimizer.0.layers.0.W", lambda W: W.astype("f8")), "is float64"),
    "moments of another shape": (tensor("optimizer.0.layers.0.b", np.ones(4, "f4")), "(4,)"),
    "averages of another shape": (tensor("average.layers.0.b", np.ones(4, "f4")), "(4,)"),
    "a scale of 0": (tensor("standardize.scale", np.array([1.0, 0.0, 1.0])), "must be above 0"),
    "a scale below 0": (tensor("standardize.scale", np.array([1.0, -1.0, 1.0])), "must be above"),
    "a scale in float32": (tensor("standardize.scale", np.ones(3, "f4")), "is float32 (3,)"),
    "as many means": (tensor("standardize.mean", np.ones(4)), "(4,)"),
    "a negative step": (changed("state", ("step",), -1), "step must be from 0"),
    "a step of 2**63": (changed("state", ("step",), 2**63), "step must be from 0"),
    "a step of float": (changed("state", ("step",), 4.0), "step must be an integer"),
    "a negative epoch": (changed("state", ("epoch",), -1), "epoch must be from 0"),
    "an epoch of bool": (changed("state", ("epoch",), True), "epoch must be an integer"),
    "a seed of 2**64": (changed("state", ("dropout_seed",), 2**64), "dropout_seed must be from 0"),
    "a random state of 2**128": (changed("state", ("shuffler", 0), 2**128), "shuffler[0] must be"),
    "an increment below 0": (changed("state", ("shuffler", 1), -1), "shuffler[1] must be"),
    "a flag of 2": (changed("state", ("shuffler", 2), 2), "shuffler[2] must be from 0 to 1"),
    "a half of 2**32": (changed("state", ("shuffler", 3), 2**32), "shuffler[3] must be"),
    "a random state too short": (changed("state", ("shuffler",), [1, 1, 0]), "argument 2"),
    "a random state of text": (changed("state", ("shuffler",), "1101"), "shuffler must be a list"),
    "no random state": (changed("state", ("shuffler",), None), "shuffler must be a list"),
    "a state's key too many": (changed("state", ("pickle",), "gASVBQ=="), "has 'pickle'"),
    "a state's key missing": (changed("state", ("adapted",), ABSENT), "is missing 'adapted'"),
    "no adapted rate": (changed("state", ("adapted",), None), "adapted must be a dict"),
    "a negative rate": (changed("state", ("adapted", "rate"), -1), "rate must be at least 0"),
    "a wait of float": (changed("state", ("adapted", "wait"), 0.5), "wait must be an integer"),
    "names of other columns": (changed("state", ("feature_names",), ["a"]), "must be 3 names"),
    "names that are numbers": (changed("state", ("feature_names",), [1, 2, 3]), "must be 3 names"),
    "names of text": (changed("state", ("feature_names",), "abc"), "feature_names must be a list"),
    "no metadata of the user's": (without("metadata"), "is missing 'metadata'"),
    "metadata of list": (metadata("metadata", "[]"), "metadata is not a JSON object"),
    "metadata with NaN": (metadata("metadata", '{"a":NaN}'), "metadata holds NaN"),
    "a fit of list": (metadata("fit", "[]"), "fit is not a JSON object"),
    "a fit in epoch -1": (changed("fit", ("epoch",), -1), "fit's epoch must be at least 0"),
    "a fit's key too many": (changed("fit", ("code",), "x"), "has 'code'"),
    "callbacks of text": (changed("fit", ("callbacks",), "History"), "callbacks must be a list"),
    "a callback of text": (changed("fit", ("callbacks", 0), "History"), "callbacks[0] must be a d"),
    "arrays by the billion": (
        changed("fit", ("callbacks", 1, "best_weights", "arrays"), 10**9), "arrays must be from 1"),
    "arrays below 0": (changed("fit", ("callbacks", 1, "best_weights", "arrays"), -1), "arrays"),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The tensors and metadata of a file with every kind of entry."""
    return safetensors.read(checkpoint(tmp_path_factory.mktemp("whole")))


def test_the_file_that_malformed_files_are_made_from_is_valid(whole, tmp_path):
    safetensors.write(tmp_path / "net", *whole)
    assert fastnn.load(tmp_path / "net").step == 4
    assert {"format", "config", "state", "metadata", "fit"} == whole[1].keys()


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_malformed_file_is_refused_before_memory_is_taken(case, whole, tmp_path):
    edit, fragment = BAD_FILES[case]
    path, (tensors, texts) = tmp_path / "net", copy.deepcopy(whole)
    edit(tensors, texts)
    safetensors.write(path, tensors, texts)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            fastnn.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    for part in (str(path), fragment, "save the network again"):
        assert part in message
    assert peak < 2**24
    assert len(message) < 1000 + len(str(path))


@pytest.mark.lean
def test_a_network_of_gigabytes_in_a_small_file_takes_no_memory(whole, tmp_path):
    """The memory of the kernels, which Python does not trace, is checked as well."""
    tensors, texts = copy.deepcopy(whole)
    changed("config", (*DENSE, "units"), HUGE)(tensors, texts)
    safetensors.write(tmp_path / "net", tensors, texts)
    code = (
        "import resource, sys, fastnn;"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try: fastnn.load(sys.argv[1])\n"
        "except fastnn.ModelFileError as error: assert 'the layers need' in str(error)\n"
        "else: sys.exit('loaded')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "net"], check=True)


def small(folder):
    """Return the path of a model file of some 4 KB."""
    net = MLP(4, [Dense(24, "relu"), Dense(3)], loss="huber", optimizer=SGD(0.1, momentum=0.5),
              seed=0)  # fmt: skip
    net.fit(X[:, :4], X[:, :3])
    net.save(folder / "net")
    size = (folder / "net").stat().st_size
    assert 2500 < size < 5000, size
    return folder / "net"


def loads(path):
    try:
        fastnn.load(path)
    except ModelFileError:
        return False
    return True


def test_a_file_cut_at_any_byte_is_refused(tmp_path):
    data = small(tmp_path).read_bytes()
    with Scratch(tmp_path / "cut") as scratch:
        scratch.put(data)
        assert loads(scratch.path)
        for n in range(len(data)):
            scratch.put(data[:n])
            assert not loads(scratch.path), n


def test_a_bit_flipped_in_any_byte_is_found(tmp_path):
    data = small(tmp_path).read_bytes()
    with Scratch(tmp_path / "flipped") as scratch:
        for i in range(len(data)):
            scratch.put(data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :])
            assert not loads(scratch.path), i


# ---- moments that are not finite ----------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "rmsprop", "schedule_free_adamw"])
def test_moments_that_overflowed_are_explained(optimizer, tmp_path):
    """The square of one gradient is more than float32 holds; the advice of the message helps."""

    def made(**options):
        layers = [Dense(4, "tanh"), Dense(2)]
        rule = fastnn.optimizers.KINDS[optimizer](**options)
        return MLP(3, layers, loss="absolute_error", optimizer=rule, seed=0)

    rows, targets = np.ones((8, 3)), np.zeros((8, 2))
    net = made()
    net.train_on_output_gradients(rows, np.full((8, 2), 1e22))
    with pytest.raises(
        ValueError, match=r"optimizer\..* holds inf.*a gradient, or its square, was.*set_w"
    ):
        net.save(tmp_path / "net")
    new = made(clipnorm=1.0)
    new.set_weights(net.get_weights())
    new.train_on_output_gradients(rows, np.full((8, 2), 1e22))
    new.fit(rows[:4], targets[:4])
    new.save(tmp_path / "net")
    assert np.isfinite(fastnn.load(tmp_path / "net").predict(rows)).all()


# ---- mutated files ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_a_network_or_refused(n, whole, tmp_path):
    outcomes = fuzz_networks(tmp_path / "net", whole, n, seed=n)
    print(dict(outcomes))
    assert outcomes["refused"] > n / 2
    assert outcomes["usable"] > n / 20  # and so the mutations reach beyond the first check
