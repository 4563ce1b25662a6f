"""First-order readings: gradients, sums and norms of them, and how they are spread.

g_n is the gradient of the one-example loss loss_n; of layer l it is g_n[W_l] = a_{l-1}[n]^T delta_l[n] and
g_n[b_l] = delta_l[n] (docs/readings.md). Being of rank one, it need not be made to be measured: only
`per_example_gradients` makes it, and `gram_matrix` where it is no larger than a_{l-1} or delta_l. Below, a and delta
stand for those of one layer, and sums over l are over the layers.

Costs are those of `examples/benchmarks/readings.py`, as multiples of one gradient, with the tape and, where it is said,
the gradient included; sample weights enter `gradients` alone.
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp import checks
from jaxmlp.backprop import Tape, same_kind
from jaxmlp.dense import NARROW, dense, dense_vjp_input, dense_vjp_params
from jaxmlp.losses import widened
from jaxmlp.types import Array, ArrayLike, Params

NEAR = 10  # times the variance: a mean whose square is less than that costs a difference one digit


def gradients(tape: Tape) -> Any:
    """Return the gradient of `tape.loss`.

    dW_l = a_{l-1}^T (c * delta_l),  db_l = sum_n c_n delta_l[n]  (eqs. 6 and 7)

    Args:
        tape: of a batch.

    Returns:
        `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as the tape's params were. It costs 0.4 of a gradient,
        `backward` being the rest.
    """
    return weighted_gradient_sum(tape, _checked(tape).coefficients)


def weighted_gradient_sum(tape: Tape, c: ArrayLike) -> Any:
    """Return sum_n c_n g_n, without making any g_n.

    dW_l = a_{l-1}^T (c * delta_l),  db_l = sum_n c_n delta_l[n]. Bu et al. 2022, arXiv 2210.00038.

    Args:
        tape: of a batch.
        c: `(n,)`.

    Returns:
        `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as the tape's params were. It costs 0.4 of a gradient,
        the tape not included.

    Raises:
        ValueError: If `c` is not `(n,)`.
    """
    c = _one_for_each("c", c, tape)
    return same_kind(tape.deltas, [dense_vjp_params(a, c[:, None] * delta) for a, delta in _layers(tape)])


def per_example_gradients(tape: Tape) -> Any:
    """Return g_n for every example: the one reading that makes n times as many numbers as there are parameters.

    dW_l[n] = a_{l-1}[n]^T delta_l[n],  db_l[n] = delta_l[n]

    Args:
        tape: of a batch.

    Returns:
        `[(dW_1 (n, d_0, d_1), db_1 (n, d_1)), ...]`, a list or tuple as the tape's params were. It takes little
        arithmetic and much memory: 40 gradients for 3 GB in the benchmark.
    """
    rows = [(a[:, :, None] * delta[:, None, :], delta) for a, delta in _layers(tape)]
    return same_kind(tape.deltas, rows)


def per_example_norms(tape: Tape) -> Array:
    """Return |g_n|, over all parameters.

    |g_n|**2 = sum_l (1 + |a_{l-1}[n]|**2) |delta_l[n]|**2. Goodfellow 2015, arXiv 1510.01799.

    The squares are float32's, or float64's: in float32 an |a| or |delta| of 2e19 makes a norm inf or nan, and a |delta|
    below 1e-19 counts as 0.

    Args:
        tape: of a batch.

    Returns:
        `(n,)`; with the gradient, 1.1 gradients.
    """
    return _norms(tape).astype(tape.losses.dtype)


def clipped_gradient_sum(tape: Tape, max_norm: ArrayLike | float, *, weights: ArrayLike | None = None) -> Any:
    """Return sum_n w_n min(1, C / |g_n|) g_n, in one pass: the sum that DP-SGD adds its noise to.

    Norms first, then a weighted sum, from the same tape. Abadi et al. 2016, arXiv 1607.00133, algorithm 1; without a
    second backward pass, Bu et al. 2022, arXiv 2210.00038.

    A sum and not a mean, as noise is calibrated to what one example can change: C. An example whose gradient is not
    finite makes the sum so. Norms are sums of squares, in float32: an example whose squared norm overflows (a norm of
    2e19) counts as 0; one whose squared inputs overflow where its delta is 0 makes the sum nan, unless w_n is 0; and
    what has a |delta| below 1e-19 is left out of its norm, so clip the inputs where they may be huge.

    Args:
        tape: of a batch.
        max_norm: C, a number or `()`, at least 0; inf does not clip.
        weights: w `(n,)`, 1 for an example that was sampled and 0 for one that was not; None takes all, whatever
            weights the tape was made with.

    Returns:
        `[(dW_1, db_1), ..., (dW_L, db_L)]`, a list or tuple as the tape's params were; 1.1 gradients, the tape
        included. Its norm is at most C sum_n |w_n|, up to rounding: 0.6 % in bfloat16, and in float16 several times C
        where C is 1e-6, so privacy wants float32.

    Raises:
        ValueError: If `max_norm` is not a scalar, or negative or nan, or `weights` is not `(n,)`.
    """
    norms = _norms(tape)
    limit = jnp.asarray(checks.as_numbers("max_norm", max_norm), norms.dtype)
    known = checks.concrete(limit)
    if limit.shape != () or (known is not None and not known >= 0):
        raise ValueError(f"max_norm must be a number of at least 0; got {max_norm}.")
    over = ~(norms <= limit)  # a norm that is nan must not pass unclipped
    c = jnp.where(over, limit / jnp.where(over, norms, 1), 1).astype(tape.losses.dtype)
    if weights is not None:
        w = _one_for_each("weights", weights, tape)
        c = jnp.where(w == 0, 0, w * c)  # whatever its norm
    return weighted_gradient_sum(tape, c)


def second_moments(tape: Tape) -> Any:
    """Return mean_n g_n**2, elementwise.

    of W: (a**2)^T (delta**2) / n, of b: mean_n delta[n]**2. Dangel et al. 2020 (BackPACK), arXiv 1912.10985.

    Args:
        tape: of a batch.

    Returns:
        `[(of W_1, of b_1), ...]`, a list or tuple as the tape's params were; 0 for an empty batch. With the gradient,
        1.45 gradients.
    """
    n, wide = _at_least_one(tape), jax.tree.map(widened, tape)
    moments = [dense_vjp_params(a * a, delta * delta / n) for a, delta in _layers(wide)]
    return _narrowed(same_kind(tape.deltas, moments), tape)


def variances(tape: Tape) -> Any:
    """Return mean_n (g_n - mean g)**2, elementwise, without cancellation.

    With any s, a number for each input, and t, one for each delta, h = a - s, d = delta - t, and G the mean gradient:

        C = h^T d / n
        of W: (h * (a + s))^T (d * (delta + t)) / n + (s**2)^T mean_n d**2 + (mean_n h**2)^T t**2
              - 2 s^T t * C - (G - s^T t)**2
        of b: mean_n (delta - delta')**2,  delta' the mean

    where s, t and means are rows, so that s^T t is a matrix. With s = t = 0 that is mean g**2 - (mean g)**2, which
    loses digits where the mean of g is many times its deviation; at 10^4 times, float32 keeps none. Unless a and delta
    move against each other, the means of both are many deviations then. So if a layer has an input and a delta whose
    means exceed three deviations, s and t are the means of all such, and 0 elsewhere, and G - s^T t, which is C where
    neither is 0, is that product there. The terms are then as small as the variance itself, and three digits are right
    where the means are 10^4 deviations, of up to a million examples. Which way it goes is decided as it runs, for C is
    a product more. Derived here (docs/readings.md); the peer is BackPACK's `Variance`, Dangel et al. 2020, arXiv
    1912.10985.

    Args:
        tape: of a batch.

    Returns:
        `[(of W_1, of b_1), ...]`, a list or tuple as the tape's params were, divided by n and not n - 1; 0 for a single
        example and for none. With the gradient, 1.6 gradients; 2 where C is needed in every layer, and under vmap,
        which makes it in any case.
    """
    n, wide = _at_least_one(tape), jax.tree.map(widened, tape)

    def of_layer(a: Array, delta: Array, mean: tuple[Array, Array]) -> tuple[Array, Array]:
        G, delta_mean = mean
        a_mean, _ = _centred(a)
        var_a, var_delta = _variance(a, a_mean), _variance(delta, delta_mean)
        far_a, far_delta = a_mean**2 > NEAR * var_a, delta_mean**2 > NEAR * var_delta
        far = jnp.any(far_a) & jnp.any(far_delta)
        s, t = jnp.where(far & far_a, a_mean, 0), jnp.where(far & far_delta, delta_mean, 0)
        h, d, st = a - s[None, :], delta - t[None, :], s[:, None] * t[None, :]
        hh, dd = var_a + (a_mean - s) ** 2, var_delta + (delta_mean - t) ** 2  # mean_n h**2, mean_n d**2
        C: Array = jax.lax.cond(far, _covariances, _no_covariances, a, a_mean, delta, delta_mean)
        if min(G.shape) == 1:
            G = _product(a, delta / n)  # the gradient's own has too few digits
        of_W = _product(h * (a + s[None, :]), d * (delta + t[None, :]) / n)
        of_W += (s**2)[:, None] * dd[None, :] + hh[:, None] * (t**2)[None, :]
        of_W -= 2 * st * C + jnp.where(st == 0, G, C) ** 2
        return jnp.maximum(of_W, 0), var_delta

    of_layers = [of_layer(*layer, mean) for layer, mean in zip(_layers(wide), _mean_gradient(wide), strict=True)]
    return _narrowed(same_kind(tape.deltas, of_layers), tape)


def gram_matrix(tape: Tape) -> Array:
    """Return the inner products of the per-example gradients, over all parameters.

    G = sum_l (a a^T + 1) * (delta delta^T); where a layer has a single input or output, one product of its g_n with
    themselves takes fewer multiplications. Its eigenvalues over n are those of the empirical Fisher matrix, but for
    zeros; the structure is that of Novak et al. 2022, arXiv 2206.08720.

    Args:
        tape: of a batch.

    Returns:
        `(n, n)`. It takes 2 n**2 sum_l (d_{l-1} + d_l) operations, a gradient 4 to 6 n sum_l d_{l-1} d_l; with the
        gradient, 1.6 gradients for n = 512.
    """

    def of_layer(a: Array, delta: Array) -> Array:
        if a.shape[1] * delta.shape[1] < a.shape[1] + delta.shape[1]:
            g = a * delta  # one of them is a column
            return g @ g.T + delta @ delta.T
        return (a @ a.T + 1) * (delta @ delta.T)

    return functools.reduce(operator.add, [of_layer(a, delta) for a, delta in _layers(tape)])


def directional_derivatives(tape: Tape, direction: Params) -> Array:
    """Return the inner product of every g_n with a direction: how fast each loss_n changes along it.

    <g_n, V> = sum_l (a_{l-1}[n] V_l + v_l) . delta_l[n]

    Args:
        tape: of a batch.
        direction: `[(V_1, v_1), ..., (V_L, v_L)]`, shaped as the parameters.

    Returns:
        `(n,)`; with the gradient, 1.4 gradients.

    Raises:
        ValueError: If the direction's shapes are not the parameters'.
    """
    checks.check_shapes("direction", direction, _shapes(tape))
    dtype = tape.losses.dtype
    slopes = [
        jnp.sum(dense(a, jnp.asarray(V, dtype), jnp.asarray(v, dtype)) * delta, axis=1)
        for (a, delta), (V, v) in zip(_layers(tape), direction, strict=True)
    ]
    return functools.reduce(operator.add, slopes)


def noise_scale(tape: Tape) -> Array:
    """Return the simple noise scale: the batch size at which the gradient's noise is as large as the gradient.

    B = tr(Sigma) / |G|**2, with the unbiased estimates tr(Sigma) = sum_n |g_n - mean g|**2 / (n - 1) and
    |G|**2 = |mean g|**2 - tr(Sigma) / n. McCandlish et al. 2018, arXiv 1812.06162, eq. 2.9 and appendix A.1, with
    single examples for the small batch and all n for the large one.

    Both means are taken of centred terms, with the letters of `variances`. Where the means of a and delta are 10^4
    deviations they have three digits, on a GPU under jax.default_matmul_precision("highest"), as C has the digits of
    the mean gradient. Of each layer

        mean_n |g_n - mean g|**2
        = mean_n ((1 + |a'|**2) |d_n|**2 + |h_n|**2 |delta_n|**2 + 2 (a'.h_n) (d_n.delta_n)) - |C|**2,
        |mean g|**2 = |C|**2 + 2 mean_n (a'.h_n) (d_n.delta') + (1 + |a'|**2) |delta'|**2

    Args:
        tape: of a batch.

    Returns:
        `()`, in examples; nan for fewer than two, and where every gradient is 0. Where noise hides the gradient, the
        estimate of |G|**2, and so this, may be negative. Over many steps average the two estimates, and not this:
        tr(Sigma) is n / (n - 1) times the sum of `variances`, and |mean g|**2 the squared norm of the mean gradient.
        With the gradient of an unweighted mean loss, 1.1 gradients.
    """
    n = _count(tape)
    if n < 2:
        return jnp.full((), jnp.nan, tape.losses.dtype)
    wide = jax.tree.map(widened, tape)
    scatter = squared_mean = jnp.zeros((), wide.losses.dtype)
    for (a, delta), (G, delta_mean) in zip(_layers(wide), _mean_gradient(wide), strict=True):
        a_mean, h = _centred(a)
        d = delta - delta_mean[None, :]
        aa, hh, ah = 1 + jnp.sum(a_mean**2), _squared_norms(h), _inner_products(h, a_mean)
        ee, dd, ed = jnp.sum(delta_mean**2), _squared_norms(d), _inner_products(d, delta_mean)  # e stands for delta'
        C = G - a_mean[:, None] * delta_mean[None, :]
        if min(G.shape) <= NARROW:  # XLA adds a product with a vector up one by one on a CPU: G is then too far off
            C = _covariances(a, a_mean, delta, delta_mean)
        CC = jnp.sum(_apart(jnp.sum(C**2, axis=0)))
        scatter += jnp.mean(aa * dd + hh * (dd + 2 * ed + ee) + 2 * ah * (dd + ed)) - CC
        squared_mean += CC + 2 * jnp.mean(ah * ed) + aa * ee
    trace = scatter * n / (n - 1)
    return (trace / (squared_mean - trace / n)).astype(tape.losses.dtype)


def input_gradients(tape: Tape, params: Params) -> Array:
    """Return the derivative of each loss_n in its own input.

    dx_n = delta_1[n] W_1^T: what eq. 5 would hand on to a layer before the first.

    Args:
        tape: of a batch.
        params: `[(W_1, b_1), ..., (W_L, b_L)]`, those of the tape.

    Returns:
        `(n, d_0)`; with the gradient, 1.2 gradients.

    Raises:
        ValueError: If `params` are not of the tape's shapes.
    """
    checks.check_params(params)
    checks.check_shapes("params", params, _shapes(tape))
    W, _ = params[0]
    return dense_vjp_input(W.astype(tape.losses.dtype), tape.deltas[0])


def _checked(tape: Tape) -> Tape:
    if not isinstance(tape, Tape):
        raise ValueError(f"tape must be a Tape; got {type(tape).__name__}. Write jaxmlp.backward(params, x, y, model).")
    if tape.losses.ndim != 1:
        raise ValueError(
            f"tape must be of one network, its losses (n,); got losses of shape {tape.losses.shape}. "
            f"Write jax.vmap(lambda tape: ...)(tapes)."
        )
    return tape


def _layers(tape: Tape) -> list[tuple[Array, Array]]:
    """a_{l-1} and delta_l of every layer."""
    return list(zip(_checked(tape).inputs, tape.deltas, strict=True))


def _count(tape: Tape) -> int:
    """The number n of examples."""
    return _checked(tape).losses.shape[0]


def _shapes(tape: Tape) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The shapes of W_l and b_l."""
    return [((a.shape[1], delta.shape[1]), delta.shape[1:]) for a, delta in _layers(tape)]


def _one_for_each(name: str, c: ArrayLike, tape: Tape) -> Array:
    """Numbers `(n,)`, checked, in the dtype of the tape."""
    n = _count(tape)
    c = checks.as_numbers(name, c)
    checks.check_weights(name, c, n)
    return jnp.asarray(c, tape.losses.dtype)


def _narrowed(tree: Any, tape: Tape) -> Any:
    """In the dtype of the tape: squares of halves overflow, and what is divided by n underflows."""
    return jax.tree.map(lambda leaf: leaf.astype(tape.losses.dtype), tree)


def _norms(tape: Tape) -> Array:
    """|g_n| in at least float32; its derivative where g_n is 0 is 0."""
    squares = [(1 + _squared_norms(a)) * _squared_norms(delta) for a, delta in _layers(tape)]
    total = functools.reduce(operator.add, squares)
    return jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))


