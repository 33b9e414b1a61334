"""executor= of fit_many: the same bits on threads, processes, loky, Dask and joblib's backends.

Also with workers that are killed, with Ctrl-C, errors and checkpoints; a worker gets the rows once.
"""

import _thread
import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import MLP, SGD, Callback, CustomLoss, Dense, EarlyStopping, fit_many, networks
from fastnn.many import executors, members, workers
from fastnn.many.portions import MOST_LOSSES, SUSPECT, Portion, Portions

rng = np.random.default_rng(11)
X = rng.normal(size=(90, 3)).astype(np.float32)
y = (X[:, 0] - X[:, 1] * X[:, 2]).astype(np.float32)
names = np.array(["low", "mid", "high"])[(y > 0).astype(int) + (y > 1)]

needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")


def net_of(seed=0, hidden=6, loss="squared_error", n_out=1, **options):
    layers = [Dense(hidden, "relu"), Dense(n_out, "softmax" if n_out > 1 else "identity")]
    return MLP(3, layers, **{"loss": loss, "optimizer": "adam", "seed": seed, **options})


def bits(fits):
    states = [net._state.snapshot() for net in fits]
    arrays = [[a.tobytes() for block in s.blocks for a in block] for s in states]
    histories = [(history.epoch, history.history) for history in fits.histories]
    others = [(s.shuffler, s.classes, s.step, s.epoch) for s in states]
    return arrays, others, histories, fits.statuses, fits.best_epochs, [n.metadata for n in fits]


# ---- executors ----------------------------------------------------------------------------------


@functools.cache
def cluster():
    """Return a Dask cluster of two worker processes and its client, which all tests use."""
    distributed = pytest.importorskip("distributed")
    # None would be port 8787, which another cluster may have.
    made = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    return made, distributed.Client(made)


@pytest.fixture(scope="module", autouse=True)
def end_of_the_cluster():
    yield
    if cluster.cache_info().currsize:
        for each in reversed(cluster()):
            each.close()
        cluster.cache_clear()


@contextlib.contextmanager
def executor_of(kind):
    """Yield an executor; those of loky and Dask are kept."""
    with contextlib.ExitStack() as stack:
        if kind == "threads":
            yield stack.enter_context(ThreadPoolExecutor(2))
        elif kind == "processes":
            yield stack.enter_context(ProcessPoolExecutor(2))
        elif kind == "loky":
            yield pytest.importorskip("loky").get_reusable_executor(2)
        elif kind == "dask":
            yield cluster()[1]
        else:
            joblib = pytest.importorskip("joblib")
            stack.enter_context(joblib.parallel_config(kind.removeprefix("joblib-"), n_jobs=2))
            yield "joblib"


IN_PROCESSES = ["processes", "loky", "joblib-loky", "dask"]
KINDS = ["threads", *IN_PROCESSES, "joblib-threading", "joblib-sequential",
         "joblib-multiprocessing"]  # fmt: skip

# ---- the same bits ------------------------------------------------------------------------------


class Noting(Callback):
    """Leaves something in the metadata of its network."""

    def on_train_end(self, logs):
        self.model.metadata = {"epochs": self.model.epoch}


def rules_of(number):
    rules = [EarlyStopping(patience=2, restore_best_weights=True), Noting()]
    return rules[number % 2 :]


