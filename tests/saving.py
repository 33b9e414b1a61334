"""Kill a process that saves, again and again: `python saving.py PATH TIMES SEED`.

The process saves two contents in turn, without a pause. After each kill the file must read as one
of the two. Prints as JSON how often it was which, and how many temporary files the kills left.
"""

import itertools
import json
import os
import pathlib
import random
import signal
import sys
import time

import numpy as np

from fastnn.exchange.safetensors import read, write

SIZE = 100_000
CONTENTS = [({"x": np.full(SIZE + i, i, "f4")}, {"content": str(i)}) for i in range(2)]


def save_for_ever(path):
    try:
        for content in itertools.cycle(CONTENTS):
            write(path, *content)
    finally:
        os._exit(1)


def which(path):
    """Return the number of the content in the file, every value of which is checked."""
    tensors, metadata = read(path)
    i = int(metadata["content"])
    assert metadata == CONTENTS[i][1]
    assert tensors.keys() == {"x"}
    assert tensors["x"].tobytes() == CONTENTS[i][0]["x"].tobytes()
    return i


def main(path, times, seed):
    chance, found, left = random.Random(seed), [0, 0], 0
    write(path, *CONTENTS[0])
    for _ in range(times):
        child = os.fork()
        if child == 0:
            save_for_ever(path)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        found[which(path)] += 1
        for temporary in path.parent.glob(f".{path.name}.*.tmp"):
            temporary.unlink()
            left += 1
    print(json.dumps({"found": found, "left": left}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
