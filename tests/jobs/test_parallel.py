"""Two processes make the same training as one: real ones, started as torchrun does, over gloo."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import toy
from commands import ended
from statewise.jobs import InputError
from statewise.jobs.training.distributed import Group, find_device

# 61 rows in batches of 5: the last one has a single row, fewer than there are processes.
ARGUMENTS = ("--epochs", "3", "--batch", "5", "--rows", "61", "--plain")


def begin(folder, *options):
    """Two processes that train into ``folder``."""
    folder.mkdir(exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, toy.__file__, str(folder), *ARGUMENTS, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_same_training(ours, theirs, number):
    one, two = (toy.log(folder / f"metrics-{number}.jsonl") for folder in (theirs, ours))
    assert [r["update"] for r in one] == [r["update"] for r in two]
    for expected, record in zip(one, two, strict=True):
        assert record["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert record.get("validation", {}) == pytest.approx(expected.get("validation", {}), rel=1e-4)
    expected = load_file(theirs / f"{number}-0.safetensors")
    for rank in range(2):
        weights = load_file(ours / f"{number}-{rank}.safetensors")
        torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    """Three networks one after the other, of which the last is refused; then a process fails, and both end."""
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    (two / "2.checkpoint").write_text("not a checkpoint")
    launched = begin(two, "--fits", "3", "--fail", "1")
    one.mkdir()
    assert toy.main([str(one), *ARGUMENTS, "--fits", "2"]) == 0
    out, error = ended(launched)
    assert launched.returncode != 0
    assert "this process fails" in error
    assert out.count("begin 0") == 3  # for each of the networks that were trained and the one that failed, and once
    for number in range(2):
        assert_same_training(two, one, number)
    bits = [load_file(two / f"0-{rank}.safetensors") for rank in range(2)]
    torch.testing.assert_close(*bits, rtol=0, atol=0)
    for rank in range(2):
        assert f"refused by {rank}: {two / '2.checkpoint'}: not a whole .safetensors file" in out
        assert not (two / f"2-{rank}.safetensors").exists()


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_broken_off(tmp_path):
    """In the second of three epochs of 13 updates; then the other process fails."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    launched = [begin(whole), begin(broken, "--break-off", "20", "--fail", "0")]
    (_, error), (out, _) = map(ended, launched)
    assert launched[0].returncode == 0, error
    assert launched[1].returncode != 0
    begun = [int(line.split()[1]) for line in out.splitlines() if line.startswith("begin")]
    assert (begun[0], begun[2]) == (0, 0)
    assert 0 < begun[1] < 39
    for rank in range(2):
        ours, theirs = (load_file(folder / f"0-{rank}.safetensors") for folder in (broken, whole))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert toy.log(broken / "metrics-0.jsonl") == toy.log(whole / "metrics-0.jsonl")


def test_shares_are_all_rows_once():
    rows = torch.arange(7)
    shares = [Group(rank, 3).share(rows) for rank in range(3)]
    assert sorted(int(row) for mine, counted in shares for row in mine) == list(range(7))
    assert all(counted for _, counted in shares)
    mine, counted = Group(2, 3).share(rows[:2])
    assert (mine.tolist(), counted) == ([0], False)
    assert Group().share(rows) == (rows, True)


def test_alone_nothing_is_shared():
    group = Group()
    assert group.leads
    assert group.total(2.5) == 2.5
    assert group.told(lambda: "x") == "x"
    model = torch.nn.Linear(1, 1)
    assert group.wrap(model) is model
    with pytest.raises(InputError):
        group.told(refuse)


def refuse():
    raise InputError("no")


def test_devices_have_their_plain_names():
    assert find_device("cpu") == torch.device("cpu")
