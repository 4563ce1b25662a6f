"""The adjoint of `dense`: inner products, and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import DTYPE

from jaxmlp.dense import dense, dense_vjp


def draw(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), DTYPE) for shape in shapes]


def test_dense_equals_numpy_with_any_leading_axes():
    W, b, a, stack = draw((3, 5), (5,), (4, 3), (2, 7, 3))
    np.testing.assert_allclose(dense(a, W, b), np.asarray(a) @ np.asarray(W) + np.asarray(b), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense(stack, W, b)[1, 2], dense(stack[1, 2], W, b), rtol=1e-5, atol=1e-6)


def test_adjoint_by_inner_products():
    """<u, J v> = <J^T u, v>: J v from jax.jvp, J^T u from dense_vjp, for random u and v."""
    a, W, b, da, dW, db, u = draw((4, 3), (3, 5), (5,), (4, 3), (3, 5), (5,), (4, 5))
    _, Jv = jax.jvp(dense, (a, W, b), (da, dW, db))
    JTu = dense_vjp(a, W, u)
    inner = sum(jnp.vdot(p, q) for p, q in zip(JTu, (da, dW, db), strict=True))
    np.testing.assert_allclose(inner, jnp.vdot(u, Jv), rtol=1e-10 if jnp.float64 == DTYPE else 1e-4)
    assert [p.shape for p in JTu] == [(4, 3), (3, 5), (5,)]


def test_equals_jax_vjp():
    a, W, b, u = draw((4, 3), (3, 5), (5,), (4, 5))
    _, vjp = jax.vjp(dense, a, W, b)
    for got, want in zip(dense_vjp(a, W, u), vjp(u), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
