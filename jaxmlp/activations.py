"""Activations; under each stands its derivative, and under that its second derivative.

All are functions of the pre-activation z, elementwise, with the derivative of `jax.nn` where there is a kink. Softmax
alone mixes the columns of a row: it has a Jacobian product in place of a derivative, and serves as an output only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.types import Array


@dataclass(frozen=True)
class Activation:
    """An activation with its derivatives written out.

    Attributes:
        name: as in `Model(activation=name)`.
        fn: f, z `(..., d)` to a `(..., d)`.
        derivative: f'(z), of the shape of z, or a number; None where f is not elementwise.
        second_derivative: f''(z), likewise, or None: then the readings that need it refuse.
        jacobian_product: where f is not elementwise: `(z, da) -> dz`, each `(..., d)`: the rows of da times the
            Jacobians J(z) of f.
        jacobian_product_tangent: of (z, da, Rz), how `jacobian_product(z, da)` changes as z does by Rz, or None: then
            the readings that need it refuse. Curvature readings take the Jacobian to be symmetric, as softmax's is.
    """

    name: str
    fn: Callable[[Array], Array]
    derivative: Callable[[Array], Array] | None
    second_derivative: Callable[[Array], Array] | None = None
    jacobian_product: Callable[[Array, Array], Array] | None = None
    jacobian_product_tangent: Callable[[Array, Array, Array], Array] | None = None

    def __call__(self, z: Array) -> Array:
        """Return f(z)."""
        return self._like(z, "fn", self.fn(z))

    def pullback(self, z: Array, da: Array) -> Array:
        """Carry a derivative from behind the activation to before it.

        dz = da * f'(z), elementwise (eqs. 4 and 5); where f is not, dz = da J(z) row by row (eq. 8).

        Args:
            z: `(n, d)` pre-activations.
            da: `(n, d)` derivatives with respect to f(z).

        Returns:
            dz `(n, d)`.
        """
        if self.jacobian_product is not None:
            return self._like(z, "jacobian_product", self.jacobian_product(z, da))
        if self.derivative is None:
            raise ValueError(f"activation {self.name!r} has neither a derivative nor a jacobian_product.")
        return da * self._like(z, "derivative", self.derivative(z))

    def pushforward(self, z: Array, Rz: Array) -> Array:
        """Carry a change from before the activation to behind it.

        Ra = f'(z) * Rz, or J(z) Rz (eq. 10).

        Args:
            z: `(..., d)` pre-activations.
            Rz: `(..., d)`, how they change.

        Returns:
            Ra `(..., d)`.
        """
        return self.pullback(z, Rz)  # an elementwise derivative, or a symmetric Jacobian, is its own adjoint

    def pullback_tangent(self, z: Array, da: Array, Rz: Array, Rda: Array) -> Array:
        """Return how `pullback(z, da)` changes as z and da do.

        Rdz = Rda * f'(z) + da * f''(z) * Rz (eq. 12).

        Args:
            z: `(..., d)` pre-activations.
            da: `(..., d)` derivatives with respect to f(z).
            Rz: `(..., d)`, how z changes.
            Rda: `(..., d)`, how da changes.

        Returns:
            Rdz `(..., d)`.
        """
        if self.jacobian_product_tangent is not None:
            change = self.jacobian_product_tangent(z, da, Rz)
            return self.pullback(z, Rda) + self._like(z, "jacobian_product_tangent", change)
        if self.jacobian_product is None and self.second_derivative is _zeros:
            return self.pullback(z, Rda)  # XLA would compute da * 0 * Rz, as it is nan where one of them is
        return self.pullback(z, Rda) + da * self._second(z) * Rz

    def second_pushforward(self, z: Array, Rz: Array) -> Array:
        """Return the second derivative of f(z + t Rz) in t at 0.

        f''(z) * Rz**2, or where f is not elementwise the change of J(z) Rz.

        Args:
            z: `(..., d)` pre-activations.
            Rz: `(..., d)`, the direction.

        Returns:
            `(..., d)`.
        """
        if self.jacobian_product_tangent is not None:
            return self._like(z, "jacobian_product_tangent", self.jacobian_product_tangent(z, Rz, Rz))
        return self._second(z) * Rz * Rz

    def _second(self, z: Array) -> Array:
        missing = "second_derivative" if self.jacobian_product is None else "jacobian_product_tangent"
        if getattr(self, missing) is None:
            raise ValueError(
                f"activation {self.name!r} must have a {missing} for this reading; got None. "
                f"Write Activation(name, ..., {missing}=...)."
            )
        return self._like(z, missing, getattr(self, missing)(z))

    def _like(self, z: Array, part: str, got: Array) -> Array:
        """What one's own function makes of z, checked: another shape might broadcast in silence."""
        if isinstance(got, int | float | np.number):
            return jnp.full_like(z, got)
        if getattr(got, "shape", None) != np.shape(z):
            raise ValueError(
                f"the {part} of activation {self.name!r} must have the shape of z, {np.shape(z)}; "
                f"got {getattr(got, 'shape', type(got).__name__)}."
            )
        return got


