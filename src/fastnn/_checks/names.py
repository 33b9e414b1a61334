"""Names that other libraries use, and their equivalents in fastnn: the tables of hints.

This module has losses, activations and other values; arguments.py has arguments and attributes.

A table has a row for each name, or for several names separated by spaces. Its text ends an error
message, after a semicolon. Names are compared without case and punctuation, so one row serves
"CategoricalHinge", "categorical_hinge" and "categorical-hinge". Not here: how a table is searched
(values.py, calls.py), and aliases, which are other names of the same thing (ALIASES of losses.py,
...).

tests/test_names.py goes through the names in Keras, PyTorch and scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain(name: str) -> str:
    """Return a name in the form in which names are compared: lower-case letters and digits."""
    return "".join(c for c in name.lower() if c.isalnum())


def table(rows: Mapping[str, str]) -> dict[str, str]:
    """Return a table keyed by plain names; a row's key may be several names separated by spaces."""
    return {plain(name): hint for names, hint in rows.items() for name in names.split()}


# ---- values -------------------------------------------------------------------------------------

_CROSS_ENTROPY = (
    "use 'cross_entropy', whose softmax is the activation of the last layer: Dense(n, 'softmax')"
)
_BINARY = (
    "use 'binary_cross_entropy', whose sigmoid is the activation of the last layer: "
    "Dense(n, 'sigmoid')"
)
_CLASSES = (
    "for classes use 'cross_entropy' with a softmax output, or 'binary_cross_entropy' with a "
    "sigmoid output"
)
_REGRESSION = "for numbers use 'squared_error', 'absolute_error', 'huber' or 'quantile'"
_SMOOTH_L1 = "use 'huber': the same with its default delta of 1, but summed over the outputs"

LOSSES = table(
    {
        "mse mean_squared_error MSELoss L2 L2Loss neg_mean_squared_error squared squared_loss": (
            "use 'squared_error', which is half the sum of the squared errors of a row's outputs, "
            "not their mean"
        ),
        "rmse root_mean_squared_error": (
            "use 'squared_error', whose mean over the rows has the same minimum as the root of "
            "that mean"
        ),
        "mae mean_absolute_error L1 L1Loss neg_mean_absolute_error": (
            "use 'absolute_error', which is the sum of the absolute errors of a row's outputs, not "
            "their mean"
        ),
        "binary_crossentropy BCE BCELoss": (
            "use 'binary_cross_entropy', which is summed over a row's outputs, not averaged: the "
            "same for one output"
        ),
        "BCEWithLogits BCEWithLogitsLoss binary_cross_entropy_with_logits sigmoid_cross_entropy "
        "MultiLabelSoftMarginLoss SoftMarginLoss": _BINARY,
        "CrossEntropyLoss CCE softmax softmax_cross_entropy LinearCrossEntropyLoss NLL NLLLoss "
        "AdaptiveLogSoftmaxWithLoss negative_log_likelihood": _CROSS_ENTROPY,
        "log_loss neg_log_loss log deviance logistic": (
            "use 'cross_entropy' with a softmax output, or 'binary_cross_entropy' with a sigmoid "
            "output"
        ),
        "huber_loss HuberLoss": (
            "use 'huber', or Huber(delta), which is summed over a row's outputs, not averaged"
        ),
        "smooth_l1_loss SmoothL1 SmoothL1Loss": _SMOOTH_L1,
        "log_cosh": "use 'huber', which is equally smooth at 0 and equally steep far from it",
        "quantile_loss pinball pinball_loss mean_pinball_loss": "use 'quantile', or Quantile(0.9)",
        "PoissonNLL PoissonNLLLoss poisson_loss neg_mean_poisson_deviance": (
            "use 'poisson', whose output is the rate: Dense(1, 'exp')"
        ),
        "KLD KLDivergence kl_div KLDivLoss": (
            "use 'cross_entropy' with rows of probabilities, which differs by the entropy of the "
            "targets, a constant"
        ),
        "categorical_focal_crossentropy binary_focal_crossentropy focal_loss "
        "categorical_generalized_cross_entropy": (
            "use 'cross_entropy' or 'binary_cross_entropy', with class_weight in fit for rare "
            "classes"
        ),
        "hinge squared_hinge categorical_hinge perceptron modified_huber HingeEmbeddingLoss "
        "MultiMarginLoss MultiLabelMarginLoss dice tversky": _CLASSES,
        "mape mean_absolute_percentage_error neg_mean_absolute_percentage_error": (
            "use 'absolute_error' with sample_weight=1 / abs(y), or train on log(y)"
        ),
        "msle mean_squared_logarithmic_error neg_mean_squared_log_error": (
            "use 'squared_error' and train on log1p(y)"
        ),
        "GaussianNLLLoss gaussian gaussian_likelihood beta_nll": "use 'gaussian_nll'",
        "epsilon_insensitive squared_epsilon_insensitive gamma tweedie": (_REGRESSION),
        "cosine_similarity CosineEmbeddingLoss circle TripletMarginLoss MarginRankingLoss "
        "TripletMarginWithDistanceLoss ctc CTCLoss": (
            "fastnn compares outputs with targets row by row: " + _REGRESSION + ", for classes "
            "'cross_entropy' or 'binary_cross_entropy'"
        ),
        "None": "a network needs a loss when it is built: " + _REGRESSION + "; " + _CLASSES,
    }
)

