"""What each reading costs: time and memory beside one gradient, and beside what others take for the same.

    python -m pip install ".[benchmarks]" && python examples/benchmarks/readings.py

On the network (784, 1024, 512, 256, 128, 64, 10) with ReLU and softmax cross-entropy at n = 512, all in one process, in
turn, in a new random order in every round. A row is the median over the rounds of its time over that of one jitted
gradient by autodiff right after it, with its quartiles, and the temporary memory that the compiler reports for it,
outputs not counted. All rows but those of products, clipped sums, NTK, Laplacian and others' contain the gradient too.
BackPACK and Opacus are measured over torch's own gradient, at torch's better thread count for that. The memory of
clipping at sizes (5120, 2560, 1280) and many batch sizes is the compiler's as well; nothing of it is executed.

Learned here: in an order that only rotates, every row has the same one before it, and a gradient timed after a row that
fills 77 MB is a fifth slower: hence the random order, and a call before the one that counts. The machine is at times a
quarter faster for some seconds; a gradient timed right after its row is in the same spell, one of the same round need
not be. After rows of gigabytes a gradient of the same round took twice its time, which made these rows look cheaper.

Which of two ways is faster changes with the machine and with jax, by a few hundredths: where they take the same time on
the whole, the shorter one stands. Transposing a, or c * a, before its product in layers as large as these saved 2 to
5 % on a machine of 205 GFLOP/s and costs 1 to 4 % on one of 325. The tape's gradient costs 4 to 5 % more than
`value_and_grad`, which multiplies by c once, at the outputs: c * delta is another pass over every delta. An output as
large as the parameters costs 5 % beside its product, in pages that the system hands out. The mean gradient's product is
shared with `gradients` where the loss is an unweighted mean, and its part in b is the mean delta.

jax 0.9 sums squares over each row in two loops with an array between; with a barrier between squares and sum it takes
one, without that array, and norms cost 3 % of a gradient in place of 8. jax 0.12 sums the squares as it makes them; the
barrier costs it 4 % and the memory of the squares. So `first_order._apart` looks at the release. A barrier before the
sums over columns, of b, costs 5 to 10 % where c * delta stands behind it. Summing |C|**2 by columns first saves 2 % on
jax 0.9 and nothing elsewhere. Inner products with a mean as `rows @ mean` save 3 %. K-FAC's inputs with the column of
ones take less time than their blocks put together.

`variances` makes one product of its own, and a second in layers where the mean of an input and that of a delta are both
beyond three deviations; "variances, far means" is what it takes where every layer is such. The branch itself costs 3 to
8 % of a gradient, and 5 to 10 % more if it is handed h and d in place of a, delta and the means, as an array that goes
into a branch has to be stored. Two products in every case took 1.94. One product of always centred squares takes as
long as now, but an example of huge a and no delta, or sparse ones, cost it three digits and more. Dividing each square
by n before they are summed, so that those of huge inputs do not overflow, costs 4 % of a gradient.

`ggn_vector_product` makes the same products as its twin and as many loops: stacking a above Ra, for one product with W
in place of two, costs it 3 to 5 %, and another order of the products, held by barriers, up to 4 %. Which array shares
its memory with which decides what has to wait for what, and adding v last is worth half a per cent. What can start at
once counts too: where x W_1 and x V_1 are all, the program takes 1 % more time in this network, and 5 to 10 % more in
smaller ones ((784, 128, 10), (784, 256, 256, 10) at n = 128); any third thing, however small, such as the zeros that
the twin writes its labels into, saves that. So `curvature._with_work_to_start` gives it one; the smallest networks
((2, 16, 16, 2)) pay 1 to 2 % for it. Hessian products gain likewise, readings of a tape do not.
"""

import argparse
import functools
import importlib.util
import itertools
import os
import time
import unittest.mock
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp.readings import curvature, first_order, flow

SIZES, N = (784, 1024, 512, 256, 128, 64, 10), 512
MODEL = jaxmlp.Model("relu", loss="softmax_cross_entropy")
CLIP = 1.0
Batch = tuple[Any, jax.Array, jax.Array, Any]


