"""The estimators against scikit-learn's own, number by number; its own checks; and what it does not have."""

import contextlib
import io
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxmlp
from jaxmlp import Model, activations, estimators, interop
from jaxmlp.estimators import MLPClassifier, MLPRegressor, base, epochs
from jaxmlp.training import full_batch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SCALED = {}


def data(name, n=None):
    """X scaled, y."""
    if name not in SCALED:
        load = {"iris": load_iris, "digits": load_digits, "cancer": load_breast_cancer, "diabetes": load_diabetes}
        X, y = load[name](return_X_y=True)
        SCALED[name] = StandardScaler().fit_transform(X), (y - y.mean()) / y.std() if name == "diabetes" else y
    X, y = SCALED[name]
    mixed = np.random.default_rng(0).permutation(len(X))[:n]
    return X[mixed], y[mixed]


@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


STOCHASTIC = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}
MORE = {
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-2, "n_iter_no_change": 1,
    },
    "stops": {"tol": 1e-2, "n_iter_no_change": 2, "learning_rate_init": 0.01},
    "early_stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.01},
    "unshuffled": {"shuffle": False},
    "batches": {"batch_size": 37, "alpha": 0.5, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    "clipped": {"batch_size": 100_000},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh", "hidden_layer_sizes": 7},
    "identity": {"activation": "identity", "hidden_layer_sizes": ()},
    "never stops": {"n_iter_no_change": np.inf, "tol": 1.0},
}  # fmt: skip


def both(name, X, y, **settings):
    settings = {"hidden_layer_sizes": (30, 20), "max_iter": 25, "random_state": 0, **settings}
    return getattr(theirs, name)(**settings).fit(X, y), getattr(estimators, name)(**settings).fit(X, y)


