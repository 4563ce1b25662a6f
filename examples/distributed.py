"""Several machines, one network: the program is started once in each process, and each feeds its own part of the data.

    python examples/distributed.py                      # one process, to compare with
    python examples/distributed.py --coordinator 127.0.0.1:9876 --num-processes 2 --process-id 0 &
    python examples/distributed.py --coordinator 127.0.0.1:9876 --num-processes 2 --process-id 1

On machines of their own the coordinator is the address of process 0, and the checkpoint lies in a folder that all of
them see. JAX does the rest: `jax.distributed` lets the processes know of one another, a mesh spans all their devices,
and `jaxmlp.data_parallel` puts one sum over that mesh into the training step. On CPUs the sum goes by gloo.

The digits lie in eight parts, as large data lie in files; each process reads only its own. A batch takes as many
examples from each part, so that 1, 2, 4 or 8 processes train the same network, but for rounding in their sums.

Process 0 writes a checkpoint after each epoch. If a process dies, the others end with an error, within seconds: the
sum lacks a share, or the heartbeat of the lost process. Started again, all go on from the checkpoint, with the bits of
a run that was not disturbed (`tests/test_distributed.py` kills one to see it).
"""

import argparse
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from sklearn.datasets import load_digits

import jaxmlp

PARTS = 8
MODEL = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")


def main(
    coordinator: str | None = None,
    num_processes: int = 1,
    process_id: int = 0,
    epochs: int = 10,
    batch_size: int = 64,
    checkpoint: str = "distributed.safetensors",
    seed: int = 0,
) -> float:
    """Train together, report in process 0; return the accuracy on the held-out digits.

    Args:
        coordinator: `host:port` of process 0; None for a single process.
        num_processes: how many there are; they divide 8.
        process_id: which of them this one is.
        epochs: in total, those of the checkpoint included.
        batch_size: of all processes together; a multiple of 8, up to 1,408.
        checkpoint: file to write, and to go on from where it exists; of the same batch size.
        seed: of the weights and of the orders.
    """
    if num_processes < 1 or PARTS % num_processes or batch_size < 1 or batch_size % PARTS:
        raise ValueError(
            f"num_processes must divide {PARTS}, and {PARTS} the batch_size; got {num_processes} and {batch_size}."
        )
    if coordinator is not None:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate",  # or a cluster's scheduler would be asked
            coordinator_bind_address=coordinator,  # the default listens on all interfaces
            initialization_timeout=60,
            heartbeat_timeout_seconds=10,
        )
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    shared = NamedSharding(mesh, P("data"))
    chief = process_id == 0

    optimizer = jaxmlp.optimizers.adam(2e-3)
    dtype = jnp.result_type(float)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jaxmlp.init_mlp(init_key, (64, 64, 10), dtype=dtype)
    state = jaxmlp.init_state(params, optimizer, train_key)
    if os.path.exists(checkpoint):
        state = jaxmlp.restore_state(checkpoint, state)
    step = jaxmlp.make_train_step(MODEL, optimizer, value_and_grad=jaxmlp.data_parallel(jaxmlp.value_and_grad, mesh))

    mine = range(process_id * PARTS // num_processes, (process_id + 1) * PARTS // num_processes)
    parts = {part: read_part(part) for part in mine}
    share = batch_size // PARTS
    steps = len(parts[mine[0]][0]) // share  # every part is as long
    x_test, y_test = read_part(PARTS)
    for epoch in range(int(state.step) // steps, epochs):
        orders = {part: np.random.default_rng((seed, epoch, part)).permutation(steps * share) for part in mine}
        for i in range(steps):
            rows = slice(i * share, (i + 1) * share)
            local = [np.concatenate([parts[part][a][orders[part][rows]] for part in mine]) for a in (0, 1)]
            x, y = (jax.make_array_from_process_local_data(shared, a) for a in local)
            state, loss = step(state, x, y)
        if chief:
            jaxmlp.save_state(checkpoint, state)  # the others are at most one sum ahead
            accuracy = jaxmlp.accuracy(jax.device_get(state.params), x_test, y_test, MODEL)
            print(
                f"epoch {epoch:3d}  loss of the last batch {float(loss):.4f}  held-out accuracy {accuracy:.3f}",
                flush=True,
            )
    if chief:
        print(f"{num_processes} processes, {jax.device_count()} devices, step {int(state.step)}; wrote {checkpoint}")
    return float(jaxmlp.accuracy(jax.device_get(state.params), x_test, y_test, MODEL))


def read_part(part: int) -> tuple[np.ndarray, np.ndarray]:
    """Read one part of the digits: 0 ... 7 to train on, 8 held out.

    Args:
        part: which.

    Returns:
        x `(n, 64)` and labels `(n,)`; each part has 176 examples, the held-out one 389.
    """
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    ends = [176 * p for p in range(PARTS + 1)] + [len(digits)]
    rows = order[ends[part] : ends[part + 1]]
    return digits[rows] / 16, labels[rows].astype(np.int32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coordinator", help="host:port of process 0")
    parser.add_argument("--num-processes", type=int, default=1)
    parser.add_argument("--process-id", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--checkpoint", default="distributed.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
