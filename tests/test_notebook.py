"""Notebooks: what a kernel of Jupyter shows of networks, histories and progress."""

import importlib.util
import os
import sys
import types
from pathlib import Path

import pytest
from conditions import LONG

import fastnn
from fastnn import MLP, Dense, ProgressBar
from fastnn.callbacks import progress

CELLS = [
    "from fastnn import MLP, Dense, ProgressBar\n"
    "net = MLP(1, [Dense(1)], loss='squared_error', optimizer='adam', seed=0)\n"
    "history = net.fit([[0.0], [1.0]], [0.0, 1.0], epochs=3, callbacks=[ProgressBar()])",
    "net",
    "history.plot()",
    "import matplotlib.pyplot as plt\nhistory.plot()",
]


def test_a_kernel_shows_networks_curves_and_progress():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    paths = [str(Path(fastnn.__file__).parents[1]), *filter(None, sys.path)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    nbclient.NotebookClient(notebook, timeout=LONG).execute(env=env)
    fitting, net, curves, again = (cell["outputs"] for cell in notebook.cells)
    shown = "".join(str(out.get("text", "")) + str(out.get("data", "")) for out in fitting)
    assert "epoch 1/3" in shown
    assert "<table" in net[0]["data"]["text/html"]
    for outputs in (curves, again):
        pictures = [out for out in outputs if "image/png" in out.get("data", {})]
        assert len(pictures) == 1


class Kernel:
    """What IPython.get_ipython() returns in a notebook."""

    kernel = object()


def in_ipython(monkeypatch, shell):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_progress_shows_itself_in_a_kernel(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    for shell, shown in ((None, False), (object(), False), (Kernel(), True)):
        in_ipython(monkeypatch, shell)
        net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
        net.fit([[0.0]], [1.0], callbacks=[ProgressBar()])
        assert ("epoch 1/1" in capsys.readouterr().err) is shown
        net.fit([[0.0]], [1.0], callbacks=[ProgressBar(False)])
        assert capsys.readouterr().err == ""


def test_the_widget_of_tqdm_needs_ipywidgets(monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    notebook = types.ModuleType("tqdm.notebook")
    notebook.tqdm = type("Widget", (), {})
    monkeypatch.setitem(sys.modules, "tqdm.notebook", notebook)
    for spec, in_notebook, expected in (
        (None, True, tqdm.tqdm),
        ("found", False, tqdm.tqdm),
        ("found", True, notebook.tqdm),
    ):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, s=spec: s)
        assert progress._tqdm(in_notebook) is expected
