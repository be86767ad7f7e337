"""Random networks and plans: every operation, codec, width and engine, alike for equal seeds.

`network(seed, number)` makes one. It grows from the input, an operation at a time, behind a tensor
that is chosen at random; what is not legal is thrown again. Constants are uniform, or all of them
at one end, or a few that matter: mistakes live at the ends.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitwright.hls import IoType
from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Builder,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntArray,
    IntType,
    Lookup,
    MaxPool,
    Node,
    Op,
    Plain,
    Plan,
    Port,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Tiled,
    Unrolled,
    Value,
    Window,
    decode,
    widen_for_loading,
)
from bitwright.models.graph.codecs import distinct_outputs
from bitwright.models.graph.ops import ROUNDINGS
from bitwright.models.graph.plan import MEMORIES, is_depthwise, is_wiring
from bitwright.models.graph.products import products
from bitwright.models.graph.streams import Lines
from bitwright.rtl_tb import Form

Dice = np.random.Generator

_MOST_ELEMENTS = 96  # of a tensor
_MOST_PRODUCTS = 3_000  # of a layer
_MOST_UNROLLED = 150  # weights of a layer, for the adder-graph solver's time
_WIDEST = 40  # bits of a tensor behind which something narrower must follow
_TRIES = 400


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A graph, its plan, how it is emitted, and what may be loaded into it later."""

    graph: Graph
    plan: Plan
    form: Form = "adder_graph"
    io: IoType = "io_parallel"
    """hls4ml's interface."""
    loaded: Graph | None = None
    """The same graph with other loadable weights; None where nothing is loadable."""


def network(seed: int, number: int) -> Network:
    """The network of a number, called n<number>."""
    dice = np.random.default_rng([seed, number])
    for _ in range(_TRIES):
        graph = _graph(dice, f"n{number}")
        if graph is not None:
            return _planned(dice, graph)
    raise AssertionError(f"no network {number} of seed {seed} in {_TRIES} tries")


def _graph(dice: Dice, name: str) -> Graph | None:
    builder = Builder(name)
    values = [builder.input("x", _shape(dice), _type(dice))]
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


def _type(dice: Dice) -> IntType:
    width = int(dice.choice([1, 2, 3, 4, 5, 6, 7, 8, 12, 16], p=[0.1] * 10))
    return IntType(width, bool(dice.random() < 0.5))


Made = tuple[Op, Sequence[Value], IntType | None, tuple[int, ...] | None]
"""An operation, what it reads, and the type and shape of its output where they are to be chosen."""


def _grow(dice: Dice, builder: Builder, values: list[Value], i: int) -> Value | None:
    """One more tensor, or None where the dice made something illegal."""
    x = values[-1] if dice.random() < 0.75 else values[dice.integers(len(values))]
    image = len(x.shape) == 3
    makers: list[tuple[float, Callable[[], Made | None]]] = [
        (3.0, lambda: _dense(dice, x)),
        (4.0 if image else 0.0, lambda: _conv(dice, x)),
        (2.0, lambda: _threshold(dice, builder, x)),
        (2.0, lambda: _requantize(dice, builder, x)),
        (1.5 if x.type.width <= 8 else 0.0, lambda: _lookup(dice, x)),
        (0.0 if x.type.signed else 1.5, lambda: _bit_planes(dice, x)),
        (1.5 if image else 0.0, lambda: (MaxPool(_window(dice, x)), [x], None, None)),
        (1.5 if image else 0.0, lambda: (SumPool(_window(dice, x)), [x], None, None)),
        (2.0, lambda: _add(dice, x, values)),
        (1.0, lambda: _concat(dice, x, values)),
        (1.0 if len(x.shape) > 1 else 0.3, lambda: _reshape(dice, x)),
        (0.3, lambda: (ArgMax(), [x], None, None)),
    ]
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
    needed, nodes = {output.name}, []
    for node in reversed(builder.nodes):
        if node.name in needed:
            nodes.insert(0, node)
            needed |= set(node.inputs)
    if all(is_wiring(node) for node in nodes):
        return None
    ports = {name: Port(1.0) for name in ("x", output.name)}
    return Graph(builder.name, tuple(builder.inputs), tuple(nodes), (output.name,), ports)


