"""Flax: the variables of Linen modules and the state of NNX ones to parameters. Its kernels are `(d_in, d_out)`."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from jaxmlp.interop.layers import Layer, in_order, to_params
from jaxmlp.types import Array


def from_flax(variables: Mapping[Any, Any]) -> list[tuple[Array, Array]]:
    """Take the parameters out of Flax's variables.

    JAX sorts dictionaries by name, so that `Dense_10` comes before `Dense_2`: names that differ in their numbers only
    are taken by number, and where others come sorted, the widths decide between them. How a module uses its layers is
    not known here: they are taken for a chain.

    Args:
        variables: Linen's `{"params": {"Dense_0": {"kernel": ..., "bias": ...}, ...}}` or what stands in it, nested
            modules too; or the state of an NNX module, `flax.nnx.state(module)`, as it is or as a pure dictionary.

    Returns:
        `[(W_1, b_1), ..., (W_L, b_L)]`; a missing bias is zero.

    Raises:
        ValueError: If there is anything but dense layers, they do not chain, or their order cannot be told; it names
            the layer.
    """
    if not isinstance(variables, Mapping):
        raise ValueError(
            f"variables must be a dictionary, or the state of an NNX module: flax.nnx.state(module); "
            f"got {type(variables).__name__}."
        )
    if "params" in variables:
        others = [name for name in variables if name != "params" and variables[name]]
        if others:
            raise ValueError(f"only the collection 'params' is supported; got {others[0]!r} too.")
        variables = variables["params"]
    if not isinstance(variables, Mapping):
        raise ValueError(f"'params' must be a dictionary; got {type(variables).__name__}.")
    return to_params(in_order(dict(_layers(variables, ""))))


def _layers(tree: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Layer]]:
    """Every dense layer below, with its name."""
    if "kernel" in tree:
        others = [name for name in tree if name not in ("kernel", "bias")]
        if others:
            raise ValueError(f"layer {path!r} must have a kernel and a bias only; got {others[0]!r}.")
        kernel, bias = _array(path, tree["kernel"]), tree.get("bias")
        yield path, Layer(kernel, None if bias is None else _array(path, bias))
        return
    for name, child in tree.items():
        below = f"{path}.{name}" if path else str(name)
        if isinstance(child, Mapping):
            if name != "rngs":  # the random state of NNX's dropout
                yield from _layers(child, below)
        elif child is not None:
            raise ValueError(f"{below!r} belongs to no dense layer: only a kernel and a bias are supported.")


def _array(path: str, leaf: Any) -> Array:
    """The numbers of a parameter, out of NNX's variable or Linen's box."""
    try:
        return jnp.asarray(leaf.unbox() if hasattr(leaf, "unbox") else leaf)
    except TypeError as error:
        raise ValueError(f"layer {path!r} must hold arrays; got {type(leaf).__name__}.") from error