_LIKE_RELU = "use 'relu', 'leaky_relu' or 'elu', the closest alternatives"
_LIKE_TANH = "use 'tanh', the closest alternative"
_LIKE_SIGMOID = "use 'sigmoid', the closest alternative"

ACTIVATIONS = table(
    {
        "none lin id pass": "use 'identity', which is also the default",
        "threshold hard_shrink soft_shrink celu rrelu": _LIKE_RELU,
        "prelu": "use Activation('leaky_relu', alpha=0.25), whose slope is not trained",
        "lrelu leaky": "did you mean 'leaky_relu'?",
        "softsign tanh_shrink": _LIKE_TANH,
        "sparse_sigmoid": _LIKE_SIGMOID,
        "glu softmax2d softmin sparsemax multihead_attention": (
            "a Dense has an element-wise activation; the last one may have 'softmax'"
        ),
        "log_softmax": "use 'softmax' with loss 'cross_entropy', which works with the logarithms",
        "log_sigmoid": (
            "use 'sigmoid' with loss 'binary_cross_entropy', which works with the logarithms"
        ),
        "squareplus sparse_plus": "use 'softplus', the closest alternative",
        "sin cos sine gaussian step sign heaviside maxout": "use 'tanh' or 'relu'",
        "gelu_new gelu_approximate": "did you mean 'gelu_tanh'?",
        "quick_gelu": "use 'gelu', the exact form, or 'gelu_tanh'",
        "int": "Dense takes only the number of outputs, such as Dense(10, 'relu')",
    }
)

OPTIMIZERS = table(
    {
        "gd gradient_descent stochastic_gradient_descent momentum nesterov asgd averaged_sgd "
        "polyak": (
            "use 'sgd', or SGD(0.01, momentum=0.9, nesterov=True); use_ema=True averages the "
            "weights"
        ),
        "amsgrad": "use Adam(amsgrad=True)",
        "radam adamax sparse_adam adabelief adabound lamb": (
            "use 'adam' or 'adamw', the closest alternatives; for RAdam's slow start use "
            "LinearWarmup"
        ),
        "muon adamwr": "use 'adamw', the closest alternative",
        "adamw_schedule_free adamwschedulefree schedule_free": (
            "use 'schedule_free_adamw', or ScheduleFreeAdamW(0.0025)"
        ),
        "schedule_free_sgd sgd_schedule_free radam_schedule_free": (
            "use 'schedule_free_adamw', the closest alternative"
        ),
        "adadelta adafactor rprop": "use 'rmsprop' or 'adam', the closest alternatives",
        "ftrl": "use 'adagrad', with Dense(l1=...) for sparse weights",
        "lbfgs bfgs newton cg newton-cg": (
            "use fastnn.sklearn.MLPClassifier(solver='lbfgs'), or scipy.optimize.minimize with "
            "MLP.loss_and_gradients"
        ),
        "loss_scale_optimizer multi_optimizer": "use 'adam' or another single optimizer",
        "auto": "use 'adam'",
    }
)

