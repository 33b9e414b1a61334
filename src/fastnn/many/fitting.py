"""fit_many: train many networks, each on all rows of a data set or on some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks, _cpu
from fastnn.many import members
from fastnn.many.checkpoints import Checkpoint, Recorder
from fastnn.many.executors import ExecutorTraining
from fastnn.many.grid import Networks
from fastnn.many.outcomes import NOT_STARTED
from fastnn.many.results import Fits
from fastnn.many.training import Crew
from fastnn.mlp import MLP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Literal

    from numpy.typing import ArrayLike

    from fastnn.callbacks import Callback
    from fastnn.mlp import Inputs, Metrics, Path


@_checks.explained
def fit_many(
    nets: Iterable[MLP],
    X: Inputs,
    y: ArrayLike,
    *,
    rows: Sequence[Any] | None = None,
    groups: ArrayLike | None = None,
    validation: Any = None,
    epochs: int | Sequence[int] = 1,
    batch_size: int | None | Sequence[int | None] = 32,
    shuffle: Any = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    metrics: Metrics = (),
    callbacks: Iterable[Callback] | Callable[[int], Iterable[Callback]] = (),
    on_error: Literal["raise", "record"] = "raise",
    n_threads: int | None = None,
    checkpoint: Path | None = None,
    executor: Any = None,
    verbose: int = 0,
) -> Fits:
    """Train many networks, each on the rows of X or on some of them; one thread trains a network.

    The result is bit for bit that of calling `MLP.fit` for each network on its rows. It does not
    depend on the other networks or on the number of threads.

    Parameters
    ----------
    nets : list of MLP, or Networks
        The networks, which may differ in everything except the number of inputs. Networks in a list
        are trained in place, as by `MLP.fit`; `networks` makes a sequence of new ones.
    X : array-like of shape (n, n_in)
        Inputs, as for `MLP.fit`.
    y : array-like of shape (n,) or (n, n_out)
        Targets, as for `MLP.fit`. Labels of classes are found in all of y.
    rows : list, optional
        The rows that each network is trained on: an array of row numbers, in which a row may occur
        several times, a mask (n,), a slice, or None for all rows.
    groups : array-like of shape (n,), optional
        A label for each row; all are text, or all are numbers or other values that can be sorted.
        Each label, in sorted order, has one network, which is trained on the rows with that label.
    validation : optional
        Rows on which the networks are evaluated after each epoch, as "val_loss": a fraction, the
        last rows of each network; a `StratifiedSplit`, a fraction of each class; (X, y) or (X, y,
        sample_weight); "rest", the rows of X that the network is not trained on; or a list of rows
        for each network, in the form of `rows`.
    epochs : int or list of int, default 1
        Number of epochs, for all networks or for each.
    batch_size : int, None or list of these, default 32
        Rows in each update, for all networks or for each; None is the full batch.
    shuffle : bool or list, default True
        Whether each network takes its rows in a new random order in each epoch. A list has for each
        network True, False or, as for `MLP.fit`, an object that draws the orders. Networks cannot
        share such an object, and Generators cannot share a bit generator.
    sample_weight : array-like of shape (n,) or (n, n_out), optional
        As for `MLP.fit`.
    class_weight : dict of label to float, or "balanced", optional
        As for `MLP.fit`; "balanced" weights are computed from the rows of each network.
    metrics : list of str, Metric or function, optional
        As for `MLP.fit`.
    callbacks : list of Callback, or function, optional
        A list of callbacks, of which each network gets copies, or a function that takes the number
        of a network and returns its list. The function is called for all networks before the first
        is trained; processes of an executor call it again. It must make new callbacks, with files
        of their own, for each network; only callbacks of your own classes may be shared. The thread
        that trains a network calls its callbacks.
    on_error : {"raise", "record"}, default "raise"
        Whether a network whose loss is no longer finite ends the call with an error, or is recorded
        as diverged in its status while the training of the other networks continues.
    n_threads : int, optional
        Number of networks that are trained at the same time; by default the number of CPUs that
        this process may use. With `executor`, the number in each of its tasks; by default one.
    checkpoint : str or path, optional
        A file to which networks are added as they finish, every few seconds and when the call ends,
        also by an error. If the same call is made again, it takes these networks from the file and
        trains the others, with the same bits as without an interruption. X, y, the networks and all
        other arguments must be the same; functions are compared by name only.
    executor : Executor, Client or "joblib", optional
        Workers that train the networks instead of threads of this call: an executor of
        ``concurrent.futures`` or of loky, a ``dask.distributed.Client``, or the active backend of
        joblib. Rows are sent once, networks in portions; the portion of a lost worker is trained
        again. Processes need callbacks, metrics and losses that can be pickled. They call copies of
        the callbacks and draw from copies of the objects in `shuffle`; the objects themselves stay
        as they were.
    verbose : {0, 1} or bool, default 0
        1 shows progress over the networks on stderr: a bar if tqdm is installed, otherwise lines.

    Returns
    -------
    Fits
        The networks, their histories and their statuses.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or `checkpoint` is that of a call with other arguments.
    ModelFileError
        If `checkpoint` is a file of another kind.
    OSError
        If `checkpoint` cannot be read or written. Finished networks stay trained.
    FloatingPointError
        If the loss of a network is no longer finite, with ``on_error="raise"``. This network has
        its weights from some updates earlier, as after `MLP.fit`; other networks whose training was
        not finished are restored to their state before the call.

    Notes
    -----
    The networks with the most work are trained first, so that no thread is left with a long one at
    the end; results don't depend on the order. Ctrl-C ends the call early: finished networks stay
    trained, all others are as they were before the call, and `Fits.interrupted` is True. An error
    other than that of a loss that is not finite leaves networks in the same way.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, fit_many, networks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=300)
    >>> base = MLP(2, [Dense(16, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> nets = networks(base, learning_rate=[1e-2, 1e-3], seeds=range(3))
    >>> fits = fit_many(nets, X, y, epochs=30, validation=0.2)
    >>> fits
    <Fits of 6 networks: 6 finished>
    >>> nets.parameters[fits.best("val_loss")]["learning_rate"]
    0.01
    """
    parameters = nets.parameters if isinstance(nets, Networks) else None
    found = _checks.members(nets, MLP)
    raises = _checks.choice("on_error", on_error, ("raise", "record")) == "raise"
    executor = _checks.executor(executor)
    threads = _checks.n_threads(n_threads, 1 if executor else _cpu.available_threads())
    show = bool(_checks.verbosity(verbose, "shows progress over the networks"))
    plan = members.make(
        found,
        X,
        y,
        rows=rows,
        groups=groups,
        validation=validation,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        sample_weight=sample_weight,
        class_weight=class_weight,
        metrics=metrics,
        callbacks=callbacks,
    )
    fits = Fits(found, parameters, plan.groups)
    kept = None
    if checkpoint is not None:
        path = _checks.checkpoint_path("checkpoint", checkpoint, plan.inputs)
        kept = Checkpoint(path, plan, fits, raises)
    left = [i for i, status in enumerate(fits.statuses) if status.kind == NOT_STARTED]
    plan.make_callbacks(left)
    order = sorted(left, key=plan.cost, reverse=True)
    with Recorder(fits, show, kept) as progress:
        try:
            if executor is None:
                Crew(plan, fits, order, raises, progress).run(min(threads, len(order)))
            else:
                ExecutorTraining(plan, fits, order, raises, progress, threads).run(executor)
        except KeyboardInterrupt:
            fits.interrupted = True
    if any(fits.is_trained):
        fits.note_metrics(plan.metrics)
    return fits
