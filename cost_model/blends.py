"""Look-up tables and carry cells of the streaming cells' logic: so many for a bit of each kind.

The numbers are in data/folded.json, which `python -m benchmarks.folded_cost fit` writes: fitted,
none of them negative, to the rows of data/folded.csv (emitted modules that Yosys counted), and held
near what the structure says (`EXPECTED`) where few rows tell.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bitwright.cost_model.cells import KINDS, Amounts
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.targets import COEFFICIENTS
from bitwright.models.graph import Target

FITTED: Mapping[Target, Target] = {
    "xc7": "xc7", "xcup": "xc7", "ecp5": "ecp5", "ice40": "ice40", "gowin": "ice40",
}  # fmt: skip
"""Whose numbers a target has: Yosys maps UltraScale+ to the tables and CARRY4 of 7-series.

Gowin has none of its own yet."""

EXPECTED: Mapping[str, tuple[float, float]] = {
    "window": (10.0, 0.0), "loop": (1.0, 0.1), "row": (1.2, 0.3), "place": (1.5, 0.3),
    "masked": (0.7, 0.0), "tree": (1.0, 0.3), "sum": (1.2, 0.3), "product": (1.2, 0.3),
    "sign": (0.4, 0.0), "equal": (0.7, 0.0), "largest": (1.5, 0.3), "pooled": (1.0, 0.3),
    "fifo": (1.2, 0.0), "select": (0.4, 0.0), "compare": (0.7, 0.3), "shift": (0.5, 0.0),
    "deep": (3.0, 0.0),
}  # fmt: skip
"""Tables and carry cells a bit, from first principles: what a fit without rows would give."""


@dataclass(frozen=True, slots=True)
class Blend:
    """Tables and carry cells for a bit of each of KINDS."""

    lut: Mapping[str, float]
    carry: Mapping[str, float]


@cache
def blend(target: Target) -> Blend:
    """The numbers of a target."""
    file = resources.files("bitwright.cost_model") / "data" / "folded.json"
    numbers = json.loads(file.read_text(encoding="utf-8"))[FITTED[target]]
    return Blend(*({k: float(numbers[what][k]) for k in KINDS} for what in ("lut", "carry")))


def certain(part: Amounts, target: Target) -> Cost:
    """What needs no fit: registers, blocks, and memories that are one table a bit."""
    inputs = COEFFICIENTS[target].lookup.inputs
    return part.known + Cost(lut=sum(int((t.reads <= inputs).sum()) for t in part.tables))


def logic(part: Amounts, target: Target) -> dict[str, float]:
    """How much of each of KINDS there is, the deep memories counted in a target's tables."""
    inputs = COEFFICIENTS[target].lookup.inputs
    deep = sum(float(t.parts[inputs][t.reads > inputs].sum()) for t in part.tables)
    return {kind: part.logic.get(kind, 0.0) for kind in KINDS} | {"deep": deep}


def amounts_cost(part: Amounts, target: Target) -> Cost:
    """The cells of a part."""
    numbers, amounts = blend(target), logic(part, target)
    return certain(part, target) + Cost(
        lut=round(sum(numbers.lut[kind] * n for kind, n in amounts.items())),
        carry=round(sum(numbers.carry[kind] * n for kind, n in amounts.items())),
    )
