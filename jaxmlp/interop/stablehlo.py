"""StableHLO: the network as a program that runs without this library."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmlp import checks
from jaxmlp.model import Model, forward
from jaxmlp.types import Array, Params


def export(params: Params, model: Model, platforms: Sequence[str] = ("cpu", "cuda", "tpu")) -> bytes:
    """Lower `forward` to StableHLO, the parameters in it, for other machines to compile.

    It is a format to deploy, not to archive: JAX promises to read such programs for six months (docs.jax.dev,
    Exporting and serializing, "Compatibility guarantees"). `jaxmlp.save` keeps a network for good.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        model: for its activations; the output's too, so one trained on logits exports logits.
        platforms: what it shall run on, a list of names; none of them need be here.

    Returns:
        Bytes; `jax.export.deserialize(bytes).call(x)` runs them, x `(n, d_0)` in the dtype of `params`, n of any size
        from 1 on, and returns the outputs `(n, d_L)`.

    Raises:
        ValueError: If `params` is no network, there is no such platform, or none is given.

    Example:
        >>> import jax.export, jaxmlp
        >>> params = jaxmlp.init_mlp(jax.random.key(0), (3, 4, 2))
        >>> program = jax.export.deserialize(export(params, Model("tanh")))
        >>> program.call(jnp.ones((7, 3), jnp.float32)).shape
        (7, 2)
    """
    from jax import export as jax_export  # only here: importing it takes time

    checks.check_params(params)
    known = ("cpu", "cuda", "rocm", "tpu")
    if isinstance(platforms, str) or not platforms or not set(platforms) <= set(known):
        raise ValueError(f"platforms must be a list of some of {', '.join(known)}; got {platforms!r}.")
    (n,) = jax_export.symbolic_shape("n")

    def network(x: Array) -> Array:
        return forward(params, x, model)

    x = jax.ShapeDtypeStruct((n, params[0][0].shape[0]), jnp.result_type(params[0][0]))
    return bytes(jax_export.export(jax.jit(network), platforms=tuple(platforms))(x).serialize())
