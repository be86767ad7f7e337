"""What nodes mean as SystemVerilog: one combinational module, written from the graph alone.

Every element of every tensor is a signed integer wide enough for all that can occur, and one
expression of the elements before, as the docstring of its operation reads. Nothing of the emitters
is used, neither of the adder graphs nor of the plain form; what is shared is how weights are
decoded, which is part of the graph's meaning.
"""

from collections.abc import Iterable, Iterator, Sequence

from typing_extensions import assert_never

from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Value,
    Window,
    decode,
)

MODULE = "fv_specification"

Names = list[str]
"""What the elements of a tensor are called, the last axis fastest."""


def terms(nodes: Sequence[Node], sources: Sequence[Value]) -> int:
    """How many products, comparisons and table entries the text will have, at least."""
    made, values = 0, {source.name: source for source in sources}
    for node in nodes:
        value, op = values[node.inputs[0]], node.op
        match op:
            case Dense():
                made += node.output.size * value.channels
            case Conv2d():
                made += node.output.size * len(decode(op.weights))
            case Threshold():
                made += node.output.size * op.thresholds.shape[1]
            case Lookup():
                made += node.output.size * op.table.shape[1]
            case MaxPool() | SumPool():
                made += node.output.size * op.window.taps
            case _:
                made += value.size
        values[node.name] = node.output
    return made


def specification(nodes: Sequence[Node], sources: Sequence[Value]) -> str:
    """The text of the module: x_i are the tensors `sources`, y_o is the last node's output.

    nodes: in order. Element 0 of the first is in the lowest bits, on both sides.
    """
    lines: list[str] = []
    names: dict[str, tuple[Value, Names]] = {}
    bits = 0
    for source in sources:
        if source.name not in names:  # an addition may read a tensor twice
            lines += _inputs(source, bits)
            names[source.name] = source, [f"{source.name}_{i}" for i in range(source.size)]
        bits += source.bits
    for node in nodes:
        read = [names[name] for name in node.inputs]
        lines.append(f"\n  // {node.name}: {node.kind}, {node.output}")
        lines += _node(node, read)
        names[node.name] = node.output, [f"{node.name}_{i}" for i in range(node.output.size)]
    made = nodes[-1].output
    width = made.type.width
    packed = ", ".join(f"{name}[{width - 1}:0]" for name in reversed(names[made.name][1]))
    return (
        f"// What {nodes[-1].name} is, for all inputs.\nmodule {MODULE} (\n"
        f"  input  logic [{bits - 1}:0] x_i,\n"
        f"  output logic [{made.bits - 1}:0] y_o\n);\n"
        + "\n".join(lines)
        + f"\n\n  assign y_o = {{{packed}}};\nendmodule\n"
    )


def _inputs(source: Value, lowest: int) -> Names:
    """The elements of a tensor that is at the bits of x_i from `lowest` on."""
    width = source.type.width
    lines = []
    for i in range(source.size):
        low = lowest + i * width
        bits, top = f"x_i[{low + width - 1}:{low}]", f"x_i[{low + width - 1}]"
        sign = top if source.type.signed else "1'b0"
        lines.append(f"  wire signed [{width}:0] {source.name}_{i} = {{{sign}, {bits}}};")
    return lines


