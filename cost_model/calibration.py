"""The fit: numbers of every device family from measured rows, with errors on rows left out.

Cells are linear in the amounts of logic (`amounts.py`), without negative numbers, so that more
hardware never costs less. What needs no fit (registers, blocks, tables of one table) is subtracted
first, and so is the identity: a node that only registers, whose tables are its control.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitwright.cost_model.amounts import KINDS, LogicPath
from bitwright.cost_model.coefficients import (
    VERSION,
    Coefficients,
    Delays,
    amounts_cost,
    certain,
    logic,
    terms,
)
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.parts import Part
from bitwright.cost_model.targets import SHARES
from bitwright.models.errors import InputError
from bitwright.models.files import replace_file
from bitwright.models.graph import Target

Floats = npt.NDArray[np.float64]

FOLDS = 8
COVERED = 0.9
"""Share of left-out rows that a band covers."""

_FITTED = ("lut", "carry")
_HOLD = 0.03  # how strongly numbers are held to EXPECTED, in units of one row's relative error
_SMALL = 20  # cells; errors of fewer count as if there were so many
_ROUNDS = 8  # of weighting rows by their errors
_TURNS = 12  # of finding the slowest paths under the delays, and the delays of those
_USUAL_NS = np.array([1.0, 1.5, 0.05, 0.6, 5.0, 4.0, 1.0, 0.3])
_NONE = Delays(0, 0, 0, 0, 0, 0, 0, 0)
_USUAL = 0.03  # relative errors below which rows weigh alike

EXPECTED: Mapping[str, tuple[float, float]] = {
    "reset": (1, 0), "added": (1, 0), "inverted": (1, 0), "chain": (0.5, 1), "narrow": (1, 0),
    "short": (8, 0), "registered": (0.5, 0),
    "shared": (1, 0.5), "constant": (0.6, 0.3), "scaled": (0.8, 0.4), "offset": (0.7, 0.4),
    "tie": (0.2, 0), "upper": (0.2, 0), "kept": (0.7, 0),
    "compared": (0.4, 0), "counted": (0.5, 0), "below": (0.3, 0), "decided": (1, 0),
    "deep": (1, 0), "stored": (2, 0), "column": (2, 0),
    "window": (10, 0), "loop": (1, 0.1), "row": (1.2, 0.3), "place": (1.5, 0.3),
    "masked": (0.7, 0), "tree": (1, 0.3), "sum": (1.2, 0.3), "product": (1.2, 0.3),
    "sign": (0.4, 0), "equal": (0.7, 0), "largest": (1.5, 0.3), "pooled": (1, 0.3),
    "fifo": (1.2, 0), "select": (0.4, 0), "compare": (0.7, 0.3), "shift": (0.5, 0),
}  # fmt: skip
"""Tables and carry cells for one of each kind, from first principles: a fit without rows."""

_WIRES = Delays(0.94, 0.67, 0.0, 0.25, 0.45, 1.54, 2.0, 0.32)
"""What is left of ECP5's fitted delays without the cells (nextpnr's: register 0.52, into and out of
a carry chain 0.89, table 0.24, DP16KD 5.83, MULT18X18D 3.93): wires."""


def _with_wires(cells: Delays, share: float) -> Delays:
    """Delays of cells, and of wires as on ECP5 but so much shorter or longer."""
    wires = zip(astuple(cells), astuple(_WIRES), strict=True)
    return Delays(*(round(cell + share * wire, 3) for cell, wire in wires))


ASSUMED: Mapping[Target, Delays] = {
    # FDRE; LUT6 by its second input, S to CO and CI to O of CARRY4; CI to CO / 4; RAMB36E1 without
    # its output register; DSP48E1 without registers: of Artix-7 by Project X-Ray's SDF files, as in
    # the specify blocks of Yosys' techlibs/xilinx/cells_sim.v.
    "xc7": _with_wires(Delays(0.30, 0.99, 0.03, 0.24, 2.15, 2.82, 0, 0), 0.6),
    # No public timing: three fifths of 7-series.
    "xcup": _with_wires(Delays(0.18, 0.59, 0.02, 0.14, 1.29, 1.69, 0, 0), 0.36),
    "ecp5": _with_wires(Delays(0.52, 0.89, 0.0, 0.24, 5.31, 3.93, 0, 0), 1.0),
    # UP5K by Project IceStorm (timings_up5k.txt), as in techlibs/ice40/cells_sim.v; HX takes about
    # 0.4 times as long. No multiplier blocks are used.
    "ice40": _with_wires(Delays(1.39, 1.55, 0.28, 1.18, 0.0, 0.0, 0, 0), 2.5),
    "gowin": _with_wires(Delays(0.52, 0.89, 0.0, 0.24, 5.31, 3.93, 0, 0), 1.0),
}
"""For targets without routed rows: cells as published, and wires assumed, which take more than half
of the time. So they rank designs, and tell no clock to count on."""


@dataclass(frozen=True, eq=False, slots=True)
class Observation:
    """A part as the model sees it, and what a tool counted. group: what is left out together."""

    group: str
    target: Target
    part: Part
    cost: Cost


@dataclass(frozen=True, eq=False, slots=True)
class Clock:
    """A routed module: its paths, its look-up tables, and the clock that it reached.

    fits: whether delays are fitted to it; another view of a module is only held against them.
    """

    group: str
    target: Target
    kind: str
    paths: tuple[LogicPath, ...]
    luts: int
    mhz: float
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Error:
    """Errors of rows that were not in the fit, as shares of what was measured."""

    rows: int
    median: float
    p95: float
    mean: float

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return {"rows": self.rows, "median": self.median, "p95": self.p95, "mean": self.mean}


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """The numbers of one target, and how far they are off where they were not fitted.

    errors: by kind of part and resource. clock_error: of routed clocks, where there are any.
    """

    target: Target
    numbers: Coefficients
    rows: int
    errors: Mapping[tuple[str, str], Error]
    clocks: int = 0
    clock_error: Error | None = None


def calibrate(
    observations: Sequence[Observation],
    clocks: Sequence[Clock] = (),
    progress: Callable[[Target], None] | None = None,
) -> dict[Target, Calibration]:
    """The numbers of every target that has rows.

    Raises InputError where a target has too few rows to leave some out.
    """
    found: dict[Target, Calibration] = {}
    for target in dict.fromkeys(one.target for one in observations):
        if target in SHARES:
            continue
        rows = [one for one in observations if one.target == target]
        if len({row.group for row in rows}) < FOLDS:
            raise InputError(
                f"{len({row.group for row in rows})} points were measured on {target}, and a fit "
                f"needs at least {FOLDS}: characterise more"
            )
        if progress is not None:
            progress(target)
        found[target] = _calibrated(target, rows, [c for c in clocks if c.target == target])
    return found


def _calibrated(
    target: Target, rows: Sequence[Observation], clocks: Sequence[Clock]
) -> Calibration:
    numbers = fitted(rows)
    left_out: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for fold in range(FOLDS):
        fitting = [row for row in rows if _fold(row.group) != fold]
        trial = fitted(fitting)
        for row in rows:
            if _fold(row.group) == fold:
                estimate = amounts_cost(row.part.amounts, target, trial).as_dict()
                for resource, count in row.cost.as_dict().items():
                    pair = estimate[resource], count
                    left_out.setdefault((row.part.kind, resource), []).append(pair)
    spread: dict[str, dict[str, float]] = {}
    for (kind, resource), pairs in left_out.items():
        if resource in ("lut", "ff", "carry"):
            spread.setdefault(kind, {})[resource] = round(_spread(pairs), 4)
    errors = {which: found for which, pairs in left_out.items() if (found := error(pairs))}
    delays, clock_pairs = fitted_delays(target, clocks)
    away: dict[str, list[float]] = {}
    for clock, mhz in clock_pairs:
        away.setdefault(clock.kind, []).append(round(math.log(mhz / clock.mhz), 3))
    numbers = replace(
        numbers,
        delays=delays,
        spread=spread,
        ranges=_ranges(rows),
        clock_away={kind: tuple(sorted(each)) for kind, each in sorted(away.items())},
    )
    solved = [(mhz, clock.mhz) for clock, mhz in clock_pairs if clock.fits]
    return Calibration(target, numbers, len(rows), errors, len(solved), error(solved))


def fitted(rows: Sequence[Observation]) -> Coefficients:
    """Tables and carry cells for one of each kind of logic, from rows of one target."""
    made = {resource: _fitted(rows, resource) for resource in _FITTED}
    return Coefficients(made["lut"], made["carry"], _NONE, {}, {}, {})


def _fitted(rows: Sequence[Observation], resource: str) -> dict[str, float]:
    """The numbers that make relative errors least, the identity subtracted."""
    column = _FITTED.index(resource)
    baseline = [
        row.cost.as_dict()[resource]
        for row in rows
        if not any(n for kind, n in row.part.amounts.logic.items() if kind != "handshake")
        and not row.part.amounts.tables
        and row.part.amounts.logic.get("handshake")
    ]
    control = float(np.median(baseline)) if baseline else 2.0 * (resource == "lut")
    kinds = [kind for kind in KINDS if kind != "handshake"]
    expected = np.array([EXPECTED[kind][column] for kind in kinds])
    matrix, goal = [], []
    for row in rows:
        amounts = logic(row.part.amounts, row.target)
        measured = row.cost.as_dict()[resource]
        known = certain(row.part.amounts, row.target).as_dict()[resource]
        rest = measured - known - control * amounts["handshake"]
        each = np.array([amounts[kind] for kind in kinds])
        # What measures much less than it should turned out to be wires: no lever for a fit.
        scale = max(measured, float(each @ expected), _SMALL)
        matrix.append(each / scale)
        goal.append(rest / scale)
    near = np.diag(_HOLD / np.maximum(expected, 0.1))
    numbers = _robust(np.array(matrix), np.array(goal), near, near @ expected)
    return {"handshake": control} | {
        kind: round(float(n), 4) for kind, n in zip(kinds, numbers, strict=True)
    }


def fitted_delays(
    target: Target, clocks: Sequence[Clock]
) -> tuple[Delays, list[tuple[Clock, float]]]:
    """The delays of a target, and every module with the MHz estimated while it was left out."""
    fitting = [clock for clock in clocks if clock.fits]
    if len({clock.group for clock in fitting}) < FOLDS:
        return ASSUMED[target], []
    pairs = []
    for fold in range(FOLDS):
        trial = _delays([clock for clock in fitting if _fold(clock.group) != fold])
        pairs += [
            (clock, 1e3 / trial.slowest(clock.paths, clock.luts))
            for clock in clocks
            if _fold(clock.group) == fold
        ]
    return _delays(fitting), pairs


def _delays(clocks: Sequence[Clock]) -> Delays:
    """Delays of least relative error, of whichever path they make the slowest of each module."""
    ways = [np.array([terms(path, c.luts) for path in c.paths or (LogicPath(),)]) for c in clocks]
    period = np.array([1e3 / clock.mhz for clock in clocks])
    near = np.diag([0.01] * len(_USUAL_NS))  # of nanoseconds: only what the rows leave open
    numbers, best, least = _USUAL_NS, _USUAL_NS, math.inf
    for _ in range(_TURNS):
        rows = np.array([way[(way @ numbers).argmax()] for way in ways])
        numbers = _robust(rows / period[:, None], np.ones(len(period)), near, near @ _USUAL_NS)
        away = np.array([(way @ numbers).max() for way in ways]) / period - 1
        if (loss := float(np.abs(away).mean())) < least:
            best, least = numbers, loss
    return Delays(*(round(float(n), 4) for n in best))


def _robust(matrix: Floats, goal: Floats, near: Floats, held: Floats) -> Floats:
    """Numbers of least absolute error, none of them negative, held near others by `near`.

    Iteratively reweighted least squares: a few odd rows (an operation that turns out to be wires)
    must not move the others.
    """
    from scipy.optimize import nnls

    weight = np.ones(len(goal))
    for _ in range(_ROUNDS):
        rows = np.vstack([matrix * weight[:, None], near])
        numbers, _ = nnls(rows, np.concatenate([goal * weight, held]))
        weight = 1 / np.sqrt(np.maximum(np.abs(matrix @ numbers - goal), _USUAL) / _USUAL)
    return np.asarray(numbers)


def _fold(group: str) -> int:
    """Which fold a group is left out in: by its name, so that more rows move none."""
    return sum(group.encode()) % FOLDS


def _spread(pairs: Sequence[tuple[float, float]]) -> float:
    """What |ln(measured / estimated)| of nine of ten left-out rows stays within.

    The quantile is a row higher than it would be of these rows, as for rows yet to come (split
    conformal prediction; Lei et al., JASA 113, 2018, section 2).
    """
    away = np.sort([abs(math.log((m + 1) / (e + 1))) for e, m in pairs])
    return float(away[min(math.ceil((len(away) + 1) * COVERED), len(away)) - 1])


def error(pairs: Sequence[tuple[float, float]]) -> Error | None:
    """The error of (estimated, measured) pairs, those of nothing aside; None without any."""
    shares = np.array([estimated / measured - 1 for estimated, measured in pairs if measured])
    if not len(shares):
        return None
    size = np.abs(shares)
    return Error(
        len(shares), float(np.median(size)), float(np.percentile(size, 95)), float(shares.mean())
    )


def _ranges(rows: Iterable[Observation]) -> dict[str, dict[str, tuple[float, float]]]:
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in rows:
        ranges = found.setdefault(row.part.kind, {})
        for name, value in row.part.features.items():
            low, high = ranges.get(name, (value, value))
            ranges[name] = min(low, value), max(high, value)
    return found


def to_json(found: Mapping[Target, Calibration], tools: Sequence[str]) -> dict[str, object]:
    """The content of data/calibration.json."""
    targets: dict[str, object] = {}
    for target, one in found.items():
        numbers = one.numbers
        targets[target] = {
            "rows": one.rows,
            "clocks": one.clocks,
            "lut": dict(numbers.lut),
            "carry": dict(numbers.carry),
            "delays": _as_fields(numbers.delays),
            "clock_away": numbers.clock_away,
            "spread": numbers.spread,
            "ranges": numbers.ranges,
        }
    for target, other in SHARES.items():
        targets[target] = {"as": other, "delays": _as_fields(ASSUMED[target])}
    return {"version": VERSION, "made_by": "bitwright calibrate", "tools": list(tools),
            "targets": targets}  # fmt: skip


def _as_fields(delays: Delays) -> dict[str, float]:
    return {one.name: getattr(delays, one.name) for one in fields(delays)}


def write(file: Path, content: Mapping[str, object]) -> None:
    """Replace the file of numbers. Raises StorageError as `replace_file`."""
    replace_file(file, json.dumps(content, indent=1) + "\n")
