"""What other libraries call things, and their defaults: the tables of the pages "Coming from ...".

A name in braces is a promise: ``{keras.layers.Dense}`` exists, ``{torch.optim.SGD(momentum)}`` is a
parameter of it, and ``{torch.optim.SGD(lr)=}`` is that parameter's default, as VALUES has it.
tests/test_docs.py checks all of them against the libraries that are installed. ``{name|text}``
shows a text of its own. Not here: how tables are drawn (tables.py), the programs side by side
(coming_from/programs).
"""

import re

LIBRARIES = {"keras": "Keras", "torch": "PyTorch", "sklearn": "scikit-learn"}
NAME = re.compile(r"\{([\w.]+)(?:\((\w+)\)(=)?)?(?:\|([^}]+))?\}")
NONE = "\N{EN DASH}"

# Defaults, by where they are.
VALUES = {
    "fastnn.SGD": {"learning_rate": 0.01, "momentum": 0.0},
    "fastnn.Adam": {"learning_rate": 0.001, "epsilon": 1e-8, "epsilon_hat": False},
    "fastnn.AdamW": {"weight_decay": 0.01},
    "fastnn.RMSProp": {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-8},
    "fastnn.Adagrad": {
        "learning_rate": 0.01,
        "initial_accumulator_value": 0.0,
        "epsilon": 1e-10,
    },
    "fastnn.MLP": {"dtype": "float32"},
    "fastnn.MLP.fit": {"batch_size": 32, "epochs": 1, "shuffle": True, "validation_split": 0.0},
    "fastnn.Dense": {"l2": 0.0},
    "fastnn.LayerNorm": {"epsilon": 1e-5},
    "sklearn.neural_network.MLPClassifier": {
        "learning_rate_init": 0.001,
        "momentum": 0.9,
        "nesterovs_momentum": True,
        "epsilon": 1e-8,
        "alpha": 1e-4,
        "batch_size": "auto",
        "max_iter": 200,
        "validation_fraction": 0.1,
    },
    "keras.optimizers.SGD": {"learning_rate": 0.01, "momentum": 0.0},
    "keras.optimizers.Adam": {"learning_rate": 0.001, "epsilon": 1e-7},
    "keras.optimizers.AdamW": {"weight_decay": 0.004},
    "keras.optimizers.RMSprop": {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7},
    "keras.optimizers.Adagrad": {
        "learning_rate": 0.001,
        "initial_accumulator_value": 0.1,
        "epsilon": 1e-7,
    },
    "keras.layers.Dense": {"kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"},
    "keras.layers.LayerNormalization": {"epsilon": 0.001},
    "keras.Model.fit": {"batch_size": None, "epochs": 1, "shuffle": True, "validation_split": 0.0},
    "keras.activations.leaky_relu": {"negative_slope": 0.2},
    "keras.activations.gelu": {"approximate": False},
    "torch.optim.SGD": {"lr": 0.001, "momentum": 0},
    "torch.optim.Adam": {"lr": 0.001, "eps": 1e-8},
    "torch.optim.AdamW": {"weight_decay": 0.01},
    "torch.optim.RMSprop": {"lr": 0.01, "alpha": 0.99, "eps": 1e-8},
    "torch.optim.Adagrad": {"lr": 0.01, "initial_accumulator_value": 0, "eps": 1e-10},
    "torch.nn.LeakyReLU": {"negative_slope": 0.01},
    "torch.nn.LayerNorm": {"eps": 1e-5},
    "torch.nn.GELU": {"approximate": "none"},
    "torch.nn.PoissonNLLLoss": {"log_input": True},
    "torch.utils.data.DataLoader": {"batch_size": 1, "shuffle": None},
}

_MLP = "sklearn.neural_network.MLPClassifier"

