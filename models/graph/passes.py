"""Graph to graph: each pass is one function, and `PASSES` is the order in which they run.

No pass changes what a graph computes; the tests run every pass on random graphs and compare.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bitwright.models.graph.additions import narrow_additions
from bitwright.models.graph.codecs import IntArray, Plain
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool,
    Node,
    Op,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
)
from bitwright.models.graph.ranges import Interval, output_interval
from bitwright.models.graph.requantisation import as_requantize
from bitwright.models.graph.types import IntType, Value

Pass = Callable[[Graph], Graph]


def fuse_thresholds(graph: Graph) -> Graph:
    """Make one threshold of two in a row, the first of which nobody else reads.

    Before: h = #{k: x >= T[k]} with 31 thresholds, y = #{j: h >= U[j]} with 3 (a quantiser of fewer
            bits behind a quantised activation)
    After:  y = #{j: x >= T[U[j] - 1]}
    h reaches U[j] with its own threshold of that number; what it always or never reaches, x does
    from its least or beyond its largest value.
    """
    made: dict[str, Node] = {}
    for node in graph.nodes:
        first = made.get(node.inputs[0])
        if (
            isinstance(node.op, Threshold)
            and first is not None
            and isinstance(first.op, Threshold)
            and first.name not in graph.outputs
            and len(graph.readers(first.name)) == 1
        ):
            del made[first.name]
            reach = graph.intervals[first.inputs[0]]
            node = replace(node, op=_fused(first.op, node.op, reach), inputs=first.inputs)
        made[node.name] = node
    return replace(graph, nodes=tuple(made.values()))


def raise_falling_thresholds(graph: Graph) -> Graph:
    """Negate the weights in front of a falling threshold, so that it rises.

    Before: y = 7 - #{k: W[:, c].x >= T[c, k]}        (a negative batch-norm factor)
    After:  y = 0 + #{k: -W[:, c].x >= 1 - T[c, 7-k]}
    A comparator then feeds the output directly instead of being inverted and subtracted.
    """
    nodes = list(graph.nodes)
    for i, node in enumerate(nodes):
        readers = [j for j, n in enumerate(nodes) if node.name in n.inputs]
        if (
            not isinstance(node.op, Dense | Conv2d)
            or len(readers) != 1
            or node.name in graph.outputs
        ):
            continue
        reader = nodes[readers[0]]
        if not isinstance(reader.op, Threshold) or np.all(reader.op.step > 0):
            continue
        flipped = _negate(graph, node, node.op, reader.op.step)
        if flipped is None:
            continue
        nodes[i], nodes[readers[0]] = flipped, replace(reader, op=_rising(reader.op))
    return replace(graph, nodes=tuple(nodes))


def choose_requantisation(graph: Graph) -> Graph:
    """Turn a threshold into an equal multiply, add and shift where that is the cheaper hardware.

    Before: y = -8 + #{k: x >= T[k]} with 15 thresholds at 4, 12, 20, …
    After:  y = saturate((x + 64) >> 3)
    Equality is proven step by step over every x that can occur; see `as_requantize`.
    """
    nodes = []
    for node in graph.nodes:
        if isinstance(node.op, Threshold):
            source = graph.values[node.inputs[0]]
            now = effort(node.op, source, node.output)
            # No requantiser is cheaper than one that multiplies by one and adds nothing.
            least = Requantize(np.ones_like(node.op.base), np.zeros_like(node.op.base), 0)
            if now > effort(least, source, node.output):
                other = as_requantize(node.op, node.output.type, graph.intervals[source.name])
                if other is not None and effort(other, source, node.output) < now:
                    node = replace(node, op=other)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


PASSES: tuple[Pass, ...] = (
    narrow_additions,
    fuse_thresholds,
    raise_falling_thresholds,
    choose_requantisation,
)


def optimise(graph: Graph) -> Graph:
    """Run every pass in order; the graph checks itself after each."""
    for one in PASSES:
        graph = one(graph)
    return graph


def effort(op: Op, source: Value, output: Value) -> float:
    """A rough count of LUTs for comparing two forms of a requantisation, never for a report.

    Fitted by eye to Yosys counts for 7-series: comparing with a constant takes a little more than a
    LUT a threshold, far less where thresholds are evenly spaced by a power of two and share their
    low bits; an adder takes a LUT a bit, and one is always there to round.
    """
    width = source.type.width
    match op:
        case Threshold():
            levels = op.thresholds.shape[1]
            even = np.array([_evenly_spaced(row) for row in op.thresholds])
            each = np.where(even, width / 2 + levels / 8, levels * (1 + width / 20))
            return float(each.sum())
        case Requantize():
            digits = np.array([max(_signed_digits(int(m)), 1) for m in op.multiplier])
            product = width + max(int(np.abs(op.multiplier).max()).bit_length() - 1, 0)
            return float((digits * product + output.type.width + 2).sum())
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
            raise ValueError(f"{type(op).__name__} has only one form")


def _signed_digits(m: int) -> int:
    """Non-zero digits of the canonical signed-digit form: m = sum of that many +-2^k."""
    return ((3 * abs(m)) ^ abs(m)).bit_count()


def _evenly_spaced(levels: IntArray) -> bool:
    """Whether thresholds lie a power of two apart, give or take the one that half_even shifts."""
    gaps = np.diff(np.unique(levels))[1:-1]
    if len(gaps) == 0:
        return True
    middle = int(np.median(gaps))
    return bool(np.abs(gaps - middle).max() <= 1) and middle & (middle - 1) == 0


def _negate(graph: Graph, node: Node, op: Dense | Conv2d, step: IntArray) -> Node | None:
    if not isinstance(op.weights, Plain):
        return None  # its copies or its table would no longer be shared
    values = op.weights.values * step
    if op.weights.width > 1 and values.max() > IntType(op.weights.width, True).max:
        return None  # -8 has no negative in 4 bits: keep the layer as stored
    negated = replace(op, weights=Plain(values, op.weights.width), bias=op.bias * step)
    flipped = replace(node, op=negated)
    made = output_interval(flipped, [graph.intervals[name] for name in node.inputs])
    return replace(flipped, output=replace(node.output, type=IntType.holding(*made.bounds)))


def _fused(first: Threshold, second: Threshold, reach: Interval) -> Threshold:
    least, beyond = reach.low[:, None], reach.high[:, None] + 1
    levels = np.hstack([least, first.thresholds.clip(least, beyond), beyond])
    # How many thresholds of the first must be reached for each of the second, or, where the first
    # falls, for it not to be reached any more.
    falls = first.step[:, None] < 0
    above = second.thresholds - first.base[:, None]
    needed = np.where(falls, 1 - above, above)
    needed = needed.clip(0, levels.shape[1] - 1)
    table = np.take_along_axis(levels, needed, axis=1).astype(np.int64)
    return Threshold(
        np.sort(table, axis=1),
        np.where(first.step < 0, second.base + second.step * table.shape[1], second.base),
        first.step * second.step,
    )


def _rising(op: Threshold) -> Threshold:
    falling = op.step < 0
    levels = op.thresholds.shape[1]
    return Threshold(
        np.where(falling[:, None], (1 - op.thresholds)[:, ::-1], op.thresholds),
        np.where(falling, op.base - levels, op.base),
        np.ones_like(op.step),
    )
