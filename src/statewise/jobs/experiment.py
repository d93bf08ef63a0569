"""A job from its command to a full run folder. What is a job's own is a ``Job``; everything around it is here, once.

read, split, decide     the job, when it is made: its ``problem``
folder, config.json     a new one, or the one of a run that was broken off
train                   the problem, by a ``Trainer``: the loop, a checkpoint for each network, all who look on
judge                   the job: the model and its baselines on data held out
write                   the verdict, report.html, the job's files, the model, metrics.json
"""

from __future__ import annotations

import json
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from .._version import __version__
from ..inspecting.sample import Sample
from .artifacts import atomic
from .artifacts.model_file import Model
from .artifacts.runs import run_folder
from .command import say
from .config import to_json
from .further import model_of
from .report import Block, Heading, Note, Page, Picture, Table, Text, loss_curve
from .training.callbacks import Log, Record
from .training.distributed import find_device
from .training.problem import Problem, Trainer
from .training.rank import is_main_process
from .training.trackers import default_callbacks

Options = TypeVar("Options", bound=Any)  # a dataclass of Run and of a job's configuration
Trained = TypeVar("Trained", bound=Model)

DRAWN = 2  # layers of a network, each direction one, whose gates the page shows

Facts = list[tuple[str, str]]
"""What a run is about, as lines: what it says, after a label; the first has none."""


@dataclass
class Outcome:
    """What a model and its baselines are worth, in words and as files."""

    table: Table
    """The scores, the model's first, and as its caption a sentence or two below them."""
    verdict: tuple[str, bool]
    """A sentence, and whether it is good news."""
    metrics: Mapping[str, Any]
    """For metrics.json."""
    ending: str = ""
    """What the terminal says beside that."""
    blocks: Sequence[Block] = ()
    """The page's sections beside these."""
    files: Mapping[str, bytes | str | Callable[[Path], object]] = field(default_factory=dict)
    """By name: what is in it, or what writes it."""
    model: Any = None
    """What the model's file is to hold, where judging has taught the model something."""


class Job(ABC, Generic[Options, Trained]):
    """What one job does with what it is told: ``__init__`` reads and splits the data and decides what was left open.

    Raises ``InputError`` for what can't be used. Nothing is written and nothing said before it is made.
    """

    kind: ClassVar[str]
    """The command's name."""
    options: Options
    """What it was told."""
    problem: Problem[Trained]
    """What is learnt."""
    name: str
    """What the run is called after."""
    layout: Any = None
    """How its files lie, for the model to remember."""

    @abstractmethod
    def __init__(self, options: Options) -> None: ...

    @cached_property
    def like(self) -> Trained | None:
        """The model that is trained further, if one is."""
        return None if self.options.from_ is None else model_of(self.kind, self.options.from_)

    @cached_property
    def config(self) -> Options:
        """What it was told, with what the problem has decided."""
        decided: dict[str, Any] = vars(self.problem.config)
        told = {each.name for each in fields(self.options)}
        found: Options = replace(self.options, **{name: decided[name] for name in told & decided.keys()})
        return found

    @property
    def title(self) -> str:
        """The heading of the report."""
        return self.name

    @property
    def label(self) -> str:
        """The model's name for readers."""
        return str(self.config.cell).upper()

    @abstractmethod
    def facts(self) -> Facts:
        """What is known before training."""

    def facts_of(self, model: Trained) -> Facts:
        """What is known after training beside that."""
        return []

    def validated(self, scores: Mapping[str, float]) -> str:
        """What the best of the validation's scores say; empty: nothing that a reader needs."""
        return ""

    @abstractmethod
    def judge(self, model: Trained) -> Outcome:
        """The model and its baselines on what was held out of training."""

    def sample(self, model: Trained) -> Sample | None:
        """Some rows of what was held out, for the page to show what is inside the network; None: it doesn't."""
        return None

    @classmethod
    def run(cls, options: Options) -> None:
        """From the command to a full run folder."""
        began = time.monotonic()
        find_device(options.device)  # before anything is read, said or made
        job = cls(options)
        kept = {name: value for name, value in to_json(job.config).items() if name not in ("out", "resume")}
        with run_folder(job.kind, job.name, options.out, kept, options.resume) as folder:
            facts = [*job.facts(), *begun_from(options.from_, job.like)]
            say(lines(facts))

            def page(history: Sequence[Record]) -> Page:
                return page_of(job, facts, history)

            with default_callbacks(f"training {job.label}", folder, page, options) as callback:
                start = {} if job.like is None else job.like.networks()
                model = job.problem.train(Trainer([callback], folder, options.checkpoint_every, start))
            if not is_main_process():
                return
            history = Log(folder / "metrics.jsonl").records
            told = len(facts)
            facts = [*facts, *job.facts_of(model), ("trained", training_line(history, job.validated))]
            say("\n".join(lines(facts).split("\n")[told:]) + "\n")
            outcome = job.judge(model)
            said = [as_text(outcome.table), outcome.table.caption, outcome.verdict[0], outcome.ending]
            say("\n".join(filter(None, said)))
            outcome.blocks = [*outcome.blocks, *inside(job, outcome.model or model)]
            page_of(job, facts, history, outcome).write(folder / "report.html")
            for name, content in outcome.files.items():
                if callable(content):
                    content(folder / name)
                else:
                    atomic.write(folder / name, content)
            model = outcome.model or model
            replace(model, layout=job.layout, notes={"data": job.name}).save(folder / "model.safetensors")
            metrics = {
                **outcome.metrics,
                "config": to_json(job.config),
                "training": {key: history[-1][key] for key in ("epoch", "update", "seconds", "loss")},
                "seconds": round(time.monotonic() - began, 2),
                "threads": torch.get_num_threads(),
                "versions": {
                    "statewise": __version__,
                    "torch": version("torch"),
                    "scikit-learn": version("scikit-learn"),
                    "python": platform.python_version(),
                },
            }
            atomic.write(folder / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False) + "\n")
        say(f"\n{folder}: {', '.join(sorted(p.name for p in folder.iterdir() if p.is_file()))}")


