"""From features to amounts of logic: structure from first principles, no number of a device family.

The hardware is the unrolled engine: a dense layer is one adder graph with shared subexpressions, a
requantiser a small one per channel with rounding and saturation after it, a threshold a set of
comparisons with constants whose thermometer code selects the output, a lookup a truth table for
each output bit. A node's pipeline advances under one enable; a valid and a last bit travel along.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from typing_extensions import assert_never

from bitwright.cost_model.amounts import Amounts, LogicPath, slowest_of
from bitwright.cost_model.blocks import Blocks
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import (
    MOST_TABULATED,
    Addition,
    Contest,
    Features,
    Rescale,
    Steps,
    Sum,
    Wires,
)
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.targets import TABLES
from bitwright.models.graph import Target

# How an adder graph shares, fitted to alkaid 0.8.2's solutions of 595 random matrices (4 to 96
# inputs, 1 to 64 outputs, 1 to 8 bits, 10 to 100 % non-zero; the emitter's options).
_SHARING, _BY_OUTPUTS, _BY_DENSITY, _BY_INPUTS = 0.359, 0.316, 1.19, 0.182


_SHORT = 4  # bits of comparisons and additions that are tables
_FEW = 6  # signals that decide in a table and the multiplexers beside it


def shared_additions(s: Sum) -> float:
    """Additions of two variables that are left of `s.separate` once common ones are shared.

    A pair of terms can be shared where it occurs again: in another column or, shifted, at another
    position, which is likelier the denser the digits are. One column of 1-bit weights has nothing
    to share. On the matrices of the fit: median error 5.5 %, 95th percentile 21 %.
    """
    again = max(s.columns * s.positions - 1, 0)
    saving = _SHARING * math.pow(again, _BY_OUTPUTS)
    saving *= math.pow(s.density, _BY_DENSITY) * math.pow(s.inputs, _BY_INPUTS)
    return s.separate / (1 + saving)


def addition_width(s: Sum) -> float:
    """Mean bits of an addition, without the low bits that only pass through.

    Half of a tree's additions are at the inputs, so the mean is near their width; sharing removes
    additions at the inputs first. Fitted as above: median error 3 %, 95th percentile 10 %.
    """
    shared = s.separate / max(shared_additions(s), 1)
    return 0.4 + 0.895 * s.input_width + 0.179 * s.sum_width + 0.127 * s.positions + 0.432 * shared


def cheaper_blocks(s: Sum) -> Blocks | None:
    """The blocks of a binary layer where they have fewer bits to add than shared additions."""
    if s.blocks is None or s.blocks.bits >= shared_additions(s) * addition_width(s):
        return None
    return s.blocks


def additions(s: Sum) -> tuple[float, float]:
    """Additions of two variables, and their mean bits, in the form that the emitter chooses."""
    blocks = cheaper_blocks(s)
    if blocks is not None:
        return blocks.additions, blocks.bits / max(blocks.additions, 1)
    return shared_additions(s), addition_width(s)


def sum_levels(s: Sum) -> int:
    """Additions on the longest path: a balanced tree, one more for sharing, one for the bias."""
    blocks = cheaper_blocks(s)
    if blocks is not None:
        return blocks.levels + (s.constant_bits > 0)
    sharing = s.separate >= 40
    return math.ceil(math.log2(max(s.most, 1))) + sharing + (s.constant_bits > 0)


def sum_cut_bits(s: Sum, level: float) -> float:
    """Bits alive between two levels of a dense layer's adder graph: what a register there holds.

    level: additions done, 0 ... sum_levels. Before any, the inputs. After that the values fall
    geometrically to one a column, while their width grows; right behind the inputs few sums are
    made yet. Fitted as above to the cuts of 2 to 6 stages: median error 9 % of the bits of a layer,
    95th percentile 36 %. Blocks of binary weights know theirs.
    """
    if level < 1 or s.columns == 0:
        return s.inputs * s.input_width
    blocks = cheaper_blocks(s)
    if blocks is not None:
        return blocks.alive[min(int(level), blocks.levels)]
    levels = max(sum_levels(s) - (s.constant_bits > 0), 1)
    done = min(level / levels, 1)
    a_column = max(shared_additions(s) / s.columns, 1)
    values = (
        s.columns * math.pow(a_column, 1.064 * (1 - done)) * (1 - 1.085 * math.exp(-0.947 * level))
    )
    return values * (0.848 * s.input_width + 1.084 * done * (s.sum_width - s.input_width))


@dataclass(frozen=True, slots=True)
class Depth:
    """The logic of a node's longest path: additions, then look-up tables after the last one."""

    additions: int
    tables: int


