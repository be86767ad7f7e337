"""Vivado, where it is on the PATH: each module placed and routed out of context, and its reports.

What Yosys counts is a netlist before placement; this is what the vendor's tool keeps of it after
packing and routing, in the same five counts. No licence is needed for the parts that are used.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwright.cost_model.cost import Cost, Measurement
from bitwright.cost_model.runs import Json, Task, default_cache, run
from bitwright.cost_model.sources import Source, needed_for, read_sources
from bitwright.cost_model.synth import multiplies
from bitwright.models.errors import InputError, ToolError
from bitwright.models.graph import Target

TIMEOUT_S = 4 * 3600.0

PARTS: Mapping[Target, str] = {"xc7": "xc7a100tcsg324-1", "xcup": "xczu3eg-sbva484-1-e"}
"""The device of each family: an Artix-7 and a Zynq UltraScale+, both in the free edition."""

Progress = Callable[[str, bool], None]
"""Called as each node is done, with its name and whether the cache had it."""

# A row of a report of utilisation, "| Slice LUTs* |  123 | …", by the name before its star.
_ROW = re.compile(r"^\|\s*([^|]+?)\*?\s*\|\s*([\d.]+)\s*\|", re.MULTILINE)
# Worst negative slack: the first number under the heading of the summary.
_SLACK = re.compile(r"^\s*WNS\(ns\).*?\n[\s-]+\n\s*(-?[\d.]+)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Vivado:
    """One Vivado: its program, and what it calls itself."""

    program: str
    version: str


def find_vivado() -> Vivado:
    """The Vivado on the PATH.

    Raises ToolError where there is none, or it does not say its version.
    """
    program = shutil.which("vivado")
    if program is None:
        raise ToolError(
            "vivado is not on the PATH: install AMD's tools and source their settings64.sh, or "
            "leave --tool out to count with Yosys, which comes with bitwright"
        )
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{program} does not start: {error}") from None
    match = re.search(r"(?i)vivado v(\d\S*)", said.stdout)
    if match is None:
        raise ToolError(f"{program} -version does not answer as Vivado does: {said.stdout!r}")
    return Vivado(program, f"Vivado {match[1]}")


def measure_with_vivado(
    files: Sequence[Path],
    tops: Mapping[str, str],
    target: Target,
    clock_mhz: float,
    *,
    jobs: int | None = 1,
    cache: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Measurement:
    """Place and route modules out of context; arguments as for `measure`.

    clock_mhz: what is asked for. `clocks` of the result are what each module reaches, its ports
    taken for registers.

    Raises:
        InputError: a family that Vivado does not know, or a module that the files do not define.
        ToolError: Vivado is missing, fails (with its last lines), or takes longer than `timeout_s`.
        StorageError: a file that cannot be read, or a cache that cannot be written.
    """
    if target not in PARTS:
        raise InputError(f"Vivado does not know {target}: give one of {', '.join(PARTS)}")
    tool, sources = find_vivado(), read_sources(files)
    tasks = {
        node: _task(top, needed_for(top, sources), target, clock_mhz, tool, set(tops.values()))
        for node, top in tops.items()
    }
    names = {id(task): node for node, task in tasks.items()}
    found: dict[str, tuple[Cost, float]] = {}
    cached = set()
    where = cache or default_cache()
    for done in run(tasks.values(), jobs=jobs, cache=where, timeout_s=timeout_s):
        node = names[id(done.task)]
        found[node] = done.result
        if done.known:
            cached.add(node)
        if progress is not None:
            progress(node, done.known)
    return Measurement(
        target,
        tool.version,
        {node: found[node][0] for node in tops},
        frozenset(cached),
        {node: found[node][1] for node in tops},
    )


def vivado_script(top: str, files: Sequence[str], part: str, *, multipliers: bool = False) -> str:
    """The Tcl that places and routes module `top` and writes its two reports.

    files: in the order to read them; the clock is in clock.xdc. multipliers: whether multiplier
    blocks may be used; where not, constants are wired in, as for Yosys.
    """
    dsp = "" if multipliers else " -max_dsp 0"
    read = "\n".join(f"read_verilog -sv {name}" for name in files)
    return f"""\
