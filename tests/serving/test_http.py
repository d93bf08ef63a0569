"""What is asked by HTTP, and what isn't answered."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from statewise import runtime
from statewise.jobs import Classifier
from statewise.jobs.artifacts.model_file import Kernels
from statewise.jobs.errors import InputError
from statewise.serving.hosting import Hosted, named
from statewise.serving.limits import Limits
from statewise.serving.metrics import Metrics
from statewise.serving.rows import forward

from .conftest import WIDTH, running


def inputs(seed, steps):
    return np.random.default_rng(seed).standard_normal((steps, WIDTH)).astype(np.float32)


# What each kind of model answers


def test_clients_at_once_get_their_own(server, net):
    def one(k):
        x = inputs(k, 1 + k % 7)
        status, said = server.post("net/run", {"x": x.tolist()})
        assert status == 200
        np.testing.assert_allclose(said["y"], net.run(x[:, None])[:, 0], atol=1e-6)

    with ThreadPoolExecutor(12) as clients:
        list(clients.map(one, range(60)))


def test_weights_in_fewer_bits(files, net):
    x, kernels = inputs(0, 5), Kernels(1, "int8")
    told = Hosted("net", files["net"], Limits(), Metrics(), kernels=kernels)
    (found,) = told.operations["run"].compute([(x,)])
    told.close()
    expected = net.run(x[:, None])[:, 0]
    assert 0 < np.abs(np.array(found["y"]) - expected).max() < 0.1


def test_classes(server, files):
    net = runtime.load(files["classes"])
    x = np.random.default_rng(5).normal(size=(6, 2))
    x[2, 1] = np.nan
    asked = [[None if np.isnan(value) else value for value in row] for row in x.tolist()]
    status, said = server.post("classes/classify", {"x": asked})
    assert status == 200
    found = {each["label"]: each["probability"] for each in said["probabilities"]}
    np.testing.assert_allclose([found[label] for label in net.labels], net.run(x[:, None])[0], atol=1e-6)
    assert said["label"] == max(found, key=found.get)


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """Classifiers that are more than a network: of texts, and with MiniROCKET beside it."""
    folder, labels = tmp_path_factory.mktemp("beside"), ["up", "down"] * 10
    x = [np.random.default_rng(k).normal(size=(12, 2)) for k in range(20)]
    once = {"units": 4, "epochs": 1, "validation_share": 0.0}
    Classifier(**once, gaps="carry", minirocket=True).fit(x, labels).save(folder / "rocket.safetensors")
    Classifier(**once).fit(["good day", "bad night"] * 10, labels).save(folder / "texts.safetensors")
    return {name: folder / f"{name}.safetensors" for name in ("rocket", "texts")}


@pytest.mark.slow
def test_classes_of_texts_and_with_features_beside_the_network(beside):
    texts, rocket = (runtime.load(beside[name]) for name in ("texts", "rocket"))
    x = np.random.default_rng(99).normal(size=(12, 2))
    x[3, 0] = np.nan
    asked = [[None if np.isnan(value) else value for value in row] for row in x.tolist()]
    with running(beside) as server:
        for path, told, y, labels in (
            ("texts/classify", {"text": "good night"}, texts.run(["good night"])[0], texts.labels),
            ("rocket/classify", {"x": asked}, rocket.run([x])[0], rocket.labels),
        ):
            status, said = server.post(path, told)
            assert status == 200
            found = {each["label"]: each["probability"] for each in said["probabilities"]}
            np.testing.assert_allclose([found[label] for label in labels], y, atol=1e-6)
        for path, told, detail in (
            ("texts/classify", {}, "expected either text or symbols"),
            ("texts/classify", {"symbols": ["good"]}, "the model reads texts"),
            ("rocket/classify", {"x": [[1.0]]}, "x[0]: List should have at least 2 items"),
        ):
            status, said = server.post(path, told)
            assert (status, detail in said["detail"]) == (422, True), said


def test_texts_that_are_written_together(server):
    def one(seed):
        told = {"prompt": "the ", "length": 9, "temperature": 0.7, "seed": seed}
        status, said = server.post("writer/write", told)
        assert status == 200
        return said["text"]

    alone = [one(seed) for seed in range(6)]
    assert len(set(alone)) > 1
    assert all(len(text) == 9 for text in alone)
    with ThreadPoolExecutor(6) as clients:
        assert list(clients.map(one, range(6))) == alone


def test_tags(server, files):
    words = ["Joan", "sat", "in", "Rome"]
    status, said = server.post("tagger/tag", {"text": "Joan sat in Rome"})
    assert (status, said["words"]) == (200, words)
    assert said["tags"] == runtime.load(files["tagger"]).tag([words])[0]
    assert server.post("tagger/tag", {"words": words}) == (200, said)


def test_translations(server, files):
    expected = runtime.load(files["translator"]).translate(["two"], beam=2)[0]
    status, said = server.post("translator/translate", {"text": "two", "beam": 2})
    assert status == 200
    assert [each["text"] for each in said["targets"]] == [best.text for best in expected]


def test_a_stream(server, net):
    x = inputs(3, 6)
    expected = net.run(x[:, None])[:, 0]
    status, place = server.post("net/streams", {})
    assert (status, place["steps"]) == (201, 0)
    path = f"net/streams/{place['stream']}"
    _, first = server.post(path, {"x": x[:2].tolist(), "at": 0})
    _, again = server.post(path, {"x": x[:2].tolist(), "at": 0})
    assert first == again
    np.testing.assert_allclose(first["y"], expected[:2], atol=1e-6)
    assert server.ask("GET", f"/v1/models/{path}") == (200, {"stream": place["stream"], "steps": 2})
    assert server.post(path, {"x": x[:1].tolist(), "at": 1})[0] == 409
    _, kept = server.ask("GET", f"/v1/models/{path}/state")
    assert server.ask("DELETE", f"/v1/models/{path}") == (200, kept)
    assert server.post(path, {"x": x.tolist()})[0] == 404
    _, other = server.post("net/streams", kept)
    _, rest = server.post(f"net/streams/{other['stream']}", {"x": x[2:].tolist(), "at": 2})
    assert rest["steps"] == 6
    np.testing.assert_allclose(rest["y"], expected[2:], atol=1e-6)


# What can't be answered


ROW = [0.5] * WIDTH
BAD = [
    ("net/run", b"{", 400, "EOF"),
    ("net/run", b"", 400, "EOF"),
    ("net/run", b"\xff\xfe", 400, ""),
    ("net/run", b"[" * 100_000, 400, "recursion limit"),
    ("net/run", b"[]", 422, "object"),
    ("net/run", {}, 422, "x: Field required"),
    ("net/run", {"x": [ROW], "more": 1}, 422, "more: is not known here"),
    ("net/run", {"x": []}, 422, "x: List should have at least 1 item"),
    ("net/run", {"x": [ROW, ROW[:-1]]}, 422, "x[1]: List should have at least 3 items"),
    ("net/run", {"x": [ROW + ROW]}, 422, "x[0]: List should have at most 3 items"),
    ("net/run", {"x": [["1", 2, 3]]}, 422, "x[0][0]: Input should be a valid number, got '1'"),
    ("net/run", {"x": [[True, 2, 3]]}, 422, "x[0][0]: "),
    ("net/run", b'{"x": [[NaN, 2, 3]]}', 422, "x[0][0]: Input should be a finite number"),
    ("net/run", b'{"x": [[null, 2, 3]]}', 422, "x[0][0]: "),
    ("net/run", b'{"x": [[1e999, 2, 3]]}', 422, "x[0][0]: "),
    ("net/run", b'{"x": [[1' + b"0" * 400 + b", 2, 3]]}", 422, "x[0][0]: "),
    ("net/run", b'{"x": [[1' + b"0" * 5000 + b", 2, 3]]}", 400, "number out of range"),
    ("net/run", {"x": [[1e39, 2, 3]]}, 422, "x: expected numbers that float32 has room for"),
    ("net/run", {"x": [ROW] * 101}, 422, "x: List should have at most 100 items"),
    ("net/run", b'{"x": [' + b"[1, 2, 3]," * 30_000, 413, "expected 100000 bytes at most"),
    ("net/sing", {}, 404, "net can do run"),
    ("nothing/run", {}, 404, "there is no model 'nothing'; there is net"),
    ("net/streams", {"state": "?"}, 422, "state: expected base64"),
    ("net/streams", {"state": "AAAA"}, 422, "the state: not a whole"),
    ("net/streams", {"steps": -1}, 422, "steps: "),
    ("net/streams/0", {"x": [ROW]}, 404, "there is no stream 0"),
    ("net/streams/0", {"x": [ROW], "at": 2**70}, 422, "at: "),
    ("classes/classify", {"x": [[1, "2"]]}, 422, "x[0][1]"),
    ("writer/write", {"prompt": "ü"}, 422, "prompt: the model has never seen the character 'ü'"),
    ("writer/write", {"length": 0}, 422, "length: "),
    ("writer/write", {"length": 10**9}, 422, "length: "),
    ("writer/write", {"temperature": -1}, 422, "temperature: "),
    ("writer/write", {"prompt": "the " * 100}, 422, "prompt: "),
    ("tagger/tag", {}, 422, "expected either words or text"),
    ("tagger/tag", {"words": []}, 422, "words: "),
    ("tagger/tag", {"text": " "}, 422, "text: expected 1 to 100 words, got 0"),
    ("tagger/tag", {"words": ["a"], "features": [["b"]]}, 422, "features: expected 0 columns"),
    ("tagger/streams", {}, 404, "tagger reads whole sequences: it has no streams"),
    ("translator/translate", {"text": ""}, 422, "text: "),
    ("translator/translate", {"text": "one", "beam": 1000}, 422, "beam: "),
]


@pytest.fixture(scope="module")
def strict(files):
    """A server with little patience."""
    limits = Limits(body=0.1, length=100, timeout=0.3, streams=2, connections=20)
    with running(files, limits=limits) as found:
        yield found


@pytest.mark.parametrize(("path", "body", "status", "detail"), BAD)
def test_one_clear_error(strict, path, body, status, detail):
    response, content = strict.ask("POST", f"/v1/models/{path}", body, raw=True)
    said = json.loads(content)
    assert (response.status, said["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in said["detail"]
    assert len(said["detail"]) < 500
    assert set(said) == {"type", "title", "status", "detail"}


def test_an_answer_that_would_be_too_large(files):
    with running({"net": files["net"]}, limits=Limits(answer=20)) as server:
        status, said = server.post("net/run", {"x": [ROW] * 3})
    assert (status, said["detail"]) == (422, "x: expected 2 steps at most, got 3: each of them answers 7")


def test_odd_requests(strict):
    good = json.dumps({"x": [ROW]})
    path = "/v1/models/net/run"
    assert strict.ask("POST", path, good, {"content-type": "text/plain"})[0] == 415
    assert strict.ask("POST", path, good, {"content-encoding": "gzip"})[0] == 415
    assert strict.ask("GET", path)[0] == 405
    assert strict.ask("GET", "/nothing")[0] == 404
    assert strict.ask("GET", "/v1/models/../../etc/passwd")[0] == 404
    assert strict.ask("POST", path, good, {"origin": "http://elsewhere"})[0] == 403
    assert strict.ask("POST", path, good, {"origin": f"http://127.0.0.1:{strict.port}"})[0] == 200
    assert strict.ask("POST", path, good, {"expect": "100-continue"})[0] == 200


def talk(port, data, wait=b"", timeout=5):
    """What comes back on a bare socket until it is closed, after ``data`` and, when there is an answer, ``wait``."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        if not wait:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
        return found


