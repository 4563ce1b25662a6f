"""Losses of one example; directly under each stands its gradient in the outputs, and under that its Hessian.

They all see one example: outputs o `(d_L,)` and targets y `(d_L,)`. Over several outputs a loss is summed, unless its
name says mean. The reduction over the batch is in `coefficients`: loss = sum_n c_n loss_n (eq. 3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxmlp.types import Array

BLOCK = 16  # examples whose S, or whose Hessians in one layer's z, are in memory at a time


@dataclass(frozen=True)
class Loss:
    """A one-example loss with its gradient written out.

    Attributes:
        name: as in `Model(loss=name)`.
        value: `(o (d_L,), y (d_L,)) -> ()`.
        gradient: its derivative with respect to o, `(d_L,)`.
        hessian_factor: `(o, y) -> S (d_L, k)`, S S^T its Hessian in o, or None: then the readings that need it refuse.
        reduction: over the batch, `"mean"` or `"sum"`.
        targets: what y holds: `"values"`, `"classes"` (integer labels `(n,)`, or one-hot rows), `"binary"` (0 or 1) or
            `"signs"` (-1 or 1). It decides what `accuracy` counts.
        reads: what o holds: `"values"`, `"probabilities"` or `"logits"`.
        hessian_product: `(o, y, v (d_L,)) -> S S^T v` without making S; None multiplies by S.
        factor_product: `(o, y, e (k,)) -> S e`, likewise.
    """

    name: str
    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    hessian_factor: Callable[[Array, Array], Array] | None = None
    reduction: Literal["mean", "sum"] = "mean"
    targets: Literal["values", "classes", "binary", "signs"] = "values"
    reads: Literal["values", "probabilities", "logits"] = "values"
    hessian_product: Callable[[Array, Array, Array], Array] | None = None
    factor_product: Callable[[Array, Array, Array], Array] | None = None

    def __post_init__(self) -> None:
        """Check the words, each of which would otherwise be taken for another in silence."""
        words = {
            "reduction": ("mean", "sum"),
            "targets": ("values", "classes", "binary", "signs"),
            "reads": ("values", "probabilities", "logits"),
        }
        for field, known in words.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}; got {getattr(self, field)!r}.")


def coefficients(loss: Loss, n: int, weights: Array | None, dtype: jnp.dtype) -> Array:
    """Turn the reduction and the sample weights into numbers c with loss = sum_n c_n loss_n (eq. 3).

    Mean: c_n = w_n / sum_m w_m, and 0 where the weights sum to 0. Sum: c_n = w_n. Without weights w_n = 1.

    Args:
        loss: the loss, for its reduction.
        n: how many examples there are.
        weights: `(n,)` sample weights, or None.
        dtype: of the result.

    Returns:
        `(n,)`.
    """
    if weights is None:
        return jnp.full(n, 1 / max(n, 1) if loss.reduction == "mean" else 1, dtype)
    if loss.reduction == "sum":
        return weights.astype(dtype)
    weights = weights.astype(_wide(dtype))
    total = jnp.sum(weights)
    return jnp.where(total == 0, 0, weights / jnp.where(total == 0, 1, total)).astype(dtype)


def widened(a: Array) -> Array:
    """Return the array in at least float32, for sums over many.

    Args:
        a: floating-point numbers.
    """
    return a.astype(_wide(a.dtype))


def _wide(dtype: jnp.dtype) -> jnp.dtype:
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def each(loss: Loss, outputs: Array, y: Array) -> Array:
    """Return the one-example losses loss_n.

    Args:
        loss: the loss.
        outputs: a_L `(n, d_L)`.
        y: `(n, d_L)` targets.

    Returns:
        `(n,)`.

    Raises:
        ValueError: If the loss's `value` of one example is not a scalar.
    """
    values = jax.vmap(loss.value)(outputs, y)
    return _of_shape(loss, "value", values, outputs.shape[:1], "Sum over the outputs.")


def each_gradient(loss: Loss, outputs: Array, y: Array) -> Array:
    """Return the derivatives of the one-example losses in the outputs, where eq. 4 starts.

    Args:
        loss: the loss.
        outputs: a_L `(n, d_L)`.
        y: `(n, d_L)` targets.

    Returns:
        `(n, d_L)`.

    Raises:
        ValueError: If the loss's `gradient` of one example does not have the outputs' shape.
    """
    return _of_shape(loss, "gradient", jax.vmap(loss.gradient)(outputs, y), outputs.shape)


def each_hessian_product(loss: Loss, outputs: Array, y: Array, v: Array) -> Array:
    """Return the Hessians of the one-example losses in the outputs, each times a vector.

    Args:
        loss: the loss.
        outputs: a_L `(n, d_L)`.
        y: `(n, d_L)` targets.
        v: `(n, d_L)`.

    Returns:
        `(n, d_L)`.

    Raises:
        ValueError: If the loss has no `hessian_factor`, or what it has is of the wrong shape.
    """
    if loss.hessian_product is not None:
        return _of_shape(loss, "hessian_product", jax.vmap(loss.hessian_product)(outputs, y, v), outputs.shape)
    count_factor_columns(loss, outputs, y)  # for its check
    factor = _need_factor(loss)

    def product(one: tuple[Array, Array, Array]) -> Array:
        o, y, v = one
        S = factor(o, y)
        return S @ (S.T @ v)

    return jax.lax.map(product, (outputs, y, v), batch_size=BLOCK)


def count_factor_columns(loss: Loss, outputs: Array, y: Array) -> int:
    """Return k, the number of columns of S.

    Args:
        loss: the loss.
        outputs: a_L `(n, d_L)`.
        y: `(n, d_L)` targets.

    Raises:
        ValueError: If the loss has no `hessian_factor`, or it is not a matrix with a row for each output.
    """
    one = jax.ShapeDtypeStruct(outputs.shape[1:], outputs.dtype)
    S = jax.eval_shape(_need_factor(loss), one, one)
    shape = getattr(S, "shape", None)
    if shape is None or len(shape) != 2 or shape[:1] != one.shape:
        raise ValueError(
            f"the hessian_factor of loss {loss.name!r} must have shape ({one.shape[0]}, k) for one example, "
            f"a row for each output; got {type(S).__name__ if shape is None else shape}."
        )
    return shape[1]


def each_factor_product(loss: Loss, outputs: Array, y: Array, e: Array) -> Array:
    """Return S e for every example; of one's own loss, some S are made at a time.

    Args:
        loss: the loss.
        outputs: a_L `(n, d_L)`.
        y: `(n, d_L)` targets.
        e: `(n, k)`.

    Returns:
        `(n, d_L)`.

    Raises:
        ValueError: If the loss has no `hessian_factor`, or its `factor_product` is of the wrong shape.
    """
    if loss.factor_product is not None:
        return _of_shape(loss, "factor_product", jax.vmap(loss.factor_product)(outputs, y, e), outputs.shape)
    factor = _need_factor(loss)
    return jax.lax.map(lambda one: factor(one[0], one[1]) @ one[2], (outputs, y, e), batch_size=BLOCK)


def _of_shape(loss: Loss, part: str, got: Array, shape: tuple[int, ...], fix: str = "") -> Array:
    """What one's own loss makes of n examples, checked: another shape might broadcast in silence."""
    if getattr(got, "shape", None) != shape:
        one = f"shape {got.shape[1:]}" if hasattr(got, "shape") else type(got).__name__
        raise ValueError(
            f"the {part} of loss {loss.name!r} must have shape {shape[1:]} for one example; got {one}. {fix}".rstrip()
        )
    return got


