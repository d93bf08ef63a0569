"""ONNX both ways: ``to_onnx`` and ``from_onnx``. See docs/onnx.md. What is here needs the package onnx."""
