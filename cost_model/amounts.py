"""What a part of the hardware consists of, before any fitted number: cells, bits of logic, a path.

An `Amounts` says what is certain (flip-flops, memory and multiplier blocks, tables of memories) and
how much of each kind of logic there is. The look-up tables and carry cells for one of each kind are
fitted (`calibration.py`), a set for each device family.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.cost_model.cost import Cost
from bitwright.cost_model.lookups import Tables

KINDS = (
    "handshake",  # one for each node: the enable of its pipeline, and its reset
    "reset",  # one for each node of a stream
    # adder graphs, solved (adders.py)
    "added",  # pairs of bits that a carry chain adds
    "inverted",  # bits that are inverted in front of one
    "chain",  # carry cells
    "narrow",  # tables of additions of up to three bits, which are no carry chains
    "short",  # additions of four bits that are none either
    "registered",  # sums (on iCE40) or differences that do: their lowest bit is made once more
    # adder graphs, by formulas
    "shared",  # bits of additions that share terms
    "constant",  # bits of the addition of a constant
    "scaled",  # bits of the products of a requantiser
    "offset",  # bits of the constants that those add
    # requantisers, behind their adders
    "tie",  # bits below the kept ones, looked at to round a tie to even
    "upper",  # bits above the kept ones, looked at to saturate
    "kept",  # bits that may saturate
    # thresholds
    "compared",  # bits of comparisons with constants
    "counted",  # output bits, made of those comparisons
    "below",  # bits of the comparisons that make few signals
    "decided",  # tables of the outputs that few signals decide
    # truth tables
    "deep",  # tables of what is deeper than one
    "stored",  # parts of memories of constants that are
    "column",  # bits of the words of those
    # cells of streams (cells.py)
    "window",  # one for each window: its control
    "loop",  # bits of loop counters
    "row",  # bits of counters of rows
    "place",  # bits of addresses that wrap
    "masked",  # bits that are zero outside the image
    "tree",  # bits of adders of two terms
    "sum",  # bits of sums of three: a result, or the constant it begins with, and a term
    "product",  # bits of the partial products of multipliers
    "sign",  # bits that a weight of one bit inverts
    "equal",  # products of two bits
    "largest",  # bits of running maxima
    "pooled",  # bits of running sums
    "fifo",  # bits of counters of FIFOs
    "select",  # bits that are selected by address
    "compare",  # bits that are compared with variables
    "shift",  # bits that a register holds or takes
)
"""Kinds of logic."""


@dataclass(frozen=True, order=True, slots=True)
class LogicPath:
    """The longest way between two registers: additions, tables, and the bits that a carry ripples
    through. Of additions behind one another those of the last one: the others ripple meanwhile.
    """

    additions: int = 0
    tables: int = 0
    bits: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Amounts:
    """A part of the hardware. known: counted exactly. logic: how much of each of KINDS."""

    known: Cost = field(default_factory=Cost)
    logic: Mapping[str, float] = field(default_factory=dict)
    tables: tuple[Tables, ...] = ()
    """Truth tables and read-only memories that become look-up tables."""
    path: LogicPath = LogicPath()

    def __add__(self, other: "Amounts") -> "Amounts":
        logic = dict(self.logic)
        for kind, amount in other.logic.items():
            logic[kind] = logic.get(kind, 0) + amount
        return Amounts(
            self.known + other.known,
            logic,
            self.tables + other.tables,
            max(self.path, other.path),
        )
