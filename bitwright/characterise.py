"""Measuring sample points and networks: what a file of rows lacks, in parallel, kept as it comes.

The file is whole after every row, so a job that was killed is run again and goes on. Designs are
emitted while the tools run, each only once for all targets: RTL does not depend on the target.
"""

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bitwright.cost_model import STREAMS
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.points import NODE, Point
from bitwright.cost_model.rows import NETWORKS, POINTS, Row, read_rows, write_rows
from bitwright.cost_model.runs import Task, default_cache, run
from bitwright.cost_model.sources import read_sources
from bitwright.cost_model.synth import TIMEOUT_S, synthesis_tasks
from bitwright.cost_model.yosys import Yosys, find_yosys
from bitwright.models.errors import BitwrightError, InputError
from bitwright.models.graph import TARGETS, Graph, Plan, Target
from bitwright.models.graph.plan import is_wiring
from bitwright.models.graph.streams import is_streamed
from bitwright.rtl_tb import emit

Progress = Callable[[int, int, str], None]
"""Called with the rows that are done, all that were missing, and the name of the last."""


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """What is measured: a design, on which targets, and which parts of it."""

    name: str
    make: Callable[[], tuple[Graph, Plan]]
    targets: tuple[Target, ...]
    parts: Mapping[str, str] | None = None
    """The node, or STREAMS, by the part's name in the rows; all of them without."""


@dataclass(slots=True)
class Campaign:
    """What became of a job."""

    rows: int = 0
    """Rows that were measured."""
    known: int = 0
    """Of them, those that the cache of syntheses knew."""
    left: int = 0
    """Rows that are still missing."""
    failed: dict[str, str] = field(default_factory=dict)
    """What the tool said, by point and target."""


def point_subjects(points: Iterable[Point]) -> list[Subject]:
    """Sample points: the node, and of folded ones what lies around it."""
    return [
        Subject(
            point.name,
            partial(_design, point),
            point.targets,
            {"node": NODE, **({"streams": STREAMS} if point.folded else {})},
        )
        for point in points
    ]


def measure_points(
    points: Iterable[Point],
    file: Path,
    *,
    targets: Collection[str] = (),
    jobs: int | None = None,
    cache: Path | None = None,
    limit_s: float | None = None,
    yosys: str | None = None,
    progress: Progress | None = None,
) -> Campaign:
    """Count the cells of the points that `file` lacks, on all of their targets or on some.

    limit_s: seconds after which nothing more is begun. progress: see `Progress`.

    Raises StorageError where the file is damaged or cannot be written.
    """
    job = _Job(file, POINTS, find_yosys(yosys), targets, limit_s)
    return job.run(point_subjects(points), jobs, cache, progress)


def measure_networks(
    networks: Iterable[Subject],
    file: Path,
    *,
    targets: Collection[str] = (),
    jobs: int | None = None,
    cache: Path | None = None,
    limit_s: float | None = None,
    yosys: str | None = None,
    progress: Progress | None = None,
) -> Campaign:
    """Count the cells of every node of the networks that `file` lacks; see `measure_points`."""
    job = _Job(file, NETWORKS, find_yosys(yosys), targets, limit_s)
    return job.run(list(networks), jobs, cache, progress)


def _design(point: Point) -> tuple[Graph, Plan]:
    return point.graph(), point.plan("xc7")


def _nodes(graph: Graph, plan: Plan) -> dict[str, str]:
    """What costs anything: nodes that are more than wires, and the streams between them."""
    nodes = [node.name for node in graph.nodes if not is_wiring(node)]
    return {name: name for name in (*nodes, *[STREAMS] * is_streamed(graph, plan))}


class _Job:
    def __init__(
        self,
        file: Path,
        heading: Sequence[str],
        tool: Yosys,
        targets: Collection[str],
        limit_s: float | None,
    ) -> None:
        if unknown := sorted(set(targets) - set(TARGETS)):
            raise InputError(f"target {unknown[0]!r} is not one of {', '.join(TARGETS)}")
        self.file, self.heading, self.tool, self.targets = file, heading, tool, targets
        self.rows = {row.key: row for row in read_rows(file)}
        self.end = None if limit_s is None else time.monotonic() + limit_s
        self.about: dict[int, tuple[str, Target, str]] = {}
        self.result = Campaign()

    def run(
        self,
        subjects: Sequence[Subject],
        jobs: int | None,
        cache: Path | None,
        progress: Progress | None,
    ) -> Campaign:
        wanted = [(subject, self._missing(subject)) for subject in subjects]
        total = sum(len(keys) for _, keys in wanted)
        tasks = self._tasks([(subject, keys) for subject, keys in wanted if keys])
        for done in run(tasks, jobs=jobs, cache=cache or default_cache(), timeout_s=TIMEOUT_S):
            name, target, part = self.about.pop(id(done.task))
            if isinstance(done.outcome, Cost):
                row = Row(name, target, self.tool.version, part, done.outcome)
                self.rows[row.key] = row
                write_rows(self.file, self.heading, self.rows.values())
                self.result.rows += 1
                self.result.known += done.known
            else:
                self.result.failed[f"{name}, {part}, on {target}"] = str(done.outcome)
            if progress is not None:
                progress(self.result.rows + len(self.result.failed), total, f"{name} on {target}")
        self.result.left = total - self.result.rows
        return self.result

    def _missing(self, subject: Subject) -> list[tuple[Target, str]]:
        targets = [t for t in subject.targets if not self.targets or t in self.targets]
        parts = subject.parts or _nodes(*subject.make())
        return [(t, p) for t in targets for p in parts if (subject.name, t, p) not in self.rows]

    def _tasks(
        self, wanted: Sequence[tuple[Subject, list[tuple[Target, str]]]]
    ) -> Iterator[Task[Cost]]:
        for subject, keys in wanted:
            if self.end is not None and time.monotonic() > self.end:
                return
            yield from self._of(subject, keys)

    def _of(self, subject: Subject, keys: list[tuple[Target, str]]) -> Iterator[Task[Cost]]:
        with tempfile.TemporaryDirectory(prefix="bitwright-point-") as folder:
            try:
                design = emit(*subject.make(), Path(folder) / "rtl")
            except BitwrightError as error:
                for target, part in keys:
                    self.result.failed[f"{subject.name}, {part}, on {target}"] = str(error)
                return
            sources = read_sources(design.files)
        tops = {**design.modules, STREAMS: design.top}
        for target in dict.fromkeys(target for target, _ in keys):
            made = synthesis_tasks(sources, tops, target, self.tool)
            for part in [part for of, part in keys if of == target]:
                node = (subject.parts or {}).get(part, part)
                self.about[id(made[node])] = subject.name, target, part
                yield made[node]
