"""Streams by websocket, and a server that stops."""

from __future__ import annotations

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from statewise.serving.limits import Limits

from .conftest import WIDTH, running


def inputs(seed, steps):
    return np.random.default_rng(seed).standard_normal((steps, WIDTH)).astype(np.float32)


def dial(server, path="net/streams", **told):
    return connect(f"{server.address}/{path}", compression=None, **told)


def say(socket, content):
    socket.send(content if isinstance(content, (str, bytes)) else json.dumps(content))
    return json.loads(socket.recv(timeout=20))


def test_many_at_once_read_their_own(server, net):
    def one(k):
        x = inputs(k, 8)
        with dial(server) as socket:
            place = json.loads(socket.recv())
            assert place["steps"] == 0
            said = [say(socket, {"x": part.tolist(), "at": at}) for at, part in ((0, x[:1]), (1, x[1:2]), (2, x[2:]))]
            assert [each["steps"] for each in said] == [1, 2, 8]
            y = np.concatenate([each["y"] for each in said])
            np.testing.assert_allclose(y, net.run(x[:, None])[:, 0], atol=1e-6)
            closed = say(socket, {"close": True})
            assert (closed["closed"], closed["steps"]) == (True, 8)
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
        return place["stream"]

    with ThreadPoolExecutor(10) as clients:
        names = list(clients.map(one, range(30)))
    assert len(set(names)) == 30
    assert server.ask("GET", f"/v1/models/net/streams/{names[0]}")[0] == 404


def test_a_lost_connection_goes_on(server, net):
    x = inputs(1, 3)
    with dial(server) as socket:
        name = json.loads(socket.recv())["stream"]
        first = say(socket, {"x": x[:1].tolist(), "at": 0})
    with dial(server, f"net/streams/{name}") as socket:
        assert json.loads(socket.recv()) == {"stream": name, "steps": 1}
        assert say(socket, {"x": x[:1].tolist(), "at": 0}) == first  # whose answer might have been lost
        with dial(server, f"net/streams/{name}") as other:  # before the server has noticed that the first is gone
            assert json.loads(other.recv())["steps"] == 1
            with pytest.raises(ConnectionClosed, match="another connection has taken the stream"):
                socket.recv(timeout=20)
            said = say(other, {"x": x[1:].tolist(), "at": 1})
    np.testing.assert_allclose(said["y"], net.run(x[:, None])[1:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("{", 400),
        (b"\x00\xff", 400),
        ("[" * 5000, 400),
        ({}, 422),
        ({"x": [[1.0] * WIDTH], "close": True}, 422),
        ({"x": [[1.0]]}, 422),
        ({"x": []}, 422),
        ('{"x": [[NaN, 1, 1]]}', 422),
        ({"x": [[1.0] * WIDTH], "at": 7}, 409),
        ({"x": [[1.0] * WIDTH], "stream": "another"}, 422),
    ],
)
def test_a_message_that_can_not_be_answered_changes_nothing(server, net, message, status):
    x = inputs(2, 2)
    with dial(server) as socket:
        socket.recv()
        say(socket, {"x": x[:1].tolist()})
        said = say(socket, message)
        assert list(said) == ["error"]
        assert said["error"]["status"] == status
        after = say(socket, {"x": x[1:].tolist(), "at": 1})
    np.testing.assert_allclose(after["y"], net.run(x[:, None])[1:, 0], atol=1e-6)


def test_a_state_by_message(server, net):
    x = inputs(4, 2)
    with dial(server) as socket:
        socket.recv()
        say(socket, {"x": x[:1].tolist()})
        kept = say(socket, {"state": True})
    _, place = server.post("net/streams", kept)
    _, said = server.post(f"net/streams/{place['stream']}", {"x": x[1:].tolist(), "at": 1})
    np.testing.assert_allclose(said["y"], net.run(x[:, None])[1:, 0], atol=1e-6)


@pytest.mark.parametrize("path", ["nothing/streams", "tagger/streams", "net/streams/0"])
def test_where_there_is_no_stream(server, path):
    with pytest.raises(InvalidStatus) as raised, dial(server, path):
        pass
    response = raised.value.response
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body)["status"] == 404


