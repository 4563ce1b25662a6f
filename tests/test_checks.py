"""Every message of a wrong call: what was expected, what came, how to mend it."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, assert_close, random_params

import jaxmlp
from jaxmlp import Model, activations, losses, optimizers
from jaxmlp.readings import curvature

PARAMS = random_params((4, 5, 3))
X = jnp.ones((6, 4), DTYPE)
Y = jnp.ones((6, 3), DTYPE)
LABELS = jnp.zeros(6, int)
CLASSES = Model(loss="softmax_cross_entropy")


@pytest.fixture(params=["loss", "value_and_grad", "backward", "check_gradients"])
def compute(request):
    """Whatever takes a batch refuses it alike."""
    return getattr(jaxmlp, request.param)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (jnp.ones((6, 5)), r"x must have shape \(n, 4\) to match params\[0\]; got \(6, 5\)"),
        (jnp.ones((2, 6, 4)), r"x must have shape \(n, 4\) to match params\[0\]; got \(2, 6, 4\)"),
        (jnp.ones(4), r"x must have shape \(n, 4\).*got \(4,\)\. Write x\[None, :\] for a single example"),
        (jnp.ones(()), r"x must have shape \(n, 4\).*got \(\)"),
        (jnp.ones((6, 4), complex), "x must be real numbers; got complex"),
        (np.full((6, 4), "a"), "x must be real numbers; got <U1"),
        (None, r"x must be real numbers; got object\.$"),
        (np.ones((6, 4), object), r"x must be real numbers; got object\. Write np\.asarray\(x, float\)\."),
        ([[1, 2], [3]], "x must be an array; got list of 2 whose rows differ in length"),
    ],
)
def test_inputs(compute, x, message):
    with pytest.raises(ValueError, match=message):
        compute(PARAMS, x, Y)


def test_forward_takes_leading_axes_but_not_another_width():
    assert jaxmlp.forward(PARAMS, jnp.ones((2, 7, 4), DTYPE)).shape == (2, 7, 3)
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 4\) to match params\[0\]; got \(2, 7, 5\)"):
        jaxmlp.forward(PARAMS, jnp.ones((2, 7, 5)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (jnp.ones((6, 2)), r"y must have shape \(6, 3\) to match the outputs; got \(6, 2\)"),
        (jnp.ones((5, 3)), r"y must have shape \(6, 3\) to match the outputs; got \(5, 3\)"),
        (jnp.ones(6), r"y must have shape \(6, 3\) to match the outputs; got \(6,\)"),
        (jnp.ones((6, 3), complex), "y must be real numbers; got complex"),
        (np.full((6, 3), "a"), "y must be real numbers; got <U1"),
    ],
)
def test_targets(compute, y, message):
    with pytest.raises(ValueError, match=message):
        compute(PARAMS, X, y)


@pytest.mark.parametrize("loss", ["mean_squared_error", "sigmoid_cross_entropy", "hinge", "huber", "sum_squared_error"])
def test_flat_targets_against_one_column(compute, loss):
    """The classic: (n,) minus (n, 1) would broadcast to (n, n)."""
    with pytest.raises(ValueError, match=r"y must have shape \(6, 1\).*got \(6,\)\. Write y\[:, None\]"):
        compute(random_params((4, 5, 1)), X, jnp.ones(6), Model(loss=loss))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (jnp.array([0, 1, 2, 3, 0, 0]), r"labels must lie in 0 \.\.\. 2 for 3 outputs; got 0 \.\.\. 3"),
        (np.array([0, 1, 2, -1, 0, 0]), r"labels must lie in 0 \.\.\. 2 for 3 outputs; got -1 \.\.\. 2"),
        (jnp.zeros(6), r"labels must be integers; got float\d\d of shape \(6,\)\. Write y\.astype\(int\)"),
        (jnp.zeros(6, bool), r"labels must be integers; got bool"),
        (jnp.zeros((6, 1), int), r"integer labels of shape \(6,\) or one-hot.*got \(6, 1\)\. Write y\[:, 0\]"),
        (jnp.zeros(5, int), r"integer labels of shape \(6,\) or one-hot rows of shape \(6, 3\); got \(5,\)"),
        (jnp.zeros((6, 2)), r"integer labels of shape \(6,\) or one-hot rows of shape \(6, 3\); got \(6, 2\)"),
    ],
)
def test_labels(compute, y, message):
    with pytest.raises(ValueError, match=message):
        compute(PARAMS, X, y, CLASSES)


def test_labels_that_a_jitted_function_closes_over_are_still_known():
    with pytest.raises(ValueError, match="labels must lie in"):
        jax.jit(lambda p: jaxmlp.loss(p, X, np.full(6, 3), CLASSES))(PARAMS)


def test_weights(compute):
    with pytest.raises(ValueError, match=r"weights must have shape \(6,\), one for each example; got \(5,\)"):
        compute(PARAMS, X, Y, weights=jnp.ones(5))
    with pytest.raises(ValueError, match=r"weights must have shape \(6,\).*got \(6, 1\)"):
        compute(PARAMS, X, Y, weights=jnp.ones((6, 1)))
    with pytest.raises(ValueError, match="weights must be real numbers; got complex"):
        compute(PARAMS, X, Y, weights=jnp.ones(6, complex))
    with pytest.raises(ValueError, match="weights must be real numbers; got <U3"):
        compute(PARAMS, X, Y, weights="abc")


class Table:
    """What NumPy can make an array of, like a table of pandas' or a tensor of torch's."""

    shape, dtype = (6, 4), "a dtype of its own"

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_tables_are_arrays(compute):
    got = compute(PARAMS, Table(X), Table(Y), weights=Table(Y[:, 0]))
    want = compute(PARAMS, X, Y, weights=Y[:, 0])
    if compute is jaxmlp.check_gradients:
        assert got == want
    else:
        assert_close(got, want)
        assert_close(compute(PARAMS, np.asarray(X).tolist(), Y), compute(PARAMS, X, Y))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (0, r"key must be a PRNG key; got int\. Write jax\.random\.key\(0\)"),
        (None, "key must be a PRNG key; got NoneType"),
        (np.ones(2), r"key must be a PRNG key; got ndarray of shape \(2,\)"),
        (np.uint32(0), "key must be a PRNG key; got uint32"),
        (np.ones((3, 2), np.uint32), r"key must be one PRNG key; got keys of shape \(3,\)\. Write key\[0\]"),
    ],
)
def test_keys(key, wrong, message):
    many, data = jax.random.split(key, 3), (PARAMS, X, LABELS, CLASSES)
    calls = [
        lambda key: jaxmlp.init_mlp(key, (3, 1)),
        lambda key: jaxmlp.init_ensemble(key, 2, (3, 1)),
        lambda key: jaxmlp.init_state(PARAMS, optimizers.sgd(0.1), key),
        lambda key: jaxmlp.fit(*data, optimizers.sgd(0.1), key=key, epochs=1, batch_size=2),
    ]
    readings = [  # None has a meaning there
        lambda key: curvature.ggn_diagonal(*data, key=key),
        lambda key: curvature.kfac_factors(*data, fisher="sampled", key=key),
    ]
    for call in calls + readings * (wrong is not None):
        with pytest.raises(ValueError, match=message):
            call(wrong)
        with pytest.raises(ValueError, match=r"key must be one PRNG key; got keys of shape \(3,\)\. Write key\[0\]"):
            call(many)
    old = jax.random.PRNGKey(0)
    assert_close(calls[0](old), calls[0](jax.random.wrap_key_data(old)))


def test_weighted_gradient_sum_wants_one_coefficient_an_example():
    tape = jaxmlp.backward(PARAMS, X, Y)
    with pytest.raises(ValueError, match=r"c must have shape \(6,\), one for each example; got \(3,\)"):
        jaxmlp.weighted_gradient_sum(tape, jnp.ones(3))
    from_numpy = jaxmlp.weighted_gradient_sum(tape, np.arange(6))
    assert_close(from_numpy, jaxmlp.weighted_gradient_sum(tape, jnp.arange(6, dtype=DTYPE)))


W1, B1 = PARAMS[0]
Layer = collections.namedtuple("Layer", "W b")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], r"params must be a non-empty list or tuple of \(W, b\) tuples; got list of 0.*init_mlp"),
        (W1, r"params must be a non-empty list or tuple of \(W, b\) tuples; got .*of shape \(4, 5\)"),
        ({"W": W1}, r"params must be a non-empty list or tuple.*got dict of 1"),
        ((W1, B1), r"params\[0\] must be a tuple \(W, b\); got .*of shape \(4, 5\)"),
        ([[W1, B1]], r"params\[0\] must be a tuple \(W, b\); got list of 2\. Write \[\(W, b\) for W, b in params\]"),
        ([Layer(W1, B1)], r"params\[0\] must be a tuple \(W, b\); got Layer of 2"),
        (Layer((W1, B1), PARAMS[1]), "params must be a non-empty list or tuple"),
        (
            [(W1, B1.astype(jnp.bfloat16))],
            r"one dtype; got float\d\d and, for b of params\[0\], bfloat16\. Write jax.tree.map",
        ),
        ([(W1, B1, B1)], r"params\[0\] must be a tuple \(W, b\); got tuple of 3"),
        ([(W1, 0.0)], r"b of params\[0\] must be a floating-point array; got float"),
        ([(np.ones((4, 5), int), B1)], r"W of params\[0\] must be a floating-point array; got .*int64"),
        ([(W1, B1[:4])], r"params\[0\] must be W \(d_in, d_out\) and b \(d_out,\); got W \(4, 5\) and b \(4,\)"),
        ([(B1, B1)], r"params\[0\] must be W \(d_in, d_out\) and b \(d_out,\); got W \(5,\) and b \(5,\)"),
        ([*PARAMS, *PARAMS], r"params\[2\] must read the 3 outputs of params\[1\]; got W \(4, 5\)"),
    ],
)
def test_params(compute, params, message):
    with pytest.raises(ValueError, match=message):
        compute(params, X, Y)
    with pytest.raises(ValueError, match=message):
        jaxmlp.forward(params, X)
    with pytest.raises(ValueError, match=message):
        jaxmlp.count_params(params)
    with pytest.raises(ValueError, match=message):
        jaxmlp.init_state(params, optimizers.sgd(0.1), jax.random.key(0))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([3], r"sizes must name at least an input and an output width; got \[3\]\. Write e\.g\. \[3, 4, 1\]"),
        ([], r"sizes must name at least an input and an output width; got \[\]"),
        ([3, 0, 1], r"sizes must be positive integers; got 0 in \[3, 0, 1\]"),
        ([3, -2, 1], r"sizes must be positive integers; got -2 in \[3, -2, 1\]"),
        ([3, 4.0, 1], r"sizes must be positive integers; got 4\.0 in \[3, 4\.0, 1\]"),
        ([3, True], r"sizes must be positive integers; got True in \[3, True\]"),
        (["3", 1], r"sizes must be positive integers; got '3'"),
    ],
)
def test_sizes(sizes, message, key):
    with pytest.raises(ValueError, match=message):
        jaxmlp.init_mlp(key, sizes)


def test_init_mlp_dtype_and_initializer(key):
    with pytest.raises(ValueError, match="dtype must be a floating-point one; got int32"):
        jaxmlp.init_mlp(key, (3, 1), dtype=jnp.int32)
    with pytest.raises(ValueError, match=r"unknown initializer 'he'; known are: glorot_normal, .*orthogonal"):
        jaxmlp.init_mlp(key, (3, 1), initializer="he")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "rleu"}, "unknown activation 'rleu'; known are: elu, gelu, .*tanh"),
        ({"activation": ("tanh", "rleu")}, "unknown activation 'rleu'; known are"),
        ({"output": "softmx"}, "unknown activation 'softmx'; known are: .*softmax"),
        ({"loss": "mse"}, "unknown loss 'mse'; known are: binary_cross_entropy, .*mean_squared_error"),
        ({"activation": "softmax"}, r"softmax serves as an output only.*Write Model\(output='softmax'\)"),
        ({"activation": [activations.softmax]}, "softmax serves as an output only"),
        (
            {"loss": "categorical_cross_entropy"},
            "'categorical_cross_entropy' must read probabilities; got output 'identity'. "
            "Write output='softmax', or loss='softmax_cross_entropy'",
        ),
        (
            {"loss": losses.binary_cross_entropy, "output": "tanh"},
            "'binary_cross_entropy' must read probabilities; got output 'tanh'. "
            "Write output='sigmoid', or loss='sigmoid_cross_entropy'",
        ),
    ],
)
def test_models(fields, message):
    with pytest.raises(ValueError, match=message):
        Model(**fields)


@pytest.mark.parametrize(("hidden", "message"), [(("tanh", "relu"), "1 hidden layers; got 2"), ((), "got 0")])
def test_the_number_of_activations(compute, hidden, message):
    with pytest.raises(ValueError, match=rf"activation must name one for each of the {message}" if hidden else message):
        compute(PARAMS, X, Y, Model(hidden))


def test_a_model_of_another_kind(compute):
    with pytest.raises(TypeError, match=r"model must be a Model; got 'tanh'\. Write e\.g\. Model\(activation='tanh'\)"):
        compute(PARAMS, X, Y, "tanh")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"activation": jnp.tanh},
            "activation must be a name, an Activation, or a list of them; got .*tanh.*Activation",
        ),
        ({"activation": None}, "activation must be a name, an Activation, or a list of them; got None"),
        ({"activation": [jnp.tanh]}, "an activation must be a name or an Activation; got .*tanh"),
        ({"output": jax.nn.softmax}, "an activation must be a name or an Activation; got .*softmax"),
        (
            {"loss": ["hinge"]},
            r"loss must be a name or a Loss; got \['hinge'\]\. One's own is Loss\(name, value, gradient\)",
        ),
    ],
)
def test_models_of_wrong_kinds(fields, message):
    with pytest.raises(TypeError, match=message):
        Model(**fields)


def test_ones_own_loss_of_the_wrong_shape(compute):
    """Forgetting the sum would broadcast (n,) against (n, 1)."""
    params, y = random_params((4, 5, 1)), jnp.ones((6, 1), DTYPE)
    for shape, d in ((r"\(1,\)", 1), (r"\(3,\)", 3)):
        params, y = random_params((4, 5, d)), jnp.ones((6, d), DTYPE)
        unsummed = losses.Loss("mine", lambda o, y: jnp.abs(o - y), lambda o, y: jnp.sign(o - y))
        with pytest.raises(
            ValueError,
            match=rf"value of loss 'mine' must have shape \(\) for one example; got shape {shape}\. Sum over",
        ):
            compute(params, X, y, Model(loss=unsummed))
    summed = losses.Loss("mine", lambda o, y: jnp.sum(jnp.abs(o - y)), lambda o, y: jnp.sum(jnp.sign(o - y)))
    if compute is not jaxmlp.loss:
        with pytest.raises(
            ValueError, match=r"gradient of loss 'mine' must have shape \(3,\) for one example; got shape \(\)"
        ):
            compute(PARAMS, X, Y, Model(loss=summed))


def test_ones_own_loss_that_makes_a_tuple(compute):
    pair = losses.Loss("mine", lambda o, y: (jnp.sum(o), o), losses.half_squared_error.gradient)
    with pytest.raises(ValueError, match=r"value of loss 'mine' must have shape \(\) for one example; got tuple"):
        compute(PARAMS, X, Y, Model(loss=pair))


def test_ones_own_activation_may_have_a_constant_slope(compute):
    doubled = activations.Activation("doubled", lambda z: 2 * z, lambda z: 2.0, lambda z: 0)
    linear = [(2 * W, 2 * b) for W, b in PARAMS]
    got = jaxmlp.forward(PARAMS, X, Model(doubled, doubled))
    np.testing.assert_allclose(got, jaxmlp.forward(linear, X, Model("identity")), rtol=1e-5)
    assert jaxmlp.check_gradients(PARAMS, X, Y, Model(doubled)).ok
    np.testing.assert_allclose(activations.tanh(0.5), np.tanh(0.5), rtol=1e-6)
    compute(PARAMS, X, Y, Model(doubled))


def test_ones_own_activation_of_the_wrong_shape(compute):
    """A mean of slopes would be taken for all of them."""
    for d in (0, 1):
        fs = [jnp.tanh, activations.tanh.derivative]
        fs[d] = lambda z: jnp.mean(z, axis=1, keepdims=True)
        part = ("fn", "derivative")[d]
        if d and compute is jaxmlp.loss:  # which reads none
            continue
        with pytest.raises(
            ValueError, match=rf"the {part} of activation 'mine' must have the shape of z, \(6, 5\); got \(6, 1\)"
        ):
            compute(PARAMS, X, Y, Model(activations.Activation("mine", *fs)))


def test_initializers_of_wrong_kinds(key):
    for wrong in (None, 3, jaxmlp.initializers.normal):
        with pytest.raises(
            TypeError, match=r"initializer must be a name or a function \(key, shape, dtype\) -> W; got"
        ):
            jaxmlp.init_mlp(key, (3, 1), initializer=wrong)
    with pytest.raises(ValueError, match=r"the initializer must return W of shape \(3, 4\); got \(4, 3\)"):
        jaxmlp.init_mlp(key, (3, 4), initializer=lambda key, shape, dtype: jnp.zeros(shape[::-1], dtype))
    with pytest.raises(TypeError, match=r"sizes must be a list or tuple of integers; got 5\. Write e\.g\. \[3, 4, 1\]"):
        jaxmlp.init_mlp(key, 5)


def test_reductions_and_missing_derivatives():
    with pytest.raises(ValueError, match="reduction must be one of mean, sum; got 'none'"):
        losses.Loss("mine", jnp.sum, jnp.sum, reduction="none")
    with pytest.raises(ValueError, match="targets must be one of values, classes, binary, signs; got 'class'"):
        losses.Loss("mine", jnp.sum, jnp.sum, targets="class")
    with pytest.raises(ValueError, match="reads must be one of values, probabilities, logits; got 'probs'"):
        losses.Loss("mine", jnp.sum, jnp.sum, reads="probs")
    bare = activations.Activation("bare", jnp.tanh, None)
    with pytest.raises(ValueError, match="activation 'bare' has neither a derivative nor a jacobian_product"):
        jaxmlp.value_and_grad(PARAMS, X, Y, Model(bare))


def test_accuracy_wants_a_loss_that_decides():
    with pytest.raises(
        ValueError, match=r"accuracy needs a loss that decides, one of binary_cross_entropy, .*got 'huber'"
    ):
        jaxmlp.accuracy(PARAMS, X, Y, Model(loss="huber"))


def test_check_gradients_wants_a_gradient_of_the_right_shapes():
    def wrong(params, x, y, model, weights):
        value, grads = jaxmlp.value_and_grad(params, x, y, model, weights=weights)
        return value, [(dW.T, db) for dW, db in grads]

    with pytest.raises(ValueError, match=r"the gradient must have the structure and shapes of params.*\(4, 5\)"):
        jaxmlp.check_gradients(PARAMS, X, Y, value_and_grad=wrong)


def test_check_gradients_wants_concrete_arrays():
    with pytest.raises(ValueError, match="check_gradients needs concrete arrays; got traced ones"):
        jax.jit(lambda x: jaxmlp.check_gradients(PARAMS, x, Y).max_error)(X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": -1}, "epochs must be an integer of at least 0; got -1"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 0; got 1.5"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1; got 0"),
        ({"batch_size": True}, "batch_size must be an integer of at least 1; got True"),
        ({"x": X[:, :3]}, r"x must have shape \(n, 4\)"),
        ({"y": Y[:, :1]}, r"y must have shape \(6, 3\)"),
        ({"x": X[:0], "y": Y[:0]}, r"training needs at least one example; got x of shape \(0, 4\)"),
        ({"y": np.full(6, 3), "model": CLASSES}, r"labels must lie in 0 \.\.\. 2"),
    ],
)
def test_train(change, message):
    optimizer = optimizers.sgd(0.1)
    state = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        jaxmlp.train(
            state, **{"x": X, "y": Y, "model": Model(), "epochs": 1, "batch_size": 2, **change}, optimizer=optimizer
        )


KINDS = [
    ("hinge", np.eye(3), r"y must be -1 or 1 for a loss of signs, such as hinge; got 0\.0\. Write 2 \* y - 1\."),
    ("hinge", np.full((6, 3), 0.5), r"y must be -1 or 1 for a loss of signs, such as hinge; got 0\.5\.$"),
    ("sigmoid_cross_entropy", 2 * np.eye(3) - 1, r"y must lie between 0 and 1 .* got -1\.0\. Write \(y \+ 1\) / 2\."),
    ("sigmoid_cross_entropy", np.full((6, 3), np.nan), r"y must lie between 0 and 1 for a binary loss; got nan\.$"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "y", "message"), KINDS)
def test_targets_of_another_kind_are_refused_where_training_begins(loss, y, message):
    """`loss` itself takes them: only in training are they surely a mistake."""
    y, model, optimizer = np.resize(y, (6, 3)).astype(DTYPE), Model(loss=loss), optimizers.sgd(0.1)
    jaxmlp.loss(PARAMS, X, y, model)
    state, key = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(0)), jax.random.key(1)
    for begin in (
        lambda: jaxmlp.train(state, X, y, model, optimizer, epochs=1, batch_size=2),
        lambda: jaxmlp.make_train_step(model, optimizer)(state, X, y),
        lambda: jaxmlp.fit(PARAMS, X, y, model, optimizer, key=key, epochs=1, batch_size=2),
        lambda: jaxmlp.fit_lbfgs(PARAMS, X, y, model, max_iterations=1),
    ):
        with pytest.raises(ValueError, match=message):
            begin()
    assert not state.params[0][0].is_deleted()


def test_targets_of_the_right_kind_are_taken():
    for loss, y in (("hinge", 2 * np.eye(3) - 1), ("sigmoid_cross_entropy", np.full((6, 3), 0.3))):
        step = jaxmlp.make_train_step(Model(loss=loss), optimizers.sgd(0.1))
        step(jaxmlp.init_state(PARAMS, optimizers.sgd(0.1), jax.random.key(0)), X, np.resize(y, (6, 3)).astype(DTYPE))


def test_train_wants_static_counts():
    optimizer = optimizers.sgd(0.1)
    state = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(0))
    with pytest.raises(
        ValueError,
        match=r"epochs must be static; got a traced value\. Write jax\.jit\(\.\.\., static_argnames='epochs'",
    ):
        jax.jit(lambda epochs: jaxmlp.train(state, X, Y, Model(), optimizer, epochs=epochs, batch_size=2))(3)


def test_a_training_step_refuses_an_empty_batch_and_keeps_the_state():
    optimizer = optimizers.sgd(0.1)
    step = jaxmlp.make_train_step(Model(), optimizer)
    state = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(0))
    with pytest.raises(ValueError, match=r"training needs at least one example; got x of shape \(0, 4\)"):
        step(state, X[:0], Y[:0])
    with pytest.raises(ValueError, match=r"y must have shape \(6, 3\)"):
        step(state, X, Y[:, :2])
    step(state, X, Y)  # nothing was donated


@pytest.mark.parametrize("labels", [np.array([0, 1, 2, 3, 0, 0]), jnp.array([0, 1, 2, 3, 0, 0]), [0, 1, 2, 3, 0, 0]])
def test_a_training_step_sees_the_labels_it_is_given(labels):
    optimizer = optimizers.sgd(0.1)
    step = jaxmlp.make_train_step(CLASSES, optimizer)
    state = jaxmlp.init_state(PARAMS, optimizer, jax.random.key(0))
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 2 for 3 outputs; got 0 \.\.\. 3"):
        step(state, X, labels)
    step(state, np.asarray(X).tolist(), [0, 1, 2, 0, 0, 0])  # lists will do
