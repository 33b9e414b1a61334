# Blocks of columns: functions of the stages that replace blocks of columns of a row and copy its
# other columns. The outputs are in the order of the inputs that they are computed from.
#
# A block may begin in the middle of a panel. For matrix products its columns are copied to aligned
# panels, where each block begins with a new panel.

from libc.string cimport memset

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, real
from fastnn.engine.net cimport Pass, Stage, panels_of

cdef struct Block:
    Py_ssize_t first_in, n_in     # columns of z_prev,
    Py_ssize_t first_out, n_out   # and of z
    Py_ssize_t panel_in           # its first panel in the aligned inputs
    Py_ssize_t row, rows          # of W, if the stage has parameters

cdef struct Part:                 # the rows of W in one tile: part `number` of a block
    Py_ssize_t block, number

cdef struct Blocks:
    Py_ssize_t n
    Block *block                  # (n,)
    Py_ssize_t n_parts
    Part *parts                   # (n_parts,) PANEL rows each, or fewer at the end of a block
    Py_ssize_t n_rows             # of W
    Py_ssize_t panels_in, panels_out    # of aligned inputs and outputs
    Py_ssize_t panels_each        # of the outputs of a block; all blocks have as many outputs


cdef inline void *allocate_blocks(size_t size, Py_ssize_t n, Py_ssize_t parts,
                                  Blocks *blocks) except NULL:
    """Allocate `size` bytes for the struct of a kind, then n blocks and `parts` parts.

    `blocks`, which the caller copies into that struct, points into this memory.
    """
    cdef size_t head = (size + 63) // 64 * 64
    cdef char *own = <char *>fastnn_allocate(head + n * sizeof(Block) + parts * sizeof(Part))
    if own == NULL:
        raise MemoryError("cannot allocate a layer")
    memset(blocks, 0, sizeof(Blocks))
    blocks.n, blocks.n_parts = n, parts
    blocks.block = <Block *>(own + head)
    blocks.parts = <Part *>(own + head + n * sizeof(Block))
    return own


cdef inline list starts_of(const Stage *stage, spec):
    """Return the columns that are replaced: those of the specification, or all if it has None."""
    columns = spec["columns"]
    return list(range(stage.n_in) if columns is None else columns)


cdef inline Py_ssize_t parts_of(rows) except -1:
    """Return the number of parts of blocks that have these numbers of rows of W."""
    return sum([-(-n // PANEL) for n in rows])


cdef inline int place_blocks(Stage *stage, Blocks *blocks, list starts, list widths_in,
                             list widths_out, list rows) except -1:
    """Fill in all blocks and parts, and set the number of the stage's outputs."""
    cdef Py_ssize_t k, i, column = 0, to = 0, part = 0
    cdef Block *block
    for k in range(blocks.n):
        block = &blocks.block[k]
        block.first_in, block.n_in, block.n_out = starts[k], widths_in[k], widths_out[k]
        to += block.first_in - column
        column = block.first_in + block.n_in
        block.first_out = to
        to += block.n_out
        block.row, block.rows = blocks.n_rows, rows[k]
        block.panel_in = blocks.panels_in
        blocks.n_rows += block.rows
        blocks.panels_in += panels_of(block.n_in)
        blocks.panels_out += panels_of(block.n_out)
        for i in range(panels_of(block.rows)):
            blocks.parts[part].block, blocks.parts[part].number = k, i
            part += 1
    blocks.panels_each = panels_of(blocks.block[0].n_out)
    stage.n_out = to + stage.n_in - column
    return 0


cdef inline void copy_other_columns(const Stage *stage, const Blocks *blocks, const Pass *work,
                                    const real *source, real *target, bint back) noexcept nogil:
    """Copy the columns outside of all blocks to their places in z, or from there if `back`."""
    cdef Py_ssize_t k, stop, column = 0, to = 0, jump = work.buffers.stride * PANEL
    for k in range(blocks.n + 1):
        stop = blocks.block[k].first_in if k < blocks.n else stage.n_in
        if stop > column:
            work.net.ops.copy_columns(work.rows, stop - column, source, to if back else column,
                                      target, column if back else to, jump)
        if k < blocks.n:
            column = stop + blocks.block[k].n_in
            to = blocks.block[k].first_out + blocks.block[k].n_out


cdef inline void align_outputs(const Blocks *blocks, const Pass *work, real *z, real *aligned,
                               bint back) noexcept nogil:
    """Copy the columns of all blocks from z to aligned panels, or to z if `back`."""
    cdef Py_ssize_t k, first, jump = work.buffers.stride * PANEL
    cdef const Block *block
    for k in range(blocks.n):
        block, first = &blocks.block[k], k * blocks.panels_each * PANEL
        if back:
            work.net.ops.copy_columns(work.rows, block.n_out, aligned, first, z, block.first_out,
                                      jump)
        else:
            work.net.ops.copy_columns(work.rows, block.n_out, z, block.first_out, aligned, first,
                                      jump)


cdef inline void align_inputs(const Blocks *blocks, const Pass *work, real *x, real *aligned,
                              bint back) noexcept nogil:
    """Copy the columns of all blocks from x to aligned panels, or to x if `back`.

    x is z_prev, or the delta of the stage below.
    """
    cdef Py_ssize_t k, first, jump = work.buffers.stride * PANEL
    cdef const Block *block
    for k in range(blocks.n):
        block = &blocks.block[k]
        first = block.panel_in * PANEL
        if back:
            work.net.ops.copy_columns(work.rows, block.n_in, aligned, first, x, block.first_in,
                                      jump)
        else:
            work.net.ops.copy_columns(work.rows, block.n_in, x, block.first_in, aligned, first,
                                      jump)


cdef inline const real *column_at(const real *panels, Py_ssize_t jump,
                                  Py_ssize_t column) noexcept nogil:
    """Return a pointer to the number of the first row in a column of panels."""
    return panels + column // PANEL * jump + column % PANEL
