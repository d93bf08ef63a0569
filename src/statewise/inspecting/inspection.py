"""What was found inside a net: arrays, sentences, pictures, a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import findings
from .findings import Finding
from .measures import Attributions, LayerStates

if TYPE_CHECKING:
    from ..jobs.report import Block

MOST_LAYERS = 4  # whose gates and states are drawn


@dataclass(frozen=True)
class Inspection:
    """What ``statewise.inspect`` found. ``print`` it, leave it as a notebook's last line, or ``save`` it as a page.

    Attributes:
        title: the module's class, or the model's file.
        layers: each recurrent layer that was called, in each direction, with its gates, states and gradients.
        attributions: what of the input the result comes from.
        features: the names of the input's features; none where they have no meaning, as an embedding's.
        labels: of each row what its steps are called.
        row: the row whose gates and states are drawn.
        remarks: on mistakes that the way the layers are used shows; none where there is none.
    """

    title: str
    layers: Sequence[LayerStates]
    attributions: Attributions
    features: Sequence[str] = ()
    labels: Sequence[Sequence[str]] = field(default=())
    row: int = 0
    remarks: Sequence[Finding] = ()

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """By section, whether that is healthy, and if not, what to do about it."""
        found = {
            "Gradients through time": findings.of_gradients(self.layers),
            "Saturation of the gates": findings.of_saturation(self.layers),
            "Units": findings.of_units(self.layers),
            "What mattered of the input": findings.of_inputs(self.attributions, self.features),
            "Gates and states over time": findings.of_states(self.layers),
        }
        return {title: finding for title, finding in found.items() if finding is not None}

    @property
    def healthy(self) -> bool:
        """Whether nothing needs to be done."""
        return all(finding.good for finding in [*self.findings.values(), *self.remarks])

    def __str__(self) -> str:
        parts = [f"{self.title}, {self.described}"]
        parts += [
            textwrap.fill(f"{title}: {finding.text}", 80, subsequent_indent="  ")
            for title, finding in [*self.findings.items(), *[("Remark", remark) for remark in self.remarks]]
        ]
        return "\n".join(parts)

    def blocks(self, most: int = MOST_LAYERS) -> list[Block]:
        """The sections of a report's page: of each a picture and its sentence; of ``most`` layers all gates."""
        from ..jobs.report import Heading, Note, Picture
        from . import pictures

        labels = self.labels[self.row] if self.labels else ()
        found: list[Block] = []

        def add(title: str, *drawn: Picture) -> None:
            found.append(Heading(title))
            if title in self.findings:
                found.append(Note(self.findings[title].text, self.findings[title].good))
            found.extend(drawn)

        if self.remarks:
            found.append(Heading("How the layers are used"))
            found.extend([Note(remark.text, remark.good) for remark in self.remarks])
        add(
            "Gradients through time",
            Picture(
                pictures.reaches(self.layers),
                "By how much h after the last step changes with the states so many steps before it, beside 1 there:"
                " the mean of all rows.",
            ),
        )
        if "Saturation of the gates" in self.findings:
            add(
                "Saturation of the gates",
                Picture(
                    pictures.saturations(self.layers),
                    "How much of a gate's values is at its bounds, where its slope is under a tenth of the steepest.",
                ),
            )
        add("Units", Picture(pictures.spreads(self.layers), "How much each unit of h varies, over all steps and rows."))
        add(
            "What mattered of the input",
            Picture(
                pictures.attributions(self.attributions, self.row, self.features, labels),
                "Integrated gradients of the result, against an input of zeros: red adds to it, blue takes away.",
            ),
        )
        heat = []
        for layer in self.layers[:most]:
            row = min(self.row, len(layer.lengths) - 1)
            own = labels if len(labels) == layer.lengths[row] else ()
            caption = f"{layer.name}: one row, a line for each unit, in the order in which h is largest."
            heat.append(Picture(pictures.heat_maps(layer, row, own), caption))
        add("Gates and states over time", *heat)
        return found

    def html(self) -> str:
        """The page, which needs nothing else."""
        from ..jobs.report import Page

        return Page(self.title, f"statewise inspect: {self.described}", self.blocks()).html()

    @property
    def described(self) -> str:
        """What was read: how many rows of how many steps."""
        steps, rows, _ = self.attributions.values.shape
        ragged = bool(np.isnan(self.attributions.values).any())
        return f"{rows} row{'s' * (rows != 1)} of {'up to ' * ragged}{steps} step{'s' * (steps != 1)}"

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page as one file."""
        Path(path).write_text(self.html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html())}" style="width:100%;height:48rem;border:0"></iframe>'
