"""Learned bits: every weight, output channel or layer, and every activation, finds its own width.

A weight is rounded to 2^-f with a real f that is trained beside it: less error for more bits, less
cost for fewer, and none at all where it becomes 0 (HGQ: Sun et al., arXiv 2405.00645, section 3).
`cost` is what a loss can weigh against accuracy.
"""

import math
from typing import Any, Literal, get_args

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from bitwright.models.errors import InputError

Granularity = Literal["weight", "channel", "layer"]
"""What has bits of its own. Unrolled hardware gains from single weights', memories do not."""

MAX_FRACTION = 12
MAX_ACTIVATION_BITS = 8
_GAIN = 8.0
"""How much faster than a weight a width is trained: they are numbers of about that size."""


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def _rounded(x: Tensor) -> Tensor:
    made: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return made


class LearnedWeights:
    """What layers share whose weights have learned fraction bits."""

    weight: nn.Parameter
    fraction: nn.Parameter
    input_bits: Tensor | None

    def _init_widths(self, granularity: Granularity, fraction_bits: float) -> None:
        if granularity not in get_args(Granularity):
            raise InputError(
                f"learned bits of each {granularity!r}: choose {', '.join(get_args(Granularity))}"
            )
        shape = {
            "weight": tuple(self.weight.shape),
            "channel": (len(self.weight), *[1] * (self.weight.dim() - 1)),
            "layer": (1,) * self.weight.dim(),
        }[granularity]
        self.fraction = nn.Parameter(torch.full(shape, fraction_bits / _GAIN))
        self.input_bits = None

    def fraction_bits(self) -> Tensor:
        """f, rounded to whole bits; it may be negative."""
        return _rounded((self.fraction * _GAIN).clamp(-MAX_FRACTION, MAX_FRACTION))

    def quant_weight(self, quant_input: Any = None, *_: Any, **__: Any) -> IntQuantTensor:
        """The weights, as integers of one scale for each output.

        The gradient passes to a weight unchanged; to f by how the rounding error shrinks with it.
        """
        if isinstance(quant_input, IntQuantTensor):
            self.input_bits = quant_input.bit_width
        f, weight = self.fraction_bits(), self.weight
        with torch.no_grad():
            step = torch.exp2(-f)
            error = weight - torch.round(weight / step) * step
            made = weight - error
            rows = (len(weight), *[1] * (weight.dim() - 1))
            # The finest step of an output's weights that are not 0 is its unit.
            finest = torch.where(made != 0, f.expand_as(weight), -MAX_FRACTION).reshape(rows[0], -1)
            scale = torch.exp2(-finest.amax(1)).reshape(rows)
            largest = float((made / scale).abs().max())
            width = max(math.ceil(math.log2(largest + 1)), 1) + 1
        value = weight - error * torch.exp2(f.detach() - f)
        return IntQuantTensor(
            value,
            scale,
            torch.zeros((), device=weight.device),
            torch.tensor(float(width), device=weight.device),
            signed=True,
            training=weight.requires_grad and torch.is_grad_enabled(),
        )

    def weight_bits(self) -> Tensor:
        """Bits of each weight's magnitude, with gradients to f; 0 where it is rounded to 0."""
        f = self.fraction_bits()
        with torch.no_grad():
            step = torch.exp2(-f)
            whole = torch.log2((torch.round(self.weight / step) * step).abs()).floor() + 1
        return (whole + f).clamp(min=0)


class LearnedLinear(LearnedWeights, QuantLinear):  # type: ignore[misc]
    """Brevitas' QuantLinear with learned bits; its other arguments are unchanged."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        granularity: Granularity = "weight",
        fraction_bits: float = 6.0,
        **kwargs: Any,
    ) -> None:
        QuantLinear.__init__(self, in_features, out_features, bias, weight_quant=None, **kwargs)
        self._init_widths(granularity, fraction_bits)


class LearnedConv2d(LearnedWeights, QuantConv2d):  # type: ignore[misc]
    """Brevitas' QuantConv2d with learned bits; its other arguments are unchanged."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        granularity: Granularity = "weight",
        fraction_bits: float = 6.0,
        **kwargs: Any,
    ) -> None:
        QuantConv2d.__init__(
            self, in_channels, out_channels, kernel_size, weight_quant=None, **kwargs
        )
        self._init_widths(granularity, fraction_bits)


class LearnedWidth(nn.Module):
    """The bits of an activation, in the place of Brevitas' constant: 1 to `most`, trained."""

    def __init__(self, bits: float, most: int = MAX_ACTIVATION_BITS) -> None:
        super().__init__()
        self.most = most
        self.width = nn.Parameter(torch.tensor(bits / _GAIN))

    def forward(self) -> Tensor:
        """Whole bits, with a gradient."""
        return _rounded((self.width * _GAIN).clamp(1, self.most))


def learn_bits(
    model: nn.Module, granularity: Granularity = "weight", fraction_bits: float = 6.0
) -> nn.Module:
    """Let a Brevitas model learn its bits, in place: those of plain integer layers and activations.

    Dense layers and convolutions keep weights, biases and their quantisers. Activations begin with
    the bits that they have; 1-bit ones keep theirs, and so do weights of other codecs.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) in (QuantLinear, QuantConv2d):
                parent.add_module(name, _learning(layer, granularity, fraction_bits))
            quantiser: Any = getattr(layer, "tensor_quant", None)
            width = getattr(quantiser, "msb_clamp_bit_width_impl", None)
            if name != "fused_activation_quant_proxy" or width is None:
                continue
            if (bits := float(width())) > 1:
                quantiser.msb_clamp_bit_width_impl = LearnedWidth(bits)
    return model


def _learning(layer: Any, granularity: Granularity, fraction_bits: float) -> nn.Module:
    told: dict[str, Any] = {"granularity": granularity, "fraction_bits": fraction_bits}
    told |= {"bias": layer.bias is not None, "return_quant_tensor": layer.return_quant_tensor}
    made: Any
    if isinstance(layer, QuantLinear):
        made = LearnedLinear(layer.in_features, layer.out_features, **told)
    else:
        shape = ("stride", "padding", "dilation", "groups", "padding_mode")
        told |= {name: getattr(layer, name) for name in shape}
        made = LearnedConv2d(layer.in_channels, layer.out_channels, layer.kernel_size, **told)
    made.weight, made.bias = layer.weight, layer.bias
    for quantiser in ("bias_quant", "input_quant", "output_quant"):
        setattr(made, quantiser, getattr(layer, quantiser))
    learning: nn.Module = made
    return learning


def cost(model: nn.Module) -> Tensor:
    """Bit operations of one inference in the unrolled form, with gradients to all learned bits.

    Of each weight its bits times those of what it multiplies (HGQ's effective bit operations, an
    upper bound of the look-up tables of the adder graph). Call it after a forward pass, in which
    layers learn the bits of their inputs.
    """
    total = torch.zeros(())
    for layer in model.modules():
        if isinstance(layer, LearnedWeights):
            bits = 1.0 if layer.input_bits is None else layer.input_bits
            total = total + layer.weight_bits().sum() * bits
    return total
