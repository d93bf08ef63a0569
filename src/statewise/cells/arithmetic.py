"""The operations of cells' equations and of their derivatives on single numbers, as torch computes them.

NaN, infinities and zeros give what IEEE 754 says, where Python's own operators and ``math`` raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def _divide(a: float, b: float) -> float:
    if b != 0 or math.isnan(a):
        return a / b if b != 0 else math.nan
    return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    if x > 0:
        return math.log(x)
    return -math.inf if x == 0 else math.nan


def _sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def _sigmoid(x: float) -> float:
    return 1 / (1 + _exp(-x)) if x > -30 else _exp(x)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(_exp(-abs(x))) if x == x else x


def _maximum(a: float, b: float) -> float:
    return a if a >= b or a != a else b


def _minimum(a: float, b: float) -> float:
    return a if a <= b or a != a else b


def _relu(x: float) -> float:
    return 0.0 if x <= 0 else x


def _where_positive(y: float, g: float) -> float:
    return 0.0 if y <= 0 else g


def _share_of_larger(a: float, b: float, g: float) -> float:
    return 0.0 if a < b else g * 0.5 if a == b else g


def _sign(x: float) -> float:
    return 1.0 if x > 0 else -1.0 if x < 0 else x


FUNCTIONS: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "neg": lambda a: -a,
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "relu": _relu,
    "exp": _exp,
    "log": _log,
    "softplus": _softplus,
    "logsigmoid": lambda x: -_softplus(-x),
    "maximum": _maximum,
    "minimum": _minimum,
    "abs": abs,
    "sqrt": _sqrt,
    "where": lambda a, b, c: b if a != 0 else c,
    "where_positive": _where_positive,
    "share_of_larger": _share_of_larger,
    "sign": _sign,
    "one_minus_exp": lambda y: -math.expm1(y),
}
"""By the name of the operation. Of the last four, which occur in derivatives alone: ``where_positive(y, g)`` is g
where y isn't 0 or less; ``share_of_larger(a, b, g)`` what of g reaches a through the maximum of a and b, half of it
where they are equal; ``sign(x)`` is 1, -1 or, of zero and NaN, x; ``one_minus_exp`` is of y <= 0."""
