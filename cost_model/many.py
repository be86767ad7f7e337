"""Estimates of many plans of one graph at a time: a table of every node's options, then sums.

What a node costs depends on its own engine alone where vectors are unrolled, so that each option of
each node is estimated once, however many plans combine them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.cost_model.bands import node_bands
from bitwright.cost_model.coefficients import amounts_cost, coefficients
from bitwright.cost_model.cost import COMMON, RESOURCES, Cost
from bitwright.cost_model.estimate import stage_options
from bitwright.cost_model.parts import node_part
from bitwright.models.errors import InputError
from bitwright.models.graph import Graph, IntArray, Plan, Target, Unrolled
from bitwright.models.graph.streams import is_streamed

Floats = npt.NDArray[np.float64]

_CHUNK = 4096  # plans at a time: what they gather stays in the cache


@dataclass(frozen=True, eq=False, slots=True)
class Estimates:
    """What `Estimate` says, an array entry for each plan.

    total, low, high: counts and bands by resource. latency: cycles; the initiation interval is 1.
    """

    total: Mapping[str, IntArray]
    low: Mapping[str, IntArray]
    high: Mapping[str, IntArray]
    latency: IntArray
    clock_mhz: Floats


class PlanTable:
    """Every option of every node of a graph of vectors, with what it costs."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        options: Mapping[str, Sequence[int]] | None = None,
        *,
        solved: bool = False,
    ) -> None:
        """options: numbers of pipeline stages for each node; all that can be faster, without.

        Raises InputError for a graph whose nodes do not cost what their own engine says: images,
        branches.
        """
        self.graph, self.target = graph, target
        self.nodes = tuple(node.name for node in graph.nodes)
        """The columns of a choice."""
        if is_streamed(graph, Plan({}, target)):
            raise InputError(
                f"graph {graph.name} has images or branches, whose parts lie between FIFOs: "
                "estimate its plans one by one"
            )
        if options is None:
            options = {node.name: stage_options(graph, node, target) for node in graph.nodes}
        self.options = tuple(tuple(options[name]) for name in self.nodes)
        """The stages that an entry of a choice stands for, by node."""
        self.plan([0] * len(self.nodes)).check(graph)
        numbers = coefficients(target)
        self._rows: list[Floats] = []
        self._periods: list[Floats] = []
        for node, stages in zip(graph.nodes, self.options, strict=True):
            rows, periods = [], []
            for count in stages:
                part = node_part(graph, node, Unrolled(count), target, solved=solved)
                cost = amounts_cost(part.amounts, target)
                low, high = node_bands({node.name: part}, {node.name: cost}, numbers)
                away = [
                    _array(cost) - _array(low[node.name]),
                    _array(high[node.name]) - _array(cost),
                ]
                rows.append(np.concatenate([_array(cost), *away, *(a * a for a in away), [count]]))
                periods.append(numbers.delays.slowest(part.amounts.paths, cost.lut))
            self._rows.append(np.array(rows))
            self._periods.append(np.array(periods))

    def plan(self, choice: Sequence[int], clock_mhz: float = 200.0) -> Plan:
        """The plan that a row of choices stands for."""
        engines = {
            name: Unrolled(stages[pick])
            for name, stages, pick in zip(self.nodes, self.options, choice, strict=True)
        }
        return Plan(engines, self.target, clock_mhz)

    def estimate(self, choices: IntArray) -> Estimates:
        """The estimates of many plans.

        choices: (plans, nodes), each entry the number of an option. Equal to `estimate` of each.
        """
        sums = np.zeros((len(choices), self._rows[0].shape[1]))
        period = np.zeros(len(choices))
        for start in range(0, len(choices), _CHUNK):
            here = slice(start, start + _CHUNK)
            for column, (rows, periods) in enumerate(zip(self._rows, self._periods, strict=True)):
                pick = choices[here, column]
                sums[here] += rows[pick]
                np.maximum(period[here], periods[pick], out=period[here])
        count = len(RESOURCES)
        cost, below, above, below2, above2 = np.split(sums[:, : 5 * count], 5, axis=1)
        low = np.maximum(cost - np.rint(_width(below, below2)), 0)
        high = cost + np.rint(_width(above, above2))
        return Estimates(
            total=_columns(cost),
            low=_columns(low),
            high=_columns(high),
            latency=sums[:, -1].astype(np.int64),
            clock_mhz=1e3 / period,
        )


def _array(cost: Cost) -> Floats:
    return np.array([float(n) for n in cost.as_dict().values()])


def _width(away: Floats, squares: Floats) -> Floats:
    return np.sqrt((1 - COMMON) * squares + COMMON * away * away)


def _columns(counts: Floats) -> dict[str, IntArray]:
    return {name: counts[:, i].astype(np.int64) for i, name in enumerate(RESOURCES)}
