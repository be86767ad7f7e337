"""The operations of the integer graph: a closed union, each fully defined by its docstring.

x is an operation's input and y its output, both integers; c is the channel, the last axis. Images
have the axes (row, column, channel).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bitwright.models.errors import GraphError
from bitwright.models.graph.codecs import Codec, IntArray, decode, frozen_int64
from bitwright.models.graph.types import IntType, Value

Rounding = Literal["half_even", "half_up", "floor"]
ROUNDINGS: tuple[Rounding, ...] = ("half_even", "half_up", "floor")


@dataclass(frozen=True, eq=False, slots=True)
class Dense:
    """y[o] = sum over i of x[i] * W[i, o], plus bias[o]; W = decode(weights), shape (in, out)."""

    weights: Codec
    bias: IntArray

    def __post_init__(self) -> None:
        matrix = decode(self.weights)
        object.__setattr__(self, "bias", frozen_int64(self.bias, "a dense bias"))
        if matrix.ndim != 2 or self.bias.shape != (matrix.shape[1],):
            raise GraphError(
                f"dense weights of shape {matrix.shape} with a bias of shape {self.bias.shape}: "
                "give (inputs, outputs) and (outputs,)"
            )


@dataclass(frozen=True, slots=True)
class Window:
    """Where a kernel of (rows, columns) stops on an image: stride, and rows and columns around it.

    padding: (top, left, bottom, right). Output (i, j) sees the rows i * stride[0] - padding[0] and
    the `kernel[0] - 1` below it; columns likewise. A remainder at the end is not seen.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        if len(self.kernel) != 2 or len(self.stride) != 2 or len(self.padding) != 4:
            raise GraphError(
                f"{self} is not kernel (rows, columns), stride (rows, columns) and padding (top, "
                "left, bottom, right)"
            )
        top, left, bottom, right = self.padding
        if (
            min(self.kernel) < 1
            or min(self.stride) < 1
            or min(self.padding) < 0
            or max(top, bottom) >= self.kernel[0]
            or max(left, right) >= self.kernel[1]
        ):
            raise GraphError(
                f"{self}: kernel and stride are at least 1, and padding is less than the kernel"
            )

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def pads(self) -> bool:
        """Whether any output sees past the edge."""
        return any(self.padding)

    def output(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the output for an image of the given size.

        Raises GraphError where the kernel is larger than the padded image.
        """
        top, left, bottom, right = self.padding
        made = (
            (rows + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (columns + left + right - self.kernel[1]) // self.stride[1] + 1,
        )
        if min(made) < 1:
            raise GraphError(
                f"a kernel of {self.kernel} does not fit an image of {rows} x {columns} padded by "
                f"{self.padding}"
            )
        return made


@dataclass(frozen=True, eq=False, slots=True)
class Conv2d:
    """y[i, j, o] = bias[o] + sum over k of W[k, o] * (the k-th input that the window at i, j sees).

    W = decode(weights), shape (k, outputs), k counting channel, then kernel row, then kernel column
    (as PyTorch orders a weight). Padding is zero. The outputs are split into `groups` equal
    consecutive parts, and part g sees only the g-th of equally many parts of the input's channels:
    k = channels / groups * rows * columns. As many groups as channels is depthwise.
    """

    weights: Codec
    bias: IntArray
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        matrix = decode(self.weights)
        object.__setattr__(self, "bias", frozen_int64(self.bias, "a convolution's bias"))
        taps, outputs = matrix.shape if matrix.ndim == 2 else (0, 0)
        if self.bias.shape != (outputs,) or not taps or taps % self.window.taps:
            raise GraphError(
                f"convolution weights of shape {matrix.shape} with a bias of shape "
                f"{self.bias.shape} and a kernel of {self.window.kernel}: give (channels x rows x "
                "columns, outputs) and (outputs,)"
            )
        if self.groups < 1 or outputs % self.groups:
            raise GraphError(f"{self.groups} groups do not divide {outputs} outputs")

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return len(decode(self.weights)) // self.window.taps * self.groups


@dataclass(frozen=True, eq=False, slots=True)
class Threshold:
    """y[c] = base[c] + step[c] * (number of k with x[c] >= thresholds[c, k]).

    thresholds: shape (channels, levels), non-decreasing along k. step: +1 or -1 per channel.
    Any monotone quantiser (scale, bias, batch-norm, rounding, clipping) is exactly one of these.
    """

    thresholds: IntArray
    base: IntArray
    step: IntArray

    def __post_init__(self) -> None:
        for field in ("thresholds", "base", "step"):
            frozen = frozen_int64(getattr(self, field), f"the {field} of a threshold")
            object.__setattr__(self, field, frozen)
        if self.thresholds.ndim != 2 or not (
            self.base.shape == self.step.shape == self.thresholds.shape[:1]
        ):
            raise GraphError(
                f"thresholds {self.thresholds.shape}, base {self.base.shape} and step "
                f"{self.step.shape} do not agree: give (channels, levels), (channels,), (channels,)"
            )
        if np.any(np.diff(self.thresholds, axis=1) < 0):
            raise GraphError("thresholds must be sorted along their levels")
        if not np.all(np.abs(self.step) == 1):
            raise GraphError("a threshold's step is +1 or -1 in every channel")

    @property
    def falling(self) -> IntArray:
        """1 for every channel that counts down, shape (channels,)."""
        return (self.step < 0).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Requantize:
    """y[c] = saturate(round((multiplier[c] * x[c] + bias[c]) / 2**shift)) to the output's type.

    Dyadic (HAWQ-V3, arXiv 2011.10680, section 3.2). `bias` has `shift` fraction bits, like the
    product. half_even is what torch.round and Brevitas do. `narrow` leaves a signed type's most
    negative value out, so that it saturates at -max and +max.
    """

    multiplier: IntArray
    bias: IntArray
    shift: int
    rounding: Rounding = "half_even"
    narrow: bool = False

    def limits(self, kind: IntType) -> tuple[int, int]:
        """The smallest and largest result, for an output of type `kind`."""
        return (-kind.max if self.narrow and kind.signed else kind.min), kind.max

    def __post_init__(self) -> None:
        for field in ("multiplier", "bias"):
            frozen = frozen_int64(getattr(self, field), f"the {field} of a requantiser")
            object.__setattr__(self, field, frozen)
        if self.multiplier.ndim != 1 or self.bias.shape != self.multiplier.shape:
            raise GraphError(
                f"multiplier {self.multiplier.shape} and bias {self.bias.shape} of a requantiser "
                "must both be (channels,)"
            )
        if not 0 <= self.shift <= 62:
            raise GraphError(f"a requantiser's shift of {self.shift} is outside 0..62")
        if self.rounding not in ROUNDINGS:
            raise GraphError(f"rounding {self.rounding!r} is not one of {', '.join(ROUNDINGS)}")


@dataclass(frozen=True, eq=False, slots=True)
class Lookup:
    """y[c] = table[c, x[c] - lowest]: any function of each element.

    table: shape (channels, entries), or (1, entries) for one table that all channels share;
    entries is 2 to the width of x, and `lowest` the smallest value of its type.
    """

    table: IntArray
    lowest: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", frozen_int64(self.table, "a lookup table"))
        entries = self.table.shape[-1]
        if self.table.ndim != 2 or entries & (entries - 1) or not 2 <= entries <= 1 << 16:
            raise GraphError(
                f"a lookup table of shape {self.table.shape} is not (channels, 2^width) with a "
                "width of 1 to 16 bits"
            )
        if self.lowest not in (0, -entries // 2):
            raise GraphError(f"a lookup table of {entries} entries cannot start at {self.lowest}")

    @property
    def reads(self) -> IntType:
        """The type of the tensor that it reads."""
        return IntType(int(self.table.shape[1]).bit_length() - 1, self.lowest < 0)


@dataclass(frozen=True, slots=True)
class BitPlanes:
    """y = sum over j of bit planes[j] of x, times 2^j: some of the bits of an unsigned tensor.

    Wiring, no logic: it is what makes streams narrower (Bitwise Bottlenecks, AAAI 2021). A
    `Lookup` behind it gives the bits their values.
    """

    planes: tuple[int, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(set(self.planes)))
        if not self.planes or self.planes != ordered or ordered[0] < 0:
            raise GraphError(f"bit planes {self.planes} are not ascending bit numbers, once each")


@dataclass(frozen=True, slots=True)
class MaxPool:
    """y[i, j, c] = the largest x[., ., c] that the window at i, j sees. Padding is not seen."""

    window: Window


@dataclass(frozen=True, slots=True)
class SumPool:
    """y[i, j, c] = the sum of the x[., ., c] that the window at i, j sees. Padding is zero.

    An average is this and a `Requantize` behind it.
    """

    window: Window


@dataclass(frozen=True, slots=True)
class Add:
    """y = sum over the inputs n of multipliers[n] * x_n, all of one shape.

    The multipliers bring branches of different scales to one, exactly.
    """

    multipliers: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.multipliers) < 2 or 0 in self.multipliers:
            raise GraphError(
                f"multipliers {self.multipliers} of an addition: give one for each of two or more "
                "inputs, none of them zero"
            )


@dataclass(frozen=True, slots=True)
class Concat:
    """The channels of the first input, then those of the second, and so on."""


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in the same order (the last axis fastest) under the output's shape."""


@dataclass(frozen=True, slots=True)
class ArgMax:
    """y = the first channel c whose x[c] is largest; the last axis becomes one element."""


Op = (
    Dense
    | Conv2d
    | Threshold
    | Requantize
    | Lookup
    | BitPlanes
    | MaxPool
    | SumPool
    | Add
    | Concat
    | Reshape
    | ArgMax
)


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One operation: the names of the tensors it reads and the tensor it makes.

    A node has no name of its own: it is called what its output is called.
    """

    op: Op
    inputs: tuple[str, ...]
    output: Value

    @property
    def name(self) -> str:
        """The node's name, which is its output's."""
        return self.output.name

    @property
    def kind(self) -> str:
        """The operation's name in lower case, for people."""
        return type(self.op).__name__.lower()
