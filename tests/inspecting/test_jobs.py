"""``statewise inspect`` on models of every job, as former versions wrote them, and what reports take of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statewise.cli import main
from statewise.jobs import Translator
from statewise.jobs.tasks.translate import inspected as translating

pytestmark = pytest.mark.slow

FORMER = Path(__file__).parents[1] / "jobs" / "former"
WAVES = np.sin(np.arange(60.0))


def series(path: Path) -> Path:
    path.write_text("y\n" + "\n".join(f"{100 + 10 * value + k}" for k, value in enumerate(WAVES)))
    return path


def waves(path: Path) -> Path:
    np.save(path, np.stack([WAVES[k : k + 12] for k in range(10)]))
    return path


def written(text: str) -> Any:
    def write(path: Path) -> Path:
        path.write_text(text)
        return path

    return write


SENTENCES = written("it P O\nwas V O\nOslo N O\n\nAnna N O\nis V O\n\nit P O\nis V O\n")
LINES = written("it was\nit is\nit was\n")


@pytest.mark.parametrize(
    ("model", "name", "data", "steps"),
    [
        ("classify", "waves.npy", waves, "8 rows of "),
        ("classify-ngrams", "names.csv", written("text,label\nrossini,a\nivanov,b\n"), "2 rows of up to 7 steps"),
        ("write-lines", "lines.txt", LINES, "3 rows of "),
        ("write-words", "text.txt", written("it was and it is " * 9), "8 rows of "),
        ("tag", "sentences.txt", SENTENCES, "3 rows of up to 3 steps"),
        ("forecast-steps", "series.csv", series, "rows of "),
        ("forecast-windows", "series.csv", series, "rows of "),
    ],
)
def test_the_command(
    model: str, name: str, data: Any, steps: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each model reads data as its job does; the page has every section."""
    page = tmp_path / "page.html"
    file = data(tmp_path / name)
    status = main(["inspect", str(FORMER / f"{model}.safetensors"), str(file), "--out", str(page)])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    assert steps in said.out
    html = page.read_text()
    for title in ("Gradients through time", "Saturation", "Units", "What mattered of the input", "Gates and states"):
        assert f"{title}" in said.out
        assert re.search(rf"<h2>{title}", html)


def test_a_translator() -> None:
    """Its sources are what counts; the targets are those that it writes."""
    model = (
        Translator(units=8, embedding=4, epochs=1, layers=1)
        .fit(["one", "two", "three"] * 4, ["1", "2", "3"] * 4)
        .model_
    )
    from statewise.jobs.tasks.translate.pairs import Pairs

    found = translating.sample(model, Pairs("here", ["one", "three"], None, [[], []])).inspected("a translator")
    assert [layer.name for layer in found.layers[:2]] == ["network.encoder, forward", "network.encoder, backward"]
    assert found.labels[1][:3] == ["t", "h", "r"]
    assert found.attributions.values.shape[:2] == (len(found.labels[1]), 2)


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("nothing.safetensors", "x", "nothing.safetensors: No such file"),
        (__file__, "x", "not a whole .safetensors file"),
        (FORMER / "classify.safetensors", "nowhere.npy", "nowhere.npy"),
    ],
)
def test_what_cant_be_looked_into_is_one_line(
    model: Any,
    data: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(model), data]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_networks_without_a_job_are_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import statewise

    statewise.save(statewise.GRU(3, 4), tmp_path / "gru.safetensors")
    assert main(["inspect", str(tmp_path / "gru.safetensors"), "x", "--out", str(tmp_path / "x.html")]) == 2
    assert "statewise.inspect(module, x) looks into" in capsys.readouterr().err
