"""Graph and plan to SystemVerilog: one file per layer, a top that chains them, the cells used."""

import os
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Concat,
    Cycles,
    Graph,
    Plan,
    Value,
    cycles,
    digest,
    loading,
    with_any_weights,
)
from bitwright.models.graph.cycles import sized
from bitwright.models.graph.cycles import timing as cycles_of
from bitwright.models.graph.storage import replaced_folder
from bitwright.models.graph.streams import OUTPUT, is_streamed
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.folded import step_modules
from bitwright.rtl_tb.layers import layer
from bitwright.rtl_tb.plain import plain_layer
from bitwright.rtl_tb.redundant import as_core, core_name, redundant_top
from bitwright.rtl_tb.streamed import streamed_top
from bitwright.rtl_tb.text import describe

Form = Literal["adder_graph", "plain"]


def emit(
    graph: Graph, plan: Plan, folder: str | os.PathLike[str], form: Form = "adder_graph"
) -> Design:
    """Write a design to a folder, replacing what is there; the same graph gives the same bytes.

    Raises:
        GraphError: the plan is not for this graph, there is not one input and one output, or a
            module would be called like a library cell.
        UnsupportedError: constants beyond the adder-graph solver.
        StorageError: the folder cannot be written.
    """
    plan.check(graph)
    source, output = graph.input, graph.output
    write_layer = {"adder_graph": layer, "plain": plain_layer}[form]
    modules = {node.name: f"{graph.name}_{node.name}" for node in graph.nodes}
    made = sized(graph, plan) if is_streamed(graph, plan) else None
    if made is None:
        timing = cycles(graph, plan)
        lanes = source.size, output.size
        texts = {
            modules[node.name]: write_layer(
                node,
                graph.values[node.inputs[0]],
                graph.intervals[node.inputs[0]],
                modules[node.name],
                plan.stages(node.name),
            )
            for node in graph.nodes
        }
        top = _top(graph, timing, modules)
    else:
        timing = cycles_of(graph, made).cycles
        lanes = made.input_lanes, made.fifos[OUTPUT].lanes
        texts = {}
        known = with_any_weights(graph, plan.loadable)
        for block in made.blocks:
            for step in block.steps:
                if not isinstance(step.node.op, Concat):  # wires of the top module
                    module = modules[step.node.name]
                    texts |= step_modules(known, plan, block, step, module, write_layer)
        modules = {node: module for node, module in modules.items() if module in texts}
        top = streamed_top(graph, made, timing, modules, plan.loadable)
    if plan.redundancy == 3:
        texts[core_name(graph.name)] = as_core(top, graph.name)
        top = redundant_top(top, graph.name)
    texts[graph.name] = top
    cells = resources.files("bitwright.rtl_tb") / "lib"
    if clash := sorted(name for name in texts if (cells / f"{name}.sv").is_file()):
        raise GraphError(f"module {clash[0]} would hide a library cell: rename graph {graph.name}")
    used = _cells(texts.values())
    names = [f"lib/{name}.sv" for name in used] + [f"{module}.sv" for module in texts]
    design = Design(
        folder=Path(folder),
        top=graph.name,
        files=tuple(Path(folder) / name for name in names),
        modules=modules,
        input=source,
        output=output,
        latency=timing.latency,
        interval=timing.interval,
        input_beats=source.size // lanes[0],
        output_beats=output.size // lanes[1],
        framed=made is not None,
        load_beats=loading(graph, plan).beats if plan.loadable else 0,
        plan=plan,
        form=form,
    )
    with replaced_folder(Path(folder), "design.json") as fresh:
        (fresh / "lib").mkdir()
        for name in used:
            (fresh / "lib" / f"{name}.sv").write_text((cells / f"{name}.sv").read_text())
        for module, text in texts.items():
            (fresh / f"{module}.sv").write_text(text)
        (fresh / "design.json").write_text(design.to_json(digest(graph)))
    return design


def _cells(texts: Iterable[str]) -> list[str]:
    """The library cells that the texts instantiate, and those that these do."""
    cells = resources.files("bitwright.rtl_tb") / "lib"
    found: set[str] = set()
    left = list(texts)
    while left:
        for name in set(re.findall(r"^\s*(bw_\w+) #\(", left.pop(), re.MULTILINE)) - found:
            found.add(name)
            left.append((cells / f"{name}.sv").read_text())
    return sorted(found)


def _top(graph: Graph, timing: Cycles, modules: dict[str, str]) -> str:
    source, output = graph.input, graph.output
    in_bits, out_bits = _bytes(source), _bytes(output)
    width = max(len(str(in_bits - 1)), len(str(out_bits - 1))) + 4
    data_in, data_out = f"[{in_bits - 1}:0]".rjust(width), f"[{out_bits - 1}:0]".rjust(width)
    bit = " " * width
    lines = [
        f"// {graph.name}: one whole vector a beat, element 0 in the lowest bits, AXI4-Stream.",
        f"// Latency {timing.latency} cycles, initiation interval {timing.interval}.",
        f"module {graph.name} (",
        f"  input  logic {bit} clk_i,",
        f"  input  logic {bit} rst_ni,  // synchronous, active low",
        f"  input  logic {data_in} s_axis_tdata,  // {describe(source)}",
        f"  input  logic {bit} s_axis_tvalid,",
        f"  output logic {bit} s_axis_tready,",
        f"  input  logic {bit} s_axis_tlast,",
        f"  output logic {data_out} m_axis_tdata,  // {describe(output)}",
        f"  output logic {bit} m_axis_tvalid,",
        f"  input  logic {bit} m_axis_tready,",
        f"  output logic {bit} m_axis_tlast",
        ");",
    ]
    previous = source.name
    lines += [
        f"  wire [{source.bits - 1}:0] {previous}_data = s_axis_tdata[{source.bits - 1}:0];",
        f"  wire {previous}_valid = s_axis_tvalid;",
        f"  wire {previous}_last = s_axis_tlast;",
        f"  wire {previous}_ready;",
        f"  assign s_axis_tready = {previous}_ready;",
    ]
    if in_bits > source.bits:
        lines.append(f"  wire unused = &s_axis_tdata[{in_bits - 1}:{source.bits}];  // padding")
    for node in graph.nodes:
        n = node.name
        banner = f"// ----- {n}: {node.kind}, {describe(node.output)} "
        lines += [
            "",
            f"  {banner}{'-' * (96 - len(banner))}",
            f"  wire [{node.output.bits - 1}:0] {n}_data;",
            f"  wire {n}_valid, {n}_ready, {n}_last;",
            f"  {modules[n]} u_{n} (",
            "    .clk_i, .rst_ni,",
            f"    .data_i({previous}_data), .valid_i({previous}_valid), .last_i({previous}_last), "
            f".ready_o({previous}_ready),",
            f"    .data_o({n}_data), .valid_o({n}_valid), .last_o({n}_last), .ready_i({n}_ready)",
            "  );",
        ]
        previous = n
    data = f"{out_bits}'({previous}_data)" if out_bits > output.bits else f"{previous}_data"
    lines += [
        "",
        f"  assign m_axis_tdata = {data};",
        f"  assign m_axis_tvalid = {previous}_valid;",
        f"  assign m_axis_tlast = {previous}_last;",
        f"  assign {previous}_ready = m_axis_tready;",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _bytes(value: Value) -> int:
    """Bits of a stream's data: whole bytes, as AXI4-Stream asks."""
    return -(-value.bits // 8) * 8
