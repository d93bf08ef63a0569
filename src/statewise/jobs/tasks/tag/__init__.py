"""Give every word of a sentence a tag: ``statewise tag``, and ``Tagger`` for a program.

    formats.py     files become a ``Corpus``: sentences, tags, and the text around them; running.py cuts text into words
    vocabulary.py  words, characters, features and tags as numbers
    packed.py      sentences of any lengths as batches without padding
    network.py     vectors for words, recurrent layers, scores for tags; crf.py scores tags together
    decoding.py    from scores to tags
    spans.py       tags that mark spans: which there are, how tags may follow one another, F1
    result.py      what a model and baselines get right
    training.py    the task for the fitting loop
    model.py       what is left of it, and its file
    tagger.py      the same with scikit-learn's conventions
    job.py         the whole run (split, baselines, result, report)

Importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .command import add_arguments, run

if TYPE_CHECKING:
    from .config import Layout
    from .corpus import Corpus
    from .formats import read
    from .model import Model
    from .tagger import Tagger

__all__ = ["Corpus", "Layout", "Model", "Tagger", "add_arguments", "read", "run"]

_HOMES = {
    "Corpus": ".corpus",
    "Layout": ".config",
    "Model": ".model",
    "Tagger": ".tagger",
    "read": ".formats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
