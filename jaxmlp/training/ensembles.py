"""Many networks in one program: members side by side, shared among devices, in chunks that stay in cache."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmlp import checks
from jaxmlp.model import init_mlp
from jaxmlp.training.sharding import inside_shard_map, own_context, placed_on
from jaxmlp.types import Array

# Measured, as `ensemble_map` says:
CACHE = 100 * 1024  # bytes that the largest array of a chunk may take
FEWEST = 4  # members that are worth a chunk; products of two or three at once take longer than one by one
ALONE = 1.4  # what a member costs one by one, of what it costs in a chunk


def ensemble_map(
    fn: Callable[..., Any], *, chunk_size: int | None = None, devices: Sequence[Any] | None = None
) -> Callable[..., Any]:
    """Map a function of one member over many: `jax.vmap`, shared among devices and taken in chunks.

    Works on whatever takes arrays and returns arrays: `train`, `init_mlp`, any reading. A hyper-parameter is an axis
    like any other: a learning rate, a momentum, an initial scale, a weight for each example. The members do not depend
    on one another, so no device waits for another, and any number of members will do: the last one is repeated until
    the devices' shares are equal, and what it makes is cut off.

    On a CPU, one device uses the cores well only for large products. Cores become devices before anything is computed:

        jax.config.update("jax_num_cpu_devices", 2)  # or the environment variable JAX_NUM_CPU_DEVICES=2

    Args:
        fn: takes and returns any trees of arrays, without the axis of members; pure. What all members share, such as
            the data, it closes over.
        chunk_size: how many members are computed at once on a device, at most. None takes a power of two from 4 on,
            such that the largest array which `fn` makes, times the members, fits into 100 KB, and few members are
            repeated; or one at a time where none is. Measured on two cores of 1 MB of second-level cache, with
            networks from (2, 16, 16, 2) to (64, 256, 256, 10) and batches from 10 to 1,000
            (`examples/benchmarks/ensemble.py --chunks`): it is within 21 % of the best chunk for each, 6 % in the
            geometric mean; below 10 KB a member 8 to 32 are best, by a factor of 1.4 and more, and above 30 KB large
            chunks lose up to a factor of 2. On a GPU or TPU, whose memory is as near to all of them, write a number as
            large as there are members.
        devices: to share the members among; None takes all of this process.

    Returns:
        A jitted function of the same arguments, each leaf of which has a leading axis of members, `(members, ...)`. It
        returns what `fn` returns with that axis in front, in order. Keep it: as with `jax.jit`, each new one of the
        same `fn` compiles anew. Inside another `ensemble_map`, or `jax.shard_map`, it takes only the device it is on.

    Raises:
        ValueError: If `chunk_size` is not a positive integer, or `devices` are none; when called: if no argument is an
            array, or the leading axes differ.
        TypeError: If `fn` is no function.

    Example:
        >>> import jax, jaxmlp
        >>> x = jax.numpy.linspace(-1, 1, 32)[:, None]
        >>> model = jaxmlp.Model("tanh")
        >>> def run(params, learning_rate, key):
        ...     optimizer = jaxmlp.optimizers.sgd(learning_rate)
        ...     state = jaxmlp.init_state(params, optimizer, key)
        ...     return jaxmlp.train(state, x, x**2, model, optimizer, epochs=50, batch_size=8)
        >>> params = jaxmlp.init_ensemble(jax.random.key(0), 6, (1, 8, 1))
        >>> rates = jax.numpy.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
        >>> states, losses = jaxmlp.ensemble_map(run)(params, rates, jax.random.split(jax.random.key(1), 6))
        >>> losses.shape, bool(losses[5, -1] < losses[0, -1])
        ((6, 50), True)
    """
    if not callable(fn):
        raise TypeError(f"fn must be a function of one member; got {fn!r:.60}.")
    if chunk_size is not None:
        checks.check_count("chunk_size", chunk_size, 1)
    named = None if devices is None else list(np.ravel(np.asarray(devices, object)))
    if named is not None and (not named or not all(isinstance(d, jax.Device) for d in named)):
        raise ValueError(
            f"devices must name at least one device, such as jax.devices()[:2]; got {named}. "
            f"Write devices=None for all of them."
        )

    def members_mesh(members: int) -> Mesh:
        some = jax.local_devices() if named is None else named  # not before the call: it would start the backend
        return Mesh(np.array(some[: max(1, members)]), ("members",), axis_types=(AxisType.Auto,))

    @jax.jit
    @functools.wraps(fn)
    def jitted(*args: Any, **kwargs: Any) -> Any:
        everything = args, kwargs
        members = _count_members(everything)

        def one(everything: Any) -> Any:
            args, kwargs = everything
            return fn(*args, **kwargs)

        if members == 0:
            return jax.vmap(one)(everything)
        mesh = members_mesh(members)
        alone = inside_shard_map()  # as in another ensemble_map: the devices are shared out already
        n_devices = 1 if alone else mesh.size
        share = -(-members // n_devices)
        if chunk_size is None:
            chunk = _default_chunk(share, CACHE // _largest_array(one, everything))
            chunks = -(-share // chunk)
        else:
            chunks = -(-share // chunk_size)
            chunk = -(-share // chunks)  # as even as can be

        def in_chunks(everything: Any) -> Any:  # (chunks * chunk, ...) on each device
            return jax.lax.map(one, everything, batch_size=chunk if chunk > 1 else None)

        total = n_devices * chunks * chunk
        if total > members:
            rows = np.minimum(np.arange(total), members - 1)
            everything = jax.tree.map(lambda a: a[rows], everything)
        if alone:
            return jax.tree.map(lambda a: a[:members], in_chunks(everything))
        # Unchecked, since nothing is exchanged, and `fn` may scan from a constant.
        results = jax.shard_map(in_chunks, mesh=mesh, in_specs=P("members"), out_specs=P("members"), check_vma=False)(
            everything
        )
        if total == members:
            return results
        # Whole on every device: jax 0.9.2 has no name for what XLA makes of a number that the devices do not divide.
        return jax.lax.with_sharding_constraint(jax.tree.map(lambda a: a[:members], results), NamedSharding(mesh, P()))

    @functools.wraps(fn)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        mesh = members_mesh(_count_members((args, kwargs)))
        args, kwargs = jax.tree.map(lambda a: placed_on(mesh, a), (args, kwargs))
        with own_context(mesh, (args, kwargs), "ensemble_map"):
            return jitted(*args, **kwargs)

    mapped.lower, mapped.trace = jitted.lower, jitted.trace  # type: ignore[attr-defined]  # as `jax.export` wants them
    return mapped


def init_ensemble(key: Array, members: int, sizes: Sequence[int], **kwargs: Any) -> list[tuple[Array, Array]]:
    """Draw the parameters of many networks.

    Args:
        key: a PRNG key; member i is `init_mlp(jax.random.split(key, members)[i], sizes, **kwargs)`.
        members: how many.
        sizes: `(d_0, ..., d_L)`, the widths of each.
        **kwargs: as `init_mlp` takes them.

    Returns:
        `[(W_1, b_1), ..., (W_L, b_L)]`, `W_l (members, d_{l-1}, d_l)`, `b_l (members, d_l)`.

    Raises:
        ValueError: If `members` is not a positive integer, or `init_mlp` refuses an argument.

    Example:
        >>> import jax
        >>> [(W.shape, b.shape) for W, b in init_ensemble(jax.random.key(0), 100, (3, 4, 1))]
        [((100, 3, 4), (100, 4)), ((100, 4, 1), (100, 1))]
    """
    checks.check_key(key)
    checks.check_count("members", members, 1)
    return jax.vmap(lambda key: init_mlp(key, sizes, **kwargs))(jax.random.split(key, members))


def _count_members(tree: Any) -> int:
    """The length of the leading axis that all leaves share."""
    shapes = {np.shape(leaf) for leaf in jax.tree.leaves(tree)}
    lengths = {shape[0] for shape in shapes if shape}
    if len(lengths) != 1 or () in shapes:
        raise ValueError(
            f"every argument must be arrays of one leading axis, the members; got the shapes {sorted(shapes)}. "
            f"What all members share, the function closes over; a list of numbers becomes one array by jnp.array."
        )
    return lengths.pop()


def _default_chunk(share: int, fitting: int) -> int:
    """The chunk that costs a device least for its share of the members, of those that fit into cache."""
    powers = [2**i for i in range(fitting.bit_length()) if FEWEST <= 2**i <= min(fitting, share)]
    costs = {1: ALONE * share, **{chunk: -(-share // chunk) * chunk for chunk in powers}}
    return min(costs, key=lambda chunk: (costs[chunk], -chunk))


def _largest_array(one: Callable[[Any], Any], everything: Any) -> int:
    """The bytes of the largest array that `one` makes of one member."""
    member = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), everything)
    return max(_sizes(jax.make_jaxpr(one)(member).jaxpr), default=1)


def _sizes(jaxpr: Any) -> Iterator[int]:
    """The bytes of every array that a program makes, those inside its loops included."""
    for equation in jaxpr.eqns:
        inner = [getattr(p, "jaxpr", p) for p in jax.tree.leaves(list(equation.params.values()))]
        inner = [p for p in inner if hasattr(p, "eqns")]
        for program in inner:
            yield from _sizes(program)
        if not inner:
            yield from (max(1, v.aval.size * v.aval.dtype.itemsize) for v in equation.outvars)
