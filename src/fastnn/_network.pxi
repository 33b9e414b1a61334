# Network, the object that Python holds, and the way in for arrays that can be taken as they are.
# Part of _kernels.pyx.

cdef bint is_tiny(n_in, list layers, const Net *net):
    """Whether tiny.c's step can train the network: it knows one panel a layer, and few features."""
    features = ("dropout", "l1", "l2", "frozen")
    return (max(n_in, *(layer["units"] for layer in layers)) <= PANEL
            and not any(layer[feature] for layer in layers for feature in features)
            and net.mean == NULL and net.clip == NO_CLIP and not net.averaged
            and (net.loss.activation != NULL or layers[len(layers) - 1]["activation"] != "softmax"))


CLIPS = {"clipvalue": BY_VALUE, "clipnorm": BY_NORM, "global_clipnorm": BY_GLOBAL_NORM}


cdef class Tally:
    """What the batches of an epoch came to, as far as it has been trained."""

    cdef bint mean
    cdef public double loss       # the sum of the batches' losses, times their rows' weight if
    cdef public double total      # they are means; and the weight of all their rows
    cdef public object failure    # the loss that wasn't finite, or None

    def __init__(self, Network network):
        self.mean = network.net.is_mean

    @property
    def value(self):
        """The rows' loss as the user asked for it."""
        if not self.mean:
            return self.loss
        return self.loss / self.total if self.total > 0 else 0.0


# ---- arrays that can be taken as they are -------------------------------------------------------

cdef Targets targets_of(str kind):
    cdef Targets targets
    targets.labels = kind == "class"
    targets.low = -INFINITY if kind == "real" else 0.0
    targets.high = 1.0 if kind == "probability" else INFINITY
    return targets


cdef inline bint is_plain(object value, int n_dimensions) noexcept:
    """Whether it's just an array of reals, which kernels can read: contiguous, aligned, native."""
    return (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == REAL_TYPE
            and cnp.PyArray_NDIM(value) == n_dimensions and cnp.PyArray_ISCARRAY_RO(value))


