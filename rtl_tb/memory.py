"""Memories with contents as SystemVerilog text, and what the streaming cells keep in them.

The contents are statements in the module itself. A file for $readmemh that is not found gives zeros
with a mere warning in most tools, Verilator among them; and one wide literal is refused (Verilator
takes 65,536 bits, Yosys 16,000 characters) or, copied in a loop, unrolled for minutes by Yosys.

Constants are case statements, which Verilator turns into tables and Yosys into ROMs, both in time
that is linear in the words while a statement has few of them. Verilator tries all values of the
variables that a statement reads: so a bank's address has to be a wire of its own. Read as a part of
the whole address, nine banks of 36,875 words took it 10 s; so they take 1.5 s.

Memories that are written need assignments in initial blocks. Yosys takes eight times longer to read
those, and Verilator puts them into files *__Slow.cpp, which want to be compiled with -O0, five
times faster.
"""

from collections.abc import Sequence

import numpy as np

from bitwright.models.graph import IntArray, IntType, Lookup, Requantize, Threshold
from bitwright.models.graph.banks import LARGEST, banks
from bitwright.models.graph.plan import Memory

# Words in one initial block: Yosys takes more than linear time for one.
_BLOCK = 1024

# The synthesisers' words. Yosys knows no distributed ROM, only logic, and looks at the first
# attribute; for constants Vivado goes by the other.
_ROM_STYLES: dict[Memory, str] = {
    "auto": "",
    "lut": '(* ram_style = "registers", rom_style = "distributed" *) ',
    "block": '(* rom_style = "block" *) ',
}
_RAM_STYLES: dict[Memory, str] = {
    "auto": "(* no_rw_check *) ",
    "lut": '(* no_rw_check, ram_style = "distributed" *) ',
    "block": '(* no_rw_check, ram_style = "block" *) ',
}


def address_width(depth: int) -> int:
    """Bits of the address of a memory of `depth` words, at least one."""
    return max(1, (depth - 1).bit_length())


def rom(module: str, words: Sequence[int], width: int, style: Memory = "auto") -> str:
    """The text of a memory of constants: ports clk_i, address_i and, a cycle later, data_o.

    words: each `width` bits, as an unsigned number; word 0 is at address 0.
    """
    top, style_words = _address_top(module, words, width), _ROM_STYLES[style]
    sizes = banks(len(words))
    alone = len(sizes) == 1
    inner = top + 1 if alone else address_width(LARGEST)  # bits of the address in a bank
    lines = [
        f"// {len(words)} words of {width} bits; a word is at data_o one cycle after its address.",
        f"module {module} (",
        "  input  logic clk_i,",
        f"  input  logic [{top}:0] address_i,",
        f"  output logic [{width - 1}:0] data_o",
        ");",
    ]
    at = "address_i" if alone else "inner"
    if not alone:
        lines.append(f"  wire [{inner - 1}:0] inner = address_i[{inner - 1}:0];")
    for b, size in enumerate(sizes):
        name = "data_q" if alone else f"bank{b}_q"
        bank = words[b * LARGEST : b * LARGEST + size]
        lines += [
            f"  {style_words}logic [{width - 1}:0] {name};",
            "  always_ff @(posedge clk_i) begin",
            f"    {style_words}case ({at})",
            *(f"      {inner}'d{i}: {name} <= {width}'h{word:x};" for i, word in enumerate(bank)),
        ]
        if size < 1 << inner:
            lines.append(f"      default: {name} <= 'x;")
        lines += ["    endcase", "  end"]
    if alone:
        lines.append("  assign data_o = data_q;")
    else:
        bits = top + 1 - inner
        lines += [
            f"  logic [{bits - 1}:0] bank_q;",
            f"  always_ff @(posedge clk_i) bank_q <= address_i[{top}:{inner}];",
            "  always_comb begin",
            "    case (bank_q)",
            *(f"      {bits}'d{b}: data_o = bank{b}_q;" for b in range(len(sizes) - 1)),
            f"      default: data_o = bank{len(sizes) - 1}_q;",
            "    endcase",
            "  end",
        ]
    return "\n".join([*lines, "endmodule", ""])


