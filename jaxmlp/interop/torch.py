"""PyTorch: modules and state dicts to parameters, and back. Its weights are `(d_out, d_in)`, ours `(d_in, d_out)`."""

import importlib
import itertools
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmlp import checks
from jaxmlp.interop.layers import Layer, in_order, to_model, to_params
from jaxmlp.model import Model
from jaxmlp.types import Array, Params

_ACTIVATIONS = {  # class -> (settings, our name)
    "ReLU": [({}, "relu")],
    "LeakyReLU": [({"negative_slope": 0.01}, "leaky_relu")],
    "ELU": [({"alpha": 1.0}, "elu")],
    "SELU": [({}, "selu")],
    "GELU": [({"approximate": "none"}, "gelu"), ({"approximate": "tanh"}, "gelu_tanh")],
    "SiLU": [({}, "silu")],
    "Mish": [({}, "mish")],
    "Softplus": [({"beta": 1, "threshold": 20}, "softplus")],
    "Softsign": [({}, "softsign")],
    "Sigmoid": [({}, "sigmoid")],
    "Tanh": [({}, "tanh")],
    "Softmax": [({"dim": -1}, "softmax"), ({"dim": 1}, "softmax")],
}
_NOTHING = {  # class -> settings, of what does nothing to a batch of rows when the network is evaluated
    "Identity": {},
    "Dropout": {},
    "AlphaDropout": {},
    "Flatten": {"start_dim": 1},
}


def from_torch(module: Any, *, loss: str | None = None) -> tuple[list[tuple[Array, Array]], Model]:
    """Take the network out of a `torch.nn.Linear` or a `torch.nn.Sequential` of them, nested as it may be.

    Identity, Dropout and Flatten are left out: the result is the module in `eval()` mode, on rows.

    Args:
        module: Linear layers with at most one activation after each.
        loss: what the model's loss shall be, for torch keeps it elsewhere: "softmax_cross_entropy" for what
            `CrossEntropyLoss` trained. None takes the cross-entropy of probabilities where the module ends in a sigmoid
            or a softmax, else "mean_squared_error".

    Returns:
        `params` and `model`: `forward(params, x, model)` is `module(x)`.

    Raises:
        ValueError: If there is anything else in the module; it is named, with what is supported.
    """
    layers: dict[str, Layer] = {}
    found: list[str] = []
    for name, part in _parts(module, ""):
        kind = _kind(part)
        if kind == "Linear":
            if found and found[-1] == "softmax":
                raise ValueError(f"layer {name!r} must not follow a Softmax, which is supported as the output only.")
            if len(layers) > len(found):
                found.append("identity")
            layers[name] = Layer(_array(name, part.weight).T, None if part.bias is None else _array(name, part.bias))
        elif kind not in _NOTHING or not _has(part, _NOTHING[kind]):  # one of the activations, then
            activation = _activation(name, part)
            if len(layers) != len(found) + 1:
                raise ValueError(f"activation {name!r} ({kind}) must follow a Linear layer, one activation for each.")
            found.append(activation)
    params = to_params(layers)
    return params, to_model([*found, "identity"][: len(layers)], loss)


def from_torch_state_dict(state_dict: Mapping[str, Any]) -> list[tuple[Array, Array]]:
    """Take the parameters out of a state dict, by the names `<layer>.weight` and `<layer>.bias`.

    Args:
        state_dict: of any network of Linear layers; prefixes such as `module.` do not matter. An `OrderedDict`, which
            is what torch makes, is taken in its order. In other dictionaries, which files may have sorted, numbers in
            names count as numbers, and between other names the widths decide. Only names and shapes are known: how the
            layers are used, is not.

    Returns:
        `[(W_1, b_1), ..., (W_L, b_L)]`; a missing bias is zero.

    Raises:
        ValueError: If there is anything but matrices and their biases, they do not chain, or their order cannot be
            told; it names the key or layer.
    """
    if not isinstance(state_dict, Mapping) or not all(isinstance(key, str) for key in state_dict):
        raise ValueError(
            f"state_dict must be a dictionary of tensors by name, as module.state_dict(); "
            f"got {type(state_dict).__name__}."
        )
    prefixes = [key.rpartition(".")[0] for key in state_dict]
    names = list(dict.fromkeys(prefixes))
    if len(list(itertools.groupby(prefixes))) > len(names):  # a layer's weight and bias apart: in no order at all
        names.sort()
    for key in state_dict:
        if key.rpartition(".")[2] not in ("weight", "bias"):
            raise ValueError(
                f"{key!r} must be the weight or bias of a Linear layer; only these are supported. Of a checkpoint, "
                f"pass the state dict in it."
            )
    layers = {}
    for name in names:
        prefix = f"{name}." if name else ""
        if prefix + "weight" not in state_dict:
            raise ValueError(f"layer {name!r} must have a weight; the state dict has only {prefix + 'bias'!r}.")
        bias = state_dict.get(prefix + "bias")
        layers[name] = Layer(
            _array(name, state_dict[prefix + "weight"]).T, None if bias is None else _array(name, bias)
        )
    return to_params(layers if isinstance(state_dict, OrderedDict) else in_order(layers))


