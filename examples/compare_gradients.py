"""The hand-written gradient against JAX's autodiff, for any network.

    python examples/compare_gradients.py --sizes 4 8 3 --activation tanh --loss softmax_cross_entropy
    python examples/compare_gradients.py --sizes 64 100 10 --activation gelu --output softmax \
        --loss categorical_cross_entropy --x64

It draws random parameters, inputs, targets and sample weights, and compares twice: in the dtype asked for (float32, or
float64 with --x64), and in float64 with finite differences as a third witness. It exits with 1 where they disagree.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp


def random_batch(model: jaxmlp.Model, sizes: Sequence[int], n: int, rng: np.random.Generator) -> tuple:
    """Draw inputs, targets of the kind that the loss reads, and sample weights."""
    shape = (n, sizes[-1])
    targets = {
        "values": rng.normal(size=shape),
        "classes": rng.integers(0, sizes[-1], n),
        "binary": rng.integers(0, 2, shape),
        "signs": rng.integers(0, 2, shape) * 2 - 1,
    }
    return rng.normal(size=(n, sizes[0])), targets[model.loss_function.targets], rng.uniform(0.5, 1.5, n)


def main(
    sizes: Sequence[int] = (4, 8, 3),
    activation: str = "tanh",
    output: str = "identity",
    loss: str = "softmax_cross_entropy",
    n: int = 32,
    seed: int = 0,
    value_and_grad: Callable = jaxmlp.value_and_grad,
) -> int:
    """Compare, print, and return 0 where the gradients agree, else 1."""
    model = jaxmlp.Model(activation, output, loss)
    dtype = jnp.result_type(float)
    rng = np.random.default_rng(seed)
    params = jaxmlp.init_mlp(jax.random.key(seed), sizes, initializer="lecun_normal", dtype=dtype)
    params = [(W, jnp.asarray(rng.normal(size=b.shape), dtype)) for W, b in params]  # zero biases would hide mistakes
    x, y, weights = random_batch(model, sizes, n, rng)
    print(f"{model}\nsizes {tuple(sizes)}, {n} examples, {jaxmlp.count_params(params)} parameters")

    value, hand = jax.jit(value_and_grad)(params, x, y, model, weights=weights)
    twin, autodiff = jax.jit(jax.value_and_grad(jaxmlp.loss))(params, x, y, model, weights=weights)
    largest = max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(autodiff))
    pairs = zip(jax.tree.leaves(hand), jax.tree.leaves(autodiff), strict=True)
    difference = max(float(jnp.max(jnp.abs(h - g))) for h, g in pairs)
    print(f"\nin {dtype.name}: loss {float(value):.8f} by hand, {float(twin):.8f} by JAX;")
    print(f"largest derivative {largest:.3e}, largest difference {difference:.1e}")
    agree = difference <= (1e-11 if dtype == jnp.float64 else 1e-5) * largest

    print("\nin float64:")
    report = jaxmlp.check_gradients(params, x, y, model, weights=weights, value_and_grad=value_and_grad)
    print(report)
    agree = agree and report.ok
    print(f"\nhand-written gradients {'equal' if agree else 'DO NOT EQUAL'} jax.grad")
    return 0 if agree else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 3], help="widths from input to output")
    parser.add_argument("--activation", default="tanh", help=", ".join(jaxmlp.activations.KNOWN))
    parser.add_argument("--output", default="identity", help="activation of the last layer")
    parser.add_argument("--loss", default="softmax_cross_entropy", help=", ".join(jaxmlp.losses.KNOWN))
    parser.add_argument("--n", type=int, default=32, help="examples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--x64", action="store_true", help="compute in float64")
    options = vars(parser.parse_args())
    if options.pop("x64"):
        jax.config.update("jax_enable_x64", True)
    try:
        sys.exit(main(**options))
    except ValueError as error:  # an unknown name, say: exit code 2, since 1 says that gradients disagree
        parser.error(str(error))
