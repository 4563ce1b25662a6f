"""How much each example counts: sample weights and class weights, multiplied."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import jax
import numpy as np

from jaxmlp.model import Model
from jaxmlp.types import Array, Params

ClassWeights: TypeAlias = Sequence[float] | Mapping[int, float] | Literal["balanced"]


def example_weights(
    params: Params, y: Array, model: Model, weights: Array | None, class_weights: ClassWeights | None
) -> Array | None:
    """Return sample weights times class weights.

    Args:
        params: for their dtype.
        y: checked targets.
        model: for its loss.
        weights: `(n,)`, or None.
        class_weights: one number for each class, in order or by label, "balanced", or None.

    Returns:
        `(n,)` in the dtype of `params`; None where there are neither.

    Raises:
        ValueError: If a number is negative or not finite, all weights are 0, there is no such class, or the loss has
            no classes.
    """
    total = None
    if weights is not None:
        total = np.asarray(weights, np.float64)
        if not np.all(np.isfinite(total) & (total >= 0)) or not total.any():
            raise ValueError("weights must be finite, not negative, and not all 0.")
    if class_weights is not None:
        by_class = _weights_by_class(np.asarray(y), params[-1][0].shape[1], model, class_weights)
        total = by_class if total is None else by_class * total
    if total is None:
        return None
    with np.errstate(over="ignore"):
        cast = total.astype(params[0][0].dtype)
    if not np.all(np.isfinite(cast.astype(float))) or not cast.any():
        raise ValueError(f"weights times class_weights must be finite {cast.dtype} numbers, not all 0.")
    return jax.device_put(cast)


def _weights_by_class(y: np.ndarray, d_out: int, model: Model, class_weights: ClassWeights) -> np.ndarray:
    """The class weight of each example, `(n,)`."""
    targets = model.loss_function.targets
    if targets == "classes":
        labels, classes = (y if y.ndim == 1 else np.argmax(y, axis=1)), d_out
    elif targets in ("binary", "signs") and d_out == 1:
        labels, classes = (y[:, 0] > (0.5 if targets == "binary" else 0)).astype(int), 2
    else:
        raise ValueError(
            f"class_weights needs a loss with one class for each example; got {model.loss_function.name!r} and "
            f"{d_out} outputs. Write weights= for each example."
        )
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights must be 'balanced' or numbers; got {class_weights!r}.")
        counts = np.bincount(labels, minlength=classes)
        return len(labels) / (np.count_nonzero(counts) * counts[labels])
    if isinstance(class_weights, Mapping):
        unknown = [label for label in class_weights if label not in range(classes)]
        if unknown:
            raise ValueError(f"class_weights has no such class: {unknown[0]!r}; there are 0 ... {classes - 1}.")
        class_weights = [class_weights.get(label, 1.0) for label in range(classes)]
    numbers = np.asarray(class_weights, np.float64)
    if numbers.shape != (classes,) or not np.all(np.isfinite(numbers) & (numbers >= 0)):
        raise ValueError(f"class_weights must be {classes} finite numbers, none negative; got {class_weights!r}.")
    return numbers[labels]
