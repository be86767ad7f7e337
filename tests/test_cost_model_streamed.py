"""Folded hardware in the estimate: memories, copies, loaded weights, and what is measured alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.cost_model import STREAMS, Cost, cells, estimate, find_plan, make_plan, measure
from bitwright.cost_model.memories import memory
from bitwright.models.graph import (
    TARGETS,
    Builder,
    Dense,
    Folded,
    IntType,
    Plain,
    Plan,
    Requantize,
    Target,
    widen_for_loading,
)
from bitwright.models.graph.plan import Memory as Style
from bitwright.models.zoo import random_cnn, random_mlp
from bitwright.rtl_tb import emit
from bitwright.rtl_tb import memory as texts


def test_memories() -> None:
    def kind(target: str, width: int, depth: int, written: bool = True) -> tuple[str, int]:
        made = memory(target, width, depth, written=written, registered=True)  # type: ignore[arg-type]
        return made.kind, made.cells

    assert kind("xc7", 8, 16) == ("tables", 2)
    assert kind("xc7", 32, 1024) == ("block", 2)  # one of 36 Kb
    assert kind("xc7", 18, 1024) == ("block", 1)
    assert kind("xc7", 128, 784, written=False) == ("block", 8)
    assert kind("xc7", 8, 32, written=False) == ("logic", 0)  # tables that are written hold no ROM
    assert kind("ecp5", 12, 144, written=False) == ("block", 1)
    assert kind("ecp5", 32, 64, written=False) == ("logic", 0)
    assert kind("ice40", 16, 8) == ("block", 1)
    assert kind("ice40", 4, 8) == ("logic", 0)
    assert kind("ice40", 16, 512) == ("block", 2)
    # A fixed memory has all the words of its address: 4,096. One that is written has what it has.
    assert kind("ecp5", 5, 2880, written=False) == ("block", 2)
    assert kind("ice40", 5, 2880, written=False) == ("block", 5)
    assert kind("ice40", 5, 2880) == ("block", 4)


def test_bits_that_are_alike_in_every_word_take_no_block() -> None:
    """As Yosys does: 1,600 words of 13 bits, of which nine are zero, in one block of ECP5."""
    words = np.random.default_rng(0).integers(-8, 8, (1600, 1))
    assert cells.rom("ecp5", words << 9, 13).known.bram == 1
    assert cells.rom("ecp5", words * 500 + 1, 13).known.bram == 2
    assert cells.rom("ecp5", np.full((1600, 1), -5), 13).known.bram == 0


def test_plans_say_what_memories_are_made_of() -> None:
    def kind(target: str, depth: int, style: Style, written: bool) -> str:
        return memory(target, 12, depth, written=written, registered=True, style=style).kind  # type: ignore[arg-type]

    for target in TARGETS:
        assert kind(target, 128, "block", False) == kind(target, 128, "block", True) == "block"
        assert kind(target, 4096, "lut", False) == "logic"
        assert kind(target, 8, "block", False) == "logic"  # Yosys sees no memory in so few words
    for target in ("xc7", "xcup", "ecp5"):
        assert kind(target, 4096, "lut", True) == "tables"


@pytest.mark.parametrize("target", ["xc7", "ecp5"])
def test_yosys_makes_memories_of_what_the_plan_says(tmp_path: Path, target: Target) -> None:
    """128 words of 12 bits twice: constants, and words that can be written."""
    words = [int(w) for w in np.random.default_rng(1).integers(0, 1 << 12, 128)]
    styles: tuple[Style, ...] = ("lut", "block")
    for style in styles:
        (tmp_path / f"{style}.sv").write_text(
            texts.rom(f"fixed_{style}", words, 12, style)
            + texts.loadable(f"written_{style}", words[::-1], 12, style)
            + f"module {style} (input logic clk_i, write_i, input logic [11:0] data_i,\n"
            "  input logic [6:0] at_i, from_i, output logic [11:0] fixed_o, written_o);\n"
            f"  fixed_{style} u_fixed (.clk_i, .address_i(from_i), .data_o(fixed_o));\n"
            f"  written_{style} u_written (.clk_i, .write_i, .write_address_i(at_i),\n"
            "    .write_data_i(data_i), .address_i(from_i), .data_o(written_o));\nendmodule\n"
        )
    files = [tmp_path / f"{style}.sv" for style in styles]
    tops: dict[str, str] = {style: style for style in styles}
    found = measure(files, tops, target, cache=tmp_path / "cache", jobs=1).nodes
    for style in styles:
        made = [
            memory(target, 12, 128, written=w, registered=True, style=style) for w in (False, True)
        ]
        assert found[style].bram == sum(m.cells for m in made if m.kind == "block")
    assert found["block"].bram == 2 and found["block"].lut <= 2
    assert found["lut"].bram == 0 and found["lut"].lut >= 2 * 128 * 12 / 64


@pytest.mark.parametrize("target", ["xc7", "ecp5", "ice40"])
def test_blocks_of_a_memory_in_banks_are_counted_exactly(tmp_path: Path, target: Target) -> None:
    """Each bank is a memory of its own: 8,192 words of 9 bits, though it is asked for 4,600."""
    depth, width = 4600, 9
    words = [int(w) for w in np.random.default_rng(2).integers(0, 1 << width, depth)]
    (tmp_path / "deep.sv").write_text(texts.rom("deep", words, width))
    found = measure([tmp_path / "deep.sv"], {"deep": "deep"}, target, cache=tmp_path, jobs=1)
    made = cells.rom_of_shape(target, depth, width).known
    assert (found.total.bram, found.total.ff) == (made.bram, made.ff)
    assert made.bram != memory(target, width, depth, written=False, registered=True).cells


def test_registers_in_a_sum_are_counted_and_shorten_its_paths() -> None:
    graph = random_mlp((64, 32, 4), (4, 4), (4, 4))
    plan = find_plan(graph, "xc7", target_fps=1e5)
    found = [
        estimate(graph, replace(plan, engines={**plan.engines, "fc0": Folded(4, 64, stages)}))
        for stages in range(1, 8)
    ]
    registers = [e.nodes["fc0"].ff for e in found]
    assert registers == sorted(set(registers))
    # behind the first level of additions there are 32 sums in each of 4 lanes
    assert registers[1] - registers[0] >= 4 * 16 * 10
    clocks = [e.clock_mhz for e in found]
    assert clocks == sorted(clocks) and clocks[0] < 100 < clocks[-1]
    assert [e.latency - found[0].latency for e in found] == list(range(7))


def test_three_copies_and_a_vote() -> None:
    graph = random_cnn((6, 6, 2), (4,))
    plan = make_plan(graph, "xc7")
    once, three = (estimate(graph, replace(plan, redundancy=n)) for n in (1, 3))
    assert (three.latency, three.ii) == (once.latency, once.ii)
    for node in graph.nodes:
        assert three.nodes[node.name] == once.nodes[node.name].scaled(3)
    assert three.nodes[STREAMS].lut > 3 * once.nodes[STREAMS].lut
    assert three.nodes[STREAMS].ff == 3 * once.nodes[STREAMS].ff


def test_weights_that_are_loaded_cost_more() -> None:
    graph = widen_for_loading(random_mlp((32, 16, 4), (4, 4), (4, 4)), {"fc0"})
    plan = find_plan(graph, "xc7", target_fps=1e5)
    engines = {**plan.engines, "fc0": Folded(4, 4)}
    constant = estimate(graph, replace(plan, engines=engines)).nodes["fc0"]
    engines["fc0"] = Folded(4, 4, loadable=True)
    loaded = estimate(graph, replace(plan, engines=engines)).nodes["fc0"]
    assert loaded.ff > constant.ff and loaded.lut > constant.lut


@pytest.mark.parametrize("black_box", [True, False])
def test_a_module_that_is_measured_counts_for_itself_alone(tmp_path: Path, black_box: bool) -> None:
    inner = tmp_path / "inner.v"
    inner.write_text(
        "module inner(input c, input [7:0] a, output reg [7:0] y);\n"
        "  always @(posedge c) y <= a;\nendmodule\n"
    )
    outer = tmp_path / "outer.v"
    outer.write_text(
        "module outer(input c, input [7:0] a, output reg [7:0] y);\n  wire [7:0] z;\n"
        "  inner u(.c(c), .a(a), .y(z));\n  always @(posedge c) y <= z;\nendmodule\n"
    )
    tops = {"outer": "outer"} | ({"inner": "inner"} if black_box else {})
    found = measure([inner, outer], tops, "ice40", cache=tmp_path / "cache", jobs=1)
    assert found.nodes["outer"] == Cost(ff=8 if black_box else 16)
    assert found.total == Cost(ff=16)


@pytest.mark.parametrize("target", ["xc7", "ecp5"])
def test_low_bits_that_are_appended_are_no_product(tmp_path: Path, target: Target) -> None:
    """A float bias of a folded last layer, by the estimate and by Yosys: registers, and a table."""
    b = Builder("net")
    x = b.input("x", (12,), IntType(4, True))
    weights = Plain(np.random.default_rng(0).integers(-4, 4, (12, 6)), 3)
    y = b.add("fc", Dense(weights, np.arange(6)), x)
    fine = Requantize(np.full(6, 512), np.arange(6) * 77 + 3, 0, "floor")
    graph = b.graph(b.add("fc_scaled", fine, y))
    plan = Plan({"fc": Folded(1, 4), "fc_scaled": Folded(1)}, target)
    found = estimate(graph, plan).nodes["fc_scaled"]
    design = emit(graph, plan, tmp_path / "rtl")
    measured = measure(design.files, {"fc_scaled": design.modules["fc_scaled"]}, target)
    counted = measured.nodes["fc_scaled"]
    assert found.dsp == counted.dsp == 0
    assert counted.lut <= 16 and abs(found.lut - counted.lut) <= 6
    assert abs(found.ff - counted.ff) <= 3
    other = replace(graph.nodes[1], op=replace(fine, multiplier=fine.multiplier - 1))
    product = estimate(replace(graph, nodes=(graph.nodes[0], other)), plan).nodes["fc_scaled"]
    assert product.lut + 100 * product.dsp > 5 * found.lut
