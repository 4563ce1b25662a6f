"""First-order readings: against per-example gradients by autodiff and NumPy, and in the structure they must have."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, HIDDEN, PAIRINGS, X64, Problem, assert_close, random_params
from jax.flatten_util import ravel_pytree

import jaxmlp
from jaxmlp import Model, Tape
from jaxmlp.readings import curvature, first_order
from jaxmlp.readings.flow import layer_statistics

SIZES = (3, 4, 4, 2)
PROBLEMS = [  # every pairing of output and loss, every activation; one shape, so that eager operations compile once
    Problem(SIZES, Model(HIDDEN[i % len(HIDDEN)], *pair), 5, bool(i % 2), (list, tuple)[i % 2])
    for i, pair in enumerate(PAIRINGS)
]
OTHERS = [  # one layer, one input, one output, more outputs than examples
    Problem((3, 2), Model("relu", "identity", "softmax_cross_entropy"), 5, True),
    Problem((1, 4, 1), Model("sine", "identity", "half_squared_error"), 6, False),
    Problem((4, 1, 5), Model("gelu", "identity", "softmax_cross_entropy"), 3, True),
]
READINGS = {
    "per_example_norms": jaxmlp.per_example_norms,
    "clipped_gradient_sum": functools.partial(jaxmlp.clipped_gradient_sum, max_norm=0.7),
    "second_moments": jaxmlp.second_moments,
    "variances": jaxmlp.variances,
    "gram_matrix": jaxmlp.gram_matrix,
    "noise_scale": jaxmlp.noise_scale,
}


def by_autodiff(problem, params, x, y):
    """G `(n, P)`, the gradients of the single losses."""
    one_hot = y if y.ndim == 2 else jax.nn.one_hot(y, problem.sizes[-1], dtype=x.dtype)
    value = problem.model.loss_function.value

    def loss(params, x, y):
        return value(jaxmlp.forward(params, x[None], problem.model)[0], y)

    gradients = jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1)), in_axes=(None, 0, 0)))
    return gradients(params, x, one_hot)


def flat(tree, batch=False):
    return np.concatenate([np.reshape(a, (len(a), -1) if batch else -1) for a in jax.tree.leaves(tree)], axis=-1)


def close(got, want):
    """To 1e-9 of the largest in float64, as the oracle has rounding errors of its own."""
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=(1e-9 if X64 else 2e-4) * np.max(np.abs(want), initial=1e-3))


@pytest.mark.parametrize("problem", PROBLEMS[:: 1 if X64 else 4] + OTHERS, ids=str)
def test_every_reading_against_autodiff_and_numpy(problem):
    params, x, y, weights = problem.draw()
    tree, x_gradients = by_autodiff(problem, params, x, y)
    g = flat(tree, batch=True).astype(np.float64)
    norms = np.linalg.norm(g, axis=1)
    n = len(g)
    direction = problem.kind(random_params(problem.sizes, 9))

    tape = jaxmlp.backward(params, x, y, problem.model, weights=weights)
    rows = jaxmlp.per_example_gradients(tape)
    chex.assert_trees_all_equal_structs(rows, tree)
    chex.assert_trees_all_equal_shapes_and_dtypes(rows, tree)
    close(flat(rows, batch=True), g)
    close(jaxmlp.per_example_norms(tape), norms)
    close(flat(jaxmlp.weighted_gradient_sum(tape, x[:, 0])), np.asarray(x[:, 0]) @ g)
    limit = float(np.median(norms))
    close(flat(jaxmlp.clipped_gradient_sum(tape, limit)), (np.minimum(1, limit / norms)[:, None] * g).sum(axis=0))
    for name, want in (("second_moments", np.mean(g**2, axis=0)), ("variances", np.var(g, axis=0))):
        got = READINGS[name](tape)
        chex.assert_trees_all_equal_shapes_and_dtypes(got, params)
        close(flat(got), want)
    close(jaxmlp.gram_matrix(tape), g @ g.T)
    close(jaxmlp.directional_derivatives(tape, direction), g @ flat(direction))
    mean, trace = g.mean(axis=0), np.sum(np.var(g, axis=0, ddof=1))
    scale = trace / (mean @ mean - trace / n)
    np.testing.assert_allclose(
        jaxmlp.noise_scale(tape), scale, rtol=1e-8 if X64 else 5e-2
    )  # a quotient that may blow up
    close(jaxmlp.input_gradients(tape, params), x_gradients)


def test_a_number_by_hand():
    """z = 3 * 2 + 1 = 7 and 3 * 0 + 1 = 1 against 0: delta = 7, 1; g = (14, 7) and (0, 1)."""
    params = [(jnp.array([[3.0]], DTYPE), jnp.array([1.0], DTYPE))]
    x, y = jnp.array([[2.0], [0.0]], DTYPE), jnp.zeros((2, 1), DTYPE)
    tape = jaxmlp.backward(params, x, y, Model(loss="half_squared_error"))
    near = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    near(jaxmlp.per_example_norms(tape), [245**0.5, 1])
    near(jaxmlp.gram_matrix(tape), [[245, 7], [7, 1]])
    near(flat(jaxmlp.clipped_gradient_sum(tape, 5 * 245**0.5 / 245)), [14 * 5 / 245, 7 * 5 / 245 + 5 * 245**0.5 / 245])
    near(flat(jaxmlp.second_moments(tape)), [98, 25])
    near(flat(jaxmlp.variances(tape)), [49, 9])
    trace, squared_mean = 2 * (49 + 9), 49 + 16
    near(jaxmlp.noise_scale(tape), trace / (squared_mean - trace / 2))
    near(jaxmlp.input_gradients(tape, params), [[21], [3]])
    near(jaxmlp.directional_derivatives(tape, [(jnp.array([[1.0]], DTYPE), jnp.array([-1.0], DTYPE))]), [7, -1])


def tape_of(problem, seed=0, n=None):
    params, x, y, _ = problem.draw(seed)
    return jaxmlp.backward(params, x[:n], y[:n], problem.model)


CLASSES = Problem(SIZES, Model("tanh", "identity", "softmax_cross_entropy"), 8, False)


def test_permuting_the_examples_permutes_what_is_theirs_and_nothing_else():
    params, x, y, _ = CLASSES.draw()
    order = np.random.default_rng(1).permutation(len(x))
    tape, permuted = (jaxmlp.backward(params, a, b, CLASSES.model) for a, b in ((x, y), (x[order], y[order])))
    close(jaxmlp.per_example_norms(permuted), jaxmlp.per_example_norms(tape)[order])
    close(jaxmlp.gram_matrix(permuted), jaxmlp.gram_matrix(tape)[order][:, order])
    for name in ("clipped_gradient_sum", "second_moments", "variances", "noise_scale"):
        close(flat(READINGS[name](permuted)), flat(READINGS[name](tape)))


def test_examples_that_come_twice():
    params, x, y, _ = CLASSES.draw()
    tape, twice = (
        jaxmlp.backward(params, a, b, CLASSES.model) for a, b in ((x, y), (jnp.tile(x, (2, 1)), jnp.tile(y, 2)))
    )
    close(flat(READINGS["clipped_gradient_sum"](twice)), 2 * flat(READINGS["clipped_gradient_sum"](tape)))
    for name in ("second_moments", "variances"):
        close(flat(READINGS[name](twice)), flat(READINGS[name](tape)))


def test_a_loss_times_three_has_gradients_times_three():
    base = jaxmlp.losses.softmax_cross_entropy
    threefold = jaxmlp.losses.Loss(
        "threefold", lambda o, y: 3 * base.value(o, y), lambda o, y: 3 * base.gradient(o, y), targets="classes"
    )
    params, x, y, _ = CLASSES.draw()
    tape, times_three = (jaxmlp.backward(params, x, y, Model("tanh", loss=loss)) for loss in (base, threefold))
    close(jaxmlp.per_example_norms(times_three), 3 * jaxmlp.per_example_norms(tape))
    close(flat(jaxmlp.variances(times_three)), 9 * flat(jaxmlp.variances(tape)))
    close(jaxmlp.noise_scale(times_three), jaxmlp.noise_scale(tape))


def test_what_the_readings_say_of_one_another():
    tape = tape_of(CLASSES)
    rows = flat(jaxmlp.per_example_gradients(tape), batch=True)
    n = len(rows)
    close(flat(jaxmlp.gradients(tape)), rows.mean(axis=0))
    close(np.diagonal(jaxmlp.gram_matrix(tape)), jaxmlp.per_example_norms(tape) ** 2)
    close(np.sum(flat(jaxmlp.second_moments(tape))), np.mean(jaxmlp.per_example_norms(tape) ** 2))
    fisher = np.linalg.eigvalsh(rows.T @ rows / n)[-n:]
    close(np.linalg.eigvalsh(np.asarray(jaxmlp.gram_matrix(tape)) / n), fisher)
    close(jaxmlp.directional_derivatives(tape, jaxmlp.gradients(tape)), rows @ rows.mean(axis=0))


def test_sample_weights_and_the_reduction_do_not_enter():
    params, x, y, _ = CLASSES.draw()
    weights = jnp.arange(8.0, dtype=DTYPE)
    tape, weighted = (jaxmlp.backward(params, x, y, CLASSES.model, weights=w) for w in (None, weights))
    for reading in READINGS.values():
        close(flat(reading(weighted)), flat(reading(tape)))
    half = jaxmlp.losses.half_squared_error
    summed = jaxmlp.losses.Loss("summed", half.value, half.gradient, reduction="sum")
    y = jnp.ones((8, 2), DTYPE)
    of_mean, of_sum = (jaxmlp.backward(params, x, y, Model("tanh", loss=loss)) for loss in (half, summed))
    for reading in READINGS.values():
        close(flat(reading(of_sum)), flat(reading(of_mean)))


def test_under_jit_and_over_many_networks():
    """All readings of a stack of networks in one program: vmap of jit, jit of vmap, and one by one."""
    _, x, y, _ = CLASSES.draw()
    networks = [random_params(SIZES, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)

    def everything(params):
        tape = jaxmlp.backward(params, x, y, CLASSES.model)
        return [reading(tape) for reading in READINGS.values()] + [
            jaxmlp.per_example_gradients(tape),
            jaxmlp.directional_derivatives(tape, params),
            jaxmlp.input_gradients(tape, params),
        ]

    one_by_one = [everything(params) for params in networks]
    together = jax.jit(jax.vmap(everything))(stacked)
    for i, want in enumerate(one_by_one):
        assert_close(jax.tree.map(lambda a, i=i: a[i], together), want, rtol=1e-9 if X64 else 1e-3)
    assert_close(jax.jit(everything)(networks[0]), one_by_one[0], rtol=1e-9 if X64 else 1e-3)


def nearly_constant(dtype, n, d_in, d_out, deviations=1e4):
    """A tape of inputs and deltas whose means are so many deviations, and the same numbers in float64."""
    rng = np.random.default_rng(0)
    a = (1 + rng.normal(size=(n, d_in)) / deviations).astype(dtype)
    delta = (2 + 2 * rng.normal(size=(n, d_out)) / deviations).astype(dtype)
    delta += (a[:, :1] - 1) * 0.5  # so that their product is not that of independent numbers
    losses = jnp.zeros(n, dtype)
    tape = Tape(
        jnp.sum(losses), losses, losses + 1 / n, [jnp.asarray(a)], [jnp.asarray(delta)], losses, [jnp.asarray(delta)]
    )
    return tape, (a.astype(np.float64)[:, :, None] * delta.astype(np.float64)[:, None, :]).reshape(n, -1), delta


@pytest.mark.parametrize("sizes", [(4096, 3, 2), (100_000, 3, 2), (100_000, 20, 1), (1000, 20, 24)])
def test_variances_do_not_cancel_in_float32(transform, sizes):
    """Where the mean is 10^4 deviations, 1 % is asked for; the difference of moments has no correct digit.

    Of 100,000 examples the mean gradient of a layer with few units has lost as many digits.
    """
    tape, products, delta = nearly_constant(np.float32, *sizes)
    ((of_W, of_b),) = transform(jaxmlp.variances)(tape)
    np.testing.assert_allclose(np.ravel(of_W), products.var(axis=0), rtol=2e-3)
    np.testing.assert_allclose(of_b, delta.astype(np.float64).var(axis=0), rtol=2e-3)
    ((moment, _),), ((mean, _),) = jaxmlp.second_moments(tape), jaxmlp.gradients(tape)
    assert np.max(np.abs(np.ravel(moment - mean**2) / products.var(axis=0) - 1)) > 0.2

    g = np.concatenate([products, delta.astype(np.float64)], axis=1)
    trace, n = g.var(axis=0, ddof=1).sum(), len(g)
    squared_mean = (g.mean(axis=0) ** 2).sum()
    np.testing.assert_allclose(transform(jaxmlp.noise_scale)(tape), trace / (squared_mean - trace / n), rtol=2e-3)


def one_layer(a, delta):
    """A tape of one layer's inputs and deltas; the rest of it is not read."""
    zeros = jnp.zeros(len(a), a.dtype)
    return Tape(zeros[0], zeros, zeros, [jnp.asarray(a)], [jnp.asarray(delta)], zeros, [jnp.asarray(delta)])


