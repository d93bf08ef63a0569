"""The command as a process: without torch, told to stop, killed; and what can't be used."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from statewise.cli import main

from .conftest import WIDTH

# What is torch's, or only the jobs', can't be imported.
WITHOUT = """
import importlib.abc, sys

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "matplotlib", "jinja2", "tqdm", "safetensors", "scipy"}:
            raise ImportError(f"{name} isn't there")

sys.meta_path.insert(0, Without())
from statewise.cli import main
sys.exit(main(sys.argv[1:]))
"""


def started(*words):
    """A server as a process, and its port."""
    command = [sys.executable, "-c", WITHOUT, "serve", *map(str, words), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    said = process.stdout.readline()
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+) serves (.*); Ctrl-C ends it\n", said)
    assert found, process.communicate()
    return process, int(found[1])


def step(socket, x, at):
    socket.send(json.dumps({"x": x.tolist(), "at": at}))
    return json.loads(socket.recv(timeout=20))


@pytest.mark.slow
def test_a_process_is_killed_and_another_told_to_stop(files, net, tmp_path):
    words = ["net=" + str(files["net"]), files["tagger"], files["writer"], files["translator"], files["classes"]]
    x = np.random.default_rng(0).standard_normal((4, WIDTH)).astype(np.float32)
    expected = net.run(x[:, None])[:, 0]
    process, port = started(*words, "--states", tmp_path / "states")
    try:
        with connect(f"ws://127.0.0.1:{port}/v1/models/net/streams") as socket:
            name = json.loads(socket.recv())["stream"]
            y = [step(socket, x[:1], 0)["y"], step(socket, x[1:2], 1)["y"]]
            process.kill()
            process.communicate()
        process, port = started(*words, "--states", tmp_path / "states")
        with connect(f"ws://127.0.0.1:{port}/v1/models/net/streams/{name}") as socket:
            assert json.loads(socket.recv()) == {"stream": name, "steps": 2}
            y += [step(socket, x[1:2], 1)["y"], step(socket, x[2:], 2)["y"]]
            assert y[1] == y[2]
            process.send_signal(signal.SIGTERM)
            assert json.loads(socket.recv(timeout=20))["stopping"] is True
        _, error = process.communicate(timeout=20)
        assert (process.returncode, error) == (0, "")
    finally:
        process.kill()
    np.testing.assert_allclose(np.concatenate([y[0], *y[2:]]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.safetensors"], "nothing.safetensors: No such file or directory"),
        ([], "required: FILE"),
        (["{net}", "{net}"], "a model is called net already"),
        (["{net}", "--port", "99999"], "expected a whole number from 0 to 65535, got '99999'"),
        (["{net}", "--streams", "0"], "expected a whole number of at least 1, got '0'"),
        (["{net}", "--host", "nowhere.invalid"], "nowhere.invalid:8000: "),
        (["{net}", "--token-file", "{net}"], "expected a token of 16 ASCII characters or more"),
        (["{net}", "--token-file", "nothing"], "nothing: No such file or directory"),
    ],
)
def test_what_can_not_be_used(files, capsys, words, said):
    words = [word.format(net=files["net"]) for word in words]
    try:
        status = main(["serve", *words])
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("statewise serve: ")
    assert error.count("\n") == 1
    assert said in error


def test_a_port_that_is_taken(server, files, capsys):
    assert main(["serve", str(files["net"]), "--port", str(server.port)]) == 2
    assert "Address already in use" in capsys.readouterr().err


# The image of a container, which isn't built here


DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
KNOWN = "FROM WORKDIR COPY RUN ENV USER EXPOSE ENTRYPOINT CMD VOLUME HEALTHCHECK ARG STOPSIGNAL"


def test_the_dockerfile():
    """The rules of hadolint that concern it, and those of its own."""
    text = DOCKERFILE.read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    assert {word for word, _ in steps} <= set(KNOWN.split())
    for word, told in steps:
        if word == "FROM":
            assert re.fullmatch(r"\S+:\d[\w.-]*( AS \w+)?", told), "a version, and not the latest (DL3006, DL3007)"
        if word == "RUN" and "apt-get install" in told:
            assert "--no-install-recommends" in told
            assert " -y" in told
            assert "rm -rf /var/lib/apt/lists/*" in told  # DL3009
        if word == "RUN" and "pip install" in told:
            assert "--no-cache-dir" in told  # DL3042
            assert "torch" not in told
            assert "--constraint constraints.txt" in told  # DL3013: pinned versions
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(told), list)  # DL3025
        if word == "WORKDIR":
            assert told.startswith("/")  # DL3000
        assert "sudo" not in told  # DL3004
    users = [told for word, told in steps if word == "USER"]
    assert users  # DL3002: the last user is not root
    assert users[-1].partition(":")[0] not in ("root", "0")
    assert [word for word, _ in steps].count("ENTRYPOINT") == 1


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint on this machine")
def test_the_dockerfile_by_hadolint():
    done = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_health_check_of_the_image(server):
    """What it runs says whether the server answers."""
    text = DOCKERFILE.read_text()
    code = json.loads(re.search(r"HEALTHCHECK .*?CMD (\[.*?\])$", text, re.MULTILINE | re.DOTALL)[1])
    assert code[:2] == ["python", "-c"]
    exec(code[2].replace(":8000", f":{server.port}"))
    with pytest.raises(OSError, match="refused"):
        exec(code[2].replace(":8000", ":1"))
