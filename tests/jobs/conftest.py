"""What every test of the jobs has: a disk that isn't waited for, and pages without what is inside a network."""

from __future__ import annotations

import os

import pytest

from statewise.jobs import experiment


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a machine that loses its power can tell the difference, and hundreds of checkpoints cost minutes."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def look_inside() -> None:
    """For a test that wants the page's last sections as well."""


@pytest.fixture(autouse=True)
def _no_look_inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures take most of a second a run."""
    if "look_inside" not in request.fixturenames:
        monkeypatch.setattr(experiment, "inside", lambda job, model: [])
