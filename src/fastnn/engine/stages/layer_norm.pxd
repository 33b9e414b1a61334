# Layer normalization: z = gain * x^ + bias with x^ = (z_prev - mean) / sqrt(var + epsilon), where
# mean and var are those of each row (Ba, Kiros, Hinton 2016). Arithmetic: simd/layer_norm.h.
#
#     dgain = (x^ * delta).sum(0)      dbias = delta.sum(0)      delta = dE/dz
#
# W is the gain and b the bias, both (n,). Neither has penalties or weight decay.

from fastnn.engine.gradients cimport update_biases_by_rows, update_weights
from fastnn.engine.leaves cimport PANEL, fastnn_allocate, fastnn_layer_norm_args, real
from fastnn.engine.net cimport (
    INFERENCE,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Tile,
    Update,
    panels_of,
    place,
    share,
)

cdef struct LayerNorm:
    double epsilon


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from epsilon."""
    cdef LayerNorm *own = <LayerNorm *>fastnn_allocate(sizeof(LayerNorm))
    stage.own = own
    if own == NULL:
        raise MemoryError("cannot allocate a layer")
    own.epsilon = spec["epsilon"]
    stage.n_out = stage.b_columns = stage.n_in
    stage.flops = 20.0 * stage.n_in
    return 0


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    stage.W_rows, stage.W_columns, stage.is_vector = 1, stage.n_in, True
    stage.n_tiles, stage.tile_rows, stage.on_line = panels_of(stage.n_in), 1, True


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    """Place z, delta and, for the backward pass, x^ and 1 / sqrt(var + epsilon) of each row."""
    cdef Py_ssize_t size = panels_of(stage.n_in) * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        at = place(&buffers.kept, base, at, size)
        at = place(&buffers.kept_rows, base, at, stride)
        at = place(&buffers.delta, base, at, size)
    return at


cdef inline fastnn_layer_norm_args arguments(const Stage *stage, const StageBuffers *buffers,
                                             const Pass *work) noexcept nogil:
    cdef fastnn_layer_norm_args args
    args.rows, args.columns, args.jump = work.rows, stage.n_in, work.buffers.stride * PANEL
    args.epsilon = <real>(<const LayerNorm *>stage.own).epsilon
    args.gain, args.bias, args.unit, args.scale = stage.W, stage.b, NULL, NULL
    if buffers.kept != NULL:
        args.unit, args.scale = buffers.kept + work.at * PANEL, buffers.kept_rows + work.at
    return args


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef fastnn_layer_norm_args args = arguments(stage, buffers, work)
    work.net.ops.layer_norm_forward(&args, buffers.z_prev + work.at * PANEL,
                                    buffers.z + work.at * PANEL)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    cdef fastnn_layer_norm_args args
    if work.carry:
        args = arguments(stage, buffers, work)
        work.net.ops.layer_norm_backward(&args, buffers.delta + work.at * PANEL,
                                         (buffers - 1).delta + work.at * PANEL)


cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: a panel of the gain, and the same panel of the bias."""
    cdef Py_ssize_t shift = number * stride * PANEL
    tile.rows, tile.columns = 1, PANEL
    tile.left, tile.right = buffers.kept + shift, buffers.delta + shift
    tile.W, tile.b, tile.delta = stage.W + number * PANEL, stage.b + number * PANEL, tile.right


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    net.ops.column_dots(rows, tile.left, tile.right, more, g)


cdef inline void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                             Update *update) noexcept nogil:
    net.ops.column_dots(rows, tile.left, tile.right, False, update.scratch)
    update_weights(net, tile, update, update.scratch)
    update_biases_by_rows(net, update, rows, tile.delta, tile.b)


cdef inline void update_on_line(const Net *net, const Stage *stage, const StageBuffers *buffers,
                                int rank, int size, Update *update) noexcept nogil:
    """Update this thread's panels of gain and bias."""
    cdef Py_ssize_t q, panels = panels_of(stage.n_in)
    cdef Tile tile
    tile.stage, tile.operands = stage, NULL
    for q in range(share(panels, rank, size), share(panels, rank + 1, size)):
        place_tile(stage, buffers, 1, q, &tile)
        update_tile(net, &tile, 1, update)


cdef inline void define_layer_norm(Kind *kind) noexcept:
    kind.name = "layer_norm"
    kind.build = build
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
    kind.update_on_line = update_on_line
