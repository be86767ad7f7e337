"""Where evaluations run: local processes by default; `cluster.py` has farms.

An executor takes messages (JSON) and gives rows back, in whatever order they are done. It starts
what its workers and abstract resources allow at once, and keeps the rest waiting.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from bitwright.models.errors import InputError

EVALUATOR = "bitwright.search.evaluate:evaluate"
ATTEMPTS = 3
"""How often a task is given to a worker before its worker's death is its row."""

Message = Mapping[str, Any]
Row = dict[str, Any]
Needs = Mapping[str, float]


class Executor(Protocol):
    """What runs evaluations. slots: how many at once, as far as it is known."""

    @property
    def slots(self) -> int: ...

    def submit(self, key: str, message: Message, needs: Needs) -> None:
        """Have a message evaluated as soon as its needs are free."""

    def wait(self, timeout: float) -> list[tuple[str, Row]]:
        """Keys and rows that are done; after at most so many seconds perhaps none."""

    def close(self) -> None:
        """Stop everything."""


def unmet(needs: Needs, resources: Needs) -> str | None:
    """What nobody has enough of, in words."""
    for name, amount in needs.items():
        if amount > resources.get(name, 0):
            return (
                f"each evaluation needs {amount:g} of {name!r}, and there is "
                f"{resources.get(name, 0):g}: say what there is with --resource {name}={amount:g}"
            )
    return None


class LocalExecutor:
    """Processes on this machine. A worker that dies is replaced, and its task given to another.

    All start with the first task, so that they are there when there is work for them.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = 2,
        evaluator: str = EVALUATOR,
        resources: Needs | None = None,
    ) -> None:
        if workers < 1:
            raise InputError(f"{workers} workers: give at least 1")
        self.slots = workers
        self.pids: dict[int, int] = {}
        """Process ids of the workers, by their number."""
        self._folder, self._evaluator = folder, evaluator
        self._resources = dict(resources or {})
        self._free = dict(self._resources)
        self._waiting: list[tuple[str, str, Needs, int]] = []
        self._changed = threading.Condition()
        self._done: queue.SimpleQueue[tuple[str, Row]] = queue.SimpleQueue()
        self._begun = self._closing = False
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._threads = [
            threading.Thread(target=self._serve, args=(i,), daemon=True) for i in range(workers)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        for thread in self._threads:
            thread.start()

    def submit(self, key: str, message: Message, needs: Needs) -> None:
        """See `Executor`. Raises InputError for needs beyond the resources."""
        if lacking := unmet(needs, self._resources):
            raise InputError(lacking)
        with self._changed:
            self._waiting.append((key, json.dumps(message), needs, 1))
            self._begun = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> list[tuple[str, Row]]:
        """See `Executor`."""
        try:
            found = [self._done.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._done.empty():  # we alone take from it
            found.append(self._done.get())
        return found

    def close(self) -> None:
        """Stop all workers, whatever they do."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, number: int) -> None:
        log_file = self._folder / f"worker-{number}.log"
        with log_file.open("a", encoding="utf-8") as log:
            with self._changed:
                self._changed.wait_for(lambda: self._begun or self._closing)
            process = self._start(number, log)
            while (task := self._next()) is not None:
                key, message, needs, attempt = task
                if process.poll() is not None:
                    process = self._start(number, log)
                row = _ask(process, message)
                with self._changed:
                    for name, amount in needs.items():
                        self._free[name] += amount
                    if row is None and attempt < ATTEMPTS and not self._closing:
                        self._waiting.insert(0, (key, message, needs, attempt + 1))
                    self._changed.notify_all()
                if row is None and attempt == ATTEMPTS:
                    row = {"error": f"its worker died {ATTEMPTS} times ({_end(process)}): "
                                    f"see {log_file}"}  # fmt: skip
                if row is not None:
                    self._done.put((key, row))
            process.kill()
            process.wait()

    def _next(self) -> tuple[str, str, Needs, int] | None:
        with self._changed:
            while not self._closing:
                for i, (_, _, needs, _) in enumerate(self._waiting):
                    if all(self._free[name] >= amount for name, amount in needs.items()):
                        for name, amount in needs.items():
                            self._free[name] -= amount
                        return self._waiting.pop(i)
                self._changed.wait()
        return None

    def _start(self, number: int, log: IO[str]) -> subprocess.Popen[str]:
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        process = subprocess.Popen(
            [sys.executable, "-m", "bitwright.search.worker", self._evaluator],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **one},
        )
        self._processes[number] = process
        self.pids[number] = process.pid
        if self._closing:
            process.kill()
        return process


def _ask(process: "subprocess.Popen[str]", message: str) -> Row | None:
    """The worker's answer, or None if it dies."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(message + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        answer = ""
    if not answer.endswith("\n"):
        try:
            process.wait(timeout=5)  # it has closed its output: it is ending, in its own way
        except subprocess.TimeoutExpired:
            process.kill()
        return None
    row: Row = json.loads(answer)
    return row


def _end(process: "subprocess.Popen[str]") -> str:
    code = process.wait()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
