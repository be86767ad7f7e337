"""Single upset bits: three copies with a vote hide every one of them, and one copy does not."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyosys import libyosys

from bitwright.models.errors import GraphError, InputError, StorageError, ToolError
from bitwright.models.graph import (
    Dense,
    Folded,
    Graph,
    IntArray,
    Plan,
    Unrolled,
    evaluate,
    plan_from_json,
    plan_to_json,
)
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import Design, bulk, emit, inject


def tiny() -> tuple[Graph, IntArray, IntArray]:
    graph = random_mlp((3, 3, 2), (4, 3), (4, 3), density=1.0)
    kind = graph.input.type
    x = np.random.default_rng(0).integers(kind.min, kind.max + 1, (8, 3))
    return graph, x, evaluate(graph, x)


def unrolled(graph: Graph) -> Plan:
    return Plan({n.name: Unrolled(2 if n.kind == "dense" else 1) for n in graph.nodes})


def folded(graph: Graph) -> Plan:
    engines = {n.name: Folded(1, 2) if isinstance(n.op, Dense) else Folded() for n in graph.nodes}
    return Plan(engines)


def tripled(plan: Plan) -> Plan:
    return replace(plan, redundancy=3)


def registers_by_other_names(design: Design, folder: Path) -> set[str]:
    """Registers that Yosys finds and fault injection does not, by module and name."""
    made = libyosys.Design()
    for command in (
        *(f"read_verilog -sv {file}" for file in design.files),
        f"hierarchy -top {design.top}",
        "proc",
        "opt_clean",
        f"write_json {folder}/netlist.json",
    ):
        libyosys.run_pass(f"tee -q -o {folder}/log {command}", made)
    modules = json.loads((folder / "netlist.json").read_text())["modules"]
    missed, known = set(), 0
    for module, content in modules.items():
        called: dict[int, set[str]] = {}
        for name, net in content["netnames"].items():
            for bit in net["bits"]:
                called.setdefault(bit, set()).add(name.split(".")[-1])
        for cell in content["cells"].values():
            if "dff" not in cell["type"]:
                continue
            for bit in cell["connections"]["Q"]:
                # A read register of a memory has the memory's own name for the bits it reads.
                if any(re.fullmatch(r"\w*_q|[tx]\d+_s\d+", name) for name in called[bit]):
                    known += 1
                else:
                    missed.add(f"{module} {sorted(called[bit])}")
    assert known > 0
    return missed


def test_every_bit_in_every_cycle_is_outvoted(tmp_path: Path) -> None:
    graph, x, expected = tiny()
    design = emit(graph, tripled(unrolled(graph)), tmp_path / "rtl")
    report = inject(design, x, expected, folder=tmp_path / "sim", flips=None)
    assert report.shown == 0, report.examples
    assert report.tried == report.register_bits * report.cycles > 3000
    assert 0 < report.noticed < report.tried
    assert not registers_by_other_names(design, tmp_path)
    found = bulk.build(design, tmp_path / "bulk").verify(x, expected)
    assert found.passed, found.faults


def test_without_redundancy_the_same_flips_show(tmp_path: Path) -> None:
    graph, x, expected = tiny()
    design = emit(graph, unrolled(graph), tmp_path / "rtl")
    report = inject(design, x, expected, folder=tmp_path / "sim", flips=None)
    assert report.shown > report.tried // 10 and report.noticed == 0
    assert "_q bit" in report.examples[0] and "m_axis_" in report.examples[0]
    assert not registers_by_other_names(design, tmp_path)
    wrong = expected.copy()
    wrong[-1, 0] ^= 1
    with pytest.raises(ToolError, match="wrong without any fault"):
        inject(design, x, wrong, folder=tmp_path / "sim")
    with pytest.raises(InputError, match="at least one"):
        inject(design, x, expected, folder=tmp_path / "sim", flips=0)


def test_a_vote_that_follows_one_copy_is_found_out(tmp_path: Path) -> None:
    graph, x, expected = tiny()
    design = emit(graph, tripled(unrolled(graph)), tmp_path / "rtl")
    cell = tmp_path / "rtl" / "lib" / "bw_vote.sv"
    text = cell.read_text()
    cell.write_text(text.replace("(a_i & b_i) | (a_i & c_i) | (b_i & c_i)", "a_i"))
    assert cell.read_text() != text
    assert inject(design, x, expected, folder=tmp_path / "sim", flips=500).shown > 0


@pytest.mark.parametrize("redundancy", [1, 3])
def test_folded_engines_and_their_memories(tmp_path: Path, redundancy: int) -> None:
    graph = random_mlp((8, 6, 4), (4, 3), (5, 4), density=1.0)
    kind = graph.input.type
    x = np.random.default_rng(0).integers(kind.min, kind.max + 1, (4, 8))
    plan = tripled(folded(graph)) if redundancy == 3 else folded(graph)
    design = emit(graph, plan, tmp_path / "rtl")
    report = inject(design, x, evaluate(graph, x), folder=tmp_path / "sim", flips=2000, seed=1)
    assert report.tried == 2000 and report.memory_bits > 0
    assert not registers_by_other_names(design, tmp_path)
    if redundancy == 3:
        assert report.shown == 0, report.examples
        assert report.noticed > 0
    else:
        assert report.shown > 100


def test_synthesis_leaves_three_copies(tmp_path: Path) -> None:
    graph, _, _ = tiny()

    def cells(plan: Plan, name: str, merge: bool = False) -> dict[str, int]:
        design = emit(graph, plan, tmp_path / name)
        made = libyosys.Design()
        for command in (
            *(f"read_verilog -sv {file}" for file in design.files),
            *(["setattr -mod -unset keep_hierarchy"] if merge else []),
            f"synth -flatten -noabc -top {design.top}",
            f"tee -q -o {tmp_path}/{name}.json stat -json",
        ):
            libyosys.run_pass(f"tee -q -o {tmp_path}/log {command}", made)
        found = json.loads((tmp_path / f"{name}.json").read_text())["design"]["num_cells_by_type"]
        registers = sum(n for kind, n in found.items() if "DFF" in kind)
        gates = sum(n for kind, n in found.items() if kind.startswith("$_")) - registers
        return {"registers": registers, "gates": gates}

    once = cells(unrolled(graph), "once")
    thrice = cells(tripled(unrolled(graph)), "thrice")
    merged = cells(tripled(unrolled(graph)), "merged", merge=True)
    assert thrice["registers"] == 3 * once["registers"] > 0
    votes = 10 * 20  # 10 voted bits, each of a few gates and the compare
    assert 3 * once["gates"] < thrice["gates"] < 3 * once["gates"] + votes
    # What the attribute prevents: all that hangs on the inputs alone would be there only once.
    assert merged["gates"] < thrice["gates"] - once["gates"] // 4


def test_a_plan_says_and_keeps_its_redundancy() -> None:
    graph, _, _ = tiny()
    plan = tripled(unrolled(graph))
    assert plan_from_json(plan_to_json(plan)).redundancy == 3
    assert plan_from_json(plan_to_json(unrolled(graph))).redundancy == 1
    assert "redundancy" not in plan_to_json(unrolled(graph))
    with pytest.raises(StorageError, match="redundancy is 2"):
        plan_from_json({**plan_to_json(plan), "redundancy": 2})
    with pytest.raises(GraphError, match="redundancy of 2"):
        replace(plan, redundancy=2)  # type: ignore[arg-type]
