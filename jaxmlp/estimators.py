"""scikit-learn's `MLPClassifier` and `MLPRegressor`, on this library.

The names, the numbers and the errors are scikit-learn's: the same `random_state` draws the same initial weights, the
same split and the same batches (NumPy's generator draws them, as there), the optimizers are the same to the letter, and
so is the curve of losses, to rounding. The epochs are those of `jaxmlp.training.train`, some of them in one compiled
call. As in scikit-learn the dtype of X decides: float64 data are computed in float64, whatever `jax_enable_x64` says;
float32 is faster, and what a GPU wants.

Whatever a search over hyper-parameters changes is data of the compiled program: a new alpha or learning rate compiles
nothing, nor does a fold with a few examples less.
"""

import contextlib
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
from scipy import special

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_random_state
    from sklearn.utils._param_validation import Interval, Options, StrOptions  # no public home; where messages are made
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import type_of_target, unique_labels
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError(
        "jaxmlp.estimators needs scikit-learn 1.6 or newer: python -m pip install 'jaxmlp[estimators]'"
    ) from error

from jaxmlp import activations, backprop
from jaxmlp.activations import Activation
from jaxmlp.backprop import Tape
from jaxmlp.losses import widened
from jaxmlp.model import Model, forward, loss
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.full_batch import minimize_lbfgs
from jaxmlp.training.loop import train
from jaxmlp.training.steps import TrainState
from jaxmlp.types import Array, Params

ROWS = 32  # examples are filled up to a multiple of it by rows of weight 0, so that folds share a program
BLOCK = 4096  # the most rows that a prediction is filled up to a power of two for
EPOCHS, EXAMPLES = 16, 50_000  # the most in one call of the compiled program: Ctrl-C waits for its end
STOCHASTIC = ("sgd", "adam")


def _solver_is_stochastic(estimator: Any) -> bool:
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


