"""Runs of other people's tools: each in a folder of its own, in parallel, cached by content."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from bitwright.models.errors import StorageError, ToolError

R = TypeVar("R")
Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Task(Generic[R]):
    """One run: text files, the commands that read them, and what becomes of what they wrote."""

    name: str
    """What it is about, for messages: "module y on ecp5"."""
    tool: str
    """Names and versions of what runs."""
    files: Mapping[str, str]
    """Texts by relative path. No others: tools name cells after files, and names decide orders."""
    commands: tuple[tuple[str, ...], ...]
    read: Callable[[Path], Json]
    """The result, from the folder. Raises ToolError where there is none."""
    parse: Callable[[Json], R]
    """A result as it was kept. Raises ValueError, TypeError or KeyError where it is damaged."""
    rule: str = ""
    """What else the result depends on: the rule by which it is counted."""

    @cached_property
    def key(self) -> str:
        """Says everything that the result depends on."""
        sha = hashlib.sha256()
        told = [self.tool, self.rule]
        told += [part for item in sorted(self.files.items()) for part in item]
        for part in told:
            content = part.encode()
            sha.update(f"{len(content)}:".encode() + content)
        return sha.hexdigest()


@dataclass(frozen=True, eq=False, slots=True)
class Done(Generic[R]):
    """A run that ended. known: it was in the cache."""

    task: Task[R]
    outcome: R | ToolError
    known: bool

    @property
    def result(self) -> R:
        """What came out. Raises ToolError where the tool failed."""
        if isinstance(self.outcome, ToolError):
            raise self.outcome
        return self.outcome


def run(
    tasks: Iterable[Task[R]], *, jobs: int | None, cache: Path, timeout_s: float
) -> Iterator[Done[R]]:
    """Run what the cache does not know, and tell of each as it ends.

    tasks: taken as they are needed, so that making them may take a while. Equal ones run once.
    jobs: processes at a time, all cores without. A generator that is closed ends its processes.

    Raises StorageError where a folder cannot be written; a tool's error is the run's outcome.
    """
    jobs = jobs or os.cpu_count() or 1
    store = _Store(cache)
    with _processes(jobs) as submit:
        running: dict[Future[R], list[Task[R]]] = {}

        def ended(limit: int) -> Iterator[Done[R]]:
            while len(running) > limit:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    outcome: R | ToolError
                    try:
                        outcome = future.result()
                    except ToolError as error:
                        outcome = error
                    for task in running.pop(future):
                        yield Done(task, outcome, known=False)

        for task in tasks:
            known = store.get(task)
            if known is not None:
                yield Done(task, known, known=True)
                continue
            same = next((all_ for all_ in running.values() if all_[0].key == task.key), None)
            if same is not None:
                same.append(task)
                continue
            yield from ended(2 * jobs - 1)
            running[submit(partial(_one, task, store, timeout_s))] = [task]
        yield from ended(0)


def default_cache() -> Path:
    """$BITWRIGHT_CACHE/synth, or ~/.cache/bitwright/synth."""
    given = os.environ.get("BITWRIGHT_CACHE")
    return (Path(given) if given else Path.home() / ".cache" / "bitwright") / "synth"


class _Store:
    """Results as one small JSON file each, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    def get(self, task: Task[R]) -> R | None:
        """What is kept for a task; None where there is nothing or the file is damaged."""
        try:
            return task.parse(json.loads((self.folder / f"{task.key}.json").read_text())["result"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, task: Task[R], result: Json) -> None:
        """Keep a result, and beside it what it is the result of."""
        about = {"what": task.name, "tool": task.tool, "files": sorted(task.files)}
        try:
            handle, fresh = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            with os.fdopen(handle, "w") as file:
                json.dump({"result": result, **about}, file, indent=1)
            Path(fresh).replace(self.folder / f"{task.key}.json")
        except OSError as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write the synthesis cache {self.folder} ({error.strerror or error}): set "
            "BITWRIGHT_CACHE to a folder that can be written"
        )


Start = Callable[[Sequence[str], Path], "subprocess.Popen[str]"]
Submit = Callable[[Callable[[Start], Any]], "Future[Any]"]


@contextmanager
def _processes(jobs: int) -> Iterator[Submit]:
    """Runs work in threads; whatever ends the block early also ends the processes they started."""
    running: set[subprocess.Popen[str]] = set()
    lock, stopping = threading.Lock(), threading.Event()
    pool = ThreadPoolExecutor(jobs)

    def start(command: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
        with lock:
            running.difference_update([p for p in running if p.poll() is not None])
            if stopping.is_set():
                raise ToolError("stopped")
            # A session of its own: Yosys starts abc, and both must end together.
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            running.add(process)
            return process

    try:
        yield lambda work: pool.submit(work, start)
    finally:
        with lock:
            stopping.set()
            for process in running:
                _kill(process)
        pool.shutdown(cancel_futures=True)


def _one(task: Task[R], store: _Store, timeout_s: float, start: Start) -> R:
    with tempfile.TemporaryDirectory(prefix="bitwright-synth-") as name:
        folder = Path(name)
        _prepare(task, folder)
        for command in task.commands:
            process = start(command, folder)
            try:
                _finish(task, process, timeout_s)
            finally:
                _kill(process)
        result = task.read(folder)
    store.put(task, result)
    return task.parse(result)


def _prepare(task: Task[R], folder: Path) -> None:
    try:
        for path, text in task.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot write the sources of {task.name} to {folder} ({error.strerror or error}): "
            "make room there, or set TMPDIR to another folder"
        ) from None


def _finish(task: Task[R], process: "subprocess.Popen[str]", timeout_s: float) -> None:
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{task.tool} took more than {timeout_s:g} s for {task.name}: give it more time, or "
            "split the layer"
        ) from None
    if process.returncode != 0:
        last = "\n".join(line for line in said.splitlines()[-6:] if line.strip())
        raise ToolError(
            f"{task.tool} failed on {task.name} (exit code {process.returncode}). Its last lines:\n"
            f"{last}"
        )


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a process and all that it started; nothing where it has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
