"""Modules of the nodes of a streamed design: pools over windows, and what takes single beats.

Every module makes its beats a fixed number of cycles after it was given theirs. Those that begin
with a window decide themselves when: they have the handshake of a block's head.
"""

from collections.abc import Callable
from dataclasses import replace
from math import gcd

import numpy as np

from bitwright.models.graph import (
    Add,
    Conv2d,
    Dense,
    Folded,
    Graph,
    Interval,
    Lookup,
    MaxPool,
    Node,
    Plan,
    Requantize,
    SumPool,
    Threshold,
    Unrolled,
    Value,
    loading,
)
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.positions import at_position, seen_at_position
from bitwright.models.graph.streams import Block, Step, appends_bits, latency, needs_memory
from bitwright.rtl_tb.heads import begin, rom_instance, window
from bitwright.rtl_tb.memory import (
    address_width,
    bias_words,
    lookup_words,
    requantize_widths,
    requantize_words,
    rom,
    threshold_words,
)
from bitwright.rtl_tb.products import product_modules
from bitwright.rtl_tb.text import (
    concatenation,
    describe,
    element,
    instance,
    layer_ports,
    literal,
    pipe,
)

Writer = Callable[[Node, Value, Interval, str, int, bool], str]
Modules = dict[str, str]
"""Source texts by the name of their module: the node's own, and its memories."""


def sweeps(node: Node, block: Block) -> bool:
    """Whether the node's own module has the window with which the block begins."""
    return isinstance(block.head, Sweep) and block.steps[0].node is node


