"""Every converter against the real neighbour: its own forward, and what each refuses by name."""

import functools
import importlib
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, random_params

import jaxmlp
from jaxmlp import Model, activations, interop

HIDDEN = [name for name in activations.KNOWN if name != "softmax"]
X = np.random.default_rng(0).normal(size=(7, 5)) * 2
EMPTY = r"params must be a non-empty list or tuple of \(W, b\) tuples; got list of 0"


@pytest.fixture
def torch():
    module = pytest.importorskip("torch", reason="PyTorch is not installed: python -m pip install torch")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64 if X64 else module.float32)  # as our parameters
    module.manual_seed(0)
    yield module
    module.set_default_dtype(before)


def need(name, distribution=None):
    return pytest.importorskip(name, reason=f"{name} is not installed: python -m pip install {distribution or name}")


def close(got, want, tolerance=1e-12 if X64 else 1e-6):
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def forward_in_torch(torch, module, x=X):
    with torch.no_grad():
        return module.eval()(torch.tensor(x, dtype=torch.get_default_dtype())).numpy()


TORCH = {
    "relu": lambda nn: nn.ReLU(),
    "leaky_relu": lambda nn: nn.LeakyReLU(),
    "elu": lambda nn: nn.ELU(),
    "selu": lambda nn: nn.SELU(),
    "gelu": lambda nn: nn.GELU(),
    "gelu_tanh": lambda nn: nn.GELU(approximate="tanh"),
    "silu": lambda nn: nn.SiLU(),
    "mish": lambda nn: nn.Mish(),
    "softplus": lambda nn: nn.Softplus(),
    "softsign": lambda nn: nn.Softsign(),
    "sigmoid": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "softmax": lambda nn: nn.Softmax(dim=-1),
}
assert set(TORCH) == set(activations.KNOWN) - {"identity", "sine"}  # which torch has no module for


@pytest.mark.parametrize("name", [name for name in TORCH if name != "softmax"])
def test_from_torch_knows_every_activation(torch, name):
    f = TORCH[name](torch.nn)
    module = torch.nn.Sequential(torch.nn.Linear(5, 8), f, torch.nn.Linear(8, 6), f, torch.nn.Linear(6, 3))
    params, model = interop.from_torch(module)
    assert model == Model(name)
    assert params[0][0].dtype == DTYPE
    close(jaxmlp.forward(params, X, model), forward_in_torch(torch, module))


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("softmax", "categorical_cross_entropy"),
        ("sigmoid", "binary_cross_entropy"),
        ("tanh", "mean_squared_error"),
    ],
)
def test_from_torch_takes_outputs_nests_and_what_does_nothing(torch, output, loss):
    nn = torch.nn
    f = TORCH[output](torch.nn)
    module = nn.Sequential(
        nn.Flatten(), nn.Sequential(nn.Linear(5, 8, bias=False), nn.GELU()), nn.Dropout(0.5), nn.Linear(8, 6),
        nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Identity()), nn.Linear(4, 3), f,
    )  # fmt: skip
    params, model = interop.from_torch(module)
    assert model == Model(("gelu", "identity", "tanh"), output, loss)
    close(jaxmlp.forward(params, X, model), forward_in_torch(torch, module))
    wrapped, _ = interop.from_torch(nn.DataParallel(module))
    jax.tree.map(np.testing.assert_array_equal, wrapped, params)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
def test_from_torch_takes_one_layer_another_loss_and_a_compiled_module(torch):
    module = torch.nn.Linear(5, 3)
    params, model = interop.from_torch(module, loss="softmax_cross_entropy")
    assert model == Model("relu", "identity", "softmax_cross_entropy")
    close(jaxmlp.forward(params, X, model), forward_in_torch(torch, module))
    compiled, model = interop.from_torch(torch.compile(torch.nn.Sequential(module, torch.nn.Tanh())))
    assert model == Model("relu", "tanh")
    close(compiled[0][0], params[0][0])


def test_from_torch_takes_subclasses_that_compute_the_same(torch):
    class Body(torch.nn.Sequential):
        pass

    linear = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(5, 8))
    with torch.no_grad():
        linear.parametrizations.weight.original0 *= 2
    module = Body(linear, torch.nn.SiLU(), torch.nn.Linear(8, 3))
    params, model = interop.from_torch(module)
    close(jaxmlp.forward(params, X, model), forward_in_torch(torch, module))


