"""Two real processes train one network over loopback; one of them is lost, and they take up the run again."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parent.parent / "examples" / "distributed.py"
LIMIT = 120  # seconds, for whatever is waited for


def start(folder, checkpoint, *arguments):
    """One process, in float64; without proxies, which gloo and gRPC would go through."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--checkpoint", str(folder / checkpoint), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def start_two(folder, checkpoint, *arguments):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{s.getsockname()[1]}"
    together = ("--coordinator", coordinator, "--num-processes", 2)
    return [start(folder, checkpoint, *together, "--process-id", i, *arguments) for i in (0, 1)]


def finish(processes):
    """Wait for all; return what they printed."""
    try:
        outputs = [process.communicate(timeout=LIMIT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode == 0 for process in processes), "\n".join(outputs)
    return outputs


def test_two_processes_end_where_one_does(tmp_path):
    """After 22 steps, in float64; the loss and accuracy that they print are the same, too."""
    (alone,) = finish([start(tmp_path, "one.safetensors", "--epochs", 1)])
    outputs = finish(start_two(tmp_path, "two.safetensors", "--epochs", 1))
    assert "2 processes, 2 devices, step 22" in outputs[0]
    assert [line for line in outputs[0].splitlines() if line.startswith("epoch")] == alone.splitlines()[:1]
    one, two = load_file(tmp_path / "one.safetensors"), load_file(tmp_path / "two.safetensors")
    assert one.keys() == two.keys()
    assert one["params.0.0"].dtype == np.float64
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_lost_process_ends_the_other_and_the_run_goes_on_with_the_same_bits(tmp_path):
    epochs = ("--epochs", 60)
    finish(start_two(tmp_path, "undisturbed.safetensors", *epochs))

    checkpoint = tmp_path / "lost.safetensors"
    processes = start_two(tmp_path, checkpoint.name, *epochs)
    try:
        deadline = time.monotonic() + LIMIT
        while not checkpoint.exists():
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.01)
        processes[1].send_signal(signal.SIGKILL)
        output, _ = processes[0].communicate(timeout=LIMIT)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    assert processes[0].returncode != 0, output
    step = int(load_file(checkpoint)["step"])
    assert 22 <= step < 22 * 60, "the run was over before the process was lost"

    first, _ = finish(start_two(tmp_path, checkpoint.name, *epochs))
    assert first.splitlines()[-1].startswith("2 processes, 2 devices, step 1320")
    assert f"epoch {step // 22:3d}" in first  # it went on, and did not begin anew
    assert f"epoch {0:3d}" not in first
    want, got = load_file(tmp_path / "undisturbed.safetensors"), load_file(checkpoint)
    assert want.keys() == got.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)
