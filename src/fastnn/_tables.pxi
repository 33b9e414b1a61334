# The tables of leaves: which instruction sets there are, and names looked up in them.
# Part of _kernels.pyx.

def instruction_sets():
    """Names of the instruction sets that can run here, best first."""
    names = []
    while fastnn_table(len(names)) != NULL:
        names.append(fastnn_table(len(names)).isa.decode())
    return names


def registry():
    """Names that the tables know, by kind; a loss is a pair (name, activation or None)."""
    cdef const fastnn_ops *ops = fastnn_table(0)
    cdef dict found = {"activations": [], "losses": [], "optimizers": [], "functions": [],
                       "schedules": []}
    cdef Py_ssize_t i = 0
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
    return found


#: A training step's phases, as `Network.profile` reports them.
PHASES = ("input", "forward", "loss", "delta", "update", "wait")

# Where each name stands in its list, and each instruction set in the list of tables.
cdef dict ISA_PLACE = {name: i for i, name in enumerate(instruction_sets())}
cdef dict PLACE = {kind: {name: i for i, name in enumerate(names)}
                   for kind, names in registry().items()}


cdef const fastnn_ops *table(isa) except NULL:
    """The table of the instruction set, the best one for None."""
    return fastnn_table(0 if isa is None else ISA_PLACE[isa])


cdef const fastnn_activation *find_activation(const fastnn_ops *ops, str name) except NULL:
    return &ops.activations[<Py_ssize_t>PLACE["activations"][name]]


cdef const fastnn_optimizer *find_optimizer(const fastnn_ops *ops, str name) except NULL:
    return &ops.optimizers[<Py_ssize_t>PLACE["optimizers"][name]]


cdef const fastnn_loss *find_loss(const fastnn_ops *ops, str name, str activation) except NULL:
    """The entry for the pair, or the one that goes with any activation."""
    places = PLACE["losses"]
    pair = (name, activation)
    return &ops.losses[<Py_ssize_t>places[pair if pair in places else (name, None)]]


cdef fastnn_hyper hyper_parameters(dict given):
    cdef fastnn_hyper hyper
    hyper.learning_rate = given["learning_rate"]
    hyper.momentum = given.get("momentum", 0.0)
    hyper.rho = given.get("rho", 0.0)
    hyper.beta_1 = given.get("beta_1", 0.0)
    hyper.beta_2 = given.get("beta_2", 0.0)
    hyper.epsilon = given.get("epsilon", 0.0)
    hyper.weight_decay = given.get("weight_decay", 0.0)
    hyper.epsilon_hat = given.get("epsilon_hat", False)
    return hyper


cdef fastnn_schedule find_schedule(dict given):
    """A schedule from its name, parameters, warmup, start and per_epoch; none from None."""
    cdef fastnn_schedule schedule
    memset(&schedule, 0, sizeof(schedule))
    if given is not None:
        schedule.rule = &fastnn_schedule_rules[<Py_ssize_t>PLACE["schedules"][given["name"]]]
        for i, value in enumerate(given["parameters"]):
            schedule.p[i] = value
        schedule.warmup, schedule.start = given["warmup"], given["start"]
        schedule.per_epoch = given["per_epoch"]
    return schedule


def scheduled_rates(dict given, const double[::1] steps, double[::1] rates):
    """The learning rates of a schedule after so many steps, or epochs."""
    cdef fastnn_schedule schedule = find_schedule(given)
    cdef Py_ssize_t i
    require(rates.shape[0] == steps.shape[0], "rates")
    for i in range(steps.shape[0]):
        rates[i] = fastnn_learning_rate(&schedule, steps[i], steps[i])
