"""Ctrl-C amid long work: `python interrupting.py CASE THREADS`.

Prints as JSON the seconds from the signal to the KeyboardInterrupt, the updates made by then,
whether weights and moments are those that these updates lead to, and whether the net is usable.
"""

import itertools
import json
import os
import signal
import sys
import threading
import time

import numpy as np

from fastnn import MLP, Dense

WIDE = [Dense(1024, "relu"), Dense(1024, "relu"), Dense(10, "softmax")]


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


def batches(pause):
    rows = images(100)
    for i in itertools.count():
        yield rows
        if i >= 4:
            time.sleep(pause)


IN_TURN = {"shuffle": False, "epochs": 100}


def some_of(rows, n):
    """Return n rows in turn, over and over."""
    return [np.resize(array, (n, *array.shape[1:])) for array in rows]


def on_line(net, threads):
    rows = points(1_000_000)
    return lambda: net.fit(*rows, batch_size=1, **IN_TURN), lambda twin, steps: twin.fit(
        *some_of(rows, steps), batch_size=1, shuffle=False)  # fmt: skip


def on_line_wide(net, threads):
    rows = images(2000)
    return lambda: net.fit(*rows, batch_size=1, **IN_TURN), lambda twin, steps: twin.fit(
        *some_of(rows, steps), batch_size=1, shuffle=False)  # fmt: skip


def in_batches(net, threads):
    rows = images(2000)
    return lambda: net.fit(*rows, batch_size=100, **IN_TURN), lambda twin, steps: twin.fit(
        *some_of(rows, 100 * steps), batch_size=100, shuffle=False)  # fmt: skip


def one_batch(net, threads):
    rows = images(60_000)
    return lambda: net.fit(*rows, batch_size=None), None


def train_on_batch(net, threads):
    rows = images(60_000)
    return lambda: net.train_on_batch(*rows), None


def evaluate(net, threads):
    rows = images(60_000)
    return lambda: net.evaluate(*rows), None


def predict(net, threads):
    rows = images(60_000)[0]
    return lambda: [net.predict(rows) for _ in range(20)], None


def predict_bytes(net, threads):
    rows = images(60_000, "uint8")[0]
    return lambda: [net.predict(rows) for _ in range(20)], None


def stream(net, threads, pause=0.0):
    X, y = images(100)
    return lambda: net.fit(batches(pause)), lambda twin, steps: twin.fit([(X, y)] * steps)


def slow_stream(net, threads):
    return stream(net, threads, 60.0)


CASES = {
    "rows one by one": (small, on_line),
    "rows one by one, wide": (wide, on_line_wide),
    "batches": (wide, in_batches),
    "one long batch": (wide, one_batch),
    "train_on_batch": (wide, train_on_batch),
    "evaluate": (wide, evaluate),
    "predict": (wide, predict),
    "predict from bytes": (wide, predict_bytes),
    "an iterable": (wide, stream),
    "an iterable that makes one wait": (wide, slow_stream),
}


def bits(net):
    return [w.tobytes() for b in range(net._network.n_blocks) for w in net._network.read(b)]


def main(case, threads):
    build, prepare = CASES[case]
    net = build(threads)
    work, replay = prepare(net, threads)
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    try:
        work()
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    else:
        sys.exit("not interrupted")
    timer.join()
    twin, steps = build(threads), net.step
    if steps:
        replay(twin, steps)
    whole = twin.step == steps and bits(twin) == bits(net)
    rows = points(50) if net.n_in == 4 else images(50)
    for each in (net, twin):
        each.fit(*rows)
    usable = bool(np.isfinite(net.predict(rows[0])).all())
    print(json.dumps({"seconds": seconds, "steps": steps, "whole": whole, "usable": usable}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
