"""Stanza's tagger of parts of speech: words spelled by a packed LSTM, read by two packed highway LSTMs both ways."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

REQUIREMENTS = ("stanza==1.15.0",)
WORK = "part-of-speech tagger, packed LSTMs 1 x 400 over letters, 2 x 2 x 200 over words: 8 sentences of 5 to 40 words"
# The defaults of its training, stanza.models.tagger, but for word vectors from a file.
_SIZES = {
    "word_emb_dim": 75,
    "char_emb_dim": 100,
    "char_hidden_dim": 400,
    "char_num_layers": 1,
    "transformed_dim": 125,
    "tag_emb_dim": 50,
    "hidden_dim": 200,
    "num_layers": 2,
    "deep_biaff_hidden_dim": 400,
    "composite_deep_biaff_hidden_dim": 100,
}
_OPTIONS = {
    "char": True,
    "charlm": None,
    "pretrain": False,
    "bert_model": None,
    "dropout": 0.5,
    "word_dropout": 0.33,
    "rec_dropout": 0,
    "char_rec_dropout": 0,
}
_VOCABULARY = {"word": range(5000), "char": range(100), "upos": range(21), "xpos": range(54), "feats": range(120)}


def build() -> nn.Module:
    """The tagger with random weights."""
    from stanza.models.pos.model import Tagger

    model: nn.Module = Tagger(_SIZES | _OPTIONS, _VOCABULARY)
    return model


def run(model: nn.Module) -> tuple[Tensor]:
    """Its loss."""
    return (model(**_batch())[0],)


@cache
def _batch() -> dict[str, object]:
    """Sentences by their length, words by theirs, as its loader sorts them."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(5, 41, (8,), generator=random).sort(descending=True).values
    valid = torch.arange(int(lengths.max())) < lengths[:, None]  # (8, words)

    def numbers(of: str, *shape: int) -> Tensor:
        return torch.randint(4, len(_VOCABULARY[of]), shape, generator=random)  # 0 to 3 aren't words

    letters = torch.randint(1, 13, (int(lengths.sum()),), generator=random).sort(descending=True)
    spelled = torch.arange(12) < letters.values[:, None]  # (all words, letters)
    return {
        "word": numbers("word", *valid.shape) * valid,
        "word_mask": ~valid,
        "wordchars": numbers("char", *spelled.shape) * spelled,
        "wordchars_mask": ~spelled,
        "tags": [numbers(of, *valid.shape) * valid for of in ("upos", "xpos", "feats")],
        "pretrained": None,
        "word_orig_idx": letters.indices.tolist(),
        "sentlens": lengths.tolist(),
        "wordlens": letters.values.tolist(),
        "text": None,
    }
