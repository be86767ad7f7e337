"""Building a graph one operation after another, each tensor as narrow as what can reach it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bitwright.models.errors import GraphError
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import Node, Op
from bitwright.models.graph.ranges import Interval, output_interval
from bitwright.models.graph.shapes import output_shape
from bitwright.models.graph.types import IntType, Port, Value


class Builder:
    """A graph in the making.

    b = Builder("net")
    x = b.input("x", (8,), IntType(4, signed=True))
    y = b.add("fc", Dense(weights, bias), x)
    graph = b.graph(y)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self._values: dict[str, Value] = {}
        self._intervals: dict[str, Interval] = {}

    def input(self, name: str, shape: tuple[int, ...], kind: IntType) -> Value:
        """A tensor that comes from outside."""
        value = Value(name, shape, kind)
        self.inputs.append(value)
        self._keep(value, Interval.of_type(value))
        return value

    def add(
        self,
        name: str,
        op: Op,
        *sources: Value,
        kind: IntType | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Value:
        """Append an operation and return its output.

        kind: the output's type where the operation saturates to it; the narrowest that holds what
        can occur otherwise. shape: what a `Reshape` makes.
        Raises GraphError as `Graph` does, and for a type that a `Requantize` is not given.
        """
        node = Node(
            op,
            tuple(source.name for source in sources),
            Value(name, shape or (1,), kind or IntType(64, signed=True)),
        )
        made = replace(node.output, shape=output_shape(node, list(sources)))
        node = replace(node, output=made)
        reach = output_interval(node, [self._intervals[source.name] for source in sources])
        if kind is None:
            made = replace(made, type=IntType.holding(*reach.bounds))
        self.nodes.append(replace(node, output=made))
        self._keep(made, reach)
        return made

    def interval(self, value: Value) -> Interval:
        """What can reach each channel of a tensor."""
        return self._intervals[value.name]

    def graph(
        self,
        *outputs: Value,
        ports: Mapping[str, Port] | None = None,
        labels: Sequence[str] = (),
    ) -> Graph:
        """The finished graph. ports: of inputs and outputs; a scale of 1 where none is given."""
        names = [value.name for value in (*self.inputs, *outputs)]
        return Graph(
            self.name,
            tuple(self.inputs),
            tuple(self.nodes),
            tuple(value.name for value in outputs),
            {name: (ports or {}).get(name, Port(1.0)) for name in names},
            tuple(labels),
        )

    def _keep(self, value: Value, interval: Interval) -> None:
        if value.name in self._values:
            raise GraphError(f"two tensors are named {value.name!r}: rename one")
        self._values[value.name] = value
        self._intervals[value.name] = interval
