"""Data larger than memory: a network trained from files on disk, of which a few blocks are in memory at a time.

    python examples/streaming.py
    python examples/streaming.py --examples 4000000 --folder /somewhere/with/2/GB

A random teacher network labels random inputs, and both are written block by block to two `.npy` files; in a temporary
folder, unless one is named, in which they then stay. An epoch reads blocks of consecutive rows in random order, mixes
the rows of two blocks at a time, and cuts them into batches, in a thread that works ahead of the training. One sees the
loss fall and the accuracy on a block never trained on rise, the examples trained on per second (the first epoch also
compiles), and how little the peak memory of the process grew beside the size of the files.

The mixing is only as good as the file: rows sorted by label, say, must be shuffled on disk first. Unix only, for the
memory is measured by `resource`.
"""

import argparse
import collections
import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

import jax
import numpy as np

import jaxmlp

CLASSES = 10
BLOCK = 8192  # consecutive rows read at once; fewer where there is less data
POOL = 2  # blocks mixed in memory
AHEAD = 64  # batches that the thread keeps ready: as many as a pool makes, so that it can read the next meanwhile

T = TypeVar("T")
Batch: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def main(
    examples: int = 400_000,
    width: int = 128,
    epochs: int = 3,
    batch_size: int = 256,
    seed: int = 0,
    folder: str | None = None,
) -> float:
    """Write the data, train from disk, report; return the accuracy on the held-out block."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="jaxmlp-") as temporary:
            return main(examples, width, epochs, batch_size, seed, temporary)
    model = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")
    optimizer = jaxmlp.optimizers.adam(2e-3)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jaxmlp.init_mlp(init_key, (width, 256, CLASSES))
    state = jaxmlp.init_state(params, optimizer, train_key)
    step, accuracy = jaxmlp.make_train_step(model, optimizer), jax.jit(jaxmlp.accuracy, static_argnames="model")

    memory_before = peak_memory()
    block = min(BLOCK, -(-examples // 8))
    paths = write_data(Path(folder), examples, width, block, seed)
    size = sum(path.stat().st_size for path in paths)
    training = examples - block  # the last rows are the block held out
    x_test, y_test = np.empty((block, width), np.float32), np.empty(block, np.int32)
    for path, rows in zip(paths, (x_test, y_test), strict=True):
        read_rows(path, training, examples, into=rows)
    print(f"{examples} examples of {width} numbers, {size / 1e6:.0f} MB on disk; the last {block} held out,")
    print(f"of which the commonest label has {np.bincount(y_test).max() / block:.3f}\n")

    with ThreadPoolExecutor(1) as reader:  # one for all epochs: malloc holds on to what each thread has freed
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            total = 0.0  # of the losses; a list of them would grow with the data
            from_disk = shuffled_batches(paths, training, block, batch_size, np.random.default_rng((seed, epoch)))
            with contextlib.closing(prefetched(from_disk, reader)) as batches:
                for x, y, weights in batches:
                    # JAX only dispatches: `loss` is a promise, and the next batch is fetched while this one computes.
                    # Printing it here would wait for it at each step; the report below does, once an epoch.
                    state, loss = step(state, x, y, weights)
                    total += loss * weights.sum()
            mean_loss = float(total) / training
            speed = training / (time.perf_counter() - start)
            right = float(accuracy(state.params, x_test, y_test, model))
            print(f"epoch {epoch}: loss {mean_loss:.4f}, held-out accuracy {right:.4f}; {speed:,.0f} examples/s")
    grown = peak_memory() - memory_before
    print(f"\n{size / 1e6:.0f} MB of data; the peak memory grew by {grown / 1e6:.0f} MB, compiling included")
    return right


def write_data(folder: Path, examples: int, width: int, block: int, seed: int) -> tuple[Path, Path]:
    """Write `inputs.npy` and `labels.npy` block by block, the labels a noisy teacher's; return the two paths."""
    rng = np.random.default_rng(seed)
    W1 = rng.standard_normal((width, 16), np.float32) * np.float32(1 / width**0.5)
    W2 = rng.standard_normal((16, CLASSES), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "inputs.npy", folder / "labels.npy"
    for path, dtype, shape in zip(paths, (np.float32, np.int32), ((examples, width), (examples,)), strict=True):
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    for start in range(0, examples, block):
        x = rng.standard_normal((min(block, examples - start), width), np.float32)
        outputs = np.tanh(x @ W1) @ W2
        y = np.argmax(outputs + 0.3 * rng.standard_normal(outputs.shape, np.float32), axis=1)
        for path, values in zip(paths, (x, y), strict=True):  # opened anew, for the reason in `read_rows`
            np.load(path, mmap_mode="r+")[start : start + block] = values
    return paths


def read_rows(path: Path, start: int, stop: int, into: np.ndarray) -> None:
    """Copy some rows into an array; the map closes at once, for each page that was touched counts until it does."""
    into[:] = np.load(path, mmap_mode="r")[start:stop]


def shuffled_batches(
    paths: tuple[Path, Path], examples: int, block: int, batch_size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Yield one epoch of `(x, y, weights)`, blocks in random order and rows mixed within `POOL` of them."""
    capacity = POOL * block + batch_size
    pool = [np.empty((capacity, *a.shape[1:]), a.dtype) for a in (np.load(path, mmap_mode="r") for path in paths)]
    filled = 0
    starts = rng.permutation(np.arange(0, examples, block))
    for n, start in enumerate(starts, 1):
        stop = min(start + block, examples)
        for path, rows in zip(paths, pool, strict=True):
            read_rows(path, start, stop, into=rows[filled : filled + stop - start])
        filled += stop - start
        if n % POOL and n < len(starts):
            continue
        order = rng.permutation(filled)
        filled %= batch_size
        whole, rest = order[: len(order) - filled], order[len(order) - filled :]
        for batch in whole.reshape(-1, batch_size):
            # Copies, never written over: JAX may still be reading a batch, or share its memory, when the pool changes.
            yield *(rows[batch] for rows in pool), np.ones(batch_size, np.float32)
        for rows in pool:
            rows[:filled] = rows[rest]  # to be mixed with the next blocks
    if filled:  # the last, smaller batch: filled up with its row 0 at weight 0, so that no second shape is compiled
        present = np.arange(batch_size) < filled
        batch = np.where(present, np.arange(batch_size), 0)
        yield *(rows[batch] for rows in pool), present.astype(np.float32)


def prefetched(items: Iterator[T], reader: ThreadPoolExecutor) -> Iterator[T]:
    """Yield the items, which the reader, one thread, makes `AHEAD` of their use; close this to stop it early."""
    waiting = collections.deque(reader.submit(next, items, None) for _ in range(AHEAD))
    try:
        while (item := waiting.popleft().result()) is not None:  # an error of the reader is raised here
            waiting.append(reader.submit(next, items, None))
            yield item
    finally:  # at the end, at an error, and where the consumer stops
        for future in waiting:
            future.cancel()


def peak_memory() -> int:
    """Return the most bytes of memory that the process has had so far."""
    # Linux starts it at the size of the process that started this one: from a large one, the growth looks too small.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400_000)
    parser.add_argument("--width", type=int, default=128, help="numbers in an example")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to write the data, and leave it; a temporary folder if not given")
    main(**vars(parser.parse_args()))
