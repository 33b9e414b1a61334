"""checkpoint= of fit_many: what is finished is kept, however the call ends, and the bits stay."""

import datetime
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conditions import Interrupting

from fastnn import (
    MLP,
    SGD,
    Adam,
    Callback,
    CSVLogger,
    Dense,
    EarlyStopping,
    ModelCheckpoint,
    ModelFileError,
    Standardize,
    fit_many,
    load,
    load_many,
    networks,
)
from fastnn.many import checkpoints, digests, unattended
from fastnn.training.orders import RowOrder

rng = np.random.default_rng(5)
X = rng.normal(size=(60, 3)).astype(np.float32)
y = (X[:, 0] - X[:, 1] * X[:, 2]).astype(np.float32)


def net_of(seed=0, hidden=6, **options):
    layers = [Dense(hidden, "relu"), Dense(1)]
    return MLP(3, layers, **{"loss": "squared_error", "optimizer": "adam", "seed": seed, **options})


def nets_of(n=6):
    return [net_of(i, hidden=4 + i % 2) for i in range(n)]


def bits(fits):
    blocks = [net._state.snapshot() for net in fits]
    arrays = [[a.tobytes() for block in s.blocks for a in block] for s in blocks]
    histories = [history.history for history in fits.histories]
    return arrays, [s.shuffler for s in blocks], histories, fits.statuses, fits.best_epochs


OPTIONS = {
    "epochs": [3, 1, 4, 0, 2, 5],
    "batch_size": 16,
    "validation": 0.2,
    "metrics": ["r2"],
    "on_error": "record",
    "n_threads": 1,
}


class Failing(Callback):
    def on_epoch_end(self, epoch, logs):
        raise RuntimeError("no more")


def with_rule(number, kind):
    """Return a function that gives one network a callback; by its name it is always the same."""

    def rules(i):
        return [kind()] if i == number else []

    return rules


def nothing(number):
    return []


nothing.__qualname__ = with_rule(0, Callback).__qualname__  # they count as one function


# ---- it goes on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [True, False])
def test_an_interrupted_call_goes_on_to_the_bits_of_one_that_was_not(in_place, tmp_path):
    path, nets = tmp_path / "runs", nets_of()
    fits = fit_many(nets, X, y, checkpoint=path, callbacks=with_rule(2, Interrupting), **OPTIONS)
    assert fits.interrupted
    assert [status.kind for status in fits.statuses].count("not started") > 1
    again = nets if in_place else nets_of()
    done = []

    def rules(i):
        done.append(i)
        return []

    rules.__qualname__ = nothing.__qualname__
    found = fit_many(again, X, y, checkpoint=path, callbacks=rules, **OPTIONS)
    assert sorted(done) == [i for i, s in enumerate(fits.statuses) if s.kind == "not started"]
    assert not found.interrupted
    assert bits(found) == bits(fit_many(nets_of(), X, y, **OPTIONS))


def test_networks_that_are_finished_are_not_trained_again(tmp_path):
    path = tmp_path / "runs"
    first = fit_many(networks(net_of(), n=4), X, y, checkpoint=path, callbacks=nothing)

    found = fit_many(networks(net_of(), n=4), X, y, checkpoint=path,
                     callbacks=with_rule(0, Failing))  # fmt: skip
    assert bits(found) == bits(first)
    assert found.parameters == first.parameters


def test_networks_that_standardize_go_on(tmp_path):
    layers = [Standardize(), Dense(1)]
    base = MLP(3, layers, loss="squared_error", optimizer="adam", seed=0)
    options = {"checkpoint": tmp_path / "runs", "n_threads": 1}
    first = fit_many(networks(base, n=2), X, y, callbacks=with_rule(1, Interrupting), epochs=3,
                     **options)  # fmt: skip
    assert [status.kind for status in first.statuses] == ["finished", "not started"]
    found = fit_many(networks(base, n=2), X, y, callbacks=nothing, epochs=3, **options)
    assert bits(found) == bits(fit_many(networks(base, n=2), X, y, epochs=3))
    assert found[0].standardization is not None


def test_what_finished_before_an_error_is_kept(tmp_path):
    path = tmp_path / "runs"
    with pytest.raises(RuntimeError, match=r"nets\[3\]: no more"):
        fit_many(nets_of(), X, y, epochs=[9, 8, 7, 6, 5, 4], n_threads=1, checkpoint=path,
                 callbacks=with_rule(3, Failing))  # fmt: skip
    options = {"epochs": [9, 8, 7, 6, 5, 4], "n_threads": 2}
    done = []

    def rules(i):
        done.append(i)
        return []

    rules.__qualname__ = nothing.__qualname__
    found = fit_many(nets_of(), X, y, checkpoint=path, callbacks=rules, **options)
    assert sorted(done) == [3, 4, 5]
    assert bits(found) == bits(fit_many(nets_of(), X, y, **options))


