"""What Yosys and ABC prove of cells, nodes and whole designs; nothing that is wrong is proven."""

import re
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import ToolError
from bitwright.models.graph import (
    ArgMax,
    Builder,
    Dense,
    Folded,
    Graph,
    IntType,
    Lookup,
    Plain,
    Plan,
    Requantize,
    Threshold,
    Unrolled,
)
from bitwright.rtl_tb import Design, emit
from bitwright.rtl_tb.proof import NodeProof, cells, checker, prove
from bitwright.rtl_tb.proof.cells import BENCHES, CellBench, Parameters

LIB = Path(cells.__file__).parent.parent / "lib"


def bench(name: str) -> CellBench:
    return next(one for one in BENCHES if one.bench == name)


def test_every_cell_has_a_bench() -> None:
    assert [cell for cell in cells.cells() if not list(cells.benches_of(cell))] == []
    assert {cell for one in BENCHES for cell in one.cells} == set(cells.cells())


@pytest.mark.parametrize(
    ("name", "cell", "parameters", "old", "new"),
    [
        ("fv_fifo", "bw_fifo", {"Depth": 3}, "valid_o & ready_i", "valid_o"),
        ("fv_fifo", "bw_fifo", {"Depth": 2, "Style": "block"}, "&& write_q == read_d", ""),
        ("fv_pipe", "bw_pipe", {"Stages": 2}, "ready_i | ~valid_o", "1'b1"),
        ("fv_upsize", "bw_upsize", {"Ratio": 2}, "room_i || !last", "1'b1"),
        ("fv_downsize", "bw_downsize", {"Ratio": 3}, "room_i && last", "last"),
        ("fv_round", "bw_round_saturate", {"HalfEven": 1}, "|data_i[Shift-1:0]", "1'b1"),
        ("fv_argmax", "bw_argmax", {}, "right > left", "right >= left"),
        ("fv_loader", "bw_loader", {}, "whole && rst_ni", "whole"),
    ],
)  # fmt: skip
def test_a_cell_is_proven_and_a_broken_one_is_not(
    name: str, cell: str, parameters: Parameters, old: str, new: str
) -> None:
    verdict = cells.check(bench(name), parameters)
    assert verdict.status == "proven" and verdict.method != "bounded"
    text = (LIB / f"{cell}.sv").read_text()
    assert text.count(old) == 1
    broken = cells.check(bench(name), parameters, replaced={cell: text.replace(old, new)})
    assert broken.status == "refuted" and broken.failed not in ("", "?")


def test_a_memory_is_not_relied_on_where_it_is_written_and_read_at_once() -> None:
    """Without the word that goes past it, a FIFO in block memory would read too early."""
    text = (LIB / "bw_fifo.sv").read_text()
    early = text.replace("passed_valid_q ? passed_q : read_data", "read_data")
    given = {"Depth": 2, "Style": "block"}
    assert early != text
    assert cells.check(bench("fv_fifo"), given, replaced={"bw_fifo": early}).status == "refuted"


def test_a_search_of_some_cycles_is_no_proof_for_all() -> None:
    """A counter that goes wrong in its 20th cycle."""
    text = """module fv_late (input clk_i); logic [4:0] count_q = '0;
      always_ff @(posedge clk_i) count_q <= count_q + 5'd1;
      always_comb early: assert (count_q != 5'd20); endmodule"""
    found = checker.check({"fv_late.sv": text}, "fv_late", bound=10)
    assert (found.status, found.method, found.cycles) == ("proven", "bounded", 10)
    for bound in (25, 0):
        late = checker.check({"fv_late.sv": text}, "fv_late", bound=bound)
        assert (late.status, late.failed, late.cycles) == ("refuted", "early", 20)


def test_text_that_yosys_refuses_is_an_error() -> None:
    with pytest.raises(ToolError, match="nowhere"):
        checker.check({"fv_x.sv": "module fv_x; nowhere u_x (); endmodule"}, "fv_x")


def network() -> Graph:
    """One of everything that is small."""
    made = Builder("net")
    x = made.input("x", (2,), IntType(2, True))
    dense = Dense(Plain(np.array([[1, -2], [3, 1]]), 3), np.array([1, -1]))
    scale = Requantize(np.array([3, -2]), np.array([1, 0]), 2, "half_even")
    y = made.add("fc", dense, x)
    y = made.add("scale", scale, y, kind=IntType(3, True))
    y = made.add("entry", Lookup(np.arange(8)[None] % 5, -4), y)
    steps = Threshold(np.array([[1, 3], [2, 2]]), np.array([0, 2]), np.array([1, -1]))
    return made.graph(made.add("best", ArgMax(), made.add("steps", steps, y)))


