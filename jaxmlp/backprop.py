"""Backpropagation by hand: a loop forward, a loop back, and no calculus of their own.

The derivatives stand beside what they derive: in `activations`, `losses` and `dense`. The equations are numbered as
in `docs/backprop.md`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxmlp.dense import dense, dense_vjp_input, dense_vjp_params
from jaxmlp.losses import each, each_gradient
from jaxmlp.model import Model, prepare_batch
from jaxmlp.types import Array, ArrayLike, Params


class Tape(NamedTuple):
    """What one backward pass knows: the arrays behind the gradient and every other reading.

    `inputs`, `preactivations` and `deltas` have one entry for each layer, in a list or tuple as `params` is. Entry l of
    Python's counting belongs to layer l + 1 of the equations.

    Attributes:
        loss: `()`, sum_n c_n loss_n.
        losses: `(n,)`, loss_n.
        coefficients: `(n,)`, c_n: the reduction and the sample weights.
        inputs: a_{l-1} `(n, d_{l-1})`, what layer l reads; the first is x.
        preactivations: z_l `(n, d_l)`.
        outputs: a_L `(n, d_L)`.
        deltas: delta_l `(n, d_l)`, the derivative of loss_n with respect to z_l[n]; not multiplied by c_n.
    """

    loss: Array
    losses: Array
    coefficients: Array
    inputs: Sequence[Array]
    preactivations: Sequence[Array]
    outputs: Array
    deltas: Sequence[Array]


def backward(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model = Model(), *, weights: ArrayLike | None = None
) -> Tape:
    """Run the network forward and its errors backward, and keep all of it.

    z_l = a_{l-1} W_l + b_l,  a_l = f_l(z_l)               (eqs. 1 and 2)
    delta_L = (dloss_n / da_L) * f_L'(z_L)                 (eq. 4)
    delta_l = (delta_{l+1} W_{l+1}^T) * f_l'(z_l)          (eq. 5)

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights; they enter `coefficients` and `loss`, not `losses` and `deltas`.

    Returns:
        A `Tape`; `jaxmlp.gradients` and the other readings take it from there. Its cost is a gradient's without the
        products that make dW.

    Raises:
        ValueError: If a shape or dtype does not fit, or a concrete label is not a valid class.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    inputs, preactivations, outputs = forward_pass(params, x, model)
    losses = each(model.loss_function, outputs, y)
    da = each_gradient(model.loss_function, outputs, y)
    return Tape(
        loss=jnp.sum(c * losses),
        losses=losses,
        coefficients=c,
        inputs=same_kind(params, inputs),
        preactivations=same_kind(params, preactivations),
        outputs=outputs,
        deltas=same_kind(params, backward_pass(params, preactivations, da, model)),
    )


def value_and_grad(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model = Model(), *, weights: ArrayLike | None = None
) -> tuple[Array, Any]:
    """Return the loss and its gradient, by hand: the twin of `jax.value_and_grad(loss)`.

    dz_l = c * delta_l,  dW_l = a_{l-1}^T dz_l,  db_l = sum_n dz_l[n]  (eqs. 6 and 7)

    The errors are linear in the derivative that they start from, so it is multiplied by c there, once, and not at
    every layer.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        The loss, a scalar, and `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as `params` is.

    Raises:
        ValueError: If a shape or dtype does not fit, or a concrete label is not a valid class.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    inputs, preactivations, outputs = forward_pass(params, x, model)
    losses = each(model.loss_function, outputs, y)
    da = each_gradient(model.loss_function, outputs, y)
    dzs = backward_pass(params, preactivations, c[:, None] * da, model)
    grads = [dense_vjp_params(a, dz) for a, dz in zip(inputs, dzs, strict=True)]
    return jnp.sum(c * losses), same_kind(params, grads)


def forward_pass(params: Params, x: Array, model: Model) -> tuple[list[Array], list[Array], Array]:
    """Apply the layers in order, and keep what each reads and makes (eqs. 1 and 2).

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs, in the dtype of `params`.
        model: for its activations.

    Returns:
        The inputs a_{l-1} `(n, d_{l-1})` and pre-activations z_l `(n, d_l)` of every layer, and the outputs a_L
        `(n, d_L)`.
    """
    a, inputs, preactivations = x, [], []
    for (W, b), f in zip(params, model.layer_activations(len(params)), strict=True):
        z = dense(a, W, b)
        inputs.append(a)
        preactivations.append(z)
        a = f(z)
    return inputs, preactivations, a


def backward_pass(params: Params, preactivations: Sequence[Array], da: Array, model: Model) -> list[Array]:
    """Carry a derivative in the outputs back to every pre-activation (eqs. 4 and 5).

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        preactivations: z_l `(n, d_l)`.
        da: `(n, d_L)`, a derivative with respect to a_L.
        model: for its activations.

    Returns:
        The derivatives dz_l `(n, d_l)`, from the first layer's to the last's.
    """
    activations = model.layer_activations(len(params))
    dz = activations[-1].pullback(preactivations[-1], da)
    dzs = [dz]
    for l in reversed(range(len(params) - 1)):
        W_next, _ = params[l + 1]
        dz = activations[l].pullback(preactivations[l], dense_vjp_input(W_next, dz))
        dzs.append(dz)
    return dzs[::-1]


def same_kind(params: Sequence[Any], items: Sequence[Any]) -> Any:
    """Return the items in a tuple where `params` is one, else in a list.

    Args:
        params: what decides.
        items: one for each layer.
    """
    return tuple(items) if isinstance(params, tuple) else list(items)
