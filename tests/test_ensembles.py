"""Many networks in one program, on however many devices there are; `eight_devices.py` tries it on eight."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, Problem, assert_close

import jaxmlp
from jaxmlp import Model, initializers, optimizers
from jaxmlp.training import ensembles

MODEL = Model("tanh", "identity", "softmax_cross_entropy")
SIZES = (4, 5, 3)
NEAR = {"rtol": 1e-10, "atol": 1e-12} if X64 else {"rtol": 2e-4, "atol": 2e-5}


def data(n=20):
    _, x, y, weights = Problem(SIZES, MODEL, n, True).draw()
    return x, y, weights


def test_every_hyper_parameter_is_an_axis_of_one_program():
    """Member 0 has the numbers below; each other one has one of them changed, and all are as if trained alone."""
    x, y, weights = data()
    base = {"scale": 0.5, "rate": 0.1, "momentum": 0.5, "decay": 0.05, "norm": 0.1}
    names = [*base, "weights", "key"]
    members = 1 + len(names)
    axes = {
        name: jnp.full(members, value, DTYPE).at[1 + i].multiply(1.5) for i, (name, value) in enumerate(base.items())
    }
    axes["weights"] = jnp.tile(weights, (members, 1)).at[6, :5].set(0)
    axes["key"] = jax.random.split(jax.random.key(0), 2)[np.array([0] * 7 + [1])]
    traces = []

    def run(key, scale, rate, momentum, decay, norm, weights):
        traces.append(1)
        params = jaxmlp.init_mlp(key, SIZES, initializer=initializers.normal(scale), dtype=DTYPE)
        steps = [optimizers.add_decayed_weights(decay), optimizers.sgd(rate, momentum=momentum)]
        optimizer = optimizers.chain(optimizers.clip_by_global_norm(norm), *steps)
        state = jaxmlp.init_state(params, optimizer, key)
        state, losses = jaxmlp.train(state, x, y, MODEL, optimizer, epochs=3, batch_size=8, weights=weights)
        return state.params, losses

    mapped = jaxmlp.ensemble_map(run, chunk_size=3)
    params, losses = mapped(**axes)
    first = len(traces)
    mapped(**jax.tree.map(lambda a: a[::-1], axes))
    assert len(traces) == first  # other values, the same program
    one = jax.jit(run)
    for i in range(members):
        want = one(**jax.tree.map(lambda a, i=i: a[i], axes))
        assert_close(jax.tree.map(lambda a, i=i: a[i], (params, losses)), want, **NEAR)
    for name, row in zip(names, losses[1:], strict=True):
        assert not np.allclose(row, losses[0], rtol=1e-3), name


def test_readings_of_an_ensemble():
    x, y, _ = data()
    params = jaxmlp.init_ensemble(jax.random.key(0), 5, SIZES, dtype=DTYPE)

    def read(params):
        tape = jaxmlp.backward(params, x, y, MODEL)
        return jaxmlp.gradients(tape), jaxmlp.per_example_norms(tape), jaxmlp.noise_scale(tape)

    got = jaxmlp.ensemble_map(read)(params)
    for i in range(5):
        one = jax.tree.map(lambda a, i=i: a[i], params)
        assert_close(jax.tree.map(lambda a, i=i: a[i], got), jax.jit(read)(one), **NEAR)


def test_init_ensemble_draws_what_init_mlp_draws():
    key = jax.random.key(3)
    params = jaxmlp.init_ensemble(key, 4, SIZES, initializer="glorot_uniform", dtype=DTYPE)
    assert isinstance(params, list)
    assert [(W.shape, b.shape) for W, b in params] == [((4, 4, 5), (4, 5)), ((4, 5, 3), (4, 3))]
    for i, k in enumerate(jax.random.split(key, 4)):
        one = jaxmlp.init_mlp(k, SIZES, initializer="glorot_uniform", dtype=DTYPE)
        assert_close(jax.tree.map(lambda a, i=i: a[i], params), one)


def test_inside_jit_and_vmap():
    params = jaxmlp.init_ensemble(jax.random.key(0), 6, SIZES, dtype=DTYPE)
    x, _, _ = data()
    mapped = jaxmlp.ensemble_map(lambda params: jaxmlp.forward(params, x, MODEL), chunk_size=2)
    want = jax.vmap(lambda params: jaxmlp.forward(params, x, MODEL))(params)
    assert_close(jax.jit(mapped)(params), want)
    pairs = jax.tree.map(lambda a: a.reshape(2, 3, *a.shape[1:]), params)
    assert_close(jax.vmap(mapped)(pairs), want.reshape(2, 3, *want.shape[1:]))


def test_no_members():
    got = jaxmlp.ensemble_map(lambda a: (a + 1, jnp.zeros(3)))(jnp.zeros((0, 2)))
    assert [g.shape for g in got] == [(0, 2), (0, 3)]


def test_static_trees_and_none_pass_through():
    def run(params, model, nothing):
        assert nothing is None
        return jaxmlp.forward(params, jnp.ones(4, DTYPE), model), model

    params = jaxmlp.init_ensemble(jax.random.key(0), 3, SIZES, dtype=DTYPE)
    outputs, model = jaxmlp.ensemble_map(run)(params, MODEL, None)
    assert outputs.shape == (3, 3)
    assert model == MODEL


def test_the_second_call_traces_nothing():
    chex.clear_trace_counter()
    mapped = jaxmlp.ensemble_map(chex.assert_max_traces(lambda a: a * 2, n=2))  # once for its sizes, once to run
    for _ in range(3):
        mapped(jnp.arange(5.0))


@pytest.mark.parametrize("largest", [16, 6400, 10**6])
def test_the_largest_array_of_a_member(largest):
    """Found inside a loop, too, where most of training happens."""

    def one(x):
        def body(carry, _):
            return carry + 1, jnp.max(jnp.broadcast_to(carry, (largest // 4,)) + carry)

        return jax.lax.scan(body, x, length=2)

    assert ensembles._largest_array(one, jnp.zeros(3, jnp.float32)) == largest


@pytest.mark.parametrize(
    ("share", "fitting", "want"),
    [
        (32, 15, 8),  # (2, 16, 16, 2) with 100 examples
        (32, 51, 32),
        (32, 3, 1),
        (32, 0, 1),
        (1000, 15, 8),
        (40, 20, 8),
        (36, 20, 4),  # 48 in chunks of 16, 40 in chunks of 8
        (33, 20, 4),
        (9, 20, 4),
        (5, 20, 1),  # 8 members in chunks of 4 would take longer
        (2, 20, 1),
        (1, 20, 1),
    ],
)
def test_default_chunks(share, fitting, want):
    assert ensembles._default_chunk(share, fitting) == want


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"every argument must be arrays of one leading axis, the members; got the shapes \[\]"),
        ((np.zeros(3), np.zeros(4)), r"got the shapes \[\(3,\), \(4,\)\].*the function closes over"),
        ((np.zeros(3), 0.1), r"got the shapes \[\(\), \(3,\)\]"),
    ],
)
def test_arguments_without_a_common_axis(arguments, message):
    with pytest.raises(ValueError, match=message):
        jaxmlp.ensemble_map(lambda *a: a)(*arguments)


def test_bad_settings():
    with pytest.raises(TypeError, match="fn must be a function of one member; got 3"):
        jaxmlp.ensemble_map(3)
    with pytest.raises(ValueError, match=r"devices must name at least one device, such as .*; got \[2\]"):
        jaxmlp.ensemble_map(jnp.sin, devices=2)
    with pytest.raises(ValueError, match="chunk_size must be an integer of at least 1; got 0"):
        jaxmlp.ensemble_map(jnp.sin, chunk_size=0)
    with pytest.raises(ValueError, match=r"devices must name at least one device, .*; got \[\]"):
        jaxmlp.ensemble_map(jnp.sin, devices=[])
    with pytest.raises(ValueError, match="members must be an integer of at least 1; got 0"):
        jaxmlp.init_ensemble(jax.random.key(0), 0, SIZES)
    with pytest.raises(ValueError, match="sizes must name at least an input and an output width"):
        jaxmlp.init_ensemble(jax.random.key(0), 2, (3,))
