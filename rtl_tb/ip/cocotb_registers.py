"""A cocotb bench for the registers of an IP; it stands beside test_stream.py.

It needs cocotb alone, and reads `registers.json` in the folder of the vectors: the byte offset and
value of every register that is constant, and how many words a load has. Where weights can be
loaded, it loads other ones (load.hex), expects their outputs (loaded.hex), and loads the first ones
again (restore.hex).
"""

import json
import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from test_stream import CLOCK, EXPECTED, FOLDER, SOME, STIMULUS, TB, read_beats, started

FACTS = json.loads((FOLDER / "registers.json").read_text())
CONSTANT: dict[int, int] = {int(offset): value for offset, value in FACTS["constant"].items()}
LOAD_BEATS: int = FACTS["load_beats"]
LOAD_COUNT, LOAD, LOAD_LAST = 0x0C, 0x10, 0x14


class Registers:
    """A master of AXI4-Lite that hurries and dawdles at random on every channel."""

    def __init__(self, dut: Any) -> None:
        self._dut, self._edge = dut, RisingEdge(getattr(dut, CLOCK))
        self.patience = 4  # cycles that a channel may wait at most

    async def read(self, offset: int) -> int:
        """The word at a byte offset."""
        sent = cocotb.start_soon(self._send("ar", addr=offset, prot=random.randrange(8)))
        data, response = await self._take("r", "data", "resp")
        await sent
        assert response == 0, f"reading 0x{offset:02x} answers {response}"
        return int(data)

    async def write(self, offset: int, data: int, strobes: int = 0b1111) -> None:
        """Write a word; address and data come in any order."""
        address = cocotb.start_soon(self._send("aw", addr=offset, prot=random.randrange(8)))
        word = cocotb.start_soon(self._send("w", data=data, strb=strobes))
        (response,) = await self._take("b", "resp")
        await address
        await word
        assert response == 0, f"writing 0x{offset:02x} answers {response}"

    async def _send(self, channel: str, **fields: int) -> None:
        for _ in range(random.randrange(self.patience)):
            await self._edge
        for name, value in fields.items():
            self._pin(channel, name).value = value
        self._pin(channel, "valid").value = 1
        await self._edge
        while not self._pin(channel, "ready").value:
            await self._edge
        self._pin(channel, "valid").value = 0
        for name in fields:  # on offer to nobody: the design must not look at it
            self._pin(channel, name).value = random.randrange(8)

    async def _take(self, channel: str, *fields: str) -> tuple[int, ...]:
        willing, shown, before = False, None, None
        while not (willing and shown is not None):
            willing = random.randrange(self.patience) == 0
            self._pin(channel, "ready").value = willing
            await self._edge
            before, shown = shown, None
            if self._pin(channel, "valid").value:
                shown = tuple(self._pin(channel, name).value.to_unsigned() for name in fields)
            assert before in (None, shown), f"s_axi_{channel} took {before} back"
        self._pin(channel, "ready").value = 0
        return shown

    def _pin(self, channel: str, name: str) -> Any:
        return getattr(self._dut, f"s_axi_{channel}{name}")


async def check_constants(registers: Registers) -> None:
    """Every offset reads what it should, those of no register 0."""
    for offset in random.sample(range(0, 64, 4), 16):
        wanted = CONSTANT.get(offset, 0)
        found = await registers.read(offset)
        assert found == wanted, f"0x{offset:02x} reads 0x{found:08x} instead of 0x{wanted:08x}"


async def compute(tb: TB, expected: Sequence[Sequence[int]]) -> None:
    """Stream some tensors, and compare."""
    await tb.expect(expected[SOME], tb.send(STIMULUS[SOME]))


async def load(registers: Registers, words: Sequence[int]) -> None:
    """Write a whole load, and see it counted."""
    assert await registers.read(LOAD_COUNT) == 0, "a load has begun already"
    for i, word in enumerate(words):
        await registers.write(LOAD, word)
        if i in (0, len(words) - 2):
            assert await registers.read(LOAD_COUNT) == i + 1
    assert await registers.read(LOAD_COUNT) == 0, "the load is not complete"


def read_words(name: str) -> list[int]:
    """The words of a load, from a file."""
    return [word for (word,) in read_beats(name, LOAD_BEATS)]


@cocotb.test()
@cocotb.parametrize(patience=[1, 4])
async def identity(dut: Any, patience: int) -> None:
    """ID, version and the graph's digest can be read."""
    await started(dut)
    registers = Registers(dut)
    registers.patience = patience
    await check_constants(registers)


@cocotb.test()
async def writes_change_nothing(dut: Any) -> None:
    """Neither what is only read, nor what has no register, nor half a word for the load."""
    tb = await started(dut)
    registers = Registers(dut)
    for offset in range(0, 64, 4):
        if not (LOAD_BEATS and offset in (LOAD, LOAD_LAST)):
            await registers.write(offset, random.getrandbits(32))
        for strobes in (0, 1, 0b0110, 0b0111):
            await registers.write(offset, random.getrandbits(32), strobes)
    await check_constants(registers)
    await compute(tb, EXPECTED)


@cocotb.test()
async def while_tensors_stream(dut: Any) -> None:
    """Reading and streaming do not disturb each other."""
    tb = await started(dut)
    reading = cocotb.start_soon(check_constants(Registers(dut)))
    await compute(tb, EXPECTED)
    await reading


if LOAD_BEATS:

    @cocotb.test()
    async def loaded_weights(dut: Any) -> None:
        """Other weights give other outputs, also behind a load that was broken off."""
        tb = await started(dut)
        registers = Registers(dut)
        other, own, expected = (
            read_words("load.hex"),
            read_words("restore.hex"),
            read_beats("loaded.hex"),
        )
        await compute(tb, EXPECTED)
        await load(registers, other)
        await compute(tb, expected)
        registers.patience = 1
        for word in own[: LOAD_BEATS // 2]:
            await registers.write(LOAD, word)
        await registers.write(LOAD_LAST, 0)  # begin again
        await load(registers, own)
        await compute(tb, EXPECTED)
