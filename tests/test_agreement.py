"""Every operation, width and form of hardware against the reference: equal integers or a failure.

One small design an entry, thousands of vectors each, corners and ties among them. An operation that
has no entry here fails the last test.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Builder,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Cycles,
    Dense,
    Engine,
    Folded,
    Graph,
    IntArray,
    Interval,
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
    Tiled,
    Unrolled,
    Value,
    Window,
    cycles,
    decode,
    derive_threshold,
    evaluate,
    output_interval,
    weight_width,
)
from bitwright.rtl_tb import Form, emit
from bitwright.rtl_tb.bulk import build

VECTORS = 4000


class Chain:
    """Builds a graph one operation after another, each output as narrow as its range."""

    def __init__(self, name: str, channels: int, kind: IntType) -> None:
        self.name = name
        self.input = self.last = Value("x", (channels,), kind)
        self.reach = Interval.of_type(self.last)
        self.nodes: list[Node] = []

    def add(self, op: Op, channels: int, kind: IntType | None = None) -> "Chain":
        """Append an operation; `kind` is its output type where the operation saturates to it."""
        name = f"n{len(self.nodes)}"
        node = Node(op, (self.last.name,), Value(name, (channels,), kind or IntType(64, True)))
        self.reach = output_interval(node, [self.reach])
        held = kind or IntType.holding(*self.reach.bounds)
        self.last = Value(name, (channels,), held)
        self.nodes.append(replace(node, output=self.last))
        return self

    def graph(self) -> Graph:
        """The finished graph."""
        ends = {self.input.name: Port(1.0), self.last.name: Port(1.0)}
        return Graph(self.name, (self.input,), tuple(self.nodes), (self.last.name,), ends)


def dense(dice: np.random.Generator, inputs: int, outputs: int, bits: int) -> Dense:
    if bits == 1:
        weights = dice.choice([-1, 1], (inputs, outputs))
    else:
        weights = dice.integers(-(1 << (bits - 1)), 1 << (bits - 1), (inputs, outputs))
        weights[:, 0] = -(1 << (bits - 1))
        weights[0] = 0
    return Dense(Plain(weights, bits), dice.integers(-20, 20, outputs))


def cases() -> Iterator[Graph]:
    dice = np.random.default_rng(7)
    for bits, kind in [
        (1, IntType(1, False)),
        (1, IntType(5, True)),
        (2, IntType(16, False)),
        (4, IntType(4, True)),
        (8, IntType(8, True)),
        (16, IntType(16, True)),
    ]:
        chain = Chain(f"dense_w{bits}_{kind}", 7, kind)
        yield chain.add(dense(dice, 7, 5, bits), 5).graph()

    for kind, made, narrow in [
        (IntType(5, True), IntType(1, False), False),
        (IntType(9, False), IntType(4, False), False),
        (IntType(12, True), IntType(3, True), True),
        (IntType(8, True), IntType(7, True), False),
    ]:
        chain = Chain(f"threshold_{kind}_{made}", 6, kind)
        scale = [Fraction(float(s)) for s in dice.normal(0, 1, 6) * made.max / kind.max]
        scale[0], scale[1] = Fraction(1, 2), Fraction(0)
        low = -made.max if narrow else made.min
        op = derive_threshold(scale, [Fraction(1, 2)] * 6, low, made.max, "half_even", chain.reach)
        yield chain.add(op, 6, made).graph()

    for rounding in ("half_even", "half_up", "floor"):
        for made, narrow in [(IntType(4, False), False), (IntType(5, True), True),
                             (IntType(12, True), False)]:  # fmt: skip
            chain = Chain(f"requantize_{rounding}_{made}", 6, IntType(10, True))
            multiplier = np.array([1, -1, 0, 3, 181, -77])
            bias = np.array([0, 2, 9, -4, 1000, 8])
            op = Requantize(multiplier, bias, 2, rounding, narrow)  # type: ignore[arg-type]
            yield chain.add(op, 6, made).graph()
    chain = Chain("requantize_shift0", 2, IntType(6, False))
    yield chain.add(Requantize(np.array([1, -5]), np.array([0, 3]), 0), 2, IntType(6, True)).graph()
    chain = Chain("requantize_low_bits", 3, IntType(6, True))  # the biases are below the products
    yield chain.add(Requantize(np.array([16, 4, -8]), np.array([13, 0, 7]), 0), 3).graph()

    for kind, made in [(IntType(1, False), IntType(4, True)), (IntType(4, True), IntType(6, True)),
                       (IntType(7, False), IntType(12, False))]:  # fmt: skip
        for tables in (1, 5):
            chain = Chain(f"lookup_{kind}_{made}_{tables}", 5, kind)
            table = dice.integers(made.min, made.max + 1, (tables, 1 << kind.width))
            yield chain.add(Lookup(table, kind.min), 5).graph()

    chain = Chain("bit_planes", 4, IntType(6, False))
    chain.add(BitPlanes((1, 3, 4)), 4, IntType(3, False))
    yield chain.add(Lookup(dice.integers(0, 99, (1, 8))), 4).graph()

    tiled = Tiled(dice.choice([-1, 1], 18), (6, 9))
    codebook = Codebook(dice.integers(0, 8, (6, 9)), dice.integers(-40, 40, (3, 8)))
    for codec in (tiled, codebook):
        chain = Chain(type(codec).__name__.lower(), 6, IntType(3, True))
        yield chain.add(Dense(codec, dice.integers(-20, 20, 9)), 9).graph()

    # A network of all of them, where an error must also survive the layers after it.
    chain = Chain("network", 8, IntType(4, True))
    chain.add(dense(dice, 8, 12, 3), 12)
    scale = [Fraction(float(s)) for s in dice.normal(0, 0.1, 12)]
    op = derive_threshold(scale, [Fraction(0)] * 12, 0, 7, "half_even", chain.reach)
    chain.add(op, 12, IntType(3, False)).add(BitPlanes((0, 2)), 12, IntType(2, False))
    chain.add(Lookup(np.array([[0, 3, 4, 7]])), 12).add(dense(dice, 12, 9, 2), 9)
    shift = Requantize(np.ones(9, int), np.zeros(9, int), 2)
    yield chain.add(shift, 9, IntType(4, True)).add(dense(dice, 9, 4, 5), 4).graph()


GRAPHS = {graph.name: graph for graph in cases()}


def vectors(value: Value) -> IntArray:
    """Random vectors, every small corner, and a ramp through one element's range for ties."""
    dice = np.random.default_rng(1)
    low, high = value.type.min, value.type.max
    batch = dice.integers(low, high + 1, (VECTORS, *value.shape))
    corners = dice.choice([low, high, 0, -1 if low < 0 else 1], (200, *value.shape))
    ramp = np.linspace(low, high, 1024).astype(np.int64)
    steps = np.repeat(ramp[:, None], value.size, axis=1).reshape(-1, *value.shape)
    return np.concatenate([batch, corners, steps])


