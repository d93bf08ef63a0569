"""What a job raises on purpose."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave can't be used. The message is one line: what was expected, what came, and where.

    The command line prints it to stderr and exits with code 2; anything else that is raised is a defect of ours.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a cell or a name that is quoted may have ends of lines


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after a checkpoint was written; the message says how to go on."""
