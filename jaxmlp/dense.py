"""The affine map of a layer and, directly under it, its adjoint.

The adjoint of a map, also called its pullback or vector-Jacobian product (vjp), takes the derivative of the loss with
respect to what the map makes, and returns that with respect to what the map reads.
"""

import jax
import jax.numpy as jnp

from jaxmlp.types import Array

NARROW = 16  # outputs, up to which (dz^T a)^T takes less time than a^T dz
FEW = 512  # examples, up to which it pays to transpose small arrays
COPY = 2**17  # numbers, up to which it pays to transpose the input of a wide layer


def dense(a: Array, W: Array, b: Array) -> Array:
    """Apply one layer's weights (eq. 1).

    z = a W + b

    Args:
        a: `(..., d_in)`.
        W: `(d_in, d_out)`.
        b: `(d_out,)`.

    Returns:
        z `(..., d_out)`.
    """
    z = a @ W
    return z + jnp.broadcast_to(b, z.shape)


def dense_vjp(a: Array, W: Array, dz: Array) -> tuple[Array, Array, Array]:
    """Apply the adjoint of `dense`: from the derivative in z to those in a, W and b.

    da = dz W^T,  dW = a^T dz,  db = sum_n dz[n]

    Args:
        a: `(n, d_in)`, what the layer read.
        W: `(d_in, d_out)`.
        dz: `(n, d_out)`.

    Returns:
        da `(n, d_in)`, dW `(d_in, d_out)`, db `(d_out,)`.
    """
    return dense_vjp_input(W, dz), *dense_vjp_params(a, dz)


def dense_vjp_input(W: Array, dz: Array) -> Array:
    """Return da = dz W^T: what the backward pass hands to the layer before (eq. 5).

    Args:
        W: `(d_in, d_out)`.
        dz: `(n, d_out)`.

    Returns:
        da `(n, d_in)`.
    """
    return dz @ W.T


def dense_vjp_params(a: Array, dz: Array) -> tuple[Array, Array]:
    """Return dW = a^T dz and db = sum_n dz[n]: what the layer keeps (eqs. 6 and 7).

    Args:
        a: `(n, d_in)`, what the layer read.
        dz: `(n, d_out)`.

    Returns:
        dW `(d_in, d_out)`, db `(d_out,)`.
    """
    return _product(a, dz), jnp.sum(dz, axis=0)


def _product(a: Array, dz: Array) -> Array:
    """a^T dz, in the way that takes a CPU the least time.

    XLA is slow there at a product that has to transpose its left operand. Where layers are small, or wide with few
    examples, it is faster to transpose that first, into an array of its own: a gradient takes up to a quarter less
    time. Where outputs are few, dz is the one to transpose, in (dz^T a)^T. `examples/benchmarks/gradient_cost.py`
    measures it.
    """
    if _narrow(a, dz):
        dz_T = _transposed(dz) if len(dz) <= FEW else dz.T
        return jax.lax.optimization_barrier(dz_T @ a).T  # without a barrier XLA would make a^T dz of it
    return _transposed(a) @ dz if _pays_to_transpose(a, dz) else a.T @ dz


def _transposed(a: Array) -> Array:
    """a^T as an array of its own, and not as part of the product that it goes into."""
    return jax.lax.optimization_barrier(a.T)


def _narrow(a: Array, dz: Array) -> bool:
    return dz.shape[1] <= NARROW and 2 * dz.shape[1] <= a.shape[1]


def _pays_to_transpose(a: Array, dz: Array) -> bool:
    """Whether a copy of a takes less time than it saves in a^T dz."""
    n, d_in, d_out = *a.shape, dz.shape[1]
    small = n <= FEW and max(d_in, d_out) <= 128
    wide = n >= 128 and 512 <= d_out <= 4 * n and n * d_in <= COPY
    return (small or wide) and not _narrow(a, dz)
