"""Pareto fronts: which points no other one beats in accuracy and cost at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bitwright.cost_model.candidates import LUTS_OF_A_BLOCK

T = TypeVar("T")


def price(row: Mapping[str, Any]) -> float:
    """What a row costs, in look-up tables: blocks of memory and multipliers as so many of them."""
    return float(row["lut"] + LUTS_OF_A_BLOCK * (row["bram"] + row["dsp"]))


def front(
    points: Iterable[T], accuracy: Callable[[T], float], cost: Callable[[T], float]
) -> list[T]:
    """The points that no other one beats, the cheapest first; of equal ones the first."""
    kept: list[T] = []
    for point in sorted(points, key=lambda p: (cost(p), -accuracy(p))):
        if not kept or accuracy(point) > accuracy(kept[-1]):
            kept.append(point)
    return kept


def spread(points: Sequence[T], count: int) -> list[T]:
    """At most so many of the points, evenly, both ends among them."""
    if len(points) <= count:
        return list(points)
    if count == 1:
        return [points[-1]]
    return [points[round(i * (len(points) - 1) / (count - 1))] for i in range(count)]
