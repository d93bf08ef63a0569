"""Train a network to write as a text is written: the tasks for the fitting loop, and from a text to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from ....runtime.cache import Cache
from ...errors import InputError
from ...training.problem import Problem, Trainer
from ...training.rank import is_main_process
from ...training.task import Task
from ...training.weights import arrays_of
from .caching import chosen
from .config import Plan, WriteConfig
from .likelihood import likelihood
from .model import Model, model_weights
from .network import Network, counting
from .text import Corpus, Ids, Vocabulary, lines_of, of_lines


class LineDataset:
    """Lines on a device, to be drawn as batches. A line begins after an end, and its own end is to be predicted."""

    def __init__(self, corpus: Corpus) -> None:
        assert corpus.lengths is not None
        self.ids = torch.from_numpy(corpus.ids)  # (S,)
        self.before = self.ids.roll(1)  # before a line stands the end of another, before the first that of the last
        self.lengths = torch.from_numpy(corpus.lengths)  # (n,), on the CPU always
        self.starts = torch.from_numpy(corpus.starts)  # (n,)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> None:
        """Move the text to ``device``."""
        self.ids, self.before = self.ids.to(device), self.before.to(device)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the lines ``rows`` (N,): inputs (T, N), their lengths (N,), and the targets that count (S,), with places.

        T is the longest of these; past its end a line repeats its last symbol. The places, (S,), are those in ``ids``.
        """
        lengths, starts = self.lengths[rows], self.starts[rows]
        time = torch.arange(int(lengths.max()))[:, None]  # (T, 1)
        places = torch.minimum(time, lengths - 1) + starts  # (T, N)
        counted = places[counting(len(time), lengths)]  # (S,)
        return self.before[places.to(self.ids.device)], lengths, self.ids[counted.to(self.ids.device)], counted


class TorchReader:
    """What ``likelihood`` asks for, of a network that is being trained, wherever it is."""

    def __init__(self, network: Network) -> None:
        bias = network.output.bias
        self.network, self.symbols, self.device = network, len(bias), bias.device

    @torch.no_grad()
    def __call__(self, ids: Ids, state: Any, lengths: Ids | None = None) -> tuple[NDArray[Any], Any]:
        given = torch.from_numpy(ids).to(self.device)
        logits, state = self.network(given, state, None if lengths is None else torch.from_numpy(lengths))
        return logits.float().log_softmax(-1).cpu().numpy(), state


class LanguageModeling(Task):
    """Predict each symbol of ``corpus`` from those before it, as ``config`` has it; ``held_out`` is to judge by."""

    model: Network

    def __init__(
        self,
        network: Network,
        corpus: Corpus,
        config: WriteConfig,
        held_out: Corpus | None = None,
        data: Sequence[Any] = (),
    ) -> None:
        self.model, self.held_out, self.level, self.data = network, held_out, config.level, data
        self.prepare(corpus, config)

    def prepare(self, corpus: Corpus, config: WriteConfig) -> None:
        """Lay out the rows."""
        raise NotImplementedError

    def validate(self) -> Mapping[str, float]:
        """Nats per symbol, and what goes with them: bits per character or, of words, the perplexity."""
        if self.held_out is None:
            return {}
        score = likelihood(TorchReader(self.model), self.held_out).score("")
        if self.level == "word":
            return {"loss": score.loss, "perplexity": score.perplexity}
        return {"loss": score.loss, "bits per character": score.bits}