def loadable(module: str, words: Sequence[int], width: int, style: Memory = "auto") -> str:
    """As `rom`, with a port to write: write_i, write_address_i, write_data_i.

    A word that is written in cycle t is read by an address from t + 1 on; one that is read in t is
    the old one in simulation, and undefined in hardware.
    """
    top = _address_top(module, words, width)
    statements = [f"    memory[{i}] = {width}'h{word:x};\n" for i, word in enumerate(words)]
    blocks = [statements[i : i + _BLOCK] for i in range(0, len(words), _BLOCK)]
    contents = "\n".join(f"  initial begin\n{''.join(block)}  end\n" for block in blocks)
    return f"""\
// {len(words)} words of {width} bits; a word is at data_o one cycle after its address.
module {module} (
  input  logic clk_i,
  input  logic write_i,
  input  logic [{top}:0] write_address_i,
  input  logic [{width - 1}:0] write_data_i,
  input  logic [{top}:0] address_i,
  output logic [{width - 1}:0] data_o
);
  {_RAM_STYLES[style]}logic [{width - 1}:0] memory[{len(words)}];
  logic [{width - 1}:0] data_q;
  assign data_o = data_q;
  always_ff @(posedge clk_i) begin
    if (write_i) memory[write_address_i] <= write_data_i;
    data_q <= memory[address_i];
  end

{contents}endmodule
"""


def _address_top(module: str, words: Sequence[int], width: int) -> int:
    """The highest bit of the address, for contents that fit."""
    assert words, f"{module} has no words"
    for i, word in enumerate(words):
        assert 0 <= word < 1 << width, f"word {i} of {module}, {word}, does not fit {width} bits"
    return address_width(len(words)) - 1


def packed(fields: Sequence[tuple[int, int]]) -> int:
    """(value, width) pairs side by side in one word, the first in the lowest bits."""
    word, at = 0, 0
    for value, width in fields:
        word |= (value & (1 << width) - 1) << at
        at += width
    return word


def threshold_words(op: Threshold, source: IntType, output: IntType, lanes: int) -> list[int]:
    """The memory of a bw_threshold_stream: one word a step, each with `lanes` channels."""
    # Beyond the type's range, all thresholds are alike.
    thresholds = np.clip(op.thresholds, source.min, source.max + 1)
    channels = [
        [
            *((int(t), source.width + 1) for t in thresholds[c]),
            (int(op.base[c]), output.width),
            (int(op.step[c] < 0), 1),
        ]
        for c in range(len(op.base))
    ]
    return _steps(channels, lanes)


def requantize_widths(op: Requantize) -> tuple[int, int]:
    """MultiplierWidth and BiasWidth of a bw_requantize_stream: what holds every constant."""
    return _signed_width(op.multiplier), _signed_width(_rounding_bias(op))


def requantize_words(op: Requantize, lanes: int) -> list[int]:
    """The memory of a bw_requantize_stream: one word a step, each with `lanes` channels."""
    multiplier_width, bias_width = requantize_widths(op)
    channels = [
        [(int(m), multiplier_width), (int(b), bias_width)]
        for m, b in zip(op.multiplier, _rounding_bias(op), strict=True)
    ]
    return _steps(channels, lanes)


def bias_words(op: Requantize, lanes: int) -> list[int]:
    """The same of one that appends bits: the biases alone, BiasWidth - 1 bits each, unsigned."""
    width = requantize_widths(op)[1] - 1
    return _steps([[(int(b), width)] for b in op.bias], lanes)


def lookup_words(op: Lookup, width: int, lane: int, lanes: int) -> list[int]:
    """The memory of one lane of a bw_lookup_stream, whose results have `width` bits.

    Table after table of the channels that the lane sees, or the one table that all share.
    """
    tables = op.table[lane::lanes] if len(op.table) > 1 else op.table
    # The cell's address is two's complement: entry 0 is for the bits 0…0.
    return [int(v) & (1 << width) - 1 for row in tables for v in np.roll(row, op.lowest)]


def _rounding_bias(op: Requantize) -> IntArray:
    """The bias with one half added, after which cutting the fraction off rounds."""
    half = 1 << (op.shift - 1) if op.rounding != "floor" and op.shift > 0 else 0
    return op.bias + half


def _signed_width(values: IntArray) -> int:
    """Bits of two's complement that hold all of the values."""
    return max(IntType.holding(min(int(v), -1), int(v)).width for v in values)


def _steps(channels: Sequence[Sequence[tuple[int, int]]], lanes: int) -> list[int]:
    """One word for each `lanes` channels, the first channel in the lowest bits."""
    assert len(channels) % lanes == 0
    return [
        packed([field for channel in channels[i : i + lanes] for field in channel])
        for i in range(0, len(channels), lanes)
    ]