cdef inline bint is_plain_matrix(object value, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    return (is_plain(value, 2) and cnp.PyArray_DIM(value, 0) == rows
            and cnp.PyArray_DIM(value, 1) == columns)


cdef inline bint overlap(object a, object b) noexcept:
    """Whether two contiguous arrays share memory."""
    cdef const char *start_a = <const char *>cnp.PyArray_DATA(a)
    cdef const char *start_b = <const char *>cnp.PyArray_DATA(b)
    return (start_a < start_b + cnp.PyArray_NBYTES(b)
            and start_b < start_a + cnp.PyArray_NBYTES(a))


cdef class Network:
    """A network bound to its arena: weights, biases and moments, and the workspaces it trains in.

    `layers` is a list of dicts with the keys units, activation, alpha, use_bias, l1, l2, dropout,
    frozen; `hyper` has the optimizer's numbers; `average` is the momentum of a moving average of
    the weights, or None; `clip` names a way to clip gradients and its bound, or is None. Arguments
    are taken as checked.
    """

    cdef Net net
    cdef fastnn_model model       # for callers in C
    cdef readonly object n_in, units, n_parameters
    cdef Workspace training, inference
    cdef real *tiny_memory
    cdef bint inference_busy
    cdef double row_flops         # of a training step, for one row
    cdef int n_threads            # for the calls that don't say
    cdef real *kept               # weights that have given a finite loss, where `kept_step` >= 0
    cdef int64_t kept_step        # updates made until then
    cdef Py_ssize_t kept_rows     # rows trained since then
    cdef object pending           # what a signal's handler raised amid a step

    def __cinit__(self, n_in, list layers, *, str loss, loss_parameter, str targets, bint mean,
                  str optimizer, dict hyper, seed, int n_threads, bint scale_penalties=False,
                  bint standardized=False, average=None, clip=None, isa=None):
        cdef const fastnn_ops *ops = table(isa)
        cdef Net *net = &self.net
        self.n_in, self.units = n_in, [layer["units"] for layer in layers]
        self.n_threads, net.targets = n_threads, targets_of(targets)
        net.ops, net.n_layers, net.is_mean, net.seed = ops, len(layers), mean, seed
        self.model.precision, self.model.net = &PRECISION, net
        net.shares_penalty = scale_penalties
        net.loss = find_loss(ops, loss, layers[len(layers) - 1]["activation"])
        net.optimizer, net.hyper = find_optimizer(ops, optimizer), hyper_parameters(hyper)
        net.layers = <Layer *>calloc(net.n_layers, sizeof(Layer))
        if net.layers == NULL:
            raise MemoryError("cannot allocate the layers")
        self.kept_step = -1
        if clip is not None:
            net.clip, net.bound = <Clip><int>CLIPS[clip[0]], clip[1]
        if average is not None:
            net.averaged, net.momentum = True, average
        if standardized:
            net.mean = allocate(padded(n_in))
            net.inverse = allocate(padded(n_in))
            net.waits_for_data = True
        net.n_blocks = 1 + net.optimizer.n_moments + net.averaged
        self.place_layers(layers)
        if loss_parameter is not None:
            net.loss_parameter = allocate(panels_of(len(loss_parameter)) * PANEL)
            for i, value in enumerate(loss_parameter):
                net.loss_parameter[i] = value
        if is_tiny(self.n_in, layers, net):
            self.bind_tiny()

    def __dealloc__(self):
        free(self.net.layers)
        free(self.net.arena)
        free(self.net.loss_parameter)
        free(self.net.mean)
        free(self.net.inverse)
        free(self.kept)
        free(<void *>self.net.tiny.layers)
        free(self.tiny_memory)

    cdef int place_layers(self, list layers) except -1:
        """Sizes the arena, in Python's integers first, and points the layers into it."""
        cdef Net *net = &self.net
        cdef Layer *layer
        cdef Py_ssize_t l, at = 0
        inputs = [self.n_in, *self.units][:len(layers)]
        tiny = is_tiny(self.n_in, layers, net)
        shapes = [(n, k) if n <= NARROW and not tiny else (k, n)
                  for k, n in zip(inputs, self.units)]
        sizes = [rows * padded(columns) for rows, columns in shapes]
        block = sum(sizes) + sum(padded(n) for n in self.units)
        # A tile of slack: the leaves may read, not use, rows past the end of the last weights.
        net.arena = allocate(block * net.n_blocks + PANEL * PANEL)
        net.block = block
        self.n_parameters = 0
        net.on_line = net.clip == NO_CLIP
        net.lowest = net.n_layers - 1
        for l, spec in enumerate(layers):
            layer = &net.layers[l]
            layer.n_in, layer.n_out = inputs[l], self.units[l]
            layer.activation = find_activation(net.ops, spec["activation"])
            layer.linear = spec["activation"] == "identity"
            layer.alpha, layer.dropout = spec["alpha"], spec["dropout"]
            layer.l1, layer.l2, layer.frozen = spec["l1"], spec["l2"], spec["frozen"]
            if not layer.frozen:
                net.lowest = min(net.lowest, l)
            net.penalized = net.penalized or layer.l1 > 0 or layer.l2 > 0
            layer.narrow = shapes[l] != (layer.n_in, layer.n_out)
            # The rank-one product of single rows knows no penalties, nor z_prev's padding.
            if net.penalized or (layer.narrow and layer.n_in % PANEL):
                net.on_line = False
            layer.W = net.arena + at
            at += sizes[l]
            if spec["use_bias"]:
                layer.b = net.arena + at
            at += padded(layer.n_out)
            net.n_tiles += layer_tiles(layer)
            self.row_flops += 6.0 * layer.n_in * layer.n_out
            self.n_parameters += layer.n_in * layer.n_out + (layer.n_out if spec["use_bias"] else 0)
        return 0

    cdef int bind_tiny(self) except -1:
        """Describes the network, its layers' buffers a panel each, to the on-line path."""
        cdef Net *net = &self.net
        cdef Py_ssize_t l
        cdef real *buffer = allocate((1 + 3 * net.n_layers) * PANEL)
        cdef fastnn_tiny_layer *tiny
        tiny = <fastnn_tiny_layer *>calloc(net.n_layers, sizeof(fastnn_tiny_layer))
        self.tiny_memory, net.tiny.layers = buffer, tiny
        if tiny == NULL:
            raise MemoryError("cannot allocate the layers")
        net.tiny.n_layers, net.tiny.block = net.n_layers, net.block
        net.tiny.loss, net.tiny.loss_parameter = net.loss, net.loss_parameter
        net.tiny.optimizer, net.tiny.hyper = net.optimizer, &net.hyper
        for l in range(net.n_layers):
            tiny[l].n_in, tiny[l].n_out = net.layers[l].n_in, net.layers[l].n_out
            tiny[l].activation = net.layers[l].activation - net.ops.activations
            tiny[l].alpha = net.layers[l].alpha
            tiny[l].W, tiny[l].b = net.layers[l].W, net.layers[l].b
            tiny[l].z_prev, tiny[l].z = buffer + 3 * l * PANEL, buffer + 3 * (l + 1) * PANEL
            tiny[l].slope, tiny[l].delta = tiny[l].z_prev + PANEL, tiny[l].z_prev + 2 * PANEL
        return 0

    def c_model(self):
        """A capsule with the network as a fastnn_model, which keeps it alive."""
        capsule = PyCapsule_New(&self.model, "fastnn.model", let_go)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule

    @property
    def step(self):
        """Updates made so far."""
        return self.net.step

    @step.setter
    def step(self, value):
        self.net.step = value

    @property
    def epoch(self):
        """Whole epochs, as schedules count them."""
        return self.net.epoch

    @epoch.setter
    def epoch(self, value):
        self.net.epoch = value

    @property
    def dropout_seed(self):
        """Of dropout's masks."""
        return self.net.seed

    @dropout_seed.setter
    def dropout_seed(self, value):
        self.net.seed = value

    @property
    def n_moments(self):
        """Moments of the optimizer, for each parameter."""
        return self.net.optimizer.n_moments

    @property
    def n_blocks(self):
        """Blocks of the arena: parameters, each moment, the parameters' moving average if any."""
        return self.net.n_blocks

    def set_rate(self, double rate, dict schedule):
        """The learning rate from here on: `rate`, or what the schedule says."""
        cdef fastnn_schedule found = find_schedule(schedule)
        self.claim()
        self.net.hyper.learning_rate, self.net.schedule = rate, found
        self.release()

    @property
    def rate(self):
        """The learning rate of the next update."""
        return rate_at(&self.net, self.net.step)

    def standardize(self, const double[::1] mean, const double[::1] inverse):
        """Inputs are (x - mean) * inverse from here on."""
        cdef Py_ssize_t i
        require(self.net.mean != NULL and mean.shape[0] == self.n_in
                and inverse.shape[0] == self.n_in, "mean or inverse")
        self.claim()
        for i in range(mean.shape[0]):
            self.net.mean[i], self.net.inverse[i] = <real>mean[i], <real>inverse[i]
        self.net.waits_for_data = False
        self.release()

    @property
    def instruction_set(self):
        return self.net.ops.isa.decode()

    cdef list read_block(self, real *block):
        """[W0, b0, W1, ...] of a block laid out like the arena's first, as new arrays."""
        cdef const Net *net = &self.net
        cdef const Layer *layer
        cdef real[:, ::1] view
        cdef Py_ssize_t l
        arrays = []
        for l in range(net.n_layers):
            layer = &net.layers[l]
            shape = (layer.n_out, layer.n_in) if layer.narrow else (layer.n_in, layer.n_out)
            W = np.empty(shape, dtype=DTYPE)
            view = W
            net.ops.scatter(view.shape[0], view.shape[1], block + (layer.W - net.arena),
                            view.shape[0] * PANEL, &view[0, 0])
            arrays.append(np.ascontiguousarray(W.T) if layer.narrow else W)
            if layer.b != NULL:
                b = np.empty((1, layer.n_out), dtype=DTYPE)
                view = b
                net.ops.scatter(1, layer.n_out, block + (layer.b - net.arena), PANEL, &view[0, 0])
                arrays.append(b[0])
        return arrays

    def read(self, Py_ssize_t block=0):
        """Block 0: [W0, b0, W1, ...]; block 1, ...: a moment of each, in the same order."""
        require(0 <= block < self.net.n_blocks, "block")
        return self.read_block(self.net.arena + block * self.net.block)

    def write_rows(self, Py_ssize_t l, Py_ssize_t first, const real[:, ::1] rows):
        """Sets rows `first`, ... of layer l's weights."""
        cdef const Layer *layer
        cdef Py_ssize_t i, j, k
        require(0 <= l < self.net.n_layers, "layer")
        layer = &self.net.layers[l]
        require(0 <= first <= first + rows.shape[0] <= layer.n_in
                and rows.shape[1] == layer.n_out, "rows")
        if not layer.narrow:
            self.net.ops.gather(rows.shape[0], layer.n_out, &rows[0, 0], NULL,
                                layer.W + first * PANEL, layer.n_in * PANEL)
            return
        for i in range(rows.shape[0]):
            k = first + i
            for j in range(layer.n_out):
                layer.W[(k // PANEL * layer.n_out + j) * PANEL + k % PANEL] = rows[i, j]

    cdef list shapes(self):
        """Those of [W0, b0, W1, ...]."""
        cdef const Layer *layer
        cdef Py_ssize_t l
        found = []
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            found.append((layer.n_in, layer.n_out))
            if layer.b != NULL:
                found.append((layer.n_out,))
        return found

    def write(self, arrays, Py_ssize_t block=0):
        """Takes what read gives."""
        cdef const Net *net = &self.net
        cdef const Layer *layer
        cdef Py_ssize_t l
        cdef real *base = net.arena + block * net.block
        require(0 <= block < net.n_blocks, "block")
        arrays = list(arrays)
        require([array.shape for array in arrays] == self.shapes(), "an array of weights")
        sources = iter(arrays)
        self.claim()
        try:
            for l in range(net.n_layers):
                layer = &net.layers[l]
                self.write_array(next(sources), layer.narrow, base + (layer.W - net.arena))
                if layer.b != NULL:
                    self.write_array(next(sources)[None, :], False, base + (layer.b - net.arena))
        finally:
            self.release()

    cdef int write_array(self, array, bint transposed, real *to) except -1:
        """Puts a matrix into panels."""
        cdef const real[:, ::1] view = np.ascontiguousarray(array.T) if transposed else array
        self.net.ops.gather(view.shape[0], view.shape[1], &view[0, 0], NULL, to,
                            view.shape[0] * PANEL)
        return 0

    def fill_moment(self, Py_ssize_t block, real value):
        """Sets a moment of every parameter to `value` (padding too, which changes nothing)."""
        cdef Py_ssize_t i
        require(0 <= block < self.net.n_blocks, "block")
        for i in range(self.net.block):
            self.net.arena[block * self.net.block + i] = value

    cdef int team_for(self, double flops, int n_threads) noexcept:
        """A team smaller than asked for where the work is too small to share."""
        return n_threads if flops >= THREADING_FLOPS else 1

    cdef Job job_for(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                     const real[::1] weights):
        cdef Job job
        cdef Py_ssize_t n_out = self.net.layers[self.net.n_layers - 1].n_out
        memset(&job, 0, sizeof(Job))
        job.net, job.network = &self.net, <void *>self
        require(X.shape[0] > 0 and X.shape[1] == self.net.layers[0].n_in, "X")
        job.X, job.n_rows = &X[0, 0], X.shape[0]
        if T is not None:
            require(T.shape[0] == job.n_rows and T.shape[1] == n_out, "T")
            job.T = &T[0, 0]
        if labels is not None:
            require(labels.shape[0] == job.n_rows, "labels")
            job.labels = &labels[0]
        if weights is not None:
            require(weights.shape[0] == job.n_rows, "weights")
            job.weights = &weights[0]
        return job

    cdef int give_out(self, Job *job, real[:, ::1] out) except -1:
        """Lets a job write outputs."""
        require(out.shape[0] >= job.n_rows
                and out.shape[1] == self.net.layers[self.net.n_layers - 1].n_out, "out")
        job.out = &out[0, 0]
        return 0

    def train(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
              const real[::1] weights, const int64_t[::1] order, Py_ssize_t batch, int n_threads,
              Tally tally, Py_ssize_t first, Py_ssize_t stop, real[:, ::1] out=None):
        """Steps over rows of X (n, n_in), `batch` rows a step: those from `first` to `stop` in
        `order`, or of X if None.

        Targets are T (n, n_out) or labels (n,). The losses before each update are added to `tally`;
        `out` (n, n_out) gets the outputs before it, in the order of the rows' use. Signals are
        handled every few milliseconds. A loss that isn't finite ends the steps before its update,
        and is tally.failure.
        """
        cdef Job job = self.job_for(X, T, labels, weights)
        require(batch > 0 and 0 <= first <= stop <= job.n_rows, "batch, first or stop")
        if order is not None:
            require(order.shape[0] >= stop, "order")
            job.order = &order[0]
        if out is not None:
            self.give_out(&job, out)
        job.first, job.n_rows = first, stop
        job.loss, job.total = tally.loss, tally.total
        try:
            self.run_training(&job, batch, n_threads, True)
        finally:
            tally.loss, tally.total = job.loss, job.total
        if job.end == DIVERGED:
            tally.failure = job.last_loss

    cdef int claim(self) except -1:
        """Whoever changes weights does so alone."""
        if not fastnn_claim(&self.net.claimed):
            raise RuntimeError("this model is being trained in another thread; wait for it, or "
                               "work on a copy")
        return 0

    cdef void release(self) noexcept:
        """Ends a claim."""
        fastnn_release(&self.net.claimed)

    cdef int run_training(self, Job *job, Py_ssize_t batch, int n_threads, bint keep) except -1:
        """Runs train_task over all rows; returns the number of threads it took.

        With `keep` the weights are copied from time to time, for `restore`.
        """
        cdef int threads
        cdef Py_ssize_t stride, began
        cdef int64_t step
        job.batch = min(batch, job.n_rows - job.first)
        job.tiny = (job.batch == 1 and job.weights == NULL and job.out == NULL
                    and self.net.tiny.layers != NULL)
        job.polls = job.batch * self.row_flops > LONG_FLOPS
        # The path of tiny networks is one thread's, however deep the network is.
        threads = 1 if job.tiny else self.team_for(job.batch * self.row_flops, n_threads)
        stride = self.slice_rows(job.batch)
        self.claim()
        try:
            if self.training is None or not self.training.suits(job.batch, threads):
                self.training = Workspace(self, min(job.batch, ROUND), threads, True, True,
                                          job.batch > ROUND)
            job.space = &self.training.space
            while job.first < job.n_rows and job.end == NOT_YET:
                began, job.stop = job.first, min(job.n_rows, job.first + stride)
                if job.tiny:
                    self.run_tiny(job)
                    PyErr_CheckSignals()
                    continue
                job.keep = self.keep_at(job.stop - began) if keep else NULL
                step = self.net.step
                with nogil:
                    fastnn_run(threads, train_task, job)
                if job.keep != NULL and job.first > began:
                    self.kept_step = step
                if self.pending is not None:
                    error, self.pending = self.pending, None
                    raise error
                PyErr_CheckSignals()
        finally:
            self.release()
        return threads

    cdef real *kept_memory(self) except NULL:
        """Room for the weights; for all of a tiny network's arena, too, behind them."""
        if self.kept == NULL:
            self.kept = allocate(self.net.block * (
                1 + self.net.n_blocks if self.net.tiny.layers != NULL else 1))
        return self.kept

    cdef real *keep_at(self, Py_ssize_t rows) except? NULL:
        """Where the next slice of so many rows copies the weights to, if it's time for that."""
        if self.kept_step >= 0 and self.kept_rows < KEEP_ROWS:
            self.kept_rows += rows
            return NULL
        self.kept_rows = rows
        return self.kept_memory()

    cdef int run_tiny(self, Job *job) except -1:
        """A slice of a tiny network's rows, of whose weights before it a copy is kept."""
        cdef int64_t step = self.net.step
        cdef real *before = self.kept_memory() + self.net.block
        with nogil:
            train_tiny_slice(job, before)
        if job.tiny:
            memcpy(self.kept, before, self.net.block * sizeof(real))
            self.kept_step, self.kept_rows = step, KEEP_ROWS
        return 0

    cdef Py_ssize_t slice_rows(self, Py_ssize_t batch) noexcept:
        """Rows of a slice, after which signals are handled: whole batches."""
        return batch * max(1, <Py_ssize_t>(SLICE_FLOPS / (batch * self.row_flops + 1000)))

    def unit(self, Py_ssize_t batch):
        """Rows of which a call of `train` may take any whole multiple without changing a bit.

        A batch; but tiny.c begins each slice anew, with other roundings than it goes on with.
        """
        return self.slice_rows(1) if batch == 1 and self.net.tiny.layers != NULL else batch

    def tally(self):
        """A tally to train or evaluate with."""
        return Tally(self)

    def forget(self):
        """No weights are kept from an earlier training."""
        self.kept_step = -1

    def restore(self, real first_moment):
        """Back to the weights that were last known to give a finite loss, moments at their start.

        Returns how many updates that drops; nothing is done, where none are kept: None.
        """
        cdef Py_ssize_t i, block = self.net.block
        cdef Py_ssize_t moments = self.net.optimizer.n_moments
        if self.kept_step < 0:
            return None
        self.claim()
        memcpy(self.net.arena, self.kept, block * sizeof(real))
        memset(self.net.arena + block, 0, moments * block * sizeof(real))
        if moments > 0:
            self.fill_moment(1, first_moment)
        if self.net.averaged:
            memcpy(self.net.arena + (1 + moments) * block, self.kept, block * sizeof(real))
        dropped, self.net.step = self.net.step - self.kept_step, self.kept_step
        self.release()
        return dropped

    def profile(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                const real[::1] weights, Py_ssize_t batch, int n_threads):
        """Trains like `train`; returns {phase: seconds}, a list of them for each thread."""
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef Clock *clocks = <Clock *>calloc(n_threads, sizeof(Clock))
        cdef int rank
        if clocks == NULL:
            raise MemoryError("cannot allocate the clocks")
        job.clocks = clocks
        try:
            threads = self.run_training(&job, batch, n_threads, False)
            return [{name: clocks[rank].seconds[phase] for phase, name in enumerate(PHASES)}
                    for rank in range(threads)]
        finally:
            free(clocks)

    def gradients(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                  const real[::1] weights, bint dropout, int n_threads):
        """(loss, [dW0, db0, ...]) of one batch; nothing is updated."""
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef int threads = self.team_for(job.n_rows * self.row_flops, n_threads)
        cdef Workspace workspace = Workspace(self, min(job.n_rows, ROUND), threads, True, dropout,
                                             False)
        job.batch = job.stop = job.n_rows
        job.space = &workspace.space
        job.gradient = allocate(self.net.block)
        try:
            with nogil:
                fastnn_run(threads, train_task, &job)
            return reduced(&job), self.read_block(job.gradient)
        finally:
            free(job.gradient)

    def evaluate(self, const real[:, ::1] X, const real[:, ::1] T, const int64_t[::1] labels,
                 const real[::1] weights, int n_threads, Tally tally, real[:, ::1] out=None):
        """Adds the rows' losses to `tally`, without penalties and dropout; `out` (n, n_out) gets
        their outputs.

        Chunk by chunk and row by row, so that blocks of whole chunks give the bits of all at once.
        """
        cdef Py_ssize_t i
        cdef Job job = self.job_for(X, T, labels, weights)
        cdef double[::1] losses = np.empty(job.n_rows // CHUNK + 1)
        job.chunk_losses = &losses[0]
        if out is not None:
            self.give_out(&job, out)
        self.infer(&job, n_threads)
        for i in range((job.n_rows + CHUNK - 1) // CHUNK):
            tally.loss += losses[i]
        if weights is None:
            tally.total += job.n_rows
        else:
            for i in range(job.n_rows):
                tally.total += weights[i]

    def predict(self, const real[:, ::1] X, real[:, ::1] out, int n_threads):
        """Outputs of the rows of X (n, n_in) into out (n, n_out)."""
        cdef Job job = self.job_for(X, None, None, None)
        self.give_out(&job, out)
        self.infer(&job, n_threads)

    cdef bint rows_as_they_are(self, object X, Job *job) noexcept:
        """Begins a job with the rows of X, if they need neither conversion nor complaint."""
        cdef Py_ssize_t n_in = self.net.layers[0].n_in
        if not is_plain(X, 2) or cnp.PyArray_DIM(X, 1) != n_in or self.net.waits_for_data:
            return False
        memset(job, 0, sizeof(Job))
        job.net, job.network = &self.net, <void *>self
        job.X, job.n_rows = <const real *>cnp.PyArray_DATA(X), cnp.PyArray_DIM(X, 0)
        return job.n_rows > 0 and self.net.ops.first_nonfinite(job.n_rows * n_in, job.X) < 0

    cdef bint targets_as_they_are(self, object y, Job *job) noexcept:
        """The same for the job's targets."""
        cdef Py_ssize_t n_out = self.net.layers[self.net.n_layers - 1].n_out
        if self.net.targets.labels:
            if not (cnp.PyArray_CheckExact(y) and cnp.PyArray_TYPE(y) == cnp.NPY_INT64
                    and cnp.PyArray_NDIM(y) == 1 and cnp.PyArray_ISCARRAY_RO(y)
                    and cnp.PyArray_DIM(y, 0) == job.n_rows):
                return False
            job.labels = <const int64_t *>cnp.PyArray_DATA(y)
        elif (is_plain_matrix(y, job.n_rows, n_out)
                or (n_out == 1 and is_plain(y, 1) and cnp.PyArray_DIM(y, 0) == job.n_rows)):
            job.T = <const real *>cnp.PyArray_DATA(y)
        else:
            return False
        return targets_are_fit(job)

    def try_predict(self, X, out):
        """Like `predict`, `out` or a new array returned; None if an argument isn't fit as it is."""
        cdef Job job
        cdef Py_ssize_t n_out = self.net.layers[self.net.n_layers - 1].n_out
        cdef cnp.npy_intp[2] shape
        if not self.rows_as_they_are(X, &job):
            return None
        if out is None:
            shape[0], shape[1] = job.n_rows, n_out
            out = cnp.PyArray_EMPTY(2, shape, REAL_TYPE, False)
        elif not (is_plain_matrix(out, job.n_rows, n_out) and cnp.PyArray_ISWRITEABLE(out)
                  and not overlap(X, out)):
            return None
        job.out = <real *>cnp.PyArray_DATA(out)
        self.infer(&job, self.n_threads)
        return out

    def try_step(self, X, y):
        """One update from all rows; returns the loss, or None if an argument isn't fit as it is.

        A loss that isn't finite raises FloatingPointError, and changes nothing.
        """
        cdef Job job
        if not (self.rows_as_they_are(X, &job) and self.targets_as_they_are(y, &job)):
            return None
        self.run_training(&job, job.n_rows, self.n_threads, False)
        if job.end == DIVERGED:
            raise FloatingPointError(job.last_loss)
        return reduced(&job)

    cdef int infer(self, Job *job, int n_threads) except -1:
        """Runs evaluate_task; a thread that finds the workspace taken brings one of its own."""
        cdef int threads = self.team_for(job.n_rows * self.row_flops / 3, n_threads)
        cdef bint mine = not self.inference_busy
        # Whole chunks, whose losses have places of their own.
        cdef Py_ssize_t stride = CHUNK * max(threads, <Py_ssize_t>(
            3 * SLICE_FLOPS / (CHUNK * self.row_flops + 1000)))
        cdef Workspace workspace
        self.inference_busy = True
        try:
            workspace = self.inference if mine else None
            if workspace is None or workspace.n_threads < threads:
                workspace = Workspace(self, threads * CHUNK, threads, False, False, False)
                if mine:
                    self.inference = workspace
            job.space = &workspace.space
            while job.first < job.n_rows:
                job.stop = min(job.n_rows, job.first + stride)
                with nogil:
                    fastnn_run(threads, evaluate_task, job)
                job.first = job.stop
                if job.first < job.n_rows:
                    PyErr_CheckSignals()
        finally:
            if mine:
                self.inference_busy = False
        return 0

    def penalties(self, double weight):
        """l1 sum|W| + l2 sum W^2 over the layers, as in a loss of rows of that weight."""
        cdef const Layer *layer
        cdef Py_ssize_t l
        cdef double total = 0.0
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            if layer.l1 > 0 or layer.l2 > 0:
                total += self.net.ops.penalty(weight_reals(layer), layer.l1, layer.l2, layer.W,
                                              NULL)
        if self.net.shares_penalty and self.net.is_mean:
            return total / weight if weight > 0 else 0.0
        return total
