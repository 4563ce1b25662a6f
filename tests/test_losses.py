"""Numbers worked by hand, gradients against autodiff, stability, and the reduction."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, random_targets

from jaxmlp import losses
from jaxmlp.losses import KNOWN, Loss, coefficients

TOLERANCE = {"rtol": 1e-10, "atol": 1e-12} if X64 else {"rtol": 2e-5, "atol": 2e-6}
each = pytest.mark.parametrize("loss", KNOWN.values(), ids=lambda loss: loss.name)

BY_HAND = [  # loss, outputs, targets, value, gradient
    ("mean_squared_error", [1, 4], [0, 1], 5, [1, 3]),
    ("half_squared_error", [1, 4], [0, 1], 5, [1, 3]),
    ("sum_squared_error", [1, 4], [0, 1], 10, [2, 6]),
    ("binary_cross_entropy", [0.5, 0.25], [1, 0], math.log(2) - math.log(0.75), [-2, 4 / 3]),
    ("categorical_cross_entropy", [0.5, 0.25, 0.25], [0, 1, 0], math.log(4), [0, -4, 0]),
    ("sigmoid_cross_entropy", [0, math.log(3)], [1, 0], math.log(2) + math.log(4), [-0.5, 0.75]),
    ("softmax_cross_entropy", [math.log(2), 0, 0], [0, 1, 0], math.log(4), [0.5, -0.75, 0.25]),
    ("hinge", [0.5, 2, -3], [1, 1, 1], 0.5 + 0 + 4, [-1, 0, -1]),
    ("hinge", [0.5], [-1], 1.5, [1]),
    ("huber", [0.5, 3, -3], [0, 0, 0], 0.125 + 2.5 + 2.5, [0.5, 1, -1]),
    ("poisson_nll", [0, math.log(2)], [3, 1], 1 + 2 - math.log(2), [-2, 1]),
]


def test_the_contract_names_them():
    assert {row[0] for row in BY_HAND} == set(KNOWN)
    for name, loss in KNOWN.items():
        assert getattr(losses, name) is loss


@pytest.mark.parametrize(("name", "o", "y", "value", "gradient"), BY_HAND)
def test_worked_by_hand(name, o, y, value, gradient):
    o, y = jnp.array(o, DTYPE), jnp.array(y, DTYPE)
    np.testing.assert_allclose(KNOWN[name].value(o, y), value, rtol=1e-6)
    np.testing.assert_allclose(KNOWN[name].gradient(o, y), gradient, rtol=1e-6, atol=1e-7)


def draw(loss, d=4, seed=0):
    o = jnp.asarray(np.random.default_rng(seed).normal(size=d), DTYPE)
    y = random_targets(loss, 1, d, seed)[0]
    o = jax.nn.softmax(o) if loss.reads == "probabilities" else o
    return o, jax.nn.one_hot(y, d, dtype=DTYPE) if loss.targets == "classes" else y


@each
@pytest.mark.parametrize("seed", range(3))
def test_gradient_equals_autodiff(loss, seed):
    o, y = draw(loss, seed=seed)
    np.testing.assert_allclose(loss.gradient(o, y), jax.grad(loss.value)(o, y), **TOLERANCE)


@each
def test_the_factor_and_the_product_are_those_of_the_hessian(loss):
    o, y = draw(loss)
    y = 2 * y if loss.targets == "classes" else y  # targets need not sum to 1
    hessian, S = jax.hessian(loss.value)(o, y), loss.hessian_factor(o, y)
    np.testing.assert_allclose(S @ S.T, hessian, **TOLERANCE)
    v = jnp.arange(4, dtype=DTYPE) - 1
    np.testing.assert_allclose(loss.hessian_product(o, y, v), hessian @ v, **TOLERANCE)
    np.testing.assert_allclose(loss.factor_product(o, y, v), S @ v, **TOLERANCE)
    assert S.dtype == loss.hessian_product(o, y, v).dtype == DTYPE


@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "softmax_cross_entropy", "binary_cross_entropy"])
def test_factors_can_be_differentiated(name):
    """Of logits beyond what p can hold too: S S^T then is as flat as p, and not nan."""
    loss = KNOWN[name]
    o, y = draw(loss)
    third = jax.jacfwd(jax.hessian(loss.value))(o, y)
    np.testing.assert_allclose(jax.jacfwd(lambda o: hessian_of_factor(loss, o, y))(o), third, rtol=1e-4, atol=1e-5)
    far = jnp.array([1.0, 0, 1, 0] if loss.reads == "probabilities" else [1e3, -1e3, 0, 1e3], jnp.float32)
    y = jnp.array([0.0, 0, 1, 0], jnp.float32)
    for of in (hessian_of_factor, lambda loss, o, y: loss.factor_product(o, y, jnp.ones(4, o.dtype))):
        assert np.all(np.isfinite(jax.jacfwd(functools.partial(of, loss))(far, y)))


def hessian_of_factor(loss, o, y):
    S = loss.hessian_factor(o, y)
    return S @ S.T


def test_hessians_by_hand():
    """softmax(log 2, 0, 0) = (1/2, 1/4, 1/4); sigmoid(log 3) = 3/4; huber's edge belongs to the parabola."""
    one, logits = jnp.array([0.0, 1, 0], DTYPE), jnp.array([math.log(2), 0, 0], DTYPE)
    of_first = losses.softmax_cross_entropy.hessian_product(logits, one, jnp.array([1.0, 0, 0], DTYPE))
    np.testing.assert_allclose(of_first, [1 / 4, -1 / 8, -1 / 8], rtol=1e-6)
    S = losses.sigmoid_cross_entropy.hessian_factor(jnp.array([math.log(3)], DTYPE), one[:1])
    np.testing.assert_allclose(S, [[(3 / 16) ** 0.5]], rtol=1e-6)
    edge = losses.huber.hessian_factor(jnp.array([1.0, -1, 1.5], DTYPE), jnp.zeros(3, DTYPE))
    np.testing.assert_allclose(edge, np.diag([1, 1, 0]), rtol=1e-6)


