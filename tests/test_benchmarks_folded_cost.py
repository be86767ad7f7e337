"""The estimate of folded engines and streams against every row that Yosys counted."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.folded_cost import STREAMS, TARGETS, Row, comparisons, parts, read
from bitwright.cost_model.blends import amounts_cost
from bitwright.models.graph import Target

ROWS = read()


def rows(target: Target, streams: bool) -> list[Row]:
    return [r for r in ROWS if r.target == target and r.point.endswith(STREAMS) == streams]


@pytest.mark.parametrize("target", TARGETS)
def test_blocks_are_exact_and_registers_nearly(target: Target) -> None:
    for row in rows(target, streams=False):
        found = amounts_cost(parts(row), target)
        assert (found.dsp, found.bram) == (row.cost.dsp, row.cost.bram), row
        if row.point.startswith("d_"):  # the others' windows had fewer registers when measured
            assert found.ff == pytest.approx(row.cost.ff, rel=0.05, abs=4), row


@pytest.mark.parametrize("target", TARGETS)
def test_tables_of_engines(target: Target) -> None:
    found = [
        amounts_cost(parts(row), target).lut / row.cost.lut - 1
        for row in rows(target, streams=False)
    ]
    assert len(found) >= 25
    assert np.median(np.abs(found)) < 0.08
    assert abs(np.mean(found)) < 0.05
    assert np.percentile(np.abs(found), 90) < 0.2


@pytest.mark.parametrize("target", TARGETS)
def test_tables_of_streams(target: Target) -> None:
    found = [
        amounts_cost(parts(row), target).lut / row.cost.lut - 1
        for row in rows(target, streams=True)
    ]
    assert np.median(np.abs(found)) < 0.06


def test_a_row_of_another_target_is_seen() -> None:
    """The rows tell the targets apart: what is exact for one is wrong for another."""
    wrong = [replace(row, target="xc7") for row in rows("ice40", streams=False)]
    found = [amounts_cost(parts(row), "xc7") for row in wrong]
    assert any(cost.bram != row.cost.bram for cost, row in zip(found, wrong, strict=True))


def test_whole_networks() -> None:
    """None of them is in the fit."""
    found = list(comparisons())
    assert {target for _, target, _, _ in found} >= {"xc7"}
    for name, target, estimated, real in found:
        assert (estimated["dsp"], estimated["bram"]) == (real["dsp"], real["bram"]), (name, target)
        assert estimated["lut"] == pytest.approx(real["lut"], rel=0.15), (name, target)
        # Windows had fewer registers when these were measured.
        assert -0.05 < estimated["ff"] / real["ff"] - 1 < 0.15, (name, target)
