"""Weights that can be loaded at run time: which types hold whatever is loaded."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from bitwright.models.errors import GraphError
from bitwright.models.graph.codecs import Plain
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import Conv2d, Dense, Node
from bitwright.models.graph.ranges import Interval, output_interval
from bitwright.models.graph.shapes import output_shape
from bitwright.models.graph.types import IntType, Value


def with_any_weights(graph: Graph, nodes: Collection[str]) -> Graph:
    """The graph with the intervals that hold whatever is loaded, for who makes hardware of it.

    A loaded product can make all that its type holds.

    Raises:
        GraphError: a node that cannot be loaded, or a type that is too narrow for what may be
            loaded, with the type that is needed.
    """
    if not nodes:
        return graph
    made = copy.copy(graph)
    intervals = {value.name: Interval.of_type(value) for value in graph.inputs}
    for node in graph.nodes:
        needed = _needed(graph.values, intervals, node, node.name in nodes)
        kind = node.output.type
        if needed.min < kind.min or needed.max > kind.max:
            raise GraphError(
                f"node {node.name} ({node.kind}) has the output type {kind}, too narrow for all "
                f"weights that can be loaded: it needs {needed}, which widen_for_loading gives it"
            )
        intervals[node.name] = _interval(intervals, node, node.name in nodes)
    object.__setattr__(made, "intervals", intervals)
    return made


def widen_for_loading(graph: Graph, nodes: Collection[str]) -> Graph:
    """Give nodes whose weights shall be loadable, and those behind them, types for any weights.

    Before: fc1: s9, whose own weights make -200..180 of its inputs
    After:  fc1: s14, because other weights of as many bits could make -3600..3600
    A bias may be as large as the weights' sum. The types depend on the shapes, the weights' widths
    and the other constants alone: graphs that differ in loadable weights only get the same types.

    Raises GraphError where a node cannot be loaded, or one behind cannot read the wider type.
    """
    if unknown := sorted(set(nodes) - {node.name for node in graph.nodes}):
        raise GraphError(f"graph {graph.name} has no node {unknown[0]}, which shall be loadable")
    values = {value.name: value for value in graph.inputs}
    intervals = {value.name: Interval.of_type(value) for value in graph.inputs}
    made: list[Node] = []
    for node in graph.nodes:
        loaded = node.name in nodes
        output_shape(node, [values[name] for name in node.inputs])  # or it cannot read them
        needed = _needed(values, intervals, node, loaded)
        kind = node.output.type
        # A loaded node gets just that type, so that another graph gets the same.
        if loaded or needed.min < kind.min or needed.max > kind.max:
            node = replace(node, output=replace(node.output, type=needed))
        made.append(node)
        values[node.name] = node.output
        intervals[node.name] = _interval(intervals, node, loaded)
    return replace(graph, nodes=tuple(made))


def _interval(intervals: Mapping[str, Interval], node: Node, loaded: bool) -> Interval:
    if loaded:
        return Interval.of_type(node.output)
    return output_interval(node, [intervals[name] for name in node.inputs])


def _needed(
    values: Mapping[str, Value], intervals: Mapping[str, Interval], node: Node, loaded: bool
) -> IntType:
    """The least type of a node's output."""
    if not loaded:
        made = output_interval(node, [intervals[name] for name in node.inputs])
        return IntType.holding(*made.bounds)
    op = node.op
    if not isinstance(op, Dense | Conv2d):
        raise GraphError(
            f"node {node.name} ({node.kind}) has no weights that could be loaded: only dense and "
            "conv2d do"
        )
    if not isinstance(op.weights, Plain):
        raise GraphError(
            f"node {node.name} has {type(op.weights).__name__.lower()} weights, whose hardware "
            "follows from what they share: loadable weights are plain"
        )
    low, high = _sums(op.weights, values[node.inputs[0]].type)
    bias, most = int(np.abs(op.bias).max()), bias_limit(op, values[node.inputs[0]].type)
    if bias > most:
        raise GraphError(
            f"node {node.name} has a bias of {bias}, but a loadable one has at most "
            f"{most}, as much as its weights can add up to: give it more bits"
        )
    return IntType.holding(2 * low, 2 * high)


def bias_limit(op: Dense | Conv2d, x: IntType) -> int:
    """The largest magnitude of a bias that can be loaded, for inputs of type `x`."""
    assert isinstance(op.weights, Plain)
    low, high = _sums(op.weights, x)
    return min(-low, high)


def _sums(weights: Plain, x: IntType) -> tuple[int, int]:
    """The least and largest sum of an output's products, whatever the weights."""
    kind = IntType(weights.width, True)
    legal = (-1, 1) if weights.width == 1 else (kind.min, kind.max)
    products = [a * b for a in (x.min, x.max) for b in legal]
    terms = len(weights.values)  # of one output
    return terms * min(*products, 0), terms * max(*products, 0)
