"""Checkpoints: trees of arrays in safetensors files, written whole or not at all, read with every doubt; no pickle.

A file is one safetensors file. Its metadata say `format` (jaxmlp), `version` (of this layout), `kind` (what it holds)
and `crc32` (of every array and of all other metadata, so that a damaged file is not taken for another one).
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxmlp import checks
from jaxmlp.model import Model
from jaxmlp.types import Params

FORMAT, VERSION = "jaxmlp", "1"
PathLike: TypeAlias = str | os.PathLike


def save(path: PathLike, params: Params, model: Model) -> None:
    """Write a network to a file: its parameters, and the names of its activations and loss.

    The file is first written beside its place under another name, forced onto the disk, and then renamed: whenever
    the process dies, the place holds the file of before or the file of now.

    Args:
        path: where; the folder must exist.
        params: `[(W_1, b_1), ..., (W_L, b_L)]`, written as `0.W`, `0.b`, `1.W`, ...
        model: of known activations and a known loss, as a file can name no others.

    Raises:
        ValueError: If `params` is no network, or the model holds an activation or loss of one's own.
    """
    checks.check_params(params)
    arrays = {f"{l}.{name}": leaf for l, layer in enumerate(params) for name, leaf in zip("Wb", layer, strict=True)}
    kind = {"params": type(params).__name__, "model": json.dumps(_named(model))}
    write_arrays(path, "network", {name: np.asarray(a) for name, a in arrays.items()}, kind)


def load(path: PathLike) -> tuple[Any, Model]:
    """Read a network that `save` wrote.

    Args:
        path: of the file.

    Returns:
        `(params, model)`.

    Raises:
        ValueError: If the file is damaged, cut short, or not one of these; nothing is returned then.
        FileNotFoundError: If there is none.
    """
    arrays, metadata = read_arrays(path, "network")
    try:
        model = Model(**json.loads(metadata["model"]))
        layers = [(_to_jax(path, arrays[f"{l}.W"]), _to_jax(path, arrays[f"{l}.b"])) for l in range(len(arrays) // 2)]
        params = tuple(layers) if metadata["params"] == "tuple" else layers
        checks.check_params(params)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)!r} does not hold a network that this version reads: {error}") from error
    return params, model


def save_state(path: PathLike, state: Any) -> None:
    """Write a training state to a file, as `save` does it.

    Args:
        path: where; the folder must exist.
        state: a `TrainState`, or any tree of arrays; typed PRNG keys are kept as such.

    Raises:
        TypeError: If a leaf is not an array.
    """
    write_arrays(path, "state", tree_to_arrays(state), {"keys": key_kinds(state)})


def restore_state(path: PathLike, like: Any) -> Any:
    """Read a training state that `save_state` wrote; training goes on from it as if it had never stopped.

    Args:
        path: of the file.
        like: a state of the same structure, shapes and dtypes, such as `init_state` makes; its numbers are not read.

    Returns:
        A state of new arrays.

    Raises:
        ValueError: If the file is damaged, cut short, not one of these, or of another structure, shape or dtype.
        FileNotFoundError: If there is none.
    """
    arrays, metadata = read_arrays(path, "state")
    check_key_kinds(path, metadata, like)
    return arrays_to_tree(path, arrays, like)


def write_arrays(path: PathLike, kind: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays to a file, whole or not at all.

    Args:
        path: where.
        kind: what they are.
        arrays: by name.
        metadata: to say about them.
    """
    for name, a in arrays.items():
        if a.dtype.name.startswith(("float8_", "float6_", "float4_")):
            raise ValueError(
                f"a checkpoint holds no arrays of {a.dtype.name}; got one at {name}. Write astype('float32')."
            )
    # safetensors takes an array's memory for C-contiguous without looking; `order="C"` keeps 0-d arrays 0-d.
    arrays = {name: np.array(a, order="C") for name, a in arrays.items()}
    metadata = {"format": FORMAT, "version": VERSION, "kind": kind, **metadata}
    metadata["crc32"] = _checksum(arrays, metadata)
    write_bytes(path, safetensors.numpy.save(arrays, metadata))


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write a file, whole or not at all.

    Args:
        path: where.
        data: all of it.
    """
    path = Path(os.path.realpath(path))  # a link keeps pointing to the file
    unfinished = path.with_name(f".{path.name}.unfinished")
    with open(unfinished, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    if os.name == "posix":  # the rename itself, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_arrays(path: PathLike, kind: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read what `write_arrays` wrote.

    Args:
        path: of the file.
        kind: what it should hold.

    Returns:
        The arrays by name, and the metadata.

    Raises:
        ValueError: If the file is damaged, cut short, foreign, or holds something else.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise ValueError(f"{name!r} is a folder, and no checkpoint.")
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            ours = metadata.get("format") == FORMAT and metadata.get("version") == VERSION
            arrays = {key: file.get_tensor(key) for key in file.keys()} if ours else {}  # noqa: SIM118  # it is no dict
    except (safetensors.SafetensorError, AttributeError, TypeError) as error:
        raise ValueError(f"{name!r} is damaged, cut short, or no checkpoint at all: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{name!r} must be a checkpoint of jaxmlp; got a safetensors file from elsewhere.")
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{name!r} must be of version {VERSION}; got {metadata.get('version')}. Read it with a newer jaxmlp."
        )
    if metadata.pop("crc32", None) != _checksum(arrays, metadata):
        raise ValueError(f"{name!r} is damaged: its checksum does not fit what it holds.")
    if metadata["kind"] != kind:
        readers = {"network": "load", "state": "restore_state", "fit": "fit(checkpoint=...)"}
        raise ValueError(
            f"{name!r} must hold a {kind}; got a {metadata['kind']}, which {readers.get(metadata['kind'])} reads."
        )
    return arrays, metadata


def tree_to_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Return the leaves of a tree by the path to each.

    Args:
        tree: of arrays; a typed PRNG key becomes its data.

    Raises:
        TypeError: If a leaf is not an array.
    """
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not hasattr(leaf, "dtype"):
            raise TypeError(f"a checkpoint holds arrays; got {leaf!r} at {jax.tree_util.keystr(path) or 'the top'}.")
        if _leaf_name(path) in arrays:
            raise ValueError(f"two leaves of the tree would both be named {_leaf_name(path)!r}. Rename one.")
        arrays[_leaf_name(path)] = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return arrays


