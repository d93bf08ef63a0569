"""The usual jobs of recurrent nets, one package each: data, model, fit, report. Importing this imports no torch."""

from __future__ import annotations

from .errors import InputError

__all__ = ["InputError"]
