"""Whether a mutant ever differs from its cell, proven for all times: reachable states alone count.

equivalence.py compares registers of the same name, from any state. Here cell and mutant stand
beside each other, with the same inputs, from a first reset of as many cycles as every test has it;
later resets come whenever they like. ABC proves that all outputs are always equal, which takes the
states that cannot be reached for what they are: a counter with a bit to spare, a comparison that is
true of no row. Registers without a reset begin with anything, on each side.

The memories are cut out: what they are given has to be equal too, and so is what they show.
"""

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bitwright.models.errors import ToolError
from bitwright.rtl_tb import tools
from bitwright.rtl_tb.proof import checker
from trust.bench import CELLS
from trust.equivalence import PROGRAM, Parameters, around, parts_of
from trust.mutants import Mutant

_RESET_CYCLES = 4  # of the first reset, as in bench.py
_SETS = 6  # of parameters
_SECONDS = 30.0  # of ABC, for each

GUARDS: Mapping[str, Mapping[str, str]] = {
    "bw_window": {
        "address_o": "issue_o", "pass_o": "issue_o", "data_o": "valid_o", "inside_o": "valid_o",
        "first_o": "valid_o", "last_o": "valid_o",
    },
    "bw_lines": {"data_o": "valid_o"},
}  # fmt: skip
"""Outputs that mean nothing in cycles in which another one is low, as the cells' headers say."""

Ports = dict[str, tuple[str, int]]
"""Direction and width by the name as Verilog writes it."""


def never_differs(
    cell: str, mutant: Mutant, sets: Sequence[Parameters], seconds: float = _SECONDS
) -> Parameters | None:
    """None if a mutant is proven for the first of these parameters, else one where it is not."""
    for one in sets[:_SETS]:
        with suppress(ToolError):
            if verdict(cell, mutant.text, one, seconds).status == "proven":
                continue
        return one
    return None


def verdict(cell: str, text: str, values: Parameters, seconds: float = _SECONDS) -> checker.Verdict:
    """What the checker says of a cell of this text beside the one of the library.

    Raises ToolError where the text is no design, or has a memory of another size.
    """
    with tempfile.TemporaryDirectory(prefix="bitwright-never-") as name:
        folder = Path(name)
        (folder / f"{cell}.sv").write_text(text)
        (folder / "around.sv").write_text(around(cell, values))
        gold, memories = _flat(cell, CELLS / f"{cell}.sv", "gold", folder)
        gate, others = _flat(cell, folder / f"{cell}.sv", "gate", folder)
    ports = _ports(gold)
    if ports != _ports(gate) or memories != others:
        raise ToolError(f"{cell}: another memory")
    texts = {
        "gold.v": gold, "gate.v": gate, "both.sv": _both(ports, GUARDS.get(cell, {}))
    }  # fmt: skip
    return checker.check(texts, "both", seconds=seconds)


def _flat(cell: str, text: Path, name: str, folder: Path) -> tuple[str, list[tuple[str, str]]]:
    """A cell and its parts as one module; its memories are cut out, their ports are its own.

    And the memories, with names that say their parameters.
    """
    files = [text, *(CELLS / f"{part}.sv" for part in sorted(parts_of(cell) - {cell}))]
    whole, made = folder / f"{name}.il", folder / f"{name}.v"
    keep, cut = "setattr -mod -set keep_hierarchy 1 *bw_ram*", f"expose -evert {name}/c:*.u_*"
    script = [
        *(f"read_verilog -sv -defer {file}" for file in [*files, folder / "around.sv"]),
        "hierarchy -check -top around", "proc", *([keep] if cell != "bw_ram" else []),
        "flatten", "opt_clean", f"rename around {name}",
        f"select -module {name}", f"write_rtlil -selected {whole}", "select -clear",
        *([cut] if cell != "bw_ram" else []),
        f"select -module {name}", f"write_verilog -noattr -selected {made}",
    ]  # fmt: skip
    (folder / f"{name}.ys").write_text("\n".join(script) + "\n")
    tools.run([sys.executable, "-c", PROGRAM, folder / f"{name}.ys"], timeout_s=120)
    memories = re.findall(r"^  cell (\S*bw_ram\S*) (\S+)$", whole.read_text(), re.MULTILINE)
    return made.read_text(), sorted(memories)


def _ports(module: str) -> Ports:
    """The ports of a flat module."""
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\S+) ?;$", module, re.MULTILINE)
    return {name: (way, int(high or 0) + 1) for way, high, name in found}


def _both(ports: Ports, guards: Mapping[str, str]) -> str:
    """Cell and mutant beside each other, and that their outputs are equal."""
    inputs = [name for name, (way, _) in ports.items() if way == "input"]
    outputs = [name for name, (way, _) in ports.items() if way == "output"]
    wires = "".join(
        f"  wire [{ports[name][1] - 1}:0] gold_{i}, gate_{i};\n" for i, name in enumerate(outputs)
    )
    made = "".join(
        f"  {side} u_{side} ("
        + ", ".join(
            [*(f".{n} (in_{i})" for i, n in enumerate(inputs)),
             *(f".{n} ({side}_{i})" for i, n in enumerate(outputs))]
        )
        + ");\n"
        for side in ("gold", "gate")
    )  # fmt: skip
    equal = "".join(
        f"    if (begun{guard}) assert (gold_{i} == gate_{i});\n"
        for i, name in enumerate(outputs)
        for guard in [f" && gold_{outputs.index(guards[name])}" if name in guards else ""]
    )
    taken = ", ".join(f"input wire [{ports[n][1] - 1}:0] in_{i}" for i, n in enumerate(inputs))
    resets = (
        f"  logic [2:0] resets = '0;\n"
        f"  wire begun = resets == 3'd{_RESET_CYCLES};\n"
        f"  always @(posedge in_{inputs.index('clk_i')}) if (!begun) resets <= resets + 3'd1;\n"
        f"  always_comb assume (begun || !in_{inputs.index('rst_ni')});\n"
        if "rst_ni" in inputs
        else "  wire begun = 1'b1;\n"
    )
    return (
        f"module both ({taken});\n{wires}{made}{resets}  always_comb begin\n{equal}  end\n"
        "endmodule\n"
    )