class _MLP(BaseEstimator, ABC):
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
    def _read(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, targets as the loss reads them, and class weights `(n,)`; sets what is known of the outputs."""

    @abstractmethod
    def _model(self) -> Model:
        """Activations and loss; the outputs are logits, log rates, or the values themselves."""

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
        hidden = [int(size) for size in np.atleast_1d(np.asarray(self.hidden_layer_sizes, int))]
        if any(size <= 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y, class_weight = self._read(X, y, incremental=incremental, reset=first)
        score_weight = np.ones(len(X), X.dtype)
        if sample_weight is not None:
            score_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        weight = score_weight * class_weight
        if not weight.any():
            raise ValueError("sample_weight and class_weight must not make all weights zero.")
        self._random_state = check_random_state(self.random_state)
        with _precision(X.dtype):
            if first:
                self._initialize([X.shape[1], *hidden, self.n_outputs_], X.dtype)
            if self.solver in STOCHASTIC:
                self._fit_stochastic(X, y, weight, score_weight, incremental)
            else:
                self._fit_lbfgs(X, y, weight)
        if not all(np.all(np.isfinite(array)) for array in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to "
                "be preprocessed."
            )
        return self

    def _initialize(self, sizes: list[int], dtype: Any) -> None:
        """Draw W and b of each layer from U(-r, r), r**2 = 6 / (d_in + d_out), or 2 / (...) for the logistic."""
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes)
        self.coefs_, self.intercepts_, self.loss_curve_ = [], [], []
        self.best_loss_, self.validation_scores_, self.best_validation_score_ = np.inf, None, None
        self._waited, self._optimizer_state = 0, None
        if self.early_stopping:
            self.best_loss_, self.validation_scores_, self.best_validation_score_ = None, [], -np.inf
            self.validation_loss_curve_ = []
        hidden = self._model().layer_activations(len(sizes) - 1)[:-1]
        for layer, (d_in, d_out) in enumerate(itertools.pairwise(sizes)):
            f = hidden[min(layer, len(hidden) - 1)] if hidden else None  # the output's is drawn as the one before
            bound = np.sqrt((2.0 if f is activations.sigmoid else 6.0) / (d_in + d_out))
            self.coefs_.append(self._random_state.uniform(-bound, bound, (d_in, d_out)).astype(dtype))
            self.intercepts_.append(self._random_state.uniform(-bound, bound, d_out).astype(dtype))

    def _fit_stochastic(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, score_weight: np.ndarray, incremental: bool
    ) -> None:
        """Epochs of `train`, until the loss or the validation score gets no better."""
        validation = None
        if self.early_stopping:
            kept, held_out = self._split(y)
            padded = _filled_up(X[held_out], y[held_out], weight[held_out], _power_of_two(len(held_out)))
            validation = y[held_out], score_weight[held_out], padded
            X, y, weight = X[kept], y[kept], weight[kept]
        n, offset = len(X), self._loss_offset(y, weight)
        some_epochs, rows = self._compiled(X, y, weight)
        state, rate = self._begin(incremental)
        best, order = state, np.arange(rows, dtype=np.int32)
        most = 1 if self.early_stopping or self.verbose else min(EPOCHS, max(1, EXAMPLES // n))
        max_iter = 1 if incremental else self.max_iter
        self.n_iter_ = 0
        try:
            while self.n_iter_ < max_iter:
                # No stop can come before n_iter_no_change + 1 epochs without an improvement.
                epochs = int(min(most, max_iter - self.n_iter_, max(1, self.n_iter_no_change + 1 - self._waited)))
                orders = np.empty((most, rows), np.int32)
                orders[:epochs] = [self._mix(order, n) for _ in range(epochs)]
                rates = [rate, *(self._rate_after(self.t_ + i * n, rate) for i in range(1, most))]
                state, values = some_epochs(state, np.int32(epochs), orders, np.array(rates, X.dtype))
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
        self._optimizer_state = rate, jax.tree.map(np.asarray, state.opt_state)
        self._keep((state if validation is None else best).params)

    def _begin(self, incremental: bool) -> tuple[TrainState, float]:
        """The state and the learning rate to start from: those that were left off at, for `partial_fit`."""
        params = self._params()
        optimizer_state, rate = _OPTIMIZERS[self.solver]({}, False).init(params), self.learning_rate_init
        if incremental and self._optimizer_state is not None:
            rate, optimizer_state = self._optimizer_state
        return jax.device_put(TrainState(params, optimizer_state, np.int32(0), ())), rate  # type: ignore[arg-type]

    def _compiled(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[Callable[..., Any], int]:
        """`_epochs` but for what changes from call to call, and the number of rows that the data are filled up to."""
        n = len(X)
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        batch_size = 200 if self.batch_size == "auto" else int(self.batch_size)
        if batch_size >= n:  # all in one batch
            batch_size = -(-n // ROWS) * ROWS
        rows = -(-n // batch_size) * batch_size
        x, targets, weights = _filled_up(X, y, weight, rows)
        some_epochs = functools.partial(
            _epochs,
            x=x,
            y=targets,
            weights=weights,
            numbers=jax.device_put(self._numbers(X.dtype)),
            model=self._model(),
            solver=self.solver,
            nesterov=bool(self.nesterovs_momentum),
            batch_size=batch_size,
        )
        return some_epochs, rows

    def _mix(self, order: np.ndarray, n: int) -> np.ndarray:
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
        value, outputs = _evaluate(params, *data, self._model())
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
        x, targets, w = _filled_up(X, y, weight, -(-len(X) // ROWS) * ROWS)
        params, result, losses = minimize_lbfgs(
            jax.device_put(self._params()),
            x,
            targets,
            self._model(),
            weights=w,
            value_and_grad=jax.tree_util.Partial(_penalized, numbers),
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        offset = self._loss_offset(y, weight)
        self.loss_, self.loss_curve_ = float(result.fun) + offset, [value + offset for value in losses]
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

    def _hidden_activation(self) -> Any:
        one = isinstance(self.activation, str | Activation)
        named = [
            _SIGMOID.get(f, f) if isinstance(f, str) else f for f in ([self.activation] if one else self.activation)
        ]
        return named[0] if one else named

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs, `(n, d_L)`: logits, log rates, or the values themselves."""
        check_is_fitted(self)
        dtype = self.coefs_[0].dtype
        X = np.asarray(validate_data(self, X, dtype=(np.float64, np.float32), reset=False), dtype)
        with _precision(dtype):
            x = jax.device_put(_more_rows(X, _power_of_two(len(X))))
            return np.asarray(_forward(self._params(), x, self._model()))[: len(X)]

    def _tape(self, X: Any, targets: np.ndarray) -> Tape:
        params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in self._params()]
        return backprop.backward(params, jnp.asarray(X), jnp.asarray(targets), self._model())


