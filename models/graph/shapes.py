"""The shape that an operation makes, and what it demands of the tensors that it reads."""

import math

from typing_extensions import assert_never

from bitwright.models.errors import GraphError
from bitwright.models.graph.codecs import decode
from bitwright.models.graph.ops import (
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
    Window,
)
from bitwright.models.graph.types import Value


def output_shape(node: Node, sources: list[Value]) -> tuple[int, ...]:
    """The shape of the node's output. `node.output` is read by `Reshape` alone.

    Raises GraphError for a number, shape or type of inputs that the operation cannot take.
    """
    op = node.op
    _check_count(node, sources)
    first = sources[0]
    match op:
        case Dense():
            inputs, outputs = decode(op.weights).shape
            _check_channels(node, first, inputs)
            return (*first.shape[:-1], outputs)
        case Conv2d():
            _check_channels(node, first, op.channels)
            return (*_windowed(node, op.window, first), len(op.bias))
        case Threshold():
            _check_channels(node, first, len(op.thresholds))
            return first.shape
        case Requantize():
            _check_channels(node, first, len(op.multiplier))
            return first.shape
        case Lookup():
            if len(op.table) > 1:
                _check_channels(node, first, len(op.table))
            if first.type != op.reads:
                raise GraphError(
                    f"node {node.name} looks {op.reads} up but reads {first}: give its table "
                    f"{1 << first.type.width} entries from {first.type.min} on"
                )
            return first.shape
        case BitPlanes():
            if first.type.signed or op.planes[-1] >= first.type.width:
                raise GraphError(
                    f"node {node.name} takes the bits {op.planes} of {first}: it must be unsigned "
                    "and have them all"
                )
            return first.shape
        case MaxPool() | SumPool():
            return (*_windowed(node, op.window, first), first.channels)
        case Add():
            if len({source.shape for source in sources}) > 1:
                raise _misfit(node, sources, "all inputs need one shape")
            return first.shape
        case Concat():
            if len({source.shape[:-1] for source in sources}) > 1:
                raise _misfit(node, sources, "all axes but the last must agree")
            return (*first.shape[:-1], sum(source.channels for source in sources))
        case Reshape():
            if math.prod(node.output.shape) != first.size:
                raise _misfit(
                    node, sources, f"{first.size} elements do not fill {node.output.shape}"
                )
            return node.output.shape
        case ArgMax():
            return (*first.shape[:-1], 1)
        case _:
            assert_never(op)


def _check_count(node: Node, sources: list[Value]) -> None:
    match node.op:
        case Add():
            right, needs = len(sources) == len(node.op.multipliers), str(len(node.op.multipliers))
        case Concat():
            right, needs = len(sources) >= 2, "two or more"
        case _:
            right, needs = len(sources) == 1, "one"
    if not right:
        raise GraphError(
            f"node {node.name} ({node.kind}) reads {len(sources)} tensors, not {needs}"
        )


def _check_channels(node: Node, source: Value, needed: int) -> None:
    if source.channels != needed:
        raise GraphError(
            f"node {node.name} is made for {needed} channels but reads a tensor of shape "
            f"{source.shape}"
        )


def _windowed(node: Node, window: Window, source: Value) -> tuple[int, int]:
    if len(source.shape) != 3:
        raise _misfit(node, [source], "it needs an image (rows, columns, channels)")
    try:
        return window.output(*source.shape[:2])
    except GraphError as error:
        raise GraphError(f"node {node.name} ({node.kind}): {error}") from None


def _misfit(node: Node, sources: list[Value], why: str) -> GraphError:
    read = ", ".join(map(str, sources))
    return GraphError(f"node {node.name} ({node.kind}) reads {read}: {why}")