# (fastnn, {library: what it has there}); a library that has nothing of the kind is left out.
NAMES = [
    (
        '{fastnn.MLP|MLP(n_in, [Dense(n, "relu"), ...])}',
        {
            "sklearn": f"{{{_MLP}(hidden_layer_sizes)}}, {{{_MLP}(activation)}}",
            "keras": '{keras.Sequential|Sequential([Dense(n, "relu"), ...])}',
            "torch": "{torch.nn.Sequential|nn.Sequential(nn.Linear(n_in, n), nn.ReLU(), ...)}",
        },
    ),
    (
        "{fastnn.MLP(loss)}, {fastnn.MLP(optimizer)}",
        {
            "sklearn": f"the loss follows from the class; {{{_MLP}(solver)}}",
            "keras": "{keras.Model.compile|compile(optimizer, loss)}",
            "torch": "objects in your training loop",
        },
    ),
    (
        "{fastnn.MLP.fit|fit(X, y, epochs=...)}",
        {
            "sklearn": f"{{{_MLP}.fit|fit(X, y)}}, {{{_MLP}(max_iter)}}",
            "keras": "{keras.Model.fit|fit(x, y, epochs=...)}",
            "torch": "your training loop",
        },
    ),
    (
        "{fastnn.MLP.train_on_batch}",
        {
            "sklearn": f"{{{_MLP}.partial_fit}} (one epoch)",
            "keras": "{keras.Model.train_on_batch}",
            "torch": "{torch.Tensor.backward|loss.backward()};"
            " {torch.optim.Optimizer.step|optimizer.step()}",
        },
    ),
    (
        "{fastnn.MLP.predict}",
        {
            "sklearn": f"{{{_MLP}.predict_proba}}; predict of a regressor",
            "keras": "{keras.Model.predict}",
            "torch": "{torch.nn.Module|module(x)} in {torch.nn.Module.eval|eval()} and"
            " {torch.no_grad|no_grad()}",
        },
    ),
    (
        "{fastnn.MLP.predict_classes|predict_classes(X)}",
        {
            "sklearn": f"{{{_MLP}.predict}} of a classifier",
            "keras": "``predict(x).argmax(axis=1)``",
            "torch": "``module(x).argmax(dim=1)``",
        },
    ),
    (
        "{fastnn.MLP.evaluate|evaluate(X, y, metrics=[...])}",
        {
            "sklearn": f"{{{_MLP}.score}}",
            "keras": "{keras.Model.evaluate}",
            "torch": "your evaluation loop",
        },
    ),
    (
        "{fastnn.MLP.get_weights|get_weights()}: W is (n_in, n_out)",
        {
            "sklearn": "``coefs_``, ``intercepts_``",
            "keras": "{keras.Model.get_weights|get_weights()}",
            "torch": "{torch.nn.Module.state_dict|state_dict()}: W is (n_out, n_in)",
        },
    ),
    (
        "{fastnn.MLP.save}, {fastnn.load}",
        {
            "sklearn": "pickle, joblib",
            "keras": "{keras.Model.save}, {keras.saving.load_model}",
            "torch": "{torch.save|torch.save(module.state_dict())}",
        },
    ),
    (
        "{fastnn.History|history.history}",
        {
            "sklearn": "``loss_curve_``",
            "keras": "{keras.callbacks.History|history.history}",
            "torch": "what your loop records",
        },
    ),
    (
        "{fastnn.EarlyStopping|EarlyStopping(patience=...)}",
        {
            "sklearn": f"{{{_MLP}(early_stopping)}}, {{{_MLP}(n_iter_no_change)}}",
            "keras": "{keras.callbacks.EarlyStopping|EarlyStopping(patience=...)}",
        },
    ),
    (
        "{fastnn.ModelCheckpoint}, {fastnn.MLP.fit(resume)}",
        {
            "sklearn": f"{{{_MLP}(warm_start)}}",
            "keras": "{keras.callbacks.ModelCheckpoint}, {keras.callbacks.BackupAndRestore}",
        },
    ),
    (
        "{fastnn.CosineDecay|Adam(CosineDecay(...))}",
        {
            "sklearn": f'{{{_MLP}(learning_rate)|learning_rate="invscaling"}}, ``"adaptive"``',
            "keras": "{keras.optimizers.schedules.CosineDecay|Adam(CosineDecay(...))}",
            "torch": "{torch.optim.lr_scheduler.CosineAnnealingLR}",
        },
    ),
    (
        "{fastnn.StepDecay|StepDecay(rate, steps)},"
        " {fastnn.ExponentialDecay(staircase)|ExponentialDecay(..., staircase=True)}",
        {
            "keras": "{keras.optimizers.schedules.ExponentialDecay(staircase)"
            "|ExponentialDecay(..., staircase=True)}",
            "torch": "{torch.optim.lr_scheduler.StepLR}",
        },
    ),
    (
        "{fastnn.PiecewiseConstantDecay}",
        {
            "keras": "{keras.optimizers.schedules.PiecewiseConstantDecay}",
            "torch": "{torch.optim.lr_scheduler.MultiStepLR}",
        },
    ),
    (
        "{fastnn.SGD(weight_decay)|SGD(weight_decay=...)}, and of every optimizer: decoupled,"
        " weights only",
        {
            "keras": "{keras.optimizers.SGD(weight_decay)|SGD(weight_decay=...)},"
            " {keras.optimizers.Optimizer.exclude_from_weight_decay}",
            "torch": "{torch.optim.AdamW(weight_decay)|AdamW(weight_decay=...)}",
        },
    ),
    (
        "{fastnn.NAdam}, {fastnn.Lion}",
        {
            "keras": "{keras.optimizers.Nadam}, {keras.optimizers.Lion}",
            "torch": "{torch.optim.NAdam}",
        },
    ),
    (
        "{fastnn.SGD(maximize)|SGD(maximize=True)}, and of every optimizer",
        {"torch": "{torch.optim.SGD(maximize)|SGD(maximize=True)}"},
    ),
    (
        "{fastnn.RMSProp(centered)|RMSProp(centered=True)}",
        {
            "keras": "{keras.optimizers.RMSprop(centered)|RMSprop(centered=True)}",
            "torch": "{torch.optim.RMSprop(centered)|RMSprop(centered=True)}",
        },
    ),
    (
        "{fastnn.Standardize|Standardize()}",
        {
            "sklearn": "{sklearn.preprocessing.StandardScaler} in a pipeline",
            "keras": "{keras.layers.Normalization}",
        },
    ),
    (
        "{fastnn.LayerNorm|LayerNorm()}",
        {
            "keras": "{keras.layers.LayerNormalization}",
            "torch": "{torch.nn.LayerNorm}",
        },
    ),
    (
        '{fastnn.Activate|Activate("relu")}',
        {
            "keras": "{keras.layers.Activation}",
            "torch": "{torch.nn.ReLU}, ...",
        },
    ),
    (
        "{fastnn.Residual|Residual([...])}",
        {
            "keras": "{keras.layers.Add} in the functional API",
            "torch": "``x + f(x)`` in {torch.nn.Module|forward}",
        },
    ),
    (
        "{fastnn.Embedding|Embedding(n, dim, columns=[...])}",
        {
            "keras": "{keras.layers.Embedding} in the functional API",
            "torch": "{torch.nn.Embedding} for each column",
        },
    ),
    (
        "{fastnn.NumericEmbedding|NumericEmbedding(dim)}",
        {"torch": "the package rtdl_num_embeddings"},
    ),
    (
        "{fastnn.Ensemble|Ensemble(k, [...])}",
        {"torch": "the package tabm"},
    ),
    (
        "{fastnn.Dense(l1)}, {fastnn.Dense(l2)}",
        {
            "sklearn": f"{{{_MLP}(alpha)}}",
            "keras": "{keras.layers.Dense(kernel_regularizer)}",
            "torch": "{torch.optim.SGD(weight_decay)} of SGD and Adam",
        },
    ),
    (
        "{fastnn.Adam(clipvalue)}, {fastnn.Adam(clipnorm)}, {fastnn.Adam(global_clipnorm)}",
        {
            "keras": "{keras.optimizers.Adam(clipvalue)}, {keras.optimizers.Adam(clipnorm)},"
            " {keras.optimizers.Adam(global_clipnorm)}",
            "torch": "{torch.nn.utils.clip_grad_value_}, {torch.nn.utils.clip_grad_norm_}",
        },
    ),
    (
        "{fastnn.Adam(use_ema)}, {fastnn.MLP.averaged|averaged()}",
        {
            "keras": "{keras.optimizers.Adam(use_ema)}",
            "torch": "{torch.optim.swa_utils.AveragedModel}",
        },
    ),
    (
        "{fastnn.MLP.freeze|freeze(0)}, {fastnn.Dense(trainable)|Dense(trainable=False)}",
        {
            "keras": "{keras.layers.Layer.trainable|trainable=False}",
            "torch": "{torch.nn.Module.requires_grad_|requires_grad_(False)}",
        },
    ),
    (
        "{fastnn.MLP(seed)}",
        {
            "sklearn": f"{{{_MLP}(random_state)}}",
            "keras": "{keras.utils.set_random_seed} (global)",
            "torch": "{torch.manual_seed} (global)",
        },
    ),
    (
        "{fastnn.MLP(n_threads)}",
        {
            "sklearn": "environment variables",
            "keras": "environment variables",
            "torch": "{torch.set_num_threads} (global)",
        },
    ),
]

