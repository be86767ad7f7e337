"""Heads of blocks: what a block does with the beats that it takes before its nodes see them.

The hardware of each is in `rtl_tb/heads.py`; its cycles are played in `cycles.py`.
"""

import math
from dataclasses import dataclass

from bitwright.models.graph.ops import Window


@dataclass(frozen=True, slots=True)
class Pass:
    """Takes one beat out of every FIFO that it reads, and passes them on together."""


@dataclass(frozen=True, slots=True)
class Widen:
    """Makes one beat out of `ratio` narrower ones."""

    ratio: int


@dataclass(frozen=True, slots=True)
class Narrow:
    """Makes `ratio` beats out of one wider one."""

    ratio: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Keeps rows of an image and reads what the window sees at every position, `passes` times.

    A pixel is `words` beats; pass p reads those of the p-th of `groups` equal parts, tap after tap
    in the window's rows, one a cycle. A vector is an image of one pixel.
    """

    rows: int
    columns: int
    words: int
    window: Window
    passes: int
    groups: int = 1

    @property
    def accesses(self) -> int:
        """Cycles of one pass."""
        return self.window.taps * self.words // self.groups

    @property
    def ring_rows(self) -> int:
        """Rows that are kept: what a window sees, and what the next sees beside them.

        Behind a window that is alone the next image begins.
        """
        step = self.window.stride[0] if self.positions[0] > 1 else self.rows
        return self.window.kernel[0] + step

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of the positions."""
        return self.window.output(self.rows, self.columns)

    @property
    def cycles(self) -> int:
        """Cycles of one image."""
        return math.prod(self.positions) * self.passes * self.accesses


@dataclass(frozen=True, slots=True)
class Lines:
    """Takes a pixel a cycle, and makes at every position of the window all that it sees.

    It goes over the places of the image, and over `flush` more behind it without taking any.
    """

    rows: int
    columns: int
    window: Window

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.rows * self.columns

    @property
    def ends(self) -> tuple[range, range]:
        """Rows and columns of the last tap of the window, over all positions."""
        (rows, columns), window = self.window.output(self.rows, self.columns), self.window
        first = [window.kernel[i] - 1 - window.padding[i] for i in (0, 1)]
        last = [first[i] + (n - 1) * window.stride[i] for i, n in enumerate((rows, columns))]
        return (
            range(first[0], last[0] + 1, window.stride[0]),
            range(first[1], last[1] + 1, window.stride[1]),
        )

    @property
    def flush(self) -> int:
        """Places behind the image that complete its last windows."""
        rows, columns = self.ends
        return max(0, rows[-1] * self.columns + columns[-1] + 1 - self.pixels)

    @property
    def completes(self) -> tuple[bool, ...]:
        """For every place, whether a window ends there.

        One that ends beyond the right edge does so at the beginning of the next row.
        """
        rows, columns = self.ends
        ends = {row * self.columns + column for row in rows for column in columns}
        return tuple(place in ends for place in range(self.pixels + self.flush))

    @property
    def fits(self) -> bool:
        """Whether the line buffers can do it: the first window ends in the image, the last soon."""
        rows, columns = self.ends
        beyond = max(0, rows[-1] - self.rows + 1), max(0, columns[-1] - self.columns + 1)
        top, left, _, _ = self.window.padding
        return (
            top + beyond[0] < self.window.kernel[0]
            and left + beyond[1] < self.window.kernel[1]
            and (self.columns > 1 or self.window.kernel[0] == 1)
            and rows[0] < self.rows
            and columns[0] < self.columns
            and self.flush < self.pixels
        )


@dataclass(frozen=True, slots=True)
class Repeat:
    """Keeps `words` beats, and makes all of them, in order, `copies` times."""

    words: int
    copies: int


Head = Pass | Widen | Narrow | Sweep | Lines | Repeat
