"""Measured cost: each module synthesised by itself with Yosys, in parallel, cached by content."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bitwright.cost_model.cost import Cost, Measurement
from bitwright.cost_model.runs import Json, Task, default_cache, run
from bitwright.cost_model.sources import Source, needed_for, read_sources
from bitwright.cost_model.yosys import ADDERS, CELLS, Yosys, count_cells, find_yosys, script
from bitwright.models.errors import InputError, ToolError
from bitwright.models.graph import TARGETS, Target

TIMEOUT_S = 1800.0
"""Longest time for one module. The slowest that was measured, 69,000 LUTs, took 625 s."""

_MULTIPLY = {"bw_matvec", "bw_requantize_stream"}  # the library cells that multiply variables

Progress = Callable[[str, bool], None]
"""Called as each node is done, with its name and whether the cache had it."""


def measure(
    files: Sequence[Path],
    tops: Mapping[str, str],
    target: Target,
    *,
    jobs: int | None = None,
    cache: Path | None = None,
    yosys: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Measurement:
    """Synthesise modules out of context and count their cells.

    files: every source file of the design, packages first. tops: the module to measure for each
    node's name; where one of them is inside another, it counts for itself alone. jobs: processes at
    a time, all cores by default. cache: the folder of earlier results (`default_cache()`), found by
    the content of the files that a module needs, the script and the tool's version. yosys: the path
    of an executable, to use that instead of pyosys.

    Raises:
        InputError: a module that the files do not define, or an unknown target.
        StorageError: a file that cannot be read, or a cache that cannot be written.
        ToolError: Yosys is missing, fails (with its last lines), or takes longer than `timeout_s`.
    """
    tool = find_yosys(yosys)
    tasks = synthesis_tasks(read_sources(files), tops, target, tool)
    # The largest first, so that the last to finish is a small one.
    order = sorted(tasks, key=lambda node: -size(tasks[node]))
    names = {id(tasks[node]): node for node in order}
    costs: dict[str, Cost] = {}
    cached = set()
    queue = (tasks[node] for node in order)
    for done in run(queue, jobs=jobs, cache=cache or default_cache(), timeout_s=timeout_s):
        node = names[id(done.task)]
        costs[node] = done.result
        if done.known:
            cached.add(node)
        if progress is not None:
            progress(node, done.known)
    return Measurement(
        target, tool.version, {node: costs[node] for node in tops}, frozenset(cached)
    )


def synthesis_tasks(
    sources: Sequence[Source], tops: Mapping[str, str], target: Target, tool: Yosys
) -> dict[str, Task[Cost]]:
    """The run that counts the cells of each module, by the names of `tops`, as for `measure`."""
    if target not in TARGETS:
        raise InputError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    return {
        node: _task(top, needed_for(top, sources), target, tool, set(tops.values()) - {top})
        for node, top in tops.items()
    }


def size(task: Task[Cost]) -> int:
    """Characters of the sources: a guess of the time that a run takes."""
    return sum(map(len, task.files.values()))


def _task(
    top: str, sources: list[Source], target: Target, tool: Yosys, others: set[str]
) -> Task[Cost]:
    defined = {name for source in sources for name in source.defines}
    black_boxes = sorted(others & defined)
    text = script(
        top,
        [f"src/{source.name}" for source in sources],
        target,
        multipliers=multiplies(sources),
        black_boxes=black_boxes,
    )

    def read(folder: Path) -> Json:
        try:
            stat = (folder / "stat.json").read_text()
        except OSError:
            raise ToolError(f"{tool.version} wrote no statistics for module {top}") from None
        return count_cells(stat, target, black_boxes).as_dict()

    return Task(
        name=f"module {top} for {target}",
        tool=tool.version,
        files={**{f"src/{source.name}": source.text for source in sources},
               "adders.v": ADDERS, "run.ys": text},
        commands=((*tool.command, "run.ys"),),
        read=read,
        parse=_cost,
        # The counting rule too: a result is counts, not cells.
        rule=json.dumps({n: c.as_dict() for n, c in CELLS[target].items()}, sort_keys=True),
    )  # fmt: skip


def multiplies(sources: Sequence[Source]) -> bool:
    """Whether a module that needs these files multiplies variables."""
    return any(not _MULTIPLY.isdisjoint(source.defines) for source in sources)


def _cost(counts: Json) -> Cost:
    return Cost(**{name: int(counts[name]) for name in Cost().as_dict()})
