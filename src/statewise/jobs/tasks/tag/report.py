"""What this job alone says of a run: lines of the terminal, sections of the page, entries of metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import experiment
from ...data.columns import listed
from ...data.symbols import plain
from ...report import Block, Heading, Note, Table, Text, Word, Words
from .config import TagConfig
from .corpus import Corpus, all_of
from .model import Model
from .network import Network
from .result import Result, Score
from .spans import are_spans, type_of
from .vocabulary import Vocabulary

WIDEST = 750  # pixels of a table of all pairs of tags
MOST_ROWS = 60
SHOWN = 12  # sentences with wrong tags


def tags_line(tags: Sequence[str], of_spans: bool) -> str:
    """How many tags there are, and which."""
    if not of_spans:
        return f"{len(tags)} tags ({listed(tags)})"
    types = sorted({type_of(tag) for tag in tags} - {""})
    return f"{len(tags)} tags that mark spans" + (f" of {len(types)} types ({listed(types)})" if types else "")


def network_line(config: TagConfig, network: Network) -> str:
    """The network in a line."""
    reads = ["words", *(["characters"] if config.character_units else []), *(["features"] if network.features else [])]
    read = " and ".join([", ".join(reads[:-1]), reads[-1]] if len(reads) > 1 else reads)
    crf = ["a CRF"] if config.crf else []
    ways = " in each direction" if config.bidirectional else ""
    return experiment.network_line(config, network, f"{ways} over {read}", *crf)


def linear_facts(model: Model) -> experiment.Facts:
    """How much of the validation part is right with the linear tagger beside the network, and without; or nothing."""
    if "together" not in model.notes:
        return [] if model.linear is None else [("beside it", f"a linear tagger of {len(model.linear.keys):,} cues")]
    measure = "F1" if are_spans(model.vocabulary.tags) else "accuracy"
    without, together = (experiment.percent(1 - model.notes[name]) for name in ("alone", "together"))
    said = f"on the validation part {measure} {together} with it, {without} without"
    if model.linear is None:
        return [("beside it", f"nothing: a linear tagger was tried; {said}")]
    return [("beside it", f"a linear tagger of {len(model.linear.keys):,} cues; {said}")]


def vectors_line(vocabulary: Vocabulary, corpus: Corpus, frozen: bool) -> str:
    """How many pretrained vectors there are, and how much of the words of ``corpus`` they cover."""
    covered = sum(plain(word) in vocabulary.vectors.numbers for word in all_of(corpus.words)) / corpus.tokens
    kept = "left as they are" if frozen else "trained further"
    return (
        f"of {len(vocabulary.vectors):,} words, {vocabulary.vector_size} numbers each, {kept}; they cover"
        f" {experiment.percent(covered)} of the training part"
    )


def table(result: Result, baselines: Sequence[Score]) -> Table:
    """How good the model and the baselines are."""
    rows = [[s.name, *map(experiment.percent, s.numbers.values())] for s in (result.score, *baselines)]
    unknown, caption = result.unknown, ""
    if unknown.there:
        share, right = 100 * unknown.there / sum(map(len, result.words)), experiment.percent(unknown.recall)
        caption = f"{share:.1f} % of the words do not occur in training; {right} of those are tagged right."
    return Table(["on the test part", *result.score.numbers], rows, caption=caption)


def blocks(result: Result) -> list[Block]:
    """The sections of the page."""
    return [
        Heading("Spans" if result.score.of_spans else "Tags"),
        _types(result),
        *_confusion(result),
        *_sentences(result),
    ]


def _types(result: Result) -> Table:
    types = result.score.types
    what = "spans of type" if result.score.of_spans else "words with tag"
    shown = sorted(types, key=lambda t: -types[t].there)[:MOST_ROWS]
    rows = []
    for name in shown:
        counts = types[name]
        shares = map(experiment.percent, (counts.precision, counts.recall, counts.f1))
        rows.append([name or "(no name)", *shares, f"{counts.there:,}", f"{counts.said:,}"])
    which = f"The {MOST_ROWS} most frequent of {len(types)}. " if len(types) > MOST_ROWS else ""
    whole = "A span is right where its type, its first and its last word are. " if result.score.of_spans else ""
    said = "Precision: how much of what was found is right. Recall: how much of what there is was found."
    return Table((what, "precision", "recall", "F1", "there", "found"), rows, caption=which + whole + said)


def _confusion(result: Result) -> list[Block]:
    """All pairs of tags where there are few, else the most frequent mistakes."""
    counts = result.confusion
    tags = sorted({tag for pair in counts for tag in pair})
    wrong = sorted((pair for pair in counts if pair[0] != pair[1]), key=lambda pair: (-counts[pair], pair))
    if not wrong:
        return [Note("Every word of the test part has its tag.", good=True)]
    if sum(8 * len(tag) + 27 for tag in tags) <= WIDEST:
        rows = [[real, *(f"{counts[real, told]:,}" if counts[real, told] else "" for told in tags)] for real in tags]
        return [Heading("Confusion"), Table(["true, by predicted", *tags], rows, caption="Words of the test part.")]
    rows = [[f"{real} taken for {told}", f"{counts[real, told]:,}"] for real, told in wrong[:SHOWN]]
    return [Heading("Confusion"), Table(("most often", "words"), rows)]


def _sentences(result: Result) -> list[Block]:
    wrong = result.wrong
    if not wrong:
        return []
    shown = [wrong[place * len(wrong) // SHOWN] for place in range(SHOWN)] if len(wrong) > SHOWN else wrong
    few = f"; here are {len(shown)} of them" if len(shown) < len(wrong) else ""
    text = (
        f"{len(wrong):,} of {len(result.words):,} sentences have a wrong tag{few}. Below a word stands the tag that it"
        " was given and, where that is wrong, the true one."
    )
    blocks: list[Block] = [Heading("Mistakes"), Text(text)]
    for row in shown:
        words = zip(result.words[row], result.truth[row], result.predicted[row], strict=True)
        said = ((word, told, "" if real == told else f", not {real}") for word, real, told in words)
        blocks.append(Words([Word(word, told + wrong, bool(wrong)) for word, told, wrong in said]))
    return blocks


def metrics(result: Result, baselines: Sequence[Score]) -> dict[str, Any]:
    """What came out."""
    own, *others = ({name.lower(): value for name, value in s.numbers.items()} for s in (result.score, *baselines))
    return {
        **own,
        "unknown_words": {"count": result.unknown.there, "accuracy": result.unknown.recall},
        "types": {t: {**c._asdict(), "f1": c.f1} for t, c in result.score.types.items()},
        "baselines": [{"name": s.name, **numbers} for s, numbers in zip(baselines, others, strict=True)],
    }
