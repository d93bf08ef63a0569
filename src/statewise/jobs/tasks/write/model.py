"""A trained model: weights and vocabulary, what it can do (write, complete, judge), and the file that holds it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....runtime import draw as draw_by
from ....runtime.cache import Cache
from ....runtime.translator import largest
from ...artifacts import model_file
from ...errors import InputError
from .config import MOST, Draw, Plan
from .likelihood import CachedReader, Likelihood, NetReader, likelihood
from .search import NOT_FINITE, finite, likeliest
from .text import END, Corpus, Vocabulary, lines_of, of_lines

if TYPE_CHECKING:
    from .network import Network

LENGTH = 500  # of a sample of running text
LONGEST = 2**24  # symbols of a line
TRIES = 20  # lines drawn for one that is wanted, before too few are new


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Writes as the text did that it has learnt from, and says how likely a text is."""

    KIND: ClassVar[str] = "writing model"
    CONFIG: ClassVar[type[Any]] = Plan

    config: Plan
    weights: model_file.Arrays
    """Those of ``network.Network``; what two modules share is there once, as ``output.weight``."""
    vocabulary: Vocabulary
    longest: int
    """Symbols of the longest line, where the model has learnt lines; 0 where it has learnt a running text."""
    cache: Cache | None = None
    """What stands beside the network, see ``runtime.cache``: of all that reads a text, from its beginning on."""

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
        state = self.net.start(rows)
        return state if self.vocabulary.end is None else self.net.step(np.full(rows, self.vocabulary.end), state)[1]

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, x: Sequence[str], state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a symbol of each text, ``x``; the probability of each to come next, (rows, symbols), and the state."""
        places = [self.vocabulary.symbols.numbers.get(symbol, self.vocabulary.unknown) for symbol in x]
        if None in places:
            unknown = x[places.index(None)]
            raise InputError(f"expected one {self.vocabulary.noun} that the model knows, got {unknown!r}")
        said, state = self.net.step(np.array(places), state)
        return np.exp(finite(said)), state

    # Writing

    def write(
        self,
        prompt: str = "",
        length: int = LENGTH,
        draw: Draw | None = None,
        random: np.random.Generator | None = None,
    ) -> Iterator[str]:
        """Text that goes on after ``prompt``, symbol by symbol, ``length`` of them; a line to its end at most.

        ``random`` is where numbers come from, by default from the seed of ``draw`` on.
        """
        ids, draw = self._begun(prompt), draw or Draw()
        random = random or np.random.default_rng(draw.seed)
        return self._spelt(ids[-1], islice(self._drawn(ids, draw, random), length))

    def _drawn(self, ids: list[int], draw: Draw, random: np.random.Generator) -> Iterator[int]:
        """Symbols after ``ids``, without end."""
        said, state = self._read(ids)
        while True:
            symbol = drawn(said, draw, random, self._never)
            yield int(symbol[0])
            said, state = self._go_on(symbol, state)

    @np.errstate(over="ignore", invalid="ignore")
    def _read(self, ids: list[int]) -> tuple[NDArray[np.float32], Any]:
        """The logarithms of what comes after ``ids``, (1, symbols), and the state."""
        said, state = self.net.feed(np.array(ids)[:, None], self.net.start())
        return said[-1], state

    @np.errstate(over="ignore", invalid="ignore")
    def _go_on(self, symbol: NDArray[np.int64], state: Any) -> tuple[NDArray[np.float32], Any]:
        said, state = self.net.step(symbol, state)
        return said, state

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
        random, taken, found = np.random.default_rng(draw.seed), set(without), list[str]()
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
        return np.asarray(np.exp(finite(self._read(self._begun(text))[0][0])))

    def following(self, text: str, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest symbols after ``text`` and their probabilities, the likeliest first; ``\\n`` is its end."""
        (likely,), (places,) = largest(self.probabilities(text)[None], count)
        names = [self.vocabulary.symbols[place] for place in places.tolist()]
        return list(zip(names, likely.tolist(), strict=True))

    @np.errstate(over="ignore", invalid="ignore")
    def continuations(self, text: str, length: int, width: int) -> list[tuple[str, float]]:
        """What ``likeliest`` finds after ``text``, as text, with probabilities."""
        ids, end = self._begun(text), self.vocabulary.end if self.lines else None
        found = likeliest(self.net, ids, length, width, end=end, never=self._never)
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

    @np.errstate(over="ignore", invalid="ignore")
    def likelihood(self, text: str) -> Likelihood:
        """How likely each symbol of ``text`` is."""
        reader = NetReader(self.net) if self.cache is None else CachedReader(self.net)
        found = likelihood(reader, self.encode(text))
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
        """The symbols, how long the longest line is, and the cache if there is one."""
        cache = {} if self.cache is None else {"cache": asdict(self.cache)}
        return self.vocabulary.to_json() | {"longest": self.longest} | cache

    def tensors(self) -> model_file.Arrays:
        """The weights, tied ones once."""
        return self.weights

    @cached_property
    def network(self) -> Network:
        from ...training.weights import filled
        from .network import Network

        tied = {"embedding.weight": self.weights["output.weight"]} if self.config.tie else {}
        return filled(lambda: Network(len(self.vocabulary), self.config), self.weights | tied)

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and the level beside it."""
        own = {"level": content["level"], "lines": content["longest"] > 0, "max_words": MOST[content["level"]]}
        return content | {"config": content["shape"] | own}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: model_file.Arrays, **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        vocabulary, longest = Vocabulary.from_json(shared["config"].level, content), content["longest"]
        if not isinstance(longest, int) or not 0 <= longest <= LONGEST or (longest and vocabulary.end is None):
            raise ValueError(f"expected the length of the longest line, got {longest!r}")
        cache = None if content.get("cache") is None else Cache.of(content["cache"])
        if cache is not None and longest:
            raise ValueError("expected no cache beside a model of lines")
        return cls(weights=arrays, vocabulary=vocabulary, longest=longest, cache=cache, **shared).checked(arrays)


def model_weights(weights: model_file.Arrays, config: Plan) -> model_file.Arrays:
    """Of all ``weights`` of a network those that a model keeps: tied ones once."""
    return {name: array for name, array in weights.items() if not (config.tie and name == "embedding.weight")}


def drawn(
    logarithms: NDArray[np.float32], draw: Draw, random: np.random.Generator, never: Sequence[int] = ()
) -> NDArray[np.int64]:
    """A symbol for each row of ``logarithms`` (N, symbols), none of ``never``: (N,).

    Raises ``InputError`` where they are no numbers.
    """
    scores = finite(logarithms)
    scores[:, list(never)] = -np.inf
    return draw_by(scores, random, temperature=draw.temperature, top_k=draw.top_k)
