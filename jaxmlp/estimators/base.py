"""What the classifier and the regressor share: everything but the targets."""

import functools
import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions  # no public home; its messages come from here
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from jaxmlp import activations, backprop
from jaxmlp.activations import Activation
from jaxmlp.backprop import Tape
from jaxmlp.estimators.epochs import (
    BEGINNINGS,
    ROWS,
    evaluate,
    filled_up,
    jitted_forward,
    more_rows,
    penalized,
    precision,
    shared_rows,
    some_epochs,
)
from jaxmlp.model import Model
from jaxmlp.training.full_batch import minimize_lbfgs
from jaxmlp.training.steps import TrainState
from jaxmlp.types import Params

EPOCHS, VISITS = 16, 50_000  # the most, of epochs and of examples, in one call of the program: Ctrl-C waits for its end
STOCHASTIC = ("sgd", "adam")
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def solver_is_stochastic(estimator: Any) -> bool:
    """Return True, for `available_if`.

    Args:
        estimator: with a `solver`.

    Raises:
        AttributeError: If that is lbfgs, which has no single epochs.
    """
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def set_parameters(estimator: Any, parameters: Mapping[str, Any]) -> None:
    """Keep what `__init__` was called with, as scikit-learn wants it: under its own names, and unchecked.

    Args:
        estimator: self.
        parameters: the `locals()` of `__init__`.
    """
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


