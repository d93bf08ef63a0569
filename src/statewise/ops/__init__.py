"""The one recurrent operation, for every device and dtype and under every transform of torch."""

from __future__ import annotations

from .eager import Form, kernel_of, run_eager
from .operation import recurrent

__all__ = ["Form", "kernel_of", "recurrent", "run_eager"]
