"""Vanishing gradients (the seed `003`): how the error shrinks from layer to layer, measured and by theory.

    python examples/gradient_flow.py
    python examples/gradient_flow.py --depth 5 --width 1000

Ten hidden layers of 256 units with softmax cross-entropy on scikit-learn's digits; the weights are drawn from the old
heuristic U(-1/sqrt(d_in), 1/sqrt(d_in)), here `standard`, by Glorot and Bengio's rule or by He's. It measures the rms
of every delta_l at the start, prints its factor from layer to layer beside sqrt(d_{l+1} Var W E[f'(z_l)**2]), trains
for 12 epochs at the best of four learning rates, and draws `gradient_flow.png`.

One sees the error of tanh with the standard rule fall to 0.574 per layer, its logarithm by 0.555, where the theory for
small z has sqrt(1/3) = 0.577 and 0.549. That 1 % is the first layers' doing: their factors are 0.539 and 0.564, for
there the mean of tanh'(z)**2 is 0.876 and 0.957; then z is small, and it is 1. Glorot's rule keeps 0.953 per layer, and
the network learns from the first epoch on; by the standard rule from the sixth. ReLU keeps 0.409, 0.704 or, by He's
rule, 0.997, and by the standard rule learns nothing in 12 epochs. The sigmoid, whose slope is at most 1/4, keeps 0.142
or 0.237 and learns nothing by either rule. None of it is saturation: no activation has levelled off. Of the ReLUs in
the last hidden layer, 14 to 18 % are dead, by He's rule as by the others.
"""

import argparse
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import jaxmlp
from jaxmlp.readings.flow import LayerStatistics, layer_statistics


def standard(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """Draw from U(-1/sqrt(d_in), 1/sqrt(d_in)): Glorot and Bengio 2010, eq. 1."""
    limit = shape[0] ** -0.5
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)


RULES = {  # name: the initializer, and Var W
    "standard": (standard, lambda d_in, d_out: 1 / (3 * d_in)),
    "Glorot": ("glorot_uniform", lambda d_in, d_out: 2 / (d_in + d_out)),
    "He": ("he_uniform", lambda d_in, d_out: 2 / d_in),
}
CASES = {"sigmoid": ("standard", "Glorot"), "tanh": ("standard", "Glorot"), "relu": ("standard", "Glorot", "He")}
SQUARED_SLOPES = {"sigmoid": 1 / 16, "tanh": 1.0, "relu": 1 / 2}  # E[f'(z)**2] for small z, for ReLU symmetric ones
STYLES = {"standard": ("C3", "o", "--"), "Glorot": ("C0", "s", "-"), "He": ("k", "^", ":")}


class Flow(NamedTuple):
    """How the error flows at the start, over several networks.

    Attributes:
        rms: `(L,)`, of delta_l, the geometric mean over the networks.
        factors: `(L - 1,)`, what rms is multiplied by from layer l + 1 to layer l.
        predicted: `(L - 1,)`, the same by the formula, with the mean f'(z_l)**2 of the forward pass.
        theory: `(L - 1,)`, the same for small z.
        slopes: `(networks,)`, of log rms over the hidden layers, for each layer back.
        dead: the share of dead units in the last hidden layer.
        saturated: the largest share of saturated activations in a hidden layer.
        loss: of the first network.
    """

    rms: np.ndarray
    factors: np.ndarray
    predicted: np.ndarray
    theory: np.ndarray
    slopes: np.ndarray
    dead: float
    saturated: float
    loss: float


