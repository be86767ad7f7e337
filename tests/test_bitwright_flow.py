"""The whole job on a small network: every field that machines read, and what makes it fail."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.flow import Settings, run
from bitwright.inputs import Rows
from bitwright.models.lower import load_model
from bitwright.report import RESOURCES, Cycles, Engine, Report

NETWORK = f"{Path(__file__).parent / 'networks' / 'small.py'}:good"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    (folder / "mine.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def report(out: Path) -> Report:
    model = load_model(NETWORK)
    rng = np.random.default_rng(0)
    rows = Rows(rng.normal(size=(60, 8)).astype(np.float32), rng.integers(0, 3, 60))
    return run(
        model, 8, out, rows=rows, labels=("a", "b", "c"), name="net", settings=Settings(vectors=500)
    )


def test_everything_passes(report: Report) -> None:
    assert report.passed
    assert report.engines.keys() == {"hls", "rtl", "rtl_plain"}
    for engine in report.engines.values():
        assert (engine.vectors, engine.mismatches) == (560, 0)
    assert (report.controls.caught, report.controls.total) == (9, 9)
    assert {(one.engine, one.mistake) for one in report.controls.each} == {
        (engine, mistake)
        for engine in report.engines
        for mistake in ("flipped weight bit", "swapped outputs", "off-by-one rounding")
    }


def test_report_json_has_every_field_for_machines(report: Report, out: Path) -> None:
    told = json.loads((out / "report.json").read_text())
    assert told["accuracy"]["torch"] == told["accuracy"]["reference"] == report.accuracy.torch
    assert told["lowering"]["compared_integers"] > 0
    assert told["lowering"]["differing_integers"] == told["lowering"]["differing_decisions"] == 0
    for engine in ("hls", "rtl", "rtl_plain"):
        assert told["engines"][engine]["vectors"] == 560
        assert told["engines"][engine]["mismatches"] == 0
    assert told["controls"]["caught"] == told["controls"]["total"] == 9
    assert told["cycles"]["predicted"] == told["cycles"]["simulated"] > 0
    assert told["ii"]["predicted"] == told["ii"]["simulated"] == 1
    assert told["cost"]["target"] == "xc7"
    for kind in ("estimated", "measured"):
        assert list(told["cost"][kind]) == list(RESOURCES)
        assert told["cost"][kind]["lut"] > 0
    assert 0 < sum(told["steps"].values()) <= told["seconds"]
    assert told["versions"]["torch"].startswith("2.")


def test_what_else_is_in_the_folder_stays(report: Report, out: Path) -> None:
    assert (out / "mine.txt").read_text() == "mine"
    made = {path.name for path in out.iterdir()}
    assert made == {"graph", "hls", "rtl", "rtl_plain", "sim", "report.json", "mine.txt"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: replace(r, engines={**r.engines, "rtl": Engine(10, 1)}),
        lambda r: replace(r, engines={**r.engines, "rtl": Engine(10, 0, faults=("tvalid",))}),
        lambda r: replace(r, bench=replace(r.bench, failed=("pauses",))),
        lambda r: replace(r, controls=replace(r.controls, caught=8)),
        lambda r: replace(r, cycles=Cycles(5, 6)),
        lambda r: replace(r, ii=Cycles(1, None)),
    ],
)
def test_each_finding_alone_makes_the_report_fail(
    report: Report, spoil: Callable[[Report], Report]
) -> None:
    assert not spoil(report).passed
