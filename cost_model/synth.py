"""Measured cost: each module synthesised by itself with Yosys, in parallel, cached by content."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

from bitwright.cost_model.cost import Cost, Measurement
from bitwright.cost_model.sources import Source, needed_for, read_sources
from bitwright.cost_model.yosys import ADDERS, CELLS, Yosys, count_cells, find_yosys, script
from bitwright.models.errors import InputError, StorageError, ToolError
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
    if target not in TARGETS:
        raise InputError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    tool = find_yosys(yosys)
    sources = read_sources(files)
    work = {
        node: _Job(top, needed_for(top, sources), target, tool, set(tops.values()) - {top})
        for node, top in tops.items()
    }
    store = _Store(cache or default_cache())
    costs: dict[str, Cost] = {}
    cached = set()
    for node, job in work.items():
        known = store.get(job.key)
        if known is not None:
            costs[node] = known
            cached.add(node)
            if progress is not None:
                progress(node, True)

    waiting = {work[node].key: work[node] for node in work if node not in costs}
    # The largest first, so that the last to finish is a small one.
    order = sorted(waiting.values(), key=lambda job: (-len(job.files[job.owner].text), job.key))
    with _processes(jobs or os.cpu_count() or 1) as run:
        for job, cost in run(order, timeout_s):
            store.put(job, cost)
            for node in (name for name in work if work[name].key == job.key):
                costs[node] = cost
                if progress is not None:
                    progress(node, False)
    return Measurement(
        target, tool.version, {node: costs[node] for node in tops}, frozenset(cached)
    )


def default_cache() -> Path:
    """$BITWRIGHT_CACHE/synth, or ~/.cache/bitwright/synth."""
    given = os.environ.get("BITWRIGHT_CACHE")
    return (Path(given) if given else Path.home() / ".cache" / "bitwright") / "synth"


class _Job:
    """One module to synthesise; its key says everything that the result depends on."""

    def __init__(
        self, top: str, files: list[Source], target: Target, tool: Yosys, others: set[str]
    ) -> None:
        self.top, self.files, self.target, self.tool = top, files, target, tool
        self.owner = next(i for i, source in enumerate(files) if top in source.defines)
        self.black_boxes = sorted(others & _defined(files))
        self.script = script(
            top,
            [f"src/{source.name}" for source in files],
            target,
            multipliers=not _MULTIPLY.isdisjoint(_defined(files)),
            black_boxes=self.black_boxes,
        )
        # The counting rule too: a result is counts, not cells.
        rule = {name: cost.as_dict() for name, cost in CELLS[target].items()}
        told = [tool.version, self.script, ADDERS, json.dumps(rule, sort_keys=True)]
        told += [text for source in files for text in (source.name, source.text)]
        sha = hashlib.sha256()
        for part in told:
            content = part.encode()
            sha.update(f"{len(content)}:".encode() + content)
        self.key = sha.hexdigest()


def _defined(files: Sequence[Source]) -> set[str]:
    return {name for source in files for name in source.defines}


class _Store:
    """Results as one small JSON file each, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    def get(self, key: str) -> Cost | None:
        """The cost under a key; None where there is none or the file is damaged."""
        try:
            counts = json.loads((self.folder / f"{key}.json").read_text())["cost"]
            return Cost(**{name: int(counts[name]) for name in Cost().as_dict()})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, job: _Job, cost: Cost) -> None:
        """Keep a result, and beside it what it is the result of."""
        entry = {
            "cost": cost.as_dict(),
            "top": job.top,
            "target": job.target,
            "tool": job.tool.version,
            "files": [source.name for source in job.files],
        }
        try:
            handle, fresh = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            with os.fdopen(handle, "w") as file:
                json.dump(entry, file, indent=1)
            Path(fresh).replace(self.folder / f"{job.key}.json")
        except OSError as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write the synthesis cache {self.folder} ({error.strerror or error}): set "
            "BITWRIGHT_CACHE to a folder that can be written"
        )


Run = Callable[[Sequence[_Job], float], Iterator[tuple[_Job, Cost]]]


@contextmanager
def _processes(jobs: int) -> Iterator[Run]:
    """Runs jobs in parallel; whatever ends the block early also ends the processes."""
    running: set[subprocess.Popen[str]] = set()
    lock, stopping = threading.Lock(), threading.Event()
    pool = ThreadPoolExecutor(jobs)

    def one(job: _Job, timeout_s: float) -> Cost:
        with tempfile.TemporaryDirectory(prefix="bitwright-synth-") as folder:
            _prepare(job, Path(folder))
            with lock:
                if stopping.is_set():
                    raise ToolError("stopped")
                # A session of its own: Yosys starts abc, and both must end together.
                process = subprocess.Popen(
                    [*job.tool.command, "run.ys"],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
                running.add(process)
            try:
                return _finish(job, process, Path(folder), timeout_s)
            finally:
                _kill(process)
                with lock:
                    running.discard(process)

    def run(work: Sequence[_Job], timeout_s: float) -> Iterator[tuple[_Job, Cost]]:
        futures: dict[Future[Cost], _Job] = {pool.submit(one, j, timeout_s): j for j in work}
        for future in as_completed(futures):
            yield futures[future], future.result()

    try:
        yield run
    finally:
        with lock:
            stopping.set()
            for process in running:
                _kill(process)
        pool.shutdown(cancel_futures=True)


def _prepare(job: _Job, folder: Path) -> None:
    # Relative names only: Yosys names cells after their file, and names decide orders.
    try:
        (folder / "src").mkdir()
        for source in job.files:
            (folder / "src" / source.name).write_text(source.text, encoding="utf-8")
        (folder / "adders.v").write_text(ADDERS)
        (folder / "run.ys").write_text(job.script)
    except OSError as error:
        raise StorageError(
            f"cannot write the sources of {job.top} to {folder} ({error.strerror or error}): make "
            "room there, or set TMPDIR to another folder"
        ) from None


def _finish(job: _Job, process: subprocess.Popen[str], folder: Path, timeout_s: float) -> Cost:
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{job.tool.version} took more than {timeout_s:g} s for module {job.top} on "
            f"{job.target}: give it more time, or split the layer"
        ) from None
    if process.returncode != 0:
        last = "\n".join(line for line in said.splitlines()[-6:] if line.strip())
        raise ToolError(
            f"{job.tool.version} failed on module {job.top} for {job.target} "
            f"(exit code {process.returncode}). Its last lines:\n{last}"
        )
    try:
        return count_cells((folder / "stat.json").read_text(), job.target, job.black_boxes)
    except OSError:
        raise ToolError(f"{job.tool.version} wrote no statistics for module {job.top}") from None


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started; nothing where it has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
