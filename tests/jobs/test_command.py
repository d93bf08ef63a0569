"""A dataclass becomes a command: every option gets there, what can't be is refused in words, a run is gone on with."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_origin

import pytest

from statewise.cli import COMMANDS, _found, main
from statewise.jobs import InputError
from statewise.jobs.artifacts.runs import run_folder
from statewise.jobs.command import Command, Out, Run, declare, folded
from statewise.jobs.config import (
    Config,
    Part,
    Whole,
    again,
    choices,
    from_json,
    items,
    option,
    options_of,
    part_of,
    plain,
    to_json,
)
from statewise.jobs.training.config import TrainingConfig


@dataclass(kw_only=True)
class Options(Run, TrainingConfig):
    """An option of every kind."""

    epochs: Whole = again(TrainingConfig, "epochs", 7)
    file: Path | None = option(None, "a file", metavar="FILE", positional=True, default="")
    names: tuple[str, ...] = option((), "several words", metavar="NAME")
    shares: tuple[Part, ...] = option((0.25, 0.5), "numbers between commas", metavar="X,X", commas=True)
    kind: Literal["one", "two"] | None = option(None, "a choice", default="by itself")
    whole: bool = option(True, "something that can be switched off")
    part: bool = option(False, "something that can be switched on")
    either: bool | None = option(None, "something that may stay open", default="by itself")


COMMAND = Command("toy", Options, f"{__name__}:print", usage="toy", description="", examples="")


def parser():
    found = argparse.ArgumentParser(exit_on_error=False)
    declare(found, Options)
    return found


def told(*argv: str) -> Options:
    return COMMAND.told(parser().parse_args(argv))


def test_without_options_all_is_as_the_dataclass_has_it():
    assert told() == Options()
    assert told().epochs == 7


def test_every_option_gets_there():
    training = {
        "epochs": 3,
        "batch": 4,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "weight_decay": 0.25,
        "momentum": 0.5,
        "schedule": "linear",
        "warmup": 0.125,
        "clip": 2.0,
        "average": 0.875,
        "patience": 9,
        "seed": 11,
        "device": "cuda:1",
        "precision": "float32",
    }
    assert training.keys() == {each.name for each in fields(TrainingConfig)}
    argv = [word for name, value in training.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    argv += [
        "--names",
        "a",
        "b",
        "--shares",
        "0.125,0.75",
        "--kind",
        "two",
        "--no-whole",
        "--part",
        "--no-either",
    ]
    own = {"names": ("a", "b"), "shares": (0.125, 0.75), "kind": "two", "whole": False, "part": True, "either": False}
    assert told("x.csv", *argv) == Options(**training, **own, file=Path("x.csv"))


def test_help_says_every_option_and_its_default():
    said = " ".join(parser().format_help().split())
    for text in (
        "--epochs N passes over the data at most (default: 7)",
        "--shares X,X numbers between commas (default: 0.25,0.5)",
        "--kind {one,two} a choice (default: by itself)",
        "--whole, --no-whole something that can be switched off (default: yes)",
        "--part something that can be switched on",
        "--visdom [URL] send the curve to a Visdom server (default: http://localhost:8097)",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epochs", "0"], "expected a whole number of at least 1, got '0'"),
        (["--batch", "1.5"], "expected a whole number of at least 1, got '1.5'"),
        (["--seed", "-1"], "expected a whole number of at least 0"),
        (["--seed", "9" * 30], f"expected a whole number from 0 to {2**62}, got"),
        (["--learning-rate", "0"], "expected a number above 0, got '0'"),
        (["--learning-rate", "nan"], "expected a number above 0, got 'nan'"),
        (["--weight-decay", "inf"], "expected a number of at least 0, got 'inf'"),
        (["--momentum", "1"], "expected a number of at least 0 and below 1, got '1'"),
        (["--shares", "0.5,x"], "expected a number of at least 0 and below 1, got 'x'"),
        (["--kind", "three"], "invalid choice: 'three'"),
        (["--visdom", "my.csv"], "expected an address such as http://localhost:8097, got 'my.csv'"),
        (["--visdom", "http://localhost:x"], "expected an address"),
        (["--checkpoint-every", "-3"], "expected"),
    ],
)
def test_values_that_cannot_be(argv, said):
    with pytest.raises(argparse.ArgumentError, match=said):
        parser().parse_args(argv)


def test_visdom_has_an_address():
    assert told().visdom is None
    assert told("--visdom").visdom == "http://localhost:8097"
    assert told("--visdom", "http://a.example:80/x").visdom == "http://a.example:80/x"


def test_a_command_does_what_it_was_told(capsys):
    printing = Command("toy", Options, "builtins:print", usage="", description="", examples="")
    assert printing.run(parser().parse_args(["--epochs", "5"])) == 0
    assert "epochs=5" in capsys.readouterr().out


def test_a_file_is_written_over_when_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Out().out_file("new") == Path("new")
    Path("old").write_text("mine")
    with pytest.raises(InputError, match="old: is there already"):
        Out().out_file("old")
    assert Out(overwrite=True, out=Path("old")).out_file("new") == Path("old")
    with pytest.raises(InputError, match="is a folder, expected a file"):
        Out(out=tmp_path).out_file("new")


# What a file keeps


@dataclass(kw_only=True)
class Point(Config):
    """With an entry that must be there."""

    x: Whole
    y: tuple[float, ...] = ()


def test_a_configuration_comes_back_from_json():
    options = Options(file=Path("a/b"), names=["c"], kind="one", patience=0)
    assert from_json(Options, json.loads(json.dumps(to_json(options)))) == options
    assert part_of(TrainingConfig, options) == TrainingConfig(epochs=7, patience=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (3, "expected the entries of Point, got 3"),
        ({}, "there is no 'x'"),
        ({"x": 1, "z": 2}, "Point has no 'z'"),
        ({"x": True}, "x: expected a whole number of at least 1, got True"),
        ({"x": "1"}, "x: expected a whole number of at least 1, got '1'"),
        ({"x": 0}, "x: expected a whole number of at least 1, got 0"),
        ({"x": 1, "y": 2}, "y: expected a list, got 2"),
        ({"x": 1, "y": ["a"]}, "y: expected a list, got"),
    ],
)
def test_json_that_is_none_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        from_json(Point, content)


def test_numbers_of_numpy_and_lists_are_taken():
    import numpy as np

    assert Point(x=np.int64(3), y=[1, np.float32(0.5)][:1]) == Point(x=3, y=(1.0,))
    with pytest.raises(InputError, match=r"x: expected a whole number of at least 1, got 1\.5"):
        Point(x=1.5)


# Going on


@pytest.fixture
def broken_off(tmp_path, monkeypatch):
    """A run in a folder of its own that isn't complete."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config = {name: value for name, value in to_json(told("x.csv", "--epochs", "3")).items() if name != "resume"}
    with run_folder("toy", "x", Path("run"), config, resume=None):
        pass
    monkeypatch.chdir(tmp_path)
    return Path("work/run")