def main(
    width: int = 256,
    depth: int = 10,
    epochs: int = 12,
    seeds: int = 8,
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1),
    picture: str = "gradient_flow.png",
) -> float:
    """Measure, train, report, draw; return the log slope for tanh and the standard rule as a share of the theory's."""
    digits, labels = load_digits(return_X_y=True)
    x, y = jnp.asarray(digits / 16, jnp.float32), jnp.asarray(labels, jnp.int32)
    sizes = (64, *[width] * depth, 10)
    print(f"{depth} hidden layers of {width}, {len(x)} digits; the geometric mean over {seeds} seeds\n")
    print("factor of the rms of delta from layer l + 1 to layer l: measured, and sqrt(d_{l+1} Var W E[f'(z_l)^2])")
    print(f"{'l':27s}" + "".join(f"{l:6d}" for l in range(1, depth + 1)))
    flows, curves = {}, {}
    for activation, name in ((activation, name) for activation, names in CASES.items() for name in names):
        model = jaxmlp.Model(activation=activation, loss="softmax_cross_entropy")
        initializer, variance = RULES[name]
        keys = jax.random.split(jax.random.key(0), seeds)
        networks = jax.vmap(lambda key, rule=initializer: jaxmlp.init_mlp(key, sizes, initializer=rule))(keys)
        flow = measure(networks, x, y, model, sizes, variance)
        losses = np.asarray(learn(jax.tree.map(lambda leaf: leaf[0], networks), jnp.array(rates), x, y, model, epochs))
        best = np.argmin(np.nan_to_num(losses[:, -1], nan=np.inf))
        flows[activation, name], curves[activation, name] = flow, (rates[best], np.append(flow.loss, losses[best]))
        print(f"{activation:8s}{name:9s} measured " + "".join(f"{factor:6.3f}" for factor in flow.factors))
        print(f"{'':17s} predicted" + "".join(f"{factor:6.3f}" for factor in flow.predicted))

    print("\ntheory: for small z; rate: the best; loss: training, in the last epoch")
    print(f"{'':17s} per hidden layer  theory  first/last   dead  saturated   rate    loss")
    for (activation, name), flow in flows.items():
        rate, losses = curves[activation, name]
        print(f"{activation:8s}{name:9s} {np.exp(flow.slopes.mean()):16.3f}{flow.theory[0]:8.3f}", end="")
        print(f"{flow.rms[0] / flow.rms[-1]:12.1e}{flow.dead:7.3f}{flow.saturated:11.3f}{rate:7g}{losses[-1]:8.4f}")

    slopes, want = flows["tanh", "standard"].slopes, np.log(1 / 3) / 2
    error = np.std(slopes) / seeds**0.5
    print(f"\ntanh, standard: log rms changes by {slopes.mean():.4f} +- {error:.4f} per layer back; ", end="")
    print(f"log(1/3) / 2 = {want:.4f}, ratio {slopes.mean() / want:.3f}")
    draw(picture, flows, curves)
    print(f"wrote {picture}")
    return float(slopes.mean() / want)


def measure(
    networks: Any,
    x: jax.Array,
    y: jax.Array,
    model: jaxmlp.Model,
    sizes: tuple[int, ...],
    variance: Callable[[int, int], float],
) -> Flow:
    """Read the networks, and compare.

    Args:
        networks: parameters, with one more axis in front.
        x: `(n, d_0)`.
        y: `(n,)`.
        model: theirs.
        sizes: theirs.
        variance: `(d_in, d_out)` to Var W.
    """
    statistics, squared_slopes, losses = jax.tree.map(np.asarray, read(networks, x, y, model))
    log_rms = np.log(statistics.delta_rms)
    hidden = log_rms.shape[1] - 1
    gains = np.array([d_out * variance(d_in, d_out) for d_in, d_out in itertools.pairwise(sizes[1:])])
    return Flow(
        rms=np.exp(log_rms.mean(axis=0)),
        factors=np.exp(np.mean(log_rms[:, :-1] - log_rms[:, 1:], axis=0)),
        predicted=np.sqrt(gains * squared_slopes.mean(axis=0)),
        theory=np.sqrt(gains * SQUARED_SLOPES[model.activation]),
        slopes=-np.polyfit(np.arange(hidden), log_rms[:, :hidden].T, 1)[0],
        dead=statistics.dead_fraction[:, hidden - 1].mean(),
        saturated=statistics.saturated_fraction[:, :hidden].mean(axis=0).max(),
        loss=losses[0],
    )


