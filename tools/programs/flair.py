"""Flair's sequence tagger: words from two language models over letters, an LSTM both ways, a CRF."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

REQUIREMENTS = ("flair==0.15.1",)
WORK = "named entities with a CRF, LSTM 2 x 256 over two frozen letter LSTMs 1 x 1024: 4 sentences of 5 to 25 words"
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_KINDS = ("LOC", "MISC", "ORG", "PER")


def build() -> nn.Module:
    """The tagger with random weights; sizes of the embeddings news-forward-fast and news-backward-fast."""
    from flair.data import Dictionary
    from flair.embeddings import FlairEmbeddings, StackedEmbeddings
    from flair.models import LanguageModel, SequenceTagger

    letters, tags = Dictionary(), Dictionary(add_unk=False)
    for letter in f"{_LETTERS} \n":
        letters.add_item(letter)
    for kind in _KINDS:
        tags.add_item(kind)
    tags.span_labels = True
    readers = [LanguageModel(letters, forward, 1024, 1) for forward in (True, False)]
    words = StackedEmbeddings([FlairEmbeddings(reader) for reader in readers])
    model: nn.Module = SequenceTagger(words, tags, "ner")
    return model


def run(model: Any) -> tuple[Tensor, Tensor]:
    """The loss, and the words' vectors, which take no gradient."""
    sentences = _sentences()
    for sentence in sentences:
        sentence.clear_embeddings()
    loss: Tensor = model.forward_loss(sentences)[0]
    return loss, torch.stack([token.get_embedding() for sentence in sentences for token in sentence])


@cache
def _sentences() -> list[Any]:
    """Made-up words, every fifth of which is an entity."""
    from flair.data import Sentence

    draw, sentences = random.Random(0), []
    for _ in range(4):
        words = ["".join(draw.choices(_LETTERS, k=draw.randint(1, 10))) for _ in range(draw.randint(5, 25))]
        sentence = Sentence(words)
        for at in range(0, len(words), 5):
            sentence[at : at + 1].add_label("ner", draw.choice(_KINDS))
        sentences.append(sentence)
    return sentences