def test_resume_gives_what_was_told_where_it_was_told(broken_off, tmp_path):
    options = told("--resume", str(broken_off))
    assert (options.epochs, options.batch, options.resume) == (3, 32, broken_off)
    assert options.file == tmp_path / "work" / "x.csv"
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("beside", [["--epochs", "9"], ["x.csv"], ["--tensorboard"]])
def test_resume_takes_no_other_options(broken_off, beside):
    with pytest.raises(InputError, match=r"it takes no others, got (epochs|file|tensorboard)"):
        told("--resume", str(broken_off), *beside)


def test_resume_where_the_configuration_is_of_another_version(broken_off):
    path = broken_off / "config.json"
    path.write_text(path.read_text().replace('"epochs"', '"passes"'))
    with pytest.raises(InputError, match="its arguments can't be used any more: Options has no 'passes'"):
        told("--resume", str(broken_off))


def test_resume_of_a_run_that_an_earlier_version_began(broken_off):
    (broken_off / "config.json").rename(broken_off / "arguments.json")
    with pytest.raises(InputError, match="an earlier version of statewise began it and has to end it"):
        told("--resume", str(broken_off))


def options_of_jobs():
    commands = {name: _found(where) for name, (where, _) in COMMANDS.items()}
    return {name: command.options for name, command in commands.items() if issubclass(command.options, Run)}


def test_a_part_of_the_data_needs_the_one_that_is_learnt_from():
    found = {(name, part) for name, kind in options_of_jobs().items() for part in ("test", "validation")}
    found = {(name, part) for name, part in found if part in {each.name for each in fields(options_of_jobs()[name])}}
    assert {("forecast", "test"), ("classify", "test"), ("tag", "validation"), ("write", "validation")} <= found
    for name, part in found:
        kind = options_of_jobs()[name]
        assert getattr(kind(**{part: Path("x")}, file=Path("y")), part) == Path("x")
        with pytest.raises(InputError, match=f"--{part}: needs FILE, the training part, as well"):
            kind(**{part: Path("x")})


def test_an_option_means_the_same_in_every_job():
    jobs = options_of_jobs()
    found: dict[str, dict[str, tuple[object, ...]]] = {}
    for job, kind in jobs.items():
        for name, hint, _, how in options_of(kind):
            one = plain(items(hint)) if get_origin(plain(hint)) is tuple else plain(hint)  # it may be one of several
            what = "a choice" if choices(hint) else one
            found.setdefault(name, {})[job] = (what, how.group, how.alias, how.commas, how.positional)
    assert {"units", "gaps", "time", "validation_share", "min_count", "seed"} < found.keys()
    assert {name: ways for name, ways in found.items() if len(set(ways.values())) > 1} == {}


def test_a_terminal_gets_lines_that_it_has_room_for() -> None:
    """Broken between words, below where a value begins; short lines and tables as they are."""
    text = (
        "  made of     a forecast that is linear in what it reads, and ten networks\n"
        "  season      12 rows\n"
        "a table  of three  columns that is far too long for a terminal of this size\n"
        "The combination beats every baseline by far. runs/of-a-name-that-has-no-place-to-break-in-it"
    )
    assert folded(text, 44) == (
        "  made of     a forecast that is linear in\n"
        "              what it reads, and ten\n"
        "              networks\n"
        "  season      12 rows\n"
        "a table  of three  columns that is far too long for a terminal of this size\n"
        "The combination beats every baseline by far.\n"
        "runs/of-a-name-that-has-no-place-to-break-in-it"
    )
    assert folded(text, 120) == text


def test_help_fits_80_columns(monkeypatch, capsys) -> None:
    """Of every command, its examples too, which go on in a second line."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([*name.split(), "--help"])
        said = capsys.readouterr().out
        assert said
        assert not [line for line in said.splitlines() if len(line) > 80], name
