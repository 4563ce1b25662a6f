"""One batch on many devices. What needs more than one device runs in a process of its own: `eight_devices.py`."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jax.sharding import AxisType

import jaxmlp

HERE = Path(__file__).parent


@pytest.mark.slow
def test_on_eight_devices():
    """Each device wants a thread while they wait for one another, however few the cores: PJRT_NPROC."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "PJRT_NPROC": "16"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "eight_devices.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parent, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def one_device():
    return jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"axis must be one of the mesh's, 'data'; got 'rows'"):
        jaxmlp.data_parallel(jaxmlp.value_and_grad, one_device(), "rows")
    with pytest.raises(TypeError, match=r"mesh must be a jax\.sharding\.Mesh; got 8"):
        jaxmlp.data_parallel(jaxmlp.value_and_grad, 8)


def test_a_batch_that_does_not_fit_is_refused():
    sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, one_device())
    params = jaxmlp.init_mlp(jax.random.key(0), (4, 3))
    model = jaxmlp.Model(loss="softmax_cross_entropy")
    with pytest.raises(ValueError, match=r"x must have shape \(n, 4\)"):
        sharded(params, jax.numpy.zeros((2, 5)), jax.numpy.zeros(2, int), model)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 2 for 3 outputs; got 0 \.\.\. 3"):
        sharded(params, jax.numpy.zeros((2, 4)), jax.numpy.array([0, 3]), model)


def test_negative_weights_are_refused():
    sharded = jaxmlp.data_parallel(jaxmlp.value_and_grad, one_device())
    params, x = jaxmlp.init_mlp(jax.random.key(0), (4, 3)), jax.numpy.zeros((2, 4))
    with pytest.raises(ValueError, match=r"weights must not be negative where a batch is shared; got -1\.0"):
        sharded(params, x, jax.numpy.zeros((2, 3)), weights=jax.numpy.array([1.0, -1.0]))
