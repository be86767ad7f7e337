"""Each operation of the integer graph as an hls4ml layer, with the exact type of everything in it.

Nothing is left for hls4ml to infer: tensors have the graph's types, constants the types that hold
them, accumulators the range that interval arithmetic proves for every partial sum.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import assert_never

from bitwright.models.errors import GraphError, UnsupportedError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Codebook,
    Concat,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
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
    decode,
    partial_sums,
)
from bitwright.models.graph.ops import Rounding

BINARY = "xnor"
"""The type of constants of one bit that means -1 or +1; hls4ml has no spelling for it."""

_LARGEST_CONSTANT = 1 << 53  # hls4ml formats constants as doubles


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One hls4ml layer: its class, attributes, constants, and the type that each part must keep."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    constants: dict[str, IntArray]
    types: dict[str, str]
    """By part: `result`, each constant by its name, and `accum` or `index` where there is one; in
    hls4ml's spelling."""


def layers(graph: Graph) -> list[Layer]:
    """The graph as hls4ml layers, in execution order, the input first.

    Raises:
        UnsupportedError: an operation on a tensor of a shape, or with constants, that hls4ml
            cannot take.
    """
    if not graph.nodes:
        raise UnsupportedError(f"graph {graph.name} has no operation: there is nothing to write")
    source = graph.input
    argument = argument_name(graph)
    first = Layer(
        name=argument,
        kind="Input",
        inputs=(),
        attributes={"input_shape": list(source.shape)},
        constants={},
        types={"result": _tensor_type(source.type)},
    )
    return [first, *(_layer(graph, node, {source.name: argument}) for node in graph.nodes)]


def argument_name(graph: Graph) -> str:
    """The C++ argument that carries the input.

    Not simply the input's name, which could be that of one of hls4ml's own variables (`w2`).
    """
    name = f"{graph.input.name}_in"
    while name.lower() in {tensor.lower() for tensor in graph.values}:
        name += "_in"
    return name


def _layer(graph: Graph, node: Node, renamed: dict[str, str]) -> Layer:
    source = graph.values[node.inputs[0]]
    interval = graph.intervals[source.name]
    op = node.op
    try:
        match op:
            case Dense():
                kind, attributes, constants, types = _dense(op, node, source, interval)
            case Threshold():
                kind, attributes, constants, types = _threshold(op, node)
            case Requantize():
                kind, attributes, constants, types = _requantize(op, node, interval)
            case Lookup():
                kind, attributes, constants, types = _lookup(op, node)
            case BitPlanes():
                kind, attributes, constants, types = _bit_planes(op, node)
            case Conv2d() | MaxPool() | SumPool() | Add() | Concat() | Reshape() | ArgMax():
                raise UnsupportedError(f"node {node.name} ({node.kind}) has no HLS layer yet")
            case _:
                assert_never(op)
    except GraphError as error:
        raise UnsupportedError(f"node {node.name} ({node.kind}) in HLS: {error}") from None
    for name, array in constants.items():
        largest = max(-int(array.min()), int(array.max()))
        if largest > _LARGEST_CONSTANT:
            raise UnsupportedError(
                f"the {name} of node {node.name} reaches {largest}, and hls4ml writes constants "
                "exactly only up to 2^53: use fewer bits"
            )
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    return Layer(node.name, kind, inputs, attributes, constants, types)


_Parts = tuple[str, dict[str, Any], dict[str, IntArray], dict[str, str]]


def _dense(op: Dense, node: Node, source: Value, x: Interval) -> _Parts:
    if len(source.shape) != 1:
        raise UnsupportedError(
            f"node {node.name} is a dense layer on {source}, and hls4ml's takes one vector: "
            "flatten the tensor first"
        )
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


def _plain(codec: Plain, bias: IntArray, node: Node, x: Interval) -> _Parts:
    inputs, outputs = codec.values.shape
    attributes: dict[str, Any] = {"n_in": inputs, "n_out": outputs}
    # Reals (fixed<w,w>) on purpose: hls4ml reads a 2-bit integer weight as ternary (so -2 as +1),
    # and a 1-bit integer as -1 or +1.
    weight = _tensor_type(IntType(codec.width, signed=True))
    if codec.width == 1:
        from hls4ml.model.quantizers import BinaryQuantizer

        attributes["weight_quantizer"] = BinaryQuantizer(bits=1)
        weight = BINARY
    types = {
        "result": _tensor_type(node.output.type),
        "weight": weight,
        "bias": _tensor_type(_holding(bias)),
        "accum": _accumulator(codec.values, bias, x),
    }
    return "Dense", attributes, {"weight": codec.values, "bias": bias}, types


