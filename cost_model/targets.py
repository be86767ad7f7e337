"""The numbers that differ between device families, each with where it comes from.

First numbers, not a calibration: fitted by least squares to the layers in data/layers.csv (Yosys
0.70), sizes of 30 to 500 signed digits, 8 channels for the requantisers and thresholds. Yosys maps
UltraScale+ to the same look-up tables and CARRY4 as 7-series, so both share theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bitwright.models.graph import Target


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Cells and nanoseconds of the parts that formulas.py puts together."""

    # Adders of two variables: a table for every bit but about one (its top or its lowest).
    lut_per_adder_bit: float
    free_bits_per_adder: float
    carry_per_adder_bit: float
    free_carry_bits_per_adder: float
    # Adders of a constant: a bias, or the half that rounds.
    lut_per_constant_bit: float
    carry_per_constant_bit: float
    # Rounding ties to even looks at the bits below the kept ones, saturation at those above; then
    # the kept ones are selected.
    lut_per_tie_bit: float
    lut_per_upper_bit: float
    lut_per_kept_bit: float
    # A comparison with one of many sorted constants: grows with the input's width, shrinks as the
    # constants grow dense and share their upper bits, and ends in a selection.
    lut_per_compared_bit: float
    lut_shared_per_octave: float
    lut_per_level: float
    # Where the whole input fits few tables: tables for each output bit, by the input's width.
    lut_per_table: Mapping[int, float]
    # Delays: a path is register_ns + adders x adder_ns + tables x lut_ns.
    register_ns: float
    adder_ns: float
    lut_ns: float


# Delays of Xilinx: from the speed grade -1 figures of DS181 and DS925 (clock to output, set-up, a
# table, a carry chain of ten bits) with as much again for routing; not measured, no open router.
_SERIES7 = Coefficients(
    lut_per_adder_bit=0.98,
    free_bits_per_adder=0.79,
    carry_per_adder_bit=0.30,
    free_carry_bits_per_adder=0.26,
    lut_per_constant_bit=0.52,
    carry_per_constant_bit=0.30,
    lut_per_tie_bit=0.2,
    lut_per_upper_bit=1.02,
    lut_per_kept_bit=0.1,
    lut_per_compared_bit=0.237,
    lut_shared_per_octave=0.206,
    lut_per_level=0.53,
    lut_per_table=dict.fromkeys(range(1, 7), 1.0),
    register_ns=1.2,
    adder_ns=1.6,
    lut_ns=0.7,
)

COEFFICIENTS: Mapping[Target, Coefficients] = {
    "xc7": _SERIES7,
    "xcup": replace(_SERIES7, register_ns=0.7, adder_ns=0.9, lut_ns=0.4),
    # Routed with nextpnr: 164 MHz with a register after every adder, 120 after two, 75 after five.
    "ecp5": Coefficients(
        lut_per_adder_bit=1.06,
        free_bits_per_adder=0.06,
        carry_per_adder_bit=0.77,
        free_carry_bits_per_adder=2.5,
        lut_per_constant_bit=1.19,
        carry_per_constant_bit=0.21,
        lut_per_tie_bit=0.3,
        lut_per_upper_bit=0.77,
        lut_per_kept_bit=0.28,
        lut_per_compared_bit=0.455,
        lut_shared_per_octave=0.452,
        lut_per_level=0.48,
        lut_per_table={1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.8, 6: 3.2},
        register_ns=4.3,
        adder_ns=1.8,
        lut_ns=1.0,
    ),
    # Routed with nextpnr: 96 MHz with a register after every adder, 1.7 times ECP5's period; the
    # split is ECP5's.
    "ice40": Coefficients(
        lut_per_adder_bit=1.24,
        free_bits_per_adder=0.67,
        carry_per_adder_bit=1.07,
        free_carry_bits_per_adder=1.54,
        lut_per_constant_bit=1.18,
        carry_per_constant_bit=0.66,
        lut_per_tie_bit=0.3,
        lut_per_upper_bit=0.45,
        lut_per_kept_bit=0.85,
        lut_per_compared_bit=0.380,
        lut_shared_per_octave=0.383,
        lut_per_level=0.58,
        lut_per_table={1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 2.7, 6: 5.0},
        register_ns=7.3,
        adder_ns=3.1,
        lut_ns=1.7,
    ),
}
