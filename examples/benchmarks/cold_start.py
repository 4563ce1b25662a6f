"""From nothing to a trained network: fresh processes by the wall clock, imports and compilation included.

    python -m pip install ".[benchmarks]" && python examples/benchmarks/cold_start.py

Every job is a process of its own: it imports, reads the digits, trains (64, 100, 10) for 50 epochs of Adam in batches
of 200, prints its accuracy on what it was trained on, and ends. The parent times it from start to end, the jobs in turn
in an order that rotates from round to round, after a first round that does not count and leaves the files in memory. A
row gives the median over the rounds, its quartiles, and the same for its ratio to scikit-learn in the same round; and
at last `import jaxmlp` over `import jax`. No job finds a program that was compiled before.

Learned here: nearly all of it is importing and compiling; training itself takes 0.03 s. Each operation that runs
outside `jit` is a program to compile: initialisation and accuracy, written plainly, cost more than the step. So
`init_mlp` and `fit` compile as few programs as they can, and copy with `device_put`, which compiles none. One program
for the whole job (`jaxmlp, all in one`) is no faster than three.

Within a program, what counts is how many loops are left after fusion: each takes XLA 10 to 20 ms of one core, whatever
its size (`TF_CPP_VMODULE=ir_compiler=1,fusion_compiler=1 TF_CPP_MIN_LOG_LEVEL=0` lists them). Looking for numbers that
are not finite outside of the program, and an epoch's order that is one hash, where it had been words of JAX's generator
and tables of them, took `fit` from 82 loops to 51; a count of right decisions in integers, which XLA does not split in
three as it does a mean, took `accuracy` from 8 to 4. On jax 0.9.2 Python and `import jax` take 0.6 s, a key and
`init_mlp` 0.3 (a draw of JAX's threefry is 0.1 to 0.15 by itself, of whatever size), tracing 0.2, compiling `fit` 0.45,
and `accuracy` 0.1. XLA's optimization levels 0 and 1 save 0.1 s. The end of the process takes 0.2 to 0.3 s, in which
Python's garbage collector goes once more over all that `import jax` made; `gc.freeze()` after the imports saves that,
and as much of scikit-learn's. The ratio moves with the machine: on a day on which scikit-learn took 1.2 s in place of
1.6, `fit`, then of 61 loops, took 2.1 s.
"""

import argparse
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

# The first two would hold OpenBLAS back, and scikit-learn with it; with the last one nothing would be compiled.
NOT_INHERITED = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "JAX_COMPILATION_CACHE_DIR"}

FIT = """
import jax, jaxmlp, numpy as np
digits = np.load("digits.npz")
x, y = digits["x"], digits["y"]
model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
params = jaxmlp.init_mlp(jax.random.key(0), (64, 100, 10))
optimizer = jaxmlp.optimizers.adam(1e-3)
result = jaxmlp.fit(params, x, y, model, optimizer, key=jax.random.key(1), epochs={epochs}, batch_size=200)
print(float(jax.jit(jaxmlp.accuracy)(result.params, x, y, model)))
"""

TRAIN = """
import functools
import jax, jaxmlp, numpy as np
digits = np.load("digits.npz")
x, y = digits["x"], digits["y"]
model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
params = jaxmlp.init_mlp(jax.random.key(0), (64, 100, 10))
optimizer = jaxmlp.optimizers.adam(1e-3)
state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
train = jax.jit(functools.partial(jaxmlp.train, model=model, optimizer=optimizer, epochs={epochs}, batch_size=200))
state, losses = train(state, x, y)
print(float(jax.jit(jaxmlp.accuracy)(state.params, x, y, model)))
"""

ONE_PROGRAM = """
import jax, jaxmlp, numpy as np
digits = np.load("digits.npz")
model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
optimizer = jaxmlp.optimizers.adam(1e-3)

@jax.jit
def job(x, y):
    init_key, train_key = jax.random.split(jax.random.key(0))
    params = jaxmlp.init_mlp(init_key, (64, 100, 10))
    state = jaxmlp.init_state(params, optimizer, train_key)
    state, losses = jaxmlp.train(state, x, y, model, optimizer, epochs={epochs}, batch_size=200)
    return state, losses, jaxmlp.accuracy(state.params, x, y, model)

state, losses, accuracy = job(digits["x"], digits["y"])
print(float(accuracy))
"""

SCIKIT_LEARN = """
import warnings
import numpy as np
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
digits = np.load("digits.npz")
x, y = digits["x"], digits["y"]
network = MLPClassifier(
    (100,), batch_size=200, max_iter={epochs}, tol=0, n_iter_no_change=10**6, alpha=0, learning_rate_init=1e-3
)
print(network.fit(x, y).score(x, y))
"""

