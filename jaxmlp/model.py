"""The network as pure functions of its parameters: `init_mlp`, `forward`, `loss`, `accuracy`."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxmlp import activations, checks, initializers, losses
from jaxmlp.activations import Activation
from jaxmlp.dense import dense
from jaxmlp.initializers import Initializer
from jaxmlp.losses import Loss
from jaxmlp.types import Array, ArrayLike, Params

_NO_PROBABILITIES = {name for name in activations.KNOWN if name not in ("sigmoid", "softmax")}


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class Model:
    """What a network is besides its parameters: a hidden activation, an output activation, a loss.

    Frozen, hashable, and a pytree without leaves, so that `jax.jit(loss)(params, x, y, model)` takes it as it is.
    Two models are equal where they mean the same, by name or by object.

    Attributes:
        activation: of the hidden layers: a name, an `Activation`, or a sequence of them, one for each hidden layer.
        output: of the last layer: a name or an `Activation`.
        loss: a name or a `Loss`.

    Raises:
        ValueError: If a name is unknown, softmax stands at a hidden layer, or the loss wants probabilities and the
            output activation does not make any.
        TypeError: If a field is neither a name nor an `Activation` or `Loss`.

    Example:
        >>> model = Model(activation="tanh", loss="softmax_cross_entropy")
        >>> model == Model(activation=activations.tanh, loss=losses.softmax_cross_entropy)
        True
    """

    activation: str | Activation | Sequence[str | Activation] = "relu"
    output: str | Activation = "identity"
    loss: str | Loss = "mean_squared_error"
    _meaning: ClassVar[Any]  # what the names stand for; set by __post_init__ on each model

    def __post_init__(self) -> None:
        """Look every name up now, so that a wrong one is reported where it was written."""
        if not isinstance(self.activation, str | Activation | list | tuple):
            raise TypeError(
                f"activation must be a name, an Activation, or a list of them; got {self.activation!r}. "
                f"One's own is Activation(name, fn, derivative)."
            )
        one = isinstance(self.activation, str | Activation)
        given = (self.activation,) if isinstance(self.activation, str | Activation) else tuple(self.activation)
        if not one:
            object.__setattr__(self, "activation", given)  # a list would not hash
        hidden = tuple(_activation(f) for f in given)
        output = _activation(self.output)
        loss = _loss(self.loss)
        object.__setattr__(self, "_meaning", (one, hidden, output, loss))
        if activations.softmax in hidden:
            raise ValueError(
                "softmax serves as an output only; got it as a hidden activation. Write Model(output='softmax')."
            )
        if loss.reads == "probabilities" and output.name in _NO_PROBABILITIES:
            stable = "sigmoid" if loss.targets == "binary" else "softmax"
            raise ValueError(
                f"loss {loss.name!r} must read probabilities; got output {output.name!r}. "
                f"Write output={stable!r}, or loss='{stable}_cross_entropy', which reads logits and is stable."
            )

    def __eq__(self, other: object) -> bool:
        """Compare what the models mean."""
        return isinstance(other, Model) and self._meaning == other._meaning

    def __hash__(self) -> int:
        """Hash what the model means."""
        return hash(self._meaning)

    def layer_activations(self, n_layers: int) -> tuple[Activation, ...]:
        """Return f_1, ..., f_L: the activation of each layer, the output's last.

        Args:
            n_layers: L.

        Raises:
            ValueError: If activations were given one for each hidden layer, and there are not L - 1 of them.
        """
        one, hidden, output, _ = self._meaning
        if one:
            return (*hidden * (n_layers - 1), output)
        if len(hidden) != n_layers - 1:
            raise ValueError(
                f"activation must name one for each of the {n_layers - 1} hidden layers; got {len(hidden)}. "
                f"A single name serves them all."
            )
        return (*hidden, output)

    @property
    def loss_function(self) -> Loss:
        """The `Loss` itself, where `loss` may be its name."""
        return self._meaning[3]


def _activation(name: str | Activation) -> Activation:
    if isinstance(name, Activation):
        return name
    if not isinstance(name, str):
        raise TypeError(
            f"an activation must be a name or an Activation; got {name!r}. "
            f"One's own is Activation(name, fn, derivative)."
        )
    return checks.look_up("activation", name, activations.KNOWN)


def _loss(name: str | Loss) -> Loss:
    if isinstance(name, Loss):
        return name
    if not isinstance(name, str):
        raise TypeError(f"loss must be a name or a Loss; got {name!r}. One's own is Loss(name, value, gradient).")
    return checks.look_up("loss", name, losses.KNOWN)


def init_mlp(
    key: Array,
    sizes: Sequence[int],
    *,
    initializer: str | Callable[..., Array] = "he_normal",
    dtype: Any = jnp.float32,
) -> list[tuple[Array, Array]]:
    """Draw the parameters of a network; biases are zero.

    Args:
        key: a PRNG key, as from `jax.random.key(0)`.
        sizes: `(d_0, ..., d_L)`, the widths from input to output.
        initializer: a name, one of `jaxmlp.initializers`, or any `(key, shape, dtype) -> W`.
        dtype: a floating-point dtype.

    Returns:
        `[(W_1, b_1), ..., (W_L, b_L)]`, `W_l (d_{l-1}, d_l)`, `b_l (d_l,)`.

    Raises:
        ValueError: If `key` is not one PRNG key, there are fewer than two sizes, one is not positive, the
            initializer's name is unknown, or the dtype is not floating.

    Example:
        >>> count_params(init_mlp(jax.random.key(0), (3, 4, 4, 1)))
        41
    """
    checks.check_key(key)
    checks.check_sizes(sizes)
    if isinstance(initializer, str):
        initializer = checks.look_up("initializer", initializer, initializers.KNOWN)
    if not callable(initializer) or initializer is initializers.normal:
        raise TypeError(
            f"initializer must be a name or a function (key, shape, dtype) -> W; got {initializer!r}. "
            f"One of a given deviation is made by jaxmlp.initializers.normal(0.01)."
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be a floating-point one; got {jnp.dtype(dtype).name}.")
    if not isinstance(initializer, Initializer):
        initializer = jax.tree_util.Partial(initializer)  # a pytree, as jit wants it
    return _init_mlp(key, initializer, tuple(int(size) for size in sizes), jnp.dtype(dtype))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _init_mlp(key: Array, initializer: Callable[..., Array], sizes: tuple[int, ...], dtype: jnp.dtype) -> Any:
    shapes = list(itertools.pairwise(sizes))
    if isinstance(initializer, Initializer):  # one draw for all layers
        *ends, total = itertools.accumulate(map(math.prod, shapes))
        pieces = jnp.split(initializer.draw(key, (total,), dtype), ends)
        Ws = [initializer.scale(piece.reshape(shape)) for piece, shape in zip(pieces, shapes, strict=True)]
    else:
        keys = jax.random.split(key, len(shapes))
        Ws = [jnp.asarray(initializer(k, shape, dtype), dtype) for k, shape in zip(keys, shapes, strict=True)]
        for W, shape in zip(Ws, shapes, strict=True):
            if W.shape != shape:
                raise ValueError(f"the initializer must return W of shape {shape}; got {W.shape}.")
    return [(W, jnp.zeros(d_out, dtype)) for W, (_, d_out) in zip(Ws, shapes, strict=True)]


def count_params(params: Params) -> int:
    """Count the numbers in `params`: 41 for sizes `(3, 4, 4, 1)`.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.

    Raises:
        ValueError: If `params` is no network.
    """
    checks.check_params(params)
    return sum(W.size + b.size for W, b in params)


def forward(params: Params, x: ArrayLike, model: Model = Model()) -> Array:
    """Apply the network.

    a_0 = x,  z_l = a_{l-1} W_l + b_l,  a_l = f_l(z_l);  the last f is `model.output`  (eqs. 1 and 2)

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs, or any leading axes `(..., d_0)`; cast to the dtype of `params`.
        model: for its activations.

    Returns:
        `(n, d_L)` outputs, with the leading axes of `x`.

    Raises:
        ValueError: If `params` do not chain, `x` does not fit them, or `model.activation` lists another number of
            activations than there are hidden layers.
    """
    a = check_inputs(params, x, model, batch=False).astype(jnp.result_type(params[0][0]))
    for (W, b), f in zip(params, model.layer_activations(len(params)), strict=True):
        a = f(dense(a, W, b))
    return a


def loss(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model = Model(), *, weights: ArrayLike | None = None
) -> Array:
    """Return the loss of a batch.

    loss = sum_n c_n loss_n,  c_n = w_n / sum_m w_m for a mean, w_n for a sum  (eq. 3)

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights; None weighs all alike. Weights that sum to 0 give a mean of 0. An example of
            weight 0 counts for nothing, but must still be finite.

    Returns:
        The loss, a scalar; 0 for an empty batch.

    Raises:
        ValueError: If a shape or dtype does not fit, or a concrete label is not a valid class.
        TypeError: If `model` is not a `Model`.
    """
    x, y, c = prepare_batch(params, x, y, model, weights)
    return jnp.sum(c * losses.each(model.loss_function, forward(params, x, model), y))


def accuracy(params: Params, x: ArrayLike, y: ArrayLike, model: Model) -> Array:
    """Return the share of examples that the network classifies correctly.

    Categorical losses: the largest output is the label. Binary losses: every output is on the side of the threshold
    (1/2 for probabilities, 0 for logits) that its target is on. Hinge: every output has its target's sign.
    An output of nan is never correct.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss; the loss says what a right decision is.

    Returns:
        A scalar between 0 and 1; nan for an empty batch.

    Raises:
        ValueError: If the loss is one of regression, or a shape does not fit.
    """
    x, y, _ = check_batch(params, x, y, model)
    return _accuracy(params, x, y, model)


@jax.jit  # one program to compile, where its two dozen operations would each be one
def _accuracy(params: Params, x: Array, y: Array, model: Model) -> Array:
    outputs = forward(params, x, model)
    right = jnp.sum(right_decisions(model.loss_function, outputs, y))  # an integer: exact, and one loop to compile
    return (right / x.shape[0]).astype(outputs.dtype)


def right_decisions(loss: Loss, outputs: Array, y: Array) -> Array:
    """Return which examples are classified correctly, as `accuracy` counts them.

    Args:
        loss: says what a right decision is.
        outputs: `(..., d_L)`.
        y: `(..., d_L)` targets, or `(...)` integer labels.

    Returns:
        `(...)` bools.

    Raises:
        ValueError: If the loss is one of regression.
    """
    if loss.targets == "values":
        deciding = ", ".join(sorted(name for name, loss in losses.KNOWN.items() if loss.targets != "values"))
        raise ValueError(f"accuracy needs a loss that decides, one of {deciding}; got {loss.name!r}.")
    if loss.targets == "classes":
        labels = jnp.argmax(y, axis=-1) if y.ndim == outputs.ndim else y
        right = jnp.argmax(outputs, axis=-1).astype(jnp.int32) == labels.astype(jnp.int32)
    else:
        positive = outputs > (0.5 if loss.reads == "probabilities" else 0)
        right = jnp.all(positive == (y.astype(outputs.dtype) > (0.5 if loss.targets == "binary" else 0)), axis=-1)
    return right & ~jnp.any(jnp.isnan(outputs), axis=-1)


def prepare_batch(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model, weights: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Check a batch, and bring it to the form that the equations read.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights, or None.

    Returns:
        x `(n, d_0)`, y `(n, d_L)` (labels become one-hot rows) and the coefficients c `(n,)` of the reduction, in the
        dtype of `params`.

    Raises:
        ValueError: If a shape or dtype does not fit, or a concrete label is not a valid class.
        TypeError: If `model` is not a `Model`.
    """
    x, y, weights = check_batch(params, x, y, model, weights)
    dtype = jnp.result_type(params[0][0])
    classes = params[-1][0].shape[1]
    y = y.astype(dtype) if y.ndim == 2 else jax.nn.one_hot(y.astype(jnp.int32), classes, dtype=dtype)  # uint8 wraps
    return x.astype(dtype), y, losses.coefficients(model.loss_function, x.shape[0], weights, dtype)


