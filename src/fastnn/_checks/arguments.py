"""Arguments and attributes of other libraries, and their equivalents in fastnn.

The tables have the form of those in names.py and are keyed by the class or function that takes the
argument. Not here: how a table is searched (calls.py).
"""

from __future__ import annotations

from fastnn._checks.names import LAYERS, table

# ---- keyword arguments, by the class or function that is called ---------------------------------

_OF_OPTIMIZER = "it belongs to the optimizer, such as optimizer=Adam(learning_rate=0.001)"
_OF_SGD = "it belongs to the optimizer, such as optimizer=SGD(0.01, momentum=0.9)"
_OF_ADAM = "it belongs to the optimizer, such as optimizer=Adam(0.001, beta_1=0.9)"
_OF_FIT = "it belongs to fit, such as net.fit(X, y, epochs=10, batch_size=32)"
_OF_LAYERS = "it belongs to a layer, such as layers=[Dense(64, 'relu'), Dense(1)]"
_OF_MLP = "it belongs to MLP, when the network is built"
_STOPPING = (
    "pass the callback to fit: net.fit(X, y, validation_split=0.1, "
    "callbacks=[EarlyStopping(patience=10)])"
)
_L2 = "use Dense(..., l2=1e-4) (scikit-learn's alpha, or weight_decay, is twice that)"
_NO_DEVICE = "fastnn computes on the CPU; leave it out"
_NO_NAME = "specifications have no names of their own; leave it out"
_QUIET = "it prints nothing; leave it out"
_ANY_BATCH = "results do not depend on the batch size; leave it out"

_OF_ESTIMATORS = {
    "epochs n_epochs num_epochs max_epochs n_iter": "the argument is max_iter",
    "lr eta0": "the argument is learning_rate_init",
    "hidden_layers layers layer_sizes hidden_sizes hidden_units hidden_dim n_hidden": (
        "the argument is hidden_layer_sizes"
    ),
    "dropout_rate": "the argument is dropout",
    "seed random_seed": "the argument is random_state",
    "validation_split": "the argument is validation_fraction",
    "n_jobs num_threads nthreads num_workers": "the argument is n_threads",
}

