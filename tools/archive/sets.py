"""The archive's sets, fetched and brought into one form, the archives' own ``.ts``.

``sets.csv`` names both parts of each by repository, commit and SHA-256; a file that differs is refused. The archives of
2018 (H. A. Dau et al., The UCR time series archive; A. Bagnall et al., The UEA multivariate archive) say no licence, so
nothing of them is committed.
"""

from __future__ import annotations

import csv
import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

SEEN = {"ArrowHead", "BasicMotions", "GunPoint", "JapaneseVowels"}
"""Sets that the job's defaults were made with: never reported as unseen."""


@dataclass(frozen=True)
class Source:
    """A line of ``sets.csv``."""

    name: str
    repository: str
    commit: str
    train: str
    sha256_train: str
    sha256_test: str

    @property
    def half(self) -> str:
        """``choose``: settings are chosen on it; ``report``: kept apart. By the name's hash, before any experiment."""
        odd = hashlib.sha256(self.name.encode()).digest()[0] % 2
        return "choose" if odd or self.name in SEEN else "report"

    def path(self, part: str) -> str:
        """The file of ``part``, TRAIN or TEST, in the repository."""
        return self.train.replace("_TRAIN", f"_{part}")

    def fetched(self, part: str, copies: Path | None) -> str:
        """The file, from the net or from ``copies``/repository/path; ValueError where it isn't the one named."""
        url = f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path(part)}"
        if copies is not None:
            content = (copies / self.repository / self.path(part)).read_bytes()
        else:
            with urllib.request.urlopen(url, timeout=60) as answer:
                content = answer.read()
        if hashlib.sha256(content).hexdigest() != (self.sha256_train if part == "TRAIN" else self.sha256_test):
            raise ValueError(f"{self.name}: {url} is not the file that sets.csv names")
        return str(content.decode())


def sources() -> list[Source]:
    """All sets."""
    with (Path(__file__).parent / "sets.csv").open(newline="") as file:
        return [Source(**row) for row in csv.DictReader(file)]


def kept(source: Source, part: str, folder: Path, copies: Path | None) -> Path:
    """A part of a set as ``folder``/NAME_PART.ts: fetched once. A ``.tsv`` has the label and then the steps."""
    file = folder / f"{source.name}_{part}.ts"
    if not file.exists():
        content = source.fetched(part, copies)
        if source.train.endswith(".tsv"):
            rows = [line.split("\t") for line in content.splitlines()]
            lines = [f"{','.join(steps)}:{label}" for label, *steps in rows]
            labels = " ".join(sorted({row[0] for row in rows}))
            head = [f"@problemName {source.name}", "@univariate true", f"@classLabel true {labels}", "@data"]
            content = "\n".join([*head, *lines]) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return file
