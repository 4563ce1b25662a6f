"""Curvature readings: the Hessian of the loss and of the network, by hand.

H is the Hessian of `loss` in the parameters, its reduction and sample weights included; J_n the Jacobian of example n's
outputs in the parameters, and H_n the Hessian of loss_n in its outputs, S_n S_n^T its factors. The generalised
Gauss-Newton matrix (GGN) is sum_n c_n J_n^T H_n J_n: what is left of H where the network is taken to be linear.

Pearlmutter's R-operator is the derivative along a direction V in the parameters: RX says how X changes. The equations
have their numbers from `docs/curvature.md`; costs are those of `examples/benchmarks/readings.py`, in gradients.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxmlp import checks, losses
from jaxmlp.activations import Activation
from jaxmlp.backprop import backward_pass, forward_pass, same_kind
from jaxmlp.dense import dense, dense_vjp_input, dense_vjp_params
from jaxmlp.model import Model, check_inputs, prepare_batch
from jaxmlp.types import Array, ArrayLike, Params


def hessian_vector_product(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    vector: Params,
    model: Model = Model(),
    *,
    weights: ArrayLike | None = None,
) -> Any:
    """Return H V, by Pearlmutter's R-operator.

    Rz_l = a_{l-1} V_l + Ra_{l-1} W_l + v_l,  Ra_l = f_l'(z_l) * Rz_l        (eq. 10; Ra_0 = 0)
    Rda_L = c * H_n Ra_L                                                     (eq. 11)
    Rdz_l = Rda_l * f_l'(z_l) + da_l * f_l''(z_l) * Rz_l                     (eq. 12)
    RdW_l = a_{l-1}^T Rdz_l + Ra_{l-1}^T dz_l,  Rdb_l = sum_n Rdz_l[n]       (eq. 13)

    with Rda_l = Rdz_{l+1} W_{l+1}^T + dz_{l+1} V_{l+1}^T; da_L is c times the gradient of loss_n in a_L, and so
    dz_l = c * delta_l. Pearlmutter 1994, Fast Exact Multiplication by the Hessian,
    Neural Computation 6.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        vector: `[(V_1, v_1), ..., (V_L, v_L)]`, shaped as `params`.
        model: activations and loss.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        `[(RdW_1, Rdb_1), ...]`, a list or tuple as `params` is; 2 gradients, as many as by `jvp` of `grad`.

    Raises:
        ValueError: If a shape or dtype does not fit, or an activation or the loss has no second derivative.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    c, vector = _with_work_to_start(c), _checked_vector(vector, params)
    fs, loss = model.layer_activations(len(params)), model.loss_function
    inputs, zs, outputs = forward_pass(params, x, model)
    Rinputs, Rzs, Routputs = _forward_tangent(params, vector, inputs, zs, fs)

    da = c[:, None] * losses.each_gradient(loss, outputs, y)
    Rda = c[:, None] * losses.each_hessian_product(loss, outputs, y, Routputs)
    products = []
    for l in reversed(range(len(params))):
        dz, Rdz = fs[l].pullback(zs[l], da), fs[l].pullback_tangent(zs[l], da, Rzs[l], Rda)
        RdW, Rdb = dense_vjp_params(inputs[l], Rdz)
        if l > 0:
            (W, _), (V, _) = params[l], vector[l]
            RdW += dense_vjp_params(Rinputs[l], dz)[0]
            da, Rda = dense_vjp_input(W, dz), dense_vjp_input(W, Rdz) + dense_vjp_input(V, dz)
        products.append((RdW, Rdb))
    return same_kind(params, products[::-1])


