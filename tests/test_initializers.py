"""Shape, dtype, mean and variance against the formula; keys decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE

import jaxmlp
from jaxmlp import initializers
from jaxmlp.initializers import KNOWN

D_IN, D_OUT = 300, 200
STANDARD_DEVIATION = {
    "he_normal": (2 / D_IN) ** 0.5,
    "he_uniform": (2 / D_IN) ** 0.5,
    "glorot_normal": (2 / (D_IN + D_OUT)) ** 0.5,
    "glorot_uniform": (2 / (D_IN + D_OUT)) ** 0.5,
    "lecun_normal": (1 / D_IN) ** 0.5,
    "normal(0.01)": 0.01,
}
SCALED = {**KNOWN, "normal(0.01)": initializers.normal(0.01)}
scaled = pytest.mark.parametrize("name", STANDARD_DEVIATION)


def test_the_contract_names_them():
    assert set(KNOWN) == set("he_normal he_uniform glorot_normal glorot_uniform lecun_normal orthogonal".split())
    for name, initializer in KNOWN.items():
        assert getattr(initializers, name) is initializer


@scaled
def test_mean_variance_and_shape_of_the_distribution(name, key):
    """60,000 draws: the mean within 4 standard errors, the deviation within 2 %."""
    W = np.asarray(SCALED[name](key, (D_IN, D_OUT), DTYPE))
    assert W.shape == (D_IN, D_OUT)
    assert W.dtype == DTYPE
    sd = STANDARD_DEVIATION[name]
    assert abs(W.mean()) < 4 * sd / W.size**0.5
    np.testing.assert_allclose(W.std(), sd, rtol=0.02)
    if name.endswith("uniform"):
        bound = sd * 3**0.5
        assert np.abs(W).max() <= bound
        assert min(W.max(), -W.min()) > 0.999 * bound
    else:
        assert np.abs(W).max() > 3.5 * sd  # not truncated
        np.testing.assert_allclose(np.mean((W / sd) ** 4), 3, rtol=0.1)  # a normal's kurtosis


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (30, 30), (1, 5), (5, 1)])
def test_orthogonal(shape, key):
    W = initializers.orthogonal(key, shape, DTYPE)
    assert W.shape == shape
    assert W.dtype == DTYPE
    product = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-5)


def test_orthogonal_is_uniform_in_sign(key):
    """Without the sign correction the diagonal of a QR's Q leans to one side."""
    Ws = jax.vmap(lambda k: initializers.orthogonal(k, (3, 3), DTYPE))(jax.random.split(key, 2000))
    assert float(jnp.max(jnp.abs(jnp.mean(Ws, axis=0)))) < 4 * (1 / 3) ** 0.5 / 2000**0.5


@pytest.mark.parametrize("initializer", [*KNOWN, initializers.normal(0.5)], ids=[*KNOWN, "normal(0.5)"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, DTYPE])
def test_init_mlp(initializer, dtype):
    params = jaxmlp.init_mlp(jax.random.key(0), (7, 5, 6, 2), initializer=initializer, dtype=dtype)
    assert isinstance(params, list)
    assert [(W.shape, b.shape) for W, b in params] == [((7, 5), (5,)), ((5, 6), (6,)), ((6, 2), (2,))]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    assert all(not np.any(b) and np.all(np.isfinite(W)) and len(np.unique(W)) > 1 for W, b in params)


@pytest.mark.parametrize("name", STANDARD_DEVIATION)
def test_init_mlp_scales_each_layer_by_its_own_shape(name, key):
    """One draw serves all layers; each must still have its own deviation, and layers must not repeat one another."""
    params = jaxmlp.init_mlp(key, (D_IN, D_OUT, D_IN, D_OUT), initializer=SCALED[name], dtype=DTYPE)
    np.testing.assert_allclose(np.std(params[0][0]), STANDARD_DEVIATION[name], rtol=0.02)
    np.testing.assert_allclose(np.std(params[2][0]), STANDARD_DEVIATION[name], rtol=0.02)
    correlation = np.corrcoef(np.ravel(params[0][0]), np.ravel(params[2][0]))[0, 1]
    assert abs(correlation) < 4 / (D_IN * D_OUT) ** 0.5


def test_keys_decide():
    draw = [jaxmlp.init_mlp(jax.random.key(seed), (3, 4, 2)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draw[0][0][0], draw[1][0][0])
    assert np.all(draw[0][0][0] != draw[2][0][0])


def test_ones_own_initializer_and_a_swept_scale():
    def mine(key, shape, dtype):
        return jnp.full(shape, 3, dtype)

    (W, _), _ = jaxmlp.init_mlp(jax.random.key(0), (3, 4, 2), initializer=mine)
    np.testing.assert_array_equal(W, np.full((3, 4), 3))

    def at(scale):
        return jaxmlp.init_mlp(jax.random.key(0), (3, 4, 2), initializer=initializers.normal(scale))

    (W, _), _ = jax.vmap(at)(jnp.array([1.0, 2.0, 0.0], jnp.float32))
    np.testing.assert_allclose(W[1], 2 * W[0], rtol=1e-6)
    np.testing.assert_array_equal(W[2], np.zeros((3, 4)))


def test_an_initialisation_is_one_small_program():
    """A second scale compiles nothing: the gain is data."""
    from jax import monitoring

    events = []
    monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: events.append(event) if event.endswith("backend_compile_duration") else None
    )
    key = jax.random.key(0)
    jaxmlp.init_mlp(key, (11, 13, 17, 3), initializer=initializers.normal(0.1))
    first = len(events)
    jaxmlp.init_mlp(key, (11, 13, 17, 3), initializer=initializers.normal(0.2))
    monitoring.clear_event_listeners()
    assert first == 1
    assert len(events) == 1
