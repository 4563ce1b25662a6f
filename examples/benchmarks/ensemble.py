"""Many networks against the clock: `ensemble_map` beside one at a time, plain `vmap`, torch and scikit-learn.

    python -m pip install ".[benchmarks]" && python examples/benchmarks/ensemble.py
    python examples/benchmarks/ensemble.py --chunks        # how the default chunk was chosen

Every member is trained by full-batch Adam on the same 100 examples, from weights of its own. A table gives microseconds
a member and step, the median over the rounds with its quartiles, for 1 to 1,024 members; ratios are taken within each
round. The rows take their turn in random order, each after a call that is not timed. The CPU's cores are JAX's devices.
One at a time calls one jitted run for each member (of 16, where there are more); torch and scikit-learn train one
member, since a loop over more only repeats that; each at the better of one thread and all.

Learned here: side by side, small products are cheaper than one by one, since a step of (2, 16, 16, 2) spends half of
its time between operations; but a `vmap` of everything falls out of the cache, and the cores wait for one another at
each operation. With a device for each core and chunks that stay in cache, each core works on its own members all the
time. A chunk of 10 to 15 members takes a fifth to a third longer than one of 8 or 16, and of two or three is seldom
worth it. Where a member's largest array has more than some 30 KB, chunks gain little or lose: there is nothing left to
save between operations, and XLA's batched products are slower than single ones. Runs differ: the ratio for 64 small
members was 2.7 to 3.1 in seven of them, and 2.5 to 2.8 in six on jax 0.12.0.1, so look at several.
"""

import os

os.environ.pop("OPENBLAS_CORETYPE", None)  # they would hold OpenBLAS back, and scikit-learn with it,
os.environ.pop("OPENBLAS_L2_SIZE", None)  # and are read when NumPy is imported

import argparse
import functools
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from training import digits_data, installed, moons_data, quartiles, threads, torch_rows

import jaxmlp

CORES = os.cpu_count() or 1
SMALL, WIDE = (2, 16, 16, 2), (64, 64, 64, 10)
TARGETS = {(SMALL, 64): 2.5, (WIDE, 64): 1.3}
CHUNK_CASES = [  # sizes, examples, of a batch
    ((2, 16, 16, 2), 10, 10),
    ((2, 16, 16, 2), 30, 30),
    ((2, 16, 16, 2), 100, 100),
    ((2, 16, 16, 2), 1000, 1000),
    ((2, 32, 32, 2), 100, 100),
    ((30, 64, 2), 320, 32),
    ((64, 32, 10), 320, 32),
    ((64, 64, 64, 10), 320, 32),
    ((64, 64, 64, 10), 100, 100),
    ((64, 100, 10), 1600, 200),
    ((64, 256, 256, 10), 256, 256),
]


class Row(NamedTuple):
    """One way to train members.

    Attributes:
        run: does it; what it returns is waited for.
        steps: of all its members together.
    """

    run: Callable[[], Any]
    steps: int


def measure(rows: dict[str, Row], rounds: int) -> dict[str, np.ndarray]:
    """Return each row's microseconds a member and step, one for each round."""
    rng, times = np.random.default_rng(0), {name: [] for name in rows}
    for name in [name for _ in range(rounds) for name in rng.permutation(list(rows))]:
        jax.block_until_ready(rows[name].run())
        start = time.perf_counter()
        jax.block_until_ready(rows[name].run())
        times[name].append(1e6 * (time.perf_counter() - start) / rows[name].steps)
    return {name: np.array(ts) for name, ts in times.items()}


def network(sizes: tuple[int, ...], n: int) -> tuple[jaxmlp.Model, np.ndarray, np.ndarray]:
    """Return a model of such sizes, and n examples for it."""
    model = jaxmlp.Model("tanh" if sizes[0] == 2 else "relu", loss="softmax_cross_entropy")
    if sizes[0] == 2:
        x, y = moons_data(n, noise=0.2)
        return model, x, y[:, 0].astype(np.int32)
    if sizes[0] == 64:
        x, y = digits_data()
        return model, x[:n], y[:n]
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(n, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], n, np.int32)


def make_run(sizes: tuple[int, ...], n: int, batch_size: int, epochs: int) -> Callable[..., Any]:
    """Return the training of one member, a function of its seed."""
    model, x, y = network(sizes, n)
    optimizer = jaxmlp.optimizers.adam(1e-2)
    x, y = jnp.asarray(x), jnp.asarray(y)

    def run(key: jax.Array) -> jax.Array:
        """Return the losses."""
        init_key, train_key = jax.random.split(key)
        state = jaxmlp.init_state(jaxmlp.init_mlp(init_key, sizes), optimizer, train_key)
        return jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=batch_size)

    return run


