"""Learned codebooks (JLCM): weights that are indices into small tables, both learned together.

Consecutive outputs share a table, so that which table a weight uses costs nothing to store
("Network Memory Footprint Compression Through Jointly Learnable Codebooks and Mappings", 2023).
Entries are integers of a few bits times one power of two: hardware multiplies and adds integers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from bitwright.models.errors import InputError

_ROUNDS = 60  # of Lloyd's algorithm at most; it is at rest after far fewer


@dataclass(frozen=True, slots=True)
class Codebooks:
    """How a layer's weights are coded.

    index_bits: of each weight; a table has 2^index_bits entries. groups: tables, each for equally
    many consecutive outputs. entry_bits: of an entry, as a signed integer.
    """

    index_bits: int
    groups: int = 1
    entry_bits: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.index_bits <= 8 or not 2 <= self.entry_bits <= 16 or self.groups < 1:
            raise InputError(
                f"{self.groups} codebooks of {self.index_bits} index bits with entries of "
                f"{self.entry_bits} bits: use 1 or more, 1..8 and 2..16"
            )


class IndexedWeights:
    """What layers share whose weights are indices into tables of integers, times one scale."""

    weight: nn.Parameter
    entry_bits: int

    def coded(self) -> tuple[Tensor, Tensor, Tensor]:
        """What is stored: table, int64 (groups, entries); indices, int64 in the weight's shape.

        And the scale, a power of two, shape ().
        """
        raise NotImplementedError

    def real_weight(self) -> tuple[Tensor, Tensor]:
        """scale * table[index], with gradients to what is trained, and the scale."""
        raise NotImplementedError

    def quant_weight(self, *_: Any, **__: Any) -> IntQuantTensor:
        """The weights as Brevitas passes them on: integers of `entry_bits` times a scale."""
        value, scale = self.real_weight()
        return IntQuantTensor(
            value,
            scale,
            torch.zeros((), device=value.device),
            torch.full((), float(self.entry_bits), device=value.device),
            signed=True,
            training=self.weight.requires_grad and torch.is_grad_enabled(),
        )


class _CodebookWeights(IndexedWeights):
    """The trained tensors of a learned codebook: real weights, which only choose, and entries."""

    codebooks: Codebooks
    codebook: nn.Parameter

    def _init_codebooks(self, codebooks: Codebooks) -> None:
        self.codebooks, self.entry_bits = codebooks, codebooks.entry_bits
        outputs = self.weight.shape[0]
        if outputs % codebooks.groups:
            raise InputError(
                f"{type(self).__name__} of {outputs} outputs cannot be split into "
                f"{codebooks.groups} equal groups: choose a number of codebooks that divides them"
            )
        entries = 1 << codebooks.index_bits
        self.codebook = nn.Parameter(self.weight.new_zeros(codebooks.groups, entries))
        self.fit()

    @torch.no_grad()
    def fit(self) -> None:
        """Set the entries to those of least squared error for the weights (Lloyd's algorithm).

        Assignment to the nearest entry and entries at the mean of their weights alternate until
        nothing moves. Done at construction; again wherever real weights were loaded.
        """
        weights = self.weight.detach().reshape(len(self.codebook), -1)
        entries = self.codebook.shape[1]
        spread = (torch.arange(entries, device=weights.device) + 0.5) / entries
        values = weights.sort(dim=1).values[:, (spread * weights.shape[1]).long()]
        for _ in range(_ROUNDS):
            near = _nearest(weights, values)
            count = torch.zeros_like(values).scatter_add_(1, near, torch.ones_like(weights))
            total = torch.zeros_like(values).scatter_add_(1, near, weights)
            moved = torch.where(count > 0, total / count.clamp(min=1), values)
            if torch.equal(moved, values):
                break
            values = moved
        self.codebook.copy_(values)

    @torch.no_grad()
    def coded(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `IndexedWeights`. Indices are of the nearest entries."""
        scale = power_of_two_scale(self.codebook.abs().max(), self.entry_bits)
        table = torch.round(self.codebook / scale)
        weights = self.weight.reshape(len(table), -1)
        indices = _nearest(weights, table * scale).reshape(self.weight.shape)
        return table.long(), indices, scale

    def real_weight(self) -> tuple[Tensor, Tensor]:
        """See `IndexedWeights`.

        An entry gets the sum of the gradients of its weights (the chain rule). A weight gets its
        own, as if it were its entry, so that its index follows to a neighbour when it has moved
        past the middle: a search step by step, where a gradient of the index itself would jump to
        the ends of the table. Weights beyond an end get none that leads farther out.
        """
        table, indices, scale = self.coded()
        apply: Callable[..., Tensor] = _FromTable.apply
        return apply(self.weight, self.codebook, table, indices, scale), scale


class CodebookLinear(_CodebookWeights, QuantLinear):  # type: ignore[misc]
    """Brevitas' QuantLinear with learned codebooks; its other arguments are unchanged.

    Raises InputError where the groups do not divide the outputs.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        codebooks: Codebooks,
        **kwargs: Any,
    ) -> None:
        QuantLinear.__init__(self, in_features, out_features, bias, weight_quant=None, **kwargs)
        self._init_codebooks(codebooks)


class CodebookConv2d(_CodebookWeights, QuantConv2d):  # type: ignore[misc]
    """Brevitas' QuantConv2d with learned codebooks; its other arguments are unchanged.

    Raises InputError where the groups do not divide the output channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        codebooks: Codebooks,
        **kwargs: Any,
    ) -> None:
        QuantConv2d.__init__(
            self, in_channels, out_channels, kernel_size, weight_quant=None, **kwargs
        )
        self._init_codebooks(codebooks)


