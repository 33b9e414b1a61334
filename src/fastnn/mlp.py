"""MLP: the network that a user builds, trains and asks for predictions.

Here: what follows from its arguments. Not here: checks of these (_checks), the loop over epochs
(training.py), files (serialization.py), arithmetic (the kernels), specifications of layers, losses
and optimizers.
"""

import copy
import dataclasses
import json

import numpy as np

from fastnn import (
    _checks,
    _cpu,
    data,
    initializers,
    inspection,
    losses,
    optimizers,
    serialization,
    training,
)
from fastnn import layers as layer_kinds
from fastnn import metrics as metric_kinds
from fastnn.callbacks import Callback
from fastnn.layers import Dense, Dropout, Standardize
from fastnn.schedules import Adaptive, Schedule


class MLP:
    """A feed-forward neural network (multi-layer perceptron).

    Parameters
    ----------
    n_in : int
        Number of inputs, the columns of ``X``.
    layers : list of Dense, Dropout and Standardize
        From the first hidden layer to the output layer; a Dropout acts on what comes before it, a
        Standardize comes first.
    loss : str or Loss
        ``"squared_error"``, ``"absolute_error"``, ``"huber"``, ``"quantile"``, ``"poisson"``,
        ``"binary_cross_entropy"`` or ``"cross_entropy"``, or an object such as ``Huber(2.0)``.
        Cross-entropy goes with a softmax output, binary cross-entropy with sigmoid, poisson with
        exp or softplus, the others with any.
    optimizer : str or Optimizer
        ``"sgd"``, ``"adagrad"``, ``"rmsprop"``, ``"adam"`` or ``"adamw"`` with their defaults, or
        an object such as ``Adam(learning_rate=1e-4)``.
    reduction : {"mean", "sum"}, default "mean"
        A batch's loss is the mean of its rows' losses (over their sample weights), or their sum.
    scale_penalties : bool, default False
        Whether that mean divides the layers' penalties, too, as in scikit-learn: by the batch's
        rows, or by the sum of their weights. Otherwise they are added to it as they are, as in
        Keras.
    dtype : {"float32", "float64"}, default "float32"
        Precision of weights and arithmetic.
    seed : int, optional
        Of the initial weights, the order of rows and the dropout masks; the same seed gives the
        same bits on one version and instruction set, whatever the number of threads. By default
        drawn from the system.
    n_threads : int, optional
        Threads to train and predict with; by default the CPUs this process may use. Small networks
        stay on one thread, which is faster for them.

    Attributes
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    dense : list of Dense
        The layers with weights.
    dropout_rates : list of float
        For each of them, the rate at which its input is dropped in training.
    loss, optimizer, reduction, scale_penalties, dtype, n_threads
        As given or by default, names turned into objects.
    learning_rate : float
        The rate of the next update; may be set, to a number or a Schedule.
    step, epoch : int
        Numbers of updates and of whole epochs made so far.
    standardization : (mean, scale) or None
        Of a Standardize layer that has seen data: float64 arrays of shape (n_in,).
    feature_names : tuple of str or None
        Columns of the data frame that `fit` saw first. Data frames after it must have the same
        ones, in this order; arrays are taken as they are. May be set, to None for any columns.
    metadata : dict
        Anything to be kept with the network, such as the names of classes: what JSON knows. It is
        saved and loaded with it, and copied.
    stop_training : bool
        Set it in a callback to end `fit` after the epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the loss doesn't go with the output's activation.

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

    #: What the kernels are bound to: another value needs another network.
    _BUILT_WITH = ("n_in", "n_out", "layers", "dense", "loss", "optimizer", "reduction", "dtype",
                   "scale_penalties")  # fmt: skip

    def __init__(
        self,
        n_in,
        layers,
        *,
        loss,
        optimizer,
        reduction="mean",
        scale_penalties=False,
        dtype="float32",
        seed=None,
        n_threads=None,
    ):
        self._set_up(
            n_in, layers, loss, optimizer, reduction, scale_penalties, dtype, seed, n_threads
        )
        self._draw_weights(np.random.default_rng(self._streams()[0]))

    def _set_up(
        self, n_in, layers, loss, optimizer, reduction, scale_penalties, dtype, seed, n_threads
    ):
        """Everything but initial weights, which a network from a file needs not."""
        self.n_in = _checks.integer("n_in", n_in, low=1, high=2**31 - 1)
        self.layers, self.dense, self.dropout_rates = _checks.layers(
            layers, Dense, Dropout, Standardize
        )
        self.n_out = self.dense[-1].units
        self.loss = losses.get(_checks.specification("loss", loss, losses.Loss, losses.NAMES))
        self.optimizer = optimizers.get(
            _checks.specification("optimizer", optimizer, optimizers.Optimizer, optimizers.NAMES)
        )
        self.reduction = _checks.choice("reduction", reduction, ("mean", "sum"))
        self.scale_penalties = _checks.flag("scale_penalties", scale_penalties)
        self.dtype = _checks.dtype(dtype)
        self._n_threads = _checks.n_threads(n_threads, None)
        _checks.pair(self.loss, self.dense[-1].activation, self.n_out)
        self.stop_training = False
        self._fit = None  # the one in progress
        self.standardization = self.feature_names = None
        self.metadata = {}
        self.seed = _checks.seed(seed)
        self._entropy = np.random.SeedSequence(self.seed).entropy
        _, shuffling, dropping = self._streams()
        self._shuffler = np.random.default_rng(shuffling)
        self.dropout_seed = int(dropping.generate_state(1, np.uint64)[0])
        schedule = self.optimizer.schedule
        self._adapted = schedule.start() if isinstance(schedule, Adaptive) else None
        self._network = self._bind()

    def __setattr__(self, name, value):
        # Not by __dict__, which would make every look at an attribute slower from then on.
        _checks.settable(name, name in self._BUILT_WITH and hasattr(self, "_network"))
        super().__setattr__(name, value)

    def _streams(self):
        """Return the seeds of initial weights, order of rows and dropout masks."""
        return np.random.SeedSequence(self._entropy).spawn(3)

    @property
    def n_threads(self):
        """Number of threads to train and predict with."""
        return self._default_threads if self._n_threads is None else self._n_threads

    # ---- building -------------------------------------------------------------------------------

    def _bind(self):
        """Return the kernels' network for these specifications, its moments at their start."""
        # Asked anew here, since a pickle may have come from another machine.
        self._default_threads = _cpu.available_threads()
        network = _checks.KERNELS[self.dtype].Network(
            self.n_in,
            layer_kinds.stages(self.layers),
            loss=self.loss.name,
            loss_parameter=self.loss.parameter(self.n_out),
            targets=(self.loss.takes.are_classes, self.loss.takes.low, self.loss.takes.high),
            mean=self.reduction == "mean",
            optimizer=self.optimizer.rule,
            hyper=self.optimizer.numbers(),
            clip=self.optimizer.clip,
            seed=self.dropout_seed,
            n_threads=self.n_threads,
            scale_penalties=self.scale_penalties,
            average=self.optimizer.ema_momentum if self.optimizer.use_ema else None,
            isa=_cpu.ISA,
        )
        if network.n_moments > 0:
            network.fill_moment(1, self.optimizer.initial_moment)
        self._set_rate(network)
        if self.standardization is not None:
            self._set_standardization(network)
        return network

    @property
    def _standardizes(self):
        return any(isinstance(layer, Standardize) for layer in self.layers)

    def _set_rate(self, network):
        """Tell the kernels the learning rate or its schedule."""
        rate, schedule = self.optimizer.initial_rate, self.optimizer.schedule
        kernel = schedule.kernel() if schedule else None
        if self._adapted is not None:
            kernel["parameters"] = [self._adapted["rate"]]
        network.set_rate(rate, kernel)

    def _adapt(self, loss):
        """Let an Adaptive schedule hear of an epoch's loss."""
        self._adapted = self.optimizer.schedule.after_epoch(self._adapted, loss)
        self._set_rate(self._network)

    def _set_standardization(self, network):
        mean, scale = self.standardization
        network.standardize(mean, 1 / scale)

    def _draw_weights(self, rng):
        """Draw initial weights; biases are 0 as they are."""
        shapes = (shape for shape in self._shapes() if len(shape) == 2)
        for i, (layer, shape) in enumerate(zip(self.dense, shapes, strict=True)):
            for row, weights in initializers.draw(layer.initializer, rng, shape):
                weights = np.ascontiguousarray(weights, self.dtype)
                self._network.write_rows(i, row, weights)

    def _shapes(self):
        """Return the shapes of `get_weights`."""
        shapes, k = [], self.n_in
        for layer in self.dense:
            shapes.append((k, layer.units))
            if layer.use_bias:
                shapes.append((layer.units,))
            k = layer.units
        return shapes

    # ---- training -------------------------------------------------------------------------------

    def _checked(self, X, y, sample_weight, where=""):
        """Return X, T, labels, weights as the kernels take them."""
        X = self._matrix(f"{where}X", X)
        self._require_standardization()
        return (X, *self._checked_targets(len(X), y, sample_weight, where))

    def _matrix(self, name, X):
        """Return rows of inputs as the kernels take them."""
        _checks.same_columns(name, X, self.feature_names)
        return _checks.matrix(name, X, self.n_in, self.dtype)

    def _large(self, name, X):
        """Return a source of rows, checked but for their values, that are converted when used."""
        _checks.rows_of_numbers(name, X, self.n_in)
        return data.ConvertedRows(X, None, None, None, None, self.dtype, name)

    def _checked_targets(self, n, y, sample_weight, where=""):
        """Return T, labels, weights for n rows."""
        rows_of = f"{where}X"
        T, labels = _checks.targets(f"{where}y", y, self.loss, n, self.n_out, self.dtype, rows_of)
        name = f"{where}sample_weight"
        return T, labels, _checks.sample_weight(name, sample_weight, n, self.dtype, rows_of)

    def _require_standardization(self):
        _checks.adapted(not self._standardizes or self.standardization is not None)

    def _source(self, X, y, sample_weight, where=""):
        """Return rows, checked, as a source; large ones are converted when they are used."""
        name = f"{where}X"
        if data.is_large(X, self.dtype):
            rows = self._large(name, X)
            T, labels, weights = self._checked_targets(rows.n, y, sample_weight, where)
            return dataclasses.replace(
                rows, T=T, labels=labels, weights=weights, sample_weight=weights
            )
        X = self._matrix(name, X)
        targets = self._checked_targets(len(X), y, sample_weight, where)
        return data.Rows(X, *targets, targets[-1])

    def _batches(self, iterable, steps, class_weight):
        """Return a source of the batches of an iterable."""

        def check(i, item):
            where = f"batch {i} "
            X, y, weights = _checks.batch(f"batch {i}", item)
            X, T, labels, weights = self._checked(X, y, weights, where)
            return self._weighed(data.Rows(X, T, labels, weights, weights), class_weight)

        return data.Batches(iterable, steps, check)

    def _weighed(self, source, class_weight):
        """Return the source, its rows weighing what class weights say, too."""
        if class_weight is None:
            return source
        weights = _checks.class_weights(
            class_weight, source.T, source.labels, source.weights, self.dtype
        )
        return dataclasses.replace(source, weights=weights)

    def fit(
        self,
        X,
        y=None,
        *,
        batch_size=32,
        epochs=1,
        shuffle=True,
        sample_weight=None,
        class_weight=None,
        validation_data=None,
        validation_split=0.0,
        metrics=(),
        callbacks=(),
        steps_per_epoch=None,
        resume=None,
        verbose=0,
        n_threads=None,
    ):
        """Train for a number of epochs: passes over the rows in batches, an update each.

        Parameters
        ----------
        X : array-like of shape (n, n_in), or iterable of (X, y) or (X, y, sample_weight)
            Inputs: anything numpy can read as numbers (arrays, lists, data frames, tensors with
            DLPack) or SciPy's sparse rows (CSR), converted once to the network's dtype. Large
            arrays (32 MB and more, converted) that are sparse or of a narrower type, such as uint8
            or float16, and files mapped by numpy.memmap are converted a few batches at a time, on a
            thread of their own, while the batches before are trained on; memory doesn't grow with
            them. So are the batches of an iterable, which is gone through anew each epoch.
        y : array-like of shape (n,) or (n, n_out)
            Targets. For cross-entropy class labels 0, 1, ... or one-hot (or probability) rows.
            Without y, X is an iterable.
        batch_size : int or None, default 32
            Rows in each update: 1 is on-line learning, None the full batch. An iterable's batches
            are as they come.
        epochs : int, default 1
        shuffle : bool or numpy Generator or RandomState, default True
            Whether each epoch takes the rows in a new random order: drawn by the network, or by the
            generator given (anything whose ``permutation(n)`` returns n numbers of rows).
        sample_weight : array-like of shape (n,), optional
            Weights of the rows' losses, 0 or more.
        class_weight : dict of int to float, or "balanced", optional
            What the rows of each class (of a label, or of a target of 0 or 1) weigh in losses, of
            training and of validation; times sample_weight. Classes not in the dict weigh 1.
            "balanced" is ``n / (n_classes * count)`` of the training rows, as in scikit-learn.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch, as "val_loss".
        validation_split : float, default 0.0
            Instead: this fraction of the rows, the last ones, is for validation and not trained on.
            Shuffle sorted rows before.
        metrics : list of str, Metric or function, optional
            ``"accuracy"``, ``"top_k_accuracy"``, ``"roc_auc"``, ``"r2"``, ``"mae"``, ``"mse"``, an
            object such as ``TopKAccuracy(3)``, or a function ``f(y_true, y_pred)``; a dict gives
            them other names. In training of the outputs before each update, like the loss; with
            validation data also as "val_accuracy" ...
        callbacks : list of Callback
        steps_per_epoch : int, optional
            Batches of an iterable in an epoch; by default all. An iterator goes on in the next
            epoch where it stopped.
        resume : str or path, optional
            A checkpoint (`ModelCheckpoint`) of the same fit: it goes on behind its last whole epoch
            as though it had not been stopped, to the bit. If there is no such file yet, it begins.
        verbose : {0, 1} or bool, default 0
            1 prints a line an epoch: losses and samples per second.
        n_threads : int, optional
            Threads for this call, instead of the network's.

        Returns
        -------
        History
            ``history.history["loss"]``, metrics and, with validation data, ``["val_loss"]`` ...

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit, or `resume` a checkpoint of another network or fit; the network
            is then as it was. For rows that are converted while training goes on, it is as after
            its last whole update.
        FloatingPointError
            If the loss is no longer finite. The network has weights of shortly before, which gave
            a finite loss.
        RuntimeError
            If the network is being fitted already, in another thread or from a callback.
        ModelFileError
            If `resume` is no model file, or damaged.

        Notes
        -----
        Ctrl-C is seen between two updates: the network keeps those made. The same seed gives the
        same bits whether rows are in memory or converted on the way.
        """
        plan = training.Plan(
            metrics=metric_kinds.resolve(metrics, self.loss, self.n_out),
            batch_size=_checks.batch_size(batch_size),
            epochs=_checks.integer("epochs", epochs, low=0),
            shuffle=_checks.shuffle(shuffle),
            callbacks=_checks.callback_list(callbacks, Callback),
            verbose=_checks.verbosity(verbose),
            n_threads=_checks.n_threads(n_threads, self.n_threads),
        )
        _checks.trainable(self.dense)
        _checks.resumable(resume, plan.shuffle)
        split = _checks.validation_split(validation_split, validation_data)
        if y is None and _checks.are_batches(X):
            _checks.for_batches(sample_weight, split, class_weight)
            self._require_standardization()
            class_weight = _checks.class_weight(class_weight, self.loss, self.n_out)
            plan.source = self._batches(X, _checks.steps(steps_per_epoch), class_weight)
        else:
            _checks.no_steps(steps_per_epoch)
            source = self._source(X, y, sample_weight)
            source, plan.validation = data.divide(source, split) if split else (source, None)
            targets = source.T, source.labels
            class_weight = _checks.class_weight(class_weight, self.loss, self.n_out, *targets)
            plan.source = self._weighed(source, class_weight)
            plan.batch_size = min(plan.batch_size or source.n, source.n)
        if validation_data is not None:
            rows = _checks.validation_data(validation_data)
            plan.validation = self._source(*rows, where="validation ")
        if plan.validation is not None:
            plan.validation = self._weighed(plan.validation, class_weight)
        plan.check_targets()
        return self._run(training.Fit(self, plan), resume, _checks.column_names(X))

    def _run(self, fit, resume, names):
        """Run a fit, the only one of this network."""
        if self._fit is not None:
            raise RuntimeError("this network is being fitted already; wait, or fit a copy of it")
        kept = serialization.checkpoint(self, fit, resume)
        self._fit, self.stop_training = fit, False
        try:
            self._network.forget()
            if kept is not None:
                fit.set_state(kept.fit)
                self._take(kept)
            self.feature_names = self.feature_names or names
            if self._standardizes and self.standardization is None:
                self._adapt_to(fit.plan.source)
            return fit.run()
        finally:
            self._fit = None

    def adapt(self, X):
        """Let the Standardize layer learn mean and scale of each column from rows of inputs.

        `fit` does so by itself, from its rows, if that has not been done before.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
            As for `fit`; large files are read a part at a time.

        Raises
        ------
        TypeError, ValueError
            If X is unfit, or the network has no Standardize layer.
        """
        _checks.standardizes(self._standardizes)
        if data.is_large(X, self.dtype):
            source = self._large("X", X)
        else:
            source = data.Rows(self._matrix("X", X), None, None, None, None)
        self._adapt_to(source)

    def _adapt_to(self, source):
        self.standardization = data.mean_and_scale(source)
        self._set_standardization(self._network)

    def train_on_batch(self, X, y, sample_weight=None):
        """Make one update from these rows; return their loss before it.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; all rows are one batch.

        Returns
        -------
        float
            The loss of the batch, penalties included, with the weights from before the update.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit; the network is then as it was.
        FloatingPointError
            If the loss isn't finite; the network is then as it was. (L1 and L2 penalties that
            overflow, those of weights beyond 1e19 in float32, are seen after the update alone.)
        RuntimeError
            If the network is being trained in another thread.

        Notes
        -----
        Arrays that are just what the kernels read (exactly ndarray, the network's dtype,
        C-contiguous) are taken without conversion or allocation.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.train_on_batch([[2.0]], [5.0])
        4.5
        """
        try:
            if sample_weight is None:
                loss = self._network.try_step(X, y)
                if loss is not None:
                    return loss
            return self._step(*self._checked(X, y, sample_weight))
        except FloatingPointError as error:
            raise FloatingPointError(
                f"the loss became {error}, so no update was made; lower the learning rate (now "
                f"{self.learning_rate:g}), clip the gradients (such as clipnorm=1.0) or scale X "
                "and y"
            ) from None

    def _step(self, X, T, labels, weights):
        """Make an update of checked rows; return their loss."""
        n, tally = len(X), self._network.tally()
        self._network.train(X, T, labels, weights, None, n, self.n_threads, tally, 0, n)
        if tally.failure is not None:
            raise FloatingPointError(tally.failure)
        return tally.value

    def loss_and_gradients(self, X, y, sample_weight=None, *, training=False):
        """Return the loss of these rows and its gradients; nothing is updated.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; all rows are one batch.
        training : bool, default False
            Whether dropout acts, with the masks of the next update.

        Returns
        -------
        loss : float
            Penalties included.
        gradients : list of ndarray
            ``[dW0, db0, dW1, ...]``, in the order and shapes of `get_weights`.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0]], [0.0]])
        >>> net.loss_and_gradients([[2.0]], [5.0])
        (4.5, [array([[-6.]], dtype=float32), array([-3.], dtype=float32)])
        """
        X, T, labels, weights = self._checked(X, y, sample_weight)
        training = _checks.flag("training", training)
        return self._network.gradients(X, T, labels, weights, training, self.n_threads)

    # ---- using ----------------------------------------------------------------------------------

    def predict(self, X, out=None):
        """Return the outputs for rows of inputs.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        out : ndarray of shape (n, n_out), optional
            Where to write them: C-contiguous, of the network's dtype.

        Returns
        -------
        ndarray of shape (n, n_out)
            `out` where it was given. A row's outputs don't depend on the rows beside it.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit.

        Notes
        -----
        With `out`, and X just what the kernels read (exactly ndarray, the network's dtype,
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
        if outputs is not None:
            return outputs
        self._require_standardization()
        return self._predict_some(X, out) if data.is_large(X, self.dtype) else self._predict(X, out)

    def _predict(self, X, out):
        """Predict rows that are converted together."""
        X = self._matrix("X", X)
        shape = (len(X), self.n_out)
        if out is None:
            out = np.empty(shape, self.dtype)
        else:
            _checks.output(out, shape, self.dtype, X)
        self._network.predict(X, out, self.n_threads)
        return out

    def _predict_some(self, X, out):
        """Predict rows that are converted a block at a time."""
        source = self._large("X", X)
        shape, done = (source.n, self.n_out), 0
        out = np.empty(shape, self.dtype) if out is None else out
        _checks.output(out, shape, self.dtype, X)
        for block in source.blocks(None, training.EVALUATION_ROWS):
            part = out[done : done + block.n]
            self._network.predict(block.X, part, self.n_threads)
            done += block.n
        return out

    def evaluate(self, X, y, sample_weight=None, *, metrics=()):
        """Return the loss of rows: reduced as in training, penalties included, without dropout.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        metrics : list of str, Metric or function, optional
            As for `fit`.

        Returns
        -------
        float, or dict of str to float
            With metrics a dict of "loss" and these.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit.

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
        source = self._source(X, y, sample_weight)
        self._require_standardization()
        for metric in resolved.values():
            metric.check_targets("y", source.T)
        found = training.evaluate(self, source, resolved, self.n_threads)
        return found if resolved else found["loss"]

    # ---- looking into it ------------------------------------------------------------------------

    def activations(self, X):
        """Return what every layer makes of rows of inputs.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        list of ndarray of shape (n, units)
            ``z = h(z_prev @ W + b)`` of each Dense, hidden layers first. The last is the
            prediction, to rounding. Dropout doesn't act.

        Raises
        ------
        TypeError, ValueError
            If X is unfit.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(2, "relu"), Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.set_weights([[[1.0, -1.0]], [0.0, 0.0], [[1.0], [1.0]], [0.5]])
        >>> net.activations([[-3.0]])
        [array([[0., 3.]], dtype=float32), array([[3.5]], dtype=float32)]
        """
        return inspection.activations(self, X)

    def jacobian(self, X):
        """Return the derivative of every output with respect to every input, for each row.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        ndarray of shape (n, n_out, n_in)
            ``dy_k/dx_i`` of the prediction y, its activation included (softmax, too). Dropout
            doesn't act. On a kink (of relu, say) the left derivative holds, as in training.

        Raises
        ------
        TypeError, ValueError
            If X is unfit.

        Notes
        -----
        By back-propagation, a pass for each output (Bishop, Pattern Recognition and Machine
        Learning, 2006, section 5.3.4): ``dy_k/dx = delta @ W.T`` of the first layer, from
        ``delta_j = dy_k/da_j`` at the output.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(2, [Dense(1, "exp")], loss="poisson", optimizer="sgd")
        >>> net.set_weights([[[1.0], [-2.0]], [0.0]])
        >>> net.jacobian([[0.0, 0.0]])
        array([[[ 1., -2.]]], dtype=float32)
        """
        return inspection.jacobian(self, X)

    def input_gradients(self, X, output=None):
        """Return the gradient of one output with respect to the inputs, for each row.

        What saliency maps show: where its magnitude is large, a small change of the input changes
        the output most (Simonyan et al., Deep Inside Convolutional Networks, ICLR workshop 2014).

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        output : int, optional
            Index of the output, from 0; by default each row's largest.

        Returns
        -------
        ndarray of shape (n, n_in)
            ``dy_k/dx_i``, as in `jacobian`: after the output's activation. Behind softmax or
            sigmoid that is near 0 where the network is sure.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit.

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

    def summary(self, batch_size=32):
        """Print a table of the layers, with what they cost in arithmetic and memory.

        Parameters
        ----------
        batch_size : int, default 32
            Rows of the training step whose activations are counted.

        Raises
        ------
        TypeError, ValueError
            If batch_size is unfit.

        Notes
        -----
        Operations are those of the matrix products, a multiplication and an addition each: ``2 k
        m`` forward for a Dense of k inputs and m units; in a training step as many again for its
        gradient and, above the first Dense, for the delta beneath it.

        Memory is what the numbers take (1 KB = 1024 bytes), without padding and scratch.
        Activations are the inputs, and z and delta of every layer, of at most 1024 rows: larger
        batches are worked through in rounds, whose gradients are added up in memory as large as the
        weights.

        Examples
        --------
        >>> from fastnn import MLP, Dense, Dropout
        >>> net = MLP(64, [Dense(128, "relu"), Dropout(0.1), Dense(10, "softmax")],
        ...           loss="cross_entropy", optimizer="adam")
        >>> net.summary()
        layer              output  parameters  flops a row
        --------------------------------------------------
        input                  64
        Dense relu            128       8,320       16,384
        Dropout 0.1           128
        Dense softmax          10       1,290        2,560
        --------------------------------------------------
        9,610 parameters, float32, cross_entropy, adam
        flops a row: 18,944 forward, 40,448 in a training step
        memory: weights 37.5 KB, optimizer state 75.1 KB, activations 42.5 KB (batch of 32)
        """
        print(inspection.summary(self, batch_size))

    # ---- weights and state ----------------------------------------------------------------------

    @property
    def step(self):
        """Number of updates made so far."""
        return self._network.step

    @property
    def epoch(self):
        """Number of whole epochs made so far."""
        return self._network.epoch

    @property
    def learning_rate(self):
        """The learning rate of the next update."""
        return self._network.rate

    @learning_rate.setter
    def learning_rate(self, value):
        rule = dataclasses.replace(
            self.optimizer, learning_rate=_checks.learning_rate(value, Schedule)
        )
        adapted = value.start() if isinstance(value, Adaptive) else None
        before = self.optimizer, self._adapted
        self._change_rule(rule, adapted)
        try:
            self._set_rate(self._network)
        except RuntimeError:  # amid a step of another thread
            self._change_rule(*before)
            raise

    def _change_rule(self, optimizer, adapted):
        """Keep another optimizer of the same kind, and where its Adaptive schedule is."""
        super().__setattr__("optimizer", optimizer)
        self._adapted = adapted

    @property
    def n_parameters(self):
        """Number of weights and biases."""
        return self._network.n_parameters

    @property
    def c_model(self):
        """This network for C and Cython: a capsule "fastnn.model", see `fastnn.h`.

        It is the network itself, not a copy, and keeps it alive.
        """
        return self._network.c_model()

    def get_weights(self):
        """Return copies of the weights and biases.

        Returns
        -------
        list of ndarray
            ``[W0, b0, W1, b1, ...]``: W of shape (n_in, n_out) of its layer, b (n_out,); a layer
            without bias has no entry for it.
        """
        return self._network.read()

    def set_weights(self, weights):
        """Set the weights and biases; the optimizer's moments and step stay as they are.

        Parameters
        ----------
        weights : list of array-like
            As `get_weights` returns them.

        Raises
        ------
        TypeError, ValueError
            If number, shapes or values are unfit; the network is then as it was.
        RuntimeError
            If the network is being trained in another thread.
        """
        self._network.write(_checks.weights(weights, self._shapes(), self.dtype))

    def get_ema_weights(self):
        """Return copies of the weights' moving averages, in the order of `get_weights`.

        Of a network whose optimizer has ``use_ema=True``; before the first update, and for frozen
        layers, the weights themselves.

        Returns
        -------
        list of ndarray

        Raises
        ------
        ValueError
            If the optimizer keeps no average.
        """
        _checks.averages(self.optimizer)
        weights = self.get_weights()
        if self.step == 0:
            return weights
        averages = iter(zip(weights, self._network.read(self._network.n_blocks - 1), strict=True))
        pairs = [(layer, next(averages)) for layer in self.dense for _ in range(1 + layer.use_bias)]
        return [average if layer.trainable else w for layer, (w, average) in pairs]

    def averaged(self):
        """Return a copy of the network that has the moving averages of its weights as weights.

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

    # ---- architecture and files -----------------------------------------------------------------

    def get_config(self):
        """Return the architecture and everything else the network was built with, as plain data.

        Returns
        -------
        dict
            Of what JSON knows; `from_config` builds a network of it, with weights of its own.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> net.get_config()["loss"]
        {'name': 'squared_error'}
        """
        return serialization.config_of(self)

    @classmethod
    def from_config(cls, config):
        """Build a network as `get_config` describes it, with new initial weights.

        Parameters
        ----------
        config : dict

        Returns
        -------
        MLP

        Raises
        ------
        TypeError, ValueError
            If something in it is unknown, missing or out of its range.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
        >>> MLP.from_config(net.get_config())
        <MLP 3-1, squared_error, sgd, float32>
        """
        return cls(**serialization.arguments_of(config))

    def to_json(self, indent=None):
        """Return `get_config` as JSON text."""
        return json.dumps(self.get_config(), indent=indent)

    @classmethod
    def from_json(cls, text):
        """Build a network from the JSON text of `to_json`, with new initial weights."""
        return cls.from_config(_checks.json_object("text", text))

    def save(self, path):
        """Write the network to a file: architecture, weights, optimizer and random state.

        The file is a safetensors file; `fastnn.load` reads it, and training goes on with the same
        bits. It is written beside its place and moved there once it is whole, so that there is
        always either the old file or the new one; a process killed meanwhile leaves a ``.*.tmp``.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        OSError
            If it cannot be written; an old file is then as it was.

        Examples
        --------
        >>> net.save("net.safetensors")  # doctest: +SKIP
        >>> net = fastnn.load("net.safetensors")  # doctest: +SKIP
        """
        serialization.save(self, path)

    def to_c(self, path, *, name=None, training=False):
        """Write the network as C source: a file and a header, with the weights in them.

        It is C99 that needs no library, allocates nothing and may be called by any number of
        threads. Compiled with ``-O3 -march=native`` it predicts a row as fast as fastnn does; the
        outputs agree to rounding. With GCC and Clang it uses their vectors, with other compilers
        plain loops.

        Parameters
        ----------
        path : str or path
            The C file, ending with ".c"; the header beside it has the same name.
        name : str, optional
            What the names in it begin with; by default the file's name. ``NAME_predict(x, out)``
            computes the outputs for one row.
        training : bool, default False
            Whether to write ``NAME_step(weights, x, target, learning_rate)``, too: one step of
            stochastic gradient descent on one row, with weights of the caller's.

        Raises
        ------
        ValueError
            If `name` is no identifier of C, a Standardize layer has seen no data, or the network
            is to be trained and has dropout, penalties or frozen layers.
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

    def __repr__(self):
        sizes = "-".join(str(units) for units in [self.n_in, *(d.units for d in self.dense)])
        return f"<MLP {sizes}, {self.loss.name}, {self.optimizer.name}, {self.dtype}>"

    def copy(self, *, dtype=None):
        """Return an independent copy: weights, moments, step and random state.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            Precision of the copy; by default the same.

        Returns
        -------
        MLP

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> net.copy(dtype="float64").dtype
        dtype('float64')
        """
        state, blocks, counts = self.__getstate__()
        if dtype is not None:
            state["dtype"] = _checks.dtype(dtype)
        blocks = [[array.astype(state["dtype"]) for array in block] for block in blocks]
        twin = object.__new__(type(self))
        twin.__setstate__((state, blocks, counts))
        return twin

    def __copy__(self):
        return self.copy()

    def __getstate__(self):
        state = self.__dict__.copy()
        network = state.pop("_network")
        state.update(_fit=None, stop_training=False, _shuffler=copy.deepcopy(self._shuffler),
                     metadata=copy.deepcopy(self.metadata))  # fmt: skip
        blocks = [network.read(block) for block in range(network.n_blocks)]
        return state, blocks, (network.step, network.epoch)

    def __setstate__(self, saved):
        state, blocks, counts = saved
        self.__dict__.update(state)
        self._network = self._bind()
        for block, arrays in enumerate(blocks):
            self._network.write(arrays, block)
        self._network.step, self._network.epoch = counts

    def _take(self, saved):
        """Take the state that serialization has read from a file of such a network."""
        self._change_rule(saved.optimizer, saved.adapted)
        self.dropout_seed, self.standardization = saved.dropout_seed, saved.standardization
        self.feature_names = saved.feature_names
        self._shuffler.bit_generator.state = saved.shuffler
        self._network.dropout_seed = self.dropout_seed
        self._set_rate(self._network)
        if self.standardization is not None:
            self._set_standardization(self._network)
        for block, arrays in enumerate(saved.blocks):
            self._network.write(arrays, block)
        self._network.step, self._network.epoch = saved.step, saved.epoch
