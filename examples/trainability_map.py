"""Which depths can be trained: a thousand tanh networks over weight variance and depth, and the theory's line.

    python examples/trainability_map.py

In a random network the images of two inputs grow alike with depth (the ordered phase, small weights) or unlike (the
chaotic one, large weights). Schoenholz, Gilmer, Ganguli and Sohl-Dickstein 2017, Deep Information Propagation, arXiv
1611.01232, compute xi_c, the layers in which their correlation's distance from its limit falls by a factor of e, and
find that networks can be trained to a depth of about 6 xi_c: at the critical variance, where xi_c is infinite, to any.
The example draws their fig. 5 with scikit-learn's digits: 80 weight variances by 13 depths, width 100, bias variance
0.05, 160 updates by SGD with momentum 0.9 and learning rate 1e-3. A depth is a shape, so each has its program, which
trains the 80 networks of that depth. Before, it measures chi, the factor by which the mean square of delta changes from
layer to layer, and prints the theory's beside it. The picture is `trainability_map.png`.

One sees chi agree with the theory to 1.1 % at width 300, over eight variances from 1 to 4. Trained and untrained
networks are parted best at 5.2 xi_c on the ordered side and at 5.4 xi_c on the chaotic side, each right for 97 % of
them, so that one number does for both. With xi_chi, the layers in which the mean square of delta changes by a factor of
e, it is 5.2 and 9.2: where gradients explode, the depth follows xi_c instead, as the paper says. The number depends on
the training: after 320 updates it is about 7 and 5, and with half the learning rate too (6 depths, 40 variances). At
depth 75 many networks near the critical variance are but half trained.

It takes about 3 minutes (2026-11-22, two x86-64 cores, jax 0.9.2). Every hidden layer of a program takes 0.2 s to
compile.
"""

import argparse
import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import jaxmlp
from jaxmlp.readings.flow import layer_statistics

MODEL = jaxmlp.Model(activation="tanh", loss="softmax_cross_entropy")
BIAS_VARIANCE = 0.05
BATCH_SIZE = 32
HALF_WAY = 0.55  # accuracy: between guessing one of ten and all right


class Theory(NamedTuple):
    """What the mean field has for each weight variance, in arrays of their shape.

    Attributes:
        q: the fixed point of the mean z_l**2.
        chi: what the mean delta_l**2 is multiplied by from layer l + 1 to layer l.
        c: the fixed point of the correlation between the z_l of two examples: 1 in the ordered phase.
        xi_chi: the layers in which the mean delta_l**2 changes by a factor of e.
        xi_c: the layers in which the correlation's distance from c falls by one.
    """

    q: np.ndarray
    chi: np.ndarray
    c: np.ndarray
    xi_chi: np.ndarray
    xi_c: np.ndarray


class Fit(NamedTuple):
    """The depth `c` xi that best parts the networks above half way from those below; `right`: the share it parts so."""

    c: float
    right: float