INITIALIZERS = table(
    {
        "xavier xavier_uniform xavier_uniform_ glorot": "use 'glorot_uniform'",
        "xavier_normal xavier_normal_": "use 'glorot_normal'",
        "kaiming kaiming_uniform kaiming_uniform_ he": "use 'he_uniform'",
        "kaiming_normal kaiming_normal_": "use 'he_normal'",
        "lecun": "use 'lecun_uniform'",
        "orthogonal_initializer": "use 'orthogonal'",
        "zero": "use 'zeros'",
        "variance_scaling": (
            "use 'glorot_normal' (fan average), 'lecun_normal' (fan in) or 'he_normal' (twice that)"
        ),
        "random_normal random_uniform truncated_normal normal normal_ uniform uniform_ "
        "trunc_normal_ gaussian": (
            "use 'glorot_normal' or 'glorot_uniform', whose scale suits the layer, or "
            "MLP.set_weights"
        ),
        "ones ones_ constant constant_ identity eye_ identity_initializer dirac_ sparse_ stft "
        "stft_initializer": "use MLP.set_weights for weights of your own",
    }
)

INITIALIZERS_OF_BIASES = table(
    {
        "zero": "use 'zeros'",
        "one": "use 'ones'",
        "normal normal_ gaussian random_normal randn": (
            "use 'standard_normal', whose standard deviation is 1"
        ),
    }
)

_OF_CLASSES = (
    "pass a function f(y_true, y_pred) that returns a number; y_pred are the outputs, so that the "
    "class is y_pred.argmax(axis=1), or y_pred > 0.5"
)
_OF_NUMBERS = "pass a function f(y_true, y_pred) that returns a number"

METRICS = table(
    {
        "loss": "the loss is always among the results; leave it out",
        "binary_accuracy categorical_accuracy sparse_categorical_accuracy accuracy_score "
        "zero_one_loss": "use 'accuracy', for labels, one-hot rows and sigmoid outputs",
        "top_k_categorical_accuracy sparse_top_k_categorical_accuracy top_k top5 "
        "top_k_accuracy_score": "use 'top_k_accuracy', or TopKAccuracy(k)",
        "auc roc roc_auc_score roc_auc_ovr": "use 'roc_auc', the exact area under the ROC curve",
        "roc_auc_ovo roc_auc_ovo_weighted roc_auc_ovr_weighted": (
            "use 'roc_auc', each class against the rest, or " + _OF_CLASSES
        ),
        "R2Score r_squared explained_variance": "use 'r2'",
        "neg_mean_squared_error MSELoss mean_squared": "use 'mse', for which lower is better",
        "neg_mean_absolute_error L1Loss mean_absolute": "use 'mae', for which lower is better",
        "rmse root_mean_squared_error neg_root_mean_squared_error": (
            "use 'mse' and take the root, or " + _OF_NUMBERS
        ),
        "f1_score f1_macro": "use 'f1', or F1Score('macro') for the mean over two classes",
        "precision_score precision_macro": (
            "use 'precision', or Precision('macro') for the mean over two classes"
        ),
        "recall_score recall_macro": "use 'recall', or Recall('macro') for the mean of two classes",
        "balanced_accuracy_score": "use 'balanced_accuracy'",
        "crossentropy neg_log_loss binary_crossentropy categorical_crossentropy "
        "sparse_categorical_crossentropy": "use 'log_loss', for which lower is better",
        "f_beta_score fbeta f1_micro f1_weighted f1_samples precision_micro precision_samples "
        "precision_weighted recall_micro recall_samples recall_weighted average_precision jaccard "
        "jaccard_macro jaccard_micro jaccard_samples jaccard_weighted matthews_corrcoef "
        "true_positives true_negatives false_positives false_negatives precision_at_recall "
        "recall_at_precision sensitivity_at_specificity specificity_at_sensitivity iou mean_iou "
        "binary_iou one_hot_iou one_hot_mean_iou confusion_matrix cohen_kappa hinge squared_hinge "
        "categorical_hinge d2_brier_score d2_log_loss_score neg_brier_score "
        "positive_likelihood_ratio neg_negative_likelihood_ratio": _OF_CLASSES,
        "binary_focal_crossentropy categorical_focal_crossentropy kl_divergence": _OF_CLASSES,
        "mape mean_absolute_percentage_error neg_mean_absolute_percentage_error msle "
        "mean_squared_logarithmic_error neg_mean_squared_log_error neg_root_mean_squared_log_error "
        "neg_median_absolute_error neg_max_error max_error neg_mean_gamma_deviance "
        "neg_mean_poisson_deviance d2_absolute_error_score huber log_cosh log_cosh_error poisson "
        "cosine_similarity pearson_correlation concordance_correlation mean sum "
        "mean_metric_wrapper": _OF_NUMBERS,
        "adjusted_mutual_info_score adjusted_rand_score completeness_score fowlkes_mallows_score "
        "homogeneity_score mutual_info_score normalized_mutual_info_score rand_score "
        "v_measure_score": "it compares clusterings; " + _OF_CLASSES,
    }
)