def depth(f: Features, target: Target) -> Depth:
    """How deep a node's logic is, input register to output register, without any cut inside."""
    match f:
        case Sum():
            return Depth(sum_levels(f), 0)
        case Steps():
            # Few signals decide in a table or two; otherwise a chain of tables compares, and
            # what it finds is counted.
            width, levels = int(f.input_width.max(initial=1)), int(f.levels.max(initial=1))
            deciding = 1 + math.ceil(math.log(max(width, 2), 4))
            if f.signals.min(axis=1).max(initial=0) <= _FEW:
                return Depth(0, deciding)
            if f.signals[:, :5].min(axis=1).max(initial=0) <= _FEW + 1:  # or a bit more
                return Depth(0, deciding + 1)
            return Depth(0, math.ceil(width / 3) + counting_tables(levels))
        case Rescale():
            return Depth(_rescale_levels(f), rounding_tables(f))
        case Tables():
            return Depth(0, table_levels(int(f.reads.max(initial=1)), target))
        case Wires():
            return Depth(0, 0)
        case Addition():
            return Depth(f.levels, 0)
        case Contest():
            levels = math.ceil(math.log2(max(f.channels, 2)))
            return Depth(levels, levels)  # a comparison, and what it selects, a level
        case _:
            assert_never(f)


def counting_tables(levels: int) -> int:
    """Selections behind one another in the count of a thermometer code of so many levels.

    Each bit of the count selects by all the bits above it, and they by those above them.
    """
    bits = levels.bit_length()
    return bits * (bits - 1) // 2


def rounding_tables(f: Rescale) -> int:
    """Tables behind a requantiser's additions: a tie is found, and what saturates."""
    return 1 + bool(f.upper_bits.any()) + bool(f.tie_bits.any())


def table_levels(reads: int, target: Target) -> int:
    """Tables and multiplexers behind one another in a truth table of so many inputs.

    Multiplexers beside the tables select by the inputs beyond a table's, one level each.
    """
    return 1 + max(reads - TABLES[target].inputs, 0)