class Net(Builder):
    """Networks of images, with a plan beside each operation."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.dice = np.random.default_rng(len(name))
        self.engines: dict[str, Engine] = {}

    def put(self, name: str, engine: Engine, op: Op, *sources: Value, **options: Any) -> Value:
        """Append an operation and plan it."""
        self.engines[name] = engine
        return self.add(name, op, *sources, **options)

    def weights(self, inputs: int, outputs: int, bits: int) -> Plain:
        """Random ones."""
        return Plain(dense(self.dice, inputs, outputs, bits).weights.values, bits)  # type: ignore[union-attr]

    def conv(self, name: str, engine: Engine, x: Value, outputs: int, kernel: int = 3,
             bits: int = 3, groups: int = 1, stride: int = 1, pad: int = 0) -> Value:  # fmt: skip
        """A convolution with a bias."""
        taps = x.channels // groups * kernel * kernel
        window = Window((kernel, kernel), (stride, stride), (pad,) * 4)
        bias = self.dice.integers(-9, 9, outputs)
        return self.put(
            name, engine, Conv2d(self.weights(taps, outputs, bits), bias, window, groups), x
        )

    def clip(self, name: str, engine: Engine, x: Value, kind: IntType) -> Value:
        """Thresholds, other ones in every channel."""
        reach = self.interval(x)
        scale = [Fraction(4 * kind.max, int(high) + 1 + c) for c, high in enumerate(reach.high)]
        op = derive_threshold(scale, [Fraction(1, 3)] * x.channels, kind.min, kind.max,
                              "half_even", reach)  # fmt: skip
        return self.put(name, engine, op, x, kind=kind)


def streamed() -> Iterator[tuple[Graph, Plan]]:
    b = Net("branches")
    x = b.input("x", (6, 6, 4), IntType(4, True))
    y = b.conv("conv", Folded(2, 4), x, 4, pad=1)
    y = b.clip("relu", Folded(2), y, IntType(3, False))
    y = b.conv("depthwise", Folded(2), y, 4, groups=4, pad=1)
    y = b.conv("grouped", Folded(2, 2), y, 8, groups=2, stride=2, pad=1)
    total = b.put("total", Folded(4), SumPool(Window((2, 2), (2, 2))), x)
    both = b.put("both", Unrolled(0), Concat(), y, total)
    pixels = b.conv("pixels", Folded(3, 2), total, 12, kernel=1)
    joined = b.put("joined", Folded(6), Add((1, -3)), both, pixels)
    halved = Requantize(b.dice.integers(-99, 99, 12), b.dice.integers(-99, 99, 12), 6)
    y = b.put("halved", Folded(3), halved, joined, kind=IntType(5, True))
    table = b.dice.integers(-40, 40, (12, 32))
    y = b.put("looked", Folded(3), Lookup(table, -16), y)
    yield b.graph(b.put("mean", Folded(12), SumPool(Window((3, 3))), y)), Plan(b.engines)

    b = Net("binary")
    x = b.input("x", (6, 6, 4), IntType(1, False))
    y = b.conv("conv", Folded(2, 4), x, 6, bits=1, pad=1)
    y = b.put("largest", Folded(3), MaxPool(Window((3, 2), (2, 2), (1, 0, 1, 0))), y)
    y = b.put("flat", Unrolled(0), Reshape(), y, shape=(y.size,))
    tile = b.dice.choice([-1, 1], y.size * 3)
    y = b.put("tiled", Folded(1, 2), Dense(Tiled(tile, (y.size, 12)), np.zeros(12, int)), y)
    y = b.clip("steps", Unrolled(2), y, IntType(2, False))
    y = b.put("scores", Unrolled(2), Dense(b.weights(12, 5, 3), np.zeros(5, int)), y)
    yield b.graph(b.put("best", Unrolled(1), ArgMax(), y)), Plan(b.engines)

    b = Net("unrolled")
    x = b.input("x", (5, 6, 2), IntType(4, True))
    y = b.conv("conv", Unrolled(2), x, 4, pad=1)
    y = b.clip("relu", Unrolled(1), y, IntType(3, False))
    side = b.conv("side", Unrolled(1), y, 4, kernel=1, groups=2)
    y = b.put("sum", Unrolled(3), Add((1, 2)), side, y)
    yield b.graph(b.conv("strided", Unrolled(3), y, 3, stride=2, pad=1)), Plan(b.engines)

    b = Net("codes")  # vectors too, and an input that branches
    x = b.input("x", (12,), IntType(6, False))
    y = b.put("bits", Unrolled(0), BitPlanes((1, 4, 5)), x, kind=IntType(3, False))
    values = Codebook(b.dice.integers(0, 8, (12, 8)), b.dice.integers(-40, 40, (1, 8)))
    y = b.put("left", Folded(4, 3), Dense(values, np.arange(8)), y)
    right = b.put("right", Folded(2, 4), Dense(b.weights(12, 8, 1), np.arange(8)), x)
    yield b.graph(b.put("sum", Folded(8), Add((2, 5)), y, right)), Plan(b.engines)

    b = Net("shifted")  # requantisers that only shift: biases in a sum, and as low bits
    x = b.input("x", (12,), IntType(4, True))
    y = b.put("fc", Folded(2, 3), Dense(b.weights(12, 8, 3), np.arange(8)), x)
    halved = Requantize(np.full(8, 4), b.dice.integers(-99, 99, 8), 6)
    y = b.put("halved", Folded(2), halved, y, kind=IntType(4, True))
    weights = Plain(b.dice.integers(-4, 4, (8, 6)), 3)
    y = b.put("scores", Folded(1, 4), Dense(weights, np.arange(6)), y)
    fine = Requantize(np.full(6, 32), b.dice.integers(0, 32, 6), 0, "floor")
    yield b.graph(b.put("scores_scaled", Folded(1), fine, y)), Plan(b.engines)

    b = Net("deep")  # more words of weights than one table has
    x = b.input("x", (72,), IntType(3, True))
    weights = b.weights(72, 64, 2)
    yield b.graph(b.put("fc", Folded(), Dense(weights, np.arange(64)), x)), Plan(b.engines)

    b = Net("pipelined")  # registers in all kinds of sums, and both kinds of memories
    x = b.input("x", (5, 5, 6), IntType(4, True))
    y = b.conv("multiplied", Folded(3, 6, stages=4, memory="lut"), x, 12, pad=1)
    y = b.clip("bits", Folded(3), y, IntType(1, False))
    y = b.conv("counted", Folded(2, 12, stages=3), y, 8, bits=1)
    y = b.clip("codes", Folded(2), y, IntType(3, False))
    y = b.conv("depthwise", Folded(4, memory="block"), y, 8, groups=8)
    y = b.clip("again", Folded(2), y, IntType(3, True))
    y = b.put("flat", Unrolled(0), Reshape(), y, shape=(8,))
    y = b.put("inverted", Folded(2, 8, stages=3), Dense(b.weights(8, 8, 1), np.arange(8)), y)
    tiled = Tiled(b.dice.choice([-1, 1], 24), (8, 6))
    yield (
        b.graph(b.put("tiled", Folded(1, 4, 2), Dense(tiled, np.zeros(6, int)), y)),
        Plan(b.engines),
    )


STREAMED = {graph.name: (graph, plan) for graph, plan in streamed()}


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_hardware_equals_the_reference(tmp_path: Path, name: str) -> None:
    graph, plan = STREAMED[name]
    design = emit(graph, plan, tmp_path / "rtl")
    x = vectors(graph.input)[::6]
    x = x[:: 1 + cycles(graph, plan).interval * len(x) // 2_000_000]
    expected = evaluate(graph, x)
    simulator = build(design, tmp_path / "sim")
    result = simulator.verify(x, expected, paused=300)
    assert (result.mismatches, result.paused_mismatches, result.faults) == (0, 0, ())
    assert (result.latency, result.interval) == (design.latency, design.interval)
    assert Cycles(design.latency, design.interval) == cycles(graph, plan)
    assert len(np.unique(expected)) > 1
    # and a mistake is found
    first = next(n for n in graph.nodes if isinstance(n.op, Conv2d | Dense))
    wrong = simulator.verify(x, evaluate(flipped(graph, first), x), paused=0)
    assert wrong.mismatches > 0


def test_a_wrong_low_bit_is_found(tmp_path: Path) -> None:
    """A bias below the sums' own LSB is in the hardware too, not only in the reference."""
    graph, plan = STREAMED["shifted"]
    last = graph.nodes[-1]
    assert isinstance(last.op, Requantize)
    other = replace(last.op, bias=last.op.bias ^ np.array([0, 0, 1, 0, 0, 0]))
    wrong = replace(graph, nodes=(*graph.nodes[:-1], replace(last, op=other)))
    x = vectors(graph.input)[:200]
    result = build(emit(wrong, plan, tmp_path / "rtl"), tmp_path / "sim").verify(
        x, evaluate(graph, x), paused=20
    )
    assert result.mismatches == len(x)


