"""Servers on real sockets, each in a thread of the test's own process, and the models that they serve."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.client import HTTPConnection

import numpy as np
import pytest
import torch

import statewise
from statewise import runtime
from statewise.jobs import Classifier, Tagger, Translator, Writer
from statewise.serving.app import Application
from statewise.serving.hosting import Hosted
from statewise.serving.limits import Limits
from statewise.serving.metrics import Metrics
from statewise.serving.server import Server, configured, listen

WIDTH = 3


class Running:
    """A server that runs, and a client's way to it."""

    def __init__(self, files, limits, states=None, **told):
        metrics = Metrics()
        self.models = [Hosted(name, path, limits, metrics, states) for name, path in files.items()]
        self.app = Application(self.models, limits, metrics, **told)
        self.socket = listen("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.server = Server(configured(self.app))
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve([self.socket])))
        self.thread.start()
        self.address = f"ws://127.0.0.1:{self.port}/v1/models"

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.socket.close()

    def ask(self, method, path, body=None, headers=(), raw=False):
        """Status and JSON of one request; with ``raw`` the response and its bytes."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = json.dumps(body) if body is not None and not isinstance(body, (bytes, str)) else body
            connection.request(method, path, data, {"content-type": "application/json", **dict(headers)})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return (response, content) if raw else (response.status, json.loads(content))

    def post(self, path, body):
        return self.ask("POST", f"/v1/models/{path}", body)


@contextmanager
def running(files, states=None, limits=None, **told):
    """A server of ``files`` by name."""
    found = Running(files, limits or Limits(), states, **told)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def net_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    statewise.save(statewise.LSTM(WIDTH, [5, 7], norm=True), path)
    return path


@pytest.fixture(scope="session")
def net(net_file):
    return runtime.load(net_file)


@pytest.fixture(scope="session")
def files(tmp_path_factory, net_file):
    """A model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    once = {"units": 4, "epochs": 1, "validation_share": 0.0}
    x = np.random.default_rng(0).normal(size=(12, 6, 2))
    Classifier(**once, gaps="carry").fit(list(x), ["up", "down"] * 6).save(folder / "classes.safetensors")
    Writer(**once, embedding=4).fit("the cat sat on the mat\n" * 9).save(folder / "writer.safetensors")
    words, tags = [["Joan", "sat"], ["in", "Rome"]], [["B-PER", "O"], ["O", "B-LOC"]]
    Tagger(**once, crf=True).fit(words, tags).save(folder / "tagger.safetensors")
    Translator(**once, embedding=4).fit(["one", "two"], ["1", "2"]).save(folder / "translator.safetensors")
    names = ["classes", "writer", "tagger", "translator"]
    return {"net": net_file} | {name: folder / f"{name}.safetensors" for name in names}


@pytest.fixture(scope="session")
def server(files):
    with running(files) as found:
        yield found
