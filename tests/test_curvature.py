"""Curvature: against jax.hessian and Jacobians, and in the identities that it must obey."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, HIDDEN, PAIRINGS, X64, Problem, assert_close, random_params
from jax.flatten_util import ravel_pytree

import jaxmlp
from jaxmlp import Model, losses
from jaxmlp.activations import Activation
from jaxmlp.readings import curvature

SIZES = (3, 4, 4, 2)
PROBLEMS = [
    Problem(SIZES, Model(HIDDEN[(5 * i + 3) % len(HIDDEN)], *pair), 5, bool(i % 2), (list, tuple)[i % 2])
    for i, pair in enumerate(PAIRINGS)
] + [Problem((3, 2), Model("relu", "softmax", "categorical_cross_entropy"), 4, True)]
assert {p.model.activation for p in PROBLEMS} >= set(HIDDEN)


def close(got, want, rtol=None):
    want = np.asarray(want)
    rtol = (1e-9 if X64 else 5e-4) if rtol is None else rtol
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.max(np.abs(want), initial=1e-3))


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def one_hot(problem, y, dtype):
    return y if y.ndim == 2 else jax.nn.one_hot(y, problem.sizes[-1], dtype=dtype)


def dense_matrices(problem, params, x, y, weights):
    """By JAX's own transforms: Hessian, GGN and Jacobians J (n, d_L, P), in one compiled program."""
    model, loss = problem.model, problem.model.loss_function
    vector, unravel = ravel_pytree(params)
    tape = jaxmlp.backward(params, x, y, model, weights=weights)

    @jax.jit
    def matrices(vector, x, y, outputs, c):
        hessian = jax.hessian(lambda p: jaxmlp.loss(unravel(p), x, y, model, weights=weights))(vector)
        J = jax.vmap(jax.jacrev(lambda p, x: jaxmlp.forward(unravel(p), x, model)), in_axes=(None, 0))(vector, x)
        H = jax.vmap(jax.hessian(loss.value))(outputs, one_hot(problem, y, x.dtype))
        return hessian, jnp.einsum("n,nip,nij,njq->pq", c, J, H, J), J

    return matrices(vector, x, y, tape.outputs, tape.coefficients)


# The table is there for the mathematics: in float32 a few are enough, and in float64 most are left to the slow tests.
SOME = [pytest.param(p, marks=[pytest.mark.slow] * (i % 6 < 5)) for i, p in enumerate(PROBLEMS) if X64 or i % 6 == 5]


@pytest.mark.parametrize("problem", SOME, ids=str)
def test_every_reading_against_explicit_matrices(problem):
    params, x, y, weights = problem.draw()
    model = problem.model
    hessian, ggn, J = dense_matrices(problem, params, x, y, weights)
    vector = problem.kind(random_params(problem.sizes, 9))
    batch = functools.partial(jax.tree_util.Partial, params=params, x=x, y=y, model=model, weights=weights)

    for reading, matrix in ((curvature.hessian_vector_product, hessian), (curvature.ggn_vector_product, ggn)):
        got = batch(reading)(vector=vector)
        assert jax.tree.structure(got) == jax.tree.structure(params)
        close(flat(got), matrix @ flat(vector))
    close(flat(batch(curvature.hessian_diagonal)()), np.diagonal(hessian))
    close(flat(batch(curvature.ggn_diagonal)()), np.diagonal(ggn))
    close(curvature.empirical_ntk(params, x, x[:3], model), jnp.einsum("nip,mjp->nmij", J, J[:3]))

    @jax.jit
    def laplacian(x):
        hessians = jax.vmap(jax.hessian(lambda x: jaxmlp.forward(params, x, model)))(x)
        return jnp.trace(hessians, axis1=2, axis2=3)

    close(curvature.input_laplacian(params, x, model), laplacian(x))


