"""`MLPRegressor`: one value for each example, or several."""

from typing import Any, ClassVar

import numpy as np
from scipy import special
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from jaxmlp.backprop import Tape
from jaxmlp.estimators.base import BaseMLP, set_parameters, solver_is_stochastic
from jaxmlp.interop.sklearn import our_activation
from jaxmlp.model import Model


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's `MLPRegressor`, trained here.

    In each batch it minimises half the squared error, or half the deviance of counts, the mean over examples of the sum
    over outputs, plus alpha / (2 sum w) |W|^2, w the batch's weights.

    Args:
        loss: "squared_error", or "poisson", for counts: the network's outputs are then log rates.
        hidden_layer_sizes: as in `MLPClassifier`, with all that follow.
        activation: likewise.
        solver: likewise.
        alpha: likewise.
        batch_size: likewise.
        learning_rate: likewise.
        learning_rate_init: likewise.
        power_t: likewise.
        max_iter: likewise.
        shuffle: likewise.
        random_state: likewise.
        tol: likewise.
        verbose: likewise.
        warm_start: likewise.
        momentum: likewise.
        nesterovs_momentum: likewise.
        early_stopping: likewise; the score is R^2.
        validation_fraction: likewise.
        beta_1: likewise.
        beta_2: likewise.
        epsilon: likewise.
        n_iter_no_change: likewise.
        max_fun: likewise.

    Attributes:
        loss_curve_: the loss of each epoch since the first weights, penalty included. As in scikit-learn the squared
            error that sgd and adam report is the mean over outputs; lbfgs, which needs a loss and its own gradient,
            reports the sum. The deviance is always the sum.
        validation_scores_: with early stopping, R^2 on the held-out data after each epoch.
        coefs_: and the others, as in `MLPClassifier`.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> network = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=5000, alpha=1, random_state=0)
        >>> network.fit(X, y).score(X, y) > 0.5
        True
    """

    loss: str
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
    ) -> None:
        """Keep the parameters as they are: `fit` checks them."""
        set_parameters(self, locals())

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and np.any(y < 0):
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'poisson': y must be >= 0.")
        y = y.reshape(len(y), -1).astype(X.dtype)
        if not reset and y.shape[1] != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} columns, as before; got {y.shape[1]}.")
        return X, y

    def _targets(self, y: np.ndarray, dtype: Any, *, incremental: bool, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """Targets `(n, d_L)`, and ones `(n,)`."""
        self.n_outputs_, self.out_activation_ = y.shape[1], "exp" if self.loss == "poisson" else "identity"
        return y.astype(dtype, copy=False), np.ones(len(y), dtype)

    @available_if(solver_is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on from what there is; a changed solver begins anew, other changes count at once.

        Args:
            X: `(n, d_0)` inputs.
            y: `(n,)` or `(n, d_L)` targets.
            sample_weight: `(n,)`, none negative; None weighs all alike.

        Returns:
            The estimator itself.

        Raises:
            ValueError: If a parameter or an array is not as it should be.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets.

        Args:
            X: `(n, d_0)` inputs.

        Returns:
            `(n,)`, or `(n, d_L)` for several outputs.
        """
        values = self._values(self._outputs(X))
        return values[:, 0] if self.n_outputs_ == 1 else values

    def gradients_(self, X: Any, y: Any) -> Tape:
        """Return the tape of the fitted network, of which `jaxmlp.gradients(tape)` is the gradient.

        Args:
            X: `(n, d_0)` inputs.
            y: `(n,)` or `(n, d_L)` targets.

        Returns:
            A `Tape` for the readings, of `half_squared_error` or `poisson_nll`, unweighted, without the penalty, in
            JAX's default dtype.

        Raises:
            ValueError: If an array does not fit.
        """
        check_is_fitted(self)
        return self._tape(*self._validated(X, y, reset=False))

    def _values(self, outputs: np.ndarray) -> np.ndarray:
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _model(self) -> Model:
        return Model(
            our_activation(self.activation),
            "identity",
            "poisson_nll" if self.loss == "poisson" else "half_squared_error",
        )

    def _loss_scale(self) -> float:
        return 1.0 if self.loss == "poisson" else 1 / self.n_outputs_

    def _loss_offset(self, y: np.ndarray, weight: np.ndarray) -> float:
        """What the deviance adds to exp(z) - y z: y log y - y, in the mean."""
        if self.loss != "poisson":
            return 0.0
        return float(np.average(np.sum(special.xlogy(y, y) - y, axis=1), weights=weight))

    def _score(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray) -> float:
        return r2_score(y, self._values(outputs), sample_weight=weight)

    def __sklearn_tags__(self) -> Any:
        """Say that several targets for each example are taken."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
