"""Modules of the nodes of a streamed design: products and pools over windows, and single beats.

Every module makes its beats a fixed number of cycles after it was given theirs. Those that begin
with a window decide themselves when: they have the handshake of a block's head.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bitwright.models.graph import (
    Add,
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntArray,
    Interval,
    Loading,
    Lookup,
    MaxPool,
    Node,
    Plain,
    Plan,
    Requantize,
    SumPool,
    Threshold,
    Unrolled,
    Value,
    decode,
    loading,
    weight_width,
)
from bitwright.models.graph.loading import Memory as LoadedMemory
from bitwright.models.graph.loading import Part as LoadedPart
from bitwright.models.graph.plan import is_depthwise
from bitwright.models.graph.streams import Block, Lines, Step, Sweep, latency, needs_memory
from bitwright.rtl_tb.memory import (
    address_width,
    loadable,
    lookup_words,
    requantize_widths,
    requantize_words,
    rom,
    threshold_words,
)
from bitwright.rtl_tb.text import LINE, concatenation, describe, element, layer_ports, pipe, wrapped

Writer = Callable[[Node, Value, Interval, str, int, bool], str]
Modules = dict[str, str]
"""Source texts by the name of their module: the node's own, and its memories."""


def instance(cell: str, parameters: Mapping[str, object], name: str) -> str:
    """The first lines of an instance, up to its ports."""
    shown = [f".{key}({value})" for key, value in parameters.items()]
    line = f"  {cell} #({', '.join(shown)}) {name} ("
    if len(line) <= LINE:
        return line
    body = wrapped(shown, 4)
    return (
        f"  {cell} #({body}) {name} (" if "\n" in body else f"  {cell} #(\n    {body}\n  ) {name} ("
    )


def sweeps(node: Node, block: Block) -> bool:
    """Whether the node's own module has the window with which the block begins."""
    return isinstance(block.head, Sweep) and block.steps[0].node is node


def window(sweep: Sweep, width: int, name: str) -> str:
    """The first lines of a bw_window instance. width: bits of a word."""
    top, left, _, _ = sweep.window.padding
    rows, columns = sweep.positions
    return instance(
        "bw_window",
        {
            "Width": width, "Rows": sweep.rows, "Columns": sweep.columns, "Words": sweep.words,
            "KernelRows": sweep.window.kernel[0], "KernelColumns": sweep.window.kernel[1],
            "StrideRows": sweep.window.stride[0], "StrideColumns": sweep.window.stride[1],
            "Top": top, "Left": left, "OutRows": rows, "OutColumns": columns,
            "Passes": sweep.passes, "Groups": sweep.groups, "RingRows": sweep.ring_rows,
        },
        name,
    )  # fmt: skip


def lines(head: Lines, width: int, name: str) -> str:
    """The first lines of a bw_lines instance. width: bits of a pixel."""
    top, left, _, _ = head.window.padding
    rows, columns = head.window.output(head.rows, head.columns)
    return instance(
        "bw_lines",
        {
            "Width": width, "Rows": head.rows, "Columns": head.columns,
            "KernelRows": head.window.kernel[0], "KernelColumns": head.window.kernel[1],
            "StrideRows": head.window.stride[0], "StrideColumns": head.window.stride[1],
            "Top": top, "Left": left, "OutRows": rows, "OutColumns": columns, "Overlap": "1'b0",
        },
        name,
    )  # fmt: skip


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
        assert isinstance(op, Dense | Conv2d)
        loads = loading(graph, plan) if node.name in plan.loadable else None
        return _product(op, node, source, block.head, step, module, loads)
    if isinstance(op, Add):
        sources = [graph.values[name] for name in node.inputs]
        stages = engine.stages if isinstance(engine, Unrolled) else latency(node, engine)
        return {module: _add(op, node, sources, step, module, stages)}
    if isinstance(op, Conv2d):
        assert isinstance(engine, Unrolled)
        seen = Value(source.name, (step.takes,), source.type)
        position = replace(
            node, op=_dense(op), output=Value(node.name, (step.makes,), node.output.type)
        )
        reach = _seen(op, graph.intervals[source.name])
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


