"""Layers that multiply by weights: dense layers and convolutions of every codec."""

import math
from typing import Any

import numpy as np
from typing_extensions import assert_never

from bitwright.hls.layer import BINARY, Layer, constant_type, holding, tensor_type
from bitwright.models.graph import (
    Codebook,
    Codec,
    Conv2d,
    Dense,
    IntArray,
    Interval,
    IntType,
    Node,
    Plain,
    Tiled,
    Value,
    decode,
    partial_sums,
    weight_width,
)
from bitwright.models.graph.ops import Window
from bitwright.models.graph.ranges import operands

_MOST_LINES = 10_000  # g++ needs about a second for a thousand of them


def dense(op: Dense, node: Node, source: Value, x: Interval) -> Layer:
    """On a vector; on a tensor of more axes, the same for each of its vectors."""
    if len(source.shape) > 1:
        pointwise = Conv2d(op.weights, op.bias, Window((1, 1)))
        return _own_conv(pointwise, node, (source.size // source.channels, 1), x)
    codec = op.weights
    match codec:
        case Plain():
            return _plain(codec, op.bias, node, x)
        case Tiled():
            return _tiled(codec, op.bias, node, x)
        case Codebook():
            return _codebook(codec, op.bias, node, x)
        case _:
            assert_never(codec)


def conv(op: Conv2d, node: Node, source: Value, x: Interval, *, stream: bool) -> Layer:
    """As hls4ml's convolution where that is exact and shares all that can be shared."""
    # hls4ml has no groups but depthwise, and equal filters of a tiled layer need only one sum.
    own = op.groups > 1 or isinstance(op.weights, Tiled)
    if stream:  # it forgets a stride over the rows of a kernel of one row, unless it is 1 x 1
        own |= op.window.kernel[0] == 1 and op.window.stride[0] > 1 and op.window.taps > 1
    else:  # it writes a line of C++ for every element that a window sees
        own |= node.output.size // len(op.bias) * len(decode(op.weights)) > _MOST_LINES
    if own:
        return _own_conv(op, node, source.shape[:2], x)
    return _hls4ml_conv(op, node, source, x)


def window_sizes(window: Window, image: tuple[int, ...], made: tuple[int, ...]) -> dict[str, int]:
    """hls4ml's attributes for a window on an image. image, made: (rows, columns, ...)."""
    top, left, bottom, right = window.padding
    return {
        "in_height": image[0],
        "in_width": image[1],
        "out_height": made[0],
        "out_width": made[1],
        "stride_height": window.stride[0],
        "stride_width": window.stride[1],
        "pad_top": top,
        "pad_bottom": bottom,
        "pad_left": left,
        "pad_right": right,
    }


def _hls4ml_conv(op: Conv2d, node: Node, source: Value, x: Interval) -> Layer:
    rows, columns = op.window.kernel
    outputs = len(op.bias)
    weights = decode(op.weights).reshape(source.channels, rows, columns, outputs)
    attributes: dict[str, Any] = {
        **window_sizes(op.window, source.shape, node.output.shape),
        "n_chan": source.channels,
        "n_filt": outputs,
        "filt_height": rows,
        "filt_width": columns,
        "data_format": "channels_last",
    }
    types = {
        "result": tensor_type(node.output.type),
        "weight": _weight_type(op.weights, attributes),
        "bias": tensor_type(holding(op.bias)),
        "accum": _accumulator(op, op.bias, x),
    }
    constants = {"weight": weights.transpose(1, 2, 0, 3), "bias": op.bias}
    return Layer(node.name, "Conv2D", node.inputs, attributes, constants, types)


def _own_conv(op: Conv2d, node: Node, image: tuple[int, ...], x: Interval) -> Layer:
    """image: rows and columns of the input."""
    codec = op.weights
    sums = outputs = len(op.bias)
    match codec:
        case Plain() | Codebook():
            stored = decode(codec).T.reshape(-1)
        case Tiled():
            stored = codec.tile
            if op.groups == 1:  # in other groups, equal filters see other channels
                sums = _distinct_rows(codec)
        case _:
            assert_never(codec)
    binary = bool(np.all(np.abs(stored) == 1))
    # Signed where they are not binary: an unsigned bit means -1 or +1 there, as in a tile.
    kind = IntType.holding(min(int(stored.min()), -1), int(stored.max()))
    attributes: dict[str, Any] = {
        **window_sizes(op.window, image, op.window.output(*image[:2])),
        "n_chan": op.channels,
        "n_filt": outputs,
        "n_sums": sums,
        "n_groups": op.groups,
        "n_stored": len(stored),
        "filt_height": op.window.kernel[0],
        "filt_width": op.window.kernel[1],
        "shape": list(node.output.shape),
    }
    types = {
        "result": tensor_type(node.output.type),
        "weight": constant_type(IntType(1, signed=False) if binary else kind),
        "bias": tensor_type(holding(op.bias)),
        "accum": _accumulator(op, np.zeros_like(op.bias), x),  # the biases come after it
    }
    constants = {"weight": (stored > 0).astype(np.int64) if binary else stored, "bias": op.bias}
    return Layer(node.name, "BitwrightWindowConv", node.inputs, attributes, constants, types)


def _plain(codec: Plain, bias: IntArray, node: Node, x: Interval) -> Layer:
    inputs, outputs = codec.values.shape
    attributes: dict[str, Any] = {"n_in": inputs, "n_out": outputs}
    types = {
        "result": tensor_type(node.output.type),
        "weight": _weight_type(codec, attributes),
        "bias": tensor_type(holding(bias)),
        "accum": _accumulator(Dense(codec, bias), bias, x),
    }
    constants = {"weight": codec.values, "bias": bias}
    return Layer(node.name, "Dense", node.inputs, attributes, constants, types)


def _tiled(codec: Tiled, bias: IntArray, node: Node, x: Interval) -> Layer:
    inputs, outputs = codec.shape
    rows = _distinct_rows(codec)
    attributes = {"n_in": inputs, "n_out": outputs, "n_tile": len(codec.tile), "n_rows": rows}
    constants = {"tile": (codec.tile > 0).astype(np.int64), "bias": bias}
    types = {
        "result": tensor_type(node.output.type),
        "tile": constant_type(IntType(1, signed=False)),
        "bias": tensor_type(holding(bias)),
        # Outputs that share a sum add their biases behind it.
        "accum": _accumulator(Dense(codec, bias), np.zeros_like(bias), x),
    }
    return Layer(node.name, "BitwrightTiledDense", node.inputs, attributes, constants, types)


def _codebook(codec: Codebook, bias: IntArray, node: Node, x: Interval) -> Layer:
    inputs, outputs = codec.indices.shape
    groups, entries = codec.table.shape
    attributes = {"n_in": inputs, "n_out": outputs, "n_groups": groups, "n_entries": entries}
    constants = {"indices": codec.indices, "table": codec.table, "bias": bias}
    types = {
        "result": tensor_type(node.output.type),
        "indices": constant_type(IntType(codec.index_bits, signed=False)),
        "table": tensor_type(holding(codec.table)),
        "bias": tensor_type(holding(bias)),
        "accum": _accumulator(Dense(codec, bias), bias, x),
    }
    return Layer(node.name, "BitwrightCodebookDense", node.inputs, attributes, constants, types)


def _distinct_rows(codec: Tiled) -> int:
    """Outputs that differ in their weights.

    Output o starts at o * inputs in the endless tile, so the rows repeat with this period.
    """
    inputs, outputs = codec.shape
    return min(outputs, len(codec.tile) // math.gcd(len(codec.tile), inputs))


def _weight_type(codec: Codec, attributes: dict[str, Any]) -> str:
    """The type of the weights of one of hls4ml's own layers, whose attributes may need to say it.

    Reals (fixed<w,w>) on purpose: hls4ml reads a 2-bit integer weight as ternary (so -2 as +1), and
    a 1-bit integer as -1 or +1.
    """
    if weight_width(codec) > 1:
        return tensor_type(IntType(weight_width(codec), signed=True))
    from hls4ml.model.quantizers import BinaryQuantizer

    attributes["weight_quantizer"] = BinaryQuantizer(bits=1)
    return BINARY


def _accumulator(op: Dense | Conv2d, bias: IntArray, x: Interval) -> str:
    """The type that holds every partial sum, in whatever order a tool adds."""
    weights = decode(op.weights)
    ends = [
        partial_sums(weights[:, outputs], bias[outputs], seen).bounds
        for outputs, seen in operands(op, x)
    ]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return tensor_type(IntType.holding(low, high))
