"""Weight codecs: what is stored for a weight tensor, and the integers that it means.

`decode(codec)` is the whole meaning of a layer's weights. Codecs differ only in what is stored,
shared and paid for.
"""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import GraphError
from bitwright.models.graph.types import IntType

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Plain:
    """Every weight stored by itself, in `width` bits. One bit means the two values -1 and +1."""

    values: IntArray
    width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen_int64(self.values, "weights"))
        if self.width == 1:
            legal = bool(np.all(np.abs(self.values) == 1))
        else:
            held = IntType(self.width, signed=True)
            legal = bool(np.all((self.values >= held.min) & (self.values <= held.max)))
        if not legal:
            low, high = int(self.values.min()), int(self.values.max())
            raise GraphError(
                f"weights from {low} to {high} do not fit the {self.width}-bit plain codec: "
                f"{'binary weights are -1 or +1' if self.width == 1 else 'give it more bits'}"
            )


Codec = Plain


def decode(codec: Codec) -> IntArray:
    """The integer weights that a codec means, shape (inputs, outputs) for a dense layer."""
    match codec:
        case Plain():
            return codec.values
        case _:
            assert_never(codec)


def stored_bits(codec: Codec) -> int:
    """Exact number of weight bits that the codec stores."""
    match codec:
        case Plain():
            return codec.values.size * codec.width
        case _:
            assert_never(codec)


def frozen_int64(array: npt.ArrayLike, what: str) -> IntArray:
    """A read-only int64 copy of an integer array.

    Raises:
        GraphError: the array is empty or does not hold integers.
    """
    given = np.asarray(array)
    if given.size == 0 or given.dtype.kind not in "iu":
        raise GraphError(
            f"{what} must be a non-empty integer array, not {given.dtype}{given.shape}"
        )
    copy: IntArray = np.array(given, dtype=np.int64, order="C")
    copy.setflags(write=False)
    return copy
