"""Optimizers: ten-line NumPy references, other libraries' numbers, and good manners in any tree."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, assert_close

from jaxmlp import apply_updates, optimizers, schedules
from jaxmlp.optimizers import (
    adadelta,
    adagrad,
    adam,
    adamw,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    lion,
    nadam,
    rmsprop,
    sgd,
)

TREE = {"a": (jnp.array([1.0, -2.0], DTYPE), jnp.array(3.0, DTYPE)), "b": [jnp.ones((2, 3), DTYPE)]}
MASK = {"a": (True, False), "b": [True]}


def run(optimizer, params, grads, transform=lambda f: f):
    state = optimizer.init(params)
    update = transform(optimizer.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = apply_updates(params, updates)
    return params


# The references: theta moved by 100 gradients, in NumPy's float64, as the papers write it.


def np_sgd(x, grads, lr=0.1, momentum=0.0, nesterov=False):
    """Sutskever et al. 2013, the learning rate outside the velocity."""
    m = np.zeros_like(x)
    for count, g in enumerate(grads):
        m = momentum * m + g
        x = x - (lr(count) if callable(lr) else lr) * (g + momentum * m if nesterov else m)
    return x


def np_adam(x, grads, lr=0.1, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, wd=0.0, nesterov=False):
    """Kingma and Ba 2014, algorithm 1; Loshchilov and Hutter 2017, algorithm 2; Dozat 2016, algorithm 2."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        x = x - (lr(t - 1) if callable(lr) else lr) * (m_hat / (np.sqrt(v_hat + eps_root) + eps) + wd * x)
    return x


def np_rmsprop(x, grads, lr=0.1, decay=0.9, eps=1e-8, start=0.0, inside=True, centered=False, momentum=0.0):
    """Hinton 2012, lecture 6e; centered as Graves 2013, eqs. 38 to 41."""
    v, mean, velocity = np.full_like(x, start), np.zeros_like(x), np.zeros_like(x)
    for g in grads:
        v, mean = decay * v + (1 - decay) * g * g, decay * mean + (1 - decay) * g
        spread = v - mean**2 if centered else v
        velocity = momentum * velocity + lr * g / (np.sqrt(spread + eps) if inside else np.sqrt(spread) + eps)
        x = x - velocity
    return x


def np_adagrad(x, grads, lr=0.1, start=0.1, eps=1e-7):
    """Duchi et al. 2011."""
    s = np.full_like(x, start)
    for g in grads:
        s = s + g * g
        x = x - lr * g / np.sqrt(s + eps)
    return x


def np_adadelta(x, grads, lr=1.0, rho=0.9, eps=1e-6, wd=0.0):
    """Zeiler 2012, algorithm 1."""
    g2 = u2 = np.zeros_like(x)
    for g in grads:
        g = g + wd * x
        g2 = rho * g2 + (1 - rho) * g * g
        u = np.sqrt(u2 + eps) / np.sqrt(g2 + eps) * g
        u2 = rho * u2 + (1 - rho) * u * u
        x = x - lr * u
    return x


def np_lion(x, grads, lr=0.1, b1=0.9, b2=0.99, wd=1e-3):
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(x)
    for g in grads:
        x = x - lr * (np.sign(b1 * m + (1 - b1) * g) + wd * x)
        m = b2 * m + (1 - b2) * g
    return x


def halving(count):
    return 0.1 * 0.5 ** (count / 50) if isinstance(count, int) else 0.1 * 0.5 ** (count.astype(DTYPE) / 50)


