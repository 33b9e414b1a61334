"""The contenders of bench/real_tables.py: fastnn's ways to learn a table, and other libraries.

Each contender uses its defaults: a function fits a frame and returns a function that predicts.
Libraries are imported where they are used, so that those which are not installed are left out. Not
here: scores, splits and CPU seconds (real_tables.py), and the sets (table_sets.py).
"""

import contextlib
import os
import tempfile

import numpy as np
import pandas as pd

# ---- contenders: fit a frame, and return what predicts outputs (n,) or probabilities -------------


def categorical(frame, like=None):
    """Return a frame with texts as categories, those of the frame `like` if it is given."""
    found = frame.copy()
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            kind = "category" if like is None else like[name].dtype
            found[name] = frame[name].astype(kind)
    return found


def of_scikit_learn(make, prepare):
    """Return a contender from an estimator that follows scikit-learn's conventions."""

    def fit(frame, y, is_class, seed):
        train = prepare(frame)
        model = make(is_class, seed).fit(train, y)
        predict = model.predict_proba if is_class else model.predict
        return lambda new: predict(prepare(new, train))

    return fit


def of_labels(fit):
    """Return a contender whose classes are passed as 0, 1, ..., which it requires."""

    def fit_labels(frame, y, is_class, seed):
        return fit(frame, np.unique(y, return_inverse=True)[1] if is_class else y, is_class, seed)

    return fit_labels


def as_it_is(frame, like=None):
    return frame


def tabular(n_nets):
    def make(is_class, seed):
        from fastnn.sklearn import TabularClassifier, TabularRegressor

        kind = TabularClassifier if is_class else TabularRegressor
        return kind(n_nets, random_state=seed)

    return make


def command_line(preset):
    """Return the contender `fastnn train` with the defaults of a preset, on all rows."""
    return lambda *row_set: by_command_line(*row_set, preset)


def by_command_line(frame, y, is_class, seed, preset):
    """Train by `fastnn train`; return a function that predicts."""
    from fastnn.cli import main
    from fastnn.tabular.models import Model

    with tempfile.TemporaryDirectory() as folder:
        data, out = f"{folder}/rows.csv", f"{folder}/net.safetensors"
        frame.assign(target=[f"c{v}" for v in y] if is_class else y).to_csv(data, index=False)
        options = ["--test", "0", "--seed", str(seed), "--quiet", "--preset", preset]
        options += ["--task", "classification" if is_class else "regression"]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            code = main(["train", data, "--target", "target", "--out", out, *options])
        if code:
            raise RuntimeError(f"fastnn train ended with {code}")
        model, recipe = Model.load(out)
    places = [recipe.classes.index(f"c{v}") for v in np.unique(y)] if is_class else 0
    return lambda new: model.predict(recipe.inputs(new, "missing"))[0].astype(float)[:, places]


def lightgbm(is_class, seed):
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if is_class else LGBMRegressor)(random_state=seed, verbose=-1)


def histogram(is_class, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    return kind(random_state=seed, categorical_features="from_dtype")


def xgboost(is_class, seed):
    from xgboost import XGBClassifier, XGBRegressor

    return (XGBClassifier if is_class else XGBRegressor)(random_state=seed, enable_categorical=True)


def catboost(is_class, seed):
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if is_class else CatBoostRegressor
    return kind(random_seed=seed, verbose=False, allow_writing_files=False)


def by_catboost(frame, y, is_class, seed):
    """CatBoost with its categorical columns named; their missing values become a text."""
    columns = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]

    def prepare(frame):
        return frame.assign(**{name: frame[name].astype(object).fillna("") for name in columns})

    model = catboost(is_class, seed).fit(prepare(frame), y, cat_features=columns)
    predict = model.predict_proba if is_class else model.predict
    return lambda new: predict(prepare(new))


def pytabkit(name):
    """Return a network of pytabkit on the CPU; its missing numbers are filled in."""

    def make(is_class, seed):
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Classifier' if is_class else 'Regressor'}")
        return kind(device="cpu", random_state=seed)

    return of_scikit_learn(make, known_numbers)


def known_numbers(frame, like=None):
    """Return a frame of categories and numbers, with medians in place of missing numbers."""
    found = categorical(frame, like)
    numbers = found.select_dtypes("number")
    medians = (frame if like is None else like)[numbers.columns].median()
    return found.assign(**numbers.fillna(medians).astype(float))


def scikit_learn(is_class, seed):
    """scikit-learn's MLP after a scaler and one-hot encoding."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    net = (MLPClassifier if is_class else MLPRegressor)(random_state=seed)
    if is_class:
        return make_pipeline(columns, net)
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(make_pipeline(columns, net), transformer=StandardScaler())


CONTENDERS = {
    "fastnn train": command_line("good"),
    "fastnn train, plain": command_line("plain"),
    "Tabular, 1 network": of_scikit_learn(tabular(1), as_it_is),
    "Tabular, 5 networks": of_scikit_learn(tabular(5), as_it_is),
    "LightGBM": of_scikit_learn(lightgbm, categorical),
    "XGBoost": of_labels(of_scikit_learn(xgboost, categorical)),
    "CatBoost": by_catboost,
    "HistGradientBoosting": of_scikit_learn(histogram, categorical),
    "scikit-learn's MLP": of_scikit_learn(scikit_learn, as_it_is),
    "RealMLP-TD-S": pytabkit("RealMLP_TD_S"),
    "TabM": pytabkit("TabM_D"),
}
