"""What the hand-written gradient costs: jitted `value_and_grad` over jitted `jax.value_and_grad(loss)`.

    python examples/benchmarks/gradient_cost.py

Both compute the same numbers in one process, in turn, in an order that flips from round to round; a round times enough
calls to last a while. A row gives the median over the rounds of hand / autodiff, its quartiles, and the same for
autodiff against a second copy of itself: what that differs from 1 is noise. The geometric mean over the networks comes
with an interval of 95 % (bootstrap over rounds).

Learned here: XLA makes nearly the same program of both. Multiplying the coefficients in once, at the outputs, and not
into every layer's delta, is worth 1 to 5 %. In the gradient of softmax cross-entropy, the sum over the targets has to
fuse with that over the exponentials: as a loop of its own it cost 3 % at (784, 128, 10).

The rest of the difference is how a^T dz is multiplied (`dense._product`). On CPU, XLA is slow at products whose left
operand it has to transpose. Where a layer has few outputs, dz is the one to transpose, in (dz^T a)^T: 3 to 10 % of a
classifier's gradient. Transposing a before the product costs a copy, which takes as long as the product saves where
widths differ much (n = 64 into 300 outputs: 3 to 30 % lost). It saves 5 to 25 % of a gradient where all widths are up
to 128 and examples up to 512, the more the fewer there are ((2, 16, 16, 2), n = 16: 0.74 of autodiff), and 5 to 15 %
from 128 examples into 512 outputs; into 256 it costs 5 to 10 %; in the largest networks it saves nothing, and takes
memory: with 512 inputs at n = 512 it costs 1 % of a gradient. All of this is less where a machine multiplies faster.
Transposing W before dz W^T saves nothing.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

import jaxmlp

NETWORKS = [  # sizes, examples
    ((2, 16, 16, 2), 100),
    ((64, 100, 10), 200),
    ((784, 128, 10), 128),
    ((784, 512, 512, 10), 128),
    ((784, 1024, 512, 256, 128, 64, 10), 512),
    ((1024, 2048, 2048, 1000), 1024),
]


def seconds(f: Callable, calls: int) -> float:
    """Time some calls, the last one's result waited for."""
    start = time.perf_counter()
    for _ in range(calls):
        result = f()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / calls


def measure(sizes: Sequence[int], n: int, activation: str, rounds: int, budget: float) -> np.ndarray:
    """Return `(rounds, 3)` seconds: by hand, by autodiff, by autodiff again."""
    model = jaxmlp.Model(activation, loss="softmax_cross_entropy")
    keys = jax.random.split(jax.random.key(0), 3)
    params = jaxmlp.init_mlp(keys[0], sizes)
    x = jax.random.normal(keys[1], (n, sizes[0]))
    y = jax.random.randint(keys[2], (n,), 0, sizes[-1])
    jitted = [jax.jit(f) for f in (jaxmlp.value_and_grad, jax.value_and_grad(jaxmlp.loss))]
    hand, autodiff = (lambda f=f: f(params, x, y, model) for f in jitted)
    fs = [hand, autodiff, autodiff]
    jax.block_until_ready([f() for f in fs])
    calls = max(1, int(budget / rounds / 3 / seconds(autodiff, 3)))
    times = np.empty((rounds, 3))
    for r in range(rounds):
        for i in np.roll([0, 1, 2], r)[:: 1 if r % 2 else -1]:
            times[r, i] = seconds(fs[i], calls)
    return times


def main(networks: Sequence[tuple] = NETWORKS, rounds: int = 41, budget: float = 12.0) -> float:
    """Print the table; return the geometric mean."""
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}; {rounds} rounds; median [quartiles]\n")
    print(f"{'sizes':<40} {'n':>5}  {'activation':<10} {'autodiff':>10}   hand / autodiff        autodiff / itself")
    logs = []
    for sizes, n in networks:
        for activation in ("relu", "tanh"):
            times = measure(sizes, n, activation, rounds, budget)
            ratio, control = times[:, 0] / np.sqrt(times[:, 1] * times[:, 2]), times[:, 1] / times[:, 2]
            cells = ["{1:.3f} [{0:.3f}, {2:.3f}]".format(*np.quantile(r, (0.25, 0.5, 0.75))) for r in (ratio, control)]
            print(
                f"{sizes!s:<40} {n:>5}  {activation:<10} {1e3 * np.median(times[:, 1]):>7.3f} ms   {'   '.join(cells)}",
                flush=True,
            )
            logs.append(np.log(ratio))
    log = np.array(logs)
    draws = np.random.default_rng(0).integers(0, rounds, (2000, rounds))
    means = np.exp(np.median(log[:, draws], axis=2).mean(axis=0))
    geometric_mean = float(np.exp(np.median(log, axis=1).mean()))
    low, high = np.quantile(means, (0.025, 0.975))
    print(f"\ngeometric mean {geometric_mean:.3f}, 95 % interval [{low:.3f}, {high:.3f}]")
    return geometric_mean


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--budget", type=float, default=12.0, help="seconds for each row")
    main(**vars(parser.parse_args()))