HEAD = b"POST /v1/models/net/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("data", "begin"),
    [
        (b"\x00\x01\x02 nothing like it\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 6\r\n\r\n", b"HTTP/1.1 400"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nno number\r\n", b"HTTP/1.1 400"),
        (b"", b""),
        (b"GET / HT", b""),
    ],
)
def test_bytes_that_are_no_request(strict, data, begin):
    assert talk(strict.port, data).startswith(begin)
    assert strict.ask("GET", "/health/ready")[0] == 200


@pytest.mark.parametrize(
    ("data", "begin"),
    [
        (b"GET / HTTP/1.1\r\nho", b""),  # no whole head
        (b"", b""),
        (HEAD + b"content-length: 20\r\n\r\n{", b"HTTP/1.1 408"),  # no whole body
        (HEAD + b"content-length: 99999999999999999999\r\n\r\n", b"HTTP/1.1 413"),
        (HEAD + b"expect: 100-continue\r\ncontent-length: 9999999\r\n\r\n", b"HTTP/1.1 413"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nfffff\r\n" + b" " * 0xFFFFF + b"\r\n", b"HTTP/1.1 413"),
    ],
)
def test_a_client_that_is_too_slow_is_closed(strict, data, begin):
    assert talk(strict.port, data, wait=b"more").startswith(begin)


def test_a_second_request_that_never_comes_whole(strict):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        found = b""
        while b"live" not in found:
            found += connection.recv(65536)
        for part in (b"GET ", b"/health", b"/live HT"):
            connection.sendall(part)
        assert connection.recv(65536) == b""


def test_one_connection_too_many(strict):
    held = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(20)]
    try:
        deadline = time.monotonic() + 10
        while not (said := talk(strict.port, b"GET / HTTP/1.1\r\n", wait=b"more")).startswith(b"HTTP/1.1 503"):
            assert time.monotonic() < deadline
        assert b"20 connections are open" in said
    finally:
        for each in held:
            each.close()
    while strict_answers(strict) != 200:
        assert time.monotonic() < deadline + 10


