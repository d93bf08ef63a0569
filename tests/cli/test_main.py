"""The command line itself: help at once, one line for an error, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import statewise
from statewise import cli
from statewise.jobs import InputError

HEAVY = {"torch", "numpy", "polars", "matplotlib"}


def run(*argv, code=None):
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "statewise", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "argv", [["--help"], *([*name.split(), "--help"] for name in cli.COMMANDS), ["--version"], []], ids=" ".join
)
def test_help_imports_nothing_heavy(argv):
    done = run(
        code=f"import sys; from statewise.cli import main\n"
        f"try: main({argv!r})\n"
        f"except SystemExit as end: assert not end.code\n"
        f"print({HEAVY!r} & set(sys.modules))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("argv", [["--help"], ["forecast", "--help"], ["classify", "--help"], ["tag", "--help"]])
def test_help_shows_examples_that_parse(argv, capsys):
    with pytest.raises(SystemExit):
        cli.main(argv)
    text = capsys.readouterr().out
    assert "%%" not in text
    examples = [line.split()[1:] for line in text.split("examples:\n")[1].split("\n\n")[0].splitlines()]
    assert examples
    for example in examples:
        if "--help" not in example:
            assert cli.build(example).parse_args(example).command == example[0]


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["classify", "predict", "a", "b"], ["classify predict", "a", "b"]),
        (["classify", "fit", "a"], ["classify", "a"]),
        (["classify", "fit"], ["classify"]),
        (["classify", "./predict"], ["classify", "./predict"]),
        (["other", "fit"], ["other", "fit"]),
        (["classify"], ["classify"]),
        ([], []),
    ],
)
def test_two_words_are_one_command(typed, command):
    assert cli._joined(typed) == command


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert not end.value.code
    assert capsys.readouterr().out == f"statewise {statewise.__version__}\n"


def test_no_command_shows_the_commands(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["frcast"], "invalid choice: 'frcast'"),
        (["forecast", "--cell", "elman"], "argument --cell: invalid choice: 'elman'"),
        (["forecast", "--ensemble", "0"], "argument --ensemble: expected a whole number of at least 1, got '0'"),
        (["forecast", "--seed", "-1"], "argument --seed: expected"),
        (["forecast", "--seed", "99999999999999999999"], "argument --seed: expected a whole number from 0 to 4"),
        (["forecast", "--units", "x"], "argument --units: expected a whole number of at least 1, got 'x'"),
        (["forecast", "--season", "1.5"], "argument --season: expected a whole number of at least 1, got '1.5'"),
        (["forecast", "--split", "1,2"], "argument --split: expected three numbers of rows, or three shares"),
        (["forecast", "--split", "1,2"], "got '1,2'"),
        (["forecast", "--quantiles", "0.5,1.5"], "expected a number between 0 and 1, got '1.5'"),
        (["classify", "--visdom", "my.csv"], "expected an address such as http://localhost:8097, got 'my.csv'"),
        (["forecast", "--tim", "Month"], "--tim"),
        (["forecast", "a.csv", "b.csv"], "b.csv"),
        (["tune"], "statewise tune: the following arguments are required: JOB"),
        (["tune", "frcast"], "statewise tune: argument JOB: invalid choice: 'frcast' (choose from 'forecast', "),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(argv, said, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def fake(monkeypatch, error):
    class Command:
        def add_arguments(self, parser):
            pass

        def run(self, args):
            raise error

    monkeypatch.setattr(cli, "_found", lambda where: Command())


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("two\nlines"), 2, "two lines"),
        (ModuleNotFoundError("", name="polars"), 2, "needs polars: pip install 'statewise[jobs]'"),
        (KeyboardInterrupt(), 130, "interrupted, nothing written"),
    ],
)
def test_what_a_command_raises_becomes_one_line(monkeypatch, capsys, error, code, said):
    fake(monkeypatch, error)
    assert cli.main(["forecast"]) == code
    assert capsys.readouterr().err == f"statewise forecast: {said}\n"


def test_what_a_bare_install_lacks_is_named_before_a_command_is_known(monkeypatch, capsys):
    def missing(name):
        raise ModuleNotFoundError("", name="polars")

    monkeypatch.setattr(cli, "import_module", missing)
    assert cli.main(["forecast", "--help"]) == 2
    assert capsys.readouterr().err == "statewise: needs polars: pip install 'statewise[jobs]'\n"


def test_a_defect_of_ours_is_not_hidden(monkeypatch):
    for error in (ZeroDivisionError(), ModuleNotFoundError("", name="statewise.gone")):
        fake(monkeypatch, error)
        with pytest.raises(type(error)):
            cli.main(["forecast"])


def test_as_a_module():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"statewise {statewise.__version__}\n")


def commands_of(path):
    """The commands in the blocks of a page, without comments, variables before them, and where their output goes."""
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s#.*| [|>].*", "", line) for line in lines if re.match(r"(\w+=\S+ )*statewise ", line)]
    return [line.split()[line.split().index("statewise") + 1 :] for line in found]


ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if commands_of(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_parse(page):
    for command in commands_of(page):
        command = cli._joined(command)
        assert cli.build(command).parse_args(command).command in cli.COMMANDS
