"""The fitted numbers: cells for one of each kind of logic, delays, errors, and where they hold.

All of them are in data/calibration.json, which only `bitwright calibrate` writes.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from bitwright.cost_model.amounts import KINDS, Amounts, LogicPath
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.formulas import table_count
from bitwright.cost_model.targets import SHARES, TABLES
from bitwright.models.graph import Target

FILE = resources.files("bitwright.cost_model") / "data" / "calibration.json"
VERSION = 2


@dataclass(frozen=True, slots=True)
class Delays:
    """Nanoseconds: from register to register; an addition, a bit of the last one's carry, a table;
    from a memory block more than from a register; through a multiplier block. Wires grow with the
    side of what they cross: enable is for the root of a thousand registers that are enabled, and
    spread, at every step, for the root of a thousand look-up tables of the node. A table is a
    quarter of a step, for it takes about a quarter of an addition's time.
    """

    register: float
    addition: float
    bit: float
    table: float
    memory: float
    product: float
    enable: float
    spread: float

    def of(self, path: LogicPath, luts: int) -> float:
        """The delay of a path in a node of so many look-up tables."""
        each = (self.register, self.addition, self.bit, self.table, self.memory, self.product,
                self.enable, self.spread)  # fmt: skip
        return sum(n * ns for n, ns in zip(terms(path, luts), each, strict=True))

    def slowest(self, paths: Iterable[LogicPath], luts: int) -> float:
        """That of the slowest path in a part of so many look-up tables."""
        return max((self.of(path, luts) for path in paths), default=self.of(LogicPath(), luts))


def terms(path: LogicPath, luts: int) -> tuple[float, ...]:
    """How often each of `Delays` is in a path."""
    return (
        1,
        path.additions,
        path.bits,
        path.tables,
        path.memories,
        path.products,
        math.sqrt(path.enabled / 1000),
        (1 + path.additions + path.tables / 4) * math.sqrt(luts / 1000),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Coefficients:
    """The numbers of one device family.

    lut, carry: cells for one of each of KINDS. spread: for each kind of part and resource, the
    |ln(measured / estimated)| that nine of ten rows stayed within when they were not in the fit.
    ranges: for each kind of part, what its features reached in the fit. clock_away: for each kind,
    ln(routed / estimated) of the periods of modules that were not in the fit, sorted; nothing where
    nothing was routed.
    """

    lut: Mapping[str, float]
    carry: Mapping[str, float]
    delays: Delays
    clock_away: Mapping[str, tuple[float, ...]]
    spread: Mapping[str, Mapping[str, float]]
    ranges: Mapping[str, Mapping[str, tuple[float, float]]]


def from_json(fields: Mapping[str, Any]) -> Coefficients:
    """The numbers of one target, as they are in the file."""
    return Coefficients(
        lut={kind: float(fields["lut"].get(kind, 0)) for kind in KINDS},
        carry={kind: float(fields["carry"].get(kind, 0)) for kind in KINDS},
        delays=Delays(**{name: float(ns) for name, ns in fields["delays"].items()}),
        clock_away={
            part: tuple(float(one) for one in each) for part, each in fields["clock_away"].items()
        },
        spread=fields["spread"],
        ranges={
            part: {name: (float(low), float(high)) for name, (low, high) in each.items()}
            for part, each in fields["ranges"].items()
        },
    )


@cache
def coefficients(target: Target) -> Coefficients:
    """The numbers of a target."""
    numbers = json.loads(FILE.read_text(encoding="utf-8"))["targets"]
    made = from_json(numbers[SHARES.get(target, target)])
    if target in SHARES:  # the same cells, of another process
        own = numbers[target]
        return Coefficients(
            made.lut, made.carry, Delays(**own["delays"]), {}, made.spread, made.ranges
        )
    return made


def certain(part: Amounts, target: Target) -> Cost:
    """What needs no fit: registers, blocks, and truth tables that are one table a bit."""
    inputs = TABLES[target].inputs
    return part.known + Cost(lut=sum(int((t.reads <= inputs).sum()) for t in part.tables))


def logic(part: Amounts, target: Target) -> dict[str, float]:
    """How much of each of KINDS there is, deep truth tables counted in a target's tables."""
    inputs = TABLES[target].inputs
    found = {kind: part.logic.get(kind, 0.0) for kind in KINDS}
    for t in part.tables:
        if t.stored:
            deep = t.reads > inputs
            found["stored"] += float(t.parts[inputs][deep].sum())
            found["column"] += float(deep.sum())
        else:
            found["deep"] += table_count(t, target)
    return found


def amounts_cost(part: Amounts, target: Target, numbers: Coefficients | None = None) -> Cost:
    """The cells of a part."""
    made = numbers or coefficients(target)
    found = logic(part, target)
    return certain(part, target) + Cost(
        lut=round(sum(made.lut[kind] * n for kind, n in found.items())),
        carry=round(sum(made.carry[kind] * n for kind, n in found.items())),
    )