def test_from_torch_copies(torch):
    module = torch.nn.Linear(5, 3)
    params, _ = interop.from_torch(module)
    before = np.array(params[0][0])
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
    np.testing.assert_array_equal(params[0][0], before)


def test_bfloat16_there_and_back(torch):
    module = torch.nn.Linear(5, 3).bfloat16()
    params, _ = interop.from_torch(module)
    assert params[0][0].dtype == params[0][1].dtype == jnp.bfloat16
    again = interop.to_torch_state_dict(params)
    assert again["0.weight"].dtype == torch.bfloat16
    assert torch.equal(again["0.weight"], module.weight)
    assert torch.equal(again["0.bias"], module.bias)


def test_from_torch_refuses_what_is_no_mlp(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(5, 3)

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    class Cosine(nn.Linear):
        def forward(self, x):
            return torch.cos(super().forward(x))

    class Tanh(nn.Module):
        def forward(self, x):
            return 2 * torch.tanh(x)

    hooked = nn.Linear(5, 3)
    hooked.register_forward_hook(lambda module, inputs, outputs: 2 * outputs)

    pruned = importlib.import_module("torch.nn.utils.prune").l1_unstructured(
        nn.Linear(5, 3), "weight", 0.5
    )  # its weight is made by a hook
    refused = {
        r"layer '0' \(Conv2d\) is not supported: from_torch takes Linear.*ReLU": nn.Sequential(nn.Conv2d(1, 4, 3)),
        r"layer '1.0' \(BatchNorm1d\) is not supported": nn.Sequential(
            nn.Linear(5, 3), nn.Sequential(nn.BatchNorm1d(3))
        ),
        r"the module \(Net\) is not supported.*from_torch_state_dict\(module.state_dict\(\)\)": Net(),
        r"the module \(Residual\) is not supported.*none with a forward of its own or with hooks": Residual(
            nn.Linear(5, 5)
        ),
        r"layer '0' \(Cosine\) is not supported": nn.Sequential(Cosine(5, 3)),
        r"layer '0' \(Linear\) is not supported": nn.Sequential(hooked),
        r"layer '1' \(LogSoftmax\) is not supported": nn.Sequential(nn.Linear(5, 3), nn.LogSoftmax(-1)),
        r"layer '1' \(Tanh\) is not supported": nn.Sequential(nn.Linear(5, 3), Tanh()),
        r"layer '0' must be LeakyReLU\(negative_slope=0.01\); got LeakyReLU\(negative_slope=0.2\)": nn.Sequential(
            nn.LeakyReLU(0.2)
        ),
        r"layer '1' must be Softmax\(dim=-1 or dim=1\); got Softmax\(dim=0\)": nn.Sequential(
            nn.Linear(5, 3), nn.Softmax(0)
        ),
        r"activation '2' \(Tanh\) must follow a Linear layer, one": nn.Sequential(
            nn.Linear(5, 3), nn.ReLU(), nn.Tanh()
        ),
        r"activation '0' \(ReLU\) must follow": nn.Sequential(nn.ReLU(), nn.Linear(5, 3)),
        r"layer '1' must read the 3 numbers that '0' makes; it reads 4": nn.Sequential(
            nn.Linear(5, 3), nn.Linear(4, 2)
        ),
        r"at least one dense layer; got none": nn.Sequential(nn.Dropout()),
        r"layer '0' \(Flatten\) is not supported": nn.Sequential(nn.Flatten(0), nn.Linear(5, 3)),
        r"layer '0' \(LazyLinear\) is not supported": nn.Sequential(nn.LazyLinear(3)),
        r"layer '0' must hold dense numbers in memory": nn.Sequential(nn.Linear(5, 3, device="meta")),
        "layer '2' must not follow a Softmax, which is supported as the output only": nn.Sequential(
            nn.Linear(5, 3), nn.Softmax(-1), nn.Linear(3, 3)
        ),
        r"layer '0' \(Linear\) is not supported: .*remove_weight_norm": nn.Sequential(pruned),
    }
    for message, module in refused.items():
        with pytest.raises(ValueError, match=message):
            interop.from_torch(module)
    with pytest.raises(ValueError, match=r"the module \(int\) is not supported"):
        interop.from_torch(3)
    with pytest.raises(ValueError, match="unknown loss 'cross_entropy'"):
        interop.from_torch(nn.Linear(5, 3), loss="cross_entropy")


def test_state_dicts_with_prefixes_and_in_the_alphabets_order(torch):
    layers = [part for i in range(12) for part in (torch.nn.Linear(5, 5), torch.nn.ReLU())][:-1]
    module = torch.nn.Sequential(*layers)
    want, _ = interop.from_torch(module)
    state = module.state_dict()
    prefixed = {f"module._orig_mod.net.{name}": tensor for name, tensor in state.items()}
    for given in (state, prefixed, dict(sorted(state.items())), dict(sorted(prefixed.items()))):
        got = interop.from_torch_state_dict(given)
        jax.tree.map(np.testing.assert_array_equal, got, want)
    mixed = list(prefixed.items())
    np.random.default_rng(0).shuffle(mixed)  # as safetensors may read a file
    jax.tree.map(np.testing.assert_array_equal, interop.from_torch_state_dict(dict(mixed)), want)
    numbers = {name: tensor.numpy() for name, tensor in state.items()}  # as safetensors.numpy reads a file
    jax.tree.map(np.testing.assert_array_equal, interop.from_torch_state_dict(numbers), want)


def test_state_dicts_whose_names_have_no_numbers(torch):
    """Torch's own order counts; in a dictionary that a file may have sorted, the widths do."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.stem = nn.Linear(5, width)
            self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(11)])
            self.head = nn.Linear(width, 2)

    for width in (4, 5):
        module = Net(width)
        want = [np.asarray(w.detach().numpy().T) for w in (module.stem.weight, *(b.weight for b in module.blocks))]
        state = module.state_dict()
        got = interop.from_torch_state_dict(state)
        jax.tree.map(np.testing.assert_array_equal, [W for W, _ in got[:-1]], want)
        if width == 4:  # stem 5x4, blocks 4x4, head 4x2
            again = interop.from_torch_state_dict(dict(sorted(state.items())))
            jax.tree.map(np.testing.assert_array_equal, again, got)
        else:
            with pytest.raises(ValueError, match=r"the order of the layers .* cannot be told"):
                interop.from_torch_state_dict(dict(sorted(state.items())))


def test_state_dicts_of_one_layer_and_without_biases(torch):
    module = torch.nn.Linear(5, 3, bias=False)
    ((W, b),) = interop.from_torch_state_dict(module.state_dict())
    np.testing.assert_array_equal(W, module.weight.detach().numpy().T)
    np.testing.assert_array_equal(b, np.zeros(3))


def test_to_torch_state_dict_is_taken_strictly(torch):
    params = random_params((5, 8, 6, 3))
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    )
    state = interop.to_torch_state_dict(params)
    module.load_state_dict(state, strict=True)
    close(forward_in_torch(torch, module), jaxmlp.forward(params, X, Model("tanh")))
    jax.tree.map(np.testing.assert_array_equal, interop.from_torch_state_dict(state), params)
    with pytest.raises(ValueError, match=EMPTY):
        interop.to_torch_state_dict([])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": np.ones((4, 1, 3, 3))}, "layer '0' must be dense, with a matrix of floats; got float64 of shape"),
        ({"0.weight": np.ones((4, 5)), "1.running_mean": np.ones(4)}, "'1.running_mean' must be the weight or bias"),
        ({"0.weight": np.ones((4, 5)), "1.bias": np.ones(4)}, "layer '1' must have a weight; .* only '1.bias'"),
        ({"0.weight": np.ones((4, 5)), "0.bias": np.ones(3)}, r"layer '0' must have a bias of shape \(4,\); got \(3,"),
        (
            {"fc1.weight": np.ones((4, 5)), "fc2.weight": np.ones((2, 3))},
            "layer 'fc2' must read the 4 numbers that 'fc1' makes; it reads 3",
        ),
        ({"0.weight": np.ones((4, 5), int)}, "layer '0' must be dense, with a matrix of floats; got int64"),
        ({}, "at least one dense layer; got none"),
        ([], r"state_dict must be a dictionary of tensors by name, as module.state_dict\(\); got list"),
        ({"a.weight": np.ones((5, 5)), "b.weight": np.ones((5, 5))}, "the order of the layers 'a', 'b' cannot be told"),
    ],
)
def test_state_dicts_that_fit_no_network_are_refused_by_name(state, message):
    with pytest.raises(ValueError, match=message):
        interop.from_torch_state_dict(state)


def sklearn_problems():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    return {
        "binary": ("MLPClassifier", labels > 1),
        "multiclass": ("MLPClassifier", np.array(["c", "a", "b"])[labels]),
        "multilabel": ("MLPClassifier", rng.integers(0, 2, (60, 3))),
        "regression": ("MLPRegressor", rng.normal(size=60)),
        "several": ("MLPRegressor", rng.normal(size=(60, 2))),
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", sklearn_problems())
def test_from_sklearn(kind, activation):
    neural_network, metrics = need("sklearn.neural_network", "scikit-learn"), need("sklearn.metrics", "scikit-learn")
    name, y = sklearn_problems()[kind]
    x = np.random.default_rng(2).normal(size=(60, 5))
    kwargs = {"activation": activation, "max_iter": 20, "random_state": 0}
    fitted = getattr(neural_network, name)(hidden_layer_sizes=(8, 6), **kwargs).fit(x, y)
    params, model = interop.from_sklearn(fitted)
    outputs = jaxmlp.forward(params, x, model)
    if name == "MLPRegressor":
        predicted = fitted.predict(x).reshape(60, -1)
        close(outputs, predicted)
        targets = y.reshape(60, -1)
        want = np.mean(0.5 * np.sum((targets - predicted) ** 2, axis=1))
        close(jaxmlp.loss(params, x, targets.astype(DTYPE), model), want)
        return
    p = fitted.predict_proba(x)
    close(outputs, p[:, 1:] if kind == "binary" else p)
    targets = np.searchsorted(fitted.classes_, y) if kind == "multiclass" else y.reshape(60, -1).astype(DTYPE)
    columns = [(y[:, k], p[:, k]) for k in range(3)] if kind == "multilabel" else [(y, p)]
    want = sum(metrics.log_loss(*column) for column in columns)
    close(jaxmlp.loss(params, x, targets, model), want)
    close(jaxmlp.accuracy(params, x, targets, model), fitted.score(x, y))


def test_from_sklearn_refuses():
    neural_network, linear_model = need("sklearn.neural_network", "scikit-learn"), need("sklearn.linear_model")
    with pytest.raises(ValueError, match=r"the MLPClassifier must be fitted, .* Call its fit\(X, y\) first"):
        interop.from_sklearn(neural_network.MLPClassifier())
    with pytest.raises(ValueError, match="must be an MLPClassifier or an MLPRegressor; got LinearRegression"):
        interop.from_sklearn(linear_model.LinearRegression())


@pytest.fixture
def linen():
    return need("flax.linen", "flax")


@pytest.fixture
def nnx():
    return need("flax.nnx", "flax")


@pytest.mark.parametrize("jitted", [False, True])
def test_from_linen(linen, jitted):
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            for _ in range(11):  # Dense_10 stands before Dense_2 in the alphabet
                x = linen.tanh(linen.Dense(5, bias_init=linen.initializers.normal(), param_dtype=DTYPE)(x))
            return linen.Dense(3, use_bias=False, param_dtype=DTYPE)(x)

    x = jnp.asarray(X, DTYPE)
    init = jax.jit(Net().init) if jitted else Net().init
    variables = init(jax.random.key(0), x)
    params = interop.from_flax(variables)
    close(jaxmlp.forward(params, x, Model("tanh")), Net().apply(variables, x))
    jax.tree.map(np.testing.assert_array_equal, interop.from_flax(variables["params"]), params)


def test_from_linen_with_names_and_nested(linen):
    class Body(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.relu(linen.Dense(8, name="stem", param_dtype=DTYPE)(x))
            for i in range(2):
                x = linen.relu(linen.Dense(8, name=f"hidden_{i}", param_dtype=DTYPE)(x))
            return linen.Dense(3, name="head", param_dtype=DTYPE)(x)

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return Body()(x)

    x = jnp.asarray(X, DTYPE)
    variables = jax.jit(Net().init)(jax.random.key(0), x)
    assert list(variables["params"]["Body_0"]) == ["head", "hidden_0", "hidden_1", "stem"]  # the widths tell the order
    close(jaxmlp.forward(interop.from_flax(variables), x), Net().apply(variables, x))


def test_from_nnx(nnx):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(5, 5, rngs=rngs, param_dtype=DTYPE) for _ in range(12)])
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            for layer in self.layers[:-1]:
                x = nnx.silu(layer(x))
            return self.layers[-1](x)

    module, x = Net(nnx.Rngs(0)), jnp.asarray(X, DTYPE)
    want = module(x)
    close(jaxmlp.forward(interop.from_flax(nnx.state(module)), x, Model("silu")), want)
    pure = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    close(jaxmlp.forward(interop.from_flax(pure), x, Model("silu")), want)


def test_from_nnx_whose_lists_are_long(nnx):
    """JAX sorts a list's indices as numbers, and the names beside it by the alphabet: blocks, head, stem."""

    class Net(nnx.Module):
        def __init__(self, width):
            make = functools.partial(nnx.Linear, rngs=nnx.Rngs(0), param_dtype=DTYPE)
            self.stem, self.head = make(5, width), make(width, 2)
            self.blocks = nnx.List([make(width, width) for _ in range(11)])

        def __call__(self, x):
            for layer in (self.stem, *self.blocks):
                x = nnx.relu(layer(x))
            return self.head(x)

    module, x = Net(6), jnp.asarray(X, DTYPE)
    close(jaxmlp.forward(interop.from_flax(nnx.state(module)), x), module(x))
    close(jax.jit(lambda state: jaxmlp.forward(interop.from_flax(state), x))(nnx.state(module)), module(x))
    with pytest.raises(ValueError, match=r"the order of the layers .* cannot be told"):
        interop.from_flax(nnx.state(Net(5)))


def test_from_linen_in_boxes(linen):
    boxed = linen.with_partitioning(linen.initializers.normal(), (None, "model"))
    module = linen.Dense(3, kernel_init=boxed, param_dtype=DTYPE)
    variables = module.init(jax.random.key(0), jnp.asarray(X, DTYPE))
    close(
        jaxmlp.forward(interop.from_flax({"layer": variables["params"]}), X), module.apply(variables, X.astype(DTYPE))
    )


def dense(d_in, d_out):
    return {"kernel": np.ones((d_in, d_out), np.float32), "bias": np.ones(d_out, np.float32)}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ([], r"must be a dictionary, or the state of an NNX module: flax.nnx.state\(module\); got list"),
        (
            {"params": {"Dense_0": dense(2, 3)}, "batch_stats": {"x": 1}},
            "only the collection 'params' .* 'batch_stats'",
        ),
        ({"Conv_0": {"kernel": np.ones((3, 3, 1, 4))}}, "layer 'Conv_0' must be dense, .* multi-layer perceptrons"),
        ({"params": [1, 2]}, "'params' must be a dictionary; got list"),
        ({"a": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)}}, "layer 'a' must hold arrays; got ShapeDtype"),
        ({"params": {"LayerNorm_0": {"scale": np.ones(3)}}}, "'LayerNorm_0.scale' belongs to no dense layer"),
        ({"a": {**dense(2, 3), "scale": np.ones(3)}}, "layer 'a' must have a kernel and a bias only; got 'scale'"),
        ({"Dense_0": dense(2, 3), "Dense_1": dense(4, 2)}, "layer 'Dense_1' must read the 3 numbers that 'Dense_0'"),
        ({"a": dense(3, 3), "b": dense(3, 3)}, "the order of the layers 'a', 'b' cannot be told: they come sorted"),
        ({c: dense(5, 5) for c in "abcdefghijklmn"}, "cannot be told: .* such as Dense_0, Dense_1"),
        ({"a": dense(2, 3), "b": dense(3, 2), "c0": dense(2, 4), "c1": dense(4, 2)}, "cannot be told"),
        ({"a": dense(2, 3), "b": dense(4, 5)}, "layer 'b' must read the 3 numbers that 'a' makes; it reads 4"),
        ({}, "at least one dense layer; got none"),
    ],
)
def test_from_flax_refuses_by_name(variables, message):
    with pytest.raises(ValueError, match=message):
        interop.from_flax(variables)


