"""Schedules: values worked out by hand, the formulas in NumPy, and optax where it is installed."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64

from jaxmlp import schedules
from jaxmlp.schedules import (
    constant,
    cosine_decay,
    exponential_decay,
    inverse_scaling,
    one_cycle,
    piecewise_constant,
    warmup_cosine_decay,
)

COUNTS = np.arange(60)
TOLERANCE = {"rtol": 1e-12, "atol": 1e-14} if X64 else {"rtol": 1e-5, "atol": 1e-8}
EVERY = {
    "constant": constant(0.1),
    "exponential": exponential_decay(0.1, 7, 0.5),
    "staircase": exponential_decay(0.1, 7, 0.5, 3, staircase=True, end_value=0.01),
    "rising": exponential_decay(0.1, 7, 1.5, end_value=0.5),
    "inverse": inverse_scaling(0.1),
    "cosine": cosine_decay(0.1, 30, 0.1, 2.0),
    "warmup": warmup_cosine_decay(0.01, 0.1, 10, 50, 0.001, 1.5),
    "no warmup": warmup_cosine_decay(0.01, 0.1, 0, 50),
    "piecewise": piecewise_constant(1.0, {20: 0.1, 5: 0.5}),
    "one cycle": one_cycle(40, 0.1),
    "only down": one_cycle(40, 0.1, pct_start=0.0),
}


def half_cosine(share):
    return (1 + np.cos(np.pi * np.clip(share, 0, 1))) / 2


def one_cycle_numpy(t):
    up = 0.1 + (0.1 / 25 - 0.1) * half_cosine(t / 12)
    return np.where(t < 12, up, 1e-4 / 250 + (0.1 - 1e-4 / 250) * half_cosine((t - 12) / 28))


FORMULAS = {
    "constant": lambda t: 0.1 + 0 * t,
    "exponential": lambda t: 0.1 * 0.5 ** (t / 7),
    "staircase": lambda t: np.maximum(0.1 * 0.5 ** np.floor(np.maximum(t - 3, 0) / 7), 0.01),
    "rising": lambda t: np.minimum(0.1 * 1.5 ** (t / 7), 0.5),
    "inverse": lambda t: 0.1 / np.sqrt(t + 1),
    "cosine": lambda t: 0.1 * (0.9 * half_cosine(t / 30) ** 2 + 0.1),
    "warmup": lambda t: np.where(t < 10, 0.01 + 0.009 * t, 0.001 + 0.099 * half_cosine((t - 10) / 40) ** 1.5),
    "no warmup": lambda t: 0.1 * half_cosine(t / 50),
    "piecewise": lambda t: np.where(t < 5, 1.0, np.where(t < 20, 0.5, 0.05)),
    "one cycle": one_cycle_numpy,
    "only down": lambda t: 4e-7 + (0.1 - 4e-7) * half_cosine(t / 40),
}


def values(schedule, transform=lambda f: f):
    return np.asarray(transform(jax.vmap(schedule))(jnp.asarray(COUNTS, jnp.int32)))


@pytest.mark.parametrize("name", EVERY)
def test_values_equal_the_formula(name, transform):
    got = values(EVERY[name], transform)
    assert got.dtype == DTYPE
    np.testing.assert_allclose(got, FORMULAS[name](COUNTS), **TOLERANCE)


def test_numbers_worked_by_hand():
    np.testing.assert_allclose([exponential_decay(8.0, 2, 0.5)(c) for c in (0, 2, 4, 5)], [8, 4, 2, 2**0.5], rtol=1e-6)
    np.testing.assert_allclose([cosine_decay(2.0, 4)(c) for c in (0, 2, 4, 9)], [2, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose([warmup_cosine_decay(0, 4, 2, 6)(c) for c in range(7)][::2], [0, 4, 2, 0], atol=1e-6)
    np.testing.assert_allclose([inverse_scaling(6.0, 1)(c) for c in (0, 1, 2)], [6, 3, 2], rtol=1e-6)
    np.testing.assert_allclose([one_cycle(10, 5.0)(c) for c in (0, 3, 10, 99)], [0.2, 5, 2e-5, 2e-5], rtol=1e-5)
    np.testing.assert_allclose([piecewise_constant(1.0)(c) for c in (0, 9)], [1, 1])


OPTAX = {
    "constant": lambda s: s.constant_schedule(0.1),
    "exponential": lambda s: s.exponential_decay(0.1, 7, 0.5),
    "staircase": lambda s: s.exponential_decay(0.1, 7, 0.5, 3, staircase=True, end_value=0.01),
    "rising": lambda s: s.exponential_decay(0.1, 7, 1.5, end_value=0.5),
    "cosine": lambda s: s.cosine_decay_schedule(0.1, 30, 0.1, 2.0),
    "warmup": lambda s: s.warmup_cosine_decay_schedule(0.01, 0.1, 10, 50, 0.001, 1.5),
    "no warmup": lambda s: s.warmup_cosine_decay_schedule(0.01, 0.1, 0, 50),
    "piecewise": lambda s: s.piecewise_constant_schedule(1.0, {20: 0.1, 5: 0.5}),
    "one cycle": lambda s: s.cosine_onecycle_schedule(40, 0.1),
    "only down": lambda s: s.cosine_onecycle_schedule(40, 0.1, pct_start=0.0),
}


@pytest.mark.parametrize("name", OPTAX)
def test_values_equal_optax(name):
    optax = pytest.importorskip("optax", reason="optax is not installed; jaxmlp does not need it")
    with jax.numpy_dtype_promotion("standard"):
        want = values(OPTAX[name](optax.schedules))
    np.testing.assert_allclose(values(EVERY[name]), want, rtol=1e-5, atol=1e-7)  # optax: float32 under x64 too


def test_edges_that_optax_settled():
    np.testing.assert_allclose(exponential_decay(0.1, 7, 0.0)(9), 0.1)
    np.testing.assert_allclose(exponential_decay(0.1, 10, 0.5, -5)(0), 0.1)
    np.testing.assert_allclose(piecewise_constant(1.0, {2**24 + 1: 0.1})(jnp.int32(2**24)), 1.0)  # not a float32


def test_values_may_be_traced_and_nothing_is_traced_twice():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def at(peak, count):
        return warmup_cosine_decay(0.0, peak, 10, 50)(count) + piecewise_constant(peak, {5: 0.5})(count)

    for peak in (1.0, 2.0):
        np.testing.assert_allclose(at(jnp.asarray(peak, DTYPE), jnp.int32(10)), 1.5 * peak, rtol=1e-6)
    peaks = jnp.array([1.0, 2.0], DTYPE)
    np.testing.assert_allclose(jax.vmap(lambda p: one_cycle(10, p)(jnp.int32(3)))(peaks), peaks, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exponential_decay(0.1, 0, 0.5), "transition_steps must be positive; got 0."),
        (lambda: cosine_decay(0.1, -1), "decay_steps must be positive; got -1."),
        (lambda: warmup_cosine_decay(0.0, 0.1, 10, 10), "must exceed warmup_steps, 10; got 10."),
        (lambda: one_cycle(0, 0.1), "transition_steps must be positive; got 0."),
        (
            lambda: piecewise_constant(0.1, {3: -1.0}),
            "the scales of boundaries_and_scales must not be negative; got -1.0.",
        ),
        (lambda: one_cycle(10, 0.1, 1.0), "pct_start is a share of the steps, at least 0 and less than 1; got 1.0."),
    ],
)
def test_wrong_steps_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_same_arguments_make_the_same_schedule():
    for name in ("constant", "inverse_scaling"):
        make = getattr(schedules, name)
        assert make(0.1) is make(0.1)
    assert cosine_decay(0.1, 10) is cosine_decay(0.1, decay_steps=10)
    assert piecewise_constant(1.0, {5: 0.5, 9: 0.1}) is piecewise_constant(1.0, {9: 0.1, 5: 0.5})