@pytest.mark.parametrize(("of_a", "of_delta"), list(itertools.product([0, 3, 3.5, 30, "one"], repeat=2)))
def test_variances_keep_their_digits_wherever_the_means_are(transform, of_a, of_delta):
    """In deviations, of every column or of one: on both sides of where a layer takes a product of its own."""
    rng = np.random.default_rng(0)
    a, delta = rng.normal(size=(512, 20)), rng.normal(size=(512, 24))
    for rows, mean in ((a, of_a), (delta, of_delta)):
        rows[:, 0 if mean == "one" else slice(None)] += 1e4 if mean == "one" else mean
    a, delta = a.astype(np.float32), delta.astype(np.float32)
    ((of_W, _),) = transform(jaxmlp.variances)(one_layer(a, delta))
    products = a.astype(np.float64)[:, :, None] * delta.astype(np.float64)[:, None, :]
    np.testing.assert_allclose(of_W, products.var(axis=0), rtol=1e-4)


def outlier(rng, size):
    """An example of huge inputs that is answered well, as a softmax is sure of it: its deltas are 0."""
    a, delta = rng.normal(size=(512, 20)), rng.normal(size=(512, 24))
    a[7], delta[7] = size * a[7], 0
    return a, delta


def sparse(rng):
    a, delta = rng.normal(size=(512, 20)), rng.normal(size=(512, 24))
    return a * (rng.random(a.shape) < 0.02), delta * (rng.random(delta.shape) < 0.02)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: outlier(rng, 1e5),
        lambda rng: tuple(part + 30 for part in outlier(rng, 1)),
        lambda rng: outlier(rng, 1e5)[::-1],
        sparse,
        lambda rng: (np.exp(3 * rng.normal(size=(512, 20))), np.exp(3 * rng.normal(size=(512, 24)))),
    ],
    ids=["huge input", "outlier among far means", "huge delta", "sparse", "lognormal"],
)
def test_variances_keep_their_digits_beside_outliers(draw):
    a, delta = (part.astype(np.float32) for part in draw(np.random.default_rng(0)))
    ((of_W, _),) = jax.jit(jaxmlp.variances)(one_layer(a, delta))
    products = a.astype(np.float64)[:, :, None] * delta.astype(np.float64)[:, None, :]
    np.testing.assert_allclose(of_W, products.var(axis=0), rtol=2e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_variances_of_a_layer_with_one_output_or_input_keep_their_digits(turned):
    """XLA adds up a product with a vector one by one on a CPU: 100,000 positive numbers leave three digits."""
    a = (np.random.default_rng(0).random((100_000, 20)) < 0.89).astype(np.float32)
    delta = np.full((100_000, 1), 0.1, np.float32)
    a, delta = (delta, a) if turned else (a, delta)
    ((of_W, _),) = jax.jit(jaxmlp.variances)(one_layer(a, delta))
    want = (a.astype(np.float64) * delta.astype(np.float64)).var(axis=0).reshape(of_W.shape)
    np.testing.assert_allclose(of_W, want, rtol=1e-3)


def test_variances_where_sums_of_squares_would_overflow():
    rng = np.random.default_rng(0)
    a, delta = 1e18 * rng.normal(size=(512, 20)), 1e-6 * rng.normal(size=(512, 24))
    ((of_W, _),) = jaxmlp.variances(one_layer(np.float32(a), np.float32(delta)))
    np.testing.assert_allclose(of_W, (a[:, :, None] * delta[:, None, :]).var(axis=0), rtol=1e-5)


def test_variances_of_a_shard():
    """The branches' results vary over the mesh alike, which `shard_map` checks."""
    params, x, y, _ = CLASSES.draw()
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    all_of, part = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("batch")

    def of_shard(params, x, y):
        return jax.lax.pmean(jaxmlp.variances(jaxmlp.backward(params, x, y, CLASSES.model)), "batch")

    got = jax.jit(jax.shard_map(of_shard, mesh=mesh, in_specs=(all_of, part, part), out_specs=all_of))(params, x, y)
    close(flat(got), flat(jaxmlp.variances(jaxmlp.backward(params, x, y, CLASSES.model))))


def test_one_example_and_none():
    one, none = tape_of(CLASSES, n=1), tape_of(CLASSES, n=0)
    assert np.all(flat(jaxmlp.variances(one)) == 0)
    close(flat(jaxmlp.second_moments(one)), flat(jaxmlp.gradients(one)) ** 2)
    assert np.isnan(jaxmlp.noise_scale(one))
    assert np.isnan(jaxmlp.noise_scale(none))
    for name in ("clipped_gradient_sum", "second_moments", "variances"):
        assert np.all(flat(READINGS[name](none)) == 0)
    assert jaxmlp.per_example_norms(none).shape == (0,)
    assert jaxmlp.gram_matrix(none).shape == (0, 0)
    assert jaxmlp.per_example_gradients(none)[0][0].shape == (0, 3, 4)


def test_a_norm_that_is_not_a_number_does_not_pass_unclipped():
    """|a|**2 = inf and delta = 0 in the first layer, a gradient of norm 100 in the second."""
    params = [(jnp.array([[-1.0]], jnp.float32), jnp.zeros(1, jnp.float32))]
    params += [(jnp.array([[1.0]], jnp.float32), jnp.zeros(1, jnp.float32))]
    x, y = np.float32([[1e20]]), np.float32([[100]])
    tape = jaxmlp.backward(params, x, y, Model("relu", loss="half_squared_error"))
    assert np.isnan(jaxmlp.per_example_norms(tape))
    assert np.isnan(jaxmlp.clipped_gradient_sum(tape, 1.0)[1][1])
    assert jaxmlp.clipped_gradient_sum(tape, 1.0, weights=[0])[1][1] == 0


def test_clipping_at_its_edges():
    tape = tape_of(CLASSES)
    rows, norms = flat(jaxmlp.per_example_gradients(tape), batch=True), np.asarray(jaxmlp.per_example_norms(tape))
    close(flat(jaxmlp.clipped_gradient_sum(tape, np.inf)), rows.sum(axis=0))
    close(flat(jaxmlp.clipped_gradient_sum(tape, float(norms.max()) * 1.01)), rows.sum(axis=0))
    assert np.all(flat(jaxmlp.clipped_gradient_sum(tape, 0)) == 0)
    close(flat(jaxmlp.clipped_gradient_sum(tape, 1e-3)), (1e-3 * rows / norms[:, None]).sum(axis=0))
    many = jax.vmap(lambda limit: jaxmlp.clipped_gradient_sum(tape, limit))(jnp.array([0.1, 1.0], DTYPE))
    close(flat(many, batch=True)[1], flat(jaxmlp.clipped_gradient_sum(tape, 1.0)))

    sampled = np.array([1, 0, 0, 1, 1, 0, 1, 0])
    c = sampled * np.minimum(1, 0.5 / norms)
    close(flat(jaxmlp.clipped_gradient_sum(tape, 0.5, weights=sampled)), c @ rows)
    close(flat(jaxmlp.clipped_gradient_sum(tape, 0.5, weights=sampled > 0)), c @ rows)
    with pytest.raises(ValueError, match=r"weights must have shape \(8,\), one for each example; got \(7,\)"):
        jaxmlp.clipped_gradient_sum(tape, 0.5, weights=sampled[1:])

    still = tape._replace(deltas=[jnp.zeros_like(delta) for delta in tape.deltas])  # no gradient, and no 0 / 0
    for limit in (0, 1.0):
        assert np.all(flat(jaxmlp.clipped_gradient_sum(still, limit)) == 0)
    for wrong in (-1.0, np.nan, np.ones(2)):
        with pytest.raises(ValueError, match="max_norm must be a number of at least 0; got"):
            jaxmlp.clipped_gradient_sum(tape, wrong)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_norms_of_halves_are_summed_in_more(dtype):
    """300**2 is no number of float16's."""
    params = [(jnp.full((4, 2), 1.0, dtype), jnp.zeros(2, dtype))]
    x, y = jnp.full((3, 4), 30.0, dtype), jnp.zeros((3, 2), dtype)
    tape = jaxmlp.backward(params, x, y, Model(loss="half_squared_error"))
    want = 120 * 2**0.5 * (1 + 4 * 900) ** 0.5
    np.testing.assert_allclose(jaxmlp.per_example_norms(tape).astype(np.float32), want, rtol=1e-2)
    got = jaxmlp.clipped_gradient_sum(tape, 3.0)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(dtype)}
    np.testing.assert_allclose(np.linalg.norm(flat(got).astype(np.float32)), 9, rtol=2e-2)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize(("n", "d", "size"), [(1000, 3, 3.0), (60_000, 3, 1e-2), (6000, 20, 1e-2)])