REFERENCES = [
    (sgd(0.1), np_sgd, {}),
    (sgd(0.1, 0.9), np_sgd, {"momentum": 0.9}),
    (sgd(0.1, 0.9, nesterov=True), np_sgd, {"momentum": 0.9, "nesterov": True}),
    (sgd(halving, 0.5), np_sgd, {"lr": halving, "momentum": 0.5}),
    (adam(0.1), np_adam, {}),
    (adam(halving, 0.8, 0.95, 1e-3, 1e-2), np_adam,
     {"lr": halving, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "eps_root": 0.01}),
    (adamw(0.1), np_adam, {"wd": 1e-4}),
    (adamw(halving, weight_decay=0.2), np_adam, {"lr": halving, "wd": 0.2}),
    (nadam(0.1), np_adam, {"nesterov": True}),
    (rmsprop(0.1), np_rmsprop, {}),
    (rmsprop(0.1, 0.8, 1e-3, 1.0, eps_in_sqrt=False), np_rmsprop,
     {"decay": 0.8, "eps": 1e-3, "start": 1.0, "inside": False}),
    (rmsprop(0.1, eps=0.01, centered=True, momentum=0.9), np_rmsprop, {"eps": 0.01, "centered": True, "momentum": 0.9}),
    (adagrad(0.1), np_adagrad, {}),
    (adagrad(0.1, 1.0, 1e-2), np_adagrad, {"start": 1.0, "eps": 1e-2}),
    (adadelta(1.0), np_adadelta, {}),
    (adadelta(0.5, 0.8, 1e-3, 0.1), np_adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "wd": 0.1}),
    (lion(0.1), np_lion, {}),
    (lion(0.1, 0.8, 0.7, weight_decay=0.2), np_lion, {"b1": 0.8, "b2": 0.7, "wd": 0.2}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "reference", "numbers"),
    REFERENCES,
    ids=[f"{f.__name__[3:]}-{i}" for i, (_, f, _) in enumerate(REFERENCES)],
)
def test_a_hundred_steps_equal_numpy(optimizer, reference, numbers, transform):
    rng = np.random.default_rng(0)
    x, grads = rng.normal(size=5), rng.normal(size=(100, 5)) * rng.uniform(0.1, 5, (100, 1))
    want = reference(x, grads, **numbers)
    got = run(optimizer, jnp.asarray(x, DTYPE), jnp.asarray(grads, DTYPE), transform)
    np.testing.assert_allclose(got, want, rtol=1e-9 if X64 else 1e-4, atol=1e-10 if X64 else 5e-5)


def test_the_first_step_of_adam_worked_by_hand():
    """m = 0.1 g, v = 0.001 g**2, both divided by the same: the step is the learning rate, whatever the gradient."""
    updates, state = adam(0.5, eps=0.0).update(jnp.array([4.0, -0.01], DTYPE), adam(0.5).init(jnp.zeros(2, DTYPE)))
    np.testing.assert_allclose(updates, [-0.5, 0.5], rtol=1e-5)
    np.testing.assert_allclose(state.m, [0.4, -0.001], rtol=1e-6)
    np.testing.assert_allclose(state.v, [0.016, 1e-7], rtol=1e-6)
    assert int(state.step) == 1


# Keras's own tests, as `x` before each of five updates: ten ones, a gradient of 0.01, then 0.1 ... 1.0.
# Its RMSprop here is centered. Its Nadam lets b1 grow on a schedule, as optax's and ours do not.

KERAS_ROWS = [
    (sgd(0.01, nesterov=True), [[0.9999 - k * 0.01 * g / 10 for g in range(1, 11)] for k in range(4)]),
    (adam(1e-3), [0.999, 0.9982, 0.9974, 0.9965]),
    (rmsprop(1e-3, centered=True, eps=1e-7), [0.9967, 0.9933, 0.9908, 0.9885]),
    (adadelta(1.0, 0.8, 1e-6), [0.9978, 0.9947, 0.9915, 0.9882]),
    (adagrad(0.2, 0.3), [0.9963, [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209]]),
    (lion(1e-3, weight_decay=0.0), [0.999, 0.998, 0.997, 0.996]),
]


@pytest.mark.parametrize(
    ("optimizer", "rows"), KERAS_ROWS, ids=["sgd", "adam", "rmsprop", "adadelta", "adagrad", "lion"]
)
def test_keras_golden_rows(optimizer, rows):
    first, later = jnp.full(10, 0.01, DTYPE), jnp.arange(1, 11, dtype=DTYPE) / 10
    for k, row in enumerate(rows):
        x = run(optimizer, jnp.ones(10, DTYPE), [first] + [later] * k)
        np.testing.assert_allclose(x, np.broadcast_to(row, 10), atol=5e-4)


