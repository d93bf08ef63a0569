"""Tell to which class a sequence belongs: ``statewise classify``, and ``Classifier`` for a program.

    formats/       files become ``Examples``: sequences, labels and names
    sequences.py   sequences of any lengths without padding, and the batches drawn of them
    scaler.py      what the network reads
    network.py     recurrent layers, a head, a linear output
    training.py    the task for the fitting loop
    model.py       what is left of it, and its file
    classifier.py  the same with scikit-learn's conventions
    job.py         the whole run (split, baselines, result, report, pictures)

Importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier
    from .config import Layout
    from .examples import Examples
    from .formats import read
    from .model import Model

__all__ = ["Classifier", "Examples", "Layout", "Model", "read"]

_HOMES = {
    "Classifier": ".classifier",
    "Examples": ".examples",
    "Layout": ".config",
    "Model": ".model",
    "read": ".formats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
