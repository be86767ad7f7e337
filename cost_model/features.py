"""What the cost of a node depends on: a few numbers from its constants and its value ranges.

Everything here is read off the graph; no plan, no target and no solver is involved.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_never

from bitwright.cost_model.blocks import Blocks, cheapest_blocks
from bitwright.cost_model.lookups import Tables, tables, truth_tables
from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Value,
    decode,
)

MOST_TABULATED = 8
"""Bits of a threshold's input up to which its truth table is looked at."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sum:
    """Sums of constant multiples (a dense layer): y[o] = sum of x[i] * W[i, o], plus bias[o].

    Columns that are equal, up to sign and a power of two, are one column: the others are wires.
    """

    inputs: int
    """Inputs that any weight reads."""
    columns: int
    """Distinct columns that are not zero."""
    digits: int
    """Non-zero canonical signed digits of the distinct columns: terms to be added."""
    separate: int
    """Additions that the distinct columns would need each by itself."""
    most: int
    """Most digits in one column."""
    positions: int
    """Bits of the largest weight."""
    input_width: float
    """Mean bits of an input, weighted by the digits that read it."""
    sum_width: float
    """Mean bits of an output without its trailing zeros."""
    constant_bits: int
    """Bits of the outputs to which a bias is added."""
    output_bits: int
    """Bits of all outputs that differ from each other: what their registers hold."""
    blocks: Blocks | None = None
    """The other way to add up, where all weights are of one magnitude."""

    @property
    def density(self) -> float:
        """Share of the digit positions that are not zero."""
        return self.digits / max(self.inputs * self.columns * self.positions, 1)


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """Thresholds; arrays with one entry an element.

    levels: distinct thresholds that the input can reach, so that comparing is not a constant.
    compared_bits: bits of all comparisons; constants with equal low bits share comparing them.
    signals: by how many of the lower bits are compared first, from none to all, how many signals
    decide the output: the upper bits, and what those comparisons found. Few, where thresholds are
    evenly spaced. below_bits: bits of those comparisons. Shape (elements, widest input + 1).
    reads: how many bits of the input each bit of the output depends on, 0 where it is one of them;
    shape (elements, bits of the output), all -1 where the input is wider than MOST_TABULATED.
    """

    input_width: Floats
    levels: Floats
    compared_bits: Floats
    signals: Floats
    below_bits: Floats
    output_width: Floats
    reads: IntArray

    @property
    def output_bits(self) -> int:
        """Bits of all outputs, each as wide as its own range."""
        return int(self.output_width.sum())


@dataclass(frozen=True, eq=False, slots=True)
class Rescale:
    """A requantiser; arrays with one entry an element.

    product_bits: bits of the adders of the constant product. digits: canonical signed digits of the
    multiplier. constant_bits: bits of the addition of the bias and the half that rounds, 0 for
    none. tie_bits: bits below the kept ones, looked at to round a tie to even. upper_bits: bits
    above the kept ones, looked at to saturate.
    """

    input_width: Floats
    digits: Floats
    product_width: Floats
    product_bits: Floats
    constant_bits: Floats
    tie_bits: Floats
    upper_bits: Floats
    output_width: Floats

    @property
    def output_bits(self) -> int:
        """Bits of all outputs, each as wide as its own range."""
        return int(self.output_width.sum())


@dataclass(frozen=True, slots=True)
class Wires:
    """Only wiring: no cells, no registers, no control."""


@dataclass(frozen=True, slots=True)
class Addition:
    """Elements of several tensors added up, with constant multipliers."""

    sum_bits: float
    """Bits of the adders of all elements, those of the constant products among them."""
    levels: int
    output_bits: int
    elements: int


@dataclass(frozen=True, slots=True)
class Contest:
    """The number of the largest of `channels` values."""

    channels: int
    width: int
    output_bits: int


Features = Sum | Steps | Rescale | Tables | Wires | Addition | Contest