KERAS_STEPS = [
    (sgd(0.5), [0.5, -1, -0.5, 3]),
    (adam(0.5), [0.5, 1.5, 2.5, 3.5]),
    (lion(0.5, weight_decay=0.0), [0.5, 1.5, 2.5, 3.5]),
    (adamw(0.5, weight_decay=0.004), [0.498, 1.496, 2.494, 3.492]),
    (rmsprop(0.5), [-0.5811, 0.4189, 1.4189, 2.4189]),
    (adagrad(0.5), [0.5233, 1.5007, 2.5005, 3.5061]),
]


@pytest.mark.parametrize(
    ("optimizer", "after"), KERAS_STEPS, ids=["sgd", "adam", "lion", "adamw", "rmsprop", "adagrad"]
)
def test_keras_single_steps(optimizer, after):
    x = run(optimizer, jnp.array([1.0, 2, 3, 4], DTYPE), [jnp.array([1.0, 6, 7, 2], DTYPE)])
    np.testing.assert_allclose(x, after, atol=2e-4)


def test_keras_decoupled_weight_decay():
    """Three decays of 0.4 % with nothing else to do: 2 * 0.996**3."""
    x = run(adamw(1.0, weight_decay=0.004), jnp.full(1, 2.0, DTYPE), [jnp.zeros(1, DTYPE)] * 3)
    np.testing.assert_allclose(x, [1.9760959], rtol=1e-6)


# optax itself, where it is installed: any tree, a hundred steps.


def cosine(module):
    return module.cosine_decay(0.02, 80, 0.1) if module is schedules else module.cosine_decay_schedule(0.02, 80, 0.1)


VARIANTS = [
    ("sgd", lambda s: ((0.01,), {})),
    ("sgd", lambda s: ((cosine(s), 0.9, True), {})),
    ("adam", lambda s: ((0.01,), {})),
    ("adam", lambda s: ((cosine(s), 0.8, 0.99, 1e-3), {"nesterov": True})),
    ("adamw", lambda s: ((0.01,), {})),
    ("adamw", lambda s: ((cosine(s),), {"weight_decay": cosine(s), "mask": lambda params: MASK})),
    ("nadam", lambda s: ((0.01,), {})),
    ("rmsprop", lambda s: ((0.01,), {})),
    ("rmsprop", lambda s: ((0.01,), {"centered": True, "momentum": 0.9})),
    (
        "rmsprop",
        lambda s: ((cosine(s), 0.8, 0.1, 1.0, False), {"momentum": 0.5, "nesterov": True, "bias_correction": True}),
    ),
    ("adagrad", lambda s: ((0.1,), {})),
    ("adadelta", lambda s: ((1.0,), {})),
    ("adadelta", lambda s: ((), {"weight_decay": 0.1, "weight_decay_mask": MASK})),
    ("lion", lambda s: ((0.01,), {})),
    ("lion", lambda s: ((0.01, 0.8, 0.7), {"weight_decay": 0.2, "mask": MASK})),
    ("clip_by_global_norm", lambda s: ((1.0,), {})),
    ("add_decayed_weights", lambda s: ((0.1,), {})),
    ("add_decayed_weights", lambda s: ((cosine(s), MASK), {})),
]


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(VARIANTS)])
def test_a_hundred_steps_equal_optax(name, arguments):
    optax = pytest.importorskip("optax", reason="optax is not installed; jaxmlp does not need it")

    def hundred(module, numbers):
        args, kwargs = arguments(numbers)
        optimizer = getattr(module, name)(*args, **kwargs)

        @jax.jit
        def steps(params, grads):
            def step(carry, g):
                params, state = carry
                updates, state = optimizer.update(g, state, params)
                return (apply_updates(params, updates), state), updates

            return jax.lax.scan(step, (params, optimizer.init(params)), grads)[1]

        return steps

    rng = np.random.default_rng(0)
    grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=(100, *p.shape)) * 2, DTYPE), TREE)
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic needs it
        want = hundred(optax, optax.schedules)(TREE, grads)
    got = hundred(optimizers, schedules)(TREE, grads)
    scheduled = any(map(callable, arguments(schedules)[0]))  # optax's schedules count in float32 under x64 too
    assert_close(got, want, rtol=3e-7 if X64 and scheduled else 1e-12 if X64 else 1e-5, atol=1e-8)


