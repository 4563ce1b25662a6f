"""Tests that need eight devices; `test_sharding.py` runs them in a process that has them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, Problem, assert_close, random_params
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmlp
from jaxmlp import Model

TOLERANCE = 1e-10 if X64 else 1e-4
AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit
VALUE_AND_GRADS = {"hand": jaxmlp.value_and_grad, "autodiff": jax.value_and_grad(jaxmlp.loss)}
MODEL = Model("tanh", "identity", "softmax_cross_entropy")


def make_mesh(*axis_types):
    """Eight devices along "data", or four; a second axis is of two."""
    shape, names = ((8,), ("data",)) if len(axis_types) == 1 else ((4, 2), ("data", "model"))
    return jax.make_mesh(shape, names, axis_types=axis_types)


LINES = {"auto": (AUTO,), "explicit": (EXPLICIT,)}
MESHES = {**LINES, "both": (AUTO, EXPLICIT), "both, turned": (EXPLICIT, AUTO)}


def place(mesh, where, a, spec=P("data")):
    """The array where a caller may have it."""
    if a is None or where == "host":
        return a if a is None else np.asarray(a)
    if where == "one device":
        return jax.device_put(a, jax.devices()[3])
    even = where == "shared" and a.shape[0] % mesh.shape["data"] == 0
    return jax.device_put(a, NamedSharding(mesh, spec if even else P()))


def test_there_are_eight_devices():
    assert jax.device_count() == 8


CASES = [
    (16, "softmax_cross_entropy", True, "shared"),
    (13, "softmax_cross_entropy", False, "host"),
    (13, "sum_squared_error", True, "whole"),
    (16, "mean_squared_error", False, "one device"),
    (0, "huber", True, "host"),
]


@pytest.mark.parametrize(
    ("kinds", "path", "case"),
    [
        *itertools.product(LINES.values(), VALUE_AND_GRADS, CASES),
        *itertools.product(list(MESHES.values())[2:], ["autodiff"], CASES[:2]),
    ],
    ids=str,
)
def test_data_parallel_equals_one_device(kinds, path, case):
    """With weights that differ from share to share, one share's all zero."""
    n, loss, weighted, where = case
    mesh = make_mesh(*kinds)
    problem = Problem((4, 5, 3), Model("gelu", "identity", loss), n, weighted)
    params, x, y, weights = problem.draw()
    if weighted:
        weights = weights.at[4:8].set(0)
    want = jax.jit(lambda params, x, y, w: jaxmlp.value_and_grad(params, x, y, problem.model, weights=w))(
        params, x, y, weights
    )
    sharded = jaxmlp.data_parallel(VALUE_AND_GRADS[path], mesh)
    x, y, weights = (place(mesh, where, a) for a in (x, y, weights))
    params = jax.tree.map(lambda p: place(mesh, where, p, P()), params)
    got = sharded(params, x, y, problem.model, weights=weights)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(got))
    assert_close(jax.device_get(got), jax.device_get(want), TOLERANCE)
    if where == "shared":
        with jax.set_mesh(mesh):
            got = jax.jit(lambda params, x, y, w: sharded(params, x, y, problem.model, weights=w))(
                params, x, y, weights
            )
        assert_close(jax.device_get(got), jax.device_get(want), TOLERANCE)


@pytest.mark.parametrize("path", VALUE_AND_GRADS)
def test_data_parallel_sums_once(path):
    """One all-reduce for loss, gradients and weights together."""
    params, x, y, weights = Problem((4, 5, 3), MODEL, 16, True).draw()
    sharded = jaxmlp.data_parallel(VALUE_AND_GRADS[path], make_mesh(AUTO))
    jitted = jax.jit(lambda params, x, y, w: sharded(params, x, y, MODEL, weights=w))
    assert jitted.lower(params, x, y, weights).compile().as_text().count(" all-reduce(") == 1


def test_a_weight_penalty_counts_once():
    def penalised(params, x, y, model, weights=None):
        def objective(params):
            squares = sum(jnp.sum(W**2) for W, _ in params)
            return jaxmlp.loss(params, x, y, model, weights=weights) + 0.1 * squares

        return jax.value_and_grad(objective)(params)

    params, x, y, weights = Problem((4, 5, 3), MODEL, 13, True).draw()
    got = jaxmlp.data_parallel(penalised, make_mesh(AUTO))(params, x, y, MODEL, weights=weights)
    want = penalised(params, x, y, MODEL, weights)
    assert_close(jax.device_get(got), jax.device_get(want), TOLERANCE)


