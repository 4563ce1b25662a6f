"""The gradient by hand, against every witness that we have, in order of authority."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference
import pytest
from helpers import DTYPE, HIDDEN, PAIRINGS, PROBLEMS, X64, Problem, assert_close, random_params
from jax.test_util import check_vjp

import jaxmlp
from jaxmlp import Model, activations, backprop, dense


@jax.jit
def both(params, x, y, model, weights=None):
    """By hand and by autodiff, in one program."""
    hand = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
    return hand, jax.value_and_grad(jaxmlp.loss)(params, x, y, model, weights=weights)


# 1. Numbers worked by hand


def test_one_two_one_network_worked_by_hand():
    """z1 = (1, -1), relu gives (1, 0), output 2 * 1 - 1 * 0 + 0.5 = 2.5, target 1: loss 1.5**2, error 3."""
    params = [
        (jnp.array([[0.5, -1.0]], DTYPE), jnp.array([0.0, 1.0], DTYPE)),
        (jnp.array([[2.0], [-1.0]], DTYPE), jnp.array([0.5], DTYPE)),
    ]
    x, y = jnp.array([[2.0]], DTYPE), jnp.array([[1.0]], DTYPE)
    value, ((dW1, db1), (dW2, db2)) = jaxmlp.value_and_grad(params, x, y)
    assert float(value) == 2.25
    np.testing.assert_array_equal(dW2, [[3.0], [0.0]])
    np.testing.assert_array_equal(db2, [3.0])
    np.testing.assert_array_equal(dW1, [[12.0, 0.0]])
    np.testing.assert_array_equal(db1, [6.0, 0.0])


def test_a_mean_over_two_examples_worked_by_hand():
    """Linear, w = 2, b = 1, x = (1, 3), y = (0, 0): errors (3, 7), half squares (4.5, 24.5)."""
    params = [(jnp.full((1, 1), 2, DTYPE), jnp.ones(1, DTYPE))]
    x, y = jnp.array([[1.0], [3.0]], DTYPE), jnp.zeros((2, 1), DTYPE)
    model = Model(loss="half_squared_error")
    tape = jaxmlp.backward(params, x, y, model)
    np.testing.assert_array_equal(tape.losses, [4.5, 24.5])
    np.testing.assert_array_equal(tape.deltas[0], [[3.0], [7.0]])  # not divided by n
    value, [(dW, db)] = jaxmlp.value_and_grad(params, x, y, model)
    assert (float(value), float(dW[0, 0]), float(db[0])) == (14.5, 12.0, 5.0)
    value, [(dW, db)] = jaxmlp.value_and_grad(params, x, y, model, weights=jnp.array([3.0, 1.0], DTYPE))
    assert (float(value), float(dW[0, 0]), float(db[0])) == (9.5, 7.5, 4.0)


def test_softmax_behind_cross_entropy_is_p_minus_y():
    """The seed 003: dloss_n / dz = p - y, and (P - Y) / m for the batch (eq. 9)."""
    params = random_params((4, 5, 3))
    x, labels = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), DTYPE), jnp.array([0, 1, 2, 2, 1, 0])
    y = jax.nn.one_hot(labels, 3, dtype=DTYPE)
    composed = jaxmlp.backward(params, x, labels, Model("tanh", "softmax", "categorical_cross_entropy"))
    fused = jaxmlp.backward(params, x, labels, Model("tanh", "identity", "softmax_cross_entropy"))
    p = composed.outputs
    assert_close(composed.deltas[-1], p - y)
    assert_close(fused.deltas[-1], p - y)
    dZ = (p - y) / 6
    dW, db = jaxmlp.gradients(composed)[-1]
    assert_close((dW, db), (composed.inputs[-1].T @ dZ, dZ.sum(0)))


# 2. JAX's autodiff


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_equals_autodiff_jitted(problem):
    largest = check_against_autodiff(problem, problem.draw(), jax.jit)
    assert largest > 1e-3  # a gradient of zeros would agree with a gradient of zeros


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_equals_autodiff_eager(problem):
    check_against_autodiff(problem, problem.draw(), lambda f: f)


def check_against_autodiff(problem, draw, transform, **tolerance):
    params, x, y, weights = draw

    def both(params, x, y, weights):
        hand = jaxmlp.value_and_grad(params, x, y, problem.model, weights=weights)
        autodiff = jax.value_and_grad(jaxmlp.loss)(params, x, y, problem.model, weights=weights)
        tape = jaxmlp.backward(params, x, y, problem.model, weights=weights)
        return hand, autodiff, (tape.loss, jaxmlp.gradients(tape))

    hand, autodiff, reading = transform(both)(params, x, y, weights)
    assert type(hand[1]) is problem.kind
    chex.assert_trees_all_equal_shapes_and_dtypes(hand[1], params)
    assert_close(hand, autodiff, **tolerance)
    assert_close(reading, autodiff, **tolerance)
    return max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(autodiff[1]))


@pytest.mark.slow
def test_a_hundred_random_problems_agree_in_float64_to_1e_9():
    rng, largest = np.random.default_rng(0), []
    with jax.enable_x64(True):
        for i in range(100):
            depth = int(rng.integers(1, 6))
            sizes = (*(int(d) for d in rng.integers(1, 9, depth)), int(rng.integers(2, 9)))
            output, loss = PAIRINGS[rng.integers(len(PAIRINGS))]
            hidden = tuple(str(f) for f in rng.choice(HIDDEN, depth - 1))
            kind = (list, tuple)[rng.integers(2)]
            problem = Problem(sizes, Model(hidden, output, loss), int(rng.integers(1, 20)), bool(rng.integers(2)), kind)
            params, x, y, weights = problem.draw(i, jnp.float64)
            hand, autodiff = both(params, x, y, problem.model, weights)
            assert_close(hand, autodiff, rtol=1e-9, atol=1e-12)
            largest.append(max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(autodiff[1])))
    assert np.median(largest) > 1e-2  # a gradient of zeros would agree with a gradient of zeros


@pytest.mark.parametrize("name", HIDDEN)
def test_kinks_and_zeros_follow_autodiff(name):
    """Pre-activations of exactly 0, where relu, leaky_relu and elu have their kinks."""
    params = [(jnp.zeros((2, 3), DTYPE), jnp.zeros(3, DTYPE)), (jnp.ones((3, 1), DTYPE), jnp.ones(1, DTYPE))]
    x, y = jnp.ones((2, 2), DTYPE), jnp.zeros((2, 1), DTYPE)
    model = Model(name)
    assert_close(*both(params, x, y, model))


@pytest.mark.parametrize("loss", ["hinge", "huber"])
def test_kinks_of_losses_follow_autodiff(loss):
    params = [(jnp.ones((1, 1), DTYPE), jnp.zeros(1, DTYPE))]
    x, y = jnp.array([[1.0], [2.0], [-1.0], [0.0]], DTYPE), jnp.array([[1.0], [1.0], [-1.0], [1.0]], DTYPE)
    model = Model(loss=loss)
    assert_close(*both(params, x, y, model))


@pytest.mark.parametrize(
    ("output", "loss"), [("sigmoid", "binary_cross_entropy"), ("softmax", "categorical_cross_entropy")]
)
def test_saturated_probabilities_stay_finite_and_follow_autodiff(output, loss):
    """Logits of +-1e4, wrong and right: probabilities are exactly 0 and 1."""
    params = [(jnp.eye(2, dtype=DTYPE) * 1e4, jnp.zeros(2, DTYPE))]
    x, y = jnp.array([[1.0, -1.0], [1.0, -1.0]], DTYPE), jnp.array([[1.0, 0.0], [0.0, 1.0]], DTYPE)
    model = Model(output=output, loss=loss)
    hand, autodiff = both(params, x, y, model)
    chex.assert_tree_all_finite(hand)
    assert float(hand[0]) > 15
    assert_close(hand, autodiff)


def test_bfloat16_parameters():
    problem = Problem((4, 8, 3), Model("tanh", "identity", "softmax_cross_entropy"), 16, True)
    params, x, y, weights = problem.draw(0, jnp.bfloat16)
    value, grads = jax.jit(jaxmlp.value_and_grad)(params, x, y, problem.model, weights=weights)
    chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, x, weights))
    want = jax.value_and_grad(jaxmlp.loss)(wide[0], wide[1], y, problem.model, weights=wide[2])
    for g, w in zip(jax.tree.leaves((value, grads)), jax.tree.leaves(want), strict=True):
        size = float(jnp.max(jnp.abs(w)))
        np.testing.assert_allclose(g.astype(jnp.float32), w, rtol=0, atol=0.015 * size)  # bfloat16 has 8 bits


# 3. NumPy in float64, which shares no code with the library


@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("n", [7, 40_000])
def test_equals_numpy(output, n):
    """Large batches too: one jax release sums them wrongly, by hand and by autodiff alike."""
    loss = "softmax_cross_entropy" if output == "identity" else "categorical_cross_entropy"
    problem = Problem((5, 16, 8, 3), Model(("tanh", "relu"), output, loss), n, True)
    params, x, y, weights = problem.draw()
    value, grads = jax.jit(jaxmlp.value_and_grad)(params, x, y, problem.model, weights=weights)
    want_value, want = numpy_reference.tanh_relu_softmax_cross_entropy(params, x, y, weights)
    rtol, atol = (1e-10, 1e-13) if X64 else (1e-4, 1e-6)
    np.testing.assert_allclose(value, want_value, rtol=rtol)
    for (dW, db), (want_dW, want_db) in zip(grads, want, strict=True):
        np.testing.assert_allclose(dW, want_dW, rtol=rtol, atol=atol)
        np.testing.assert_allclose(db, want_db, rtol=rtol, atol=atol)


# 4. Finite differences in float64


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "silu", "mish", "softplus", "sine"])
def test_equals_central_differences(activation):
    with jax.enable_x64(True):
        problem = Problem((4, 5, 5, 3), Model(activation, "softmax", "categorical_cross_entropy"), 6, True)
        params, x, y, weights = problem.draw(0, jnp.float64)

        def loss(params):
            return jaxmlp.loss(params, x, y, problem.model, weights=weights)

        def loss_and_vjp(params):
            value, grads = jaxmlp.value_and_grad(params, x, y, problem.model, weights=weights)
            return value, lambda ct: (jax.tree.map(lambda g: ct * g, grads),)

        check_vjp(loss, loss_and_vjp, (params,), atol=1e-7, rtol=1e-7, eps=1e-5)


# 5. Structure


def test_permuting_the_batch_changes_nothing():
    problem = Problem((4, 5, 3), Model("gelu", "identity", "softmax_cross_entropy"), 10, True)
    params, x, y, weights = problem.draw()
    order = np.random.default_rng(1).permutation(10)
    hand = jax.jit(jaxmlp.value_and_grad)
    assert_close(
        hand(params, x[order], y[order], problem.model, weights=weights[order]),
        hand(params, x, y, problem.model, weights=weights),
    )


@pytest.mark.parametrize("loss", ["mean_squared_error", "sum_squared_error"])
def test_a_zero_weight_is_a_removed_example(loss):
    problem = Problem((4, 5, 3), Model("tanh", loss=loss), 6, False)
    params, x, y, _ = problem.draw()
    weights = jnp.array([1, 1, 0, 1, 0, 1], DTYPE)
    kept = np.flatnonzero(weights)
    assert_close(
        jaxmlp.value_and_grad(params, x, y, problem.model, weights=weights),
        jaxmlp.value_and_grad(params, x[kept], y[kept], problem.model),
    )


def test_weights_that_sum_to_zero_give_zero_and_not_nan(transform):
    problem = Problem((4, 5, 3), Model("tanh"), 6, False)
    params, x, y, _ = problem.draw()
    for f in (jaxmlp.value_and_grad, jax.value_and_grad(jaxmlp.loss)):
        result = transform(f)(params, x, y, problem.model, weights=jnp.zeros(6, DTYPE))
        assert all(float(jnp.max(jnp.abs(leaf))) == 0 for leaf in jax.tree.leaves(result))


def test_the_mean_of_one_example_gradients_is_the_batch_gradient():
    problem = Problem((4, 5, 3), Model("silu", "identity", "half_squared_error"), 6, False)
    params, x, y, _ = problem.draw()
    singles = [jaxmlp.value_and_grad(params, x[n : n + 1], y[n : n + 1], problem.model) for n in range(6)]
    mean = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), axis=0), *singles)
    assert_close(mean, jaxmlp.value_and_grad(params, x, y, problem.model))


def test_the_tape_holds_the_forward_pass(transform):
    problem = Problem((4, 5, 5, 3), Model("relu", "softmax", "categorical_cross_entropy"), 6, True, tuple)
    params, x, y, weights = problem.draw()
    tape = transform(jaxmlp.backward)(params, x, y, problem.model, weights=weights)
    np.testing.assert_array_equal(tape.outputs, transform(jaxmlp.forward)(params, x, problem.model))
    np.testing.assert_array_equal(tape.inputs[0], x)
    for l in range(3):
        assert_close(tape.preactivations[l], tape.inputs[l] @ params[l][0] + params[l][1][None, :])
        if l < 2:
            np.testing.assert_array_equal(tape.inputs[l + 1], jnp.maximum(tape.preactivations[l], 0))
    assert_close(jnp.sum(tape.coefficients * tape.losses), tape.loss)
    assert_close(tape.coefficients, weights / weights.sum())
    for field in ("inputs", "preactivations", "deltas"):
        assert type(getattr(tape, field)) is tuple
    chex.assert_shape(tape.deltas, [(6, 5), (6, 5), (6, 3)])


def test_deltas_are_derivatives_of_the_one_example_loss():
    """Nudging z_l[n] is nudging b_l for that example alone: delta_l[n] is that example's db_l."""
    problem = Problem((4, 5, 5, 3), Model("tanh"), 4, True)
    params, x, y, weights = problem.draw()
    tape = jaxmlp.backward(params, x, y, problem.model, weights=weights)
    for n in range(4):
        grads = jax.grad(jaxmlp.loss)(params, x[n : n + 1], y[n : n + 1], problem.model)
        for l in range(3):
            assert_close(tape.deltas[l][n], grads[l][1])