def test_ours_stand_inside_optax_and_optax_inside_ours():
    optax = pytest.importorskip("optax", reason="optax is not installed; jaxmlp does not need it")
    grads = [jax.tree.map(lambda p, i=i: p * (i - 2), TREE) for i in range(5)]
    want = run(chain(clip_by_global_norm(1.0), adam(0.1)), TREE, grads)
    with jax.numpy_dtype_promotion("standard"):
        for mixed in (
            optax.chain(clip_by_global_norm(1.0), adam(0.1)),
            optax.chain(optax.clip_by_global_norm(1.0), adam(0.1)),
            chain(clip_by_global_norm(1.0), optax.adam(0.1)),
        ):
            assert_close(run(mixed, TREE, grads), want, rtol=1e-5, atol=1e-6)


EVERY = {
    "sgd": sgd(0.1),
    "momentum": sgd(0.1, 0.9),
    "adam": adam(0.1),
    "adamw": adamw(0.1),
    "nadam": nadam(0.1),
    "rmsprop": rmsprop(0.1),
    "rmsprop-centered": rmsprop(0.1, centered=True, momentum=0.9, nesterov=True, bias_correction=True),
    "adagrad": adagrad(0.1),
    "adadelta": adadelta(1.0, weight_decay=0.1),
    "lion": lion(0.1),
    "clip": clip_by_global_norm(1.0),
    "decay": add_decayed_weights(0.1),
    "chain": chain(clip_by_global_norm(1.0), add_decayed_weights(0.1), adam(schedules.cosine_decay(0.1, 10))),
}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("optimizer", EVERY.values(), ids=EVERY)
def test_tree_and_dtype_are_kept_and_nothing_is_traced_twice(optimizer, dtype):
    params = jax.tree.map(lambda p: p.astype(dtype), TREE)
    update = jax.jit(chex.assert_max_traces(optimizer.update, n=1))
    state = optimizer.init(params)
    for _ in range(3):
        updates, new_state = update(params, state, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
        chex.assert_tree_all_finite((updates, new_state))
        chex.assert_trees_all_equal_shapes_and_dtypes(apply_updates(params, updates), params)
        state = new_state


@pytest.mark.parametrize("optimizer", EVERY.values(), ids=EVERY)
def test_a_tree_without_leaves(optimizer):
    updates, _ = optimizer.update({}, optimizer.init({}), {})
    assert updates == {}


def test_moments_may_be_kept_in_another_dtype():
    for optimizer in (adam(0.1, mu_dtype=jnp.bfloat16), lion(0.1, mu_dtype=jnp.bfloat16)):
        state = optimizer.init(TREE)
        _, state = optimizer.update(TREE, state, TREE)
        assert {leaf.dtype for leaf in jax.tree.leaves(state.m)} == {jnp.dtype("bfloat16")}
    assert sgd(0.1, 0.9, accumulator_dtype=jnp.bfloat16).init(TREE).velocity["b"][0].dtype == jnp.bfloat16


def test_bfloat16_computes_in_float32():
    """1 - b2 = 0.001 would be 0 in bfloat16, where b2 = 0.999 is 1."""
    x = jnp.ones(3, jnp.bfloat16)
    updates, state = adam(0.5).update(x, adam(0.5).init(x))
    np.testing.assert_allclose(state.v.astype(float), 0.001, rtol=0.01)
    np.testing.assert_allclose(updates.astype(float), -0.5, rtol=0.01)


def test_apply_updates_keeps_the_dtype_of_params():
    new = apply_updates([jnp.ones(2, jnp.bfloat16)], [jnp.ones(2, jnp.bfloat16)])
    assert new[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(new[0].astype(float), [2, 2])


# Learning rates from optax's tests of the same two functions, which ask for the optimum to 1e-2 or so.

PARABOLA = {
    "sgd": sgd(1e-1), "momentum": sgd(1e-2, 0.9), "nesterov": sgd(1e-2, 0.9, nesterov=True), "adam": adam(1e-1),
    "adamw": adamw(1e-1), "nadam": nadam(1e-2),
    "rmsprop": rmsprop(5e-3), "rmsprop-momentum": rmsprop(5e-3, momentum=0.9),
    "adagrad": adagrad(1.0), "adadelta": adadelta(0.1), "lion": lion(1e-3),
}  # fmt: skip


def minimise(optimizer, gradient, start, steps):
    @jax.jit
    def whole(x):
        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(gradient(x), state, x)
            return (apply_updates(x, updates), state), None

        return jax.lax.scan(step, (x, optimizer.init(x)), length=steps)[0][0]

    return whole(jnp.asarray(start, DTYPE))


@pytest.mark.parametrize("name", PARABOLA)
def test_a_parabola_converges(name):
    target = jnp.array([1.0, -1.0, 1.0], DTYPE)
    x = minimise(PARABOLA[name], lambda x: 2 * (x - target), [-1.0, 10.0, 1.0], 20_000)
    np.testing.assert_allclose(x, target, rtol=1e-2, atol=1e-2)


ROSENBROCK = {
    **PARABOLA, "sgd": sgd(1e-3), "momentum": sgd(1e-3, 0.9), "nesterov": sgd(1e-3, 0.9, nesterov=True),
    "adadelta": adadelta(0.1, eps=1e-8), "lion": lion(schedules.cosine_decay(1e-3, 50_000), b2=0.9, weight_decay=0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", ROSENBROCK)
def test_rosenbrock_converges(name):
    """The valley (1 - a)**2 + 100 (b - a**2)**2, its gradient by hand."""

    def gradient(x):
        a, b = x
        return jnp.stack([2 * (a - 1) + 400 * a * (a**2 - b), 200 * (b - a**2)])

    x = minimise(ROSENBROCK[name], gradient, [0.0, 0.0], 50_000)
    np.testing.assert_allclose(x, [1.0, 1.0], atol=2e-2)


SWEEPS = {
    "sgd": lambda lr, other: sgd(lr, other),
    "adam": lambda lr, other: adam(lr, b1=other),
    "adamw": lambda lr, other: adamw(lr, weight_decay=other),
    "nadam": lambda lr, other: nadam(lr, b1=other),
    "rmsprop": lambda lr, other: rmsprop(lr, decay=other),
    "adagrad": lambda lr, other: adagrad(lr, initial_accumulator_value=other),
    "adadelta": lambda lr, other: adadelta(lr, weight_decay=other),
    "lion": lambda lr, other: lion(lr, weight_decay=other),
    "clip": lambda lr, other: chain(clip_by_global_norm(other), sgd(lr)),
    "schedule": lambda lr, other: sgd(schedules.warmup_cosine_decay(lr, other, 2, 4)),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_vmap_over_numbers_equals_the_loop(name):
    grads = [jnp.full(3, 1.0 + i, DTYPE) for i in range(4)]

    def moved(lr, other):
        return run(SWEEPS[name](lr, other), jnp.ones(3, DTYPE), grads)

    lrs, others = jnp.array([0.1, 0.2], DTYPE), jnp.array([0.5, 0.9], DTYPE)
    many = jax.jit(jax.vmap(moved))(lrs, others)
    for i in range(2):
        assert_close(many[i], moved(float(lrs[i]), float(others[i])), rtol=1e-5, atol=1e-5)


def test_the_memory_keeps_no_tracer():
    """A schedule made of a traced rate hashes like any function, but must not outlive the trace."""

    @jax.jit
    def moved(lr):
        return run(
            chain(sgd(schedules.inverse_scaling(lr)), sgd(lambda count: lr)), jnp.ones(3, DTYPE), [jnp.ones(3, DTYPE)]
        )

    with jax.checking_leaks():
        moved(jnp.asarray(0.1, DTYPE))


@pytest.mark.parametrize(
    "name", ["adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "add_decayed_weights"]
)
def test_signatures_are_optaxs(name):
    optax = pytest.importorskip("optax", reason="optax is not installed; jaxmlp does not need it")

    def shape(make):
        return [(p.name, p.kind, p.default) for p in inspect.signature(make).parameters.values()]

    assert shape(getattr(optimizers, name)) == shape(getattr(optax, name))


def test_momentum_zero_is_plain_and_keeps_no_velocity():
    assert sgd(0.1).init(TREE).velocity == ()
    assert sgd(0.1, None).init(TREE).velocity == ()
    grads = [jax.tree.map(lambda p, i=i: p * i, TREE) for i in range(5)]
    traced = jnp.zeros((), DTYPE)  # a traced momentum cannot be known to be 0
    assert_close(run(sgd(0.1, traced), TREE, grads), run(sgd(0.1), TREE, grads))


def test_clipping_is_of_all_leaves_together():
    clip = clip_by_global_norm(5.0)
    clipped, _ = clip.update([jnp.array([6.0], DTYPE), jnp.array([8.0], DTYPE)], ())
    np.testing.assert_allclose(np.concatenate(clipped), [3, 4], rtol=1e-6)
    for short in ([3.0, 4.0], [0.0, 0.0]):
        np.testing.assert_array_equal(clip.update(jnp.array(short, DTYPE), ())[0], short)
    np.testing.assert_array_equal(clip_by_global_norm(0.0).update(jnp.zeros(2, DTYPE), ())[0], [0, 0])
    assert np.all(np.isnan(clip.update(jnp.array([np.nan, 1.0], DTYPE), ())[0]))  # a nan must not pass for short


def test_a_mask_spares_the_biases():
    params = [(jnp.ones((2, 2), DTYPE), jnp.ones(2, DTYPE))] * 2
    zeros = jax.tree.map(jnp.zeros_like, params)
    for mask in (lambda params: [(True, False) for _ in params], [(True, False)] * 2):
        new = run(adamw(0.1, weight_decay=0.5, mask=mask), params, [zeros])
        np.testing.assert_allclose(new[0][0], 0.95, rtol=1e-6)
        np.testing.assert_array_equal(new[0][1], 1.0)
    whole_layers = run(add_decayed_weights(0.5, [True, False]), params, [zeros])  # a prefix of the tree will do
    np.testing.assert_allclose(whole_layers[0][1], 1.5)
    np.testing.assert_array_equal(whole_layers[1][0], 1.0)


@pytest.mark.parametrize(
    "optimizer", [adamw(0.1), lion(0.1), add_decayed_weights(0.1), adadelta(1.0, weight_decay=0.1)]
)
def test_a_decay_without_params_is_refused(optimizer):
    with pytest.raises(ValueError, match=r"update needs the params that decay; got None. Write optimizer.update\("):
        optimizer.update(TREE, optimizer.init(TREE))


def test_the_same_arguments_make_the_same_optimizer():
    assert adam(1e-3) is adam(learning_rate=1e-3)
    assert adam(1e-3) is not adam(1e-4)
    assert sgd(1) is not sgd(1.0)
    assert adam(schedules.cosine_decay(0.1, 10)) is adam(schedules.cosine_decay(0.1, 10))
    assert chain(clip_by_global_norm(1.0), sgd(0.1)) is chain(clip_by_global_norm(1.0), sgd(0.1))
    rate = jnp.array(0.1)
    assert adam(rate) is not adam(rate)  # an array does not hash
    assert adam(lambda count: rate) is not adam(lambda count: rate)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'learning_rate'"):
        adam()


def test_an_optimizer_is_a_pair():
    init, update = sgd(0.1)
    assert isinstance(sgd(0.1), optimizers.Optimizer)
    updates, _ = update(jnp.ones(2, DTYPE), init(jnp.ones(2, DTYPE)))
    np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-6)
