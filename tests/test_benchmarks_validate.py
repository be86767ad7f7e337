"""The held-out networks: in no fit, and the published figures are those of the rows."""

import csv
import json
import math
import re

import pytest

from benchmarks.held_out import shared_layers
from benchmarks.held_out_networks import DRAWS, networks
from benchmarks.held_out_networks import drawn as drawn_networks
from benchmarks.validate import CSV, JSON, errors
from bitwright.cost_model.observed import clocks
from bitwright.cost_model.rows import DATA, read_clocks, read_rows
from bitwright.cost_model.sweep import points


def test_no_network_is_in_the_fit() -> None:
    """Neither by name nor by constants: calibration reads measured.csv, whose rows are points."""
    names = {point.name for point in points()}
    fitted = {row.name for row in read_rows(DATA / "measured.csv")}
    held_out = {network.name for network in networks()}
    assert fitted <= names and not fitted & held_out
    assert len(held_out) >= 30
    routed = read_clocks(DATA / "clocks.csv")
    assert {clock.group for clock in clocks(routed)} <= names
    assert shared_layers([point for point in points() if point.name in fitted]) == []


def test_errors() -> None:
    found = errors([(110, 100), (210, 200), (300, 300), (0, 0)])
    assert found["median_error"] == pytest.approx(0.025) and found["spearman"] == 1.0
    assert errors([(1, 0), (2, 0), (3, 0)])["median_error"] == math.inf
    assert errors([(5, 5), (5, 5)])["spearman"] is None


def test_what_is_published_is_what_the_rows_say() -> None:
    content = json.loads(JSON.read_text())
    with CSV.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert content["networks"] == len({row["network"] for row in rows})
    counted: dict[tuple[str, str], int] = {}
    for row in read_rows(DATA / "networks.csv"):
        key = row.name, row.target
        counted[key] = counted.get(key, 0) + row.cost.lut
    for target in {row["target"] for row in rows}:
        mine = [row for row in rows if row["target"] == target]
        assert len(mine) == content[target]["networks"]
        for row in mine:
            assert int(row["lut_measured"]) == counted[row["network"], target]
        again = errors([(int(r["lut_estimated"]), int(r["lut_measured"])) for r in mine])
        assert again["median_error"] == pytest.approx(content[target]["lut"]["median_error"])
        inside = [int(r["lut_low"]) <= int(r["lut_measured"]) <= int(r["lut_high"]) for r in mine]
        assert sum(inside) / len(inside) == pytest.approx(content[target]["lut"]["band_coverage"])


def test_the_published_clocks_are_the_routed_ones() -> None:
    """Each network's slowest layer, the error, and the share in the band, from the rows again."""
    content = json.loads(JSON.read_text())
    with CSV.open(newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if r["target"] == "ecp5" and r["mhz_measured"]]
    routed: dict[str, float] = {}
    for clock in read_clocks(DATA / "clocks.csv"):
        network, _, node = clock.name.partition("/")
        if node and clock.target == "ecp5":
            routed[network] = min(routed.get(network, math.inf), clock.mhz)
    drawn = {network.name for seed in DRAWS for network in drawn_networks(seed)}
    for part, mine in (
        (content, rows),
        (content["drawn"], [row for row in rows if row["network"] in drawn]),
    ):
        published = part["ecp5"]["clock"]
        assert published["networks"] == len(mine) >= 10
        pairs = [(float(r["mhz_estimated"]), float(r["mhz_measured"])) for r in mine]
        assert [p[1] for p in pairs] == [pytest.approx(routed[r["network"]], abs=0.1) for r in mine]
        assert errors(pairs)["median_error"] == pytest.approx(published["median_error"], abs=0.002)
        inside = [float(r["mhz_low"]) <= p[1] <= float(r["mhz_high"])
                  for r, p in zip(mine, pairs, strict=True)]  # fmt: skip
        assert sum(inside) / len(inside) == pytest.approx(published["band_coverage"], abs=0.03)


def test_the_documentation_has_the_published_figures(root) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(JSON.read_text())
    text = (root / "docs" / "cost_model.md").read_text()
    for target in ("xc7", "ecp5"):
        line = next(
            one for one in text.splitlines() if re.match(rf"\| {target} \| LUT, solved", one)
        )
        assert f"{content[target]['lut']['median_error']:.1%}" in line
        assert f"{content[target]['lut']['p95_error']:.1%}" in line
