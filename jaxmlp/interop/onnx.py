"""ONNX: the network as a graph that other runtimes execute, in operators of opset 18."""

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxmlp import activations, checks
from jaxmlp.activations import Activation
from jaxmlp.model import Model
from jaxmlp.training.checkpoints import write_bytes
from jaxmlp.types import Params

OPSET, IR_VERSION = 18, 8


def to_onnx(path: str | os.PathLike, params: Params, model: Model) -> None:
    """Write the network to a file: one input `x (n, d_0)`, one output `outputs (n, d_L)`, n of any size.

    float64 stays float64, but for gelu's error function, which runtimes have in float32 only; all narrower dtypes
    become float32. The file is checked by `onnx.checker`, and written whole or not at all.

    Args:
        path: where.
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        model: for its activations; the output's too, so one trained on logits exports logits.

    Raises:
        ValueError: If `params` is no network, or an activation is none of `jaxmlp.activations`.
        TypeError: If `model` is not a `Model`.
        ImportError: If onnx is not installed.
    """
    checks.check_params(params)
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model; got {model!r:.60}. Write e.g. Model(activation='tanh').")
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: python -m pip install 'jaxmlp[interop]'") from error

    dtype = np.float64 if params[0][0].dtype == np.float64 else np.float32
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = _Graph(onnx, dtype)
    a = "x"
    for (W, b), f in zip(params, model.layer_activations(len(params)), strict=True):
        z = graph.op("Gemm", a, graph.constant(W), graph.constant(b))
        a = _operators(f)(graph, z)
    graph.nodes.append(helper.make_node("Identity", [a], ["outputs"]))
    whole = helper.make_graph(
        graph.nodes,
        "mlp",
        [helper.make_tensor_value_info("x", kind, ["n", params[0][0].shape[0]])],
        [helper.make_tensor_value_info("outputs", kind, ["n", params[-1][0].shape[1]])],
        graph.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    file = helper.make_model(whole, producer_name="jaxmlp", opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(file, full_check=True)
    write_bytes(path, file.SerializeToString())


class _Graph:
    """Nodes and constants as they are added; each is known by a name."""

    def __init__(self, onnx: Any, dtype: Any) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(value, self.dtype), name))
        return name

    def op(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def erf(self, z: str) -> str:
        if self.dtype == np.float32:
            return self.op("Erf", z)
        tensor = self.onnx.TensorProto
        return self.op("Cast", self.op("Erf", self.op("Cast", z, to=tensor.FLOAT)), to=tensor.DOUBLE)


def _operators(f: Activation) -> Callable[[_Graph, str], str]:
    if activations.KNOWN.get(f.name) != f:
        raise ValueError(f"ONNX has no operator for one's own activation {f.name!r}: {', '.join(_OPERATORS)} have.")
    return _OPERATORS[f.name]


def _softplus(graph: _Graph, z: str) -> str:
    """max(z, 0) + log(1 + exp(-|z|)): the operator itself overflows in float64."""
    small = graph.op("Exp", graph.op("Neg", graph.op("Abs", z)))
    return graph.op("Add", graph.op("Relu", z), graph.op("Log", graph.op("Add", graph.constant(1), small)))


def _gelu(graph: _Graph, z: str) -> str:
    """z (1 + erf(z / sqrt 2)) / 2."""
    share = graph.op("Add", graph.constant(1), graph.erf(graph.op("Mul", z, graph.constant(0.5**0.5))))
    return graph.op("Mul", graph.op("Mul", z, graph.constant(0.5)), share)


def _gelu_tanh(graph: _Graph, z: str) -> str:
    """z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2."""
    cube = graph.op("Mul", graph.op("Mul", z, z), graph.op("Mul", z, graph.constant(0.044715)))
    inner = graph.op("Mul", graph.op("Add", z, cube), graph.constant(math.sqrt(2 / math.pi)))
    share = graph.op("Add", graph.constant(1), graph.op("Tanh", inner))
    return graph.op("Mul", graph.op("Mul", z, graph.constant(0.5)), share)


_OPERATORS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "relu": lambda graph, z: graph.op("Relu", z),
    "leaky_relu": lambda graph, z: graph.op("LeakyRelu", z, alpha=0.01),
    "elu": lambda graph, z: graph.op("Elu", z, alpha=1.0),
    "selu": lambda graph, z: graph.op("Selu", z),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda graph, z: graph.op("Mul", z, graph.op("Sigmoid", z)),
    "mish": lambda graph, z: graph.op("Mish", z),
    "softplus": _softplus,
    "softsign": lambda graph, z: graph.op("Softsign", z),
    "sigmoid": lambda graph, z: graph.op("Sigmoid", z),
    "tanh": lambda graph, z: graph.op("Tanh", z),
    "sine": lambda graph, z: graph.op("Sin", z),
    "softmax": lambda graph, z: graph.op("Softmax", z, axis=-1),
}
