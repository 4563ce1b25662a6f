"""All the data at once: SciPy's L-BFGS on the hand-written gradient."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop, checks
from jaxmlp.model import Model, check_batch
from jaxmlp.training.fitting import FitResult
from jaxmlp.training.loop import check_training
from jaxmlp.training.steps import ValueAndGrad, copied
from jaxmlp.training.weighting import example_weights
from jaxmlp.types import Array, ArrayLike, Params


def fit_lbfgs(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model,
    *,
    max_iterations: int,
    weights: ArrayLike | None = None,
    value_and_grad: ValueAndGrad = backprop.value_and_grad,
) -> FitResult:
    """Minimise the loss of all the data at once by L-BFGS: for small data, where it often ends in a few hundred steps.

    SciPy's `minimize(method="L-BFGS-B")` (Byrd et al. 1995), in float64, with the loss and gradient computed here in
    the dtype of `params`. It ends where an iteration lowers the loss by less than that dtype's relative rounding, eps,
    or no entry of the gradient exceeds eps.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]` to start from.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        max_iterations: the most there may be.
        weights: `(n,)` sample weights, none negative.
        value_and_grad: what makes the gradient, as in `make_train_step`.

    Returns:
        A `FitResult` without a state; `history["loss"]` is the loss after each iteration.

    Raises:
        ValueError: If a shape, dtype or value does not fit, or there is no example.
        FloatingPointError: If the loss or gradient of `params` is not finite to begin with.
    """
    from scipy.optimize import minimize  # only here: importing it takes time

    x, y, weights = check_batch(params, x, y, model, weights)
    check_training(x, y, model, epochs=0, batch_size=1)
    checks.check_count("max_iterations", max_iterations, 0)
    w = example_weights(params, y, model, weights, None)
    leaves, structure = jax.tree.flatten(params)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    history = {"loss": []}

    def tree(theta: np.ndarray) -> Any:
        parts = zip(np.split(theta, ends), leaves, strict=True)
        return structure.unflatten([jax.device_put(part.reshape(p.shape).astype(p.dtype)) for part, p in parts])

    def vector(tree: Any) -> np.ndarray:
        return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])

    def loss_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, grads = _value_and_grad(tree(theta), x, y, w, model=model, value_and_grad=value_and_grad)
        return float(loss), vector(grads)

    start = vector(params)
    loss, gradient = loss_and_gradient(start)
    if not np.isfinite(loss) or not np.all(np.isfinite(gradient)):
        raise FloatingPointError(f"the loss of the parameters given is {loss}, or its gradient is not finite.")
    eps = float(jnp.finfo(leaves[0].dtype).eps)
    if max_iterations == 0:  # SciPy would make one
        return FitResult(copied(params), None, history, -1)
    result = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: history["loss"].append(float(intermediate_result.fun)),
        options={"maxiter": int(max_iterations), "maxfun": 50 * int(max_iterations) + 50, "ftol": eps, "gtol": eps},
    )
    return FitResult(tree(result.x), None, history, len(history["loss"]) - 1)


@functools.partial(jax.jit, static_argnames=("value_and_grad",))
def _value_and_grad(
    params: Params, x: Array, y: Array, weights: Array | None, *, model: Model, value_and_grad: ValueAndGrad
) -> tuple[Array, Any]:
    return value_and_grad(params, x, y, model, weights=weights)