def features(graph: Graph, node: Node) -> Features:
    """The features of a node of the graph that is unrolled, and takes the whole tensor at once."""
    source = graph.values[node.inputs[0]]
    return features_of(
        node, source, graph.intervals[source.name], graph.intervals[node.name], source.size
    )


def features_of(node: Node, source: Value, x: Interval, y: Interval, elements: int) -> Features:
    """The features of unrolled hardware that takes `elements` at once of what the node reads.

    x, y: what can reach each channel of its input and its output.
    """
    copies = elements // len(x.low)  # a channel's hardware, once for every element
    op = node.op
    match op:
        case Dense():
            return _sum(decode(op.weights), op.bias, x, y, node.output.type)
        case Threshold():
            return _steps(op, x, y, copies)
        case Requantize():
            return _rescale(op, x, y, copies, node.output.type)
        case Lookup():
            return tables(op, node.output.type, elements if len(op.table) == 1 else copies)
        case BitPlanes() | Concat() | Reshape():
            return Wires()
        case Add():
            return _addition(op, y, elements)
        case ArgMax():
            return Contest(elements, source.type.width, node.output.type.width)
        case Conv2d() | MaxPool() | SumPool():
            # Always behind a window: streamed.py has what they consist of.
            raise GraphError(f"node {node.name} ({node.kind}) has no unrolled hardware")
        case _:
            assert_never(op)


def signed_digits(values: IntArray) -> IntArray:
    """Non-zero digits of each value's canonical signed-digit form (Reitwiesner 1960)."""
    magnitude = np.abs(values).astype(np.uint64)
    return _ones((3 * magnitude) ^ magnitude)


def widths(interval: Interval) -> IntArray:
    """Bits of each channel's own range; 0 where only one value can occur."""
    return np.array(
        [
            0 if low == high else IntType.holding(int(low), int(high)).width
            for low, high in zip(interval.low, interval.high, strict=True)
        ],
        dtype=np.int64,
    )


def _sum(weights: IntArray, bias: IntArray, x: Interval, y: Interval, kind: IntType) -> Sum:
    odd, zeros = _without_trailing_zeros(weights)
    used = weights.any(axis=0)
    registered = _registered(bias, y, kind) - np.where(used, zeros, 0)
    made = widths(y)
    sums = np.where(made > 0, made - zeros, 0)  # what is added; trailing zeros are wires
    # Equal outputs are one register, and so are those that only trailing zeros tell apart.
    outputs = np.vstack([odd, np.where(bias != 0, zeros, 0), bias])
    each = np.unique(outputs, axis=1, return_index=True)[1]
    binary = bool(np.all(np.abs(odd) == 1))
    negative = int(((odd[0] < 0) & (bias == 0))[each].sum())
    odd = odd[:, used]
    rows, columns = odd.any(axis=1), odd.shape[1]
    if columns:
        first = (odd != 0).argmax(axis=0)
        odd = np.unique(odd * np.sign(odd[first, np.arange(columns)]), axis=1)
    digits = signed_digits(odd)
    terms = digits.sum(axis=0)
    reads = digits.sum(axis=1)
    input_width = float(widths(x) @ reads / max(reads.sum(), 1))
    return Sum(
        inputs=int(rows.sum()),
        columns=odd.shape[1],
        digits=int(terms.sum()),
        separate=int(np.maximum(terms - 1, 0).sum()),
        most=int(terms.max(initial=0)),
        positions=int(np.abs(odd).max(initial=0)).bit_length(),
        input_width=input_width,
        sum_width=float(sums[sums > 0].mean()) if (sums > 0).any() else 0.0,
        constant_bits=int(made[each][bias[each] != 0].sum()),
        output_bits=int(np.maximum(registered[each], 0).sum()),
        blocks=cheapest_blocks(odd, input_width, negative) if binary else None,
    )


