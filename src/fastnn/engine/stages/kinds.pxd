# The list of all kinds of stages. A new kind needs a file beside this one and, here, its cimport,
# its member of the enum and its line in define_kinds.

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
    DENSE_KIND
    DROPOUT_KIND
    STANDARDIZE_KIND
    LAYER_NORM_KIND
    FORK_KIND
    SUM_KIND
    ACTIVATE_KIND
    DENSE_BFLOAT16_KIND
    EMBEDDING_KIND
    PIECEWISE_KIND
    PERIODIC_KIND
    BLOCK_DENSE_KIND
    MEMBER_SCALE_KIND
    MEMBER_DENSE_KIND
    N_KINDS                       # stays last: the number of kinds


cdef inline void define_kinds(Kind *kinds) noexcept:
    """Fill a zeroed array of N_KINDS kinds."""
    define_dense(&kinds[DENSE_KIND])
    define_dropout(&kinds[DROPOUT_KIND])
    define_standardize(&kinds[STANDARDIZE_KIND])
    define_layer_norm(&kinds[LAYER_NORM_KIND])
    define_fork(&kinds[FORK_KIND])
    define_sum(&kinds[SUM_KIND])
    define_activate(&kinds[ACTIVATE_KIND])
    define_dense_bfloat16(&kinds[DENSE_BFLOAT16_KIND])
    define_embedding(&kinds[EMBEDDING_KIND])
    define_piecewise(&kinds[PIECEWISE_KIND])
    define_periodic(&kinds[PERIODIC_KIND])
    define_block_dense(&kinds[BLOCK_DENSE_KIND])
    define_member_scale(&kinds[MEMBER_SCALE_KIND])
    define_member_dense(&kinds[MEMBER_DENSE_KIND])


cdef inline const Kind *find_kind(const Kind *kinds, str name) except NULL:
    cdef int i
    for i in range(N_KINDS):
        if kinds[i].name.decode() == name:
            return &kinds[i]
    raise KeyError(f"stage {name!r} is missing in engine/stages/kinds.pxd")