def check_batch(
    params: Params, x: ArrayLike, y: ArrayLike, model: Model, weights: ArrayLike | None = None
) -> tuple[Array, Array, Array | None]:
    """Check a batch against the network, and return it as arrays.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        weights: `(n,)` sample weights, or None.

    Returns:
        x, y and weights, as they came.

    Raises:
        ValueError: If a shape or dtype does not fit, or a concrete label is not a valid class.
        TypeError: If `model` is not a `Model`.
    """
    x = check_inputs(params, x, model, batch=True)
    y = checks.as_numbers("y", y)  # no jax array yet: under jit that would hide concrete labels
    outputs = (x.shape[0], params[-1][0].shape[1])
    checks.check_targets(y, outputs, classes=model.loss_function.targets == "classes")
    if weights is not None:
        weights = checks.as_array(checks.as_numbers("weights", weights))
        checks.check_weights("weights", weights, x.shape[0])
    return x, checks.as_array(y), weights


def check_inputs(params: Params, x: ArrayLike, model: Model, *, batch: bool) -> Array:
    """Check inputs against the network, and return them as an array.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]`.
        x: `(n, d_0)` inputs.
        model: activations and loss.
        batch: whether x must have exactly two axes, or at least one.

    Returns:
        x, as it came.

    Raises:
        ValueError: If `params` do not chain, or `x` does not fit them.
        TypeError: If `model` is not a `Model`.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model; got {model!r:.60}. Write e.g. Model(activation='tanh').")
    checks.check_params(params)
    x = checks.as_numbers("x", x)
    checks.check_inputs(x, params[0][0].shape[0], batch=batch)
    return checks.as_array(x)