def step_modules(
    graph: Graph, plan: Plan, block: Block, step: Step, module: str, write: Writer
) -> Modules:
    """The source texts of a node's module and its memories in a streamed design.

    write: what writes the module of a node that makes one beat of one beat.
    """
    node, engine = step.node, plan.engines[step.node.name]
    source = graph.values[node.inputs[0]]
    op = node.op
    if sweeps(node, block):
        assert isinstance(block.head, Sweep)
        if isinstance(op, MaxPool | SumPool):
            return {module: _pool(op, node, source, block.head, step, module)}
        assert isinstance(op, Dense | Conv2d) and isinstance(engine, Folded)
        loads = loading(graph, plan) if node.name in plan.loadable else None
        return product_modules(op, node, source, engine, block.head, step, module, loads)
    if isinstance(op, Add):
        sources = [graph.values[name] for name in node.inputs]
        return {module: _add(op, node, sources, step, module, latency(node, engine))}
    if isinstance(op, Conv2d):
        assert isinstance(engine, Unrolled)
        seen = Value(source.name, (step.takes,), source.type)
        position = replace(
            node, op=at_position(op), output=Value(node.name, (step.makes,), node.output.type)
        )
        reach = seen_at_position(op, graph.intervals[source.name])
        return {module: write(position, seen, reach, module, engine.stages, True)}
    lanes, channels = step.takes, source.channels
    beat = Value(source.name, (lanes,), source.type)
    part = replace(node, output=replace(node.output, shape=(step.makes,)))
    reach = graph.intervals[source.name]
    if isinstance(op, Threshold | Requantize | Lookup):
        if needs_memory(op, lanes, channels):
            return _from_memory(op, part, beat, channels // lanes, module)
        part = replace(part, op=_for_lanes(op, lanes, channels))
    stages = engine.stages if isinstance(engine, Unrolled) else latency(node, engine)
    return {module: write(part, beat, _for_beat(reach, lanes), module, stages, True)}


def _for_beat(reach: Interval, lanes: int) -> Interval:
    """What can reach each lane: any of the channels that it carries in turn.

    Behind a reshape neither need divide the other.
    """
    channels = len(reach.low)
    beats = channels // gcd(lanes, channels)  # after so many the first lane is at channel 0 again
    carried = np.arange(beats * lanes).reshape(beats, lanes) % channels
    return Interval(reach.low[carried].min(axis=0), reach.high[carried].max(axis=0))


def _for_lanes(
    op: Threshold | Requantize | Lookup, lanes: int, channels: int
) -> Threshold | Requantize | Lookup:
    """The operation of one beat: of the channels' constants as many as the beat has lanes."""
    rows = np.arange(lanes) % channels
    match op:
        case Threshold():
            return Threshold(op.thresholds[rows], op.base[rows], op.step[rows])
        case Requantize():
            return replace(op, multiplier=op.multiplier[rows], bias=op.bias[rows])
        case Lookup():
            return op if len(op.table) == 1 else Lookup(op.table[rows], op.lowest)


def _pool(
    op: MaxPool | SumPool, node: Node, source: Value, sweep: Sweep, step: Step, module: str
) -> str:
    kind, made = source.type, node.output.type
    word = step.takes * kind.width
    wide = max(kind.width, made.width)  # a maximum may be known to need fewer bits than its input
    parameters = {"Lanes": step.takes, "InWidth": kind.width, "InSigned": int(kind.signed),
                  "OutWidth": wide, "Max": int(isinstance(op, MaxPool))}  # fmt: skip
    lines = [
        f"  wire [{word - 1}:0] seen;",
        "  wire seen_inside, seen_valid, seen_first, seen_last;",
        f"  wire [{address_width(sweep.passes * sweep.accesses) - 1}:0] unused_address;",
        f"  wire [{address_width(sweep.passes) - 1}:0] unused_pass;",
        "  wire unused_issue;",
        window(sweep, word, "u_window"),
        "    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o, .room_i, .reserve_o,",
        "    .issue_o(unused_issue), .address_o(unused_address), .pass_o(unused_pass),",
        "    .data_o(seen), .inside_o(seen_inside), .valid_o(seen_valid),",
        "    .first_o(seen_first), .last_o(seen_last)",
        "  );",
        "",
        f"  wire [{step.makes * wide - 1}:0] pooled;",
        instance("bw_pool", parameters, "u_pool"),
        "    .clk_i, .rst_ni, .data_i(seen), .inside_i(seen_inside), .valid_i(seen_valid),",
        "    .first_i(seen_first), .last_i(seen_last), .data_o(pooled), .valid_o",
        "  );",
    ]
    parts = [element("pooled", i, wide, made.width) for i in range(step.makes)]
    lines.append(f"  assign data_o = {concatenation(parts, 6)};")
    if wide > made.width:
        rest = [f"pooled[{(i + 1) * wide - 1}:{i * wide + made.width}]" for i in range(step.makes)]
        lines.append(f"  wire unused = &{concatenation(rest, 6)};")
    note = f"{step.takes} channels at a time: {sweep.cycles} cycles a tensor."
    return begin(node, source, step, note, module) + "\n".join(lines) + "\nendmodule\n"


def _from_memory(
    op: Threshold | Requantize | Lookup, node: Node, source: Value, steps: int, module: str
) -> Modules:
    """Constants of the channels from a memory, which goes on with every beat."""
    lanes, kind, made = source.size, source.type, node.output.type
    parameters = {"Lanes": lanes, "Steps": steps, "InWidth": kind.width}
    stored, wires = "constants", []
    match op:
        case Threshold():
            cell = "bw_threshold_stream"
            parameters |= {"InSigned": int(kind.signed), "Levels": op.thresholds.shape[1],
                           "OutWidth": made.width}  # fmt: skip
            words = threshold_words(op, kind, made, lanes)
            width = lanes * (op.thresholds.shape[1] * (kind.width + 1) + made.width + 1)
        case Requantize():
            cell = "bw_requantize_stream"
            multiplier, bias = requantize_widths(op)
            parameters |= {
                "InSigned": int(kind.signed), "MultiplierWidth": multiplier, "BiasWidth": bias,
                "Shift": op.shift, "HalfEven": int(op.rounding == "half_even"),
                "OutWidth": made.width, "OutSigned": int(made.signed), "Narrow": int(op.narrow),
            }  # fmt: skip
            words = requantize_words(op, lanes)
            width = lanes * (multiplier + bias)
            if appends_bits(op):  # read from a memory, a multiplier would be one in hardware too
                factor, sign = literal(int(op.multiplier[0]), multiplier), "1'd0"
                parts = [(factor, element("biases", i, bias - 1), sign) for i in range(lanes)]
                whole = concatenation([part for lane in parts for part in lane], 4)
                stored, wires = "biases", [f"  wire [{width - 1}:0] constants = {whole};"]
                words, width = bias_words(op, lanes), lanes * (bias - 1)
        case Lookup():
            return _tables(op, node, source, steps, module)
    memory = f"{module}_constants"
    lines = [
        f"  wire [{address_width(steps) - 1}:0] address;",
        f"  wire [{width - 1}:0] {stored};",
        *rom_instance(memory, "constants", "address", stored),
        *wires,
        instance(cell, parameters, "u_channels"),
        "    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .constants_i(constants),",
        "    .data_o, .valid_o",
        "  );",
    ]
    text = _stream_head(node, source, steps, module) + "\n".join(lines) + "\nendmodule\n"
    return {module: text, memory: rom(memory, words, width)}


def _tables(op: Lookup, node: Node, source: Value, steps: int, module: str) -> Modules:
    """One memory a lane: the tables of all channels that the lane sees, one after another."""
    lanes, kind, made = source.size, source.type, node.output.type
    address = address_width(steps) + kind.width if steps > 1 else kind.width
    modules: Modules = {}
    lines = [
        f"  wire [{lanes * address - 1}:0] address;",
        f"  wire [{lanes * made.width - 1}:0] found;",
    ]
    for lane in range(lanes):
        memory = f"{module}_tables{lane}"
        modules[memory] = rom(memory, lookup_words(op, made.width, lane, lanes), made.width)
        lines += rom_instance(
            memory, f"tables{lane}", element("address", lane, address),
            element("found", lane, made.width),
        )  # fmt: skip
    parameters = {"Lanes": lanes, "Steps": steps, "InWidth": kind.width, "OutWidth": made.width}
    lines += [
        instance("bw_lookup_stream", parameters, "u_channels"),
        "    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .table_i(found),",
        "    .data_o, .valid_o",
        "  );",
    ]
    text = _stream_head(node, source, steps, module) + "\n".join(lines) + "\nendmodule\n"
    return {module: text, **modules}


def _stream_head(node: Node, source: Value, steps: int, module: str) -> str:
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(node.output)} a beat\n"
        f"// {steps} beats, each with constants of its own from a memory.\n"
        f"module {module} (\n{layer_ports(source, node.output, True)});\n"
    )


