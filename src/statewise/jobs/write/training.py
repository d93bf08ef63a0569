"""Train a network to write as a text is written: a plan becomes a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from ..checkpoint import Checkpoint
from ..errors import InputError
from ..fit import fit
from ..task import Task
from ..watch import Record, Watch
from .items import Items
from .model import Model
from .network import Network
from .settings import Plan
from .streams import Streams
from .surprise import surprise
from .text import lines_of, of_lines
from .vocabulary import Corpus, Vocabulary


def train(
    text: str,
    held: str,
    plan: Plan,
    *,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Model, list[Record]]:
    """A model that has learnt from ``text``, its best by ``held`` where that isn't empty; and the curve.

    Raises ``InputError`` where there is too little text, the training diverges, the device isn't there or the
    checkpoint is of something else.
    """
    vocabulary, corpus, held_out = corpora(text, held, plan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.recipe.seed)
        network = Network(len(vocabulary), plan.shape)
    task, recipe = _task(network, corpus, held_out, plan, _digest(vocabulary, corpus, held_out, plan)), plan.recipe
    batch = task.count if isinstance(task, Streams) else recipe.batch
    recipe = replace(recipe, batch=batch, epochs=plan.epochs_for(-(-task.rows // batch)))
    history = fit(task, recipe, watch=watch, checkpoint=checkpoint)
    longest = int(corpus.lengths.max()) if corpus.lengths is not None else 0
    return Model(network.cpu(), vocabulary, plan.shape, longest), history


def corpora(text: str, held: str, plan: Plan) -> tuple[Vocabulary, Corpus, Corpus | None]:
    """The symbols of ``text``, it, and ``held``, None where that is empty. Refuses what nothing can be learnt from."""
    if plan.lines:
        text, held = of_lines(lines_of(text)), of_lines(lines_of(held))
    vocabulary = Vocabulary.of(text, plan.level, most=plan.most_words, at_least=plan.at_least)
    corpus = vocabulary.encode(text, lines=plan.lines)
    if len(set(corpus.ids.tolist())) < 2:
        symbol = vocabulary.symbols[int(corpus.ids[0])] if len(corpus.ids) else ""
        raise InputError(f"the training part is {len(text)} times {symbol!r}; expected at least two different symbols")
    held_out = vocabulary.encode(held, lines=plan.lines) if held else None
    if held_out is not None and held_out.terms < 1:
        raise InputError(f"the validation part has no two {vocabulary.noun}s that the training part has")
    return vocabulary, corpus, held_out


def streams_of(corpus: Corpus, plan: Plan) -> int:
    """In how many streams a running text is read: as many as a batch has rows, fewer where it is short."""
    return max(1, min(plan.recipe.batch, (len(corpus.ids) - 1) // plan.steps))


def _task(network: Network, corpus: Corpus, held_out: Corpus | None, plan: Plan, data: Any) -> Task:
    def judge() -> Mapping[str, float]:
        return scores(network, held_out, plan.level) if held_out is not None else {}

    if plan.lines:
        return Items(network, corpus, judge, data)
    return Streams(network, corpus.ids, streams_of(corpus, plan), plan.steps, judge, data)


def scores(network: Network, held_out: Corpus, level: str) -> dict[str, float]:
    """Nats per symbol, and what goes with them: bits per character or, of words, the perplexity."""
    score = surprise(network, held_out).score("")
    if level == "word":
        return {"loss": score.loss, "perplexity": score.perplexity}
    return {"loss": score.loss, "bits per character": score.loss / math.log(2)}


def _digest(vocabulary: Vocabulary, corpus: Corpus, held_out: Corpus | None, plan: Plan) -> Any:
    """What must agree for a checkpoint to go on, besides the sizes and the recipe."""
    parts = hashlib.sha256("\n".join(vocabulary.symbols).encode())
    for part in (corpus, held_out):
        parts.update(b"" if part is None else part.ids.tobytes())
        parts.update(b"|")
    return [parts.hexdigest(), plan.level, plan.lines, asdict(plan.shape)]
