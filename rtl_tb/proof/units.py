"""What a node's module is put beside: beats of fixed latency, or whole tensors in a queue."""

from dataclasses import replace

import numpy as np

from bitwright.models.graph import (
    Conv2d,
    Dense,
    Graph,
    Interval,
    Lookup,
    Node,
    Plain,
    Plan,
    Requantize,
    Threshold,
    Value,
    decode,
    weight_width,
    with_any_weights,
)
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.streams import Block, Step, latency, needs_memory
from bitwright.rtl_tb.proof.benches import Line, Queue


def tensor_cycles(unit: Queue, block: Block) -> int:
    """Cycles of a tensor at full rate: whichever of taking, sweeping and giving is longest."""
    assert isinstance(block.head, Sweep)
    return max(unit.counts[0], block.head.cycles, unit.counts[1])


def line_of(graph: Graph, plan: Plan, node: Node, step: Step | None, module: str) -> Line:
    """What one beat of a module of fixed latency is."""
    sources = [graph.values[name] for name in node.inputs]
    engine = plan.engines[node.name]
    stages = latency(node, engine)
    if step is None:  # whole vectors
        reach = (graph.intervals[sources[0].name],)
        return Line(module, node, tuple(sources), reach, stages, streamed=False)
    op, channels = node.op, sources[0].channels
    if isinstance(op, Threshold | Requantize | Lookup):
        if needs_memory(op, step.takes, channels):
            pixel = Value(sources[0].name, (channels,), sources[0].type)
            whole = replace(node, output=replace(node.output, shape=(channels,)))
            steps = channels // step.takes
            return Line(module, whole, (pixel,), (), stages, streamed=True, steps=steps)
        op = _of_lanes(op, np.arange(step.takes) % channels)
    shape = (step.takes // channels, channels) if step.takes > channels else (step.takes,)
    # Named by their place: an addition may read a tensor twice.
    beats = tuple(Value(f"source{i}", shape, s.type) for i, s in enumerate(sources))
    output = replace(node.output, shape=(step.makes,))
    made = Node(op, tuple(beat.name for beat in beats), output)
    reaches = tuple(_of_beat(graph.intervals[source.name], step.takes) for source in sources)
    return Line(module, made, beats, reaches, stages, streamed=True)


def _of_lanes(
    op: Threshold | Requantize | Lookup, rows: "np.ndarray"
) -> Threshold | Requantize | Lookup:
    match op:
        case Threshold():
            return Threshold(op.thresholds[rows], op.base[rows], op.step[rows])
        case Requantize():
            return replace(op, multiplier=op.multiplier[rows], bias=op.bias[rows])
        case Lookup():
            return op if len(op.table) == 1 else Lookup(op.table[rows], op.lowest)


def _of_beat(reach: Interval, lanes: int) -> Interval:
    """What can be in each lane: of all channels that it carries in turn, or of several pixels."""
    low, high = reach.low, reach.high
    if lanes < len(low):
        return Interval(low.reshape(-1, lanes).min(axis=0), high.reshape(-1, lanes).max(axis=0))
    return reach


def swept_by(graph: Graph, plan: Plan, block: Block, step: Step, module: str) -> Queue:
    """A folded product or a pool as a queue of tensors."""
    node, head = step.node, block.head
    assert isinstance(head, Sweep)
    known = with_any_weights(graph, plan.loadable)
    source = graph.values[node.inputs[0]]
    channels = head.passes * step.makes
    op, shape = node.op, node.output.shape
    if isinstance(op, Dense | Conv2d) and channels < len(op.bias):  # the others are copies of them
        weights = Plain(decode(op.weights)[:, :channels], max(weight_width(op.weights), 2))
        op, shape = replace(op, weights=weights, bias=op.bias[:channels]), (*shape[:-1], channels)
    made = replace(node, op=op, output=replace(node.output, shape=shape))
    counts = source.size // step.takes, made.output.size // step.makes
    patience = head.accesses + latency(node, plan.engines[node.name]) + 6
    reach = known.intervals[source.name]
    return Queue(module, (made,), source, reach, counts, 6, patience, head=True)