def test_dead_relus_give_exact_zeros():
    params = random_params((4, 5, 3))
    params[0] = (params[0][0], jnp.full(5, -100, DTYPE))
    x, y = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), DTYPE), jnp.ones((6, 3), DTYPE)
    (dW1, db1), (dW2, db2) = jaxmlp.value_and_grad(params, x, y)[1]
    for dead in (dW1, db1, dW2):
        np.testing.assert_array_equal(dead, jnp.zeros_like(dead))
    assert float(jnp.min(jnp.abs(db2))) > 0


def test_an_empty_batch_has_loss_zero_and_an_empty_tape(transform):
    params = random_params((4, 5, 3))
    x, y = jnp.zeros((0, 4), DTYPE), jnp.zeros((0, 3), DTYPE)
    tape = transform(jaxmlp.backward)(params, x, y, Model())
    assert float(tape.loss) == 0
    chex.assert_shape(tape.deltas, [(0, 5), (0, 3)])
    assert all(float(jnp.max(jnp.abs(leaf))) == 0 for leaf in jax.tree.leaves(jaxmlp.gradients(tape)))


def test_vmap_over_networks_equals_the_loop():
    problem = Problem((4, 5, 3), Model("tanh", "identity", "softmax_cross_entropy"), 6, False)
    draws = [problem.draw(seed)[:3] for seed in range(3)]
    params, x, y = jax.tree.map(lambda *leaves: jnp.stack(leaves), *draws)
    many = jax.vmap(lambda p, x, y: jaxmlp.value_and_grad(p, x, y, problem.model))(params, x, y)
    for i, draw in enumerate(draws):
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], many), jaxmlp.value_and_grad(*draw, problem.model))


