"""scikit-learn: fitted `MLPClassifier` and `MLPRegressor`, and ours of these names, to parameters and a model."""

from typing import Any

import numpy as np

from jaxmlp.activations import Activation
from jaxmlp.interop.layers import Layer, to_params
from jaxmlp.model import Model
from jaxmlp.types import Array

_OUTPUTS = {  # out_activation_ -> (output, loss)
    "softmax": ("softmax", "categorical_cross_entropy"),
    "logistic": ("sigmoid", "binary_cross_entropy"),
    "identity": ("identity", "half_squared_error"),
    "exp": ("identity", "poisson_nll"),
}


def from_sklearn(estimator: Any) -> tuple[list[tuple[Array, Array]], Model]:
    """Take the network out of a fitted `MLPClassifier` or `MLPRegressor`.

    `forward` gives the probabilities (of the second class where there are two, of each label where there are several)
    or the values that the estimator predicts; for a Poisson regressor their logarithms. `loss` is the estimator's,
    without its penalty: the log loss, half the squared error (scikit-learn averages it over several outputs, `loss`
    sums), or the Poisson deviance but for what depends on y alone. `accuracy` is a classifier's score. Labels are
    their places in `classes_`: `np.searchsorted(estimator.classes_, y)`, as a column where there are two classes.

    Args:
        estimator: fitted, of scikit-learn or of `jaxmlp.estimators`.

    Returns:
        `params` and `model`.

    Raises:
        ValueError: If it is not fitted, or no multi-layer perceptron.
    """
    kind = type(estimator).__name__
    if not hasattr(estimator, "hidden_layer_sizes"):
        raise ValueError(f"the estimator must be an MLPClassifier or an MLPRegressor; got {kind}.")
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"the {kind} must be fitted, for it has no weights yet. Call its fit(X, y) first.")
    layers = {
        f"coefs_[{i}]": Layer(np.asarray(W), np.asarray(b))
        for i, (W, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    }
    output, loss = _OUTPUTS[estimator.out_activation_]
    return to_params(layers), Model(our_activation(estimator.activation), output, loss)


def our_activation(activation: Any) -> Any:
    """Return scikit-learn's `activation` by our names, where "logistic" is "sigmoid".

    Args:
        activation: a name, an `Activation`, or a list of them.
    """
    if isinstance(activation, str | Activation):
        return "sigmoid" if activation == "logistic" else activation
    return tuple(map(our_activation, activation))
