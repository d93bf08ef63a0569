"""Threads change nothing: results are the same to the bit for any number, from any thread, and in a forked worker.

Memory that a call gets is filled with NaN first, so that an element which nobody wrote is seen.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader, Dataset

import statewise
from oracle import LAYERS, flat
from statewise import ops
from statewise.ops import dlpack

T, N, I, H = 11, 45, 7, 50  # noqa: E741
FORMS = {
    "dense": {},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "projected": {"proj_size": 9, "num_layers": 2, "bias": False},
    "lengths": {"bidirectional": True, "num_layers": 2, "dropout": 0.5},
    "packed": {"bidirectional": True, "proj_size": 3},
    "layers": {"num_layers": 3, "dropout": 0.5},
}


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _reconnected():
    yield
    dlpack.connect()


@pytest.fixture
def poisoned(_reconnected):
    """What is allocated for a call is NaN, or 0xFF where it is bytes. Gives the list of the tensors so made."""
    made = []

    def filled(allocate):
        def of(*args, **kwargs):
            tensor = allocate(*args, **kwargs)
            made.append(tensor.fill_(0xFF if tensor.dtype == torch.uint8 else torch.nan))
            return tensor

        return of

    dlpack.connect(filled(torch.empty_like), filled(torch.Tensor.new_empty))
    return made


def case(kind, form, dtype=torch.float32, n=N, t=T):
    """A call that gives output, states and all gradients."""
    torch.manual_seed(3)
    layer = getattr(statewise, kind)(I, H, dtype=dtype, **FORMS[form])
    sizes = torch.linspace(n, max(1, n - t), t).long()  # (T,)
    x = torch.randn(*[int(sizes.sum())] if form == "packed" else [t, n], I, dtype=dtype)
    hx = [torch.randn(layer._depth, n, size, dtype=dtype) for size in layer._state_sizes]
    lengths = torch.arange(n) * 53 % (t + 1)

    def call():
        torch.manual_seed(4)  # the masks'
        leaves = [v.clone().requires_grad_() for v in (x, *hx)]
        given = PackedSequence(leaves[0], sizes) if form == "packed" else leaves[0]
        state = leaves[1] if len(hx) == 1 else tuple(leaves[1:])
        results = flat(layer(given, state, lengths=lengths if form == "lengths" else None))
        cotangents = [torch.linspace(-1, 2, r.numel(), dtype=dtype).view_as(r) for r in results]
        found = torch.autograd.grad(results, [*leaves, *layer.parameters()], cotangents)
        return [r.detach() for r in results] + list(found)

    return call


def assert_same(found, expected):
    assert len(found) == len(expected)
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(a, b), f"result {k}"


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_number_of_threads_gives_the_same_bits(kind, form, dtype):
    call = case(kind, form, dtype)
    torch.set_num_threads(1)
    expected = call()
    assert not any(v.isnan().any() for v in expected)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert_same(call(), expected)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 3])
def test_threads_that_help_change_nothing(kind, form, n):
    """Of few rows each layer has a thread to itself, and the others take pieces of its products."""
    call = case(kind, form, n=n, t=190)
    torch.set_num_threads(1)
    expected = call()
    assert not any(v.isnan().any() for v in expected)
    for threads in (2, 3, 7):
        torch.set_num_threads(threads)
        for _ in range(3):
            assert_same(call(), expected)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("t", [0, 1])
def test_nothing_is_left_unwritten_by_short_calls(kind, t):
    layer = getattr(statewise, kind)(I, H, 2, bidirectional=True, proj_size=3)
    for n, lengths in ((0, None), (1, None), (3, [0, 0, 0]), (3, [t, 0, t])):
        x = torch.randn(t, n, I, requires_grad=True)
        results = flat(layer(x, lengths=lengths))
        found = torch.autograd.grad(sum(r.sum() for r in results), [x, *layer.parameters()])
        assert all(v.isfinite().all() for v in (*results, *found))


def test_the_poison_works(poisoned):
    layer = statewise.GRU(I, H)
    layer(torch.zeros(2, 3, I))[0].sum().backward()
    assert len(poisoned) == 3 + 4  # results and tape, gradients


@pytest.mark.parametrize("threads", [1, 2])
def test_two_callers_at_once(threads):
    torch.set_num_threads(threads)
    calls = [case(kind, form) for kind, form in (("LSTM", "both directions"), ("GRU", "projected"))]
    expected = [call() for call in calls]
    start = threading.Barrier(2)

    def repeatedly(k):
        torch.set_num_threads(threads)  # torch counts them for each thread
        start.wait()
        return [calls[k]() for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        for k, found in enumerate(pool.map(repeatedly, range(2))):
            for results in found:
                assert_same(results, expected[k])


def of_a_worker():
    """So few numbers that torch's own operations need one thread: they hang in a forked process where they don't."""
    return case("LSTM", "both directions", n=20)()


class InWorker(Dataset):
    """Its items are computed where they are asked for: forward and backward."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        torch.set_num_threads(2)  # a DataLoader's worker has one
        return of_a_worker()


def test_a_forked_worker_computes_too():
    """After the parent has used several threads, where GNU's OpenMP would hang in the child."""
    torch.set_num_threads(2)
    expected = of_a_worker()
    loader = DataLoader(InWorker(), batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=60)
    items = list(loader)
    assert len(items) == 2
    for item in items:
        assert_same(item, expected)
    assert_same(of_a_worker(), expected)


def test_other_python_threads_run_meanwhile():
    """One call of the kernels, within which a thread that only counts gets on."""
    torch.set_num_threads(1)
    layer = statewise.LSTM(64, 256)
    x = torch.randn(400, 32, 64)
    count, stop, running = 0, threading.Event(), threading.Event()

    def counts():
        nonlocal count
        while not stop.is_set():
            count += 1
            running.set()

    other = threading.Thread(target=counts)
    other.start()
    try:
        running.wait()
        seen = []
        run_eager = ops.run_eager

        def watched(*args):
            before = count
            results = run_eager(*args)
            seen.append(count - before)
            return results

        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(ops, "run_eager", watched)
            layer(x)
    finally:
        stop.set()
        other.join()
    assert len(seen) == 1
    assert seen[0] > 1000
