"""The page: that it needs nothing else, and what a real browser shows of the models."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from browser import BROWSER, tab
from statewise.jobs import Forecaster
from statewise.serving.page import PAGE

from .conftest import running


def test_nothing_outside_of_the_file(server):
    response, content = server.ask("GET", "/", raw=True)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(each.strip().split(" ", 1) for each in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert content.decode() == PAGE
    assert re.findall(r"https?:[^\"']*", PAGE) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"\bstyle=|\bon\w+=|innerHTML|insertAdjacentHTML|\beval\(|<script ", PAGE)


def test_it_can_be_left_out(files):
    with running({"net": files["net"]}, page=False) as server:
        assert server.ask("GET", "/")[0] == 404


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    path = tmp_path_factory.mktemp("forecaster") / "sales.safetensors"
    values = 10 + np.sin(np.arange(60) * np.pi / 6)
    table = pl.DataFrame({"month": [f"{2000 + t // 12}-{1 + t % 12:02}-01" for t in range(60)], "sold": values})
    Forecaster(time="month", target="sold", season=12, horizon=6, ensemble=1, epochs=1, units=4).fit(table).save(path)
    return path


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine")
def test_a_browser_asks_every_model(files, sales, tmp_path):
    token = "0123456789abcdef"
    answer = "document.querySelector('#answer')"
    with running(files | {"sales": sales}, token=token) as server, tab(tmp_path) as page:
        page.open(f"http://127.0.0.1:{server.port}/")
        page.wait("!document.querySelector('#entry').hidden")
        page.type("#token", token)
        page.click("#entry button")
        assert page.wait("[...document.querySelectorAll('nav button')].map(b => b.dataset.name).join()") == ",".join(
            [*files, "sales"]
        )

        def ask(name, **typed):
            page.click(f"nav button[data-name={name}]")
            page.wait(f"document.querySelector('[aria-selected=true]').dataset.name === '{name}'")
            assert page.see(f"{answer}.children.length") == 0
            for field, text in typed.items():
                page.type(f"#{field}", text)
            page.click("#ask")
            page.wait(f"{answer}.children.length > 0 || !document.querySelector('#problem').hidden")
            return page.see(f"{answer}.innerText")

        ask("sales", horizon="4")
        assert page.see(f"{answer}.querySelectorAll('path.model, path.real, path.band').length") == 3
        assert "2005-01-01 to 2005-04-01, and its 80 % interval" in page.see(f"{answer}.innerText")
        ask("sales", rows="month,sold\n" + "\n".join(f"2001-{m:02}-01,{m}" for m in range(1, 13)))
        assert "2002-01-01 to 2002-06-01" in page.see(f"{answer}.innerText")
        assert set(re.findall(r"up|down", ask("classes"))) == {"up", "down"}
        assert page.see(f"{answer}.querySelectorAll('.bar rect').length") == 2
        assert "<" in ask("tagger", text="Joan sat <b> in Rome")
        assert page.see(f"{answer}.querySelectorAll('b').length") == 0
        assert len(ask("writer", prompt="the ", length="30")) >= 30
        assert "probability" in ask("translator", text="one")
        ask("net")
        assert page.see(f"{answer}.querySelectorAll('path').length") == 7
        ask("net", x="1, 2")
        assert "List should have at least 3 items" in page.see("document.querySelector('#problem').innerText")
        page.see("window.answered = fetch('/').then(() => 1)")  # the policy lets it ask its own server
        assert page.see("window.answered") == 1
        assert [each for each in page.complaints if "401" not in each and "422" not in each] == []


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine")
@pytest.mark.parametrize(("width", "dark"), [(1000, False), (1000, True), (390, False)])
def test_how_it_looks(files, tmp_path, width, dark):
    with running({"net": files["net"]}) as server, tab(tmp_path) as page:
        page.open(f"http://127.0.0.1:{server.port}/", width, 800, dark)
        page.wait("!document.querySelector('#asking').hidden")
        page.click("#ask")
        page.wait("document.querySelectorAll('#answer path').length > 0")
        assert page.see("document.documentElement.scrollWidth") <= width
        page.picture(tmp_path / "shown.png")
        assert page.complaints == []
    pixels = imread(tmp_path / "shown.png")[..., :3]
    assert pixels.shape[:2] == (800, width)
    assert (pixels[5, 5].mean() < 0.3) == dark  # the ground
    model = np.array([0xFF, 0x86, 0x60] if dark else [0xC8, 0x43, 0x1B]) / 255
    assert (np.abs(pixels - model).max(-1) < 0.02).sum() > 100  # the button and a curve
