"""The integer program against trying everything, and how it explains what cannot be."""

import itertools
import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitwright.search.program import Program
from bitwright.search.space import Space

sys.path.insert(0, str(Path(__file__).parent / "networks"))

import fake_study

WEIGHTS, INTERVALS = (1, 2, 4), (1, 8)


def space() -> Space:
    made = fake_study.space()
    made = replace(
        made,
        vary={"weights": (WEIGHTS, WEIGHTS)},
        budget=replace(made.budget, intervals=INTERVALS),
    )
    made.__dict__["precision"] = frozenset({"weights.0", "weights.1", "interval"})
    return made


def tables(seed: int) -> dict[str, Any]:
    """Two layers: the second one's hardware depends on both; each can be folded."""
    chance = random.Random(seed)

    def ways(bits: int) -> list[dict[str, Any]]:
        lut = bits * chance.randint(80, 120)
        told = {"width": bits, "size": 4, "dsp": 0}
        return [
            {"lut": lut, "ff": lut // 2, "bram": 0, "cycles": 1, "latency": 2, **told},
            {"lut": lut // 3, "ff": lut // 4, "bram": 1, "cycles": 8, "latency": 10, **told},
        ]

    both = itertools.product(WEIGHTS, WEIGHTS)
    return {
        "parts": [
            {"name": "a", "dimensions": ["weights.0"],
             "entries": [[[b], ways(b)] for b in WEIGHTS]},
            {"name": "b", "dimensions": ["weights.0", "weights.1"],
             "entries": [[[a, b], ways(a + b)] for a, b in both]},
        ],
        "modules": [
            {"name": f"m{i}", "weights": True, "dimensions": [f"weights.{i}"],
             "entries": [[[b], chance.uniform(0.5, 1) / b**2] for b in WEIGHTS]}
            for i in (0, 1)
        ],
    }  # fmt: skip


def every(t: dict[str, Any]) -> list[tuple[float, dict[str, float]]]:
    """Loss and sums of each network and folding."""
    found = []
    for a, b in itertools.product(WEIGHTS, WEIGHTS):
        loss = sum(
            next(e for c, e in module["entries"] if c == [bits])
            for module, bits in zip(t["modules"], (a, b), strict=True)
        )
        first = next(w for c, w in t["parts"][0]["entries"] if c == [a])
        second = next(w for c, w in t["parts"][1]["entries"] if c == [a, b])
        for ways in itertools.product(first, second):
            spent = {k: float(sum(w[k] for w in ways)) for k in ("lut", "ff", "bram", "latency")}
            # The slowest part, rounded up to an interval that is offered.
            slowest = max(w["cycles"] for w in ways)
            spent["interval"] = float(min(n for n in INTERVALS if n >= slowest))
            found.append((loss, spent))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "limits",
    [{}, {"lut": 500}, {"lut": 400, "bram": 1}, {"lut": 700, "interval": 1}, {"lut": 90, "ff": 80}],
    ids=str,
)
def test_it_finds_what_trying_everything_finds(seed: int, limits: dict[str, float]) -> None:
    t = tables(seed)
    possible = [loss for loss, spent in every(t) if all(spent[k] <= v for k, v in limits.items())]
    found = Program(space(), {}, t).solve(limits)
    if not possible:
        assert found is None
        return
    assert found is not None
    assert math.isclose(found.loss, min(possible), rel_tol=1e-3)
    assert all(found.spent[k] <= v + 1e-6 for k, v in limits.items())


def test_an_infeasible_budget_is_explained_with_what_it_takes() -> None:
    t = tables(0)
    program = Program(space(), {}, t)
    least = min(spent["lut"] for _, spent in every(t))
    assert program.least("lut", {}) == pytest.approx(least)
    told = program.explain({"lut": least - 20, "ff": 1000})
    assert f"at most {least - 20:g} look-up tables: the least is {least:g}, 20 more" in told
    # One input a cycle needs the unrolled layers: each limit alone can be kept, not both.
    fast = min(spent["lut"] for _, spent in every(t) if spent["interval"] == 1)
    assert fast > least
    told = program.explain({"lut": least, "interval": 1})
    assert told.startswith("each limit can be kept, but not all at once")
    assert f"{fast:g} look-up tables ({fast - least:g} more) within the others" in told
    assert "8 cycles between inputs (7 more)" in told
