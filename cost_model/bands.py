"""How far an estimate may be off: bands from rows left out of the fit, and where it reaches."""

import math
from collections.abc import Mapping

import numpy as np

from bitwright.cost_model.coefficients import Coefficients
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.parts import Part

_FITTED = ("lut", "ff", "carry")  # blocks are counted exactly
_LEAST = 2  # cells either way: a rounding
_BORROWED = 10  # clocks of other kinds beside those of a part's own
_GRID = 4001
_ENDS = (0.05, 0.95)


def node_bands(
    made: Mapping[str, Part], nodes: Mapping[str, Cost], numbers: Coefficients
) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """For each part the least and the most that nine of ten such parts stay within."""
    low, high = {}, {}
    for name, cost in nodes.items():
        counts = cost.as_dict()
        below, above = dict(counts), dict(counts)
        spread = numbers.spread.get(made[name].kind, {})
        for resource in _FITTED:
            count = counts[resource]
            if count and resource in spread:
                factor = math.exp(spread[resource])
                below[resource] = max(min(round(count / factor), count - _LEAST), 0)
                above[resource] = max(round(count * factor), count + _LEAST)
        low[name], high[name] = Cost(**below), Cost(**above)
    return low, high


def clock_band(
    made: Mapping[str, Part], periods: Mapping[str, float], numbers: Coefficients
) -> tuple[float, float] | None:
    """The MHz between which nine of ten such networks run; None where nothing was ever routed.

    periods: each part's, estimated, in nanoseconds. Each is off as the parts of its kind were that
    were left out of the fit. The errors of one network's parts have something in common, and nobody
    knows how much: the fast end is that of parts that are all off alike, the slow end that of parts
    that have nothing to do with each other, of which one is always slow. Whatever lies between them
    is in the band (positive dependence; Lehmann, Ann. Math. Stat. 37, 1966).
    """
    if not numbers.clock_away:
        return None
    every = np.sort(np.concatenate([np.array(each) for each in numbers.clock_away.values()]))
    timed = {name: ns for name, ns in periods.items() if made[name].amounts.paths}
    if not timed:
        return None
    # Where the distribution of the slowest is looked at: finer than what is known of any part.
    longest = math.log(max(timed.values()))
    grid = np.linspace(longest + min(every[0], 0.0), longest + max(every[-1], 0.0), _GRID)
    below, above = np.ones(_GRID), np.ones(_GRID)
    for name, ns in timed.items():
        own = np.array(numbers.clock_away.get(made[name].kind, ()))
        at = grid - math.log(ns)
        # A kind of which few were routed is off as all the others are.
        few = np.searchsorted(every, at, "right") / len(every) * _BORROWED
        chance = (np.searchsorted(own, at, "right") + few) / (len(own) + _BORROWED)
        below, above = np.minimum(below, chance), above * chance
    least = grid[min(int(np.searchsorted(below, _ENDS[0])), _GRID - 1)]
    most = grid[min(int(np.searchsorted(above, _ENDS[1])), _GRID - 1)]
    return 1e3 / math.exp(most), 1e3 / math.exp(least)


def extrapolating(made: Mapping[str, Part], numbers: Coefficients) -> tuple[str, ...]:
    """The features that are out of the fitted range, in words."""
    told = []
    for name, part in made.items():
        if part.kind == "wiring":
            continue
        ranges = numbers.ranges.get(part.kind)
        if ranges is None:
            told.append(f"{name}: no {part.kind} was measured")
            continue
        told += [
            f"{name}: {feature} {value:g}, fitted {ranges[feature][0]:g} to {ranges[feature][1]:g}"
            for feature, value in part.features.items()
            if feature in ranges and not ranges[feature][0] <= value <= ranges[feature][1]
        ]
    return tuple(told)
