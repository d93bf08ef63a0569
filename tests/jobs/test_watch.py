"""Those who look on: the log, several at once, names."""

from __future__ import annotations

import argparse
import json
import time

import pytest

from statewise.jobs.report import Page
from statewise.jobs.report.live import LiveReport
from statewise.jobs.training.callbacks import Log, Named, Several, Watch
from statewise.jobs.training.onlookers import onlookers


def record(update, **more):
    return {"epoch": 1, "update": update, "seconds": 0.5, "loss": 1.0 / update, "learning_rate": 0.1, **more}


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_every_record(tmp_path):
    log = Log(tmp_path / "m.jsonl")
    log.begin([])
    log.record(record(1))
    log.record(record(2, validation={"mse": 0.5}))
    assert read(tmp_path / "m.jsonl") == [record(1), record(2, validation={"mse": 0.5})]


def test_what_was_logged_after_the_checkpoint_is_logged_again(tmp_path):
    path = tmp_path / "m.jsonl"
    log = Log(path)
    log.begin([])
    for update in (1, 2, 3):
        log.record(record(update))
    with path.open("a") as file:
        file.write('{"epoch": 1, "upda')  # cut short by a kill
    again = Log(path)
    again.begin([record(1)])
    again.record(record(2))
    assert read(path) == [record(1), record(2)]


def test_several_networks_keep_their_order_over_a_resume(tmp_path):
    path = tmp_path / "m.jsonl"
    log = Log(path)
    for name in ("a", "b"):
        watch = Named(log, name)
        watch.begin([])
        watch.record(record(1))
        watch.record(record(2))
    log = Log(path)
    for name, kept in (("a", [record(1), record(2)]), ("b", [record(1)]), ("c", [])):
        watch = Named(log, name)
        watch.begin(kept)
        watch.record(record(3))
    expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 3), ("c", 3)]
    assert [(r["fit"], r["update"]) for r in read(path)] == expected


class Everything(Watch):
    def __init__(self):
        self.calls = []

    def plan(self, updates):
        self.calls.append(("plan", updates))

    def tick(self):
        self.calls.append("tick")

    def begin(self, history, fit=None):
        self.calls.append(("begin", list(history), fit))

    def record(self, record):
        self.calls.append(("record", record))

    def close(self):
        self.calls.append("close")


def use(watch):
    watch.begin([record(1)])
    watch.plan(3)
    watch.tick()
    watch.record(record(2))


def test_all_of_several_are_told():
    one, two = Everything(), Everything()
    several = Several([one, two])
    use(several)
    several.close()
    expected = [("begin", [record(1)], None), ("plan", 3), "tick", ("record", record(2)), "close"]
    assert one.calls == two.calls == expected


def test_a_name_is_passed_on_with_every_record():
    watch = Everything()
    use(Named(watch, "lstm"))
    named = [record(1, fit="lstm"), record(2, fit="lstm")]
    assert watch.calls == [("begin", named[:1], "lstm"), ("plan", 3), "tick", ("record", named[1])]


ARGUMENTS = argparse.Namespace(tensorboard=False, visdom=None)


def page(history):
    return Page("x", f"{len(history)} points", running=True)


def test_a_command_has_log_and_report(tmp_path, capsys):
    with onlookers("training", tmp_path, page, ARGUMENTS) as watch:
        use(watch)
        report = next(w for w in watch.watches if isinstance(w, LiveReport))
        report.next = time.monotonic()
        watch.record(record(3))
    assert [r["update"] for r in read(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert "3 points" in (tmp_path / "report.html").read_text()
    assert capsys.readouterr() == ("", "")


def test_all_are_closed_when_training_fails(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Log, "close", lambda self: closed.append(True))
    with pytest.raises(ZeroDivisionError), onlookers("training", tmp_path, page, ARGUMENTS):
        raise ZeroDivisionError
    assert closed == [True]


def fail_after_drawing(folder):
    with onlookers("training", folder, page, ARGUMENTS) as watch:
        next(w for w in watch.watches if isinstance(w, LiveReport)).next = time.monotonic()
        watch.record(record(1))
        assert "renews itself" in (folder / "report.html").read_text()
        raise KeyboardInterrupt


def test_the_report_of_a_broken_off_training_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_after_drawing(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "Training was broken off here." in text
    assert "renews itself" not in text
    assert "1 points" in text


def test_of_several_processes_only_the_first_looks_on(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with onlookers("training", tmp_path, page, ARGUMENTS) as watch:
        use(watch)
    assert list(tmp_path.iterdir()) == []
