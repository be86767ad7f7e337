"""Random plans for a graph: unrolled, folded or mixed, with memories, loadable weights, copies."""

from dataclasses import dataclass, replace

import numpy as np

from bitwright.hls import IoType
from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    ArgMax,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    Node,
    Plain,
    Plan,
    Unrolled,
    decode,
    widen_for_loading,
)
from bitwright.models.graph.codecs import distinct_outputs
from bitwright.models.graph.heads import Lines
from bitwright.models.graph.plan import MEMORIES, is_depthwise, is_wiring
from bitwright.models.graph.products import products
from bitwright.rtl_tb import Form
from trust.operations import Dice, integers

_MOST_UNROLLED = 150  # weights of a layer, for the adder-graph solver's time


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A graph, its plan, how it is emitted, and what may be loaded into it later."""

    graph: Graph
    plan: Plan
    form: Form = "adder_graph"
    io: IoType = "io_parallel"
    """hls4ml's interface."""
    loaded: Graph | None = None
    """The same graph with other loadable weights; None where nothing is loadable."""


def planned(dice: Dice, graph: Graph) -> Network:
    """The graph with a plan, and with types that hold what may be loaded."""
    folded = float(dice.choice([0.0, 1.0, 0.5]))
    engines = {node.name: _engine(dice, graph, node, folded) for node in graph.nodes}
    redundancy = 3 if dice.random() < 0.04 else 1
    form: Form = "adder_graph" if dice.random() < 0.7 else "plain"
    if dice.random() < 0.3:
        graph, engines = _made_loadable(dice, graph, engines)
    plan = Plan(engines, redundancy=3 if redundancy == 3 else 1)
    loaded = _with_other_weights(dice, graph, plan) if plan.loadable else None
    io: IoType = "io_stream" if dice.random() < 0.4 else "io_parallel"
    return Network(graph, plan, form, io, loaded)


def _engine(dice: Dice, graph: Graph, node: Node, folded: float) -> Engine:
    op = node.op
    if is_wiring(node):
        return Unrolled(0)
    large = isinstance(op, Dense | Conv2d) and decode(op.weights).size > _MOST_UNROLLED
    if isinstance(op, Conv2d):
        rows, columns, _ = graph.values[node.inputs[0]].shape
        large |= not Lines(rows, columns, op.window).fits
    if isinstance(op, ArgMax) or (dice.random() >= folded and not large):
        return Unrolled(int(dice.integers(1, 5)))
    outputs, inputs = node.output.channels, 1
    match op:
        case Dense():
            outputs, inputs = distinct_outputs(op.weights), decode(op.weights).shape[0]
        case Conv2d() if not is_depthwise(op):
            outputs = distinct_outputs(op.weights) if op.groups == 1 else len(op.bias) // op.groups
            inputs = op.channels // op.groups
        case _:
            pass
    pe, simd = _divisor(dice, outputs), _divisor(dice, inputs)
    if not isinstance(op, Dense | Conv2d):
        return Folded(pe)
    most = products(op, graph.values[node.inputs[0]].type, simd, False).most_stages
    stages = 1 if dice.random() < 0.5 else int(dice.integers(1, most + 1))
    return Folded(pe, simd, stages=stages, memory=MEMORIES[dice.integers(len(MEMORIES))])


def _divisor(dice: Dice, whole: int) -> int:
    return int(dice.choice([n for n in range(1, whole + 1) if whole % n == 0]))


def _made_loadable(
    dice: Dice, graph: Graph, engines: dict[str, Engine]
) -> tuple[Graph, dict[str, Engine]]:
    """Some of the folded products with loadable weights, where the types can hold them."""
    possible = [
        node.name
        for node in graph.nodes
        if isinstance(node.op, Dense | Conv2d)
        and isinstance(node.op.weights, Plain)
        and isinstance(engines[node.name], Folded)
    ]
    chosen = {name for name in possible if dice.random() < 0.7}
    if not chosen:
        return graph, engines
    try:
        wide = widen_for_loading(graph, chosen)
        changed: dict[str, Engine] = {
            name: replace(engine, loadable=True)
            for name, engine in engines.items()
            if name in chosen and isinstance(engine, Folded)
        }
        Plan({**engines, **changed}).check(wide)
    except GraphError:
        return graph, engines
    if max(value.type.width for value in wide.values.values()) > 62:
        return graph, engines
    return wide, {**engines, **changed}


def _with_other_weights(dice: Dice, graph: Graph, plan: Plan) -> Graph:
    nodes = []
    for node in graph.nodes:
        op = node.op
        if (
            node.name in plan.loadable
            and isinstance(op, Dense | Conv2d)
            and isinstance(op.weights, Plain)
        ):
            shape, width = op.weights.values.shape, op.weights.width
            low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
            values = integers(dice, low, high, shape)
            if width == 1:
                values = dice.choice(np.array([-1, 1]), shape)
            bias = dice.permutation(op.bias)
            node = replace(node, op=replace(op, weights=Plain(values, width), bias=bias))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))
