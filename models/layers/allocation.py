"""Network-wide rate allocation: from rate-distortion curves and a budget to a point per layer.

What is minimised is the sum over layers of sensitivity * noise-to-signal ratio (MSE over mean
square), because a layer's relative error is what its successors see, however many activations it
makes. What is limited is the average code rate: bits per activation, over all activations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from bitwright.models.errors import InputError, ToolError
from bitwright.models.layers.rate_distortion import Curve, Kind, Point

Method = Literal["ilp", "lagrangian"]


@dataclass(frozen=True, slots=True)
class Allocation:
    """A point per layer. rate: average bits per activation. distortion: what was minimised.

    multiplier: the Lagrangian's price of a bit, for which the points are optimal; None of the ILP.
    """

    points: tuple[Point, ...]
    rate: float
    distortion: float
    multiplier: float | None = None


def allocate(
    curves: Sequence[Curve],
    rate: float,
    *,
    method: Method = "ilp",
    kinds: Sequence[Kind] = ("bitplanes", "uniform"),
    sensitivities: Sequence[float] | None = None,
) -> Allocation:
    """Choose a point of each curve such that at most `rate` bits an activation are kept on average.

    method: "ilp" is the optimum. "lagrangian" only finds points on the curves' lower convex hull
    and may leave some budget unused, but is optimal for the rate it reaches. kinds: what may be
    chosen in each layer. sensitivities: one weight, above 0, per layer; 1 without.

    Raises:
        InputError: a rate below the least possible, no curves, kinds or sensitivities that do not
            fit them.
        ToolError: the ILP solver failed.
    """
    weights = [1.0] * len(curves) if sensitivities is None else list(sensitivities)
    if not curves or len(weights) != len(curves) or not min(weights) > 0:
        raise InputError(
            f"{len(curves)} curves with sensitivities {weights}: give at least one curve, and a "
            "sensitivity above 0 for each"
        )
    layers = [
        _Layer.of(curve, weight, kinds) for curve, weight in zip(curves, weights, strict=True)
    ]
    total = sum(layer.activations for layer in layers)
    if not math.isfinite(rate):
        raise InputError(f"a code rate of {rate} bits per activation: give a number")
    budget = math.floor(rate * total + 1e-6)  # 2.3 bits of 10 activations are 23
    least = sum(layer.costs[0] for layer in layers)
    if budget < least:
        raise InputError(
            f"a code rate of {rate:g} bits per activation is below the {least / total:g} that the "
            "cheapest choices need: allow more"
        )
    if method == "ilp":
        return _allocation(layers, _ilp(layers, budget))
    chosen, multiplier = _lagrangian(layers, budget)
    return _allocation(layers, chosen, multiplier)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Options by ascending cost and falling distortion: all others are never worth choosing."""

    points: tuple[Point, ...]
    costs: tuple[int, ...]
    distortions: tuple[float, ...]
    activations: int

    @classmethod
    def of(cls, curve: Curve, weight: float, kinds: Sequence[Kind]) -> "_Layer":
        kept: list[Point] = []
        for point in curve.points(kinds):
            if not kept or point.mse < kept[-1].mse:
                kept += [point]
        if not kept:
            raise InputError(f"a curve has no points of the kinds {list(kinds)}: allow others")
        return cls(
            tuple(kept),
            tuple(point.bits * curve.activations for point in kept),
            tuple(weight * point.mse / curve.energy for point in kept),
            curve.activations,
        )


def _allocation(
    layers: Sequence[_Layer], chosen: Sequence[int], multiplier: float | None = None
) -> Allocation:
    total = sum(layer.activations for layer in layers)
    return Allocation(
        tuple(layer.points[i] for layer, i in zip(layers, chosen, strict=True)),
        sum(layer.costs[i] for layer, i in zip(layers, chosen, strict=True)) / total,
        sum(layer.distortions[i] for layer, i in zip(layers, chosen, strict=True)),
        multiplier,
    )


def _lagrangian(layers: Sequence[_Layer], budget: int) -> tuple[list[int], float]:
    """Walk down the hulls by falling slope until the next step does not fit: (choices, price)."""
    steps = []
    for number, layer in enumerate(layers):
        at = 0
        while at < len(layer.costs) - 1:
            # From a hull's vertex the next is where the slope is steepest, the farthest of equals.
            slope, onward = max(
                (
                    (layer.distortions[at] - layer.distortions[j])
                    / (layer.costs[j] - layer.costs[at]),
                    j,
                )
                for j in range(at + 1, len(layer.costs))
            )
            steps.append((slope, number, at, onward))
            at = onward
    chosen, spent = [0] * len(layers), sum(layer.costs[0] for layer in layers)
    for slope, number, at, onward in sorted(steps, key=lambda s: (-s[0], s[1], s[2])):
        spent += layers[number].costs[onward] - layers[number].costs[at]
        if spent > budget:
            return chosen, slope
        chosen[number] = onward
    return chosen, 0.0


def _ilp(layers: Sequence[_Layer], budget: int) -> list[int]:
    """One binary variable per layer and option, exactly one of which is 1 in every layer."""
    costs = np.array([cost for layer in layers for cost in layer.costs], float)
    distortions = np.array([d for layer in layers for d in layer.distortions])
    owner = np.repeat(np.arange(len(layers)), [len(layer.costs) for layer in layers])
    one_each = (owner == np.arange(len(layers))[:, None]).astype(float)
    unit = math.gcd(*(layer.activations for layer in layers))
    # The solver stops within 1e-6 of the optimum: what it sees must be large beside that.
    largest = float(distortions.max()) or 1.0
    solved = milp(
        distortions / largest * 1e6,
        integrality=np.ones(len(costs)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(costs[None] / unit, -np.inf, budget // unit),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if solved.x is None:
        raise ToolError(f"the ILP solver gave up ({solved.message}): use the Lagrangian")
    first = np.concatenate([[0], np.cumsum([len(layer.costs) for layer in layers])])
    chosen = [int(np.argmax(solved.x[a:b])) for a, b in pairwise(first)]
    if sum(layer.costs[i] for layer, i in zip(layers, chosen, strict=True)) > budget:
        raise ToolError("the ILP solver went over the budget: use the Lagrangian")
    return chosen
