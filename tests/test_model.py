"""Models as values, the forward pass, the loss and the accuracy."""

import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, PAIRINGS, Problem, assert_close, random_params

import jaxmlp
from jaxmlp import Model, activations, losses


def test_forward_worked_by_hand(transform):
    params = [
        (jnp.array([[1.0, -1.0], [2.0, 0.5]], DTYPE), jnp.array([0.0, 1.0], DTYPE)),
        (jnp.array([[1.0], [-2.0]], DTYPE), jnp.array([3.0], DTYPE)),
    ]
    x = jnp.array([[1.0, 2.0], [-1.0, 0.0]], DTYPE)  # z = (5, 1), (-1, 2); relu (5, 1), (0, 2)
    np.testing.assert_array_equal(transform(jaxmlp.forward)(params, x), [[6.0], [-1.0]])
    sigmoid = transform(jaxmlp.forward)(params, x, Model(output="sigmoid"))
    np.testing.assert_allclose(sigmoid, [[1 / (1 + np.exp(-6.0))], [1 / (1 + np.exp(1.0))]], rtol=1e-6)


def test_leading_axes_and_a_batch_of_one():
    params, x = random_params((4, 5, 3)), jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4)), DTYPE)
    outputs = jaxmlp.forward(params, x, Model("tanh"))
    chex.assert_shape(outputs, (2, 6, 3))
    assert_close(outputs[1, 3:4], jaxmlp.forward(params, x[1, 3:4], Model("tanh")))
    assert_close(outputs[1, 3], jaxmlp.forward(params, x[1, 3], Model("tanh")))


def test_renaming_hidden_units_changes_nothing():
    (W1, b1), (W2, b2) = random_params((4, 5, 3))
    x, order = jnp.ones((2, 4), DTYPE), np.array([3, 0, 4, 2, 1])
    renamed = [(W1[:, order], b1[order]), (W2[order], b2)]
    assert_close(jaxmlp.forward(renamed, x, Model("gelu")), jaxmlp.forward([(W1, b1), (W2, b2)], x, Model("gelu")))


def test_each_hidden_layer_may_have_its_own_activation():
    params, x = random_params((4, 5, 5, 3)), jnp.ones((2, 4), DTYPE)
    (W1, b1), (W2, b2), (W3, b3) = [tuple(map(np.asarray, layer)) for layer in params]
    want = np.maximum(np.tanh(np.asarray(x) @ W1 + b1) @ W2 + b2, 0) @ W3 + b3
    got = jaxmlp.forward(params, x, Model(["tanh", activations.relu]))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_deep_linear_network_is_one_matrix():
    params, x = random_params((4, 5, 6, 3)), jnp.eye(4, dtype=DTYPE)
    bare = [(W, jnp.zeros_like(b)) for W, b in params]
    product = params[0][0] @ params[1][0] @ params[2][0]
    assert_close(jaxmlp.forward(bare, x, Model("identity")), product, rtol=1e-5)


def test_count_params():
    assert jaxmlp.count_params(jaxmlp.init_mlp(jax.random.key(0), (3, 4, 4, 1))) == 41
    assert jaxmlp.count_params(tuple(random_params((64, 100, 10)))) == 64 * 100 + 100 + 100 * 10 + 10


