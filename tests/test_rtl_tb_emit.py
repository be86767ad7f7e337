"""Emitted SystemVerilog: readable (golden), deterministic, lint-clean, and what Yosys can parse."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import GraphError, StorageError
from bitwright.models.graph import (
    Add,
    Builder,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntType,
    MaxPool,
    Node,
    Plain,
    Plan,
    Port,
    Requantize,
    Threshold,
    Unrolled,
    Value,
    Window,
)
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import Form, emit, load_design
from bitwright.rtl_tb.tools import verilator_environment


def golden_graph() -> Graph:
    """Every op once, small enough to read."""
    nodes = (
        Node(
            Dense(Plain(np.array([[3, -1, 0], [-2, 2, 0], [0, 7, 0]]), 4), np.array([0, 5, -1])),
            ("x",),
            Value("fc1", (3,), IntType(8, True)),
        ),
        Node(
            Threshold(
                np.array([[-9, 0, 4], [-200, 3, 500], [-1, 0, 1]]),
                np.array([0, 3, -2]),
                np.array([1, -1, 1]),
            ),
            ("fc1",),
            Value("act1", (3,), IntType(3, True)),
        ),
        Node(
            Requantize(np.array([5, 1, 0]), np.array([3, 0, 9]), 2, "half_even"),
            ("act1",),
            Value("y", (3,), IntType(2, False)),
        ),
    )
    x = Value("x", (3,), IntType(4, True))
    return Graph("golden", (x,), nodes, ("y",), {"x": Port(1.0), "y": Port(1.0)})


def streamed() -> tuple[Graph, Plan]:
    """A folded and an unrolled convolution, a branch, a pool, and beats that change."""
    dice = np.random.default_rng(1)
    b = Builder("streamed")
    x = b.input("x", (4, 4, 2), IntType(3, signed=True))
    around = Window((3, 3), padding=(1, 1, 1, 1))
    weights = dice.integers(-4, 4, (18, 4))
    y = b.add("conv", Conv2d(Plain(weights, 3), np.arange(4), around), x)
    steps = Threshold(np.sort(dice.integers(-40, 40, (4, 3))), np.zeros(4, int), np.ones(4, int))
    y = b.add("relu", steps, y, kind=IntType(2, signed=False))
    wide = b.add("wide", Conv2d(Plain(weights, 3), np.zeros(4, int), around), x)
    y = b.add("sum", Add((1, -2)), y, wide)
    y = b.add("pool", MaxPool(Window((2, 2), (2, 2))), y)
    engines = {"conv": Folded(2, 2), "relu": Folded(2), "wide": Unrolled(1), "sum": Folded(4)}
    return b.graph(y), Plan({**engines, "pool": Folded(1)})


def plan_for(graph: Graph, dense_stages: int = 2) -> Plan:
    return Plan({n.name: Unrolled(dense_stages if n.kind == "dense" else 1) for n in graph.nodes})


@pytest.mark.golden
@pytest.mark.parametrize("form", ["adder_graph", "plain"])
def test_the_text_is_the_one_that_was_reviewed(
    tmp_path: Path, form: Form, golden: Callable[[str, str], None]
) -> None:
    graph = golden_graph()
    design = emit(graph, plan_for(graph), tmp_path / "rtl", form)
    for file in design.files:
        if file.parent.name != "lib":
            golden(f"rtl/{form}/{file.name}", file.read_text())


@pytest.mark.parametrize("form", ["adder_graph", "plain"])
def test_the_same_graph_gives_the_same_bytes(tmp_path: Path, form: Form) -> None:
    graph = random_mlp((5, 6, 3), (4, 3), (6, 4))
    for folder in ("a", "b"):
        emit(graph, plan_for(graph), tmp_path / folder, form)
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(names) > 6
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.golden
def test_streamed_designs_look_as_they_did(
    tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    design = emit(*streamed(), tmp_path / "a")
    again = emit(*streamed(), tmp_path / "b")
    for file in design.files:
        if file.parent.name != "lib":
            text = file.read_text()
            golden(f"rtl/streamed/{file.name}", text)
            assert max(map(len, text.splitlines())) <= 100, file.name
    for file, other in zip(design.files, again.files, strict=True):
        assert file.read_bytes() == other.read_bytes()


def test_verilator_lint_is_silent_about_streams(tmp_path: Path) -> None:
    design = emit(*streamed(), tmp_path / "rtl")
    verilator, environment = verilator_environment()
    command = [verilator, "--lint-only", "-Wall", "--top", design.top, *map(str, design.files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("form", ["adder_graph", "plain"])
@pytest.mark.parametrize("stages", [1, 3])
def test_verilator_lint_is_silent(tmp_path: Path, form: Form, stages: int) -> None:
    for name, graph in {
        "all": golden_graph(),
        "mlp": random_mlp((9, 8, 4), (1, 5), (3, 4)),
    }.items():
        design = emit(graph, plan_for(graph, stages), tmp_path / name, form)
        verilator, environment = verilator_environment()
        command = [verilator, "--lint-only", "-Wall", "--top", design.top, *map(str, design.files)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_lint_would_complain(tmp_path: Path) -> None:
    graph = golden_graph()
    design = emit(graph, plan_for(graph), tmp_path / "rtl")
    top = design.folder / f"{design.top}.sv"
    top.write_text(top.read_text().replace("wire [23:0] fc1_data", "wire [22:0] fc1_data"))
    verilator, environment = verilator_environment()
    command = [verilator, "--lint-only", "-Wall", "--top", design.top, *map(str, design.files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0 and "WIDTH" in done.stderr


def test_no_line_is_longer_than_100_columns(tmp_path: Path) -> None:
    for graph in (golden_graph(), random_mlp()):
        for form in ("adder_graph", "plain"):
            design = emit(graph, plan_for(graph), tmp_path / "rtl", form)  # type: ignore[arg-type]
            for file in design.files:
                assert max(map(len, file.read_text().splitlines())) <= 100, file.name


@pytest.mark.parametrize("engine", [Unrolled(1), Folded(2, 2)])
@pytest.mark.parametrize(("width", "padded"), [(4, False), (3, True)])
def test_streams_are_padded_to_whole_bytes_and_no_more(
    tmp_path: Path, engine: Engine, width: int, padded: bool
) -> None:
    b = Builder("bytes")
    x = b.input("x", (2,), IntType(width, signed=True))
    y = b.add("y", Dense(Plain(np.eye(2, dtype=int), 2), np.zeros(2, int)), x)
    design = emit(b.graph(y), Plan({"y": engine}), tmp_path / "rtl")
    top = design.texts()[design.top]
    assert "logic [7:0] s_axis_tdata" in top and "logic [7:0] m_axis_tdata" in top
    assert ("s_axis_tdata[7:6]" in top) is ("m_axis_tdata = 8'(" in top) is padded
    assert ("tdata[7:" not in top.replace("tdata[7:0]", "")) is not padded
    assert (design.framed, design.load_beats) == (engine != Unrolled(1), 0)


def test_a_design_can_be_loaded_again(tmp_path: Path) -> None:
    graph = golden_graph()
    written = emit(graph, plan_for(graph), tmp_path / "rtl")
    again = load_design(tmp_path / "rtl")
    for field in ("folder", "top", "files", "modules", "input", "output", "latency", "interval"):
        assert getattr(again, field) == getattr(written, field)
    assert (again.latency, again.interval) == (4, 1)
    written.files[0].unlink()
    with pytest.raises(StorageError, match="missing"):
        load_design(tmp_path / "rtl")
    with pytest.raises(StorageError, match="bitwright rtl"):
        load_design(tmp_path)


def test_a_design_file_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    graph = golden_graph()
    emit(graph, plan_for(graph), tmp_path / "rtl")
    (tmp_path / "secret.sv").write_text("module secret; endmodule")
    manifest = tmp_path / "rtl" / "design.json"
    manifest.write_text(manifest.read_text().replace("golden_fc1.sv", "../secret.sv"))
    with pytest.raises(StorageError, match="outside"):
        load_design(tmp_path / "rtl")


def test_a_plan_for_another_graph_is_refused_and_the_old_design_stays(tmp_path: Path) -> None:
    graph = golden_graph()
    emit(graph, plan_for(graph), tmp_path / "rtl")
    before = {p: p.read_bytes() for p in (tmp_path / "rtl").rglob("*.sv")}
    with pytest.raises(GraphError, match="disagree about the nodes act1"):
        emit(graph, Plan({"fc1": Unrolled(), "y": Unrolled()}), tmp_path / "rtl")
    two = replace(graph, outputs=("y", "act1"), ports={**graph.ports, "act1": Port(1.0)})
    with pytest.raises(GraphError, match="2 outputs"):
        emit(two, plan_for(two), tmp_path / "rtl")
    assert {p: p.read_bytes() for p in (tmp_path / "rtl").rglob("*.sv")} == before


def test_a_module_may_not_hide_a_library_cell(tmp_path: Path) -> None:
    node = golden_graph().nodes[0]
    pipe = replace(node, output=replace(node.output, name="pipe"))
    ports = {"x": Port(1.0), "pipe": Port(1.0)}
    graph = Graph("bw", golden_graph().inputs, (pipe,), ("pipe",), ports)
    with pytest.raises(GraphError, match="bw_pipe would hide"):
        emit(graph, plan_for(graph), tmp_path / "rtl")


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    graph = golden_graph()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose a folder"):
        emit(graph, plan_for(graph), tmp_path / "file" / "rtl")
