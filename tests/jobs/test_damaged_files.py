"""Files that are damaged, forged or far too large: each is refused in one line, in little time and memory.

``make fuzz`` looks for more of them; what it finds comes here.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from statewise import cli
from statewise.jobs import Classifier, Forecaster, Tagger, Translator, Writer
from statewise.jobs.data import parquet
from statewise.jobs.errors import InputError
from statewise.jobs.tasks.classify.config import Layout
from statewise.jobs.tasks.classify.formats import read as read_sequences
from statewise.jobs.training.callbacks import Log
from statewise.jobs.training.checkpoint import Checkpoint
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.fit import fit
from toy import Toy

VALUES = np.sin(np.arange(60.0))


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The file of a trained model of every kind."""
    folder = tmp_path_factory.mktemp("models")
    trained = {
        "forecast": Forecaster(model="lstm", horizon=3, units=3, ensemble=2, epochs=1).fit(VALUES),
        "direct": Forecaster(model="seq2seq", horizon=3, lookback=6, units=3, epochs=1).fit(VALUES),
        "classify": Classifier(units=2, epochs=1).fit([VALUES[:5], VALUES[:6]] * 3, ["a", "b"] * 3),
        "write": Writer(units=4, layers=1, epochs=1).fit("it was, it is\n" * 20),
        "tag": Tagger(units=2, word_size=2, character_units=2, epochs=1).fit([["it", "was"]] * 4, [["A", "B"]] * 4),
        "translate": Translator(units=2, embedding=2, epochs=1).fit(["it", "was"], ["a", "b"]),
        "pieces": Translator(units=2, embedding=2, epochs=1, level="subword").fit(["it", "it was"], ["a", "a b"]),
    }
    for name, model in trained.items():
        model.save(folder / name)
    return folder


CLASSES = {"forecast": Forecaster, "direct": Forecaster, "classify": Classifier, "write": Writer, "tag": Tagger}
CLASSES |= {"translate": Translator, "pieces": Translator}


