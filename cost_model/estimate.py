"""A graph and a plan to resources, cycles and clock, without a tool, and on request a solver."""

from dataclasses import replace

from bitwright.cost_model.bands import clock_band, extrapolating, node_bands
from bitwright.cost_model.cells import voters
from bitwright.cost_model.coefficients import amounts_cost, coefficients
from bitwright.cost_model.cost import Cost, Estimate
from bitwright.cost_model.features import Addition, Contest, Features, Steps, features
from bitwright.cost_model.formulas import amounts, depth
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.parts import Part, parts, streamed_parts
from bitwright.cost_model.streamed import STREAMS
from bitwright.models.graph import USUAL_MHZ, Cycles, Graph, Node, Plan, Target, Unrolled, cycles
from bitwright.models.graph.cycles import sized, timing
from bitwright.models.graph.plan import is_wiring
from bitwright.models.graph.streams import is_streamed

MAX_STAGES = 64


def estimate(graph: Graph, plan: Plan, *, solved: bool = False) -> Estimate:
    """What the graph costs as the plan builds it, on the plan's target.

    Latency and initiation interval are exact; resources and the clock are estimates with a band. A
    streamed design has one part more than nodes, `STREAMS`: FIFOs and what changes the width of
    beats. solved: count unrolled products as the emitter's solver finds them, which takes as long
    as emitting them, and is about twice as near; formulas alone otherwise.

    Raises:
        GraphError: the plan is not for this graph.
        UnsupportedError: `solved`, and the solver cannot take a node's constants.
    """
    plan.check(graph)
    if plan.redundancy == 3:
        return _three_times(graph, estimate(graph, replace(plan, redundancy=1), solved=solved))
    if not is_streamed(graph, plan):
        return _estimate(plan, parts(graph, plan, solved), cycles(graph, plan))
    made = sized(graph, plan)
    found = timing(graph, made).cycles
    return _estimate(plan, streamed_parts(graph, plan, made, solved), found)


def _three_times(graph: Graph, once: Estimate) -> Estimate:
    """Three copies and a vote, which is on whole tensors at most."""
    vote = amounts_cost(voters(graph.output.bits), once.target)
    nodes, low, high = (
        {name: cost.scaled(3) for name, cost in costs.items()}
        for costs in (once.nodes, once.low, once.high)
    )
    for costs in (nodes, low, high):
        costs[STREAMS] = costs.get(STREAMS, Cost()) + vote
    return replace(once, nodes=nodes, low=low, high=high)


def _estimate(plan: Plan, made: dict[str, Part], found: Cycles) -> Estimate:
    numbers = coefficients(plan.target)
    nodes = {name: amounts_cost(part.amounts, plan.target) for name, part in made.items()}
    periods = {
        name: numbers.delays.slowest(part.amounts.paths, nodes[name].lut)
        for name, part in made.items()
    }
    low, high = node_bands(made, nodes, numbers)
    return Estimate(
        target=plan.target,
        nodes=nodes,
        latency=found.latency,
        ii=found.interval,
        clock_mhz=1e3 / max(periods.values()),
        low=low,
        high=high,
        clock_band=clock_band(made, periods, numbers),
        extrapolating=extrapolating(made, numbers),
    )


def unrolled_plan(graph: Graph, target: Target, clock_mhz: float | None = None) -> Plan:
    """The plan with the fewest pipeline stages that should meet the clock, node by node.

    A node that cannot meet it gets the stages that bring it nearest; `estimate(…).clock_mhz` then
    says how near. clock_mhz: the family's usual one without.

    Raises GraphError for an unknown target or a clock outside the plan's limits.
    """
    clock_mhz = USUAL_MHZ.get(target, 1.0) if clock_mhz is None else clock_mhz
    empty = Plan({}, target, clock_mhz)  # refuses what a plan refuses before anything is divided
    engines = {node.name: unrolled(graph, node, target, clock_mhz) for node in graph.nodes}
    return replace(empty, engines=engines)


def unrolled(graph: Graph, node: Node, target: Target, clock_mhz: float) -> Unrolled:
    """The engine of one node of an unrolled plan."""
    if is_wiring(node):
        return Unrolled(0)
    return Unrolled(_stages(features(graph, node), 1e3 / clock_mhz, target))


def stage_options(graph: Graph, node: Node, target: Target) -> tuple[int, ...]:
    """Numbers of pipeline stages of a node, from one to where more cannot be faster."""
    if is_wiring(node):
        return (0,)
    return tuple(range(1, _most_stages(features(graph, node), target) + 1))


def _most_stages(f: Features, target: Target) -> int:
    if isinstance(f, Steps | Tables | Addition | Contest):
        return 1
    return min(depth(f, target).additions + 1, MAX_STAGES)


def _stages(f: Features, period_ns: float, target: Target) -> int:
    """The fewest stages that meet the period, else the fewest that are as fast as any."""
    numbers = coefficients(target)
    times = {}
    for stages in range(1, _most_stages(f, target) + 1):
        made = amounts(f, stages, target)
        times[stages] = numbers.delays.slowest(made.paths, amounts_cost(made, target).lut)
    fastest = min(times.values())
    return min(stages for stages, ns in times.items() if ns <= max(period_ns, fastest))
