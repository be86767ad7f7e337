"""The battery: networks for every library cell, which all pass, and which mutants do not."""

from pathlib import Path

import pytest

from trust.engines import case, compare
from trust.mutants import mutants
from trust.mutation import CELLS, SEED, Battery, chosen
from trust.networks import network

NUMBERS = sorted({number for numbers in chosen().values() for number in numbers})
BATCHES = [NUMBERS[i : i + 16] for i in range(0, len(NUMBERS), 16)]


@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_the_battery_passes(batch: int) -> None:
    cases = [case(network(SEED, number), number) for number in BATCHES[batch]]
    verdicts = compare(cases, ("reference", "rtl"))
    assert [verdict.wrong for verdict in verdicts] == [{}] * len(cases)
    assert all(verdict.compared == ["reference", "rtl"] for verdict in verdicts)


def test_every_cell_has_a_battery() -> None:
    """But for the registers of IP, which are in no network: tests/test_rtl_tb_ip.py has them."""
    assert {*chosen(), "bw_registers"} == {file.stem for file in CELLS.glob("*.sv")}


def test_mutants_are_killed_and_equal_ones_are_not(tmp_path: Path) -> None:
    text = (CELLS / "bw_pipe.sv").read_text()
    made = list(mutants(text))
    wrong = [m for m in made if "enable_o = ready_i & ~valid_o" in m.what]
    wrong += [m for m in made if m.what.endswith("valid_q <= '0; -> ;")]
    same = [type(wrong[0])("a comment", text + "// the same\n")]
    none = [type(wrong[0])("no SystemVerilog", text.replace("endmodule", "end"))]
    assert len(wrong) >= 1
    killed = Battery("bw_pipe", chosen()["bw_pipe"][:2], tmp_path).killed([*wrong, *same, *none])
    assert all(killed[: len(wrong)]) and killed[len(wrong) :] == ["", None]


def test_mutants_leave_ports_and_messages_alone() -> None:
    for file in CELLS.glob("*.sv"):
        for mutant in mutants(file.read_text()):
            line = mutant.what.partition(": ")[2]
            assert not line.startswith(("input", "output", "parameter", "$error", "//"))
    assert len(list(mutants((CELLS / "bw_fifo.sv").read_text()))) > 40
