"""The curve for TensorBoard and Visdom, with their own packages; what they lack costs one warning."""

from __future__ import annotations

import builtins
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from statewise.jobs.training import trackers as adapters
from statewise.jobs.training.callbacks import Named
from statewise.jobs.training.trackers import TensorBoard, Visdom

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


def use(watch):
    watch.begin(HISTORY)
    watch.record(LATER)
    watch.close()


@pytest.fixture
def without(monkeypatch):
    """Makes a package impossible to import."""

    def hide(package):
        real = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name.partition(".")[0] == package or (package == "tensorboard" and name == "torch.utils.tensorboard"):
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)

    return hide


def test_without_tensorboard_there_is_one_warning(tmp_path, capsys, without):
    without("tensorboard")
    use(TensorBoard(tmp_path))
    said = "statewise: warning: --tensorboard: needs tensorboard, going on without it: pip install tensorboard\n"
    assert capsys.readouterr() == ("", said)


def read_events(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, pytest.approx(e.value)) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_tensorboard_reads_the_curve(tmp_path):
    pytest.importorskip("tensorboard")
    use(TensorBoard(tmp_path))
    assert read_events(tmp_path) == CURVES


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_sees_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard")
    first = TensorBoard(tmp_path)
    first.begin(HISTORY)
    first.record({**LATER, "loss": 99.0})  # after the checkpoint, so trained again
    first.close()
    use(TensorBoard(tmp_path))
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
    monkeypatch.setattr(adapters, "INTERVAL", 0.05)
    visdom = Visdom(server.url + "/", "my-run")
    lstm, gru = Named(visdom, "lstm"), Named(visdom, "gru")
    lstm.begin(HISTORY)
    wait(lambda: len(curves(server.posts)) == 3)
    lstm.record(LATER)
    lstm.begin(HISTORY)  # resumed
    gru.begin([])
    gru.record(LATER)
    wait(lambda: curves(server.posts)["training loss"] == {"lstm": [(10, 2.0), (20, 1.0)], "gru": [(30, 0.5)]})
    visdom.close()


def wait(until):
    for _ in range(100):
        if until():
            return
        time.sleep(0.05)
    assert until()


def test_visdom_that_is_down_costs_one_warning_and_no_time(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        watch = Visdom(f"http://127.0.0.1:{taken.getsockname()[1]}", "my-run")
        use(watch)
        assert not watch.thread.is_alive()
    error = capsys.readouterr().err
    assert "Connection refused" in error
    assert error.count("\n") == 1


def test_visdom_that_never_answers_costs_one_warning_and_holds_nobody_up(capsys, monkeypatch):
    monkeypatch.setattr(adapters, "PATIENCE", 0.7)
    monkeypatch.setattr(adapters, "INTERVAL", 0.01)
    posting, post = [], Visdom._post
    monkeypatch.setattr(Visdom, "_post", lambda self, m: (posting.append(threading.current_thread()), post(self, m)))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        watch = Visdom(f"http://127.0.0.1:{deaf.getsockname()[1]}", "my-run")
        watch.begin(HISTORY)
        watch.record(LATER)
        wait(lambda: posting)
        assert posting == [watch.thread]
        watch.close()
        assert watch.thread.is_alive()  # it waits still, and we don't
        error = capsys.readouterr().err
        assert "is slow, the end of the curve may be missing there" in error
        assert error.count("\n") == 1
    watch.thread.join(10)


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
