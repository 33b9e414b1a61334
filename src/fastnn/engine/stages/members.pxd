# The stages whose parameters differ between the members of an Ensemble (TabM: Gorishniy,
# Kotelnikov, Babenko, ICLR 2025). The buffers hold a copy of each row for each member. Other stages
# treat the copies as independent rows; in these stages copy i belongs to member m = i mod members.
#
#     member_scale    z_m = x_m * W_m + b_m, by columns: W and b are (members, n)
#         dW_m = (x_m * delta_m).sum(0)     db_m = delta_m.sum(0)     dE/dx_m = delta_m * W_m
#     member_dense    z_m = h(x_m @ W_m + b_m): W has the rows of W_0, W_1, ..., and b is
#                     (members, n_out)
#         delta_m = dE/dz_m * h'(a_m)       dW_m = x_m.T @ delta_m    dE/dx_m = delta_m @ W_m.T
#
# Products and gradients read copies in which the rows of each member are contiguous
# (StageBuffers.by_member). There the rows of member m begin with row m * room.

from libc.string cimport memcpy

from fastnn.engine.gradients cimport update_tile
from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport (
    INFERENCE,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Tile,
    panels_of,
    place,
)
from fastnn.engine.stages cimport dense


cdef inline Py_ssize_t room_of(const Stage *stage, Py_ssize_t stride) noexcept nogil:
    """Return the rows of each member in buffers of this stride; odd, like the stride."""
    return stride // stage.members | 1


cdef inline Py_ssize_t by_member_jump(const Stage *stage, Py_ssize_t stride) noexcept nogil:
    """Return the distance in reals from one panel of `by_member` to the next."""
    return room_of(stage, stride) * stage.members * PANEL


cdef inline void group_by_member(const Stage *stage, const Pass *work, Py_ssize_t columns,
                                 real *rows, real *by_member, bint back) noexcept nogil:
    """Copy the rows of a pass to `by_member`, member by member, or from there if `back`."""
    cdef Py_ssize_t q, r, m, k = stage.members, room = room_of(stage, work.buffers.stride)
    cdef Py_ssize_t first = work.at // k, stop = (work.at + work.rows) // k
    cdef real *here
    cdef real *there
    for q in range(panels_of(columns)):
        here = rows + (q * work.buffers.stride + work.at) * PANEL
        for r in range(first, stop):
            there = by_member + (q * k * room + r) * PANEL
            for m in range(k):
                if back:
                    memcpy(here, there, PANEL * sizeof(real))
                else:
                    memcpy(there, here, PANEL * sizeof(real))
                here += PANEL
                there += room * PANEL


# `by_member` has the panels of x, then of delta (in member_dense first of z), then, in
# member_dense, of dE/dx.

cdef inline real *outputs_by_member(const Stage *stage, const StageBuffers *buffers,
                                    Py_ssize_t stride) noexcept nogil:
    """Return the panels of delta, where the forward pass of member_dense computes z first."""
    return buffers.by_member + panels_of(stage.n_in) * by_member_jump(stage, stride)


cdef inline real *below_by_member(const Stage *stage, const StageBuffers *buffers,
                                  Py_ssize_t stride) noexcept nogil:
    return (outputs_by_member(stage, buffers, stride)
            + panels_of(stage.n_out) * by_member_jump(stage, stride))


