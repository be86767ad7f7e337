"""An hls4ml project synthesised by AMD's HLS tool, where one is installed, and its report."""

import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from bitwright.hls.programs import run
from bitwright.hls.project import Backend, Project, load
from bitwright.models.errors import StorageError, ToolError

_SYNTHESIS_ONLY = {"reset": 1, "csim": 0, "synth": 1, "cosim": 0, "validation": 0}

# Programs in order of preference, and their arguments; all run the project's own build_prj.tcl.
_TOOLS: dict[Backend, dict[str, list[str]]] = {
    "Vitis": {
        "vitis-run": ["--mode", "hls", "--tcl", "build_prj.tcl"],  # 2024.1 and later
        "vitis_hls": ["-f", "build_prj.tcl"],  # 2020.2 to 2024.2
    },
    "Vivado": {
        "vivado_hls": [
            "-f",
            "build_prj.tcl",
            " ".join(f"{option}={value}" for option, value in _SYNTHESIS_ONLY.items()),
        ]
    },
}


@dataclass(frozen=True, slots=True)
class Report:
    """What the vendor's C synthesis estimates for the top function."""

    tool: str
    lut: int
    ff: int
    dsp: int
    bram: int
    """Blocks of 18 Kbit."""
    latency: int
    """Clock cycles, at worst."""
    interval: int
    """Initiation interval in clock cycles, at worst."""
    clock_mhz: float
    """Estimated, from the critical path."""


def build(project: Project | str | Path, *, timeout_s: float = 4 * 3600) -> Report:
    """Synthesise a project with the vendor's tool and read its report.

    The tool works inside the project's folder and leaves its own files and logs there. It does not
    simulate: `simulate` does that, on better vectors.

    Raises:
        ToolError: no tool on the PATH, or it failed, took too long or left no report.
        StorageError: there is no project in the folder, or it cannot be written into.
    """
    known = project if isinstance(project, Project) else load(project)
    tool = Path(_find(known.backend))
    options = "".join(f"    {name} {value}\n" for name, value in _SYNTHESIS_ONLY.items())
    try:
        # An earlier build's report must not pass for this one's.
        _report_of(known).unlink(missing_ok=True)
        if known.backend == "Vitis":  # Vivado HLS takes them as arguments
            text = f"array set opt {{\n{options}    export 0\n    vsynth 0\n    fifo_opt 0\n}}\n"
            (known.folder / "build_opt.tcl").write_text(text)
    except OSError as error:
        raise StorageError(
            f"cannot write into {known.folder} ({error.strerror or error}): write the project to a "
            "folder that can be written"
        ) from None
    command = [tool, *_TOOLS[known.backend][tool.name]]
    what = f"{tool.name} on {known.folder}"
    run(command, what=what, folder=known.folder, timeout_s=timeout_s)
    return _read(known, tool.name)


def _find(backend: Backend) -> str:
    for name in _TOOLS[backend]:
        if path := shutil.which(name):
            return path
    raise ToolError(
        f"a {backend} HLS project is built by {' or '.join(_TOOLS[backend])}, which is not on the "
        "PATH: install AMD's tools and source their settings64.sh (without them the project "
        "can still be simulated)"
    )


def _report_of(project: Project) -> Path:
    folder = project.folder / f"{project.top}_prj" / "solution1" / "syn" / "report"
    return folder / f"{project.top}_csynth.xml"


def _read(project: Project, tool: str) -> Report:
    path = _report_of(project)
    try:
        root = ET.parse(path).getroot()

        def text(*names: str) -> str:
            for name in names:
                if found := root.findtext(name):
                    return found
            raise ValueError(f"no {names[0]}")

        overall, area = "PerformanceEstimates/SummaryOfOverallLatency", "AreaEstimates/Resources"
        return Report(
            tool=tool,
            lut=int(text(f"{area}/LUT")),
            ff=int(text(f"{area}/FF")),
            dsp=int(text(f"{area}/DSP", f"{area}/DSP48E")),
            bram=int(text(f"{area}/BRAM_18K")),
            latency=int(text(f"{overall}/Worst-caseLatency")),
            interval=int(text(f"{overall}/Interval-max")),
            clock_mhz=1000
            / float(text("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        )
    except (OSError, ValueError, ZeroDivisionError, ET.ParseError) as error:
        raise ToolError(
            f"{tool} ended well but {path} cannot be read ({error}): look at its log in "
            f"{project.folder}"
        ) from None
