"""Training further (fine-tuning): what a run that begins with a trained model, ``--from MODEL``, has from it.

An option says by ``Option.further`` whose it is there: what makes the network and what it reads is the model's, what
says how it is trained the command's.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .command import spelt
from .config import Option, hints_of, options_of
from .errors import InputError


def model_of(job: str, path: Path) -> Any:
    """The model in ``path``, of the job of this name. Raises ``InputError`` where it is none."""
    return import_module(f".tasks.{job}.model", __package__).Model.load(path)


def carried(job: str, options: type, path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values for ``options`` where ``given`` is told to train the model in ``path`` further.

    Raises ``InputError`` where that is none, or where it is told of another network than the model has.
    """
    model, values = model_of(job, path), dict(given)
    own = hints_of(type(model.config))
    for name, hint, _, how in options_of(options):
        if name not in own or (whose := _whose(how)) == "told":
            continue
        has = getattr(model.config, name)
        if name not in given:
            values[name] = has
        elif whose == "same" and given[name] != has:
            told, had = (spelt(name, hint, how, value) for value in (given[name], has))
            value = "none" if has is None else "yes" if has is True else "no" if has is False else " ".join(had[1:])
            raise InputError(f"{' '.join(told)}: {path} has {value}, and trained further it stays as it is")
    return values


def _whose(how: Option) -> str:
    return how.further or ("told" if how.group == "training" else "same")
