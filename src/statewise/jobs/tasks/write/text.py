"""Read text, and hold a part of it out. Text is UTF-8; lines end in ``\\n`` whatever they ended in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...data.content import decoded
from ...errors import InputError
from .config import HELD_OUT, LEAST_HELD_OUT


def read_text(path: Path) -> str:
    """The text in ``path``, packed as .gz or not. Raises ``InputError`` where there is none."""
    return checked(decoded(path), str(path))


def checked(text: str, where: str) -> str:
    """``text`` with its lines ended by ``\\n``; refuses what is empty or no text. ``where`` begins the message."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError(f"{where}: expected text, got {'blanks alone' if text else 'nothing'}")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{where}: expected text, got a character of number 0 in line {line}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: character {error.start + 1} is no character but half of a pair") from None
    return text


def lines_of(text: str) -> list[str]:
    """The lines of ``text`` that aren't blank, without blanks around them."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def of_lines(lines: list[str]) -> str:
    """The text of ``lines``, each ended."""
    return "".join(f"{line}\n" for line in lines)


def held_out(text: str, share: float | None, *, lines: bool, level: str = "char", seed: int = 0) -> tuple[str, str]:
    """``text`` in two parts, to train on and to validate with.

    Of a running text the end is held out, cut between words where ``level`` is ``word``. Of ``lines`` it is lines drawn
    by ``seed``, all that are equal together, so that none of the second part is in the first. ``share`` is how much; 0
    for nothing, None for a tenth where that says enough.
    """
    if lines:
        return _lines_held_out(lines_of(text), share, seed)
    if share is None:
        share = HELD_OUT if len(text) * HELD_OUT >= LEAST_HELD_OUT[False] else 0.0
    cut = int(len(text) * (1 - share))
    while level == "word" and cut < len(text) and not text[cut - 1].isspace():
        cut += 1
    return text[:cut], text[cut:]


def _lines_held_out(lines: list[str], share: float | None, seed: int) -> tuple[str, str]:
    different = sorted(set(lines))
    if share is None:
        share = HELD_OUT if len(different) * HELD_OUT >= LEAST_HELD_OUT[True] else 0.0
    drawn = np.random.default_rng(seed).permutation(len(different))[: int(len(different) * share)]
    held = {different[row] for row in drawn}
    return of_lines([x for x in lines if x not in held]), of_lines([x for x in lines if x in held])