@pytest.mark.parametrize(("output", "loss"), PAIRINGS)
def test_loss_is_the_weighted_mean_of_one_example_losses(output, loss, transform):
    problem = Problem((4, 5, 3), Model("tanh", output, loss), 6, True)
    params, x, y, w = problem.draw()
    single = [float(jaxmlp.loss(params, x[n : n + 1], y[n : n + 1], problem.model)) for n in range(6)]
    total = float(np.dot(single, w))
    want = total if losses.KNOWN[loss].reduction == "sum" else total / float(w.sum())
    got = transform(jaxmlp.loss)(params, x, y, problem.model, weights=w)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_integer_labels_are_one_hot_rows():
    model, params = Model(loss="softmax_cross_entropy"), random_params((4, 5, 3))
    x, labels = jnp.ones((3, 4), DTYPE), np.array([2, 0, 1])
    hot = np.eye(3)[labels]
    want = jaxmlp.loss(params, x, labels, model)
    for y in (hot, hot.astype(int), hot.astype(np.float32), list(labels), labels.astype(np.uint8)):
        np.testing.assert_allclose(jaxmlp.loss(params, x, y, model), want, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int64", "uint32"])
def test_small_label_dtypes_do_not_wrap_among_many_classes(dtype):
    """jax.nn.one_hot counts the classes in the labels' own dtype."""
    params, model = random_params((3, 300)), Model(loss="softmax_cross_entropy")
    x, y = np.ones((4, 3)), np.array([0, 5, 43, 100])
    assert_close(jaxmlp.loss(params, x, y.astype(dtype), model), jaxmlp.loss(params, x, np.eye(300)[y], model))


def as_outputs(outputs):
    """A network that hands its inputs on."""
    d = outputs.shape[1]
    return [(jnp.eye(d, dtype=DTYPE), jnp.zeros(d, DTYPE))], jnp.asarray(outputs, DTYPE)


@pytest.mark.parametrize(
    ("loss", "output", "outputs", "y", "want"),
    [
        ("softmax_cross_entropy", "identity", [[1, 3, 2], [5, 1, 1], [0, 1, 2], [2, 0, 0]], [1, 1, 2, 0], 0.75),
        ("categorical_cross_entropy", "softmax", [[1, 3, 2], [5, 1, 1]], [[0, 1, 0], [0, 0, 1]], 0.5),
        ("sigmoid_cross_entropy", "identity", [[0.4], [-0.2], [3], [0.1]], [[1], [0], [0], [1]], 0.75),
        ("binary_cross_entropy", "sigmoid", [[0.4], [-0.2], [3], [0.1]], [[1], [0], [0], [1]], 0.75),
        ("sigmoid_cross_entropy", "identity", [[1, -1], [1, 1]], [[1, 0], [1, 0]], 0.5),  # all outputs must be right
        ("hinge", "identity", [[0.4], [-0.2], [3], [-7]], [[1], [-1], [-1], [-1]], 0.75),
    ],
)
def test_accuracy(loss, output, outputs, y, want, transform):
    params, x = as_outputs(np.array(outputs, float))
    got = transform(jaxmlp.accuracy)(params, x, np.array(y), Model(output=output, loss=loss))
    assert got.shape == ()
    assert float(got) == want


def test_nan_outputs_are_never_correct():
    for output, loss, y in (
        ("identity", "softmax_cross_entropy", np.array([0])),
        ("identity", "sigmoid_cross_entropy", np.array([[0.0, 0.0]])),
        ("identity", "hinge", np.array([[-1.0, -1.0]])),
    ):
        params, x = as_outputs(np.array([[np.nan, 0.0]]))
        assert float(jaxmlp.accuracy(params, x, y, Model(output=output, loss=loss))) == 0


def test_models_are_values():
    by_name = Model("tanh", "softmax", "categorical_cross_entropy")
    by_object = Model(activations.tanh, activations.softmax, losses.categorical_cross_entropy)
    assert by_name == by_object
    assert hash(by_name) == hash(by_object)
    assert by_name != Model("tanh", "sigmoid", "categorical_cross_entropy")
    assert Model(["tanh", "relu"]) == Model(("tanh", activations.relu)) != Model("tanh")
    assert (by_name.activation, by_name.output, by_name.loss) == ("tanh", "softmax", "categorical_cross_entropy")
    with pytest.raises(AttributeError, match="cannot assign"):
        by_name.loss = "hinge"
    for model in (
        by_name,
        by_object,
        Model(("tanh", activations.gelu)),
        *(Model(f) for f in activations.KNOWN if f != "softmax"),
    ):
        assert pickle.loads(pickle.dumps(model)) == model


def test_models_are_static():
    """No leaves, so jit takes them as they are, and equal models share one trace."""
    assert jax.tree.leaves(Model()) == []
    traced = jax.jit(chex.assert_max_traces(jaxmlp.loss, n=1))
    params, x, y = random_params((4, 5, 3)), jnp.ones((2, 4), DTYPE), jnp.ones((2, 3), DTYPE)
    for model in (Model("tanh"), Model(activations.tanh), Model(activation="tanh")):
        traced(params, x, y, model)


def test_ones_own_activation_and_loss():
    cube = activations.Activation("cube", lambda z: z**3, lambda z: 3 * z**2)
    quartic = losses.Loss("quartic", lambda o, y: jnp.sum((o - y) ** 4), lambda o, y: 4 * (o - y) ** 3)
    model = Model(cube, "identity", quartic)
    params, x, y, _ = Problem((4, 5, 3), model, 6, False).draw()
    assert jaxmlp.check_gradients(params, x, y, model).ok
    assert_close(jaxmlp.value_and_grad(params, x, y, model), jax.value_and_grad(jaxmlp.loss)(params, x, y, model))
