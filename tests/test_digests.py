"""The bits of seeded trainings are those of the committed table, on every instruction set.

A change that is meant to change bits brings a new table: `python tests/digests.py --update`. Not
here: whether the bits are right, which other tests check against the reference.
"""

import digests
import numpy as np
import pytest
import trainings


@pytest.mark.lean
def test_every_training_has_the_bits_of_the_table(isa):
    table = digests.read_table()
    ours, theirs = digests.measured_with(), table["measured_with"]
    if ours != theirs:
        pytest.skip(f"the table of digests is of {theirs}, this is {ours}")
    names = digests.differing(table["digests"], digests.digests(), isa)
    shown = "\n".join(names[:20])
    assert not names, f"{len(names)} trainings differ on {isa}:\n{shown}"


def test_the_last_bit_of_one_weight_changes_the_digest():
    first = trainings.usual()(1)
    assert digests.digest(trainings.usual()(1)) == digests.digest(first)
    bits = first[0].view(np.uint32)
    bits[-1, -1] ^= 1
    assert digests.digest(trainings.usual()(1)) != digests.digest(first)


def test_differences_and_missing_names_are_found():
    known = {"a": {"avx2": "0", "baseline": "1"}, "b": {"avx2": "0"}, "c": {"avx2": "0"}}
    assert digests.differing(known, {"a": "0", "b": "1", "d": "0"}, "avx2") == ["b", "c", "d"]