@pytest.fixture
def eqx():
    return need("equinox")


@pytest.mark.parametrize("name", HIDDEN)
def test_from_equinox_recognises_what_is_computed(eqx, name):
    theirs = {
        "relu": jax.nn.relu, "gelu": lambda z: jax.nn.gelu(z, approximate=False), "gelu_tanh": jax.nn.gelu,
        "softsign": jax.nn.soft_sign, "sine": jnp.sin, "identity": lambda z: z, "silu": jax.nn.swish,
    }  # fmt: skip
    f = theirs.get(name, getattr(jax.nn, name, None))
    mlp = eqx.nn.MLP(5, 3, 8, 2, activation=f, dtype=DTYPE, key=jax.random.key(0))
    params, model = interop.from_equinox(mlp)
    assert model == Model(name)
    close(jaxmlp.forward(params, X, model), jax.vmap(mlp)(jnp.asarray(X, DTYPE)))


def test_from_equinox_with_scalars_an_output_and_without_biases(eqx):
    mlp = eqx.nn.MLP(
        "scalar", "scalar", 8, 1, activation=jnp.tanh, final_activation=jax.nn.sigmoid, use_bias=False,
        dtype=DTYPE, key=jax.random.key(0),
    )  # fmt: skip
    params, model = interop.from_equinox(mlp)
    assert model == Model("tanh", "sigmoid", "binary_cross_entropy")
    x = jnp.asarray(X[:, 0], DTYPE)
    close(jaxmlp.forward(params, x[:, None], model)[:, 0], jax.vmap(mlp)(x))
    assert interop.from_equinox(mlp, loss="huber")[1].loss == "huber"


