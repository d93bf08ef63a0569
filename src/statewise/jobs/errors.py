"""What a job raises on purpose, and what it remarks without raising anything."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class InputError(ValueError):
    """What the user gave can't be used. The message is one line: what was expected, what came, and where.

    The command line prints it to stderr and exits with code 2; anything else that is raised is a defect of ours.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a cell or a name that is quoted may have ends of lines


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after a checkpoint was written; the message says how to go on."""


class Remark(UserWarning):
    """What a user had better know though nothing is wrong with it, in one line. The command line prints it to stderr.

    ``warnings.filterwarnings("ignore", category=Remark)`` silences them in a program.
    """


def remark(message: str) -> None:
    """Say ``message``, as one line, where the user's program called us."""
    level, frame = 2, sys._getframe(1)
    home = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == home:
        level, frame = level + 1, frame.f_back
    warnings.warn(Remark(" ".join(message.splitlines())), stacklevel=level)


@contextmanager
def remarks_to(say: Callable[[str], object]) -> Iterator[None]:
    """Hand every remark to ``say`` in the place of warning of it; other warnings stay what they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", Remark)
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, Remark):
                say(str(message))
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show
        yield