def to_torch_state_dict(params: Params) -> dict[str, Any]:
    """Make a state dict for `Sequential(Linear, activation, Linear, ...)`, which `load_state_dict` takes as it is.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.

    Returns:
        torch tensors, copies, by `0.weight`, `0.bias`, `2.weight`, ...

    Raises:
        ValueError: If `params` is no network.
        ImportError: If torch is not installed.
    """
    checks.check_params(params)
    try:
        torch: Any = importlib.import_module("torch")  # by this name a checker of types finds this very file
    except ImportError as error:
        raise ImportError("to_torch_state_dict needs PyTorch: python -m pip install torch") from error

    def tensor(a: Array) -> Any:
        if a.dtype == jnp.bfloat16:  # NumPy's way to torch does not know it
            return torch.from_numpy(np.array(a, np.float32, order="C")).bfloat16()
        return torch.from_numpy(np.array(a, order="C"))

    arrays = {}
    for layer, (W, b) in enumerate(params):
        arrays[f"{2 * layer}.weight"] = tensor(W.T)
        arrays[f"{2 * layer}.bias"] = tensor(b)
    return arrays


def _parts(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The modules that do something, in order, with their names."""
    kind = _kind(module)
    if hasattr(module, "_orig_mod"):  # torch.compile's
        yield from _parts(module._orig_mod, name)
    elif kind in ("DataParallel", "DistributedDataParallel"):
        yield from _parts(module.module, name)
    elif kind == "Sequential":
        for child_name, child in module._modules.items():  # named_children leaves out a module that stands there twice
            yield from _parts(child, f"{name}.{child_name}" if name else child_name)
    else:
        yield name, module


def _kind(module: Any) -> str | None:
    """The class of torch's whose `forward` the module runs; None where it runs another, or hooks."""
    owner = next((base for base in type(module).__mro__ if "forward" in vars(base)), object)
    hooked = getattr(module, "_forward_hooks", None) or getattr(module, "_forward_pre_hooks", None)
    if hooked or type(module).__name__.startswith("Lazy") or not owner.__module__.startswith("torch.nn."):
        return None
    return owner.__name__


def _has(module: Any, settings: Mapping[str, Any]) -> bool:
    return all(getattr(module, name) == value for name, value in settings.items())


def _activation(name: str, module: Any) -> str:
    kind = _kind(module)
    known = _ACTIVATIONS.get(kind or "")
    if known is None:
        own = type(module).__name__
        what = f"layer {name!r} ({own})" if name else f"the module ({own})"
        raise ValueError(
            f"{what} is not supported: from_torch takes Linear, Sequential, {', '.join(_NOTHING)} and the activations "
            f"{', '.join(_ACTIVATIONS)}, none with a forward of its own or with hooks (remove_weight_norm and "
            f"prune.remove take theirs away). Of other modules take the weights, by "
            f"from_torch_state_dict(module.state_dict()), and write the Model."
        )
    for settings, ours in known:
        if _has(module, settings):
            return ours
    supported = " or ".join(", ".join(f"{k}={v!r}" for k, v in settings.items()) for settings, _ in known)
    raise ValueError(f"layer {name!r} must be {kind}({supported}); got {module!r}.")


def _array(name: str, tensor: Any) -> np.ndarray:
    """A copy in NumPy."""
    if not hasattr(tensor, "detach"):
        return np.array(tensor)
    try:
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":  # which NumPy does not know
            return tensor.float().numpy().astype(jnp.bfloat16)
        return np.array(tensor.numpy())
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"layer {name!r} must hold dense numbers in memory: {error}") from error
