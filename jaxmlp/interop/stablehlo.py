"""StableHLO: the network as a program that runs without this library."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmlp import checks
from jaxmlp.model import Model, forward
from jaxmlp.types import Array, Params


def export(params: Params, model: Model, platforms: Sequence[str] = ("cpu", "cuda", "tpu")) -> bytes:
    """Compile `forward` for other machines, the parameters in it.

    It is a format to deploy, not to archive: JAX promises to read such programs for six months (docs.jax.dev,
    Exporting and serializing, "Compatibility guarantees"). `jaxmlp.save` keeps a network for good.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        model: for its activations.
        platforms: what it shall run on; none of them need be here.

    Returns:
        Bytes; `jax.export.deserialize(bytes).call(x)` runs them, x `(n, d_0)` in the dtype of `params`, n of any size
        from 1 on, and returns the outputs `(n, d_L)`.

    Raises:
        ValueError: If `params` is no network, or there is no such platform.

    Example:
        >>> import jax.export, jaxmlp
        >>> params = jaxmlp.init_mlp(jax.random.key(0), (3, 4, 2))
        >>> program = jax.export.deserialize(export(params, Model("tanh")))
        >>> program.call(jnp.ones((7, 3))).shape
        (7, 2)
    """
    from jax import export as jax_export  # only here: importing it takes time

    checks.check_params(params)
    known = ("cpu", "cuda", "rocm", "tpu")
    for platform in platforms:
        if platform not in known:
            raise ValueError(f"platforms must be of {', '.join(known)}; got {platform!r}.")
    (n,) = jax_export.symbolic_shape("n")

    def network(x: Array) -> Array:
        return forward(params, x, model)

    x = jax.ShapeDtypeStruct((n, params[0][0].shape[0]), jnp.result_type(params[0][0]))
    return bytes(jax_export.export(jax.jit(network), platforms=tuple(platforms))(x).serialize())
