"""Steps and whole runs: exact batches, one trace, nobody's arrays eaten, the same bits again."""

import functools

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, Problem, assert_close, random_params

import jaxmlp
from jaxmlp import Model, optimizers
from jaxmlp.training.shuffling import epoch_order

MODEL = Model("tanh", "identity", "softmax_cross_entropy")
PROBLEM = Problem((4, 8, 3), MODEL, 22, False)
PARAMS, X, Y, _ = PROBLEM.draw()
SGD = optimizers.sgd(0.1, momentum=0.9)
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12} if X64 else {"rtol": 1e-4, "atol": 1e-6}


def fresh(optimizer=SGD, seed=0, params=PARAMS):
    return jaxmlp.init_state(params, optimizer, jax.random.key(seed))


def run(state, epochs, batch_size, optimizer=SGD, x=X, y=Y, model=MODEL, **kwargs):
    return jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=batch_size, **kwargs)


def key_data(state):
    return state._replace(key=jax.random.key_data(state.key))


def test_one_step_worked_by_hand():
    """Linear, w = 2, b = 1, x = (1, 3), y = 0, half squares: gradient (12, 5), learning rate 0.1."""
    params = [(jnp.full((1, 1), 2, DTYPE), jnp.ones(1, DTYPE))]
    step = jaxmlp.make_train_step(Model(loss="half_squared_error"), optimizers.sgd(0.1))
    x, y = jnp.array([[1.0], [3.0]], DTYPE), jnp.zeros((2, 1), DTYPE)
    state, loss = step(fresh(optimizers.sgd(0.1), params=params), x, y)
    assert float(loss) == 14.5  # before the update
    np.testing.assert_allclose(state.params[0][0], [[0.8]], rtol=1e-6)
    np.testing.assert_allclose(state.params[0][1], [0.5], rtol=1e-6)
    assert int(state.step) == 1


def test_a_step_is_traced_once_and_donates_only_its_own():
    params = random_params((4, 8, 3))
    step = jaxmlp.make_train_step(MODEL, SGD, value_and_grad=chex.assert_max_traces(jaxmlp.value_and_grad, n=1))
    key = jax.random.key(0)
    first = state = jaxmlp.init_state(params, SGD, key)
    for _ in range(3):
        state, _ = step(state, X, Y)
    assert first.params[0][0].is_deleted()  # donated
    assert not any(leaf.is_deleted() for leaf in [*jax.tree.leaves(params), key])
    assert int(state.step) == 3


def test_a_step_can_be_exported_for_every_platform():
    step = jaxmlp.make_train_step(MODEL, SGD)
    exported = jax.export.export(step, platforms=["cpu", "cuda", "tpu"])(fresh(), X, Y)
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_a_step_weighs_examples():
    step = jaxmlp.make_train_step(MODEL, SGD)
    weights = jnp.asarray(np.arange(22) % 2, DTYPE)
    got, loss = step(fresh(), X, Y, weights)
    want, want_loss = step(fresh(), X[1::2], Y[1::2])
    assert_close((got.params, loss), (want.params, want_loss))
    listed, _ = step(fresh(), X, Y, weights.tolist())
    assert_close(listed.params, got.params)


def test_by_hand_and_by_autodiff_train_alike():
    autodiff = jax.value_and_grad(jaxmlp.loss)
    hand, other = (run(fresh(), 10, 5, value_and_grad=g) for g in (jaxmlp.value_and_grad, autodiff))
    chex.assert_trees_all_close((hand[0].params, hand[1]), (other[0].params, other[1]), **TOLERANCE)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch_size", [5, 11, 22, 100])