def changed(models, kind, change):
    """The file of a model with another header or other tensors."""
    with safe_open(models / kind, "pt") as opened:
        header = json.loads(opened.metadata()["statewise"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(header["content"], tensors)
    save_file({n: t.contiguous() for n, t in tensors.items()}, "model", metadata={"statewise": json.dumps(header)})
    return Path("model")


def put(*path, to):
    """A change of a header: the entry at ``path`` becomes ``to``."""

    def change(content, tensors):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


def tensor(name, make):
    """A change of a tensor."""

    def change(content, tensors):
        tensors[name] = make(tensors[name])

    return change


def with_nan(t):
    t = t.clone()
    t.view(-1)[0] = float("nan")
    return t


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("forecast", put("config", "layers", to=2**31)),
        ("forecast", put("config", "ensemble", to=0)),
        ("forecast", put("config", "ensemble", to=10**12)),
        ("forecast", put("config", "horizon", to=10**9)),
        ("forecast", put("config", "cycles", to=[0])),
        ("forecast", put("config", "cycles", to=3)),
        ("forecast", put("config", "quantiles", to=[0.9, 0.5])),
        ("forecast", put("config", "quantiles", to=["a"])),
        ("forecast", put("config", "dropout", to=float("nan"))),
        ("forecast", put("config", "log", to="yes")),
        ("forecast", put("grid", "size", to=0)),
        ("forecast", put("grid", "unit", to="fortnight")),
        ("forecast", put("grid", to={"unit": "month", "size": 1, "offset": 10**9, "into": 0, "precision": "D"})),
        ("forecast", put("learner", "lags", to=[10**7])),
        ("forecast", put("learner", "lags", to=[])),
        ("forecast", put("learner", "differences", "season", to=0)),
        ("forecast", put("learner", "flags", to=True)),
        ("forecast", put("config", "gaps", to="what")),
        ("forecast", put("names", to=[])),
        ("forecast", put("first", to=[2**62])),
        ("forecast", put("dimensions", to=7)),
        ("forecast", tensor("unit", lambda t: t * 0)),
        ("forecast", tensor("scaling.spread", lambda t: t.float())),
        ("forecast", tensor("ranks", lambda t: t[:0])),
        ("forecast", tensor("network.0.head.weight", with_nan)),
        ("direct", put("config", "lookback", to=10**9)),
        ("direct", put("learner", "season", to=-1)),
        ("direct", put("learner", "season", to=10**9)),
        ("direct", put("learner", "channels", to=10**9)),
        ("classify", put("config", "layers", to=2**31)),
        ("classify", put("channels", to=[1])),
        ("classify", put("classes", to=["a", "a"])),
        ("classify", put("classes", to=["a", float("nan")])),
        ("classify", put("notes", "dtype", to="<U99999999999")),
        ("classify", tensor("network.output.weight", lambda t: t.reshape(-1))),
        ("classify", tensor("network.recurrent.weight_ih_l0", lambda t: t.reshape(-1))),
        ("classify", tensor("network.output.bias", with_nan)),
        ("classify", tensor("scaler.scale", lambda t: t * 0)),
        ("write", put("config", "layers", to=2**31)),
        ("write", put("config", "units", to=2**40)),
        ("write", put("longest", to=2**60)),
        ("write", put("symbols", to=["\ud800", "b"])),
        ("write", tensor("output.weight", with_nan)),
        ("write", tensor("output.weight", lambda t: t.half())),
        ("tag", put("config", "layers", to=2**31)),
        ("tag", put("config", "word_size", to=2**40)),
        ("tag", put("vocabulary", "tags", to=[""])),
        ("tag", put("vocabulary", "words", to=["it", "it"])),
        ("tag", put("notes", to=4)),
        ("tag", tensor("output.bias", with_nan)),
        ("translate", put("config", "layers", to=2**31)),
        ("translate", put("config", "units", to=2**40)),
        ("translate", put("config", "beam", to=2**40)),
        ("translate", put("config", "length_penalty", to=1e9)),
        ("translate", put("config", "level", to="line")),
        ("translate", put("longest", to=10**9)),
        ("translate", put("longest", to=True)),
        ("translate", put("source", "symbols", to=["<end>", "<unk>", "a", "a"])),
        ("translate", put("target", "symbols", to=["a", "b", "c", "d"])),
        ("translate", put("target", "level", to=["char"])),
        ("translate", put("target", to=3)),
        ("translate", tensor("written.weight", with_nan)),
        ("translate", tensor("written.weight", lambda t: t[:3])),
        ("translate", tensor("decoder.0.weight_ih_l0", lambda t: t.reshape(-1))),
        ("pieces", put("source", "merges", to=["xq zz"])),
        ("pieces", put("source", "merges", to=["i"])),
        ("pieces", put("source", "merges", to=[3])),
        ("pieces", put("source", "symbols", to=["<end>", "<unk>"])),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_before_anything_of_its_sizes_is_made(kind, change, models):
    path = changed(models, kind, change)
    with pytest.raises(InputError) as caught:
        CLASSES[kind].load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_whole_still_loads_and_forecasts(models):
    path = changed(models, "forecast", lambda content, tensors: (content.pop("dimensions"), tensors.pop("ranks")))
    assert Forecaster.load(path).predict_quantiles(h=7).shape == (
        7,
        3,
    )  # a file of before there were these


def far_too_large(content, tensors):
    """Every layer saturates, and of the outputs one or the other overflows."""
    if "share" in content:
        content["share"] = 1.0  # of the networks
    for name, weights in tensors.items():
        if name.rpartition(".")[0].rpartition(".")[2] in ("output", "head"):
            signs = 1 - 2 * (torch.arange(weights.numel()) // (weights.numel() // len(weights)) % 2)
            tensors[name] = (signs * 3e38).reshape(weights.shape).float()
            if name.endswith("bias"):
                tensors[name] = weights * 0 + 3e38
        elif weights.is_floating_point() and name.startswith(
            ("network.", "recurrent.", "embedding.", "words.", "written.")
        ):
            tensors[name] = weights.sign() * 3e38
    if "scaling.spread" in tensors:
        tensors["scaling.spread"] = tensors["scaling.spread"] * 0 + 1e300


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("classify", lambda model: model.predict([VALUES[:5]])),
        ("write", lambda model: model.sample(1)),
        ("write", lambda model: model.complete("it")),
        ("write", lambda model: model.perplexity("it was\n")),
        ("tag", lambda model: model.predict([["it", "was", "so", "It"] * 3])),
        ("translate", lambda model: model.predict(["it", "was"])),
        ("forecast", lambda model: model.predict()),
        ("direct", lambda model: model.predict()),
    ],
)
def test_weights_so_large_that_nothing_comes_out(kind, use, models):
    model = CLASSES[kind].load(changed(models, kind, far_too_large))
    with pytest.raises(InputError, match="not finite"):
        use(model)


def test_a_command_says_what_is_wrong_with_the_weights(models, capsys):
    path = changed(models, "write", tensor("output.bias", with_nan))
    for command in (["write", "sample", str(path)], ["write", "complete", str(path), "it"]):
        assert cli.main(command) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "output.bias has numbers that are not finite" in err


class Stopped(Exception):  # noqa: N818
    """The training ends here."""


class Stopping(Checkpoint):
    """Ends the training with the third update."""

    def save(self, task, recipe, optimizer, average, position, best):
        super().save(task, recipe, optimizer, average, position, best)
        if position.update == 3:
            raise Stopped


@pytest.mark.parametrize(
    "change",
    [
        put("position", to=3),
        put("position", "batch", to=10**9),
        put("position", "epoch", to=-1),
        put("position", "update", to=1.5),
        put("position", "lost", to="much"),
        put("position", "history", to=[{}]),
        put("position", "history", to=[{"epoch": 0, "update": 1, "seconds": 0.0, "loss": float("nan")}]),
        put("position", "another", to=1),
        put("task", to=None),
        put("configuration", "another", to=None),
        lambda content, tensors: content.pop("position"),
        lambda content, tensors: tensors.pop("random.cpu"),
        lambda content, tensors: tensors.pop(next(n for n in tensors if n.startswith("model."))),
        lambda content, tensors: tensors.pop(next(n for n in tensors if n.startswith("optimizer."))),
        lambda content, tensors: tensors.update({"optimizer.x.step": torch.zeros(())}),
        lambda content, tensors: tensors.update({n: t.double() for n, t in tensors.items() if n.startswith("model.")}),
        lambda content, tensors: tensors.update(
            {n: t[None] for n, t in tensors.items() if n.startswith("optimizer.0")}
        ),
        tensor("random.cpu", lambda t: t[:-1]),
        tensor("random.cpu", lambda t: t.float()),
    ],
)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_damaged_checkpoint_is_refused(optimizer, change, tmp_path):
    recipe = TrainingConfig(epochs=3, batch=4, optimizer=optimizer)
    path = tmp_path / "toy"
    with pytest.raises(Stopped):
        fit(Toy(), recipe, checkpoint=Stopping(path, 0.0))
    changed(tmp_path, "toy", change).replace(path)
    with pytest.raises(InputError) as caught:
        fit(Toy(), recipe, checkpoint=Checkpoint(path, 0.0))
    assert "\n" not in str(caught.value)


def test_a_log_with_a_broken_line_is_refused():
    for content in ("{}\n", "[\n", '{"loss": 1}\n', "nothing\n"):
        Path("metrics.jsonl").write_text(content)
        with pytest.raises(InputError, match=r"metrics\.jsonl: damaged"):
            Log(Path("metrics.jsonl"))


# Tables and other data


def forecast(content, *options, name="data.csv"):
    Path(name).write_bytes(content)
    quick = ["--ensemble", "1", "--epochs", "1", "--horizon", "2", "--season", "1"]
    return cli.main(["forecast", name, *quick, *options])


TABLE = "day,sales\n" + "".join(f"2020-01-{day:02},{day % 3 + day}\n" for day in range(1, 32))


@pytest.mark.parametrize("content", [TABLE.replace("\n", "\r"), "\ufeff" + TABLE.replace("\n", "\r")])
def test_lines_may_end_as_on_old_machines(content):
    assert forecast(content.encode()) == 0


def refused(capsys, code):
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "the file is empty"),
        (b'"' + b"x" * 200_000 + b'",y\n1,2\n', "not a regular CSV table"),
        (b"day,sales\r2020-01-01,1\r\n2020-01-02,x\r3,4\n", "data.csv"),
    ],
)
def test_tables_that_are_none(content, said, capsys):
    assert said in refused(capsys, forecast(content))


