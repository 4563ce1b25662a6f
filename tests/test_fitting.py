"""fit: the epochs of train, the best kept, and nothing lost whatever stops it."""

import functools
import io
import os
import signal
import subprocess
import sys
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DTYPE, X64, random_params
from test_checkpoints import assert_same_bits

import jaxmlp
from jaxmlp import Model, optimizers
from jaxmlp.training import fitting

MODEL = Model("tanh", loss="softmax_cross_entropy")
ADAM = optimizers.adam(0.02)
PARAMS = random_params((4, 8, 3))
RNG = np.random.default_rng(0)
TEACHER = RNG.normal(size=(4, 3))
X, XV = RNG.normal(size=(60, 4)).astype(DTYPE), RNG.normal(size=(40, 4)).astype(DTYPE)
Y, YV = (np.argmax(x @ TEACHER + RNG.normal(size=(len(x), 3)), axis=1) for x in (X, XV))
KEY = jax.random.key(5)
TOLERANCE = {"rtol": 1e-10} if X64 else {"rtol": 1e-4, "atol": 1e-6}


def fit(epochs=12, x=X, y=Y, model=MODEL, optimizer=ADAM, params=PARAMS, batch_size=16, validation=(XV, YV), **kwargs):
    return jaxmlp.fit(
        params, x, y, model, optimizer, key=KEY, epochs=epochs, batch_size=batch_size, validation=validation, **kwargs
    )


def same(got, want):
    assert got.history == want.history
    assert got.best_epoch == want.best_epoch
    assert_same_bits((got.params, got.state), (want.params, want.state))


def test_its_epochs_are_those_of_train():
    state, losses = jaxmlp.train(
        jaxmlp.init_state(PARAMS, ADAM, KEY), X, Y, MODEL, ADAM, epochs=12, batch_size=16
    )  # fmt: skip
    result = fit(validation=None)
    chex.assert_trees_all_close(result.params, state.params, **TOLERANCE)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-5)
    assert result.best_epoch == 11
    assert list(result.history) == ["loss"]
    assert int(result.state.step) == 12 * 4
    np.testing.assert_array_equal(*(jax.random.key_data(s.key) for s in (result.state, state)))