def key_kinds(tree: Any) -> str:
    """Return which leaves are typed PRNG keys, and of which kind, as JSON.

    Args:
        tree: of arrays.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return json.dumps({_leaf_name(path): str(jax.random.key_impl(leaf)) for path, leaf in leaves if _is_key(leaf)})


def check_key_kinds(path: PathLike, metadata: Mapping[str, str], like: Any) -> None:
    """Check that the keys of a file are of the kind of those they are to stand for.

    Args:
        path: of the file, for the message.
        metadata: of the file.
        like: the tree that is to be filled.

    Raises:
        ValueError: If they are not, or a leaf is not an array.
    """
    for at, leaf in jax.tree_util.tree_leaves_with_path(like):
        if not hasattr(leaf, "dtype"):
            raise ValueError(f"like must be a tree of arrays; got {leaf!r} at {jax.tree_util.keystr(at)}.")
    if metadata.get("keys") != key_kinds(like):
        raise ValueError(
            f"{os.fspath(path)!r} must hold PRNG keys of the kinds {key_kinds(like)}; got {metadata.get('keys')}."
        )


def arrays_to_tree(path: PathLike, arrays: Mapping[str, np.ndarray], like: Any) -> Any:
    """Put arrays back into a tree.

    Args:
        path: of the file, for the messages.
        arrays: as `tree_to_arrays` returned them.
        like: a tree of the structure, shapes and dtypes that it should have.

    Returns:
        The tree.

    Raises:
        ValueError: If a leaf is missing, left over, or of another shape or dtype.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [_leaf_name(path) for path, _ in leaves]
    name = os.fspath(path)
    if set(names) != set(arrays):
        missing, left = sorted(set(names) - set(arrays)), sorted(set(arrays) - set(names))
        raise ValueError(
            f"{name!r} is of another structure: it lacks {missing[:3]} and has {left[:3]} besides. "
            f"It belongs to other sizes, or to another optimizer."
        )
    return structure.unflatten(
        [
            _leaf_from(name, leaf_name, arrays[leaf_name], leaf)
            for leaf_name, (_, leaf) in zip(names, leaves, strict=True)
        ]
    )


def _leaf_from(path: str, name: str, array: np.ndarray, like: Any) -> Any:
    expected = jax.eval_shape(jax.random.key_data, like) if _is_key(like) else like
    if array.shape != expected.shape or array.dtype != expected.dtype:
        raise ValueError(
            f"{path!r} must hold {expected.dtype} of shape {expected.shape} at leaf {name}; "
            f"got {array.dtype} of shape {array.shape}."
        )
    if _is_key(like):
        return jax.random.wrap_key_data(jax.device_put(array), impl=jax.random.key_impl(like))
    return _to_jax(path, array)


def _to_jax(path: PathLike, array: np.ndarray) -> jax.Array:
    if array.dtype.itemsize == 8 and array.dtype.kind in "fiu" and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError(
            f"{os.fspath(path)!r} holds {array.dtype}. Write jax.config.update('jax_enable_x64', True) first."
        )
    return jax.device_put(array)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _leaf_name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".") or "."


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    crc = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(arrays):
        a = arrays[name]
        crc = zlib.crc32(f"{name} {a.dtype} {a.shape}".encode(), crc)
        crc = zlib.crc32(a.tobytes(), crc)
    return f"{crc:08x}"


def describe(model: Model) -> dict[str, Any]:
    """Return the names of a model's parts, one's own ones included.

    Args:
        model: any.
    """

    def name(part: Any) -> Any:
        return [name(p) for p in part] if isinstance(part, tuple) else getattr(part, "name", part)

    return {field: name(getattr(model, field)) for field in ("activation", "output", "loss")}


def _named(model: Model) -> dict[str, Any]:
    """The names of a model's parts, from which it can be made again."""
    names = describe(model)
    try:
        known = Model(**names) == model
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            f"a file can only name the known activations and losses; got {names}. "
            f"Write save_state(path, params) and keep the model in your code."
        )
    return names
