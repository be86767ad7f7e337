"""Each operation as one SystemVerilog module, in the adder-graph form that users get.

A module only instantiates library cells, connects and registers, but for the adders of a constant
product: thousands of two-operand additions read better as one line each than as instances.
"""

import numpy as np
from typing_extensions import assert_never

from bitwright.models.adders import Adder, AdderGraph, Output, Schedule, schedule, solve
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Interval,
    IntType,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Value,
    decode,
)
from bitwright.rtl_tb.text import (
    concatenation,
    describe,
    element,
    layer_ports,
    literal,
    pipe,
    registered,
    resized,
    wiring,
)


def layer(
    node: Node, source: Value, interval: Interval, module: str, stages: int, streamed: bool = False
) -> str:
    """The source text of the module of a node that makes one beat of one beat.

    source, node.output: what a beat carries. interval: what can reach each of its channels.
    streamed: between blocks and FIFOs, and without a handshake of its own.
    Raises UnsupportedError where the adder-graph solver cannot take the node's constants.
    """
    op = node.op
    match op:
        case Dense():
            products = solve(decode(op.weights), op.bias, interval)
            note = f"{len(products.adders)} shared adders, {products.depth} levels"
            body = _adder_layer(products, source, node.output, stages)
        case Threshold():
            note = f"{op.thresholds.shape[1]} thresholds a channel"
            body = _threshold_layer(op, interval, source, node.output, stages)
        case Requantize():
            products = _requantize_products(op, interval)
            note = f"multiply, add, shift by {op.shift}, {op.rounding}"
            body = _adder_layer(products, source, node.output, stages, op)
        case Lookup():
            note = f"{op.table.shape[1]} entries a table"
            body = _lookup_layer(op, source, node.output, stages)
        case BitPlanes():
            return bit_planes(op, node, module, source, streamed)
        case Reshape():
            return reshape(node, module, source, streamed)
        case ArgMax():
            note = "the first of the largest"
            body = "\n".join(arg_max(source, node.output)) + registered(node.output, stages)
        case Conv2d() | MaxPool() | SumPool() | Add() | Concat():
            raise ValueError(f"node {node.name} ({node.kind}) does not make one beat of one beat")
        case _:
            assert_never(op)
    plural = "stage" if stages == 1 else "stages"
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(node.output)}\n"
        f"// {note}; {stages} pipeline {plural}.\n"
        f"module {module} (\n{layer_ports(source, node.output, streamed)});\n"
        f"{pipe(stages, streamed)}\n{body}endmodule\n"
    )


def bit_planes(op: BitPlanes, node: Node, module: str, source: Value, streamed: bool) -> str:
    """The source text of a module that is only wiring, the same in every form."""
    width = source.type.width
    made = node.output.type.width
    planes = op.planes[:made]  # no higher one can be set
    zeros = [f"{made - len(planes)}'d0"] if made > len(planes) else []
    picked = [
        part
        for i in range(source.size)
        for part in (*(f"data_i[{i * width + plane}]" for plane in planes), *zeros)
    ]
    dropped = [
        f"data_i[{i * width + bit}]"
        for i in range(source.size)
        for bit in range(width)
        if bit not in planes
    ]
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(node.output)}\n"
        f"// Bits {', '.join(map(str, op.planes))} of every element; wiring, no register.\n"
        f"module {module} (\n{layer_ports(source, node.output, streamed)});\n"
        f"  wire unused = &{concatenation(['clk_i', 'rst_ni', *dropped], 6)};\n\n"
        f"  assign data_o = {concatenation(picked, 6)};\n"
        f"{wiring(streamed)}endmodule\n"
    )


def reshape(node: Node, module: str, source: Value, streamed: bool) -> str:
    """The source text of a module that passes its elements on, in the output's type."""
    made = node.output.type
    parts = [resized("data_i", i, source.type, made) for i in range(source.size)]
    dropped = [
        element("data_i", i, source.type.width)
        for i in range(source.size)
        if made.width < source.type.width
    ]
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(node.output)}; wiring.\n"
        f"module {module} (\n{layer_ports(source, node.output, streamed)});\n"
        f"  wire unused = &{concatenation(['clk_i', 'rst_ni', *dropped], 6)};\n\n"
        f"  assign data_o = {concatenation(parts, 6)};\n"
        f"{wiring(streamed)}endmodule\n"
    )


