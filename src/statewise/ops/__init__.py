"""The one recurrent operation, for every device and dtype and under every transform of torch."""

from __future__ import annotations

from .plain import recurrent as plain_recurrent
from .plain import sizes_of
from .recurrent import recurrent

__all__ = ["plain_recurrent", "recurrent", "sizes_of"]