def test_train_equals_a_loop_over_exact_batches(batch_size, reduction):
    """22 examples in batches of 5: the last one holds 2, exactly."""
    model = MODEL if reduction == "mean" else Model("tanh", loss="sum_squared_error")
    y = Y if reduction == "mean" else jax.nn.one_hot(Y, 3, dtype=DTYPE)
    optimizer = optimizers.sgd(0.1 if reduction == "mean" else 0.01, momentum=0.9)
    got, losses = run(fresh(optimizer), 3, batch_size, optimizer, y=y, model=model)

    step, state, want_losses = jaxmlp.make_train_step(model, optimizer), fresh(optimizer), []
    for _ in range(3):
        rows = order_seen(state, batch_size)
        batches, sizes = [], []
        for start in range(0, 22, batch_size):
            batch = rows[start : start + batch_size]
            state, loss = step(state, X[batch], y[batch])
            batches.append(float(loss))
            sizes.append(len(batch))
        want_losses.append(np.average(batches, weights=sizes if reduction == "mean" else None))
    chex.assert_trees_all_close(key_data(got), key_data(state), **TOLERANCE)
    np.testing.assert_allclose(losses, want_losses, rtol=TOLERANCE["rtol"])


@pytest.mark.parametrize("batch_size", [5, 11])
def test_without_shuffling_the_examples_come_as_they_are(batch_size):
    first = fresh()
    got, losses = jax.jit(
        lambda state: jaxmlp.train(state, X, Y, MODEL, SGD, epochs=2, batch_size=batch_size, shuffle=False)
    )(first)
    step, state = jaxmlp.make_train_step(MODEL, SGD), fresh()
    for _ in range(2):
        for start in range(0, 22, batch_size):
            state, _ = step(state, X[start : start + batch_size], Y[start : start + batch_size])
    chex.assert_trees_all_close(key_data(got), key_data(state), **TOLERANCE)  # the key too
    fitted = jaxmlp.fit(first.params, X, Y, MODEL, SGD, key=first.key, epochs=2, batch_size=batch_size, shuffle=False)
    chex.assert_trees_all_close(fitted.params, got.params, **TOLERANCE)
    np.testing.assert_allclose(fitted.history["loss"], losses, rtol=TOLERANCE["rtol"])


def order_seen(state, batch_size, n=22):
    """The order of an epoch, seen from outside: targets that name their row, and a gradient that notes them."""
    if batch_size >= n:
        return np.arange(n)
    seen = []

    def spy(params, x, y, model, weights=None):
        keep = np.ones(len(x), np.float32) if weights is None else weights
        jax.debug.callback(lambda x, keep: seen.extend(x[keep > 0, 0].astype(int).tolist()), x, keep, ordered=True)
        return jnp.zeros((), DTYPE), jax.tree.map(jnp.zeros_like, params)

    x = jnp.arange(n, dtype=DTYPE)[:, None] * jnp.ones((1, 4), DTYPE)
    first = fresh()._replace(key=state.key, step=state.step)
    jax.block_until_ready(run(first, 1, batch_size, x=x, value_and_grad=spy))
    jax.effects_barrier()
    return np.array(seen)


def test_every_epoch_visits_each_example_once_in_another_order():
    state, orders = fresh(), []
    for _ in range(3):
        orders.append(order_seen(state, 5))
        state, _ = run(state, 1, 5)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(22))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_the_order_comes_from_the_key_and_the_step_and_the_key_stays():
    state = fresh()
    for _ in range(2):
        np.testing.assert_array_equal(order_seen(state, 5), epoch_order(state.key, state.step, 22))
        state, _ = run(state, 1, 5)
        np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(fresh().key))


def test_ten_and_ten_epochs_are_twenty_bit_for_bit():
    whole, losses = run(fresh(), 20, 5)
    half, first = run(fresh(), 10, 5)
    again, second = run(half, 10, 5)
    chex.assert_trees_all_equal(key_data(again), key_data(whole))
    np.testing.assert_array_equal(np.concatenate([first, second]), losses)
    assert int(whole.step) == 20 * 5


def test_train_is_pure_jits_and_leaves_the_state_given_alone():
    state = fresh()
    before = jax.tree.map(np.array, key_data(state))
    eager = run(state, 5, 5)
    jitted = jax.jit(functools.partial(run, epochs=5, batch_size=5))(state)
    chex.assert_trees_all_equal(jax.tree.map(np.array, key_data(state)), before)
    chex.assert_trees_all_close(eager[0].params, jitted[0].params, **TOLERANCE)
    chex.assert_trees_all_equal(run(state, 5, 5)[1], eager[1])


