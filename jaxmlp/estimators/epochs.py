"""What the estimators compile: some epochs of `train` with scikit-learn's penalty and optimizers, and predictions.

Whatever a search over hyper-parameters changes is data of these programs: a new alpha or learning rate compiles
nothing, nor does a fold with a few examples less, for all are filled up with rows of weight 0.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop
from jaxmlp.losses import widened
from jaxmlp.model import Model, forward, loss
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.loop import train
from jaxmlp.training.steps import TrainState
from jaxmlp.types import Array, Params

ROWS = 32  # data that fit in one batch are filled up to a multiple of it
BLOCK = 4096  # so are long predictions to a multiple of this


def precision(dtype: Any) -> contextlib.AbstractContextManager:
    """Return the context to compute in: with float64 where the data are, whatever the flag says.

    Args:
        dtype: of the data.
    """
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def shared_rows(n: int) -> int:
    """Return to how many rows a prediction is filled up, so that those of many lengths share a program.

    Args:
        n: rows there are; up to 4,096 the next power of two, then the next multiple of 4,096.
    """
    return -(-n // BLOCK) * BLOCK if n > BLOCK else max(ROWS, 1 << (n - 1).bit_length())


def more_rows(a: np.ndarray, rows: int) -> np.ndarray:
    """Return the array with rows of zeros added.

    Args:
        a: `(n, ...)`.
        rows: how many in all.
    """
    return np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])


def filled_up(X: np.ndarray, y: np.ndarray, weight: np.ndarray, rows: int) -> tuple[Array, Array, Array]:
    """Put data on the device, filled up with examples of weight 0.

    Args:
        X: `(n, d_0)`.
        y: `(n, d_L)` or `(n,)`.
        weight: `(n,)`.
        rows: how many in all.
    """
    return jax.device_put(tuple(more_rows(a, rows) for a in (X, y, weight)))


@functools.partial(jax.jit, static_argnames=("solver", "nesterov", "batch_size"))
def some_epochs(
    state: TrainState,
    epochs: Array,
    orders: Array,
    rates: Array,
    x: Array,
    y: Array,
    weights: Array,
    numbers: dict[str, Array],
    model: Model,
    *,
    solver: str,
    nesterov: bool,
    batch_size: int,
) -> tuple[TrainState, Array]:
    """Some epochs in the orders and at the learning rates given.

    Args:
        state: before them.
        epochs: `()`, how many of the orders to use; not static.
        orders: `(most, n)`.
        rates: `(most,)`.
        x: `(n, d_0)`.
        y: `(n, d_L)` or `(n,)`.
        weights: `(n,)`.
        numbers: the estimator's parameters of these names.
        model: activations and loss.
        solver: "sgd" or "adam".
        nesterov: whether sgd looks ahead.
        batch_size: a divisor of n.

    Returns:
        The state after them, and the losses `(most,)`, those of no epoch 0.
    """

    def one(i: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        order = orders[i]
        state, value = train(
            state,
            x[order],
            y[order],
            model,
            OPTIMIZERS[solver]({**numbers, "learning_rate": rates[i]}, nesterov),
            epochs=1,
            batch_size=batch_size,
            weights=weights[order],
            shuffle=False,
            value_and_grad=functools.partial(penalized, numbers),
        )
        return state, losses.at[i].set(value[0])

    return jax.lax.fori_loop(0, epochs, one, (state, jnp.zeros(rates.shape, widened(rates).dtype)))


def penalized(
    numbers: dict[str, Array], params: Params, x: Array, y: Array, model: Model, *, weights: Array
) -> tuple[Array, Params]:
    """Return loss + alpha / (2 sum w) sum |W|^2, and its gradient; the biases are free.

    Args:
        numbers: `alpha`, and `scale`, what the loss reported is multiplied by (the gradient is not).
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)`.
        y: `(n, d_L)` or `(n,)`.
        model: activations and loss.
        weights: `(n,)`, w; where they sum to 0, their sum counts as 1.
    """
    value, grads = backprop.value_and_grad(params, x, y, model, weights=weights)
    total = jnp.sum(weights)
    alpha = numbers["alpha"] / jnp.where(total == 0, 1, total)
    penalty = alpha / 2 * sum(jnp.sum(W * W) for W, _ in params)
    grads = [(dW + alpha * W, db) for (dW, db), (W, _) in zip(grads, params, strict=True)]
    return numbers["scale"] * value + penalty, grads


@jax.jit
def evaluate(params: Params, x: Array, y: Array, weights: Array, model: Model) -> tuple[Array, Array]:
    """Return the loss and the outputs.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)`.
        y: `(n, d_L)` or `(n,)`.
        weights: `(n,)`.
        model: activations and loss.
    """
    return loss(params, x, y, model, weights=weights), forward(params, x, model)


jitted_forward = jax.jit(forward)


def _sgd(numbers: dict[str, Array], nesterov: bool) -> Optimizer:
    """v <- mu v - lr g,  update = v;  Nesterov: update = mu v - lr g.  State: v.

    As `jaxmlp.optimizers.sgd`, but for the learning rate inside v, which matters where it changes. Sutskever et al.
    2013, Proceedings of the 30th ICML, eqs. 1 to 4, written for theta + mu v, so that the gradient is taken where the
    parameters are.
    """

    def moved(velocity: Any, grads: Any) -> Any:
        return jax.tree.map(lambda v, g: numbers["momentum"] * v - numbers["learning_rate"] * g, velocity, grads)

    def update(grads: Any, velocity: Any, params: Any = None) -> tuple[Any, Any]:
        velocity = moved(velocity, grads)
        return moved(velocity, grads) if nesterov else velocity, velocity

    return Optimizer(_no_velocity, update)


def _no_velocity(params: Any) -> Any:
    return jax.tree.map(np.zeros_like, params)


def _adam(numbers: dict[str, Array], nesterov: bool) -> Optimizer:
    """lr_t = lr sqrt(1 - b2^t) / (1 - b1^t),  update = -lr_t m / (sqrt(v) + eps).  State: t, m, v.

    Kingma and Ba 2015, arXiv 1412.6980, the reordered form at the end of section 2, whose eps-hat this eps is;
    `jaxmlp.optimizers.adam` is algorithm 1.
    """

    def update(grads: Any, state: tuple[Any, Any, Any], params: Any = None) -> tuple[Any, tuple[Any, Any, Any]]:
        t, m, v = state
        b1, b2 = numbers["beta_1"], numbers["beta_2"]
        t = t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, v, grads)
        power = t.astype(b1.dtype)
        rate = numbers["learning_rate"] * jnp.sqrt(1 - b2**power) / (1 - b1**power)
        return jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + numbers["epsilon"]), m, v), (t, m, v)

    return Optimizer(_no_moments, update)


def _no_moments(params: Any) -> Any:
    return np.int32(0), jax.tree.map(np.zeros_like, params), jax.tree.map(np.zeros_like, params)


OPTIMIZERS: dict[str, Callable[[dict[str, Array], bool], Optimizer]] = {"sgd": _sgd, "adam": _adam}
BEGINNINGS: dict[str, Callable[[Any], Any]] = {"sgd": _no_velocity, "adam": _no_moments}
