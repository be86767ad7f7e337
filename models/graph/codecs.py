"""Weight codecs: what is stored for a weight tensor, and the integers that it means.

`decode(codec)` is the whole meaning of a layer's weights. Codecs differ only in what is stored,
shared and paid for.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_never

from bitwright.models.errors import GraphError
from bitwright.models.graph.types import IntType

IntArray = npt.NDArray[np.int64]

_LARGEST = (1 << 63) - 1


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


@dataclass(frozen=True, eq=False, slots=True)
class Tiled:
    """A tile of signs, -1 or +1, repeated to fill the weights (Tiled Bit Networks, 2407.12075).

    tile: shape (length,). shape: (inputs, outputs). The repeated tile is laid down output after
    output, the inputs of one output side by side, as PyTorch orders a weight.
    """

    tile: IntArray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", frozen_int64(self.tile, "a tile"))
        if self.tile.ndim != 1 or not np.all(np.abs(self.tile) == 1):
            raise GraphError("a tile is one row of weights that are -1 or +1")
        if len(self.shape) != 2 or min(self.shape) < 1 or math.prod(self.shape) % len(self.tile):
            raise GraphError(
                f"a tile of {len(self.tile)} weights does not fill a layer of shape {self.shape} "
                "a whole number of times: choose a compression that divides its weights"
            )

    @property
    def copies(self) -> int:
        """How many times the tile is repeated: p, the compression."""
        return math.prod(self.shape) // len(self.tile)


@dataclass(frozen=True, eq=False, slots=True)
class Codebook:
    """Every weight an index into a small table of integers, one table for a group of outputs.

    indices: shape (inputs, outputs). table: shape (groups, entries); outputs are split into equal
    consecutive groups. Minifloats, learned codebooks and power grids are all of this form.
    """

    indices: IntArray
    table: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", frozen_int64(self.indices, "codebook indices"))
        object.__setattr__(self, "table", frozen_int64(self.table, "a codebook"))
        if self.indices.ndim != 2 or self.table.ndim != 2:
            raise GraphError(
                "a codebook needs indices (inputs, outputs) and table (groups, entries)"
            )
        if self.indices.shape[1] % len(self.table):
            raise GraphError(
                f"{len(self.table)} codebooks do not divide {self.indices.shape[1]} outputs"
            )
        if self.indices.min() < 0 or self.indices.max() >= self.table.shape[1]:
            raise GraphError(
                f"codebook indices {self.indices.min()}..{self.indices.max()} do not fit a table "
                f"of {self.table.shape[1]} entries"
            )

    @property
    def index_bits(self) -> int:
        """Bits of one stored index."""
        return max(int(self.table.shape[1] - 1).bit_length(), 1)

    @property
    def entry_bits(self) -> int:
        """Bits of one table entry, as a two's complement number; one bit would mean -1 and +1."""
        held = IntType.holding(min(int(self.table.min()), -1), int(self.table.max()))
        return max(held.width, 2)


Codec = Plain | Tiled | Codebook


def decode(codec: Codec) -> IntArray:
    """The integer weights that a codec means, shape (inputs, outputs) for a dense layer."""
    match codec:
        case Plain():
            return codec.values
        case Tiled():
            rows = np.tile(codec.tile, codec.copies).reshape(codec.shape[::-1])
            return np.ascontiguousarray(rows.T)
        case Codebook():
            group = np.arange(codec.indices.shape[1]) // (
                codec.indices.shape[1] // len(codec.table)
            )
            made: IntArray = codec.table[group[None, :], codec.indices]
            return made
        case _:
            assert_never(codec)


def stored_bits(codec: Codec) -> int:
    """Exact number of weight bits that the codec stores, tables included."""
    match codec:
        case Plain():
            return codec.values.size * codec.width
        case Tiled():
            return codec.tile.size
        case Codebook():
            return codec.indices.size * codec.index_bits + codec.table.size * codec.entry_bits
        case _:
            assert_never(codec)


def distinct_outputs(codec: Codec) -> int:
    """The number n for which output o always has the weights of output o mod n; n divides them.

    Tiles that are whole outputs repeat after outputs / copies: their dot products need computing
    once (Tiled Bit Networks, arXiv 2407.12075).
    """
    match codec:
        case Plain() | Codebook():
            return int(decode(codec).shape[1])
        case Tiled():
            inputs, outputs = codec.shape
            distinct = len(codec.tile) // math.gcd(len(codec.tile), inputs)
            return distinct if outputs % distinct == 0 else outputs
        case _:
            assert_never(codec)


def weight_width(codec: Codec) -> int:
    """Bits of one decoded weight in two's complement, or 1 where weights are -1 and +1."""
    match codec:
        case Plain():
            return codec.width
        case Tiled():
            return 1
        case Codebook():
            return codec.entry_bits
        case _:
            assert_never(codec)


def frozen_int64(array: npt.ArrayLike, what: str) -> IntArray:
    """A read-only int64 copy of an integer array.

    Raises:
        GraphError: the array is empty, does not hold integers, or one beyond +-(2^63 - 1), whose
            magnitude int64 would not hold.
    """
    given = np.asarray(array)
    if given.size == 0 or given.dtype.kind not in "iu":
        raise GraphError(
            f"{what} must be a non-empty integer array, not {given.dtype}{given.shape}"
        )
    if int(given.min()) < -_LARGEST or int(given.max()) > _LARGEST:
        raise GraphError(f"{what} holds an integer of more than 63 bits: use smaller constants")
    copy: IntArray = np.array(given, dtype=np.int64, order="C")
    copy.setflags(write=False)
    return copy
