"""What modules of a streamed design begin with: ports, a window, line buffers, a memory."""

from bitwright.models.graph import Node, Value
from bitwright.models.graph.heads import Lines, Sweep
from bitwright.models.graph.streams import Step
from bitwright.rtl_tb.text import instance


def window(sweep: Sweep, width: int, name: str) -> str:
    """The first lines of a bw_window instance. width: bits of a word."""
    top, left, _, _ = sweep.window.padding
    rows, columns = sweep.positions
    return instance(
        "bw_window",
        {
            "Width": width, "Rows": sweep.rows, "Columns": sweep.columns, "Words": sweep.words,
            "KernelRows": sweep.window.kernel[0], "KernelColumns": sweep.window.kernel[1],
            "StrideRows": sweep.window.stride[0], "StrideColumns": sweep.window.stride[1],
            "Top": top, "Left": left, "OutRows": rows, "OutColumns": columns,
            "Passes": sweep.passes, "Groups": sweep.groups, "RingRows": sweep.ring_rows,
        },
        name,
    )  # fmt: skip


def lines(head: Lines, width: int, name: str) -> str:
    """The first lines of a bw_lines instance. width: bits of a pixel."""
    top, left, _, _ = head.window.padding
    rows, columns = head.window.output(head.rows, head.columns)
    return instance(
        "bw_lines",
        {
            "Width": width, "Rows": head.rows, "Columns": head.columns,
            "KernelRows": head.window.kernel[0], "KernelColumns": head.window.kernel[1],
            "StrideRows": head.window.stride[0], "StrideColumns": head.window.stride[1],
            "Top": top, "Left": left, "OutRows": rows, "OutColumns": columns, "Overlap": "1'b0",
        },
        name,
    )  # fmt: skip


def _head_ports(taken: str, taken_bits: int, made: str, made_bits: int) -> str:
    """The ports of a module that begins with a window. taken, made: what beats carry."""
    width = max(len(str(taken_bits - 1)), len(str(made_bits - 1))) + 4
    data_in, data_out = f"[{taken_bits - 1}:0]".rjust(width), f"[{made_bits - 1}:0]".rjust(width)
    bit = " " * width
    return f"""\
  input  logic {bit} clk_i,
  input  logic {bit} rst_ni,
  input  logic {data_in} data_i,  // {taken}
  input  logic {bit} valid_i,
  output logic {bit} ready_o,
  input  logic {bit} room_i,  // a beat may be begun
  output logic {bit} reserve_o,  // and is
  output logic {data_out} data_o,  // {made}
  output logic {bit} valid_o
"""


def begin(
    node: Node, source: Value, step: Step, note: str, module: str, loads: bool = False
) -> str:
    """The first lines of the node's module. loads: it has the ports of the load stream."""
    made = node.output.type
    ports = _head_ports(
        f"{step.takes} x {source.type}", step.takes * source.type.width,
        f"{step.makes} x {made}", step.makes * made.width,
    )  # fmt: skip
    if loads:
        ports = f"{ports.rstrip()},\n" + "".join(
            f"  input  logic {bus} load_{name}_i{end}\n"
            for bus, name, end in (("[31:0]", "data", ","), ("      ", "valid", ","),
                                   ("      ", "last", ""))
        )  # fmt: skip
    return (
        f"// {node.name}: {node.kind}, {source} -> {node.output}\n// {note}\n"
        f"module {module} (\n{ports});\n"
    )


def rom_instance(memory: str, name: str, address: str, data: str) -> list[str]:
    """A memory of constants, which has a word at `data` a cycle after its address."""
    return [f"  {memory} u_{name} (.clk_i, .address_i({address}), .data_o({data}));"]