def _need_factor(loss: Loss) -> Callable[[Array, Array], Array]:
    if loss.hessian_factor is None:
        raise ValueError(
            f"loss {loss.name!r} must have a hessian_factor for this reading; got None. "
            f"Write Loss(name, value, gradient, hessian_factor), where S = hessian_factor(o, y) has S S^T the Hessian."
        )
    return loss.hessian_factor


def _separable(
    name: str,
    value: Callable[[Array, Array], Array],
    gradient: Callable[[Array, Array], Array],
    root: Callable[[Array, Array], Array],
    **kinds: Any,
) -> Loss:
    """Make a loss that is a sum over outputs: S is diagonal, `root(o, y) (d_L,)` the roots of the second derivatives.

    Roots, as they are finite where the second derivatives overflow: 1 / p, and not 1 / p**2.
    """
    products = {"hessian_product": _Diagonal(root, 2), "factor_product": _Diagonal(root, 1)}
    return Loss(name, value, gradient, _Diagonal(root, 0), **products, **kinds)


@dataclass(frozen=True)
class _Diagonal:  # no closures, which could not be pickled
    root: Callable[[Array, Array], Array]
    times: int  # that a vector is multiplied; 0 for the matrix itself

    def __call__(self, o: Array, y: Array, v: Array | None = None) -> Array:
        root = self.root(o, y)
        if v is None:
            return jnp.diag(root)
        return root * (root * v) if self.times == 2 else root * v


def _mean_squared_error(o: Array, y: Array) -> Array:
    return jnp.mean((o - y) ** 2)


def _mean_squared_error_gradient(o: Array, y: Array) -> Array:
    return 2 * (o - y) / o.size


def _mean_squared_error_root(o: Array, y: Array) -> Array:
    return jnp.full_like(o, (2 / o.size) ** 0.5)


