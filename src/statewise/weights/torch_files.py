"""torch's own files: what ``torch.save`` wrote, read with ``weights_only``. It needs torch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from ..runtime.file import LoadError
from .part import refuse


def read(data: bytes) -> Mapping[Any, Any]:
    """The state_dict, or whatever mapping has it."""
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file torch says anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LoadError(f"torch.load can't read it with weights_only: {reason[:160]}") from None
    if not isinstance(found, Mapping):
        raise refuse("the file", "a state_dict, or a mapping that has one", type(found).__name__)
    return found