ARGUMENTS: dict[str, dict[str, str]] = {
    "MLP": table(
        {
            "input_shape input_dim input_size in_features n_inputs n_features n_features_in": (
                "the first argument is the number of inputs: MLP(n_in, layers, ...)"
            ),
            "n_out output_dim output_size out_features n_outputs n_classes num_classes": (
                "the units of the last Dense are the number of outputs"
            ),
            "hidden_layer_sizes hidden_sizes layer_sizes hidden_layers hidden_dim sizes "
            "hidden_units n_hidden": (
                "pass the layers, the output layer last: layers=[Dense(100, 'relu'), Dense(1)]"
            ),
            "activation output_activation use_bias bias initializer kernel_initializer "
            "kernel_regularizer trainable units": _OF_LAYERS,
            "dropout dropout_rate p": "use a layer: [Dense(64, 'relu'), Dropout(0.2), Dense(1)]",
            "solver optim optimiser": "the argument is optimizer",
            "criterion loss_fn loss_function loss_func objective": "the argument is loss",
            "lr learning_rate learning_rate_init clipnorm clipvalue amsgrad use_ema": _OF_OPTIMIZER,
            "momentum nesterov nesterovs_momentum": _OF_SGD,
            "beta_1 beta_2 betas epsilon eps": _OF_ADAM,
            "power_t": "use optimizer=SGD(InverseScaling(0.01, power=0.5))",
            "alpha l2 l1 weight_decay regularization": _L2,
            "random_state random_seed": "the argument is seed",
            "n_jobs num_threads nthreads num_workers": "the argument is n_threads",
            "batch_size epochs n_epochs num_epochs max_epochs max_iter shuffle verbose metrics "
            "callbacks class_weight sample_weight validation_split validation_data": _OF_FIT,
            "early_stopping n_iter_no_change tol validation_fraction patience": _STOPPING,
            "warm_start": "fit always continues from the current weights; leave it out",
            "max_fun": "it belongs to fastnn.sklearn.MLPClassifier(solver='lbfgs')",
            "device gpu jit_compile run_eagerly": _NO_DEVICE,
            "name": _NO_NAME,
        }
    ),
    "MLP.fit": table(
        {
            "x": "the argument is X",
            "n_epochs num_epochs max_epochs nb_epoch max_iter n_iter iterations": (
                "the argument is epochs"
            ),
            "class_weights": "the argument is class_weight",
            "sample_weights weights weight": "the argument is sample_weight",
            "validation_fraction": "the argument is validation_split",
            "stratify stratified": "pass validation_split=StratifiedSplit(0.2)",
            "eval_set val_data": "the argument is validation_data",
            "metric": "the argument is metrics",
            "callback": "the argument is callbacks",
            "checkpoint resume_from ckpt_path": "the argument is resume",
            "steps": "the argument is steps_per_epoch",
            "validation_steps validation_batch_size validation_freq": (
                "all rows of validation_data are evaluated after each epoch; leave it out"
            ),
            "initial_epoch": (
                "net.epoch counts the epochs of all fits; pass the remaining number as epochs"
            ),
            "lr learning_rate learning_rate_init": (
                "set net.learning_rate, or build the network with optimizer=Adam(learning_rate=...)"
            ),
            "loss optimizer criterion": _OF_MLP,
            "early_stopping patience n_iter_no_change tol": _STOPPING,
            "seed random_state": "pass seed to MLP; shuffle takes a numpy Generator",
            "n_jobs num_workers workers": "the argument is n_threads",
            "use_multiprocessing max_queue_size device": "rows are read by threads; leave it out",
            "classes": "fit finds the classes of arrays y; for batches set net.classes",
        }
    ),
    "fit_many": table(
        {
            "networks models": "the argument is nets",
            "x": "the argument is X",
            "n_epochs num_epochs max_epochs max_iter n_iter": "the argument is epochs",
            "class_weights": "the argument is class_weight",
            "sample_weights weights weight": "the argument is sample_weight",
            "validation_data eval_set val_data": "pass them as validation=(X, y)",
            "validation_split validation_fraction": "pass the fraction as validation",
            "stratify stratified": "pass validation=StratifiedSplit(0.2)",
            "cv": "pass the training rows of each fold as rows, and validation='rest'",
            "by group": "the argument is groups",
            "metric": "the argument is metrics",
            "callback": "the argument is callbacks",
            "resume resume_from ckpt_path": "the argument is checkpoint",
            "early_stopping patience n_iter_no_change tol": (
                "pass the callback: fit_many(nets, X, y, validation=0.1, "
                "callbacks=[EarlyStopping(patience=10)])"
            ),
            "seed random_state": "pass seeds to networks; shuffle takes NumPy Generators",
            "n_jobs num_workers workers": "the argument is n_threads",
        }
    ),
    "Parameters": table(  # the estimators MLPClassifier, MLPRegressor and their ensembles
        {
            **_OF_ESTIMATORS,
            "patience": "the argument is n_iter_no_change",
            "l2 regularization": "the argument is alpha",
            "validation_data": "pass the rows to fit: fit(X, y, X_val=..., y_val=...)",
            "n_estimators n_members n_nets n_models": (
                "it belongs to MLPEnsembleClassifier and MLPEnsembleRegressor, as n_members"
            ),
        }
    ),
    "BaseEnsemble": table({"n_estimators n_nets n_models": "the argument is n_members"}),
    "MLPSearchCV": table(
        {
            "param_grid param_distributions": "the argument is params",
            "n_candidates": "the argument is n_iter",
            "n_jobs": "the argument is n_threads",
        }
    ),
    "MLPByGroup": table(
        {
            "by group groups": "the argument is key",
            "net model": "the argument is estimator",
            "n_jobs": "the argument is n_threads",
        }
    ),
    "TabularParameters": table(
        {
            **_OF_ESTIMATORS,
            "n_estimators n_members n_models": "the argument is n_nets",
            "early_stopping n_iter_no_change patience": (
                "the validation rows always decide when training ends; leave it out"
            ),
        }
    ),
    "MLP.evaluate": table(
        {
            "x": "the argument is X",
            "verbose": _QUIET,
            "batch_size steps": _ANY_BATCH,
            "return_dict": "with metrics, evaluate returns a dict; leave it out",
            "sample_weights weights": "the argument is sample_weight",
            "callbacks": "evaluate calls no callbacks; leave it out",
        }
    ),
    "MLP.summary": table(
        {
            "input_size input_shape input_data": (
                "a network knows its number of inputs; leave it out"
            ),
            "line_length positions print_fn expand_nested show_trainable layer_range depth "
            "col_names col_width row_settings device verbose": (
                "there is no such option; leave it out"
            ),
        }
    ),
    "profile": table(
        {
            "x": "the argument is X",
            "sample_weights weights": "the argument is sample_weight",
            "n_jobs num_workers num_threads": "the argument is n_threads",
            "epochs n_epochs repeat repeats number rounds": "the argument is seconds",
            "verbose": "it returns a Profile, which print shows; leave it out",
        }
    ),
    "Dense": table(
        {
            "in_features input_dim input_shape n_in": (
                "each layer infers its number of inputs; pass that of the network as the first "
                "argument of MLP"
            ),
            "out_features n_units size n_out output_dim": "the argument is units",
            "bias": "the argument is use_bias",
            "act nonlinearity": "the argument is activation",
            "kernel_initializer init weight_init": "the argument is initializer",
            "lr_mult lr_multiplier learning_rate lr": "the argument is learning_rate_multiplier",
            "kernel_regularizer weight_decay alpha regularizer": (
                "the penalties are l1 and l2: Dense(64, 'relu', l2=1e-4)"
            ),
            "bias_regularizer activity_regularizer": "only weights have penalties, l1 and l2",
            "kernel_constraint bias_constraint": (
                "weights have no constraints, only the penalties l1 and l2"
            ),
            "negative_slope": "use activation=Activation('leaky_relu', alpha=0.2)",
            "dropout rate": "use a layer after it: Dropout(0.2)",
            "dtype": "pass dtype to MLP",
            "seed": "pass seed to MLP",
            "name": _NO_NAME,
            "device": _NO_DEVICE,
            "lora_rank lora_alpha quantization_config": "there is no such option; leave it out",
        }
    ),
    "Dropout": table(
        {
            "p prob probability": "the argument is rate",
            "seed": "pass seed to MLP",
            "inplace noise_shape name": "there is no such option; leave it out",
        }
    ),
    "Embedding": table(
        {
            "num_embeddings input_dim n num_categories cardinalities": (
                "the argument is n_categories"
            ),
            "embedding_dim output_dim units d_embedding": "the argument is dim",
            "padding_idx mask_zero": "give missing values a category of their own; leave it out",
            "max_norm scale_grad_by_freq sparse embeddings_regularizer": (
                "there is no such option; leave it out"
            ),
            "name": _NO_NAME,
        }
    ),
    "NumericEmbedding": table(
        {
            "d_embedding embedding_dim output_dim units": "the argument is dim",
            "edges boundaries": "the argument is bins, such as NumericEmbedding.edges(X, 16)",
            "n_bins": "pass bins=NumericEmbedding.edges(X, n_bins)",
            "frequency_init_scale scale": "the argument is sigma",
            "frequencies k": "the argument is n_frequencies",
            "lite version": "there is no such option; leave it out",
            "name": _NO_NAME,
        }
    ),
    "LayerNorm": table(
        {
            "normalized_shape axis": "rows are normalized over all their columns; leave it out",
            "eps": "the argument is epsilon",
            "elementwise_affine center scale bias": (
                "it has a gain and a bias; trainable=False keeps them at 1 and 0"
            ),
            "name": _NO_NAME,
        }
    ),
    "Standardize": table(
        {
            "mean variance": (
                "the mean and the scale are computed from rows, by fit or by MLP.adapt"
            ),
            "axis with_mean with_std name": "there is no such option; leave it out",
        }
    ),
    "Ensemble": table(
        {
            "n_members members n_estimators n_nets ensemble_size": "the argument is k",
            "arch_type": "adapters='first' is TabM-mini, adapters='all' is TabM",
            "start_scaling_init scaling_init": "the argument is initializer",
            "name": _NO_NAME,
        }
    ),
    "Residual": table({"name": _NO_NAME}),
    "Activate": table({"name": _NO_NAME}),
    "Activation": table(
        {
            "negative_slope slope": "the argument is alpha",
            "approximate": "'gelu' is exact, 'gelu_tanh' approximate; leave it out",
        }
    ),
    "Optimizer": table(
        {
            "lr learning_rate_init": "the argument is learning_rate",
            "betas": "the arguments are beta_1 and beta_2: Adam(beta_1=0.9, beta_2=0.999)",
            "eps": "the argument is epsilon",
            "params parameters": "the network updates its own parameters; leave it out",
            "nesterovs_momentum": "the argument is nesterov, of SGD",
            "alpha": "for RMSProp the argument is rho; for a penalty use Dense(l2=...)",
            "decay lr_decay": "pass a schedule as learning_rate, such as InverseScaling(0.01)",
            "power_t": "use InverseScaling(0.01, power=0.5) as learning_rate",
            "clip_norm clip_grad_norm max_grad_norm": (
                "use global_clipnorm=1.0, or clipnorm=1.0 for each W and each b"
            ),
            "clip_value clip_grad_value": "the argument is clipvalue",
            "dampening": "there is no dampening; leave it out",
            "ema_overwrite_frequency": (
                "MLP.averaged returns a network with the average weights; leave it out"
            ),
            "foreach fused capturable differentiable jit_compile loss_scale_factor "
            "gradient_accumulation_steps decoupled_weight_decay": (
                "there is no such option; leave it out"
            ),
            "name": _NO_NAME,
        }
    ),
    "Schedule": table(
        {
            "lr base_lr": "the argument is initial_learning_rate",
            "max_lr": "the argument is max_learning_rate",
            "min_lr eta_min": "the argument is alpha, the last rate as a fraction of the first",
            "step_size": "the argument is decay_steps, with per='epoch'",
            "gamma": "the argument is decay_rate",
            "T_max total_iters": "the argument is decay_steps, with per='epoch'",
            "T_0": "the argument is first_decay_steps",
            "T_mult": "the argument is t_mul",
            "epochs steps_per_epoch": (
                "the argument is total_steps, the product of epochs and steps per epoch"
            ),
            "warmup_steps warmup_target": "use LinearWarmup(schedule, steps)",
            "optimizer": "pass the schedule to the optimizer: Adam(CosineDecay(1e-3, 1000))",
            "anneal_strategy cycle_momentum base_momentum max_momentum three_phase last_epoch": (
                "there is no such option; leave it out"
            ),
            "name": _NO_NAME,
        }
    ),
    "Loss": table(
        {
            "from_logits": (
                "the loss is computed from the pre-activations of a softmax or sigmoid output; "
                "leave it out"
            ),
            "label_smoothing": "cross-entropies have it: CrossEntropy(label_smoothing=0.1)",
            "reduction size_average reduce": "it belongs to MLP: reduction='mean' or 'sum'",
            "weight pos_weight class_weight": "pass class_weight to fit",
            "ignore_index": "give such rows sample_weight 0",
            "beta": "the argument is delta",
            "quantile alpha tau": "the argument is q",
            "log_input full": "the output is the rate: Dense(1, 'exp')",
            "axis dtype name": "there is no such option; leave it out",
        }
    ),
    "TensorBoard": table(
        {
            "update_freq": "values are written after every epoch; leave it out",
            "write_graph write_images write_steps_per_second profile_batch embeddings_freq "
            "embeddings_metadata": "there is no such option; leave it out",
        }
    ),
    "Callback": table(
        {
            "verbose": _QUIET,
            "filepath filename": "the argument is path",
            "save_weights_only": "a file always holds the whole network; leave it out",
            "save_freq": "use period=n for every n epochs",
            "initial_value_threshold": "set the attribute best of the callback",
            "threshold epsilon": "the argument is min_delta",
            "metric": "the argument is monitor",
            "n_iter_no_change": "the argument is patience",
            "tol": "the argument is min_delta",
            "restore_best_model": "the argument is restore_best_weights",
        }
    ),
}

