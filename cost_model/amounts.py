"""What a part of the hardware consists of, before any fitted number: cells, bits of logic, paths.

An `Amounts` says what is certain (flip-flops, memory and multiplier blocks, tables of memories) and
how much of each kind of logic there is. The look-up tables and carry cells for one of each kind are
fitted (`calibration.py`), a set for each device family.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, slots=True)
class LogicPath:
    """A way between two registers.

    additions, tables: behind one another. bits: that a carry ripples through; of additions behind
    one another those of the last one, for the others ripple meanwhile. memories: 1 where it begins
    in a memory block, whose clock-to-output is long. products: multiplier blocks. enabled: the
    registers that its end enables, which lie far apart.
    """

    additions: int = 0
    tables: int = 0
    bits: int = 0
    memories: int = 0
    products: int = 0
    enabled: int = 0

    def then(self, other: "LogicPath") -> "LogicPath":
        """This way, and behind it another one."""
        return LogicPath(
            self.additions + other.additions,
            self.tables + other.tables,
            other.bits if other.additions else self.bits,
            self.memories + other.memories,
            self.products + other.products,
            self.enabled + other.enabled,
        )

    def within(self, other: "LogicPath") -> bool:
        """Whether it cannot be slower than another one, whatever anything takes."""
        return (
            self.additions <= other.additions
            and self.tables <= other.tables
            and self.bits <= other.bits
            and self.memories <= other.memories
            and self.products <= other.products
            and self.enabled <= other.enabled
        )


def slowest_of(paths: Iterable[LogicPath]) -> tuple[LogicPath, ...]:
    """The ways that may be the slowest, which delays decide: those within no other one."""
    kept: list[LogicPath] = []
    for path in dict.fromkeys(paths):
        if not any(path.within(other) for other in kept):
            kept = [other for other in kept if not other.within(path)] + [path]
    return tuple(kept)


@dataclass(frozen=True, eq=False, slots=True)
class Amounts:
    """A part of the hardware. known: counted exactly. logic: how much of each of KINDS."""

    known: Cost = field(default_factory=Cost)
    logic: Mapping[str, float] = field(default_factory=dict)
    tables: tuple[Tables, ...] = ()
    """Truth tables and read-only memories that become look-up tables."""
    paths: tuple[LogicPath, ...] = ()
    """Those that may be the slowest; without any, from register to register."""

    def __add__(self, other: "Amounts") -> "Amounts":
        logic = dict(self.logic)
        for kind, amount in other.logic.items():
            logic[kind] = logic.get(kind, 0) + amount
        return Amounts(
            self.known + other.known,
            logic,
            self.tables + other.tables,
            slowest_of((*self.paths, *other.paths)),
        )

    def enabled(self) -> "Amounts":
        """The same, its registers under one enable that a table makes."""
        path = LogicPath(tables=1, enabled=self.known.ff)
        return replace(self, paths=slowest_of((*self.paths, path)))
