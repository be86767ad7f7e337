"""Graph and plan as streams: which block makes which tensor, in beats of how many elements.

A tensor travels as beats of `lanes` elements, in order, channels fastest. A block takes beats out
of FIFOs, does its work in a pipeline of fixed length that never stands still, and puts the results
into FIFOs. It begins an operation only when there is room for the result: so nothing is ever lost,
whatever the pauses, and every cycle is known beforehand (`cycles.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from typing_extensions import assert_never

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph.codecs import IntArray, distinct_outputs
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.heads import Head, Lines, Narrow, Pass, Repeat, Sweep, Widen
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
from bitwright.models.graph.plan import Engine, Folded, Plan, Unrolled, is_depthwise
from bitwright.models.graph.types import Value

INPUT, OUTPUT = "s_axis", "m_axis"
"""The streams from and to the outside, which are named like FIFOs."""


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A node in a block: it takes beats of `takes` elements and makes beats of `makes`."""

    node: Node
    takes: int
    makes: int


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A head that decides when, and the nodes whose hardware follows it, each feeding the next.

    A folded product and a pool begin with a `Sweep`, an unrolled convolution with `Lines`. A block
    without steps only changes or copies beats.
    """

    name: str
    head: Head
    steps: tuple[Step, ...]
    reads: tuple[str, ...]
    """The FIFOs that it takes beats from."""
    feeds: tuple[str, ...]
    """The FIFOs that get every beat that it makes."""
    tensor: str
    """The tensor that it makes."""
    lanes: int
    """Elements of a beat that it makes."""
    latency: int
    """Cycles from the last thing begun for a beat to the cycle in which the beat is put away."""


@dataclass(frozen=True, eq=False, slots=True)
class Fifo:
    """A queue between two blocks, or the stream to the outside."""

    name: str
    tensor: str
    lanes: int
    depth: int


@dataclass(frozen=True, eq=False, slots=True)
class Streams:
    """Every block and FIFO of a design, blocks in the order of their data."""

    blocks: tuple[Block, ...]
    fifos: dict[str, Fifo]
    input_lanes: int
    """Elements of a beat of the input."""


def is_streamed(graph: Graph, plan: Plan) -> bool:
    """Whether tensors travel in several beats or branch; otherwise one vector is one beat."""
    return (
        any(isinstance(engine, Folded) for engine in plan.engines.values())
        or any(len(value.shape) > 1 for value in graph.values.values())
        or any(len(node.inputs) > 1 for node in graph.nodes)
        or any(len(graph.readers(name)) + (name in graph.outputs) > 1 for name in graph.values)
    )


def streams(graph: Graph, plan: Plan) -> Streams:
    """The blocks and FIFOs of a plan, with the least FIFOs that keep every block at full speed.

    FIFOs in front of a join are no deeper than others; `cycles.sized` makes them deep enough.
    Raises GraphError where the plan does not fit the graph.
    """
    plan.check(graph)
    work = _Work(graph, plan)
    for node in graph.nodes:
        work.place(node)
    return work.finish()


def lanes_in(graph: Graph, node: Node, engine: Engine, source: Value) -> int:
    """Elements of a beat that a node takes of one of its inputs."""
    match engine:
        case Unrolled():
            return source.channels if len(source.shape) > 1 else source.size
        case Folded():
            matrix = isinstance(node.op, Dense) or (
                isinstance(node.op, Conv2d) and not is_depthwise(node.op)
            )
            return engine.simd if matrix else engine.pe
        case _:
            assert_never(engine)


def per_channel(op: Threshold | Requantize | Lookup) -> bool:
    """Whether the channels' constants differ, so that folded hardware needs a memory for them."""
    columns: list[IntArray]
    match op:
        case Threshold():
            columns = [op.thresholds, op.base[:, None], op.step[:, None]]
        case Requantize():
            columns = [op.multiplier[:, None], op.bias[:, None]]
        case Lookup():
            columns = [op.table]
        case _:
            assert_never(op)
    return len(np.unique(np.concatenate(columns, axis=1), axis=0)) > 1


def needs_memory(op: Threshold | Requantize | Lookup, lanes: int, channels: int) -> bool:
    """Whether a node that takes `lanes` of its channels at a time reads constants from a memory."""
    return lanes < channels and per_channel(op)


def appends_bits(op: Requantize) -> bool:
    """Whether it shifts every channel alike and fills the low bits: wires, and biases to store.

    So a float bias behind a last layer is lowered (see `lower/output.py`).
    """
    factor = int(op.multiplier[0])
    alike = factor > 0 and factor & (factor - 1) == 0 and np.all(op.multiplier == factor)
    return bool(op.shift == 0 and alike and np.all((op.bias >= 0) & (op.bias < factor)))


