"""The battery: networks for every library cell, which all pass, and which mutants do not."""

from pathlib import Path

import pytest

from trust.battery import SEED, chosen
from trust.bench import CELLS, Bench
from trust.engines import case, compare
from trust.equivalence import known_parameters, same
from trust.lint import warnings
from trust.mutants import Mutant, mutants
from trust.mutation import Battery
from trust.networks import network
from trust.sequential import never_differs

NUMBERS = sorted({number for numbers in chosen().values() for number in numbers})
BATCHES = [NUMBERS[i : i + 16] for i in range(0, len(NUMBERS), 16)]


@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_the_battery_passes(batch: int) -> None:
    cases = [case(network(SEED, number), number) for number in BATCHES[batch]]
    verdicts = compare(cases, ("reference", "rtl"))
    assert [verdict.wrong for verdict in verdicts] == [{}] * len(cases)
    assert all(verdict.compared == ["reference", "rtl"] for verdict in verdicts)


def test_every_cell_has_a_battery_or_a_bench_of_its_own(tmp_path: Path) -> None:
    for cell in {file.stem for file in CELLS.glob("*.sv")} - set(chosen()):
        assert Bench(cell, tmp_path).models


def test_mutants_are_killed_and_equal_ones_are_not(tmp_path: Path) -> None:
    text = (CELLS / "bw_pipe.sv").read_text()
    made = list(mutants(text))
    wrong = [m for m in made if "enable_o = ready_i & ~valid_o" in m.what]
    wrong += [m for m in made if m.what.endswith("valid_q <= '0; -> ;")]
    equal = [Mutant("a comment", text + "// the same\n")]
    none = [Mutant("no SystemVerilog", text.replace("endmodule", "end"))]
    assert len(wrong) >= 1
    killed = Battery("bw_pipe", chosen()["bw_pipe"][:2], tmp_path).noticed([*wrong, *equal, *none])
    assert all(killed[: len(wrong)]) and killed[len(wrong) :] == ["", None]


def test_a_cells_own_bench_notices_mutants_and_no_more(tmp_path: Path) -> None:
    text = (CELLS / "bw_upsize.sv").read_text()
    made = [m for m in mutants(text) if "valid_q" in m.what]
    equal = [Mutant("a comment", text + "// the same\n")]
    none = [Mutant("no SystemVerilog", text.replace("endmodule", "end"))]
    answers = Bench("bw_upsize", tmp_path).noticed([*equal, *made, *none])
    assert answers[0] == "" and answers[-1] is None
    assert len(made) > 5 and all(answers[1:-1])


@pytest.mark.parametrize("cell", ["bw_step", "bw_ram"])
def test_only_mutants_of_the_same_hardware_are_proven_equal(cell: str) -> None:
    text = (CELLS / f"{cell}.sv").read_text()
    sets = known_parameters()[cell][:3]
    assert same(cell, Mutant("a comment", text + "// the same\n"), sets) is None
    assert same(cell, Mutant("no reset", text.replace("!rst_ni", "1'b0")), sets) == (
        sets[0] if cell == "bw_step" else None
    )
    assert same(cell, Mutant("nothing written", text.replace("<= ", "<= ~")), sets) is not None


def test_a_register_that_nobody_sets_is_not_equal_to_a_constant() -> None:
    text = (CELLS / "bw_step.sv").read_text()
    constant, one = "assign step_o = '0;", [{"Steps": "1"}]
    stuck = "logic [Width-1:0] q; assign step_o = q; always_ff @(posedge clk_i) q <= q;"
    never = "logic [Width-1:0] never; assign step_o = never;"
    for other in (stuck, never):
        assert same("bw_step", Mutant("x", text.replace(constant, other)), one) is not None
    zero = stuck.replace("q <= q", "q <= '0")
    assert same("bw_step", Mutant("x", text.replace(constant, zero)), one) is None


def test_a_width_that_is_wrong_is_a_new_warning() -> None:
    text, sets = (CELLS / "bw_adder_tree.sv").read_text(), known_parameters()["bw_adder_tree"]
    known = warnings("bw_adder_tree", text, sets)
    assert warnings("bw_adder_tree", text + "// the same\n", sets) == known
    wide = text.replace("Width + l;", "Width + l + 1;")
    assert wide != text and warnings("bw_adder_tree", wide, sets) - known


def test_mutants_leave_ports_and_messages_alone() -> None:
    for file in CELLS.glob("*.sv"):
        for mutant in mutants(file.read_text()):
            line = mutant.what.partition(": ")[2]
            assert not line.startswith(("input", "output", "parameter", "$error", "//"))
    assert len(list(mutants((CELLS / "bw_fifo.sv").read_text()))) > 40


def test_what_never_differs_is_proven_and_what_does_is_not() -> None:
    text, sets = (CELLS / "bw_lines.sv").read_text(), known_parameters()["bw_lines"]
    spare = text.replace("Rows + KernelRows + 2)", "Rows + KernelRows + 3)")
    assert never_differs("bw_lines", Mutant("a bit to spare", spare), sets[:1]) is None
    for one, old, new in (
        (sets[0], "Rows + KernelRows + 2)", "Rows + KernelRows - 4)"),
        (sets[0], "flush_q <= 1'b0;\n      first_q", "first_q"),  # a reset less
        (sets[0], "write_i(step_q)", "write_i(step)"),  # seen by the memory alone
        (sets[3], "Depth(Columns)", "Depth(Columns + 1)"),  # with an address of as many bits
    ):
        other = text.replace(old, new)
        assert other != text and never_differs("bw_lines", Mutant(new, other), [one]) == one, new
