"""layer_statistics: numbers by hand, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import DTYPE, Problem, random_params

import jaxmlp
from jaxmlp import Model
from jaxmlp.readings.flow import LayerStatistics, layer_statistics


def test_numbers_by_hand():
    """Two examples, two hidden ReLUs, the second always off; the output is z = a_1, half the squared error from 0."""
    params = [
        (jnp.array([[1.0, 1.0]], DTYPE), jnp.array([0.0, -9.0], DTYPE)),
        (jnp.array([[1.0], [1.0]], DTYPE), jnp.array([0.0], DTYPE)),
    ]
    x, y = jnp.array([[3.0], [4.0]], DTYPE), jnp.zeros((2, 1), DTYPE)
    tape = jaxmlp.backward(params, x, y, Model("relu", loss="half_squared_error"))
    got = layer_statistics(tape)
    assert isinstance(got, LayerStatistics)
    assert {field.shape for field in got} == {(2,)}
    np.testing.assert_allclose(got.activation_rms, [(25 / 4) ** 0.5, (25 / 2) ** 0.5], rtol=1e-6)
    np.testing.assert_allclose(got.delta_rms, [(25 / 4) ** 0.5, (25 / 2) ** 0.5], rtol=1e-6)
    np.testing.assert_allclose(got.gradient_rms, [12.5 / 2**0.5, 12.5 / 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(got.dead_fraction, [0.5, 0], rtol=1e-6)
    np.testing.assert_allclose(got.saturated_fraction, [0, 0])


def statistics(activation, scale, width=64, output="identity"):
    problem = Problem((8, width, width, 3), Model(activation, output, "half_squared_error"), 50, False)
    params, x, y, _ = problem.draw()
    params = [(scale * W, 0 * b) for W, b in params]
    return jax.jit(layer_statistics)(jaxmlp.backward(params, x, y, problem.model))


def test_large_weights_saturate_what_is_bounded():
    for activation in ("tanh", "sigmoid"):
        assert np.all(statistics(activation, 100.0).saturated_fraction[:2] > 0.9)
        assert np.all(statistics(activation, 0.5).saturated_fraction == 0)
    assert np.all(statistics("relu", 100.0).saturated_fraction == 0)
    assert statistics("tanh", 100.0, output="sigmoid").saturated_fraction[2] > 0.9


def test_what_is_not_saturated():
    """ReLUs that are off, at any scale, and a softmax of a thousand classes before training."""
    for scale in (0.01, 1.0, 100.0):
        assert np.all(statistics("relu", scale).saturated_fraction == 0)
    params, x = random_params((8, 1000)), jax.random.normal(jax.random.key(0), (50, 8), DTYPE)
    tape = jaxmlp.backward(params, x, jnp.zeros(50, jnp.int32), Model("tanh", "softmax", "categorical_cross_entropy"))
    assert layer_statistics(tape).saturated_fraction[0] < 0.05


def test_an_empty_batch_and_many_networks():
    params = [random_params((3, 4, 2), seed) for seed in range(2)]
    x, y = jnp.ones((5, 3), DTYPE), jnp.zeros((5, 2), DTYPE)
    assert np.all(np.isnan(layer_statistics(jaxmlp.backward(params[0], x[:0], y[:0])).activation_rms))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    together = jax.jit(jax.vmap(lambda p: layer_statistics(jaxmlp.backward(p, x, y))))(stacked)
    for i, one in enumerate(params):
        for got, want in zip(together, layer_statistics(jaxmlp.backward(one, x, y)), strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-5)


def test_squares_that_float16_cannot_hold():
    """Of 300, which overflows, and of 1e-4, which underflows."""
    for size in (300, 1e-4):
        params = [(jnp.eye(2, dtype=jnp.float16), jnp.zeros(2, jnp.float16))]
        tape = jaxmlp.backward(params, jnp.full((5, 2), size, jnp.float16), jnp.zeros((5, 2), jnp.float16))
        got = layer_statistics(tape)
        assert {field.dtype for field in got} == {jnp.dtype(jnp.float16)}
        np.testing.assert_allclose(got.activation_rms.astype(jnp.float32), size, rtol=2e-3)


def test_the_derivative_where_nothing_passes_is_finite():
    """All hidden ReLUs are off: their deltas are 0, and so is the rms, whatever one changes."""
    params = random_params((3, 4, 2))
    params[0] = (params[0][0], params[0][1] - 100)

    def size(params):
        tape = jaxmlp.backward(params, jnp.ones((5, 3), DTYPE), jnp.ones((5, 2), DTYPE), Model("relu"))
        return sum(jnp.sum(field) for field in layer_statistics(tape))

    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jax.grad(size)(params)))


def test_dead_units_are_counted():
    params = random_params((8, 40, 3))
    off = jnp.where(jnp.arange(40) < 10, -100, 0).astype(DTYPE)
    params[0] = (params[0][0], off)
    x, y = jax.random.normal(jax.random.key(0), (50, 8), DTYPE), jnp.zeros((50, 3), DTYPE)
    np.testing.assert_allclose(layer_statistics(jaxmlp.backward(params, x, y)).dead_fraction, [0.25, 0], rtol=1e-6)


def test_vanishing_gradients_fall_by_glorots_factor():
    """U(-1/sqrt(d), 1/sqrt(d)) has variance 1 / (3 d): tanh's deltas shrink by sqrt(1/3) a layer, Glorot's do not."""
    width, depth = 300, 6
    x = jax.random.normal(jax.random.key(0), (100, width), DTYPE) * 0.01  # small: tanh' = 1
    y = jax.random.normal(jax.random.key(1), (100, width), DTYPE)

    def standard(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -1, 1) * shape[0] ** -0.5

    for initializer, factor in ((standard, 3**-0.5), ("glorot_uniform", 1.0)):
        params = jaxmlp.init_mlp(jax.random.key(2), (width,) * (depth + 1), initializer=initializer, dtype=DTYPE)
        rms = np.asarray(layer_statistics(jaxmlp.backward(params, x, y, Model("tanh"))).delta_rms)
        np.testing.assert_allclose((rms[0] / rms[-1]) ** (1 / (depth - 1)), factor, rtol=0.03)
