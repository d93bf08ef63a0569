"""Streams: what they say, what a kill leaves of them, and the bytes that are handed out."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statewise import runtime
from statewise.jobs.errors import InputError
from statewise.serving.problem import Problem
from statewise.serving.rows import forward, run
from statewise.serving.streams import HEADER, Kept, Opened, Place, Read, Steps, Streams

WIDTH = 3


def inputs(seed, steps):
    return np.random.default_rng(seed).standard_normal((steps, WIDTH)).astype(np.float32)


def opened(streams, **told):
    (place,) = streams.open([Opened(**told)])
    assert isinstance(place, Place)
    return place.stream


def step(streams, name, x, at=None):
    (said,) = streams.step([Steps(name, (x,), at)])
    return said


def test_each_reads_its_own(net):
    streams = Streams(net, 40)
    names = [opened(streams) for _ in range(40)]
    x = {name: inputs(k, 9) for k, name in enumerate(names)}
    at = dict.fromkeys(names, 0)
    random = np.random.default_rng(0)
    for _ in range(6):
        some = [names[k] for k in random.permutation(40)[: random.integers(1, 41)]]
        count = {name: int(random.integers(1, 10 - at[name])) for name in some if at[name] < 9}
        asked = [Steps(name, (x[name][at[name] : at[name] + n],), at[name]) for name, n in count.items()]
        for name, said in zip(count, streams.step(asked), strict=True):
            expected = net.run(x[name][:, None])[at[name] : at[name] + count[name], 0]
            np.testing.assert_allclose(said.y[0], expected, atol=1e-6)
            at[name] += count[name]
            assert said.steps == at[name]


def test_a_request_is_repeated_to_the_same_effect(net):
    streams, x = Streams(net, 2), inputs(0, 6)
    name = opened(streams)
    first = step(streams, name, x[:2], at=0)
    second = step(streams, name, x[2:5], at=2)
    again = step(streams, name, x[2:5], at=2)
    np.testing.assert_array_equal(second.y[0], again.y[0])
    assert (first.steps, second.steps, again.steps) == (2, 5, 5)
    np.testing.assert_allclose(step(streams, name, x[5:], at=5).y[0], net.run(x[:, None])[5:, 0], atol=1e-6)
    refused = step(streams, name, x, at=2)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.detail) == (409, "the stream has read 6 steps, not 2")


def test_a_state_goes_on_elsewhere(net):
    here, there, x = Streams(net, 1), Streams(net, 1), inputs(0, 5)
    name = opened(here)
    step(here, name, x[:3])
    (kept,) = here.close([name])
    assert isinstance(kept, Kept)
    assert len(here) == 0
    assert here.place([name])[0].status == 404
    again = opened(there, state=kept.state, steps=kept.steps)
    said = step(there, again, x[3:], at=3)
    np.testing.assert_allclose(said.y[0], net.run(x[:, None])[3:, 0], atol=1e-6)


@pytest.mark.parametrize("bad", ["", "cut", "flipped", "two rows", "another's"])
def test_a_state_that_is_none(net, bad):
    whole = net.to_bytes(net.start(2 if bad == "two rows" else 1))
    data = {"": b"", "cut": whole[:-5], "flipped": whole[:-1] + b"\1", "another's": whole.replace(b'"lstm"', b'"gru"')}
    if bad == "another's":
        data[bad] = whole.replace(net.fingerprint.encode(), b"0" * 64)
    (problem,) = Streams(net, 1).open([Opened(data.get(bad, whole))])
    assert isinstance(problem, Problem)
    assert problem.status == 422
    assert problem.detail.startswith("the state: ")


def test_no_more_than_may_be(net):
    streams = Streams(net, 2)
    names = [opened(streams), opened(streams)]
    (problem,) = streams.open([Opened()])
    assert problem.status == 503
    streams.close(names[:1])
    assert opened(streams) not in names


def test_they_expire_unless_somebody_is_connected(net, monkeypatch):
    streams = Streams(net, 3)
    old, attached = opened(streams), opened(streams)
    streams.attached.add(attached)
    now = time.time()
    monkeypatch.setattr("statewise.serving.streams.time.time", lambda: now + 100)
    new = opened(streams)
    assert streams.expire([50.0]) == [1]
    assert [name in streams for name in (old, attached, new)] == [False, True, True]


# A file


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.sampled_from(["open", "step", "repeat", "close", "kill"]), st.integers(0, 99)), max_size=20)
)
def test_a_kill_at_any_time_loses_nothing(net, tmp_path_factory, moves):
    """What is in the file is what was said: it is read while the old server still has it."""
    folder = tmp_path_factory.mktemp("killed")
    streams, alone = Streams(net, 4, folder / "0"), {}
    for move, number in moves:
        name = list(alone)[number % len(alone)] if alone else None
        if move == "open" and len(alone) < 4:
            alone[opened(streams)] = []
        elif move == "kill":
            copy = folder / str(len(list(folder.iterdir())))
            shutil.copy(folder / "0", copy)
            found = Streams(net, 4, copy)
            assert [found.place([each])[0].steps for each in alone] == [len(read) for read in alone.values()]
            assert len(found) == len(alone)
            for each, read in alone.items():
                x = inputs(1, 1)
                y = net.run(np.array([*read, x[0]])[:, None])[-1, 0]
                np.testing.assert_allclose(step(found, each, x, len(read)).y[0][0], y, atol=1e-6)
            found.end()
        elif name is not None and move == "close":
            streams.close([name])
            del alone[name]
        elif name is not None:
            x = inputs(number, 1 + number % 3)
            at = len(alone[name])
            assert step(streams, name, x, at).steps == at + len(x)
            if move == "repeat":
                assert isinstance(step(streams, name, x, at), Read)
            alone[name] += list(x)
    streams.end()


def test_a_state_that_was_half_written_is_the_one_before(net, tmp_path):
    path, x = tmp_path / "streams", inputs(0, 3)
    streams = Streams(net, 1, path)
    name = opened(streams)
    step(streams, name, x[:1], 0)
    step(streams, name, x[1:2], 1)
    streams.end()
    torn = bytearray(path.read_bytes())
    record = (len(torn) - HEADER) // 1
    half = (record - 24) // 2
    torn[HEADER + 24 + 20] ^= 1  # of the first half, in which the second request was written
    path.write_bytes(torn)
    again = Streams(net, 1, path)
    assert half > 20
    assert again.place([name])[0].steps == 1
    np.testing.assert_allclose(step(again, name, x[1:2], 1).y[0], net.run(x[:, None])[1:2, 0], atol=1e-6)
    again.end()
    torn[HEADER + 24 + half + 20] ^= 1  # and of the other
    path.write_bytes(torn)
    lost = Streams(net, 1, path)
    assert (len(lost), lost.lost) == (0, 1)
    assert opened(lost) != name


def test_a_file_of_another_network_or_in_use(net, net_file, tmp_path):
    path = tmp_path / "folder" / "streams"
    streams = Streams(net, 1, path)
    with pytest.raises(InputError, match="another server has it open"):
        Streams(net, 1, path)
    streams.end()
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(InputError, match="expected the streams of this very model"):
        Streams(net, 1, path)
    with pytest.raises(InputError, match="Is a directory"):
        Streams(net, 1, tmp_path)


def test_there_may_be_more_and_fewer_after_a_start(net, tmp_path):
    path = tmp_path / "streams"
    streams = Streams(net, 1, path)
    first = opened(streams)
    streams.end()
    streams = Streams(net, 3, path)
    names = [first, opened(streams), opened(streams)]
    streams.end()
    streams = Streams(net, 1, path)
    assert [name in streams for name in names] == [True] * 3
    assert streams.open([Opened()])[0].status == 503
    streams.end()


# Rows


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9))
@settings(max_examples=30)
def test_sequences_of_any_length_beside_one_another(net, lengths):
    x = [(inputs(k, n),) for k, n in enumerate(lengths)]
    for (given_x,), (y,) in zip(x, run(net, x), strict=True):
        np.testing.assert_allclose(y, net.run(given_x[:, None])[:, 0], atol=1e-6)
    half, state = forward(net, [(each[: (len(each) + 1) // 2],) for (each,) in x], net.start(len(x)))
    rest, _ = forward(net, [(np.concatenate([each[(len(each) + 1) // 2 :], each[:1]]),) for (each,) in x], state)
    for (each,), (a,), (b,) in zip(x, half, rest, strict=True):
        whole = net.run(np.concatenate([each, each[:1]])[:, None])[:, 0]
        np.testing.assert_allclose(np.concatenate([a, b]), whole, atol=1e-6)


def test_a_network_that_makes_fewer_steps_of_them(tmp_path):
    """Rows of different lengths aren't padded then: how many of its steps are a row's, the network alone knows."""
    ops = [{"op": "segment", "size": 2}, {"op": "linear", "name": "out"}]
    arrays = {"out.weight": inputs(0, 2 * WIDTH)[:, :2].T.copy(), "out.bias": np.zeros(2, np.float32)}
    content = {"inputs": [{"name": "x", "kind": "values", "width": WIDTH}], "ops": ops}
    path = tmp_path / "segments.safetensors"
    path.write_bytes(runtime.file.write("network", 1, content, arrays))
    net = runtime.load(path)
    x = [inputs(k, n) for k, n in enumerate([5, 9, 5, 8, 12, 9, 5, 8])]
    for given_x, (y,) in zip(x, run(net, [(each,) for each in x]), strict=True):
        assert len(y) == -(-len(given_x) // 2)
        np.testing.assert_allclose(y, net.run(given_x[:, None])[:, 0], atol=1e-6)


@pytest.mark.parametrize("torn", [False, True])
def test_what_is_answered_survives_a_loss_of_power(torn, net, tmp_path, monkeypatch):
    """The disk has what was last synced, and of what came since any of the sectors or none."""
    path, disk, random = tmp_path / "streams", [b""], np.random.default_rng(0)
    synced = np.memmap.flush
    monkeypatch.setattr(np.memmap, "flush", lambda mapped: (synced(mapped), disk.__setitem__(0, path.read_bytes()))[0])
    streams = Streams(net, 3, path, durable=True)
    names = [opened(streams) for _ in range(2)]
    answered = dict.fromkeys(names, 0)

    def lost_power(may_be_further):
        """That every stream is where it was answered to be, or where it would have been answered to be."""
        now, image = np.frombuffer(path.read_bytes(), np.uint8), np.frombuffer(disk[0], np.uint8).copy()
        for at in range(0, len(image), 512):
            if torn and random.random() < 0.5:
                image[at : at + 512] = now[at : at + 512]
        (tmp_path / "image").write_bytes(image.tobytes())
        found = Streams(net, 3, tmp_path / "image")
        for name, steps in answered.items():
            (place,) = found.place([name])
            assert place.steps in (steps, steps + 1 if may_be_further else steps)
        found.end()

    put = Streams._put

    def interrupted(self, *told):
        put(self, *told)
        lost_power(True)

    monkeypatch.setattr(Streams, "_put", interrupted)
    for t in range(6):
        some = names[t % 2 :]
        said = streams.step([Steps(name, (inputs(t, 1),), answered[name]) for name in some])
        answered |= {name: each.steps for name, each in zip(some, said, strict=True)}
        lost_power(False)
    streams.end()
