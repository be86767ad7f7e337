"""What an IP shows to the outside: its ports, and its registers.

The one list that the wrapper, the IP-XACT description, the headers and the README are made from.
"""

from dataclasses import dataclass
from typing import Literal

from bitwright.models.errors import GraphError
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.text import describe
from bitwright.rtl_tb.vectors import beat_bytes

CLOCK, RESET = "aclk", "aresetn"

LICENCE = "Apache-2.0"
"""Of the library cells and benches that are copied into the folder; the rest is its user's."""

MAGIC = 0x42495457
"""What the register ID reads as: "BITW"."""
MAP_VERSION = 1
ADDRESS_BITS = 6

Direction = Literal["in", "out"]
Bus = Literal["s_axis", "m_axis", "s_axi"]
Access = Literal["read-only", "write-only"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the wrapper. bus, signal: the interface that it belongs to, and what it is there.

    core: the port of the design that it is connected to, if it is just passed on.
    """

    name: str
    direction: Direction
    width: int
    bus: Bus | None
    signal: str
    note: str = ""
    core: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """A word of 32 bits at a byte offset. value: what it always reads as, where that is known."""

    name: str
    offset: int
    access: Access
    note: str
    value: int | None = None


def ip_name(design: Design) -> str:
    """The name of the wrapper, and of the IP. Raises GraphError where a node's module has it."""
    name = f"{design.top}_ip"
    if name in design.modules.values():
        raise GraphError(f"the module of a node is called {name}, as the IP: rename the node")
    return name


def ports(design: Design) -> tuple[Port, ...]:
    """The ports of the wrapper, in its order."""
    wide_in, wide_out = 8 * beat_bytes(design.input_beat), 8 * beat_bytes(design.output_beat)
    taken = "not looked at: beats are counted" if design.framed else "passed along"
    marks = "marks a tensor's last beat" if design.framed else "as it came with the tensor"
    found = [
        Port(CLOCK, "in", 1, None, "CLK", "", "clk_i"),
        Port(RESET, "in", 1, None, "RST", "synchronous, active low", "rst_ni"),
        _stream("s_axis", "TDATA", "in", wide_in, describe(design.input_beat)),
        _stream("s_axis", "TVALID", "in", 1),
        _stream("s_axis", "TREADY", "out", 1),
        _stream("s_axis", "TLAST", "in", 1, taken),
        _stream("m_axis", "TDATA", "out", wide_out, _result(design)),
        _stream("m_axis", "TVALID", "out", 1),
        _stream("m_axis", "TREADY", "in", 1),
        _stream("m_axis", "TLAST", "out", 1, marks),
    ]
    lite: tuple[tuple[str, Direction, int], ...] = (
        ("AWADDR", "in", ADDRESS_BITS), ("AWPROT", "in", 3), ("AWVALID", "in", 1),
        ("AWREADY", "out", 1), ("WDATA", "in", 32), ("WSTRB", "in", 4), ("WVALID", "in", 1),
        ("WREADY", "out", 1), ("BRESP", "out", 2), ("BVALID", "out", 1), ("BREADY", "in", 1),
        ("ARADDR", "in", ADDRESS_BITS), ("ARPROT", "in", 3), ("ARVALID", "in", 1),
        ("ARREADY", "out", 1), ("RDATA", "out", 32), ("RRESP", "out", 2), ("RVALID", "out", 1),
        ("RREADY", "in", 1),
    )  # fmt: skip
    found += [Port(f"s_axi_{s.lower()}", d, width, "s_axi", s) for s, d, width in lite]
    if is_redundant(design):
        note = "the three copies disagree: reset when it suits"
        found.append(Port("fault", "out", 1, None, "", note, "fault_o"))
    return tuple(found)


def is_redundant(design: Design) -> bool:
    """Whether the design is there three times, and says when the copies disagree."""
    return design.plan is not None and design.plan.redundancy == 3


def registers(design: Design, digest: str) -> tuple[Register, ...]:
    """The registers behind s_axi; those of the load stream only where weights can be loaded."""
    found = [
        Register("ID", 0x00, "read-only", 'always 0x42495457, "BITW"', MAGIC),
        Register("VERSION", 0x04, "read-only", "of this register map", MAP_VERSION),
        Register("LOAD_BEATS", 0x08, "read-only", "words of a whole load, 0: constant weights",
                 design.load_beats),
    ]  # fmt: skip
    if design.load_beats:
        found += [
            Register("LOAD_COUNT", 0x0C, "read-only", "words in of a load that has begun"),
            Register("LOAD", 0x10, "write-only", "the next word of a load"),
            Register("LOAD_LAST", 0x14, "write-only", "a word behind which a load begins again"),
        ]
    for i in range(8):
        word = digest[8 * i : 8 * i + 8]
        note = f"hexadecimal digits {8 * i} to {8 * i + 7} of the graph's digest"
        found.append(Register(f"DIGEST{i}", 0x20 + 4 * i, "read-only", note, int(word, 16)))
    return tuple(found)


def _result(design: Design) -> str:
    beat = design.output_beat
    if beat.bits == 8 * beat_bytes(beat):
        return describe(beat)
    return f"{describe(beat)}; padding is 0" + (", not the sign" if beat.type.signed else "")


def _stream(bus: Bus, signal: str, direction: Direction, width: int, note: str = "") -> Port:
    name = f"{bus}_{signal.lower()}"
    return Port(name, direction, width, bus, signal, note, name)