# (fastnn, {library: (what it has there, what differs)})
LOSSES = [
    (
        "{fastnn.SquaredError|squared_error}",
        {
            "sklearn": (
                "``squared_error``",
                "fastnn: half of the sum over outputs; scikit-learn: half of their mean",
            ),
            "keras": (
                "{keras.losses.mean_squared_error}",
                "fastnn: half of the sum over outputs; Keras: their mean. With one output"
                " fastnn's gradient is half of Keras'.",
            ),
            "torch": (
                "{torch.nn.MSELoss}",
                "fastnn: half of the sum over outputs; PyTorch: their mean",
            ),
        },
    ),
    (
        "{fastnn.AbsoluteError|absolute_error}",
        {
            "keras": (
                "{keras.losses.mean_absolute_error}",
                "fastnn: the sum over outputs; Keras: their mean",
            ),
            "torch": ("{torch.nn.L1Loss}", "fastnn: the sum over outputs; PyTorch: their mean"),
        },
    ),
    (
        "{fastnn.Huber|huber}",
        {
            "keras": (
                "{keras.losses.huber}",
                "fastnn: the sum over outputs; Keras: their mean; delta is 1 in both",
            ),
            "torch": (
                "{torch.nn.HuberLoss}",
                "fastnn: the sum over outputs; PyTorch: their mean; delta is 1 in both",
            ),
        },
    ),
    (
        "{fastnn.Poisson|poisson}",
        {
            "sklearn": ("``poisson``", ""),
            "keras": ("{keras.losses.poisson}", ""),
            "torch": (
                "{torch.nn.PoissonNLLLoss}",
                "fastnn: the output is the rate; PyTorch: its logarithm"
                " ({torch.nn.PoissonNLLLoss(log_input)|log_input=True})",
            ),
        },
    ),
    (
        "{fastnn.BinaryCrossEntropy|binary_cross_entropy}",
        {
            "sklearn": ("``log_loss``", ""),
            "keras": (
                "{keras.losses.binary_crossentropy}",
                "fastnn: the sum over outputs; Keras: their mean. fastnn requires a sigmoid as the"
                " last activation and computes the loss from its pre-activation.",
            ),
            "torch": (
                "{torch.nn.BCEWithLogitsLoss}",
                "fastnn: the sum over outputs; PyTorch: their mean. fastnn requires a sigmoid as"
                " the last activation and computes the loss from its pre-activation; PyTorch's"
                " loss takes logits.",
            ),
        },
    ),
    (
        "{fastnn.CrossEntropy|cross_entropy}",
        {
            "sklearn": ("``log_loss``", ""),
            "keras": (
                "{keras.losses.sparse_categorical_crossentropy},"
                " {keras.losses.categorical_crossentropy}",
                "fastnn: one name for labels and for rows of probabilities; requires a softmax as"
                " the last activation",
            ),
            "torch": (
                "{torch.nn.CrossEntropyLoss}",
                "fastnn requires a softmax as the last activation; PyTorch's loss takes logits."
                " Both take labels or rows of probabilities.",
            ),
        },
    ),
    ("{fastnn.Quantile|Quantile([0.05, 0.5, 0.95])}", {}),
]