def test_curves_are_what_loss_and_accuracy_say():
    result = fit(epochs=6)
    assert list(result.history) == ["loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert {len(curve) for curve in result.history.values()} == {6}
    last = {
        "accuracy": jaxmlp.accuracy(result.state.params, X, Y, MODEL),
        "validation_loss": jaxmlp.loss(result.state.params, XV, YV, MODEL),
        "validation_accuracy": jaxmlp.accuracy(result.state.params, XV, YV, MODEL),
    }
    for name, value in last.items():
        np.testing.assert_allclose(result.history[name][-1], value, rtol=1e-5)


def test_regression_has_no_accuracy():
    model = Model("tanh")
    y, yv = np.eye(3, dtype=DTYPE)[Y], np.eye(3, dtype=DTYPE)[YV]
    result = fit(y=y, validation=(XV, yv), model=model)
    assert list(result.history) == ["loss", "validation_loss"]
    np.testing.assert_allclose(
        result.history["validation_loss"][-1], jaxmlp.loss(result.state.params, XV, yv, model), rtol=1e-5
    )


def test_a_sum_loss_is_summed_over_the_validation_data():
    model = Model("tanh", loss="sum_squared_error")
    y, yv = np.eye(3, dtype=DTYPE)[Y], np.eye(3, dtype=DTYPE)[YV]
    result = fit(y=y, validation=(XV, yv), model=model, optimizer=optimizers.sgd(1e-3), epochs=2)
    np.testing.assert_allclose(
        result.history["validation_loss"][-1], jaxmlp.loss(result.state.params, XV, yv, model), rtol=1e-5
    )


def test_evaluation_in_blocks_is_evaluation(monkeypatch):
    want = fit(epochs=3)
    monkeypatch.setattr(fitting, "BLOCK", 7)
    jax.clear_caches()
    got = fit(epochs=3)
    jax.clear_caches()  # the next test's program is of whole blocks again
    for name in want.history:
        np.testing.assert_allclose(got.history[name], want.history[name], rtol=1e-5)


def test_it_stops_early_and_restores_the_best():
    result = fit(epochs=500, patience=5, optimizer=optimizers.adam(0.1))
    curve = result.history["validation_loss"]
    assert len(curve) < 500
    assert result.best_epoch == int(np.argmin(curve)) == len(curve) - 1 - 5
    np.testing.assert_allclose(jaxmlp.loss(result.params, XV, YV, MODEL), min(curve), rtol=1e-5)
    assert float(jaxmlp.loss(result.state.params, XV, YV, MODEL)) > min(curve)
    assert not np.allclose(result.params[0][0], result.state.params[0][0], rtol=1e-3)


def test_without_patience_the_best_is_still_returned():
    result = fit(epochs=80, optimizer=optimizers.adam(0.1))
    curve = result.history["validation_loss"]
    assert len(curve) == 80
    assert result.best_epoch == int(np.argmin(curve)) < 79
    np.testing.assert_allclose(jaxmlp.loss(result.params, XV, YV, MODEL), min(curve), rtol=1e-5)


def test_chunks_do_not_show():
    """With a callback the program does one epoch at a time, without it many."""
    same(fit(epochs=30, callback=lambda epoch, numbers: None), fit(epochs=30))


def test_a_callback_sees_every_epoch_and_may_stop():
    seen = []
    result = fit(epochs=50, callback=lambda epoch, numbers: seen.append((epoch, numbers)) or epoch == 6)
    assert [epoch for epoch, _ in seen] == list(range(7))
    for name, curve in result.history.items():
        assert curve == [numbers[name] for _, numbers in seen]
    assert len(result.history["loss"]) == 7


@pytest.mark.parametrize(("asked", "kept"), [(5, [0, 5, 10]), ((3, 0, 12, 99), [0, 3, 12]), ((), [])])
def test_snapshots_are_the_parameters_after_so_many_epochs(asked, kept):
    result = fit(snapshots=asked)
    snapshots = result.history.pop("snapshots")
    same(result, fit())  # else the run is the same
    assert list(snapshots) == kept
    for epochs, params in snapshots.items():
        assert_same_bits(params, PARAMS if epochs == 0 else fit(epochs=epochs).state.params)
    jaxmlp.make_train_step(MODEL, ADAM)(result.state, X, Y)  # donates the state, and spares them
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(snapshots))


def test_snapshots_end_where_the_run_does_and_begin_where_it_is_taken_up(tmp_path):
    stopped = fit(snapshots=2, callback=lambda epoch, _: epoch == 6)
    assert list(stopped.history["snapshots"]) == [0, 2, 4, 6]
    fit(epochs=3, checkpoint=tmp_path / "run")
    resumed = fit(checkpoint=tmp_path / "run", snapshots=4)
    assert list(resumed.history["snapshots"]) == [4, 8, 12]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (0, "snapshots must be an integer of at least 1; got 0"),
        (0.5, "snapshots must be an integer of at least 1; got 0.5"),
        ([1, -2], "each of snapshots must be an integer of at least 0; got -2"),
    ],
)
def test_wrong_snapshots_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        fit(snapshots=wrong)


def test_nothing_of_the_callers_is_donated_or_shared():
    params = random_params((4, 8, 3))
    result = fit(params=params, epochs=2, validation=None)
    step = jaxmlp.make_train_step(MODEL, ADAM)
    step(result.state, X, Y)  # donates the state
    assert result.state.params[0][0].is_deleted()
    assert not any(leaf.is_deleted() for leaf in [*jax.tree.leaves((params, result.params)), KEY])


