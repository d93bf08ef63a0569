"""The interactive page: that it needs nothing else, and what a real browser shows, clicks and computes there."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import statewise
import statewise.explaining.equations
from browser import BROWSER, tab
from statewise import reference
from statewise.cells import CELLS, Cell, Vector, by_name
from statewise.cli import main
from statewise.explaining.page import page
from statewise.explaining.page.description import describe
from statewise.stack import Stack

VENDOR = Path(statewise.__file__).parent / "explaining" / "page" / "vendor"
NEEDS_BROWSER = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine"
)


def test_nothing_outside_of_the_file():
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert not re.search(
        r"https?://|\bimport\b.*\bfrom ['\"]|\beval\(|\bstyle=|<link (?!rel=\"icon\")|<script src", text
    )
    assert text.count("Copyright (c) 2017 Google LLC. All rights reserved.") == 1


def test_the_library_is_as_it_was_published():
    """README.md beside it says which version, and gives its sum."""
    note = (VENDOR / "README.md").read_text()
    assert sha256((VENDOR / "lit-html.js").read_bytes()).hexdigest() in note
    version = re.search(r'litHtmlVersions\?\?=\[\]\)\.push\("(.*?)"\)', (VENDOR / "lit-html.js").read_text())[1]
    assert version in note


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell_as_data(cell):
    found = json.loads(json.dumps(describe(cell)))
    for k, symbol in enumerate(found["symbols"]):
        assert all(0 <= a < k for a in symbol["of"])
    defined = {each["symbol"] for each in found["equations"]}
    assert defined >= set(found["after"])  # every state has its equation
    text = "\n".join(
        f"{each['name']} = " + "".join(p if isinstance(p, str) else p[0] for p in each["pieces"])
        for each in found["equations"]
    )
    plain = text.replace("_{t-1}", "_(t-1)")
    assert re.sub(r"_\{(\w+)\}", r"_\1", plain) == "\n".join(statewise.explaining.equations.equations(cell))


def test_sizes_are_cut_down_to_what_can_be_seen():
    start = {"hidden_size": 128, "layers": 2, "lengths": [9, 1]}
    data = json.loads(re.search(r'id="data">(.*?)</script>', page(start))[1])
    assert data["start"] == {"hidden_size": 6, "layers": 2, "lengths": [9, 1], "steps": 6, "batch": 2}
    assert data["cuts"] == {"hidden_size": 128, "steps": 9}


def test_the_command_writes_it(tmp_path, capsys):
    path = tmp_path / "gru.html"
    assert main(["explain", "gru", "--bidirectional", "--lengths", "3,1", "--html", str(path)]) == 0
    assert '"cell":"gru"' in path.read_text()
    assert '"lengths":[3,1]' in path.read_text()
    said = capsys.readouterr().out
    assert f"{path}: a smaller layer of the kind, to be seen whole: input_size 6 for 26, hidden_size 6 for 128" in said
    assert main(["explain", "gru", "--html", str(tmp_path)]) == 2
    assert "--html" in capsys.readouterr().err
    assert main(["explain", "gru", "--input-size", "2", "--hidden-size", "3", "--batch", "1", "--html", str(path)]) == 0
    assert "seen whole" not in capsys.readouterr().out


# In a browser

ALL = "document.querySelector('.transport input')"
SHOWN = (
    "Object.fromEntries([...document.querySelectorAll('figure')].map(f => [f.id,"
    " [...f.querySelectorAll('.tile')].map(e => Number(e.dataset.value ?? 0))]))"  # padding is 0
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    (folder / "page.html").write_text(page(), encoding="utf-8")
    with tab(folder) as opened:
        opened.call("Network.enable")
        opened.address = (folder / "page.html").as_uri()
        yield opened


def show(browser, state="", **how):
    """The page in a state, with all steps computed."""
    browser.call("Page.navigate", url="about:blank")
    browser.open(f"{browser.address}#{state}", **how)
    browser.see(f"{ALL}.value = {ALL}.max, {ALL}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def run(browser):
    """What the program on the page computes."""
    names: dict[str, object] = {}
    exec(browser.see("document.querySelector('#code').textContent"), names)
    return names


def compare(shown, names, turned=False):
    """Every tensor of the page with that of its program; the loop over cells has time first."""
    for name in set(shown) & set(names):
        theirs = names[name].transpose(0, 1) if turned and name in ("x", "output") else names[name]
        mine = np.array(shown[name]).reshape(theirs.shape)
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-12, atol=1e-13)
    assert {"x", "output", "h_n"} <= set(shown) & set(names)


STATES = [
    "cell=lstm&L=2&bidirectional=true&T=4&N=3",
    "cell=gru&L=3&I=5&H=2&batchFirst=true",
    "cell=lstm&bidirectional=true&L=2&ragged=true&T=5&N=4&lengths=2,5,1,5",
    "cell=gru&bidirectional=true&batchFirst=true&ragged=true&pack=packed&T=5&N=4&lengths=3,4,4,1",
    "cell=rnn_relu&ragged=true&pack=packed&enforceSorted=true&T=4&N=3&lengths=4,2,2",
    "cell=lstm&view=loop",
    "cell=gru&L=2&bidirectional=true&batchFirst=true&view=loop&ragged=true&T=4&N=3&lengths=1,4,2",
    "cell=lstm&T=1&N=1&I=1&H=1",
    "cell=slstm&L=2&bidirectional=true",
    "cell=mgu&L=2",
    "cell=layer_norm_gru&H=5",
    "cell=layer_norm_lstm&bidirectional=true&view=loop",
    "cell=peephole_lstm&ragged=true&lengths=1,3",
    "cell=sru&L=2",
    "cell=minlstm_log",
    "cell=indrnn",
]


@pytest.mark.slow
@NEEDS_BROWSER
def test_its_numbers_are_the_layers(browser):
    """The program beside them gives every number; so does torch.nn's layer, where there is one."""
    assert {by_name(re.search(r"cell=(\w+)", state)[1]) for state in STATES} <= set(CELLS)
    for state in STATES:
        show(browser, state)
        code, shown = browser.see("document.querySelector('#code').textContent"), browser.see(SHOWN)
        compare(shown, run(browser), turned="view=loop" in state and "batchFirst" in state)
        if "or torch.nn's" in code and "lengths=lengths" not in code:
            names: dict[str, object] = {}
            exec(re.sub(r"statewise\.(LSTM|GRU|RNN)\(", r"torch.nn.\1(", code), names)
            compare(shown, names)
    assert browser.complaints == []


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize(
    ("state", "chosen"),
    [
        ("cell=lstm&bidirectional=true&L=2", "v/2/0/1"),
        ("cell=gru&ragged=true&lengths=3,2&bidirectional=true", "v/1/1/0"),
        ("cell=mgu", "v/0/1/1"),
        ("cell=indrnn_tanh&L=2", "v/1/0/2"),
        ("cell=layer_norm_lstm", "v/0/1/2"),
        ("cell=layer_norm_gru", "v/0/1/0"),
    ],
)
def test_what_a_number_comes_from(browser, state, chosen):
    """What is lit, all the way back, is what has a gradient, whatever the numbers are: no more and no less."""
    show(browser, state)
    browser.see(f"document.querySelector('#tensors [data-key^=\"{chosen}/\"]').click()")
    browser.click("[name=back][value=all] + span")
    keys = "[...document.querySelectorAll('{}')].map(e => e.dataset.key)"
    lit = set(browser.see(keys.format(".tile.direct, .tile.far")))
    seen = set(browser.see(keys.format("#tensors .tile[data-key], #inside [data-key^=w]")))
    place = browser.see("document.querySelector('#chosen .python').textContent").split("\n")[-1]
    names = run(browser)
    value = browser.see("Number(document.querySelector('#tensors .chosen').dataset.value)")
    assert eval(place, names).item() == pytest.approx(value, abs=1e-12)

    random = torch.Generator().manual_seed(0)
    layer = names["layer"]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5, generator=random)
    x = torch.randn(names["x"].shape, generator=random, dtype=torch.float64, requires_grad=True)
    cell, size = by_name(re.search(r"cell=(\w+)", state)[1]), names["h_n"].shape
    start = [torch.randn(size, generator=random, dtype=torch.float64, requires_grad=True) for _ in cell.states]
    told = {"lengths": names["lengths"]} if "lengths" in names else {}
    output, final = layer(x, start[0] if len(start) == 1 else tuple(start), **told)
    eval(place, {"output": output, "h_n": final if len(start) == 1 else final[0]}).backward()
    depends = {f"x/{n}/{t}/{i}" for t, n, i in x.grad.nonzero().tolist()}
    for k, each in enumerate(start):
        depends |= {f"s/{k}/{z}/{n}/{u}" for z, n, u in each.grad.nonzero().tolist()}
    for p, parameter in enumerate(layer.parameters()):
        depends |= {f"w/{p}/{i}" for i in parameter.grad.flatten().nonzero().flatten().tolist()}
    given = {key for key in seen if key[0] != "v"}
    assert lit & given == depends & given
    assert len(lit & given) > 10
    assert browser.complaints == []