class BpttTask(LanguageModeling):
    """Predict each symbol of a running text by truncated back-propagation through time.

    The text is cut into ``batch`` streams, N, that are read side by side, ``steps`` steps, T, in an update. A row is
    one chunk of one stream, and an epoch's rows are those of the first chunks, then those of the second: a batch is the
    next chunk of all streams. In every epoch the streams are cut elsewhere, so that it is not always before the same
    symbols that the gradient ends: all cuts are moved alike, by up to half a chunk. Where several processes share a
    batch, each has the same streams in every update, and carries on their states.
    """

    def prepare(self, corpus: Corpus, config: WriteConfig) -> None:
        """Cut the text into streams."""
        ids, count, self.steps = corpus.ids, config.batch, config.steps
        length = (len(ids) - 1) // count  # of a stream; up to count - 1 symbols at the end are left over
        text = torch.from_numpy(ids)
        self.count = count
        self.inputs = text[: count * length].view(count, length).T.contiguous()  # (length, N)
        self.targets = text[1 : count * length + 1].view(count, length).T.contiguous()  # (length, N)
        self.cuts = [*range(0, length, self.steps), length]
        self.rows = count * (len(self.cuts) - 1)
        self.carried: list[Tensor] = []  # what follows from the chunk before; none at the beginning of the text

    def to(self, device: torch.device) -> None:
        """Move the network and the text to ``device``."""
        super().to(device)
        self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """The rows as they stand in the text; the streams are cut for this epoch."""
        length, steps = len(self.inputs), self.steps
        regular = range(steps, length, steps)
        if regular:
            least, most = -(steps // 2), min(steps // 2, length - regular[-1] - 1)
            moved = int(torch.randint(least, most + 1, (), generator=random))
            self.cuts = [0, *(cut + moved for cut in regular), length]
        return torch.arange(self.rows)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of one chunk of the streams that ``rows`` name, and how many symbols that are."""
        chunk, streams = int(rows[0]) // self.count, rows % self.count
        begin, end = self.cuts[chunk : chunk + 2]
        if begin == 0:
            self.carried = []
        inputs, targets = (x[begin:end] for x in (self.inputs, self.targets))
        if len(streams) < self.count:
            inputs, targets = inputs[:, streams], targets[:, streams]  # (T, n)
        logits, state = model(inputs, self._state(streams))
        self.carried = [] if end == len(self.inputs) else [part.detach() for part in _flat(state)]
        return cross_entropy(logits.float(), targets.flatten(), reduction="sum"), float(targets.numel())

    def _state(self, streams: Tensor) -> list[Any] | None:
        """What the ``streams`` (n,) carry, a layer at a time, as the layers take it."""
        parts = self.carried
        if not parts:
            return None
        if parts[0].shape[1] != len(streams):  # the checkpoint is of one process, and we are several
            parts = [part[:, streams] for part in parts]
        depth = len(self.model.recurrent)
        each = len(parts) // depth
        return [tuple(parts[each * k : each * (k + 1)]) if each > 1 else parts[k] for k in range(depth)]

    def state(self) -> dict[str, Tensor]:
        """What the next chunk begins with; nothing at an epoch's end."""
        return {f"carried.{number:03d}": part for number, part in enumerate(self.carried)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        self.carried = [state[name].to(self.inputs.device) for name in sorted(state)]


class LineTask(LanguageModeling):
    """Predict each symbol of lines that have nothing to do with each other, such as names, from those before it."""

    def prepare(self, corpus: Corpus, config: WriteConfig) -> None:
        """Have the lines at hand."""
        self.lines = LineDataset(corpus)
        self.rows = len(self.lines)

    def to(self, device: torch.device) -> None:
        """Move the network and the text to ``device``."""
        super().to(device)
        self.lines.to(device)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of the lines ``rows``, and how many symbols they have."""
        inputs, lengths, targets, _ = self.lines.take(rows)
        logits, _ = model(inputs, None, lengths)
        return cross_entropy(logits.float(), targets, reduction="sum"), float(len(targets))


@dataclass(frozen=True, eq=False)
class WriteProblem(Problem[Model]):
    """What is learnt, and validated with where that isn't None, with everything decided."""

    config: Plan
    vocabulary: Vocabulary
    corpus: Corpus
    held_out: Corpus | None
    like: Model | None = None

    @classmethod
    def of(cls, config: WriteConfig, text: str, held: str, like: Model | None = None) -> WriteProblem:
        """To learn ``text``, and keep the weights that do best on ``held`` where that isn't empty.

        ``like`` is a model whose vocabulary the network has got used to. Raises ``InputError`` where nothing can be
        learnt from them, or nothing that such a network can.
        """
        if like is not None and (like.lines, like.config.level) != (config.lines, config.level):
            raise InputError(f"the model has learnt {like.read}, expected the same again")
        plan = Plan.of(config)
        if config.lines:
            text, held = of_lines(lines_of(text)), of_lines(lines_of(held))
        if like is not None:
            vocabulary = like.vocabulary
        else:
            vocabulary = Vocabulary.of(text, plan.level, most=plan.max_words, min_count=plan.min_count)
        if config.lines and config.cache:
            raise InputError(f"--cache {config.cache}: expected running text; of lines each stands for itself")
        if config.cache and not held and (like is None or like.cache is None):
            raise InputError(f"--cache {config.cache}: needs a validation part, which says how much it counts")
        corpus = vocabulary.encode(text, lines=config.lines)
        read = len(corpus.ids) + (corpus.unknown if vocabulary.unknown is None else 0)  # what isn't known is left out
        if like is not None and 2 * corpus.unknown > read:
            raise InputError(
                f"of {read:,} {vocabulary.noun}s in the training part the model knows {read - corpus.unknown:,}"
            )
        if len(set(corpus.ids.tolist())) < 2:
            symbol = vocabulary.symbols[int(corpus.ids[0])] if len(corpus.ids) else ""
            raise InputError(
                f"the training part is {len(text)} times {symbol!r}; expected at least two different symbols"
            )
        held_out = vocabulary.encode(held, lines=config.lines) if held else None
        if held_out is not None and held_out.terms < 1:
            raise InputError(f"the validation part has no two {vocabulary.noun}s that the training part has")
        if corpus.lengths is not None:
            updates = -(-len(corpus.lengths) // plan.batch)
        else:
            plan = replace(plan, batch=streams_of(corpus, plan))
            updates = -(-((len(corpus.ids) - 1) // plan.batch) // plan.steps)
        return cls(replace(plan, epochs=plan.epochs_for(updates)), vocabulary, corpus, held_out, like)

    def make(self) -> Network:
        """The network, its weights drawn at random."""
        return Network(len(self.vocabulary), self.config)

    def model(self, network: Network) -> Model:
        """What writes, with the trained ``network``."""
        longest = 0 if self.like is None else self.like.longest
        if self.corpus.lengths is not None:
            longest = max(longest, int(self.corpus.lengths.max()))
        return Model(
            weights=model_weights(arrays_of(network), self.config),
            vocabulary=self.vocabulary,
            longest=longest,
            config=self.config,
        )

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it, with a cache beside it where that does better on the validation part."""
        model = super().train(trainer)
        return replace(model, cache=self._cache(model)) if is_main_process() else model

    def _cache(self, model: Model) -> Cache | None:
        size = self.config.cache
        if self.config.lines or size == 0 or (size is None and self.config.level == "char"):
            return None  # characters are predicted better with one, but written worse
        if self.held_out is None:
            return None if self.like is None else self.like.cache
        return chosen(model, self.held_out, size)

    def task(self, network: Network) -> Task:
        """Train ``network`` on this."""
        held = [] if self.held_out is None else [self.held_out.ids]
        data = [list(self.vocabulary.symbols), self.corpus.ids, *held]
        kind = LineTask if self.config.lines else BpttTask
        return kind(network, self.corpus, self.config, self.held_out, data)


def streams_of(corpus: Corpus, config: WriteConfig) -> int:
    """In how many streams a running text is read: as many as a batch has rows, fewer where it is short."""
    return max(1, min(config.batch, (len(corpus.ids) - 1) // config.steps))


def _flat(state: list[Any]) -> list[Tensor]:
    """The tensors of ``state``, layer after layer."""
    return [part for layer in state for part in (layer if isinstance(layer, tuple) else (layer,))]