def test_a_parquet_file_that_makes_polars_panic_is_refused_in_one_line():
    frame = pl.DataFrame({"day": [f"2020-01-{n:02}" for n in range(1, 29)], "sales": np.arange(28.0)})
    frame.write_parquet("whole.parquet")
    whole = Path("whole.parquet").read_bytes()
    code = (
        "import sys; from pathlib import Path; from statewise.jobs.data.tables import read_table\n"
        "from statewise.jobs.errors import InputError\n"
        "whole = Path('whole.parquet').read_bytes()\n"
        "for at in range(4, len(whole), 23):\n"
        "    Path('x').write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1:])\n"
        "    try:\n        read_table('x')\n    except InputError as error:\n        print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert found.stdout.count("\n") > len(whole) // 230
    assert all(line.startswith("x: ") for line in found.stdout.splitlines())


@pytest.mark.parametrize("compression", ["zstd", "snappy", "uncompressed"])
def test_what_a_parquet_file_says_of_sizes_is_read(compression):
    """Of files with dictionaries, several groups of rows, lists and nothing; by polars and by pyarrow."""
    frame = pl.DataFrame({"n": np.arange(3000.0), "word": ["a", "b", None] * 1000, "list": [[1, 2, 3]] * 3000})
    frame.write_parquet("polars.parquet", compression=compression, row_group_size=700)
    arrow = pytest.importorskip("pyarrow.parquet")
    for version in ("1.0", "2.0"):
        arrow.write_table(frame.to_arrow(), f"arrow{version}.parquet", data_page_version=version, row_group_size=900)
    for name in ("polars.parquet", "arrow1.0.parquet", "arrow2.0.parquet"):
        found = parquet.sizes(Path(name).read_bytes())
        assert found.values == 15_000
        assert found.unpacked > 24_000
    frame[:0].write_parquet("none.parquet")
    assert parquet.sizes(Path("none.parquet").read_bytes()).values == 0


@pytest.mark.slow
def test_a_parquet_page_of_impossible_size_does_not_end_the_process():
    """polars 1.x aborts where a page says that it has -1 values, or 2^31: here every byte of its header is damaged."""
    pl.DataFrame({"sales": np.arange(28.0)}).write_parquet("whole.parquet")
    code = (
        "import sys; from pathlib import Path; from statewise.jobs.data.tables import read_table\n"
        "from statewise.jobs.errors import InputError\n"
        "whole = Path('whole.parquet').read_bytes()\n"
        "for at in range(4, 60):\n"
        "  for byte in (0, 1, 127, 255):\n"
        "    Path('x').write_bytes(whole[:at] + bytes([byte]) + whole[at + 1:])\n"
        "    try:\n        read_table('x')\n    except InputError as error:\n        print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.count("a page of impossible size") > 3


@pytest.mark.parametrize(
    "far", [pl.Series([10**7], dtype=pl.Int32).cast(pl.Date), pl.Series([2**62]).cast(pl.Datetime)]
)
def test_dates_that_python_has_no_room_for(far):
    frame = pl.DataFrame({"day": pl.concat([far] * 30), "sales": VALUES[:30]})
    with pytest.raises(InputError, match="column 'day': expected times in the years 1 to 9999"):
        Forecaster(horizon=2).fit(frame)


HEADER = "@problemName x\n@univariate true\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize("gaps", ["refuse", "carry"])
@pytest.mark.parametrize("cell", ["0?5", "na n", "?1", "nano"])
def test_a_cell_that_has_a_question_mark_in_it_is_no_number(cell, gaps):
    Path("x.ts").write_text(f"{HEADER}1,{cell},3:a\n1,2,3:b\n")
    with pytest.raises(InputError, match=r"line 5, channel 1, step 2: expected a number, got"):
        read_sequences("x.ts", Layout(gaps=gaps))


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def archive(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive({f"member{n}.csv": "a" for n in range(322)}), "a zip archive of 322 files, such as 'member0.csv'"),
        (archive({"X.npy": b"nothing", "y.npy": b"\x93NUMPY"}), "cut short or damaged"),
        (npz(X=np.zeros((2, 3)), y=np.array([b"\xff", b"a"])), "the labels are no text"),
        (npz(**{f"a{n}": np.zeros(1) for n in range(50)}), "a11 and 38 more"),
        (npz(X=np.zeros((2, 3)))[:-30], "cut short or damaged"),
    ],
)
def test_archives_that_are_none(content, said):
    Path("x.npz").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_sequences("x.npz")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_labels_of_numbers_that_are_no_characters():
    labels = np.array(["a", "b"]).view(np.uint32)
    labels[1] = 0x110000
    Path("x.npz").write_bytes(npz(X=np.zeros((2, 3)), y=labels.view("<U1")))
    with pytest.raises(InputError, match="the labels are no text"):
        read_sequences("x.npz")


