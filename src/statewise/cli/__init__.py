"""The command line ``statewise``. Each command declares its own arguments, and is imported when it is named.

What the user gave and can't be used ends in one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextvars import copy_context
from importlib import import_module
from typing import Any, NoReturn

from .._version import __version__
from ..jobs.errors import InputError, Interrupted, remarks_to
from ..jobs.training.rank import is_main_process

# name: (module:command, help)
COMMANDS = {
    "forecast": ("statewise.jobs.tasks.forecast.command:COMMAND", "learn to forecast one series or many"),
    "forecast predict": (
        "statewise.jobs.tasks.forecast.predict:COMMAND",
        "forecast them, with a model that has learnt it",
    ),
    "classify": ("statewise.jobs.tasks.classify.command:COMMAND", "learn to tell to which class a sequence belongs"),
    "classify predict": ("statewise.jobs.tasks.classify.command:PREDICT", "tell it, with a model that has learnt it"),
    "write": ("statewise.jobs.tasks.write.command:COMMAND", "learn to write as a text is written"),
    "write sample": ("statewise.jobs.tasks.write.command:SAMPLE", "write, with a model that has learnt it"),
    "write complete": (
        "statewise.jobs.tasks.write.command:COMPLETE",
        "say what comes next, with a model that has learnt it",
    ),
    "write score": (
        "statewise.jobs.tasks.write.command:SCORE",
        "say how well a model that has learnt it predicts a text",
    ),
    "tag": ("statewise.jobs.tasks.tag.command:COMMAND", "learn to give every word of a sentence a tag"),
    "tag predict": ("statewise.jobs.tasks.tag.command:PREDICT", "give tags with a model that has learnt it"),
    "translate": ("statewise.jobs.tasks.translate.command:COMMAND", "learn to write a text for a text"),
    "translate predict": (
        "statewise.jobs.tasks.translate.command:PREDICT",
        "write it, with a model that has learnt it",
    ),
}
COMMANDS |= {
    f"tune {job}": (f"statewise.jobs.tuning:{job}", f"search the options of {job} that validate best")
    for job in [name for name in COMMANDS if " " not in name]
}

COMMANDS["explain"] = ("statewise.explaining.command:COMMAND", "say what a layer computes, tensor by tensor")
COMMANDS["inspect"] = (
    "statewise.inspecting.command:COMMAND",
    "look inside a trained network: gates, states, gradients",
)
COMMANDS["convert"] = ("statewise.converting:COMMAND", "write a model as ONNX, or as a file of the runtime's")
COMMANDS["serve"] = ("statewise.serving.command:COMMAND", "serve models that have learnt it, by HTTP")

EXAMPLES = """\
examples:
  statewise forecast
  statewise forecast --help
  statewise classify
  statewise write
  statewise tag
  statewise translate
  statewise explain lstm
  statewise convert runs/write-1/model.safetensors writer.onnx
  statewise serve runs/write-1/model.safetensors
"""

# What the commands need beyond the bare install, by the name of the import, and the extra that has it.
OPTIONAL = dict.fromkeys(("torch", "polars", "narwhals", "matplotlib", "sklearn", "tqdm", "jinja2"), "jobs") | {
    "optuna": "tune",
    "holidays": "holidays",
    "sacrebleu": "translate",
    "tokenizers": "translate",
    "onnx": "onnx",
    "h5py": "keras",
}
OPTIONAL |= dict.fromkeys(("pydantic", "starlette", "uvicorn", "websockets", "prometheus_client"), "serve")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n" if is_main_process() else None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv``; the exit status. What it sets, such as limits, ends with it."""
    return copy_context().run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    argv = _joined(sys.argv[1:] if argv is None else list(argv))
    try:
        parser = build(argv)
    except ModuleNotFoundError as error:
        return _needs("statewise", error)
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    prog = f"statewise {args.command}"
    try:
        with remarks_to(lambda text: _say(f"{prog}: remark: {text}")):
            return int(_found(COMMANDS[args.command][0]).run(args))
    except InputError as error:
        _say(f"{prog}: {' '.join(str(error).split())}")
        return 2
    except ModuleNotFoundError as error:
        return _needs(prog, error)
    except Interrupted as error:
        _say(f"{prog}: interrupted; {error}")
        return 130
    except MemoryError:
        _say(f"{prog}: needs more memory than there is")
        return 2
    except KeyboardInterrupt:
        _say(f"{prog}: interrupted, nothing written")
        return 130
    except BrokenPipeError:  # whoever read our output is gone, as in `statewise forecast | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _needs(prog: str, error: ModuleNotFoundError) -> int:
    """Say what has to be installed, where that is of the jobs; the exit status. Anything else is a defect of ours."""
    extra = OPTIONAL.get((error.name or "").split(".")[0])
    if extra is None:
        raise error
    if prog == "statewise serve" and extra == "jobs":  # it needs but a few of them
        extra = "serve-forecast" if error.name in ("polars", "narwhals") else "serve"
    _say(f"{prog}: needs {error.name}: pip install 'statewise[{extra}]'")
    return 2


def _say(text: str) -> None:
    """One line on stderr; of several processes that all say the same, one says it."""
    if is_main_process():
        print(text, file=sys.stderr)


def _joined(argv: list[str]) -> list[str]:
    """``argv`` with a command of two words as one; ``fit`` is what a job does without a second word."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    two = " ".join(argv[at : at + 2])
    if two in COMMANDS:
        return [*argv[:at], two, *argv[at + 2 :]]
    if two.endswith(" fit") and any(name.startswith(two.removesuffix("fit")) for name in COMMANDS):
        return [*argv[: at + 1], *argv[at + 2 :]]
    return argv


def build(argv: Sequence[str]) -> Parser:
    """The parser. Only the command that ``argv`` names is imported, so that help comes at once."""
    parser = Parser(
        prog="statewise",
        description="Recurrent networks: the usual jobs as one command each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"statewise {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    named = next((word for word in argv if not word.startswith("-")), None)
    for name, (where, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if name == named:
            _found(where).add_arguments(command)
    for first in dict.fromkeys(name.split()[0] for name in COMMANDS):
        if first not in COMMANDS:  # a second word that makes it one is joined to it before
            jobs = [name.split()[1] for name in COMMANDS if name.split()[0] == first]
            said = f"one of {', '.join(jobs)}; for its options: statewise {first} JOB --help"
            commands.add_parser(first).add_argument("job", metavar="JOB", choices=jobs, help=said)
    return parser


def _found(where: str) -> Any:
    """The command that ``where`` names, as ``module:name``."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