def test_moments_of_halves_are_those_of_wider_numbers(dtype, n, d, size):
    """Where a sum over the batch overflows float16, and what is divided by n underflows."""
    rng = np.random.default_rng(0)
    a = jnp.asarray(1 + rng.normal(size=(n, d)), dtype)
    delta = jnp.asarray(size * (1 + rng.normal(size=(n, 2))) + size * np.asarray(a[:, :1], float), dtype)
    losses = jnp.zeros(n, dtype)
    tape = Tape(losses[0], losses, losses, [a], [delta], losses, [delta])
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tape)
    epsilon = float(jnp.finfo(dtype).eps)
    for name in ("second_moments", "variances", "noise_scale"):
        got, want = READINGS[name](tape), READINGS[name](wide)
        assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(dtype)}
        np.testing.assert_allclose(flat(got).astype(np.float32), flat(want), rtol=2 * epsilon, err_msg=name)


def largest_array(f, *args):
    """The most numbers in any array that a program makes on its way."""

    def sizes(jaxpr):
        for eqn in jaxpr.eqns:
            yield from (v.aval.size for v in eqn.outvars)
            for inner in jax.tree.leaves(
                list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
            ):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from sizes(inner)

    return max(sizes(jax.make_jaxpr(f)(*args).jaxpr))