# Files that hold far more than they are large

BOMB = gzip.compress(b"sales\n" + b"1\n" * 50_000_000, 1)  # 100 MB


@pytest.mark.parametrize("job", ["forecast", "classify", "write", "tag"])
def test_what_is_packed_is_unpacked_up_to_a_limit(job, capsys):
    Path("x.gz").write_bytes(BOMB)
    assert "holds more than 0.05 GB unpacked; a larger --unpack GB" in refused(
        capsys, cli.main([job, "x.gz", "--unpack", "0.05"])
    )
    assert not Path("runs").exists()


def test_the_limit_can_be_raised_and_ends_with_the_command(capsys):
    Path("x.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    command = ["forecast", "x.csv.gz", "--ensemble", "1", "--epochs", "1", "--horizon", "2", "--season", "1"]
    assert "holds more than 1e-07 GB" in refused(capsys, cli.main([*command, "--unpack", "1e-7"]))
    assert cli.main([*command, "--unpack", "1e-6"]) == 0
    assert cli.main([*command, "--out", "again"]) == 0


def test_numbers_and_tables_that_are_packed_have_it_too(capsys):
    Path("x.npz").write_bytes(npz(X=np.zeros((100, 100)), y=np.arange(100)))
    assert "unpacked" in refused(capsys, cli.main(["classify", "x.npz", "--unpack", "1e-5"]))
    pl.DataFrame({"sales": np.zeros(100_000)}).write_parquet("x.parquet")
    assert Path("x.parquet").stat().st_size < 10_000
    assert "in 100000 cells" in refused(capsys, cli.main(["forecast", "x.parquet", "--unpack", "1e-4"]))


def test_a_lookback_beyond_the_data_takes_no_memory(capsys):
    said = refused(capsys, forecast(TABLE.encode(), "--model", "seq2seq", "--lookback", "1000000000"))
    assert "--lookback 1000000000: there are no more than 22 rows before the test part" in said


def test_a_label_that_is_a_text_is_not_taken_for_a_class(capsys):
    rows = [f"{n},{step},{n + step},{'ab'[n % 2] * 300}" for n in range(6) for step in range(3)]
    Path("x.csv").write_text("\n".join(["id,t,v,label", *rows]) + "\n")
    said = refused(capsys, cli.main(["classify", "x.csv"]))
    assert "a label of 300 characters" in said
    assert len(said) < 250


@pytest.mark.slow
def test_the_driver_finds_what_is_wrong(tmp_path):
    """A few mutants end well; and a reader that lets an error through is told on."""
    root = Path(__file__).parents[2]
    kinds = ("csv", "ts", "zip", "classify", "networks", "onnx")
    command = [sys.executable, str(root / "tools" / "fuzz.py"), "--mutants", "40", *kinds]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count(" 0 findings") == len(kinds)
    broken = "from statewise.jobs.tasks.classify.formats import ts\nts._header = lambda *_: {}[1]\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [*command[:2], "--mutants", "5", "ts"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert found.returncode == 1
    assert "KeyError at " in found.stdout
    assert list((tmp_path / "build" / "fuzz").iterdir())