def integers(dice: Dice, low: int, high: int, shape: int | tuple[int, ...]) -> IntArray:
    """Integers from low to high: uniform, at the ends, small, or all alike."""
    kind = dice.random()
    if kind < 0.5:
        return dice.integers(low, high, shape, endpoint=True)
    near = [n for n in (low, low + 1, high, high - 1, 0, 1, -1) if low <= n <= high]
    if kind < 0.75:
        return dice.choice(np.array(near, np.int64), shape)
    if kind < 0.9:
        return np.full(shape, dice.choice(np.array(near, np.int64)), np.int64)
    sparse = dice.integers(low, high, shape, endpoint=True)
    return np.where(dice.random(shape) < 0.3, sparse, min(max(0, low), high))


def _codec(dice: Dice, inputs: int, outputs: int) -> Codec:
    kind = dice.random()
    if kind < 0.15:
        divisors = [n for n in range(1, inputs * outputs + 1) if inputs * outputs % n == 0]
        length = int(dice.choice(divisors))
        if dice.random() < 0.5 and outputs > 1:  # whole outputs, whose sums are shared
            length = inputs * int(dice.choice([n for n in range(1, outputs) if outputs % n == 0]))
        return Tiled(dice.choice(np.array([-1, 1]), length), (inputs, outputs))
    width = int(dice.integers(1, 17))
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if kind < 0.3:
        groups = int(dice.choice([n for n in range(1, outputs + 1) if outputs % n == 0]))
        entries = int(dice.integers(1, 17))
        indices = dice.integers(0, entries, (inputs, outputs))
        return Codebook(indices, integers(dice, low, high, (groups, entries)))
    if width == 1:
        return Plain(dice.choice(np.array([-1, 1]), (inputs, outputs)), 1)
    return Plain(integers(dice, low, high, (inputs, outputs)), width)


def _bias(dice: Dice, outputs: int) -> IntArray:
    most = 1 << int(dice.integers(0, 18))
    return integers(dice, -most, most, outputs)


def _dense(dice: Dice, x: Value) -> Made:
    outputs = int(dice.integers(1, 11))
    op = Dense(_codec(dice, x.channels, outputs), _bias(dice, outputs))
    return op, [x], None, None


def _window(dice: Dice, x: Value) -> Window:
    kernel = int(dice.integers(1, 5)), int(dice.integers(1, 5))
    stride = int(dice.integers(1, 4)), int(dice.integers(1, 4))
    padding = (0, 0, 0, 0)
    if dice.random() < 0.6:
        top, left = (int(dice.integers(0, k)) for k in kernel)
        bottom, right = (int(dice.integers(0, k)) for k in kernel)
        padding = top, left, bottom, right
    return Window(kernel, stride, padding)


