"""What a job found out: the fields of report.json."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.models.files import replace_file

if TYPE_CHECKING:
    from bitwright.cost_model import Estimate
    from bitwright.models.graph import Plan
    from bitwright.rtl_tb.bench import BenchResult

RESOURCES = ("lut", "ff", "carry", "dsp", "bram")
Resources = Mapping[str, int]
"""A count for each of RESOURCES, in the units of the target's own cells."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of right decisions on the test rows; None without labels."""

    torch: float | None
    reference: float | None


@dataclass(frozen=True, slots=True)
class Lowering:
    """Torch against the reference: integers of all quantised tensors, and decisions."""

    compared_integers: int
    differing_integers: int
    decisions: int
    differing_decisions: int
    tensors: Mapping[str, Mapping[str, int]]
    """For each tensor how many integers were `compared` and are `differing`."""

    def __str__(self) -> str:
        return f"{self.differing_integers:,} of {self.compared_integers:,} differ"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine against the reference: whole output vectors.

    HLS also says its interface, `io`: tensors as arrays (io_parallel) or as streams (io_stream).
    RTL says its `latency` and initiation `interval` in cycles, and its `faults` in sentences:
    wrong values, cycles other than predicted, broken rules of AXI4-Stream.
    """

    vectors: int
    mismatches: int
    latency: int | None = None
    interval: int | None = None
    faults: tuple[str, ...] = ()
    io: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing at all was wrong."""
        return self.mismatches == 0 and not self.faults

    def __str__(self) -> str:
        return f"{self.mismatches:,} of {self.vectors:,} vectors differ"


@dataclass(frozen=True, slots=True)
class Control:
    """One deliberate mistake, given to one engine: the check has to report `expected` vectors."""

    engine: str
    mistake: str
    where: str
    expected: int
    mismatches: int

    @property
    def caught(self) -> bool:
        """Whether the check saw it, in every vector in which it shows."""
        return self.mismatches == self.expected > 0


@dataclass(frozen=True, slots=True)
class Controls:
    """The negative controls. A kind of mistake that never shows counts as one not caught."""

    caught: int
    total: int
    each: tuple[Control, ...]

    @property
    def passed(self) -> bool:
        """Whether all were caught."""
        return self.caught == self.total

    def __str__(self) -> str:
        return f"{self.caught} of {self.total} caught"


@dataclass(frozen=True, slots=True)
class Cycles:
    """Clock cycles, as the plan says and as the simulator saw; None where nothing came out."""

    predicted: int
    simulated: int | None

    @property
    def passed(self) -> bool:
        """Whether they are equal."""
        return self.predicted == self.simulated

    def __str__(self) -> str:
        return f"{self.predicted} predicted, {self.simulated} simulated"


@dataclass(frozen=True, slots=True)
class Cost:
    """Resources on a target, as the formulas say and as synthesis counted."""

    target: str
    estimated: Resources
    measured: Resources
    layers: Mapping[str, Mapping[str, Resources]]
    """The same for every node: `estimated`, `low` and `high` (its band), and `measured`."""
    low: Resources = dataclasses.field(default_factory=dict)
    high: Resources = dataclasses.field(default_factory=dict)
    """The band of the estimate: nine of ten networks stay within."""
    extrapolating: tuple[str, ...] = ()
    """What is beyond everything that the cost model was fitted to."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `passed` says whether every check found what it should."""

    name: str
    graph: str
    """The graph's digest."""
    accuracy: Accuracy
    lowering: Lowering
    engines: Mapping[str, Engine]
    bench: "BenchResult"
    controls: Controls
    cycles: Cycles
    ii: Cycles
    clock_mhz: Mapping[str, float]
    cost: Cost
    seconds: float
    steps: Mapping[str, float]
    """Seconds of every step, by its title."""
    versions: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether the engines, the benches and the cycles agree and every control was caught."""
        return (
            all(engine.passed for engine in self.engines.values())
            and not self.bench.failed
            and self.controls.passed
            and self.cycles.passed
            and self.ii.passed
        )


def to_json(value: Any) -> str:
    """Dataclasses, mappings and paths as indented JSON."""
    return json.dumps(_plain(value), indent=1) + "\n"


def clocks(plan: "Plan", estimated: "Estimate") -> dict[str, float]:
    """MHz: asked for, estimated, and the band of that, where the delays were routed."""
    found = {"asked": plan.clock_mhz, "estimated": estimated.clock_mhz}
    if estimated.clock_band is not None:
        found |= dict(zip(("low", "high"), estimated.clock_band, strict=True))
    return found


def write_json(value: Any, path: Path) -> None:
    """Replace a file by JSON. Raises StorageError where that fails."""
    replace_file(path, to_json(value))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
