"""A graph and a plan to resources, cycles and clock, from formulas alone: no tool and no solver."""

from dataclasses import replace

from bitwright.cost_model.blends import amounts_cost
from bitwright.cost_model.cells import Amounts, voters
from bitwright.cost_model.cost import Cost, Estimate
from bitwright.cost_model.features import Addition, Contest, Features, Steps, Wires, features
from bitwright.cost_model.formulas import critical_path, depth, node_cost
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.streamed import STREAMS, between, block_parts
from bitwright.cost_model.targets import COEFFICIENTS, Delays
from bitwright.models.graph import Cycles, Graph, Node, Plan, Target, Unrolled, cycles
from bitwright.models.graph.any_weights import with_any_weights
from bitwright.models.graph.cycles import sized, timing
from bitwright.models.graph.plan import is_wiring
from bitwright.models.graph.streams import is_streamed, latency

MAX_STAGES = 64


def estimate(graph: Graph, plan: Plan) -> Estimate:
    """What the graph costs as the plan builds it, on the plan's target.

    Latency and initiation interval are exact; resources and the clock are estimates. A streamed
    design has one part more than nodes, `STREAMS`: FIFOs and what changes the width of beats.
    Raises GraphError where the plan is not for this graph.
    """
    plan.check(graph)
    if plan.redundancy == 3:
        return _three_times(graph, estimate(graph, replace(plan, redundancy=1)))
    if is_streamed(graph, plan):
        return _streamed(graph, plan)
    found = cycles(graph, plan)
    coefficients = COEFFICIENTS[plan.target]
    nodes = {}
    slowest_ns = 0.0
    for node in graph.nodes:
        stages = plan.stages(node.name)
        f = features(graph, node)
        nodes[node.name] = node_cost(f, stages, coefficients)
        slowest_ns = max(slowest_ns, critical_path(f, stages, coefficients.delays))
    return _estimate(plan, nodes, found, slowest_ns)


def _streamed(graph: Graph, plan: Plan) -> Estimate:
    made = sized(graph, plan)
    found = timing(graph, made).cycles
    graph = with_any_weights(graph, plan.loadable)
    coefficients = COEFFICIENTS[plan.target]
    nodes = {node.name: Cost() for node in graph.nodes}
    slowest_ns = 0.0
    for block in made.blocks:
        for step in block.steps:
            part = block_parts(graph, plan, block, step)
            stages = latency(step.node, plan.engines[step.node.name])
            nodes[step.node.name], ns = part_cost(part, stages, plan.target)
            slowest_ns = max(slowest_ns, ns)
    nodes[STREAMS] = amounts_cost(between(graph, plan.target, made), plan.target)
    return _estimate(plan, nodes, found, max(slowest_ns, coefficients.delays.register))


def _three_times(graph: Graph, once: Estimate) -> Estimate:
    """Three copies and a vote, which is on whole tensors at most."""
    nodes = {name: cost.scaled(3) for name, cost in once.nodes.items()}
    vote = amounts_cost(voters(graph.output.bits), once.target)
    nodes[STREAMS] = nodes.get(STREAMS, Cost()) + vote
    return replace(once, nodes=nodes)


def part_cost(part: Amounts | Features, stages: int, target: Target) -> tuple[Cost, float]:
    """The cells of a node of a streamed design, and the nanoseconds of its longest path."""
    c = COEFFICIENTS[target]
    if isinstance(part, Amounts):
        ns = c.delays.register + part.levels * c.delays.adder + c.delays.lut
        return amounts_cost(part, target), ns
    return node_cost(part, stages, c, streamed=True), critical_path(part, stages, c.delays)


def _estimate(plan: Plan, nodes: dict[str, Cost], found: Cycles, slowest_ns: float) -> Estimate:
    return Estimate(
        target=plan.target,
        nodes=nodes,
        latency=found.latency,
        ii=found.interval,
        clock_mhz=1e3 / max(slowest_ns, COEFFICIENTS[plan.target].delays.register),
    )


def unrolled_plan(graph: Graph, target: Target, clock_mhz: float = 200.0) -> Plan:
    """The plan with the fewest pipeline stages that should meet the clock, node by node.

    A node that cannot meet it gets the stages that bring it nearest; `estimate(…).clock_mhz` then
    says how near.

    Raises GraphError for an unknown target or a clock outside the plan's limits.
    """
    empty = Plan({}, target, clock_mhz)  # refuses what a plan refuses before anything is divided
    engines = {node.name: unrolled(graph, node, target, clock_mhz) for node in graph.nodes}
    return replace(empty, engines=engines)


def unrolled(graph: Graph, node: Node, target: Target, clock_mhz: float) -> Unrolled:
    """The engine of one node of an unrolled plan."""
    if is_wiring(node):
        return Unrolled(0)
    return Unrolled(_stages(features(graph, node), 1e3 / clock_mhz, COEFFICIENTS[target].delays))


def _stages(f: Features, period_ns: float, c: Delays) -> int:
    """The fewest stages that meet the period, else the fewest that are as fast as any."""
    if isinstance(f, Wires):
        return 0
    most = (
        1
        if isinstance(f, Steps | Tables | Addition | Contest)
        else min(depth(f).additions + 1, MAX_STAGES)
    )
    paths = {stages: critical_path(f, stages, c) for stages in range(1, most + 1)}
    fastest = min(paths.values())
    return min(stages for stages, ns in paths.items() if ns <= max(period_ns, fastest))
