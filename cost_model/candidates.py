"""The ways to build each part of a graph: parallelism, cycles of one tensor, and what it costs.

A part is a folded product, pool or addition with the operations on single channels behind it, which
take the same lanes, so that they need no FIFO between them. What only connects is in no part.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from bitwright.cost_model import cells
from bitwright.cost_model.coefficients import amounts_cost, coefficients
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.estimate import unrolled
from bitwright.cost_model.streamed import node_amounts
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    Lookup,
    MaxPool,
    Node,
    Plan,
    Requantize,
    Reshape,
    SumPool,
    Target,
    Threshold,
    Unrolled,
)
from bitwright.models.graph.codecs import decode
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.plan import is_depthwise
from bitwright.models.graph.products import products
from bitwright.models.graph.streams import Step, product_sweep, shared_outputs

LUTS_OF_A_BLOCK = 200
"""Look-up tables that weigh as much as a memory or multiplier block: about as many there are for
each block in a 7-series device."""

_MOST_UNROLLED = 1 << 14  # weights; larger layers are not worth an adder graph


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """One way to build a part. cycles: of one tensor, when nothing holds it up."""

    engines: Mapping[str, Engine]
    cycles: int
    cost: Cost

    @property
    def price(self) -> int:
        """All resources, in look-up tables."""
        return self.cost.lut + LUTS_OF_A_BLOCK * (self.cost.bram + self.cost.dsp)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Nodes that are built alike, and the ways to do it; the first is the slowest."""

    nodes: tuple[Node, ...]
    candidates: tuple[Candidate, ...]

    @property
    def name(self) -> str:
        """The first node's."""
        return self.nodes[0].name


def parts(graph: Graph, target: Target, clock_mhz: float) -> tuple[Part, ...]:
    """All parts of a graph, in its order."""
    found = []
    for nodes in _grouped(graph):
        made = [
            _candidate(graph, target, clock_mhz, nodes, engine) for engine in _engines(graph, nodes)
        ]
        if _may_unroll(graph, nodes):
            made.append(_unrolled(graph, target, clock_mhz, nodes))
        found.append(Part(nodes, tuple(_worthwhile(made))))
    return tuple(found)


def connections(graph: Graph) -> dict[str, Engine]:
    """The engines of the nodes that are in no part."""
    return {
        node.name: Unrolled(1 if isinstance(node.op, ArgMax) else 0)
        for node in graph.nodes
        if isinstance(node.op, BitPlanes | Concat | Reshape | ArgMax)
    }


def _grouped(graph: Graph) -> Iterator[tuple[Node, ...]]:
    groups: list[list[Node]] = []
    for node in graph.nodes:
        match node.op:
            case BitPlanes() | Concat() | Reshape() | ArgMax():
                continue
            case Threshold() | Requantize() | Lookup():
                before = groups[-1][-1].name if groups else None
                alone = before in node.inputs and before not in graph.outputs
                if before is not None and alone and len(graph.readers(before)) == 1:
                    groups[-1].append(node)
                    continue
            case Dense() | Conv2d() | MaxPool() | SumPool() | Add():
                pass
        groups.append([node])
    return map(tuple, groups)


def _engines(graph: Graph, nodes: tuple[Node, ...]) -> Iterator[Folded]:
    """Every folding of a part's first node."""
    op = nodes[0].op
    source = graph.values[nodes[0].inputs[0]]
    match op:
        case Dense():
            inputs, outputs = source.channels, shared_outputs(op)
        case Conv2d() if is_depthwise(op):
            inputs, outputs = 1, len(op.bias)
        case Conv2d():
            inputs = op.channels // op.groups
            outputs = shared_outputs(op) if op.groups == 1 else len(op.bias) // op.groups
        case _:
            inputs, outputs = 1, nodes[0].output.channels
    for pe in _divisors(outputs):
        for simd in _divisors(inputs):
            yield Folded(pe, simd)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _sweep(graph: Graph, node: Node, engine: Folded) -> Sweep | None:
    source = graph.values[node.inputs[0]]
    match node.op:
        case Dense() | Conv2d():
            return product_sweep(node.op, engine, source)
        case MaxPool() | SumPool():
            rows, columns, channels = source.shape
            words = channels // engine.pe
            return Sweep(rows, columns, words, node.op.window, words, words)
        case _:
            return None


