"""The parameters themselves: `weights` and `network_graph`."""

import math
from typing import Any

import numpy as np

from jaxmlp import checks
from jaxmlp.backprop import Tape
from jaxmlp.model import Model
from jaxmlp.show.canvas import axes_for
from jaxmlp.types import Params

_DASHES = ("-", "--", "-.", ":")


def weights(params: Params, *, image_shape: tuple[int, int] | None = None, ax: Any = None) -> Any:
    """Draw how each layer's weights are distributed, or the first layer's as images.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        image_shape: (rows, columns) of the inputs where they are images: each unit of the first layer is then drawn as
            the image it looks for, black for its most negative weight, mid-grey for 0, white for its most positive.
        ax: to draw on; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If `params` is no network, or the images have another number of pixels than it has inputs.
    """
    checks.check_params(params)
    if image_shape is not None:
        return _images(np.asarray(params[0][0], float), image_shape, ax)
    ax = axes_for(ax)
    for layer, (W, _) in enumerate(params, 1):
        w = np.asarray(W, float).ravel()
        density, edges = np.histogram(w, bins=max(5, min(60, math.isqrt(w.size))), density=True)
        label = f"layer {layer}: {W.shape[0]} x {W.shape[1]}, rms {np.sqrt(np.mean(w * w)):.2g}"
        ax.stairs(density, edges, color=f"C{(layer - 1) % 10}", linestyle=_DASHES[(layer - 1) % 4], label=label)
    ax.set(xlabel="weight", ylabel="density")
    ax.legend(fontsize=8)
    ax.grid(color="0.92")
    return ax


def _images(W: np.ndarray, shape: tuple[int, int], ax: Any) -> Any:
    rows, columns = shape
    if rows * columns != W.shape[0]:
        raise ValueError(f"image_shape must have {W.shape[0]} pixels, one for each input; got {tuple(shape)}.")
    across = math.ceil(math.sqrt(W.shape[1] * rows / columns))
    down = math.ceil(W.shape[1] / across)
    sheet = np.full((down * (rows + 1) + 1, across * (columns + 1) + 1), np.nan)
    for unit, w in enumerate(W.T):
        top, left = (unit // across) * (rows + 1) + 1, (unit % across) * (columns + 1) + 1
        sheet[top : top + rows, left : left + columns] = (w / max(np.abs(w).max(), 1e-300)).reshape(rows, columns)
    ax = axes_for(ax, (6.4, 6.4 * sheet.shape[0] / sheet.shape[1] + 0.4))
    ax.imshow(sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=f"first-layer weights of {W.shape[1]} units, each scaled to its largest")
    ax.set_frame_on(False)
    return ax


def network_graph(
    params: Params, model: Model, tape: Tape | None = None, *, example: int = 0, most: int = 12, ax: Any = None
) -> Any:
    """Draw neurons, and weights as lines: the wider the larger, solid blue if positive, dashed orange if negative.

    With a tape, a neuron is the darker the larger its activation is for one example, which stands in it, and delta, the
    derivative of that example's loss with respect to its pre-activation, stands beside it.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        model: its activations are named under the layers.
        tape: of the same network.
        example: which of the tape's examples.
        most: neurons drawn of a layer; where there are more, its first ones.
        ax: to draw on; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If `params` is no network, the tape is of another, or it has no such example.
    """
    checks.check_params(params)
    sizes = [params[0][0].shape[0], *(W.shape[1] for W, _ in params)]
    if tape is not None and [a.shape[1] for a in (*tape.inputs, tape.outputs)] != sizes:
        raise ValueError(f"the tape must be of this network, of sizes {tuple(sizes)}; its own are others.")
    if tape is not None and not 0 <= example < tape.outputs.shape[0]:
        raise ValueError(f"example must be one of the tape's 0 ... {tape.outputs.shape[0] - 1}; got {example}.")
    shown = [min(size, most) for size in sizes]
    ax = axes_for(ax, (1.7 * len(sizes) + 1, 0.42 * max(shown) + 1.4))
    places = [np.arange(count) - (count - 1) / 2 for count in shown]  # downwards
    for layer, (W, _) in enumerate(params):
        _draw_weights(ax, layer, np.asarray(W, float)[: shown[layer], : shown[layer + 1]], places)
    names = ["inputs", *(f.name for f in model.layer_activations(len(params)))]
    for layer, heights in enumerate(places):
        activation = np.zeros(len(heights)) if tape is None else _row([*tape.inputs, tape.outputs][layer], example)
        delta = None if tape is None or layer == 0 else _row(tape.deltas[layer - 1], example)
        _draw_neurons(ax, layer, heights, activation, delta, numbered=tape is not None)
        hidden = f"\n({shown[layer]} of {sizes[layer]})" if shown[layer] < sizes[layer] else ""
        ax.text(layer, max(shown) / 2 + 0.15, names[layer] + hidden, ha="center", va="top", fontsize=9)
    if tape is not None:
        ax.set_title(
            f"example {example}: loss {float(tape.losses[example]):.4g}; beside each neuron its delta", fontsize=10
        )
    ax.set(xlim=(-0.4, len(sizes) - 0.4), ylim=(max(shown) / 2 + 1.1, -max(shown) / 2 - 0.2))
    ax.set_axis_off()
    return ax


def _row(a: Any, example: int) -> np.ndarray:
    return np.asarray(a, float)[example]


def _draw_weights(ax: Any, layer: int, W: np.ndarray, places: list[np.ndarray]) -> None:
    from matplotlib.collections import LineCollection

    largest = max(np.abs(W).max(), 1e-300)
    for positive in (False, True):
        rows, columns = np.nonzero(W > 0 if positive else W < 0)
        ends = [
            [(layer, places[layer][i]), (layer + 1, places[layer + 1][j])] for i, j in zip(rows, columns, strict=True)
        ]
        widths = 2.5 * np.abs(W[rows, columns]) / largest
        color, style = ("C0", "-") if positive else ("C1", "--")
        ax.add_collection(LineCollection(ends, linewidths=widths, colors=color, linestyles=style, alpha=0.7, zorder=1))


def _draw_neurons(
    ax: Any, layer: int, heights: np.ndarray, activation: np.ndarray, delta: np.ndarray | None, *, numbered: bool
) -> None:
    activation = activation[: len(heights)]
    shade = np.abs(activation) / max(np.abs(activation).max(), 1e-300)
    for k, height in enumerate(heights):
        grey = 1 - 0.75 * shade[k]
        ax.scatter(layer, height, s=420, c=[(grey, grey, grey)], edgecolors="k", zorder=2)
        if numbered:
            text = "white" if grey < 0.55 else "black"
            ax.text(layer, height, f"{activation[k]:.2f}", ha="center", va="center", fontsize=7, color=text, zorder=3)
        if delta is not None:
            ax.text(layer + 0.14, height - 0.3, f"{delta[k]:+.1e}", fontsize=6.5, zorder=3,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})  # fmt: skip
