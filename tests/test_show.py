"""Each picture draws what it says it does, on the axes given, and leaves matplotlib's settings alone."""

import subprocess
import sys

import jax.numpy as jnp
import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import DTYPE, random_params
from matplotlib.collections import LineCollection, PathCollection

import jaxmlp
from jaxmlp import Model, show

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30)
SIGNS = np.where(X[:, :1] > 0, 1.0, -1.0)
CLASSES = Model("tanh", loss="softmax_cross_entropy")
PARAMS = random_params((2, 5, 4, 3))
TAPE = jaxmlp.backward(PARAMS, X, LABELS, CLASSES)
HISTORY = {"loss": [3.0, 2.0, 1.0, 0.5], "accuracy": [0.5] * 4, "validation_loss": [3.1, 2.2, 1.4, 1.6]}
REPORT = jaxmlp.check_gradients(PARAMS, X, LABELS, CLASSES)
PICTURES = {
    "loss_curve": lambda ax: show.loss_curve(HISTORY, ax=ax),
    "loss_curve of train": lambda ax: show.loss_curve(jnp.array([3.0, -1.0]), ax=ax),
    "decision_boundary": lambda ax: show.decision_boundary(PARAMS, X, LABELS, CLASSES, ax=ax, resolution=40),
    "decision_boundary, binary": lambda ax: show.decision_boundary(
        random_params((2, 5, 1)), X, SIGNS > 0, Model(loss="sigmoid_cross_entropy"), ax=ax, resolution=40
    ),
    "decision_boundary, probabilities": lambda ax: show.decision_boundary(
        random_params((2, 5, 1)), X, SIGNS > 0, Model("tanh", "sigmoid", "binary_cross_entropy"), ax=ax, resolution=40
    ),
    "decision_boundary, signs": lambda ax: show.decision_boundary(
        random_params((2, 5, 1)), X, SIGNS, Model(loss="hinge"), ax=ax, resolution=40
    ),
    "decision_boundary, values": lambda ax: show.decision_boundary(
        random_params((2, 5, 1)), X, X[:, :1], Model("tanh"), ax=ax, resolution=40
    ),
    "gradient_flow": lambda ax: show.gradient_flow(TAPE, ax=ax),
    "weights": lambda ax: show.weights(PARAMS, ax=ax),
    "weights as images": lambda ax: show.weights(random_params((12, 7, 2)), image_shape=(3, 4), ax=ax),
    "network_graph": lambda ax: show.network_graph(PARAMS, CLASSES, ax=ax),
    "network_graph with a tape": lambda ax: show.network_graph(PARAMS, CLASSES, TAPE, example=3, ax=ax),
    "gradient_report": lambda ax: show.gradient_report(REPORT, ax=ax),
}


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_every_picture_draws_something_that_reads_in_grey(draw):
    before = dict(mpl.rcParams)
    ax = draw(None)
    assert isinstance(ax, plt.Axes)
    assert len(plt.get_fignums()) == 1
    picture = pixels(ax.figure)
    blank = pixels(plt.subplots(figsize=ax.figure.get_size_inches(), layout="constrained")[0])
    grey = picture @ [0.299, 0.587, 0.114]
    assert np.mean(np.abs(picture - blank).max(axis=-1) > 30) > 0.02  # not the empty axes
    assert len(np.unique(grey.round(-1))) > 8
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_every_picture_draws_on_the_axes_given(draw):
    _, (left, right) = plt.subplots(1, 2)
    assert draw(right) is right
    assert not left.has_data()
    assert len(plt.get_fignums()) == 1


def test_an_empty_picture_would_be_noticed():
    with pytest.raises(AssertionError):
        test_every_picture_draws_something_that_reads_in_grey(lambda ax: plt.subplots(layout="constrained")[1])


