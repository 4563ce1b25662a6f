"""What the files of this folder share: a chain of named layers, and a model of named activations."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import Activation
from jaxmlp.model import Model
from jaxmlp.types import Array, ArrayLike

_LOSSES = {"sigmoid": "binary_cross_entropy", "softmax": "categorical_cross_entropy"}


class Layer(NamedTuple):
    """A dense layer as it came.

    Attributes:
        W: `(d_in, d_out)`.
        b: `(d_out,)`, or None where the layer has none.
    """

    W: ArrayLike
    b: ArrayLike | None


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
    _check_dense(layers)
    for (before, first), (name, second) in itertools.pairwise(layers.items()):
        if first.W.shape[1] != second.W.shape[0]:
            raise ValueError(
                f"layer {name!r} must read the {first.W.shape[1]} numbers that {before!r} makes; it reads "
                f"{second.W.shape[0]}. The layers must come in the network's order: {', '.join(layers)}."
            )
    Ws = [jnp.array(W) for W, _ in layers.values()]
    bs = [np.zeros(W.shape[1]) if b is None else b for W, b in layers.values()]
    return [(W, jnp.array(b, W.dtype)) for W, b in zip(Ws, bs, strict=True)]


def _check_dense(layers: Mapping[str, Layer]) -> None:
    for name, (W, b) in layers.items():
        if W.ndim != 2 or not jnp.issubdtype(W.dtype, jnp.floating):
            raise ValueError(
                f"layer {name!r} must be dense, with a matrix of floats; got {W.dtype} of shape {W.shape}. "
                f"Only multi-layer perceptrons are supported."
            )
        if b is not None and b.shape != W.shape[1:]:
            raise ValueError(f"layer {name!r} must have a bias of shape {W.shape[1:]}; got {b.shape}.")


def in_order(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """Undo a sorting by name.

    Names that differ in their numbers only ascend by number (`Dense_2` before `Dense_10`). Other names may have been
    sorted, by JAX or by a file, where they come in the alphabet's order: then the widths decide. In any other order
    they are taken for the network's.

    Args:
        layers: by name.

    Returns:
        The same, in the network's order.

    Raises:
        ValueError: If one is no dense layer, or the names are sorted and the layers chain in more than one order.
    """
    _check_dense(layers)
    by_number = sorted(layers, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
    if len(set(map(_form, layers))) > 1 and list(layers) not in (sorted(layers), by_number):
        return dict(layers)
    form_of_shape: dict[tuple[int, ...], str] = {}
    for name in by_number:  # two layers that could change places, and whose numbers do not tell which is first
        if form_of_shape.setdefault(layers[name].W.shape, _form(name)) != _form(name):
            raise ValueError(_untold(layers))
    orders = list(itertools.islice(_chains([], by_number, layers), 2))
    if len(orders) > 1:
        raise ValueError(_untold(layers))
    return {name: layers[name] for name in (orders or [by_number])[0]}  # what does not chain is reported as such


def _form(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _untold(layers: Mapping[str, Layer]) -> str:
    return (
        f"the order of the layers {', '.join(map(repr, layers))} cannot be told: they come sorted by name, and chain "
        f"in several orders. Name them by number in the network's order, such as Dense_0, Dense_1, ..."
    )


def _chains(taken: list[str], left: list[str], layers: Mapping[str, Layer]) -> Iterator[list[str]]:
    """Every order of what is left in which each layer reads what the one before it makes, and numbers ascend."""
    if not left:
        yield taken
    first_of_its_form = {_form(name): name for name in reversed(left)}
    for name in first_of_its_form.values():
        if not taken or layers[taken[-1]].W.shape[-1] == layers[name].W.shape[0]:
            yield from _chains([*taken, name], [other for other in left if other != name], layers)


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