def _add(op: Add, node: Node, sources: list[Value], step: Step, module: str, stages: int) -> str:
    """One sum a lane, then the node's registers."""
    made, lanes = node.output.type, step.makes
    width = max(len(str(v.type.width * lanes)) for v in (*sources, node.output)) + 4
    bit = " " * width
    ports = [f"  input  logic {bit} clk_i,", f"  input  logic {bit} rst_ni,"]
    for i, source in enumerate(sources):
        data = f"[{source.type.width * lanes - 1}:0]".rjust(width)
        ports.append(f"  input  logic {data} data{i}_i,  // {lanes} x {source.type}")
    data = f"[{made.width * lanes - 1}:0]".rjust(width)
    ports += [
        f"  input  logic {bit} valid_i,",
        f"  output logic {data} data_o,  // {lanes} x {made}",
        f"  output logic {bit} valid_o",
    ]
    lines = []
    for lane in range(lanes):
        terms = []
        for i, (source, factor) in enumerate(zip(sources, op.multipliers, strict=True)):
            # Every term as wide as the sum: arithmetic modulo 2^width gives its lower bits.
            value = element(f"data{i}_i", lane, source.type.width)
            value = f"$signed({value})" if source.type.signed else value
            value = f"{made.width}'({value})"
            if abs(factor) != 1:
                value = f"{made.width}'d{abs(factor) % (1 << made.width)} * {value}"
            # Yosys reads -8'(x) as (-8)'(x): hence the brackets.
            terms.append(f"- ({value})" if factor < 0 else f"+ {value}" if i else value)
        lines.append(f"  wire [{made.width - 1}:0] y{lane} = {' '.join(terms)};")
    results = concatenation([f"y{lane}" for lane in range(lanes)], 4)
    sizes = " + ".join(f"{m} x {s}" for m, s in zip(op.multipliers, sources, strict=True))
    return (
        f"// {node.name}: add, {sizes} -> {node.output}\n"
        f"module {module} (\n" + "\n".join(ports) + "\n);\n"
        + pipe(stages, True) + "\n".join(lines)
        + f"""

  bw_delay #(.Width({lanes * made.width}), .Stages({stages})) u_delay (
    .clk_i, .enable_i(enable), .data_i({results}), .data_o
  );
endmodule
"""
    )  # fmt: skip