def test_loss_curve_has_the_numbers_and_the_best():
    ax = show.loss_curve(HISTORY)
    training, validation, best = ax.get_lines()
    np.testing.assert_array_equal(training.get_ydata(), HISTORY["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), HISTORY["validation_loss"])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 1.4)
    assert ax.get_yscale() == "log"
    assert show.loss_curve([1.0, -1.0]).get_yscale() == "linear"
    for empty in ({}, [], {"validation_loss": [1.0]}):
        with pytest.raises(ValueError, match="history must hold at least one epoch's loss"):
            show.loss_curve(empty)


def test_decision_boundary_marks_losses_by_size_and_classes_by_shape():
    ax = show.decision_boundary(PARAMS, X, LABELS, CLASSES, resolution=30)
    marks = [c for c in ax.collections if isinstance(c, PathCollection)]
    assert len(marks) == 3
    losses = np.asarray(TAPE.losses)
    for k, group in enumerate(marks):
        np.testing.assert_array_equal(group.get_offsets(), X[k == LABELS])
        np.testing.assert_array_equal(np.argsort(group.get_sizes()), np.argsort(losses[k == LABELS]))
    assert len({len(group.get_paths()[0].vertices) for group in marks}) > 1
    one_hot = show.decision_boundary(PARAMS, X, np.eye(3)[LABELS], CLASSES, resolution=30)
    assert len([c for c in one_hot.collections if isinstance(c, PathCollection)]) == 3


def test_the_boundary_is_where_the_network_decides():
    """A network of one layer decides on the line x_1 = 0.3."""
    params = [(jnp.array([[1.0], [0.0]], DTYPE), jnp.array([-0.3], DTYPE))]
    ax = show.decision_boundary(params, X, X[:, :1] > 0.3, Model(loss="sigmoid_cross_entropy"))
    lines = [c for c in ax.collections if not isinstance(c, PathCollection)]
    levels = sorted(float(np.mean(c.get_paths()[0].vertices[:, 0])) for c in lines)
    np.testing.assert_allclose(
        levels, [0.3 - np.log(3), 0.3, 0.3 + np.log(3)], atol=1e-6
    )  # probabilities 1/4, 1/2, 3/4


def test_decision_boundary_refuses():
    with pytest.raises(ValueError, match="must have two inputs to be drawn over the plane; got 3"):
        show.decision_boundary(random_params((3, 2)), np.ones((4, 3)), np.ones((4, 2)), Model())
    with pytest.raises(ValueError, match="x must hold at least one example"):
        show.decision_boundary(random_params((2, 2)), np.ones((0, 2)), np.ones((0, 2)), Model())
    with pytest.raises(ValueError, match="y must have shape"):
        show.decision_boundary(random_params((2, 2)), np.ones((4, 2)), np.ones((4, 3)), Model())


def test_gradient_flow_draws_medians_and_tells_zeros():
    params = [(W, b - 0.3) for W, b in PARAMS]
    tape = jaxmlp.backward(params, X, LABELS, Model("relu", loss="softmax_cross_entropy"))
    ax = show.gradient_flow(tape)
    medians = [line.get_ydata()[0] for line in ax.get_lines() if line.get_marker() == "s"]
    want = [np.median(np.abs(d)[np.asarray(d) != 0]) for d in map(np.asarray, tape.deltas)]
    np.testing.assert_allclose(medians, want, rtol=1e-6)
    share = np.mean(np.asarray(tape.inputs[1]) == 0)
    assert f"{share:.0%} 0" in [text.get_text() for text in ax.texts]
    empty = jaxmlp.backward(PARAMS, X[:0], LABELS[:0], CLASSES)
    with pytest.raises(ValueError, match="the tape must be of at least one example; got none"):
        show.gradient_flow(empty)


def test_weights_as_images_are_the_weights():
    params = random_params((12, 7, 2))
    ax = show.weights(params, image_shape=(3, 4))
    sheet = np.asarray(ax.images[0].get_array())
    unit = np.asarray(params[0][0])[:, 1].reshape(3, 4)
    np.testing.assert_allclose(sheet[1:4, 6:10], unit / np.abs(unit).max(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"image_shape must have 12 pixels, one for each input; got \(3, 5\)"):
        show.weights(params, image_shape=(3, 5))
    with pytest.raises(ValueError, match="params must be a non-empty list"):
        show.weights([])


def test_network_graph_shows_the_tapes_numbers():
    ax = show.network_graph(PARAMS, CLASSES, TAPE, example=3)
    texts = [text.get_text() for text in ax.texts]
    for a in (*TAPE.inputs, TAPE.outputs):
        assert {f"{value:.2f}" for value in np.asarray(a)[3]} <= set(texts)
    for delta in TAPE.deltas:
        assert {f"{value:+.1e}" for value in np.asarray(delta)[3]} <= set(texts)
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert sum(len(c.get_segments()) for c in lines) == 2 * 5 + 5 * 4 + 4 * 3
    assert {"inputs", "tanh", "identity"} <= set(texts)
    assert "loss" in ax.get_title()


def test_network_graph_leaves_out_neurons_and_says_so():
    ax = show.network_graph(random_params((20, 4, 2)), Model(), most=6)
    assert "inputs\n(6 of 20)" in [text.get_text() for text in ax.texts]
    with pytest.raises(ValueError, match=r"the tape must be of this network, of sizes \(2, 5, 3\); its own are others"):
        show.network_graph(random_params((2, 5, 3)), CLASSES, TAPE)
    with pytest.raises(ValueError, match=r"example must be one of the tape's 0 \.\.\. 29; got 30"):
        show.network_graph(PARAMS, CLASSES, TAPE, example=30)


def test_gradient_report_draws_every_error():
    ax = show.gradient_report(REPORT)
    errors, differences, tolerance = ax.get_lines()
    np.testing.assert_allclose(errors.get_xdata(), np.maximum([row.error for row in REPORT.rows], 1e-18))
    assert len(differences.get_xdata()) == 6
    assert tolerance.get_xdata()[0] == REPORT.tolerance
    assert ax.get_title().endswith("agree")

    def wrong(*args, **kwargs):
        loss, grads = jaxmlp.value_and_grad(*args, **kwargs)
        return loss, [(W * jnp.nan, b) for W, b in grads]

    broken = jaxmlp.check_gradients(PARAMS, X, LABELS, CLASSES, value_and_grad=wrong)
    ax = show.gradient_report(broken)
    assert ax.get_title().endswith("DISAGREE")
    assert np.max(ax.get_lines()[0].get_xdata()) == 1.0


def test_a_missing_matplotlib_is_named():
    code = "import sys; sys.modules['matplotlib'] = None; from jaxmlp import show; show.loss_curve([1.0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "jaxmlp.show needs matplotlib: python -m pip install 'jaxmlp[show]'" in done.stderr
