"""What all jobs promise: a run that is killed goes on to the same bits, and several processes make the run of one.

The kill is an exception that nobody expects, the processes are shares of a batch, one after the other. That real kills
and real processes are no different is tested once for each: here for the commands, in ``test_checkpoint.py`` and
``test_parallel.py`` for the loop.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import in_turn
from commands import finished, kill, logged, start
from statewise import cli
from statewise.jobs.tasks.forecast.tasks import StepTask
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.translate.pairs import dates
from statewise.jobs.tasks.write import job as write_job
from statewise.jobs.tasks.write.job import NAMES
from statewise.jobs.tasks.write.text import lines_of
from statewise.jobs.training.callbacks import CallbackList
from statewise.jobs.training.distributed import Group


def numbers(seed: int) -> str:
    lines = [f"{i},{50 + seed + 10 * ((i * i) % 7) + i % 12:.1f}" for i in range(200)]
    return "\n".join(["step,value", *lines]) + "\n"


def classes(seed: int) -> str:
    """Sequences that hover around the number of their class."""
    draw = np.random.default_rng(seed)
    rows = [
        (f"s{i}", step, "ab"[i % 2], *(i % 2 + draw.normal(0, 0.3, 2)))
        for i in range(50)
        for step in range(draw.integers(3, 7))
    ]
    return pl.DataFrame(rows, schema=["id", "step", "label", "x", "y"], orient="row").write_csv()


def prose(seed: int) -> str:
    draw = random.Random(seed)
    known = ["the", "a", "old", "man", "sea", "went", "to", "and", "saw", "fish"]
    return " ".join(draw.choice(known) for _ in range(1000))


def names(seed: int) -> str:
    return "".join(f"{line}\n" for line in lines_of(NAMES.read_text())[seed : seed + 200])


def tagged(seed: int) -> str:
    return "\n".join(sentences(60, seed).as_document().lines) + "\n"


def spelt(seed: int) -> str:
    made = dates(60, seed)
    rows = zip(made.sources, made.known_targets, strict=True)
    return "\n".join(["source\ttarget", *("\t".join(row) for row in rows)]) + "\n"


@dataclass(frozen=True)
class Job:
    """``words`` train a network on the file ``content(seed)`` in some dozens of updates.

    ``kills`` says after how many updates each part of the run ends. With ``steady`` nothing is drawn in the loss, so
    that it doesn't matter how a batch is split; ``near`` is how near two processes come to one, relative and absolute.
    """

    content: Callable[[int], str]
    words: tuple[str, ...]
    kills: tuple[int, ...]
    steady: tuple[str, ...] = ("--dropout", "0")
    near: tuple[float, float] = (1e-3, 1e-4)

    def argv(self, out: str, *more: str) -> list[str]:
        return [*self.words, *more, "--out", out]


STEPWISE = ("--model", "lstm", "--ensemble", "2", "--epochs", "10", "--batch", "8")
WINDOWED = ("--model", "segrnn", "--epochs", "3", "--batch", "16")
CLASSIFY = ("--epochs", "5", "--units", "8", "--balance", "--validation-share", "0.2", "--batch", "9")
WRITE = ("--epochs", "3", "--units", "8", "--steps", "16", "--batch", "5")
TAG = ("--crf", "--min-count", "2", "--epochs", "2", "--batch", "8", "--units", "8", "--word-size", "8")
TRANSLATE = ("--epochs", "2", "--batch", "8", "--units", "6", "--embedding", "5", "--forcing", "0.5")
JOBS = {
    "forecast step by step": Job(numbers, ("forecast", "file", "--horizon", "6", *STEPWISE), (4, 9, 3)),
    "forecast windows": Job(numbers, ("forecast", "file", "--horizon", "6", *WINDOWED), (3, 9), near=(1e-2, 1e-3)),
    "classify": Job(classes, ("classify", "file", *CLASSIFY), (3, 9), near=(2e-4, 2e-5)),
    "write text": Job(prose, ("write", "file", *WRITE), (3, 70)),
    "write lines": Job(names, ("write", "file", "--lines", *WRITE), (3, 50)),
    "tag": Job(
        tagged,
        ("tag", "file", *TAG, "--character-units", "4"),
        (3, 5),
        steady=("--dropout", "0", "--word-dropout", "0"),
    ),
    "translate": Job(
        spelt,
        ("translate", "file", *TRANSLATE, "--validation-share", "0.2"),
        (3, 5),
        steady=("--dropout", "0", "--forcing", "1"),
    ),
}
RESULTS = ("model.safetensors", "predictions.csv", "predictions.conll", "samples.txt")
EACH = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(write_job, "JUDGED", 100)


class Killed(BaseException):
    pass


def killed(argv, after):
    """Run ``argv`` and end it without any warning when it has made ``after`` updates."""
    left, tick = after, CallbackList.tick

    def counted(self):
        nonlocal left
        tick(self)
        left -= 1
        if left == 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CallbackList, "tick", counted)
        with pytest.raises(Killed):
            cli.main(argv)


def assert_same_run(ours, theirs):
    assert sorted(os.listdir(ours)) == sorted(os.listdir(theirs))
    for name in RESULTS:
        if Path(theirs, name).exists():
            assert Path(ours, name).read_bytes() == Path(theirs, name).read_bytes(), name
    assert logged(ours) == logged(theirs)


# Killed


@EACH
def test_a_killed_run_goes_on_to_the_same_bits(job):
    Path("file").write_text(job.content(0))
    assert cli.main(job.argv("whole")) == 0
    command, argv = job.words[0], job.argv("broken", "--checkpoint-every", "0")
    for after in job.kills:
        killed(argv, after)
        assert list(Path("broken").glob("*.checkpoint"))
        argv = [command, "--resume", "broken"]
    assert cli.main(argv) == 0
    assert_same_run("broken", "whole")


@EACH
def test_a_run_with_other_data_is_not_gone_on_with(job, capsys):
    Path("file").write_text(job.content(0))
    killed(job.argv("broken", "--checkpoint-every", "0"), 3)
    Path("file").write_text(job.content(1))
    capsys.readouterr()
    assert cli.main([job.words[0], "--resume", "broken"]) == 2
    assert "the checkpoint is of another task" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_to_the_same_bits():
    job = JOBS["tag"]
    Path("file").write_text(job.content(0))
    more = ("--epochs", "6", "--checkpoint-every", "0")
    kill(start(*job.argv("broken", *more)), when=lambda: len(logged("broken")) > 2)
    assert Path("broken/model.checkpoint").exists()
    assert cli.main(["tag", "--resume", "broken"]) == 0
    assert cli.main(job.argv("whole", *more)) == 0
    assert_same_run("broken", "whole")


# The page


@pytest.mark.slow
@EACH
def test_the_page_shows_what_is_inside_the_network(job, look_inside):
    """Of what was held out: every section, or that the networks don't count."""
    Path("file").write_text(job.content(0))
    argv = job.argv("run")
    assert cli.main(argv) == 0
    html = Path("run/report.html").read_text()
    shown = "<h2>Inside the network</h2>" in html
    assert "couldn't be looked into" not in html
    for title in ("Gradients through time", "Units", "What mattered of the input", "Gates and states over time"):
        assert (f"<h2>{title}</h2>" in html) == shown
    assert shown or argv[0] == "forecast"