def strict_answers(strict):
    try:
        return strict.ask("GET", "/health/ready")[0]
    except OSError:
        return 0


def test_a_client_that_does_not_read_its_answer_is_cut_off(files):
    body = json.dumps({"x": [ROW] * 3000}).encode()  # some 400 kB of answer
    told = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with running({"net": files["net"]}, limits=Limits(timeout=0.3)) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(told)
            assert connection.recv(10).startswith(b"HTTP/1.1")
            deadline = time.monotonic() + 4  # as long as a connection that is idle is kept, and that was none
            while server.server.server_state.connections:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert server.post("net/run", {"x": [ROW]})[0] == 200


def test_no_more_streams_than_may_be(strict):
    opened = [strict.post("net/streams", {})[1]["stream"] for _ in range(2)]
    response, content = strict.ask("POST", "/v1/models/net/streams", {}, raw=True)
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert json.loads(content)["detail"] == "2 streams are open, and no more may be"
    for name in opened:
        strict.ask("DELETE", f"/v1/models/net/streams/{name}")


def test_a_defect_is_told_without_its_inside(files, monkeypatch, caplog):
    with running({"net": files["net"]}) as server:
        monkeypatch.setattr("statewise.serving.kinds.network.run", lambda *told: 1 / 0)
        status, said = server.post("net/run", {"x": [ROW]})
        monkeypatch.undo()
        assert server.post("net/run", {"x": [ROW]})[0] == 200
    assert (status, said["detail"]) == (500, "a defect of the server's; its log says more")
    assert "ZeroDivisionError" in caplog.text


