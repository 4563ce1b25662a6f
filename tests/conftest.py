"""Strict JAX for every test: silent broadcasting, silent casting and warnings are errors."""

import chex
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(params=[lambda f: f, jax.jit], ids=["eager", "jit"])
def transform(request):
    return request.param


@pytest.fixture(autouse=True)
def _fresh_trace_counter():
    chex.clear_trace_counter()