# Several processes


class Wrapped(nn.Module):
    """Stands around a network as DistributedDataParallel does, which sees no gradient that goes past it."""

    def __init__(self, module):
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, *args, **kwargs):
        self.calls += 1
        return self.module(*args, **kwargs)


def task_of(job):
    """What ``job`` gives to the fitting loop first, and the recipe."""
    given = []

    def keep(task, recipe, **_):
        given.append((copy.deepcopy(task), recipe))
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("statewise.jobs.training.problem.fit", keep)
        with pytest.raises(Killed):
            cli.main(job.argv("run", *job.steady))
    task, recipe = given[0]
    if isinstance(task, StepTask):
        task.noise, task.mirror = 0.0, False  # are drawn in the loss
    return task, recipe


@EACH
@pytest.mark.parametrize("size", [2, 3])
def test_losses_and_gradients_add_up_over_the_shares_of_a_batch(job, size):
    Path("file").write_text(job.content(0))
    task, recipe = task_of(job)
    tasks = [copy.deepcopy(task) for _ in range(size)]
    order = task.order(0, torch.Generator().manual_seed(0))
    batches = order.split(recipe.batch)
    for rows in (*batches[:2], batches[-1]):  # what is carried from chunk to chunk is each process's own
        loss, terms, gradients = step(task, rows)
        shares = [Group(rank, size).share(rows) for rank in range(size)]
        parts = [step(t, mine) for t, (mine, counted) in zip(tasks, shares, strict=True) if counted]
        assert terms == pytest.approx(sum(part[1] for part in parts), rel=1e-6)
        torch.testing.assert_close(sum(part[0] for part in parts), loss, rtol=1e-5, atol=1e-5)
        for found, expected in zip(zip(*(part[2] for part in parts), strict=True), gradients, strict=True):
            torch.testing.assert_close(sum(found), expected, rtol=1e-3, atol=1e-4)
        assert any(g.any() for g in gradients)


def step(task, rows):
    task.model.train()
    model = Wrapped(task.model)
    loss, terms = task.loss(model, rows)
    assert model.calls == 1
    return loss.detach(), terms, torch.autograd.grad(loss, list(task.model.parameters()))


