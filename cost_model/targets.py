"""What a device family is built of, as far as it is known without a fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.models.graph import Target


@dataclass(frozen=True, slots=True)
class TableCells:
    """Truth tables: the inputs of a look-up table, the further inputs that multiplexers beside the
    tables select by at no cost, and the tables for each further way of a multiplexer.

    From Yosys' counts of random tables of 4 to 8 inputs: exact on xc7 (MUXF7 and MUXF8 are free)
    and up to 7 inputs on ECP5 (PFUMX and L6MUX21 are), within 10 % on iCE40.
    """

    inputs: int
    free_inputs: int
    lut_select: float


_SERIES7 = TableCells(inputs=6, free_inputs=2, lut_select=1 / 3)
TABLES: Mapping[Target, TableCells] = {
    "xc7": _SERIES7,
    "xcup": _SERIES7,
    "ecp5": TableCells(inputs=4, free_inputs=3, lut_select=4.0),
    "ice40": TableCells(inputs=4, free_inputs=0, lut_select=1.6),
    "gowin": TableCells(inputs=4, free_inputs=4, lut_select=4.0),
}

SHARES: Mapping[Target, Target] = {"xcup": "xc7"}
"""Targets that have another one's fitted numbers: Yosys maps UltraScale+ to the tables and CARRY4
of 7-series, and it was checked that the counts are equal."""
