# Names looked up in the tables of leaves. A name that a table lacks raises an error.

from libc.string cimport memset, strcmp

from fastnn.engine.leaves cimport (
    FASTNN_HYPER_COUNT,
    fastnn_activation,
    fastnn_function,
    fastnn_hyper,
    fastnn_hyper_names,
    fastnn_loss,
    fastnn_ops,
    fastnn_optimizer,
    fastnn_schedule,
    fastnn_schedule_rules,
    fastnn_table,
)


cdef inline const fastnn_ops *find_table(isa) except NULL:
    """The table of an instruction set, the best one for None."""
    cdef int i = 0
    if isa is None:
        return fastnn_table(0)
    while fastnn_table(i) != NULL:
        if fastnn_table(i).isa.decode() == isa:
            return fastnn_table(i)
        i += 1
    raise KeyError(f"instruction set {isa!r} cannot run here")


cdef inline const fastnn_activation *find_activation(const fastnn_ops *ops, str name) except NULL:
    cdef const fastnn_activation *entry = ops.activations
    while entry.name != NULL:
        if entry.name.decode() == name:
            return entry
        entry += 1
    raise KeyError(f"activation {name!r} is missing in simd/activations.h")


cdef inline const fastnn_optimizer *find_optimizer(const fastnn_ops *ops, str name) except NULL:
    cdef const fastnn_optimizer *entry = ops.optimizers
    while entry.name != NULL:
        if entry.name.decode() == name:
            return entry
        entry += 1
    raise KeyError(f"optimizer {name!r} is missing in simd/optimizers.h")


cdef inline const fastnn_loss *find_loss(const fastnn_ops *ops, str name,
                                         const char *activation) except NULL:
    """The entry for the pair, or the entry for all activations."""
    cdef const fastnn_loss *entry = ops.losses
    while entry.name != NULL:
        if entry.name.decode() == name and (entry.activation == NULL
                                            or strcmp(entry.activation, activation) == 0):
            return entry
        entry += 1
    raise KeyError(f"loss {name!r} is missing in simd/losses.h, or goes with other activations")


cdef inline const fastnn_function *find_function(const fastnn_ops *ops, str name) except NULL:
    cdef const fastnn_function *entry = ops.functions
    while entry.name != NULL:
        if entry.name.decode() == name:
            return entry
        entry += 1
    raise KeyError(f"function {name!r} is missing in simd/ops.c")


cdef inline fastnn_hyper hyper_parameters(dict given) except *:
    """The numbers of an optimizer; those that are not given are 0."""
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
    """A schedule from its name, parameters, warmup, start and per_epoch; none from None."""
    cdef fastnn_schedule schedule
    cdef Py_ssize_t i = 0
    memset(&schedule, 0, sizeof(schedule))
    if given is None:
        return schedule
    while fastnn_schedule_rules[i].name != NULL:
        if fastnn_schedule_rules[i].name.decode() == given["name"]:
            schedule.rule = &fastnn_schedule_rules[i]
        i += 1
    if schedule.rule == NULL:
        raise KeyError(f"schedule {given['name']!r} is missing in schedules.h")
    for i, value in enumerate(given["parameters"]):
        schedule.p[i] = value
    schedule.warmup, schedule.start = given["warmup"], given["start"]
    schedule.per_epoch = given["per_epoch"]
    return schedule


cdef inline dict registry():
    """Names that the tables know, by kind; a loss is a pair (name, activation or None)."""
    cdef const fastnn_ops *ops = fastnn_table(0)
    cdef Py_ssize_t i = 0
    cdef dict found = {"activations": [], "losses": [], "optimizers": [], "functions": [],
                       "schedules": [], "hyper_parameters": []}
    while ops.activations[i].name != NULL:
        found["activations"].append(ops.activations[i].name.decode())
        i += 1
    i = 0
    while ops.losses[i].name != NULL:
        activation = ops.losses[i].activation
        pair = None if activation == NULL else ops.losses[i].activation.decode()
        found["losses"].append((ops.losses[i].name.decode(), pair))
        i += 1
    i = 0
    while ops.optimizers[i].name != NULL:
        found["optimizers"].append(ops.optimizers[i].name.decode())
        i += 1
    i = 0
    while ops.functions[i].name != NULL:
        found["functions"].append(ops.functions[i].name.decode())
        i += 1
    i = 0
    while fastnn_schedule_rules[i].name != NULL:
        found["schedules"].append(fastnn_schedule_rules[i].name.decode())
        i += 1
    for i in range(FASTNN_HYPER_COUNT):
        found["hyper_parameters"].append(fastnn_hyper_names[i].decode())
    return found
