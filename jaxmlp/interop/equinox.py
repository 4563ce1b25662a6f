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

_FAR = np.geomspace(1e-3, 1e4, 200)  # on no grid that a rounding function may share
_PROBES = np.concatenate([-_FAR, [0], _FAR]).astype(np.float32)


def from_equinox(mlp: Any, *, loss: str | None = None) -> tuple[list[tuple[Array, Array]], Model]:
    """Take the network out of an `equinox.nn.MLP`.

    Its activations are functions without names: they are recognised by what they compute at 401 points from -10,000 to
    10,000.

    Args:
        mlp: the module; sizes of "scalar" count as 1.
        loss: what the model's loss shall be, for Equinox keeps none; None as in `from_torch`.

    Returns:
        `params` and `model`: `forward(params, x, model)` is `jax.vmap(mlp)(x)`.

    Raises:
        ValueError: If it is no MLP, or an activation is none of `jaxmlp.activations`.
    """
    if not _runs(mlp, "MLP"):
        raise ValueError(f"the module must be an equinox.nn.MLP; got {type(mlp).__name__}.")
    layers = {}
    for i, layer in enumerate(mlp.layers):
        if not _runs(layer, "Linear"):
            raise ValueError(f"layers[{i}] must be an equinox.nn.Linear; got {type(layer).__name__}.")
        layers[f"layers[{i}]"] = Layer(
            jnp.asarray(layer.weight).T, None if layer.bias is None else jnp.asarray(layer.bias)
        )
    params = to_params(layers)
    hidden = [_recognised("activation", mlp.activation) for _ in params[1:]]
    return params, to_model([*hidden, _recognised("final_activation", mlp.final_activation)], loss)


def _runs(module: Any, kind: str) -> bool:
    """Whether it is called as Equinox's class of that name is: a subclass may compute something else."""
    owner = next((base for base in type(module).__mro__ if "__call__" in vars(base)), object)
    return owner.__name__ == kind and owner.__module__.startswith("equinox.")


def _recognised(name: str, f: Callable[[Array], Array]) -> str:
    """The name of the activation that f computes."""
    try:
        values = np.asarray(jax.vmap(f)(jnp.asarray(_PROBES)))
    except Exception as error:  # whatever a function of the caller's may raise
        raise ValueError(f"{name} must be a function of one number; it raised {error!r}") from error
    elementwise = {known: g for known, g in activations.KNOWN.items() if g.derivative is not None}
    for known, g in elementwise.items():
        if values.shape == _PROBES.shape and np.allclose(values, g(jnp.asarray(_PROBES)), rtol=1e-5, atol=1e-6):
            return known
    raise ValueError(f"{name} must compute one of {', '.join(elementwise)}; {f!r} computes none of them.")
