"""SGD against a ten-line NumPy reference, and as a citizen of any tree."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, assert_close

from jaxmlp import apply_updates, optimizers
from jaxmlp.optimizers import sgd

TREE = {"a": (jnp.array([1.0, -2.0], DTYPE), jnp.array(3.0, DTYPE)), "b": [jnp.ones((2, 3), DTYPE)]}


def reference(x, grads, lr, momentum, nesterov):
    """Sutskever et al. 2013, the learning rate outside the velocity."""
    m = np.zeros_like(x)
    for count, g in enumerate(grads):
        m = momentum * m + g
        x = x - lr(count) * (g + momentum * m if nesterov else m)
    return x


def run(optimizer, params, grads, transform=lambda f: f):
    state = optimizer.init(params)
    update = transform(optimizer.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = apply_updates(params, updates)
    return params


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("schedule", [False, True])
def test_sgd_equals_numpy(momentum, nesterov, schedule, transform):
    rng = np.random.default_rng(0)
    x, grads = rng.normal(size=5), rng.normal(size=(100, 5))

    def lr(count):
        return 0.1 / (1.0 + count) if isinstance(count, int) else 0.1 / (1 + count.astype(DTYPE))

    want = reference(x, grads, lr if schedule else lambda _: 0.1, momentum, nesterov)
    optimizer = sgd(lr if schedule else 0.1, momentum, nesterov)
    got = run(optimizer, jnp.asarray(x, DTYPE), jnp.asarray(grads, DTYPE), transform)
    np.testing.assert_allclose(got, want, rtol=1e-10 if X64 else 1e-4, atol=1e-12 if X64 else 1e-5)


def test_keras_golden_values():
    """Keras's own test of SGD(0.01, nesterov): 10 ones, a gradient of 0.01, then 0.1 ... 1.0."""
    x = run(sgd(0.01, 0.0, nesterov=True), jnp.ones(10, DTYPE), [jnp.full(10, 0.01, DTYPE)])
    np.testing.assert_allclose(x, [0.9999] * 10, rtol=1e-6)
    g = jnp.arange(1, 11, dtype=DTYPE) / 10
    for k in range(1, 5):
        moved = run(sgd(0.01, 0.0, nesterov=True), x, [g] * k)
        np.testing.assert_allclose(moved, 0.9999 - k * 0.01 * np.arange(1, 11) / 10, rtol=1e-6)


def test_momentum_zero_is_plain_and_keeps_no_velocity():
    assert sgd(0.1).init(TREE).velocity == ()
    grads = [jax.tree.map(lambda p, i=i: p * i, TREE) for i in range(5)]
    traced = jnp.zeros((), DTYPE)  # a traced momentum cannot be known to be 0
    assert_close(run(sgd(0.1, traced), TREE, grads), run(sgd(0.1), TREE, grads))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_tree_and_dtype_are_kept(dtype, momentum):
    params = jax.tree.map(lambda p: p.astype(dtype), TREE)
    optimizer = sgd(lambda count: 0.1 * 0.5 ** count.astype(jnp.float32), momentum)
    state = optimizer.init(params)
    updates, new_state = jax.jit(optimizer.update)(params, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(apply_updates(params, updates), params)


def test_apply_updates_keeps_the_dtype_of_params():
    new = apply_updates([jnp.ones(2, jnp.bfloat16)], [jnp.ones(2, jnp.bfloat16)])
    assert new[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(new[0].astype(float), [2, 2])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_quadratic_converges(momentum):
    target = jnp.array([1.0, -1.0, 1.0], DTYPE)
    optimizer = sgd(0.05, momentum)
    x = jnp.array([-1.0, 10.0, 1.0], DTYPE)

    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(2 * (x - target), state)
        return (apply_updates(x, updates), state), None

    (x, _), _ = jax.lax.scan(step, (x, optimizer.init(x)), length=500)
    np.testing.assert_allclose(x, target, atol=1e-4)


def test_vmap_over_learning_rate_and_momentum():
    def moved(lr, momentum):
        return run(sgd(lr, momentum), jnp.ones(3, DTYPE), [jnp.ones(3, DTYPE)] * 4)

    lrs, momenta = jnp.array([0.1, 0.2], DTYPE), jnp.array([0.5, 0.9], DTYPE)
    many = jax.vmap(moved)(lrs, momenta)
    for i in range(2):
        assert_close(many[i], moved(float(lrs[i]), float(momenta[i])), rtol=1e-5)


def test_an_optimizer_is_a_pair():
    init, update = sgd(0.1)
    assert isinstance(sgd(0.1), optimizers.Optimizer)
    updates, _ = update(jnp.ones(2, DTYPE), init(jnp.ones(2, DTYPE)))
    np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-6)