def test_data_parallel_in_bfloat16():
    """The sum over the devices is taken in float32: bfloat16 cannot add up the weights of 4,096 examples."""
    params, x, y, weights = Problem((4, 5, 3), MODEL, 4096, True).draw(dtype=jnp.bfloat16)
    got_loss, got = jaxmlp.data_parallel(jaxmlp.value_and_grad, make_mesh(AUTO))(params, x, y, MODEL, weights=weights)
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), (params, x, weights))
    want_loss, want = jaxmlp.value_and_grad(wide[0], wide[1], y, MODEL, weights=wide[2])
    assert got_loss.dtype == jax.tree.leaves(got)[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(float(got_loss), float(want_loss), rtol=0.02)
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g.astype(np.float32), w, atol=0.02 * float(jnp.max(jnp.abs(w))))


@pytest.mark.parametrize("kinds", LINES.values(), ids=LINES)
@pytest.mark.parametrize("path", VALUE_AND_GRADS)
def test_twenty_steps_end_where_one_device_does(kinds, path):
    """By `make_train_step`, `train` and `fit`, from data in host memory and on the mesh."""
    mesh = make_mesh(*kinds)
    problem = Problem((4, 6, 3), MODEL, 80, True)
    params, x, y, weights = jax.device_get(problem.draw())
    optimizer = jaxmlp.optimizers.adam(0.05)
    shared = [place(mesh, "shared", a) for a in (x, y, weights)]

    def runs(value_and_grad, data):
        state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
        step = jaxmlp.make_train_step(MODEL, optimizer, value_and_grad=value_and_grad)
        for _ in range(20):
            state, loss = step(state, *data)
        yield state.params, loss
        state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
        options = {"epochs": 4, "batch_size": 17, "weights": data[2], "value_and_grad": value_and_grad}
        state, losses = jaxmlp.train(state, *data[:2], MODEL, optimizer, **options)  # 4 epochs of 5 steps
        yield state.params, losses
        result = jaxmlp.fit(params, *data[:2], MODEL, optimizer, key=jax.random.key(1), **options)
        yield result.params, np.asarray(result.history["loss"], DTYPE)

    want = list(runs(jaxmlp.value_and_grad, (x, y, weights)))
    for data in [(x, y, weights), shared][: 2 if path == "hand" else 1]:
        got = runs(jaxmlp.data_parallel(VALUE_AND_GRADS[path], mesh), data)
        for g, w in zip(got, want, strict=True):
            assert_close(jax.device_get(g), jax.device_get(w), TOLERANCE, 1e-10 if X64 else 1e-4)


def test_the_same_arguments_compile_once():
    mesh = make_mesh(AUTO)
    assert jaxmlp.data_parallel(jaxmlp.value_and_grad, mesh) == jaxmlp.data_parallel(jaxmlp.value_and_grad, mesh)
    params, x, y, _ = Problem((4, 6, 3), MODEL, 80, False).draw()
    optimizer, traces = jaxmlp.optimizers.adam(0.05), []

    def counted(*args, **kwargs):
        traces.append(1)
        return jaxmlp.value_and_grad(*args, **kwargs)

    for _ in range(3):
        sharded = jaxmlp.data_parallel(counted, mesh)
        jaxmlp.fit(
            params, x, y, MODEL, optimizer, key=jax.random.key(0), epochs=2, batch_size=16, value_and_grad=sharded
        )
    assert len(traces) == 1


READINGS = {
    "norms": lambda params, x, y: jaxmlp.per_example_norms(jaxmlp.backward(params, x, y, MODEL)),
    "clipped": lambda params, x, y: jaxmlp.clipped_gradient_sum(jaxmlp.backward(params, x, y, MODEL), 0.3),
}


@pytest.mark.parametrize("name", READINGS)
def test_readings_of_a_sharded_batch(name):
    """Under jit, where the mesh's axes are of the automatic kind, the compiler puts the sums in by itself."""
    params, x, y, _ = Problem((4, 5, 3), MODEL, 16, False).draw()
    mesh = make_mesh(AUTO)
    got = jax.jit(READINGS[name])(params, place(mesh, "shared", x), place(mesh, "shared", y))
    assert_close(jax.device_get(got), jax.device_get(READINGS[name](params, x, y)), TOLERANCE)
    if name == "norms":
        assert got.sharding.spec == P("data")  # each device has those of its own examples