# (what, fastnn, {library: its default}); a library that has nothing of the kind is left out.
DEFAULTS = [
    (
        "SGD: learning rate",
        "{fastnn.SGD(learning_rate)=}",
        {
            "sklearn": f"{{{_MLP}(learning_rate_init)=}}",
            "keras": "{keras.optimizers.SGD(learning_rate)=}",
            "torch": "{torch.optim.SGD(lr)=}",
        },
    ),
    (
        "SGD: momentum",
        "{fastnn.SGD(momentum)=}",
        {
            "sklearn": f"{{{_MLP}(momentum)=}}, Nesterov's",
            "keras": "{keras.optimizers.SGD(momentum)=}",
            "torch": "{torch.optim.SGD(momentum)=}",
        },
    ),
    (
        "Adam: learning rate",
        "{fastnn.Adam(learning_rate)=}",
        {
            "sklearn": f"{{{_MLP}(learning_rate_init)=}}",
            "keras": "{keras.optimizers.Adam(learning_rate)=}",
            "torch": "{torch.optim.Adam(lr)=}",
        },
    ),
    (
        "Adam: epsilon",
        "{fastnn.Adam(epsilon)=}",
        {
            "sklearn": f"{{{_MLP}(epsilon)=}}",
            "keras": "{keras.optimizers.Adam(epsilon)=}",
            "torch": "{torch.optim.Adam(eps)=}",
        },
    ),
    (
        "Adam: epsilon is added to the root",
        "after its bias correction",
        {
            "sklearn": "before it",
            "keras": "before it",
            "torch": "after its bias correction",
        },
    ),
    (
        "AdamW: weight decay",
        "{fastnn.AdamW(weight_decay)=}, weights only",
        {
            "keras": "{keras.optimizers.AdamW(weight_decay)=}, biases too",
            "torch": "{torch.optim.AdamW(weight_decay)=}, biases too",
        },
    ),
    (
        "RMSprop: learning rate",
        "{fastnn.RMSProp(learning_rate)=}",
        {
            "keras": "{keras.optimizers.RMSprop(learning_rate)=}",
            "torch": "{torch.optim.RMSprop(lr)=}",
        },
    ),
    (
        "RMSprop: rho",
        "{fastnn.RMSProp(rho)=}",
        {
            "keras": "{keras.optimizers.RMSprop(rho)=}",
            "torch": "{torch.optim.RMSprop(alpha)=}",
        },
    ),
    (
        "RMSprop: epsilon",
        "{fastnn.RMSProp(epsilon)=}",
        {
            "keras": "{keras.optimizers.RMSprop(epsilon)=}, inside the root",
            "torch": "{torch.optim.RMSprop(eps)=}",
        },
    ),
    (
        "Adagrad: learning rate",
        "{fastnn.Adagrad(learning_rate)=}",
        {
            "keras": "{keras.optimizers.Adagrad(learning_rate)=}",
            "torch": "{torch.optim.Adagrad(lr)=}",
        },
    ),
    (
        "Adagrad: initial accumulator",
        "{fastnn.Adagrad(initial_accumulator_value)=}",
        {
            "keras": "{keras.optimizers.Adagrad(initial_accumulator_value)=}",
            "torch": "{torch.optim.Adagrad(initial_accumulator_value)=}",
        },
    ),
    (
        "Adagrad: epsilon",
        "{fastnn.Adagrad(epsilon)=}",
        {
            "keras": "{keras.optimizers.Adagrad(epsilon)=}, inside the root",
            "torch": "{torch.optim.Adagrad(eps)=}",
        },
    ),
    (
        "precision",
        "{fastnn.MLP(dtype)=}",
        {"sklearn": "that of X", "keras": "float32", "torch": "float32"},
    ),
    (
        "rows per batch",
        "{fastnn.MLP.fit(batch_size)=}",
        {
            "sklearn": "min(200, n)",
            "keras": "32",
            "torch": "{torch.utils.data.DataLoader(batch_size)=} (DataLoader)",
        },
    ),
    (
        "epochs",
        "{fastnn.MLP.fit(epochs)=}",
        {
            "sklearn": f"at most {{{_MLP}(max_iter)=}}",
            "keras": "{keras.Model.fit(epochs)=}",
            "torch": "your loop's",
        },
    ),
    (
        "rows are shuffled",
        "yes",
        {"sklearn": "yes", "keras": "yes", "torch": "no (DataLoader)"},
    ),
    (
        "initial weights",
        "He uniform for relu and similar, LeCun normal for selu, Glorot uniform for the others",
        {
            "sklearn": "Glorot uniform; narrower for logistic",
            "keras": "Glorot uniform",
            "torch": "uniform, ±1/√n_in",
        },
    ),
    (
        "initial biases",
        "0",
        {"sklearn": "uniform, as the weights", "keras": "0", "torch": "uniform, ±1/√n_in"},
    ),
    (
        "L2 penalty",
        "{fastnn.Dense(l2)=}; l2 · ΣW²",
        {
            "sklearn": f"{{{_MLP}(alpha)=}}; alpha / 2 · ΣW² / rows",
            "keras": "0; l2 · ΣW²",
            "torch": "0; weight_decay / 2 · ΣW², of biases too",
        },
    ),
    (
        "slope of leaky_relu",
        "0.01",
        {
            "keras": "{keras.activations.leaky_relu(negative_slope)=} (layer: 0.3)",
            "torch": "{torch.nn.LeakyReLU(negative_slope)=}",
        },
    ),
    (
        "epsilon of layer normalization",
        "{fastnn.LayerNorm(epsilon)=}",
        {
            "keras": "{keras.layers.LayerNormalization(epsilon)=}",
            "torch": "{torch.nn.LayerNorm(eps)=}",
        },
    ),
    ("gelu", "exact; gelu_tanh approximates it", {"keras": "exact", "torch": "exact"}),
    (
        "validation split",
        "{fastnn.MLP.fit(validation_split)=}; the last rows, or StratifiedSplit",
        {
            "sklearn": f"{{{_MLP}(validation_fraction)=}} with early stopping; random, stratified",
            "keras": "{keras.Model.fit(validation_split)=}; the last rows",
            "torch": "your loop's",
        },
    ),
    (
        "the loss is not finite",
        "an error; the weights of the last finite loss are restored",
        {"sklearn": "an error", "keras": "training goes on", "torch": "training goes on"},
    ),
    (
        "the same seed on another number of threads",
        "the same bits",
        {"sklearn": "may differ", "keras": "may differ", "torch": "may differ"},
    ),
]


