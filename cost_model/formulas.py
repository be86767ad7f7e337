"""From features to resources and delay: structure from first principles, numbers from targets.py.

The hardware is the unrolled engine: a dense layer is one adder graph with shared subexpressions, a
requantiser a small one per channel with rounding and saturation after it, a threshold a set of
comparisons with constants whose thermometer code selects the output. A node's pipeline advances
under one enable; a valid and a last bit travel along.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

import numpy as np

from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import Features, Rescale, Steps, Sum
from bitwright.cost_model.targets import Coefficients

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


def sum_levels(s: Sum) -> int:
    """Additions on the longest path: a balanced tree, one more for sharing, one for the bias."""
    sharing = s.separate >= 40
    return math.ceil(math.log2(max(s.most, 1))) + sharing + (s.constant_bits > 0)


def sum_cut_bits(s: Sum, level: float) -> float:
    """Bits alive between two levels of a dense layer's adder graph: what a register there holds.

    level: additions done, 0 … sum_levels. The number of values falls geometrically to one a column.
    Fitted as above to every cut of every matrix: median error 16 %.
    """
    levels = max(sum_levels(s) - (s.constant_bits > 0), 1)
    left = 1 - min(level / levels, 1)
    if s.columns == 0:
        return 0.0
    values = (
        s.columns
        * math.pow(max(shared_additions(s) / s.columns, 1), 0.777 * left)
        * math.pow(s.inputs / s.columns, 0.256 * left * left)
    )
    width = 1.04 * s.input_width + 1.09 * (1 - left) * (s.sum_width - s.input_width)
    return values * (width + 0.24 * s.positions * left)


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
        case _:
            assert_never(f)


def cuts(f: Features, stages: int) -> list[float]:
    """Levels of additions before each register inside a node, `stages` - 1 of them.

    A threshold has none inside: its registers all follow its logic, where synthesis may move them.
    """
    match f:
        case Sum():
            levels = max(sum_levels(f), 1)
        case Steps():
            return []
        case Rescale():
            levels = _rescale_levels(f) + 1  # rounding and saturation are the last
        case _:
            assert_never(f)
    return [levels * stage // stages for stage in range(1, stages)]


def critical_path(f: Features, stages: int, c: Coefficients) -> float:
    """Nanoseconds of the slowest stage."""
    whole = depth(f)
    if isinstance(f, Steps):
        return c.register_ns + whole.tables * c.lut_ns
    # The same split as the cuts; what follows the last cut includes the tables.
    ends = [0.0, *cuts(f, stages)]
    last = whole.additions - ends[-1]
    inner = max((b - a for a, b in pairwise(ends)), default=0.0)
    return c.register_ns + max(inner * c.adder_ns, last * c.adder_ns + whole.tables * c.lut_ns)


def resources(f: Features, stages: int, c: Coefficients) -> Cost:
    """The cells of a node with `stages` pipeline stages."""
    match f:
        case Sum():
            lut, carry, inside = _sum_cells(f, stages, c)
        case Steps():
            lut, carry, inside = _steps_lut(f, c), 0.0, f.output_bits * (stages - 1)
        case Rescale():
            lut, carry, inside = _rescale_cells(f, stages, c)
        case _:
            assert_never(f)
    control = 2 * stages  # a valid and a last bit a stage; the enable is one table
    return Cost(lut=round(lut) + 1, ff=f.output_bits + round(inside) + control, carry=round(carry))


def _sum_cells(s: Sum, stages: int, c: Coefficients) -> tuple[float, float, float]:
    count = shared_additions(s)
    width = addition_width(s)
    lut = c.lut_per_adder_bit * count * max(width - c.free_bits_per_adder, 1)
    carry = c.carry_per_adder_bit * count * max(width - c.free_carry_bits_per_adder, 0)
    lut += c.lut_per_constant_bit * s.constant_bits
    carry += c.carry_per_constant_bit * s.constant_bits
    return lut, carry, sum(sum_cut_bits(s, level) for level in cuts(s, stages))


def _steps_lut(f: Steps, c: Coefficients) -> float:
    compared = (
        c.lut_per_compared_bit * f.input_width
        - c.lut_shared_per_octave * np.log2(f.levels + 1)
        + c.lut_per_level * (f.levels > 1)
    )
    lut = f.levels * np.maximum(compared, 0.1)
    table = np.array([c.lut_per_table.get(int(w), math.inf) for w in f.input_width])
    return float(np.minimum(lut, np.where(f.levels > 0, table * f.output_width, 0)).sum())


def _rescale_levels(f: Rescale) -> int:
    most = float(f.digits.max(initial=0))
    return math.ceil(math.log2(max(most, 1))) + bool(f.constant_bits.any())


def _rescale_cells(f: Rescale, stages: int, c: Coefficients) -> tuple[float, float, float]:
    additions = float(np.maximum(f.digits - 1, 0).sum())
    product, constant = float(f.product_bits.sum()), float(f.constant_bits.sum())
    lut = c.lut_per_adder_bit * max(product - c.free_bits_per_adder * additions, 0)
    lut += c.lut_per_constant_bit * constant + c.lut_per_tie_bit * float(f.tie_bits.sum())
    lut += c.lut_per_upper_bit * float(f.upper_bits.sum())
    lut += c.lut_per_kept_bit * float((f.output_width * (f.upper_bits > 0)).sum())
    carry = c.carry_per_adder_bit * max(product - c.free_carry_bits_per_adder * additions, 0)
    carry += c.carry_per_constant_bit * constant
    levels = max(_rescale_levels(f) - bool(f.constant_bits.any()), 1)
    inside = 0.0
    for level in cuts(f, stages):
        done = min(level / levels, 1)
        inside += float((f.input_width + done * (f.product_width - f.input_width)).sum())
    return lut, carry, inside
