"""The backprop explorer: one file that shows a real run, the errors flowing backward included."""

import base64
import html
import importlib.resources
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop
from jaxmlp import model as network
from jaxmlp.model import Model, forward
from jaxmlp.readings.first_order import gradients
from jaxmlp.readings.flow import layer_statistics
from jaxmlp.training.checkpoints import write_bytes
from jaxmlp.types import Array, ArrayLike, Params

BYTES = 4_500_000  # of numbers in the file, which with its script stays below 5 MB
MOST = 400  # examples to pick from
CELLS = 32  # along each axis of the plane


def explorer(
    path: str | os.PathLike,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model,
    *,
    snapshots: Mapping[int, Params] | Sequence[Params] | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Write a page on which one can watch backpropagation: a single HTML file of at most 5 MB that needs no network.

    It shows the network with its weights, and for the example that one picks (on the plane for two inputs, from little
    pictures where the inputs are square images of 16 pixels or more, else from a table) every neuron's activation on
    the way forward and its delta on the way back, step by step, each step's formula with its numbers; the weights'
    gradients for the example and for the batch, by hand and by `jax.grad`; what the first layer looks for, where the
    inputs are images; the flow of gradients through the layers; and all of that at each snapshot of training. The
    numbers are a tape's, in float32.

    Args:
        path: where to write; the folder must exist.
        params: the network, the last snapshot.
        x: `(n, d_0)` inputs, the batch whose loss and gradient are shown. To pick from are the first 400, or as many
            as fit into the file.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        snapshots: other `params` of the same sizes, in order, shown before the last; or a dictionary of them by how
            many epochs they took, as `jaxmlp.fit(snapshots=...)` leaves in its history.
        class_names: one for each class.
        feature_names: one for each input.
        title: of the page.

    Raises:
        ValueError: If a shape or dtype does not fit, a label is not a valid class, there is no example, the network
            alone is too large for the file, or there is another number of names than of classes or inputs.
    """
    x, y = np.asarray(x), np.asarray(y)
    labels, every = _named(snapshots or (), params)
    sizes = [params[0][0].shape[0], *(W.shape[1] for W, _ in params)]
    _check_names("class_names", class_names, max(2, sizes[-1]))
    _check_names("feature_names", feature_names, sizes[0])
    for i, earlier in enumerate(every):
        if [W.shape for W, _ in earlier] != [W.shape for W, _ in params]:
            raise ValueError(f"snapshots must have the sizes of params, {tuple(sizes)}; number {i} has others.")
    network.check_batch(params, x, y, model)
    whole = 4 * sum(W.size + b.size for W, b in params)
    each = 4 * (sizes[0] + len(every) * (4 * sum(sizes[1:]) + 1))
    fixed = len(every) * (3 * whole + 8 * CELLS * CELLS)
    count = min(len(x), MOST, int((0.75 * BYTES - fixed) // each))  # four letters for three bytes
    if not len(x):
        raise ValueError("x must hold at least one example; got none.")
    if count < 1:
        raise ValueError(
            f"the page must stay below 5 MB; {len(every)} snapshots of a network of sizes {tuple(sizes)} do not fit. "
            f"Give fewer snapshots, or a smaller network."
        )
    plane = _plane(x) if sizes[0] == 2 else None
    side = math.isqrt(sizes[0])
    targets, kinds = _targets(y[:count], model, class_names)
    run = {
        "sizes": sizes,
        "activations": [f.name for f in model.layer_activations(len(params))],
        "loss": model.loss_function.name,
        "what": f"{' - '.join(map(str, sizes))}, {_summary(model)}; {len(x)} examples, {count} of them to pick.",
        "batch": len(x),
        "x": _text(x[:count]),
        "labels": targets,
        "kinds": kinds,
        "features": None if feature_names is None else [str(name) for name in feature_names],
        "plane": plane,
        "image": [side, side] if side * side == sizes[0] and side >= 4 else None,
        "snapshots": [
            {"label": label, **_snapshot(p, x, y, model, count, plane)} for label, p in zip(labels, every, strict=True)
        ],
    }
    data = json.dumps(run, allow_nan=True).replace("<", "\\u003c")  # nothing of the user's ends the script
    page = importlib.resources.files("jaxmlp.show").joinpath("explorer.html").read_text(encoding="utf-8")
    page = page.replace("__TITLE__", html.escape(title or "Backpropagation, step by step"))
    write_bytes(path, page.replace("__DATA__", data).encode())


def _named(snapshots: Mapping[int, Params] | Sequence[Params], params: Params) -> tuple[list[str], list[Params]]:
    """All the networks to show, `params` the last, and what each is called."""
    if isinstance(snapshots, Mapping):
        moments = sorted(snapshots)
        labels = ["before training" if done == 0 else f"after {done} epoch{'s' * (done > 1)}" for done in moments]
        return [*labels, "the network as it was given"], [*(snapshots[done] for done in moments), params]
    total = len(snapshots) + 1
    return [f"snapshot {i + 1} of {total}" for i in range(total)], [*snapshots, params]


def _check_names(kind: str, names: Sequence[str] | None, count: int) -> None:
    if names is not None and len(names) != count:
        raise ValueError(f"{kind} must hold {count} names; got {len(names)}.")


def _summary(model: Model) -> str:
    names = [getattr(model, field) for field in ("activation", "output", "loss")]
    return ", ".join(str(getattr(name, "name", name)) for name in names)


def _targets(y: np.ndarray, model: Model, names: Sequence[str] | None) -> tuple[list[str], list[int]]:
    """What is said of each target, and which kind it is of."""
    targets = model.loss_function.targets
    if targets == "classes":
        kinds = y if y.ndim == 1 else y.argmax(axis=1)
    elif targets in ("binary", "signs") and y.shape[1] == 1:
        kinds = (y[:, 0] > (0.5 if targets == "binary" else 0)).astype(int)
    else:
        return [", ".join(f"{value:.4g}" for value in row) for row in y.reshape(len(y), -1)], [0] * len(y)
    kinds = [int(kind) for kind in kinds]
    return [str(kind if names is None else names[kind]) for kind in kinds], kinds


def _plane(x: np.ndarray) -> dict[str, Any]:
    (left, bottom), (right, top) = x.min(axis=0), x.max(axis=0)
    across, up = (0.1 * max(float(high - low), 1e-9) for low, high in ((left, right), (bottom, top)))
    ends = {"left": left - across, "right": right + across, "bottom": bottom - up, "top": top + up}
    return {"size": CELLS, **{name: float(end) for name, end in ends.items()}}


def _snapshot(
    params: Params,
    x: np.ndarray,
    y: np.ndarray,
    model: Model,
    count: int,
    plane: dict[str, Any] | None,
) -> dict[str, Any]:
    """All that the page shows at one moment; arrays as text."""
    tape, by_hand, by_autodiff, slopes, flow = _read(params, x, y, model)
    return {
        "loss": float(tape.loss),
        "losses": _text(tape.losses[:count]),
        "W": [_text(W) for W, _ in params],
        "b": [_text(b) for _, b in params],
        "dW": [_text(dW) for dW, _ in by_hand],
        "db": [_text(db) for _, db in by_hand],
        "auto_dW": [_text(dW) for dW, _ in by_autodiff],
        "auto_db": [_text(db) for _, db in by_autodiff],
        "a": _texts([*tape.inputs[1:], tape.outputs], count),
        "z": _texts(tape.preactivations, count),
        "slope": _texts(slopes, count),
        "delta": _texts(tape.deltas, count),
        "flow": {
            "activation": np.asarray(flow.activation_rms, float).tolist(),
            "delta": np.asarray(flow.delta_rms, float).tolist(),
            "gradient": np.asarray(flow.gradient_rms, float).tolist(),
        },
        **({} if plane is None else _surface(params, model, plane)),
    }


@jax.jit
def _read(params: Params, x: Array, y: Array, model: Model) -> tuple:
    """The tape and what is read from it, in one compiled program for all snapshots."""
    tape = backprop.backward(params, x, y, model)
    by_autodiff = jax.grad(network.loss)(params, x, y, model)
    activations = model.layer_activations(len(params))
    slopes = [
        jnp.ones_like(z) if f.derivative is None else f.derivative(z)
        for f, z in zip(activations, tape.preactivations, strict=True)
    ]
    return tape, gradients(tape), by_autodiff, slopes, layer_statistics(tape)


def _surface(params: Params, model: Model, plane: dict[str, Any]) -> dict[str, str]:
    """On each cell of the plane, row by row from the bottom: the class decided for, and how clearly, from 0 to 1."""
    half = np.array([plane["right"] - plane["left"], plane["top"] - plane["bottom"]]) / (2 * CELLS)
    first = np.linspace(plane["left"] + half[0], plane["right"] - half[0], CELLS)
    second = np.linspace(plane["bottom"] + half[1], plane["top"] - half[1], CELLS)
    grid = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    outputs = np.asarray(forward(params, grid, model), float)
    if outputs.shape[1] == 1:
        value = outputs[:, 0] - (0.5 if model.loss_function.reads == "probabilities" else 0)
        winner, lead = (value > 0).astype(int), np.abs(value)
    else:
        second_best, best = np.sort(outputs, axis=1)[:, -2:].T
        winner, lead = outputs.argmax(axis=1), best - second_best
    return {"winner": _text(winner), "surface": _text(lead / max(lead.max(), 1e-300))}


def _texts(arrays: Iterable[Any], count: int) -> list[str]:
    return [_text(a[:count]) for a in arrays]


def _text(a: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(a, "<f4").tobytes()).decode()