def flipped(graph: Graph, node: Node) -> Graph:
    """The graph with one weight bit of a node flipped."""
    assert isinstance(node.op, Conv2d | Dense)
    values = decode(node.op.weights).copy()
    width = weight_width(node.op.weights)
    values[0, 0] = -values[0, 0] if width == 1 else values[0, 0] ^ 1
    other = replace(node, op=replace(node.op, weights=Plain(values, width)))
    return replace(graph, nodes=tuple(other if n is node else n for n in graph.nodes))


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("name", GRAPHS)
def test_hardware_equals_the_reference(tmp_path: Path, name: str, form: Form) -> None:
    graph = GRAPHS[name]
    stages = 1 + len(name) % 3
    plan = Plan(
        {n.name: Unrolled(0 if isinstance(n.op, BitPlanes) else stages) for n in graph.nodes}
    )
    design = emit(graph, plan, tmp_path / "rtl", form)
    x = vectors(graph.input)
    expected = evaluate(graph, x)
    result = build(design, tmp_path / "sim").verify(x, expected)
    assert (result.mismatches, result.paused_mismatches, result.faults) == (0, 0, ())
    assert Cycles(result.latency or 0, result.interval or 0) == cycles(graph, plan)
    assert len(np.unique(expected)) > 1  # a constant would agree with anything


def test_every_operation_and_codec_has_an_example() -> None:
    graphs = [*GRAPHS.values(), *(graph for graph, _ in STREAMED.values())]
    ops = [node.op for graph in graphs for node in graph.nodes]
    assert {type(op) for op in ops} == set(get_args(Op))
    assert {type(op.weights) for op in ops if isinstance(op, Dense)} == set(get_args(Codec))
