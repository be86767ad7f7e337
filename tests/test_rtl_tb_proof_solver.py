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
    widen_for_loading,
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


def test_a_text_that_is_not_read_is_compared_by_the_solver(tmp_path: Path) -> None:
    graph = network()
    design = emit(graph, UNROLLED, tmp_path / "rtl")
    text = change(design, "fc", "", "")
    found = re.search(r"= (.*\+.*);", text)
    assert found is not None
    for new, status in (("~({})", "refuted"), ("~(~({}))", "proven"), ("@({})", "unread")):
        whole = change(design, "fc", found[1], new.format(found[1]))
        proof = known(graph, design)["fc"]
        assert proof.status == status and "cannot be read" in proof.told, proof.told
        change(design, "fc", new.format(found[1]), found[1])
        assert change(design, "fc", "", "") == whole == text


def test_the_whole_is_searched_for_wires_that_are_swapped(tmp_path: Path) -> None:
    graph = network()
    design = emit(graph, UNROLLED, tmp_path / "rtl")
    whole = known(graph, design, whole=True)[""]
    assert whole.status in ("bounded", "proven")
    change(design, "net", ".data_i(entry_data)", ".data_i({entry_data[2:0], entry_data[5:3]})")
    proofs = known(graph, design, whole=True)
    assert proofs[""].status == "refuted"
    assert all(one.status == "proven" for name, one in proofs.items() if name)


def folded() -> tuple[Graph, Plan]:
    """A product of 12 inputs, levels of each channel, and a product of bits, all from memories."""
    rng = np.random.default_rng(3)
    made = Builder("fold")
    x = made.input("x", (12,), IntType(3, True))
    y = made.add("fc", Dense(Plain(rng.integers(-4, 4, (12, 6)), 3), rng.integers(-9, 9, 6)), x)
    steps = Threshold(
        np.sort(rng.integers(-40, 40, (6, 1)), axis=1), np.zeros(6, int), np.ones(6, int)
    )
    y = made.add("bits", steps, y)
    weights = Plain(rng.choice([-1, 1], (6, 4)), 1)
    graph = made.graph(made.add("out", Dense(weights, np.array([1, 0, -2, 3])), y))
    return graph, Plan({"fc": Folded(2, 3, stages=2), "bits": Folded(2), "out": Folded(2, 6)})


def test_a_folded_design_is_proven_by_its_parts_and_as_a_whole(tmp_path: Path) -> None:
    graph, plan = folded()
    proofs = known(graph, emit(graph, plan, tmp_path / "rtl"), whole=True)
    assert {name: one.told for name, one in proofs.items() if one.status != "proven"} == {}
    assert all("by parts" in proofs[name].told for name in ("fc", "bits", "out"))
    assert (
        "15 words of memory" in proofs["fc"].told and "bw_delay" in proofs["fc"].told
    )  # the bias waits for the registers of the sum
    assert "by composition" in proofs[""].told and "bw_fifo" in proofs[""].told


