"""Files: what is read is what was written, a doubt is an error that names the path, and a kill leaves a whole file."""

import os
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from helpers import DTYPE, random_params

import jaxmlp
from jaxmlp import Model, optimizers, schedules
from jaxmlp.training import checkpoints

PARAMS = random_params((4, 8, 3))
MODEL = Model("tanh", loss="softmax_cross_entropy")
ADAM = optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adam(schedules.cosine_decay(0.1, 10)))


def data(tree):
    return jax.tree.map(lambda a: jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a, tree)


def assert_same_bits(got, want):
    chex.assert_trees_all_equal_structs(got, want)
    chex.assert_trees_all_equal_shapes_and_dtypes(data(got), data(want))
    chex.assert_trees_all_equal(data(got), data(want))


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        Model(["relu"], "sigmoid", "binary_cross_entropy"),
        Model(jaxmlp.activations.gelu, loss=jaxmlp.losses.huber),
    ],
)
def test_a_network_comes_back(kind, model, tmp_path):
    jaxmlp.save(tmp_path / "net", kind(PARAMS), model)
    params, again = jaxmlp.load(str(tmp_path / "net"))
    assert_same_bits(params, kind(PARAMS))
    assert again == model
    assert os.listdir(tmp_path) == ["net"]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_every_dtype_comes_back(dtype, tmp_path):
    params = jax.tree.map(lambda p: p.astype(dtype), PARAMS)
    jaxmlp.save(tmp_path / "net", params, MODEL)
    assert_same_bits(jaxmlp.load(tmp_path / "net")[0], params)


def test_float64_needs_x64(tmp_path):
    with jax.enable_x64(True):
        jaxmlp.save(tmp_path / "net", random_params((4, 8, 3), dtype=jnp.float64), MODEL)
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"net' holds float64\. Write jax.config.update"):
        jaxmlp.load(tmp_path / "net")


def test_a_file_is_plain_safetensors(tmp_path):
    jaxmlp.save(tmp_path / "net", PARAMS, MODEL)
    arrays = safetensors.numpy.load_file(tmp_path / "net")
    assert sorted(arrays) == ["0.W", "0.b", "1.W", "1.b"]
    np.testing.assert_array_equal(arrays["1.W"], PARAMS[1][0])


def test_transposed_arrays_are_written_rightly(tmp_path):
    """safetensors itself writes the memory of a transposed array as if it were not (safetensors#825)."""
    tree = [np.arange(6, dtype=np.float32).reshape(2, 3).T, np.float32(7) * np.ones((), np.float32)]
    checkpoints.save_state(tmp_path / "state", tree)
    back = checkpoints.restore_state(tmp_path / "state", tree)
    np.testing.assert_array_equal(back[0], tree[0])
    assert back[1].shape == ()


KEYS = [jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")]


@pytest.mark.parametrize("key", KEYS, ids=["typed", "raw", "rbg"])
@pytest.mark.parametrize("optimizer", [optimizers.sgd(0.1), ADAM], ids=["sgd", "adam"])
def test_a_state_comes_back(key, optimizer, tmp_path):
    state = jaxmlp.init_state(PARAMS, optimizer, key)._replace(step=jnp.int32(17))
    jaxmlp.save_state(tmp_path / "state", state)
    like = jaxmlp.init_state(random_params((4, 8, 3), 9), optimizer, KEYS[0])
    back = jaxmlp.restore_state(tmp_path / "state", like._replace(key=key))
    assert_same_bits(back, state)


def test_training_goes_on_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(22, 4)), rng.integers(0, 3, 22)

    def more(state):
        return jaxmlp.train(state, x, y, MODEL, ADAM, epochs=3, batch_size=5)

    state, _ = more(jaxmlp.init_state(PARAMS, ADAM, KEYS[0]))
    jaxmlp.save_state(tmp_path / "state", state)
    want = more(state)
    got = more(jaxmlp.restore_state(tmp_path / "state", jaxmlp.init_state(PARAMS, ADAM, jax.random.key(9))))
    assert_same_bits(got, want)


def test_a_restored_state_can_be_donated(tmp_path):
    state = jaxmlp.init_state(PARAMS, ADAM, KEYS[0])
    jaxmlp.save_state(tmp_path / "state", state)
    step = jaxmlp.make_train_step(MODEL, ADAM)
    back = jaxmlp.restore_state(tmp_path / "state", state)
    for _ in range(2):
        back, _ = step(back, np.zeros((5, 4), DTYPE), np.zeros(5, int))
    assert int(back.step) == 2


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "state"
    jaxmlp.save_state(path, jaxmlp.init_state(PARAMS, ADAM, KEYS[0]))
    return path


LIKE = jaxmlp.init_state(PARAMS, ADAM, KEYS[0])


def test_any_flipped_bit_is_found(file):
    whole = file.read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(repr(str(file)))):
            jaxmlp.restore_state(file, LIKE)


