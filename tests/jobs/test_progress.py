"""The progress bar: on a terminal, gone afterwards; elsewhere nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing

import pytest

from statewise.jobs.training.progress import Bar

CODE = """
import time
from contextlib import closing
from statewise.jobs.training.progress import Bar
with closing(Bar("working")) as progress:
    progress.plan(3)
    progress.plan(2)
    for _ in range(5):
        time.sleep(0.15)
        progress.tick()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
def test_a_bar_on_a_terminal():
    ours, theirs = os.openpty()  # its width is 0, as that of many a container's terminal
    subprocess.run([sys.executable, "-c", CODE], stderr=theirs, check=True)
    shown = os.read(ours, 100_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "working" in shown
    assert "/5" in shown
    assert "updates/s" in shown
    assert shown.rsplit("\r", 2)[-2].strip() == ""  # wiped at the end


def test_nothing_elsewhere(capsys):
    with closing(Bar("working")) as progress:
        progress.plan(3)
        for _ in range(3):
            progress.tick()
    assert capsys.readouterr() == ("", "")
