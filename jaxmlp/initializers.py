"""Initial weights.

An initializer is `(key, shape, dtype) -> W`. Those that scale a standard draw are an `Initializer`, so that
`init_mlp` can draw once for all layers: one draw to compile, not one for each shape. None of them is truncated.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.types import Array


@functools.partial(jax.tree_util.register_dataclass, data_fields=["gain"], meta_fields=["name", "draw", "fan"])
@dataclass(frozen=True)
class Initializer:
    """W = gain * fan(d_in, d_out)**-0.5 * draw; a pytree whose one leaf is the gain.

    Attributes:
        name: as in `init_mlp(initializer=name)`.
        draw: `(key, shape, dtype) -> variates`, standard normal or uniform on [-1, 1).
        fan: `(d_in, d_out)` to the number that the variance is divided by.
        gain: the standard deviation (or half-width) at a fan of 1; a traced scalar too.
    """

    name: str
    draw: Callable[..., Array]
    fan: Callable[[int, int], int]
    gain: float | Array

    def scale(self, variates: Array) -> Array:
        """Turn `(d_in, d_out)` standard variates into `W (d_in, d_out)`."""
        return variates * jnp.asarray(self.gain * self.fan(*variates.shape) ** -0.5, variates.dtype)

    def __call__(self, key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
        """Return `W` of `shape` and `dtype`."""
        return self.scale(self.draw(key, shape, dtype))


def _symmetric_uniform(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, minval=-1.0)


def _inputs(d_in: int, d_out: int) -> int:
    return d_in


def _inputs_and_outputs(d_in: int, d_out: int) -> int:
    return d_in + d_out


def _one(d_in: int, d_out: int) -> int:
    return 1


he_normal = Initializer("he_normal", jax.random.normal, _inputs, 2**0.5)
"""N(0, 2 / d_in). He et al. 2015, arXiv 1502.01852, eq. 10."""

he_uniform = Initializer("he_uniform", _symmetric_uniform, _inputs, 6**0.5)
"""U(-s, s), s = sqrt(6 / d_in), which has the variance of `he_normal`."""

glorot_normal = Initializer("glorot_normal", jax.random.normal, _inputs_and_outputs, 2**0.5)
"""N(0, 2 / (d_in + d_out)). Glorot and Bengio 2010, eq. 12."""

glorot_uniform = Initializer("glorot_uniform", _symmetric_uniform, _inputs_and_outputs, 6**0.5)
"""U(-s, s), s = sqrt(6 / (d_in + d_out)). Glorot and Bengio 2010, eq. 16."""

lecun_normal = Initializer("lecun_normal", jax.random.normal, _inputs, 1.0)
"""N(0, 1 / d_in). LeCun et al. 1998, Efficient BackProp, eq. 16."""


def normal(scale: float | Array) -> Initializer:
    """Make the initializer N(0, scale**2).

    Args:
        scale: the standard deviation, a number or (for sweeps by `vmap`) a traced scalar.

    Returns:
        An initializer.
    """
    return Initializer("normal", jax.random.normal, _one, scale)


def orthogonal(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
    """Draw orthonormal columns where d_in >= d_out, else orthonormal rows.

    W = Q of Q R = a standard normal draw, its columns' signs those of R's diagonal: uniform over such matrices
    (Mezzadri 2007, arXiv math-ph/0609050). For networks: Saxe et al. 2013, arXiv 1312.6120.

    Args:
        key: a PRNG key.
        shape: `(d_in, d_out)`.
        dtype: of the result; the decomposition itself needs float32 or float64.

    Returns:
        `W (d_in, d_out)`.
    """
    d_in, d_out = shape
    wide = jnp.float64 if dtype == jnp.float64 else jnp.float32
    Q, R = jnp.linalg.qr(jax.random.normal(key, (max(shape), min(shape)), wide))
    Q = Q * jnp.where(jnp.diagonal(R) < 0, -1, 1).astype(wide)[None, :]
    return (Q if d_in >= d_out else Q.T).astype(dtype)


KNOWN: dict[str, Callable[..., Array]] = {
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
}
"""Every initializer that has a name; `normal(scale)` makes one more."""