def test_nothing_of_size_n_times_p_is_made():
    """With 31 examples of a (20, 30, 10) network, the largest is a weight matrix, a layer of the tape, or n x n."""
    problem = Problem((20, 30, 10), Model("relu", "identity", "softmax_cross_entropy"), 31, False)
    params, x, y, _ = problem.draw()
    tape = jaxmlp.backward(params, x, y, problem.model)
    bound = max(31 * 30, 31 * 31, 20 * 30)
    for name, reading in READINGS.items():
        assert largest_array(reading, tape) <= bound, name
    assert largest_array(lambda t: jaxmlp.directional_derivatives(t, params), tape) <= bound
    assert largest_array(jaxmlp.per_example_gradients, tape) == 31 * 20 * 30  # the meter works
    for reading in (curvature.ggn_diagonal, functools.partial(curvature.ggn_diagonal, key=jax.random.key(0))):
        assert largest_array(lambda p, r=reading: r(p, x, y, problem.model), params) <= bound


def test_bfloat16_goes_through_every_reading():
    """In strict promotion, and to the dtype's two digits of what float32 says of the same numbers."""
    problem = Problem(SIZES, Model("tanh", "identity", "softmax_cross_entropy"), 64, False)
    params, x, y, _ = problem.draw(dtype=jnp.bfloat16)
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    tape, wanted = (jaxmlp.backward(p, x, y, problem.model) for p in (params, wide))
    for name, reading in READINGS.items():
        got, want = reading(tape), reading(wanted)
        assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(jnp.bfloat16)}, name
        want = flat(want)
        scale = np.max(np.abs(want))
        np.testing.assert_allclose(flat(got).astype(np.float32), want, rtol=0.1, atol=0.05 * scale, err_msg=name)


