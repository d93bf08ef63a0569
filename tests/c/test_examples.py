"""The examples, built as a program of one's own would be: on the installed library, by CMake and by pkg-config."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import wave

import numpy as np
import pytest
import torch
from torch import nn

import statewise
from statewise import runtime

from .conftest import ROOT, built

EXAMPLES = ROOT / "examples" / "c"


def run(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **more).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where the library and its header are installed."""
    path = built()
    if path is None:
        pytest.skip("libstatewise isn't built, or older than its sources: make cpp-test")
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", path.parent, "--component", "c", "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def programs(installed, tmp_path_factory):
    """The folder of the programs."""
    folder = tmp_path_factory.mktemp("programs")
    run("cmake", "-S", EXAMPLES, "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", folder)
    return folder


def compiled(source, installed, program):
    """``source`` as a program, with what pkg-config says."""
    if not shutil.which("pkg-config"):
        pytest.skip("there is no pkg-config")
    (folder,) = {path.parent for path in installed.rglob("statewise.pc")}
    found = os.environ | {"PKG_CONFIG_PATH": str(folder)}
    told = run("pkg-config", "--define-prefix", "--cflags", "--libs", "statewise", env=found).split()
    run("cc", source, "-o", program, *told, f"-Wl,-rpath,{folder.parent}")


def saved(model, path):
    statewise.save(model, path)
    return runtime.load(path)


@pytest.mark.slow
def test_a_row_of_each_line(programs, tmp_path):
    torch.manual_seed(0)
    net = saved(statewise.LSTM(3, 5), tmp_path / "net.safetensors")
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    text = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in x)
    found = run(programs / "steps", tmp_path / "net.safetensors", input=text)
    expected = net.run(x[:, None])[:, 0]
    np.testing.assert_allclose([[float(v) for v in line.split()] for line in found.splitlines()], expected, atol=1e-5)


@pytest.mark.slow
def test_the_page_on_running_in_c(installed, tmp_path, monkeypatch):
    """What it saves in Python gives in C the numbers that it prints in Python."""
    python, program = re.findall(
        r"^```(?:python|c)\n(.*?)^```", (ROOT / "docs/howto/c.md").read_text(), re.DOTALL | re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(python, names)
    (tmp_path / "lstm.c").write_text(program)
    compiled("lstm.c", installed, tmp_path / "lstm")
    found = run(tmp_path / "lstm")
    expected = names["net"].run(names["x"][:, None, None])[:, 0, 0]
    np.testing.assert_allclose([float(line) for line in found.splitlines()], expected, atol=1e-5)


@pytest.mark.slow
def test_audio(programs, tmp_path):
    """A small amplifier: a layer, and what it is added to."""

    class Amplifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.output = statewise.LSTM(1, 12), nn.Linear(12, 1)

        def forward(self, x):
            return self.output(self.recurrent(x)[0]) + x

    torch.manual_seed(0)
    net = saved(Amplifier(), tmp_path / "net.safetensors")
    time = np.arange(1000)
    samples = (12000 * np.sin(time * 0.05) * np.exp(-time / 500)).astype("<i2")
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(48000)
        file.writeframes(samples.tobytes())
    run(programs / "filter", tmp_path / "net.safetensors", tmp_path / "in.wav", tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav"), "rb") as file:
        found = np.frombuffer(file.readframes(2000), "<i2")
    expected = net.run((samples / np.float32(32768))[:, None, None])[:, 0, 0] * 32768
    assert len(found) == 1000
    np.testing.assert_allclose(found, np.clip(expected, -32768, 32767), atol=0.6)
    for words in ((), ("net.safetensors", "net.safetensors", "out.wav"), ("in.wav", "in.wav", "out.wav")):
        refused = subprocess.run([programs / "filter", *words], cwd=tmp_path, capture_output=True, text=True)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_pkg_config(installed, tmp_path):
    compiled(EXAMPLES / "steps.c", installed, tmp_path / "steps")
    saved(statewise.GRU(1, 2), tmp_path / "net.safetensors")
    assert len(run(tmp_path / "steps", tmp_path / "net.safetensors", input="0.5\n1\n").splitlines()) == 2
