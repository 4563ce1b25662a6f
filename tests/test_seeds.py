"""Every number of the five teaching documents, as the library computes it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worked_example
from helpers import DTYPE, random_params

import jaxmlp
from jaxmlp import Model, activations, losses


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def test_seed_000_relu_mean_squared_error_and_manual_sgd():
    """Param = param - learning_rate * grad; the gradient itself changes nothing."""
    params = random_params((2, 3, 3, 1))
    x, y = jnp.ones((4, 2), DTYPE), jnp.arange(4, dtype=DTYPE)[:, None]
    before = jax.tree.map(np.array, params)
    value, grads = jaxmlp.value_and_grad(params, x, y, Model("relu", "identity", "mean_squared_error"))
    np.testing.assert_allclose(value, np.mean((np.asarray(jaxmlp.forward(params, x)) - np.asarray(y)) ** 2), rtol=1e-6)
    for p, q in zip(jax.tree.leaves(before), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(p, q)
    optimizer = jaxmlp.optimizers.sgd(0.01)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    moved = jaxmlp.apply_updates(params, updates)
    for p, q, g in zip(*(jax.tree.leaves(tree) for tree in (moved, params, grads)), strict=True):
        np.testing.assert_allclose(p, q - 0.01 * g, rtol=1e-5)
    assert float(jaxmlp.loss(moved, x, y)) < float(value)


def test_seed_001_initialisation():
    """W = randn * 0.01, b = 0; activations between layers, none on the output."""
    params = jaxmlp.init_mlp(jax.random.key(0), (100, 80, 1), initializer=jaxmlp.initializers.normal(0.01))
    np.testing.assert_allclose(np.std(params[0][0]), 0.01, rtol=0.05)
    assert not np.any(params[0][1])
    names = [f.name for f in Model("relu").layer_activations(3)]
    assert names == ["relu", "relu", "identity"]


def test_seed_002_worked_example_forward_and_backward():
    """Z1 = (.5, .6) is right; z2, the output, the loss and the new weights are not as printed there."""
    a1 = [sigmoid(0.5), sigmoid(0.6)]
    z2 = 0.4 * a1[0] + 0.45 * a1[1] + 0.6
    output = sigmoid(z2)
    d2 = output * output * (1 - output)
    d1 = [d2 * w * a * (1 - a) for w, a in zip((0.4, 0.45), a1, strict=True)]
    want = {
        "z1": [0.5, 0.6],
        "a1": a1,
        "z2": [z2],
        "output": [output],
        "loss": [output**2 / 2],
        "delta2": [d2],
        "delta1": d1,
        "dW2": [d2 * a for a in a1],
        "db2": [d2],
        "dW1": d1,
        "db1": d1,
        "new W2": [0.4 - 0.5 * d2 * a1[0], 0.45 - 0.5 * d2 * a1[1]],
        "new b2": [0.6 - 0.5 * d2],
        "new W1": [0.15 - 0.5 * d1[0], 0.25 - 0.5 * d1[1]],
        "new b1": [0.35 - 0.5 * d1[0], 0.35 - 0.5 * d1[1]],
    }
    with jax.enable_x64(True):
        got = worked_example.one_step()
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-12, err_msg=name)
    # to four places, as one would correct the document
    right = {
        "z2": [1.1395],
        "output": [0.7576],
        "loss": [0.2870],
        "new W2": [0.3567, 0.4051],
        "new W1": [0.1435, 0.2428],
    }
    for name, value in right.items():
        np.testing.assert_allclose(got[name], value, atol=5e-5)
        assert worked_example.slips(got[name], worked_example.PRINTED[name])
    for name in ("z1", "a1", "delta2", "delta1"):  # what the document has right
        assert not worked_example.slips(got[name], worked_example.PRINTED[name])


def test_seed_002_training_for_500_epochs():
    """Against the same loop in plain Python."""
    (w1, b1), (w2, b2) = (([0.15, 0.25], [0.35, 0.35]), ([0.4, 0.45], 0.6))
    want = []
    for _ in range(500):
        a = [sigmoid(w + b) for w, b in zip(w1, b1, strict=True)]
        o = sigmoid(sum(w * v for w, v in zip(w2, a, strict=True)) + b2)
        want.append(o**2)
        d2 = 2 * o * o * (1 - o)
        d1 = [d2 * w * v * (1 - v) for w, v in zip(w2, a, strict=True)]
        w2, b2 = [w - 0.5 * d2 * v for w, v in zip(w2, a, strict=True)], b2 - 0.5 * d2
        w1, b1 = ([p - 0.5 * d for p, d in zip(q, d1, strict=True)] for q in (w1, b1))
    a = [sigmoid(w + b) for w, b in zip(w1, b1, strict=True)]
    prediction = sigmoid(sum(w * v for w, v in zip(w2, a, strict=True)) + b2)
    with jax.enable_x64(True):
        losses, got = worked_example.train()
    np.testing.assert_allclose(losses, want, rtol=1e-10)
    np.testing.assert_allclose(got, prediction, rtol=1e-10)
    assert got < 0.03  # the document's run, from another start, ends at 0.0267


def test_seed_002_graph():
    """W = 1.5, x = 2, t = 5: y = 3, loss 2, gradient (y - t) x = -4."""
    assert worked_example.graph() == (3.0, 2.0, -4.0)


def test_seed_002_error_recursion():
    """delta_l = (delta_{l+1} W_{l+1}) sigma'(z_l), in this library's orientation delta_{l+1} W_{l+1}^T."""
    params = random_params((3, 4, 4, 2))
    x, y = jnp.ones((5, 3), DTYPE), jnp.zeros((5, 2), DTYPE)
    tape = jaxmlp.backward(params, x, y, Model("sigmoid", "sigmoid", "half_squared_error"))
    for l in (0, 1):
        s = activations.sigmoid(tape.preactivations[l])
        want = tape.deltas[l + 1] @ params[l + 1][0].T * s * (1 - s)
        np.testing.assert_allclose(tape.deltas[l], want, rtol=1e-5, atol=1e-8)
    s = tape.outputs
    np.testing.assert_allclose(tape.deltas[2], (s - y) * s * (1 - s), rtol=1e-5, atol=1e-8)


def test_seed_003_derivatives():
    """Tanh: 1 - a**2. Sigmoid: at most 0.25. Binary cross-entropy: (a - y) / (a (1 - a))."""
    z = jnp.linspace(-4, 4, 81, dtype=DTYPE)
    a = jnp.tanh(z)
    np.testing.assert_allclose(activations.tanh.derivative(z), 1 - a**2, rtol=1e-6)
    slope = activations.sigmoid.derivative(z)
    assert float(jnp.max(slope)) == float(slope[40]) == 0.25
    p, y = jnp.array([0.2, 0.7, 0.9], DTYPE), jnp.array([0.0, 1.0, 0.0], DTYPE)
    np.testing.assert_allclose(losses.binary_cross_entropy.gradient(p, y), (p - y) / (p * (1 - p)), rtol=1e-5)


def test_seed_003_three_layer_algorithm():
    """The document's batch formulas, line by line, for tanh, tanh, softmax."""
    (W1, b1), (W2, b2), (W3, b3) = params = random_params((4, 6, 5, 3))
    X = jnp.asarray(np.random.default_rng(0).normal(size=(7, 4)), DTYPE)
    labels = jnp.array([0, 1, 2, 0, 1, 2, 0])
    m, Y = 7, jax.nn.one_hot(labels, 3, dtype=DTYPE)
    A1 = jnp.tanh(X @ W1 + b1[None, :])
    A2 = jnp.tanh(A1 @ W2 + b2[None, :])
    P = jax.nn.softmax(A2 @ W3 + b3[None, :])
    dZ3 = (P - Y) / m
    dZ2 = (dZ3 @ W3.T) * (1 - A2**2)
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    want = [(A.T @ dZ, dZ.sum(0)) for A, dZ in ((X, dZ1), (A1, dZ2), (A2, dZ3))]
    for output, loss in (("softmax", "categorical_cross_entropy"), ("identity", "softmax_cross_entropy")):
        _, got = jaxmlp.value_and_grad(params, X, labels, Model("tanh", output, loss))
        for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6)


