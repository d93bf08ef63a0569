"""Those who look on: the log, several at once, names."""

from __future__ import annotations

import argparse
import json
import time

import pytest

from statewise.jobs.report import LiveReport, Page
from statewise.jobs.training.callbacks import Callback, CallbackList, Log, Pace
from statewise.jobs.training.trackers import default_callbacks


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
        callback = CallbackList([log], name)
        callback.begin([])
        callback.record(record(1))
        callback.record(record(2))
    log = Log(path)
    for name, kept in (("a", [record(1), record(2)]), ("b", [record(1)]), ("c", [])):
        callback = CallbackList([log], name)
        callback.begin(kept)
        callback.record(record(3))
    expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 3), ("c", 3)]
    assert [(r["fit"], r["update"]) for r in read(path)] == expected


class Everything(Callback):
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


def use(callback):
    callback.begin([record(1)])
    callback.plan(3)
    callback.tick()
    callback.record(record(2))


def test_all_of_several_are_told():
    one, two = Everything(), Everything()
    several = CallbackList([one, two])
    use(several)
    several.close()
    expected = [("begin", [record(1)], None), ("plan", 3), "tick", ("record", record(2)), "close"]
    assert one.calls == two.calls == expected


def test_a_name_is_passed_on_with_every_record():
    callback = Everything()
    use(CallbackList([callback], "lstm"))
    named = [record(1, fit="lstm"), record(2, fit="lstm")]
    assert callback.calls == [("begin", named[:1], "lstm"), ("plan", 3), "tick", ("record", named[1])]


ARGUMENTS = argparse.Namespace(tensorboard=False, trackio=False, visdom=None)


def page(history):
    return Page("x", f"{len(history)} points", running=True)


def test_a_command_has_log_and_report(tmp_path, capsys):
    with default_callbacks("training", tmp_path, page, ARGUMENTS) as callback:
        use(callback)
        report = next(w for w in callback.callbacks if isinstance(w, LiveReport))
        report.pace.next = time.monotonic()
        callback.record(record(3))
    assert [r["update"] for r in read(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert "3 points" in (tmp_path / "report.html").read_text()
    assert capsys.readouterr() == ("", "")


def test_all_are_closed_when_training_fails(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Log, "close", lambda self: closed.append(True))
    with pytest.raises(ZeroDivisionError), default_callbacks("training", tmp_path, page, ARGUMENTS):
        raise ZeroDivisionError
    assert closed == [True]


def fail_after_drawing(folder):
    with default_callbacks("training", folder, page, ARGUMENTS) as callback:
        next(w for w in callback.callbacks if isinstance(w, LiveReport)).pace.next = time.monotonic()
        callback.record(record(1))
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
    with default_callbacks("training", tmp_path, page, ARGUMENTS) as callback:
        use(callback)
    assert list(tmp_path.iterdir()) == []


def test_what_takes_long_is_done_less_often(monkeypatch):
    now, used = 100.0, 7.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: used)
    pace, always = Pace(3.0), Pace(0.0)
    assert not pace.due()
    assert always.due()
    now = 103.0
    assert pace.due()
    for took, wait in ((0.01, 3.0), (0.5, 25.0)):
        with pace.spent(), always.spent():
            now += took
        assert pace.next == pytest.approx(now + wait)
        assert always.due()
    with pace.spent(), always.spent():  # so short that nobody else came in between, as in the training they do
        used += 0.1
    now += 100
    assert not pace.due()
    assert always.due()
    used += 5.1
    assert pace.due()