class MLPClassifier(ClassifierMixin, _MLP):
    """scikit-learn's `MLPClassifier`, trained here; what it adds stands last.

    It minimises the log loss plus alpha / (2 sum w) |W|^2 in each batch, w its weights, as scikit-learn does.

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
        tol: the least that counts as an improvement; for lbfgs, of the largest entry of the gradient.
        verbose: whether to print each epoch's loss.
        warm_start: whether `fit` goes on from the weights there are.
        momentum: of sgd.
        nesterovs_momentum: whether sgd looks ahead.
        early_stopping: whether to hold out data and stop by their score; the best weights are kept.
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
        coefs_, intercepts_: W `(d_{l-1}, d_l)` and b `(d_l,)` of each layer.
        loss_, best_loss_, loss_curve_: of the last epoch, the least, and of each. With weights an epoch's is the mean
            over its batches as they are weighted; scikit-learn's counts every example of a batch alike.
        validation_scores_, best_validation_score_, validation_loss_curve_: with early stopping, the accuracy on the
            held-out data after each epoch (weighted by `sample_weight`), its best, and the log loss there (by
            `class_weight` too, without the penalty; scikit-learn has no such curve).
        n_iter_, t_: epochs of the last `fit`, and examples seen in all.
        n_features_in_, n_layers_, n_outputs_, out_activation_: the network, input and output counted as layers.

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
        **_MLP._parameter_constraints,
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
        _set_parameters(self, locals())

    def _read(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, labels `(n,)` where there are more than two classes, else 0 and 1 `(n, d_L)`, and class weights `(n,)`."""
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(y)
        if incremental and self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' is not supported for partial_fit: it has not seen all the data.")
        kinds = {"multiclass": "softmax"}
        self.out_activation_ = kinds.get(self._label_binarizer.y_type_, "logistic")
        targets = self._encode(y, X.dtype)
        self.n_outputs_ = len(self.classes_) if targets.ndim == 1 else targets.shape[1]
        if self.class_weight is None:
            return X, targets, np.ones(len(X), X.dtype)
        return X, targets, compute_sample_weight(self.class_weight, y).astype(X.dtype)

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

    @available_if(_solver_is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch, going on from what there is.

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
        """Run the backward pass of the fitted network.

        Args:
            X: `(n, d_0)` inputs.
            y: their labels.

        Returns:
            A `Tape` for the readings, of the log loss on logits without the penalty, in JAX's default dtype.

        Raises:
            ValueError: If an array does not fit, or a label is none of `classes_`.
        """
        check_is_fitted(self)
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=False)
        if len(np.setdiff1d(unique_labels(y), self.classes_)):
            raise ValueError(f"the labels must be of {self.classes_}; got {unique_labels(y)}.")
        return self._tape(X, self._encode(y, X.dtype))

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return special.softmax(logits, axis=1) if self.out_activation_ == "softmax" else special.expit(logits)

    def _model(self) -> Model:
        loss = "softmax_cross_entropy" if self.out_activation_ == "softmax" else "sigmoid_cross_entropy"
        return Model(self._hidden_activation(), "identity", loss)

    def _loss_scale(self) -> float:
        return 1.0

    def _loss_offset(self, y: np.ndarray, weight: np.ndarray) -> float:
        return 0.0

    def _score(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray) -> float:
        right = outputs.argmax(axis=1) == y if y.ndim == 1 else np.all((outputs > 0) == (y > 0.5), axis=1)
        return np.average(right, weights=weight) if weight.any() else np.nan

    def __sklearn_tags__(self) -> Any:
        """Say that several labels for each example are taken."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _MLP):
    """scikit-learn's `MLPRegressor`, trained here.

    It minimises half the squared error plus alpha / (2 sum w) |W|^2 in each batch, w its weights, as scikit-learn does.

    Args:
        loss: "squared_error", or "poisson": half the deviance of counts, the network's outputs being log rates.
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
        coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, validation_loss_curve_, n_iter_, t_:
            as in `MLPClassifier`. With several outputs the curves are the mean over them, and the gradient that of the
            sum, as in scikit-learn; lbfgs, which needs the two to agree, takes the sum for both.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> network = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=5000, alpha=1, random_state=0)
        >>> network.fit(X, y).score(X, y) > 0.5
        True
    """

    loss: str
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **_MLP._parameter_constraints,
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
        _set_parameters(self, locals())

    def _read(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, targets `(n, d_L)`, and ones `(n,)`."""
        X, y = self._validated(X, y, reset=reset)
        if not reset and y.shape[1] != self.coefs_[-1].shape[1]:
            raise ValueError(f"y must have {self.coefs_[-1].shape[1]} columns, as before; got {y.shape[1]}.")
        self.n_outputs_, self.out_activation_ = y.shape[1], "exp" if self.loss == "poisson" else "identity"
        return X, y, np.ones(len(X), X.dtype)

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and np.any(y < 0):
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'poisson': y must be >= 0.")
        return X, y.reshape(len(y), -1).astype(X.dtype)

    @available_if(_solver_is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on from what there is.

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
        """Run the backward pass of the fitted network.

        Args:
            X: `(n, d_0)` inputs.
            y: `(n,)` or `(n, d_L)` targets.

        Returns:
            A `Tape` for the readings, of half the squared error, or of `poisson_nll`, without the penalty, in JAX's
            default dtype.

        Raises:
            ValueError: If an array does not fit.
        """
        check_is_fitted(self)
        return self._tape(*self._validated(X, y, reset=False))

    def _values(self, outputs: np.ndarray) -> np.ndarray:
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _model(self) -> Model:
        return Model(
            self._hidden_activation(), "identity", "poisson_nll" if self.loss == "poisson" else "half_squared_error"
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


_SIGMOID = {"logistic": "sigmoid"}


def _set_parameters(estimator: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def _precision(dtype: Any) -> contextlib.AbstractContextManager:
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def _power_of_two(n: int) -> int:
    """At least n rows: a power of two, or a multiple of `BLOCK`; so that predictions of any length share programs."""
    return -(-n // BLOCK) * BLOCK if n > BLOCK else max(ROWS, 1 << (n - 1).bit_length())


def _more_rows(a: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])


def _filled_up(X: np.ndarray, y: np.ndarray, weight: np.ndarray, rows: int) -> tuple[Array, Array, Array]:
    """The three with more rows, of weight 0, on the device."""
    return jax.device_put(tuple(_more_rows(a, rows) for a in (X, y, weight)))


@functools.partial(jax.jit, static_argnames=("solver", "nesterov", "batch_size"))
def _epochs(
    state: TrainState,
    epochs: Array,
    orders: Array,
    rates: Array,
    x: Array,
    y: Array,
    weights: Array,
    numbers: dict[str, Array],
    model: Model,
    *,
    solver: str,
    nesterov: bool,
    batch_size: int,
) -> tuple[TrainState, Array]:
    """Some epochs in the orders and at the learning rates given.

    Args:
        state: before them.
        epochs: `()`, how many of the orders to use; not static.
        orders: `(most, n)`.
        rates: `(most,)`.
        x: `(n, d_0)`.
        y: `(n, d_L)` or `(n,)`.
        weights: `(n,)`.
        numbers: the estimator's parameters of these names.
        model: activations and loss.
        solver: "sgd" or "adam".
        nesterov: whether sgd looks ahead.
        batch_size: a divisor of n.

    Returns:
        The state after them, and the losses `(most,)`, those of no epoch 0.
    """

    def one(i: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        order = orders[i]
        state, value = train(
            state,
            x[order],
            y[order],
            model,
            _OPTIMIZERS[solver]({**numbers, "learning_rate": rates[i]}, nesterov),
            epochs=1,
            batch_size=batch_size,
            weights=weights[order],
            shuffle=False,
            value_and_grad=functools.partial(_penalized, numbers),
        )
        return state, losses.at[i].set(value[0])

    return jax.lax.fori_loop(0, epochs, one, (state, jnp.zeros(rates.shape, widened(rates).dtype)))


def _penalized(
    numbers: dict[str, Array], params: Params, x: Array, y: Array, model: Model, *, weights: Array
) -> tuple[Array, Params]:
    """loss + alpha / (2 sum w) sum |W|^2, and its gradient; the biases are free."""
    value, grads = backprop.value_and_grad(params, x, y, model, weights=weights)
    total = jnp.sum(weights)
    alpha = numbers["alpha"] / jnp.where(total == 0, 1, total)
    penalty = alpha / 2 * sum(jnp.sum(W * W) for W, _ in params)
    grads = [(dW + alpha * W, db) for (dW, db), (W, _) in zip(grads, params, strict=True)]
    return numbers["scale"] * value + penalty, grads


@jax.jit
def _evaluate(params: Params, x: Array, y: Array, weights: Array, model: Model) -> tuple[Array, Array]:
    return loss(params, x, y, model, weights=weights), forward(params, x, model)


_forward = jax.jit(forward)


def _sgd(numbers: dict[str, Array], nesterov: bool) -> Optimizer:
    """v <- mu v - lr g,  update = v;  Nesterov: update = mu v - lr g.  The learning rate is inside v, unlike optax's.

    Sutskever et al. 2013, Proceedings of the 30th ICML, eqs. 1 to 4, in the variables of scikit-learn.
    """

    def moved(velocity: Any, grads: Any) -> Any:
        return jax.tree.map(lambda v, g: numbers["momentum"] * v - numbers["learning_rate"] * g, velocity, grads)

    def update(grads: Any, velocity: Any, params: Any = None) -> tuple[Any, Any]:
        velocity = moved(velocity, grads)
        return moved(velocity, grads) if nesterov else velocity, velocity

    return Optimizer(lambda params: jax.tree.map(np.zeros_like, params), update)


def _adam(numbers: dict[str, Array], nesterov: bool) -> Optimizer:
    """alpha_t = lr sqrt(1 - b2^t) / (1 - b1^t),  update = -alpha_t m / (sqrt(v) + eps).

    Kingma and Ba 2015, arXiv 1412.6980, the form at the end of section 2: eps is that of the v without correction,
    where `jaxmlp.optimizers.adam` has it beside the corrected one.
    """

    def update(grads: Any, state: tuple[Any, Any, Any], params: Any = None) -> tuple[Any, tuple[Any, Any, Any]]:
        t, m, v = state
        b1, b2 = numbers["beta_1"], numbers["beta_2"]
        t = t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, v, grads)
        power = t.astype(b1.dtype)
        rate = numbers["learning_rate"] * jnp.sqrt(1 - b2**power) / (1 - b1**power)
        return jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + numbers["epsilon"]), m, v), (t, m, v)

    def init(params: Any) -> tuple[Any, Any, Any]:
        return np.int32(0), jax.tree.map(np.zeros_like, params), jax.tree.map(np.zeros_like, params)

    return Optimizer(init, update)


_OPTIMIZERS: dict[str, Callable[[dict[str, Array], bool], Optimizer]] = {"sgd": _sgd, "adam": _adam}