def _dense(op: Conv2d) -> Dense:
    """The product at one position: of all taps, row by row, each with all its channels."""
    matrix, groups = decode(op.weights), op.groups
    taps, outputs = op.window.taps, len(op.bias) // groups
    kernel = matrix.reshape(-1, taps, groups, outputs)  # channel of the group, tap, group, output
    full = np.zeros((taps, groups, len(kernel), groups, outputs), np.int64)
    for group in range(groups):
        full[:, group, :, group] = kernel[:, :, group].transpose(1, 0, 2)
    return Dense(
        Plain(full.reshape(-1, groups * outputs), max(weight_width(op.weights), 2)), op.bias
    )


def _seen(op: Conv2d, x: Interval) -> Interval:
    """What can reach each of the inputs of `_dense`."""
    low, high = np.tile(x.low, op.window.taps), np.tile(x.high, op.window.taps)
    if op.window.pads:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return Interval(low, high)


def _for_beat(reach: Interval, lanes: int) -> Interval:
    """What can reach each lane: all channels that it carries in turn, or one of several pixels."""
    low, high = reach.low, reach.high
    if lanes <= len(low):
        return Interval(low.reshape(-1, lanes).min(axis=0), high.reshape(-1, lanes).max(axis=0))
    return Interval(np.resize(low, lanes), np.resize(high, lanes))


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


def _head_ports(taken: str, taken_bits: int, made: str, made_bits: int) -> str:
    """The ports of a module that begins with a window. taken, made: what beats carry."""
    width = max(len(str(taken_bits - 1)), len(str(made_bits - 1))) + 4
    data_in, data_out = f"[{taken_bits - 1}:0]".rjust(width), f"[{made_bits - 1}:0]".rjust(width)
    bit = " " * width
    return f"""\
  input  logic {bit} clk_i,
  input  logic {bit} rst_ni,
  input  logic {data_in} data_i,  // {taken}
  input  logic {bit} valid_i,
  output logic {bit} ready_o,
  input  logic {bit} room_i,  // a beat may be begun
  output logic {bit} reserve_o,  // and is
  output logic {data_out} data_o,  // {made}
  output logic {bit} valid_o
"""


def _begin(
    node: Node, source: Value, step: Step, note: str, module: str, loads: bool = False
) -> str:
    made = node.output.type
    ports = _head_ports(
        f"{step.takes} x {source.type}", step.takes * source.type.width,
        f"{step.makes} x {made}", step.makes * made.width,
    )  # fmt: skip
    if loads:
        ports = f"{ports.rstrip()},\n" + "".join(
            f"  input  logic {bus} load_{name}_i{end}\n"
            for bus, name, end in (("[31:0]", "data", ","), ("      ", "valid", ","),
                                   ("      ", "last", ""))
        )  # fmt: skip
    return (
        f"// {node.name}: {node.kind}, {source} -> {node.output}\n// {note}\n"
        f"module {module} (\n{ports});\n"
    )


