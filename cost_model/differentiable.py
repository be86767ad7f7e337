"""The cost of a layer as a torch function of its bit widths, for a training loss.

Between whole widths the estimates of a `WidthTable` are interpolated, linearly in either width: at
whole widths the value is the estimate itself, in between it has a gradient everywhere but where two
pieces meet. Only this module of the cost model imports torch.
"""

import numpy as np
import torch

from bitwright.cost_model.width_table import WidthTable
from bitwright.models.errors import InputError


class LayerCost(torch.nn.Module):
    """A resource of one layer, or its latency, as a function of two bit widths."""

    table: torch.Tensor

    def __init__(self, table: WidthTable, resource: str = "lut") -> None:
        """resource: as for `WidthTable.counts`.

        Raises InputError where the codec lacks some widths in between: tables are interpolated
        over those that there are.
        """
        super().__init__()
        counts = table.counts(resource)
        rows = np.flatnonzero(~np.isnan(counts).all(axis=1))
        if not len(rows) or np.isnan(counts[rows[0] : rows[-1] + 1]).any():
            raise InputError(f"the codec {table.layer.codec} has no unbroken range of weight bits")
        self.first = int(rows[0]) + 1
        """The fewest bits of a weight; fewer count as these, and more than the most as those."""
        self.register_buffer("table", torch.tensor(counts[rows], dtype=torch.float64))

    def forward(self, weight_bits: torch.Tensor, activation_bits: torch.Tensor) -> torch.Tensor:
        """The cost at widths of any shape, the same for both; double precision."""
        rows, columns = self.table.shape
        w, at_w = _place(weight_bits, self.first, rows)
        a, at_a = _place(activation_bits, 1, columns)
        below, right = (w + 1).clamp(max=rows - 1), (a + 1).clamp(max=columns - 1)
        low = self.table[w, a] * (1 - at_a) + self.table[w, right] * at_a
        high = self.table[below, a] * (1 - at_a) + self.table[below, right] * at_a
        return low * (1 - at_w) + high * at_w


def _place(bits: torch.Tensor, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The entry at or below each width, and how far towards the next one it is."""
    place = (bits.double() - first).clamp(0, count - 1)
    # The last piece holds its upper end too, so that there is a gradient there.
    entry = place.detach().floor().clamp(max=max(count - 2, 0))
    return entry.long(), place - entry
