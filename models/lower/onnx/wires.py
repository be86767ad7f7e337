"""Wires: ONNX tensors on their way through the lowering, and where their elements are in ours.

ONNX keeps the channels of an image first and ours last, and a network may transpose and flatten as
it likes. A wire therefore says for every element of the ONNX tensor at which position of the edge
it is; reshapes and transposes only move these numbers, and cost nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray
from bitwright.models.lower.edges import Edge
from bitwright.models.lower.onnx.tensors import MAX_PLACES, Array, check_shape

Padding = tuple[int, int, int, int]
"""Zeros around an image: top, left, bottom, right."""

NO_PADDING: Padding = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Wire:
    """A tensor that depends on the network's input, and what is still to be done to it."""

    edge: Edge | None
    """None before the first quantiser: the network's real input."""
    place: IntArray
    """Of the ONNX shape without the batch: each element's position in the edge, or the input."""
    gain: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)
    """Only before the first quantiser: real = gain * input + shift."""
    low: Fraction | None = None
    high: Fraction | None = None
    """Only before the first quantiser: what it is to clip at, in reals."""
    function: str = ""
    """Sigmoid or Tanh, that the next quantiser is to do before it rounds."""
    padding: Padding = NO_PADDING
    """Zeros around the image, that the next window is to do; `place` has the size without."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the ONNX tensor, without the batch; with its padding."""
        shape = self.place.shape
        if self.padding == NO_PADDING:
            return shape
        top, left, bottom, right = self.padding
        sizes = (top + bottom, left + right)[2 - (len(shape) - 1) :]
        return (shape[0], *(n + more for n, more in zip(shape[1:], sizes, strict=True)))

    def moved(self, move: Callable[[Array], Array]) -> "Wire":
        """The same elements in another order or shape. Raises UnsupportedError if padded."""
        if self.padding != NO_PADDING:
            raise UnsupportedError("reads a padded image: only a convolution or pool can do that")
        return replace(self, place=move(self.place))


def whole(shape: tuple[int, ...]) -> IntArray:
    """Every element at its own position, in C order. Raises UnsupportedError for too many."""
    check_shape(shape, "its output", MAX_PLACES)
    return np.arange(math.prod(shape)).reshape(shape)


def image_place(rows: int, columns: int, channels: int) -> IntArray:
    """Where the elements of an ONNX image (channel, row, column) are in ours."""
    return whole((rows, columns, channels)).transpose(2, 0, 1)


def computed(wire: Wire) -> Edge:
    """The wire's edge, where it may be computed with.

    Raises UnsupportedError for the real input, or a function that no quantiser has done.
    """
    if wire.edge is None:
        raise UnsupportedError(
            "reads the network's real input: put a quantiser (Quant, BipolarQuant or "
            "QuantizeLinear) in front of it"
        )
    if wire.function or wire.edge.limited:
        done = wire.function or "Relu or Clip"
        raise UnsupportedError(
            f"reads what a {done} made: put a quantiser behind the {done}, so that its result is "
            "an integer"
        )
    return wire.edge


def per_channel(wire: Wire, array: Array, what: str) -> list[Fraction]:
    """A constant that is combined element by element with a wire, one number for each channel.

    Raises UnsupportedError where it makes the tensor larger, differs inside a channel, or is no
    finite number.
    """
    edge = wire.edge
    assert edge is not None
    values = real_numbers(array, what)
    if values.size == 1:
        fits_batch(wire, values)
        return [Fraction(float(values.ravel()[0]))] * edge.value.channels
    placed = np.empty(edge.value.size)
    placed[wire.place.ravel()] = fits_batch(wire, values).ravel()
    rows = placed.reshape(-1, edge.value.channels)
    if not np.all(rows == rows[0]):
        raise UnsupportedError(
            f"has {what} that differs inside a channel: use one number, or one for each channel"
        )
    return [Fraction(float(v)) for v in rows[0]]


def fits_batch(wire: Wire, values: Array) -> Array:
    """A constant under the wire's shape. Raises UnsupportedError where it does not fit."""
    shape = (1, *wire.shape)
    # Lined up from the right, every axis of the constant is that of the wire, or 1.
    lined = zip(reversed(values.shape), reversed(shape), strict=False)
    if values.ndim > len(shape) or any(a not in (1, b) for a, b in lined):
        raise UnsupportedError(
            f"combines a tensor of shape {shape} with a constant of shape {values.shape}: they "
            "must have one shape, or the constant one number for each channel"
        )
    return np.broadcast_to(values, shape)


def real_numbers(array: Array, what: str) -> npt.NDArray[np.float64]:
    """Reals, as they are. Raises UnsupportedError for NaN, infinity or no numbers."""
    if array.dtype.kind not in "fiub":
        raise UnsupportedError(f"has {what} of type {array.dtype}: use numbers")
    with np.errstate(invalid="ignore"):  # a NaN, refused below
        made = array.astype(np.float64)
    if not made.size or not np.isfinite(made).all():
        raise UnsupportedError(f"has {what} that is empty, NaN or infinite: train it again")
    return made


def affine(wire: Wire, scale: Sequence[Fraction], offset: Sequence[Fraction]) -> Wire:
    """A wire whose reals are scale[c] * what they were + offset[c]."""
    return replace(wire, edge=computed(wire).affine(scale, offset))


def is_image(wire: Wire) -> bool:
    """Whether the ONNX axes are (channel, row, column), or (channel, column), of the edge."""
    edge = wire.edge
    if edge is None or len(edge.value.shape) != 3 or wire.place.ndim not in (2, 3):
        return False
    rows, columns, channels = edge.value.shape
    place = wire.place if wire.place.ndim == 3 else wire.place[:, None, :]
    return place.shape == (channels, rows, columns) and np.array_equal(
        place, image_place(rows, columns, channels)
    )
