"""The main job: real handwritten digits, classified by a network trained on hand-written gradients.

    python examples/digits.py

scikit-learn's 1,797 digits of 8x8 pixels: a fifth of them for the test, and a tenth to stop by. It prints the
hand-written gradient beside JAX's autodiff and finite differences, trains until the validation loss has not fallen for
some epochs, returns to the best of them, prints the accuracy on the test fifth, and draws `digits.png`.
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
    epochs: int = 500,
    patience: int = 15,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
    picture: str = "digits.png",
) -> float:
    """Train, report, draw; return the accuracy on the test fifth."""
    digits, labels = load_digits(return_X_y=True)
    pixels = digits.astype(np.float32) / 16
    x, x_test, y, y_test = train_test_split(pixels, labels, test_size=0.2, random_state=seed, stratify=labels)
    x, x_valid, y, y_valid = train_test_split(x, y, test_size=0.125, random_state=seed, stratify=y)
    model = jaxmlp.Model(activation="relu", loss="softmax_cross_entropy")
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jaxmlp.init_mlp(init_key, (64, *hidden, 10))

    print(f"{len(x)} digits to train on, {len(x_valid)} to stop by, {len(x_test)} for the test; ", end="")
    print(f"{jaxmlp.count_params(params)} parameters\n\nthe gradient at the start, three ways:")
    print(jaxmlp.check_gradients(params, x[:256], y[:256], model), "\n")

    result = jaxmlp.fit(
        params,
        x,
        y,
        model,
        jaxmlp.optimizers.adam(learning_rate),
        key=train_key,
        epochs=epochs,
        batch_size=batch_size,
        validation=(x_valid, y_valid),
        patience=patience,
    )
    done = len(result.history["loss"])
    for epoch in sorted({*range(0, done, max(1, done // 10)), result.best_epoch, done - 1}):
        loss, accuracy, valid_loss, valid_accuracy = (curve[epoch] for curve in result.history.values())
        best = "  <- the best" if epoch == result.best_epoch else ""
        print(f"epoch {epoch:3d}: loss {loss:.4f}, validation {valid_loss:.4f}; ", end="")
        print(f"accuracy {accuracy:.4f}, validation {valid_accuracy:.4f}{best}")

    test_accuracy = float(jaxmlp.accuracy(result.params, x_test, y_test, model))
    print(f"\ntest accuracy {test_accuracy:.4f}")
    guesses = np.argmax(jaxmlp.forward(result.params, x_test, model), axis=1)
    draw(picture, result, x_test, y_test, guesses)
    print(f"wrote {picture}")
    return test_accuracy


def draw(path: str, result: jaxmlp.FitResult, x: np.ndarray, y: np.ndarray, guesses: np.ndarray) -> None:
    """Draw the curves of the run, and forty digits with their guesses, the wrong ones first and marked."""
    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.3))
    upper, lower = left.subplots(2, 1, sharex=True)
    for axes, name in ((upper, "loss"), (lower, "accuracy")):
        axes.plot(result.history[name], color="C0", label="training")
        axes.plot(result.history[f"validation_{name}"], color="C1", label="validation")
        axes.axvline(result.best_epoch, color="0.6", linestyle="--", label=f"best, epoch {result.best_epoch}")
    upper.set(ylabel="cross-entropy", yscale="log", title="Stopped early, the best kept")
    upper.legend()
    lower.set(xlabel="epoch", ylabel="accuracy")
    wrong_first = np.argsort(guesses == y, kind="stable")[:40]
    for axes, n in zip(right.subplots(4, 10).flat, wrong_first, strict=False):
        wrong = guesses[n] != y[n]
        axes.imshow(x[n].reshape(8, 8), cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{guesses[n]} not {y[n]}" if wrong else f"{guesses[n]}", color="C3" if wrong else "0.3", size=9)
        axes.spines[:].set(color="C3" if wrong else "0.8", linewidth=2.5 if wrong else 1)
    right.suptitle(f"Test digits: {np.sum(guesses != y)} of {len(y)} wrong (framed)", size=12)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="*", default=[100], help="widths of the hidden layers")
    parser.add_argument("--epochs", type=int, default=500, help="the most there may be")
    parser.add_argument("--patience", type=int, default=15, help="epochs to wait for a lower validation loss")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    main(**{**options, "hidden": tuple(options["hidden"])})
