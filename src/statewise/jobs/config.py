"""One typed dataclass says what a job can be told: its command's options, its class's arguments, the checks of both,
and the header of its model's file.

A field has a type with bounds, such as ``Whole``, a default, and a text, which ``option`` gives it. Values come as what
a program gives, as words of a command line, or as JSON; pydantic tells whether they fit, ``expected`` what would have.
No torch here and, until a value is looked at, no pydantic: help comes at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST = 2**62  # of whole numbers: torch and numpy take them as they are


@dataclass(frozen=True)
class Bounds:
    """Beside a type of numbers: at least, above, at most, below."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """How pydantic is told of them."""
        return handler(source) | {name: bound for name, bound in vars(self).items() if bound is not None}


@dataclass(frozen=True)
class Says:
    """Beside a type: what ``expected`` says of it, and what must hold of a value besides."""

    words: str
    holds: Callable[[Any], object] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """How pydantic is told of it."""
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        assert self.holds is None or self.holds(value)
        return value


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
    error = _error(lambda: _adapter(hint).validate_python(value, strict=True))
    if error is not None:
        raise InputError(f"{name}: {_wrong(hint, error, value)}")
    return value


def read_word(hint: Any, word: str) -> Any:
    """What ``word``, of a command line, says; ValueError where that can't be used."""
    found: list[Any] = []
    error = _error(lambda: found.append(_adapter(hint).validate_strings(word)))
    if error is not None:
        raise ValueError(_wrong(hint, error, word))
    return found[0]


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
            written, hint = json.dumps(content[each.name]), hints[each.name]

            def read(hint: Any = hint, name: str = each.name, written: str = written) -> None:
                values[name] = _adapter(hint).validate_json(written, strict=True)

            error = _error(read)
            if error is not None:
                raise ValueError(f"{each.name}: {_wrong(hint, error, content[each.name])}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"there is no {each.name!r}")
    return kind(**values)


def to_json(content: Any) -> Any:
    """What ``from_json`` reads, of a dataclass."""
    from pydantic import TypeAdapter

    return TypeAdapter(Any).dump_python(content, mode="json")


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))


def _error(read: Any) -> Any:
    """The first of what pydantic says against ``read()``; None: nothing."""
    from pydantic import ValidationError

    try:
        read()
    except ValidationError as error:
        return error.errors(include_url=False)[0]
    return None


def _wrong(hint: Any, error: Any, value: Any) -> str:
    """What came in the place of what; a check of our own says itself what it expected."""
    if error["type"] == "value_error":
        return f"{error['ctx']['error']}"
    large = error["type"] in ("less_than_equal", "int_parsing_size")
    return f"expected {expected(hint, large=large)}, got {short(value)}"


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
