"""Flax: the variables of Linen modules and the state of NNX ones to parameters. Its kernels are `(d_in, d_out)`."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxmlp.interop.layers import Layer, by_number, to_params
from jaxmlp.types import Array


def from_flax(variables: Mapping[Any, Any]) -> list[tuple[Array, Array]]:
    """Take the parameters out of Flax's variables.

    JAX sorts dictionaries by name, so `Dense_10` may come before `Dense_2`: numbers in names count as numbers. Names
    without numbers are taken in the order given, where that is not the alphabet's; where it is, the widths must tell
    the order.

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
    layers = dict(_layers(variables, ""))
    names = list(layers)
    if names == sorted(names) and len({re.sub(r"\d+", "0", name) for name in names}) > 1:
        names = _by_width(layers)
    elif names == sorted(names):
        names = by_number(names)
    return to_params({name: layers[name] for name in names})


def _layers(tree: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Layer]]:
    """Every dense layer below, with its name."""
    if "kernel" in tree:
        others = [name for name in tree if name not in ("kernel", "bias")]
        if others:
            raise ValueError(f"layer {path!r} must have a kernel and a bias only; got {others[0]!r}.")
        yield path, Layer(np.asarray(tree["kernel"]), None if tree.get("bias") is None else np.asarray(tree["bias"]))
        return
    for name, child in tree.items():
        below = f"{path}.{name}" if path else str(name)
        if isinstance(child, Mapping):
            if name != "rngs":  # the random state of NNX's dropout
                yield from _layers(child, below)
        elif child is not None:
            raise ValueError(f"{below!r} belongs to no dense layer: only a kernel and a bias are supported.")


def _by_width(layers: Mapping[str, Layer]) -> list[str]:
    """The one order in which each layer reads what the one before it makes, and numbered names ascend."""
    found = list(itertools.islice(_chains([], by_number(layers), layers), 2))
    if len(found) > 1:
        raise ValueError(
            f"the order of the layers {', '.join(map(repr, layers))} cannot be told: JAX sorts them by name, and they "
            f"chain in several orders. Name them Dense_0, Dense_1, ... in the network's order."
        )
    return found[0] if found else list(layers)  # an order that does not chain is reported as such


def _chains(taken: list[str], left: list[str], layers: Mapping[str, Layer]) -> Iterator[list[str]]:
    if not left:
        yield taken
    forms = set()
    for name in left:
        form = re.sub(r"\d+", "0", name)
        first_of_its_form = form not in forms
        forms.add(form)
        if first_of_its_form and (not taken or layers[taken[-1]].W.shape[-1] == layers[name].W.shape[0]):
            yield from _chains([*taken, name], [other for other in left if other != name], layers)