def test_the_derivative_of_a_clipped_sum_is_finite():
    """Also where an example's gradient is 0: there the function is smooth, and so must JAX find it."""
    params, x, y, _ = CLASSES.draw()
    tape = jaxmlp.backward(params, x, y, CLASSES.model)

    def length(first, limit):
        deltas = [delta.at[0].set(first * delta[0]) for delta in tape.deltas]
        return jnp.sum(jaxmlp.clipped_gradient_sum(tape._replace(deltas=deltas), limit)[0][0])

    assert np.isfinite(jax.grad(length)(jnp.zeros((), DTYPE), 100.0))


def test_complex_numbers_are_refused_before_they_are_cast():
    tape = tape_of(CLASSES)
    with pytest.raises(ValueError, match="c must be real numbers"):
        jaxmlp.weighted_gradient_sum(tape, np.ones(8) * 1j)
    with pytest.raises(ValueError, match="direction must be real numbers"):
        jaxmlp.directional_derivatives(tape, [(np.asarray(W) * 1j, np.asarray(b)) for W, b in random_params(SIZES)])


def test_wrong_arguments_are_refused():
    tape, params = tape_of(CLASSES), random_params(SIZES)
    with pytest.raises(ValueError, match=r"c must have shape \(8,\), one for each example; got \(7,\)"):
        jaxmlp.weighted_gradient_sum(tape, np.ones(7))
    with pytest.raises(ValueError, match=r"direction must have the shapes of params, .* got \[\(\(3, 4\)"):
        jaxmlp.directional_derivatives(tape, params[:1])
    with pytest.raises(ValueError, match=r"direction must have the shapes of params, .*; got float"):
        jaxmlp.directional_derivatives(tape, 3.0)
    with pytest.raises(ValueError, match=r"params must have the shapes of params, .*; got \[\(\(4, 4\)"):
        jaxmlp.input_gradients(tape, params[1:])
    for wrong in (None, "a", 1j):
        with pytest.raises(ValueError, match="max_norm must be real numbers; got"):
            jaxmlp.clipped_gradient_sum(tape, wrong)
        with pytest.raises(ValueError, match="c must be real numbers; got"):
            jaxmlp.weighted_gradient_sum(tape, wrong)
    with pytest.raises(ValueError, match="weights must be real numbers; got <U1"):
        jaxmlp.clipped_gradient_sum(tape, 1.0, weights="a")
    with pytest.raises(ValueError, match="c must be an array; got list of 2 whose rows differ in length"):
        jaxmlp.weighted_gradient_sum(tape, [[1], [1, 2]])
    with pytest.raises(ValueError, match=r"direction must have the shapes of params, .*; got list of 1"):
        jaxmlp.directional_derivatives(tape, [([[1, 2], [3]], [1])])