class BaseMLP(BaseEstimator, ABC):
    """What the classifier and the regressor share: everything but the targets."""

    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    n_outputs_: int
    best_loss_: Any
    validation_scores_: Any
    validation_loss_curve_: Any
    best_validation_score_: Any

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*activations.KNOWN, "logistic"} - {"softmax"}), Activation, list, tuple],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    @abstractmethod
    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Both as arrays, checked as scikit-learn does."""

    @abstractmethod
    def _targets(self, y: np.ndarray, dtype: Any, *, incremental: bool, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """Targets as the loss reads them, and class weights `(n,)`; keeps what is known of the outputs."""

    @abstractmethod
    def _model(self) -> Model:
        """Activations and loss; the outputs are logits, log rates, or the values themselves."""

    def _reported_model(self) -> Model:
        """The one whose loss sgd and adam report: of the same gradient."""
        return self._model()

    @abstractmethod
    def _loss_scale(self) -> float:
        """What the reported loss is multiplied by."""

    @abstractmethod
    def _loss_offset(self, y: np.ndarray, weight: np.ndarray) -> float:
        """What the reported loss has more than the model's."""

    @abstractmethod
    def _score(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray) -> float:
        """How good finite outputs are."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Args:
            X: `(n, d_0)` inputs, an array or a data frame.
            y: `(n,)` or `(n, d_L)` targets.
            sample_weight: `(n,)`, none negative; None weighs all alike.

        Returns:
            The estimator itself.

        Raises:
            ValueError: If a parameter or an array is not as it should be, or the weights became non-finite.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Any:
        self._validate_params()
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden = np.atleast_1d(self.hidden_layer_sizes).tolist()
        if any(type(size) is not int or size <= 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0 and integers, got {hidden}.")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if not first and hidden != [len(b) for b in self.intercepts_[:-1]]:
            raise ValueError(f"hidden_layer_sizes must stay what they were in the last fit; got {hidden}.")
        X, y = self._validated(X, y, reset=first)
        dtype = X.dtype if first else self.coefs_[0].dtype
        score_weight = np.ones(len(X), dtype)
        if sample_weight is not None:
            score_weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
        y, class_weight = self._targets(y, dtype, incremental=incremental, first=first)
        if not np.all(np.isfinite(class_weight) & (class_weight >= 0)):
            raise ValueError(f"class_weight must be finite and not negative; got {class_weight.min()}.")
        X, weight = X.astype(dtype, copy=False), score_weight * class_weight
        _check_not_all_zero(weight, "sample_weight and class_weight")
        self._random_state = check_random_state(self.random_state)
        with precision(dtype):
            if first:
                self._initialize([X.shape[1], *hidden, self.n_outputs_], dtype)
            self._begin_curves(first)
            if self.solver in STOCHASTIC:
                self._fit_stochastic(X, y, weight, score_weight, incremental)
            else:
                self._fit_lbfgs(X, y, weight)
        if not all(np.all(np.isfinite(array)) for array in (*self.coefs_, *self.intercepts_)):
            raise ValueError(NOT_FINITE)
        return self

    def _initialize(self, sizes: list[int], dtype: Any) -> None:
        """Draw W and b of each layer from U(-r, r), r**2 = 6 / (d_in + d_out), or 2 / (...) for the logistic."""
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes)
        self.coefs_, self.intercepts_, self.loss_curve_ = [], [], []
        self._waited, self._optimizer_state = 0, None
        one = isinstance(self.activation, str | Activation)  # then it decides where there is no hidden layer, too
        hidden = self._model().layer_activations(max(2, len(sizes) - 1) if one else len(sizes) - 1)[:-1]
        for layer, (d_in, d_out) in enumerate(itertools.pairwise(sizes)):
            f = hidden[min(layer, len(hidden) - 1)] if hidden else None  # the output's are drawn as those before them
            bound = np.sqrt((2.0 if f is activations.sigmoid else 6.0) / (d_in + d_out))
            self.coefs_.append(self._random_state.uniform(-bound, bound, (d_in, d_out)).astype(dtype))
            self.intercepts_.append(self._random_state.uniform(-bound, bound, d_out).astype(dtype))

    def _begin_curves(self, first: bool) -> None:
        """Empty ones where this is the first fit, or early stopping has been switched on or off since."""
        if first or (self.validation_scores_ is not None) != bool(self.early_stopping):
            held = self.early_stopping
            self.best_loss_ = None if held else np.inf
            self.best_validation_score_ = -np.inf if held else None
            self.validation_scores_, self.validation_loss_curve_ = ([], []) if held else (None, None)

    def _fit_stochastic(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, score_weight: np.ndarray, incremental: bool
    ) -> None:
        """Epochs of `train`, until the loss or the validation score gets no better."""
        validation = None
        if self.early_stopping:
            kept, held_out = self._split(y)
            padded = filled_up(X[held_out], y[held_out], weight[held_out], shared_rows(len(held_out)))
            validation = y[held_out], score_weight[held_out], padded
            _check_not_all_zero(weight[kept], "those of the examples to train on")
            _check_not_all_zero(score_weight[held_out], "those of the examples to validate on")
            X, y, weight = X[kept], y[kept], weight[kept]
        n, offset, (run, rows) = len(X), self._loss_offset(y, weight), self._compiled(X, y, weight)
        state, rate = self._begin(incremental)
        best, order = state, np.arange(rows, dtype=np.int32)
        most = 1 if self.early_stopping or self.verbose else min(EPOCHS, max(1, VISITS // rows))
        max_iter = 1 if incremental else self.max_iter
        self.n_iter_ = 0
        try:
            while self.n_iter_ < max_iter:
                # No stop can come before n_iter_no_change + 1 epochs without an improvement.
                epochs = int(min(most, max_iter - self.n_iter_, max(1, self.n_iter_no_change + 1 - self._waited)))
                orders = np.empty((most, rows), np.int32)
                orders[:epochs] = [self._next_order(order, n) for _ in range(epochs)]
                rates = [rate, *(self._rate_after(self.t_ + i * n, rate) for i in range(1, most))]
                state, values = run(state, np.int32(epochs), orders, np.array(rates, X.dtype))
                for value in np.asarray(values)[:epochs]:
                    self._count_epoch(float(value) + offset, n)
                    if validation is None:
                        self._compare_loss()
                    elif self._compare_score(state.params, *validation):
                        best = state
                rate = self._rate_after(self.t_, rate)
                if self._waited > self.n_iter_no_change:
                    if not self._goes_on(rate):
                        break
                    rate, self._waited = rate / 5, 0
            else:
                if not incremental:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                        f"hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=4,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        self._optimizer_state = self.solver, rate, jax.tree.map(np.asarray, state.opt_state)
        self._keep((state if validation is None else best).params)

    def _begin(self, incremental: bool) -> tuple[TrainState, float]:
        """The state and the learning rate to start from: those that were left off at, for `partial_fit`."""
        rate, optimizer_state = self.learning_rate_init, BEGINNINGS[self.solver](self._params())
        if incremental and self._optimizer_state is not None and self._optimizer_state[0] == self.solver:
            _, rate, optimizer_state = self._optimizer_state
        no_key = ()  # nothing is drawn where the examples are taken as they come
        return jax.device_put(TrainState(self._params(), optimizer_state, np.int32(0), no_key)), rate  # type: ignore[arg-type]

    def _compiled(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[Callable[..., Any], int]:
        """`some_epochs` but for what changes from call to call, and to how many rows the data are filled up."""
        n = len(X)
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        batch_size = 200 if self.batch_size == "auto" else int(self.batch_size)
        if batch_size >= n:  # all in one batch
            batch_size = -(-n // ROWS) * ROWS
        rows = -(-n // batch_size) * batch_size
        x, targets, weights = filled_up(X, y, weight, rows)
        run = functools.partial(
            some_epochs,
            x=x,
            y=targets,
            weights=weights,
            numbers=jax.device_put(self._numbers(X.dtype)),
            model=self._reported_model(),
            solver=self.solver,
            nesterov=bool(self.nesterovs_momentum),
            batch_size=batch_size,
        )
        return run, rows

    def _next_order(self, order: np.ndarray, n: int) -> np.ndarray:
        """Mix the first n once more, in place: what sklearn.utils.shuffle does, without its checks."""
        if self.shuffle:
            mixed = np.arange(n)
            self._random_state.shuffle(mixed)
            order[:n] = order[mixed]
        return order.copy()

    def _split(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows to train on and those to validate on; stratified where there is one column of classes."""
        kept, held_out = train_test_split(  # type: ignore[misc]
            np.arange(len(y)),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=y if isinstance(self, ClassifierMixin) and self.n_outputs_ == 1 else None,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return np.asarray(kept), np.asarray(held_out)

    def _numbers(self, dtype: Any) -> dict[str, Any]:
        """What the compiled epoch takes as data."""
        names = ("alpha", "momentum", "beta_1", "beta_2", "epsilon")
        return {name: dtype.type(getattr(self, name)) for name in names} | {"scale": dtype.type(self._loss_scale())}

    def _count_epoch(self, value: float, n: int) -> None:
        self.n_iter_ += 1
        self.t_ += n
        self.loss_ = value
        self.loss_curve_.append(value)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {value:.8f}")

    def _compare_loss(self) -> None:
        self._waited = self._waited + 1 if self.loss_ > self.best_loss_ - self.tol else 0
        self.best_loss_ = min(self.best_loss_, self.loss_)

    def _compare_score(self, params: Params, y: np.ndarray, score_weight: np.ndarray, data: tuple) -> bool:
        """Whether the validation score is the best so far."""
        value, outputs = evaluate(params, *data, self._reported_model())
        outputs = np.asarray(outputs)[: len(y)]
        score = float(self._score(y, outputs, score_weight)) if np.all(np.isfinite(outputs)) else np.nan
        self.validation_loss_curve_.append(
            float(value) * self._loss_scale() + self._loss_offset(y, np.asarray(data[2])[: len(y)])
        )
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        self._waited = self._waited + 1 if score < self.best_validation_score_ + self.tol else 0
        best = score > self.best_validation_score_
        self.best_validation_score_ = score if best else self.best_validation_score_
        return best

    def _rate_after(self, t: int, rate: float) -> float:
        """The learning rate when t examples have been seen."""
        inverse = self.solver == "sgd" and self.learning_rate == "invscaling"
        return self.learning_rate_init / (t + 1) ** self.power_t if inverse else rate

    def _goes_on(self, rate: float) -> bool:
        """Whether a lower learning rate shall be tried, where the training has come to a stop."""
        adaptive = self.solver == "sgd" and self.learning_rate == "adaptive"
        goes_on = adaptive and rate > 1e-6
        if self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            then = "Learning rate too small. Stopping." if adaptive else "Stopping."
            then = f"Setting learning rate to {rate / 5:f}" if goes_on else then
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs.",
                then,
            )
        return goes_on

    def _fit_lbfgs(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        """SciPy's L-BFGS on all the data."""
        numbers = self._numbers(X.dtype) | {"scale": X.dtype.type(1)}  # a line search wants the loss of its gradient
        x, targets, w = filled_up(X, y, weight, -(-len(X) // ROWS) * ROWS)
        try:
            params, result, losses = minimize_lbfgs(
                jax.device_put(self._params()),
                x,
                targets,
                self._model(),
                weights=w,
                value_and_grad=jax.tree_util.Partial(penalized, numbers),
                options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
            )
        except FloatingPointError as error:
            raise ValueError(NOT_FINITE) from error
        offset = self._loss_offset(y, weight)
        self.loss_ = float(result.fun) + offset
        self.loss_curve_.extend(value + offset for value in losses)
        self.best_loss_ = min([*self.loss_curve_, self.loss_])
        self.n_iter_ = int(result.nit)
        if result.status != 0:
            warnings.warn(
                f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): {result.message}. "
                f"Increase max_iter ({self.max_iter}), or scale the data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        self._keep(params)

    def _params(self) -> list[tuple[Any, Any]]:
        return list(zip(self.coefs_, self.intercepts_, strict=True))

    def _keep(self, params: Params) -> None:
        self.coefs_ = [np.array(W) for W, _ in params]
        self.intercepts_ = [np.array(b) for _, b in params]

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs, `(n, d_L)`: logits, log rates, or the values themselves."""
        check_is_fitted(self)
        dtype = self.coefs_[0].dtype
        X = np.asarray(validate_data(self, X, dtype=(np.float64, np.float32), reset=False), dtype)
        with precision(dtype):
            x = jax.device_put(more_rows(X, shared_rows(len(X))))
            return np.asarray(jitted_forward(self._params(), x, self._model()))[: len(X)]

    def _tape(self, X: Any, targets: np.ndarray) -> Tape:
        params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in self._params()]
        return backprop.backward(params, jnp.asarray(X), jnp.asarray(targets), self._model())


def _check_not_all_zero(weights: np.ndarray, which: str) -> None:
    if not weights.any():
        raise ValueError(f"the weights, {which}, must not be all zero.")
