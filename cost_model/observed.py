"""Measured rows as the calibration sees them: what a part consists of, beside what was counted."""

from collections.abc import Callable, Iterable, Iterator
from statistics import harmonic_mean

from bitwright.cost_model.calibration import Clock, Observation
from bitwright.cost_model.coefficients import amounts_cost
from bitwright.cost_model.parts import Part, parts
from bitwright.cost_model.points import NODE, Point
from bitwright.cost_model.rows import ClockRow, Row
from bitwright.cost_model.streamed import STREAMS
from bitwright.cost_model.sweep import points
from bitwright.models.errors import InputError
from bitwright.models.graph import Target, Unrolled

Progress = Callable[[int, int], None]
"""Called with how many points are read, of how many."""


def observations(rows: Iterable[Row], progress: Progress | None = None) -> list[Observation]:
    """Every row with the part that it counted: by formulas, and with adder graphs solved.

    Raises InputError for a row of a point that the sweep does not have.
    """
    found = []
    by_point: dict[str, list[Row]] = {}
    for row in rows:
        by_point.setdefault(row.name, []).append(row)
    for done, (name, mine) in enumerate(by_point.items()):
        if progress is not None:
            progress(done, len(by_point))
        point = _point(name)
        for target in dict.fromkeys(row.target for row in mine):
            views = _views(point, target)
            found += [
                Observation(name, target, part, row.cost)
                for row in mine
                if row.target == target
                for part in _distinct(views, STREAMS if row.part == "streams" else NODE)
            ]
    return found


def clocks(rows: Iterable[ClockRow], counted: Iterable[Row] = ()) -> list[Clock]:
    """Every routed point, with the mean period of its seeds. Those of networks are not for a fit.

    counted: rows that may have the point's look-up tables, which are estimated otherwise.
    """
    luts = {(row.name, row.target): row.cost.lut for row in counted if row.part == "node"}
    by_point: dict[tuple[str, Target], list[float]] = {}
    for row in rows:
        if "/" not in row.name:  # otherwise a node of a network
            by_point.setdefault((row.name, row.target), []).append(row.mhz)
    found = []
    for (name, target), mhz in by_point.items():
        point = _point(name)
        graph, plan = point.graph(), point.plan(target)
        views = [parts(graph, plan, solved=True), parts(graph, plan)]
        for solved, part in zip((True, False), _distinct(views, NODE), strict=False):
            size = luts.get((name, target)) or amounts_cost(part.amounts, target).lut
            paths = part.amounts.paths
            found.append(Clock(name, target, part.kind, paths, size, harmonic_mean(mhz), solved))
    return found


def _views(point: Point, target: Target) -> list[dict[str, Part]]:
    graph, plan = point.graph(), point.plan(target)
    made = [parts(graph, plan)]
    if isinstance(point.engine, Unrolled):
        made.append(parts(graph, plan, solved=True))
    return made


def _distinct(views: list[dict[str, Part]], name: str) -> Iterator[Part]:
    """The part in every view in which it is another kind."""
    kinds: dict[str, Part] = {}
    for view in views:
        kinds.setdefault(view[name].kind, view[name])
    return iter(kinds.values())


_BY_NAME: dict[str, Point] = {}


def _point(name: str) -> Point:
    if not _BY_NAME:
        _BY_NAME.update({point.name: point for point in points()})
    if name not in _BY_NAME:
        raise InputError(f"there is no sample point {name}: measure the rows again")
    return _BY_NAME[name]