def _tiled(codec: Tiled, bias: IntArray, node: Node, x: Interval) -> _Parts:
    inputs, outputs = codec.shape
    length = len(codec.tile)
    # Output o starts at o * inputs in the endless tile, so the rows repeat with this period.
    rows = min(outputs, length // math.gcd(length, inputs))
    attributes = {"n_in": inputs, "n_out": outputs, "n_tile": length, "n_rows": rows}
    constants = {"tile": (codec.tile > 0).astype(np.int64), "bias": bias}
    types = {
        "result": _tensor_type(node.output.type),
        "tile": _constant_type(IntType(1, signed=False)),
        "bias": _tensor_type(_holding(bias)),
        # Outputs that share a sum add their biases behind it.
        "accum": _accumulator(decode(codec), np.zeros_like(bias), x),
    }
    return "BitwrightTiledDense", attributes, constants, types


def _codebook(codec: Codebook, bias: IntArray, node: Node, x: Interval) -> _Parts:
    inputs, outputs = codec.indices.shape
    groups, entries = codec.table.shape
    attributes = {"n_in": inputs, "n_out": outputs, "n_groups": groups, "n_entries": entries}
    constants = {"indices": codec.indices, "table": codec.table, "bias": bias}
    types = {
        "result": _tensor_type(node.output.type),
        "indices": _constant_type(IntType(codec.index_bits, signed=False)),
        "table": _tensor_type(_holding(codec.table)),
        "bias": _tensor_type(_holding(bias)),
        "accum": _accumulator(decode(codec), bias, x),
    }
    return "BitwrightCodebookDense", attributes, constants, types


def _threshold(op: Threshold, node: Node) -> _Parts:
    channels, levels = op.thresholds.shape
    attributes = {"n_in": node.output.size, "n_channels": channels, "n_levels": levels}
    constants = {"thresholds": op.thresholds, "base": op.base, "step": op.step}
    types = {
        "result": _tensor_type(node.output.type),
        **{name: _constant_type(_holding(array)) for name, array in constants.items()},
        "accum": _constant_type(IntType.holding(0, levels)),
    }
    return "BitwrightThreshold", attributes, constants, types


def _requantize(op: Requantize, node: Node, x: Interval) -> _Parts:
    # Not hls4ml's BatchNormalization, which could do it with a scale of multiplier * 2^-shift: the
    # constants would be long decimal fractions, and hls4ml removes a normalisation that multiplies
    # by one and adds zero, even where its result saturates. No pass knows BitwrightRequantize.
    if op.limits(node.output.type) == (0, 0):
        # One signed bit without its -1 is always zero, but AP_SAT_SYM would make it -1.
        op = replace(op, multiplier=np.zeros_like(op.multiplier), bias=np.zeros_like(op.bias))
    ends = [op.multiplier * bound + op.bias for bound in (x.low, x.high)]  # Python integers
    # Signed, and with a bit in front of the point once it is divided: AMD's C++ headers abort when
    # they round a number that has none.
    numerator = IntType.holding(min(int(np.min(ends)), -1), int(np.max(ends)))
    attributes = {"n_in": node.output.size, "n_channels": len(op.bias), "shift": op.shift}
    constants = {"multiplier": op.multiplier, "bias": op.bias}
    types = {
        "result": _rounding_type(node.output.type, op.rounding, op.narrow),
        **{name: _constant_type(_holding(array)) for name, array in constants.items()},
        "accum": _constant_type(IntType(max(numerator.width, op.shift + 1), signed=True)),
    }
    return "BitwrightRequantize", attributes, constants, types


def _lookup(op: Lookup, node: Node) -> _Parts:
    channels, entries = op.table.shape
    attributes = {
        "n_in": node.output.size,
        "n_channels": channels,
        "n_entries": entries,
        "offset": -op.lowest,
    }
    types = {
        "result": _tensor_type(node.output.type),
        "table": _constant_type(_holding(op.table)),
        "index": _constant_type(IntType(op.reads.width, signed=False)),
    }
    return "BitwrightLookup", attributes, {"table": op.table}, types


def _bit_planes(op: BitPlanes, node: Node) -> _Parts:
    planes = np.array(op.planes)
    attributes = {"n_in": node.output.size, "n_planes": len(planes)}
    types = {
        "result": _tensor_type(node.output.type),
        "planes": _constant_type(_holding(planes)),
    }
    return "BitwrightBitPlanes", attributes, {"planes": planes}, types


def _accumulator(weights: IntArray, bias: IntArray, x: Interval) -> str:
    """The type that holds every partial sum, in whatever order a tool adds."""
    return _tensor_type(IntType.holding(*partial_sums(weights, bias, x).bounds))


def _holding(array: IntArray) -> IntType:
    return IntType.holding(int(array.min()), int(array.max()))


def _constant_type(kind: IntType) -> str:
    return f"{'' if kind.signed else 'u'}int<{kind.width}>"


def _tensor_type(kind: IntType) -> str:
    return _fixed(kind, "TRN", "WRAP")  # values fit, nothing is ever rounded or cut


def _rounding_type(kind: IntType, rounding: Rounding, narrow: bool) -> str:
    """The type that rounds and saturates what is assigned to it (Vitis HLS UG1399, ap_fixed)."""
    mode: dict[Rounding, str] = {"half_even": "RND_CONV", "half_up": "RND", "floor": "TRN"}
    return _fixed(kind, mode[rounding], "SAT_SYM" if narrow and kind.signed else "SAT")


def _fixed(kind: IntType, rounding: str, saturation: str) -> str:
    sign = "" if kind.signed else "u"
    return f"{sign}fixed<{kind.width},{kind.width},{rounding},{saturation},0>"
