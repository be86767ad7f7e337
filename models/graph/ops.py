"""The operations of the integer graph: a closed union, each fully defined by its docstring.

x is an operation's input and y its output, both integers; c is the channel, the last axis.
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


Op = Dense | Threshold | Requantize | Lookup | BitPlanes


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
