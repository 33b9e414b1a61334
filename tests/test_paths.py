"""Paths of files that are written: none is a file that is read, and none loses a network.

Tests every command and function that writes, against every way of naming a file twice: another
spelling, a symbolic link, a hard link, a descriptor. The contents of all files are compared before
and after. Not here: what files contain (test_files.py, test_tables.py, test_exchange.py), and how
they are replaced (test_safetensors.py).
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from conditions import LONG

import fastnn
from fastnn import MLP, Callback, CSVLogger, Dense, ModelCheckpoint, _files, tables
from fastnn.cli import main


def network():
    return MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)


def put(folder):
    """Put a table, a network learned from it, mapped rows and a checkpoint into a folder."""
    pytest.importorskip("polars")
    rows = np.arange(40.0).reshape(20, 2)
    lines = [f"{a},{b},{a + b}" for a, b in rows]
    (folder / "data.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    code = main(["train", str(folder / "data.csv"), "--target", "y", "--preset", "plain",
                 "--epochs", "2", "--quiet", "--out", str(folder / "model")])  # fmt: skip
    assert code == 0
    with open(folder / "rows", "wb") as file:  # a name that every writer takes
        np.save(file, rows)
    network().save(folder / "plain")


#: Other names of a file in the same folder.
NAMES = {
    "its name": lambda folder, name: folder / name,
    "a spelling": lambda folder, name: f"{folder}/../{folder.name}/./{name}",
    "a symbolic link": lambda folder, name: linked(os.symlink, folder, name),
    "a hard link": lambda folder, name: linked(os.link, folder, name),
}


def linked(link, folder, name):
    """Make a link with another name and the same ending."""
    place = folder / f"link{os.path.splitext(name)[1]}"
    link(folder / name, place)
    return place


@pytest.fixture
def folder(tmp_path, capsys):
    """A folder of files, whose contents are compared after the test."""
    put(tmp_path)
    capsys.readouterr()
    before = contents(tmp_path)
    yield tmp_path
    assert {name: after for name, after in contents(tmp_path).items() if name in before} == before


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(call, *fragments):
    """Check that a call raises a ValueError with these fragments in its one line."""
    with pytest.raises(ValueError, match="another file") as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [f for f in fragments if f not in message] == [], message


# ---- commands -----------------------------------------------------------------------------------

#: Arguments of a command by its inputs, and the option whose file would be an input.
COMMANDS = {
    "train": (["train", "data.csv", "--target", "y"], "--out", "data.csv"),
    "predict, data": (["predict", "model", "data.csv"], "--out", "data.csv"),
    "predict, model": (["predict", "model", "data.csv"], "--out", "model"),
    "onnx": (["export", "model"], "--onnx", "model"),
    "json": (["export", "model"], "--json", "model"),
}


@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_to_a_file_that_it_reads(command, other, folder, monkeypatch, capsys):
    argv, option, name = COMMANDS[command]
    path = os.fspath(NAMES[other](folder, name))
    monkeypatch.chdir(folder)
    assert main([*argv, option, path]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastnn: error: {option} {path!r} is ")
    assert "is read and would be lost; write to another file" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["net.c", "net.h"])
def test_neither_c_source_nor_its_header_replaces_the_model(name, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    os.link("model", name)
    assert main(["export", name, "--c", "net.c"]) == 2
    assert "is read and would be lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "predict model data.csv >> data.csv",
        "predict model - < data.csv >> data.csv",
        "predict model data.csv >> model",
        "train - --target y --out data.csv < data.csv",
        "train data.csv --target y --out /dev/stdout >> data.csv",
        "export model --json >> model",
        "info model >> model",
    ],
)
def test_redirections_count_as_files(line, folder):
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m fastnn {line}'],
        cwd=folder, capture_output=True, encoding="utf-8", timeout=LONG,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "is read and would be lost; write to another file" in done.stderr


def test_devices_and_terminals_do_not_count_as_files(folder):
    """Input and output of a shell are the same terminal, which no write destroys."""
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "predict", "model", "-"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        encoding="utf-8", timeout=LONG,
    )  # fmt: skip
    assert "is empty" in done.stderr


# ---- a fit --------------------------------------------------------------------------------------


def mapped(folder):
    return np.load(folder / "rows", mmap_mode="r")


#: Arguments of fit that read a mapped array.
READERS = {
    "X": lambda X: {"X": X, "y": X[:, 0].copy()},
    "a view": lambda X: {"X": np.asarray(X)[3:], "y": np.zeros(17)},
    "y": lambda X: {"X": np.zeros((20, 2)), "y": X[:, 0]},
    "sample_weight": lambda X: {"X": np.zeros((20, 2)), "y": np.zeros(20),
                                "sample_weight": X[:, 1]},
    "validation_data": lambda X: {"X": np.zeros((20, 2)), "y": np.zeros(20),
                                  "validation_data": (X, np.zeros(20))},
    "batches": lambda X: {"X": [(X[:10], np.zeros(10)), (X[10:], np.zeros(10))]},
    "sparse rows": lambda X: {
        "X": scipy.sparse.csr_array((X[:, 0], np.zeros(20, int), np.arange(21)), (20, 2)),
        "y": np.zeros(20)},
}  # fmt: skip

WRITERS = {
    "CSVLogger": lambda path: CSVLogger(path),
    "CSVLogger, append": lambda path: CSVLogger(path, append=True),
    "ModelCheckpoint": lambda path: ModelCheckpoint(path),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_callback_writes_to_mapped_rows(writer, other, reader, folder):
    """A log that truncated the file would end the process by SIGBUS."""
    net, rows = network(), READERS[reader](mapped(folder))
    before = net.get_weights()
    callback = WRITERS[writer](NAMES[other](folder, "rows"))
    fragments = "path of callbacks[1]", type(callback).__name__, "is read and would be lost"
    refused(lambda: net.fit(**rows, callbacks=[Callback(), callback]), *fragments)
    assert net.epoch == 0
    assert all(map(np.array_equal, net.get_weights(), before))


@pytest.mark.parametrize("write", ["save", "to_c", "export", "field"])
def test_nothing_is_written_to_mapped_rows_while_they_are_trained(write, folder):
    os.link(folder / "rows", folder / "rows.c")

    class Writer(Callback):
        def on_epoch_end(self, epoch, logs):
            if write == "export":
                fastnn.onnx.export(self.model, folder / "rows")
            elif write == "to_c":
                self.model.to_c(folder / "rows.c")
            else:
                self.model.save(folder / "rows")

    os.link(folder / "rows", folder / "rows-1")
    callback = ModelCheckpoint(folder / "rows-{epoch}") if write == "field" else Writer()
    X = mapped(folder)
    refused(lambda: network().fit(X, X[:, 0], callbacks=[callback]), "is read and would be lost")


def test_callbacks_write_to_different_files(folder, monkeypatch):
    monkeypatch.chdir(folder)
    X = np.zeros((4, 2))
    pairs = [
        (CSVLogger("log"), ModelCheckpoint("./log")),
        (CSVLogger("a/log"), CSVLogger(folder / "a" / "log")),
        (ModelCheckpoint("net"), ModelCheckpoint("net", "loss", save_best_only=True)),
        (CSVLogger("a{b"), ModelCheckpoint("a{{b")),
    ]
    for pair in pairs:
        with pytest.raises(ValueError, match=r"callbacks\[1\].*callbacks\[2\].*both write"):
            network().fit(X, X[:, 0], callbacks=[Callback(), *pair])
    network().fit(X, X[:, 0], callbacks=[ModelCheckpoint("a-{epoch}"), ModelCheckpoint("b-{epoch}"),
                                         CSVLogger("c")])  # fmt: skip


def test_the_files_that_a_callback_declares_are_checked(folder):
    class Writer(Callback):
        files_written = (os.fspath(folder / "rows"),)

    X = mapped(folder)
    refused(lambda: network().fit(X, X[:, 0], callbacks=[Writer()]), "callbacks[0] (Writer)")


def test_a_checkpoint_replaces_the_file_that_the_fit_resumes_from(folder):
    X = np.zeros((4, 2))
    for epochs in (1, 2):
        path = folder / "checkpoint"
        network().fit(X, X[:, 0], epochs=epochs, resume=path, callbacks=[ModelCheckpoint(path)])
    assert fastnn.load(path).epoch == 2


# ---- models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", NAMES)
def test_only_a_network_replaces_a_network(other, folder):
    net, path = network(), NAMES[other](folder, "plain")
    X = np.zeros((4, 2))
    recipe = tables.recipe_of(fastnn.load(folder / "model"))
    lost = "holds a network that fastnn saved"
    refused(lambda: fastnn.onnx.export(net, path), lost)
    refused(lambda: tables.write_text(os.fspath(path), "text"), lost)
    for append in (False, True):
        log = CSVLogger(path, append=append)
        refused(lambda log=log: net.fit(X, X[:, 0], callbacks=[log]), lost)
    for name in ("net.c", "net.h", "net.csv"):
        (folder / name).symlink_to(folder / "plain")
    refused(lambda: tables.write(f"{folder}/net.csv", recipe, np.zeros((1, 1))), lost)
    refused(lambda: net.to_c(folder / "net.c"), lost, "net.c")
    (folder / "net.c").unlink()
    refused(lambda: net.to_c(folder / "net.c"), lost, "net.h")
    network().save(folder / "new")
    network().save(folder / "new")


def test_model_files_are_known_by_their_beginning(folder, monkeypatch):
    assert _files.holds_model(folder / "model")
    for name in ("data.csv", "rows", "nowhere", "."):
        assert not _files.holds_model(folder / name)
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    assert not _files.holds_model(fifo)


def test_c_source_and_header_are_two_files(tmp_path):
    (tmp_path / "net.c").touch()
    (tmp_path / "net.h").symlink_to("net.c")
    refused_pair = pytest.raises(ValueError, match=r"the source and the header both write")
    with refused_pair:
        network().to_c(tmp_path / "net.c")


# ---- names of files -----------------------------------------------------------------------------

#: Endings of other forms, and what the message says of them.
FOREIGN = {
    "pt": "fastnn.to_torch", "PTH": "fastnn.to_torch", "keras": "Keras", "h5": "Keras",
    "onnx": "fastnn.onnx.export", "joblib": "joblib.dump", "pkl": "pickle.dump", "c": "to_c",
    "npz": "get_weights", "json": "to_json", "csv": "", "txt": "", "gz": "",
}  # fmt: skip


@pytest.mark.parametrize("ending", FOREIGN)
def test_a_network_is_not_saved_with_the_ending_of_another_format(ending, folder, capsys):
    path = os.fspath(folder / f"m.{ending}")
    calls = [network().save, ModelCheckpoint]
    for call in calls:
        with pytest.raises(ValueError, match=r"^path .*m\.") as caught:
            call(path)
        remedy = f"a network is saved as a safetensors file; name it {path[: -len(ending)]!r}"[:-1]
        assert remedy + "safetensors'" in str(caught.value)
        assert FOREIGN[ending] in str(caught.value)
    argv = ["train", str(folder / "data.csv"), "--target", "y", "--out", path]
    assert main(argv) == 1
    assert f"--out {path!r} ends with" in capsys.readouterr().err
    assert not os.path.exists(path)


@pytest.mark.parametrize("name", ["m", "m.safetensors", "m.fastnn", "m.bin", "m.0.25", ".m", "m."])
def test_a_network_is_saved_under_any_other_name(name, folder):
    network().save(folder / name)
    assert fastnn.load(folder / name).n_in == 2


@pytest.mark.parametrize("name", ['a"b.c', "a\\b.c", "a\nb.c", "a??'b.c", os.fsdecode(b"\xff.c")])
def test_c_source_has_a_name_that_its_include_can_hold(name, tmp_path):
    with pytest.raises(ValueError, match=r"path .* which #include does not allow; name the file"):
        network().to_c(tmp_path / name, name="net")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a b.c", "größe.c", "a'b.c", "%d?.c", "a*b.c"])
def test_other_names_of_c_source_compile(name, tmp_path):
    path = tmp_path / name
    network().to_c(path, name="net")
    done = subprocess.run(["cc", "-std=c99", "-fsyntax-only", "-Wall", "-Werror", os.fspath(path)],
                          capture_output=True, encoding="utf-8", timeout=LONG)  # fmt: skip
    assert done.returncode == 0, done.stderr


PATHS = {
    "save": lambda path: network().save(path),
    "load": lambda path: fastnn.load(path),
    "to_c": lambda path: network().to_c(path, name="net"),
    "export": lambda path: fastnn.onnx.export(network(), path),
    "from_onnx": lambda path: fastnn.from_onnx(path),
    "resume": lambda path: network().fit([[0.0, 0.0]], [0.0], resume=path),
    "ModelCheckpoint": ModelCheckpoint,
    "CSVLogger": CSVLogger,
    "plot": lambda path: network().fit([[0.0, 0.0]], [0.0]).plot(path),
    "tables.read": lambda path: tables.read(path),
    "tables.write_text": lambda path: tables.write_text(path, "text"),
}


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("path", [None, 3, b"net", ["net"]], ids=str)
def test_a_path_is_a_str_or_a_path(call, path):
    if call in ("from_onnx", "tables.read") or (
        path is None and call in ("plot", "resume", "export")
    ):
        return  # these take something else than a path, too
    with pytest.raises(TypeError, match=r"(path|resume) must be a str or a path; got"):
        PATHS[call](path)


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("path", ["", "a\0b", "\ud800"], ids=ascii)
def test_a_path_that_no_system_accepts_is_refused(call, path):
    with pytest.raises(ValueError, match=r"^(path|resume|model|data) ") as caught:
        PATHS[call](path)
    assert type(caught.value) is ValueError
    assert ascii(path)[1:-1] in str(caught.value)


ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_names_beyond_the_encoding_of_the_process_are_refused(folder):
    program = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_paths import PATHS
for name, call in PATHS.items():
    try:
        call("gr\\u00f6\\u00dfe")
    except ValueError as error:
        assert "cannot contain in the encoding of this process, ascii" in str(error), error
        assert "PYTHONUTF8=1" in str(error) and type(error) is ValueError, error
    else:
        raise AssertionError(name)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=ASCII,
                          capture_output=True, timeout=LONG)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_commands_take_names_beyond_the_encoding_of_the_process(folder):
    os.rename(folder / "data.csv", folder / "größe.csv")
    train = ["train", "größe.csv", "--target", "y", "--epochs", "1", "--out", "netz-ü"]
    for argv in (train, ["predict", "netz-ü", "größe.csv", "--out", "vorhersage-ü.csv"],
                 ["info", "netz-ü"], ["export", "netz-ü", "--json", "ü.json"]):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "fastnn", *argv], cwd=folder, env=ASCII,
                              capture_output=True, timeout=LONG)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert {"netz-ü", "vorhersage-ü.csv", "ü.json"} <= set(os.listdir(folder))
    os.rename(folder / "größe.csv", folder / "data.csv")


def test_only_networks_are_saved_with_their_ending(tmp_path):
    net, path = network(), os.fspath(tmp_path / "net.safetensors")
    X = np.zeros((4, 2))
    ending = "ends with '.safetensors'"
    refused(lambda: fastnn.onnx.export(net, path), ending)
    refused(lambda: tables.write_text(path, "text"), ending)
    refused(lambda: net.fit(X, X[:, 0], callbacks=[CSVLogger(path)]), ending)
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "nowhere" / "net"
    for write in (network().save, lambda path: fastnn.onnx.export(network(), path)):
        with pytest.raises(FileNotFoundError) as caught:
            write(path)
        assert caught.value.filename == os.fspath(path)


# ---- links that lead nowhere --------------------------------------------------------------------


@pytest.mark.parametrize("links", [["a"], ["b", "a"], ["b", "c", "a"]])
def test_a_cycle_of_links_is_an_error_and_stays(links, tmp_path):
    """The links stay; the error is that of the system."""
    for link, target in zip("abc", links, strict=False):
        (tmp_path / link).symlink_to(target)
    before = {name: os.readlink(tmp_path / name) for name in os.listdir(tmp_path)}
    writes = [network().save, lambda path: fastnn.onnx.export(network(), path),
              lambda path: tables.write_text(os.fspath(path), "text")]  # fmt: skip
    for write in writes:
        with pytest.raises(OSError, match="symbolic links"):
            write(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        network().fit(np.zeros((4, 2)), np.zeros(4), resume=tmp_path / "a")
    assert {name: os.readlink(tmp_path / name) for name in os.listdir(tmp_path)} == before