mean_squared_error = _separable(
    "mean_squared_error", _mean_squared_error, _mean_squared_error_gradient, _mean_squared_error_root
)
"""mean_j (o_j - y_j)**2"""


def _half_squared_error(o: Array, y: Array) -> Array:
    return jnp.sum((o - y) ** 2) / 2


def _half_squared_error_gradient(o: Array, y: Array) -> Array:
    return o - y


def _half_squared_error_root(o: Array, y: Array) -> Array:
    return jnp.ones_like(o)


half_squared_error = _separable(
    "half_squared_error", _half_squared_error, _half_squared_error_gradient, _half_squared_error_root
)
"""sum_j (o_j - y_j)**2 / 2"""


def _sum_squared_error(o: Array, y: Array) -> Array:
    return jnp.sum((o - y) ** 2)


def _sum_squared_error_gradient(o: Array, y: Array) -> Array:
    return 2 * (o - y)


def _sum_squared_error_root(o: Array, y: Array) -> Array:
    return jnp.full_like(o, 2**0.5)


sum_squared_error = _separable(
    "sum_squared_error",
    _sum_squared_error,
    _sum_squared_error_gradient,
    _sum_squared_error_root,
    reduction="sum",
)
"""sum_j (o_j - y_j)**2, summed over the batch too"""


def _log(p: Array, least: float) -> Array:
    """log p, and the log of the least positive p there is where p has been rounded to 0."""
    return jnp.log(jnp.where(p == 0, least, p))


def _log_derivative(p: Array) -> Array:
    return jnp.where(p == 0, 0, 1 / jnp.where(p == 0, 1, p))


def _binary_cross_entropy(o: Array, y: Array) -> Array:
    # The least p is the dtype's smallest number; the least 1 - p is the gap between 1 and the number below it.
    least = jnp.finfo(o.dtype)
    return -jnp.sum(y * _log(o, float(least.tiny)) + (1 - y) * _log(1 - o, float(least.epsneg)))


def _binary_cross_entropy_gradient(o: Array, y: Array) -> Array:
    return (1 - y) * _log_derivative(1 - o) - y * _log_derivative(o)


def _binary_cross_entropy_root(o: Array, y: Array) -> Array:
    below, above = jnp.sqrt(1 - y) * _log_derivative(1 - o), jnp.sqrt(y) * _log_derivative(o)
    flat = (below == 0) & (above == 0)  # where hypot has no derivative
    return jnp.where(flat, 0, jnp.hypot(jnp.where(flat, 1, below), above))


binary_cross_entropy = _separable(
    "binary_cross_entropy",
    _binary_cross_entropy,
    _binary_cross_entropy_gradient,
    _binary_cross_entropy_root,
    targets="binary",
    reads="probabilities",
)
"""-sum_j (y_j log o_j + (1 - y_j) log(1 - o_j)); its gradient is (o - y) / (o (1 - o)).

Exact while o is not rounded to 0 or 1; there the loss is finite and its gradient 0. `sigmoid_cross_entropy` has no
such limit."""


def _categorical_cross_entropy(o: Array, y: Array) -> Array:
    return -jnp.sum(y * _log(o, float(jnp.finfo(o.dtype).tiny)))


def _categorical_cross_entropy_gradient(o: Array, y: Array) -> Array:
    return -y * _log_derivative(o)


def _categorical_cross_entropy_root(o: Array, y: Array) -> Array:
    return jnp.sqrt(y) * _log_derivative(o)


categorical_cross_entropy = _separable(
    "categorical_cross_entropy",
    _categorical_cross_entropy,
    _categorical_cross_entropy_gradient,
    _categorical_cross_entropy_root,
    targets="classes",
    reads="probabilities",
)
"""-sum_j y_j log o_j. Behind a softmax output the two pullbacks compose to p - y (eq. 9).

Exact while o is not rounded to 0; there the loss is finite and its gradient 0. `softmax_cross_entropy` has no such
limit."""


def _sigmoid_cross_entropy(o: Array, y: Array) -> Array:
    return jnp.sum(jax.nn.softplus(o) - y * o)


def _sigmoid_cross_entropy_gradient(o: Array, y: Array) -> Array:
    return jax.nn.sigmoid(o) - y


def _sigmoid_cross_entropy_root(o: Array, y: Array) -> Array:
    """sqrt(p (1 - p)), by the logs: a square root has no derivative where p is rounded to 0."""
    return jnp.exp((jax.nn.log_sigmoid(o) + jax.nn.log_sigmoid(-o)) / 2)


sigmoid_cross_entropy = _separable(
    "sigmoid_cross_entropy",
    _sigmoid_cross_entropy,
    _sigmoid_cross_entropy_gradient,
    _sigmoid_cross_entropy_root,
    targets="binary",
    reads="logits",
)
"""sum_j (log(1 + exp(o_j)) - y_j o_j), which is binary cross-entropy of sigmoid(o), stable"""