def assert_same(their, ours, tolerance=1e-10):
    assert ours.n_iter_ == their.n_iter_
    assert ours.t_ == their.t_
    for name in ("loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        got, want = getattr(ours, name), getattr(their, name)
        assert (got is None) == (want is None), name
        if want is not None:
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for got, want in zip(getattr(ours, name), getattr(their, name), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("hidden", [(30, 20), ()])
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_the_initial_weights_are_scikit_learns(activation, hidden):
    X, y = data("iris")
    same = {"max_iter": 1, "learning_rate_init": 1e-300, "hidden_layer_sizes": hidden, "activation": activation}
    exported, drawn = both("MLPClassifier", X, y, **same)
    for want, got in zip(exported.coefs_ + exported.intercepts_, drawn.coefs_ + drawn.intercepts_, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("settings", STOCHASTIC.values(), ids=STOCHASTIC)
@pytest.mark.parametrize("dataset", ["iris", "digits"])
def test_the_curve_of_losses_is_scikit_learns(dataset, settings):
    X, y = data(dataset)
    their, ours = both("MLPClassifier", X, y, **settings)
    assert len(ours.loss_curve_) == 25
    assert ours.loss_curve_[-1] < 0.9 * ours.loss_curve_[0]
    np.testing.assert_allclose(ours.loss_curve_, their.loss_curve_, rtol=0, atol=1e-10)
    assert_same(their, ours)
    np.testing.assert_allclose(ours.predict_proba(X), their.predict_proba(X), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(ours.predict(X), their.predict(X))
    assert ours.score(X, y) == their.score(X, y)


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")
@pytest.mark.parametrize("settings", MORE.values(), ids=MORE)
def test_every_setting_is_scikit_learns(settings):
    X, y = data("digits", 450)
    their, ours = both("MLPClassifier", X, y, max_iter=40, **{"hidden_layer_sizes": (16,), **settings})
    assert_same(their, ours)


def test_the_comparison_notices_an_epsilon_that_is_off_by_1e_4():
    X, y = data("iris")
    their, ours = both("MLPClassifier", X, y, epsilon=1e-5)
    _, other = both("MLPClassifier", X, y, epsilon=1.0001e-5)
    assert_same(their, ours)
    with pytest.raises(AssertionError, match="loss_curve_"):
        assert_same(their, other)


def targets(kind):
    X, y = data("digits", 300)
    noise = np.random.default_rng(0).normal(size=300)
    return X, {
        "binary": y > 4,
        "strings": np.array(list("abcdefghij"))[y],
        "multilabel": np.stack([y > 4, y % 2 == 0, y % 3 == 0], axis=1).astype(int),
        "one": X[:, 20] + 0.1 * noise,
        "two": np.stack([X[:, 20], X[:, 30] + noise], axis=1),
        "counts": y,
        "two counts": np.stack([y, y // 2], axis=1),
    }[kind]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "strings", "multilabel", "one", "two", "counts", "two counts"])
def test_every_kind_of_target(kind, early_stopping):
    X, y = targets(kind)
    name = "MLPClassifier" if kind in ("binary", "strings", "multilabel") else "MLPRegressor"
    more = {"loss": "poisson"} if "counts" in kind else {}
    their, ours = both(name, X, y, hidden_layer_sizes=(16,), early_stopping=early_stopping, **more)
    assert_same(their, ours)
    got, want = ours.predict(X), their.predict(X)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if name == "MLPClassifier":
        np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(ours.predict_proba(X), their.predict_proba(X), rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours.predict_log_proba(X), their.predict_log_proba(X), rtol=1e-8, atol=1e-8)
    else:
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)
    for attribute in ("out_activation_", "n_outputs_", "n_layers_", "n_features_in_"):
        assert getattr(ours, attribute) == getattr(their, attribute)


@pytest.mark.parametrize("kind", ["binary", "strings", "one", "counts"])
def test_lbfgs_goes_scikit_learns_way(kind):
    X, y = targets(kind)
    name = "MLPClassifier" if kind in ("binary", "strings") else "MLPRegressor"
    more = {"loss": "poisson"} if "counts" in kind else {}
    their, ours = both(name, X, y, solver="lbfgs", hidden_layer_sizes=(8,), activation="tanh", max_iter=15, **more)
    assert ours.n_iter_ == their.n_iter_ == len(ours.loss_curve_) == 15
    np.testing.assert_allclose(ours.loss_, their.loss_, rtol=1e-6)  # a line search multiplies rounding
    np.testing.assert_allclose(ours.loss_curve_[-1], ours.loss_, rtol=1e-12)
    for limit in ({"max_fun": 3}, {"tol": 0.1, "max_iter": 500}):
        their, ours = both(name, X, y, solver="lbfgs", hidden_layer_sizes=(8,), activation="tanh", **{**limit, **more})
        assert ours.n_iter_ == their.n_iter_ < 200
        np.testing.assert_allclose(ours.loss_, their.loss_, rtol=1e-6)


def test_lbfgs_takes_several_outputs_and_compiles_once_for_all_alphas():
    X, y = targets("two")
    e = MLPRegressor(hidden_layer_sizes=(11,), solver="lbfgs", max_iter=50, random_state=0, alpha=0.0)
    before = full_batch._value_and_grad._cache_size()
    p = e.fit(X, y).predict(X)
    np.testing.assert_allclose(e.loss_, 0.5 * np.mean(np.sum((y - p) ** 2, axis=1)), rtol=1e-10)
    assert e.best_loss_ == min(e.loss_curve_) < 0.1 * e.loss_curve_[0]
    e.set_params(alpha=1.0).fit(X, y)
    assert full_batch._value_and_grad._cache_size() == before + 1


def test_weights_warm_starts_and_single_epochs_are_scikit_learns():
    X, y = data("digits", 200)  # one batch: there a weighted mean is the same for both
    weights = np.random.default_rng(0).uniform(0, 2, 200)
    for make in ({}, {"solver": "sgd", "learning_rate": "invscaling"}):
        pair = [
            e.MLPClassifier((16,), max_iter=5, random_state=0, warm_start=True, **make) for e in (theirs, estimators)
        ]
        for e in pair:
            e.fit(X, y, sample_weight=weights)
        assert_same(*pair)
        for e in pair:
            e.fit(X, y)
            e.partial_fit(X, y)
            e.partial_fit(X[:150], y[:150], sample_weight=weights[:150])
        assert_same(*pair)
        assert len(pair[1].loss_curve_) == 12


def test_float32_stays_float32():
    X, y = data("iris")
    their, ours = both("MLPClassifier", X.astype(np.float32), y)
    assert ours.coefs_[0].dtype == ours.predict_proba(X).dtype == np.float32
    assert_same(their, ours, 1e-4)


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_losses_of_saturated_probabilities_are_clipped_alike(kind):
    X, y = load_wine(return_X_y=True)  # not scaled: the first probabilities are 0 and 1
    their, ours = both("MLPClassifier", X, y if kind == "multiclass" else y > 0, max_iter=100, hidden_layer_sizes=(20,))
    assert their.loss_curve_[0] > 5
    assert_same(their, ours, 1e-7)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_single_epochs_of_other_dtypes_and_other_solvers(solver):
    X, y = data("iris")
    e = MLPClassifier((4,), solver=solver, random_state=0)
    e.partial_fit(X.astype(np.float32), y, classes=[0, 1, 2]).partial_fit(X, y)
    assert e.coefs_[0].dtype == np.float32
    e.set_params(solver={"sgd": "adam", "adam": "sgd"}[solver]).partial_fit(X, y)
    assert len(e.loss_curve_) == 3
    e.set_params(solver="lbfgs", max_iter=2, warm_start=True).fit(X, y)
    assert len(e.loss_curve_) == 5
    assert e.loss_ < e.loss_curve_[0]


def test_sparse_labels_are_made_dense():
    X, y = targets("multilabel")
    same = MLPClassifier((4,), max_iter=2, random_state=0)
    predicted = clone(same).fit(X, scipy.sparse.csr_array(y)).predict(X)
    np.testing.assert_array_equal(predicted, same.fit(X, y).predict(X))


def test_one_class_alone_is_always_right():
    X, _ = data("iris")
    e = MLPClassifier((4,), early_stopping=True, max_iter=5, random_state=0).fit(X, np.ones(150))
    assert e.validation_scores_ == [1.0] * 5


def test_a_random_state_is_used_up_alike():
    X, y = data("iris")
    states = [np.random.RandomState(3) for _ in range(2)]
    for e, state in zip((theirs, estimators), states, strict=True):
        e.MLPClassifier(max_iter=3, early_stopping=True, random_state=state).fit(X, y)
    assert states[0].uniform() == states[1].uniform()


def test_class_weights_multiply_sample_weights():
    X, y = data("digits", 200)
    labels = np.array(["few", "many"])[(y > 0).astype(int)]
    settings = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}
    balanced = MLPClassifier(**settings, class_weight="balanced").fit(X, labels)
    by_hand = {name: 200 / (2 * np.sum(labels == name)) for name in ("few", "many")}
    named = MLPClassifier(**settings, class_weight=by_hand).fit(X, labels, sample_weight=np.full(200, 3.0))
    weights = np.array([by_hand[label] for label in labels])
    given = MLPClassifier(**settings).fit(X, labels, sample_weight=weights)
    np.testing.assert_allclose(balanced.loss_curve_, given.loss_curve_, rtol=1e-12)
    assert np.abs(np.subtract(named.loss_curve_, given.loss_curve_)).max() > 1e-9  # the penalty counts a third
    np.testing.assert_allclose(named.loss_curve_, given.loss_curve_, rtol=1e-3)
    plain = MLPClassifier(**settings).fit(X, labels)
    few = labels == "few"
    assert balanced.predict_proba(X)[few, 0].mean() > plain.predict_proba(X)[few, 0].mean() + 0.04


def test_the_validation_curve_is_the_log_loss_of_the_held_out_data():
    X, y = data("digits", 400)
    weights = np.random.default_rng(1).uniform(size=400)
    e = MLPClassifier((16,), early_stopping=True, max_iter=12, random_state=0, learning_rate_init=0.01)
    e.fit(X, y, sample_weight=weights)
    state = np.random.RandomState(0)  # the same split: it is drawn after the initial weights
    for d_in, d_out in ((64, 16), (16, 10)):
        state.uniform(size=(d_in, d_out))
        state.uniform(size=d_out)
    _, X_val, _, y_val, _, w_val = train_test_split(X, y, weights, random_state=state, test_size=0.1)
    assert len(e.validation_loss_curve_) == len(e.validation_scores_) == e.n_iter_ == 12
    best = int(np.argmax(e.validation_scores_))  # the weights that were kept
    np.testing.assert_allclose(e.score(X_val, y_val, sample_weight=w_val), e.validation_scores_[best], rtol=1e-12)
    want = log_loss(y_val, e.predict_proba(X_val), sample_weight=w_val, labels=e.classes_)
    np.testing.assert_allclose(e.validation_loss_curve_[best], want, rtol=1e-10)


@pytest.mark.parametrize("kind", ["one", "two", "two counts"])
def test_the_validation_curve_of_regression(kind):
    X, y = targets(kind)
    more = {"loss": "poisson"} if "counts" in kind else {}
    e = MLPRegressor(hidden_layer_sizes=(16,), early_stopping=True, max_iter=40, random_state=0, **more).fit(X, y)
    state, d_out = np.random.RandomState(0), e.n_outputs_
    for shape in ((64, 16), 16, (16, d_out), d_out):
        state.uniform(size=shape)
    _, X_val, _, y_val = train_test_split(X, y, random_state=state, test_size=0.1)
    p = e.predict(X_val)
    columns = zip(y_val.reshape(30, -1).T, p.reshape(30, -1).T, strict=True)
    want = sum(mean_poisson_deviance(t, q) / 2 for t, q in columns) if more else 0.5 * np.mean((y_val - p) ** 2)
    best = int(np.argmax(e.validation_scores_))
    assert e.best_validation_score_ == e.validation_scores_[best]
    np.testing.assert_allclose(e.validation_loss_curve_[best], want, rtol=1e-9)


def test_early_stopping_may_be_switched_on_and_off():
    X, y = data("iris")
    e = MLPClassifier((4,), max_iter=4, warm_start=True, early_stopping=True, random_state=0).fit(X, y)
    assert len(e.validation_loss_curve_) == 4
    e.set_params(early_stopping=False).fit(X, y)
    assert e.validation_loss_curve_ is e.validation_scores_ is None
    assert e.best_loss_ == min(e.loss_curve_[4:])
    e.set_params(early_stopping=True).fit(X, y)
    assert len(e.validation_scores_) == len(e.validation_loss_curve_) == 4
    assert len(e.loss_curve_) == 12


def test_the_first_batch_may_lack_a_class():
    X, y = data("iris")
    pair = [e.MLPClassifier((8,), random_state=0) for e in (theirs, estimators)]
    few = y < 2
    for e in pair:
        e.partial_fit(X[few], y[few], classes=[0, 1, 2])
        e.partial_fit(X, y)
    assert_same(*pair)


@pytest.mark.parametrize("activation", [["tanh", "gelu"], (activations.sine, "logistic"), "mish"])
def test_activations_of_ours_one_for_each_layer(activation):
    X, y = data("iris")
    e = MLPClassifier((8, 6), activation, max_iter=5, random_state=0).fit(X, y)
    f = [activation] * 2 if isinstance(activation, str) else activation
    f = [activations.KNOWN["sigmoid" if g == "logistic" else g] if isinstance(g, str) else g for g in f]
    a = X
    for W, b, g in zip(e.coefs_, e.intercepts_, [*f, activations.identity], strict=True):
        with jax.enable_x64(True):
            a = np.asarray(g(jnp.asarray(a @ W + b)))
    p = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(e.predict_proba(X), p, rtol=1e-10, atol=1e-12)
    params, model = interop.from_sklearn(e)
    np.testing.assert_allclose(jaxmlp.forward(params, X, model), p, rtol=1e-5, atol=1e-6)
    assert clone(e).fit(X, y).loss_ == e.loss_


@pytest.mark.parametrize("kind", ["binary", "strings", "multilabel", "two", "counts"])
def test_the_tape_of_a_fitted_network(kind):
    X, y = targets(kind)
    regression = kind in ("two", "counts")
    more = {"loss": "poisson"} if "counts" in kind else {}
    e = (MLPRegressor if regression else MLPClassifier)(hidden_layer_sizes=(8,), max_iter=3, random_state=0, **more)
    tape = e.fit(X, y).gradients_(X, y)
    predicted = e.predict(X).reshape(300, -1) if regression else e.predict_proba(X)
    want = y.reshape(300, -1)
    if kind == "strings":
        want = (e.classes_ == y[:, None]).astype(float)
    if kind == "binary":
        predicted = predicted[:, 1:]
    np.testing.assert_allclose(tape.deltas[-1], predicted - want, rtol=1e-4, atol=1e-5)  # p - y
    grads = jaxmlp.gradients(tape)
    assert [tuple(leaf.shape for leaf in pair) for pair in grads] == [
        ((64, 8), (8,)),
        ((8, want.shape[1]), want.shape[1:]),
    ]
    assert jaxmlp.per_example_norms(tape).shape == (300,)


def test_log_probabilities_do_not_underflow():
    X, y = data("iris")
    e = MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y)
    e.coefs_[-1] *= 1e4
    assert np.all(np.isfinite(e.predict_log_proba(X)))
    assert np.any(e.predict_proba(X) == 0)
    e = MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y > 0)
    e.coefs_[-1] *= 1e4
    assert np.all(np.isfinite(e.predict_log_proba(X)))