@jax.jit
def read(
    networks: Any, x: jax.Array, y: jax.Array, model: jaxmlp.Model
) -> tuple[LayerStatistics, jax.Array, jax.Array]:
    """Return of each network the statistics, the mean f'(z)**2 of every hidden layer, and the loss."""

    def of_one(params: Any) -> tuple[LayerStatistics, jax.Array, jax.Array]:
        tape = jaxmlp.backward(params, x, y, model)
        functions = model.layer_activations(len(params))
        pairs = list(zip(functions, tape.preactivations, strict=True))[:-1]
        return layer_statistics(tape), jnp.stack([jnp.mean(f.derivative(z) ** 2) for f, z in pairs]), tape.loss

    return jax.vmap(of_one)(networks)


@functools.partial(jax.jit, static_argnames="epochs")
def learn(
    params: Any, rates: jax.Array, x: jax.Array, y: jax.Array, model: jaxmlp.Model, epochs: int, batch_size: int = 64
) -> jax.Array:
    """Train by SGD with momentum 0.9 at every rate; return the losses `(rates, epochs)`."""

    def at(rate: jax.Array) -> jax.Array:
        optimizer = jaxmlp.optimizers.sgd(rate, momentum=0.9)
        state = jaxmlp.init_state(params, optimizer, jax.random.key(1))
        return jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=batch_size)[1]

    return jax.lax.map(at, rates)  # one by one: for products of this size no slower than `jax.vmap`


def draw(
    path: str, flows: dict[tuple[str, str], Flow], curves: dict[tuple[str, str], tuple[float, np.ndarray]]
) -> None:
    """Draw the rms of delta over the layers, measured and for small z, and under it the losses of the training."""
    figure, axes = plt.subplots(
        2, len(CASES), figsize=(12, 7.4), sharey="row", height_ratios=(1.5, 1), layout="constrained"
    )
    for (upper, lower), (activation, names) in zip(axes.T, CASES.items(), strict=True):
        for name in names:
            flow, (rate, losses) = flows[activation, name], curves[activation, name]
            color, marker, dashes = STYLES[name]
            layers = np.arange(1, len(flow.rms) + 1)
            theory = flow.rms[-1] * np.append(np.cumprod(flow.theory[::-1])[::-1], 1)
            label = f"{name}: {np.exp(flow.slopes.mean()):.3f} per layer, theory {flow.theory[0]:.3f}"
            upper.plot(layers, theory, dashes, color=color, linewidth=1.3)
            upper.plot(layers, flow.rms, marker, color=color, label=label)
            lower.plot(losses, dashes, color=color, marker=marker, markersize=4, label=f"{name}, rate {rate:g}")
        lower.axhline(np.log(10), color="0.5", linewidth=0.8, zorder=0, label="guessing, log 10")
        upper.set(title=activation, xlabel="layer (the last is the output)", yscale="log", xticks=layers)
        lower.set(xlabel="epoch (0: before the training)", yscale="log")
        lower.xaxis.get_major_locator().set_params(integer=True)
        upper.legend(loc="lower right", fontsize=9)
        lower.legend(loc="lower left", fontsize=9)
    upper.set_ylim(bottom=0.003 * min(flow.rms[0] for flow in flows.values()))
    axes[0, 0].set_ylabel("rms of delta before the training\n(marks: measured, lines: theory for small z)")
    axes[1, 0].set_ylabel("training loss (cross-entropy)")
    figure.suptitle(
        "Going back, the error shrinks by a steady factor per layer; the smaller, the later the network learns"
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256, help="units in a hidden layer")
    parser.add_argument("--depth", type=int, default=10, help="hidden layers")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=8, help="networks measured before the training")
    main(**vars(parser.parse_args()))