def _staged(
    graph: Graph, target: Target, clock_mhz: float, step: Step, sweep: Sweep | None, engine: Folded
) -> tuple[Folded, Cost]:
    """The engine with the fewest stages that should meet the clock, and its cells.

    Where none does, with the fewest that are as fast as any.
    """
    node, most = step.node, 1
    if isinstance(node.op, Dense | Conv2d):
        kind = graph.values[node.inputs[0]].type
        most = products(node.op, kind, engine.simd, engine.loadable).most_stages

    @cache
    def built(stages: int) -> tuple[Folded, Cost, float]:
        here = replace(engine, stages=stages)
        part = node_amounts(graph, target, step, sweep, here, exact=False)
        cost = amounts_cost(part, target)
        return here, cost, coefficients(target).delays.slowest(part.paths, cost.lut)

    period = 1e3 / clock_mhz
    if built(1)[-1] <= period:
        return built(1)[:2]
    goal = max(period, built(most)[-1])  # more registers are never slower
    fewest = bisect_left(range(1, most), True, key=lambda stages: built(stages)[-1] <= goal) + 1
    return built(fewest)[:2]


def _candidate(
    graph: Graph, target: Target, clock_mhz: float, nodes: tuple[Node, ...], engine: Folded
) -> Candidate:
    engines: dict[str, Engine] = {}
    cost, longest = Cost(), 0
    for node in nodes:
        here = engine if node is nodes[0] else Folded(engine.pe)
        source = graph.values[node.inputs[0]]
        sweep = _sweep(graph, node, here)
        matrix = isinstance(node.op, Dense) or (
            isinstance(node.op, Conv2d) and not is_depthwise(node.op)
        )
        takes = here.simd if matrix else here.pe
        step = Step(node, takes, here.pe)
        here, part_cells = _staged(graph, target, clock_mhz, step, sweep, here)
        cost += part_cells
        longest = max(longest, source.size // takes, node.output.size // here.pe)
        longest = max(longest, sweep.cycles if sweep is not None else 0)
        engines[node.name] = here
    width = engine.pe * nodes[-1].output.type.width
    cost += amounts_cost(cells.fifo(target, width, 2), target)
    return Candidate(engines, longest, cost)


def _may_unroll(graph: Graph, nodes: tuple[Node, ...]) -> bool:
    op = nodes[0].op
    vector = len(graph.values[nodes[0].inputs[0]].shape) == 1
    return vector and isinstance(op, Dense) and decode(op.weights).size <= _MOST_UNROLLED


def _unrolled(graph: Graph, target: Target, clock_mhz: float, nodes: tuple[Node, ...]) -> Candidate:
    engines: dict[str, Engine] = {}
    cost = Cost()
    for node in nodes:
        engine = unrolled(graph, node, target, clock_mhz)
        step = Step(node, graph.values[node.inputs[0]].size, node.output.size)
        cost += amounts_cost(node_amounts(graph, target, step, None, engine), target)
        engines[node.name] = engine
    return Candidate(engines, 1, cost)


def _worthwhile(made: list[Candidate]) -> list[Candidate]:
    """Those that no other one beats in cycles and every resource, the slowest first."""
    kept: list[Candidate] = []
    for one in sorted(made, key=lambda c: (c.cycles, c.price)):
        beaten = any(
            other.cost.lut <= one.cost.lut
            and other.cost.bram <= one.cost.bram
            and other.cost.dsp <= one.cost.dsp
            for other in kept
        )
        if not beaten:
            kept.append(one)
    return kept[::-1]


def with_engines(plan: Plan, chosen: list[Candidate]) -> Plan:
    """The plan with the engines of one candidate of each part."""
    engines = dict(plan.engines)
    for candidate in chosen:
        engines.update(candidate.engines)
    return replace(plan, engines=engines)
