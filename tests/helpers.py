"""What several test files share: problems to try the gradient on, and comparisons."""

import itertools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import Model, activations, losses

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32


class Problem(NamedTuple):
    """A network, a batch, and sample weights or None."""

    sizes: tuple[int, ...]
    model: Model
    n: int
    weighted: bool
    kind: type = list

    def __str__(self):  # the id of a test
        hidden = self.model.activation
        names = "-".join(
            str(getattr(f, "name", f)) for f in (hidden, self.model.output, self.model.loss) if f is not None
        )
        return f"{'x'.join(map(str, self.sizes))}-{names}{'-weighted' if self.weighted else ''}-{self.kind.__name__}"

    def draw(self, seed=0, dtype=DTYPE):
        """Return params, x, y, weights; by NumPy, which has nothing to compile."""
        rng = np.random.default_rng(seed)
        params = self.kind(random_params(self.sizes, rng, dtype))
        x = jnp.asarray(rng.normal(size=(self.n, self.sizes[0])), dtype)
        y = random_targets(self.model.loss_function, self.n, self.sizes[-1], rng, dtype)
        weights = jnp.asarray(rng.uniform(size=self.n), dtype) if self.weighted else None
        return params, x, y, weights


def random_params(sizes, rng=0, dtype=DTYPE):
    """Weights of variance 1 / d_in, and random biases: zeros would hide wrong terms."""
    rng = np.random.default_rng(rng)
    return [
        (
            jnp.asarray(rng.normal(size=shape) * shape[0] ** -0.5, dtype),
            jnp.asarray(rng.normal(size=shape[1]) * 0.5, dtype),
        )
        for shape in itertools.pairwise(sizes)
    ]


def random_targets(loss, n, d_out, rng=0, dtype=DTYPE):
    """Targets of the kind that the loss reads."""
    rng = np.random.default_rng(rng)
    match loss.targets:
        case "classes":
            return jnp.asarray(rng.integers(0, d_out, n))
        case "binary":
            return jnp.asarray(rng.integers(0, 2, (n, d_out)), dtype)
        case "signs":
            return jnp.asarray(rng.integers(0, 2, (n, d_out)) * 2 - 1, dtype)
        case _:
            return jnp.asarray(np.abs(rng.normal(size=(n, d_out))), dtype)


PAIRINGS = [
    ("identity", "mean_squared_error"),
    ("identity", "half_squared_error"),
    ("identity", "sum_squared_error"),
    ("identity", "sigmoid_cross_entropy"),
    ("identity", "softmax_cross_entropy"),
    ("identity", "hinge"),
    ("identity", "huber"),
    ("identity", "poisson_nll"),
    ("sigmoid", "binary_cross_entropy"),
    ("sigmoid", "categorical_cross_entropy"),
    ("sigmoid", "mean_squared_error"),
    ("softmax", "categorical_cross_entropy"),
    ("softmax", "binary_cross_entropy"),
    ("softmax", "half_squared_error"),
    ("tanh", "hinge"),
    ("tanh", "sum_squared_error"),
    ("softplus", "huber"),
]
HIDDEN = [name for name in activations.KNOWN if name != "softmax"]
DEPTHS = [(4, 3), (4, 5, 3), (4, 5, 5, 3), (4, 5, 5, 5, 5, 3)]


def problems():
    """Every activation behind the deepest network, every pairing at every depth, weighted and not, list and tuple."""
    for i, activation in enumerate(HIDDEN):
        output, loss = PAIRINGS[i % len(PAIRINGS)]
        yield Problem(DEPTHS[-1], Model(activation, output, loss), 6, bool(i % 2), (list, tuple)[i % 2])
    for i, (output, loss) in enumerate(PAIRINGS):
        for j, sizes in enumerate(DEPTHS):
            hidden = HIDDEN[(3 * i + j) % len(HIDDEN)]
            yield Problem(sizes, Model(hidden, output, loss), 6, bool((i + j) % 2), (list, tuple)[j // 2])
    yield Problem(DEPTHS[2], Model(("tanh", "relu"), "identity", "mean_squared_error"), 6, True)


PROBLEMS = list(problems())
assert {p.model.loss_function.name for p in PROBLEMS} == set(losses.KNOWN)


def assert_close(got, want, rtol=None, atol=None):
    """Compare structure, then shapes and dtypes, then values, by the dtype's tolerance."""
    chex.assert_trees_all_equal_structs(got, want)
    chex.assert_trees_all_equal_shapes_and_dtypes(got, want)
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        double = w.dtype == jnp.float64
        near = (1e-10 if double else 1e-4) if rtol is None else rtol
        scale = float(jnp.max(jnp.abs(w), initial=0))  # of this leaf: entries far below it are sums that cancel
        floor = (1e-12 if double else 1e-5) * scale + (1e-15 if double else 1e-7) if atol is None else atol
        np.testing.assert_allclose(g, w, rtol=near, atol=floor)
