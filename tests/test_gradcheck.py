"""The report: its rows, its numbers, its table. Its teeth are in test_backprop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HIDDEN, PAIRINGS, Problem, random_params

import jaxmlp
from jaxmlp import Model

MODEL = Model("tanh", "identity", "softmax_cross_entropy")


@pytest.fixture(scope="module")
def report():
    params, x, y, weights = Problem((4, 5, 3), MODEL, 6, True).draw(0, jnp.float32)
    return jaxmlp.check_gradients(params, x, y, MODEL, weights=weights)


def test_rows(report):
    assert [(row.layer, row.parameter, row.shape) for row in report.rows] == [
        (1, "W", (4, 5)), (1, "b", (5,)), (2, "W", (5, 3)), (2, "b", (3,)),
    ]  # fmt: skip
    for row in report.rows:
        assert row.hand != 0
        np.testing.assert_allclose(row.hand, row.autodiff, rtol=1e-12)
        assert abs(row.hand - row.finite_difference) <= row.uncertainty < 1e-5


def test_it_is_exact_whatever_the_dtype_of_params(report):
    """Float32 parameters, yet errors of float64: what is left would be a mistake."""
    assert report.ok
    assert report.max_error < 1e-12


def test_the_table(report):
    lines = str(report).splitlines()
    assert len(lines) == 7
    assert lines[0].startswith(f"loss {report.loss:.6e}")
    assert lines[2].startswith("    1 W  (4, 5)")
    assert f"{report.rows[0].hand:.6e}" in lines[2]
    assert lines[-1].startswith("hand, autodiff and finite differences agree; largest error")


def test_it_leaves_the_configuration_alone(report):
    before = dict(jax.config.values)
    params = random_params((2, 2), dtype=jnp.float32)
    jaxmlp.check_gradients(params, np.ones((1, 2)), np.ones((1, 2)))
    assert dict(jax.config.values) == before


@pytest.mark.parametrize(("output", "loss"), PAIRINGS)
def test_every_pairing_agrees(output, loss):
    i = PAIRINGS.index((output, loss))
    problem = Problem((4, 5, 3), Model(HIDDEN[i % len(HIDDEN)], output, loss), 8, bool(i % 2))
    params, x, y, weights = problem.draw(i)
    report = jaxmlp.check_gradients(params, x, y, problem.model, weights=weights)
    assert report.ok, str(report)


def test_a_step_across_a_kink_is_uncertain_and_not_wrong():
    """Pre-activations within the step of relu's kink: the finite difference is half of the way, and says so."""
    params = [(jnp.full((1, 1), 1e-9), jnp.full(1, 1e-9)), (jnp.ones((1, 1)), jnp.zeros(1))]
    report = jaxmlp.check_gradients(params, np.ones((1, 1)), np.full((1, 1), -1.0))
    first = report.rows[0]
    assert abs(first.hand - first.finite_difference) > 0.5
    assert first.uncertainty > abs(first.hand - first.finite_difference)
    assert report.ok


@pytest.mark.parametrize("seed", range(4))
def test_zero_biases_and_relus_that_are_all_at_their_kink(seed):
    """Dead units hand exact zeros to the next layer, whose every unit then stands at its kink."""
    rng = np.random.default_rng(seed)
    params = jaxmlp.init_mlp(jax.random.key(seed), (2, 2, 2, 2, 1))
    x = (rng.normal(size=(6, 2)) > 0.5).astype(float)  # with rows of zeros
    report = jaxmlp.check_gradients(params, x, rng.normal(size=(6, 1)))
    assert report.ok, str(report)


def test_a_gradient_that_cancels():
    """Balanced labels at zero weights: every term is large and every sum is rounding."""
    params = [(jnp.zeros((4, 3)), jnp.zeros(3))]
    x, y = np.ones((30, 4)), np.arange(30) % 3
    report = jaxmlp.check_gradients(params, x, y, Model(output="softmax", loss="categorical_cross_entropy"))
    assert report.ok, str(report)


@pytest.mark.parametrize("scale", [5.0, 30.0, 1000.0])
def test_a_converged_classifier(scale):
    """The loss is 1e-3, 1e-27, 0: what is left of it, and of its gradient, is rounding."""
    x = np.concatenate([np.eye(3), 0.9 * np.eye(3)])
    params = [(jnp.eye(3) * scale, jnp.zeros(3)), (jnp.eye(3) * 2, jnp.zeros(3))]
    report = jaxmlp.check_gradients(params, x, np.arange(6) % 3, MODEL)
    assert report.ok, str(report)


def test_teeth_in_the_small_rows_of_a_badly_scaled_input():
    """One feature ten million times the others must not hide a wrong sign in theirs."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)) * [1e7, 1, 1], rng.normal(size=(20, 2))

    def wrong(params, x, y, model, weights):
        value, [(dW, db)] = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value, [(dW.at[1:].multiply(-1), db)]

    params = random_params((3, 2), dtype=jnp.float32)
    assert jaxmlp.check_gradients(params, x, y).ok
    assert not jaxmlp.check_gradients(params, x, y, value_and_grad=wrong).ok


def test_teeth_in_vanishing_gradients():
    """Twelve sigmoid layers: the first one's gradient is a millionth of the last one's, and still checked."""
    params = random_params((4, *(6,) * 12, 3), dtype=jnp.float32)
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 3

    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value, [(grads[0][0] * 1.001, grads[0][1]), *grads[1:]]

    model = Model("sigmoid", loss="softmax_cross_entropy")
    report = jaxmlp.check_gradients(params, x, y, model)
    assert report.ok
    assert abs(report.rows[0].hand) < 1e-5 * abs(report.rows[-2].hand)
    assert not jaxmlp.check_gradients(params, x, y, model, value_and_grad=wrong).ok


def test_a_gradient_of_zero_agrees():
    params = [(jnp.zeros((2, 2)), jnp.ones(2))]
    report = jaxmlp.check_gradients(params, np.ones((3, 2)), np.ones((3, 2)))
    assert report.max_error == 0
