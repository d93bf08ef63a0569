"""The command ``statewise explain``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cells import CELLS
from ..jobs.command import Command, say
from ..jobs.config import Config, Count, Whole, option
from ..jobs.errors import InputError

if TYPE_CHECKING:
    from .explanation import Explanation

NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}  # statewise's classes of torch.nn's names


@dataclass(kw_only=True)
class ExplainOptions(Config):
    """What ``explain`` can be told."""

    cell: str = option(
        ...,
        "lstm, gru, rnn, or any other cell by its name; or a model's .safetensors file",
        metavar="CELL|FILE",
        positional=True,
    )
    input_size: Whole = option(26, "features of the input in one step", metavar="I")
    hidden_size: Whole = option(128, "units", metavar="H")
    layers: Whole = option(1, "layers", metavar="L")
    bidirectional: bool = option(False, "backwards as well")
    batch_first: bool = option(False, "input and output are (N, T, .)")
    proj_size: Count = option(0, "units after a projection", metavar="P", default="none")
    step: bool = option(False, "the cell alone: one step")
    steps: Whole = option(3, "time steps", metavar="T")
    batch: Whole = option(10, "rows", metavar="N")
    lengths: tuple[Count, ...] = option(
        (),
        "how many steps of each row count, such as 3,1,2: ragged rows; T and N follow",
        metavar="T,T,...",
        default="none",
        commas=True,
    )
    svg: Path | None = option(
        None, "the unrolled network and the inside of the cell, as a picture", metavar="FILE", default=""
    )
    png: Path | None = option(None, "the same as PNG", metavar="FILE", default="")
    html: Path | None = option(
        None, "a page to step through time and see what each number is computed from", metavar="FILE", default=""
    )


COMMAND = Command(
    "explain",
    ExplainOptions,
    "statewise.explaining.command:run",
    usage="statewise explain CELL [option ...]\n       statewise explain FILE [--steps T] [--batch N] [--svg FILE]",
    description="""\
Every tensor that goes into a recurrent layer, comes out of it or is learnt, with its shape
and the meaning of its axes; the cell's equations; what a step costs; and how output and final
states relate, tried on random numbers there and then. Of a model's file every part,
with what it reads and gives; torch isn't needed for that.
""",
    examples="""\
examples:
  statewise explain lstm --input-size 26 --hidden-size 128 --layers 2 --bidirectional
  statewise explain gru --batch-first --steps 28 --batch 100 --svg gru.svg
  statewise explain slstm
  statewise explain lstm --step
  statewise explain gru --lengths 5,3,1 --png ragged.png
  statewise explain lstm --layers 2 --bidirectional --html lstm.html
  statewise explain runs/classify-001/model.safetensors
""",
)


def run(options: ExplainOptions) -> None:
    """Print the explanation, and write the pictures and the page that are asked for."""
    found = _explained(options)
    for path, form in ((options.svg, "svg"), (options.png, "png")):
        if path is not None:
            _write(path, form, _picture(found, form))
    if options.html is not None:
        _write(options.html, "html", _page(options).encode())
    say(str(found))


def _explained(options: ExplainOptions) -> Explanation:
    if options.cell.endswith(".safetensors") or Path(options.cell).is_file():
        from .files import explain_file

        try:
            return explain_file(options.cell, options.steps, options.batch)
        except OSError as error:
            raise InputError(f"{options.cell}: {error.strerror or error}") from None
        except ValueError as error:
            raise InputError(str(error)) from None
    from .explain import explain

    lengths = options.lengths or None
    if lengths and options.step:
        raise InputError("--lengths: a cell alone has no steps; leave --step out")
    return explain(_module(options), None if lengths else _input(options), lengths=lengths)


def _module(options: ExplainOptions) -> Any:
    """The layer or cell; InputError for a cell that there isn't, or for what it can't be made with."""
    import statewise

    own = NAMES.get(options.cell)
    sizes: dict[str, Any] = {"input_size": options.input_size, "hidden_size": options.hidden_size}
    if not options.step:
        sizes |= {"num_layers": options.layers, "bidirectional": options.bidirectional}
        sizes |= {"batch_first": options.batch_first, "proj_size": options.proj_size}
    try:
        if own:
            return getattr(statewise, own + ("Cell" if options.step else ""))(**sizes)
        return (statewise.RecurrentCell if options.step else statewise.Recurrent)(options.cell, **sizes)
    except KeyError as error:
        raise InputError(str(error.args[0])) from None
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def _input(options: ExplainOptions) -> Any:
    import torch

    if options.step:
        return torch.zeros(options.batch, options.input_size)
    shape = (options.batch, options.steps) if options.batch_first else (options.steps, options.batch)
    return torch.zeros(*shape, options.input_size)


def _picture(found: Explanation, form: str) -> bytes:
    if found.picture is None:
        raise InputError(f"--{form}: there is no recurrent layer to draw")
    return found.picture.png() if form == "png" else found.picture.svg().encode()


def _page(options: ExplainOptions) -> str:
    """The page, which begins with this layer, cut down to what can be seen whole."""
    from .page import cut_down, page

    if options.cell not in NAMES and options.cell not in {cell.name for cell in CELLS}:
        raise InputError(f"--html: Expected a cell by its name, got {options.cell!r}")
    names = ("layers", "bidirectional", "batch_first", "steps", "batch", "input_size", "hidden_size", "lengths")
    start = {"cell": {"rnn": "rnn_tanh"}.get(options.cell, options.cell)} | {n: getattr(options, n) for n in names}
    if cuts := cut_down(start):
        sizes = ", ".join(f"{name} {shown} for {asked}" for name, (asked, shown) in cuts.items())
        say(f"{options.html}: a smaller layer of the kind, to be seen whole: {sizes}\n")
    return page(start)


def _write(path: Path, form: str, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"--{form} {path}: {error.strerror}") from None