def test_numbers_by_hand():
    """One weight, one bias, half the squared error, x = 2 and 0: H = mean of [[x x, x], [x, 1]] = [[2, 1], [1, 1]]."""
    params = [(jnp.array([[3.0]], DTYPE), jnp.array([1.0], DTYPE))]
    x, y = jnp.array([[2.0], [0.0]], DTYPE), jnp.zeros((2, 1), DTYPE)
    model = Model(loss="half_squared_error")
    vector = [(jnp.array([[5.0]], DTYPE), jnp.array([7.0], DTYPE))]
    for product in (curvature.hessian_vector_product, curvature.ggn_vector_product):
        close(flat(product(params, x, y, vector, model)), [17, 12])
    for diagonal in (curvature.hessian_diagonal, curvature.ggn_diagonal):
        close(flat(diagonal(params, x, y, model)), [2, 1])
    ((A, G),) = curvature.kfac_factors(params, x, y, model)
    close(A, [[2, 1], [1, 1]])
    close(G, [[1]])
    ((_, G),) = curvature.kfac_factors(params, x, y, model, fisher="empirical")
    close(G, [[(49 + 1) / 2]])
    close(curvature.empirical_ntk(params, x, x, model)[:, :, 0, 0], [[5, 1], [1, 1]])
    wave = [(jnp.array([[3.0], [4.0]], DTYPE), jnp.array([0.5], DTYPE))]  # sin(3 x + 4 y + 0.5): -25 sin
    point = jnp.array([[0.1, 0.2]], DTYPE)
    close(curvature.input_laplacian(wave, point, Model(output="sine")), [[-25 * np.sin(1.6)]])


CLASSES = Problem(SIZES, Model("silu", "identity", "softmax_cross_entropy"), 6, True)


def test_products_are_symmetric_linear_and_of_the_right_sign():
    params, x, y, weights = CLASSES.draw()
    u, v = (random_params(SIZES, seed) for seed in (1, 2))
    for product in (curvature.hessian_vector_product, curvature.ggn_vector_product):
        at = jax.jit(lambda v, product=product: product(params, x, y, v, CLASSES.model, weights=weights))
        Hu, Hv = at(u), at(v)
        close(flat(u) @ flat(Hv), flat(v) @ flat(Hu))
        both = jax.tree.map(lambda a, b: 2 * a - 3 * b, u, v)
        close(flat(at(both)), 2 * flat(Hu) - 3 * flat(Hv))
    assert flat(u) @ flat(curvature.ggn_vector_product(params, x, y, u, CLASSES.model)) > 0


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_piecewise_linear_networks_have_the_diagonal_of_their_ggn(activation):
    problem = Problem(SIZES, Model(activation, "identity", "softmax_cross_entropy"), 6, True)
    params, x, y, weights = problem.draw()
    exact = curvature.hessian_diagonal(params, x, y, problem.model, weights=weights)
    close(flat(exact), flat(curvature.ggn_diagonal(params, x, y, problem.model, weights=weights)))


def test_the_trace_by_the_diagonal_and_by_the_kernel():
    """tr(GGN) = sum_n c_n tr(H_n K[n, n]); under half the squared error H_n is the identity."""
    problem = Problem(SIZES, Model("gelu", "identity", "half_squared_error"), 6, True)
    params, x, y, weights = problem.draw()
    c = jaxmlp.backward(params, x, y, problem.model, weights=weights).coefficients
    kernel = curvature.empirical_ntk(params, x, x, problem.model)
    by_kernel = sum(float(c[n]) * np.trace(kernel[n, n]) for n in range(len(x)))
    close(flat(curvature.ggn_diagonal(params, x, y, problem.model, weights=weights)).sum(), by_kernel)


def blocks(matrix, params):
    """The diagonal block of each layer, W's rows and under them b."""
    start, found = 0, []
    for W, b in params:
        stop = start + W.size + b.size
        found.append(matrix[start:stop, start:stop])
        start = stop
    return found


