"""The programs that compute what an ONNX file says: each is given a path and arrays by name, and gives the outputs."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator


def run_onnxruntime(path, feeds):
    return onnxruntime.InferenceSession(path).run(None, feeds)


def run_reference(path, feeds):
    with np.errstate(all="ignore"):  # of values that don't count, and of a mean of nothing, which is NaN
        return ReferenceEvaluator(str(path)).run(None, feeds)


def run_openvino(path, feeds):
    openvino = pytest.importorskip("openvino", reason="openvino isn't installed: pip install 'statewise[peers]'")
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(feeds)
    return [found[k] for k in range(len(model.outputs))]


ENGINES = {"onnxruntime": run_onnxruntime, "reference": run_reference, "openvino": run_openvino}
every_engine = pytest.mark.parametrize(
    "engine", ["onnxruntime", *(pytest.param(name, marks=pytest.mark.slow) for name in ("reference", "openvino"))]
)


def assert_gives(engine, path, feeds, expected, rtol=1e-5, atol=2e-6):
    """That the file's outputs are ``expected``, in float32's or float64's rounding."""
    found = ENGINES[engine](path, {name: np.asarray(value) for name, value in feeds.items()})
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == np.shape(b)
        assert a.dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
