"""The adjoint of `dense`: inner products, and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE

from jaxmlp.dense import COPY, FEW, NARROW, dense, dense_vjp, dense_vjp_params


def draw(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), DTYPE) for shape in shapes]


def test_dense_equals_numpy_with_any_leading_axes():
    W, b, a, stack = draw((3, 5), (5,), (4, 3), (2, 7, 3))
    np.testing.assert_allclose(dense(a, W, b), np.asarray(a) @ np.asarray(W) + np.asarray(b), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense(stack, W, b)[1, 2], dense(stack[1, 2], W, b), rtol=1e-5, atol=1e-6)


WIDTHS = pytest.mark.parametrize(("d_in", "d_out"), [(3, 5), (40, 5), (40, NARROW), (40, NARROW + 1), (2, 1)])


@WIDTHS
def test_adjoint_by_inner_products(d_in, d_out):
    """<u, J v> = <J^T u, v>: J v from jax.jvp, J^T u from dense_vjp, for random u and v."""
    shapes = (4, d_in), (d_in, d_out), (d_out,)
    a, W, b, da, dW, db, u = draw(*shapes, *shapes, (4, d_out))
    _, Jv = jax.jvp(dense, (a, W, b), (da, dW, db))
    JTu = dense_vjp(a, W, u)
    inner = sum(jnp.vdot(p, q) for p, q in zip(JTu, (da, dW, db), strict=True))
    np.testing.assert_allclose(inner, jnp.vdot(u, Jv), rtol=1e-10 if jnp.float64 == DTYPE else 1e-4)
    assert tuple(p.shape for p in JTu) == shapes


@WIDTHS
def test_equals_jax_vjp(d_in, d_out):
    a, W, b, u = draw((4, d_in), (d_in, d_out), (d_out,), (4, d_out))
    _, vjp = jax.vjp(dense, a, W, b)
    for got, want in zip(dense_vjp(a, W, u), vjp(u), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


# Narrow outputs; small layers; wide ones; and what is too large, or has too many or too few examples, for any of these.
SHAPES = [
    (7, 40, 3),
    (FEW + 1, 40, 3),
    (7, 40, NARROW + 1),
    (FEW + 1, 40, NARROW + 1),
    (7, 129, 130),
    (127, 40, 512),
    (128, 40, 511),
    (128, 40, 512),
    (COPY // 64 + 1, 64, 512),
]


@pytest.mark.parametrize(("n", "d_in", "d_out"), SHAPES)
def test_every_way_of_multiplying_is_the_same_product(n, d_in, d_out):
    a, dz = draw((n, d_in), (n, d_out))
    dW, db = jax.jit(dense_vjp_params)(a, dz)
    A, D = np.asarray(a, np.float64), np.asarray(dz, np.float64)
    tolerance = np.sqrt(n) * (1e-12 if jnp.float64 == DTYPE else 1e-5)
    np.testing.assert_allclose(dW, A.T @ D, rtol=0, atol=tolerance)
    np.testing.assert_allclose(db, D.sum(axis=0), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("d_in", "d_out"), [(40, 3), (40, NARROW + 1), (129, 130)], ids=["narrow", "small", "plain"])
def test_products_go_through_every_transformation(d_in, d_out):
    """The barriers must not stand in the way of vmap, jit or a derivative of the derivative."""
    a, dz = draw((2, 7, d_in), (2, 7, d_out))
    many = jax.jit(jax.vmap(lambda a, dz: dense_vjp_params(a, dz)[0]))(a, dz)
    np.testing.assert_allclose(many, np.einsum("bni,bno->bio", a, dz), rtol=1e-4, atol=1e-5)
    _, slope = jax.jvp(lambda a: dense_vjp_params(a, dz[0])[0], (a[0],), (a[1],))
    np.testing.assert_allclose(slope, np.asarray(a[1]).T @ np.asarray(dz[0]), rtol=1e-4, atol=1e-5)
    back = jax.grad(lambda dz: jnp.sum(dense_vjp_params(a[0], dz)[0] ** 2) / 2)(dz[0])
    np.testing.assert_allclose(back, a[0] @ (a[0].T @ dz[0]), rtol=1e-3, atol=1e-3)
