"""How far an estimate may be off: bands from rows left out of the fit, and where it reaches."""

import math
from collections.abc import Mapping

from bitwright.cost_model.coefficients import Coefficients
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.parts import Part

_FITTED = ("lut", "ff", "carry")  # blocks are counted exactly
_LEAST = 2  # cells either way: a rounding


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
