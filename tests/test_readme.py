"""The README's program runs as it stands there, and learns; the examples run too."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parent.parent


def test_the_readmes_program(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
    assert ast.literal_eval(capsys.readouterr().out.splitlines()[-1])["accuracy"] >= 0.97
    assert fastnn.load(tmp_path / "digits.safetensors").epoch > 5


def test_the_digits_example(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sys, "argv", ["digits.py", str(tmp_path)])
    accuracy = runpy.run_path(str(ROOT / "examples" / "digits.py"))["main"](tmp_path)
    assert accuracy >= 0.97
    told = capsys.readouterr().out
    for words in ("epoch 40/40", "test accuracy", "samples/s", "times NumPy", "digits.pkl"):
        assert words in told
    assert (tmp_path / "digits.pkl").stat().st_size > 50_000
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
