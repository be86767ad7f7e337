"""What the unrolled hardware of a node consists of, by formulas or from the solved adder graph."""

import hashlib
from collections import OrderedDict

import numpy as np

from bitwright.cost_model.adders import adder_amounts
from bitwright.cost_model.amounts import Amounts
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import Rescale, features_of, half
from bitwright.cost_model.formulas import amounts, piped, rounding_logic, rounding_tables
from bitwright.models.adders import AdderGraph, solve
from bitwright.models.graph import (
    Dense,
    IntArray,
    Interval,
    Node,
    Requantize,
    Target,
    Value,
    decode,
)


def unrolled_amounts(
    node: Node,
    source: Value,
    x: Interval,
    y: Interval,
    elements: int,
    stages: int,
    target: Target,
    *,
    streamed: bool = False,
    solved: bool = False,
) -> Amounts:
    """A node of `stages` pipeline stages that takes `elements` at once of what it reads.

    x, y: what can reach each channel of its input and its output. streamed: in a pipeline that
    never stands still. solved: count the adder graphs as the emitter's solver finds them, which
    takes as long as emitting; formulas otherwise.

    Raises UnsupportedError where the solver cannot take the node's constants.
    """
    op = node.op
    if solved and isinstance(op, Dense):
        graph = _solved(decode(op.weights), op.bias, x)
        found = adder_amounts(graph, target, stages, node.output.type)
        return piped(found, stages, streamed)
    f = features_of(node, source, x, y, elements)
    if solved and isinstance(op, Requantize):
        assert isinstance(f, Rescale)
        graph = _solved(np.diag(op.multiplier), op.bias + half(op), x)
        found = adder_amounts(graph, target, stages, None, tables_after=rounding_tables(f))
        rounding = Amounts(Cost(ff=f.output_bits), rounding_logic(f))
        return piped(found + rounding, stages, streamed)
    return amounts(f, stages, target, streamed)


_RECENT: OrderedDict[bytes, AdderGraph] = OrderedDict()  # other plans have the same adder graphs
_MOST_RECENT = 32


def _solved(matrix: IntArray, constant: IntArray, inputs: Interval) -> AdderGraph:
    sha = hashlib.sha256()
    for array in (matrix, constant, inputs.low, inputs.high):
        told = np.ascontiguousarray(array, dtype=np.int64)
        sha.update(repr(told.shape).encode() + told.tobytes())
    key = sha.digest()
    if key not in _RECENT:
        _RECENT[key] = solve(matrix, constant, inputs)
        if len(_RECENT) > _MOST_RECENT:
            _RECENT.popitem(last=False)
    return _RECENT[key]
