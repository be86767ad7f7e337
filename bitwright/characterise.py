"""Measuring sample points and networks: what a file of rows lacks, in parallel, kept as it comes.

The file is whole after every row, so a job that was killed is run again and goes on. Designs are
emitted while the tools run, each only once for all targets: RTL does not depend on the target.
"""

import fcntl
import hashlib
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from bitwright.cost_model import STREAMS
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.nextpnr import ROUTERS, SEED, Route, route_tasks, router_version
from bitwright.cost_model.points import NODE, Point
from bitwright.cost_model.rows import CLOCKS, ClockRow, Row, read_clocks, read_rows, write_rows
from bitwright.cost_model.runs import Task, default_cache, run
from bitwright.cost_model.sources import Source, read_sources
from bitwright.cost_model.synth import TIMEOUT_S, synthesis_tasks
from bitwright.cost_model.yosys import find_yosys
from bitwright.models.errors import BitwrightError, InputError, StorageError, ToolError
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

    def measured(self) -> Mapping[str, str]:
        """The parts; without any, what costs anything: no wires."""
        if self.parts is not None:
            return self.parts
        graph, plan = self.make()
        nodes = [node.name for node in graph.nodes if not is_wiring(node)]
        return {name: name for name in (*nodes, *[STREAMS] * is_streamed(graph, plan))}


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


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job is told. targets: some only. minutes: nothing more is begun after them."""

    targets: Collection[str] = ()
    jobs: int | None = None
    minutes: float | None = None
    cache: Path | None = None
    yosys: str | None = None
    seed: int = SEED
    """Of the placer, where something is routed."""


def measure(
    subjects: Iterable[Subject],
    file: Path,
    heading: Sequence[str],
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Campaign:
    """Count the cells of what `file` lacks. heading: `rows.POINTS` or `rows.NETWORKS`.

    Raises:
        StorageError: the file is damaged or cannot be written.
        InputError: an unknown target.
        ToolError: there is no Yosys. What it says of one design is in the result.
    """
    tool = find_yosys(limits.yosys)

    def row(name: str, target: Target, part: str, cost: Cost) -> Row:
        return Row(name, target, tool.version, part, cost)

    with _alone(file, limits):
        known = {row.key: row for row in read_rows(file)}
        job = _Job(file, heading, known, partial(synthesis_tasks, tool=tool), row, limits)
        return job.run(list(subjects), progress)


def measure_clocks(
    subjects: Iterable[Subject],
    file: Path,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Campaign:
    """Route what `file` lacks, by itself, on the families that nextpnr routes; as `measure`.

    A part that is not called "node" has a row of its own, "network/node".
    """
    tool = find_yosys(limits.yosys)
    routed = [
        replace(
            subject,
            targets=tuple(target for target in subject.targets if target in ROUTERS),
            parts={p: n for p, n in subject.measured().items() if n != STREAMS},
        )
        for subject in subjects
    ]
    versions = {t: router_version(t) for t in ROUTERS if not limits.targets or t in limits.targets}

    def row(name: str, target: Target, part: str, found: Route) -> ClockRow:
        full = name if part == "node" else f"{name}/{part}"
        return ClockRow(full, target, versions[target], limits.seed, found.mhz)

    tasks = partial(route_tasks, tool=tool, seed=limits.seed)
    with _alone(file, limits):
        known, others = {}, []
        for one in read_clocks(file):
            name, _, part = one.name.partition("/")
            if one.seed == limits.seed:
                known[name, one.target, part or "node"] = one
            else:
                others.append(one)
        return _Job(file, CLOCKS, known, tasks, row, limits, others).run(routed, progress)


def _design(point: Point) -> tuple[Graph, Plan]:
    return point.graph(), point.plan("xc7")


@contextmanager
def _alone(file: Path, limits: Limits) -> Iterator[None]:
    """Raises InputError where another job measures into the same file: it would lose our rows."""
    cache = limits.cache or default_cache()
    key = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f"rows-{key}.lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot write into {cache} ({error.strerror or error})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another job is measuring into {file}: wait for it, or name another file"
            ) from None
        yield


R = TypeVar("R")
Measured = Row | ClockRow
Key = tuple[str, Target, str]


class _Job(Generic[R]):
    """One job; `tasks` makes the runs of a design's modules, `row` a row of what comes out."""

    def __init__(
        self,
        file: Path,
        heading: Sequence[str],
        known: Mapping[Key, Measured],
        tasks: Callable[[Sequence[Source], Mapping[str, str], Target], dict[str, Task[R]]],
        row: Callable[[str, Target, str, R], Measured],
        limits: Limits,
        others: Sequence[Measured] = (),
    ) -> None:
        if unknown := sorted(set(limits.targets) - set(TARGETS)):
            raise InputError(f"target {unknown[0]!r} is not one of {', '.join(TARGETS)}")
        self.file, self.heading, self.others = file, heading, others
        self.known = dict(known)
        self.tasks, self.row, self.limits = tasks, row, limits
        minutes = limits.minutes
        self.end = None if minutes is None else time.monotonic() + 60 * minutes
        self.about: dict[int, Key] = {}
        self.result = Campaign()

    def run(self, subjects: Sequence[Subject], progress: Progress | None) -> Campaign:
        wanted = [(subject, self._missing(subject)) for subject in subjects]
        total = sum(len(keys) for _, keys in wanted)
        tasks = self._tasks([(subject, keys) for subject, keys in wanted if keys])
        cache = self.limits.cache or default_cache()
        for done in run(tasks, jobs=self.limits.jobs, cache=cache, timeout_s=TIMEOUT_S):
            name, target, part = key = self.about.pop(id(done.task))
            if isinstance(done.outcome, ToolError):
                self._failed(key, done.outcome)
            else:
                self.known[key] = self.row(name, target, part, done.outcome)
                write_rows(self.file, self.heading, [*self.others, *self.known.values()])
                self.result.rows += 1
                self.result.known += done.known
            if progress is not None:
                progress(self.result.rows + len(self.result.failed), total, f"{name} on {target}")
        self.result.left = total - self.result.rows
        return self.result

    def _missing(self, subject: Subject) -> list[Key]:
        targets = [
            t for t in subject.targets if not self.limits.targets or t in self.limits.targets
        ]
        keys = ((subject.name, target, part) for target in targets for part in subject.measured())
        return [key for key in keys if key not in self.known]

    def _tasks(self, wanted: Sequence[tuple[Subject, list[Key]]]) -> Iterator[Task[R]]:
        for subject, keys in wanted:
            if self.end is not None and time.monotonic() > self.end:
                return
            yield from self._of(subject, keys)

    def _of(self, subject: Subject, keys: list[Key]) -> Iterator[Task[R]]:
        with tempfile.TemporaryDirectory(prefix="bitwright-point-") as folder:
            try:
                design = emit(*subject.make(), Path(folder) / "rtl")
            except BitwrightError as error:
                for key in keys:
                    self._failed(key, error)
                return
            sources = read_sources(design.files)
        tops = {**design.modules, STREAMS: design.top}
        parts = subject.measured()
        for target in dict.fromkeys(target for _, target, _ in keys):
            nodes = {key[2]: parts[key[2]] for key in keys if key[1] == target}
            made = self.tasks(sources, tops, target)
            for part, node in nodes.items():
                self.about[id(made[node])] = subject.name, target, part
                yield made[node]

    def _failed(self, key: Key, error: BitwrightError) -> None:
        name, target, part = key
        self.result.failed[f"{name}, {part}, on {target}"] = str(error)
