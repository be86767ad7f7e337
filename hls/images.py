"""Layers that look at images or join tensors: pools, additions, concatenations, reshapes."""

import numpy as np

from bitwright.hls.layer import Layer, constant_type, holding, tensor_type
from bitwright.hls.products import window_sizes
from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Add,
    Dense,
    Graph,
    Interval,
    IntType,
    MaxPool,
    Node,
    SumPool,
    Value,
)


def max_pool(op: MaxPool, node: Node, source: Value, *, stream: bool) -> Layer:
    """As hls4ml's pool where that is exact, and as our own elsewhere.

    hls4ml's padding is the largest number of an unsigned type instead of the smallest, and its
    streamed pool aborts on windows that are padded, overlap or leave gaps.
    """
    if op.window.pads or (stream and op.window.stride != op.window.kernel):
        return _own_pool("BitwrightMaxPool", op, node, source)
    attributes = {
        **window_sizes(op.window, source.shape, node.output.shape),
        "n_filt": source.channels,
        "pool_height": op.window.kernel[0],
        "pool_width": op.window.kernel[1],
        "data_format": "channels_last",
    }
    types = {"result": tensor_type(node.output.type), "accum": tensor_type(source.type)}
    return Layer(node.name, "MaxPooling2D", node.inputs, attributes, {}, types)


def sum_pool(op: SumPool, node: Node, source: Value) -> Layer:
    """hls4ml has averages only, and they are rounded."""
    return _own_pool("BitwrightSumPool", op, node, source)


def _own_pool(kind: str, op: MaxPool | SumPool, node: Node, source: Value) -> Layer:
    attributes = {
        **window_sizes(op.window, source.shape, node.output.shape),
        "n_chan": source.channels,
        "filt_height": op.window.kernel[0],
        "filt_width": op.window.kernel[1],
        "shape": list(node.output.shape),
    }
    types = {"result": tensor_type(node.output.type)}
    return Layer(node.name, kind, node.inputs, attributes, {}, types)


def add(op: Add, node: Node, graph: Graph) -> list[Layer]:
    """Two at a time, from left to right: hls4ml's addition, or our own with multipliers."""
    made, total, factor = [], node.inputs[0], op.multipliers[0]
    reach = _scaled(factor, graph.intervals[total])
    for i, (name, following) in enumerate(
        zip(node.inputs[1:], op.multipliers[1:], strict=True), start=1
    ):
        more = _scaled(following, graph.intervals[name])
        reach = Interval(reach.low + more.low, reach.high + more.high)
        last = i == len(node.inputs) - 1
        kind = node.output.type if last else IntType.holding(*reach.bounds)
        partial = node.name if last else free_name(graph, f"{node.name}_{i}")
        types = {"result": tensor_type(kind)}
        inputs = (total, name)
        if factor == following == 1:
            made.append(Layer(partial, "Merge", inputs, {"op": "add"}, {}, types))
        else:
            factors = np.array([factor, following])
            types["factors"] = constant_type(holding(factors))
            sizes = {"n_in": node.output.size}
            constants = {"factors": factors}
            made.append(Layer(partial, "BitwrightScaledAdd", inputs, sizes, constants, types))
        total, factor = partial, 1
    return made


def concat(node: Node, graph: Graph) -> list[Layer]:
    """hls4ml's concatenation, two at a time, from left to right."""
    axes = len(node.output.shape)
    if axes > 3:
        raise UnsupportedError(
            f"node {node.name} concatenates tensors of {axes} axes, and hls4ml takes at most 3: "
            "reshape them first"
        )
    made, total = [], node.inputs[0]
    values = [graph.values[name] for name in node.inputs]
    for i, name in enumerate(node.inputs[1:], start=1):
        last = i == len(node.inputs) - 1
        partial = node.name if last else free_name(graph, f"{node.name}_{i}")
        low = min(value.type.min for value in values[: i + 1])
        high = max(value.type.max for value in values[: i + 1])
        kind = node.output.type if last else IntType.holding(low, high)
        attributes = {"axis": axes, "op": f"concatenate{axes}d"}
        types = {"result": tensor_type(kind)}
        made.append(Layer(partial, "Concatenate", (total, name), attributes, {}, types))
        total = partial
    return made


def reshape(node: Node, source: Value, graph: Graph, *, stream: bool) -> Layer:
    """A stream that only becomes a vector for a dense layer stays as it is; others are packed anew.

    hls4ml's Reshape packs wrongly where neither number of channels divides the other, and vanishes
    where nothing follows it.
    """
    types = {"result": tensor_type(node.output.type)}
    shape = list(node.output.shape)
    readers = graph.readers(node.name)
    read_once = [type(reader.op) for reader in readers] == [Dense]
    if (
        stream
        and len(shape) == 1
        and read_once
        and node.name not in graph.outputs
        and node.output.type == source.type
    ):
        attributes = {"target_shape": shape}
        return Layer(node.name, "BitwrightFlatten", node.inputs, attributes, {}, types)
    sizes = {"n_in": source.size, "shape": shape}
    return Layer(node.name, "BitwrightReshape", node.inputs, sizes, {}, types)


def argmax(node: Node, source: Value) -> Layer:
    """hls4ml has none."""
    sizes = {"n_in": source.size, "n_channels": source.channels, "shape": list(node.output.shape)}
    types = {
        "result": tensor_type(node.output.type),
        "index": constant_type(IntType.holding(0, source.channels - 1)),
    }
    return Layer(node.name, "BitwrightArgmax", node.inputs, sizes, {}, types)


def free_name(graph: Graph, wanted: str) -> str:
    """A name that no tensor has, the wanted one if possible."""
    while wanted.lower() in {tensor.lower() for tensor in graph.values}:
        wanted += "_in"
    return wanted


def _scaled(factor: int, x: Interval) -> Interval:
    ends = factor * x.low, factor * x.high
    return Interval(np.minimum(*ends), np.maximum(*ends))
