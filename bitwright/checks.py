"""The checks of the job: each engine against the reference, each check against mistakes."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright import hls
from bitwright.controls import KINDS, Mistake, mistakes
from bitwright.inputs import affordable
from bitwright.models.errors import StorageError
from bitwright.models.graph import Graph, IntArray, Plan, cycles, evaluate
from bitwright.report import Control, Controls, Engine
from bitwright.rtl_tb import Design, bulk, emit
from bitwright.rtl_tb.bench import BenchResult, run_bench

if TYPE_CHECKING:
    from bitwright.hls import IoType, Project
    from bitwright.rtl_tb import Form

FORMS: Mapping[str, "Form"] = {"rtl": "adder_graph", "rtl_plain": "plain"}
"""The RTL engines by their names in reports and output folders, and how each is emitted."""

ENGINES = ("hls", *FORMS)

Check = Callable[[IntArray, IntArray], Engine]
"""From inputs and expected outputs to what an engine made of them."""

CONTROL_VECTORS = 2_000
"""Vectors for each control at most. That a mistake shows in them is known before it is built."""

# Cycles that are simulated for each of these, or a few vectors' if one takes longer.
_PAUSED_CYCLES, _CONTROL_CYCLES, _BENCH_CYCLES = 1_000_000, 1_000_000, 200_000


def check_hls(project: "Project", x: IntArray, expected: IntArray) -> Engine:
    """The C simulation of an hls4ml project against expected outputs, all of them."""
    differs = (hls.simulate(project, x) != expected).reshape(len(x), -1).any(axis=1)
    return Engine(len(x), int(differs.sum()), io=project.io)


def check_rtl(simulator: bulk.Simulator, x: IntArray, expected: IntArray) -> Engine:
    """A compiled design against expected outputs, its cycles against the plan's."""
    paused = affordable(_PAUSED_CYCLES, simulator.design.interval, 4096)
    done = simulator.verify(x, expected, paused=paused)
    return Engine(done.vectors, done.mismatches, done.latency, done.interval, done.faults)


def check_bench(design: Design, x: IntArray, expected: IntArray, folder: Path) -> BenchResult:
    """The cocotb bench on as many of the vectors as it can take in a minute or so."""
    few = slice(affordable(_BENCH_CYCLES, design.interval, len(x)))
    return run_bench(design, x[few], expected[few], folder)


def check_controls(
    graph: Graph,
    plan: Plan,
    x: IntArray,
    engines: Sequence[str] = ENGINES,
    io: "IoType | None" = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Controls:
    """Build every mistake in every engine, and see whether the check reports it.

    x: integers, shape (batch, *input shape), of which CONTROL_VECTORS are used. io: of the HLS
    projects, see `hls.write`. progress: called with how many of how many are done.
    """
    x = x[-affordable(_CONTROL_CYCLES, cycles(graph, plan).interval, CONTROL_VECTORS) :]
    expected = evaluate(graph, x)
    found = mistakes(graph, x)
    total = len(KINDS) * len(engines)
    each: list[Control] = []
    with _scratch() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        # Written one after the other, because hls4ml is not made for threads; compiled and run at
        # the same time.
        waiting = [
            (
                engine,
                mistake,
                pool.submit(_written(engine, mistake, plan, io, scratch), x, expected),
            )
            for mistake in found
            for engine in engines
        ]
        for engine, mistake, future in waiting:
            seen = future.result().mismatches
            each.append(Control(engine, mistake.name, mistake.where, mistake.differing, seen))
            progress(len(each), total)
    return Controls(sum(one.caught for one in each), total, tuple(each))


def _written(
    engine: str, mistake: Mistake, plan: Plan, io: "IoType | None", scratch: Path
) -> Check:
    """The check of one engine, for hardware with a mistake that has just been written."""
    folder = scratch / f"{mistake.name.replace(' ', '_')}_{engine}"
    if engine == "hls":
        return partial(check_hls, hls.write(mistake.graph, folder, io=io))
    design = emit(mistake.graph, plan, folder, FORMS[engine])
    return lambda x, expected: check_rtl(bulk.build(design, folder / "sim"), x, expected)


@contextmanager
def _scratch() -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix="bitwright-controls-") as name:
            yield Path(name)
    except OSError as error:
        raise StorageError(
            f"cannot write in {tempfile.gettempdir()} ({error.strerror or error}): make room "
            "there, or set TMPDIR to another folder"
        ) from None