@pytest.mark.parametrize(
    "problem",
    [
        Problem((4, 5, 3), Model("tanh", "identity", "softmax_cross_entropy"), 1, False),
        Problem((4, 5, 3), Model("relu", "sigmoid", "binary_cross_entropy"), 1, True),
        Problem((4, 5, 3), Model("gelu", "softmax", "categorical_cross_entropy"), 1, False),
        Problem((4, 3, 3, 2), Model("identity", "identity", "mean_squared_error"), 7, True),
        Problem((4, 3, 3, 2), Model("identity", "identity", "sum_squared_error"), 7, True),
        Problem((4, 3, 3, 2), Model("identity", "identity", "sum_squared_error"), 7, False),
    ],
    ids=str,
)
def test_kfac_is_the_block_for_one_datum_and_for_linear_networks(problem):
    params, x, y, weights = problem.draw()
    _, ggn, _ = dense_matrices(problem, params, x, y, weights)
    factors = curvature.kfac_factors(params, x, y, problem.model, weights=weights)
    for (A, G), block, (W, _) in zip(factors, blocks(ggn, params), params, strict=True):
        assert A.shape == (W.shape[0] + 1,) * 2
        close(np.kron(A, G), block)


def test_the_empirical_factors_of_one_datum_are_its_gradient_squared():
    problem = Problem((4, 5, 3), Model("tanh", "identity", "softmax_cross_entropy"), 1, False)
    params, x, y, _ = problem.draw()
    g = flat(jaxmlp.gradients(jaxmlp.backward(params, x, y, problem.model)))
    factors = curvature.kfac_factors(params, x, y, problem.model, fisher="empirical")
    for (A, G), block in zip(factors, blocks(np.outer(g, g), params), strict=True):
        close(np.kron(A, G), block)


@pytest.mark.parametrize(
    "problem",
    [
        Problem((3, 4, 3), Model("tanh", "identity", "softmax_cross_entropy"), 5, True),
        Problem((3, 4, 2), Model("silu", "sigmoid", "binary_cross_entropy"), 5, False),
        Problem((3, 4, 2), Model("relu", "identity", "sum_squared_error"), 5, False),
    ],
    ids=str,
)
def test_sampled_readings_are_unbiased(problem):
    """Each entry's mean over 4,000 keys within four standard errors of what is exact, and not by a huge error."""
    params, x, y, weights = problem.draw()
    batch = {"params": params, "x": x, "y": y, "model": problem.model, "weights": weights}
    keys = jax.random.split(jax.random.key(3), 4000)

    def sampled(key):
        factors = curvature.kfac_factors(**batch, fisher="sampled", key=key)
        return curvature.ggn_diagonal(**batch, key=key), [G for _, G in factors]

    samples = jax.jit(jax.vmap(sampled))(keys)
    exact = curvature.ggn_diagonal(**batch), [G for _, G in curvature.kfac_factors(**batch)]
    for many, want in zip(jax.tree.leaves(samples), jax.tree.leaves(exact), strict=True):
        many = np.asarray(many, np.float64)
        error = np.std(many, axis=0) / len(many) ** 0.5
        scale = float(np.max(np.abs(want)))
        assert np.all(np.abs(many.mean(axis=0) - want) <= 4 * error + 1e-5 * scale)
        assert np.max(error) < 0.1 * scale


