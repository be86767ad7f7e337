"""What a lookup's tables consist of: the truth table of every output bit, simplified."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.models.graph import IntArray, IntType, Lookup

TABLE_INPUTS = (4, 6)
"""Inputs of a look-up table, by device family."""


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """A lookup: what its output bits are, each a truth table over the bits of one element.

    Arrays with one entry for each bit that is neither constant, nor an input's bit, nor equal to
    another bit of the same element. reads: input bits that it depends on. parts: for a device's
    tables of k inputs, the different functions of k bits that it consists of (up to their sign).
    output_bits: bits of all outputs that are not constant and differ: what their registers hold.
    stored: a memory of constants, which Yosys makes of multiplexers, rather than a table.
    """

    reads: IntArray
    parts: Mapping[int, IntArray]
    output_bits: int
    stored: bool = False


def truth_tables(columns: npt.NDArray[np.bool_]) -> Tables:
    """The features of a memory of fixed contents, read by address. columns: (bits, words)."""
    depth = columns.shape[1]
    width = max((depth - 1).bit_length(), 1)
    whole = np.pad(columns, ((0, 0), (0, (1 << width) - depth)))
    cube = whole.reshape(len(columns), *(2,) * width)
    axes = range(1, width + 1)
    reads = np.zeros(len(columns), dtype=np.int64)
    for axis in axes:
        differs = np.take(cube, 0, axis) != np.take(cube, 1, axis)
        reads += differs.any(axis=tuple(range(1, width)))
    parts = {inputs: np.ones(len(columns), dtype=np.int64) for inputs in TABLE_INPUTS}
    for inputs, found in parts.items():
        for i in np.flatnonzero(reads > inputs):
            found[i] = _parts(whole[i].astype(np.int64), inputs)
    return Tables(reads, parts, len(columns))


def tables(op: Lookup, kind: IntType, elements: int) -> Tables:
    """The features of a lookup with outputs of type `kind`, its whole table repeated.

    elements: how often each row of the table occurs.
    """
    reads: list[int] = []
    parts: dict[int, list[int]] = {inputs: [] for inputs in TABLE_INPUTS}
    registered = 0
    for row in op.table:
        bits = (row[:, None] >> np.arange(kind.width)) & 1
        columns = {c.tobytes(): c for c in bits.T if c.any() and not c.all()}
        registered += len(columns)
        for column in columns.values():
            needed = _needed_inputs(np.roll(column, op.lowest))
            count = needed.ndim
            if count == 1 and needed[0] == 0:
                continue  # the input's bit itself
            reads.append(count)
            for inputs, found in parts.items():
                found.append(_parts(needed.ravel(), min(inputs, count)))
    return Tables(
        np.tile(np.array(reads, dtype=np.int64), elements),
        {k: np.tile(np.array(found, dtype=np.int64), elements) for k, found in parts.items()},
        registered * elements,
    )


def _needed_inputs(column: IntArray) -> IntArray:
    """A truth table as an array with one axis of 2 for every input that it depends on."""
    cube = column.reshape((2,) * (len(column).bit_length() - 1))
    for axis in reversed(range(cube.ndim)):
        low, high = np.take(cube, 0, axis), np.take(cube, 1, axis)
        if np.array_equal(low, high):
            cube = low
    return cube


def _parts(column: IntArray, inputs: int) -> int:
    """Different functions of the lowest inputs, constants aside, once the others are fixed."""
    rows = column.reshape(-1, 1 << inputs)
    rows = np.unique(rows ^ rows[:, :1], axis=0)
    return int(rows.any(axis=1).sum())
