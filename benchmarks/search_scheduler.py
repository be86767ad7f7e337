"""The scheduler of a search: its own time for each candidate, and how busy it keeps two workers.

1,000 workers are simulated: evaluations take a random time on a clock that is not real, so that all
the processor time is the scheduler's: proposing, storing, handing out, taking rows in. Rows go into
a real study on disk. Two workers are real processes that sleep.

Writes docs/results/search_scheduler.json and its figures into docs/search.md.
"""

import heapq
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.page import into_page
from benchmarks.row import Row, write
from bitwright.models.files import replace_file
from bitwright.models.train import Recipe
from bitwright.search.budget import Budget
from bitwright.search.candidate import Task
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import State, explore
from bitwright.search.methods import METHODS, Handle, Method
from bitwright.search.space import Search, Space
from bitwright.versions import versions

PAGE, RESULT = Path("docs/search.md"), Path("docs/results/search_scheduler.json")
WORKERS, CANDIDATES, TRIALS = 1000, 10_000, 100
LIMIT_MS, BUSY = 1.0, 0.95
MODEL = Path("examples/dense.py")
EVALUATOR = "benchmarks.search_scheduler:sleep"
LAYERS, SLEEP_S, SLEEPS = 6, 0.5, 100


class Simulated:
    """An executor whose workers are entries of a heap: who finishes when, on a simulated clock."""

    def __init__(self, workers: int, seed: int = 0) -> None:
        self.slots, self.now = workers, 0.0
        self._random = random.Random(seed)
        self._waiting: list[tuple[str, Mapping[str, Any]]] = []
        self._busy: list[tuple[float, int, str, Mapping[str, Any]]] = []
        self._count = itertools.count()

    def submit(self, key: str, message: Mapping[str, Any], needs: Mapping[str, float]) -> None:
        self._waiting.append((key, message))

    def wait(self, timeout: float) -> list[tuple[str, dict[str, Any]]]:
        while self._waiting and len(self._busy) < self.slots:
            key, message = self._waiting.pop()
            until = self.now + self._random.uniform(30, 90)
            heapq.heappush(self._busy, (until, next(self._count), key, message))
        self.now, _, key, message = heapq.heappop(self._busy)
        return [(key, row_of(message))]

    def close(self) -> None:
        pass


