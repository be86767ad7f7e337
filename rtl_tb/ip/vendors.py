"""What tools take an IP in by: a FuseSoC core, a Vivado packaging script, clock constraints."""

from collections.abc import Sequence

from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.ip.interface import CLOCK, LICENCE, RESET, ip_name, ports


def fusesoc_core(design: Design, version: str, rtl: Sequence[str], vectors: Sequence[str]) -> str:
    """The text of the .core file (CAPI2). rtl, vectors: paths inside the folder."""
    name = ip_name(design)
    sources = [f"      - {path}" for path in rtl if path.endswith(".sv")]
    wrappers = [f"      - {path}" for path in rtl if path.endswith(".v")]
    data = [f"      - {path}: {{copyto: {path}}}" for path in vectors]
    text = _CORE.format(
        name=name, version=version, top=design.top, licence=LICENCE,
        sources="\n".join(sources), wrappers="\n".join(wrappers), vectors="\n".join(data),
    )  # fmt: skip
    if is_for_vivado(design):
        files, target = _VIVADO_FILES, _VIVADO
    elif fits_trellis(design):
        files, target = _TRELLIS_FILES, _TRELLIS
    else:
        return text
    before, targets, after = text.partition("\ntargets:\n")
    return before + files.format(name=name) + targets + after + target


_CORE = """\
CAPI=2:
name: bitwright:ip:{name}:{version}
description: The network {top} in SystemVerilog, AXI4-Stream in and out, made by bitwright
license: {licence}

filesets:
  rtl:
    files:
{sources}
    file_type: systemVerilogSource
  top:
    files:
{wrappers}
    file_type: verilogSource
  bench:
    files:
      - tb/tb_{name}.sv: {{file_type: systemVerilogSource}}
{vectors}
    file_type: user

targets:
  default: &default
    filesets: [rtl, top]
    toplevel: {name}

  lint:
    <<: *default
    description: Verilator with all warnings
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]

  sim:
    <<: *default
    description: The plain bench, with golden vectors, in Verilator
    filesets_append: [bench]
    toplevel: tb_{name}
    flow: sim
    flow_options:
      tool: verilator
      mode: binary
      verilator_options: [--timing, -Wno-fatal, --output-split 0, -CFLAGS -std=c++20]
"""

_VIVADO_FILES = """\
  vivado:
    files:
      - constraints/{name}_ooc.xdc: {{tags: [out_of_context]}}
    file_type: xdc
"""
_VIVADO = """
  vivado:
    <<: *default
    description: Synthesis in Vivado, out of context
    filesets_append: [vivado]
    flow: vivado
    flow_options:
      pnr: none
"""


# Every port is a pin, in the largest package: edalize asks nextpnr for a bitstream, which there is
# none of out of context.
_PINS = 365
_TRELLIS_FILES = """\
  trellis:
    files:
      - constraints/{name}.lpf
    file_type: LPF
"""
_TRELLIS = """
  trellis:
    <<: *default
    description: Yosys and nextpnr-ecp5, every port a pin of an LFE5U-85F, speed grade 6
    filesets_append: [trellis]
    flow: trellis
    flow_options:
      nextpnr_options: [--85k, --package, CABGA756, --speed, "6", --lpf-allow-unconstrained]
"""


def vivado_script(design: Design, version: str, rtl: Sequence[str], about: str) -> str:
    """The text of package_ip.tcl, which makes an IP of Vivado's own catalogue."""
    name = ip_name(design)
    files = "\n".join(f"  {path}" for path in rtl)
    return _TCL.format(name=name, version=".".join(version.split(".")[:2]), files=files,
                       top=design.top, about=about, clock=CLOCK, reset=RESET)  # fmt: skip


# component.xml beside it is IEEE 1685-2014, which Vivado does not read: it writes its own, of 2009,
# into another folder.
_TCL = """\
# Packages the IP for Vivado's catalogue, into vivado/{name} beside this script:
#   vivado -mode batch -source package_ip.tcl
# Then add that folder to the project's IP repositories (Settings, IP, Repository).
set here [file dirname [file normalize [info script]]]
set there [file join $here vivado]

create_project -force package [file join $there project]
foreach file {{
{files}
}} {{
  add_files -norecurse [file join $here $file]
}}
add_files -norecurse -fileset constrs_1 [file join $here constraints {name}_ooc.xdc]
set_property USED_IN {{synthesis implementation out_of_context}} \\
  [get_files [file join $here constraints {name}_ooc.xdc]]
set_property top {name} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $there {name}] -vendor bitwright -library ip \\
  -taxonomy /UserIP -import_files -set_current true
set core [ipx::current_core]
set_property name {name} $core
set_property version {version} $core
set_property display_name {name} $core
set_property description {{{about}}} $core
set_property supported_families {{}} $core
set_property auto_family_support_level level_2 $core
foreach bus {{s_axis m_axis s_axi}} {{
  ipx::associate_bus_interfaces -busif $bus -clock {clock} $core
}}
ipx::associate_bus_interfaces -clock {clock} -reset {reset} $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
puts "packaged: [file join $there {name}]"
"""


def is_for_vivado(design: Design) -> bool:
    """Whether the plan is for a family of AMD's, or there is none."""
    return design.plan is None or design.plan.target in ("xc7", "xcup")


def is_for_trellis(design: Design) -> bool:
    """Whether the plan is for ECP5, which Yosys and nextpnr place and route (Project Trellis)."""
    return design.plan is not None and design.plan.target == "ecp5"


def fits_trellis(design: Design) -> bool:
    """Whether the core has a target for nextpnr-ecp5: the ports have to fit the pins."""
    return is_for_trellis(design) and sum(port.width for port in ports(design)) <= _PINS


def clock_preference(design: Design, mhz: float) -> str:
    """The clock for ECP5, as LPF."""
    return (
        f"# {ip_name(design)} was planned for {mhz:g} MHz. In a larger design, constrain the\n"
        "# clock that drives it instead.\n"
        f'FREQUENCY PORT "{CLOCK}" {mhz:g} MHZ;\n'
    )


def clock_constraints(design: Design, mhz: float) -> str:
    """The clock as SDC, which XDC is too: for synthesis by itself, or where it is the top."""
    return (
        f"# {ip_name(design)} was planned for {mhz:g} MHz. Where it is part of a larger design,\n"
        "# the clock is defined outside, and this file is for synthesis out of context alone.\n"
        f"create_clock -name {CLOCK} -period {1000 / mhz:.3f} [get_ports {CLOCK}]\n"
    )
