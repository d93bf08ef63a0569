"""The report page: what stands in it, that it needs nothing else, and that a real browser shows it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from browser import BROWSER, PLAIN
from statewise.jobs.report import Heading, LiveReport, Note, Page, Picture, Table, Text, Word, Words, loss_curve
from statewise.jobs.report.charts import REAL, new_figure, to_svg


def curve(fits=1, updates=200, start=2.0):
    random = np.random.default_rng(0)
    history = []
    for fit in range(fits):
        for update in range(10, updates + 1, 10):
            loss = start * np.exp(-update / 60) + 0.1 + 0.05 * random.random()
            record = {"epoch": update // 20, "update": update, "seconds": 0.1, "loss": loss, "learning_rate": 1e-3}
            if update % 20 == 0:
                record["validation"] = {"loss": 1.2 * loss, "accuracy": 1 - loss / 3}
            history.append({"fit": f"network {fit + 1}", **record} if fits > 1 else record)
    return history


@cache
def pictured(fits=1):
    return loss_curve(curve(fits))


def page(history=(), running=False):
    """With the pictures of always, for they take time; ``history`` is what ``LiveReport`` gives."""
    blocks = [
        Note("The model beats the best baseline by 12 % in RMSE.", good=True),
        Note("It loses to <persistence> & co.", good=False),
        Heading("Training"),
        Picture(pictured(), "Loss by update"),
        Picture(pictured(), "The same once more"),
        Heading("Scores"),
        Table(
            ["model", "RMSE"], [["LSTM", "15.1"], ["persistence <script>", "33.7"]], strong=0, caption="Less is better."
        ),
        Text("a line of text"),
        Text("as on a\n  terminal", plain=True),
    ]
    return Page("Airline <passengers>", "an LSTM & its baselines", blocks, running=running)


class Outline(HTMLParser):
    """Opened and closed tags, and every attribute that could lead outside."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.ids, self.text = [], [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_nothing_outside_of_the_file():
    html = page().html()
    found = outline(html)
    assert "script" not in found.tags
    assert [link for link in found.links if not link.startswith(("#", "data:"))] == []
    assert re.findall(r"https?:[^\"' ]*", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)) == []
    assert "@import" not in html
    assert set(re.findall(r"url\(.", html)) <= {"url(#"}
    assert "default-src 'none'" in html


def test_what_the_user_gave_is_text():
    found = outline(page().html())
    assert "persistence <script>" in found.text
    assert "It loses to <persistence> & co." in found.text
    assert "Airline <passengers>" in found.text


