"""Several designs in one model: Verilator and the compiler start once for all of them.

A module around them has ports as wide as the widest of each; the highest byte of s_axis_tdata says
which design is meant, and the clock of the others stands still. So the harness needs to know
nothing of it, and a design among many behaves as it does alone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import LOAD_BITS, IntArray
from bitwright.rtl_tb.bulk import Simulator
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.vectors import Beats, beat_bytes, beat_words
from bitwright.rtl_tb.verilate import verilate

MOST_DESIGNS = 256

_TOP = "bw_many"


@dataclass(frozen=True, slots=True)
class _OneOfMany(Simulator):
    """A design of the model. index: which; the others: bytes of a beat of the whole model."""

    index: int
    input_bytes: int
    output_bytes: int

    def _output_bytes(self) -> int:
        return -(-self.output_bytes // 4) * 4

    def _stimulus(self, x: IntArray) -> Beats:
        beats = beat_words(x, self.design.input_beat, noise=True)
        size = beat_bytes(self.design.input_beat)
        rows = np.zeros((len(beats), -(-self.input_bytes // 4) * 4), np.uint8)
        rows[:, :size] = beats[:, :size]
        rows[:, self.input_bytes - 1] = self.index
        return rows


def build_many(designs: Sequence[Design], folder: str | os.PathLike[str]) -> list[Simulator]:
    """Compile designs into one model for a few thousand cycles of each.

    Raises:
        InputError: none, too many, or two of the same name.
        ToolError, StorageError: as `bulk.build` does.
    """
    tops = [design.top for design in designs]
    if not 1 <= len(designs) <= MOST_DESIGNS or len(set(tops)) < len(tops):
        raise InputError(f"{len(designs)} designs: give 1 to {MOST_DESIGNS} of different names")
    target = Path(folder)
    sources = target.with_name(f"{target.name}-{_TOP}")
    wrapper = sources / f"{_TOP}.sv"
    text = many_text(designs)
    try:
        sources.mkdir(parents=True, exist_ok=True)
        if not wrapper.is_file() or wrapper.read_text() != text:
            wrapper.write_text(text)
    except OSError as error:
        raise StorageError(
            f"cannot write {wrapper} ({error.strerror or error}): choose another folder"
        ) from None
    # A library cell is the same file in every design.
    files = {file.name: file for design in designs for file in design.files}
    around = replace(designs[0], top=_TOP, files=(*files.values(), wrapper))
    model = verilate(around, target, quick=True)
    widths = _widest(designs)
    return [_OneOfMany(design, model, i, *widths) for i, design in enumerate(designs)]


def many_text(designs: Sequence[Design]) -> str:
    """The module around the designs."""
    input_bytes, output_bytes = _widest(designs)
    most = 8 * input_bytes - 1
    lines = [
        f"// {len(designs)} designs, of which the highest byte of s_axis_tdata chooses one.",
        f"module {_TOP} (",
        "  input  logic clk_i, rst_ni,",
        f"  input  logic [{most}:0] s_axis_tdata,",
        "  input  logic s_axis_tvalid, s_axis_tlast,",
        "  output logic s_axis_tready,",
        f"  output logic [{8 * output_bytes - 1}:0] m_axis_tdata,",
        "  output logic m_axis_tvalid, m_axis_tlast,",
        "  input  logic m_axis_tready,",
        f"  input  logic [{LOAD_BITS - 1}:0] s_load_tdata,",
        "  input  logic s_load_tvalid, s_load_tlast,",
        "  output logic s_load_tready",
        ");",
        f"  wire [7:0] chosen = s_axis_tdata[{most}:{most - 7}];",
    ]
    for i, design in enumerate(designs):
        taken = 8 * beat_bytes(design.input_beat)
        made = 8 * beat_bytes(design.output_beat)
        ports = [
            f".clk_i(clk_{i}), .rst_ni,",
            f".s_axis_tdata(s_axis_tdata[{taken - 1}:0]), .s_axis_tlast,",
            f".s_axis_tvalid(s_axis_tvalid && chosen == {i}), .s_axis_tready(taken_{i}),",
            f".m_axis_tdata(data_{i}), .m_axis_tvalid(valid_{i}), .m_axis_tlast(last_{i}),",
            ".m_axis_tready",
        ]
        if design.load_beats:
            ports[-1] += ","
            ports.append(f".s_load_tdata, .s_load_tvalid(s_load_tvalid && chosen == {i}),")
            ports.append(f".s_load_tlast, .s_load_tready(loads_{i})")
        lines += [
            "",
            f"  wire clk_{i} = clk_i && (!rst_ni || chosen == {i});",
            f"  wire [{made - 1}:0] data_{i};",
            f"  wire taken_{i}, valid_{i}, last_{i}, loads_{i};",
            *([] if design.load_beats else [f"  assign loads_{i} = 1'b0;"]),
            f"  {design.top} u_{i} (",
            *(f"    {line}" for line in ports),
            "  );",
        ]
    lines += [
        "",
        "  always_comb begin",
        "    m_axis_tdata = '0;",
        "    {s_axis_tready, m_axis_tvalid, m_axis_tlast, s_load_tready} = '0;",
        "    case (chosen)",
    ]
    for i, design in enumerate(designs):
        made = 8 * beat_bytes(design.output_beat)
        lines += [
            f"      {i}: begin",
            f"        m_axis_tdata[{made - 1}:0] = data_{i};",
            "        {s_axis_tready, m_axis_tvalid, m_axis_tlast, s_load_tready} =",
            f"            {{taken_{i}, valid_{i}, last_{i}, loads_{i}}};",
            "      end",
        ]
    return "\n".join([*lines, "      default: ;", "    endcase", "  end", "endmodule", ""])


def _widest(designs: Sequence[Design]) -> tuple[int, int]:
    """Bytes of a beat of the input, with the choice, and of the output."""
    return (
        max(beat_bytes(design.input_beat) for design in designs) + 1,
        max(beat_bytes(design.output_beat) for design in designs),
    )