def _registered(bias: IntArray, y: Interval, kind: IntType) -> IntArray:
    """Bits of each output of a dense layer before they repeat the sign.

    A tool knows the width of a sum from its terms, not from the values that can occur: where a bias
    is added, one bit more than the wider of the two.
    """
    bits = []
    for low, high, b in zip(y.low, y.high, bias, strict=True):
        if low == high or b == 0:
            bits.append(0 if low == high else IntType.holding(int(low), int(high)).width)
            continue
        least, most = int(low - b), int(high - b)
        if most <= 0:  # made as a positive sum and subtracted
            least, most = -most, -least
        term, constant = IntType.holding(least, most), IntType.holding(int(b), int(b))
        signed = term.signed or constant.signed
        wider = max(one.width + (signed and not one.signed) for one in (term, constant))
        bits.append(min(wider + 1, kind.width))
    return np.array(bits, dtype=np.int64)


def _steps(op: Threshold, x: Interval, y: Interval, copies: int) -> Steps:
    low, high = x.low.astype(np.int64)[:, None], x.high.astype(np.int64)[:, None]
    # Out of reach is a constant; all of those in one place, where they count for nothing.
    reached = np.where((op.thresholds > low) & (op.thresholds <= high), op.thresholds, low)
    levels = _distinct(reached) - (reached == low).any(axis=1)
    width = widths(x)
    offset = reached - np.where(low < 0, -(1 << np.maximum(width - 1, 0)[:, None]), 0)
    compared = np.zeros(len(width), dtype=np.int64)
    made = widths(y)
    signals, below, windowed = [width], [compared], []
    highest = np.where(reached == low, -1, offset).max(axis=1, initial=0)[:, None]
    placed = np.where(reached == low, highest, offset)
    for bit in range(int(width.max(initial=0))):
        rest = np.where(reached == low, 0, offset % (2 << bit))
        # Comparing the bits up to this one: with zeros it is always true, with a one and zeros
        # below it is this bit itself, and equal constants are compared once.
        inside = bit < width
        compared = compared + np.where(inside, _nonzero(np.where(rest == 1 << bit, 0, rest)), 0)
        signals.append(np.where(inside, width - bit - 1 + _nonzero(rest), signals[-1]))
        below.append(compared)
        # All thresholds in few places of the upper bits: those decide once for each place, and
        # for each bit of the output, rather than for each threshold.
        places = _distinct(placed >> (bit + 1))
        upper = np.maximum(width - bit - 1, 0)
        windowed.append(compared + np.where(upper > 0, places * (2 * upper + made), 0))
    if windowed:
        compared = np.min(windowed, axis=0)
    by_cut = (np.stack(a, axis=1).astype(np.float64) for a in (signals, below))
    every_signals, every_below = (np.tile(a, (copies, 1)) for a in by_cut)
    return Steps(
        input_width=_each(width, copies),
        levels=_each(levels, copies),
        compared_bits=_each(compared, copies),
        signals=every_signals,
        below_bits=every_below,
        output_width=_each(made, copies),
        reads=np.tile(_step_reads(op, x, y), (copies, 1)),
    )


def _step_reads(op: Threshold, x: Interval, y: Interval) -> IntArray:
    """Input bits that each output bit of each channel depends on."""
    own = widths(x)
    width, made = int(own.max(initial=1)), int(widths(y).max(initial=1))
    if not 1 <= width <= MOST_TABULATED:
        return np.full((len(x.low), max(made, 1)), -1)
    # Each channel's own bits, as they are seen: those above them are not there.
    codes = np.arange(1 << width) & ((1 << own) - 1)[:, None]
    top = codes >> np.maximum(own - 1, 0)[:, None] & (x.low < 0).astype(np.int64)[:, None]
    codes = codes - (top << own[:, None])
    inputs = np.clip(codes, x.low.astype(np.int64)[:, None], x.high.astype(np.int64)[:, None])
    reached = (inputs[:, :, None] >= op.thresholds[:, None, :]).sum(axis=2)
    values = op.base[:, None] + op.step[:, None] * reached
    columns = (values[:, None, :] >> np.arange(made)[:, None] & 1).astype(bool)
    flat = columns.reshape(-1, 1 << width)
    reads = truth_tables(flat).reads
    for bit in range(width):
        same = np.repeat((codes >> bit & 1).astype(bool), made, axis=0)
        reads[(flat == same).all(axis=1)] = 0
    return reads.reshape(len(columns), made)


