"""Kill a process that saves, again and again: `python saving.py PATH TIMES SEED`.

The process saves two contents in turn, without a pause, and is killed at a random moment. If TIMES
is 0, a process is killed before each line of Python of a save in turn. After each kill the file
must read as one of the two contents. Prints as JSON how often it was which, and how many temporary
files the kills left.
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
from conditions import call_at

from fastnn import _files
from fastnn.exchange.safetensors import read, write

SIZE = 100_000
CONTENTS = [({"x": np.full(SIZE + i, i, "f4")}, {"content": str(i)}) for i in range(2)]
FINE = (_files.__file__,)  # opens and moves the file: killed before each opcode of it


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def save_forever(path, pipe):
    """Save the contents in turn; write a byte to the pipe after each save."""
    for content in itertools.cycle(CONTENTS):
        write(path, *content)
        os.write(pipe, b".")


def save_until(path, moment):
    """Replace content 0 by content 1, and end the process at this moment of the call."""
    call_at(moment, die, lambda: write(path, *CONTENTS[1]), FINE)


def in_a_process(work, *arguments):
    """Start a process that does some work and exits with 0; return its number."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def is_killed(child):
    """Wait for a process to end; return whether it was killed. A failure is an error."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def which(path):
    """Return the number of the content in the file, after checking every value."""
    tensors, metadata = read(path)
    i = int(metadata["content"])
    assert metadata == CONTENTS[i][1]
    assert tensors.keys() == {"x"}
    assert tensors["x"].tobytes() == CONTENTS[i][0]["x"].tobytes()
    return i


def kills_at_random(path, times, chance):
    """Kill that many processes, each a random time after its first or second save."""
    for i in range(times):
        saved, pipe = os.pipe()
        child = in_a_process(save_forever, path, pipe)
        os.close(pipe)
        for _ in range(1 + i % 2):
            os.read(saved, 1)
        time.sleep(chance.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        assert is_killed(child)
        os.close(saved)
        yield


def kills_in_turn(path):
    """Kill a process at the first moment of a save, one at the second, ... until one completes."""
    for moment in itertools.count(1):
        write(path, *CONTENTS[0])
        if not is_killed(in_a_process(save_until, path, moment)):
            return
        yield


def main(path, times, seed):
    found, left = [0, 0], 0
    write(path, *CONTENTS[0])
    for _ in kills_at_random(path, times, random.Random(seed)) if times else kills_in_turn(path):
        found[which(path)] += 1
        for temporary in path.parent.glob(f".{path.name}.*.tmp"):
            temporary.unlink()
            left += 1
    print(json.dumps({"found": found, "left": left}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
