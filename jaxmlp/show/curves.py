"""Numbers against epochs and against layers: `loss_curve`, `gradient_flow`, `gradient_report`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmlp.backprop import Tape
from jaxmlp.gradcheck import GradientReport
from jaxmlp.readings.first_order import gradients
from jaxmlp.show.canvas import axes_for

_STYLES = {"loss": ("-", "C0", "training"), "validation_loss": ("--", "C1", "validation")}
_SPREADS = (("activations a", "C0", "o"), ("errors delta", "C1", "s"), ("weight gradients dW", "C2", "^"))


def loss_curve(history: Mapping[str, Sequence[float]] | Sequence[float], *, ax: Any = None) -> Any:
    """Draw the loss against the epoch, on a logarithmic scale where all losses are positive.

    Args:
        history: of a `FitResult`: `"loss"` and, where there is, `"validation_loss"`, whose least is marked; or the
            losses `(epochs,)` of `train`.
        ax: to draw on; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If there is no loss in it.
    """
    curves = dict(history) if isinstance(history, Mapping) else {"loss": history}
    curves = {name: np.asarray(curves[name], float) for name in _STYLES if name in curves}
    if "loss" not in curves or curves["loss"].ndim != 1 or not len(curves["loss"]):
        raise ValueError("history must hold at least one epoch's loss, as FitResult.history or the losses of train do.")
    ax = axes_for(ax)
    for name, values in curves.items():
        line, color, label = _STYLES[name]
        ax.plot(
            np.arange(len(values)), values, line, color=color, label=label, marker="o" if len(values) == 1 else None
        )
    if "validation_loss" in curves:
        best = int(np.nanargmin(curves["validation_loss"]))
        least = curves["validation_loss"][best]
        ax.plot(best, least, "o", color="C1", markeredgecolor="k", label=f"best: {least:.3g} in epoch {best}")
        ax.legend()
    if all(np.all(values > 0) for values in curves.values()):
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.grid(color="0.92")
    return ax


def gradient_flow(tape: Tape, *, ax: Any = None) -> Any:
    """Draw how large activations, errors and weight gradients are, layer by layer.

    Of each layer's absolute numbers a thin line spans the 5th to the 95th percentile, a thick one the quartiles, and a
    mark stands at the median; exact zeros, of which dead ReLUs make many, are left out and told as a share below.

    Args:
        tape: of a batch of at least one example.
        ax: to draw on; None makes a figure.

    Returns:
        The axes, logarithmic, layers from 1.

    Raises:
        ValueError: If the batch is empty.
    """
    if not tape.losses.shape[0]:
        raise ValueError("the tape must be of at least one example; got none.")
    ax = axes_for(ax, (7.2, 4.4))
    groups = ([*tape.inputs[1:], tape.outputs], tape.deltas, [dW for dW, _ in gradients(tape)])
    for k, ((label, color, mark), arrays) in enumerate(zip(_SPREADS, groups, strict=True)):
        for layer, array in enumerate(arrays, 1):
            size = np.abs(np.asarray(array, float)).ravel()
            place, some = layer + 0.22 * (k - 1), size[size > 0]
            if len(some) < 0.995 * len(size):
                share = f"{1 - len(some) / len(size):.0%} 0"
                ax.annotate(share, (place, 0), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                            ha="center", fontsize=7, color=color, rotation=90)  # fmt: skip
            if len(some):
                low, quarter, middle, three, high = np.percentile(some, (5, 25, 50, 75, 95))
                ax.plot([place] * 2, [low, high], color=color, linewidth=1)
                ax.plot([place] * 2, [quarter, three], color=color, linewidth=4, solid_capstyle="butt")
                ax.plot(place, middle, mark, color=color, markeredgecolor="k", label=label if layer == 1 else None)
    ax.set(yscale="log", xlabel="layer", ylabel="absolute value", xticks=range(1, len(tape.deltas) + 1))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, frameon=False)
    ax.grid(axis="y", color="0.92")
    return ax


def gradient_report(report: GradientReport, *, ax: Any = None) -> Any:
    """Draw the errors of `check_gradients`, a row for each parameter, against the tolerance.

    Args:
        report: from `check_gradients`.
        ax: to draw on; None makes a figure.

    Returns:
        The axes; errors below 1e-18, zero among them, stand at its left edge, those that are not finite at the right.
    """
    ax = axes_for(ax, (6.4, 1.6 + 0.28 * len(report.rows)))
    low, high = 1e-18, max(1.0, 10 * report.tolerance)
    place = np.arange(len(report.rows))
    for name, mark, color in (("error", "o", "C0"), ("difference_error", "x", "C1")):
        errors = np.nan_to_num([getattr(row, name) for row in report.rows], nan=high, posinf=high)
        against = "autodiff" if name == "error" else "finite differences"
        ax.plot(np.clip(errors, low, high), place, mark, color=color, label=f"against {against}")
    ax.axvline(report.tolerance, color="0.4", linestyle="--", label="tolerance")
    ax.set(xscale="log", xlim=(low / 3, 3 * high), xlabel="relative error of the hand-written gradient")
    ax.set_yticks(place, [f"layer {row.layer}, {row.parameter}" for row in report.rows])
    ax.set_title(f"hand, autodiff and finite differences {'agree' if report.ok else 'DISAGREE'}")
    ax.invert_yaxis()
    ax.grid(axis="x", color="0.92")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25 - 0.6 / (1 + len(report.rows))), ncols=3, frameon=False)
    return ax
