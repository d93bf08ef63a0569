"""One typed dataclass says what a job can be told: its command's options, its class's arguments, the checks of both,
and the header of its model's file.

A field has a type with bounds, such as ``Whole``, a default, and a text, which ``option`` gives it. Values come as what
a program gives, as words of a command line, or as JSON; ``fitted`` tells whether they fit, ``expected`` what would.
Nothing is imported here but Python: help comes at once, and where there is numpy alone models are read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import InputError

LARGEST = 2**62  # of whole numbers: torch and numpy take them as they are
FLOAT = sys.float_info.max


@dataclass(frozen=True)
class Bounds:
    """Beside a type of numbers: at least, above, at most, below."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def check(self, value: Any) -> None:
        """``UnfitError`` for a number outside of them."""
        if self.le is not None and value > self.le:
            raise UnfitError(large=True)
        ge, gt, lt = (-math.inf if self.ge is None else self.ge), self.gt, self.lt
        if value < ge or (gt is not None and value <= gt) or (lt is not None and value >= lt):
            raise UnfitError


@dataclass(frozen=True)
class Says:
    """Beside a type: what ``expected`` says of it, and what must hold of a value besides."""

    words: str
    holds: Callable[[Any], object] | None = None

    def check(self, value: Any) -> None:
        """``UnfitError`` where it doesn't hold; a ValueError of ``holds`` says itself what was expected."""
        try:
            fits = self.holds is None or self.holds(value)
        except ValueError as error:
            raise UnfitError(said=str(error)) from None
        if not fits:
            raise UnfitError


Whole = Annotated[int, Bounds(ge=1, le=LARGEST)]
Count = Annotated[int, Bounds(ge=0, le=LARGEST)]
Positive = Annotated[float, Bounds(gt=0)]
NotNegative = Annotated[float, Bounds(ge=0)]
Share = Annotated[float, Bounds(gt=0, lt=1)]
Part = Annotated[float, Bounds(ge=0, lt=1)]
Cell = Literal["lstm", "gru", "rnn"]
Level = Literal["char", "word", "subword"]

Data = TypeVar("Data")


@dataclass(frozen=True)
class Range:
    """From where to where ``tune`` searches; ``log``: every power as likely as every other. Whole if ``low`` is."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Option:
    """How a field shows on a command line and in the text of a class."""

    help: str
    group: str = ""
    metavar: str | None = None
    default: str | None = None
    """The default in words, where the value doesn't say it; empty: not worth a word."""
    positional: bool = False
    commas: bool = False
    """Whether a list comes as one word, its entries separated by commas."""
    const: Any = None
    """What it is where the option stands without a word."""
    alias: str | None = None
    search: Range | tuple[Any, ...] | None = None
    """Where ``tune`` searches, a range or choices; None: it doesn't."""
    further: Literal["same", "kept", "told"] | None = None
    """Where a model is trained further: its value, which stays the same; or which is kept unless another is told; or
    what is told, or the default. None: of the group *training* that, of others the same."""


def option(value: Any, help: str, *, group: str = "", **how: Any) -> Any:
    """A field with the default ``value``, ``...`` for none, and what a reader has to know of it, see ``Option``."""
    return field(default=MISSING if value is ... else value, metadata={"option": Option(help, group, **how)})


def again(of: type, name: str, value: Any, default: str | None = None) -> Any:
    """The field ``name`` of the dataclass ``of`` with another default."""
    (was,) = (how for known, _, _, how in options_of(of) if known == name)
    how = {key: entry for key, entry in vars(was).items() if key not in ("help", "default")}
    return option(value, was.help, default=default, **how)


@dataclass(kw_only=True)
class Config:
    """The base of what can be set: every value is looked at, and ``InputError`` names the first that can't be used."""

    def __post_init__(self) -> None:
        for name, hint in hints_of(type(self)).items():
            setattr(self, name, checked(name, hint, getattr(self, name)))


def options_of(kind: type) -> Iterator[tuple[str, Any, Field[Any], Option]]:
    """Name, type, field and option of what can be set of ``kind``."""
    hints = hints_of(kind)
    for each in fields(kind):
        if each.init and "option" in each.metadata:
            yield each.name, hints[each.name], each, each.metadata["option"]


def hints_of(kind: Any) -> dict[str, Any]:
    """The types of the fields of ``kind``, with their bounds."""
    return _hints(kind)  # typed, which what ``cache`` gives isn't


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in fields(kind)}


def part_of(kind: type[Data], whole: Any, **other: Any) -> Data:
    """The dataclass ``kind`` of what ``whole`` has under the same names, but for ``other``."""
    return kind(**{each.name: getattr(whole, each.name) for each in fields(kind)} | other)  # type: ignore[arg-type]


# Values


def checked(name: str, hint: Any, value: Any) -> Any:
    """``value``, of a program, as ``hint`` has it: a list may be a tuple, numpy's numbers are numbers.

    Raises ``InputError`` where it can't be used.
    """
    if isinstance(value, list):
        value = tuple(value)
    elif getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    try:
        fitted(hint, value)
    except UnfitError as error:
        raise InputError(f"{name}: {error.wrong(hint, value)}") from None
    return value


