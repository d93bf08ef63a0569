"""A trained model: network and vocabulary, what it can do (write, complete, judge), and the file that holds it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...errors import InputError
from .config import MOST, Draw, Plan
from .likelihood import Likelihood, likelihood
from .network import Network
from .search import NOT_FINITE, finite, likeliest
from .text import END, Corpus, Vocabulary, lines_of, of_lines

LENGTH = 500  # of a sample of running text
LONGEST = 2**24  # symbols of a line
TRIES = 20  # lines drawn for one that is wanted, before too few are new


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Writes as the text did that it has learnt from, and says how likely a text is."""

    KIND: ClassVar[str] = "writing model"
    CONFIG: ClassVar[type[Any]] = Plan

    config: Plan
    network: Network
    vocabulary: Vocabulary
    longest: int
    """Symbols of the longest line, where the model has learnt lines; 0 where it has learnt a running text."""

    @property
    def lines(self) -> bool:
        """Whether it has learnt lines, each for itself."""
        return self.longest > 0

    @property
    def read(self) -> str:
        """What it has learnt, in words."""
        return f"{'lines' if self.lines else 'a running text'} of {self.vocabulary.noun}s"

    # A step at a time

    def start(self, rows: int) -> Any:
        """The state of ``rows`` texts that nothing has been read of."""
        if self.vocabulary.end is None:
            return None
        return self.frozen(torch.full((1, rows), self.vocabulary.end))[1]

    def step(self, x: Sequence[str], state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a symbol of each text, ``x``; the probability of each to come next, (rows, symbols), and the state."""
        places = [self.vocabulary.symbols.numbers.get(symbol, self.vocabulary.unknown) for symbol in x]
        if None in places:
            unknown = x[places.index(None)]
            raise InputError(f"expected one {self.vocabulary.noun} that the model knows, got {unknown!r}")
        logits, state = self.frozen(torch.tensor([places]), state)
        return finite(logits).double().softmax(-1).numpy(), state

    # Writing

    def write(
        self, prompt: str = "", length: int = LENGTH, draw: Draw | None = None, random: torch.Generator | None = None
    ) -> Iterator[str]:
        """Text that goes on after ``prompt``, symbol by symbol, ``length`` of them; a line to its end at most.

        ``random`` is where numbers come from, by default from the seed of ``draw`` on.
        """
        ids, draw = self._begun(prompt), draw or Draw()
        random = random or torch.Generator().manual_seed(draw.seed)
        return self._spelt(ids[-1], islice(self._drawn(ids, draw, random), length))

    def _drawn(self, ids: list[int], draw: Draw, random: torch.Generator) -> Iterator[int]:
        """Symbols after ``ids``, without end."""
        state = None
        while True:
            logits, state = self.frozen(torch.tensor(ids)[:, None], state)
            ids = [drawn(logits[-1], draw, random, self._never)]
            yield ids[0]

    @property
    def _never(self) -> list[int]:
        """What isn't written: the word that stands for those that aren't known."""
        return [] if self.vocabulary.unknown is None else [self.vocabulary.unknown]

    def _spelt(self, before: int, places: Iterable[int]) -> Iterator[str]:
        """The symbols ``places`` after the symbol ``before`` as text; a line to its end."""
        if self.lines:
            places = takewhile(lambda place: place != self.vocabulary.end, places)
        return self.vocabulary.spelt(places, self.vocabulary.symbols[before])

    def samples(
        self,
        count: int = 1,
        prompt: str = "",
        length: int | None = None,
        draw: Draw | None = None,
        without: Collection[str] = (),
    ) -> list[str]:
        """``count`` texts that begin with ``prompt``: ``length`` symbols more or, of lines, up to their end.

        With ``without``, no line that is in it and none twice: fewer than ``count`` where the model knows no more.
        """
        draw = draw or Draw()
        length = self.reach if length is None else length
        random, taken, found = torch.Generator().manual_seed(draw.seed), set(without), list[str]()
        for _ in range(count * TRIES if without else count):
            text = self.begun(prompt) + "".join(self.write(prompt, length, draw, random))
            if not without or text not in taken:
                taken.add(text)
                found.append(text)
            if len(found) == count:
                break
        return found

    def begun(self, prompt: str) -> str:
        """``prompt`` as a text goes on from it: words, and pieces that begin one, bring the blank before them."""
        return prompt if self.vocabulary.level == "char" else prompt.rstrip(" ")

    @property
    def reach(self) -> int:
        """How many symbols a sample has, or a line at most."""
        return 2 * self.longest if self.lines else LENGTH

    # Completing

    def probabilities(self, text: str) -> NDArray[np.float64]:
        """Of each symbol to come next after ``text``: (symbols,)."""
        logits, _ = self.frozen(torch.tensor(self._begun(text))[:, None])
        return finite(logits[-1]).double().softmax(-1).numpy()

    def following(self, text: str, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest symbols after ``text`` and their probabilities, the likeliest first; ``\\n`` is its end."""
        likely = torch.from_numpy(self.probabilities(text)).topk(min(count, len(self.vocabulary)))
        names = [self.vocabulary.symbols[place] for place in likely.indices.tolist()]
        return list(zip(names, likely.values.tolist(), strict=True))

    def continuations(self, text: str, length: int, width: int) -> list[tuple[str, float]]:
        """What ``likeliest`` finds after ``text``, as text, with probabilities."""
        ids, end = self._begun(text), self.vocabulary.end if self.lines else None
        found = likeliest(self.frozen, ids, length, width, end=end, never=self._never)
        return [("".join(self._spelt(ids[-1], places)), math.exp(score)) for places, score in found]

    def complete(self, text: str, length: int = 1) -> str:
        """``text`` with the likeliest ``length`` symbols after it; a line to its end at most."""
        return self.begun(text) + "".join(self.write(text, length, Draw(temperature=0)))

    # Judging

    def encode(self, text: str) -> Corpus:
        """``text`` as the model reads it. Raises ``InputError`` where there is nothing in it that it could predict."""
        corpus = self.vocabulary.encode(of_lines(lines_of(text)) if self.lines else text, lines=self.lines)
        if corpus.terms < 1:
            raise InputError(f"expected text of {self.vocabulary.noun}s that the model knows, got {text[:40]!r}")
        return corpus

    def likelihood(self, text: str) -> Likelihood:
        """How likely each symbol of ``text`` is."""
        found = likelihood(self.frozen, self.encode(text))
        if not np.isfinite(found.nats).all():
            raise InputError(NOT_FINITE)
        return found

    def _begun(self, prompt: str) -> list[int]:
        """What a network reads to go on after ``prompt``: the end of a line before it, and its symbols.

        A word that the model doesn't know is ``<unk>`` to it. Raises ``InputError`` for a character that it doesn't
        know.
        """
        vocabulary = self.vocabulary
        if self.lines and END in prompt:
            raise InputError(f"expected a beginning of a line, got one with a line's end in it: {prompt!r}")
        ids = vocabulary.numbers(self.begun(prompt)).tolist()
        if vocabulary.level == "word" and not prompt.endswith(END):
            ids.pop()  # the end of a line that isn't there
        if vocabulary.unknown is not None:
            ids = [vocabulary.unknown if place < 0 else place for place in ids]
        if -1 in ids:
            raise InputError(f"{prompt!r}: the model has never seen the character {prompt[ids.index(-1)]!r}")
        return [vocabulary.end, *ids] if vocabulary.end is not None else ids or [0]

    # The file

    def content(self) -> dict[str, Any]:
        """The symbols, and how long the longest line is."""
        return self.vocabulary.to_json() | {"longest": self.longest}

    def tensors(self) -> dict[str, Tensor]:
        """The weights, tied ones once."""
        state = self.network.state_dict()
        return {name: t for name, t in state.items() if not (self.config.tie and name == "embedding.weight")}

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and the level beside it."""
        own = {"level": content["level"], "lines": content["longest"] > 0, "max_words": MOST[content["level"]]}
        return content | {"config": content["shape"] | own}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        config: Plan = shared["config"]
        vocabulary, longest = Vocabulary.from_json(config.level, content), content["longest"]
        if f"recurrent.{config.layers - 1}.weight_ih_l0" not in tensors:
            raise ValueError(f"expected {config.layers} layers")
        if not isinstance(longest, int) or not 0 <= longest <= LONGEST or (longest and vocabulary.end is None):
            raise ValueError(f"expected the length of the longest line, got {longest!r}")
        if config.tie:
            tensors["embedding.weight"] = tensors["output.weight"]
        network = model_file.filled(lambda: Network(len(vocabulary), config), tensors)
        return cls(network=network.eval(), vocabulary=vocabulary, longest=longest, **shared)


def drawn(logits: Tensor, draw: Draw, random: torch.Generator, never: Sequence[int] = ()) -> int:
    """One symbol by ``logits`` (symbols,), none of ``never``. Raises ``InputError`` where they are no numbers."""
    logits = finite(logits)
    if never:
        logits = logits.index_fill(0, torch.tensor(never), -torch.inf)
    if draw.temperature == 0:
        return int(logits.argmax())
    logits = logits.double() / draw.temperature
    if draw.top_k is not None and draw.top_k < len(logits):
        least = logits.topk(draw.top_k).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return int(torch.multinomial(logits.softmax(-1), 1, generator=random))
