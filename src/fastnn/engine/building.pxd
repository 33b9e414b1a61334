# Builds a network from Python's specifications: its stages, the arena of their parameters, and the
# description of the network for tiny.c. Sizes are Python integers until memory is allocated, so
# that they cannot overflow.

from libc.stdlib cimport calloc, free

from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_allocate,
    fastnn_allow_tiles,
    fastnn_free,
    fastnn_isa,
    fastnn_pair,
    fastnn_table,
    fastnn_tiny_layer,
    real,
)
from fastnn.engine.net cimport (
    BY_GLOBAL_NORM,
    BY_NORM,
    BY_VALUE,
    NO_CLIP,
    Clip,
    Kind,
    Net,
    Stage,
    TargetRange,
    W_size,
    b_size,
    padded_pairs,
    panels_of,
)
from fastnn.engine.registry cimport find_loss, find_optimizer, find_set, hyper_parameters
from fastnn.engine.stages.dense cimport Dense
from fastnn.engine.stages.kinds cimport find_kind


cdef inline padded(columns):
    """Return `columns` rounded up to whole panels, as a Python integer of any size."""
    return -(-columns // PANEL) * PANEL


cdef inline real *allocate(n) except NULL:
    """Allocate n zeroed reals, aligned to a cache line; n is a Python integer, which cannot
    overflow."""
    if n * sizeof(real) > (<size_t>-1) >> 2:
        raise MemoryError(f"{n} numbers don't fit in memory")
    cdef size_t size = <size_t>max(n, 1) * sizeof(real)
    cdef real *block = <real *>fastnn_allocate(size)
    if block == NULL:
        raise MemoryError(f"cannot allocate {size} bytes")
    return block


cdef inline int choose_set(Net *net, int i, str optimizer) except -1:
    """Use the leaves of instruction set number i."""
    net.ops, net.isa = fastnn_table(i), fastnn_isa(i)
    net.optimizer = find_optimizer(net.ops, optimizer)
    return 0


cdef inline bint has_operands(const Net *net) noexcept:
    """Whether a stage reads a rounded copy of its W."""
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        if net.stages[i].has_operands:
            return True
    return False


cdef inline int build_net(Net *net, const Kind *kinds, dict spec) except -1:
    """Build the network from the arguments of `Parameters` (_kernels.pyx), as a dict; call
    `free_net` even after an error."""
    choose_set(net, find_set(spec["isa"]), spec["optimizer"])
    net.hyper = hyper_parameters(spec["hyper"])
    net.is_mean, net.scales_penalties = spec["mean"], spec["scale_penalties"]
    net.targets, net.seed = target_range(spec["targets"]), spec["seed"]
    net.clip, net.bound = clip_of(spec["clip"])
    net.has_ema = spec["average"] is not None
    net.averaged = net.has_ema or net.optimizer.averages
    net.momentum = spec["average"] or 0.0
    net.n_blocks = 1 + net.optimizer.n_moments + net.has_ema
    build_stages(net, kinds, spec["n_in"], spec["stages"])
    # The two sets differ only in products of bfloat16, so stages keep the activations found above.
    if net.ops.multiplies_tiles and has_operands(net) and not fastnn_allow_tiles():
        choose_set(net, find_set("avx512bf16"), spec["optimizer"])
    net.loss = find_loss(net.ops, spec["loss"], (<Dense *>net.last.own).activation.name)
    net.linear = find_loss(net.ops, "linear", (<Dense *>net.last.own).activation.name)
    parameter = spec["loss_parameter"]
    if parameter is not None:
        net.loss_parameter = allocate(padded(len(parameter)))
        for i, value in enumerate(parameter):
            net.loss_parameter[i] = value
    shape_parameters(net)
    find_zeros(net, spec["zeros"])
    place_parameters(net)
    place_operands(net)
    if net.averaged:
        place_averages(net)
    if spec["tiny"]:
        bind_tiny(net)
    return 0


cdef inline void free_net(Net *net) noexcept:
    cdef Py_ssize_t i
    if net.stages != NULL:
        for i in range(net.n_stages):
            fastnn_free(net.stages[i].own)
    free(net.stages)
    free(net.averaged_stages)
    fastnn_free(net.arena)
    fastnn_free(net.operands)
    fastnn_free(net.loss_parameter)
    free(net.schedule.p)
    if net.tiny.layers != NULL:
        fastnn_free(net.tiny.layers[0].z_prev)
    free(<void *>net.tiny.layers)


cdef inline TargetRange target_range(given) except *:
    """Return the range that (labels, low, high) describes."""
    cdef TargetRange targets
    targets.labels, targets.low, targets.high = given
    return targets


cdef inline (Clip, real) clip_of(given) except *:
    """Return the way of clipping and its bound, from None or (name, bound)."""
    if given is None:
        return NO_CLIP, 0
    ways = {"clipvalue": BY_VALUE, "clipnorm": BY_NORM, "global_clipnorm": BY_GLOBAL_NORM}
    return <Clip><int>ways[given[0]], given[1]


cdef inline int build_stages(Net *net, const Kind *kinds, n_in, list specs) except -1:
    cdef Stage *stage
    cdef Py_ssize_t i
    net.n_stages, net.n_in, net.members = len(specs), n_in, 1
    net.stages = <Stage *>calloc(net.n_stages, sizeof(Stage))
    if net.stages == NULL:
        raise MemoryError("cannot allocate the layers")
    for i, spec in enumerate(specs):
        stage = &net.stages[i]
        stage.kind, stage.index = find_kind(kinds, spec["kind"]), i
        stage.n_in = n_in if i == 0 else net.stages[i - 1].n_out
        stage.frozen = spec.get("frozen", False)
        stage.rate_multiplier = spec.get("rate_multiplier", 1.0)
        stage.kind.build(net, stage, spec)
        net.row_flops += stage.flops
        net.members = max(net.members, stage.members)
        net.penalized = net.penalized or stage.l1 > 0 or stage.l2 > 0
        net.waits_for_data = net.waits_for_data or stage.kind.waits_for_data
    net.last = &net.stages[net.n_stages - 1]
    net.n_out = net.last.n_out
    net.row_flops *= net.members
    return 0


cdef inline void shape_parameters(Net *net) noexcept:
    """Set the layout of the parameters, the numbers of the lowest stages with parameters and with
    updates, and which stages are divided by columns."""
    cdef Stage *stage
    cdef Py_ssize_t i
    net.on_line = net.clip == NO_CLIP
    net.first_updated = net.first_parameters = net.n_stages - 1
    for i in range(net.n_stages - 1, -1, -1):
        stage = &net.stages[i]
        if stage.kind.shape_parameters != NULL:
            stage.kind.shape_parameters(stage)
            net.first_parameters = i
            if not stage.frozen:
                net.first_updated = i
        net.on_line = net.on_line and stage.on_line
        net.n_tiles += stage.n_tiles
    for i in range(1, net.n_stages):  # threads divide an elementwise stage like the stage below it
        stage = &net.stages[i]
        stage.by_columns = stage.by_columns or (stage.kind.is_elementwise
                                                and net.stages[i - 1].by_columns)


cdef inline void find_zeros(Net *net, bint zeros) noexcept:
    """Clear Stage.skips_zeros of the stages that zeros of the inputs do not reach, or of all stages
    if `zeros` is False. At most the lowest stage with parameters keeps it."""
    cdef Stage *stage
    cdef Py_ssize_t i
    for i in range(net.n_stages):
        stage = &net.stages[i]
        stage.skips_zeros = stage.skips_zeros and zeros
        zeros = zeros and stage.kind.keeps_zeros


cdef inline int place_parameters(Net *net) except -1:
    """Allocate the arena, and set W and b of every stage."""
    cdef Stage *stage
    cdef Py_ssize_t i, at = 0
    block = 0
    for i in range(net.n_stages):
        stage = &net.stages[i]
        block += (<object>stage.W_rows * padded(stage.W_columns)
                  + <object>max(1, stage.b_rows) * padded(stage.b_columns))
    # One more tile: the leaves may read rows past the end of the last weights. They do not use
    # the values.
    net.arena = allocate(block * net.n_blocks + PANEL * PANEL)
    net.block = block
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W_rows > 0:
            stage.W = net.arena + at
        at += W_size(stage)
        if stage.b_columns > 0:
            stage.b = net.arena + at
        at += b_size(stage)
    return 0


cdef inline int place_operands(Net *net) except -1:
    """Allocate the operands of all stages that have them, and the operands of their averages."""
    cdef Stage *stage
    cdef Py_ssize_t i, at = 0
    block = 0
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.has_operands:
            block += <object>padded_pairs(stage.W_rows) * padded(stage.W_columns)
    if block == 0:
        return 0
    net.operands = <fastnn_pair *>allocate(block * (1 + net.averaged))
    net.operands_block = block
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.has_operands:
            stage.operands = net.operands + at
            at += padded_pairs(stage.W_rows) * panels_of(stage.W_columns) * PANEL
    return 0


cdef inline int place_averages(Net *net) except -1:
    """Make the copies of the stages whose parameters are those in the last block of the arena.

    They are made once, since a prediction may read them beside the validation of a fit.
    """
    cdef Stage *stage
    cdef Py_ssize_t i, shift = (net.n_blocks - 1) * net.block
    net.averaged_stages = <Stage *>calloc(net.n_stages, sizeof(Stage))
    if net.averaged_stages == NULL:
        raise MemoryError("cannot allocate the layers")
    for i in range(net.n_stages):
        stage = &net.averaged_stages[i]
        stage[0] = net.stages[i]
        if not stage.frozen:
            if stage.W != NULL:
                stage.W += shift
            if stage.operands != NULL:
                stage.operands += net.operands_block
            if stage.b != NULL:
                stage.b += shift
    return 0


# ---- tiny networks ------------------------------------------------------------------------------

cdef inline int bind_tiny(Net *net) except -1:
    """Describe the network for tiny.c, if tiny.c supports all stages, and allocate its buffers:
    z_prev, slope and delta of each layer in turn, a panel each."""
    cdef Py_ssize_t i
    cdef real *buffer
    cdef fastnn_tiny_layer *layer
    cdef fastnn_tiny_layer *layers
    if net.clip != NO_CLIP or net.has_ema:
        return 0
    layers = <fastnn_tiny_layer *>calloc(net.n_stages, sizeof(fastnn_tiny_layer))
    if layers == NULL:
        raise MemoryError("cannot allocate the layers")
    for i in range(net.n_stages):
        if (net.stages[i].kind.describe_tiny == NULL
                or not net.stages[i].kind.describe_tiny(net, &net.stages[i], &layers[i])):
            free(layers)
            return 0
    net.tiny.layers, net.tiny.n_layers = layers, net.n_stages
    net.tiny.loss, net.tiny.loss_parameter = net.loss, net.loss_parameter
    net.tiny.optimizer, net.tiny.hyper = net.optimizer, &net.hyper
    net.tiny.block = net.block
    buffer = allocate((1 + 3 * net.n_stages) * PANEL)
    for i in range(net.n_stages):
        layer = &layers[i]
        layer.z_prev, layer.z = buffer + 3 * i * PANEL, buffer + 3 * (i + 1) * PANEL
        layer.slope, layer.delta = layer.z_prev + PANEL, layer.z_prev + 2 * PANEL
    return 0