def test_sample_weights_of_zero_leave_examples_out():
    keep = np.arange(60) % 3 > 0
    weighted = fit(weights=keep.astype(DTYPE), batch_size=60, optimizer=optimizers.sgd(0.3))
    fewer = fit(x=X[keep], y=Y[keep], batch_size=60, optimizer=optimizers.sgd(0.3))
    np.testing.assert_allclose(weighted.history["loss"], fewer.history["loss"], rtol=1e-4)
    np.testing.assert_allclose(weighted.history["validation_loss"], fewer.history["validation_loss"], rtol=1e-4)


def test_weighted_batches_make_the_weighted_mean():
    """With a learning rate of 0 the epoch's loss is the weighted loss of all, however the batches fall."""
    weights = RNG.uniform(0, 3, 60)
    result = fit(weights=weights, optimizer=optimizers.sgd(0.0), epochs=2, batch_size=7)
    want = jaxmlp.loss(PARAMS, X, Y, MODEL, weights=jnp.asarray(weights, DTYPE))
    np.testing.assert_allclose(result.history["loss"], [want] * 2, rtol=1e-5)


def test_class_weights_multiply_sample_weights():
    weights, by_class = RNG.uniform(1, 2, 60), np.array([1.0, 2.0, 0.5])
    want = fit(weights=weights * by_class[Y], epochs=2)
    for given in ([1.0, 2.0, 0.5], {1: 2.0, 2: 0.5}):
        same(fit(weights=weights, class_weights=given, epochs=2), want)
    one_hot = fit(y=np.eye(3, dtype=DTYPE)[Y], weights=weights, class_weights=by_class.tolist(), epochs=2)
    np.testing.assert_allclose(one_hot.history["loss"], want.history["loss"], rtol=1e-5)


def test_balanced_class_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_sample_weight

    want = fit(weights=compute_sample_weight("balanced", Y), epochs=2)
    np.testing.assert_allclose(fit(class_weights="balanced", epochs=2).history["loss"], want.history["loss"], rtol=1e-6)
    signs = Model("tanh", loss="hinge")
    params, y = random_params((4, 5, 1)), np.where(Y == 0, 1, -1)[:, None]
    a = fit(params=params, y=y, model=signs, validation=None, class_weights="balanced", epochs=2)
    b = fit(
        params=params, y=y, model=signs, validation=None, weights=compute_sample_weight("balanced", y[:, 0]), epochs=2
    )
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-6)


def test_autodiff_will_do_as_well():
    a, b = fit(), fit(value_and_grad=jax.value_and_grad(jaxmlp.loss))
    np.testing.assert_allclose(a.history["validation_loss"], b.history["validation_loss"], rtol=1e-4)


# A run that is taken up again.


def test_resumed_equals_uninterrupted(tmp_path):
    want = fit(epochs=20, patience=9)
    for epochs in (3, 4, 11, 20):
        got = fit(epochs=epochs, patience=9, checkpoint=tmp_path / "run")
    same(got, want)
    assert os.listdir(tmp_path) == ["run"]
    same(fit(epochs=20, patience=9, checkpoint=tmp_path / "run"), want)  # nothing left to do
    assert len(fit(epochs=5, checkpoint=tmp_path / "run").history["loss"]) == 20  # more are done than asked for


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    run = functools.partial(fit, epochs=500, patience=5, optimizer=optimizers.adam(0.1), checkpoint=tmp_path / "run")
    same(run(), run())


def test_the_files_key_goes_on(tmp_path):
    fit(epochs=3, checkpoint=tmp_path / "run")
    resumed = jaxmlp.fit(
        random_params((4, 8, 3), 7), X, Y, MODEL, ADAM, key=jax.random.key(99), epochs=6, batch_size=16,
        validation=(XV, YV), checkpoint=tmp_path / "run",
    )  # fmt: skip
    same(resumed, fit(epochs=6))


def test_without_validation_too(tmp_path):
    for epochs in (2, 7):
        got = fit(epochs=epochs, validation=None, checkpoint=str(tmp_path / "run"))
    same(got, fit(epochs=7, validation=None))


