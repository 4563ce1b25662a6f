"""One batch on many devices: each takes its share, and one sum makes the gradient whole."""

import contextlib
import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmlp import checks
from jaxmlp.losses import widened
from jaxmlp.model import Model, check_batch
from jaxmlp.training.steps import ValueAndGrad
from jaxmlp.types import Array, ArrayLike, Params


def data_parallel(value_and_grad: ValueAndGrad, mesh: Mesh, axis: str = "data") -> ValueAndGrad:
    """Make a `value_and_grad` that shares the batch among devices; it fits in wherever the other one does.

    With k devices, and share s of the examples having the loss f_s, the gradient g_s and the weight w_s (the sum of
    its sample weights; without weights 1, the shares being equal),

        loss = sum_s w_s f_s / sum_s w_s,  gradient = sum_s w_s g_s / sum_s w_s

    for a mean loss, and the plain sums for a sum loss: what one device returns, but for rounding. All three sums are
    one `psum`. Where k does not divide n, the last example is repeated with weight 0. The parameters are whole on every
    device.

    Args:
        value_and_grad: by hand (`jaxmlp.value_and_grad`), by autodiff (`jax.value_and_grad(jaxmlp.loss)`), or one's
            own, called as `value_and_grad(params, x, y, model, weights=...)`, which must heed the weights. A weight
            penalty in it counts once with a mean loss, k times with a sum loss.
        mesh: of devices, its axes of any type; along other axes than `axis` the devices do the same work.
        axis: that the batch is shared along.

    Returns:
        `(params, x, y, model, *, weights=None) -> (loss, gradient)`, jitted; equal arguments make equal functions, so
        that a second one compiles nothing. The batch may lie in host memory or on the mesh, and outside of jit on any
        device; the results lie whole on every device of the mesh. A training step compiles again at its second call,
        when its state has come to lie there, unless it does from the first, by
        `jax.device_put(state, NamedSharding(mesh, P()))`.

    Raises:
        ValueError: If the mesh has no such axis; when called: as `value_and_grad` does, or if a weight is negative
            (shares of the batch could then weigh nothing), or inside `jax.shard_map`, whose devices are taken.
        TypeError: If `mesh` is not a `jax.sharding.Mesh`.

    Example:
        >>> import jax, jaxmlp
        >>> mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, mesh)
        >>> x = jax.numpy.linspace(-1, 1, 30)[:, None]
        >>> params = jaxmlp.init_mlp(jax.random.key(0), (1, 8, 1))
        >>> loss, gradient = sharded(params, x, x**2)
        >>> bool(jax.numpy.allclose(loss, jaxmlp.loss(params, x, x**2)))
        True
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh; got {mesh!r:.60}. jax.make_mesh makes one.")
    if axis not in mesh.axis_names:
        raise ValueError(f"axis must be one of the mesh's, {', '.join(map(repr, mesh.axis_names))}; got {axis!r}.")
    return _DataParallel(value_and_grad, mesh, axis)


@dataclass(frozen=True)
class _DataParallel:
    """What `data_parallel` returns: a function that is equal to another one of the same fields."""

    value_and_grad: ValueAndGrad
    mesh: Mesh
    axis: str

    def __call__(
        self,
        params: Params,
        x: ArrayLike,
        y: ArrayLike,
        model: Model = Model(),
        *,
        weights: ArrayLike | None = None,
    ) -> tuple[Array, Any]:
        x, y, w = check_batch(params, x, y, model, weights)  # here, while labels are concrete
        known = None if w is None else checks.concrete(w)
        if known is not None and np.any(known < 0):
            raise ValueError(f"weights must not be negative where a batch is shared; got {known.min()}.")
        if inside_shard_map():
            raise ValueError(
                "data_parallel must not stand inside jax.shard_map or ensemble_map, which have shared the devices out. "
                "Write the plain value_and_grad there."
            )
        arrays = jax.tree.map(lambda a: placed_on(self.mesh, a), (params, x, y, w))
        with own_context(self.mesh, arrays, "data_parallel"):
            return _sharded(*arrays, model, self.value_and_grad, self.mesh, self.axis)


def inside_shard_map() -> bool:
    """Return whether what is being traced runs once on each device of some mesh."""
    return AxisType.Manual in jax.sharding.get_abstract_mesh().axis_types


def placed_on(mesh: Mesh, a: Any) -> Any:
    """Return an array that lies on the mesh's devices, or that jit is free to move there.

    Args:
        mesh: where it is wanted.
        a: any array; one that is traced, or that other processes hold parts of, stays as it is.
    """
    if isinstance(a, jax.core.Tracer) or not getattr(a, "committed", False) or not a.is_fully_addressable:
        return a
    if getattr(a.sharding, "mesh", None) == mesh:
        return a
    return jax.device_put(a, NamedSharding(mesh, P()))


def own_context(mesh: Mesh, arguments: Any, name: str) -> contextlib.AbstractContextManager:
    """Return a context in which the mesh may be used, where the caller has set another one.

    Args:
        mesh: to use.
        arguments: to tell by whether this is being traced, when the context can no longer be changed.
        name: of the function, for the message.

    Raises:
        ValueError: If it is.
    """
    context = jax.sharding.get_abstract_mesh()
    if context.empty or context == mesh.abstract_mesh or inside_shard_map():
        return contextlib.nullcontext()
    if any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(arguments)):
        raise ValueError(
            f"{name} must be called outside of jit where another mesh than its own is set; got {context} from "
            f"jax.set_mesh, and its own is {mesh.abstract_mesh}. Write jax.set_mesh with that mesh, or without any."
        )
    return jax.set_mesh(mesh)


@functools.partial(jax.jit, static_argnames=("value_and_grad", "mesh", "axis"))
def _sharded(
    params: Params,
    x: Array,
    y: Array,
    weights: Array | None,
    model: Model,
    value_and_grad: ValueAndGrad,
    mesh: Mesh,
    axis: str,
) -> tuple[Array, Any]:
    n, dtype = x.shape[0], params[0][0].dtype
    padding = -n % mesh.shape[axis]
    if padding:
        weights = jnp.ones(n, dtype) if weights is None else weights
        x, y = (_padded(_placed(a, mesh, P()), padding, "edge") for a in (x, y))
        weights = _padded(_placed(weights, mesh, P()), padding, "constant")

    def one_share(params: Params, x: Array, y: Array, weights: Array | None) -> tuple[Array, Any]:
        results = value_and_grad(params, x, y, model, weights=weights)
        if model.loss_function.reduction == "sum":
            return jax.lax.psum(results, axis)
        weight = jnp.sum(widened(jnp.ones(1, dtype) if weights is None else weights.astype(dtype)))
        weighted = jax.tree.map(lambda a: widened(a) * weight, results)
        sums, total = jax.lax.psum((weighted, weight), axis)
        total = jnp.where(total == 0, 1, total)
        return jax.tree.map(lambda a, s: (s / total).astype(a.dtype), results, sums)

    batch = jax.tree.map(lambda a: _placed(a, mesh, P(axis)), (x, y, weights))
    params = jax.tree.map(lambda p: _placed(p, mesh, P()), params)
    # Unchecked: were the parameters known to be the same everywhere, autodiff would sum over the devices by itself.
    return jax.shard_map(
        one_share, mesh=mesh, in_specs=(P(), P(axis), P(axis), P(axis)), out_specs=P(), check_vma=False
    )(params, *batch)


def _placed(a: Array, mesh: Mesh, spec: P) -> Array:
    """The array, laid out as a mesh with explicit axes wants it said; other axes are left to the compiler."""
    explicit = {name for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if kind == AxisType.Explicit}
    if not explicit:
        return a
    return jax.sharding.reshard(a, NamedSharding(mesh, P(*(name if name in explicit else None for name in spec))))


def _padded(a: Array, padding: int, mode: str) -> Array:
    """The array with some rows more."""
    return jnp.pad(a, [(0, padding)] + [(0, 0)] * (a.ndim - 1), mode=mode)
