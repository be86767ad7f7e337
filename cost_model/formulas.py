"""From features to resources and delay: structure from first principles, numbers from targets.py.

The hardware is the unrolled engine: a dense layer is one adder graph with shared subexpressions, a
requantiser a small one per channel with rounding and saturation after it, a threshold a set of
comparisons with constants whose thermometer code selects the output, a lookup a truth table for
each output bit. A node's pipeline advances under one enable; a valid and a last bit travel along.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from typing_extensions import assert_never

from bitwright.cost_model.blocks import Blocks
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import (
    Addition,
    Contest,
    Features,
    Rescale,
    Steps,
    Sum,
    Wires,
)
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.targets import (
    Coefficients,
    Delays,
    LookupCells,
    RescaleCells,
    StepCells,
    SumCells,
)

# How an adder graph shares, fitted to alkaid 0.8.2's solutions of 595 random matrices (4 to 96
# inputs, 1 to 64 outputs, 1 to 8 bits, 10 to 100 % non-zero; the emitter's options).
_SHARING, _BY_OUTPUTS, _BY_DENSITY, _BY_INPUTS = 0.359, 0.316, 1.19, 0.182


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


def depth(f: Features) -> Depth:
    """How deep a node's logic is, input register to output register, without any cut inside."""
    match f:
        case Sum():
            return Depth(sum_levels(f), 0)
        case Steps():
            # A comparison takes a tree of tables, the selection one of two levels a table.
            width, levels = f.input_width.max(initial=1), f.levels.max(initial=1)
            compared = math.ceil(math.log(max(width, 2), 4))
            return Depth(0, compared + math.ceil(math.log2(levels + 1) / 2))
        case Rescale():
            return Depth(_rescale_levels(f), 2 + bool(f.tie_bits.any()))
        case Tables():
            return Depth(0, math.ceil(math.log(max(f.reads.max(initial=1), 2), 4)))
        case Wires():
            return Depth(0, 0)
        case Addition():
            return Depth(f.levels, 0)
        case Contest():
            levels = math.ceil(math.log2(max(f.channels, 2)))
            return Depth(levels, levels)  # a comparison, and what it selects, a level
        case _:
            assert_never(f)


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


def critical_path(f: Features, stages: int, c: Delays) -> float:
    """Nanoseconds of the slowest stage."""
    whole = depth(f)
    if isinstance(f, Wires):
        return 0.0
    if isinstance(f, Steps | Tables):
        return c.register + whole.tables * c.lut
    if isinstance(f, Addition | Contest):
        return c.register + whole.additions * c.adder + whole.tables * c.lut
    # The same split as the cuts; what follows the last cut includes the tables.
    ends = [0.0, *cuts(f, stages)]
    last = whole.additions - ends[-1]
    inner = max((b - a for a, b in pairwise(ends)), default=0.0)
    return c.register + max(inner * c.adder, last * c.adder + whole.tables * c.lut)


def node_cost(f: Features, stages: int, c: Coefficients, streamed: bool = False) -> Cost:
    """The cells of a node with `stages` pipeline stages.

    streamed: in a pipeline that never stands still, a bit a stage says that a beat is valid.
    """
    match f:
        case Sum():
            lut, carry = adder_cells(*additions(f), f.constant_bits, c.sum)
            inside = sum(sum_cut_bits(f, level) for level in cuts(f, stages))
        case Steps():
            lut, carry, inside = step_luts(f, c.steps), 0.0, float(f.output_bits * (stages - 1))
        case Rescale():
            lut, carry = rescale_cells(f, c.rescale)
            inside = sum(rescale_cut_bits(f, level) for level in cuts(f, stages))
        case Tables():
            lut, carry, inside = lookup_luts(f, c.lookup), 0.0, float(f.output_bits * (stages - 1))
        case Wires():
            return Cost()
        case Addition():
            lut, carry = adder_cells(1, f.sum_bits, 0, c.sum)
            inside = float(f.output_bits * (stages - 1))
        case Contest():
            # A comparison of the values (a bit a carry), and the selection of value and index.
            bits = (f.channels - 1) * (f.width + 1)
            lut, carry = adder_cells(1, bits, 0, c.sum)
            lut += (f.channels - 1) * (f.width + 1 + f.output_bits) / 2
            inside = float(f.output_bits * (stages - 1))
        case _:
            assert_never(f)
    control = stages if streamed else 2 * stages  # a valid and a last bit a stage
    return Cost(
        lut=round(lut) + (1 if streamed else c.lut_control),
        ff=f.output_bits + round(inside) + control,
        carry=round(carry),
    )


def adder_cells(
    count: float, width: float, constant_bits: float, c: SumCells
) -> tuple[float, float]:
    """Tables and carry cells of additions of two variables, and of constants."""
    lut = c.lut * count * max(width - c.free_lut_bits, 0) + c.lut_constant * constant_bits
    carry = c.carry * count * max(width - c.free_carry_bits, 0)
    return lut, carry + c.carry_constant * constant_bits


def step_luts(f: Steps, c: StepCells) -> float:
    """Tables of the comparisons and selections of all elements."""
    compared = c.lut_compared * f.compared_bits + c.lut_output * f.output_width
    table = np.array([c.table.get(int(signals), math.inf) for signals in f.selecting])
    selected = c.lut_below * f.below_bits + table * f.output_width
    return float(np.where(f.levels > 0, np.minimum(compared, selected), 0).sum())


def lookup_luts(f: Tables, c: LookupCells) -> float:
    """Tables of all truth tables: one where its inputs fit, else its parts and what selects them.

    Beside the tables are free multiplexers for some more inputs; beyond those, tables select.
    """
    beyond = np.maximum(f.reads - c.inputs, 0)
    ways = np.exp2(np.maximum(beyond - c.free_inputs, 0))
    # No more ways than parts: equal parts need no selection.
    selecting = c.lut_select * (np.minimum(ways, f.parts[c.inputs]) - 1)
    return float(np.where(beyond > 0, f.parts[c.inputs] + np.maximum(selecting, 0), 1).sum())


def rescale_cells(f: Rescale, c: RescaleCells) -> tuple[float, float]:
    """Tables and carry cells of all elements' products, constants, rounding and saturation."""
    product, constant = float(f.product_bits.sum()), float(f.constant_bits.sum())
    kept = float((f.output_width * (f.upper_bits > 0)).sum())
    lut = c.lut_product * product + c.lut_constant * constant + c.lut_kept * kept
    lut += c.lut_tie * float(f.tie_bits.sum()) + c.lut_upper * float(f.upper_bits.sum())
    return lut, c.carry_product * product + c.carry_constant * constant


def rescale_cut_bits(f: Rescale, level: float) -> float:
    """Bits alive between two levels of a requantiser: the input, growing into the product."""
    levels = max(_rescale_levels(f) - bool(f.constant_bits.any()), 1)
    done = min(level / levels, 1)
    return float((f.input_width + done * (f.product_width - f.input_width)).sum())


def _rescale_levels(f: Rescale) -> int:
    most = float(f.digits.max(initial=0))
    return math.ceil(math.log2(max(most, 1))) + bool(f.constant_bits.any())