def test_it_saves_as_it_goes(tmp_path):
    path, sizes = tmp_path / "run", []
    fit(epochs=3, checkpoint=path, callback=lambda *_: sizes.append(path.exists()))
    assert sizes[1:] == [True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": random_params((4, 9, 3))}, r"run' must hold .* of shape \(4, 9\)"),
        ({"optimizer": optimizers.sgd(0.1)}, "run' is of another structure"),
        ({"model": Model("relu", loss="softmax_cross_entropy")}, "run' belongs to another run: its model is"),
        ({"validation": None}, "run' belongs to another run: its curves is"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(change, message, tmp_path):
    fit(epochs=1, checkpoint=tmp_path / "run")
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(epochs=2, checkpoint=tmp_path / "run", **change)
    assert (tmp_path / "run").read_bytes() == before


def test_a_damaged_checkpoint_is_refused(tmp_path):
    fit(epochs=1, checkpoint=tmp_path / "run")
    (tmp_path / "run").write_bytes((tmp_path / "run").read_bytes()[:-9])
    with pytest.raises(ValueError, match="run' is damaged, cut short, or no checkpoint at all"):
        fit(epochs=2, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("with_callback", [True, False])
def test_ctrl_c_returns_what_there_is_and_saves_it(with_callback, tmp_path, request):
    """The signal itself, in the midst of a run that would take hours."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    timer = None

    def first_epoch(epoch, numbers):
        nonlocal timer
        if epoch == 0:
            timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()

    if with_callback:
        kwargs = {"callback": first_epoch}
    else:
        fit(epochs=1)  # compiled
        timer, kwargs = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)), {}
        timer.start()
    result = fit(epochs=10**7, checkpoint=tmp_path / "run", **kwargs)
    timer.join()
    done = len(result.history["loss"])
    assert 0 < done < 10**6
    assert int(result.state.step) == 4 * done
    same(fit(epochs=done, checkpoint=tmp_path / "run"), result)
    same(fit(epochs=done), result)


def test_a_loss_that_is_not_finite_raises_and_names_the_epoch():
    """Squares under a learning rate that doubles the error: 1e38 is passed after some epochs."""
    model, y = Model("identity"), np.eye(3, dtype=DTYPE)[Y]
    run = functools.partial(fit, y=y, model=model, validation=None, optimizer=optimizers.sgd(100.0), batch_size=60)
    with pytest.raises(
        FloatingPointError, match=r"in epoch \d+ \(counted from 0\) the .* Take a lower learning"
    ) as caught:
        run(epochs=1000, callback=lambda *_: None)
    epoch = len(caught.value.history["loss"])
    assert f"in epoch {epoch} " in str(caught.value)
    assert np.all(np.isfinite(caught.value.history["loss"]))
    chex.assert_tree_all_finite(caught.value.state.params)
    assert_same_bits(caught.value.state, run(epochs=epoch).state)  # that of a run which ends before it
    with pytest.raises(FloatingPointError, match=f"in epoch {epoch} "):  # many epochs in one call
        run(epochs=1000)


def test_a_checkpoint_outlives_a_loss_that_is_not_finite(tmp_path):
    fit(epochs=2, checkpoint=tmp_path / "run")
    before = (tmp_path / "run").read_bytes()
    x = X.copy()
    x[7, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"in epoch 2 \(counted from 0\) the loss is nan") as caught:
        fit(x=x, epochs=5, checkpoint=tmp_path / "run")
    assert int(caught.value.state.step) == 2 * 4
    assert (tmp_path / "run").read_bytes() == before


def test_nan_in_the_data_is_named(tmp_path):
    x = X.copy()
    x[7, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"in epoch 0 .* the loss is nan.* or look for such numbers"):
        fit(x=x, checkpoint=tmp_path / "run")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_dtypes(dtype):
    """Losses are summed in float32: 30,000 of them of size 3 overflow float16."""
    params = jax.tree.map(lambda p: p.astype(dtype), PARAMS)
    x, y = np.resize(X, (30_000, 4)), np.resize(Y, 30_000)
    result = fit(x=x, y=y, params=params, epochs=2, batch_size=1000, patience=1)
    assert result.history["loss"][1] < result.history["loss"][0] < 3
    assert {leaf.dtype for leaf in jax.tree.leaves((result.params, result.state.opt_state.m))} == {jnp.dtype(dtype)}
    weighted = fit(x=x, y=y, params=params, epochs=1, batch_size=1000, weights=np.full(30_000, 3.0), validation=None)
    np.testing.assert_allclose(weighted.history["loss"][0], result.history["loss"][0], rtol=0.05)


@pytest.mark.parametrize("seen", [True, None])
def test_the_bar_shows_where_asked_and_is_silent_elsewhere(seen, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    fit(epochs=3, progress=seen)
    text = sys.stderr.getvalue()
    assert ("3/3" in text and "validation_loss=" in text) if seen else text == ""


def test_the_bar_shows_itself_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for progress, shows in ((None, True), (False, False)):
        monkeypatch.setattr(sys, "stderr", Terminal())
        fit(epochs=3, progress=progress)
        assert ("3/3" in sys.stderr.getvalue()) is shows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[:, :3]}, r"x must have shape \(n, 4\)"),
        ({"x": X[:0], "y": Y[:0]}, "training needs at least one example"),
        ({"y": Y.astype(np.float32)}, "labels must be integers; got float32"),
        ({"y": np.full(60, 3)}, r"labels must lie in 0 \.\.\. 2"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"weights": np.ones(59)}, r"weights must have shape \(60,\)"),
        ({"weights": -np.ones(60)}, "weights must be finite, not negative, and not all 0"),
        ({"weights": np.full(60, np.inf)}, "weights must be finite"),
        ({"weights": np.zeros(60)}, "not all 0"),
        ({"class_weights": "even"}, "class_weights must be 'balanced' or numbers; got 'even'"),
        ({"class_weights": [1.0, 2.0]}, "class_weights must be 3 finite numbers, none negative"),
        ({"class_weights": [1.0, 2.0, -1.0]}, "class_weights must be 3 finite numbers, none negative"),
        ({"class_weights": {3: 1.0}}, r"class_weights has no such class: 3; there are 0 \.\.\. 2"),
        ({"validation": (XV[:, :3], YV)}, r"in validation: x must have shape \(n, 4\)"),
        ({"validation": (XV[:0], YV[:0])}, "in validation: training needs at least one example"),
        ({"validation": (XV * np.nan, YV)}, "in validation: x and y must be finite; got nan or inf"),
        ({"checkpoint": "nowhere/run"}, "the folder of checkpoint must exist; got 'nowhere/run'"),
        ({"class_weights": [0.0, 0.0, 0.0]}, "weights times class_weights must be finite float.* numbers, not all 0"),
        ({"validation": 0.2}, r"validation must be a pair \(x, y\) of arrays; got float"),
        ({"validation": None, "patience": 3}, r"patience needs held-out data; got validation=None\. Write validation="),
        ({"patience": 0}, "patience must be an integer of at least 1; got 0"),
        ({"params": []}, "params must be a non-empty list"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        fit(**change)


def test_class_weights_need_classes():
    with pytest.raises(ValueError, match="class_weights needs a loss with one class for each example; got 'huber'"):
        fit(y=np.eye(3)[Y], model=Model(loss="huber"), validation=None, class_weights=[1.0, 1.0, 1.0])


def test_traced_arrays_are_sent_to_train():
    with pytest.raises(
        ValueError, match=r"fit needs concrete arrays; got traced ones\. Inside jit or vmap call jaxmlp"
    ):
        jax.jit(lambda x: fit(x=x).params)(X)


# L-BFGS.


def test_lbfgs_solves_least_squares():
    """Against NumPy's own solution of the same problem."""
    y = X @ TEACHER + 0.3
    params = random_params((4, 3))
    result = jaxmlp.fit_lbfgs(params, X, y.astype(DTYPE), Model(), max_iterations=200)
    W, *_ = np.linalg.lstsq(np.c_[X, np.ones(60)], y, rcond=None)
    np.testing.assert_allclose(result.params[0][0], W[:4], rtol=1e-5 if X64 else 1e-3, atol=1e-5 if X64 else 1e-3)
    np.testing.assert_allclose(result.params[0][1], W[4], rtol=1e-5 if X64 else 1e-3, atol=1e-5 if X64 else 1e-3)
    assert result.state is None
    losses = result.history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert result.best_epoch == len(losses) - 1
    np.testing.assert_allclose(
        jaxmlp.loss(result.params, X, y.astype(DTYPE), Model()), losses[-1], rtol=1e-4, atol=1e-9
    )


def test_lbfgs_fits_a_network_and_weighs_examples():
    keep = np.arange(60) % 2
    result = jaxmlp.fit_lbfgs(tuple(PARAMS), X, Y, MODEL, max_iterations=300, weights=keep)
    assert type(result.params) is tuple
    assert {leaf.dtype for leaf in jax.tree.leaves(result.params)} == {jnp.dtype(DTYPE)}
    assert float(jaxmlp.accuracy(result.params, X[keep > 0], Y[keep > 0], MODEL)) == 1
    assert len(jaxmlp.fit_lbfgs(PARAMS, X, Y, MODEL, max_iterations=3).history["loss"]) == 3


def test_lbfgs_refuses_what_is_not_finite():
    x = X.copy()
    x[0] = np.inf
    with pytest.raises(FloatingPointError, match="the loss of the parameters given is nan"):
        jaxmlp.fit_lbfgs(PARAMS, x, Y, MODEL, max_iterations=3)
    with pytest.raises(ValueError, match="max_iterations must be an integer of at least 0; got -1"):
        jaxmlp.fit_lbfgs(PARAMS, X, Y, MODEL, max_iterations=-1)
    none = jaxmlp.fit_lbfgs(PARAMS, X, Y, MODEL, max_iterations=0)
    chex.assert_trees_all_equal(none.params, PARAMS)
    assert none.best_epoch == -1


# Compilations, counted in a process of their own.

COUNT = """
import jax, numpy as np

compiled = []
def heard(event, seconds, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(event)
jax.monitoring.register_event_duration_secs_listener(heard)

import jaxmlp

x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
y = np.arange(50) % 3
keys = [jax.random.key(0), jax.random.key(1)]
model = jaxmlp.Model(loss="softmax_cross_entropy")

def by_fit(params, optimizer, epochs):
    result = jaxmlp.fit(
        params, x, y, model, optimizer, key=keys[1], epochs=epochs, batch_size=16, validation=(x, y), patience=2
    )
    return result.params

def by_train(params, optimizer, epochs):
    state = jaxmlp.init_state(params, optimizer, keys[1])
    return jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=16)[0].params

def by_steps(params, optimizer, epochs):
    step, state = jaxmlp.make_train_step(model, optimizer), jaxmlp.init_state(params, optimizer, keys[1])
    for _ in range(epochs):
        state, loss = step(state, x, y)
    return state.params

def job(train, seed, epochs):
    before = len(compiled)
    params = jaxmlp.init_mlp(keys[seed], (8, 16, 16, 3))
    jaxmlp.accuracy(train(params, jaxmlp.optimizers.adam(1e-3), epochs), x, y, model)
    return len(compiled) - before

print(job(BY, 0, 3), job(BY, 1, 7))
"""


@pytest.mark.parametrize(("train", "most"), [("by_fit", 0), ("by_train", 1), ("by_steps", 1)])
def test_a_whole_job_compiles_at_most_four_programs(train, most):
    """One for the weights, one for the run, one for the evaluation; a second `fit`, of more epochs, none."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT.replace("BY", train)],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_ENABLE_X64": "0"},
    )
    assert done.returncode == 0, done.stderr
    first, second = map(int, done.stdout.split())
    assert 3 <= first <= 4  # fewer, and the count is broken
    assert second <= most