def ggn_vector_product(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    vector: Params,
    model: Model = Model(),
    *,
    weights: ArrayLike | None = None,
) -> Any:
    """Return GGN V = sum_n c_n J_n^T H_n J_n V.

    J_n V is Ra_L[n], from eq. 10; H_n takes it to a derivative in the outputs (eq. 11); and that goes the way of every
    gradient (eqs. 4 to 7). Schraudolph 2002, Fast Curvature Matrix-Vector Products, Neural Computation 14.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        vector: `[(V_1, v_1), ..., (V_L, v_L)]`, shaped as `params`.
        model: activations and loss. The outputs are those after the output activation.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        `[(for W_1, for b_1), ...]`, a list or tuple as `params` is; 1.5 gradients, as many as by `jvp` and `vjp`.

    Raises:
        ValueError: If a shape or dtype does not fit, or the loss has no Hessian factor.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    c, vector = _with_work_to_start(c), _checked_vector(vector, params)
    fs = model.layer_activations(len(params))
    inputs, zs, outputs = forward_pass(params, x, model)
    _, _, Routputs = _forward_tangent(params, vector, inputs, zs, fs)
    Rda = c[:, None] * losses.each_hessian_product(model.loss_function, outputs, y, Routputs)
    dzs = backward_pass(params, zs, Rda, model)
    return same_kind(params, [dense_vjp_params(a, dz) for a, dz in zip(inputs, dzs, strict=True)])


def ggn_diagonal(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model = Model(),
    *,
    key: Array | None = None,
    weights: ArrayLike | None = None,
) -> Any:
    """Return the diagonal of the GGN, exact, or an unbiased estimate where there is a key.

    of W_l: (a_{l-1}**2)^T (c * sum_s dz_l(s)**2),  of b_l: sum_n c_n sum_s dz_l(s)[n]**2

    Each column s of S_n goes back through the network as a derivative in the outputs would (eqs. 4 and 5). Dangel et
    al. 2020 (BackPACK), arXiv 1912.10985. The estimate sends back the one vector S_n e_n, with random signs e_n, as
    Hutchinson 1990, Communications in Statistics 19, estimates a trace; BackPACK draws a label from the network's own
    distribution instead. The loss's Hessian is that in the outputs, as `kfac_factors` explains.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        key: a PRNG key for the signs, or None.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        `[(of W_1, of b_1), ...]`, a list or tuple as `params` is. With the gradient, the estimate takes 1.7 gradients;
        exact, with as many columns as outputs, it takes 3.5 for ten of them.

    Raises:
        ValueError: If a shape or dtype does not fit, `key` is not one PRNG key, or the loss has no Hessian factor.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    inputs, zs, outputs = forward_pass(params, x, model)

    def add(sums: list[Array], s: Array) -> list[Array]:
        dzs = backward_pass(params, zs, s, model)
        return [total + (dz * dz).astype(total.dtype) for total, dz in zip(sums, dzs, strict=True)]

    sums = _over_factor(add, [jnp.zeros_like(losses.widened(z)) for z in zs], outputs, y, model, key)
    sums = [s.astype(c.dtype) for s in sums]
    return same_kind(params, [dense_vjp_params(a * a, c[:, None] * s) for a, s in zip(inputs, sums, strict=True)])