def _product(
    op: Dense | Conv2d,
    node: Node,
    source: Value,
    sweep: Sweep,
    step: Step,
    module: str,
    loads: Loading | None,
) -> Modules:
    """A window, a memory of weights, and as many sums of products as the beat has lanes.

    loads: the load stream, if it brings weights and biases.
    """
    depthwise = isinstance(op, Conv2d) and is_depthwise(op)
    simd = 1 if depthwise else step.takes
    pe, kind, made = step.makes, source.type, node.output.type
    bits = weight_width(op.weights)
    weights = _weight_words(op, sweep, pe, simd)  # (passes, accesses, lanes, terms)
    bias = op.bias[: sweep.passes * pe].reshape(sweep.passes, pe)
    # x * w of two bits is (x xnor w) - (1 if w is -1): what is subtracted is known beforehand, if
    # the weights are. x * -1 is ~x + 1 likewise.
    binary = bits == 1 and kind.width == 1 and not kind.signed and loads is None
    inverted = bits == 1 and not binary and loads is None
    if binary or inverted:
        negative = (weights == -1).sum(axis=(1, 3))
        bias = bias - negative if binary else bias + negative
    table = weights.reshape(-1, pe * simd)
    if bits == 1:
        table = (table + 1) // 2
    word = step.takes * kind.width
    lines = [
        f"  wire [{word - 1}:0] seen;",
        "  wire seen_valid, seen_first, seen_last;",
        f"  wire [{address_width(len(table)) - 1}:0] weights_address;",
        f"  wire [{address_width(sweep.passes) - 1}:0] pass;",
        "  wire unused_issue, unused_inside;",
        window(sweep, word, "u_window"),
        "    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o, .room_i, .reserve_o,",
        "    .issue_o(unused_issue), .address_o(weights_address), .pass_o(pass),",
        "    .data_o(seen), .inside_o(unused_inside), .valid_o(seen_valid),",
        "    .first_o(seen_first), .last_o(seen_last)",
        "  );",
        "",
    ]
    modules: Modules = {}
    width = pe * made.width
    memories: list[tuple[LoadedPart, list[int], int, str]] = [
        ("weights", pack_words(table, bits), pe * simd * bits, "weights_address")
    ]
    if np.any(bias) or loads is not None:
        memories.append(("bias", pack_words(bias, made.width), width, "pass"))
    for part, words, size, address in memories:
        memory = f"{module}_{part}"
        lines.append(f"  wire [{size - 1}:0] {part};")
        if loads is None:
            modules[memory] = rom(memory, words, size)
            lines += _rom(memory, part, address, part)
        else:
            modules[memory] = loadable(memory, words, size)
            lines += _loaded(memory, part, address, loads.memories[node.name, part], loads.beats)
    if len(memories) == 1:
        lines += [f"  wire [{width - 1}:0] bias = '0;", "  wire unused_pass = &pass;"]
    parameters = {
        "Lanes": 1 if depthwise else pe, "Terms": simd, "InWidth": kind.width,
        "InSigned": int(kind.signed), "WeightWidth": bits, "AccWidth": made.width,
        "Binary": int(binary), "Inverted": int(inverted),
    }  # fmt: skip
    control = "    .valid_i(seen_valid), .first_i(seen_first), .last_i(seen_last),"
    if not depthwise:
        lines += [
            "",
            instance("bw_matvec", parameters, "u_products"),
            "    .clk_i, .rst_ni, .data_i(seen), .weights_i(weights), .bias_i(bias),",
            control,
            "    .data_o, .valid_o",
            "  );",
        ]
    else:
        lines += ["", f"  wire [{pe - 1}:0] valid;", "  assign valid_o = valid[0];"]
        if pe > 1:
            lines.append(f"  wire unused_valid = &valid[{pe - 1}:1];")
        for i in range(pe):
            lines += [
                instance("bw_matvec", parameters, f"u_channel{i}"),
                f"    .clk_i, .rst_ni, .data_i({element('seen', i, kind.width)}), "
                f".weights_i({element('weights', i, bits)}),",
                f"    .bias_i({element('bias', i, made.width)}),",
                control,
                f"    .data_o({element('data_o', i, made.width)}), .valid_o(valid[{i}])",
                "  );",
            ]
    what = f"{pe} channels" if depthwise else f"{pe} outputs at a time, of {simd} inputs at a time"
    note = f"{what}: {sweep.cycles} cycles a tensor."
    text = _begin(node, source, step, note, module, loads is not None)
    return {module: text + "\n".join(lines) + "\nendmodule\n", **modules}


