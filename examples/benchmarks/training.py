"""Training against the clock: `train` and `fit` beside scikit-learn, torch and optax, on the CPU, all compiled before.

    python -m pip install ".[benchmarks]" && python examples/benchmarks/training.py

In one process, in turn, in an order that rotates from round to round; a table gives the median over the rounds and its
quartiles, and the ratios are taken within each round. A peer that was run with one thread and with all of them is
represented by the faster. Peers that are not installed are left out. What is timed:

- digits: 50 epochs of Adam on 1,797 digits in batches of 200, sizes (64, 100, 10); the final losses say that all do
  the same job.
- moons: 2,000 steps of Adam on one batch of 100 points, sizes (2, 16, 16, 1).
- large: steps of SGD at sizes (1024, 2048, 2048, 1000), one by one and within `train`, in GFLOP/s beside a matrix
  product of JAX's in the same rounds.
- shuffle: an epoch's order, by `epoch_order` and by `jax.random.permutation`.

Learned here: at the digits' size a step computes for less than 100 us, so that what a library does around each step
decides: one program for the whole run does nothing there. `jax.random.permutation` sorts, which at this size would
take as long as all the rest of an epoch; hence `epoch_order`. The peers gain little from a second thread on
networks this small. What is left of a step on jax 0.9.2 is three quarters products, most of it the first layer's
two, which run at nine tenths of a core's speed. Padding an epoch's order to whole batches after it was made kept XLA
from vectorising the hash, at 4 % of the whole run: the hash makes the padding too.

A large step runs at 93 to 96 % of the speed of a matrix product within `train`. Called from Python, its temporary
memory comes from the system anew, page by page, each time: 90 to 98 % where the product runs at 200 GFLOP/s, 80 to 84 %
where it runs at 400. With `MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000` in the environment, by
which glibc keeps it, that was 92 % too.
"""

import os

os.environ.pop("OPENBLAS_CORETYPE", None)  # they would hold OpenBLAS back, and scikit-learn with it,
os.environ.pop("OPENBLAS_L2_SIZE", None)  # and are read when NumPy is imported

import argparse
import contextlib
import functools
import importlib.util
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp.training.shuffling import epoch_order

THREADS = sorted({1, os.cpu_count() or 1})


class Row(NamedTuple):
    """One way to do a job.

    Attributes:
        run: does it; what it returns is waited for.
        loss: the final loss, from what `run` returned.
        within: what to enter before the clock starts, as a limit on threads.
    """

    run: Callable[[], Any]
    loss: Callable[[Any], float] = lambda _: math.nan
    within: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext


