"""Three witnesses for one gradient: by hand, by JAX's autodiff, by finite differences."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop
from jaxmlp import model as network
from jaxmlp.dense import dense_vjp_params
from jaxmlp.model import Model
from jaxmlp.types import Array, ArrayLike, Params

STEP = 1e-7
ASIDE = 1e-4  # how far from params the finite difference is taken, relative
ROUNDING = 1e-14  # of numbers in float64, relative: some fifty units in the last place
TOLERANCE = 1e-6


class LeafCheck(NamedTuple):
    """One row of a `GradientReport`: one parameter X of one layer, seen three ways.

    The derivatives along a direction are taken at P, a point close to `params`: where many units stand exactly at a
    kink, as with zero biases, no finite difference means anything, and a step aside none of them does.

    Attributes:
        layer: counted from 1, as in the equations.
        parameter: `"W"` or `"b"`.
        shape: of X.
        hand: sum(v * dX) at P, the derivative of the loss along a fixed direction v of signs, dX written by hand.
        autodiff: the same, dX from `jax.grad`.
        finite_difference: (loss(X + h v) - loss(X - h v)) / 2h at P, h = 1e-7.
        uncertainty: what the finite difference may be off by: abs(loss(X + h v) - 2 loss(X) + loss(X - h v)) / 2h, the
            most that one kink within the step can do, and the rounding of the losses, over h.
        error: at `params`, the largest abs(dX by hand - dX by autodiff) of any entry, relative to the terms that the
            entry is a sum of, sum_n abs(a[n] c_n delta[n]), and 1e-8 of what derivatives of the outputs' size would
            make there; so rounding stays small where the terms cancel, or a network has converged.
        difference_error: abs(hand - finite_difference) beyond the uncertainty, relative to the norm of dX.
    """

    layer: int
    parameter: str
    shape: tuple[int, ...]
    hand: float
    autodiff: float
    finite_difference: float
    uncertainty: float
    error: float
    difference_error: float


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found; `print` shows a table.

    Attributes:
        rows: one `LeafCheck` for each W and b, first layer first.
        loss: by `jaxmlp.loss`.
        loss_error: abs(the loss that came with the gradient - loss), relative to abs(loss) + 1e-8 times the outputs'
            size, sum_n c_n max_j abs(o_j), so that a loss of rounding alone is no disagreement.
        tolerance: the error from which on they disagree.
    """

    rows: tuple[LeafCheck, ...]
    loss: float
    loss_error: float
    tolerance: float = TOLERANCE

    @property
    def max_error(self) -> float:
        """The largest error of the loss, or of any row against autodiff or finite differences."""
        return float(np.max([self.loss_error, *(e for row in self.rows for e in (row.error, row.difference_error))]))

    @property
    def ok(self) -> bool:
        """Whether all three agree everywhere; an error that is nan is no agreement."""
        return self.max_error <= self.tolerance

    def __str__(self) -> str:
        """Return the table."""
        numbers = f"{'hand':>13} {'autodiff':>13} {'finite difference':>23}"
        lines = [
            f"loss {self.loss:.6e}, error {self.loss_error:.1e}; its derivative along a direction v in each parameter:",
            f"layer    {'shape':<12} {numbers} {'error':>8} {'f.d. error':>10}",
        ]
        for row in self.rows:
            difference = f"{row.finite_difference:.6e} +- {row.uncertainty:.0e}"
            lines.append(
                f"{row.layer:>5} {row.parameter}  {row.shape!s:<12} {row.hand:>13.6e} {row.autodiff:>13.6e} "
                f"{difference:>23} {row.error:>8.1e} {row.difference_error:>10.1e}"
            )
        verdict = "agree" if self.ok else "DISAGREE"
        lines.append(f"hand, autodiff and finite differences {verdict}; largest error {self.max_error:.1e}")
        return "\n".join(lines)


def check_gradients(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model = Model(),
    *,
    weights: ArrayLike | None = None,
    value_and_grad: Callable[..., tuple[Array, Any]] = backprop.value_and_grad,
) -> GradientReport:
    """Compare the hand-written gradient with autodiff's and with central finite differences.

    All three are taken in float64, whatever the dtype of `params`: what is left between them is a mistake, not
    rounding. Hand and autodiff are compared entry by entry; the finite difference moves each W and b along one fixed
    direction of signs, at a point a ten-thousandth aside.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`, concrete arrays.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights; None weighs all alike.
        value_and_grad: what to check, if not the library's own.

    Returns:
        A `GradientReport`: `.ok`, `.max_error`, `.rows`, and a table where printed. It costs six gradients and
        four forward passes for each layer, and compiles four programs.

    Raises:
        ValueError: If a shape or dtype does not fit, a label is not a valid class, the arrays are traced, or the
            gradient to check does not have the structure and shapes of `params`.
    """
    network.check_batch(params, x, y, model, weights)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, x, y, weights))):
        raise ValueError("check_gradients needs concrete arrays; got traced ones. Call it outside jit, vmap and grad.")
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        params = jax.tree.map(_float64, params)
        weights = None if weights is None else _float64(weights)
        batch = (_float64(x), jnp.asarray(np.asarray(y)), model)
        value, hand = jax.jit(value_and_grad)(params, *batch, weights=weights)
        autodiff = jax.jit(jax.grad(network.loss))(params, *batch, weights=weights)
        if jax.tree.map(jnp.shape, hand) != jax.tree.map(jnp.shape, autodiff):
            raise ValueError(
                f"the gradient must have the structure and shapes of params, {jax.tree.map(jnp.shape, autodiff)}; "
                f"got {jax.tree.map(jnp.shape, hand)}."
            )
        terms, outputs = jax.jit(_terms)(params, *batch, weights=weights)
        errors = jax.tree.map(_entry_error, hand, autodiff, terms)
        rows = _difference_rows(params, batch, weights, value_and_grad, jax.tree.leaves(errors), float(outputs))
        loss = float(jax.jit(network.loss)(params, *batch, weights=weights))
        loss_error = _relative(abs(float(value) - loss), abs(loss) + ROUNDING / TOLERANCE * float(outputs))
        return GradientReport(rows, loss, loss_error)


