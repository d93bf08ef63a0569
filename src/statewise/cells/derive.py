"""Derivatives of expressions, as expressions: reverse accumulation."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .expression import Graph, Node, in_order


def gradients(graph: Graph, seeds: Sequence[tuple[Node, Node]], given: Collection[Node] = ()) -> dict[Node, Node]:
    """Of the sum over ``seeds`` of node times seed, the derivative for every node that it depends on.

    Nodes ``given`` count as leaves. A derivative is written with the function's own result where that has it: a
    sigmoid's is s * (1 - s).
    """
    found: dict[Node, Node] = {}

    def put(node: Node, gradient: Node) -> None:
        found[node] = _total(graph, found[node], gradient) if node in found else gradient

    for node, seed in seeds:
        put(node, seed)
    for node in reversed(in_order([node for node, _ in seeds], given)):
        if node in found and node not in given:
            for argument, gradient in _to_arguments(graph, node, found[node]):
                put(argument, gradient)
    return found


def _to_arguments(graph: Graph, y: Node, g: Node) -> list[tuple[Node, Node]]:
    """What of ``g``, the derivative for ``y``, reaches each of its arguments: torch's formulas, at ties too."""
    mul, sub, neg, div, call = graph.mul, graph.sub, graph.neg, graph.div, graph.call
    one = graph.constant(1)
    if not y.args:
        return []
    if y.op == "where":
        a, b, c = y.args
        zero = graph.constant(0)
        return [(b, call("where", a, g, zero)), (c, call("where", a, zero, g))]
    if len(y.args) == 2:
        a, b = y.args
        return {
            "add": lambda: [(a, g), (b, g)],
            "sub": lambda: [(a, g), (b, neg(g))],
            "mul": lambda: [(a, mul(g, b)), (b, mul(g, a))],
            "div": lambda: [(a, div(g, b)), (b, neg(mul(div(g, b), y)))],
            "maximum": lambda: [(a, call("share_of_larger", a, b, g)), (b, call("share_of_larger", b, a, g))],
            "minimum": lambda: [(a, call("share_of_larger", b, a, g)), (b, call("share_of_larger", a, b, g))],
        }[y.op]()
    (x,) = y.args
    derivative = {
        "neg": lambda: neg(g),
        "sigmoid": lambda: mul(mul(g, y), sub(one, y)),
        "tanh": lambda: mul(g, sub(one, mul(y, y))),
        "relu": lambda: call("where_positive", y, g),
        "exp": lambda: mul(g, y),
        "log": lambda: div(g, x),
        "sqrt": lambda: div(mul(g, graph.constant(0.5)), y),
        "abs": lambda: mul(g, call("sign", x)),
        "softplus": lambda: mul(g, call("one_minus_exp", neg(y))),
        "logsigmoid": lambda: mul(g, call("one_minus_exp", y)),
    }[y.op]()
    return [(x, derivative)]


def _total(graph: Graph, a: Node, b: Node) -> Node:
    """a + b; where that is g*p - g*q or g - g*q, as g * (p - q), which saves a product."""
    for plus, minus in ((a, b), (b, a)):
        if minus.op == "neg" and minus.args[0].op == "mul":
            p, q = plus.args if plus.op == "mul" else (plus, graph.constant(1)), minus.args[0].args
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                if p[i] is q[j]:
                    return graph.mul(p[i], graph.sub(p[1 - i], q[1 - j]))
    return graph.add(a, b)
