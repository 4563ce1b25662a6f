"""The main job: real handwritten digits, classified by a network trained on hand-written gradients.

    python examples/digits.py

scikit-learn's 1,797 digits of 8x8 pixels, a fifth of them held out. It prints the hand-written gradient beside JAX's
autodiff and finite differences, the loss and accuracy as they improve, and the accuracy on the held-out fifth; it
draws `digits.png`.
"""

import argparse

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jaxmlp


def main(
    hidden: tuple[int, ...] = (100,),
    epochs: int = 60,
    report_every: int = 5,
    batch_size: int = 64,
    learning_rate: float = 0.1,
    seed: int = 0,
    picture: str = "digits.png",
) -> float:
    """Train, report, draw; return the accuracy on the held-out fifth."""
    report_every = min(report_every, epochs)
    digits, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        digits.astype(np.float32) / 16, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    model = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")
    optimizer = jaxmlp.optimizers.sgd(learning_rate, momentum=0.9)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jaxmlp.init_mlp(init_key, (64, *hidden, 10))
    state = jaxmlp.init_state(params, optimizer, train_key)

    print(f"{len(x)} digits to train on, {len(x_test)} held out; {jaxmlp.count_params(params)} parameters\n")
    print("the gradient at the start, three ways:")
    report = jaxmlp.check_gradients(params, x[:256], y[:256], model)
    print(report, "\n")

    @jax.jit
    def some_epochs(state: jaxmlp.TrainState) -> tuple[jaxmlp.TrainState, jax.Array]:
        return jaxmlp.train(state, x, y, model, optimizer, epochs=report_every, batch_size=batch_size)

    @jax.jit
    def evaluate(params: jaxmlp.types.Params) -> list[jax.Array]:
        sets = ((x, y), (x_test, y_test))
        return [f(params, *xy, model) for f in (jaxmlp.loss, jaxmlp.accuracy) for xy in sets]

    history = [(0, *map(float, evaluate(state.params)))]
    curve = []
    for epoch in range(report_every, epochs + 1, report_every):
        state, losses = some_epochs(state)
        curve.extend(losses.tolist())
        history.append((epoch, *map(float, evaluate(state.params))))
        print("epoch {:3d}: loss {:.4f}, held out {:.4f}; accuracy {:.4f}, held out {:.4f}".format(*history[-1]))
    test_accuracy = history[-1][-1]
    print(f"\ntest accuracy {test_accuracy:.4f}")
    guesses = np.argmax(jaxmlp.forward(state.params, x_test, model), axis=1)
    draw(picture, history, curve, x_test, y_test, guesses)
    print(f"wrote {picture}")
    return test_accuracy


def draw(
    path: str, history: list[tuple], curve: list[float], x: np.ndarray, y: np.ndarray, guesses: np.ndarray
) -> None:
    """Draw the loss curves, and forty digits with their guesses, the wrong ones first and marked."""
    figure = plt.figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.3))
    axes = left.subplots()
    epochs, loss, test_loss, *_ = zip(*history, strict=True)
    axes.plot(np.arange(len(curve)) + 0.5, curve, color="0.7", label="training, mean over the epoch")
    axes.plot(epochs, loss, "o-", color="C0", label="training")
    axes.plot(epochs, test_loss, "s--", color="C1", label="held out")
    axes.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="Loss")
    axes.legend()
    wrong_first = np.argsort(guesses == y, kind="stable")[:40]
    for axes, n in zip(right.subplots(4, 10).flat, wrong_first, strict=False):
        wrong = guesses[n] != y[n]
        axes.imshow(x[n].reshape(8, 8), cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{guesses[n]} not {y[n]}" if wrong else f"{guesses[n]}", color="C3" if wrong else "0.3", size=9)
        axes.spines[:].set(color="C3" if wrong else "0.8", linewidth=2.5 if wrong else 1)
    right.suptitle(f"Held-out digits: {np.sum(guesses != y)} of {len(y)} wrong (framed)", size=12)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="*", default=[100], help="widths of the hidden layers")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    main(**{**options, "hidden": tuple(options["hidden"])})
