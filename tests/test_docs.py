"""The examples of the pages run as they stand, those of a page one after the other, in a folder of its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

import statewise
from statewise import runtime

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOT_RUN = {
    "docs/cells.md": "model = swap(load_model(",  # TiRex and its weights
    "docs/howto/ddp.md": "dist.init_process_group",  # below, in processes
    "docs/serve.md": "websockets",  # tests/serving has a server
}
ELSEWHERE = ("docs/cells.md", "docs/mistakes.md")  # below, with what they promise
SLOW = (
    "docs/coming/darts.md",
    "docs/coming/neuralforecast.md",
)  # they train, and jobs/forecast.md shows the same calls
OF_OTHERS = ("keras", "darts", "neuralforecast")  # examples with these run where they are installed


def blocks(page: str) -> list[tuple[int, str]]:
    """The Python of a page: in which line each block begins, and what it says."""
    text = (ROOT / page).read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, block.start()) + 1, block[1]) for block in found]


def pages() -> list[str]:
    every = (path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))])
    return [page for page in every if blocks(page)]


def run(page: str, names: dict[str, Any], change: Callable[[str], str] = str) -> None:
    """Run what a page shows; ``names`` has what it takes for granted, and in the end what it made."""
    for line, block in blocks(page):
        if NOT_RUN.get(page, "\0") in block:
            continue
        wanted = re.findall(r"^(?:import|from) (\w+)", block, flags=re.MULTILINE)
        if all(find_spec(name) for name in OF_OTHERS if name in wanted):
            exec(compile("\n" * line + change(block), str(ROOT / page), "exec", dont_inherit=True), names)


def of_a_series() -> dict[str, Any]:
    rows, days = 80, pd.date_range("2024-01-01", periods=80)
    values = np.sin(np.arange(rows) * np.pi / 6) + np.random.default_rng(0).normal(size=rows) / 10
    df = pd.DataFrame({"unique_id": ["a"] * rows, "ds": days, "y": values})
    table = pd.DataFrame({"shop": ["a"] * rows, "date": days, "sales": values, "price": values.round()})
    ahead = pd.DataFrame({"shop": "a", "date": pd.date_range(days[-1], periods=13)[1:], "price": 1.0})
    return {
        "df": df,
        "newer_df": df.assign(ds=df["ds"] + pd.Timedelta(days=9)),
        "df_with_prices": df.assign(price=values.round()),
        "prices_ahead": ahead.rename(columns={"shop": "unique_id", "date": "ds"}),
        "table": table,
        "table_with_prices_ahead": pd.concat([table, ahead]),
        "values": values,
        "X": values[:, None].round(),
        "y": values,
        "cross_val_score": cross_val_score,
        "TimeSeriesSplit": partial(TimeSeriesSplit, 2),
    }


def of_sequences() -> dict[str, Any]:
    y = np.arange(40) % 2
    X = np.cumsum(np.random.default_rng(0).normal(y[:, None] - 0.5, 2, (40, 12)), axis=1)  # (n, T)
    return {"X": X, "y": y, "X_test": X[:3]}


def of_texts() -> dict[str, Any]:
    words, tags = ["Anna", "lives", "in", "Oslo", "."], ["B-NAME", "O", "O", "B-PLACE", "O"]
    dates = [(f"{day} May 1984", f"1984-05-{day:02}") for day in range(1, 31)]
    sources, targets = zip(*dates, strict=True)
    return {
        "names": ["maria", "john", "mary", "joan"] * 5,
        "sentences": [words] * 8,
        "tags": [tags] * 8,
        "test_sentences": [words],
        "test_tags": [tags],
        "sources": list(sources),
        "targets": list(targets),
        "test_sources": list(sources[:2]),
        "test_targets": list(targets[:2]),
    }


def of_layers() -> dict[str, Any]:
    """What the front page and the README have beside their example."""
    return {
        "x": torch.zeros(7, 7, 26),
        "x_t": torch.zeros(7, 26),
        "n": [7, 1, 0, 2, 3, 7, 6],
        "lengths": [7, 1, 0, 2, 3, 7, 6],
        "episode_begins": torch.zeros(7, 7, dtype=torch.bool),
        "model": torch.nn.Sequential(torch.nn.LSTM(26, 4)),
    }


GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": lambda: of_layers() | of_a_series(),
    "docs/index.md": of_layers,
    "docs/jobs/classify.md": of_sequences,
    "docs/jobs/forecast.md": of_a_series,
    "docs/jobs/tag.md": of_texts,
    "docs/jobs/translate.md": of_texts,
    "docs/jobs/write.md": of_texts,
    "docs/zh/README.md": lambda: of_layers() | of_a_series(),
}


def for_a_moment(code: str) -> str:
    """The same with networks that learn for a moment alone."""
    code = re.sub(r"(Forecaster|ForecastRegressor)\(", r"\1(ensemble=1, epochs=1, season=12, ", code)
    return re.sub(r"(Classifier|Writer|Tagger|Translator)\((?:epochs=20|units=32)?\)", r"\1(units=4, epochs=1)", code)


def marked(page: str) -> Any:
    return pytest.param(page, marks=pytest.mark.slow) if page in SLOW else page


@pytest.mark.parametrize("page", [marked(page) for page in pages() if page not in ELSEWHERE])
def test_examples_of_a_page(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    change = for_a_moment if page in GIVEN else str
    run(page, GIVEN.get(page, dict)(), change)


def test_no_page_is_left_out():
    assert {"docs/tutorial.md", "docs/layers.md", "docs/runtime.md", "docs/jobs/program.md"} <= set(pages())
    for page, word in NOT_RUN.items():
        assert sum(word in block for _, block in blocks(page)) == 1


@pytest.mark.parametrize(
    ("english", "chinese"), [("README.md", "docs/zh/README.md"), ("docs/tutorial.md", "docs/zh/tutorial.md")]
)
def test_what_is_translated_says_the_same(english, chinese):
    """The same code but for its comments, the same commands, figures and links."""
    pages = [(ROOT / page).read_text() for page in (english, chinese)]
    code = [[ast.dump(ast.parse(block)) for _, block in blocks(page)] for page in (english, chinese)]
    assert code[0] == code[1]

    def commands(text: str) -> list[str]:
        shells = re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        return [line.partition(" #")[0].rstrip() for shell in shells for line in shell.splitlines()]

    def figures(text: str) -> Counter[str]:
        return Counter(
            re.findall(r"(?<![\w.])\d[\d,.]*\d|(?<![\w.])\d", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL))
        )

    def links(page: str, text: str) -> set[Path]:
        found = re.findall(r"\]\(([^)]+)\)", text)
        return {(ROOT / page).parent.joinpath(link).resolve() for link in found} - {ROOT / english, ROOT / chinese}

    assert commands(pages[0]) == commands(pages[1])
    assert figures(pages[0]) == figures(pages[1])
    assert links(english, pages[0]) - {DOCS / "tutorial.md"} == links(chinese, pages[1]) - {DOCS / "zh" / "tutorial.md"}


def test_each_mistake_is_told_in_the_words_of_the_page(capsys):
    """Below a block of Python stands what it prints, and below no other."""
    text, names = (DOCS / "mistakes.md").read_text(), dict[str, Any]()
    told = 0
    for found in re.finditer(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", text, flags=re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        exec(compile("\n" * line + found[1], str(DOCS / "mistakes.md"), "exec", dont_inherit=True), names)
        assert capsys.readouterr().out == (found[2] or ""), f"line {line}"
        told += found[2] is not None
    assert told >= 15
    assert text.count("\n## ") >= 14


def test_the_guide_from_equations_to_a_layer():
    """Its cell is the mgu that statewise has."""
    names: dict[str, Any] = {}
    run("docs/cells.md", names)
    theirs = statewise.Recurrent("mgu", 3, 20, num_layers=2)
    theirs.load_state_dict(names["layer"].state_dict())
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(names["layer"](x)[0], theirs(x)[0])


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """The script of the page on DistributedDataParallel: the same weights on both, as from one process."""
    ((_, script),) = blocks("docs/howto/ddp.md")
    (tmp_path / "train.py").write_text(script)
    sums = []
    for processes in (1, 2):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        done = subprocess.run([*launcher, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        found = re.findall(r"^rank \d of \d: weights sum to (\S+)$", done.stdout, flags=re.MULTILINE)
        assert (done.returncode, len(found)) == (0, processes), done.stderr
        sums += map(float, found)
    assert sums[1] == sums[2]
    assert sums[0] == pytest.approx(sums[1], rel=1e-4)
    assert runtime.load(tmp_path / "model.safetensors").run(np.zeros((5, 2, 3))).shape == (2, 1)


def test_every_option_has_an_example():
    text = (DOCS / "layers.md").read_text()
    missing = [name for name in statewise.layers.options.DEFAULTS if not re.search(rf"\(.*\b{name}=.*\)", text)]
    assert not missing


def test_detach():
    layer = statewise.LSTM(2, [3, 4])
    _, state = layer(torch.randn(5, 2, 2))
    again = statewise.detach(state)
    assert [[s.shape for s in letter] for letter in again] == [[s.shape for s in letter] for letter in state]
    assert again[0][1].data_ptr() == state[0][1].data_ptr()
    assert not any(s.requires_grad for letter in again for s in letter)
    assert statewise.detach(None) is None
    assert not statewise.detach(torch.zeros(2, requires_grad=True)).requires_grad
    with pytest.raises(TypeError, match="detach: Expected states as a layer returns them, got str"):
        statewise.detach("h")
