"""What the files of this folder share: a chain of named layers, and a model of named activations."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import Activation
from jaxmlp.model import Model
from jaxmlp.types import Array

_LOSSES = {"sigmoid": "binary_cross_entropy", "softmax": "categorical_cross_entropy"}


class Layer(NamedTuple):
    """A dense layer as it came.

    Attributes:
        W: `(d_in, d_out)`.
        b: `(d_out,)`, or None where the layer has none.
    """

    W: np.ndarray
    b: np.ndarray | None


def to_params(layers: Mapping[str, Layer]) -> list[tuple[Array, Array]]:
    """Turn layers into parameters; a missing bias is zero.

    Args:
        layers: by name, in the order of the network.

    Returns:
        `[(W_1, b_1), ..., (W_L, b_L)]`, copies.

    Raises:
        ValueError: If there is none, one is no dense layer, or one does not read what the one before it makes; it
            names the layer.
    """
    if not layers:
        raise ValueError("a network needs at least one dense layer; got none.")
    for name, (W, b) in layers.items():
        if W.ndim != 2 or not jnp.issubdtype(W.dtype, jnp.floating):
            raise ValueError(
                f"layer {name!r} must be dense, with a matrix of floats; got {W.dtype} of shape {W.shape}. "
                f"Only multi-layer perceptrons are supported."
            )
        if b is not None and b.shape != W.shape[1:]:
            raise ValueError(f"layer {name!r} must have a bias of shape {W.shape[1:]}; got {b.shape}.")
    for (before, first), (name, second) in itertools.pairwise(layers.items()):
        if first.W.shape[1] != second.W.shape[0]:
            raise ValueError(
                f"layer {name!r} must read the {first.W.shape[1]} numbers that {before!r} makes; it reads "
                f"{second.W.shape[0]}. The layers must come in the network's order: {', '.join(layers)}."
            )
    return [
        (jnp.array(W), jnp.zeros(W.shape[1], jnp.array(W).dtype) if b is None else jnp.array(b))
        for W, b in layers.values()
    ]


def by_number(names: Iterable[str]) -> list[str]:
    """Sort names with the numbers in them as numbers: `Dense_2` before `Dense_10`.

    Args:
        names: of layers.
    """
    return sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])


def to_model(found: Sequence[str | Activation], loss: str | None) -> Model:
    """Make a model of what follows each layer.

    Args:
        found: an activation for each layer, the output's last.
        loss: its name; None takes the cross-entropy of probabilities after a sigmoid or a softmax, else
            `mean_squared_error`.

    Returns:
        A `Model`, with one name for all hidden layers where they are alike.
    """
    *hidden, output = found
    activation: Any = "relu" if not hidden else hidden[0] if len(set(hidden)) == 1 else tuple(hidden)
    if loss is None:
        loss = _LOSSES.get(output if isinstance(output, str) else output.name, "mean_squared_error")
    return Model(activation, output, loss)
