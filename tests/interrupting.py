"""Ctrl-C during long calls: `python interrupting.py CASE THREADS`.

Prints as JSON the seconds from the signal to the KeyboardInterrupt, the updates made by then,
whether weights and moments are those of these updates, and whether the network is usable.
test_stopping.py counts in the same cases how much work is done between two checks for signals.
"""

import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from conditions import is_refused

from fastnn import MLP, Dense

WIDE = [Dense(1024, "relu"), Dense(1024, "relu"), Dense(10, "softmax")]  # 11 MFLOP a row and step
IN_TURN = {"shuffle": False, "epochs": 20}


@dataclass
class Case:
    """Long-running work on a new network."""

    net: MLP
    work: Callable
    #: Returns how much is done: steps, rows of the output, or checks for signals in a step.
    progress: Callable
    #: The most that may be done between two checks; no CPU takes 200 ms for it.
    most: int
    #: Makes the first n steps of the work on a copy of the network: replay(copy, n).
    replay: Callable | None = None


def wide(threads):
    return MLP(784, WIDE, loss="cross_entropy", optimizer="adam", seed=0, n_threads=threads)


def small(threads):
    return MLP(4, [Dense(4, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0,
               n_threads=threads)  # fmt: skip


def images(n, dtype="float32"):
    few = np.random.default_rng(0).integers(0, 2, (1000, 784), np.uint8)
    return np.resize(few, (n, 784)).astype(dtype), np.arange(n) % 10


def points(n):
    rows = np.random.default_rng(0).standard_normal((n, 4), "float32")
    return rows, rows[:, :1].copy()


def some_of(rows, n):
    """Return n rows, repeated from the start if there are fewer."""
    return [np.resize(array, (n, *array.shape[1:])) for array in rows]


# ---- how much is done ---------------------------------------------------------------------------


def steps_of(net):
    return lambda: net.step


def outputs(n):
    """Return an array for the outputs of n rows and a function that counts the rows written."""
    out = np.full((n, 10), np.nan, np.float32)
    return out, lambda: n - int(np.isnan(out[:, 0]).sum())


def checks_in_first_step(net):
    """Return a function that counts its own calls from within the network's first step."""
    weights, count = net.get_weights(), [0]

    def checks():
        if net.step == 0:
            count[0] += is_refused(lambda: net.set_weights(weights))
        return count[0]

    return checks


# ---- the cases ----------------------------------------------------------------------------------


def in_turn(net, rows, batch_size, most):
    return Case(
        net,
        lambda: net.fit(*rows, batch_size=batch_size, **IN_TURN),
        steps_of(net),
        most,
        lambda twin, steps: twin.fit(*some_of(rows, batch_size * steps), batch_size=batch_size,
                                     shuffle=False),
    )  # fmt: skip


def on_line(threads):
    return in_turn(small(threads), points(1_000_000), 1, 500_000)  # 50 to 100 ns a row


def on_line_wide(threads):
    return in_turn(wide(threads), images(2000), 1, 50)  # 1 to 3 ms a row


def in_batches(threads):
    return in_turn(wide(threads), images(2000), 100, 1)


def one_batch(threads):
    net, rows = wide(threads), images(60_000)
    return Case(net, lambda: net.fit(*rows, batch_size=None), checks_in_first_step(net), 1)


def train_on_batch(threads):
    net, rows = wide(threads), images(60_000)
    return Case(net, lambda: net.train_on_batch(*rows), checks_in_first_step(net), 1)


def rows_of_one_batch(threads):
    """The call behind fit and train_on_batch, whose outputs show which rows are done.

    The thread that checks for signals may wait while the other does its halves of two rounds, which
    are 512 rows each.
    """
    net, (X, labels), (out, written) = wide(threads), images(60_000), outputs(60_000)
    call, tally = net._network.train, net._network.tally()
    return Case(
        net,
        lambda: call(X, None, labels, None, None, len(X), threads, tally, 0, len(X), out),
        written,
        96 if threads == 1 else 96 + 1024,
    )


def evaluate(threads):
    """The call behind MLP.evaluate, whose outputs show which rows are done."""
    net, (X, labels), (out, written) = wide(threads), images(60_000), outputs(60_000)
    call, tally = net._network.evaluate, net._network.tally()
    return Case(
        net, lambda: call(X, None, labels, None, threads, tally, out), written, 100 * threads
    )


def predict(threads, dtype="float32"):
    net, rows, (out, written) = wide(threads), images(60_000, dtype)[0], outputs(60_000)
    return Case(
        net, lambda: [net.predict(rows, out=out) for _ in range(20)], written, 100 * threads
    )


def predict_bytes(threads):
    return predict(threads, "uint8")


def batches(pause):
    rows = images(100)
    for i in itertools.count():
        yield rows
        if i >= 4:
            time.sleep(pause)


def stream(threads, pause=0.0):
    net, rows = wide(threads), images(100)
    return Case(
        net,
        lambda: net.fit(batches(pause)),
        steps_of(net),
        1,
        lambda twin, steps: twin.fit([rows] * steps),
    )


def slow_stream(threads):
    return stream(threads, 60.0)


CASES = {
    "rows one by one": on_line,
    "rows one by one, wide": on_line_wide,
    "batches": in_batches,
    "one long batch": one_batch,
    "rows of one long batch": rows_of_one_batch,
    "train_on_batch": train_on_batch,
    "evaluate": evaluate,
    "predict": predict,
    "predict from bytes": predict_bytes,
    "an iterable": stream,
    "an iterable that makes one wait": slow_stream,
}


# ---- what is left -------------------------------------------------------------------------------


def bits(net):
    return [w.tobytes() for b in range(net._network.n_blocks) for w in net._network.read(b)]


def whole_and_usable(case, twin):
    """Return whether a network equals a twin after as many steps, and whether it can be used."""
    net, steps = case.net, case.net.step
    if steps:
        case.replay(twin, steps)
    whole = twin.step == steps and bits(twin) == bits(net)
    rows = points(50) if net.n_in == 4 else images(50)
    for each in (net, twin):
        each.fit(*rows)
    return whole, bool(np.isfinite(net.predict(rows[0])).all())


def main(name, threads):
    case = CASES[name](threads)
    twin, sent = case.net.copy(), []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    try:
        case.work()
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    else:
        sys.exit("not interrupted")
    timer.join()
    steps = case.net.step
    whole, usable = whole_and_usable(case, twin)
    print(json.dumps({"seconds": seconds, "steps": steps, "whole": whole, "usable": usable}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