cdef inline Py_ssize_t member_offset(const Stage *stage, const Pass *work,
                                     Py_ssize_t m) noexcept nogil:
    """Return the offset in a panel of `by_member` of the rows of a pass that belong to member m."""
    return (m * room_of(stage, work.buffers.stride) + work.at // stage.members) * PANEL


# ---- both kinds ---------------------------------------------------------------------------------

cdef inline void place_member_tile(const Stage *stage, const StageBuffers *buffers,
                                   Py_ssize_t stride, Py_ssize_t m, Py_ssize_t p, Py_ssize_t q,
                                   Tile *tile) noexcept nogil:
    """Set the operands of a tile of member m: panel p of x, panel q of delta and of b_m."""
    cdef Py_ssize_t jump = by_member_jump(stage, stride), first = m * room_of(stage, stride) * PANEL
    tile.columns = min(PANEL, stage.n_out - q * PANEL)
    tile.left = buffers.by_member + p * jump + first
    tile.right = outputs_by_member(stage, buffers, stride) + q * jump + first
    tile.delta, tile.b = tile.right, NULL
    if stage.b != NULL:
        tile.b = stage.b + (q * stage.members + m) * PANEL


# ---- member_scale -------------------------------------------------------------------------------

cdef inline int build_scale(const Net *net, Stage *stage, dict spec) except -1:
    """Build from members and use_bias."""
    stage.members, stage.tiles_by_member, stage.n_out = spec["members"], True, stage.n_in
    if spec["use_bias"]:
        stage.b_rows, stage.b_columns = stage.members, stage.n_in
    stage.flops = 6.0 * stage.n_in
    return 0


cdef inline void shape_scale(Stage *stage) noexcept nogil:
    stage.W_rows, stage.W_columns = stage.members, stage.n_in
    stage.n_tiles, stage.tile_rows = stage.members * panels_of(stage.n_in), 1


cdef inline Py_ssize_t lay_out_scale(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                                     Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t panels = panels_of(stage.n_in)
    at = place(&buffers.z, base, at, panels * stride * PANEL)
    if purpose != INFERENCE:
        at = place(&buffers.delta, base, at, panels * stride * PANEL)
        at = place(&buffers.by_member, base, at, 2 * panels * by_member_jump(stage, stride))
    return at


cdef inline void scale(const Stage *stage, const Pass *work, const real *x, const real *b,
                       real *out) noexcept nogil:
    """Compute out_m = x_m * W_m + b_m, or x_m * W_m if b is NULL."""
    cdef Py_ssize_t q, r, m, j, at, k = stage.members
    cdef const real *W
    for q in range(panels_of(stage.n_in)):
        at = (q * work.buffers.stride + work.at) * PANEL
        for r in range(work.rows // k):
            W = stage.W + q * k * PANEL
            for m in range(k):
                for j in range(PANEL):
                    out[at + j] = x[at + j] * W[j]
                if b != NULL:
                    for j in range(PANEL):
                        out[at + j] += b[(q * k + m) * PANEL + j]
                W += PANEL
                at += PANEL


cdef inline void forward_scale(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work) noexcept nogil:
    scale(stage, work, buffers.z_prev, stage.b, buffers.z)


cdef inline void backward_scale(const Stage *stage, const StageBuffers *buffers,
                                const Pass *work) noexcept nogil:
    group_by_member(stage, work, stage.n_in, buffers.z_prev, buffers.by_member, False)
    group_by_member(stage, work, stage.n_in, buffers.delta,
                    outputs_by_member(stage, buffers, work.buffers.stride), False)
    if work.carry:
        scale(stage, work, buffers.delta, NULL, (buffers - 1).delta)


cdef inline void place_scale(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                             Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: a panel of W_m. Tiles are numbered along each panel of W."""
    cdef Py_ssize_t m = number % stage.members, q = number // stage.members
    place_member_tile(stage, buffers, stride, m, q, q, tile)
    tile.rows, tile.first_column, tile.W = 1, q * PANEL, stage.W + number * PANEL


cdef inline void add_scale(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                           real *g) noexcept nogil:
    net.ops.column_dots(rows, tile.left, tile.right, more, g)


cdef inline void define_member_scale(Kind *kind) noexcept:
    kind.name = "member_scale"
    kind.build = build_scale
    kind.shape_parameters = shape_scale
    kind.lay_out = lay_out_scale
    kind.forward = forward_scale
    kind.backward = backward_scale
    kind.place_tile = place_scale
    kind.add_gradient = add_scale
    kind.update_tile = update_tile


# ---- member_dense -------------------------------------------------------------------------------
#
# The output layers of the members, their heads. `own`, z, delta and `kept` are those of a Dense.

cdef inline int build_heads(const Net *net, Stage *stage, dict spec) except -1:
    """Build from members and the specification of a Dense."""
    dense.build(net, stage, spec)
    stage.members, stage.tiles_by_member = spec["members"], True
    stage.b_rows = stage.members if stage.b_columns > 0 else 0
    return 0


cdef inline void shape_heads(Stage *stage) noexcept nogil:
    stage.W_rows, stage.W_columns = stage.members * stage.n_in, stage.n_out
    stage.n_tiles = stage.members * panels_of(stage.n_in) * panels_of(stage.n_out)
    stage.tile_rows = min(PANEL, stage.n_in)


cdef inline Py_ssize_t lay_out_heads(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                                     Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t panels = panels_of(stage.n_in) + panels_of(stage.n_out)
    if purpose != INFERENCE:
        panels += panels_of(stage.n_in)
    at = dense.lay_out(stage, buffers, stride, purpose, base, at)
    return place(&buffers.by_member, base, at, panels * by_member_jump(stage, stride))


cdef inline void forward_heads(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work) noexcept nogil:
    """Compute z = h(a), or z = a if the loss takes pre-activations."""
    cdef Py_ssize_t m, q, at, k = stage.members, jump = by_member_jump(stage, work.buffers.stride)
    cdef real *z = outputs_by_member(stage, buffers, work.buffers.stride)
    group_by_member(stage, work, stage.n_in, buffers.z_prev, buffers.by_member, False)
    for m in range(k):
        at = member_offset(stage, work, m)
        for q in range(panels_of(stage.n_out)):
            work.net.ops.product(
                work.rows // k, stage.n_in, 1, buffers.by_member + at, jump,
                stage.W + (q * stage.W_rows + m * stage.n_in) * PANEL, stage.W_rows * PANEL,
                stage.b + (q * k + m) * PANEL if stage.b != NULL else NULL, z + q * jump + at,
                jump)
    group_by_member(stage, work, stage.n_out, buffers.z, z, True)
    if stage != work.raw:
        dense.activate(stage, buffers, work)


cdef inline void backward_heads(const Stage *stage, const StageBuffers *buffers,
                                const Pass *work) noexcept nogil:
    """Compute delta = dE/dz * h'(a), then dE/dz of the stage below if work.carry."""
    cdef Py_ssize_t m, at, k = stage.members, jump = by_member_jump(stage, work.buffers.stride)
    cdef real *delta = outputs_by_member(stage, buffers, work.buffers.stride)
    cdef real *below = below_by_member(stage, buffers, work.buffers.stride)
    dense.differentiate(stage, buffers, work)
    group_by_member(stage, work, stage.n_out, buffers.delta, delta, False)
    if not work.carry:
        return
    for m in range(k):
        at = member_offset(stage, work, m)
        work.net.ops.product_transposed(work.rows // k, stage.n_out, stage.n_in, delta + at, jump,
                                        stage.W + m * stage.n_in * PANEL, stage.W_rows * PANEL,
                                        work.scratch, below + at, jump)
    group_by_member(stage, work, stage.n_in, (buffers - 1).delta, below, True)


cdef inline void place_heads(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                             Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: PANEL rows, or fewer, of a panel of W_m; numbered along each panel of W."""
    cdef Py_ssize_t down = panels_of(stage.n_in), q = number // (down * stage.members)
    cdef Py_ssize_t m = number // down % stage.members, p = number % down
    place_member_tile(stage, buffers, stride, m, p, q, tile)
    tile.rows, tile.first_column = min(PANEL, stage.n_in - p * PANEL), p * PANEL
    tile.W = stage.W + (q * stage.W_rows + m * stage.n_in + p * PANEL) * PANEL
    if p > 0:
        tile.b = NULL


cdef inline void add_heads(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                           real *g) noexcept nogil:
    net.ops.outer(rows, tile.rows, tile.left, tile.right, more, g)


cdef inline void define_member_dense(Kind *kind) noexcept:
    kind.name = "member_dense"
    kind.build = build_heads
    kind.shape_parameters = shape_heads
    kind.lay_out = lay_out_heads
    kind.forward = forward_heads
    kind.backward = backward_heads
    kind.place_tile = place_heads
    kind.add_gradient = add_heads
    kind.update_tile = update_tile