def test_a_search_compiles_one_program():
    X, y = data("cancer")
    grid = {
        "mlpclassifier__alpha": [1e-4, 1e-1], "mlpclassifier__learning_rate_init": [1e-3, 1e-2],
        "mlpclassifier__beta_1": [0.9, 0.5],
    }  # fmt: skip
    network = MLPClassifier((9, 7), max_iter=3, random_state=0)
    before = epochs.some_epochs._cache_size()
    search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=5).fit(X, y)
    assert epochs.some_epochs._cache_size() == before + 1  # folds of 455 and 456, and all 569: rows of 600
    assert search.best_score_ > 0.85
    for n in (4160, 4180):  # rows of 4200
        MLPClassifier((3,), max_iter=1).fit(np.resize(X, (n, 5)), np.resize(y, n))
    assert epochs.some_epochs._cache_size() == before + 2
    assert cross_val_score(search.best_estimator_, X, y, cv=3).shape == (3,)
    assert epochs.some_epochs._cache_size() <= before + 3


def test_pickled_and_cloned():
    X, y = data("iris")
    e = MLPClassifier((8,), ["tanh"], max_iter=5, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(e))
    np.testing.assert_array_equal(again.predict_proba(X), e.predict_proba(X))
    again.partial_fit(X, y)
    e.partial_fit(X, y)
    assert again.loss_curve_ == e.loss_curve_
    assert not hasattr(clone(e), "coefs_")
    assert clone(e).get_params() == e.get_params()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1}, r"The 'alpha' parameter of MLPClassifier must be a float in the range \[0.0, inf\). Got -1"),
        ({"solver": "bfgs"}, "The 'solver' parameter of MLPClassifier must be a str among .* Got 'bfgs' instead"),
        ({"activation": "softmax"}, "The 'activation' parameter of MLPClassifier must be a str among .* Got 'softmax'"),
        ({"activation": ["tanh", "softmax"]}, "softmax serves as an output only"),
        ({"activation": ["tanh", "swish"]}, "unknown activation 'swish'"),
        ({"activation": ["tanh"]}, "one for each of the 2 hidden layers; got 1"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes must be > 0 and integers, got \[4, 0\]"),
        ({"hidden_layer_sizes": (True,)}, r"hidden_layer_sizes must be > 0 and integers, got \[True\]"),
        ({"hidden_layer_sizes": (4.5,)}, r"hidden_layer_sizes must be > 0 and integers, got \[4.5\]"),
        ({"class_weight": "even"}, "The 'class_weight' parameter of MLPClassifier must be"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "The validation set is too small"),
    ],
)
def test_parameters_are_refused_as_scikit_learn_does(settings, message):
    X, y = data("iris", 90)
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"hidden_layer_sizes": (4, 3), "max_iter": 2, **settings}).fit(X, y)


