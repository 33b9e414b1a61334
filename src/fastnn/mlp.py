"""MLP, the public class of a network, and `load`.

MLP is a façade over a `State` (training/state.py): each method checks or converts a few arguments
and calls the module that does the work. Not here: fits (training/loop.py), other calls on rows
(training/calls.py), files (exchange/model_files.py), outputs of layers (inspection.py).

This module has over 600 lines because one class has all methods, and three quarters of the lines
are their docstrings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, overload

from fastnn import _checks, inspection
from fastnn import metrics as metric_kinds
from fastnn.exchange import configuration, model_files
from fastnn.schedules import Schedule
from fastnn.training import calls, plan, sources
from fastnn.training.loop import Fit, fit_without_conversion
from fastnn.training.specification import Specification
from fastnn.training.standardizing import mean_and_scale
from fastnn.training.state import State

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Literal, Protocol, Self

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from fastnn._kernels_f32 import Network
    from fastnn.callbacks import Callback, History
    from fastnn.layers import Dense, Layer
    from fastnn.losses import CustomLoss, Loss
    from fastnn.metrics import Metric
    from fastnn.optimizers import Optimizer
    from fastnn.splits import StratifiedSplit

    Path = str | os.PathLike[str]

    class SparseMatrix(Protocol):
        """SparseRows, or SciPy's CSR."""

        format: str

        @property
        def shape(self) -> tuple[int, int]:
            """Number of rows and of columns."""

        @property
        def indptr(self) -> Any:
            """Where the values of each row begin."""

    class Orders(Protocol):
        """An object that draws orders of rows, such as a numpy Generator."""

        def permutation(self, n: int, /) -> Any:
            """Return the numbers 0 to n - 1 in some order."""

    Inputs = ArrayLike | SparseMatrix
    Metrics = str | Metric | Callable[..., float] | Mapping[str, Any] | Iterable[Any]