def hessian_diagonal(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model = Model(),
    *,
    weights: ArrayLike | None = None,
) -> Any:
    """Return the diagonal of H, exact, by the recursion of its blocks.

    Hz_l = diag(f_l') W_{l+1} Hz_{l+1} W_{l+1}^T diag(f_l') + diag(f_l'' * (delta_{l+1} W_{l+1}^T))    (eq. 14)

    is the Hessian of loss_n in z_l[n]; of W_l the diagonal is (a_{l-1}**2)^T (c * diag(Hz_l)), and of b_l
    sum_n c_n diag(Hz_l[n]). Botev et al. 2017, arXiv 1706.03662.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        `[(of W_1, of b_1), ...]`, a list or tuple as `params` is. It takes 2 n (sum_{l>0} d_l d_{l+1}**2 + sum_{l>1}
        d_l**2 d_{l+1}) operations: 110 gradients in the benchmark, and more where layers are wider.

    Raises:
        ValueError: If a shape or dtype does not fit, or an activation or the loss has no second derivative.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    fs, loss = model.layer_activations(len(params)), model.loss_function
    inputs, zs, outputs = forward_pass(params, x, model)
    for f in fs[:-1]:
        if f.derivative is None:
            raise ValueError(f"hidden activations must be elementwise for this reading; got {f.name!r}.")
    da = losses.each_gradient(loss, outputs, y)
    deltas = backward_pass(params, zs, da, model)
    bends = [
        f.second_pushforward(z, jnp.ones_like(z)) * dense_vjp_input(W, delta)  # f'' * (delta W^T)
        for f, z, (W, _), delta in zip(fs[:-1], zs[:-1], params[1:], deltas[1:], strict=True)
    ]
    slopes = [f.pushforward(z, jnp.ones_like(z)) for f, z in zip(fs[:-1], zs[:-1], strict=True)]

    def column(z: Array, o: Array, y: Array, da: Array, e: Array) -> Array:
        Ra = fs[-1].pushforward(z, e)
        Rda = losses.each_hessian_product(loss, o[None], y[None], Ra[None])[0]
        return fs[-1].pullback_tangent(z, da, e, Rda)

    def example(one: tuple) -> list[Array]:
        z, o, y, da, slopes, bends = one
        basis = jnp.eye(z.shape[0], dtype=z.dtype)
        H = jax.vmap(column, in_axes=(None, None, None, None, 0))(z, o, y, da, basis)  # (d_L, d_L)
        diagonals = [jnp.diagonal(H)]
        for l in reversed(range(len(slopes))):
            W, _ = params[l + 1]
            WH = W @ H
            if l == 0:  # whose diagonal is all that is asked for
                diagonals.append(jnp.sum(WH * W, axis=1) * slopes[l] ** 2 + bends[l])
            else:
                H = (WH @ W.T) * slopes[l][:, None] * slopes[l][None, :] + jnp.diag(bends[l])
                diagonals.append(jnp.diagonal(H))
        return diagonals[::-1]

    diagonals = jax.lax.map(example, (zs[-1], outputs, y, da, slopes, bends), batch_size=losses.BLOCK)
    return same_kind(params, [dense_vjp_params(a * a, c[:, None] * d) for a, d in zip(inputs, diagonals, strict=True)])


def kfac_factors(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model = Model(),
    *,
    fisher: Literal["exact", "sampled", "empirical"] = "exact",
    key: Array | None = None,
    weights: ArrayLike | None = None,
) -> Any:
    """Return, for each layer, A and G with A (x) G near the layer's block of the GGN.

    A_l = sum_n c_n [a_{l-1}[n], 1]^T [a_{l-1}[n], 1] / sum_n c_n,  G_l = sum_n c_n sum_s dz_l(s)[n]^T dz_l(s)[n]

    where s goes back from the outputs as in `ggn_diagonal`: every column of S_n ("exact"), the one vector S_n e_n with
    random signs e_n ("sampled", unbiased), or the gradient of loss_n ("empirical", the empirical Fisher matrix's).
    Martens and Grosse 2015, arXiv 1503.05671, section 3, who draw labels in place of signs; "exact" is Botev et al.'s
    KFLR, arXiv 1706.03662.

    By "exact", the block equals A (x) G for a single example, and for a linear network under squared error.

    Where the loss reads logits (`softmax_cross_entropy`, `sigmoid_cross_entropy`), the log of a rate (`poisson_nll`) or
    values (squared errors), the GGN is the Fisher matrix of the distribution that the outputs describe. Where it reads
    probabilities it is not, as its Hessian in them depends on the label: under `categorical_cross_entropy` "exact" is
    "empirical". Prefer the loss on logits.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        fisher: which vectors go back.
        key: a PRNG key, for "sampled" alone.
        weights: `(n,)` sample weights; None weighs all alike.

    Returns:
        `[(A_1 (d_0 + 1, d_0 + 1), G_1 (d_1, d_1)), ...]`, a list or tuple as `params` is. The bias is the last row of
        A: the block's parameters are the rows of W_l, one after the other, and then b_l. G carries the reduction. With
        the gradient, 2.1 gradients for one vector, 7.5 for ten.

    Raises:
        ValueError: If a shape or dtype does not fit, `fisher` is another word, `key` is missing where it is sampled or
            given where it is not, or the loss has no Hessian factor.
    """
    if fisher not in ("exact", "sampled", "empirical"):
        raise ValueError(f"fisher must be 'exact', 'sampled' or 'empirical'; got {fisher!r}.")
    if (key is None) == (fisher == "sampled"):
        raise ValueError(f"key must be given for fisher='sampled' and for no other; got key={key}, fisher={fisher!r}.")
    x, y, c = prepare_batch(params, x, y, model, weights)
    inputs, zs, outputs = forward_pass(params, x, model)

    def add(sums: list[Array], s: Array) -> list[Array]:
        dzs = backward_pass(params, zs, s, model)
        return [G + (dz.T @ (c[:, None] * dz)).astype(G.dtype) for G, dz in zip(sums, dzs, strict=True)]

    zeros = [jnp.zeros((z.shape[1], z.shape[1]), losses.widened(z).dtype) for z in zs]
    if fisher == "empirical":
        Gs = add(zeros, losses.each_gradient(model.loss_function, outputs, y))
    else:
        Gs = _over_factor(add, zeros, outputs, y, model, key)
    total = jnp.sum(c)
    share = jnp.where(total == 0, 0, c / jnp.where(total == 0, 1, total))

    def of_inputs(a: Array) -> Array:
        a1 = jnp.concatenate([a, jnp.ones_like(a[:, :1])], axis=1)
        return a1.T @ (share[:, None] * a1)

    return same_kind(params, [(of_inputs(a), G.astype(c.dtype)) for a, G in zip(inputs, Gs, strict=True)])


def empirical_ntk(params: Params, x1: ArrayLike, x2: ArrayLike, model: Model = Model()) -> Array:
    """Return the empirical neural tangent kernel: J(x1) J(x2)^T for every pair, between all outputs.

    K[n, m, i, j] = sum_l (a_{l-1}[n] . a_{l-1}[m] + 1) (D_l[n, i] . D_l[m, j]), where D_l[n, i] is the derivative of
    output i in z_l[n], sent back from a unit vector by eqs. 4 and 5. Jacot et al. 2018, arXiv 1806.07572; the form is
    Novak et al.'s "structured derivatives", 2022, arXiv 2206.08720.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x1: `(n1, d_0)` inputs.
        x2: `(n2, d_0)` inputs.
        model: for its activations; the outputs are those after the output activation.

    Returns:
        `(n1, n2, d_L, d_L)`. It takes 2 n1 n2 sum_l (d_{l-1} + d_L**2 d_l) operations and, for both inputs, d_L
        backward passes; no Jacobian is made.

    Raises:
        ValueError: If a shape or dtype does not fit.
    """

    def parts(x: ArrayLike) -> tuple[list[Array], list[Array]]:
        x = check_inputs(params, x, model, batch=True).astype(jnp.result_type(params[0][0]))
        inputs, zs, outputs = forward_pass(params, x, model)
        units = jnp.eye(outputs.shape[1], dtype=outputs.dtype)
        rows = jax.vmap(lambda e: backward_pass(params, zs, jnp.broadcast_to(e, outputs.shape), model))(units)
        return inputs, rows  # of each layer (n, d_{l-1}), (d_L, n, d_l)

    (inputs1, rows1), (inputs2, rows2) = parts(x1), parts(x2)
    kernel = jnp.zeros((), rows1[0].dtype)
    for a1, D1, a2, D2 in zip(inputs1, rows1, inputs2, rows2, strict=True):
        kernel += (a1 @ a2.T + 1)[:, :, None, None] * jnp.einsum("inh,jmh->nmij", D1, D2)
    return kernel


def input_laplacian(params: Params, x: ArrayLike, model: Model = Model()) -> Array:
    """Return the Laplacian of every output in the inputs, sum_i d^2 a_L / dx_i^2, in one forward pass.

    Jz_l = Ja_{l-1} W_l,  Ja_l = f_l'(z_l) * Jz_l,
    lap z_l = (lap a_{l-1}) W_l,  lap a_l = f_l'(z_l) * lap z_l + f_l''(z_l) * sum_i (Jz_l)_i**2        (eq. 15)

    with one row of J for each input. Li et al. 2023, arXiv 2307.08214 (the forward Laplacian).

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        model: for its activations.

    Returns:
        `(n, d_L)`; d_0 + 2 forward passes, and as much memory.

    Raises:
        ValueError: If a shape or dtype does not fit, or an activation has no second derivative.
    """
    a = check_inputs(params, x, model, batch=True).astype(jnp.result_type(params[0][0]))
    n, J, laplacian = a.shape[0], None, None
    for (W, b), f in zip(params, model.layer_activations(len(params)), strict=True):
        z = dense(a, W, b)
        J = jnp.broadcast_to(W, (n, *W.shape)) if J is None else J @ W  # (n, d_0, d_l)
        rows = jnp.broadcast_to(z[:, None, :], J.shape)
        bend = jnp.sum(f.second_pushforward(rows, J), axis=1)
        laplacian = bend if laplacian is None else f.pushforward(z, laplacian @ W) + bend
        a, J = f(z), f.pushforward(rows, J)
    return laplacian  # type: ignore[return-value]


def _with_work_to_start(c: Array) -> Array:
    """c, times a 1 that XLA has to work out: something that can start beside the first products, x W_1 and x V_1.

    Where those two are all that can start, XLA's CPU runtime takes up to a tenth more time for the whole.
    `examples/benchmarks/readings.py` says where.
    """
    return c * jnp.mean(jax.lax.optimization_barrier(jnp.ones_like(c)))


def _forward_tangent(
    params: Params, vector: Params, inputs: Sequence[Array], zs: Sequence[Array], fs: Sequence[Activation]
) -> tuple[list[Any], list[Array], Array]:
    """Ra_{l-1} and Rz_l of every layer and Ra_L, as the parameters change by the vector (eq. 10); Ra_0 is None."""
    Ra, Rinputs, Rzs = None, [], []
    for (W, _), (V, v), a, z, f in zip(params, vector, inputs, zs, fs, strict=True):
        Rz = a @ V
        if Ra is not None:
            Rz += Ra @ W
        Rz += v[None, :]  # last, as XLA then needs less memory than by `dense`
        Rinputs.append(Ra)
        Rzs.append(Rz)
        Ra = f.pushforward(z, Rz)
    return Rinputs, Rzs, Ra  # type: ignore[return-value]


def _over_factor(
    add: Callable[[list[Array], Array], list[Array]],
    start: list[Array],
    outputs: Array,
    y: Array,
    model: Model,
    key: Array | None,
) -> list[Array]:
    """Add up over the columns s `(n, d_L)` of the factors S_n; with a key, over S_n e_n with random signs e_n alone."""
    loss = model.loss_function
    k = losses.count_factor_columns(loss, outputs, y)
    if key is not None:
        checks.check_key(key)
        signs = jax.random.rademacher(key, (outputs.shape[0], k), outputs.dtype)
        return add(start, losses.each_factor_product(loss, outputs, y, signs))

    def step(sums: list[Array], column: Array) -> tuple[list[Array], None]:
        unit = jnp.broadcast_to((jnp.arange(k) == column).astype(outputs.dtype), (outputs.shape[0], k))
        return add(sums, losses.each_factor_product(loss, outputs, y, unit)), None

    return jax.lax.scan(step, start, jnp.arange(k))[0]


def _checked_vector(vector: Params, params: Params) -> Params:
    checks.check_shapes("vector", vector, [(W.shape, b.shape) for W, b in params])
    return [(jnp.asarray(V, W.dtype), jnp.asarray(v, b.dtype)) for (V, v), (W, b) in zip(vector, params, strict=True)]
