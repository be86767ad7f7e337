"""Fault injection: single bits of registers and memories flipped while a design works.

`inject(design, x, expected, folder=…)` streams a few vectors again and again, with and without
pauses on both sides, and flips one bit in one cycle of each run. With triple modular redundancy
nothing may show at the output; without it, much does.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt

from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.graph.reference import check_batch
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.tools import run
from bitwright.rtl_tb.vectors import beat_words
from bitwright.rtl_tb.verilate import verilate

_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What single flipped bits did.

    register_bits, memory_bits: how many the design has. cycles: of a run with pauses. tried: flips,
    each in a run of its own. shown: those after which an output beat, tlast or the number of beats
    differed, or a rule of AXI4-Stream was broken. noticed: those that a redundant design's fault_o
    told of; the others changed nothing that was in use. examples: the first that showed, in words.
    """

    register_bits: int
    memory_bits: int
    cycles: int
    tried: int
    shown: int
    noticed: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        bits = f"{self.register_bits:,} register and {self.memory_bits:,} memory bits"
        return f"{self.shown:,} of {self.tried:,} flips showed, in {bits}"


def inject(
    design: Design,
    x: npt.ArrayLike,
    expected: npt.ArrayLike,
    *,
    folder: str | os.PathLike[str],
    flips: int | None = 1000,
    seed: int = 0,
) -> FaultReport:
    """Flip bits, one a run, and count how often that shows at the output.

    x, expected: integers, shapes (batch, *input shape) and (batch, *output shape); every run
    streams all of them, so give few. folder: of the compiled simulation, which is reused while it
    fits. flips: bits and cycles drawn evenly; None for every bit in every cycle.

    Raises:
        InputError: no vectors, vectors of another shape or range, or no flips.
        ToolError: the design is wrong without any fault, or a tool fails.
        StorageError: a file cannot be written.
    """
    vectors, wanted = check_batch(design.input, x), check_batch(design.output, expected)
    if not len(vectors) or len(vectors) != len(wanted):
        raise InputError(f"{len(vectors)} vectors with {len(wanted)} expected outputs")
    if flips is not None and flips < 1:
        raise InputError(f"{flips} faults: ask for at least one")
    model = verilate(design, folder, registers=True)
    patience = 1000 + 64 * (design.latency + design.interval)
    try:
        with tempfile.TemporaryDirectory(prefix="bitwright-") as name:
            stimulus, results = Path(name) / "in", Path(name) / "out"
            beat_words(vectors, design.input_beat, noise=True).tofile(stimulus)
            beat_words(wanted, design.output_beat).tofile(results)
            output = run(
                [model.faults, stimulus, results, str(seed), str(flips or 0),
                 str(design.input_beats), str(design.output_beats), str(int(design.framed)),
                 str(patience)],
                timeout_s=_TIMEOUT_S,
            )  # fmt: skip
    except OSError as error:
        raise StorageError(
            f"cannot write in {tempfile.gettempdir()} ({error.strerror or error}): make room "
            "there, or set TMPDIR to another folder"
        ) from None
    try:
        report = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise ToolError(
            f"the simulation of {design.top} ended with {output[-200:]!r} instead of its report: "
            "build it again"
        ) from None
    if "wrong" in report:
        raise ToolError(
            f"{design.top} is wrong without any fault ({report['wrong']}): see 'bitwright verify'"
        )
    return FaultReport(**{**report, "examples": tuple(report["examples"])})
