# Looks up activations, losses, optimizers, functions and schedules by name in the tables of the C
# code. A name that a table lacks raises KeyError.

from libc.stdlib cimport malloc
from libc.string cimport memset, strcmp

from fastnn.engine.leaves cimport (
    FASTNN_HYPER_COUNT,
    fastnn_activation,
    fastnn_function,
    fastnn_hyper,
    fastnn_hyper_names,
    fastnn_isa,
    fastnn_loss,
    fastnn_ops,
    fastnn_optimizer,
    fastnn_schedule,
    fastnn_schedule_rule,
    fastnn_schedule_rules,
    fastnn_table,
)


cdef inline int find_set(isa) except -1:
    """The place of an instruction set among those that this CPU can run; None: of the best one."""
    cdef int i = 0
    while fastnn_isa(i) != NULL:
        if isa is None or fastnn_isa(i).decode() == isa:
            return i
        i += 1
    raise KeyError(f"instruction set {isa!r} cannot run here")


cdef inline const fastnn_ops *find_table(isa) except NULL:
    """The table of leaves of an instruction set; None: of the best one that this CPU can run."""
    return fastnn_table(find_set(isa))


cdef inline list names_of(const void *entries, size_t size):
    """List the names in a table whose entries are `size` bytes long and begin with a name."""
    names = []
    while (<const char **>(<const char *>entries + len(names) * size))[0] != NULL:
        names.append((<const char **>(<const char *>entries + len(names) * size))[0].decode())
    return names


cdef inline Py_ssize_t place_of(const void *entries, size_t size, str name,
                                str where) except -1:
    """The index of a name in such a table; `where` is the file that the error message names."""
    names = names_of(entries, size)
    if name not in names:
        raise KeyError(f"{name!r} is missing in {where}")
    return names.index(name)


cdef inline const fastnn_activation *find_activation(const fastnn_ops *ops, str name) except NULL:
    return &ops.activations[place_of(ops.activations, sizeof(fastnn_activation), name,
                                     "simd/activations.h")]


cdef inline const fastnn_optimizer *find_optimizer(const fastnn_ops *ops, str name) except NULL:
    return &ops.optimizers[place_of(ops.optimizers, sizeof(fastnn_optimizer), name,
                                    "simd/optimizers.h")]


cdef inline const fastnn_function *find_function(const fastnn_ops *ops, str name) except NULL:
    return &ops.functions[place_of(ops.functions, sizeof(fastnn_function), name, "simd/ops.c")]


cdef inline const fastnn_loss *find_loss(const fastnn_ops *ops, str name,
                                         const char *activation) except NULL:
    """The entry of a loss for this activation, or its entry for all activations."""
    cdef const fastnn_loss *entry = ops.losses
    while entry.name != NULL:
        if entry.name.decode() == name and (entry.activation == NULL
                                            or strcmp(entry.activation, activation) == 0):
            return entry
        entry += 1
    raise KeyError(f"loss {name!r} is missing in simd/losses.h, or goes with other activations")


cdef inline const fastnn_loss *by_output(const fastnn_ops *ops,
                                         const fastnn_loss *loss) noexcept nogil:
    """The variant of a loss with a weight for each output; NULL if it is no sum over outputs."""
    cdef const fastnn_loss *entry = ops.losses_by_output
    while entry.name != NULL:
        if strcmp(entry.name, loss.name) == 0 and (entry.activation == NULL or strcmp(
                entry.activation, loss.activation) == 0):
            return entry
        entry += 1
    return NULL


cdef inline fastnn_hyper hyper_parameters(dict given) except *:
    """The hyper-parameters of an optimizer as a struct; those not in `given` are 0."""
    cdef fastnn_hyper hyper
    cdef Py_ssize_t i
    memset(&hyper, 0, sizeof(hyper))
    rest = dict(given)
    for i in range(FASTNN_HYPER_COUNT):
        value = rest.pop(fastnn_hyper_names[i].decode(), 0.0)
        (<double *>&hyper)[i] = value
    if rest:
        raise KeyError(f"hyper-parameters {sorted(rest)} are missing in simd/ops.h")
    return hyper


cdef inline fastnn_schedule find_schedule(dict given) except *:
    """A schedule from a dict of name, parameters, warmup, start and per_epoch; no rule for None.

    The caller must free its parameters `p`.
    """
    cdef fastnn_schedule schedule
    cdef Py_ssize_t i
    memset(&schedule, 0, sizeof(schedule))
    if given is None:
        return schedule
    schedule.rule = &fastnn_schedule_rules[place_of(
        fastnn_schedule_rules, sizeof(fastnn_schedule_rule), given["name"], "schedules.h")]
    schedule.warmup, schedule.start = given["warmup"], given["start"]
    schedule.per_epoch = given["per_epoch"]
    parameters = [float(value) for value in given["parameters"]]
    schedule.p = <double *>malloc(len(parameters) * sizeof(double))
    if schedule.p == NULL:
        raise MemoryError("cannot allocate a schedule")
    for i in range(len(parameters)):
        schedule.p[i] = parameters[i]
    return schedule


cdef inline dict registry():
    """The names in all tables, by kind; a loss is a pair (name, activation or None)."""
    cdef const fastnn_ops *ops = fastnn_table(0)
    cdef Py_ssize_t i
    losses = []
    for i, name in enumerate(names_of(ops.losses, sizeof(fastnn_loss))):
        paired = ops.losses[i].activation != NULL
        losses.append((name, ops.losses[i].activation.decode() if paired else None))
    return {
        "activations": names_of(ops.activations, sizeof(fastnn_activation)),
        "losses": losses,
        "optimizers": names_of(ops.optimizers, sizeof(fastnn_optimizer)),
        "functions": names_of(ops.functions, sizeof(fastnn_function)),
        "schedules": names_of(fastnn_schedule_rules, sizeof(fastnn_schedule_rule)),
        "hyper_parameters": [fastnn_hyper_names[i].decode() for i in range(FASTNN_HYPER_COUNT)],
    }