def read_word(hint: Any, word: str) -> Any:
    """What ``word``, of a command line, says; ValueError where that can't be used."""
    try:
        return fitted(hint, _read(plain(hint), word))
    except UnfitError as error:
        raise ValueError(error.wrong(hint, word)) from None


TRUE, FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")


def _read(kind: Any, word: str) -> Any:
    """``word`` as a value of ``kind``; the word itself where it is none."""
    if kind is bool:
        return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}.get(word.lower(), word)
    try:
        return kind(word) if kind in (int, float, Path) else word
    except ValueError as error:
        if "limit" in str(error):  # of the digits that Python reads
            raise UnfitError(large=True) from None
        return word


def from_json(kind: type[Data], content: Any) -> Data:
    """The dataclass ``kind`` that ``content``, a JSON object, holds the fields of. ValueError where it doesn't."""
    if not isinstance(content, Mapping):
        raise ValueError(f"expected the entries of {kind.__name__}, got {short(content)}")
    hints, values = hints_of(kind), dict[str, Any]()
    if unknown := sorted(set(content) - set(hints)):
        raise ValueError(f"{kind.__name__} has no {unknown[0]!r}")
    for each in fields(kind):  # type: ignore[arg-type]
        if is_dataclass(hints[each.name]) and each.name in content:
            values[each.name] = from_json(hints[each.name], content[each.name])
        elif each.name in content:
            try:
                values[each.name] = fitted(hints[each.name], content[each.name], json=True)
            except UnfitError as error:
                raise ValueError(f"{each.name}: {error.wrong(hints[each.name], content[each.name])}") from None
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"there is no {each.name!r}")
    return kind(**values)


def to_json(content: Any) -> Any:
    """What ``from_json`` reads, of a dataclass."""
    if is_dataclass(content):
        return {each.name: to_json(getattr(content, each.name)) for each in fields(content)}
    if isinstance(content, Mapping):
        return {name: to_json(value) for name, value in content.items()}
    if isinstance(content, (tuple, list)):
        return [to_json(value) for value in content]
    return str(content) if isinstance(content, Path) else content


class UnfitError(Exception):
    """A value isn't what a type asks for; ``large``: it is above its highest. ``said``: what was expected."""

    def __init__(self, said: str = "", *, large: bool = False) -> None:
        self.said, self.large = said, large

    def wrong(self, hint: Any, value: Any) -> str:
        """What came in the place of what."""
        return self.said or f"expected {expected(hint, large=self.large)}, got {short(value)}"


def fitted(hint: Any, value: Any, *, json: bool = False) -> Any:
    """``value`` as ``hint`` has it, or ``UnfitError``. In ``json`` lists are tuples, and texts may be paths."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = fitted(parts[0], value, json=json)
        for each in parts[1:]:
            each.check(found)
        return found
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        return fitted(next(one for one in parts if one is not NoneType), value, json=json)
    if origin is Literal:
        fits = any(type(value) is type(one) and value == one for one in parts)
    elif origin is tuple:
        if isinstance(value, list if json else tuple):
            return tuple(fitted(parts[0], one, json=json) for one in value)
        fits = False
    elif origin is dict:
        if isinstance(value, dict) and all(isinstance(name, parts[0]) for name in value):
            return {name: fitted(parts[1], one, json=json) for name, one in value.items()}
        fits = False
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FLOAT:
            return float(value)
        fits = False
    elif json and hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = hint is Any or isinstance(value, hint)
    if not fits:
        raise UnfitError
    return value


def short(value: Any) -> str:
    """``value`` as Python writes it, its beginning where that is long."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


# Types in words


def expected(hint: Any, *, large: bool = False) -> str:
    """What a value of the type ``hint`` is, in words; ``large``: that is not above its highest."""
    kind, bounds = _taken_apart(hint)
    for each in bounds:
        if isinstance(each, Says):
            return each.words
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return "a list"
    if kind is bool:
        return "true or false"
    if kind not in (int, float):
        return "a text"
    what = "a whole number" if kind is int else "a number"
    known = next((each for each in bounds if isinstance(each, Bounds)), Bounds())
    if large:
        return f"{what} from {known.ge} to {known.le}"
    if known.gt is not None and known.lt is not None:
        return f"{what} between {known.gt:g} and {known.lt:g}"
    low = f" above {known.gt:g}" if known.gt is not None else "" if known.ge is None else f" of at least {known.ge:g}"
    return what + low + ("" if known.lt is None else f" and below {known.lt:g}")


def choices(hint: Any) -> tuple[Any, ...] | None:
    """What can be chosen from; None: anything."""
    kind, _ = _taken_apart(hint)
    return get_args(kind) if get_origin(kind) is Literal else None


def plain(hint: Any) -> Any:
    """The type without bounds and without None."""
    return _taken_apart(hint)[0]


def items(hint: Any) -> Any:
    """The type of the entries of a tuple."""
    return get_args(plain(hint))[0]


def _taken_apart(hint: Any) -> tuple[Any, list[Any]]:
    """A type without bounds and None, and the bounds."""
    bounds: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            bounds += more
        elif get_origin(hint) in (Union, UnionType):
            hint = next(one for one in get_args(hint) if one is not NoneType)
        else:
            return hint, bounds
