"""Integer programs: one candidate of every part, as fast or as cheap as limits allow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bitwright.cost_model.candidates import Candidate, Part
from bitwright.cost_model.cost import Estimate

UNITS: Mapping[str, str] = {
    "lut": "look-up tables", "bram": "memory blocks", "dsp": "multiplier blocks",
}  # fmt: skip
"""What may be limited, in words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan may take: cycles of its slowest part, and the most of the resources named."""

    cycles: float = math.inf
    most: Mapping[str, float] = field(default_factory=dict)

    def kept_by(self, found: Estimate) -> bool:
        """Whether a whole plan is within them."""
        cost = found.total.as_dict()
        return found.ii <= self.cycles and all(cost[w] <= limit for w, limit in self.most.items())


def in_time(ways: Sequence[Part], cycles: float) -> list[Part]:
    """The parts, with only the candidates of at most so many cycles."""
    return [
        Part(part.nodes, tuple(c for c in part.candidates if c.cycles <= cycles)) for part in ways
    ]


def smallest(ways: Sequence[Part], what: str = "price") -> list[Candidate]:
    """The candidate of each part with the least of a resource, or the lowest price."""

    def rank(candidate: Candidate) -> tuple[int, int]:
        price = candidate.price
        return (price if what == "price" else candidate.cost.as_dict()[what], price)

    return [min(part.candidates, key=rank) for part in ways]


def solved(ways: Sequence[Part], limits: Limits, fastest: bool) -> list[Candidate] | None:
    """One candidate of every part within the limits, the cheapest; None where there is none.

    fastest: the cheapest of those whose slowest part takes the fewest cycles.
    """
    kept = in_time(ways, limits.cycles)
    if not all(part.candidates for part in kept):
        return None
    if fastest:
        slowest = _program(kept, limits, least_cycles=True)
        if slowest is None:
            return None
        limits = Limits(max(candidate.cycles for candidate in slowest), limits.most)
        kept = in_time(kept, limits.cycles)
    return _program(kept, limits, least_cycles=False)


def _program(ways: Sequence[Part], limits: Limits, least_cycles: bool) -> list[Candidate] | None:
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
    for what, limit in limits.most.items():
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
