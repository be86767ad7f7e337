"""Every operation, width and form of hardware against the reference: equal integers or a failure.

One small design an entry, thousands of vectors each, corners and ties among them. An operation that
has no entry here fails the last test.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bitwright.models.graph import (
    BitPlanes,
    Codebook,
    Codec,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Lookup,
    Node,
    Op,
    Plain,
    Plan,
    Port,
    Requantize,
    Tiled,
    Unrolled,
    Value,
    derive_threshold,
    evaluate,
    output_interval,
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
    assert (result.latency, result.interval) == (plan.latency, plan.interval)
    assert len(np.unique(expected)) > 1  # a constant would agree with anything


def test_every_operation_and_codec_has_an_example() -> None:
    ops = [node.op for graph in GRAPHS.values() for node in graph.nodes]
    assert {type(op) for op in ops} == set(get_args(Op))
    assert {type(op.weights) for op in ops if isinstance(op, Dense)} == set(get_args(Codec))