def peers(sizes: tuple[int, ...], n: int, steps: int) -> dict[str, Row]:
    """Make the rows of torch and scikit-learn, for one member each."""
    model, x, y = network(sizes, n)
    rows = {}
    activation = "Tanh" if model.activation == "tanh" else "ReLU"
    for name, row in torch_rows(x, y, sizes, activation, "CrossEntropyLoss", 1e-2, steps, n).items():
        rows[name] = Row(functools.partial(_within, row.within, row.run), steps)
    if installed("sklearn", "its rows are skipped"):
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        def run() -> Any:
            """Train one classifier."""
            classifier = MLPClassifier(
                sizes[1:-1],
                activation=model.activation,
                batch_size=n,
                max_iter=steps,
                tol=0,
                n_iter_no_change=10**6,
                alpha=0,
                learning_rate_init=1e-2,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it has not converged
                classifier.fit(x, y)

        for count in sorted({1, CORES}):
            limit = functools.partial(threadpool_limits, count)
            rows[f"scikit-learn, {threads(count)}"] = Row(functools.partial(_within, limit, run), steps)
    return rows


def _within(context: Callable[[], Any], run: Callable[[], Any]) -> Any:
    with context():
        return run()


def compare(sizes: tuple[int, ...], counts: tuple[int, ...], rounds: int, steps: int, n: int = 100) -> None:
    """Time all ways for all numbers of members, and print them."""
    print(f"\n{sizes}, n = {n}, {steps} full-batch steps of Adam; microseconds a member and step")
    run = make_run(sizes, n, n, steps)
    one, vmapped, mapped = jax.jit(run), jax.jit(jax.vmap(run)), jaxmlp.ensemble_map(run)
    others = measure(peers(sizes, n, steps), max(2, rounds // 2))
    for peer in ("torch", "scikit-learn"):
        names = [name for name in others if name.startswith(peer)]
        if names:
            best = min(names, key=lambda name: np.median(others[name]))
            print(f"  one member in {best}: {quartiles(others[best], 1)}")
    print(f"  {'members':>8}{'one at a time':>24}{'vmap':>24}{'ensemble_map':>24}   one at a time / ensemble_map")
    for members in counts:
        keys = jax.random.split(jax.random.key(0), members)
        few = [keys[i] for i in range(min(16, members))]
        rows = {
            "one": Row(lambda few=few: [one(key) for key in few], len(few) * steps),
            "vmap": Row(functools.partial(vmapped, keys), members * steps),
            "map": Row(functools.partial(mapped, keys), members * steps),
        }
        times = measure(rows, rounds)
        aim = f"   target >= {TARGETS[sizes, members]}" if (sizes, members) in TARGETS else ""
        line = "".join(f"{quartiles(times[name], 1):>24}" for name in rows)
        print(f"  {members:8d}{line}   {quartiles(times['one'] / times['map'])}{aim}", flush=True)


def chunks(rounds: int, steps: int, networks: int | None = None, members: int = 64) -> None:
    """Time every chunk size for the networks that the default was chosen by, and print it beside the default."""
    from jaxmlp.training import ensembles

    sizes_of_chunks = [1, 2, 4, 8, 16, members // CORES]
    print(f"\n{members} members on {CORES} devices: microseconds a member and step by chunk size, and the default")
    print(f"  {'network':<18}{'batch':>6}{'KB':>7}{'default':>9}" + "".join(f"{c:8d}" for c in sizes_of_chunks))
    keys = jax.random.split(jax.random.key(0), members)
    for sizes, n, batch_size in CHUNK_CASES[:networks]:
        updates = -(-n // batch_size)
        flops = 6 * batch_size * sum(a * b for a, b in itertools.pairwise(sizes))
        epochs = max(1, round(steps / updates / (1 + flops / 1e6)))
        run = make_run(sizes, n, batch_size, epochs)
        rows = {
            str(c): Row(functools.partial(jaxmlp.ensemble_map(run, chunk_size=c), keys), members * epochs * updates)
            for c in sizes_of_chunks
        }
        times = measure(rows, rounds)
        largest = ensembles._largest_array(run, keys)
        default = ensembles._default_chunk(members // CORES, ensembles.CACHE // largest)
        line = "".join(f"{np.median(t):8.1f}" for t in times.values())
        print(f"  {'-'.join(map(str, sizes)):<18}{batch_size:6d}{largest / 1024:7.1f}{default:9d}{line}", flush=True)


def main(
    counts: tuple[int, ...] = (1, 4, 16, 64, 256, 1024),
    rounds: int = 11,
    steps: int = 100,
    by_chunk: bool = False,
    networks: int | None = None,
) -> None:
    """Print the tables.

    Args:
        counts: numbers of members.
        rounds: how often each is timed.
        steps: of training.
        by_chunk: print the table of chunk sizes instead.
        networks: how many rows of that; None prints all.
    """
    print(f"jax {jax.__version__}, {jax.local_device_count()} devices, {CORES} cores")
    if by_chunk:
        chunks(rounds, steps, networks)
        return
    for sizes in (SMALL, WIDE):
        compare(sizes, counts, rounds, steps)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", CORES)  # before anything is computed
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--chunks", action="store_true")
    arguments = parser.parse_args()
    main(rounds=arguments.rounds, steps=arguments.steps, by_chunk=arguments.chunks)
