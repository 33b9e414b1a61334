# The list of all kinds of stages. A new kind needs a file beside this one, and a line here.

from fastnn.engine.net cimport Kind
from fastnn.engine.stages.activate cimport define_activate
from fastnn.engine.stages.block_dense cimport define_block_dense
from fastnn.engine.stages.dense cimport define_dense
from fastnn.engine.stages.dense_bfloat16 cimport define_dense_bfloat16
from fastnn.engine.stages.dropout cimport define_dropout
from fastnn.engine.stages.embedding cimport define_embedding
from fastnn.engine.stages.layer_norm cimport define_layer_norm
from fastnn.engine.stages.members cimport define_member_dense, define_member_scale
from fastnn.engine.stages.periodic cimport define_periodic
from fastnn.engine.stages.piecewise cimport define_piecewise
from fastnn.engine.stages.residual cimport define_fork, define_sum
from fastnn.engine.stages.standardize cimport define_standardize

cdef enum:
    N_KINDS = 14


cdef inline void define_kinds(Kind *kinds) noexcept:
    """Fill a zeroed array of N_KINDS kinds."""
    define_dense(&kinds[0])
    define_dropout(&kinds[1])
    define_standardize(&kinds[2])
    define_layer_norm(&kinds[3])
    define_fork(&kinds[4])
    define_sum(&kinds[5])
    define_activate(&kinds[6])
    define_dense_bfloat16(&kinds[7])
    define_embedding(&kinds[8])
    define_piecewise(&kinds[9])
    define_periodic(&kinds[10])
    define_block_dense(&kinds[11])
    define_member_scale(&kinds[12])
    define_member_dense(&kinds[13])


cdef inline const Kind *find_kind(const Kind *kinds, str name) except NULL:
    cdef int i
    for i in range(N_KINDS):
        if kinds[i].name.decode() == name:
            return &kinds[i]
    raise KeyError(f"stage {name!r} is missing in engine/stages/kinds.pxd")
