"""The numbers that differ between device families, each with where it comes from.

First numbers, not a calibration. Cells: least squares with positive coefficients over the layers in
data/layers.csv, which the emitter wrote and Yosys 0.70 (pyosys) counted; the errors beside each are
medians over those same layers. Yosys maps UltraScale+ to the tables and CARRY4 of 7-series, so
both share theirs; it was checked that the counts are equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bitwright.models.graph import Target


@dataclass(frozen=True, slots=True)
class SumCells:
    """Additions: look-up tables and carry cells a bit, but for some bits of each addition that cost
    none (the lowest may pass through, the highest may repeat); and a bit of a constant's addition.
    """

    lut: float
    free_lut_bits: float
    lut_constant: float
    carry: float
    free_carry_bits: float
    carry_constant: float


@dataclass(frozen=True, slots=True)
class RescaleCells:
    """Requantisers: a bit of the constant product, of the constant that is added; a bit below the
    kept ones that may make a tie, one above them that may make it saturate, and a kept bit.
    """

    lut_product: float
    lut_constant: float
    lut_tie: float
    lut_upper: float
    lut_kept: float
    carry_product: float
    carry_constant: float


@dataclass(frozen=True, slots=True)
class StepCells:
    """Comparisons with sorted constants: tables a bit compared, and an output bit.

    Where few signals select the output: tables a bit of the comparisons that make those signals,
    and an output bit, by the number of signals.
    """

    lut_compared: float
    lut_output: float
    lut_below: float
    table: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class LookupCells:
    """Truth tables: the inputs of a look-up table, the further inputs that multiplexers beside the
    tables select by at no cost, and the tables for each further way of a multiplexer.
    """

    inputs: int
    free_inputs: int
    lut_select: float


@dataclass(frozen=True, slots=True)
class Delays:
    """Nanoseconds: a path takes register + additions x adder + tables x lut."""

    register: float
    adder: float
    lut: float


@dataclass(frozen=True, slots=True)
class Coefficients:
    """All numbers of one device family. lut_control: tables of a node's pipeline control: the
    enable, the reset's inverse and, where a flip-flop resets only when enabled, their union.
    """

    sum: SumCells
    rescale: RescaleCells
    steps: StepCells
    lookup: LookupCells
    lut_control: int
    delays: Delays


_SERIES7 = Coefficients(
    # LUT 4 %, carry 4 %
    SumCells(0.984, 0.80, 0.489, 0.301, 0.30, 0.285),
    # LUT 8 %, carry 4 %
    RescaleCells(0.722, 0.701, 0.108, 0.136, 0.242, 0.227, 0.292),
    # LUT 5 %
    StepCells(0.325, 0.0, 0.204, {**dict.fromkeys(range(7), 1.0), 7: 2.4}),
    # Exact for random tables of 4 to 8 inputs (MUXF7 and MUXF8 are free); beyond, a table selects
    # one of four.
    LookupCells(inputs=6, free_inputs=2, lut_select=1 / 3),
    2,
    # Rough magnitudes for a -1 speed grade with routing, from no data sheet and no measurement:
    # to be calibrated.
    Delays(register=1.2, adder=1.6, lut=0.7),
)

COEFFICIENTS: Mapping[Target, Coefficients] = {
    "xc7": _SERIES7,
    # Rough as above, for a newer process.
    "xcup": replace(_SERIES7, delays=Delays(register=0.7, adder=0.9, lut=0.4)),
    "ecp5": Coefficients(
        # LUT 1 %, carry 8 %
        SumCells(1.071, 0.11, 1.146, 0.770, 2.39, 0.165),
        # LUT 8 %, carry 6 %
        RescaleCells(0.792, 1.095, 0.269, 0.0, 0.835, 0.435, 0.482),
        # LUT 7 %
        StepCells(0.433, 1.80, 3.3, {**dict.fromkeys(range(5), 1.1), 5: 1.8, 6: 3.0, 7: 5.0}),
        # Exact for random tables of 4 to 7 inputs (PFUMX and L6MUX21 are free), and fitted to 8.
        LookupCells(inputs=4, free_inputs=3, lut_select=4.0),
        2,
        # Routed with nextpnr: 164 MHz with a register after every adder, 120 after two, 75 after
        # five.
        Delays(register=4.3, adder=1.8, lut=1.0),
    ),
    "ice40": Coefficients(
        # LUT 4 %, carry 2 %
        SumCells(1.247, 0.70, 1.128, 1.081, 1.56, 0.623),
        # LUT 18 %, carry 8 %
        RescaleCells(0.833, 0.535, 0.281, 0.0, 0.861, 0.741, 0.731),
        # LUT 3 %
        StepCells(0.429, 0.29, 0.355, {**dict.fromkeys(range(5), 1.0), 5: 2.9, 6: 3.6, 7: 6.0}),
        # Random tables of 4 to 8 inputs: within 10 %.
        LookupCells(inputs=4, free_inputs=0, lut_select=1.6),
        3,
        # Routed with nextpnr: 96 MHz with a register after every adder, 1.7 times ECP5's period;
        # the split is ECP5's.
        Delays(register=7.3, adder=3.1, lut=1.7),
    ),
    # Not fitted yet: ECP5's multiplexers behind tables of four inputs, iCE40's carry cells.
    "gowin": Coefficients(
        SumCells(1.071, 0.11, 1.146, 1.071, 0.11, 1.146),
        RescaleCells(0.792, 1.095, 0.269, 0.0, 0.835, 0.741, 0.731),
        StepCells(0.433, 1.80, 3.3, {**dict.fromkeys(range(5), 1.1), 5: 1.8, 6: 3.0, 7: 5.0}),
        LookupCells(inputs=4, free_inputs=4, lut_select=4.0),
        2,
        Delays(register=3.3, adder=1.4, lut=1.0),
    ),
}
