"""Sigmoid, tanh and the like: the module itself is run on every integer that can occur.

Where few integers can, its results become a `Lookup`. Where many can, and the function rises, the
integers at which its quantised result changes are searched, and become a `Threshold`.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, Lookup, Threshold
from bitwright.models.lower.edges import MAX_LEVELS, Edge, Quantiser, append, check_unlimited

Curve = Callable[[torch.Tensor], torch.Tensor]

_TABLE_BITS = 10  # of the integers that are looked up; a table a channel where offsets differ
_SUM_BITS = 62


def quantised_curve(edge: Edge, name: str, curve: Curve, to: Quantiser, rises: bool) -> Edge:
    """The edge after a function and its quantiser `to`, which together are `curve`.

    rises: whether no larger real has a smaller result.
    Raises UnsupportedError for too many different inputs, and results that are not `to`'s.
    """
    check_unlimited(edge)
    alike = len(set(edge.scale)) == len(set(edge.offset)) == 1
    width, channels = edge.value.type.width, edge.value.channels
    if width <= _TABLE_BITS and (1 if alike else channels) << width <= MAX_LEVELS:
        integers = np.arange(edge.value.type.min, edge.value.type.max + 1)
        columns = _results(edge, curve, to, integers[:, None], slice(0, 1 if alike else None))
        made = append(edge, name, Lookup(columns.T.copy(), edge.value.type.min), to.type)
    elif rises and width <= _SUM_BITS and (to.high - to.low) * channels <= MAX_LEVELS:
        made = append(edge, name, _steps(edge, curve, to), to.type)
    else:
        raise UnsupportedError(
            f"reads {width}-bit integers in {channels} channels, too many for a table: put a "
            f"QuantIdentity of at most {_TABLE_BITS} bits in front of it"
        )
    scale = to.scale * channels
    return replace(made, scale=scale, offset=tuple(s * to.offset for s in scale), quantised=True)


def _results(
    edge: Edge, curve: Curve, to: Quantiser, integers: IntArray, channels: slice
) -> IntArray:
    """The results for integers of shape (…, channels or 1), by the module itself."""
    scale = np.array([float(s) for s in edge.scale[channels]])
    offset = np.array([float(o) for o in edge.offset[channels]])
    reals: npt.NDArray[np.float32] = (integers * scale + offset).astype(np.float32)
    with torch.no_grad():
        given = curve(torch.from_numpy(reals)).numpy().astype(np.float64)
    unit = float(to.scale[0])
    made: IntArray = np.rint(given / unit - float(to.offset)).astype(np.int64)
    again = ((made + float(to.offset)) * unit).astype(np.float32)
    if not np.array_equal(again, given) or made.min() < to.low or made.max() > to.high:
        raise UnsupportedError(
            "has an activation quantiser whose results are not multiples of its scale: use one of "
            "Brevitas' integer quantisers"
        )
    return made


def _steps(edge: Edge, curve: Curve, to: Quantiser) -> Threshold:
    """By bisection, in every channel and for every level, the first integer that reaches it."""
    levels = np.arange(to.low + 1, to.high + 1)[:, None]
    falls = np.array([s < 0 for s in edge.scale])
    sign = np.where(falls, -1, 1)
    least = edge.interval.low.astype(np.int64)
    most = edge.interval.high.astype(np.int64)
    # Turned where the scale is negative, so that every channel rises.
    low = np.broadcast_to(np.where(falls, -most, least), (len(levels), len(sign))).copy()
    high = np.broadcast_to(np.where(falls, -least, most) + 1, low.shape).copy()
    while np.any(low < high):
        middle = (low + high) // 2
        reached = _results(edge, curve, to, sign * middle, slice(None)) >= levels
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
        low = np.minimum(low, high)
    first = low.T
    thresholds = np.where(falls[:, None], (1 - first)[:, ::-1], first)
    base = np.where(falls, to.high, to.low)
    return Threshold(np.sort(thresholds, axis=1), base, sign)
