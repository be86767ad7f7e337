"""What becomes of a memory: logic, look-up tables that are written, or memory blocks.

The choice and the number of blocks follow Yosys 0.70's own rule (memory_libmap: the cheapest of all
ways, a cost for each cell, half a point for each bit of the multiplexers between cells; the cells
and their costs from its files lutrams*.txt and brams*.txt), so that blocks are counted exactly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bitwright.models.graph import Target
from bitwright.models.graph.plan import Memory as Style

Kind = Literal["logic", "tables", "block"]


@dataclass(frozen=True, slots=True)
class Form:
    """A cell: address bits at a width of 1, the widths it can have, and its cost.

    scaled: the part of the cost that counts only by the width that is used. byte: bits that are
    written together at least. luts: look-up tables that it occupies. blocks: that it counts as.
    """

    kind: Kind
    address_bits: int
    widths: tuple[int, ...]
    cost: float
    scaled: float = 0
    byte: int = 0
    luts: int = 0
    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """What a memory becomes.

    cells: how many, one of two blocks (36 Kb) twice. parts: cells behind each other, between which
    multiplexers select.
    """

    kind: Kind
    cells: int = 0
    luts: int = 0
    parts: int = 1


_NARROW = (1, 2, 4, 9, 18)
_XILINX_BLOCKS = (
    Form("block", 14, (*_NARROW, 36), 129, byte=9),
    Form("block", 15, (*_NARROW, 36, 72), 257, byte=9, blocks=2),
)
FORMS: Mapping[Target, tuple[Form, ...]] = {
    "xc7": (
        Form("tables", 5, (6,), 8, 7, luts=4),
        Form("tables", 6, (3,), 8, 7, luts=4),
        *_XILINX_BLOCKS,
    ),
    "xcup": (
        Form("tables", 5, (14,), 16, 16, luts=8),
        Form("tables", 6, (7,), 16, 16, luts=8),
        *_XILINX_BLOCKS,
    ),
    "ecp5": (
        Form("tables", 4, (4,), 4, luts=4),
        Form("block", 14, (*_NARROW, 36), 128, byte=9),
    ),
    "ice40": (Form("block", 11, (2, 4, 8, 16), 64, byte=1),),
    "gowin": (
        Form("tables", 4, (4,), 4, 4, luts=6),
        Form("block", 14, (*_NARROW, 36), 128, byte=9),
    ),
}

# Points for a bit of a memory that stays logic, by what is stored: read only, or written.
_ROM: Mapping[Target, float] = {
    "xc7": 1 / 64, "xcup": 1 / 64, "ecp5": 1 / 16, "ice40": 1 / 16, "gowin": 1 / 16,
}  # fmt: skip
_RAM = 1.0

_TRANSPARENT = 6.0
"""Points for what passes a word on that is written where it is read: only FIFOs need it."""


_FEWEST = 9
"""Words of a read-only memory: Yosys makes logic of fewer, whatever they should be."""


@cache
def memory(
    target: Target,
    width: int,
    depth: int,
    *,
    written: bool,
    registered: bool,
    style: Style = "auto",
) -> Memory:
    """What becomes of `depth` words of `width` bits.

    written: it has a write port; otherwise its contents are fixed, and it is one bank of them.
    registered: a word is read from a register that follows the memory. Where it is not, Yosys reads
    a cycle early. style: what the plan asks for.
    """
    words = depth
    if not written:
        # Yosys gives a fixed memory all the words that its address can say (proc_rom). The banks of
        # a large one are memories of their own (cells.rom_of_shape).
        depth = 1 << (depth - 1).bit_length()
    best, least = Memory("logic"), width * depth * (_RAM if written else _ROM[target])
    kinds = {"auto": ("tables", "block"), "lut": ("tables",), "block": ("block",)}[style]
    if not written:
        kinds = tuple(kind for kind in kinds if kind == "block" and words >= _FEWEST)
    if style != "auto" and kinds:
        least = math.inf
    for form in FORMS[target]:
        if form.kind not in kinds:
            continue
        cost, cells, parts = _cells(form, width, depth, written)
        cost += 0 if registered else _TRANSPARENT
        if cost < least:
            made = Memory(form.kind, cells * form.blocks, cells * form.luts, parts)
            best, least = made, cost
    return best


def _cells(form: Form, width: int, depth: int, written: bool) -> tuple[float, int, int]:
    """The least cost of a memory of such cells, how many, and how many behind each other."""
    found: tuple[float, int, int] | None = None
    for exponent, unit in enumerate(form.widths):
        parts = math.ceil(depth / (1 << (form.address_bits - exponent)))
        byte = min(form.byte or unit, unit) if written else 1
        padded = math.ceil(width / byte) * byte
        cells = math.ceil(parts * padded / unit)
        cost = (form.cost - form.scaled) * cells + form.scaled * parts * width / unit
        cost += 0.5 * (parts - 1) * width + 0.5 * (parts if written and parts > 1 else 0) + 2
        if found is None or cost < int(found[0]):
            found = cost, cells, parts
    assert found is not None
    return found