def cuts(f: Features, stages: int) -> list[float]:
    """Levels of additions before each register inside a node, `stages` - 1 of them.

    A threshold or a lookup has none inside: all its registers follow its logic, where synthesis
    may move them.
    """
    match f:
        case Sum():
            levels = max(sum_levels(f), 1)
        case Steps() | Tables() | Wires() | Addition() | Contest():
            return []
        case Rescale():
            levels = _rescale_levels(f) + 1  # rounding and saturation are the last
        case _:
            assert_never(f)
    return [levels * stage // stages for stage in range(1, stages)]


def paths(f: Features, stages: int, target: Target) -> tuple[LogicPath, ...]:
    """The slowest stage: the most additions, or the last ones and the tables behind them."""
    whole = depth(f, target)
    if isinstance(f, Contest):
        # A level compares, and then selects. Short comparisons are no carry chains.
        levels = whole.additions
        chained = f.width > _SHORT
        return (LogicPath(2 * levels * chained, 2 * levels * (not chained), levels * f.width),)
    if not isinstance(f, Sum | Rescale):
        return (LogicPath(whole.additions, whole.tables, _sum_bits(f)),)
    # The same split as the cuts; what follows the last cut includes the tables.
    ends = [0.0, *cuts(f, stages)]
    last = whole.additions - ends[-1]
    inner = max((b - a for a, b in pairwise(ends)), default=0.0)
    bits = _sum_bits(f)
    ends_here = LogicPath(math.ceil(last), whole.tables, bits)
    return slowest_of((LogicPath(math.ceil(inner), 0, bits), ends_here))


def _sum_bits(f: Features) -> int:
    """Bits of a node's last additions."""
    match f:
        case Sum():
            return math.ceil(f.sum_width)
        case Rescale():
            return int(f.product_width.max(initial=0))
        case Addition():
            return math.ceil(f.sum_bits / max(f.levels, 1) / max(f.elements, 1))
        case Steps() | Tables() | Wires() | Contest():
            return 0
        case _:
            assert_never(f)


def control(stages: int, streamed: bool = False) -> Amounts:
    """A node's pipeline control.

    streamed: in a pipeline that never stands still, a bit a stage says that a beat is valid.
    """
    if streamed:
        return Amounts(Cost(ff=stages), {"reset": 1})
    return Amounts(Cost(ff=2 * stages), {"handshake": 1})  # a valid and a last bit a stage


def piped(made: Amounts, stages: int, streamed: bool) -> Amounts:
    """A node's logic with its pipeline's control, which enables all registers at once."""
    whole = control(stages, streamed) + made
    return whole if streamed else whole.enabled()


def amounts(f: Features, stages: int, target: Target, streamed: bool = False) -> Amounts:
    """What a node with `stages` pipeline stages consists of."""
    inside = float(getattr(f, "output_bits", 0) * (stages - 1))
    tables: tuple[Tables, ...] = ()
    match f:
        case Wires():
            return Amounts()
        case Sum():
            count, width = additions(f)
            logic = {"shared": count * max(width - 1, 0), "constant": float(f.constant_bits)}
            inside = sum(sum_cut_bits(f, level) for level in cuts(f, stages))
        case Steps():
            logic = step_logic(f, target)
        case Rescale():
            logic = rounding_logic(f)
            logic["scaled"] = float(f.product_bits.sum())
            logic["offset"] = float(f.constant_bits.sum())
            inside = sum(rescale_cut_bits(f, level) for level in cuts(f, stages))
        case Tables():
            logic, tables = {}, (f,)
        case Addition():
            logic = {"tree": f.sum_bits}
        case Contest():
            # A comparison of the values (a bit a carry), and the selection of value and index.
            pairs = float(f.channels - 1)
            logic = {"largest": pairs * f.width, "select": pairs * (f.width + f.output_bits)}
        case _:
            assert_never(f)
    known = Cost(ff=f.output_bits + round(inside))
    made = Amounts(known, logic, tables, paths(f, stages, target))
    return piped(made, stages, streamed)


def rounding_logic(f: Rescale) -> dict[str, float]:
    """What follows the adders of a requantiser."""
    return {
        "kept": float((f.output_width * (f.upper_bits > 0)).sum()),
        "tie": float(f.tie_bits.sum()),
        "upper": float(f.upper_bits.sum()),
    }


# Look-up tables for a bit of a comparison, and for an output bit that so many signals decide:
# enough to tell which form a mapper takes. The sizes themselves are fitted.
_COMPARING: Mapping[Target, float] = {
    "xc7": 0.31, "xcup": 0.31, "ecp5": 0.5, "ice40": 0.43, "gowin": 0.6,
}  # fmt: skip
_DECIDING: Mapping[Target, tuple[float, ...]] = {
    "xc7": (0, 1, 1, 1, 1, 1, 1, 2, math.inf),
    "xcup": (0, 1, 1, 1, 1, 1, 1, 2, math.inf),
    "ecp5": (0, 1, 1, 1, 1, 2, 3.5, 5.5, 9),
    "ice40": (0, 1, 1, 1, 1, 2.5, 3.6, 4.7, 7),
    "gowin": (0, 1, 1, 1, 1, 2, 3.5, 7, 14),
}
_WHOLE: Mapping[Target, int] = {"xc7": 7, "xcup": 7, "ecp5": 4, "ice40": 4, "gowin": 8}
"""Inputs of a truth table that is never taken apart: multiplexers beside the tables make it fast,
and that comes first for these mappers."""


def step_logic(f: Steps, target: Target) -> dict[str, float]:
    """Each element in the form a mapper takes: all comparisons, or few signals that decide."""
    deciding = np.full(int(max(f.signals.max(initial=0), MOST_TABULATED)) + 1, np.inf)
    deciding[: MOST_TABULATED + 1] = _DECIDING[target]
    tables = deciding[f.signals.astype(np.int64)] * np.maximum(f.output_width, 1)[:, None]
    known = (f.reads >= 0).all(axis=1)
    tables[known, 0] = deciding[f.reads[known]].sum(axis=1)
    each = tables + _COMPARING[target] * f.below_bits
    whole = f.input_width <= _WHOLE[target]
    each[whole, 1:] = np.inf
    best, rows = each.argmin(axis=1), np.arange(len(each))
    some = f.levels > 0
    few = some & (whole | (each[rows, best] < _COMPARING[target] * f.compared_bits))
    all_of = some & ~few
    return {
        "compared": float(f.compared_bits[all_of].sum()),
        "counted": float(f.output_width[all_of].sum()),
        "below": float(f.below_bits[rows, best][few].sum()),
        "decided": float(tables[rows, best][few].sum()),
    }


def table_count(f: Tables, target: Target) -> float:
    """Look-up tables of what is deeper than one: its parts, and what selects them.

    Beside the tables are free multiplexers for some more inputs; beyond those, tables select.
    """
    c = TABLES[target]
    beyond = np.maximum(f.reads - c.inputs, 0)
    ways = np.exp2(np.maximum(beyond - c.free_inputs, 0))
    # No more ways than parts: equal parts need no selection.
    selecting = np.maximum(c.lut_select * (np.minimum(ways, f.parts[c.inputs]) - 1), 0)
    return float((f.parts[c.inputs] + selecting)[beyond > 0].sum())


def rescale_cut_bits(f: Rescale, level: float) -> float:
    """Bits alive between two levels of a requantiser: the input, growing into the product."""
    levels = max(_rescale_levels(f) - bool(f.constant_bits.any()), 1)
    done = min(level / levels, 1)
    return float((f.input_width + done * (f.product_width - f.input_width)).sum())


def _rescale_levels(f: Rescale) -> int:
    most = float(f.digits.max(initial=0))
    return math.ceil(math.log2(max(most, 1))) + bool(f.constant_bits.any())