def latency(node: Node, engine: Engine) -> int:
    """Cycles through the hardware of a node, not counting a head in front of it."""
    op = node.op
    match op:
        case Dense() | Conv2d():
            return engine.stages + isinstance(engine, Folded)  # the accumulator
        case MaxPool() | SumPool():
            return 1
        case Threshold() | Requantize() | Lookup():
            if isinstance(engine, Unrolled):
                return engine.stages
            if not needs_memory(op, engine.pe, node.output.channels):
                return 1
            return 3 if isinstance(op, Requantize) else 2
        case Add() | ArgMax():
            return engine.stages if isinstance(engine, Unrolled) else 1
        case BitPlanes() | Concat() | Reshape():
            return 0
        case _:
            assert_never(op)


def shared_outputs(op: Dense | Conv2d) -> int:
    """How many outputs a folded product computes; the others are copies of them."""
    distinct = distinct_outputs(op.weights)
    repeats = all(op.bias[o] == op.bias[o % distinct] for o in range(len(op.bias)))
    return distinct if repeats and not (isinstance(op, Conv2d) and op.groups > 1) else len(op.bias)


def product_sweep(op: Dense | Conv2d, engine: Folded, source: Value) -> Sweep:
    """The positions and passes of a folded product."""
    match op:
        case Dense():
            passes = shared_outputs(op) // engine.pe
            rows = source.size // source.channels
            return Sweep(rows, 1, source.channels // engine.simd, Window((1, 1)), passes)
        case Conv2d():
            rows, columns, channels = source.shape
            if is_depthwise(op):
                words = channels // engine.pe
                return Sweep(rows, columns, words, op.window, words, words)
            passes = shared_outputs(op) // engine.pe
            return Sweep(rows, columns, channels // engine.simd, op.window, passes, op.groups)
        case _:
            assert_never(op)


@dataclass(slots=True)
class _Draft:
    """A block in the making: `tensor` is the last that it makes so far."""

    name: str
    head: Head
    reads: tuple[str, ...]
    tensor: str
    lanes: int
    latency: int
    steps: list[Step] = field(default_factory=list)
    feeds: list[str] = field(default_factory=list)


class _Work:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.blocks: list[_Draft] = []
        self.fifos: dict[str, Fifo] = {}
        self.made: dict[str, _Draft] = {}  # the block that makes a tensor
        self.input_lanes = 0
        source = graph.input.name
        if self._readers(source) > 1:
            self._open(Pass(), (INPUT,), source, 0, 0)
        self.one_reader = {name: self._readers(name) == 1 for name in graph.values}

    def _readers(self, name: str) -> int:
        reads = sum(node.inputs.count(name) for node in self.graph.nodes)
        return reads + self.graph.outputs.count(name)

    def place(self, node: Node) -> None:
        """Give a node its block: a new one, or the end of the one that makes its input."""
        engine = self.plan.engines[node.name]
        sources = [self.graph.values[name] for name in node.inputs]
        source = sources[0]
        op = node.op
        match op:
            case Reshape():
                # Beats do not know shapes: the same block makes both tensors.
                if source.name in self.made and self.one_reader[source.name]:
                    have = self.made[source.name].lanes
                    self._follow(node, self.made[source.name], have, have)
                else:
                    self._enter(node, [source], self._natural(source))
            case Dense() | Conv2d() if isinstance(engine, Folded):
                sweep = product_sweep(op, engine, source)
                needed = lanes_in(self.graph, node, engine, source)
                fifo = self._fifo(source, needed, node.name)
                block = self._open(sweep, (fifo,), node.name, engine.pe, 1)
                self._follow(node, block, needed, engine.pe)
                copies = len(op.bias) // shared_outputs(op)
                if copies > 1:
                    words = shared_outputs(op) // engine.pe
                    fifo = self._feed(block, f"{node.name}__once")
                    again = Repeat(words, copies)
                    self._open(again, (fifo,), node.name, engine.pe, 1, f"{node.name}__copies")
            case MaxPool() | SumPool():
                lanes = engine.pe if isinstance(engine, Folded) else source.channels
                rows, columns, channels = source.shape
                words = channels // lanes
                fifo = self._fifo(source, lanes, node.name)
                sweep = Sweep(rows, columns, words, op.window, words, words)
                self._follow(node, self._open(sweep, (fifo,), node.name, lanes, 1), lanes, lanes)
            case Conv2d():
                rows, columns, channels = source.shape
                lines = Lines(rows, columns, op.window)
                if not lines.fits:
                    raise UnsupportedError(
                        f"node {node.name} (conv2d) is planned unrolled, and its window does not "
                        f"pass over {source.shape} line by line: plan it Folded"
                    )
                fifo = self._fifo(source, channels, node.name)
                seen = op.window.taps * channels
                block = self._open(lines, (fifo,), node.name, seen, 2)
                self._follow(node, block, seen, node.output.channels)
            case (
                Dense()
                | Threshold()
                | Requantize()
                | Lookup()
                | BitPlanes()
                | Add()
                | Concat()
                | ArgMax()
            ):
                lanes = lanes_in(self.graph, node, engine, source)
                if isinstance(op, BitPlanes) and source.name in self.made:
                    lanes = self.made[source.name].lanes or lanes
                self._enter(node, sources, lanes)
            case _:
                assert_never(op)

    def finish(self) -> Streams:
        output = self.graph.output
        self._feed(self.made[output.name], OUTPUT)
        blocks = tuple(
            Block(d.name, d.head, tuple(d.steps), d.reads, tuple(d.feeds), d.tensor, d.lanes,
                  d.latency)
            for d in self.blocks
        )  # fmt: skip
        depths = {
            fifo: replace(self.fifos[fifo], depth=_depth(block))
            for block in blocks
            for fifo in block.feeds
        }
        return Streams(blocks, depths, self.input_lanes)

    def _natural(self, value: Value) -> int:
        return value.channels if len(value.shape) > 1 else value.size

    def _enter(self, node: Node, sources: Sequence[Value], lanes: int) -> None:
        """A node of fixed latency: behind the block that makes its only input, or after a join."""
        source = sources[0]
        block = self.made.get(source.name)
        alone = len(sources) == 1 and self.one_reader[source.name]
        if not (block is not None and alone and block.lanes == lanes and not block.feeds):
            fifos = tuple(
                self._fifo(one, self._natural(one) if isinstance(node.op, Concat) else lanes,
                           f"{node.name}__{i}" if len(sources) > 1 else node.name)
                for i, one in enumerate(sources)
            )  # fmt: skip
            block = self._open(Pass(), fifos, node.name, lanes, 0)
        made = lanes
        if isinstance(node.op, Dense | Conv2d | Concat | ArgMax):
            made = self._natural(node.output)
        self._follow(node, block, lanes, made)

    def _follow(self, node: Node, block: _Draft, takes: int, lanes: int) -> None:
        engine = self.plan.engines[node.name]
        block.steps.append(Step(node, takes, lanes))
        block.latency += latency(node, engine)
        block.tensor, block.lanes = node.name, lanes
        self.made[node.name] = block

    def _open(
        self,
        head: Head,
        reads: tuple[str, ...],
        tensor: str,
        lanes: int,
        latency: int,
        name: str | None = None,
    ) -> _Draft:
        block = _Draft(name or tensor, head, reads, tensor, lanes, latency)
        self.blocks.append(block)
        self.made[tensor] = block
        return block

    def _fifo(self, source: Value, lanes: int, reader: str) -> str:
        """A FIFO of the tensor in beats of `lanes`, with blocks that change the beats."""
        if source.name not in self.made:
            self.input_lanes = lanes
            return INPUT
        block = self.made[source.name]
        if block.lanes == 0:  # the input itself, whose first reader chooses the beats
            block.lanes = self.input_lanes = lanes
        have = block.lanes
        if have == lanes:
            return self._feed(block, f"{source.name}__{reader}")
        common = math.gcd(have, lanes)
        for wanted in dict.fromkeys((common, lanes)):
            if wanted == have:
                continue
            fifo = self._feed(block, f"{source.name}__{reader}_by_{have}")
            head = Narrow(have // wanted) if wanted < have else Widen(wanted // have)
            name = f"{source.name}__{reader}_{wanted}"
            block = _Draft(name, head, (fifo,), source.name, wanted, 1)
            self.blocks.append(block)
            have = wanted
        return self._feed(block, f"{source.name}__{reader}")

    def _feed(self, block: _Draft, name: str) -> str:
        block.feeds.append(name)
        self.fifos[name] = Fifo(name, block.tensor, block.lanes, 2)
        return name


def _depth(block: Block) -> int:
    """The least depth that never holds the block up while the reader takes a beat when it is there.

    Room for a beat is taken when it is begun, `latency` cycles before it is put away, and given
    back two cycles after that at the earliest.
    """
    every = {
        Pass: 1, Narrow: 1, Lines: 1, Repeat: 1,
        Widen: getattr(block.head, "ratio", 1), Sweep: getattr(block.head, "accesses", 1),
    }[type(block.head)]  # fmt: skip
    return max(2, -(-(block.latency + 2) // every))
