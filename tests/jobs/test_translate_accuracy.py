"""How good a translator becomes on the built-in dates, as ``statewise translate`` splits them."""

from __future__ import annotations

import pytest

from statewise.jobs import Translator
from statewise.jobs.tasks.translate.pairs import dates


@pytest.mark.slow
def test_dates_are_written_right():
    train, test = dates().split(0.1, 0)
    assert test is not None
    translator = Translator(epochs=8).fit(train.sources, train.targets)
    assert translator.score(test.sources, test.targets) > 0.9
