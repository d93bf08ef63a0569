"""``statewise tune JOB`` and ``tune``: what is searched, how trials end, what is left, and how a search goes on."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from statewise import cli
from statewise.jobs import Classifier, InputError, tune
from statewise.jobs.config import Range
from statewise.jobs.tasks.classify.config import ClassifyConfig, Options
from statewise.jobs.tasks.classify.job import Classify
from statewise.jobs.training.fit import fit
from statewise.jobs.tuning import Curve, space_of, words_of

QUICK = ["--epochs", "2", "--units", "4", "--segment", "2", "--batch", "64", "--validation-share", "0.2"]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A small file of sequences, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez("waves.npz", X=np.cumsum(random.normal(y[:, None] - 0.5, 1, (60, 8)), 1), y=y)
    return ["tune", "classify", "waves.npz", *QUICK]


def tuned(words, capsys):
    assert cli.main(words) == 0
    return capsys.readouterr().out


def test_every_job_says_what_is_searched_within_the_bounds_of_its_options():
    for name in [name for name in cli.COMMANDS if name.startswith("tune ")]:
        kind = cli._found(cli.COMMANDS[name][0]).options
        space = space_of(kind)
        assert {"learning_rate", "units", "dropout"} <= space.keys()
        assert "smoothing" not in space  # it is in the loss that trials are compared by
        for option, search in space.items():
            ends = (search.low, search.high) if isinstance(search, Range) else search
            for value in ends:
                kind(**{option: value})  # is no error


def test_what_is_given_is_not_searched():
    assert "units" not in space_of(ClassifyConfig, given=["units"])
    assert space_of(ClassifyConfig, names=["units", "head"]).keys() == {"units", "head"}
    with pytest.raises(InputError, match="search: units is given; expected some of "):
        space_of(ClassifyConfig, given=["units"], names=["units"])
    with pytest.raises(InputError, match="search: epochs can't be searched; expected some of batch, learning_rate"):
        space_of(ClassifyConfig, names=["epochs"])
    with pytest.raises(InputError, match="all that can be searched is given, there is nothing to tune"):
        space_of(ClassifyConfig, given=list(space_of(ClassifyConfig)))


def test_a_search_leaves_its_trials_and_a_command_that_uses_the_best(digits, capsys):
    said = tuned([*digits, "--trials", "4", "--out", "out", "--search", "learning-rate,head"], capsys)
    with open("out/trials.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows].count("complete") == 4
    assert sorted(int(row["trial"]) for row in rows) == [0, 1, 2, 3]
    values = [float(row["validation"]) for row in rows]
    assert values == sorted(values)
    assert next(row for row in rows if row["trial"] == "0")["learning_rate"] == ""  # as it was
    best = json.loads(Path("out/best.json").read_text())
    assert Path("out/study.journal").exists()
    assert best["command"] in said
    assert best["validation"] == pytest.approx(values[0], rel=1e-4)
    assert set(best["options"]) <= {"learning_rate", "head"}
    assert all(float(f"{each:.3g}") == each for each in best["options"].values() if isinstance(each, float))
    words = shlex.split(best["command"])
    assert words[:3] == ["statewise", "classify", "waves.npz"]
    assert cli.main([*words[1:], "--out", "run"]) == 0  # it can be typed, and does what the trial did
    log = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    held = [next(iter(record["validation"].values())) for record in log if "validation" in record]
    assert min(held) == pytest.approx(best["validation"], rel=1e-6)


def test_the_test_part_is_not_looked_at(digits, capsys, monkeypatch):
    monkeypatch.setattr(Classify, "judge", lambda *_: pytest.fail("the test part was looked at"))
    tuned([*digits, "--trials", "2", "--search", "learning_rate"], capsys)


def test_a_search_that_is_broken_off_goes_on(digits, capsys, monkeypatch):
    calls = []

    def broken(*args, **how):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*args, **how)

    monkeypatch.setattr("statewise.jobs.training.problem.fit", broken)
    words = [*digits, "--trials", "4", "--out", "out", "--search", "dropout"]
    assert cli.main(words) == 130
    assert "go on with: statewise tune classify --resume out" in capsys.readouterr().err
    assert cli.main(["tune", "classify", "--resume", "out"]) == 0
    said = capsys.readouterr().out
    assert "trial 0:" not in said
    assert len(calls) == 3 + 2  # two were done
    assert json.loads(Path("out/best.json").read_text())["trial"] in (0, 1, 3, 4)


def test_without_a_validation_part_there_is_nothing_to_tune_by(digits, capsys):
    assert cli.main([*digits[:-2], "--validation-share", "0", "--trials", "2", "--out", "out"]) == 2
    assert "statewise tune classify: there is no validation part to tune by" in capsys.readouterr().err


def test_without_optuna_it_says_what_to_install(digits, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(digits) == 2
    assert capsys.readouterr().err == "statewise tune classify: needs optuna: pip install 'statewise[tune]'\n"


def test_help_needs_neither_optuna_nor_torch():
    code = (
        "import sys; from statewise import cli\n"
        "try: cli.main(['tune', 'tag', '--help'])\n"
        "except SystemExit: print(sorted({'optuna', 'torch', 'pydantic', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: statewise tune tag" in done.stdout
    assert "--trials N" in done.stdout
    assert "--visdom" not in done.stdout  # a search has no curve of its own
    assert done.stdout.endswith("[]\n")


def test_the_words_of_a_command_line_are_read_as_the_options_again():
    import argparse

    from statewise.jobs.tasks.classify.command import COMMAND

    options = Options(file=Path("a b.csv"), bidirectional=False, balance=True, channels=("x", "y"), units=7, clip=0.0)
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    assert COMMAND.told(parser.parse_args(words_of(options))) == options


class Trial:
    """Says to end after so many reports."""

    def __init__(self, ends):
        self.ends, self.told = ends, []

    def report(self, value, step):
        self.told.append((value, step))

    def should_prune(self):
        return len(self.told) == self.ends


def test_the_curve_ends_a_trial_and_knows_the_best_of_each_network():
    from optuna import TrialPruned

    curve = Curve(trial := Trial(3))
    with pytest.raises(InputError, match="there is no validation part to tune by"):
        _ = curve.value
    for fit_name, epoch, value in [("a", 1, 3.0), ("a", 2, 1.0), ("b", 1, 7.0), ("b", 2, 5.0)]:
        curve.record({"fit": fit_name, "epoch": epoch, "validation": {"loss": value, "accuracy": 9.0}})
    curve.record({"fit": "a", "epoch": 3})  # says nothing of the validation
    assert trial.told == [(3.0, 1), (1.0, 2)]
    assert curve.value == 3.0
    with pytest.raises(TrialPruned):
        curve.record({"fit": "a", "epoch": 3, "validation": {"loss": 2.0}})


def test_from_a_program():
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = np.cumsum(random.normal(y[:, None] - 0.5, 1, (60, 8)), 1)
    base = Classifier(units=4, epochs=2, validation_share=0.2, segment=2)
    best = tune(base, X, y, trials=3)
    assert best.units == 4  # is no default, and so stays
    assert len(best.study_.trials) == 3
    assert not hasattr(base, "model_")
    held = [next(iter(r["validation"].values())) for r in best.history_ if "validation" in r]
    assert min(held) == pytest.approx(best.study_.best_value, rel=1e-6)
    assert tune(base, X, y, trials=2, search=["units"], eval_set=(X, y)).predict(X).shape == (60,)
