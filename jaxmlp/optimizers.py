"""Optimizers: pure `(init, update)` pairs over any tree of arrays, in optax's protocol; they know no networks.

Names, arguments, defaults and numbers are optax's. Inside, the letters are those of each paper: g the gradient, t the
number of the update from 1, m and v the moments, theta the parameters. An update is to be added to the parameters.

Wherever a number is asked for (a learning rate, a momentum, a decay) a traced scalar will do as well, so that `vmap`
sweeps it; a learning rate or a weight decay may also be a schedule, `count -> number`, count from 0.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxmlp.types import Array

Number: TypeAlias = float | Array
Schedule: TypeAlias = Callable[[int | Array], Number]
Mask: TypeAlias = Any
"""A tree of bools, or a function `params -> tree of bools`, or None: which leaves a weight decay applies to."""


class Optimizer(NamedTuple):
    """A pair of pure functions, interchangeable with an `optax.GradientTransformation`.

    Attributes:
        init: `params -> state`.
        update: `(grads, state, params=None) -> (updates, state)`; the updates are to be added to the parameters.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


Maker = TypeVar("Maker", bound=Callable[..., Any])


def same_for_same(make: Maker) -> Maker:
    """Let a maker return the same object for the same arguments: `jit` knows a function by it, and compiles once.

    Args:
        make: a function that makes functions.

    Returns:
        It, with a memory; arguments that do not hash, as arrays do not, or that are closures of the caller's, make a
        new object each time.
    """
    signature = inspect.signature(make)

    @functools.lru_cache(maxsize=256, typed=True)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        for f in made if isinstance(made, tuple) else (made,):
            f.remembered = True
        return made

    @functools.wraps(make)
    def maker(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            values = (*given.args, *given.kwargs.values())
            hash(values)
        except TypeError:
            return make(*args, **kwargs)
        return remembered(*given.args, **given.kwargs) if _holds_no_tracer(values) else make(*args, **kwargs)

    return maker  # type: ignore[return-value]


def _holds_no_tracer(argument: Any) -> bool:
    """Whether the memory may keep it: a closure may hold a tracer, unless it was made of remembered arguments."""
    if isinstance(argument, tuple):
        return all(map(_holds_no_tracer, argument))
    return getattr(argument, "remembered", False) or not getattr(argument, "__closure__", None)


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


@same_for_same
def sgd(
    learning_rate: Number | Schedule,
    momentum: Number | None = 0.0,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> Optimizer:
    """Make stochastic gradient descent, with (Nesterov) momentum where asked for.

    m <- g + momentum m,  update = -learning_rate m;  Nesterov: update = -learning_rate (g + momentum m)
    Sutskever et al. 2013, Proceedings of the 30th ICML, with the learning rate outside m, as in optax.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        momentum: a number or a traced scalar; None or the number 0 keep no velocity.
        nesterov: whether to look ahead.
        accumulator_dtype: of m; None means that of the parameters.

    Returns:
        An `Optimizer`.
    """
    if isinstance(momentum, int | float) and momentum == 0:
        momentum = None

    def init(params: Any) -> SgdState:
        return SgdState(_start(), () if momentum is None else _full(params, 0, accumulator_dtype))

    def equations(lr: Number, momentum: Number | None, g: Array, m: Array) -> tuple[Array, ...]:
        if momentum is None:
            return -lr * g, m
        m = g + momentum * m
        return -lr * (g + momentum * m if nesterov else m), m

    def update(grads: Any, state: SgdState, params: Any = None) -> tuple[Any, SgdState]:
        del params
        lr = _at(learning_rate, state.step)
        updates, m = _per_leaf(equations, [lr, momentum], [grads, state.velocity])
        return updates, SgdState(state.step + 1, m)

    return Optimizer(init, update)


class AdamState(NamedTuple):
    """State of `adam`, `adamw` and `nadam`.

    Attributes:
        step: `()`, updates made so far.
        m: the first moment, shaped like the parameters.
        v: the second moment, likewise.
    """

    step: Array
    m: Any
    v: Any


@same_for_same
def adam(
    learning_rate: Number | Schedule,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Optimizer:
    """Make Adam.

    m <- b1 m + (1 - b1) g,           v <- b2 v + (1 - b2) g**2
    m_hat = m / (1 - b1**t),          v_hat = v / (1 - b2**t)
    update = -learning_rate m_hat / (sqrt(v_hat + eps_root) + eps)
    Kingma and Ba 2014, arXiv 1412.6980, algorithm 1.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: what keeps the quotient finite.
        eps_root: the same inside the root, where one differentiates through the update.
        mu_dtype: of m; None means that of the parameters.
        nesterov: whether to look ahead, as `nadam` does.

    Returns:
        An `Optimizer`.
    """
    return _adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


@same_for_same
def adamw(
    learning_rate: Number | Schedule,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    mu_dtype: Any = None,
    weight_decay: Number | Schedule = 1e-4,
    mask: Mask = None,
    *,
    nesterov: bool = False,
) -> Optimizer:
    """Make Adam with decoupled weight decay.

    update = -learning_rate (m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay theta),  the rest as in `adam`
    Loshchilov and Hutter 2017, arXiv 1711.05101, algorithm 2, the decay multiplied by the learning rate as in optax.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: what keeps the quotient finite.
        eps_root: the same inside the root.
        mu_dtype: of m; None means that of the parameters.
        weight_decay: a number, a traced scalar, or a schedule.
        mask: which leaves decay: a tree of bools, or a function `params -> tree of bools`; None means all.
            `lambda params: [(True, False) for _ in params]` spares the biases.
        nesterov: whether to look ahead.

    Returns:
        An `Optimizer` whose `update` needs `params`.
    """
    return _adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov, weight_decay, mask)


@same_for_same
def nadam(
    learning_rate: Number | Schedule,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Optimizer:
    """Make Adam with Nesterov momentum.

    m_hat = b1 m / (1 - b1**(t + 1)) + (1 - b1) g / (1 - b1**t),  the rest as in `adam`
    Dozat 2016, https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ, algorithm 2, v_hat without its factor b2 as in
    optax.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: what keeps the quotient finite.
        eps_root: the same inside the root.
        mu_dtype: of m; None means that of the parameters.
        nesterov: False makes it `adam`.

    Returns:
        An `Optimizer`.
    """
    return _adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


def _adam(
    learning_rate: Number | Schedule,
    b1: Number,
    b2: Number,
    eps: Number,
    eps_root: Number,
    mu_dtype: Any,
    nesterov: bool,
    weight_decay: Number | Schedule | None = None,
    mask: Mask = None,
) -> Optimizer:
    def init(params: Any) -> AdamState:
        return AdamState(_start(), _full(params, 0, mu_dtype), _full(params, 0))

    def equations(
        lr: Number, wd: Number | None, b1: Number, b2: Number, eps: Number, eps_root: Number, t: Array,
        g: Array, m: Array, v: Array, theta: Array,
    ) -> tuple[Array, ...]:  # fmt: skip
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        direction = m_hat / (jnp.sqrt(v_hat + eps_root) + eps)
        return -lr * (direction if wd is None else direction + wd * theta), m, v

    def update(grads: Any, state: AdamState, params: Any = None) -> tuple[Any, AdamState]:
        t, lr, wd = state.step + 1, _at(learning_rate, state.step), _at(weight_decay, state.step)
        theta = () if weight_decay is None else _decaying(params, mask)
        numbers = [lr, wd, b1, b2, eps, eps_root, t]
        updates, m, v = _per_leaf(equations, numbers, [grads, state.m, state.v], [theta])
        return updates, AdamState(t, m, v)

    return Optimizer(init, update)


class RmspropState(NamedTuple):
    """State of `rmsprop`.

    Attributes:
        step: `()`, updates made so far.
        v: the second moment, shaped like the parameters.
        mean: the first moment, likewise; empty unless centered.
        velocity: likewise; empty without momentum.
    """

    step: Array
    v: Any
    mean: Any
    velocity: Any


@same_for_same
def rmsprop(
    learning_rate: Number | Schedule,
    decay: Number = 0.9,
    eps: Number = 1e-8,
    initial_scale: Number = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Number | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Optimizer:
    """Make RMSprop.

    v <- decay v + (1 - decay) g**2,  u = learning_rate g / sqrt(v + eps),  update = -u
    Centered (Graves 2013, arXiv 1308.0850, eq. 38-41): v - mean**2, at least 0, stands for v, where
    mean <- decay mean + (1 - decay) g.
    Momentum: velocity <- u + momentum velocity, and update = -velocity, or with Nesterov -(u + momentum velocity).
    Hinton 2012, Neural Networks for Machine Learning, lecture 6e.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        decay: of the moments.
        eps: what keeps the quotient finite.
        initial_scale: what v starts from.
        eps_in_sqrt: whether eps stands inside the root, or beside it: sqrt(v) + eps.
        centered: whether to divide by the standard deviation.
        momentum: a number or a traced scalar; None keeps no velocity.
        nesterov: whether to look ahead.
        bias_correction: whether to divide the moments by 1 - decay**t, as Adam does.

    Returns:
        An `Optimizer`.
    """

    def init(params: Any) -> RmspropState:
        mean = _full(params, 0) if centered else ()
        velocity = () if momentum is None else _full(params, 0)
        return RmspropState(_start(), _full(params, initial_scale), mean, velocity)

    def equations(
        lr: Number, decay: Number, eps: Number, momentum: Number | None, t: Array,
        g: Array, v: Array, mean: Array, velocity: Array,
    ) -> tuple[Array, ...]:  # fmt: skip
        correction = 1 - decay**t if bias_correction else 1
        v = decay * v + (1 - decay) * g**2
        spread = v / correction
        if centered:
            mean = decay * mean + (1 - decay) * g
            spread = jnp.maximum(spread - (mean / correction) ** 2, 0)  # rounding may make it negative
        u = lr * g / (jnp.sqrt(spread + eps) if eps_in_sqrt else jnp.sqrt(spread) + eps)
        if momentum is not None:
            velocity = u + momentum * velocity
            u = u + momentum * velocity if nesterov else velocity
        return -u, v, mean, velocity

    def update(grads: Any, state: RmspropState, params: Any = None) -> tuple[Any, RmspropState]:
        del params
        t, lr = state.step + 1, _at(learning_rate, state.step)
        updates, *moments = _per_leaf(equations, [lr, decay, eps, momentum, t], [grads, *state[1:]])
        return updates, RmspropState(t, *moments)

    return Optimizer(init, update)


class AdagradState(NamedTuple):
    """State of `adagrad`.

    Attributes:
        step: `()`, updates made so far.
        sum_of_squares: s, shaped like the parameters.
    """

    step: Array
    sum_of_squares: Any


@same_for_same
def adagrad(learning_rate: Number | Schedule, initial_accumulator_value: Number = 0.1, eps: Number = 1e-7) -> Optimizer:
    """Make Adagrad.

    s <- s + g**2,  update = -learning_rate g / sqrt(s + eps), and 0 where s is 0
    Duchi et al. 2011, JMLR 12, its diagonal form.

    Args:
        learning_rate: a number, a traced scalar, or a schedule.
        initial_accumulator_value: what s starts from.
        eps: what keeps the quotient finite.

    Returns:
        An `Optimizer`.
    """

    def init(params: Any) -> AdagradState:
        return AdagradState(_start(), _full(params, initial_accumulator_value))

    def equations(lr: Number, eps: Number, g: Array, s: Array) -> tuple[Array, ...]:
        s = s + g**2
        return jnp.where(s > 0, -lr * g / jnp.sqrt(jnp.where(s > 0, s + eps, 1)), 0), s

    def update(grads: Any, state: AdagradState, params: Any = None) -> tuple[Any, AdagradState]:
        del params
        updates, s = _per_leaf(equations, [_at(learning_rate, state.step), eps], [grads, state.sum_of_squares])
        return updates, AdagradState(state.step + 1, s)

    return Optimizer(init, update)


class AdadeltaState(NamedTuple):
    """State of `adadelta`.

    Attributes:
        step: `()`, updates made so far.
        squared_gradient: E[g**2], shaped like the parameters.
        squared_update: E[u**2], likewise.
    """

    step: Array
    squared_gradient: Any
    squared_update: Any


@same_for_same
def adadelta(
    learning_rate: Number | Schedule | None = None,
    rho: Number = 0.9,
    eps: Number = 1e-6,
    weight_decay: Number | Schedule = 0.0,
    weight_decay_mask: Mask = None,
) -> Optimizer:
    """Make Adadelta.

    g <- g + weight_decay theta
    E[g**2] <- rho E[g**2] + (1 - rho) g**2
    u = sqrt(E[u**2] + eps) / sqrt(E[g**2] + eps) g,  update = -learning_rate u
    E[u**2] <- rho E[u**2] + (1 - rho) u**2
    Zeiler 2012, arXiv 1212.5701, algorithm 1.

    Args:
        learning_rate: a number (the paper's is 1.0), a traced scalar, or a schedule. None leaves even the sign of u
            alone, as in optax: a part for `chain`, that climbs if used by itself.
        rho: decay of both averages.
        eps: what keeps the quotient finite, and starts it moving.
        weight_decay: a number, a traced scalar, or a schedule; it enters the averages.
        weight_decay_mask: which leaves decay, as in `adamw`.

    Returns:
        An `Optimizer`, whose `update` needs `params` where there is a weight decay.
    """
    plain = isinstance(weight_decay, int | float) and weight_decay == 0

    def init(params: Any) -> AdadeltaState:
        return AdadeltaState(_start(), _full(params, 0), _full(params, 0))

    def equations(
        lr: Number | None, rho: Number, eps: Number, wd: Number, g: Array, g2: Array, u2: Array, theta: Array
    ) -> tuple[Array, ...]:
        g = g if plain else g + wd * theta
        g2 = rho * g2 + (1 - rho) * g**2
        u = jnp.sqrt(u2 + eps) / jnp.sqrt(g2 + eps) * g
        u2 = rho * u2 + (1 - rho) * u**2
        return u if lr is None else -lr * u, g2, u2

    def update(grads: Any, state: AdadeltaState, params: Any = None) -> tuple[Any, AdadeltaState]:
        lr, wd = _at(learning_rate, state.step), _at(weight_decay, state.step)
        theta = () if plain else _decaying(params, weight_decay_mask)
        updates, g2, u2 = _per_leaf(equations, [lr, rho, eps, wd], [grads, *state[1:]], [theta])
        return updates, AdadeltaState(state.step + 1, g2, u2)

    return Optimizer(init, update)


class LionState(NamedTuple):
    """State of `lion`.

    Attributes:
        step: `()`, updates made so far.
        m: the moment, shaped like the parameters.
    """

    step: Array
    m: Any


@same_for_same
def lion(
    learning_rate: Number | Schedule,
    b1: Number = 0.9,
    b2: Number = 0.99,
    mu_dtype: Any = None,
    weight_decay: Number | Schedule = 1e-3,
    mask: Mask = None,
) -> Optimizer:
    """Make Lion.

    c = b1 m + (1 - b1) g,  update = -learning_rate (sign(c) + weight_decay theta)
    m <- b2 m + (1 - b2) g
    Chen et al. 2023, arXiv 2302.06675, algorithm 2.

    Args:
        learning_rate: a number, a traced scalar, or a schedule; a third to a tenth of what Adam takes.
        b1: weight of m in the update.
        b2: decay of m.
        mu_dtype: of m; None means that of the parameters.
        weight_decay: a number, a traced scalar, or a schedule.
        mask: which leaves decay, as in `adamw`.

    Returns:
        An `Optimizer` whose `update` needs `params`.
    """

    def init(params: Any) -> LionState:
        return LionState(_start(), _full(params, 0, mu_dtype))

    def equations(
        lr: Number, wd: Number, b1: Number, b2: Number, g: Array, m: Array, theta: Array
    ) -> tuple[Array, ...]:
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        return -lr * (jnp.sign(c) + wd * theta), m

    def update(grads: Any, state: LionState, params: Any = None) -> tuple[Any, LionState]:
        lr, wd = _at(learning_rate, state.step), _at(weight_decay, state.step)
        updates, m = _per_leaf(equations, [lr, wd, b1, b2], [grads, state.m], [_decaying(params, mask)])
        return updates, LionState(state.step + 1, m)

    return Optimizer(init, update)


@same_for_same
def clip_by_global_norm(max_norm: Number) -> Optimizer:
    """Shrink a gradient whose norm, over all leaves together, exceeds a bound; a part for `chain`.

    g <- g min(1, max_norm / |g|)
    Pascanu et al. 2012, arXiv 1211.5063, algorithm 1.

    Args:
        max_norm: a number or a traced scalar.

    Returns:
        An `Optimizer` without a state.
    """

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        norm = jnp.sqrt(sum(jnp.sum(g.astype(_wide(g.dtype)) ** 2) for g in jax.tree.leaves(grads)))
        # Not a minimum: a norm of nan has to reach the updates.
        scale = jnp.where(norm <= max_norm, 1, max_norm / norm)
        (clipped,) = _per_leaf(lambda scale, g: (g * scale,), [scale], [grads])
        return clipped, state

    return Optimizer(lambda params: (), update)


class DecayState(NamedTuple):
    """State of `add_decayed_weights`.

    Attributes:
        step: `()`, updates made so far.
    """

    step: Array


@same_for_same
def add_decayed_weights(weight_decay: Number | Schedule = 0.0, mask: Mask = None) -> Optimizer:
    """Add the parameters, times a number, to the gradient; a part for `chain`.

    g <- g + weight_decay theta: before `sgd` this is the gradient of weight_decay |theta|**2 / 2.

    Args:
        weight_decay: a number, a traced scalar, or a schedule.
        mask: which leaves decay, as in `adamw`.

    Returns:
        An `Optimizer` whose `update` needs `params`.
    """

    def update(grads: Any, state: DecayState, params: Any = None) -> tuple[Any, DecayState]:
        wd, theta = _at(weight_decay, state.step), _decaying(params, mask)
        (decayed,) = _per_leaf(lambda wd, g, theta: (g + wd * theta,), [wd], [grads], [theta])
        return decayed, DecayState(state.step + 1)

    return Optimizer(lambda params: DecayState(_start()), update)


@same_for_same
def chain(*optimizers: Optimizer) -> Optimizer:
    """Apply several in a row, each to what the one before it made of the gradient.

    Args:
        *optimizers: ours, or optax's.

    Returns:
        An `Optimizer` whose state is the tuple of theirs.

    Example:
        >>> optimizer = chain(clip_by_global_norm(1.0), adam(1e-3))
    """

    def init(params: Any) -> tuple:
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(grads: Any, state: tuple, params: Any = None) -> tuple[Any, tuple]:
        states = []
        for optimizer, own in zip(optimizers, state, strict=True):
            grads, own = optimizer.update(grads, own, params)
            states.append(own)
        return grads, tuple(states)

    return Optimizer(init, update)


def _at(number: Number | Schedule | None, step: Array) -> Any:
    """The number, or what the schedule says at this step."""
    return number(step) if callable(number) else number


def _start() -> Array:
    """No updates yet."""
    return jax.device_put(np.zeros((), np.int32))


def _full(params: Any, value: Number, dtype: Any = None) -> Any:
    """A tree like `params`, with one value everywhere; outside of `jit` NumPy makes it, as that compiles nothing."""
    if isinstance(value, jax.Array) or any(isinstance(p, jax.core.Tracer) for p in jax.tree.leaves(params)):
        return jax.tree.map(lambda p: jnp.full(p.shape, value, dtype or p.dtype), params)
    return jax.device_put(jax.tree.map(lambda p: np.full(p.shape, value, dtype or p.dtype), params))


def _decaying(params: Any, mask: Mask) -> Any:
    """The parameters, 0 where the mask spares them."""
    if params is None:
        raise ValueError("update needs the params that decay; got None. Write optimizer.update(grads, state, params).")
    if mask is None:
        return params
    kept = mask(params) if callable(mask) else mask
    return jax.tree.map(lambda keep, part: jax.tree.map(lambda p: jnp.where(keep, p, 0), part), kept, params)


def _wide(dtype: Any) -> Any:
    """At least float32."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _per_leaf(
    equations: Callable[..., tuple[Array, ...]],
    numbers: Sequence[Number | None],
    trees: Sequence[Any],
    reads: Sequence[Any] = (),
) -> list[Any]:
    """Apply the equations, `(*numbers, *leaves) -> results`, to every leaf.

    They compute in at least float32; result i is cast back to the dtype of tree i. A tree that is () is absent: its
    leaves are None, and so is its result.

    Args:
        equations: of one leaf.
        numbers: the same for every leaf.
        trees: gradients first, then the optimizer's own; the results take their places.
        reads: more trees, for which there is no result.

    Returns:
        A tree for each result.
    """
    leaves, structure = jax.tree.flatten(trees[0])
    absent = [isinstance(tree, tuple) and not tree for tree in (*trees, *reads)]
    columns = [
        [None] * len(leaves) if no else structure.flatten_up_to(tree)
        for no, tree in zip(absent, (*trees, *reads), strict=True)
    ]
    rows = []
    for row in zip(*columns, strict=True):
        dtype = _wide(row[0].dtype)
        results = equations(*(_cast(x, dtype) for x in (*numbers, *row)))
        rows.append([None if new is None else new.astype(old.dtype) for new, old in zip(results, row, strict=False)])
    return [
        () if no else structure.unflatten([row[i] for row in rows])
        for i, no in zip(range(len(trees)), absent, strict=False)
    ]


def _cast(x: Number | None, dtype: Any) -> Any:
    """Python's numbers stay what they are: 1 - b2 keeps its digits, and takes its dtype from the array it meets."""
    if x is None or isinstance(x, int | float):
        return x if x is None else float(x)
    return jnp.asarray(x, dtype)
