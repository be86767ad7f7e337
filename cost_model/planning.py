"""Plans: vectors that fit are unrolled, all else is folded as well as can be, by integer programs.

Throughput is the slowest part's (min-max): for a rate, every part is as cheap as it can be in so
many cycles; for a budget, the cycles of the slowest part are minimised, and then the cost.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bitwright.cost_model.candidates import Candidate, Part, connections, parts, with_engines
from bitwright.cost_model.cost import Estimate
from bitwright.cost_model.estimate import estimate, unrolled_plan
from bitwright.cost_model.programs import UNITS, Limits, in_time, smallest, solved
from bitwright.models.errors import InputError, UnsupportedError
from bitwright.models.graph import USUAL_MHZ, Folded, Graph, Plan, Target, Unrolled
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.streams import is_streamed, streams

USUAL_LUTS: dict[Target, int] = {
    "xc7": 20_000, "xcup": 20_000, "ecp5": 20_000, "ice40": 5_000, "gowin": 15_000,
}  # fmt: skip
"""Look-up tables that a plan may take when nothing else is said: those of a small device."""

_MOST_TRIES = 8  # of tightening a limit that the finished plan misses


def make_plan(graph: Graph, target: Target, clock_mhz: float | None = None) -> Plan:
    """A plan for any graph. clock_mhz: see `find_plan`.

    Vectors are unrolled if that takes at most USUAL_LUTS: one a cycle, with the fewest pipeline
    stages that should meet the clock. All else is folded: the fastest plan of at most USUAL_LUTS,
    and of those the cheapest; where even the smallest takes more, that one.

    Raises GraphError for an unknown target or a clock outside the plan's limits.
    """
    if clock_mhz is None:
        return _at_its_clock(graph, target, lambda mhz: make_plan(graph, target, mhz))
    if all(len(value.shape) == 1 for value in graph.values.values()):
        one_a_cycle = unrolled_plan(graph, target, clock_mhz)
        if estimate(graph, one_a_cycle).total.lut <= USUAL_LUTS[target]:
            return one_a_cycle
    empty = Plan(connections(graph), target, clock_mhz)
    ways = parts(graph, target, clock_mhz)
    within = Limits(most={"lut": USUAL_LUTS[target]})
    plan = _tightened(graph, empty, ways, within, within, fastest=True)
    return with_engines(empty, smallest(ways)) if plan is None else plan


def find_plan(
    graph: Graph,
    target: Target,
    clock_mhz: float | None = None,
    *,
    target_fps: float | None = None,
    max_lut: int | None = None,
    max_bram: int | None = None,
    max_dsp: int | None = None,
) -> Plan:
    """The cheapest plan that reaches a rate, or the fastest within limits, or both.

    target_fps: tensors a second at `clock_mhz`, reached by `cycles()` exactly. max_lut, max_bram,
    max_dsp: look-up tables, memory and multiplier blocks of the whole design, as `estimate` counts
    them. Without any of these, as `make_plan`.

    clock_mhz: without, the family's usual one (`USUAL_MHZ`), or a slower one that the plan should
    reach.

    Raises:
        InputError: no plan reaches all that, with what is the nearest.
        GraphError: an unknown target, or a clock outside the plan's limits.
    """
    asked = {"lut": max_lut, "bram": max_bram, "dsp": max_dsp}
    most = {what: limit for what, limit in asked.items() if limit is not None}
    if target_fps is None and not most:
        return make_plan(graph, target, clock_mhz)
    if target_fps is not None and not 0 < target_fps < math.inf:
        raise InputError(f"a rate of {target_fps} tensors a second: give a number above 0")
    for what, limit in most.items():
        if limit < 0:
            raise InputError(f"at most {limit} {UNITS[what]}: give a number from 0 on")

    def planned(mhz: float) -> Plan:
        empty = Plan(connections(graph), target, mhz)
        return _within(graph, empty, target_fps, most)

    if clock_mhz is not None:
        return planned(clock_mhz)
    return _at_its_clock(graph, target, planned, target_fps)


def _at_its_clock(
    graph: Graph, target: Target, planned: Callable[[float], Plan], fps: float | None = None
) -> Plan:
    """The plan for the usual clock, or for slower ones until the estimate reaches it.

    A slower clock may want more parallel hardware, which is slower again; where that comes to no
    end, the last plan is taken as fast as it is. Raises InputError where that misses the rate and
    delays were routed; others are too rough to refuse by.
    """
    if target not in USUAL_MHZ:
        return planned(1.0)  # refuses the target
    plan = planned(USUAL_MHZ[target])
    for _ in range(_MOST_TRIES):
        found = _estimated(graph, plan)
        mhz = min(plan.clock_mhz, _round_mhz(found.clock_mhz))
        if mhz == plan.clock_mhz:
            return plan
        # Of unrolled sums formulas, which choose their registers, know less than the solver: for a
        # slower clock they would choose fewer, and so on.
        enough = fps is None or mhz * 1e6 / found.ii >= fps
        if enough and found.clock_mhz < estimate(graph, plan).clock_mhz:
            break
        try:
            plan = planned(mhz)
        except InputError:  # too slow a clock for the rate
            break
    found = _estimated(graph, plan)
    mhz = min(plan.clock_mhz, _round_mhz(found.clock_mhz))
    if fps is not None and mhz * 1e6 / found.ii < fps:
        if found.clock_band is None:
            return plan
        raise InputError(
            f"no plan of graph {graph.name} makes {fps:,.6g} tensors a second on {target} at a "
            f"clock that it should reach: the nearest takes {found.ii:,} cycles a tensor and "
            f"should reach {found.clock_mhz:.0f} MHz, {found.vectors_per_second:,.0f} a second; "
            "ask for fewer, allow more, or give the clock yourself, reached or not"
        )
    return replace(plan, clock_mhz=mhz)


def _estimated(graph: Graph, plan: Plan) -> Estimate:
    """As near as can be: solved, but for constants that the solver cannot take."""
    try:
        return estimate(graph, plan, solved=True)
    except UnsupportedError:
        return estimate(graph, plan)


def _round_mhz(mhz: float) -> float:
    """A clock that people would write, no faster than this one, but at least the least of plans."""
    step = 5.0 if mhz >= 20 else 1.0
    return max(1.0, mhz // step * step)


def _within(graph: Graph, empty: Plan, fps: float | None, most: Mapping[str, int]) -> Plan:
    ways = parts(graph, empty.target, empty.clock_mhz)
    asked = Limits(math.inf if fps is None else empty.clock_mhz * 1e6 / fps, most)
    quickest = {part.name: min(one.cycles for one in part.candidates) for part in ways}
    name = max(quickest, key=lambda n: quickest[n])
    if quickest[name] > asked.cycles:
        raise InputError(_too_fast(graph, empty, ways, name, asked.cycles))
    plan = _tightened(graph, empty, ways, asked, asked, fastest=fps is None)
    return _at_the_edge(graph, empty, ways, asked, fps is None) if plan is None else plan


def _tightened(
    graph: Graph, empty: Plan, ways: Sequence[Part], limits: Limits, asked: Limits, fastest: bool
) -> Plan | None:
    """A plan that keeps what was asked, of parts that at first keep the limits; None without."""
    for again in range(1, _MOST_TRIES + 1):
        chosen = solved(ways, limits, fastest)
        if chosen is None:
            return None
        plan = with_engines(empty, chosen)
        found = estimate(graph, plan)
        if asked.kept_by(found):
            return plan
        # What lies between the parts is known only now: leave room for it.
        slower = found.ii > asked.cycles
        cost = found.total.as_dict()
        limits = Limits(
            limits.cycles * asked.cycles / found.ii if slower else limits.cycles,
            {
                what: limit - max(cost[what] - asked.most[what], 0) * again
                for what, limit in limits.most.items()
            },
        )
    return None


def _at_the_edge(
    graph: Graph, empty: Plan, ways: Sequence[Part], asked: Limits, fastest: bool
) -> Plan:
    """The plan for limits that tightening overshot: between the smallest parts and those that miss.

    Raises InputError where even the smallest plans, as a whole, miss them.
    """
    kept = in_time(ways, asked.cycles)
    choices = [smallest(kept, what) for what in ("price", *asked.most)]
    plans = [with_engines(empty, chosen) for chosen in choices]
    estimates = [estimate(graph, plan) for plan in plans]
    for chosen, plan, found in zip(choices, plans, estimates, strict=True):
        if asked.kept_by(found):
            return _between(graph, empty, ways, asked, fastest, chosen, plan)
    prompt = [found.total.as_dict() for found in estimates if found.ii <= asked.cycles]
    at_rate, slower = ("", "") if fastest else (" at that rate", ", or ask for fewer a second")
    where = f"on {empty.target}"
    if not prompt:
        raise InputError(
            f"graph {graph.name}: the smallest design{at_rate} {where} would take "
            f"{asked.cycles:,.0f} cycles a tensor if its parts never waited for each other, and "
            f"takes {min(found.ii for found in estimates):,}: allow more{slower}"
        )
    for what, limit in asked.most.items():
        need = min(cost[what] for cost in prompt)
        if need > limit:
            raise InputError(
                f"the smallest design found{at_rate} {where} needs {need:,} {UNITS[what]}, "
                f"{need - limit:,} more than the {limit:,} allowed: allow that many{slower}"
            )
    each = " and ".join(f"at most {limit:,} {UNITS[what]}" for what, limit in asked.most.items())
    raise InputError(
        f"no design{at_rate} was found {where} that has {each} at once, though each alone is "
        f"possible: allow more of one{slower}"
    )


def _between(
    graph: Graph,
    empty: Plan,
    ways: Sequence[Part],
    asked: Limits,
    fastest: bool,
    least: Sequence[Candidate],
    plan: Plan,
) -> Plan:
    """The best plan found by halving between the parts of a plan that fits and all that is asked.

    least: the parts of `plan`, which keeps what is asked.
    """
    floor = {w: sum(part.cost.as_dict()[w] for part in least) for w in asked.most}
    low, high = 0.0, 1.0
    for _ in range(_MOST_TRIES // 2):
        share = (low + high) / 2
        most = {w: floor[w] + share * (limit - floor[w]) for w, limit in asked.most.items()}
        chosen = solved(ways, Limits(asked.cycles, most), fastest)
        other = with_engines(empty, chosen) if chosen is not None else None
        if other is not None and asked.kept_by(estimate(graph, other)):
            plan, low = other, share
        else:
            high = share
    return plan


def _too_fast(graph: Graph, empty: Plan, ways: Sequence[Part], name: str, cycles: float) -> str:
    """What a rate is refused with that leaves fewer cycles than part `name` can take.

    Unrolled convolutions and large dense layers are no candidates, but a user may want them.
    """
    best = {part.name: min(part.candidates, key=lambda c: c.cycles) for part in ways}
    least, folded = best[name].cycles, isinstance(best[name].engines[name], Folded)
    by_hand = ""
    if folded:
        plan = with_engines(empty, list(best.values()))
        unrolled = replace(plan, engines={**plan.engines, name: Unrolled(3)})
        took = node_cycles(graph, unrolled)[name]
        if took < least:
            by_hand = (
                f'. Unrolled, which is not tried here, {name} takes {took:,}: give it "stages": 3 '
                "in place of pe and simd in the file of a plan"
            )
    rate = math.floor(empty.clock_mhz * 1e7 / least) / 10  # rounded up, it would be refused again
    return (
        f"{'folded' if folded else 'unrolled'}, node {name} takes at least {least:,} "
        f"{'cycles' if least > 1 else 'cycle'}, and the rate leaves {cycles:,.4g}: at "
        f"{empty.clock_mhz:g} MHz that makes at most {rate:,.1f} a second; ask for that, or for a "
        f"faster clock{by_hand}"
    )


def node_cycles(graph: Graph, plan: Plan) -> dict[str, int]:
    """Cycles that each node's hardware works on one tensor, when nothing holds it up."""
    if not is_streamed(graph, plan):
        return {node.name: 1 for node in graph.nodes}
    found = {node.name: 0 for node in graph.nodes}
    for block in streams(graph, plan).blocks:
        for step in block.steps:
            node = step.node
            beats = graph.values[node.inputs[0]].size // step.takes
            beats = max(beats, node.output.size // step.makes)
            if isinstance(block.head, Sweep) and block.steps[0] is step:
                beats = max(beats, block.head.cycles)
            found[node.name] = beats
    return found