def _softmax_cross_entropy(o: Array, y: Array) -> Array:
    return -jnp.sum(y * _log_softmax(o).astype(o.dtype))


def _softmax_cross_entropy_gradient(o: Array, y: Array) -> Array:
    e = jnp.exp(o - jnp.max(o))
    share = widened(jnp.sum(y)) / jnp.sum(widened(e))  # both sums go into one fused loop
    return e * share.astype(o.dtype) - y  # softmax(o) sum_j y_j - y


def _softmax_cross_entropy_factor(o: Array, y: Array) -> Array:
    """S = (diag(p) - p p^T) diag(p)^(-1/2), times sqrt(sum_j y_j): S S^T = (diag(p) - p p^T) sum_j y_j."""
    root = _softmax_root(o)
    return jnp.sqrt(jnp.sum(y)) * (jnp.diag(root) - (root * root)[:, None] * root[None, :])


def _softmax_cross_entropy_hessian_product(o: Array, y: Array, v: Array) -> Array:
    """p * (v - p.v) sum_j y_j, with p = e / sum_j e_j; the sums are of e, so that neither waits for p."""
    e = jnp.exp(o - jnp.max(o))
    total = jnp.sum(widened(e))
    mean = (jnp.sum(widened(e * v)) / total).astype(o.dtype)
    return e * (widened(jnp.sum(y)) / total).astype(o.dtype) * (v - mean)


def _softmax_cross_entropy_factor_product(o: Array, y: Array, e: Array) -> Array:
    root = _softmax_root(o)
    return jnp.sqrt(jnp.sum(y)) * root * (e - root * jnp.sum(root * e))


def _softmax_root(o: Array) -> Array:
    """sqrt(p), by the logs: a square root has no derivative where p is rounded to 0."""
    return jnp.exp(_log_softmax(o) / 2).astype(o.dtype)


def _log_softmax(o: Array) -> Array:
    """log p in at least float32: in halves the sum of exp(o_j) over many classes would overflow."""
    return jax.nn.log_softmax(widened(o))


softmax_cross_entropy = Loss(
    "softmax_cross_entropy",
    _softmax_cross_entropy,
    _softmax_cross_entropy_gradient,
    _softmax_cross_entropy_factor,
    targets="classes",
    reads="logits",
    hessian_product=_softmax_cross_entropy_hessian_product,
    factor_product=_softmax_cross_entropy_factor_product,
)
"""-sum_j y_j log softmax(o)_j, which is categorical cross-entropy of softmax(o), stable.

Its gradient is p sum_j y_j - y, which is p - y (eq. 9) where the targets sum to 1."""


def _hinge(o: Array, y: Array) -> Array:
    return jnp.sum(jax.nn.relu(1 - y * o))


def _hinge_gradient(o: Array, y: Array) -> Array:
    return jnp.where(y * o < 1, -y, 0)


def _hinge_root(o: Array, y: Array) -> Array:
    return jnp.zeros_like(o)


hinge = _separable("hinge", _hinge, _hinge_gradient, _hinge_root, targets="signs")
"""sum_j max(0, 1 - y_j o_j), y = -1 or 1"""


def _huber(o: Array, y: Array) -> Array:
    r = o - y
    return jnp.sum(jnp.where(jnp.abs(r) <= 1, r * r / 2, jnp.abs(r) - 0.5))


def _huber_gradient(o: Array, y: Array) -> Array:
    return jnp.clip(o - y, -1, 1)


def _huber_root(o: Array, y: Array) -> Array:
    return (jnp.abs(o - y) <= 1).astype(o.dtype)


huber = _separable("huber", _huber, _huber_gradient, _huber_root)
"""sum_j (r_j**2 / 2 where abs(r_j) <= 1, else abs(r_j) - 1/2), of r = o - y"""


def _poisson_nll(o: Array, y: Array) -> Array:
    return jnp.sum(jnp.exp(o) - y * o)


def _poisson_nll_gradient(o: Array, y: Array) -> Array:
    return jnp.exp(o) - y


def _poisson_nll_root(o: Array, y: Array) -> Array:
    return jnp.exp(o / 2)


poisson_nll = _separable("poisson_nll", _poisson_nll, _poisson_nll_gradient, _poisson_nll_root)
"""sum_j (exp(o_j) - y_j o_j), o the log of the rate; without log y!, which no parameter changes"""


KNOWN = {
    loss.name: loss
    for loss in (
        mean_squared_error, half_squared_error, sum_squared_error, binary_cross_entropy, categorical_cross_entropy,
        sigmoid_cross_entropy, softmax_cross_entropy, hinge, huber, poisson_nll,
    )
}  # fmt: skip
"""Every loss that has a name."""
