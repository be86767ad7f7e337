"""What the hardware of a streamed design consists of, node by node, and what lies between them.

The same structure as the RTL emitter's, read off `models.graph.streams`: a folded product is a
window, a memory of weights, one of biases and sums of products; a pool is a window and running
results; an operation on single channels has its constants wired in, or in a memory where a beat
carries fewer channels than have constants of their own. FIFOs, width converters and repeated
vectors belong to no node: together they are `STREAMS`.
"""

from dataclasses import replace

import numpy as np

from bitwright.cost_model import cells
from bitwright.cost_model.amounts import Amounts, LogicPath, slowest_of
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import half
from bitwright.cost_model.formulas import counting_tables
from bitwright.cost_model.unrolled import unrolled_amounts
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntArray,
    Interval,
    IntType,
    Lookup,
    MaxPool,
    Plan,
    Requantize,
    SumPool,
    Target,
    Threshold,
    decode,
    loading,
    weight_width,
)
from bitwright.models.graph.heads import Lines, Narrow, Repeat, Sweep, Widen
from bitwright.models.graph.plan import is_depthwise
from bitwright.models.graph.positions import at_position, seen_at_position
from bitwright.models.graph.products import products
from bitwright.models.graph.streams import (
    INPUT,
    OUTPUT,
    Block,
    Step,
    Streams,
    appends_bits,
    latency,
    needs_memory,
)

STREAMS = "(streams)"
"""The name of what lies between the nodes; no node can be called that."""


def block_amounts(
    graph: Graph, plan: Plan, block: Block, step: Step, solved: bool = False
) -> Amounts:
    """What a node of a block consists of. solved: as for `unrolled_amounts`."""
    first = isinstance(block.head, Sweep) and block.steps[0] is step
    sweep = block.head if first and isinstance(block.head, Sweep) else None
    beats = loading(graph, plan).beats if step.node.name in plan.loadable else 0
    engine = plan.engines[step.node.name]
    return node_amounts(graph, plan.target, step, sweep, engine, solved=solved, load_beats=beats)


def node_amounts(
    graph: Graph,
    target: Target,
    step: Step,
    sweep: Sweep | None,
    engine: Engine,
    *,
    exact: bool = True,
    solved: bool = False,
    load_beats: int = 0,
) -> Amounts:
    """What a node behind a window (`sweep`) or without one consists of.

    exact: look at the contents of the memory of weights, rather than take it for a random one.
    solved: as for `unrolled_amounts`. load_beats: of the stream that loads the weights at run time;
    0 where they are constants.
    """
    node = step.node
    op = node.op
    source = graph.values[node.inputs[0]]
    if sweep is not None:
        if isinstance(op, Dense | Conv2d):
            types = source.type, node.output.type
            assert isinstance(engine, Folded)
            if load_beats:
                return _loadable(op, sweep, step, *types, engine, target, load_beats)
            return product(op, sweep, step, *types, engine, target, exact)
        assert isinstance(op, MaxPool | SumPool)
        view = cells.window(target, sweep, step.takes * source.type.width, addressed=False)
        begin = cells.seen(target, sweep, step.takes * source.type.width)
        widths = source.type.width, node.output.type.width
        return view + cells.pool(step.makes, *widths, isinstance(op, MaxPool), begin)
    reach, made = graph.intervals[source.name], graph.intervals[node.name]
    lanes = step.takes
    if isinstance(op, Conv2d):
        node = replace(node, op=at_position(op))
        reach = seen_at_position(op, reach)
    if isinstance(op, Threshold | Requantize | Lookup):
        if needs_memory(op, lanes, source.channels):
            types = source.type, node.output.type
            return from_memory(op, lanes, source.channels, *types, target, exact)
        rows = np.arange(lanes) % source.channels
        node = replace(node, op=_for_lanes(op, rows))
        reach, made = _for_beat(reach, lanes), _for_beat(made, lanes)
    stages = latency(node, engine)
    return unrolled_amounts(
        node, source, reach, made, lanes, stages, target, streamed=True, solved=solved
    )