def test_sampling_depends_on_the_key_alone():
    params, x, y, _ = CLASSES.draw()
    draw = jax.jit(lambda key: curvature.ggn_diagonal(params, x, y, CLASSES.model, key=key))
    a, b, c = (flat(draw(jax.random.key(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_under_jit_and_over_many_networks():
    _, x, y, weights = CLASSES.draw()
    networks = [random_params(SIZES, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    model, key = CLASSES.model, jax.random.key(0)

    def everything(params):
        return (
            curvature.hessian_vector_product(params, x, y, params, model, weights=weights),
            curvature.ggn_vector_product(params, x, y, params, model, weights=weights),
            curvature.ggn_diagonal(params, x, y, model, weights=weights),
            curvature.ggn_diagonal(params, x, y, model, weights=weights, key=key),
            curvature.hessian_diagonal(params, x, y, model, weights=weights),
            curvature.kfac_factors(params, x, y, model, weights=weights),
            curvature.kfac_factors(params, x, y, model, fisher="sampled", key=key),
            curvature.empirical_ntk(params, x, x[:2], model),
            curvature.input_laplacian(params, x, model),
        )

    together = jax.jit(jax.vmap(everything))(stacked)
    jitted = jax.jit(everything)
    for i, params in enumerate(networks):
        want = jitted(params)
        for got, one in zip(
            jax.tree.leaves(jax.tree.map(lambda a, i=i: a[i], together)), jax.tree.leaves(want), strict=True
        ):
            close(got, one)
    for got, one in zip(jax.tree.leaves(everything(networks[0])), jax.tree.leaves(jitted(networks[0])), strict=True):
        close(got, one)


def test_weights_count_as_they_do_in_the_loss():
    """An example of weight 0 is not there; weights of 2 double a sum and leave a mean; all 0 give 0 and no nan."""
    params, x, y, _ = CLASSES.draw()
    keep = jnp.array([1, 1, 0, 1, 0, 1], DTYPE)
    readings = [
        functools.partial(curvature.hessian_vector_product, vector=random_params(SIZES, 9)),
        functools.partial(curvature.ggn_vector_product, vector=random_params(SIZES, 9)),
        curvature.ggn_diagonal,
        curvature.hessian_diagonal,
        curvature.kfac_factors,
    ]
    for reading in readings:
        of = functools.partial(reading, params, model=CLASSES.model)
        close(flat(of(x=x, y=y, weights=keep)), flat(of(x=x[keep > 0], y=y[keep > 0])))
        close(flat(of(x=x, y=y, weights=2 * keep)), flat(of(x=x, y=y, weights=keep)))
        assert np.all(flat(of(x=x, y=y, weights=0 * keep)) == 0)
        assert np.all(flat(of(x=x[:0], y=y[:0])) == 0)


def test_more_examples_than_a_block():
    """`hessian_diagonal` takes them block by block: 2.5 blocks are the mean of their parts."""
    n = 5 * losses.BLOCK // 2
    problem = Problem((3, 4, 2), Model("tanh", "identity", "half_squared_error"), n, False)
    params, x, y, _ = problem.draw()
    of = jax.jit(lambda x, y: curvature.hessian_diagonal(params, x, y, problem.model))
    parts = [flat(of(x[i : i + n // 2], y[i : i + n // 2])) for i in (0, n // 2)]
    close(flat(of(x, y)), (parts[0] + parts[1]) / 2)


def test_ones_own_loss_and_output():
    """A loss known by its factor alone, and an output that mixes columns: the same numbers as ours."""
    ours = losses.softmax_cross_entropy
    by_factor = losses.Loss("own", ours.value, ours.gradient, ours.hessian_factor, targets="classes")
    softmax = jaxmlp.activations.softmax
    own = Activation("own", softmax.fn, None, None, softmax.jacobian_product, softmax.jacobian_product_tangent)
    params, x, y, _ = CLASSES.draw()
    for model, twin in (
        (Model("tanh", loss=by_factor), Model("tanh", loss=ours)),
        (Model("tanh", own, "half_squared_error"), Model("tanh", "softmax", "half_squared_error")),
    ):
        targets = y if model.output == "identity" else jnp.ones((6, 2), DTYPE)
        for reading in (
            functools.partial(curvature.hessian_vector_product, vector=params),
            functools.partial(curvature.ggn_vector_product, vector=params),
            curvature.ggn_diagonal,
            curvature.hessian_diagonal,
        ):
            want = reading(params=params, x=x, y=targets, model=twin)
            assert_close(reading(params=params, x=x, y=targets, model=model), want, rtol=1e-9 if X64 else 1e-3)


def test_what_is_missing_is_named():
    params, x, y, _ = CLASSES.draw()
    f, ours, p = jaxmlp.activations.tanh, losses.softmax_cross_entropy, jaxmlp.activations.softmax
    no_second = Model(Activation("mine", f.fn, f.derivative), loss=ours)
    no_factor = Model("tanh", loss=losses.Loss("mine", ours.value, ours.gradient, targets="classes"))
    no_tangent = Model("tanh", Activation("mine", p.fn, None, None, p.jacobian_product), "half_squared_error")
    floats = jnp.ones((6, 2), DTYPE)
    for call in (
        lambda m: curvature.hessian_vector_product(params, x, y, params, m),
        lambda m: curvature.hessian_diagonal(params, x, y, m),
        lambda m: curvature.input_laplacian(params, x, m),
    ):
        with pytest.raises(
            ValueError, match="activation 'mine' must have a second_derivative for this reading; got None"
        ):
            call(no_second)
    curvature.ggn_diagonal(params, x, y, no_second)  # which needs none
    for call in (
        lambda m: curvature.hessian_vector_product(params, x, y, params, m),
        lambda m: curvature.ggn_vector_product(params, x, y, params, m),
        lambda m: curvature.ggn_diagonal(params, x, y, m),
        lambda m: curvature.ggn_diagonal(params, x, y, m, key=jax.random.key(0)),
        lambda m: curvature.kfac_factors(params, x, y, m),
    ):
        with pytest.raises(ValueError, match="loss 'mine' must have a hessian_factor for this reading; got None"):
            call(no_factor)
    curvature.kfac_factors(params, x, y, no_factor, fisher="empirical")
    with pytest.raises(ValueError, match="activation 'mine' must have a jacobian_product_tangent for this reading"):
        curvature.hessian_vector_product(params, x, floats, params, no_tangent)
    curvature.ggn_vector_product(params, x, floats, params, no_tangent)  # which needs none
    for wrong in (lambda o, y: o, lambda o, y: jnp.ones((1, 2), o.dtype), lambda o, y: (o, y)):
        loss = losses.Loss("mine", ours.value, ours.gradient, wrong, targets="classes")
        for reading in (curvature.ggn_diagonal, functools.partial(curvature.ggn_vector_product, vector=params)):
            with pytest.raises(ValueError, match=r"the hessian_factor of loss 'mine' must have shape \(2, k\) for one"):
                reading(params=params, x=x, y=y, model=Model("tanh", loss=loss))
    hidden = Model([p_like := Activation("rows", p.fn, None, None, p.jacobian_product, p.jacobian_product_tangent)] * 2)
    with pytest.raises(ValueError, match="hidden activations must be elementwise for this reading; got 'rows'"):
        curvature.hessian_diagonal(params, x, floats, hidden)
    assert p_like.derivative is None


def test_products_of_the_wrong_shape_are_refused():
    """A sum would be taken for every output's."""
    params, x, y, _ = CLASSES.draw()
    tanh, ours, p = jaxmlp.activations.tanh, losses.softmax_cross_entropy, jaxmlp.activations.softmax

    def summed(*arrays):
        return jnp.sum(arrays[-1])

    loss = losses.Loss(
        "mine", ours.value, ours.gradient, ours.hessian_factor, "mean", "classes", "logits", *[summed] * 2
    )
    bent = Activation("mine", tanh.fn, tanh.derivative, summed)
    rows = Activation("mine", p.fn, None, None, p.jacobian_product, summed)
    floats, one = jnp.ones((6, 2), DTYPE), r"must have shape \(2,\) for one example; got shape \(\)"
    hvp, ggn, diagonal = curvature.hessian_vector_product, curvature.ggn_vector_product, curvature.ggn_diagonal
    laplacian, every = curvature.input_laplacian, r"must have the shape of z, \(6, .*\); got \(\)"
    for call, message in (
        (lambda: ggn(params, x, y, params, Model(tanh, loss=loss)), f"hessian_product of loss 'mine' {one}"),
        (lambda: hvp(params, x, y, params, Model(tanh, loss=loss)), f"hessian_product of loss 'mine' {one}"),
        (lambda: diagonal(params, x, y, Model(tanh, loss=loss)), f"factor_product of loss 'mine' {one}"),
        (lambda: hvp(params, x, y, params, Model(bent, loss=ours)), f"second_derivative of activation 'mine' {every}"),
        (lambda: laplacian(params, x, Model(bent)), f"second_derivative of activation 'mine' {every}"),
        (lambda: hvp(params, x, floats, params, Model(tanh, rows)), f"product_tangent of activation 'mine' {every}"),
        (lambda: laplacian(params, x, Model(tanh, rows)), f"product_tangent of activation 'mine' {every}"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_thousand_outputs_need_no_matrix_for_each_example():
    """n k**2 numbers would be 256 MB; of one's own loss, a block of them is made."""
    params = random_params((4, 8, 500), dtype=jnp.float32)
    x, y = jnp.ones((256, 4), jnp.float32), jnp.zeros(256, jnp.int32)
    model, key = Model("tanh", loss="softmax_cross_entropy"), jax.random.key(0)
    ours = losses.softmax_cross_entropy
    own = Model("tanh", loss=losses.Loss("own", ours.value, ours.gradient, ours.hessian_factor, targets="classes"))
    for reading, most in (
        (lambda p: curvature.ggn_diagonal(p, x, y, model), 5e6),
        (lambda p: curvature.ggn_diagonal(p, x, y, model, key=key), 5e6),
        (lambda p: curvature.kfac_factors(p, x, y, model), 12e6),
        (lambda p: curvature.ggn_vector_product(p, x, y, p, model), 5e6),
        (lambda p: curvature.ggn_vector_product(p, x, y, p, own), 60e6),
    ):
        assert jax.jit(reading).lower(params).compile().memory_analysis().temp_size_in_bytes < most


@pytest.mark.parametrize("z", [-50.0, -20.0])
def test_confident_probabilities_have_finite_curvature(z):
    params = [(jnp.array([[0.0, z]], jnp.float32), jnp.zeros(2, jnp.float32))]
    x = np.ones((1, 1), np.float32)
    for output, loss, y in (
        ("softmax", "categorical_cross_entropy", np.array([0])),
        ("sigmoid", "binary_cross_entropy", np.array([[1, 0]], np.float32)),
    ):
        model = Model("tanh", output, loss)
        for reading in (
            curvature.ggn_diagonal,
            curvature.hessian_diagonal,
            curvature.kfac_factors,
            functools.partial(curvature.ggn_vector_product, vector=params),
            functools.partial(curvature.hessian_vector_product, vector=params),
        ):
            assert np.all(np.isfinite(flat(reading(params=params, x=x, y=y, model=model))))


def test_many_columns_are_added_up_in_float32():
    """In bfloat16 a sum of 300 columns would stop growing at a fraction of what it comes to."""
    params, x = random_params((4, 300), dtype=jnp.bfloat16), jnp.ones((4, 4), jnp.bfloat16)
    y, model = jnp.zeros(4, jnp.int32), Model(loss="softmax_cross_entropy")
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    got, want = (flat(curvature.ggn_diagonal(p, x, y, model)).astype(np.float32) for p in (params, wide))
    assert abs(np.sum(got) / np.sum(want) - 1) < 0.02


def test_on_probabilities_the_exact_factors_are_the_empirical_ones():
    """As the docstring says: their Hessian in the outputs is of rank one for a label. On logits it is not."""
    params, x, y, _ = CLASSES.draw()
    for model, equal in ((Model("silu", "softmax", "categorical_cross_entropy"), True), (CLASSES.model, False)):
        exact, empirical = (curvature.kfac_factors(params, x, y, model, fisher=f) for f in ("exact", "empirical"))
        assert np.allclose(flat(exact), flat(empirical), rtol=1e-4, atol=1e-6) == equal


def test_wrong_arguments_are_refused():
    params, x, y, _ = CLASSES.draw()
    model, key = CLASSES.model, jax.random.key(0)
    with pytest.raises(ValueError, match=r"vector must have the shapes of params, .*; got \[\(\(3, 4\), \(4,\)\)\]"):
        curvature.hessian_vector_product(params, x, y, params[:1], model)
    with pytest.raises(ValueError, match=r"vector must have the shapes of params, .*; got \[\(\(4, 3\), "):
        curvature.ggn_vector_product(params, x, y, [(W.T, b) for W, b in params], model)
    with pytest.raises(ValueError, match="fisher must be 'exact', 'sampled' or 'empirical'; got 'type-2'"):
        curvature.kfac_factors(params, x, y, model, fisher="type-2")
    with pytest.raises(ValueError, match="key must be given for fisher='sampled' and for no other; got key=None"):
        curvature.kfac_factors(params, x, y, model, fisher="sampled")
    with pytest.raises(ValueError, match="key must be given for fisher='sampled' and for no other"):
        curvature.kfac_factors(params, x, y, model, key=key)
    for call in (
        lambda x: curvature.empirical_ntk(params, x, x, model),
        lambda x: curvature.input_laplacian(params, x, model),
        lambda x: curvature.hessian_diagonal(params, x, y, model),
    ):
        with pytest.raises(ValueError, match=r"x must have shape \(n, 3\)"):
            call(x[:, :2])
