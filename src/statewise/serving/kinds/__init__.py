"""What can be asked of a model: a module for each kind of file, whose ``serve`` loads it.

``serve(path, content, limits, kernels)`` is told what the file's header says and gives a ``Served``.
"""

from __future__ import annotations

KINDS = {
    "network": "network",
    "forecast model": "forecast",
    "classification model": "classify",
    "writing model": "write",
    "tagging model": "tag",
    "translation model": "translate",
}
"""The module for each kind of file, which is imported when there is such a file."""