def regressions(executor=None, **options):
    nets = [net_of(i, hidden=4 + i) for i in range(7)]
    rows = [np.setdiff1d(np.arange(90), np.arange(i, i + 20)) for i in range(7)]
    options = {"rows": rows, "validation": "rest", "epochs": [30, 3, 4, 0, 2, 5, 60],
               "batch_size": 16, "metrics": ["r2"], "sample_weight": y**2, "callbacks": rules_of,
               **options}  # fmt: skip
    return fit_many(nets, X, y, executor=executor, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_are_those_of_a_call_without_an_executor(kind):
    with executor_of(kind) as executor:
        fits = regressions(executor)
        nets = networks(net_of(loss="cross_entropy", n_out=3), n=3)
        groups = np.array(["a", "b", "c"])[np.arange(90) % 3]
        options = {"groups": groups, "class_weight": "balanced", "shuffle":
                   [np.random.default_rng(i) for i in range(3)]}  # fmt: skip
        classes = fit_many(nets, X, names, executor=executor, **options)
    assert bits(fits) == bits(regressions())
    options["shuffle"] = [np.random.default_rng(i) for i in range(3)]
    assert bits(classes) == bits(fit_many(nets, X, names, **options))
    assert classes[0].classes == ("high", "low", "mid")


@pytest.mark.parametrize("n", [1, 3])
def test_networks_are_the_same_on_any_number_of_dasks_workers(n):
    made, client = cluster()
    try:
        made.scale(n)
        while len(client.nthreads()) != n:
            time.sleep(0.01)
        fits = regressions(client)
    finally:
        made.scale(2)
        client.wait_for_workers(2)
    assert bits(fits) == bits(regressions())


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_diverges_is_recorded_or_raises(kind):
    nets = networks(net_of(optimizer=SGD()), learning_rate=[0.01, 1e9, 0.02, 0.03])
    with executor_of(kind) as executor:
        fits = fit_many(nets, X, y, on_error="record", executor=executor)
        assert bits(fits) == bits(fit_many(nets, X, y, on_error="record"))
        assert [status.kind for status in fits.statuses].index("diverged") == 1
        with pytest.raises(FloatingPointError, match=r"^nets\[1\]: the loss became"):
            fit_many(nets, X, y, executor=executor)


class Failing(Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            raise OddError(3)


class OddError(Exception):
    """An error that pickle can write and not read."""

    def __init__(self, number):
        super().__init__(f"odd {number}", number)

    def __reduce__(self):
        return OddError, ()


def failing(number):
    return [Failing()] if number == 3 else []


@pytest.mark.parametrize("kind", ["processes", "threads", "dask"])
def test_an_error_of_a_callback_raises_with_the_number_of_its_network(kind):
    with executor_of(kind) as executor, pytest.raises(Exception, match="odd 3") as info:
        fit_many([net_of(i) for i in range(5)], X, y, epochs=3, callbacks=failing,
                 executor=executor)  # fmt: skip
    text = "\n".join([str(info.value), *getattr(info.value, "__notes__", [])])
    assert text.count("nets[3]") == 1


@pytest.mark.parametrize("kind", ["threads", "processes", "joblib-loky", "dask"])
def test_a_checkpoint_goes_on_with_and_without_an_executor(kind, tmp_path):
    path, done = tmp_path / "runs", []
    want = bits(fit_many(networks(net_of(), n=5), X, y, epochs=2, callbacks=failing_once(None)))
    with executor_of(kind) as executor:
        with pytest.raises(RuntimeError, match="no more"):
            fit_many(networks(net_of(), n=5), X, y, epochs=2, executor=executor, checkpoint=path,
                     callbacks=failing_once(tmp_path / "failed"))  # fmt: skip
        for each in (executor, None):
            fits = fit_many(networks(net_of(), n=5), X, y, epochs=2, executor=each,
                            checkpoint=path, callbacks=failing_once(None))  # fmt: skip
            assert bits(fits) == want
            done.append(path.stat().st_size)
    assert done[0] == done[1]


class FailingOnce(Callback):
    def __init__(self, path):
        self.path = path

    def on_train_end(self, logs):
        if self.path is not None and not self.path.exists():
            self.path.touch()
            raise RuntimeError("no more")


class failing_once:  # noqa: N801  # stands for a function
    """A function of a network's number; by its name, it is always the same."""

    def __init__(self, path):
        self._path = [path]

    def __call__(self, number):
        return [FailingOnce(self._path[0])] if number == 4 else []

    @property
    def __dict__(self):
        return {}

    def __reduce__(self):
        return failing_once, (self._path[0],)


# ---- workers that are killed --------------------------------------------------------------------


class Killing(Callback):
    """Kills its process, as long as there is no file of that name for it."""

    def __init__(self, folder, number, times):
        self.folder, self.number, self.times = folder, number, times

    def on_epoch_end(self, epoch, logs):
        for i in range(self.times):
            with contextlib.suppress(FileExistsError):
                (self.folder / f"{self.number} {i}").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)


class KillingSome:
    def __init__(self, folder, times):
        self.folder, self.times = folder, times

    def __call__(self, number):
        return [Killing(self.folder, number, self.times)] if number in (2, 5) else []


@needs_sigkill
@pytest.mark.parametrize("kind", IN_PROCESSES)
def test_the_portion_of_a_killed_worker_is_done_again(kind, tmp_path):
    with executor_of(kind) as executor:
        fits = regressions(executor, callbacks=KillingSome(tmp_path, 1))
    assert len(list(tmp_path.iterdir())) == 2
    assert bits(fits) == bits(regressions(callbacks=()))


@needs_sigkill
def test_a_network_that_its_workers_do_not_survive_is_an_error(tmp_path):
    with executor_of("processes") as executor, pytest.raises(RuntimeError, match=r"nets\[[25]\]"):
        regressions(executor, callbacks=KillingSome(tmp_path, 10**6))


class Process:
    """A process as an executor has it: dead, killed by the system or an administrator."""

    def __init__(self, exitcode=-9):
        self.exitcode, self.ended = exitcode, False

    def terminate(self):
        self.ended = True


def test_a_dead_worker_is_left_to_its_executor_for_a_while(monkeypatch):
    dead, rescue = Process(), executors._Rescue()
    executor = SimpleNamespace(_processes={1: dead})
    rescue.look(executor)
    rescue.look(executor)
    assert not dead.ended
    monkeypatch.setattr(executors, "_PATIENCE", -1.0)
    rescue.look(executor)
    assert dead.ended


def test_what_an_executor_without_a_manager_has_left_is_ended():
    manager, process, future = threading.Thread(target=int), Process(exitcode=None), Future()
    executor = SimpleNamespace(
        _executor_manager_thread=manager,
        _processes={1: process},
        _pending_work_items={0: SimpleNamespace(future=future)},
    )
    executors._Rescue().look(executor)  # the thread has not started yet
    assert not process.ended
    assert not future.done()
    manager.start()
    executors._Rescue().end(executor)
    assert process.ended
    with pytest.raises(BrokenExecutor, match="lost its workers"):
        future.result(timeout=0)


@pytest.mark.parametrize("tasks", [{}, {0: "a portion"}], ids=["idle", "at work"])
def test_idle_processes_that_do_not_end_are_ended(tasks, monkeypatch):
    monkeypatch.setattr(executors, "_CLOSING", 0.01)
    process, pool = Process(exitcode=None), executors._Processes.__new__(executors._Processes)
    over = threading.Event()
    manager = threading.Thread(target=over.wait)  # waits for a process that waits for a lock
    manager.start()
    pool.made = SimpleNamespace(
        _executor_manager_thread=manager,
        _processes={1: process},
        _pending_work_items=tasks,
        shutdown=lambda **options: None,
    )
    pool.close_made()
    assert process.ended == (not tasks)
    over.set()


class KillingInResult(Callback):
    """Kills its process once, after it has written the beginning of a result."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, logs):
        with contextlib.suppress(FileExistsError):
            self.path.touch(exist_ok=False)
            frame = sys._current_frames()[threading.main_thread().ident]
            while "result_queue" not in frame.f_locals:
                frame = frame.f_back
            pipe = frame.f_locals["result_queue"]._writer
            os.write(pipe.fileno(), (1 << 20).to_bytes(4, "big") + b"a part of a result")
            os.kill(os.getpid(), signal.SIGKILL)


@needs_sigkill
@pytest.mark.parametrize("kind", ["processes", "loky", "joblib-loky"])
def test_a_worker_killed_during_its_result_does_not_end_the_call(kind, tmp_path, monkeypatch):
    """The executor waits for the rest of the result, also when it is shut down."""
    monkeypatch.setattr(executors, "_PATIENCE", 0.1)
    with executor_of(kind) as executor:
        fits = regressions(executor, callbacks=[KillingInResult(tmp_path / "killed")])
    assert (tmp_path / "killed").exists()
    assert bits(fits) == bits(regressions(callbacks=()))


class Forgetting(ProcessPoolExecutor):
    """Breaks before the task of this number, and forgets it, as may happen in Python 3.11."""

    def __init__(self, number):
        super().__init__(2)
        self.left = number

    def submit(self, function, *args):
        self.left -= 1
        if self.left == 0:
            for process in self._processes.values():
                process.kill()
            self._executor_manager_thread.join()
            broken = self._broken
            self._broken = self._shutdown_thread = False
        future = super().submit(function, *args)
        if self.left == 0:
            self._broken = broken
        return future


@needs_sigkill
@pytest.mark.parametrize(("n", "forgotten"), [(1, 2), (8, 3)])
def test_a_portion_that_an_executor_forgets_is_done_again(n, forgotten):
    with Forgetting(forgotten) as executor:
        executor.submit(os.getpid).result()
        fits = fit_many(networks(net_of(), n=n), X, y, executor=executor)
    assert executor.left <= 0
    assert bits(fits) == bits(fit_many(networks(net_of(), n=n), X, y))


PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from concurrent.futures import ProcessPoolExecutor
import fastnn.many.executors as executors
from fastnn import MLP, Dense, fit_many, networks

kind, kills, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 4)), rng.normal(size=400)
base = MLP(4, [Dense(16, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
nets, killed = networks(base, n=400), set()

renew = executors._Processes.renew
def renewed(pool):
    renew(pool)
    pools.append(pool.executor)
executors._Processes.renew = renewed

def kills_of_pool():
    found = list((pools[-1]._processes or {}).values())
    return {process.pid: process.kill for process in found}

def kills_of_cluster():
    found = [nanny.process for nanny in list(cluster.workers.values())]
    pids = [p.pid for p in found if p and p.worker_address in cluster.scheduler.workers]
    return {pid: lambda pid=pid: os.kill(pid, signal.SIGKILL) for pid in pids if pid}

def kill(kills_of_each):
    random = np.random.default_rng(1)
    while len(killed) < kills:
        time.sleep(random.uniform(0.0, 0.3 if kind == "processes" else 1.0))
        alive = [(pid, end) for pid, end in kills_of_each().items() if pid not in killed]
        if alive:
            pid, end = alive[random.integers(len(alive))]
            end()
            killed.add(pid)

def fit_while_killed(executor, kills_of_each):
    killer = threading.Thread(target=kill, args=(kills_of_each,))
    killer.start()
    while killer.is_alive():
        fits = fit_many(nets, X, y, epochs=100, validation=0.2, executor=executor)
    fits.save(path)

if __name__ == "__main__":
    if not kills:
        fit_many(nets, X, y, epochs=100, validation=0.2).save(path)
    elif kind == "processes":
        with ProcessPoolExecutor(2) as executor:
            pools = [executor]
            fit_while_killed(executor, kills_of_pool)
    else:
        import contextlib, dask
        from distributed import Client, LocalCluster
        # This time after each loss, a LocalCluster gives up a worker that is being restarted.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
        with contextlib.suppress(KeyError):  # its end may raise one about a worker lost before
            with LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster:
                with Client(cluster) as executor:
                    fit_while_killed(executor, kills_of_cluster)
"""


@needs_sigkill
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_fifty_kills_at_random_moments_change_nothing(kind, tmp_path):
    if kind == "dask":
        pytest.importorskip("distributed")
    script, found = tmp_path / "program.py", []
    script.write_text(PROGRAM)
    for kills in (0, 50):
        path = tmp_path / f"fits {kills}"
        command = [sys.executable, script, kind, str(kills), path]
        subprocess.run(command, check=True, timeout=3600)
        found.append(bits(fastnn.load_many(path)))
    assert found[0] == found[1]


# ---- Ctrl-C -------------------------------------------------------------------------------------


class Waiting(Callback):
    """Waits in its second epoch until training is to stop, or for a minute."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            self.path.touch()
            end = time.monotonic() + 60
            while not self.model.stop_training and time.monotonic() < end:
                time.sleep(0.001)


class WaitingLast:
    def __init__(self, path):
        self.path = path

    def __call__(self, number):
        return [Waiting(self.path)] if number == 5 else []


def interrupt_when(path):
    while not path.exists():
        time.sleep(0.001)
    _thread.interrupt_main()


@pytest.mark.parametrize("kind", ["threads", "processes", "loky", "joblib-threading"])
def test_ctrl_c_returns_what_is_trained_and_leaves_the_rest_as_it_was(kind, tmp_path):
    path, nets = tmp_path / "begun", [net_of(i) for i in range(6)]
    helper = threading.Thread(target=interrupt_when, args=(path,))
    with executor_of(kind) as executor:
        helper.start()
        fits = fit_many(nets, X, y, epochs=[9, 8, 7, 6, 5, 4], executor=executor,
                        callbacks=WaitingLast(path))  # fmt: skip
        helper.join()
        assert fits.interrupted
        again = fit_many([net_of(7)], X, y, executor=executor)
    assert again.is_trained.all()
    whole = fit_many([net_of(i) for i in range(6)], X, y, epochs=[9, 8, 7, 6, 5, 4])
    for i, net in enumerate(fits):
        kind = fits.statuses[i].kind
        assert kind in ("finished", "not started")
        want = whole[i] if kind == "finished" else net_of(i)
        assert net.get_flat_weights().tobytes() == want.get_flat_weights().tobytes()
        assert net.step == want.step
    assert fits.statuses[5].kind == "not started"


# ---- what is sent -------------------------------------------------------------------------------


def plan_of(n, X=X, **options):
    none = dict.fromkeys(("rows", "groups", "validation", "sample_weight", "class_weight"))
    options = {**none, "epochs": 1, "batch_size": 32, "shuffle": True, "metrics": (),
               "callbacks": (), **options}  # fmt: skip
    return members.make([net_of(i) for i in range(n)], X, y, **options)


def test_a_portion_that_begins_after_the_end_of_its_call_trains_nothing():
    """Otherwise a worker that is late could replace the error that ended the call."""
    plan = plan_of(2)
    shared = workers.InFile.of(workers.shared_data(plan, [0, 1], map_files=True))
    os.unlink(shared.path)
    result = workers.train(shared, workers.packed_portion(plan, [0, 1], True, 1))
    assert not result.trained
    assert result.error is None


def test_rows_are_sent_once_and_not_with_portions():
    wide = np.ones((90, 5000))
    plan = plan_of(2, X=wide)
    assert len(workers.packed_portion(plan, [0, 1], True, 1)) < 20_000
    shared = workers.InFile.of(workers.shared_data(plan, [0, 1], map_files=True))
    try:
        assert wide.nbytes < os.path.getsize(shared.path) < 1.1 * wide.nbytes
        read = pickle.loads(pickle.dumps(shared)).get()
        np.testing.assert_array_equal(read.X, wide)
        assert shared.get().X is read.X  # kept by its token
        assert not read.X.flags.owndata
        assert not read.X.flags.writeable
        assert not shared.is_over
    finally:
        os.unlink(shared.path)
    assert shared.is_over


def test_a_mapped_file_is_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    shared = workers.InFile.of(workers.shared_data(plan_of(1, X=mapped), [0], map_files=True))
    try:
        assert os.path.getsize(shared.path) < y.nbytes + 10_000
        assert type(shared.get().X) is np.memmap
        np.testing.assert_array_equal(shared.get().X, X)
    finally:
        os.unlink(shared.path)
    part = workers.InFile.of(workers.shared_data(plan_of(1, X=mapped[::-1]), [0], map_files=True))
    np.testing.assert_array_equal(part.get().X, X[::-1])
    os.unlink(part.path)


@pytest.mark.parametrize("case", ["written to", "another file", "a shorter file", "no file"])
def test_a_mapped_array_whose_file_has_other_rows_is_copied(case, tmp_path):
    path, other = tmp_path / "X.npy", tmp_path / "other.npy"
    np.save(path, np.zeros_like(X) if case == "written to" else X)
    mapped = np.load(path, mmap_mode="c")
    if case == "written to":
        mapped[:] = X
    elif case == "no file":
        path.unlink()
    else:
        np.save(other, X + 1 if case == "another file" else X[:5])
        os.replace(other, path)
    shared = workers.InFile.of(workers.shared_data(plan_of(1, X=mapped), [0], map_files=True))
    try:
        np.testing.assert_array_equal(shared.get().X, X)
    finally:
        os.unlink(shared.path)


@pytest.mark.parametrize("kind", ["processes", "joblib-loky"])
def test_no_file_is_left(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with executor_of(kind) as executor:
        regressions(executor)
        with pytest.raises(RuntimeError):
            regressions(executor, callbacks=failing_once(tmp_path.with_suffix(".failed")))
        assert [path for path in tmp_path.iterdir() if path.name.startswith("fastnn")] == []


class Locked(Callback):
    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memory):
        return Locked()


def test_what_cannot_be_sent_is_refused_by_its_name(monkeypatch):
    locked = threading.Lock()

    def lossy(outputs, targets):
        return locked and outputs

    cases = [
        ({"callbacks": [Locked()]}, {}, "callbacks cannot be sent"),
        ({"metrics": [lossy]}, {}, "metrics cannot be sent"),
        ({}, {"loss": CustomLoss(lossy)}, r"nets\[0\]\.loss cannot be sent"),
    ]
    with ProcessPoolExecutor(1) as executor:
        for options, of_net, message in cases:
            nets = [net_of(**of_net)]
            with pytest.raises(TypeError, match=message):
                fit_many(nets, X, y, executor=executor, **options)
            assert nets[0].step == 0
        monkeypatch.setitem(sys.modules, "cloudpickle", None)
        with pytest.raises(TypeError, match="install cloudpickle"):
            fit_many([net_of()], X, y, executor=executor, callbacks=lambda number: [])


@pytest.mark.parametrize("executor", [3, "dask", ThreadPoolExecutor, len], ids=str)
def test_anything_but_an_executor_is_refused(executor):
    with pytest.raises((TypeError, ValueError), match="executor must be"):
        fit_many([net_of()], X, y, executor=executor)


def test_an_executor_that_was_shut_down_is_an_error():
    with ThreadPoolExecutor(1) as executor:
        pass
    with pytest.raises(RuntimeError, match="after shutdown"):
        fit_many([net_of()], X, y, executor=executor)


def test_a_client_that_was_closed_is_refused():
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster()[0]) as client:
        pass
    with pytest.raises(ValueError, match="has been closed; make a new one"):
        fit_many([net_of()], X, y, executor=client)


class ShuttingDown(Callback):
    """Shuts down an executor of threads once a task is waiting, which is cancelled."""

    def __init__(self, executor):
        self.executor = executor

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, epoch, logs):
        while self.executor._work_queue.empty() and not self.executor._shutdown:
            time.sleep(0.001)
        self.executor.shutdown(wait=False, cancel_futures=True)


def test_cancelled_tasks_are_an_error_that_says_so():
    executor = ThreadPoolExecutor(1)
    nets = list(networks(net_of(), n=20))
    with pytest.raises(RuntimeError, match=r"cancelled tasks .* keep it open until fit_many"):
        fit_many(nets, X, y, executor=executor, callbacks=[ShuttingDown(executor)])


class Breaking(Executor):
    """An executor of another library, all of whose workers are lost."""

    def submit(self, function, *args):
        future = Future()
        future.set_exception(BrokenExecutor("lost"))
        return future


def test_a_broken_executor_of_another_library_is_an_error_that_says_so():
    with pytest.raises(RuntimeError, match=r"a Breaking, lost its workers.*with a new executor"):
        fit_many([net_of()], X, y, executor=Breaking())


def refuse_to_start():
    raise ValueError("no licence")


def test_processes_that_cannot_start_are_not_blamed_on_a_network():
    with (
        ProcessPoolExecutor(1, initializer=refuse_to_start) as executor,
        pytest.raises(RuntimeError, match=r"end before they run any task.*__main__"),
    ):
        fit_many([net_of()], X, y, executor=executor)


# ---- portions -----------------------------------------------------------------------------------


def taken(portions):
    found = []
    while (portion := portions.take(0)) is not None:
        found.append(portion.numbers)
    return found


def test_portions_have_all_members_once_in_order_and_become_small():
    portions = Portions(range(1000), lambda number: 1000.0 - number, 2)
    found = taken(portions)
    assert [i for numbers in found for i in numbers] == list(range(1000))
    assert len(found) > 8 * 2
    assert len(found[-1]) == 1
    work = [sum(1000 - i for i in numbers) for numbers in found]
    assert max(work) <= sum(work) / 16


def test_portions_are_as_long_as_a_worker_takes_two_seconds_for():
    portions = Portions(range(10_000), lambda number: 1.0, 2)
    first = portions.take(0)
    portions.time(first, len(first.numbers) / 20)  # 20 members a second
    assert len(portions.take(0).numbers) == 40


def test_a_lost_portion_is_halved_until_its_member_has_had_its_chances():
    portions = Portions(range(4), lambda number: 1.0, 1)
    taken(portions)
    portions.lose(Portion((0, 1, 2, 3)))
    assert portions.take(1) == Portion((0, 1))
    assert portions.take(1) == Portion((2, 3))
    portion = Portion((1,))
    for losses in range(1, MOST_LOSSES + 1):
        portions.lose(portion)
        if losses >= SUSPECT:
            assert portions.take(1) is None  # others might be the cause
        portion = portions.take(1 if losses < SUSPECT else 0)
        assert portion == Portion((1,), losses)
    with pytest.raises(RuntimeError, match=r"nets\[1\] lost its worker 11 times"):
        portions.lose(portion)