def test_what_is_no_tape_of_one_network_is_refused():
    """Readings of a stacked tape would broadcast examples against networks."""
    params = random_params(SIZES)
    of_one = {
        **READINGS,
        "gradients": jaxmlp.gradients,
        "per_example_gradients": jaxmlp.per_example_gradients,
        "input_gradients": lambda tape: jaxmlp.input_gradients(tape, params),
        "directional_derivatives": lambda tape: jaxmlp.directional_derivatives(tape, params),
        "layer_statistics": layer_statistics,
    }
    tapes = jax.tree.map(lambda a: jnp.stack([a, a]), tape_of(CLASSES))
    for name, reading in of_one.items():
        with pytest.raises(ValueError, match=r"tape must be of one network, .* shape \(2, 8\)\. Write jax\.vmap"):
            reading(tapes)
        for wrong in (params, None):
            with pytest.raises(ValueError, match=r"tape must be a Tape; got .*Write jaxmlp\.backward\(params"):
                reading(wrong)
        assert jax.tree.leaves(jax.vmap(reading)(tapes))[0].shape[0] == 2, name


def test_the_mean_gradient_is_made_but_once():
    """`variances` and `noise_scale` beside `gradients`: the compiler finds the products that they share.

    Where a layer is narrow they take one of their own for its digits.
    """
    wide = Problem((20, 18, 17, 19), CLASSES.model, 8, False)
    params, x, y, _ = wide.draw()

    def products(*readings):
        def program(params, x, y):
            tape = jaxmlp.backward(params, x, y, wide.model)
            return [reading(tape) for reading in (jaxmlp.gradients, *readings)]

        return jax.jit(program).lower(params, x, y).compile().as_text().count(" dot(")

    assert products(jaxmlp.noise_scale) == products() + 2 * 3  # by one row each, a mean
    assert products(jaxmlp.variances) == products() + 2 * 3
    assert products(jaxmlp.second_moments) == products() + 3


