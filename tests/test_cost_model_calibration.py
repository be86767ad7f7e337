"""The fit: numbers of the shipped rows, errors on rows left out, and what a fit refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.cost_model.amounts import Amounts, LogicPath
from bitwright.cost_model.calibration import (
    ASSUMED,
    FOLDS,
    Clock,
    Observation,
    calibrate,
    error,
    fitted,
    fitted_delays,
    to_json,
    write,
)
from bitwright.cost_model.coefficients import (
    FILE,
    VERSION,
    Delays,
    amounts_cost,
    coefficients,
    from_json,
)
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.observed import observations
from bitwright.cost_model.parts import Part
from bitwright.cost_model.rows import DATA, Row, read_rows
from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import TARGETS


def row(group: str, chain: float, lut: int, ff: int = 4, **more: float) -> Observation:
    made = Amounts(Cost(ff=ff), {"handshake": 1, "chain": chain, **more})
    cost = Cost(lut=lut, ff=ff, carry=int(chain))
    return Observation(group, "ecp5", Part("product, solved", made, {"inputs": chain}), cost)


def rows(lut_of_a_chain: float = 2.0) -> list[Observation]:
    some = [row(f"p{i}", 10 * i, 2 + round(lut_of_a_chain * 10 * i)) for i in range(1, 40)]
    return [*some, row("identity_a", 0, 2), row("identity_b", 0, 2)]


def test_numbers_are_found_again() -> None:
    found = fitted(rows())
    assert found.lut["chain"] == pytest.approx(2, abs=0.01) and found.lut["handshake"] == 2
    assert found.carry["chain"] == pytest.approx(1, abs=0.01) and found.carry["handshake"] == 0
    # what no row tells is what first principles say, and never negative
    assert found.lut["deep"] == 1 and min(found.lut.values()) >= 0


def test_a_few_odd_rows_move_nothing() -> None:
    odd = [row(f"wires{i}", 300, 2) for i in range(3)]
    assert fitted([*rows(), *odd]).lut["chain"] == pytest.approx(2, abs=0.05)


def test_bands_are_of_rows_left_out() -> None:
    dice = np.random.default_rng(0)
    noisy = [
        row(f"p{i}", 100, 2 + round(200 * float(np.exp(dice.normal(0, 0.1))))) for i in range(200)
    ]
    found = calibrate(noisy)["ecp5"]
    assert found.errors["product, solved", "lut"].rows == 200
    assert found.errors["product, solved", "lut"].median == pytest.approx(0.067, abs=0.02)
    # nine of ten within: 1.645 standard deviations
    assert found.numbers.spread["product, solved"]["lut"] == pytest.approx(0.1645, abs=0.03)
    assert found.numbers.spread["product, solved"]["ff"] == 0
    assert found.numbers.ranges["product, solved"]["inputs"] == (100, 100)
    quiet = calibrate(rows())["ecp5"]
    assert quiet.numbers.spread["product, solved"]["lut"] < 0.03


def test_too_few_rows() -> None:
    with pytest.raises(InputError, match="3 points were measured on ecp5"):
        calibrate(rows()[:3])


def test_delays_are_found_again() -> None:
    dice = np.random.default_rng(1)
    delays, clocks = Delays(2.0, 1.5, 0.05, 0.5, 6.0, 0, 0, 0), []
    for i in range(60):
        logic = LogicPath(*(int(n) for n in dice.integers(0, 6, 2)), int(dice.integers(0, 30)))
        memory = LogicPath(memories=1, tables=int(dice.integers(0, 4)))
        luts = int(dice.integers(20, 900))
        ns = max(delays.of(path, luts) for path in (logic, memory))
        clocks.append(Clock(f"p{i}", "ecp5", "some", (logic, memory), luts, 1e3 / ns))
    found, pairs = fitted_delays("ecp5", clocks)
    # whichever path was the slowest: no row tells which
    assert found.addition == pytest.approx(1.5, rel=0.05)
    assert found.table == pytest.approx(0.5, rel=0.1)
    assert found.memory == pytest.approx(6.0, rel=0.05)
    assert fitted_delays("ecp5", clocks[::-1])[0] == found
    away = error([(mhz, clock.mhz) for clock, mhz in pairs])
    assert away is not None and away.rows == 60 and away.median < 0.03
    assert fitted_delays("xc7", clocks[: FOLDS - 1]) == (ASSUMED["xc7"], [])


def test_the_file_is_read_as_written(tmp_path: Path) -> None:
    found = calibrate(rows())
    file = tmp_path / "new" / "calibration.json"
    write(file, to_json(found, ["Yosys 1"]))
    content = json.loads(file.read_text())
    assert content["version"] == VERSION and content["tools"] == ["Yosys 1"]
    numbers = from_json(content["targets"]["ecp5"])
    assert numbers.lut == found["ecp5"].numbers.lut and numbers.delays == ASSUMED["ecp5"]
    assert list(tmp_path.glob("new/.new*")) == []
    (tmp_path / "full").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write(tmp_path / "full" / "x.json", content)


def test_a_row_of_no_point() -> None:
    with pytest.raises(InputError, match="no sample point huh"):
        observations([Row("huh", "xc7", "Yosys", "node", Cost())])


def test_what_ships_is_of_the_rows_that_ship() -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    counted = read_rows(DATA / "measured.csv")
    assert set(content["targets"]) == set(TARGETS)
    for target, one in content["targets"].items():
        if "as" not in one:
            seen = [r for r in counted if r.target == target]
            assert len(seen) <= one["rows"] <= 2 * len(seen)  # solved and by formulas
            assert all(n >= 0 for which in ("lut", "carry") for n in one[which].values())
    assert {r.tool for r in counted} <= set(content["tools"])


def test_the_shipped_numbers_are_as_near_as_they_say() -> None:
    """Some of the rows, estimated with the shipped numbers: of the fit, so nearer than the band."""
    counted = [r for r in read_rows(DATA / "measured.csv") if r.target in ("xc7", "ecp5")]
    some = [r for r in counted if r.name.startswith("dense_1")]
    seen = [o for o in observations(some) if o.part.kind == "product, solved"]
    assert len(seen) >= 40

    def worst(scale: float) -> float:
        away = []
        for one in seen:
            numbers = coefficients(one.target)
            lut = {kind: scale * n for kind, n in numbers.lut.items()}
            made = amounts_cost(one.part.amounts, one.target, replace(numbers, lut=lut))
            away.append(abs(made.lut / one.cost.lut - 1))
        return float(np.median(away))

    assert worst(1.0) < 0.03
    assert worst(1.15) > 0.1  # and numbers that are a seventh too large are seen
    assert all(o.cost.dsp == o.part.amounts.known.dsp for o in seen)
