"""The one recurrent operation, for every device and dtype and under every transform of torch."""

from __future__ import annotations

from .recurrent import recurrent

__all__ = ["recurrent"]
