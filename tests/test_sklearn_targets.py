"""The option standardize_target of fastnn.sklearn's regressors.

Proves that training is that of the standardized target, to the bit; that everything which a fitted
estimator has or writes is for y itself; that training continues as if the scaling had never been
undone; and that ensembles, groups and searches agree with single estimators. Not here: the other
parameters (test_sklearn.py), the scaling in networks for tables (test_table_ensemble.py).
"""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import check_estimator

import fastnn
from fastnn import Adam, Callback, CustomLoss, Quantile, ScheduleFreeAdamW
from fastnn.sklearn import MLPByGroup, MLPEnsembleRegressor, MLPRegressor, MLPSearchCV

PATIENTS, COURSE = load_diabetes(return_X_y=True)
PATIENTS = scale(PATIENTS)
#: Two targets of very different scales.
COURSES = np.column_stack([COURSE, 1e-3 * PATIENTS[:, 0] - 5])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(epochs=6, **options):
    options = {"standardize_target": True, "random_state": 0, **options}
    return MLPRegressor(hidden_layer_sizes=(16,), max_iter=epochs, **options)


def weights(net):
    return [*net.coefs_, *net.intercepts_]


def equal(some, others):
    return len(some) == len(others) and all(map(np.array_equal, some, others))


@pytest.mark.slow
@pytest.mark.parametrize(
    "net",
    [
        regressor(200),
        regressor(200, solver="lbfgs"),
        MLPEnsembleRegressor(n_members=2, max_iter=100, standardize_target=True),
    ],
)
def test_scikit_learns_checks_pass(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(net, on_fail=None)
    assert [r for r in results if r["status"] not in ("passed", "skipped")] == []


# ---- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"solver": "lbfgs"}, {"solver": "sgd", "learning_rate": "adaptive"}, {"loss": "huber"},
    {"loss": Quantile(0.9)}, {"dtype": "float32"}, {"early_stopping": True},
    {"optimizer": ScheduleFreeAdamW(1e-2)},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("y", [COURSE, COURSES], ids=["one", "two"])
def test_training_is_that_of_the_standardized_target(y, options):
    net = regressor(20, **options).fit(PATIENTS, y)
    mean, spread = y.mean(axis=0), y.std(axis=0)
    plain = regressor(20, **options, standardize_target=False).fit(PATIENTS, (y - mean) / spread)
    assert net.target_mean_ == pytest.approx(np.atleast_1d(mean))
    assert net.target_scale_ == pytest.approx(np.atleast_1d(spread))
    eps = np.finfo(net.net_.dtype).eps
    assert net.loss_ == pytest.approx(plain.loss_, rel=1e-6)
    for name in ("loss_curve_", "validation_scores_"):
        ours, theirs = getattr(net, name, None), getattr(plain, name, None)
        assert ours == (theirs and pytest.approx(theirs, rel=1e-6))
    expected = plain.predict(PATIENTS) * spread + mean
    np.testing.assert_allclose(net.predict(PATIENTS), expected, rtol=1e5 * eps)
    assert net.score(PATIENTS, y) == pytest.approx(r2_score(y, net.predict(PATIENTS)))


def test_as_a_target_transformed_by_scikit_learn():
    net = regressor(20, early_stopping=True).fit(PATIENTS, COURSE)
    inner = clone(net).set_params(standardize_target=False)
    outer = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(PATIENTS, COURSE)
    np.testing.assert_allclose(net.predict(PATIENTS), outer.predict(PATIENTS), rtol=1e-12)
    assert net.validation_scores_ == pytest.approx(outer.regressor_.validation_scores_)


def test_the_target_is_not_standardized_by_default():
    plain = MLPRegressor(hidden_layer_sizes=(16,), max_iter=6, random_state=0)
    nets = [net.fit(PATIENTS, COURSE) for net in (plain, regressor(standardize_target=False))]
    assert equal(*map(weights, nets))
    assert not any(hasattr(net, "target_mean_") for net in nets)


def test_rows_count_with_their_weights():
    weight = np.arange(len(COURSE)) % 3
    y = np.where(weight, COURSE, 1e9)
    net = regressor().fit(PATIENTS, y, sample_weight=weight * 1e300)
    repeated = np.repeat(COURSE, weight)
    assert net.target_mean_[0] == pytest.approx(repeated.mean())
    assert net.target_scale_[0] == pytest.approx(repeated.std())


def test_a_constant_target():
    net = regressor().fit(PATIENTS, np.full(len(PATIENTS), 7.0))
    assert (net.target_mean_, net.target_scale_) == ([7.0], [1.0])


def test_validation_rows_are_scaled():
    rows = PATIENTS[:300], COURSE[:300]
    held = PATIENTS[300:], COURSE[300:]
    net = regressor().fit(*rows, X_val=held[0], y_val=held[1])
    mean, spread = rows[1].mean(), rows[1].std()
    outputs = (net.predict(held[0]) - mean) / spread
    expected = 0.5 * np.mean((outputs - (held[1] - mean) / spread) ** 2)
    assert net.validation_loss_curve_[-1] == pytest.approx(expected, rel=0.01)


# ---- a fitted estimator is for y ----------------------------------------------------------------


def test_weights_network_and_exports_predict_y(tmp_path):
    net = regressor(50).fit(PATIENTS, COURSES)
    expected = net.predict(PATIENTS)
    hidden = np.maximum(PATIENTS @ net.coefs_[0] + net.intercepts_[0], 0)
    by_hand = hidden @ net.coefs_[1] + net.intercepts_[1]
    net.net_.save(tmp_path / "net.safetensors")
    pipeline = make_pipeline(StandardScaler(), regressor()).fit(PATIENTS, COURSES)
    found = {
        "by hand": (by_hand, expected),
        "net_": (net.net_.predict(PATIENTS), expected),
        "a file": (fastnn.load(tmp_path / "net.safetensors").predict(PATIENTS), expected),
        "to_sklearn": (fastnn.to_sklearn(net).predict(PATIENTS), expected),
        "from_sklearn": (fastnn.from_sklearn(net).predict(PATIENTS), expected),
        "a pipeline": (fastnn.from_sklearn(pipeline).predict(PATIENTS), pipeline.predict(PATIENTS)),
        "a pickle": (pickle.loads(pickle.dumps(net)).predict(PATIENTS), expected),
    }
    for form, (outputs, wanted) in found.items():
        np.testing.assert_allclose(outputs, wanted, rtol=1e-9, err_msg=form)
    sources = []
    for given in (net, net.net_):
        fastnn.to_c(given, tmp_path / "net.c")
        sources.append((tmp_path / "net.c").read_bytes())
    assert sources[0] == sources[1]


def test_an_onnx_model_predicts_y():
    runtime = pytest.importorskip("onnxruntime")
    net = regressor(50, dtype="float32").fit(PATIENTS, COURSE)
    session = runtime.InferenceSession(fastnn.onnx.export(net).SerializeToString())
    (name,) = (given.name for given in session.get_inputs())
    (outputs,) = session.run(None, {name: PATIENTS.astype(np.float32)})
    np.testing.assert_allclose(outputs.ravel(), net.predict(PATIENTS), rtol=1e-4)


def test_averages_of_weights_predict_y():
    optimizer = Adam(1e-2, use_ema=True, ema_momentum=0.9)
    net = regressor(50, optimizer=optimizer).fit(PATIENTS, COURSE)
    assert r2_score(COURSE, net.net_.averaged().predict(PATIENTS)) > 0.4


def test_predictions_in_a_callback_are_for_y():
    seen = {}

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs):
            seen["predicted"], seen["copy"] = net.predict(PATIENTS), copy.deepcopy(net)
            seen["outputs"] = self.model.predict(PATIENTS).ravel()

        def __deepcopy__(self, memo):
            return self

    net = regressor(3, callbacks=[Watch()])
    net.fit(PATIENTS, COURSE)
    assert abs(seen["outputs"]).max() < 20
    np.testing.assert_allclose(seen["predicted"], net.predict(PATIENTS), rtol=1e-12)
    assert equal(weights(seen["copy"]), weights(net))


