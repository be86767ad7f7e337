"""Other forms of a memory of constants than the RTL's one case statement, as Yosys maps them.

`python -m benchmarks.memories` prints them and writes them into docs/cost_model.md. An array is
a memory that is never written. In two banks the first has the largest power of two of the words
that there is, the second the rest; "kept" means a second bank that stays a module of its own
(keep_hierarchy). Each form is mapped alone, its address a port, and with a counter that makes the
address, as in a design.
"""

import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import track

from benchmarks.page import into_page
from bitwright.cost_model.yosys import ADDERS, count_cells, find_yosys, script
from bitwright.models.graph import Target
from bitwright.rtl_tb.memory import address_width, loadable, rom

PAGE, COMMAND = Path("docs/cost_model.md"), "python -m benchmarks.memories"
SHAPES = ((1152, 256), (576, 256))
"""Words and bits: the fifth product of FINN's CNV w1a1 and the third of its w2a2."""

TARGETS: tuple[Target, ...] = ("xc7", "ecp5")

Form = Callable[[Sequence[int], int], str]
"""Words and their width to modules, of which `memory` has the ports of rtl_tb.memory.rom."""


def whole(words: Sequence[int], width: int) -> str:
    """As the RTL has it."""
    return rom("memory", words, width)


def array(words: Sequence[int], width: int) -> str:
    """An array with initial contents."""
    top = address_width(len(words)) - 1
    return loadable("written", words, width) + _head("memory", top, width) + (
        f"  written u (.clk_i, .write_i(1'b0), .write_address_i({top + 1}'d0),\n"
        f"    .write_data_i({width}'d0), .address_i, .data_o);\nendmodule\n"
    )  # fmt: skip


def cut(words: Sequence[int], width: int, kept: str = "") -> str:
    """Two banks. kept: an attribute of the second one's module."""
    top = address_width(len(words)) - 1
    first, rest = words[: 1 << top], words[1 << top :]
    low = address_width(len(rest)) - 1
    return rom("first", first, width) + kept + rom("rest", rest, width) + (
        _head("memory", top, width) + f"  wire [{width - 1}:0] first, rest;\n  logic rest_q;\n"
        f"  first u_first (.clk_i, .address_i(address_i[{top - 1}:0]), .data_o(first));\n"
        f"  rest u_rest (.clk_i, .address_i(address_i[{low}:0]), .data_o(rest));\n"
        f"  always_ff @(posedge clk_i) rest_q <= address_i[{top}];\n"
        "  assign data_o = rest_q ? rest : first;\nendmodule\n"
    )  # fmt: skip


def cut_kept(words: Sequence[int], width: int) -> str:
    """Two banks, the second one mapped by itself."""
    return cut(words, width, "(* keep_hierarchy *)\n")


FORMS: dict[str, Form] = {
    "one case statement": whole, "array": array, "two banks": cut, "two banks, kept": cut_kept,
}  # fmt: skip


def counted(depth: int, width: int) -> str:
    """A module with the memory behind a counter."""
    top = address_width(depth) - 1
    return (
        "module counted (input logic clk_i, rst_ni, "
        f"output logic [{width - 1}:0] data_o);\n  logic [{top}:0] address_q;\n"
        "  always_ff @(posedge clk_i)\n"
        f"    if (!rst_ni || address_q == {top + 1}'d{depth - 1}) address_q <= '0;\n"
        f"    else address_q <= address_q + {top + 1}'d1;\n"
        "  memory u (.clk_i, .address_i(address_q), .data_o);\nendmodule\n"
    )


def measured(text: str, top: str, target: Target) -> tuple[int, int, float]:
    """Memory blocks, look-up tables, and Yosys' seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "memory.sv").write_text(text)
        (folder / "adders.v").write_text(ADDERS)
        (folder / "run.ys").write_text(script(top, ["memory.sv"], target))
        began = time.perf_counter()
        command = (*find_yosys().command, "run.ys")
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        taken = time.perf_counter() - began
        stat = (folder / "stat.json").read_text()
    cost = count_cells(stat, target, ["rest"])
    return cost.bram, cost.lut, taken


def main() -> None:
    """Map every form, and write the table."""
    cases = [
        (target, depth, width, form)
        for target in TARGETS for depth, width in SHAPES for form in FORMS
    ]  # fmt: skip
    lines = [
        "| target | words x bits | form | blocks | LUT, alone | LUT, behind a counter | Yosys, s |",
        "| --- " * 7 + "|",
    ]
    for target, depth, width, form in track(cases):
        generator = random.Random(depth)
        text = FORMS[form]([generator.getrandbits(width) for _ in range(depth)], width)
        blocks, alone, _ = measured(text, "memory", target)
        again, behind, taken = measured(text + counted(depth, width), "counted", target)
        assert again == blocks, "the counter changes the blocks"
        lines.append(
            f"| {target} | {depth:,} x {width} | {form} | {blocks} | {alone:,} | {behind:,} "
            f"| {taken:.0f} |"
        )
        print(lines[-1], flush=True)
    into_page(PAGE, COMMAND, "\n".join(lines) + "\n")


def _head(module: str, top: int, width: int) -> str:
    return (
        f"module {module} (input logic clk_i, input logic [{top}:0] address_i,\n"
        f"  output logic [{width - 1}:0] data_o);\n"
    )


if __name__ == "__main__":
    main()
