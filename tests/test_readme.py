"""The README's program runs, prints what the README says, and needs NumPy alone; the page of the
package index says what the README says."""

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


def test_the_page_of_the_index_has_the_readmes_list():
    pages = [(ROOT / name).read_text() for name in ("README.md", "packaging/index_page.md")]
    lists = [re.search(r"## What it does\n\n((?:[-> ].*\n)+)", page)[1] for page in pages]
    assert lists[0] == lists[1]
    assert lists[0].count("\n- ") > 5
