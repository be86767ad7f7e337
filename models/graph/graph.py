"""The graph itself: checked on construction, so that everything after may rely on it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bitwright.models.errors import GraphError
from bitwright.models.graph.ops import ArgMax, Node
from bitwright.models.graph.ranges import Interval, output_interval
from bitwright.models.graph.shapes import output_shape
from bitwright.models.graph.types import IntType, Port, Value, check_name


@dataclass(frozen=True, eq=False)
class Graph:
    """Integer tensors in, integer tensors out, and the nodes between them in execution order.

    Raises (on construction):
        GraphError: names that repeat or cannot be identifiers, an edge from nowhere or from later,
            shapes that do not fit the operation, a type too narrow for what can reach it, or an
            input or output without a port.
    """

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    ports: Mapping[str, Port]
    """What the integers of every input and output mean; see `Port`."""
    labels: tuple[str, ...] = ()
    """Names of the classes, in the order of the output's channels; empty when there are none."""
    values: Mapping[str, Value] = field(init=False, repr=False)
    """Every tensor by name."""
    intervals: Mapping[str, Interval] = field(init=False, repr=False)
    """For every tensor the smallest and largest integer that can reach each channel."""

    def __post_init__(self) -> None:
        check_name(self.name, "a graph")
        values: dict[str, Value] = {}
        intervals: dict[str, Interval] = {}
        for value in self.inputs:
            _add(values, value)
            intervals[value.name] = Interval.of_type(value)
        for node in self.nodes:
            sources = []
            for name in node.inputs:
                if name not in values:
                    raise GraphError(
                        f"node {node.name} reads {name!r}, which no earlier node makes: list the "
                        "nodes in execution order"
                    )
                sources.append(values[name])
            _add(values, node.output)
            _check_shapes(node, sources)
            interval = output_interval(node, [intervals[name] for name in node.inputs])
            _check_range(node, interval)
            intervals[node.name] = interval
        if not self.inputs or not self.outputs:
            raise GraphError(f"graph {self.name} needs at least one input and one output")
        for name in self.outputs:
            if name not in values:
                raise GraphError(f"output {name!r} of graph {self.name} is not one of its tensors")
        given = {v.name for v in self.inputs}
        ends = given | set(self.outputs)
        if set(self.ports) != ends:
            raise GraphError(
                f"graph {self.name} has ports for {sorted(self.ports)} but its inputs and outputs "
                f"are {sorted(ends)}: give each of them one"
            )
        for name, port in self.ports.items():
            if not (np.isfinite(port.scale) and port.scale > 0 and np.isfinite(port.offset)):
                raise GraphError(f"the port of {name} has {port}: its scale must be above 0")
            if port.binary and (values[name].type != IntType(1, signed=False) or name not in given):
                raise GraphError(
                    f"the port of {name} is binary, and {values[name]} is not an input of type u1: "
                    "give it one that is not"
                )
        classes = values[self.outputs[0]].channels
        for node in self.nodes:
            if node.name == self.outputs[0] and isinstance(node.op, ArgMax):
                classes = values[node.inputs[0]].channels
        if self.labels and len(self.labels) != classes:
            raise GraphError(
                f"graph {self.name} has {len(self.labels)} labels for {classes} classes"
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "intervals", intervals)

    @property
    def input(self) -> Value:
        """The only input. Raises GraphError where there are several."""
        if len(self.inputs) != 1:
            raise GraphError(f"graph {self.name} has {len(self.inputs)} inputs, not one")
        return self.inputs[0]

    @property
    def output(self) -> Value:
        """The only output. Raises GraphError where there are several."""
        if len(self.outputs) != 1:
            raise GraphError(f"graph {self.name} has {len(self.outputs)} outputs, not one")
        return self.values[self.outputs[0]]

    def sources(self, node: Node) -> Iterator[Value]:
        """The tensors that a node reads."""
        return (self.values[name] for name in node.inputs)

    def readers(self, name: str) -> list[Node]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if name in node.inputs]

    def __str__(self) -> str:
        lines = [f"graph {self.name}({', '.join(map(str, self.inputs))})"]
        lines += [f"  {n.output} = {n.kind}({', '.join(n.inputs)})" for n in self.nodes]
        return "\n".join([*lines, f"  return {', '.join(self.outputs)}"])


def _add(values: dict[str, Value], value: Value) -> None:
    # Case-insensitive: two names that differ in case only would be one file on some systems.
    if value.name.lower() in {name.lower() for name in values}:
        raise GraphError(f"two tensors are named {value.name!r} (case ignored): rename one")
    values[value.name] = value


def _check_shapes(node: Node, sources: list[Value]) -> None:
    shape = output_shape(node, sources)
    if node.output.shape != shape:
        read = ", ".join(map(str, sources))
        raise GraphError(
            f"node {node.name} ({node.kind}) makes shape {shape} from {read}, but its output is "
            f"declared as {node.output.shape}"
        )


def _check_range(node: Node, interval: Interval) -> None:
    low, high = interval.bounds
    kind: IntType = node.output.type
    if low < kind.min or high > kind.max:
        raise GraphError(
            f"node {node.name} ({node.kind}) can make {low}..{high}, which its output type {kind} "
            f"({kind.min}..{kind.max}) cannot hold: use {IntType.holding(low, high)}"
        )
