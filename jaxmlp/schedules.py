"""Schedules of a learning rate: `count -> learning rate`, count the updates made so far, from 0.

Arguments, defaults and numbers are those of optax's schedules: its `constant_schedule`, `exponential_decay`,
`cosine_decay_schedule`, `warmup_cosine_decay_schedule`, `piecewise_constant_schedule` and `cosine_onecycle_schedule`;
`inverse_scaling` is scikit-learn's. The values may be traced scalars; whatever counts steps is a Python number.
"""

from collections.abc import Mapping

import jax.numpy as jnp

from jaxmlp.optimizers import Number, Schedule, same_for_same
from jaxmlp.types import Array


@same_for_same
def constant(value: Number) -> Schedule:
    """Make value, always.

    Args:
        value: what it stays at.

    Returns:
        A schedule.
    """
    return lambda count: _real(value)


@same_for_same
def exponential_decay(
    init_value: Number,
    transition_steps: int,
    decay_rate: Number,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Number | None = None,
) -> Schedule:
    """Make init_value decay_rate**((count - transition_begin) / transition_steps), and init_value before it begins.

    Args:
        init_value: where it starts.
        transition_steps: how many steps multiply it by `decay_rate` once.
        decay_rate: a positive number; 0 leaves `init_value` as it is.
        transition_begin: how many steps it waits.
        staircase: whether the exponent is rounded down.
        end_value: what it does not pass, downwards where decay_rate < 1, else upwards.

    Returns:
        A schedule.

    Raises:
        ValueError: If `transition_steps` is not positive.
    """
    _check_positive("transition_steps", transition_steps)
    if isinstance(decay_rate, int | float) and decay_rate == 0:  # as optax has it
        return constant(init_value)

    def schedule(count: int | Array) -> Array:
        power = jnp.maximum(_real(count) - max(transition_begin, 0), 0) / transition_steps
        value = _real(init_value) * _real(decay_rate) ** (jnp.floor(power) if staircase else power)
        if end_value is None:
            return value
        end, falls = _real(end_value), _real(decay_rate) < 1
        return jnp.where(falls, jnp.maximum(value, end), jnp.minimum(value, end))

    return schedule


@same_for_same
def inverse_scaling(init_value: Number, power: Number = 0.5) -> Schedule:
    """Make init_value / (count + 1)**power, which is scikit-learn's `learning_rate="invscaling"`.

    Args:
        init_value: where it starts.
        power: scikit-learn's `power_t`.

    Returns:
        A schedule.
    """
    return lambda count: _real(init_value) / (_real(count) + 1) ** _real(power)


@same_for_same
def cosine_decay(init_value: Number, decay_steps: int, alpha: Number = 0.0, exponent: Number = 1.0) -> Schedule:
    """Make half a cosine, from init_value to alpha init_value.

    init_value ((1 - alpha) cosine**exponent + alpha),  cosine = (1 + cos(pi count / decay_steps)) / 2
    Loshchilov and Hutter 2016, arXiv 1608.03983, eq. 5, without restarts.

    Args:
        init_value: where it starts.
        decay_steps: when it ends; it stays there.
        alpha: the share of `init_value` that it ends at.
        exponent: of the cosine.

    Returns:
        A schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.
    """
    _check_positive("decay_steps", decay_steps)

    def schedule(count: int | Array) -> Array:
        cosine = _cosine(_real(count) / decay_steps) ** _real(exponent)
        return _real(init_value) * ((1 - _real(alpha)) * cosine + _real(alpha))

    return schedule


@same_for_same
def warmup_cosine_decay(
    init_value: Number,
    peak_value: Number,
    warmup_steps: int,
    decay_steps: int,
    end_value: Number = 0.0,
    exponent: Number = 1.0,
) -> Schedule:
    """Make a straight line from init_value to peak_value, then half a cosine down to end_value.

    Args:
        init_value: where it starts.
        peak_value: where the line ends.
        warmup_steps: how many steps the line takes.
        decay_steps: how many steps line and cosine take together.
        end_value: where the cosine ends; it stays there.
        exponent: of the cosine.

    Returns:
        A schedule.

    Raises:
        ValueError: If `decay_steps` is not above `warmup_steps`.
    """
    if not decay_steps > warmup_steps:
        raise ValueError(
            f"decay_steps counts the warm-up too and must exceed warmup_steps, {warmup_steps}; got {decay_steps}."
        )

    def schedule(count: int | Array) -> Array:
        start, peak, end, count = (_real(v) for v in (init_value, peak_value, end_value, count))
        line = start + (peak - start) * count / max(warmup_steps, 1)
        cosine = _cosine((count - warmup_steps) / (decay_steps - warmup_steps)) ** _real(exponent)
        return jnp.where(count < warmup_steps, line, end + (peak - end) * cosine)

    return schedule


def piecewise_constant(init_value: Number, boundaries_and_scales: Mapping[int, Number] | None = None) -> Schedule:
    """Make init_value times the scales of the boundaries reached.

    Args:
        init_value: where it starts.
        boundaries_and_scales: from the count of a boundary on, its scale counts.

    Returns:
        A schedule.

    Raises:
        ValueError: If a scale is negative.
    """
    boundaries = tuple(sorted((boundaries_and_scales or {}).items(), key=lambda pair: pair[0]))
    for _, scale in boundaries:
        if isinstance(scale, int | float) and scale < 0:
            raise ValueError(f"the scales of boundaries_and_scales must not be negative; got {scale!r}.")
    return _piecewise_constant(init_value, boundaries)


@same_for_same
def _piecewise_constant(init_value: Number, boundaries: tuple[tuple[int, Number], ...]) -> Schedule:
    def schedule(count: int | Array) -> Array:
        value = _real(init_value)
        for boundary, scale in boundaries:
            value = value * jnp.where(jnp.asarray(count) < boundary, 1, _real(scale))
        return value

    return schedule


@same_for_same
def one_cycle(
    transition_steps: int,
    peak_value: Number,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Make half a cosine up from peak_value / div_factor, and half a cosine down to that over final_div_factor.

    Smith and Topin 2017, arXiv 1708.07120, with cosines for its lines.

    Args:
        transition_steps: when it ends; it stays there.
        peak_value: the largest value.
        pct_start: the share of the steps that go up.
        div_factor: the peak over the first value.
        final_div_factor: the first value over the last one.

    Returns:
        A schedule.

    Raises:
        ValueError: If `transition_steps` is not positive, or `pct_start` not from 0 to below 1.
    """
    _check_positive("transition_steps", transition_steps)
    if not 0 <= pct_start < 1:
        raise ValueError(f"pct_start is a share of the steps, at least 0 and less than 1; got {pct_start!r}.")
    top = int(pct_start * transition_steps)

    def schedule(count: int | Array) -> Array:
        peak, count = _real(peak_value), _real(count)
        start = peak / div_factor
        end = start / final_div_factor
        up = peak + (start - peak) * _cosine(count / max(top, 1))
        down = end + (peak - end) * _cosine((count - top) / max(transition_steps - top, 1))
        return jnp.where(count < top, up, jnp.where(count < transition_steps, down, end))

    return schedule


def _real(value: Number | int) -> Array:
    """In the default floating-point dtype: counts and Python numbers under strict promotion too."""
    return jnp.asarray(value, float)


def _cosine(share: Array) -> Array:
    """From 1 at 0 to 0 at 1, and level beyond."""
    return (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1))) / 2


def _check_positive(name: str, steps: float) -> None:
    if not steps > 0:
        raise ValueError(f"{name} must be positive; got {steps!r}.")
