"""A whole training run as one pure function: a scan over epochs of a scan over batches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop, checks
from jaxmlp.model import Model, check_batch
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.shuffling import shuffled_indices
from jaxmlp.training.steps import TrainState, ValueAndGrad, pure_step
from jaxmlp.types import Array, ArrayLike


def train(
    state: TrainState,
    x: ArrayLike,
    y: ArrayLike,
    model: Model,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    value_and_grad: ValueAndGrad = backprop.value_and_grad,
) -> tuple[TrainState, Array]:
    """Train for some epochs; pure, so jit it, vmap it over keys, learning rates or data.

    Every epoch visits each example once, in an order drawn from `state.key`. Where `batch_size` does not divide n,
    the last batch is the smaller one exactly: filled up with examples of weight 0. One batch that holds everything is
    taken in the order given. All randomness comes from `state.key`: 10 + 10 epochs are 20, bit for bit.

    Args:
        state: from `init_state`, or from an earlier call.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        optimizer: the one that made the state.
        epochs: how many times to go through the data; static.
        batch_size: examples for one update, more than n meaning all of them; static.
        value_and_grad: what makes the gradient, as in `make_train_step`.

    Returns:
        The state after `epochs` times ceil(n / batch_size) updates, and losses `(epochs,)`: each the epoch's mean of
        the loss before each update, over the examples for a mean loss (a smaller batch counts for less), over the
        updates for a sum.

    Raises:
        ValueError: If a shape or dtype does not fit, a concrete label is not a valid class, there is no example, or
            `epochs` or `batch_size` is not a static integer of at least 0 and 1.

    Example:
        >>> import jax, jaxmlp
        >>> x = jax.numpy.linspace(-1, 1, 64)[:, None]
        >>> model, optimizer = jaxmlp.Model(activation="tanh"), jaxmlp.optimizers.sgd(0.1)
        >>> params = jaxmlp.init_mlp(jax.random.key(0), (1, 16, 1))
        >>> state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
        >>> state, losses = jaxmlp.train(state, x, x**2, model, optimizer, epochs=50, batch_size=16)
        >>> losses.shape, bool(losses[-1] < 0.1 * losses[0])
        ((50,), True)
    """
    x, y, _ = check_batch(state.params, x, y, model)
    checks.check_not_empty(x)
    checks.check_count("epochs", epochs, 0)
    checks.check_count("batch_size", batch_size, 1)
    n = x.shape[0]
    batch_size = min(batch_size, n)
    updates = -(-n // batch_size)
    padding = updates * batch_size - n
    step = pure_step(model, optimizer, value_and_grad)

    # Weight 1 for the examples, 0 for the padding; share of each batch in the epoch's mean.
    present = np.arange(updates * batch_size).reshape(updates, batch_size) < n
    share = present.sum(1) / n if model.loss_function.reduction == "mean" else np.full(updates, 1 / updates)
    weights = jnp.asarray(present, state.params[0][0].dtype) if padding else None

    def update(state: TrainState, batch: Any) -> tuple[TrainState, Array]:
        rows, w = batch
        if rows is None:
            return step(state, x, y)
        return step(state, x[rows], y[rows], w)

    def epoch(state: TrainState, _: None) -> tuple[TrainState, Array]:
        key, shuffle_key = jax.random.split(state.key)
        rows = None
        if updates > 1:
            order = jnp.pad(shuffled_indices(shuffle_key, n), (0, padding))
            rows = order.reshape(updates, batch_size)
        state, losses = jax.lax.scan(update, state._replace(key=key), (rows, weights), length=updates)
        return state, jnp.sum(losses * share.astype(losses.dtype))

    return jax.lax.scan(epoch, state, length=epochs)
