"""The top module of an IP: the design under the port names that tools know, and its registers.

Why a wrapper: Vivado's packager takes no SystemVerilog top ("create a Verilog or VHDL wrapper file
prior to packaging", UG1118, Top-Level HDL Requirements), and it infers clock, reset and AXI
interfaces from names such as aclk, aresetn and s_axis_tdata. The design itself keeps the house's
clk_i and rst_ni. The wrapper is only wires around the two, and so adds no cycle.
"""

from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.ip.interface import CLOCK, RESET, Port, ip_name, ports
from bitwright.rtl_tb.text import wrapped

REGISTERS = "bw_registers"
_CLOCK_INFO = "xilinx.com:signal:clock:1.0 aclk CLK"
_RESET_INFO = "xilinx.com:signal:reset:1.0 aresetn RST"


def wrapper(design: Design, digest: str) -> str:
    """The text of the wrapper, in plain Verilog (IEEE 1364-2001)."""
    name, known = ip_name(design), ports(design)
    pad = max(len(_range(port)) for port in known)
    lines = [
        f"// {name}: {design.top} with its registers, under the names that tools infer interfaces",
        "// from. Plain Verilog, as a top that Vivado packages has to be (UG1118). Only wires.",
        f"module {name} (",
    ]
    for port in known:
        lines += _attributes(port)
        comma = "" if port is known[-1] else ","
        note = f"  // {port.note}" if port.note else ""
        way = f"{port.direction}put".ljust(6)
        lines.append(f"  {way} wire {_range(port).rjust(pad)} {port.name}{comma}{note}")
    lines += [");", *_registers(design, digest)]
    core = [f".{port.core}({port.name})" for port in known if port.core]
    if design.load_beats:
        core += [".s_load_tdata(load_data)", ".s_load_tvalid(load_valid)"]
        core += [".s_load_tready(load_ready)", ".s_load_tlast(load_last)"]
    lines += [
        "",
        f"  {design.top} u_{design.top} (",
        f"    {wrapped(core, 4).strip()}",
        "  );",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _registers(design: Design, digest: str) -> list[str]:
    signals = ("awaddr", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bvalid",
               "bready", "araddr", "arvalid", "arready", "rdata", "rvalid", "rready")  # fmt: skip
    out = ("awready", "wready", "bvalid", "arready", "rdata", "rvalid")
    pins = [f".{name}_{'o' if name in out else 'i'}(s_axi_{name})" for name in signals]
    load = [".load_data_o(load_data)", ".load_valid_o(load_valid)", ".load_last_o(load_last)"]
    lines = [
        "  wire [31:0] load_data;",
        "  wire load_valid, load_last;",
        f"  {REGISTERS} #(",
        f"    .Digest(256'h{digest}),",
        f"    .LoadBeats({design.load_beats})",
        "  ) u_registers (",
        f"    .clk_i({CLOCK}), .rst_ni({RESET}),",
        f"    {wrapped(pins, 4).strip()},",
        f"    {', '.join(load)},",
        f"    .load_ready_i({'load_ready' if design.load_beats else chr(49) + chr(39) + 'b1'})",
        "  );",
        "  assign s_axi_bresp = 2'b00;",
        "  assign s_axi_rresp = 2'b00;",
    ]
    unused = ["s_axi_awprot", "s_axi_arprot"]
    if design.load_beats:
        lines.insert(2, "  wire load_ready;")
    else:
        unused += ["load_data", "load_valid", "load_last"]
    return [*lines, f"  wire unused = &{{{', '.join(unused)}}};"]


def _attributes(port: Port) -> list[str]:
    if port.name == CLOCK:
        info, parameter = (
            _CLOCK_INFO,
            f"ASSOCIATED_BUSIF s_axis:m_axis:s_axi, ASSOCIATED_RESET {RESET}",
        )
    elif port.name == RESET:
        info, parameter = _RESET_INFO, "POLARITY ACTIVE_LOW"
    else:
        return []
    return [
        f'  (* X_INTERFACE_INFO = "{info}" *)',
        f'  (* X_INTERFACE_PARAMETER = "{parameter}" *)',
    ]


def _range(port: Port) -> str:
    return f"[{port.width - 1}:0]" if port.width > 1 else ""