def test_data_are_refused_as_scikit_learn_does():
    X, y = data("iris")
    e = MLPClassifier((4,), max_iter=2)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
            getattr(e, method)(X)
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        e.gradients_(X, y)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        e.partial_fit(X, y)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        e.fit(X, y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match="the weights, sample_weight and class_weight, must not be all zero"):
        MLPClassifier((4,), class_weight={0: 0.0, 1: 0.0}).fit(X, y, sample_weight=y == 0)
    for weight in (-1.0, np.nan):
        with pytest.raises(ValueError, match="class_weight must be finite and not negative; got"):
            MLPClassifier((4,), class_weight={0: weight}).fit(X, y)
    with pytest.raises(ValueError, match=r"the weights, those of the examples to .*, must not be all zero"):
        MLPClassifier((4,), early_stopping=True, random_state=0).fit(X, y, sample_weight=np.arange(150) == 7)
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        e.fit(scipy.sparse.csr_array(X), y)
    e.fit(X, y)
    before = e.predict(X)
    with pytest.raises(ValueError, match=r"sample_weight\.shape == "):
        e.fit(X, y > 0, sample_weight=np.ones(3))
    np.testing.assert_array_equal(e.predict(X), before)  # what was fitted stays fitted
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must stay what they were in the last fit; got \[5\]"):
        clone(e).set_params(warm_start=True).fit(X, y).set_params(hidden_layer_sizes=5).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 features as input"):
        e.predict(X[:, :3])
    with pytest.raises(ValueError, match=r"the labels must be of \[0 1 2\]; got"):
        e.gradients_(X, y + 1)
    with pytest.raises(ValueError, match=r"`classes=.* is not the same as on last call to partial_fit"):
        e.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        e.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        e.set_params(warm_start=True).fit(X, y + 1)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        e.set_params(early_stopping=True).partial_fit(X, y)
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        e.set_params(solver="lbfgs").partial_fit(X, y)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="out of the valid range of the loss 'poisson'"):
        MLPRegressor("poisson").fit(X, y - 1.0)
    with pytest.raises(ValueError, match="y must have 1 columns, as before; got 2"):
        MLPRegressor(max_iter=2).fit(X, X[:, 0]).partial_fit(X, X[:, :2])
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        MLPRegressor(max_iter=2).fit(X, X[:, :1])


