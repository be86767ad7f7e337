"""Random networks and plans: every operation, codec, width and engine, alike for equal seeds.

`network(seed, number)` makes one. It grows from the input, an operation at a time, behind a tensor
that is chosen at random; what is not legal is thrown again. Constants are uniform, or all of them
at one end, or a few that matter: mistakes live at the ends.
"""

import math
from collections.abc import Sequence

import numpy as np

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    ArgMax,
    Builder,
    Conv2d,
    Dense,
    Graph,
    IntType,
    MaxPool,
    Node,
    Op,
    Port,
    Requantize,
    SumPool,
    Threshold,
    Value,
    decode,
)
from bitwright.models.graph.plan import is_wiring
from trust.operations import Dice, int_type, ways
from trust.plans import Network, planned

_MOST_ELEMENTS = 96  # of a tensor
_WIDEST = 40  # bits of a tensor behind which something narrower must follow
_TRIES = 400


def network(seed: int, number: int) -> Network:
    """The network of a number, called n<number>."""
    dice = np.random.default_rng([seed, number])
    for _ in range(_TRIES):
        graph = _graph(dice, f"n{number}")
        if graph is not None:
            return planned(dice, graph)
    raise AssertionError(f"no network {number} of seed {seed} in {_TRIES} tries")


def _graph(dice: Dice, name: str) -> Graph | None:
    builder = Builder(name)
    values = [builder.input("x", _shape(dice), int_type(dice))]
    for i in range(int(dice.integers(1, 9))):
        for _ in range(12):
            made = _grow(dice, builder, values, i)
            if made is not None:
                values.append(made)
                break
    if dice.random() < 0.15:
        _try(builder, f"argmax{len(values)}", ArgMax(), values[-1:], values)
    return _reached(builder, values[-1])


def _shape(dice: Dice) -> tuple[int, ...]:
    kind = dice.random()
    if kind < 0.45:
        return (int(dice.integers(1, 13)),)
    if kind < 0.52:
        return (int(dice.integers(1, 5)), int(dice.integers(1, 7)))
    rows, columns = (int(n) for n in dice.integers(1, 7, 2))
    return rows, columns, int(dice.integers(1, 6))


def _grow(dice: Dice, builder: Builder, values: list[Value], i: int) -> Value | None:
    """One more tensor, or None where the dice made something illegal."""
    x = values[-1] if dice.random() < 0.75 else values[dice.integers(len(values))]
    makers = ways(dice, builder, x, values)
    if x.type.width > _WIDEST:
        makers = makers[2:4]
    weights = np.array([weight for weight, _ in makers])
    chosen = makers[dice.choice(len(makers), p=weights / weights.sum())][1]
    try:
        made = chosen()
    except GraphError:
        return None
    if made is None:
        return None
    op, sources, kind, shape = made
    name = f"{type(op).__name__.lower()}{i}"
    return _try(builder, name, op, sources, values, kind, shape, bool(dice.random() < 0.15))


def _try(
    builder: Builder,
    name: str,
    op: Op,
    sources: Sequence[Value],
    values: list[Value],
    kind: IntType | None = None,
    shape: tuple[int, ...] | None = None,
    wider: bool = False,
) -> Value | None:
    try:
        value = builder.add(name, op, *sources, kind=kind, shape=shape)
    except GraphError:
        return None
    if value.size > _MOST_ELEMENTS or value.type.width > 62:
        _forget(builder, value)
        return None
    if wider and not isinstance(op, Requantize):  # a type with room above what can occur
        kept = value.type
        _forget(builder, value)
        kind = IntType(kept.width + (1 if kept.signed else 2), True)
        value = builder.add(name, op, *sources, kind=kind, shape=shape)
    return value


def _forget(builder: Builder, value: Value) -> None:
    builder.nodes.pop()
    del builder._values[value.name], builder._intervals[value.name]


def _reached(builder: Builder, output: Value) -> Graph | None:
    """The graph of what leads to the output, if there is any hardware in it."""
    needed, nodes = {output.name}, list[Node]()
    for node in reversed(builder.nodes):
        if node.name in needed:
            nodes.insert(0, node)
            needed |= set(node.inputs)
    if all(is_wiring(node) for node in nodes):
        return None
    ports = {name: Port(1.0) for name in ("x", output.name)}
    return Graph(builder.name, tuple(builder.inputs), tuple(nodes), (output.name,), ports)


def work(graph: Graph) -> int:
    """Products and other elementary steps of one vector, about."""
    total = 0
    for node in graph.nodes:
        each = 1
        match node.op:
            case Dense() | Conv2d():
                each = len(decode(node.op.weights))
            case Threshold():
                each = node.op.thresholds.shape[1]
            case MaxPool() | SumPool():
                each = node.op.window.taps
            case _:
                pass
        total += each * node.output.size
    return total + math.prod(graph.input.shape)
