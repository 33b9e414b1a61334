"""Damaged model files for some minutes: make fuzz, or python tests/fuzz.py MINUTES [SEED].

Prints how many files were read correctly and how many were refused. A file with another outcome
ends the run with a message that has the file and the seed to repeat it.
"""

import collections
import secrets
import sys
import tempfile
import time
from pathlib import Path

from mutating import checkpoint, fuzz_containers, fuzz_networks

from fastnn.exchange import safetensors


def main():
    """Read files for the number of minutes in the argument, in turn 1,000 of each kind."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32)
    print(f"seed {seed}", flush=True)
    end, outcomes = time.monotonic() + 60 * minutes, collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = safetensors.read(checkpoint(folder))
        while time.monotonic() < end:
            outcomes += fuzz_containers(folder / "container", 10_000, seed)
            outcomes += fuzz_networks(folder / "network", whole, 500, seed)
            seed += 1
    print(f"{outcomes.total():,} files, none of them read wrongly")
    for what, count in outcomes.most_common():
        print(f"{count:10,}  {what}")


if __name__ == "__main__":
    main()
