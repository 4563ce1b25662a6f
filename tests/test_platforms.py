"""The same programs for CPU, GPU and TPU: all of them are lowered for the three, on a machine that has a CPU."""

import inspect

import jax
import jax.numpy as jnp
import pytest
from helpers import DTYPE, Problem
from jax import export

import jaxmlp
from jaxmlp import Model
from jaxmlp.readings import curvature, first_order, flow

PLATFORMS = ("cpu", "cuda", "tpu")
PROBLEM = Problem((4, 5, 3), Model("gelu", "identity", "softmax_cross_entropy"), 6, True)
MODEL = PROBLEM.model
PARAMS, X, Y, WEIGHTS = PROBLEM.draw()
OPTIMIZER = jaxmlp.optimizers.adam(1e-3)
C = jnp.ones(6, DTYPE)

READINGS = {
    name: (lambda tape, f=f: f(tape))
    for name, f in inspect.getmembers(first_order, inspect.isfunction)
    if name in jaxmlp.__all__ and list(inspect.signature(f).parameters) == ["tape"]
} | {
    "weighted_gradient_sum": lambda tape: first_order.weighted_gradient_sum(tape, C),
    "clipped_gradient_sum": lambda tape: first_order.clipped_gradient_sum(tape, 0.1),
    "directional_derivatives": lambda tape: first_order.directional_derivatives(tape, PARAMS),
    "input_gradients": lambda tape: first_order.input_gradients(tape, PARAMS),
    "layer_statistics": flow.layer_statistics,
}
CURVATURES = {
    "hessian_vector_product": lambda p, x, y: curvature.hessian_vector_product(p, x, y, p, MODEL),
    "ggn_vector_product": lambda p, x, y: curvature.ggn_vector_product(p, x, y, p, MODEL),
    "ggn_diagonal": lambda p, x, y: curvature.ggn_diagonal(p, x, y, MODEL),
    "ggn_diagonal, sampled": lambda p, x, y: curvature.ggn_diagonal(p, x, y, MODEL, key=jax.random.key(0)),
    "hessian_diagonal": lambda p, x, y: curvature.hessian_diagonal(p, x, y, MODEL),
    "kfac_factors": lambda p, x, y: curvature.kfac_factors(p, x, y, MODEL),
    "empirical_ntk": lambda p, x, y: curvature.empirical_ntk(p, x, x, MODEL),
    "input_laplacian": lambda p, x, y: curvature.input_laplacian(p, x, MODEL),
}


def platforms_of(f, *args):
    """Lower for all three; what this raises is the failure."""
    exported = export.export(jax.jit(f), platforms=PLATFORMS)(*args)
    assert len(exported.mlir_module_serialized) > 1000
    return exported.platforms


def test_every_reading_is_here():
    """A new one has to be added above."""
    public = {
        name
        for module in (first_order, curvature, flow)
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if f.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == {name.split(",")[0] for name in (*READINGS, *CURVATURES)}


@pytest.mark.parametrize("name", READINGS)
def test_readings_of_the_tape(name):
    def read(params, x, y, weights):
        return READINGS[name](jaxmlp.backward(params, x, y, MODEL, weights=weights))

    assert platforms_of(read, PARAMS, X, Y, WEIGHTS) == PLATFORMS


@pytest.mark.parametrize("name", CURVATURES)
def test_curvature(name):
    assert platforms_of(CURVATURES[name], PARAMS, X, Y) == PLATFORMS


def test_the_training_step():
    state = jaxmlp.init_state(PARAMS, OPTIMIZER, jax.random.key(0))
    step = jaxmlp.make_train_step(MODEL, OPTIMIZER)
    state = state._replace(key=jax.random.key_data(state.key))  # a typed key is no type of an exported program
    assert platforms_of(lambda s, x, y, w: step(s, x, y, w), state, X, Y, WEIGHTS) == PLATFORMS


def test_train_and_an_ensemble_of_it():
    def run(params, seed):
        state = jaxmlp.init_state(params, OPTIMIZER, jax.random.key(seed))
        state, losses = jaxmlp.train(state, X, Y, MODEL, OPTIMIZER, epochs=3, batch_size=4)
        return state.params, losses

    assert platforms_of(run, PARAMS, jnp.uint32(0)) == PLATFORMS
    many = jax.tree.map(lambda p: jnp.stack([p, p]), PARAMS)
    assert platforms_of(jaxmlp.ensemble_map(run), many, jnp.arange(2, dtype=jnp.uint32)) == PLATFORMS


def test_init_forward_and_accuracy():
    def evaluate(seed, x, y):
        params = jaxmlp.init_mlp(jax.random.key(seed), (4, 5, 3), dtype=DTYPE)
        return jaxmlp.forward(params, x, MODEL), jaxmlp.accuracy(params, x, y, MODEL)

    assert platforms_of(evaluate, jnp.uint32(0), X, Y) == PLATFORMS
