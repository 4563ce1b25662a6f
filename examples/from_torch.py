"""A network trained in PyTorch, its curvature and gradient noise read here: the edge of stability.

    python examples/from_torch.py

Gradient descent on a quadratic diverges where the largest eigenvalue of the Hessian, the sharpness, exceeds 2 / eta,
eta the learning rate. Networks do something else: the sharpness comes to 2 / eta, from below (Cohen et al. 2021, arXiv
2103.00065) or, where eta is large, from above (Lewkowycz et al. 2020, arXiv 2003.02218), and stays there, while the
loss goes on falling, in jumps. torch does the training, on all
of scikit-learn's digits at once, by its own loss and its own optimizer, once for each learning rate; at every
hundredth step `from_torch` takes the weights over, SciPy's Lanczos finds the sharpness from our Hessian-vector
products, and one tape gives the squared norm of the gradient and its variance over the examples.

One sees the sharpness go from 1.08 to 2.03, 1.01 and 0.53 where 2 / eta is 2, 1 and 0.5. (The network and the
readings are in float32, whose losses here and there agree to 1e-7.) It draws `from_torch.png`. PyTorch comes by
`python -m pip install torch`.
"""

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.datasets import load_digits

import jaxmlp


def main(
    rates: Sequence[float] = (1.0, 2.0, 4.0),
    hidden: tuple[int, ...] = (32, 32),
    steps: int = 3000,
    every: int = 100,
    picture: str = "from_torch.png",
) -> list[float]:
    """Train in torch, read here, report, draw; return each run's last sharpness, in multiples of 2 / eta.

    Args:
        rates: learning rates eta.
        hidden: widths of the hidden layers.
        steps: of gradient descent.
        every: so many steps, a reading.
        picture: where to draw.
    """
    x, labels = load_digits(return_X_y=True)
    x, y = (x / 16 - 0.3).astype(np.float32), np.eye(10, dtype=np.float32)[labels]
    runs = {}
    for rate in rates:
        print(f"eta = {rate:g}, 2 / eta = {2 / rate:g}")
        print(" step   loss in torch   loss here  sharpness   |G|^2      tr Sigma   noise scale")
        runs[rate] = [
            (step, *read(module, x, y, step, loss)) for step, module, loss in train(x, y, rate, hidden, steps, every)
        ]
    ends = [run[-1][2] * rate / 2 for rate, run in runs.items()]
    for rate, end in zip(runs, ends, strict=True):
        print(f"eta = {rate:g}: the sharpness ends at {end:.2f} times 2 / eta")
    draw(picture, runs)
    print(f"wrote {picture}")
    return ends


def train(x: np.ndarray, y: np.ndarray, rate: float, hidden: tuple[int, ...], steps: int, every: int) -> Any:
    """Do gradient descent in torch; yield the step, the module and torch's loss, now and then."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("this example trains in PyTorch; run: python -m pip install torch") from error
    torch.manual_seed(0)
    pairs = itertools.pairwise((x.shape[1], *hidden, y.shape[1]))
    layers = [part for d_in, d_out in pairs for part in (torch.nn.Linear(d_in, d_out), torch.nn.Tanh())]
    module = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    for step in range(steps + 1):
        loss = torch.nn.functional.mse_loss(module(inputs), targets)  # the mean over outputs too, as ours
        if step % every == 0:
            yield step, module, loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def read(module: Any, x: np.ndarray, y: np.ndarray, step: int, loss: float) -> tuple[float, float, float, float]:
    """Return the loss, the sharpness, |G|^2 and tr Sigma of a module of torch."""
    params, model = jaxmlp.interop.from_torch(module)
    flat, tree = ravel_pytree(params)

    def product(v: np.ndarray) -> np.ndarray:
        return np.asarray(ravel_pytree(hessian_product(params, x, y, tree(v.ravel().astype(flat.dtype)), model))[0])

    operator = LinearOperator((flat.size, flat.size), matvec=product, dtype=flat.dtype)
    sharpness = float(eigsh(operator, k=1, which="LA", return_eigenvectors=False, tol=1e-3, v0=np.ones(flat.size))[0])
    ours, square, trace, scale = map(float, noise(params, x, y, model))
    told = f"{scale:11.1f}" if scale > 0 else f"     > {len(x)}"  # then the noise hides the gradient from n examples
    print(f"{step:5d}   {loss:.9f}   {ours:.9f}   {sharpness:7.3f}   {square:.3e}  {trace:.3e} {told}")
    return loss, sharpness, square, trace


hessian_product = jax.jit(jaxmlp.readings.curvature.hessian_vector_product)


@jax.jit
def noise(params: Any, x: np.ndarray, y: np.ndarray, model: jaxmlp.Model) -> tuple:
    """Return the loss, |G|^2, tr Sigma, and the simple noise scale, from one tape."""
    tape = jaxmlp.backward(params, x, y, model)
    gradient, _ = ravel_pytree(jaxmlp.gradients(tape))
    variance, _ = ravel_pytree(jaxmlp.variances(tape))
    return tape.loss, gradient @ gradient, variance.sum(), jaxmlp.noise_scale(tape)


def draw(path: str, runs: dict[float, list]) -> None:
    """Draw the loss, the sharpness in multiples of 2 / eta, and the gradient's square and variance, against steps."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    for i, (rate, run) in enumerate(runs.items()):
        color = f"C{i}"
        step, loss, sharpness, square, trace = np.array(run).T
        left.plot(step, loss, color=color, label=rf"$\eta$ = {rate:g}")
        middle.plot(step, sharpness, color=color, marker=".")
        middle.axhline(2 / rate, color=color, linestyle="--", linewidth=1)
        middle.annotate(
            rf"$2/\eta$ = {2 / rate:g}",
            (step[-1], 2 / rate),
            (0, 8),
            textcoords="offset points",
            ha="right",
            color=color,
        )
        right.plot(step, trace, color=color)
        right.plot(step, square, color=color, linestyle=":")
    left.set(yscale="log", xlabel="step of torch's gradient descent", title="Loss, falling in jumps")
    middle.set(xlabel="step", ylim=0, title=r"Sharpness, read here: it comes to $2/\eta$ and stays")
    right.set(yscale="log", xlabel="step", title=r"tr $\Sigma$ (lines) and $|G|^2$ (dotted), of one tape")
    left.legend()
    for axes in (left, middle, right):
        axes.grid(color="0.92")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 2.0, 4.0], help="learning rates")
    parser.add_argument("--steps", type=int, default=3000)
    main(**vars(parser.parse_args()))
