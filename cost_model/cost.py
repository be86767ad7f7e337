"""What hardware costs: the resources of one node or of a whole network, estimated or measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bitwright.models.graph import Target

RESOURCES = ("lut", "ff", "carry", "dsp", "bram")


@dataclass(frozen=True, slots=True)
class Cost:
    """Resources, in the units of the target's own cells.

    lut: look-up tables that are occupied, by the rule of `yosys.CELLS`. ff: flip-flops. carry:
    carry cells (CARRY4 or CARRY8, CCU2C, SB_CARRY). dsp: multiplier blocks. bram: memory
    blocks, the smallest that there are: of 18 Kb, on iCE40 of 4.
    """

    lut: int = 0
    ff: int = 0
    carry: int = 0
    dsp: int = 0
    bram: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.lut + other.lut,
            self.ff + other.ff,
            self.carry + other.carry,
            self.dsp + other.dsp,
            self.bram + other.bram,
        )

    def scaled(self, count: int) -> "Cost":
        """The cost of `count` copies."""
        return Cost(*(count * n for n in self.as_dict().values()))

    def as_dict(self) -> dict[str, int]:
        """The five counts by name, in the order in which reports print them."""
        return {
            "lut": self.lut,
            "ff": self.ff,
            "carry": self.carry,
            "dsp": self.dsp,
            "bram": self.bram,
        }


def total(costs: Iterable[Cost]) -> Cost:
    """The sum; nothing costs nothing."""
    return sum(costs, Cost())


COMMON = 0.3
"""Correlation of the errors of the parts of one network: they come from the same formulas."""


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """What the formulas say about a graph under a plan.

    latency: clock cycles from the edge that takes a vector in to the edge that can take it out.
    ii: initiation interval, cycles between two vectors. Both are exact. clock_mhz: the fastest
    clock that the slowest node is expected to reach. low, high: each node's band, which nine of ten
    such nodes stay within. clock_band: the slowest and the fastest clock in MHz, None where nothing
    was ever routed, so that delays are assumed.
    extrapolating: what of the network is beyond everything that the numbers were fitted to.
    """

    target: Target
    nodes: Mapping[str, Cost]
    latency: int
    ii: int
    clock_mhz: float
    low: Mapping[str, Cost] = field(default_factory=dict)
    high: Mapping[str, Cost] = field(default_factory=dict)
    clock_band: tuple[float, float] | None = None
    extrapolating: tuple[str, ...] = ()

    @property
    def total(self) -> Cost:
        """All nodes together."""
        return total(self.nodes.values())

    @property
    def band(self) -> tuple[Cost, Cost]:
        """The least and the most of the total: errors of nodes partly cancel (`COMMON`)."""
        ends = []
        for sign, end in ((-1, self.low), (1, self.high)):
            counts = {}
            for resource, centre in self.total.as_dict().items():
                away = [
                    abs(cost.as_dict()[resource] - self.nodes[name].as_dict()[resource])
                    for name, cost in end.items()
                ]
                alone, together = sum(d * d for d in away), sum(away) ** 2
                width = math.sqrt((1 - COMMON) * alone + COMMON * together)
                counts[resource] = max(centre + sign * round(width), 0)
            ends.append(Cost(**counts))
        return ends[0], ends[1]

    @property
    def latency_ns(self) -> float:
        """Nanoseconds from a vector's arrival to its result, at `clock_mhz`."""
        return self.latency * 1e3 / self.clock_mhz

    @property
    def vectors_per_second(self) -> float:
        """Throughput at full rate, at `clock_mhz`."""
        return self.clock_mhz * 1e6 / self.ii


@dataclass(frozen=True, eq=False, slots=True)
class Measurement:
    """What a synthesis tool counted, module by module. tool: its name and version."""

    target: Target
    tool: str
    nodes: Mapping[str, Cost]
    cached: frozenset[str]
    """The nodes whose counts were already in the cache."""
    clocks: Mapping[str, float] = field(default_factory=dict)
    """The MHz that each node reaches by itself, where the tool placed and routed it."""

    @property
    def total(self) -> Cost:
        """All nodes together."""
        return total(self.nodes.values())
