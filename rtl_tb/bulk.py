"""Bulk simulation: every vector of a data set through the design, at compiled speed.

`build(design, folder).verify(x, expected)` streams all vectors at full rate, measures latency and
initiation interval, and streams a part of them again with random pauses on both sides.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.graph import IntArray
from bitwright.models.graph.reference import check_batch
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.tools import run
from bitwright.rtl_tb.vectors import Beats, beat_bytes, beat_words, dirty_padding, unpack
from bitwright.rtl_tb.verilate import Model, verilate

_ELEMENTS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False, slots=True)
class Load:
    """Words for the stream of run-time weights, given once the first `after` vectors are through.

    words: uint32, as `load_words` makes them.
    """

    after: int
    words: npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False, slots=True)
class Simulation:
    """What came out of one run.

    outputs: shape (batch, *output shape). latency: cycles from the clock edge that took the first
    vector to the one that handed its result over. interval: most cycles between two results, None
    for a single vector. Both are the design's own only in a run without pauses.
    """

    outputs: IntArray
    latency: int
    interval: int | None
    cycles: int


@dataclass(frozen=True, slots=True)
class Verification:
    """How a design did against expected outputs.

    mismatches: vectors whose output differs or never came, at full rate. latency, interval:
    measured at full rate; None where too few results came. faults: everything wrong, in sentences;
    a wrong value, a broken rule of AXI4-Stream, cycles other than predicted.
    """

    vectors: int
    mismatches: int
    paused_vectors: int
    paused_mismatches: int
    latency: int | None
    interval: int | None
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing at all was wrong."""
        return not self.faults


