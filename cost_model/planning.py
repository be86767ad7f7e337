"""Plans: vectors that fit are unrolled, all else is folded as well as can be, by integer programs.

Throughput is the slowest part's (min-max): for a rate, every part is as cheap as it can be in so
many cycles; for a budget, the cycles of the slowest part are minimised, and then the cost.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitwright.cost_model.candidates import Candidate, Part, connections, parts, with_engines
from bitwright.cost_model.cost import Estimate
from bitwright.cost_model.estimate import estimate, unrolled_plan
from bitwright.models.errors import InputError, UnsupportedError
from bitwright.models.graph import USUAL_MHZ, Folded, Graph, Plan, Target, Unrolled
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.streams import is_streamed, streams

USUAL_LUTS: dict[Target, int] = {
    "xc7": 20_000, "xcup": 20_000, "ecp5": 20_000, "ice40": 5_000, "gowin": 15_000,
}  # fmt: skip
"""Look-up tables that a plan may take when nothing else is said: those of a small device."""

_MOST_TRIES = 8  # of tightening a limit that the finished plan misses


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a plan may take: cycles of its slowest part, look-up tables, memory blocks."""

    cycles: float = math.inf
    lut: float = math.inf
    bram: float = math.inf


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
        plan = unrolled_plan(graph, target, clock_mhz)
        if estimate(graph, plan).total.lut <= USUAL_LUTS[target]:
            return plan
    empty = Plan(connections(graph), target, clock_mhz)
    try:
        return _within(graph, empty, None, USUAL_LUTS[target], None)
    except InputError:
        return _smallest(empty, parts(graph, target, clock_mhz))


def find_plan(
    graph: Graph,
    target: Target,
    clock_mhz: float | None = None,
    *,
    target_fps: float | None = None,
    max_lut: int | None = None,
    max_bram: int | None = None,
) -> Plan:
    """The cheapest plan that reaches a rate, or the fastest within limits, or both.

    target_fps: tensors a second at `clock_mhz`, reached by `cycles()` exactly. max_lut, max_bram:
    of the whole design, as `estimate` counts them. Without any of these, as `make_plan`.

    clock_mhz: without, the family's usual one (`USUAL_MHZ`), or a slower one that the plan should
    reach.

    Raises:
        InputError: no plan reaches all that, with what is the nearest.
        GraphError: an unknown target, or a clock outside the plan's limits.
    """
    if target_fps is None and max_lut is None and max_bram is None:
        return make_plan(graph, target, clock_mhz)
    if target_fps is not None and not 0 < target_fps < math.inf:
        raise InputError(f"a rate of {target_fps} tensors a second: give a number above 0")
    for what, limit in (("look-up tables", max_lut), ("memory blocks", max_bram)):
        if limit is not None and limit < 0:
            raise InputError(f"at most {limit} {what}: give a number from 0 on")

    def planned(mhz: float) -> Plan:
        empty = Plan(connections(graph), target, mhz)
        return _within(graph, empty, target_fps, max_lut, max_bram)

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


def _within(
    graph: Graph, empty: Plan, fps: float | None, max_lut: int | None, max_bram: int | None
) -> Plan:
    ways = parts(graph, empty.target, empty.clock_mhz)
    most = math.inf if fps is None else empty.clock_mhz * 1e6 / fps
    limits = asked = _Limits(
        most,
        math.inf if max_lut is None else max_lut,
        math.inf if max_bram is None else max_bram,
    )
    for again in range(1, _MOST_TRIES + 1):
        plan = with_engines(empty, _solved(graph, empty, ways, limits, asked, fps is None))
        if fps is None and asked.lut == asked.bram == math.inf:
            return plan
        found = estimate(graph, plan)
        cost = found.total
        over = cost.lut - asked.lut, cost.bram - asked.bram
        if found.ii <= asked.cycles and max(over) <= 0:
            return plan
        # What lies between the parts is known only now: leave room for it.
        limits = _Limits(
            limits.cycles * asked.cycles / found.ii if found.ii > asked.cycles else limits.cycles,
            limits.lut - max(over[0], 0) * again,
            limits.bram - max(over[1], 0) * again,
        )
    raise InputError(
        f"graph {graph.name}: the nearest plan takes {found.ii:,} cycles a tensor, {cost.lut:,} "
        f"look-up tables and {cost.bram:,} memory blocks on {empty.target}, and "
        f"{_wanted(asked)} was asked for: allow more, or ask for less"
    )