#: What to pass for a required argument, by the class or function that was called without it.
NEEDED: dict[str, dict[str, str]] = {
    "MLP": {
        "n_in": "pass the number of inputs, the columns of X: MLP(64, [...], ...)",
        "layers": (
            "pass the number of inputs and a list of layers: "
            "MLP(64, [Dense(32, 'relu'), Dense(1)], ...)"
        ),
        "loss": (
            "pass loss='squared_error' for numbers, 'binary_cross_entropy' for 0 and 1 (after "
            "'sigmoid') or 'cross_entropy' for classes (after 'softmax')"
        ),
        "optimizer": "pass optimizer='adam', or an object such as Adam(learning_rate=0.001)",
    },
    "Dense": {"units": "pass the number of outputs, such as Dense(64, 'relu')"},
    "Dropout": {"rate": "pass the fraction to drop, such as Dropout(0.2)"},
    "Ensemble": {
        "k": (
            "pass the number of members, then the layers of a member: "
            "Ensemble(16, [Dense(64, 'relu'), Dense(1)])"
        ),
        "layers": (
            "pass the layers of a member, such as Ensemble(16, [Dense(64, 'relu'), Dense(1)])"
        ),
    },
    "Residual": {"layers": "pass the layers of the block, such as Residual([Dense(8)])"},
}


