"""A whole training run as one pure function: a scan over epochs of a scan over batches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmlp import backprop, checks
from jaxmlp.losses import widened
from jaxmlp.model import Model, check_batch
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.shuffling import epoch_order
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
    weights: ArrayLike | None = None,
    shuffle: bool = True,
    value_and_grad: ValueAndGrad = backprop.value_and_grad,
) -> tuple[TrainState, Array]:
    """Train for some epochs; pure, so jit it, vmap it over keys, learning rates, weights or data.

    Every epoch visits each example once, in an order that `state.key` and `state.step` decide (`epoch_order` says how),
    or without `shuffle` in the order given. Where `batch_size` does not divide n, the last batch is the smaller one
    exactly: filled up with examples of weight 0. One batch that holds everything is taken in the order given. All
    randomness comes from the state: 10 + 10 epochs are 20, bit for bit. The key stays as it is.

    Args:
        state: from `init_state`, or from an earlier call.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        optimizer: the one that made the state.
        epochs: how many times to go through the data; static.
        batch_size: examples for one update, more than n meaning all of them; static.
        weights: `(n,)` sample weights; None weighs all alike.
        shuffle: whether each epoch has an order of its own; static.
        value_and_grad: what makes the gradient, as in `make_train_step`.

    Returns:
        The state after `epochs` times ceil(n / batch_size) updates, and losses `(epochs,)`: each the epoch's mean of
        the loss before each update, over the examples for a mean loss (weighted as they are; a smaller batch counts
        for less), over the updates for a sum; in at least float32.

    Raises:
        ValueError: If a shape or dtype does not fit, a concrete target is not one that the loss can take, there is no
            example, or `epochs` or `batch_size` is not a static integer of at least 0 and 1.

    Example:
        >>> import jax, jaxmlp
        >>> x = jax.numpy.linspace(-1, 1, 64)[:, None]
        >>> model, optimizer = jaxmlp.Model(activation="tanh"), jaxmlp.optimizers.sgd(0.1)
        >>> params = jaxmlp.init_mlp(jax.random.key(0), (1, 16, 1))
        >>> state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
        >>> state, losses = jaxmlp.train(state, x, x**2, model, optimizer, epochs=100, batch_size=16)
        >>> losses.shape, bool(losses[-1] < 0.1 * losses[0])
        ((100,), True)
    """
    x, y, w = check_batch(state.params, x, y, model, weights)
    check_training(x, y, model, epochs=epochs, batch_size=batch_size)
    w = w if w is None else w.astype(state.params[0][0].dtype)
    epoch = make_epoch(x, y, w, model, optimizer, batch_size, value_and_grad, shuffle)
    return jax.lax.scan(lambda state, _: epoch(state), state, length=epochs)


def check_training(x: ArrayLike, y: ArrayLike, model: Model, *, epochs: int, batch_size: int) -> None:
    """Check what only training asks for: at least one example, targets of the loss's kind, static counts.

    Args:
        x: checked inputs.
        y: checked targets.
        model: for its loss.
        epochs: at least 0.
        batch_size: at least 1.

    Raises:
        ValueError: If one of them is not as it should be.
    """
    checks.check_not_empty(x)
    checks.check_target_values(y, model.loss_function.targets)
    checks.check_count("epochs", epochs, 0)
    checks.check_count("batch_size", batch_size, 1)


def make_epoch(
    x: Array,
    y: Array,
    weights: Array | None,
    model: Model,
    optimizer: Optimizer,
    batch_size: int,
    value_and_grad: ValueAndGrad,
    shuffle: bool = True,
) -> Callable[[TrainState], tuple[TrainState, Array]]:
    """Make one epoch over checked data as a function of the state.

    Args:
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        weights: `(n,)` sample weights in the dtype of the parameters, or None.
        model: activations and loss.
        optimizer: the one that made the state.
        batch_size: examples for one update, more than n meaning all of them.
        value_and_grad: what makes the gradient.
        shuffle: whether each epoch has an order of its own.

    Returns:
        `epoch(state) -> (state, loss)`, loss as in `train`; with weights the mean over the examples is weighted.
    """
    n = x.shape[0]
    batch_size = min(batch_size, n)
    updates = -(-n // batch_size)
    length = updates * batch_size  # the order's first examples fill it up, with weight 0
    step = pure_step(model, optimizer, value_and_grad)

    def whole_batch(state: TrainState) -> tuple[TrainState, Array]:
        return step(state, x, y, weights)  # nothing random, so the key stays

    def update(state: TrainState, batch: tuple[Array, Array | None]) -> tuple[TrainState, Array]:
        rows, w = batch
        return step(state, _take(x, rows), _take(y, rows), w)

    def epoch(state: TrainState) -> tuple[TrainState, Array]:
        order = epoch_order(state.key, state.step, n, length) if shuffle else jnp.arange(length, dtype=jnp.int32) % n
        present = np.arange(length) < n
        w = None
        if length > n or weights is not None:
            w = (
                present.astype(state.params[0][0].dtype)
                if weights is None
                else jnp.where(present, _take(weights, order), 0)
            )
            w = jnp.reshape(w, (updates, batch_size))
        state, losses = jax.lax.scan(update, state, (order.reshape(updates, batch_size), w))
        losses = widened(losses)
        if w is None or model.loss_function.reduction == "sum":
            return state, jnp.mean(losses)
        w = widened(w)
        total = jnp.sum(w)
        return state, jnp.sum(losses * jnp.sum(w, axis=1)) / jnp.where(total == 0, 1, total)

    return epoch if updates > 1 else whole_batch


def _take(a: Array, rows: Array) -> Array:
    """a[rows], where every row is known to exist."""
    mesh = jax.typeof(a).sharding.mesh
    if AxisType.Explicit in mesh.axis_types:  # rows of any device may meet in a batch
        return a.at[rows].get(mode="promise_in_bounds", out_sharding=NamedSharding(mesh, P()))
    return a.at[rows].get(mode="promise_in_bounds")
