"""Many threads on one network: a Python without a lock lets them run at once, and the module doesn't switch one on."""

import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from statewise import runtime
from statewise.runtime import file

INPUTS, H, T, N = 6, 24, 40, 3
THREADS, ROUNDS = 6, 30
CELLS = {"lstm": 4, "gru": 3}


@pytest.fixture(params=CELLS)
def network(request, tmp_path):
    """A layer of the cell and a linear head, which no torch has made."""
    random, rows = np.random.default_rng(0), CELLS[request.param] * H
    shapes = {"weight_ih_l0": (rows, INPUTS), "weight_hh_l0": (rows, H), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    arrays = {f"r.{name}": random.normal(0, 0.3, shape).astype("float32") for name, shape in shapes.items()}
    arrays |= {"o.weight": random.normal(0, 0.3, (2, H)).astype("float32"), "o.bias": np.zeros(2, "float32")}
    recurrent = {"op": "recurrent", "name": "r", "cell": request.param, "hidden_size": H}
    content = {
        "inputs": [{"name": "x", "kind": "values", "width": INPUTS, "dtype": "float32"}],
        "ops": [recurrent, {"op": "linear", "name": "o"}],
    }
    path = tmp_path / "network.safetensors"
    path.write_bytes(file.write("network", 1, content, arrays))
    return runtime.load(path)


def test_threads_share_a_network(network):
    x = np.random.default_rng(1).normal(size=(THREADS, T, N, INPUTS)).astype("float32")
    alone = [network.run(rows) for rows in x]

    def work(at):
        for _ in range(ROUNDS):
            np.testing.assert_array_equal(network.run(x[at]), alone[at])
            state, steps = network.start(N), []
            for step in x[at]:
                y, state = network.step(step, state)
                steps.append(y.copy())
            np.testing.assert_allclose(steps, alone[at], rtol=1e-5, atol=1e-6)
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(work, range(THREADS)))


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a lock")
def test_the_lock_stays_off(network):
    assert not sys._is_gil_enabled()