# ---- attributes and methods of a network --------------------------------------------------------

_BUILT = "a network is complete when it is built: MLP(n_in, layers, loss=..., optimizer=...)"
_LOOP = (
    "net.fit(X, y) is the training loop; net.train_on_batch makes one update, and "
    "net.loss_and_gradients returns gradients"
)
_ON_CPU = "networks stay on the CPU, and dtype is an argument of MLP; drop the call"
_WEIGHTS = "use net.get_weights() and net.set_weights(weights)"
_WHOLE = "use net.save(path) and fastnn.load(path), which store the whole network"
_FREEZING = "use net.freeze(...) and net.unfreeze(...)"
_SCORES = "use net.evaluate(X, y, metrics=[...])"
_HISTORY = "use what fit returns: history = net.fit(X, y); history.history"
_HOOKS = "use a Callback for batches and epochs, and net.activations for outputs of layers"
_FIXED = "the layers of a network are fixed; build another MLP"

_ATTRIBUTES = {
    "compile build compile_from_config build_from_config": _BUILT,
    "add append extend insert pop add_module register_module set_submodule": _FIXED,
    "forward call": "use net.predict(X)",
    "predict_on_batch predict_step": "use net.predict(X)",
    "predict_proba": "net.predict(X) returns probabilities after a softmax or sigmoid",
    "predict_log_proba": "use np.log(net.predict(X))",
    "test_on_batch test_step score score_samples metrics metrics_names get_metrics_result": (
        _SCORES
    ),
    "train train_step backward zero_grad partial_fit compute_loss make_train_function": _LOOP,
    "fit_generator evaluate_generator predict_generator": ("net.fit takes any iterable of batches"),
    "eval training": "net.predict never drops units, net.fit always does; leave it out",
    "state_dict load_state_dict parameters named_parameters weights variables "
    "trainable_variables trainable_weights non_trainable_variables non_trainable_weights "
    "coefs_ coefs intercepts_ intercepts kernel bias W b buffers named_buffers get_parameter "
    "get_buffer torch_params": _WEIGHTS,
    "children named_children modules named_modules get_layer get_submodule n_layers_ n_layers "
    "hidden_layer_sizes": "use net.layers, the list of layers",
    "save_weights load_weights load load_model export to_keras to_h5 from_pretrained": _WHOLE,
    "to_onnx onnx": "use fastnn.onnx.export(net, path)",
    "requires_grad_ requires_grad trainable": _FREEZING,
    "to cuda cpu xpu ipu mtia half float double bfloat16 type to_empty share_memory device": (
        _ON_CPU
    ),
    "lr learning_rate_init": "use net.learning_rate",
    "count_params num_parameters n_params n_weights": "use net.n_parameters",
    "input_shape input_dim n_inputs n_features_in_ in_features": "use net.n_in",
    "output_shape output_dim n_outputs n_outputs_ out_features": "use net.n_out",
    "classes_": "use net.classes",
    "feature_names_in_": "use net.feature_names",
    "n_iter_ t_": "use net.epoch and net.step, the numbers of epochs and of updates",
    "history loss_curve_ loss_ losses best_loss_ validation_scores_": _HISTORY,
    "plot plot_history": "use history = net.fit(X, y); history.plot()",
    "get_params set_params": "use net.get_config() and MLP.from_config(config)",
    "clone clone_model": "use net.copy(), or MLP.from_config(net.get_config())",
    "apply register_forward_hook register_backward_hook register_full_backward_hook "
    "register_forward_pre_hook": _HOOKS,
    "input inputs output outputs": "use net.activations(X), the outputs of every layer",
    "reset_states reset_metrics": "there is nothing to reset; drop the call",
    "gradients get_gradients": "use net.loss_and_gradients(X, y)",
    "random_state": "use net.seed",
    "name": "use net.metadata, which is saved with the network",
}
ATTRIBUTES = table(_ATTRIBUTES)
#: All the names of ATTRIBUTES above, as other libraries spell them.
ATTRIBUTE_NAMES = tuple(name for names in _ATTRIBUTES for name in names.split())

