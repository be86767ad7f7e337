"""Each operation of the integer graph as an hls4ml layer, with the exact type of everything in it.

Nothing is left for hls4ml to infer: tensors have the graph's types, constants the types that hold
them, accumulators the range that interval arithmetic proves for every partial sum.
"""

from dataclasses import dataclass, replace
from typing import Any, assert_never

import numpy as np

from bitwright.models.errors import GraphError, UnsupportedError
from bitwright.models.graph import (
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Node,
    Requantize,
    Threshold,
    Value,
    decode,
    partial_sums,
    weight_width,
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
    """By part: `result`, each constant by its name, `accum`; in hls4ml's spelling."""


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
    (source,) = graph.sources(node)
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
    weights = decode(op.weights)
    sums = partial_sums(weights, op.bias, x)
    attributes: dict[str, Any] = {"n_in": weights.shape[0], "n_out": weights.shape[1]}
    # Reals (fixed<w,w>) on purpose: hls4ml reads a 2-bit integer weight as ternary (so -2 as +1),
    # and a 1-bit integer as -1 or +1.
    weight = _tensor_type(IntType(weight_width(op.weights), signed=True))
    if weight_width(op.weights) == 1:
        from hls4ml.model.quantizers import BinaryQuantizer

        attributes["weight_quantizer"] = BinaryQuantizer(bits=1)
        weight = BINARY
    types = {
        "result": _tensor_type(node.output.type),
        "weight": weight,
        "bias": _tensor_type(_holding(op.bias)),
        "accum": _tensor_type(IntType.holding(*sums.bounds)),
    }
    return "Dense", attributes, {"weight": weights, "bias": op.bias}, types


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
