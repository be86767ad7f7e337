"""One hls4ml layer, and how hls4ml spells the types of what is in it."""

from dataclasses import dataclass
from typing import Any

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, IntType
from bitwright.models.graph.ops import Rounding

BINARY = "xnor"
"""The type of constants of one bit that means -1 or +1; hls4ml has no spelling for it."""

_LARGEST_CONSTANT = 1 << 53  # hls4ml formats constants as doubles


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One hls4ml layer: its class, attributes, constants, and the type that each part must keep.

    Raises UnsupportedError for a constant that hls4ml cannot write exactly.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    constants: dict[str, IntArray]
    types: dict[str, str]
    """By part: `result`, each constant by its name, and `accum` or `index` where there is one; in
    hls4ml's spelling."""

    def __post_init__(self) -> None:
        for name, array in self.constants.items():
            largest = max(-int(array.min()), int(array.max()))
            if largest > _LARGEST_CONSTANT:
                raise UnsupportedError(
                    f"the {name} of node {self.name} reaches {largest}, and hls4ml writes "
                    "constants exactly only up to 2^53: use fewer bits"
                )


def tensor_type(kind: IntType) -> str:
    """A number that fits: nothing is ever rounded or cut."""
    return _fixed(kind, "TRN", "WRAP")


def rounding_type(kind: IntType, rounding: Rounding, narrow: bool) -> str:
    """The type that rounds and saturates what is assigned to it (Vitis HLS UG1399, ap_fixed)."""
    mode: dict[Rounding, str] = {"half_even": "RND_CONV", "half_up": "RND", "floor": "TRN"}
    return _fixed(kind, mode[rounding], "SAT_SYM" if narrow and kind.signed else "SAT")


def constant_type(kind: IntType) -> str:
    """An integer in a table."""
    return f"{'' if kind.signed else 'u'}int<{kind.width}>"


def holding(array: IntArray) -> IntType:
    """The narrowest type that holds all of them."""
    return IntType.holding(int(array.min()), int(array.max()))


def _fixed(kind: IntType, rounding: str, saturation: str) -> str:
    sign = "" if kind.signed else "u"
    return f"{sign}fixed<{kind.width},{kind.width},{rounding},{saturation},0>"
