"""Each operation as one module in the plain form: multiply, add, compare, divide.

It shares no arithmetic with the adder-graph form, neither solver nor cells, so that each form
checks the other. It is for simulation; synthesis gives it several times the area.
"""

from typing_extensions import assert_never

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
from bitwright.rtl_tb.layers import arg_max, bit_planes, reshape
from bitwright.rtl_tb.text import (
    concatenation,
    describe,
    element,
    layer_ports,
    literal,
    pipe,
    registered,
)


def plain_layer(
    node: Node, source: Value, interval: Interval, module: str, stages: int, streamed: bool = False
) -> str:
    """The source text of a node's module in the plain form, with the same ports and latency."""
    output, op = node.output, node.op
    match op:
        case Dense():
            lines = _dots(op, source, output)
        case Threshold():
            lines = _thresholds(op, source, output)
        case Requantize():
            low, high = interval.bounds
            lines = _requantisers(op, source, output, max(-low, high))
        case Lookup():
            lines = _lookups(op, source, output)
        case BitPlanes():
            return bit_planes(op, node, module, source, streamed)
        case Reshape():
            return reshape(node, module, source, streamed)
        case ArgMax():
            lines = arg_max(source, output)
        case Conv2d() | MaxPool() | SumPool() | Add() | Concat():
            raise ValueError(f"node {node.name} ({node.kind}) does not make one beat of one beat")
        case _:
            assert_never(op)
    return (
        f"// {node.name}: {node.kind}, {describe(source)} -> {describe(output)}, plain form.\n"
        f"module {module} (\n{layer_ports(source, output, streamed)});\n{pipe(stages, streamed)}\n"
        + "\n".join(lines)
        + registered(output, stages)
        + "endmodule\n"
    )


def _dots(op: Dense, source: Value, output: Value) -> list[str]:
    weights, kind = decode(op.weights), output.type
    largest = int(abs(weights).max())
    width = IntType.holding(-largest, largest).width
    lines = []
    for o in range(weights.shape[1]):
        row = concatenation([literal(int(w), width) for w in weights[:, o]], 6)
        lines.append(f"""\
  wire [{kind.width - 1}:0] y{o};
  bw_plain_dot #(
    .Inputs({source.size}), .InWidth({source.type.width}), .InSigned({int(source.type.signed)}),
    .WeightWidth({width}), .OutWidth({kind.width}), .Bias({literal(int(op.bias[o]), kind.width)}),
    .Weights({row})
  ) u_y{o} (.data_i, .data_o(y{o}));""")
    return lines


def _thresholds(op: Threshold, source: Value, output: Value) -> list[str]:
    kind, made = source.type, output.type
    lines = []
    for i in range(source.size):
        c = i % source.channels
        levels = [min(max(int(t), kind.min), kind.max + 1) for t in op.thresholds[c]]
        table = concatenation([literal(t, kind.width + 2) for t in levels], 6)
        lines.append(f"""\
  wire [{made.width - 1}:0] y{i};
  bw_plain_threshold #(
    .InWidth({kind.width}), .InSigned({int(kind.signed)}), .OutWidth({made.width}), \
.Levels({len(levels)}),
    .Base({literal(int(op.base[c]), made.width)}), .Falling({op.falling[c]}),
    .Thresholds({table})
  ) u_y{i} (.data_i({element("data_i", i, kind.width)}), .data_o(y{i}));""")
    return lines


def _lookups(op: Lookup, source: Value, output: Value) -> list[str]:
    kind, made = source.type, output.type
    lines = []
    for i in range(source.size):
        row = op.table[(i % source.channels) % len(op.table)]
        negative = -op.lowest  # entries before 0, which follow the others as two's complement
        ordered = [int(v) for v in (*row[negative:], *row[:negative])]
        table = concatenation([literal(v, made.width) for v in ordered], 6)
        lines.append(f"""\
  wire [{made.width - 1}:0] y{i};
  bw_plain_lookup #(
    .InWidth({kind.width}), .OutWidth({made.width}),
    .Table({table})
  ) u_y{i} (.data_i({element("data_i", i, kind.width)}), .data_o(y{i}));""")
    return lines


def _requantisers(op: Requantize, source: Value, output: Value, largest: int) -> list[str]:
    kind, made = source.type, output.type
    low, high = op.limits(made)
    rounding = ("floor", "half_up", "half_even").index(op.rounding)
    lines = []
    for i in range(source.size):
        c = i % source.channels
        m, b = int(op.multiplier[c]), int(op.bias[c])
        reach = abs(m) * largest + abs(b) + (1 << op.shift + made.width)
        width = IntType.holding(-reach, reach).width
        lines.append(f"""\
  wire [{made.width - 1}:0] y{i};
  bw_plain_requantize #(
    .InWidth({kind.width}), .InSigned({int(kind.signed)}), .OutWidth({made.width}), \
.Width({width}),
    .Multiplier({literal(m, width)}), .Bias({literal(b, width)}), .Shift({op.shift}),
    .Rounding({rounding}), .Low({literal(low, width)}), .High({literal(high, width)})
  ) u_y{i} (.data_i({element("data_i", i, kind.width)}), .data_o(y{i}));""")
    return lines