def test_a_call_that_the_error_of_a_callback_ended_can_be_repeated(tmp_path):
    nets, options = nets_of(), {"epochs": 3, "n_threads": 2, "checkpoint": tmp_path / "runs"}
    with pytest.raises(RuntimeError, match=r"nets\[3\]: no more"):
        fit_many(nets, X, y, callbacks=with_rule(3, Failing), **options)
    assert nets[3].step == 0
    found = fit_many(nets, X, y, callbacks=nothing, **options)
    assert bits(found) == bits(fit_many(nets_of(), X, y, epochs=3))


def test_a_record_is_written_while_others_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_SECONDS", 0)
    path, sizes = tmp_path / "runs", []

    class Waiting(Callback):
        def on_epoch_end(self, epoch, logs):
            """Wait until the networks before this one are in the file."""
            size = sizes[-1] if sizes else 0
            while path.stat().st_size <= size:
                time.sleep(0.001)
            sizes.append(path.stat().st_size)

    fit_many(nets_of(3), X, y, checkpoint=path, n_threads=1, callbacks=[Waiting()])
    assert len(set(sizes)) == 3


def test_records_are_written_while_the_engine_trains_others(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_SECONDS", 0)
    path, written, options = tmp_path / "runs", [], {"epochs": [9, 8, 7, 6, 5, 4]}
    want = bits(fit_many(nets_of(), X, y, **options))

    def write(checkpoint):
        before = len(checkpoint.left)
        original(checkpoint)
        written.append(before - len(checkpoint.left))

    original = checkpoints.Checkpoint.write
    monkeypatch.setattr(checkpoints.Checkpoint, "write", write)
    assert bits(fit_many(nets_of(), X, y, checkpoint=path, **options)) == want
    assert sum(written) == 6
    assert bits(fit_many(nets_of(), X, y, checkpoint=path, **options)) == want


def test_few_networks_wait_for_a_record(tmp_path, monkeypatch):
    """Those that do are written after Ctrl-C, and delay the end of the call."""
    monkeypatch.setattr(checkpoints, "_SECONDS", float("inf"))
    monkeypatch.setattr(checkpoints, "_MOST_UNWRITTEN", 10)
    monkeypatch.setattr(unattended, "_TOGETHER", 20)
    sizes, write = [], checkpoints.Checkpoint.write

    def count(checkpoint):
        before = len(checkpoint.left)
        write(checkpoint)
        sizes.append(before - len(checkpoint.left))

    monkeypatch.setattr(checkpoints.Checkpoint, "write", count)
    fit_many(networks(net_of(), n=100), X, y, checkpoint=tmp_path / "runs", n_threads=1)
    assert sum(sizes) == 100
    assert max(sizes) <= 10 + 20


THOUSANDS = """
import hashlib, json, os, re, signal, sys, time
import numpy as np
from fastnn import MLP, Dense, fit_many, networks
from fastnn.many import checkpoints
from fastnn.many.results import Histories

n, path = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = rng.normal(size=(100, 2)).astype(np.float32)
base = MLP(2, [Dense(8, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
options = {"batch_size": 32, "epochs": 2, "validation": 0.2}
found = {"kept": 0, "pressed": 0.0, "records": [], "digests": []}

def memory(name):
    with open("/proc/self/status") as file:
        return int(re.search(rf"{name}:\\s+(\\d+)", file.read())[1]) * 1024

def train(nets, **others):
    fits = fit_many(nets, X, np.sin(X[:, 0]), **options, **others)
    digest = hashlib.sha256()
    for net, status, history in zip(fits, fits.statuses, fits.histories):
        digest.update(net.get_flat_weights().tobytes())
        digest.update(repr((status, history.history)).encode())
    return digest.hexdigest()

keep, write = Histories.keep, checkpoints.Checkpoint.write

def keep_and_count(*args):
    keep(*args)
    found["kept"] += 1
    if found["kept"] == n // 3:
        found["pressed"] = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

def write_and_count(checkpoint):
    before = len(checkpoint.left)
    write(checkpoint)
    found["records"].append(before - len(checkpoint.left))

nets = list(networks(base, n=n))
before = memory("VmRSS")
fits = fit_many(nets, X, np.sin(X[:, 0]), **options)
found["growth"] = memory("VmHWM") - before
del nets, fits
found["digests"].append(train(networks(base, n=n)))
Histories.keep, checkpoints.Checkpoint.write = keep_and_count, write_and_count
fits = fit_many(networks(base, n=n), X, np.sin(X[:, 0]), checkpoint=path, **options)
found["ms"] = 1e3 * (time.perf_counter() - found["pressed"])
found["interrupted"], found["finished"] = fits.interrupted, int(fits.is_trained.sum())
del fits
found["digests"].append(train(networks(base, n=n), checkpoint=path))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_ctrl_c_during_thousands_of_networks(n, tmp_path):
    """What follows it does not grow with their number; `ms` is shown and not asserted."""
    command = [sys.executable, "-c", THOUSANDS, str(n), tmp_path / "runs"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    print(f"{n} networks: {found['ms']:.0f} ms after Ctrl-C, {found['growth'] / n:.0f} bytes each")
    assert found["interrupted"]
    assert n // 3 <= found["finished"] < n // 3 + unattended._TOGETHER
    # Those that were finished were not trained again; that of the interrupt is kept twice.
    assert found["kept"] in (n, n + 1)
    assert sum(found["records"]) == n
    assert max(found["records"]) <= checkpoints._MOST_UNWRITTEN + unattended._TOGETHER
    assert found["digests"][0] == found["digests"][1]
    assert found["growth"] < 3000 * n + 2**25


def test_networks_that_diverged_are_kept_and_raise_if_that_is_asked_for(tmp_path):
    path, rates = tmp_path / "runs", [0.01, 1e9]
    nets = networks(net_of(optimizer=SGD()), learning_rate=rates)
    options = {"epochs": 5, "checkpoint": path}
    first = fit_many(nets, X, y, on_error="record", **options)
    assert [status.kind for status in first.statuses] == ["finished", "diverged"]
    assert bits(fit_many(nets, X, y, on_error="record", **options)) == bits(first)
    with pytest.raises(FloatingPointError, match=r"nets\[1\]"):
        fit_many(nets, X, y, on_error="raise", **options)


def test_progress_counts_the_networks_of_the_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    for _ in range(2):
        fit_many(networks(net_of(), n=3), X, y, checkpoint=tmp_path / "runs", verbose=1)
        assert "3/3 networks" in capsys.readouterr().err


def test_the_rate_counts_only_networks_of_this_call(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    options = {"checkpoint": tmp_path / "runs", "verbose": 1}
    fit_many(networks(net_of(), n=3), X, y, **options)
    capsys.readouterr()
    fit_many(networks(net_of(), n=3), X, y, **options)
    assert capsys.readouterr().err == "3/3 networks, 0.0 networks/s\n"


# ---- processes that are killed ------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import fastnn.many.checkpoints
from fastnn import MLP, Dense, fit_many, networks

fastnn.many.checkpoints._SECONDS = 0.0
rng = np.random.default_rng(0)
X, y = rng.normal(size=(300, 4)), rng.normal(size=300)
base = MLP(4, [Dense(16, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
nets = networks(base, n=40)
print("ready", flush=True)
fits = fit_many(nets, X, y, epochs=60, validation=0.2, n_threads=2, checkpoint=sys.argv[1])
fits.save(sys.argv[2])
"""


def run_until_done(folder, kills, random):
    """Run the program, killing it at random moments; return how often it was killed."""
    killed = 0
    while True:
        command = [sys.executable, "-c", PROGRAM, folder / "runs", folder / "fits"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            if killed < kills:
                time.sleep(random.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                killed += 1
            code = process.wait()
        if code != -signal.SIGKILL:
            assert code == 0
            return killed


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_call_goes_on_to_the_bits_of_one_that_was_not(kills, tmp_path):
    (tmp_path / "whole").mkdir()
    random = np.random.default_rng(0)
    run_until_done(tmp_path, kills, random)
    run_until_done(tmp_path / "whole", 0, random)
    assert bits(load_many(tmp_path / "fits")) == bits(load_many(tmp_path / "whole/fits"))


@pytest.fixture
def written(tmp_path):
    """Return the path of a finished checkpoint, and where its records begin."""
    path, ends = tmp_path / "runs", []
    for n in (2, 3, 4):  # a record for each call, since the one before was interrupted

        def rules(i, n=n):
            return [Interrupting()] if i == n and n < 4 else []

        rules.__qualname__ = nothing.__qualname__
        fit_many(nets_of(), X, y, epochs=[9, 8, 7, 6, 5, 4], n_threads=1, checkpoint=path,
                 callbacks=rules)  # fmt: skip
        ends.append(path.stat().st_size)
    return path, ends


def test_a_record_that_was_cut_short_is_trained_again(written):
    path, ends = written
    data, options = path.read_bytes(), {"epochs": [9, 8, 7, 6, 5, 4], "callbacks": nothing}
    for end in (ends[0], ends[0] + 3, ends[1] - 1, ends[1] + 100):
        path.write_bytes(data[:end])
        found = fit_many(nets_of(), X, y, checkpoint=path, **options)
        assert bits(found) == bits(fit_many(nets_of(), X, y, **options))


def test_a_damaged_record_is_trained_again_with_a_warning(written):
    path, ends = written
    data, options = bytearray(path.read_bytes()), {"epochs": [9, 8, 7, 6, 5, 4],
                                                  "callbacks": nothing}  # fmt: skip
    data[ends[1] - 5] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=rf"is damaged from byte {ends[0]} on") as warned:
        found = fit_many(nets_of(), X, y, checkpoint=path, **options)
    assert warned[0].filename == __file__
    assert bits(found) == bits(fit_many(nets_of(), X, y, **options))


# ---- what is refused ----------------------------------------------------------------------------

CHANGES = {
    "X": {"X": X + 1},
    "X of another type": {"X": X.astype("f8")},
    "y": {"y": y + 1},
    "sample_weight": {"sample_weight": y**2},
    "rows or groups": {"rows": [None, [0, 1], *[None] * 4]},
    "validation": {"validation": 0.3},
    "epochs": {"epochs": 2},
    "batch_size": {"batch_size": 4},
    "shuffle": {"shuffle": False},
    "metrics": {"metrics": ["mae"]},
    "callbacks": {"callbacks": [EarlyStopping(patience=3)]},
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_checkpoint_of_another_call_is_refused_by_what_differs(case, tmp_path):
    path = tmp_path / "runs"
    options = {"X": X, "y": y, "validation": 0.2, "callbacks": [EarlyStopping(patience=2)]}
    fit_many(nets_of(), **options, checkpoint=path)
    data, nets = path.read_bytes(), nets_of()
    name = case.partition(" of another")[0]
    with pytest.raises(ValueError, match=f"is of a call with different {name}; pass the same"):
        fit_many(nets, **{**options, **CHANGES[case]}, checkpoint=path)
    assert path.read_bytes() == data
    assert {net.step for net in nets} == {0}


@pytest.mark.parametrize("name", ["X", "y"])
def test_a_checkpoint_for_other_names_of_columns_or_classes_is_refused(name, tmp_path):
    pandas = pytest.importorskip("pandas")
    texts = np.array(["b", "a"])[(y > 0).astype(int)]

    def fit(columns, categories):
        base = MLP(3, [Dense(2, "softmax")], loss="cross_entropy", optimizer="sgd", seed=0)
        frame = pandas.DataFrame(X, columns=list(columns))
        targets = pandas.Series(pandas.Categorical(texts, categories=list(categories)))
        return fit_many(networks(base, n=2), frame, targets, checkpoint=tmp_path / "runs")

    first = fit("uvw", "ab")
    assert bits(fit("uvw", "ab")) == bits(first)
    with pytest.raises(ValueError, match=f"is of a call with different {name}; pass the same"):
        fit(*{"X": ("uvz", "ab"), "y": ("uvw", "ba")}[name])


@pytest.mark.parametrize(
    "nets",
    [
        [*nets_of(5), net_of(9)],
        [*nets_of(5), net_of(5, hidden=7)],
        [*nets_of(5), net_of(5, hidden=5, optimizer=Adam(0.5))],
        [*nets_of(5), net_of(None, hidden=5)],
    ],
)
def test_a_checkpoint_of_other_networks_is_refused(nets, tmp_path):
    path = tmp_path / "runs"
    fit_many(nets_of(), X, y, checkpoint=path)
    with pytest.raises(ValueError, match=r"nets\[5\] had different layers, options or weights"):
        fit_many(nets, X, y, checkpoint=path)
    with pytest.raises(ModelFileError, match="written by a call with 6 networks, not 5"):
        fit_many(nets_of(5), X, y, checkpoint=path)


def test_another_file_is_refused_and_stays(tmp_path):
    for name, content in {"text": b"a,b\n1,2\n" * 9, "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match="is not a checkpoint of fit_many"):
            fit_many(nets_of(), X, y, checkpoint=tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    net_of().save(tmp_path / "net")
    with pytest.raises(ValueError, match="holds a network that fastnn saved"):
        fit_many(nets_of(), X, y, checkpoint=tmp_path / "net")
    with pytest.raises(ValueError, match=r"ends with '\.safetensors'"):
        fit_many(nets_of(), X, y, checkpoint=tmp_path / "net.safetensors")


def test_a_file_that_rows_lie_in_is_refused(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    os.symlink(path, tmp_path / "link")
    for options in ({"X": mapped}, {"X": X, "validation": (mapped, y)}):
        with pytest.raises(ValueError, match="is read and would be lost"):
            fit_many(nets_of(), y=y, checkpoint=tmp_path / "link", **options)
    np.testing.assert_array_equal(np.load(path), X)


def test_a_checkpoint_is_no_file_of_networks(written):
    with pytest.raises(ModelFileError, match="is a checkpoint of fit_many: call fit_many with"):
        load_many(written[0])


def test_a_damaged_beginning_is_refused(written):
    path, _ = written
    data = path.read_bytes()
    for i in (len(checkpoints.HEAD), len(checkpoints.HEAD) + 40):
        path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        with pytest.raises(ModelFileError, match="remove the file to start over"):
            fit_many(nets_of(), X, y, epochs=[9, 8, 7, 6, 5, 4], callbacks=nothing,
                     checkpoint=path)  # fmt: skip


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_an_oserror(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        fit_many(nets_of(), X, y, checkpoint=tmp_path / "runs")


def test_a_folder_that_is_not_there_is_an_oserror_before_training(tmp_path):
    nets = nets_of()
    with pytest.raises(FileNotFoundError):
        fit_many(nets, X, y, checkpoint=tmp_path / "nowhere/runs")
    assert {net.step for net in nets} == {0}


def test_the_digests_of_a_call_are_the_same_in_another_process(tmp_path):
    program = """
import json, numpy as np
from fastnn import MLP, Dense, EarlyStopping
from fastnn.many import digests, members
X = np.arange(12.0).reshape(6, 2)
net = MLP(2, [Dense(1)], loss="squared_error", optimizer="adam", seed=1)
plan = members.make([net], X, X[:, 0], rows=None, groups=np.array(list("aaaaaa"), object),
    validation=0.5, epochs=1, batch_size=2, shuffle=[np.random.default_rng(3)], sample_weight=None,
    class_weight={"b": 1.0}, metrics=["r2", max], callbacks=[EarlyStopping(patience=3)])
state = net._state
print(json.dumps([digests.of_call(plan), digests.OfNetworks().of(state.specification,
    state.snapshot()).hex()], sort_keys=True))
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout
        for seed in "12"
    ]
    assert found[0] == found[1]
    assert len(set(json.loads(found[0])[0].values())) == 11


def random_state(seed):
    return np.random.RandomState(seed)


@pytest.mark.parametrize(
    "make",
    [
        random_state,
        lambda seed: RowOrder(10, random_state(seed), True),
        lambda seed: {datetime.date(2020, 1, seed): 1.0},
        lambda seed: {f"label {seed}", "b"},
        lambda seed: functools.partial(max, seed),
    ],
    ids=["RandomState", "RowOrder", "date", "set", "partial"],
)
def test_objects_of_any_kind_are_told_apart(make):
    assert digests.of_value([make(1)]) == digests.of_value([make(1)])
    assert digests.of_value([make(1)]) != digests.of_value([make(2)])


def test_the_order_of_a_dict_does_not_count():
    one, other = {0: 1.0, 1: 2.0}, {1: 2.0, 0: 1.0}
    assert digests.of_value(one) == digests.of_value(other)
    assert digests.of_value(one) != digests.of_value({0: 2.0, 1: 1.0})


def test_an_object_without_a_value_counts_by_its_class():
    assert digests.of_value(threading.Lock()) == digests.of_value(threading.Lock())


OVERWRITING = {
    "a log": lambda path, fits: net_of().fit(X, y, callbacks=[CSVLogger(path)]),
    "a checkpoint of a network": lambda path, fits: net_of().fit(
        X, y, callbacks=[ModelCheckpoint(path)]),
    "a network": lambda path, fits: net_of().save(path),
    "networks": lambda path, fits: fits.save(path),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERWRITING)
def test_a_checkpoint_is_not_overwritten(case, tmp_path):
    path = tmp_path / "nets"
    fits = fit_many(nets_of(), X, y, checkpoint=path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="holds a checkpoint of fit_many, which would be lost"):
        OVERWRITING[case](str(path), fits)
    assert path.read_bytes() == content


def test_a_checkpoint_is_recognized_where_one_network_is_read(tmp_path):
    path = tmp_path / "nets"
    fit_many(nets_of(), X, y, checkpoint=path)
    for read in (load, lambda path: net_of().fit(X, y, resume=path)):
        with pytest.raises(ModelFileError, match="is a checkpoint of fit_many: call fit_many with"):
            read(path)
