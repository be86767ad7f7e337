"""A graph and a plan to resources, cycles and clock, from formulas alone: no tool and no solver."""

from dataclasses import replace

from bitwright.cost_model.cost import Estimate
from bitwright.cost_model.features import Features, Steps, Wires, features
from bitwright.cost_model.formulas import critical_path, depth, node_cost
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.targets import COEFFICIENTS, Delays
from bitwright.models.graph import Graph, Plan, Target, Unrolled, cycles

MAX_STAGES = 64


def estimate(graph: Graph, plan: Plan) -> Estimate:
    """What the graph costs as the plan builds it, on the plan's target.

    Latency and initiation interval are exact; resources and the clock are estimates.
    Raises GraphError where the plan is not for this graph.
    """
    plan.check(graph)
    timing = cycles(graph, plan)
    coefficients = COEFFICIENTS[plan.target]
    nodes = {}
    slowest_ns = 0.0
    for node in graph.nodes:
        stages = plan.stages(node.name)
        f = features(graph, node)
        nodes[node.name] = node_cost(f, stages, coefficients)
        slowest_ns = max(slowest_ns, critical_path(f, stages, coefficients.delays))
    return Estimate(
        target=plan.target,
        nodes=nodes,
        latency=timing.latency,
        ii=timing.interval,
        clock_mhz=1e3 / max(slowest_ns, coefficients.delays.register),
    )


def make_plan(graph: Graph, target: Target, clock_mhz: float = 200.0) -> Plan:
    """The plan with the fewest pipeline stages that should meet the clock, node by node.

    A node that cannot meet it gets the stages that bring it nearest; `estimate(…).clock_mhz` then
    says how near.

    Raises GraphError for an unknown target or a clock outside the plan's limits.
    """
    empty = Plan({}, target, clock_mhz)  # refuses what a plan refuses before anything is divided
    delays = COEFFICIENTS[target].delays
    engines = {
        node.name: Unrolled(_stages(features(graph, node), 1e3 / clock_mhz, delays))
        for node in graph.nodes
    }
    return replace(empty, engines=engines)


def _stages(f: Features, period_ns: float, c: Delays) -> int:
    """The fewest stages that meet the period, else the fewest that are as fast as any."""
    if isinstance(f, Wires):
        return 0
    most = 1 if isinstance(f, Steps | Tables) else min(depth(f).additions + 1, MAX_STAGES)
    paths = {stages: critical_path(f, stages, c) for stages in range(1, most + 1)}
    fastest = min(paths.values())
    return min(stages for stages, ns in paths.items() if ns <= max(period_ns, fastest))