def with_gradient(*readings: Callable) -> Callable:
    """Make a program of one backward pass, the gradient, and readings of its tape."""

    def program(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
        tape = jaxmlp.backward(params, x, y, MODEL)
        return jaxmlp.gradients(tape), [reading(tape) for reading in readings]

    return program


def and_gradient(reading: Callable, **kwargs: Any) -> Callable:
    """Make a program of the gradient and a reading of params, x and y."""

    def program(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
        return jaxmlp.value_and_grad(params, x, y, MODEL), reading(params, x, y, MODEL, **kwargs)

    return program


def clipped(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Sum the clipped gradients, from one tape."""
    return jaxmlp.clipped_gradient_sum(jaxmlp.backward(params, x, y, MODEL), CLIP)


def variances_of_far_means(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Take the variances as where no mean is near: the bound that decides it is put out of reach as this is traced."""
    with unittest.mock.patch.object(first_order, "NEAR", -1):
        return with_gradient(jaxmlp.variances)(params, x, y, vector)


def each_gradient(params: Any, x: jax.Array, y: jax.Array) -> Any:
    """Make every example's gradient by autodiff."""
    one = jax.grad(lambda params, x, y: jaxmlp.loss(params, x[None], y[None], MODEL))
    return jax.vmap(one, in_axes=(None, 0, 0))(params, x, y)


def vmap_norms(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Measure the norms of gradients that were made."""
    g = each_gradient(params, x, y)
    squares = sum(jnp.sum(leaf.reshape(len(x), -1) ** 2, axis=1) for leaf in jax.tree.leaves(g))
    return jnp.sqrt(squares), jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), g)


def vmap_clipped(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Clip and sum gradients that were made."""
    g = each_gradient(params, x, y)
    norms = jnp.sqrt(sum(jnp.sum(leaf.reshape(len(x), -1) ** 2, axis=1) for leaf in jax.tree.leaves(g)))
    return jax.tree.map(lambda leaf: jnp.tensordot(jnp.minimum(1, CLIP / norms), leaf, axes=1), g)


def vmap_variances(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Take the variances of gradients that were made."""
    g = each_gradient(params, x, y)
    return jax.tree.map(lambda leaf: (jnp.mean(leaf, axis=0), jnp.var(leaf, axis=0)), g)


def jvp_of_grad(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Take the Hessian times a vector by autodiff, forward over reverse."""
    return jax.jvp(lambda p: jax.grad(jaxmlp.loss)(p, x, y, MODEL), (params,), (vector,))[1]


def jvp_and_vjp(params: Any, x: jax.Array, y: jax.Array, vector: Any) -> Any:
    """Take the Gauss-Newton matrix times a vector by autodiff: jvp, the loss's own Hessian, vjp."""

    def network(p: Any) -> jax.Array:
        return jaxmlp.forward(p, x, MODEL)

    def loss(outputs: jax.Array) -> jax.Array:
        return -jnp.mean(jax.nn.log_softmax(outputs)[jnp.arange(len(y)), y])

    outputs, change = jax.jvp(network, (params,), (vector,))
    _, pullback = jax.vjp(network, params)
    return pullback(jax.jvp(jax.grad(loss), (outputs,), (change,))[1])[0]


KEY = jax.random.key(7)
OURS: dict[str, tuple[Callable, str]] = {
    "gradient by autodiff": (lambda p, x, y, v: jax.grad(jaxmlp.loss)(p, x, y, MODEL), ""),
    "value_and_grad": (lambda p, x, y, v: jaxmlp.value_and_grad(p, x, y, MODEL), "1.0"),
    "per_example_norms": (with_gradient(jaxmlp.per_example_norms), "1.10"),
    "clipped_gradient_sum": (clipped, "1.15"),
    "noise_scale": (with_gradient(jaxmlp.noise_scale), "1.15"),
    "second_moments": (with_gradient(jaxmlp.second_moments), "1.45"),
    "variances": (with_gradient(jaxmlp.variances), "1.9"),
    "variances, far means": (variances_of_far_means, ""),
    "gram_matrix": (with_gradient(jaxmlp.gram_matrix), ""),
    "directional_derivatives": (
        lambda p, x, y, v: with_gradient(lambda tape: jaxmlp.directional_derivatives(tape, v))(p, x, y, v), ""
    ),
    "input_gradients": (lambda p, x, y, v: with_gradient(lambda tape: jaxmlp.input_gradients(tape, p))(p, x, y, v), ""),
    "layer_statistics": (with_gradient(flow.layer_statistics), ""),
    "everything above": (
        with_gradient(
            jaxmlp.per_example_norms,
            lambda tape: jaxmlp.clipped_gradient_sum(tape, CLIP),
            jaxmlp.noise_scale,
            jaxmlp.second_moments,
            jaxmlp.variances,
            jaxmlp.gram_matrix,
            flow.layer_statistics,
        ),
        "",
    ),
    "kfac_factors, sampled": (and_gradient(curvature.kfac_factors, fisher="sampled", key=KEY), "2.2"),
    "kfac_factors, exact": (and_gradient(curvature.kfac_factors), ""),
    "ggn_diagonal, sampled": (and_gradient(curvature.ggn_diagonal, key=KEY), ""),
    "ggn_diagonal, exact": (and_gradient(curvature.ggn_diagonal), ""),
    "hessian_vector_product": (lambda p, x, y, v: curvature.hessian_vector_product(p, x, y, v, MODEL), ""),
    "jvp of grad": (jvp_of_grad, ""),
    "ggn_vector_product": (lambda p, x, y, v: curvature.ggn_vector_product(p, x, y, v, MODEL), ""),
    "jvp, Hessian, vjp": (jvp_and_vjp, ""),
    "empirical_ntk, 128 x 128": (lambda p, x, y, v: curvature.empirical_ntk(p, x[:128], x[:128], MODEL), ""),
    "input_laplacian, n = 16": (lambda p, x, y, v: curvature.input_laplacian(p, x[:16], MODEL), ""),
}  # fmt: skip
SLOW: dict[str, tuple[Callable, str]] = {
    "hessian_diagonal": (and_gradient(curvature.hessian_diagonal), ""),
    "per_example_gradients": (with_gradient(jaxmlp.per_example_gradients), ""),
    "vmap(grad), norms": (vmap_norms, ""),
    "vmap(grad), clipped sum": (vmap_clipped, ""),
    "vmap(grad), variances": (vmap_variances, ""),
}
PAIRS = {"hessian_vector_product": "jvp of grad", "ggn_vector_product": "jvp, Hessian, vjp"}
TIMES = 5  # that a pair is timed in a round, as its two are nearly the same


def draw(sizes: tuple[int, ...], n: int) -> Batch:
    """Draw a network, a batch, and a direction of the network's shape."""
    keys = jax.random.split(jax.random.key(0), 4)
    x, y = jax.random.normal(keys[1], (n, sizes[0])), jax.random.randint(keys[2], (n,), 0, sizes[-1])
    return jaxmlp.init_mlp(keys[0], sizes), x, y, jaxmlp.init_mlp(keys[3], sizes)


def measure(rows: dict[str, Callable[[], Any]], base: str, rounds: int) -> tuple[dict[str, np.ndarray], float]:
    """Return each row's ratios to its base, one for each round, and the base's median in seconds.

    A row and its base are timed one right after the other, each after a call that does not count: for the caches' sake.
    So are a row and its twin of `PAIRS`, where it has one, `TIMES` times a round.
    """
    ratios = {name: np.empty(rounds) for name in rows}
    seconds = []
    rng = np.random.default_rng(0)
    for r in range(rounds):
        for name in rng.permutation(list(rows)):
            own, other = timed(rows[name]), timed(rows[base])
            ratios[name][r] = own / other
            seconds.append(other)
            if PAIRS.get(name) in rows:
                twins = ratios.setdefault(f"{name} / {PAIRS[name]}", np.empty((rounds, TIMES)))
                twins[r] = [timed(rows[name]) / timed(rows[PAIRS[name]]) for _ in range(TIMES)]
    return ratios, float(np.median(seconds))


def timed(run: Callable[[], Any]) -> float:
    """Time the second of two calls."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def quartiles(values: np.ndarray) -> str:
    """Write the median and the quartiles."""
    return "{1:7.2f} [{0:.2f}, {2:.2f}]".format(*np.quantile(values, (0.25, 0.5, 0.75)))


def ours(sizes: tuple[int, ...], n: int, rounds: int) -> None:
    """Time our readings and their twins by autodiff, and report the compiler's temporary memory."""
    batch = draw(sizes, n)
    print(f"\nsizes {sizes}, n = {n}, float32, over one gradient by autodiff\n")
    print(f"{'with the gradient':<28}{'time / gradient':>24}{'temporary MB':>16}{'target':>10}")
    gradient = "gradient by autodiff"
    for group, most in ((OURS, rounds), ({gradient: OURS[gradient], **SLOW}, max(2, rounds // 5))):
        compiled = {name: jax.jit(f).lower(*batch).compile() for name, (f, _) in group.items()}
        runs = {name: functools.partial(lambda c: jax.block_until_ready(c(*batch)), c) for name, c in compiled.items()}
        ratios, seconds = measure(runs, gradient, most)
        for name, (_, target) in group.items():
            if group is OURS or name != gradient:
                memory = compiled[name].memory_analysis().temp_size_in_bytes / 1e6
                print(f"{name:<28}{quartiles(ratios[name]):>24}{memory:>16.1f}{target:>10}")
        if group is OURS:
            print(f"one gradient takes {1e3 * seconds:.2f} ms")
            for pair in map(" / ".join, PAIRS.items()):
                print(f"{pair}:{quartiles(ratios[pair])}   target <= 1.0")
            print()


def peers(sizes: tuple[int, ...], n: int, rounds: int) -> None:
    """Time BackPACK and Opacus over torch's own gradient."""
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: the peers' rows are skipped")
        return
    import torch

    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    _, x, y, _ = draw(sizes, n)
    x, y = torch.from_numpy(np.array(x)), torch.from_numpy(np.array(y)).long()

    def network() -> Any:
        layers: list[Any] = []
        for d_in, d_out in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(d_in, d_out), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def plain(net: Any, loss: Any) -> Callable[[], Any]:
        def run() -> None:
            net.zero_grad()
            loss(net(x), y).backward()

        return run

    gradient = "torch's gradient"
    rows = {gradient: plain(network(), torch.nn.CrossEntropyLoss())}
    if importlib.util.find_spec("backpack") is not None:
        import backpack
        from backpack import extensions

        net, loss = backpack.extend(network()), backpack.extend(torch.nn.CrossEntropyLoss())

        def extended(extension: Any) -> Callable[[], Any]:
            def run() -> None:
                net.zero_grad()
                with backpack.backpack(extension):
                    loss(net(x), y).backward()

            return run

        for name in ("BatchL2Grad", "SumGradSquared", "Variance", "KFAC", "DiagGGNMC", "DiagGGNExact"):
            rows[f"BackPACK {name}"] = extended(getattr(extensions, name)())
    if importlib.util.find_spec("opacus") is not None:
        rows["Opacus ghost clipping"] = ghost(network(), x, y)
    tables = []
    before = torch.get_num_threads()
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        tables.append(measure(rows, gradient, rounds))
    torch.set_num_threads(before)
    ratios, seconds = min(tables, key=lambda table: table[1])
    print(f"\n{'over one gradient of torch':<28}{'time / gradient':>24}")
    for name in rows:
        print(f"{name:<28}{quartiles(ratios[name]):>24}")
    print(f"{gradient} takes {1e3 * seconds:.2f} ms\n")


def ghost(net: Any, x: Any, y: Any) -> Callable[[], Any]:
    """Make Opacus's clipped gradient sum, with two backward passes and no per-example gradient."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
        from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
        from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    module = GradSampleModuleFastGradientClipping(net, max_grad_norm=CLIP, use_ghost_clipping=True)
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(net.parameters(), lr=0.0), noise_multiplier=0.0, max_grad_norm=CLIP, expected_batch_size=len(x)
    )
    loss = DPLossFastGradientClipping(module, optimizer, torch.nn.CrossEntropyLoss())

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer.zero_grad()
            loss(module(x), y).backward()

    return run


def memory(sizes: tuple[int, ...], batches: tuple[int, ...]) -> None:
    """Print the compiler's temporary memory for clipping, of programs that are never run."""
    print(f"\ntemporary MB by the compiler, sizes {sizes}; nothing is executed\n")
    programs = {
        "gradient by autodiff": lambda p, x, y, v: jax.grad(jaxmlp.loss)(p, x, y, MODEL),
        "value_and_grad": lambda p, x, y, v: jaxmlp.value_and_grad(p, x, y, MODEL),
        "clipped_gradient_sum": clipped,
        "vmap(grad), clipped sum": vmap_clipped,
    }
    print(f"{'n':<28}" + "".join(f"{n:>14}" for n in batches))
    shape = jax.ShapeDtypeStruct
    params = [(shape((i, o), jnp.float32), shape((o,), jnp.float32)) for i, o in itertools.pairwise(sizes)]
    found: dict[str, list[float]] = {}
    for name, f in programs.items():
        arguments = [(params, shape((n, sizes[0]), jnp.float32), shape((n,), jnp.int32), params) for n in batches]
        analyses = [jax.jit(f).lower(*args).compile().memory_analysis() for args in arguments]
        found[name] = [analysis.temp_size_in_bytes / 1e6 for analysis in analyses]
        print(f"{name:<28}" + "".join(f"{megabytes:>14,.1f}" for megabytes in found[name]))
    ratios = np.divide(found["clipped_gradient_sum"], found["gradient by autodiff"])
    print(
        f"{'clipped / gradient':<28}" + "".join(f"{ratio:>14.2f}" for ratio in ratios), "  target <= 1.25 at n = 4096"
    )


def main(
    sizes: tuple[int, ...] = SIZES,
    n: int = N,
    rounds: int = 15,
    wide: tuple[int, ...] = (5120, 2560, 1280),
    batches: tuple[int, ...] = (32, 512, 4096, 131072),
) -> None:
    """Print all tables."""
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}; {rounds} rounds; median [quartiles]")
    ours(sizes, n, rounds)
    peers(sizes, n, rounds)
    memory(wide, batches)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    main(**vars(parser.parse_args()))
