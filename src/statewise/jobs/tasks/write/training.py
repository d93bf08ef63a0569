"""Train a network to write as a text is written: a text becomes a problem, a problem a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import InputError
from ...training.problem import Problem
from ...training.task import Task
from .config import Plan, WriteConfig
from .items import Items
from .model import Model
from .network import Network
from .streams import Streams
from .surprise import surprise
from .text import lines_of, of_lines
from .vocabulary import Corpus, Vocabulary


@dataclass(frozen=True, eq=False)
class WriteProblem(Problem[Model]):
    """What is learnt, and validated with where that isn't None, with everything decided."""

    config: Plan
    vocabulary: Vocabulary
    corpus: Corpus
    held_out: Corpus | None

    @classmethod
    def of(cls, config: WriteConfig, text: str, held: str) -> WriteProblem:
        """To learn ``text``, and keep the weights that do best on ``held`` where that isn't empty.

        Raises ``InputError`` where nothing can be learnt from them.
        """
        if config.lines:
            text, held = of_lines(lines_of(text)), of_lines(lines_of(held))
        vocabulary = Vocabulary.of(text, config.level, most=config.max_words, at_least=config.min_count)
        corpus = vocabulary.encode(text, lines=config.lines)
        if len(set(corpus.ids.tolist())) < 2:
            symbol = vocabulary.symbols[int(corpus.ids[0])] if len(corpus.ids) else ""
            raise InputError(
                f"the training part is {len(text)} times {symbol!r}; expected at least two different symbols"
            )
        held_out = vocabulary.encode(held, lines=config.lines) if held else None
        if held_out is not None and held_out.terms < 1:
            raise InputError(f"the validation part has no two {vocabulary.noun}s that the training part has")
        plan = Plan.of(config)
        if corpus.lengths is not None:
            updates = -(-len(corpus.lengths) // plan.batch)
        else:
            plan = replace(plan, batch=streams_of(corpus, plan))
            updates = -(-((len(corpus.ids) - 1) // plan.batch) // plan.steps)
        return cls(replace(plan, epochs=plan.epochs_for(updates)), vocabulary, corpus, held_out)

    def make(self) -> Network:
        """The network, its weights drawn at random."""
        return Network(len(self.vocabulary), self.config)

    def model(self, network: Network) -> Model:
        """What writes, with the trained ``network``."""
        longest = int(self.corpus.lengths.max()) if self.corpus.lengths is not None else 0
        return Model(network=network, vocabulary=self.vocabulary, longest=longest, config=self.config)

    def task(self, network: Network) -> Task:
        """Train ``network`` on this."""

        def judge() -> Mapping[str, float]:
            return scores(network, self.held_out, self.config.level) if self.held_out is not None else {}

        held = [] if self.held_out is None else [self.held_out.ids]
        data = [list(self.vocabulary.symbols), self.corpus.ids, *held]
        if self.config.lines:
            return Items(network, self.corpus, judge, data)
        return Streams(network, self.corpus.ids, self.config.batch, self.config.steps, judge, data)


def streams_of(corpus: Corpus, config: WriteConfig) -> int:
    """In how many streams a running text is read: as many as a batch has rows, fewer where it is short."""
    return max(1, min(config.batch, (len(corpus.ids) - 1) // config.steps))


def scores(network: Network, held_out: Corpus, level: str) -> dict[str, float]:
    """Nats per symbol, and what goes with them: bits per character or, of words, the perplexity."""
    score = surprise(network, held_out).score("")
    if level == "word":
        return {"loss": score.loss, "perplexity": score.perplexity}
    return {"loss": score.loss, "bits per character": score.loss / math.log(2)}