def _identity(z: Array) -> Array:
    return z


def _ones(z: Array) -> Array:
    return jnp.ones_like(z)


def _zeros(z: Array) -> Array:
    return jnp.zeros_like(z)


identity = Activation("identity", _identity, _ones, _zeros)
"""z"""


def _relu(z: Array) -> Array:
    return jax.nn.relu(z)


def _relu_derivative(z: Array) -> Array:
    return (z > 0).astype(z.dtype)


relu = Activation("relu", _relu, _relu_derivative, _zeros)
"""max(0, z)"""


def _leaky_relu(z: Array) -> Array:
    return jnp.where(z >= 0, z, 0.01 * z)


def _leaky_relu_derivative(z: Array) -> Array:
    return jnp.where(z >= 0, 1, 0.01).astype(z.dtype)


leaky_relu = Activation("leaky_relu", _leaky_relu, _leaky_relu_derivative, _zeros)
"""z where z >= 0, else 0.01 z"""


def _exp_below(z: Array) -> Array:
    """exp(z) where z <= 0, else 1: never overflows, in a branch not taken either."""
    return jnp.exp(jnp.where(z > 0, 0, z))


def _elu(z: Array) -> Array:
    return jnp.where(z > 0, z, jnp.expm1(jnp.where(z > 0, 0, z)))


def _elu_derivative(z: Array) -> Array:
    return _exp_below(z)


def _elu_second_derivative(z: Array) -> Array:
    return jnp.where(z > 0, 0, _exp_below(z))


elu = Activation("elu", _elu, _elu_derivative, _elu_second_derivative)
"""z where z > 0, else exp(z) - 1. Clevert et al. 2015, arXiv 1511.07289."""

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _selu(z: Array) -> Array:
    return _SELU_SCALE * jnp.where(z > 0, z, _SELU_ALPHA * jnp.expm1(jnp.where(z > 0, 0, z)))


def _selu_derivative(z: Array) -> Array:
    return _SELU_SCALE * jnp.where(z > 0, 1, _SELU_ALPHA * _exp_below(z))


def _selu_second_derivative(z: Array) -> Array:
    return _SELU_SCALE * jnp.where(z > 0, 0, _SELU_ALPHA * _exp_below(z))


selu = Activation("selu", _selu, _selu_derivative, _selu_second_derivative)
"""s z where z > 0, else s alpha (exp(z) - 1), s = 1.0507, alpha = 1.6733. Klambauer et al. 2017, arXiv 1706.02515."""


def _normal_density(z: Array) -> Array:
    return jnp.exp(-0.5 * z * z) * (2 * jnp.pi) ** -0.5


def _gelu(z: Array) -> Array:
    return jax.nn.gelu(z, approximate=False)


def _gelu_derivative(z: Array) -> Array:
    return 0.5 * jax.lax.erfc(-(0.5**0.5) * z) + z * _normal_density(z)  # Phi(z) + z Phi'(z)


def _gelu_second_derivative(z: Array) -> Array:
    return (2 - z * z) * _normal_density(z)


gelu = Activation("gelu", _gelu, _gelu_derivative, _gelu_second_derivative)
"""z Phi(z), Phi the standard normal distribution function. Hendrycks and Gimpel 2016, arXiv 1606.08415."""

_GELU_C = (2 / 3.141592653589793) ** 0.5
_GELU_K = 0.044715


def _gelu_tanh(z: Array) -> Array:
    return jax.nn.gelu(z, approximate=True)


def _gelu_tanh_parts(z: Array) -> tuple[Array, Array, Array]:
    """t = tanh(u), u' and u'' of u = c (z + k z**3)."""
    t = jnp.tanh(_GELU_C * (z + _GELU_K * z * z * z))
    return t, _GELU_C * (1 + 3 * _GELU_K * z * z), 6 * _GELU_C * _GELU_K * z


def _gelu_tanh_derivative(z: Array) -> Array:
    t, du, _ = _gelu_tanh_parts(z)
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * du


def _gelu_tanh_second_derivative(z: Array) -> Array:
    t, du, ddu = _gelu_tanh_parts(z)
    return (1 - t * t) * (du + 0.5 * z * (ddu - 2 * t * du * du))


gelu_tanh = Activation("gelu_tanh", _gelu_tanh, _gelu_tanh_derivative, _gelu_tanh_second_derivative)
"""z (1 + tanh(c (z + k z**3))) / 2, c = sqrt(2 / pi), k = 0.044715. Likewise arXiv 1606.08415."""


def _silu(z: Array) -> Array:
    return z * jax.nn.sigmoid(z)