@pytest.mark.parametrize("name", ["categorical_cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("o", [[0.0, 1], [1e-25, 1], [1, 1e-30]])
@pytest.mark.parametrize("y", [[1.0, 0], [0, 1], [0.5, 0.5]])
def test_hessians_of_probabilities_near_and_at_zero_and_one(name, o, y):
    """1 / p**2 overflows where 1 / p does not; a change of p is as small as p, and their product is finite."""
    o, y = jnp.array(o, jnp.float32), jnp.array(y, jnp.float32)
    assert np.all(np.isfinite(KNOWN[name].hessian_factor(o, y)))
    assert np.all(np.isfinite(KNOWN[name].hessian_product(o, y, 1e-3 * o * (1 - o))))


@each
def test_gradient_equals_autodiff_at_the_target(loss):
    """Where squared errors, huber and hinge have their minimum or kink, and probabilities are 0 or 1."""
    _, y = draw(loss)
    np.testing.assert_allclose(loss.gradient(y, y), jax.grad(loss.value)(y, y), **TOLERANCE)


@pytest.mark.parametrize("name", ["categorical_cross_entropy", "softmax_cross_entropy"])
def test_soft_targets_that_do_not_sum_to_one(name):
    o, _ = draw(KNOWN[name])
    y = jnp.array([0.2, 0.5, 0.0, 0.9], DTYPE)
    np.testing.assert_allclose(KNOWN[name].gradient(o, y), jax.grad(KNOWN[name].value)(o, y), **TOLERANCE)


def test_losses_from_logits_equal_those_from_probabilities():
    o, y = draw(losses.softmax_cross_entropy)
    stable = losses.softmax_cross_entropy.value(o, y)
    np.testing.assert_allclose(stable, losses.categorical_cross_entropy.value(jax.nn.softmax(o), y), rtol=1e-5)
    stable = losses.sigmoid_cross_entropy.value(o, y)
    np.testing.assert_allclose(stable, losses.binary_cross_entropy.value(jax.nn.sigmoid(o), y), rtol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "softmax_cross_entropy"])
def test_logits_of_ten_thousand(name):
    """A wrong answer costs its logit, a right one nothing; gradients are finite."""
    o, right, wrong = (jnp.array(v, DTYPE) for v in ([1e4, -1e4], [1, 0], [0, 1]))
    loss = KNOWN[name]
    assert float(loss.value(o, right)) == 0
    np.testing.assert_allclose(loss.value(o, wrong), 2e4)
    np.testing.assert_allclose(loss.gradient(o, wrong), [1, -1])


def test_probabilities_of_zero_and_one_are_finite():
    sure, right, wrong = (jnp.array(v, DTYPE) for v in ([1, 0], [1, 0], [0, 1]))
    for loss in (losses.binary_cross_entropy, losses.categorical_cross_entropy):
        assert float(loss.value(sure, right)) == 0
        assert bool(jnp.all(jnp.isfinite(loss.gradient(sure, wrong))))


def test_what_a_probability_rounded_to_zero_costs():
    """Log of the least number that p, or 1 - p, can be: the dtype's smallest, and its step below 1."""
    tiny, step = (2.0**-1022, 2.0**-53) if X64 else (2.0**-126, 2.0**-24)
    sure, wrong = jnp.array([1, 0], DTYPE), jnp.array([0, 1], DTYPE)
    np.testing.assert_allclose(losses.categorical_cross_entropy.value(sure, wrong), -math.log(tiny), rtol=1e-6)
    want = -math.log(tiny) - math.log(step)
    np.testing.assert_allclose(losses.binary_cross_entropy.value(sure, wrong), want, rtol=1e-6)


@each
def test_nan_stays_nan(loss):
    """A network that has blown up must not report a finite loss."""
    _, y = draw(loss)
    o = jnp.full(4, jnp.nan, DTYPE)
    assert bool(jnp.isnan(loss.value(o, y)))
    if loss.name != "hinge":  # whose slope at nan is 0, as that of jax.nn.relu
        assert bool(jnp.all(jnp.isnan(loss.gradient(o, jnp.ones_like(y)))))


def test_softmax_cross_entropy_does_not_change_when_logits_shift():
    o, y = draw(losses.softmax_cross_entropy)
    loss = losses.softmax_cross_entropy
    np.testing.assert_allclose(loss.value(o + 3, y), loss.value(o, y), rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(loss.gradient(o, y)), 0, atol=1e-6)


@each
def test_dtype_is_kept(loss):
    o, y = (v.astype(jnp.bfloat16) for v in draw(loss))
    assert loss.value(o, y).dtype == jnp.bfloat16
    assert loss.gradient(o, y).dtype == jnp.bfloat16


def test_coefficients():
    mean, total = losses.mean_squared_error, losses.sum_squared_error
    w = jnp.array([1, 0, 3], DTYPE)
    np.testing.assert_allclose(coefficients(mean, 4, None, DTYPE), [0.25] * 4)
    np.testing.assert_allclose(coefficients(total, 4, None, DTYPE), [1] * 4)
    np.testing.assert_allclose(coefficients(mean, 3, w, DTYPE), [0.25, 0, 0.75])
    np.testing.assert_allclose(coefficients(total, 3, w, DTYPE), [1, 0, 3])
    np.testing.assert_allclose(coefficients(mean, 3, 0 * w, DTYPE), [0, 0, 0])
    assert coefficients(mean, 0, None, DTYPE).shape == (0,)
    assert {l.name for l in KNOWN.values() if l.reduction == "sum"} == {"sum_squared_error"}


def test_coefficients_in_halves_of_many_examples():
    """Whose weights have a sum that float16 cannot hold."""
    n = 70_000
    sizes = (None, 1, 100, 1e6, 1e-9)  # the last two beyond float16
    for weights in (None if w is None else jnp.full(n, w, jnp.float32) for w in sizes):
        c = coefficients(losses.mean_squared_error, n, weights, jnp.float16)
        assert c.dtype == jnp.float16
        np.testing.assert_allclose(c.astype(jnp.float32), 1 / n, rtol=5e-3)  # a subnormal number


def test_ones_own_loss_is_frozen_and_hashable():
    mine = Loss("mine", jnp.sum, jnp.sign)
    assert mine == Loss("mine", jnp.sum, jnp.sign)
    assert hash(mine) == hash(Loss("mine", jnp.sum, jnp.sign))
    with pytest.raises(AttributeError, match="cannot assign"):
        mine.name = "other"


def test_softmax_cross_entropy_in_halves_with_many_classes():
    """Whose sum of exp(o_j) float16 cannot hold: log k, and p_j = 1 / k."""
    k, loss = 70_000, losses.softmax_cross_entropy
    o, y = jnp.zeros(k, jnp.float16), jax.nn.one_hot(3, k, dtype=jnp.float16)
    for f in (lambda f: f, jax.jit):
        np.testing.assert_allclose(f(loss.value)(o, y), np.log(k), rtol=1e-3)
        gradient = np.asarray(f(loss.gradient)(o, y), np.float64)
        np.testing.assert_allclose(gradient[[3, 4]], [-1, 1 / k], rtol=5e-3)
        S_e = f(loss.factor_product)(o, y, y)
        np.testing.assert_allclose(np.asarray(S_e, np.float64)[3], k**-0.5, rtol=5e-3)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_factors_of_softmax_cross_entropy_in_halves_are_as_exact_as_their_dtype(dtype):
    o = jnp.asarray(5 * np.random.default_rng(0).normal(size=10), dtype)
    one_hot = jax.nn.one_hot(3, 10, dtype=jnp.float32)
    exact = losses.softmax_cross_entropy.hessian_factor(o.astype(jnp.float32), one_hot)
    got = losses.softmax_cross_entropy.hessian_factor(o, jax.nn.one_hot(3, 10, dtype=dtype))
    epsilon = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(got.astype(jnp.float32), exact, rtol=4 * epsilon, atol=4 * epsilon)


@pytest.mark.parametrize("k", [300, 5000])
def test_hessian_of_softmax_cross_entropy_in_halves_with_many_classes(k):
    """p . v of eager and jitted, where k**2 overflows float16."""
    rng = np.random.default_rng(0)
    o, v = jnp.zeros(k, jnp.float16), jnp.asarray(1 + rng.normal(size=k), jnp.float16)
    exact = np.asarray(v, np.float64)
    exact = 1000 * (exact - exact.mean()) / k
    product = losses.softmax_cross_entropy.hessian_product
    for f in (product, jax.jit(product)):
        got = np.asarray(f(o, 1000 * jax.nn.one_hot(3, k, dtype=jnp.float16), v), np.float64)
        assert np.linalg.norm(got - exact) < 0.005 * np.linalg.norm(exact)
