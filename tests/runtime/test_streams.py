"""Streams: a pool of them, and their states as bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import statewise
from statewise import runtime

WIDTH = 3


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    torch.manual_seed(0)
    statewise.save(statewise.LSTM(WIDTH, [5, 7], norm=True), path)
    return runtime.load(path)


def inputs(stream, step):
    return np.random.default_rng((stream, step)).standard_normal(WIDTH)


@settings(max_examples=60)
@given(
    moves=st.lists(
        st.one_of(
            st.just("add"),
            st.tuples(st.just("drop"), st.integers(0, 99)),
            st.tuples(st.just("step"), st.lists(st.integers(0, 99), max_size=12)),
            st.tuples(st.just("restart"), st.integers(0, 99)),
        ),
        max_size=40,
    )
)
def test_a_pool_gives_each_stream_what_it_would_get_alone(net, moves):
    pool, alone = net.pool(), {}

    def one(number):
        return list(alone)[number % len(alone)] if alone else None

    for move in moves:
        kind, told = (move, None) if isinstance(move, str) else move
        if kind == "add":
            stream = pool.add()
            assert stream not in alone
            alone[stream] = (net.start(1), 0)
        elif kind == "step":
            streams = list(dict.fromkeys(one(number) for number in told)) if alone else []
            x = np.array([inputs(s, alone[s][1]) for s in streams]).reshape(-1, WIDTH)
            found = pool.step(streams, x)
            for stream, row, y in zip(streams, x, found, strict=True):
                state, count = alone[stream]
                expected, state = net.step(row[None], state)
                alone[stream] = (state, count + 1)
                np.testing.assert_allclose(y, expected[0], atol=2e-6)
        elif alone and kind == "drop":
            stream = one(told)
            pool.drop(stream)
            del alone[stream]
        elif alone:  # kept as bytes, dropped, and gone on with under another number
            stream = one(told)
            kept = net.to_bytes(pool.state(stream))
            pool.drop(stream)
            alone[pool.add(net.from_bytes(kept))] = alone.pop(stream)
        assert len(pool) == len(alone)
        assert all(stream in pool for stream in alone)


def test_a_new_stream_has_nothing_of_a_dropped_one(net):
    pool, x = net.pool(), np.ones((1, WIDTH))
    first = pool.add()
    expected = pool.step([first], x)
    pool.step([first], x)
    pool.drop(first)
    second = pool.add()
    assert second != first
    np.testing.assert_array_equal(pool.step([second], x), expected)
    with pytest.raises(KeyError):
        pool.step([first], x)


def test_what_a_pool_refuses_changes_no_stream(net):
    pool = net.pool()
    a, b = pool.add(), pool.add()
    before = net.to_bytes(pool.state(a)), net.to_bytes(pool.state(b))
    with pytest.raises(ValueError, match="a stream is there twice"):
        pool.step([a, a], np.ones((2, WIDTH)))
    with pytest.raises(ValueError, match="the state"):
        pool.step([a, b], np.ones((1, WIDTH)))
    with pytest.raises(KeyError):
        pool.step([a, 17], np.ones((2, WIDTH)))
    with pytest.raises(ValueError, match="expected the state of one row of this network, got one of 2"):
        pool.add(net.start(2))
    assert (net.to_bytes(pool.state(a)), net.to_bytes(pool.state(b))) == before


def test_a_state_survives_as_bytes(net):
    _, state = net.feed(np.ones((4, 3, WIDTH)), net.start(3))
    kept = net.to_bytes(state)
    assert kept == net.to_bytes(state)
    expected, _ = net.step(np.ones((3, WIDTH)), state)
    found, _ = net.step(np.ones((3, WIDTH)), net.from_bytes(kept))
    np.testing.assert_array_equal(found, expected)


def test_damaged_and_foreign_states_are_refused(net, tmp_path):
    kept = net.to_bytes(net.feed(np.ones((4, 3, WIDTH)), net.start(3))[1])
    said = []
    for at in range(0, len(kept), 7):
        damaged = bytearray(kept)
        damaged[at] ^= 0x10
        try:
            found = net.from_bytes(bytes(damaged))
        except runtime.LoadError as error:
            said.append(str(error))
        else:  # what isn't looked at: the version that wrote it, a blank
            assert net.to_bytes(found) == kept
    assert all(line.startswith("the state: ") for line in said)
    assert len(said) > len(kept) / 14
    for end in (0, 7, 50, len(kept) - 1):
        with pytest.raises(runtime.LoadError, match=r"the state: not a whole .safetensors file"):
            net.from_bytes(kept[:end])
    torch.manual_seed(1)
    statewise.save(statewise.LSTM(WIDTH, [5, 7], norm=True), tmp_path / "other.safetensors")  # of other weights
    with pytest.raises(runtime.LoadError, match="another network's"):
        runtime.load(tmp_path / "other.safetensors").from_bytes(kept)
    with pytest.raises(runtime.LoadError, match="expected a state of format 1, got 'network' of format 1"):
        net.from_bytes((tmp_path / "other.safetensors").read_bytes())


@pytest.mark.parametrize("layers", [1, 2])
def test_a_state_of_other_rows_is_refused(layers, tmp_path):
    statewise.save(statewise.LSTM(WIDTH, 4, layers), tmp_path / "net.safetensors")
    net = runtime.load(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="the state doesn't fit"):
        net.step(np.ones((3, WIDTH)), net.start(1))


def test_what_is_no_state_is_refused(net):
    x, (first, *rest) = np.ones((2, WIDTH)), net.start(2)
    odd = [(), (first,), [first, *rest], (1, *rest), (first[:1], *rest)]
    odd += [((*first[:1], second), *rest) for second in (first[1].astype(np.float64), first[1][0], "c", None)]
    for state in odd:
        for call in (lambda state=state: net.step(x, state), lambda state=state: net.feed(x[None], state)):
            with pytest.raises(ValueError, match="the state doesn't fit"):
                call()


def test_arrays_may_lie_anyhow(net):
    x = np.random.default_rng(0).standard_normal((4, WIDTH)).astype(np.float32)
    state = net.feed(x[None], net.start(4))[1]
    expected, after = net.step(x, state)
    apart = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)  # at an odd address
    apart[...] = x
    strided = tuple(tuple(array.repeat(2, axis=0)[::2] for array in each) for each in state)
    for lying in (apart, np.asfortranarray(x), x.repeat(2, axis=1)[:, ::2], x.astype(">f4"), x.tolist()):
        found, then = net.step(lying, strided)
        np.testing.assert_array_equal(found, expected)
        assert net.to_bytes(then) == net.to_bytes(after)
        np.testing.assert_array_equal(net.feed([lying], strided)[0][0], expected)
