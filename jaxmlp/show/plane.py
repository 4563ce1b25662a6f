"""What a network makes of a plane: `decision_boundary`."""

from typing import Any

import numpy as np

from jaxmlp import backprop
from jaxmlp.model import Model, forward
from jaxmlp.show.canvas import axes_for
from jaxmlp.types import ArrayLike, Params

_MARKS = "os^DvP*X<>"


def decision_boundary(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model, *, ax: Any = None, resolution: int = 200
) -> Any:
    """Draw the regions that a network divides the plane into, the examples on it, and their losses.

    With one output: its value as a shade, a line where it decides, dashed ones at its margins: -1 and 1 for the hinge,
    probabilities of 1/4 and 3/4, or where a loss of regression has but two targets, the quarters of the way between
    them; with more targets, contours. With several outputs: a colour for the largest, and the lines between them.
    A mark is the larger, the larger the example's loss.

    Args:
        params: of a network with two inputs.
        x: `(n, 2)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        ax: to draw on; None makes a figure.
        resolution: points along each axis that the network is evaluated at.

    Returns:
        The axes.

    Raises:
        ValueError: If the network has other than two inputs, or a shape or dtype does not fit.
    """
    if params[0][0].shape[0] != 2:
        raise ValueError(f"the network must have two inputs to be drawn over the plane; got {params[0][0].shape[0]}.")
    tape = backprop.backward(params, x, y, model)
    points, losses = np.asarray(x, float), np.asarray(tape.losses, float)
    if not len(points):
        raise ValueError("x must hold at least one example; got none.")
    ax = axes_for(ax, (5.6, 4.8))
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * max(right - left, top - bottom, 1e-9)
    first = np.linspace(left - margin, right + margin, resolution)
    second = np.linspace(bottom - margin, top + margin, resolution)
    grid = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    outputs = np.asarray(forward(params, grid, model), float).reshape(resolution, resolution, -1)
    if outputs.shape[-1] == 1:
        kinds = _draw_value(ax, first, second, outputs[..., 0], np.asarray(y, float).ravel(), model)
    else:
        kinds = _draw_classes(ax, first, second, outputs, np.asarray(y))
    area = 14 + 130 * losses / max(losses.max(), 1e-300)
    for k, kind in enumerate(np.unique(kinds)):
        rows = kinds == kind
        color = "white" if len(np.unique(kinds)) == 1 else f"C{k % 10}"
        ax.scatter(
            *points[rows].T, s=area[rows], marker=_MARKS[k % len(_MARKS)], c=color, edgecolors="k", linewidths=0.8
        )
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=first[[0, -1]], ylim=second[[0, -1]])
    ax.set_title(f"loss {float(tape.loss):.3g}; larger marks, larger losses", fontsize=10)
    return ax


def _draw_value(ax: Any, first: np.ndarray, second: np.ndarray, value: np.ndarray, y: np.ndarray, model: Model) -> Any:
    """One output as a shade; returns which kind of mark each example gets."""
    loss, extent = model.loss_function, (first[0], first[-1], second[0], second[-1])
    place = {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "bilinear"}
    two = np.unique(y)
    if loss.targets == "values" and len(two) != 2:
        ax.imshow(value, cmap="cividis", **place)
        ax.contour(first, second, value, 8, colors="k", linewidths=0.5)
        return np.zeros(len(y), int)
    if loss.targets == "values":
        threshold, reach = two.mean(), (two[1] - two[0]) / 4
    else:
        threshold = 0.5 if loss.reads == "probabilities" else 0.0
        reach = 1.0 if loss.targets == "signs" else 0.25 if loss.reads == "probabilities" else np.log(3)  # odds of 3
    far = max(float(np.abs(value - threshold).max()), 1e-12)
    ax.imshow(value, cmap="Greys", vmin=threshold - far, vmax=threshold + 2 * far, **place)
    if value.min() < threshold < value.max():
        ax.contour(first, second, value, [threshold], colors="k", linewidths=2)
    for level in (threshold - reach, threshold + reach):
        if value.min() < level < value.max():
            ax.contour(first, second, value, [level], colors="k", linewidths=1, linestyles="--")
    return (y > (threshold if loss.targets == "values" else 0 if loss.targets == "signs" else 0.5)).astype(int)


def _draw_classes(ax: Any, first: np.ndarray, second: np.ndarray, outputs: np.ndarray, y: np.ndarray) -> Any:
    """The largest output as a colour; returns the class of each example."""
    winner, classes = outputs.argmax(axis=-1), outputs.shape[-1]
    colors = [f"C{k % 10}" for k in range(classes)]
    ax.contourf(first, second, winner, np.arange(classes + 1) - 0.5, colors=colors, alpha=0.25)
    for k in range(classes):  # where an output overtakes the best of the others
        ahead = outputs[..., k] - np.delete(outputs, k, axis=-1).max(axis=-1)
        if ahead.min() < 0 < ahead.max():
            ax.contour(first, second, ahead, [0], colors="k", linewidths=1.2)
    return y if y.ndim == 1 else y.argmax(axis=1)