def _terms(params: Params, x: Array, y: Array, model: Model, weights: Array | None) -> tuple[Any, Array]:
    """Return the size of the terms that each entry of the gradient sums, and the size of the outputs.

    The terms are abs(a[n] c_n delta[n]), and something for the rounding of the outputs, which is all that is left of
    delta where a network has converged: what derivatives of random sign at the outputs, of ROUNDING / TOLERANCE of
    their size, make of the row of that entry. So an error of TOLERANCE is at least ROUNDING at the outputs.
    """
    tape = backprop.backward(params, x, y, model, weights=weights)
    c = jnp.abs(tape.coefficients)
    layers = zip(tape.inputs, tape.deltas, strict=True)
    sums = [dense_vjp_params(jnp.abs(a), c[:, None] * jnp.abs(delta)) for a, delta in layers]
    size = jnp.sum(c * jnp.max(jnp.abs(tape.outputs), axis=1, initial=0))
    signs = jax.random.rademacher(jax.random.key(0), tape.outputs.shape, jnp.float64)

    def probe(params: Params) -> Array:
        return jnp.sum(c[:, None] * signs * network.forward(params, x, model))

    noise = jax.grad(probe)(params)
    scale = ROUNDING / TOLERANCE * (1 + size)
    terms = [
        (dW + scale * jnp.max(jnp.abs(nW), axis=1, keepdims=True), db + scale * jnp.max(jnp.abs(nb)))
        for (dW, db), (nW, nb) in zip(sums, noise, strict=True)
    ]
    return backprop.same_kind(params, terms), size


def _entry_error(hand: Array, autodiff: Array, terms: Array) -> float:
    """Return the largest error of any entry; nan where there is a nan."""
    difference = np.abs(np.asarray(hand - autodiff))
    size = np.maximum(np.asarray(terms), np.abs(np.asarray(autodiff)))
    return float(np.max(np.where(difference == 0, 0, difference / np.where(size == 0, 1, size))))


def _difference_rows(
    params: Params, batch: tuple, weights: Array | None, value_and_grad: Callable, errors: list[float], outputs: float
) -> tuple[LeafCheck, ...]:
    """Compare with finite differences, a step aside from `params`."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    leaves = [_aside(key, leaf) for key, leaf in zip(keys, leaves, strict=True)]

    def loss(leaves: list[Array]) -> float:
        return float(jax.jit(network.loss)(jax.tree.unflatten(structure, leaves), *batch, weights=weights))

    at = jax.tree.unflatten(structure, leaves)
    here = loss(leaves)
    rounding = ROUNDING * (abs(here) + outputs)
    _, hand = jax.jit(value_and_grad)(at, *batch, weights=weights)
    autodiff = jax.jit(jax.grad(network.loss))(at, *batch, weights=weights)
    rows = []
    for i, (h, g) in enumerate(zip(jax.tree.leaves(hand), jax.tree.leaves(autodiff), strict=True)):
        v = jax.random.rademacher(jax.random.key(i), h.shape, jnp.float64)
        ahead, behind = (loss([*leaves[:i], leaves[i] + s * STEP * v, *leaves[i + 1 :]]) for s in (1, -1))
        slope = (ahead - behind) / (2 * STEP)
        uncertainty = (abs(ahead - 2 * here + behind) / 2 + rounding) / STEP
        by_hand = float(jnp.sum(v * h))
        beyond = float(np.maximum(abs(by_hand - slope) - uncertainty, 0))
        rows.append(
            LeafCheck(
                layer=i // 2 + 1,
                parameter="Wb"[i % 2],
                shape=h.shape,
                hand=by_hand,
                autodiff=float(jnp.sum(v * g)),
                finite_difference=slope,
                uncertainty=uncertainty,
                error=errors[i],
                difference_error=_relative(beyond, float(jnp.linalg.norm(g))),
            )
        )
    return tuple(rows)


def _aside(key: Array, leaf: Array) -> Array:
    """Move every entry by up to ASIDE of the leaf's size, or of 1 where it is zero."""
    size = jnp.sqrt(jnp.mean(leaf**2))
    return leaf + ASIDE * jnp.where(size == 0, 1, size) * jax.random.uniform(key, leaf.shape, leaf.dtype, -1, 1)


def _relative(error: float, size: float) -> float:
    """error / size, and 0 where there is no error, however small the size."""
    return error if error == 0 else error / (size or 1)


def _float64(x: ArrayLike) -> Array:
    return jnp.asarray(np.asarray(x), jnp.float64)
