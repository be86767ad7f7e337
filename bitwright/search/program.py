"""The integer program: bits, codecs, pruning and folding of all layers in a budget, in one solve.

One variable for each choice of each dimension, and one for each way to build each part under each
combination of its choices. What the loss rises by is minimised; resources add up; throughput is the
slowest part's, so that no part takes more cycles than the interval that is chosen with the rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.cost_model.candidates import LUTS_OF_A_BLOCK
from bitwright.search.budget import LIMITS
from bitwright.search.candidate import Scalar
from bitwright.search.space import Space

Chosen = dict[str, Scalar]
Limits = Mapping[str, float]

_SUMS = ("lut", "ff", "dsp", "bram", "latency_ns", "activation_bits")
_GAP = 1e-4


@dataclass(frozen=True)
class Solution:
    """The best choices within some limits: what the loss rises by, and what the parts add up to."""

    chosen: Chosen
    loss: float
    spent: Mapping[str, float]


class Program:
    """The program of one shape: its tables, and solutions under any limits."""

    def __init__(self, space: Space, base: Chosen, tables: Mapping[str, Any]) -> None:
        self._base = base
        self._choices: dict[str, tuple[Scalar, ...]] = {"interval": space.budget.intervals}
        self._choices |= {
            d.name: d.choices
            for d in space.dimensions
            if any(d.name in t["dimensions"] for t in (*tables["parts"], *tables["modules"]))
        }
        self._columns: list[tuple[str, Any]] = [
            (name, choice) for name, choices in self._choices.items() for choice in choices
        ]
        self._at = {column: i for i, column in enumerate(self._columns)}
        self._integer = [True] * len(self._columns)
        self._loss = [0.0] * len(self._columns)
        self._sums: dict[str, list[float]] = {name: [0.0] * len(self._columns) for name in _SUMS}
        self._rows: list[tuple[dict[int, float], float, float]] = []
        for choices in self._choices:
            self._equal({self._at[choices, c]: 1.0 for c in self._choices[choices]}, 1.0)
        period = 1e3 / space.budget.clock_mhz
        activations = max(sum(p["entries"][0][1][0]["size"] for p in tables["parts"]), 1)
        for part in tables["parts"]:
            self._table(part, lambda way: 0.0, period, activations)
        for module in tables["modules"]:
            ways = {**module, "entries": [[c, [{"loss": loss}]] for c, loss in module["entries"]]}
            self._table(ways, lambda way: float(way["loss"]), period, activations)

    def _equal(self, row: dict[int, float], value: float) -> None:
        self._rows.append((row, value, value))

    def _table(self, table: Mapping[str, Any], loss: Any, period: float, activations: int) -> None:
        """A variable for each way of each entry; those of one choice add up to that choice's."""
        of_choice: dict[int, dict[int, float]] = {
            self._at[d, c]: {} for d in table["dimensions"] for c in self._choices[d]
        }
        first, cycles = len(self._loss), {}
        for combination, ways in table["entries"]:
            for way in ways:
                column = len(self._loss)
                self._loss.append(loss(way))
                self._integer.append(len(ways) > 1)
                for name in _SUMS:
                    self._sums[name].append(_amount(name, way, period, activations))
                if "cycles" in way:
                    cycles[column] = float(way["cycles"])
                for d, c in zip(table["dimensions"], combination, strict=True):
                    of_choice[self._at[d, c]][column] = 1.0
        for choice, row in of_choice.items():
            self._equal({**row, choice: -1.0}, 0.0)
        self._equal(dict.fromkeys(range(first, len(self._loss)), 1.0), 1.0)
        if cycles:
            intervals = self._choices["interval"]
            asked = {self._at["interval", n]: -float(str(n)) for n in intervals}
            self._rows.append(({**cycles, **asked}, -math.inf, 0.0))

    def solve(self, limits: Limits, price: float = math.inf) -> Solution | None:
        """The least loss within limits, by column, and within a price in look-up tables."""
        goal = np.array(self._loss)
        # Of equal ones the cheaper: a share of the price that no difference in loss is below.
        cheap = np.array(self._prices())
        goal = goal + cheap * (max(float(goal.max()), 1e-12) * 1e-6 / max(float(cheap.max()), 1.0))
        return self._solved(goal, limits, price)

    def least(self, column: str, limits: Limits) -> float | None:
        """The least of one column within limits on others; None where there is no design."""
        goal = self._goal(column)
        found = self._solved(goal, {k: v for k, v in limits.items() if k != column})
        return None if found is None else found.spent[column]

    def prices(self, limits: Limits) -> tuple[float, float] | None:
        """The least price within limits, and that of the least loss; None without a design."""
        cheapest = self._solved(np.array(self._prices()), limits)
        best = self.solve(limits)
        if cheapest is None or best is None:
            return None
        return cheapest.spent["price"], best.spent["price"]

    def explain(self, limits: Limits) -> str:
        """Why there is no design within limits: which limit, by how much, and what is needed."""
        units = dict(LIMITS.values())
        alone = {c: self.least(c, {}) for c in limits}
        for column, least in alone.items():
            if least is not None and least > limits[column] * (1 + 1e-9):
                return (
                    f"no network of this shape has at most {limits[column]:,g} {units[column]}: "
                    f"the least is {least:,.4g}, {least - limits[column]:,.4g} more; allow that "
                    "many, or give more choices"
                )
        told = []
        for column, limit in limits.items():
            needed = self.least(column, limits)
            if needed is not None and needed > limit:
                told.append(
                    f"{needed:,.4g} {units[column]} ({needed - limit:,.4g} more) within the others"
                )
        if not told:
            return "no two of these limits can be kept at once: allow more of several"
        return f"each limit can be kept, but not all at once: it takes {', or '.join(told)}"

    def _prices(self) -> list[float]:
        lut, dsp, bram = (self._sums[name] for name in ("lut", "dsp", "bram"))
        return [a + LUTS_OF_A_BLOCK * (b + c) for a, b, c in zip(lut, dsp, bram, strict=True)]

    def _goal(self, column: str) -> Any:
        if column != "interval":
            return np.array(self._sums[column])
        goal = np.zeros(len(self._loss))
        for n in self._choices["interval"]:
            goal[self._at["interval", n]] = float(str(n))
        return goal

    def _solved(self, goal: Any, limits: Limits, price: float = math.inf) -> Solution | None:
        # Only here: it takes half a second to import.
        from scipy.optimize import (
            Bounds,
            LinearConstraint,
            milp,
        )
        from scipy.sparse import csr_array

        rows = list(self._rows)
        for column, limit in limits.items():
            rows.append((_sparse(self._goal(column)), -math.inf, limit))
        if price < math.inf:
            rows.append((_sparse(self._prices()), -math.inf, price))
        entries = [(i, j, v) for i, (row, _, _) in enumerate(rows) for j, v in row.items()]
        i, j, v = map(np.array, zip(*entries, strict=True))
        found = milp(
            goal,
            integrality=np.array(self._integer, dtype=int),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(
                csr_array((v, (i, j)), shape=(len(rows), len(goal))),
                [low for _, low, _ in rows],
                [high for _, _, high in rows],
            ),
            options={"mip_rel_gap": _GAP},
        )
        if found.x is None:
            return None
        x = np.asarray(found.x)
        chosen = dict(self._base)
        for (name, choice), value in zip(self._columns, x, strict=False):
            if value > 0.5:
                chosen[name] = choice
        spent = {name: float(np.dot(column, x)) for name, column in self._sums.items()}
        spent["price"] = float(np.dot(self._prices(), x))
        spent["interval"] = float(str(chosen["interval"]))
        return Solution(chosen, float(np.dot(self._loss, x)), spent)


def _amount(name: str, way: Mapping[str, Any], period: float, activations: int) -> float:
    if name == "latency_ns":
        return float(way.get("latency", 0) * period)
    if name == "activation_bits":
        return float(way.get("width", 0) * way.get("size", 0) / activations)
    return float(way.get(name, 0))


def _sparse(row: Sequence[float]) -> dict[int, float]:
    return {i: float(v) for i, v in enumerate(row) if v}
