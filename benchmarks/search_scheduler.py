"""The scheduler of a search: its own time for each candidate, and how busy it keeps two workers.

1,000 workers are simulated: evaluations take a random time on a clock that is not real, so that all
the processor time is the scheduler's: proposing, storing, handing out, taking rows in. Rows go into
a real study on disk. Two workers are real processes that sleep.
"""

import heapq
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.row import Row, write
from bitwright.models.train import Recipe
from bitwright.search.budget import Budget
from bitwright.search.candidate import Task
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import State, explore
from bitwright.search.methods import METHODS, Handle, Method
from bitwright.search.space import Search, Space

WORKERS, CANDIDATES = 1000, 10_000
LIMIT_MS = 1.0
MODEL = Path("examples/dense.py")
EVALUATOR = "benchmarks.search_scheduler:sleep"
LAYERS, SLEEP_S, SLEEPS = 6, 0.5, 60


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
    """What a worker does in place of training."""
    time.sleep(SLEEP_S)
    return {**row_of(message), "seconds": SLEEP_S}


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
) -> float:
    """Milliseconds of processor time for each candidate: a loaded machine adds none."""
    made = space(trials, (name,), lag=workers)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        explore(made, Path(folder), Simulated(workers), methods=methods)
        return 1e3 * (time.process_time() - start) / trials


def busy_share(folder: Path) -> float:
    """Share of the time of two real workers that was evaluations, from the first one's begin."""
    began: list[float] = []
    spent: list[float] = []

    def watch(state: State) -> None:
        spent[:] = [row["seconds"] for row in state.evaluated]
        if len(spent) == 1 and not began:  # the float network: the study has begun
            began.append(time.perf_counter())

    executor = LocalExecutor(folder, 2, EVALUATOR)
    try:
        explore(space(SLEEPS, ("random",), 8), folder, executor, watch, {"random": at_random})
        passed = time.perf_counter() - began[0]
    finally:
        executor.close()
    return sum(spent[1:]) / (2 * passed)


def rows() -> list[Row]:
    """The measurements."""
    alone = scheduler_ms(CANDIDATES, WORKERS, {"random": at_random}, "random")
    unit = f"ms, {WORKERS:,} simulated workers"
    made = [Row("scheduler_ms_per_candidate", alone, unit, f"{LIMIT_MS} ms", alone / LIMIT_MS)]
    trials = 300
    optuna = scheduler_ms(trials, 50, METHODS, "pareto")
    made.append(
        Row(
            "with_optuna_ms_per_candidate", optuna, f"ms, {trials} trials", "random", optuna / alone
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        busy = busy_share(Path(folder))
    made.append(Row("busy_share_of_two_workers", busy, f"of the time, {SLEEP_S} s each",
                    "0.95", busy / 0.95))  # fmt: skip
    return made


def main() -> None:
    write("search_scheduler", rows())


if __name__ == "__main__":
    main()
