"""Training for people: curves, early stopping, a progress bar, a run that can be stopped and taken up again.

A run is one compiled program that does some epochs and returns; what people want between epochs happens outside of it.
"""

import bisect
import contextlib
import functools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxmlp import backprop, checks
from jaxmlp.losses import widened
from jaxmlp.model import Model, check_batch, count_params, forward, right_decisions
from jaxmlp.optimizers import Optimizer
from jaxmlp.training import checkpoints
from jaxmlp.training.loop import check_training, make_epoch
from jaxmlp.training.steps import TrainState, ValueAndGrad, copied, new_state
from jaxmlp.training.weighting import ClassWeights, example_weights
from jaxmlp.types import Array, ArrayLike, Params

MOST_EPOCHS = 256  # in one call of the compiled program
BLOCK = 4096  # examples evaluated at a time
SECONDS = 0.1  # between two looks at the clock, the bar and Ctrl-C


class FitResult(NamedTuple):
    """What a run came to.

    Attributes:
        params: the best parameters where there is validation data, else the last.
        state: the last state, to train on from; None after `fit_lbfgs`.
        history: `"loss"`, the mean over each epoch as `train` returns it; with validation data also
            `"validation_loss"` after each epoch, and for a loss that decides `"accuracy"` (on the training data) and
            `"validation_accuracy"`. Lists of floats, one for each epoch. And `"snapshots"`, where they were asked for.
        best_epoch: where in `history` the epoch stands that `params` were reached in; -1 for the parameters given.
    """

    params: Any
    state: Any
    history: dict[str, Any]
    best_epoch: int


class _Best(NamedTuple):
    """The best there has been, by the validation loss.

    Attributes:
        params: those of the least loss.
        loss: `()`, that loss; inf before there is one.
        waited: `()` int32, epochs done since.
    """

    params: Any
    loss: Array
    waited: Array


class _Run(NamedTuple):
    """What a run carries from epoch to epoch, and into its checkpoint.

    Attributes:
        state: after the last epoch.
        best: None without validation data.
    """

    state: TrainState
    best: _Best | None


