"""The package onnx, or what to do where it isn't there."""

from __future__ import annotations

try:
    import onnx
    from onnx import checker, helper, numpy_helper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"to_onnx and from_onnx need {error.name}: pip install 'statewise[onnx]'", name=error.name
    ) from None

__all__ = ["checker", "helper", "numpy_helper", "onnx"]