def test_from_equinox_refuses(eqx):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"must be an equinox.nn.MLP; got Conv1d"):
        interop.from_equinox(eqx.nn.Conv1d(1, 1, 3, key=key))

    class Doubled(eqx.nn.MLP):
        def __call__(self, x, *, key=None):
            return 2 * super().__call__(x)

    with pytest.raises(ValueError, match=r"must be an equinox.nn.MLP; got Doubled"):
        interop.from_equinox(Doubled(5, 3, 8, 2, key=key))
    with pytest.raises(ValueError, match=r"activation must compute one of identity, .*computes none of them"):
        interop.from_equinox(eqx.nn.MLP(5, 3, 8, 2, activation=lambda z: z**3, key=key))
    for f in (jax.nn.relu6, lambda z: jnp.clip(z, -10, 10), lambda z: jnp.round(8 * z) / 8):
        with pytest.raises(ValueError, match="computes none of them"):
            interop.from_equinox(eqx.nn.MLP(5, 3, 8, 2, activation=f, key=key))
    with pytest.raises(ValueError, match="final_activation must be a function of one number; it raised"):
        interop.from_equinox(eqx.nn.MLP(5, 3, 8, 2, final_activation=lambda z: jax.nn.softmax(z, axis=1), key=key))

    mlp = eqx.tree_at(lambda m: m.layers[1], eqx.nn.MLP(5, 3, 8, 2, key=key), eqx.nn.Conv1d(1, 1, 3, key=key))
    with pytest.raises(ValueError, match=r"layers\[1\] must be an equinox.nn.Linear; got Conv1d"):
        interop.from_equinox(mlp)
    no_hidden = eqx.nn.MLP(5, 3, 8, 0, activation=lambda z: z**3, dtype=DTYPE, key=key)  # which is never called
    params, model = interop.from_equinox(no_hidden)
    close(jaxmlp.forward(params, X, model), jax.vmap(no_hidden)(jnp.asarray(X, DTYPE)))


