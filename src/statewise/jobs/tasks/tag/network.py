"""The network: a vector for every word, made of the word, its characters and what else is known of it; recurrent layers
over the sentence; scores for the tags (Lample et al., 2016; pretrained vectors stand beside those that are learnt).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence

from .... import layers
from . import crf
from .config import TagConfig
from .packed import Batch
from .spans import grammar
from .vocabulary import SHAPES, UNKNOWN, Vocabulary

CHARACTER_SIZE, SHAPE_SIZE = 24, 5


class Network(nn.Module):
    """Scores every tag of ``vocabulary`` for every word.

    With ``strict`` they keep to the grammar of spans. ``library`` has the recurrent layers.
    """

    allowed: Tensor | None
    """Which tag may follow which (K+1, K+1), as ``grammar`` has it; None: any."""

    def __init__(self, vocabulary: Vocabulary, config: TagConfig, strict: bool = False, library: Any = layers) -> None:
        super().__init__()
        allowed = torch.tensor(grammar(vocabulary.tags)) if strict else None
        self.register_buffer("allowed", allowed, persistent=False)
        cell = getattr(library, config.cell.upper())
        self.words = nn.Embedding(1 + len(vocabulary.words), config.word_size)
        self.shapes = nn.Embedding(len(SHAPES), SHAPE_SIZE)
        self.features = nn.ModuleList(nn.Embedding(1 + len(v), config.feature_size) for v in vocabulary.features)
        width = config.word_size + SHAPE_SIZE + config.feature_size * len(vocabulary.features)
        self.vectors: nn.Embedding | None = None
        if vocabulary.vectors:
            self.vectors = nn.Embedding(1 + len(vocabulary.vectors), vocabulary.vector_size)
            self.vectors.weight.requires_grad_(not config.vectors_frozen)
            width += vocabulary.vector_size
        self.characters: nn.Embedding | None = None
        if config.character_units:
            self.characters = nn.Embedding(1 + len(vocabulary.characters), CHARACTER_SIZE)
            self.spelling = cell(CHARACTER_SIZE, config.character_units, bidirectional=True)
            width += 2 * config.character_units
        self.dropout, self.word_dropout = config.dropout, config.word_dropout
        between = config.dropout if config.layers > 1 else 0.0
        both = config.bidirectional
        self.recurrent = cell(width, config.units, config.layers, bidirectional=both, dropout=between)
        self.output = nn.Linear((1 + both) * config.units, len(vocabulary.tags))
        self.crf = crf.CRF(len(vocabulary.tags), allowed) if config.crf else None
        for embedding in self.modules():
            if isinstance(embedding, nn.Embedding):
                nn.init.uniform_(embedding.weight, -(bound := (3 / embedding.embedding_dim) ** 0.5), bound)

    def forward(self, batch: Batch, targets: Tensor | None = None) -> Tensor:
        """Scores (S, K) of the tags or, with ``targets`` (S,), the sum of the losses, a scalar."""
        x = self._drop(self._read(batch), batch)  # (S, I)
        steps = self.recurrent(PackedSequence(x, batch.sizes))[0].data  # (S, D*H)
        emissions: Tensor = self.output(self._drop(steps, batch))
        if batch.beside is not None:
            emissions = emissions + batch.beside
        if targets is None:
            return emissions
        return self.loss(emissions, batch.sizes, targets)

    def step(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (N, K) of the tags of one more word of each of N sentences, read in one direction, and the state."""
        steps, state = self.recurrent(self._read(batch)[None], state)
        return self.output(steps[0]), state

    def sentence(
        self,
        words: Tensor,
        shapes: Tensor,
        features: Tensor,
        characters: Tensor | None,
        lengths: Tensor | None,
        vectors: Tensor | None = None,
        beside: Tensor | None = None,
    ) -> Tensor:
        """Scores (T, K) of the tags of one sentence: what ``torch.export`` takes, which knows no packed sequences.

        ``words``, ``vectors`` and ``shapes`` (T,), ``features`` (F, T); ``characters`` (C, T), padded, of ``lengths``
        (T,); ``beside`` (T, K), what a linear tagger adds.
        """
        spelt = None
        if self.characters is not None and characters is not None:
            spelt = _ends(self.spelling(self.characters(characters), lengths=lengths)[1])
        x = self._joined(words, vectors, shapes, features, spelt)
        emissions: Tensor = self.output(self.recurrent(x[:, None])[0][:, 0])
        return emissions if beside is None else emissions + beside

    def loss(self, emissions: Tensor, sizes: Tensor, targets: Tensor) -> Tensor:
        """The sum of the losses of ``targets`` (S,), a scalar: cross entropy, or by the CRF."""
        if self.crf is None:
            return cross_entropy(emissions.float(), targets, reduction="sum")
        loss: Tensor = self.crf(emissions.float(), sizes, targets)
        return loss

    def _drop(self, x: Tensor, batch: Batch) -> Tensor:
        """Dropout of x (S, F) that is the same for all words of a sentence (Gal and Ghahramani, 2016).

        So it is drawn once a sentence; drawing it for every word took 8 % of a training step.
        """
        if not self.training or not self.dropout:
            return x
        kept = 1 - self.dropout
        mask = x.new_empty(int(batch.sizes[0]), x.shape[1]).bernoulli_(kept).div_(kept)
        return x * mask.index_select(0, batch.rows)

    def _read(self, batch: Batch) -> Tensor:
        """What is known of every word: (S, I)."""
        words = batch.words
        if self.training and self.word_dropout:
            doubt = self.word_dropout / (self.word_dropout + batch.times)
            replaced = torch.rand(words.shape, device=words.device) < doubt
            words = words.masked_fill(replaced, UNKNOWN)
        spelt = None
        if self.characters is not None:
            packed = PackedSequence(self.characters(batch.characters), batch.character_sizes)
            spelt = _ends(self.spelling(packed)[1]).index_select(0, batch.forms)
        return self._joined(words, batch.vectors, batch.shapes, batch.features, spelt)

    def _joined(
        self, words: Tensor, vectors: Tensor | None, shapes: Tensor, features: Tensor, spelt: Tensor | None
    ) -> Tensor:
        """What is known of every word, one vector of all: (S, I)."""
        parts = [self.words(words), self.shapes(shapes)]
        if self.vectors is not None:
            parts.append(self.vectors(vectors))
        parts += [embedding(column) for embedding, column in zip(self.features, features, strict=True)]
        return torch.cat(parts if spelt is None else [*parts, spelt], 1)


def _ends(states: Any) -> Tensor:
    """The states after the last and, backwards, the first character: (W, 2*H)."""
    final = states[0] if isinstance(states, tuple) else states  # (2, W, H)
    return torch.cat(tuple(final), 1)