def _silu_derivative(z: Array) -> Array:
    s = jax.nn.sigmoid(z)
    return s * (1 + z * (1 - s))


def _silu_second_derivative(z: Array) -> Array:
    s = jax.nn.sigmoid(z)
    return s * (1 - s) * (2 + z * (1 - 2 * s))


silu = Activation("silu", _silu, _silu_derivative, _silu_second_derivative)
"""z sigmoid(z), also called swish. Elfwing et al. 2017, arXiv 1702.03118."""


def _mish(z: Array) -> Array:
    return z * jnp.tanh(jax.nn.softplus(z))


def _mish_derivative(z: Array) -> Array:
    t, s = jnp.tanh(jax.nn.softplus(z)), jax.nn.sigmoid(z)
    return t + z * s * (1 - t * t)


def _mish_second_derivative(z: Array) -> Array:
    t, s = jnp.tanh(jax.nn.softplus(z)), jax.nn.sigmoid(z)
    return s * (1 - t * t) * (2 + z * (1 - s - 2 * t * s))


mish = Activation("mish", _mish, _mish_derivative, _mish_second_derivative)
"""z tanh(log(1 + exp(z))). Misra 2019, arXiv 1908.08681."""


def _softplus(z: Array) -> Array:
    return jax.nn.softplus(z)


def _softplus_derivative(z: Array) -> Array:
    return jax.nn.sigmoid(z)


def _softplus_second_derivative(z: Array) -> Array:
    return _sigmoid_derivative(z)


softplus = Activation("softplus", _softplus, _softplus_derivative, _softplus_second_derivative)
"""log(1 + exp(z))"""


def _softsign(z: Array) -> Array:
    return z / (1 + jnp.abs(z))


def _softsign_derivative(z: Array) -> Array:
    return (1 + jnp.abs(z)) ** -2


def _softsign_second_derivative(z: Array) -> Array:
    return jnp.where(z >= 0, -2, 2) * (1 + jnp.abs(z)) ** -3


softsign = Activation("softsign", _softsign, _softsign_derivative, _softsign_second_derivative)
"""z / (1 + abs(z))"""


def _sigmoid(z: Array) -> Array:
    return jax.nn.sigmoid(z)


def _sigmoid_derivative(z: Array) -> Array:
    a = jax.nn.sigmoid(z)
    return a * (1 - a)


def _sigmoid_second_derivative(z: Array) -> Array:
    a = jax.nn.sigmoid(z)
    return a * (1 - a) * (1 - 2 * a)


sigmoid = Activation("sigmoid", _sigmoid, _sigmoid_derivative, _sigmoid_second_derivative)
"""1 / (1 + exp(-z))"""


def _tanh(z: Array) -> Array:
    return jnp.tanh(z)


def _tanh_derivative(z: Array) -> Array:
    a = jnp.tanh(z)
    return 1 - a * a


def _tanh_second_derivative(z: Array) -> Array:
    a = jnp.tanh(z)
    return -2 * a * (1 - a * a)


tanh = Activation("tanh", _tanh, _tanh_derivative, _tanh_second_derivative)
"""(exp(z) - exp(-z)) / (exp(z) + exp(-z))"""


def _sine(z: Array) -> Array:
    return jnp.sin(z)


def _sine_derivative(z: Array) -> Array:
    return jnp.cos(z)


def _sine_second_derivative(z: Array) -> Array:
    return -jnp.sin(z)


sine = Activation("sine", _sine, _sine_derivative, _sine_second_derivative)
"""sin(z)"""


def _softmax(z: Array) -> Array:
    return jax.nn.softmax(z, axis=-1)


def _softmax_jacobian_product(z: Array, da: Array) -> Array:
    """da (diag(p) - p p^T), row by row: p * (da - <da, p>)."""
    p = _softmax(z)
    return p * (da - jnp.sum(da * p, axis=-1, keepdims=True))


def _softmax_jacobian_product_tangent(z: Array, da: Array, Rz: Array) -> Array:
    p = _softmax(z)
    Rp = _softmax_jacobian_product(z, Rz)
    return Rp * (da - jnp.sum(da * p, axis=-1, keepdims=True)) - p * jnp.sum(da * Rp, axis=-1, keepdims=True)


softmax = Activation(
    "softmax",
    _softmax,
    None,
    jacobian_product=_softmax_jacobian_product,
    jacobian_product_tangent=_softmax_jacobian_product_tangent,
)
"""exp(z_j) / sum_k exp(z_k), along each row; an output only."""


KNOWN = {
    f.name: f
    for f in (
        identity, relu, leaky_relu, elu, selu, gelu, gelu_tanh, silu, mish,
        softplus, softsign, sigmoid, tanh, sine, softmax,
    )
}  # fmt: skip
"""Every activation that has a name."""