def run_onnx(path, x):
    onnxruntime = need("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["outputs"], {"x": np.asarray(x)})
    return outputs


@pytest.mark.parametrize("name", HIDDEN)
def test_to_onnx_with_every_activation(name, tmp_path):
    onnx = need("onnx")
    params, model = random_params((5, 8, 6, 3)), Model(name)
    path = tmp_path / "network.onnx"
    interop.to_onnx(path, params, model)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    for n in (1, 7):  # the batch is dynamic
        x = X[:n].astype(DTYPE)
        got = run_onnx(path, x)
        assert got.dtype == x.dtype
        close(got, jaxmlp.forward(params, x, model), 1e-6)


@pytest.mark.parametrize("output", activations.KNOWN)
def test_to_onnx_with_every_output(output, tmp_path):
    need("onnx")
    params, model = random_params((5, 3)), Model("relu", output)
    interop.to_onnx(tmp_path / "network.onnx", params, model)
    close(run_onnx(tmp_path / "network.onnx", X.astype(DTYPE)), jaxmlp.forward(params, X, model), 1e-6)


def test_to_onnx_widens_narrow_numbers_and_takes_layers_apart(tmp_path):
    need("onnx")
    params, model = random_params((5, 8, 6, 3), dtype=jnp.bfloat16), Model(("tanh", "gelu"))
    interop.to_onnx(tmp_path / "network.onnx", params, model)
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    want = jaxmlp.forward(wide, X, model).astype(np.float32)
    close(run_onnx(tmp_path / "network.onnx", X.astype(np.float32)), want, 1e-6)


@pytest.mark.parametrize("name", HIDDEN)
def test_onnx_is_finite_far_out(name, tmp_path):
    need("onnx")
    params, model = [(jnp.ones((1, 1), DTYPE), jnp.zeros(1, DTYPE))], Model(output=name)
    interop.to_onnx(tmp_path / "network.onnx", params, model)
    x = np.array([[-1e4], [-800.0], [-30.0], [30.0], [800.0], [1e4]], DTYPE)
    close(run_onnx(tmp_path / "network.onnx", x), jaxmlp.forward(params, x, model), 1e-4 if name == "sine" else 1e-6)


def test_to_onnx_refuses(tmp_path):
    need("onnx")
    own = activations.Activation("cube", lambda z: z**3, lambda z: 3 * z**2)
    path = tmp_path / "network.onnx"
    with pytest.raises(ValueError, match="ONNX has no operator for one's own activation 'cube': identity, relu,"):
        interop.to_onnx(path, random_params((5, 8, 3)), Model(own))
    with pytest.raises(ValueError, match=EMPTY):
        interop.to_onnx(path, [], Model())
    with pytest.raises(ValueError, match="one for each of the 1 hidden layers; got 2"):
        interop.to_onnx(path, random_params((5, 8, 3)), Model(("tanh", "tanh")))
    with pytest.raises(TypeError, match="model must be a Model; got None"):
        interop.to_onnx(path, random_params((5, 8, 3)), None)
    assert not list(tmp_path.iterdir())  # nothing half-written


@pytest.mark.parametrize("output", ["identity", "softmax"])
def test_export_runs_again_with_any_batch_size(output):
    params, model = random_params((5, 8, 3)), Model("gelu", output)
    program = interop.export(params, model)
    assert isinstance(program, bytes)
    exported = jax.export.deserialize(program)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for n in (1, 7):
        x = jnp.asarray(X[:n], DTYPE)
        close(exported.call(x), jaxmlp.forward(params, x, model))


def test_export_for_one_platform_and_for_an_unknown_one():
    params = random_params((5, 8, 3))
    assert jax.export.deserialize(interop.export(params, Model(), ("tpu",))).platforms == ("tpu",)
    for platforms in (("gpu",), "cpu", ()):
        with pytest.raises(ValueError, match="platforms must be a list of some of cpu, cuda, rocm, tpu; got"):
            interop.export(params, Model(), platforms)
    with pytest.raises(ValueError, match=EMPTY):
        interop.export([], Model())


@pytest.mark.parametrize(
    ("package", "call", "message"),
    [
        ("torch", lambda p: interop.to_torch_state_dict(p), "needs PyTorch: python -m pip install torch"),
        ("onnx", lambda p: interop.to_onnx("x", p, Model()), r"python -m pip install 'jaxmlp\[interop\]'"),
    ],
)
def test_a_missing_package_is_named(package, call, message, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        call(random_params((5, 3)))
