"""Folded hardware in the estimate: memories, copies, loaded weights, and what is measured alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from bitwright.cost_model import STREAMS, Cost, estimate, find_plan, make_plan, measure
from bitwright.cost_model.memories import memory
from bitwright.models.graph import Folded, widen_for_loading
from bitwright.models.zoo import random_cnn, random_mlp


def test_memories() -> None:
    def kind(target: str, width: int, depth: int, written: bool = True) -> tuple[str, int]:
        made = memory(target, width, depth, written=written, registered=True)  # type: ignore[arg-type]
        return made.kind, made.cells

    assert kind("xc7", 8, 16) == ("tables", 2)
    assert kind("xc7", 32, 1024) == ("block", 1)
    assert kind("xc7", 128, 784, written=False) == ("block", 4)
    assert kind("xc7", 8, 32, written=False) == ("logic", 0)  # tables that are written hold no ROM
    assert kind("ecp5", 12, 144, written=False) == ("block", 1)
    assert kind("ecp5", 32, 64, written=False) == ("logic", 0)
    assert kind("ice40", 16, 8) == ("block", 1)
    assert kind("ice40", 4, 8) == ("logic", 0)
    assert kind("ice40", 16, 512) == ("block", 2)


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
