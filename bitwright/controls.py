"""Negative controls: graphs with one small mistake each, which every check has to find.

A check that has never failed proves nothing. Each mistake is the smallest of its kind, and is known
to show in the reference's outputs for the very vectors that the check will use.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import assert_never

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    Lookup,
    MaxPool,
    Node,
    Op,
    Plain,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    decode,
    evaluate,
    weight_width,
)

_TRIES = 64  # of each kind of mistake, until one shows in the outputs


@dataclass(frozen=True, eq=False, slots=True)
class Mistake:
    """A graph that is wrong in one place."""

    name: str
    where: str
    graph: Graph
    differing: int
    """Vectors that it answers wrongly, which is how many a check has to report."""


def mistakes(graph: Graph, x: IntArray) -> tuple[Mistake, ...]:
    """One mistake of every kind that the graph can have, each visible on the vectors x.

    x: integers, shape (batch, *input shape). A kind that cannot be made visible (a network whose
    outputs hardly depend on it) is left out; `KINDS` lists them all.
    """
    right = evaluate(graph, x)
    found = []
    for name, make in KINDS.items():
        for (where, wrong), _ in zip(make(graph), range(_TRIES), strict=False):
            differing = int((evaluate(wrong, x) != right).reshape(len(x), -1).any(axis=1).sum())
            if differing:
                found.append(Mistake(name, where, wrong, differing))
                break
    return tuple(found)


_Wrong = Iterator[tuple[str, Graph]]


def _flipped_bits(graph: Graph) -> _Wrong:
    """Before: a weight of 6 (0110). After: a weight of 7 (0111)."""
    rng = np.random.default_rng(0)
    for i, node in enumerate(graph.nodes):
        if not isinstance(node.op, Dense | Conv2d):
            continue
        values = decode(node.op.weights)
        for flat in rng.permutation(values.size)[: _TRIES // 4]:
            at = np.unravel_index(flat, values.shape)
            wrong = values.copy()
            wrong[at] = -values[at] if weight_width(node.op.weights) == 1 else values[at] ^ 1
            op = replace(node.op, weights=Plain(wrong, weight_width(node.op.weights)))
            place = ", ".join(str(int(n)) for n in at)
            where = f"{node.name}[{place}]: {values[at]} became {wrong[at]}"
            yield from _tried(where, graph, {i: op})


def _swapped_outputs(graph: Graph) -> _Wrong:
    """Before: outputs (a, b, c). After: outputs (b, a, c)."""
    products = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, Dense | Conv2d)]
    if not products:
        return
    first = products[-1]
    channels = graph.nodes[first].output.channels
    for a in range(channels):
        for b in range(a + 1, channels):
            order = np.arange(channels)
            order[[a, b]] = b, a
            ops = {
                i: _permuted(node.op, order)
                for i, node in enumerate(graph.nodes[first:], start=first)
            }
            yield from _tried(f"outputs {a} and {b}", graph, ops)


def _wrong_roundings(graph: Graph) -> _Wrong:
    """Before: y = round(x / 8), ties to even. After: ties upwards; or a threshold one too high."""
    for i, node in enumerate(graph.nodes):
        op = node.op
        match op:
            case (
                Dense()
                | Conv2d()
                | Lookup()
                | BitPlanes()
                | MaxPool()
                | SumPool()
                | Add()
                | Concat()
                | Reshape()
                | ArgMax()
            ):
                continue
            case Threshold():
                raised = Threshold(op.thresholds + 1, op.base, op.step)
                yield from _tried(f"{node.name}: > instead of >=", graph, {i: raised})
            case Requantize():
                if op.rounding == "half_even" and op.shift > 0:
                    up = replace(op, rounding="half_up")
                    yield from _tried(f"{node.name}: ties upwards, not to even", graph, {i: up})
                for step in (1, 1 << max(op.shift - 1, 0)):
                    more = replace(op, bias=op.bias + step)
                    where = f"{node.name}: {step}/{1 << op.shift} too much before rounding"
                    yield from _tried(where, graph, {i: more})
            case _:
                assert_never(op)


KINDS: dict[str, Callable[[Graph], _Wrong]] = {
    "flipped weight bit": _flipped_bits,
    "swapped outputs": _swapped_outputs,
    "off-by-one rounding": _wrong_roundings,
}


def _permuted(op: Op, order: IntArray) -> Op:
    match op:
        case Dense() | Conv2d():
            weights = Plain(decode(op.weights)[:, order], weight_width(op.weights))
            return replace(op, weights=weights, bias=op.bias[order])
        case Threshold():
            return Threshold(op.thresholds[order], op.base[order], op.step[order])
        case Requantize():
            return replace(op, multiplier=op.multiplier[order], bias=op.bias[order])
        case Lookup():
            return op if len(op.table) == 1 else replace(op, table=op.table[order])
        case BitPlanes() | MaxPool() | SumPool() | Add() | Concat() | Reshape() | ArgMax():
            return op
        case _:
            assert_never(op)


def _tried(where: str, graph: Graph, ops: dict[int, Op]) -> _Wrong:
    """The graph with some operations replaced, if its types can hold what they now make."""
    nodes: list[Node] = list(graph.nodes)
    for i, op in ops.items():
        nodes[i] = replace(nodes[i], op=op)
    try:
        yield where, replace(graph, nodes=tuple(nodes))
    except GraphError:
        return
