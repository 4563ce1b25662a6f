"""Equinox: `eqx.nn.MLP` to parameters and a model. Its weights are `(d_out, d_in)`, ours `(d_in, d_out)`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import activations
from jaxmlp.interop.layers import Layer, to_model, to_params
from jaxmlp.model import Model
from jaxmlp.types import Array

_PROBES = np.array([*np.linspace(-6, 6, 97), -1e3, -100, -30, -10, 10, 30, 100, 1e3], np.float32)


def from_equinox(mlp: Any, *, loss: str | None = None) -> tuple[list[tuple[Array, Array]], Model]:
    """Take the network out of an `equinox.nn.MLP`.

    Its activations are functions without names: they are recognised by what they compute at 105 points from -1000 to
    1000.

    Args:
        mlp: with `layers`, `activation` and `final_activation`; sizes of "scalar" count as 1.
        loss: what the model's loss shall be, for Equinox keeps none; None as in `from_torch`.

    Returns:
        `params` and `model`: `forward(params, x, model)` is `jax.vmap(mlp)(x)`.

    Raises:
        ValueError: If it is no MLP, or an activation is none of `jaxmlp.activations`.
    """
    if not all(hasattr(mlp, name) for name in ("layers", "activation", "final_activation")):
        raise ValueError(
            f"the module must be an equinox.nn.MLP, with layers, activation and final_activation; "
            f"got {type(mlp).__name__}."
        )
    layers = {}
    for i, layer in enumerate(mlp.layers):
        if not all(hasattr(layer, name) for name in ("weight", "bias")):
            raise ValueError(f"layers[{i}] must be an equinox.nn.Linear; got {type(layer).__name__}.")
        layers[f"layers[{i}]"] = Layer(
            np.asarray(layer.weight).T, None if layer.bias is None else np.asarray(layer.bias)
        )
    params = to_params(layers)
    hidden = [_recognised("activation", mlp.activation)] * (len(params) - 1)
    return params, to_model([*hidden, _recognised("final_activation", mlp.final_activation)], loss)


def _recognised(name: str, f: Callable[[Array], Array]) -> str:
    """The name of the activation that f computes."""
    try:
        values = np.asarray(jax.vmap(f)(jnp.asarray(_PROBES)))
    except Exception as error:  # whatever a function of the caller's may raise
        raise ValueError(f"{name} must be a function of one number; it raised {error!r}") from error
    elementwise = {known: g for known, g in activations.KNOWN.items() if g.derivative is not None}
    for known, g in elementwise.items():
        if values.shape == _PROBES.shape and np.allclose(values, g(jnp.asarray(_PROBES)), rtol=1e-6, atol=1e-6):
            return known
    raise ValueError(f"{name} must compute one of {', '.join(elementwise)}; {f!r} computes none of them.")
