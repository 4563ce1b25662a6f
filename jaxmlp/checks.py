"""Errors that say what was expected, what came, and how to fix it.

Shapes and dtypes are known while a function is traced, so these checks cost nothing under `jax.jit`. Values are
looked at only where they are concrete.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxmlp.types import Array, ArrayLike, Params


def warn_if_excluded(**versions: str) -> None:
    """Warn, once, where the installed jax computes wrong values.

    Args:
        **versions: of the packages, such as `jaxlib="0.10.2"`.
    """
    excluded = [f"{name} {version}" for name, version in versions.items() if re.match(r"0\.1[01]\.", version)]
    if excluded:
        message = (
            f"{' and '.join(excluded)} may compute wrong values (jax-ml/jax#39103, #40101), and jaxmlp's with them. "
            f'Install another: python -m pip install "jax>=0.9.2,!=0.10.*,!=0.11.*".'
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def look_up(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """Return `known[name]`.

    Args:
        kind: what the name stands for, for the message.
        name: the name to look up.
        known: every name that there is.

    Raises:
        ValueError: If the name is unknown, with the list of known ones.
    """
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; known are: {', '.join(sorted(known))}.")
    return known[name]


def check_sizes(sizes: Sequence[int]) -> None:
    """Check the widths of a network.

    Args:
        sizes: `(d_0, ..., d_L)`, at least two positive integers.

    Raises:
        ValueError: If there are fewer than two, or one is not a positive integer.
        TypeError: If they are not a list or tuple.
    """
    if not isinstance(sizes, list | tuple | np.ndarray):
        raise TypeError(f"sizes must be a list or tuple of integers; got {sizes!r}. Write e.g. [3, 4, 1].")
    if len(sizes) < 2:
        raise ValueError(
            f"sizes must name at least an input and an output width; got {list(sizes)}. Write e.g. [3, 4, 1]."
        )
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"sizes must be positive integers; got {size!r} in {list(sizes)}.")


def check_params(params: Params) -> None:
    """Check that params are `(W, b)` tuples whose shapes chain.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`, a list or a tuple.

    Raises:
        ValueError: If it is empty, a layer is not a `(W, b)` tuple of floating-point arrays, they differ in
            dtype, or two layers do not fit.
    """
    if type(params) not in (list, tuple) or not params:  # a named tuple's structure would be lost
        raise ValueError(
            f"params must be a non-empty list or tuple of (W, b) tuples; got {_brief(params)}. "
            f"`init_mlp(key, sizes)` makes one."
        )
    dtype = None
    for l, layer in enumerate(params):
        if type(layer) is not tuple or len(layer) != 2:
            raise ValueError(
                f"params[{l}] must be a tuple (W, b); got {_brief(layer)}. "
                f"Write [(W, b) for W, b in params], or pass one tuple for each layer."
            )
        W, b = layer
        for name, leaf in (("W", W), ("b", b)):
            if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise ValueError(f"{name} of params[{l}] must be a floating-point array; got {_brief(leaf)}.")
            dtype = dtype or leaf.dtype
            if leaf.dtype != dtype:
                raise ValueError(
                    f"params must have one dtype; got {dtype} and, for {name} of params[{l}], {leaf.dtype}. "
                    f"Write jax.tree.map(lambda p: p.astype('{dtype}'), params)."
                )
        if W.ndim != 2 or b.shape != W.shape[1:]:
            raise ValueError(f"params[{l}] must be W (d_in, d_out) and b (d_out,); got W {W.shape} and b {b.shape}.")
        if l and W.shape[0] != params[l - 1][0].shape[1]:
            raise ValueError(
                f"params[{l}] must read the {params[l - 1][0].shape[1]} outputs of params[{l - 1}]; got W {W.shape}."
            )


def check_shapes(name: str, tree: Any, shapes: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Check that something has the layers and shapes of the parameters.

    Args:
        name: what the caller calls it, for the message.
        tree: to check.
        shapes: `[((d_0, d_1), (d_1,)), ...]`.

    Raises:
        ValueError: If it is no list or tuple of (W, b), or a shape differs.
    """
    try:
        got = [tuple(np.shape(leaf) for leaf in layer) for layer in tree]
    except (TypeError, ValueError):
        got = _brief(tree)
    if isinstance(got, list) and got == list(shapes):
        for leaf in (leaf for layer in tree for leaf in layer):
            as_numbers(name, leaf)
    else:
        raise ValueError(f"{name} must have the shapes of params, [(W, b), ...] = {list(shapes)}; got {got}.")


def check_inputs(x: ArrayLike, d_in: int, *, batch: bool) -> None:
    """Check the inputs of a network.

    Args:
        x: `(n, d_in)`, or `(..., d_in)` where no batch is asked for.
        d_in: what the first layer reads.
        batch: whether `x` must have rank 2.

    Raises:
        ValueError: If the shape differs.
    """
    expected = f"(n, {d_in})" if batch else f"(..., {d_in})"
    if x.ndim == 0 or x.shape[-1] != d_in or (batch and x.ndim != 2):
        fix = " Write x[None, :] for a single example." if batch and x.shape == (d_in,) else ""
        raise ValueError(f"x must have shape {expected} to match params[0]; got {x.shape}.{fix}")


def check_targets(y: ArrayLike, outputs: tuple[int, int], *, classes: bool) -> None:
    """Check targets against the outputs that they are compared with.

    Args:
        y: `(n, d_L)`, or `(n,)` integer labels where `classes`.
        outputs: the shape `(n, d_L)` of the outputs.
        classes: whether the loss takes integer labels.

    Raises:
        ValueError: If the shape differs, or labels are not integers or a concrete one is not a valid class.
    """
    n, d_out = outputs
    if not classes:
        if y.shape != outputs:
            fix = " Write y[:, None]." if y.shape == (n,) and d_out == 1 else ""
            raise ValueError(f"y must have shape {outputs} to match the outputs; got {y.shape}.{fix}")
        return
    if y.shape == outputs and not (d_out == 1 and jnp.issubdtype(y.dtype, jnp.integer)):
        return  # one-hot rows or probabilities
    if y.shape != (n,):
        fix = " Write y[:, 0]." if y.shape == (n, 1) else ""
        raise ValueError(
            f"y must be integer labels of shape ({n},) or one-hot rows of shape {outputs}; got {y.shape}.{fix}"
        )
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"labels must be integers; got {y.dtype} of shape {y.shape}. Write y.astype(int).")
    check_labels(y, d_out)


def check_labels(y: ArrayLike, classes: int) -> None:
    """Check that concrete labels lie in `0 ... classes - 1`; JAX would take wrong ones in silence.

    Args:
        y: `(n,)` integers.
        classes: how many there are.

    Raises:
        ValueError: If one lies outside.
    """
    values = concrete(y)
    if values is not None and values.size and not 0 <= values.min() <= values.max() < classes:
        raise ValueError(
            f"labels must lie in 0 ... {classes - 1} for {classes} outputs; got {values.min()} ... {values.max()}."
        )


def check_target_values(y: ArrayLike, targets: str) -> None:
    """Check that concrete targets are of the kind that the loss is made for; others would train in silence.

    Args:
        y: any targets, of a shape already checked.
        targets: as `Loss.targets`: for `"signs"` each must be -1 or 1, for `"binary"` between 0 and 1.

    Raises:
        ValueError: If one is not.
    """
    values = concrete(y) if targets in ("signs", "binary") else None
    if values is None or not values.size:
        return
    if targets == "signs" and not np.all(abs(values) == 1):
        wrong = values[abs(values) != 1][0]
        fix = " Write 2 * y - 1." if set(np.unique(values)) <= {0, 1} else ""
        raise ValueError(f"y must be -1 or 1 for a loss of signs, such as hinge; got {wrong}.{fix}")
    if targets == "binary" and not np.all((values >= 0) & (values <= 1)):
        wrong = values[~((values >= 0) & (values <= 1))][0]
        fix = " Write (y + 1) / 2." if set(np.unique(values)) <= {-1, 1} else ""
        raise ValueError(f"y must lie between 0 and 1 for a binary loss; got {wrong}.{fix}")


def check_weights(name: str, weights: ArrayLike, n: int) -> None:
    """Check numbers that there should be one of for each example.

    Args:
        name: what the caller calls them, for the message.
        weights: `(n,)`.
        n: how many examples there are.

    Raises:
        ValueError: If the shape differs.
    """
    if weights.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each example; got {weights.shape}.")


def as_numbers(name: str, x: Any) -> ArrayLike:
    """Return anything that holds real numbers as an array.

    Args:
        name: what the caller calls it, for the message.
        x: an array of JAX's or NumPy's, which stays as it is, or what NumPy makes one of: nested lists, a number, a
            table of pandas', a tensor of torch's.

    Raises:
        ValueError: If rows differ in length, or something is no real number.
    """
    if not isinstance(x, jax.Array | np.ndarray):
        try:
            x = np.asarray(x)
        except ValueError:
            raise ValueError(f"{name} must be an array; got {_brief(x)} whose rows differ in length.") from None
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool):
        fix = (
            f" Write np.asarray({name}, float)." if x.dtype == object and x.size and np.ravel(x)[0] is not None else ""
        )
        raise ValueError(f"{name} must be real numbers; got {x.dtype}.{fix}")
    return x


def check_key(key: Any) -> None:
    """Check that something is one PRNG key, of either of JAX's kinds.

    Args:
        key: `jax.random.key(0)`, a `()` of keys, or the `(k,)` uint32 of `jax.random.PRNGKey(0)`.

    Raises:
        ValueError: If it is not.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        many = shape
    elif dtype == np.uint32 and shape:
        many = shape[:-1]
    else:
        raise ValueError(f"key must be a PRNG key; got {_brief(key)}. Write jax.random.key(0).")
    if many:
        raise ValueError(f"key must be one PRNG key; got keys of shape {many}. Write key[0], or vmap over them.")


def check_not_empty(x: ArrayLike) -> None:
    """Check that there is something to train on.

    Args:
        x: `(n, d_0)` inputs.

    Raises:
        ValueError: If n is 0.
    """
    if x.shape[0] == 0:
        raise ValueError(f"training needs at least one example; got x of shape {x.shape}.")


def check_count(name: str, value: int, least: int) -> None:
    """Check a number that decides the shape of a program.

    Args:
        name: what the caller calls it, for the message.
        value: a Python or NumPy integer.
        least: the least it may be.

    Raises:
        ValueError: If it is less, not an integer, or traced.
    """
    if isinstance(value, jax.core.Tracer):
        raise ValueError(f"{name} must be static; got a traced value. Write jax.jit(..., static_argnames={name!r}).")
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {value!r}.")


def concrete(x: ArrayLike) -> np.ndarray | None:
    """Return the values of `x`, or None while it is traced or where other processes hold parts of it.

    Args:
        x: any array.
    """
    if isinstance(x, jax.core.Tracer) or not getattr(x, "is_fully_addressable", True):
        return None
    return np.asarray(x)


def as_array(x: ArrayLike) -> Array:
    """Return data as a JAX array; unlike `jnp.asarray` this never compiles anything.

    Args:
        x: any array, traced or not, or a list of numbers.
    """
    return x if isinstance(x, jax.Array) else jax.device_put(np.asarray(x))


def _brief(thing: Any) -> str:
    shape = f" of shape {thing.shape} and dtype {thing.dtype}" if hasattr(thing, "dtype") else ""
    length = f" of {len(thing)}" if isinstance(thing, list | tuple | dict) else ""
    return f"{type(thing).__name__}{shape}{length}"
