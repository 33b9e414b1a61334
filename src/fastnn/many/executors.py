"""Members on an executor: concurrent.futures, loky, a Client of Dask, or the backend of joblib.

Members are sent in portions (portions.py); the data that they share is sent once (workers.py). A
pool of threads of this process needs no sending. The portion of a lost worker is trained again. The
result is that of an undisturbed call, since the bits of a member don't depend on the place of its
training.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
import os
import queue
import sys
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, CancelledError, InvalidStateError
from typing import TYPE_CHECKING, Any, Protocol

from fastnn import _checks
from fastnn.many import workers
from fastnn.many.interrupts import despite_ctrl_c
from fastnn.many.outcomes import NOT_STARTED, with_number
from fastnn.many.portions import Portion, Portions
from fastnn.many.workers import CallWatcher, InFile, InMemory, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from fastnn.many.checkpoints import Recorder
    from fastnn.many.members import Members
    from fastnn.many.results import Fits

#: Seconds between two updates of the progress.
_LOOK = 0.05

#: Seconds that the call waits, after Ctrl-C or an error, for the results of running portions.
_GRACE = 0.15

#: Seconds that an executor is given to notice that a worker is dead.
_PATIENCE = 5.0

#: Seconds that the idle processes of an executor of this module are given to end.
_CLOSING = 1.0

#: Attempts to start processes that can run a task, after which the call fails.
_STARTS = 3

#: Seconds that a call waits for the first worker of a Dask cluster.
_WAIT = 300

#: Losses of workers, with no portion finished in between, after which the call fails.
_MOST_LOSSES = 50


class ExecutorTraining:
    """The training of the members `numbers` on an executor, in about this order."""

    def __init__(
        self,
        members: Members,
        fits: Fits,
        numbers: Sequence[int],
        raises: bool,
        progress: Recorder,
        n_threads: int,
    ) -> None:
        self.members, self.fits, self.numbers = members, fits, numbers
        self.raises, self.progress, self.n_threads = raises, progress, n_threads
        self.is_over = False
        self.at_work = 0  # portions being trained by threads of this process
        self.ended = threading.Condition()
        self.error: tuple[int | None, BaseException] | None = None  # the first error, its member
        self.losses = 0  # losses of workers since a portion was finished

    def run(self, executor: Any) -> None:
        """Train all members; KeyboardInterrupt ends the training."""
        pool = _pool(executor, self)
        portions = Portions(self.numbers, self.members.cost, pool.n_workers)
        try:
            with contextlib.closing(pool):
                if isinstance(pool, _Joblib):
                    self._run_joblib(pool, portions)
                else:
                    self._run_futures(pool, portions)
        finally:
            despite_ctrl_c(self._end)
        if self.error is not None:
            number, error = self.error
            raise error if number is None else with_number(error, number)

    def _end(self) -> None:
        """Wait until threads of this process have trained or restored their members; repeatable."""
        with self.ended:
            self.is_over = True
            self.ended.wait_for(lambda: self.at_work == 0)

    # ---- results --------------------------------------------------------------------------------

    def _take(self, portion: Portion, result: Result, portions: Portions | None) -> None:
        """Take the result of a portion; members that were not trained go back to `portions`."""
        for one in result.trained:
            spec = self.members.nets[one.number]._state.specification
            self.fits.take(one.number, one.outcome(spec))
            self.progress.count(one.status)
        self.error = self.error or result.error
        self.losses = 0
        if portions is not None and self.error is None:
            portions.time(portion, result.seconds)
            left = [i for i in portion.numbers if self.fits.statuses[i].kind == NOT_STARTED]
            if left:
                portions.put_back(left)

    def _lose(self, error: BaseException) -> None:
        """Count a loss of workers; raise an error after too many in a row."""
        self.losses += 1
        if self.losses > _MOST_LOSSES:
            raise RuntimeError(
                f"the executor lost its workers {self.losses} times in a row: {error}; check the "
                "memory they need, or train without executor="
            ) from error

    # ---- futures --------------------------------------------------------------------------------

    def _run_futures(self, pool: _Pool, portions: Portions) -> None:
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        in_flight: dict[Any, tuple[Portion, int]] = {}  # by future: the portion, `pool.number`
        try:
            while True:
                while self.error is None and len(in_flight) < 2 * pool.n_workers:
                    portion = portions.take(len(in_flight))
                    if portion is None:
                        break
                    try:
                        future = pool.submit(portion)
                    except BrokenExecutor as error:
                        portions.put_back(portion.numbers)
                        self._lose(error)
                        pool.renew()
                        continue
                    in_flight[future] = portion, pool.number
                    future.add_done_callback(done.put)
                if not in_flight or self.error is not None:
                    break
                self.progress.show()
                pool.look()
                with contextlib.suppress(queue.Empty):
                    future = done.get(timeout=_LOOK)
                    self._ended(future, *in_flight.pop(future), pool, portions)
        finally:
            self.is_over = True
            self._wind_up(pool, in_flight)

    def _ended(
        self, future: Any, portion: Portion, number: int, pool: _Pool, portions: Portions
    ) -> None:
        """Take the result of a future that is done; put its portion back if the worker was lost."""
        try:
            result = future.result()
        except pool.losses as error:
            portions.lose(portion)
            if number == pool.number:  # the pool has not been renewed since
                self._lose(error)
                pool.renew()
        except CancelledError as error:
            raise RuntimeError(
                "the executor cancelled tasks of this call, as shutdown(cancel_futures=True) does; "
                "keep it open until fit_many returns"
            ) from error
        else:
            self._take(portion, result, portions)

    def _wind_up(self, pool: _Pool, in_flight: dict[Any, tuple[Portion, int]]) -> None:
        """Cancel waiting portions; take the results that running ones return within _GRACE."""
        if not in_flight:
            return
        pool.stop()
        running = {future: each for future, each in in_flight.items() if not future.cancel()}
        end = time.monotonic() + _GRACE
        for future, (portion, _) in running.items():
            with contextlib.suppress(Exception, CancelledError):
                result = future.result(timeout=max(0.0, end - time.monotonic()))
                self._take(portion, result, None)

    # ---- joblib ---------------------------------------------------------------------------------

    def _run_joblib(self, pool: _Joblib, portions: Portions) -> None:
        """Train all members through joblib.Parallel; portions of lost workers are trained again."""
        while self.error is None:
            in_flight: dict[Portion, None] = {}
            try:
                with contextlib.closing(pool.results(self._portions(portions, in_flight))) as found:
                    for portion, result in found:
                        in_flight.pop(portion)
                        self._take(portion, result, portions)
                        self.progress.show()
                        if self.error is not None:
                            pool.stop()
            except BrokenExecutor as error:
                for portion in in_flight:
                    portions.lose(portion)
                self._lose(error)
                continue
            if portions.is_empty:
                return

    def _portions(self, portions: Portions, in_flight: dict[Portion, None]) -> Iterator[Portion]:
        while self.error is None and (portion := portions.take(len(in_flight))) is not None:
            in_flight[portion] = None
            yield portion

    # ---- in this process ------------------------------------------------------------------------

    def train_here(self, portion: Portion) -> Result:
        """Train a portion in a thread of this process."""
        with self.ended:
            if self.is_over:
                return Result([], 0.0)
            self.at_work += 1
        try:
            watcher = CallWatcher(
                lambda: self.is_over or self.error is not None, self.progress.count
            )
            each = self.members, self.fits, portion.numbers, self.raises, watcher, self.n_threads
            return Result([], *workers.run(*each))
        finally:
            with self.ended:
                self.at_work -= 1
                self.ended.notify_all()

    # ---- for workers elsewhere ------------------------------------------------------------------

    def packed_portion(self, portion: Portion) -> bytes:
        """Return the pickle of a portion, which is sent to a worker."""
        return workers.packed_portion(self.members, portion.numbers, self.raises, self.n_threads)

    def shared_data(self, map_files: bool) -> Members:
        """Return the shared data of the members; raise an error if anything cannot be pickled."""
        members, seen = self.members, set()
        for name in ("callbacks", "metrics", "class_weight"):
            _checks.picklable(name, getattr(members, name), workers.dumps)
        for number in self.numbers:
            loss, shuffle = members.nets[number].loss, members.shuffle[number]
            for name, value in ((f"nets[{number}].loss", loss), (f"shuffle[{number}]", shuffle)):
                if id(value) not in seen:
                    _checks.picklable(name, value, workers.dumps)
                    seen.add(id(value))
        return workers.shared_data(members, self.numbers, map_files)


# ---- pools --------------------------------------------------------------------------------------


class _Pool(Protocol):
    """Workers that take portions and return futures."""

    losses: tuple[type[BaseException], ...]  # errors of futures whose worker was lost
    number: int  # number of renewals so far

    @property
    def n_workers(self) -> int:
        """Number of portions that are trained at the same time."""

    def submit(self, portion: Portion) -> Any:
        """Return the future of a portion."""

    def look(self) -> None:
        """Look for workers that were lost without an error."""

    def renew(self) -> None:
        """Replace lost workers, if the executor does not do so by itself."""

    def stop(self) -> None:
        """Tell workers that the call is over."""

    def close(self) -> None:
        """Free the resources that the pool has created."""


def _pool(executor: Any, training: ExecutorTraining) -> Any:
    """Return the pool of an executor."""
    if executor == "joblib":
        joblib = _checks.installed("joblib", "executor='joblib'")
        backend, n_jobs = joblib.parallel.get_active_backend()
        client = getattr(backend, "client", None)  # the backend of Dask has one
        if client is None:
            return _Joblib(joblib, backend, n_jobs, training)
        executor = client
    if isinstance(executor, concurrent.futures.ThreadPoolExecutor):
        return _Threads(executor, training)
    if _checks.is_client_of_dask(executor):
        return _Dask(executor, training)
    return _Processes(executor, training)


def _size(executor: Any) -> int:
    """Return the number of workers of an executor; the number of CPUs if it has no attribute."""
    return getattr(executor, "_max_workers", None) or os.cpu_count() or 1


class _Threads:
    """Threads of this process, which train the networks in place."""

    losses: tuple[type[BaseException], ...] = ()
    number = 0

    def __init__(self, executor: Any, training: ExecutorTraining) -> None:
        self.executor, self.training = executor, training
        self.n_workers = _size(executor)

    def submit(self, portion: Portion) -> Any:
        return self.executor.submit(self.training.train_here, portion)

    def look(self) -> None: ...

    def renew(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class _Rescue:
    """Makes the futures fail that a broken executor would never complete.

    A worker that is killed while it writes a result leaves the executor waiting for the rest of the
    result. The executor notices once all processes, including this one, have closed the writing end
    of the pipe. In Python 3.11, an executor that is given a task while it breaks forgets it, or its
    manager thread ends with an error and leaves the other tasks and the processes.
    """

    def __init__(self) -> None:
        self.since: float | None = None  # when a dead worker was first seen

    def look(self, executor: Any) -> None:
        """Make forgotten futures fail, and those whose worker has been dead for _PATIENCE."""
        self._end_dead(executor)
        manager = getattr(executor, "_executor_manager_thread", None)
        if manager is None or manager.ident is None or manager.is_alive():
            return
        for process in list((executor._processes or {}).values()):
            process.terminate()
        for item in list(executor._pending_work_items.values()):
            with contextlib.suppress(InvalidStateError):  # it has ended
                item.future.set_exception(BrokenExecutor("the executor has lost its workers"))

    def _end_dead(self, executor: Any) -> None:
        processes = list((getattr(executor, "_processes", None) or {}).values())
        if all(getattr(process, "exitcode", None) in (None, 0) for process in processes):
            self.since = None
        elif self.since is None:
            self.since = time.monotonic()
        elif time.monotonic() - self.since > _PATIENCE:
            self.since = None
            for process in processes:
                process.terminate()
            results = getattr(executor, "_result_queue", None)
            if results is not None:
                results._writer.close()

    def end(self, executor: Any) -> None:
        """Wait until a broken executor has ended, and make the futures fail that it has left."""
        manager = getattr(executor, "_executor_manager_thread", None)
        if manager is not None:
            manager.join(_PATIENCE)
        self.look(executor)


class _Processes:
    """Processes of this machine, which read the shared data of the members from a file."""

    losses: tuple[type[BaseException], ...] = (BrokenExecutor,)

    def __init__(self, executor: Any, training: ExecutorTraining) -> None:
        self.executor, self.training = executor, training
        self.n_workers, self.number = _size(executor), 0
        self.made: Any = None  # an executor made to replace the user's
        self.rescue = _Rescue()
        self.shared_data = InFile.of(training.shared_data(map_files=True))

    def submit(self, portion: Portion) -> Any:
        packed = self.training.packed_portion(portion)
        return self.executor.submit(workers.train, self.shared_data, packed)

    def look(self) -> None:
        self.rescue.look(self.executor)

    def renew(self) -> None:
        self.number += 1
        for _ in range(_STARTS):
            self._replace()
            if self._runs_tasks():
                return
        raise RuntimeError(
            "the executor's processes end before they run any task: their initializer fails, or "
            'the script that starts them has its calls outside of if __name__ == "__main__":, or '
            "there is too little memory; see what they wrote to stderr"
        )

    def _runs_tasks(self) -> bool:
        """Whether a process of the executor starts and runs a task that needs nothing."""
        try:
            future = self.executor.submit(os.getpid)
            while not concurrent.futures.wait([future], _LOOK).done:
                self.look()
            future.result()
        except BrokenExecutor:
            return False
        return True

    def _replace(self) -> None:
        """Replace the executor by a new one with the same options."""
        old, module = self.executor, sys.modules[type(self.executor).__module__]
        self.rescue.end(old)
        self.rescue = _Rescue()
        if hasattr(module, "get_reusable_executor"):  # loky, also the one in joblib
            self.executor = module.get_reusable_executor(max_workers=old._max_workers)
            return
        if not isinstance(old, concurrent.futures.ProcessPoolExecutor):
            raise RuntimeError(
                f"the executor, a {type(old).__name__}, lost its workers, and fit_many can replace "
                "only executors of concurrent.futures and loky: call it again with a new executor; "
                "with checkpoint=, finished networks are not trained again"
            )
        self.close_made()
        options: Any = old  # they are private attributes
        self.made = self.executor = concurrent.futures.ProcessPoolExecutor(
            options._max_workers,
            mp_context=options._mp_context,
            initializer=options._initializer,
            initargs=options._initargs,
            max_tasks_per_child=options._max_tasks_per_child,
        )

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # Windows, while a worker has mapped the file
            os.unlink(self.shared_data.path)

    def close_made(self) -> None:
        """Shut down the executor that was made.

        If a worker is killed at this moment, it may keep the lock of the queue of tasks, and the
        other workers wait for the lock forever. So idle processes get _CLOSING seconds to end.
        """
        made = self.made
        if made is None:
            return
        manager, processes = made._executor_manager_thread, dict(made._processes or {})
        is_idle = not made._pending_work_items
        made.shutdown(wait=False, cancel_futures=True)
        if manager is not None and is_idle:
            manager.join(_CLOSING)
            if manager.is_alive():
                for process in processes.values():
                    process.terminate()

    def close(self) -> None:
        self.stop()
        self.close_made()


class _Dask:
    """A Client of Dask, whose scheduler gives the tasks of a lost worker to another worker."""

    def __init__(self, client: Any, training: ExecutorTraining) -> None:
        killed = _checks.installed("distributed", "executor=").KilledWorker
        self.losses: tuple[type[BaseException], ...] = (killed, CancelledError)
        self.client, self.training, self.number = client, training, 0
        self.n, self.counted = 1, -math.inf  # number of threads, and when they were counted
        self.shared_data = InMemory.of(training.shared_data(map_files=False))
        self.sent = self._send()

    def _send(self) -> Any:
        """Scatter the shared data to all workers; wait for a worker if there is none."""
        while True:
            try:
                self.client.wait_for_workers(1, timeout=_WAIT)
            except TimeoutError as error:
                raise RuntimeError(
                    f"the executor's cluster has had no worker for {_WAIT} seconds; start one"
                ) from error
            with contextlib.suppress(TimeoutError, OSError):  # the worker was lost again
                return self.client.scatter(self.shared_data, broadcast=True, hash=False)

    @property
    def n_workers(self) -> int:
        """Number of threads of all workers, counted again after a second: workers come and go."""
        if time.monotonic() - self.counted > 1.0:
            self.n = max(1, int(sum(self.client.nthreads().values())))
            self.counted = time.monotonic()
        return self.n

    def submit(self, portion: Portion) -> Any:
        packed = self.training.packed_portion(portion)
        return self.client.submit(workers.train, self.sent, packed, pure=False)

    def look(self) -> None: ...

    def renew(self) -> None:
        self.number += 1
        if self.sent.status != "finished":  # all workers with the shared data are gone
            self.sent = self._send()

    def stop(self) -> None: ...

    def close(self) -> None:
        self.sent.release()


class _Joblib:
    """The active backend of joblib, which takes portions from an iterator."""

    def __init__(self, joblib: Any, backend: Any, n_jobs: Any, training: ExecutorTraining) -> None:
        self.joblib, self.training = joblib, training
        self.n_workers = max(1, backend.effective_n_jobs(n_jobs))
        self.one_by_one = getattr(backend, "supports_return_generator", False)
        self.shared_data: InFile | None = None
        if not getattr(backend, "supports_sharedmem", False):
            self.shared_data = InFile.of(training.shared_data(map_files=True))

    def results(self, portions: Iterator[Portion]) -> Generator[tuple[Portion, Result]]:
        """Yield portions and their results as they come."""
        way = "generator_unordered" if self.one_by_one else "list"
        parallel = self.joblib.Parallel(return_as=way, batch_size=1)
        with self._watched():
            found = iter(parallel(map(self._task, portions)))
            try:
                for each in found:  # noqa: UP028  # yield from would close `found` too early
                    yield each
            finally:
                with warnings.catch_warnings(action="ignore"):  # warnings of cancelled tasks
                    getattr(found, "close", lambda: None)()

    @contextlib.contextmanager
    def _watched(self) -> Generator[None]:
        """Run a thread that looks for dead workers while joblib waits for results."""
        over, rescue = threading.Event(), _Rescue()
        loky = self.joblib.externals.loky.reusable_executor

        def watch() -> None:
            while not over.wait(_LOOK):
                rescue.look(loky._executor)

        thread = threading.Thread(target=watch, name="fastnn-watch")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _task(self, portion: Portion) -> Any:
        if self.shared_data is None:
            return self.joblib.delayed(_with_portion)(portion, self.training.train_here, portion)
        packed = self.training.packed_portion(portion)
        return self.joblib.delayed(_with_portion)(portion, workers.train, self.shared_data, packed)

    def stop(self) -> None:
        """Tell workers that the call is over."""
        if self.shared_data is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.shared_data.path)

    def close(self) -> None:
        self.stop()


def _with_portion(portion: Portion, train: Callable[..., Result], *args: Any) -> Any:
    return portion, train(*args)
