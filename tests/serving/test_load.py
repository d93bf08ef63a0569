"""A load on a server that is killed halfway: every answer is right."""

from __future__ import annotations

import re

import pytest

import load


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_anothers(capsys, net_file):
    status = load.main(["--model", str(net_file), "--streams", "60", "--seconds", "20", "--rate", "5"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert int(re.search(r"answered\s+([\d,]+)", said)[1].replace(",", "")) > 600
    assert "60 streams went on" in said