UNROLLED = Plan({name: Unrolled(1) for name in ("fc", "scale", "entry", "steps", "best")})


def known(graph: Graph, design: Design, whole: bool = False) -> dict[str, NodeProof]:
    return {one.node: one for one in prove(graph, design, seconds=6, whole=whole)}


def change(design: Design, node: str, old: str, new: str) -> str:
    """Change a module in one place; the text that it had."""
    file = next(f for f in design.files if f.stem == design.modules.get(node, node))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text


@pytest.mark.parametrize("form", ["adder_graph", "plain"])
def test_every_node_is_proven_in_both_forms(form: str, tmp_path: Path) -> None:
    graph = network()
    proofs = known(graph, emit(graph, UNROLLED, tmp_path / "rtl", form))  # type: ignore[arg-type]
    assert {name: one.told for name, one in proofs.items() if one.status != "proven"} == {}
    assert ("exact linear forms" in proofs["fc"].told) == (form == "adder_graph")


@pytest.mark.parametrize(
    ("node", "old", "new"),
    [
        ("scale", ".HalfEven(1)", ".HalfEven(0)"),
        ("entry", ".Table({", ".Table({3'd7 ^ "),
        ("steps", ".Base(2'd2)", ".Base(2'd3)"),
        ("steps", "data_i[2:0]", "data_i[5:3]"),
        ("best", ".Signed(0)", ".Signed(1)"),
        ("best", ".Stages(1)", ".Stages(2)"),
    ],
)
def test_a_changed_node_is_refuted(node: str, old: str, new: str, tmp_path: Path) -> None:
    graph = network()
    design = emit(graph, UNROLLED, tmp_path / "rtl")
    change(design, node, old, new)
    assert {n for n, one in known(graph, design).items() if one.status == "refuted"} == {node}


def test_the_whole_is_searched_for_wires_that_are_swapped(tmp_path: Path) -> None:
    graph = network()
    design = emit(graph, UNROLLED, tmp_path / "rtl")
    whole = known(graph, design, whole=True)[""]
    assert whole.status in ("bounded", "proven")
    change(design, "net", ".data_i(entry_data)", ".data_i({entry_data[2:0], entry_data[5:3]})")
    proofs = known(graph, design, whole=True)
    assert proofs[""].status == "refuted"
    assert all(one.status == "proven" for name, one in proofs.items() if name)


def test_a_folded_node_is_proven_or_searched(tmp_path: Path) -> None:
    made = Builder("fold")
    x = made.input("x", (2,), IntType(2, False))
    weights = Plain(np.array([[1, -1], [-2, 3]]), 3)
    graph = made.graph(made.add("fc", Dense(weights, np.array([2, 0])), x))
    design = emit(graph, Plan({"fc": Folded(1, 1)}), tmp_path / "rtl")
    assert known(graph, design)["fc"].status in ("proven", "bounded")
    memory = next(f for f in design.files if f.stem == "fold_fc_weights")
    text = memory.read_text()
    constant = re.search(r"3'[hd]1\b", text)
    assert constant is not None
    memory.write_text(text[: constant.start()] + "3'd0" + text[constant.end() :])
    assert known(graph, design)["fc"].status == "refuted"


def test_what_is_too_large_is_said_to_be_simulated_only(tmp_path: Path) -> None:
    made = Builder("wide_net")
    x = made.input("x", (400,), IntType(4, False))
    steps = Threshold(np.tile(np.arange(15), (400, 1)), np.zeros(400, int), np.ones(400, int))
    graph = made.graph(made.add("steps", steps, x))
    design = emit(graph, Plan({"steps": Unrolled(1)}), tmp_path / "rtl")
    proof = known(graph, design)["steps"]
    assert proof.status == "simulated" and "too large: 6,000 terms" in proof.told


def test_a_bench_that_asserts_nothing_proves_nothing() -> None:
    empty = "module bench (input clk_i, input d); reg q; always @(posedge clk_i) q <= d;"
    with pytest.raises(ToolError, match="bench has no assertion"):
        checker.check({"bench.sv": f"{empty} endmodule\n"}, "bench")
    says = "always @* assert (d || !d); endmodule\n"
    assert checker.check({"bench.sv": f"{empty} {says}"}, "bench").status == "proven"