@pytest.mark.parametrize(
    ("module", "node", "old", "new", "why"),
    [
        ("fold_fc_weights", "fc", "h30e8f", "h30e8e", "word 5 of"),
        ("fold_fc_bias", "fc", "h4ff", "h4fe", "word 1 of"),
        ("fold_out_weights", "out", "hea", "heb", "word 1 of"),
        ("fold_bits_constants", "bits", "h601b", "h601a", "word 2 of"),
        ("fold_fc", "fc", r"\.Words\(4\)", ".Words(2)", "Words is 2, not 4"),
        ("fold_fc", "fc", r"\.InSigned\(1\)", ".InSigned(0)", "InSigned is 0"),
        ("fold_fc", "fc", r"\.data_i\(seen\)", ".data_i({seen[2:0], seen[8:3]})", "data_i"),
        ("fold_fc", "fc", r"\.first_i\(seen_first\)", ".first_i(seen_last)", "first_i"),
        ("fold_fc", "fc", r"\.Stages\(1\)", ".Stages(2)", "Stages is 2"),
        ("fold_out", "out", r"\.address_i\(pass\)", ".address_i(1'b0)", "address_i"),
        ("fold_bits", "bits", r"\.data_i, \.valid_i", ".data_i(~data_i), .valid_i", ""),
        ("fold", "", r"\.Ratio\(3\)", ".Ratio(2)", "bits"),
        ("fold", "", r"\.Depth\(\d+\)", ".Depth(9)", "places"),
        ("fold", "", r"\.Beats\(2\)", ".Beats(3)", "tlast"),
        ("fold", "", r"\.valid_i\(fc__valid\)", ".valid_i(fc__begin)", "connected"),
        ("fold", "", r"\.room_i\(fc__room\)", ".room_i(1'b1)", "other terms"),
    ],
)  # fmt: skip
def test_a_changed_part_is_refuted(
    module: str, node: str, old: str, new: str, why: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    graph, plan = folded()
    design = emit(graph, plan, tmp_path / "rtl")
    file = next(f for f in design.files if f.stem == module)
    changed, times = re.subn(old, new, file.read_text(), count=1)
    assert times == 1 and changed != file.read_text()
    file.write_text(changed)
    # What is wrong is in the text: what is known of the cells is proven elsewhere.
    proven = checker.Verdict("proven", "induction")
    monkeypatch.setattr("bitwright.rtl_tb.proof.design.lemma", lambda *_: proven)
    proofs = known(graph, design, whole=not node)
    if why:
        assert proofs[node].status == "refuted" and why in proofs[node].told
    assert proofs[node].status != "proven"


@pytest.mark.parametrize(
    ("module", "old", "new", "why"),
    [
        ("", "", "", ""),
        ("load_fc", ".First(6)", ".First(5)", "First is 5"),
        ("load_fc", ".write_i(bias_write)", ".write_i(weights_write)", ""),
        ("load_fc_weights", "if (write_i)", "if (!write_i)", "does not write what it is told"),
        ("load_fc_weights", "h1;", "h0;", "word"),
        ("load", ".load_last_i(s_load_tlast)", ".load_last_i(1'b0)", "load_last_i"),
    ],
)
def test_weights_that_are_loaded_are_proven_whatever_they_are(
    module: str, old: str, new: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Builder("load")
    x = made.input("x", (3,), IntType(2, True))
    weights = np.array([[1, 3], [-2, 3], [-1, 1]])
    graph = made.graph(made.add("fc", Dense(Plain(weights, 3), np.array([2, 0])), x))
    graph = widen_for_loading(graph, ["fc"])
    design = emit(graph, Plan({"fc": Folded(1, 1, loadable=True)}), tmp_path / "rtl")
    if module:
        change(design, module, old, new)
        proven = checker.Verdict("proven", "induction")
        monkeypatch.setattr("bitwright.rtl_tb.proof.design.lemma", lambda *_: proven)
    proofs = known(graph, design, whole=True)
    if not module:
        assert proofs["fc"].status == proofs[""].status == "proven"
        assert "whatever is loaded" in proofs["fc"].told
        return
    found = proofs["" if module == "load" else "fc"]
    assert found.status == "refuted" and why in found.told


@pytest.mark.parametrize(("cell", "node", "old", "new"), [
    ("bw_matvec", "fc", "acc_q) + sum_q", "acc_q) - sum_q"),
    ("bw_fifo", "", "reserved_d < CountWidth", "reserved_d <= CountWidth"),
    ("bw_ram", "fc", "read_address_i]", "write_address_i]"),
])  # fmt: skip
def test_the_design_s_own_cells_are_what_is_proven(
    cell: str, node: str, old: str, new: str, tmp_path: Path
) -> None:
    graph, plan = folded()
    design = emit(graph, plan, tmp_path / "rtl")
    change(design, cell, old, new)
    assert known(graph, design, whole=not node)[node].status != "proven"


@pytest.mark.parametrize(
    ("cell", "given", "old", "new"),
    [
        ("bw_window", {"Rows": 5, "Columns": 4, "Words": 2, "KernelRows": 3, "KernelColumns": 3,
                       "Top": 1, "Left": 1, "OutRows": 5, "OutColumns": 4, "RingRows": 4,
                       "Passes": 4, "Groups": 2}, "row_q < signed'(SpanWidth'(Rows))", "1'b1"),
        ("bw_window", {"Rows": 1, "Words": 16, "KernelRows": 1, "Passes": 8, "RingRows": 2},
         "SpanWidth'(RingRows - 1)", "SpanWidth'(RingRows)"),
        ("bw_matvec", {"Lanes": 2, "Terms": 9, "InWidth": 4, "WeightWidth": 4, "AccWidth": 12,
                       "Cuts": 5}, "first_sum ? bias", "last_sum ? bias"),
        ("bw_fifo", {"Depth": 9}, "reserved_d < CountWidth", "reserved_d <= CountWidth"),
        ("bw_fifo", {"Depth": 9}, "if (valid_i) write_q", "if (reserve_i) write_q"),
        ("bw_upsize", {"Ratio": 5}, "room_i || !last", "1'b1"),
        ("bw_downsize", {"Ratio": 5}, "room_i && last", "last"),
        ("bw_requantize_stream", {"InWidth": 9, "MultiplierWidth": 7, "HalfEven": 1},
         "signed'({InSigned & bits[InWidth-1], bits})", "signed'({1'b0, bits})"),
        ("bw_threshold_stream", {"Levels": 7, "InWidth": 6, "OutWidth": 3}, "offset >= threshold",
         "offset > threshold"),
        ("bw_pool", {"InWidth": 6, "OutWidth": 6}, "first_i || larger", "larger"),
    ],
)  # fmt: skip
def test_what_proves_any_size_refutes_a_broken_cell(
    cell: str, given: Parameters, old: str, new: str
) -> None:
    """Even without its being reachable: from some state of which the invariants hold."""
    (bench,) = [one for one in BENCHES if one.cells[0] == cell and (one.inside or one.history)]
    text = (LIB / f"{cell}.sv").read_text()
    assert text.count(old) >= 1
    broken = cells.check(bench, given, replaced={cell: text.replace(old, new)}, seconds=4)
    # An invariant that does not hold is not always reached in time.
    assert broken.status in (("refuted",) if bench.history else ("refuted", "undecided"))


def test_an_output_of_a_bench_is_no_assertion() -> None:
    text = "module bench (input clk_i, input d, output q); assign q = d;"
    says = "always @* one: assert (d || !d); endmodule\n"
    assert checker.check({"bench.sv": f"{text} {says}"}, "bench").status == "proven"


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