def arg_max(source: Value, output: Value) -> list[str]:
    """One bw_argmax for every group of channels."""
    return [
        f"""\
  wire [{output.type.width - 1}:0] y{i};
  bw_argmax #(
    .Channels({source.channels}), .Width({source.type.width}), .Signed({int(source.type.signed)}), \
.OutWidth({output.type.width})
  ) u_y{i} (
    .data_i({element("data_i", i, source.channels * source.type.width)}), .data_o(y{i})
  );"""
        for i in range(source.size // source.channels)
    ]


def _lookup_layer(op: Lookup, source: Value, output: Value, stages: int) -> str:
    """One bw_lookup an element, then the layer's registers."""
    kind, made = source.type, output.type
    lines = []
    for i in range(source.size):
        # The bus carries two's complement: entry 0 of the cell is for the bits 0…0.
        row = np.roll(op.table[(i % source.channels) % len(op.table)], op.lowest)
        table = concatenation([literal(int(v), made.width) for v in row], 6)
        lines.append(f"""\
  wire [{made.width - 1}:0] y{i};
  bw_lookup #(
    .InWidth({kind.width}), .OutWidth({made.width}),
    .Table({table})
  ) u_y{i} (.data_i({element("data_i", i, kind.width)}), .data_o(y{i}));""")
    return "\n".join(lines) + registered(output, stages)


def _requantize_products(op: Requantize, interval: Interval) -> AdderGraph:
    """The products and constants of a requantiser; rounding adds one half to the constant."""
    half = (1 << op.shift) >> 1 if op.rounding != "floor" else 0
    return solve(np.diag(op.multiplier), op.bias + half, interval)


def _adder_layer(
    products: AdderGraph,
    source: Value,
    output: Value,
    stages: int,
    rounding: Requantize | None = None,
) -> str:
    """The adders of a constant product stage by stage, then the outputs and their register."""
    plan = schedule(products, stages, levels_after=0 if rounding is None else 1)
    names = _Names(products, plan, None if rounding else output.type.width)
    inputs = [(i, *names.type(i)) for i in range(products.inputs) if names.is_read(i)]
    lines = [
        f"  wire {'signed ' if signed else ''}[{width - 1}:0] x{i} = "
        f"{element('data_i', i, source.type.width, width)};"
        for i, signed, width in inputs
    ]
    lines += _unused(source, {i: width for i, _, width in inputs})
    for stage in range(1, stages + 1):
        lines.append(f"\n  // ===== Stage {stage} of {stages} =====")
        for i in filter(names.is_read, plan.adders[stage]):
            adder = products.adders[i - products.inputs]
            lines.append(f"  {names.declare('wire', i)} = {names.sum(adder, i, stage)};")
        if stage < stages:
            kept = list(filter(names.is_read, plan.registers[stage]))
            lines += [f"  {names.declare('logic', i, stage)};" for i in kept]
            lines.append("  always_ff @(posedge clk_i) begin\n    if (enable) begin")
            lines += [f"      {names.at(i, stage + 1)} <= {names.at(i, stage)};" for i in kept]
            lines.append("    end\n  end")
    width = output.type.width
    for o, end in enumerate(products.outputs):
        if rounding is None:
            lines.append(f"  wire [{width - 1}:0] y{o} = {names.output(end, width, stages)};")
        else:
            wide = products.output_width(end)
            value = names.output(end, wide, stages)
            lines.append(_rounded(value, wide, o, rounding, output))
    results = concatenation([f"y{o}" for o in range(len(products.outputs))], 8)
    return "\n".join(lines) + (
        f"\n\n  logic [{output.bits - 1}:0] data_q;\n"
        f"  always_ff @(posedge clk_i) begin\n    if (enable) data_q <= {results};\n  end\n"
        "  assign data_o = data_q;\n"
    )


def _rounded(value: str, width: int, o: int, op: Requantize, output: Value) -> str:
    kind = output.type
    return f"""\
  wire signed [{width - 1}:0] p{o} = {value};
  wire [{kind.width - 1}:0] y{o};
  bw_round_saturate #(
    .InWidth({width}), .Shift({op.shift}), .HalfEven({int(op.rounding == "half_even")}),
    .OutWidth({kind.width}), .OutSigned({int(kind.signed)}), .Narrow({int(op.narrow)})
  ) u_y{o} (.data_i(p{o}), .data_o(y{o}));"""


class _Names:
    """What each value of an adder graph is called and how it is written, stage by stage."""

    def __init__(self, products: AdderGraph, plan: Schedule, output_width: int | None) -> None:
        """output_width: bits of every output, or None where each gets what its range needs."""
        self._products = products
        self._made = {i: stage for stage, made in plan.adders.items() for i in made}
        self._widths = products.widths(output_width)

    def is_read(self, i: int) -> bool:
        """Whether anything reads value i."""
        return self._widths[i] > 0

    def at(self, i: int, stage: int) -> str:
        """Value i as seen in a stage: the wire itself, or the register of the stage before."""
        base = f"x{i}" if i < self._products.inputs else f"t{i - self._products.inputs}"
        return base if stage <= self._made.get(i, 1) else f"{base}_s{stage - 1}"

    def declare(self, kind: str, i: int, stage: int | None = None) -> str:
        """The declaration of value i, or of its register at the end of a stage."""
        signed, width = self.type(i)
        name = self.at(i, self._made[i] if stage is None else stage + 1)
        return f"{kind} {'signed ' if signed else ''}[{width - 1}:0] {name}"

    def sum(self, adder: Adder, i: int, stage: int) -> str:
        """The expression of an adder, every operand first extended to the result's width."""
        width = self.type(i)[1]
        left = self._operand(adder.left, adder.left_shift, width, stage)
        right = self._operand(adder.right, adder.right_shift, width, stage)
        return f"{left} {'-' if adder.subtract else '+'} {right}"

    def output(self, end: Output, width: int, stage: int) -> str:
        """The expression of an output, `width` bits wide."""
        if end.source is None:
            return literal(end.constant, width)
        value = self._operand(end.source, end.shift, width, stage)
        sign = f"{end.constant:+}"[0]
        # A sum can fit where its constant alone does not: its lower bits are enough then.
        size = f"{width}'d{abs(end.constant) % (1 << width)}"
        if end.negate:
            return f"-({value})" if end.constant == 0 else f"{sign.strip('+')}{size} - {value}"
        if end.constant == 0:
            return value
        return f"{value} {sign} {size}"

    def type(self, i: int) -> tuple[bool, int]:
        """Whether value i can be negative, and the bits that hold it."""
        return self._products.low[i] < 0, self._widths[i]

    def _operand(self, i: int, shift: int, width: int, stage: int) -> str:
        # A size cast extends by the operand's own sign; after it every width is equal, so that
        # signed and unsigned operands can be mixed without surprises.
        if not self.is_read(i):  # shifted beyond the result
            return f"{width}'d0"
        name = self.at(i, stage)
        value = name if self.type(i)[1] == width else f"{width}'({name})"
        return f"({value} << {shift})" if shift else value


def _unused(source: Value, widths: dict[int, int]) -> list[str]:
    """A wire that reads the input bits that no logic reads, so that lint knows it is meant.

    widths: the bits read of each element. A weight column may be zero, and a channel's own range
    narrower than its tensor's type.
    """
    full = source.type.width
    ends = [((i + 1) * full - 1, i * full + widths.get(i, 0)) for i in range(source.size)]
    parts = [
        f"data_i[{high}]" if high == low else f"data_i[{high}:{low}]"
        for high, low in ends
        if high >= low
    ]
    return [f"  wire unused = &{concatenation(parts, 6)};"] if parts else []


def _threshold_layer(
    op: Threshold, interval: Interval, source: Value, output: Value, stages: int
) -> str:
    """One bw_threshold an element, then the layer's registers."""
    made = output.type
    lines, widths = [], {}
    for i in range(source.size):
        c = i % source.channels
        kind = IntType.holding(int(interval.low[c]), int(interval.high[c]))
        widths[i] = kind.width
        # One bit more than the type on either side: always reached, or never.
        levels = [min(max(int(t), kind.min), kind.max + 1) for t in op.thresholds[c]]
        table = concatenation([literal(t, kind.width + 2) for t in levels], 6)
        lines.append(f"""\
  wire [{made.width - 1}:0] y{i};
  bw_threshold #(
    .InWidth({kind.width}), .InSigned({int(kind.signed)}), .OutWidth({made.width}), \
.Levels({len(levels)}),
    .Base({literal(int(op.base[c]), made.width)}), .Falling({op.falling[c]}),
    .Thresholds({table})
  ) u_y{i} (.data_i({element("data_i", i, source.type.width, kind.width)}), .data_o(y{i}));""")
    lines += _unused(source, widths)
    return "\n".join(lines) + registered(output, stages)
