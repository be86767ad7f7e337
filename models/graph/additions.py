"""A pass: additions whose factors are only as large as it takes to keep every sum in its place."""

from dataclasses import replace

import numpy as np

from bitwright.models.graph.codecs import IntArray
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import Add, Node, Threshold
from bitwright.models.graph.ranges import output_interval
from bitwright.models.graph.types import IntType

_MOST_SUMS = 1 << 26  # distinct thresholds times values of the first branch, for one addition


def narrow_additions(graph: Graph) -> Graph:
    """Shrink the factors of an addition of two branches that only thresholds read.

    Before: z = 12884901 * x + 8053063 * y (29 bits for 5-bit branches), compared with thresholds
    After:  z = 8 * x + 5 * y              (9 bits), compared with others

    Branches of floating scales have factors of 24 bits and more. All that a threshold sees of the
    sums is their order. Two sums compare as p/q with -(y - y') / (x - x'), for p and q the
    factors: a fraction whose terms are no larger than the branches' ranges. So any p/q that lies
    between the same two neighbours among such fractions orders all sums in the same way, equal
    ones included, and the simplest is their mediant (Farey; Graham, Knuth, Patashnik, Concrete
    Mathematics, section 4.5).
    """
    nodes = list(graph.nodes)
    for i, node in enumerate(nodes):
        readers = [j for j, n in enumerate(nodes) if node.name in n.inputs]
        if (
            not isinstance(node.op, Add)
            or len(set(node.inputs)) != 2
            or node.name in graph.outputs
            or not all(isinstance(nodes[j].op, Threshold) for j in readers)
        ):
            continue
        ranges = [graph.intervals[name].bounds for name in node.inputs]
        factors = _simplest(node.op.multipliers, ranges)
        if max(map(abs, factors)) >= max(map(abs, node.op.multipliers)):
            continue
        changed = [_behind(node.op.multipliers, factors, ranges, nodes[j]) for j in readers]
        behind = [made for made in changed if made is not None]
        if len(behind) < len(readers):
            continue
        narrowed = replace(node, op=Add(factors))
        sums = output_interval(narrowed, [graph.intervals[name] for name in node.inputs])
        kind = IntType.holding(*sums.bounds)
        nodes[i] = replace(narrowed, output=replace(node.output, type=kind))
        for j, made in zip(readers, behind, strict=True):
            nodes[j] = made
    return replace(graph, nodes=tuple(nodes))


def _simplest(factors: tuple[int, ...], ranges: list[tuple[int, int]]) -> tuple[int, int]:
    """The smallest factors that order all sums of two branches as the given ones do."""
    p, q = abs(factors[0]), abs(factors[1])
    differences = [high - low for low, high in ranges]
    below, above = (0, 1), (1, 0)
    while True:
        middle = below[0] + above[0], below[1] + above[1]
        if middle[0] > differences[1] or middle[1] > differences[0]:
            break  # no fraction between `below` and `above` is one that sums meet
        side = p * middle[1] - q * middle[0]
        if side == 0:
            break
        below, above = (middle, above) if side > 0 else (below, middle)
    signs = [1 if factor > 0 else -1 for factor in factors]
    return middle[0] * signs[0], middle[1] * signs[1]


def _behind(
    before: tuple[int, ...], after: tuple[int, int], ranges: list[tuple[int, int]], reader: Node
) -> Node | None:
    """The threshold that steps at the same sums, or None where there are too many to look at."""
    op = reader.op
    assert isinstance(op, Threshold)
    distinct, place = np.unique(op.thresholds, return_inverse=True)
    # With negative factors turned, sums grow with both branches.
    (low, high), (least, most) = [
        (a, b) if factor > 0 else (-b, -a) for factor, (a, b) in zip(before, ranges, strict=True)
    ]
    if (high - low + 1) * len(distinct) > _MOST_SUMS:
        return None
    m, n, p, q = (abs(factor) for factor in (*before, *after))
    x = np.arange(low, high + 1)
    made = np.empty(len(distinct), dtype=np.int64)
    for k, threshold in enumerate(distinct):
        y = np.maximum(-((m * x - int(threshold)) // n), least)  # the first that reaches it
        reached = p * x[y <= most] + q * y[y <= most]
        made[k] = reached.min() if len(reached) else p * high + q * most + 1
    thresholds: IntArray = made[place].reshape(op.thresholds.shape)
    return replace(reader, op=replace(op, thresholds=thresholds))