def loaded_words(
    op: Dense | Conv2d, made: Value, engine: Folded, sweep: Sweep
) -> dict[LoadedPart, list[int]]:
    """The words of the memories of a loadable product. made: its output."""
    pe = len(op.bias) // sweep.passes
    assert pe == engine.pe
    bits = weight_width(op.weights)
    simd = 1 if isinstance(op, Conv2d) and is_depthwise(op) else engine.simd
    table = _weight_words(op, sweep, pe, simd).reshape(-1, pe * simd)
    bias = op.bias.reshape(sweep.passes, pe)
    return {
        "weights": pack_words((table + 1) // 2 if bits == 1 else table, bits),
        "bias": pack_words(bias, made.type.width),
    }


def _loaded(
    memory: str, part: LoadedPart, address: str, place: LoadedMemory, beats: int
) -> list[str]:
    """A memory, and what takes its words out of the load stream."""
    width, top = place.width, address_width(place.depth) - 1
    parameters = {"Width": width, "Depth": place.depth, "First": place.first, "Beats": beats}
    return [
        f"  wire {part}_write;",
        f"  wire [{top}:0] {part}_write_address;",
        f"  wire [{width - 1}:0] {part}_write_data;",
        instance("bw_loader", parameters, f"u_{part}_loader"),
        "    .clk_i, .rst_ni,",
        "    .data_i(load_data_i), .valid_i(load_valid_i), .last_i(load_last_i),",
        f"    .write_o({part}_write), .address_o({part}_write_address), .data_o({part}_write_data)",
        "  );",
        f"  {memory} u_{part} (",
        f"    .clk_i, .address_i({address}), .data_o({part}), .write_i({part}_write),",
        f"    .write_address_i({part}_write_address), .write_data_i({part}_write_data)",
        "  );",
    ]


def _weight_words(op: Dense | Conv2d, sweep: Sweep, pe: int, simd: int) -> IntArray:
    """Weights in the order in which they are used: (passes, accesses, lanes, terms)."""
    matrix = decode(op.weights)
    rows, columns = sweep.window.kernel
    if isinstance(op, Conv2d) and is_depthwise(op):
        # One filter a channel: (taps, channels), pass p has the channels p * pe to p * pe + pe - 1.
        return matrix.T.reshape(sweep.passes, pe, sweep.accesses, 1).transpose(0, 2, 1, 3)
    outputs = sweep.passes * pe
    kernel = matrix[:, :outputs].reshape(-1, rows, columns, outputs)
    channels = len(kernel)
    used = kernel.reshape(channels // simd, simd, rows, columns, sweep.passes, pe)
    ordered = used.transpose(4, 2, 3, 0, 5, 1)  # passes, rows, columns, words, lanes, terms
    return np.ascontiguousarray(ordered).reshape(sweep.passes, sweep.accesses, pe, simd)


def pack_words(values: IntArray, width: int) -> list[int]:
    """Rows of integers as words, the first element in the lowest bits, in two's complement."""
    mask = (1 << width) - 1
    return [
        sum((int(value) & mask) << (i * width) for i, value in enumerate(row)) for row in values
    ]


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
    return _begin(node, source, step, note, module) + "\n".join(lines) + "\nendmodule\n"


def _from_memory(
    op: Threshold | Requantize | Lookup, node: Node, source: Value, steps: int, module: str
) -> Modules:
    """Constants of the channels from a memory, which goes on with every beat."""
    lanes, kind, made = source.size, source.type, node.output.type
    parameters = {"Lanes": lanes, "Steps": steps, "InWidth": kind.width}
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
        case Lookup():
            return _tables(op, node, source, steps, module)
    memory = f"{module}_constants"
    lines = [
        f"  wire [{address_width(steps) - 1}:0] address;",
        f"  wire [{width - 1}:0] constants;",
        *_rom(memory, "constants", "address", "constants"),
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
        lines += _rom(
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


def _rom(memory: str, name: str, address: str, data: str) -> list[str]:
    return [f"  {memory} u_{name} (.clk_i, .address_i({address}), .data_o({data}));"]


def _stream_head(node: Node, source: Value, steps: int, module: str) -> str:
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(node.output)} a beat\n"
        f"// {steps} beats, each with constants of its own from a memory.\n"
        f"module {module} (\n{layer_ports(source, node.output, True)});\n"
    )


def _add(op: Add, node: Node, sources: list[Value], step: Step, module: str, stages: int) -> str:
    """One sum a lane, registered; a tool that retimes has more registers to move."""
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
