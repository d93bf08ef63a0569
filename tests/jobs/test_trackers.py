"""The curve for TensorBoard, trackio and Visdom; what they lack costs one warning."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from statewise.jobs.training import trackers
from statewise.jobs.training.callbacks import CallbackList
from statewise.jobs.training.trackers import Visdom, tensorboard, trackio

HISTORY = [
    {"epoch": 1, "update": 10, "seconds": 0.1, "loss": 2.0, "learning_rate": 0.1},
    {"epoch": 1, "update": 20, "seconds": 0.2, "loss": 1.0, "learning_rate": 0.1, "validation": {"mse": 3.0}},
]
LATER = {"epoch": 2, "update": 30, "seconds": 0.3, "loss": 0.5, "learning_rate": 0.05, "validation": {"mse": 2.0}}
CURVES = {
    "training loss": [(10, 2.0), (20, 1.0), (30, 0.5)],
    "learning rate": [(10, 0.1), (20, 0.1), (30, 0.05)],
    "validation mse": [(20, 3.0), (30, 2.0)],
}


def use(callback):
    callback.begin(HISTORY)
    callback.record(LATER)
    callback.close()


def lacking(monkeypatch, package, *modules):
    """Make ``package`` one that isn't installed; ``modules`` import it."""
    monkeypatch.setitem(sys.modules, package, None)
    for name in modules:
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(
    ("package", "modules", "make"),
    [("tensorboard", ["torch.utils.tensorboard"], tensorboard), ("trackio", [], lambda folder: trackio(folder.name))],
)
def test_without_the_package_there_is_one_warning(tmp_path, capsys, monkeypatch, package, modules, make):
    lacking(monkeypatch, package, *modules)
    use(make(tmp_path))
    said = f"statewise: warning: --{package}: needs {package}, going on without it: pip install {package}\n"
    assert capsys.readouterr() == ("", said)


class Run:
    """What stands in for ``trackio`` and for a run of it, where it isn't installed: keeps what it is told."""

    def __init__(self):
        self.told, self.points, self.finished = None, {}, 0

    def init(self, **told):
        self.told = told
        return self

    def log(self, measures, step):
        for name, value in measures.items():
            self.points.setdefault(name, []).append((step, value))

    def finish(self):
        self.finished += 1


def test_trackio_is_told_the_curve(monkeypatch):
    run = Run()
    monkeypatch.setitem(sys.modules, "trackio", run)
    use(trackio("my-run"))
    assert run.told == {"project": "statewise", "name": "my-run"}
    assert run.points == CURVES
    assert run.finished == 1


def test_trackio_tells_networks_apart(monkeypatch):
    run = Run()
    monkeypatch.setitem(sys.modules, "trackio", run)
    use(CallbackList([trackio("my-run")], "gru"))
    assert run.points == {f"gru/{name}": points for name, points in CURVES.items()}


def test_trackio_itself_keeps_the_curve(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="the package trackio isn't installed")
    use(trackio("my-run"))
    assert any(path.suffix == ".db" for path in tmp_path.rglob("statewise*"))


def read_events(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, pytest.approx(e.value)) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_tensorboard_reads_the_curve(tmp_path):
    pytest.importorskip("tensorboard")
    use(tensorboard(tmp_path))
    assert read_events(tmp_path) == CURVES


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_sees_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard")
    first = tensorboard(tmp_path)
    first.begin(HISTORY)
    first.record({**LATER, "loss": 99.0})  # after the checkpoint, so trained again
    first.close()
    use(tensorboard(tmp_path))
    assert read_events(tmp_path) == CURVES


class Server(ThreadingHTTPServer):
    """Keeps what is posted."""

    daemon_threads = True

    def __init__(self):
        self.posts = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(body or b"null")))
        self.answer(b"window")

    def do_GET(self):
        self.answer(b"{}")

    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        yield server
        server.shutdown()


def curves(posts):
    """What the windows of a Visdom server show after these posts: by window and line."""
    windows = {}
    for path, body in posts:
        assert path == "/events"
        assert body["eid"] == "my-run"
        assert body["opts"]["title"] == body["layout"]["title"] == body["win"]
        windows[body["win"]] = {
            line["name"]: [*zip(line["x"], line["y"], strict=True)]
            for line in body["data"]
            if line["type"] == "scatter"
        }
    return windows


def test_visdom_shows_the_curve(server):
    use(Visdom(server.url, "my-run"))
    assert curves(server.posts) == {name: {name: points} for name, points in CURVES.items()}


def test_visdom_shows_what_comes_meanwhile_and_every_network(server, monkeypatch):
    monkeypatch.setattr(trackers, "INTERVAL", 0.0)
    visdom = Visdom(server.url + "/", "my-run")
    lstm, gru = CallbackList([visdom], "lstm"), CallbackList([visdom], "gru")
    lstm.begin(HISTORY)
    assert len(curves(server.posts)) == 3
    lstm.record(LATER)
    assert curves(server.posts)["training loss"] == {"lstm": CURVES["training loss"]}
    lstm.begin(HISTORY)  # resumed
    gru.begin([])
    gru.record(LATER)
    assert curves(server.posts)["training loss"] == {"lstm": [(10, 2.0), (20, 1.0)], "gru": [(30, 0.5)]}


def test_visdom_waits_between_two_messages(server):
    visdom = Visdom(server.url, "my-run")
    visdom.begin(HISTORY)
    assert server.posts == []
    visdom.pace.next = time.monotonic()
    visdom.record(LATER)
    assert curves(server.posts) == {name: {name: points} for name, points in CURVES.items()}


def test_visdom_that_is_down_costs_one_warning(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        use(Visdom(f"http://127.0.0.1:{taken.getsockname()[1]}", "my-run"))
    error = capsys.readouterr().err
    assert "Connection refused" in error
    assert error.count("\n") == 1


def test_visdom_that_never_answers_is_waited_for_once(capsys, monkeypatch):
    monkeypatch.setattr(trackers, "ANSWER", 0.2)
    monkeypatch.setattr(trackers, "INTERVAL", 0.0)
    asked = []
    monkeypatch.setattr(
        trackers, "urlopen", lambda *args, **how: (asked.append(how["timeout"]), urlopen(*args, **how))[1]
    )
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        callback = Visdom(f"http://127.0.0.1:{deaf.getsockname()[1]}", "my-run")
        use(callback)
    assert asked == [0.2]
    error = capsys.readouterr().err
    assert "timed out; going on without it" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n", b"not HTTP at all\r\n\r\n"])
def test_something_else_that_answers_costs_one_warning(capsys, answer):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve():
            connection, _ = other.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        use(Visdom(f"http://127.0.0.1:{other.getsockname()[1]}", "my-run"))
        thread.join(5)
    error = capsys.readouterr().err
    assert "going on without it" in error
    assert error.count("\n") == 1