class MLP:
    """A feed-forward neural network (multi-layer perceptron).

    Parameters
    ----------
    n_in : int
        Number of inputs, the columns of ``X``.
    layers : list of Dense, Dropout, LayerNorm, Activate, Residual, Standardize and others
        The layers from the first hidden layer to the output layer, which is a Dense or an
        `Ensemble`. A Dropout, a LayerNorm, an Activate or a NumericEmbedding acts on the outputs of
        the layer before it. A Standardize must be the first layer; an Embedding must be the first
        layer or follow a Standardize.
    loss : str, Loss or callable
        ``"squared_error"``, ``"absolute_error"``, ``"huber"``, ``"quantile"``, ``"linear"``,
        ``"poisson"``, ``"gaussian_nll"``, ``"binary_cross_entropy"`` or ``"cross_entropy"``, or an
        object such as ``Huber(2.0)``. Cross-entropy needs a softmax output, binary cross-entropy a
        sigmoid output, poisson exp or softplus, gaussian_nll two linear outputs for each target
        (`GaussianNLL`); all other losses allow any output. A Python function of targets and
        outputs becomes a `CustomLoss`.
    optimizer : str or Optimizer
        ``"sgd"``, ``"adagrad"``, ``"rmsprop"``, ``"adam"``, ``"adamw"``, ``"nadam"``,
        ``"lion"`` or ``"schedule_free_adamw"`` with their defaults, or an object such as
        ``Adam(learning_rate=1e-4)``.
    reduction : {"mean", "sum"}, default "mean"
        The loss of a batch is the sum of its rows' losses. "mean" divides it by the number of rows,
        or by the sum of the absolute sample weights; "sum" does not.
    scale_penalties : bool, default False
        Whether, with ``reduction="mean"``, the layers' penalties are divided by the number of rows
        in the batch (or the sum of their weights), too, as in scikit-learn. Otherwise they are
        added to the mean undivided, as in Keras. With ``reduction="sum"`` this has no effect.
    dtype : {"float32", "float64", "mixed_bfloat16"}, default "float32"
        Precision of weights and arithmetic. With ``"mixed_bfloat16"`` arrays are float32, and the
        operands of matrix products (inputs of layers, weights, deltas) are rounded to bfloat16:
        CPUs with AVX-512 BF16 multiply twice as many of these at a time, those with AMX 16 times
        as many. Sums, biases, weights, moments and losses stay in float32, and so do layers of up
        to 4 units. Other CPUs compute the same bits, but more slowly than in float32. An operand
        keeps 8 significant bits, so inputs should be standardized.
    seed : int, optional
        Seed of the initial weights, the order of rows and the dropout masks. The same seed gives
        the same bits in one version, for any number of threads and on every CPU with fused
        multiply-adds. By default the seed is drawn from the operating system.
    n_threads : int, optional
        Number of threads to train and predict with; by default the number of CPUs that this process
        may use. Small networks use one thread, which is faster for them.

    Attributes
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    layers : tuple of Layer
        The layers, as given.
    dense : tuple of Dense
        The Dense layers in the order of computation, including those within other layers. LayerNorm
        and other layers with weights are not among them.
    dropout_rates : tuple of float
        For each of these Dense layers, the rate at which its input is dropped in training.
    loss, optimizer, reduction, scale_penalties, n_threads
        The arguments or their defaults, with names converted to objects.
    dtype : dtype
        The dtype of weights, inputs and outputs.
    dtype_policy : str
        The argument `dtype`: its name, or ``"mixed_bfloat16"``.
    learning_rate : float
        The learning rate of the next update; can be set to a number or a Schedule, whose time is
        the number of updates (or epochs) made so far.
    step, epoch : int
        Numbers of updates and of epochs made so far. An epoch that a callback ended early counts.
    standardization : (mean, scale) or None
        Mean and scale of a Standardize layer that has seen data: read-only float64 arrays of shape
        (n_in,).
    feature_names : tuple of str or None
        Column names of the first data frame passed to `fit`. Later data frames must have the same
        columns in the same order; arrays are not checked. Can be set to a name for each input; None
        allows any columns.
    classes : tuple of str or numbers, or None
        Labels of the classes 0, 1, ..., which `predict_classes` returns and targets contain. The
        first `fit` with text or categories finds them in y; they are saved, loaded and copied with
        the network. Can be set; None means that the labels are the numbers 0, 1, ... themselves.
    metadata : dict
        Your own data, kept with the network: text, numbers, and lists and dicts of these. They are
        saved, loaded and copied with the network. Can be set; values that JSON cannot hold raise an
        error when they are set or when the network is saved.
    stop_training : bool
        Set it to True in a callback to end `fit` after the epoch; see `Callback`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the loss can't be used with the activation of the
        output layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> net = MLP(2, [Dense(8, "tanh"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
    ...           optimizer="adam", seed=1)
    >>> history = net.fit(X, [0, 1, 1, 0], batch_size=4, epochs=2000)
    >>> net.predict(X).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    # The arguments of a network and their consequences, which cannot be set afterwards.
    _BUILT_WITH = frozenset(
        {*configuration.NAMES, "dense", "dtype_policy", "dropout_rates", "n_out"}
    )

    # Both are for fastnn's own modules. The compiled network also belongs to the state; it has its
    # own attribute because another look-up would cost 2 % of the instructions of a one-row call.
    _state: State
    _network: Network

    @_checks.explained
    def __init__(
        self,
        n_in: int,
        layers: Iterable[Layer],
        *,
        loss: str | Loss | Callable[..., Any],
        optimizer: str | Optimizer,
        reduction: Literal["mean", "sum"] = "mean",
        scale_penalties: bool = False,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        n_threads: int | None = None,
    ) -> None:
        specification = Specification.checked(
            n_in,
            layers,
            loss=loss,
            optimizer=optimizer,
            reduction=reduction,
            scale_penalties=scale_penalties,
            dtype=dtype,
            seed=seed,
            n_threads=n_threads,
        )
        self._hold(State(specification, initialize=True))

    def _hold(self, state: State) -> None:
        """Become the façade over a state."""
        # Without the checks of __setattr__, which take a microsecond. An update of vars(self) would
        # make a dictionary, and so each later access to an attribute slower.
        before = getattr(self, "_network", None)
        if before is not None:
            state.network.take_place_of(before)
        object.__setattr__(self, "_state", state)
        object.__setattr__(self, "_network", state.network)

    @classmethod
    def _of(cls, state: State) -> Self:
        """Return a network with the given state."""
        net = object.__new__(cls)
        net._hold(state)
        return net

    def __setattr__(self, name: str, value: object) -> None:
        _checks.settable(name, name in self._BUILT_WITH)
        _checks.no_foreign_attribute(name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not _checks.is_foreign(type(self), name)]

    # ---- arguments ------------------------------------------------------------------------------

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return self._state.specification.n_in

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self._state.specification.n_out

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers."""
        return self._state.specification.layers

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The Dense layers, including those within other layers."""
        return self._state.specification.dense

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """For each Dense layer, the rate at which its input is dropped in training."""
        return self._state.specification.dropout_rates

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._state.specification.loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, with the learning rate that was set last."""
        return self._state.specification.optimizer

    @property
    def reduction(self) -> str:
        """How the losses of a batch's rows are combined: "mean" or "sum"."""
        return self._state.specification.reduction

    @property
    def scale_penalties(self) -> bool:
        """Whether the mean divides penalties, too."""
        return self._state.specification.scale_penalties

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of weights, inputs and outputs."""
        return self._state.specification.dtype

    @property
    def dtype_policy(self) -> str:
        """The name of dtype, or "mixed_bfloat16"."""
        return self._state.specification.policy

    @property
    def seed(self) -> int | None:
        """The seed that was given, or None."""
        return self._state.specification.seed

    @property
    def n_threads(self) -> int:
        """Number of threads to train and predict with."""
        return self._state.n_threads

    # ---- training -------------------------------------------------------------------------------

    @_checks.explained
    def fit(
        self,
        X: Inputs | Iterable[Any],
        y: ArrayLike | None = None,
        *,
        batch_size: int | None = 32,
        epochs: int = 1,
        shuffle: bool | Orders = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        validation_data: Sequence[Any] | None = None,
        validation_split: float | StratifiedSplit = 0.0,
        metrics: Metrics = (),
        callbacks: Iterable[Callback] = (),
        steps_per_epoch: int | None = None,
        resume: Path | None = None,
        verbose: int = 0,
        n_threads: int | None = None,
    ) -> History:
        """Train for some epochs: passes over all rows in batches, with one update for each batch.

        Parameters
        ----------
        X : array-like of shape (n, n_in), or iterable of (X, y) or (X, y, sample_weight)
            Inputs: anything that NumPy can read as numbers (arrays, lists, data frames, tensors
            with DLPack) or sparse rows (SciPy's CSR, `SparseRows`), converted once to the network's
            dtype. Large arrays (32 MB and more after conversion) of a narrower type, such as uint8
            or float16, and files mapped by numpy.memmap are converted a few batches at a time by
            another thread during training, so memory doesn't grow with them. The batches of an
            iterable are converted in the same way; each epoch iterates over it again.
        y : array-like of shape (n,) or (n, n_out)
            Targets. For cross-entropy class labels 0, 1, ... or one-hot (or probability) rows.
            Classes, also those of a single sigmoid output, may be text or categories of a data
            frame: the network keeps them as `classes`, text in sorted order, categories in their
            own order. Must be left out if X is an iterable.
        batch_size : int or None, default 32
            Rows in each update: 1 is online learning, None the full batch. Ignored for an iterable,
            whose items are the batches.
        epochs : int, default 1
            Number of epochs.
        shuffle : bool or numpy Generator or RandomState, default True
            Whether each epoch takes the rows in a new random order: drawn by the network, or by the
            generator given (any object whose ``permutation(n)`` returns n row numbers).
        sample_weight : array-like of shape (n,) or (n, n_out), optional
            Weights of the losses of the rows, or of each output's term if the loss is a sum over
            the outputs (not "cross_entropy", "gaussian_nll" or a CustomLoss). A target with weight
            0 is missing: it may be NaN, so ``~numpy.isnan(y)`` masks missing targets; only classes
            of "cross_entropy" must be valid. Weights are 0 or more, or of any sign for losses of
            bounded slope ("cross_entropy", "binary_cross_entropy", "huber", "absolute_error",
            "quantile"), for "linear" and for a CustomLoss. ``reduction="mean"`` divides by the sum
            of ``|weight|`` over the rows; a row with a weight for each output counts with their
            mean.
        class_weight : dict of label to float, or "balanced", optional
            Weights of the rows of each class (by label, or by a target of 0 or 1) in the losses of
            training and validation; multiplied by sample_weight. Classes not in the dict have
            weight 1. "balanced" is ``n / (n_classes * count)``, computed from the training rows, as
            in scikit-learn.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows that are evaluated after each epoch, as "val_loss".
        validation_split : float or StratifiedSplit, default 0.0
            Rows to use for validation instead of training: a fraction, the last ones (shuffle
            sorted rows first), or with ``StratifiedSplit(0.2)`` a random fraction of each class.
        metrics : list of str, Metric or function, optional
            ``"accuracy"``, ``"top_k_accuracy"``, ``"balanced_accuracy"``, ``"precision"``,
            ``"recall"``, ``"f1"``, ``"roc_auc"``, ``"log_loss"``, ``"r2"``, ``"mae"``, ``"mse"``,
            an object such as ``TopKAccuracy(3)``, or a function ``f(y_true, y_pred)``; a dict gives
            them other names. Training metrics are computed from the outputs before each update,
            like the loss. With validation data the logs also have "val_accuracy", ...
        callbacks : list of Callback
            Objects with hooks that are called during training.
        steps_per_epoch : int, optional
            Number of batches of an iterable in an epoch; by default, all. An epoch ends early if
            the iterable has no more batches. An iterator continues where it stopped, in the next
            epoch or the next fit; other iterables, such as lists, start from their first batch.
        resume : str or path, optional
            A checkpoint (`ModelCheckpoint`) of the same fit, which continues after the last epoch
            in it, with the same bits as a fit that was not stopped. If a callback had ended that
            epoch early, the rest of its rows is skipped. If a callback had ended the fit, the
            resumed fit continues nevertheless, unless a callback ends it again, as `EarlyStopping`
            does. The learning rate, or its schedule, is that of the file. If the file doesn't exist
            yet, the fit begins with epoch 0.
        verbose : {0, 1} or bool, default 0
            1 prints a line per epoch with losses and samples per second.
        n_threads : int, optional
            Number of threads for this call, instead of the network's.

        Returns
        -------
        History
            Losses and metrics by epoch: ``history.history["loss"]`` and, with validation data,
            ``history.history["val_loss"]``, ...

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, or `resume` is a checkpoint of another network or fit. After
            an error before the first update, also one of a callback, the network is unchanged,
            except for weights and metadata that a callback has set. If rows are converted during
            training, the network keeps its last complete update.
        FloatingPointError
            If the loss is no longer finite. The network then has its weights from some updates
            earlier, whose loss was finite, and `step` and `epoch` count the updates up to these.
        RuntimeError
            If the network is being fitted already, in another thread or from a callback.
        ModelFileError
            If `resume` is not a model file, or is damaged.

        Warns
        -----
        UserWarning
            If `resume` is a checkpoint of a fit that began with another learning rate; the fit
            continues with the one in the file.

        Notes
        -----
        Ctrl-C takes effect between two updates, and the network keeps the updates made before. The
        same seed gives the same bits whether rows are in memory or converted during training.

        Targets, weights and orders of rows are copied. The batches of an iterable are copied as
        well, so it may reuse its arrays. An X that needs no conversion is not copied: a callback
        that changes it changes the rows of later steps. A y that is a memory-mapped file, or that
        shares memory with X, as in an autoencoder, is not copied either.
        """
        if (
            sample_weight is None
            and class_weight is None
            and validation_data is None
            and steps_per_epoch is None
            and resume is None
            and n_threads is None
            and type(metrics) is type(callbacks) is tuple
            and type(validation_split) is float
            and type(verbose) in (int, bool)
            and not (metrics or callbacks or validation_split or verbose)
        ):
            history = fit_without_conversion(self._state, X, y, batch_size, epochs, shuffle)
            if history is not None:
                return history
        planned = plan.make(
            self._state,
            X,
            y,
            batch_size=batch_size,
            epochs=epochs,
            shuffle=shuffle,
            sample_weight=sample_weight,
            class_weight=class_weight,
            validation_data=validation_data,
            validation_split=validation_split,
            metrics=metrics,
            callbacks=callbacks,
            steps_per_epoch=steps_per_epoch,
            resume=resume,
            verbose=verbose,
            n_threads=n_threads,
        )
        fit = Fit(self._state, planned, self)
        return fit.run(model_files.checkpoint(self._state, fit, resume))

    def adapt(self, X: Inputs) -> None:
        """Compute mean and scale of each column of inputs for the Standardize layer.

        `fit` does this with its rows if mean and scale are not known yet.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
            As for `fit`; large files are read in parts.

        Raises
        ------
        TypeError, ValueError
            If X is invalid, the standard deviation of a column is too small or too large for the
            network's dtype, or there is no Standardize layer.
        """
        _checks.standardizes(self._state.specification.standardizes)
        source = sources.unlabelled(self._state, "X", X, for_scaling=True)
        self._state.standardize(*mean_and_scale(source, "X", self.dtype))

    def train_on_batch(
        self, X: Inputs, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Make one update from these rows; return their loss before it.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; all rows are one batch.

        Returns
        -------
        float
            The loss of the batch, including penalties, with the weights from before the update.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid; the network is then unchanged.
        FloatingPointError
            If the loss isn't finite; the network is then unchanged. L1 and L2 penalties that
            overflow, such as those of weights beyond 1e19 in float32, are only found after the
            update; the message then says that the update was made.
        RuntimeError
            If the network is being trained in another thread.

        Notes
        -----
        Arrays that the kernels can read as they are (of type ndarray, the network's dtype,
        C-contiguous) are used without conversion or allocation.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.train_on_batch([[2.0]], [5.0])
        4.5
        """
        if sample_weight is None:
            try:
                loss = self._network.try_step(X, y)
            except FloatingPointError as error:
                loss, overflowed = error.args
                raise calls.divergence(self._state, loss, overflowed) from None
            if loss is not None:
                return loss
        return calls.step(self._state, X, y, sample_weight)

    @overload
    def loss_and_gradients(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        training: bool = False,
        flat: Literal[False] = False,
    ) -> tuple[float, list[NDArray[Any]]]: ...
    @overload
    def loss_and_gradients(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        training: bool = False,
        flat: Literal[True],
    ) -> tuple[float, NDArray[Any]]: ...
    def loss_and_gradients(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        training: bool = False,
        flat: bool = False,
    ) -> tuple[float, list[NDArray[Any]] | NDArray[Any]]:
        """Return the loss of these rows and its gradients, without an update.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; all rows are one batch.
        training : bool, default False
            Whether dropout is applied, with the masks of the next update.
        flat : bool, default False
            Whether to return the gradients as one vector, for instance for ``scipy.optimize``.

        Returns
        -------
        loss : float
            The loss, including penalties.
        gradients : list of ndarray, or ndarray of shape (n_parameters,)
            ``[dW0, db0, dW1, ...]``, in the order and shapes of `get_weights`; with `flat` a vector
            in the order of `get_flat_weights`.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.loss_and_gradients([[2.0]], [5.0])
        (4.5, [array([[-6.]], dtype=float32), array([-3.], dtype=float32)])
        """
        is_flat = _checks.flag("flat", flat)
        loss, gradient = calls.gradients(self._state, X, y, sample_weight, training)
        return loss, gradient if is_flat else calls.split(self._state, gradient)

    def train_on_output_gradients(
        self, X: Inputs, dY: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Make one update from given gradients of a loss with respect to the outputs.

        For losses that are computed elsewhere, such as policy gradients or the loss of another
        program. The update back-propagates `dY` through the output activation (for softmax through
        its whole Jacobian) and the layers. Otherwise it is that of `train_on_batch`, with dropout,
        penalties, clipping and moments.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
            The rows of the batch.
        dY : array-like of shape (n, n_out)
            For each row the derivatives of that row's loss with respect to its outputs, after their
            activation. With ``reduction="mean"`` the gradient of the batch is the mean over the
            rows, so multiply derivatives of a mean over the batch by n. With ``reduction="sum"``
            the gradient is the sum over the rows.
        sample_weight : array-like of shape (n,) or (n, n_out), optional
            Weights of the rows or outputs, of any sign, as for `fit`.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid; the network is then unchanged.
        FloatingPointError
            If an output, or its product with dY, isn't finite; the network is then unchanged.
            (Penalties that overflow are only found after the update, as in `train_on_batch`.)
        RuntimeError
            If the network is being trained in another thread.

        Notes
        -----
        The network's loss and its value are not used. The update has the same bits as that of
        `train_on_batch` with the loss ``"linear"`` and the targets `dY`, and as that of a loss
        whose derivatives ``dE/dy`` are `dY`, such as ``squared_error`` with ``predict(X) - y``. The
        losses that are computed from pre-activations (the cross-entropies and ``poisson``) agree
        up to rounding.

        If the network has dropout or is trained by `ScheduleFreeAdamW`, compute `dY` from the
        outputs ``net(X, training=True)`` instead: they have the masks of the next update and, with
        this optimizer, the weights at which its gradients are computed.

        Examples
        --------
        >>> from fastnn import MLP, SGD, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer=SGD(0.5))
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.train_on_output_gradients([[2.0]], [[3.0]])
        >>> net.get_weights()[0].item(), net.get_weights()[1].item()
        (-2.0, -1.5)
        """
        calls.step_by_gradients(self._state, X, dY, sample_weight)

    @overload
    def per_sample_gradients(
        self, X: Inputs, y: ArrayLike, *, flat: Literal[False] = False
    ) -> list[NDArray[Any]]: ...
    @overload
    def per_sample_gradients(
        self, X: Inputs, y: ArrayLike, *, flat: Literal[True]
    ) -> NDArray[Any]: ...
    def per_sample_gradients(
        self, X: Inputs, y: ArrayLike, *, flat: bool = False
    ) -> list[NDArray[Any]] | NDArray[Any]:
        """Return the gradient of the loss of each row, without an update.

        Parameters
        ----------
        X, y
            As for `fit`.
        flat : bool, default False
            Whether to return one array, in which each row is the whole gradient of one row of X.

        Returns
        -------
        list of ndarray, or ndarray of shape (n, n_parameters)
            ``[dW0, db0, dW1, ...]`` in the order of `get_weights`, each with a first axis for the
            rows: dW of shape (n, n_in, n_out), db of shape (n, n_out). With `flat`, rows are in the
            order of `get_flat_weights`. Memory grows with n times `n_parameters`.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Notes
        -----
        Penalties and dropout are not included. Without penalties, row i has the same bits as
        ``loss_and_gradients(X[i:i+1], y[i:i+1])``, and the mean over the rows (the sum with
        ``reduction="sum"``) is the gradient of the batch up to rounding.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.per_sample_gradients([[1.0], [2.0]], [2.0, 5.0], flat=True)
        array([[-1., -1.],
               [-6., -3.]], dtype=float32)
        """
        flat = _checks.flag("flat", flat)
        found = calls.row_gradients(self._state, X, y)
        return found if flat else calls.split(self._state, found)

    # ---- predicting -----------------------------------------------------------------------------

    def predict(self, X: Inputs, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the outputs for rows of inputs.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        out : ndarray of shape (n, n_out), optional
            Array to write the outputs to: C-contiguous, of the network's dtype.

        Returns
        -------
        ndarray of shape (n, n_out)
            `out` if it was given. A row's outputs don't depend on the other rows.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Notes
        -----
        With `out`, and an X that the kernels can read as it is (an ndarray of the network's dtype,
        C-contiguous), nothing is converted or allocated.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[2.0]], [1.0]])
        >>> out = np.empty((3, 1), np.float32)
        >>> net.predict(np.array([[0.0], [1.0], [2.0]], np.float32), out=out)
        array([[1.],
               [3.],
               [5.]], dtype=float32)
        """
        outputs = self._network.try_predict(X, out)
        return calls.predict(self._state, X, out) if outputs is None else outputs

    def __call__(self, X: Inputs, *, training: bool = False) -> NDArray[Any]:
        """Return the outputs for rows of inputs, as `predict` does, or as in the next update.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        training : bool, default False
            Whether dropout is applied, with the masks of the next update. `X` is then one batch:
            a row's masks depend on its place in `X`. With `ScheduleFreeAdamW` the outputs are those
            of the weights at which the next update computes its gradients.

        Returns
        -------
        ndarray of shape (n, n_out)

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[2.0]], [1.0]])
        >>> net([[0.0], [1.0]])
        array([[1.],
               [3.]], dtype=float32)
        """
        in_training = _checks.flag("training", training)
        return calls.outputs_in_training(self._state, X) if in_training else self.predict(X)

    def predict_classes(self, X: Inputs) -> NDArray[Any]:
        """Return the class of each row of inputs.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        ndarray of shape (n,) or (n, n_out)
            For softmax outputs the class with the largest output; for one sigmoid output the second
            class if the output is above 0.5, else the first: labels of `classes`, or numbers if
            `classes` is None. For several sigmoid outputs 1 for each output above 0.5, else 0.

        Raises
        ------
        TypeError, ValueError
            If X is invalid, or the network is not for classes.

        Examples
        --------
        >>> from fastnn import MLP, Adam, Dense
        >>> net = MLP(1, [Dense(2, "softmax")], loss="cross_entropy", optimizer=Adam(0.1), seed=0)
        >>> history = net.fit([[-1.0], [1.0]] * 50, ["no", "yes"] * 50, epochs=50)
        >>> net.classes
        ('no', 'yes')
        >>> net.predict_classes([[-2.0], [3.0]])
        array(['no', 'yes'], dtype='<U3')
        """
        _checks.classifies(self.loss, self.n_out)
        return inspection.classes(self, self.predict(X))

    @overload
    def evaluate(
        self, X: Inputs, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float: ...
    @overload
    def evaluate(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Metrics,
    ) -> dict[str, float]: ...
    @_checks.explained
    def evaluate(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Metrics = (),
    ) -> float | dict[str, float]:
        """Return the loss of rows: mean or sum as in training, with penalties, without dropout.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        metrics : list of str, Metric or function, optional
            As for `fit`.

        Returns
        -------
        float, or dict of str to float
            The loss; with metrics a dict of "loss" and the values of the metrics.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[2.0]], [0.0]])
        >>> net.evaluate([[0.0], [1.0]], [0.0, 3.0])
        0.25
        >>> net.evaluate([[0.0], [1.0]], [0.0, 3.0], metrics=["mae"])
        {'loss': 0.25, 'mae': 0.5}
        """
        resolved = metric_kinds.resolve(metrics, self.loss, self.n_out)
        source = sources.source(self._state, X, y, sample_weight)
        self._state.require_standardization()
        sources.check_metrics(resolved.values(), source)
        found = calls.evaluate(self._state, source, resolved, self.n_threads)
        return found if resolved else found["loss"]

    # ---- inspecting -----------------------------------------------------------------------------

    def activations(self, X: Inputs) -> list[NDArray[Any]]:
        """Return the outputs of every layer for rows of inputs.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        list of ndarray of shape (n, units)
            The outputs ``z`` of each Dense, LayerNorm, Activate, Residual and Embedding, in the
            order of computation: the outputs of the layers in a Residual come before those of the
            Residual. A NumericEmbedding has two arrays, the encoded numbers and its outputs. The
            last array has the predictions. With an `Ensemble` all arrays have ``k`` consecutive
            rows for each row of X, one for each member. Dropout isn't applied.

        Raises
        ------
        TypeError, ValueError
            If X is invalid.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(2, "relu"), Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0, -1.0]], [0.0, 0.0], [[1.0], [1.0]], [0.5]])
        >>> net.activations([[-3.0]])
        [array([[0., 3.]], dtype=float32), array([[3.5]], dtype=float32)]
        """
        return inspection.activations(self, X)

    def jacobian(self, X: Inputs) -> NDArray[Any]:
        """Return the derivative of every output with respect to every input, for each row.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        ndarray of shape (n, n_out, n_in)
            ``dy_k/dx_i`` for the prediction y, after the output activation (also softmax). Dropout
            isn't applied. At a kink, such as that of relu, it is the left derivative, as in
            training.

        Raises
        ------
        TypeError, ValueError
            If X is invalid.

        Notes
        -----
        The Jacobian is computed by back-propagation, with one pass for each output (Bishop, Pattern
        Recognition and Machine Learning, 2006, section 5.3.4): ``dy_k/dx = delta @ W.T`` at the
        first layer, starting from ``delta_j = dy_k/da_j`` at the output.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(2, [Dense(1, "exp")], loss="poisson", optimizer="sgd")
        >>> net.set_weights([[[1.0], [-2.0]], [0.0]])
        >>> net.jacobian([[0.0, 0.0]])
        array([[[ 1., -2.]]], dtype=float32)
        """
        return inspection.jacobian(self, X)

    def input_gradients(self, X: Inputs, output: int | None = None) -> NDArray[Any]:
        """Return the gradient of one output with respect to the inputs, for each row.

        Saliency maps show the magnitude of this gradient: the larger it is, the more a small change
        of the input changes the output (Simonyan et al., Deep Inside Convolutional Networks, ICLR
        workshop 2014).

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        output : int, optional
            Index of the output, from 0; by default the largest output of each row.

        Returns
        -------
        ndarray of shape (n, n_in)
            ``dy_k/dx_i`` after the output activation, as in `jacobian`. After softmax or sigmoid it
            is close to 0 for rows that the network predicts with confidence.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(2)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[3.0, -4.0]], [0.0, 0.0]])
        >>> net.input_gradients([[1.0], [-1.0]])
        array([[ 3.],
               [-4.]], dtype=float32)
        >>> net.input_gradients([[1.0], [-1.0]], output=0)
        array([[3.],
               [3.]], dtype=float32)
        """
        return inspection.input_gradients(self, X, output)

    @_checks.explained
    def summary(self, batch_size: int = 32) -> None:
        """Print a table of the layers, with their operations and memory.

        Parameters
        ----------
        batch_size : int, default 32
            Number of rows in a training step, for the memory of activations.

        Raises
        ------
        TypeError, ValueError
            If batch_size is invalid.

        Notes
        -----
        Operations are the multiplications and additions of the matrix products: ``2 k m`` in the
        forward pass for a Dense with k inputs and m units, and as many for each further member of
        an Ensemble. A training step needs as many again for the gradient of each layer that is not
        frozen, and for the delta of each layer above the lowest one that has parameters and is not
        frozen.

        Memory is that of a fit, counted without rows, padding and scratch memory (1 KB = 1024
        bytes). The copy of the weights is the last one with a finite loss, to which a fit that
        diverges returns. Activations are the inputs, z and delta of every layer, for at most 1024
        rows; a Dropout and an Activate have the delta of the layer below. Larger batches are
        computed in rounds of 1024 rows, whose gradients are added up in a block as large as the
        weights. Clipping by norms needs this block for every batch.

        Examples
        --------
        >>> from fastnn import MLP, Dense, Dropout
        >>> net = MLP(64, [Dense(128, "relu"), Dropout(0.1), Dense(10, "softmax")],
        ...           loss="cross_entropy", optimizer="adam")
        >>> net.summary()
        layer              output  parameters  flops per row
        ----------------------------------------------------
        input                  64
        Dense relu            128       8,320         16,384
        Dropout 0.1           128
        Dense softmax          10       1,290          2,560
        ----------------------------------------------------
        9,610 parameters, float32, cross_entropy, adam
        flops per row: 18,944 forward, 40,448 in a training step
        memory: weights and copy 75.1 KB, optimizer state 75.1 KB, activations 58.5 KB (batch of 32)
        """
        print(inspection.summary(self, batch_size))

    # ---- freezing -------------------------------------------------------------------------------

    def freeze(self, layers: int | Iterable[int] | None = None) -> None:
        """Freeze layers: updates no longer change their weights.

        Parameters
        ----------
        layers : int or list of int, optional
            Indices in `layers`, negative ones from the end; by default all. The index of a Residual
            or an Ensemble stands for all its layers; for layers without weights nothing changes.

        Raises
        ------
        TypeError, ValueError
            If there is no such layer.
        RuntimeError
            If the network is being fitted.

        Notes
        -----
        Weights, the optimizer's moments, counts and random state are kept: training continues with
        the bits of a network that was built with ``trainable=False`` in these layers. C code and
        every `embedding.Workspace` that already use the network continue with its layers as they
        were before.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(4, [Dense(8, "relu"), Dense(1)], loss="squared_error", optimizer="adam")
        >>> net.freeze(0)
        >>> [layer.trainable for layer in net.layers]
        [False, True]
        """
        self._set_trainable(layers, False)

    def unfreeze(self, layers: int | Iterable[int] | None = None) -> None:
        """Unfreeze layers: updates change their weights again.

        Parameters
        ----------
        layers : int or list of int, optional
            As for `freeze`.

        Raises
        ------
        TypeError, ValueError
            If there is no such layer.
        RuntimeError
            If the network is being fitted.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(4, [Dense(8, "relu"), Dense(1)], loss="squared_error", optimizer="adam")
        >>> net.freeze()
        >>> net.unfreeze(-1)
        >>> [layer.trainable for layer in net.layers]
        [False, True]
        """
        self._set_trainable(layers, True)

    def _set_trainable(self, layers: int | Iterable[int] | None, trainable: bool) -> None:
        numbers = _checks.numbers_of_layers(layers, len(self.layers))
        _checks.idle(self._state.fit, "freeze or unfreeze layers between two calls of fit")
        self._hold(self._state.with_trainable(numbers, trainable))

    # ---- state ----------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Number of updates made so far."""
        return self._network.step

    @property
    def epoch(self) -> int:
        """Number of epochs made so far, with those that a callback ended early."""
        return self._network.epoch

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update; can be set to a number or a Schedule."""
        return self._network.rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self._state.set_learning_rate(_checks.learning_rate(value, Schedule))

    @property
    def dropout_seed(self) -> int:
        """The seed of the dropout masks, drawn from `seed`."""
        return self._state.dropout_seed

    @property
    def standardization(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Mean and scale of each input, if a Standardize layer has seen data, or None."""
        return self._state.standardization

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Required column names of data frames, or None for any names."""
        return self._state.feature_names

    @feature_names.setter
    def feature_names(self, value: Iterable[str] | None) -> None:
        self._state.feature_names = _checks.feature_names(value, self.n_in)

    @property
    def classes(self) -> tuple[str | int | float, ...] | None:
        """Labels of the classes 0, 1, ..., or None; can be set to a label for each class."""
        return self._state.classes

    @classes.setter
    def classes(self, value: Iterable[Any] | None) -> None:
        self._state.classes = _checks.classes(value, self.loss, self.n_out)

    @property
    def metadata(self) -> dict[str, Any]:
        """Data that are kept with the network."""
        return self._state.metadata

    @metadata.setter
    def metadata(self, value: dict[str, Any]) -> None:
        _checks.json_of("net.metadata", value)
        self._state.metadata = value

    @property
    def stop_training(self) -> bool:
        """Whether the fit in progress ends after the epoch; callbacks can set it."""
        return self._state.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._state.stop_training = _checks.flag("stop_training", value)

    # ---- weights --------------------------------------------------------------------------------

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._network.n_parameters

    @property
    def c_model(self) -> object:
        """This network for C and Cython, as a capsule "fastnn.model"; see `fastnn.h`.

        The capsule refers to the network itself, not to a copy, and keeps the network alive.
        """
        return self._network.c_model()

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of the weights and biases.

        Returns
        -------
        list of ndarray
            ``[W0, b0, W1, b1, ...]``: W of shape (n_in, n_out), the layer's inputs and outputs, and
            b of shape (n_out,), which layers without bias lack. A LayerNorm has a gain and a bias
            of shape (n_in,). For other layers see `Embedding`, `NumericEmbedding` and `Ensemble`.
        """
        return self._network.read()

    def set_weights(self, weights: Iterable[ArrayLike]) -> None:
        """Set the weights and biases; the optimizer's moments and step do not change.

        Parameters
        ----------
        weights : list of array-like
            As `get_weights` returns them.

        Raises
        ------
        TypeError, ValueError
            If the number of arrays, a shape or a value is invalid; the network is then unchanged.
        RuntimeError
            If the network is being trained in another thread.
        """
        shapes = list(self._state.specification.shapes.values())
        self._network.write(_checks.weights(weights, shapes, self.dtype))

    def get_flat_weights(self) -> NDArray[Any]:
        """Return a copy of all weights and biases as one vector.

        Returns
        -------
        ndarray of shape (n_parameters,)
            The arrays of `get_weights` in their order, each in C order. The kernels store weights
            in panels, so this method and `set_flat_weights` copy all weights.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0], [2.0]], [3.0]])
        >>> net.get_flat_weights()
        array([1., 2., 3.], dtype=float32)
        """
        return self._network.read_flat()

    def set_flat_weights(self, weights: ArrayLike) -> None:
        """Set all weights and biases from one vector; moments and step do not change.

        Parameters
        ----------
        weights : array-like of shape (n_parameters,)
            As `get_flat_weights` returns them.

        Raises
        ------
        TypeError, ValueError
            If the shape or a value is invalid; the network is then unchanged.
        RuntimeError
            If the network is being trained in another thread.
        """
        self._network.write_flat(_checks.flat_weights(weights, self.n_parameters, self.dtype))

    def get_ema_weights(self) -> list[NDArray[Any]]:
        """Return copies of the moving averages of the weights, in the order of `get_weights`.

        The optimizer must have ``use_ema=True``. Before the first update, and for frozen layers,
        the averages are the weights themselves.

        Returns
        -------
        list of ndarray

        Raises
        ------
        ValueError
            If the optimizer keeps no average.
        """
        _checks.averages(self.optimizer)
        return self._state.averages()

    def averaged(self) -> Self:
        """Return a copy of the network whose weights are the moving averages of its weights.

        Returns
        -------
        MLP

        Raises
        ------
        ValueError
            If the optimizer keeps no average.

        Examples
        --------
        >>> from fastnn import MLP, SGD, Dense
        >>> net = MLP(1, [Dense(1, use_bias=False)], loss="squared_error",
        ...           optimizer=SGD(0.5, use_ema=True, ema_momentum=0.5))
        >>> net.set_weights([[[0.0]]])
        >>> history = net.fit([[1.0]], [8.0], epochs=2)
        >>> net.get_weights()[0].item(), net.averaged().get_weights()[0].item()
        (6.0, 5.0)
        """
        twin = self.copy()
        twin.set_weights(self.get_ema_weights())
        return twin

    # ---- plain data and files -------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the network as plain data.

        Returns
        -------
        dict
            Strings, numbers, lists and dicts, which JSON can hold. `from_config` builds a network
            from it, with new initial weights.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.get_config()["loss"]
        {'name': 'squared_error'}
        """
        return configuration.config_of(self._state.specification)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a network from the dict that `get_config` returned, with new initial weights.

        Parameters
        ----------
        config : dict

        Returns
        -------
        MLP

        Raises
        ------
        TypeError, ValueError
            If an item of the dict is unknown, missing or out of its range.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> MLP.from_config(net.get_config())
        <MLP 3-1, squared_error, sgd, float32>
        """
        return cls(**configuration.arguments_of(config))

    def to_json(self, indent: int | None = None) -> str:
        """Return the dict of `get_config` as JSON text.

        Parameters
        ----------
        indent : int, optional
            Number of spaces by which each level is indented, from 0 to 100; by default the text is
            one line.

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            If `indent` is not such a number.
        """
        indent = None if indent is None else _checks.integer("indent", indent, low=0, high=100)
        return json.dumps(self.get_config(), indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Build a network from the JSON text of `to_json`, with new initial weights.

        Parameters
        ----------
        text : str or bytes

        Returns
        -------
        MLP

        Raises
        ------
        TypeError, ValueError
            If the text is not JSON, or an item in it is unknown, missing or out of its range.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> MLP.from_json(net.to_json())
        <MLP 3-1, squared_error, sgd, float32>
        """
        return cls.from_config(_checks.json_object("text", text))

    def save(self, path: Path) -> None:
        """Write the network to a file: architecture, weights, optimizer and random state.

        The file is a safetensors file, which `fastnn.load` reads; training the loaded network gives
        the same bits as training this one. The data is written to a temporary file in the same
        folder, which then replaces `path`, so there is always either the old file or the new one. A
        process that is killed while it saves leaves a file ``.*.tmp`` behind.

        Parameters
        ----------
        path : str or path
            Path of the file, with the extension ".safetensors" or any other except those of other
            formats, such as ".pt", ".keras" and ".onnx".

        Raises
        ------
        TypeError, ValueError
            If the extension is that of another format, if the file holds rows that a fit in
            progress reads, or if `metadata` or the state of a callback cannot be written as JSON.
            If a gradient overflowed in the optimizer, whose state is then not finite; the message
            says how to continue.
        OSError
            If the file cannot be written; an old file is then unchanged.

        Examples
        --------
        >>> net.save("net.safetensors")  # doctest: +SKIP
        >>> net = fastnn.load("net.safetensors")  # doctest: +SKIP
        """
        model_files.save(self._state, path)

    def to_c(self, path: Path, *, name: str | None = None, training: bool = False) -> None:
        """Write the network with its weights as C source: a C file and a header.

        The source is C99, needs no library, allocates no memory and can be called by any number of
        threads. Compiled with ``-O3 -march=native`` it predicts a row as fast as fastnn does; the
        outputs agree up to rounding. It uses the vector extensions of GCC and Clang, and plain
        loops with other compilers.

        If the network has a recipe for a table, the source also has a struct for a row of the
        table, ``NAME_row``, and the function ``NAME_encode(row, x)``. It computes the inputs with
        the same bits as Python and treats unknown texts as missing, unless rare texts share an
        input.

        Parameters
        ----------
        path : str or path
            The C file, ending with ".c"; the header beside it has the same name.
        name : str, optional
            Prefix of the names in the source; by default the name of the file.
            ``NAME_predict(x, out)`` computes the outputs for one row.
        training : bool, default False
            Whether to write ``NAME_step(weights, x, target, learning_rate)``, too. It makes one
            step of stochastic gradient descent on one row, which changes the caller's weights.

        Raises
        ------
        ValueError
            If `name` is not a C identifier, is "fastnn", the prefix of the names in fastnn.h, or
            gives two functions the same name; if `path` is a model file or cannot be included in C;
            if a Standardize layer has seen no data; if a recipe for a table does not fit the
            network; or if `training` is True and the network has dropout, penalties, frozen layers
            or an Ensemble.
        OSError
            If a file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> from fastnn import MLP, Dense
        >>> net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.to_c(f"{folder}/price.c")
        ...     sorted(os.listdir(folder))
        ['price.c', 'price.h']
        """
        from fastnn.exchange import c_source  # rarely needed

        c_source.to_c(self, path, name=name, training=training)

    def __repr__(self) -> str:
        sizes = "-".join(str(units) for units in [self.n_in, *(d.units for d in self.dense)])
        return f"<MLP {sizes}, {self.loss.name}, {self.optimizer.name}, {self.dtype_policy}>"

    def _repr_html_(self) -> str:
        return inspection.html(self)

    def copy(self, *, dtype: DTypeLike | None = None, n_threads: int | None = None) -> Self:
        """Return an independent copy: weights, moments, step, random state, classes, metadata.

        Parameters
        ----------
        dtype : {"float32", "float64", "mixed_bfloat16"}, optional
            Precision of the copy; by default the same.
        n_threads : int, optional
            Number of threads of the copy; by default the same. Results do not depend on it.

        Returns
        -------
        MLP

        Raises
        ------
        TypeError, ValueError
            If an argument is not one of these values, or a weight, a moment or an average is too
            large for `dtype`.
        RuntimeError
            If another thread is training the network.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> net.copy(dtype="float64", n_threads=1).dtype
        dtype('float64')
        """
        policy = None if dtype is None else _checks.policy(dtype)
        n_threads = _checks.n_threads(n_threads, None)
        twin = object.__new__(type(self))
        twin.__setstate__(self._others())
        twin._hold(self._state.copy(policy, n_threads))
        return twin

    def __copy__(self) -> Self:
        return self.copy()

    def _others(self) -> dict[str, Any]:
        """Return the attributes that a user or a subclass has added."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_state", "_network")}

    def __getstate__(self) -> dict[str, Any]:
        return {**self._others(), "_state": self._state}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        for name, value in saved.items():
            setattr(self, name, value)
        if "_state" in saved:
            self._hold(saved["_state"])


_checks.foreign_attributes(MLP)


def load(
    path: Path,
    *,
    loss: Callable[..., Any] | CustomLoss | None = None,
    n_threads: int | None = None,
) -> MLP:
    """Read a network from a file that `MLP.save` or `ModelCheckpoint` wrote.

    Nothing in the file is executed. Training the network further gives the same bits as training
    the saved network further.

    Parameters
    ----------
    path : str or path
    loss : callable, optional
        The loss function of a network with a `CustomLoss`, since a file holds only its name.
        Without the function, such a network can predict but not train.
    n_threads : int, optional
        Number of threads of the network; by default that of the saved one.

    Returns
    -------
    MLP

    Raises
    ------
    TypeError, ValueError
        If `loss` is not a function, the loss in the file isn't a `CustomLoss`, or `n_threads` is
        not a number of threads.
    ModelFileError
        If the file was not written by `MLP.save` or `ModelCheckpoint`, or is damaged.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile, fastnn
    >>> from fastnn import MLP, Dense
    >>> net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")
    ...     twin = fastnn.load(f"{folder}/net.safetensors")
    >>> twin
    <MLP 2-3-1, squared_error, adam, float32>
    """
    return MLP._of(model_files.load(path, loss, _checks.n_threads(n_threads, None)))
