"""The options that jobs share: values, defaults, and the way back from --resume."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from statewise.jobs import InputError, options
from statewise.jobs.recipe import Recipe
from statewise.jobs.runs import new_run

DEFAULT = Recipe(epochs=7, batch=5, clip=None, patience=3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?")
    options.add_training(parser, DEFAULT)
    options.add_run(parser)


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(argv)


def test_without_options_the_recipe_is_the_default():
    assert options.recipe_of(parse(), DEFAULT) == DEFAULT


def test_every_option_gets_there():
    given = {
        "epochs": 3,
        "batch": 4,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "weight_decay": 0.25,
        "momentum": 0.5,
        "schedule": "linear",
        "warmup": 0.125,
        "clip": 2.0,
        "patience": 9,
        "seed": 11,
        "device": "cuda:1",
        "precision": "float32",
    }
    assert given.keys() == DEFAULT.__dict__.keys()
    argv = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert options.recipe_of(parse(*argv), DEFAULT) == Recipe(**given)


def test_zero_is_how_none_is_said():
    recipe = options.recipe_of(parse("--clip", "0", "--patience", "0"), Recipe(clip=1.0, patience=2))
    assert (recipe.clip, recipe.patience) == (None, None)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epochs", "0"], "expected a whole number of at least 1, got '0'"),
        (["--batch", "1.5"], "expected a whole number of at least 1, got '1.5'"),
        (["--seed", "-1"], "expected a whole number of at least 0"),
        (["--learning-rate", "0"], "expected a number above 0, got '0'"),
        (["--learning-rate", "nan"], "expected a number above 0, got 'nan'"),
        (["--weight-decay", "inf"], "expected a number of at least 0, got 'inf'"),
        (["--momentum", "1"], "expected a number of at least 0 and below 1, got '1'"),
        (["--visdom", "my.csv"], "expected an address such as http://localhost:8097, got 'my.csv'"),
        (["--visdom", "http://localhost:x"], "expected an address"),
        (["--checkpoint-every", "-3"], "expected"),
    ],
)
def test_values_that_cannot_be(argv, said):
    with pytest.raises(argparse.ArgumentError, match=said):
        parse(*argv)


def test_visdom_has_an_address():
    assert parse().visdom is None
    assert parse("--visdom").visdom == "http://localhost:8097"
    assert parse("--visdom", "http://a.example:80/x").visdom == "http://a.example:80/x"


def test_shares():
    assert options.share("0.5") == 0.5
    for text in ("0", "1", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a number between 0 and 1"):
            options.share(text)


@pytest.fixture
def broken_off(tmp_path, monkeypatch):
    """A run in a folder of its own that isn't complete."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with new_run("forecast", "x", Path("run"), ["x.csv", "--epochs", "3"]):
        pass
    monkeypatch.chdir(tmp_path)
    return Path("work/run")


def test_resume_gives_the_arguments_again_where_they_were_given(broken_off, tmp_path):
    args = options.resumed("forecast", parse("--resume", str(broken_off)), add_arguments)
    assert (args.file, args.epochs, args.batch) == ("x.csv", 3, None)
    assert args.resume == tmp_path / "work" / "run"
    assert Path.cwd() == tmp_path / "work"


@pytest.mark.parametrize("beside", [["--epochs", "9"], ["x.csv"], ["--tensorboard"]])
def test_resume_takes_no_other_options(broken_off, beside):
    with pytest.raises(InputError, match=r"it takes no others, got (epochs|file|tensorboard)"):
        options.resumed("forecast", parse("--resume", str(broken_off), *beside), add_arguments)


def test_resume_where_the_arguments_are_of_another_version(broken_off):
    path = broken_off / "arguments.json"
    path.write_text(path.read_text().replace("--epochs", "--epoch-count"))
    with pytest.raises(InputError, match="its arguments can't be used any more: unrecognized arguments: --epoch-count"):
        options.resumed("forecast", parse("--resume", str(broken_off)), add_arguments)


def test_resume_where_the_folder_of_then_is_gone(broken_off, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    broken_off.rename(elsewhere)
    (tmp_path / "work").rmdir()
    with pytest.raises(InputError, match=r"its arguments can't be used any more: .*No such file"):
        options.resumed("forecast", parse("--resume", str(elsewhere)), add_arguments)
