"""What is said of a text in words."""

from __future__ import annotations

from .likelihood import Likelihood
from .text import Corpus, Vocabulary


def described(corpus: Corpus, vocabulary: Vocabulary) -> str:
    """How much there is, in words."""
    lines = f"{len(corpus.lengths):,} lines, " if corpus.lengths is not None else ""
    unknown = ""
    if corpus.unknown:
        what = "<unk>" if vocabulary.level == "word" else "not known, left out"
        unknown = f", {corpus.unknown:,} of them {what}"
    return f"{lines}{len(corpus.ids):,} {vocabulary.noun}s{unknown}"


def score_lines(name: str, found: Likelihood, vocabulary: Vocabulary) -> str:
    """What ``statewise write score`` says."""
    score, noun = found.score(name), vocabulary.noun
    alone = "" if found.alone is None else f"  (the network without its cache {found.alone.score('').perplexity:.3f})"
    return (
        f"{name}: {described(found.corpus, vocabulary)}\n"
        f"  nats per {noun:9}  {score.loss:.4f}\n"
        f"  perplexity          {score.perplexity:.3f}{alone}\n"
        f"  bits per character  {score.bits:.4f}\n"
        f"  perplexity per word {score.perplexity_per_word:.2f}\n"
        f"  likeliest right     {100 * found.accuracy:.2f} %"
    )