def fit(
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    model: Model,
    optimizer: Optimizer,
    *,
    key: Array,
    epochs: int,
    batch_size: int,
    weights: ArrayLike | None = None,
    class_weights: ClassWeights | None = None,
    shuffle: bool = True,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    callback: Callable[[int, dict[str, float]], Any] | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    snapshots: int | Iterable[int] | None = None,
    value_and_grad: ValueAndGrad = backprop.value_and_grad,
) -> FitResult:
    """Train, watch, stop early, and keep the best.

    The epochs are those of `train`: the same orders from the same key. Nothing that is passed in is donated. A second
    call with the same shapes, model and optimizer compiles nothing.

    Args:
        params: `[(W_1, b_1), ..., (W_L, b_L)]` to start from.
        x: `(n, d_0)` inputs.
        y: `(n, d_L)` targets, or `(n,)` integer labels for the categorical losses.
        model: activations and loss.
        optimizer: ours, or one of optax's.
        key: a PRNG key; it decides the order of the examples.
        epochs: how many in total, those of a checkpoint that is taken up included.
        batch_size: examples for one update, more than n meaning all of them.
        weights: `(n,)` sample weights, none negative.
        class_weights: one number for each class, in order or by label, which multiplies the weights of its examples;
            "balanced" means n / (classes * examples of that class).
        shuffle: whether each epoch has an order of its own.
        validation: `(x, y)` to evaluate after each epoch, unweighted. `params` of the result are then the best, by its
            loss; the last ones are in its `state`.
        patience: stop after so many epochs in a row without a lower validation loss; None never stops.
        callback: called with the epoch, counted from 0, and its numbers, named as in `FitResult.history`; if what it
            returns is true, the run stops. With one, the compiled program does a single epoch at a time.
        progress: whether to show a progress bar; None shows it where there is a terminal.
        checkpoint: a file to save the run to as it goes, and to go on from where it exists: a run taken up again has
            the same bits as one that was not stopped. Less than a twentieth of the time goes into saving; the end, and
            Ctrl-C, are always saved. The model and all shapes must be those of the file; its key goes on, not `key`.
        snapshots: after how many epochs to keep the parameters, for `jaxmlp.show.explorer`: so many numbers, 0 being
            before the first, or one for 0 and each of its multiples. They are `history["snapshots"]`, a dictionary
            from the number of epochs to params; of a checkpoint's epochs there are none.
        value_and_grad: what makes the gradient, as in `make_train_step`.

    Returns:
        A `FitResult`; also after Ctrl-C, for the epochs done by then.

    Raises:
        ValueError: If a shape, dtype, key or value does not fit, there is no example, `patience` comes without
            `validation`, or the checkpoint is damaged, of another model, or of other shapes.
        FloatingPointError: If the loss or the parameters are no longer finite: it names the epoch, and has the last
            finite state in `.state`, and the `history` until then in `.history`. The checkpoint is left as it was.

    Example:
        >>> import jax, jaxmlp
        >>> x = jax.numpy.linspace(-1, 1, 64)[:, None]
        >>> model, optimizer = jaxmlp.Model("tanh"), jaxmlp.optimizers.adam(0.01)
        >>> init_key, key = jax.random.split(jax.random.key(0))
        >>> params = jaxmlp.init_mlp(init_key, (1, 16, 1))
        >>> train, held_out = (x[::2], x[::2] ** 2), (x[1::2], x[1::2] ** 2)
        >>> result = jaxmlp.fit(
        ...     params, *train, model, optimizer, key=key, epochs=200, batch_size=8, validation=held_out, patience=20
        ... )
        >>> min(result.history["validation_loss"]) == result.history["validation_loss"][result.best_epoch]
        True
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, x, y, weights, validation, key))):
        raise ValueError("fit needs concrete arrays; got traced ones. Inside jit or vmap call jaxmlp.train.")
    checks.check_key(key)
    x, y, weights = check_batch(params, x, y, model, weights)
    check_training(x, y, model, epochs=epochs, batch_size=batch_size)
    weights = example_weights(params, y, model, weights, class_weights)
    if validation is not None:
        validation = _checked_validation(params, validation, model)
    if patience is not None:
        checks.check_count("patience", patience, 1)
        if validation is None:
            raise ValueError("patience needs held-out data; got validation=None. Write validation=(x, y).")
    patience = min(np.iinfo(np.int32).max, int(patience or np.iinfo(np.int32).max))
    moments = _moments(snapshots, int(epochs))
    kept = None if snapshots is None else {}
    curves = _curves(model, validation)
    some_epochs = functools.partial(
        _some_epochs,
        patience=np.int32(patience),
        data=(x, y, weights, validation),
        model=model,
        optimizer=optimizer,
        batch_size=int(batch_size),
        value_and_grad=value_and_grad,
        shuffle=bool(shuffle),
    )

    run, rows = _beginning(params, optimizer, key, validation), np.zeros((0, len(curves)))
    file = None if checkpoint is None else _Checkpoint(checkpoint, model, curves)
    if file is not None and not os.path.isdir(os.path.dirname(os.path.abspath(file.path))):
        raise ValueError(f"the folder of checkpoint must exist; got {os.fspath(file.path)!r}.")
    if file is not None and os.path.exists(file.path):
        run, rows = file.read(run)
    waited, stop = 0 if run.best is None else int(run.best.waited), False
    # The time of an epoch, a guess for the first call (50 GFLOP/s, 20 us an update); later calls go by the clock.
    pace = max(6 * len(x) * count_params(params) / 50e9, len(x) / batch_size * 20e-6)
    most = MOST_EPOCHS if callback is None else 1
    with _bar(int(epochs), len(rows), progress) as bar:
        try:
            _keep(run, len(rows), moments, kept)
            while len(rows) < epochs and waited < patience and not stop:
                began = time.perf_counter()
                pause = min([epochs, *moments[bisect.bisect_right(moments, len(rows)) :][:1]])
                limit = max(1, min(int(SECONDS / pace), most, pause - len(rows)))
                new, done, new_rows = some_epochs(run, np.int32(limit))
                numbers = jax.device_get((new.state.params, new_rows, done, new.best and new.best.waited))
                new_params, new_rows, done, new_waited = numbers
                new_rows = new_rows[:done]
                if not _all_finite((new_rows[:, 0], new_params)):
                    if done == 1:
                        raise _not_finite(run.state, _history(curves, rows, kept), new_rows[0, 0])
                    most = 1  # once more, epoch by epoch, to see which it was
                    continue
                run, rows, waited = new, np.concatenate([rows, new_rows]), int(new_waited or 0)
                _keep(run, len(rows), moments, kept)
                pace = (time.perf_counter() - began) / done
                bar.update(int(done))
                losses = {name: f"{v:.4g}" for name, v in zip(curves, rows[-1], strict=True) if name.endswith("loss")}
                bar.set_postfix(losses, refresh=False)
                if callback is not None:
                    stop = bool(callback(len(rows) - 1, dict(zip(curves, rows[-1].tolist(), strict=True))))
                if file is not None:
                    file.write_now_and_then(run, rows)
        except KeyboardInterrupt:
            pass  # what there is, is whole: `run` and `rows` change together
    if file is not None:
        file.write(run, rows)
    best = run.state.params if run.best is None else run.best.params
    return FitResult(copied(best), run.state, _history(curves, rows, kept), len(rows) - 1 - waited)


@functools.partial(jax.jit, static_argnames=("optimizer", "batch_size", "value_and_grad", "shuffle"))
def _some_epochs(
    run: _Run,
    limit: Array,
    *,
    patience: Array,
    data: tuple,
    model: Model,
    optimizer: Optimizer,
    batch_size: int,
    value_and_grad: ValueAndGrad,
    shuffle: bool,
) -> tuple[_Run, Array, Array]:
    """Do `limit` epochs, or fewer where patience ends.

    Args:
        run: until now.
        limit: `()`, not more than `MOST_EPOCHS`; not static, so that one program serves all.
        patience: `()`.
        data: x, y, weights or None, and the pair of validation arrays or None.
        model: activations and loss.
        optimizer: static.
        batch_size: static.
        value_and_grad: static.
        shuffle: static.

    Returns:
        The run, how many epochs were done, and the curves of these, `(MOST_EPOCHS, curves)`.
    """
    x, y, weights, validation = data
    epoch = make_epoch(x, y, weights, model, optimizer, batch_size, value_and_grad, shuffle)
    curves = _curves(model, validation)

    def one(carry: tuple[_Run, Array, Array]) -> tuple[_Run, Array, Array]:
        run, done, rows = carry
        state, loss = epoch(run.state)
        row, best = {"loss": loss}, run.best
        if best is not None:
            row["validation_loss"], row["validation_accuracy"] = _evaluate(state.params, validation, model)
            if "accuracy" in curves:
                _, row["accuracy"] = _evaluate(state.params, (x, y), model)
            better = row["validation_loss"] < best.loss
            new = _Best(state.params, row["validation_loss"], jnp.zeros_like(best.waited))
            best = _choose(better, new, best._replace(waited=best.waited + 1))
        rows = rows.at[done].set(jnp.stack([row[name].astype(rows.dtype) for name in curves]))
        return _Run(state, best), done + 1, rows

    def going(carry: tuple[_Run, Array, Array]) -> Array:
        run, done, _ = carry
        return done < limit if run.best is None else (done < limit) & (run.best.waited < patience)

    rows = jnp.zeros((MOST_EPOCHS, len(curves)), widened(run.state.params[0][0]).dtype)
    return jax.lax.while_loop(going, one, (run, jnp.zeros((), jnp.int32), rows))


def _choose(condition: Array, new: Any, old: Any) -> Any:
    """One of two trees, without a loop over their numbers, each of which would be compiled."""
    return jax.lax.cond(condition, lambda: new, lambda: old)


def _evaluate(params: Params, data: tuple[Array, Array], model: Model) -> tuple[Array, Array]:
    """The loss, and the share of right decisions (nan where the loss makes none), some thousand examples at a time."""
    loss = model.loss_function
    dtype = jnp.result_type(params[0][0])

    def example(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        xn, yn = pair
        yn = yn.astype(dtype) if yn.ndim else jax.nn.one_hot(yn.astype(jnp.int32), params[-1][0].shape[1], dtype=dtype)
        outputs = forward(params, xn, model)
        right = jnp.array(jnp.nan) if loss.targets == "values" else right_decisions(loss, outputs, yn)
        return loss.value(outputs, yn), right.astype(dtype)

    losses, right = map(widened, jax.lax.map(example, data, batch_size=BLOCK))
    return (jnp.mean if loss.reduction == "mean" else jnp.sum)(losses), jnp.mean(right)


def _curves(model: Model, validation: Any) -> list[str]:
    """The names of what is measured in each epoch."""
    if validation is None:
        return ["loss"]
    if model.loss_function.targets == "values":
        return ["loss", "validation_loss"]
    return ["loss", "accuracy", "validation_loss", "validation_accuracy"]


def _moments(snapshots: int | Iterable[int] | None, epochs: int) -> Sequence[int]:
    """After how many epochs to keep the parameters."""
    if snapshots is None:
        return ()
    if not isinstance(snapshots, Iterable):
        checks.check_count("snapshots", snapshots, 1)
        return range(0, epochs + 1, snapshots)
    moments = list(snapshots)
    for moment in moments:
        checks.check_count("each of snapshots", moment, 0)
    return sorted(moments)


def _keep(run: _Run, done: int, moments: Sequence[int], kept: dict[int, Params] | None) -> None:
    if kept is not None and done in moments:
        kept[done] = copied(run.state.params)


def _history(curves: list[str], rows: Any, snapshots: dict[int, Params] | None) -> dict[str, Any]:
    columns = np.reshape(rows, (-1, len(curves))).T.tolist()
    history = dict(zip(curves, columns, strict=True))
    return history if snapshots is None else {**history, "snapshots": snapshots}


def _beginning(params: Params, optimizer: Optimizer, key: Array, validation: Any) -> _Run:
    """The run before its first epoch; nothing here is compiled."""
    infinity = np.array(np.inf, np.float64 if params[0][0].dtype == np.float64 else np.float32)
    best = None if validation is None else _Best(params, infinity, np.int32(0))  # type: ignore[arg-type]
    return copied(_Run(new_state(params, optimizer, key), best))


def _all_finite(tree: Any) -> bool:
    return all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(tree))


def _not_finite(state: TrainState, history: dict[str, Any], loss: np.floating) -> FloatingPointError:
    what = "the parameters are no longer finite" if np.isfinite(loss) else f"the loss is {loss}"
    error = FloatingPointError(
        f"in epoch {len(history['loss'])} (counted from 0) {what}; the state of before is in .state of this error. "
        f"Take a lower learning rate, or chain(clip_by_global_norm(1.0), ...), or look for such numbers in the data."
    )
    error.state, error.history = state, history  # type: ignore[attr-defined]
    return error


def _checked_validation(params: Params, validation: Any, model: Model) -> tuple[Array, Array]:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(
            f"validation must be a pair (x, y) of arrays; got {type(validation).__name__}. "
            f"scikit-learn's train_test_split can hold some out."
        )
    try:
        x, y, _ = check_batch(params, validation[0], validation[1], model)
        check_training(x, y, model, epochs=0, batch_size=1)
        if not all(np.all(np.isfinite(np.asarray(a, np.float64))) for a in (x, y)):
            raise ValueError("x and y must be finite; got nan or inf, with which no epoch could be the best.")
    except ValueError as error:
        raise ValueError(f"in validation: {error}") from error
    return x, y


class _Checkpoint:
    """The file that a run is saved to."""

    def __init__(self, path: str | os.PathLike, model: Model, curves: list[str]) -> None:
        self.path, self.curves = path, curves
        self.metadata = {"model": json.dumps(checkpoints.describe(model)), "curves": json.dumps(curves)}
        self.seconds, self.last = 0.0, -math.inf  # what the last writing took, and when it ended

    def read(self, like: _Run) -> tuple[_Run, np.ndarray]:
        arrays, metadata = checkpoints.read_arrays(self.path, "fit")
        for name, value in self.metadata.items():
            if metadata.get(name) != value:
                raise ValueError(
                    f"{os.fspath(self.path)!r} belongs to another run: its {name} is {metadata.get(name)}, not {value}."
                )
        checkpoints.check_key_kinds(self.path, metadata, like)
        rows = arrays.pop("history")
        return checkpoints.arrays_to_tree(self.path, arrays, like), rows

    def write(self, run: _Run, rows: np.ndarray) -> None:
        began = time.perf_counter()
        arrays = {**checkpoints.tree_to_arrays(run), "history": rows}
        metadata = {**self.metadata, "keys": checkpoints.key_kinds(run)}
        checkpoints.write_arrays(self.path, "fit", arrays, metadata)
        self.last = time.perf_counter()
        self.seconds = self.last - began

    def write_now_and_then(self, run: _Run, rows: np.ndarray) -> None:
        if time.perf_counter() - self.last >= 20 * self.seconds:
            self.write(run, rows)


class _NoBar(contextlib.AbstractContextManager):
    """A progress bar that nobody sees."""

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, done: int) -> None:
        pass

    def set_postfix(self, numbers: dict[str, str], refresh: bool) -> None:
        pass


def _bar(epochs: int, done: int, progress: bool | None) -> Any:
    if not (sys.stderr is not None and sys.stderr.isatty() if progress is None else progress):
        return _NoBar()
    from tqdm import tqdm  # only where it is seen: importing it takes time

    return tqdm(total=epochs, initial=done, unit="epoch", dynamic_ncols=True)
