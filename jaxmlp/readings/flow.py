"""How the signal flows: per-layer sizes of activations, errors and gradients, and units that no longer pass any."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxmlp.backprop import Tape
from jaxmlp.losses import widened
from jaxmlp.readings.first_order import gradients
from jaxmlp.types import Array


class LayerStatistics(NamedTuple):
    """One number for each layer, the first layer's first; rms is the root of the mean square.

    Attributes:
        activation_rms: `(L,)`, of a_l, over examples and units.
        delta_rms: `(L,)`, of delta_l. Where it falls from the last layer to the first by a steady factor, gradients
            vanish; where it rises, they explode.
        gradient_rms: `(L,)`, of dW_l, the gradient of `tape.loss`.
        dead_fraction: `(L,)`, the share of units whose activation is 0 for every example: dead ReLUs.
        saturated_fraction: `(L,)`, the share of activations, over examples and units, that have levelled off: within
            0.01 of -1, 0 or 1, from a pre-activation beyond -2.5 or 2.5. The tape does not know the activation: they
            are counted where all of a layer's activations lie in [-1, 1] and are not max(0, z), as for tanh, sigmoid,
            softsign and softmax, else 0. It says nothing of sine.
    """

    activation_rms: Array
    delta_rms: Array
    gradient_rms: Array
    dead_fraction: Array
    saturated_fraction: Array


def layer_statistics(tape: Tape) -> LayerStatistics:
    """Measure each layer: are gradients vanishing or exploding, are units dead or saturated.

    Backward, delta_l = (delta_{l+1} W_{l+1}^T) * f_l'(z_l): with f' near 1 and independent weights of variance v, the
    mean square of delta changes by d_{l+1} v from layer to layer, so its rms by sqrt(d_{l+1} v). Glorot and Bengio
    2010, Understanding the difficulty of training deep feedforward neural networks, eq. 6.

    Args:
        tape: of a batch of at least one example.

    Returns:
        `LayerStatistics`; with the gradient, 1.2 gradients.
    """
    of_loss = gradients(tape)
    activations, zs = [*tape.inputs[1:], tape.outputs], tape.preactivations
    return LayerStatistics(
        activation_rms=jnp.stack([_rms(a) for a in activations]),
        delta_rms=jnp.stack([_rms(delta) for delta in tape.deltas]),
        gradient_rms=jnp.stack([_rms(dW) for dW, _ in of_loss]),
        dead_fraction=jnp.stack([jnp.mean(jnp.all(a == 0, axis=0).astype(a.dtype)) for a in activations]),
        saturated_fraction=jnp.stack([_saturated(a, z) for a, z in zip(activations, zs, strict=True)]),
    )


def _rms(a: Array) -> Array:
    square = jnp.mean(widened(a) ** 2)  # squares of halves overflow
    return jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square))).astype(a.dtype)  # sqrt'(0) is inf


def _saturated(a: Array, z: Array) -> Array:
    size = jnp.abs(a)
    levelled = (jnp.minimum(size, jnp.abs(size - 1)) < 0.01) & (jnp.abs(z) > 2.5)
    bounded = (jnp.max(size, initial=0) <= 1) & ~jnp.all(a == jnp.maximum(z, 0))
    return jnp.where(bounded, jnp.mean(levelled.astype(a.dtype)), 0)