class _Width:
    """How the numbers of a node are written: signed, in bits that hold all that it computes."""

    def __init__(self, node: Node, read: Sequence[Value]) -> None:
        op = node.op
        largest = max(max(-v.type.min, v.type.max) for v in read)
        reach = max(largest, -node.output.type.min, node.output.type.max)
        match op:
            case Dense() | Conv2d():
                weights = decode(op.weights)
                sums = [sum(abs(int(w)) for w in weights[:, o]) for o in range(len(op.bias))]
                reach = max(reach, largest * max(sums) + max(abs(int(b)) for b in op.bias))
            case Threshold():
                ends = [abs(int(v)) for array in (op.thresholds, op.base) for v in array.flat]
                reach = max(reach, op.thresholds.shape[1] + max(ends))
            case Requantize():
                scaled = largest * max(abs(int(m)) for m in op.multiplier)
                reach = max(reach << op.shift, scaled + max(abs(int(b)) for b in op.bias))
            case SumPool():
                reach = max(reach, largest * op.window.taps)
            case Add():
                reach = max(reach, largest * sum(abs(m) for m in op.multipliers))
            case _:
                reach = max(reach, node.output.size, read[0].channels)
        self.bits = reach.bit_length() + 3  # a sign, and doubled once

    def number(self, value: int) -> str:
        return f"-{self.bits}'sd{-value}" if value < 0 else f"{self.bits}'sd{value}"

    def wire(self, name: str, text: str) -> str:
        return f"  wire signed [{self.bits - 1}:0] {name} = {text};"


