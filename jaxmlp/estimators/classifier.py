"""`MLPClassifier`: one class for each example, or several labels."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse, special
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from jaxmlp import losses
from jaxmlp.backprop import Tape
from jaxmlp.estimators.base import BaseMLP, set_parameters, solver_is_stochastic
from jaxmlp.interop.sklearn import our_activation
from jaxmlp.model import Model
from jaxmlp.types import Array


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's `MLPClassifier`, trained here; what it adds stands last.

    In each batch it minimises the log loss, the mean over examples (of the sum over labels, where each has several),
    plus alpha / (2 sum w) |W|^2, w the batch's weights.

    Args:
        hidden_layer_sizes: the widths of the hidden layers.
        activation: "logistic" or any of `jaxmlp.activations` by name, an `Activation`, or a list of them, one for each
            hidden layer.
        solver: "adam", "sgd", or "lbfgs" (SciPy's, on all the data at once).
        alpha: strength of the penalty on the squared weights.
        batch_size: examples for one update; "auto" is 200, or all where there are fewer.
        learning_rate: of sgd: "constant", "invscaling" (learning_rate_init / (t_ + 1)**power_t from the second epoch
            on), or "adaptive" (divided by 5 where training would stop, down to 1e-6).
        learning_rate_init: the first learning rate.
        power_t: the exponent of "invscaling".
        max_iter: the most epochs, or iterations of lbfgs.
        shuffle: whether each epoch has an order of its own.
        random_state: an int, a `numpy.random.RandomState` or None: decides the initial weights, the split and the
            order, as in scikit-learn.
        tol: the least that counts as an improvement; lbfgs stops once no entry of the gradient exceeds it.
        verbose: whether to print each epoch's loss.
        warm_start: whether `fit` goes on from the weights there are.
        momentum: of sgd.
        nesterovs_momentum: whether sgd looks ahead.
        early_stopping: whether sgd and adam hold out data and stop by their score; the best weights are kept.
        validation_fraction: the share held out.
        beta_1: decay of Adam's first moment.
        beta_2: decay of Adam's second moment.
        epsilon: Adam's.
        n_iter_no_change: epochs without an improvement until training ends.
        max_fun: the most evaluations of the loss by lbfgs.
        class_weight: a number by class, or "balanced": n / (classes * examples of the class); multiplies
            `sample_weight`. scikit-learn's has none.

    Attributes:
        classes_: the labels, in order.
        coefs_: W `(d_{l-1}, d_l)` of each layer.
        intercepts_: b `(d_l,)` of each layer.
        loss_curve_: the loss of each epoch since the first weights, penalty included. Probabilities count as within
            [eps, 1 - eps], eps that of the dtype. With weights an epoch's is the mean over its batches as they are
            weighted; scikit-learn's counts every example alike. Of lbfgs, that of each iteration (scikit-learn has no
            such curve), and not clipped, for a line search goes by it.
        loss_: the last of them.
        best_loss_: the least of them, or None with early stopping.
        validation_scores_: with early stopping (else None; empty for lbfgs), the accuracy on the held-out data after
            each epoch, weighted by `sample_weight`.
        best_validation_score_: the best of them.
        validation_loss_curve_: the log loss on the held-out data, weighted by `class_weight` too, without the penalty
            (scikit-learn has no such curve).
        n_iter_: epochs or iterations of the last `fit`.
        t_: examples seen by sgd or adam in all.
        n_features_in_: how many inputs.
        feature_names_in_: their names, where X was a data frame.
        n_layers_: inputs and outputs counted.
        n_outputs_: how many outputs.
        out_activation_: the name of the last activation.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> network = MLPClassifier((16,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> network.score(X, y) > 0.95
        True
        >>> network.gradients_(X, y).deltas[-1].shape  # the tape of the fitted network
        (150, 3)
    """

    class_weight: Any
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
    ) -> None:
        """Keep the parameters as they are: `fit` checks them."""
        set_parameters(self, locals())

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        y = y.toarray() if sparse.issparse(y) else y
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=reset)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _targets(self, y: np.ndarray, dtype: Any, *, incremental: bool, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """Labels `(n,)` where there are more than two classes, else 0 and 1 `(n, d_L)`; and class weights `(n,)`."""
        if incremental and self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' is not supported for partial_fit: it has not seen all the data.")
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(y)
        self.out_activation_ = "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"
        targets = self._encode(y, dtype)
        self.n_outputs_ = len(self.classes_) if targets.ndim == 1 else targets.shape[1]
        if self.class_weight is None:
            return targets, np.ones(len(y), dtype)
        return targets, compute_sample_weight(self.class_weight, y).astype(dtype)

    def _check_classes(self, y: np.ndarray) -> None:
        classes = unique_labels(y)
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                f"warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _encode(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return np.searchsorted(self.classes_, y).astype(np.int32)
        return self._label_binarizer.transform(y).astype(dtype)

    @available_if(solver_is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch, going on from what there is; a changed solver begins anew, other changes count at once.

        Args:
            X: `(n, d_0)` inputs.
            y: `(n,)` labels, or `(n, d_L)` zeros and ones.
            sample_weight: `(n,)`, none negative; None weighs all alike.
            classes: all labels there will be; needed at the first call.

        Returns:
            The estimator itself.

        Raises:
            ValueError: If a parameter or an array is not as it should be, or `classes` is missing or has changed.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels.

        Args:
            X: `(n, d_0)` inputs.

        Returns:
            `(n,)` labels, or `(n, d_L)` zeros and ones for several labels each.
        """
        p = self._probabilities(self._outputs(X))
        return np.asarray(self._label_binarizer.inverse_transform(p[:, 0] if self.n_outputs_ == 1 else p))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Args:
            X: `(n, d_0)` inputs.

        Returns:
            `(n, classes)`, in the order of `classes_`.
        """
        p = self._probabilities(self._outputs(X))
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of `predict_proba`, from the logits: it does not underflow.

        Args:
            X: `(n, d_0)` inputs.

        Returns:
            `(n, classes)`, in the order of `classes_`.
        """
        z = self._outputs(X)
        if self.out_activation_ == "softmax":
            return special.log_softmax(z, axis=1)
        return special.log_expit(np.hstack([-z, z]) if self.n_outputs_ == 1 else z)

    def gradients_(self, X: Any, y: Any) -> Tape:
        """Return the tape of the fitted network, of which `jaxmlp.gradients(tape)` is the gradient.

        Args:
            X: `(n, d_0)` inputs.
            y: their labels.

        Returns:
            A `Tape` for the readings, of the unweighted log loss on logits without the penalty, in JAX's default dtype.

        Raises:
            ValueError: If an array does not fit, or a label is none of `classes_`.
        """
        check_is_fitted(self)
        X, y = self._validated(X, y, reset=False)
        if len(np.setdiff1d(unique_labels(y), self.classes_)):
            raise ValueError(f"the labels must be of {self.classes_}; got {unique_labels(y)}.")
        return self._tape(X, self._encode(y, X.dtype))

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return special.softmax(logits, axis=1) if self.out_activation_ == "softmax" else special.expit(logits)

    def _model(self) -> Model:
        loss = "softmax_cross_entropy" if self.out_activation_ == "softmax" else "sigmoid_cross_entropy"
        return Model(our_activation(self.activation), "identity", loss)

    def _reported_model(self) -> Model:
        model = self._model()
        return dataclasses.replace(model, loss=_CLIPPED[model.loss_function.name])

    def _loss_scale(self) -> float:
        return 1.0

    def _loss_offset(self, y: np.ndarray, weight: np.ndarray) -> float:
        return 0.0

    def _score(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray) -> float:
        if len(self.classes_) == 1:
            return 1.0  # whatever the output is, there is nothing else to predict
        right = outputs.argmax(axis=1) == y if y.ndim == 1 else np.all((outputs > 0) == (y > 0.5), axis=1)
        return np.average(right, weights=weight)

    def __sklearn_tags__(self) -> Any:
        """Say that several labels for each example are taken."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _clipped(log_losses: Array) -> Array:
    """Minus the logarithm of a probability kept within [eps, 1 - eps], as scikit-learn reports it."""
    eps = np.finfo(log_losses.dtype).eps
    return jnp.clip(log_losses, -np.log1p(-eps), -np.log(eps))


def _clipped_softmax_cross_entropy(o: Array, y: Array) -> Array:
    return _clipped(losses.softmax_cross_entropy.value(o, y))


def _clipped_sigmoid_cross_entropy(o: Array, y: Array) -> Array:
    return jnp.sum(_clipped(jax.nn.softplus(o) - y * o))


_CLIPPED = {
    "softmax_cross_entropy": dataclasses.replace(losses.softmax_cross_entropy, value=_clipped_softmax_cross_entropy),
    "sigmoid_cross_entropy": dataclasses.replace(losses.sigmoid_cross_entropy, value=_clipped_sigmoid_cross_entropy),
}