@pytest.mark.parametrize("n", [512, 4096])
def test_clipping_takes_a_gradients_memory(n):
    """Of a network whose n gradients are 34 and 270 GB; compiled, never run."""
    shape, sizes = jax.ShapeDtypeStruct, (5120, 2560, 1280)
    params = [(shape((i, o), jnp.float32), shape((o,), jnp.float32)) for i, o in itertools.pairwise(sizes)]
    batch = params, shape((n, sizes[0]), jnp.float32), shape((n,), jnp.int32)
    model = Model("relu", loss="softmax_cross_entropy")

    def clipped(params, x, y):
        return jaxmlp.clipped_gradient_sum(jaxmlp.backward(params, x, y, model), 1.0)

    def gradient(params, x, y):
        return jax.grad(jaxmlp.loss)(params, x, y, model)

    ours, theirs = (
        jax.jit(f).lower(*batch).compile().memory_analysis().temp_size_in_bytes for f in (clipped, gradient)
    )
    assert 0 < ours <= 1.25 * theirs


def test_every_reading_is_at_the_top():
    names = [name for name, f in vars(first_order).items() if getattr(f, "__module__", "") == first_order.__name__]
    assert {name for name in names if not name.startswith("_")} <= set(jaxmlp.__all__)
    assert ravel_pytree(jaxmlp.gradients(tape_of(CLASSES)))[0].shape == (46,)