@pytest.mark.slow
@NEEDS_BROWSER
def test_clicks_and_keys(browser):
    browser.call("Page.navigate", url="about:blank")
    browser.open(browser.address)
    where = "document.querySelector('.transport .where').innerText"
    said = "document.querySelector('[role=status]').textContent"
    chosen = "document.querySelector('#time .chosen').dataset.key"
    assert browser.see(where) == "2 of 3: layer 0, t = 1"
    assert browser.see("document.querySelectorAll('#time .blank').length") > 0
    browser.click("#next")
    assert browser.see(where) == "3 of 3: layer 0, t = 2"
    assert browser.see("document.querySelectorAll('#time .blank').length") == 0
    assert browser.see("document.querySelector('#next').disabled")
    assert "layer 0, t = 2: 3 of 3 computed. h_t[0] = " in browser.see(said)
    browser.see("document.querySelector('#back').focus()")
    browser.press("Enter")
    assert browser.see(where) == "2 of 3: layer 0, t = 1"

    key = browser.see(chosen)
    browser.see("document.querySelector('#time .chosen').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowLeft")
    assert browser.see(chosen) == key
    assert "layer 0, row 0, t = 0" in browser.see("document.querySelector('#tip:not([hidden])').innerText")
    browser.press("Enter")
    assert browser.see(chosen) == key.replace("/1/", "/0/")[:-1] + "1"
    assert re.search(r"h_t\[1\] = \S+, layer 0, row 0, t = 0\. h_t = o_t \* tanh\(c_t\)", browser.see(said))
    browser.press("Escape")
    assert browser.see("document.querySelector('#tip').hidden")

    # From a number to one that it is computed from: into the gate, whose equation has the weights and the input in it.
    browser.click("#chosen .token.inner")
    assert browser.see("document.querySelector('#chosen h2').innerText").replace("\n", "").startswith("ot[1] = ")
    pairs = browser.see(
        "[...document.querySelectorAll('#chosen .pair')].map(p =>"
        " [...p.querySelectorAll('[data-key]')].map(b => b.dataset.key))"
    )
    assert [x for _, x in pairs] == [f"x/0/0/{i}" for i in range(3)] + [f"s/0/0/0/{u}" for u in range(4)]
    assert [w for w, _ in pairs] == [f"w/0/{13 * 3 + i}" for i in range(3)] + [f"w/1/{13 * 4 + u}" for u in range(4)]

    # Another number in its place: the program has it too.
    browser.see("document.querySelector('#time [data-key=\"x/0/0/1\"]').click()")
    browser.type("#value", "0.25")
    assert "x[0, 0, 1] = 0.25" in browser.see("document.querySelector('#code').textContent")
    browser.see("document.querySelector('#inside [data-key=\"w/1/7\"]').click()")
    browser.type("#value", "-2")
    browser.see("document.querySelector('#tensors [data-key=\"s/1/0/1/2\"]').click()")
    browser.type("#value", "1.5")
    browser.see(f"{ALL}.value = {ALL}.max, {ALL}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    for view in ("call", "loop"):
        browser.see(f"document.querySelector('[name=view][value={view}]').click()")
        names = run(browser)
        assert names["x"][0, 0, 1] == 0.25
        compare(browser.see(SHOWN), names)
    browser.see("document.querySelector('#play').click()")
    assert browser.see(where) == "1 of 3: layer 0, t = 0"
    browser.wait(f"{where} === '3 of 3: layer 0, t = 2' && document.querySelector('#play').innerText === 'Play'")
    assert browser.see("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints == []


@pytest.mark.slow
@NEEDS_BROWSER
def test_it_begins_with_what_was_asked_for(browser, tmp_path):
    path = tmp_path / "begin.html"
    start = {"cell": "gru", "input_size": 2, "hidden_size": 200, "layers": 2, "batch_first": True, "lengths": [1, 3]}
    path.write_text(page(start), encoding="utf-8")
    browser.open(path.as_uri())
    program = browser.see("document.querySelector('#code').textContent")
    assert "statewise.GRU(2, 6, num_layers=2, batch_first=True, dtype=torch.float64)" in program
    assert "lengths = torch.tensor([1, 3])" in program
    assert "hidden_size 6 for 200" in browser.see("document.querySelector('.cuts').innerText")
    assert browser.complaints == []


def keeping(ops, x, r, w, state):
    h, m = state
    keep = ops.sigmoid(x.keep + r.keep + w.weight_p * m)
    new = ops.where(x.new, ops.softplus(-x.new), 0.5) ** 2 / (1 + ops.abs(r.new(keep * h)))
    return ops.maximum(keep * h, new) - ops.sqrt(ops.exp(ops.minimum(m, 1))), keep


@pytest.mark.slow
@NEEDS_BROWSER
def test_a_cell_of_ones_own(browser, tmp_path):
    """The page computes what the reference does: both from the description."""
    cell = Cell("keeping <b>", ("keep", "new"), "hm", keeping, late=("new",), vectors=(Vector("weight_p"),), biases="x")
    path = tmp_path / "own.html"
    path.write_text(page({"cell": cell, "layers": 2, "bidirectional": True}), encoding="utf-8")
    browser.open(path.as_uri())
    browser.see(f"{ALL}.value = {ALL}.max, {ALL}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    assert browser.see("document.querySelector('[name=cell]').selectedOptions[0].innerText") == "keeping <b>"
    names: dict[str, object] = {}
    code = browser.see("document.querySelector('#code').textContent")
    exec(code[: code.index("layer = ")], names)
    stack = Stack(cell, 3, 4, num_layers=2, bidirectional=True)
    shapes = [stack.weight_shape(w, k // 2) for k in range(4) for w in stack.weights]
    weights = [names["numbers"](shape, seed) for seed, shape in enumerate(shapes, 1)]
    output, h_n, m_n = reference.recurrent(names["numbers"]((3, 2, 3), 0), None, weights, stack)
    compare(browser.see(SHOWN), {"x": names["numbers"]((3, 2, 3), 0), "output": output, "h_n": h_n, "m_n": m_n})
    assert browser.complaints == []


# Somebody who clicks and types anywhere, %d being the seed; what went wrong.
ANYWHERE = """(() => {
  let seed = %d;
  const random = n => { seed = (seed * 1103515245 + 12345) %% 2147483648; return Math.floor(seed / 65536) %% n; };
  const wrong = [], did = [];
  for (let k = 0; k < 80 && !wrong.length; k++) {
    const all = [...document.querySelectorAll("main button:not(:disabled, #play, #copy), main input, main select")];
    const rare = all.filter(each => !each.matches(".tile, .token"));
    const one = random(2) ? rare[random(rare.length)] : all[random(all.length)];
    did.push(one.id || one.name || one.dataset.key || one.textContent.trim());
    if (one.tagName === "SELECT") one.selectedIndex = random(one.options.length);
    else if (one.matches("[type=number], [type=range]")) one.value = String(random(9) - 1);
    else one.click();
    for (const kind of ["input", "change", "mouseover"]) one.dispatchEvent(new Event(kind, { bubbles: true }));
    if (!document.querySelector(".chosen")) wrong.push("nothing is chosen");
    if (/NaN|undefined|null|object/.test(document.querySelector("main").innerText)) wrong.push("no number");
  }
  return wrong.length ? [...wrong, ...did.slice(-5), location.hash] : [];
})()"""


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_done_the_numbers_stay_the_programs(browser, seed):
    browser.call("Page.navigate", url="about:blank")
    browser.open(browser.address)
    assert browser.see(ANYWHERE % seed) == []
    browser.see("document.querySelector('[role=alert] button')?.click()")
    browser.see(f"{ALL}.value = {ALL}.max, {ALL}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    address = browser.see("location.hash")
    compare(browser.see(SHOWN), run(browser), turned="view=loop" in address and "batchFirst" in address)
    assert browser.complaints == []


@pytest.mark.slow
@NEEDS_BROWSER
def test_every_question_is_answered_by_what_is_shown(browser):
    browser.call("Page.navigate", url="about:blank")
    browser.open(browser.address)
    answers = []
    for k in range(browser.see("document.querySelectorAll('.chip').length")):
        browser.see(f"document.querySelectorAll('.chip')[{k}].click()")
        answers.append(browser.see("document.querySelector('.answer p').innerText"))
        assert browser.see("document.querySelector('[role=status]').textContent") == answers[-1]
        compare(browser.see(SHOWN), run(browser))
    assert len(set(answers)) == 7
    assert "= 4 * (12 + 16 + 8) = 144" in answers[3]
    assert sum(p.numel() for p in statewise.LSTM(3, 4).parameters()) == 144
    assert "A plain RNN computes one: 36; a GRU three: 108" in answers[3]
    assert browser.complaints == []


@pytest.mark.slow
@NEEDS_BROWSER
def test_rows_that_are_not_sorted_are_refused_as_torch_refuses_them(browser):
    show(browser, "ragged=true&pack=packed&enforceSorted=true&N=3&lengths=1,3,2")
    with pytest.raises(RuntimeError) as error:
        run(browser)
    assert browser.see("document.querySelector('[role=alert] code').innerText") == f"RuntimeError: {error.value}"
    browser.click("[role=alert] button")
    compare(browser.see(SHOWN), run(browser))
    packed = run(browser)["packed"]
    places = browser.see(
        "[...document.querySelectorAll('#packing .place')].map(e => [Number(e.innerText), e.dataset.key])"
    )
    x = run(browser)["x"]
    for place, key in places:
        _, n, t, _ = key.split("/")
        assert torch.equal(packed.data[place], x[int(t), int(n)])
    assert f"[{', '.join(map(str, packed.sorted_indices.tolist()))}]" in browser.see(
        "document.querySelector('#packing .note').innerText"
    )


@pytest.mark.slow
@NEEDS_BROWSER
def test_what_a_screen_reader_is_told(browser):
    show(browser, "cell=gru&bidirectional=true&ragged=true")
    nodes = [n for n in browser.call("Accessibility.getFullAXTree")["nodes"] if not n.get("ignored")]
    found = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes]
    for role in ("button", "slider", "spinbutton", "radio", "checkbox", "combobox", "figure", "navigation", "region"):
        names = [name for each, name in found if each == role]
        assert names, role
        assert all(names), role
    assert {"main", "status", "rowheader", "columnheader", "caption"} <= {role for role, _ in found}
    labels = [name for role, name in found if role == "button"]
    assert any(re.match(r"h_t\[0\], layer 0, backward, row 0, t = 0: \S+, chosen", name) for name in labels)
    # Each board is one stop of the tab key.
    boards = browser.see(
        "[...document.querySelectorAll('[data-board]')].map(b => b.querySelectorAll('.tile[tabindex=\"0\"]').length)"
    )
    assert set(boards) == {1}


# Of every element with text of its own the ratio of its luminance to its ground's, the worst of each kind.
CONTRAST = r"""(() => {
  const parts = text => text.match(/[\d.e-]+/g).map((v, k) => text.startsWith("rgb") && k < 3 ? v / 255 : Number(v));
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = parts(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
  };
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const worst = {};
  for (const element of document.querySelectorAll("main *")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.offsetParent || element.matches(":disabled, option, optgroup")) continue;
    const [low, high] = [parts(getComputedStyle(element).color), ground(element)].map(luminance).sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05), kind = `${element.tagName} ${element.className}`;
    worst[kind] = Math.min(worst[kind] ?? 99, ratio);
  }
  return worst;
})()"""


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(browser, dark):
    """4.5 to 1, as WCAG 2 asks of text of this size."""
    for state in ("bidirectional=true&ragged=true&T=4", "cell=slstm&view=loop"):
        show(browser, state, dark=dark)
        for click in (".chip:nth-child(5)", "#tensors .input", "#chosen .token"):
            browser.see(f"document.querySelector('{click}')?.click()")
            found = browser.see(CONTRAST)
            assert len(found) > 20
            assert {kind: ratio for kind, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (736, False), (390, False)])
def test_how_it_looks(browser, tmp_path, width, dark):
    for state in ("", "cell=lstm&L=3&bidirectional=true&T=6&N=4&I=6&H=6&ragged=true&lengths=6,5,4,3"):
        show(browser, state, width=width, height=900, dark=dark)
        assert browser.see("document.documentElement.scrollWidth") <= width
    show(browser, "", width=width, height=900, dark=dark)
    browser.picture(tmp_path / "shown.png")
    pixels = imread(tmp_path / "shown.png")[..., :3]
    assert pixels.shape[:2] == (900, width)
    assert (pixels[2, 2].mean() < 0.3) == dark  # the ground
    marked = np.array([0xFF, 0x86, 0x60] if dark else [0xC8, 0x43, 0x1B]) / 255
    assert (np.abs(pixels - marked).max(-1) < 0.02).sum() > 50


@pytest.mark.slow
@NEEDS_BROWSER
def test_the_window_on_the_front_page(browser, tmp_path):
    """It is as high as what is in it, and dark where the page around it is."""
    front = (Path(__file__).parents[2] / "docs" / "index.md").read_text()
    window = re.search(r"```\{raw\} html\n(.*?)```", front, flags=re.DOTALL)[1]
    (tmp_path / "explorer.html").write_text(page(), encoding="utf-8")
    (tmp_path / "index.html").write_text(f"<!doctype html><body data-theme=light>{window}</body>", encoding="utf-8")
    browser.open((tmp_path / "index.html").as_uri(), width=800)
    height = "document.querySelector('iframe').offsetHeight"
    browser.wait(f"{height} > 1500")
    # It asks the page around it to scroll: a click on the first question, and on what shows its answer.
    browser.click("iframe")  # in its middle: brings it into view
    browser.see("scrollTo(0, 0)")
    for x, y in ((60, 15), (80, 225)):
        top = browser.see("document.querySelector('iframe').getBoundingClientRect().top")
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=top + y, button="left", clickCount=1)
    browser.wait("scrollY > 500")
    browser.see("scrollTo(0, 0)")
    for dark in (True, False):
        browser.see(f"document.body.dataset.theme = '{'dark' if dark else 'light'}'")
        for _ in range(50):
            browser.picture(tmp_path / "shown.png")
            right = imread(tmp_path / "shown.png")[20, 780, :3]  # between the questions and the edge
            if (right.mean() < 0.5) == dark:
                break
        assert (right.mean() < 0.5) == dark
    assert browser.complaints == []
