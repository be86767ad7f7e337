"""Each operation of the integer graph as hls4ml layers, with the exact type of everything in them.

Nothing is left for hls4ml to infer: tensors have the graph's types, constants the types that hold
them, accumulators the range that interval arithmetic proves for every partial sum.
"""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from typing_extensions import assert_never

from bitwright.hls import images, products
from bitwright.hls.layer import Layer, constant_type, holding, rounding_type, tensor_type
from bitwright.models.errors import GraphError, UnsupportedError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Graph,
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
)

IoType = Literal["io_parallel", "io_stream"]
"""hls4ml's interfaces: a tensor is an array, or a stream with the channels of one pixel a time."""

IO_TYPES: tuple[IoType, ...] = get_args(IoType)

_MOST_COPIES = 7  # of one stream, in hls4ml
_LARGEST_ARRAY = 4096  # elements that hls4ml lets AMD's tools split into registers (MaximumSize)


def usual_io(graph: Graph) -> IoType:
    """Streams where a tensor of an image has more elements than an array in registers can have.

    Arrays else, and where streams cannot carry the graph.
    """
    sizes = (value.size for value in graph.values.values() if len(value.shape) > 1)
    if max(sizes, default=0) <= _LARGEST_ARRAY:
        return "io_parallel"
    try:
        _check_streams(graph)
    except UnsupportedError:
        return "io_parallel"
    return "io_stream"


def layers(graph: Graph, io: IoType = "io_parallel") -> list[Layer]:
    """The graph as hls4ml layers, in execution order, the input first.

    Raises:
        UnsupportedError: an operation on a tensor of a shape, or with constants, that hls4ml
            cannot take.
    """
    if not graph.nodes:
        raise UnsupportedError(f"graph {graph.name} has no operation: there is nothing to write")
    source, stream = graph.input, io == "io_stream"
    if stream:
        _check_streams(graph)
    argument = argument_name(graph)
    first = Layer(
        name=argument,
        kind="Input",
        inputs=(),
        attributes={"input_shape": list(source.shape)},
        constants={},
        types={"result": tensor_type(source.type)},
    )
    made = [first]
    for node in graph.nodes:
        for layer in _layers(graph, node, stream=stream):
            renamed = tuple(argument if name == source.name else name for name in layer.inputs)
            made.append(replace(layer, inputs=renamed))
    return made


def argument_name(graph: Graph) -> str:
    """The C++ argument that carries the input.

    Not simply the input's name, which could be that of one of hls4ml's own variables (`w2`).
    """
    return images.free_name(graph, f"{graph.input.name}_in")


def _check_streams(graph: Graph) -> None:
    """A stream has to be read, and hls4ml copies it only so often."""
    for name in graph.values:
        uses = sum(node.inputs.count(name) for node in graph.nodes) + graph.outputs.count(name)
        if uses == 0:
            raise UnsupportedError(
                f"nothing reads tensor {name}, and a stream that nobody reads fills up and stops "
                "the network: take it out of the graph, or use io_parallel"
            )
        if uses > _MOST_COPIES:
            raise UnsupportedError(
                f"tensor {name} is read {uses} times, and hls4ml copies a stream at most "
                f"{_MOST_COPIES} times: use io_parallel"
            )


def _layers(graph: Graph, node: Node, *, stream: bool) -> list[Layer]:
    source = graph.values[node.inputs[0]]
    interval = graph.intervals[source.name]
    op = node.op
    try:
        match op:
            case Dense():
                return [products.dense(op, node, source, interval)]
            case Conv2d():
                return [products.conv(op, node, source, interval, stream=stream)]
            case Threshold():
                return [_threshold(op, node, source)]
            case Requantize():
                return [_requantize(op, node, interval)]
            case Lookup():
                return [_lookup(op, node)]
            case BitPlanes():
                return [_bit_planes(op, node)]
            case MaxPool():
                return [images.max_pool(op, node, source, stream=stream)]
            case SumPool():
                return [images.sum_pool(op, node, source)]
            case Add():
                return images.add(op, node, graph)
            case Concat():
                return images.concat(node, graph)
            case Reshape():
                return [images.reshape(node, source, graph, stream=stream)]
            case ArgMax():
                return [images.argmax(node, source)]
            case _:
                assert_never(op)
    except GraphError as error:
        raise UnsupportedError(f"node {node.name} ({node.kind}) in HLS: {error}") from None


def _threshold(op: Threshold, node: Node, source: Value) -> Layer:
    channels, levels = op.thresholds.shape
    attributes = {"n_in": node.output.size, "n_channels": channels, "n_levels": levels}
    # Beyond the source's type all thresholds are alike. They have its sign: AMD's C++ headers
    # compare a signed number with an unsigned one of 32 bits or more as if both were unsigned.
    kind = source.type
    thresholds = np.clip(op.thresholds, kind.min, kind.max + 1)
    constants = {"thresholds": thresholds, "base": op.base, "step": op.step}
    types = {
        "result": tensor_type(node.output.type),
        **{name: constant_type(holding(array)) for name, array in constants.items()},
        "thresholds": constant_type(
            IntType.holding(min(int(thresholds.min()), -kind.signed), int(thresholds.max()))
        ),
        "accum": constant_type(IntType.holding(0, levels)),
    }
    return Layer(node.name, "BitwrightThreshold", node.inputs, attributes, constants, types)


def _requantize(op: Requantize, node: Node, x: Interval) -> Layer:
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
        "result": rounding_type(node.output.type, op.rounding, op.narrow),
        **{name: constant_type(holding(array)) for name, array in constants.items()},
        "accum": constant_type(IntType(max(numerator.width, op.shift + 1), signed=True)),
    }
    return Layer(node.name, "BitwrightRequantize", node.inputs, attributes, constants, types)


def _lookup(op: Lookup, node: Node) -> Layer:
    channels, entries = op.table.shape
    attributes = {
        "n_in": node.output.size,
        "n_channels": channels,
        "n_entries": entries,
        "offset": -op.lowest,
    }
    types = {
        "result": tensor_type(node.output.type),
        "table": constant_type(holding(op.table)),
        "index": constant_type(IntType(op.reads.width, signed=False)),
    }
    return Layer(node.name, "BitwrightLookup", node.inputs, attributes, {"table": op.table}, types)


def _bit_planes(op: BitPlanes, node: Node) -> Layer:
    planes = np.array(op.planes)
    attributes = {"n_in": node.output.size, "n_planes": len(planes)}
    types = {
        "result": tensor_type(node.output.type),
        "planes": constant_type(holding(planes)),
    }
    return Layer(
        node.name, "BitwrightBitPlanes", node.inputs, attributes, {"planes": planes}, types
    )