def test_who_may_not_come_in(server, files):
    with pytest.raises(InvalidStatus, match="403"), dial(server, origin="http://elsewhere"):
        pass
    token = "0123456789abcdef"
    with running({"net": files["net"]}, token=token, limits=Limits(streams=1)) as guarded:
        with pytest.raises(InvalidStatus, match="401"), dial(guarded):
            pass
        with dial(guarded, additional_headers={"authorization": f"Bearer {token}"}) as socket:
            assert json.loads(socket.recv())["steps"] == 0
            told = {"authorization": f"Bearer {token}"}
            with pytest.raises(InvalidStatus, match="503"), dial(guarded, additional_headers=told):
                pass


def test_a_message_that_is_too_large(files):
    with running({"net": files["net"]}, limits=Limits(body=0.001)) as server:
        with dial(server) as socket:
            socket.recv()
            socket.send(" " * 2000)
            with pytest.raises(ConnectionClosed, match="1009"):
                socket.recv(timeout=20)
        assert server.ask("GET", "/health/ready")[0] == 200


def test_a_client_that_does_not_read_is_cut_off(files):
    rows = json.dumps({"x": [[0.5] * WIDTH] * 3000})  # some 400 kB of answer
    with running({"net": files["net"]}, limits=Limits(timeout=0.3)) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with closing(socket.socket()) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect(("127.0.0.1", server.port))
            with dial(server, sock=plain, max_queue=1, close_timeout=0.1) as client:
                for _ in range(3):
                    client.send(rows)
                deadline = time.monotonic() + 20
                while server.app.sessions or server.server.server_state.connections:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
        assert server.ask("GET", "/health/ready")[0] == 200


def test_a_server_that_stops_gives_every_stream_its_state(files, net):
    x = inputs(6, 4)
    with running({"net": files["net"]}) as server, dial(server) as socket, dial(server) as other:
        socket.recv(), other.recv()
        say(socket, {"x": x[:3].tolist()})
        server.stop()
        last = json.loads(socket.recv(timeout=20))
        assert (last["stopping"], last["steps"]) == (True, 3)
        with pytest.raises(ConnectionClosed, match="1012"):
            socket.recv(timeout=20)
        assert json.loads(other.recv(timeout=20))["steps"] == 0
    with running({"net": files["net"]}) as again:
        _, place = again.post("net/streams", {"state": last["state"], "steps": last["steps"]})
        _, said = again.post(f"net/streams/{place['stream']}", {"x": x[3:].tolist(), "at": 3})
    np.testing.assert_allclose(said["y"], net.run(x[:, None])[3:, 0], atol=1e-6)


def test_streams_survive_in_a_folder(files, net, tmp_path):
    x = inputs(7, 3)
    with running({"net": files["net"]}, states=tmp_path) as server, dial(server) as socket:
        name = json.loads(socket.recv())["stream"]
        say(socket, {"x": x[:2].tolist()})
    with running({"net": files["net"]}, states=tmp_path) as again:
        with dial(again, f"net/streams/{name}") as socket:
            assert json.loads(socket.recv()) == {"stream": name, "steps": 2}
            said = say(socket, {"x": x[2:].tolist(), "at": 2})
        assert [each.name.startswith("net-") for each in tmp_path.iterdir()] == [True]
    np.testing.assert_allclose(said["y"], net.run(x[:, None])[2:, 0], atol=1e-6)


def test_the_client_of_the_documentation(server, net):
    text = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1].replace(":8000", f":{server.port}"), names)
    x = inputs(8, 5)
    np.testing.assert_allclose(names["read"](x.tolist()), net.run(x[:, None])[:, 0], atol=1e-6)


def test_streams_nobody_is_connected_to_are_dropped(files):
    with running({"net": files["net"]}, limits=Limits(keep=0.05)) as server, dial(server) as socket:
        kept = json.loads(socket.recv())["stream"]
        _, place = server.post("net/streams", {})
        while server.ask("GET", f"/v1/models/net/streams/{place['stream']}")[0] == 200:
            pass
        assert server.ask("GET", f"/v1/models/net/streams/{kept}")[0] == 200
