"""A cocotb bench for any AXI4-Stream design that makes a tensor of every tensor; it stands alone.

It needs cocotb and a folder of three text files, which BITWRIGHT_VECTORS names or which is called
`vectors`, beside the bench or one folder up:

    stimulus.hex   beats of s_axis_tdata, one a line; a line that begins with // is a comment
    expected.hex   beats of m_axis_tdata
    bench.json     clock, reset   names of the ports; the reset is active low
                   idle           inputs that are held at zero
                   tensors        how many the beats are, each of equally many
                   latency        cycles from the clock edge that takes a tensor's first beat to the
                                  one that hands the last of its result over
                   interval       cycles between two tensors at full rate
                   framed         whether tlast marks the last beat of every tensor; otherwise a
                                  tensor is one beat, and its result gets the tlast it came with

What it measures goes to the log, and as JSON to the file that BITWRIGHT_MEASURED names.
"""

import json
import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any, NamedTuple

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

PERIOD_NS = 10
LOOK_EVERY = 64  # cycles between two looks at whether a test is done; then nothing more may come

Pauses = Iterator[bool]
Tensors = Sequence[Sequence[int]]  # the beats of each

_HERE = Path(__file__).resolve().parent
FOLDER = Path(
    os.environ.get("BITWRIGHT_VECTORS")
    or next(filter(Path.is_dir, (_HERE / "vectors", _HERE.parent / "vectors")))
)
_FACTS = json.loads((FOLDER / "bench.json").read_text())
CLOCK, RESET, IDLE = _FACTS["clock"], _FACTS["reset"], _FACTS["idle"]
TENSORS, FRAMED = _FACTS["tensors"], _FACTS["framed"]
LATENCY, INTERVAL = _FACTS["latency"], _FACTS["interval"]


def read_beats(name: str, tensors: int = TENSORS) -> Tensors:
    """The beats in a file, tensor by tensor."""
    lines = (FOLDER / name).read_text().splitlines()
    words = [int(line, 16) for line in lines if line and not line.startswith("//")]
    each, left = divmod(len(words), tensors)
    assert each and not left, f"{name} has {len(words)} beats, which are not {tensors} tensors"
    return [words[i : i + each] for i in range(0, len(words), each)]


STIMULUS, EXPECTED = read_beats("stimulus.hex"), read_beats("expected.hex")
IN_BEATS, OUT_BEATS = len(STIMULUS[0]), len(EXPECTED[0])  # of one tensor

