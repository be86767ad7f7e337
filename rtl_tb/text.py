"""How generated SystemVerilog is written: literals, slices, wrapped lists, module frames."""

from collections.abc import Iterable, Mapping, Sequence

from bitwright.models.graph import IntType, Value

LINE = 100


def literal(value: int, width: int) -> str:
    """A sized constant; `value` must fit `width` bits, signed or unsigned."""
    if value == -(1 << (width - 1)):
        return f"{width}'h{1 << (width - 1):x}"  # its magnitude alone does not fit a signed literal
    return f"-{width}'sd{-value}" if value < 0 else f"{width}'d{value}"


def element(bus: str, index: int, width: int, low_bits: int | None = None) -> str:
    """One element of a bus whose elements are `width` bits wide, or only its lowest bits."""
    kept = width if low_bits is None else low_bits
    return f"{bus}[{index * width + kept - 1}:{index * width}]"


def resized(bus: str, index: int, kind: IntType, made: IntType) -> str:
    """One element of a bus in another type, which can hold it."""
    if made.width <= kind.width:
        return element(bus, index, kind.width, made.width)
    one = element(bus, index, kind.width)
    return f"{made.width}'($signed({one}))" if kind.signed else f"{made.width}'({one})"


def concatenation(parts: Sequence[str], indent: int) -> str:
    """{parts}, highest index first as SystemVerilog has it, wrapped to the line length."""
    return "{" + wrapped(list(reversed(parts)), indent) + "}"


def wrapped(parts: Iterable[str], indent: int) -> str:
    """Comma-separated parts, on as few lines as fit."""
    lines, line = [], ""
    for part in parts:
        if line and indent + len(line) + len(part) + 4 > LINE:
            lines.append(line + ",")
            line = part
        else:
            line = f"{line}, {part}" if line else part
    lines.append(line)
    if len(lines) == 1:
        return lines[0]
    pad = "\n" + " " * indent
    return pad + pad.join(lines) + pad[:-2]


def instance(cell: str, parameters: Mapping[str, object], name: str) -> str:
    """The first lines of an instance, up to its ports."""
    shown = [f".{key}({value})" for key, value in parameters.items()]
    line = f"  {cell} #({', '.join(shown)}) {name} ("
    if len(line) <= LINE:
        return line
    body = wrapped(shown, 4)
    return (
        f"  {cell} #({body}) {name} (" if "\n" in body else f"  {cell} #(\n    {body}\n  ) {name} ("
    )


def describe(value: Value) -> str:
    """A tensor's size and type for a comment: 64 x u4."""
    return f"{value.size} x {value.type}"


def buses(*widths: int) -> list[str]:
    """Ranges of ports of so many bits, and that of a single one, below each other."""
    ranges = [*(f"[{width - 1}:0]" for width in widths), ""]
    column = max(map(len, ranges))
    return [one.rjust(column) for one in ranges]


def layer_ports(source: Value, output: Value, streamed: bool) -> str:
    """The ports that every layer module has: a beat in, a beat out.

    streamed: without the handshake, which blocks and FIFOs do for the layers between them.
    """
    data_in, data_out, bit = buses(source.bits, output.bits)
    lines = [
        f"  input  logic {bit} clk_i",
        f"  input  logic {bit} rst_ni",
        f"  input  logic {data_in} data_i",
        f"  input  logic {bit} valid_i",
        f"  input  logic {bit} last_i",
        f"  output logic {bit} ready_o",
        f"  output logic {data_out} data_o",
        f"  output logic {bit} valid_o",
        f"  output logic {bit} last_o",
        f"  input  logic {bit} ready_i",
    ]
    if streamed:
        lines = [
            line for line in lines if not line.endswith(("last_i", "ready_o", "last_o", "ready_i"))
        ]
    notes = {"data_i": describe(source), "data_o": describe(output)}
    text = []
    for line in lines:
        note = notes.get(line.split()[-1])
        text.append(line + ("" if line is lines[-1] else ",") + (f"  // {note}" if note else ""))
    return "\n".join(text) + "\n"


def wiring(streamed: bool) -> str:
    """The handshake of a module without registers."""
    names = ("valid",) if streamed else ("valid", "last")
    text = "".join(f"  assign {name}_o = {name}_i;\n" for name in names)
    return text if streamed else text + "  assign ready_o = ready_i;\n"


def registered(output: Value, stages: int) -> str:
    """The registers that follow a layer's combinational results y0, y1, …"""
    results = concatenation([f"y{i}" for i in range(output.size)], 4)
    return f"""

  bw_delay #(.Width({output.bits}), .Stages({stages})) u_delay (
    .clk_i, .enable_i(enable), .data_i({results}), .data_o
  );
"""


def pipe(stages: int, streamed: bool) -> str:
    """The pipeline control of a layer, which makes `enable`."""
    if streamed:
        return f"""\
  logic enable, unused_ready, unused_last;
  bw_pipe #(.Stages({stages})) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i(1'b0), .ready_o(unused_ready), .enable_o(enable), .valid_o,
    .last_o(unused_last), .ready_i(1'b1)
  );
"""
    return f"""\
  logic enable;
  bw_pipe #(.Stages({stages})) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o, .enable_o(enable), .valid_o, .last_o, .ready_i
  );
"""