TORCH = """
import numpy as np, torch
from torch import nn
digits = np.load("digits.npz")
x, y = torch.from_numpy(digits["x"]), torch.from_numpy(digits["y"]).long()
network = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
loss = nn.CrossEntropyLoss()
for epoch in range({epochs}):
    for rows in torch.randperm(len(x)).split(200):
        optimizer.zero_grad()
        loss(network(x[rows]), y[rows]).backward()
        optimizer.step()
with torch.no_grad():
    print(float((network(x).argmax(1) == y).float().mean()))
"""

NAIVE = """
import jax, jax.numpy as jnp, numpy as np
digits = np.load("digits.npz")
x, y = digits["x"], digits["y"]
key, params = jax.random.key(0), []
for d_in, d_out in [(64, 100), (100, 10)]:
    key, subkey = jax.random.split(key)
    params.append((jax.random.normal(subkey, (d_in, d_out)) * jnp.sqrt(2 / d_in), jnp.zeros(d_out)))

def forward(params, x):
    for W, b in params[:-1]:
        x = jax.nn.relu(x @ W + b)
    W, b = params[-1]
    return x @ W + b

def loss(params, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(forward(params, x)), y[:, None], axis=1))

@jax.jit
def step(params, m, v, t, x, y):
    g = jax.grad(loss)(params, x, y)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, g)
    def update(p, m, v):
        return p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return jax.tree.map(update, params, m, v), m, v

m, v, t = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), 0
rng = np.random.default_rng(0)
for epoch in range({epochs}):
    order = rng.permutation(len(x))
    for i in range(0, len(x), 200):
        rows, t = order[i : i + 200], t + 1
        params, m, v = step(params, m, v, t, x[rows], y[rows])
print(float(jnp.mean(jnp.argmax(forward(params, x), axis=1) == y)))
"""

TRAINING = {
    "jaxmlp, fit": FIT,
    "jaxmlp, train": TRAIN,
    "jaxmlp, all in one": ONE_PROGRAM,
    "scikit-learn": SCIKIT_LEARN,
    "torch": TORCH,
    "naive JAX": NAIVE,
}
IMPORTS = {"import jax": "import jax", "import jaxmlp": "import jaxmlp"}


def run(source: str, folder: str) -> tuple[float, str]:
    """Run a job in a fresh process; return the seconds it took and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout


def write_digits(folder: str) -> None:
    """Write scikit-learn's digits, pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    np.savez(pathlib.Path(folder) / "digits.npz", x=(x / 16).astype(np.float32), y=y.astype(np.int32))


def quartiles(values: np.ndarray) -> str:
    """Write the median and the quartiles."""
    return "{1:.2f} [{0:.2f}, {2:.2f}]".format(*np.quantile(values, (0.25, 0.5, 0.75)))


def main(rounds: int = 7, epochs: int = 50, warm_up: bool = True) -> None:
    """Print the table; the files are read once beforehand, in a round that does not count."""
    print(f"fresh processes, {epochs} epochs; {rounds} rounds; median [quartiles]")
    sources = {name: source.replace("{epochs}", str(epochs)) for name, source in (TRAINING | IMPORTS).items()}
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: its row is skipped")
        del sources["torch"]
    names = list(sources)
    times = {name: np.empty(rounds) for name in names}
    accuracies: dict[str, list[float]] = {name: [] for name in names if name in TRAINING}
    with tempfile.TemporaryDirectory() as folder:
        write_digits(folder)
        for r in range(-1 if warm_up else 0, rounds):
            shift = r % len(names)
            for name in names[shift:] + names[:shift]:
                seconds, printed = run(sources[name], folder)
                if r >= 0:
                    times[name][r] = seconds
                if name in accuracies:
                    accuracies[name].append(float(printed))
    print(f"\n{'job':<20} {'seconds':>20}   {'/ scikit-learn':>20}   accuracy")
    for name, values in accuracies.items():
        ratio = quartiles(times[name] / times["scikit-learn"])
        target = "   target <= 1.4" if name.startswith("jaxmlp") else ""
        print(f"{name:<20} {quartiles(times[name]):>20}   {ratio:>20}   {np.median(values):.4f}{target}")
    print()
    for name in IMPORTS:
        print(f"{name:<20} {quartiles(times[name]):>20}")
    print(f"import jaxmlp / import jax: {quartiles(times['import jaxmlp'] / times['import jax'])}   target <= 1.15")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=50)
    main(**vars(parser.parse_args()))
