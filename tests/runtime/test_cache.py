"""A writer's cache: held against plain loops, whole, in parts and a step at a time, and what its file may say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from statewise import runtime
from statewise.runtime import cache as caching
from statewise.runtime import file
from statewise.runtime.cache import Cache
from statewise.runtime.writer import Writer
from statewise.serving import rows, streams

WORDS = ["\n", "<unk>", *"abcdefghij"]
V, E, H = len(WORDS), 3, 5


def writer(size=6, sharpness=1.7, share=0.3, seed=0):
    random = np.random.default_rng(seed)
    shapes = {"weight_ih_l0": (3 * H, E), "weight_hh_l0": (3 * H, H), "bias_ih_l0": 3 * H, "bias_hh_l0": 3 * H}
    arrays = {f"layer.{name}": random.normal(0, 0.7, shape) for name, shape in shapes.items()}
    arrays |= {"embedding.weight": random.normal(0, 1, (V, E)), "output.weight": random.normal(0, 0.5, (V, H))}
    arrays |= {"output.bias": random.normal(0, 0.5, V)}
    content = {
        "inputs": [{"name": "x", "kind": "symbols", "width": V}],
        "ops": [
            {"op": "embedding"},
            {"op": "recurrent", "name": "layer", "cell": "gru", "hidden_size": H, "num_layers": 1},
            {"op": "linear", "name": "output"},
            {"op": "activation", "function": "log_softmax"},
        ],
        "labels": WORDS,
        "level": "word",
        "merges": [],
    }
    if size:
        content["cache"] = {"size": size, "sharpness": sharpness, "share": share}
    return Writer(content, {name: array.astype(np.float32) for name, array in arrays.items()})


def by_loops(net, ids):
    """What ``net`` is to say of each step of ``ids`` (T,): (T, V), in float64."""
    size, sharpness, share = net.cache.size, net.cache.sharpness, net.cache.share
    states, _ = net.states(ids[:, None], None)
    states, alone = states[:, 0].astype(np.float64), np.exp(writer(0).run(ids[:, None])[:, 0].astype(np.float64))
    found = []
    for t in range(len(ids)):
        seen = range(max(0, t - size), t)
        said = alone[t].copy()
        if seen:
            weights = [math.exp(sharpness * float(states[t] @ states[i])) for i in seen]
            now = share * 1.1 * len(seen) / (len(seen) + size / 10)  # all of it once the cache is full
            said *= 1 - now
            for i, weight in zip(seen, weights, strict=True):
                said[ids[i + 1]] += now * weight / sum(weights)
        found.append(said)
    return np.array(found)


@pytest.mark.parametrize(("size", "steps", "block"), [(6, 1, 256), (6, 63, 256), (6, 63, 5), (1, 20, 7), (500, 40, 9)])
def test_it_says_what_plain_loops_say(size, steps, block, monkeypatch):
    monkeypatch.setattr(caching, "AT_ONCE", block)
    net, ids = writer(size), np.random.default_rng(1).integers(0, V, (steps, 3))
    found = np.exp(net.run(ids))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)
    for row in range(3):
        np.testing.assert_allclose(found[:, row], by_loops(net, ids[:, row]), rtol=2e-5, atol=1e-7)


def test_in_parts_and_step_by_step_it_says_the_same(monkeypatch):
    net, ids = writer(), np.random.default_rng(2).integers(0, V, (25, 2))
    whole = net.run(ids)
    state, said = net.start(2), []
    for x in ids[:10]:
        y, state = net.step(x, state)
        said.append(y)
    state = net.from_bytes(net.to_bytes(state))
    for begin, end in ((10, 11), (11, 25)):
        y, state = net.feed(ids[begin:end], state)
        said += list(y)
    np.testing.assert_allclose(np.array(said), whole, rtol=1e-5, atol=1e-5)
    pool = net.pool()
    streams = [pool.add(), pool.add()]
    for t, x in enumerate(ids):
        order = [1, 0] if t % 2 else [0, 1]
        y = pool.step([streams[k] for k in order], x[order])
        np.testing.assert_allclose(y[order], whole[t], rtol=1e-5, atol=1e-5)


def test_lengths_and_resets_are_each_rows_own():
    net, ids = writer(), np.random.default_rng(3).integers(0, V, (12, 3))
    lengths = np.array([12, 1, 7])
    found, state = net.feed(ids, net.start(3), lengths)
    more = np.random.default_rng(4).integers(0, V, (4, 3))
    after, _ = net.feed(more, state)
    for row, length in enumerate(lengths):
        alone = net.run(np.concatenate([ids[:length, row], more[:, row]])[:, None])[:, 0]
        np.testing.assert_allclose(np.concatenate([found[:length, row], after[:, row]]), alone, rtol=1e-5, atol=1e-5)
        assert not found[length:, row].any()
    reset = np.zeros((12, 3), bool)
    reset[5, 1] = True
    found = net.run(ids, reset=reset)
    np.testing.assert_allclose(found[5:, 1], net.run(ids[5:, 1:2])[:, 0], rtol=1e-5, atol=1e-5)


def test_the_state_of_another_cache_is_refused():
    data = writer(sharpness=1.0).to_bytes(writer(sharpness=1.0).start(1))
    with pytest.raises(runtime.LoadError, match="another network's"):
        writer(sharpness=2.0).from_bytes(data)
    assert writer().fingerprint == writer().fingerprint != writer(0).fingerprint


@pytest.mark.parametrize(
    "told",
    [
        7,
        {},
        {"size": 5, "share": 0.5},
        {"size": 0, "sharpness": 1.0, "share": 0.5},
        {"size": 10**9, "sharpness": 1.0, "share": 0.5},
        {"size": True, "sharpness": 1.0, "share": 0.5},
        {"size": 5, "sharpness": -1.0, "share": 0.5},
        {"size": 5, "sharpness": float("nan"), "share": 0.5},
        {"size": 5, "sharpness": 1.0, "share": 1.0},
        {"size": 5, "sharpness": "1", "share": 0.5},
    ],
)
def test_what_is_no_cache_is_refused(told):
    with pytest.raises(file.LoadError, match="expected a cache"):
        Cache.of(told)


def test_a_server_puts_rows_together_and_takes_them_apart():
    """As the server writes for several clients at once, and keeps streams as bytes."""
    net, random = writer(), np.random.default_rng(5)
    asked = [random.integers(0, V, steps) for steps in (9, 2, 8)]
    found, state = rows.forward(net, [(ids,) for ids in asked], rows.joined([net.start(1) for _ in asked]))
    layout = streams._Layout(net)
    state = layout.unpack(layout.pack(state, 3))
    for row, ids in enumerate(asked):
        more = random.integers(0, V, 3)
        (later,), _ = rows.forward(net, [(more,)], rows.take(state, [row]))
        alone = net.run(np.concatenate([ids, more])[:, None])[:, 0]
        np.testing.assert_allclose(np.concatenate([found[row][0], later[0]]), alone, rtol=1e-5, atol=1e-5)
