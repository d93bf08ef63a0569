"""What every test of the jobs has: a disk that isn't waited for."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a machine that loses its power can tell the difference, and hundreds of checkpoints cost minutes."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
