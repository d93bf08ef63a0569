"""States between calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def detach(hx: Any) -> Any:
    """The states of a layer or cell without their history, to go on from them in another step of training.

    Args:
        hx: what a layer or a cell returned: a tensor, a tuple or list of states, nested where the layers are of
            different widths; or None.

    Returns:
        The same, each tensor detached: it shares its memory, and no gradient goes past it.

    Raises:
        TypeError: ``hx`` is of another kind.
    """
    if hx is None:
        return None
    if isinstance(hx, Tensor):
        return hx.detach()
    if isinstance(hx, (tuple, list)):
        return tuple([detach(s) for s in hx])
    raise TypeError(f"detach: Expected states as a layer returns them, got {type(hx).__name__}")