def shown(cell):
    """Return a cell as rst: names as code, fastnn's as links, defaults as numbers."""

    def show(match):
        name, parameter, is_default, text = match.groups()
        if is_default:
            value = VALUES[name][parameter]
            return value if isinstance(value, str) else f"{value:g}".replace("e-0", "e-")
        text = text or parameter or name.rpartition(".")[2]
        if name.startswith("fastnn.") and parameter is None:
            return f":py:obj:`{text} <{name}>`"
        return f"``{text}``"

    return NAME.sub(show, cell)


def rows(what, library):
    """Yield the rows of a table, as lists of rst; the first is its head."""
    title = LIBRARIES[library]
    if what == "names":
        yield [title, "fastnn"]
        for ours, theirs in NAMES:
            yield [shown(theirs.get(library, NONE)), shown(ours)]
    elif what == "losses":
        yield [title, "fastnn", "difference"]
        for ours, theirs in LOSSES:
            name, differs = theirs.get(library, (NONE, ""))
            yield [shown(name), shown(ours), shown(differs)]
    else:
        yield ["", title, "fastnn"]
        for label, ours, theirs in DEFAULTS:
            if library in theirs:
                their, our = shown(theirs[library]), shown(ours)
                yield [label, their if their == our else f"**{their}**", our]


def promised():
    """Return {(dotted name, parameter or None)} of everything in braces."""
    cells = [cell for ours, theirs in NAMES for cell in (ours, *theirs.values())]
    cells += [
        c for ours, theirs in LOSSES for c in (ours, *(x for t in theirs.values() for x in t))
    ]
    cells += [cell for _, ours, theirs in DEFAULTS for cell in (ours, *theirs.values())]
    return {match[:2] for cell in cells for match in NAME.findall(cell)}