def _node(node: Node, read: list[tuple[Value, Names]]) -> Names:
    """The declarations of a node's elements."""
    op, (value, x) = node.op, read[0]
    channels, name = value.channels, node.name
    width = _Width(node, [v for v, _ in read])
    match op:
        case Dense():
            weights = decode(op.weights)
            exact = [
                _weighted(width, x[start : start + channels], weights[:, o], int(op.bias[o]))
                for start in range(0, value.size, channels)
                for o in range(weights.shape[1])
            ]
        case Conv2d():
            exact = list(_convolution(width, op, value, x))
        case Threshold():
            exact = [_steps(width, op, i % channels, one) for i, one in enumerate(x)]
        case Requantize():
            return [line for i, one in enumerate(x) for line in
                    _rescaled(width, op, node, i % channels, one, f"{name}_{i}")]  # fmt: skip
        case Lookup():
            return [line for i, one in enumerate(x) for line in
                    _looked_up(width, op, i % channels, one, f"{name}_{i}")]  # fmt: skip
        case BitPlanes():
            bits = [", ".join(f"{one}[{plane}]" for plane in reversed(op.planes)) for one in x]
            exact = [f"$signed({{1'b0, {one}}})" for one in bits]
        case MaxPool():
            return [line for i, seen in enumerate(_windows(op.window, value, x))
                    for line in _largest(width, f"{name}_{i}", seen, node.output)]  # fmt: skip
        case SumPool():
            seen = _windows(op.window, value, x)
            exact = [" + ".join(one) or width.number(0) for one in seen]
        case Add():
            exact = [
                " + ".join(
                    f"({width.number(m)} * {e})" for m, e in zip(op.multipliers, row, strict=True)
                )
                for row in zip(*(names for _, names in read), strict=True)
            ]
        case Concat():
            exact = [
                one
                for pixel in range(value.size // channels)
                for v, names in read
                for one in names[pixel * v.channels : (pixel + 1) * v.channels]
            ]
        case Reshape():
            exact = list(x)
        case ArgMax():
            rows = [x[i : i + channels] for i in range(0, value.size, channels)]
            return [line for i, row in enumerate(rows) for line in
                    _first_largest(width, f"{name}_{i}", row)]  # fmt: skip
        case _:
            assert_never(op)
    return [width.wire(f"{name}_{i}", text) for i, text in enumerate(exact)]


def _weighted(width: _Width, x: Names, weights: Iterable[int], bias: int) -> str:
    parts = [f"({width.number(int(w))} * {e})" for w, e in zip(weights, x, strict=True) if w]
    return " + ".join([width.number(bias), *parts])


def _positions(window: Window, value: Value) -> Iterator[list[tuple[int, int]]]:
    """For every output position the (tap, pixel) pairs inside the image."""
    rows, columns, _ = value.shape
    top, left, _, _ = window.padding
    for i in range(window.output(rows, columns)[0]):
        for j in range(window.output(rows, columns)[1]):
            places = []
            for tap in range(window.taps):
                row = i * window.stride[0] - top + tap // window.kernel[1]
                column = j * window.stride[1] - left + tap % window.kernel[1]
                if 0 <= row < rows and 0 <= column < columns:
                    places.append((tap, row * columns + column))
            yield places


def _convolution(width: _Width, op: Conv2d, value: Value, x: Names) -> Iterator[str]:
    weights, taps, channels = decode(op.weights), op.window.taps, value.channels
    each, outputs = channels // op.groups, len(op.bias) // op.groups
    for places in _positions(op.window, value):
        for o in range(len(op.bias)):
            first = o // outputs * each
            seen = [
                (x[pixel * channels + first + c], int(weights[c * taps + tap, o]))
                for tap, pixel in places
                for c in range(each)
            ]
            yield _weighted(width, [e for e, _ in seen], [w for _, w in seen], int(op.bias[o]))


def _windows(window: Window, value: Value, x: Names) -> Iterator[Names]:
    """What every window sees of each channel."""
    for places in _positions(window, value):
        for c in range(value.channels):
            yield [x[pixel * value.channels + c] for _, pixel in places]


def _steps(width: _Width, op: Threshold, c: int, x: str) -> str:
    one, none = width.number(1), width.number(0)
    reached = [f"({x} >= {width.number(int(t))} ? {one} : {none})" for t in op.thresholds[c]]
    sign = "-" if op.step[c] < 0 else "+"
    return f"{width.number(int(op.base[c]))} {sign} ({' + '.join(reached) or none})"


def _rescaled(width: _Width, op: Requantize, node: Node, c: int, x: str, name: str) -> Names:
    unit = width.number(1 << op.shift)
    low, high = (width.number(end) for end in op.limits(node.output.type))
    up = {
        "floor": "1'b0",
        "half_up": f"{name}_twice >= {unit}",
        "half_even": f"{name}_twice > {unit} || ({name}_twice == {unit} && {name}_floor[0])",
    }[op.rounding]
    product = f"({width.number(int(op.multiplier[c]))} * {x})"
    return [
        width.wire(f"{name}_scaled", f"{product} + {width.number(int(op.bias[c]))}"),
        width.wire(f"{name}_floor", f"{name}_scaled >>> {op.shift}"),
        width.wire(f"{name}_twice", f"({name}_scaled - ({name}_floor <<< {op.shift})) <<< 1"),
        width.wire(f"{name}_near", f"({up}) ? {name}_floor + {width.number(1)} : {name}_floor"),
        width.wire(f"{name}_low", f"{name}_near < {low} ? {low} : {name}_near"),
        width.wire(name, f"{name}_low > {high} ? {high} : {name}_low"),
    ]


def _looked_up(width: _Width, op: Lookup, c: int, x: str, name: str) -> Names:
    """The entry of each value in turn, by the bits that the value has."""
    row = op.table[c % len(op.table)]
    bits = len(row).bit_length() - 1
    return [
        f"  logic signed [{width.bits - 1}:0] {name};",
        f"  always_comb case ({x}[{bits - 1}:0])",
        *(
            f"    {bits}'d{(op.lowest + e) % len(row)}: {name} = {width.number(int(entry))};"
            for e, entry in enumerate(row)
        ),
        "  endcase",
    ]


def _largest(width: _Width, name: str, seen: Names, made: Value) -> Names:
    """Each of them against the largest so far; of none, the lowest of the type."""
    lines, best = [], seen[0] if seen else width.number(made.type.min)
    for k, one in enumerate(seen[1:]):
        lines.append(width.wire(f"{name}_{k}m", f"{one} > {best} ? {one} : {best}"))
        best = f"{name}_{k}m"
    return [*lines, width.wire(name, best)]


def _first_largest(width: _Width, name: str, x: Names) -> Names:
    lines, best, index = [], x[0], width.number(0)
    for k, one in enumerate(x[1:], 1):
        lines += [
            width.wire(f"{name}_{k}m", f"{one} > {best} ? {one} : {best}"),
            width.wire(f"{name}_{k}i", f"{one} > {best} ? {width.number(k)} : {index}"),
        ]
        best, index = f"{name}_{k}m", f"{name}_{k}i"
    return [*lines, width.wire(name, index)]