# Within this many cycles a working design takes or gives a beat, whatever the pauses.
PATIENCE = 1000 + 64 * (LATENCY + INTERVAL)
# Of the tensors, where it is about the protocol more than the values.
SOME = slice(0, max(2, min(1000, 20_000 // INTERVAL)))


class Beat(NamedTuple):
    """One transfer: tdata as one integer, tlast."""

    data: int
    last: bool


def no_pauses() -> Pauses:
    """Never pause."""
    return repeat(False)


def random_pauses() -> Pauses:
    """Bursts, trickles and long waits, at random."""
    while True:
        share = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for _ in range(random.randrange(4, 64)):
            yield random.random() < share


class Source:
    """Offers the queued beats, between which `pauses` may make it wait; never takes one back."""

    def __init__(self, dut: Any) -> None:
        self._valid, self._ready = dut.s_axis_tvalid, dut.s_axis_tready
        self._data, self._last = dut.s_axis_tdata, dut.s_axis_tlast
        self._offering = False
        self.queue: deque[Beat] = deque()
        self.pauses = no_pauses()
        self.taken_at: list[int] = []  # the cycle of every handshake

    def step(self, cycle: int, *, reset: bool) -> None:
        """Right after a rising edge: note what it took, then offer for the next one."""
        if reset:
            self._offering = False
        elif self._offering and self._ready.value:
            self.queue.popleft()
            self.taken_at.append(cycle)
            self._offering = False
        if self._offering:
            return
        self._offering = not reset and bool(self.queue) and not next(self.pauses)
        self._valid.value = self._offering
        if self._offering:
            self._data.value, self._last.value = self.queue[0]
        elif self.queue:  # on offer to nobody: a design must not look at it
            self._data.value, self._last.value = self.queue[-1].data, not self.queue[-1].last


class Sink:
    """Takes beats, between which `pauses` may make it wait, and checks the rules on the way."""

    def __init__(self, dut: Any) -> None:
        self._valid, self._ready = dut.m_axis_tvalid, dut.m_axis_tready
        self._data, self._last = dut.m_axis_tdata, dut.m_axis_tlast
        self._willing = False
        self._stalled: Beat | None = None
        self.in_reset = False
        self.beats: deque[Beat] = deque()
        self.pauses = no_pauses()
        self.given_at: list[int] = []  # the cycle of every handshake

    def step(self, cycle: int, *, reset: bool) -> None:
        """Right after a rising edge: judge and note what it showed, then be ready or not."""
        if reset:
            assert not (self.in_reset and self._valid.value), "m_axis_tvalid is high in reset"
            self._stalled = None
        else:
            self._sample(cycle)
        self.in_reset = reset
        self._willing = not reset and not next(self.pauses)
        self._ready.value = self._willing

    def _sample(self, cycle: int) -> None:
        if not self._valid.value:
            assert self._stalled is None, "m_axis_tvalid dropped before the handshake"
            return
        beat = Beat(self._data.value.to_unsigned(), bool(self._last.value))
        if self._stalled is not None:
            assert beat.data == self._stalled.data, "m_axis_tdata changed while stalled"
            assert beat.last == self._stalled.last, "m_axis_tlast changed while stalled"
        if self._willing:
            self.beats.append(beat)
            self.given_at.append(cycle)
        self._stalled = None if self._willing else beat


class TB:
    """Clock, reset, source and sink around one design."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.source, self.sink = Source(dut), Sink(dut)
        self.cycle = 0
        self._reset = True
        self._reset_pin = getattr(dut, RESET)
        self._reset_pin.value = 0
        for name in IDLE:
            getattr(dut, name).value = 0
        dut.s_axis_tvalid.value = 0
        dut.s_axis_tlast.value = 0
        dut.s_axis_tdata.value = 0
        dut.m_axis_tready.value = 0
        self._clock = getattr(dut, CLOCK)
        Clock(self._clock, PERIOD_NS, unit="ns").start()
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self._clock)
        while True:
            await edge
            self.cycle += 1
            self.source.step(self.cycle, reset=self._reset)
            self.sink.step(self.cycle, reset=self._reset)

    async def cycles(self, count: int) -> None:
        """Wait from the middle of one clock period to the middle of another."""
        await Timer(count * PERIOD_NS, unit="ns")

    async def reset(self, cycles: int = 4) -> None:
        """Hold the design in reset, and forget every beat that was on its way."""
        self._reset_pin.value = 0
        self._reset = True
        self.source.queue.clear()
        await self.cycles(cycles)
        self.sink.beats.clear()
        self.source.taken_at.clear()
        self.sink.given_at.clear()
        self._reset_pin.value = 1
        self._reset = False

    def send(self, data: Tensors, *, packet: Iterator[int] | None = None) -> list[bool]:
        """Queue tensors; returns the tlast of every beat that has to come out.

        packet: lengths of the packets, in tensors, of a design that passes tlast along. One that
        marks tensors itself does not look at tlast, and gets a random one.
        """
        wanted, left = [], 0
        for i, tensor in enumerate(data):
            left = (next(packet) if packet else len(data)) if left == 0 else left
            left -= 1
            last = left == 0 or i == len(data) - 1
            for word in tensor:
                self.source.queue.append(Beat(word, random.random() < 0.5 if FRAMED else last))
            wanted += [*[False] * (OUT_BEATS - 1), True] if FRAMED else [last]
        return wanted

    async def arrive(self, tensors: int) -> None:
        """Wait until everything queued was taken and all results came, and listen for more."""
        waited, before = 0, (-1, -1)
        while len(self.sink.beats) < tensors * OUT_BEATS or self.source.queue:
            now = (len(self.source.taken_at), len(self.sink.given_at))
            waited = waited + LOOK_EVERY if now == before else 0
            assert waited < PATIENCE, (
                f"the design stopped: it took {now[0]} beats and gave {now[1]}"
            )
            begun = -(-now[0] // IN_BEATS) * OUT_BEATS
            assert now[1] <= begun, f"{now[0]} beats went in and already {now[1]} came out"
            before = now
            await self.cycles(LOOK_EVERY)
        await self.cycles(LOOK_EVERY + LATENCY)

    async def expect(self, data: Tensors, lasts: Sequence[bool]) -> None:
        """Wait for the results, compare them beat by beat, and let the sink end empty."""
        await self.arrive(len(data))
        words = chain.from_iterable(data)
        for i, (word, last) in enumerate(zip(words, lasts, strict=True)):
            made = self.sink.beats.popleft()
            assert made.data == word, f"result {i} is 0x{made.data:x} instead of 0x{word:x}"
            assert made.last == last, f"m_axis_tlast is {made.last:d} at result {i}"
        assert not self.sink.beats, f"{len(self.sink.beats)} beats more came than were expected"


async def started(dut: Any) -> TB:
    """A bench whose design has just come out of reset."""
    tb = TB(dut)
    await Timer(PERIOD_NS // 2, unit="ns")  # away from the rising edges, and so from every race
    await tb.reset()
    return tb


def packet_lengths() -> Iterator[int]:
    """Packets of one to nine vectors, single ones often."""
    while True:
        yield random.choice((1, 1, 2, 3, 5, 9))


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """Every vector, without a pause on either side."""
    tb = await started(dut)
    await tb.expect(EXPECTED, tb.send(STIMULUS))


@cocotb.test()
async def latency_and_interval(dut: Any) -> None:
    """The cycles are the predicted ones: of vectors alone, and of a stream."""
    tb = await started(dut)
    alone, gaps = set(), set()
    for count in (1, 1, 1, len(STIMULUS[SOME])):
        tb.source.taken_at.clear()
        tb.sink.given_at.clear()
        tb.send(STIMULUS[:count])
        await tb.arrive(count)
        assert len(tb.sink.given_at) == count * OUT_BEATS, (
            f"{count} tensors went in and {len(tb.sink.given_at)} beats came out"
        )
        given = tb.sink.given_at[OUT_BEATS - 1 :: OUT_BEATS]
        alone.add(given[0] - tb.source.taken_at[0])
        gaps |= {after - before for before, after in pairwise(given)}
        tb.sink.beats.clear()
    measured = {"latency": max(alone), "interval": max(gaps, default=None)}
    dut._log.info("measured %s", measured)
    if path := os.environ.get("BITWRIGHT_MEASURED"):
        Path(path).write_text(json.dumps(measured) + "\n")
    assert alone == {LATENCY}, f"latency {sorted(alone)} cycles instead of {LATENCY}"
    assert max(gaps, default=INTERVAL) == INTERVAL, (
        f"interval {sorted(gaps)} cycles instead of {INTERVAL}"
    )


@cocotb.test()
@cocotb.parametrize(side=["source", "sink", "both"])
async def pauses(dut: Any, side: str) -> None:
    """Random pauses on one side, then on both."""
    tb = await started(dut)
    if side != "sink":
        tb.source.pauses = random_pauses()
    if side != "source":
        tb.sink.pauses = random_pauses()
    sent = tb.send(STIMULUS[SOME], packet=packet_lengths())
    await tb.expect(EXPECTED[SOME], sent)


@cocotb.test()
async def tlast(dut: Any) -> None:
    """Packets of every length keep theirs, at full rate, and single vectors too."""
    tb = await started(dut)
    for lengths in (repeat(1), packet_lengths()):
        sent = tb.send(STIMULUS[SOME], packet=lengths)
        await tb.expect(EXPECTED[SOME], sent)


@cocotb.test()
async def valid_before_ready(dut: Any) -> None:
    """A result is offered to a sink that is not ready, and waits (ARM IHI 0051A, section 2.2.1)."""
    tb = await started(dut)
    tb.sink.pauses = repeat(True)
    sent = tb.send(STIMULUS[SOME])
    await tb.cycles(LATENCY + INTERVAL + LOOK_EVERY)
    assert dut.m_axis_tvalid.value, "m_axis_tvalid waits for m_axis_tready"
    tb.sink.pauses = no_pauses()
    await tb.expect(EXPECTED[SOME], sent)


@cocotb.test()
@cocotb.parametrize(stalled=[False, True])
async def reset_inside_a_packet(dut: Any, stalled: bool) -> None:
    """Reset with vectors in every stage: nothing of them comes out, and what follows is right."""
    tb = await started(dut)
    if stalled:
        tb.sink.pauses = repeat(True)
    tb.send(STIMULUS[SOME])
    await tb.cycles(LATENCY + 3)
    assert tb.source.taken_at, "the design took no vector"
    await tb.reset(cycles=2)
    tb.sink.pauses = no_pauses()
    await tb.cycles(LATENCY + LOOK_EVERY)
    assert not tb.sink.beats, f"{len(tb.sink.beats)} stale beats came out after the reset"
    # The other end of the vectors, so that a stale one cannot pass for a right one.
    await tb.expect(EXPECTED[::-1][SOME], tb.send(STIMULUS[::-1][SOME]))
