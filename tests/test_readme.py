"""The README's program runs as it stands there, and learns."""

import ast
import re
from pathlib import Path

import fastnn

ROOT = Path(__file__).parent.parent


def test_the_readmes_program(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
    assert ast.literal_eval(capsys.readouterr().out.splitlines()[-1])["accuracy"] >= 0.97
    assert fastnn.load(tmp_path / "digits.safetensors").epoch > 5
