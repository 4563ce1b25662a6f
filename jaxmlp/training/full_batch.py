"""All the data at once: SciPy's L-BFGS on the hand-written gradient."""

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
    x, y, weights = check_batch(params, x, y, model, weights)
    check_training(x, y, model, epochs=0, batch_size=1)
    checks.check_count("max_iterations", max_iterations, 0)
    w = example_weights(params, y, model, weights, None)
    if max_iterations == 0:  # SciPy would make one
        _check_finite(*_value_and_grad(params, x, y, w, model, _as_tree(value_and_grad)))
        return FitResult(copied(params), None, {"loss": []}, -1)
    eps = float(jnp.finfo(params[0][0].dtype).eps)
    params, _, losses = minimize_lbfgs(
        params,
        x,
        y,
        model,
        weights=w,
        value_and_grad=value_and_grad,
        options={"maxiter": int(max_iterations), "maxfun": 50 * int(max_iterations) + 50, "ftol": eps, "gtol": eps},
    )
    return FitResult(params, None, {"loss": losses}, len(losses) - 1)


def minimize_lbfgs(
    params: Params,
    x: Array,
    y: Array,
    model: Model,
    *,
    weights: Array | None,
    value_and_grad: ValueAndGrad,
    options: dict[str, Any],
) -> tuple[Any, Any, list[float]]:
    """Call SciPy on checked data.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]` to start from.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)`, or None.
        value_and_grad: a function, or a `jax.tree_util.Partial`, whose arguments may change without compiling anew.
        options: as `scipy.optimize.minimize(method="L-BFGS-B")` takes them.

    Returns:
        The parameters found, SciPy's `OptimizeResult`, and the loss after each iteration.

    Raises:
        FloatingPointError: If the loss or gradient of `params` is not finite to begin with.
    """
    from scipy.optimize import minimize  # only here: importing it takes time

    leaves, structure = jax.tree.flatten(params)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    gradient_of = _as_tree(value_and_grad)
    losses = []

    def tree(theta: np.ndarray) -> Any:
        parts = zip(np.split(theta, ends), leaves, strict=True)
        return structure.unflatten([jax.device_put(part.reshape(p.shape).astype(p.dtype)) for part, p in parts])

    def vector(tree: Any) -> np.ndarray:
        return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])

    def loss_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, grads = _value_and_grad(tree(theta), x, y, weights, model, gradient_of)
        return float(loss), vector(grads)

    start = vector(params)
    _check_finite(*loss_and_gradient(start))
    result = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: losses.append(float(intermediate_result.fun)),
        options=options,
    )
    return tree(result.x), result, losses


def _check_finite(loss: Any, gradient: Any) -> None:
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((loss, gradient))):
        raise FloatingPointError(f"the loss of the parameters given is {loss}, or its gradient is not finite.")


def _as_tree(value_and_grad: ValueAndGrad) -> jax.tree_util.Partial:
    return (
        value_and_grad if isinstance(value_and_grad, jax.tree_util.Partial) else jax.tree_util.Partial(value_and_grad)
    )


@jax.jit
def _value_and_grad(
    params: Params, x: Array, y: Array, weights: Array | None, model: Model, value_and_grad: ValueAndGrad
) -> tuple[Array, Any]:
    return value_and_grad(params, x, y, model, weights=weights)