def power_of_two_scale(largest: Tensor, bits: int) -> Tensor:
    """The smallest power of two that brings `largest` into signed integers of so many bits.

    1 for a largest of 0. Raises InputError for one that is not finite.
    """
    reach = float(largest)
    if not math.isfinite(reach):
        raise InputError(f"the largest weight is {reach}: lower the learning rate")
    units = reach / ((1 << (bits - 1)) - 1)
    power = 2.0 ** math.ceil(math.log2(units)) if units > 0 else 1.0
    return torch.tensor(power, dtype=largest.dtype, device=largest.device)


def _nearest(weights: Tensor, values: Tensor) -> Tensor:
    """For each row the index of the value nearest to each weight; the lower one of two equals.

    weights: (groups, n). values: (groups, entries), in any order.
    """
    ascending, order = values.sort(dim=1)
    middle = (ascending[:, :-1] + ascending[:, 1:]) / 2
    return order.gather(1, torch.searchsorted(middle, weights.contiguous()))


class _FromTable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        codebook: Tensor,
        table: Tensor,
        indices: Tensor,
        scale: Tensor,
    ) -> Tensor:
        groups = len(codebook)
        numbers = indices.reshape(groups, -1)
        value = (table.gather(1, numbers) * scale).to(weight.dtype).reshape(weight.shape)
        ctx.save_for_backward(weight, numbers, codebook)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        weight, numbers, codebook = ctx.saved_tensors
        groups = len(codebook)
        entries = torch.zeros_like(codebook).scatter_add_(1, numbers, gradient.reshape(groups, -1))
        ends = [codebook.amin(1), codebook.amax(1)]
        low, high = (e.repeat_interleave(weight.shape[0] // groups) for e in ends)
        shape = (-1, *[1] * (weight.dim() - 1))
        # A step goes against the gradient: a negative one raises the weight.
        outward = ((weight > high.reshape(shape)) & (gradient < 0)) | (
            (weight < low.reshape(shape)) & (gradient > 0)
        )
        return gradient * ~outward, entries, None, None, None
