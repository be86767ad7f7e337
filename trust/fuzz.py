"""Differential fuzzing: oracle = reference = hls4ml = RTL on random networks, for hours.

    python -m trust fuzz --hours 8 --seed 0

Networks are numbered, a batch of them shares one build, and every batch is a row of
docs/results/trust/fuzz.csv. Run again, it goes on where it stopped; batches in which something
differed are run again first. A difference is shrunk and kept under tests/regressions.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError
from bitwright.rtl_tb import emit
from trust import engines, results
from trust.engines import ENGINES, Case, Emit, Engine, Verdict
from trust.networks import network
from trust.regressions import keep
from trust.shrink import shrink, symptom

BATCH = 16
HLS_EVERY = 8
"""One batch in so many goes through hls4ml too, which takes three times as long as the rest."""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """What became of the networks from `first` on.

    refused: why some were not taken at all. broken: where making the case failed, or the oracle
    left a type that the graph promises.
    """

    first: int
    cases: list[Case]
    verdicts: list[Verdict]
    refused: list[str]
    broken: list[str]

    @property
    def wrong(self) -> list[tuple[Case, Verdict]]:
        """What differed."""
        both = zip(self.cases, self.verdicts, strict=True)
        return [(case, verdict) for case, verdict in both if verdict.wrong]


def run_batch(
    seed: int,
    first: int,
    count: int = BATCH,
    which: Sequence[Engine] = ENGINES,
    emitter: Emit = emit,
) -> Batch:
    """Networks first to first + count - 1 of a seed through the engines."""
    cases, refused, broken = [], [], []
    for number in range(first, first + count):
        made = _case(seed, number)
        if isinstance(made, Case):
            cases.append(made)
        elif isinstance(made, BitwrightError):
            refused.append(f"n{number}: {made}")
        else:
            broken.append(f"n{number}: {type(made).__name__}: {made}")
    return Batch(first, cases, engines.compare(cases, which, emitter), refused, broken)


def _case(seed: int, number: int) -> Case | Exception:
    try:
        return engines.case(network(seed, number), number)
    except Exception as error:  # noqa: BLE001 - whatever escapes is what we look for
        return error


def fuzz(
    hours: Annotated[float, typer.Option(help="how long")] = 8.0,
    seed: Annotated[int, typer.Option(help="of the networks")] = 0,
    networks: Annotated[int, typer.Option(help="stop once there are so many; 0: no end")] = 0,
) -> None:
    """Random networks through oracle, reference, hls4ml and RTL."""
    console = Console()
    console.print(f"seed {seed}, hls4ml in every {HLS_EVERY}th batch", style="dim")
    end = time.monotonic() + hours * 3600
    while time.monotonic() < end:
        known = [row for row in results.rows("fuzz") if row["seed"] == str(seed)]
        total = sum(int(row["networks"]) for row in known)
        again = [int(row["first"]) for row in known if row["differences"] != "0"]
        again = [first for first in again if first not in _SEEN]
        if not again and networks and total >= networks:
            break
        first = again[0] if again else max((int(r["first"]) for r in known), default=-BATCH) + BATCH
        _SEEN.add(first)
        _one(console, seed, first, total)


_SEEN: set[int] = set()  # by this process, which would find the same again


def _one(console: Console, seed: int, first: int, total: int) -> None:
    begun = time.monotonic()
    with_hls = first // BATCH % HLS_EVERY == 0
    batch = run_batch(seed, first, which=ENGINES if with_hls else ENGINES[:2])
    seconds = time.monotonic() - begun
    compared = Counter(engine for verdict in batch.verdicts for engine in verdict.compared)
    row = {
        "seed": seed,
        "first": first,
        "networks": compared["rtl"],
        "hls": compared["hls"],
        "nodes": sum(len(case.network.graph.nodes) for case in batch.cases),
        "vectors": sum(len(case.x) for case in batch.cases),
        "refused": len(batch.refused) + sum(len(v.refused) for v in batch.verdicts),
        "differences": len(batch.wrong) + len(batch.broken),
        "seconds": round(seconds),
        "commit": results.commit(),
    }
    results.record("fuzz", ("seed", "first"), row)
    console.print(
        f"{total + compared['rtl']:,} networks; {first} to {first + BATCH - 1} of seed {seed}: "
        f"{row['vectors']:,} vectors in {seconds:.0f} s, "
        + (f"[red]{row['differences']} differ[/]" if row["differences"] else "none differs"),
        highlight=False,
    )
    refusals = [r for v in batch.verdicts for r in v.refused.values()] + batch.refused
    for refusal in refusals:
        console.print(f"  refused: {refusal}", style="dim", highlight=False, markup=False)
    for what in batch.broken:
        console.print(f"  {what}", markup=False, highlight=False)
    for case, verdict in batch.wrong:
        for engine, what in verdict.wrong.items():
            name = case.network.graph.name
            console.print(f"  {name} in {engine}: {what}", markup=False, highlight=False)
            found = f"seed {seed} {name}"
            try:
                small = shrink(case, symptom(engine, what))
                place = keep(small, engine, what, found)
            except BitwrightError as error:
                console.print(f"  cannot be shrunk: {error}", markup=False, highlight=False)
                continue
            console.print(f"  kept as {place}:\n{small.network.graph}", markup=False)