def _conv(dice: Dice, x: Value) -> Made | None:
    window = _window(dice, x)
    divisors = [n for n in range(1, x.channels + 1) if x.channels % n == 0]
    groups = 1 if dice.random() < 0.6 else int(dice.choice(divisors))
    outputs = groups * int(dice.integers(1, max(2, 9 // groups + 1)))
    if groups == x.channels and dice.random() < 0.6:
        outputs = groups  # depthwise
    taps = x.channels // groups * window.taps
    rows, columns = window.output(x.shape[0], x.shape[1])
    if rows * columns * taps * outputs > _MOST_PRODUCTS:
        return None
    return (
        Conv2d(_codec(dice, taps, outputs), _bias(dice, outputs), window, groups),
        [x],
        None,
        None,
    )


def _threshold(dice: Dice, builder: Builder, x: Value) -> Made:
    levels = int(dice.choice([1, 1, 2, 3, 3, 7, 10, 15, 31]))
    low, high = builder.interval(x).bounds
    margin = (high - low) // 4 + 1
    if dice.random() < 0.1:
        margin = 1 << 45  # levels that nothing reaches
    thresholds = np.stack(
        [integers(dice, low - margin, high + margin, levels) for _ in range(x.channels)]
    )
    if dice.random() < 0.3:
        thresholds[:] = thresholds[:1]  # the same for all channels
    base = integers(dice, *dice.choice([(0, 0), (-levels, levels), (-32768, 32767)]), x.channels)
    step = dice.choice(np.array([-1, 1]), x.channels)
    if dice.random() < 0.5:
        base, step = np.full_like(base, base[0]), np.full_like(step, step[0])
    return Threshold(np.sort(thresholds, axis=1), base, step), [x], None, None


def _requantize(dice: Dice, builder: Builder, x: Value) -> Made:
    kind = IntType(int(dice.integers(1, 17)), bool(dice.random() < 0.5))
    low, high = builder.interval(x).bounds
    bits = int(dice.integers(1, 17))
    reach = max(-low, high, 1).bit_length() + bits
    shift = max(0, reach - kind.width + int(dice.integers(-3, 4)))
    if dice.random() < 0.15:
        shift = int(dice.integers(0, 30))
    most = (1 << bits) - 1
    multiplier = integers(dice, -most if dice.random() < 0.5 else 0, most, x.channels)
    bias = integers(dice, -(1 << reach), 1 << reach, x.channels)
    if dice.random() < 0.3:
        bias = np.full_like(bias, (1 << shift) >> 1)  # ties where the input is nothing
    if dice.random() < 0.3:
        multiplier = np.full_like(multiplier, multiplier[0])
        bias = np.full_like(bias, bias[0])
    rounding = ROUNDINGS[dice.integers(len(ROUNDINGS))]
    narrow = bool(dice.random() < 0.3)
    return Requantize(multiplier, bias, shift, rounding, narrow), [x], kind, None


def _lookup(dice: Dice, x: Value) -> Made:
    made = _type(dice)
    tables = x.channels if dice.random() < 0.5 else 1
    table = integers(dice, made.min, made.max, (tables, 1 << x.type.width))
    return Lookup(table, x.type.min), [x], None, None


def _bit_planes(dice: Dice, x: Value) -> Made:
    count = int(dice.integers(1, min(x.type.width, 16) + 1))
    planes = np.sort(dice.choice(x.type.width, count, replace=False))
    return BitPlanes(tuple(int(p) for p in planes)), [x], None, None


def _others(
    dice: Dice, x: Value, values: list[Value], fits: Callable[[Value], bool]
) -> list[Value]:
    """x and one or two more, which may be x again, in any order."""
    possible = [value for value in values if fits(value)]
    chosen = [x, *(possible[i] for i in dice.integers(len(possible), size=dice.integers(1, 3)))]
    return [chosen[i] for i in dice.permutation(len(chosen))]


def _add(dice: Dice, x: Value, values: list[Value]) -> Made | None:
    sources = _others(dice, x, values, lambda value: value.shape == x.shape)
    if len(set(sources)) == 1 and dice.random() < 0.8:
        return None
    most = 1 << int(dice.choice([0, 1, 3, 10]))
    multipliers = dice.integers(1, most + 1, len(sources)) * dice.choice([1, 1, -1], len(sources))
    return Add(tuple(int(m) for m in multipliers)), sources, None, None


def _concat(dice: Dice, x: Value, values: list[Value]) -> Made:
    sources = _others(dice, x, values, lambda value: value.shape[:-1] == x.shape[:-1])
    return Concat(), sources, None, None


def _reshape(dice: Dice, x: Value) -> Made:
    divisors = [n for n in range(1, x.size + 1) if x.size % n == 0]
    kind = dice.random()
    if kind < 0.6:
        return Reshape(), [x], None, (x.size,)
    last = int(dice.choice(divisors))
    if kind < 0.7:
        return Reshape(), [x], None, (x.size // last, last)
    first = int(dice.choice([n for n in divisors if x.size // last % n == 0]))
    return Reshape(), [x], None, (first, x.size // last // first, last)


def _planned(dice: Dice, graph: Graph) -> Network:
    folded = float(dice.choice([0.0, 1.0, 0.5]))
    engines = {node.name: _engine(dice, graph, node, folded) for node in graph.nodes}
    redundancy = 3 if dice.random() < 0.04 else 1
    form: Form = "adder_graph" if dice.random() < 0.7 else "plain"
    if dice.random() < 0.3:
        graph, engines = _made_loadable(dice, graph, engines)
    plan = Plan(engines, redundancy=3 if redundancy == 3 else 1)
    loaded = _with_other_weights(dice, graph, plan) if plan.loadable else None
    io: IoType = "io_stream" if dice.random() < 0.4 else "io_parallel"
    return Network(graph, plan, form, io, loaded)


def _engine(dice: Dice, graph: Graph, node: Node, folded: float) -> Engine:
    op = node.op
    if is_wiring(node):
        return Unrolled(0)
    large = isinstance(op, Dense | Conv2d) and decode(op.weights).size > _MOST_UNROLLED
    if isinstance(op, Conv2d):
        rows, columns, _ = graph.values[node.inputs[0]].shape
        large |= not Lines(rows, columns, op.window).fits
    if isinstance(op, ArgMax) or (dice.random() >= folded and not large):
        return Unrolled(int(dice.integers(1, 5)))
    outputs, inputs = node.output.channels, 1
    match op:
        case Dense():
            outputs, inputs = distinct_outputs(op.weights), decode(op.weights).shape[0]
        case Conv2d() if not is_depthwise(op):
            outputs = distinct_outputs(op.weights) if op.groups == 1 else len(op.bias) // op.groups
            inputs = op.channels // op.groups
        case _:
            pass
    pe, simd = _divisor(dice, outputs), _divisor(dice, inputs)
    if not isinstance(op, Dense | Conv2d):
        return Folded(pe)
    most = products(op, graph.values[node.inputs[0]].type, simd, False).most_stages
    stages = 1 if dice.random() < 0.5 else int(dice.integers(1, most + 1))
    return Folded(pe, simd, stages=stages, memory=MEMORIES[dice.integers(len(MEMORIES))])


def _divisor(dice: Dice, whole: int) -> int:
    return int(dice.choice([n for n in range(1, whole + 1) if whole % n == 0]))


def _made_loadable(
    dice: Dice, graph: Graph, engines: dict[str, Engine]
) -> tuple[Graph, dict[str, Engine]]:
    """Some of the folded products with loadable weights, where the types can hold them."""
    possible = [
        node.name
        for node in graph.nodes
        if isinstance(node.op, Dense | Conv2d)
        and isinstance(node.op.weights, Plain)
        and isinstance(engines[node.name], Folded)
    ]
    chosen = {name for name in possible if dice.random() < 0.7}
    if not chosen:
        return graph, engines
    try:
        wide = widen_for_loading(graph, chosen)
        changed: dict[str, Engine] = {
            name: replace(engine, loadable=True)
            for name, engine in engines.items()
            if name in chosen and isinstance(engine, Folded)
        }
        Plan({**engines, **changed}).check(wide)
    except GraphError:
        return graph, engines
    if max(value.type.width for value in wide.values.values()) > 62:
        return graph, engines
    return wide, {**engines, **changed}


def _with_other_weights(dice: Dice, graph: Graph, plan: Plan) -> Graph:
    nodes = []
    for node in graph.nodes:
        op = node.op
        if (
            node.name in plan.loadable
            and isinstance(op, Dense | Conv2d)
            and isinstance(op.weights, Plain)
        ):
            shape, width = op.weights.values.shape, op.weights.width
            low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
            values = integers(dice, low, high, shape)
            if width == 1:
                values = dice.choice(np.array([-1, 1]), shape)
            bias = dice.permutation(op.bias)
            node = replace(node, op=replace(op, weights=Plain(values, width), bias=bias))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


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
