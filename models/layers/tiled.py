"""Tiled Bit Networks (arXiv 2407.12075): binary layers that repeat one learned tile of signs.

A layer of N weights trains N scores W and stores only a tile of q = N/p signs, each the sign of
the sum of the p scores that share it. Where p divides the outputs, output i + k * outputs/p has the
signs of output i: hardware computes each distinct dot product once, and p falls out of weights,
memory and arithmetic alike.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from bitwright.models.errors import InputError
from bitwright.models.layers.signs import Estimator, reste_power, sign


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a layer is tiled.

    compression: p, how many copies of the tile make the layer. min_compress_size: a layer of fewer
    weights keeps p = 1, which is a plain binary layer (lambda in the paper, 64,000 in its CIFAR-10
    configurations). scale: one alpha "per_tile" or a "single" one. scale_from: alpha is the mean
    magnitude of "own" trained values A, as large as W, or of the "scores" W themselves.
    gradient: "authors" gives each score its own copy's gradient; "exact" is the chain rule, which
    gives each the sum over all copies (p times larger, equal for all that share a sign: the same
    training under SGD but for the rate, another under Adam). estimator: see `signs`.
    """

    compression: int
    min_compress_size: int = 64_000
    scale: Literal["per_tile", "single"] = "per_tile"
    scale_from: Literal["own", "scores"] = "own"
    gradient: Literal["authors", "exact"] = "authors"
    estimator: Estimator = "identity"


class _TiledWeights:
    """What tiled layers share: the second trained tensor, the tile, and the weights it makes."""

    weight: nn.Parameter
    scale_values: nn.Parameter | None
    tiling: Tiling
    copies: int
    power: float

    def _init_tiling(self, tiling: Tiling) -> None:
        self.tiling, self.power = tiling, 1.0
        outputs, fan_in = self.weight.shape[0], self.weight[0].numel()
        self.copies = copies_for(tiling, outputs, fan_in, type(self).__name__)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if tiling.scale_from == "own":
            self.scale_values = nn.Parameter(torch.empty_like(self.weight))
            nn.init.kaiming_normal_(self.scale_values)
        else:
            self.scale_values = None

    @property
    def tile(self) -> Tensor:
        """The signs that are stored: shape (q,), -1.0 or +1.0, no gradient."""
        with torch.no_grad():
            return sign(self.weight.reshape(self.copies, -1).sum(0))

    @property
    def scales(self) -> Tensor:
        """alpha, a mean magnitude: shape (p,) per tile or (1,) for all."""
        values = self.weight if self.scale_values is None else self.scale_values
        parts = self.copies if self.tiling.scale == "per_tile" else 1
        return values.reshape(parts, -1).abs().mean(1)

    @property
    def scale_per_output(self) -> bool:
        """Whether every output has one scale: then alpha costs no hardware at all."""
        return len(self.scales) == 1 or self.weight.shape[0] % self.copies == 0

    def set_progress(self, progress: float) -> None:
        """Tell the estimator how far the training is, from 0 to 1."""
        self.power = reste_power(progress)

    def signs(self) -> Tensor:
        """The tile repeated in row-major order, in the weight's shape, with gradients to W."""
        scores = self.weight.reshape(self.copies, -1)
        sums = scores.sum(0)
        if self.tiling.gradient == "authors":
            made = sign(sums, self.tiling.estimator, self.power, gradient_to=scores)
        else:
            made = sign(sums, self.tiling.estimator, self.power).repeat(self.copies)
        return made.reshape(self.weight.shape)

    def quant_weight(self, *_: Any, **__: Any) -> Tensor | IntQuantTensor:
        """Scale times sign: 1-bit integers to Brevitas where every row has one scale."""
        signs, scales = self.signs(), self.scales
        outputs, ones = self.weight.shape[0], [1] * (self.weight.dim() - 1)
        if not self.scale_per_output:
            spread = scales.repeat_interleave(signs.numel() // len(scales))
            return signs * spread.reshape(signs.shape)
        if len(scales) > 1:
            scales = scales.repeat_interleave(outputs // len(scales)).reshape(outputs, *ones)
        else:
            scales = scales.reshape(())
        return IntQuantTensor(
            signs * scales,
            scales,
            torch.zeros((), device=signs.device),
            torch.ones((), device=signs.device),
            signed=True,
            training=self.weight.requires_grad and torch.is_grad_enabled(),
        )


class TiledLinear(_TiledWeights, QuantLinear):  # type: ignore[misc]
    """Brevitas' QuantLinear with tiled binary weights; its other arguments are unchanged.

    Raises InputError where the tile does not fit the layer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        tiling: Tiling,
        **kwargs: Any,
    ) -> None:
        QuantLinear.__init__(self, in_features, out_features, bias, weight_quant=None, **kwargs)
        self._init_tiling(tiling)


class TiledConv2d(_TiledWeights, QuantConv2d):  # type: ignore[misc]
    """Brevitas' QuantConv2d with tiled binary weights; its other arguments are unchanged.

    Raises InputError where the tile does not fit the layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        tiling: Tiling,
        **kwargs: Any,
    ) -> None:
        QuantConv2d.__init__(
            self, in_channels, out_channels, kernel_size, weight_quant=None, **kwargs
        )
        self._init_tiling(tiling)


def copies_for(tiling: Tiling, outputs: int, fan_in: int, layer: str) -> int:
    """How many copies of the tile make a layer: p, or 1 for a layer below the size limit.

    Raises:
        InputError: p does not divide the number of weights, or the tile is so short that all
            outputs would have the same weights.
    """
    weights, p = outputs * fan_in, tiling.compression
    if p < 1:
        raise InputError(f"{layer}: a compression of {p} is not at least 1")
    if weights < tiling.min_compress_size or p == 1:
        return 1
    if weights % p:
        raise InputError(
            f"{layer} of {outputs} x {fan_in} weights cannot be {p} copies of a tile, which do not "
            f"divide {weights}: choose a compression that divides the {outputs} outputs"
        )
    if fan_in % (weights // p) == 0 and outputs > 1:
        raise InputError(
            f"{layer} of {outputs} x {fan_in} weights with compression {p} repeats a tile of "
            f"{weights // p} within every row, so that all outputs would be equal: choose a "
            f"compression that divides {outputs} and is smaller than it"
        )
    return p


def distinct_rows(outputs: int, fan_in: int, copies: int) -> int:
    """How many different rows of signs a tiled layer has: min(outputs, q / gcd(q, fan_in))."""
    tile = outputs * fan_in // copies
    return min(outputs, tile // math.gcd(tile, fan_in))
