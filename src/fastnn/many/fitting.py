"""fit_many: train many networks on the same rows, or on some of them each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks, _cpu
from fastnn.many import members
from fastnn.many.checkpoints import Checkpoint, Recorder
from fastnn.many.executors import Distribution
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
    """Train many networks on the rows of X, or on some of them each; one thread for each network.

    A network ends with the bits that its own `MLP.fit` on its rows gives it, whatever other
    networks are trained with it and on however many threads.

    Parameters
    ----------
    nets : list of MLP, or Networks
        The networks, which may differ in anything but their inputs. Those of a list are trained in
        place, as `MLP.fit` does; `networks` makes a sequence of them.
    X : array-like of shape (n, n_in)
        Inputs, as for `MLP.fit`.
    y : array-like of shape (n,) or (n, n_out)
        Targets, as for `MLP.fit`. Labels of classes are found in all of y.
    rows : list, optional
        For each network the rows that it is trained on: an array of their numbers, in which a row
        may occur several times, a mask (n,), a slice, or None for all.
    groups : array-like of shape (n,), optional
        A label for each row. There is a network for each label, in sorted order, which is trained
        on the rows of that label.
    validation : optional
        What the networks are evaluated on after each epoch, as "val_loss": a fraction of each
        network's rows, its last ones; (X, y) or (X, y, sample_weight); "rest", the rows of X that
        the network is not trained on; or a list as `rows` is.
    epochs : int or list of int, default 1
        For all networks, or for each.
    batch_size : int, None or list of these, default 32
        Rows in each update; None is the full batch. For all networks, or for each.
    shuffle : bool or list, default True
        Whether each epoch takes the rows in a new random order, drawn by each network. A list has
        for each network True, False or, as for `MLP.fit`, an object of its own that draws orders.
    sample_weight : array-like of shape (n,) or (n, n_out), optional
        As for `MLP.fit`.
    class_weight : dict of label to float, or "balanced", optional
        As for `MLP.fit`; "balanced" weights are those of each network's rows.
    metrics : list of str, Metric or function, optional
        As for `MLP.fit`.
    callbacks : list of Callback, or function, optional
        Each network gets copies of those in a list; a function is called with the number of the
        network and returns its list. They are called on the thread that trains the network.
    on_error : {"raise", "record"}, default "raise"
        What happens when the loss of a network is no longer finite: the call ends with an error, or
        the network's status says so and the others go on.
    n_threads : int, optional
        Networks that are trained at the same time; by default the CPUs this process may use. With
        `executor`, in each of its tasks; by default one.
    checkpoint : str or path, optional
        A file to which networks are added as they finish, every few seconds and at the end, however
        the call ends. The same call again takes these networks from the file and trains the others,
        so that all end with the bits of a call that was not interrupted. X, y, networks and all
        other arguments must be the same; functions are compared by their names alone.
    executor : Executor, Client or "joblib", optional
        What trains the networks in place of threads of this call: an executor of
        ``concurrent.futures`` or of loky, a ``dask.distributed.Client``, or the backend of joblib
        that is in force. Rows are sent once, networks in portions; the portion of a worker that is
        lost is done again. Processes need callbacks, metrics and losses that can be pickled, and
        their callbacks are copies.
    verbose : {0, 1} or bool, default 0
        1 shows a bar over the networks (with tqdm installed, otherwise lines) on stderr.

    Returns
    -------
    Fits
        The networks, their histories and what became of each.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or `checkpoint` is of a call with other arguments.
    ModelFileError
        If `checkpoint` is a file of another kind.
    OSError
        If `checkpoint` cannot be read or written. Networks that are finished stay trained.
    FloatingPointError
        If the loss of a network is no longer finite, with ``on_error="raise"``. That network has
        the weights of some updates before, as after `MLP.fit`; others that were being trained are
        back at their beginning.

    Notes
    -----
    Networks with most work are trained first, so that no thread is left with a long one at the end;
    results don't depend on the order. Ctrl-C ends the call: the result then has the networks that
    are trained, the others are as they were before, and `Fits.interrupted` is True.

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
    show = bool(_checks.verbosity(verbose))
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
        path = _checks.output_path("checkpoint", checkpoint, plan.inputs)
        kept = Checkpoint(path, plan, fits, raises)
    left = [i for i, status in enumerate(fits.statuses) if status.kind == NOT_STARTED]
    order = sorted(left, key=plan.cost, reverse=True)
    with Recorder(fits, show, kept) as progress:
        try:
            if executor is None:
                Crew(plan, fits, order, raises, progress).run(min(threads, len(order)))
            else:
                Distribution(plan, fits, order, raises, progress, threads).run(executor)
        except KeyboardInterrupt:
            fits.interrupted = True
    return fits
