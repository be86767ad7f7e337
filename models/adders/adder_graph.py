"""What an adder graph consists of: shifted values, added or subtracted two at a time."""

import math
from dataclasses import dataclass

from bitwright.models.graph.types import bits_holding


@dataclass(frozen=True, slots=True)
class Adder:
    """(value[left] << left_shift) + (value[right] << right_shift), or minus where `subtract`."""

    left: int
    right: int
    left_shift: int
    right_shift: int
    subtract: bool


@dataclass(frozen=True, slots=True)
class Output:
    """constant + (value[source] << shift), or minus where `negate`; no source is the constant."""

    source: int | None
    shift: int
    negate: bool
    constant: int

    @property
    def is_wire(self) -> bool:
        """Whether the output needs no adder of its own."""
        return self.source is None or (self.constant == 0 and not self.negate)


@dataclass(frozen=True, eq=False, slots=True)
class AdderGraph:
    """Values 0 … inputs-1 are the inputs, then one value an adder, then the outputs.

    low, high: exact bounds of every value, inputs included. level: adders on the longest path to
    it, 0 for an input.
    """

    inputs: int
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    level: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Adders on the longest path from an input to an output, output adders included."""
        return max((self.output_level(o) for o in self.outputs), default=0)

    def output_level(self, output: Output) -> int:
        """Adders on the longest path to an output."""
        below = 0 if output.source is None else self.level[output.source]
        return below + (not output.is_wire)

    def output_width(self, output: Output) -> int:
        """Bits that hold an output as a signed number."""
        if output.source is None:
            low = high = output.constant
        else:
            low, high = self.low[output.source], self.high[output.source]
            low, high = low << output.shift, high << output.shift
            low, high = (-high, -low) if output.negate else (low, high)
            low, high = low + output.constant, high + output.constant
        return max((-low - 1 if low < 0 else low).bit_length(),
                   (-high - 1 if high < 0 else high).bit_length()) + 1  # fmt: skip

    def widths(self, output_width: int | None = None) -> list[int]:
        """Bits of each value, 0 where nothing reads it.

        output_width: bits of every output; what each output's own range needs where it is None.

        A sum's range can be narrower than a term's, and arithmetic modulo 2^width then needs only
        the term's lower bits. So widths follow from the readers, the last value first.
        """
        wanted = [0] * len(self.low)
        for o in self.outputs:
            if o.source is not None:
                width = output_width or self.output_width(o)
                wanted[o.source] = max(wanted[o.source], width - o.shift)
        for i in range(len(self.low) - 1, -1, -1):
            own = bits_holding(self.low[i], self.high[i])
            wanted[i] = min(own, wanted[i])
            if i >= self.inputs:
                a = self.adders[i - self.inputs]
                wanted[a.left] = max(wanted[a.left], wanted[i] - a.left_shift)
                wanted[a.right] = max(wanted[a.right], wanted[i] - a.right_shift)
        return wanted


def adder_bits(graph: AdderGraph) -> int:
    """Sum of the result widths of all adders: the usual first estimate of their area."""
    return sum(
        math.ceil(math.log2(graph.high[i] - graph.low[i] + 1))
        for i in range(graph.inputs, len(graph.low))
    )
