"""The noise scale over training on scikit-learn's digits, and the batch size that it predicts.

    python examples/noise_scale.py

`jaxmlp.noise_scale` reads it from one backward pass over the training set: the batch size at which the noise of a
batch's gradient is as large as the gradient. McCandlish et al. 2018, arXiv 1812.06162, have it that with the best
learning rate each time, batches of B come to a given loss in

    S(B) = S_min (1 + B_critical / B)

steps, and that B_critical is about the mean of the noise scale over the steps. The example counts the steps for nine
batch sizes, at the best of six learning rates for plain SGD, fits S_min and B_critical, puts the noise scale measured
on the way beside them, and draws `noise_scale.png`.

One sees the noise scale stay near 20 examples until the loss is 0.5, and then grow as the loss falls, to hundreds. The
law describes the steps to within 7 to 11 %. The mean noise scale is 1.1, 0.86, 1.5 and 2.6 times the B_critical fitted
for the losses 0.5, 0.2, 0.1 and 0.05: it tells the useful batch size well at first and too large later, when it also
depends on the batch size of the run itself (102 to 482 for the last loss). It leaves the curvature out, as the paper
says of this simple form; and S_min and B_critical, from medians of 8 seeds and rates a factor of 2 apart, are rough
themselves.
"""

import argparse
import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import jaxmlp

MODEL = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")
STYLES = (("C0", "o", "-"), ("C1", "s", "--"), ("C3", "^", ":"), ("k", "D", "-."))


class Sweep(NamedTuple):
    """What came of one batch size; all but `needed` at the best rate for the last target.

    Attributes:
        needed: `(targets,)`, the steps to each target, at the best rate for it; inf where no rate came to it.
        rate: that best rate.
        steps: `(checks,)`, when.
        losses: `(seeds, checks)`, over the whole training set.
        noise: `(seeds, checks)`, the noise scale of the whole training set.
    """

    needed: np.ndarray
    rate: float
    steps: np.ndarray
    losses: np.ndarray
    noise: np.ndarray

    def mean_noise(self) -> np.ndarray:
        """Return `(checks,)`, the mean over the steps so far of the noise scale, the median of the seeds."""
        noise, widths = np.median(self.noise, axis=0), np.diff(self.steps)
        integral = np.cumsum(widths * (noise[1:] + noise[:-1]) / 2)
        return np.append(noise[0], integral / np.cumsum(widths))

    def mean_noise_to(self, target: float) -> float:
        """Return the mean over the steps to the target."""
        return float(
            np.interp(steps_to(target, self.steps, np.median(self.losses, axis=0)), self.steps, self.mean_noise())
        )


class Fit(NamedTuple):
    """The law S(B) = least (1 + critical / B), fitted to the logarithms, and their rms deviation from it."""

    least: float
    critical: float
    deviation: float


