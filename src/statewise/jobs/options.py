"""The options that the jobs' commands share, and the types of their values. No torch here: help comes at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .config import choices, hints_of
from .content import GIGABYTE, limit
from .errors import InputError
from .recipe import Recipe
from .runs import arguments_of

LARGEST = 2**62  # of whole numbers: torch and numpy take them as they are
OPTIMIZERS, SCHEDULES, PRECISIONS = (choices(hints_of(Recipe)[name]) for name in ("optimizer", "schedule", "precision"))


def add_training(parser: argparse.ArgumentParser, recipe: Recipe | None, *, epochs: str | None = None) -> None:
    """The options of how to train; ``recipe`` has the job's defaults, None: they depend on the model.

    ``epochs`` says in words how many there are where the job decides that by itself.
    """
    add = parser.add_argument_group("training").add_argument
    default: Any = recipe or _ByModel()
    add("--epochs", type=whole(1), metavar="N", help=_default("passes over the data at most", epochs or default.epochs))
    add("--batch", type=whole(1), metavar="N", help=_default("rows in a batch", default.batch))
    add("--optimizer", choices=OPTIMIZERS, help=_default("the optimizer", default.optimizer))
    add("--learning-rate", type=positive, metavar="X", help=_default("the highest", default.learning_rate))
    add("--schedule", choices=SCHEDULES, help=_default("how the learning rate falls", default.schedule))
    add("--warmup", type=part, metavar="X", help=_default("share of the updates in which it rises", default.warmup))
    add("--momentum", type=part, metavar="X", help=_default("of sgd alone", default.momentum))
    add("--weight-decay", type=not_negative, metavar="X", help=_default("of the optimizer", default.weight_decay))
    add("--clip", type=not_negative, metavar="X", help=_default("largest gradient norm, 0 for any", default.clip))
    add("--patience", type=whole(0), metavar="N", help=_default("epochs without gain, 0: never stop", default.patience))
    add("--seed", type=whole(0), metavar="N", help=_default("of all random numbers", default.seed))
    add("--device", metavar="NAME", help=_default("cpu, cuda, cuda:1", default.device))
    add("--precision", choices=PRECISIONS, help=_default("auto: bfloat16 on GPUs that have it", default.precision))


def add_run(parser: argparse.ArgumentParser) -> None:
    """The options of where results go and who looks on."""
    add = parser.add_argument_group("run").add_argument
    add("--out", type=Path, metavar="FOLDER", help="the run folder (default: the next free one in runs/)")
    add("--resume", type=Path, metavar="FOLDER", help="go on with the run in FOLDER, which was broken off")
    add("--checkpoint-every", type=not_negative, default=30.0, metavar="SECONDS", help="(default: 30)")
    add("--tensorboard", action="store_true", help="write the curve for TensorBoard into the run folder as well")
    add(
        "--visdom",
        nargs="?",
        type=url,
        const="http://localhost:8097",
        metavar="URL",
        help="send the curve to a Visdom server (default: http://localhost:8097)",
    )


def add_reading(add: Callable[..., object]) -> None:
    """The option of how much a packed file may hold, by the ``add_argument`` of a group; parsing it sets it."""
    add(
        "--unpack",
        type=positive,
        action=_Unpack,
        metavar="GB",
        help=f"what a packed file may hold at most, unpacked (default: {limit.get() / GIGABYTE:g})",
    )


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """The options of the file that a command writes; ``default`` says in words where it goes without them."""
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"(default: {default})")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there already")


def out_file(args: argparse.Namespace, default: str) -> Path:
    """The file to write: ``--out``, or the name ``default`` in this folder.

    Raises ``InputError`` where it is a folder, or is there already and ``--overwrite`` isn't given.
    """
    out: Path = args.out or Path(default)
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder, expected a file")
    if out.exists() and not args.overwrite:
        raise InputError(f"{out}: is there already; choose another file with --out, or write over it with --overwrite")
    return out


class _Unpack(argparse.Action):
    """Sets ``content.limit``, which all that reads files looks at."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        limit.set(values * GIGABYTE)


def recipe_of(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """``recipe`` with what the user gave in place of its defaults."""
    given = {name: value for name in asdict(recipe) if (value := getattr(args, name, None)) is not None}
    for name in ("clip", "patience"):
        if given.get(name) == 0:
            given[name] = None  # which can't be said on a command line
    return replace(recipe, **given)


def resumed(
    job: str, args: argparse.Namespace, add_arguments: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """The arguments of the run that ``--resume`` names, given again where they were given, with ``args.resume``.

    Raises ``InputError`` where there is no such run, or where other options stand beside ``--resume``.
    """
    folder = args.resume.absolute()
    arguments, where = arguments_of(job, folder)
    parser = _Quiet(prog=f"statewise {job}", allow_abbrev=False)
    add_arguments(parser)
    bare = vars(parser.parse_args(["--resume", str(args.resume)]))
    if beside := [name for name, value in bare.items() if getattr(args, name, value) != value]:
        raise InputError(f"--resume goes on with the arguments of the run; it takes no others, got {', '.join(beside)}")
    try:
        again = parser.parse_args(arguments)
        os.chdir(where)  # file names among the arguments are relative to it
    except (InputError, OSError) as error:
        raise InputError(f"--resume {args.resume}: its arguments can't be used any more: {error}") from None
    again.resume = folder
    return again


class _Quiet(argparse.ArgumentParser):
    """A parser that raises ``InputError``."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def whole(least: int) -> Callable[[str], int]:
    """A type for options: a whole number of at least ``least``."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        if int(text) > LARGEST:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {LARGEST}, got {text!r}")
        return int(text)

    return read


def positive(text: str) -> float:
    """A type for options: a number above 0."""
    return _number(text, lambda x: x > 0, "a number above 0")


def not_negative(text: str) -> float:
    """A type for options: a number of at least 0."""
    return _number(text, lambda x: x >= 0, "a number of at least 0")


def share(text: str) -> float:
    """A type for options: a number above 0 and below 1."""
    return _number(text, lambda x: 0 < x < 1, "a number between 0 and 1")


def part(text: str) -> float:
    """A type for options: a number of at least 0 and below 1."""
    return _number(text, lambda x: 0 <= x < 1, "a number of at least 0 and below 1")


def url(text: str) -> str:
    """A type for options: the address of a server."""
    try:
        address = urlsplit(text)
        if address.scheme in ("http", "https") and address.hostname and (address.port is None or address.port):
            return text
    except ValueError:  # the port
        pass
    raise argparse.ArgumentTypeError(f"expected an address such as http://localhost:8097, got {text!r}")


def _number(text: str, fits: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not fits(value) or value == float("inf"):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


class _ByModel:
    """In the place of a recipe of which these values depend on the model."""

    epochs = batch = learning_rate = schedule = weight_decay = patience = "by the model"

    def __getattr__(self, name: str) -> Any:
        return getattr(Recipe(), name)


def _default(text: str, value: Any) -> str:
    return f"{text} (default: {'none' if value is None else f'{value:g}' if isinstance(value, float) else value})"