def test_seed_003_xavier_variance():
    """W ~ N(0, 1 / n_in), which this library calls lecun_normal."""
    W = jaxmlp.initializers.lecun_normal(jax.random.key(0), (400, 100))
    np.testing.assert_allclose(np.var(W), 1 / 400, rtol=0.05)


def test_seed_003_vanishing_gradients():
    """Deep sigmoid networks: each layer shrinks the error by a quarter of its weights' norm, or more."""
    params = jaxmlp.init_mlp(jax.random.key(0), (8,) + (8,) * 12 + (1,), initializer="lecun_normal", dtype=DTYPE)
    x, y = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)), DTYPE), jnp.zeros((16, 1), DTYPE)
    tape = jaxmlp.backward(params, x, y, Model("sigmoid"))
    sizes = [float(jnp.linalg.norm(d)) for d in tape.deltas]
    for l in range(12):
        assert sizes[l] <= 0.25 * float(jnp.linalg.norm(params[l + 1][0], 2)) * sizes[l + 1] * 1.001
    assert sizes[0] < 1e-4 * sizes[-1]


def test_seed_004_counts_41_parameters():
    assert jaxmlp.count_params(jaxmlp.init_mlp(jax.random.key(0), (3, 4, 4, 1))) == 41


def test_seed_004_neuron_and_loss():
    """Output = tanh(w x + b); loss = sum of (prediction - target)**2, over outputs and examples."""
    params = [(jnp.array([[0.5], [-1.0]], DTYPE), jnp.array([0.25], DTYPE))]
    x, y = jnp.array([[1.0, 2.0], [3.0, 0.5]], DTYPE), jnp.array([[1.0], [-1.0]], DTYPE)
    model = Model("tanh", "tanh", "sum_squared_error")
    a = [math.tanh(0.5 - 2 + 0.25), math.tanh(1.5 - 0.5 + 0.25)]
    np.testing.assert_allclose(jaxmlp.forward(params, x, model)[:, 0], a, rtol=1e-6)
    np.testing.assert_allclose(jaxmlp.loss(params, x, y, model), (a[0] - 1) ** 2 + (a[1] + 1) ** 2, rtol=1e-6)


@pytest.mark.parametrize("epochs", [200])
def test_seed_004_nudging_lowers_the_loss(epochs):
    params = jaxmlp.init_mlp(jax.random.key(0), (3, 4, 4, 1), initializer="lecun_normal", dtype=DTYPE)
    x = jnp.array([[2, 3, -1], [3, -1, 0.5], [0.5, 1, 1], [1, 1, -1]], DTYPE)
    y = jnp.array([[1], [-1], [-1], [1]], DTYPE)
    model, optimizer = Model("tanh", "tanh", "sum_squared_error"), jaxmlp.optimizers.sgd(0.05)
    state = jaxmlp.init_state(params, optimizer, jax.random.key(0))
    state, losses = jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=4)
    assert float(losses[-1]) < 0.1 < float(losses[0])
    np.testing.assert_array_equal(np.sign(jaxmlp.forward(state.params, x, model)), y)
