"""Constants of an ONNX graph, and the integers that quantised ones are made of."""

from collections.abc import Callable
from dataclasses import dataclass

from bitwright.models.graph import IntArray
from bitwright.models.lower.onnx.tensors import Array

MAX_BITS = 16
"""Of a quantiser, here as in the lowering from Brevitas."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What a quantised constant is made of: real = scale * integer, elementwise.

    integers and scale have the constant's shape; width: bits of the narrowest signed storage, 1
    for -1 and +1.
    """

    integers: IntArray
    scale: Array
    width: int

    def moved(self, move: Callable[[Array], Array]) -> "Levels":
        """The same elements elsewhere."""
        return Levels(move(self.integers), move(self.scale), self.width)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known in advance."""

    values: Array
    levels: Levels | None = None

    def moved(self, move: Callable[[Array], Array]) -> "Constant":
        """The same elements elsewhere."""
        return Constant(move(self.values), None if self.levels is None else self.levels.moved(move))