def _solved(
    graph: Graph, empty: Plan, ways: Sequence[Part], limits: _Limits, asked: _Limits, fastest: bool
) -> list[Candidate]:
    """One candidate of every part within the limits. Raises InputError where there is none."""
    quickest = {part.name: min(one.cycles for one in part.candidates) for part in ways}
    name = max(quickest, key=lambda n: quickest[n])
    if quickest[name] > limits.cycles:
        raise InputError(_too_fast(graph, empty, ways, name, asked.cycles))
    kept = [
        Part(part.nodes, tuple(c for c in part.candidates if c.cycles <= limits.cycles))
        for part in ways
    ]
    for what, limit in (("lut", limits.lut), ("bram", limits.bram)):
        least = sum(min(c.cost.as_dict()[what] for c in part.candidates) for part in kept)
        if least > limit:
            names = {"lut": "look-up tables", "bram": "memory blocks"}
            wanted = asked.lut if what == "lut" else asked.bram
            short = math.ceil(least - limit)
            at_rate = "" if fastest else " at that rate"
            raise InputError(
                f"the smallest design{at_rate} on {empty.target} needs {wanted + short:,.0f} "
                f"{names[what]}, {short:,} more than the {wanted:,.0f} allowed: allow that many"
                + ("" if fastest else ", or ask for fewer a second")
            )
    slowest = _program(kept, limits, least_cycles=True) if fastest else None
    if fastest and slowest is not None:
        cycles_of = max(candidate.cycles for candidate in slowest)
        limits = _Limits(cycles_of, limits.lut, limits.bram)
        kept = [
            Part(part.nodes, tuple(c for c in part.candidates if c.cycles <= cycles_of))
            for part in kept
        ]
    chosen = _program(kept, limits, least_cycles=False)
    if chosen is None:
        raise InputError(
            f"no design on {empty.target} has at most {asked.lut:,.0f} look-up tables and at most "
            f"{asked.bram:,.0f} memory blocks at once, though each alone is possible: allow more "
            "of either"
        )
    return chosen


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


def _program(ways: Sequence[Part], limits: _Limits, least_cycles: bool) -> list[Candidate] | None:
    """The integer program: one candidate a part, within the limits; None where there is none.

    least_cycles: minimise the cycles of the slowest; otherwise the price.
    """
    every = [candidate for part in ways for candidate in part.candidates]
    count = len(every)
    rows, low, high = [], [], []
    at = 0
    for part in ways:
        row = np.zeros(count + 1)
        row[at : at + len(part.candidates)] = 1
        at += len(part.candidates)
        rows.append(row)
        low.append(1.0)
        high.append(1.0)
    for what, limit in (("lut", limits.lut), ("bram", limits.bram)):
        if limit < math.inf:
            rows.append(np.array([*(c.cost.as_dict()[what] for c in every), 0.0]))
            low.append(-math.inf)
            high.append(limit)
    most = max(candidate.cycles for candidate in every)
    goal = np.array([float(candidate.price) for candidate in every] + [0.0])
    if least_cycles:
        goal = np.zeros(count + 1)
        goal[-1] = 1
        at = 0
        for part in ways:  # the last variable, scaled to 1, is at least each part's cycles
            row = np.zeros(count + 1)
            for i, candidate in enumerate(part.candidates):
                row[at + i] = candidate.cycles / most
            at += len(part.candidates)
            row[-1] = -1
            rows.append(row)
            low.append(-math.inf)
            high.append(0.0)
    # Only here: vectors are planned without, and it takes half a second to import.
    from scipy.optimize import (
        Bounds,
        LinearConstraint,
        milp,
    )

    found = milp(
        goal,
        integrality=np.array([1] * count + [0]),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.array(rows), low, high),
        options={"mip_rel_gap": 0 if least_cycles else 1e-3},
    )
    if found.x is None:
        return None
    return [candidate for candidate, taken in zip(every, found.x, strict=False) if taken > 0.5]


def _smallest(empty: Plan, ways: Sequence[Part]) -> Plan:
    return with_engines(empty, [min(part.candidates, key=lambda c: c.price) for part in ways])


def _wanted(asked: _Limits) -> str:
    limits = (
        (asked.cycles, "cycles"), (asked.lut, "look-up tables"), (asked.bram, "memory blocks"),
    )  # fmt: skip
    return ", ".join(f"at most {limit:,.0f} {what}" for limit, what in limits if limit < math.inf)


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
