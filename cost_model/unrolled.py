"""What the unrolled hardware of a node consists of, by formulas or from the solved adder graph."""

import numpy as np

from bitwright.cost_model.adders import adder_amounts
from bitwright.cost_model.amounts import Amounts
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import Rescale, features_of, half
from bitwright.cost_model.formulas import amounts, control, rounding_logic
from bitwright.models.adders import solve
from bitwright.models.graph import Dense, Interval, Node, Requantize, Target, Value, decode


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
        graph = solve(decode(op.weights), op.bias, x)
        found = adder_amounts(graph, target, stages, node.output.type)
        return control(stages, streamed) + found
    f = features_of(node, source, x, y, elements)
    if solved and isinstance(op, Requantize):
        assert isinstance(f, Rescale)
        graph = solve(np.diag(op.multiplier), op.bias + half(op), x)
        found = adder_amounts(graph, target, stages, None, levels_after=1)
        rounding = Amounts(Cost(ff=f.output_bits), rounding_logic(f))
        return control(stages, streamed) + found + rounding
    return amounts(f, stages, target, streamed)