@pytest.mark.parametrize("kinds", LINES.values(), ids=LINES)
def test_readings_in_shard_map(kinds):
    """On any mesh: what there is one of for each example stays where it is, and sums want a psum."""
    params, x, y, _ = Problem((4, 5, 3), MODEL, 16, False).draw()
    mesh = make_mesh(*kinds)

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("data"), P("data")), out_specs=(P("data"), P()))
    def both(params, x, y):
        tape = jaxmlp.backward(params, x, y, MODEL)
        return jaxmlp.per_example_norms(tape), jax.lax.psum(jaxmlp.clipped_gradient_sum(tape, 0.3), "data")

    norms, clipped = both(params, place(mesh, "shared", x), place(mesh, "shared", y))
    assert_close(jax.device_get(norms), jax.device_get(READINGS["norms"](params, x, y)), TOLERANCE)
    assert_close(jax.device_get(clipped), jax.device_get(READINGS["clipped"](params, x, y)), TOLERANCE)


def test_a_wide_layer_sharded_over_its_columns():
    """Its outputs, its weight gradients and nothing else are shared; the numbers are the same."""
    mesh = jax.make_mesh((8,), ("model",), axis_types=(AUTO,))
    params = random_params((4, 64, 3))
    _, x, y, weights = Problem((4, 64, 3), MODEL, 10, True).draw()
    columns = NamedSharding(mesh, P(None, "model"))
    (W1, b1), (W2, b2) = params
    wide = [
        (jax.device_put(W1, columns), jax.device_put(b1, NamedSharding(mesh, P("model")))),
        (jax.device_put(W2, NamedSharding(mesh, P("model", None))), jax.device_put(b2, NamedSharding(mesh, P()))),
    ]
    forward = jax.jit(lambda params, x: jaxmlp.forward(params, x, MODEL))
    assert_close(jax.device_get(forward(wide, x)), jax.device_get(forward(params, x)), TOLERANCE)
    gradient = jax.jit(lambda params, x, y, w: jaxmlp.value_and_grad(params, x, y, MODEL, weights=w))
    loss, grads = gradient(wide, x, y, weights)
    assert_close(jax.device_get((loss, grads)), jax.device_get(gradient(params, x, y, weights)), TOLERANCE)
    assert grads[0][0].sharding.is_equivalent_to(columns, 2)
    assert grads[0][0].addressable_shards[0].data.shape == (4, 8)


@pytest.mark.parametrize(
    ("members", "chunk_size"),
    [(1, None), (2, 2), (7, 1), (8, None), (9, None), (9, 1), (12, None), (20, 2), (40, 2), (40, 3), (40, 100)],
)
def test_ensemble_map_equals_vmap(members, chunk_size):
    """Whatever the number of members, in order, keys and several arguments included."""

    def fn(key, scale):
        return {"draw": scale * jax.random.normal(key, (3,)), "key": jax.random.key_data(key), "scale": scale}

    arguments = jax.random.split(jax.random.key(0), members), jnp.arange(1.0, members + 1)
    got = jaxmlp.ensemble_map(fn, chunk_size=chunk_size)(*arguments)
    assert_close(jax.device_get(got), jax.device_get(jax.vmap(fn)(*arguments)))
    assert len(got["scale"].sharding.device_set) == min(members, 8)


def test_ensemble_map_of_any_number_of_members():
    """Jax 0.9.2 has no name for some of the layouts that the compiler chooses where devices do not divide them."""
    for k in (4, 6):
        double = jaxmlp.ensemble_map(lambda a: 2 * a, devices=jax.devices()[:k])
        for members in range(1, 2 * k + 4):
            np.testing.assert_array_equal(double(jnp.arange(float(members))), 2 * np.arange(float(members)))


@pytest.mark.parametrize("kinds", LINES.values(), ids=LINES)
def test_ensemble_map_takes_arrays_from_anywhere(kinds):
    """From one device, from other meshes, and while one of those is set."""
    mesh, double = make_mesh(*kinds), jaxmlp.ensemble_map(lambda a: 2 * a)
    numbers = np.arange(16.0)
    for a in (place(mesh, "one device", numbers), place(mesh, "shared", numbers), place(mesh, "whole", numbers)):
        np.testing.assert_array_equal(double(a), 2 * numbers)
    with jax.set_mesh(mesh):
        np.testing.assert_array_equal(double(numbers), 2 * numbers)
        with pytest.raises(ValueError, match="ensemble_map must be called outside of jit where another mesh"):
            jax.jit(double)(numbers)


