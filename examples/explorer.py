"""Two pages on which one can watch backpropagation: a run on the two moons, and one on the digits.

    python examples/explorer.py

It trains, keeps the parameters after each stage, and writes `explorer_moons.html` and `explorer_digits.html`. Open them
in a browser: go through training with the slider, pick an example, and step forward through the layers and back, with
the numbers of that run in every formula. The files need no network.
"""

import argparse

import jax
import numpy as np
from sklearn.datasets import load_digits, make_moons

import jaxmlp
import jaxmlp.show


def main(hidden: tuple[int, ...] = (8, 8), stages: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64, 128)) -> None:
    """Train, write.

    Args:
        hidden: widths of the hidden layers on the moons; the digits have one of 16.
        stages: after how many epochs to keep the parameters, the last for how long to train.
    """
    points, moons = make_moons(200, noise=0.15, random_state=0)
    model = jaxmlp.Model("tanh", loss="sigmoid_cross_entropy")
    run("moons", (2, *hidden, 1), points, moons[:, None], model, stages, class_names=["upper moon", "lower moon"])
    pixels, digits = load_digits(return_X_y=True)
    model = jaxmlp.Model("relu", loss="softmax_cross_entropy")
    run("digits", (64, 16, 10), pixels / 16, digits, model, stages[:6])


def run(name: str, sizes: tuple[int, ...], x: np.ndarray, y: np.ndarray, model: jaxmlp.Model, stages, **names) -> None:
    """Train, and write what the network was at each of the stages."""
    init_key, train_key = jax.random.split(jax.random.key(0))
    optimizer = jaxmlp.optimizers.adam(0.01)
    *stages, epochs = stages
    params, x = jaxmlp.init_mlp(init_key, sizes), x.astype(np.float32)
    params, _, history, _ = jaxmlp.fit(
        params, x, y, model, optimizer, key=train_key, epochs=epochs, batch_size=50, snapshots=stages
    )
    print(f"{name}: loss {history['loss'][-1]:.4f} after {epochs} epochs")
    path, title = f"explorer_{name}.html", f"Backpropagation, step by step: {name}"
    jaxmlp.show.explorer(path, params, x, y, model, snapshots=history["snapshots"], title=title, **names)
    print(f"wrote {path}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
