"""A command, made from the dataclass of what it can be told. No torch here: help comes at once.

The parser is the standard library's. tyro and cyclopts were tried: help takes a tenth of a second more, an error
several lines, an option whose word may be left out can't be said, and no bounds of a dataclass are looked at.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_origin
from urllib.parse import urlsplit

from .artifacts.runs import config_of
from .config import (
    Config,
    NotNegative,
    Option,
    Positive,
    Says,
    checked,
    choices,
    expected,
    from_json,
    hints_of,
    items,
    option,
    options_of,
    plain,
    read_word,
)
from .data.content import GIGABYTE, limit
from .errors import InputError
from .training.rank import is_main_process

Options = TypeVar("Options", bound=Config)
_BEGINNING = re.compile(r" *(?:\S+(?: \S+)* {2,})?")  # of a line: what its value is called

GROUPS = ("", "search", "data", "reading files", "forecast", "network", "training", "run", "limits")  # in this order


def _is_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:  # the port
        return False


Address = Annotated[str, Says("an address such as http://localhost:8097", _is_address)]
VISDOM = "http://localhost:8097"


@dataclass(kw_only=True)
class Reading(Config):
    """How much a packed file may hold: of every command that reads files."""

    unpack: Positive = option(
        limit.get() / GIGABYTE, "what a packed file may hold at most, unpacked", group="reading files", metavar="GB"
    )


@dataclass(kw_only=True)
class Run(Reading):
    """Where the results of a run go and who looks on: of every command that trains."""

    out: Path | None = option(
        None, "the run folder", group="run", metavar="FOLDER", default="the next free one in runs/"
    )
    from_: Path | None = option(
        None,
        "a model.safetensors to train further: it gives the weights and the options of the network",
        group="run",
        metavar="MODEL",
        default="weights are drawn at random",
    )
    resume: Path | None = option(
        None, "go on with the run in FOLDER, which was broken off", group="run", metavar="FOLDER", default=""
    )
    checkpoint_every: NotNegative = option(
        30.0, "how often it is written where training stands", group="run", metavar="SECONDS"
    )
    tensorboard: bool = option(False, "write the curve for TensorBoard into the run folder as well", group="run")
    trackio: bool = option(False, "log the curve with trackio, wandb's local kin, as well", group="run")
    visdom: Address | None = option(
        None, "send the curve to a Visdom server", group="run", metavar="URL", default=VISDOM, const=VISDOM
    )

    def __post_init__(self) -> None:
        """Refuse a part of the data that what is told beside it leaves no place for."""
        super().__post_init__()
        told = {name for name, value in vars(self).items() if value is not None}
        for name in ("test", "validation"):
            if name in told and "file" not in told:
                raise InputError(f"--{name}: needs FILE, the training part, as well")
        if {"validation", "validation_share"} <= told:
            raise InputError("--validation-share: says how much of FILE to hold out, but --validation names a file")


@dataclass(kw_only=True)
class Out(Reading):
    """The file that a command writes, which it doesn't write over without being told to."""

    out: Path | None = option(None, "the file to write", metavar="FILE", default="FILE's name and what is in it, here")
    overwrite: bool = option(False, "write over a file that is there already")

    def out_file(self, default: str) -> Path:
        """``out``, or the name ``default`` in this folder.

        Raises ``InputError`` where it is a folder, or is there already and ``overwrite`` isn't given.
        """
        out = self.out or Path(default)
        if out.is_dir():
            raise InputError(f"--out {out}: is a folder, expected a file")
        if out.exists() and not self.overwrite:
            raise InputError(
                f"{out}: is there already; choose another file with --out, or write over it with --overwrite"
            )
        return out


@dataclass(frozen=True)
class Command(Generic[Options]):
    """``statewise NAME``, which is told what ``options`` has the fields of, and calls ``action`` with them."""

    name: str
    options: type[Options]
    action: str
    """``module:function``, also one of a class: imported when it runs."""
    usage: str
    description: str
    examples: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.usage, parser.description, parser.epilog = self.usage, self.description, self.examples
        parser.formatter_class = HelpFormatter
        declare(parser, self.options)

    def run(self, args: argparse.Namespace) -> int:
        """Do what ``args`` say; the exit status."""
        options = self.told(args)
        if isinstance(options, Reading):
            limit.set(options.unpack * GIGABYTE)
        module, _, function = self.action.partition(":")
        return int(attrgetter(function)(import_module(module))(options) or 0)

    def told(self, args: argparse.Namespace) -> Options:
        """What ``args`` say; of a run that is gone on with what it was told, and decided, when it began.

        Raises ``InputError`` where there is no such run, or where other options stand beside ``--resume``.
        """
        known = hints_of(self.options)
        given = {name: value for name, value in vars(args).items() if name in known and value is not None}
        folder: Path | None = given.pop("resume", None)
        if folder is None:
            if (model := given.get("from_")) is not None:
                from .further import carried

                given = carried(self.name, self.options, model, given)
            return self.options(**given)
        if given:
            raise InputError(
                f"--resume goes on with the arguments of the run; it takes no others, got {', '.join(given)}"
            )
        content, where = config_of(self.name, folder)
        try:
            options = from_json(self.options, content)
        except ValueError as error:
            raise InputError(f"--resume {folder}: its arguments can't be used any more: {error}") from None
        for each in fields(options):
            value = getattr(options, each.name)
            if isinstance(value, Path) and where != Path.cwd():
                setattr(options, each.name, where / value)
        options.resume = folder  # type: ignore[attr-defined]
        return options


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Lines that go on from one another are filled to the terminal's width; indented ones, as examples, are not."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for line in text.strip("\n").split("\n"):
            before = lines[-1] if lines else ""
            goes_on = line.startswith(" " * 8) or not (line[:1].isspace() or before[:1].isspace())
            if line and before and goes_on:
                lines[-1] = f"{before} {line.strip()}"
            else:
                lines.append(line)
        fitting = [_command(line, width) if "statewise " in line else folded(line, width) for line in lines]
        return textwrap.indent("\n".join(fitting), indent)