def test_jit_takes_model_and_optimizer_as_arguments_and_traces_once():
    traced = chex.assert_max_traces(jaxmlp.train, n=1)
    jitted = jax.jit(traced, static_argnames=("optimizer", "epochs", "batch_size"))
    for seed in range(2):
        _, losses = jitted(fresh(seed=seed), X, Y, MODEL, SGD, epochs=3, batch_size=5)
    chex.assert_trees_all_close(losses, run(fresh(seed=1), 3, 5)[1], **TOLERANCE)


def test_vmap_over_seeds_and_learning_rates_equals_the_loop():
    def final_loss(lr, seed):
        optimizer = optimizers.sgd(lr, momentum=0.5)
        state = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(seed))
        return run(state, 4, 5, optimizer)[1]

    lrs, seeds = jnp.array([0.01, 0.1, 0.3], DTYPE), jnp.arange(3)
    many = jax.vmap(final_loss)(lrs, seeds)
    assert many.shape == (3, 4)
    for i in range(3):
        np.testing.assert_allclose(many[i], final_loss(lrs[i], seeds[i]), **TOLERANCE)


def test_with_a_learning_rate_of_zero_the_epoch_mean_is_the_loss():
    """However the batches fall, and though 5 does not divide 22."""
    optimizer = optimizers.sgd(0.0)
    _, losses = run(fresh(optimizer), 3, 5, optimizer)
    np.testing.assert_allclose(losses, [float(jaxmlp.loss(PARAMS, X, Y, MODEL))] * 3, rtol=1e-5)


def test_no_epochs_change_nothing():
    state, losses = run(fresh(), 0, 5)
    assert losses.shape == (0,)
    chex.assert_trees_all_equal(state.params, PARAMS)


def test_tuples_stay_tuples_and_integers_of_numpy_are_integers():
    state = jaxmlp.init_state(tuple(PARAMS), SGD, jax.random.key(0))
    state, _ = run(state, np.int64(2), np.int32(5), x=np.asarray(X, np.float64), y=np.asarray(Y))
    assert type(state.params) is tuple


def test_it_overfits_eight_points():
    optimizer = optimizers.sgd(0.5, momentum=0.9)
    state, losses = run(fresh(optimizer), 300, 8, optimizer, x=X[:8], y=Y[:8])
    assert float(losses[-1]) < 1e-3
    assert float(jaxmlp.accuracy(state.params, X[:8], Y[:8], MODEL)) == 1


def test_an_optimizer_that_keeps_the_params_it_was_given():
    """As optax's lookahead and schedule-free ones do; donation takes no buffer twice."""

    class Anchored:
        init = staticmethod(lambda params: (params, params))
        update = staticmethod(lambda grads, state, params=None: (jax.tree.map(lambda g: -0.1 * g, grads), state))

    params = random_params((4, 8, 3))
    step, state = jaxmlp.make_train_step(MODEL, Anchored), fresh(Anchored, params=params)
    for _ in range(2):
        state, _ = step(state, X, Y)
    assert_close(state.opt_state, (params, params))


def test_optax_optimizers_may_be_passed():
    optax = pytest.importorskip("optax", reason="optax is not installed; jaxmlp does not need it")
    ours, theirs = (run(fresh(o), 4, 5, o) for o in (SGD, optax.sgd(0.1, momentum=0.9)))
    chex.assert_trees_all_close((ours[0].params, ours[1]), (theirs[0].params, theirs[1]), **TOLERANCE)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))
    step, state = jaxmlp.make_train_step(MODEL, adam), fresh(adam)
    losses = []
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic needs it
        for _ in range(120):
            state, loss = step(state, X, Y)
            losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]


def test_any_optimizer_of_that_protocol_will_do():
    """One that knows nothing of ours: it moves against the sign of the gradient."""

    class Signs:
        init = staticmethod(lambda params: ())
        update = staticmethod(
            lambda grads, state, params=None: (jax.tree.map(lambda g: -0.01 * jnp.sign(g), grads), ())
        )

    _, losses = run(fresh(Signs), 30, 11, Signs)
    assert float(losses[-1]) < float(losses[0])
