"""Tensors as beats: the packing that every generated top module has on its tdata.

Element 0 lies in the least significant bits, each element takes exactly its type's width in two's
complement, and the beat is filled up to whole bytes. A beat is a row of bytes, least significant
first.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bitwright.models.graph import IntArray, Value

Beats = npt.NDArray[np.uint8]

_BITS_AT_ONCE = 1 << 26  # one byte of memory each while they are packed


def beat_bytes(value: Value) -> int:
    """Bytes of one beat that carries `value`, which is also the width of tdata over eight."""
    return -(-value.bits // 8)


def pack(x: IntArray, value: Value, *, noise: bool = False) -> Beats:
    """Beats of shape (batch, bytes) from integers of shape (batch, *value.shape).

    noise: fill the padding of every other beat with ones, which a design must ignore.
    """
    flat = x.reshape(len(x), value.size)
    beats = np.empty((len(x), beat_bytes(value)), np.uint8)
    for rows in _slices(len(x), value):
        octets = np.ascontiguousarray(flat[rows], dtype="<i8").view(np.uint8)
        octets = octets.reshape(-1, value.size, 8)[:, :, : -(-value.type.width // 8)]
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[:, :, : value.type.width]
        beats[rows] = np.packbits(bits.reshape(len(bits), -1), axis=-1, bitorder="little")
    if noise and value.bits % 8:
        beats[1::2, -1] |= np.uint8(0xFF << value.bits % 8 & 0xFF)
    return beats


def beat_words(x: IntArray, value: Value, *, noise: bool = False) -> Beats:
    """The beats of tensors, each filled up with zeros to whole words of 32 bits, as rows of bytes.

    value: what one beat carries, an equal part of a tensor. noise: as for `pack`.
    """
    size = beat_bytes(value)
    beats = pack(x.reshape(-1, *value.shape), value, noise=noise)
    return np.pad(beats, ((0, 0), (0, -size % 4)))


def unpack(beats: Beats, value: Value) -> IntArray:
    """The integers, shape (batch, *value.shape), that beats carry; padding is not looked at."""
    x = np.empty((len(beats), value.size), np.int64)
    width = value.type.width
    for rows in _slices(len(beats), value):
        bits = np.unpackbits(beats[rows], axis=-1, bitorder="little")[:, : value.bits]
        octets = np.packbits(bits.reshape(-1, value.size, width), axis=-1, bitorder="little")
        wide = np.zeros((*octets.shape[:2], 8), np.uint8)
        wide[:, :, : octets.shape[2]] = octets
        x[rows] = wide.view("<i8")[:, :, 0]
    if value.type.signed and width < 64:
        sign = np.int64(1) << (width - 1)
        x = (x ^ sign) - sign
    return x.reshape(len(beats), *value.shape)


def dirty_padding(beats: Beats, value: Value) -> int:
    """How many beats have a one in the padding above the last element."""
    if value.bits % 8 == 0:
        return 0
    return int(np.count_nonzero(beats[:, -1] >> value.bits % 8))


def _slices(rows: int, value: Value) -> Iterator[slice]:
    step = max(1, _BITS_AT_ONCE // value.bits)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