def test_tapes_pass_through_jit_and_inputs_in_other_dtypes_follow_params():
    params = random_params((4, 5, 3))
    x = np.arange(24, dtype=np.uint8).reshape(6, 4)
    y = np.ones((6, 3), np.int32)
    tape = jax.jit(lambda tape: tape)(jax.jit(jaxmlp.backward)(params, x, y, Model("tanh")))
    assert {leaf.dtype for leaf in jax.tree.leaves(tape)} == {jnp.dtype(DTYPE)}
    want = jaxmlp.value_and_grad(params, x.astype(DTYPE), y.astype(DTYPE), Model("tanh"))
    assert_close((tape.loss, jaxmlp.gradients(tape)), want)


@pytest.mark.parametrize("precision", ["bfloat16", "float32", "highest"])
def test_backward_products_run_at_the_precision_of_the_forward_ones(precision):
    problem = Problem((4, 5, 5, 3), Model("tanh"), 6, False)
    with jax.default_matmul_precision(precision):
        jaxpr = jax.make_jaxpr(jaxmlp.value_and_grad)(*problem.draw()[:3], problem.model)
        forward = jax.make_jaxpr(jaxmlp.forward)(*problem.draw()[:2], problem.model)
    products = [str(e.params["precision"]) for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    (of_forward,) = {str(e.params["precision"]) for e in forward.eqns if e.primitive.name == "dot_general"}
    assert products == [of_forward] * 8  # 3 forward, 2 back, 3 for the weights: none is wasted


# 6. Teeth: mistakes planted on purpose must be caught


def teeth_problem():
    problem = Problem((4, 4, 4, 4), Model("tanh", "identity", "half_squared_error"), 6, True)
    return problem, problem.draw()


def assert_caught(problem, draw, wrong):
    params, x, y, weights = draw
    report = jaxmlp.check_gradients(params, x, y, problem.model, weights=weights, value_and_grad=wrong)
    assert not report.ok
    assert "DISAGREE" in str(report)
    return report


def test_the_checker_passes_what_is_right():
    problem, (params, x, y, weights) = teeth_problem()
    report = jaxmlp.check_gradients(params, x, y, problem.model, weights=weights)
    assert report.ok
    assert report.max_error < 1e-12


def test_teeth_missing_one_over_n():
    problem, draw = teeth_problem()

    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value, jax.tree.map(lambda g: g * x.shape[0], grads)

    assert_caught(problem, draw, wrong)


@pytest.mark.parametrize("leaf", range(6))
def test_teeth_one_leaf_off_by_a_thousandth(leaf):
    problem, draw = teeth_problem()

    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        leaves, structure = jax.tree.flatten(grads)
        leaves[leaf] = leaves[leaf] * 1.001
        return value, jax.tree.unflatten(structure, leaves)

    report = assert_caught(problem, draw, wrong)
    assert [row.error > report.tolerance for row in report.rows] == [i == leaf for i in range(6)]
    assert report.rows[leaf].difference_error > report.tolerance  # finite differences see it too


def test_teeth_untransposed_weights(monkeypatch):
    problem, draw = teeth_problem()
    monkeypatch.setattr(backprop, "dense_vjp_input", lambda W, dz: dz @ W)
    assert_caught(problem, draw, lambda *a, **k: jaxmlp.value_and_grad(*a, **k))


def test_teeth_derivative_taken_at_a():
    problem, draw = teeth_problem()
    wrong = activations.Activation("wrong", jnp.tanh, lambda z: activations.tanh.derivative(jnp.tanh(z)))
    problem = problem._replace(model=Model(wrong, "identity", "half_squared_error"))
    assert_caught(problem, draw, jaxmlp.value_and_grad)


def test_teeth_weights_left_out():
    problem, draw = teeth_problem()
    assert_caught(problem, draw, lambda p, x, y, m, weights: jaxmlp.value_and_grad(p, x, y, m))


def test_teeth_a_dropped_bias_term(monkeypatch):
    problem, draw = teeth_problem()
    right = dense.dense_vjp_params
    monkeypatch.setattr(backprop, "dense_vjp_params", lambda a, dz: (right(a, dz)[0], dz[0]))
    assert_caught(problem, draw, lambda *a, **k: jaxmlp.value_and_grad(*a, **k))


def test_teeth_a_wrong_loss_beside_a_right_gradient():
    problem, draw = teeth_problem()

    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value * 1.001, grads

    assert assert_caught(problem, draw, wrong).loss_error > 5e-4


def test_teeth_nan_is_no_agreement():
    problem, draw = teeth_problem()

    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value, jax.tree.map(lambda g: g * math.nan, grads)

    assert_caught(problem, draw, wrong)