# What a run says


def begun_from(path: Path | None, model: Model | None) -> Facts:
    """Which model is trained further."""
    if model is None:
        return []
    data = model.notes.get("data")
    return [("from", f"{path}{f', which has learnt {data}' if data else ''}, trained further")]


def page_of(job: Job[Any, Any], facts: Facts, history: Sequence[Record], outcome: Outcome | None = None) -> Page:
    """The report: of a training that runs or, with ``outcome``, of a run that is done."""
    blocks: list[Block] = []
    if outcome is not None:
        blocks += [Note(*outcome.verdict), replace(outcome.table, strong=0)]
    blocks.append(Text(lines(facts), plain=True))
    if history:
        fits = len({record.get("fit") for record in history})
        text = f"The loss by update.{f' One line for each of {fits} networks.' if fits > 1 else ''}"
        held = [record["validation"] for record in history if record.get("validation")]
        if fits == 1 and held and (said := job.validated(held[-1])):
            text += f" On the validation part in the end: {said}."
        blocks += [Heading("Training"), Picture(loss_curve(history), text)]
    if outcome is not None:
        blocks += outcome.blocks
    return Page(job.title, f"statewise {job.kind}", blocks, running=outcome is None)


def inside(job: Job[Any, Trained], model: Trained) -> list[Block]:
    """The page's last sections: what the network does while it reads some of what was held out."""
    try:
        sample = job.sample(model)
        if sample is None:
            return []
        found = sample.inspected("Inside the network")
    except ValueError as error:
        return [Heading("Inside the network"), Note(f"It couldn't be looked into: {error}", good=False)]
    text = f"The network on {found.described} of what was held out; statewise inspect shows it on any data."
    return [Heading("Inside the network"), Text(text), *found.blocks(DRAWN)]


def training_line(history: Sequence[Record], validated: Callable[[Mapping[str, float]], str]) -> str:
    """How long was trained, and how good that was where it was best."""
    last = history[-1]
    fits = list(dict.fromkeys(record.get("fit") for record in history))
    if len(fits) > 1:
        ends = [[record for record in history if record.get("fit") == fit][-1] for fit in fits]
        seconds = sum(end["seconds"] for end in ends)
        return f"{len(fits)} networks, {sum(end['update'] for end in ends)} updates, {seconds:.1f} s"
    held = [record for record in history if record.get("validation")]
    kept = ""
    if held:
        best = min(held, key=lambda record: next(iter(record["validation"].values())))
        said = validated(best["validation"])
        kept = f"; best epoch {best['epoch']}" + (f", validation {said}" if said else "")
    return f"{last['epoch']} epochs, {last['update']} updates, {last['seconds']:.1f} s{kept}"


def lines(facts: Facts) -> str:
    """The facts below one another, what they say in one column."""
    width = max(len(label) for label, _ in facts)
    return "\n".join(f"  {label:{width}}  {said}" if label else said for label, said in facts)


def as_text(table: Table) -> str:
    """A table as a terminal shows it."""
    rows = [table.head, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.head))]
    return "\n".join(
        "  ".join([f"{row[0]:{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def percent(share: float) -> str:
    """``share`` in percent."""
    return f"{100 * share:.2f} %"


def network_line(config: Any, network: nn.Module, ways: str, *more: str) -> str:
    """A network of recurrent layers in a line: the layers, ``ways`` that they read, and what is ``more``."""
    size = sum(parameter.numel() for parameter in network.parameters())
    layers = f"{config.layers} layers of " if config.layers > 1 else ""
    return ", ".join([config.cell.upper(), f"{layers}{config.units} units{ways}", *more, f"{size:,} parameters"])


def verdict(
    model: tuple[str, float],
    baselines: Sequence[tuple[str, float]],
    measure: str,
    form: Callable[[float], str] = percent,
) -> tuple[str, bool]:
    """Whether the model beats all baselines in what decides, of which more is better, and if that is good news."""
    (name, value), better = model, [b for b in baselines if b[1] > model[1]]
    if better:
        to = "; to ".join(f"{other} ({form(theirs)})" for other, theirs in better)
        return f"The {name} loses in {measure} ({form(value)}) to {to}.", False
    best, theirs = max(baselines, key=lambda b: b[1])
    if theirs == value:
        return f"The {name} is no better than {best}: {measure} {form(value)} both.", False
    return f"The {name} beats the best baseline, {best}: {measure} {form(value)} against {form(theirs)}.", True