def test_any_cut_is_found(file):
    whole = file.read_bytes()
    for end in range(0, len(whole), 61):
        file.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"state' is damaged, cut short, or no checkpoint at all"):
            jaxmlp.restore_state(file, LIKE)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "foreign"
    path.write_text("a shopping list, long enough to be taken for a header")
    with pytest.raises(ValueError, match="foreign' is damaged, cut short, or no checkpoint at all"):
        jaxmlp.load(path)
    safetensors.numpy.save_file({"0.W": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(
        ValueError, match="foreign' must be a checkpoint of jaxmlp; got a safetensors file from elsewhere"
    ):
        jaxmlp.load(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        jaxmlp.load(tmp_path / "nowhere")


def test_other_kinds_and_versions_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    jaxmlp.save(path, PARAMS, MODEL)
    with pytest.raises(ValueError, match="file' must hold a state; got a network, which load reads"):
        jaxmlp.restore_state(path, LIKE)
    jaxmlp.save_state(path, LIKE)
    with pytest.raises(ValueError, match="file' must hold a network; got a state, which restore_state reads"):
        jaxmlp.load(path)
    monkeypatch.setattr(checkpoints, "VERSION", "2")
    jaxmlp.save(path, PARAMS, MODEL)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"file' must be of version 1; got 2\. Read it with a newer jaxmlp"):
        jaxmlp.load(path)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            jaxmlp.init_state(random_params((4, 9, 3)), ADAM, KEYS[0]),
            r"must hold .* of shape \(4, 9\) at leaf params.0.0; got",
        ),
        (jaxmlp.init_state(random_params((4, 8, 8, 3)), ADAM, KEYS[0]), "is of another structure: it lacks "),
        (
            jaxmlp.init_state(PARAMS, optimizers.sgd(0.1), KEYS[0]),
            r"is of another structure: .* or to another optimizer",
        ),
        (
            jaxmlp.init_state(jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS), ADAM, KEYS[0]),
            "must hold bfloat16 of shape",
        ),
        (LIKE._replace(key=KEYS[2]), r"must hold PRNG keys of the kinds .*rbg.*; got .*threefry2x32"),
        (LIKE._replace(key=KEYS[1]), r"must hold PRNG keys of the kinds {}; got .*threefry2x32"),
    ],
    ids=["sizes", "depth", "optimizer", "dtype", "key", "raw key"],
)
def test_other_shapes_are_refused(like, message, file):
    with pytest.raises(ValueError, match=message):
        jaxmlp.restore_state(file, like)
    with pytest.raises(ValueError, match=re.escape(repr(str(file)))):
        jaxmlp.restore_state(file, like)


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    mine = jaxmlp.activations.Activation("mine", jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)
    with pytest.raises(ValueError, match=r"a file can only name the known activations and losses; got .*'mine'"):
        jaxmlp.save(tmp_path / "net", PARAMS, Model(mine))
    impostor = jaxmlp.activations.Activation("tanh", jnp.sin, jnp.cos)
    with pytest.raises(ValueError, match="a file can only name the known"):
        jaxmlp.save(tmp_path / "net", PARAMS, Model(impostor))
    with pytest.raises(ValueError, match="params must be a non-empty list"):
        jaxmlp.save(tmp_path / "net", [], MODEL)
    with pytest.raises(TypeError, match=r"a checkpoint holds arrays; got 'x' at \['a'\]"):
        jaxmlp.save_state(tmp_path / "state", {"a": "x"})
    with pytest.raises(ValueError, match=r"two leaves of the tree would both be named 'a\.b'"):
        jaxmlp.save_state(tmp_path / "state", {"a": {"b": np.zeros(1)}, "a.b": np.ones(1)})
    eighths = jax.tree.map(lambda p: p.astype(jnp.float8_e4m3fn), PARAMS)
    with pytest.raises(ValueError, match=r"a checkpoint holds no arrays of float8_e4m3fn; got one at 0\.W"):
        jaxmlp.save(tmp_path / "net", eighths, MODEL)
    assert os.listdir(tmp_path) == []


def test_folders_and_leaves_that_are_no_arrays_are_named(file):
    with pytest.raises(ValueError, match="is a folder, and no checkpoint"):
        jaxmlp.load(file.parent)
    with pytest.raises(ValueError, match=r"like must be a tree of arrays; got 3 at \.step"):
        jaxmlp.restore_state(file, LIKE._replace(step=3))


def test_a_link_stays_a_link(file):
    link = file.parent / "link"
    link.symlink_to(file)
    jaxmlp.save_state(link, LIKE._replace(step=jnp.int32(5)))
    assert link.is_symlink()
    assert int(jaxmlp.restore_state(file, LIKE).step) == 5


@pytest.mark.parametrize("moment", ["open", "os.fsync", "os.replace"])
def test_a_failure_while_saving_leaves_the_old_file(moment, file, monkeypatch):
    old = file.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left")

    module, _, name = moment.rpartition(".")
    monkeypatch.setattr(f"builtins.{name}" if not module else moment, fail)
    with pytest.raises(OSError, match="no space left"):
        jaxmlp.save_state(file, LIKE._replace(step=jnp.int32(5)))
    monkeypatch.undo()
    assert file.read_bytes() == old
    jaxmlp.save_state(file, LIKE._replace(step=jnp.int32(5)))  # and what was left behind is in nobody's way
    assert int(jaxmlp.restore_state(file, LIKE).step) == 5
    assert os.listdir(file.parent) == ["state"]


def test_the_order_of_writing_is_write_sync_rename(file, monkeypatch):
    """Renamed before it is on the disk, a file may be empty after a power cut."""
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))[1])
    jaxmlp.save_state(file, LIKE)
    assert calls == ["sync", "rename", "sync"]


def test_no_pickle_anywhere():
    for path in (checkpoints.__file__, jaxmlp.training.fitting.__file__):
        with open(path) as source:
            assert not re.search(r"import (pickle|dill|cloudpickle)|np\.(save|load)\(", source.read())
