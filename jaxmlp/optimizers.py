"""Optimizers: pure `(init, update)` pairs over any tree of arrays, in optax's protocol; they know no networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp.types import Array

Schedule = Callable[[Array], Array]


class Optimizer(NamedTuple):
    """A pair of pure functions, interchangeable with an `optax.GradientTransformation`.

    Attributes:
        init: `params -> state`.
        update: `(grads, state, params=None) -> (updates, state)`; the updates are to be added to the parameters.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def apply_updates(params: Any, updates: Any) -> Any:
    """Return params + updates, leaf by leaf, in the dtypes of `params`.

    Args:
        params: a tree of arrays.
        updates: of the same structure.
    """
    return jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)


class SgdState(NamedTuple):
    """State of `sgd`.

    Attributes:
        step: `()`, updates made so far.
        velocity: m, shaped like the parameters; empty without momentum.
    """

    step: Array
    velocity: Any


def sgd(learning_rate: float | Array | Schedule, momentum: float | Array = 0.0, nesterov: bool = False) -> Optimizer:
    """Make stochastic gradient descent, with (Nesterov) momentum where asked for.

    m <- momentum m + g,  update = -learning_rate m;  Nesterov: update = -learning_rate (g + momentum m)
    Sutskever et al. 2013, Proceedings of the 30th ICML, with the learning rate outside m, as in optax.

    Args:
        learning_rate: a number, a traced scalar, or a schedule `count -> learning rate`, count from 0.
        momentum: a number or a traced scalar; the number 0 keeps no velocity.
        nesterov: whether to look ahead.

    Returns:
        An `Optimizer` whose updates have the dtypes of the gradients.
    """
    plain = isinstance(momentum, int | float) and momentum == 0

    def init(params: Any) -> SgdState:
        return SgdState(jnp.zeros((), jnp.int32), () if plain else jax.tree.map(jnp.zeros_like, params))

    def update(grads: Any, state: SgdState, params: Any = None) -> tuple[Any, SgdState]:
        del params
        lr = learning_rate(state.step) if callable(learning_rate) else learning_rate
        direction, m = grads, state.velocity
        if not plain:
            direction = m = _add_scaled(grads, momentum, m)
            if nesterov:
                direction = _add_scaled(grads, momentum, m)
        updates = jax.tree.map(lambda g: -jnp.asarray(lr, g.dtype) * g, direction)
        return updates, SgdState(state.step + 1, m)

    return Optimizer(init, update)


def _add_scaled(g: Any, s: float | Array, m: Any) -> Any:
    """g + s m, leaf by leaf."""
    return jax.tree.map(lambda g, m: g + jnp.asarray(s, g.dtype) * m, g, m)
