"""A graph under a plan as parts: what each node consists of, and what lies between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.cost_model.amounts import Amounts
from bitwright.cost_model.streamed import STREAMS, between, block_amounts
from bitwright.cost_model.unrolled import unrolled_amounts
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Engine,
    Graph,
    Node,
    Plan,
    Target,
    Unrolled,
    decode,
    weight_width,
)
from bitwright.models.graph.any_weights import with_any_weights
from bitwright.models.graph.cycles import sized
from bitwright.models.graph.plan import is_wiring
from bitwright.models.graph.streams import Streams, is_streamed


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """kind: parts of one kind have errors alike. features: what tells whether a fit reaches."""

    kind: str
    amounts: Amounts
    features: Mapping[str, float]


def parts(graph: Graph, plan: Plan, solved: bool = False) -> dict[str, Part]:
    """Every node, and `STREAMS` where a design has any.

    solved: count the adder graphs as the emitter's solver finds them. Raises GraphError where the
    plan is not for this graph.
    """
    plan.check(graph)
    if is_streamed(graph, plan):
        return streamed_parts(graph, plan, sized(graph, plan), solved)
    return {
        node.name: node_part(graph, node, plan.engines[node.name], plan.target, solved=solved)
        for node in graph.nodes
    }


def node_part(
    graph: Graph, node: Node, engine: Engine, target: Target, *, solved: bool = False
) -> Part:
    """A node of a graph of vectors, unrolled."""
    assert isinstance(engine, Unrolled)
    source = graph.values[node.inputs[0]]
    reach = graph.intervals[source.name], graph.intervals[node.name]
    made = unrolled_amounts(node, source, *reach, source.size, engine.stages, target, solved=solved)
    return _part(graph, node, engine, made, solved)


def streamed_parts(
    graph: Graph, plan: Plan, made: Streams, solved: bool = False
) -> dict[str, Part]:
    """The parts of a streamed design."""
    graph = with_any_weights(graph, plan.loadable)
    found = {node.name: Part("wiring", Amounts(), {}) for node in graph.nodes}
    for block in made.blocks:
        for step in block.steps:
            node = step.node
            amounts = block_amounts(graph, plan, block, step, solved)
            found[node.name] = _part(graph, node, plan.engines[node.name], amounts, solved)
    lanes = max(fifo.lanes for fifo in made.fifos.values())
    features = {"FIFOs": float(len(made.fifos)), "lanes": float(lanes)}
    found[STREAMS] = Part("streams", between(graph, plan.target, made), features)
    return found


def _part(graph: Graph, node: Node, engine: Engine, amounts: Amounts, solved: bool) -> Part:
    op, source = node.op, graph.values[node.inputs[0]]
    if is_wiring(node):
        return Part("wiring", amounts, {})
    features = {"input bits": source.type.width, "output bits": node.output.type.width}
    kind = node.kind
    if isinstance(op, Dense | Conv2d):
        matrix = decode(op.weights)
        features |= {"inputs": len(matrix), "outputs": matrix.shape[1]}
        features["weight bits"] = weight_width(op.weights)
        kind = "product"
    if isinstance(engine, Unrolled):
        features["stages"] = engine.stages
        if kind in ("product", "requantize"):
            kind += ", solved" if solved else ", by formulas"
        elif kind != "threshold":
            features["elements"] = source.size
    else:
        features |= {"pe": engine.pe, "simd": engine.simd}
        kind = f"folded {kind}"
    return Part(kind, amounts, {name: float(n) for name, n in features.items()})