@dataclass(frozen=True, eq=False, slots=True)
class _Run:
    """One run of the harness: the beats that came out, which may be fewer than went in."""

    beats: Beats
    accepted: int
    emitted: int
    cycles: int
    latency: int | None
    interval: int | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Simulator:
    """A compiled design."""

    design: Design
    model: Model

    def simulate(
        self,
        x: npt.ArrayLike,
        *,
        seed: int = 0,
        waves: str | os.PathLike[str] | None = None,
        loads: Sequence[Load] = (),
    ) -> Simulation:
        """Stream vectors through the design.

        x: integers, shape (batch, *input shape). seed: 0 for full rate, else of the random pauses
        on both sides and of the packets' lengths. waves: record this FST file. loads: what to put
        into the stream of run-time weights, and when; they count in the cycles.

        Raises:
            InputError: vectors of another shape or range, or none; loads into constant weights.
            ToolError: the simulation failed, the design stopped, or it broke AXI4-Stream.
            StorageError: a file cannot be written.
        """
        done = self._run(self._check(x), seed, waves, loads)
        if done.faults:
            raise ToolError(f"simulating {self.design.top}: {'; '.join(done.faults)}")
        assert done.latency is not None  # or there would be a fault
        outputs = self._tensors(done.beats)
        return Simulation(outputs, done.latency, done.interval, done.cycles)

    def verify(
        self,
        x: npt.ArrayLike,
        expected: npt.ArrayLike,
        *,
        seed: int = 1,
        paused: int = 4096,
        waves: str | os.PathLike[str] | None = None,
    ) -> Verification:
        """Compare the design with expected outputs, cycles with the design's, every rule kept.

        x, expected: integers, shapes (batch, *input shape) and (batch, *output shape). paused: how
        many of the vectors are streamed again with random pauses. waves: record the run at full
        rate as this FST file. Raises what `simulate` raises, but a design that does wrong, stops
        or breaks the protocol is reported and not raised.
        """
        vectors = self._check(x)
        wanted = check_batch(self.design.output, expected)
        if len(wanted) != len(vectors):
            raise InputError(f"{len(vectors)} vectors with {len(wanted)} expected outputs")
        full = self._run(vectors, 0, waves)
        mismatches, faults = self._compare(full, wanted)
        faults += self._compare_cycles(full)
        paused = min(paused, len(vectors))
        paused_mismatches = 0
        if paused:
            again = self._run(vectors[:paused], max(seed, 1), None)
            paused_mismatches, more = self._compare(again, wanted[:paused])
            faults += tuple(f"with pauses: {fault}" for fault in more)
        return Verification(len(vectors), mismatches, paused, paused_mismatches, full.latency,
                            full.interval, faults)  # fmt: skip

    def _check(self, x: npt.ArrayLike) -> IntArray:
        vectors = check_batch(self.design.input, x)
        if len(vectors) == 0:
            raise InputError("there are no vectors to simulate: give at least one")
        return vectors

    def _compare(self, done: _Run, wanted: IntArray) -> tuple[int, tuple[str, ...]]:
        """Vectors that differ or are missing, and the run's faults with that one added."""
        differs = np.ones(len(wanted), bool)
        made = wanted[:0]
        if len(done.beats) >= self.design.output_beats:
            made = self._tensors(done.beats)
            axes = tuple(range(1, made.ndim))
            differs[: len(made)] = (made != wanted[: len(made)]).any(axis=axes)
        count = int(differs.sum())
        if not count:
            return 0, done.faults
        first = int(differs.argmax())
        shown = made[first].tolist() if first < len(made) else "nothing"
        fault = (
            f"{count} of {len(wanted)} outputs differ, first that of vector {first}: {shown} "
            f"instead of {wanted[first].tolist()}"
        )
        return count, (*done.faults, fault)

    def _compare_cycles(self, done: _Run) -> tuple[str, ...]:
        faults = []
        if done.latency not in (None, self.design.latency):
            faults.append(f"latency {done.latency} cycles instead of {self.design.latency}")
        if done.interval not in (None, self.design.interval):
            faults.append(f"interval {done.interval} cycles instead of {self.design.interval}")
        return tuple(faults)

    def _run(
        self,
        x: IntArray,
        seed: int,
        waves: str | os.PathLike[str] | None,
        loads: Sequence[Load] = (),
    ) -> _Run:
        if loads and not self.design.load_beats:
            raise InputError(f"{self.design.top} has no weights that can be loaded at run time")
        if waves is not None and not self.model.waves:
            raise InputError(f"{self.design.top} was built without waves: build it with waves=True")
        # Within this many cycles a working design takes or gives a beat, whatever the pauses.
        patience = 1000 + 64 * (self.design.latency + self.design.interval)
        try:
            if waves is not None:
                Path(waves).parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="bitwright-") as name:
                stimulus, result = Path(name) / "in", Path(name) / "out"
                self._write_stimulus(x, stimulus)
                extra: list[str | Path] = []
                if loads:
                    loaded = Path(name) / "words"
                    np.concatenate([load.words for load in loads]).astype("<u4").tofile(loaded)
                    extra = [loaded, ",".join(f"{load.after}:{len(load.words)}" for load in loads)]
                output = run(
                    [self.model.bulk, stimulus, result, str(len(x)), str(seed), str(patience),
                     "-" if waves is None else Path(waves), str(self.design.input_beats),
                     str(self.design.output_beats), str(int(self.design.framed)), *extra],
                    timeout_s=600.0 + len(x) * (0.1 + self.design.interval * 1e-3),
                )  # fmt: skip
                words = np.fromfile(result, "<u4")
        except OSError as error:
            raise StorageError(
                f"cannot write {error.filename or tempfile.gettempdir()} ({error.strerror}): make "
                "room, or choose a place that can be written"
            ) from None
        rows = words.reshape(-1, self._output_bytes() // 4).view(np.uint8)
        return self._judge(output, rows[:, : beat_bytes(self.design.output_beat)], len(x))

    def _output_bytes(self) -> int:
        """Bytes of a beat in the file of results: whole words, the beat first."""
        return -(-beat_bytes(self.design.output_beat) // 4) * 4

    def _stimulus(self, x: IntArray) -> Beats:
        """Beats as they are in the file of stimuli: rows of whole words."""
        return beat_words(x, self.design.input_beat, noise=True)

    def _tensors(self, beats: Beats) -> IntArray:
        """The whole output tensors that beats carry."""
        each, output = self.design.output_beats, self.design.output
        whole = beats[: len(beats) // each * each]
        return unpack(whole, self.design.output_beat).reshape(-1, *output.shape)

    def _write_stimulus(self, x: IntArray, path: Path) -> None:
        with path.open("wb") as file:
            step = max(1, _ELEMENTS_AT_ONCE // self.design.input.size)
            for start in range(0, len(x), step):
                file.write(np.ascontiguousarray(self._stimulus(x[start : start + step])).data)

    def _judge(self, output: str, beats: Beats, vectors: int) -> _Run:
        try:
            report = json.loads(output.splitlines()[-1])
            accepted, emitted, cycles = (report[k] for k in ("accepted", "emitted", "cycles"))
            faults = [
                f"{name} (at {count} beats, first at output {first})"
                for name, count, first in report["broken"]
            ]
        except (IndexError, KeyError, TypeError, ValueError):
            raise ToolError(
                f"the simulation of {self.design.top} ended with {output[-200:]!r} instead of its "
                "report: build it again"
            ) from None
        taken, given = accepted // self.design.input_beats, emitted // self.design.output_beats
        if accepted < vectors * self.design.input_beats:
            faults.append(f"the design stopped: it took {taken} of {vectors} vectors")
        if emitted != taken * self.design.output_beats:
            faults.append(f"{taken} vectors went in and {given} results came out")
        if dirty := dirty_padding(beats, self.design.output_beat):
            faults.append(f"the padding of m_axis_tdata is not zero in {dirty} beats")
        return _Run(beats, taken, given, cycles, report["latency"] if given else None,
                    report["interval"] if given > 1 else None, tuple(faults))  # fmt: skip


def build(design: Design, folder: str | os.PathLike[str], *, waves: bool = False) -> Simulator:
    """Compile a design for simulation into a folder of its own, which is reused while it fits.

    waves: able to record an FST. Raises ToolError and StorageError as `verilate` does.
    """
    return Simulator(design, verilate(design, folder, waves=waves))
