"""MLPClassifier and MLPRegressor: drop-in replacements for scikit-learn's estimators; ensembles.

Parameters, defaults, attributes, warnings and errors are those of scikit-learn 1.9. The same
``random_state`` gives the same initial weights, validation split and order of rows, and so the same
model up to rounding; docs/how-to/scikit_learn.rst lists the exceptions. Requires scikit-learn 1.6
or newer: ``pip install 'scikit-learn>=1.6'``.

Here: the translation of the estimators' parameters for an `MLP`, and scikit-learn's conventions.
Not here: the training (`MLP.fit`); the estimators use only the public API of fastnn.

- `parameters`: name, type, default, constraints and documentation of each parameter
- `rows`: rows and their weights, as scikit-learn validates them
- `network`: the `MLP` that the parameters describe, and its initial weights
- `descent`: training by stochastic gradient descent, of one estimator or of many together
- `epochs`: the work after each epoch: loss curves, the learning rate, the end of training
- `lbfgs`: training by L-BFGS
- `notices`: warnings, attributed to the same module and line as scikit-learn's
- `search`: the selection of the best of many candidates by cross-validation; `trials` trains and
  scores them
- `members`: base class of estimators with several networks
- `by_group`: a network for each group of rows
- `table_encoder`: encoding of data frames as inputs, a step of a pipeline
- `tabular`: estimators for data frames, ensembles that need no tuning
- `tabular_base`: their common base class; `tabular_parameters`: their parameters
- `converters`: the estimators for skl2onnx; `hooks` registers them once skl2onnx is imported
- `base`: the base class of both estimators; `classifier` and `regressor` add targets and
  predictions
- `ensembles`: ensembles of networks that differ in their seeds, and their joint predictions
"""

try:
    from fastnn.sklearn.by_group import MLPByGroup
    from fastnn.sklearn.classifier import MLPClassifier
    from fastnn.sklearn.ensembles import MLPEnsembleClassifier, MLPEnsembleRegressor
    from fastnn.sklearn.hooks import when_imported
    from fastnn.sklearn.regressor import MLPRegressor
    from fastnn.sklearn.search import MLPSearchCV
    from fastnn.sklearn.table_encoder import TableEncoder
    from fastnn.sklearn.tabular import TabularClassifier, TabularRegressor
except ImportError as error:
    raise ImportError(
        f"fastnn.sklearn needs scikit-learn 1.6 or newer ({error}); install it with pip install "
        "'scikit-learn>=1.6'"
    ) from error

__all__ = [
    "MLPByGroup",
    "MLPClassifier",
    "MLPEnsembleClassifier",
    "MLPEnsembleRegressor",
    "MLPRegressor",
    "MLPSearchCV",
    "TableEncoder",
    "TabularClassifier",
    "TabularRegressor",
]


def _register_converters() -> None:
    from fastnn.sklearn.converters import register  # imports skl2onnx, which is slow

    register()


when_imported("skl2onnx", _register_converters)
