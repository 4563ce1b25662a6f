"""One training step: a gradient, an update."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxmlp import backprop, checks
from jaxmlp.model import Model, check_batch
from jaxmlp.optimizers import Optimizer, apply_updates
from jaxmlp.types import Array, ArrayLike, Params

ValueAndGrad: TypeAlias = Callable[..., tuple[Array, Any]]
"""`(params, x, y, model, weights=...) -> (loss, gradient)`: `jaxmlp.value_and_grad`, or its twin by autodiff."""


class TrainState(NamedTuple):
    """All that training changes.

    Attributes:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        opt_state: the optimizer's.
        step: `()`, updates made so far.
        key: the PRNG key; with `step` it decides the order of an epoch, and it stays as it is.
    """

    params: Any
    opt_state: Any
    step: Array
    key: Array


def init_state(params: Params, optimizer: Optimizer, key: Array) -> TrainState:
    """Return the state before the first step.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`; copied, so that a donating step leaves the caller's arrays alone.
        optimizer: ours, or one of optax's; what its `init` returns is copied likewise.
        key: a PRNG key; copied likewise.

    Returns:
        A `TrainState`.

    Raises:
        ValueError: If `params` is no network, or `key` no PRNG key.
    """
    checks.check_params(params)
    checks.check_key(key)
    return copied(new_state(params, optimizer, key))  # every leaf: some optimizers keep the params


def new_state(params: Params, optimizer: Optimizer, key: Array) -> TrainState:
    """Return the state before the first step, its leaves the very ones given.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        optimizer: ours, or one of optax's.
        key: a PRNG key.
    """
    return TrainState(params, optimizer.init(params), np.zeros((), np.int32), key)  # type: ignore[arg-type]


def copied(tree: Any) -> Any:
    """Return a copy that shares no memory; unlike `jnp.array(leaf, copy=True)` it compiles nothing.

    Args:
        tree: of arrays.
    """
    return jax.device_put(tree, may_alias=False)


def pure_step(
    model: Model, optimizer: Optimizer, value_and_grad: ValueAndGrad = backprop.value_and_grad
) -> Callable[..., tuple[TrainState, Array]]:
    """Make the step of `make_train_step` as a pure function, neither jitted nor donating.

    Args:
        model: activations and loss.
        optimizer: ours, or one of optax's.
        value_and_grad: what makes the gradient.

    Returns:
        `step(state, x, y, weights=None) -> (state, loss)`.
    """

    def step(
        state: TrainState, x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[TrainState, Array]:
        loss, grads = value_and_grad(state.params, x, y, model, weights=weights)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = apply_updates(state.params, updates)
        return TrainState(params, opt_state, state.step + 1, state.key), loss

    return step


def make_train_step(
    model: Model, optimizer: Optimizer, *, value_and_grad: ValueAndGrad = backprop.value_and_grad
) -> Callable[..., tuple[TrainState, Array]]:
    """Make a jitted training step.

    Args:
        model: activations and loss.
        optimizer: ours, or one of optax's.
        value_and_grad: what makes the gradient: by hand, `jax.value_and_grad(jaxmlp.loss)`, or a sharded one.

    Returns:
        `step(state, x, y, weights=None) -> (state, loss)`: the loss is that before the update. The state given is
        donated, its arrays gone afterwards; `init_state` made copies, so the caller's own survive. A batch that does
        not fit is refused before that.
    """
    one_step = pure_step(model, optimizer, value_and_grad)

    @functools.partial(jax.jit, donate_argnums=0)
    def jitted(state: TrainState, x: Array, y: Array, weights: Array | None = None) -> tuple[TrainState, Array]:
        x, y, weights = check_batch(state.params, x, y, model, weights)
        checks.check_not_empty(x)
        return one_step(state, x, y, weights)

    @functools.wraps(one_step)
    def step(
        state: TrainState, x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[TrainState, Array]:
        x, y = checks.as_numbers("x", x), checks.as_numbers("y", y)  # a list would be a tree to jit
        weights = weights if weights is None else checks.as_numbers("weights", weights)
        targets = model.loss_function.targets  # inside jit their values are no longer known
        if targets == "classes" and y.ndim == 1:
            checks.check_labels(y, state.params[-1][0].shape[1])
        checks.check_target_values(y, targets)
        return jitted(state, x, y, weights)

    step.lower, step.trace = jitted.lower, jitted.trace  # type: ignore[attr-defined]  # as `jax.export` wants them
    return step
