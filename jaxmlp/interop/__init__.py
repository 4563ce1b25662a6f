"""Networks from other libraries and to other formats, one file for each neighbour.

The `from_` functions read the attributes of what they are given and import no other library; `to_torch_state_dict` and
`to_onnx` import theirs. Arrays are copied, and come in their own dtype where JAX has it: float64 with `jax_enable_x64`
only, else float32.
"""

from jaxmlp.interop.equinox import from_equinox
from jaxmlp.interop.flax import from_flax
from jaxmlp.interop.onnx import to_onnx
from jaxmlp.interop.sklearn import from_sklearn
from jaxmlp.interop.stablehlo import export
from jaxmlp.interop.torch import from_torch, from_torch_state_dict, to_torch_state_dict

__all__ = [
    "export",
    "from_equinox",
    "from_flax",
    "from_sklearn",
    "from_torch",
    "from_torch_state_dict",
    "to_onnx",
    "to_torch_state_dict",
]