def _at_least_one(tape: Tape) -> int:
    return max(_count(tape), 1)


def _mean_gradient(tape: Tape) -> Any:
    """mean_n g_n; where `gradients` is taken too, of an unweighted mean loss, the compiler makes the two but once."""
    return weighted_gradient_sum(tape, jnp.full(_count(tape), 1 / _at_least_one(tape), tape.losses.dtype))


def _centred(a: Array) -> tuple[Array, Array]:
    """The mean over the batch, and what is left of each example."""
    mean = jnp.sum(a, axis=0) / max(a.shape[0], 1)
    return mean, a - jnp.broadcast_to(mean, a.shape)


def _variance(a: Array, mean: Array) -> Array:
    """Of each column."""
    return jnp.sum((a - mean[None, :]) ** 2 / max(len(a), 1), axis=0)


def _product(a: Array, delta: Array) -> Array:
    """a^T delta, for many examples too: on a CPU, XLA adds up a product with a vector one by one, but a sum in parts.

    A million equal numbers in float32 leave three digits there, and five here.
    """
    if 1 in (a.shape[1], delta.shape[1]):
        return jnp.sum(a * delta, axis=0).reshape(a.shape[1], delta.shape[1])
    return a.T @ delta


def _covariances(a: Array, a_mean: Array, delta: Array, delta_mean: Array) -> Array:
    """C = h^T d / n; it centres by itself, so that a cond that does without it has no h and d to store."""
    return _product(a - a_mean[None, :], (delta - delta_mean[None, :]) / max(len(a), 1))


def _no_covariances(a: Array, a_mean: Array, delta: Array, delta_mean: Array) -> Array:
    """Zeros of the shape, which vary over a mesh as `_covariances` do: cond's branches must agree in that."""
    return jnp.zeros_like(a_mean[:, None] * delta_mean[None, :])


def _inner_products(rows: Array, mean: Array) -> Array:
    """Of each row with the mean."""
    return jnp.matmul(rows, mean, precision=jax.lax.Precision.HIGHEST)


def _squared_norms(a: Array) -> Array:
    """Of each row; in at least float32, as the squares of halves overflow."""
    return jnp.sum(_apart(widened(a) ** 2), axis=1)


def _apart(squares: Array) -> Array:
    """Keep the compiler from looking at squares and their sum together, where that halves the time.

    jax 0.9 would sum them in two loops with an array between. On later releases a barrier costs memory and saves
    nothing.
    """
    return jax.lax.optimization_barrier(squares) if jax.__version_info__ < (0, 10) else squares
