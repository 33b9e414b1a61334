"""The bits of seeded trainings are those of the committed table, on every instruction set.

All that fuse a product with a sum share one column: AVX2, AVX-512, NEON and `portable`.

A change that is meant to change bits requires a new table: `python tests/digests.py --update`. Not
here: whether the bits are right, which other tests check against the reference.
"""

import re
import textwrap
from pathlib import Path

import digests
import numpy as np
import pytest

from fastnn import _cpu, verification
from fastnn.verification import trainings


@pytest.mark.lean
@pytest.mark.parametrize("path", digests.TABLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("name", _cpu.INSTRUCTION_SETS)
def test_every_training_has_the_bits_of_the_table(name, path):
    with verification.instruction_set(name):
        found = verification.digests(digests.TABLES[path])
    table = verification.read_table(path if path.exists() else verification.TABLE)  # installed
    names = verification.differing(table, found, verification.column(name))
    shown = "\n".join(names[:20])
    assert not names, f"{len(names)} trainings differ on {name}:\n{shown}"


def test_the_page_about_bits_shows_the_hash_of_its_program(capsys):
    page = (Path(__file__).parent.parent / "docs/same_bits.rst").read_text()
    [program] = re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", page)
    with verification.instruction_set("portable"):
        exec(textwrap.dedent(program), {})
    assert program.rstrip().endswith(f"# {capsys.readouterr().out.strip()}")


def test_the_last_bit_of_one_weight_changes_the_digest():
    first = trainings.usual()(1)
    assert verification.digest(trainings.usual()(1)) == verification.digest(first)
    bits = first[0].view(np.uint32)
    bits[-1, -1] ^= 1
    assert verification.digest(trainings.usual()(1)) != verification.digest(first)


def test_differences_and_missing_names_are_found():
    known = {"a": {"fused": "0", "unfused": "1"}, "b": {"fused": "0"}, "c": {"fused": "0"}}
    assert verification.differing(known, {"a": "0", "b": "1", "d": "0"}, "fused") == ["b", "c", "d"]


def test_results_that_depend_on_threads_are_an_error():
    def section():
        yield "equal", lambda n_threads: ["x"], (1, 2)
        yield "unequal", lambda n_threads: [str(n_threads)], (1, 2)

    with pytest.raises(RuntimeError, match="unequal: the digest depends on the number"):
        verification.digests([section])


def test_two_trainings_of_one_name_are_an_error():
    def section():
        yield "twin", lambda n_threads: ["x"]

    with pytest.raises(AssertionError, match="two trainings have the name 'twin'"):
        verification.digests([section, section])
