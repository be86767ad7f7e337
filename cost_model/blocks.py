"""What a layer of binary weights costs when inputs are added up once for a block of outputs.

The Four Russians' method: in a block of k outputs, inputs with the same signs throughout (up to a
common sign) are one class and summed once, by a balanced tree; the outputs are made from the at
most 2^(k-1) sums. What is counted here is that structure, from the signs alone.
"""

import math
from dataclasses import dataclass

import numpy as np

from bitwright.models.graph import IntArray

_SIZES = (3, 4, 5, 6)  # outputs to a block; the emitter takes what costs least of these
_EXTRA_LEVELS = 1  # above a balanced tree, on average, when outputs are made from classes

# Means over sixteen random layers (24 to 128 inputs, 3 to 32 outputs) as the emitter solves them: a
# sum's type is a little wider than the logarithm of its range, and of the outputs that are found
# with the wrong sign the others are made by a subtraction that can be turned round.
_ROUNDED_UP, _NEGATED = 0.2, 0.4


@dataclass(frozen=True, slots=True)
class Blocks:
    """All blocks of a layer. additions: how many. bits: of their results.

    alive: by additions done, from none to all, the bits that are still to be read.
    """

    additions: float
    bits: float
    alive: tuple[float, ...]

    @property
    def levels(self) -> int:
        """Additions on the longest path."""
        return len(self.alive) - 1


def cheapest_blocks(signs: IntArray, input_width: float, negative: int = 0) -> Blocks:
    """The block size whose additions have the fewest bits.

    signs: shape (inputs, outputs), -1 and +1, distinct columns with +1 first, sorted.
    input_width: mean bits of an input. negative: outputs that are minus one of the columns.
    """
    found = min((_blocks(signs, input_width, size) for size in _SIZES), key=lambda b: b.bits)
    extra = _NEGATED * negative
    bits = found.bits + _ROUNDED_UP * found.additions
    bits += extra * (input_width + math.log2(len(signs)))
    return Blocks(found.additions + extra, bits, found.alive)


def _blocks(signs: IntArray, input_width: float, size: int) -> Blocks:
    additions, bits, tracks = 0.0, 0.0, []
    for start in range(0, signs.shape[1], size):
        block = signs[:, start : start + size]
        classes, members = np.unique(block * block[:, :1], axis=0, return_counts=True)
        made, track = _trees(members, input_width)
        # Making one more output from its classes splits every sum that the others are made of:
        # pairs of classes, added and subtracted; then the new output's share is added up.
        kept = [len(np.unique(classes[:, :k], axis=0)) for k in range(2, block.shape[1] + 1)]
        combining = len(classes) + sum(kept) - block.shape[1]
        whole = input_width + math.log2(len(signs))
        part = input_width + math.log2(len(signs) / len(classes))
        additions += len(signs) - len(classes) + combining
        bits += made + combining * (part + whole) / 2
        levels = math.ceil(math.log2(len(classes))) + _EXTRA_LEVELS if len(classes) > 1 else 0
        ratio = block.shape[1] * whole / track[-1]
        track += [track[-1] * math.pow(ratio, k / levels) for k in range(1, levels + 1)]
        tracks.append(track)
    longest = max(len(track) for track in tracks)
    alive = np.sum([track + track[-1:] * (longest - len(track)) for track in tracks], axis=0)
    return Blocks(additions, bits, tuple(map(float, alive)))


def _trees(members: IntArray, input_width: float) -> tuple[float, list[float]]:
    """Bits of the sums in balanced trees, and bits alive after every level."""
    bits, width, count = 0.0, np.full(len(members), input_width), members
    alive = [float(count @ width)]
    while (count > 1).any():
        width = width + (count > 1)
        bits += float(count // 2 @ width)
        count = (count + 1) // 2
        alive.append(float(count @ width))
    return bits, alive