def test_ensembles_of_ensembles():
    got = jaxmlp.ensemble_map(lambda a: jaxmlp.ensemble_map(lambda b: b * a)(jnp.arange(3.0)))(jnp.arange(5.0))
    np.testing.assert_array_equal(got, np.arange(5.0)[:, None] * np.arange(3.0))


def test_a_shared_batch_in_an_ensemble_is_refused():
    params = jaxmlp.init_ensemble(jax.random.key(0), 5, (4, 3), dtype=DTYPE)
    _, x, y, _ = Problem((4, 3), MODEL, 8, False).draw()
    sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, make_mesh(AUTO))
    with pytest.raises(ValueError, match=r"data_parallel must not stand inside jax\.shard_map or ensemble_map"):
        jaxmlp.ensemble_map(lambda params: sharded(params, x, y, MODEL)[0])(params)


def test_data_parallel_while_another_mesh_is_set():
    params, x, y, _ = Problem((4, 5, 3), MODEL, 16, False).draw()
    sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, make_mesh(AUTO))
    want = jaxmlp.value_and_grad(params, x, y, MODEL)
    with jax.set_mesh(make_mesh(AUTO, EXPLICIT)):
        assert_close(jax.device_get(sharded(params, x, y, MODEL)), jax.device_get(want), TOLERANCE)
        with pytest.raises(ValueError, match="data_parallel must be called outside of jit where another mesh"):
            jax.jit(lambda params: sharded(params, x, y, MODEL))(params)


def test_a_state_placed_on_the_mesh_compiles_one_step():
    mesh = make_mesh(AUTO)
    params, x, y, _ = Problem((4, 5, 3), MODEL, 16, False).draw()
    optimizer = jaxmlp.optimizers.adam(0.1)
    sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, mesh)
    state = jaxmlp.init_state(params, optimizer, jax.random.key(0))
    state = jax.device_put(state, NamedSharding(mesh, P()))
    step = jaxmlp.make_train_step(MODEL, optimizer, value_and_grad=sharded)
    compiled = step.lower(state, x, y).compile()
    assert all(s.is_equivalent_to(NamedSharding(mesh, P()), 0) for s in jax.tree.leaves(compiled.output_shardings[1]))
    layout = jax.tree.map(lambda a: a.sharding, state)
    state, _ = step(state, x, y)
    assert jax.tree.map(lambda a: a.sharding, state) == layout  # so the second call finds the first one's program


def test_ensemble_map_on_some_devices():
    double = jaxmlp.ensemble_map(lambda a: 2 * a, devices=jax.devices()[2:5])
    got = double(jnp.arange(6.0))
    assert got.sharding.device_set == set(jax.devices()[2:5])
    np.testing.assert_array_equal(got, 2 * np.arange(6.0))


def test_ensemble_map_exchanges_nothing():
    """Its program holds no collective operation."""
    mapped = jaxmlp.ensemble_map(lambda W: W @ W, chunk_size=2)
    program = mapped.lower(jnp.zeros((16, 3, 3))).compile().as_text()
    words = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
    assert not [word for word in itertools.chain(words) if word in program]


def test_ensemble_map_trains_as_one_by_one():
    _, x, y, _ = Problem((4, 6, 3), MODEL, 20, False).draw()
    keys = jax.random.split(jax.random.key(0), 11)
    rates = jnp.asarray(np.geomspace(0.001, 0.5, 11), DTYPE)

    def run(key, rate):
        optimizer = jaxmlp.optimizers.adam(rate)
        state = jaxmlp.init_state(jaxmlp.init_mlp(key, (4, 6, 3), dtype=DTYPE), optimizer, key)
        state, losses = jaxmlp.train(state, x, y, MODEL, optimizer, epochs=4, batch_size=8)
        return state.params, losses

    got = jaxmlp.ensemble_map(run)(keys, rates)
    one = jax.jit(run)
    want = jax.tree.map(lambda *leaves: np.stack(leaves), *[one(k, r) for k, r in zip(keys, rates, strict=True)])
    assert_close(jax.device_get(got), want, TOLERANCE, 1e-10 if X64 else 1e-4)
