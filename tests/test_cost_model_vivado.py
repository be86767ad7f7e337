"""Vivado: the Tcl that is run, and how its reports are read. A script stands in for the program."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bitwright.cost_model import Cost
from bitwright.cost_model.vivado import (
    find_vivado,
    measure_with_vivado,
    read_reports,
    vivado_clock,
    vivado_script,
)
from bitwright.models.errors import InputError, ToolError

# The parts that are read, as Vivado 2023.1 lays them out.
UTILIZATION = """\
| Tool Version : Vivado v.2023.1 (lin64) Build 3865809
1. Slice Logic
+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| Slice LUTs*                |  412 |     0 |          0 |     63400 |  0.65 |
|   LUT as Logic             |  412 |     0 |          0 |     63400 |  0.65 |
| Slice Registers            |  230 |     0 |          0 |    126800 |  0.18 |
+----------------------------+------+-------+------------+-----------+-------+
3. Memory
| Block RAM Tile    |  1.5 |     0 |          0 |       135 |  1.11 |
|   RAMB36/FIFO*    |    1 |     0 |          0 |       135 |  0.74 |
4. DSP
| DSPs           |    2 |     0 |          0 |       240 |  0.83 |
|   DSP48E1 only |    2 |       |            |           |       |
8. Primitives
+----------+------+---------------------+
| Ref Name | Used | Functional Category |
+----------+------+---------------------+
| FDRE     |  230 |        Flop & Latch |
| CARRY4   |   61 |          CarryLogic |
| DSP48E1  |    2 |    Block Arithmetic |
| RAMB36E1 |    1 |        Block Memory |
| RAMB18E1 |    1 |        Block Memory |
+----------+------+---------------------+
"""
TIMING = """\
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)
    -------      -------  ---------------------  -------------------      -------      -------
     -1.250      -17.031                     30                  690        0.112        0.000
"""
MODULE = """
module half (input logic clk_i, input logic [3:0] a_i, output logic [3:0] y_o);
  always_ff @(posedge clk_i) y_o <= a_i;
endmodule
"""
WHOLE = """
module whole (input logic clk_i, input logic [3:0] a_i, output logic [3:0] y_o);
  half u_half (.clk_i, .a_i, .y_o);
endmodule
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "half.sv").write_text(MODULE)
    (tmp_path / "whole.sv").write_text(WHOLE)
    return [tmp_path / "half.sv", tmp_path / "whole.sv"]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, before: str = "") -> None:
    """Put a Vivado on the PATH that keeps what it was given and leaves two reports."""
    program = folder / "bin" / "vivado"
    program.parent.mkdir(exist_ok=True)
    (folder / "utilization.rpt").write_text(UTILIZATION)
    (folder / "timing.rpt").write_text(TIMING)
    program.write_text(
        '#!/bin/sh\nif [ "$1" = -version ]; then echo "vivado v2023.1 (64-bit)"; exit; fi\n'
        f'{before}\necho "$*" >> {folder}/called\nmkdir -p {folder}/seen\n'
        f"cp run.tcl src/* {folder}/seen\ncp {folder}/utilization.rpt {folder}/timing.rpt .\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_the_script(golden: Callable[[str, str], None]) -> None:
    files = ["src/bw_pipe.sv", "src/net_fc1.sv"]
    golden("vivado.tcl", vivado_script("net_fc1", files, "xc7a100tcsg324-1"))
    golden("vivado.xdc", vivado_clock(5.0))


def test_multipliers_are_for_variables_only() -> None:
    plain = vivado_script("a", ["a.sv"], "part")
    folded = vivado_script("a", ["a.sv"], "part", multipliers=True)
    assert "-max_dsp 0" in plain and "-max_dsp" not in folded


def test_both_reports_are_read(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    found = measure_with_vivado(files, {"h": "half"}, "xc7", 200.0, cache=tmp_path / "cache")
    assert found.tool == "Vivado 2023.1"
    assert found.nodes == {"h": Cost(lut=412, ff=230, carry=61, dsp=2, bram=3)}
    # asked for 5 ns, and 1.25 ns late
    assert found.clocks == {"h": pytest.approx(1e3 / 6.25)}
    assert (tmp_path / "called").read_text() == "-mode batch -nojournal -source run.tcl\n"
    script = (tmp_path / "seen" / "run.tcl").read_text()
    assert "synth_design -top half -part xc7a100tcsg324-1" in script and "whole" not in script
    again = measure_with_vivado(files, {"h": "half"}, "xc7", 200.0, cache=tmp_path / "cache")
    assert again.cached == {"h"} and again.nodes == found.nodes and again.clocks == found.clocks
    assert len((tmp_path / "called").read_text().splitlines()) == 1
    # another clock is another run
    measure_with_vivado(files, {"h": "half"}, "xc7", 100.0, cache=tmp_path / "cache")
    assert len((tmp_path / "called").read_text().splitlines()) == 2


def test_a_module_within_another_is_a_black_box(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    measure_with_vivado(files, {"h": "half", "w": "whole"}, "xc7", 200.0, cache=tmp_path / "cache")
    half = (tmp_path / "seen" / "half.sv").read_text()  # of the last run, which is the whole's
    assert "(* black_box *) module half (input logic clk_i" in half and "always_ff" not in half


def test_ultrascale_has_other_names() -> None:
    text = UTILIZATION.replace("Slice LUTs", "CLB LUTs").replace("Slice Reg", "CLB Reg")
    text = text.replace("CARRY4", "CARRY8").replace("RAMB36E1", "RAMB36E2")
    assert read_reports(text, TIMING, 5.0) == read_reports(UTILIZATION, TIMING, 5.0)


def test_what_is_missing_is_said(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolError, match="no LUTs or no registers"):
        read_reports("nothing", TIMING, 5.0)
    with pytest.raises(ToolError, match="no worst negative slack"):
        read_reports(UTILIZATION, "WNS(ns)", 5.0)
    with pytest.raises(InputError, match="Vivado does not know ecp5: give one of xc7, xcup"):
        measure_with_vivado(files, {"h": "half"}, "ecp5", 200.0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="vivado is not on the PATH"):
        find_vivado()
    install(tmp_path, monkeypatch, before="echo 'ERROR: [Synth 8-1] no'; exit 1")
    with pytest.raises(ToolError, match=r"Vivado 2023.1 failed on module half(.|\n)*Synth 8-1"):
        measure_with_vivado(files, {"h": "half"}, "xc7", 200.0, cache=tmp_path / "cache")
