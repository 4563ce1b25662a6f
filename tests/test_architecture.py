"""The rooms import in one order, the hand-written path differentiates nothing, and importing changes nothing."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, Problem, assert_close

import jaxmlp
from jaxmlp import Model, activations, backprop, losses, readings
from jaxmlp import model as network

PACKAGE = Path(jaxmlp.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = (
    "types checks initializers activations losses dense model backprop readings gradcheck optimizers schedules "
    "training interop estimators show"
).split()
BY_HAND = (
    "types checks initializers activations losses dense model backprop readings optimizers schedules training".split()
)
AUTODIFF = (
    "grad value_and_grad vjp vjp3 jvp linearize linear_transpose custom_vjp custom_jvp custom_gradient jacfwd jacrev "
    "jacobian hessian checkpoint remat fwd_and_bwd"
).split()


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every module that a file imports, from anywhere inside it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(*rooms):
    return [path for path in MODULES if room(path) in rooms]


def test_every_module_lies_in_a_room():
    assert {room(path) for path in MODULES} <= {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_from_rooms_above(path):
    if room(path) == "__init__":
        return
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("jaxmlp.")}
    allowed = ROOMS[: ROOMS.index(room(path)) + (path.parent != PACKAGE)]  # a folder's files import one another
    assert imported <= set(allowed)


def test_optimizers_know_no_networks():
    for path in modules("optimizers", "schedules"):
        assert {n.split(".")[1] for n in imports(path) if n.startswith("jaxmlp")} <= {"types", "optimizers"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_private_experimental_or_foreign(path):
    for name in imports(path):
        assert not re.match(r"jax\._src|jax\.experimental|jax\.interpreters|optax|chex|flax|equinox", name), name
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("path", modules(*BY_HAND), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_hand_written_path_names_no_autodiff(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.alias) and node.name.split(".")[0] == "jax":
            assert node.asname in (None, "jnp")  # under another name it would escape the next line
        if isinstance(node, ast.Attribute) and node.attr in AUTODIFF:
            assert not ast.unparse(node.value).startswith("jax"), ast.unparse(node)
    assert not [name for name in imports(path) if name.startswith("jax.") and name.split(".")[-1] in AUTODIFF]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_asks_which_platform_it_is_on(path):
    asking = {"platform", "device_kind", "default_backend", "get_backend", "platform_dependent", "client"}
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not [node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr in asking]


def forbidden(*args, **kwargs):
    raise AssertionError("autodiff was called")


def undifferentiable(f):
    """F, which raises where JAX differentiates through it."""
    g = jax.custom_jvp(f)

    @g.defjvp
    def rule(primals, tangents):
        raise AssertionError("autodiff was reached")

    return g


def test_the_hand_written_path_reaches_no_autodiff(monkeypatch):
    """Every primitive raises where autodiff meets it: by hand they pass, by `jax.grad` they do not."""
    f = activations.tanh
    hidden = activations.Activation("hidden", undifferentiable(f.fn), undifferentiable(f.derivative))
    p = activations.softmax
    output = activations.Activation("output", undifferentiable(p.fn), None, None, undifferentiable(p.jacobian_product))
    l = losses.categorical_cross_entropy
    loss = losses.Loss("loss", undifferentiable(l.value), undifferentiable(l.gradient), targets="classes")
    problem = Problem((4, 5, 3), Model("tanh", "softmax", "categorical_cross_entropy"), 6, True)
    params, x, y, weights = problem.draw()
    want = jaxmlp.value_and_grad(params, x, y, problem.model, weights=weights)

    wrapped = {
        name: undifferentiable(getattr(backprop, name)) for name in ("dense", "dense_vjp_input", "dense_vjp_params")
    }
    for name in AUTODIFF:
        if hasattr(jax, name):
            monkeypatch.setattr(jax, name, forbidden)
    for name, primitive in wrapped.items():
        monkeypatch.setattr(backprop, name, primitive)
    monkeypatch.setattr(network, "dense", wrapped["dense"])
    monkeypatch.setattr(readings.first_order, "dense_vjp_params", wrapped["dense_vjp_params"])
    with pytest.raises(AssertionError, match="autodiff was called"):
        jax.grad(jaxmlp.loss)
    model = Model(hidden, output, loss)
    assert_close(jaxmlp.value_and_grad(params, x, y, model, weights=weights), want)
    tape = jaxmlp.backward(params, x, y, model, weights=weights)
    assert_close((tape.loss, jaxmlp.gradients(tape)), want)
    state = jaxmlp.init_state(params, jaxmlp.optimizers.sgd(0.1, 0.9), jax.random.key(0))
    jaxmlp.train(state, x, y, model, jaxmlp.optimizers.sgd(0.1, 0.9), epochs=2, batch_size=4)

    monkeypatch.undo()  # and the trap works, at each primitive by itself
    for caught in (Model(hidden, "softmax", l), Model("tanh", output, l), Model("tanh", "softmax", loss)):
        with pytest.raises(AssertionError, match="autodiff was reached"):
            jax.grad(jaxmlp.loss)(params, x, y, caught)
    monkeypatch.setattr(network, "dense", undifferentiable(network.dense))
    with pytest.raises(AssertionError, match="autodiff was reached"):
        jax.grad(jaxmlp.loss)(params, x, y, problem.model)


def test_all_is_complete_and_sorted():
    assert sorted(jaxmlp.__all__) == jaxmlp.__all__
    for name in jaxmlp.__all__:
        assert getattr(jaxmlp, name).__doc__, name


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_importing_sets_no_flag_and_loads_nothing_optional():
    out, err = run(
        "import sys, jax; before = dict(jax.config.values)\n"
        "import jaxmlp; assert dict(jax.config.values) == before\n"
        "print([m for m in ('optax', 'chex', 'matplotlib', 'sklearn', 'tqdm', 'torch', 'onnx') if m in sys.modules])"
    )
    assert out == "[]"
    assert err == ""


@pytest.mark.parametrize("package", ["jax", "jaxlib"])
@pytest.mark.parametrize("version", ["0.10.2", "0.11.0"])
def test_an_excluded_jax_warns_once_with_the_remedy(package, version):
    _, err = run(f"import jax, jaxlib; {package}.__version__ = {version!r}\nimport jaxmlp\nimport jaxmlp.training")
    assert err.count("RuntimeWarning") == 1
    assert f"{package} {version} may compute wrong values" in err
    assert 'python -m pip install "jax>=0.9.2,!=0.10.*,!=0.11.*"' in err


def test_both_packages_excluded_warn_once():
    _, err = run("import jax, jaxlib; jax.__version__ = jaxlib.__version__ = '0.11.1'\nimport jaxmlp")
    assert err.count("RuntimeWarning") == 1
    assert "jax 0.11.1 and jaxlib 0.11.1" in err


@pytest.mark.parametrize("version", ["0.9.2", "0.12.0.1", "0.13.0", "1.10.0"])
def test_other_versions_do_not_warn(version):
    _, err = run(f"import jax, jaxlib; jax.__version__ = jaxlib.__version__ = {version!r}\nimport jaxmlp")
    assert err == ""


def test_the_installed_jax_sums_rightly():
    """The reduction that an excluded release gets wrong (jax-ml/jax#39103)."""
    M = jnp.eye(3, dtype=DTYPE)
    n = 32769
    x = jnp.zeros((n, 3), DTYPE).at[:, 0].set(jnp.arange(n, dtype=DTYPE))
    sums = jax.jit(jax.vmap(lambda r: jnp.sum((M @ r) ** 2)))(x)
    np.testing.assert_allclose(sums[-1], float(n - 1) ** 2, rtol=1e-6)
