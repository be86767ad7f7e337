"""A failure made as small as it goes: less of the network, fewer and smaller constants and vectors.

`smaller` lists what could be left out of a network, the most first. What still fails in the same
way is kept, until nothing more can go. Candidates are tried many at a time, like other networks.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from bitwright.models.errors import BitwrightError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntArray,
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
    decode,
    output_shape,
    weight_width,
)
from bitwright.rtl_tb import emit
from trust.engines import Case, Emit, answered, compare
from trust.engines import Engine as Claimant
from trust.oracle import Oracle
from trust.plans import Network

_AT_ONCE = 12
_ROUNDS = 60
_ILLEGAL = (BitwrightError, AssertionError, ValueError, IndexError)  # not a network after all

Candidate = tuple[Network, IntArray]


@dataclass(frozen=True, slots=True)
class Symptom:
    """Who fails and how, as far as it has to stay the same while everything else shrinks."""

    engine: Claimant
    kind: str


def symptom(engine: Claimant, what: str) -> Symptom:
    """The symptom of a sentence: the sentence without its numbers and names."""
    first = what.splitlines()[0] if what else ""
    if "outputs differ" in first:
        return Symptom(engine, "outputs differ")
    return Symptom(engine, re.sub(r"[\W\d_]+", " ", re.sub(r"/\S+|\S*\d\S*", "", first))[:60])


def shrink(
    case: Case,
    wanted: Symptom,
    emitter: Emit = emit,
    progress: Callable[[str], None] = lambda done: None,
) -> Case:
    """The smallest case found with the same symptom."""
    for _ in range(_ROUNDS):
        found = _first(_tried(smaller(case.network, case.x)), wanted, emitter)
        if found is None:
            break
        case = found
        progress(f"{len(case.network.graph.nodes)} nodes, {len(case.x)} vectors")
    return case


def _tried(candidates: Iterator[Candidate]) -> Iterator[Case]:
    for network, x in candidates:
        with contextlib.suppress(*_ILLEGAL):
            yield answered(network, x)


def _first(cases: Iterator[Case], wanted: Symptom, emitter: Emit) -> Case | None:
    """The first case with the symptom."""
    while batch := list(islice(cases, _AT_ONCE)):
        named = [_named(case, f"s{i}") for i, case in enumerate(batch)]
        for case, verdict in zip(batch, compare(named, (wanted.engine,), emitter), strict=True):
            what = verdict.wrong.get(wanted.engine)
            if what is not None and symptom(wanted.engine, what) == wanted:
                return case
    return None


def _named(case: Case, name: str) -> Case:
    network = case.network
    loaded = None if network.loaded is None else replace(network.loaded, name=name)
    graph = replace(network.graph, name=name)
    return replace(case, network=replace(network, graph=graph, loaded=loaded))


def smaller(network: Network, x: IntArray) -> Iterator[Candidate]:
    """Candidates, the boldest first; some may turn out not to be networks."""
    graph = network.graph
    if network.loaded is not None:
        yield _unloaded(network), x
    for node in graph.nodes[:-1]:
        yield from _guarded(partial(_ended, network, node, x))
    for node in reversed(graph.nodes[:-1]):
        yield from _guarded(partial(_begun, network, node, x))
    for i in range(len(graph.nodes)):
        for source in dict.fromkeys(graph.nodes[i].inputs):
            yield from _guarded(partial(_bypassed, network, i, source, x))
    count = len(x)
    for part in (x[:1], x[: count // 2], x[count // 2 :], x[: count // 4 * 3], x[1:]):
        if 0 < len(part) < count:
            yield network, part
    yield from _cropped(network, x)
    yield from _narrowed(network, x)
    yield from _planned(network, x)
    for i, node in enumerate(graph.nodes):
        for op in _simpler(node.op):
            yield from _guarded(partial(_with_op, network, i, op, x))
    if np.any(x):
        yield network, np.zeros_like(x)
        yield network, x // 2 if graph.input.type.signed else x >> 1


def _guarded(make: Callable[[], Candidate]) -> Iterator[Candidate]:
    try:
        yield make()
    except _ILLEGAL:
        return


def _cut(graph: Graph, output: str, source: Value | None = None) -> Graph:
    """What leads to a tensor, from the input or from another tensor that becomes the input."""
    source = source or graph.input
    needed, nodes = {output}, list[Node]()
    for node in reversed(graph.nodes):
        if node.name in needed and node.name != source.name:
            nodes.insert(0, node)
            needed |= set(node.inputs)
    ports = {source.name: Port(1.0), output: Port(1.0)}
    return Graph(graph.name, (source,), tuple(nodes), (output,), ports)


def _over(network: Network, graph: Graph) -> Network:
    """The network with another graph, of whose nodes it has the engines."""
    names = {node.name for node in graph.nodes}
    engines = {name: e for name, e in network.plan.engines.items() if name in names}
    made = replace(network, graph=graph, plan=_replan(network.plan, engines), loaded=None)
    return made if network.loaded is None else _unloaded(made)


def _replan(plan: Plan, engines: dict[str, Engine], redundancy: int | None = None) -> Plan:
    return Plan(engines, plan.target, plan.clock_mhz, 1 if redundancy == 1 else plan.redundancy)


def _unloaded(network: Network) -> Network:
    engines: dict[str, Engine] = {
        name: replace(e, loadable=False) if isinstance(e, Folded) else e
        for name, e in network.plan.engines.items()
    }
    return replace(network, plan=_replan(network.plan, engines), loaded=None)


def _begun(network: Network, node: Node, x: IntArray) -> Candidate:
    """The network from a node on, which is given what the node made."""
    graph = network.graph
    rest = _cut(graph, graph.output.name, node.output)
    oracle = Oracle(graph)
    rows = [oracle.tensors(row)[node.name] for row in x.reshape(len(x), -1).tolist()]
    return _over(network, rest), np.array(rows, np.int64).reshape(len(x), *node.output.shape)


def _ended(network: Network, node: Node, x: IntArray) -> Candidate:
    """The network with a node as its last."""
    return _over(network, _cut(network.graph, node.name)), x


def _bypassed(network: Network, i: int, source: str, x: IntArray) -> Candidate:
    """The network without a node, whose readers read what it read."""
    graph, name = network.graph, network.graph.nodes[i].name
    if name == graph.output.name:
        return _over(network, _cut(graph, source)), x
    nodes = [
        replace(n, inputs=tuple(source if read == name else read for read in n.inputs))
        for n in graph.nodes
        if n.name != name
    ]
    return _over(network, _cut(_reshaped(graph, nodes, graph.input), graph.output.name)), x


def _reshaped(graph: Graph, nodes: Sequence[Node], source: Value) -> Graph:
    """A graph of these nodes, with the shapes that they now make. Types stay."""
    values, made = {source.name: source}, []
    for node in nodes:
        read = [values[name] for name in node.inputs]
        if isinstance(node.op, Reshape) and len(node.output.shape) == 1:
            node = replace(node, output=replace(node.output, shape=(read[0].size,)))
        shape = output_shape(node, read)
        made.append(replace(node, output=replace(node.output, shape=shape)))
        values[node.name] = made[-1].output
    return replace(graph, inputs=(source,), nodes=tuple(made))


def _with_op(network: Network, i: int, op: Op, x: IntArray) -> Candidate:
    nodes = list(network.graph.nodes)
    nodes[i] = replace(nodes[i], op=op)
    made = replace(network, graph=replace(network.graph, nodes=tuple(nodes)))
    return (made if network.loaded is None else _unloaded(made)), x


def _cropped(network: Network, x: IntArray) -> Iterator[Candidate]:
    """Fewer rows or columns of the input."""
    graph, source = network.graph, network.graph.input
    for axis, length in enumerate(source.shape[:-1]):
        for kept in dict.fromkeys((length // 2, length - 1)):
            if kept < 1:
                continue
            shape = (*source.shape[:axis], kept, *source.shape[axis + 1 :])

            def crop(
                axis: int = axis, kept: int = kept, shape: tuple[int, ...] = shape
            ) -> Candidate:
                made = _reshaped(graph, graph.nodes, replace(source, shape=shape))
                return _over(network, made), np.take(x, range(kept), axis=axis + 1)

            yield from _guarded(crop)


def _narrowed(network: Network, x: IntArray) -> Iterator[Candidate]:
    """Fewer channels of the input, or outputs of a product."""
    graph = network.graph
    wholes = [graph.input] + [n.output for n in graph.nodes if isinstance(n.op, Dense | Conv2d)]
    for value in wholes:
        count = value.channels
        halves = [range(count // 2), range(count // 2, count), range(1, count), range(count - 1)]
        for kept in halves:
            if not 0 < len(kept) < count:
                continue

            def narrow(value: Value = value, kept: range = kept) -> Candidate:
                made = _with_channels(graph, value.name, list(kept))
                fewer = x[..., list(kept)] if value.name == graph.input.name else x
                return _fitted(_over(network, made)), fewer

            yield from _guarded(narrow)


def _fitted(network: Network) -> Network:
    """The network with foldings of 1 where others no longer divide."""
    try:
        network.plan.check(network.graph)
    except BitwrightError:
        engines: dict[str, Engine] = {
            n: Folded() if isinstance(e, Folded) else e for n, e in network.plan.engines.items()
        }
        return replace(network, plan=_replan(network.plan, engines))
    return network


def _with_channels(graph: Graph, name: str, kept: list[int]) -> Graph:
    """The graph with only some channels of a tensor, the constants behind it likewise."""
    few = {name}
    source = graph.input
    if name == source.name:
        source = replace(source, shape=(*source.shape[:-1], len(kept)))
    nodes = []
    for node in graph.nodes:
        op = node.op
        if node.name == name:
            assert isinstance(op, Dense | Conv2d)
            if isinstance(op, Conv2d) and op.groups > 1:
                raise ValueError("groups")
            op = replace(op, weights=_of(op.weights, slice(None), kept), bias=op.bias[kept])
        elif few & set(node.inputs):
            if not few >= set(node.inputs):
                raise ValueError("a join of whole and part")
            op, spreads = _read_few(op, kept)
            few |= {node.name} if spreads else set()
        nodes.append(replace(node, op=op))
    return _reshaped(graph, nodes, source)


def _read_few(op: Op, kept: list[int]) -> tuple[Op, bool]:
    """An operation on some of the channels, and whether it makes only those."""
    match op:
        case Dense():
            return replace(op, weights=_of(op.weights, kept, slice(None))), False
        case Conv2d():
            taps = op.window.taps
            rows = [c * taps + t for c in kept for t in range(taps)]
            if op.groups == 1:
                return replace(op, weights=_of(op.weights, rows, slice(None))), False
            if op.groups == op.channels == len(op.bias):
                fewer = _of(op.weights, slice(None), kept)
                return Conv2d(fewer, op.bias[kept], op.window, len(kept)), True
            raise ValueError("groups")
        case Threshold():
            return Threshold(op.thresholds[kept], op.base[kept], op.step[kept]), True
        case Requantize():
            return replace(op, multiplier=op.multiplier[kept], bias=op.bias[kept]), True
        case Lookup():
            return (op if len(op.table) == 1 else replace(op, table=op.table[kept])), True
        case BitPlanes() | MaxPool() | SumPool() | Add():
            return op, True
        case ArgMax():
            return op, False
        case Concat() | Reshape():
            raise ValueError("channels move")


def _of(codec: Codec, rows: slice | list[int], columns: slice | list[int]) -> Codec:
    """Some of the weights, in the same codec where it can hold them."""
    if isinstance(codec, Codebook) and len(codec.table) == 1:
        return Codebook(codec.indices[rows][:, columns], codec.table)
    return Plain(decode(codec)[rows][:, columns], weight_width(codec))


def _planned(network: Network, x: IntArray) -> Iterator[Candidate]:
    plan = network.plan
    if plan.redundancy == 3:
        yield replace(network, plan=_replan(plan, dict(plan.engines), 1)), x
    if network.io == "io_stream":
        yield replace(network, io="io_parallel"), x
    if network.form == "adder_graph":
        yield replace(network, form="plain"), x
    for name, engine in plan.engines.items():
        simpler: list[Engine] = []
        if isinstance(engine, Folded):
            simpler = [
                Folded(loadable=engine.loadable),
                replace(engine, stages=1, memory="auto"),
                replace(engine, stages=1),
                replace(engine, pe=1, simd=1, stages=1),
                replace(engine, simd=1),
                replace(engine, pe=1),
                Unrolled(1),
            ]
        elif engine.stages > 1:
            simpler = [Unrolled(1)]
        for one in simpler:
            if one != engine:
                yield replace(network, plan=_replan(plan, {**plan.engines, name: one})), x


def _simpler(op: Op) -> Iterator[Op]:
    """The operation with smaller constants."""
    match op:
        case Dense() | Conv2d():
            if isinstance(op.weights, Tiled | Codebook):
                yield replace(op, weights=Plain(decode(op.weights), weight_width(op.weights)))
            if np.any(op.bias):
                yield replace(op, bias=np.zeros_like(op.bias))
                yield replace(op, bias=op.bias // 2)
            if isinstance(op.weights, Plain) and op.weights.width > 2:
                values, width = op.weights.values, op.weights.width
                yield replace(op, weights=Plain(values // 2, width - 1))
                yield replace(op, weights=Plain(np.clip(values, -1, 1), 2))
        case Threshold():
            levels = op.thresholds.shape[1]
            for part in (slice(1), slice(levels // 2), slice(levels // 2, None), slice(1, None)):
                if 0 < len(range(levels)[part]) < levels:
                    yield Threshold(op.thresholds[:, part], op.base, op.step)
            if np.any(op.base):
                yield Threshold(op.thresholds, np.zeros_like(op.base), op.step)
            if np.any(op.step < 0):
                yield Threshold(op.thresholds, op.base, np.ones_like(op.step))
            if np.abs(op.thresholds).max() > 1:
                yield Threshold(op.thresholds // 2, op.base, op.step)
        case Requantize():
            if np.any(op.bias):
                yield replace(op, bias=np.zeros_like(op.bias))
                yield replace(op, bias=op.bias // 2)
            if np.any(op.multiplier != 1):
                yield replace(op, multiplier=np.ones_like(op.multiplier))
                yield replace(op, multiplier=np.sign(op.multiplier))
                yield replace(op, multiplier=op.multiplier // 2)
            if op.shift:
                yield replace(op, shift=0)
                yield replace(op, shift=op.shift - 1)
            if op.rounding != "floor":
                yield replace(op, rounding="floor")
            if op.narrow:
                yield replace(op, narrow=False)
        case Lookup():
            if len(op.table) > 1:
                yield replace(op, table=op.table[:1])
            if np.any(op.table):
                yield replace(op, table=np.zeros_like(op.table))
        case Add():
            if any(m != 1 for m in op.multipliers):
                yield Add(tuple(1 for _ in op.multipliers))
        case BitPlanes() | MaxPool() | SumPool() | Concat() | Reshape() | ArgMax():
            return
