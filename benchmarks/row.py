"""One measured number, and how a benchmark stores a list of them."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("out/bench")


@dataclass(frozen=True)
class Row:
    """`ratio` is value divided by what it is held against; the unit says whether more is better."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float

    def __str__(self) -> str:
        return (
            f"{self.name:36} {self.value:14,.3f} {self.unit:14} {self.ratio:8.3f} x {self.against}"
        )


def write(name: str, rows: list[Row]) -> None:
    """Store rows as out/bench/<name>.json and print them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(*rows, sep="\n", flush=True)


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall-clock seconds of a call, after one that warms the caches."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
