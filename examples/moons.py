"""Two moons, told apart by the tanh network of the seed `004`: targets -1 and 1, before, during and after training.

    python examples/moons.py
    python examples/moons.py --loss hinge

The loss is the seed's sum of (prediction - target)**2, or the hinge. It draws the decision boundary to `moons.png`.
"""

import argparse
import functools

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import jaxmlp


def main(
    loss: str = "sum_squared_error",
    hidden: tuple[int, ...] = (16, 16),
    during: int = 20,
    epochs: int = 1000,
    n: int = 200,
    seed: int = 0,
    picture: str = "moons.png",
) -> float:
    """Train, report, draw; return the share of points on their own side of the boundary."""
    points, labels = make_moons(n, noise=0.15, random_state=seed)
    x, y = points.astype(np.float32), np.where(labels == 1, 1, -1)[:, None]
    output = "tanh" if loss == "sum_squared_error" else "identity"
    model = jaxmlp.Model(activation="tanh", output=output, loss=loss)
    # The sum over n points is n times their mean, and so is its gradient.
    optimizer = jaxmlp.optimizers.sgd(0.2 / n if model.loss_function.reduction == "sum" else 0.2, momentum=0.9)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jaxmlp.init_mlp(init_key, (2, *hidden, 1), initializer="glorot_normal")
    print(f"{model}\n{jaxmlp.count_params(params)} parameters, {n} points")

    run = jax.jit(
        functools.partial(jaxmlp.train, model=model, optimizer=optimizer, batch_size=n), static_argnames="epochs"
    )
    states = [jaxmlp.init_state(params, optimizer, train_key)]
    for more in (during, epochs - during):
        states.append(run(states[-1], x, y, epochs=more)[0])
    moments = list(zip((0, during, epochs), states, strict=True))
    for epoch, state in moments:
        right = np.mean(np.sign(jaxmlp.forward(state.params, x, model)) == y)
        print(f"epoch {epoch:4d}: loss {float(jaxmlp.loss(state.params, x, y, model)):9.4f}, accuracy {right:.3f}")
    draw(picture, moments, x, y[:, 0], model)
    print(f"wrote {picture}")
    return float(right)


def draw(path: str, moments: list, x: np.ndarray, y: np.ndarray, model: jaxmlp.Model) -> None:
    """Draw the output over the plane, its zero line, and the points, at each moment."""
    low, high = x.min(0) - 0.4, x.max(0) + 0.4
    grid = np.stack(np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200)), axis=-1)
    figure, axes = plt.subplots(1, len(moments), figsize=(12, 3.9), sharey=True, layout="constrained")
    for ax, (epoch, state) in zip(axes, moments, strict=True):
        height = np.asarray(jaxmlp.forward(state.params, grid, model))[..., 0]
        filled = ax.contourf(
            *np.moveaxis(grid, -1, 0),
            height,
            levels=np.linspace(-1, 1, 11),
            vmin=-2,
            vmax=2,
            cmap="RdBu_r",
            extend="both",
        )
        ax.contour(*np.moveaxis(grid, -1, 0), height, levels=[0], colors="k", linewidths=2)
        for sign, marker, color in ((-1, "o", "C0"), (1, "^", "C3")):
            ax.scatter(*x[y == sign].T, marker=marker, c=color, edgecolors="w", s=34, label=f"target {sign:+d}")
        ax.set(title=f"epoch {epoch}", xlabel="$x_1$")
    axes[0].set_ylabel("$x_2$")
    axes[0].legend(loc="lower left")
    figure.colorbar(filled, ax=axes, label="output")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=("sum_squared_error", "hinge"), default="sum_squared_error")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
