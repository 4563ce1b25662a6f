"""Every example runs offline with small settings, says what it should, and draws something."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers import X64

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(X64, reason="they run in float32 in any case")
SMALL = {  # example: (arguments of main, what it prints); it draws what it says that it wrote
    "digits": ("hidden=(16,), epochs=4", ["agree", "<- the best", "test accuracy", "wrote digits.png"]),
    "compare_gradients": ("(3, 4, 2), n=5", ["in float32", "in float64", "hand-written gradients equal jax.grad"]),
    "worked_example": ("epochs=200", ["z2      1.139529", "<- a slip", "dloss/dw = (y - t) x = -4"]),
    "moons": ("hidden=(4,), during=2, epochs=5, n=40", ["epoch    2", "accuracy", "wrote moons.png"]),
    "moons --loss hinge": ("'hinge', (4,), 2, 5, 40", ["loss='hinge'", "accuracy", "wrote moons.png"]),
    "gradient_cost": ("[((2, 3, 2), 4)], rounds=3, budget=0.01", ["(2, 3, 2)", "geometric mean"]),
    "streaming": ("examples=6000, width=8, epochs=2", ["on disk", "held-out accuracy", "peak memory"]),
    "training": ("rounds=2, scale=0.04", ["fit", "moons", "matrix product", "epoch_order"]),
    "cold_start": ("rounds=1, epochs=2, warm_up=False", ["scikit-learn", "import jaxmlp"]),
    "private_training": (
        "sigmas=(4, 1), seeds=2, hidden=(4,), steps=4",
        ["epsilon (delta = 1e-05)", "clipped, no noise", "wrote private_training.png"],
    ),
    "label_noise": (
        "hidden=(4,), early=1, epochs=2, seeds=2",
        ["gradient norm  AUC", "precision at 144", "wrote label_noise.png"],
    ),
    "noise_scale": (
        "(4, 32, 256), (1.0, 0.5), (0.25, 1), seeds=2, steps=60, examples=600",
        ["mean noise scale", "B_critical", "along the run with B = ", "wrote noise_scale.png"],
    ),
    "gradient_flow": (
        "width=32, depth=2, epochs=2, seeds=2, rates=(0.03,)",
        ["measured", "predicted", "tanh, standard: log rms changes by", "wrote gradient_flow.png"],
    ),
    "readings": (
        "sizes=(4, 5, 3), n=6, rounds=2, wide=(4, 3, 2), batches=(2, 8)",
        ["per_example_norms", "hessian_vector_product / jvp of grad", "vmap(grad), clipped sum", "clipped / gradient"],
    ),
    "distributed": ("epochs=1", ["epoch   0", "1 processes, 1 devices, step 22; wrote"]),
    "ensemble": ("(1, 3), rounds=1, steps=2", ["(64, 64, 64, 10)", "one at a time / ensemble_map"]),
    "ensemble --chunks": ("rounds=1, steps=1, by_chunk=True, networks=2", ["default", "2-16-16-2"]),
    "sweep": (
        "(0.01, 0.1, 1), seeds=2, hidden=(4,), epochs=1, alone=2",
        ["one program", "times as fast", "the best rate is", "wrote sweep.png"],
    ),
    "trainability_map": (
        "(3, 5), variances=6, width=8, epochs=1, examples=64, wide=16, deep=6, seeds=2",
        [
            "sigma_w^2  measured  theory",
            "the depth c xi that best parts",
            "chaotic  xi_c",
            "wrote trainability_map.png",
        ],
    ),
    "scaling": (
        "(4,), (1,), (8,), (1,), members=3, rounds=1, seconds=0.0",
        ["width 4", "depth 1", "batch 8", "without data_parallel", "3 members of (2, 16, 16, 2)"],
    ),
    "explorer": ("hidden=(4,), stages=(0, 1)", ["moons: loss", "digits: loss", "wrote explorer_digits.html"]),
    "tabular": (
        "((4,),), (0.1,), (0.01, 0.1), ('tanh', 'gelu'), max_iter=3, folds=2",
        ["breast cancer", "jaxmlp, tanh gelu", "faster:", "better:"],
    ),
    "from_torch": (
        "(1.0,), (4,), steps=4, every=2",
        ["loss in torch", "noise scale", "times 2 / eta", "wrote from_torch.png"],
    ),
    "regression": ("hidden=(4, 4), epochs=20, n=10", ["|gradient|", "after          loss"]),
}


def run(code, folder, *arguments):
    """In a process of its own, as a user runs it: without this suite's strict flags."""
    folders = os.pathsep.join([str(ROOT / "examples"), str(ROOT / "examples" / "benchmarks")])
    environment = {**os.environ, "PYTHONPATH": folders, "JAX_ENABLE_X64": "0"}
    return subprocess.run(
        [sys.executable, *arguments, *(["-c", code] if code else [])],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )


def test_every_example_is_tried():
    assert {path.stem for path in (ROOT / "examples").rglob("*.py")} == {name.split()[0] for name in SMALL}


LONG = (
    "digits",
    "training",
    "cold_start",
    "private_training",
    "readings",
    "noise_scale",
    "gradient_flow",
    "ensemble",
    "ensemble --chunks",
    "scaling",
    "sweep",
    "tabular",
    "from_torch",
    "trainability_map",
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in SMALL])
def test_main_with_small_settings(name, tmp_path):
    arguments, phrases = SMALL[name]
    module = name.split()[0]
    if module == "from_torch":
        pytest.importorskip("torch", reason="PyTorch is not installed: python -m pip install torch")
    done = run(f"import {module}; {module}.main({arguments})", tmp_path)
    assert done.returncode == 0, done.stderr
    for phrase in phrases:
        assert phrase in done.stdout
    written = [word for word in done.stdout.split() if word.endswith((".png", ".safetensors", ".html"))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)
    assert len(written) == done.stdout.count("wrote ") >= sum("wrote" in phrase for phrase in phrases)
    for picture in tmp_path.glob("*.png"):
        pixels = matplotlib.image.imread(picture)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20  # an empty page has one colour
        assert 0.02 < np.mean(np.any(pixels < 0.9, axis=-1)) < 0.98


@pytest.mark.slow
def test_compare_gradients_from_the_command_line(tmp_path):
    script = ROOT / "examples" / "compare_gradients.py"
    command = "--sizes 4 8 3 --activation tanh --loss softmax_cross_entropy".split()
    done = run("", tmp_path, script, *command)
    assert done.returncode == 0, done.stderr
    assert "in float32" in done.stdout
    done = run("", tmp_path, script, *command, "--x64")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("in float64") == 2


def test_compare_gradients_exits_with_1_where_they_disagree(tmp_path):
    wrong = "lambda *a, **k: (lambda v, g: (v, [(1.001 * W, b) for W, b in g]))(*jaxmlp.value_and_grad(*a, **k))"
    code = f"import sys, jaxmlp, compare_gradients; sys.exit(compare_gradients.main(value_and_grad={wrong}))"
    done = run(code, tmp_path)
    assert done.returncode == 1
    assert "hand-written gradients DO NOT EQUAL jax.grad" in done.stdout
    assert "Traceback" not in done.stderr


def test_compare_gradients_exits_with_2_where_it_cannot_compare(tmp_path):
    done = run("", tmp_path, ROOT / "examples" / "compare_gradients.py", "--loss", "mse")
    assert done.returncode == 2
    assert "unknown loss 'mse'; known are:" in done.stderr


@pytest.mark.slow
def test_digits_reaches_96_percent(tmp_path):
    """The main job itself, whole."""
    done = run("", tmp_path, ROOT / "examples" / "digits.py")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("test accuracy"))
    assert float(line.split()[-1]) >= 0.96
    assert "hand, autodiff and finite differences agree" in done.stdout
