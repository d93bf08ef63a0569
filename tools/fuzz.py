"""Feed damaged files to everything that reads files: each must end in a result or in one line of ours.

    .venv/bin/python tools/fuzz.py                             20,000 mutants of every kind of file
    .venv/bin/python tools/fuzz.py --mutants 500 csv ts        of two kinds
    .venv/bin/python tools/fuzz.py --first 1234 --mutants 1 -v csv    one mutant again, with its traceback
    .venv/bin/python tools/fuzz.py --mutants 100000 networks onnx nam rtneural keras    what other people's models are

Models are damaged by structure more than by bytes (an entry of a header, a node of a graph), and each of the runtime's
files is run by every instruction set, a step at a time too: all must refuse it alike, or give the same numbers.

A mutant follows from its kind and its number. Whatever else is raised, a warning that is no remark of one line, a word
on stderr past Python, a death of the process, more memory than ``--memory`` or more time than ``--seconds`` is a
finding. It is kept in build/fuzz/, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import pickle
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz_mutations import (
    mutated_bytes,
    mutated_gzip,
    mutated_h5,
    mutated_json,
    mutated_keras,
    mutated_lines,
    mutated_network,
    mutated_onnx,
    mutated_tensors,
    mutated_zip,
)
from fuzz_networks import make_networks, make_onnx_files, use_network, use_network_by_every_set, use_onnx

KEPT = Path("build/fuzz")
GROWN = 200 * 1024  # kilobytes that one file may make the process larger: all of these are small


class TooLong(BaseException):
    """A mutant took more than its time."""


# What reads them


def make_foreign_files(folder: Path) -> None:
    """Those of other libraries, which the tests have."""
    import torch
    from safetensors.torch import save_file

    figures = Path(__file__).parents[1] / "tests/weights/figures"
    for name in ("nam", "rtneural"):
        told = json.loads((figures / f"{name}.json").read_text(encoding="utf-8"))
        model = told["two" if name == "nam" else "conv"]["model"]
        (folder / name).write_text(json.dumps(model), encoding="utf-8")
    for name, file in (
        ("keras", "keras-functional.keras"),
        ("keras-convolutions", "keras-convolutions.keras"),
        ("weights-h5", "keras-sequential.weights.h5"),
        ("weights-npz", "flax.npz"),
    ):
        (folder / name).write_bytes((figures / file).read_bytes())
    state = torch.nn.LSTM(2, 3, 2, bidirectional=True, proj_size=2).state_dict()
    torch.save({"model": state, "step": 3}, folder / "weights-pt")
    save_file(state, folder / "weights-safetensors")


def make_files(folder: Path, kinds: Sequence[str]) -> None:
    """A small file of each of ``kinds`` in ``folder``, and maybe of others."""
    make_foreign_files(folder)
    if "networks" in kinds:
        make_networks(folder / "networks")
    if "onnx" in kinds:
        make_onnx_files(folder / "onnx")
    if not all(kind in ("networks", "onnx") or (folder / kind).exists() for kind in kinds):
        make_job_files(folder)


def make_job_files(folder: Path) -> None:
    """A small file of every kind that the jobs read or write."""
    import numpy as np
    import polars as pl

    from statewise.jobs import Classifier, Forecaster, Tagger, Translator, Writer

    random_numbers = np.random.default_rng(0)
    days = (np.datetime64("2020-01-01") + np.arange(80)).astype(str)
    sales = (50 + 9 * np.sin(np.arange(80) * 2 * np.pi / 7) + random_numbers.normal(size=80)).round(2)
    rows = [f"{day},{sale},{n % 3},{'ab'[n % 2]}" for n, (day, sale) in enumerate(zip(days, sales, strict=True))]
    (folder / "csv").write_text("\n".join(["day,sales,price,kind", *rows]) + "\n")
    (folder / "gz").write_bytes(gzip.compress((folder / "csv").read_bytes(), mtime=0))
    frame = pl.DataFrame(
        {"id": np.repeat(range(8), 10), "t": list(range(10)) * 8, "y": sales, "label": ["a", "b"] * 40}
    )
    pl.read_csv(folder / "csv", try_parse_dates=True).write_parquet(folder / "parquet")
    frame.with_columns(label=(pl.col("id") % 2).cast(pl.String)).write_csv(folder / "steps")
    reviews = [
        f'{n},{"ab"[n % 2]},{n % 5},"so, {word} it is"' for n, word in enumerate(["good", "bad", "fine", "dull"] * 6)
    ]
    (folder / "texts").write_text("\n".join(["id,kind,stars,said", *reviews]) + "\n")
    (folder / "vectors").write_text("3 4\ngood 1 2 3 4\nbad -1 -2 3e-1 .5\nthe 0 0 0 1\n")
    ts = [
        "# a comment",
        "@problemName x",
        "@univariate false",
        "@dimensions 2",
        "@equalLength false",
        "@classLabel true a b",
    ]
    values = [",".join(f"{v:.2f}" for v in random_numbers.normal(size=6)) for _ in range(12)]
    ts += ["@data", *(f"{values[2 * n]}:{values[2 * n + 1]}:{'ab'[n % 2]}" for n in range(6))]
    (folder / "ts").write_text("\n".join(ts) + "\n")
    images = random_numbers.integers(0, 255, (6, 3, 4), np.uint8)
    (folder / "idx").write_bytes(struct.pack(">HBBIII", 0, 8, 3, *images.shape) + images.tobytes())
    np.save(folder / "x.npy", images.astype(np.float64))
    (folder / "x.npy").rename(folder / "npy")
    np.savez_compressed(
        folder / "x.npz", X=images.astype(np.float32), y=np.array(list("ababab")), lengths=np.full(6, 3)
    )
    (folder / "x.npz").rename(folder / "zip")
    words = [
        ("Anna", "NNP", "B-PER"),
        ("lives", "VBZ", "O"),
        ("in", "IN", "O"),
        ("Oslo", "NNP", "B-LOC"),
        (".", ".", "O"),
    ]
    sentence = "\n".join(" ".join(word) for word in words)
    (folder / "conll").write_text(f"-DOCSTART- -X- O\n\n# a = b\n{sentence}\n\n{sentence}\n")
    conllu = [f"{n}\t{w}\t{w.lower()}\t{p}\t_\t_\t0\troot\t_\t_" for n, (w, p, _) in enumerate(words, 1)]
    conllu[2:2] = ["3-4\tin Oslo\t_\t_\t_\t_\t_\t_\t_\t_"]
    (folder / "conllu").write_text(
        "# sent_id = 1\n" + "\n".join(conllu) + "\n3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n".replace("3.1", "5.1")
    )
    (folder / "text").write_text("It was the best of times,\nit was the worst of times.\n\n" * 4)
    common: dict[str, Any] = {"epochs": 1}
    quick: dict[str, Any] = {"units": 3, "ensemble": 1, **common}
    table = folder / "ahead"  # with prices of a few days more
    table.write_text((folder / "csv").read_text() + "".join(f"2020-03-{day},,2,a\n" for day in range(21, 26)))
    columns: dict[str, Any] = {"time": "day", "target": ["sales"], "known": ["price"]}
    stepwise = Forecaster(model="lstm", horizon=4, **columns, **quick).fit(table)
    stepwise.save(folder / "forecast-stepwise")
    Forecaster(model="segrnn", horizon=4, segment=2, lookback=8, observed=["kind"], **columns, **quick).fit(table).save(
        folder / "forecast-segment"
    )
    Forecaster(model="seq2seq", horizon=3, lookback=5, distribution="student-t", **quick).fit(
        np.stack([sales, sales[::-1]], 1)
    ).save(folder / "forecast-direct")
    X = [random_numbers.normal(size=(5 + n % 3, 2)) for n in range(12)]
    Classifier(units=3, **common).fit(X, ["a", "b"] * 6).save(folder / "classify")
    texts = ["so good it is", "so bad it is"] * 6
    Classifier(units=3, embedding=3, level="word", **common).fit(texts, ["a", "b"] * 6).save(folder / "classify-texts")
    Writer(units=4, layers=1, **common).fit((folder / "text").read_text()).save(folder / "write")
    Writer(units=4, layers=1, level="word", lines=True, min_count=1, **common).fit(["a b c", "b c d"]).save(
        folder / "write-words"
    )
    named = [[word for word, _, _ in words]] * 4, [[tag for _, _, tag in words]] * 4
    Tagger(units=3, word_size=4, character_units=2, crf=True, **common).fit(*named).save(folder / "tag")
    texts = ["3 May 1984", "1 June 1990", "May 1984"] * 4, ["a b", "b c", "c"] * 4
    Translator(units=3, embedding=4, **common).fit(*texts).save(folder / "translate")
    Translator(units=3, embedding=4, level="subword", cell="lstm", attention="additive", layers=1, **common).fit(
        *texts
    ).save(folder / "translate-subword")
    (folder / "pairs").write_text("lemma\tform\ttags\n" + 'go\twent\tV;PST\nsee\t"seen"\tV;PTCP PST\n' * 4)
    for optimizer in ("adamw", "sgd"):
        _train(folder / f"checkpoint-{optimizer}", optimizer)


def _train(path: Path, optimizer: str) -> None:
    """A few updates; where ``path`` is a checkpoint, those that are left."""
    import torch
    from torch import nn

    from statewise.jobs.training.checkpoint import Checkpoint
    from statewise.jobs.training.config import TrainingConfig
    from statewise.jobs.training.fit import fit
    from statewise.jobs.training.task import Task

    class Line(Task):
        def __init__(self) -> None:
            self.model, self.rows = nn.Linear(2, 1), 8
            self.x = torch.arange(16.0).reshape(8, 2) / 16

        def loss(self, model: nn.Module, rows: Any) -> tuple[Any, float]:
            return model(self.x[rows]).square().sum(), float(len(rows))

        def validate(self) -> dict[str, float]:
            return {"loss": float(self.model(self.x).square().mean())}

    torch.manual_seed(0)
    recipe = TrainingConfig(epochs=3, batch=4, optimizer=optimizer)
    checkpoint = Checkpoint(path, 0.0)
    if path.exists():
        fit(Line(), recipe, checkpoint=checkpoint)
        return

    class Stop(Exception):  # noqa: N818
        pass

    class Stopping(Checkpoint):
        def save(self, task: Any, recipe: Any, optimizer: Any, average: Any, position: Any, best: Any) -> None:
            super().save(task, recipe, optimizer, average, position, best)
            if position.update == 3:
                raise Stop

    with contextlib.suppress(Stop):
        fit(Line(), recipe, checkpoint=Stopping(path, 0.0))


def read_table_forecast(path: Path, draw: random.Random) -> None:
    """As ``statewise forecast`` does, up to the split."""
    from statewise.jobs.tasks.forecast.config import Columns, ForecastConfig
    from statewise.jobs.tasks.forecast.panel import read_panel
    from statewise.jobs.tasks.forecast.training import prepare

    columns = draw.choice(
        (
            Columns(target=("sales",)),
            Columns(time="day", target=("sales",), known=("price",), observed=("kind",)),
            Columns(id="kind", target=("sales",)),
            Columns(layout="rows"),
        )
    )
    gaps = draw.choice(("refuse", "mask", "carry", "ignore"))
    panel = read_panel(path, columns, gaps=gaps)
    if sum(map(len, panel.series)) < 10_000:
        prepare(panel, ForecastConfig(horizon=3, gaps=gaps))


def read_sequences(path: Path, draw: random.Random) -> None:
    """As ``statewise classify`` does."""
    from statewise.jobs.tasks.classify.config import Layout
    from statewise.jobs.tasks.classify.formats import read
    from statewise.jobs.tasks.classify.targets import target_of

    examples = read(path, Layout(gaps=draw.choice(("refuse", "carry"))))
    examples.described()
    if examples.labels is not None:
        target_of(examples.labels, examples.source)


def read_texts(path: Path, draw: random.Random) -> None:
    """As ``statewise classify`` does, up to the numbers that the network reads."""
    from statewise.jobs.tasks.classify.config import ClassifyConfig, Layout
    from statewise.jobs.tasks.classify.features import Lesson
    from statewise.jobs.tasks.classify.formats import read
    from statewise.jobs.tasks.classify.ngrams import NGrams
    from statewise.jobs.tasks.classify.spelling import Spelling
    from statewise.jobs.tasks.classify.targets import target_of
    from statewise.jobs.tasks.classify.texts import Texts

    layout = Layout(
        text=draw.choice((None, ("said",))),
        label=draw.choice(("kind", "kind", None)),
        header=draw.choice((None, None, False)),
        symbols=draw.random() < 0.2,
        gaps=draw.choice(("refuse", "carry")),
    )
    examples = read(path, layout)
    texts = examples.sequences
    if examples.labels is None or not isinstance(texts, Texts):
        return
    target = target_of(examples.labels, examples.source)
    config = ClassifyConfig(level=draw.choice(texts.levels), max_words=300)
    read = Spelling.fitted(texts, config).encoded(texts)
    values = target.read(examples.labels, examples.source, examples.ids)
    NGrams.fitted(Lesson(read, target, values, reach=2))


def read_pretrained(path: Path, draw: random.Random) -> None:
    """As ``--vectors`` does."""
    from statewise.jobs.data.vectors import read_vectors

    read_vectors(path, ["good", "bad", "the", "0"])


def read_corpus(path: Path, draw: random.Random) -> None:
    """As ``statewise tag`` and ``tag predict`` do."""
    from statewise.jobs.tasks.tag.formats import read
    from statewise.jobs.tasks.tag.running import read_running

    corpus = read_running(path) if draw.random() < 0.2 else read(path, tagged=draw.random() < 0.5)[0]
    corpus.as_document().with_tags([["X"] * len(words) for words in corpus.words])


def read_any_text(path: Path, draw: random.Random) -> None:
    """As ``statewise write`` does."""
    from statewise.jobs.tasks.write.text import Vocabulary, held_out, read_text

    level = draw.choice(("char", "word"))
    lines = draw.random() < 0.5
    kept, _ = held_out(read_text(path), None, lines=lines, level=level)
    Vocabulary.of(kept, level, max_words=100, min_count=1).encode(kept, lines=lines)


def read_pairs(path: Path, draw: random.Random) -> None:
    """As ``statewise translate`` does, up to the network."""
    from statewise.jobs.tasks.translate.config import Layout, TranslateConfig
    from statewise.jobs.tasks.translate.pairs import read
    from statewise.jobs.tasks.translate.training import TranslateProblem

    layout = draw.choice(
        (Layout(), Layout(features=("tags",)), Layout(header=False), Layout(header=False, features=("3",)))
    )
    pairs, _ = read(path, layout)
    config = TranslateConfig(level=draw.choice(("char", "word", "subword")), max_words=300)
    problem = TranslateProblem.of(config, pairs)
    problem.numbers(problem.pairs)


def use_forecaster(path: Path, draw: random.Random) -> None:
    """Load it and forecast what comes next."""
    from statewise.jobs.tasks.forecast.model import Model

    model = Model.load(path)
    model.predict()[1].write_csv()


def use_classifier(path: Path, draw: random.Random) -> None:
    """Load it and classify."""
    import numpy as np

    from statewise.jobs import Classifier

    Classifier.load(path).predict([np.ones((4, 2)), np.zeros((9, 2))])


def use_classifier_of_texts(path: Path, draw: random.Random) -> None:
    """Load it and classify."""
    from statewise.jobs import Classifier

    Classifier.load(path).predict(["so good it is", "bad", ""])


def use_writer(path: Path, draw: random.Random) -> None:
    """Load it, write and judge."""
    from statewise.jobs import Writer

    writer = Writer.load(path)
    writer.sample(2, length=5, temperature=draw.choice((0.0, 1.0)))
    writer.complete("it", 2)
    writer.perplexity("it was\n")


def use_tagger(path: Path, draw: random.Random) -> None:
    """Load it and tag."""
    from statewise.jobs import Tagger

    Tagger.load(path).predict([["Anna", "in", "Rome"], ["x"]])


def use_translator(path: Path, draw: random.Random) -> None:
    """Load it and translate."""
    from statewise.jobs import Translator

    Translator.load(path).predict_n_best(["1 May 1990", "?", "June"], draw.choice((1, 5)))


def use_weights(path: Path, draw: random.Random) -> None:
    """Find the layers, and run them in the runtime and in torch."""
    import numpy as np
    import torch

    import statewise

    for part in statewise.read_weights(path).values():
        part.network().run(np.ones((3, 2, part.input_size)))
        layer = part.layer()
        layer(torch.ones(3, 2, part.input_size, dtype=layer.weight_hh_l0.dtype))


Mutate = Callable[[bytes, random.Random], bytes]
Read = Callable[[Path, random.Random], None]
KINDS: dict[str, tuple[Mutate, Read]] = {
    "networks": (mutated_network, use_network_by_every_set),
    "onnx": (mutated_onnx, use_onnx),
    "csv": (mutated_lines, read_table_forecast),
    "steps": (mutated_lines, read_sequences),
    "texts": (mutated_lines, read_texts),
    "vectors": (mutated_lines, read_pretrained),
    "gz": (mutated_gzip, read_table_forecast),
    "parquet": (mutated_bytes, read_table_forecast),
    "ts": (mutated_lines, read_sequences),
    "idx": (mutated_bytes, read_sequences),
    "npy": (mutated_bytes, read_sequences),
    "zip": (mutated_zip, read_sequences),
    "conll": (mutated_lines, read_corpus),
    "conllu": (mutated_lines, read_corpus),
    "text": (mutated_lines, read_any_text),
    "forecast-stepwise": (mutated_tensors, use_forecaster),
    "forecast-segment": (mutated_tensors, use_forecaster),
    "forecast-direct": (mutated_tensors, use_forecaster),
    "classify": (mutated_tensors, use_classifier),
    "classify-texts": (mutated_tensors, use_classifier_of_texts),
    "write": (mutated_tensors, use_writer),
    "write-words": (mutated_tensors, use_writer),
    "tag": (mutated_tensors, use_tagger),
    "pairs": (mutated_lines, read_pairs),
    "translate": (mutated_tensors, use_translator),
    "translate-subword": (mutated_tensors, use_translator),
    "nam": (mutated_json, use_network),
    "rtneural": (mutated_json, use_network),
    "keras": (mutated_keras, use_network),
    "keras-convolutions": (mutated_keras, use_network),
    "weights-h5": (mutated_h5, use_weights),
    "weights-npz": (mutated_zip, use_weights),
    "weights-pt": (mutated_zip, use_weights),
    "weights-safetensors": (mutated_bytes, use_weights),
    "checkpoint-adamw": (mutated_tensors, lambda path, draw: _train(path, "adamw")),
    "checkpoint-sgd": (mutated_tensors, lambda path, draw: _train(path, "sgd")),
}


# The runs


def worker(kind: str, numbers: range, files: Path, memory: float, seconds: float, send: int) -> None:
    """Run the mutants ``numbers``, and send of each what came of it; ends the process."""
    import warnings

    import scipy.sparse  # noqa: F401  # scipy's BLAS never ends its start where memory is limited already
    import tokenizers  # noqa: F401  # so that no mutant pays for imports
    import torch

    import statewise.jobs.tasks.classify.targets
    import statewise.jobs.tasks.forecast.report
    import statewise.jobs.tasks.translate.report
    import statewise.onnx.importing  # noqa: F401
    from statewise.jobs.errors import InputError, Remark
    from statewise.kernels.served import FallbackWarning
    from statewise.runtime import LoadError

    os.environ["CXX"] = "none"  # a variant of a cell that a file names is refused, not compiled
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", r"[^\n]*\Z", Remark)  # one line for the user, and no fault
    warnings.simplefilter("ignore", FallbackWarning)
    mutate, read = KINDS[kind]
    seeds = [file.read_bytes() for file in sorted((files / kind).iterdir())] if (files / kind).is_dir() else []
    seeds = seeds or [(files / kind).read_bytes()]
    path = files / f"{os.getpid()}" / "file"
    path.parent.mkdir()
    noise = os.memfd_create("stderr")
    os.dup2(noise, 2)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit = used + int(memory * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, _late)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with os.fdopen(send, "wb") as out:
        for number in numbers:
            pickle.dump((number, None), out)
            out.flush()
            draw = random.Random(f"{kind} {number}")
            original = draw.choice(seeds) if len(seeds) > 1 else seeds[0]
            try:
                mutant = mutate(original, draw)
            except Exception:  # what makes no file at all
                mutant = mutated_bytes(original, draw)
            path.write_bytes(mutant)
            began = time.monotonic()
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                try:
                    read(path, draw)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                said = "result"
            except (InputError, LoadError) as error:
                said = "refused" if len(str(error).splitlines()) == 1 else f"a message of several lines: {error!r}"
                if len(str(error)) > 600:
                    said = f"a message of {len(str(error))} characters: {str(error)[:60]}"
                if "allocate" in str(error) or "MemoryError" in str(error):
                    said = f"memory was asked for that there isn't: {str(error)[:200]}"
            except BaseException as error:  # whatever it is: that is what is looked for
                last = [frame for frame in traceback.extract_tb(error.__traceback__) if "statewise" in frame.filename]
                where = f"{Path(last[-1].filename).name}:{last[-1].lineno}" if last else "?"
                said = f"{type(error).__name__} at {where}: {str(error)[:80]!r}\n{traceback.format_exc()}"
            most, before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, most
            if most > before + GROWN and said in ("result", "refused"):
                said = f"it took {(most - before) // 1024} MB"
            if os.fstat(noise).st_size:
                os.lseek(noise, 0, 0)
                said = f"on stderr: {os.read(noise, 500).decode(errors='replace')}"
                os.ftruncate(noise, 0)
                os.lseek(noise, 0, 0)
            if said not in ("result", "refused"):
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / f"{kind}-{number}").write_bytes(mutant)
            pickle.dump((number, (said, time.monotonic() - began)), out)
            out.flush()
    os._exit(0)


def _late(signum: int, frame: FrameType | None) -> None:
    raise TooLong


class Part:
    """Some of the mutants of a kind in a process of their own, and in another where that one dies."""

    def __init__(self, kind: str, numbers: range, files: Path, args: argparse.Namespace) -> None:
        self.kind, self.numbers, self.files, self.args = kind, numbers, files, args
        self.counts, self.findings, self.slowest = Counter[str](), dict[int, str](), 0.0

    def run(self) -> None:
        """Until all are done."""
        left = self.numbers
        while len(left):
            receive, send = os.pipe()
            child = os.fork()
            if not child:
                os.close(receive)
                try:
                    worker(self.kind, left, self.files, self.args.memory, self.args.seconds, send)
                finally:
                    os._exit(3)
            os.close(send)
            current = left[0]
            with os.fdopen(receive, "rb") as file:
                while True:
                    try:
                        number, found = pickle.load(file)
                    except EOFError:
                        break
                    current = number
                    if found is None:
                        continue
                    said, took = found
                    self.counts[said if said in ("result", "refused") else "findings"] += 1
                    self.slowest = max(self.slowest, took)
                    if said not in ("result", "refused"):
                        self.findings[number] = said
                    left = range(number + 1, left.stop)
            _, status = os.waitpid(child, 0)
            if len(left):
                self.counts["findings"] += 1
                self.findings[current] = f"the process died: status {status}"
                left = range(current + 1, left.stop)


def main() -> int:
    """The exit status: 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--mutants", type=int, default=20_000, metavar="N", help="of each kind (default: 20000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first one (default: 0)")
    parser.add_argument("--memory", type=float, default=1024, metavar="MB", help="that one may take (default: 1024)")
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="that one may take (default: 10)")
    parser.add_argument("-v", "--verbose", action="store_true", help="every finding with its traceback")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make_files(args.make, args.kinds)
        return 0
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        kinds = args.kinds or list(KINDS)
        # Here nothing heavy is imported.
        subprocess.run([sys.executable, __file__, "--make", folder, *kinds], check=True)
        for kind in kinds:
            began = time.monotonic()
            part = Part(kind, range(args.first, args.first + args.mutants), files, args)
            part.run()
            counts = ", ".join(f"{part.counts[what]} {what}" for what in ("result", "refused", "findings"))
            took = time.monotonic() - began
            print(f"{kind:18} {counts}; the slowest {part.slowest:.2f} s, {took:.0f} s in all", flush=True)
            alike = Counter[str]()
            for number, said in part.findings.items():
                first = said.splitlines()[0]
                alike[first] += 1
                if args.verbose or alike[first] == 1:
                    print(f"  {number}: {said if args.verbose else first}", flush=True)
            found += part.counts["findings"]
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