def test_a_network_that_diverges_is_refused():
    X, y = data("diabetes")
    e = MLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=20, random_state=0)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        e.fit(X, y)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        e.set_params(solver="lbfgs").fit(X * 1e200, y)


def test_a_missing_scikit_learn_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import jaxmlp.estimators"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        "jaxmlp.estimators needs scikit-learn 1.6 or newer: python -m pip install 'jaxmlp[estimators]'" in done.stderr
    )


def test_warnings():
    X, y = data("iris")
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier((4,), max_iter=2).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after 2 iteration\(s\)"):
        MLPClassifier((4,), solver="lbfgs", max_iter=2).fit(X, y)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size"):
        MLPClassifier((4,), batch_size=1000, max_iter=2).fit(X, y)


def test_what_is_printed_is_scikit_learns():
    X, y = data("digits", 300)
    for more in ({"early_stopping": True}, {"solver": "sgd", "learning_rate": "adaptive"}):
        settings = {"max_iter": 30, "tol": 0.05, "n_iter_no_change": 1, "verbose": True, "random_state": 0, **more}
        printed = []
        for e in (theirs, estimators):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                e.MLPClassifier((8,), **settings).fit(X, y)
            printed.append(out.getvalue())
        assert printed[0] == printed[1]


def test_ctrl_c_keeps_what_there_is(monkeypatch):
    X, y = data("iris")
    whole = epochs.some_epochs

    def interrupted(state, *args, **kwargs):
        if state.step >= 20:
            raise KeyboardInterrupt
        return whole(state, *args, **kwargs)

    monkeypatch.setattr(base, "some_epochs", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        e = MLPClassifier((4,), random_state=0).fit(X, y)
    done = len(e.loss_curve_)
    assert 20 <= done == e.n_iter_ < 40
    monkeypatch.undo()
    whole_run = MLPClassifier((4,), max_iter=done, random_state=0).fit(X, y)
    assert e.loss_curve_ == whole_run.loss_curve_
    np.testing.assert_array_equal(e.coefs_[0], whole_run.coefs_[0])


def test_the_dtype_of_the_data_decides_and_the_flag_stays():
    X, y = data("iris")
    before = jax.config.jax_enable_x64
    e = MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    assert {a.dtype for a in (*e.coefs_, *e.intercepts_, e.predict_proba(X))} == {np.dtype(np.float64)}
    assert jax.config.jax_enable_x64 == before
    tape = e.gradients_(X, y)
    assert tape.deltas[0].dtype == (jnp.float64 if before else jnp.float32)
    assert isinstance(interop.from_sklearn(e)[1], Model)