@pytest.mark.slow
def test_two_processes_make_the_runs_of_one():
    """All jobs in the same two processes, one after the other, as a program that trains several networks does."""
    argvs, alone = [], []
    for number, job in enumerate(JOBS.values()):
        if job.content is numbers and "lstm" in job.words:
            continue  # draws in its loss
        Path(f"file{number}").write_text(job.content(0))
        argv = [word.replace("file", f"file{number}") for word in job.argv(f"one{number}", *job.steady)]
        alone.append((job, argv))
        argvs.append([*argv[:-1], f"two{number}"])
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, "-m", *launcher, in_turn.__file__, json.dumps(argvs)]
    launched = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _, argv in alone:
        assert cli.main(argv) == 0
    said = finished(launched)
    for job, argv in alone:
        one, two = argv[-1], argv[-1].replace("one", "two")
        assert sorted(os.listdir(one)) == sorted(os.listdir(two))
        assert said.count(f"{two}: ") == 1  # the folder and its files, which the first says
        relative, absolute = job.near
        theirs, ours = (load_file(f"{folder}/model.safetensors") for folder in (one, two))
        torch.testing.assert_close(ours, theirs, rtol=relative, atol=absolute)
        losses = [[record["loss"] for record in logged(folder)] for folder in (two, one)]
        np.testing.assert_allclose(*losses, rtol=1e-4)
    assert said.count("file2: 2 classes") == 1
    assert said.count("different characters") == 2


# Trained further


FURTHER = [name if name in ("write text", "tag") else pytest.param(name, marks=pytest.mark.slow) for name in JOBS]


@pytest.mark.parametrize("name", FURTHER)
def test_a_trained_model_is_trained_further(name, capsys):
    """From its weights, which hardly move at such a rate, with its options; broken off, to the same bits."""
    job = JOBS[name]
    Path("file").write_text(job.content(0))
    assert cli.main(job.argv("first")) == 0
    Path("file").write_text(job.content(1))
    command, model = job.words[0], "first/model.safetensors"
    argv = [command, "file", "--from", model, "--epochs", "1", "--learning-rate", "1e-9", "--batch", "5"]
    capsys.readouterr()
    assert cli.main([*argv, "--out", "whole"]) == 0
    assert f"{model}, which has learnt file, trained further" in capsys.readouterr().out
    assert f"{model}, which has learnt file" in Path("whole/report.html").read_text()
    first, then = (load_file(f"{folder}/model.safetensors") for folder in ("first", "whole"))
    trained = {name for name in first if name.partition(".")[0] in ("network", "networks", "recurrent", "output")}
    for name in trained or first:
        torch.testing.assert_close(then[name], first[name], rtol=1e-4, atol=1e-5)
    killed([*argv, "--out", "broken", "--checkpoint-every", "0"], 3)
    assert cli.main([command, "--resume", "broken"]) == 0
    assert_same_run("broken", "whole")


def refused(capsys, *argv):
    capsys.readouterr()
    assert cli.main([*argv, "--out", "further"]) == 2
    assert not Path("further").exists()
    return capsys.readouterr().err.strip()


def test_what_cannot_be_trained_further_is_refused_in_a_line(capsys):
    for name in ("write lines", "tag", "translate"):
        job = JOBS[name]
        Path(job.words[0]).write_text(job.content(0))
        command = job.words[0]
        assert cli.main([command, command, *job.words[2:], "--epochs", "1", "--out", f"{command}.run"]) == 0
    written, tags, spells = (f"{name}.run/model.safetensors" for name in ("write", "tag", "translate"))
    said = "and trained further it stays as it is"
    write = ["write", "write", "--from", written]
    assert refused(capsys, *write, "--units", "9").endswith(f"--units 9: {written} has 8, {said}")
    assert refused(capsys, *write, "--tie").endswith(f"--tie: {written} has no, {said}")
    assert refused(capsys, "tag", "tag", "--from", tags, "--no-crf").endswith(f"--no-crf: {tags} has yes, {said}")
    assert refused(capsys, "write", "write", "--from", tags).endswith("the file holds a tagging model")
    assert "no such file" in refused(capsys, "write", "write", "--from", "nothing")
    Path("half").write_bytes(Path(written).read_bytes()[:5000])
    assert refused(capsys, "write", "write", "--from", "half").startswith("statewise write: half: ")

    Path("other").write_text("\u043c\u0438\u0440 a\n" * 50)
    assert "of 300 characters in the training part the model knows 100" in refused(
        capsys, "write", "other", "--from", written, "--validation-share", "0"
    )
    Path("other").write_text("a B-NEW\n\n" * 50)
    assert "the model knows no tag 'B-NEW'" in refused(capsys, "tag", "other", "--from", tags)
    Path("other").write_text("source\ttarget\n" + "".join(f"\u043c{k}\u0438\u0440\t2026\n" for k in range(50)))
    assert "symbols in the sources the model knows" in refused(capsys, "translate", "other", "--from", spells)