def _command(line: str, width: int) -> str:
    """A line of a shell, gone on with in the next one where it is too long."""
    broken = textwrap.wrap(line, width - 2, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(broken) if len(line) > width else line


def say(text: str) -> None:
    """Print ``text``, unless it is empty; of several processes one does. A terminal gets lines that it has room for."""
    if is_main_process() and text:
        print(folded(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text, flush=True)


def folded(text: str, width: int) -> str:
    """``text`` with lines over ``width`` broken between words, below where their value begins; tables as they are."""
    return "\n".join([_folded(line, width) for line in text.split("\n")])


def _folded(line: str, width: int) -> str:
    match = _BEGINNING.match(line)
    begin = match[0] if match else ""
    rest = line[len(begin) :]
    if len(line) <= width or "  " in rest.strip() or width < 40:
        return line
    under = " " * len(begin) if len(begin) < width // 2 else ""
    return textwrap.fill(
        rest, width, initial_indent=begin, subsequent_indent=under, break_long_words=False, break_on_hyphens=False
    )


def by_group(kind: type[Config]) -> list[tuple[str, Any, Field[Any], Option]]:
    """The options of ``kind``, those of a group together."""
    return sorted(options_of(kind), key=lambda found: GROUPS.index(found[3].group))


def declare(parser: argparse.ArgumentParser, kind: type[Config]) -> None:
    """Add an argument for each option of ``kind``, by group. What isn't given is not in what ``parser`` finds."""
    groups: dict[str, Any] = {"": parser}
    for name, hint, each, how in by_group(kind):
        if how.group not in groups:
            groups[how.group] = parser.add_argument_group(how.group)
        _declare(groups[how.group].add_argument, name, hint, each, how)


def flag_of(name: str) -> str:
    """How the option ``name`` is written on a command line; Python's own words have a ``_`` behind them."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def spelt(name: str, hint: Any, how: Option, value: Any) -> list[str]:
    """The words of a command line that give the option ``name`` this value."""
    flag = flag_of(name)
    if plain(hint) is bool:
        return [flag if value else f"--no-{flag[2:]}"]
    words = list(map(str, value)) if isinstance(value, tuple) else [str(value)]
    words = [",".join(words)] if how.commas else words
    return words if how.positional else [flag, *words]


def _declare(add: Callable[..., Any], name: str, hint: Any, each: Field[Any], how: Option) -> None:
    kind, required = plain(hint), each.default is MISSING
    words: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _text(each.default, how, boolean=kind is bool)}
    if kind is bool:
        simple = each.default is False or how.default == ""
        words["action"] = "store_true" if simple else argparse.BooleanOptionalAction
    elif choices(hint):
        words["choices"] = choices(hint)
    else:
        listed = get_origin(kind) is tuple
        words |= {"metavar": how.metavar, "type": _type(hint, items(hint) if listed and not how.commas else hint)}
        if listed and not how.commas:
            words["nargs"] = "+"
        elif how.const is not None:
            words |= {"nargs": "?", "const": how.const}
        elif how.positional and not required:
            words |= {"nargs": "?", "default": None}  # the parser would read argparse.SUPPRESS as a word
    if how.positional:
        add(name, **words)
    else:
        flags = [flag_of(name), *([how.alias] if how.alias else [])]
        add(*flags, dest=name, **words)


def _type(hint: Any, each: Any) -> Callable[[str], Any]:
    """Reads a word as ``each``, of a list its entries between commas; ``hint`` is what the whole option is."""
    if plain(each) in (Path, str) and plain(each) is each:
        return Path if each is Path else str

    def read(word: str) -> Any:
        try:
            if get_origin(plain(each)) is not tuple:
                return read_word(each, word)
            return checked("", hint, tuple(read_word(items(each), part) for part in word.split(",")))
        except InputError:  # each of them could be, but not all together
            raise argparse.ArgumentTypeError(f"expected {expected(hint)}, got {word!r}") from None
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _text(value: Any, how: Option, *, boolean: bool) -> str:
    """What help says of an option."""
    off = boolean and value is False and how.default is None
    return (how.help + ("" if off else default_in_words(value, how))).replace("%", "%%")


def default_in_words(value: Any, how: Option) -> str:
    """The default in brackets, after what it is the default of; empty where there is none, or none worth a word."""
    text = how.default
    if text is None:
        if value is MISSING or value == ():
            text = ""
        elif isinstance(value, tuple):
            text = ",".join(f"{x:g}" for x in value)
        elif isinstance(value, float):
            text = f"{value:g}"
        elif value is None or isinstance(value, bool):
            text = {None: "none", True: "yes", False: "no"}[value]
        else:
            text = str(value)
    return f" (default: {text})" if text else ""
