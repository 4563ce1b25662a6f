"""Derivatives against autodiff, values at 0 and at the ends, and agreement with `jax.nn`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64

from jaxmlp import activations
from jaxmlp.activations import KNOWN, Activation

ELEMENTWISE = [f for f in KNOWN.values() if f.name != "softmax"]
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12} if X64 else {"rtol": 2e-5, "atol": 1e-5}
Z = jnp.concatenate([jnp.linspace(-6, 6, 97, dtype=DTYPE), jnp.array([1e-4, -1e-4, 20, -20], DTYPE)])
elementwise = pytest.mark.parametrize("f", ELEMENTWISE, ids=lambda f: f.name)


def test_the_contract_names_them():
    names = "identity relu leaky_relu elu selu gelu gelu_tanh silu mish softplus softsign sigmoid tanh sine softmax"
    assert set(KNOWN) == set(names.split())
    for name, f in KNOWN.items():
        assert getattr(activations, name) is f


@elementwise
def test_derivative(f):
    """Z holds 0, where the kinks are."""
    np.testing.assert_allclose(f.derivative(Z), jax.vmap(jax.grad(f.fn))(Z), **TOLERANCE)


@elementwise
def test_second_derivative(f):
    np.testing.assert_allclose(f.second_derivative(Z), jax.vmap(jax.grad(jax.grad(f.fn)))(Z), **TOLERANCE)


@elementwise
def test_central_differences_in_float64(f):
    with jax.enable_x64(True):
        z, h = jnp.array([-3.1, -0.7, 0.3, 2.2]), 1e-5  # away from the kinks
        np.testing.assert_allclose(f.derivative(z), (f(z + h) - f(z - h)) / (2 * h), rtol=1e-8, atol=1e-9)
        slope = (f.derivative(z + h) - f.derivative(z - h)) / (2 * h)
        np.testing.assert_allclose(f.second_derivative(z), slope, rtol=1e-8, atol=1e-9)


@elementwise
def test_dtype_is_kept(f):
    for dtype in (jnp.bfloat16, jnp.float16, DTYPE):
        for g in (f.fn, f.derivative, f.second_derivative):
            assert g(Z.astype(dtype)).dtype == dtype


@elementwise
@pytest.mark.parametrize("z", [1e4, -1e4])
def test_finite_far_out(f, z):
    z = jnp.array([z], DTYPE)
    for g in (f.fn, f.derivative, f.second_derivative):
        assert bool(jnp.isfinite(g(z)[0]))
    assert bool(jnp.isfinite(jax.grad(lambda z: f.fn(z)[0])(z)[0]))


AT_ZERO = {  # name: value, derivative
    "identity": (0, 1),
    "relu": (0, 0),
    "leaky_relu": (0, 1),
    "elu": (0, 1),
    "selu": (0, 1.0507009873554805 * 1.6732632423543772),
    "gelu": (0, 0.5),
    "gelu_tanh": (0, 0.5),
    "silu": (0, 0.5),
    "mish": (0, 0.6),  # tanh(log 2) = 3 / 5
    "softplus": (np.log(2), 0.5),
    "softsign": (0, 1),
    "sigmoid": (0.5, 0.25),
    "tanh": (0, 1),
    "sine": (0, 1),
}


@elementwise
def test_at_zero(f):
    zero = jnp.zeros((), DTYPE)
    np.testing.assert_allclose((f(zero), f.derivative(zero)), AT_ZERO[f.name], rtol=1e-6)


BY_MATH = {  # by Python's math module
    "identity": lambda z: z,
    "relu": lambda z: max(z, 0),
    "leaky_relu": lambda z: max(z, 0.01 * z),
    "elu": lambda z: z if z > 0 else math.exp(z) - 1,
    "selu": lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * (math.exp(z) - 1)),
    "gelu": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
    "gelu_tanh": lambda z: z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2,
    "silu": lambda z: z / (1 + math.exp(-z)),
    "mish": lambda z: z * math.tanh(math.log(1 + math.exp(z))),
    "softplus": lambda z: math.log(1 + math.exp(z)),
    "softsign": lambda z: z / (1 + abs(z)),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "sine": math.sin,
}


@elementwise
@pytest.mark.parametrize("z", [-2.5, -0.3, 0.8, 3.1])
def test_values_and_slopes_by_pythons_math(f, z):
    value, h = BY_MATH[f.name], 1e-5
    at = jnp.asarray(z, DTYPE)
    np.testing.assert_allclose(f(at), value(z), rtol=1e-5)
    np.testing.assert_allclose(f.derivative(at), (value(z + h) - value(z - h)) / (2 * h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", "relu leaky_relu elu selu silu mish softplus sigmoid tanh".split())
def test_equals_jax_nn(name):
    np.testing.assert_allclose(KNOWN[name](Z), getattr(jax.nn, name)(Z), **TOLERANCE)
    want = jax.vmap(jax.grad(getattr(jax.nn, name)))(Z)
    np.testing.assert_allclose(KNOWN[name].derivative(Z), want, **TOLERANCE)


def test_softsign_and_both_gelus():
    np.testing.assert_allclose(activations.softsign(Z), jax.nn.soft_sign(Z), **TOLERANCE)
    np.testing.assert_allclose(activations.gelu(Z), jax.nn.gelu(Z, approximate=False), **TOLERANCE)
    np.testing.assert_allclose(activations.gelu_tanh(Z), jax.nn.gelu(Z, approximate=True), **TOLERANCE)
    assert float(jnp.max(jnp.abs(activations.gelu(Z) - activations.gelu_tanh(Z)))) > 1e-4  # they are not one


def test_softmax_pullback_is_the_jacobian_product():
    rng = np.random.default_rng(0)
    z, da = (jnp.asarray(rng.normal(size=(5, 4)), DTYPE) for _ in range(2))
    J = jax.vmap(jax.jacobian(jax.nn.softmax))(z)  # (n, out, in)
    want = np.einsum("nj,njk->nk", np.asarray(da), np.asarray(J))
    np.testing.assert_allclose(activations.softmax.pullback(z, da), want, **TOLERANCE)


@pytest.mark.parametrize("name", ["tanh", "gelu", "softmax"])
def test_changes_forward_and_back(name):
    """`pushforward`, `second_pushforward` and `pullback_tangent` against derivatives along a direction."""
    f = KNOWN[name]
    z, v, da, Rda = (jnp.asarray(np.random.default_rng(seed).normal(size=(3, 4)), DTYPE) for seed in range(4))
    first = jax.jvp(f.fn, (z,), (v,))[1]
    np.testing.assert_allclose(f.pushforward(z, v), first, **TOLERANCE)
    second = jax.jvp(lambda z: jax.jvp(f.fn, (z,), (v,))[1], (z,), (v,))[1]
    np.testing.assert_allclose(f.second_pushforward(z, v), second, **TOLERANCE)
    change = jax.jvp(lambda z, da: jax.vjp(f.fn, z)[1](da)[0], (z, da), (v, Rda))[1]
    np.testing.assert_allclose(f.pullback_tangent(z, da, v, Rda), change, **TOLERANCE)


def test_softmax_of_shifted_and_huge_logits():
    z = jnp.array([[1e4, 0.0, -1e4], [3.0, 3.0, 3.0]], DTYPE)
    np.testing.assert_allclose(activations.softmax(z), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(activations.softmax(z + 7), activations.softmax(z), rtol=1e-5)


def test_ones_own_activation_is_frozen_and_hashable():
    mine = Activation("mine", jnp.tanh, jnp.cos)
    assert mine == Activation("mine", jnp.tanh, jnp.cos)
    assert hash(mine) == hash(Activation("mine", jnp.tanh, jnp.cos))
    with pytest.raises(AttributeError, match="cannot assign"):
        mine.name = "other"
