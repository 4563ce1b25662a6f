"""A training process killed twenty times at random moments ends with the bits of one that nobody disturbed."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import X64

from jaxmlp.training import checkpoints

TRAIN = """
import sys, time
import jax, numpy as np
import jaxmlp
from jaxmlp.training import fitting

fitting._Checkpoint.write_now_and_then = fitting._Checkpoint.write  # every epoch: half of the time goes into saving

def callback(epoch, numbers):
    print(epoch, flush=True)
    time.sleep(0.001)

rng = np.random.default_rng(0)
x, y = rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60)
result = jaxmlp.fit(
    jaxmlp.init_mlp(jax.random.key(0), (4, 8, 3)), x[:40], y[:40], jaxmlp.Model(loss="softmax_cross_entropy"),
    jaxmlp.optimizers.adam(1e-3), key=jax.random.key(1), epochs=EPOCHS, batch_size=16, validation=(x[40:], y[40:]),
    checkpoint=sys.argv[1], callback=callback,
)
"""
KILLS, EPOCHS = 20, 1500


def start(path):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN.replace("EPOCHS", str(EPOCHS)), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_ENABLE_X64": "0"},
    )


def finish(path):
    with start(path) as process:
        process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(X64, reason="the processes are of float32 in any case")
def test_killed_twenty_times_it_ends_with_the_same_bits(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(undisturbed)

    moments, amid_saving, epochs = random.Random(0), 0, []
    for _ in range(KILLS):
        with start(killed) as process:
            epochs.append(int(process.stdout.readline()))  # compiled, and past its first epoch
            time.sleep(moments.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        amid_saving += (tmp_path / ".killed.unfinished").exists()
        if killed.exists():
            checkpoints.read_arrays(killed, "fit")  # whole
    assert epochs == sorted(epochs)
    assert 10 < epochs[-1] < EPOCHS - 100  # it went on each time, and was not done before the last
    assert amid_saving  # else no kill fell into what this test is about

    finish(killed)
    (got, _), (want, _) = (checkpoints.read_arrays(path, "fit") for path in (killed, undisturbed))
    assert got.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert len(got["history"]) == EPOCHS