def measure(rows: dict[str, Row], rounds: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return each row's seconds, one for each round, and its loss; a first run, which compiles, does not count."""
    losses = {}
    for name, row in rows.items():
        with row.within():
            losses[name] = row.loss(jax.block_until_ready(row.run()))
    times = {name: np.empty(rounds) for name in rows}
    names = list(rows)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            with rows[name].within():
                start = time.perf_counter()
                jax.block_until_ready(rows[name].run())
                times[name][r] = time.perf_counter() - start
    return times, losses


def quartiles(values: np.ndarray, digits: int = 2) -> str:
    """Write the median and the quartiles."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def print_table(times: dict[str, np.ndarray], losses: dict[str, float]) -> None:
    """Print a line for each row."""
    for name, seconds in times.items():
        print(f"  {name:<26} {quartiles(1e3 * seconds, 1):>26} ms   final loss {losses[name]:.4f}")


def print_ratio(times: dict[str, np.ndarray], peer: str, ours: str, target: float | None) -> None:
    """Print peer / ours, the peer at its better number of threads; nothing where it was skipped."""
    names = [name for name in times if name.split(",")[0] == peer]
    if names:
        best = min(names, key=lambda name: np.median(times[name]))
        aim = "" if target is None else f"   target >= {target}"
        print(f"  {best + ' / ' + ours:<38} {quartiles(times[best] / times[ours]):>20}{aim}", flush=True)


def installed(package: str, what: str) -> bool:
    """Say whether a package is there, and print what its absence means."""
    there = importlib.util.find_spec(package) is not None
    if not there:
        print(f"  {package} is not installed: {what}")
    return there


def threads(count: int) -> str:
    """Write a number of threads."""
    return f"{count} thread{'s' if count > 1 else ''}"


def digits_data() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, pixels from 0 to 1."""
    if installed("sklearn", "random numbers stand in for its digits"):
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return (x / 16).astype(np.float32), y.astype(np.int32)
    rng = np.random.default_rng(0)
    return rng.random((1797, 64), np.float32), rng.integers(0, 10, 1797, np.int32)


def moons_data(n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's two moons, without scikit-learn."""
    rng, t = np.random.default_rng(0), np.linspace(0, np.pi, n // 2)
    x = np.concatenate([np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)])
    y = np.repeat([0, 1], n // 2)[:, None]
    return (x + noise * rng.normal(size=x.shape)).astype(np.float32), y.astype(np.float32)


def our_rows(
    x: np.ndarray,
    y: np.ndarray,
    sizes: tuple[int, ...],
    model: jaxmlp.Model,
    learning_rate: float,
    epochs: int,
    batch_size: int,
) -> dict[str, Row]:
    """Make the rows of `train` and `fit`."""
    params = jaxmlp.init_mlp(jax.random.key(0), sizes)
    optimizer = jaxmlp.optimizers.adam(learning_rate)
    state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
    x, y = jnp.asarray(x), jnp.asarray(y)
    how = {"model": model, "optimizer": optimizer, "epochs": epochs, "batch_size": batch_size}
    train = jax.jit(functools.partial(jaxmlp.train, **how))
    fit = functools.partial(jaxmlp.fit, key=jax.random.key(1), progress=False, **how)
    return {
        "train": Row(lambda: train(state, x, y), lambda result: float(result[1][-1])),
        "fit": Row(lambda: fit(params, x, y), lambda result: result.history["loss"][-1]),
    }


def sklearn_rows(x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> dict[str, Row]:
    """Make the rows of scikit-learn's MLPClassifier."""
    if not installed("sklearn", "its rows are skipped"):
        return {}
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    def run() -> MLPClassifier:
        """Train one classifier for all the epochs."""
        classifier = MLPClassifier(
            (100,),
            batch_size=batch_size,
            max_iter=epochs,
            tol=0,
            n_iter_no_change=10**6,
            alpha=0,
            learning_rate_init=1e-3,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return classifier.fit(x, y)

    limits = {count: functools.partial(threadpool_limits, count) for count in THREADS}
    return {
        f"scikit-learn, {threads(count)}": Row(run, lambda classifier: classifier.loss_, limit)
        for count, limit in limits.items()
    }


def torch_rows(
    x: np.ndarray,
    y: np.ndarray,
    sizes: tuple[int, ...],
    activation: str,
    loss: str,
    learning_rate: float,
    epochs: int,
    batch_size: int,
) -> dict[str, Row]:
    """Make the rows of eager torch, from our first parameters; activation and loss are names of its classes."""
    if not installed("torch", "its rows are skipped"):
        return {}
    import torch
    from torch import nn

    n = len(x)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    params = [[torch.tensor(np.asarray(p)) for p in layer] for layer in jaxmlp.init_mlp(jax.random.key(0), sizes)]
    if targets.ndim == 1:
        targets = targets.long()
    loss_function = getattr(nn, loss)()
    lengths = np.diff([*range(0, n, batch_size), n])

    def run() -> list[torch.Tensor]:
        """Train one network for all the epochs; return the last one's losses."""
        layers = []
        for d_in, d_out in itertools.pairwise(sizes):
            layers += [nn.Linear(d_in, d_out), getattr(nn, activation)()]
        network = nn.Sequential(*layers[:-1])
        for layer, (W, b) in zip(layers[::2], params, strict=True):
            layer.weight.data.copy_(W.T)
            layer.bias.data.copy_(b)
        optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
        for _ in range(epochs):
            losses = []
            batches = torch.randperm(n).split(batch_size) if batch_size < n else [slice(None)]
            for rows in batches:
                optimizer.zero_grad()
                value = loss_function(network(inputs[rows]), targets[rows])
                value.backward()
                optimizer.step()
                losses.append(value.detach())
        return losses

    @contextlib.contextmanager
    def limited(count: int) -> Iterator[None]:
        """Let torch have so many threads."""
        torch.set_num_threads(count)
        yield

    return {
        f"torch, {threads(count)}": Row(
            run,
            lambda losses: float(np.average([float(value) for value in losses], weights=lengths)),
            functools.partial(limited, count),
        )
        for count in THREADS
    }


def optax_rows(x: np.ndarray, y: np.ndarray, sizes: tuple[int, ...], epochs: int, batch_size: int) -> dict[str, Row]:
    """Make the rows of what one writes with optax: a Python loop over a jitted step, and one jitted scan."""
    if not installed("optax", "its rows are skipped"):
        return {}
    import optax

    n, optimizer = len(x), optax.adam(1e-3)
    params = jaxmlp.init_mlp(jax.random.key(0), sizes)
    lengths = np.diff([*range(0, n, batch_size), n])

    def loss(params: list, x: jax.Array, y: jax.Array) -> jax.Array:
        """Return the mean cross-entropy, written plainly."""
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        W, b = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ W + b, y).mean()

    def step(params: list, opt_state: Any, x: jax.Array, y: jax.Array) -> tuple[list, Any, jax.Array]:
        """Make one update."""
        value, grads = jax.value_and_grad(loss)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    jitted_step = jax.jit(step, donate_argnums=(0, 1))

    def loop() -> tuple[list, list[jax.Array]]:
        """Train in a Python loop over NumPy batches, the last one smaller; return also the last epoch's losses."""
        rng = np.random.default_rng(0)
        p = jax.tree.map(jnp.copy, params)  # the step donates them
        opt_state = optimizer.init(p)
        for _ in range(epochs):
            order, losses = rng.permutation(n), []
            for i in range(0, n, batch_size):
                rows = order[i : i + batch_size]
                p, opt_state, value = jitted_step(p, opt_state, x[rows], y[rows])
                losses.append(value)
        return p, losses

    @jax.jit
    def scan(params: list, opt_state: Any, key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[list, jax.Array]:
        """Train in one program, on the batches that are full; return also the last epoch's losses."""

        def update(carry: tuple, rows: jax.Array) -> tuple[tuple, jax.Array]:
            """Make one update."""
            *carry, value = step(*carry, x[rows], y[rows])
            return tuple(carry), value

        def epoch(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
            """Go through the data once."""
            full = n // batch_size
            order = jax.random.permutation(key, n)[: full * batch_size]
            return jax.lax.scan(update, carry, order.reshape(full, batch_size))

        (params, _), losses = jax.lax.scan(epoch, (params, opt_state), jax.random.split(key, epochs))
        return params, losses[-1]

    inputs, targets, opt_state, key = jnp.asarray(x), jnp.asarray(y), optimizer.init(params), jax.random.key(1)
    return {
        "optax loop": Row(loop, lambda result: float(np.average(np.array(result[1]), weights=lengths))),
        "optax scan": Row(
            lambda: scan(params, opt_state, key, inputs, targets), lambda result: float(np.mean(result[1]))
        ),
    }


def digits(rounds: int, epochs: int) -> None:
    """Time 50 epochs over the digits."""
    print(f"digits: sizes (64, 100, 10), relu, batches of 200, {epochs} epochs of Adam")
    x, y = digits_data()
    sizes, batch_size = (64, 100, 10), 200
    model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
    rows = our_rows(x, y, sizes, model, 1e-3, epochs, batch_size)
    rows |= sklearn_rows(x, y, epochs, batch_size)
    rows |= torch_rows(x, y, sizes, "ReLU", "CrossEntropyLoss", 1e-3, epochs, batch_size)
    rows |= optax_rows(x, y, sizes, epochs, batch_size)
    times, losses = measure(rows, rounds)
    print_table(times, losses)
    for ours, targets in {"train": (3, 5, 1.3, None), "fit": (None, None, 1.2, None)}.items():
        for peer, target in zip(("scikit-learn", "torch", "optax loop", "optax scan"), targets, strict=True):
            print_ratio(times, peer, ours, target)


def moons(rounds: int, steps: int) -> None:
    """Time 2,000 steps on the moons, all of them in one batch."""
    print(f"\nmoons: sizes (2, 16, 16, 1), tanh, one batch of 100, {steps} steps of Adam")
    x, y = moons_data(100, noise=0.2)
    sizes, n = (2, 16, 16, 1), len(x)
    model = jaxmlp.Model("tanh", loss="sigmoid_cross_entropy")
    rows = {"train": our_rows(x, y, sizes, model, 1e-2, steps, n)["train"]}
    rows |= torch_rows(x, y, sizes, "Tanh", "BCEWithLogitsLoss", 1e-2, steps, n)
    times, losses = measure(rows, rounds)
    print_table(times, losses)
    print_ratio(times, "torch", "train", 15)


def repeated(f: Callable[[], Any], seconds: float) -> tuple[Callable[[], None], int]:
    """Return f repeated for about so long, each call waited for, and how many times that is."""
    jax.block_until_ready(f())
    start = time.perf_counter()
    jax.block_until_ready(f())
    calls = max(1, math.ceil(seconds / (time.perf_counter() - start)))

    def run() -> None:
        """Call f that many times."""
        for _ in range(calls):
            jax.block_until_ready(f())

    return run, calls


def large(rounds: int, seconds: float) -> None:
    """Time a step of a large network, called by itself and within `train`, beside a matrix product."""
    sizes, n, d = (1024, 2048, 2048, 1000), 1024, 2048
    print(f"\nlarge: sizes {sizes}, one step of SGD on {n} examples; beside it ({d}, {d}) @ ({d}, {d}), float32")
    keys = jax.random.split(jax.random.key(0), 4)
    x, y = jax.random.normal(keys[0], (n, sizes[0])), jax.random.randint(keys[1], (n,), 0, sizes[-1])
    optimizer = jaxmlp.optimizers.sgd(0.1)
    model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
    step = jaxmlp.make_train_step(model, optimizer)
    state = jaxmlp.init_state(jaxmlp.init_mlp(keys[2], sizes), optimizer, keys[3])
    steps_of_train = max(2, int(20 * seconds))
    train = jax.jit(
        functools.partial(jaxmlp.train, model=model, optimizer=optimizer, epochs=steps_of_train, batch_size=n)
    )
    first = jaxmlp.init_state(state.params, optimizer, keys[3])

    def one_step() -> jax.Array:
        """Make a step; the state before it is gone."""
        nonlocal state
        state, loss = step(state, x, y)
        return loss

    a, b = jax.random.normal(keys[3], (2, d, d))
    product = jax.jit(jnp.matmul)
    layers = [2 * n * d_in * d_out for d_in, d_out in itertools.pairwise(sizes)]
    step_flops = 3 * sum(layers) - layers[0]  # forward, dW, da; nobody needs the inputs' gradient
    product_flops = 2 * d**3
    jobs = {
        "make_train_step": (one_step, step_flops),
        "train": (lambda: train(first, x, y), steps_of_train * step_flops),
        "matrix product": (lambda: product(a, b), product_flops),
    }
    rows, flops = {}, {}
    for name, (job, each) in jobs.items():
        run, calls = repeated(job, seconds)
        rows[name], flops[name] = Row(run), calls * each
    times, _ = measure(rows, rounds)
    rates = {name: flops[name] / seconds / 1e9 for name, seconds in times.items()}
    for name, rate in rates.items():
        print(f"  {name:<26} {quartiles(rate, 1):>26} GFLOP/s")
    for name in ("make_train_step", "train"):
        share = quartiles(100 * rates[name] / rates["matrix product"], 1)
        print(f"  {f'{name}, share of the product, %':<40} {share:>20}   target >= 85", flush=True)


def permutation(key: jax.Array, step: jax.Array, n: int) -> jax.Array:
    """Do what `epoch_order` does, with JAX's own."""
    return jax.random.permutation(jax.random.fold_in(key, step), n)


def shuffle(rounds: int, orders: int) -> None:
    """Time an epoch's order."""
    print(f"\nshuffle: ms for one order, {orders} in a scan")
    for n in (1797, 60000):
        rows = {}
        for draw in (epoch_order, permutation):
            orders_in_turn = jax.jit(
                lambda key, draw=draw, n=n: jax.lax.map(lambda step: draw(key, step, n), jnp.arange(orders))
            )
            rows[draw.__name__] = Row(functools.partial(orders_in_turn, jax.random.key(0)))
        times, _ = measure(rows, rounds)
        for name, seconds in times.items():
            print(f"  {f'{name}, n = {n}':<26} {quartiles(1e3 * seconds / orders, 3):>26} ms")
        print_ratio(times, "permutation", "epoch_order", None)


def main(rounds: int = 15, scale: float = 1.0) -> None:
    """Print all tables; `scale` multiplies the numbers of epochs and steps."""
    print(
        f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {threads(max(THREADS))}; {rounds} rounds;", end=" "
    )
    print("median [quartiles]; a ratio is peer / ours\n")
    digits(rounds, max(1, round(50 * scale)))
    moons(rounds, max(1, round(2000 * scale)))
    large(rounds, 0.2 * scale)
    shuffle(rounds, max(1, round(20 * scale)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    main(**vars(parser.parse_args()))
