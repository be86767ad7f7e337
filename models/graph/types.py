"""Integer types and named tensors: what an edge of the graph carries."""

import math
import re
from dataclasses import dataclass

from bitwright.models.errors import GraphError

MAX_WIDTH = 64
"""No edge is wider: the numpy reference holds every tensor in int64 (so 64 means signed 64)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")

# Words that cannot name a module, wire or C++ variable. Reserved in SystemVerilog (IEEE 1800-2017,
# annex B, the ones shorter than a sentence) or in C++17; a name in either would break an engine.
RESERVED = frozenset(
    """
    accept_on alias alignas alignof always always_comb always_ff always_latch and and_eq asm assert
    assign assume auto automatic before begin bind bins binsof bit bitand bitor bool break buf
    bufif0 bufif1 byte case casex casez catch cell chandle char checker class clocking cmos compl
    config const const_cast constexpr constraint context continue cover covergroup coverpoint cross
    deassign decltype default defparam delete design disable dist do double dynamic_cast edge else
    end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
    endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify
    endtable endtask enum event eventually expect explicit export extends extern false final
    first_match float for force foreach forever fork forkjoin friend function generate genvar
    global goto highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import
    incdir include initial inline inout input inside instance int integer interconnect interface
    intersect join join_any join_none large let liblist library local localparam logic long
    macromodule main matches medium modport module mutable namespace nand negedge nettype new
    nexttime nmos noexcept nor noshowcancelled not not_eq notif0 notif1 null nullptr operator or
    or_eq output package packed parameter pmos posedge primitive priority private program property
    protected public pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand
    randc randcase randsequence rcmos real realtime ref reg register reinterpret_cast reject_on
    release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually
    s_nexttime s_until s_until_with scalared sequence shared short shortint shortreal showcancelled
    signed sizeof small soft solve specify specparam static static_assert static_cast std string
    strong strong0 strong1 struct super supply0 supply1 switch sync_accept_on sync_reject_on table
    tagged task template this thread_local throw throughout time timeprecision timeunit tran
    tranif0 tranif1 tri tri0 tri1 triand trior trireg true try type typedef typeid typename union
    unique unique0 unsigned until until_with untyped use using uwire var vectored virtual void
    volatile wait wait_order wand wchar_t weak weak0 weak1 while wildcard wire with within wor xnor
    xnor_eq xor xor_eq
    """.split()
)


def check_name(name: str, what: str) -> None:
    """Refuse a name that could not become an identifier and a file name in every engine.

    Raises:
        GraphError: not letters, digits and single underscores; longer than 64; or reserved.
    """
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise GraphError(
            f"{what} is named {name!r}, which cannot become an identifier or a file name: rename "
            "it, using at most 64 letters, digits and single underscores, and a letter first"
        )
    if name.lower() in RESERVED:
        raise GraphError(
            f"{what} is named {name!r}, a reserved word of SystemVerilog or C++: rename it, for "
            f"example to '{name}_layer'"
        )


def bits_holding(low: int, high: int) -> int:
    """The fewest bits that hold every integer from `low` to `high`; sums may need more than 64."""
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1
    return max(high.bit_length(), 1)


@dataclass(frozen=True, slots=True)
class IntType:
    """A two's complement (signed) or plain binary (unsigned) integer of `width` bits."""

    width: int
    signed: bool

    def __post_init__(self) -> None:
        limit = MAX_WIDTH if self.signed else MAX_WIDTH - 1
        if not 1 <= self.width <= limit:
            raise GraphError(
                f"an integer type of {self.width} bits is outside 1..{limit}: use fewer bits for "
                "the weights or activations that feed it"
            )

    @property
    def min(self) -> int:
        """Smallest value."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest value."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @classmethod
    def holding(cls, low: int, high: int) -> "IntType":
        """The narrowest type that holds every integer from `low` to `high`."""
        return cls(bits_holding(low, high), low < 0)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}"


@dataclass(frozen=True, slots=True)
class Value:
    """A named tensor: `shape` without the batch, channels last, every element of one type."""

    name: str
    shape: tuple[int, ...]
    type: IntType

    def __post_init__(self) -> None:
        check_name(self.name, "a tensor")
        if not self.shape or any(n < 1 for n in self.shape):
            raise GraphError(f"tensor {self.name} has shape {self.shape}: give every axis >= 1")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def bits(self) -> int:
        """Bits of one tensor on a wire: elements x width."""
        return self.size * self.type.width

    def __str__(self) -> str:
        return f"{self.name}:{self.type}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Port:
    """What the integers of a graph's input or output mean: real = scale * (integer + offset).

    A real input becomes the nearest integer, ties to the even one. `binary`: an input of one bit,
    which is 1 from the middle of both meanings on, scale * (offset + 1/2); the sign of a real, for
    which zero counts as positive, is a binary port of offset -1/2.
    """

    scale: float
    offset: float = 0.0
    binary: bool = False
