"""The counting rule, and which Yosys is used."""

import json
import stat
import sys
from pathlib import Path

import pytest

from bitwright.cost_model.cost import Cost
from bitwright.cost_model.yosys import CELLS, SYNTHESIS, count_cells, find_yosys, script
from bitwright.models.errors import ToolError
from bitwright.models.graph import TARGETS


def stat_json(cells: dict[str, int]) -> str:
    return json.dumps(
        {
            "creator": "Yosys",
            "modules": {"\\top": {"num_cells_by_type": {"LUT6": 999}}},
            "design": {"num_cells": 1, "num_cells_by_type": cells},
        }
    )


@pytest.mark.parametrize(
    ("target", "cells", "cost"),
    [
        (
            "xc7",
            {"LUT1": 1, "LUT6": 2, "INV": 4, "MUXF7": 9, "CARRY4": 3, "FDRE": 5, "FDSE": 6},
            Cost(lut=7, ff=11, carry=3),
        ),
        ("xcup", {"DSP48E2": 1, "RAMB18E2": 2, "RAMB36E2": 3, "CARRY8": 4}, Cost(0, 0, 4, 1, 8)),
        (
            "ecp5",
            {"LUT4": 3, "CCU2C": 2, "PFUMX": 8, "TRELLIS_FF": 1, "DP16KD": 1, "MULT18X18D": 1},
            Cost(lut=7, ff=1, carry=2, dsp=1, bram=1),
        ),
        ("ice40", {"SB_LUT4": 3, "SB_CARRY": 2, "SB_DFFESR": 4}, Cost(lut=3, ff=4, carry=2)),
        (
            "gowin",
            {"LUT4": 3, "ALU": 2, "MUX2_LUT5": 8, "DFFRE": 1, "SDPX9B": 1, "MULT9X9": 1},
            Cost(lut=5, ff=1, carry=2, dsp=1, bram=1),
        ),
        ("xc7", {"$scopeinfo": 5}, Cost()),
        ("xc7", {}, Cost()),
    ],
)
def test_counts_by_the_rule(target: str, cells: dict[str, int], cost: Cost) -> None:
    assert count_cells(stat_json(cells), target) == cost  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"design": 3}', '{"design": {"num_cells_by_type": {"LUT1": "x"}}}']
)
def test_refuses_other_output(text: str) -> None:
    with pytest.raises(ToolError, match="statistics that cannot be read"):
        count_cells(text, "xc7")


def test_refuses_a_cell_without_a_rule() -> None:
    with pytest.raises(ToolError, match=r"mapped to \$_TBUF_, which the counting rule of ecp5"):
        count_cells(stat_json({"LUT4": 1, "$_TBUF_": 2}), "ecp5")


def test_every_target_has_a_flow_and_a_rule() -> None:
    assert set(SYNTHESIS) == set(CELLS) == set(TARGETS)
    for target in TARGETS:
        assert script("top", ["src/a.sv"], target).index("read_verilog -sv src/a.sv") == 0


def test_a_yosys_that_is_not_there() -> None:
    with pytest.raises(ToolError, match="there is no Yosys at /nowhere/yosys"):
        find_yosys("/nowhere/yosys")


def test_the_wheel_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_yosys().command[0] == sys.executable
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="pip install pyosys"):
        find_yosys()


def test_a_program_that_is_no_yosys(tmp_path: Path) -> None:
    program = tmp_path / "yosys"
    program.write_text("#!/bin/sh\necho something else\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ToolError, match="does not answer as Yosys does"):
        find_yosys(str(program))
    program.write_text("#!/bin/sh\necho 'Yosys 0.99+1 (git sha1 abc)'\n")
    assert find_yosys(str(program)).version == "Yosys 0.99+1"