# Module {top} by itself: synthesised, placed and routed out of context, without pads.
{read}
read_xdc clock.xdc
synth_design -top {top} -part {part} -mode out_of_context -flatten_hierarchy full \\
  -no_srlextract{dsp}
opt_design
place_design
route_design
report_utilization -file utilization.rpt
report_timing_summary -max_paths 1 -file timing.rpt
"""


def vivado_clock(period_ns: float) -> str:
    """The constraints: a clock, and ports that are taken for registers, as they are in a design."""
    return f"""\
create_clock -name clk -period {period_ns:.3f} [get_ports clk_i]
set_input_delay -clock clk 0 [get_ports -filter {{DIRECTION == IN && NAME != clk_i}}]
set_output_delay -clock clk 0 [all_outputs]
"""


def stub(top: str, text: str) -> str:
    """The ports of a module without its inside, which Vivado takes for a black box."""
    header = re.search(rf"\bmodule\s+{re.escape(top)}\s*\(.*?\);", text, re.DOTALL)
    if header is None:
        raise InputError(f"there is no module {top} whose ports could be kept")
    return f"(* black_box *) {header[0]}\nendmodule\n"


def read_reports(utilization: str, timing: str, period_ns: float) -> Json:
    """The counts and the clock that two reports of Vivado say.

    LUT: tables that are occupied, memory among them. carry: CARRY4 or CARRY8. bram: blocks of
    18 Kb, one of 36 Kb as two.

    Raises ToolError where a report is not one.
    """
    rows: dict[str, float] = {}
    for name, count in _ROW.findall(utilization):
        rows[name] = max(rows.get(name, 0.0), float(count))  # the same cell stands in two tables
    lut = rows.get("Slice LUTs", rows.get("CLB LUTs"))
    ff = rows.get("Slice Registers", rows.get("CLB Registers"))
    slack = _SLACK.search(timing)
    if lut is None or ff is None:
        raise ToolError("Vivado's report of utilisation has no LUTs or no registers in it")
    if slack is None:
        raise ToolError("Vivado's report of timing has no worst negative slack in it")
    counts = {
        "lut": lut,
        "ff": ff,
        "carry": rows.get("CARRY4", 0) + rows.get("CARRY8", 0),
        "dsp": rows.get("DSPs", 0),
        "bram": sum(n * rows.get(f"RAMB{18 * n}E{kind}", 0) for n in (1, 2) for kind in (1, 2)),
    }
    return {
        "cost": {name: int(count) for name, count in counts.items()},
        "mhz": 1e3 / max(period_ns - float(slack[1]), 1e-3),
    }


def _task(
    top: str,
    sources: list[Source],
    target: Target,
    clock_mhz: float,
    tool: Vivado,
    others: set[str],
) -> Task[tuple[Cost, float]]:
    period = round(1e3 / clock_mhz, 3)
    files = {}
    for source in sources:
        boxes = sorted(source.defines & (others - {top}))
        stubs = "\n".join(stub(box, source.text) for box in boxes)
        files[f"src/{source.name}"] = stubs or source.text
    script = vivado_script(top, list(files), PARTS[target], multipliers=multiplies(sources))

    def read(folder: Path) -> Json:
        try:
            utilization = (folder / "utilization.rpt").read_text()
            timing = (folder / "timing.rpt").read_text()
        except OSError:
            raise ToolError(f"{tool.version} wrote no reports for module {top}") from None
        return read_reports(utilization, timing, period)

    return Task(
        name=f"module {top} for {target}",
        tool=tool.version,
        files={**files, "run.tcl": script, "clock.xdc": vivado_clock(period)},
        commands=((tool.program, "-mode", "batch", "-nojournal", "-source", "run.tcl"),),
        read=read,
        parse=_parse,
    )


def _parse(kept: Json) -> tuple[Cost, float]:
    return Cost(**{name: int(kept["cost"][name]) for name in Cost().as_dict()}), float(kept["mhz"])