SCHEDULES = table(
    {
        "constant constant_lr": "pass the number itself",
        "invscaling inverse_time_decay inverse_scaling": "use InverseScaling(0.01)",
        "adaptive reduce_lr_on_plateau plateau": (
            "use Adaptive(0.01), or the callback ReduceLROnPlateau"
        ),
        "step step_lr step_decay": "use StepDecay(0.1, decay_steps=30, per='epoch')",
        "multi_step multi_step_lr piecewise_constant piecewise_constant_decay": (
            "use PiecewiseConstantDecay([29, 59], [0.1, 0.01, 0.001], per='epoch')"
        ),
        "exponential exponential_lr exponential_decay": (
            "use ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.96)"
        ),
        "cosine cosine_annealing cosine_annealing_lr cosine_decay polynomial_decay polynomial_lr": (
            "use CosineDecay(0.001, decay_steps=1000)"
        ),
        "cosine_annealing_warm_restarts cosine_decay_restarts cyclic_lr": (
            "use CosineDecayRestarts(0.001, first_decay_steps=1000)"
        ),
        "one_cycle one_cycle_lr": "use OneCycle(0.01, total_steps=1000)",
        "linear_lr warmup": "use LinearWarmup(0.001, steps=100)",
        "lambda_lr multiplicative_lr learning_rate_schedule lr_scheduler function": (
            "use the callback LearningRateScheduler"
        ),
        "sequential_lr chained_scheduler": (
            "use LinearWarmup(schedule, steps), or the callback LearningRateScheduler"
        ),
        "auto": "pass a number such as 0.001",
    }
)

CALLBACKS = table(
    {
        "backup_and_restore orbax_checkpoint": "use ModelCheckpoint(path), and fit(resume=path)",
        "lambda_callback": "derive a class from fastnn.Callback",
        "progbar_logger": "use ProgressBar()",
        "remote_monitor": "derive a class from fastnn.Callback, whose on_epoch_end sends the logs",
        "callback_list": "pass the callbacks themselves",
    }
)

HOOKS = table(
    {
        "on_batch_begin": "the hook is on_train_batch_begin",
        "on_batch_end": "the hook is on_train_batch_end",
        "on_test_begin on_test_end on_test_batch_begin on_test_batch_end on_predict_begin "
        "on_predict_end on_predict_batch_begin on_predict_batch_end": (
            "evaluations and predictions call no hooks; on_epoch_end has the validation loss"
        ),
        "on_train_epoch_start": "the hook is on_epoch_begin",
        "on_train_epoch_end on_validation_end on_validation_epoch_end": "the hook is on_epoch_end",
        "on_train_start on_fit_start": "the hook is on_train_begin",
        "on_fit_end": "the hook is on_train_end",
    }
)

LAYERS = table(
    {
        "activation relu elu selu gelu silu sigmoid tanh softmax softplus leaky_relu prelu mish "
        "identity linear_activation str": (
            "an activation belongs to the Dense before it, such as Dense(64, 'relu')"
        ),
        "int": "a layer of 64 units is Dense(64, 'relu')",
        "linear lazy_linear": "use Dense(out_features); each layer infers its number of inputs",
        "input input_layer input_spec": "the first argument of MLP is the number of inputs",
        "flatten reshape": "reshape the rows instead: X.reshape(len(X), -1)",
        "normalization rescaling": "use Standardize() as the first layer",
        "batch_normalization batch_norm BatchNorm1d group_normalization rms_normalization "
        "unit_normalization": "use LayerNorm(), or Standardize() for the inputs",
        "layer_normalization": "use LayerNorm()",
        "alpha_dropout gaussian_dropout gaussian_noise spatial_dropout1d": "use Dropout(rate)",
        "add": "use Residual([...])",
        "dropout1d": "use Dropout(rate)",
        "sequential": "pass its layers themselves",
    }
)