def test_names_are_unique_and_links_find_them():
    found = outline(page().html())
    assert len(found.ids) == len(set(found.ids))
    inner = {link[1:] for link in found.links if link.startswith("#")}
    assert inner
    assert inner <= set(found.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", page().html())) <= set(found.ids)


def test_it_renews_itself_only_while_running():
    assert 'http-equiv="refresh"' in page(running=True).html()
    assert 'http-equiv="refresh"' not in page().html()


def test_same_content_same_page(tmp_path):
    assert loss_curve(curve()) == pictured()
    page().write(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == page().html()


def test_the_curve_shows_every_measure():
    text = outline(pictured()).text
    for word in ("training", "validation", "kept", "updates", "validation: accuracy"):
        assert word in text


def lines(svg):
    return len(re.findall(r'id="line2d_', svg))


def test_the_curve_of_many_networks_has_a_line_for_each():
    assert lines(pictured(10)) - lines(pictured()) == 9 * 4  # two losses, accuracy, ring


@pytest.mark.parametrize("history", [[], curve()[:1], [{"update": 1, "loss": -3.0, "epoch": 1}], curve(start=0.0)])
def test_the_curve_of_very_little(history):
    outline(loss_curve(history))


def test_a_wide_range_is_drawn_in_powers_of_ten():
    steep = [{"epoch": 1, "update": n, "loss": 1000.0 / n**2} for n in range(1, 50)]
    assert "mathdefault{10^{" in loss_curve(steep)
    negative = [*steep, {"epoch": 1, "update": 50, "loss": -1.0}]
    assert "mathdefault{10^{" not in loss_curve(negative)


def test_names_in_any_script_are_drawn_as_they_are():
    figure = new_figure()
    axes = figure.subplots()
    axes.set_title("乘客 $x_1$ <b>", parse_math=False)
    assert "乘客 $x_1$ <b>" in outline(to_svg(figure)).text


def test_colours_are_the_pages_but_on_cells():
    figure = new_figure()
    plain, cells, image = figure.subplots(1, 3)
    plain.text(0, 0, "in the page's ink", color=REAL)
    cells.pcolormesh(np.eye(2))
    image.imshow(np.eye(2))
    for axes in (cells, image):
        axes.text(0.5, 0.5, "on a cell", color=REAL)
    svg = to_svg(figure)
    colours = [re.search(r"(#\w+|var\(--\w+\))", text)[0] for text in re.findall(r"<text .*?(?=on a cell|in the)", svg)]
    assert REAL not in svg
    assert colours[-3:] == ["var(--ink)", "#1f2932", "#1f2932"]


def test_the_live_report_is_drawn_now_and_then(tmp_path, monkeypatch):
    drawn = []

    def draw(history):
        drawn.append(len(history))
        return page(history, running=True)

    live = LiveReport(tmp_path / "report.html", draw)
    history = curve()
    live.begin(history[:2])
    live.pace.next = time.monotonic()
    live.record(history[2])
    assert drawn == [3]
    for record in history[3:]:
        live.record(record)
    assert drawn == [3]  # drawing takes its time, so the next one waits
    assert "renews itself" in (tmp_path / "report.html").read_text()


def test_the_live_report_forgets_what_is_trained_again(tmp_path):
    live = LiveReport(tmp_path / "report.html", page)
    live.begin([{"fit": "a", "update": 1}], "a")
    live.record({"fit": "b", "update": 1})
    live.begin([{"fit": "b", "update": 2}], "b")
    assert live.history == [{"fit": "a", "update": 1}, {"fit": "b", "update": 2}]


def browse(url, folder, *options):
    """What Chromium says on stdout, and its console's messages."""
    done = subprocess.run(
        [
            BROWSER,
            *PLAIN,
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine")
@pytest.mark.parametrize(("size", "dark"), [((1100, 1600), False), ((1100, 1600), True), ((390, 1600), False)])
def test_a_browser_shows_it(tmp_path, size, dark):
    report, picture = tmp_path / "report.html", tmp_path / "shown.png"
    page(running=True).write(report)
    options = [f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}", "--hide-scrollbars"]
    _, console = browse(report.as_uri(), tmp_path, *options, *(["--blink-settings=preferredColorScheme=0"] * dark))
    assert console == []
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == size[::-1]
    assert (pixels[5, 5].mean() < 0.3) == dark  # the ground
    different = (np.abs(pixels - pixels[5, 5]).max(-1) > 0.1).mean(1)  # by line of pixels
    assert (different[:900] > 0).mean() > 0.5  # text and curves nearly everywhere
    model = np.array([0xFF, 0x86, 0x60] if dark else [0xD6, 0x4A, 0x20]) / 255
    assert (np.abs(pixels - model).max(-1) < 0.02).sum() > 100  # the validation's curve


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine")
def test_a_browser_reads_it_as_meant(tmp_path):
    report = tmp_path / "report.html"
    page().write(report)
    dom, console = browse(report.as_uri(), tmp_path, "--dump-dom")
    assert console == []
    found = outline(dom)
    assert found.tags.count("svg") == 2
    assert found.tags.count("tr") == 3
    assert "persistence <script>" in found.text


def test_words_that_are_wrong_stand_out():
    html = Page("t", "s", [Words([Word("<a>", "X"), Word("b", "Y & Z", wrong=True)])]).html()
    assert "<span>&lt;a&gt;<small>X</small></span> " in html
    assert '<span class="wrong">b<small>Y &amp; Z</small></span></p>' in html
