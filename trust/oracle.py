"""What a graph means, once more: the docstrings of the operations in plain Python integers.

Slow, and shares nothing with the numpy reference nor with any generator: no numpy arithmetic, no
tables, no bounds, no weight decoding of theirs. A tensor is a flat list, the last axis fastest.
"""

import math
from collections.abc import Sequence

from typing_extensions import assert_never

from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Node,
    Plain,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Tiled,
    Value,
    Window,
)

Flat = list[int]
Columns = list[list[int]]
"""A product's weights, output by output."""


class OracleError(AssertionError):
    """A tensor left its type."""


class Oracle:
    """A graph ready to be asked about one input after another."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._columns = {
            node.name: columns(node.op.weights)
            for node in graph.nodes
            if isinstance(node.op, Dense | Conv2d)
        }

    def __call__(self, x: Sequence[int]) -> Flat:
        """The output's elements for the input's."""
        return self.tensors(x)[self.graph.outputs[0]]

    def tensors(self, x: Sequence[int]) -> dict[str, Flat]:
        """Every tensor's elements. Raises OracleError where one is outside its type."""
        (source,) = self.graph.inputs
        shapes = {source.name: source}
        made = {source.name: [int(element) for element in x]}
        for node in self.graph.nodes:
            read = [(shapes[name], made[name]) for name in node.inputs]
            y = self._node(node, read)
            kind, value = node.output.type, node.output
            low = -(2 ** (kind.width - 1)) if kind.signed else 0
            high = 2 ** (kind.width - 1) - 1 if kind.signed else 2**kind.width - 1
            if len(y) != math.prod(value.shape) or any(not low <= e <= high for e in y):
                raise OracleError(f"{value} became {y}")
            shapes[node.name], made[node.name] = value, y
        return made

    def _node(self, node: Node, read: list[tuple[Value, Flat]]) -> Flat:
        op = node.op
        value, x = read[0]
        channels = value.shape[-1]
        match op:
            case Dense():
                bias = [int(b) for b in op.bias]
                y = []
                for start in range(0, len(x), channels):
                    part = x[start : start + channels]
                    for column, b in zip(self._columns[node.name], bias, strict=True):
                        y.append(b + sum(a * w for a, w in zip(part, column, strict=True)))
                return y
            case Conv2d():
                return _conv(op, self._columns[node.name], value, x)
            case Threshold():
                return [_step(op, i % channels, e) for i, e in enumerate(x)]
            case Requantize():
                return [_rescale(op, node.output, i % channels, e) for i, e in enumerate(x)]
            case Lookup():
                tables = [[int(e) for e in row] for row in op.table]
                return [
                    tables[i % channels if len(tables) > 1 else 0][e - op.lowest]
                    for i, e in enumerate(x)
                ]
            case BitPlanes():
                return [
                    sum((e // 2**plane % 2) * 2**j for j, plane in enumerate(op.planes)) for e in x
                ]
            case MaxPool():
                return [max(seen) for seen in _windows(op.window, value, x)]
            case SumPool():
                return [sum(seen) for seen in _windows(op.window, value, x)]
            case Add():
                return [
                    sum(m * e for m, e in zip(op.multipliers, elements, strict=True))
                    for elements in zip(*(tensor for _, tensor in read), strict=True)
                ]
            case Concat():
                parts = [
                    [tensor[i : i + v.shape[-1]] for i in range(0, len(tensor), v.shape[-1])]
                    for v, tensor in read
                ]
                return [e for pixel in zip(*parts, strict=True) for part in pixel for e in part]
            case Reshape():
                return list(x)
            case ArgMax():
                rows = [x[i : i + channels] for i in range(0, len(x), channels)]
                return [row.index(max(row)) for row in rows]
            case _:
                assert_never(op)


def columns(codec: Codec) -> Columns:
    """The weights of every output, in the order of the inputs."""
    match codec:
        case Plain():
            inputs, outputs = codec.values.shape
            return [[int(codec.values[i, o]) for i in range(inputs)] for o in range(outputs)]
        case Tiled():
            inputs, outputs = codec.shape
            tile = [int(sign) for sign in codec.tile]
            return [
                [tile[(o * inputs + i) % len(tile)] for i in range(inputs)] for o in range(outputs)
            ]
        case Codebook():
            inputs, outputs = codec.indices.shape
            each = outputs // len(codec.table)
            return [
                [int(codec.table[o // each, int(codec.indices[i, o])]) for i in range(inputs)]
                for o in range(outputs)
            ]
        case _:
            assert_never(codec)


def _positions(window: Window, rows: int, columns: int) -> list[list[tuple[int, int, int, int]]]:
    """For every output position the (tap row, tap column, row, column) inside the image."""
    top, left, bottom, right = window.padding
    firsts = [
        (i, j)
        for i in range(-top, rows + bottom - window.kernel[0] + 1, window.stride[0])
        for j in range(-left, columns + right - window.kernel[1] + 1, window.stride[1])
    ]
    return [
        [
            (i, j, first_row + i, first_column + j)
            for i in range(window.kernel[0])
            for j in range(window.kernel[1])
            if 0 <= first_row + i < rows and 0 <= first_column + j < columns
        ]
        for first_row, first_column in firsts
    ]


def _windows(window: Window, value: Value, x: Flat) -> list[Flat]:
    """What every window sees of each channel, padding left out."""
    rows, columns, channels = value.shape
    return [
        [x[(row * columns + column) * channels + c] for _, _, row, column in seen]
        for seen in _positions(window, rows, columns)
        for c in range(channels)
    ]


def _conv(op: Conv2d, weights: Columns, value: Value, x: Flat) -> Flat:
    rows, width, channels = value.shape
    kernel_rows, kernel_columns = op.window.kernel
    bias = [int(b) for b in op.bias]
    seen_channels, outputs = channels // op.groups, len(bias) // op.groups
    y = []
    for seen in _positions(op.window, rows, width):
        for o, column in enumerate(weights):
            first = o // outputs * seen_channels
            total = bias[o]
            for i, j, r, c in seen:
                place = (r * width + c) * channels + first
                for k in range(seen_channels):
                    total += column[(k * kernel_rows + i) * kernel_columns + j] * x[place + k]
            y.append(total)
    return y


def _step(op: Threshold, c: int, x: int) -> int:
    return int(op.base[c]) + int(op.step[c]) * sum(x >= int(t) for t in op.thresholds[c])


def _rescale(op: Requantize, output: Value, c: int, x: int) -> int:
    numerator = int(op.multiplier[c]) * x + int(op.bias[c])
    unit = 1 << op.shift
    y, rest = divmod(numerator, unit)
    match op.rounding:
        case "half_even":
            y += int(2 * rest > unit or (2 * rest == unit and y % 2 == 1))
        case "half_up":
            y += int(2 * rest >= unit)
        case "floor":
            pass
        case _:
            assert_never(op.rounding)
    width = output.type.width
    high = (1 << width - output.type.signed) - 1
    low = -(1 << width - 1) if output.type.signed else 0
    if op.narrow and output.type.signed:
        low = -high
    return min(max(y, low), high)
