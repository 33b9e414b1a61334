"""The README's program runs, prints what the README says, and needs NumPy alone."""

import re
from pathlib import Path

import fastnn

ROOT = Path(__file__).parent.parent


def test_the_readmes_program(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert set(re.findall(r"^(?:from|import) (\w+)", program, re.MULTILINE)) == {"numpy", "fastnn"}
    (shown,) = re.findall(r"# (\[\[.*\]\])$", program, re.MULTILINE)
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert capsys.readouterr().out.strip() == shown
    assert isinstance(names["net"], fastnn.MLP)
    assert names["net"].epoch == 30