# ---- continuing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [
    None, Adam(1e-2, use_ema=True), ScheduleFreeAdamW(1e-2)
], ids=["adam", "averages", "schedule-free"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_partial_fits_are_one_fit_to_the_bit(optimizer, dtype):
    options = {"shuffle": False, "optimizer": optimizer, "dtype": dtype}
    whole = regressor(5, **options).fit(PATIENTS, COURSES)
    parts = regressor(**options)
    for epoch in range(5):
        parts.partial_fit(PATIENTS, COURSES)
        if epoch == 2:
            parts = pickle.loads(pickle.dumps(parts))
    assert equal(weights(parts), weights(whole))
    assert parts.loss_curve_ == whole.loss_curve_
    if optimizer is not None and optimizer.use_ema:
        assert equal(parts.net_.get_ema_weights(), whole.net_.get_ema_weights())


def test_the_first_partial_fit_decides():
    net = regressor().partial_fit(PATIENTS[:100], COURSE[:100])
    mean = COURSE[:100].mean()
    net.partial_fit(PATIENTS[100:], COURSE[100:])
    assert net.target_mean_[0] == pytest.approx(mean)
    before = weights(net)
    with pytest.raises(ValueError, match="1 output;"):
        net.partial_fit(PATIENTS, COURSES)
    assert equal(weights(net), before)


def test_assigned_weights_are_for_y():
    net = regressor().partial_fit(PATIENTS, COURSE)
    net.intercepts_ = [net.intercepts_[0], net.intercepts_[1] + 10]
    moved = net.predict(PATIENTS)
    net.set_params(optimizer=None, learning_rate_init=1e-12)
    net.warm_start = True
    net.set_params(max_iter=1, alpha=0.0).fit(PATIENTS, COURSE)
    np.testing.assert_allclose(net.predict(PATIENTS), moved, rtol=1e-6)


def test_a_warm_start_keeps_mean_and_scale_and_a_new_fit_does_not():
    net = regressor(30, warm_start=True).fit(PATIENTS, COURSE)
    mean, before = net.target_mean_[0], net.predict(PATIENTS)
    net.set_params(max_iter=1, learning_rate_init=1e-9).fit(PATIENTS, COURSE + 100)
    assert net.target_mean_[0] == mean
    np.testing.assert_allclose(net.predict(PATIENTS), before, rtol=1e-5)
    net.set_params(warm_start=False).fit(PATIENTS, COURSE + 100)
    assert net.target_mean_[0] == pytest.approx(mean + 100)
    net.set_params(standardize_target=False).fit(PATIENTS, COURSE)
    assert not hasattr(net, "target_mean_")


def test_during_partial_fit_the_estimator_predicts_y():
    class Watch(Callback):
        def on_train_batch_end(self, batch, logs):
            assert np.array_equal(net.predict(PATIENTS), before)
            assert abs(self.model.predict(PATIENTS)).max() < 20

        def on_epoch_end(self, epoch, logs):
            if other:
                net.set_params(callbacks=None).partial_fit(PATIENTS, COURSE)

    other, net = False, regressor().partial_fit(PATIENTS, COURSE)
    before, curve = net.predict(PATIENTS), net.loss_curve_
    net.set_params(callbacks=[Watch()]).partial_fit(PATIENTS, COURSE)
    assert not np.array_equal(net.predict(PATIENTS), before)
    assert (len(curve), len(net.loss_curve_)) == (1, 2)
    other, before = True, net.predict(PATIENTS)
    with pytest.raises(RuntimeError, match="fitted in another thread"):
        net.partial_fit(PATIENTS, COURSE)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_an_error_leaves_the_estimator_as_it_was(hook):
    def fail(self, number, logs):
        raise ZeroDivisionError

    failing = type("Fail", (Callback,), {hook: fail})()
    net, twin = (regressor().partial_fit(PATIENTS, COURSE) for _ in range(2))
    with pytest.raises(ZeroDivisionError):
        net.set_params(callbacks=[failing]).partial_fit(PATIENTS, COURSE)
    assert equal(weights(net), weights(twin))
    for each in (net.set_params(callbacks=None), twin):
        each.partial_fit(PATIENTS, COURSE)
    assert equal(weights(net), weights(twin))
    assert net.loss_curve_ == twin.loss_curve_


def test_an_interrupted_fit_is_for_y():
    class Interrupt(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                raise ZeroDivisionError

    net = regressor(callbacks=[Interrupt()])
    with pytest.raises(ZeroDivisionError):
        net.fit(PATIENTS, COURSE)
    expected = regressor(3).fit(PATIENTS, COURSE)
    assert equal(weights(net), weights(expected))


# ---- errors -------------------------------------------------------------------------------------


def test_clear_errors():
    with pytest.raises(ValueError, match="'poisson' is for targets of 0 or more"):
        regressor(loss="poisson").fit(PATIENTS, COURSE)
    with pytest.raises(ValueError, match="float32 rounds away"):
        regressor(dtype="float32").fit(PATIENTS, COURSE + 1e9)
    with pytest.raises(ValueError, match="standardize_target"):
        regressor(standardize_target="yes").fit(PATIENTS, COURSE)


def test_an_own_loss_gets_standardized_targets():
    seen = []

    def loss(outputs, targets):
        seen.append(np.abs(targets).max())
        return ((outputs - targets) ** 2).sum(axis=1) / 2, outputs - targets

    regressor(2, loss=CustomLoss(loss)).fit(PATIENTS, COURSE)
    assert max(seen) < 10


# ---- several networks ---------------------------------------------------------------------------


def test_members_of_an_ensemble_share_mean_and_scale():
    options = {"n_members": 24, "bootstrap": True, "oob_score": True, "learning_rate_init": 0.01}
    ensemble = MLPEnsembleRegressor(
        hidden_layer_sizes=(16,), max_iter=50, standardize_target=True, random_state=0, **options
    ).fit(PATIENTS, COURSE)
    assert all(member.target_mean_ == ensemble.target_mean_ for member in ensemble.estimators_)
    mean, std = ensemble.predict(PATIENTS, return_std=True)
    assert mean.mean() == pytest.approx(COURSE.mean(), rel=0.2)
    assert std.max() > 1
    np.testing.assert_allclose(ensemble.fits_.predict(PATIENTS, "mean").ravel(), mean, rtol=1e-9)
    known = ~np.isnan(ensemble.oob_prediction_)
    score = r2_score(COURSE[known], ensemble.oob_prediction_[known])
    assert ensemble.oob_score_ == pytest.approx(score)


def test_groups():
    X = np.column_stack([np.arange(len(COURSE)) % 3, PATIENTS])
    net = regressor(100, learning_rate_init=0.01)
    model = MLPByGroup(0, net, handle_unknown="default").fit(X, COURSE)
    assert model.score(X, COURSE) > 0.4
    unknown = np.column_stack([np.full(len(COURSE), 7), PATIENTS])
    assert model.score(unknown, COURSE) > 0.4


def test_a_search_scores_as_scikit_learns():
    grid = {"standardize_target": [True, False], "alpha": [1e-4, 1.0]}
    weight = np.arange(1.0, len(COURSE) + 1) % 5
    fits = [kind(regressor(), grid, cv=3).fit(PATIENTS, COURSE, sample_weight=weight)
            for kind in (MLPSearchCV, GridSearchCV)]  # fmt: skip
    ours, theirs = (search.cv_results_["mean_test_score"] for search in fits)
    assert np.array_equal(ours, theirs)