def main(
    depths: tuple[int, ...] = (8, 10, 12, 14, 17, 21, 25, 30, 36, 43, 52, 62, 75),
    variances: int = 80,
    width: int = 100,
    epochs: int = 5,
    learning_rate: float = 1e-3,
    examples: int = 1024,
    wide: int = 300,
    deep: int = 30,
    seeds: int = 8,
    picture: str = "trainability_map.png",
) -> float:
    """Measure chi, train, fit, report, draw; return the share of networks on the right side of the line.

    Args:
        depths: hidden layers, rising; one program each.
        variances: of the weights, how many from 1 to 4.
        width: units in a hidden layer.
        epochs: of batches of `BATCH_SIZE`.
        learning_rate: of SGD with momentum 0.9.
        examples: digits to train on.
        wide: the width at which chi is measured, in networks of
        deep: hidden layers, in the middle third of them,
        seeds: in so many networks for each of eight variances.
        picture: where to draw.
    """
    digits, labels = load_digits(return_X_y=True)
    x = jnp.asarray((digits - digits.mean(axis=0)) / digits.std(), jnp.float32)[:examples]
    y = jnp.asarray(labels, jnp.int32)[:examples]

    some = np.array([1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4])
    measured, predicted = measure_chi(some, (64, *[wide] * deep, 10), seeds, x[:256], y[:256]), theory(some)
    print(f"chi: the factor of the mean delta^2 from layer to layer, in the middle third of {deep} layers of {wide}")
    print("sigma_w^2  measured  theory  ratio    xi_chi   xi_c")
    for row in zip(some, measured, predicted.chi, measured / predicted.chi, *predicted[3:], strict=True):
        print("{:9.2f}{:10.4f}{:8.4f}{:7.3f}{:10.1f}{:7.1f}".format(*row))

    weight_variances = np.linspace(1, 4, variances)
    started = time.perf_counter()
    print(f"\n{len(depths)} depths x {variances} weight variances, width {width}, {len(x)} digits, {epochs} epochs")
    print("accuracy on them by depth, where sigma_w^2 is about")
    columns = np.linspace(0, variances - 1, 7).round().astype(int)
    print("depth " + "".join(f"{weight_variances[column]:7.2f}" for column in columns))
    rows = []
    for depth in depths:
        rows.append(train_all(weight_variances, (64, *[width] * depth, 10), x, y, epochs, learning_rate))
        print(f"{depth:5d} " + "".join(f"{rows[-1][column]:7.2f}" for column in columns), flush=True)
    accuracies = np.array(rows)
    print(f"{accuracies.size} networks in {time.perf_counter() - started:.0f} s, compiling included")

    here, fits = theory(weight_variances), {}
    print(f"\nthe depth c xi that best parts the networks above {HALF_WAY} from those below, and the share it parts so")
    for phase, chosen in (("ordered", here.chi <= 1), ("chaotic", here.chi > 1), ("both", here.chi > 0)):
        for name, xi in (("xi_c", here.xi_c), ("xi_chi", here.xi_chi)):
            fits[phase, name] = fit(np.array(depths)[:, None] / xi[chosen], accuracies[:, chosen])
            print("{:8s} {:7s} c = {:5.2f}, {:.3f}".format(phase, name, *fits[phase, name]))
    draw(picture, depths, weight_variances, accuracies, fits["both", "xi_c"].c, epochs * -(-len(x) // BATCH_SIZE))
    print(f"wrote {picture}")
    return fits["both", "xi_c"].right


def theory(weight_variances: np.ndarray) -> Theory:
    """Find the fixed points and the depth scales; z, u_1 and u_2 normal, of correlation c.

    q = sigma_w^2 E[tanh(sqrt(q) z)^2] + sigma_b^2,       chi = sigma_w^2 E[tanh'(sqrt(q) z)^2],  xi_chi = 1 / |log chi|
    q c = sigma_w^2 E[tanh(u_1) tanh(u_2)] + sigma_b^2,   xi_c = -1 / log(sigma_w^2 E[tanh'(u_1) tanh'(u_2)])

    Args:
        weight_variances: sigma_w^2, W ~ N(0, sigma_w^2 / d_in).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    weights = weights / weights.sum()  # a mean over N(0, 1)
    s = np.asarray(weight_variances)[:, None]

    def slope(u: np.ndarray) -> np.ndarray:
        return 1 - np.tanh(u) ** 2

    q = np.ones_like(s)
    for _ in range(1000):
        q = s * (np.tanh(np.sqrt(q) * nodes) ** 2 @ weights)[:, None] + BIAS_VARIANCE

    def mean_product(f: Callable[[np.ndarray], np.ndarray], c: np.ndarray) -> np.ndarray:
        """The mean f(u_1) f(u_2) over normal pairs of variance q and correlation c."""
        own = c[:, :, None] * nodes[:, None] + np.sqrt(1 - c**2)[:, :, None] * nodes
        inner = f(np.sqrt(q)[:, :, None] * own) @ weights
        return (f(np.sqrt(q) * nodes) * inner @ weights)[:, None]

    low, high = np.zeros_like(s), np.ones_like(s)
    for _ in range(40):  # c goes to more than itself below the fixed point, and to less above
        c = (low + high) / 2
        rises = s * mean_product(np.tanh, c) + BIAS_VARIANCE > q * c
        low, high = np.where(rises, c, low), np.where(rises, high, c)
    chi = s * mean_product(slope, np.ones_like(s))
    chi_c = s * mean_product(slope, low)
    xi_chi, xi_c = 1 / np.abs(np.log(chi)), 1 / np.abs(np.log(chi_c))
    return Theory(*(a[:, 0] for a in (q, chi, low, xi_chi, xi_c)))


def init(key: jax.Array, sizes: tuple[int, ...], weight_variance: jax.Array) -> Any:
    """Draw W ~ N(0, weight_variance / d_in) and b ~ N(0, BIAS_VARIANCE)."""
    weights_key, biases_key = jax.random.split(key)
    initializer = dataclasses.replace(jaxmlp.initializers.lecun_normal, gain=jnp.sqrt(weight_variance))
    params = jaxmlp.init_mlp(weights_key, sizes, initializer=initializer)
    keys = jax.random.split(biases_key, len(params))
    return [(W, BIAS_VARIANCE**0.5 * jax.random.normal(k, b.shape)) for (W, b), k in zip(params, keys, strict=True)]


def train_all(
    weight_variances: np.ndarray, sizes: tuple[int, ...], x: jax.Array, y: jax.Array, epochs: int, rate: float
) -> np.ndarray:
    """Train a network for each weight variance, all in one program; return their accuracies on what they learnt."""
    optimizer = jaxmlp.optimizers.sgd(rate, momentum=0.9)

    def run(weight_variance: jax.Array, key: jax.Array) -> jax.Array:
        init_key, train_key = jax.random.split(key)
        state = jaxmlp.init_state(init(init_key, sizes, weight_variance), optimizer, train_key)
        state, _ = jaxmlp.train(state, x, y, MODEL, optimizer, epochs=epochs, batch_size=BATCH_SIZE)
        return jaxmlp.accuracy(state.params, x, y, MODEL)

    keys = jax.random.split(jax.random.key(len(sizes)), len(weight_variances))
    return np.asarray(jaxmlp.ensemble_map(run)(jnp.asarray(weight_variances, jnp.float32), keys))


def measure_chi(
    weight_variances: np.ndarray, sizes: tuple[int, ...], seeds: int, x: jax.Array, y: jax.Array
) -> np.ndarray:
    """Return the factor of the mean delta_l**2 per layer, the geometric mean over the middle third and the seeds."""
    first, last = len(sizes) // 3, 2 * len(sizes) // 3

    def log_chi(weight_variance: jax.Array, key: jax.Array) -> jax.Array:
        tape = jaxmlp.backward(init(key, sizes, weight_variance), x, y, MODEL)
        log_rms = jnp.log(layer_statistics(tape).delta_rms)
        return 2 * (log_rms[first] - log_rms[last]) / (last - first)

    keys = jax.random.split(jax.random.key(0), len(weight_variances) * seeds)
    logs = jaxmlp.ensemble_map(log_chi)(jnp.repeat(jnp.asarray(weight_variances, jnp.float32), seeds), keys)
    return np.exp(np.asarray(logs).reshape(-1, seeds).mean(axis=1))


def fit(scaled_depths: np.ndarray, accuracies: np.ndarray) -> Fit:
    """Try every c, and keep the best, the middle one where several are."""
    candidates = np.geomspace(0.5, 50, 1001)
    trained = accuracies > HALF_WAY
    right = np.array([np.mean(trained == (scaled_depths < c)) for c in candidates])
    return Fit(float(np.median(candidates[right == right.max()])), float(right.max()))


def draw(
    path: str, depths: tuple[int, ...], weight_variances: np.ndarray, accuracies: np.ndarray, c: float, updates: int
) -> None:
    """Draw the map with the theory's lines, and the accuracies against depth in units of xi_c."""
    fine = np.linspace(weight_variances[0], weight_variances[-1], 2001)
    line, here = theory(fine), theory(weight_variances)
    critical = np.interp(1, line.chi, fine)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.6), width_ratios=(1.6, 1), layout="constrained")
    between = np.sqrt(np.array(depths)[1:] * np.array(depths)[:-1])
    edges = np.concatenate([[depths[0] ** 2 / between[0]], between, [depths[-1] ** 2 / between[-1]]])
    half = (weight_variances[1] - weight_variances[0]) / 2
    columns = np.append(weight_variances - half, weight_variances[-1] + half)
    colors = left.pcolormesh(columns, edges, accuracies, cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(colors, label="training accuracy", location="left", shrink=0.8, pad=0.02)
    halo = [matplotlib.patheffects.withStroke(linewidth=4, foreground="w")]
    for values, dashes, label in (
        (6 * line.xi_c, "-", r"$6\,\xi_c$, as in the paper"),
        (c * line.xi_c, "--", rf"${c:.1f}\,\xi_c$, fitted here"),
        (6 * line.xi_chi, ":", r"$6\,\xi_\chi$, from $\chi$ alone"),
    ):
        left.plot(fine, values, "k" + dashes, linewidth=1.8, path_effects=halo, label=label)
    label = rf"critical, $\sigma_w^2 = {critical:.2f}$"
    left.axvline(critical, color="k", linestyle="-.", linewidth=1.2, path_effects=halo, label=label)
    left.set(yscale="log", xlim=(columns[0], columns[-1]), ylim=(edges[0], edges[-1]))
    left.set_yticks(depths, [str(depth) for depth in depths])
    left.set_yticks([], minor=True)
    left.set(xlabel=r"variance of the weights, $\sigma_w^2$", ylabel="depth (hidden layers)")
    left.set_title(f"{accuracies.size} tanh networks after {updates} updates", pad=22)
    sides = (
        (r"ordered: $\chi < 1$, $\delta$ vanishes  ", "right"),
        (r"  chaotic: $\chi > 1$, $\delta$ explodes", "left"),
    )
    for text, align in sides:
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        left.annotate(text, (critical, 1), (0, 6), ha=align, size=9, **place)
    left.legend(loc="lower right", framealpha=1, fontsize=9)

    scaled = np.array(depths)[:, None] / here.xi_c
    shapes = {"color": "C0", "marker": "o", "fillstyle": "none"}, {"color": "C1", "marker": "^", "markeredgewidth": 0}
    for phase, chosen, shape in zip(("ordered", "chaotic"), (here.chi <= 1, here.chi > 1), shapes, strict=True):
        points = scaled[:, chosen].ravel(), accuracies[:, chosen].ravel()
        right.plot(*points, linestyle="none", markersize=5, label=phase, **shape)
    right.axvline(c, color="k", linestyle="--", linewidth=1, label=f"{c:.1f}")
    right.axhline(HALF_WAY, color="0.5", linewidth=0.8)
    right.set(xscale="log", xlim=(0.1, 30), ylim=(0, 1.02), xlabel=r"depth / $\xi_c$", ylabel="training accuracy")
    right.set_xticks((0.1, 0.3, 1, 3, 10, 30), ("0.1", "0.3", "1", "3", "10", "30"))
    right.set_xticks([], minor=True)
    right.set_title(r"The same networks, depth in units of $\xi_c$")
    right.legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    # Here and not in main: it must be said before JAX computes anything, and whoever calls main may have done so.
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variances", type=int, default=80, help="of the weights, how many from 1 to 4")
    parser.add_argument("--width", type=int, default=100, help="units in a hidden layer")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    main(**vars(parser.parse_args()))
