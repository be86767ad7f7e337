"""Bitwise Bottleneck (AAAI 2021): an activation quantiser that keeps only some bit planes.

It goes behind a quantised ReLU, is found by rate and distortion (`insertion.insert`), and stays as
it is while the network is fine-tuned around it. In hardware the streams carry the kept bits only.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from bitwright.models.layers.rate_distortion import MAX_SOURCE_BITS, BitQuantiser


class BitwiseBottleneck(nn.Module):
    """The layer that computes a `BitQuantiser`, frozen, with the identity as its gradient.

    The gradient passes where 0 <= x <= scale * (2^source_bits - 1) and is 0 outside. The output is
    an IntQuantTensor in units of `quantiser.unit`, or a plain tensor without return_quant_tensor;
    its integers are exact for float32 inputs.

    All that it knows is in buffers of fixed shape, so that any bottleneck loads the state_dict of
    any other. Without a quantiser it is one to load into: uniform, 8 bits, a step of 1.
    """

    scale: Tensor
    source_bits: Tensor
    coefficients: Tensor
    fraction_bits: Tensor

    def __init__(
        self, quantiser: BitQuantiser | None = None, return_quant_tensor: bool = True
    ) -> None:
        super().__init__()
        self.return_quant_tensor = return_quant_tensor
        self.register_buffer("scale", torch.zeros(()))
        self.register_buffer("source_bits", torch.zeros((), dtype=torch.int64))
        # One for every plane there could be; 0 is one that is not kept.
        self.register_buffer("coefficients", torch.zeros(MAX_SOURCE_BITS, dtype=torch.int64))
        self.register_buffer("fraction_bits", torch.zeros((), dtype=torch.int64))
        self.quantiser = BitQuantiser.uniform(1.0, 8) if quantiser is None else quantiser

    @property
    def quantiser(self) -> BitQuantiser:
        """What it computes. Raises InputError if the buffers were given something impossible."""
        planes = self.coefficients.nonzero().flatten().tolist()
        return BitQuantiser(
            float(self.scale),
            int(self.source_bits),
            tuple(planes),
            tuple(self.coefficients[planes].tolist()),
            int(self.fraction_bits),
        )

    @quantiser.setter
    def quantiser(self, to: BitQuantiser) -> None:
        self.scale.fill_(to.scale)
        self.source_bits.fill_(to.source_bits)
        self.coefficients.zero_()
        self.coefficients[list(to.planes)] = torch.tensor(
            to.coefficients, device=self.coefficients.device
        )
        self.fraction_bits.fill_(to.fraction_bits)

    def forward(self, x: Tensor | IntQuantTensor) -> Tensor | IntQuantTensor:
        """x: any shape; what is below 0 becomes 0, NaN stays NaN."""
        real: Tensor = x.value if isinstance(x, IntQuantTensor) else x
        quantiser = self.quantiser
        unit = torch.tensor(quantiser.unit, dtype=real.dtype, device=real.device)
        apply: Callable[..., Tensor] = _PassThrough.apply
        value = apply(real, quantiser, unit)
        if not self.return_quant_tensor:
            return value
        return IntQuantTensor(
            value,
            unit,
            torch.zeros_like(unit),
            torch.full_like(unit, quantiser.value_bits),
            signed=False,
            training=self.training,
        )

    def extra_repr(self) -> str:
        """The quantiser, for print(model)."""
        q = self.quantiser
        return (
            f"planes {list(q.planes)} of {q.source_bits}, coefficients {list(q.coefficients)} / "
            f"2^{q.fraction_bits}, scale {q.scale:g}"
        )


class _PassThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, quantiser: BitQuantiser, unit: Tensor) -> Tensor:
        top = (1 << quantiser.source_bits) - 1
        # In float64 the quotient of two float32 numbers never rounds to a tie that it is not.
        quotient = x.double() / quantiser.scale
        ctx.save_for_backward((quotient >= 0) & (quotient <= top))
        u = quotient.round().clamp(0, top).nan_to_num().long()
        integers = torch.zeros_like(u)
        for plane, coefficient in zip(quantiser.planes, quantiser.coefficients, strict=True):
            integers += coefficient * (u >> plane & 1)
        return torch.where(x.isnan(), math.nan, integers.to(x.dtype) * unit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None
