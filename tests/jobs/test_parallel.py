"""Two processes make the same training as one: real ones, started as torchrun does, over gloo."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

import toy
from statewise.jobs import InputError
from statewise.jobs.parallel import Group, find_device

# 61 rows in batches of 5: the last one has a single row, fewer than there are processes.
ARGUMENTS = ("--epochs", "3", "--batch", "5", "--rows", "61", "--plain")


def run(folder, *options, processes, timeout=180):
    folder.mkdir(exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, toy.__file__, str(folder), *ARGUMENTS, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


def assert_same_training(ours, theirs, number=0):
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
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(one, "--fits", "2", processes=1).returncode == 0
    done = run(two, "--fits", "2", processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begin 0") == 2  # for each of the two networks, and once
    for number in range(2):
        assert_same_training(two, one, number)
    bits = [load_file(two / f"0-{rank}.safetensors") for rank in range(2)]
    torch.testing.assert_close(*bits, rtol=0, atol=0)


@pytest.mark.slow
def test_two_processes_go_on_after_a_kill(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole, processes=2).returncode == 0
    broken.mkdir()
    with pytest.raises(subprocess.TimeoutExpired):  # of the launcher; it is killed, and its processes with it
        run_until_checkpoint(broken)
    done = run(broken, processes=2)
    assert done.returncode == 0, done.stderr
    (begun,) = [line for line in done.stdout.splitlines() if line.startswith("begin")]
    assert int(begun.split()[1]) > 0
    for rank in range(2):
        ours, theirs = (load_file(folder / f"0-{rank}.safetensors") for folder in (broken, whole))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert toy.log(broken / "metrics-0.jsonl") == toy.log(whole / "metrics-0.jsonl")


def run_until_checkpoint(folder):
    """Kill both processes with -9 once there is a checkpoint."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", toy.__file__]
    process = subprocess.Popen(
        [sys.executable, *command, str(folder), *ARGUMENTS, "--pause", "0.05"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for _ in range(600):
        if (folder / "0.checkpoint").exists():
            break
        time.sleep(0.1)
    os.killpg(process.pid, 9)
    process.wait(10)
    raise subprocess.TimeoutExpired(command, 0)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_fails_all_end(tmp_path, rank):
    began = time.monotonic()
    done = run(tmp_path, "--fail", str(rank), processes=2, timeout=90)
    assert done.returncode != 0
    assert "this process fails" in done.stderr
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_what_the_first_refuses_all_refuse(tmp_path):
    (tmp_path / "0.checkpoint").write_text("not a checkpoint")
    done = run(tmp_path, processes=2)
    assert done.returncode != 0
    for rank in range(2):
        assert f"refused by {rank}: {tmp_path / '0.checkpoint'}: not a whole .safetensors file" in done.stdout


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
