"""How a folded product multiplies and adds up, and where the registers of its sum are.

Weights and inputs come from memories. A row of products is followed by a balanced tree of additions
and, always, a register, which the accumulator adds. `Folded.stages` counts that register and those
before it: one may follow the products and every level of the tree but the last.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from bitwright.models.graph.codecs import weight_width
from bitwright.models.graph.ops import Conv2d, Dense
from bitwright.models.graph.types import IntType

Form = Literal["binary", "inverted", "negated", "multiplied"]
"""binary: bits that are equal are counted, three by a full adder. inverted: a weight of -1 inverts
the input, and constants carry the rest. negated: it negates the input. multiplied: anything else.
"""


@dataclass(frozen=True, slots=True)
class Products:
    """The sum of `terms` products a cycle, with weights of `weight_bits`."""

    form: Form
    terms: int
    weight_bits: int

    @property
    def addends(self) -> int:
        """Numbers that the tree adds."""
        return -(-self.terms // 3) if self.form == "binary" else self.terms

    @property
    def tree_levels(self) -> int:
        """Additions behind one another in the tree."""
        return (self.addends - 1).bit_length()

    @property
    def product_levels(self) -> int:
        """How deep a product is, in additions: those of its rows, or what takes as long as one."""
        match self.form:
            case "binary" | "negated":
                return 1
            case "inverted":  # in the tables of the first additions
                return 0
            case "multiplied":
                return (self.weight_bits - 1).bit_length()

    @property
    def most_stages(self) -> int:
        """Registers in all places that there are."""
        return 1 + len(self._places)

    @property
    def _places(self) -> range:
        """0: behind the products; l: behind the l-th level of the tree, which is not the last."""
        return range(0 if self.product_levels else 1, self.tree_levels)

    def cuts(self, stages: int) -> tuple[int, ...]:
        """The `stages` - 1 places of registers that make the longest piece shortest.

        Of equal ones, the last places: there the tree has fewer bits.
        """
        assert 1 <= stages <= self.most_stages
        longest = 0
        while self._longest(found := self._cuts_of(longest, stages)) > longest:
            longest += 1
        return found

    def _cuts_of(self, longest: int, stages: int) -> tuple[int, ...]:
        """Cuts as late as pieces of at most `longest` allow, with a place left for each."""
        found: list[int] = []
        for left in range(stages - 2, -1, -1):
            before = self.product_levels + found[-1] if found else 0
            reach = before + longest - self.product_levels
            first = found[-1] + 1 if found else self._places[0]
            found.append(max(first, min(reach, self._places[-1] - left)))
        return tuple(found)

    def _longest(self, cuts: tuple[int, ...]) -> int:
        places = [*(self.product_levels + place for place in cuts)]
        ends = [0, *places, self.product_levels + self.tree_levels]
        return max(after - before for before, after in pairwise(ends))


def products(op: Dense | Conv2d, kind: IntType, simd: int, loadable: bool) -> Products:
    """The arithmetic of a folded product of inputs of type `kind`, `simd` at a time.

    loadable: the weights are not known beforehand, so that no constant can carry a part of them.
    """
    bits = weight_width(op.weights)
    form: Form = "multiplied"
    if bits == 1:
        binary = kind.width == 1 and not kind.signed
        form = "negated" if loadable else "binary" if binary else "inverted"
    return Products(form, simd, bits)
