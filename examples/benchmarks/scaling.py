"""How the cost grows: with width, depth and batch on one device, and with devices that share a batch or an ensemble.

    python examples/benchmarks/scaling.py

Eight devices are asked for, on however few cores: so the tables by devices show what sharing itself costs, and what it
gains up to the number of cores. Times are medians over rounds in random order, with quartiles; floating-point
operations are counted as 6 B P for a step of batch B and P weights, less 2 B d_0 d_1 for the first layer, which hands
nothing back; memory is the compiler's count of temporary bytes. `docs/scaling.md` shows the arithmetic and the tables.

Learned here: a network of width 32 costs as much as its some 60 small operations cost to start, whatever their size;
from width 512 on the products decide. Devices beyond the cores cost a batch their waiting for one another, 40 % for
eight on two cores, and an ensemble nothing.
"""

import os

os.environ.setdefault("PJRT_NPROC", "16")  # a thread for each device that waits, however few the cores

import argparse
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmlp

MODEL = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")
OPTIMIZER = jaxmlp.optimizers.adam(1e-3)


class Case(NamedTuple):
    """Something to time.

    Attributes:
        name: of the line.
        run: does it once; what it returns is waited for.
        operations: how many of floating point.
        bytes: of temporary memory, by the compiler's count.
    """

    name: str
    run: Callable[[], Any]
    operations: float
    bytes: int


def table(title: str, cases: list[Case], rounds: int, seconds: float) -> None:
    """Time the cases in random order, each repeated for some time, and print a line for each."""
    print(f"\n{title}\n  {'':24}{'ms':>24}{'GFLOP/s':>10}{'temporary MB':>14}")
    repeats, times = [], [[] for _ in cases]
    for case in cases:
        jax.block_until_ready(case.run())
        start = time.perf_counter()
        jax.block_until_ready(case.run())
        repeats.append(max(1, int(seconds / (time.perf_counter() - start))))
    rng = np.random.default_rng(0)
    for i in [i for _ in range(rounds) for i in rng.permutation(len(cases))]:
        jax.block_until_ready(cases[i].run())
        start = time.perf_counter()
        for _ in range(repeats[i]):
            jax.block_until_ready(cases[i].run())
        times[i].append(1e3 * (time.perf_counter() - start) / repeats[i])
    for case, ms in zip(cases, times, strict=True):
        low, median, high = np.quantile(ms, (0.25, 0.5, 0.75))
        speed, memory = case.operations / median / 1e6, case.bytes / 1e6
        print(f"  {case.name:24}{f'{median:.3f} [{low:.3f}, {high:.3f}]':>24}{speed:10.1f}{memory:14.2f}", flush=True)


def operations(sizes: tuple[int, ...], batch: int) -> float:
    """Count those of one step."""
    return 6 * batch * sum(a * b for a, b in itertools.pairwise(sizes)) - 2 * batch * sizes[0] * sizes[1]


def step_case(name: str, sizes: tuple[int, ...], batch: int, devices: int | None = None) -> Case:
    """Make the case of one training step; with a number of devices, its batch is shared among so many."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch, np.int32)
    state = jaxmlp.init_state(jaxmlp.init_mlp(jax.random.key(0), sizes), OPTIMIZER, jax.random.key(1))
    value_and_grad = jaxmlp.value_and_grad
    if devices is not None:
        mesh = Mesh(np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,))
        value_and_grad = jaxmlp.data_parallel(value_and_grad, mesh)
        x, y = (jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (x, y))
        state = jax.device_put(state, NamedSharding(mesh, P()))
    x, y = jnp.asarray(x), jnp.asarray(y)
    step = jaxmlp.make_train_step(MODEL, OPTIMIZER, value_and_grad=value_and_grad)
    memory = step.lower(state, x, y).compile().memory_analysis()
    box = [state]

    def run() -> jax.Array:
        """Go one step on."""
        box[0], loss = step(box[0], x, y)
        return loss

    return Case(name, run, operations(sizes, batch), memory.temp_size_in_bytes)


def ensemble_case(name: str, members: int, devices: int, steps: int = 50) -> Case:
    """Make the case of an ensemble of (2, 16, 16, 2) that trains for some full-batch steps on so many devices."""
    sizes, n = (2, 16, 16, 2), 100
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(n, 2)), jnp.float32), jnp.asarray(rng.integers(0, 2, n, np.int32))

    def one(key: jax.Array) -> jax.Array:
        """Train one member; return its losses."""
        state = jaxmlp.init_state(jaxmlp.init_mlp(key, sizes), OPTIMIZER, key)
        return jaxmlp.train(state, x, y, MODEL, OPTIMIZER, epochs=steps, batch_size=n)[1]

    keys = jax.random.split(jax.random.key(0), members)
    mapped = jaxmlp.ensemble_map(one, devices=jax.devices()[:devices])
    memory = mapped.lower(keys).compile().memory_analysis().temp_size_in_bytes
    return Case(name, lambda: mapped(keys), members * steps * operations(sizes, n), memory)


def main(
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048),
    depths: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    batches: tuple[int, ...] = (16, 64, 256, 1024, 4096),
    devices: tuple[int, ...] = (1, 2, 4, 8),
    members: int = 64,
    rounds: int = 9,
    seconds: float = 0.1,
) -> None:
    """Print the tables.

    Args:
        widths: of two hidden layers and the input, at 256 examples.
        depths: numbers of hidden layers of 128, at 256 examples.
        batches: examples for a step of (256, 512, 512, 10).
        devices: numbers of devices.
        members: of the ensemble.
        rounds: how often each is timed.
        seconds: how long, each time.
    """
    print(f"jax {jax.__version__}, {jax.device_count()} devices, {os.cpu_count()} cores; one step of Adam each")
    cases = [step_case(f"width {w}", (w, w, w, 10), 256) for w in widths]
    table("width: (w, w, w, 10), 256 examples", cases, rounds, seconds)
    cases = [step_case(f"depth {d}", (64, *[128] * d, 10), 256) for d in depths]
    table("depth: hidden layers of 128, 256 examples", cases, rounds, seconds)
    cases = [step_case(f"batch {b}", (256, 512, 512, 10), b) for b in batches]
    table("batch: (256, 512, 512, 10)", cases, rounds, seconds)
    few = [k for k in devices if k <= jax.device_count()]
    cases = [step_case("without data_parallel", (256, 512, 512, 10), 1024)]
    cases += [step_case(f"{k} devices", (256, 512, 512, 10), 1024, k) for k in few]
    table("data_parallel: (256, 512, 512, 10), 1,024 examples in all", cases, rounds, seconds)
    cases = [ensemble_case(f"{k} devices", members, k) for k in few]
    table(f"ensemble_map: {members} members of (2, 16, 16, 2), 50 steps, 100 examples", cases, rounds, seconds)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)  # before anything is computed
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    main(rounds=parser.parse_args().rounds)
