"""First-order readings: gradients and sums of them."""

from typing import Any

import jax.numpy as jnp

from jaxmlp.backprop import Tape, same_kind
from jaxmlp.checks import check_weights
from jaxmlp.dense import dense_vjp_params
from jaxmlp.types import ArrayLike


def gradients(tape: Tape) -> Any:
    """Return the gradient of `tape.loss`.

    dW_l = a_{l-1}^T (c * delta_l),  db_l = sum_n c_n delta_l[n]  (eqs. 6 and 7)

    Args:
        tape: of a batch.

    Returns:
        `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as the tape's params were. It costs half of a gradient,
        `backward` being the other half.
    """
    return weighted_gradient_sum(tape, tape.coefficients)


def weighted_gradient_sum(tape: Tape, c: ArrayLike) -> Any:
    """Return sum_n c_n g_n, g_n the gradient of loss_n, without making any g_n.

    dW_l = a_{l-1}^T (c * delta_l),  db_l = sum_n c_n delta_l[n]. Bu et al. 2022, arXiv 2210.00038.

    Args:
        tape: of a batch.
        c: `(n,)`.

    Returns:
        `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as the tape's params were.

    Raises:
        ValueError: If `c` is not `(n,)`.
    """
    c = jnp.asarray(c, tape.losses.dtype)
    check_weights("c", c, tape.losses.shape[0])
    sums = [dense_vjp_params(a, c[:, None] * delta) for a, delta in zip(tape.inputs, tape.deltas, strict=True)]
    return same_kind(tape.deltas, sums)
