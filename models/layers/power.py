"""Power-exponent weights (PowerQuant, NUPES): q = round(s * sign(w) * |w|^a), with a learned.

Below an exponent of 1 the levels crowd around zero, as trained weights do. The levels are rounded
to integers of a few bits times one power of two, so that hardware decodes q in a small table and
multiplies and adds integers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from brevitas.nn import QuantConv2d, QuantLinear
from torch import Tensor, nn

from bitwright.models.errors import InputError
from bitwright.models.graph.codebooks import power_table
from bitwright.models.layers.codebook import IndexedWeights, power_of_two_scale

LOWEST, HIGHEST = 0.2, 1.0
"""The exponents that are used; a trained one beyond is taken as the nearer end.

1 is the even grid. Above it the levels would crowd at the ends, where few weights are.
"""


@dataclass(frozen=True, slots=True)
class PowerGrid:
    """How a layer's weights are coded.

    bits: of each weight's q. exponent: a; None searches that of least squared error for the first
    weights, as `fit` does later on. learned: whether training moves it. entry_bits: of a level, as
    a signed integer.
    """

    bits: int
    exponent: float | None = None
    learned: bool = True
    entry_bits: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8 or not 2 <= self.entry_bits <= 16:
            raise InputError(
                f"a power grid of {self.bits} bits with levels of {self.entry_bits} bits: use "
                "2..8 and 2..16"
            )
        if self.exponent is not None and not LOWEST <= self.exponent <= HIGHEST:
            raise InputError(
                f"an exponent of {self.exponent} is outside {LOWEST}..{HIGHEST}: 1 is the even grid"
            )


class _PowerWeights(IndexedWeights):
    """The trained tensors of a power grid: real weights and one exponent."""

    grid: PowerGrid
    exponent: nn.Parameter

    def _init_grid(self, grid: PowerGrid) -> None:
        self.grid, self.entry_bits = grid, grid.entry_bits
        start = 1.0 if grid.exponent is None else grid.exponent
        self.exponent = nn.Parameter(self.weight.new_tensor(start), requires_grad=grid.learned)
        if grid.exponent is None:
            self.fit()

    @property
    def power(self) -> float:
        """The exponent in use."""
        return min(max(self.exponent.item(), LOWEST), HIGHEST)

    @torch.no_grad()
    def fit(self, candidates: int = 33) -> None:
        """Set the exponent to the one of least squared error for the weights, on an even grid."""
        tried = np.linspace(LOWEST, HIGHEST, candidates)
        errors = []
        for exponent in tried:
            table, indices, scale = self._coded(float(exponent))
            errors.append(float(((table[0][indices] * scale - self.weight) ** 2).sum()))
        self.exponent.fill_(float(tried[int(np.argmin(errors))]))

    @torch.no_grad()
    def coded(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `IndexedWeights`. An index is q in two's complement."""
        return self._coded(self.power)

    def _coded(self, power: float) -> tuple[Tensor, Tensor, Tensor]:
        weight, steps = self.weight.detach(), (1 << (self.grid.bits - 1)) - 1
        scale = power_of_two_scale(weight.abs().max(), self.entry_bits)
        largest = max(round(float(weight.abs().max() / scale)), 1)
        table = power_table(self.grid.bits, power, largest)
        share = (weight.abs() / (scale * largest)).clamp(max=1)
        q = torch.round(steps * share**power).long()
        indices = torch.where(weight < 0, -q, q) % (1 << self.grid.bits)
        return torch.from_numpy(table[None]).to(weight.device), indices, scale

    def real_weight(self) -> tuple[Tensor, Tensor]:
        """See `IndexedWeights`.

        A weight gets its gradient unchanged. The exponent gets the chain rule through the level
        (|q|/n)^(1/a) itself and, as if rounding were the identity, through q (NUPES).
        """
        table, indices, scale = self.coded()
        apply: Callable[..., Tensor] = _FromPowers.apply
        return apply(self.weight, self.exponent, table, indices, scale, self.power), scale


class PowerLinear(_PowerWeights, QuantLinear):  # type: ignore[misc]
    """Brevitas' QuantLinear with weights on a power grid; its other arguments are unchanged."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        grid: PowerGrid,
        **kwargs: Any,
    ) -> None:
        QuantLinear.__init__(self, in_features, out_features, bias, weight_quant=None, **kwargs)
        self._init_grid(grid)


class PowerConv2d(_PowerWeights, QuantConv2d):  # type: ignore[misc]
    """Brevitas' QuantConv2d with weights on a power grid; its other arguments are unchanged."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        grid: PowerGrid,
        **kwargs: Any,
    ) -> None:
        QuantConv2d.__init__(
            self, in_channels, out_channels, kernel_size, weight_quant=None, **kwargs
        )
        self._init_grid(grid)


class _FromPowers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        exponent: Tensor,
        table: Tensor,
        indices: Tensor,
        scale: Tensor,
        power: float,
    ) -> Tensor:
        ctx.save_for_backward(weight, exponent, table, indices, scale)
        ctx.power = power
        return (table[0][indices] * scale).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        (gradient,) = gradients
        weight, exponent, table, indices, scale = ctx.saved_tensors
        slope = _exponent_slope(weight, ctx.power, table, indices, scale)
        return gradient, (gradient * slope).sum().reshape(exponent.shape), None, None, None, None


def _exponent_slope(
    weight: Tensor, power: float, table: Tensor, indices: Tensor, scale: Tensor
) -> Tensor:
    """d(level)/d(a) = M t^(1/a) (r^a ln(r) / (a t) - ln(t) / a^2), and 0 at q = 0.

    t = |q|/n, r = |w|/M, M the largest level. The terms cancel where nothing was rounded, t = r^a.
    """
    codes = table.shape[1]
    steps, reach = codes // 2 - 1, scale * table.abs().max()
    q = torch.where(indices >= codes // 2, indices - codes, indices)
    t = (q.abs() / steps).clamp(min=1 / steps)  # q = 0 is masked below
    r = (weight.abs() / reach).clamp(min=1e-12, max=1)
    level = reach * t ** (1 / power)
    slope = level * (r**power * r.log() / (power * t) - t.log() / power**2)
    return slope * q.sign()
