"""Files of many networks: all that they have comes back, and any other file is refused."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
from mutating import Scratch, pick, places

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    Adaptive,
    CosineDecay,
    CustomLoss,
    Dense,
    EarlyStopping,
    LayerNorm,
    ModelFileError,
    ReduceLROnPlateau,
    Residual,
    Standardize,
    Status,
    fit_many,
    load_many,
    networks,
)
from fastnn.exchange.safetensors import encode, read
from fastnn.many import Fits, files

rng = np.random.default_rng(3)
X = 2 + rng.normal(size=(80, 3))
y = X[:, 0] - X[:, 1] * X[:, 2]


def net_of(seed=0, layers=None, **options):
    layers = layers or [Dense(6, "relu"), Dense(1)]
    return MLP(3, layers, **{"loss": "squared_error", "optimizer": "adam", "seed": seed, **options})


def bits(net):
    """Return all that a further training depends on."""
    now = net._state.snapshot()
    blocks = [array.tobytes() for block in now.blocks for array in block]
    learned = net.standardization and [array.tobytes() for array in net.standardization]
    random = now.shuffler, now.dropout_seed, now.adapted
    names = now.feature_names, now.classes
    return blocks, now.step, now.epoch, learned, random, names, net.learning_rate, net.metadata


def of_all(fits):
    """Return all that Fits have, to be compared; repr, since NaN is not equal to itself."""
    histories = [repr((history.epoch, history.history)) for history in fits.histories]
    groups = None if fits.groups is None else (str(fits.groups.dtype), fits.groups.tolist())
    return (
        list(map(bits, fits)), [net.get_config() for net in fits], histories, fits.statuses,
        fits.best_epochs, fits.parameters, repr(groups), fits.interrupted,
    )  # fmt: skip


def goes_on(fits, path):
    """Check that Fits and their file are the same, and stay so in further training."""
    fits.save(path)
    twins = load_many(path)
    assert of_all(twins) == of_all(fits)
    again = [fit_many(each.nets, X, y, epochs=2, on_error="record") for each in (fits, twins)]
    assert of_all(again[0]) == of_all(again[1])
    return twins


def mixed():
    """Networks that differ in much."""
    own = [Dense(5, "tanh"), LayerNorm(), Residual([Dense(5)]), Dense(1)]
    return [
        net_of(0),
        net_of(1, optimizer=Adam(0.02, amsgrad=True)),
        net_of(2, [Standardize(), Dense(6, "relu"), Dense(1)], optimizer=SGD(0.01, momentum=0.9)),
        net_of(3, own, dtype="float64", optimizer=Adam(CosineDecay(0.01, 50), use_ema=True)),
        net_of(2**70, optimizer=Adam(Adaptive(0.01))),
        net_of(None, loss=fastnn.Huber(0.5), n_threads=2),
        net_of(6, optimizer=SGD(1e9)),
        net_of(7, [Standardize(), Dense(6, "relu"), Dense(1)], optimizer=SGD(0.03, momentum=0.9)),
    ]


def trained(**options):
    rules = [ReduceLROnPlateau("loss", patience=1),
             EarlyStopping("loss", patience=3, restore_best_weights=True)]  # fmt: skip
    nets = mixed()
    nets[1].metadata = {"who": "é", "n": [1, None]}
    nets[5].feature_names = ["a", "b", "c"]

    def callbacks(number):
        return [] if number in (3, 4) else [type(rule)("loss", patience=2) for rule in rules]

    options = {"epochs": [7, 8, 9, 10, 11, 3, 2, 0], "callbacks": callbacks, **options}
    return fit_many(nets, X, y, on_error="record", **options)


# ---- all comes back -----------------------------------------------------------------------------


def test_networks_of_all_kinds_go_on_from_a_file_with_the_same_bits(tmp_path):
    fits = trained()
    assert {status.kind for status in fits.statuses} >= {"finished", "diverged"}
    goes_on(fits, tmp_path / "many.safetensors")


def test_networks_that_are_not_trained_come_back(tmp_path):
    fits = Fits(mixed())
    fits.interrupted = True
    assert goes_on(fits, tmp_path / "many.safetensors").statuses == [Status("not started", 0)] * 8


def test_epochs_whose_weights_were_restored_come_back(tmp_path):
    rule = EarlyStopping(patience=2, restore_best_weights=True)
    nets = networks(net_of(optimizer=Adam(0.1)), n=3)
    fits = fit_many(nets, X, y, validation=0.3, epochs=60, callbacks=[rule])
    twins = goes_on(fits, tmp_path / "many.safetensors")
    assert None not in twins.best_epochs
    assert twins.values().tolist() == fits.values().tolist()


def test_networks_do_not_share_their_metadata(tmp_path):
    nets = [net_of(0), net_of(1)]
    for net in nets:
        net.metadata = {"who": ["a"]}
    Fits(nets).save(tmp_path / "many.safetensors")
    found = load_many(tmp_path / "many.safetensors")
    found[0].metadata["who"].append("b")
    assert found[1].metadata == {"who": ["a"]}


def test_a_history_may_have_any_numbers(tmp_path):
    fits = fit_many(networks(net_of(), n=2), X, y, epochs=2)
    fits.histories[0].history |= {"nan": [np.nan, 1.5], "ï": [np.inf, -np.inf, -0.0, 5e-324]}
    goes_on(fits, tmp_path / "many.safetensors")


PARAMETERS = {
    "learning_rate": [0.01, 1, CosineDecay(0.1, 9)],
    "layers": [[Dense(1)], (Dense(4, "tanh"), Dense(1))],
    "optimizer": ["sgd", Adam(0.3)],
    "loss": ["huber", fastnn.Quantile(0.5)],
    "seeds": [None, 2**80, np.int64(3)],
    "scale_penalties": [True, False],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_of_a_grid_come_back(name, tmp_path):
    nets = networks(net_of(), **{name: PARAMETERS[name], "reduction": ["sum"]})
    fits = fit_many(nets, X, y, on_error="record")
    fits.save(tmp_path / "many.safetensors")
    found = load_many(tmp_path / "many.safetensors").parameters
    plain = [{k: list(v) if k == "layers" else v for k, v in p.items()} for p in fits.parameters]
    assert found == plain
    assert [list(each) for each in found] == [list(each) for each in plain]


GROUPS = {
    "text": np.array(["nörd", "süd"]),
    "integers": np.array([-3, 2**40]),
    "small integers": np.array([1, 2], "u1"),
    "floats": np.array([-0.1, np.nan]),
    "big-endian": np.array([0.1, 0.2], ">f4"),
    "booleans": np.array([False, True]),
    "days": np.array(["2020-02-29", "2021-01-01"], "M8[D]"),
    "objects": np.array(["a", None], object),
}


@pytest.mark.parametrize("case", GROUPS)
def test_labels_of_groups_come_back(case, tmp_path):
    fits = Fits([net_of(0), net_of(1)], groups=GROUPS[case])
    fits.save(tmp_path / "many.safetensors")
    found = load_many(tmp_path / "many.safetensors").groups
    assert repr(found.tolist()) == repr(fits.groups.tolist())
    assert found.dtype == fits.groups.dtype.newbyteorder("<")


def scaled(outputs, targets):
    return ((outputs - targets) ** 2).sum(axis=1), 2 * (outputs - targets)


def test_a_loss_that_is_a_function_is_passed_again(tmp_path):
    path = tmp_path / "many.safetensors"
    nets = [net_of(0, loss=CustomLoss(scaled)), net_of(1)]
    fits = fit_many(nets, X, y)
    fits.save(path)
    assert of_all(load_many(path, loss=scaled)) == of_all(fits)
    assert load_many(path, loss=scaled)[0].loss.function is scaled
    with pytest.raises(TypeError, match="loss"):
        load_many(path, loss=3)
    Fits([net_of()]).save(path)
    with pytest.raises(ValueError, match="loss"):
        load_many(path, loss=scaled)
    Fits([]).save(path)
    with pytest.raises(ValueError, match="this file has no networks: leave loss out"):
        load_many(path, loss=scaled)


def test_networks_of_one_architecture_share_tensors(tmp_path):
    path = tmp_path / "many.safetensors"
    fits = fit_many(networks(net_of(), n=300), X, y)
    fits.save(path)
    tensors, _ = read(path)
    assert set(tensors) == {"stacks.0.weights", "stacks.0.optimizer.0", "stacks.0.optimizer.1",
                            "histories.values", "histories.epoch", "index"}  # fmt: skip
    weights = safetensors.numpy.load_file(path)["stacks.0.weights"]
    for net, row in zip(fits, weights, strict=True):
        np.testing.assert_array_equal(net.get_flat_weights(), row)
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header < 1000
    assert path.stat().st_size < 300 * (31 * 3 * 4 + 400)


def test_a_file_saved_again_is_the_same_bytes(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    trained().save(one)
    load_many(one).save(other)
    assert one.read_bytes() == other.read_bytes()


# ---- what cannot be saved -----------------------------------------------------------------------


class Label:
    pass


UNWRITABLE = {
    "parameters": (lambda fits: setattr(fits, "parameters", [{"x": Label()}] * 2), "Label"),
    "groups": (lambda fits: setattr(fits, "groups", np.array([Label(), Label()])), "astype"),
    "complex groups": (lambda fits: setattr(fits, "groups", np.array([1j, 2])), "fits.groups"),
    "metadata": (lambda fits: fits[1].metadata.update(a=Label()), "net.metadata"),
    "histories": (lambda fits: fits.histories[0].history.update(a=["x"]), "fits.histories"),
    "epochs": (lambda fits: fits.histories[0].epoch.append(0.5), "fits.histories"),
    "interrupted": (lambda fits: setattr(fits, "interrupted", 3), "interrupted"),
    "best epochs": (lambda fits: setattr(fits, "best_epochs", [99, 0]), "best epoch"),
    "fewer groups": (lambda fits: setattr(fits, "groups", np.array([1])), "groups"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_load_would_refuse_is_not_saved(case, tmp_path):
    path = tmp_path / "many.safetensors"
    fits = fit_many(networks(net_of(), n=2), X, y)
    fits.save(path)
    old = path.read_bytes()
    change, message = UNWRITABLE[case]
    change(fits)
    with pytest.raises((TypeError, ValueError), match=message):
        fits.save(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["many.safetensors"]


def test_a_network_that_diverged_is_named(diverged, tmp_path):
    moments = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    moments.train_on_output_gradients(np.ones((9, 1), "f4"), np.full((9, 1), 1e25, "f4"))
    fits = fit_many(networks(net_of(), n=2), X, y)
    for net, message in (
        (
            diverged,
            r"weights\.layers\.0\.W of network 1 holds -?inf, so it cannot be saved; set",
        ),
        (
            moments,
            r"optimizer\.1\.layers\.0\.W of network 1 holds inf, .* copy the weights to a new",
        ),
    ):
        fits.nets[1] = net
        with pytest.raises(ValueError, match=message):
            fits.save(tmp_path / "many")
        assert not (tmp_path / "many").exists()


def test_a_path_of_another_form_is_refused():
    with pytest.raises(ValueError, match="saved as a safetensors file"):
        Fits([net_of()]).save("many.onnx")


def test_a_file_of_one_network_is_read_by_load_and_one_of_many_by_load_many(tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    net_of().save(one)
    Fits([net_of()]).save(many)
    with pytest.raises(ModelFileError, match=r"fastnn\.load_many"):
        fastnn.load(many)
    with pytest.raises(ModelFileError, match=r"fastnn\.load\("):
        load_many(one)


# ---- other files --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "many"
    fits = trained()
    fits.groups, fits.parameters = np.arange(8) * 0.5, [{"seeds": i} for i in range(8)]
    fits.histories[0].history["x"] = [np.nan, np.inf]
    fits.save(path)
    return read(path)


def written(path, tensors, index):
    tensors = {**tensors, "index": np.frombuffer(json.dumps(index).encode(), np.uint8)}
    path.write_bytes(b"".join(encode(tensors, {"format": "fastnn many 1"})))


def index_of(whole):
    return json.loads(whole[0]["index"].tobytes())


def set_at(*keys, value):
    def change(tensors, index):
        *path, last = keys
        for key in path:
            index = index[key]
        index[last] = value

    return change


def without(name):
    return lambda tensors, index: tensors.pop(name)


def with_tensor(name, make):
    return lambda tensors, index: tensors.__setitem__(name, make(tensors.get(name)))


MALFORMED = {
    "no weights": without("stacks.0.weights"),
    "no moments": without("stacks.0.optimizer.1"),
    "no averages": without("stacks.3.average"),
    "no standardization": without("stacks.2.standardize.scale"),
    "no histories": without("histories.values"),
    "a tensor too many": with_tensor("x", lambda old: np.zeros(3)),
    "a row too few": with_tensor("stacks.0.weights", lambda old: old[1:].copy()),
    "a column too few": with_tensor("stacks.0.weights", lambda old: old[:, 1:].copy()),
    "another dtype": with_tensor("stacks.0.weights", lambda old: old.astype("f8")),
    "a vector of weights": with_tensor("stacks.0.weights", lambda old: old.reshape(-1)),
    "a negative scale": with_tensor("stacks.2.standardize.scale", lambda old: -old),
    "a value too few": with_tensor("histories.values", lambda old: old[1:].copy()),
    "values of another dtype": with_tensor("histories.values", lambda old: old.astype("f4")),
    "a place after the values": with_tensor("histories.nan", lambda old: np.array([10**6])),
    "places that are floats": with_tensor("histories.inf", lambda old: np.array([0.0])),
    "a table's item that is not there": set_at("columns", "config", 0, value=99),
    "a number that is true": set_at("columns", "stack", 0, value=True),
    "a column too short": set_at("columns", "seed", value=[0]),
    "no column": set_at("columns", value={}),
    "an unknown part": set_at("x", value=1),
    "a seed below 0": set_at("columns", "seed", 0, value=-1),
    "a rate below 0": set_at("columns", "learning_rate", 0, value=-0.5),
    "a rate and a schedule": set_at("columns", "learning_rate", 3, value=0.5),
    "no rate": set_at("columns", "learning_rate", 0, value=None),
    "another stack": set_at("columns", "stack", 0, value=2),
    "a step below 0": set_at("columns", "step", 0, value=-1),
    "a random state of three numbers": set_at("columns", "shuffler", 0, value=[1, 2, 3]),
    "a huge layer": set_at("tables", "config", 0, "layers", 0, "units", value=2**30),
    "another optimizer": set_at("tables", "config", 0, "optimizer", value={"name": "sgd"}),
    "an unknown status": set_at("tables", "status", 0, value=["lost", 3, ""]),
    "a status of two": set_at("tables", "status", 0, value=["finished", 3]),
    "a history of too many epochs": set_at("tables", "history", 0, "epochs", value=2**60),
    "a best epoch that is not there": set_at("columns", "best_epoch", 0, value=70),
    "classes of a regression": set_at("tables", "classes", 0, value=["a", "b"]),
    "too few names": set_at("tables", "feature_names", 0, value=["a"]),
    "too few groups": set_at("others", "groups", "labels", value=["0x0p0"]),
    "groups of code": set_at("others", "groups", "dtype", value="V3"),
    "too few parameters": set_at("others", "parameters", "members", value=[[0]]),
    "a parameter that is not there": set_at("others", "parameters", "members", 0, value=[99]),
    "interrupted": set_at("others", "interrupted", value=2),
}


def test_the_file_that_the_cases_below_alter_is_read(whole, tmp_path):
    written(tmp_path / "many", whole[0], index_of(whole))
    assert len(load_many(tmp_path / "many")) == 8


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_refused(case, whole, tmp_path):
    tensors, index = dict(whole[0]), index_of(whole)
    MALFORMED[case](tensors, index)
    written(tmp_path / "many", tensors, index)
    with pytest.raises(ModelFileError, match="is not a model of this version of fastnn"):
        load_many(tmp_path / "many")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"\xff", b'{"tables":NaN}', b"[" * 9999])
def test_an_invalid_index_is_refused(text, whole, tmp_path):
    tensors = {**whole[0], "index": np.frombuffer(text or b" ", np.uint8)}
    (tmp_path / "many").write_bytes(b"".join(encode(tensors, {"format": "fastnn many 1"})))
    with pytest.raises(ModelFileError, match="is not a model of this version of fastnn"):
        load_many(tmp_path / "many")


VALUES = [None, True, 0, 1, -1, 5, 2**31, 10**400, 0.5, "", "adam", [], {}, [1], {"a": 1}]


@pytest.mark.parametrize("n", [150, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_many_networks_or_refused(n, whole, tmp_path):
    """Values of the index are changed, dropped or moved; what is read can be written again."""
    random, outcomes = np.random.default_rng(0), {"read": 0, "refused": 0}
    text = whole[0]["index"].tobytes()
    with Scratch(tmp_path / "many") as scratch:
        for _ in range(n):
            index = json.loads(text)
            node, key = pick(random, places(index))
            if random.integers(3) == 0:
                del node[key]
            else:
                node[key] = pick(random, VALUES)
            tensors = {**whole[0], "index": np.frombuffer(json.dumps(index).encode(), np.uint8)}
            scratch.put(b"".join(encode(tensors, {"format": "fastnn many 1"})))
            try:
                fits = load_many(scratch.path)
            except ModelFileError:
                outcomes["refused"] += 1
            else:
                files.encode([fits.outcome(i) for i in range(len(fits))], {})
                outcomes["read"] += 1
    assert min(outcomes.values()) > n / 30


def test_a_file_cut_or_changed_anywhere_is_refused(tmp_path):
    path = tmp_path / "many"
    Fits([net_of(i) for i in range(3)]).save(path)
    data = path.read_bytes()
    for i in range(0, len(data), 7):
        changed = bytearray(data)
        changed[i] ^= 1 << (i % 8)
        for other in (data[:i], bytes(changed)):
            path.write_bytes(other)
            with pytest.raises(ModelFileError):
                load_many(path)
