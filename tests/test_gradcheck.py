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
    params = [(jnp.full((1, 1), 1e-9), jnp.zeros(1)), (jnp.ones((1, 1)), jnp.zeros(1))]
    report = jaxmlp.check_gradients(params, np.ones((1, 1)), np.full((1, 1), -1.0))
    first = report.rows[0]
    assert abs(first.hand - first.finite_difference) > 0.5
    assert first.uncertainty > abs(first.hand - first.finite_difference)
    assert report.ok


def test_a_gradient_of_zero_agrees():
    params = [(jnp.zeros((2, 2)), jnp.ones(2))]
    report = jaxmlp.check_gradients(params, np.ones((3, 2)), np.ones((3, 2)))
    assert report.max_error == 0
