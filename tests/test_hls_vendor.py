"""Building with a vendor's tool: how it is called and read. A script stands in for the program."""

import os
from pathlib import Path

import pytest

from bitwright import hls
from bitwright.models.errors import StorageError, ToolError
from bitwright.models.zoo import random_mlp

# The elements that are read, as Vitis HLS 2023.1 and Vivado HLS 2019.2 write them.
REPORT = """<?xml version="1.0"?>
<profile>
  <PerformanceEstimates>
    <SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>3.125</EstimatedClockPeriod>
    </SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
      <Best-caseLatency>6</Best-caseLatency><Worst-caseLatency>7</Worst-caseLatency>
      <Interval-min>1</Interval-min><Interval-max>2</Interval-max>
    </SummaryOfOverallLatency>
  </PerformanceEstimates>
  <AreaEstimates>
    <Resources>
      <BRAM_18K>4</BRAM_18K><DSP>5</DSP><FF>600</FF><LUT>7000</LUT><URAM>0</URAM>
    </Resources>
  </AreaEstimates>
</profile>
"""


@pytest.fixture(params=hls.BACKENDS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> hls.Project:
    graph = random_mlp((3, 2), (2,), (3,), name="net")
    return hls.write(graph, tmp_path / "p", request.param)


def install(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, report: str = REPORT, code: int = 0
) -> Path:
    """Put a program on the PATH that notes how it was called and leaves a report."""
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    (folder / "report.xml").write_text(report)
    place = "net_hls_prj/solution1/syn/report"
    program.write_text(
        f'#!/bin/sh\necho "$PWD|$*" > {folder}/called\ntest -f build_prj.tcl || exit 9\n'
        f"mkdir -p {place}\ncp {folder}/report.xml {place}/net_hls_csynth.xml\n"
        f'echo "ERROR: [HLS 200-70] no such part"\nexit {code}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder / "called"


def tool(project: hls.Project) -> str:
    return {"Vitis": "vitis_hls", "Vivado": "vivado_hls"}[project.backend]


def test_the_report_is_read(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = install(tool(project), tmp_path, monkeypatch)
    report = hls.build(project.folder)
    assert report == hls.Report(
        tool=tool(project), lut=7000, ff=600, dsp=5, bram=4, latency=7, interval=2, clock_mhz=320.0
    )
    folder, arguments = called.read_text().strip().split("|")
    assert folder == str(project.folder)
    if project.backend == "Vitis":
        assert arguments == "-f build_prj.tcl"
        assert "    synth 1\n" in (project.folder / "build_opt.tcl").read_text()
        assert "    csim 0\n" in (project.folder / "build_opt.tcl").read_text()
    else:
        assert arguments == "-f build_prj.tcl reset=1 csim=0 synth=1 cosim=0 validation=0"


def test_the_newer_program_is_preferred(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vitis_hls", tmp_path, monkeypatch)
    install("vivado_hls", tmp_path, monkeypatch)
    called = install("vitis-run", tmp_path, monkeypatch)
    newer = {"Vitis": "vitis-run", "Vivado": "vivado_hls"}[project.backend]
    assert hls.build(project).tool == newer
    if project.backend == "Vitis":
        assert called.read_text().endswith("|--mode hls --tcl build_prj.tcl\n")


def test_dsp_blocks_of_older_reports_count(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = REPORT.replace("<DSP>5</DSP>", "<DSP48E>6</DSP48E>")
    install(tool(project), tmp_path, monkeypatch, older)
    assert hls.build(project).dsp == 6


def test_a_missing_tool_is_named(project: hls.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    named = {"Vitis": "vitis-run or vitis_hls", "Vivado": "vivado_hls"}[project.backend]
    with pytest.raises(ToolError, match=f"is built by {named}, .* not on the PATH: install AMD's"):
        hls.build(project)


def test_a_failure_is_quoted(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tool(project), tmp_path, monkeypatch, code=1)
    with pytest.raises(ToolError, match=r"failed with exit code 1; (.*\n)ERROR: .* no such part"):
        hls.build(project)


@pytest.mark.parametrize("report", ["", REPORT.replace("7000", "undef"), "<profile></profile>"])
def test_a_report_that_says_nothing_is_an_error(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    install(tool(project), tmp_path, monkeypatch, report)
    with pytest.raises(ToolError, match=r"net_hls_csynth\.xml cannot be read .*: look at its log"):
        hls.build(project)


def test_a_report_of_an_earlier_build_is_not_read(
    project: hls.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tool(project), tmp_path, monkeypatch)
    hls.build(project)
    (tmp_path / "bin" / tool(project)).write_text("#!/bin/sh\n")
    with pytest.raises(ToolError, match="cannot be read"):
        hls.build(project)


def test_there_has_to_be_a_project(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not hold an HLS project"):
        hls.build(tmp_path)
