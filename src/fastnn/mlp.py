"""MLP: the network that a user builds, trains and asks for predictions.

Here: what follows from its arguments, and the loop over epochs. Not here: checks of arguments
(_checks.py), arithmetic (the kernels), specifications of layers, losses and optimizers.
"""

import copy
import time
import warnings

import numpy as np

from fastnn import _checks, _cpu, initializers, losses, optimizers
from fastnn.callbacks import Callback, History
from fastnn.layers import Dense, Dropout


class MLP:
    """A feed-forward neural network (multi-layer perceptron).

    Parameters
    ----------
    n_in : int
        Number of inputs, the columns of ``X``.
    layers : list of Dense and Dropout
        From the first hidden layer to the output layer; a Dropout acts on what comes before it.
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
    loss, optimizer, reduction, dtype, n_threads
        As given or by default, names turned into objects.
    step : int
        Number of updates made so far.
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

    def __init__(
        self,
        n_in,
        layers,
        *,
        loss,
        optimizer,
        reduction="mean",
        dtype="float32",
        seed=None,
        n_threads=None,
    ):
        self.n_in = _checks.integer("n_in", n_in, low=1, high=2**31 - 1)
        self.dense, self.dropout_rates = _checks.layers(layers, Dense, Dropout)
        self.n_out = self.dense[-1].units
        self.loss = losses.get(_checks.specification("loss", loss, losses.Loss, losses.NAMES))
        self.optimizer = optimizers.get(
            _checks.specification("optimizer", optimizer, optimizers.Optimizer, optimizers.NAMES)
        )
        self.reduction = _checks.choice("reduction", reduction, ("mean", "sum"))
        self.dtype = _checks.dtype(dtype)
        self._n_threads = _checks.n_threads(n_threads, None)
        _checks.pair(self.loss, self.dense[-1].activation, self.n_out)
        self.stop_training = False
        self._fitting = False
        streams = np.random.SeedSequence(_checks.seed(seed)).spawn(3)
        self._shuffler = np.random.default_rng(streams[1])
        self.dropout_seed = int(streams[2].generate_state(1, np.uint64)[0])
        self._network = self._bind()
        self._network.write(self._draw_weights(np.random.default_rng(streams[0])))

    @property
    def n_threads(self):
        """Number of threads to train and predict with."""
        return self._default_threads if self._n_threads is None else self._n_threads

    # ---- building -------------------------------------------------------------------------------

    def _bind(self):
        """Return the kernels' network for these specifications, its moments at their start."""
        # Asked anew here, since a pickle may have come from another machine.
        self._default_threads = _cpu.available_threads()
        layers = [
            {
                "units": layer.units,
                "activation": layer.activation.name,
                "alpha": layer.activation.alpha or 0.0,
                "use_bias": layer.use_bias,
                "l1": layer.l1,
                "l2": layer.l2,
                "dropout": rate,
            }
            for layer, rate in zip(self.dense, self.dropout_rates, strict=True)
        ]
        network = _checks.KERNELS[self.dtype].Network(
            self.n_in,
            layers,
            loss=self.loss.name,
            loss_parameter=self.loss.parameter(self.n_out),
            targets=self.loss.targets,
            mean=self.reduction == "mean",
            optimizer=self.optimizer.rule,
            hyper=vars(self.optimizer),
            seed=self.dropout_seed,
            n_threads=self.n_threads,
            isa=_cpu.ISA,
        )
        if network.n_blocks > 1:
            network.fill_moment(1, self.optimizer.initial_moment)
        return network

    def _draw_weights(self, rng):
        """Yield initial weights and biases, in the order of `get_weights`; none is kept here."""
        k = self.n_in
        for layer in self.dense:
            shape = (k, layer.units)
            yield np.ascontiguousarray(initializers.draw(layer.initializer, rng, shape), self.dtype)
            if layer.use_bias:
                yield np.zeros(layer.units, self.dtype)
            k = layer.units

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
        X = _checks.matrix(f"{where}X", X, self.n_in, self.dtype)
        n, rows_of = len(X), f"{where}X"
        T, labels = _checks.targets(f"{where}y", y, self.loss, n, self.n_out, self.dtype, rows_of)
        name = f"{where}sample_weight"
        weights = _checks.sample_weight(name, sample_weight, n, self.dtype, rows_of)
        return X, T, labels, weights

    def fit(
        self,
        X,
        y,
        *,
        batch_size=32,
        epochs=1,
        shuffle=True,
        sample_weight=None,
        validation_data=None,
        callbacks=(),
        verbose=0,
        n_threads=None,
    ):
        """Train for a number of epochs: passes over the rows in batches, an update each.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
            Inputs: anything numpy can read as numbers; converted once to the network's dtype.
        y : array-like of shape (n,) or (n, n_out)
            Targets. For cross-entropy class labels 0, 1, ... or one-hot (or probability) rows.
        batch_size : int or None, default 32
            Rows in each update: 1 is on-line learning, None the full batch.
        epochs : int, default 1
        shuffle : bool, default True
            Whether each epoch takes the rows in a new random order.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows' losses, 0 or more.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch, as "val_loss".
        callbacks : list of Callback
        verbose : {0, 1} or bool, default 0
            1 prints a line an epoch: losses and samples per second.
        n_threads : int, optional
            Threads for this call, instead of the network's.

        Returns
        -------
        History
            ``history.history["loss"]`` and, with validation data, ``["val_loss"]``.

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit; the network is then as it was.
        RuntimeError
            If the network is being fitted already, in another thread or from a callback.

        Warns
        -----
        RuntimeWarning
            If the loss is no longer finite; training stops after that epoch.

        Notes
        -----
        Ctrl-C is seen between two updates: the network keeps those made.
        """
        X, T, labels, weights = self._checked(X, y, sample_weight)
        validation = None
        if validation_data is not None:
            validation = self._checked(*_checks.validation_data(validation_data), "validation ")
        n = len(X)
        batch = n if batch_size is None else _checks.integer("batch_size", batch_size, low=1)
        batch = min(batch, n)
        epochs = _checks.integer("epochs", epochs, low=0)
        shuffle = _checks.flag("shuffle", shuffle)
        verbose = _checks.verbosity(verbose)
        threads = _checks.n_threads(n_threads, self.n_threads)
        history = History()
        listeners = [*_checks.callbacks(callbacks, Callback), history]
        if self._fitting:
            raise RuntimeError("this network is being fitted already; wait, or fit a copy of it")
        self._fitting, self.stop_training = True, False
        try:
            self._notify(listeners, "on_train_begin")
            for epoch in range(epochs):
                self._notify(listeners, "on_epoch_begin", epoch)
                order = self._shuffler.permutation(n) if shuffle else None
                began = time.perf_counter()
                loss = self._network.train(X, T, labels, weights, order, batch, threads)
                rate = n / (time.perf_counter() - began)
                logs = {"loss": loss}
                if validation is not None:
                    logs["val_loss"] = self._network.evaluate(*validation, threads)
                self._notify(listeners, "on_epoch_end", epoch, logs)
                if verbose:
                    _print_epoch(epoch + 1, epochs, logs, rate)
                if not np.isfinite(loss):
                    self._warn_of_divergence(epoch + 1, loss)
                    break
                if self.stop_training:
                    break
            self._notify(listeners, "on_train_end")
        finally:
            self._fitting = False
        return history

    def _notify(self, listeners, hook, *args):
        """Call a hook of every listener; those without logs of their own get an empty dict."""
        if hook != "on_epoch_end":
            args = (*args, {})
        for listener in listeners:
            listener.model = self
            getattr(listener, hook)(*args)

    def _warn_of_divergence(self, epoch, loss):
        warnings.warn(
            f"the loss became {loss} in epoch {epoch}, so training stopped; lower the learning rate"
            f" (now {self.optimizer.learning_rate:g}) or scale X and y",
            RuntimeWarning,
            stacklevel=3,
        )

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
        if sample_weight is None:
            loss = self._network.try_step(X, y)
            if loss is not None:
                return loss
        X, T, labels, weights = self._checked(X, y, sample_weight)
        return self._network.train(X, T, labels, weights, None, len(X), self.n_threads)

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
        X = _checks.matrix("X", X, self.n_in, self.dtype)
        shape = (len(X), self.n_out)
        if out is None:
            out = np.empty(shape, self.dtype)
        else:
            _checks.output(out, shape, self.dtype, X)
        self._network.predict(X, out, self.n_threads)
        return out

    def evaluate(self, X, y, sample_weight=None):
        """Return the loss of rows: reduced as in training, penalties included, without dropout.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is unfit.
        """
        return self._network.evaluate(*self._checked(X, y, sample_weight), self.n_threads)

    # ---- weights and state ----------------------------------------------------------------------

    @property
    def step(self):
        """Number of updates made so far."""
        return self._network.step

    @property
    def n_parameters(self):
        """Number of weights and biases."""
        return self._network.n_parameters

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

    def summary(self):
        """Print the layers, their shapes and numbers of parameters.

        Examples
        --------
        >>> from fastnn import MLP, Dense, Dropout
        >>> net = MLP(64, [Dense(128, "relu"), Dropout(0.1), Dense(10, "softmax")],
        ...           loss="cross_entropy", optimizer="adam")
        >>> net.summary()
        layer              output  parameters
        -------------------------------------
        input                  64
        Dense relu            128       8,320
        Dropout 0.1           128
        Dense softmax          10       1,290
        -------------------------------------
        9,610 parameters, float32, cross_entropy, adam
        """
        rows, k = [("input", self.n_in, "")], self.n_in
        for layer, rate in zip(self.dense, self.dropout_rates, strict=True):
            if rate > 0:
                rows.append((f"Dropout {rate:g}", k, ""))
            count = (k + layer.use_bias) * layer.units
            rows.append((f"Dense {layer.activation}", layer.units, f"{count:,}"))
            k = layer.units
        width = max(15, *(len(name) for name, _, _ in rows))
        lines = [f"{name:<{width}}{units:>10,}{count:>12}".rstrip() for name, units, count in rows]
        rule = "-" * (width + 22)
        print(f"{'layer':<{width}}{'output':>10}{'parameters':>12}", rule, *lines, rule, sep="\n")
        names = f"{self.dtype}, {self.loss.name}, {self.optimizer.name}"
        print(f"{self.n_parameters:,} parameters, {names}")

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
        state, blocks, step = self.__getstate__()
        if dtype is not None:
            state["dtype"] = _checks.dtype(dtype)
        blocks = [[array.astype(state["dtype"]) for array in block] for block in blocks]
        twin = object.__new__(type(self))
        twin.__setstate__((state, blocks, step))
        return twin

    def __copy__(self):
        return self.copy()

    def __getstate__(self):
        state = self.__dict__.copy()
        network = state.pop("_network")
        state.update(_fitting=False, stop_training=False, _shuffler=copy.deepcopy(self._shuffler))
        blocks = [network.read(block) for block in range(network.n_blocks)]
        return state, blocks, network.step

    def __setstate__(self, saved):
        state, blocks, step = saved
        self.__dict__.update(state)
        self._network = self._bind()
        for block, arrays in enumerate(blocks):
            self._network.write(arrays, block)
        self._network.step = step


def _print_epoch(epoch, epochs, logs, rate):
    """Print an epoch's losses and its samples a second in training."""
    values = "  ".join(f"{name} {value:.6g}" for name, value in logs.items())
    count = f"{epoch:>{len(str(epochs))}}/{epochs}"
    print(f"epoch {count}  {values}  {rate:,.0f} samples/s", flush=True)
