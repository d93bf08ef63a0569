"""Run folders: they appear with their configuration, are complete or can be resumed, or are not there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from statewise.jobs import InputError
from statewise.jobs.artifacts.runs import config_of, run_folder
from statewise.jobs.errors import Interrupted


def new_run(job, name, out, config=None):
    return run_folder(job, name, out, config or {}, resume=None)


def resumed_run(job, folder):
    return run_folder(job, "x", None, {}, folder)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def finish(folder: Path) -> None:
    (folder / "metrics.json").write_text("{}")


def break_off(out: Path | None, error: BaseException, *files: str, config=None) -> None:
    """A run that has made ``files`` when it ends with ``error``."""
    with new_run("forecast", "x", out, config or {}) as folder:
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("")
        raise error


def test_the_next_free_folder():
    names = []
    for _ in range(3):
        with new_run("forecast", "my data.csv", None) as folder:
            finish(folder)
        names.append(str(folder))
    assert names == [f"runs/forecast-my-data.csv-{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(("name", "plain"), [("../../x", "x"), ("", "data"), ("é/ß", "data"), ("-a b-", "a-b")])
def test_any_name_makes_a_plain_folder(name, plain):
    with new_run("forecast", name, None) as folder:
        finish(folder)
    assert folder.name == f"forecast-{plain}-1"


def test_the_configuration_is_kept_for_resume(tmp_path):
    with new_run("forecast", "x", Path("a/b"), {"file": "x.csv", "epochs": 3}) as folder:
        assert config_of("forecast", folder) == ({"file": "x.csv", "epochs": 3}, tmp_path)


def test_a_run_that_fails_leaves_nothing():
    with pytest.raises(InputError, match="bad"):
        break_off(None, InputError("bad"), "report.html", "tensorboard/events")
    assert list(Path().iterdir()) == []


def test_what_was_there_before_stays():
    Path("mine").mkdir()
    Path("a").mkdir()
    for out in ("mine", "a/b/c"):
        with pytest.raises(ZeroDivisionError), new_run("forecast", "x", Path(out), {}):
            raise ZeroDivisionError
    assert sorted(str(path) for path in Path().rglob("*")) == ["a", "mine"]


def test_other_runs_stay():
    with new_run("forecast", "x", None) as folder:
        finish(folder)
    with pytest.raises(KeyboardInterrupt), new_run("forecast", "x", None):
        raise KeyboardInterrupt
    assert [path.name for path in Path("runs").iterdir()] == ["forecast-x-1"]


def test_with_a_checkpoint_it_can_be_resumed():
    folder = Path("my run")
    with pytest.raises(Interrupted) as error:
        break_off(folder, KeyboardInterrupt(), "a.checkpoint", config={"epochs": 3})
    assert str(error.value) == "go on with: statewise forecast --resume 'my run'"
    assert config_of("forecast", folder)[0] == {"epochs": 3}
    (folder / ".a.checkpoint.77.part").write_text("half of it")  # a kill -9 meanwhile
    with resumed_run("forecast", folder) as again:
        assert again == folder
        assert [path.name for path in folder.glob(".*")] == []
        finish(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "metrics.json"]


def test_a_resumed_run_that_fails_stays():
    with pytest.raises(Interrupted):
        break_off(Path("a"), KeyboardInterrupt(), "a.checkpoint")
    Path("a/a.checkpoint").unlink()
    with pytest.raises(InputError), resumed_run("forecast", Path("a")):
        raise InputError("the data changed")
    assert config_of("forecast", Path("a"))[0] == {}


def test_a_complete_run_is_not_resumed():
    with new_run("forecast", "x", Path("a"), {}) as folder:
        finish(folder)
    with pytest.raises(InputError, match="--resume a: the run is complete"):
        config_of("forecast", folder)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"job": "forecast"}', '{"job": "forecast", "config": {}}'])
def test_what_is_no_run_is_refused(content):
    Path("a").mkdir()
    if content is not None:
        Path("a/config.json").write_text(content)
    with pytest.raises(InputError, match=r"--resume a: not a run folder: no config\.json that can be read"):
        config_of("forecast", Path("a"))


def test_the_run_of_another_job_is_refused():
    Path("config.json").write_text(json.dumps({"job": "classify", "config": {}, "folder": "/"}))
    with pytest.raises(InputError, match="is a run of statewise classify, not of statewise forecast"):
        config_of("forecast", Path())


def test_a_folder_that_is_not_empty_is_refused():
    Path("a").mkdir()
    Path("a/file").write_text("mine")
    with pytest.raises(InputError, match="--out a: the folder is not empty"), new_run("forecast", "x", Path("a")):
        pass
    with pytest.raises(InputError, match="--out a/file: is a file"), new_run("forecast", "x", Path("a/file")):
        pass
    assert Path("a/file").read_text() == "mine"


def test_a_place_that_cannot_be_written_to():
    Path("runs").write_text("a file")
    with pytest.raises(InputError, match="can't write to runs"), new_run("forecast", "x", None):
        pass
    with pytest.raises(InputError, match="can't write to runs/a/b"), new_run("forecast", "x", Path("runs/a/b")):
        pass


def test_a_full_disk_is_one_line_and_a_defect_is_not():
    with pytest.raises(InputError, match="can't write to a: No space left on device"), new_run("f", "x", Path("a")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), new_run("f", "x", Path("a")):
        open("elsewhere")  # noqa: SIM115
    with pytest.raises(InputError, match="can't write to a: Permission denied"), new_run("f", "x", Path("a")):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a/report.html")
    with pytest.raises(BrokenPipeError), new_run("f", "x", Path("a")):
        raise BrokenPipeError


def test_other_processes_have_a_folder_that_vanishes(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with new_run("forecast", "x", Path("a")) as folder:
        assert folder.is_dir()
        assert folder != Path("a")
    assert not folder.exists()
    assert not Path("a").exists()
