"""How generated SystemVerilog is written: literals, slices, wrapped lists, module frames."""

from collections.abc import Iterable, Sequence

from bitwright.models.graph import Value

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
    return pad + pad.join(lines) + pad[: 1 + max(indent - 2, 0)]


def describe(value: Value) -> str:
    """A tensor's size and type for a comment: 64 x u4."""
    return f"{value.size} x {value.type}"


def layer_ports(source: Value, output: Value) -> str:
    """The ports that every layer module has: a vector in, a vector out, each with its handshake."""
    width = max(len(str(source.bits - 1)), len(str(output.bits - 1))) + 4
    data_in, data_out = f"[{source.bits - 1}:0]".rjust(width), f"[{output.bits - 1}:0]".rjust(width)
    bit = " " * width
    return f"""\
  input  logic {bit} clk_i,
  input  logic {bit} rst_ni,
  input  logic {data_in} data_i,  // {describe(source)}
  input  logic {bit} valid_i,
  input  logic {bit} last_i,
  output logic {bit} ready_o,
  output logic {data_out} data_o,  // {describe(output)}
  output logic {bit} valid_o,
  output logic {bit} last_o,
  input  logic {bit} ready_i
"""


def registered(output: Value, stages: int) -> str:
    """The registers that follow a layer's combinational results y0, y1, …"""
    results = concatenation([f"y{i}" for i in range(output.size)], 4)
    return f"""

  bw_delay #(.Width({output.bits}), .Stages({stages})) u_delay (
    .clk_i, .enable_i(enable), .data_i({results}), .data_o
  );
"""


def pipe(stages: int) -> str:
    """The pipeline control of a layer, which makes `enable`."""
    return f"""\
  logic enable;
  bw_pipe #(.Stages({stages})) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o, .enable_o(enable), .valid_o, .last_o, .ready_i
  );
"""
