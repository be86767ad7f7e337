"""Additions, concatenations and pools on edges: tensors of any scales come together exactly."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Add, Concat, MaxPool, SumPool, Window
from bitwright.models.lower.edges import (
    Edge,
    append,
    centred,
    check_unlimited,
    common_unit,
    multiplied,
)

MAX_FACTOR_BITS = 40
"""Floating scales need some 24 bits and how far they are apart; `narrow_additions` finds fewer."""


def add(edges: Sequence[Edge], name: str) -> Edge:
    """The sum of edges of one shape, in the largest unit of which all scales are multiples.

    A branch whose channels need different factors gets a node of its own that multiplies them.
    Raises UnsupportedError where a factor has more than MAX_FACTOR_BITS bits.
    """
    _check_alike(edges)
    for edge in edges:
        check_unlimited(edge)
    units = [common_unit(scales) for scales in zip(*(edge.scale for edge in edges), strict=True)]
    factors = [[int(s / u) if u else 1 for s, u in zip(e.scale, units, strict=True)] for e in edges]
    largest = max(abs(f) for row in factors for f in row)
    if largest.bit_length() > MAX_FACTOR_BITS:
        raise UnsupportedError(
            f"adds branches whose scales have no small integer ratio (a factor would need "
            f"{largest.bit_length()} bits, and the limit is {MAX_FACTOR_BITS}): quantise them with "
            "one scale, as a QuantIdentity that both branches share does, or with power-of-two "
            "scales"
        )
    branches, multipliers = [], []
    for i, (edge, row) in enumerate(zip(edges, factors, strict=True)):
        if len(set(row)) == 1 and row[0]:
            branches.append(edge)
            multipliers.append(row[0])
        else:
            branches.append(multiplied(edge, f"{name}_branch{i}", row))
            multipliers.append(1)
    made = append(branches[0], name, Add(tuple(multipliers)), others=tuple(branches[1:]))
    return replace(
        made,
        scale=tuple(units),
        offset=tuple(
            sum(offsets, Fraction(0)) for offsets in zip(*(e.offset for e in edges), strict=True)
        ),
        quantised=all(edge.quantised for edge in edges),
    )


def concat(edges: Sequence[Edge], name: str) -> Edge:
    """All channels side by side, each with the scale it has.

    Raises UnsupportedError for images of different sizes.
    """
    for edge in edges:
        check_unlimited(edge)
    if len({edge.value.shape[:-1] for edge in edges}) > 1:
        shapes = " and ".join(str(edge.value.shape) for edge in edges)
        raise UnsupportedError(f"joins tensors of shapes {shapes}: join channels only")
    made = append(edges[0], name, Concat(), others=tuple(edges[1:]))
    order = None
    if any(edge.order is not None for edge in edges):
        sizes = [edge.value.channels for edge in edges]
        starts = np.cumsum([0, *sizes[:-1]])
        order = np.concatenate(
            [
                start + (np.arange(size) if edge.order is None else edge.order)
                for edge, start, size in zip(edges, starts, sizes, strict=True)
            ]
        )
    return replace(
        made,
        scale=tuple(s for edge in edges for s in edge.scale),
        offset=tuple(o for edge in edges for o in edge.offset),
        quantised=all(edge.quantised for edge in edges),
        order=order,
    )


def max_pool(edge: Edge, name: str, window: Window) -> Edge:
    """The largest real in every window; channels that fall (a negative scale) are turned first."""
    if any(s < 0 for s in edge.scale):
        signs = [-1 if s < 0 else 1 for s in edge.scale]
        edge = replace(
            multiplied(edge, f"{name}_turned", signs), scale=tuple(abs(s) for s in edge.scale)
        )
    return append(edge, name, MaxPool(window))


def average_pool(edge: Edge, name: str, window: Window, divisor: int) -> Edge:
    """The sum over every window, divided by `divisor`. Padding is a real zero; see `conv`.

    Raises UnsupportedError where zeros cannot be had.
    """
    check_unlimited(edge)
    if window.pads:
        edge = centred(edge, f"{name}_centred")
    return replace(
        append(edge, name, SumPool(window)),
        scale=tuple(s / divisor for s in edge.scale),
        offset=tuple(o * window.taps / divisor for o in edge.offset),
    )


def _check_alike(edges: Sequence[Edge]) -> None:
    if len({edge.value.shape for edge in edges}) > 1:
        shapes = " and ".join(str(edge.value.shape) for edge in edges)
        raise UnsupportedError(
            f"adds tensors of shapes {shapes}, channels last: make all branches of one shape"
        )
    orders = [np.arange(e.value.channels) if e.order is None else e.order for e in edges]
    if any(not np.array_equal(orders[0], order) for order in orders[1:]):
        raise UnsupportedError(
            "adds a flattened image and a vector, whose elements come in different orders in "
            "hardware: add them before flattening"
        )
