"""What ONNX's RNN, LSTM and GRU nodes are among statewise's cells: their attributes, the order of their gates."""

from __future__ import annotations

from typing import Any

from ..stack import Stack

# For each of ONNX's gates the place it has in torch: i o f c for i f g o, z r h for r z n.
GATES = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
PEEPHOLES = (0, 2, 1)
"""Likewise those of P, i o f, in ``peephole_lstm``'s ``weight_ch``, i f o."""

KINDS = {
    "rnn_tanh": "RNN",
    "rnn_relu": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_reset_before": "GRU",
}
"""The cells that become a node. LSTM has peepholes too, which OpenVINO leaves out without a word."""


def is_native(stack: Stack) -> bool:
    """Whether ONNX has a node for one of its layers: for none with options of statewise's, or a projection."""
    return stack.cell.name in KINDS and not (stack.proj_size or stack.clip or any(stack.zoneout))


def attributes(stack: Stack) -> dict[str, Any]:
    """Those of the node of one of its layers."""
    kind = KINDS[stack.cell.name]
    found: dict[str, Any] = {
        "hidden_size": stack.hidden_size,
        "direction": "bidirectional" if stack.bidirectional else "forward",
    }
    if kind == "GRU":
        found["linear_before_reset"] = int(stack.cell.name == "gru")
    if kind == "RNN":
        found["activations"] = [stack.cell.name.partition("_")[2].capitalize()] * stack.directions
    return found