def _nonzero(rows: IntArray) -> IntArray:
    """How many different values, zero aside, each row holds."""
    return np.asarray(_distinct(rows) - (rows == 0).any(axis=1))


def _distinct(rows: IntArray) -> IntArray:
    """How many different values each row holds."""
    ordered = np.sort(rows, axis=1)
    return np.asarray(1 + (np.diff(ordered, axis=1) != 0).sum(axis=1))


def half(op: Requantize) -> int:
    """What a requantiser adds so that cutting bits off rounds."""
    return 1 << (op.shift - 1) if op.rounding != "floor" and op.shift > 0 else 0


def _rescale(op: Requantize, x: Interval, y: Interval, copies: int, kind: IntType) -> Rescale:
    odd, zeros = _without_trailing_zeros(op.multiplier[None, :])
    odd, digits = odd[0], signed_digits(op.multiplier)
    growth = np.maximum(_lengths(odd) - 1, 0)
    source = widths(x)
    product = np.where(digits > 0, source + growth, 0)
    constant = op.bias + half(op)
    varies = digits > 0
    # A constant below the product's lowest bit is its low bits, and nothing is added.
    below = varies & (constant >= 0) & (_lengths(constant) <= zeros)
    added = varies & (constant != 0) & ~below
    # A sum is as wide as its wider term and a carry; the constant's trailing zeros pass through.
    total = np.maximum(product + zeros, np.where(below, 0, _lengths(constant) + 1)) + added
    passing = np.where(constant == 0, zeros, np.minimum(zeros, _trailing_zeros(constant)))
    tie = np.maximum(op.shift - passing, 0) * (op.rounding == "half_even")
    cut = np.where(varies, np.maximum(total - op.shift - kind.width, 0), 0)
    # Low bits that no product reaches are constants, and have no register.
    registered = widths(y) - np.where(varies & (cut == 0), np.maximum(zeros - op.shift, 0), 0)
    parts = (
        source,
        digits,
        product,
        np.maximum(digits - 1, 0) * (source + 1 + growth / 2),
        np.where(added, total - _trailing_zeros(constant), 0),
        np.where(varies, tie, 0),
        cut,
        np.maximum(registered, 0),
    )
    return Rescale(*(_each(part, copies) for part in parts))


def _addition(op: Add, y: Interval, elements: int) -> Addition:
    wide = widths(y)
    digits = signed_digits(np.array(op.multipliers, dtype=np.int64))
    adders = int(digits.sum()) - 1
    output_bits = int(wide.sum()) * elements // len(wide)
    return Addition(adders * output_bits, int(np.ceil(np.log2(adders + 1))), output_bits, elements)


def _each(channels: npt.NDArray[np.generic], copies: int) -> Floats:
    return np.tile(channels.astype(np.float64), copies)


def _without_trailing_zeros(matrix: IntArray) -> tuple[IntArray, IntArray]:
    """Each column divided by the largest power of two that divides all of it, and its exponent."""
    zeros = _trailing_zeros(np.bitwise_or.reduce(matrix, axis=0))
    return matrix >> zeros, zeros


def _trailing_zeros(values: IntArray) -> IntArray:
    """Zero bits below the lowest one; 0 for zero."""
    lowest = (values & -values).astype(np.uint64)
    return np.where(values == 0, 0, _ones(lowest - np.uint64(1)))


def _lengths(values: IntArray) -> IntArray:
    """Bits of each magnitude; 0 for zero."""
    return np.array([abs(int(v)).bit_length() for v in values], dtype=np.int64)


def _ones(values: npt.NDArray[np.uint64]) -> IntArray:
    return np.asarray(np.bitwise_count(values).astype(np.int64))