def between(graph: Graph, target: Target, made: Streams) -> Amounts:
    """FIFOs, converters, copies and the counter of the output's beats."""
    total = Amounts()
    widths = {
        name: fifo.lanes * graph.values[fifo.tensor].type.width for name, fifo in made.fifos.items()
    }
    widths[INPUT] = made.input_lanes * graph.input.type.width
    for name, fifo in made.fifos.items():
        total += cells.fifo(target, widths[name], fifo.depth)
    for block in made.blocks:
        width, head = widths[block.reads[0]], block.head
        if isinstance(head, Widen):
            total += cells.upsize(width, head.ratio)
        elif isinstance(head, Narrow):
            total += cells.downsize(width // head.ratio, head.ratio)
        elif isinstance(head, Repeat):
            total += cells.repeat(target, width, head.words, head.copies)
        elif isinstance(head, Lines):
            total += cells.lines(target, head, width)
    beats = cells.bits(graph.output.size // made.fifos[OUTPUT].lanes)
    return total + Amounts(Cost(ff=beats), {"loop": beats})


def product(
    op: Dense | Conv2d,
    sweep: Sweep,
    step: Step,
    kind: IntType,
    made: IntType,
    engine: Folded,
    target: Target,
    exact: bool,
) -> Amounts:
    """A folded product, or a depthwise one."""
    depthwise = isinstance(op, Conv2d) and is_depthwise(op)
    simd, pe = 1 if depthwise else step.takes, step.makes
    width = weight_width(op.weights)
    found = cells.window(target, sweep, step.takes * kind.width, addressed=True)
    word, depth, style = pe * simd * width, sweep.passes * sweep.accesses, engine.memory
    stored = cells.rom_of_shape(target, depth, word, style)
    bias = op.bias[: sweep.passes * pe].reshape(sweep.passes, pe)
    if exact:
        weights = weight_words(op, sweep, pe, simd)
        if width == 1:  # the constants carry what a product of signs leaves out
            negative = (weights == -1).sum(axis=(1, 3))
            binary = kind.width == 1 and not kind.signed
            bias = bias - negative if binary else bias + negative
            weights = (weights + 1) // 2
        stored = cells.rom(target, weights.reshape(-1, pe * simd), width, style)
    found += stored
    constants = 0
    if np.any(bias):
        found += cells.rom(target, bias, made.width)
        constants = len(cells.stored_columns(bias, made.width))
        found += _late_pass(sweep, engine)
    form = products(op, kind, simd, loadable=False)
    begins = (
        cells.seen(target, sweep, step.takes * kind.width),
        cells.reading(target, word, depth, written=False, style=style),
    )
    return found + cells.products(
        target, pe, form, engine.stages, kind.width, made.width, constants, kind.signed, begins
    )


def _late_pass(sweep: Sweep, engine: Folded) -> Amounts:
    """The number of a pass, delayed until its sum begins."""
    return Amounts(Cost(ff=cells.bits(sweep.passes) * (engine.stages - 1)))


def _loadable(
    op: Dense | Conv2d,
    sweep: Sweep,
    step: Step,
    kind: IntType,
    made: IntType,
    engine: Folded,
    target: Target,
    load_beats: int,
) -> Amounts:
    """A folded product whose weights and biases are written by a stream."""
    simd, pe = step.takes, step.makes
    width = weight_width(op.weights)
    found = cells.window(target, sweep, simd * kind.width, addressed=True)
    for word, depth, style in (
        (pe * simd * width, sweep.passes * sweep.accesses, engine.memory),
        (pe * made.width, sweep.passes, "auto"),
    ):
        found += cells.ram(target, word, depth, style=style)
        found += cells.loader(word, depth, load_beats)
    form = products(op, kind, simd, loadable=True)
    word, depth = pe * simd * width, sweep.passes * sweep.accesses
    begins = (
        cells.seen(target, sweep, step.takes * kind.width),
        cells.reading(target, word, depth, written=True, style=engine.memory),
    )
    return (
        found
        + _late_pass(sweep, engine)
        + cells.products(
            target, pe, form, engine.stages, kind.width, made.width, pe * made.width, kind.signed,
            begins,
        )
    )  # fmt: skip


def weight_words(op: Dense | Conv2d, sweep: Sweep, pe: int, simd: int) -> IntArray:
    """Weights in the order of their use: (passes, accesses, lanes, terms)."""
    matrix = decode(op.weights)
    if isinstance(op, Conv2d) and is_depthwise(op):
        return matrix.T.reshape(sweep.passes, pe, sweep.accesses, 1).transpose(0, 2, 1, 3)
    rows, columns = sweep.window.kernel
    outputs = sweep.passes * pe
    words = len(matrix) // (rows * columns) // simd
    used = matrix[:, :outputs].reshape(words, simd, rows, columns, sweep.passes, pe)
    ordered = used.transpose(4, 2, 3, 0, 5, 1)
    return np.ascontiguousarray(ordered).reshape(sweep.passes, sweep.accesses, pe, simd)


def from_memory(
    op: Threshold | Requantize | Lookup,
    lanes: int,
    channels: int,
    kind: IntType,
    made: IntType,
    target: Target,
    exact: bool,
) -> Amounts:
    """An operation whose constants are read from a memory, beat by beat."""

    def rom(words: IntArray, width: int) -> Amounts:
        if exact:
            return cells.rom(target, words, width)
        return cells.rom_of_shape(target, len(words), words.shape[1] * width)

    steps = channels // lanes
    counter = Amounts(Cost(ff=cells.bits(steps)), {"loop": cells.bits(steps)})
    if isinstance(op, Lookup):
        table = cells.reading(target, made.width, op.table[::lanes].size, written=False)
        found = counter + Amounts(Cost(ff=lanes * made.width + 2), paths=(table,))
        for lane in range(lanes):
            found += rom(op.table[lane::lanes].reshape(-1, 1), made.width)
        return found
    if isinstance(op, Threshold):
        levels = op.thresholds.shape[1]
        clipped = np.clip(op.thresholds, kind.min, kind.max + 1)
        words = clipped.reshape(steps, lanes * levels)
        found = counter + rom(words, kind.width + 1)
        falling = op.step < 0
        other = np.stack([op.base, falling.astype(np.int64)], axis=1).reshape(steps, 2 * lanes)
        found += rom(other, made.width)
        logic = {
            "compare": float(lanes * levels * (kind.width + 1)),
            "select": float(lanes * levels), "sum": float(lanes * made.width),
        }  # fmt: skip
        ff = lanes * (kind.width + made.width) + 2
        # Comparisons with variables are carry chains; then a count, and a base that is added to it.
        begin = cells.reading(target, lanes * levels * (kind.width + 1), steps, written=False)
        path = begin.then(LogicPath(1, counting_tables(levels) + 2, kind.width + 1))
        return found + Amounts(Cost(ff=ff), logic, paths=(path,))
    bias = op.bias + half(op)
    factor, constant = _signed_width(op.multiplier), _signed_width(bias)
    summed = max(kind.width + factor, constant) + 1
    biases = rom(bias.reshape(steps, lanes), constant)
    known = Cost(ff=lanes * made.width + 3)
    known += Cost(ff=len(cells.stored_columns(bias.reshape(steps, lanes), constant)))
    if appends_bits(op):
        known += Cost(ff=lanes * 2 * kind.width)
        path = cells.reading(target, lanes * constant, steps, written=False)
        return counter + biases + Amounts(known, paths=(path,))
    found = counter + rom(op.multiplier.reshape(steps, lanes), factor) + biases
    logic = {"tree": float(lanes * summed), "masked": float(lanes * made.width)}
    begin = cells.reading(target, lanes * factor, steps, written=False)
    rounded = LogicPath(1, 3, summed)
    if cells.is_block_product(target, kind.width, factor):
        known += Cost(
            dsp=lanes * cells.multiplier_blocks(target, kind.width + (not kind.signed), factor)
        )
        if target not in ("xc7", "xcup"):  # Yosys puts those around a Xilinx one into its block
            known += Cost(ff=lanes * (2 * kind.width + factor))
    else:
        known += Cost(ff=lanes * (2 * kind.width + factor))
        logic["product"] = float(lanes * kind.width * factor)
    product = LogicPath(products=1)
    if not known.dsp:
        product = LogicPath(cells.bits(factor), 1, kind.width + factor)
    return found + Amounts(known, logic, paths=slowest_of((begin.then(product), rounded)))


def _signed_width(values: IntArray) -> int:
    return max(IntType.holding(min(int(v), -1), int(v)).width for v in values)


def _for_lanes(
    op: Threshold | Requantize | Lookup, rows: IntArray
) -> Threshold | Requantize | Lookup:
    if isinstance(op, Threshold):
        return Threshold(op.thresholds[rows], op.base[rows], op.step[rows])
    if isinstance(op, Requantize):
        return replace(op, multiplier=op.multiplier[rows], bias=op.bias[rows])
    return op if len(op.table) == 1 else Lookup(op.table[rows], op.lowest)


def _for_beat(reach: Interval, lanes: int) -> Interval:
    """What can reach each lane of a beat: all channels that it carries in turn."""
    low, high = reach.low, reach.high
    if lanes <= len(low):
        return Interval(low.reshape(-1, lanes).min(axis=0), high.reshape(-1, lanes).max(axis=0))
    return Interval(np.resize(low, lanes), np.resize(high, lanes))
