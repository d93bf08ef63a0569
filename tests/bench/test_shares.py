"""Where a job's time goes: which part a stack belongs to, and what becomes of the seconds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

import statewise
from benchmarks import sampler
from benchmarks.kinds import shares
from benchmarks.sampler import BATCHES, FIT, IMPORTS, LOOP, NETWORK, OPTIMIZER, PARTS, REST, RULES, TORCH, VALIDATION

SOURCES = Path(statewise.__file__).parent
JOBS = "/x/site-packages/statewise/jobs"
FITTING = f"{JOBS}/training/fit.py"


def code(path: str, name: str) -> CodeType:
    """What a function of that name in a file of that path has."""
    module = compile(f"def {name}(): pass", path, "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType))


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.path.startswith(("<", "site-packages"))])
def test_what_a_rule_is_about_is_there(rule: sampler.Rule) -> None:
    found = [path for path in SOURCES.rglob("*.py") if rule.path in path.as_posix()]
    assert found
    assert any(re.search(rf"^\s*def {rule.name}\(" if rule.name else "def ", p.read_text("utf-8"), re.M) for p in found)


@pytest.mark.parametrize(
    ("stack", "part"),
    [  # from the outermost function on
        ([(f"{JOBS}/experiment.py", "run"), (FITTING, "fit")], LOOP),
        ([(FITTING, "fit"), (f"{JOBS}/training/optimizer.py", "step")], OPTIMIZER),
        ([(FITTING, "fit"), (f"{JOBS}/tasks/tag/training.py", "loss")], BATCHES),
        ([(FITTING, "fit"), (f"{JOBS}/tasks/tag/training.py", "loss"), (f"{JOBS}/tasks/tag/network.py", "f")], NETWORK),
        ([(FITTING, "fit"), (FITTING, "_validate"), (f"{JOBS}/tasks/tag/network.py", "f")], VALIDATION),
        ([(f"{JOBS}/tasks/tag/job.py", "judge"), (f"{JOBS}/tasks/tag/network.py", "f")], "test, baselines"),
        (
            [(f"{JOBS}/tasks/tag/job.py", "judge"), ("/x/site-packages/matplotlib/figure.py", "draw")],
            "report, pictures",
        ),
        ([(f"{JOBS}/x.py", "<m>"), ("<frozen importlib._bootstrap>", "f"), ("/site-packages/torch/a.py", "g")], TORCH),
        ([("<frozen importlib._bootstrap>", "f"), ("/site-packages/sklearn/a.py", "g")], IMPORTS),
        (
            [
                ("<frozen importlib._bootstrap>", "f"),
                ("/site-packages/sklearn/a.py", "g"),
                ("/site-packages/torch/a.py", "g"),
            ],
            IMPORTS,
        ),
        ([(f"{JOBS}/cli.py", "main")], REST),
    ],
)
def test_the_part_of_a_stack(stack: list[tuple[str, str]], part: str) -> None:
    codes = [code(path, "module" if name.startswith("<") else name) for path, name in reversed(stack)]
    assert sampler.part_of(codes) == part
    assert part in PARTS
    assert FIT not in PARTS


def test_a_look_gives_the_time_since_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.5, 4.0])
    monkeypatch.setattr(sampler, "process_time", lambda: next(times))
    found = sampler.Sampler()
    for _ in range(3):
        found._look(0, sys._getframe())
    assert found.seconds[REST] == sum(found.seconds.values()) == 4.0


def test_a_job_is_run_by_itself_and_its_seconds_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = dict.fromkeys(PARTS, 0.0) | {TORCH: 1.0, NETWORK: 2.0, OPTIMIZER: 0.5, BATCHES: 0.5}

    def run(command: list[str], **options: object) -> None:
        assert command[1:3] == ["-m", "benchmarks.sampler"]
        assert command[4:6] == ["tag", "--out"]
        Path(command[3]).write_text(json.dumps(told), encoding="utf-8")

    monkeypatch.setattr(subprocess, "run", run)
    case = next(case for case in shares.cases((), [1]) if case.cell == "tag")
    records = shares.measure(case)
    assert {r.side: r.value for r in records} == {part: s for part, s in told.items() if s}
    assert {r.side: r.ratio for r in records}[NETWORK] == 0.5
    table = shares.sections(records)["shares"]
    assert "| batches | 12.5% |" in table
    assert "| **neither model nor optimizer, after the imports** | **16.7%** |" in table


@pytest.mark.slow
def test_a_real_command_is_told_whole(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be " * 50, encoding="utf-8")
    shared = [sys.executable, "-m", "benchmarks.sampler", str(tmp_path / "shares.json")]
    command = [*shared, "write", str(text), "--epochs", "200", "--units", "64", "--out", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(sampler.__file__).parents[1])
    found = json.loads((tmp_path / "shares.json").read_text("utf-8"))
    assert tuple(found) == PARTS
    assert found[TORCH] > 0
    assert found[NETWORK] > 0