def test_a_request_whose_client_has_gone_is_given_up(files, monkeypatch):
    steps = []

    def counted(*told):
        steps.append(None)
        time.sleep(0.005)
        return forward(*told)

    monkeypatch.setattr("statewise.serving.kinds.write.forward", counted)
    body = json.dumps({"length": 10_000}).encode()
    with running({"writer": files["writer"]}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            head = HEAD.replace(b"net/run", b"writer/write") + b"content-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            while not steps:
                time.sleep(0.001)
        (model,) = server.models
        deadline = time.monotonic() + 20
        before = -1
        while len(steps) != before:
            before = len(steps)
            time.sleep(0.1)
            assert time.monotonic() < deadline
    assert len(steps) < 5000
    assert len(model.batcher) == 0


# Who may come in


def test_a_token(files):
    token = "0123456789abcdef"
    with running({"net": files["net"]}, token=token) as server:
        for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/models/net/streams", "/nothing"):
            for given in ((), [("authorization", "Bearer 0123456789abcdeF")], [("authorization", token)]):
                response, content = server.ask("GET", path, headers=given, raw=True)
                assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
                assert json.loads(content)["detail"] == "expected the token of this server"
        assert server.ask("GET", "/v1/models", headers=[("authorization", f"Bearer {token}")])[0] == 200
        for path in ("/", "/health/live", "/health/ready"):
            assert server.ask("GET", path, raw=True)[0].status == 200


def test_a_page_that_had_another_name_resolved_to_this_machine(files):
    with running({"net": files["net"]}, hosts=["localhost", "127.0.0.1"]) as server:
        assert server.ask("GET", "/v1/models")[0] == 200
        assert server.ask("GET", "/v1/models", headers=[("host", f"localhost:{server.port}")])[0] == 200
        assert server.ask("GET", "/v1/models", headers=[("host", "evil.example")])[0] == 421


# What the server says of itself


def references(content):
    if isinstance(content, dict):
        for key, value in content.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(content, list):
        for value in content:
            yield from references(value)


def test_the_description_is_whole(server, files):
    _, described = server.ask("GET", "/openapi.json")
    assert described["openapi"].startswith("3.1")
    for reference in references(described):
        found = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    assert "security" not in described
    paths = described["paths"]
    for name in files:
        _, about = server.ask("GET", f"/v1/models/{name}")
        for operation in about["operations"]:
            body = paths[f"/v1/models/{name}/{operation}"]["post"]["requestBody"]["content"]["application/json"]
            assert body["schema"]["$ref"].startswith(f"#/components/schemas/{name}.")
        assert (f"/v1/models/{name}/streams" in paths) == about["streams"]
    for path, told in paths.items():
        method = "GET" if "get" in told else "POST"
        asked = re.sub(r"\{model\}", "net", path)
        assert server.ask(method, asked, {} if method == "POST" else None, raw=True)[0].status not in (404, 405) or (
            "{stream}" in path or path.endswith("/streams")
        )


def test_metrics(server):
    server.post("net/run", {"x": [ROW]})
    server.post("net/run", {"x": []})
    response, content = server.ask("GET", "/metrics", raw=True)
    assert response.headers["content-type"].startswith("text/plain")
    text = content.decode()
    for status in (200, 422):
        count = re.search(rf'statewise_requests_total{{model="net",operation="run",status="{status}"}} (\S+)', text)
        assert float(count[1]) >= 1
    for name in ("request_seconds_bucket", "batch_rows_sum", "batch_seconds_count", "waiting", "streams"):
        assert f"statewise_{name}" in text


def test_names_of_models(tmp_path):
    path = Path("runs/write-1/model.safetensors")
    assert named(["a.safetensors", "b=dir/a.safetensors", str(path)]) == {
        "a": Path("a.safetensors"),
        "b": Path("dir/a.safetensors"),
        "write-1": path,
    }
    for words, said in ([["a", "x/a"], "called a already"], [["a b"], "expected a name"], [["=a"], "expected a name"]):
        with pytest.raises(InputError, match=said):
            named(words)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"no model", "not a whole .safetensors file")])
def test_a_file_that_is_no_model(tmp_path, content, said):
    path = tmp_path / "no.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        Hosted("no", path, Limits(), Metrics())
    assert threading.active_count() < 50