def main(
    batch_sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512),
    targets: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05),
    rates: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2),
    seeds: int = 8,
    steps: int = 300,
    examples: int = 12_000,
    picture: str = "noise_scale.png",
) -> list[float]:
    """Train, measure, fit, report, draw; return the noise scale over the critical batch size for each target.

    Args:
        batch_sizes: rising.
        targets: training losses, falling.
        rates: learning rates, all tried for every batch size.
        seeds: runs for each of them.
        steps: what every run takes, whatever its batches.
        examples: a run with batches of B takes steps + examples / B.
        picture: where to draw.
    """
    digits, labels = load_digits(return_X_y=True)
    x, y = jnp.asarray(digits / 16, jnp.float32), jnp.asarray(labels, jnp.int32)
    keys = jax.random.split(jax.random.key(0), seeds)
    print(f"{len(x)} digits, SGD, {seeds} seeds; B: batch size, rate: the best of {len(rates)} for the last target\n")
    print(f"{'':13s}steps to a training loss of   mean noise scale over them")
    print("    B    rate" + 2 * ("".join(f"{target:8g}" for target in targets) + "    "))
    sweeps = {}
    for B in batch_sizes:
        sweeps[B] = one = sweep(x, y, B, targets, rates, keys, steps + examples // B)
        print(f"{B:5d}{one.rate:8g}" + "".join(f"{count:8.0f}" for count in one.needed) + "    ", end="")
        print("".join(f"{one.mean_noise_to(target):8.1f}" for target in targets), flush=True)

    needed = np.array([one.needed for one in sweeps.values()])
    fits = [fit(np.array(batch_sizes), column) for column in needed.T]
    measured = [np.array([one.mean_noise_to(target) for one in sweeps.values()]) for target in targets]
    print("\nS(B) = S_min (1 + B_critical / B), fitted; noise scale: the median over B of the means above")
    print("  target   S_min  B_critical  deviation  noise scale  noise scale / B_critical")
    for target, law, noise in zip(targets, fits, measured, strict=True):
        print(f"{target:8g}{law.least:8.1f}{law.critical:12.1f}{law.deviation:11.1%}{np.median(noise):13.1f}", end="")
        print(f"{np.median(noise) / law.critical:26.2f}")
    near = min(batch_sizes, key=lambda B: abs(np.log(B / fits[-1].critical)))
    one = sweeps[near]
    print(f"\nalong the run with B = {near}, the medians of the seeds:\n    step    loss  noise scale  its mean so far")
    medians = [np.median(one.losses, axis=0), np.median(one.noise, axis=0), one.mean_noise()]
    for n in range(0, len(one.steps), max(1, len(one.steps) // 10)):
        print("{:8d}{:8.4f}{:13.1f}{:17.1f}".format(one.steps[n], *(median[n] for median in medians)))
    draw(picture, targets, sweeps, near, fits, [float(np.median(noise)) for noise in measured])
    print(f"wrote {picture}")
    return [float(np.median(noise)) / law.critical for noise, law in zip(measured, fits, strict=True)]


def fit(batch_sizes: np.ndarray, needed: np.ndarray) -> Fit:
    """Fit the law by least squares of log S, over a fine grid of B_critical."""
    reached = np.isfinite(needed)
    if np.sum(reached) < 2:
        raise ValueError(
            f"steps {needed} with batches of {batch_sizes}: too few came to the loss; allow more examples."
        )
    critical = np.geomspace(0.1, 1e5, 10_001)
    rest = np.log(needed[reached])[:, None] - np.log1p(critical / batch_sizes[reached][:, None])
    best = np.argmin(np.var(rest, axis=0))
    return Fit(float(np.exp(rest[:, best].mean())), float(critical[best]), float(rest[:, best].std()))


def sweep(
    x: jax.Array,
    y: jax.Array,
    batch_size: int,
    targets: tuple[float, ...],
    rates: tuple[float, ...],
    keys: jax.Array,
    limit: int,
) -> Sweep:
    """Run every rate with every seed, then the best rate again with the noise scale."""
    steps = np.append(0, np.unique(np.geomspace(1, limit, 50).round().astype(int)))
    between = jnp.asarray(np.diff(steps, prepend=0))
    losses, _ = train(jnp.array(rates), keys, x, y, between, batch_size, with_noise=False)
    needed = np.array([[steps_to(target, steps, curve) for target in targets] for curve in np.median(losses, axis=1)])
    rate = rates[np.argmin(needed[:, -1])]
    losses, noise = train(jnp.array([rate]), keys, x, y, between, batch_size, with_noise=True)
    return Sweep(needed.min(axis=0), rate, steps, np.asarray(losses[0]), np.asarray(noise[0]))


def steps_to(target: float, steps: np.ndarray, losses: np.ndarray) -> float:
    """Return when the loss is first at the target, between two checks on a straight line of log loss; inf if never."""
    below = np.flatnonzero(losses <= target)
    if not len(below):
        return np.inf
    pair = slice(max(below[0] - 1, 0), below[0] + 1)
    return float(np.interp(-np.log(target), -np.log(losses[pair]), steps[pair]))


@functools.partial(jax.jit, static_argnames=("batch_size", "with_noise"))
def train(
    rates: jax.Array, keys: jax.Array, x: jax.Array, y: jax.Array, between: jax.Array, batch_size: int, with_noise: bool
) -> tuple[jax.Array, jax.Array]:
    """Train a network for each rate and key; return the losses and noise scales `(rates, keys, checks)`.

    A loop of its own, for batches are drawn with replacement, as in the theory, and checks fall between epochs.
    """

    def run(rate: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        init_key, train_key = jax.random.split(key)
        optimizer = jaxmlp.optimizers.sgd(rate)
        step = jaxmlp.make_train_step(MODEL, optimizer)

        def update(_: int, state: jaxmlp.TrainState) -> jaxmlp.TrainState:
            key, rows_key = jax.random.split(state.key)
            rows = jax.random.randint(rows_key, (batch_size,), 0, len(x))
            return step(state._replace(key=key), x[rows], y[rows])[0]

        def check(state: jaxmlp.TrainState, more: jax.Array) -> tuple[jaxmlp.TrainState, tuple[jax.Array, jax.Array]]:
            state = jax.lax.fori_loop(0, more, update, state)
            if not with_noise:
                return state, (jaxmlp.loss(state.params, x, y, MODEL), jnp.nan)
            tape = jaxmlp.backward(state.params, x, y, MODEL)
            return state, (tape.loss, jaxmlp.noise_scale(tape))

        state = jaxmlp.init_state(jaxmlp.init_mlp(init_key, (64, 100, 10)), optimizer, train_key)
        return jax.lax.scan(check, state, between)[1]

    return jax.vmap(jax.vmap(run, (None, 0)), (0, None))(rates, keys)


def draw(
    path: str,
    targets: tuple[float, ...],
    sweeps: dict[int, Sweep],
    near: int,
    fits: list[Fit],
    measured: list[float],
) -> None:
    """Draw loss and noise scale along the runs of one batch size, and the steps needed with every batch size."""
    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2)
    upper, lower = left.subplots(2, 1, sharex=True)
    one = sweeps[near]
    for axes, curves in ((upper, one.losses), (lower, one.noise)):
        low, middle, high = np.quantile(curves, (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(one.steps, low, high, color="C0", alpha=0.25, linewidth=0, label="half of the seeds")
        axes.plot(one.steps, middle, color="C0", label="median")
        axes.set(xscale="symlog", yscale="log")
    lower.plot(one.steps, one.mean_noise(), color="k", linestyle="--", label="its mean so far")
    ax = right.subplots()
    needed = np.array([sweep.needed for sweep in sweeps.values()])
    B = np.geomspace(min(sweeps) / 1.3, max(sweeps) * 1.3, 200)
    rows = zip(targets, needed.T, fits, measured, itertools.cycle(STYLES), strict=False)
    for target, column, law, noise, (color, marker, dashes) in rows:
        first = target == targets[0]
        upper.axhline(target, color="0.6", linestyle=":", linewidth=1, label="the targets" if first else None)
        reached = steps_to(target, one.steps, np.median(one.losses, axis=0))
        caption = "critical batch size, fitted" if first else None
        lower.plot(reached, law.critical, marker, color=color, markeredgecolor="k", label=caption)
        label = f"to loss {target:g}: {law.critical:.0f}, {noise:.0f}"
        ax.plot(list(sweeps), column, marker, color=color, label=label)
        ax.plot(B, law.least * (1 + law.critical / B), dashes, color=color, linewidth=1.3)
        ax.plot(noise, law.least * (1 + law.critical / noise), "|", color="k", markersize=26, markeredgewidth=2.5)
    upper.set(ylabel="training loss", title=f"Batches of {near}: as the loss falls, the noise scale grows")
    upper.legend()
    lower.set(xlabel="step", ylabel="noise scale (examples)")
    lower.legend(fontsize=8)
    ax.set(xscale="log", yscale="log", xlabel="batch size B (examples)", ylabel="steps to the loss, at the best rate")
    ax.set_xticks(list(sweeps), [str(B) for B in sweeps], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_title("Early on, batches save steps up to the noise scale (bar)")
    ax.legend(title="critical batch size fitted, noise scale measured")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=float, nargs="+", default=[0.5, 0.2, 0.1, 0.05], help="losses, falling")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--examples", type=int, default=12_000, help="batches of B take this / B + 300 steps")
    options = vars(parser.parse_args())
    main(**{**options, "targets": tuple(options["targets"])})