def sleep(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker does in place of training. span: its process, and from when to when."""
    began = time.time()
    time.sleep(SLEEP_S)
    return {**row_of(message), "span": (os.getpid(), began, time.time())}


def row_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A row as long as a real one, its numbers made up."""
    bits = message["candidate"]["arguments"].get("weights", [4])
    cost = {"lut": 100 * sum(bits), "ff": 10, "carry": 5, "dsp": 0, "bram": 0}
    layers = {
        f"fc{i}": {"weight_bits": b, "input_bits": 2, "weights": 64, "zero": 0.0}
        for i, b in enumerate(bits)
    }
    told = {"latency": 3, "latency_ns": 15.0, "interval": 1, "clock_mhz": 250.0, "epochs": 1}
    told |= {"differing_decisions": 0, "activation_bits": 2.0, "stored_bits": 64 * sum(bits)}
    nodes = dict.fromkeys(layers, cost)
    accuracy = 1 - 1 / (1 + sum(bits))
    return {"accuracy": accuracy, "test_accuracy": accuracy, **cost, **told, "layers": layers,
            "nodes": nodes, "excess": {}, "seconds": 60.0}  # fmt: skip


def space(trials: int, methods: tuple[str, ...], lag: int) -> Space:
    """Six layers of one to eight bits: 16 million networks."""
    choices = tuple(range(1, 9))
    made = Space(
        f"{MODEL.resolve()}:dense",
        "digits",
        {},
        {"weights": (choices,) * LAYERS, "activations": (choices,) * LAYERS},
        {},
        Budget(limits={"lut": 3000.0}),
        Recipe(),
        Recipe(),
        Recipe(),
        Search(methods, trials, lag=lag, finalists=4),
    )
    names = [d.name for d in made.dimensions]
    made.__dict__["precision"] = frozenset(names)  # known without building a network
    return made


def at_random(space: Space) -> Method:
    """Random candidates, each after the row of one long before it: all time is the driver's."""
    chance = random.Random(space.search.seed)
    handles: list[Handle] = []
    for n in range(space.search.trials):
        if n >= space.search.lag:
            yield handles[n - space.search.lag]
        chosen = {d.name: chance.choice(d.choices) for d in space.dimensions}
        handles.append((yield Task("candidate", space.candidate(chosen))))


def scheduler_ms(
    trials: int, workers: int, methods: Mapping[str, Callable[[Space], Method]], name: str
) -> tuple[float, float]:
    """Milliseconds for each candidate: of processor time, to which a loaded machine adds none, and
    on the clock."""
    made = space(trials, (name,), lag=workers)
    with tempfile.TemporaryDirectory() as folder:
        start, clock = time.process_time(), time.perf_counter()
        explore(made, Path(folder), Simulated(workers), methods=methods)
        spent, passed = time.process_time() - start, time.perf_counter() - clock
    return 1e3 * spent / trials, 1e3 * passed / trials


def busy_share(folder: Path) -> float:
    """Share of the time of two real workers that was evaluations, from when both are there."""
    spans: list[tuple[int, float, float]] = []

    def watch(state: State) -> None:
        spans[:] = [row["span"] for row in state.evaluated]

    executor = LocalExecutor(folder, 2, EVALUATOR)
    try:
        explore(space(SLEEPS, ("random",), 8), folder, executor, watch, {"random": at_random})
        end = time.time()
    finally:
        executor.close()
    first = {worker: began for worker, began, _ in sorted(spans, reverse=True)}
    both = max(first.values())
    spent = sum(max(ended - max(began, both), 0.0) for _, began, ended in spans)
    return spent / (len(first) * (end - both))


def rows() -> list[Row]:
    """The measurements."""
    spent, passed = scheduler_ms(CANDIDATES, WORKERS, {"random": at_random}, "random")
    optuna, _ = scheduler_ms(TRIALS, 50, METHODS, "pareto")
    with tempfile.TemporaryDirectory() as folder:
        busy = busy_share(Path(folder))
    of = f"ms of CPU, {WORKERS:,} workers"
    limit = f"{LIMIT_MS} ms"
    return [
        Row("scheduler_ms_per_candidate", spent, of, limit, spent / LIMIT_MS),
        Row("on_the_clock_ms_per_candidate", passed, "ms, loaded or not", limit, passed / LIMIT_MS),
        Row(
            "with_optuna_ms_per_candidate", optuna, f"ms, {TRIALS} trials", "random", optuna / spent
        ),
        Row("busy_share_of_two_workers", busy, f"{SLEEP_S} s each", f"{BUSY}", busy / BUSY),
    ]


def told(made: list[Row]) -> str:
    """The measurements, for docs/search.md."""
    value = {row.name: row.value for row in made}
    return (
        f"A study of {CANDIDATES:,} candidates on {WORKERS:,} simulated workers takes "
        f"{value['scheduler_ms_per_candidate']:.2f} ms of the scheduler's processor for each "
        f"candidate ({value['on_the_clock_ms_per_candidate']:.2f} ms on the clock of the machine "
        f"that measured), random proposals; the limit is {LIMIT_MS:g} ms. Optuna's sampler takes "
        f"{value['with_optuna_ms_per_candidate']:.0f} ms more for each of its proposals "
        f"({TRIALS} trials of {2 * LAYERS + 1} dimensions). Two real workers, whose evaluations "
        f"sleep {SLEEP_S:g} s, are in evaluations {value['busy_share_of_two_workers']:.1%} of the "
        f"time; the limit is {BUSY:.0%}.\n"
    )


def main() -> None:
    made = rows()
    write("search_scheduler", made)
    found = {"versions": versions(), "rows": [asdict(row) for row in made]}
    replace_file(RESULT, json.dumps(found, indent=1) + "\n")
    into_page(PAGE, "python -m benchmarks search_scheduler", told(made))


if __name__ == "__main__":
    main()