#: Attributes of a layer, which is a specification without weights.
LAYER_ATTRIBUTES = table(
    {
        "weights get_weights kernel W b bias gamma beta parameters state_dict variables": (
            "a layer is a specification; the weights are net.get_weights()"
        ),
        "set_weights": "a layer is a specification; use net.set_weights(weights)",
        "output forward call": "a layer is a specification; use net.activations(X)",
        "in_features input_shape n_in input_dim": "net.n_in is the number of inputs",
        "out_features output_shape n_out": "use layer.units",
        "build": "layers are built with the network",
    }
)

#: Names of the package: layers, losses, optimizers and functions of other libraries.
PACKAGE: dict[str, str] = {
    **{name: hint for name, hint in LAYERS.items() if name not in ("str", "int", "activation")},
    **table(
        {
            "Sequential Model Module nn Functional": (
                "use MLP(n_in, [Dense(64, 'relu'), Dense(1)], loss=..., optimizer=...)"
            ),
            "MLPClassifier MLPRegressor": "it is in fastnn.sklearn",
            "load_model read_model": "use fastnn.load(path)",
            "save save_model": "use net.save(path)",
            "set_random_seed manual_seed seed": "pass seed to each MLP",
            "set_num_threads num_threads": "pass n_threads to MLP or fit",
            "tensor Tensor DataLoader Dataset TensorDataset": (
                "pass NumPy arrays, or any iterable of batches, to net.fit"
            ),
            "no_grad": "net.predict computes no gradients; leave it out",
            "ReLU ELU SELU GELU SiLU Sigmoid Tanh Softmax Softplus LeakyReLU": (
                "an activation belongs to a Dense, such as Dense(64, 'relu')"
            ),
            "optim": "use Adam(0.001), SGD(0.01, momentum=0.9), RMSProp(0.001)",
            "regularizers l1 l2": "penalties belong to a layer: Dense(64, 'relu', l2=1e-4)",
        }
    ),
}
