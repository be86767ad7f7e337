"""What a solved adder graph consists of, bit by bit: what is added, inverted, chained, registered.

The graph is the one that the RTL emitter prints. Each addition is one carry chain, without the low
bits that only pass through. A bit that passes through is the same signal as before, so that it is
inverted or registered once only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bitwright.cost_model.amounts import Amounts, LogicPath, slowest_of
from bitwright.cost_model.cost import Cost
from bitwright.models.adders import AdderGraph, Output, Schedule, schedule
from bitwright.models.graph import IntType, Target

CHAINED: dict[Target, int] = {"xc7": 4, "xcup": 4, "ecp5": 2, "ice40": 1, "gowin": 1}
"""Bits of an addition to a carry cell; Yosys maps UltraScale+ to CARRY4 as well."""

SHORTEST: dict[Target, int] = {"xc7": 3, "xcup": 3, "ecp5": 5, "ice40": 3, "gowin": 3}
"""Bits of the shortest addition that Yosys' maps make a carry chain of; shorter ones are logic."""

_NARROW = (0.0, 1.0, 1.7, 3.5)  # tables of a sum of so many bits, as one function each

_ZERO, _ONE = -1, -2  # signals that are constant

Bits = list[int]
"""Signals, the lowest bit first."""


@dataclass(eq=False, slots=True)
class _Netlist:
    """The signals of an adder graph and what makes them."""

    target: Target
    signals: int = 0
    added: set[tuple[bool, int, int]] = field(default_factory=set)
    inverted: set[tuple[int, int]] = field(default_factory=set)
    stage: int = 1
    cells: int = 0
    narrow: list[int] = field(default_factory=list)

    def new(self, count: int) -> Bits:
        """So many signals."""
        self.signals += count
        return list(range(self.signals - count, self.signals))

    def sum(self, left: Bits, right: Bits, subtract: bool) -> Bits:
        """left + right or left - right, both as wide as the result."""
        passed = 0
        for a, b in zip(left, right, strict=True):
            if b != _ZERO and (subtract or a != _ZERO):
                break
            passed += 1
        low = [b if a == _ZERO else a for a, b in zip(left[:passed], right[:passed], strict=True)]
        count = len(left) - passed
        if count < SHORTEST[self.target]:
            self.narrow.append(count)
            return low + self.new(count)
        # The first carry of a chain on iCE40 is an input of its own.
        self.cells += count - 1 if self.target == "ice40" else -(-count // CHAINED[self.target])
        for a, b in zip(left[passed:], right[passed:], strict=True):
            if a >= 0 and b >= 0:
                self.added.add((subtract, a, b))
            self._invert(a, b, subtract)
        return low + self.new(count)

    def _invert(self, a: int, b: int, subtract: bool) -> None:
        """What of a and b a table has to invert, where the chain does not do that itself."""
        if self.target in ("ecp5", "gowin"):
            return
        if self.target == "ice40":  # a carry takes its inputs as they are
            if subtract and b >= 0:
                self.inverted.add((self.stage, b))
        elif a >= 0 > b and (b == _ONE) != subtract:
            self.inverted.add((self.stage, a))
        elif b >= 0 > a and (a == _ONE) != subtract:
            self.inverted.add((self.stage, b))


def _placed(bits: Bits, shift: int, width: int, signed: bool) -> Bits:
    """Bits shifted up, and extended to a width."""
    above = bits[-1] if signed and bits else _ZERO
    return ([_ZERO] * shift + bits + [above] * width)[:width]


def _constant(value: int, width: int) -> Bits:
    return [_ONE if value >> i & 1 else _ZERO for i in range(width)]


def adder_amounts(
    graph: AdderGraph, target: Target, stages: int, output: IntType | None, tables_after: int = 0
) -> Amounts:
    """The cells of an adder graph with its pipeline registers.

    output: the type of the outputs, which are registered too; None where a requantiser follows,
    with `tables_after` behind one another: one level of logic more.
    """
    made = schedule(graph, stages, int(output is None))
    widths = graph.widths(None if output is None else output.width)
    signed = [low < 0 for low in graph.low]
    stage_of = {i: stage for stage, values in made.adders.items() for i in values}
    registered = _registered(graph, made, stage_of)
    net = _Netlist(target)
    values = [net.new(width) for width in widths[: graph.inputs]]
    for i, adder in enumerate(graph.adders, start=graph.inputs):
        width, net.stage = widths[i], stage_of[i]
        left = _placed(values[adder.left], adder.left_shift, width, signed[adder.left])
        right = _placed(values[adder.right], adder.right_shift, width, signed[adder.right])
        values.append(net.sum(left, right, adder.subtract) if width else [])
    net.stage = stages
    ends = {
        o: _output(net, graph, o, values, signed, output)
        for o in dict.fromkeys(graph.outputs)
        if o.source is not None
    }
    registers = sum(
        len({bit for i in kept for bit in values[i]}) for kept in made.registers.values()
    )
    if output is not None:
        registers += len({bit for bits in ends.values() for bit in bits if bit >= 0})
    differences = [i for i in registered if graph.adders[i - graph.inputs].subtract]
    logic = {
        "added": float(len(net.added)), "inverted": float(len(net.inverted)),
        "chain": float(net.cells), "narrow": sum(_NARROW[n] for n in net.narrow if n < 4),
        "short": float(net.narrow.count(4)),
        "registered": float(len(registered if target == "ice40" else differences)),
    }  # fmt: skip
    return Amounts(
        Cost(ff=registers),
        logic,
        paths=_paths(graph, stage_of, widths, stages, tables_after, target),
    )


def _registered(graph: AdderGraph, made: Schedule, stage_of: dict[int, int]) -> set[int]:
    """Sums with a register right behind them."""
    found = {i for stage, kept in made.registers.items() for i in kept if stage_of.get(i) == stage}
    wires = {o.source for o in graph.outputs if o.is_wire and o.source is not None}
    return found | {i for i in wires if i >= graph.inputs}


def _output(
    net: _Netlist,
    graph: AdderGraph,
    end: Output,
    values: list[Bits],
    signed: list[bool],
    output: IntType | None,
) -> Bits:
    """The signals of an output: what it adds to its source, as wide as a tool takes it for.

    A tool knows the width of a sum from its terms, not from the values that can occur: one bit more
    than the wider of the two.
    """
    assert end.source is not None
    most = graph.output_width(end) if output is None else output.width
    source, is_signed = values[end.source], signed[end.source]
    own = len(source) + end.shift
    if end.is_wire:
        return _placed(source, end.shift, min(own, most), is_signed)
    size = abs(end.constant)
    subtract = end.negate or end.constant < 0
    widest = max(own + (not is_signed and end.negate), size.bit_length() + is_signed)
    width = min(widest + 1, most)
    term = _placed(source, end.shift, width, is_signed)
    if end.negate:
        return net.sum(_constant(end.constant, width), term, True)
    return net.sum(term, _constant(size, width), subtract)


def _paths(
    graph: AdderGraph,
    stage_of: dict[int, int],
    widths: Sequence[int],
    stages: int,
    tables_after: int,
    target: Target,
) -> tuple[LogicPath, ...]:
    """The most additions behind each other in one stage, and what follows them at the end."""
    nothing = LogicPath()
    at = dict.fromkeys(range(graph.inputs), nothing)
    for i, adder in enumerate(graph.adders, start=graph.inputs):
        here = stage_of[i]
        before = max(
            (
                at[source] if stage_of.get(source, 0) == here else nothing
                for source in (adder.left, adder.right)
            ),
            key=_length,
        )
        chained = widths[i] >= SHORTEST[target]
        at[i] = LogicPath(before.additions + chained, before.tables + (not chained), widths[i])
    paths = [nothing, *at.values()]
    for output in graph.outputs:
        if output.source is None:
            continue
        last = stage_of.get(output.source, 1) == stages
        before = at[output.source] if last else nothing
        additions = before.additions + (not output.is_wire)
        tables = before.tables + tables_after
        paths.append(LogicPath(additions, tables, graph.output_width(output)))
    return slowest_of(paths)


def _length(path: LogicPath) -> tuple[float, int]:
    return path.additions + path.tables / 2, path.bits
